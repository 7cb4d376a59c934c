"""The look-up table gives LightGBM's scores to the bit, and is used where it pays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.models import BDTClassifier, BDTRegressor, _boosting
from astroml_kit.models._scoring import can_tabulate, score_rows


def score_both_ways(model, X, n_jobs=1):
    booster = model.boosters_[0]
    n_outputs = booster.num_model_per_iteration()
    table = score_rows(model._trees, X, n_outputs=n_outputs, n_jobs=n_jobs)
    walked = sum(b.predict(X, raw_score=True, num_threads=1) for b in model.boosters_)
    return table, walked / len(model.boosters_)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 40),
    st.integers(1, 2),
    st.booleans(),
    st.booleans(),
    st.sampled_from([np.float32, np.float64]),
)
def test_table_equals_trees(seed, max_leaves, n_bags, missing_in_training, few_values, dtype):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(400, 3))
    if few_values:
        X = np.round(X)
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    new = np.concatenate([X, 3 * rng.normal(size=(200, 3))]).astype(dtype)
    if missing_in_training:
        X[rng.random(X.shape) < 0.1] = np.nan
    new[rng.random(new.shape) < 0.2] = np.nan
    model = BDTClassifier(
        n_estimators=10,
        learning_rate=0.3,
        max_leaves=max_leaves,
        min_samples_leaf=2,
        n_bags=n_bags,
        random_state=0,
    ).fit(X, y)
    table, walked = score_both_ways(model, new)
    np.testing.assert_array_equal(table, walked)


def test_thresholds_belong_to_the_left():
    X = np.repeat([[0.0], [1.0]], 30, axis=0)
    model = BDTRegressor(n_estimators=3, max_leaves=2, random_state=0).fit(X, X[:, 0])
    edge = model._trees[0][0]["threshold"][0]
    points = np.array([[np.nextafter(edge, -1)], [edge], [np.nextafter(edge, 2)]])
    table, walked = score_both_ways(model, points)
    np.testing.assert_array_equal(table, walked)
    assert table[0] == table[1] < table[2]


def test_several_classes_and_threads():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(3000, 4))
    y = rng.integers(0, 3, 3000)
    model = BDTClassifier(n_estimators=5, random_state=0).fit(X, y)
    table, walked = score_both_ways(model, X, n_jobs=2)
    assert table.shape == (3000, 3)
    np.testing.assert_array_equal(table, walked)


def test_a_tree_without_splits_is_one_value():
    X = np.zeros((50, 2))
    model = BDTClassifier(n_estimators=2, random_state=0).fit(X, np.arange(50) % 2)
    table, walked = score_both_ways(model, X)
    np.testing.assert_array_equal(table, walked)


def test_the_table_serves_many_rows_only(monkeypatch):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(500, 2))
    model = BDTClassifier(n_estimators=5, random_state=0).fit(X, (X[:, 0] > 0).astype(int))
    calls = []

    def record(*args, **options):
        calls.append(len(args[1]))
        return score_rows(*args, **options)

    monkeypatch.setattr(_boosting, "score_rows", record)
    few = model.predict_proba(X)
    assert not calls
    monkeypatch.setattr(_boosting, "FEWEST_ROWS", 100)
    np.testing.assert_array_equal(model.predict_proba(X), few)
    assert calls == [500]


@pytest.mark.parametrize("options", [{"linear_leaves": True}, {"max_leaves": 100}])
def test_trees_that_do_not_fit_are_walked(options):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(3000, 2))
    y = ((X[:, 0] * 7).round() % 2).astype(int)
    model = BDTClassifier(n_estimators=3, min_samples_leaf=2, random_state=0, **options).fit(X, y)
    assert not can_tabulate(model._trees)
    assert np.isfinite(model.decision_function(np.repeat(X, 10, axis=0))).all()
