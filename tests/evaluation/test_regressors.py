import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.evaluation import evaluate_regressor


def test_normal_errors_have_the_closed_form():
    rng = np.random.default_rng(1)
    truth = rng.uniform(1, 10, 50_000)
    result = evaluate_regressor(
        truth, truth * (1.05 + 0.15 * rng.normal(size=50_000)), relative=True
    )
    assert result.bias == pytest.approx(0.05, abs=0.003)
    assert result.resolution == pytest.approx(0.15, abs=0.003)
    assert result.rms == pytest.approx(np.hypot(0.05, 0.15), abs=0.003)
    assert "bias +4.97 %, resolution 15 %" in str(result)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-100, 100))
def test_a_shift_is_a_bias_and_nothing_else(seed, shift):
    rng = np.random.default_rng(seed)
    truth, noise = rng.normal(size=(2, 100))
    one = evaluate_regressor(truth, truth + noise)
    two = evaluate_regressor(truth, truth + noise + shift)
    assert two.bias - one.bias == pytest.approx(shift, abs=1e-9)
    assert two.resolution == pytest.approx(one.resolution, abs=1e-9)


def test_bands_and_outliers():
    truth = np.repeat([1.0, 2.0], 100)
    predicted = truth + np.tile([0.1, -0.1], 100)
    predicted[0] = 1e6  # one outlier moves neither bias nor resolution
    result = evaluate_regressor(truth, predicted, bands=truth)
    assert list(result.bands["band"]) == ["1.0", "2.0"]
    assert abs(result.bias) <= 0.1
    assert result.resolution == pytest.approx(0.1, abs=0.01)
    assert result.to_dict()["bands"]["n"] == [100, 100]


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="y must be finite and > 0"):
        evaluate_regressor([0.0, 1.0], [1.0, 1.0], relative=True)
    with pytest.raises(ValueError, match="lengths must be equal"):
        evaluate_regressor([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="not empty"):
        evaluate_regressor([], [])
