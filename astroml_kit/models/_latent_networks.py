"""Networks from rows or images to a few numbers and back, in torch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ._networks import ACTIVATIONS, build_dense

# Of scaled data: a variance outside is one that ran away.
SMALLEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE = -14.0, 14.0
START_LOG_VARIANCE = -2.0
LARGEST_CONTRAST = 5.0  # of components that enter a network, by their spread


class ConvEncoder(nn.Module):
    """Convolutions that halve the image, then one linear layer.

    There is no normalisation: how bright an image is must not be forgotten.
    """

    def __init__(
        self, shape: Sequence[int], n_outputs: int, *, channels: Sequence[int], activation: str
    ) -> None:
        super().__init__()
        sizes = list_sizes(shape, len(channels))
        widths = [shape[0], *(int(width) for width in channels)]
        self.blocks = nn.ModuleList(
            nn.Conv2d(one, other, 3, stride=2, padding=1)
            for one, other in itertools.pairwise(widths)
        )
        self.activation = ACTIVATIONS[activation]()
        self.last = nn.Linear(widths[-1] * sizes[-1][0] * sizes[-1][1], n_outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Encode images of shape (n, n_channels, height, width)."""
        for block in self.blocks:
            images = self.activation(block(images))
        return self.last(images.flatten(1))


class ConvDecoder(nn.Module):
    """The way back: one linear layer, then enlargements with convolutions; flat rows out."""

    def __init__(
        self, shape: Sequence[int], n_inputs: int, *, channels: Sequence[int], activation: str
    ) -> None:
        super().__init__()
        self.sizes = list_sizes(shape, len(channels))[::-1]
        widths = [int(width) for width in channels][::-1]
        self.start = (widths[0], *self.sizes[0])
        self.first = nn.Linear(n_inputs, widths[0] * self.sizes[0][0] * self.sizes[0][1])
        self.blocks = nn.ModuleList(
            nn.Conv2d(one, other, 3, padding=1)
            for one, other in zip(widths, [*widths[1:], widths[-1]], strict=True)
        )
        self.activation = ACTIVATIONS[activation]()
        self.last = nn.Conv2d(widths[-1], shape[0], 3, padding=1)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """Decode points of the latent space."""
        images = self.activation(self.first(latent)).unflatten(1, self.start)
        for block, size in zip(self.blocks, self.sizes[1:], strict=True):
            images = functional.interpolate(images, size=size, mode="nearest")
            images = self.activation(block(images))
        return self.last(images).flatten(1)


def list_sizes(shape: Sequence[int], n_blocks: int) -> list[tuple[int, int]]:
    """Height and width before and after each halving, rounded up."""
    sizes = [(int(shape[1]), int(shape[2]))]
    for _ in range(n_blocks):
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


def build_encoder(
    n_inputs: int,
    shape: Sequence[int] | None,
    n_outputs: int,
    *,
    hidden_layers: Sequence[int],
    channels: Sequence[int],
    activation: str,
    dropout: float = 0.0,
) -> nn.Module:
    """Rows, or images of ``shape``, to ``n_outputs`` numbers."""
    if shape is not None:
        return ConvEncoder(shape, n_outputs, channels=channels, activation=activation)
    return build_dense(
        n_inputs, n_outputs, hidden_layers=hidden_layers, activation=activation, dropout=dropout
    )


def build_decoder(
    n_inputs: int,
    shape: Sequence[int] | None,
    n_outputs: int,
    *,
    hidden_layers: Sequence[int],
    channels: Sequence[int],
    activation: str,
    dropout: float = 0.0,
) -> nn.Module:
    """``n_inputs`` numbers to flat rows, by the layers of the encoder in reverse."""
    if shape is not None:
        return ConvDecoder(shape, n_inputs, channels=channels, activation=activation)
    return build_dense(
        n_inputs,
        n_outputs,
        hidden_layers=hidden_layers[::-1],
        activation=activation,
        dropout=dropout,
    )


