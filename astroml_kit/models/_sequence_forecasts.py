"""What lies between the windows of a forecaster and its network: targets in, distributions out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ._forecast import Forecast
from ._network_inputs import Scaler, TargetScaler
from ._sequence_member import SequenceMember
from ._sequence_windows import Windows, count_ahead, cut_windows

if TYPE_CHECKING:
    import torch

KINDS = {"quantiles": "pinball", "normal": "gaussian", "student": "student"}


class WindowedSequences(SequenceMember):
    """Learns what follows windows, relative to the last value in them."""

    horizon: int
    distribution: str
    quantiles: tuple[float, ...]
    n_history: int | None
    min_history: int
    n_windows: int | None
    target_column: int | None

    n_windows_: int
    n_skipped_: int
    _cut: Windows | None = None
    _targets: TargetScaler

    def _cut_windows(self, series: np.ndarray) -> Windows:
        return cut_windows(
            series,
            self._find_columns(),
            target=self._find_target(),
            horizon=int(self.horizon),
            n_history=self.n_history,
            shortest=int(self.min_history),
            most=self.n_windows,
        )

    def _find_target(self) -> int:
        values = self._find_columns().values
        if self.target_column is None:
            return values[0]
        if self.target_column not in values:
            raise ValueError(
                f"target_column must be a column of values, {list(values)}, got "
                f"{self.target_column}."
            )
        return int(self.target_column)

    def _count_ahead(self, X: np.ndarray) -> int:
        return count_ahead(X, self._find_columns())

    def _find_base(self, X: np.ndarray) -> np.ndarray:
        """Return the last value, brought to the band of each time to predict."""
        columns, target = self._find_columns(), self._find_target()
        n_past = X.shape[1] - self._count_ahead(X)
        length = (~np.isnan(X[:, :n_past, target])).sum(axis=1)
        last = X[np.arange(len(X)), length - 1]
        base = np.repeat(last[:, [target]], X.shape[1] - n_past, axis=1)
        if columns.band is None:
            return base
        centre = self._inputs.centre.reshape(len(self.band_labels_), -1)
        own = centre[:, columns.values.index(target)]
        before = own[np.searchsorted(self.band_labels_, last[:, [columns.band]])]
        return base - before + own[np.searchsorted(self.band_labels_, X[:, n_past:, columns.band])]

    def _measure_targets(
        self, target: np.ndarray, rows: np.ndarray, weight: np.ndarray | None
    ) -> np.ndarray:
        if self._cut is None:
            raise RuntimeError("targets are measured in fit only")
        change = target - self._find_base(self._cut.X)
        own = None if weight is None else np.repeat(weight, change.shape[1])
        self._targets = TargetScaler.measure(change[rows].reshape(-1, 1), own)
        return self._targets.transform(change)

    def _list_levels(self) -> tuple[float, ...]:
        """Levels in the order of the blocks of the network: the middle, below it, above it."""
        if self.distribution != "quantiles":
            return ()
        levels = [float(level) for level in self.quantiles]
        middle = self._find_middle()
        return (levels[middle], *reversed(levels[:middle]), *levels[middle + 1 :])

    def _find_middle(self) -> int:
        return int(np.argmin(np.abs(np.asarray(self.quantiles, dtype=float) - 0.5)))

    def _build_network(self) -> torch.nn.Module:
        from ._sequence_networks import ForecastHead, SequenceNetwork
        from ._sequence_scaler import count_inputs

        encoder = self._build_encoder()
        blocks = {"quantiles": len(self.quantiles), "normal": 2, "student": 3}
        head = ForecastHead(
            encoder.width,
            count_inputs(
                self._find_columns(), self.band_labels_, absolute=bool(self.absolute_time)
            ),
            hidden=int(self.hidden_size),
            n_blocks=blocks[self.distribution],
            n_below=self._find_middle() if self.distribution == "quantiles" else None,
            activation=self.activation,
            dropout=float(self.dropout),
        )
        return SequenceNetwork(encoder, self._build_pooling(encoder.width), head)

    def _forecast(self, X: np.ndarray, when: np.ndarray) -> Forecast:
        """Return the distribution for windows."""
        output = self._run(X)
        blocks = np.moveaxis(output.reshape(len(X), -1, when.shape[1]), 1, 0)
        scale, base = self._targets.scale[0], self._targets.mean[0] + self._find_base(X)
        if self.distribution == "quantiles":
            ordered = blocks[np.argsort(self._list_levels())]
            return Forecast(
                when, "quantiles", ordered * scale + base, tuple(map(float, self.quantiles))
            )
        import torch

        from ._networks import split_gaussian, split_student

        if self.distribution == "normal":
            mean, variance = (part.numpy() for part in split_gaussian(torch.from_numpy(output)))
            return Forecast(
                when, "normal", np.stack([mean * scale + base, np.sqrt(variance) * scale])
            )
        location, width, freedom = (
            part.numpy() for part in split_student(torch.from_numpy(output))
        )
        return Forecast(
            when, "student", np.stack([location * scale + base, width * scale, freedom])
        )

    def _check_kind(self) -> None:
        if self._kind != KINDS[self.distribution] or self.n_outputs_ != self.horizon:
            raise ValueError("kind and outputs must be those of the parameters")

    def _list_scalers(self) -> dict[str, Scaler]:
        return {"inputs": self._inputs, "targets": self._targets}

    def _read_scalers(self, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        super()._read_scalers(arrays)
        self._targets = TargetScaler.from_arrays(arrays["targets"])
        if self._targets.mean.shape != (1,):
            raise ValueError("the target scaler must have one entry")

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        state, weights = super()._get_fitted()
        counts = {"n_windows": self.n_windows_, "n_skipped": self.n_skipped_}
        return state | self._describe_series() | counts, weights

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        self._restore_series(state)
        self._find_target()
        self.n_windows_, self.n_skipped_ = int(state["n_windows"]), int(state["n_skipped"])
        super()._set_fitted(state, weights)
