"""The search for settings: what it finds, what it keeps, and where it goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from astroml_kit.models import (
    BDTClassifier,
    BDTRegressor,
    NeuralClassifier,
    list_models,
    tune_model,
)
from astroml_kit.models._search_spaces import SPACES
from astroml_kit.samples import Samples

optuna = pytest.importorskip("optuna", reason="pip install 'astroml_kit[tuning]'")


class Parabola(RegressorMixin, BaseEstimator):
    """Predicts y with an offset that depends on its parameters alone: the optimum is known."""

    def __init__(self, x=0.0, kind=("a",), n=1):
        self.x = x
        self.kind = kind
        self.n = n

    def fit(self, X, y, sample_weight=None, groups=None):
        self.is_fitted_ = True
        assert groups is None or len(groups) == len(X)
        return self

    def predict(self, X):
        if self.n == 13:
            raise ValueError("thirteen is refused")
        return X[:, 0] + (self.x - 3) ** 2 + (self.kind == ("a",)) + 0.1 * abs(self.n - 4)


SPACE = {"x": (-10.0, 10.0), "kind": [("a",), ("b", "c")], "n": (1, 12)}


def draw(n=120, *, weights=False):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 2))
    w = rng.uniform(0.5, 2, n) if weights else None
    return Samples(X, y=X[:, 0], groups=np.arange(n) // 4, weights=w)


def test_finds_the_minimum_of_a_parabola():
    found = tune_model(Parabola(), draw(), space=SPACE, n_trials=60)
    assert found.parameters["x"] == pytest.approx(3, abs=1)
    assert found.parameters["kind"] == ("b", "c")
    assert type(found.parameters["n"]) is int
    assert found.metric == "neg_root_mean_squared_error"
    assert found.estimator.get_params() == found.parameters
    table = found.trials
    complete = table[table["state"] == "complete"]
    assert found.score == complete["score"].max()
    best = complete[np.argmax(complete["score"])]
    offset = (best["x"] - 3) ** 2 + (best["kind"] == "('a',)") + 0.1 * abs(best["n"] - 4)
    assert -found.score == pytest.approx(offset)


def test_what_is_behind_is_pruned_and_costs_fewer_folds():
    found = tune_model(Parabola(), draw(), space=SPACE, n_trials=30, n_splits=5)
    pruned = found.trials[found.trials["state"] == "pruned"]
    assert len(pruned) > 5
    assert set(pruned["n_folds"]) == {3}
    complete = found.trials[found.trials["state"] == "complete"]
    assert set(complete["n_folds"]) == {5}
    assert pruned["score"].max() < found.score


def test_same_seed_same_trials_and_other_seed_others():
    one, two, other = (
        tune_model(Parabola(), draw(), space=SPACE, n_trials=8, random_state=s) for s in (1, 1, 2)
    )
    assert (one.trials == two.trials).all()
    assert not (one.trials["x"] == other.trials["x"]).any()


def test_a_study_goes_on_to_the_trials_it_would_have_had(tmp_path):
    whole = tune_model(Parabola(), draw(), space=SPACE, n_trials=15)
    file = tmp_path / "new" / "search.journal"
    tune_model(Parabola(), draw(), space=SPACE, n_trials=6, study=file)
    resumed = tune_model(Parabola(), draw(), space=SPACE, n_trials=15, study=file)
    assert (resumed.trials == whole.trials).all()
    again = tune_model(Parabola(), draw(), space=SPACE, n_trials=15, study=file)
    assert (again.trials == whole.trials).all()


KILLED = """
import os, signal, sys
import numpy as np
from astroml_kit.models import BDTClassifier, tune_model
from astroml_kit.samples import Samples
rng = np.random.default_rng(1)
X = rng.normal(size=(200, 3))
samples = Samples(X, y=(X[:, 0] > 0).astype(int), groups=np.arange(200) // 4)
class Deadly(BDTClassifier):
    calls = 0
    def fit(self, *args, **options):
        Deadly.calls += 1
        if len(sys.argv) > 2 and Deadly.calls == 11:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(*args, **options)
space = {"max_leaves": (2, 20), "learning_rate": (0.01, 0.5, "log")}
found = tune_model(Deadly(n_estimators=5, random_state=1), samples, space=space, n_trials=8,
                   n_splits=3, study=sys.argv[1])
print(found.to_dict(), found.trials.to_pandas().to_csv())
"""


def test_a_killed_search_ends_as_one_that_was_not(tmp_path):
    def run(*arguments):
        root = Path(__file__).parents[2]
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", KILLED, *arguments],
            capture_output=True, text=True, cwd=root, check=False,
            env=os.environ | {"PYTHONPATH": str(root)},
        )  # fmt: skip

    whole = run(str(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    assert run(str(tmp_path / "cut"), "kill").returncode == -signal.SIGKILL
    resumed = run(str(tmp_path / "cut"))
    assert resumed.stdout == whole.stdout


def test_a_study_of_something_else_is_refused(tmp_path):
    file = tmp_path / "s"
    tune_model(Parabola(), draw(), space=SPACE, n_trials=2, study=file)
    other = draw()
    other.X.flags.writeable = True
    other.X[0, 0] += 1e-9
    for change, name in (
        ({"samples": other}, "samples"),
        ({"space": {"x": (0.0, 1.0)}}, "estimator|space"),
        ({"n_splits": 4}, "n_splits"),
        ({"random_state": 3}, "random_state"),
        ({"metric": "r2"}, "metric"),
    ):
        options = {"samples": draw(), "space": SPACE, "study": file, "n_trials": 2} | change
        with pytest.raises(ValueError, match=rf"study must be one of the same ({name}).*new file"):
            tune_model(Parabola(), **options)


def test_failed_trials_are_kept_with_what_they_said():
    found = tune_model(Parabola(), draw(), space={"n": [13, 4]}, n_trials=8)
    failed = found.trials[found.trials["state"] == "failed"]
    assert 0 < len(failed) < 8
    assert set(failed["error"]) == {"ValueError: thirteen is refused"}
    assert np.isnan(failed["score"]).all()
    assert found.parameters == {"n": 4}
    with pytest.raises(ValueError, match=r"at least one trial.*thirteen is refused"):
        tune_model(Parabola(), draw(), space={"n": [13]}, n_trials=2)


class Spy(ClassifierMixin, BaseEstimator):
    """Remembers what it was given."""

    seen = ()

    def __init__(self, a=1):
        self.a = a

    def fit(self, X, y, sample_weight=None, groups=None):
        self.classes_ = np.unique(y)
        self.groups_, self.rows_ = set(groups), set(X[:, 1])
        np.testing.assert_array_equal(sample_weight, X[:, 2])
        return self

    def predict_proba(self, X):
        assert not self.rows_ & set(X[:, 1])
        assert not self.groups_ & set(X[:, 3])
        return np.column_stack([1 - X[:, 0], X[:, 0]])


def test_groups_stay_whole_and_weights_arrive():
    rng = np.random.default_rng(2)
    groups = np.arange(100) // 5
    weights = rng.uniform(1, 2, 100)
    X = np.column_stack([rng.random(100), np.arange(100), weights, groups])
    samples = Samples(X, y=groups % 2, groups=groups, weights=weights)
    found = tune_model(Spy(), samples, space={"a": (1, 3)}, n_trials=2)
    assert found.metric == "roc_auc"
    for y, metric in ((np.arange(100) % 3, "neg_log_loss"),):
        assert tune_model(Spy3(), Samples(X, y=y, groups=groups, weights=weights),
                          space={"a": (1, 3)}, n_trials=1).metric == metric  # fmt: skip


class Spy3(Spy):
    """Three classes."""

    def predict_proba(self, X):
        return np.full((len(X), 3), 1 / 3)


@pytest.mark.parametrize("cls", [BDTClassifier, BDTRegressor])
def test_members_have_a_space_of_their_own(cls):
    samples = draw()
    if cls is BDTClassifier:
        samples = Samples(samples.X, y=(samples.X[:, 0] > 0).astype(int), groups=samples.groups)
    found = tune_model(cls(random_state=1), samples, n_trials=2, n_splits=2)
    assert set(found.parameters) == set(SPACES[cls.__name__])


def test_every_default_space_is_one_of_its_member():
    import astroml_kit.models as zoo
    from astroml_kit.models._search_spaces import choose_space

    assert set(SPACES) <= set(list_models()["name"])
    for name in SPACES:
        assert choose_space(getattr(zoo, name)(), None) == SPACES[name]


def test_what_is_inside_is_tuned():
    from astroml_kit.models import DeepEnsemble
    from astroml_kit.models._search_spaces import choose_space

    model = DeepEnsemble(BDTClassifier(random_state=1), n_members=2, random_state=1)
    space = choose_space(model, None)
    assert space == {f"estimator__{k}": v for k, v in SPACES["BDTClassifier"].items()}
    samples = draw()
    labelled = Samples(samples.X, y=(samples.X[:, 0] > 0).astype(int), groups=samples.groups)
    small = {key: space[key] for key in ("estimator__max_leaves", "estimator__learning_rate")}
    found = tune_model(model, labelled, space=small, n_trials=2, n_splits=2)
    assert found.estimator.estimator.max_leaves == found.parameters["estimator__max_leaves"]


def test_without_labels_the_models_own_score_counts():
    from astroml_kit.models import Autoencoder

    rng = np.random.default_rng(3)
    X = rng.normal(size=(80, 1)) @ np.ones((1, 4)) + 0.05 * rng.normal(size=(80, 4))
    model = Autoencoder(hidden_layers=(8,), max_epochs=5, random_state=1)
    found = tune_model(model, Samples(X), space={"n_latent": (1, 2)}, n_trials=2, n_splits=2)
    assert found.metric == "score"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": {"depth": (1, 2)}}, "space must name parameters of the estimator, got 'depth'"),
        ({"space": {}}, "space must be a mapping"),
        ({"space": {"x": (2, 1)}}, r"space\['x'\] must be \(low, high\)"),
        ({"space": {"x": (0.0, 1.0, "log")}}, "must be above 0 for a logarithmic"),
        ({"space": {"x": (0.0, np.inf)}}, r"must be \(low, high\)"),
        ({"space": {"x": []}}, "at least one value"),
        ({"space": None}, "space must be given for a Parabola; there are default spaces"),
        ({"n_trials": 0}, "n_trials must be"),
        ({"metric": "auc"}, "metric must be"),
        ({"n_splits": 31}, "n_splits must be at most the 30 groups, got 31"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        tune_model(Parabola(), draw(), **{"space": SPACE, "n_trials": 1} | options)


def test_neural_members_are_tuned_with_groups():
    X = np.random.default_rng(4).normal(size=(90, 2))
    samples = Samples(X, y=(X[:, 0] > 0).astype(int), groups=np.arange(90) // 3)
    model = NeuralClassifier(max_epochs=3, random_state=1)
    found = tune_model(model, samples, n_trials=2, n_splits=2)
    assert 0.4 < found.score <= 1
    assert "roc_auc" in str(found)


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"astroml_kit\[tuning\]"):
        tune_model(Parabola(), draw(), space=SPACE)
