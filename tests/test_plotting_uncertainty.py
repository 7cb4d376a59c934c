"""The plot of coverage shows the numbers that it is given, and says what it cannot read."""

import matplotlib
import numpy as np
import pytest

from astroml_kit.evaluation import evaluate_intervals, evaluate_sets
from astroml_kit.plotting import plot_coverage

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def read_points(ax, number=0):
    return ax.containers[number].lines[0].get_xydata()


def test_points_are_sorted_and_have_their_errors():
    ax = plot_coverage([0.9, 0.5], [0.88, 0.53], error=[0.01, 0.02], label="net")
    np.testing.assert_allclose(read_points(ax), [[0.5, 0.53], [0.9, 0.88]])
    bars = ax.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([s[:, 1] for s in bars], [[0.51, 0.55], [0.87, 0.89]])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["as promised", "net"]


def test_results_are_read_and_models_compared_on_the_same_axes():
    y = np.random.default_rng(1).normal(size=200)
    levels = {0.5: 0.6745, 0.9: 1.645}
    results = [evaluate_intervals(y, np.tile([-z, z], (200, 1)), nominal=p)
               for p, z in levels.items()]  # fmt: skip
    ax = plot_coverage(results, label="one")
    np.testing.assert_allclose(read_points(ax)[:, 1], [r.coverage for r in results])
    sets = evaluate_sets([0, 1], [[1, 0], [1, 0]], nominal=0.8)
    assert plot_coverage(sets, ax=ax) is ax
    np.testing.assert_allclose(read_points(ax, 1), [[0.8, 0.5]])
    colors = {container.lines[0].get_color() for container in ax.containers}
    assert len(colors) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5],), "coverage must be given"),
        (([],), "coverage must be given"),
        (([0.5], [1.2]), "coverage must be"),
        (([0.5, 0.9], [0.5]), "lengths must be equal"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot_coverage(*arguments)
