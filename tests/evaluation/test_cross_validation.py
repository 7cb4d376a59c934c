"""No group on both sides, every sample scored once, and what tearing groups apart would give."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from astroml_kit.evaluation import RepeatedGroupKFold, cross_validate, evaluate_classifier
from astroml_kit.samples import Samples


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(1, 3), st.integers(0, 2**32 - 1), st.booleans())
def test_folds_cover_everything_once_and_split_no_group(n_splits, n_repeats, seed, continuous):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 30, 200)
    y = rng.random(200) if continuous else rng.integers(0, 2, 200)
    splitter = RepeatedGroupKFold(n_splits, n_repeats=n_repeats, random_state=seed)
    assert splitter.get_n_splits() == n_splits * n_repeats
    seen = []
    for train, test in splitter.split(y, y, groups):
        assert not set(groups[train]) & set(groups[test])
        assert len(train) + len(test) == 200
        seen.extend(test)
    assert sorted(seen) == sorted(list(range(200)) * n_repeats)


def test_classes_are_spread_over_the_folds():
    y = (np.arange(1000) % 10 == 0).astype(int)
    groups = np.arange(1000) // 2
    shares = [
        y[test].mean() for _, test in RepeatedGroupKFold(5, random_state=1).split(y, y, groups)
    ]
    np.testing.assert_allclose(shares, 0.1, atol=0.02)


def test_repeats_differ_and_seeds_repeat():
    y = np.arange(60) % 2
    one = [
        test.tolist() for _, test in RepeatedGroupKFold(3, n_repeats=2, random_state=1).split(y, y)
    ]
    two = [
        test.tolist() for _, test in RepeatedGroupKFold(3, n_repeats=2, random_state=1).split(y, y)
    ]
    assert one == two
    assert one[:3] != one[3:]


def test_scikit_learn_takes_the_splitter():
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(90, 2)), np.arange(90) % 2
    scores = cross_val_score(
        LogisticRegression(), X, y, groups=np.arange(90) // 3, cv=RepeatedGroupKFold(3)
    )
    assert scores.shape == (3,)


def make_twins(rng):
    """Every event twice, with labels that no feature tells: only leakage can be learned."""
    X = np.repeat(rng.normal(size=(150, 3)), 2, axis=0)
    return Samples(X, y=np.repeat(rng.integers(0, 2, 150), 2), groups=np.repeat(np.arange(150), 2))


def test_the_naive_split_leaks_and_the_group_split_does_not():
    samples = make_twins(np.random.default_rng(1))
    result = cross_validate(KNeighborsClassifier(1), samples, naive=True, rng=2)
    assert result.evaluate(n_bootstrap=0).auc == pytest.approx(0.5, abs=0.12)
    (naive,) = result.naive
    assert naive.evaluate(n_bootstrap=0).auc > 0.8
    assert not naive.by_group
    assert "naive, groups torn apart" in str(result)
    assert len(result.to_dict()["naive"]) == 1


def test_seeds_and_tables():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 200)
    samples = Samples(rng.normal(size=(200, 2)) + y[:, None], y=y, weights=rng.random(200))
    runs = [
        cross_validate(LogisticRegression(), samples, n_repeats=2, rng=seed) for seed in (5, 5, 6)
    ]
    np.testing.assert_array_equal(runs[0].scores, runs[1].scores)
    assert not np.array_equal(runs[0].scores, runs[2].scores)
    assert runs[0].scores.shape == (2, 200)
    assert np.all(np.isfinite(runs[0].scores))
    assert len(runs[0].per_fold) == 20
    plain = json.loads(json.dumps(runs[0].to_dict(), allow_nan=False))
    assert plain["mean_over_folds"]["auc"] > 0.8
    assert len(plain["pooled"]) == 2


class Recorder(ClassifierMixin, BaseEstimator):
    """Remembers what fit was given."""

    seen: list = []  # noqa: RUF012

    def fit(self, X, y, sample_weight=None, groups=None):
        self.seen.append((len(X), sample_weight, groups))
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, X):
        return X[:, 0]


def test_weights_and_groups_reach_fit_and_scores_stay_in_place():
    Recorder.seen.clear()
    rng = np.random.default_rng(4)
    samples = Samples(
        rng.normal(size=(40, 1)),
        y=np.arange(40) % 2,
        groups=np.arange(40) // 4,
        weights=np.ones(40),
    )
    result = cross_validate(Recorder(), samples, n_splits=5, rng=1)
    np.testing.assert_array_equal(result.scores[0], samples.X[:, 0])
    for n, weights, groups in Recorder.seen:
        assert n == len(weights) == len(groups) == 32


def test_regressors():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(300, 2))
    samples = Samples(X, y=X[:, 0] + 0.1 * rng.normal(size=300), groups=np.arange(300) // 3)
    result = cross_validate(LinearRegression(), samples, n_splits=4, rng=1)
    assert result.evaluate(n_bootstrap=0).resolution == pytest.approx(0.1, rel=0.2)
    assert "R2" in str(result)
    with pytest.raises(ValueError, match="per_fold is for classifiers"):
        _ = result.per_fold


def test_calibration_by_group_makes_a_score_a_probability():
    """scikit-learn's own calibration, with our splits: the reliability curve comes straight."""
    rng = np.random.default_rng(6)
    y = rng.integers(0, 2, 30_000)
    X = rng.normal(size=(30_000, 1)) + y[:, None]
    groups = np.arange(30_000) // 2

    class Squared(LogisticRegression):
        """Over-confident on purpose."""

        def predict_proba(self, X):
            signal = super().predict_proba(X)[:, 1] ** 3
            return np.column_stack([1 - signal, signal])

    folds = list(
        RepeatedGroupKFold(3, random_state=1).split(X[:15_000], y[:15_000], groups[:15_000])
    )
    crooked = Squared().fit(X[:15_000], y[:15_000])
    straight = CalibratedClassifierCV(Squared(), method="isotonic", cv=folds)
    straight.fit(X[:15_000], y[:15_000])
    before, after = (
        evaluate_classifier(y[15_000:], model.predict_proba(X[15_000:])[:, 1], n_bootstrap=0)
        for model in (crooked, straight)
    )
    assert before.ece > 0.1
    assert after.ece < 0.03
    assert after.brier < before.brier


def test_mistakes_are_named():
    samples = Samples(np.ones((6, 1)), y=[0, 1] * 3)
    with pytest.raises(ValueError, match="must have y"):
        cross_validate(LogisticRegression(), Samples(np.ones((6, 1))))
    with pytest.raises(ValueError, match="two classes, got 3"):
        cross_validate(LogisticRegression(), Samples(np.ones((6, 1)), y=[0, 1, 2] * 2))
    with pytest.raises(ValueError, match="at most the number of groups, 3"):
        list(RepeatedGroupKFold(5).split(samples.X, samples.y, [0, 0, 1, 1, 2, 2]))
    with pytest.raises(ValueError, match="n_splits must be"):
        list(RepeatedGroupKFold(1).split(samples.X))
