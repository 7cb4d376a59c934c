"""Plots of transits: one folded on its period, and which of the injected ones were found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_real
from ._axes import BLUE, GREY, ORANGE, get_axes, put_legend_above, to_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_transit(
    curve: Any,
    candidate: Any,
    *,
    n_durations: float = 3.0,
    n_bins: int = 40,
    ax: Axes | None = None,
    **plot_kwargs: Any,
) -> Axes:
    """Plot a flat light curve folded on a candidate: points, bins and the fitted trapezoid.

    Parameters
    ----------
    curve : LightCurve
        From `flatten_transits`.
    candidate : Row
        One row of `find_transits`.
    n_durations : float
        Durations to show on either side.
    n_bins : int
        Bins of the mean.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **plot_kwargs
        Passed on to ``ax.plot`` for the points.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> planets = find_transits(curve)  # doctest: +SKIP
    >>> ax = plot_transit(flatten_transits(curve, planets), planets[0])  # doctest: +SKIP
    """
    check_real("n_durations", n_durations, above=0.5)
    check_real("n_bins", n_bins, at_least=2)
    ax = get_axes(ax)
    hours = 24 * (curve.time - candidate["epoch"]).to_value("day")
    period = 24 * to_value(candidate["period"], "day")
    if np.isfinite(period):
        hours = hours - period * np.round(hours / period)
    duration, depth = to_value(candidate["duration"], "hour"), float(candidate["depth"])
    near = (np.abs(hours) < n_durations * duration) & ~np.asarray(curve.mask)
    x, y = hours[near], 1e6 * (to_value(curve.value[near], "") - 1)
    style: dict[str, Any] = {"ls": "", "marker": ".", "ms": 2.5, "color": GREY, "alpha": 0.5,
                             "label": "points"}  # fmt: skip
    ax.plot(x, y, **{**style, **plot_kwargs})
    edges = np.linspace(-n_durations * duration, n_durations * duration, int(n_bins) + 1)
    place = np.digitize(x, edges) - 1
    count = np.bincount(place, minlength=len(edges))[: len(edges) - 1]
    good = count > 1
    total = np.bincount(place, y, len(edges))[: len(edges) - 1]
    square = np.bincount(place, y * y, len(edges))[: len(edges) - 1]
    mean = total[good] / count[good]
    scatter = np.sqrt(np.maximum(square[good] / count[good] - mean**2, 0))
    centre = 0.5 * (edges[1:] + edges[:-1])[good]
    ax.errorbar(centre, mean, scatter / np.sqrt(count[good] - 1), fmt="o", ms=4, lw=1, color=BLUE,
                label="mean")  # fmt: skip
    flat = duration / 2 * (1 - float(candidate["ingress"]))
    corners = np.array([-n_durations * duration, -duration / 2, -flat])
    corners = np.concatenate([corners, -corners[::-1]])
    ax.plot(corners, -1e6 * depth * np.array([0, 0, 1, 1, 0, 0]), color=ORANGE, lw=1.5,
            label="trapezoid")  # fmt: skip
    if len(y):
        reach = max(5 * float(np.median(np.abs(y - np.median(y)))), 3e5 * depth)
        ax.set_ylim(-1e6 * depth - reach, reach)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_xlabel("hours from mid-transit")
    ax.set_ylabel("relative flux - 1 [ppm]")
    put_legend_above(ax)
    return ax


def plot_recovery(recovery: Any, *, ax: Axes | None = None, **mesh_kwargs: Any) -> Axes:
    """Plot which share of injected planets was found, over period and depth.

    Parameters
    ----------
    recovery : Recovery
        From `measure_recovery`.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **mesh_kwargs
        Passed on to ``ax.pcolormesh``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_recovery(measure_recovery(...))  # doctest: +SKIP
    """
    ax = get_axes(ax)
    x, y = np.asarray(recovery.period_edges), np.asarray(recovery.depth_edges)
    share = np.asarray(recovery.share)
    style: dict[str, Any] = {"cmap": "viridis", "vmin": 0, "vmax": 1, "edgecolors": "white",
                             "linewidth": 0.5}  # fmt: skip
    mesh = ax.pcolormesh(x, y, np.ma.masked_invalid(share.T), **{**style, **mesh_kwargs})
    for edges, scale in ((x, ax.set_xscale), (y, ax.set_yscale)):
        if edges[0] > 0 and edges[-1] / edges[0] > 5:
            scale("log")
    middle = [np.sqrt(e[1:] * e[:-1]) if e[0] > 0 else 0.5 * (e[1:] + e[:-1]) for e in (x, y)]
    for row, period in enumerate(middle[0]):
        for column, depth in enumerate(middle[1]):
            if np.isfinite(share[row, column]):
                text = f"{share[row, column]:.0%}\nof {recovery.n_injected[row, column]}"
                colour = "black" if share[row, column] > 0.6 else "white"
                ax.text(period, depth, text, ha="center", va="center", fontsize=8, color=colour)
    ax.figure.colorbar(mesh, ax=ax, label="share recovered")
    ax.set_xlabel("period [d]")
    ax.set_ylabel(recovery.of)
    return ax
