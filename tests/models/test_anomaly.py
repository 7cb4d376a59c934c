"""Outliers that were put in are found, by scikit-learn's contract and scikit-learn's forest."""

import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from astroml_kit.models import (
    AnomalyDetector,
    ModelFileError,
    load_model,
    reduce_dimensions,
    save_model,
)
from astroml_kit.models._isolation import IsolationTrees
from astroml_kit.models._normality import Components, Ranks, find_quantile, measure_neighbours
from astroml_kit.samples import Samples

QUICK = {"hidden_layers": (8,), "n_estimators": 20, "max_epochs": 3, "random_state": 1}
WEIGHTS = "check_sample_weight_equivalence_on_dense_data"
FAILURES = {
    "isolation_forest": {
        WEIGHTS: "trees grow on rows drawn by weight: a weight of 2 is not two rows"
    },
    "embedding": {WEIGHTS: "neighbours are samples: a weight of 2 is not two of them"},
}


def list_failures(estimator):
    if estimator.distance == "mahalanobis":
        return {}
    return {name: why for method in estimator.methods
            for name, why in FAILURES.get(method, {}).items()}  # fmt: skip


@parametrize_with_checks(
    [
        AnomalyDetector(**QUICK),
        AnomalyDetector(("isolation_forest",), **QUICK),
        AnomalyDetector(("reconstruction",), **QUICK),
        AnomalyDetector(("embedding",), **QUICK),
        AnomalyDetector(("embedding",), embedding="latent", distance="mahalanobis", **QUICK),
    ],
    expected_failed_checks=list_failures,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def draw_rows(rng, n=800, n_odd=24):
    """Rows near a plane, and some with usual values in unusual company."""
    X = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 8)) + 0.1 * rng.normal(size=(n, 8))
    odd = np.zeros(n, dtype=bool)
    odd[:n_odd] = True
    X[odd] = 2 * X.std(axis=0) * rng.normal(size=(n_odd, 8))
    return X * 10.0 ** np.arange(-4, 4), odd


def draw_images(rng, n=240, n_odd=12):
    y, x = np.mgrid[:10, :10]
    place = rng.uniform(3, 7, (n, 2, 1, 1))
    images = 20 * np.exp(-((y - place[:, 0]) ** 2 + (x - place[:, 1]) ** 2) / 4)
    images += rng.normal(size=images.shape)
    odd = np.zeros(n, dtype=bool)
    odd[:n_odd] = True
    images[odd] = np.abs(10 * rng.normal(size=(n_odd, 1, 10))) + rng.normal(size=(n_odd, 10, 10))
    return images, odd


@pytest.mark.parametrize("distance", ["neighbors", "mahalanobis"])
def test_injected_outliers_are_found(distance):
    X, odd = draw_rows(np.random.default_rng(1))
    model = AnomalyDetector(
        distance=distance, contamination=0.03, max_epochs=40, random_state=1
    ).fit(X)
    assert roc_auc_score(~odd, model.score_samples(X)) > 0.95
    each = model.score_each(X)
    assert roc_auc_score(~odd, each["embedding"]) > 0.95
    assert roc_auc_score(~odd, each["reconstruction"]) > 0.95
    assert np.median(each["reconstruction"][odd]) < np.quantile(each["reconstruction"][~odd], 0.05)
    assert (model.predict(X) == -1).sum() == 24
    assert odd[model.predict(X) == -1].mean() > 0.6
    np.testing.assert_array_equal(model.predict(X), model.fit_predict(X))
    fresh, fresh_odd = draw_rows(np.random.default_rng(1), n=800, n_odd=400)
    assert roc_auc_score(~fresh_odd, model.score_samples(fresh)) > 0.95


def test_rare_values_are_found_by_the_forest():
    rng = np.random.default_rng(2)
    X = np.concatenate([rng.normal(size=(300, 4)), 5 + rng.normal(size=(10, 4))])
    model = AnomalyDetector(("isolation_forest",), random_state=1).fit(X)
    assert roc_auc_score(np.arange(310) < 300, model.score_samples(X)) > 0.99


