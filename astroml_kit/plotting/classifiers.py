"""What a classifier does to its classes: ROC, reliability, and which it takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import check_columns, check_counts, check_real, check_same_length
from ._axes import GREY, SERIES, get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROUNDING = 1e-9  # of shares that come from sums of floating-point numbers


def plot_roc(
    background: Any,
    signal: ArrayLike | None = None,
    *,
    label: str | None = None,
    ax: Axes | None = None,
    **plot_kwargs: Any,
) -> Axes:
    """Plot signal efficiency against background acceptance, the latter on a logarithmic axis.

    Parameters
    ----------
    background : array_like of shape (n,), or the result of `evaluate_classifier`
        Share of the background that is kept, 0 to 1; or a result, whose ``roc`` is drawn.
    signal : array_like of shape (n,), optional
        Share of the signal that is kept; left out when a result is given.
    label : str, optional
        For the legend.
    ax : Axes, optional
        Where to draw; call again with the same axes to compare curves.
    **plot_kwargs
        Passed on to ``ax.plot``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_roc([0, 0.01, 0.1, 1], [0, 0.4, 0.8, 1], label="BDT")  # doctest: +SKIP
    """
    if signal is None:
        background, signal = _read_roc(background)
    kept = check_real("background", background, at_least=0, at_most=1 + ROUNDING)
    found = check_real("signal", signal, at_least=0, at_most=1 + ROUNDING)
    check_same_length(background=kept, signal=found)
    ax = get_axes(ax)
    new = not ax.lines
    # the second line of an axis is that of no separation
    color, _, line = SERIES[max(len(ax.lines) - 1, 0) % len(SERIES)]
    style: dict[str, Any] = {"color": color, "ls": line, "lw": 2, "label": label}
    positive = kept[kept > 0]
    lowest = max(positive.min(), 1e-6) if positive.size else 1e-3
    ax.plot(np.maximum(kept, lowest / 10), found, **{**style, **plot_kwargs})
    if new:
        chance = np.geomspace(1e-6, 1, 200)
        ax.plot(chance, chance, color=GREY, ls=":", lw=1, label="no separation")
        ax.set_xscale("log")
        ax.set_ylim(0, 1.02)
        ax.set_xlabel("background acceptance")
        ax.set_ylabel("signal efficiency")
        ax.grid(alpha=0.25)
    ax.set_xlim(min(lowest, 0.1 if new else ax.get_xlim()[0]), 1)
    ax.legend(frameon=False, loc="upper left")
    return ax


def plot_reliability(
    predicted: Any,
    observed: ArrayLike | None = None,
    *,
    counts: ArrayLike | None = None,
    label: str | None = None,
    ax: Axes | None = None,
    **errorbar_kwargs: Any,
) -> Axes:
    """Plot the observed share of signal against the predicted probability.

    Parameters
    ----------
    predicted : array_like of shape (n_bins,), or the result of `evaluate_classifier`
        Mean predicted probability in each bin; or a result, whose ``reliability`` is drawn.
    observed : array_like of shape (n_bins,), optional
        Share of signal in each bin; left out when a result is given.
    counts : array_like of int, shape (n_bins,), optional
        Events in each bin, for binomial error bars; bins without events are left out.
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
    >>> ax = plot_reliability([0.1, 0.5, 0.9], [0.12, 0.46, 0.93], counts=[90, 80, 99],
    ...                       )  # doctest: +SKIP
    """
    if observed is None:
        predicted, observed, counts = _read_reliability(predicted)
    p = check_real("predicted", predicted, finite=False)
    seen = check_real("observed", observed, finite=False)
    check_same_length(predicted=p, observed=seen, counts=counts)
    ax = get_axes(ax)
    good = np.isfinite(p) & np.isfinite(seen)
    error = None
    if counts is not None:
        n = check_counts("counts", counts)
        good &= n > 0
        error = _find_binomial_errors(seen[good], n[good])
    new = not ax.lines
    if new:
        ax.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1, label="calibrated")
    color, marker, line = SERIES[len(ax.containers) % len(SERIES)]
    style: dict[str, Any] = {
        "color": color,
        "marker": marker,
        "ls": line,
        "ms": 5,
        "lw": 1.2,
        "label": label,
    }
    ax.errorbar(p[good], seen[good], yerr=error, **{**style, **errorbar_kwargs})
    ax.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="predicted probability", ylabel="observed share")
    ax.set_aspect("equal")
    ax.legend(frameon=False, loc="upper left")
    return ax


def plot_confusion(
    truth: ArrayLike,
    predicted: ArrayLike,
    *,
    classes: Sequence[Any] | None = None,
    ax: Axes | None = None,
    **image_kwargs: Any,
) -> Axes:
    """Plot how many samples of each class are taken for which, and the share of their class.

    Parameters
    ----------
    truth, predicted : array_like, shape (n_samples,)
        Labels.
    classes : sequence, optional
        In the order to show; names of the labels 0, 1, ... where labels are numbers and these are
        not. All labels there are, sorted, without it.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **image_kwargs
        Passed on to ``ax.imshow``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_confusion([0, 0, 1, 1], [0, 1, 1, 1], classes=["RR", "EA"])  # doctest: +SKIP
    """
    counts, names = _count_confusion(np.asarray(truth), np.asarray(predicted), classes)
    total = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(total, 1)
    ax = get_axes(ax)
    n = len(names)
    style: dict[str, Any] = {"cmap": "Blues", "vmin": 0, "vmax": 1}
    image = ax.imshow(share, **{**style, **image_kwargs})
    size = float(np.clip(60 / n, 5, 10))
    for row, column in np.ndindex(n, n):
        if counts[row, column]:
            text = f"{share[row, column]:.2f}\n{counts[row, column]}"
            color = "white" if share[row, column] > 0.55 else "black"
            ax.text(column, row, text, ha="center", va="center", fontsize=size, color=color)
    ax.set_xticks(range(n), names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(n), [f"{name} ({k})" for name, k in zip(names, total[:, 0], strict=True)])
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class (samples)")
    ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.04, label="share of the true class")
    return ax


def _count_confusion(
    truth: np.ndarray, predicted: np.ndarray, classes: Sequence[Any] | None
) -> tuple[np.ndarray, list[str]]:
    """Counts of shape (true, predicted), and the name of each class."""
    check_same_length(truth=truth, predicted=predicted)
    seen = np.unique(np.concatenate([np.unique(truth), np.unique(predicted)]))
    labels = seen if classes is None else np.asarray(list(classes))
    names = [str(label) for label in labels.tolist()]
    if seen.dtype.kind in "iub" and labels.dtype.kind not in "iub":
        labels = np.arange(len(names))
    unknown = np.setdiff1d(seen, labels)
    if len(unknown) or not len(labels):
        raise ValueError(
            f"classes must name every label, got {names} and the labels {unknown.tolist()}. "
            "Add them, or select the samples."
        )
    order = np.argsort(labels, kind="stable")
    place = [order[np.searchsorted(labels[order], part)] for part in (truth, predicted)]
    counts = np.zeros((len(labels), len(labels)), dtype=int)
    np.add.at(counts, tuple(place), 1)
    return counts, names


def _find_binomial_errors(share: np.ndarray, n: np.ndarray) -> np.ndarray:
    """68 % Wilson score interval (1927), below and above; it does not vanish at 0 and 1."""
    middle = (share + 0.5 / n) / (1 + 1 / n)
    half = np.sqrt(share * (1 - share) / n + 0.25 / n**2) / (1 + 1 / n)
    return np.maximum(np.stack([share - (middle - half), middle + half - share]), 0)


def _read_roc(result: Any) -> tuple[np.ndarray, np.ndarray]:
    """Shares kept, from an evaluation or from its ``roc`` table."""
    table = getattr(result, "roc", result)
    check_columns(getattr(table, "colnames", ()), ("background", "signal"), where="roc")
    return np.asarray(table["background"]), np.asarray(table["signal"])


def _read_reliability(result: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, observation and counts, from an evaluation or its ``reliability`` table."""
    table = getattr(result, "reliability", result)
    check_columns(getattr(table, "colnames", ()), ("score", "fraction", "n"), where="reliability")
    score, fraction, n = (np.asarray(table[name]) for name in ("score", "fraction", "n"))
    return score, fraction, n
