"""What the plots share: colours, checks, and ON points over a scaled background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import check_real, invalid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, GREY = "#56B4E9", "#7A7A7A"
SERIES: tuple[tuple[str, str, Any], ...] = (
    (ORANGE, "o", "-"),
    (BLUE, "s", "--"),
    (GREEN, "^", "-."),
    (PURPLE, "D", ":"),
    (SKY, "v", (0, (5, 1))),
    ("#e69f00", "P", (0, (3, 1, 1, 1))),
)


def get_axes(ax: Axes | None) -> Axes:
    """Return ``ax``, or axes of a new figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def to_value(value: Any, unit: str) -> Any:
    """Take the number out of a quantity; plain numbers are in ``unit`` already."""
    return value.to_value(unit) if hasattr(value, "to_value") else value


def check_bins(edges: ArrayLike, **heights: ArrayLike) -> tuple[np.ndarray, ...]:
    """Return increasing edges and one finite, non-negative height per bin for each name."""
    limits = check_real("edges", edges)
    if limits.ndim != 1 or limits.size < 2 or np.any(np.diff(limits) <= 0):
        raise invalid("edges", "a list of at least two increasing numbers", edges)
    checked = [limits]
    for name, value in heights.items():
        array = check_real(name, value, at_least=0)
        if array.shape != (limits.size - 1,):
            raise ValueError(
                f"{name} must have one entry for each of the {limits.size - 1} bins, got shape "
                f"{array.shape}. There is one edge more than bins."
            )
        checked.append(array)
    return tuple(checked)


def draw_points(ax: Axes, edges: np.ndarray, counts: np.ndarray, options: dict[str, Any]) -> None:
    """Draw counts at the bin centres with their Poisson errors."""
    style: dict[str, Any] = {"fmt": "o", "color": "black", "ms": 4, "lw": 1.2, "label": "ON"}
    centre = 0.5 * (edges[1:] + edges[:-1])
    ax.errorbar(centre, counts, yerr=np.sqrt(counts), **{**style, **options})


def draw_on_off(
    edges: np.ndarray,
    n_on: np.ndarray,
    background: np.ndarray,
    error: np.ndarray,
    cut: float | None,
    ax: Axes | None,
    options: dict[str, Any],
) -> Axes:
    """Draw ON points over the scaled background and its error band."""
    ax = get_axes(ax)
    ax.stairs(background, edges, fill=True, color=SKY, alpha=0.45, label="OFF, scaled")
    if np.any(error > 0):
        low, high = np.maximum(background - error, 0), background + error
        ax.stairs(high, edges, baseline=low, fill=True, color=BLUE, alpha=0.4)
    draw_points(ax, edges, n_on, options)
    if cut is not None:
        ax.axvline(cut, color=ORANGE, ls="--", lw=1.5, label="cut")
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0, 1.3 * max((n_on + np.sqrt(n_on)).max(), background.max(), 1))
    ax.set_ylabel("events per bin")
    ax.legend(frameon=False, ncols=3, loc="upper right")
    return ax


def put_legend_above(ax: Axes) -> None:
    """Set the legend over the axes, where it covers no point."""
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
