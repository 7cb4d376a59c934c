"""The same runs through gammapy's ring background and estimator, and the FITS file read by it."""

import logging
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from astroml_kit.cherenkov import map_significance, read_observations

pytest.importorskip("gammapy", reason="compares with gammapy: pip install 'astroml_kit[gamma]'")

MSH_15_52 = SkyCoord(228.529, -59.1575, unit="deg")
# 0.04 deg is twice what the benchmark takes: gammapy needs a second a run there
PIXEL, SIZE, ENERGIES = 0.04, 125, (0.5, 30.0)


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def import_gammapy():
    import gammapy.data
    import gammapy.datasets
    import gammapy.estimators
    import gammapy.makers
    import gammapy.maps

    return gammapy


def map_with_gammapy(folder, obs_ids, allowed):
    """Run the chain of gammapy's ring tutorial; ``allowed`` pixels may be OFF."""
    gammapy = import_gammapy()
    axis = gammapy.maps.MapAxis.from_energy_bounds(*ENERGIES, nbin=8, unit="TeV")
    geom = gammapy.maps.WcsGeom.create(
        skydir=MSH_15_52, binsz=PIXEL, npix=(SIZE, SIZE), proj="TAN", frame="icrs", axes=[axis]
    )
    mask = gammapy.maps.Map.from_geom(geom.to_image(), data=allowed)
    empty = gammapy.datasets.MapDataset.create(geom, name="empty")
    stacked = gammapy.datasets.MapDatasetOnOff.create(geom.squash("energy"), name="stacked")
    maker = gammapy.makers.MapDatasetMaker(selection=["counts", "background"])
    safe = gammapy.makers.SafeMaskMaker(methods=["offset-max"], offset_max=2.5 * u.deg)
    ring = gammapy.makers.RingBackgroundMaker(
        r_in=0.5 * u.deg, width=0.3 * u.deg, exclusion_mask=mask
    )
    store = gammapy.data.DataStore.from_dir(folder)
    for run in store.get_observations(obs_ids, required_irf=[]):
        dataset = safe.run(maker.run(empty.copy(), run), run).to_image()
        stacked.stack(ring.run(dataset))
    # correlated OFF counts would be counted once for every pixel of the disc
    estimator = gammapy.estimators.ExcessMapEstimator(
        0.1 * u.deg, correlate_off=False, selection_optional=["alpha"]
    )
    return estimator.run(stacked)


@pytest.mark.data
def test_ring_agrees_with_gammapy_on_msh_15_52(data_folder):
    folder = data_folder("hess-dl3-dr1")
    runs = read_observations(folder).select(MSH_15_52, radius=2 * u.deg)
    assert len(runs) == 20
    ours = map_significance(
        runs,
        center=MSH_15_52,
        width=SIZE * PIXEL * u.deg,
        pixel_size=PIXEL * u.deg,
        acceptance="irf",
        exclude=[(MSH_15_52, 0.4 * u.deg)],
        threshold=None,
        energy_min=ENERGIES[0] * u.TeV,
        energy_max=ENERGIES[1] * u.TeV,
    )
    peer = map_with_gammapy(folder, [int(k) for k in runs.obs_ids], ~ours.exclusion)
    theirs = peer["sqrt_ts"].data[0]
    both = np.isfinite(theirs) & np.isfinite(ours.significance)
    assert both.sum() > 0.8 * both.size
    assert np.nanmax(ours.significance) == pytest.approx(np.nanmax(theirs), abs=0.3)
    assert np.nanargmax(ours.significance) == np.nanargmax(theirs)
    assert np.corrcoef(theirs[both], ours.significance[both])[0, 1] > 0.99
    # gammapy cuts offsets by pixel and knows no events beyond the map: well inside counts are equal
    inner = np.s_[35:-35, 35:-35]
    np.testing.assert_array_equal(ours.n_on[inner], peer["counts"].data[0][inner])
    np.testing.assert_allclose(ours.alpha[inner], peer["alpha"].data[0][inner], rtol=0.05)
    # what the runs themselves tell of their acceptance gives nearly the same source
    measured = map_significance(runs, center=MSH_15_52, energy_min=ENERGIES[0] * u.TeV)
    assert measured.peak[0] == pytest.approx(ours.peak[0], abs=0.8)
    assert measured.peak[1].separation(MSH_15_52) < 0.05 * u.deg


def test_gammapy_opens_the_file(tmp_path):
    from types import SimpleNamespace

    from astropy.table import QTable

    gammapy = import_gammapy()
    rng = np.random.default_rng(1)
    events = QTable(
        {
            "reco_ra": MSH_15_52.ra + rng.normal(0, 1, 3000) * u.deg,
            "reco_dec": MSH_15_52.dec + rng.normal(0, 1, 3000) * u.deg,
        }
    )
    run = SimpleNamespace(
        obs_id=1, pointing=MSH_15_52, live_time=28 * u.min, zenith=30 * u.deg, events=events
    )
    ours = map_significance(
        [run], width=(1.2 * u.deg, 1 * u.deg), exclude=[(MSH_15_52, 0.2 * u.deg)]
    )
    path = ours.write(tmp_path / "map.fits")
    first = gammapy.maps.Map.read(path)
    np.testing.assert_allclose(first.data, ours.significance, rtol=1e-6)
    for name in ("EXCESS", "N_ON", "ALPHA", "SIGNIFICANCE_OUTSIDE", "EXCLUSION"):
        image = gammapy.maps.Map.read(path, hdu=name)
        np.testing.assert_allclose(image.data, getattr(ours, name.lower()), rtol=1e-6)
    sky = first.geom.get_coord().skycoord.icrs
    assert sky.separation(ours.coordinates).max() < 1e-6 * u.deg
