"""Few labels and many samples without: help where there is some, no harm where there is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from astroml_kit.models import (
    BDTClassifier,
    PseudoLabelClassifier,
    load_model,
    save_model,
)
from astroml_kit.models._class_shares import balance_shares, find_priors, shift_priors
from astroml_kit.models.pseudo_labels import SMALLEST_PART
from astroml_kit.samples import Samples


def hide(y, keep, *, marker=-1):
    return np.where(np.isin(np.arange(len(y)), keep), y, marker)


def draw_blobs(rng, n, *, shares=(0.5, 0.5)):
    """Two elongated clouds; few labels leave the line between them badly known."""
    y = rng.choice(2, n, p=shares)
    X = rng.normal(size=(n, 2)) * [3.0, 0.5] + np.array([[0, -1.2], [0, 1.2]])[y]
    turn = np.deg2rad(30)
    return X @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]], y


def draw_clouds(rng, n):
    """Gaussian clouds in six dimensions, which four labels each do not pin down."""
    y = rng.integers(2, size=n)
    centres = np.array([[0, 0, -0.8, -0.8, -0.8, -0.8], [0, 0, 0.8, 0.8, 0.8, 0.8]])
    return rng.normal(size=(n, 6)) * [3, 3, 1, 1, 1, 1] + centres[y], y


@pytest.mark.parametrize("n_labels", [4, 15])
def test_it_helps_where_the_model_is_right_and_never_harms_much(n_labels):
    gains, kept = [], 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X, y = draw_clouds(rng, 600)
        few = np.r_[np.flatnonzero(y == 0)[:n_labels], np.flatnonzero(y == 1)[:n_labels]]
        test, truth = draw_clouds(rng, 1000)
        base = GaussianNB()
        model = PseudoLabelClassifier(base, confidence=0.7, quota=0.5, n_rounds=8,
                                      pseudo_weight=1.0, random_state=1)  # fmt: skip
        model.fit(X, hide(y, few))
        gains.append(model.score(test, truth) - base.fit(X[few], y[few]).score(test, truth))
        kept += model.improved_
        assert gains[-1] == 0 or model.improved_
    assert kept >= 3
    assert np.mean(gains) > 0.005
    assert min(gains) > -0.02


def test_it_keeps_the_supervised_model_where_pseudo_labels_mislead():
    """The unlabelled samples come from elsewhere: what is kept is what the labels alone give."""
    rng = np.random.default_rng(2)
    X, y = draw_blobs(rng, 60)
    noise = rng.normal(size=(600, 2)) @ [[0.5, 0.0], [0.0, 4.0]]
    base = LogisticRegression()
    model = PseudoLabelClassifier(base, confidence=0.6, quota=1.0, pseudo_weight=1.0,
                                  random_state=1)  # fmt: skip
    model.fit(X, y, X_unlabelled=noise)
    assert not model.improved_
    assert "of no use" in str(model)
    alone = base.fit(X, y)
    np.testing.assert_array_equal(model.model_.coef_, alone.coef_)
    table = model.rounds_
    assert table["kept"].tolist() == [True, False]
    assert table["loss_gain"][1] <= table["gain_error"][1]


def test_what_it_is_judged_by_has_not_made_the_pseudo_labels():
    """Each fold's chain sees neither the labels of the fold nor anything learned from them."""
    seen = []

    class Spy(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            seen.append({tuple(row) for row in X})
            return super().fit(X, y, sample_weight)

    rng = np.random.default_rng(3)
    X, y = draw_blobs(rng, 200)
    groups = np.arange(200) // 4
    few = np.flatnonzero(groups < 10)
    model = PseudoLabelClassifier(Spy(), n_rounds=1, confidence=0.6, n_splits=4, random_state=1)
    model.fit(X, hide(y, few), groups=groups)
    labelled = {tuple(row) for row in X[few]}
    first, whole, second = seen[:4], seen[4], seen[5:9]
    assert whole == labelled
    for before, after in zip(first, second, strict=True):
        assert before < labelled
        assert after & labelled == before  # the held-out labels stay out
        assert len(after) > len(before)
        out = {groups[k] for k in few if tuple(X[k]) not in before}
        assert not out & {groups[k] for k in few if tuple(X[k]) in before}


def test_quotas_and_confidence_are_kept():
    rng = np.random.default_rng(4)
    X, y = draw_blobs(rng, 500)
    few = np.arange(40)
    model = PseudoLabelClassifier(LogisticRegression(), confidence=0.8, quota=0.1, n_rounds=1,
                                  random_state=1)  # fmt: skip
    model.fit(X, hide(y, few))
    row = model.rounds_[1]
    assert row["n_pseudo"] == row["n_0"] + row["n_1"]
    share = np.bincount(y[few]) / 40
    for k in (0, 1):
        assert 0 < row[f"n_{k}"] <= np.ceil(0.1 * share[k] * 460)
    strict = PseudoLabelClassifier(LogisticRegression(C=1e-4), confidence=0.999, random_state=1)
    strict.fit(X, hide(y, few))
    assert len(strict.rounds_) == 1
    assert not strict.improved_


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 0.95))
def test_shares_of_classes_are_found(seed, share):
    rng = np.random.default_rng(seed)
    y = rng.random(4000) < share
    x = rng.normal(size=4000) + 2 * y
    odds = np.exp(2 * x - 2)  # of the classes in equal shares
    p = np.column_stack([1 / (1 + odds), odds / (1 + odds)])
    equal = np.array([0.5, 0.5])
    found = find_priors(p, equal)
    assert found.sum() == pytest.approx(1)
    assert found[1] == pytest.approx(y.mean(), abs=0.05)
    again = shift_priors(shift_priors(p, equal, found), found, equal)
    np.testing.assert_allclose(again, p, atol=1e-12)


