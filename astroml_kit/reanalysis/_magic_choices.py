"""Everything that the training half of the MAGIC events chooses; the test half has no way in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from sklearn.base import clone
from tqdm import tqdm

from ._injection import Box, Injection, Library, ScoreBands, Selection, inject_source

STANDARD, OPTIMISED, SCALED = "standard box", "re-optimised box", "size-scaled box"
CUT, LIKELIHOOD = "BDT cut", "BDT score likelihood"
# Supercuts (Punch et al. 1991; Reynolds et al. 1993, doi:10.1086/172273) ask for images as thin
# and short as a gamma's, bright enough, at a fair distance and pointing within 15 deg at the
# source. Their numbers belong to the Whipple camera; here the bounds are quantiles of gammas.
STANDARD_QUANTILES = {
    "hillas_width": (0.0, 0.95),
    "hillas_length": (0.0, 0.95),
    "hillas_log10_size": (0.05, 1.0),
    "distance": (0.025, 0.975),
}
STANDARD_ORIENTATION = 15.0  # deg
# What the optimised boxes may bound, and on which sides: below and above.
OPTIMISED_SIDES = {
    "hillas_width": (True, True),
    "hillas_length": (True, True),
    "hillas_log10_size": (True, False),
    "alpha": (False, True),
    "distance": (True, True),
}
SCALED_NAMES = {"hillas_width": "scaled_width", "hillas_length": "scaled_length"}
LOW = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)
HIGH = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.0)
CUT_EFFICIENCIES = tuple(np.round(np.arange(0.1, 0.96, 0.02), 2))
MIN_HADRONS = 50  # training hadrons behind every cut, so that its background is known to 14 %
MIN_HADRONS_PER_BAND = 25
N_BANDS, N_FOLDS = 8, 5


def add_size_scaled(train: Library, test: Library) -> tuple[Library, Library]:
    """Add ln(width) and ln(length) minus what a gamma of the same size has on average.

    Images grow with their brightness, which fixed bounds ignore; extended supercuts (Mohanty et
    al. 1998, doi:10.1016/S0927-6505(98)00005-X) let the bounds follow it.
    """
    halves = [train, test]
    for name, scaled in SCALED_NAMES.items():
        size, value = train.parameters["hillas_log10_size"], _log(train.parameters[name])
        gammas = train.is_gamma
        fit = np.polynomial.Polynomial.fit(size[gammas], value[gammas], deg=2)
        for k, half in enumerate(halves):
            expected = fit(half.parameters["hillas_log10_size"])
            halves[k] = half.add(**{scaled: _log(half.parameters[name]) - expected})
    return halves[0], halves[1]


def _log(millimetres: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(millimetres, 1.0))  # images of one row of pixels have width 0


def add_score(
    train: Library, test: Library, *, model: Any, seed: int, n_workers: int, bar: tqdm
) -> tuple[Library, Library]:
    """Add the score of the classifier: out of fold for the training half.

    The training half is scored by models that did not see the event or its repetitions, the test
    half by one model of the whole training half.
    """
    X, y = train.features, train.is_gamma.astype(int)
    groups, place = np.unique(train.groups, return_inverse=True)
    fold = np.random.default_rng([seed, 100]).permutation(len(groups))[place.ravel()] % N_FOLDS

    def score(k: int) -> np.ndarray:
        known = fold != k  # k = N_FOLDS: all
        unknown = test.features if k == N_FOLDS else X[~known]
        scores = clone(model).fit(X[known], y[known]).predict_proba(unknown)[:, 1]
        bar.update()
        return scores

    out_of_fold = np.empty(len(train))
    with ThreadPoolExecutor(n_workers) as pool:
        *folds, of_test = pool.map(score, range(N_FOLDS + 1))
    for k, values in enumerate(folds):
        out_of_fold[fold == k] = values
    return train.add(score=out_of_fold), test.add(score=of_test)


def choose_selections(
    train: Library, *, n_background: float, alpha: float, significance: float
) -> list[Selection]:
    """Choose cuts and bands for a source that the standard box expects at ``significance``."""
    standard = choose_standard(train)
    planned = inject_source(
        train, standard, n_background=n_background, alpha=alpha, significance=significance
    )
    return [
        standard,
        optimise_box(train, planned, OPTIMISED, OPTIMISED_SIDES),
        optimise_box(
            train,
            planned,
            SCALED,
            {SCALED_NAMES.get(name, name): sides for name, sides in OPTIMISED_SIDES.items()},
        ),
        optimise_cut(train, planned),
        choose_bands(train),
    ]


def choose_standard(train: Library) -> Box:
    """Supercuts with bounds at quantiles of the training gammas."""
    bounds = {"alpha": (0.0, STANDARD_ORIENTATION)}
    for name, quantiles in STANDARD_QUANTILES.items():
        low, high = np.quantile(train.parameters[name][train.is_gamma], quantiles)
        bounds[name] = (
            float(low) if quantiles[0] > 0 else -np.inf,
            float(high) if quantiles[1] < 1 else np.inf,
        )
    return Box(STANDARD, bounds)


def optimise_box(
    train: Library, planned: Injection, name: str, sides: dict[str, tuple[bool, bool]]
) -> Box:
    """Move one bound at a time to where the planned source is most significant, until none moves.

    Bounds lie at quantiles of gammas; a box that keeps fewer than ``MIN_HADRONS`` hadrons is
    not considered.
    """
    grids, passes = [], []
    for column, (below, above) in sides.items():
        values = train.parameters[column]
        gammas = values[train.is_gamma]
        if below:
            grid = np.concatenate([[-np.inf], np.quantile(gammas, LOW[1:])])
            grids.append((column, 0, grid))
            passes.append(values[None, :] >= grid[:, None])
        if above:
            grid = np.concatenate([np.quantile(gammas, HIGH[:-1]), [np.inf]])[::-1]
            grids.append((column, 1, grid))
            passes.append(values[None, :] <= grid[:, None])
    place = [0] * len(grids)  # every grid begins with no bound at all
    moved = True
    while moved:
        before = list(place)
        for k, options in enumerate(passes):
            others = np.ones(len(train), dtype=bool)
            for j, rows in enumerate(passes):
                others &= rows[place[j]] | (j == k)
            inside = options & others
            n_hadrons = inside[:, ~train.is_gamma].sum(axis=1)
            kept = inside[:, train.is_gamma].mean(axis=1), inside[:, ~train.is_gamma].mean(axis=1)
            expected = np.where(n_hadrons >= MIN_HADRONS, planned.expect(*kept), 0.0)
            place[k] = int(np.argmax(expected))
        moved = place != before
    bounds = {column: [-np.inf, np.inf] for column in sides}
    for (column, side, grid), at in zip(grids, place, strict=True):
        bounds[column][side] = float(grid[at])
    return Box(name, {column: (low, high) for column, (low, high) in bounds.items()})


def optimise_cut(train: Library, planned: Injection) -> ScoreBands:
    """Cut on the score where the planned source is most significant."""
    score, gammas = train.parameters["score"], train.is_gamma
    cuts = np.quantile(score[gammas], 1 - np.array(CUT_EFFICIENCIES))
    above = score[None, :] >= cuts[:, None]
    enough = above[:, ~gammas].sum(axis=1) >= MIN_HADRONS
    expected = planned.expect(above[:, gammas].mean(axis=1), above[:, ~gammas].mean(axis=1))
    return ScoreBands(CUT, (float(cuts[np.argmax(np.where(enough, expected, 0.0))]),), (1.0,))


def choose_bands(train: Library) -> ScoreBands:
    """Cut the score into bands of equal predicted signal, merged from the top.

    A band with fewer than ``MIN_HADRONS_PER_BAND`` training hadrons joins the one below it: its
    background in the finite test half could be next to nothing by chance, and the expectation a
    fairy tale.
    """
    score, gammas = train.parameters["score"], train.is_gamma
    edges = [-np.inf, *np.quantile(score[gammas], np.arange(1, N_BANDS) / N_BANDS)]
    top = np.inf
    kept: list[float] = []
    for edge in reversed(edges):
        n_hadrons = np.sum((score[~gammas] >= edge) & (score[~gammas] < top))
        if n_hadrons >= MIN_HADRONS_PER_BAND or edge == -np.inf:
            kept.insert(0, float(edge))
            top = edge
    counts = np.histogram(score[gammas], [*kept, np.inf])[0]
    return ScoreBands(LIKELIHOOD, tuple(kept), tuple((counts / counts.sum()).tolist()))
