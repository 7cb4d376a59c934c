"""The pixels of a sky map: a tangent plane that agrees with astropy's WCS, and sums over discs.

Positions are unit vectors throughout, so that RA 0/360 and the poles need no special case.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from astropy.wcs import WCS
from scipy import fft

from ._rings import to_degrees, to_unit_vectors


def find_basis(axis: np.ndarray) -> np.ndarray:
    """Return east, north and the axis itself as the rows of a 3 x 3 matrix."""
    ra, dec = to_degrees(axis)
    east = to_unit_vectors(ra + 90.0, 0.0)
    # from the angles, not by a cross product: exact at the pole too
    north = to_unit_vectors(ra + 180.0, 90.0 - dec) if dec >= 0 else to_unit_vectors(ra, 90.0 + dec)
    return np.stack([east, north, np.asarray(axis, float)])


@dataclass(frozen=True, eq=False)
class SkyGrid:
    """Square pixels on the plane tangent to the sky at ``centre``, with a margin all around.

    Attributes
    ----------
    centre : ndarray, shape (3,)
        Unit vector.
    n_x, n_y : int
        Pixels of the map, without the margin.
    pixel : float
        Their size at the centre [deg].
    margin : int
        Pixels beyond each edge, so that regions of pixels inside may reach beyond it.
    """

    centre: np.ndarray
    n_x: int
    n_y: int
    pixel: float
    margin: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns with the margin."""
        return self.n_y + 2 * self.margin, self.n_x + 2 * self.margin

    @property
    def half_diagonal(self) -> float:
        """Distance from a pixel's centre to its corner [deg]."""
        return self.pixel / np.sqrt(2.0)

    @cached_property
    def _basis(self) -> np.ndarray:
        return find_basis(self.centre)

    @cached_property
    def wcs(self) -> WCS:
        """Coordinate system of the map without the margin."""
        ra, dec = to_degrees(self.centre)
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.cunit = ["deg", "deg"]
        wcs.wcs.crval = [float(ra), float(dec)]
        wcs.wcs.crpix = [(self.n_x + 1) / 2, (self.n_y + 1) / 2]
        wcs.wcs.cdelt = [-self.pixel, self.pixel]
        wcs.wcs.lonpole = 180.0  # the default is another one at the pole itself
        wcs.wcs.radesys = "ICRS"
        wcs.array_shape = (self.n_y, self.n_x)
        return wcs

    @cached_property
    def vectors(self) -> np.ndarray:
        """Unit vectors of the pixels with the margin, shape (n_pixels, 3)."""
        rows, columns = self.shape
        xi = -np.deg2rad(self.pixel) * (np.arange(columns) - (columns - 1) / 2)
        eta = np.deg2rad(self.pixel) * (np.arange(rows) - (rows - 1) / 2)
        plane = np.stack(
            np.broadcast_arrays(xi[None, :], eta[:, None], np.ones((1, 1))), axis=-1
        ).reshape(-1, 3)
        return (plane / np.linalg.norm(plane, axis=1)[:, None]) @ self._basis

    @cached_property
    def solid_angle(self) -> np.ndarray:
        """Solid angle of each pixel with the margin [deg^2], shape (n_pixels,)."""
        return self.pixel**2 * np.clip(self.vectors @ self.centre, 0.0, 1.0) ** 3

    def place(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return column and row, not rounded, in the map with its margin; NaN behind the plane."""
        east, north, depth = np.moveaxis(vectors @ self._basis.T, -1, 0)
        depth = np.where(depth > 1e-3, depth, np.nan)
        rows, columns = self.shape
        scale = np.rad2deg(1.0) / self.pixel
        return (columns - 1) / 2 - scale * east / depth, (rows - 1) / 2 + scale * north / depth

    def find_pixels(self, vectors: np.ndarray) -> np.ndarray:
        """Return the index of the pixel that holds each vector, -1 outside."""
        column, row = self.place(vectors)
        rows, columns = self.shape
        inside = (column > -0.5) & (column < columns - 0.5) & (row > -0.5) & (row < rows - 0.5)
        index = np.full(column.shape, -1, dtype=np.int32)
        j = np.floor(column[inside] + 0.5).astype(np.int32)
        index[inside] = np.floor(row[inside] + 0.5).astype(np.int32) * columns + j
        return index

    def crop(self, image: np.ndarray) -> np.ndarray:
        """Cut the margin off an image of the full grid, or off vectors."""
        if image.shape[:2] != self.shape:
            image = image.reshape(*self.shape, *image.shape[1:])
        return image[self.margin : self.margin + self.n_y, self.margin : self.margin + self.n_x]

    def embed(self, image: np.ndarray) -> np.ndarray:
        """Put an image of the map into the full grid, False or 0 in the margin."""
        full = np.zeros(self.shape, dtype=image.dtype)
        self.crop(full)[...] = image
        return full

    def cover(self, centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """Tell which pixels of the full grid touch any of the circles (radii in rad)."""
        covered = np.zeros(len(self.vectors), dtype=bool)
        grown = np.asarray(radii, float) + np.deg2rad(self.half_diagonal)
        for centre, size in zip(centres, grown, strict=True):
            covered |= self.vectors @ centre >= np.cos(min(size, np.pi))
        return covered.reshape(self.shape)


def make_disc(radius: float) -> np.ndarray:
    """Return which pixels have their centre within ``radius`` pixels of the middle one."""
    half = int(np.floor(radius + 1e-9))
    step = np.arange(-half, half + 1)
    return np.hypot(step[:, None], step[None, :]) <= radius + 1e-9


def make_ring(inner: float, outer: float) -> np.ndarray:
    """Return which pixels have their centre between two radii (in pixels) from the middle."""
    half = int(np.floor(outer + 1e-9))
    step = np.arange(-half, half + 1)
    distance = np.hypot(step[:, None], step[None, :])
    return (distance >= inner - 1e-9) & (distance <= outer + 1e-9)


class KernelSums:
    """Sums of images under a kernel that is moved over them, all of one shape.

    Parameters
    ----------
    shape : tuple of int
        Of the images.
    **kernels : ndarray of bool
        Symmetric, by name.
    """

    def __init__(self, shape: tuple[int, int], **kernels: np.ndarray) -> None:
        self.shape = shape
        self.reach = max(max(kernel.shape) // 2 for kernel in kernels.values())
        self._padded = [fft.next_fast_len(size + self.reach, real=True) for size in shape]
        self._kernels = {name: self._prepare(kernel) for name, kernel in kernels.items()}

    def _prepare(self, kernel: np.ndarray) -> np.ndarray:
        image = np.zeros(self._padded)
        image[: kernel.shape[0], : kernel.shape[1]] = kernel
        middle = (-(kernel.shape[0] // 2), -(kernel.shape[1] // 2))
        return fft.rfft2(np.roll(image, middle, axis=(0, 1)))

    def transform(self, image: np.ndarray) -> np.ndarray:
        """Return the Fourier transform, to be used with several kernels."""
        return fft.rfft2(image.reshape(self.shape), self._padded)

    def sum(self, transformed: np.ndarray, name: str) -> np.ndarray:
        """Return the sum of the transformed image under a kernel around every pixel."""
        full = fft.irfft2(transformed * self._kernels[name], self._padded)
        return full[: self.shape[0], : self.shape[1]]

    def count(self, image: np.ndarray, name: str) -> np.ndarray:
        """Return such sums of whole numbers, free of the rounding of the transform."""
        return np.rint(self.sum(self.transform(image), name)) + 0.0

    def measure(self, image: np.ndarray, name: str) -> np.ndarray:
        """Return such sums of numbers >= 0; exactly 0 where only rounding is left."""
        total = self.sum(self.transform(image), name)
        return np.where(total > 1e-9 * max(float(total.max(initial=0.0)), 1e-300), total, 0.0)
