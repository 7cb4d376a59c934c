"""The contract of the zoo, one case per member: what everybody may rely on whatever the model.

scikit-learn's own checks run in the modules of those members that take tables.
"""

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from astroml_kit.models import (
    GAN,
    AnomalyDetector,
    Autoencoder,
    BandedClassifier,
    BDTClassifier,
    BDTRegressor,
    BlendedClassifier,
    CalibratedClassifier,
    CalibratedRegressor,
    ConformalClassifier,
    ConformalRegressor,
    DeepEnsemble,
    ForestClassifier,
    HybridClassifier,
    ImageClassifier,
    ImageEmbedder,
    LaplaceRegressor,
    MixtureDensityRegressor,
    ModelFileError,
    NeuralClassifier,
    NeuralRegressor,
    PseudoLabelClassifier,
    SequenceClassifier,
    SequenceForecaster,
    SkyDBSCAN,
    VariationalAutoencoder,
    list_models,
    load_model,
    save_model,
)

RNG = np.random.default_rng(20)
N = 120
TABLE = RNG.normal(size=(N, 3))
IMAGES = RNG.normal(size=(N, 8, 8))
LABELS = (TABLE[:, 0] > 0).astype(int)
IMAGES[LABELS == 1, 2:5] += 1
SKY = np.column_stack([RNG.uniform(0, 40, N), RNG.uniform(-20, 20, N)])


def draw_series() -> list[np.ndarray]:
    lengths = RNG.integers(4, 12, N)
    return [
        np.column_stack([np.cumsum(RNG.exponential(size=n)), RNG.normal(size=n) + 2 * label])
        for n, label in zip(lengths, LABELS, strict=True)
    ]


SERIES = draw_series()
TREES = {"n_estimators": 8, "learning_rate": 0.2, "min_samples_leaf": 5, "random_state": 1}
SHORT = {"max_epochs": 3, "random_state": 1}
NET = SHORT | {"hidden_layers": (6,), "batch_size": 32}
CNN = SHORT | {"channels": (4,), "batch_size": 32}


@dataclass(frozen=True)
class Case:
    """A member as the contract sees it.

    ``weights`` is "honoured", or a pattern of the refusal; ``says`` the methods whose answers a
    saved model must repeat.
    """

    model: Any
    X: Any
    y: Any = None
    says: tuple[str, ...] = ("predict",)
    weights: str = "honoured"
    grid: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return type(self.model).__name__


