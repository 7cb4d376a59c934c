"""Images fitted to what a network takes, and turned, in torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.nn import functional


def fit_images(images: torch.Tensor, *, n_channels: int, size: int) -> torch.Tensor:
    """Return square images with the channels that a pretrained network knows.

    One channel is repeated; others are averaged with their neighbours, so that bands in the order
    of their wavelengths stay in order. The image keeps its shape: its edge is continued over the
    rest of the square.
    """
    given = images.shape[1]
    if given != n_channels:
        share = torch.eye(given, dtype=images.dtype, device=images.device)[None]
        share = functional.adaptive_avg_pool1d(share.transpose(1, 2), n_channels)[0]
        images = torch.einsum("cd,nchw->ndhw", share, images)
    inner, (top, left) = find_square(images.shape[2:], size)
    images = resize_images(images, inner)
    below, right = size - inner[0], size - inner[1]
    if below or right:
        sides = (left, right - left, top, below - top)
        images = functional.pad(images, sides, mode="replicate")
    return images


def find_square(sides: Sequence[int], size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return height and width of an image in the middle of a square, and its corner there."""
    height, width = sides
    scale = size / max(height, width)
    inner = (max(round(height * scale), 1), max(round(width * scale), 1))
    return inner, ((size - inner[0]) // 2, (size - inner[1]) // 2)


def resize_images(images: torch.Tensor, sides: Sequence[int]) -> torch.Tensor:
    """Return images of another height and width, linearly interpolated."""
    if tuple(images.shape[2:]) == tuple(sides):
        return images
    return functional.interpolate(
        images, tuple(sides), mode="bilinear", antialias=True, align_corners=False
    )


def iter_orientations(images: torch.Tensor, n: int) -> Iterator[torch.Tensor]:
    """Square images in 4 quarter turns, or in 8 orientations with those of the mirror image."""
    for k in range(n):
        turned = torch.rot90(images, k, (2, 3)) if k % 4 else images
        yield turned.flip(3) if k >= 4 else turned


def turn_back(maps: torch.Tensor, k: int) -> torch.Tensor:
    """Undo the orientation number ``k`` of `iter_orientations`."""
    maps = maps.flip(3) if k >= 4 else maps
    return torch.rot90(maps, -k, (2, 3)) if k % 4 else maps
