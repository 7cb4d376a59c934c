"""What the MAGIC reanalysis says about itself: the table, the notes and the curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import astropy.units as u
import numpy as np
from astropy.table import QTable

from ._injection import Bench, Box, Library, measure_efficiency
from ._magic_choices import CUT, LIKELIHOOD, STANDARD

# Format and description of the columns; efficiencies as %, because they span three decades.
COLUMNS = {
    "kept_signal": (".1%", "share of the test half's gammas that is kept"),
    "kept_background": (".2%", "share of the test half's hadrons that is kept"),
    "alpha": ("g", "ON exposure / OFF exposure"),
    "background": ("z.1f", "alpha n_off"),
    "excess": ("z.1f", "n_on - background"),
    "significance": ("z.2f", "this field, before trials, in standard deviations"),
    "expected": ("z.2f", "mean significance of further fields of the same source"),
    "expected_sd": ("z.2f", "their standard deviation"),
    "null": ("z.2f", "mean significance of fields without a source"),
    "null_sd": ("z.2f", "their standard deviation"),
}
N_ROC_POINTS = 200
ORIENTATION_EDGES = np.linspace(0, 90, 19)  # deg


def tabulate(
    bench: Bench,
    n_on: Sequence[np.ndarray],
    n_off: Sequence[np.ndarray],
    *,
    again: np.ndarray,
    empty: np.ndarray,
) -> QTable:
    """One row for each selection."""
    alpha = bench.injection.alpha
    on, off = [[int(count.sum()) for count in counts] for counts in (n_on, n_off)]
    kept = [measure_efficiency(bench.library, selection) for selection in bench.selections]
    total = [counts.sum(axis=0, keepdims=True) for counts in n_on]
    total_off = [counts.sum(axis=0, keepdims=True) for counts in n_off]
    background = alpha * np.array(off)
    table = QTable(
        {
            "selection": [selection.name for selection in bench.selections],
            "kept_signal": [signal for signal, _ in kept],
            "kept_background": [hadrons for _, hadrons in kept],
            "n_on": on,
            "n_off": off,
            "alpha": np.full(len(on), alpha),
            "background": background,
            "excess": np.array(on) - background,
            "significance": bench.measure(total, total_off)[:, 0],
            "expected": again.mean(axis=1),
            "expected_sd": again.std(axis=1, ddof=1),
            "null": empty.mean(axis=1),
            "null_sd": empty.std(axis=1, ddof=1),
        }
    )
    for name, (digits, description) in COLUMNS.items():
        table[name].info.format = digits
        table[name].info.description = description
    return table


def list_no_sources() -> QTable:
    """No rows: simulated images have no place on the sky."""
    table = QTable()
    table["name"] = np.array([], dtype=str)
    table["ra"] = np.array([]) * u.deg
    table["dec"] = np.array([]) * u.deg
    table["significance"] = np.array([])
    return table


def explain(
    bench: Bench, again: np.ndarray, redrawn: np.ndarray, *, n_train: int
) -> tuple[str, ...]:
    """Say what was assumed and how to read the numbers."""
    injection, library = bench.injection, bench.library
    names = [selection.name for selection in bench.selections]
    box, bands = names.index(STANDARD), names.index(LIKELIHOOD)
    signal, hadrons = measure_efficiency(library, bench.selections[box])
    before = injection.n_signal / injection.n_background
    n_hadrons = int(np.sum(~library.is_gamma))
    top = int(
        np.sum(bench.bins[bands][~library.is_gamma] == len(bench.selections[bands].signal) - 1)
    )
    ratio = redrawn[bands] / redrawn[box]
    return (
        f"Assumed, not measured: {injection.n_background:.0f} background events in the ON region "
        f"before cuts and a source of {injection.n_signal:.0f}; signal to background is "
        f"{before:.2%} before cuts and {before * signal / hadrons:.1%} behind the standard box, "
        "about a Crab nebula for such a telescope.",
        f"{n_train} events chose every cut, the classifier and its score bands; the other "
        f"{len(library)} made the field. Rows that repeat each other are in one half.",
        f"The {LIKELIHOOD} uses all events, weighed by their score: it has no cut. All numbers "
        f"are before trials; {STANDARD} against {LIKELIHOOD} was fixed beforehand.",
        f"The field is Poisson given its {n_hadrons} simulated hadrons, {top} of them in the "
        f"highest score band. Drawing that library again moves the expected ratio: "
        f"{again[bands].mean() / again[box].mean():.2f} +- {ratio.std():.2f}.",
        "Monte Carlo on both sides: the classifier knows the hadrons it meets. Expect less of "
        "real data, where training and background differ.",
    )


def draw_curves(
    bench: Bench,
    on: np.ndarray,
    off: np.ndarray,
    n_on: Sequence[np.ndarray],
    n_off: Sequence[np.ndarray],
) -> dict[str, Any]:
    """Plain arrays for the plots; ``on`` and ``off`` are multiplicities of the test half."""
    injection = bench.injection
    names = [selection.name for selection in bench.selections]
    box, cut, bands = (names.index(name) for name in (STANDARD, CUT, LIKELIHOOD))
    share = np.array(bench.selections[bands].signal)
    per_run = bench.measure(n_on, n_off)
    return {
        "score": {
            "edges": np.concatenate([[0.0], np.cumsum(share)]),
            "on": n_on[bands].sum(axis=0),
            "off": injection.alpha * n_off[bands].sum(axis=0),
            "signal": injection.n_signal * share,
            "label": "BDT score, as the share of gammas that score lower",
        },
        "orientation": bin_orientation(bench.library, cast(Box, bench.selections[box]), on, off)
        | {"alpha": injection.alpha},
        "runs": {
            "obs_id": np.arange(1, per_run.shape[1] + 1),
            "significance": {names[k]: per_run[k] for k in (box, cut, bands)},
        },
        "roc": find_roc(bench.library),
    }


def bin_orientation(library: Library, box: Box, on: np.ndarray, off: np.ndarray) -> dict[str, Any]:
    """Count the events of the standard box over the one angle that points at the source."""
    rest = {name: bounds for name, bounds in box.bounds.items() if name != "alpha"}
    inside = Box(box.name, rest).assign(library) == 0
    angle = library.parameters["alpha"][inside]
    n_on, n_off = (
        np.histogram(angle, ORIENTATION_EDGES, weights=times[inside])[0] for times in (on, off)
    )
    return {"edges": ORIENTATION_EDGES, "on": n_on, "off": n_off, "cut": box.bounds["alpha"][1]}


def find_roc(library: Library) -> dict[str, Any]:
    """Signal efficiency of the score at background acceptances that are even in their logarithm."""
    score, gammas = library.parameters["score"], library.is_gamma
    hadrons = np.sort(score[~gammas])[::-1]
    kept = np.unique(np.geomspace(1, len(hadrons), N_ROC_POINTS).round().astype(int))
    found = [np.mean(score[gammas] >= hadrons[k - 1]) for k in kept]
    return {
        "background": np.concatenate([[0.0], kept / len(hadrons)]),
        "signal": np.concatenate([[np.mean(score[gammas] > hadrons[0])], found]),
        "label": "BDT, test half",
    }
