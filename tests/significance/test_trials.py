"""p-values and trials: exact where a naive formula has nothing left."""

import json
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from astroml_kit.significance import (
    correct_for_trials,
    correct_significance,
    find_effective_trials,
    p_value_from_significance,
    significance_from_p_value,
)


@pytest.mark.parametrize(
    ("sigma", "p_value"),
    [
        (0, 0.5),
        (1, 0.15865525393145705),  # Abramowitz & Stegun, table 26.1
        (3, 1.3498980316300946e-3),
        (5, 2.866515718791939e-7),
        (-1, 0.8413447460685429),
        (37, 5.725571222524e-300),  # one-sided tail by the continued fraction of Mills' ratio
    ],
)
def test_p_values_are_one_sided(sigma, p_value):
    assert p_value_from_significance(sigma) == pytest.approx(p_value, rel=1e-9)
    assert significance_from_p_value(p_value) == pytest.approx(sigma, abs=1e-9)


@given(st.floats(-5, 37.5))
@settings(max_examples=200, deadline=None)
def test_the_round_trip_is_exact_in_the_tail(sigma):
    back = significance_from_p_value(p_value_from_significance(sigma))
    assert back == pytest.approx(sigma, rel=1e-9, abs=1e-9)


@given(st.floats(-30, 1e6))
@settings(max_examples=200, deadline=None)
def test_the_round_trip_of_logarithms_never_ends(sigma):
    log_p = p_value_from_significance(sigma, log=True)
    assert significance_from_p_value(log_p, log=True) == pytest.approx(sigma, rel=1e-9, abs=1e-9)


def test_logarithms_are_those_of_the_p_values():
    sigma = np.linspace(-5, 37, 50)
    direct = np.log(p_value_from_significance(sigma))
    np.testing.assert_allclose(p_value_from_significance(sigma, log=True), direct, rtol=1e-9)


def test_the_ends_are_infinite():
    assert significance_from_p_value(0) == math.inf
    assert significance_from_p_value(1) == -math.inf
    assert p_value_from_significance(-math.inf) == 1


@pytest.mark.parametrize("p_value", [-1e-9, 1.1, np.nan, "small"])
def test_p_values_are_probabilities(p_value):
    with pytest.raises(ValueError, match=r"^p_value must be "):
        significance_from_p_value(p_value)
    with pytest.raises(ValueError, match=r"^p_value must be "):
        correct_for_trials(p_value, 2)


def test_nan_is_no_significance():
    for function in (p_value_from_significance, lambda z: correct_significance(z, 2)):
        with pytest.raises(ValueError, match=r"^significance must be "):
            function([1.0, np.nan])


@given(st.floats(-300, 0), st.floats(0, 12))
@settings(max_examples=200, deadline=None)
def test_trials_are_exact_for_tiny_p(log_p, log_n):
    p, n = 10**log_p, 10**log_n
    with localcontext() as context:
        context.prec = 350
        exact = 1.0 if p == 1 else float(1 - ((1 - Decimal(p)).ln() * Decimal(n)).exp())
    assert correct_for_trials(p, n) == pytest.approx(exact, rel=1e-12)


@given(st.floats(-8, 37), st.floats(1, 1e9))
@settings(max_examples=200, deadline=None)
def test_significances_and_p_values_are_corrected_alike(sigma, n_trials):
    corrected = correct_significance(sigma, n_trials)
    p_value = correct_for_trials(p_value_from_significance(sigma), n_trials)
    assert p_value_from_significance(corrected) == pytest.approx(p_value, rel=1e-9, abs=1e-12)
    assert corrected <= sigma + 1e-9


def test_corrected_significances_are_right_beyond_the_smallest_p_value():
    log_p = p_value_from_significance(47.0, log=True) + math.log(1000)
    assert correct_significance(47.0, 1000) == pytest.approx(
        significance_from_p_value(log_p, log=True), rel=1e-12
    )


@pytest.mark.parametrize("n_trials", [1, 2.5, 1000])
def test_the_two_branches_meet(n_trials):
    below, above = correct_significance([20 - 1e-9, 20.0], n_trials)
    assert below == pytest.approx(above, abs=1e-8)


def test_one_trial_changes_nothing():
    sigma = np.array([-3.0, 0.0, 2.0, 5.0, 19.0, 25.0, 60.0])
    np.testing.assert_allclose(correct_significance(sigma, 1), sigma, rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(correct_for_trials([0, 1e-300, 0.5, 1], 1), [0, 1e-300, 0.5, 1])


def test_fewer_than_one_trial_is_refused():
    for function in (correct_for_trials, correct_significance):
        with pytest.raises(ValueError, match=r"^n_trials must be .*The test itself is one trial"):
            function(0.1, 0.5)


@pytest.mark.parametrize("n_tests", [1, 4, 30])
def test_independent_tests_count_fully(n_tests):
    rng = np.random.default_rng(4)
    toys = rng.standard_normal((40_000, n_tests)).max(axis=1)
    found = find_effective_trials(toys, threshold=2.5, confidence=0.9973)
    assert found.interval[0] < n_tests < found.interval[1]
    assert found.interval[1] / found.interval[0] < 1.6


def test_tests_that_repeat_each_other_count_once():
    rng = np.random.default_rng(4)
    toys = np.repeat(rng.standard_normal((20_000, 1)), 10, axis=1).max(axis=1)
    found = find_effective_trials(toys, threshold=2, confidence=0.9973)
    assert found.interval[0] < 1 < found.interval[1]


def test_the_interval_covers():
    rng = np.random.default_rng(11)
    inside = 0
    for _ in range(400):
        found = find_effective_trials(rng.standard_normal((500, 5)).max(axis=1), confidence=0.68)
        inside += found.interval[0] < 5 < found.interval[1]
    assert 0.64 < inside / 400 < 0.80  # Clopper-Pearson never covers less than it says


def test_effective_trials_say_where_they_come_from():
    found = find_effective_trials([0.1, 2.5, 1.0, 3.0], threshold=2)
    assert (found.n_exceeding, found.n_toys, found.threshold) == (2, 4, 2)
    expected = math.log(0.5) / math.log(norm.cdf(2))
    assert found.n_trials == pytest.approx(expected)
    assert "from 2 of 4 toys" in str(found)
    assert json.loads(json.dumps(found.to_dict()))["n_trials"] == pytest.approx(expected)


@pytest.mark.parametrize("toys", [[0.1, 0.2], [3.0, 4.0], []])
def test_a_useless_threshold_is_named(toys):
    with pytest.raises(ValueError, match=r"^threshold must be reached by some toys"):
        find_effective_trials(toys)


def test_toys_come_one_number_each():
    with pytest.raises(ValueError, match=r"^max_significances must be one number per toy"):
        find_effective_trials(np.zeros((10, 3)))
