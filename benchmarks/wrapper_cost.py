"""What our training costs beyond a torch loop: one epoch of each in turn, same network and data.

The loop does no more than it must: batches by index, loss, gradient, clipping, step. Ours has the
history with its metrics, learning-rate schedules, early stopping and checkpoints to look after.
Before any clock starts, both train from the same seed and must arrive at the same losses.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch.nn import functional

from astroml_kit.models import ImageClassifier, SequenceClassifier
from astroml_kit.models import _training_steps as steps

SEED = 1
TOLERANCE = 1e-3  # of the losses, relative
TARGET = 1.10


def draw_series(n: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Sines of two periods, 40 to 80 irregular steps with errors."""
    rng = np.random.default_rng(SEED)
    y, series = np.arange(n) % 2, []
    for period in np.array([5.0, 7.0])[y]:
        time_ = np.cumsum(rng.gamma(2, 0.5, rng.integers(40, 81)))
        flux = np.sin(2 * np.pi * (time_ / period + rng.uniform()))
        error = rng.uniform(0.1, 0.3, len(time_))
        series.append(np.column_stack([time_, flux + error * rng.normal(size=len(time_)), error]))
    return series, y


def draw_images(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Bars in noise, along the rows or the columns."""
    rng = np.random.default_rng(SEED)
    y = np.arange(n) % 2
    X = 0.3 * rng.normal(size=(n, 32, 32)).astype(np.float32)
    for image, label, place in zip(X, y, rng.integers(2, 28, n), strict=True):
        (image.T if label else image)[place : place + 3] += 1
    return X, y


class Loop:
    """The training that one would write by hand for this network."""

    def __init__(self, model: Any, X: Any, y: np.ndarray) -> None:
        self.model = model
        self.inputs = torch.tensor(model._transform_inputs(model._check_rows(X)), dtype=torch.float)
        self.targets = torch.tensor(y[:, None], dtype=torch.float)
        torch.manual_seed(check_random_state(SEED).randint(2**31 - 1))
        self.network = model._draw_network().train()
        plain = [p for name, p in self.network.named_parameters() if not is_decayed(name)]
        rest = [p for name, p in self.network.named_parameters() if is_decayed(name)]
        self.optimizer = torch.optim.AdamW(
            [{"params": plain, "weight_decay": 0.0}, {"params": rest}],
            lr=model.learning_rate,
            weight_decay=model.l2,
            fused=True,
        )

    def run_epoch(self) -> float:
        """Train for one epoch and return its mean loss."""
        n, total = len(self.inputs), 0.0
        for rows in torch.randperm(n).split(self.model.batch_size):
            self.optimizer.zero_grad(set_to_none=True)
            output = self.network(self.inputs[rows])
            loss = functional.binary_cross_entropy_with_logits(output, self.targets[rows])
            loss.backward()
            if self.model.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.model.clip_norm)
            self.optimizer.step()
            total += loss.item() * len(rows)
        return total / n


def is_decayed(name: str) -> bool:
    """Whether the weight decay is for this parameter: not for biases and norms."""
    return not ("norm" in name or name.endswith("bias") or ".bias_" in name)


def time_epochs(make: Callable[[int], Any], X: Any, y: np.ndarray, *, n_epochs: int) -> list[Any]:
    """Return pairs of seconds, ours and the loop's, one epoch after the other in one process."""
    fitted = make(2).fit(X, y)
    torch.set_num_threads(1)
    loop = Loop(fitted, X, y)
    losses = [loop.run_epoch() for _ in range(2)]
    np.testing.assert_allclose(losses, fitted.history_["train_loss"], rtol=TOLERANCE)
    pairs: list[list[float]] = []
    begin, started = steps.EpochRecorder.on_epoch_begin, [0.0]

    def begin_and_time(self: Any, net: Any, **kwargs: Any) -> None:
        now = time.perf_counter()
        if self.rows:
            pairs[-1].insert(0, now - started[0])
        before = time.perf_counter()
        loop.run_epoch()
        pairs.append([time.perf_counter() - before])
        started[0] = time.perf_counter()
        begin(self, net, **kwargs)

    steps.EpochRecorder.on_epoch_begin = begin_and_time
    try:
        make(n_epochs + 2).fit(X, y)
    finally:
        steps.EpochRecorder.on_epoch_begin = begin
    return pairs[1:-1]  # the first is warm-up, the last has no end


def main() -> None:
    """Print one row per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args()
    common = {"early_stopping": False, "random_state": SEED}
    series, y = draw_series(options.samples)
    images, label = draw_images(options.samples)
    cases: list[tuple[str, Callable[[int], Any], Any, np.ndarray]] = [
        (
            f"SequenceClassifier {cell}",
            lambda n, cell=cell: SequenceClassifier(
                cell, error_columns=(2,), max_epochs=n, **common
            ),
            series,
            y,
        )
        for cell in ("lstm", "gru", "rnn", "transformer", "conv")
    ]
    cases += [
        (
            f"ImageClassifier {backbone}",
            lambda n, backbone=backbone: ImageClassifier(backbone, max_epochs=n, **common),
            images,
            label,
        )
        for backbone in ("cnn", "vit")
    ]
    print(f"{'network':<32} {'ours [s]':>9} {'loop [s]':>9} {'ratio':>6} (range), one epoch")
    for name, make, X, truth in cases:
        pairs = np.array(time_epochs(make, X, truth, n_epochs=options.epochs))
        ratio = pairs[:, 0] / pairs[:, 1]
        ours, hand = np.median(pairs, axis=0)
        print(
            f"{name:<32} {ours:>9.4f} {hand:>9.4f} {statistics.median(ratio):>6.3f} "
            f"({ratio.min():.2f} to {ratio.max():.2f})",
            flush=True,
        )
    print(f"The aim is a ratio of at most {TARGET:.2f}.")


if __name__ == "__main__":
    main()