class ComponentsPart(nn.Module):
    """Principal components of the data, for one of the two ways.

    ``directions`` has one row per component, ``spread`` its standard deviation. ``outside`` says
    whether rows or, in training, their components come in and go out.
    """

    mean: torch.Tensor
    directions: torch.Tensor
    spread: torch.Tensor
    network: nn.Sequential

    def __init__(self, n_columns: int, n_components: int, n_latent: int) -> None:
        super().__init__()
        self.outside, self.n_latent = True, n_latent
        self.register_buffer("mean", torch.zeros(n_columns))
        self.register_buffer("directions", torch.zeros(n_components, n_columns))
        self.register_buffer("spread", torch.ones(n_components))

    def enter(self, mean: np.ndarray, directions: np.ndarray, spread: np.ndarray) -> None:
        """Take measured components, at most as many as there is room for; silence the network."""
        n = min(len(directions), len(self.spread))
        with torch.no_grad():
            self.mean.copy_(torch.from_numpy(mean))
            self.directions[:n] = torch.from_numpy(directions[:n])
            self.spread.copy_(torch.from_numpy(spread))
            last: Any = self.network[-1]
            last.weight.zero_()
            last.bias.zero_()
        self.outside = False

    @property
    def unit(self) -> torch.Tensor:
        """Spread of the last component that the latent numbers hold."""
        return self.spread[min(self.n_latent, len(self.spread)) - 1]


class ComponentsEncoder(ComponentsPart):
    """The first components in units of their spread, and what a dense network adds to them."""

    def __init__(
        self,
        n_columns: int,
        n_components: int,
        n_latent: int,
        *,
        hidden_layers: Sequence[int],
        activation: str,
        dropout: float,
    ) -> None:
        super().__init__(n_columns, n_components, n_latent)
        self.network = build_dense(
            n_components,
            n_latent,
            hidden_layers=hidden_layers,
            activation=activation,
            dropout=dropout,
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Encode images or rows; in training, their components."""
        if self.outside:
            inputs = (inputs.flatten(1) - self.mean) @ self.directions.T
        straight = (inputs / self.spread)[:, : self.n_latent]
        straight = functional.pad(straight, (0, self.n_latent - straight.shape[1]))
        scale = self.spread.clamp(max=float(LARGEST_CONTRAST * self.unit))
        return straight + self.network(inputs / scale)


class ComponentsDecoder(ComponentsPart):
    """The way back: the first components as they are, a dense network for all of them."""

    def __init__(
        self,
        n_columns: int,
        n_components: int,
        n_latent: int,
        *,
        hidden_layers: Sequence[int],
        activation: str,
        dropout: float,
    ) -> None:
        super().__init__(n_columns, n_components, n_latent)
        self.network = build_dense(
            n_latent,
            n_components,
            hidden_layers=hidden_layers[::-1],
            activation=activation,
            dropout=dropout,
        )

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """Decode to flat rows; in training, to components in units of the least one kept."""
        n = min(self.n_latent, len(self.spread))
        straight = functional.pad(latent[:, :n] * self.spread[:n], (0, len(self.spread) - n))
        if not self.outside:
            return straight / self.unit + self.network(latent)
        return (straight + self.unit * self.network(latent)) @ self.directions + self.mean


class AutoencoderNetwork(nn.Module):
    """There and back."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Reconstruct the inputs as flat rows."""
        return self.decoder(self.encoder(inputs))


class VariationalNetwork(nn.Module):
    """There, a draw, and back; with the variance of each feature (of each channel, of images).

    The encoder gives mean and log variance of the latent distribution. The name of the noise ends
    in "bias" so that it is not decayed.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, *, n_noise: int, n_repeats: int, beta: float
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.noise_bias = nn.Parameter(torch.zeros(n_noise))
        self.n_repeats, self.beta = n_repeats, beta

    def draw(self) -> None:
        """Let every sample start with the same small latent variance.

        Drawn at random, a few samples with huge ones would rule the first steps, and through
        Adam's memory of squared slopes the next thousand.
        """
        layers = [m for m in self.encoder.modules() if isinstance(m, nn.Linear)]
        half = layers[-1].out_features // 2
        with torch.no_grad():
            layers[-1].weight[half:] = 0
            layers[-1].bias[half:] = START_LOG_VARIANCE

    def get_log_variance(self) -> torch.Tensor:
        """Log variance of the noise of every column of a flat row."""
        bounded = self.noise_bias.clamp(SMALLEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
        return bounded.repeat_interleave(self.n_repeats)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what `bound_likelihood` takes."""
        mean, log_variance = split_latent(self.encoder(inputs))
        latent = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        centre = self.decoder(latent)
        noise = self.get_log_variance().expand_as(centre)
        penalty = self.beta * find_divergence(mean, log_variance)
        return torch.cat([centre, noise, penalty[:, None]], dim=1)


def split_latent(output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and log variance of the latent distribution from the columns of an encoder."""
    mean, log_variance = output.chunk(2, dim=1)
    return mean, log_variance.clamp(SMALLEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)


def find_divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of each normal from the standard one, in nats."""
    return 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(dim=1)


class Noise:
    """Adds normal noise to the inputs of a training batch, not to their targets."""

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the inputs with noise."""
        return inputs + self.strength * torch.randn_like(inputs)
