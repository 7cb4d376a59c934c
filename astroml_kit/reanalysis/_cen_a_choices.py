"""What the Cen A-style reanalysis chooses, on one half of the library and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from sklearn.base import clone

from ..cherenkov.selection import STANDARD_CUTS, BoxCut
from ..cherenkov.simulation import ShowerLibrary
from ..cherenkov.simulation.library import FEATURES, STANDARD
from ..models import BandedClassifier, BDTClassifier
from ..significance import expected_significance
from ._cen_a_cells import (
    ENERGY_EDGES,
    N_SCORES,
    THETA2_EDGES,
    Cells,
    Discs,
    bin_signal,
    cut_cells,
    group_cells,
    place_discs,
    smooth_background,
)

SIX = (
    "mean_scaled_width", "mean_scaled_length", "mean_scaled_width_off",
    "mean_scaled_length_off", "reco_h_max", "energy_spread",
)  # fmt: skip
# The offset says where an event is, not what: gammas were simulated at a few offsets, and forests
# that know it find them there. Gammas are trained with the offsets of the background.
EXTENDED = tuple(name for name in FEATURES if name != "reco_offset")
BANDS = (0.0, 0.5, 1.0, 2.0, 200.0)  # TeV
OFFSET_BINS = np.arange(0.0, 3.01, 0.3)  # deg
N_FOLDS = 3
MOST_MISS = 0.3  # deg: gammas reconstructed worse teach nothing
BOX, BOX_BEST, CUT, CUT_EXTENDED, LIKELIHOOD = (
    "standard box", "re-optimised box", "BDT cut, 6 variables", "BDT cut, extended",
    "score likelihood",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of gammas and background, log odds."""

    gammas: np.ndarray
    background: np.ndarray


def make_classifier(seed: int) -> BandedClassifier:
    """One boosted forest for each band of energy, the last column."""
    forest = BDTClassifier(
        n_estimators=150, learning_rate=0.06, max_leaves=15, min_samples_leaf=40, n_jobs=1
    )
    return BandedClassifier(forest, band_columns=[-1], band_edges=[BANDS], random_state=seed)


def make_matrix(
    library: ShowerLibrary, events: Mapping[str, np.ndarray], names: Sequence[str]
) -> np.ndarray:
    """Features, the energy last."""
    names = [*(name for name in names if name != "reco_energy"), "reco_energy"]
    return library.stack_features(events, names).astype(float)


def score_library(
    train: ShowerLibrary, test: ShowerLibrary, names: Sequence[str], *,
    index: float, seed: int, n_workers: int, model: Any = None,
) -> tuple[Scores, Scores]:  # fmt: skip
    """Train on one half; scores of that half out of fold, of the other from the whole half.

    Weights are those of the field: a source of ``index`` against the background, in equal parts
    in each band of energy and bin of offset.
    """
    classifier = make_classifier(seed) if model is None else model
    rate = train.find_gamma_rates(norm=1e-12, index=index)
    close = train.gammas["dx"] ** 2 + train.gammas["dy"] ** 2 < MOST_MISS**2
    X = np.concatenate([make_matrix(train, part, names)
                        for part in (train.gammas, train.background)])  # fmt: skip
    n = len(rate)
    y = np.r_[np.ones(n, int), np.zeros(len(X) - n, int)]
    weight = np.r_[rate * close, train.background["rate"]]
    place = np.r_[train.gammas["reco_offset"], train.background["reco_offset"]]
    cell = np.digitize(place, OFFSET_BINS) * len(BANDS) + np.digitize(X[:, -1], BANDS)
    sums = [np.bincount(cell[y == kind], weight[y == kind], cell.max() + 1) for kind in (0, 1)]
    both = (sums[0] > 0) & (sums[1] > 0)
    weight *= both[cell]
    weight[y == 1] *= (sums[0] / np.maximum(sums[1], 1e-300))[cell[y == 1]]
    for kind in (0, 1):
        weight[y == kind] *= (y == kind).sum() / weight[y == kind].sum()
    shower = np.r_[train.gammas["shower_id"], train.background["shower_id"]] // 2
    use = weight > 0

    def fit(rows: np.ndarray) -> Any:
        return clone(classifier).fit(X[rows], y[rows], sample_weight=weight[rows])

    folds = [shower % N_FOLDS == fold for fold in range(N_FOLDS)]
    with ThreadPoolExecutor(n_workers) as pool:
        models = list(pool.map(fit, [use & ~fold for fold in folds] + [use]))
    out = np.empty(len(X))
    for fold, fitted in zip(folds, models[:-1], strict=True):
        out[fold] = find_log_odds(fitted, X[fold])
    other = [find_log_odds(models[-1], make_matrix(test, part, names))
             for part in (test.gammas, test.background)]  # fmt: skip
    return Scores(out[:n], out[n:]), Scores(*other)


def find_log_odds(model: Any, X: np.ndarray) -> np.ndarray:
    """Log odds of a fitted classifier."""
    p = np.clip(model.predict_proba(X)[:, 1], 1e-9, 1 - 1e-9)
    return np.log(p / (1 - p))


