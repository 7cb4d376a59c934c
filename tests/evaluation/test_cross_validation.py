import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from astroml_kit.evaluation import cross_validate, iter_folds
from astroml_kit.samples import Samples


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_folds_cover_everything_once_and_split_no_group(n_splits, seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 30, 200)
    y = rng.integers(0, 2, 200)
    seen = []
    for train, test in iter_folds(y, groups=groups, n_splits=n_splits, rng=seed):
        assert not set(groups[train]) & set(groups[test])
        seen.extend(test)
    assert sorted(seen) == list(range(200))


def make_twins(rng):
    """Every event twice, with labels that no feature tells: only leakage can be learned."""
    X = np.repeat(rng.normal(size=(150, 3)), 2, axis=0)
    return Samples(X, y=np.repeat(rng.integers(0, 2, 150), 2), groups=np.repeat(np.arange(150), 2))


def test_the_naive_split_leaks_and_the_group_split_does_not():
    samples = make_twins(np.random.default_rng(1))
    result = cross_validate(KNeighborsClassifier(1), samples, naive=True, rng=2)
    table = {row["figure"]: row for row in result.table}
    assert table["auc"]["mean"] == pytest.approx(0.5, abs=0.12)
    assert table["auc"]["naive_mean"] > 0.8


def test_workers_and_seeds():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 200)
    samples = Samples(rng.normal(size=(200, 2)) + y[:, None], y=y, weights=rng.random(200))
    runs = [
        cross_validate(LogisticRegression(), samples, n_repeats=2, rng=seed, n_workers=workers)
        for seed, workers in ((5, 1), (5, 2), (6, 1))
    ]
    np.testing.assert_array_equal(runs[0].scores, runs[1].scores)
    assert not np.array_equal(runs[0].scores, runs[2].scores)
    assert runs[0].scores.shape == (2, 200)
    assert np.all(np.isfinite(runs[0].scores))
    assert len(runs[0].evaluations) == 10
    assert "10 folds by group" in str(runs[0])
    assert runs[0].to_dict()["summary"]["figure"][0] == "auc"


def test_mistakes_are_named():
    samples = Samples(np.ones((6, 1)), y=[0, 1] * 3)
    with pytest.raises(ValueError, match="naive must be False"):
        cross_validate(LogisticRegression(), samples, naive=True)
    with pytest.raises(ValueError, match="labels, 0 and 1"):
        cross_validate(LogisticRegression(), Samples(np.ones((6, 1))))
    with pytest.raises(ValueError, match="at most the number of groups, 3"):
        list(iter_folds([0, 1] * 3, groups=[0, 0, 1, 1, 2, 2], n_splits=5))
