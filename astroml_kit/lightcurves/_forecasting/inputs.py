"""What forecasters are given: one band of one curve on a scale where changes are ratios."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np
from astropy.time import Time
from scipy.special import ndtri

from ..._validation import check_choice, check_real
from ..curves import LightCurve
from .state_space import ABOVE, BELOW, MEASURED, MISSING

LEAST = 20  # steps that a forecaster learns from
MEMORY = 3.0  # measurements over which the expected flux runs
LIMITS = ("censored", "value", "drop")
Covariates = Callable[[Time], np.ndarray]


@dataclass(frozen=True)
class Steps:
    """Steps in time order; values are log10 of the flux in ``unit``, or magnitudes.

    ``error`` is that of the value as measured, ``expected_error`` what the same error is on top
    of the flux that earlier steps let expect; ``kind`` is of `_state_space`; ``is_limit`` marks
    limits however they are treated. ``time`` counts days from ``start``. What the curve says is
    ``given``; it differs from ``value`` where that is the bound that a limit stands for.
    """

    time: np.ndarray
    value: np.ndarray
    given: np.ndarray
    error: np.ndarray
    expected_error: np.ndarray
    kind: np.ndarray
    is_limit: np.ndarray
    start: Time
    unit: u.UnitBase
    n_masked: int
    covariates: KnownCovariates | None = None

    def __len__(self) -> int:
        return len(self.time)

    @property
    def is_magnitude(self) -> bool:
        """Whether values are magnitudes: the larger the fainter."""
        return self.unit == u.mag

    @property
    def interval(self) -> float:
        """Typical days between steps."""
        apart = np.diff(self.time)
        return float(np.median(apart[apart > 0])) if (apart > 0).any() else 1.0

    def take(self, n: int) -> Steps:
        """Return the first ``n`` steps: the past."""
        return self.cut(slice(0, n))

    def cut(self, rows: slice) -> Steps:
        """Return some of the steps."""
        parts = ("time", "value", "given", "error", "expected_error", "kind", "is_limit")
        return replace(self, **{name: getattr(self, name)[rows] for name in parts})

    def list_covariates(self, time: np.ndarray) -> np.ndarray:
        """Return what is known beforehand at times, shape (n, n_covariates)."""
        if self.covariates is None:
            return np.zeros((len(time), 0))
        return self.covariates.list_rows(time)


class KnownCovariates:
    """Asks for every time once: fits and forecasts come back to the same ones again and again."""

    def __init__(self, find: Covariates, start: Time) -> None:
        self.find, self.start = find, start
        self._rows: dict[float, np.ndarray] = {}

    def list_rows(self, time: np.ndarray) -> np.ndarray:
        """Return covariates at days since the start, shape (n, n_covariates)."""
        new = np.array([day for day in dict.fromkeys(time.tolist()) if day not in self._rows])
        if len(new):
            known = np.asarray(self.find(self.start + new * u.day), dtype=np.float64)
            known = known[:, None] if known.ndim == 1 else known
            if known.ndim != 2 or len(known) != len(new) or not np.isfinite(known).all():
                raise ValueError(
                    f"covariates must return a row of finite numbers for each of {len(new)} times, "
                    f"got shape {known.shape}. They are called with Time and must know the future."
                )
            self._rows.update(zip(new.tolist(), known, strict=True))
        return np.array([self._rows[day] for day in time.tolist()])


def prepare_steps(
    curve: LightCurve, *, limits: str = "censored", covariates: Covariates | None = None
) -> Steps:
    """Check one curve and put it on its scale; what is masked is left out, but for limits."""
    check_choice("limits", limits, LIMITS)
    if not isinstance(curve, LightCurve):
        raise ValueError(f"curve must be a LightCurve, got {type(curve).__name__}. Select one.")
    if curve.band is not None and len(bands := np.unique(curve.band)) > 1:
        raise ValueError(
            f"curve must have one band, got {bands.tolist()}. Select one: curve.select(curve.band "
            f"== {str(bands[0])!r})."
        )
    is_limit = np.zeros(len(curve), bool) if curve.limit is None else np.asarray(curve.limit)
    used = ~np.asarray(curve.mask) | is_limit
    days = (curve.time - curve.time[0]).to_value("day") if len(curve) else np.zeros(0)
    if np.any(np.diff(days) < 0):
        raise ValueError("curve must be in time order, got times that go back. Sort its steps.")
    if (n := int((used & ~is_limit).sum())) < LEAST:
        raise ValueError(
            f"curve must have {LEAST} measured steps or more, got {n} that are not masked. "
            "A forecast has nothing to learn from."
        )
    value = curve.value.value[used]
    error = np.zeros(len(value)) if curve.error is None else curve.error.value[used].copy()
    is_limit, days = is_limit[used], days[used]
    magnitude = curve.value.unit == u.mag
    if not magnitude:
        check_real(
            "value", value, above=0,
            next_step="Forecasts are of log flux: mask such steps, or mark them as limits.",
        )  # fmt: skip
        error = np.where(is_limit, value / 2, error)  # what 95 % confidence means, near enough
        own, expected = _take_logarithm(value, error)
        value = np.log10(value)
    else:
        error = np.where(is_limit, np.nanmedian(np.where(is_limit, np.nan, error)), error)
        own = expected = check_real("error", error, at_least=0)
    censored = ABOVE if magnitude else BELOW
    code = {"censored": censored, "value": MEASURED, "drop": MISSING}[limits]
    kind = np.where(is_limit, code, MEASURED).astype(np.int64)
    given = value
    if limits == "censored":
        expected = np.where(is_limit, own, expected)
        shift = _find_shift(curve) * own * (-1 if magnitude else 1)
        value = np.where(is_limit, value - shift, value)
    return Steps(
        days, value, given, own, expected, kind, is_limit, curve.time[0], curve.value.unit,
        int(len(curve) - used.sum()),
        None if covariates is None else KnownCovariates(covariates, curve.time[0]),
    )  # fmt: skip


def _find_shift(curve: LightCurve) -> float:
    """Return how many errors a limit is above what would have been measured.

    A limit of confidence c is where a true flux would look as faint with probability 1 - c. Where
    the curve does not tell one, its limits are thresholds that measurements stayed below.
    """
    confidence = curve.meta.get("limit_confidence", 0.5)
    return float(ndtri(check_real("limit_confidence", confidence, at_least=0.5, below=1)))


def _take_logarithm(value: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return errors in dex, as measured and on top of the flux that was expected.

    A value that scatters low has the larger error in dex, and would count less than one that
    scatters high: whatever weighs with it is too bright. The error at the flux that earlier steps
    let expect does not know how the value scattered.
    """
    error = check_real("error", error, at_least=0)
    level = np.log10(value)
    running, expected = level[0], np.empty(len(level))
    for i, now in enumerate(level):
        expected[i] = running
        running += (now - running) / MEMORY
    return error / value / np.log(10), error / 10**expected / np.log(10)
