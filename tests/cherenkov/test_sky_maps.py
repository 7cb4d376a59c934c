"""Maps of toy fields with known truth: null, sources, exclusions, geometry anywhere on the sky."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable
from astropy.time import Time
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import convolve2d

from astroml_kit.cherenkov import Acceptance, fit_acceptance, map_significance
from astroml_kit.cherenkov._map_grid import KernelSums, make_disc, make_ring
from astroml_kit.cherenkov._map_limits import find_upper_limits
from astroml_kit.significance import OnOffCounts

CENTRE = SkyCoord(201.365, -43.02, unit="deg")


def make_run(
    pointing,
    n_events,
    rng,
    *,
    obs_id=1,
    sources=(),
    sigma=1.1,
    tilt=(0.0, 0.0),
    spread=0.06,
    zenith=25.0,
    meta=None,
):
    """A run whose background is a Gaussian of the offset, tilted by exp(tilt . (east, north))."""
    x, y = rng.normal(0, sigma, (2, 4 * n_events))
    lean = np.clip(tilt[0] * x + tilt[1] * y, None, np.log(4))
    keep = (np.hypot(x, y) < 2.6) & (rng.random(4 * n_events) < 0.25 * np.exp(lean))
    frame = pointing.skyoffset_frame()
    sky = [SkyCoord(x[keep] * u.deg, y[keep] * u.deg, frame=frame).icrs]
    for position, counts in sources:
        n = rng.poisson(counts)
        dx, dy = rng.normal(0, spread, (2, n)) * u.deg
        sky.append(SkyCoord(dx, dy, frame=position.skyoffset_frame()).icrs)
    ra = np.concatenate([part.ra.deg for part in sky])
    dec = np.concatenate([part.dec.deg for part in sky])
    events = QTable(
        {
            "reco_ra": ra * u.deg,
            "reco_dec": dec * u.deg,
            "reco_energy": rng.pareto(1.7, len(ra)) * u.TeV + 0.3 * u.TeV,
        },
        meta=meta or {},
    )
    return SimpleNamespace(
        obs_id=obs_id,
        pointing=pointing,
        live_time=28 * u.min,
        zenith=zenith * u.deg,
        events=events,
    )


def make_field(rng, *, centre=CENTRE, n_runs=8, n_events=8000, wobble=0.5 * u.deg, **kwargs):
    angles = np.arange(n_runs) * 90 * u.deg
    return [
        make_run(centre.directional_offset_by(a, wobble), n_events, rng, obs_id=k, **kwargs)
        for k, a in enumerate(angles)
    ]


@pytest.mark.parametrize("background", ["ring", "reflected"])
def test_empty_fields_are_a_standard_normal(background):
    fits = []
    for seed in range(6):
        field = make_field(np.random.default_rng(100 + seed), n_events=20_000)
        result = map_significance(field, width=4 * u.deg, background=background)
        fits.append((result.null_fit.mean, result.null_fit.width))
    mean, width = np.mean(fits, axis=0)
    assert abs(mean) < 0.1
    assert 0.95 < width < 1.05


def test_a_source_is_found_excluded_and_still_in_the_map():
    rng = np.random.default_rng(2)
    where = CENTRE.directional_offset_by(40 * u.deg, 0.6 * u.deg)
    result = map_significance(make_field(rng, sources=[(where, 60)]), center=CENTRE)
    value, peak = result.peak
    assert value > 8
    assert peak.separation(where) < 0.05 * u.deg
    assert list(result.iterations["n_added"] > 0) == [True] * (len(result.iterations) - 1) + [False]
    nearest = result.coordinates.separation(where).argmin()
    assert result.exclusion.flat[nearest]
    assert np.isnan(result.significance_outside.flat[nearest])
    assert 0.9 < result.null_fit.width < 1.1
    assert "1 excluded regions" in str(result)
    counts = result.get_counts(where)
    assert counts.significance == pytest.approx(result.significance.flat[nearest])
    # 8 runs of 60 events, 75 % of them within 0.1 deg of a Gaussian of 0.06 deg
    assert counts.excess == pytest.approx(480 * 0.751, abs=4 * counts.excess_error)


@pytest.mark.parametrize("background", ["ring", "reflected"])
def test_off_counts_come_from_where_they_may(background):
    """Events in ON and in the exclusion only: no pixel may count one of them as OFF."""
    ring = map_significance(
        [make_run(CENTRE, 3000, np.random.default_rng(3))], center=CENTRE, width=1 * u.deg,
        background=background, threshold=None,
    )  # fmt: skip
    assert np.nanmax(ring.n_off) > 0
    pointing = CENTRE.directional_offset_by(0 * u.deg, 0.7 * u.deg)
    away = CENTRE.directional_offset_by(150 * u.deg, 0.55 * u.deg)
    rng = np.random.default_rng(4)
    lonely = make_run(pointing, 2000, rng)
    sky = SkyCoord(lonely.events["reco_ra"], lonely.events["reco_dec"])
    close = (sky.separation(CENTRE) < 0.1 * u.deg) | (sky.separation(away) < 0.4 * u.deg)
    outside = sky.separation(pointing) > 1.5 * u.deg  # so that the run has a rate
    lonely.events = lonely.events[close | outside]
    acceptance = Acceptance(np.array([0, 1.0, 2.5]), np.array([1.0, 1.0]), 0.0, np.inf, 1, 1)
    result = map_significance(
        [lonely], center=CENTRE, width=0.1 * u.deg, background=background, threshold=None,
        exclude=[(away, 0.4 * u.deg)], acceptance=acceptance,
    )  # fmt: skip
    middle = result.shape[0] // 2
    assert result.n_on[middle, middle] == np.count_nonzero(sky.separation(CENTRE) < 0.1 * u.deg)
    assert result.n_off[middle, middle] == 0
    assert result.alpha[middle, middle] > 0


def test_ring_counts_by_hand():
    """Whole pixels at the map's centre: every event is in ON, in the ring, or in neither."""
    run = make_run(CENTRE, 4000, np.random.default_rng(5))
    result = map_significance([run], center=CENTRE, width=0.02 * u.deg, threshold=None)
    sky = SkyCoord(run.events["reco_ra"], run.events["reco_dec"])
    x, y = result.wcs.world_to_pixel(sky)
    distance = np.hypot(np.round(x), np.round(y)) * 0.02
    inside = sky.separation(CENTRE) < 2.5 * u.deg
    assert result.shape == (1, 1)
    assert result.n_on[0, 0] == np.count_nonzero(distance < 0.1001)
    ring = (distance > 0.4999) & (distance < 0.8001) & inside
    assert result.n_off[0, 0] == np.count_nonzero(ring)


