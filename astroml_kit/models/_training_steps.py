"""The steps of a training between the batches, as skorch callbacks that can be resumed.

The state of a training is its weights, its optimiser, torch's random numbers and one row per epoch
so far. Learning rate and early stopping are functions of those rows, so a resumed training cannot
differ from one that was never interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import expit, softmax
from sklearn.metrics import roc_auc_score
from skorch.callbacks import Callback

if TYPE_CHECKING:
    from ._checkpoints import Checkpoint
    from ._training import TrainingOptions

METRICS = {
    "binary": "auc",
    "multiclass": "accuracy",
    "multilabel": "accuracy",
    "votes": "mean absolute error of the vote fractions",
    "contrastive": "share of views whose partner is nearest, among 256",
}  # otherwise r2
MOST_COMPARED = 256
Row = dict[str, float]


def find_rate(rows: Sequence[Row], options: TrainingOptions) -> float:
    """Return the learning rate of the epoch that follows ``rows``."""
    start, epoch = options.learning_rate, len(rows)
    if options.schedule == "cosine":
        return start * 0.5 * (1 + math.cos(math.pi * epoch / options.max_epochs))
    if options.schedule == "step":
        return start * options.schedule_factor ** (epoch // options.schedule_epochs)
    if options.schedule == "plateau":
        return start * options.schedule_factor ** count_plateaus(rows, options.schedule_epochs)
    return start


def get_loss(row: Row) -> float:
    """Return the loss that decides: of the validation rows where there are any."""
    return row.get("valid_loss", row["train_loss"])


def count_plateaus(rows: Sequence[Row], patience: int) -> int:
    """How often ``patience`` epochs have passed without a lower loss."""
    lowest, waited, plateaus = math.inf, 0, 0
    for row in rows:
        if get_loss(row) < lowest:
            lowest, waited = get_loss(row), 0
            continue
        waited += 1
        if waited == patience:
            waited, plateaus = 0, plateaus + 1
    return plateaus


class ScheduledRate(Callback):
    """Sets the learning rate of each epoch."""

    def __init__(self, recorder: EpochRecorder, options: TrainingOptions) -> None:
        self.recorder, self.options = recorder, options

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Compute the rate from what was recorded."""
        rate = find_rate(self.recorder.rows, self.options)
        self.recorder.rate = rate
        for group in net.optimizer_.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)


