"""A person in the loop: answers count where they were given, nothing is lost, nothing spoiled."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from astroml_kit.models import AnomalyDetector, AnomalyLoop
from astroml_kit.models._answers import measure_posterior
from astroml_kit.samples import Samples


def draw_sky(seed=1, n=600):
    """Odd samples stand high in the first column; so does a second kind that nobody wants."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    kind = np.zeros(n, dtype=int)
    kind[:20], kind[20:80] = 1, 2
    X[kind > 0, 0] += 4
    X[kind == 1, 1] += 5
    X[kind == 2, 1] -= 5
    order = rng.permutation(n)
    return X[order], kind[order] == 1


def ask(loop, odd, n_times=5, n=10):
    for _ in range(n_times):
        rows = loop.query(n)
        loop.label(rows, odd[rows])
    return loop


def test_answers_tell_what_is_wanted_from_what_is_only_rare():
    X, odd = draw_sky()
    loop = AnomalyLoop(X, X[:, 0])
    for _ in range(5):
        rows = loop.query(10, explore=0)
        loop.label(rows, odd[rows])
    unasked = odd[np.argsort(-X[:, 0])[:50]].sum()
    assert unasked < 14
    assert odd[loop.labels != -1].sum() >= 19


def test_without_answers_the_order_is_the_first_one():
    X, _ = draw_sky()
    loop = AnomalyLoop(X, np.exp(X[:, 0]))
    assert np.array_equal(np.argsort(loop.scores), np.argsort(X[:, 0]))
    assert (1 / (1 + np.exp(-loop.scores))).mean() == pytest.approx(0.03, rel=1e-6)


