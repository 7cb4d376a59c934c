"""Images to cut from: where each lies on the sky, known before any of its pixels is read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from .._validation import invalid
from ._fits_images import is_fits, open_fits
from .image import SkyImage

# An image on disk beyond this many pixels is read by tiles, of which each is read once.
MOST_AT_ONCE, TILE = 2**26, 4096


@dataclass(frozen=True, eq=False)
class ImageSource:
    """One image, in memory or on disk, and its geometry."""

    image: SkyImage | Path
    name: str
    hdu: int | str | None
    wcs: WCS
    shape: tuple[int, ...]
    unit: u.UnitBase | None
    bands: tuple[str, ...]

    @property
    def n_bands(self) -> int:
        """Number of planes."""
        return 1 if len(self.shape) == 2 else self.shape[0]

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Give a function from a section, or None for all, to a `SkyImage`."""
        if isinstance(self.image, SkyImage):
            image = self.image
            yield lambda section: image  # it is in memory, and a view of it costs nothing
            return
        with open_fits(self.image, hdu=self.hdu, where=self.name) as file:
            yield file.read

    def iter_pieces(
        self, low: np.ndarray, high: np.ndarray
    ) -> Iterator[tuple[SkyImage, np.ndarray, np.ndarray]]:
        """Parts of the image, the positions that each serves, and where it begins.

        ``low`` and ``high`` (n, 2) are the first and the last column and row that a position
        needs; they may lie outside of the image.
        """
        width, height = self.shape[-1], self.shape[-2]
        everything = np.arange(len(low))
        with self.open() as read:
            if isinstance(self.image, SkyImage):
                yield read(None), everything, np.zeros(2, dtype=int)
                return
            cells = np.zeros(len(low), dtype=int)
            if width * height * self.n_bands > MOST_AT_ONCE:
                tiles = np.clip((low + high) // 2, 0, [width - 1, height - 1]) // TILE
                cells = tiles[:, 1] * (width // TILE + 1) + tiles[:, 0]
            for cell in np.unique(cells):
                own = everything[cells == cell]
                first = np.clip(low[own].min(axis=0), 0, [width - 1, height - 1])
                last = np.clip(high[own].max(axis=0), 0, [width - 1, height - 1])
                part = (slice(int(first[1]), int(last[1]) + 1),
                        slice(int(first[0]), int(last[0]) + 1))  # fmt: skip
                yield read(part), own, first

    def find_nearby(self, coords: SkyCoord, margin: u.Quantity) -> np.ndarray:
        """Which positions may be on the image or within ``margin`` of it."""
        center, radius = _bound(self.wcs, self.shape)
        return np.nonzero(coords.separation(center) <= radius + margin)[0]

    def to_pixels(self, coords: SkyCoord) -> np.ndarray:
        """Columns and rows (n, 2), counted from 0; NaN where the projection does not reach."""
        frame = wcs_to_celestial_frame(self.wcs)
        sky = coords.transform_to(frame).spherical
        return sky_to_pixels(self.wcs, sky.lon.deg, sky.lat.deg)


def sky_to_pixels(wcs: WCS, longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """Columns and rows of positions in the frame of a WCS [deg]."""
    world = [longitude, latitude] if wcs.wcs.lng < wcs.wcs.lat else [latitude, longitude]
    return np.stack(wcs.all_world2pix(*world, 0, quiet=True), axis=-1)


def list_sources(images: Any, hdu: int | str | None) -> list[ImageSource]:
    """Geometry of an image, a path, or a sequence of them."""
    if isinstance(images, SkyImage | str | os.PathLike):
        images = [images]
    if not isinstance(images, Sequence) or not len(images):
        raise invalid("images", "a SkyImage, a path, or a list of them", images)
    return [_describe(image, number, hdu) for number, image in enumerate(images)]


def _describe(image: Any, number: int, hdu: int | str | None) -> ImageSource:
    if isinstance(image, SkyImage):
        name = str(image.meta.get("path", number))
        wcs = _need_wcs(image.wcs, name, image.meta.get("wcs_error"))
        return ImageSource(image, name, None, wcs, image.data.shape, image.unit, image.bands)
    if not isinstance(image, str | os.PathLike):
        raise invalid("images", "SkyImage or paths", type(image).__name__)
    path = Path(image)
    with path.open("rb") as raw:
        head = raw.read(16)
    if not is_fits(head):
        raise ValueError(
            f"{path.name} must be FITS to be cut by position, which needs a WCS. "
            "Make a SkyImage with one of what read_image gives."
        )
    with open_fits(path, hdu=hdu, where=path.name) as file:
        wcs = _need_wcs(file.wcs, path.name, file.wcs_error)
        return ImageSource(path, path.name, hdu, wcs, file.shape, file.unit, ())


def _need_wcs(wcs: WCS | None, name: str, why: str | None) -> WCS:
    if wcs is None:
        raise ValueError(
            f"image {name} must have a celestial WCS to be cut by position, got "
            f"{'a broken one: ' + why if why else 'none'}. Cut it by pixels, or solve its plate."
        )
    return wcs


def _bound(wcs: WCS, shape: tuple[int, ...]) -> tuple[SkyCoord, u.Quantity]:
    """Centre of an image and the radius of a circle about it that holds all of it."""
    height, width = shape[-2:]
    along = np.linspace(-0.5, 0.5, 9)
    x = np.concatenate([along, along, np.full(9, -0.5), np.full(9, 0.5), [0]]) * width
    y = np.concatenate([np.full(9, -0.5), np.full(9, 0.5), along, along, [0]]) * height
    sky = wcs.pixel_to_world(x + (width - 1) / 2, y + (height - 1) / 2).icrs
    center = sky[-1]
    if not np.isfinite(sky.ra.deg).all():
        whole = SkyCoord(0, 0, unit="deg") if not np.isfinite(center.ra.deg) else center
        return whole, 180 * u.deg
    radius = sky.separation(center).max()
    # beyond a hemisphere the rim says nothing of what is within
    return center, 180 * u.deg if radius > 80 * u.deg else radius * 1.01
