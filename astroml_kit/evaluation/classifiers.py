"""How well a score separates signal from background, and whether it is a probability."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score, roc_curve

from .._validation import check_real, check_same_length, invalid

BACKGROUNDS = (0.01, 0.02, 0.05, 0.10, 0.20)
LOW, HIGH = BACKGROUNDS[:3], BACKGROUNDS[3:]
MIN_PER_CLASS = 10  # a band with fewer of either class has no figures


@dataclass(frozen=True, eq=False)
class ClassifierEvaluation:
    """Figures of one set of scores.

    Parameters
    ----------
    n_signal, n_background : int
        Events of each class.
    auc : float
        Area under the ROC curve.
    acceptance : dict of float to float
        Share of the signal kept where 1, 2, 5, 10 and 20 % of the background are.
    brier, ece : float
        Brier score, and expected calibration error (mean distance of the reliability curve from
        the diagonal, weighted by events). NaN when the score leaves [0, 1]: it is no probability.
    errors : dict of str to float
        Standard errors of ``auc``, ``loacc``, ``hiacc``, ``brier`` and ``ece`` from resampling
        whole groups; empty when none were asked for.
    roc : Table
        ``background``, ``signal`` (shares kept) and ``threshold``.
    reliability : Table
        ``score`` (mean in the bin), ``fraction`` (of signal) and ``n``; no rows for a score that
        is no probability.
    bands : Table
        One row per band: ``band``, ``n_signal``, ``n_background``, ``auc``, ``loacc``, ``hiacc``;
        NaN where a class has fewer than ten events.
    """

    n_signal: int
    n_background: int
    auc: float
    acceptance: dict[float, float]
    brier: float
    ece: float
    errors: dict[str, float]
    roc: Table = field(repr=False)
    reliability: Table = field(repr=False)
    bands: Table = field(repr=False)

    @property
    def loacc(self) -> float:
        """Mean acceptance at 1, 2 and 5 % background (Bock et al. 2004)."""
        return float(np.mean([self.acceptance[b] for b in LOW]))

    @property
    def hiacc(self) -> float:
        """Mean acceptance at 10 and 20 % background (Bock et al. 2004)."""
        return float(np.mean([self.acceptance[b] for b in HIGH]))

    def __str__(self) -> str:
        def show(name: str) -> str:
            error = f" +- {self.errors[name]:.4f}" if name in self.errors else ""
            return f"{name} {getattr(self, name):.4f}{error}"

        figures = [show(name) for name in ("auc", "loacc", "hiacc")]
        if np.isfinite(self.ece):
            figures.append(show("ece"))
        return f"{', '.join(figures)} ({self.n_signal} signal, {self.n_background} background)"

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, without the curves."""
        names = ("n_signal", "n_background", "auc", "loacc", "hiacc", "brier", "ece")
        plain: dict[str, Any] = {name: getattr(self, name) for name in names}
        plain["acceptance"] = {f"{b:g}": value for b, value in self.acceptance.items()}
        plain["errors"] = dict(self.errors)
        plain["bands"] = {name: self.bands[name].tolist() for name in self.bands.colnames}
        return plain


def evaluate_classifier(
    y: ArrayLike,
    score: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    bands: ArrayLike | None = None,
    n_bootstrap: int = 0,
    n_bins: int = 15,
    rng: np.random.Generator | int | None = None,
) -> ClassifierEvaluation:
    """Evaluate scores of signal (1) against background (0).

    Parameters
    ----------
    y : array_like, shape (n_samples,)
        1 for signal, 0 for background.
    score : array_like of float, shape (n_samples,)
        Higher is more signal-like. Taken as a probability when all lie in [0, 1].
    weights : array_like of float >= 0, shape (n_samples,), optional
        Sample weights.
    groups : array_like, shape (n_samples,), optional
        Resampled as a whole by the bootstrap: the shower, the run. Default: each sample.
    bands : array_like, shape (n_samples,), optional
        Label of the band (energy, zenith angle) that each sample is in.
    n_bootstrap : int
        Resamplings for the standard errors; 0 for none.
    n_bins : int
        Bins of equal number for the reliability curve and the expected calibration error.
    rng : Generator, int or None
        Source of randomness.

    Returns
    -------
    ClassifierEvaluation

    Raises
    ------
    ValueError
        When a class is absent, or a score is not finite.

    Notes
    -----
    ``loacc`` and ``hiacc`` are those of R. K. Bock et al., NIM A 516 (2004) 511,
    doi:10.1016/j.nima.2003.08.157: for gamma-hadron separation a background event that is kept
    hurts more than a signal event that is lost, so plain accuracy means little.

    Examples
    --------
    >>> result = evaluate_classifier([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> result.auc
    0.75
    """
    truth, scores, weight = _check(y, score, weights)
    background, signal, threshold = roc_curve(
        truth, scores, sample_weight=weight, drop_intermediate=False
    )
    roc = Table({"background": background, "signal": signal, "threshold": threshold})
    acceptance = {b: float(np.interp(b, background, signal)) for b in BACKGROUNDS}
    reliability = _bin_reliability(truth, scores, weight, n_bins)
    brier, ece = float("nan"), float("nan")
    if len(reliability):
        brier = float(np.average((scores - truth) ** 2, weights=weight))
        distance = np.abs(reliability["fraction"] - reliability["score"])
        ece = float(np.average(distance, weights=reliability["n"]))
    errors = {}
    if n_bootstrap:
        errors = _bootstrap(truth, scores, weight, groups, n_bootstrap, n_bins, rng)
    return ClassifierEvaluation(
        n_signal=int(truth.sum()),
        n_background=int((~truth).sum()),
        auc=float(roc_auc_score(truth, scores, sample_weight=weight)),
        acceptance=acceptance,
        brier=brier,
        ece=ece,
        errors=errors,
        roc=roc,
        reliability=reliability,
        bands=_list_bands(truth, scores, weight, bands),
    )


