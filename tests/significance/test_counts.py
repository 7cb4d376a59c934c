"""OnOffCounts and stacking: properties, the stacking trap, and the width of the null."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from astroml_kit.significance import OnOffCounts, li_ma_significance, stack_counts
from astroml_kit.significance.counts import sum_runs

runs_strategy = st.lists(
    st.builds(
        OnOffCounts,
        st.integers(0, 1000),
        st.integers(0, 10_000),
        st.floats(0.01, 5),
    ),
    min_size=1,
    max_size=8,
)


def test_counts_know_what_follows_from_them():
    counts = OnOffCounts(30, 200, 0.1)
    assert counts.background == pytest.approx(20)
    assert counts.excess == pytest.approx(10)
    assert counts.excess_error == pytest.approx(math.sqrt(30 + 0.01 * 200))
    assert counts.significance == li_ma_significance(30, 200, alpha=0.1)
    assert counts.p_value == pytest.approx(norm.sf(counts.significance), rel=1e-12)
    assert str(counts) == "n_on 30, n_off 200, alpha 0.1: excess 10.0 +- 5.7, 1.97 sigma"
    assert json.loads(json.dumps(counts.to_dict()))["excess"] == pytest.approx(10)


def test_counts_are_frozen_plain_numbers():
    counts = OnOffCounts(np.int32(3), np.float64(2.5), np.array([0.5]))
    assert (counts.n_on, counts.n_off, counts.alpha) == (3, 2.5, 0.5)
    assert [type(value) for value in dataclasses.astuple(counts)] == [int, float, float]
    with pytest.raises(dataclasses.FrozenInstanceError):
        counts.n_on = 4


def test_an_empty_observation_has_no_opinion():
    counts = OnOffCounts(0, 0, 0.1)
    assert (counts.excess, counts.excess_error, counts.significance) == (0, 0, 0)
    assert counts.p_value == 0.5
    assert "-0" not in str(OnOffCounts(1, 10, 0.1))  # the float 0.1 is a little more than 1/10


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(1e-3, 1e3))
@settings(max_examples=100, deadline=None)
def test_excess_and_significance_have_one_sign(n_on, n_off, alpha):
    counts = OnOffCounts(n_on, n_off, alpha)
    assert np.sign(counts.excess) == np.sign(counts.significance)


def test_wrong_counts_are_named():
    for alpha in (0, 0.0, -1):
        with pytest.raises(ValueError, match=r"^alpha must be > 0, got .*A run without OFF"):
            OnOffCounts(5, 0, alpha)
    with pytest.raises(ValueError, match=r"^n_on must be .*>= 0, got -1"):
        OnOffCounts(-1, 0, 0.1)
    with pytest.raises(ValueError, match=r"^n_off must be finite"):
        OnOffCounts(1, np.nan, 0.1)
    with pytest.raises(ValueError, match=r"^n_on must be one number, got .*li_ma_significance"):
        OnOffCounts([1, 2], 3, 0.1)


def test_the_stacking_trap():
    runs = [OnOffCounts(30, 200, 0.1), OnOffCounts(30, 50, 0.5)]
    stack = stack_counts(runs)
    assert (stack.n_on, stack.n_off) == (60, 250)
    assert stack.alpha == pytest.approx(45 / 250)
    assert stack.significance == pytest.approx(1.94, abs=0.005)
    averaged = li_ma_significance(60, 250, alpha=np.mean([0.1, 0.5]))
    assert averaged == pytest.approx(-1.59, abs=0.005)  # what not to do


def test_matched_moments_keep_the_background_and_its_variance():
    runs = [OnOffCounts(30, 200, 0.1), OnOffCounts(30, 50, 0.5)]
    stack = stack_counts(runs, method="moments")
    assert stack.background == pytest.approx(0.1 * 200 + 0.5 * 50)
    assert stack.alpha**2 * stack.n_off == pytest.approx(0.01 * 200 + 0.25 * 50)


@given(runs_strategy, st.sampled_from(["counts", "moments"]))
@settings(max_examples=100, deadline=None)
def test_stacks_keep_what_they_promise(runs, method):
    stack = stack_counts(runs, method=method)
    assert stack.n_on == sum(run.n_on for run in runs)
    assert stack.background == pytest.approx(sum(run.background for run in runs), abs=1e-9)
    assert stack.excess == pytest.approx(sum(run.excess for run in runs), abs=1e-7)
    alphas = [run.alpha for run in runs]
    assert min(alphas) * (1 - 1e-9) <= stack.alpha <= max(alphas) * (1 + 1e-9)
    assert stack_counts(runs[::-1], method=method).alpha == pytest.approx(stack.alpha)
    if method == "moments":
        variance = sum(run.alpha**2 * run.n_off for run in runs)
        assert stack.alpha**2 * stack.n_off == pytest.approx(variance, abs=1e-9)


@given(st.integers(0, 50), st.integers(0, 500), st.floats(0.01, 5), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_like_runs_stack_to_one_long_run(n_on, n_off, alpha, n_runs):
    for method in ("counts", "moments"):
        stack = stack_counts([OnOffCounts(n_on, n_off, alpha)] * n_runs, method=method)
        assert stack.n_on == n_runs * n_on
        assert stack.n_off == pytest.approx(n_runs * n_off, rel=1e-9)
        assert stack.alpha == pytest.approx(alpha, rel=1e-9)


def test_without_any_off_count_alpha_is_the_limit_of_equal_exposures():
    runs = [OnOffCounts(3, 0, 0.1), OnOffCounts(1, 0, 1.0)]
    stack = stack_counts(runs)
    assert (stack.n_on, stack.n_off) == (4, 0)
    # equal ON exposures mean OFF counts in proportion to 1 / alpha
    expected = [OnOffCounts(3, 10_000, 0.1), OnOffCounts(1, 1000, 1.0)]
    for method in ("counts", "moments"):
        limit = stack_counts(expected, method=method).alpha
        assert stack_counts(runs, method=method).alpha == pytest.approx(limit)


def test_weights_are_repetitions():
    rng = np.random.default_rng(2)
    runs = [OnOffCounts(int(a), int(b), c) for a, b, c in zip(
        rng.poisson(5, 6), rng.poisson(2, 6), rng.uniform(0.1, 1, 6), strict=True)]  # fmt: skip
    arrays = [np.array([getattr(run, name) for run in runs]) for name in ("n_on", "n_off", "alpha")]
    weights = rng.multinomial(6, np.full(6, 1 / 6), size=20)
    for method in ("counts", "moments"):
        together = np.transpose(sum_runs(*arrays, weights=weights, method=method))
        for row, summed in zip(weights, together, strict=True):
            repeated = [run for run, times in zip(runs, row, strict=True) for _ in range(times)]
            stack = stack_counts(repeated, method=method)
            assert dataclasses.astuple(stack) == pytest.approx(tuple(summed))


def test_mixed_alphas_need_matched_moments():
    """Alphas of 1 and 0.1 mixed: null width 1.143 and P(> 3) = 0.0050 with averaged alpha, 0.999
    and 0.0014 with matched moments."""
    rng = np.random.default_rng(7)
    alpha, background = np.array([1.0, 0.1]), 100
    n_on = rng.poisson(background, (200_000, 2))
    n_off = rng.poisson(background / alpha, (200_000, 2))
    for method, width, beyond in (("counts", 1.143, 0.0050), ("moments", 0.999, 0.0014)):
        on, off, ratio = sum_runs(n_on, n_off, alpha, method=method)
        significance = li_ma_significance(on, off, alpha=ratio)
        assert significance.std() == pytest.approx(width, abs=0.005)
        assert np.mean(significance > 3) == pytest.approx(beyond, rel=0.15)


def test_stacking_refuses_what_is_not_a_run():
    with pytest.raises(ValueError, match=r"^runs must be OnOffCounts, at least one, got none"):
        stack_counts([])
    with pytest.raises(ValueError, match=r"got a tuple among them\. Write OnOffCounts"):
        stack_counts([OnOffCounts(1, 2, 0.1), (1, 2, 0.1)])
    with pytest.raises(ValueError, match=r"^method must be one of"):
        stack_counts([OnOffCounts(1, 2, 0.1)], method="mean")
