"""Images of the sky: stretched so that faint and bright are seen, and the sources found in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_choice, check_real, invalid
from ._axes import GREY, ORANGE, get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STRETCHES = ("asinh", "linear", "sqrt", "log")
_BACK = "#E6E6E6"  # of masked pixels
_LABELS = {
    "pos.galactic.lon": "galactic longitude", "pos.galactic.lat": "galactic latitude",
    "pos.eq.ra": "right ascension", "pos.eq.dec": "declination",
}  # fmt: skip


def plot_image(
    image: Any,
    *,
    stretch: str = "asinh",
    limits: tuple[float, float] = (1.0, 99.5),
    band: int | None = None,
    ax: Axes | None = None,
    **imshow_kwargs: Any,
) -> Axes:
    """Plot an image of the sky, on celestial axes where it has a WCS.

    Parameters
    ----------
    image : SkyImage or array_like, shape (h, w) or (n_bands, h, w)
        Masked pixels are left grey.
    stretch : {"asinh", "linear", "sqrt", "log"}
        From pixel to shade.
    limits : tuple of float
        Percentiles of the usable pixels that are black and white.
    band : int, optional
        Plane to show; the mean of all if omitted.
    ax : Axes, optional
        Where to draw; ``figure.add_subplot(projection=image.wcs)`` makes celestial ones. New if
        omitted, celestial if the image has a WCS.
    **imshow_kwargs
        Passed on to ``ax.imshow``.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For an unknown stretch, limits that do not rise, or a shape that is none of an image.

    Examples
    --------
    >>> ax = plot_image(np.random.default_rng(1).normal(size=(20, 30)))
    >>> ax.get_xlabel()
    'x [pixel]'
    """
    from astropy.visualization import (
        AsinhStretch,
        ImageNormalize,
        LinearStretch,
        LogStretch,
        SqrtStretch,
    )

    check_choice("stretch", stretch, _STRETCHES)
    low, high = check_real("limits", limits, at_least=0, at_most=100)
    if not low < high:
        raise invalid("limits", "two rising percentiles", limits)
    data, bad = _read_plane(image, band)
    wcs = getattr(image, "wcs", None)
    if ax is None and wcs is not None:
        from matplotlib import pyplot

        ax = pyplot.figure(layout="constrained").add_subplot(projection=wcs)
    ax = get_axes(ax)
    used = data[~bad]
    ends = np.percentile(used, [low, high]) if used.size else np.array([0.0, 1.0])
    makers: dict[str, Any] = {
        "asinh": lambda: AsinhStretch(0.1), "linear": LinearStretch,
        "sqrt": SqrtStretch, "log": LogStretch,
    }  # fmt: skip
    top = ends[1] if ends[1] > ends[0] else ends[0] + 1.0
    norm = ImageNormalize(vmin=ends[0], vmax=top, stretch=makers[stretch](), clip=False)
    style: dict[str, Any] = {
        "origin": "lower", "cmap": "gray", "norm": norm, "interpolation": "nearest",
    }  # fmt: skip
    ax.imshow(np.ma.array(data, mask=bad), **{**style, **imshow_kwargs})
    ax.set_facecolor(_BACK)
    _name_axes(ax)
    return ax


def plot_segmentation(
    image: Any,
    detection: Any,
    *,
    significance: float | None = None,
    ax: Axes | None = None,
    **imshow_kwargs: Any,
) -> Axes:
    """Plot an image with the outline of every source that was found in it.

    Parameters
    ----------
    image : SkyImage or array_like
        As for `plot_image`.
    detection : Detection
        From `find_segments`, or whatever has ``sources`` and ``segmentation``.
    significance : float, optional
        Sources below it after trials are outlined in grey and dashed.
    ax : Axes, optional
        As for `plot_image`.
    **imshow_kwargs
        Passed on to `plot_image`.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        For a segmentation that is not of the shape of the image.

    Examples
    --------
    >>> ax = plot_segmentation(image, find_segments(image))  # doctest: +SKIP
    """
    labels = np.asarray(detection.segmentation)
    shape = np.shape(getattr(image, "data", image))[-2:]
    if labels.shape != shape:
        raise invalid("detection", f"of the shape of the image {shape}", labels.shape)
    ax = plot_image(image, ax=ax, **imshow_kwargs)
    strong = np.ones(len(detection.sources), dtype=bool)
    if significance is not None:
        strong = np.asarray(detection.sources["significance_post_trial"]) >= significance
    number = np.asarray(detection.sources["id"])
    for chosen, colour, style in ((strong, ORANGE, "-"), (~strong, GREY, "--")):
        edges = _find_edges(np.where(np.isin(labels, number[chosen]), labels, 0))
        if edges.size:
            from matplotlib.collections import LineCollection

            lines = LineCollection(list(edges), colors=colour, linewidths=0.8, linestyles=style)
            ax.add_collection(lines, autolim=False)
    name = "1 source" if len(strong) == 1 else f"{len(strong)} sources"
    if significance is not None:
        name += f", {int(strong.sum())} of at least {significance:g} sigma after trials"
    ax.set_title(name, fontsize="medium")
    return ax


def _read_plane(image: Any, band: int | None) -> tuple[np.ndarray, np.ndarray]:
    data = np.asarray(getattr(image, "data", image), dtype=float)
    if data.ndim not in (2, 3) or 0 in data.shape:
        raise invalid("image", "of shape (h, w) or (n_bands, h, w)", data.shape)
    bad = ~np.isfinite(data)
    if hasattr(image, "mask") and np.shape(image.mask) == data.shape:
        bad = bad | np.asarray(image.mask)
    if data.ndim == 3:
        if band is not None and not 0 <= band < len(data):
            raise invalid("band", f"a number below {len(data)}", band)
        bad = bad.any(axis=0) if band is None else bad[band]
        data = data.mean(axis=0) if band is None else data[band]
    return data, bad


def _name_axes(ax: Axes) -> None:
    if hasattr(ax, "coords"):
        for axis in (ax.coords[0], ax.coords[1]):
            label = str(axis.default_label)
            axis.set_axislabel(_LABELS.get(label, label))
        return
    ax.set_xlabel("x [pixel]")
    ax.set_ylabel("y [pixel]")


def _find_edges(labels: np.ndarray) -> np.ndarray:
    """Sides of pixels between one label and another, shape (n, 2 ends, 2), x before y."""
    padded = np.pad(labels, 1)
    row, column = np.nonzero(padded[:, 1:] != padded[:, :-1])
    upright = np.stack([np.column_stack([column - 0.5, row - 1.5]),
                        np.column_stack([column - 0.5, row - 0.5])], axis=1)  # fmt: skip
    row, column = np.nonzero(padded[1:] != padded[:-1])
    flat = np.stack([np.column_stack([column - 1.5, row - 0.5]),
                     np.column_stack([column - 0.5, row - 0.5])], axis=1)  # fmt: skip
    return np.concatenate([upright, flat])
