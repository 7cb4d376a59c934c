"""Plots say what the numbers say: heights, positions and labels are read back from the axes."""

import matplotlib
import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from matplotlib.axes import Axes
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure

from astroml_kit.evaluation import evaluate_classifier
from astroml_kit.plotting import (
    plot_gain,
    plot_on_off,
    plot_reliability,
    plot_roc,
    plot_scores,
    plot_significance_per_run,
    plot_theta_squared,
)
from astroml_kit.significance import OnOffCounts, compare_selections

matplotlib.use("Agg")


@pytest.fixture
def ax():
    return Figure().subplots()


def get_points(ax, k=0):
    """Position, height and error of the points of the k-th error bar series."""
    container = [c for c in ax.containers if isinstance(c, ErrorbarContainer)][k]
    x, y = container.lines[0].get_data()
    low, high = np.array([s[:, 1] for s in container.lines[2][0].get_segments()]).T
    return np.asarray(x), np.asarray(y), (high - low) / 2


def get_steps(ax, k=0):
    return ax.patches[k].get_data()


def test_theta_squared_counts_and_scales(ax):
    on = [0.001, 0.002, 0.011, 0.012, 0.02]
    off = np.full(30, 0.015)
    plot_theta_squared(on, off, alpha=0.1, radius=0.1, bins=[0, 0.01, 0.02], ax=ax)
    centre, counts, error = get_points(ax)
    np.testing.assert_allclose(centre, [0.005, 0.015])
    np.testing.assert_allclose(counts, [2, 3])  # the last bin includes its upper edge
    np.testing.assert_allclose(error, np.sqrt([2, 3]))
    np.testing.assert_allclose(get_steps(ax).values, [0, 3.0])
    band = get_steps(ax, 1)
    np.testing.assert_allclose(band.values[1] - band.baseline[1], 2 * 0.1 * np.sqrt(30))
    assert ax.get_xlabel() == r"$\theta^2$ [deg$^2$]"
    (line,) = (line for line in ax.lines if line.get_label() == "cut")
    assert line.get_xdata()[0] == pytest.approx(0.01)


def test_theta_squared_takes_units_and_alpha_per_event(ax):
    on = [36.0] * u.arcmin**2  # 0.01 deg2
    off = [0.01, 0.01, 0.03] * u.deg**2
    plot_theta_squared(
        on, off, alpha=[0.1, 0.5, 1.0], radius=6 * u.arcmin, bins=[0, 0.02, 0.04], ax=ax
    )
    np.testing.assert_allclose(get_points(ax)[1], [1, 0])
    np.testing.assert_allclose(get_steps(ax).values, [0.6, 1.0])
    with pytest.raises(ValueError, match="one for each OFF event, got shape"):
        plot_theta_squared(on, off, alpha=[0.1, 0.5])


def test_theta_squared_of_an_empty_field(ax):
    plot_theta_squared([], [], alpha=0.1, ax=ax)
    assert get_points(ax)[1].sum() == 0


def test_on_off_scales_by_alpha(ax):
    plot_on_off([0, 10, 20], [52, 30], [150, 100], alpha=0.2, cut=10, label="angle [deg]", ax=ax)
    np.testing.assert_allclose(get_steps(ax).values, [30, 20])
    assert ax.get_xlabel() == "angle [deg]"
    assert ax.get_ylim()[0] == 0


def test_scaled_off_counts_have_no_error_band(ax):
    plot_on_off([0, 10, 20], [52, 30], [30.5, 20], alpha=None, ax=ax)
    (background,) = ax.patches
    np.testing.assert_allclose(background.get_data().values, [30.5, 20])


def test_scores_stack_signal_on_background(ax):
    plot_scores([0, 0.5, 1], [900, 60], [890, 20], signal=[30, 35], ax=ax)
    drawn = {patch.get_label(): patch.get_data().values for patch in ax.patches}
    np.testing.assert_allclose(drawn["background from OFF"], [890, 20])
    np.testing.assert_allclose(drawn["background + signal"], [920, 55])
    np.testing.assert_allclose(get_points(ax)[1], [900, 60])
    assert ax.get_yscale() == "log"


def test_runs_show_every_run_of_every_selection(ax):
    values = {"box": [1.0, 0.5, -0.5], "likelihood": [2.0, 1.0, np.nan]}
    plot_significance_per_run([23523, 23526, 23559], values, ax=ax)
    series = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_allclose(series["box: mean 0.33"], values["box"])
    np.testing.assert_allclose(series["likelihood: mean 1.50"], values["likelihood"])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["23523", "23526", "23559"]
    with pytest.raises(ValueError, match="lengths must be equal"):
        plot_significance_per_run([1, 2], {"box": [1.0]})


def test_many_runs_keep_legible_names(ax):
    plot_significance_per_run(range(300), np.zeros(300), ax=ax)
    assert 10 <= len(ax.get_xticklabels()) <= 30


def test_roc_shares_axes_with_a_second_curve(ax):
    plot_roc([0, 0.01, 0.1, 1], [0.1, 0.4, 0.8, 1], label="BDT", ax=ax)
    plot_roc([0.001, 0.1, 1], [0.1, 0.5, 1], label="box", ax=ax)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["BDT", "no separation", "box"]
    first, _, second = ax.lines
    assert first.get_color() != second.get_color()
    assert first.get_linestyle() != second.get_linestyle()
    assert ax.get_xlim() == (pytest.approx(0.001), 1)
    with pytest.raises(ValueError, match="background must be"):
        plot_roc([0, 2], [0, 1])


