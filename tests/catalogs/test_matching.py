"""Matches: brute force, poles and 0/360 degrees, symmetry, chance, probabilities that hold."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord, match_coordinates_sky, search_around_sky
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from astroml_kit.catalogs import (
    evaluate_matches,
    match_catalogs,
    measure_false_matches,
    propagate_coordinates,
)


def draw_sky(rng, n, *, where="all"):
    """Positions over the whole sky, or in a cap around the pole or around (0, 0)."""
    if where == "all":
        return SkyCoord(rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
                        unit="deg")  # fmt: skip
    centre = {"pole": SkyCoord(0, 90, unit="deg"), "wrap": SkyCoord(0, 0, unit="deg")}[where]
    return centre.directional_offset_by(
        rng.uniform(0, 360, n) * u.deg, 0.5 * np.sqrt(rng.random(n)) * u.deg
    )


def shake(rng, coords, sigma):
    """Displace positions by a Gaussian error along each axis."""
    step = rng.rayleigh(sigma.to_value("deg"), len(coords)) * u.deg
    return SkyCoord(coords.directional_offset_by(rng.uniform(0, 360, len(coords)) * u.deg, step))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["all", "pole", "wrap"]), st.floats(0.001, 1.0))
def test_pairs_are_those_of_brute_force(seed, where, share):
    rng = np.random.default_rng(seed)
    first, second = draw_sky(rng, 30, where=where), draw_sky(rng, 40, where=where)
    radius = share * (120 if where == "all" else 1) * u.deg
    apart = first[:, None].separation(second[None, :])
    near = apart < radius
    every = match_catalogs(first, second, radius=radius, keep="all")
    assert set(zip(every["first"], every["second"], strict=True)) == set(
        zip(*np.nonzero(near), strict=True)
    )
    true = apart[every["first"], every["second"]]
    np.testing.assert_allclose(every["separation"].to_value("deg"), true.deg, atol=1e-9)
    nearest = match_catalogs(first, second, radius=radius)
    assert nearest["first"].tolist() == np.flatnonzero(near.any(axis=1)).tolist()
    assert nearest["second"].tolist() == np.argmin(apart, axis=1)[nearest["first"]].tolist()
    mutual = match_catalogs(first, second, radius=radius, keep="mutual")
    back = match_catalogs(second, first, radius=radius, keep="mutual")
    assert set(zip(mutual["first"], mutual["second"], strict=True)) == set(
        zip(back["second"], back["first"], strict=True)
    )
    both = np.argmin(apart, axis=0)[np.argmin(apart, axis=1)] == np.arange(30)
    assert mutual["first"].tolist() == np.flatnonzero(both & near.any(axis=1)).tolist()


def test_agrees_with_astropy_and_counts():
    rng = np.random.default_rng(1)
    first = draw_sky(rng, 5000)
    second = shake(rng, first[rng.permutation(5000)[:4000]], 1 * u.arcsec)
    index, apart, _ = match_coordinates_sky(first, second)
    pairs = match_catalogs(first, second.galactic, radius=5 * u.arcsec)
    near = apart < 5 * u.arcsec
    assert pairs["first"].tolist() == np.flatnonzero(near).tolist()
    assert pairs["second"].tolist() == index[near].tolist()
    one, _, _, _ = search_around_sky(first, second, 5 * u.arcsec)
    assert len(match_catalogs(first, second, radius=5 * u.arcsec, keep="all")) == len(one)
    assert pairs.meta["n_matched_first"] == near.sum()
    assert pairs.meta["n_matched_second"] == len(np.unique(index[near]))


def test_duplicates_and_positions_without_a_number_are_counted():
    first = SkyCoord([10, 10.00001, np.nan, 50], [0, 0, 0, 80], unit="deg")
    second = SkyCoord([10.00002, 200, 50], [0, 0, np.nan], unit="deg")
    pairs = match_catalogs(first, second, radius=1 * u.arcsec)
    assert pairs["first"].tolist() == [0, 1]
    assert pairs["shared"].tolist() == [True, True]
    assert pairs.meta["n_shared"] == pairs.meta["n_matched_second"] == 1
    assert pairs.meta["n_without_position"] == (1, 1)
    assert len(match_catalogs(first, second, radius=1 * u.arcsec, keep="mutual")) == 1
    for empty in (second[:0], second[2:]):
        for keep in ("nearest", "mutual", "all"):
            assert len(match_catalogs(first, empty, radius=1 * u.deg, keep=keep)) == 0
            assert len(match_catalogs(empty, first, radius=1 * u.deg, keep=keep)) == 0


def test_a_pair_at_the_radius_itself_matches():
    for angle in (1e-6, 0.3, 179.0):
        two = SkyCoord(0 * u.deg, 0 * u.deg).directional_offset_by(90 * u.deg, angle * u.deg)
        one = SkyCoord([0.0], [0.0], unit="deg")
        found = match_catalogs(one, SkyCoord([two]), radius=angle * (1 + 1e-9) * u.deg)
        assert len(found) == 1
        assert len(match_catalogs(one, SkyCoord([two]), radius=angle * 0.999 * u.deg)) == 0


def test_chance_matches_are_as_many_as_at_shifted_places():
    rng = np.random.default_rng(4)
    pulls, sigmas = [], []
    for _ in range(30):
        first, field = draw_sky(rng, 300, where="wrap"), draw_sky(rng, 20_000, where="wrap")
        # away from the rim, where shifted positions leave the field
        first = first[first.separation(SkyCoord(0 * u.deg, 0 * u.deg)) < 0.4 * u.deg]
        false = measure_false_matches(first, field, radius=5 * u.arcsec)
        error = np.hypot(false.expected_error, np.sqrt(false.expected))
        pulls.append((false.n_matched - false.expected) / error)
        sigmas.append(false.counts.significance)
    assert abs(np.mean(pulls)) < 0.6
    assert 0.6 < np.std(pulls) < 1.5
    assert abs(np.mean(sigmas)) < 0.6
    true = measure_false_matches(first, shake(rng, first, 1 * u.arcsec), radius=5 * u.arcsec)
    assert true.n_matched == len(first)
    assert true.rate < 0.05
    assert true.to_dict()["n_shifted"] == true.n_shifted.tolist()


def evaluate_by_hand(first, second, radius, errors, completeness, density, weight):
    """The same probabilities, row by row, from the formulas."""
    found = {}
    for i in range(len(first)):
        ratios = {}
        for j in range(len(second)):
            psi = first[i].separation(second[j])
            if psi > radius:
                continue
            s = np.hypot(errors[0][i], errors[1][j]).to_value("rad")
            f = np.exp(-0.5 * (psi.rad / s) ** 2) / (2 * np.pi * s**2)
            ratios[j] = weight[j] * f / density.to_value("1 / sr")
        none = 1 - completeness
        total = none + completeness * sum(ratios.values())
        for j, ratio in ratios.items():
            found[i, j] = (ratio, completeness * ratio / total, none / total)
    return found


@pytest.mark.parametrize("weighted", [False, True])
def test_probabilities_are_those_of_the_formulas(weighted):
    rng = np.random.default_rng(5)
    first = draw_sky(rng, 12, where="pole")
    second = shake(rng, first[np.repeat(np.arange(12), 2)], 1 * u.arcsec)
    errors = rng.uniform(0.5, 2, 12) * u.arcsec, rng.uniform(0.2, 1, 24) * u.arcsec
    weight = rng.uniform(0, 3, 24) if weighted else np.ones(24)
    density = 1e4 / u.deg**2
    pairs = evaluate_matches(
        first, second, radius=6 * u.arcsec, first_error=errors[0], second_error=errors[1],
        completeness=0.7, density=density, weight=weight if weighted else None,
    )  # fmt: skip
    expected = evaluate_by_hand(first, second, 6 * u.arcsec, errors, 0.7, density, weight)
    assert len(pairs) == len(expected)
    for row in pairs:
        ratio, probability, none = expected[row["first"], row["second"]]
        assert row["likelihood_ratio"] == pytest.approx(ratio, rel=1e-6)
        assert row["probability"] == pytest.approx(probability, abs=1e-9)
        assert row["probability_none"] == pytest.approx(none, abs=1e-9)
    best = pairs[pairs["best"]]
    assert best["first"].tolist() == sorted(set(pairs["first"]))


def test_bayes_factor_of_two_coinciding_positions_is_2_over_the_variances():
    # Budavari & Szalay 2008, eq. 16, at psi = 0
    one = SkyCoord([10.0], [20.0], unit="deg")
    pairs = evaluate_matches(
        one, one, radius=3 * u.arcsec, first_error=0.1 * u.arcsec, second_error=0.5 * u.arcsec,
        density=1 / u.deg**2, completeness=1,
    )  # fmt: skip
    expected = np.log10(2 / (0.26 * (np.pi / 648_000) ** 2))
    assert pairs["log_bayes_factor"][0] == pytest.approx(expected, abs=1e-9)
    assert pairs["probability"][0] == 1


def test_completeness_is_recovered_and_probabilities_hold():
    rng = np.random.default_rng(6)
    true, promised, happened, trials = 0.6, [], [], []
    for _ in range(4):
        first = draw_sky(rng, 1500, where="wrap")
        has = rng.random(1500) < true
        own = shake(rng, shake(rng, first[has], 1 * u.arcsec), 0.5 * u.arcsec)
        field = draw_sky(rng, 40_000, where="wrap")
        second = SkyCoord(np.r_[own.ra.deg, field.ra.deg], np.r_[own.dec.deg, field.dec.deg],
                          unit="deg")  # fmt: skip
        pairs = evaluate_matches(
            first, second, radius=7 * u.arcsec, first_error=1 * u.arcsec,
            second_error=0.5 * u.arcsec,
        )  # fmt: skip
        trials.append(pairs.meta["completeness"])
        truth = np.full(1500, -1)
        truth[has] = np.arange(has.sum())
        promised.append(pairs["probability"])
        happened.append(truth[pairs["first"]] == pairs["second"])
    assert np.mean(trials) == pytest.approx(true, abs=0.03)
    promised, happened = np.concatenate(promised), np.concatenate(happened)
    for low, high in ((0.02, 0.3), (0.3, 0.7), (0.7, 0.95), (0.95, 1.0)):
        part = (promised >= low) & (promised < high)
        n, k = part.sum(), happened[part].sum()
        assert n > 50
        assert 1e-3 < binom.cdf(k, n, promised[part].mean()) < 1 - 1e-3


def test_stars_are_moved_as_astropy_moves_them():
    rng = np.random.default_rng(7)
    n = 20
    still = draw_sky(rng, n)
    stars = SkyCoord(
        still.ra, still.dec, pm_ra_cosdec=rng.normal(0, 500, n) * u.mas / u.yr,
        pm_dec=rng.normal(0, 500, n) * u.mas / u.yr, obstime=Time(2016.0, format="jyear"),
    )  # fmt: skip
    moved = propagate_coordinates(stars, epoch=Time(2000.0, format="jyear"))
    size = np.hypot(stars.pm_ra_cosdec, stars.pm_dec)
    apart = still.separation(moved)
    np.testing.assert_allclose(apart.to_value("mas"), (size * 16 * u.yr).to_value("mas"), rtol=1e-4)
    angle = np.arctan2(-stars.pm_ra_cosdec, -stars.pm_dec)
    expected = still.directional_offset_by(angle, size * 16 * u.yr)
    assert moved.separation(expected).max() < 1 * u.mas
    there_and_back = SkyCoord(
        moved.ra, moved.dec, pm_ra_cosdec=stars.pm_ra_cosdec, pm_dec=stars.pm_dec,
        obstime=moved.obstime,
    )  # fmt: skip
    back = propagate_coordinates(there_and_back, epoch=Time(2016.0, format="jyear"))
    near_poles = np.abs(still.dec.deg) > 75
    assert back.separation(still)[~near_poles].max() < 5 * u.mas


def test_a_star_without_a_motion_stays():
    stars = SkyCoord(
        [10, 20] * u.deg, [0, 89.99] * u.deg, pm_ra_cosdec=[np.nan, 1000] * u.mas / u.yr,
        pm_dec=[np.nan, 0] * u.mas / u.yr, obstime=Time(2016.0, format="jyear"),
    )  # fmt: skip
    moved = propagate_coordinates(stars, epoch=Time(2026.0, format="jyear"))
    assert moved[0].separation(stars[0]).to_value("mas") == pytest.approx(0, abs=1e-6)
    assert moved[1].separation(stars[1]).to_value("mas") == pytest.approx(10_000, rel=1e-5)


ONE = SkyCoord([10.0], [20.0], unit="deg")
ERRORS = {"first_error": 1 * u.arcsec, "second_error": 1 * u.arcsec}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: match_catalogs(ONE, ONE, radius=2), "radius must be an angle"),
        (lambda: match_catalogs(ONE, ONE, radius=0 * u.deg), r"radius \[deg\] must be .* > 0"),
        (lambda: match_catalogs(ONE, ONE, radius=np.nan * u.deg), r"radius \[deg\] must be"),
        (lambda: match_catalogs([1, 2], ONE, radius=1 * u.deg), "first must be a SkyCoord"),
        (lambda: match_catalogs(ONE[0], ONE, radius=1 * u.deg), "a list of positions"),
        (lambda: match_catalogs(ONE, ONE, radius=1 * u.deg, keep="best"), "keep must be one of"),
        (
            lambda: measure_false_matches(ONE, ONE, radius=1 * u.deg, shift=1 * u.deg),
            "at least two radii",
        ),
        (
            lambda: evaluate_matches(ONE, ONE, radius=1 * u.arcsec, **ERRORS),
            "density must be given",
        ),
        (
            lambda: evaluate_matches(
                ONE, ONE, radius=1 * u.arcsec, first_error=1, second_error=1 * u.arcsec
            ),
            "first_error must be an angle",
        ),
        (
            lambda: evaluate_matches(
                ONE, ONE, radius=1 * u.arcsec, **ERRORS, density=1 / u.deg**2, weight=[1, 2]
            ),
            "one per row of second",
        ),
        (
            lambda: evaluate_matches(ONE, ONE, radius=1 * u.arcsec, **ERRORS, density=3),
            "a number per solid angle",
        ),
        (lambda: propagate_coordinates(ONE, epoch=Time(2000.0, format="jyear")), "proper motions"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
