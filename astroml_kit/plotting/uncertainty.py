"""Whether uncertainties hold: the share of truths covered against the share that was promised."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import check_real, check_same_length
from ._axes import GREY, SERIES, get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_coverage(
    nominal: Any,
    coverage: ArrayLike | None = None,
    *,
    error: ArrayLike | None = None,
    label: str | None = None,
    ax: Axes | None = None,
    **errorbar_kwargs: Any,
) -> Axes:
    """Plot the share of truths that intervals or sets cover against the share they promise.

    Points below the diagonal promise too much. Repeat with the same ``ax`` to compare models.

    Parameters
    ----------
    nominal : array_like of float, or results of `evaluate_intervals` or `evaluate_sets`
        Promised coverage; or one result, or a list of results, at different promises.
    coverage : array_like of float, shape (n_levels,), optional
        Observed coverage; left out when results are given.
    error : array_like of float, shape (n_levels,), optional
        Standard deviation of ``coverage``; taken from results.
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
    >>> ax = plot_coverage([0.5, 0.8, 0.9], [0.52, 0.79, 0.91], error=[0.02, 0.02, 0.01],
    ...                    label="conformal")  # doctest: +SKIP
    """
    if coverage is None:
        nominal, coverage, error = _read_results(nominal)
    bounds: dict[str, Any] = {"at_least": 0, "at_most": 1}
    promised = np.atleast_1d(check_real("nominal", nominal, **bounds))
    seen = np.atleast_1d(check_real("coverage", coverage, **bounds))
    bars = None if error is None else np.atleast_1d(check_real("error", error, at_least=0))
    check_same_length(nominal=promised, coverage=seen, error=bars)
    order = np.argsort(promised, kind="stable")
    ax = get_axes(ax)
    if not ax.lines:
        ax.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1, label="as promised")
    color, marker, line = SERIES[len(ax.containers) % len(SERIES)]
    style: dict[str, Any] = {"color": color, "marker": marker, "ls": line, "ms": 5, "lw": 1.2,
                             "label": label}  # fmt: skip
    bars = None if bars is None else bars[order]
    ax.errorbar(promised[order], seen[order], yerr=bars, **{**style, **errorbar_kwargs})
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="promised coverage", ylabel="observed coverage")
    ax.set_aspect("equal")
    ax.legend(frameon=False, loc="upper left")
    return ax


def _read_results(results: Any) -> tuple[list[float], list[float], list[float]]:
    """Promise, observation and its error from one evaluation or several."""
    several = list(results) if isinstance(results, Iterable) else [results]
    names = ("nominal", "coverage", "error")
    if not several or not all(hasattr(one, name) for one in several for name in names):
        raise ValueError(
            f"coverage must be given with nominal numbers, got none and {type(results).__name__}. "
            "Or give results of evaluate_intervals or evaluate_sets."
        )
    promised, seen, bars = ([getattr(one, name) for one in several] for name in names)
    return promised, seen, bars
