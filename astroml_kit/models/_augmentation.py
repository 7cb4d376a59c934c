"""Other views of the images of a batch, as other exposures of the same sky would have shown them.

Rotation and shift keep the handedness of what is seen, whichever way a spiral winds; only "flip"
makes its mirror image. The images are those that the network learns from: stretched, and with a
spread of about one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

# At strength one: a tenth of the side, a tenth of the spread, a fifth up or down, and a Gaussian
# whose sigma is 0.015 of the shorter side.
SHIFT, NOISE, STRETCH, BLUR = 0.1, 0.1, 0.2, 0.015
EXACT = 1e-6  # radians from a quarter turn that count as none


class Augmenter:
    """Draws another view of each image of a batch, from torch's random numbers."""

    def __init__(self, kinds: Sequence[str], *, strength: float = 1.0) -> None:
        self.kinds, self.strength = tuple(kinds), strength

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return new images; those given are left alone."""
        n, kinds, strength = len(images), self.kinds, self.strength
        if "rotate90" in kinds:
            images = turn_images(images, torch.randint(4, (n,)))
        if "rotate" in kinds or "shift" in kinds:
            angle = 2 * math.pi * torch.rand(n) if "rotate" in kinds else torch.zeros(n)
            share = 2 * torch.rand(n, 2) - 1 if "shift" in kinds else torch.zeros(n, 2)
            pixels = SHIFT * strength * share * torch.tensor(images.shape[2:])
            images = move_images(images, angle, pixels)
        if "flip" in kinds:
            mirrored = torch.rand(n) < 0.5
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        if "blur" in kinds:
            # before the noise, which seeing does not blur
            widest = BLUR * strength * min(images.shape[2:])
            images = blur_images(images, widest * torch.rand(n))
        if "stretch" in kinds:
            factor = torch.exp(STRETCH * strength * (2 * torch.rand(n, 1, 1, 1) - 1))
            images = images * factor.to(images.dtype)
        if "noise" in kinds:
            size = NOISE * strength * torch.rand(n, 1, 1, 1)
            images = images + (size * torch.randn(images.shape)).to(images.dtype)
        return images


def blur_images(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Convolve each image with a Gaussian of its own sigma [pixels]; the edge is continued.

    That of sigma 0 stays as it is, and flux within stays what it is.
    """
    n, n_bands, height, width = images.shape
    reach = math.ceil(4 * float(sigma.max())) if n else 0
    if reach == 0:
        return images
    steps = torch.arange(-reach, reach + 1, dtype=torch.float64)
    # a sigma below 0.05 leaves nothing but the middle
    kernel = torch.exp(-0.5 * (steps / sigma.double().clamp(min=0.05)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).to(images.dtype)
    kernel = kernel.repeat_interleave(n_bands, dim=0)[:, None]
    seen = images.reshape(1, n * n_bands, height, width)
    seen = functional.pad(seen, (reach, reach, reach, reach), mode="replicate")
    seen = functional.conv2d(seen, kernel[:, :, :, None], groups=n * n_bands)
    seen = functional.conv2d(seen, kernel[:, :, None, :], groups=n * n_bands)
    return seen.reshape(images.shape)


def turn_images(images: torch.Tensor, quarters: torch.Tensor) -> torch.Tensor:
    """Turn each image by its number of quarter turns, without interpolation.

    Positive numbers turn the row axis towards the column axis, as in `rotate_images`. An oblong
    image cannot be turned by one quarter: it is turned by two.
    """
    step = 1 if images.shape[2] == images.shape[3] else 2
    turned = images
    for k in range(step, 4, step):
        chosen = (quarters // step * step) % 4 == k
        turned = torch.where(chosen[:, None, None, None], torch.rot90(images, k, (2, 3)), turned)
    return turned


def rotate_images(images: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Rotate each image by its angle [rad] about the centre; the edge is continued outwards.

    Positive angles turn the row axis towards the column axis. Parity is kept. Whole quarter turns
    of a square image are exact; the rest is linear interpolation.
    """
    return move_images(images, angle, torch.zeros(len(images), 2))


def shift_images(images: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Shift each image by its rows and columns [pixels, shape (n, 2)]; the edge is continued.

    Linear interpolation: what stays inside the image keeps its flux.
    """
    return move_images(images, torch.zeros(len(images)), pixels)


def move_images(images: torch.Tensor, angle: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Rotate, then shift, with one interpolation; images that stay as they are, stay exactly."""
    height, width = images.shape[2:]
    quarters = torch.round(angle.double() * 2 / math.pi)
    if height != width:
        quarters = 2 * torch.round(quarters / 2)
    images = turn_images(images, quarters.long())
    rest = angle.double() - quarters * math.pi / 2
    moved = (rest.abs() > EXACT) | (pixels != 0).any(dim=1)
    if not moved.any():
        return images
    cos, sin = torch.cos(rest), torch.sin(rest)
    # An output pixel at (x, y), counted from the centre, shows the input at R (x - dx, y - dy).
    dy, dx = pixels.double().T
    matrix = torch.stack(
        [
            torch.stack([cos, -sin * height / width, 2 * (sin * dy - cos * dx) / width], dim=1),
            torch.stack([sin * width / height, cos, -2 * (sin * dx + cos * dy) / height], dim=1),
        ],
        dim=1,
    ).to(images.dtype)
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
    seen = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return torch.where(moved[:, None, None, None], seen, images)