def test_excluded_pixels_are_nan_where_asked_for():
    field = make_field(np.random.default_rng(6), n_events=2000)
    options = {"center": CENTRE, "width": 2 * u.deg, "threshold": None}
    circle = (CENTRE, 0.3 * u.deg)
    shown = map_significance(field, exclude=[circle], **options)
    blank = map_significance(field, exclude=[circle], blank="given", **options)
    inside = shown.coordinates.separation(CENTRE) < 0.3 * u.deg
    assert shown.exclusion[inside].all()
    assert np.isfinite(shown.significance[inside]).all()
    for name in ("significance", "n_on", "n_off", "alpha", "excess", "background"):
        assert np.isnan(getattr(blank, name)[inside]).all(), name
        outside = ~shown.exclusion
        np.testing.assert_array_equal(getattr(blank, name)[outside], getattr(shown, name)[outside])


def test_pixels_without_off_are_nan_and_counted():
    run = make_run(CENTRE, 2000, np.random.default_rng(7))
    result = map_significance(
        [run], center=CENTRE, width=1 * u.deg, threshold=None, exclude=[(CENTRE, 1.4 * u.deg)]
    )
    # the ring reaches 0.8 deg, so that it lies inside the exclusion for the inner pixels
    inner = result.coordinates.separation(CENTRE) < 0.4 * u.deg
    assert np.isnan(result.significance[inner]).all()
    assert f"{np.isnan(result.significance).sum()} of {result.significance.size}" in str(result)
    with pytest.raises(ValueError, match="position must be where the map has ON and OFF counts"):
        result.get_counts(CENTRE)
    with pytest.raises(ValueError, match="position must be inside the map"):
        result.get_counts(SkyCoord(0, 0, unit="deg"))
    near = map_significance([run], center=CENTRE, width=1 * u.deg, background="reflected")
    hole = near.coordinates.separation(CENTRE) < 0.19 * u.deg
    assert np.isnan(near.significance[hole]).all()
    # where no run has seen anything the acceptance is that of the nearest offset, and says so
    assert result.fitted_acceptance.n_filled > 0
    assert near.fitted_acceptance.n_filled == 0


