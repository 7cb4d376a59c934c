"""Votes of many people, and several labels at once, as what an image classifier learns."""

import numpy as np
import pytest
from scipy import stats

from astroml_kit.models import (
    CalibratedClassifier,
    ImageClassifier,
    NeuralClassifier,
    load_model,
    save_model,
)
from astroml_kit.models._votes import LARGEST_LOG
from astroml_kit.samples import Samples

SIDE = 8
QUICK = {"channels": (4, 8), "max_epochs": 2, "batch_size": 32, "random_state": 1}
SPREAD = 12.0  # concentration of the people's opinion about the mean that an image tells


def draw_votes(rng, n, *, n_votes=30):
    """A row and a column of which one is brighter, fractions of three answers, and votes."""
    level = rng.uniform(-1, 1, n)
    X = 0.1 * rng.normal(size=(n, SIDE, SIDE))
    X[:, 2] += 1 + level[:, None]
    X[:, :, 5] += 1 - level[:, None]
    score = np.column_stack([2 * level, np.zeros(n), -level])
    mean = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    fraction = np.array([rng.dirichlet(SPREAD * row) for row in mean])
    votes = np.array([rng.multinomial(n_votes, row) for row in fraction])
    return X.astype(np.float32), votes, fraction, mean


X, VOTES, _, _ = draw_votes(np.random.default_rng(1), 900)


@pytest.fixture(scope="module")
def model():
    options = QUICK | {"max_epochs": 20, "learning_rate": 0.02, "stretch": "none"}
    return ImageClassifier(target="votes", **options, early_stopping=False).fit(X, VOTES)


def test_the_likelihood_is_that_of_scipy():
    import torch

    from astroml_kit.models._networks import compare_votes

    rng = np.random.default_rng(1)
    output, votes = 3 * rng.normal(size=(50, 4)), rng.poisson(9, size=(50, 4))
    alpha = np.exp(LARGEST_LOG * np.tanh(output / LARGEST_LOG))
    n = votes.sum(axis=1)
    own = stats.multinomial.logpmf(votes, n, np.full(4, 0.25)) - n * np.log(0.25)  # coefficients
    wanted = own - stats.dirichlet_multinomial.logpmf(votes, alpha, n)
    loss = compare_votes(*(torch.tensor(a, dtype=torch.float32) for a in (output, votes)))
    np.testing.assert_allclose(loss.numpy(), wanted, rtol=1e-4)


def test_fractions_and_their_spread_are_learned(model):
    new, _, _, mean = draw_votes(np.random.default_rng(2), 600)
    p = model.predict_proba(new)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert np.abs(p - mean).mean() < 0.03
    alpha = model.predict_concentrations(new)
    np.testing.assert_allclose(alpha / alpha.sum(axis=1, keepdims=True), p)
    # people differ more than votes about one fraction would
    assert np.median(alpha.sum(axis=1)) == pytest.approx(SPREAD, rel=0.35)
    assert model.history_.meta["metric"] == "mean absolute error of the vote fractions"
    assert (model.predict(new) == p.argmax(axis=1)).all()
    assert model.classes_.tolist() == [0, 1, 2]


def test_intervals_hold_what_they_say(model):
    new, votes, fraction, _ = draw_votes(np.random.default_rng(3), 1500)
    for confidence in (0.5, 0.9):
        low, high = np.moveaxis(model.predict_interval(new, confidence), -1, 0)
        held = (low <= fraction) & (fraction <= high)
        np.testing.assert_allclose(held.mean(axis=0), confidence, atol=0.05)
        low, high = np.moveaxis(model.predict_interval(new, confidence, n_votes=30), -1, 0)
        held = (low <= votes / 30) & (votes / 30 <= high)
        assert held.mean() > confidence - 0.03
        assert held.mean() < confidence + 0.15  # counts are whole


def test_intervals_of_counts_are_those_of_scipy(model):
    n_votes = np.array([5, 40, 17])
    alpha = model.predict_concentrations(X[:3])
    found = model.predict_interval(X[:3], 0.8, n_votes=n_votes)
    rest = alpha.sum(axis=1, keepdims=True) - alpha
    for k, level in enumerate((0.1, 0.9)):
        wanted = stats.betabinom.ppf(level, n_votes[:, None], alpha, rest)
        np.testing.assert_allclose(found[..., k], wanted / n_votes[:, None], atol=1e-12)


def test_score_and_files(model, tmp_path):
    samples = Samples(X[:50], VOTES[:50])
    most = VOTES[:50].argmax(axis=1)
    assert model.score(samples) == np.mean(model.predict(X[:50]) == most)
    again = load_model(save_model(model, tmp_path / "m"))
    np.testing.assert_array_equal(again.predict_interval(X[:9]), model.predict_interval(X[:9]))
    weights = np.r_[np.ones(60), np.zeros(60)]
    with_none = ImageClassifier(target="votes", **QUICK).fit(X[:120], VOTES[:120], weights)
    without = ImageClassifier(target="votes", **QUICK).fit(X[:60], VOTES[:60])
    np.testing.assert_array_equal(with_none.predict_proba(X), without.predict_proba(X))


