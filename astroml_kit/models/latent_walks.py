"""What lies between two samples, as a generative model sees it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._validation import check_choice, check_real, invalid
from .autoencoders import Autoencoder
from .gan import GAN
from .variational import VariationalAutoencoder

PATHS = ("auto", "line", "sphere")


def interpolate_latent(
    model: Autoencoder | VariationalAutoencoder | GAN,
    start: Any,
    end: Any,
    *,
    n_steps: int = 8,
    path: str = "auto",
) -> np.ndarray:
    """Walk through the latent space from one point to another, and decode each step.

    Parameters
    ----------
    model : Autoencoder, VariationalAutoencoder or GAN
        Fitted.
    start, end : array_like, shape (n_latent,)
        As `Autoencoder.transform` makes them, or drawn from the standard normal for a GAN.
    n_steps : int
        Samples on the way with both ends, two or more.
    path : {"auto", "line", "sphere"}
        "sphere" turns the direction and changes the length evenly (White 2016, arXiv:1609.04468):
        draws of a normal in many dimensions have nearly the same length, and a line would pass
        through a middle where there are none. "auto" takes it where the latent space is normal,
        that is with all but a plain `Autoencoder`.

    Returns
    -------
    ndarray, shape (n_steps, ...)
        Samples in the form and units of the training data.

    Raises
    ------
    ValueError
        For points of the wrong size, fewer than two steps, or a sphere through the origin.

    Examples
    --------
    >>> X = np.random.default_rng(1).normal(size=(200, 3))
    >>> model = Autoencoder(2, max_epochs=2, random_state=1).fit(X)
    >>> first, last = model.transform(X[:2])
    >>> interpolate_latent(model, first, last, n_steps=5).shape
    (5, 3)
    """
    check_choice("path", path, PATHS)
    if not isinstance(n_steps, int | np.integer) or n_steps < 2:
        raise invalid("n_steps", "a whole number >= 2", n_steps)
    first, last = (check_real(name, point) for name, point in (("start", start), ("end", end)))
    if first.ndim != 1 or first.shape != last.shape:
        raise invalid("start and end", "points of one size", (first.shape, last.shape))
    if path == "auto":
        path = "line" if isinstance(model, Autoencoder) else "sphere"
    along = np.linspace(0, 1, int(n_steps))[:, None]
    if path == "line":
        return model.inverse_transform((1 - along) * first + along * last)
    lengths = np.linalg.norm(first), np.linalg.norm(last)
    if min(lengths) == 0:
        raise invalid("start and end", "off the origin", 0.0, "Choose path='line'.")
    one, other = first / lengths[0], last / lengths[1]
    angle = np.arccos(np.clip(one @ other, -1, 1))
    if np.pi - angle < 1e-6:
        raise ValueError(
            "start and end must not be opposite for path='sphere', where every way round is as "
            "long. Choose path='line', or a point between them."
        )
    if angle < 1e-6:
        directions = np.repeat(one[None], len(along), axis=0)
    else:
        weights = np.sin((1 - along) * angle), np.sin(along * angle)
        directions = (weights[0] * one + weights[1] * other) / np.sin(angle)
    return model.inverse_transform(((1 - along) * lengths[0] + along * lengths[1]) * directions)
