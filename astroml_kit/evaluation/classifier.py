"""What a classifier is worth to an astronomer: how much signal is left at a fixed background."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from astropy.table import QTable

from .._validation import check_real, check_same_length
from ._roc import BACKGROUNDS, SortedScores, check_labels, draw_group_weights, measure_roc

MIN_PER_CLASS = 10  # a band with fewer of a class says nothing
NAMES = ("auc", *(f"acceptance_{100 * b:g}" for b in BACKGROUNDS), "loacc", "hiacc")


@dataclass(frozen=True, eq=False)
class ClassifierEvaluation:
    """How well a score separates signal from background.

    Attributes
    ----------
    auc : float
        Area under the ROC curve.
    acceptance : dict of float to float
        Share of the signal accepted where 1, 2, 5, 10 and 20 % of the background is.
    loacc, hiacc : float
        Mean acceptance at 1, 2 and 5 %, and at 10 and 20 %, as Bock et al. (2004) sum up a
        classifier for clean and for complete samples, doi:10.1016/j.nima.2003.08.157.
    errors : dict of str to float
        Standard deviation over bootstrap draws of whole groups, for ``auc``, ``loacc``, ``hiacc``
        and ``acceptance_<percent>``; empty without a bootstrap.
    brier : float
        Mean squared difference of score and label; NaN unless every score is in [0, 1].
    ece : float
        Expected calibration error: mean |share of signal - mean score| over ``reliability``,
        weighted by its bins; NaN likewise.
    reliability : `~astropy.table.QTable`
        Per bin of equal counts: ``score`` (mean), ``fraction`` (of signal), ``weight``, ``n``.
        No rows when scores are not in [0, 1].
    bands : `~astropy.table.QTable`
        Per band: ``band``, ``n_signal``, ``n_background`` and all measures, NaN where a class has
        fewer than ten samples. No rows without bands.
    roc : `~astropy.table.QTable`
        ``background`` and ``signal`` (shares accepted), ``threshold``; the first is infinite.
    n_signal, n_background : int
        Events.
    n_groups : int
        Groups that the bootstrap draws.
    """

    auc: float
    acceptance: Mapping[float, float]
    loacc: float
    hiacc: float
    errors: Mapping[str, float]
    brier: float
    ece: float
    reliability: QTable = field(repr=False)
    bands: QTable = field(repr=False)
    roc: QTable = field(repr=False)
    n_signal: int
    n_background: int
    n_groups: int

    def __str__(self) -> str:
        parts = []
        for name in ("auc", "loacc", "hiacc"):
            error = f" +- {self.errors[name]:.4f}" if name in self.errors else ""
            parts.append(f"{name} {getattr(self, name):.4f}{error}")
        if np.isfinite(self.brier):
            parts.append(f"Brier {self.brier:.4f}, ECE {self.ece:.4f}")
        return f"{', '.join(parts)} ({self.n_signal} signal, {self.n_background} background)"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, NaN as None: ready for JSON. The ROC curve is left out."""
        plain: dict[str, Any] = {}
        for name in (item.name for item in fields(self) if item.name != "roc"):
            value = getattr(self, name)
            if isinstance(value, QTable):
                columns = {key: value[key].tolist() for key in value.colnames}
                value = {key: list(map(_write_number, column)) for key, column in columns.items()}
            elif isinstance(value, Mapping):
                value = {str(key): _write_number(number) for key, number in value.items()}
            plain[name] = _write_number(value)
        return plain


