"""Plots of photometric redshifts show the numbers that they are given."""

import matplotlib
import numpy as np
import pytest

from astroml_kit.catalogs import evaluate_redshifts
from astroml_kit.plotting import (
    plot_pit,
    plot_redshift_bins,
    plot_redshift_intervals,
    plot_redshifts,
)

matplotlib.use("Agg")
RNG = np.random.default_rng(1)
TRUTH = RNG.uniform(0, 1, 500)
ESTIMATE = TRUTH + 0.03 * RNG.normal(size=500)


@pytest.fixture(autouse=True)
def close():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def test_every_source_within_the_axes_is_in_a_cell():
    far = ESTIMATE.copy()
    far[0] = 9.0
    ax = plot_redshifts(TRUTH, far)
    low, high = ax.get_xlim()
    inside = np.all([(v >= low) & (v <= high) for v in (TRUTH, far)], axis=0)
    assert ax.collections[0].get_array().sum() == inside.sum()
    assert ax.texts[0].get_text() == f"{500 - inside.sum()} beyond the axes"
    lines = [line.get_xydata() for line in ax.lines]
    np.testing.assert_allclose(lines[2][:, 1], lines[0][:, 1] + 0.05 * (1 + lines[0][:, 0]))


def test_pit_is_relative_to_even_and_repeats():
    ax = plot_pit([10, 30], label="one")
    np.testing.assert_allclose(ax.patches[-1].get_data().values, [0.5, 1.5])
    result = evaluate_redshifts(TRUTH, ESTIMATE, pit=np.linspace(0, 1, 500))
    assert plot_pit(result, ax=ax, label="two") is ax
    np.testing.assert_allclose(ax.patches[-1].get_data().values, 1, atol=0.05)
    colors = {patch.get_edgecolor() for patch in ax.patches if hasattr(patch, "get_data")}
    assert len(colors) == 2
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["one", "two"]


def test_bins_show_the_measure_over_their_range():
    result = evaluate_redshifts(TRUTH, ESTIMATE, magnitude=15 + 5 * TRUTH, n_bins=4)
    table = result.by_magnitude
    ax = plot_redshift_bins(table, measure="bias", xlabel="r [mag]", label="net")
    points = ax.containers[0].lines[0].get_xydata()
    np.testing.assert_allclose(points[:, 1], table["bias"])
    bars = ax.containers[0].lines[2][0].get_segments()
    ends = np.column_stack([table["low"], table["high"]])
    np.testing.assert_allclose([bar[:, 0] for bar in bars], ends)
    plot_redshift_bins(table, measure="bias", ax=ax, label="again")
    assert len(ax.containers) == 2
    assert ax.get_xlabel() == "magnitude"


def test_intervals_tell_truths_inside_from_those_outside():
    ends = np.column_stack([ESTIMATE - 0.03, ESTIMATE + 0.03])
    ax = plot_redshift_intervals(TRUTH, ESTIMATE, ends, n_shown=500)
    inside = np.sum(np.abs(TRUTH - ESTIMATE) <= 0.03)
    shown = {line.get_label(): len(line.get_xdata()) for line in ax.lines}
    assert shown["truth, inside"] == inside
    assert shown["truth, outside"] == 500 - inside
    few = plot_redshift_intervals(TRUTH, ESTIMATE, ends, n_shown=20, rng=3)
    estimate = next(line for line in few.lines if line.get_label() == "estimate").get_ydata()
    assert len(estimate) == 20
    assert np.all(np.diff(estimate) >= 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_redshifts([], []), "z_true must be"),
        (lambda: plot_redshifts([0.1, 0.2], [0.1]), "lengths must be equal"),
        (lambda: plot_pit([0, 0]), "result must be the counts"),
        (lambda: plot_pit(evaluate_redshifts(TRUTH, ESTIMATE)), "result must be the counts"),
        (
            lambda: plot_redshift_bins(evaluate_redshifts(TRUTH, ESTIMATE).by_magnitude),
            "table must be",
        ),
        (
            lambda: plot_redshift_bins(
                evaluate_redshifts(TRUTH, ESTIMATE).by_redshift, measure="x"
            ),
            "measure must be one of",
        ),
        (lambda: plot_redshift_intervals([0.1], [0.1], [0.1]), "intervals must be"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