BOTH = ("predict", "predict_proba", "decision_function")
CASES = [
    Case(
        BlendedClassifier([("a", BDTClassifier(**TREES)), ("b", NeuralClassifier(**NET))],
                          n_splits=2, random_state=1),
        TABLE, LABELS, BOTH[:2], grid={"average": ["log", "linear"]},
    ),
    Case(
        HybridClassifier([("a", BDTClassifier(**TREES)),
                          ("b", SequenceClassifier(hidden_size=4, time_column=None, **SHORT))],
                         sequence_shape=(4, 2), n_splits=2, random_state=1),
        np.column_stack([TABLE, IMAGES[:, 2:4, 3:7].reshape(N, -1)]), LABELS, BOTH[:2],
        grid={"average": ["log", "linear"]},
    ),
    Case(
        CalibratedClassifier(SequenceClassifier(hidden_size=4, **SHORT), n_splits=2,
                             random_state=1),
        SERIES, LABELS, BOTH[:2], grid={"method": ["platt", "isotonic"]},
    ),
    Case(
        ConformalClassifier(ImageClassifier(**CNN), random_state=1),
        IMAGES, LABELS, (*BOTH[:2], "predict_sets"), grid={"per_class": [False, True]},
    ),
    Case(
        ConformalRegressor(BDTRegressor(**TREES), random_state=1),
        TABLE, TABLE[:, 0], ("predict", "predict_interval"), grid={"confidence": [0.6, 0.8]},
    ),
    Case(
        DeepEnsemble(NeuralClassifier(**NET), n_members=2, random_state=1),
        TABLE, LABELS, BOTH[:2], grid={"n_members": [1, 2]},
    ),
    Case(
        CalibratedRegressor(MixtureDensityRegressor(n_components=2, **NET), n_splits=2,
                            random_state=1),
        TABLE, TABLE[:, 0], ("predict", "predict_interval"), grid={"confidence": [0.6, 0.8]},
    ),
    Case(LaplaceRegressor(NeuralRegressor(**NET)), TABLE, TABLE[:, 0]),
    Case(
        PseudoLabelClassifier(BDTClassifier(**TREES), confidence=0.7, n_rounds=2, n_splits=2,
                              random_state=1),
        TABLE, LABELS, BOTH[:2], grid={"strategy": ["hard", "soft"]},
    ),
    Case(BDTClassifier(**TREES), TABLE, LABELS, BOTH, grid={"max_leaves": [4, 8]}),
    Case(ForestClassifier(n_estimators=8, min_samples_leaf=5, random_state=1), TABLE, LABELS,
         BOTH[:2], grid={"kind": ["extra", "random"]}),
    Case(BDTRegressor(**TREES), TABLE, TABLE[:, 0], grid={"max_leaves": [4, 8]}),
    Case(
        BandedClassifier(BDTClassifier(**TREES), band_columns=(2,), band_edges=((-9, 0, 9),),
                         min_count=5),
        TABLE, LABELS, BOTH, grid={"min_count": [5, 10]},
    ),
    Case(NeuralClassifier(**NET), TABLE, LABELS, BOTH, grid={"dropout": [0.0, 0.1]}),
    Case(NeuralRegressor(**NET), TABLE, TABLE[:, 0], grid={"dropout": [0.0, 0.1]}),
    Case(
        MixtureDensityRegressor(n_components=2, **NET), TABLE, TABLE[:, 0],
        grid={"n_components": [1, 2]},
    ),
    Case(ImageClassifier(**CNN), IMAGES, LABELS, BOTH, grid={"dropout": [0.0, 0.1]}),
    Case(
        ImageEmbedder(**CNN), IMAGES, says=("transform",),
        weights="sample_weight must be left out",
    ),
    Case(
        SequenceClassifier(hidden_size=4, batch_size=32, **SHORT), SERIES, LABELS, BOTH,
        grid={"cell": ["gru", "conv"]},
    ),
    Case(
        SequenceForecaster(hidden_size=4, batch_size=32, n_windows=2, n_history=4, **SHORT),
        SERIES, says=("predict",), grid={"cell": ["gru", "conv"]},
    ),
    Case(
        Autoencoder(**NET), TABLE, says=("transform", "reconstruct", "score_samples"),
        grid={"n_latent": [1, 2]},
    ),
    Case(
        VariationalAutoencoder(**NET), TABLE, says=("transform", "reconstruct", "score_samples"),
        grid={"n_latent": [1, 2]},
    ),
    Case(
        AnomalyDetector(n_estimators=10, max_epochs=3, hidden_layers=(4,), n_latent=2,
                        random_state=1),
        TABLE, says=("predict", "decision_function", "score_samples"),
    ),
    Case(GAN(**NET, n_latent=2), TABLE, says=("score",), grid={"n_latent": [2, 3]}),
    Case(
        SkyDBSCAN(radius_deg=2, min_samples=3), SKY, says=("predict",),
    ),
]  # fmt: skip

every_member = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def every(rule):
    """Parametrise over the members for which something holds."""
    return pytest.mark.parametrize("case", [*filter(rule, CASES)], ids=lambda case: case.name)


def fit(case, model=None, *, X=None, **options):
    model = clone(case.model) if model is None else model
    X = case.X if X is None else X
    return model.fit(X, **options) if case.y is None else model.fit(X, case.y, **options)


@cache
def get_fitted(name):
    return fit(next(case for case in CASES if case.name == name))


def ask(model, case, X=None):
    """Every answer of a fitted model, by method."""
    answers = {}
    for method in case.says:
        answer = getattr(model, method)(case.X if X is None else X)
        answers[method] = np.asarray(answer, dtype=float)
    return answers


def check_same(one, two):
    assert one.keys() == two.keys()
    for method in one:
        np.testing.assert_array_equal(one[method], two[method], err_msg=method)


def take(X, rows):
    return [X[row] for row in rows] if isinstance(X, list) else X[rows]


def copy(X):
    return [row.copy() for row in X] if isinstance(X, list) else X.copy()


def test_every_member_has_a_case():
    assert sorted(case.name for case in CASES) == sorted(list_models()["name"])


@every_member
def test_parameters_are_kept_and_cloned(case):
    model = case.model
    before = {name: repr(value) for name, value in model.get_params().items()}
    twin = clone(model)
    assert twin is not model
    assert {name: repr(value) for name, value in twin.get_params().items()} == before
    fit(case, twin)
    assert {name: repr(value) for name, value in twin.get_params().items()} == before
    with pytest.raises(ValueError, match="nonsense"):
        clone(model).set_params(nonsense=1)


@every_member
def test_unfitted_is_said(case):
    for method in case.says:
        with pytest.raises(NotFittedError):
            getattr(clone(case.model), method)(case.X)


@every_member
def test_same_seed_same_bits(case):
    answers = ask(get_fitted(case.name), case)
    assert all(np.isfinite(answer).all() for answer in answers.values())
    check_same(ask(fit(case), case), answers)


