"""Convolutional networks and the augmentation of their images, in torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from ._networks import ACTIVATIONS

NORM_GROUPS = 8


class SmallCNN(nn.Module):
    """Blocks of convolution, group norm, activation and pooling; mean and peak of each map.

    Group norm (Wu & He 2018, arXiv:1803.08494) looks at one image at a time, so that a score does
    not depend on the batch.
    """

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        *,
        channels: Sequence[int],
        activation: str,
        dropout: float,
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for width in channels:
            block = nn.Sequential()
            block.add_module("conv", nn.Conv2d(n_channels, int(width), 3, padding=1))
            block.add_module("norm", nn.GroupNorm(math.gcd(int(width), NORM_GROUPS), int(width)))
            block.add_module("activation", ACTIVATIONS[activation]())
            block.add_module("pool", nn.MaxPool2d(2))
            blocks.append(block)
            n_channels = int(width)
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * n_channels, n_outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Score images of shape (n, n_channels, height, width)."""
        maps = self.blocks(images)
        summary = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
        return self.head(self.dropout(summary))


class Augmenter:
    """Draws another view of each image of a batch, from torch's random numbers."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self.kinds = tuple(kinds)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return new images; those given are left alone."""
        if "rotate" in self.kinds:
            images = rotate_images(images, 2 * math.pi * torch.rand(len(images)))
        if "flip" in self.kinds:
            mirrored = torch.rand(len(images)) < 0.5
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        return images


def rotate_images(images: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Rotate each image by its angle [rad] about the centre; the edge is continued outwards.

    Positive angles turn the row axis towards the column axis. Parity is kept.
    """
    height, width = images.shape[2:]
    cos, sin = torch.cos(angle), torch.sin(angle)
    zero = torch.zeros_like(angle)
    matrix = torch.stack(
        [
            torch.stack([cos, -sin * height / width, zero], dim=1),
            torch.stack([sin * width / height, cos, zero], dim=1),
        ],
        dim=1,
    ).to(images.dtype)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
