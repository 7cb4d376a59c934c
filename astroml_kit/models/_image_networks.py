"""Networks on images: backbones that make features, heads that make outputs of them, in torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ._backbones import LITE0, BackboneSpec
from ._image_inputs import HEAD_SIZE
from ._image_views import find_square, fit_images, iter_orientations, resize_images
from ._networks import ACTIVATIONS

NORM_GROUPS, HEAD_WIDTH, TOKENS_ACROSS, PLACE_SIZE = 8, 256, 8, 0.3


class Attended(NamedTuple):
    """Features of images, and how a transformer came by them.

    ``weights`` are the attention of each block, shape (n, n_heads, n_tokens, n_tokens);
    ``pooling`` says of which tokens the features are made, as in `_backbones.Family`, ``first``
    how many come before the patches, ``grid`` how the patches lie.
    """

    features: torch.Tensor
    weights: Sequence[torch.Tensor]
    pooling: str
    first: int
    grid: Sequence[int]


class SmallCNN(nn.Module):
    """Blocks of convolution, group norm, activation and pooling; mean and peak of each map.

    Group norm (Wu & He 2018, arXiv:1803.08494) looks at one image at a time, so that a score does
    not depend on the batch.
    """

    def __init__(self, n_channels: int, *, channels: Sequence[int], activation: str) -> None:
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
        self.width = 2 * n_channels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images of shape (n, n_channels, height, width)."""
        return self.pool_maps(self.find_maps(images))

    def find_maps(self, images: torch.Tensor) -> torch.Tensor:
        """Return the maps of the last block before they are pooled."""
        maps = self.blocks[:-1](images)
        for layer in (self.last.conv, self.last.norm, self.last.activation):
            maps = layer(maps)
        return maps

    @property
    def last(self) -> Any:
        """The last block."""
        return self.blocks[-1]

    def pool_maps(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the features."""
        maps = self.last.pool(maps)
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)

    def place(self, grid: torch.Tensor, sides: Sequence[int]) -> torch.Tensor:
        """Bring a map to the size of the images that it was made from."""
        return resize_images(grid, sides)


class AttentionBlock(nn.Module):
    """Attention between the patches, then a network on each; normalised before, added after."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.n_heads = width // HEAD_SIZE
        self.norm_attention, self.norm_patch = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def close(self) -> None:
        """Let the block add nothing."""
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.narrow.weight)

    def forward(
        self, tokens: torch.Tensor, record: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Pass tokens of shape (n, n_tokens, width) on; ``record`` is given who looked at whom."""
        n, length, width = tokens.shape
        parts = self.queries(self.norm_attention(tokens)).view(n, length, 3, self.n_heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        if record is None:
            seen = functional.scaled_dot_product_attention(query, key, value)
        else:
            likeness = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
            record.append(likeness.softmax(dim=-1))
            seen = record[-1] @ value
        seen = self.mix(seen.transpose(1, 2).reshape(n, length, width))
        tokens = tokens + seen
        inner = self.narrow(functional.gelu(self.widen(self.norm_patch(tokens))))
        return tokens + inner


class SmallViT(nn.Module):
    """A small vision transformer: the mean over the patches, with learned places.

    After Beyer, Zhai & Kolesnikov 2022 (arXiv:2205.01580), who find the mean as good as a token
    of its own where images are few. Images are continued by zeros to whole patches.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        width: int,
        depth: int,
        patch: int,
    ) -> None:
        super().__init__()
        n_channels, *sides = shape
        self.patch, self.width = patch, width
        self.grid = [-(-side // patch) for side in sides]
        self.cut = nn.Conv2d(n_channels, width, patch, stride=patch)
        self.places = nn.Parameter(torch.empty(1, math.prod(self.grid), width))
        self.blocks = nn.ModuleList(AttentionBlock(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def draw(self) -> None:
        """Start values: small normal numbers, and no change by the blocks at first."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.xavier_uniform_(module.weight.flatten(1))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, AttentionBlock):
                module.close()
        self.places.data.copy_(draw_waves(self.grid, self.width))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images of the shape that the network was made for."""
        return self.find_tokens(images).mean(dim=1)

    def find_tokens(
        self, images: torch.Tensor, record: list[torch.Tensor] | None = None
    ) -> torch.Tensor:
        """Return what the blocks make of the patches; ``record`` is given their attention."""
        below, right = (-side % self.patch for side in images.shape[2:])
        tokens = self.cut(functional.pad(images, (0, right, 0, below))).flatten(2).transpose(1, 2)
        tokens = tokens + self.places
        for block in self.blocks:
            tokens = block(tokens, record)
        return self.norm(tokens)

    def attend(self, images: torch.Tensor) -> Attended:
        """Embed images and say which token looked at which."""
        record: list[torch.Tensor] = []
        features = self.find_tokens(images, record).mean(dim=1)
        return Attended(features, record, "mean", 0, self.grid)

    def place(self, grid: torch.Tensor, sides: Sequence[int]) -> torch.Tensor:
        """Bring a map of patches to the size of the images."""
        whole = resize_images(grid, [self.patch * n for n in self.grid])
        return whole[:, :, : sides[0], : sides[1]]


def draw_waves(grid: Sequence[int], width: int) -> torch.Tensor:
    """Start values of the places: waves along rows and columns, of lengths up to the image's."""
    rows, columns = (torch.arange(n) / n for n in grid)
    number = torch.arange(width // 4) + 1
    parts = [
        trig(math.pi * axis[..., None] * number)
        for axis in torch.meshgrid(rows, columns, indexing="ij")
        for trig in (torch.sin, torch.cos)
    ]
    return PLACE_SIZE * torch.cat(parts, dim=-1).reshape(1, -1, width)


def choose_patch(shape: Sequence[int]) -> int:
    """Return the side of a patch that gives about eight of them along the longer side."""
    return max(-(-max(shape[1:]) // TOKENS_ACROSS), 2)


class PretrainedBackbone(nn.Module):
    """A pretrained network behind what fits any image to it: channels, size, a square."""

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        self.n_channels, self.size = spec.n_channels, spec.input_size
        self.inner: Any
        if spec.family == LITE0:
            from ._efficientnet import EfficientNetLite0

            self.inner = EfficientNetLite0()
        else:
            from ._hub_backbones import HubBackbone

            self.inner = HubBackbone(spec)
        self.width = int(self.inner.width)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images of any size."""
        return self.inner(self.fit(images))

    def fit(self, images: torch.Tensor) -> torch.Tensor:
        """Return the images as the checkpoint wants them."""
        return fit_images(images, n_channels=self.n_channels, size=self.size)

    def find_maps(self, images: torch.Tensor) -> torch.Tensor:
        """Return the maps from which the features are pooled."""
        return self.inner.find_maps(self.fit(images))

    def pool_maps(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the features."""
        return self.inner.pool_maps(maps)

    def attend(self, images: torch.Tensor) -> Attended:
        """Embed images and say which token looked at which."""
        return self.inner.attend(self.fit(images))

    def place(self, grid: torch.Tensor, sides: Sequence[int]) -> torch.Tensor:
        """Bring a map of the square that the network saw to the image inside it."""
        inner, corner = find_square(sides, self.size)
        whole = resize_images(grid, (self.size, self.size))
        rows, columns = (slice(a, a + n) for a, n in zip(corner, inner, strict=True))
        return resize_images(whole[:, :, rows, columns], sides)

    def choose_parts(self, last_blocks: int, train: str) -> list[nn.Module]:
        """Return what learns with ``train`` "last-blocks" or "all"."""
        if train == "all":
            return [self.inner]
        blocks, after = self.inner.list_parts()
        if last_blocks > len(blocks):
            raise ValueError(
                f"last_blocks must be at most the {len(blocks)} of the backbone, got "
                f"{last_blocks}. Choose train='all'."
            )
        return [*blocks[len(blocks) - int(last_blocks) :], *after]


class Head(nn.Module):
    """Outputs from features: one linear layer, or one hidden layer before it.

    Pretrained features come in any range: with ``scales`` they are standardised by what was
    measured on the training images, which a file keeps with the weights.
    """

    centre: torch.Tensor
    spread: torch.Tensor

    def __init__(
        self,
        width: int,
        n_outputs: int,
        *,
        kind: str,
        activation: str,
        dropout: float,
        scales: bool,
    ) -> None:
        super().__init__()
        self.scales = scales
        if scales:
            self.register_buffer("centre", torch.zeros(width))
            self.register_buffer("spread", torch.ones(width))
        layers: list[nn.Module] = []
        if kind == "mlp":
            layers += [nn.Linear(width, HEAD_WIDTH), ACTIVATIONS[activation]()]
            width = HEAD_WIDTH
        self.layers = nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(width, n_outputs))

    def measure(self, features: np.ndarray) -> None:
        """Take the scales from the features of training images, shape (n, width)."""
        spread = features.std(axis=0)
        spread[spread <= 1e-6 * spread.max()] = 1
        self.centre.copy_(torch.from_numpy(features.mean(axis=0)))
        self.spread.copy_(torch.from_numpy(spread))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Score features of shape (n, width)."""
        return self.layers((features - self.centre) / self.spread if self.scales else features)


class ImageNetwork(nn.Module):
    """Backbone and head. What is not trained stays in evaluation mode while the rest learns.

    With several ``orientations`` the head is given the mean of the features that an image has in
    each of them, which is the same whichever of them comes in (Dieleman et al. 2015,
    doi:10.1093/mnras/stv632). While it learns so only if ``pools_training``: the features of one
    orientation drawn at random have the same mean.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        *,
        orientations: int = 1,
        pools_training: bool = False,
    ) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.orientations, self.pools_training = orientations, pools_training
        self._learning: tuple[nn.Module, ...] | None = None

    def freeze(self, *, but: Sequence[nn.Module]) -> None:
        """Keep the backbone as it is, except for these parts of it."""
        self._learning = tuple(but)
        self.backbone.requires_grad_(False)
        for part in self._learning:
            part.requires_grad_(True)

    def train(self, mode: bool = True) -> ImageNetwork:
        """Switch between learning and scoring."""
        super().train(mode)
        if mode and self._learning is not None:
            self.backbone.eval()
            for part in self._learning:
                part.train()
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Score images of shape (n, n_channels, height, width)."""
        n = 1 if self.training and not self.pools_training else self.orientations
        if n == 1:
            return self.head(self.backbone(images))
        total = sum(self.backbone(view) for view in iter_orientations(images, n))
        return self.head(total / n)


class ViewsNetwork(nn.Module):
    """Backbone and projection of two views per image, for learning without labels."""

    def __init__(self, backbone: Any, n_dimensions: int = 64) -> None:
        super().__init__()
        self.backbone, width = backbone, int(backbone.width)
        self.projection = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, n_dimensions)
        )

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        """Project views of shape (n, 2, n_channels, height, width) to (n, 2, n_dimensions)."""
        return self.projection(self.backbone(views.flatten(0, 1))).unflatten(0, (-1, 2))


class TwoViews:
    """Two views of each image of a batch."""

    def __init__(self, views: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.views = views

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Draw them."""
        return torch.stack([self.views(images), self.views(images)], dim=1)


class EmbeddedViews:
    """Features of new views of the images of a batch, from a backbone that does not learn."""

    def __init__(
        self, views: Callable[[torch.Tensor], torch.Tensor], backbone: nn.Module, device: str
    ) -> None:
        self.views, self.backbone, self.device = views, backbone, device

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Embed a view of each image."""
        with torch.no_grad():
            return self.backbone(self.views(images).to(self.device))
