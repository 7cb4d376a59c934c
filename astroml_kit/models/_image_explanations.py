"""Where in an image a network saw what it says: gradients of its outputs, in torch."""

from __future__ import annotations

from typing import Any

import torch

from ._image_networks import Attended, ImageNetwork
from ._image_views import iter_orientations, turn_back


def explain_network(
    network: ImageNetwork, images: torch.Tensor, contrast: torch.Tensor, *, method: str
) -> torch.Tensor:
    """Return maps of shape (n, height, width), >= 0, with the maximum one.

    Parameters
    ----------
    network : ImageNetwork
        In evaluation mode.
    images : Tensor, shape (n, n_channels, height, width)
        As the network takes them.
    contrast : Tensor, shape (n, n_outputs)
        What is to be explained: the sum of the outputs times these.
    method : {"grad-cam", "attention"}
    """
    backbone: Any = network.backbone
    images = images.requires_grad_(True)  # so that frozen weights pass gradients on
    sides, n = images.shape[2:], network.orientations
    views = list(iter_orientations(images, n))
    if method == "attention":
        attended = [backbone.attend(view) for view in views]
        features = [one.features for one in attended]
        held = [weights for one in attended for weights in one.weights]
    else:
        held = [backbone.find_maps(view) for view in views]
        features = [backbone.pool_maps(maps) for maps in held]
    output = network.head(torch.stack(features).mean(dim=0))
    slopes = torch.autograd.grad((output * contrast).sum(), held)
    with torch.no_grad():
        if method == "attention":
            step = len(attended[0].weights)
            grids = [follow_attention(one, slopes[k * step : (k + 1) * step])
                     for k, one in enumerate(attended)]  # fmt: skip
        else:
            grids = [weigh_maps(*pair) for pair in zip(held, slopes, strict=True)]
        placed = [turn_back(backbone.place(grid, sides), k) for k, grid in enumerate(grids)]
        total = torch.stack(placed).mean(dim=0)[:, 0].clamp(min=0)
        peak = total.amax(dim=(1, 2), keepdim=True)
        return total / torch.where(peak > 0, peak, torch.ones_like(peak))


def weigh_maps(maps: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """Sum of the maps, each times its mean gradient: eq. 1 and 2 of Selvaraju et al. 2017."""
    return (slope.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1, keepdim=True)


def follow_attention(attended: Attended, slopes: Any) -> torch.Tensor:
    """How much of each patch has come to the features, through all blocks.

    Attention counts where more of it would have raised the output; what a token keeps of itself
    is left out (Chefer et al. 2021, arXiv:2103.15679, eq. 5 and 6).
    """
    n, _, n_tokens, _ = attended.weights[0].shape
    itself = torch.eye(n_tokens, dtype=slopes[0].dtype, device=slopes[0].device)
    reached = itself.expand(n, -1, -1)
    for weights, slope in zip(attended.weights, slopes, strict=True):
        raising = (weights * slope).clamp(min=0).mean(dim=1)
        reached = reached + raising @ reached
    reached = reached - itself
    first = attended.first
    grid = torch.zeros_like(reached[:, 0, first:])
    if attended.pooling != "mean":
        grid = grid + reached[:, 0, first:]
    if attended.pooling != "first":
        grid = grid + reached[:, first:, first:].mean(dim=1)
    return grid.unflatten(1, list(attended.grid))[:, None]