@pytest.mark.parametrize("embedding", ["pca", "latent"])
def test_images(embedding, tmp_path):
    images, odd = draw_images(np.random.default_rng(3))
    model = AnomalyDetector(
        embedding=embedding, channels=(8,), n_latent=3, max_epochs=15, batch_size=40,
        n_estimators=50, contamination=0.05, random_state=1,
    ).fit(images)  # fmt: skip
    assert roc_auc_score(~odd, model.score_samples(images)) > 0.95
    again = load_model(save_model(model, tmp_path / "m.model"))
    np.testing.assert_array_equal(again.score_samples(images), model.score_samples(images))
    with pytest.raises(ValueError, match="X must have images of the shape"):
        model.predict(images[:, :9])


# The parts


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.integers(1, 5), st.booleans())
def test_trees_score_as_scikit_learn_does(seed, n, n_columns, rounded):
    rng = np.random.default_rng(seed)
    X, new = rng.normal(size=(n, n_columns)), 3 * rng.normal(size=(50, n_columns))
    X = np.round(X) if rounded else X
    options = {"n_estimators": 7, "max_samples": min(256, n)}
    theirs = IsolationForest(random_state=5, **options).fit(X)
    ours = IsolationTrees.grow(X, None, seed=5, n_jobs=1, **options)
    for rows in (X, new):
        np.testing.assert_allclose(ours.score(rows), theirs.score_samples(rows), rtol=1e-12)
    again = IsolationTrees.from_arrays(ours.to_arrays(), n_features=n_columns)
    np.testing.assert_array_equal(again.score(new), ours.score(new))


def test_crafted_trees_are_refused():
    X = np.random.default_rng(4).normal(size=(60, 2))
    good = IsolationTrees.grow(X, None, seed=1, n_jobs=1, n_estimators=3).to_arrays()
    inner = int(np.flatnonzero(good["left"] >= 0)[-1])
    for name, place, value, message in (
        ("left", inner, 0, "left must lead forwards"),
        ("right", inner, inner, "right must lead forwards"),
        ("left", inner, 10**9, "left must lead forwards"),
        ("feature", inner, 2, "feature must be a column"),
        ("feature", inner, -1, "feature must be a column"),
        ("roots", 0, 10**9, "roots must be nodes"),
        ("roots", 0, -1, "roots must be nodes"),
    ):
        bad = {key: array.copy() for key, array in good.items()}
        bad[name][place] = value
        with pytest.raises(ValueError, match=message):
            IsolationTrees.from_arrays(bad, n_features=2)
    with pytest.raises(ValueError, match="one entry per node"):
        IsolationTrees.from_arrays(good | {"depth": good["depth"][:-1]}, n_features=2)
    with pytest.raises(ValueError, match="must have the arrays"):
        IsolationTrees.from_arrays({"left": good["left"]}, n_features=2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.booleans())
def test_ranks_rise_everywhere_and_stay_between_0_and_1(seed, n, weighted):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(size=n), 1)
    weight = rng.uniform(0.1, 3, n) if weighted else None
    ranks = Ranks.measure(scores, weight)
    ranks.check()
    wide = np.linspace(scores.min() - 20, scores.max() + 20, 300)
    found = ranks.rank(wide)
    assert (np.diff(found) > 0).all()
    assert 0 < found[0] < found[-1] < 1
    if not weighted:
        expected = [(np.sum(scores < s) + 0.5 * np.sum(scores == s)) / n for s in scores]
        np.testing.assert_allclose(ranks.rank(scores), expected, atol=1e-12)


