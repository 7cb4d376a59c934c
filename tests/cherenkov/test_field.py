"""Simulated fields: Poisson in number, symmetric in azimuth, and where the sky says."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.time import Time
from scipy import stats

from astroml_kit.cherenkov import count_on_off, map_significance
from astroml_kit.cherenkov.simulation import (
    Source,
    iter_observations,
    plan_wobble,
    read_library,
    simulate_observations,
)
from astroml_kit.cherenkov.simulation.field import (
    MOST_OFFSET,
    SPREAD,
    find_positions,
    find_source_rates,
    make_sampler,
)
from astroml_kit.cherenkov.simulation.library import FEATURES

CENTER = SkyCoord(201.365, -43.019, unit="deg")
FLUX = 3e-12  # about a tenth of the Crab nebula


@pytest.fixture(scope="module")
def library():
    return read_library()


@pytest.fixture(scope="module")
def runs():
    return simulate_observations(
        [Source("main", CENTER, FLUX, 2.7)], pointings=plan_wobble(CENTER),
        live_time=4 * u.h, rng=1,
    )  # fmt: skip


@pytest.mark.parametrize("dec", [-43.0, 0.0, 89.8, -89.95])
@pytest.mark.parametrize("n_directions", [2, 4, 5])
def test_wobble_pointings_stand_around_the_target(dec, n_directions):
    target = SkyCoord(359.9, dec, unit="deg")
    pointings = plan_wobble(target, wobble=0.5, n_directions=n_directions)
    assert len(pointings) == n_directions
    np.testing.assert_allclose([p.separation(target).deg for p in pointings], 0.5, rtol=1e-9)
    angles = [target.position_angle(p).rad for p in pointings]
    turned = np.angle(np.exp(1j * (np.array(angles) - 2 * np.pi * np.arange(n_directions)
                                   / n_directions)))  # fmt: skip
    np.testing.assert_allclose(turned, 0, atol=1e-6)


def test_counts_of_a_run_are_poisson_about_rate_times_live_time(library):
    source = Source("main", CENTER, FLUX, 2.7)
    sampler = make_sampler(library, [source], plan_wobble(CENTER)[0], background_scale=1.5)
    rng = np.random.default_rng(2)
    live_time, n = 100.0, 600
    drawn = [sampler.draw(live_time, rng) for _ in range(n)]
    gammas = np.array([run.n_gammas for run in drawn])
    background = np.array([len(run.row) - run.n_gammas for run in drawn])
    for counts, mean in (
        (gammas, find_source_rates(library, source, 0.7).sum() * live_time),
        (background, 1.5 * library.background["rate"].sum() * live_time),
    ):
        assert abs(counts.mean() - mean) < 4 * np.sqrt(mean / n)
        # variance of a Poisson number is its mean
        assert abs(counts.var(ddof=1) / mean - 1) < 4 * np.sqrt(2 / n)
    assert abs(np.corrcoef(gammas, background)[0, 1]) < 4 / np.sqrt(n)


def test_rows_are_drawn_as_often_as_their_rate(library):
    sampler = make_sampler(library, [], CENTER)
    run = sampler.draw(100_000.0, np.random.default_rng(3))
    kinds = np.bincount(library.background["kind"][run.row], minlength=3)
    rate = np.bincount(library.background["kind"], library.background["rate"], 3) * 100_000
    np.testing.assert_array_less(np.abs(kinds - rate), 4 * np.sqrt(rate))


def test_background_has_no_preferred_azimuth_and_the_offsets_of_the_library(library):
    run = make_sampler(library, [], CENTER).draw(5000.0, np.random.default_rng(4))
    azimuth = np.arctan2(run.lon, run.lat) / (2 * np.pi) + 0.5
    assert stats.kstest(azimuth, "uniform").pvalue > 1e-3
    moved = np.hypot(run.lon, run.lat) - library.background["offset"][run.row]
    assert abs(moved).max() < SPREAD * np.sqrt(2)


@pytest.mark.parametrize(
    ("ra", "dec"), [(201.365, -43.019), (0.02, 22.0), (359.98, -5.0), (120.0, 88.5), (10.0, -89.6)]
)
@pytest.mark.parametrize("turn", [0, 1])
def test_a_source_shows_where_it_is(library, ra, dec, turn):
    position = SkyCoord(ra, dec, unit="deg")
    pointing = plan_wobble(position)[turn]
    sampler = make_sampler(library, [Source("bright", position, 1e-10, 2.3)], pointing, 0.0)
    run = sampler.draw(3600.0, np.random.default_rng(5))
    assert len(run.row) == run.n_gammas > 1000
    lon, lat = position.spherical_offsets_to(find_positions(pointing, run.lon, run.lat))
    near = np.hypot(lon, lat) < 0.2 * u.deg
    assert near.mean() > 0.8
    for axis in (lon[near].deg, lat[near].deg):
        # gammas fall short of the true offset by a few thousandths of a degree at most
        assert abs(axis.mean()) < 4 * axis.std() / np.sqrt(len(axis)) + 0.005


def test_misses_of_the_library_are_kept(library):
    source = Source("bright", CENTER, 1e-10, 2.3)
    pointing = plan_wobble(CENTER)[0]
    run = make_sampler(library, [source], pointing, 0.0).draw(600.0, np.random.default_rng(6))
    miss = np.hypot(library.gammas["dx"][run.row], library.gammas["dy"][run.row])
    distance = find_positions(pointing, run.lon, run.lat).separation(CENTER).deg
    near = miss < 0.3
    np.testing.assert_allclose(distance[near], miss[near], atol=1e-4)


def test_an_extended_source_is_wider_by_its_extension(library):
    pointing = plan_wobble(CENTER)[0]
    spread = []
    for extension in (0.0, 0.2):
        source = Source("nebula", CENTER, 1e-10, 2.3, extension)
        run = make_sampler(library, [source], pointing, 0.0).draw(3600.0, np.random.default_rng(7))
        lon, _ = CENTER.spherical_offsets_to(find_positions(pointing, run.lon, run.lat))
        spread.append(lon.deg.var())
    assert spread[1] - spread[0] == pytest.approx(0.2**2, rel=0.2)


def test_rates_between_simulated_offsets_lie_between(library):
    source = Source("any", CENTER, FLUX, 2.7)
    low, middle, high = (find_source_rates(library, source, at).sum() for at in (0.5, 0.6, 0.7))
    assert middle == pytest.approx((low + high) / 2, rel=1e-9)
    assert find_source_rates(library, source, 0.7)[library.gammas["set"] != 3].sum() == 0


def test_no_gamma_comes_from_beyond_the_field(library):
    source = Source("far", CENTER, 1e-9, 2.0)
    assert find_source_rates(library, source, MOST_OFFSET).sum() > 0
    assert find_source_rates(library, source, MOST_OFFSET + 0.01).sum() == 0


def test_rates_are_proportional_to_the_flux(library):
    one, two = (
        find_source_rates(library, Source("any", CENTER, norm, 2.7), 1.1) for norm in (1e-12, 2e-12)
    )
    np.testing.assert_allclose(two, 2 * one, rtol=1e-12)
    assert find_source_rates(library, Source("dark", CENTER, 0.0, 2.7), 1.1).sum() == 0


def test_runs_have_what_a_reader_gives(runs):
    assert [run.obs_id for run in runs] == list(range(1, len(runs) + 1))
    assert sum(run.live_time.to_value(u.h) for run in runs) == pytest.approx(4.0)
    for run in runs:
        events = run.events
        assert isinstance(events, QTable)
        assert events["reco_ra"].unit == events["reco_dec"].unit == u.deg
        assert events["reco_energy"].unit == u.TeV
        assert (events["reco_energy"] > 0 * u.TeV).all()
        assert isinstance(events["time"], Time)
        assert (np.diff(events["time"].mjd) >= 0).all()
        assert (events["time"] >= run.gti["start"][0]).all()
        assert (events["time"] <= run.gti["stop"][0]).all()
        assert set(FEATURES) <= set(events.colnames)
        assert len(np.unique(events["event_id"])) == len(events)
        assert run.zenith == 20 * u.deg
        assert events.meta["format"] == "simulation"
        assert "simulated field" in str(run)


def test_truth_and_features_belong_to_the_library_row(runs, library):
    events = runs[0].events
    for is_gamma, part in ((True, library.gammas), (False, library.background)):
        of_kind = events[np.asarray(events["is_gamma"]) == is_gamma]
        assert len(of_kind)
        for name in ("mean_scaled_width", "reco_h_max"):
            np.testing.assert_array_equal(of_kind[name], part[name][of_kind["library_row"]])
        np.testing.assert_array_equal(
            of_kind["reco_energy"].value, part["reco_energy"][of_kind["library_row"]]
        )
        assert set(of_kind["source"]) == ({0} if is_gamma else {-1})


def test_position_belongs_to_the_library_row(runs, library):
    events = runs[1].events
    events = events[~np.asarray(events["is_gamma"])]
    place = SkyCoord(events["reco_ra"], events["reco_dec"])
    at = place.separation(runs[1].pointing).deg
    assert abs(at - library.background["offset"][events["library_row"]]).max() < SPREAD * 1.42


def test_times_do_not_tell_gammas_from_background(runs):
    at = [
        np.concatenate([
            ((run.events["time"] - run.gti["start"][0]) / run.live_time).to_value("")[
                np.asarray(run.events["is_gamma"]) == kind]
            for run in runs
        ])
        for kind in (True, False)
    ]  # fmt: skip
    assert stats.kstest(at[0], "uniform").pvalue > 1e-3
    assert stats.kstest(at[1], "uniform").pvalue > 1e-3


def test_on_off_finds_the_source_and_nothing_beside_it(runs):
    on = count_on_off(runs, CENTER, radius=0.11 * u.deg).counts
    assert on.significance > 8
    # a place as far from all pointings as nothing shines there
    aside = CENTER.directional_offset_by(45 * u.deg, 1.2 * u.deg)
    off = count_on_off(runs, aside, radius=0.11 * u.deg, exclusions=[(CENTER, 0.3 * u.deg)]).counts
    assert abs(off.significance) < 4


def test_maps_accept_the_runs(runs):
    result = map_significance(runs, center=CENTER, width=2 * u.deg, pixel_size=0.05 * u.deg)
    peak = np.unravel_index(np.nanargmax(result.significance), result.significance.shape)
    place = result.wcs.pixel_to_world(peak[1], peak[0])
    assert place.separation(CENTER) < 0.1 * u.deg


def test_same_seed_same_events_and_another_seed_others():
    def draw(seed):
        return simulate_observations([], pointings=[CENTER], live_time=600 * u.s, rng=seed)[
            0
        ].events

    first, again, other = draw(5), draw(5), draw(6)
    assert first.colnames == again.colnames
    for name in ("reco_ra", "reco_energy", "library_row", "mean_scaled_width"):
        np.testing.assert_array_equal(np.asarray(first[name]), np.asarray(again[name]))
    assert not np.array_equal(first["library_row"], other["library_row"])


def test_a_field_without_sources_or_background_is_empty_not_broken():
    run = simulate_observations([], pointings=[CENTER], live_time=600, background_scale=0, rng=1)[0]
    assert len(run.events) == 0
    assert run.events["reco_energy"].unit == u.TeV
    only_background = simulate_observations([], pointings=[CENTER], live_time=600 * u.s, rng=1)[0]
    assert not np.any(only_background.events["is_gamma"])


def test_runs_take_turns_at_the_pointings_and_come_one_by_one():
    pointings = plan_wobble(CENTER)
    field = iter_observations(
        [], pointings=pointings, live_time=1 * u.h, run_time=10 * u.min, features=(), rng=1
    )
    runs = list(field)
    assert len(runs) == 6
    for number, run in enumerate(runs):
        assert run.pointing.separation(pointings[number % 4]) < 1e-6 * u.deg
        assert "mean_scaled_width" not in run.events.colnames
        assert "reco_energy" in run.events.colnames


def test_a_short_field_is_one_run():
    runs = simulate_observations([], pointings=[CENTER], live_time=5 * u.min, rng=1)
    assert [run.live_time.to_value(u.min) for run in runs] == pytest.approx([5.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"live_time": 0 * u.h}, "live_time must be"),
        ({"live_time": np.nan * u.h}, "live_time must be"),
        ({"run_time": -1 * u.min}, "run_time must be"),
        ({"background_scale": -1.0}, "background_scale must be finite and >= 0"),
        ({"pointings": []}, "pointings must be at least one position"),
        ({"features": ("mean_scaled_width", "colour")}, r"features must be among .*got 'colour'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        simulate_observations(
            [], **({"pointings": [CENTER], "live_time": 60 * u.s, "rng": 1} | options)
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm": -1e-12}, "norm must be finite and >= 0"),
        ({"norm": np.nan}, "norm must be"),
        ({"index": np.nan}, "index must be"),
        ({"extension": -0.1}, "extension must be finite and >= 0"),
        ({"position": SkyCoord([1, 2], [3, 4], unit="deg")}, "position must be one position"),
    ],
)
def test_bad_sources_are_named(change, message):
    good = {"name": "x", "position": CENTER, "norm": 1e-12, "index": 2.7}
    with pytest.raises(ValueError, match=message):
        Source(**(good | change))


def test_a_source_says_what_it_is():
    assert str(Source("faint", CENTER, 2e-13, 2.7)) == (
        "faint: 2e-13 /(cm2 s TeV) at 1 TeV, index 2.7"
    )
