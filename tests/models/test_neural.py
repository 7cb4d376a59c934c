"""Networks for tables keep scikit-learn's contract, are repeatable, resume and say what they do."""

import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from astroml_kit.models import BandedClassifier, NeuralClassifier, NeuralRegressor
from astroml_kit.samples import Samples

# Every check that cannot pass, with its reason.
FAILURES = {
    "early": {
        "check_sample_weight_equivalence_on_dense_data": (
            "the rows held out for early stopping are drawn by row: a weight of 2 is not two rows"
        ),
    },
    "single": {
        "check_sample_weight_equivalence_on_dense_data": (
            "in single precision a sum with weights and one with repeated rows differ by rounding"
        ),
    },
}


def list_failures(estimator):
    if getattr(estimator, "precision", None) == "float32":
        return FAILURES["single"]
    return FAILURES["early"] if getattr(estimator, "early_stopping", None) is True else {}


QUICK = {"hidden_layers": (24,), "max_epochs": 15, "batch_size": 64, "learning_rate": 0.04}


@parametrize_with_checks(
    [
        NeuralClassifier(**QUICK),
        NeuralClassifier(**QUICK | {"early_stopping": True}),
        NeuralRegressor(**QUICK),
    ],
    expected_failed_checks=list_failures,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def draw_events(rng, n=600, n_features=4):
    """Two overlapping classes; the last column is noise."""
    X = rng.normal(size=(n, n_features))
    y = (X[:, 0] + X[:, 1] * X[:, 2] + 0.5 * rng.normal(size=n) > 0).astype(int)
    return X, y


FEW = {"hidden_layers": (16,), "max_epochs": 4, "learning_rate": 0.02, "random_state": 1}


def test_it_learns_what_a_line_cannot():
    X, y = draw_events(np.random.default_rng(1), n=3000)
    line = LogisticRegression().fit(X[:2000], y[:2000]).decision_function(X[2000:])
    model = NeuralClassifier(**FEW | {"max_epochs": 20}).fit(X[:2000], y[:2000])
    assert roc_auc_score(y[2000:], line) < 0.88
    assert roc_auc_score(y[2000:], model.decision_function(X[2000:])) > 0.93
    assert len(model.history_) <= 20


def test_without_hidden_layers_it_is_the_linear_model():
    X, y = draw_events(np.random.default_rng(2))
    bare = {"hidden_layers": (), "scaling": "standard", "l2": 0.0, "max_epochs": 300,
            "batch_size": 600, "learning_rate": 0.1, "schedule": "cosine",
            "random_state": 1}  # fmt: skip
    theirs = LogisticRegression(C=np.inf).fit(X, y).decision_function(X)
    ours = NeuralClassifier(**bare).fit(X, y).decision_function(X)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    target = np.column_stack([X @ [1, 2, 3, 4], X[:, 0] - 5])
    np.testing.assert_allclose(
        NeuralRegressor(**bare).fit(X, target).predict(X),
        LinearRegression().fit(X, target).predict(X),
        atol=1e-2,
    )


@pytest.mark.parametrize("options", [{}, {"dropout": 0.3}, {"precision": "float32"}])
def test_same_seed_same_model_to_the_bit(options):
    import torch

    X, y = draw_events(np.random.default_rng(3))
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    one, two, other = (
        NeuralClassifier(**FEW | options | {"random_state": seed}).fit(X, y) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    assert not np.array_equal(one.predict_proba(X), other.predict_proba(X))
    assert (one.history_ == two.history_).all()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_inputs_are_left_alone():
    X, y = draw_events(np.random.default_rng(4))
    X[0, 0] = np.nan
    kept = X.copy(), y.copy()
    NeuralClassifier(**FEW).fit(X, y).predict(X)
    np.testing.assert_array_equal(X, kept[0])
    np.testing.assert_array_equal(y, kept[1])


# Tasks


def test_three_classes():
    rng = np.random.default_rng(5)
    y = np.repeat(["bulge", "disc", "halo"], 150)
    X = rng.normal(size=(450, 2)) + np.repeat([[0, 0], [3, 0], [0, 3]], 150, axis=0)
    model = NeuralClassifier(**FEW | {"max_epochs": 15}).fit(X, y)
    assert model.decision_function(X).shape == (450, 3)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert model.score(X, y) > 0.9
    assert model.history_.meta["metric"] == "accuracy"


def test_independent_labels():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(500, 3))
    y = (X > 0).astype(int)  # a galaxy may be barred, ringed, both or neither
    model = NeuralClassifier(**FEW | {"max_epochs": 20}).fit(X, y)
    scores = model.predict_proba(X)
    assert scores.shape == (500, 3)
    assert set(np.unique(model.predict(X))) == {0, 1}
    assert scores.sum(axis=1).min() < 0.5 < 2.5 < scores.sum(axis=1).max()
    assert model.score(X, y) > 0.85
    with pytest.raises(ValueError, match="class_weight must name classes"):
        NeuralClassifier(class_weight={3: 2.0}).fit(X, y)
    with pytest.raises(ValueError, match="one label per sample"):
        NeuralClassifier().fit(X, rng.integers(0, 4, (500, 2)))


def test_several_targets_of_different_size():
    rng = np.random.default_rng(7)
    X = rng.uniform(-1, 1, size=(800, 2))
    y = np.column_stack([1e6 * X[:, 0] * X[:, 1], 1e-6 * np.sin(3 * X[:, 0]) + 5])
    model = NeuralRegressor(**FEW | {"max_epochs": 60}).fit(X, y)
    assert model.predict(X).shape == (800, 2)
    assert model.score(X, y) > 0.9


def test_the_uncertainty_is_the_scatter():
    rng = np.random.default_rng(8)
    X = rng.uniform(-1, 1, size=(3000, 1))
    scatter = 10 * (0.2 + 0.15 * X[:, 0])
    y = 100 + 30 * X[:, 0] ** 2 + scatter * rng.normal(size=3000)
    model = NeuralRegressor(
        uncertainty=True, **FEW | {"max_epochs": 50, "hidden_layers": (24, 24), "batch_size": 300}
    ).fit(X, y)
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_array_equal(mean, model.predict(X))
    assert np.median(np.abs(std / scatter - 1)) < 0.1
    pull = (y - mean) / std
    assert pull.std() == pytest.approx(1, abs=0.05)
    with pytest.raises(ValueError, match="uncertainty=True"):
        NeuralRegressor(**FEW).fit(X, y).predict(X, return_std=True)


def test_absolute_error_finds_the_median():
    rng = np.random.default_rng(9)
    target = np.exp(rng.normal(size=2000))
    X = rng.normal(size=(2000, 1))
    options = FEW | {"hidden_layers": (), "max_epochs": 30, "early_stopping": False}
    mean, median = (
        NeuralRegressor(**options, loss=loss).fit(X, target).predict(X).mean()
        for loss in ("squared_error", "absolute_error")
    )
    assert mean == pytest.approx(np.exp(0.5), rel=0.1)  # of a log-normal; its median is 1
    assert median == pytest.approx(1, rel=0.1)


# Weights, missing values, groups


def test_weights_and_class_weights_move_the_score():
    X, y = draw_events(np.random.default_rng(10))
    rare = np.flatnonzero((y == 0) | (np.arange(600) % 8 == 0))
    X, y = X[rare], y[rare]
    options = FEW | {"max_epochs": 15}

    def get_mean(sample_weight=None, **more):
        model = NeuralClassifier(**options, **more).fit(X, y, sample_weight=sample_weight)
        return model.predict_proba(X)[:, 1].mean()

    plain, balanced = get_mean(), get_mean(class_weight="balanced")
    assert balanced > plain + 0.1
    ratio = (y == 0).sum() / (y == 1).sum()
    by_name = get_mean(class_weight={1: ratio})
    assert by_name == pytest.approx(balanced, abs=1e-9)
    by_row = get_mean(np.where(y == 1, ratio, 1.0))
    assert by_row == pytest.approx(balanced, abs=1e-9)
    with pytest.raises(ValueError, match=r"class_weight must name classes of y, \[0, 1\]"):
        get_mean(class_weight={"gamma": 2})
    with pytest.raises(ValueError, match="class_weight must be finite and > 0"):
        get_mean(class_weight={1: 0})


def test_rows_without_weight_change_nothing():
    X, y = draw_events(np.random.default_rng(11))
    weight = np.ones(600)
    weight[400:] = 0
    X[400:] = 1e9
    with_them = NeuralClassifier(**FEW).fit(X, y, sample_weight=weight)
    without = NeuralClassifier(**FEW).fit(X[:400], y[:400])
    np.testing.assert_array_equal(with_them.predict_proba(X), without.predict_proba(X))
    with pytest.raises(ValueError, match="at least one non-zero"):
        NeuralClassifier(**FEW).fit(X, y, sample_weight=np.zeros(600))


def test_missing_values_are_told_or_refused():
    rng = np.random.default_rng(12)
    y = rng.integers(0, 2, 800)
    X = rng.normal(size=(800, 2))
    X[(y == 1) & (rng.random(800) < 0.8), 0] = np.nan  # that it is missing tells the class
    options = FEW | {"max_epochs": 15}
    told = NeuralClassifier(**options).fit(X, y)
    untold = NeuralClassifier(**options, missing="fill").fit(X, y)
    assert told.score(X, y) > 0.85 > untold.score(X, y)
    assert np.isfinite(untold.predict_proba([[np.nan, np.nan]])).all()
    with pytest.raises(ValueError, match=r"never missing in training, got some in \[1\]"):
        told.predict([[0.0, np.nan]])
    samples = Samples(X, y=y, feature_names=("width", "length"))
    with pytest.raises(ValueError, match=r"features \['width'\]. Choose missing='indicator'"):
        NeuralClassifier(**FEW, missing="error").fit(samples)
    with pytest.raises(ValueError, match="infinity"):
        told.predict([[np.inf, 0]])


@pytest.mark.parametrize("scaling", ["quantile", "standard"])
def test_units_and_offsets_of_the_columns_do_not_matter(scaling):
    X, y = draw_events(np.random.default_rng(13))
    plain = NeuralClassifier(**FEW, scaling=scaling).fit(X, y).predict_proba(X)
    moved = X * [1e-9, 1.0, 1e12, 3.0] + [0, 1e3, 0, -7]
    again = NeuralClassifier(**FEW, scaling=scaling).fit(moved, y).predict_proba(moved)
    np.testing.assert_allclose(again, plain, atol=1e-6)


def test_ranks_survive_outliers_and_any_stretch():
    from astroml_kit.models._network_inputs import QuantileScaler

    rng = np.random.default_rng(29)
    X = rng.normal(size=(5000, 2))
    X[:, 1] = np.exp(3 * X[:, 1])
    X[0] = 1e30
    scaler = QuantileScaler.measure(X, None, flagged=np.zeros(2, dtype=bool))
    assert scaler.knots.shape == (2, 129)
    scaled = scaler.transform(X)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=0.02)
    inner = np.abs(X[:, 0]) < 2.5
    np.testing.assert_allclose(scaled[inner, 0], X[inner, 0], atol=0.25)  # normal it was
    assert (np.diff(scaler.transform(np.sort(X, axis=0)), axis=0) >= 0).all()
    beyond = scaler.transform(np.array([[-1e99, -5.0], [1e99, 1e99]]))
    np.testing.assert_array_equal(beyond, [scaled.min(axis=0), scaled.max(axis=0)])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.booleans())
