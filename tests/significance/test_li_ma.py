"""Li & Ma: published values, laws, and arithmetic against a hundred decimal digits."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm, poisson

from astroml_kit.significance import (
    expected_exposure,
    expected_significance,
    li_ma,
    li_ma_significance,
)

counts = st.one_of(
    st.just(0),
    st.integers(0, 50),
    st.integers(0, 10**15),
    st.floats(1e-6, 1e15),
)
alphas = st.one_of(st.sampled_from([0.1, 1.0, 0.0625]), st.floats(1e-6, 1e6))


def exact_significance(n_on, n_off, alpha):
    """Eq. 17 of Li & Ma, term by term, with 120 digits; the floats are taken as they are."""
    with localcontext() as context:
        context.prec = 120
        on, off, ratio = Decimal(n_on), Decimal(n_off), Decimal(alpha)
        half = Decimal(0)
        if on:
            half += on * ((1 + ratio) / ratio * on / (on + off)).ln()
        if off:
            half += off * ((1 + ratio) * off / (on + off)).ln()
        value = float((2 * abs(half)).sqrt())
        return math.copysign(value, on - ratio * off) if on != ratio * off else 0.0


@pytest.mark.parametrize(
    ("n_on", "n_off", "alpha", "published"),
    [
        (354, 3441, 0.0758, 5.2),  # HEGRA, 1ES 1959+650, A&A 406 (2003), table 2
        (585, 1960, 0.1429, 14.6),
        (179, 131, 0.0758, 23.4),
        (275, 141, 0.1429, 25.5),
    ],
)
def test_matches_published_values(n_on, n_off, alpha, published):
    # 0.06: the published alphas are rounded
    assert li_ma_significance(n_on, n_off, alpha=alpha) == pytest.approx(published, abs=0.06)


@pytest.mark.parametrize(
    ("n_on", "n_off", "alpha", "expected"),
    [
        (5, 0, 0.1, math.sqrt(10 * math.log(11))),  # eq. 17 by hand with n_off = 0: 4.897
        (0, 5, 0.1, -math.sqrt(10 * math.log(1.1))),  # with n_on = 0: -0.976
        (0, 100, 0.1, -math.sqrt(200 * math.log(1.1))),  # -4.366
        (0, 0, 0.1, 0.0),
        (10, 20, 0.5, 0.0),
    ],
)
def test_any_count_may_be_zero(n_on, n_off, alpha, expected):
    assert li_ma_significance(n_on, n_off, alpha=alpha) == pytest.approx(expected, rel=1e-14)


@given(n_on=counts, n_off=counts, alpha=alphas)
@settings(max_examples=200, deadline=None)
def test_is_right_to_1e_12_of_itself(n_on, n_off, alpha):
    exact = exact_significance(n_on, n_off, alpha)
    assert li_ma_significance(n_on, n_off, alpha=alpha) == pytest.approx(exact, rel=1e-12, abs=0)


@given(
    n_off=st.integers(1, 10**15),
    alpha=st.floats(1e-6, 1e6),
    imbalance=st.floats(-16, 0.5),
    sign=st.sampled_from([-1, 1]),
    whole=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_is_right_near_the_balance_of_on_and_off(n_off, alpha, imbalance, sign, whole):
    n_on = max(0.0, alpha * n_off * (1 + sign * 10**imbalance))
    n_on = round(n_on) if whole else n_on
    exact = exact_significance(n_on, n_off, alpha)
    assert li_ma_significance(n_on, n_off, alpha=alpha) == pytest.approx(exact, rel=1e-12, abs=0)


@given(n_on=counts, n_off=counts, alpha=alphas)
@settings(max_examples=100, deadline=None)
def test_has_the_sign_of_the_excess(n_on, n_off, alpha):
    with localcontext() as context:
        context.prec = 120
        excess = Decimal(n_on) - Decimal(alpha) * Decimal(n_off)
        wanted = 0 if excess == 0 else int(Decimal(1).copy_sign(excess))
    assert np.sign(li_ma_significance(n_on, n_off, alpha=alpha)) == wanted


@given(n_on=counts, more=st.floats(1e-3, 1e3), n_off=counts, alpha=alphas)
@settings(max_examples=100, deadline=None)
def test_grows_with_n_on_and_falls_with_n_off(n_on, more, n_off, alpha):
    step = more * (1 + n_on + n_off)  # not lost in the rounding of the significance
    here = li_ma_significance(n_on, n_off, alpha=alpha)
    above = li_ma_significance(n_on + step, n_off, alpha=alpha)
    below = li_ma_significance(n_on, n_off + step, alpha=alpha)
    assert below < here < above


@given(n_on=counts, n_off=counts, alpha=alphas, factor=st.floats(1e-3, 1e3))
@settings(max_examples=100, deadline=None)
def test_grows_with_the_root_of_the_exposure(n_on, n_off, alpha, factor):
    once = li_ma_significance(n_on, n_off, alpha=alpha)
    assume(abs(once) > 1e-4 * math.sqrt(n_on + n_off))  # rounding the products moves the excess
    more = li_ma_significance(n_on * factor, n_off * factor, alpha=alpha)
    assert more == pytest.approx(once * math.sqrt(factor), rel=1e-6)


@given(n_on=counts, n_off=counts, power=st.integers(-20, 20))
@settings(max_examples=100, deadline=None)
def test_swapping_on_and_off_turns_the_sign(n_on, n_off, power):
    alpha = 2.0**power  # its inverse is exact
    mirrored = li_ma_significance(n_off, n_on, alpha=1 / alpha)
    assert li_ma_significance(n_on, n_off, alpha=alpha) == pytest.approx(-mirrored, rel=1e-12)


@given(n_on=st.floats(0, 1e150), n_off=st.floats(0, 1e150), log_alpha=st.floats(-149, 149))
@settings(max_examples=200, deadline=None)
def test_is_finite_for_everything_it_accepts(n_on, n_off, log_alpha):
    assert math.isfinite(li_ma_significance(n_on, n_off, alpha=10.0**log_alpha))


def test_broadcasts_like_a_loop():
    n_on = np.arange(0, 40, 3)[:, None, None]
    n_off = np.arange(0, 300, 50)[:, None]
    alpha = np.array([0.05, 0.1, 0.5, 2.0])
    together = li_ma_significance(n_on, n_off, alpha=alpha)
    one_by_one = [
        [[li_ma_significance(on, off, alpha=a) for a in alpha] for off in n_off.flat]
        for on in n_on.flat
    ]
    np.testing.assert_array_equal(together, one_by_one)


@pytest.mark.parametrize("dtype", [float, np.float32, np.int64, np.uint16, bool, object])
def test_takes_any_kind_of_number(dtype):
    n_on = np.array([0, 1, 1, 0], dtype=dtype)
    expected = [li_ma_significance(on, 3, alpha=0.5) for on in (0, 1, 1, 0)]
    np.testing.assert_array_equal(li_ma_significance(n_on, 3, alpha=0.5), expected)


def test_scalars_in_scalar_out_and_empty_in_empty_out():
    assert isinstance(li_ma_significance(5, 3, alpha=0.1), float)
    assert li_ma_significance([], [], alpha=0.1).shape == (0,)
    assert li_ma_significance(np.ones((0, 3)), 1, alpha=[0.1, 0.2, 0.3]).shape == (0, 3)


@pytest.mark.parametrize("kind", ["integers", "floats", "alphas"])
def test_blocks_threads_and_tables_change_nothing(monkeypatch, kind):
    rng = np.random.default_rng(3)
    n_on, n_off, alpha = rng.poisson(4, 1003), rng.poisson(30, 1003), 0.125
    if kind == "floats":
        n_on = n_on * 0.5
    if kind == "alphas":
        alpha = rng.uniform(0.05, 0.2, 1003)
    plain = np.array(
        [
            li_ma_significance(on, off, alpha=ratio)
            for on, off, ratio in zip(n_on, n_off, np.broadcast_to(alpha, 1003), strict=True)
        ]
    )
    monkeypatch.setattr(li_ma.os, "cpu_count", lambda: 3)
    for block, per_thread in ((1 << 15, 1 << 17), (7, 1 << 17), (64, 100), (5000, 10)):
        monkeypatch.setattr(li_ma, "_BLOCK", block)
        monkeypatch.setattr(li_ma, "_PAIRS_PER_THREAD", per_thread)
        np.testing.assert_array_equal(li_ma_significance(n_on, n_off, alpha=alpha), plain)


def test_a_table_is_used_where_counts_repeat_and_only_there(monkeypatch):
    monkeypatch.setattr(li_ma, "_BLOCK", 100)
    n_on = np.tile(np.arange(1, 6, dtype=np.uint8), 200)
    n_off = np.tile(np.arange(250, 254, dtype=np.uint8), 250)
    filled = []
    fill = li_ma._fill
    monkeypatch.setattr(li_ma, "_fill", lambda *args: (filled.append(args[0].size), fill(*args))[1])
    by_table = li_ma_significance(n_on, n_off, alpha=0.1)
    assert filled == [20]
    one_by_one = li_ma_significance(n_on, n_off, alpha=np.full(1000, 0.1))
    assert filled == [20, 1000]
    np.testing.assert_array_equal(by_table, one_by_one)


def test_the_input_is_left_alone():
    n_on, n_off, alpha = np.array([3.0, 0.0]), np.array([9.0, 4.0]), np.array([0.1, 0.2])
    before = [a.copy() for a in (n_on, n_off, alpha)]
    li_ma_significance(n_on, n_off, alpha=alpha)
    for array, old in zip((n_on, n_off, alpha), before, strict=True):
        np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize(("background", "alpha"), [(30, 0.1), (100, 0.2), (300, 1.0)])
def test_no_signal_gives_a_standard_normal(background, alpha):
    """Exact sums over both Poisson distributions, no toys."""
    span = [poisson(background), poisson(background / alpha)]
    on, off = (np.arange(d.ppf(1e-9), d.ppf(1 - 1e-9) + 1) for d in span)
    chance = span[0].pmf(on)[:, None] * span[1].pmf(off)
    significance = li_ma_significance(on[:, None], off, alpha=alpha)
    mean = (chance * significance).sum()
    width = math.sqrt((chance * significance**2).sum() - mean**2)
    assert mean == pytest.approx(0, abs=0.05)
    assert width == pytest.approx(1, abs=0.02)
    for z in (-2, 0, 1, 2, 3):
        assert chance[significance > z].sum() == pytest.approx(norm.sf(z), rel=0.15)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"^alpha must be > 0, got 0\.0\. A run without OFF"):
        li_ma_significance(5, 10, alpha=0.0)
    for alpha in (-0.1, np.nan, np.inf, [0.1, 0.0], 1e-200, "wide"):
        with pytest.raises(ValueError, match=r"^alpha must be "):
            li_ma_significance(5, 10, alpha=alpha)
    for bad in (-1, np.nan, np.inf, [3, -2], 1e200, None, "many"):
        with pytest.raises(ValueError, match=r"^n_on must be "):
            li_ma_significance(bad, 10, alpha=0.1)
        with pytest.raises(ValueError, match=r"^n_off must be "):
            li_ma_significance(10, bad, alpha=0.1)
    with pytest.raises(ValueError, match=r"shapes that broadcast, got \(2,\), \(3,\) and \(\)"):
        li_ma_significance([1, 2], [1, 2, 3], alpha=0.1)


def test_agrees_with_gammapy():
    stats = pytest.importorskip("gammapy.stats")
    rng = np.random.default_rng(5)
    n_on, n_off = rng.poisson(12, 500), rng.poisson(60, 500)
    alpha = rng.uniform(0.05, 0.5, 500)
    theirs = stats.WStatCountsStatistic(n_on, n_off, alpha).sqrt_ts
    np.testing.assert_allclose(li_ma_significance(n_on, n_off, alpha=alpha), theirs, atol=1e-5)


def test_agrees_with_pyirf_where_it_does_not_clip_deficits():
    statistics = pytest.importorskip("pyirf.statistics")
    rng = np.random.default_rng(5)
    n_on, n_off = rng.poisson(12, 500), rng.poisson(60, 500)
    theirs = statistics.li_ma_significance(n_on, n_off, 0.125)
    ours = li_ma_significance(n_on, n_off, alpha=0.125)
    np.testing.assert_allclose(np.maximum(ours, 0), theirs, atol=1e-6)


@given(
    signal=st.floats(1e-3, 1e6),
    background=st.one_of(st.just(0.0), st.floats(1e-3, 1e6)),
    alpha=st.floats(0.01, 10),
)
@settings(max_examples=150, deadline=None)
def test_expected_significance_is_li_ma_of_the_expected_counts(signal, background, alpha):
    exact = exact_significance(signal + background, background / alpha, alpha)
    assume(signal > 1e-3 * background)  # else rounding in these counts moves the excess
    assert expected_significance(signal, background, alpha=alpha) == pytest.approx(exact, rel=1e-9)


def test_expected_significance_of_a_faint_signal_is_its_share_of_the_noise():
    # signal / sqrt(background (1 + alpha)) to first order
    wanted = 1e-9 / math.sqrt(1e6 * 1.1)
    assert expected_significance(1e-9, 1e6, alpha=0.1) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(("signal", "background", "alpha"), [(30, 40, 0.1), (60, 100, 0.5)])
def test_expected_significance_is_the_median(signal, background, alpha):
    on, off = poisson(signal + background), poisson(background / alpha)
    n_on, n_off = np.arange(on.ppf(1 - 1e-9)), np.arange(off.ppf(1 - 1e-9))
    chance = (on.pmf(n_on)[:, None] * off.pmf(n_off)).ravel()
    significance = li_ma_significance(n_on[:, None], n_off, alpha=alpha).ravel()
    order = np.argsort(significance)
    median = significance[order][np.searchsorted(np.cumsum(chance[order]), 0.5)]
    assert expected_significance(signal, background, alpha=alpha) == pytest.approx(median, abs=0.1)


def test_expected_significance_undoes_gammapys_sensitivity():
    stats = pytest.importorskip("gammapy.stats")
    background, alpha = np.array([2.0, 20.0, 300.0]), 0.2
    statistic = stats.WStatCountsStatistic(background, background / alpha, np.full(3, alpha))
    signal = statistic.n_sig_matching_significance(5)
    np.testing.assert_allclose(expected_significance(signal, background, alpha=alpha), 5, rtol=1e-3)


@given(
    wanted=st.floats(0, 50),
    signal=st.floats(1e-3, 1e3),
    background=st.floats(0, 1e3),
    alpha=st.floats(0.01, 10),
)
@settings(max_examples=100, deadline=None)
def test_expected_exposure_reaches_the_significance(wanted, signal, background, alpha):
    time = expected_exposure(wanted, signal, background, alpha=alpha)
    reached = expected_significance(signal * time, background * time, alpha=alpha)
    assert reached == pytest.approx(wanted, rel=1e-9)


def test_expected_functions_refuse_what_makes_no_sense():
    with pytest.raises(ValueError, match=r"^n_signal must be .*>= 0"):
        expected_significance(-1, 10, alpha=0.1)
    with pytest.raises(ValueError, match=r"^n_background must be .*>= 0"):
        expected_significance(1, -10, alpha=0.1)
    with pytest.raises(ValueError, match=r"^alpha must be > 0"):
        expected_significance(1, 10, alpha=0)
    with pytest.raises(ValueError, match=r"^rate_signal must be .*Without signal"):
        expected_exposure(5, 0, 10, alpha=0.1)
    with pytest.raises(ValueError, match=r"^significance must be "):
        expected_exposure(-5, 1, 10, alpha=0.1)