def _check(
    y: ArrayLike, score: ArrayLike, weights: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    truth = np.asarray(y)
    scores = check_real("score", score, next_step="Drop or impute what cannot be scored.")
    if truth.ndim != 1 or scores.ndim != 1:
        raise ValueError(
            f"y and score must be one-dimensional, got shapes {truth.shape} and {scores.shape}. "
            "Take the column of the signal: predict_proba(X)[:, 1]."
        )
    weight = np.ones(len(truth)) if weights is None else check_real("weights", weights, at_least=0)
    check_same_length(y=truth, score=scores, weights=weight)
    if not np.array_equal(np.unique(truth), [0, 1]):
        raise invalid("y", "0 and 1, both present", np.unique(truth), "Encode signal as 1.")
    return truth.astype(bool), scores, weight


def _bin_reliability(
    truth: np.ndarray, scores: np.ndarray, weight: np.ndarray, n_bins: int
) -> Table:
    """Mean score and share of signal in bins of equal number."""
    if scores.min() < 0 or scores.max() > 1:
        return Table({"score": [], "fraction": [], "n": []}, dtype=[float, float, float])
    order = np.argsort(scores, kind="stable")
    rows = []
    for part in np.array_split(order, min(n_bins, len(order))):
        total = weight[part].sum()
        if total > 0:
            mean, fraction = (np.average(v[part], weights=weight[part]) for v in (scores, truth))
            rows.append((mean, fraction, total))
    return Table(rows=rows, names=("score", "fraction", "n"))


def _list_bands(
    truth: np.ndarray, scores: np.ndarray, weight: np.ndarray, bands: ArrayLike | None
) -> Table:
    names = ("band", "n_signal", "n_background", "auc", "loacc", "hiacc")
    if bands is None:
        return Table(names=names, dtype=[str, int, int, float, float, float])
    label = np.asarray(bands)
    check_same_length(y=truth, bands=label)
    rows = []
    for band in np.unique(label):
        inside = label == band
        n_signal = int((truth & inside).sum())
        n_background = int(inside.sum()) - n_signal
        figures = (np.nan, np.nan, np.nan)
        if min(n_signal, n_background) >= MIN_PER_CLASS:
            one = evaluate_classifier(truth[inside], scores[inside], weights=weight[inside])
            figures = (one.auc, one.loacc, one.hiacc)
        rows.append((str(band), n_signal, n_background, *figures))
    return Table(rows=rows, names=names)


def _bootstrap(
    truth: np.ndarray,
    scores: np.ndarray,
    weight: np.ndarray,
    groups: ArrayLike | None,
    n_bootstrap: int,
    n_bins: int,
    rng: np.random.Generator | int | None,
) -> dict[str, float]:
    """Standard errors from Poisson-like multiplicities of whole groups."""
    generator = np.random.default_rng(rng)
    label = np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1]
    check_same_length(y=truth, groups=label)
    n_groups = int(label.max()) + 1
    draws: dict[str, list[float]] = {n: [] for n in ("auc", "loacc", "hiacc", "brier", "ece")}
    for _ in range(n_bootstrap):
        times = np.bincount(generator.integers(n_groups, size=n_groups), minlength=n_groups)
        drawn = weight * times[label]
        kept = drawn > 0
        if len(np.unique(truth[kept])) < 2:
            continue
        one = evaluate_classifier(truth[kept], scores[kept], weights=drawn[kept], n_bins=n_bins)
        for name, values in draws.items():
            values.append(getattr(one, name))
    return {
        name: float(np.std(values, ddof=1)) for name, values in draws.items() if len(values) > 1
    }
