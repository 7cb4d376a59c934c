"""How far predictions are from the truth, where a few are far off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike

from .._validation import check_real, check_same_length, invalid

_CENTRAL = (0.15865525393145707, 0.8413447460685429)  # one standard deviation to either side


@dataclass(frozen=True, eq=False)
class RegressorEvaluation:
    """Figures of one set of predictions.

    Parameters
    ----------
    n : int
        Predictions.
    bias : float
        Median of prediction - truth, relative to the truth when ``relative``.
    resolution : float
        Half the central 68 % interval of the same, about its median.
    rms : float
        Root mean square of the same.
    r2 : float
        Share of the variance of the truth that is explained.
    relative : bool
        Whether differences are divided by the truth, as is usual for energies.
    bands : Table
        One row per band: ``band``, ``n``, ``bias``, ``resolution``.
    """

    n: int
    bias: float
    resolution: float
    rms: float
    r2: float
    relative: bool
    bands: Table = field(repr=False)

    def __str__(self) -> str:
        scale, unit = (100, " %") if self.relative else (1, "")
        return (
            f"bias {self.bias * scale:+.3g}{unit}, resolution {self.resolution * scale:.3g}{unit}, "
            f"r2 {self.r2:.3f} ({self.n} predictions)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain numbers and lists."""
        names = ("n", "bias", "resolution", "rms", "r2", "relative")
        plain: dict[str, Any] = {name: getattr(self, name) for name in names}
        plain["bands"] = {name: self.bands[name].tolist() for name in self.bands.colnames}
        return plain


def evaluate_regressor(
    y: ArrayLike,
    prediction: ArrayLike,
    *,
    relative: bool = False,
    bands: ArrayLike | None = None,
) -> RegressorEvaluation:
    """Evaluate predictions of one quantity.

    Parameters
    ----------
    y, prediction : array_like of float, shape (n_samples,)
        Truth and prediction.
    relative : bool
        Divide differences by the truth, which must then be > 0.
    bands : array_like, shape (n_samples,), optional
        Label of the band that each sample is in.

    Returns
    -------
    RegressorEvaluation

    Examples
    --------
    >>> print(evaluate_regressor([1.0, 2.0, 4.0], [1.1, 2.2, 4.4], relative=True))
    bias +10 %, resolution 1.51e-14 %, r2 0.955 (3 predictions)
    """
    truth = check_real("y", y, above=0 if relative else None)
    predicted = check_real("prediction", prediction)
    if truth.ndim != 1 or predicted.ndim != 1 or not len(truth):
        raise invalid("y and prediction", "one-dimensional and not empty", truth.shape)
    check_same_length(y=truth, prediction=predicted)
    difference = (predicted - truth) / (truth if relative else 1.0)
    spread = np.sum((truth - truth.mean()) ** 2)
    residual = np.sum((predicted - truth) ** 2)
    rows = []
    if bands is not None:
        label = np.asarray(bands)
        check_same_length(y=truth, bands=label)
        for band in np.unique(label):
            part = difference[label == band]
            rows.append((str(band), len(part), *_measure(part)))
    names, types = ("band", "n", "bias", "resolution"), [str, int, float, float]
    bias, resolution = _measure(difference)
    return RegressorEvaluation(
        n=len(truth),
        bias=bias,
        resolution=resolution,
        rms=float(np.sqrt(np.mean(difference**2))),
        r2=float(1 - residual / spread) if spread > 0 else float("nan"),
        relative=relative,
        bands=Table(rows=rows, names=names) if rows else Table(names=names, dtype=types),
    )


def _measure(difference: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(difference, _CENTRAL)
    return float(np.median(difference)), float((high - low) / 2)
