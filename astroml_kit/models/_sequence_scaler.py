"""Steps as a network learns them: intervals for times, standardised values, errors and bands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ._network_inputs import Scaler, measure_columns
from ._sequence_inputs import Columns

SMALLEST_SHARE = 1e-3  # of the median interval: shorter ones differ little
# What `clock` and `lead` hold, in this order.
CLOCK = ("floor", "unit", "span", "log_mean", "log_scale", "time_mean", "time_scale")
LEAD = ("log_mean", "log_scale", "mean", "scale")


@dataclass(frozen=True)
class SequenceScaler(Scaler):
    """Ranges of the training series.

    ``clock`` is of intervals and times, ``lead`` of how far the times to predict are ahead;
    ``centre`` has one entry per band and value, ``spread`` per value, the rest per error.
    """

    bands: np.ndarray
    clock: np.ndarray
    lead: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    error_mean: np.ndarray
    error_scale: np.ndarray

    @classmethod
    def measure(
        cls,
        X: np.ndarray,
        weight: np.ndarray | None,
        *,
        columns: Columns,
        bands: np.ndarray,
        normalise: str | None,
        absolute: bool,
        n_ahead: int = 0,
    ) -> SequenceScaler:
        """Measure padded series whose last ``n_ahead`` steps are to be predicted."""
        past = X[:, : X.shape[1] - n_ahead]
        seen = ~np.isnan(past[..., columns.values[0]])
        own = np.broadcast_to((np.ones(len(X)) if weight is None else weight)[:, None], seen.shape)
        time = _read_times(X, columns, n_ahead)
        step = np.diff(time[:, : past.shape[1]], axis=1)
        steps = step[~np.isnan(step)]
        unit = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0
        floor = SMALLEST_SHARE * unit
        log_mean, log_scale = _measure(np.log(steps + floor), own[:, 1:][~np.isnan(step)])
        when = time[:, : past.shape[1]]
        time_mean, time_scale = _measure(when[seen], own[seen]) if absolute else (0.0, 1.0)
        span = max(float(np.nanmax(np.nanmax(time, axis=1) - time[:, 0])) / unit, 1.0)
        lead = [0.0, 1.0, 0.0, 1.0]
        if n_ahead:
            ahead = _find_leads(time, n_ahead)
            share = np.broadcast_to(own[:, :1], ahead.shape).ravel()
            lead = [
                *_measure(np.log(ahead + floor).ravel(), share),
                *_measure(ahead.ravel(), share),
            ]
        n_values = len(columns.values)
        centre, spread = np.zeros((len(bands), n_values)), np.ones(n_values)
        if normalise is not None:
            values, band = past[..., columns.values], _find_bands(past, columns, bands)
            overall, _ = measure_columns(values[seen], own[seen])
            for k in range(len(bands)):
                here = seen & (band == k)
                centre[k] = measure_columns(values[here], own[here])[0] if here.any() else overall
            values = values - centre[band]
            if normalise == "sample":
                values = values - _average(values)
            spread = measure_columns(values[seen], own[seen])[1]
        errors = np.log(past[..., columns.errors][seen])
        error_mean, error_scale = np.zeros(0), np.zeros(0)
        if columns.errors:
            error_mean, error_scale = measure_columns(errors, own[seen])
        clock = [floor, unit, span, log_mean, log_scale, time_mean, time_scale]
        return cls(
            bands, np.array(clock), np.array(lead), centre.ravel(), spread, error_mean, error_scale
        )

    def check(self) -> None:
        """Raise unless the arrays are finite, of the lengths they have, and scales positive."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value.dtype != np.float64 or value.ndim != 1 or not np.isfinite(value).all():
                raise ValueError(f"{field.name} must be a list of finite numbers.")
        positive = [*self.clock[[0, 1, 2, 4, 6]], *self.lead[1::2], *self.spread, *self.error_scale]
        if len(self.clock) != len(CLOCK) or len(self.lead) != len(LEAD) or min(positive) <= 0:
            raise ValueError("clock, lead and the scales must have their entries, scales > 0.")
        if len(self.bands) < 1 or len(self.centre) != len(self.bands) * len(self.spread):
            raise ValueError("centre must have one entry per band and value.")
        if len(self.error_mean) != len(self.error_scale) or (np.diff(self.bands) <= 0).any():
            raise ValueError("bands must ascend, and errors have a mean and a scale.")

    @property
    def span(self) -> float:
        """Longest training series in typical intervals."""
        return float(self.clock[2])

    def transform(
        self,
        X: np.ndarray,
        *,
        columns: Columns,
        normalise: str | None,
        absolute: bool,
        n_ahead: int = 0,
    ) -> np.ndarray:
        """Return inputs for the network, as `_sequence_networks` describes them."""
        floor, unit, _, log_mean, log_scale, time_mean, time_scale = self.clock
        n_past = X.shape[1] - n_ahead
        past = X[:, :n_past]
        seen = ~np.isnan(past[..., columns.values[0]])
        time, band = _read_times(X, columns, n_ahead), _find_bands(X, columns, self.bands)
        values = (
            past[..., columns.values] - self.centre.reshape(len(self.bands), -1)[band[:, :n_past]]
        )
        if normalise == "sample":
            values = values - _average(values)
        step = np.diff(time[:, :n_past], axis=1)
        parts = [
            np.pad((np.log(step + floor) - log_mean) / log_scale, ((0, 0), (1, 0)))[..., None],
            values / self.spread,
        ]
        if columns.errors:
            parts.append((np.log(past[..., columns.errors]) - self.error_mean) / self.error_scale)
        if absolute:
            parts.append(((time[:, :n_past] - time_mean) / time_scale)[..., None])
        features = np.concatenate(parts, axis=2)
        width = features.shape[2]
        wide = len(self.bands) if len(self.bands) > 1 else 0
        inputs = np.zeros((*X.shape[:2], 2 + width + wide))
        inputs[:, :n_past, 0] = seen
        inputs[:, :n_past, 1] = np.where(seen, (time[:, :n_past] - time[:, :1]) / unit, 0)
        inputs[:, :n_past, 2 : 2 + width] = np.where(seen[..., None], features, 0)
        if n_ahead:
            ahead = _find_leads(time, n_ahead)
            inputs[:, n_past:, 0] = -1
            inputs[:, n_past:, 2] = (np.log(ahead + floor) - self.lead[0]) / self.lead[1]
            inputs[:, n_past:, 3] = (ahead - self.lead[2]) / self.lead[3]
        if wide:
            inputs[..., 2 + width :] = (band[..., None] == np.arange(wide)) & (inputs[..., :1] != 0)
        return inputs

    @property
    def n_values(self) -> int:
        """Values per step."""
        return len(self.spread)


