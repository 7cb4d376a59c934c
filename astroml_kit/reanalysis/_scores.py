"""Learned scores for cells of energy and theta, trained on everything but the field itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cherenkov.cells import (
    ENERGY_EDGES,
    N_CELLS,
    SHAPE,
    THETA_EDGES,
    SignalPredictor,
    TargetRun,
    find_cell,
)
from ..cherenkov.irfs import IRFs
from ..cherenkov.off_library import OffLibrary
from ..models import BDTClassifier

FEATURES = ("log_ratio", "log10_energy", "theta", "offset", "zenith", "muon_efficiency")
TRAINING_OFFSETS = (0.5, 0.9, 1.4)  # deg
EVENTS_PER_RUN = 700  # of each class, run and offset
_FLOOR = -12.0  # log ratio of cells that the signal cannot reach
_CELL_LOG_ENERGY = np.repeat(np.log10(ENERGY_EDGES[:-1] * ENERGY_EDGES[1:]) / 2, SHAPE[1])
_CELL_THETA = np.tile((THETA_EDGES[:-1] + THETA_EDGES[1:]) / 2, SHAPE[0])


@dataclass(frozen=True)
class Hypothesis:
    """Spectrum and size of a source, stated before anything is looked at.

    Parameters
    ----------
    index : float
        Photon index.
    extension : float
        Standard deviation of a symmetric Gaussian [deg]; 0 is a point.
    """

    index: float
    extension: float = 0.0

    def __str__(self) -> str:
        size = f"{self.extension:g} deg" if self.extension else "point"
        return f"index {self.index:g}, {size}"


HYPOTHESES = (
    Hypothesis(2.0),
    Hypothesis(2.5),
    Hypothesis(3.0),
    Hypothesis(3.5),
    Hypothesis(2.5, extension=0.1),
)


def compare_cells(signal: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Log ratio of signal to background shape in each cell, shape (N_CELLS,)."""
    ratio = np.log(np.maximum(signal.ravel(), 1e-300)) - np.log(background.ravel())
    return np.maximum(ratio - np.log(signal.sum()), _FLOOR)


def make_features(
    log_ratio: np.ndarray, cells: np.ndarray, *, offset: float, run: Any
) -> np.ndarray:
    """Features of cells of one run, shape (len(cells), len(FEATURES))."""
    conditions = [offset, run.zenith, np.nan_to_num(run.muon_efficiency, nan=1.0)]
    return np.column_stack(
        [
            log_ratio[cells],
            _CELL_LOG_ENERGY[cells],
            _CELL_THETA[cells],
            np.tile(conditions, (len(cells), 1)),
        ]
    )


def draw_training(
    library: OffLibrary,
    irfs: Mapping[int, IRFs],
    hypotheses: tuple[Hypothesis, ...],
    *,
    rng: np.random.Generator,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw photons from the responses and background from the library, for each hypothesis.

    Both classes get the same mix of runs and offsets, so that the score learns energies and
    angles and not which run an event is from. A run's own field does not enter its log ratio.

    Returns
    -------
    list of (X, y)
        One per hypothesis; y is 1 for photons.
    """
    features: list[list[np.ndarray]] = [[] for _ in hypotheses]
    labels: list[np.ndarray] = []
    for run in library.runs:
        others = library.leave_out(run.pointing)
        for offset in TRAINING_OFFSETS:
            near = np.flatnonzero(np.abs(run.offset - offset) < 0.25)
            if len(near) < EVENTS_PER_RUN:
                continue
            conditions = {"zenith": run.zenith, "muon_efficiency": run.muon_efficiency}
            background = others.predict_background(offset=offset, **conditions)
            drawn = run.energy[rng.choice(near, EVENTS_PER_RUN, replace=False)]
            theta = THETA_EDGES[-1] * np.sqrt(rng.random(EVENTS_PER_RUN))
            background_cells = find_cell(drawn, theta)
            predictor = SignalPredictor(irfs[run.obs_id], offset=offset)
            labels.append(np.repeat([1, 0], EVENTS_PER_RUN))
            for rows, hypothesis in zip(features, hypotheses, strict=True):
                signal = predictor.predict(index=hypothesis.index, extension=hypothesis.extension)
                share = signal.ravel() / signal.sum()
                signal_cells = rng.choice(N_CELLS, EVENTS_PER_RUN, p=share)
                cells = np.concatenate([signal_cells, background_cells])
                log_ratio = compare_cells(signal, background)
                rows.append(make_features(log_ratio, cells, offset=offset, run=run))
    if not labels:
        raise ValueError(
            f"the library must have runs with {EVENTS_PER_RUN} background events near "
            f"{TRAINING_OFFSETS} deg, got {library}. Add runs."
        )
    y = np.concatenate(labels)
    return [(np.concatenate(rows), y) for rows in features]


def train_score(X: np.ndarray, y: np.ndarray, *, seed: int) -> BDTClassifier:
    """Fit the score of one hypothesis."""
    model = BDTClassifier(
        n_estimators=100,
        max_leaves=15,
        learning_rate=0.1,
        min_samples_leaf=200,
        subsample=1.0,
        max_features=1.0,
        random_state=seed,
    )
    return model.fit(X, y)


@dataclass(frozen=True, eq=False)
class ScoredRun:
    """Score of every cell of a run under every hypothesis.

    Parameters
    ----------
    run : TargetRun
        Its events.
    signal, learned, plain : dict of Hypothesis to ndarray, shape (N_CELLS,)
        Predicted signal, learned log ratio, and plain log ratio of signal to background.
    """

    run: TargetRun
    signal: dict[Hypothesis, np.ndarray]
    learned: dict[Hypothesis, np.ndarray]
    plain: dict[Hypothesis, np.ndarray]


def score_run(
    run: TargetRun,
    irfs: IRFs,
    models: Mapping[Hypothesis, BDTClassifier],
    *,
    library: OffLibrary,
) -> ScoredRun:
    """Score the cells of one run; ``library`` must not hold its own field."""
    conditions = {"zenith": run.zenith, "muon_efficiency": run.muon_efficiency}
    background = library.predict_background(offset=run.offset, **conditions)
    predictor = SignalPredictor(irfs, offset=run.offset)
    scored = ScoredRun(run, {}, {}, {})
    for hypothesis, model in models.items():
        signal = predictor.predict(index=hypothesis.index, extension=hypothesis.extension)
        signal = signal.ravel() * run.live_time
        plain = compare_cells(signal, background)
        X = make_features(plain, np.arange(N_CELLS), offset=run.offset, run=run)
        probability = np.clip(model.predict_proba(X)[:, 1], 1e-12, 1 - 1e-12)
        # shapes are compared within a run; this puts runs on one scale
        scale = np.log(signal.sum() / max(run.background, 1.0))
        scored.signal[hypothesis] = signal
        scored.learned[hypothesis] = np.log(probability) - np.log1p(-probability) + scale
        scored.plain[hypothesis] = plain + scale
    return scored
