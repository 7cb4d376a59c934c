"""The contract of the zoo for the members that take series: what holds for both of them."""

import os
import pickle
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from astroml_kit.models import (
    ModelFileError,
    SequenceClassifier,
    SequenceForecaster,
    list_models,
    load_model,
    save_model,
    tune_model,
)
from astroml_kit.samples import Samples

TRAINING = {"hidden_size": 8, "max_epochs": 3, "batch_size": 16, "random_state": 1}
KINDS = {
    SequenceClassifier: TRAINING | {"n_layers": 1},
    SequenceForecaster: TRAINING | {"horizon": 2, "n_windows": 3, "n_history": 8},
}
MEMBERS = [
    (SequenceClassifier, {"cell": "lstm"}),
    (SequenceClassifier, {"cell": "transformer", "dropout": 0.1}),
    (SequenceForecaster, {"cell": "gru"}),
    (SequenceForecaster, {"cell": "conv", "distribution": "student", "dropout": 0.1}),
]


def make(kind, **options):
    return kind(**KINDS[kind] | options)


def draw_series(rng, n=60):
    y = np.arange(n) % 2
    series = []
    for label in y:
        time = np.cumsum(rng.gamma(2, 0.5, rng.integers(9, 16)))
        series.append(
            np.column_stack([time, np.sin(time * (1 + label)) + 0.1 * rng.normal(size=len(time))])
        )
    return series, y


X, Y = draw_series(np.random.default_rng(1))


def run(model, series):
    """Everything that a model says about some series."""
    if isinstance(model, SequenceClassifier):
        return model.decision_function(series)
    return model.predict_quantiles(series)


both = pytest.mark.parametrize("kind", list(KINDS))
members = pytest.mark.parametrize(("kind", "options"), MEMBERS)


