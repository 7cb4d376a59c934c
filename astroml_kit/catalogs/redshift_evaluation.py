"""What photometric redshifts are worth: scatter, outliers, bias, and whether errors hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from astropy.table import QTable

from .._validation import check_real, check_same_length, invalid

NMAD = 1.4826  # brings the median absolute deviation of a normal distribution to its sigma
OUTLIERS = (0.05, 0.15)
N_PIT_BINS = 20
MEASURES = ("bias", "sigma_nmad", "outliers_05", "outliers_15", "coverage", "width", "crps")


@dataclass(frozen=True, eq=False)
class RedshiftEvaluation:
    """Photometric against spectroscopic redshifts; dz is (z_phot - z_spec) / (1 + z_spec).

    Attributes
    ----------
    n : int
        Sources.
    bias : float
        Median dz.
    sigma_nmad : float
        1.4826 times the median of ``|dz - bias|``.
    outliers_05, outliers_15 : float
        Shares with ``|dz|`` beyond 0.05 and 0.15.
    nominal, coverage, width : float
        What intervals promise, the share that holds the truth, and their mean width; NaN without
        intervals.
    crps : float
        Mean continuous ranked probability score, in redshift; NaN without quantiles.
    pit_distance : float
        Largest distance of the cumulative distribution of the PIT from the even one
        (Kolmogorov-Smirnov); NaN without PIT.
    pit_noise : float
        What ``pit_distance`` is below in 95 of 100 samples of this size if the PIT is even:
        1.36 / sqrt(n).
    pit_counts : ndarray, shape (20,)
        Sources per bin of the PIT from 0 to 1.
    by_magnitude, by_redshift : QTable
        A row per bin of equal numbers: ``low``, ``high``, ``n`` and the measures above. No rows
        without magnitudes.
    """

    n: int
    bias: float
    sigma_nmad: float
    outliers_05: float
    outliers_15: float
    nominal: float
    coverage: float
    width: float
    crps: float
    pit_distance: float
    pit_noise: float
    pit_counts: np.ndarray = field(repr=False)
    by_magnitude: QTable = field(repr=False)
    by_redshift: QTable = field(repr=False)

    @property
    def pit_deviation(self) -> float:
        """Largest departure of a tenth of the PIT from its share, relative to that share."""
        if not self.pit_counts.sum():
            return float("nan")
        tenths = self.pit_counts.reshape(10, -1).sum(axis=1) / self.pit_counts.sum()
        return float(np.abs(10 * tenths - 1).max())

    def __str__(self) -> str:
        text = (
            f"sigma_NMAD {self.sigma_nmad:.4f}, {self.outliers_05:.2%} beyond 0.05, "
            f"{self.outliers_15:.2%} beyond 0.15, bias {self.bias:+.4f}"
        )
        if np.isfinite(self.coverage):
            text += (
                f"; {self.nominal:.0%} intervals hold {self.coverage:.1%}, width {self.width:.4f}"
            )
        if np.isfinite(self.pit_distance):
            text += f"; PIT within {self.pit_distance:.2%} (noise {self.pit_noise:.2%})"
        return f"{text} ({self.n} sources)"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, what is not finite as None: ready for JSON."""
        tables = ("by_magnitude", "by_redshift")
        plain: dict[str, Any] = {k: v for k, v in asdict(self).items() if k not in tables}
        plain |= {"pit_counts": self.pit_counts.tolist(), "pit_deviation": self.pit_deviation}
        plain = {k: _write_number(v) for k, v in plain.items()}
        for name in tables:
            table = getattr(self, name)
            plain[name] = {c: [_write_number(v) for v in table[c].tolist()] for c in table.colnames}
        return plain


