"""What a regressor is worth: bias and resolution, as instrument papers quote them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from astropy.table import QTable

from .._validation import check_real, check_same_length, invalid
from ._roc import draw_group_weights

NAMES = ("bias", "resolution", "rmse", "r2")


@dataclass(frozen=True, eq=False)
class RegressorEvaluation:
    """How well predictions follow the truth.

    Attributes
    ----------
    bias : float
        Median residual.
    resolution : float
        Half the width of the central 68.27 % of the residuals.
    rmse : float
        Root of the mean squared residual.
    r2 : float
        Share of the variance of the truth that the predictions explain; NaN when it has none.
    relative : bool
        Whether residuals are (prediction - y) / y instead of prediction - y; ``r2`` never is.
    errors : dict of str to float
        Standard deviation over bootstrap draws of whole groups; empty without a bootstrap.
    bands : `~astropy.table.QTable`
        Per band: ``band``, ``n`` and all measures. No rows without bands.
    n_samples, n_groups : int
        Samples, and groups that the bootstrap draws.
    """

    bias: float
    resolution: float
    rmse: float
    r2: float
    relative: bool
    errors: Mapping[str, float]
    bands: QTable
    n_samples: int
    n_groups: int

    def __str__(self) -> str:
        kind = "relative " if self.relative else ""
        return (
            f"{kind}bias {self.bias:+.4g}, resolution {self.resolution:.4g}, "
            f"rmse {self.rmse:.4g}, R2 {self.r2:.4f} ({self.n_samples} samples)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        plain = asdict(self)
        plain["bands"] = {name: self.bands[name].tolist() for name in self.bands.colnames}
        return plain


def evaluate_regressor(
    y: Any,
    prediction: Any,
    *,
    weights: Any = None,
    groups: Any = None,
    bands: Any = None,
    relative: bool = False,
    n_bootstrap: int = 100,
    rng: Any = None,
) -> RegressorEvaluation:
    """Measure how well predictions follow the truth.

    Parameters
    ----------
    y, prediction : array_like of float, shape (n_samples,)
        Truth and prediction, in the same unit.
    weights : array_like of float, shape (n_samples,), optional
        >= 0.
    groups : array_like, shape (n_samples,), optional
        What the bootstrap draws as a whole. Default: each sample.
    bands : array_like, shape (n_samples,), optional
        Label of the band of each sample, for results per band.
    relative : bool
        Residuals as a share of the truth, as for energies; needs ``y`` > 0.
    n_bootstrap : int
        Draws for the errors; 0 for none.
    rng : Generator, int or None
        For the bootstrap.

    Returns
    -------
    RegressorEvaluation

    Examples
    --------
    >>> print(evaluate_regressor([1, 2, 4], [1.25, 2, 3], relative=True, n_bootstrap=0))
    relative bias +0, resolution 0.25, rmse 0.2041, R2 0.7723 (3 samples)
    """
    y = check_real("y", y)
    prediction = check_real("prediction", prediction)
    check_real("n_bootstrap", n_bootstrap, at_least=0)
    if y.ndim != 1 or not len(y):
        raise invalid("y", "one number per sample, at least one", y)
    check_same_length(y=y, prediction=prediction, weights=weights, groups=groups, bands=bands)
    if relative:
        check_real("y", y, above=0, next_step="Use relative=False for targets around zero.")
    w = np.ones(len(y)) if weights is None else check_real("weights", weights, at_least=0)
    if not w.sum() > 0:
        raise invalid("weights", "> 0 for some sample", weights)
    group = (
        np.arange(len(y))
        if groups is None
        else np.unique(np.asarray(groups), return_inverse=True)[1]
    )
    measured = _measure(y, prediction, w, relative=relative)
    rng = np.random.default_rng(rng)
    draws = []
    for _ in range(int(n_bootstrap)):
        drawn = w * draw_group_weights(group, rng)
        if drawn.sum() > 0:
            draws.append(_measure(y, prediction, drawn, relative=relative))
    spread = np.std(draws, axis=0, ddof=1).tolist() if len(draws) > 1 else []
    table = QTable({name: np.zeros(0) for name in ("band", "n", *NAMES)})
    if bands is not None:
        labels, place = np.unique(np.asarray(bands), return_inverse=True)
        inside = [place == number for number in range(len(labels))]
        rows = [_measure(y[m], prediction[m], w[m], relative=relative) for m in inside]
        table = QTable(
            [labels, [int(m.sum()) for m in inside], *np.array(rows).T],
            names=("band", "n", *NAMES),
        )
    return RegressorEvaluation(
        **dict(zip(NAMES, measured, strict=True)),
        relative=bool(relative),
        errors=dict(zip(NAMES, spread, strict=True)) if spread else {},
        bands=table,
        n_samples=len(y),
        n_groups=int(group.max()) + 1,
    )


def _measure(y: np.ndarray, prediction: np.ndarray, w: np.ndarray, *, relative: bool) -> list[Any]:
    difference = prediction - y
    residual = difference / y if relative else difference
    order = np.argsort(residual, kind="stable")
    # Share of the weight below the middle of each sample.
    share = (np.cumsum(w[order]) - 0.5 * w[order]) / w.sum()
    low, bias, high = np.interp([0.158655, 0.5, 0.841345], share, residual[order])
    rmse = np.sqrt(np.average(residual**2, weights=w))
    variance = np.average((y - np.average(y, weights=w)) ** 2, weights=w)
    r2 = 1 - np.average(difference**2, weights=w) / variance if variance > 0 else np.nan
    return [float(bias), float((high - low) / 2), float(rmse), float(r2)]
