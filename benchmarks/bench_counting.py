"""ON/OFF counting of all H.E.S.S. DL3 DR1 runs against gammapy's reflected-regions chain."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from harness import Comparison, compare, find_data, import_peer, main

from astroml_kit.cherenkov import count_on_off, read_observations

RADIUS = 0.11 * u.deg
ENERGY_MIN, ENERGY_MAX = 0.1 * u.TeV, 100 * u.TeV
# gammapy takes seconds per call, so that a few pairs already tell.
MOST_REPEATS = 3


def get_targets(table: QTable) -> SkyCoord:
    """Return the position that each run was meant for.

    The index has 32-bit floats, with which gammapy's own region loses 1e-5 deg and a few events.
    """
    ra, dec = (table[name].to_value("deg").astype(float) for name in ("ra_obj", "dec_obj"))
    return SkyCoord(ra, dec, unit="deg", frame="icrs")


def count_ours(folder: Path) -> np.ndarray:
    """Read and count every run with us: rows (obs_id, n_on, n_off, alpha)."""
    runs = read_observations(folder)
    targets = get_targets(runs.table)
    result = count_on_off(
        runs,
        targets,
        radius=RADIUS,
        energy_min=ENERGY_MIN,
        energy_max=ENERGY_MAX,
        placement="stepped",
    )
    columns = ("obs_id", "n_on", "n_off", "alpha")
    return np.column_stack([np.asarray(result.table[name], float) for name in columns])


def make_peer(folder: Path, obs_ids: list[int], targets: SkyCoord) -> Callable:
    """Return a function that reads and counts every run with gammapy: the same rows."""
    data, datasets = import_peer("gammapy.data"), import_peer("gammapy.datasets")
    makers, maps = import_peer("gammapy.makers"), import_peer("gammapy.maps")
    regions = import_peer("regions")
    energy = maps.MapAxis.from_energy_bounds(ENERGY_MIN, ENERGY_MAX, nbin=10)
    true = maps.MapAxis.from_energy_bounds("0.05 TeV", "120 TeV", nbin=40, name="energy_true")

    def count() -> np.ndarray:
        store = data.DataStore.from_dir(folder)
        maker = makers.SpectrumDatasetMaker(selection=["counts"])
        background = makers.ReflectedRegionsBackgroundMaker()
        rows = []
        for obs_id, target in zip(obs_ids, targets, strict=True):
            run = store.obs(obs_id, required_irf=[])
            circle = regions.CircleSkyRegion(target, RADIUS)
            geometry = maps.RegionGeom.create(circle, axes=[energy])
            empty = datasets.SpectrumDataset.create(geom=geometry, energy_axis_true=true)
            dataset = background.run(maker.run(empty, run), run)
            if dataset.counts_off is None:  # info_dict() fails on a run without OFF regions
                continue
            info = dataset.info_dict()
            rows.append((obs_id, info["counts"], info["counts_off"], info["alpha"]))
        return np.array(rows, float)

    return count


def measure_difference(ours: np.ndarray, peer: np.ndarray) -> float:
    """Return the largest difference in n_on, or infinity where other runs were counted."""
    if not np.array_equal(ours[:, 0], peer[:, 0]):
        return float("inf")
    return float(np.abs(ours[:, 1] - peer[:, 1]).max())


def run(*, repeats: int = MOST_REPEATS) -> list[Comparison]:
    """Compare on reading and counting every run, without the exclusion mask that slows gammapy."""
    folder = find_data("hess-dl3-dr1")
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = read_observations(folder).table
            obs_ids = table["obs_id"].tolist()
            row = compare(
                f"read and count {len(obs_ids)} H.E.S.S. runs",
                lambda: count_ours(folder),
                make_peer(folder, obs_ids, get_targets(table)),
                peer_name="gammapy",
                tolerance=0,
                difference=measure_difference,
                repeats=min(repeats, MOST_REPEATS),
            )
    finally:
        logging.disable(logging.NOTSET)
    return [row]


if __name__ == "__main__":
    main(run)
