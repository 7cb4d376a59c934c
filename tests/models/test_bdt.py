"""Boosted trees keep scikit-learn's contract, are repeatable, and know their feature names."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from astroml_kit.models import BandedClassifier, BDTClassifier, BDTRegressor
from astroml_kit.samples import Samples

# Every check that cannot pass, with its reason.
EARLY_STOPPING_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "the rows held out for early stopping are drawn by row: a weight of 2 is not two rows"
    ),
}


@parametrize_with_checks(
    [
        BDTClassifier(n_estimators=30, learning_rate=0.1),
        BDTClassifier(n_estimators=15, learning_rate=0.1, linear_leaves=True, n_bags=2),
        BDTClassifier(n_estimators=30, learning_rate=0.1, early_stopping=True),
        BDTRegressor(n_estimators=60, learning_rate=0.1),
        BandedClassifier(BDTClassifier(n_estimators=30, learning_rate=0.1)),
    ],
    expected_failed_checks=lambda estimator: (
        EARLY_STOPPING_FAILURES if getattr(estimator, "early_stopping", False) else {}
    ),
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def draw_events(rng, n=600, n_features=4):
    """Two overlapping classes; the last column is noise."""
    X = rng.normal(size=(n, n_features))
    y = (X[:, 0] + X[:, 1] * X[:, 2] + 0.5 * rng.normal(size=n) > 0).astype(int)
    return X, y


QUICK = {"n_estimators": 40, "learning_rate": 0.1, "random_state": 1}


def test_it_learns_what_a_line_cannot():
    X, y = draw_events(np.random.default_rng(1), n=3000)
    model = BDTClassifier(**QUICK).fit(X[:2000], y[:2000])
    assert roc_auc_score(y[2000:], model.decision_function(X[2000:])) > 0.9


@pytest.mark.parametrize("options", [{}, {"n_bags": 2}, {"linear_leaves": True}])
def test_same_seed_same_model_to_the_bit(options):
    X, y = draw_events(np.random.default_rng(2))
    one, two, other = (
        BDTClassifier(**(QUICK | options | {"random_state": seed})).fit(X, y) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    assert not np.array_equal(one.predict_proba(X), other.predict_proba(X))


def test_bags_average_raw_scores():
    X, y = draw_events(np.random.default_rng(3))
    model = BDTClassifier(**QUICK, n_bags=3).fit(X, y)
    each = [booster.predict(X, raw_score=True) for booster in model.boosters_]
    np.testing.assert_allclose(model.decision_function(X), np.mean(each, axis=0))
    assert not np.allclose(each[0], each[1])


def test_nan_is_a_missing_value_and_infinity_is_not():
    X, y = draw_events(np.random.default_rng(4))
    X[::3, 0] = np.nan
    model = BDTClassifier(**QUICK).fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()
    with pytest.raises(ValueError, match="infinity"):
        model.predict([[np.inf, 0, 0, 0]])


def test_linear_leaves_never_extrapolate():
    rng = np.random.default_rng(5)
    X = rng.uniform(-1, 1, size=(500, 2))
    model = BDTRegressor(**QUICK, linear_leaves=True).fit(X, 3 * X[:, 0])
    at_edge, beyond = model.predict([[X[:, 0].max(), 0.0], [1e6, 0.0]])
    assert beyond == at_edge
    assert at_edge == pytest.approx(3, abs=0.3)


def test_early_stopping_stops_and_keeps_groups_whole(monkeypatch):
    rng = np.random.default_rng(6)
    X, y = draw_events(rng, n=900)
    groups = np.arange(900) // 3
    model = BDTClassifier(
        n_estimators=500, learning_rate=0.3, early_stopping=True, n_iter_no_change=5, random_state=1
    )
    seen = []
    split = model._split_validation

    def record(target, groups, seed, *, stratify):
        seen.append(split(target, groups, seed, stratify=stratify))
        return seen[-1]

    monkeypatch.setattr(model, "_split_validation", record)
    model.fit(X, y, groups=groups)
    assert model.n_iter_[0] < 500
    fit_rows, stop_rows = seen[0]
    assert not set(groups[fit_rows]) & set(groups[stop_rows])
    assert len(fit_rows) + len(stop_rows) == 900


def test_weights_move_the_score():
    X, y = draw_events(np.random.default_rng(7))
    plain = BDTClassifier(**QUICK).fit(X, y).predict_proba(X)[:, 1].mean()
    heavy = BDTClassifier(**QUICK).fit(X, y, sample_weight=1 + 9 * y).predict_proba(X)[:, 1].mean()
    assert heavy > plain + 0.1


def test_three_classes():
    rng = np.random.default_rng(8)
    y = np.repeat(["bulge", "disc", "halo"], 150)
    X = rng.normal(size=(450, 2)) + np.repeat([[0, 0], [3, 0], [0, 3]], 150, axis=0)
    model = BDTClassifier(**QUICK).fit(X, y)
    assert model.predict_proba(X).shape == (450, 3)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert model.score(X, y) > 0.9


def test_absolute_error_finds_the_median():
    rng = np.random.default_rng(9)
    target = np.exp(rng.normal(size=2000))
    X = rng.normal(size=(2000, 1))
    mean, median = (
        BDTRegressor(**QUICK, max_leaves=2, loss=loss).fit(X, target).predict(X).mean()
        for loss in ("squared_error", "absolute_error")
    )
    assert mean == pytest.approx(np.exp(0.5), rel=0.1)  # of a log-normal; its median is 1
    assert median == pytest.approx(1, rel=0.1)


def test_samples_bring_names_which_are_checked():
    X, y = draw_events(np.random.default_rng(10))
    names = ("width", "length", "size", "alpha")
    samples = Samples(X, y=y, groups=np.arange(len(y)), feature_names=names)
    model = BDTClassifier(**QUICK).fit(samples)
    assert tuple(model.feature_names_in_) == names
    plain = BDTClassifier(**QUICK).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(samples), plain.predict_proba(X))
    assert model.score(samples) == plain.score(X, y)
    swapped = Samples(X, feature_names=("length", "width", "size", "alpha"))
    with pytest.raises(ValueError, match="the same in another order"):
        model.predict(swapped)
    with pytest.raises(ValueError, match=r"lacks \['alpha'\] and has \['theta'\]"):
        model.predict(Samples(X, feature_names=(*names[:3], "theta")))
    with pytest.raises(ValueError, match="must have 4 features, got 3"):
        model.predict(Samples(X[:, :3]))


def test_data_frames_bring_names_too():
    pandas = pytest.importorskip("pandas")
    X, y = draw_events(np.random.default_rng(11))
    frame = pandas.DataFrame(X, columns=list("abcd"))
    model = BDTClassifier(**QUICK).fit(frame, y)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("badc")])


def test_pipelines_grids_and_clones():
    X, y = draw_events(np.random.default_rng(12), n=200)
    pipe = make_pipeline(StandardScaler(), BDTClassifier(**QUICK | {"n_estimators": 5}))
    grid = GridSearchCV(pipe, {"bdtclassifier__max_leaves": [2, 8]}, cv=2).fit(X, y)
    assert grid.best_params_["bdtclassifier__max_leaves"] in (2, 8)
    copy = clone(BDTClassifier(n_bags=3, max_features=0.2))
    assert (copy.n_bags, copy.max_features) == (3, 0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_estimators": 0}, "n_estimators must be"),
        ({"max_leaves": 1}, "max_leaves must be"),
        ({"subsample": 1.5}, "subsample must be"),
        ({"max_features": 0}, "max_features must be"),
        ({"learning_rate": -1}, "learning_rate must be"),
        ({"validation_fraction": 1}, "validation_fraction must be"),
        ({"n_jobs": 10**6}, "n_jobs must be"),
    ],
)
def test_parameters_are_checked_at_fit(options, message):
    X, y = draw_events(np.random.default_rng(13), n=50)
    with pytest.raises(ValueError, match=message):
        BDTClassifier(**options).fit(X, y)


def test_mistakes_are_named():
    X, y = draw_events(np.random.default_rng(14), n=50)
    with pytest.raises(ValueError, match="two classes or more"):
        BDTClassifier().fit(X, np.zeros(50, dtype=int))
    with pytest.raises(ValueError, match="unlabelled"):
        BDTClassifier().fit(Samples(X, y=np.where(y, 1, -1)))
    with pytest.raises(ValueError, match="y=None"):
        BDTClassifier().fit(Samples(X))
    with pytest.raises(ValueError, match="brings its own"):
        BDTClassifier().fit(Samples(X, y=y), y)
    with pytest.raises(ValueError, match="one entry per sample"):
        BDTClassifier(early_stopping=True).fit(X, y, groups=[1, 2])
    with pytest.raises(ValueError, match="linear_leaves=False"):
        BDTRegressor(loss="absolute_error", linear_leaves=True).fit(X, y)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]), st.booleans())
def test_scores_are_finite_and_do_not_depend_on_company(seed, dtype, linear):
    rng = np.random.default_rng(seed)
    X, y = draw_events(rng, n=60)
    X[rng.random(X.shape) < 0.1] = np.nan
    X = (X * 10.0 ** rng.integers(-3, 4)).astype(dtype)
    y[:2] = 0, 1
    model = BDTClassifier(n_estimators=8, min_samples_leaf=3, linear_leaves=linear, random_state=0)
    together = model.fit(X, y).decision_function(X)
    assert np.isfinite(together).all()
    alone = np.concatenate([model.decision_function(X[k : k + 1]) for k in range(0, 60, 7)])
    np.testing.assert_array_equal(alone, together[::7])
