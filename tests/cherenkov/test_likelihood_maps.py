"""Likelihood maps: Li & Ma for one channel, better with slices, honest about trials and places."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from astroml_kit.cherenkov import map_likelihood, map_significance, search_likelihood

CENTRE = SkyCoord(150.0, -30.0, unit="deg")
RADII = [0.06, 0.12] * u.deg
WIDTH = 0.05  # deg, of the point spread
# Of a source, what lies within the first radius and in the ring to the second.
CONTAINED = np.diff(1 - np.exp(-(np.array([0, 0.06, 0.12]) ** 2) / (2 * WIDTH**2)))
# Slices: poor and good, in counts of background per run and share of the source.
BACKGROUND, SHARE = (9000, 900), (0.5, 0.5)


def make_slices(rng, *, sources=(), n_runs=4):
    """Runs of each slice, with a Gaussian background and point sources (position, counts a run)."""
    slices = [[], []]
    for number in range(n_runs):
        pointing = CENTRE.directional_offset_by(90 * number * u.deg, 0.5 * u.deg)
        for k in (0, 1):
            parts = [(pointing, rng.poisson(BACKGROUND[k]), 1.0)]
            parts += [(p, rng.poisson(n * SHARE[k]), WIDTH) for p, n in sources]
            sky = [
                SkyCoord(*(rng.normal(0, w, (2, n)) * u.deg), frame=p.skyoffset_frame()).icrs
                for p, n, w in parts
            ]
            events = QTable(
                {
                    "reco_ra": np.concatenate([s.ra.deg for s in sky]) * u.deg,
                    "reco_dec": np.concatenate([s.dec.deg for s in sky]) * u.deg,
                }
            )
            slices[k].append(
                SimpleNamespace(
                    obs_id=number, pointing=pointing, live_time=28 * u.min, zenith=20 * u.deg,
                    events=events,
                )
            )  # fmt: skip
    return slices


def make_map(runs, **options):
    return map_significance(
        runs, **{"center": CENTRE, "width": 1.6 * u.deg, "radius": RADII[1],
                 "pixel_size": 0.03 * u.deg, "threshold": None, "gradient": False} | options
    )  # fmt: skip


def predict(counts):
    """Counts by slice and ring of a source of so many counts a run in four runs."""
    return 4 * counts * np.outer(SHARE, CONTAINED)


@pytest.fixture(scope="module")
def source():
    return CENTRE.spherical_offsets_by(0.31 * u.deg, -0.2 * u.deg)


@pytest.fixture(scope="module")
def maps(source):
    slices = make_slices(np.random.default_rng(4), sources=[(source, 30)])
    around = [(source, 0.3 * u.deg)]
    return [make_map(runs, exclude=around) for runs in slices]


@pytest.fixture(scope="module")
def sky(maps):
    return map_likelihood(maps, signal=predict(30), radii=RADII)


@pytest.fixture(scope="module")
def empty():
    slices = make_slices(np.random.default_rng(5))
    maps = [make_map(runs) for runs in slices]
    return map_likelihood(maps, signal=predict(30), radii=RADII)


def test_one_channel_is_li_and_ma(maps):
    one = map_likelihood(maps[:1], signal=[[1.0]], radii=RADII[1:])
    np.testing.assert_allclose(one.significance, maps[0].significance, atol=1e-6)
    excess = np.where(np.isfinite(one.strength), maps[0].excess, np.nan)
    np.testing.assert_allclose(one.strength, excess, atol=1e-3)


def test_slices_show_more_than_their_sum(source):
    slices = make_slices(np.random.default_rng(4), sources=[(source, 30)])
    around = [(source, 0.3 * u.deg)]
    maps = [make_map(runs, exclude=around) for runs in slices]
    both = make_map([*slices[0], *slices[1]], exclude=around)
    sky = map_likelihood(maps, signal=predict(30), radii=RADII)
    near = both.coordinates.separation(source) < 0.1 * u.deg
    assert sky.significance[near].max() > both.significance[near].max() + 1


def test_the_strength_is_that_of_the_source(sky, source):
    place = np.unravel_index(sky.coordinates.separation(source).argmin(), sky.shape)
    # 120 counts over some 60 within the disc: known to a tenth or so
    assert sky.strength[place] == pytest.approx(1.0, abs=0.35)


def test_only_ratios_of_the_prediction_matter(maps, sky):
    again = map_likelihood(maps, signal=7 * predict(30), radii=RADII)
    np.testing.assert_allclose(again.significance, sky.significance, atol=1e-6)
    np.testing.assert_allclose(again.strength, sky.strength / 7, atol=1e-6)


def test_a_prediction_by_pixel(maps, sky):
    signal = predict(30)[..., None, None] * np.ones(sky.shape)
    signal[..., :5, :] = 0
    some = map_likelihood(maps, signal=signal, radii=RADII)
    assert np.isnan(some.significance[:5]).all()
    np.testing.assert_array_equal(some.significance[5:], sky.significance[5:])


def test_a_source_is_found_where_it_is(sky, source):
    table = search_likelihood(sky, n_toys=30)
    assert len(table) == 1
    row = table[0]
    place = SkyCoord(row["ra"], row["dec"])
    east, north = source.spherical_offsets_to(place)
    assert abs(east) < 4 * row["ra_error"] < 0.1 * u.deg
    assert abs(north) < 4 * row["dec_error"] < 0.1 * u.deg
    assert 5 < row["significance_post_trial"] < row["significance"]
    assert row["significance"] == pytest.approx(sky.peak[0])
    assert row["n_trials_effective"] > 20
    assert "2 slices and 2 rings" in str(sky)


def test_position_errors_are_as_large_as_they_say(source):
    pulls = []
    for seed in range(12):
        slices = make_slices(np.random.default_rng([9, seed]), sources=[(source, 40)], n_runs=2)
        maps = [make_map(runs, exclude=[(source, 0.3 * u.deg)]) for runs in slices]
        sky = map_likelihood(maps, signal=predict(40), radii=RADII)
        row = search_likelihood(sky, threshold=3.0, n_toys=20)[0]
        east, north = source.spherical_offsets_to(SkyCoord(row["ra"], row["dec"]))
        pulls += [float(east / row["ra_error"]), float(north / row["dec_error"])]
    assert 0.5 < np.std(pulls) < 1.6
    assert abs(np.mean(pulls)) < 4 * np.std(pulls) / np.sqrt(len(pulls))


def test_an_empty_field_is_normal_and_has_no_sources(empty):
    assert abs(empty.null_fit.mean) < 4 * empty.null_fit.mean_error
    assert abs(empty.null_fit.width - 1) < 4 * empty.null_fit.width_error
    table = search_likelihood(empty, threshold=3.0, n_toys=30)
    assert len(table) == 0
    assert set(table.colnames) >= {"ra", "dec", "significance_post_trial"}


def test_the_quick_test_ranks_like_the_likelihood(empty):
    """Toys work the likelihood out only where the quick test is largest."""
    channels = empty.channels
    quick = channels.test(*channels.count([one.model.counts for one in channels.maps]))
    exact = empty.significance[channels.searched]
    assert np.corrcoef(quick, exact)[0, 1] > 0.97
    best = np.argsort(quick)[-200:]
    assert exact.argmax() in best


def test_wide_nulls_cost_significance(sky):
    wide = replace(sky, null_fit=replace(sky.null_fit, width=1.5))
    plain, scaled = (search_likelihood(one, threshold=2.0, n_toys=20)[:1] for one in (sky, wide))
    assert scaled.meta["divided_by"] == 1.5
    assert scaled["significance"][0] == plain["significance"][0]
    assert scaled["significance_post_trial"][0] < plain["significance_post_trial"][0] - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radii": [0.12, 0.06] * u.deg}, "radii must be increasing"),
        ({"signal": [[1.0]]}, "signal must be of shape"),
        ({"signal": -predict(30)}, "signal must be"),
        ({"signal": 0 * predict(30)}, "maps must be with acceptance and signal"),
    ],
)
def test_bad_arguments_are_named(maps, change, message):
    with pytest.raises(ValueError, match=message):
        map_likelihood(maps, **{"signal": predict(30), "radii": RADII} | change)


def test_maps_must_belong_together(maps):
    slices = make_slices(np.random.default_rng(4), n_runs=2)
    other = make_map(slices[0])
    with pytest.raises(ValueError, match="same pixels and exclusions"):
        map_likelihood([maps[0], other], signal=predict(30), radii=RADII)
    reflected = make_map(slices[0], background="reflected")
    with pytest.raises(ValueError, match="background='ring'"):
        map_likelihood([reflected], signal=predict(30)[:1], radii=RADII)
    with pytest.raises(ValueError, match="at least one map"):
        map_likelihood([], signal=predict(30), radii=RADII)
    with pytest.raises(TypeError, match="SignificanceMaps, got int"):
        map_likelihood([3], signal=predict(30)[:1], radii=RADII)
    with pytest.raises(TypeError, match="likelihood_map must be a LikelihoodMap"):
        search_likelihood(maps[0])
