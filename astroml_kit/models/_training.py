"""How a network learns: a skorch net, composed of our loss, our batches and our callbacks."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import skorch
import torch
from skorch.callbacks import Callback, GradientNormClipping
from skorch.helper import predefined_split

from ._checkpoints import Checkpoint
from ._networks import WeightedLoss
from ._training_steps import (
    BestWeights,
    CheckpointWriter,
    EarlyStop,
    EpochBar,
    EpochRecorder,
    L1Shrinkage,
    ScheduledRate,
)

Augment = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class TrainingOptions:
    """What a training needs to know besides network and data."""

    kind: str
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
    n_iter_no_change: int
    seed: int
    device: str
    dtype: str
    n_threads: int
    progress: bool
    backbone_rate: float = 1.0
    levels: tuple[float, ...] = ()  # of the quantiles to learn
    label_weights: tuple[tuple[float, float], ...] = ()  # of a 0 and a 1 of independent labels


@dataclass(frozen=True)
class Trained:
    """A trained network, its record and whether somebody stopped it."""

    network: torch.nn.Module
    rows: list[dict[str, float]]
    best_epoch: int
    interrupted: bool


class Rows(torch.utils.data.Dataset):
    """Inputs, targets and weights as tensors; weights are brought to the mean one."""

    def __init__(
        self, X: np.ndarray, target: np.ndarray, weight: np.ndarray | None, dtype: str
    ) -> None:
        kind = getattr(torch, dtype)
        self.inputs = torch.tensor(X, dtype=kind)
        whole = target.dtype.kind in "iu"
        self.targets = torch.tensor(target, dtype=torch.int64 if whole else kind)
        share = np.ones(len(X)) if weight is None else weight / weight.mean()
        self.weights = torch.tensor(share, dtype=kind)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, k: Any) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        return self.inputs[k], (self.targets[k], self.weights[k])


class Batches:
    """Whole batches by index: far quicker than rows one by one, and drawn from torch's seed."""

    def __init__(
        self, rows: Rows, batch_size: int, *, shuffle: bool = False, augment: Augment | None = None
    ) -> None:
        self.rows, self.batch_size = rows, batch_size
        self.shuffle, self.augment = shuffle, augment

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        n = len(self.rows)
        order = torch.randperm(n) if self.shuffle else torch.arange(n)
        for start in range(0, n, self.batch_size):
            inputs, truth = self.rows[order[start : start + self.batch_size]]
            yield (inputs if self.augment is None else self.augment(inputs)), truth


