"""The built-in main job: a weak source at 5 sigma, learned selections, and a second source.

Cen A-style: exposure, excess and background are those of the discovery of Centaurus A
(Aharonian et al. 2009, arXiv:0903.1582), the second source is the blazar 1ES 1312-423
(Abramowski et al. 2013, arXiv:1306.3186); the showers are simulated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from tqdm import tqdm

from .._validation import check_real
from ..cherenkov.selection import STANDARD_CUTS
from ..cherenkov.simulation import ShowerLibrary, Source, plan_wobble, read_library
from ..cherenkov.simulation.field import (
    MOST_OFFSET,
    find_source_rates,
    make_sampler,
)
from ..cherenkov.simulation.library import FILE
from ..significance import OnOffCounts, compare_selections
from ._cen_a_cells import cut_cells, expect, place_discs
from ._cen_a_choices import (
    BOX,
    EXTENDED,
    LIKELIHOOD,
    SIX,
    Bench,
    Chosen,
    apply,
    score_library,
)
from ._cen_a_curves import draw_curves
from ._cen_a_maps import make_maps
from ._cen_a_report import explain, tabulate, tabulate_sources
from ._cen_a_views import Part, View
from ._result import Reanalysis

MAIN = ("Cen A-style source", 201.365063, -43.019112, 2.45e-13, 2.7)
SECOND = ("1ES 1312-423-style source", 198.764, -42.6139, 1.9e-13, 2.9)
PUBLISHED_EXCESS, PUBLISHED_BACKGROUND, PUBLISHED_HOURS = 330.0, 3875.0, 115.0
WOBBLE, RUN_TIME = 0.7, 28 * 60.0  # deg, s
STREAMS = ("field", "seeds", "null", "bootstrap", "trials")


def reanalyse_cen_a(
    folder: Any = None,
    *,
    seed: int = 0,
    n_workers: int = 1,
    progress: bool = True,
    hours: float = PUBLISHED_HOURS,
    flux: float = 1.0,
    n_seeds: int = 500,
    n_null: int = 2000,
    n_bootstrap: int = 300,
    sky_map: bool = True,
) -> Reanalysis:
    """Observe a simulated field for 115 hours, and analyse it in five ways.

    The library of showers is split in two halves by shower. One trains the classifiers and
    chooses every cut; the other makes the field and chooses nothing.

    Parameters
    ----------
    folder : path-like, optional
        A folder with another ``shower_library.npz``; by default the one of the package.
    seed : int
        Same seed, same numbers, whatever ``n_workers`` is.
    n_workers : int
        Folds that are trained at a time.
    progress : bool
        Show a progress bar on standard error.
    hours : float
        Live time.
    flux : float
        Of both sources, relative to the published excess.
    n_seeds, n_null : int
        Further fields with and without sources, for the mean and spread of each selection.
    n_bootstrap : int
        Resamplings of the runs for the interval of the gain.
    sky_map : bool
        Make the sky maps and search them.

    Returns
    -------
    Reanalysis

    Examples
    --------
    >>> print(reanalyse_cen_a(progress=False))  # doctest: +SKIP
    """
    check_real("hours", hours, above=0)
    check_real("flux", flux, at_least=0)
    for name, count in (("n_seeds", n_seeds), ("n_null", n_null), ("n_bootstrap", n_bootstrap)):
        check_real(name, count, at_least=2)
    rng = {name: np.random.default_rng([seed, k]) for k, name in enumerate(STREAMS)}
    path = None if folder is None else Path(folder) / FILE
    library = read_library(path)
    train, test = library.split()
    main, second, background_scale = set_norms(library)
    seconds = hours * 3600
    pointings = plan_wobble(main.position, wobble=WOBBLE)
    with tqdm(total=6, desc="cen-a", disable=None if progress else True) as bar:
        scores = {
            key: score_library(train, test, names, index=main.index, seed=seed, n_workers=n_workers)
            for key, names in (("six", SIX), ("extended", EXTENDED))
        }
        bar.update()
        plan = Plan(train, test, scores, pointings, seconds, background_scale)
        chosen, views = plan.view_main(main)
        others = plan.view_second(second, main, chosen)
        bar.update()
        shining = [replace(source, norm=source.norm * flux) for source in (main, second)]
        runs = draw_runs(test, shining, pointings, seconds, background_scale, rng["field"])
        counts = [view.count(runs) for view in views]
        counts_second = [view.count(runs) for view in others]
        bar.update()
        expected, null = throw(plan, views, shining[0], n_seeds, n_null, rng)
        expected_second, null_second = throw(plan, others, shining[1], n_seeds, n_null, rng)
        bar.update()
        names = [view.name for view in views]
        box, best = names.index(BOX), names.index(LIKELIHOOD)
        gain = compare_selections(
            [OnOffCounts(int(on[0]), int(off[0]), float(views[box].alpha[0]))
             for on, off in zip(*counts[box], strict=True)],
            lambda weights: float(views[best].measure(weights @ counts[best][0],
                                                      weights @ counts[best][1])),
            n_trials=1, n_bootstrap=n_bootstrap, rng=rng["bootstrap"],
        )  # fmt: skip
        bar.update()
        maps: dict[str, Any] = {}
        found: dict[str, Any] = {}
        if sky_map:
            maps, found = make_maps(plan, main, chosen, runs, rng["trials"])
        bar.update()
    table = tabulate(plan, views, shining[0], counts, expected, null)
    table_second = tabulate(plan, others, shining[1], counts_second, expected_second, null_second)
    return Reanalysis(
        name="cen-a",
        target=f"{main.name}, {hours:g} h",
        gain=gain,
        table=table,
        sources=tabulate_sources(shining, [table, table_second], found),
        settings={
            "seed": seed, "hours": hours, "flux": flux, "n_seeds": n_seeds, "n_null": n_null,
            "norm": main.norm, "index": main.index, "second_norm": second.norm,
            "second_index": second.index, "background_scale": background_scale,
            "library": library.settings, "selections": {c.name: c.choice for c in chosen},
        },
        checksums={} if path is None else {FILE: hashlib.sha256(path.read_bytes()).hexdigest()},
        notes=explain(plan, library, main, table, table_second, found, maps),
        curves=draw_curves(plan, shining[0], views, chosen, counts, runs, expected, maps),
    )  # fmt: skip


def set_norms(library: ShowerLibrary) -> tuple[Source, Source, float]:
    """Sources and factor on the background that give the published counts in the standard box."""
    cut = STANDARD_CUTS["std"]
    discs = place_discs(WOBBLE, cut.theta2)
    cells = cut_cells(apply(library, cut.select), cut.theta2, direction="standard")
    name, ra, dec, norm, index = MAIN
    main = Source(name, SkyCoord(ra, dec, unit="deg"), norm, index)
    signal, background = expect(library, find_source_rates(library, main, WOBBLE), cells, discs)
    seconds = PUBLISHED_HOURS * 3600
    correction = PUBLISHED_EXCESS / (float(signal[0]) * seconds)
    name, ra, dec, norm, index = SECOND
    second = Source(name, SkyCoord(ra, dec, unit="deg"), norm, index)
    main = replace(main, norm=main.norm * correction)
    return main, second, PUBLISHED_BACKGROUND / (float(background[0]) * seconds)


@dataclass(frozen=True, eq=False)
class Plan:
    """The field before anything is drawn: halves, scores, pointings, live time."""

    train: ShowerLibrary
    test: ShowerLibrary
    scores: dict[str, Any]
    pointings: Sequence[SkyCoord]
    seconds: float
    background_scale: float

    @property
    def live_times(self) -> list[float]:
        """Seconds on each pointing."""
        n_runs = count_runs(self.seconds)
        each = [len(range(turn, n_runs, len(self.pointings)))
                for turn in range(len(self.pointings))]  # fmt: skip
        return [n * self.seconds / n_runs for n in each]

    def expect(self, view: View, source: Source) -> tuple[np.ndarray, np.ndarray]:
        """Mean counts of signal and background of a view of the field."""
        return view.expect(
            self.test,
            source,
            pointings=self.pointings,
            live_times=self.live_times,
            background_scale=self.background_scale,
        )

    def make_bench(self, source: Source, offset: float, others: tuple = ()) -> Bench:
        """Bench for a source at an offset."""
        rate = find_source_rates(self.train, source, offset)
        return Bench(
            self.train, self.test, self.scores, rate, offset, self.seconds,
            self.background_scale, others,
        )  # fmt: skip

    def view_main(self, source: Source) -> tuple[list[Chosen], list[View]]:
        """Selections of the source that all pointings see at the same offset."""
        chosen = self.make_bench(source, WOBBLE).choose()
        n = len(self.pointings)
        angles = tuple(p.position_angle(source.position).rad for p in self.pointings)
        views = [
            View(selection.name, selection.choice, (Part(selection.cells, selection.discs),) * n,
                 angles, joined=True)
            for selection in chosen
        ]  # fmt: skip
        return chosen, views

    def view_second(self, source: Source, main: Source, chosen: Sequence[Chosen]) -> list[View]:
        """Views of a source at different offsets: cuts of the main source, groups of its own."""
        parts: dict[str, list[Part | None]] = {selection.name: [] for selection in chosen}
        angles = []
        for pointing in self.pointings:
            offset = float(pointing.separation(source.position).deg)
            angle = pointing.position_angle(source.position).rad
            angles.append(angle)
            from_on = pointing.position_angle(main.position).rad - angle
            others = ((float(pointing.separation(main.position).deg), from_on),)
            bench = self.make_bench(source, offset, others)
            for selection in chosen:
                if offset > MOST_OFFSET:
                    parts[selection.name].append(None)
                elif selection.name == LIKELIHOOD:
                    own = bench.take_likelihood()
                    parts[selection.name].append(Part(own.cells, own.discs))
                else:
                    discs = bench.place(float(selection.cells.edges[-1]))
                    parts[selection.name].append(Part(selection.cells, discs))
        return [
            View(selection.name, selection.choice, tuple(parts[selection.name]), tuple(angles))
            for selection in chosen
        ]


def count_runs(seconds: float) -> int:
    """Number of runs of about 28 minutes."""
    return max(4, round(seconds / RUN_TIME))


def draw_runs(
    library: ShowerLibrary, sources: Sequence[Source], pointings: Sequence[SkyCoord],
    seconds: float, background_scale: float, rng: np.random.Generator,
) -> list[Any]:  # fmt: skip
    """Draw the field run by run."""
    samplers = [make_sampler(library, sources, p, background_scale) for p in pointings]
    n_runs = count_runs(seconds)
    return [samplers[k % len(samplers)].draw(seconds / n_runs, rng) for k in range(n_runs)]


def throw(
    plan: Plan, views: Sequence[View], source: Source, n_seeds: int, n_null: int, rng: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Significances of further fields with and without the source, shape (n_views, n) each.

    Given the library the counts of disjoint discs are independent and Poisson: drawing them is
    drawing the field.
    """
    expected: list[np.ndarray] = []
    null: list[np.ndarray] = []
    for view in views:
        signal, background = plan.expect(view, source)
        for out, mean, n, stream in (
            (expected, signal + background, n_seeds, "seeds"), (null, background, n_null, "null")
        ):  # fmt: skip
            n_on = rng[stream].poisson(mean, (n, len(mean)))
            n_off = rng[stream].poisson(background / view.alpha, (n, len(mean)))
            out.append(view.measure(n_on, n_off))
    return np.array(expected), np.array(null)