def test_weights_are_repeated_rows_to_the_scalers(seed, n, rounded):
    from astroml_kit.models._network_inputs import QuantileScaler, StandardScaler

    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    X = np.round(X, 1) if rounded else X
    X[rng.random(X.shape) < 0.1] = np.nan
    weight = rng.integers(1, 4, n)
    flagged = np.isnan(X).any(axis=0)
    for kind in (QuantileScaler, StandardScaler):
        weighted = kind.measure(X, weight.astype(float), flagged=flagged)
        repeated = kind.measure(X.repeat(weight, axis=0), None, flagged=flagged)
        scaled = weighted.transform(X)
        assert np.isfinite(scaled).all()
        np.testing.assert_allclose(scaled, repeated.transform(X), atol=1e-9)
        again = kind.from_arrays(weighted.to_arrays())
        np.testing.assert_array_equal(again.transform(X), scaled)


def test_early_stopping_keeps_the_best_weights_and_whole_groups(monkeypatch):
    import astroml_kit.models._neural_estimator as room

    X, y = draw_events(np.random.default_rng(14), n=900)
    groups = np.arange(900) // 3
    seen = []
    split = room.split_rows

    def record(*args, **kwargs):
        seen.append(split(*args, **kwargs))
        return seen[-1]

    monkeypatch.setattr(room, "split_rows", record)
    model = NeuralClassifier(
        hidden_layers=(64, 64), learning_rate=0.01, max_epochs=100, early_stopping=True,
        n_iter_no_change=5, random_state=1,
    ).fit(X, y, groups=groups)  # fmt: skip
    rows, held = seen[0]
    assert not set(groups[rows]) & set(groups[held])
    assert len(rows) + len(held) == 900
    losses = np.asarray(model.history_["valid_loss"])
    assert model.best_epoch_ == losses.argmin() + 1 == len(losses) - 5 < 95
    truth, signal = y[held], model.predict_proba(X[held])[:, 1]
    loss = -np.mean(np.where(truth == 1, np.log(signal), np.log(1 - signal)))
    assert loss == pytest.approx(losses.min(), rel=1e-6)
    assert roc_auc_score(truth, signal) == pytest.approx(
        model.history_["valid_metric"][model.best_epoch_ - 1]
    )