@pytest.mark.parametrize(
    ("ra", "dec"), [(0.05, -30.0), (359.99, 20.0), (40.0, 89.6), (120.0, -89.9), (0.0, 90.0)]
)
def test_every_place_on_the_sky_is_alike(ra, dec):
    centre = SkyCoord(ra, dec, unit="deg")
    where = centre.directional_offset_by(70 * u.deg, 0.5 * u.deg)
    field = make_field(np.random.default_rng(8), centre=centre, sources=[(where, 60)])
    result = map_significance(field, width=2.4 * u.deg, center=centre)
    assert result.peak[1].separation(where) < 0.05 * u.deg
    assert 0.9 < result.null_fit.width < 1.1
    # pixels are where astropy's WCS has them
    rows, columns = np.indices(result.shape)
    sky = result.wcs.pixel_to_world(columns, rows)
    assert sky.icrs.separation(result.coordinates).max() < 1e-6 * u.deg


def find_site_meta(pointing, zenith_angle, azimuth):
    """A site (as in a GADF header) that has its zenith at an angle and azimuth from a pointing."""
    zenith = pointing.directional_offset_by(azimuth * u.deg, zenith_angle * u.deg)
    time = Time("2004-03-26T03:00:00", scale="utc")
    sidereal = time.sidereal_time("mean", "greenwich", "IAU1982").deg
    return {"GEOLON": zenith.ra.deg - sidereal, "GEOLAT": zenith.dec.deg}, time


def test_a_gradient_biases_the_map_unless_it_is_modelled():
    rng, slope, angle = np.random.default_rng(9), 0.5, 45.0
    meta, time = find_site_meta(CENTRE, angle, 30.0)
    tilt = slope * np.tan(np.deg2rad(angle)) * np.array([np.sin(np.pi / 6), np.cos(np.pi / 6)])
    runs = []
    for k in range(4):
        run = make_run(CENTRE, 40_000, rng, obs_id=k, tilt=tilt, zenith=angle, meta=meta, sigma=0.8)
        run.events["time"] = time + np.zeros(len(run.events)) * u.s
        runs.append(run)
    options = {"center": CENTRE, "width": 2.4 * u.deg, "background": "reflected", "threshold": None}
    right = map_significance(runs, **options)
    assert right.fitted_acceptance.slope == pytest.approx(
        slope, abs=5 * right.fitted_acceptance.slope_error
    )
    assert right.fitted_acceptance.slope_error < 0.01
    assert 0.9 < right.null_fit.width < 1.1
    assert right.runs["gradient_known"].all()
    wrong = map_significance(runs, gradient=False, **options)
    assert wrong.null_fit.width > 2
    # a given model is used as it is
    own = fit_acceptance(runs)
    assert own.slope == pytest.approx(right.fitted_acceptance.slope, abs=0.03)
    given = map_significance(runs, acceptance=own, **options)
    assert given.fitted_acceptance is own
    assert 0.9 < given.null_fit.width < 1.1
    assert f"gradient {own.slope:+.3f}" in str(own)


def test_runs_of_unlike_length_are_weighted_by_their_rate():
    """One pointing has ten times the events: alpha must follow the acceptances, not their mean."""
    rng = np.random.default_rng(10)
    left, right = (CENTRE.directional_offset_by(a * u.deg, 0.7 * u.deg) for a in (90, 270))
    runs = [make_run(left, 40_000, rng), make_run(right, 4_000, rng, obs_id=2)]
    result = map_significance(runs, center=CENTRE, width=3 * u.deg, threshold=None)
    assert 0.9 < result.null_fit.width < 1.1
    assert abs(result.null_fit.mean) < 0.2
    # at the fainter pointing, from the true acceptance in the same pixels
    x, y = np.mgrid[-1:1:101j, -1:1:101j]
    rate = np.exp(-0.5 * (x**2 + y**2) / 1.1**2)
    rate += 10 * np.exp(-0.5 * ((x - 1.4) ** 2 + y**2) / 1.1**2)
    distance = np.hypot(x, y)
    truth = rate[distance <= 0.1001].sum() / rate[(distance > 0.4999) & (distance < 0.8001)].sum()
    nearest = result.coordinates.separation(right).argmin()
    assert result.alpha.flat[nearest] == pytest.approx(truth, rel=0.03)


