"""The gain: paired resampling, honest intervals, likelihoods and counts side by side."""

import json
import math

import numpy as np
import pytest

from astroml_kit.significance import (
    DetectionGain,
    OnOffCounts,
    PlainSignificance,
    compare_selections,
    expected_significance,
    stack_counts,
)


def draw_runs(rng, n_runs, *, signal, background, alpha=0.1):
    return [
        OnOffCounts(int(on), int(off), alpha)
        for on, off in zip(
            rng.poisson(signal + background, n_runs),
            rng.poisson(background / alpha, n_runs),
            strict=True,
        )
    ]


@pytest.fixture
def sides():
    rng = np.random.default_rng(8)
    standard = draw_runs(rng, 12, signal=9, background=25)
    learned = draw_runs(rng, 12, signal=7, background=6)
    return standard, learned


def test_the_gain_is_the_ratio_of_the_stacks(sides):
    gain = compare_selections(*sides, n_trials=20, rng=1)
    standard, learned = (stack_counts(side) for side in sides)
    assert gain.baseline == standard
    assert gain.selected == learned
    assert gain.ratio == pytest.approx(learned.significance / standard.significance)
    assert gain.exposure_factor == pytest.approx(gain.ratio**2)
    assert gain.ratio_interval[0] < gain.ratio < gain.ratio_interval[1]
    assert 0 < gain.significance_post_trial < learned.significance
    assert (gain.n_runs, gain.n_trials, gain.n_unbounded) == (12, 20, 0)


def test_the_same_seed_gives_the_same_interval(sides):
    first, again, other = (compare_selections(*sides, rng=seed) for seed in (5, 5, 6))
    assert first == again
    assert first.ratio_interval != other.ratio_interval
    assert compare_selections(*sides, rng=np.random.default_rng(5)) == first


def test_the_bootstrap_is_paired(sides):
    standard, _ = sides
    gain = compare_selections(standard, standard, rng=1)
    assert gain.ratio == 1
    assert gain.ratio_interval == (1, 1)


def test_a_statistic_of_run_weights_stands_in_for_counts(sides):
    standard, learned = sides

    def stack(weights):
        assert weights.shape == (12,)
        assert weights.dtype.kind == "i"
        assert weights.sum() == 12
        repeated = [run for run, times in zip(learned, weights, strict=True) for _ in range(times)]
        return stack_counts(repeated)

    counts = compare_selections(standard, learned, n_bootstrap=50, rng=3)
    objects = compare_selections(standard, stack, n_bootstrap=50, rng=3)
    numbers = compare_selections(
        standard, lambda weights: stack(weights).significance, n_bootstrap=50, rng=3
    )
    assert objects == counts
    assert numbers.selected == PlainSignificance(counts.selected.significance)
    assert numbers.ratio_interval == pytest.approx(counts.ratio_interval)
    both = compare_selections(stack, stack, n_runs=12, n_bootstrap=5, rng=3)
    assert both.ratio == 1


def test_matched_moments_can_be_asked_for():
    runs = [OnOffCounts(40, 300, 0.1), OnOffCounts(45, 30, 1.0)]
    gain = compare_selections(runs, runs, method="moments", rng=0)
    assert gain.baseline == stack_counts(runs, method="moments")


def test_the_interval_covers_the_true_ratio():
    rng = np.random.default_rng(12)
    n_runs, alpha = 20, 0.1
    truth = expected_significance(n_runs * 7, n_runs * 6, alpha=alpha) / expected_significance(
        n_runs * 9, n_runs * 25, alpha=alpha
    )
    inside = 0
    for _ in range(200):
        # what passes the learned selection is part of what passes the standard one
        kept_on = rng.poisson(13, n_runs)
        kept_off = rng.poisson(60, n_runs)
        all_on, all_off = kept_on + rng.poisson(21, n_runs), kept_off + rng.poisson(190, n_runs)
        standard, learned = (
            [OnOffCounts(int(a), int(b), alpha) for a, b in zip(on, off, strict=True)]
            for on, off in ((all_on, all_off), (kept_on, kept_off))
        )
        low, high = compare_selections(standard, learned, n_bootstrap=300, rng=rng).ratio_interval
        inside += low <= truth <= high
    assert 0.58 < inside / 200 < 0.76  # 0.68 within three standard errors, a little narrow