def test_neighbours_do_not_count_themselves():
    rng = np.random.default_rng(5)
    reference = rng.normal(size=(40, 3))
    distance = np.linalg.norm(reference[:, None] - reference, axis=2)
    nearest = np.sort(distance, axis=1)[:, 1:6].mean(axis=1)
    np.testing.assert_allclose(measure_neighbours(reference, reference, 5), nearest)
    new = rng.normal(size=(7, 3))
    away = np.sort(np.linalg.norm(new[:, None] - reference, axis=2), axis=1)
    np.testing.assert_allclose(measure_neighbours(new, reference, 5), away[:, :5].mean(axis=1))
    assert measure_neighbours(new, reference[:1], 5).shape == (7,)


def test_components_are_those_of_pca_and_weights_are_repeated_rows():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5))
    ours, theirs = Components.measure(X, None, seed=1), PCA().fit(X)
    np.testing.assert_allclose(ours.variance, theirs.explained_variance_ * 199 / 200)
    np.testing.assert_allclose(np.abs(ours.directions), np.abs(theirs.components_), atol=1e-8)
    weight = rng.integers(1, 4, 200)
    weighted = Components.measure(X, weight.astype(float), seed=1)
    repeated = Components.measure(X.repeat(weight, axis=0), None, seed=1)
    np.testing.assert_allclose(weighted.transform(X), repeated.transform(X), atol=1e-9)
    assert find_quantile(X[:, 0], None, 0.1) == np.percentile(X[:, 0], 10)
    low = find_quantile(X[:, 0], weight.astype(float), 0.1)
    assert 0.08 < weight[X[:, 0] < low].sum() / weight.sum() <= 0.1


# The contract beyond scikit-learn's