@dataclass(frozen=True, eq=False)
class Chosen:
    """A selection on the test half: its cells and discs.

    Parameters
    ----------
    name : str
        What it is called in tables.
    cells : Cells
        Of the test half.
    discs : Discs
        Where it counts.
    choice : str
        What was chosen, for people.
    rows : mapping
        Of a likelihood: "train", "test" -> "gammas", "background" -> row of ``cells.group``.
    """

    name: str
    cells: Cells
    discs: Discs
    choice: str
    rows: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Bench:
    """What choices are made with: the training half, its scores, the flux to expect.

    Parameters
    ----------
    train, test : ShowerLibrary
        The halves.
    scores : mapping
        Name of the feature set -> scores of the training half and of the test half.
    rate : ndarray
        Of the training gammas for the source at its offset [1/s].
    offset, live_time : float
        Of the source from the pointing [deg]; seconds.
    background_scale : float
        Factor on the background.
    others : tuple
        Other sources, as for `place_discs`.
    """

    train: ShowerLibrary
    test: ShowerLibrary
    scores: Mapping[str, tuple[Scores, Scores]]
    rate: np.ndarray
    offset: float
    live_time: float
    background_scale: float
    others: tuple = ()

    def place(self, theta2: float) -> Discs:
        """Place discs of a size."""
        return place_discs(self.offset, theta2, self.others)

    def predict(
        self, passed: Mapping[str, np.ndarray], theta2: float, direction: str = "reco"
    ) -> tuple[float, float]:
        """Signal and background in ON of a cut on the training half."""
        cells = cut_cells(passed, theta2)
        signal = bin_signal(self.train, self.rate, cells.gammas, 1, cells.edges, direction)
        background = smooth_background(
            self.train, cells.background, 1, self.place(theta2), cells.edges, direction
        )
        return (
            float(signal.sum()) * self.live_time,
            float(background.sum()) * self.live_time * self.background_scale,
        )

    def judge(
        self, passed: Mapping[str, np.ndarray], theta2: float, direction: str = "reco"
    ) -> float:
        """Expected significance of a cut; none where fewer than 20 showers say what is left."""
        signal, background = self.predict(passed, theta2, direction)
        if passed["background"].sum() < 20:
            return 0.0
        alpha = 1 / self.place(theta2).n_off
        return float(expected_significance(signal, background, alpha=alpha))

    def choose(self) -> list[Chosen]:
        """Make every selection."""
        return [
            self.take_box(BOX, STANDARD_CUTS["std"]),
            self.take_box(BOX_BEST, self.find_box()),
            self.take_cut(CUT, "six"),
            self.take_cut(CUT_EXTENDED, "extended"),
            self.take_likelihood(),
        ]

    def take_box(self, name: str, box: BoxCut) -> Chosen:
        """Box cuts, as they are, in the standard reconstruction."""
        signal, _ = self.predict(apply(self.train, box.select), box.theta2, "standard")
        cells = cut_cells(apply(self.test, box.select), box.theta2, signal, "standard")
        return Chosen(name, cells, self.place(box.theta2), str(box))

    def find_box(self) -> BoxCut:
        """Box of the largest expected significance."""
        return max(
            (BoxCut(-2.0, width, -2.0, length, theta2)
             for width, length, theta2 in product(
                 np.arange(0.0, 1.3, 0.1), np.arange(0.4, 2.5, 0.3),
                 (0.004, 0.006, 0.008, 0.0105, 0.0125))),
            key=lambda box: self.judge(apply(self.train, box.select), box.theta2, "standard"),
        )  # fmt: skip

    def take_cut(self, name: str, key: str) -> Chosen:
        """Cut in a score, of the largest expected significance."""
        train, test = self.scores[key]
        limits = np.quantile(train.gammas[self.rate > 0], np.arange(0.1, 0.75, 0.05))

        def passed(scores: Scores, limit: float) -> dict[str, np.ndarray]:
            return {k: getattr(scores, k) > limit for k in ("gammas", "background")}

        limit, theta2 = max(
            product(limits, (0.004, 0.006, 0.008, 0.0105, 0.0125)),
            key=lambda pair: self.judge(passed(train, pair[0]), pair[1]),
        )
        signal, _ = self.predict(passed(train, limit), theta2)
        cells = cut_cells(passed(test, limit), theta2, signal)
        return Chosen(name, cells, self.place(theta2), f"score > {limit:.2f}, "
                      f"theta2 < {theta2:g} deg2")  # fmt: skip

    def take_likelihood(self, key: str = "extended") -> Chosen:
        """Cells of score, energy and distance, joined to a few groups by signal to background."""
        train, test = self.scores[key]
        inner = np.quantile(train.gammas[self.rate > 0], np.linspace(0.05, 1, N_SCORES + 1)[:-1])

        def find_rows(library: ShowerLibrary, scores: Scores) -> dict[str, np.ndarray]:
            rows = {}
            for name, events in (("gammas", library.gammas), ("background", library.background)):
                score = np.searchsorted(inner, getattr(scores, name), side="right") - 1
                energy = np.searchsorted(ENERGY_EDGES, events["reco_energy"], side="right") - 1
                rows[name] = np.where(score >= 0, score * (len(ENERGY_EDGES) - 1) + energy, -1)
            return rows

        n_rows = N_SCORES * (len(ENERGY_EDGES) - 1)
        rows = find_rows(self.train, train)
        discs = self.place(float(THETA2_EDGES[-1]))
        signal = bin_signal(self.train, self.rate, rows["gammas"], n_rows, THETA2_EDGES)
        background = smooth_background(self.train, rows["background"], n_rows, discs, THETA2_EDGES)
        group = group_cells(signal, background)
        predicted = np.bincount(group.ravel(), signal.ravel()) * self.live_time
        other = find_rows(self.test, test)
        cells = Cells(other["gammas"], other["background"], group, THETA2_EDGES, predicted)
        return Chosen(
            LIKELIHOOD, cells, discs, f"{len(predicted)} groups of equal signal",
            {"train": rows, "test": other},
        )  # fmt: skip


def apply(library: ShowerLibrary, select: Any) -> dict[str, np.ndarray]:
    """Which gammas and background events a box keeps, in the standard reconstruction."""
    return {
        name: select({key: events[f"standard_{key}"] for key in STANDARD})
        for name, events in (("gammas", library.gammas), ("background", library.background))
    }
