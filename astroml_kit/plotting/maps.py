"""Sky maps: significance over the sky, and its distribution where no source is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_columns, check_real, invalid
from ._axes import BLUE, GREY, ORANGE, get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BACK = "#E6E6E6"  # of pixels that are NaN, told apart from 0 sigma


def plot_significance_map(
    significance_map: Any,
    *,
    image: str = "significance",
    sources: Any = None,
    labels: Iterable[str] | None = None,
    limits: tuple[float, float] = (-5.0, 10.0),
    ax: Axes | None = None,
    **imshow_kwargs: Any,
) -> Axes:
    """Plot the significance of every pixel, what was excluded from OFF, and the sources.

    Parameters
    ----------
    significance_map : SignificanceMap
        From `map_significance`; whatever has ``wcs``, ``exclusion`` and the image will do.
    image : str
        Attribute to show: ``significance``, ``significance_outside``, ``excess``, ...
    sources : QTable, optional
        From `find_sources`, or any table with ``ra`` and ``dec``; drawn as crosses.
    labels : iterable of str, optional
        One text for each source.
    limits : tuple of float
        Values at the ends of the colours; white is at 0 for significances.
    ax : WCSAxes, optional
        Where to draw: ``figure.add_subplot(projection=significance_map.wcs)``; new if omitted.
    **imshow_kwargs
        Passed on to ``ax.imshow``.

    Returns
    -------
    astropy.visualization.wcsaxes.WCSAxes

    Examples
    --------
    >>> ax = plot_significance_map(result, sources=find_sources(result))  # doctest: +SKIP
    """
    low, high = check_real("limits", limits)
    if not low < high:
        raise invalid("limits", "two rising numbers", limits)
    names = None if labels is None else [str(label) for label in labels]
    if sources is not None:
        check_columns(sources.colnames, ("ra", "dec"), where="sources")
        if names is not None and len(names) != len(sources):
            raise invalid("labels", f"one for each of the {len(sources)} sources", len(names))
    elif names is not None:
        raise invalid("labels", "given with sources", names, "Pass sources= as well.")
    if ax is None:
        from matplotlib import pyplot

        figure = pyplot.figure(layout="constrained")
        ax = figure.add_subplot(projection=significance_map.wcs)
    if not hasattr(ax, "get_transform") or not hasattr(ax, "coords"):
        raise TypeError(
            "ax must be a WCSAxes, got plain axes. "
            "Write figure.add_subplot(projection=significance_map.wcs)."
        )
    values = getattr(significance_map, image)
    signed = low < 0 < high and image.startswith("significance")
    style: dict[str, Any] = {
        "origin": "lower",
        "interpolation": "nearest",
        **_make_colours(low, high, signed),
    }
    shown = ax.imshow(values, **{**style, **imshow_kwargs})
    ax.set_facecolor(_BACK)
    if np.any(significance_map.exclusion):
        edges: dict[str, Any] = {
            "levels": [0.5],
            "colors": "black",
            "linewidths": 0.8,
            "linestyles": "--",
        }
        ax.contour(significance_map.exclusion.astype(float), **edges)
    if sources is not None and len(sources):
        _draw_sources(ax, sources, names)
    name = image.replace("_", " ")
    bar = ax.figure.colorbar(shown, ax=ax, shrink=0.85)
    bar.set_label(rf"{name} [$\sigma$]" if image.startswith("significance") else name)
    ax.set_xlabel("right ascension")
    ax.set_ylabel("declination")
    return ax


def plot_significance_distribution(
    significance_map: Any, *, bin_width: float = 0.25, ax: Axes | None = None, **stairs_kwargs: Any
) -> Axes:
    """Plot how often each significance occurs, in all pixels and outside the excluded regions.

    Parameters
    ----------
    significance_map : SignificanceMap
        From `map_significance`.
    bin_width : float
        In sigma.
    ax : Axes, optional
        Where to draw; new axes if omitted. Numbers of pixels are on a logarithmic axis.
    **stairs_kwargs
        Passed on to ``ax.stairs`` that draws the pixels outside the excluded regions.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_significance_distribution(result)  # doctest: +SKIP
    """
    width = float(check_real("bin_width", bin_width, above=0))
    everywhere = significance_map.significance
    everywhere = everywhere[np.isfinite(everywhere)]
    outside = significance_map.significance_outside
    outside = outside[np.isfinite(outside)]
    if not everywhere.size:
        raise invalid("significance_map", "finite in some pixels", "none")
    # a bin has its centre at 0, so that the histogram is symmetric where the null is
    first = np.floor(min(everywhere.min(), -4.0) / width) - 0.5
    last = np.ceil(max(everywhere.max(), 4.0) / width) + 0.5
    edges = width * np.arange(first, last + 1)
    ax = get_axes(ax)
    ax.stairs(np.histogram(everywhere, edges)[0], edges, color=GREY, lw=1.2, label="all pixels")
    style: dict[str, Any] = {"fill": True, "color": BLUE, "alpha": 0.45}
    ax.stairs(
        np.histogram(outside, edges)[0],
        edges,
        **{**style, "label": "outside exclusions", **stairs_kwargs},
    )
    fit = significance_map.null_fit
    if fit.n_pixels:
        x = np.linspace(edges[0], edges[-1], 600)
        scale = width * outside.size / np.sqrt(2 * np.pi)
        text = f"fit: mean {fit.mean:+.2f}, width {fit.width:.2f}"
        fitted = scale / fit.width * np.exp(-0.5 * ((x - fit.mean) / fit.width) ** 2)
        ax.plot(x, fitted, color=ORANGE, lw=1.8, label=text)
        ax.plot(x, scale * np.exp(-0.5 * x**2), "k--", lw=1.0, label="standard normal")
    ax.set_yscale("log")
    ax.set_ylim(0.5, 5 * max(np.histogram(everywhere, edges)[0].max(), 1))
    ax.set_xlim(edges[0], edges[-1])
    ax.set_xlabel(r"significance [$\sigma$]")
    ax.set_ylabel("pixels per bin")
    ax.legend(frameon=False, loc="upper right", fontsize="small")
    return ax


def _make_colours(low: float, high: float, signed: bool) -> dict[str, Any]:
    """Return colours and their limits: white at 0 where values have a sign that matters."""
    if not signed:
        return {"cmap": "viridis", "vmin": low, "vmax": high}
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    # as much colour for -3 as for +3, also where the limits are not symmetric
    values = np.linspace(low, high, 256)
    colours = colormaps["RdBu_r"](0.5 + 0.5 * values / max(-low, high))
    return {"cmap": ListedColormap(colours), "vmin": low, "vmax": high}


def _draw_sources(ax: Any, sources: Any, names: list[str] | None) -> None:
    """Mark the sources with crosses and, if there are any, names."""
    ra, dec = (np.asarray(sources[name].to_value("deg")) for name in ("ra", "dec"))
    world = ax.get_transform("icrs")
    ax.scatter(ra, dec, transform=world, marker="+", s=90, color="black", lw=1.3)
    for name, x, y in zip(names or (), ra, dec, strict=True):
        ax.annotate(
            name, (x, y), xycoords=world, xytext=(7, 7), textcoords="offset points", fontsize=9
        )