def evaluate_redshifts(
    z_true: Any,
    z_pred: Any,
    *,
    intervals: Any = None,
    nominal: float = 0.9,
    pit: Any = None,
    quantiles: Any = None,
    levels: Any = None,
    magnitude: Any = None,
    n_bins: int = 5,
) -> RedshiftEvaluation:
    """Measure photometric redshifts against spectroscopic ones.

    Parameters
    ----------
    z_true, z_pred : array_like of float, shape (n_sources,)
        Spectroscopic redshifts, above -1, and estimates.
    intervals : array_like of float, shape (n_sources, 2), optional
        Lower and upper ends.
    nominal : float
        What share of the truth they promise to hold.
    pit : array_like of float, shape (n_sources,), optional
        Probability that each distribution gives to less than the true redshift,
        ``RedshiftEstimator.predict_cdf(table, z_true)``.
    quantiles, levels : array_like of float, shapes (n_sources, n_levels) and (n_levels,), optional
        Quantiles of the distributions at ascending levels, for the CRPS (twice the pinball loss,
        integrated over the levels: 20 or more). Without ``pit`` also for the PIT, linear between
        levels.
    magnitude : array_like, shape (n_sources,), optional
        For results by magnitude; sources without one are left out of these.
    n_bins : int
        Bins of magnitude and of true redshift, with equal numbers.

    Returns
    -------
    RedshiftEvaluation

    Raises
    ------
    ValueError
        When lengths differ, or something is NaN or out of range.

    Notes
    -----
    In bins of the true redshift intervals cannot hold what they promise: near the ends of the
    range an estimate can only err to one side. Coverage is to be asked of what is known beforehand,
    such as the magnitude.

    References
    ----------
    sigma_NMAD: Brammer, van Dokkum & Coppi 2008, doi:10.1086/591786. PIT and CRPS: Polsterer,
    D'Isanto & Gieseke 2016, arXiv:1608.08016.

    Examples
    --------
    >>> print(evaluate_redshifts([0.0, 0.1, 1.0, 0.25], [0.01, 0.1, 1.0, 0.5], n_bins=1))
    sigma_NMAD 0.0074, 25.00% beyond 0.05, 25.00% beyond 0.15, bias +0.0050 (4 sources)
    """
    z = check_real("z_true", z_true, above=-1)
    estimate = check_real("z_pred", z_pred)
    if z.ndim != 1 or not len(z):
        raise invalid("z_true", "one number per source, at least one", z_true)
    check_same_length(z_true=z, z_pred=estimate, intervals=intervals, pit=pit,
                      quantiles=quantiles, magnitude=magnitude)  # fmt: skip
    check_real("n_bins", n_bins, at_least=1, next_step="Give a whole number.")
    check_real("nominal", nominal, above=0, below=1)
    nothing = np.full(len(z), np.nan)
    columns = {"dz": (estimate - z) / (1 + z), "inside": nothing, "width": nothing, "crps": nothing}
    if intervals is not None:
        columns["inside"], columns["width"] = _compare_intervals(z, intervals)
    if quantiles is not None:
        levels, quantiles = _check_quantiles(levels, quantiles)
        columns["crps"] = _find_crps(z, quantiles, levels)
        if pit is None:
            pit = _interpolate_pit(z, quantiles, levels)
    pit = np.zeros(0) if pit is None else check_real("pit", pit, at_least=0, at_most=1)
    steps = np.arange(len(pit) + 1) / max(len(pit), 1)
    ordered = np.sort(pit)
    distance = np.maximum(ordered - steps[:-1], steps[1:] - ordered).max() if len(pit) else np.nan
    values = None if magnitude is None else _read_magnitude(magnitude)
    return RedshiftEvaluation(
        n=len(z),
        nominal=float(nominal),
        **_measure(columns, np.ones(len(z), dtype=bool)),
        pit_distance=float(distance),
        pit_noise=float(1.36 / np.sqrt(len(pit))) if len(pit) else float("nan"),
        pit_counts=np.histogram(pit, N_PIT_BINS, (0, 1))[0],
        by_magnitude=_tabulate(columns, values, int(n_bins)),
        by_redshift=_tabulate(columns, z, int(n_bins)),
    )


