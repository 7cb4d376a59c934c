"""Plots of light curves: over time, folded, and the periodogram that says on which period."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_real, invalid
from ._axes import BLUE, GREEN, GREY, ORANGE, PURPLE, SERIES, get_axes, put_legend_above, to_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WITH_ERRORS = 2000  # steps of a band beyond which bars would only be a carpet
PIXELS = 2000  # of a periodogram's axis
# Dates are shown less these, as they are printed elsewhere.
OFFSETS = {"jd": 2_450_000, "mjd": 50_000}
# What a frequency may be to the best one: colour and marker.
ALIASES = {
    "day": (BLUE, "s"),
    "half": (GREEN, "^"),
    "double": (PURPLE, "D"),
    "year": ("#e69f00", "P"),
    "": (GREY, "v"),
}
NAMES = {
    "day": "alias of a day", "half": "half the period", "double": "twice the period",
    "year": "alias of a year", "": "other candidate",
}  # fmt: skip


def plot_lightcurve(curve: Any, *, ax: Axes | None = None, **errorbar_kwargs: Any) -> Axes:
    """Plot brightness over time, each band with its errors; brighter is up.

    Masked steps are small crosses, upper limits are arrows. Axes show the steps that are used
    and the limits: masked steps beyond are at the edge, as arrow heads.

    Parameters
    ----------
    curve : LightCurve
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **errorbar_kwargs
        Passed on to ``ax.errorbar``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_lightcurve(curves["star"])  # doctest: +SKIP
    """
    ax = get_axes(ax)
    days, label = _read_time(curve.time)
    _draw_steps(ax, curve, days, errorbar_kwargs)
    ax.set_xlabel(label)
    put_legend_above(ax)
    return ax


def plot_folded(
    folded: Any, *, n_bins: int = 32, ax: Axes | None = None, **errorbar_kwargs: Any
) -> Axes:
    """Plot two cycles of a folded light curve, with the median of each band in bins of phase.

    Parameters
    ----------
    folded : FoldedLightCurve
        From `fold_lightcurves`.
    n_bins : int
        Bins of one cycle; 0 for no medians.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **errorbar_kwargs
        Passed on to ``ax.errorbar``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_folded(fold_lightcurves(curve, period=0.5678))  # doctest: +SKIP
    """
    check_real("n_bins", n_bins, at_least=0)
    ax = get_axes(ax)
    phase = np.asarray(folded.phase)
    _draw_steps(ax, folded, phase, {"alpha": 0.5, **errorbar_kwargs}, turns=(0, 1))
    if n_bins:
        rows = folded.bin_phases(int(n_bins))
        for name in np.unique(rows["band"]):
            own = rows[rows["band"] == name]
            middle = np.concatenate([own["phase"], own["phase"] + 1])
            value = np.tile(to_value(own["value"], folded.value.unit), 2)
            # white below black: a line that no colour of points hides
            for width, color in ((3.5, "white"), (1.5, "black")):
                ax.plot(middle, value, color=color, lw=width, zorder=4)
    ax.set_xlim(0, 2)
    ax.set_xlabel(f"phase (period {to_value(folded.period, 'day'):.7g} d)")
    put_legend_above(ax)
    return ax


def plot_periodogram(
    periodogram: Any,
    *,
    periods: Any = None,
    p_value: float | None = 0.001,
    ax: Axes | None = None,
    **plot_kwargs: Any,
) -> Axes:
    """Plot power over frequency, with the candidates and what they are to the best of them.

    Parameters
    ----------
    periodogram : Periodogram
        From `compute_periodogram`.
    periods : QTable, optional
        Rows of `find_periods`, those of the periodogram's object; without them, the highest peak
        and the aliases of it by a day, half of it and twice it are marked.
    p_value : float, optional
        False-alarm probability whose power is shown as a line, of one-term periodograms.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **plot_kwargs
        Passed on to ``ax.plot``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_periodogram(compute_periodogram(curve),
    ...                       periods=find_periods(curve))  # doctest: +SKIP
    """
    ax = get_axes(ax)
    frequency, power = np.asarray(periodogram.frequency), np.asarray(periodogram.power)
    style: dict[str, Any] = {"color": "black", "lw": 0.6, "zorder": 1}
    ax.plot(*_thin_out(frequency, power), **{**style, **plot_kwargs})
    marked = _find_marks(periodogram, periods)
    best = marked[0][0]
    ax.plot(best, np.interp(best, frequency, power), ls="", marker="o", ms=7, color=ORANGE,
            mec="white", zorder=4, label=f"best, {1 / best:.7g} d")  # fmt: skip
    for alias, (color, marker) in ALIASES.items():
        own = np.array([f for f, name in marked[1:] if name == alias])
        own = own[(own >= frequency[0]) & (own <= frequency[-1])]
        if len(own):
            ax.plot(own, np.interp(own, frequency, power), ls="", marker=marker, ms=6, color=color,
                    mec="white", zorder=3, label=NAMES[alias])  # fmt: skip
    several = periodogram.n_bands > 1 and periodogram.band_model == "separate"
    if p_value is not None and periodogram.n_terms == 1 and not several:
        _draw_level(ax, periodogram, p_value)
    ax.set_xlim(frequency[0], frequency[-1])
    ax.set_ylim(0, 1.08 * max(power.max(), 1e-3))
    ax.set_xlabel("frequency [1/d]")
    ax.set_ylabel("power")
    ax.legend(frameon=False, ncols=2, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def _read_time(time: Any) -> tuple[np.ndarray, str]:
    """Days to draw and what they are."""
    known = time.format if time.format in OFFSETS else "jd"
    since = OFFSETS[known]
    days = getattr(time, known)
    scale = time.scale.upper()
    name = "BJD" if known == "jd" and scale == "TDB" else known.upper()
    return days - since, f"{name} ({scale}) $-$ {since} [d]"


def _draw_steps(
    ax: Axes, curve: Any, x: np.ndarray, options: dict[str, Any], turns: tuple[int, ...] = (0,)
) -> None:
    """Draw used, masked and limiting steps of each band, and set the axis of values."""
    if not len(x):
        raise invalid("curve", "of at least one step", "none")
    value, unit = curve.value.value, curve.value.unit
    finite = np.isfinite(value)
    limit = np.zeros(len(x), dtype=bool) if curve.limit is None else np.asarray(curve.limit)
    limit = limit & finite
    used = ~np.asarray(curve.mask) & finite
    error = None if curve.error is None else curve.error.value
    band = np.full(len(x), "") if curve.band is None else np.asarray(curve.band)
    is_magnitude = getattr(unit, "function_unit", unit).to_string() == "mag"
    low, high = _find_span(value, error, used, limit)

    def repeat(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.concatenate([x[rows] + turn for turn in turns]), np.tile(value[rows], len(turns))

    for number, name in enumerate(np.unique(band)):
        color, marker, _ = SERIES[number % len(SERIES)]
        rows = np.flatnonzero(used & (band == name))
        few = len(rows) <= WITH_ERRORS
        bars = np.tile(error[rows], len(turns)) if error is not None and few else None
        style: dict[str, Any] = {"ls": "", "marker": marker, "ms": 3.5 if few else 1.5, "mew": 0,
                                 "color": color, "elinewidth": 0.7, "zorder": 2,
                                 "label": str(name) or None}  # fmt: skip
        ax.errorbar(*repeat(rows), bars, **{**style, **options})
        rows = np.flatnonzero(limit & (band == name))
        if len(rows):
            ax.plot(*repeat(rows), ls="", marker=_make_arrow(), ms=11, mfc="none", mec=color,
                    mew=0.8, zorder=1, label=f"{name} upper limit".strip())  # fmt: skip
    _draw_masked(ax, *repeat(np.flatnonzero(~used & ~limit & finite)), low, high, is_magnitude)
    ax.set_ylim((high, low) if is_magnitude else (low, high))
    _label_values(ax, unit, is_magnitude)


def _label_values(ax: Axes, unit: Any, is_magnitude: bool) -> None:
    """Name the axis of values; powers of ten go into its unit, where they cover nothing."""
    if is_magnitude or not unit.to_string():
        ax.set_ylabel("magnitude" if is_magnitude else "relative flux")
        return
    power = int(np.floor(np.log10(max(map(abs, ax.get_ylim())))))
    text = unit.to_string("latex_inline")
    if abs(power) >= 4:
        ax.yaxis.set_major_formatter(lambda value, _: f"{value / 10.0**power:.3g}")
        text = f"$10^{{{power}}}$ {text}"
    ax.set_ylabel(f"flux [{text}]")


def _make_arrow() -> Any:
    """Marker that points down from a bar: on both axes, limits are towards fainter."""
    from matplotlib.path import Path

    strokes = [(-0.3, 0), (0.3, 0), (0, 0), (0, -1), (-0.25, -0.65), (0, -1), (0.25, -0.65)]
    move, line = Path.MOVETO, Path.LINETO
    return Path(strokes, [move, line, move, line, move, line, line])


def _find_span(
    value: np.ndarray, error: np.ndarray | None, used: np.ndarray, limit: np.ndarray
) -> tuple[float, float]:
    """Lowest and highest value to show: steps that are used with their errors, and limits."""
    shown = used | limit
    if not shown.any():
        shown = np.isfinite(value)
    if not shown.any():
        return 0.0, 1.0
    spread = np.zeros(len(value)) if error is None else np.where(used, error, 0)
    low, high = (value - spread)[shown].min(), (value + spread)[shown].max()
    margin = 0.06 * (high - low) or 0.5 * abs(high) or 0.5
    return float(low - margin), float(high + margin)


def _draw_masked(
    ax: Axes, x: np.ndarray, value: np.ndarray, low: float, high: float, is_magnitude: bool
) -> None:
    """Draw crosses, and arrow heads at the edge for what is beyond it."""
    reach = 0.012 * (high - low)
    above, below = ("v", "^") if is_magnitude else ("^", "v")
    label: str | None = "masked"
    for inside, y, marker in (
        ((value >= low) & (value <= high), value, "x"),
        (value > high, np.full(len(x), high - reach), above),
        (value < low, np.full(len(x), low + reach), below),
    ):
        if inside.any():
            ax.plot(x[inside], y[inside], ls="", marker=marker, ms=4, color=GREY, alpha=0.7,
                    zorder=1, label=label)  # fmt: skip
            label = None


def _thin_out(frequency: np.ndarray, power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Highest and lowest power within each pixel, in their order: no peak is lost."""
    if len(power) <= 4 * PIXELS:
        return frequency, power
    edges = np.linspace(0, len(power), PIXELS + 1).astype(int)[:-1]
    ends = np.append(edges[1:], len(power))
    kept = []
    for first, last in zip(edges, ends, strict=True):
        part = power[first:last]
        kept += sorted((first + int(part.argmin()), first + int(part.argmax())))
    return frequency[kept], power[kept]


