"""Bias and resolution against closed forms."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import r2_score

from astroml_kit.evaluation import evaluate_regressor


def test_a_normal_error_has_its_own_width():
    rng = np.random.default_rng(1)
    y = rng.normal(10, 2, 100_000)
    result = evaluate_regressor(y, y + rng.normal(0.3, 0.5, y.size), n_bootstrap=0)
    assert result.bias == pytest.approx(0.3, abs=0.01)
    assert result.resolution == pytest.approx(0.5, abs=0.01)
    assert result.rmse == pytest.approx(np.hypot(0.3, 0.5), abs=0.01)
    assert result.r2 == pytest.approx(1 - 0.34 / 4, abs=0.01)


def test_outliers_move_the_rmse_and_hardly_the_resolution():
    rng = np.random.default_rng(2)
    y = rng.normal(size=10_000)
    clean, dirty = y + rng.normal(0, 0.1, y.size), None
    dirty = np.where(np.arange(y.size) % 50 == 0, 100.0, clean)
    one, two = (evaluate_regressor(y, p, n_bootstrap=0) for p in (clean, dirty))
    assert two.rmse > 50 * one.rmse
    assert two.resolution < 1.1 * one.resolution


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10))
def test_weights_units_and_scikit_learn(seed, factor):
    rng = np.random.default_rng(seed)
    y = rng.uniform(1, 5, 60)
    prediction = y * rng.lognormal(0, 0.3, 60)
    weights = rng.integers(1, 4, 60)
    one = evaluate_regressor(y, prediction, weights=weights, relative=True, n_bootstrap=0)
    two = evaluate_regressor(
        factor * y, factor * prediction, weights=weights, relative=True, n_bootstrap=0
    )
    assert one.bias == pytest.approx(two.bias)
    assert one.resolution == pytest.approx(two.resolution)
    assert one.r2 == pytest.approx(r2_score(y, prediction, sample_weight=weights))
    assert one.resolution >= 0


def test_bands_and_errors():
    rng = np.random.default_rng(3)
    y = rng.uniform(1, 2, 2000)
    band = np.where(y < 1.5, "low", "high")
    prediction = y + np.where(y < 1.5, 0.05, 0.5) * rng.normal(size=y.size)
    result = evaluate_regressor(y, prediction, bands=band, n_bootstrap=50, rng=0)
    resolution = dict(zip(result.bands["band"], result.bands["resolution"], strict=True))
    assert resolution["high"] > 5 * resolution["low"]
    # The error of a median of n normal values is 1.2533 sigma / sqrt(n).
    assert 0 < result.errors["bias"] < 0.05
    copies = np.repeat(np.arange(2000), 4)
    honest = evaluate_regressor(y[copies], prediction[copies], groups=copies, rng=0)
    fooled = evaluate_regressor(y[copies], prediction[copies], rng=0)
    assert honest.errors["rmse"] > 1.5 * fooled.errors["rmse"]


def test_constant_truth_has_no_r2():
    assert np.isnan(evaluate_regressor([1, 1], [1, 2], n_bootstrap=0).r2)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="relative=False"):
        evaluate_regressor([0, 1], [1, 1], relative=True)
    with pytest.raises(ValueError, match="prediction must be finite"):
        evaluate_regressor([0, 1], [1, np.nan])
    with pytest.raises(ValueError, match="lengths must be equal"):
        evaluate_regressor([0, 1], [1])
    with pytest.raises(ValueError, match="at least one"):
        evaluate_regressor([], [])


def test_to_dict_and_the_logbook_line():
    result = evaluate_regressor([1, 2, 4], [1.1, 2.2, 4.4], bands=["a", "a", "b"], relative=True)
    assert json.loads(json.dumps(result.to_dict()))["bands"]["n"] == [2, 1]
    assert str(result).startswith("relative bias +0.1, resolution")