def test_early_stopping_by_itself_waits_for_enough_samples():
    X, y = draw_events(np.random.default_rng(15), n=1000)
    assert "valid_loss" in NeuralClassifier(**FEW).fit(X, y).history_.colnames
    assert "valid_loss" not in NeuralClassifier(**FEW).fit(X[:999], y[:999]).history_.colnames
    few = NeuralClassifier(**FEW).fit(X, y, groups=np.arange(1000) % 9)
    assert "valid_loss" not in few.history_.colnames
    with pytest.raises(ValueError, match="groups must hold two or more"):
        NeuralClassifier(early_stopping=True).fit(X, y, groups=np.zeros(1000))


# How it learns


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize(
    "activation", ["relu", "leaky_relu", "silu", "hardswish", "tanh", "sigmoid"]
)
def test_every_activation_and_optimizer_learns(activation, optimizer):
    X, y = draw_events(np.random.default_rng(16), n=400)
    model = NeuralClassifier(
        hidden_layers=(16,), activation=activation, optimizer=optimizer, batch_size=50,
        learning_rate=0.05 if optimizer == "sgd" else 0.02, max_epochs=10, random_state=1,
    ).fit(X, y)  # fmt: skip
    losses = np.asarray(model.history_["train_loss"])
    assert losses[-1] < losses[0] - 0.02
    assert losses[-1] < np.log(2) - 0.1


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1, 1, 1]),
        ("cosine", 0.5 * (1 + np.cos(np.pi * np.arange(6) / 6))),
        ("step", [1, 1, 0.5, 0.5, 0.25, 0.25]),
    ],
)
def test_schedules(schedule, expected):
    X, y = draw_events(np.random.default_rng(17), n=100)
    options = {"schedule": schedule, "schedule_epochs": 2, "schedule_factor": 0.5}
    model = NeuralClassifier(**FEW | options | {"max_epochs": 6}).fit(X, y)
    np.testing.assert_allclose(model.history_["learning_rate"], 0.02 * np.asarray(expected))


