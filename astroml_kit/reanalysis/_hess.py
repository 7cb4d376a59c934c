"""The blind reanalysis of real DL3 events: read, train on other fields, select, count, compare."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from tqdm import tqdm

from ..cherenkov import (
    EventDataWarning,
    IRFs,
    NoOffRegionError,
    Observations,
    read_known_sources,
    read_observations,
)
from ..cherenkov.cells import TargetRun, select_target
from ..cherenkov.off_library import OffLibrary, collect_off
from ..datasets import fetch_dataset, list_files
from ..models import BDTClassifier
from ..significance import compare_selections
from ._result import Reanalysis
from ._scores import (
    HYPOTHESES,
    Hypothesis,
    draw_training,
    score_run,
    train_score,
)
from ._target import TargetAnalysis

# Positions that the published figures were made with.
TARGETS = {
    "crab": (83.633083, 22.0145),
    "msh 15-52": (228.5290, -59.1575),
    "cen a": (201.365063, -43.019112),
}
MAX_OFFSET = 2.0 * u.deg  # the responses end at 2.5 deg, the ON disc has a radius of 0.2 deg
SAME_SOURCE = 0.2 * u.deg


@dataclass(frozen=True, eq=False)
class Archive:
    """Runs of an archive with what every blind analysis of one of its fields needs.

    Parameters
    ----------
    observations : Observations
        The runs.
    library : OffLibrary
        Background events of all of them, clear of sources.
    irfs : dict
        Responses of each run.
    sources : QTable
        Known sources: ``name``, ``position``, ``exclusion_radius``.
    """

    observations: Observations
    library: OffLibrary
    irfs: dict[int, IRFs]
    sources: QTable

    @classmethod
    def read(cls, observations: Observations, *, progress: bool = False) -> Archive:
        """Read the background events and responses of every run."""
        sources = read_known_sources()
        exclusions = [(sources["position"], sources["exclusion_radius"])]
        irfs = {}

        def iterate() -> Iterable[Any]:
            bar = tqdm(observations, "reading runs", disable=not progress, unit="run")
            for observation in bar:
                irfs[observation.obs_id] = observation.read_irfs()
                yield observation

        return cls(observations, collect_off(iterate(), exclusions=exclusions), irfs, sources)

    def list_exclusions(self, target: SkyCoord) -> list[tuple[SkyCoord, u.Quantity]]:
        """Circles around known sources other than the target."""
        other = self.sources["position"].separation(target) > SAME_SOURCE
        return [(self.sources["position"][other], self.sources["exclusion_radius"][other])]

    def select(
        self, target: SkyCoord, *, extra: Sequence[tuple[SkyCoord, u.Quantity]] = ()
    ) -> tuple[list[TargetRun], list[str]]:
        """Events of every run around a target, and why runs near it were dropped."""
        runs, dropped = [], []
        gradient = self.library.leave_out(target).gradient
        exclusions = [*self.list_exclusions(target), *extra]
        for observation in self.observations.select(target, radius=MAX_OFFSET):
            try:
                run = select_target(observation, target, exclusions=exclusions, gradient=gradient)
                runs.append(run)
            except NoOffRegionError as error:
                dropped.append(f"run {observation.obs_id}: {error}")
        return runs, dropped

    def train(
        self,
        target: SkyCoord,
        *,
        hypotheses: tuple[Hypothesis, ...] = HYPOTHESES,
        seed: int = 0,
        n_workers: int = 1,
        progress: bool = False,
    ) -> dict[Hypothesis, BDTClassifier]:
        """Fit a score for each hypothesis on fields at least 4 deg away from the target."""
        library = self.library.leave_out(target)
        samples = draw_training(
            library, self.irfs, hypotheses, rng=np.random.default_rng([seed, 1])
        )
        jobs = [(X, y, seed) for X, y in samples]
        bar = {"desc": "training scores", "total": len(jobs), "disable": not progress}
        if n_workers > 1:
            with ProcessPoolExecutor(min(n_workers, len(jobs))) as pool:
                models = list(tqdm(pool.map(_train, jobs), **bar))
        else:
            models = list(tqdm(map(_train, jobs), **bar))
        return dict(zip(hypotheses, models, strict=True))

    def analyse(
        self, target: SkyCoord, runs: list[TargetRun], models: dict[Hypothesis, BDTClassifier]
    ) -> TargetAnalysis:
        """Score the runs around one target and bin them."""
        library = self.library.leave_out(target)
        scored = [score_run(run, self.irfs[run.obs_id], models, library=library) for run in runs]
        return TargetAnalysis.bin(scored)


def _train(job: tuple[np.ndarray, np.ndarray, int]) -> BDTClassifier:
    X, y, seed = job
    return train_score(X, y, seed=seed)


def find_target(target: str | SkyCoord, sources: QTable) -> tuple[str, SkyCoord]:
    """Name and position of a target: a known name, coordinates as text, or a SkyCoord."""
    if isinstance(target, SkyCoord):
        return target.to_string("hmsdms", precision=0), target.icrs
    text = " ".join(str(target).split())
    key = text.lower().removesuffix(" nebula")
    if key in TARGETS:
        return text, SkyCoord(*TARGETS[key], unit="deg")
    names = {str(name).lower(): i for i, name in enumerate(sources["name"])}
    if text.lower() in names:
        return text, sources["position"][names[text.lower()]]
    try:
        unit = (u.hourangle, u.deg) if any(c in text for c in "hms:") else (u.deg, u.deg)
        return text, SkyCoord(text, unit=unit)
    except ValueError as error:
        near = [name for name in sources["name"] if text.lower()[:3] in str(name).lower()][:8]
        raise ValueError(
            f"target must be a position or the name of a TeV source, got {text!r}. "
            f"Write '228.529 -59.1575' (deg) or '15h14m07s -59d09m27s'; like names: {near}."
        ) from error


def reanalyse_hess(
    folder: str | os.PathLike[str] | None = None,
    *,
    target: str | SkyCoord = "MSH 15-52",
    seed: int = 0,
    n_workers: int = 1,
    progress: bool = True,
    n_bootstrap: int = 500,
) -> Reanalysis:
    """Reanalyse one target of the H.E.S.S. public data, blind, beside its fair baselines.

    The score is trained on photons drawn from the runs' own responses and on background of
    fields at least 4 deg away. The hypothesis, and the box, are chosen on the other half of the
    runs than the one they are applied to.

    Parameters
    ----------
    folder : path, optional
        Folder with DL3 files; default: the data set ``hess-dl3-dr1``.
    target : str or SkyCoord
        Name of a TeV source, coordinates as text, or a position.
    seed : int
        Seed of everything random; same seed, same numbers, whatever ``n_workers``.
    n_workers : int
        Processes for training.
    progress : bool
        Show progress bars.
    n_bootstrap : int
        Resamplings of the runs for the interval of the gain.

    Returns
    -------
    Reanalysis

    Raises
    ------
    NoOffRegionError
        When no run near the target has OFF rotations.
    """
    place = fetch_dataset("hess-dl3-dr1") if folder is None else folder
    with warnings.catch_warnings():  # the missing runs are reported among the notes instead
        warnings.simplefilter("ignore", EventDataWarning)
        observations = read_observations(Path(place))
    sources = read_known_sources()
    name, position = find_target(target, sources)
    near = observations.select(position, radius=MAX_OFFSET)
    if not len(near):
        closest = observations.pointings.separation(position).min()
        raise ValueError(
            f"target must lie within {MAX_OFFSET} of a run, got {name}, {closest:.2f} from the "
            f"nearest one. Fields: {sorted(set(observations.table['target'].tolist()))}."
        )
    archive = Archive.read(observations, progress=progress)
    runs, dropped = archive.select(position)
    if not runs:
        raise NoOffRegionError(f"no run around {name} has OFF rotations: {'; '.join(dropped)}")
    models = archive.train(position, seed=seed, n_workers=n_workers, progress=progress)
    analysis = archive.analyse(position, runs, models)
    table = analysis.make_table(seed=seed)
    halves = analysis.learned_halves
    gain = compare_selections(
        analysis.resample_box,
        analysis.resample_likelihood,
        n_runs=len(runs),
        n_bootstrap=n_bootstrap,
        rng=np.random.default_rng([seed, 2]),
    )
    found = table["significance"][-1] > 5
    sources_found = QTable(
        {
            "name": np.array([name] if found else [], dtype=str),
            "ra": [position.ra.deg] * u.deg if found else [] * u.deg,
            "dec": [position.dec.deg] * u.deg if found else [] * u.deg,
            "significance": np.array([table["significance"][-1]] if found else [], dtype=float),
        }
    )
    hours = sum(run.live_time for run in runs) / 3600
    notes = [
        f"{len(runs)} runs, {hours:.1f} h live; score trained on {len(models)} hypotheses, "
        f"fields within 4 deg left out",
        f"{len(observations.missing)} runs of the index are absent: {list(observations.missing)}",
        "the gain compares the likelihood with the cross-fitted box, the best fair baseline, both "
        "nominal; DL3 events carry no image shapes, so plain cells of E and theta do as well",
        f"{archive.library.leave_out(position).gradient}, measured on other fields",
        "significances are one-sided; hypothesis and box come from the other half of the runs "
        "and cost no trials"
        if len(halves) > 1
        else "one run: hypothesis fixed beforehand",
        *dropped,
    ]
    listing = list_files("hess-dl3-dr1") if folder is None else None
    checksums = {row["file"]: row["sha256"] for row in listing if row["present"]} if listing else {}
    return Reanalysis(
        name="hess-dl3-dr1",
        target=name,
        gain=gain,
        table=table,
        sources=sources_found,
        settings={"target": name, "ra": position.ra.deg, "dec": position.dec.deg, "seed": seed},
        checksums=checksums,
        notes=tuple(notes),
        curves=analysis.make_curves(),
    )
