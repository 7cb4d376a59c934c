"""Networks and losses in torch; imported inside functions only, so that the zoo stays light."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
SATURATING = ("tanh", "sigmoid")
TEMPERATURE = 0.2  # of likeness between views
SMALLEST_VARIANCE = 1e-8  # of standardised targets
LARGEST_LOG = 8.0  # of a concentration: e^8 is as sure as 3000 votes
SMALLEST_WIDTH = 1e-3  # of a part of a mixture: a narrower one would fit a single target
SMALLEST_EXCESS = 0.1  # of degrees of freedom over 2, where a variance begins


def build_dense(
    n_inputs: int,
    n_outputs: int,
    *,
    hidden_layers: Sequence[int],
    activation: str,
    dropout: float,
) -> nn.Sequential:
    """Fully connected layers, the last one linear."""
    layers: list[nn.Module] = []
    for width in hidden_layers:
        layers += [nn.Linear(n_inputs, int(width)), ACTIVATIONS[activation]()]
        if dropout > 0:
            layers.append(nn.Dropout(float(dropout)))
        n_inputs = int(width)
    layers.append(nn.Linear(n_inputs, n_outputs))
    return nn.Sequential(*layers)


def draw_weights(network: nn.Module, *, activation: str) -> None:
    """Start values that keep the variance from layer to layer.

    He et al. 2015 (arXiv:1502.01852) for activations that do not saturate, Glorot & Bengio 2010
    (PMLR 9:249) for those that do and for the linear output.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    for layer in layers:
        if activation in SATURATING or layer is layers[-1]:
            nn.init.xavier_uniform_(layer.weight)
        else:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def split_gaussian(output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and variance from the two halves of the columns of a heteroscedastic head."""
    mean, raw = output.chunk(2, dim=1)
    return mean, functional.softplus(raw) + SMALLEST_VARIANCE


def compare_views(output: torch.Tensor) -> torch.Tensor:
    """Loss of each image whose two views are at ``output``, shape (n, 2, n_dimensions).

    Each view has to find its partner among all the views of the batch: NT-Xent of Chen et al. 2020
    (arXiv:2002.05709), eq. 1.
    """
    n = len(output)
    views = functional.normalize(output, dim=2).transpose(0, 1).flatten(0, 1)
    likeness = views @ views.T / TEMPERATURE
    itself = torch.eye(2 * n, dtype=torch.bool, device=views.device)
    likeness = likeness.masked_fill(itself, -math.inf)
    partner = torch.arange(2 * n, device=views.device).roll(n)
    return functional.cross_entropy(likeness, partner, reduction="none").view(2, n).mean(dim=0)


def bound_likelihood(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Negative evidence lower bound of each row, in nats: what a variational network returns.

    The columns of ``output`` are the mean and the log variance of each column of ``target``, and
    the divergence of the latent distribution from its prior, already weighted.
    """
    n_columns = target.shape[1]
    mean, log_variance = output[:, :n_columns], output[:, n_columns : 2 * n_columns]
    residual = (target - mean) ** 2 / log_variance.exp()
    density = 0.5 * (residual + log_variance + math.log(2 * math.pi))
    return density.sum(dim=1) + output[:, -1]


def split_student(
    output: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return location, scale and degrees of freedom (> 2) from three blocks of columns."""
    location, raw, tail = output.chunk(3, dim=1)
    scale = functional.softplus(raw) + SMALLEST_VARIANCE**0.5
    return location, scale, 2 + SMALLEST_EXCESS + functional.softplus(tail)


def split_mixture(output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return log weights, means and standard deviations from three blocks of columns."""
    weight, mean, raw = output.chunk(3, dim=1)
    return weight.log_softmax(dim=1), mean, functional.softplus(raw) + SMALLEST_WIDTH


def find_mixture_likelihood(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Log-density of each row's target, shape (n, 1), under its mixture of normal distributions."""
    weight, mean, width = split_mixture(output)
    residual = (target - mean) / width
    density = -0.5 * (residual**2 + math.log(2 * math.pi)) - width.log()
    return torch.logsumexp(weight + density, dim=1, keepdim=True)


def compare_quantiles(
    output: torch.Tensor, target: torch.Tensor, levels: Sequence[float]
) -> torch.Tensor:
    """Pinball loss of each column of ``target``, twice its mean over the levels.

    ``output`` has one block of columns per level (Koenker & Bassett 1978, doi:10.2307/1913643).
    """
    level = output.new_tensor(levels)[:, None]
    miss = target[:, None] - output.view(len(output), len(levels), -1)
    return 2 * torch.maximum(level * miss, (level - 1) * miss).mean(dim=1)


def compare_votes(output: torch.Tensor, votes: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of each row of votes, up to what the output does not change.

    Votes are multinomial, with fractions from a Dirichlet distribution of which ``output`` gives
    the logarithms of the concentrations (Walmsley et al. 2022, doi:10.1093/mnras/stab2093).
    """
    if output.device.type != "mps":  # differences of large logarithms, where double is known
        output, votes = output.double(), votes.double()
    alpha = bound_logs(output).exp()
    total, n_votes = alpha.sum(dim=1), votes.sum(dim=1)
    answers = torch.lgamma(alpha + votes) - torch.lgamma(alpha)
    return torch.lgamma(total + n_votes) - torch.lgamma(total) - answers.sum(dim=1)


def bound_logs(output: torch.Tensor) -> torch.Tensor:
    """Return logarithms of concentrations from what a network puts out, smoothly within bounds."""
    return LARGEST_LOG * torch.tanh(output / LARGEST_LOG)


class WeightedLoss(nn.Module):
    """Loss per sample, weighted, averaged over the batch; the weights have the mean one.

    ``label_weights`` are those of a 0 and of a 1 of each independent label, if they have any.
    """

    def __init__(
        self,
        kind: str,
        levels: Sequence[float] = (),
        label_weights: Sequence[tuple[float, float]] = (),
    ) -> None:
        super().__init__()
        self.kind, self.levels, self.label_weights = kind, levels, label_weights

    def forward(self, output: torch.Tensor, truth: Sequence[torch.Tensor]) -> torch.Tensor:
        """Compare outputs with ``(target, weight)``."""
        target, weight = truth
        if self.kind == "contrastive":
            loss = compare_views(output)
        elif self.kind == "multiclass":
            loss = functional.cross_entropy(output, target, reduction="none")
        elif self.kind == "elbo":
            loss = bound_likelihood(output, target)
        elif self.kind == "votes":
            loss = compare_votes(output, target)
        else:
            loss = self._compare(output, target).mean(dim=1)
        return (loss * weight).mean()

    def _compare(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if self.kind in ("binary", "multilabel"):
            share = None
            if self.label_weights:
                absent, present = output.new_tensor(self.label_weights).T
                share = torch.where(target > 0.5, present, absent)
            return functional.binary_cross_entropy_with_logits(
                output, target, weight=share, reduction="none"
            )
        if self.kind == "gaussian":
            mean, variance = split_gaussian(output)
            residual = (target - mean) ** 2 / variance
            return 0.5 * (residual + variance.log() + math.log(2 * math.pi))
        if self.kind == "mixture":
            return -find_mixture_likelihood(output, target)
        if self.kind == "pinball":
            return compare_quantiles(output, target, self.levels)
        if self.kind == "student":
            location, scale, freedom = split_student(output)
            return -torch.distributions.StudentT(freedom, location, scale).log_prob(target)
        if self.kind == "absolute_error":
            return (output - target).abs()
        if self.kind == "huber":
            return functional.huber_loss(output, target, reduction="none")
        return (output - target) ** 2
