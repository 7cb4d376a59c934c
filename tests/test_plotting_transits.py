"""Plots of transits show the points about mid-transit, the fitted shape and the counted shares."""

import astropy.units as u
import matplotlib
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time
from matplotlib.figure import Figure

from astroml_kit.lightcurves import LightCurve, measure_recovery
from astroml_kit.plotting import plot_recovery, plot_transit

matplotlib.use("Agg")

DAYS = np.arange(0, 30, 0.02)
ROW = QTable(
    {"period": [3.0, np.nan] * u.day, "duration": [4.8] * 2 * u.hour, "depth": [1e-3] * 2,
     "ingress": [0.2] * 2, "epoch": Time([60_001.0] * 2, format="mjd", scale="tdb")}
)  # fmt: skip


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture
def curve():
    away = (DAYS - 1.0 + 1.5) % 3.0 - 1.5
    flux = 1 - 1e-3 * (np.abs(away) < 0.08) + 1e-5 * np.sin(37 * DAYS)
    mask = np.zeros(len(DAYS), dtype=bool)
    mask[:3] = True
    return LightCurve(Time(60_000 + DAYS, format="mjd", scale="tdb"), flux * u.Unit(""), mask=mask)


def test_a_folded_transit(ax, curve):
    assert plot_transit(curve, ROW[0], n_durations=2, ax=ax) is ax
    hours, ppm = ax.lines[0].get_data()
    assert np.abs(hours).max() < 2 * 4.8
    # ten events, 0.8 d of each
    assert len(hours) == pytest.approx(400, abs=10)
    assert np.median(ppm[np.abs(hours) < 1.5]) == pytest.approx(-1000, abs=20)
    x, y = ax.lines[-1].get_data()
    np.testing.assert_allclose(x, [-9.6, -2.4, -1.92, 1.92, 2.4, 9.6])
    np.testing.assert_allclose(y, [0, 0, -1000, -1000, 0, 0])
    centre = ax.containers[0].lines[0].get_xdata()
    assert (np.abs(centre) < 9.6).all()


def test_a_single_event_is_not_folded(ax, curve):
    plot_transit(curve, ROW[1], n_durations=2, ax=ax, color="k", ms=1)
    assert len(ax.lines[0].get_xdata()) == pytest.approx(40, abs=2)
    assert ax.lines[0].get_color() == "k"


def test_shares_are_written_in_their_bins(ax):
    recovery = measure_recovery(
        [True, True, False, True], period=[2, 2, 2, 50], depth=[300, 300, 300, 30],
        period_edges=[1, 10, 100], depth_edges=[10, 100, 1000], of="depth [ppm]",
    )  # fmt: skip
    assert plot_recovery(recovery, ax=ax) is ax
    assert sorted(text.get_text() for text in ax.texts) == ["100%\nof 1", "67%\nof 3"]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_ylabel() == "depth [ppm]"
    shown = ax.collections[0].get_array()
    assert shown.mask.sum() == 2


@pytest.mark.parametrize("options", [{"n_durations": 0.2}, {"n_bins": 1}])
def test_bad_options_are_refused(ax, curve, options):
    with pytest.raises(ValueError, match="must be"):
        plot_transit(curve, ROW[0], ax=ax, **options)
