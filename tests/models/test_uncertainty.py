"""Ensembles, calibration, conformal sets and a Bayesian last layer keep what they promise."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct, WhiteKernel
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.utils.estimator_checks import parametrize_with_checks

from astroml_kit.evaluation import evaluate_classifier
from astroml_kit.models import (
    BDTClassifier,
    BDTRegressor,
    BlendedClassifier,
    CalibratedClassifier,
    ConformalClassifier,
    ConformalRegressor,
    DeepEnsemble,
    HybridClassifier,
    LaplaceRegressor,
    NeuralClassifier,
    NeuralRegressor,
    PseudoLabelClassifier,
    sample_dropout,
)
from astroml_kit.models._calibrators import METHODS, Calibrator
from astroml_kit.models.conformal import find_bound
from astroml_kit.samples import Samples

USUAL = {"n_estimators": 60, "learning_rate": 0.1}
TREES = {"n_estimators": 20, "min_samples_leaf": 5, "random_state": 1}
SPLIT = "rows are drawn for the folds or held out: a weight of 2 is not two rows"
FAILURES = {"check_sample_weight_equivalence_on_dense_data": SPLIT}


def list_failures(estimator):
    if isinstance(estimator, PseudoLabelClassifier):
        return FAILURES | {"check_classifiers_classes": "-1 means unlabelled, and is no class"}
    if isinstance(estimator, HybridClassifier):
        return FAILURES | {
            "check_classifiers_train": "the last column is a series, unseen by trees"
        }
    return {} if isinstance(estimator, DeepEnsemble | LaplaceRegressor) else FAILURES


@parametrize_with_checks(
    [
        DeepEnsemble(BDTClassifier(**USUAL), n_members=2),
        DeepEnsemble(BDTRegressor(**USUAL), n_members=2),
        CalibratedClassifier(BDTClassifier(**USUAL), n_splits=2),
        ConformalClassifier(BDTClassifier(**USUAL)),
        ConformalRegressor(BDTRegressor(**USUAL)),
        BlendedClassifier([("trees", BDTClassifier(**USUAL))], n_splits=2),
        HybridClassifier([("trees", BDTClassifier(**USUAL))], sequence_shape=(1, 1), n_splits=2),
        PseudoLabelClassifier(BDTClassifier(**USUAL), n_rounds=1, n_splits=2),
        LaplaceRegressor(
            NeuralRegressor(
                hidden_layers=(24,),
                max_epochs=15,
                learning_rate=0.04,
                batch_size=64,
                random_state=1,
            )
        ),
    ],
    expected_failed_checks=list_failures,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def draw_classes(rng, n, *, n_classes=2):
    """Gaussian classes, whose true probabilities are known."""
    centres = 1.2 * np.array([[0.0, 0.0], [1.0, 1.0], [-1.0, 1.0]])[:n_classes]
    y = rng.integers(n_classes, size=n)
    X = centres[y] + rng.normal(size=(n, 2))
    logit = -0.5 * ((X[:, None] - centres) ** 2).sum(axis=2)
    p = np.exp(logit - logit.max(axis=1, keepdims=True))
    return X, y, p / p.sum(axis=1, keepdims=True)


# Ensembles


def test_an_ensemble_is_the_mean_of_its_members_and_better_than_they_are():
    rng = np.random.default_rng(1)
    X, y, _ = draw_classes(rng, 300)
    test, truth, _ = draw_classes(rng, 4000)
    net = NeuralClassifier(hidden_layers=(32,), max_epochs=60, learning_rate=0.02,
                           early_stopping=False)  # fmt: skip
    model = DeepEnsemble(net, n_members=4, random_state=1).fit(X, y)
    each = model.predict_members(test)
    np.testing.assert_array_equal(model.predict_proba(test), each.mean(axis=0))
    assert len({one.tobytes() for one in each}) == 4
    losses = [log_loss(truth, p) for p in each]
    assert log_loss(truth, model.predict_proba(test)) < np.mean(losses)
    np.testing.assert_array_equal(model.predict(test), each.mean(axis=0).argmax(axis=1))


def test_the_error_grows_away_from_the_data_and_has_two_parts():
    rng = np.random.default_rng(2)
    X = rng.uniform(-1, 1, (400, 1))
    y = np.sin(3 * X[:, 0]) + 0.2 * rng.normal(size=400)
    net = NeuralRegressor(hidden_layers=(24,), max_epochs=120, learning_rate=0.02, uncertainty=True,
                          early_stopping=False)  # fmt: skip
    model = DeepEnsemble(net, n_members=4, random_state=1).fit(X, y)
    there = np.array([[0.0], [5.0]])
    parts = {kind: model.predict_std(there, kind) for kind in ("total", "aleatoric", "epistemic")}
    np.testing.assert_allclose(
        parts["total"] ** 2, parts["aleatoric"] ** 2 + parts["epistemic"] ** 2, rtol=1e-9
    )
    assert parts["aleatoric"][0] == pytest.approx(0.2, rel=0.4)
    assert parts["epistemic"][1] > 4 * parts["epistemic"][0]
    mean, std = model.predict(there, return_std=True)
    np.testing.assert_array_equal(std, parts["total"])
    np.testing.assert_array_equal(mean, model.predict(there))
    plain = DeepEnsemble(BDTRegressor(**TREES), n_members=2, random_state=1).fit(X, y)
    np.testing.assert_array_equal(plain.predict_std(there, "aleatoric"), 0)


def test_dropout_is_drawn_and_leaves_the_model_as_it_was():
    rng = np.random.default_rng(3)
    X, y, _ = draw_classes(rng, 200)
    net = NeuralClassifier(hidden_layers=(32,), max_epochs=5, dropout=0.1, random_state=1).fit(X, y)
    before = net.predict_proba(X)
    draws = sample_dropout(net, X, n_draws=40, random_state=1)
    assert draws.shape == (40, 200, 2)
    np.testing.assert_array_equal(net.predict_proba(X), before)
    np.testing.assert_array_equal(draws, sample_dropout(net, X, n_draws=40, random_state=1))
    assert draws.std(axis=0).min() > 0
    np.testing.assert_allclose(draws.mean(axis=0), before, atol=0.1)
    with pytest.raises(ValueError, match="network with dropout above 0"):
        sample_dropout(NeuralClassifier(max_epochs=1).fit(X, y), X)
    with pytest.raises(ValueError, match="network with dropout above 0"):
        sample_dropout(BDTClassifier(**TREES).fit(X, y), X)


# Calibration


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("method", METHODS)
def test_a_distortion_is_undone(method, n_classes):
    """True probabilities to the power of 2.5 come back."""
    _, y, p = draw_classes(np.random.default_rng(4), 20_000, n_classes=n_classes)
    sharp = p**2.5
    sharp /= sharp.sum(axis=1, keepdims=True)
    fitted = Calibrator.fit(method, sharp, y, None)
    back = fitted.apply(sharp)
    np.testing.assert_allclose(back.sum(axis=1), 1)
    allowed = 0.015 if method == "temperature" or n_classes == 2 else 0.03
    assert np.abs(back - p).mean() < allowed
    assert log_loss(y, back) < log_loss(y, sharp)
    if method == "temperature":
        assert fitted.values[0][0] == pytest.approx(2.5, rel=0.05)
        np.testing.assert_array_equal(back.argmax(axis=1), sharp.argmax(axis=1))


@pytest.mark.parametrize("n_splits", [1, 5])
@pytest.mark.parametrize("method", METHODS)
def test_calibration_holds_on_samples_that_nobody_has_seen(method, n_splits):
    rng = np.random.default_rng(5)
    X, y, _ = draw_classes(rng, 2000)
    test, truth, _ = draw_classes(rng, 6000)
    trees = BDTClassifier(n_estimators=300, learning_rate=0.2, random_state=1)
    raw = trees.fit(X, y).predict_proba(test)[:, 1]
    model = CalibratedClassifier(trees, method=method, n_splits=n_splits, random_state=1)
    calibrated = model.fit(X, y, groups=np.arange(2000) // 2).predict_proba(test)[:, 1]
    before, after = (evaluate_classifier(truth, s, n_bootstrap=0).ece for s in (raw, calibrated))
    assert before > 0.09
    assert after < 0.5 * before


def test_no_group_calibrates_its_own_model(monkeypatch):
    """A model that remembers rows is perfect on them: only held-out scores are calibrated."""
    rng = np.random.default_rng(6)
    X = np.repeat(rng.normal(size=(150, 2)), 4, axis=0)
    groups = np.repeat(np.arange(150), 4)
    y = np.repeat(rng.integers(2, size=150), 4)  # no relation to X
    keen = BDTClassifier(n_estimators=100, learning_rate=0.3, min_samples_leaf=1, random_state=1)
    model = CalibratedClassifier(keen, random_state=1).fit(X, y, groups=groups)
    fresh = model.predict_proba(rng.normal(size=(400, 2)))
    assert np.abs(fresh - 0.5).max() < 0.25
    torn = CalibratedClassifier(keen, random_state=1).fit(X, y)
    assert np.abs(torn.predict_proba(X) - 0.5).mean() > 0.4


# Conformal


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.97])
def test_bounds_cover_exactly(confidence):
    """Over draws of the held-out scores the next one is covered with at least the confidence."""
    rng = np.random.default_rng(7)
    draws = np.sort(rng.random((20_000, 60)), axis=1)
    bound = np.array([find_bound(row, confidence) for row in draws])
    covered = np.minimum(bound, 1).mean()  # a uniform score lies below b with probability b
    assert covered == pytest.approx(np.ceil(61 * confidence) / 61, abs=4e-3)
    assert find_bound(draws[0][:5], 0.9) == np.inf


def test_sets_and_intervals_cover_on_average_over_repeats():
    rng = np.random.default_rng(8)
    sets, intervals, classes = [], [], []
    for seed in range(20):
        X, y, _ = draw_classes(rng, 500, n_classes=3)
        test, truth, _ = draw_classes(rng, 400, n_classes=3)
        model = ConformalClassifier(LogisticRegression(), random_state=seed).fit(X, y)
        sets.append(model.predict_sets(test)[np.arange(400), truth].mean())
        each = ConformalClassifier(LogisticRegression(), per_class=True, random_state=seed)
        member = each.fit(X, y).predict_sets(test)[np.arange(400), truth]
        classes.append([member[truth == k].mean() for k in range(3)])
        low, high = (
            ConformalRegressor(BDTRegressor(**TREES), random_state=seed)
            .fit(X, X[:, 0] ** 2)
            .predict_interval(test)
            .T
        )
        intervals.append(np.mean((low <= test[:, 0] ** 2) & (test[:, 0] ** 2 <= high)))
    for values in (sets, intervals, *np.transpose(classes)):
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        assert 0.9 - 3 * error <= np.mean(values) <= 0.92 + 3 * error


def test_sets_are_those_of_mapie():
    mapie = pytest.importorskip("mapie.classification", reason="pip install mapie")
    rng = np.random.default_rng(9)
    X, y, _ = draw_classes(rng, 600, n_classes=3)
    test, *_ = draw_classes(rng, 300, n_classes=3)
    model = ConformalClassifier(LogisticRegression(), random_state=1).fit(X, y)
    held = np.sort(model.scores_[0])
    p = model.model_.predict_proba(X)[np.arange(600), y]
    rows = np.flatnonzero(np.isin(1 - p, held))
    assert len(rows) == len(held)
    theirs = mapie.SplitConformalClassifier(
        model.model_, confidence_level=[0.8, 0.9], conformity_score="lac", prefit=True
    ).conformalize(X[rows], y[rows])
    _, wanted = theirs.predict_set(test)
    for k, confidence in enumerate((0.8, 0.9)):
        np.testing.assert_array_equal(model.predict_sets(test, confidence), wanted[:, :, k])


def test_intervals_widen_where_the_model_is_unsure():
    rng = np.random.default_rng(10)
    X = rng.uniform(0, 1, (1200, 1))
    y = (0.05 + X[:, 0]) * rng.normal(size=1200)
    net = NeuralRegressor(hidden_layers=(16,), max_epochs=60, learning_rate=0.02, uncertainty=True,
                          random_state=1)  # fmt: skip
    model = ConformalRegressor(net, scale="std", random_state=1).fit(X[:900], y[:900])
    low, high = model.predict_interval(X[900:]).T
    far = X[900:, 0] > 0.5
    assert (high - low)[far].mean() > 1.5 * (high - low)[~far].mean()
    for part in (far, ~far):
        assert np.mean((low <= y[900:]) & (y[900:] <= high), where=part) > 0.8


# Last layer, blend


def test_the_last_layer_is_exact_bayesian_regression():
    """Its mean and error are those of a Gaussian process with the linear kernel of its features."""
    rng = np.random.default_rng(11)
    X = rng.uniform(-1, 1, (150, 1))
    y = 5 + 2 * np.sin(3 * X[:, 0]) + 0.3 * rng.normal(size=150)
    net = NeuralRegressor(hidden_layers=(12,), activation="tanh", max_epochs=80,
                          learning_rate=0.02, random_state=1)  # fmt: skip
    model = LaplaceRegressor(net).fit(X, y)
    grid = np.linspace(-2, 2, 40)[:, None]
    mean, std = model.predict(grid, return_std=True)
    F, target = model._find_features(X), (y - y.mean())
    weights = model.coef_ * model._get_scale()
    assert model.noise_ == pytest.approx(0.3, rel=0.25)
    # prior precision that the evidence chose, from the posterior covariance and the noise
    scale, noise = model._get_scale(), model.noise_
    inverse = (
        np.linalg.inv(model.covariance_ * scale**2) - (F - F.mean(0)).T @ (F - F.mean(0)) / noise**2
    )
    prior = 1 / np.diag(inverse).mean()
    np.testing.assert_allclose(inverse, np.eye(12) / prior, atol=1e-5 / prior)
    process = GaussianProcessRegressor(
        prior * DotProduct(sigma_0=0, sigma_0_bounds="fixed") + WhiteKernel(noise**2),
        optimizer=None,
    ).fit(F - F.mean(0), target)
    wanted, error = process.predict(model._find_features(grid) - F.mean(0), return_std=True)
    np.testing.assert_allclose(mean, wanted + y.mean(), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(std, error, rtol=1e-3)
    assert std[0] > std[20]
    np.testing.assert_allclose(
        (model._find_features(grid) - F.mean(0)) @ weights + y.mean(), mean, rtol=1e-6
    )


@pytest.mark.parametrize(
    "inner", [NeuralRegressor(uncertainty=True), NeuralRegressor(hidden_layers=()), BDTRegressor()]
)
def test_what_has_no_last_layer_is_refused(inner):
    with pytest.raises(ValueError, match="estimator must be a NeuralRegressor with hidden layers"):
        LaplaceRegressor(inner).fit(np.zeros((5, 1)), np.arange(5.0))


@pytest.mark.parametrize("average", ["log", "linear"])
def test_a_blend_weighs_what_is_good(average):
    rng = np.random.default_rng(12)
    X, y, _ = draw_classes(rng, 600)
    noise = np.column_stack([X, rng.normal(size=(600, 2))])
    test, truth, p = draw_classes(rng, 4000)
    more = np.column_stack([test, rng.normal(size=(4000, 2))])
    blind = BDTClassifier(n_estimators=2, max_leaves=2, learning_rate=0.01, random_state=1)
    model = BlendedClassifier(
        [("blind", blind), ("line", LogisticRegression()), ("trees", BDTClassifier(**TREES))],
        average=average, random_state=1,
    ).fit(noise, y)  # fmt: skip
    assert model.weights_[1] > model.weights_[0]
    if average == "linear":
        assert model.weights_.sum() == pytest.approx(1)
    best = log_loss(truth, p)
    each = [log_loss(truth, one.predict_proba(more)) for one in model.models_]
    assert best < log_loss(truth, model.predict_proba(more)) < min(each) + 0.005


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (CalibratedClassifier(method="sigmoid"), "method must be one of"),
        (CalibratedClassifier(n_splits=0), "n_splits must be"),
        (CalibratedClassifier(fraction=1), "fraction must be"),
        (CalibratedClassifier(n_splits=30), "y must have 30 samples of every class, got 20"),
        (ConformalClassifier(confidence=1), "confidence must be"),
        (ConformalClassifier(fraction=0), "fraction must be"),
        (ConformalRegressor(scale="mad"), "scale must be"),
        (DeepEnsemble(n_members=0), "n_members must be"),
        (BlendedClassifier(average="mean"), "average must be"),
        (BlendedClassifier(n_splits=1), "n_splits must be"),
    ],
)
def test_mistakes_are_named(model, message):
    X = np.random.default_rng(13).normal(size=(40, 2))
    with pytest.raises(ValueError, match=message):
        model.fit(X, np.arange(40) % 2)


def test_names_are_kept():
    rng = np.random.default_rng(14)
    samples = Samples(rng.normal(size=(100, 2)), y=np.arange(100) % 2, feature_names=("a", "b"))
    for model in (
        DeepEnsemble(BDTClassifier(**TREES), n_members=2),
        CalibratedClassifier(BDTClassifier(**TREES), n_splits=2),
        ConformalClassifier(BDTClassifier(**TREES)),
    ):
        fitted = model.fit(samples)
        assert fitted.feature_names_in_.tolist() == ["a", "b"]
        other = Samples(samples.X, feature_names=("b", "a"))
        with pytest.raises(ValueError, match="another order"):
            fitted.predict(other)


def test_expit_is_what_two_classes_have():
    """A temperature divides the log-odds."""
    odds = np.array([-3.0, 0.0, 2.0])
    p = np.column_stack([1 - expit(odds), expit(odds)])
    back = Calibrator("temperature", ((2.0,),)).apply(p)
    np.testing.assert_allclose(back[:, 1], expit(odds / 2))
