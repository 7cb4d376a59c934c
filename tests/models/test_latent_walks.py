"""A walk begins and ends where it should, and keeps to its path."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.models import GAN, Autoencoder, VariationalAutoencoder, interpolate_latent


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(1).normal(size=(120, 4))


class Recorder(GAN):
    """Decodes to the latent points themselves."""

    def inverse_transform(self, Z):
        return np.asarray(Z)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(2, 12))
def test_a_sphere_keeps_angles_and_lengths(seed, n_latent, n_steps):
    first, last = np.random.default_rng(seed).normal(size=(2, n_latent)) + 0.01
    points = interpolate_latent(Recorder(), first, last, n_steps=n_steps)
    np.testing.assert_allclose(points[[0, -1]], [first, last], atol=1e-7)
    lengths = np.linalg.norm(points, axis=1)
    np.testing.assert_allclose(np.diff(lengths, 2), 0, atol=1e-6)
    turned = np.sum(points[1:] * points[:-1], axis=1) / lengths[1:] / lengths[:-1]
    np.testing.assert_allclose(turned, turned[0], atol=1e-6)


def test_a_line_is_straight():
    points = interpolate_latent(Recorder(), [0.0, 0.0], [1.0, 2.0], n_steps=3, path="line")
    assert points.tolist() == [[0, 0], [0.5, 1], [1, 2]]


@pytest.mark.parametrize("kind", [Autoencoder, VariationalAutoencoder])
def test_ends_are_the_reconstructions(kind, rows):
    model = kind(2, max_epochs=2, random_state=1).fit(rows)
    first, last = model.transform(rows[:2])
    walk = interpolate_latent(model, first, last, n_steps=4)
    np.testing.assert_allclose(walk[[0, -1]], model.reconstruct(rows[:2]), rtol=1e-5, atol=1e-6)


def test_a_gan_decodes_its_own_draws(rows):
    model = GAN(3, max_epochs=1, random_state=1).fit(rows)
    latent = np.random.RandomState(7).normal(size=(5, 3))
    np.testing.assert_array_equal(model.inverse_transform(latent), model.sample(5, random_state=7))
    assert interpolate_latent(model, latent[0], latent[1]).shape == (8, 4)
    with pytest.raises(ValueError, match="Z must be an array with 3 columns"):
        model.inverse_transform(latent[:, :2])


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        (([1.0, 0.0], [1.0]), {}, "points of one size"),
        (([1.0, 0.0], [-1.0, 0.0]), {}, "must not be opposite"),
        (([0.0, 0.0], [1.0, 0.0]), {}, "off the origin"),
        (([1.0, 0.0], [0.0, 1.0]), {"n_steps": 1}, "n_steps must be a whole number"),
        (([1.0, 0.0], [0.0, 1.0]), {"path": "arc"}, "path must be one of"),
        (([1.0, np.nan], [0.0, 1.0]), {}, "start must be finite"),
    ],
)
def test_bad_walks_are_refused(points, options, message):
    with pytest.raises(ValueError, match=message):
        interpolate_latent(Recorder(), *points, **options)
