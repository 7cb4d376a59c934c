"""What models without labels make: maps of samples, reconstructions, generated images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import check_real, check_same_length, invalid
from ._axes import GREY, SERIES, get_axes, put_legend_above
from .stamps import make_pictures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LABELS = 12
NOISE = -1  # scikit-learn's label of points in no cluster
MARKERS = "os^Dv<>PX*ph"
GAP = 1  # pixels between images
THUMBNAIL = 28  # points, longer side


def plot_embedding(
    points: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    values: ArrayLike | None = None,
    value_label: str = "",
    images: Any = None,
    n_images: int = 60,
    ax: Axes | None = None,
    **scatter_kwargs: Any,
) -> Axes:
    """Plot samples in two dimensions, coloured by class, cluster or a number.

    Parameters
    ----------
    points : array_like, shape (n_samples, 2)
        From `reduce_dimensions`, or two columns of a latent space.
    labels : array_like, shape (n_samples,), optional
        At most 12 different ones, told apart by colour and marker; -1 is noise, in grey.
    values : array_like of float, shape (n_samples,), optional
        Instead of labels: a number per sample, such as an anomaly score, shown as colour.
    value_label : str
        What the numbers are, for the colour bar.
    images : Stamps or array_like, shape (n_samples, h, w) or (n_samples, n_bands, h, w), optional
        Some of them are shown in their places, as `plot_stamps` shows them.
    n_images : int
        How many at most: one in each cell of a grid over the points.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **scatter_kwargs
        Passed on to ``ax.scatter``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np
    >>> points = np.random.default_rng(1).normal(size=(50, 2))
    >>> ax = plot_embedding(points, labels=points[:, 0] > 0)  # doctest: +SKIP
    """
    places = check_real("points", points)
    if places.ndim != 2 or places.shape[1] != 2 or len(places) == 0:
        raise invalid(
            "points", "an array of shape (n_samples, 2)", places.shape, "Use reduce_dimensions."
        )
    if labels is not None and values is not None:
        raise ValueError("labels and values must not be given both. Leave one of them out.")
    ax = get_axes(ax)
    style: dict[str, Any] = {"s": 12, "alpha": 0.8, "linewidths": 0}
    if labels is not None:
        _draw_labels(ax, places, np.asarray(labels), style | scatter_kwargs)
    elif values is not None:
        numbers = check_real("values", values)
        _check_length("values", numbers, places)
        drawn = ax.scatter(
            places[:, 0], places[:, 1], c=numbers, **{"cmap": "viridis"} | style | scatter_kwargs
        )
        ax.figure.colorbar(drawn, ax=ax, label=value_label)
    else:
        ax.scatter(*places.T, **{"color": SERIES[1][0]} | style | scatter_kwargs)
    ax.set_xlabel("dimension 1")
    ax.set_ylabel("dimension 2")
    if images is not None:
        check_real("n_images", n_images, at_least=1, next_step="Give a whole number.")
        check_same_length(images=images, points=places)
        _draw_thumbnails(ax, places, images, int(n_images))
    return ax


def _draw_thumbnails(ax: Axes, places: np.ndarray, images: Any, n_images: int) -> None:
    """Draw images over their points, one in each cell of a grid that holds ``n_images``."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    n_cells = max(1, int(np.sqrt(n_images)))
    span = np.where(np.ptp(places, axis=0) > 0, np.ptp(places, axis=0), 1)
    where = (places - places.min(axis=0)) / span * n_cells
    cell = np.minimum(where.astype(int), n_cells - 1)
    off = np.sum((where - cell - 0.5) ** 2, axis=1)
    order = np.argsort(off, kind="stable")
    _, first = np.unique(cell[order] @ [n_cells, 1], return_index=True)
    rows = order[np.sort(first)]
    pictures = make_pictures(images, rows=rows)
    zoom = THUMBNAIL / max(pictures.shape[1:3])
    for picture, row in zip(pictures, rows, strict=True):
        drawn = OffsetImage(picture, zoom=zoom)
        ax.add_artist(AnnotationBbox(drawn, places[row], frameon=False, pad=0))


