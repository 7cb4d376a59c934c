"""Counts and what follows from them: ON over OFF, scores, runs, selections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import check_choice, check_columns, check_real, check_same_length
from ._axes import (
    GREY,
    ORANGE,
    SERIES,
    SKY,
    check_bins,
    draw_on_off,
    draw_points,
    get_axes,
    put_legend_above,
    to_value,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEW_RUNS = 30  # more and their names no longer fit under the axis


def plot_theta_squared(
    theta_squared_on: ArrayLike,
    theta_squared_off: ArrayLike,
    *,
    alpha: ArrayLike,
    radius: float | None = None,
    bins: int | ArrayLike = 20,
    ax: Axes | None = None,
    **errorbar_kwargs: Any,
) -> Axes:
    """Plot ON and OFF events over the squared distance from the source.

    Background is flat in this variable where the acceptance is, so a source stands out at 0.

    Parameters
    ----------
    theta_squared_on, theta_squared_off : array_like or Quantity, shape (n_on,), (n_off,)
        Squared angular distance of each event from the ON and from its OFF position, deg^2.
    alpha : float or array_like of shape (n_off,)
        ON exposure / OFF exposure, one for all or one for each OFF event.
    radius : float or Quantity, optional
        Radius of the ON region in deg, drawn as a line.
    bins : int or array_like
        Number of bins up to the largest ON value, or their edges in deg^2.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **errorbar_kwargs
        Passed on to ``ax.errorbar``, which draws the ON counts.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> on, off = rng.uniform(0, 0.04, 300), rng.uniform(0, 0.04, 2500)
    >>> ax = plot_theta_squared(on, off, alpha=0.1, radius=0.11)  # doctest: +SKIP
    """
    on = check_real("theta_squared_on", to_value(theta_squared_on, "deg2"), at_least=0)
    off = check_real("theta_squared_off", to_value(theta_squared_off, "deg2"), at_least=0)
    ratio = check_real("alpha", alpha, above=0)
    if ratio.ndim and ratio.shape != off.shape:
        raise ValueError(
            f"alpha must be one number or one for each OFF event, got shape {ratio.shape} for "
            f"{off.size} OFF events. Repeat each run's alpha for its events."
        )
    counted = np.asarray(bins)
    largest = max([*on, *off, 0.0]) if on.size + off.size else 0.0
    edges = (
        np.linspace(0, largest or 1.0, int(counted) + 1)
        if counted.ndim == 0
        else check_real("bins", counted)
    )
    n_on = np.histogram(on, edges)[0]
    which = np.digitize(off, edges) - 1
    which[off == edges[-1]] = len(edges) - 2
    inside = (which >= 0) & (which < len(edges) - 1)
    weights = np.broadcast_to(ratio, off.shape)[inside]
    background = np.bincount(which[inside], weights, len(edges) - 1)
    variance = np.bincount(which[inside], weights**2, len(edges) - 1)
    cut = None if radius is None else float(to_value(radius, "deg")) ** 2
    ax = draw_on_off(edges, n_on, background, np.sqrt(variance), cut, ax, errorbar_kwargs)
    ax.set_xlabel(r"$\theta^2$ [deg$^2$]")
    return ax


def plot_on_off(
    edges: ArrayLike,
    n_on: ArrayLike,
    n_off: ArrayLike,
    *,
    alpha: ArrayLike | None,
    cut: float | None = None,
    label: str = "",
    ax: Axes | None = None,
    **errorbar_kwargs: Any,
) -> Axes:
    """Plot binned ON counts over scaled OFF counts of any variable.

    Parameters
    ----------
    edges : array_like, shape (n_bins + 1,)
        Increasing bin edges.
    n_on, n_off : array_like, shape (n_bins,)
        Counts.
    alpha : float or array_like of shape (n_bins,), or None
        ON exposure / OFF exposure; None when ``n_off`` is scaled already, which leaves its
        error unknown and not drawn.
    cut : float, optional
        Drawn as a line.
    label : str
        Of the horizontal axis, with its unit.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **errorbar_kwargs
        Passed on to ``ax.errorbar``, which draws the ON counts.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_on_off([0, 10, 20], [52, 30], [150, 150], alpha=0.2, cut=10,
    ...                  label="orientation [deg]")  # doctest: +SKIP
    """
    edges, on, off = check_bins(edges, n_on=n_on, n_off=n_off)
    ratio = check_real("alpha", 1.0 if alpha is None else alpha, above=0)
    error = 0 * off if alpha is None else ratio * np.sqrt(off)
    ax = draw_on_off(edges, on, ratio * off, error, cut, ax, errorbar_kwargs)
    ax.set_xlabel(label)
    return ax


def plot_scores(
    edges: ArrayLike,
    n_on: ArrayLike,
    background: ArrayLike,
    *,
    signal: ArrayLike | None = None,
    ax: Axes | None = None,
    **errorbar_kwargs: Any,
) -> Axes:
    """Plot ON counts in bins of a score over the background and, on top of it, the signal.

    Parameters
    ----------
    edges : array_like, shape (n_bins + 1,)
        Increasing edges of the score.
    n_on : array_like, shape (n_bins,)
        ON counts.
    background : array_like, shape (n_bins,)
        Expected background, scaled to the ON exposure.
    signal : array_like, shape (n_bins,), optional
        Predicted signal, drawn on top of the background.
    ax : Axes, optional
        Where to draw; new axes if omitted. Counts are on a logarithmic axis.
    **errorbar_kwargs
        Passed on to ``ax.errorbar``, which draws the ON counts.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_scores([0, 0.5, 1], [900, 60], [890, 20], signal=[30, 35])  # doctest: +SKIP
    """
    edges, on, expected = check_bins(edges, n_on=n_on, background=background)
    ax = get_axes(ax)
    ax.stairs(expected, edges, fill=True, color=GREY, alpha=0.35, label="background from OFF")
    ax.stairs(expected, edges, color=GREY, lw=1)
    if signal is not None:
        _, predicted = check_bins(edges, signal=signal)
        style: dict[str, Any] = {
            "color": ORANGE,
            "lw": 1.8,
            "baseline": None,
            "label": "background + signal",
        }
        ax.stairs(expected + predicted, edges, **style)
    ax.set_yscale("log")
    positive = [*on[on > 0], *expected[expected > 0]] or [1.0]
    ax.set_ylim(0.4 * min(positive), 4 * max(positive))
    ax.set_xlim(edges[0], edges[-1])
    draw_points(ax, edges, on, errorbar_kwargs)
    ax.set_xlabel("score")
    ax.set_ylabel("events per bin")
    ax.legend(frameon=False)
    return ax


def plot_significance_per_run(
    obs_id: Sequence[Any],
    significance: Mapping[str, ArrayLike] | ArrayLike,
    *,
    ax: Axes | None = None,
    **plot_kwargs: Any,
) -> Axes:
    """Plot the significance of every run, for one or several selections.

    Parameters
    ----------
    obs_id : sequence, length n_runs
        Names of the runs.
    significance : mapping of str to array_like, or array_like of shape (n_runs,)
        Signed significance of each run, by the name of the selection.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **plot_kwargs
        Passed on to ``ax.plot``.

    Returns
    -------
    matplotlib.axes.Axes
        Dashed lines in the colour of each selection are at its mean.

    Examples
    --------
    >>> ax = plot_significance_per_run([1, 2], {"box": [1.2, 0.4], "likelihood": [2.0, 1.1]},
    ...                                )  # doctest: +SKIP
    """
    names = [str(name) for name in obs_id]
    series = significance if isinstance(significance, Mapping) else {"": significance}
    ax = get_axes(ax)
    place = np.arange(len(names))
    width = 0.18
    for k, ((name, values), (color, marker, line)) in enumerate(
        zip(series.items(), cycle(SERIES), strict=False)
    ):
        values = check_real(f"significance[{name!r}]", values, finite=False)
        check_same_length(obs_id=names, **{name or "significance": np.atleast_1d(values)})
        mean = float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
        label = f"{name}: mean {mean:.2f}".removeprefix(": ")
        style: dict[str, Any] = {
            "color": color,
            "marker": marker,
            "ls": "",
            "ms": 5,
            "label": label,
        }
        shift = width * (k - (len(series) - 1) / 2)
        ax.plot(place + shift, values, **{**style, **plot_kwargs})
        ax.axhline(mean, color=color, ls=line if line != "-" else "--", lw=1, alpha=0.7)
    ax.axhline(0, color="black", lw=0.8)
    step = 1 + (len(names) - 1) // _FEW_RUNS
    crowded = sum(map(len, names[::step])) > 50
    ax.set_xticks(place[::step], names[::step], rotation=90 if crowded else 0, fontsize=8)
    ax.set_xlim(-0.7, len(names) - 0.3)
    ax.set_xlabel("run")
    ax.set_ylabel(r"significance [$\sigma$]")
    put_legend_above(ax)
    return ax


def plot_gain(
    gain: Any, *, selected: str | None = None, ax: Axes | None = None, **bar_kwargs: Any
) -> Axes:
    """Plot the significance of each selection as a bar.

    Parameters
    ----------
    gain : Table or DetectionGain
        A table with the columns ``selection`` and ``significance`` (as `Reanalysis.table`; with
        ``expected`` and ``expected_sd`` these are drawn as a point with its spread), or a gain,
        which has two bars.
    selected : str, optional
        Name of the selection to set off in colour; the last one if omitted.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **bar_kwargs
        Passed on to ``ax.barh``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from astropy.table import Table
    >>> rows = Table({"selection": ["box", "BDT"], "significance": [5.1, 7.8]})
    >>> ax = plot_gain(rows)  # doctest: +SKIP
    """
    names, values, expected, spread = _read_selections(gain)
    ax = get_axes(ax)
    chosen = names.index(check_choice("selected", selected or names[-1], names))
    colors = [ORANGE if k == chosen else SKY for k in range(len(names))]
    place = np.arange(len(names))[::-1]
    ax.barh(place, values, **{"color": colors, "height": 0.6, **bar_kwargs})
    if np.isfinite(expected).any():
        style: dict[str, Any] = {"fmt": "D", "color": "black", "ms": 4, "capsize": 4, "lw": 1.2}
        ax.errorbar(expected, place, xerr=spread, label="expected, mean and spread", **style)
        ax.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    ends = np.fmax(values, expected + spread)
    low, high = min(0.0, 1.1 * values.min()), max(1.15 * ends.max(), 0.1)
    for y, value, end in zip(place, values, np.maximum(ends, 0), strict=True):
        ax.text(end + 0.012 * (high - low), y, f"{value:.2f}", va="center")
    ax.set_xlim(low, high)
    ax.axvline(0, color="black", lw=0.8)
    ax.set_yticks(place, names)
    ax.set_xlabel(r"significance [$\sigma$]")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def _read_selections(gain: Any) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Names, significances, expectations and their spread; NaN where nothing is expected."""
    if not hasattr(gain, "colnames"):
        found = np.array([gain.baseline.significance, gain.selected.significance], dtype=float)
        return ["baseline", "selected"], found, np.full(2, np.nan), np.full(2, np.nan)
    check_columns(gain.colnames, ("selection", "significance"), where="gain")
    names = [str(name) for name in gain["selection"]]
    values = check_real("significance", np.asarray(gain["significance"]))
    optional = [
        np.asarray(gain[name], dtype=float)
        if name in gain.colnames
        else np.full(len(names), np.nan)
        for name in ("expected", "expected_sd")
    ]
    return names, values, optional[0], np.nan_to_num(optional[1])
