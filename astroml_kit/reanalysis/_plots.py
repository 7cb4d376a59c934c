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
    ``roc.png``            ``roc``: background, signal, label
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
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        draw(curve, figure.subplots())
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
    return plot_roc(curve["background"], curve["signal"], label=curve.get("label"), ax=ax)


def _draw_gain(table: Any, ax: Axes) -> Axes:
    return plot_gain(table, ax=ax)


PLOTS: dict[str, Callable[[Any, Axes], Axes]] = {
    "gain": _draw_gain,
    "theta_squared": _draw_theta_squared,
    "orientation": _draw_orientation,
    "scores": _draw_scores,
    "runs": _draw_runs,
    "roc": _draw_roc,
}
CURVES = {"scores": "score"}
PLOT_NAMES = tuple(f"{name}.png" for name in PLOTS)
