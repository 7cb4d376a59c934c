"""Photometric redshifts: against the truth, whether their distributions hold, and where not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import check_choice, check_real, check_same_length, invalid
from ._axes import GREY, SERIES, get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OUTLIER = 0.05  # |dz| / (1 + z)
LABELS = {
    "bias": r"bias, median $\Delta z / (1 + z)$", "sigma_nmad": r"$\sigma_{\rm NMAD}$",
    "outliers_05": r"share with $|\Delta z| / (1 + z) > 0.05$",
    "outliers_15": r"share with $|\Delta z| / (1 + z) > 0.15$",
    "coverage": "coverage of intervals", "width": "mean width of intervals", "crps": "CRPS",
}  # fmt: skip


def plot_redshifts(
    z_true: ArrayLike,
    z_pred: ArrayLike,
    *,
    n_cells: int = 60,
    ax: Axes | None = None,
    **hexbin_kwargs: Any,
) -> Axes:
    """Plot photometric against spectroscopic redshifts, as density.

    Dotted lines are 0.05 (1 + z) away from the diagonal. The axes end where 99.8 % of the sources
    do; how many lie beyond is said.

    Parameters
    ----------
    z_true, z_pred : array_like of float, shape (n_sources,)
        Spectroscopic and photometric redshifts.
    n_cells : int
        Cells along each axis.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **hexbin_kwargs
        Passed on to ``ax.hexbin``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_redshifts([0.1, 0.2, 0.3], [0.11, 0.18, 0.3])  # doctest: +SKIP
    """
    z, estimate = check_real("z_true", z_true), check_real("z_pred", z_pred)
    if z.ndim != 1 or not len(z):
        raise invalid("z_true", "one number per source, at least one", z_true)
    check_same_length(z_true=z, z_pred=estimate)
    both = np.concatenate([z, estimate])
    low, high = np.quantile(both, [0.001, 0.999])
    margin = 0.03 * (high - low) + 1e-3
    low, high = low - margin, high + margin
    ax = get_axes(ax)
    style: dict[str, Any] = {"gridsize": int(n_cells), "extent": (low, high, low, high),
                             "bins": "log", "mincnt": 1, "cmap": "viridis", "lw": 0}  # fmt: skip
    cells = ax.hexbin(z, estimate, **{**style, **hexbin_kwargs})
    ax.figure.colorbar(cells, ax=ax, label="sources per cell")
    line = np.array([low, high])
    ax.plot(line, line, color="black", lw=0.8)
    for sign in (-1, 1):
        ax.plot(line, line + sign * OUTLIER * (1 + line), color="black", lw=0.8, ls=":")
    beyond = int(np.sum((z < low) | (z > high) | (estimate < low) | (estimate > high)))
    if beyond:
        ax.text(0.97, 0.03, f"{beyond} beyond the axes", transform=ax.transAxes, ha="right",
                va="bottom", fontsize="small")  # fmt: skip
    ax.set(xlim=(low, high), ylim=(low, high), xlabel="spectroscopic redshift",
           ylabel="photometric redshift")  # fmt: skip
    ax.set_aspect("equal")
    return ax


def plot_pit(result: Any, *, ax: Axes | None = None, **step_kwargs: Any) -> Axes:
    """Plot how often the truth lies at each level of its distribution: even, if they hold.

    A heap at both ends says that distributions are too narrow, a heap in the middle that they are
    too wide, a slope that they are biased. Grey is where 95 of 100 even bins would lie. Repeat
    with the same ``ax`` to compare.

    Parameters
    ----------
    result : RedshiftEvaluation, or array_like of int, shape (n_bins,)
        With a PIT; or sources per bin.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **step_kwargs
        Passed on to ``ax.stairs``, such as ``label``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_pit([98, 103, 101, 99], label="calibrated")  # doctest: +SKIP
    """
    counts = check_real("pit_counts", getattr(result, "pit_counts", result), at_least=0)
    if counts.ndim != 1 or not counts.sum() > 0:
        raise invalid("result", "the counts of a PIT", counts, "Evaluate with pit or quantiles.")
    n_bins, total = len(counts), counts.sum()
    ax = get_axes(ax)
    if not ax.patches:
        error = 1.96 * np.sqrt((n_bins - 1) / total)
        ax.axhspan(1 - error, 1 + error, color=GREY, alpha=0.3, lw=0)
        ax.axhline(1, color=GREY, ls=":", lw=1)
    color, _, line = SERIES[sum(hasattr(p, "get_data") for p in ax.patches) % len(SERIES)]
    style: dict[str, Any] = {"color": color, "ls": line, "lw": 1.5}
    ax.stairs(counts * n_bins / total, np.linspace(0, 1, n_bins + 1), **{**style, **step_kwargs})
    top = max(1.2, ax.get_ylim()[1], 1.1 * float((counts * n_bins / total).max()))
    ax.set(xlim=(0, 1), ylim=(0, top), xlabel="level of the truth in its distribution (PIT)",
           ylabel="sources over expected")  # fmt: skip
    if "label" in step_kwargs:
        ax.legend(frameon=False)
    return ax


def plot_redshift_bins(
    table: Any,
    *,
    measure: str = "sigma_nmad",
    xlabel: str = "magnitude",
    label: str | None = None,
    ax: Axes | None = None,
    **errorbar_kwargs: Any,
) -> Axes:
    """Plot a measure of photometric redshifts in bins, of magnitude or redshift.

    Repeat with the same ``ax`` to compare models.

    Parameters
    ----------
    table : QTable
        ``by_magnitude`` or ``by_redshift`` of `RedshiftEvaluation`.
    measure : str
        A column of it: "sigma_nmad", "bias", "outliers_05", "outliers_15", "coverage", "width",
        "crps".
    xlabel : str
        What the bins are of.
    label : str, optional
        For the legend.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **errorbar_kwargs
        Passed on to ``ax.errorbar``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_redshift_bins(result.by_magnitude, measure="bias")  # doctest: +SKIP
    """
    check_choice("measure", measure, LABELS)
    if not len(table):
        raise invalid("table", "with bins", "no rows", "Evaluate with magnitude=...")
    low, high, values = (np.asarray(table[name], float) for name in ("low", "high", measure))
    ax = get_axes(ax)
    color, marker, line = SERIES[len(ax.containers) % len(SERIES)]
    centre = 0.5 * (low + high)
    style: dict[str, Any] = {"color": color, "marker": marker, "ls": line, "ms": 5, "lw": 1.2,
                             "label": label}  # fmt: skip
    ax.errorbar(centre, values, xerr=0.5 * (high - low), **{**style, **errorbar_kwargs})
    if measure == "bias" and len(ax.containers) == 1:
        ax.axhline(0, color=GREY, ls=":", lw=1)
    ax.set(xlabel=xlabel, ylabel=LABELS[measure])
    if label is not None:
        ax.legend(frameon=False)
    return ax


def plot_redshift_intervals(
    z_true: ArrayLike,
    z_pred: ArrayLike,
    intervals: ArrayLike,
    *,
    n_shown: int = 60,
    rng: Any = None,
    ax: Axes | None = None,
    **errorbar_kwargs: Any,
) -> Axes:
    """Plot intervals of some sources, in the order of their estimates, with the truth.

    Parameters
    ----------
    z_true, z_pred : array_like of float, shape (n_sources,)
        Spectroscopic redshifts and estimates.
    intervals : array_like of float, shape (n_sources, 2)
        Lower and upper ends.
    n_shown : int
        Sources, drawn at random.
    rng : Generator, int or None
        For the choice; the same sources without it.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **errorbar_kwargs
        Passed on to ``ax.errorbar``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_redshift_intervals([0.1, 0.3], [0.12, 0.2],
    ...                              [[0.08, 0.15], [0.1, 0.25]])  # doctest: +SKIP
    """
    z, estimate = check_real("z_true", z_true), check_real("z_pred", z_pred)
    ends = check_real("intervals", intervals)
    if ends.ndim != 2 or ends.shape[1] != 2 or not len(ends):
        raise invalid("intervals", "a lower and an upper end per source", intervals)
    check_same_length(z_true=z, z_pred=estimate, intervals=ends)
    rng = np.random.default_rng(0 if rng is None else rng)
    shown = rng.permutation(len(z))[: int(n_shown)]
    shown = shown[np.argsort(estimate[shown], kind="stable")]
    z, estimate, (low, high) = z[shown], estimate[shown], ends[shown].T
    inside = (low <= z) & (z <= high)
    ax = get_axes(ax)
    place = np.arange(len(shown))
    middle = 0.5 * (low + high)
    style: dict[str, Any] = {"color": GREY, "ls": "none", "lw": 2.5, "label": "interval"}
    ax.errorbar(place, middle, yerr=0.5 * (high - low), **{**style, **errorbar_kwargs})
    ax.plot(place, estimate, color="black", marker="_", ls="none", ms=4, label="estimate")
    for mask, (color, marker, _), text in (
        (inside, SERIES[0], "truth, inside"), (~inside, SERIES[1], "truth, outside"),
    ):  # fmt: skip
        ax.plot(place[mask], z[mask], color=color, marker=marker, ls="none", ms=4, label=text)
    ax.set(xlabel="sources, by estimate", ylabel="redshift", xticks=[])
    ax.legend(frameon=False)
    return ax
