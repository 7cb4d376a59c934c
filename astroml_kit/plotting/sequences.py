"""Series, where a network looked in them, and how it thinks that they go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import check_real
from ._axes import BLUE, GREY, ORANGE, get_axes, put_legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BANDS = ((0.05, 0.95), (0.25, 0.75))
LARGEST = 160.0  # area of the point that counts most [points^2]


def plot_attention(
    series: ArrayLike,
    weights: ArrayLike,
    *,
    time_column: int | None = 0,
    value_column: int = 1,
    ax: Axes | None = None,
    **scatter_kwargs: Any,
) -> Axes:
    """Plot one series with points as dark and as large as the steps count.

    Weights are shown as multiples of an even share: 1 means that a step counts no more than
    any other.

    Parameters
    ----------
    series : array_like, shape (n_steps, n_columns)
        What was given to `SequenceClassifier.predict_attention`, without padding.
    weights : array_like, shape (n_steps,)
        What it returned for this series, adding up to one.
    time_column : int or None
        Column of the time; None counts the steps.
    value_column : int
        Column to draw.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **scatter_kwargs
        Passed on to ``ax.scatter``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_attention([[0, 1.0], [1, 3.0], [2, 1.0]], [0.2, 0.7, 0.1])  # doctest: +SKIP
    """
    time, value = _take_columns(series, time_column, value_column)
    share = check_real("weights", weights, at_least=0)
    if share.shape != time.shape:
        raise ValueError(
            f"weights must have one entry for each of the {len(time)} steps, got shape "
            f"{share.shape}. Leave padding out."
        )
    if not np.isclose(share.sum(), 1, atol=1e-3):
        raise ValueError(f"weights must add up to one, got {share.sum():g}.")
    ax = get_axes(ax)
    ax.plot(time, value, color=GREY, lw=0.8, zorder=1)
    relative = share * len(share)
    style: dict[str, Any] = {
        "c": relative,
        "s": 12 + (LARGEST - 12) * share / share.max(),
        "cmap": "viridis_r",
        "vmin": 0,
        "edgecolors": "black",
        "linewidths": 0.4,
        "zorder": 2,
    }
    points = ax.scatter(time, value, **{**style, **scatter_kwargs})
    ax.figure.colorbar(points, ax=ax, label="weight / even share")
    ax.set_xlabel("step" if time_column is None else "time")
    ax.set_ylabel("value")
    return ax


def plot_forecast(
    series: ArrayLike,
    forecast: Any,
    *,
    number: int = 0,
    truth: ArrayLike | None = None,
    time_column: int | None = 0,
    value_column: int = 1,
    ax: Axes | None = None,
    **plot_kwargs: Any,
) -> Axes:
    """Plot one series and the distribution of what follows: median, 50 % and 90 %.

    Parameters
    ----------
    series : array_like, shape (n_steps, n_columns)
        What the forecast started from.
    forecast : Forecast
        As `SequenceForecaster.predict_distribution` returns it.
    number : int
        Which series of the forecast this is.
    truth : array_like, shape (n_ahead,), optional
        What happened.
    time_column : int or None
        Column of the time; None counts the steps.
    value_column : int
        Column that was predicted.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **plot_kwargs
        Passed on to ``ax.plot`` for the median.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> forecast = model.predict_distribution(X)  # doctest: +SKIP
    >>> ax = plot_forecast(X[3], forecast, number=3)  # doctest: +SKIP
    """
    time, value = _take_columns(series, time_column, value_column)
    if not (hasattr(forecast, "times") and hasattr(forecast, "compute_quantiles")):
        raise ValueError(
            f"forecast must be a Forecast, got {type(forecast).__name__}. "
            "Take it from predict_distribution."
        )
    if not 0 <= number < len(forecast.times):
        raise ValueError(
            f"number must be one of the {len(forecast.times)} series of the forecast, counted "
            f"from 0, got {number}."
        )
    when = np.asarray(forecast.times[number])
    if when[0] <= time[-1]:
        raise ValueError(
            f"forecast must begin after the series, which ends at {time[-1]:g}, got {when[0]:g}. "
            "Give the series that it started from."
        )
    ax = get_axes(ax)
    ax.plot(time, value, color=GREY, lw=0.8, marker="o", ms=3.5, mfc="black", mec="none",
            label="observed")  # fmt: skip
    for (low, high), alpha in zip(BANDS, (0.2, 0.35), strict=True):
        edges = forecast.compute_quantiles([low, high])[:, number]
        ax.fill_between(
            when, *edges, color=BLUE, alpha=alpha, lw=0, label=f"{100 * (high - low):.0f} %"
        )
    median = forecast.compute_quantiles(0.5)[number]
    style: dict[str, Any] = {"color": BLUE, "lw": 2, "label": "median"}
    ax.plot(when, median, **{**style, **plot_kwargs})
    if truth is not None:
        happened = check_real("truth", truth)
        if happened.shape != when.shape:
            raise ValueError(
                f"truth must have one entry for each of the {len(when)} times, got shape "
                f"{happened.shape}."
            )
        ax.plot(when, happened, color=ORANGE, ls="none", marker="s", ms=5, label="truth")
    ax.set_xlabel("step" if time_column is None else "time")
    ax.set_ylabel("value")
    put_legend_above(ax)
    return ax


def _take_columns(
    series: ArrayLike, time_column: int | None, value_column: int
) -> tuple[np.ndarray, np.ndarray]:
    rows = check_real("series", series, next_step="Leave padding out.")
    if rows.ndim != 2 or len(rows) == 0:
        raise ValueError(
            f"series must be one series of the shape (n_steps, n_columns), got {rows.shape}."
        )
    for name, column in (("time_column", time_column), ("value_column", value_column)):
        if column is not None and not 0 <= column < rows.shape[1]:
            raise ValueError(
                f"{name} must be one of the {rows.shape[1]} columns, counted from 0, got {column}."
            )
    time = np.arange(float(len(rows))) if time_column is None else rows[:, time_column]
    return time, rows[:, value_column]