def test_mistakes_are_named():
    votes = VOTES[:40].astype(float)
    for y, message in (
        (votes[:, 0], "one row of counts per sample.*target='labels'"),
        (np.where(np.arange(40)[:, None] < 2, -1, votes), "counts >= 0, got others in 2 rows"),
        (np.where(np.arange(40)[:, None] < 3, 0, votes), "a vote in every row, got none in 3 of"),
    ):
        with pytest.raises(ValueError, match=message):
            ImageClassifier(target="votes", **QUICK).fit(X[:40], y)
    with pytest.raises(ValueError, match="class_weight must be None with target='votes'"):
        ImageClassifier(target="votes", class_weight="balanced", **QUICK).fit(X[:40], votes)
    with pytest.raises(ValueError, match="target must be one of"):
        ImageClassifier(target="counts").fit(X[:40], votes)
    plain = ImageClassifier(**QUICK).fit(X[:40], np.arange(40) % 2)
    with pytest.raises(ValueError, match="target must be 'votes' for concentrations"):
        plain.predict_interval(X[:40])


# Several labels at once


def draw_labels(rng, n=300):
    """A bright row, a bright column, both or none; the column is rare."""
    y = np.column_stack([rng.random(n) < 0.5, rng.random(n) < 0.12]).astype(int)
    images = 0.3 * rng.normal(size=(n, SIDE, SIDE))
    for image, (row, column) in zip(images, y, strict=True):
        image[rng.integers(SIDE)] += 2 * row
        image[:, rng.integers(SIDE)] += column
    return images.astype(np.float32), y


def test_independent_labels_with_weights(tmp_path):
    images, y = draw_labels(np.random.default_rng(1))
    new, truth = draw_labels(np.random.default_rng(2))
    options = {"channels": (8, 16), "max_epochs": 15, "batch_size": 16, "random_state": 1}
    options["learning_rate"] = 0.01
    recall = {}
    for weight in (None, "balanced", {1: 20.0}):
        model = ImageClassifier(**options, class_weight=weight).fit(images, y)
        found = model.predict(new)
        recall[str(weight)] = found[truth[:, 1] == 1, 1].mean()
        assert (found[:, 0] == truth[:, 0]).mean() > 0.75
        again = load_model(save_model(model, tmp_path / "m"))
        np.testing.assert_array_equal(again.predict_proba(new), model.predict_proba(new))
        assert again.class_weight == weight
    assert recall["balanced"] > recall["None"] + 0.1
    assert recall["{1: 20.0}"] > recall["None"] + 0.2


def test_balanced_labels_are_as_if_the_rare_ones_were_repeated():
    """Weights of 0 and 1 are what so many more rows would have been."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(400, 2))
    rare = (rows[:, 0] + rng.normal(size=400) > 1.8).astype(int)
    y = np.column_stack([rare, rows[:, 1] > 0]).astype(int)
    options = {"hidden_layers": (), "max_epochs": 300, "learning_rate": 0.05, "l2": 0.0}
    options |= {"batch_size": 2000, "early_stopping": False, "random_state": 1,
                "scaling": "standard"}  # fmt: skip
    model = NeuralClassifier(**options, class_weight="balanced").fit(rows, y)
    ones, zeros = rare.sum(), (1 - rare).sum()
    weight = np.where(rare, 200 / ones, 200 / zeros)
    single = NeuralClassifier(**options).fit(rows, rare, sample_weight=weight)
    np.testing.assert_allclose(
        model.predict_proba(rows)[:, 0], single.predict_proba(rows)[:, 1], atol=0.01
    )
    with pytest.raises(ValueError, match=r"class_weight must name classes of y, \[0, 1\]"):
        NeuralClassifier(**options, class_weight={2: 3.0}).fit(rows, y)


# Probabilities


def test_scores_of_images_become_probabilities(tmp_path):
    """Labels that are wrong a quarter of the time: the network learns them and is too sure."""
    rng = np.random.default_rng(1)

    def draw(n):
        shape = np.arange(n) % 2
        images = 0.3 * rng.normal(size=(n, SIDE, SIDE))
        images[shape == 0, 3] += 1
        images[shape == 1, :, 3] += 1
        return images.astype(np.float32), np.where(rng.random(n) < 0.25, 1 - shape, shape)

    (images, y), (new, truth) = draw(200), draw(1000)
    options = QUICK | {"max_epochs": 25, "learning_rate": 0.02}
    plain = ImageClassifier(**options).fit(images, y)
    model = CalibratedClassifier(ImageClassifier(**options), n_splits=3, random_state=1)
    model.fit(Samples(images, y, groups=np.arange(200) // 2))

    def measure_loss(estimator):
        p = estimator.predict_proba(new)[np.arange(1000), truth]
        return -np.log(np.clip(p, 1e-9, None)).mean()

    assert model.calibrator_.values[0][0] > 1.5
    assert measure_loss(model) < measure_loss(plain) - 0.05
    assert measure_loss(model) < np.log(2) - 0.05
    again = load_model(save_model(model, tmp_path / "m"))
    np.testing.assert_array_equal(again.predict_proba(new), model.predict_proba(new))
