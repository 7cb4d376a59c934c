"""The same runs through gammapy and through us: n_on equal, excess and significance close."""

import logging
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from astroml_kit.cherenkov import count_on_off, find_reflected_regions, read_observations

pytest.importorskip("gammapy", reason="compares with gammapy: pip install 'astroml_kit[gamma]'")

RADIUS, EXCLUDED = 0.11 * u.deg, 0.35 * u.deg
CRAB = (SkyCoord(83.633083, 22.0145, unit="deg"), (23523, 23526, 23559, 23592))
# Five of the twenty runs: test_on_off.py holds gammapy's figures for all of them.
MSH_15_52 = (SkyCoord(228.5290, -59.1575, unit="deg"), (20136, 20137, 20283, 20323, 20368))
ENERGIES = {"A": (0.1, 100), "B": (0.66, 30)}


def import_gammapy():
    """Import what is used, without the warnings of its own dependencies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import gammapy.data
        import gammapy.datasets
        import gammapy.makers
        import gammapy.maps
        import regions
    return gammapy, regions


def count_with_gammapy(folder, target, obs_ids, *, energies, safe):
    """Return one (n_on, n_off, n_regions) per run and the stacked info of gammapy's chain."""
    gammapy, regions = import_gammapy()
    axis = gammapy.maps.MapAxis.from_energy_bounds(*energies, nbin=10, unit="TeV")
    true = gammapy.maps.MapAxis.from_energy_bounds(0.05, 120, 40, unit="TeV", name="energy_true")
    circle = regions.CircleSkyRegion(target, RADIUS)
    geometry = gammapy.maps.RegionGeom.create(circle, axes=[axis])
    field = gammapy.maps.WcsGeom.create(skydir=target, binsz=0.02, width=5, proj="TAN")
    mask = field.region_mask([regions.CircleSkyRegion(target, EXCLUDED)], inside=False)
    empty = gammapy.datasets.SpectrumDataset.create(geom=geometry, energy_axis_true=true)
    selection = ["counts", "exposure"] if safe else ["counts"]
    spectra = gammapy.makers.SpectrumDatasetMaker(selection=selection)
    background = gammapy.makers.ReflectedRegionsBackgroundMaker(exclusion_mask=mask)
    safe_range = gammapy.makers.SafeMaskMaker(methods=["aeff-max"], aeff_percent=10)
    store = gammapy.data.DataStore.from_dir(folder)
    rows, datasets = [], gammapy.datasets.Datasets()
    for run in store.get_observations(obs_ids, required_irf=["aeff"]):
        dataset = background.run(spectra.run(empty.copy(name=str(run.obs_id)), run), run)
        if safe:
            dataset = safe_range.run(dataset, run)
        info = dataset.info_dict()
        n_regions = int(dataset.acceptance_off.data.max())
        rows.append((int(info["counts"]), int(info["counts_off"]), n_regions))
        datasets.append(dataset)
    return np.array(rows), datasets.stack_reduce().info_dict()


@pytest.fixture(scope="module")
def hess():
    root = os.environ.get("ASTROML_KIT_DATA")
    if not root or not (Path(root) / "hess-dl3-dr1").is_dir():
        pytest.skip("needs hess-dl3-dr1: set ASTROML_KIT_DATA to the folder that holds it")
    return Path(root) / "hess-dl3-dr1"


@pytest.mark.data
@pytest.mark.parametrize("configuration", ["A", "B"])
@pytest.mark.parametrize("field", [CRAB, MSH_15_52], ids=["crab", "msh-15-52"])
def test_counts_agree_run_by_run(hess, field, configuration):
    target, obs_ids = field
    low, high = ENERGIES[configuration]
    safe = configuration == "B"
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows, peer = count_with_gammapy(hess, target, obs_ids, energies=(low, high), safe=safe)
    finally:
        logging.disable(logging.NOTSET)
    ours = count_on_off(
        read_observations(hess, obs_ids=obs_ids),
        target,
        radius=RADIUS,
        exclusions=[(target, EXCLUDED)],
        energy_min=low * u.TeV,
        energy_max=high * u.TeV,
        threshold="aeff-max" if safe else "none",
        placement="stepped",
    )
    np.testing.assert_array_equal(ours.table["n_on"], rows[:, 0])
    # gammapy measures the width of a region on 0.01 deg pixels, so that it may fit one more
    np.testing.assert_allclose(ours.table["n_regions"], rows[:, 2], atol=1)
    assert ours.counts.excess == pytest.approx(float(peer["excess"]), rel=0.03)
    assert ours.counts.significance == pytest.approx(float(peer["sqrt_ts"]), abs=0.5)


def test_stepped_regions_lie_where_gammapy_puts_them():
    gammapy, regions = import_gammapy()
    pointing = SkyCoord(83.633083, 21.3145, unit="deg")
    target = SkyCoord(83.633083, 22.0145, unit="deg")
    finder = gammapy.makers.ReflectedRegionsFinder(max_region_number=3, binsz="0.001 deg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer, _ = finder.run(region=regions.CircleSkyRegion(target, RADIUS), center=pointing)
    ours = find_reflected_regions(
        pointing, target, radius=RADIUS, placement="stepped", max_regions=3
    )
    # one pixel of its map; the direction of rotation and the first gap are the same
    for centre, region in zip(ours.centres, peer, strict=True):
        assert centre.separation(region.center) < 3 * 0.001 * u.deg