def _find_marks(periodogram: Any, periods: Any) -> list[tuple[float, str]]:
    """Frequencies and what they are to the first of them."""
    if periods is not None:
        own = np.asarray(periods["name"]).astype(str) == periodogram.name
        rows = periods[own] if own.any() else periods
        if len(np.unique(np.asarray(rows["name"]))) != 1:
            raise invalid(
                "periods", f"the rows of {periodogram.name!r}", f"{len(rows)} rows",
                "Select them by name.",
            )  # fmt: skip
        rows = rows[np.argsort(np.asarray(rows["rank"]), kind="stable")]
        days = to_value(rows["period"], "day")
        return [(1 / float(d), str(a)) for d, a in zip(days, rows["alias"], strict=True)]
    best = 1 / periodogram.best_period
    days = [(abs(best + k), 0.003 * abs(k), "day") for k in (1, -1, 2, -2)]
    marks = [(best, "")]
    for at, width, alias in [*days, (2 * best, 0.0, "half"), (best / 2, 0.0, "double")]:
        # the top of the peak around, where a day may be a sidereal one
        near = np.abs(periodogram.frequency - at) <= width + 1 / periodogram.baseline
        if near.any():
            top = np.argmax(np.where(near, periodogram.power, -np.inf))
            marks.append((float(periodogram.frequency[top]), alias))
    return marks


def _draw_level(ax: Axes, periodogram: Any, p_value: float) -> None:
    """Draw the power that noise reaches with a given probability."""
    from scipy.optimize import brentq

    check_real("p_value", p_value, above=0, below=1)

    def miss(power: float) -> float:
        return replace(periodogram, power=np.array([power])).false_alarm_probability - p_value

    if miss(1e-9) > 0 > miss(1 - 1e-9):
        level = brentq(miss, 1e-9, 1 - 1e-9)
        ax.axhline(level, color=GREY, lw=1, ls="--", zorder=2,
                   label=f"false alarm: {p_value:g}")  # fmt: skip
