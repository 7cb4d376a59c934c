"""Two networks that train each other: the loop of a GAN, which can be stopped and resumed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from ._checkpoints import Checkpoint
from ._training import isolate_torch
from ._training_steps import BestWeights, EpochBar, EpochRecorder, Row


@dataclass(frozen=True)
class GanOptions:
    """What the loop needs to know besides networks and data."""

    loss: str
    n_latent: int
    n_critic_steps: int
    gradient_penalty: float
    ema: float
    learning_rate: float
    critic_rate: float
    batch_size: int
    max_epochs: int
    seed: int
    device: str
    dtype: str
    n_threads: int
    progress: bool


@dataclass(frozen=True)
class TrainedGan:
    """The averaged generator, the critic, the record and whether somebody stopped it."""

    generator: nn.Module
    rows: list[Row]
    interrupted: bool


class Players(nn.Module):
    """Generator, critic, and the generator averaged over the steps."""

    def __init__(self, generator: nn.Module, averaged: nn.Module, critic: nn.Module) -> None:
        super().__init__()
        self.generator, self.averaged, self.critic = generator, averaged, critic
        self.averaged.load_state_dict(generator.state_dict())
        self.averaged.requires_grad_(False)

    @torch.no_grad()
    def average(self, keep: float) -> None:
        """Move the averaged generator towards the one of now."""
        pairs = zip(self.averaged.parameters(), self.generator.parameters(), strict=True)
        for mean, now in pairs:
            mean.lerp_(now, 1 - keep)


def limit_slopes(critic: nn.Module) -> None:
    """Divide every weight matrix by its largest singular value, by power iteration.

    Miyato et al. 2018, arXiv:1802.05957.
    """
    for module in critic.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            parametrizations.spectral_norm(module)


class GanLoop:
    """Alternates the steps of critic and generator over the epochs.

    One optimiser holds both networks, so that a checkpoint has one state to keep; a network whose
    gradients are absent does not move.
    """

    def __init__(
        self,
        players: Players,
        inputs: torch.Tensor,
        weights: torch.Tensor,
        options: GanOptions,
        measure: Callable[[nn.Module], float],
    ) -> None:
        self.players, self.inputs, self.weights = players, inputs, weights
        self.options, self.measure = options, measure
        groups = [
            {"params": list(players.generator.parameters()), "lr": options.learning_rate},
            {
                "params": list(players.critic.parameters()),
                "lr": options.learning_rate * options.critic_rate,
            },
        ]
        self.optimizer = torch.optim.Adam(groups, betas=(0.0, 0.9))
        self.recorder = EpochRecorder(kind="gan")
        self._steps = 0

    def run_epoch(self) -> None:
        """Pass over the training rows once and write one row of the record."""
        n, size = len(self.inputs), self.options.batch_size
        order = torch.randperm(n).to(self.inputs.device)
        sums, counts = [0.0, 0.0], [0, 0]
        for start in range(0, n, size):
            chosen = order[start : start + size]
            sums[0] += self._teach_critic(self.inputs[chosen], self.weights[chosen])
            counts[0] += 1
            if (start // size + 1) % self.options.n_critic_steps == 0 or counts[1] == 0:
                sums[1] += self._teach_generator(len(chosen))
                counts[1] += 1
        row = {
            "epoch": float(len(self.recorder.rows) + 1),
            "critic_loss": sums[0] / counts[0],
            "generator_loss": sums[1] / counts[1],
        }
        for name, value in row.items():
            if not math.isfinite(value):
                raise ValueError(
                    f"{name} must stay finite, got {value} in epoch {row['epoch']:g}. "
                    "Lower learning_rate, or look for outliers in X."
                )
        row["frechet_distance"] = self.measure(self.players.averaged)
        self.recorder.rows.append(row)

    def _draw(self, n: int) -> torch.Tensor:
        latent = torch.randn(n, self.options.n_latent, dtype=self.inputs.dtype)
        return latent.to(self.inputs.device)

    def _teach_critic(self, real: torch.Tensor, weight: torch.Tensor) -> float:
        critic = self.players.critic.train()
        with torch.no_grad():
            fake = self.players.generator(self._draw(len(real))).view_as(real)
        if self.options.loss == "hinge":
            below = functional.relu(1 - critic(real)[:, 0])
            loss = (weight * below).mean() + functional.relu(1 + critic(fake)[:, 0]).mean()
        else:
            loss = critic(fake)[:, 0].mean() - (weight * critic(real)[:, 0]).mean()
        total = loss
        if self.options.gradient_penalty > 0:
            slopes = self._find_penalty(real, fake, weight)
            total = loss + self.options.gradient_penalty * slopes
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        return float(loss.detach())

    def _find_penalty(
        self, real: torch.Tensor, fake: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        """Squared distance of the critic's slope from 1 between real and generated samples.

        Gulrajani et al. 2017, arXiv:1704.00028, eq. 3.
        """
        share = torch.rand(len(real), *[1] * (real.ndim - 1), dtype=real.dtype).to(real.device)
        between = (share * real + (1 - share) * fake).requires_grad_(True)
        score = self.players.critic(between).sum()
        (slope,) = torch.autograd.grad(score, between, create_graph=True)
        return (weight * (slope.flatten(1).norm(dim=1) - 1) ** 2).mean()

    def _teach_generator(self, n: int) -> float:
        players = self.players
        players.critic.requires_grad_(False)
        try:
            fake = players.generator(self._draw(n)).view(n, *self.inputs.shape[1:])
            loss = -players.critic(fake)[:, 0].mean()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
        finally:
            players.critic.requires_grad_(True)
        self.optimizer.step()
        players.average(self.options.ema)
        return float(loss.detach())


def train_gan(
    build: Callable[[], Players],
    inputs: Any,
    weights: Any,
    *,
    options: GanOptions,
    measure: Callable[[nn.Module], float],
    checkpoint: Checkpoint | None = None,
) -> TrainedGan:
    """Train from the start, or from where ``checkpoint`` was written, to the last epoch.

    ``measure`` takes the averaged generator and returns its Frechet distance; it must not draw
    from torch's random numbers.
    """
    with isolate_torch(device=options.device, n_threads=options.n_threads, seed=options.seed):
        kind = getattr(torch, options.dtype)
        players = build().to(dtype=kind, device=options.device)
        loop = GanLoop(
            players,
            torch.tensor(inputs, dtype=kind, device=options.device),
            torch.tensor(weights, dtype=kind, device=options.device),
            options,
            measure,
        )
        net: Any = SimpleNamespace(
            module_=players, optimizer_=loop.optimizer, device=options.device
        )
        best = BestWeights(loop.recorder)
        if checkpoint is not None:
            checkpoint.restore(net, recorder=loop.recorder, best=best)
        bar = EpochBar(loop.recorder, options.max_epochs, show=options.progress)
        bar.on_train_begin(net)
        interrupted = False
        try:
            while len(loop.recorder.rows) < options.max_epochs:
                loop.run_epoch()
                if checkpoint is not None:
                    checkpoint.write(net, recorder=loop.recorder, best=best, seed=options.seed)
                bar.on_epoch_end(net)
        except KeyboardInterrupt:
            if not loop.recorder.rows:
                raise
            interrupted = True
            warnings.warn(
                f"interrupted after {len(loop.recorder.rows)} of {options.max_epochs} epochs: "
                "the weights so far are kept. Fit again to train anew, or from the checkpoint.",
                UserWarning,
                stacklevel=2,
            )
        finally:
            bar.on_train_end(net)
        averaged = players.averaged.requires_grad_(True).eval()
        return TrainedGan(averaged, loop.recorder.rows, interrupted)
