"""The plots of series show their weights as they are, and forecasts where they belong."""

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from astroml_kit.models import Forecast
from astroml_kit.plotting import plot_attention, plot_forecast

matplotlib.use("Agg")

SERIES = np.column_stack([[1.0, 2, 4, 7], [3.0, 5, 4, 6], [0.1, 0.1, 0.2, 0.1]])
FORECAST = Forecast(
    np.array([[8.0, 9, 10], [8, 10, 12]]),
    "normal",
    np.array([[[1.0, 2, 3], [4, 5, 6]], [[1.0, 1, 1], [0.5, 1, 2]]]),
)


@pytest.fixture
def ax():
    return Figure().subplots()


def test_weights_are_multiples_of_an_even_share(ax):
    assert plot_attention(SERIES, [0.1, 0.2, 0.6, 0.1], ax=ax) is ax
    (points,) = ax.collections
    np.testing.assert_allclose(points.get_offsets(), SERIES[:, :2])
    np.testing.assert_allclose(points.get_array(), [0.4, 0.8, 2.4, 0.4])
    sizes = points.get_sizes()
    assert sizes.argmax() == 2
    assert sizes[0] == sizes[3] < sizes[1]
    assert ax.figure.axes[1].get_ylabel() == "weight / even share"


def test_steps_and_other_columns(ax):
    plot_attention(SERIES, [0.25] * 4, time_column=None, value_column=2, ax=ax, cmap="magma")
    np.testing.assert_allclose(ax.lines[0].get_data(), [[0, 1, 2, 3], SERIES[:, 2]])
    assert ax.get_xlabel() == "step"
    assert ax.collections[0].get_cmap().name == "magma"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((SERIES, [0.5, 0.5]), {}, "one entry for each of the 4 steps"),
        ((SERIES, [0.5] * 4), {}, "add up to one, got 2"),
        ((SERIES, [-1, 1, 0.5, 0.5]), {}, "weights must be finite and >= 0"),
        ((SERIES[0], [1.0]), {}, "one series of the shape"),
        ((SERIES * np.nan, [0.25] * 4), {}, "series must be finite"),
        ((SERIES, [0.25] * 4), {"value_column": 3}, "value_column must be one of the 3 columns"),
    ],
)
def test_bad_weights_are_named(ax, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        plot_attention(*arguments, ax=ax, **options)


def test_a_forecast_has_its_quantiles(ax):
    assert plot_forecast(SERIES, FORECAST, number=1, truth=[4, 5, 5.5], ax=ax) is ax
    lines = {line.get_label(): line.get_data() for line in ax.lines}
    np.testing.assert_allclose(lines["observed"], SERIES[:, :2].T)
    np.testing.assert_allclose(lines["median"], [[8, 10, 12], [4, 5, 6]])
    np.testing.assert_allclose(lines["truth"][1], [4, 5, 5.5])
    outer, inner = ax.collections
    assert (outer.get_label(), inner.get_label()) == ("90 %", "50 %")
    corners = outer.get_paths()[0].vertices[:, 1]
    assert corners.max() == pytest.approx(6 + 2 * 1.6449, abs=1e-3)
    assert corners.min() == pytest.approx(6 - 2 * 1.6449, abs=1e-3)


@pytest.mark.parametrize(
    ("forecast", "options", "message"),
    [
        (np.zeros(3), {}, "forecast must be a Forecast, got ndarray"),
        (FORECAST, {"number": 2}, "number must be one of the 2 series"),
        (FORECAST, {"truth": [1.0]}, "truth must have one entry for each of the 3 times"),
        (FORECAST, {"time_column": 5}, "time_column must be one of the 3 columns"),
        (
            Forecast(np.ones((1, 1)), "normal", np.ones((2, 1, 1))),
            {},
            "begin after the series, which ends at 7, got 1",
        ),
    ],
)
def test_bad_forecasts_are_named(ax, forecast, options, message):
    with pytest.raises(ValueError, match=message):
        plot_forecast(SERIES, forecast, ax=ax, **options)