def test_a_plateau_lowers_the_rate():
    from astroml_kit.models._training_steps import count_plateaus

    rows = [{"train_loss": 9.0, "valid_loss": loss} for loss in (3, 2, 2, 2, 1, 1, 1, 1, 1)]
    assert [count_plateaus(rows[:k], 2) for k in range(10)] == [0, 0, 0, 0, 1, 1, 1, 2, 2, 3]


def test_l1_makes_exact_zeros_and_l2_small_weights():
    X, y = draw_events(np.random.default_rng(18))

    def get_weights(**options):
        model = NeuralClassifier(**FEW | {"max_epochs": 30, "l2": 0.0} | options).fit(X, y)
        return model.module_[0].weight.detach().numpy()

    plain, sparse, small = get_weights(), get_weights(l1=0.5), get_weights(l2=1.0)
    assert (plain == 0).sum() == 0
    assert (sparse == 0).sum() > 10
    assert np.abs(small).mean() < 0.8 * np.abs(plain).mean()


def test_clipping_holds_a_step_back():
    X, y = draw_events(np.random.default_rng(19))
    options = FEW | {"optimizer": "sgd", "learning_rate": 0.1, "max_epochs": 1, "l2": 0.0}
    free, held = (
        NeuralClassifier(**options, clip_norm=norm).fit(X, y).module_[0].weight.detach().numpy()
        for norm in (None, 1e-9)
    )
    still = NeuralClassifier(**options | {"learning_rate": 1e-30}).fit(X, y)
    start = still.module_[0].weight.detach().numpy()
    assert np.abs(free - start).max() > 1e-3
    assert np.abs(held - start).max() < 1e-6


def test_a_diverging_training_says_so():
    X, _ = draw_events(np.random.default_rng(20))
    options = FEW | {"optimizer": "sgd", "learning_rate": 1e9, "max_epochs": 50}
    with pytest.raises(ValueError, match="train_loss must stay finite"):
        NeuralRegressor(**options).fit(X, X[:, 0])


