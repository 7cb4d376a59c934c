"""Forests answer as scikit-learn's do, to the bit, from arrays that are checked before use."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from astroml_kit.models import ForestClassifier, ModelFileError, load_model, save_model
from astroml_kit.models._archive import pack_members, unpack_members
from astroml_kit.models._tensors import read_tensors, write_tensors
from astroml_kit.models._tree_paths import TreePaths
from astroml_kit.samples import Samples

THEIRS = {"extra": ExtraTreesClassifier, "random": RandomForestClassifier}
# Every check that cannot pass, with its reason.
DRAWN = {
    "check_sample_weight_equivalence_on_dense_data": (
        "the samples of each tree are drawn by row: a weight of 2 is not two rows"
    ),
}


@parametrize_with_checks(
    [ForestClassifier(n_estimators=12), ForestClassifier("random", n_estimators=12)],
    expected_failed_checks=lambda estimator: DRAWN if estimator.kind == "random" else {},
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def draw_rows(seed, *, n=150, missing=0.0):
    """Three overlapping classes in four columns, of which the last takes few values."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    X = rng.normal(size=(n, 4)) + y[:, None] * [1, 0.5, 0, 0]
    X[:, 3] = np.round(X[:, 3])
    X[rng.random(X.shape) < missing] = np.nan
    return X, y


@settings(max_examples=12, deadline=None)
@given(
    kind=st.sampled_from(sorted(THEIRS)),
    seed=st.integers(0, 2**16),
    missing=st.sampled_from([0.0, 0.05, 0.6]),
    depth=st.sampled_from([None, 1, 3]),
    weighted=st.booleans(),
)
def test_equal_to_scikit_learn_to_the_bit(kind, seed, missing, depth, weighted):
    X, y = draw_rows(seed, missing=missing)
    weight = np.random.default_rng(seed).exponential(size=len(y)) if weighted else None
    options = {"n_estimators": 7, "max_depth": depth, "random_state": seed}
    ours = ForestClassifier(kind, **options).fit(X, y, sample_weight=weight)
    theirs = THEIRS[kind](**options).fit(X, y, sample_weight=weight)
    # Values are missing at predict where none was in training, and the other way round.
    asked = np.concatenate([X, draw_rows(seed + 1)[0], draw_rows(seed + 2, missing=0.5)[0] * 1e6])
    np.testing.assert_array_equal(ours.predict_proba(asked), theirs.predict_proba(asked))
    np.testing.assert_array_equal(ours.feature_importances_, theirs.feature_importances_)


def test_a_column_that_is_missing_throughout_decides_nothing():
    X, y = draw_rows(1)
    model = ForestClassifier(n_estimators=20, random_state=1)
    wide = np.column_stack([X, np.full(len(X), np.nan)])
    fitted = model.fit(wide, y)
    assert fitted.feature_importances_[-1] == 0
    other = wide.copy()
    other[:, -1] = 7
    np.testing.assert_array_equal(fitted.predict_proba(wide), fitted.predict_proba(other))


def test_what_only_the_missing_tells_is_learned():
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(200, 2)), rng.integers(2, size=200)
    X[y == 1, 0] = np.nan
    for kind in THEIRS:
        model = ForestClassifier(kind, n_estimators=20, random_state=1).fit(X[:100], y[:100])
        assert model.score(X[100:], y[100:]) == 1


def test_rows_in_pieces_and_beyond_single_precision(monkeypatch):
    X, y = draw_rows(3)
    model = ForestClassifier(n_estimators=9, random_state=1).fit(X, y)
    whole = model.predict_proba(X)
    monkeypatch.setattr("astroml_kit.models._tree_paths.AT_ONCE", 40)
    np.testing.assert_array_equal(model.predict_proba(X), whole)
    np.testing.assert_array_equal(model.predict_proba(X * 1e300), model.predict_proba(X * 1e30))


def test_samples_bring_their_names_and_mixed_up_ones_are_refused():
    X, y = draw_rows(4)
    samples = Samples(X, y=y, feature_names=tuple("abcd"))
    model = ForestClassifier(n_estimators=5, random_state=1).fit(samples)
    assert model.score(samples) == 1
    with pytest.raises(ValueError, match="the same in another order"):
        model.predict(Samples(X, y=y, feature_names=tuple("bacd")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "oblique"}, "kind must be"),
        ({"n_estimators": 0}, "n_estimators must be"),
        ({"max_features": 1.5}, "max_features must be .*Or give 'sqrt'"),
        ({"max_depth": 0}, "max_depth must be"),
        ({"min_samples_leaf": 0}, "min_samples_leaf must be"),
    ],
)
def test_parameters_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ForestClassifier(**options).fit(*draw_rows(5))


def test_weights_of_nothing_are_refused():
    X, y = draw_rows(6)
    with pytest.raises(ValueError, match="at least one non-zero"):
        ForestClassifier(n_estimators=2).fit(X, y, sample_weight=np.zeros(len(y)))


def change(name, place, value):
    def apply(arrays):
        array = arrays[name].copy()
        array[place] = value
        return arrays | {name: array}

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change("left", 0, 0), "left must lead forwards"),
        (change("right", 0, 10**6), "right must lead forwards"),
        (change("left", 0, -2), "left must lead forwards"),
        (change("feature", 0, 4), "feature must be a column"),
        (change("feature", 0, -1), "feature must be a column"),
        (change("roots", 0, -1), "roots must be nodes"),
        (change("threshold", 0, np.inf), "finite"),
        (lambda a: a | {"missing_left": a["left"]}, "missing_left must have one truth value"),
        (change("shares", 0, -1.0), "shares must be at least 0"),
        (change("shares", 0, 0.9), "add up to 1"),
        (lambda a: a | {"shares": a["shares"][1:]}, "shares must have one row per leaf"),
        (lambda a: a | {"shares": a["shares"][:, 1:]}, "one column per class"),
        (lambda a: a | {"right": a["right"][1:]}, "one entry per node"),
        (lambda a: a | {"left": a["left"].astype(float)}, "left must be whole numbers"),
        (lambda a: a | {"roots": a["roots"][:0]}, "must have trees"),
        (lambda a: {name: v for name, v in a.items() if name != "left"}, "must have the arrays"),
    ],
)
def test_damaged_trees_are_refused(damage, message, tmp_path):
    model = ForestClassifier(n_estimators=3, random_state=1).fit(*draw_rows(7))
    path = save_model(model, tmp_path / "forest.model")
    members = unpack_members(path.read_bytes())
    name = "weights/trees.safetensors"
    arrays = read_tensors(members[name])
    TreePaths.from_arrays(arrays, n_features=4, n_classes=3)
    # Every checksum is right: what is refused are the numbers.
    members[name] = write_tensors(damage(arrays))
    card = json.loads(members["model.json"])
    card["sha256"][name] = hashlib.sha256(members[name]).hexdigest()
    path.write_bytes(pack_members(members | {"model.json": json.dumps(card).encode()}))
    with pytest.raises(ModelFileError, match=message):
        load_model(path)
