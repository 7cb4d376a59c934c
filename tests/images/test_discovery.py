"""Odd images are found before anybody has looked, alike ones are near, groups hang together."""

import os
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from astroml_kit.datasets import fetch_dataset
from astroml_kit.images import (
    Stamps,
    extract_anomaly_features,
    find_anomalies,
    find_image_groups,
    find_similar,
    read_stamps,
    simulate_stamps,
)
from astroml_kit.images._oddities import measure_lopsidedness, turn_about
from astroml_kit.samples import Samples

DATA = os.environ.get("ASTROML_KIT_DATA")
CLASSES = ("elliptical", "edge-on", "spiral", "merger", "artefact")


@pytest.fixture(scope="module")
def stamps():
    return simulate_stamps(400, classes=CLASSES, fractions=(0.5, 0.2, 0.25, 0.03, 0.02), rng=5)


@pytest.fixture(scope="module")
def features(stamps):
    return extract_anomaly_features(stamps)


def paint(places, size=41, flux=(1.0, 0.4)):
    """Gaussian blobs, one plane."""
    y, x = np.mgrid[:size, :size]
    pairs = zip(flux, places, strict=False)  # the second flux is for the second place
    blobs = [f * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 18) for f, (a, b) in pairs]
    return np.sum(blobs, axis=0)[None, None]


def test_mergers_and_artefacts_come_first(stamps, features):
    odd = np.isin(stamps.table["label"], ("merger", "artefact"))
    table = find_anomalies(features)
    assert roc_auc_score(odd, table["score"]) > 0.9
    assert sorted(table["rank"]) == list(range(1, 401))
    assert table["id"].tolist() == stamps.table["id"].tolist()
    assert np.array_equal(np.argsort(table["rank"]), np.argsort(-table["score"], kind="stable"))


def test_what_is_even_about_its_peak_has_no_lopsided_light():
    even, other = (measure_lopsidedness(paint(places)) for places in
                   ([(20, 20)], [(20, 20), (20, 27)]))  # fmt: skip
    assert even["lopsidedness"][0] < 1e-3
    # all of the neighbour, less what it shares with the other side: 0.4 / 1.4 / 2 at most
    assert 0.08 < other["lopsidedness"][0] < 0.4 / 1.4
    assert other["lopsided_distance"][0] > 0.5


def test_a_red_companion_is_told_from_one_of_the_same_colour():
    main, companion = paint([(20, 20)]), paint([(20, 29)], flux=(0.5,))
    same = np.concatenate([main + companion] * 2, axis=1)
    red = np.concatenate([main, main + 2 * companion], axis=1)
    assert measure_lopsidedness(same)["lopsided_colour_0"][0] == pytest.approx(0, abs=1e-6)
    assert measure_lopsidedness(red)["lopsided_colour_0"][0] < -0.1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), y=st.integers(0, 6), x=st.integers(0, 8))
def test_turning_twice_is_no_turn(seed, y, x):
    image = np.random.default_rng(seed).normal(size=(7, 9))
    turned, covered = turn_about(image, (y, x))
    assert turned[y, x] == image[y, x]
    again, both = turn_about(turned, (y, x))
    np.testing.assert_array_equal(again[both & covered], image[both & covered])
    assert covered.sum() == (2 * min(y, 6 - y) + 1) * (2 * min(x, 8 - x) + 1)


@pytest.mark.parametrize("turns", [1, 2])
def test_a_turn_changes_no_feature(stamps, turns):
    few = stamps.images[:12]
    before = extract_anomaly_features(few)
    after = extract_anomaly_features(np.rot90(few, turns, axes=(2, 3)))
    np.testing.assert_allclose(after.X, before.X, rtol=2e-3, atol=2e-3)


def test_nothing_in_the_middle_is_the_oddest():
    rng = np.random.default_rng(3)
    images = np.concatenate([paint([(20, 20)])] * 60) + 0.02 * rng.normal(size=(60, 1, 41, 41))
    images[7] = 0.02 * rng.normal(size=(41, 41))
    table = find_anomalies(images)
    assert table["rank"][7] == 1
    assert np.isnan(table["lopsidedness"][7])
    assert table.meta["n_empty"] == 1


def test_masked_pixels_change_little(stamps):
    few = stamps[:6]
    mask = np.zeros(few.images.shape, dtype=bool)
    mask[:, :, :3] = True
    spoiled = np.where(mask, 1e6, few.images).astype(np.float32)
    holed = Stamps(spoiled, mask=mask, table=few.table, bands=few.bands)
    names = list(extract_anomaly_features(few).feature_names)
    k = [names.index(name) for name in ("lopsidedness", "brightest", "sky_level")]
    np.testing.assert_allclose(
        extract_anomaly_features(holed).X[:, k], extract_anomaly_features(few).X[:, k],
        rtol=0.05, atol=0.02,
    )  # fmt: skip