def test_shifted_shares_are_corrected_on_request():
    rng = np.random.default_rng(5)
    X, y = draw_blobs(rng, 80)
    many, truth = draw_blobs(rng, 2000, shares=(0.9, 0.1))
    losses = []
    for shift in (False, True):
        model = PseudoLabelClassifier(LogisticRegression(), shift=shift, random_state=1)
        model.fit(X, y, X_unlabelled=many)
        p = model.predict_proba(many)[np.arange(2000), truth]
        losses.append(-np.log(p).mean())
    assert model.priors_[1] == pytest.approx(0.1, abs=0.04)
    assert losses[1] < losses[0]


def test_a_teacher_that_errs_otherwise_teaches_what_the_trees_do_not_know():
    """Naive Bayes has the right form for these clouds; trees with twenty labels each have not."""
    gains, kept = [], 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X, y = draw_clouds(rng, 400)
        few = np.r_[np.flatnonzero(y == 0)[:20], np.flatnonzero(y == 1)[:20]]
        test, truth = draw_clouds(rng, 1000)
        trees = ExtraTreesClassifier(20, random_state=1)
        model = PseudoLabelClassifier(trees, strategy="soft", teacher=GaussianNB(), n_rounds=1,
                                      n_splits=3, min_gain=0.0, random_state=1)  # fmt: skip
        model.fit(X, hide(y, few))
        assert isinstance(model.model_, ExtraTreesClassifier)
        gains.append(model.score(test, truth) - trees.fit(X[few], y[few]).score(test, truth))
        assert gains[-1] == 0 or model.improved_
        kept += model.improved_
    assert kept >= 3
    assert np.mean(gains) > 0.01


def make_recorder():
    """A classifier that remembers what each of its copies was trained on."""
    seen = []

    class Recorder(LogisticRegression):
        def fit(self, X, y, sample_weight=None, groups=None):
            seen.append((X, y, sample_weight, groups))
            return super().fit(X, y, sample_weight)

    return Recorder(), seen