def test_far_from_every_answer_nothing_changes():
    X = np.random.default_rng(3).normal(size=(300, 2))
    X[:5] += 50
    loop = AnomalyLoop(X, X[:, 0], reach=0.05)
    before = loop.scores.copy()
    loop.label([0, 1], [0, 0])
    moved = np.abs(loop.scores - before)
    assert moved[:2].min() > 0.1
    assert np.sort(moved)[:250].max() < 1e-6


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), n_asked=st.integers(2, 12))
def test_the_posterior_is_that_of_scikit_learn(seed, n_asked):
    """With a mean of zero it is scikit-learn's own Laplace approximation."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(30, 2))
    answers = np.arange(n_asked) % 2.0
    latent, spread = measure_posterior(
        points, np.zeros(30), np.arange(n_asked), answers, strength=1.5, reach=0.8
    )
    kernel = ConstantKernel(1.5**2) * RBF(0.8)
    peer = GaussianProcessClassifier(kernel, optimizer=None, max_iter_predict=500)
    peer.fit(points[:n_asked], answers)
    inner = peer.base_estimator_
    near = inner.kernel_(points, inner.X_train_)
    np.testing.assert_allclose(latent, near @ (inner.y_train_ - inner.pi_), atol=1e-3)
    known = np.linalg.solve(inner.L_, inner.W_sr_[:, None] * near.T)
    np.testing.assert_allclose(spread**2, 1.5**2 - (known**2).sum(axis=0), atol=1e-3)


def test_questions_are_about_what_nobody_was_asked():
    X, odd = draw_sky(n=45)
    loop = ask(AnomalyLoop(X[:45], X[:45, 0]), odd, n_times=4)
    assert loop.n_labelled == 40
    last = loop.query(10)
    assert len(last) == 5 == len(set(last.tolist()))
    assert (loop.labels[last] == -1).all()
    loop.label(last, odd[last])
    assert len(loop.query(3)) == 0


def test_the_oddest_are_asked_about_unless_some_are_drawn():
    X, _ = draw_sky()
    loop = AnomalyLoop(X, X[:, 0], ids=[f"g{k}" for k in range(len(X))])
    first = loop.rank()["id"][:10].tolist()
    assert loop.query(10, explore=0).tolist() == first
    mixed = loop.query(10, explore=0.5).tolist()
    assert mixed[:5] == first[:5]
    assert mixed != first
    assert mixed == loop.query(10, explore=0.5).tolist()


def test_a_second_answer_replaces_the_first():
    X, _ = draw_sky()
    once, twice = AnomalyLoop(X, X[:, 0]), AnomalyLoop(X, X[:, 0])
    once.label([3, 4], [1, 0])
    twice.label([3], [0])
    twice.label([4, 3], [0, 1])
    np.testing.assert_allclose(once.scores, twice.scores, atol=1e-9)
    assert once.labels[[3, 4, 5]].tolist() == [1, 0, -1]


def test_nothing_is_lost_between_two_evenings(tmp_path):
    X, odd = draw_sky()
    names = np.array([f"58772{k:06d}" for k in range(len(X))])
    loop = AnomalyLoop(X, X[:, 0], ids=names, strength=2, random_state=4)
    for _ in range(2):
        asked = loop.query(6)
        loop.label(asked, odd[np.searchsorted(names, asked)])
    again = AnomalyLoop.load(loop.save(tmp_path / "evening.json"), X)
    np.testing.assert_array_equal(again.scores, loop.scores)
    assert again.query(8).tolist() == loop.query(8).tolist()
    assert str(again) == str(loop)
    assert json.loads((tmp_path / "evening.json").read_text())["labels"][0][0] in names
    assert [path.name for path in tmp_path.iterdir()] == ["evening.json"]


def test_missing_numbers_and_constant_columns_do_no_harm():
    X, odd = draw_sky()
    holed = np.column_stack([X, np.full(len(X), 7.0), np.full(len(X), np.nan)])
    holed[::7, 2] = np.nan
    loop = ask(AnomalyLoop(Samples(holed), X[:, 0]), odd)
    assert np.isfinite(loop.scores).all()


def test_it_goes_on_from_a_detector():
    X, odd = draw_sky()
    detector = AnomalyDetector(("isolation_forest",), n_estimators=20, random_state=1).fit(X)
    loop = ask(AnomalyLoop(X, -detector.score_samples(X)), odd, n_times=1)
    assert loop.rank()["label"].tolist().count(-1) == len(X) - 10


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda X: AnomalyLoop(X, X[:-1, 0]), "lengths must be equal"),
        (lambda X: AnomalyLoop(X, X[:, 0] * np.nan), "first must be finite"),
        (lambda X: AnomalyLoop(X, X[:, :1]), "first must be one number per sample"),
        (lambda X: AnomalyLoop(X, X[:, 0], ids=[0] * len(X)), "ids must all be different"),
        (lambda X: AnomalyLoop(X, X[:, 0], share=0.9), "share must be"),
        (lambda X: AnomalyLoop(np.ones_like(X), X[:, 0]), "X must be columns that vary"),
        (lambda X: AnomalyLoop(X, X[:, 0]).label([10**6], [1]), "ids must be among those"),
        (lambda X: AnomalyLoop(X, X[:, 0]).label([1], [2]), "labels must be 1"),
        (lambda X: AnomalyLoop(X, X[:, 0]).label([1, 2], [1]), "lengths must be equal"),
        (lambda X: AnomalyLoop(X, X[:, 0]).query(0), "n must be"),
        (lambda X: AnomalyLoop(X, X[:, 0]).query(5, explore=2), "explore must be"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(draw_sky()[0])


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "other", "format_version": 1}'])
def test_another_file_is_refused(text, tmp_path):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match="must be a file of AnomalyLoop"):
        AnomalyLoop.load(tmp_path / "x.json", np.zeros((3, 2)))


def test_other_features_are_refused(tmp_path):
    X, _ = draw_sky()
    path = AnomalyLoop(X, X[:, 0]).save(tmp_path / "x.json")
    with pytest.raises(ValueError, match="features for each of its ids"):
        AnomalyLoop.load(path, X[:-1])


def test_ranks_forgive_the_largest_values_of_one_column():
    """One column of long tail hides, in standard deviations, a pair that never goes together."""
    rng = np.random.default_rng(5)
    X = np.column_stack([rng.normal(size=(500, 1)) @ [[1.0, 1.0]], rng.pareto(0.5, 500)])
    X[:, :2] += 0.1 * rng.normal(size=(500, 2))
    X[0, :2] = [1.0, -1.0]
    place = {}
    for scaling in ("standard", "quantile"):
        model = AnomalyDetector(("embedding",), scaling=scaling, distance="mahalanobis")
        place[scaling] = int(np.sum(model.fit(X).score_samples(X) < model.score_samples(X[:1])))
    assert place["quantile"] == 0
