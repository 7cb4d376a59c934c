"""Tables, notes and curves of the Cen A-style reanalysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from ._cen_a_choices import BOX, LIKELIHOOD
from ._cen_a_maps import LEARNED
from ._magic_report import COLUMNS

PAPER = "Aharonian et al. 2009 (arXiv:0903.1582)"
MATCH_RADIUS = 0.25  # deg


def tabulate(
    plan: Any, views: Sequence[Any], source: Any, counts: Sequence[Any],
    expected: np.ndarray, null: np.ndarray,
) -> QTable:  # fmt: skip
    """One row for each selection."""
    rows = []
    for view, (on, off), again, empty in zip(views, counts, expected, null, strict=True):
        total_on, total_off = on.sum(axis=0), off.sum(axis=0)
        events = (plan.test.gammas, plan.test.background)
        share = [
            np.average(rows >= 0, weights=weights)
            for rows, weights in zip(
                (view.seen[0].cells.gammas, view.seen[0].cells.background),
                (np.ones(len(events[0]["set"])), events[1]["rate"]), strict=True)
        ]  # fmt: skip
        n_background = float((total_off * view.alpha).sum())
        rows.append({
            "selection": view.name,
            "kept_signal": share[0],
            "kept_background": share[1],
            "n_on": int(total_on.sum()),
            "n_off": int(total_off.sum()),
            "alpha": n_background / max(int(total_off.sum()), 1),
            "background": n_background,
            "excess": float(total_on.sum()) - n_background,
            "significance": float(view.measure(total_on, total_off)),
            "expected": again.mean(),
            "expected_sd": again.std(ddof=1),
            "null": empty.mean(),
            "null_sd": empty.std(ddof=1),
        })  # fmt: skip
    table = QTable(rows=rows)
    for name, (digits, description) in COLUMNS.items():
        table[name].info.format = digits
        table[name].info.description = description
    return table


def tabulate_sources(
    sources: Sequence[Any], tables: Sequence[QTable], found: Mapping[str, QTable]
) -> QTable:
    """One row for each source: at its known place, and in the blind search of the learned map."""
    rows = []
    for source, table in zip(sources, tables, strict=True):
        of = {name: float(table["significance"][table["selection"] == name][0])
              for name in (BOX, LIKELIHOOD)}  # fmt: skip
        row = {
            "name": source.name,
            "ra": source.position.ra.deg,
            "dec": source.position.dec.deg,
            "significance": of[LIKELIHOOD],
            "significance_box": of[BOX],
            "map_significance": np.nan,
            "map_significance_post_trial": np.nan,
            "map_distance": np.nan,
        }
        blind = found.get(LEARNED)
        if blind is not None and len(blind):
            places = SkyCoord(blind["ra"], blind["dec"], unit="deg")
            distance = source.position.separation(places).deg
            best = int(np.argmin(distance))
            if distance[best] < MATCH_RADIUS:
                row["map_significance"] = float(blind["significance"][best])
                row["map_significance_post_trial"] = float(blind["significance_post_trial"][best])
                row["map_distance"] = float(distance[best])
        rows.append(row)
    table = QTable(rows=rows)
    for name in ("ra", "dec", "map_distance"):
        table[name] = table[name] * u.deg
    return table


def explain(
    plan: Any, library: Any, main: Any, table: QTable, second: QTable,
    found: Mapping[str, QTable], maps: Mapping[str, Any],
) -> tuple[str, ...]:  # fmt: skip
    """How to read the numbers."""

    def expected(rows: QTable, name: str) -> str:
        row = rows[rows["selection"] == name][0]
        return f"{row['expected']:.1f} +- {row['expected_sd']:.1f}"

    def mean(rows: QTable, name: str) -> float:
        return float(rows["expected"][rows["selection"] == name][0])

    notes = [
        f"Showers are simulated, a toy; the field repeats those of its library ({library}). Norms "
        f"are set so that the standard box has the counts published in 115 h, {PAPER}: 330 over "
        f"3875. That takes a flux of {main.norm:.2g} /(cm2 s TeV) at 1 TeV and "
        f"{plan.background_scale:.2f} times the simulated background.",
        "Trained and chosen on one half of the showers, counted on the other. Each row expects "
        "what is printed over many fields: quote that, not this seed.",
        f"Expected at unchanged exposure: {expected(table, BOX)} -> {expected(table, LIKELIHOOD)}, "
        f"worth {(mean(table, LIKELIHOOD) / mean(table, BOX)) ** 2:.1f} x the exposure.",
        f"Second source, 2 deg away, at its known place: box expects {expected(second, BOX)}, "
        f"score likelihood {expected(second, LIKELIHOOD)} sigma.",
    ]
    for name, sources in found.items():
        text = ", ".join(
            f"{row['significance']:.1f} sigma ({row['significance_post_trial']:.1f} post-trial) "
            f"at {row['ra'].value if hasattr(row['ra'], 'value') else row['ra']:.2f} "
            f"{row['dec'].value if hasattr(row['dec'], 'value') else row['dec']:.2f}"
            for row in sources
        )
        notes.append(f"Blind search of the map, {name}: {text or 'nothing above 3 sigma'}. "
                     f"Elsewhere {maps[name].null_fit}.")  # fmt: skip
    return tuple(notes)
