"""The plots of light curves show every step where it is, bright ones up, and aliases by name."""

import astropy.units as u
import matplotlib
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time
from matplotlib.figure import Figure

from astroml_kit.lightcurves import LightCurve, compute_periodogram, fold_lightcurves
from astroml_kit.plotting import (
    plot_attention,
    plot_confusion,
    plot_folded,
    plot_lightcurve,
    plot_periodogram,
)

matplotlib.use("Agg")

DAYS = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
MASK = np.array([0, 0, 0, 1, 1, 1], dtype=bool)
LIMIT = np.array([0, 0, 0, 0, 0, 1], dtype=bool)
BAND = np.array(["g", "r", "g", "g", "r", "g"])


def make(unit, value=(10.0, 11.0, 12.0, 11.5, 50.0, 13.0), **options):
    time = Time(58000 + DAYS, format="mjd", scale="utc")
    options = {"band": BAND, "mask": MASK, "limit": LIMIT} | options
    return LightCurve(time, value * unit, np.full(6, 0.5) * unit, name="star", **options)


@pytest.fixture
def ax():
    return Figure().subplots()


def collect(ax):
    lines = {}
    for container in ax.containers:
        lines[container.get_label()] = container[0].get_xydata()
    for line in ax.lines:
        if not line.get_label().startswith("_"):
            lines[line.get_label()] = line.get_xydata()
    return lines


@pytest.mark.parametrize("unit", [u.mag, u.mJy], ids=str)
def test_every_step_is_where_it_is(ax, unit):
    assert plot_lightcurve(make(unit), ax=ax) is ax
    lines = collect(ax)
    assert set(lines) == {"g", "r", "masked", "g upper limit"}
    np.testing.assert_allclose(lines["g"], [[8000, 10], [8002, 12]])
    np.testing.assert_allclose(lines["r"], [[8001, 11]])
    np.testing.assert_allclose(lines["masked"], [[8003, 11.5]])
    np.testing.assert_allclose(lines["g upper limit"], [[8005, 13]])
    low, high = sorted(ax.get_ylim())
    assert low < 9.5
    assert 13 < high < 20, "a masked step far off does not squeeze the others"
    (beyond,) = [line for line in ax.lines if line.get_marker() in ("^", "v")]
    assert beyond.get_xdata().tolist() == [8004]
    # far above: the arrow head is in the drawn range and points out of it
    assert 0.95 * high < beyond.get_ydata()[0] < high
    assert beyond.get_marker() == ("v" if unit == u.mag else "^")
    assert (ax.get_ylim()[0] > ax.get_ylim()[1]) == (unit == u.mag)
    assert ax.get_ylabel() == ("magnitude" if unit == u.mag else r"flux [$\mathrm{mJy}$]")
    assert ax.get_xlabel() == "MJD (UTC) $-$ 50000 [d]"


def test_errors_are_bars_unless_they_are_too_many(ax):
    plot_lightcurve(make(u.mag, band=None), ax=ax)
    (container,) = ax.containers
    heights = [np.ptp(segment[:, 1]) for segment in container[2][0].get_segments()]
    np.testing.assert_allclose(heights, 1.0)
    many = Figure().subplots()
    time = Time(2459000 + np.arange(2500.0), format="jd", scale="tdb")
    curve = LightCurve(time, np.ones(2500) * u.one, np.full(2500, 0.1) * u.one)
    plot_lightcurve(curve, ax=many, color="k")
    assert not many.containers[0][2]
    assert many.get_xlabel() == "BJD (TDB) $-$ 2450000 [d]"
    assert many.get_ylabel() == "relative flux"
    assert many.containers[0][0].get_color() == "k"


def test_powers_of_ten_are_in_the_unit(ax):
    value = np.array([1.0, 2, 3, 4, 5, 6]) * 1e-7
    curve = make(u.Unit("1 / (cm2 s)"), value)
    curve = LightCurve(curve.time, curve.value)
    plot_lightcurve(curve, ax=ax)
    assert ax.get_ylabel().startswith("flux [$10^{-7}$ ")
    assert ax.yaxis.get_major_formatter()(3e-7, 0) == "3"
    with pytest.raises(ValueError, match="curve must be of at least one step, got none"):
        plot_lightcurve(curve.select(slice(0, 0)), ax=ax)


def test_a_fold_has_two_cycles_and_medians(ax):
    epoch = Time(58000, format="mjd", scale="utc")
    folded = fold_lightcurves(make(u.mag), period=8.0, epoch=epoch)
    assert plot_folded(folded, n_bins=4, ax=ax) is ax
    lines = collect(ax)
    np.testing.assert_allclose(lines["g"][:, 0], [0, 0.25, 1, 1.25])
    np.testing.assert_allclose(lines["g upper limit"][:, 0], [0.625, 1.625])
    medians = [line.get_xydata() for line in ax.lines if line.get_color() == "black"]
    assert len(medians) == 2
    np.testing.assert_allclose(medians[0][:, 0], (np.arange(8) + 0.5) / 4)
    np.testing.assert_allclose(medians[0][:, 1], [10, 12, np.nan, np.nan] * 2)
    assert ax.get_xlim() == (0, 2)
    assert ax.get_xlabel() == "phase (period 8 d)"
    bare = Figure().subplots()
    plot_folded(folded, n_bins=0, ax=bare)
    assert not [line for line in bare.lines if line.get_color() == "black"]


