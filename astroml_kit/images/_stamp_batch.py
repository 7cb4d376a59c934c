"""A stack that is filled image by image, whatever each image comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import astropy.units as u
import numpy as np
from astropy.wcs import WCS

from .._validation import invalid
from ._fits_images import is_fits
from ._image_files import read_whole
from ._pictures import is_picture, read_picture
from ._stamp_wcs import StampWCS, shift_wcs
from .stamps import Stamps

LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as JPEG has it


@dataclass(frozen=True)
class ReadOptions:
    """What a caller wants of each stamp."""

    bands: tuple[str, ...] = ()
    color: str = "keep"
    shape: tuple[int, int] | None = None
    dtype: str = "float32"
    skip: bool = False


@dataclass(frozen=True)
class Planes:
    """One image as it was read."""

    pixels: np.ndarray
    bad: np.ndarray | None = None
    names: tuple[str, ...] = ()
    wcs: WCS | None = None
    unit: u.UnitBase | None = None
    sigma: np.ndarray | None = None
    first_row: str = "top"


@dataclass
class Batch:
    """Stamps on their way: room for ``n``, of which those that could be read are kept."""

    n: int
    options: ReadOptions
    images: Any = None
    mask: Any = None
    sigma: Any = None
    first: Planes | None = None
    first_name: str = ""
    wcs: list[WCS | None] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, row: int, name: str, planes: Planes) -> None:
        """Put an image in the next free place."""
        if self.first is None:
            shape = planes.pixels.shape[-2:] if self.options.shape is None else self.options.shape
            shape = (self.n, len(planes.pixels), *shape)
            self.images, self.first = np.zeros(shape, dtype=self.options.dtype), planes
            self.first_name = name
        place = len(self.kept)
        if planes.pixels.shape != self.images.shape[1:]:
            planes = self._fit(name, planes)
        if planes.unit != self.first.unit:
            raise ValueError(
                f"images must have one unit, got {self.first.unit} in {self.first_name} and "
                f"{planes.unit} in {name}. Read them apart."
            )
        self.images[place] = planes.pixels
        if planes.bad is not None:
            if self.mask is None:
                self.mask = np.zeros(self.images.shape, dtype=bool)
            self.mask[place] = planes.bad
        if planes.sigma is not None:
            if self.sigma is None:
                self.sigma = np.full(self.images.shape, np.nan, dtype=np.float32)
            self.sigma[place] = planes.sigma
        self.wcs.append(planes.wcs)
        self.kept.append(row)

    def _fit(self, name: str, planes: Planes) -> Planes:
        shapes = (self.images.shape[1:], planes.pixels.shape)
        if shapes[0][0] != shapes[1][0]:
            raise ValueError(
                f"images must have the same number of planes, got {shapes[0][0]} in "
                f"{self.first_name} and {shapes[1][0]} in {name}. Use color='gray' or color='rgb'."
            )
        if self.options.shape is None:
            sizes = [" x ".join(map(str, shape[-2:])) for shape in shapes]
            raise ValueError(
                f"images must be of one size, got {sizes[0]} in {self.first_name} and {sizes[1]} "
                f"in {name}. Cut or pad them with shape=(rows, columns)."
            )
        return fit_planes(planes, self.options.shape)

    def finish(self, table: Any, meta: dict[str, Any], where: str) -> Stamps:
        """Stamps of what was kept, with their rows of ``table``."""
        if self.first is None:
            name, reason = next(iter(self.skipped.items()))
            raise ValueError(
                f"{where} must have images that can be read, got none of {self.n}. "
                f"The first was {name}: {reason}"
            )
        n = len(self.kept)
        wcs = self.wcs if any(w is not None for w in self.wcs) else None
        return Stamps(
            self.images[:n], None if self.mask is None else self.mask[:n], table[self.kept],
            None if wcs is None else tuple(wcs), self.first.names, self.first.unit,
            None if self.sigma is None else self.sigma[:n],
            {**meta, "first_row": self.first.first_row, "skipped": self.skipped},
        )  # fmt: skip


def read_member(content: bytes, options: ReadOptions, where: str) -> Planes:
    """Read one file of a collection, and bring it to the planes that were asked for."""
    if is_fits(content[:16]):
        image = read_whole(content, where=where)
        uncertainty = image.uncertainty
        planes = Planes(
            image.planes, image.mask.reshape(image.planes.shape) if image.mask.any() else None,
            image.bands, image.wcs, image.unit,
            None if uncertainty is None else uncertainty.reshape(image.planes.shape), "bottom",
        )  # fmt: skip
    elif is_picture(content[:16]):
        planes = Planes(*read_picture(content))
    else:
        raise ValueError("its first bytes are not those of a PNG, JPEG or FITS file")
    planes = choose_color(planes, options)
    if options.bands:
        if len(options.bands) != len(planes.pixels):
            raise ValueError(
                f"it has {len(planes.pixels)} planes for {len(options.bands)} bands "
                f"{options.bands}; color='gray' makes one of three"
            )
        planes = replace(planes, names=options.bands)
    if options.dtype == "uint8" and planes.pixels.dtype != np.uint8:
        raise ValueError("its pixels are not of 8 bits, as dtype='uint8' has them")
    return planes


def choose_color(planes: Planes, options: ReadOptions) -> Planes:
    """Luminance of three planes, or three of one."""
    n = len(planes.pixels)
    if options.color == "gray" and n == 3:
        gray = np.tensordot(LUMINANCE, planes.pixels, 1)[None]
        if planes.pixels.dtype == np.uint8 and options.dtype == "uint8":
            gray = np.rint(gray).astype(np.uint8)
        bad: Any = planes.bad
        if bad is not None and bad.ndim == 3:
            bad = bad.any(axis=0, keepdims=True)
        return replace(planes, pixels=gray, bad=bad, names=(), sigma=None)
    if options.color == "rgb" and n == 1:
        return replace(
            planes, pixels=np.repeat(planes.pixels, 3, axis=0), names=("red", "green", "blue")
        )
    return planes


def fit_planes(planes: Planes, shape: tuple[int, int]) -> Planes:
    """Cut or pad about the centre; what is padded is masked."""
    old, new, origin = find_overlap(planes.pixels.shape[-2:], shape)
    full = (len(planes.pixels), *shape)
    pixels = np.zeros(full, dtype=planes.pixels.dtype)
    pixels[:, new[0], new[1]] = planes.pixels[:, old[0], old[1]]
    mask = np.ones(full, dtype=bool)
    bad = np.zeros(planes.pixels.shape, dtype=bool)
    if planes.bad is not None:
        bad |= planes.bad
    mask[:, new[0], new[1]] = bad[:, old[0], old[1]]
    sigma = None
    if planes.sigma is not None:
        sigma = np.full(full, np.nan, dtype=np.float32)
        sigma[:, new[0], new[1]] = planes.sigma[:, old[0], old[1]]
    wcs = None if planes.wcs is None else shift_wcs(planes.wcs, *origin)
    return replace(planes, pixels=pixels, bad=mask if mask.any() else None, wcs=wcs, sigma=sigma)


def find_overlap(
    have: Sequence[int], want: Sequence[int]
) -> tuple[list[slice], list[slice], tuple[int, int]]:
    """Rows and columns in the old and in the new image, and where the new one begins (x, y)."""
    old, new, starts = [], [], []
    for n_old, n_new in zip(have, want, strict=True):
        n, shift = min(n_old, n_new), (n_old - n_new) // 2
        old.append(slice(max(shift, 0), max(shift, 0) + n))
        new.append(slice(max(-shift, 0), max(-shift, 0) + n))
        starts.append(shift)
    return old, new, (starts[1], starts[0])


def adapt_stamps(stamps: Stamps, options: ReadOptions) -> Stamps:
    """Bring stamps that were stored as arrays to the bands, type and shape asked for."""
    n_bands = stamps.images.shape[1]
    if options.bands:
        if len(options.bands) != n_bands:
            raise invalid("bands", f"{n_bands} names, one per plane", options.bands)
        stamps = replace(stamps, bands=options.bands)
    if options.dtype == "uint8" and stamps.images.dtype != np.uint8:
        raise ValueError(
            f"dtype must be 'float32', got 'uint8': {stamps.meta.get('path')} does not have "
            "pixels of 8 bits."
        )
    if options.dtype == "float32" and stamps.images.dtype == np.uint8:
        stamps = replace(stamps, images=stamps.images.astype(np.float32))
    if options.color == "keep" and options.shape in (None, stamps.images.shape[2:]):
        return stamps
    batch = Batch(len(stamps), options)
    wcs = stamps.wcs or [None] * len(stamps)
    for row, pixels in enumerate(stamps.images):
        sigma = None if stamps.uncertainty is None else stamps.uncertainty[row]
        bad = stamps.mask[row]
        planes = Planes(
            pixels, bad if bad.any() else None, stamps.bands, wcs[row], stamps.unit, sigma,
            stamps.meta.get("first_row", "bottom"),
        )  # fmt: skip
        batch.add(row, str(row), choose_color(planes, options))
    found = batch.finish(stamps.table, dict(stamps.meta), str(stamps.meta.get("path", "stamps")))
    side = found.images.shape[-1]
    return found if found.wcs is None else replace(
        found, wcs=StampWCS.from_sequence(found.wcs, side)
    )  # fmt: skip