def _draw_labels(ax: Axes, places: np.ndarray, labels: np.ndarray, style: dict[str, Any]) -> None:
    _check_length("labels", labels, places)
    known = [label for label in np.unique(labels).tolist() if label != NOISE]
    if len(known) > MOST_LABELS:
        raise invalid(
            "labels", f"at most {MOST_LABELS} different ones", len(known), "Group the rarest."
        )
    noise = labels == NOISE
    if noise.any():
        ax.scatter(*places[noise].T, **style | {"color": GREY, "marker": ".", "label": "noise"})
    for k, label in enumerate(known):
        own = {"color": SERIES[k % len(SERIES)][0], "marker": MARKERS[k], "label": str(label)}
        ax.scatter(*places[labels == label].T, **own | style)
    put_legend_above(ax)


def plot_reconstructions(
    images: ArrayLike,
    reconstructed: ArrayLike,
    *,
    n_images: int = 8,
    ax: Axes | None = None,
    **imshow_kwargs: Any,
) -> Axes:
    """Plot images over their reconstructions and what is left, on one scale of brightness.

    Parameters
    ----------
    images, reconstructed : array_like, shape (n_images, height, width)
        Such as ``X`` and ``Autoencoder.reconstruct(X)``.
    n_images : int
        How many of them, from the first on.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **imshow_kwargs
        Passed on to ``ax.imshow``.

    Returns
    -------
    matplotlib.axes.Axes
    """
    first, second = _check_images("images", images), _check_images("reconstructed", reconstructed)
    if first.shape != second.shape:
        raise invalid("reconstructed", f"of the shape {first.shape} of images", second.shape)
    check_real("n_images", n_images, at_least=1, next_step="Give a whole number.")
    first, second = first[: int(n_images)], second[: int(n_images)]
    rows = np.concatenate([first, second, first - second])
    ax = _draw_tiles(rows, len(first), ax, imshow_kwargs)
    height = first.shape[1] + GAP
    ax.set_yticks([(k + 0.5) * height - GAP for k in range(3)], ["image", "reconstruction", "rest"])
    return ax


def plot_images(
    images: ArrayLike, *, n_columns: int = 8, ax: Axes | None = None, **imshow_kwargs: Any
) -> Axes:
    """Plot images side by side, on one scale of brightness.

    Parameters
    ----------
    images : array_like, shape (n_images, height, width)
        Such as ``GAN.sample(32)``.
    n_columns : int
        Images per row.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **imshow_kwargs
        Passed on to ``ax.imshow``.

    Returns
    -------
    matplotlib.axes.Axes
    """
    check_real("n_columns", n_columns, at_least=1, next_step="Give a whole number.")
    checked = _check_images("images", images)
    ax = _draw_tiles(checked, min(int(n_columns), len(checked)), ax, imshow_kwargs)
    ax.set_yticks([])
    return ax


def _check_images(name: str, images: ArrayLike) -> np.ndarray:
    array = check_real(name, images)
    if array.ndim != 3 or 0 in array.shape:
        raise invalid(
            name, "an array of shape (n_images, height, width)", array.shape, "Choose one channel."
        )
    return array


def _check_length(name: str, array: np.ndarray, places: np.ndarray) -> None:
    if array.shape != (len(places),):
        raise invalid(name, f"one entry for each of the {len(places)} points", array.shape)


def _draw_tiles(
    images: np.ndarray, n_columns: int, ax: Axes | None, options: dict[str, Any]
) -> Axes:
    """Draw images row by row as one picture, with gaps that show the paper."""
    n_rows = -(-len(images) // n_columns)
    height, width = (side + GAP for side in images.shape[1:])
    picture = np.full((n_rows * height - GAP, n_columns * width - GAP), np.nan)
    for k, image in enumerate(images):
        top, left = k // n_columns * height, k % n_columns * width
        picture[top : top + height - GAP, left : left + width - GAP] = image
    ax = get_axes(ax)
    style: dict[str, Any] = {"cmap": "viridis", "interpolation": "nearest"}
    drawn = ax.imshow(picture, **style | options)
    ax.figure.colorbar(drawn, ax=ax)
    ax.set_xticks([])
    return ax