def test_same_seed_same_scores_and_inputs_left_alone():
    X, _ = draw_rows(np.random.default_rng(7), n=200)
    kept = X.copy()
    one, two, other = (
        AnomalyDetector(**QUICK | {"random_state": seed}).fit(X).score_samples(X)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(X, kept)


def test_rows_without_weight_change_nothing():
    X, _ = draw_rows(np.random.default_rng(8), n=200)
    weight = np.r_[np.ones(150), np.zeros(50)]
    one = AnomalyDetector(**QUICK).fit(X, sample_weight=weight)
    two = AnomalyDetector(**QUICK).fit(X[:150], sample_weight=np.ones(150))
    np.testing.assert_array_equal(one.score_samples(X), two.score_samples(X))


METHOD_SETS = (
    {},
    {"methods": ("isolation_forest",)},
    {"methods": ("reconstruction", "embedding"), "embedding": "latent"},
    {"methods": ("embedding",), "distance": "mahalanobis"},
    {"methods": ("isolation_forest", "embedding"), "scaling": "quantile"},
)


@pytest.mark.parametrize("options", METHOD_SETS)
def test_files_bring_the_scores_back(options, tmp_path):
    X, _ = draw_rows(np.random.default_rng(9), n=150)
    samples = Samples(X, feature_names=tuple("abcdefgh"))
    model = AnomalyDetector(**QUICK | options).fit(samples)
    path = save_model(model, tmp_path / "m.model")
    again = load_model(path)
    np.testing.assert_array_equal(again.score_samples(samples), model.score_samples(samples))
    np.testing.assert_array_equal(again.predict(samples), model.predict(samples))
    assert again.offset_ == model.offset_
    assert tuple(again.feature_names_in_) == tuple("abcdefgh")
    assert str(again.get_params()) == str(model.get_params())
    rng = np.random.default_rng(10)
    content = path.read_bytes()
    for _ in range(20):
        bad = bytearray(content)
        bad[rng.integers(len(bad))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bad)
        with pytest.raises(ModelFileError):
            load_model(path)


def test_many_samples_are_thinned_out_and_scored_in_parts(monkeypatch):
    from astroml_kit.models import anomaly

    X, _ = draw_rows(np.random.default_rng(11), n=300)
    model = AnomalyDetector(**QUICK, max_reference=50).fit(X)
    assert model._reference.shape == (50, 8)
    whole = model.score_samples(X)
    monkeypatch.setattr(anomaly, "CHUNK", 64)
    np.testing.assert_allclose(model.score_samples(X), whole, rtol=1e-9)


def test_pipelines_grids_and_clones():
    X, odd = draw_rows(np.random.default_rng(12), n=150)
    pipe = make_pipeline(StandardScaler(), AnomalyDetector(**QUICK)).fit(X)
    assert pipe.decision_function(X).shape == (150,)
    grid = GridSearchCV(
        AnomalyDetector(("embedding",), **QUICK),
        {"n_neighbors": [2, 9]},
        scoring=lambda model, rows, y: roc_auc_score(~y, model.score_samples(rows)),
        cv=[(np.arange(150), np.arange(150))],
    ).fit(X, odd)
    assert grid.best_score_ > 0.9
    assert clone(AnomalyDetector(distance="mahalanobis")).distance == "mahalanobis"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ()}, "methods must be a tuple with some of"),
        ({"methods": ("lof",)}, "methods must be one of"),
        ({"methods": ("embedding", "embedding")}, "methods must be different"),
        ({"contamination": 0}, "contamination must be"),
        ({"contamination": 0.6}, "contamination must be"),
        ({"embedding": "umap"}, "embedding must be one of"),
        ({"distance": "cosine"}, "distance must be one of"),
        ({"n_neighbors": 0}, "n_neighbors must be"),
        ({"n_latent": -1}, "n_latent must be"),
        ({"max_epochs": 0}, "max_epochs must be"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AnomalyDetector(**options).fit(np.zeros((5, 2)))


# Dimensions for plots


def test_principal_components_are_those_of_scikit_learn():
    X, _ = draw_rows(np.random.default_rng(13), n=100)
    placed = reduce_dimensions(X, n_dimensions=3)
    theirs = PCA(3).fit_transform(StandardScaler().fit_transform(X))
    np.testing.assert_allclose(placed, theirs, atol=1e-8)
    raw = reduce_dimensions(Samples(X), standardize=False)
    np.testing.assert_allclose(raw, PCA(2).fit_transform(X), atol=1e-8)
    assert reduce_dimensions(np.ones((5, 4, 4)) * np.arange(5)[:, None, None]).shape == (5, 2)


def test_groups_stay_apart_in_tsne():
    rng = np.random.default_rng(14)
    X = rng.normal(size=(60, 5)) + np.repeat([[0], [9]], 30, axis=0)
    one, two = (reduce_dimensions(X, method="tsne", random_state=3, max_iter=300) for _ in "ab")
    np.testing.assert_array_equal(one, two)
    centres = one[:30].mean(axis=0), one[30:].mean(axis=0)
    nearer = np.linalg.norm(one[:, None] - np.array(centres), axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearer, np.repeat([0, 1], 30))


def test_umap_is_asked_for_by_name(monkeypatch):
    X = np.random.default_rng(15).normal(size=(9, 4))
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match=r"pip install 'astroml_kit\[reduction\]'"):
        reduce_dimensions(X, method="umap")

    class UMAP:
        def __init__(self, **options):
            self.options = options

        def fit_transform(self, rows):
            assert self.options["n_neighbors"] == 8
            return rows[:, : self.options["n_components"]]

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=UMAP))
    assert reduce_dimensions(X, method="umap").shape == (9, 2)


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        (np.ones((5, 3)), {"method": "lda"}, "method must be one of"),
        (np.ones((5, 3)), {"n_dimensions": 4}, "n_dimensions must be at most 3"),
        (np.ones((9, 6)), {"n_dimensions": 4, "method": "tsne"}, "must be at most 3"),
        (np.full((5, 3), np.nan), {}, "NaN"),
        (np.ones((1, 3)), {}, "minimum of 2"),
    ],
)
def test_impossible_reductions_are_refused(X, options, message):
    with pytest.raises(ValueError, match=message):
        reduce_dimensions(X, **options)
