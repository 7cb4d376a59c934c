"""Sky maps of the Cen A-style field: standard cuts, and the likelihood over slices of the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from ..cherenkov import find_sources, map_likelihood, map_significance, search_likelihood
from ..cherenkov.selection import STANDARD_CUTS
from ..cherenkov.simulation import Source
from ..cherenkov.simulation.field import MOST_OFFSET, find_positions
from ._cen_a_cells import get_misses, group_cells
from ._cen_a_choices import LIKELIHOOD, apply

STANDARD, LEARNED = "standard cuts", "score likelihood"
WIDTH, PIXEL = 4.6 * u.deg, 0.04 * u.deg
RADII = np.array([0.06, 0.1, 0.16]) * u.deg
N_SLICES = 5
MOST_RHO = 2.4  # deg, of events from the pointing


class MapRun(NamedTuple):
    """What a sky map asks of a run."""

    obs_id: int
    pointing: SkyCoord
    live_time: u.Quantity
    zenith: u.Quantity
    events: QTable


def make_maps(
    plan: Any, main: Source, chosen: Sequence[Any], runs: Sequence[Any], rng: np.random.Generator
) -> tuple[dict[str, Any], dict[str, QTable]]:
    """Maps and what a blind search finds in them: before learning, and after."""
    passed = apply(plan.test, STANDARD_CUTS["std"].select)
    (selected,) = place_events(
        plan, runs, {name: np.where(mask, 0, -1) for name, mask in passed.items()}, "standard", 1
    )
    before = map_significance(
        selected,
        center=main.position, width=WIDTH, pixel_size=PIXEL, radius=0.1 * u.deg,
        max_offset=MOST_RHO * u.deg,
    )  # fmt: skip
    after = map_scores(plan, main, next(c for c in chosen if c.name == LIKELIHOOD), runs)
    return (
        {STANDARD: before, LEARNED: after},
        {
            STANDARD: find_sources(before, rng=rng, threshold=3.0, n_toys=100),
            LEARNED: search_likelihood(after, rng=rng, threshold=3.0, n_toys=60),
        },
    )


def map_scores(plan: Any, main: Source, chosen: Any, runs: Sequence[Any]) -> Any:
    """Likelihood map over slices of equal predicted signal."""
    slices = slice_rows(plan, main, chosen)
    offsets = np.array([thrown.offset for thrown in plan.train.thrown["gamma"]])
    predicted = predict_slices(plan, main, slices["train"], len(offsets))
    maps = []
    for selected in place_events(plan, runs, slices["test"], "reco", N_SLICES):
        maps.append(
            map_significance(
                selected,
                center=main.position, width=WIDTH, pixel_size=PIXEL, radius=RADII[1],
                max_offset=MOST_RHO * u.deg, threshold=None,
                # the source that was pointed at is known; nothing else is
                exclude=[(main.position, 0.3 * u.deg)],
            )
        )  # fmt: skip
    signal = np.zeros((N_SLICES, len(RADII), *maps[0].shape))
    for pointing, live_time in zip(plan.pointings, plan.live_times, strict=True):
        offset = pointing.separation(maps[0].coordinates).deg
        for k in range(N_SLICES):
            for ring in range(len(RADII)):
                values = np.interp(offset, offsets, predicted[:, k, ring])
                signal[k, ring] += np.where(offset < MOST_OFFSET, values, 0.0) * live_time
    return map_likelihood(maps, signal=signal, radii=RADII)


def slice_rows(plan: Any, main: Source, chosen: Any) -> dict[str, dict[str, np.ndarray]]:
    """Slice of each event of both halves by its cell of score and energy; -1 for none."""
    rows = chosen.rows
    rate = plan.train.find_gamma_rates(norm=main.norm, index=main.index)
    n_rows = len(chosen.cells.group)
    keep = (rows["train"]["gammas"] >= 0) & (get_misses(plan.train, "reco") < 0.1**2)
    signal = np.bincount(rows["train"]["gammas"][keep], rate[keep], n_rows)
    seen = rows["train"]["background"] >= 0
    background = np.bincount(
        rows["train"]["background"][seen], plan.train.background["rate"][seen], n_rows
    )
    group = np.append(group_cells(signal[:, None], background[:, None], N_SLICES)[:, 0], -1)
    return {
        half: {name: group[values] for name, values in parts.items()}
        for half, parts in rows.items()
    }


def predict_slices(
    plan: Any, main: Source, slices: dict[str, np.ndarray], n_offsets: int
) -> np.ndarray:
    """Rate [1/s] of a source at each offset, shape (n_offsets, n_slices, n_rings)."""
    rate = plan.train.find_gamma_rates(norm=main.norm, index=main.index)
    edges = np.append(0.0, RADII.to_value("deg") ** 2)
    ring = np.searchsorted(edges, get_misses(plan.train, "reco"), side="right") - 1
    keep = (slices["gammas"] >= 0) & (ring < len(RADII))
    cell = np.ravel_multi_index(
        (plan.train.gammas["set"][keep].astype(int), slices["gammas"][keep], ring[keep]),
        (n_offsets, N_SLICES, len(RADII)),
    )
    flat = np.bincount(cell, rate[keep], n_offsets * N_SLICES * len(RADII))
    return flat.reshape(n_offsets, N_SLICES, len(RADII))


def place_events(
    plan: Any, runs: Sequence[Any], slices: dict[str, np.ndarray], direction: str, n_slices: int
) -> list[list[MapRun]]:
    """Events of each run on the sky, by slice; -1 is left out."""
    placed: list[list[MapRun]] = [[] for _ in range(n_slices)]
    zenith = plan.test.settings["zenith"] * u.deg
    for number, run in enumerate(runs):
        pointing = plan.pointings[number % len(plan.pointings)]
        found = np.concatenate([
            slices["gammas"][run.row[: run.n_gammas]],
            slices["background"][run.row[run.n_gammas :]],
        ])  # fmt: skip
        chosen = np.flatnonzero(found >= 0)
        lon, lat = run.get_directions(direction)
        position = find_positions(pointing, lon[chosen], lat[chosen])
        ra, dec = position.ra, position.dec
        for slice_number, of_slice in enumerate(placed):
            keep = found[chosen] == slice_number
            events = QTable({"reco_ra": ra[keep], "reco_dec": dec[keep]})
            events["reco_energy"] = np.ones(len(events)) * u.TeV
            live_time = plan.seconds / len(runs) * u.s
            of_slice.append(MapRun(number + 1, pointing, live_time, zenith, events))
    return placed