@contextlib.contextmanager
def isolate_torch(*, device: str, n_threads: int, seed: int | None = None) -> Iterator[None]:
    """Give torch our threads and seed for a while, and the caller's back afterwards."""
    threads = torch.get_num_threads()
    cuda = [torch.device(device)] if device.startswith("cuda") else []
    torch.set_num_threads(n_threads)
    try:
        with (
            torch.random.fork_rng(devices=cuda, enabled=seed is not None),
            torch.backends.cudnn.flags(benchmark=False, deterministic=True),
        ):
            if seed is not None:
                torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def train_network(
    build: Callable[[], torch.nn.Module],
    train: Rows,
    valid: Rows | None,
    *,
    options: TrainingOptions,
    augment: Augment | None = None,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train from the start, or from where ``checkpoint`` was written, to the last epoch.

    Parameters
    ----------
    build : callable
        Makes the network; called with torch seeded.
    train, valid : Rows
        With ``valid``, the weights of its lowest loss are kept, and the training stops when the
        loss has not fallen for ``n_iter_no_change`` epochs.
    augment : callable, optional
        Changes the inputs of a training batch.
    """
    with isolate_torch(device=options.device, n_threads=options.n_threads, seed=options.seed):
        network = build().to(dtype=getattr(torch, options.dtype))
        recorder = EpochRecorder(kind=options.kind)
        best = BestWeights(recorder)
        stop = EarlyStop(recorder, None if valid is None else options.n_iter_no_change)
        net = _compose(network, valid, options, augment, recorder, best, stop, checkpoint)
        net.initialize()
        if checkpoint is not None:
            checkpoint.restore(net, recorder=recorder, best=best)
        left = options.max_epochs - len(recorder.rows)
        done = left <= 0 or stop.is_due()
        if not done:
            # skorch ends a training quietly on KeyboardInterrupt, which is also how one stops it.
            net.partial_fit(train, None, epochs=left)
        if not recorder.rows:
            raise KeyboardInterrupt("the training was interrupted within its first epoch")
        interrupted = not done and len(recorder.rows) < options.max_epochs and not stop.stopped
        if interrupted:
            warnings.warn(
                f"interrupted after {len(recorder.rows)} of {options.max_epochs} epochs: the "
                "weights so far are kept. Fit again to train anew, or from the checkpoint.",
                UserWarning,
                stacklevel=2,
            )
        best_epoch = best.load(net.module_)
        if best_epoch is None:
            best_epoch = len(recorder.rows)
        return Trained(net.module_.eval(), recorder.rows, best_epoch, interrupted)


def _compose(
    network: torch.nn.Module,
    valid: Rows | None,
    options: TrainingOptions,
    augment: Augment | None,
    recorder: EpochRecorder,
    best: BestWeights,
    stop: EarlyStop,
    checkpoint: Checkpoint | None,
) -> skorch.NeuralNet:
    callbacks: list[tuple[str, Callback]] = [
        ("rate", ScheduledRate(recorder, options)),
        ("shrink", L1Shrinkage(options.l1)),
        ("record", recorder),
        ("best", best),
        ("write", CheckpointWriter(checkpoint, recorder, best, options.seed)),
        ("bar", EpochBar(recorder, options.max_epochs, show=options.progress)),
        ("stop", stop),
    ]
    if options.clip_norm is not None:
        callbacks.insert(0, ("clip", GradientNormClipping(options.clip_norm)))
    return skorch.NeuralNet(
        network,
        criterion=WeightedLoss,
        criterion__kind=options.kind,
        criterion__levels=options.levels,
        criterion__label_weights=options.label_weights,
        max_epochs=options.max_epochs,
        batch_size=options.batch_size,
        iterator_train=Batches,
        iterator_train__shuffle=True,
        iterator_train__augment=augment,
        iterator_valid=Batches,
        train_split=None if valid is None else predefined_split(valid),
        callbacks=callbacks,
        callbacks__print_log=None,
        callbacks__epoch_timer=None,
        device=options.device,
        verbose=0,
        **_choose_optimizer(options),
    )


def _choose_optimizer(options: TrainingOptions) -> dict[str, Any]:
    """The optimiser for skorch; biases and the gains of norms are not decayed.

    Pretrained weights, which live under "backbone", learn at a rate of their own.
    """
    kinds: dict[str, Any] = {
        "sgd": torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    groups: list[tuple[str, dict[str, float]]] = [
        ("*bias", {"weight_decay": 0.0}),
        ("*.bias_[ih]h_l*", {"weight_decay": 0.0}),
        ("*norm*", {"weight_decay": 0.0}),
    ]
    if options.backbone_rate != 1:
        slow = {"factor": options.backbone_rate}
        own = [(f"*backbone.{pattern}", kind | slow) for pattern, kind in groups]
        groups = [*own, ("*backbone.*", slow), *groups]
    chosen: dict[str, Any] = {
        "optimizer": kinds[options.optimizer],
        "optimizer__lr": options.learning_rate,
        "optimizer__weight_decay": options.l2,
        "optimizer__param_groups": groups,
        "optimizer__fused": options.device.startswith(("cpu", "cuda")),
    }
    if options.optimizer == "sgd":
        chosen["optimizer__momentum"] = options.momentum
        chosen["optimizer__nesterov"] = options.momentum > 0
    return chosen


def run_network(
    network: torch.nn.Module,
    chunks: Iterable[np.ndarray],
    *,
    device: str,
    dtype: str,
    n_threads: int,
) -> np.ndarray:
    """Return the outputs for rows that come in chunks, float64."""
    kind = getattr(torch, dtype)
    with isolate_torch(device=device, n_threads=n_threads), torch.inference_mode():
        network.to(device).eval()
        parts = [network(torch.tensor(X, dtype=kind, device=device)).cpu().numpy() for X in chunks]
    return np.concatenate(parts).astype(np.float64)


def find_device(name: str) -> str:
    """Return the device that ``name`` asks for, or say which ones are here."""
    here = ["cpu"]
    if torch.cuda.is_available():
        here += ["cuda", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        here.append("mps")
    if name == "auto":
        return "cuda" if "cuda" in here else here[-1]
    if name not in here:
        raise ValueError(
            f"device must be 'auto' or one of {here} on this machine, got {name!r}. "
            "Choose another one with set_params(device='cpu')."
        )
    return name