def _write_number(value: Any) -> Any:
    """JSON has no NaN."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


def evaluate_classifier(
    y: Any,
    score: Any,
    *,
    weights: Any = None,
    groups: Any = None,
    bands: Any = None,
    n_bootstrap: int = 100,
    n_bins: int = 15,
    rng: Any = None,
) -> ClassifierEvaluation:
    """Measure how well a score separates two classes.

    A score is only a score until it is calibrated: ``brier``, ``ece`` and ``reliability`` say
    whether it may be read as a probability. Calibrate with
    `sklearn.calibration.CalibratedClassifierCV`, its ``cv`` being a `RepeatedGroupKFold` split.

    Parameters
    ----------
    y : array_like, shape (n_samples,)
        Two classes; the higher label (1, True) is signal.
    score : array_like of float, shape (n_samples,)
        Higher for signal.
    weights : array_like of float, shape (n_samples,), optional
        >= 0.
    groups : array_like, shape (n_samples,), optional
        What the bootstrap draws as a whole: the shower, the run. Default: each sample.
    bands : array_like, shape (n_samples,), optional
        Label of the band (energy, zenith, ...) of each sample, for results per band.
    n_bootstrap : int
        Draws for the errors; 0 for none.
    n_bins : int
        Bins of the reliability curve.
    rng : Generator, int or None
        For the bootstrap.

    Returns
    -------
    ClassifierEvaluation

    Raises
    ------
    ValueError
        When ``y`` has not two classes, lengths differ or a score is not finite.

    Examples
    --------
    >>> result = evaluate_classifier([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], n_bootstrap=0)
    >>> result.auc
    0.75
    """
    is_signal = check_labels(y)
    score = check_real("score", score, next_step="Drop or impute what cannot be scored.")
    if score.ndim != 1:
        raise ValueError(
            f"score must be one number per sample, got shape {score.shape}. "
            "Take the column of the signal: predict_proba(X)[:, 1]."
        )
    check_real("n_bootstrap", n_bootstrap, at_least=0)
    check_real("n_bins", n_bins, at_least=1)
    n_samples = len(is_signal)
    check_same_length(y=is_signal, score=score, weights=weights, groups=groups, bands=bands)
    w = np.ones(n_samples) if weights is None else check_real("weights", weights, at_least=0)
    if groups is None:
        group = np.arange(n_samples)
    else:
        _, group = np.unique(np.asarray(groups), return_inverse=True)
    ranked = SortedScores.sort(is_signal, score)
    false_rate, true_rate = ranked.compute_roc(w)
    measured = dict(zip(NAMES, measure_roc(false_rate, true_rate).tolist(), strict=True))
    if not np.isfinite(measured["auc"]):
        raise ValueError("weights must be > 0 for some sample of each class, got all zero.")
    reliability = _measure_reliability(is_signal, score, w, n_bins=int(n_bins))
    probability = len(reliability) > 0
    brier = float(np.average((score - is_signal) ** 2, weights=w)) if probability else np.nan
    ece = np.nan
    if probability:
        gap = np.abs(reliability["fraction"] - reliability["score"])
        ece = float(np.average(gap, weights=reliability["weight"]))
    return ClassifierEvaluation(
        auc=measured["auc"],
        acceptance={b: measured[f"acceptance_{100 * b:g}"] for b in BACKGROUNDS},
        loacc=measured["loacc"],
        hiacc=measured["hiacc"],
        errors=_bootstrap(ranked, w, group, int(n_bootstrap), np.random.default_rng(rng)),
        brier=brier,
        ece=ece,
        reliability=reliability,
        bands=_measure_bands(is_signal, score, w, bands),
        roc=QTable(
            {
                "background": false_rate,
                "signal": true_rate,
                "threshold": np.append(np.inf, ranked.thresholds),
            }
        ),
        n_signal=int(is_signal.sum()),
        n_background=int((~is_signal).sum()),
        n_groups=int(group.max()) + 1,
    )


def _bootstrap(
    ranked: SortedScores, w: np.ndarray, group: np.ndarray, n: int, rng: np.random.Generator
) -> dict[str, float]:
    """Spread of every measure over draws of whole groups."""
    if not n:
        return {}
    draws = [measure_roc(*ranked.compute_roc(w * draw_group_weights(group, rng))) for _ in range(n)]
    # A draw without one of the classes measures nothing.
    good = np.array([draw for draw in draws if np.isfinite(draw[0])])
    spread = good.std(axis=0, ddof=1) if len(good) > 1 else np.full(len(NAMES), np.nan)
    return dict(zip(NAMES, spread.tolist(), strict=True))


def _measure_reliability(
    is_signal: np.ndarray, score: np.ndarray, w: np.ndarray, *, n_bins: int
) -> QTable:
    """Share of signal against mean score in bins of equal counts; equal scores share a bin."""
    names = ("score", "fraction", "weight", "n")
    if score.min() < 0 or score.max() > 1:
        return QTable({name: np.zeros(0) for name in names})
    edges = np.unique(np.quantile(score, np.linspace(0, 1, n_bins + 1)[1:-1]))
    place = np.searchsorted(edges, score, side="left")
    n = np.bincount(place, minlength=len(edges) + 1)
    weight = np.bincount(place, w, minlength=len(n))
    keep = weight > 0
    mean = np.bincount(place, w * score, minlength=len(n))[keep] / weight[keep]
    fraction = np.bincount(place, w * is_signal, minlength=len(n))[keep] / weight[keep]
    values = (mean, fraction, weight[keep], n[keep])
    return QTable(dict(zip(names, values, strict=True)))


def _measure_bands(is_signal: np.ndarray, score: np.ndarray, w: np.ndarray, bands: Any) -> QTable:
    """One row of measures per band; NaN in a band with too few of a class."""
    names = ("band", "n_signal", "n_background", *NAMES)
    if bands is None:
        return QTable({name: np.zeros(0) for name in names})
    labels, place = np.unique(np.asarray(bands), return_inverse=True)
    rows = []
    for number in range(len(labels)):
        inside = place == number
        ranked = SortedScores.sort(is_signal[inside], score[inside])
        measured = measure_roc(*ranked.compute_roc(w[inside]))
        n_signal = int(is_signal[inside].sum())
        n_background = int(inside.sum()) - n_signal
        if min(n_signal, n_background) < MIN_PER_CLASS:
            measured[:] = np.nan
        rows.append((n_signal, n_background, *measured))
    columns = list(zip(*rows, strict=True))
    return QTable([labels, *map(np.array, columns)], names=names)