@members
@pytest.mark.parametrize("early", [False, True])
def test_same_seed_same_model_to_the_bit(kind, options, early):
    one, two, other = (
        make(kind, **options | {"early_stopping": early, "random_state": seed}).fit(X, Y)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(run(one, X), run(two, X))
    assert not np.array_equal(run(one, X), run(other, X))


@members
def test_inputs_and_parameters_are_left_alone(kind, options):
    import torch

    model = make(kind, **options)
    kept, before = [one.copy() for one in X], model.get_params()
    state = torch.get_rng_state()
    run(model.fit(X, Y), X)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(np.array_equal(one, two) for one, two in zip(X, kept, strict=True))
    assert model.get_params() == before
    readonly = [one.copy() for one in X]
    for one in readonly:
        one.setflags(write=False)
    np.testing.assert_array_equal(run(clone(model).fit(readonly, Y), readonly), run(model, X))


@both
def test_unfitted_is_said(kind):
    with pytest.raises(NotFittedError):
        kind().predict(X)


@both
def test_kinds_of_containers(kind):
    wanted = run(make(kind).fit(X, Y), X)
    boxed = np.empty(len(X), dtype=object)
    boxed[:] = X
    np.testing.assert_array_equal(run(make(kind).fit(boxed, Y), boxed), wanted)
    lists = [one.tolist() for one in X]
    np.testing.assert_array_equal(run(make(kind).fit(lists, Y), lists), wanted)
    samples = Samples(boxed, y=Y, groups=np.arange(60))
    model = make(kind).fit(samples)
    np.testing.assert_array_equal(run(model, samples), wanted)
    assert np.isfinite(model.score(samples))
    even = np.stack([one[:9] for one in X])
    model = make(kind).fit(even, Y)
    np.testing.assert_array_equal(run(model, even), run(model, list(even)))
    assert model.n_features_in_ == 2


def change(k, rows, column, value):
    series = [one.copy() for one in X]
    series[k][rows, column] = value
    return series


BAD = [
    (np.zeros((5, 4)), "a list of arrays .n_steps, n_columns. or one array"),
    (np.zeros((0, 4, 2)), "series with steps and columns"),
    (np.array([["a"]]), "a list of arrays"),
    ([], "got none"),
    ([np.zeros(4)] * 4, r"got shape \(4,\) for series 0"),
    (3.0, "got something else"),
    (
        [*X[:3], np.ones((5, 3))],
        "same columns in every series, got 2 in series 0 and 3 in series 3",
    ),
    (
        [*X[:3], np.ones((0, 2))],
        "a step in every series, got 1 of 4 without, the first is series 3",
    ),
    (change(2, 3, 1, np.inf), "NaN or infinity, the first is series 2"),
    (change(2, 3, 1, np.nan), "got 1 of 60 series with NaN or infinity, the first is series 2"),
    (change(4, 5, 0, -3.0), "times that increase within each series, got -3 after .* in series 4"),
    (change(4, 5, 0, X[4][4, 0]), "times that increase within each series"),
]


@pytest.fixture(scope="module")
def fitted():
    return {kind: make(kind, max_epochs=1).fit(X, Y) for kind in KINDS}


@both
@pytest.mark.parametrize(("bad", "message"), BAD)
def test_bad_series_are_named(kind, bad, message, fitted):
    with pytest.raises(ValueError, match=message):
        fitted[kind].predict(bad)
    with pytest.raises(ValueError, match=message):
        make(kind).fit(bad, Y)


@both
def test_other_columns_are_refused(kind, fitted):
    model = fitted[kind]
    with pytest.raises(ValueError, match="the 2 columns that the model was trained on, got 3"):
        model.predict([np.column_stack([one, one[:, 1]]) for one in X])


@both
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "mamba"}, "cell must be one of"),
        ({"pooling": "max"}, "pooling must be one of"),
        ({"hidden_size": 0}, "hidden_size must be a whole number from 1 to 4096, got 0"),
        ({"n_layers": 2.5}, "n_layers must be a whole number"),
        ({"n_layers": True}, "n_layers must be a whole number"),
        ({"normalise": "minmax"}, "normalise must be one of"),
        ({"bidirectional": "yes"}, "bidirectional must be one of"),
        ({"time_column": 5}, "time_column must be below the 2 columns of X, got 5"),
        ({"time_column": -1}, "time_column must be a whole number from 0"),
        ({"band_column": 0}, "must differ"),
        ({"band_column": 1}, "must have a column of values"),
        ({"error_columns": 1}, "error_columns must be a tuple"),
        ({"error_columns": (1,)}, "must have a column of values"),
        ({"time_column": None, "absolute_time": True}, "absolute_time must be False"),
        ({"time_column": None, "band_column": 0, "error_columns": ()}, "whole numbers for bands"),
        ({"dropout": 1.0}, "dropout must be finite and >= 0 and < 1"),
        ({"device": "cuda:7"}, "device must be 'auto' or one of"),
    ],
)
def test_bad_parameters_are_named(kind, options, message):
    with pytest.raises(ValueError, match=message):
        make(kind, **options).fit(X, Y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon must be a whole number from 1"),
        ({"distribution": "cauchy"}, "distribution must be one of"),
        ({"quantiles": (0.5,)}, "quantiles must be a tuple of 2 to 99 ascending levels"),
        ({"quantiles": (0.9, 0.1)}, "quantiles must be a tuple of 2 to 99 ascending levels"),
        ({"quantiles": (0.1, 1.0)}, "quantiles must be finite and > 0 and < 1"),
        ({"n_history": 0}, "n_history must be a whole number from 1"),
        ({"target_column": 0}, r"target_column must be a column of values, \[1\], got 0"),
    ],
)
def test_bad_parameters_of_a_forecast_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make(SequenceForecaster, **options).fit(X)


def test_bad_times_are_named():
    model = make(SequenceForecaster).fit(X)
    last = np.array([one[-1, 0] for one in X])[:, None]
    for times, message in (
        (last, "follow the last step of each series"),
        (last + np.array([2.0, 1.0]), "must be finite, increase"),
        (last + np.nan, "must be finite, increase"),
        (last[:5] + 1, r"times must have the shape \(n_ahead,\) or \(n_series, n_ahead\)"),
    ):
        with pytest.raises(ValueError, match=message):
            model.predict(X, times=times)
    with pytest.raises(ValueError, match="bands must be left out"):
        model.predict(X, bands=1)
    plain = make(SequenceForecaster, time_column=None).fit([one[:, 1:] for one in X])
    assert plain.predict_distribution([X[0][:, 1:]]).times[0, 0] == len(X[0])
    with pytest.raises(ValueError, match="times must be left out for steps without a time"):
        plain.predict([X[0][:, 1:]], times=[99.0])


