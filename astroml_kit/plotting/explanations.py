"""Where in an image a network looked: the maps of `ImageClassifier.explain` over the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import check_real, check_same_length, invalid
from ._axes import ORANGE, get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAP = 2  # pixels between images
STRONGEST = 0.75  # share of colour where a map is one
FAINT, BRIGHT = 1.0, 99.7  # percentiles of an image that are black and white


def plot_explanations(
    images: ArrayLike,
    maps: ArrayLike,
    *,
    titles: Sequence[str] = (),
    n_images: int = 8,
    ax: Axes | None = None,
    **imshow_kwargs: Any,
) -> Axes:
    """Plot images over the same ones with what a network looked at in colour.

    Parameters
    ----------
    images : array_like, shape (n_images, height, width) or (n_images, n_bands, height, width)
        Bands are averaged; each image has its own scale of brightness.
    maps : array_like, shape (n_images, height, width)
        From 0 to 1, of `ImageClassifier.explain`.
    titles : sequence of str
        One per image, such as the class that it was explained for.
    n_images : int
        How many of them, from the first on.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **imshow_kwargs
        Passed on to ``ax.imshow``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> images = np.random.default_rng(1).normal(size=(3, 16, 16))
    >>> ax = plot_explanations(images, np.abs(images) / 5)  # doctest: +SKIP
    """
    n = int(check_real("n_images", n_images, at_least=1, next_step="Give a whole number."))
    pixels, shares = check_real("images", images), check_real("maps", maps, at_least=0, at_most=1)
    pixels = pixels.mean(axis=1) if pixels.ndim == 4 else pixels
    if pixels.ndim != 3 or pixels.shape != shares.shape:
        raise invalid("maps", f"of the shape {pixels.shape} of the images", shares.shape)
    if len(titles):
        check_same_length(titles=titles, images=pixels)
    from matplotlib.colors import to_rgb

    grey = np.stack([_scale(image) for image in pixels[:n]])[..., None].repeat(3, axis=-1)
    share = STRONGEST * shares[:n, ..., None]
    coloured = (1 - share) * grey + share * np.array(to_rgb(ORANGE))
    ax = get_axes(ax)
    tiles = np.concatenate([_join(grey), np.ones((GAP, _join(grey).shape[1], 3)), _join(coloured)])
    ax.imshow(tiles, **{"interpolation": "nearest"} | imshow_kwargs)
    height, width = pixels.shape[1:]
    places = np.arange(len(grey)) * (width + GAP) + (width - 1) / 2
    ax.set_xticks(places, [str(title) for title in titles[:n]] or [""] * len(grey))
    ax.set_yticks([(height - 1) / 2, height + GAP + (height - 1) / 2], ["image", "looked at"])
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    return ax


def _scale(image: np.ndarray) -> np.ndarray:
    """From 0 to 1, but for the faintest and the brightest pixels."""
    low, high = np.percentile(image, (FAINT, BRIGHT))
    return np.clip((image - low) / (high - low if high > low else 1), 0, 1)


def _join(images: np.ndarray) -> np.ndarray:
    """Images side by side, white between them."""
    padded = np.pad(images, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=1)
    return np.concatenate(list(padded), axis=1)[:, :-GAP]