class L1Shrinkage(Callback):
    """Decoupled L1 penalty: each step moves every weight towards zero, and no further.

    This is the proximal step of the penalty; unlike its gradient it reaches exact zeros.
    """

    def __init__(self, l1: float) -> None:
        self.l1 = l1

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Shrink the weights, not the biases."""
        if not (training and self.l1 > 0):
            return
        with torch.no_grad():
            for group in net.optimizer_.param_groups:
                for weight in group["params"]:
                    if weight.ndim > 1 and weight.requires_grad:
                        step = self.l1 * group["lr"]
                        weight.copy_(torch.nn.functional.softshrink(weight, step))


class EpochRecorder(Callback):
    """Writes one row per epoch: losses, metrics and learning rate.

    The training metric is that of the outputs while learning, so dropout and augmentation are on.
    """

    def __init__(self, *, kind: str) -> None:
        self.kind = kind
        self.rows: list[Row] = []
        self.rate = math.nan
        self._seen: dict[str, list[tuple[np.ndarray, ...]]] = {}

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Forget the outputs of the epoch before."""
        self._seen = {"train": [], "valid": []}

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Keep the outputs of the batch."""
        target, weight = batch[1]
        arrays = (kwargs["y_pred"].detach(), target, weight)
        self._seen["train" if training else "valid"].append(
            tuple(array.cpu().numpy() for array in arrays)
        )

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write the row."""
        row = {"epoch": float(len(self.rows) + 1)}
        seen = {name: parts for name, parts in self._seen.items() if parts}
        for name in seen:
            loss = row[f"{name}_loss"] = float(net.history[-1, f"{name}_loss"])
            if not math.isfinite(loss):
                raise ValueError(
                    f"{name}_loss must stay finite, got {loss} in epoch {len(self.rows) + 1}. "
                    "Lower learning_rate, set clip_norm=1, or look for outliers in X and y."
                )
        for name, parts in seen.items():
            arrays = [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
            row[f"{name}_metric"] = measure(self.kind, *arrays)
        row["learning_rate"] = self.rate
        self.rows.append(row)


def measure(kind: str, output: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
    """Return the metric of `METRICS`; NaN where it is undefined."""
    if kind == "binary":
        truth = target[:, 0]
        if truth.min() == truth.max():
            return math.nan
        return float(roc_auc_score(truth, output[:, 0], sample_weight=weight))
    if kind == "multiclass":
        return float(np.average(output.argmax(axis=1) == target, weights=weight))
    if kind == "multilabel":
        return float(np.average(((expit(output) > 0.5) == target).mean(axis=1), weights=weight))
    if kind == "votes":
        from ._votes import find_fractions

        share = target / target.sum(axis=1, keepdims=True)
        error = np.abs(find_fractions(output) - share).mean(axis=1)
        return float(np.average(error, weights=weight))
    if kind == "contrastive":
        views = output[:MOST_COMPARED] / np.linalg.norm(output[:MOST_COMPARED], axis=2)[..., None]
        nearest = (views[:, 0] @ views[:, 1].T).argmax(axis=1)
        return float(np.mean(nearest == np.arange(len(views))))
    if kind == "mixture":
        share, mean, _ = np.split(output, 3, axis=1)
        output = np.sum(softmax(share, axis=1) * mean, axis=1, keepdims=True)
    mean = output[:, : target.shape[1]]
    centre = np.average(target, axis=0, weights=weight)
    spread = np.average((target - centre) ** 2, axis=0, weights=weight)
    if not np.all(spread > 0):
        return math.nan
    with np.errstate(over="ignore"):  # -inf, where the first steps went far astray
        residual = np.average((target - mean) ** 2, axis=0, weights=weight)
        return float(np.mean(1 - residual / spread))


class BestWeights(Callback):
    """Keeps the weights of the lowest validation loss."""

    def __init__(self, recorder: EpochRecorder) -> None:
        self.recorder = recorder
        self.loss, self.epoch = math.inf, 0
        self.state: dict[str, torch.Tensor] = {}

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Copy the weights when they are the best so far."""
        row = self.recorder.rows[-1]
        if row.get("valid_loss", math.inf) < self.loss:
            self.keep(float(row["valid_loss"]), int(row["epoch"]), net.module_.state_dict())

    def keep(self, loss: float, epoch: int, state: dict[str, torch.Tensor]) -> None:
        """Take these weights for the best."""
        self.loss, self.epoch = loss, epoch
        self.state = {name: value.detach().clone() for name, value in state.items()}

    def load(self, network: torch.nn.Module) -> int | None:
        """Put the best weights back and return their epoch; None without validation rows."""
        if not self.state:
            return None
        network.load_state_dict(self.state)
        return self.epoch


class CheckpointWriter(Callback):
    """Writes the state after every epoch."""

    def __init__(
        self,
        checkpoint: Checkpoint | None,
        recorder: EpochRecorder,
        best: BestWeights,
        seed: int,
    ) -> None:
        self.checkpoint, self.recorder, self.best, self.seed = checkpoint, recorder, best, seed

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write, when there is somewhere to."""
        if self.checkpoint is not None:
            self.checkpoint.write(net, recorder=self.recorder, best=self.best, seed=self.seed)


class EpochBar(Callback):
    """One progress bar over the epochs, on standard error."""

    def __init__(self, recorder: EpochRecorder, n_epochs: int, *, show: bool) -> None:
        self.recorder, self.n_epochs, self.show = recorder, n_epochs, show
        self._bar: Any = None

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Open the bar."""
        if self.show:
            from tqdm.auto import tqdm

            self._bar = tqdm(
                total=self.n_epochs, initial=len(self.recorder.rows), unit="epoch", leave=False
            )

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Move on by one epoch."""
        if self._bar is not None:
            self._bar.set_postfix(
                {key: f"{value:.4g}" for key, value in self.recorder.rows[-1].items()
                 if key.endswith("loss")}
            )  # fmt: skip
            self._bar.update()

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()


class EarlyStop(Callback):
    """Stops when the validation loss has not fallen for some epochs."""

    def __init__(self, recorder: EpochRecorder, patience: int | None) -> None:
        self.recorder, self.patience = recorder, patience
        self.stopped = False

    def is_due(self) -> bool:
        """Whether the last ``patience`` epochs brought nothing."""
        if self.patience is None or not self.recorder.rows:
            return False
        losses = [get_loss(row) for row in self.recorder.rows]
        self.stopped = len(losses) - 1 - int(np.argmin(losses)) >= self.patience
        return self.stopped

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Stop in skorch's own way."""
        if self.is_due():
            raise KeyboardInterrupt