@both
def test_labels_weights_and_groups_of_another_length(kind):
    with pytest.raises(ValueError, match="groups must have one entry per sample"):
        make(kind).fit(X, Y, groups=np.arange(5))
    with pytest.raises(ValueError, match="sample_weight"):
        make(kind).fit(X, Y, sample_weight=np.ones(5))
    with pytest.raises(ValueError, match=r"sample_weight|[Nn]egative"):
        make(kind).fit(X, Y, sample_weight=-np.ones(60))


def test_labels_are_needed():
    with pytest.raises(ValueError, match="y must be given, got None"):
        make(SequenceClassifier).fit(X)
    with pytest.raises(ValueError, match="one label per series, got 5 for 60 series"):
        make(SequenceClassifier).fit(X, Y[:5])
    with pytest.raises(ValueError, match="two classes or more"):
        make(SequenceClassifier).fit(X, np.ones(60))


@both
def test_a_weight_of_zero_is_not_there(kind):
    weight = np.ones(60)
    weight[50:] = 0
    bad = X[:50] + [one * [1, 1e6] for one in X[50:]]
    model = make(kind).fit(bad, Y, sample_weight=weight)
    np.testing.assert_array_equal(run(model, X), run(make(kind).fit(X[:50], Y[:50]), X))


def test_weights_of_samples_and_classes():
    weight = np.where(Y == 1, 8.0, 1.0)
    plain, heavy, by_class = (
        make(SequenceClassifier, class_weight=classes)
        .fit(X, Y, sample_weight=weights)
        .predict_proba(X)[:, 1]
        .mean()
        for classes, weights in ((None, None), (None, weight), ({1: 8}, None))
    )
    assert heavy > plain + 0.05
    assert by_class == pytest.approx(heavy, abs=1e-6)


def test_weights_move_a_forecast():
    rng = np.random.default_rng(2)
    series = []
    for k in range(60):  # half of them climb, half of them fall, and nothing tells which
        step = np.zeros(12)
        step[10:] = 1 if k % 2 else -1
        series.append(np.column_stack([np.arange(12), step + 0.01 * rng.normal(size=12)]))
    options = {"min_history": 10, "max_epochs": 15, "learning_rate": 0.02, "distribution": "normal"}
    past = [one[:10] for one in series]
    for up, sign in ((9.0, 1), (1 / 9, -1)):
        weight = np.where(np.arange(60) % 2, up, 1.0)
        model = make(SequenceForecaster, **options).fit(series, sample_weight=weight)
        np.testing.assert_allclose(model.predict(past).mean(), 0.8 * sign, atol=0.25)


def test_several_classes_and_free_labels():
    three = np.array(["RR Lyrae", "Cepheid", "Mira"])[np.arange(60) % 3]
    model = make(SequenceClassifier).fit(X, three)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert model.predict_proba(X).shape == (60, 3)
    assert set(model.predict(X)) <= set(three)
    model = make(SequenceClassifier).fit(X, np.column_stack([Y, 1 - Y, Y]))
    assert model.predict(X).shape == model.predict_proba(X).shape == (60, 3)
    balanced = make(SequenceClassifier, class_weight="balanced").fit(X, three)
    assert balanced.classes_.tolist() == ["Cepheid", "Mira", "RR Lyrae"]


def brighten(series):
    return [one * [1, 3] for one in series]


