import numpy as np
import pytest
from scipy.stats import norm

from astroml_kit.significance import ScoreBins, binned_significance, resample_significance

BACKGROUND = np.array([60.0, 30, 15, 8, 4])
SIGNAL = np.ones(5)


def make_off(rng, *, reuse=8, share=0.02, background=BACKGROUND):
    """Events that fall in ``reuse`` rotations on average, each rotation in a random bin."""
    n_events = rng.poisson(background.sum() / (reuse * share))
    times = rng.poisson(reuse, n_events)
    bins = rng.multinomial(times, background / background.sum())
    return bins[times > 0] * share


def test_null_is_a_standard_normal_with_reused_off_events():
    rng = np.random.default_rng(11)
    values = []
    for _ in range(400):
        # the same events, thinner and thicker: the truth is the mean of many draws
        off = make_off(rng, background=5 * BACKGROUND, share=0.02)
        values.append(ScoreBins(rng.poisson(5 * BACKGROUND), SIGNAL, off).significance)
    assert np.mean(values) == pytest.approx(0, abs=0.15)
    assert np.std(values) == pytest.approx(1, abs=0.12)


def test_ignoring_the_reuse_of_events_would_be_seen():
    """The same null with alpha of independent events is too wide: the test above can fail."""
    rng = np.random.default_rng(11)
    values = []
    for _ in range(200):
        off = make_off(rng, background=5 * BACKGROUND, share=0.1)
        b = off.sum(axis=0)
        values.append(
            binned_significance(rng.poisson(5 * BACKGROUND), b / 0.02, alpha=0.02, signal=SIGNAL)
        )
    assert np.std(values) > 1.15


def test_merge_fills_bins_from_the_top_and_keeps_totals():
    off = make_off(np.random.default_rng(2))
    before = ScoreBins([50, 20, 9, 3, 1], SIGNAL, off)
    after = before.merge(before.group(min_off=150))
    effective = after.background**2 / np.diag(after.covariance)
    assert np.all(effective >= 150)
    assert len(after.n_on) < 5
    assert after.n_on.sum() == before.n_on.sum()
    assert after.signal.sum() == before.signal.sum()
    np.testing.assert_allclose(after.background.sum(), before.background.sum())
    # ON counts must not decide how bins are merged
    other = ScoreBins([0, 0, 0, 900, 900], SIGNAL, off)
    np.testing.assert_array_equal(other.group(min_off=150), before.group(min_off=150))


def test_stack_adds_runs():
    rng = np.random.default_rng(4)
    runs = [ScoreBins(rng.poisson(BACKGROUND), SIGNAL, make_off(rng)) for _ in range(3)]
    stack = ScoreBins.stack(runs)
    np.testing.assert_allclose(stack.background, sum(run.background for run in runs))
    np.testing.assert_allclose(stack.covariance, sum(run.covariance for run in runs))
    assert stack.signal.tolist() == [3.0] * 5


def test_resampling_with_unit_weights_is_the_stack():
    rng = np.random.default_rng(4)
    runs = [ScoreBins(rng.poisson(9 * BACKGROUND), SIGNAL, make_off(rng)) for _ in range(3)]
    unit, twice = resample_significance(runs, [[1, 1, 1], [2, 0, 0]])
    assert unit == pytest.approx(ScoreBins.stack(runs).significance)
    assert twice == pytest.approx(ScoreBins.stack([runs[0], runs[0]]).significance)
    with pytest.raises(ValueError, match="not all 0"):
        resample_significance(runs, [0, 0, 0])


def test_calibration_agrees_with_plain_toys_where_those_reach():
    """Importance sampling must give the tail that brute force gives, here at about 3 sigma."""
    rng = np.random.default_rng(5)
    bins = ScoreBins(BACKGROUND + np.array([6, 7, 6, 5, 4]), SIGNAL, make_off(rng)).merge()
    result = bins.calibrate(n_toys=4000, rng=1)
    assert 2 < result.nominal < 4
    n_on = rng.poisson(bins.background, size=(20_000, len(bins.n_on)))
    off = rng.poisson(1.0, size=(20_000, len(bins.off))) @ bins.off
    toys = binned_significance(n_on, off / bins.alpha, alpha=bins.alpha, signal=bins.signal)
    brute = np.mean(toys > bins.significance)
    assert norm.sf(result.significance) == pytest.approx(brute, rel=0.3)
    probability, error = bins.measure_tail(bins.significance, rng=2)
    assert probability == pytest.approx(brute, rel=0.2)
    assert error < 0.1


@pytest.mark.parametrize(("significance", "within"), [(3, 1.5), (4, 1.5), (5, 1.5)])
def test_the_tail_is_near_nominal_far_beyond_three_sigma(significance, within):
    rng = np.random.default_rng(8)
    bins = ScoreBins(BACKGROUND, SIGNAL, make_off(rng)).merge()
    probability, error = bins.measure_tail(significance)
    assert error < 0.15
    assert 1 / within < probability / norm.sf(significance) < within


def test_calibration_is_repeatable_and_survives_the_far_tail():
    rng = np.random.default_rng(6)
    bins = ScoreBins(BACKGROUND * 12, SIGNAL, make_off(rng)).merge()
    first, second = bins.calibrate(rng=3), bins.calibrate(rng=3)
    assert first == second
    assert first.nominal > 38  # a plain p-value would underflow
    assert np.isfinite(first.significance)
    assert first.error < 0.2
    assert "sigma" in str(first)
    assert first.to_dict()["n_toys"] == 2000


def test_a_deficit_is_calibrated_in_its_own_tail():
    bins = ScoreBins(BACKGROUND * 0.6, SIGNAL, make_off(np.random.default_rng(7))).merge()
    result = bins.calibrate()
    assert result.nominal < -2
    assert result.significance == pytest.approx(result.nominal, abs=0.5)


def test_score_bins_say_what_is_wrong():
    with pytest.raises(ValueError, match="must share their bins"):
        ScoreBins([1, 2], [1.0, 1.0], np.ones((4, 3)))
    empty = ScoreBins([1, 2], [1.0, 1.0], np.array([[0.1, 0.0]]))
    with pytest.raises(ValueError, match="off must be filled in every bin"):
        _ = empty.significance
    with pytest.raises(ValueError, match="non-empty list"):
        ScoreBins.stack([])


def test_events_outside_every_bin_change_nothing():
    off = make_off(np.random.default_rng(9))
    padded = np.concatenate([off, np.zeros((5, off.shape[1]))])
    one, two = (ScoreBins(BACKGROUND + 8, SIGNAL, rows).merge() for rows in (off, padded))
    assert one.calibrate() == two.calibrate()