def test_empty_runs_and_bad_events_are_counted():
    rng = np.random.default_rng(11)
    field = make_field(rng, n_runs=3, n_events=2000)
    field[1].events = field[1].events[:0]
    field[2].events["reco_ra"][:7] = np.nan
    result = map_significance(field, center=CENTRE, width=1 * u.deg, energy_min=0.5 * u.TeV)
    assert result.runs["used"].tolist() == [True, False, True]
    assert result.runs["n_invalid"].tolist() == [0, 0, 7]
    assert result.live_time == 56 * u.min
    assert str(result).startswith("map of 2 runs, 0.93 h")
    for run in field:
        run.events = run.events[:0]
    with pytest.raises(ValueError, match="at least one run with events in range"):
        map_significance(field, center=CENTRE)
    with pytest.raises(ValueError, match="observations must be at least one run"):
        map_significance([])


@pytest.mark.parametrize("background", ["ring", "reflected"])
def test_a_run_that_is_wholly_excluded_counts_nowhere(background):
    rng = np.random.default_rng(17)
    away = CENTRE.directional_offset_by(0 * u.deg, 2.6 * u.deg)
    seen, hidden = make_run(CENTRE, 4000, rng), make_run(away, 4000, rng, obs_id=2)
    options = {"center": CENTRE, "width": 3 * u.deg, "threshold": None, "background": background,
               "max_offset": 1.5 * u.deg, "exclude": [(away, 1.6 * u.deg)]}  # fmt: skip
    both, alone = map_significance([seen, hidden], **options), map_significance([seen], **options)
    assert both.runs["used"].tolist() == [True, False]
    np.testing.assert_array_equal(both.n_on, alone.n_on)
    np.testing.assert_allclose(both.alpha, alone.alpha)
    nothing = map_significance([hidden], acceptance=alone.fitted_acceptance, **options)
    assert np.isnan(nothing.significance).all()
    told = json.loads(json.dumps(nothing.to_dict(), allow_nan=False))
    assert told["peak"]["significance"] is None
    with pytest.raises(ValueError, match="must have events outside the excluded regions"):
        map_significance([hidden], **options)


def test_energies_and_offsets_select_events():
    field = make_field(np.random.default_rng(12), n_runs=2, n_events=3000)
    result = map_significance(
        iter(field), center=CENTRE, width=1 * u.deg, max_offset=1.5 * u.deg,
        energy_min=0.5 * u.TeV, energy_max=2 * u.TeV,
    )  # fmt: skip
    for run, n in zip(field, result.runs["n_events"], strict=True):
        energy = run.events["reco_energy"]
        away = SkyCoord(run.events["reco_ra"], run.events["reco_dec"]).separation(run.pointing)
        kept = (energy >= 0.5 * u.TeV) & (energy < 2 * u.TeV) & (away < 1.5 * u.deg)
        assert n == np.count_nonzero(kept)


def test_upper_limits_are_those_of_single_counts():
    field = make_field(np.random.default_rng(13), n_runs=2, n_events=2500)
    result = map_significance(field, center=CENTRE, width=0.4 * u.deg, confidence=0.95)
    rng = np.random.default_rng(0)
    for row, column in rng.integers(0, 20, (12, 2)):
        exact = result.get_counts(result.coordinates[row, column]).upper_limit(confidence=0.95)
        assert result.upper_limit[row, column] == pytest.approx(exact, rel=0.06)
    assert np.isnan(map_significance(field, center=CENTRE, width=0.4 * u.deg).upper_limit).all()


def test_limits_without_few_counts_are_the_likelihoods_own():
    n_on, n_off = np.array([60.0, 90.0, np.nan]), np.array([900.0, 900.0, 10.0])
    limits = find_upper_limits(n_on, n_off, np.full(3, 0.08), 0.95)
    exact = [OnOffCounts(n, 900, 0.08).upper_limit(confidence=0.95) for n in (60, 90)]
    np.testing.assert_allclose(limits[:2], exact, rtol=0.016)
    assert np.isnan(limits[2])


