"""Upper limits: classical values, laws, and coverage summed exactly over both Poisson laws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import chi2, norm, poisson

from astroml_kit.significance import OnOffCounts
from astroml_kit.significance.limits import (
    bounded_statistic,
    deficit_probability,
    find_upper_limit,
    profile_background,
)


def find_coverage(signal, background, alpha, confidence):
    """Probability that the limit is not below the true signal, from the pmf of n_on and n_off."""
    mean_off = background / alpha
    off = np.arange(poisson.ppf(1e-5, mean_off), poisson.ppf(1 - 1e-5, mean_off) + 1)
    covered, enough = 0.0, 0
    for n_off, chance in zip(off, poisson.pmf(off, mean_off), strict=True):
        # more OFF counts never lower the n_on from which the limit covers, so walk up
        while find_upper_limit(enough, n_off, alpha, confidence) < signal:
            enough += 1
        covered += chance * poisson.sf(enough - 1, signal + background)
    return covered / poisson.pmf(off, mean_off).sum()


@pytest.mark.parametrize(
    ("n_on", "classical"),  # Particle Data Group, Statistics, upper limits at 95 %, no background
    [(0, 3.00), (1, 4.74), (2, 6.30), (3, 7.75), (4, 9.15), (5, 10.51), (10, 16.96)],
)
def test_without_background_the_limit_is_the_classical_one(n_on, classical):
    assert OnOffCounts(n_on, 0, 0.1).upper_limit() == pytest.approx(classical, abs=0.006)
    exact = chi2.ppf(0.9, 2 * (n_on + 1)) / 2
    assert OnOffCounts(n_on, 0, 0.1).upper_limit(0.9) == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("confidence", [0.68, 0.9, 0.95, 0.99])
def test_many_counts_give_the_normal_limit(confidence):
    counts = OnOffCounts(1_010_000, 2_000_000, 0.5)
    normal = counts.excess + ndtri(confidence) * counts.excess_error
    assert counts.upper_limit(confidence) == pytest.approx(normal, abs=0.01 * counts.excess_error)


def test_agrees_with_gammapy_where_that_is_valid():
    stats = pytest.importorskip("gammapy.stats")
    counts = OnOffCounts(450, 2000, 0.2)  # a clear excess: gammapy's limit is not bounded at 0
    array = stats.WStatCountsStatistic(np.array([450]), np.array([2000]), np.array([0.2]))
    # gammapy measures the fall from the null, so give it the whole way
    sigma = math.sqrt(ndtri(0.95) ** 2)
    theirs = array.compute_upper_limit(n_sigma=sigma)[0]
    assert counts.upper_limit() == pytest.approx(theirs, rel=0.01)


@pytest.mark.parametrize(
    ("signal", "background", "alpha"),
    [
        (3.5, 1.0, 0.2),
        (3.5, 1.0, 1.0),
        (6.0, 0.5, 0.1),
        (6.0, 3.0, 0.5),
        (12.0, 3.0, 2.0),
        (8.0, 10.0, 1.0),
    ],
)
def test_covers_what_it_claims(signal, background, alpha):
    assert 0.945 < find_coverage(signal, background, alpha, 0.95) < 0.999


@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_covers_at_other_levels(confidence):
    covered = find_coverage(4.0, 1.5, 0.5, confidence)
    assert confidence - 0.01 < covered < 1 - (1 - confidence) / 10


def test_the_plain_profile_limit_would_not_cover():
    # with no ON counts it stops at z^2 / 2 = 1.35: a signal of 2 over 0.1 is missed too often
    assert bounded_statistic(2.0, 0, 0, 0.2) > ndtri(0.95) ** 2
    missed = math.exp(-2.1)
    assert 1 - missed == pytest.approx(0.8775, abs=1e-4)
    assert find_coverage(2.0, 0.1, 0.2, 0.95) > 0.95


def test_deficit_probability_is_the_sum_over_all_pairs():
    signal, n_on, n_off, alpha = 5.0, 3, 9, 0.4
    off = float(profile_background(signal, n_on, n_off, alpha))
    grid_on, grid_off = np.arange(60)[:, None], np.arange(80)
    chance = poisson.pmf(grid_on, signal + alpha * off) * poisson.pmf(grid_off, off)
    threshold = bounded_statistic(signal, n_on, n_off, alpha)
    against = grid_on - alpha * grid_off < signal
    extreme = bounded_statistic(signal, grid_on, grid_off, alpha) >= threshold * (1 - 1e-9)
    total = chance[against & extreme].sum()
    assert deficit_probability(signal, n_on, n_off, alpha) == pytest.approx(total, rel=1e-6)


@given(st.integers(0, 60), st.integers(0, 300), st.floats(0.02, 3), st.floats(1e-3, 100))
@settings(max_examples=100, deadline=None)
def test_the_profiled_background_is_the_most_likely_one(n_on, n_off, alpha, signal):
    best = float(profile_background(signal, n_on, n_off, alpha))
    around = best * np.array([0.99, 1.0, 1.01]) + np.array([0.0, 0.0, 1e-3])
    with np.errstate(divide="ignore"):
        likelihood = poisson.logpmf(n_on, signal + alpha * around) + poisson.logpmf(n_off, around)
    assert likelihood[1] >= likelihood.max() - 1e-9


@given(
    n_on=st.integers(0, 80),
    n_off=st.integers(0, 500),
    alpha=st.floats(0.02, 3),
    confidence=st.floats(0.6, 0.99),
)
@settings(max_examples=20, deadline=None)
def test_is_above_zero_and_above_the_excess_and_grows(n_on, n_off, alpha, confidence):
    counts = OnOffCounts(n_on, n_off, alpha)
    limit = counts.upper_limit(confidence)
    assert limit > max(0.0, counts.excess)
    assert counts.upper_limit(0.995) > limit
    assert OnOffCounts(n_on + 3, n_off, alpha).upper_limit(confidence) > limit


@given(
    n_on=st.floats(0, 1e15), n_off=st.floats(0, 1e15), log_alpha=st.floats(-6, 6),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_is_finite_and_bounded_for_any_counts(n_on, n_off, log_alpha):
    limit = OnOffCounts(n_on, n_off, 10**log_alpha).upper_limit()
    assert 0 < limit < math.inf


def test_a_strong_deficit_never_gives_an_empty_interval():
    floor = norm.isf(0.05) ** 2 / 2
    assert OnOffCounts(0, 1000, 0.1).upper_limit() == pytest.approx(floor, rel=1e-6)
    assert OnOffCounts(60, 1000, 0.1).upper_limit() > floor


@pytest.mark.parametrize("confidence", [0.0, 0.5, 1.0, 95, np.nan])
def test_confidence_is_a_fraction(confidence):
    with pytest.raises(ValueError, match=r"^confidence must be .*0\.95 means 95 %"):
        OnOffCounts(1, 2, 0.1).upper_limit(confidence)
