"""A forecast is a distribution: its quantiles, moments and score against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.special import ndtri
from scipy.stats import norm
from scipy.stats import t as student

from astroml_kit.models import Forecast

TIMES = np.array([[1.0]])


def make(distribution, *values, levels=()):
    return Forecast(TIMES, distribution, np.array(values, dtype=float)[:, None, None], levels)


def integrate_crps(cdf, truth):
    """Gneiting & Raftery 2007, eq. 20, by quadrature."""
    below, _ = integrate.quad(lambda x: cdf(x) ** 2, truth - 200, truth, limit=500)
    above, _ = integrate.quad(lambda x: (1 - cdf(x)) ** 2, truth, truth + 200, limit=500)
    return below + above


@pytest.mark.parametrize("truth", [-3.0, 0.4, 1.0, 9.0])
def test_the_score_is_its_integral(truth):
    normal = make("normal", 1, 2)
    wanted = integrate_crps(norm(1, 2).cdf, truth)
    np.testing.assert_allclose(normal.compute_crps([[truth]]), wanted, rtol=1e-5)
    heavy = make("student", 1, 2, 3.5)
    wanted = integrate_crps(student(3.5, 1, 2).cdf, truth)
    np.testing.assert_allclose(heavy.compute_crps([[truth]]), wanted, rtol=1e-3)
    levels = (0.1, 0.4, 0.7, 0.9)
    learned = make("quantiles", *norm(1, 2).ppf(levels), levels=levels)
    wanted = integrate_crps(norm(1, 2).cdf, truth)
    np.testing.assert_allclose(learned.compute_crps([[truth]]), wanted, rtol=1e-3)


def test_moments_and_quantiles():
    heavy = make("student", 1, 2, 5)
    assert heavy.mean == heavy.median == 1
    np.testing.assert_allclose(heavy.std, student(5, 1, 2).std())
    np.testing.assert_allclose(heavy.compute_quantiles(0.9), [[student(5, 1, 2).ppf(0.9)]])
    levels = (0.25, 0.75)
    learned = make("quantiles", *norm(1, 2).ppf(levels), levels=levels)
    np.testing.assert_allclose(learned.mean, 1, atol=1e-6)
    np.testing.assert_allclose(learned.std, 2, rtol=0.01)
    np.testing.assert_allclose(learned.compute_quantiles(0.99), norm(1, 2).ppf([[0.99]]))
    assert learned.compute_quantiles([0.2, 0.3, 0.4]).shape == (3, 1, 1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-50, 50), min_size=2, max_size=8),
    st.lists(st.floats(0.001, 0.999), min_size=2, max_size=9, unique=True),
    st.data(),
)
def test_quantiles_never_cross_and_keep_what_was_learned(values, wanted, data):
    n = len(values)
    levels = np.sort(data.draw(st.lists(st.sampled_from(np.arange(1, 100) / 100), min_size=n,
                                        max_size=n, unique=True)))  # fmt: skip
    learned = make("quantiles", *np.sort(values), levels=tuple(levels))
    found = learned.compute_quantiles(np.sort(wanted))[:, 0, 0]
    assert (np.diff(found) >= -1e-9 * (1 + np.abs(found[1:]))).all()
    np.testing.assert_array_equal(learned.compute_quantiles(levels)[:, 0, 0], np.sort(values))


def test_a_forecast_without_doubt_scores_its_error():
    sure = make("normal", 3, 1e-12)
    np.testing.assert_allclose(sure.compute_crps([[5.0]]), 2)


def test_what_is_asked_must_make_sense():
    forecast = make("normal", 0, 1)
    for levels in (0, 1, [0.5, np.nan]):
        with pytest.raises(ValueError, match=r"levels must be finite and > 0 and < 1"):
            forecast.compute_quantiles(levels)
    with pytest.raises(ValueError, match=r"values must have the shape \(1, 1\) of the times"):
        forecast.compute_crps([1.0, 2.0])
    assert forecast.to_dict()["parameters"] == [[[0.0]], [[1.0]]]
    np.testing.assert_allclose(forecast.compute_quantiles([0.1]), [[[ndtri(0.1)]]])