def test_a_reason_names_the_number_that_is_farthest_off(features):
    X = features.X.copy()
    k = features.feature_names.index("sky_level")
    X[9, k] = X[:, k].max() + 100
    X[9, :k] = np.nanmedian(X[:, :k], axis=0)
    X[9, k + 1 :] = np.nanmedian(X[:, k + 1 :], axis=0)
    table = find_anomalies(Samples(X, feature_names=features.feature_names))
    assert table["reason"][9] == "high sky_level"
    assert table.meta["n_filled"] == np.count_nonzero(~np.isfinite(np.delete(
        X, [features.feature_names.index(n) for n in features.feature_names
            if n.startswith("lopsided")], axis=1)))  # fmt: skip


def test_neighbours_are_those_of_brute_force():
    points = np.random.default_rng(1).normal(size=(200, 8))
    found = find_similar([3, 150], points, n=5, metric="euclidean")
    for row in (3, 150):
        distance = np.linalg.norm(points - points[row], axis=1)
        own = found[found["query"] == row]
        assert own["row"].tolist() == np.argsort(distance)[1:6].tolist()
        np.testing.assert_allclose(own["distance"], np.sort(distance)[1:6], rtol=1e-9)
        assert own["place"].tolist() == [1, 2, 3, 4, 5]


def test_the_angle_forgets_length():
    points = np.array([[1.0, 0.0], [50.0, 1.0], [0.9, 0.3], [0.0, 1.0]])
    found = find_similar(points[0] * 7, points, n=4, ids=list("abcd"))
    assert found["id"].tolist() == ["a", "b", "c", "d"]
    np.testing.assert_allclose(found["distance"][[0, 3]], [0, 1], atol=1e-12)


def test_copies_of_the_query_are_neighbours_and_the_query_is_not():
    found = find_similar(1, np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 1.0]]), n=2)
    assert found["row"].tolist() == [2, 0]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_faiss_finds_the_same(metric):
    pytest.importorskip("faiss")
    points = np.random.default_rng(2).normal(size=(500, 16))
    one, other = (find_similar(np.arange(20), points, metric=metric, engine=engine)
                  for engine in ("scikit-learn", "faiss"))  # fmt: skip
    assert one["row"].tolist() == other["row"].tolist()
    np.testing.assert_allclose(one["distance"], other["distance"], rtol=1e-6)


def test_without_faiss_it_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install faiss-cpu"):
        find_similar(0, np.eye(3), engine="faiss")
    assert len(find_similar(0, np.eye(3), n=2)) == 2


@pytest.mark.parametrize("n_groups", [None, 3])
def test_groups_are_those_that_were_drawn(n_groups):
    rng = np.random.default_rng(4)
    truth = np.repeat([0, 1, 2], [60, 40, 20])
    points = np.array([[0, 0], [6, 0], [0, 6]])[truth] + 0.4 * rng.normal(size=(120, 2))
    table = find_image_groups(points, n_groups=n_groups)
    kept = table["group"] >= 0
    assert kept.sum() > 100
    assert np.array_equal(table["group"][kept], truth[kept])
    assert np.bincount(table["group"][table["central"]]).tolist() == [1, 1, 1]
    assert np.isnan(table["distance"][~kept]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: find_anomalies(np.zeros((2, 20, 20))), "images must be three or more"),
        (lambda: find_anomalies(np.zeros((9, 20, 20)), rarity=-1), "rarity must be"),
        (lambda: find_anomalies(Samples(np.zeros((9, 2)))), "Use extract_anomaly_features"),
        (lambda: find_similar(3, np.eye(3)), "query must be rows from 0 to 2"),
        (lambda: find_similar(0, np.zeros((3, 2))), "embeddings must have a direction"),
        (lambda: find_similar([0.1], np.eye(3)), "query must be rows, or embeddings of length 3"),
        (lambda: find_similar(0, np.eye(3) * np.nan), "embeddings must be finite"),
        (lambda: find_similar(0, np.eye(3), metric="l1"), "metric must be one of"),
        (lambda: find_similar(0, np.eye(3), ids=[1]), "lengths must be equal"),
        (lambda: find_image_groups(np.eye(3), n_groups=4), "n_groups must be"),
        (lambda: find_image_groups(np.eye(3), min_size=1), "min_size must be"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="ASTROML_KIT_DATA names no folder: see datasets fetch")
def test_galaxy_zoo_mergers_come_first():
    """A tenth of the normal galaxies and all mergers; half-way measures stand at 0.86."""
    folder = fetch_dataset("galaxy-zoo1-sdss")
    stamps = read_stamps(folder / "crops112.zip", labels=folder / "labels.csv", dtype="uint8")
    label = np.asarray(stamps.table["label"]).astype(str)
    normal = np.isin(label, list("0123"))
    chosen = np.flatnonzero(label == "5").tolist() + np.flatnonzero(normal)[::10].tolist()
    table = find_anomalies(stamps[np.array(chosen)])
    assert roc_auc_score(label[chosen] == "5", table["score"]) > 0.88