def count_inputs(columns: Columns, bands: np.ndarray, *, absolute: bool) -> int:
    """Return the number of features of a step, without the two columns before them."""
    wide = len(bands) if len(bands) > 1 else 0
    return 1 + len(columns.values) + len(columns.errors) + int(absolute) + wide


def _measure(values: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    if values.size == 0:
        return 0.0, 1.0
    mean, scale = measure_columns(values[:, None], weight)
    return float(mean[0]), float(scale[0])


def _average(values: np.ndarray) -> np.ndarray:
    """Mean of each series, with an axis for the steps."""
    seen = ~np.isnan(values)
    return np.where(seen, values, 0).sum(axis=1, keepdims=True) / seen.sum(axis=1, keepdims=True)


def _read_times(X: np.ndarray, columns: Columns, n_ahead: int) -> np.ndarray:
    """Times of the steps, NaN in the padding; steps without a time are counted."""
    if columns.time is not None:
        return X[..., columns.time]
    past = X[:, : X.shape[1] - n_ahead, columns.values[0]]
    count = np.where(np.isnan(past), np.nan, np.arange(past.shape[1], dtype=float))
    length = (~np.isnan(past)).sum(axis=1, keepdims=True)
    return np.concatenate([count, length + np.arange(n_ahead, dtype=float)], axis=1)


def _find_leads(time: np.ndarray, n_ahead: int) -> np.ndarray:
    """How far the last ``n_ahead`` times are behind the last one before them."""
    last = np.nanmax(time[:, : time.shape[1] - n_ahead], axis=1)
    return time[:, time.shape[1] - n_ahead :] - last[:, None]


def _find_bands(X: np.ndarray, columns: Columns, bands: np.ndarray) -> np.ndarray:
    """Return the number of the band of each step; 0 in the padding."""
    if columns.band is None:
        return np.zeros(X.shape[:2], dtype=int)
    band = X[..., columns.band]
    return np.searchsorted(bands, np.where(np.isnan(band), bands[0], band))


def read_scaler(arrays: Mapping[str, np.ndarray], *, columns: Columns, bands: np.ndarray) -> Any:
    """Return the scaler of a model file, once it fits the columns and bands."""
    scaler = SequenceScaler.from_arrays(arrays)
    sizes = (len(scaler.spread), len(scaler.error_mean))
    if sizes != (len(columns.values), len(columns.errors)) or (
        scaler.bands.tolist() != bands.tolist()
    ):
        raise ValueError("the input scaler must have one entry per column and band")
    return scaler