@every_member
def test_neither_fit_nor_predict_changes_what_it_is_given(case):
    X, y = copy(case.X), None if case.y is None else case.y.copy()
    weight = None if case.weights != "honoured" else np.ones(N)
    model = fit(case, X=X, **({} if weight is None else {"sample_weight": weight}))
    ask(model, case, X)
    for one, two in zip(X, case.X, strict=True):
        np.testing.assert_array_equal(one, two)
    if y is not None:
        np.testing.assert_array_equal(y, case.y)
    if weight is not None:
        np.testing.assert_array_equal(weight, 1)


@every_member
def test_a_wrong_shape_is_named(case):
    model = get_fitted(case.name)
    if isinstance(case.X, list):
        wrong = [np.column_stack([row, row[:, 0]]) for row in case.X]
    else:
        wrong = np.concatenate([case.X, case.X], axis=-1)
    for method in case.says:
        with pytest.raises(ValueError, match=r"(?i)features|columns|shape|pixels"):
            getattr(model, method)(wrong)
    for bad in (wrong[0], case.X[:0]):
        with pytest.raises(ValueError, match=r"(?i)X |array|series|images|sample"):
            fit(Case(case.model, bad, None if case.y is None else case.y[: len(bad)]))


@every_member
def test_what_is_not_finite_is_refused_or_understood(case):
    X = copy(case.X)
    X[3].flat[-1] = np.inf
    with pytest.raises(ValueError, match=r"(?i)finite|infinity|inf"):
        fit(case, X=X)


@every_member
def test_weights_are_honoured_or_refused_by_name(case):
    weight = np.where(np.arange(N) % 3 == 0, 20.0, 0.1)
    if case.weights != "honoured":
        with pytest.raises(ValueError, match=case.weights):
            fit(case, sample_weight=weight)
        return
    other = ask(fit(case, sample_weight=weight), case)
    plain = ask(get_fitted(case.name), case)
    assert any(not np.array_equal(other[method], plain[method]) for method in other)
    with pytest.raises(ValueError, match=r"(?i)weight"):
        fit(case, sample_weight=-weight)
    with pytest.raises(ValueError, match=r"(?i)weight|length|samples"):
        fit(case, sample_weight=weight[:-1])


@every_member
def test_groups_are_taken(case):
    fit(case, groups=np.arange(N) // 4)


@every(lambda case: is_classifier(case.model))
def test_classifiers_keep_labels_and_probabilities_in_order(case):
    names = np.array(["star", "galaxy"])
    model = clone(case.model).fit(case.X, names[case.y])
    assert model.classes_.tolist() == ["galaxy", "star"]
    probability = model.predict_proba(case.X)
    assert probability.shape == (N, 2)
    assert probability.min() >= 0
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(case.X), model.classes_[probability.argmax(axis=1)])
    with pytest.raises(ValueError, match=r"(?i)class"):
        clone(case.model).fit(case.X, np.zeros(N, dtype=int))


@every(lambda case: "class_weight" in case.model.get_params())
def test_classes_can_be_balanced(case):
    rows = np.flatnonzero((case.y == 0) | (np.arange(N) % 6 == 0))
    X, y = take(case.X, rows), case.y[rows]
    means = [
        clone(case.model)
        .set_params(class_weight=w, learning_rate=0.03, max_epochs=8)
        .fit(X, y)
        .predict_proba(X)[:, 1]
        .mean()
        for w in (None, "balanced", {0: 1.0, 1: 50.0})
    ]
    assert means[0] < means[1] < means[2]


@every_member
def test_pipelines_and_searches(case):
    through = make_pipeline(FunctionTransformer(), clone(case.model))
    fit(case, through)
    last = case.says[0]
    np.testing.assert_array_equal(
        getattr(through, last)(case.X), getattr(get_fitted(case.name), last)(case.X)
    )
    if not case.grid:
        return
    search = GridSearchCV(clone(case.model), case.grid, cv=2, error_score="raise")
    fit(case, search)
    ((name, values),) = case.grid.items()
    assert search.best_params_[name] in values


@every_member
def test_a_fitted_model_travels_to_worker_processes(case):
    again = pickle.loads(pickle.dumps(get_fitted(case.name)))
    check_same(ask(again, case), ask(get_fitted(case.name), case))


@every_member
def test_one_by_one_is_as_all_together(case):
    model = get_fitted(case.name)
    for method in case.says:
        if method == "score":
            continue
        together = np.asarray(getattr(model, method)(case.X), dtype=float)
        for row in (0, 17, N - 1):
            alone = np.asarray(getattr(model, method)(take(case.X, [row])), dtype=float)
            np.testing.assert_allclose(alone[0], together[row], rtol=1e-4, atol=1e-5)


