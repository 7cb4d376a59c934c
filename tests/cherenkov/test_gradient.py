from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.table import QTable
from astropy.time import Time

from astroml_kit.cherenkov._rings import to_unit_vectors
from astroml_kit.cherenkov.cells import select_target
from astroml_kit.cherenkov.gradient import (
    ZenithGradient,
    find_zenith_axis,
    fit_gradient,
    measure_height,
)
from astroml_kit.cherenkov.off_library import collect_off

SITE = {"GEOLON": 16.5002, "GEOLAT": -23.2718}
TIME = Time("2004-12-04T22:20:00", scale="utc")
ZENITH_ANGLE = 45.0


def place_pointing():
    """A position at 45 deg zenith angle when the run is taken."""
    site = EarthLocation(lon=SITE["GEOLON"] * u.deg, lat=SITE["GEOLAT"] * u.deg)
    frame = AltAz(obstime=TIME, location=site)
    return SkyCoord(az=30 * u.deg, alt=(90 - ZENITH_ANGLE) * u.deg, frame=frame).icrs


def make_run(rng, *, slope, n_events=20_000, obs_id=1):
    """Background whose rate grows by ``slope`` per degree toward the zenith, all energies alike."""
    pointing = place_pointing()
    away = 1.5 * np.sqrt(rng.random(4 * n_events)) * u.deg
    sky = pointing.directional_offset_by(rng.uniform(0, 360, 4 * n_events) * u.deg, away)
    meta = {**SITE, "RA_OBJ": pointing.ra.deg, "DEC_OBJ": pointing.dec.deg}
    run = SimpleNamespace(
        obs_id=obs_id,
        pointing=pointing,
        live_time=1600 * u.s,
        zenith=ZENITH_ANGLE * u.deg,
        muon_efficiency=1.0,
        events=QTable({"time": Time(np.full(3, TIME.mjd), format="mjd", scale="utc")}, meta=meta),
    )
    vectors = to_unit_vectors(sky.ra.deg, sky.dec.deg)
    height = measure_height(vectors, pointing, find_zenith_axis(run))
    kept = rng.random(len(height)) < np.exp(slope * height) / np.exp(abs(slope) * 1.5)
    energy = 0.2 * (1 - rng.random(kept.sum())) ** (-1 / 1.7)
    run.events = QTable(
        {
            "time": Time(np.full(kept.sum(), TIME.mjd), format="mjd", scale="utc"),
            "reco_ra": sky.ra[kept],
            "reco_dec": sky.dec[kept],
            "reco_energy": energy * u.TeV,
        },
        meta=meta,
    )
    return run


def test_the_zenith_is_where_astropy_puts_it():
    run = make_run(np.random.default_rng(1), slope=0, n_events=10)
    zenith = find_zenith_axis(run)
    pointing = to_unit_vectors(run.pointing.ra.deg, run.pointing.dec.deg)
    angle = np.degrees(np.arccos(zenith @ pointing))
    assert angle == pytest.approx(ZENITH_ANGLE, abs=0.35)  # aberration, precession since 2000
    higher = run.pointing.directional_offset_by(
        run.pointing.position_angle(SkyCoord(*_to_degrees(zenith), unit="deg")), 0.5 * u.deg
    )
    vector = to_unit_vectors(higher.ra.deg, higher.dec.deg)
    assert measure_height(vector[None], run.pointing, zenith)[0] == pytest.approx(0.5, abs=1e-4)


def _to_degrees(vector):
    return np.degrees([np.arctan2(vector[1], vector[0]), np.arcsin(vector[2])])


@pytest.mark.parametrize("slope", [0.0, 0.3, -0.2])
def test_the_gradient_of_the_background_is_measured(slope):
    rng = np.random.default_rng(2)
    gradient = collect_off([make_run(rng, slope=slope)]).gradient
    weight = 1 / gradient.error**2
    mean = np.average(gradient.slope, weights=weight)  # tan(45 deg) = 1
    assert mean == pytest.approx(slope, abs=4 / np.sqrt(weight.sum()))
    pulls = (gradient.slope - slope) / gradient.error
    assert np.abs(pulls).max() < 4


def test_holes_around_sources_do_not_make_a_gradient():
    run = make_run(np.random.default_rng(3), slope=0.0)
    zenith = SkyCoord(*_to_degrees(find_zenith_axis(run)), unit="deg")
    hole = run.pointing.directional_offset_by(run.pointing.position_angle(zenith), 0.6 * u.deg)
    gradient = collect_off([run], exclusions=[(hole, 0.4 * u.deg)]).gradient
    weight = 1 / gradient.error**2
    assert abs(np.average(gradient.slope, weights=weight)) < 4 / np.sqrt(weight.sum())


def test_correction_brings_off_to_on():
    """With a strong gradient the ON disc nearest the zenith has more background than the ring."""
    rng = np.random.default_rng(4)
    runs = [make_run(rng, slope=0.4, obs_id=i) for i in range(6)]
    zenith = SkyCoord(*_to_degrees(find_zenith_axis(runs[0])), unit="deg")
    angle = runs[0].pointing.position_angle(zenith)
    target = runs[0].pointing.directional_offset_by(angle, 0.7 * u.deg)
    gradient = collect_off(runs[:3]).gradient
    on = plain = corrected = 0.0
    for run in runs[3:]:
        on += len(select_target(run, target).on_energy)
        plain += select_target(run, target).background
        corrected += select_target(run, target, gradient=gradient).background
    assert (on - plain) / np.sqrt(on) > 4
    assert (on - corrected) / np.sqrt(on) == pytest.approx(0, abs=2.5)


def test_without_site_or_time_nothing_is_corrected():
    rng = np.random.default_rng(5)
    run = make_run(rng, slope=0.4, n_events=3000)
    for name in SITE:
        del run.events.meta[name]
    assert find_zenith_axis(run) is None
    gradient = fit_gradient(collect_off([run]).runs)
    assert np.all(gradient.slope == 0)
    target = run.pointing.directional_offset_by(0 * u.deg, 0.7 * u.deg)
    strong = ZenithGradient(np.full(11, 0.5), np.full(11, 0.1))
    assert np.all(select_target(run, target, gradient=strong).off_weight == 1)
    assert "at threshold" in str(strong)