def test_soft_pseudo_labels_are_parts_of_one_sample_each():
    pupil, seen = make_recorder()
    teacher, shown = make_recorder()
    rng = np.random.default_rng(9)
    X, y = draw_blobs(rng, 300)
    y[:3] = 2  # a third class
    X[:3] += 4
    few = np.r_[:60]
    groups = np.arange(300) // 2
    model = PseudoLabelClassifier(pupil, strategy="soft", teacher=teacher, n_rounds=1,
                                  n_splits=3, pseudo_weight=0.4, random_state=1)  # fmt: skip
    model.fit(X, hide(y, few), groups=groups)
    assert len(shown) == 4  # once per fold and once for all, on labels alone
    assert all(len(X_seen) <= 60 for X_seen, *_ in shown)
    X_seen, y_seen, weight, group = seen[4]  # the first fold with pseudo-labels
    own = np.flatnonzero([tuple(row) in {tuple(one) for one in X[few]} for row in X_seen])
    assert set(weight[own]) == {1.0}
    rest = np.setdiff1d(np.arange(len(X_seen)), own)
    row, at = np.unique(X_seen[rest], axis=0, return_inverse=True)
    assert len(row) == 240
    np.testing.assert_allclose(np.bincount(at, weight[rest]), 0.4)
    assert weight[rest].min() >= 0.4 * SMALLEST_PART
    assert len(rest) > 240  # some stand for several classes
    for number in range(240):
        assert len(set(group[rest][at == number])) == 1
        assert len(set(y_seen[rest][at == number])) == np.sum(at == number)
    assert not set(group[own]) & set(group[rest])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_classes_compete_for_samples(seed, n_classes):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(n_classes, 0.7), size=300)
    shares = rng.dirichlet(np.full(n_classes, 5.0))
    balanced = balance_shares(p, shares)
    np.testing.assert_allclose(balanced.sum(axis=1), 1)
    np.testing.assert_allclose(balanced.mean(axis=0), shares, atol=0.01)
    # within two classes, who is more of the one stays so
    order = np.argsort(p[:, 0] / p[:, 1])
    ratio = (balanced[:, 0] / balanced[:, 1])[order]
    assert np.all(np.diff(ratio) >= -1e-6 * ratio[1:])
    np.testing.assert_allclose(balance_shares(balanced, shares), balanced, atol=0.02)


def test_text_labels_samples_and_files(tmp_path):
    rng = np.random.default_rng(6)
    X, y = draw_blobs(rng, 200)
    names = np.array(["qso", "star"])[y]
    model = PseudoLabelClassifier(BDTClassifier(n_estimators=10, random_state=1), random_state=1)
    model.fit(X[:60], names[:60], X_unlabelled=X[60:])
    assert model.classes_.tolist() == ["qso", "star"]
    again = load_model(save_model(model, tmp_path / "m"))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert (again.rounds_ == model.rounds_).all()
    assert again.improved_ == model.improved_
    taught = PseudoLabelClassifier(
        BDTClassifier(n_estimators=10, random_state=1), strategy="soft",
        teacher=BDTClassifier(n_estimators=5, random_state=2), random_state=1,
    ).fit(X[:60], names[:60], X_unlabelled=X[60:])  # fmt: skip
    again = load_model(save_model(taught, tmp_path / "t"))
    assert (again.strategy, again.teacher.n_estimators) == ("soft", 5)
    np.testing.assert_array_equal(again.predict_proba(X), taught.predict_proba(X))
    samples = Samples(X, y=hide(y, np.arange(60)), feature_names=("u", "g"),
                      groups=np.arange(200))  # fmt: skip
    named = PseudoLabelClassifier(BDTClassifier(n_estimators=10, random_state=1), random_state=1)
    assert named.fit(samples).feature_names_in_.tolist() == ["u", "g"]
    assert named.predict(samples).shape == (200,)


def test_a_model_without_weights_is_refused_by_name():
    rng = np.random.default_rng(8)
    X, y = draw_blobs(rng, 80)
    model = PseudoLabelClassifier(KNeighborsClassifier(), confidence=0.6, random_state=1)
    with pytest.raises(ValueError, match="a KNeighborsClassifier takes none"):
        model.fit(X, hide(y, np.arange(30)))


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({"confidence": 1.0}, None, "confidence must be"),
        ({"quota": 0}, None, "quota must be"),
        ({"n_rounds": 0}, None, "n_rounds must be"),
        ({"method": "sigmoid"}, None, "method must be one of"),
        ({"strategy": "tri"}, None, "strategy must be one of"),
        ({}, np.full(40, -1), "X must hold samples, got none"),
        ({}, np.where(np.arange(40) < 5, 1, -1), "two classes or more"),
        ({}, np.where(np.arange(40) < 1, 1, np.where(np.arange(40) < 9, 0, -1)), "2 samples of"),
    ],
)
def test_mistakes_are_named(options, y, message):
    X = np.random.default_rng(7).normal(size=(40, 2))
    y = np.arange(40) % 2 if y is None else y
    with pytest.raises(ValueError, match=message):
        PseudoLabelClassifier(**options).fit(X, y)
