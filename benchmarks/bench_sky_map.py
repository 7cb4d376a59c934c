"""A ring-background map of the 20 H.E.S.S. runs on MSH 15-52 against gammapy's chain."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from harness import Comparison, compare, find_data, import_peer, main

from astroml_kit.cherenkov import map_significance, read_observations

MSH_15_52 = SkyCoord(228.529, -59.1575, unit="deg")
PIXEL, SIZE = 0.02, 250
RADIUS, RING = 0.1 * u.deg, (0.5 * u.deg, 0.3 * u.deg)
EXCLUDED = 0.4 * u.deg
ENERGY_MIN, ENERGY_MAX = 0.5 * u.TeV, 30 * u.TeV
MAX_OFFSET = 2.5 * u.deg
# gammapy takes half a minute per call.
MOST_REPEATS = 3


def map_ours(folder: Path) -> np.ndarray:
    """Read the runs and map them with us: the significance."""
    runs = read_observations(folder).select(MSH_15_52, radius=2 * u.deg)
    result = map_significance(
        runs,
        center=MSH_15_52,
        width=SIZE * PIXEL * u.deg,
        pixel_size=PIXEL * u.deg,
        radius=RADIUS,
        ring_inner=RING[0],
        ring_width=RING[1],
        acceptance="irf",
        exclude=[(MSH_15_52, EXCLUDED)],
        threshold=None,
        max_offset=MAX_OFFSET,
        energy_min=ENERGY_MIN,
        energy_max=ENERGY_MAX,
    )
    return result.significance


def make_peer(folder: Path, obs_ids: list[int]) -> Callable[[], np.ndarray]:
    """Return a function that does the same with gammapy: dataset, ring and stack by run."""
    data, datasets = import_peer("gammapy.data"), import_peer("gammapy.datasets")
    makers, maps = import_peer("gammapy.makers"), import_peer("gammapy.maps")
    estimators, regions = import_peer("gammapy.estimators"), import_peer("regions")

    def map_peer() -> np.ndarray:
        axis = maps.MapAxis.from_energy_bounds(ENERGY_MIN, ENERGY_MAX, nbin=10)
        geom = maps.WcsGeom.create(
            skydir=MSH_15_52, binsz=PIXEL, npix=(SIZE, SIZE), proj="TAN", frame="icrs", axes=[axis]
        )
        circle = regions.CircleSkyRegion(MSH_15_52, EXCLUDED)
        mask = geom.to_image().region_mask([circle], inside=False)
        empty = datasets.MapDataset.create(geom, name="empty")
        stacked = datasets.MapDatasetOnOff.create(geom.squash("energy"), name="stacked")
        maker = makers.MapDatasetMaker(selection=["counts", "background"])
        safe = makers.SafeMaskMaker(methods=["offset-max"], offset_max=MAX_OFFSET)
        ring = makers.RingBackgroundMaker(r_in=RING[0], width=RING[1], exclusion_mask=mask)
        store = data.DataStore.from_dir(folder)
        for run in store.get_observations(obs_ids, required_irf=[]):
            dataset = safe.run(maker.run(empty.copy(), run), run).to_image()
            stacked.stack(ring.run(dataset))
        estimator = estimators.ExcessMapEstimator(RADIUS, correlate_off=False)
        return estimator.run(stacked)["sqrt_ts"].data[0]

    return map_peer


def measure_difference(ours: np.ndarray, peer: np.ndarray) -> float:
    """Return the difference of the peaks in sigma, or infinity where the maps correlate badly."""
    both = np.isfinite(ours) & np.isfinite(peer)
    if both.mean() < 0.8 or not np.corrcoef(ours[both], peer[both])[0, 1] > 0.99:
        return float("inf")
    return float(abs(np.nanmax(ours) - np.nanmax(peer)))


def run(*, repeats: int = MOST_REPEATS) -> list[Comparison]:
    """Compare on everything from files to significances, with the responses' background model."""
    folder = find_data("hess-dl3-dr1")
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runs = read_observations(folder).select(MSH_15_52, radius=2 * u.deg)
            obs_ids = [int(number) for number in runs.obs_ids]
            row = compare(
                f"sky map of {len(obs_ids)} H.E.S.S. runs, {SIZE} x {SIZE} pixels",
                lambda: map_ours(folder),
                make_peer(folder, obs_ids),
                peer_name="gammapy",
                tolerance=0.3,
                difference=measure_difference,
                repeats=min(repeats, MOST_REPEATS),
            )
    finally:
        logging.disable(logging.NOTSET)
    return [row]


if __name__ == "__main__":
    main(run)
