"""Camera images as square arrays, which is what image networks take: charge and place are kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import astropy.units as u
import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy.sparse import csr_array

from .._validation import check_choice, invalid
from .cameras import CameraGeometry

METHODS = ("bilinear", "nearest")
POINTS = 8  # along each side of a pixel, into which its charge is divided
MOST_CELLS = 2048  # along a side
CHUNK = 2**22  # values per matrix product


@dataclass(frozen=True, eq=False)
class CameraGrid:
    """A square grid over a camera, and how the charge of each pixel falls on it.

    Parameters
    ----------
    x, y : Quantity, shape (n_side,)
        Centres of the columns and rows, ascending, in the unit of the camera.
    matrix : csr_array, shape (n_side**2, n_pixels)
        Share of each pixel in each cell; every column adds up to one.
    """

    x: u.Quantity
    y: u.Quantity
    matrix: csr_array

    @property
    def n_side(self) -> int:
        """Cells along each side."""
        return len(self.x)

    @property
    def cell_size(self) -> u.Quantity:
        """Width and height of a cell."""
        return self.x[1] - self.x[0]

    @classmethod
    def from_camera(
        cls, camera: CameraGeometry, *, n_side: int | None = None, method: str = "bilinear"
    ) -> CameraGrid:
        """Make the grid of a camera; arguments as for `extract_image_arrays`."""
        check_choice("method", method, METHODS)
        x, y = camera.pixel_x.value, camera.pixel_y.value
        width = camera.pixel_width.value
        # No point of a pixel is further than this from its centre, whatever its shape.
        reach = 0.75 * width
        left, right = (x - reach).min(), (x + reach).max()
        low, high = (y - reach).min(), (y + reach).max()
        extent = max(right - left, high - low)
        if n_side is None:
            n_side = int(np.ceil(extent / np.median(width))) + 1
        if not isinstance(n_side, int | np.integer) or not 2 <= n_side <= MOST_CELLS:
            raise invalid("n_side", f"a whole number from 2 to {MOST_CELLS}", n_side)
        size = extent / (n_side - 1)
        first_x = 0.5 * (left + right) - 0.5 * (n_side - 1) * size
        first_y = 0.5 * (low + high) - 0.5 * (n_side - 1) * size
        steps = np.arange(n_side) * size
        return cls(
            (first_x + steps) << camera.unit,
            (first_y + steps) << camera.unit,
            _share_charge(camera, first_x, first_y, size, int(n_side), method),
        )

    def resample(self, images: ArrayLike, *, dtype: DTypeLike = np.float32) -> np.ndarray:
        """Return images of shape (n_images, n_pixels) as (n_images, n_side, n_side)."""
        flat = np.asarray(images)
        n_cells, n_pixels = self.matrix.shape
        if flat.ndim != 2 or flat.shape[1] != n_pixels or flat.dtype.kind not in "biuf":
            raise ValueError(
                f"images must be numbers of shape (n_images, {n_pixels}), got "
                f"{flat.dtype} of shape {flat.shape}. Give one value per pixel of the camera."
            )
        arrays = np.empty((len(flat), n_cells), dtype=dtype)
        step = max(CHUNK // n_cells, 1)
        for start in range(0, len(flat), step):
            rows = slice(start, start + step)
            arrays[rows] = (self.matrix @ flat[rows].T.astype(float)).T
        return arrays.reshape(len(flat), self.n_side, self.n_side)


def extract_image_arrays(
    images: ArrayLike,
    *,
    camera: CameraGeometry,
    n_side: int | None = None,
    method: str = "bilinear",
    dtype: DTypeLike = np.float32,
) -> np.ndarray:
    """Resample images of a camera with any pixels to square arrays for an image network.

    The charge of each pixel is spread evenly over its area and falls on the cells below. The sum
    over an array is the sum over the image, and with "bilinear" so are its first moments: the
    centroid stays where it was.

    Parameters
    ----------
    images : array_like, shape (n_images, n_pixels)
        Charges, or peak times, or a mask. NaN in a pixel becomes NaN in every cell that it
        reaches: clean the images or set dead pixels to zero first.
    camera : CameraGeometry
        Whose pixels they are.
    n_side : int, optional
        Cells along each side; by default as wide as a pixel. The grid always covers the camera.
    method : {"bilinear", "nearest"}
        Each point of a pixel gives its charge to the four cells around it, by distance, or to the
        nearest one: less smooth, and sharper.
    dtype : dtype
        Of the result.

    Returns
    -------
    ndarray, shape (n_images, n_side, n_side)
        ``array[k, row, column]``: rows along y, columns along x, both ascending. The positions
        are those of `CameraGrid.from_camera` with the same arguments.

    Raises
    ------
    ValueError
        When the images do not have one value per pixel.

    Examples
    --------
    >>> camera = CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=91)
    >>> arrays = extract_image_arrays(np.eye(91), camera=camera)
    >>> arrays.shape
    (91, 13, 13)
    >>> bool(np.allclose(arrays.sum(axis=(1, 2)), 1))
    True
    """
    return _get_grid(camera, n_side, method).resample(images, dtype=dtype)


@lru_cache(maxsize=16)
def _get_grid(camera: CameraGeometry, n_side: int | None, method: str) -> CameraGrid:
    return CameraGrid.from_camera(camera, n_side=n_side, method=method)


def _share_charge(
    camera: CameraGeometry, first_x: float, first_y: float, size: float, n_side: int, method: str
) -> csr_array:
    """Sparse matrix of the share of each pixel in each cell."""
    offset_x, offset_y = _divide_pixel(camera)
    width = camera.pixel_width.value[:, None]
    column = (camera.pixel_x.value[:, None] + width * offset_x - first_x) / size
    row = (camera.pixel_y.value[:, None] + width * offset_y - first_y) / size
    pixel = np.broadcast_to(np.arange(camera.n_pixels)[:, None], column.shape)
    share = np.full(column.shape, 1 / len(offset_x))
    corners: list[tuple[Any, Any, Any]]
    if method == "nearest":
        corners = [(np.rint(row), np.rint(column), share)]
    else:
        below, left = np.floor(row), np.floor(column)
        up, right = row - below, column - left
        corners = [
            (below, left, share * (1 - up) * (1 - right)),
            (below, left + 1, share * (1 - up) * right),
            (below + 1, left, share * up * (1 - right)),
            (below + 1, left + 1, share * up * right),
        ]
    cells = np.concatenate([(r * n_side + c).astype(np.int64).ravel() for r, c, _ in corners])
    shares = np.concatenate([part.ravel() for *_, part in corners])
    pixels = np.tile(pixel.ravel(), len(corners))
    matrix = csr_array((shares, (cells, pixels)), shape=(n_side**2, camera.n_pixels))
    matrix.sum_duplicates()
    return matrix


def _divide_pixel(camera: CameraGeometry) -> tuple[np.ndarray, np.ndarray]:
    """Points that fill a pixel of width one evenly, symmetric about its centre."""
    side = (np.arange(2 * POINTS) + 0.5) / POINTS - 1
    x, y = (grid.ravel() for grid in np.meshgrid(side, side))
    if camera.pixel_shape == "circle":
        inside = np.hypot(x, y) < 0.5
    elif camera.pixel_shape == "square":
        inside = np.maximum(np.abs(x), np.abs(y)) < 0.5
    else:  # a corner up: flat sides left and right
        slanted = np.maximum(np.abs(0.5 * x + 0.75**0.5 * y), np.abs(0.5 * x - 0.75**0.5 * y))
        inside = np.maximum(np.abs(x), slanted) < 0.5
    x, y = x[inside], y[inside]
    angle = camera.pixel_rotation.to_value(u.rad)
    return x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