@both
def test_pipelines_grids_and_pickles(kind):
    pipe = make_pipeline(FunctionTransformer(brighten), make(kind, max_epochs=1))
    name = kind.__name__.lower()
    grid = GridSearchCV(pipe, {f"{name}__hidden_size": [2, 4]}, cv=2).fit(X, Y)
    assert grid.best_params_[f"{name}__hidden_size"] in (2, 4)
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
    folds = GroupKFold(2).split(X, Y, np.arange(60) // 2)
    held = cross_val_predict(make(kind, max_epochs=1), X, Y, cv=folds)
    assert len(held) == 60
    model = make(kind).fit(X, Y)
    np.testing.assert_array_equal(run(pickle.loads(pickle.dumps(model)), X), run(model, X))


@both
def test_tuning_and_cards(kind, fitted):
    boxed = np.empty(len(X), dtype=object)
    boxed[:] = X
    labels = Y if kind is SequenceClassifier else None
    samples = Samples(boxed, y=labels, groups=np.arange(60) // 2)
    found = tune_model(
        make(kind, max_epochs=1), samples, space={"hidden_size": (2, 6)}, n_trials=2, n_splits=2
    )
    assert 2 <= found.parameters["hidden_size"] <= 6
    assert "series: a list of arrays" in str(fitted[kind].card())


@members
def test_round_trip_to_the_bit(kind, options, tmp_path):
    labels = np.array(["p", "g"])[Y]
    model = make(kind, **options | {"early_stopping": True}).fit(X, labels)
    again = load_model(save_model(model, tmp_path / "m.model"))
    np.testing.assert_array_equal(run(again, X), run(model, X))
    assert again.get_params() == model.get_params()
    np.testing.assert_array_equal(again.history_["valid_loss"], model.history_["valid_loss"])
    assert again.best_epoch_ == model.best_epoch_


def test_a_file_predicts_the_same_in_a_new_process(fitted, tmp_path):
    lines = [f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})",
             "import numpy as np; from astroml_kit.models import load_model",
             "from test_sequence_contract import X, run"]  # fmt: skip
    for k, model in enumerate(fitted.values()):
        path = str(save_model(model, tmp_path / f"{k}.model"))
        lines.append(f"np.save({str(tmp_path / str(k))!r}, run(load_model({path!r}), X))")
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)
    for k, model in enumerate(fitted.values()):
        np.testing.assert_array_equal(np.load(tmp_path / f"{k}.npy"), run(model, X))


def test_round_trip_with_bands_and_errors(tmp_path):
    rng = np.random.default_rng(3)
    series = [
        np.column_stack([one, rng.integers(1, 4, len(one)), rng.uniform(1, 2, len(one))])
        for one in X
    ]
    columns = {"band_column": 2, "error_columns": (3,), "normalise": "sample"}
    for kind in KINDS:
        model = make(kind, **columns).fit(series, Y)
        again = load_model(save_model(model, tmp_path / "m.model"))
        np.testing.assert_array_equal(run(again, series), run(model, series))
        assert again.band_labels_.tolist() == [1, 2, 3]
    one, two = (model.predict(series, bands=band) for band in (1, [2, 3]))
    assert not np.allclose(one, two, atol=1e-3)
    with pytest.raises(ValueError, match=r"bands must be those of the training data"):
        model.predict(series, bands=9)


@both
def test_a_changed_file_is_refused(kind, tmp_path):
    model = make(kind).fit(X, Y)
    for name, value in (
        ("band_labels_", np.array([0.0, 1.0])),
        ("n_features_in_", 3),
        ("cell", "rnn"),
    ):
        changed = pickle.loads(pickle.dumps(model))
        setattr(changed, name, value)
        path = save_model(changed, tmp_path / f"{name}.model")
        with pytest.raises(ModelFileError):
            load_model(path)


def test_both_are_in_the_list():
    names = list_models()["name"].tolist()
    assert "SequenceClassifier" in names
    assert "SequenceForecaster" in names


LAUNCHER = """
    import os, signal, sys
    import numpy as np
    sys.path.insert(0, {here!r})
    from test_sequence_contract import MEMBERS, X, Y, make
    from astroml_kit.models import _checkpoints
    write, count = _checkpoints.Checkpoint.write, 0
    def write_and_die(self, net, **kwargs):
        global count
        write(self, net, **kwargs)
        count += 1
        if count == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    _checkpoints.Checkpoint.write = write_and_die
    for k, (kind, options) in enumerate(MEMBERS):
        child = os.fork()
        if child == 0:
            make(kind, **options, early_stopping=True, checkpoint={folder!r} + str(k)).fit(X, Y)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_a_killed_training_goes_on_where_it_was(tmp_path):
    code = textwrap.dedent(LAUNCHER).format(
        here=os.path.dirname(__file__), folder=str(tmp_path / "run")
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(-signal.SIGKILL)] * len(MEMBERS)
    for k, (kind, options) in enumerate(MEMBERS):
        folder = tmp_path / f"run{k}"
        assert len(list(folder.iterdir())) == 1
        whole = make(kind, **options, early_stopping=True).fit(X, Y)
        resumed = make(kind, **options, early_stopping=True, checkpoint=folder).fit(X, Y)
        assert (resumed.history_ == whole.history_).all()
        assert len(whole.history_) == 3
        np.testing.assert_array_equal(run(resumed, X), run(whole, X))
