"""Clusters on the sphere are those of scikit-learn, wherever the poles and 0 degrees lie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from sklearn.base import clone
from sklearn.cluster import DBSCAN
from sklearn.utils.estimator_checks import parametrize_with_checks

from astroml_kit.models import ModelFileError, SkyDBSCAN, load_model, save_model
from astroml_kit.samples import Samples

LATITUDES = "the check puts points around (100, 100): 100 is no latitude, and it is refused"
FAILURES = {
    "check_fit_idempotent": LATITUDES,
    "check_fit_check_is_fitted": LATITUDES,
    "check_n_features_in": LATITUDES,
}


@parametrize_with_checks(
    [SkyDBSCAN(0.4, axis_radii=0.4), SkyDBSCAN(0.4, axis_radii=0.4, shape="cylinder")],
    expected_failed_checks=lambda estimator: FAILURES,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def draw_sky(rng, n):
    return np.column_stack([rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))])


def to_vectors(X):
    lon, lat = np.radians(X[:, :2].T)
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def to_degrees(vectors):
    lon = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0]))
    return np.column_stack([lon, np.degrees(np.arcsin(np.clip(vectors[:, 2], -1, 1)))])


def fit_peer(X, radius, min_samples, weight=None):
    peer = DBSCAN(eps=np.radians(radius), min_samples=min_samples, metric="haversine",
                  algorithm="ball_tree")  # fmt: skip
    return peer.fit(np.radians(X[:, ::-1]), sample_weight=weight)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 300),
    st.sampled_from([0.01, 0.3, 1.0, 5.0, 40.0, 120.0, 179.0]),
    st.integers(1, 9),
    st.sampled_from(["sky", "pole", "zero", "dense"]),
    st.booleans(),
)
def test_it_is_dbscan_with_the_haversine_metric(seed, n, radius, min_samples, where, weighted):
    rng = np.random.default_rng(seed)
    X = draw_sky(rng, n)
    if where == "pole":
        X[:, 1] = np.where(rng.random(n) < 0.5, 90, -90) * (1 - rng.exponential(0.02, n) % 1)
    elif where == "zero":
        X = np.column_stack([rng.normal(0, 2, n), rng.normal(0, 2, n)])
    elif where == "dense":
        X[n // 3 :] = X[0] + rng.normal(0, 0.05, (n - n // 3, 2)) * [1, 0]
    weight = rng.integers(0, 3, n).astype(float) if weighted else None
    if weighted:
        weight[0] = 1
    ours = SkyDBSCAN(radius, min_samples).fit(X, sample_weight=weight)
    theirs = fit_peer(X, radius, min_samples, weight)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    np.testing.assert_array_equal(ours.core_sample_indices_, theirs.core_sample_indices_)
    np.testing.assert_array_equal(ours.predict(X), ours.labels_)


def test_many_points_in_one_place_and_many_in_none():
    rng = np.random.default_rng(1)
    X = np.concatenate([draw_sky(rng, 3000), rng.normal(0, 1, (3000, 2)), np.zeros((500, 2))])
    for radius in (0.05, 1.0, 20.0):
        labels = SkyDBSCAN(radius, 8).fit_predict(X)
        np.testing.assert_array_equal(labels, fit_peer(X, radius, 8).labels_)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 200), st.sampled_from([0.5, 3.0, 20.0]))
def test_a_turn_of_the_sphere_changes_nothing(seed, n, radius):
    rng = np.random.default_rng(seed)
    X = draw_sky(rng, n)
    X[: n // 2] = X[0] + rng.normal(0, radius, (n // 2, 2)) * [1, 0]
    z = rng.normal(size=(n, 1))
    turned = to_degrees(to_vectors(X) @ Rotation.random(rng=rng).as_matrix().T)
    one, two = (SkyDBSCAN(radius, 3).fit(rows).labels_ for rows in (X, turned))
    np.testing.assert_array_equal(one, two)
    for shape in ("ellipsoid", "cylinder"):
        model = SkyDBSCAN(radius, 3, axis_radii=0.7, shape=shape)
        one, two = (model.fit_predict(np.column_stack([rows, z])) for rows in (X, turned))
        np.testing.assert_array_equal(one, two)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 120),
    st.integers(1, 3),
    st.sampled_from(["ellipsoid", "cylinder"]),
    st.sampled_from([1.0, 10.0, 170.0]),
)
def test_further_axes_follow_their_definition(seed, n, n_axes, shape, radius):
    rng = np.random.default_rng(seed)
    X = np.column_stack([draw_sky(rng, n), rng.normal(size=(n, n_axes))])
    if radius < 50:
        X[:, :2] = rng.normal(0, 2 * radius, (n, 2))
    radii = tuple(rng.uniform(0.3, 2, n_axes))
    vectors = to_vectors(X)
    chord = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    sky = np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1))) / radius
    steps = np.abs(X[:, None, 2:] - X[:, 2:]) / radii
    if shape == "cylinder":
        distance = np.maximum(sky, steps.max(axis=2))
    else:
        distance = np.sqrt(sky**2 + (steps**2).sum(axis=2))
    model = SkyDBSCAN(radius, 3, axis_radii=radii, shape=shape).fit(X)
    theirs = DBSCAN(eps=1, min_samples=3, metric="precomputed").fit(distance)
    np.testing.assert_array_equal(model.labels_, theirs.labels_)
    np.testing.assert_array_equal(model.predict(X), model.labels_)


@pytest.mark.parametrize("radius", [1e-6, 1.0, 60.0])
def test_a_pair_at_the_radius_is_a_pair(radius):
    X = [[0.0, 0.0], [radius, 0.0], [180.0, 90 - radius], [7.0, 90.0]]
    assert SkyDBSCAN(radius, 2).fit_predict(X).tolist() == [0, 0, 1, 1]
    assert SkyDBSCAN(radius * (1 - 1e-6), 2).fit_predict(X).tolist() == [-1] * 4


def test_longitudes_of_any_turn_are_the_same():
    rng = np.random.default_rng(2)
    X = rng.normal(0, 3, (200, 2))
    turned = X + np.column_stack([360 * rng.integers(-5, 6, 200), np.zeros(200)])
    np.testing.assert_array_equal(SkyDBSCAN(0.5).fit_predict(X), SkyDBSCAN(0.5).fit_predict(turned))


def test_everything_is_near_within_half_a_turn():
    X = draw_sky(np.random.default_rng(3), 50)
    assert set(SkyDBSCAN(180.0, 50).fit_predict(X)) == {0}
    assert set(SkyDBSCAN(180.0, 51).fit_predict(X)) == {-1}


def test_predict_reaches_new_points_and_noise_has_none_to_reach():
    X = [[10.0, 0.0], [10.1, 0.0], [20.0, 0.0], [20.1, 0.0]]
    model = SkyDBSCAN(0.5, 2).fit(X)
    assert model.predict([[10.3, 0.2], [19.7, 0.0], [15.0, 0.0]]).tolist() == [0, 1, -1]
    nothing = SkyDBSCAN(0.01, 2).fit(X)
    assert nothing.predict(X).tolist() == [-1] * 4
    assert nothing.components_.shape == (0, 2)


def test_weights_are_points_at_one_place():
    X = draw_sky(np.random.default_rng(4), 80)
    weight = np.random.default_rng(5).integers(1, 4, 80)
    whole = SkyDBSCAN(15.0, 6).fit(X, sample_weight=weight)
    repeated = SkyDBSCAN(15.0, 6).fit(X.repeat(weight, axis=0))
    labels = np.full(80, -1)
    labels[np.arange(80).repeat(weight)] = repeated.labels_
    np.testing.assert_array_equal(whole.labels_, labels)
    with pytest.raises(ValueError, match="Negative values"):
        SkyDBSCAN(1.0).fit(X, sample_weight=-weight)


@pytest.mark.parametrize(
    ("options", "X", "message"),
    [
        ({"radius_deg": 0}, [[0.0, 0.0]], "radius_deg must be finite and > 0"),
        ({"radius_deg": 181}, [[0.0, 0.0]], "and <= 180"),
        ({"min_samples": 0}, [[0.0, 0.0]], "min_samples must be"),
        ({"shape": "box"}, [[0.0, 0.0]], "shape must be one of"),
        ({"axis_radii": -1}, [[0.0, 0.0, 1.0]], "axis_radii must be finite and > 0"),
        ({}, [[0.0, 0.0, 1.0]], "axis_radii must be given for 1 further columns"),
        ({"axis_radii": (1, 2)}, [[0.0, 0.0, 1.0]], "axis_radii must be one number or 1"),
        ({}, [[0.0, 91.0]], "latitude must be .* longitude first"),
        ({}, [[0.0]], "a longitude and a latitude, got 1 feature"),
        ({}, [[0.0, np.nan]], "NaN"),
    ],
)
def test_what_makes_no_sense_is_refused(options, X, message):
    with pytest.raises(ValueError, match=message):
        SkyDBSCAN(**options).fit(X)


def test_files_bring_clusters_back(tmp_path):
    rng = np.random.default_rng(6)
    X = np.column_stack([rng.normal(0, 2, (300, 2)), rng.normal(size=300)])
    samples = Samples(X, feature_names=("ra", "dec", "log_z"))
    model = SkyDBSCAN(1.0, 4, axis_radii=(0.5,), shape="cylinder").fit(samples)
    again = load_model(save_model(model, tmp_path / "sky.model"))
    np.testing.assert_array_equal(again.labels_, model.labels_)
    np.testing.assert_array_equal(again.predict(samples), model.labels_)
    assert again.get_params() == model.get_params() == clone(model).get_params()
    content = bytearray((tmp_path / "sky.model").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "sky.model").write_bytes(content)
    with pytest.raises(ModelFileError):
        load_model(tmp_path / "sky.model")
