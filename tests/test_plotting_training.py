"""The plot of a training shows its losses, and marks overfitting where it is and only there."""

import matplotlib
import numpy as np
import pytest
from astropy.table import Table
from matplotlib.figure import Figure

from astroml_kit.models import NeuralClassifier
from astroml_kit.plotting import plot_history

matplotlib.use("Agg")


@pytest.fixture
def ax():
    return Figure().subplots()


def make_history(train, valid=None):
    columns = {"epoch": np.arange(1, len(train) + 1), "train_loss": train}
    return Table(columns if valid is None else columns | {"valid_loss": valid})


def get_line(ax, label):
    (line,) = (line for line in ax.lines if str(line.get_label()).startswith(label))
    return line.get_data()


def test_overfitting_begins_after_the_lowest_held_out_loss(ax):
    plot_history(make_history([0.9, 0.6, 0.4, 0.2], [0.9, 0.5, 0.6, 0.7]), ax=ax)
    np.testing.assert_allclose(get_line(ax, "training"), [[1, 2, 3, 4], [0.9, 0.6, 0.4, 0.2]])
    np.testing.assert_allclose(get_line(ax, "held out")[1], [0.9, 0.5, 0.6, 0.7])
    np.testing.assert_allclose(get_line(ax, "overfitting after epoch 2")[0], 2)
    (span,) = ax.patches
    assert (span.get_x(), span.get_x() + span.get_width()) == (2, 4)
    assert ax.get_ylabel() == "loss"


@pytest.mark.parametrize(
    ("train", "valid"),
    [
        ([0.9, 0.6, 0.4], [0.9, 0.7, 0.6]),  # still getting better
        ([0.9, 0.6, 0.7], [0.9, 0.5, 0.6]),  # both got worse: not overfitting
        ([0.9, 0.6, 0.4], None),  # nobody can tell
        ([0.9], [0.9]),
    ],
)
def test_no_mark_without_overfitting(ax, train, valid):
    plot_history(make_history(train, valid), ax=ax)
    assert not ax.patches
    assert not [line for line in ax.lines if "overfitting" in str(line.get_label())]


def test_a_model_brings_its_history_and_metric(ax):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 2))
    model = NeuralClassifier(hidden_layers=(4,), max_epochs=3, early_stopping=True, random_state=1)
    model.fit(X, (X[:, 0] > 0).astype(int))
    assert plot_history(model, quantity="metric", ax=ax) is ax
    np.testing.assert_array_equal(get_line(ax, "held out")[1], model.history_["valid_metric"])
    assert ax.get_ylabel() == "AUC"


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"history lacks the columns \['train_loss'"):
        plot_history(Table({"epoch": [1]}))
    with pytest.raises(ValueError, match="history must have one row per epoch"):
        plot_history(make_history([]))
    with pytest.raises(ValueError, match="quantity must be one of"):
        plot_history(make_history([1.0]), quantity="time")
