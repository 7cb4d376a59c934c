"""MorphologyClassifier: simulated galaxies told apart, shares of classes, symmetry, bad input."""

import numpy as np
import pytest
from astropy.table import QTable

from astroml_kit.images import MorphologyClassifier, Stamps, simulate_stamps
from astroml_kit.images.classifier import average_shares
from astroml_kit.models import ImageClassifier, ImageEmbedder


@pytest.fixture(scope="module")
def sky():
    """Training and test galaxies; ellipticals are six times as frequent as mergers."""
    options = {"classes": ("elliptical", "edge-on", "merger"), "fractions": (0.6, 0.3, 0.1)}
    stamps = simulate_stamps(210, size=40, rng=5, **options)
    return stamps[:150], stamps[150:]


@pytest.fixture(scope="module")
def measured(sky):
    return MorphologyClassifier().measure(sky[0])


@pytest.fixture(scope="module")
def fitted(sky, measured):
    return MorphologyClassifier(random_state=1).fit(sky[0], measured=measured)


def measure_recall(table, truth):
    return np.mean([np.mean(table["class"][truth == k] == k) for k in np.unique(truth)])


def test_simulated_galaxies_are_told_apart(sky, fitted):
    table, truth = fitted.predict(sky[1]), np.asarray(sky[1].table["label"])
    assert table["id"].tolist() == sky[1].table["id"].tolist()
    assert measure_recall(table, truth) > 0.85
    assert fitted.members_ == ["trees", "forest", "discriminant"]
    assert "3 classes" in str(fitted)


def test_probabilities_add_up_and_are_those_of_the_table(sky, fitted):
    share = fitted.predict_proba(sky[1])
    np.testing.assert_allclose(share.sum(axis=1), 1)
    table = fitted.predict(sky[1])
    columns = [table[f"p_{name}"] for name in fitted.classes_]
    np.testing.assert_array_equal(np.column_stack(columns), share)


def test_priors_are_bayes_rule(sky, measured, fitted):
    train, test = sky
    own = MorphologyClassifier(priors="training", random_state=1).fit(train, measured=measured)
    expected = fitted.predict_proba(test) * fitted.shares_
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(own.predict_proba(test), expected, rtol=1e-12)


def test_turning_and_mirroring_change_no_prediction(sky, fitted):
    images = sky[1].images
    share = fitted.predict_proba(images)
    for other in (np.rot90(images, 1, (2, 3)), images[..., ::-1]):
        assert np.abs(fitted.predict_proba(other) - share).mean() < 0.01


def test_the_company_of_a_galaxy_does_not_matter(sky, fitted):
    share = fitted.predict_proba(sky[1])
    np.testing.assert_allclose(fitted.predict_proba(sky[1][3:5]), share[3:5], rtol=1e-9)


def test_same_seed_same_bits(sky, fitted):
    # measured anew too
    again = MorphologyClassifier(random_state=1).fit(sky[0])
    np.testing.assert_array_equal(again.predict_proba(sky[1]), fitted.predict_proba(sky[1]))


@pytest.mark.parametrize("unlabelled", ["", -1])
def test_stamps_without_label_train_no_member(sky, measured, unlabelled):
    train, test = sky
    kept = np.arange(len(train)) < 120
    label = np.asarray(train.table["label"])
    if unlabelled == -1:
        label = np.unique(label, return_inverse=True)[1]
    results = []
    for rest in (unlabelled, label[0]):
        table = QTable({"id": np.arange(len(train)), "label": np.where(kept, label, rest)})
        stamps = Stamps(train.images, table=table)
        results.append(MorphologyClassifier(random_state=1).fit(stamps, measured=measured))
    few, wrong = results
    assert len(few.classes_) == 3
    assert few.shares_ == pytest.approx(np.unique(label[kept], return_counts=True)[1] / 120)
    assert not np.allclose(few.predict_proba(test), wrong.predict_proba(test), atol=1e-3)


def test_measured_features_need_not_be_measured_again(sky, fitted):
    measured = fitted.measure(sky[1])
    np.testing.assert_array_equal(
        fitted.predict_proba(sky[1], measured=measured), fitted.predict_proba(sky[1])
    )
    other = MorphologyClassifier(("shapes",)).measure(sky[1])
    with pytest.raises(ValueError, match="features of the training"):
        fitted.predict(sky[1], measured=other)


def test_networks_vote_too(sky):
    train, test = sky[0][:80], sky[1][:10]
    model = MorphologyClassifier(
        embedder=ImageEmbedder(channels=(4, 8), max_epochs=1, random_state=1),
        network=ImageClassifier(channels=(4, 8), max_epochs=2, random_state=1),
        random_state=1,
    ).fit(train)
    assert model.members_ == ["trees", "forest", "discriminant", "embeddings", "network"]
    each = model.predict_members(test)
    assert list(each) == model.members_
    expected = average_shares(list(each.values())) / np.sqrt(model.shares_)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(test), expected)
    # a network that learned the shares of the labels is asked for equal ones
    raw = model._models["network"].predict_proba(test.images) / model.shares_
    np.testing.assert_allclose(each["network"], raw / raw.sum(axis=1, keepdims=True), rtol=1e-6)


def test_mean_of_log_probabilities_by_hand():
    found = average_shares([np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])])
    np.testing.assert_allclose(found, [[0.75, 0.25]])  # sqrt(0.45) : sqrt(0.05) = 3 : 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": ()}, "features must be some of"),
        ({"features": "shapes"}, "features must be some of"),
        ({"features": ("colour",)}, "features must be"),
        ({"priors": "equal"}, "priors must be"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MorphologyClassifier(**options)


def test_bad_use_is_refused(sky):
    with pytest.raises(ValueError, match="fitted first"):
        MorphologyClassifier().predict(sky[1])
    one = sky[0][np.asarray(sky[0].table["label"]) == "merger"]
    with pytest.raises(ValueError, match="two classes or more"):
        MorphologyClassifier().fit(one)
    label = np.asarray(sky[0].table["label"])
    rare = (
        np.flatnonzero(label == "merger")[:1].tolist() + np.flatnonzero(label != "merger").tolist()
    )
    with pytest.raises(ValueError, match=r"got one of \['merger'\]"):
        MorphologyClassifier().fit(sky[0][rare])
    with pytest.raises(ValueError, match="kind"):
        MorphologyClassifier().fit(sky[0], label="kind")