def test_reliability_has_wilson_errors(ax):
    # Wilson (1927) interval for 0 of 10 at z = 1: from 0 to 1 / 11
    plot_reliability([0.1, 0.5, 0.9], [0.0, 0.5, 0.9], counts=[10, 100, 0], ax=ax)
    x, y, error = get_points(ax)
    np.testing.assert_allclose(x, [0.1, 0.5])  # the empty bin is left out
    np.testing.assert_allclose(y, [0.0, 0.5])
    np.testing.assert_allclose(2 * error[0], 1 / 11)
    np.testing.assert_allclose(error[1], 0.05, rtol=0.01)


def test_an_evaluation_is_drawn_from_its_tables():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=4000)
    result = evaluate_classifier(rng.uniform(size=4000) < p, p, n_bins=5)
    ax = plot_roc(result, ax=Figure().subplots())
    np.testing.assert_allclose(ax.lines[0].get_ydata(), result.roc["signal"])
    ax = plot_reliability(result, ax=Figure().subplots())
    x, y, _ = get_points(ax)
    np.testing.assert_allclose(x, result.reliability["score"])
    np.testing.assert_allclose(y, x, atol=0.06)  # a calibrated score lies on the diagonal
    with pytest.raises(ValueError, match="roc lacks the columns"):
        plot_roc([0.1, 0.2])


ROWS = QTable({"selection": ["box", "cut", "bands"], "significance": [5.1, 7.8, 8.2]})


def test_gain_of_a_table_marks_the_chosen_row(ax):
    plot_gain(ROWS, selected="cut", ax=ax)
    (bars,) = (c for c in ax.containers if isinstance(c, BarContainer))
    np.testing.assert_allclose([bar.get_width() for bar in bars], ROWS["significance"])
    colors = [bar.get_facecolor() for bar in bars]
    assert colors[0] == colors[2] != colors[1]
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == ["box", "cut", "bands"]
    tops = [bar.get_y() for bar in bars]
    assert tops == sorted(tops, reverse=True)  # first row on top
    with pytest.raises(ValueError, match="selected must be one of"):
        plot_gain(ROWS, selected="tree")


def test_gain_draws_the_expectation_beside_the_result(ax):
    rows = ROWS.copy()
    rows["expected"], rows["expected_sd"] = [5.0, 7.0, 9.0], [1.0, 1.1, 0.9]
    plot_gain(rows, ax=ax)
    container = next(c for c in ax.containers if isinstance(c, ErrorbarContainer))
    np.testing.assert_allclose(container.lines[0].get_xdata(), [5, 7, 9])


def test_gain_of_a_comparison_has_two_bars(ax):
    runs = [OnOffCounts(30, 200, 0.1)] * 3
    better = [OnOffCounts(25, 50, 0.1)] * 3
    gain = compare_selections(runs, better, n_bootstrap=20, rng=0)
    plot_gain(gain, ax=ax)
    (bars,) = (c for c in ax.containers if isinstance(c, BarContainer))
    expected = [gain.baseline.significance, gain.selected.significance]
    np.testing.assert_allclose([bar.get_width() for bar in bars], expected)


def test_gain_says_what_a_table_lacks():
    with pytest.raises(ValueError, match="lacks the columns"):
        plot_gain(QTable({"name": ["a"], "significance": [1.0]}))


@pytest.mark.parametrize(
    ("draw", "options"),
    [
        (lambda **k: plot_theta_squared([0.01], [0.01], alpha=0.1, **k), {"color": "red"}),
        (lambda **k: plot_on_off([0, 1], [1], [1], alpha=1, label="x", **k), {"ms": 9}),
        (lambda **k: plot_scores([0, 1], [1], [1], **k), {"ms": 9}),
        (lambda **k: plot_significance_per_run([1], [2.0], **k), {"ms": 9}),
        (lambda **k: plot_roc([0, 1], [0, 1], **k), {"lw": 9}),
        (lambda **k: plot_reliability([0.5], [0.5], **k), {"ms": 9}),
        (lambda **k: plot_gain(ROWS, **k), {"height": 0.1}),
    ],
)
def test_every_plot_makes_its_own_axes_and_takes_options(draw, options):
    from matplotlib import pyplot

    ax = draw(**options)
    assert isinstance(ax, Axes)
    assert ax.get_xlabel()
    pyplot.close(ax.figure)


@pytest.mark.parametrize(
    ("edges", "counts", "message"),
    [
        ([0, 0], [1], "edges must be a list of at least two increasing numbers"),
        ([0, 1], [1, 2], "one entry for each of the 1 bins"),
        ([0, 1], [-1], "n_on must be finite and >= 0"),
    ],
)
def test_wrong_bins_are_refused(edges, counts, message):
    with pytest.raises(ValueError, match=message):
        plot_on_off(edges, counts, counts, alpha=1)


def test_every_roc_has_a_style_of_its_own():
    ax = Figure().subplots()
    for number in range(5):
        plot_roc([0, 0.1, 1], [0, 0.5 + 0.05 * number, 1], label=str(number), ax=ax)
    curves = [line for line in ax.lines if line.get_label().isdigit()]
    assert len(curves) == 5
    assert len({line.get_color() for line in curves}) == 5
