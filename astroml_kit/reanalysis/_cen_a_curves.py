"""Plain arrays for the plots of the Cen A-style reanalysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..cherenkov.simulation.field import find_source_rates
from ._cen_a_cells import get_misses, place_discs
from ._cen_a_choices import BANDS, BOX, CUT_EXTENDED, LIKELIHOOD

# Hours of the discovery and of the analysis of 2018 (arXiv:1807.07375), for the bar "+ exposure".
PUBLISHED, LATER_HOURS = 115.0, 213.0


def draw_curves(
    plan: Any,
    source: Any,
    views: Sequence[Any],
    chosen: Sequence[Any],
    counts: Sequence[Any],
    runs: Sequence[Any],
    expected: np.ndarray,
    maps: Mapping[str, Any],
) -> dict[str, Any]:
    """Plain arrays for the plots."""
    names = [view.name for view in views]
    chosen_cut = chosen[names.index(CUT_EXTENDED)]
    curves: dict[str, Any] = {
        "theta_squared": bin_theta2(chosen_cut, views[0].angles, runs),
        "score": bin_scores(plan, source, chosen[names.index(BOX)].discs, views[0].angles, runs),
        "roc": find_roc(plan),
    }
    step = np.unique(np.linspace(1, len(runs), 40).astype(int))
    growth = {}
    for name in (BOX, CUT_EXTENDED, LIKELIHOOD):
        view, (on, off) = views[names.index(name)], counts[names.index(name)]
        sums = np.cumsum(on, axis=0)[step - 1], np.cumsum(off, axis=0)[step - 1]
        growth[name] = view.measure(*sums)
    hours = plan.seconds / 3600
    curves["live_time"] = {"hours": step * hours / len(runs), "significance": growth}
    curves["bars"] = {
        "label": ["standard cuts", "+ exposure", "+ learning"],
        "hours": [hours, LATER_HOURS / PUBLISHED * hours, LATER_HOURS / PUBLISHED * hours],
        "significance": [
            expected[names.index(BOX)].mean(),
            expected[names.index(BOX)].mean() * np.sqrt(LATER_HOURS / PUBLISHED),
            expected[names.index(LIKELIHOOD)].mean() * np.sqrt(LATER_HOURS / PUBLISHED),
        ],
    }
    if maps:
        curves["maps"] = {
            name: {"significance": m.significance, "header": dict(m.wcs.to_header())}
            for name, m in maps.items()
        }
    return curves


def bin_theta2(chosen: Any, angles: Sequence[float], runs: Sequence[Any]) -> dict[str, Any]:
    """Squared distances of the events that pass a cut, ON and the mean of OFF."""
    edges = np.linspace(0, 0.1, 26)
    # as many discs as do not overlap out to the last bin
    discs = place_discs(chosen.discs.offset, edges[-1])
    on, off = np.zeros((2, len(edges) - 1))
    for number, run in enumerate(runs):
        rows = find_rows(run, chosen.cells.gammas, chosen.cells.background)
        angle = angles[number % len(angles)]
        lon, lat = run.get_directions(chosen.cells.direction)
        slot, theta2 = discs.locate(lon[rows >= 0], lat[rows >= 0], angle)
        on += np.histogram(theta2[slot == 0], edges)[0]
        off += np.histogram(theta2[slot > 0], edges)[0] / discs.n_off
    return {"edges": edges, "on": on, "off": off, "cut": float(chosen.cells.edges[-1])}


def bin_scores(
    plan: Any, source: Any, discs: Any, angles: Sequence[float], runs: Sequence[Any]
) -> dict[str, Any]:
    """Scores in the standard disc: ON, the mean of OFF, and the signal that is expected."""
    edges = np.linspace(-6, 6, 33)
    scores = plan.scores["extended"][1]
    gammas, background = (np.clip(v, -5.99, 5.99) for v in (scores.gammas, scores.background))
    on, off = np.zeros((2, len(edges) - 1))
    for number, run in enumerate(runs):
        score = find_rows(run, gammas, background)
        slot, theta2 = discs.locate(run.lon, run.lat, angles[number % len(angles)])
        near = theta2 < discs.radius2
        on += np.histogram(score[near & (slot == 0)], edges)[0]
        off += np.histogram(score[near & (slot > 0)], edges)[0] / discs.n_off
    rate = find_source_rates(plan.test, source, discs.offset) * plan.seconds
    miss2 = get_misses(plan.test, "reco")
    signal = np.histogram(gammas, edges, weights=rate * (miss2 < discs.radius2))[0]
    return {"edges": edges, "on": on, "off": off, "signal": signal, "label": "score (log odds)"}


def find_roc(plan: Any, n_points: int = 100) -> dict[str, Any]:
    """Signal against background efficiency of the score for each band of energy."""
    scores = plan.scores["extended"][1]
    rate = plan.test.background["rate"]
    bands = []
    for low, high in pairwise(BANDS):
        in_gammas, in_background = (
            (events["reco_energy"] >= low) & (events["reco_energy"] < high)
            for events in (plan.test.gammas, plan.test.background)
        )
        background = scores.background[in_background]
        signal = np.linspace(0, 1, n_points + 1)[1:-1]
        limits = np.quantile(scores.gammas[in_gammas], 1 - signal)
        order = np.argsort(background)
        above = np.cumsum(rate[in_background][order][::-1])[::-1]
        kept = np.append(above / above[0], 0.0)[np.searchsorted(background[order], limits)]
        top = f"{high:g}" if high < BANDS[-1] else "..."
        bands.append({"label": f"{low:g} - {top} TeV", "signal": signal, "background": kept})
    return {"bands": bands}


def find_rows(run: Any, gammas: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Values of the events of a run, from arrays by row of the library."""
    return np.concatenate([gammas[run.row[: run.n_gammas]], background[run.row[run.n_gammas :]]])