def test_one_run_has_a_ratio_and_no_interval():
    gain = compare_selections([OnOffCounts(30, 200, 0.1)], [OnOffCounts(18, 60, 0.1)])
    assert gain.ratio > 1
    assert all(math.isnan(limit) for limit in gain.ratio_interval)
    assert "no interval" in str(gain)
    assert "1 run)" in str(gain)


def test_a_baseline_without_excess_leaves_the_ratio_open():
    weak = [OnOffCounts(n_on, 200, 0.1) for n_on in (15, 25, 22, 21)]
    strong = [OnOffCounts(30, 100, 0.1)] * 4
    gain = compare_selections(weak, strong, rng=2)
    assert gain.n_unbounded > 0
    assert gain.ratio_interval[1] == math.inf
    deficit = compare_selections([OnOffCounts(5, 200, 0.1)] * 4, strong, rng=2)
    assert math.isnan(deficit.ratio)
    assert math.isnan(deficit.exposure_factor)
    assert deficit.n_unbounded == deficit.n_bootstrap


def test_a_lost_source_is_worth_no_exposure(sides):
    standard, _ = sides
    gain = compare_selections(standard, [OnOffCounts(5, 200, 0.1)] * 12, rng=2)
    assert gain.ratio < 0
    assert math.isnan(gain.exposure_factor)


def test_it_reads_as_one_line_and_as_json(sides):
    gain = compare_selections(*sides, n_trials=3, rng=1)
    assert str(gain).count("\n") == 0
    assert f"ratio {gain.ratio:.2f}" in str(gain)
    assert "68% over 12 runs" in str(gain)
    assert "after 3 trials" in str(gain)
    answer = json.loads(json.dumps(gain.to_dict()))
    assert answer["baseline"]["n_on"] == gain.baseline.n_on
    assert answer["ratio_interval"] == list(gain.ratio_interval)
    assert answer["significance_post_trial"] == gain.significance_post_trial


def test_anything_with_a_significance_can_be_compared():
    class Fit:
        significance = 7.5

    gain = DetectionGain(PlainSignificance(5.0), Fit(), (1.4, 1.6), 0.68, 4, 100, 0, 1)
    assert gain.ratio == pytest.approx(1.5)
    assert gain.to_dict()["selected"] == {"significance": 7.5}
    assert gain.significance_post_trial == pytest.approx(7.5)


def test_strong_sources_survive_their_trials():
    gain = DetectionGain(PlainSignificance(43.0), PlainSignificance(47.7), (1, 2), 0.68, 4, 9, 0, 9)
    assert 47 < gain.significance_post_trial < 47.7


def test_wrong_input_is_named(sides):
    standard, learned = sides
    with pytest.raises(ValueError, match=r"^n_runs must be .*same on both sides, got \[11, 12\]"):
        compare_selections(standard, learned[1:])
    with pytest.raises(ValueError, match=r"^n_runs must be .*with two functions, n_runs"):
        compare_selections(len, len)
    with pytest.raises(ValueError, match=r"^n_runs must be .*got \[0\]"):
        compare_selections([], [])
    with pytest.raises(ValueError, match=r"^n_runs must be .*got \[3, 12\]"):
        compare_selections(standard, learned, n_runs=3)
    with pytest.raises(ValueError, match=r"^selected_runs must be OnOffCounts"):
        compare_selections(standard[:1], [(1, 2, 0.1)])
    with pytest.raises(ValueError, match=r"^n_trials must be .*>= 1, got 0"):
        compare_selections(standard, learned, n_trials=0)
    with pytest.raises(ValueError, match=r"^confidence must be "):
        compare_selections(standard, learned, confidence=68)
    with pytest.raises(ValueError, match=r"^n_bootstrap must be an integer >= 1, got 0"):
        compare_selections(standard, learned, n_bootstrap=0)
    with pytest.raises(ValueError, match=r"^method must be one of"):
        compare_selections(standard, learned, method="mean")
    with pytest.raises(ValueError, match=r"^selected_runs\(weights\) must be finite"):
        compare_selections(standard, lambda weights: np.nan)
