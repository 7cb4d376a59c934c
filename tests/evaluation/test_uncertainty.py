"""Coverage and sharpness: values by hand, laws of proper scores, and what must be refused."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from astroml_kit.evaluation import evaluate_intervals, evaluate_sets

Y = np.array([1.0, 2.0, 3.0, 9.0])
ENDS = np.array([[0.0, 2.0], [1.0, 4.0], [2.0, 4.0], [3.0, 5.0]])


def test_intervals_by_hand():
    result = evaluate_intervals(Y, ENDS, nominal=0.5, bands=["a", "a", "b", "b"])
    assert result.coverage == 0.75
    assert result.width == pytest.approx(9 / 4)
    # one miss by 4, at 2 / (1 - 0.5)
    assert result.score == pytest.approx((9 + 4 * 4) / 4)
    assert result.error == pytest.approx(np.sqrt(0.25 / 4))
    assert result.deviation == pytest.approx(1)
    assert result.bands["band"].tolist() == ["a", "b"]
    assert result.bands["n"].tolist() == [2, 2]
    assert result.bands["coverage"].tolist() == [1, 0.5]
    assert result.bands["width"].tolist() == [2.5, 2]
    assert result.bands["score"].tolist() == [2.5, 10]


def test_sets_by_hand():
    y = np.array(["g", "g", "h", "h"])
    sets = [[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]]
    result = evaluate_sets(y, sets, classes=["g", "h", "mu"], nominal=0.9)
    assert (result.coverage, result.size, result.empty, result.single) == (0.5, 1, 0.25, 0.5)
    assert result.classes["class"].tolist() == ["g", "h"]
    assert result.classes["coverage"].tolist() == [1, 0]
    assert result.classes["size"].tolist() == [1.5, 0.5]
    assert result.error == pytest.approx(0.15)


def test_ends_count_as_inside():
    assert evaluate_intervals([0.0, 1.0], [[0, 0], [0, 1]]).coverage == 1


@pytest.mark.parametrize("result", [
    evaluate_intervals(Y, ENDS, bands=[0, 0, 1, 1], weights=[1, 1, 0, 0]),
    evaluate_intervals(Y, [[-np.inf, np.inf]] * 4),
    evaluate_sets([0, 1], [[True, False], [True, False]]),
])  # fmt: skip
def test_results_are_json_and_one_line(result):
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert plain["n_samples"] == result.n_samples
    assert plain["deviation"] == pytest.approx(result.deviation)
    assert "\n" not in str(result)
    assert f"coverage {result.coverage:.4f}" in str(result)


def test_a_band_without_weight_is_not_a_number():
    result = evaluate_intervals(Y, ENDS, bands=[0, 0, 1, 1], weights=[1, 1, 0, 0])
    assert np.isnan(result.bands["coverage"][1])
    assert result.coverage == 1


@pytest.mark.parametrize("nominal", [0.5, 0.9, 0.99])
def test_true_quantiles_cover_what_they_promise(nominal):
    rng = np.random.default_rng(1)
    scale = rng.uniform(0.5, 2, 20_000)
    y = scale * rng.normal(size=20_000)
    ends = np.outer(scale, norm.interval(nominal))
    result = evaluate_intervals(y, ends, nominal=nominal, bands=scale > 1)
    assert abs(result.deviation) < 4
    for row in result.bands:
        assert abs(row["coverage"] - nominal) < 4 * row["error"]


def test_the_interval_score_is_best_at_the_true_quantiles():
    y = np.random.default_rng(2).normal(size=20_000)
    scores = [
        evaluate_intervals(y, np.tile(f * np.array(norm.interval(0.9)), (len(y), 1))).score
        for f in (0.7, 1.0, 1.4)
    ]
    assert scores[1] == min(scores)


def test_deviations_have_unit_spread_and_groups_are_what_counts():
    rng = np.random.default_rng(3)
    plain, grouped = [], []
    for _ in range(300):
        inside = np.repeat(rng.uniform(size=100) < 0.9, 4)
        sets = np.column_stack([inside, ~inside])
        y, group = np.zeros(400), np.arange(400) // 4
        options = {"classes": [0, 1], "nominal": 0.9}
        plain.append(evaluate_sets(y, sets, **options).deviation)
        grouped.append(evaluate_sets(y, sets, groups=group, **options).deviation)
    assert 0.85 < np.std(grouped) < 1.15
    assert np.std(plain) > 1.7


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30))
def test_integer_weights_are_repetitions_and_order_does_not_matter(seed, n):
    rng = np.random.default_rng(seed)
    y, ends = rng.normal(size=n), np.sort(rng.normal(size=(n, 2)), axis=1)
    times = rng.integers(1, 4, n)
    one = evaluate_intervals(y, ends, weights=times)
    order = rng.permutation(times.sum())
    rows = np.repeat(np.arange(n), times)[order]
    two = evaluate_intervals(y[rows], ends[rows], groups=rows)
    for name in ("coverage", "error", "width", "score"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), rel=1e-12)
    assert 0 <= one.coverage <= 1
    assert one.score >= one.width


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: evaluate_intervals(Y, ENDS[:, ::-1]), "lower end first"),
        (lambda: evaluate_intervals(Y, ENDS[:3]), "lengths must be equal"),
        (lambda: evaluate_intervals(Y, Y), "lower and an upper end"),
        (lambda: evaluate_intervals(Y, ENDS * np.nan), "without NaN"),
        (lambda: evaluate_intervals(Y, ENDS, nominal=1), "nominal must be"),
        (lambda: evaluate_intervals(Y, ENDS, weights=[0, 0, 0, 0]), "weights must be > 0"),
        (lambda: evaluate_intervals([], np.zeros((0, 2))), "at least one"),
        (lambda: evaluate_sets([0, 1], [[1, 0, 0], [1, 0, 0]]), "each of 2 classes"),
        (lambda: evaluate_sets([0, 1], [[0.5, 0], [1, 0]]), "true or false"),
        (lambda: evaluate_sets([0, 7], [[1, 0], [1, 0]], classes=[0, 1]), r"got \['7'\] too"),
        (lambda: evaluate_sets([0, 1], [[1, 0]]), "lengths must be equal"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
