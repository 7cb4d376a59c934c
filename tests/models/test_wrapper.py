"""Members made of members hand on what they are given: names, weights, groups, any shape."""

import numpy as np
import pytest

from astroml_kit.models import (
    BDTClassifier,
    BDTRegressor,
    BlendedClassifier,
    CalibratedClassifier,
    ConformalClassifier,
    ConformalRegressor,
    DeepEnsemble,
    LaplaceRegressor,
    NeuralRegressor,
    PseudoLabelClassifier,
)
from astroml_kit.models._wrapper import Data, list_folds, seed_model
from astroml_kit.samples import Samples

RNG = np.random.default_rng(1)
X = RNG.normal(size=(240, 3))
Y = (X[:, 0] + 0.5 * RNG.normal(size=240) > 0).astype(int)
GROUPS = np.arange(240) // 2
NAMES = ("width", "length", "energy")
TREES = BDTClassifier(n_estimators=10, random_state=1)
MEMBERS = [
    CalibratedClassifier(TREES, random_state=1),
    CalibratedClassifier(TREES, n_splits=1, random_state=1),
    ConformalClassifier(TREES, random_state=1),
    BlendedClassifier([("trees", TREES)], random_state=1),
    DeepEnsemble(TREES, n_members=2, random_state=1),
    PseudoLabelClassifier(TREES, confidence=0.6, shift=True, random_state=1),
    ConformalRegressor(BDTRegressor(n_estimators=10, random_state=1), random_state=1),
    LaplaceRegressor(NeuralRegressor(max_epochs=2, random_state=1)),
]


@pytest.mark.parametrize("model", MEMBERS, ids=lambda model: type(model).__name__)
def test_names_of_features_reach_every_model_without_a_warning(model):
    y = X[:, 0] if type(model).__name__.endswith("Regressor") else Y
    if isinstance(model, PseudoLabelClassifier):
        y = np.where(np.arange(240) < 60, y, -1)
    named = Samples(X, y=y, groups=GROUPS, feature_names=NAMES)
    # warnings are errors here: one model that was told no names would speak up
    model.fit(named)
    assert tuple(model.feature_names_in_) == NAMES
    same = model.predict(Samples(X, feature_names=NAMES))
    np.testing.assert_array_equal(model.fit(X, y, groups=GROUPS).predict(X), same)
    with pytest.raises(ValueError, match="another order"):
        model.fit(named).predict(Samples(X[:, ::-1], feature_names=NAMES[::-1]))


def test_folds_keep_groups_whole_and_spread_classes():
    data = Data(X, Y, groups=GROUPS)
    for train, test in list_folds(data, Y, n_splits=4, seed=1):
        assert not set(GROUPS[train]) & set(GROUPS[test])
        assert abs(Y[test].mean() - Y.mean()) < 0.1


def test_rows_are_taken_with_all_that_belongs_to_them():
    rows = np.array([5, 3])
    series = [X[:k] for k in range(1, 241)]
    some = Data(series, Y, weight=np.arange(240.0), groups=GROUPS).take(rows)
    assert [len(one) for one in some.X] == [6, 4]
    assert some.weight.tolist() == [5, 3]
    assert some.groups.tolist() == [2, 1]
    assert some.y.tolist() == Y[rows].tolist()
    assert some.show() == some.X


def test_every_seed_inside_is_drawn():
    model = CalibratedClassifier(TREES, random_state=5)
    one, two, again = (seed_model(model, seed).get_params() for seed in (1, 2, 1))
    names = ["random_state", "estimator__random_state"]
    assert one[names[0]] != one[names[1]]
    assert all(one[name] != two[name] for name in names)
    assert all(one[name] == again[name] for name in names)
    assert model.random_state == 5