def test_fits_file_has_every_image(tmp_path):
    field = make_field(np.random.default_rng(14), n_runs=2, n_events=2000)
    result = map_significance(
        field, width=(1.5 * u.deg, 1 * u.deg), exclude=[(CENTRE, 0.2 * u.deg)]
    )
    assert result.shape == (50, 75)
    path = result.write(tmp_path / "map.fits")
    with fits.open(path) as hdus:
        assert hdus[0].name == "SIGNIFICANCE"
        np.testing.assert_allclose(hdus[0].data, result.significance, rtol=1e-6)
        np.testing.assert_allclose(hdus["N_ON"].data, result.n_on)
        np.testing.assert_array_equal(hdus["EXCLUSION"].data == 1, result.exclusion)
        sky = WCS(hdus["ALPHA"].header).pixel_to_world(10, 20)
        assert len(hdus["RUNS"].data) == 2
        names = [name.strip() for name in hdus["SETTINGS"].data["NAME"]]
        assert "radius_deg" in names
    assert sky.separation(result.coordinates[20, 10]) < 1e-6 * u.deg
    with pytest.raises(OSError, match="already exists"):
        result.write(path)
    result.write(path, overwrite=True)
    told = json.loads(json.dumps(result.to_dict()))
    assert told["n_runs"] == 2
    assert told["peak"]["significance"] == pytest.approx(np.nanmax(result.significance))


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("background", "rings", "background must be one of"),
        ("ring_inner", 0.05 * u.deg, "ring_inner in deg must be > radius"),
        ("radius", 0.1, "radius must be an angle with a unit"),
        ("radius", 0.01 * u.deg, "pixel_size in deg must be <= radius"),
        ("pixel_size", 0.02 * u.arcmin, "width / pixel_size must be at most"),
        ("width", [1, 2, 3] * u.deg, "width must be an angle or"),
        ("acceptance", "flat", "acceptance must be one of"),
        ("threshold", -1, "threshold must be finite and > 0"),
        ("blank", "some", "blank must be one of"),
        ("max_offset", 0.05 * u.deg, "max_offset in deg must be > radius"),
        ("max_iterations", 0, "max_iterations must be finite and >= 1"),
        ("energy_max", 0.1 * u.TeV, "energy_max must be > energy_min"),
        ("energy_min", 3.0, "energy_min must be an energy with a unit"),
        ("confidence", 95, "confidence must be finite and > 0 and < 1"),
        ("center", SkyCoord([1, 2], [3, 4], unit="deg"), "center must be one position"),
        ("exclude", [3], "exclusions"),
    ],
)
def test_bad_arguments_are_named(argument, value, message):
    field = make_field(np.random.default_rng(15), n_runs=1, n_events=200)
    given = {"center": CENTRE, "energy_min": 0.4 * u.TeV, argument: value}
    with pytest.raises(ValueError, match=message):
        map_significance(field, **given)


def test_missing_columns_are_named():
    (run,) = make_field(np.random.default_rng(16), n_runs=1, n_events=200)
    run.events.remove_column("reco_energy")
    map_significance([run], width=1 * u.deg)
    with pytest.raises(ValueError, match="events of run 0 lacks the columns"):
        map_significance([run], width=1 * u.deg, energy_min=1 * u.TeV)


@given(
    radius=st.integers(1, 6),
    margin=st.integers(0, 5),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=25, deadline=None)
def test_sums_over_kernels_are_exact(radius, margin, seed):
    rng = np.random.default_rng(seed)
    shape = (2 * radius + 1 + margin, 3 * radius + 2)
    image = rng.poisson(3.0, shape).astype(float)
    disc, ring = make_disc(radius), make_ring(radius / 2, radius)
    sums = KernelSums(shape, disc=disc, ring=ring)
    for name, kernel in (("disc", disc), ("ring", ring)):
        direct = convolve2d(image, kernel, mode="same")
        np.testing.assert_array_equal(sums.count(image, name), direct)
        np.testing.assert_allclose(sums.measure(image, name), direct, atol=1e-8)