def test_the_bar_is_drawn_on_request(capsys):
    X, y = draw_events(np.random.default_rng(21), n=60)
    NeuralClassifier(**FEW, progress=True).fit(X, y)
    assert "/4 [" in capsys.readouterr().err
    NeuralClassifier(**FEW).fit(X, y)
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("", "")


# Interruptions


def test_ctrl_c_keeps_what_was_learned(monkeypatch):
    from astroml_kit.models import _training

    X, y = draw_events(np.random.default_rng(22))
    batches = _training.Batches.__iter__
    calls = []

    def interrupt(self):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return batches(self)

    monkeypatch.setattr(_training.Batches, "__iter__", interrupt)
    with pytest.warns(UserWarning, match="interrupted after 3 of 9 epochs"):
        model = NeuralClassifier(**FEW | {"max_epochs": 9}).fit(X, y)
    assert model.interrupted_
    assert len(model.history_) == model.best_epoch_ == 3
    three = NeuralClassifier(**FEW | {"max_epochs": 3}).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), three.predict_proba(X))
    calls[:] = [1, 1, 1]
    with pytest.raises(KeyboardInterrupt):
        NeuralClassifier(**FEW).fit(X, y)


CASES = (
    ("NeuralClassifier", {"dropout": 0.2, "early_stopping": True, "schedule": "plateau"}),
    ("NeuralClassifier", {"random_state": None, "optimizer": "sgd", "schedule": "cosine"}),
    ("NeuralRegressor", {"uncertainty": True, "l1": 1e-3}),
)
KILLED_AFTER = 3
LAUNCHER = """
    import os, signal, sys
    import numpy as np
    import astroml_kit.models as models
    print([name for name in ("torch", "skorch") if name in sys.modules], flush=True)
    from astroml_kit.models import _checkpoints

    write = _checkpoints.Checkpoint.write
    def write_and_die(self, net, *, recorder, best, seed):
        write(self, net, recorder=recorder, best=best, seed=seed)
        if len(recorder.rows) == {epoch}:
            os.kill(os.getpid(), signal.SIGKILL)
    _checkpoints.Checkpoint.write = write_and_die
    X, y = np.load({data!r})["X"], np.load({data!r})["y"]
    for k, (name, options) in enumerate({cases!r}):
        child = os.fork()
        if child == 0:
            getattr(models, name)(**options, checkpoint={folder!r} + str(k)).fit(X, y)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Start every case in a process of its own and kill it; folder, data and what was printed."""
    folder = tmp_path_factory.mktemp("killed")
    X, y = draw_events(np.random.default_rng(23), n=300)
    np.savez(folder / "data.npz", X=X, y=y)
    cases = [(name, FEW | {"max_epochs": 7} | options) for name, options in CASES]
    code = LAUNCHER.format(
        epoch=KILLED_AFTER, data=str(folder / "data.npz"), cases=cases, folder=str(folder / "run")
    )
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return folder, X, y, done.stdout.splitlines()


def test_the_room_loads_no_torch(killed):
    assert killed[-1][0] == "[]"


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_killed_training_goes_on_where_it_was(killed, number):
    folder, X, y, printed = killed
    assert printed[1 + number] == str(-signal.SIGKILL)
    name, options = CASES[number]
    model = {"NeuralClassifier": NeuralClassifier, "NeuralRegressor": NeuralRegressor}[name]
    options = FEW | {"max_epochs": 7} | options
    run = folder / f"run{number}"
    (file,) = run.iterdir()
    resumed = model(**options, checkpoint=run).fit(X, y)
    assert len(resumed.history_) == 7
    assert list(run.iterdir()) == [file]
    if options["random_state"] is not None:
        whole = model(**options).fit(X, y)
        np.testing.assert_array_equal(resumed.predict(X), whole.predict(X))
        assert (resumed.history_ == whole.history_).all()
        for one, two in zip(resumed.module_.parameters(), whole.module_.parameters(), strict=True):
            np.testing.assert_array_equal(one.detach().numpy(), two.detach().numpy())
    # Once it is over, fitting again costs nothing and changes nothing.
    again = model(**options, checkpoint=run).fit(X, y)
    np.testing.assert_array_equal(again.predict(X), resumed.predict(X))


def test_checkpoints_belong_to_one_training(tmp_path):
    X, y = draw_events(np.random.default_rng(24), n=100)
    options = FEW | {"checkpoint": tmp_path}
    NeuralClassifier(**options).fit(X, y)
    (file,) = tmp_path.iterdir()
    other = NeuralClassifier(**options).fit(X + 1, y)
    NeuralClassifier(**options | {"l2": 0.1}).fit(X, y)
    assert len(list(tmp_path.iterdir())) == 3
    fresh = NeuralClassifier(**FEW).fit(X + 1, y)
    np.testing.assert_array_equal(other.predict_proba(X), fresh.predict_proba(X))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match="Delete it to train from the start"):
        NeuralClassifier(**options).fit(X, y)