@pytest.fixture(scope="module")
def star():
    rng = np.random.default_rng(1)
    days = np.arange(150) + rng.normal(0, 0.03, 150)
    value = np.sin(2 * np.pi * days / 0.7) * u.mag
    return LightCurve(Time(58000 + days, format="mjd", scale="utc"), value, name="star")


def test_the_best_period_and_its_aliases_are_marked(ax, star):
    periodogram = compute_periodogram(star, period_min=0.2)
    assert plot_periodogram(periodogram, ax=ax) is ax
    lines = collect(ax)
    best = 1 / 0.7
    (found,) = lines[f"best, {periodogram.best_period:.7g} d"]
    assert found[0] == pytest.approx(best, abs=1e-3)
    assert found[1] == periodogram.power.max()
    near = np.sort(lines["alias of a day"][:, 0])
    np.testing.assert_allclose(near, [best - 1, 2 - best, best + 1, best + 2], atol=0.015)
    assert lines["half the period"][0, 0] == pytest.approx(2 * best, abs=0.01)
    assert lines["twice the period"][0, 0] == pytest.approx(best / 2, abs=0.01)
    level = lines["false alarm: 0.001"][0, 1]
    assert 0.1 < level < 0.4
    # every peak of the full grid is in the thinned line
    drawn = ax.lines[0].get_xydata()
    assert drawn[:, 1].max() == periodogram.power.max()


def test_rows_of_find_periods_are_marked_by_what_they_are(ax, star):
    periodogram = compute_periodogram(star, period_min=0.2, n_terms=2)
    rows = QTable({
        "name": ["other", "star", "star", "star"], "rank": [0, 1, 0, 2],
        "period": [9.0, 1.4, 0.7, 0.31] * u.day, "alias": ["", "double", "", "year"],
    })  # fmt: skip
    plot_periodogram(periodogram, periods=rows, ax=ax)
    lines = collect(ax)
    assert lines["best, 0.7 d"][0, 0] == pytest.approx(1 / 0.7)
    assert lines["twice the period"][0, 0] == pytest.approx(1 / 1.4)
    assert lines["alias of a year"][0, 0] == pytest.approx(1 / 0.31)
    assert not [label for label in lines if label.startswith("false alarm")]
    rows["name"] = ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="periods must be the rows of 'star', got 4 rows"):
        plot_periodogram(periodogram, periods=rows, ax=ax)


def test_attention_is_drawn_on_a_fold(ax):
    phase = np.linspace(0, 1, 64, endpoint=False)
    series = np.column_stack([np.cos(2 * np.pi * phase), np.zeros(64)])
    plot_attention(series, np.full(64, 1 / 64), time_column=None, value_column=0, ax=ax)
    np.testing.assert_allclose(ax.collections[0].get_offsets()[:, 1], series[:, 0])


# --- confusion ------------------------------------------------------------------------------------
def test_confusion_has_counts_and_shares(ax):
    truth, predicted = [0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 0, 2]
    assert plot_confusion(truth, predicted, classes=["rr", "ea", "ew"], ax=ax) is ax
    np.testing.assert_allclose(
        ax.images[0].get_array(), [[0.75, 0.25, 0], [0.5, 0.5, 0], [0, 0, 1]]
    )
    texts = {text.get_position(): text.get_text() for text in ax.texts}
    assert texts == {(0, 0): "0.75\n3", (1, 0): "0.25\n1", (0, 1): "0.50\n1", (1, 1): "0.50\n1",
                     (2, 2): "1.00\n1"}  # fmt: skip
    assert [label.get_text() for label in ax.get_yticklabels()] == ["rr (4)", "ea (2)", "ew (1)"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["rr", "ea", "ew"]


def test_classes_have_the_order_they_are_given_in(ax):
    plot_confusion(["b", "a"], ["b", "b"], classes=["b", "a", "c"], ax=ax, cmap="Greys")
    np.testing.assert_allclose(ax.images[0].get_array(), [[1, 0, 0], [1, 0, 0], [0, 0, 0]])
    assert ax.images[0].get_cmap().name == "Greys"
    plain = Figure().subplots()
    plot_confusion([5, 2], [5, 5], ax=plain)
    assert [label.get_text() for label in plain.get_xticklabels()] == ["2", "5"]


@pytest.mark.parametrize(
    ("truth", "classes", "message"),
    [
        ([0, 2], ["a", "b"], r"classes must name every label, got \['a', 'b'\] and the labels \[2"),
        (["a", "q"], ["a", "b"], r"the labels \['q'\]"),
        ([0, 1, 1], None, "lengths must be equal"),
    ],
)
def test_labels_that_nobody_named(ax, truth, classes, message):
    with pytest.raises(ValueError, match=message):
        plot_confusion(truth, truth[:2], classes=classes, ax=ax)
