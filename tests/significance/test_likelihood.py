import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from astroml_kit.significance import binned_significance, fit_strength

counts = st.one_of(st.integers(0, 20), st.integers(0, 10**6)).map(float)
signals = st.floats(1e-6, 1e6)
alphas = st.floats(1e-3, 10)
bins = st.integers(1, 8).flatmap(
    lambda k: st.tuples(*(st.lists(s, min_size=k, max_size=k) for s in (counts,) * 2), *(
        st.lists(s, min_size=k, max_size=k) for s in (alphas, signals)))
)  # fmt: skip


def li_ma(n_on, n_off, alpha):
    """Eq. 17 of Li & Ma (1983), written down naively for counts > 0."""
    total = n_on + n_off
    first = n_on * np.log((1 + alpha) / alpha * n_on / total)
    second = n_off * np.log((1 + alpha) * n_off / total)
    return np.sign(n_on - alpha * n_off) * np.sqrt(2 * (first + second))


@pytest.mark.parametrize(("n_on", "n_off", "alpha", "published"), [
    (354, 3441, 0.0758, 5.2),  # HEGRA, 1ES 1959+650, A&A 2003, table 2
    (585, 1960, 0.1429, 14.6),
    (179, 131, 0.0758, 23.4),
    (275, 141, 0.1429, 25.5),
    (5, 0, 0.1, 4.897),
    (0, 5, 0.1, -0.976),
    (0, 100, 0.1, -4.366),
    (0, 0, 0.1, 0.0),
])  # fmt: skip
def test_one_bin_is_li_ma(n_on, n_off, alpha, published):
    digits = 0.06 if published > 5 else 5e-4  # the paper gives one decimal
    assert binned_significance(n_on, n_off, alpha=alpha, signal=3.0) == pytest.approx(
        published, abs=digits
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10**9), st.integers(1, 10**9), st.floats(1e-3, 10), signals)
def test_one_bin_is_li_ma_everywhere(n_on, n_off, alpha, signal):
    expected = li_ma(n_on, n_off, alpha)
    assume(abs(expected) > 1e-2)  # the naive formula cancels below
    got = binned_significance(n_on, n_off, alpha=alpha, signal=signal)
    assert got == pytest.approx(expected, rel=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10**4), st.integers(1, 10**4), st.floats(0.01, 1), st.integers(2, 6))
def test_bins_with_equal_ratios_add_up_to_one_bin(n_on, n_off, alpha, k):
    n, m = np.full(k, n_on), np.full(k, n_off)
    split = binned_significance(n, m, alpha=alpha, signal=np.ones(k))
    joined = binned_significance(k * n_on, k * n_off, alpha=alpha, signal=1.0)
    assert split == pytest.approx(joined, rel=1e-6, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(bins)
def test_every_valid_input_has_a_finite_answer_of_the_right_sign(case):
    n, m, alpha, signal = map(np.array, case)
    significance = binned_significance(n, m, alpha=alpha, signal=signal)
    strength = fit_strength(n, m, alpha=alpha, signal=signal)
    assert np.isfinite(significance)
    assert np.isfinite(strength)
    assert significance * strength >= 0
    excess = n - alpha * m
    if np.all(excess > 0):
        assert significance > 0
    if np.all(excess < 0):
        assert significance < 0


@settings(max_examples=60, deadline=None)
@given(bins, st.floats(1e-3, 1e3))
def test_only_the_shape_of_the_signal_matters(case, scale):
    n, m, alpha, signal = map(np.array, case)
    one = binned_significance(n, m, alpha=alpha, signal=signal)
    two = binned_significance(n, m, alpha=alpha, signal=scale * signal)
    assert one == pytest.approx(two, rel=1e-6, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(bins, st.randoms())
def test_order_of_bins_does_not_matter(case, random):
    order = list(range(len(case[0])))
    random.shuffle(order)
    n, m, alpha, signal = map(np.array, case)
    one = binned_significance(n, m, alpha=alpha, signal=signal)
    two = binned_significance(n[order], m[order], alpha=alpha[order], signal=signal[order])
    assert one == pytest.approx(two, rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(bins)
def test_no_strength_is_more_likely_than_the_fitted_one(case):
    n, m, alpha, signal = map(np.array, case)
    signal = signal / signal.sum()
    best = float(fit_strength(n, m, alpha=alpha, signal=signal))

    def log_likelihood(strength):
        """The profile likelihood with the formula of the recipe, for strengths >= 0."""
        c = alpha * (n + m) - (1 + alpha) * strength * signal
        root = np.sqrt(c**2 + 4 * alpha * (1 + alpha) * m * strength * signal)
        b = np.maximum((c + root) / (2 * alpha * (1 + alpha)), 1e-12)
        x = strength * signal + alpha * b
        return np.sum(n * np.log(np.maximum(x, 1e-12)) - x + m * np.log(b) - b)

    assume(best > 1e-3)
    top = log_likelihood(best)
    slack = 1e-9 * (1 + (n + m).sum() * 20)
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert log_likelihood(best * factor) <= top + slack


def test_leading_axes_broadcast():
    n = np.arange(24.0).reshape(2, 3, 4)
    got = binned_significance(n, [20.0, 30, 40, 50], alpha=0.2, signal=[1.0, 2, 3, 4])
    one = binned_significance(n[1, 2], [20.0, 30, 40, 50], alpha=0.2, signal=[1.0, 2, 3, 4])
    assert got.shape == (2, 3)
    assert got[1, 2] == one


def test_a_bin_without_signal_is_passed_over():
    with_it = binned_significance([12, 7], [100, 3], alpha=0.05, signal=[1.0, 0.0])
    assert with_it == binned_significance([12], [100], alpha=0.05, signal=[1.0])


def test_bad_input_is_named():
    good = {"alpha": 0.1, "signal": [1.0, 2.0]}
    with pytest.raises(ValueError, match=r"n_on must be finite and >= 0, got -1"):
        binned_significance([-1, 2], [1, 2], **good)
    with pytest.raises(ValueError, match="n_off must be finite"):
        binned_significance([1, 2], [np.nan, 2], **good)
    with pytest.raises(ValueError, match=r"alpha must be finite and > 0, got 0"):
        binned_significance([1, 2], [1, 2], alpha=0, signal=[1, 1])
    with pytest.raises(ValueError, match="signal must be > 0 in at least one bin"):
        binned_significance([1, 2], [1, 2], alpha=1, signal=[0, 0])