# The library around it


def test_samples_bring_names_which_are_checked():
    X, y = draw_events(np.random.default_rng(25))
    names = ("width", "length", "size", "alpha")
    samples = Samples(X, y=y, groups=np.arange(len(y)), feature_names=names)
    model = NeuralClassifier(**FEW).fit(samples)
    assert tuple(model.feature_names_in_) == names
    plain = NeuralClassifier(**FEW).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(samples), plain.predict_proba(X))
    assert model.score(samples) == plain.score(X, y)
    with pytest.raises(ValueError, match="the same in another order"):
        model.predict(Samples(X, feature_names=("length", "width", "size", "alpha")))
    with pytest.raises(ValueError, match="unlabelled"):
        NeuralClassifier().fit(Samples(X, y=np.where(y, 1, -1)))


def test_pipelines_grids_and_clones():
    X, y = draw_events(np.random.default_rng(26), n=200)
    pipe = make_pipeline(StandardScaler(), NeuralClassifier(**FEW | {"max_epochs": 2}))
    grid = GridSearchCV(pipe, {"neuralclassifier__hidden_layers": [(2,), (8,)]}, cv=2).fit(X, y)
    assert grid.best_params_["neuralclassifier__hidden_layers"] in ((2,), (8,))
    assert clone(NeuralClassifier(dropout=0.2)).dropout == 0.2


def test_bands_take_networks():
    X, y = draw_events(np.random.default_rng(27))
    bands = {"band_columns": [3], "band_edges": [[-9, 0, 9]], "min_count": 20, "random_state": 1}
    model = BandedClassifier(NeuralClassifier(**FEW), **bands).fit(X, y)
    assert sorted(model.models_) == [0, 1]
    assert model.score(X, y) > 0.6
    X[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        BandedClassifier(NeuralClassifier(missing="error"), **bands).fit(X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_layers": (0,)}, "hidden_layers must be"),
        ({"hidden_layers": 64}, "hidden_layers must be"),
        ({"hidden_layers": (2.5,)}, "hidden_layers must be"),
        ({"hidden_layers": (1,) * 101}, "hidden_layers must be"),
        ({"activation": "gelu"}, "activation must be one of"),
        ({"optimizer": "lbfgs"}, "optimizer must be one of"),
        ({"schedule": "warm"}, "schedule must be one of"),
        ({"early_stopping": "yes"}, "early_stopping must be one of"),
        ({"missing": "zero"}, "missing must be one of"),
        ({"scaling": "minmax"}, "scaling must be one of"),
        ({"precision": "float16"}, "precision must be one of"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"l1": -1}, "l1 must be"),
        ({"l2": np.nan}, "l2 must be"),
        ({"clip_norm": 0}, "clip_norm must be"),
        ({"max_epochs": 0}, "max_epochs must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"learning_rate": 0}, "learning_rate must be"),
        ({"device": "tpu"}, "device must be 'auto' or one of"),
        ({"device": None}, "device must be text"),
        ({"class_weight": "heavy"}, "class_weight must be None, 'balanced' or a mapping"),
        ({"n_jobs": 10**6}, "n_jobs must be"),
    ],
)
def test_parameters_are_checked_at_fit(options, message):
    X, y = draw_events(np.random.default_rng(28), n=50)
    with pytest.raises(ValueError, match=message):
        NeuralClassifier(**options).fit(X, y)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_scores_are_finite_and_do_not_depend_on_company(seed, dtype):
    rng = np.random.default_rng(seed)
    X, y = draw_events(rng, n=60)
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:4] = np.where(np.eye(4, dtype=bool), np.nan, 1)  # each feature is missing somewhere
    X = (X * 10.0 ** rng.integers(-3, 4)).astype(dtype)
    y[:2] = 0, 1
    model = NeuralClassifier(hidden_layers=(8,), max_epochs=2, random_state=0)
    together = model.fit(X, y).decision_function(X)
    assert np.isfinite(together).all()
    alone = np.concatenate([model.decision_function(X[k : k + 1]) for k in range(0, 60, 7)])
    np.testing.assert_allclose(alone, together[::7], rtol=1e-9, atol=1e-12)