def _measure(columns: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, float]:
    dz = columns["dz"][rows]
    bias = float(np.median(dz))
    return {
        "bias": bias,
        "sigma_nmad": float(NMAD * np.median(np.abs(dz - bias))),
        **{f"outliers_{100 * edge:02.0f}": float(np.mean(np.abs(dz) > edge)) for edge in OUTLIERS},
        "coverage": float(np.mean(columns["inside"][rows])),
        "width": float(np.mean(columns["width"][rows])),
        "crps": float(np.mean(columns["crps"][rows])),
    }


def _tabulate(columns: Mapping[str, np.ndarray], values: Any, n_bins: int) -> QTable:
    names = ("low", "high", "n", *MEASURES)
    rows = []
    if values is not None and np.isfinite(values).any():
        known = values[np.isfinite(values)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, n_bins + 1)))
        place = np.searchsorted(edges[1:-1], values, side="right")
        for k in range(max(len(edges) - 1, 1)):
            mine = np.isfinite(values) & (place == k)
            if mine.any():
                measured = _measure(columns, mine)
                ends = (edges[k], edges[min(k + 1, len(edges) - 1)])
                rows.append((*ends, int(mine.sum()), *(measured[name] for name in MEASURES)))
    table = np.array(rows).reshape(len(rows), len(names))
    return QTable([*table[:, :2].T, table[:, 2].astype(int), *table[:, 3:].T], names=names)


def _compare_intervals(z: np.ndarray, intervals: Any) -> tuple[np.ndarray, np.ndarray]:
    ends = np.asarray(intervals, dtype=float)
    if ends.ndim != 2 or ends.shape[1] != 2 or np.isnan(ends).any():
        raise invalid("intervals", "a lower and an upper end per source, without NaN", intervals)
    if np.any(ends[:, 0] > ends[:, 1]):
        raise invalid("intervals", "ascending: lower end first", intervals, "Swap the columns.")
    low, high = ends.T
    return ((low <= z) & (z <= high)).astype(float), high - low


def _check_quantiles(levels: Any, quantiles: Any) -> tuple[np.ndarray, np.ndarray]:
    if levels is None:
        raise ValueError("levels must be given with quantiles, got None. Give those asked for.")
    levels = np.atleast_1d(check_real("levels", levels, above=0, below=1))
    quantiles = check_real("quantiles", quantiles)
    if quantiles.ndim != 2 or quantiles.shape[1] != len(levels) or len(levels) < 2:
        raise invalid("quantiles", f"of shape (n_sources, {len(levels)})", quantiles)
    if np.any(np.diff(levels) <= 0) or np.any(np.diff(quantiles, axis=1) < 0):
        raise invalid("levels", "ascending, and quantiles with them", levels, "Sort them.")
    return levels, quantiles


def _find_crps(z: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Twice the pinball loss over all levels; the outermost stand for what lies beyond."""
    edges = np.concatenate([[0.0], 0.5 * (levels[1:] + levels[:-1]), [1.0]])
    miss = z[:, None] - quantiles
    return 2 * np.maximum(levels * miss, (levels - 1) * miss) @ np.diff(edges)


def _interpolate_pit(z: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Level of the truth; beyond the outermost quantile half of what is left."""
    ends = (0.5 * levels[0], 0.5 * (1 + levels[-1]))
    return np.array(
        [np.interp(value, row, levels, left=ends[0], right=ends[1])
         for value, row in zip(z, quantiles, strict=True)]
    )  # fmt: skip


def _read_magnitude(magnitude: Any) -> np.ndarray:
    plain = getattr(magnitude, "value", magnitude)
    values = np.ma.filled(np.ma.asarray(plain).astype(float), np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _write_number(value: Any) -> Any:
    """JSON has neither NaN nor infinity."""
    return None if isinstance(value, float) and not np.isfinite(value) else value
