"""What the neural members of the zoo share: parameters, fitting, running, saving.

A member says what its inputs are (`_measure_inputs`, `_transform_inputs`), what its network looks
like (`_build_network`) and what the outputs mean; everything between is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from .._validation import check_choice, check_real
from ._network_inputs import Scaler
from ._splitting import split_rows
from .cards import Carded

if TYPE_CHECKING:
    import torch

ACTIVATIONS = ("relu", "leaky_relu", "silu", "hardswish", "tanh", "sigmoid")
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "step", "plateau")
PRECISIONS = ("auto", "float32", "float64")
# Below this a held-out share is too small to stop on.
FEWEST_TO_STOP, FEWEST_GROUPS_TO_STOP = 1000, 10
MOST_LAYERS, MOST_WIDTH = 100, 2**16
# Neither changes what is learned.
OUTSIDE_PARAMETERS = ("cache", "checkpoint", "device", "n_jobs", "progress", "random_state")


class NeuralEstimator(Carded, BaseEstimator):
    """Fits a network to arrays and runs it; `__init__` only stores, as scikit-learn asks."""

    # Names that every member has; the members say them in their own signatures.
    activation: str
    dropout: float
    optimizer: str
    momentum: float
    learning_rate: float
    schedule: str
    schedule_epochs: int
    schedule_factor: float
    l1: float
    l2: float
    clip_norm: float | None
    batch_size: int
    max_epochs: int
    early_stopping: bool | str
    validation_fraction: float
    n_iter_no_change: int
    precision: str
    device: str
    n_jobs: int | None
    checkpoint: Any
    progress: bool
    random_state: int | np.random.RandomState | None

    module_: torch.nn.Module
    history_: Table
    best_epoch_: int
    interrupted_: bool
    n_outputs_: int
    _inputs: Any
    _dtype: str
    _kind: str
    _chunk = 4096

    def _check_parameters(self) -> None:
        for name in ("batch_size", "max_epochs", "n_iter_no_change", "schedule_epochs"):
            check_real(name, getattr(self, name), at_least=1, next_step="Give a whole number.")
        check_real("learning_rate", self.learning_rate, above=0)
        for name in ("l1", "l2"):
            check_real(name, getattr(self, name), at_least=0)
        for name in ("dropout", "momentum"):
            check_real(name, getattr(self, name), at_least=0, below=1)
        check_real("schedule_factor", self.schedule_factor, above=0, at_most=1)
        check_real("validation_fraction", self.validation_fraction, above=0, below=1)
        if self.clip_norm is not None:
            check_real("clip_norm", self.clip_norm, above=0, next_step="None does not clip.")
        check_real("n_jobs", self.n_jobs or 1, at_least=-1024, at_most=1024)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("early_stopping", self.early_stopping, (True, False, "auto"))
        if not isinstance(self.device, str):
            raise ValueError(f"device must be text like 'cpu' or 'cuda:0', got {self.device!r}.")

    def _build_network(self) -> torch.nn.Module:
        """Make the untrained network for ``n_outputs_`` outputs."""
        raise NotImplementedError

    def _check_rows(self, X: Any) -> np.ndarray:
        """Return the rows to score as an array of the shape of the training data."""
        raise NotImplementedError

    def _measure_inputs(self, X: np.ndarray, weight: np.ndarray | None) -> Scaler:
        """Measure what `_transform_inputs` needs on the rows to fit on."""
        raise NotImplementedError

    def _transform_inputs(self, X: np.ndarray) -> np.ndarray:
        """Return inputs for the network."""
        raise NotImplementedError

    def _read_scalers(self, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Take the scalers from the arrays of a model file, by prefix."""
        raise NotImplementedError

    def _list_scalers(self) -> dict[str, Scaler]:
        """Return the scalers by the prefix that they have in a model file."""
        return {"inputs": self._inputs}

    def _check_kind(self) -> None:
        """Raise unless kind, classes and outputs of a model file fit together."""
        raise NotImplementedError

    def _make_augment(self) -> Any:
        """Return what changes the inputs of a training batch, or None."""
        return None

    def _prepare_training(self, X: np.ndarray) -> np.ndarray:
        """Return the inputs to train on, where they differ from those to score."""
        return self._transform_inputs(X)

    def _prepare_held(self, X: np.ndarray) -> np.ndarray:
        """Return the inputs of the rows held out, which no `_make_augment` will change."""
        return self._transform_inputs(X)

    def _complete_network(self, network: torch.nn.Module) -> torch.nn.Module:
        """Return the network to keep, where only a part of it was trained."""
        return network

    def _get_scorer(self) -> torch.nn.Module:
        """Return the network that scores."""
        return self.module_

    def _list_origins(self) -> dict[str, Any]:
        """Return what else the outcome of a training depends on, for its checkpoint."""
        return {}

    def _get_backbone_rate(self) -> float:
        """Learning rate of pretrained weights, as a share of that of the others."""
        return 1.0

    def _list_levels(self) -> tuple[float, ...]:
        """Levels of the quantiles that the network learns, if it does."""
        return ()

    def _choose_dtype(self, device: str) -> str:
        """Double where it is affordable: results then do not depend on the company of a row."""
        if self.precision != "auto":
            return self.precision
        return "float64" if device == "cpu" else "float32"

    def _weigh_rows(
        self, X: np.ndarray, y: Any, weight: Any, groups: np.ndarray | None
    ) -> tuple[np.ndarray, Any, np.ndarray | None, np.ndarray | None]:
        """Check the weights and leave out the rows without one: they must change nothing."""
        if weight is None:
            return X, y, None, groups
        weight = _check_sample_weight(weight, X, ensure_non_negative=True, dtype=np.float64)
        kept = weight > 0
        if kept.all():
            return X, y, weight, groups
        return X[kept], y[kept], weight[kept], None if groups is None else groups[kept]

    def _train(
        self,
        X: np.ndarray,
        target: np.ndarray,
        weight: np.ndarray | None,
        groups: np.ndarray | None,
        *,
        kind: str,
        labels: np.ndarray | None = None,
        label_weights: tuple[tuple[float, float], ...] = (),
    ) -> None:
        """Fit on checked arrays whose rows all have a weight > 0; ``n_outputs_`` is set."""
        from ._checkpoints import Checkpoint, identify_training
        from ._training import Rows, TrainingOptions, find_device, train_network

        device = find_device(self.device)
        dtype = self._choose_dtype(device)
        drawn = int(check_random_state(self.random_state).randint(2**31 - 1))
        saved = None
        if self.checkpoint is not None:
            known = None if self.random_state is None else drawn
            options = self._list_parameters() | {"class": type(self).__name__, "seed": known}
            options |= self._list_origins()
            arrays = {"X": X, "y": target, "weight": weight, "groups": groups}
            identity = identify_training(options | {"dtype": dtype}, arrays)
            saved = Checkpoint(self.checkpoint, identity)
        seed = drawn if saved is None or saved.seed is None else saved.seed

        rows, held = np.arange(len(X)), None
        if self._stops_early(len(X), groups):
            rows, held = split_rows(
                labels, groups, n_samples=len(X), fraction=self.validation_fraction, seed=seed
            )
        own = None if weight is None else weight[rows]
        self._inputs = self._measure_inputs(X[rows], own)
        target = self._measure_targets(target, rows, own)

        def take(chosen: np.ndarray, inputs: np.ndarray) -> Rows:
            share = None if weight is None else weight[chosen]
            return Rows(inputs, target[chosen], share, dtype)

        training = TrainingOptions(
            kind=kind,
            optimizer=self.optimizer,
            momentum=float(self.momentum),
            learning_rate=float(self.learning_rate),
            schedule=self.schedule,
            schedule_epochs=int(self.schedule_epochs),
            schedule_factor=float(self.schedule_factor),
            l1=float(self.l1),
            l2=float(self.l2),
            clip_norm=None if self.clip_norm is None else float(self.clip_norm),
            batch_size=int(self.batch_size),
            max_epochs=int(self.max_epochs),
            n_iter_no_change=int(self.n_iter_no_change),
            seed=seed,
            device=device,
            dtype=dtype,
            n_threads=effective_n_jobs(self.n_jobs),
            progress=bool(self.progress),
            backbone_rate=self._get_backbone_rate(),
            levels=self._list_levels(),
            label_weights=label_weights,
        )
        trained = train_network(
            self._draw_network,
            take(rows, self._prepare_training(X[rows])),
            None if held is None else take(held, self._prepare_held(X[held])),
            options=training,
            augment=self._make_augment(),
            checkpoint=saved,
        )
        self.module_ = self._complete_network(trained.network)
        self._dtype, self._kind = dtype, kind
        self.best_epoch_, self.interrupted_ = trained.best_epoch, trained.interrupted
        self._write_history(trained.rows, kind)

    def _draw_network(self) -> torch.nn.Module:
        from ._networks import draw_weights

        network = self._build_network()
        draw_weights(network, activation=self.activation)
        return network

    def _measure_targets(
        self, target: np.ndarray, rows: np.ndarray, weight: np.ndarray | None
    ) -> np.ndarray:
        """Return the targets as the network learns them."""
        return target

    def _stops_early(self, n_samples: int, groups: np.ndarray | None) -> bool:
        if self.early_stopping != "auto":
            return bool(self.early_stopping)
        enough = groups is None or len(np.unique(groups)) >= FEWEST_GROUPS_TO_STOP
        return n_samples >= FEWEST_TO_STOP and enough

    def _list_parameters(self) -> dict[str, Any]:
        """Parameters that change what is learned."""
        return {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in OUTSIDE_PARAMETERS
        }

    def _write_history(self, rows: list[dict[str, float]], kind: str) -> None:
        from ._training_steps import METRICS

        table = Table(rows=rows)
        table["epoch"] = table["epoch"].astype(int)
        table.meta["metric"] = METRICS.get(kind, "r2")
        table.meta["best_epoch"] = self.best_epoch_
        self.history_ = table

    def _run(self, X: np.ndarray) -> np.ndarray:
        """Return the outputs of the network for checked rows, shape (n_samples, n_outputs)."""
        starts = range(0, len(X), self._chunk)
        chunks = (self._transform_inputs(X[start : start + self._chunk]) for start in starts)
        return self._pass(self._get_scorer(), chunks, dtype=self._dtype)

    def _apply(self, network: torch.nn.Module, inputs: np.ndarray, *, dtype: str) -> np.ndarray:
        """Return what a network makes of inputs, float64."""
        starts = range(0, len(inputs), self._chunk)
        chunks = (inputs[start : start + self._chunk] for start in starts)
        return self._pass(network, chunks, dtype=dtype)

    def _pass(
        self, network: torch.nn.Module, chunks: Iterable[np.ndarray], *, dtype: str
    ) -> np.ndarray:
        from ._training import find_device, run_network

        device, n_threads = find_device(self.device), effective_n_jobs(self.n_jobs)
        return run_network(network, chunks, device=device, dtype=dtype, n_threads=n_threads)

    def __getstate__(self) -> dict[str, Any]:
        # a network on a graphics card would not unpickle on a machine without one
        if hasattr(self, "module_"):
            self.module_.to("cpu")
        return super().__getstate__()

    def _export_weights(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the weights by the names that a model file gives them."""
        return arrays

    def _import_weights(
        self, network: torch.nn.Module, arrays: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Return the weights of a model file by the names that ``network`` gives them."""
        return arrays

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Fitted state as plain values and one piece of safetensors, for `save_model`."""
        from ._tensors import write_tensors

        check_is_fitted(self)
        history = {
            name: [None if np.isnan(value) else value for value in self.history_[name].tolist()]
            for name in self.history_.colnames
        }
        state: dict[str, Any] = {
            "kind": self._kind,
            "n_outputs": self.n_outputs_,
            "dtype": self._dtype,
            "best_epoch": self.best_epoch_,
            "interrupted": self.interrupted_,
            "history": history,
        }
        held = self.module_.state_dict()
        plain = {name: value.detach().cpu().numpy() for name, value in held.items()}
        named = self._export_weights(plain)
        arrays = {f"module.{name}": value for name, value in named.items()}
        for prefix, scaler in self._list_scalers().items():
            arrays |= {f"{prefix}.{name}": value for name, value in scaler.to_arrays().items()}
        return state, {"network.safetensors": write_tensors(arrays)}

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        """Inverse of `_get_fitted`; nothing is allocated that the file does not hold."""
        import torch

        from ._tensors import read_tensors, take_prefixed

        (data,) = weights.values()
        arrays = read_tensors(data)
        self._kind, self.n_outputs_ = str(state["kind"]), state["n_outputs"]
        self._dtype = check_choice("dtype", state["dtype"], PRECISIONS[1:])
        self.best_epoch_, self.interrupted_ = int(state["best_epoch"]), bool(state["interrupted"])
        if type(self.n_outputs_) is not int or not 1 <= self.n_outputs_ < MOST_WIDTH:
            raise ValueError("n_outputs must be a positive integer")
        self._check_kind()
        self._read_scalers({
            prefix: take_prefixed(arrays, f"{prefix}.") for prefix in ("inputs", "targets")
        })  # fmt: skip
        with torch.device("meta"):
            network = self._build_network()
        stored = self._import_weights(network, take_prefixed(arrays, "module."))
        wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        given = {name: array.shape for name, array in stored.items()}
        if wanted != given or {array.dtype.name for array in stored.values()} != {self._dtype}:
            raise ValueError("the weights must have the names, shapes and type of the network")
        network.load_state_dict(
            {name: torch.from_numpy(array.copy()) for name, array in stored.items()}, assign=True
        )
        self.module_ = network.requires_grad_(True).eval()
        columns = {
            str(name): [np.nan if value is None else float(value) for value in values]
            for name, values in state["history"].items()
        }
        length = len(columns["epoch"])
        rows = [{name: columns[name][k] for name in columns} for k in range(length)]
        self._write_history(rows, self._kind)