@every(lambda case: "checkpoint" in case.model.get_params())
def test_an_interrupted_training_goes_on_to_the_same_end(case, tmp_path, monkeypatch):
    from astroml_kit.models import _checkpoints

    whole = ask(get_fitted(case.name), case)
    write, calls = _checkpoints.Checkpoint.write, []

    def write_and_fail(self, *args, **options):
        write(self, *args, **options)
        calls.append(1)
        if len(calls) == 2:
            raise OSError("the machine went down")

    monkeypatch.setattr(_checkpoints.Checkpoint, "write", write_and_fail)
    model = clone(case.model).set_params(checkpoint=tmp_path / "c")
    with pytest.raises(OSError, match="went down"):
        fit(case, model)
    monkeypatch.undo()
    resumed = fit(case, clone(case.model).set_params(checkpoint=tmp_path / "c"))
    check_same(ask(resumed, case), whole)


# Files

READ_BACK = """
import pickle, sys
import numpy as np
from astroml_kit.models import load_model
with open(sys.argv[1], "rb") as file:
    wanted = pickle.load(file)
for name, (X, answers) in wanted.items():
    model = load_model(f"{sys.argv[2]}/{name}.model")
    for method, answer in answers.items():
        got = np.asarray(getattr(model, method)(X), dtype=float)
        np.testing.assert_array_equal(got, answer, err_msg=f"{name}.{method}")
    print(name)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        case.name: save_model(get_fitted(case.name), folder / f"{case.name}.model")
        for case in CASES
    }


def test_saved_models_answer_the_same_in_a_new_process(files, tmp_path):
    wanted = {case.name: (case.X, ask(get_fitted(case.name), case)) for case in CASES}
    (tmp_path / "wanted").write_bytes(pickle.dumps(wanted))
    folder = next(iter(files.values())).parent
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", READ_BACK, str(tmp_path / "wanted"), str(folder)],
        capture_output=True, text=True, cwd=root, check=False,
        env=os.environ | {"PYTHONPATH": str(root)},
    )  # fmt: skip
    assert done.stdout.split() == [case.name for case in CASES], done.stderr


@every_member
def test_saved_again_it_is_the_same_file(case, files, tmp_path):
    again = load_model(files[case.name])
    second = save_model(again, tmp_path / "m")
    check_same(ask(load_model(second), case), ask(get_fitted(case.name), case))


@every_member
def test_the_card_of_a_file_is_that_of_the_model(case, files):
    card, again = get_fitted(case.name).card(), load_model(files[case.name]).card()
    assert json.loads(json.dumps(card.to_dict()))["name"] == case.name
    assert again.parameters.keys() == card.parameters.keys()
    assert case.name in str(again)
    assert f"<h2>{case.name}</h2>" in again.to_html()


def mutate(content, rng, bait):
    """Yield damaged and hostile versions of a file, checksums made right where that is possible."""
    for _ in range(8):
        flipped = bytearray(content)
        flipped[rng.integers(len(content))] ^= 1 << rng.integers(8)
        yield "bit", bytes(flipped)
    for _ in range(3):
        yield "cut", content[: rng.integers(len(content))]
    yield "tail", content + b"more"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    evil = pickle.dumps(Bait(bait))
    yield "renamed pickle", evil
    weights = [name for name in members if name.startswith("weights/")]
    for name in weights[:1]:
        yield "pickle inside", sign(members | {name: evil})
    yield "traversal", sign(members | {"../../evil": b"x"})
    yield "absolute", sign(members | {"/tmp/evil": b"x"})
    card = json.loads(members["model.json"])
    for change in ({"class": "os.system"}, {"class": "GridSearchCV"}, {"parameters": {"a": 1}},
                   {"n_features": -1}):  # fmt: skip
        entry = card | {"model": card["model"] | change}
        yield str(change), sign(members | {"model.json": json.dumps(entry).encode()})
    newer = card | {"format_version": 99}
    yield "newer", sign(members | {"model.json": json.dumps(newer).encode()})


class Bait:
    """A pickle that leaves a trace when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def sign(members):
    """Pack members with every checksum right, as somebody hostile would."""
    from astroml_kit.models._archive import pack_members

    card = json.loads(members["model.json"])
    card["sha256"] = {
        name: hashlib.sha256(data).hexdigest()
        for name, data in members.items()
        if name != "model.json"
    }
    return pack_members(members | {"model.json": json.dumps(card).encode()})


@every_member
def test_mutated_files_are_refused_and_run_nothing(case, files, tmp_path):
    rng = np.random.default_rng(3)
    bait, path = tmp_path / "bait", tmp_path / "bad.model"
    content = files[case.name].read_bytes()
    kinds = []
    for kind, bad in mutate(content, rng, bait):
        path.write_bytes(bad)
        with pytest.raises(ModelFileError, match=r"bad\.model: "):
            load_model(path)
        kinds.append(kind)
    assert not bait.exists()
    assert len(kinds) >= 19
