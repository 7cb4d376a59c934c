"""The plots of a reanalysis: those whose curves it has, as PNG files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..plotting import (
    plot_gain,
    plot_on_off,
    plot_roc,
    plot_scores,
    plot_significance_per_run,
    plot_theta_squared,
)
from ._result import Reanalysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def save_plots(result: Reanalysis, folder: str | os.PathLike[str]) -> list[Path]:
    """Draw what a reanalysis has curves for and write it as PNG files into ``folder``.

    =====================  ======================================================
    file                   curve it needs
    =====================  ======================================================
    ``gain.png``           none: it draws the table of selections
    ``theta_squared.png``  ``theta_squared``: on, off [deg^2], alpha, cut [deg^2];
                           or edges [deg^2] and counts on, off
    ``orientation.png``    ``orientation``: edges [deg], on, off, alpha, cut [deg]
    ``scores.png``         ``score``: edges, on, off (background), signal
    ``runs.png``           ``runs``: obs_id, significance by selection
    ``roc.png``            ``roc``: background, signal, label; or bands, a list of these
    ``live_time.png``      ``live_time``: hours, significance by selection
    ``exposure.png``       ``bars``: label, hours, significance
    ``maps.png``           ``maps``: name -> significance, header of a map
    =====================  ======================================================

    Parameters
    ----------
    result : Reanalysis
        What `reanalyse` returned.
    folder : path-like
        Where to write; made if it is not there.

    Returns
    -------
    list of Path
        The files. Counts that come without ``alpha`` are taken as scaled already.

    Examples
    --------
    >>> save_plots(reanalyse("magic"), "plots")  # doctest: +SKIP
    """
    from matplotlib.figure import Figure

    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, draw in PLOTS.items():
        curve = result.table if name == "gain" else result.curves.get(CURVES.get(name, name))
        if curve is None:
            continue
        # Figure instead of pyplot: nothing global, no display needed.
        figure = Figure(figsize=(10 if name == "maps" else 7, 4.5), layout="constrained")
        draw(curve, figure if name == "maps" else figure.subplots())
        figure.suptitle(f"{result.name}: {result.target}", fontsize=10)
        path = place / f"{name}.png"
        figure.savefig(path, dpi=150)
        drawn.append(path)
    return drawn


def _draw_theta_squared(curve: Mapping[str, Any], ax: Axes) -> Axes:
    if "edges" in curve:
        return _draw_binned(curve, r"$\theta^2$ [deg$^2$]", ax)
    radius = None if curve.get("cut") is None else float(np.sqrt(curve["cut"]))
    return plot_theta_squared(curve["on"], curve["off"], alpha=curve["alpha"], radius=radius, ax=ax)


def _draw_orientation(curve: Mapping[str, Any], ax: Axes) -> Axes:
    return _draw_binned(curve, "angle between image axis and source [deg]", ax)


def _draw_binned(curve: Mapping[str, Any], label: str, ax: Axes) -> Axes:
    on, off, alpha = curve["on"], curve["off"], curve.get("alpha")
    return plot_on_off(
        curve["edges"], on, off, alpha=alpha, cut=curve.get("cut"), label=label, ax=ax
    )


def _draw_scores(curve: Mapping[str, Any], ax: Axes) -> Axes:
    ax = plot_scores(curve["edges"], curve["on"], curve["off"], signal=curve.get("signal"), ax=ax)
    ax.set_xlabel(curve.get("label", "score"))
    return ax


def _draw_runs(curve: Mapping[str, Any], ax: Axes) -> Axes:
    return plot_significance_per_run(curve["obs_id"], curve["significance"], ax=ax)


def _draw_roc(curve: Mapping[str, Any], ax: Axes) -> Axes:
    for band in curve.get("bands", [curve]):
        plot_roc(band["background"], band["signal"], label=band.get("label"), ax=ax)
    return ax


def _draw_gain(table: Any, ax: Axes) -> Axes:
    return plot_gain(table, ax=ax)


def _draw_live_time(curve: Mapping[str, Any], ax: Axes) -> Axes:
    for (name, values), style in zip(
        curve["significance"].items(), ("--", "-.", "-"), strict=False
    ):
        ax.plot(curve["hours"], values, style, label=name)
    ax.axhline(5, color="0.6", lw=0.8)
    ax.set(xlabel="live time [h]", ylabel="significance [sigma]", xlim=(0, None))
    ax.legend(frameon=False)
    return ax


def _draw_exposure(curve: Mapping[str, Any], ax: Axes) -> Axes:
    labels = [f"{label}\n{hours:.0f} h" for label, hours in
              zip(curve["label"], curve["hours"], strict=True)]  # fmt: skip
    bars = ax.bar(labels, curve["significance"], color=["0.6", "#56B4E9", "#D55E00"], width=0.6)
    ax.bar_label(bars, fmt="%.1f")
    ax.axhline(5, color="0.3", lw=0.8)
    ax.set_ylabel("expected significance [sigma]")
    return ax


def _draw_maps(curve: Mapping[str, Any], figure: Any) -> None:
    """Significance maps side by side, in one colour scale."""
    from astropy.wcs import WCS

    high = max(float(np.nanmax(entry["significance"])) for entry in curve.values())
    for number, (name, entry) in enumerate(curve.items()):
        axes = figure.add_subplot(1, len(curve), number + 1, projection=WCS(entry["header"]))
        image = axes.imshow(
            entry["significance"], origin="lower", cmap="inferno", vmin=-3, vmax=high
        )
        axes.set(xlabel="right ascension", ylabel="declination" if number == 0 else " ")
        axes.set_title(name, fontsize=10)
    figure.colorbar(image, ax=figure.axes, label="significance [sigma]", shrink=0.8)


PLOTS: dict[str, Callable[[Any, Any], Any]] = {
    "gain": _draw_gain,
    "theta_squared": _draw_theta_squared,
    "orientation": _draw_orientation,
    "scores": _draw_scores,
    "runs": _draw_runs,
    "roc": _draw_roc,
    "live_time": _draw_live_time,
    "exposure": _draw_exposure,
    "maps": _draw_maps,
}
CURVES = {"scores": "score", "exposure": "bars"}
PLOT_NAMES = tuple(f"{name}.png" for name in PLOTS)
