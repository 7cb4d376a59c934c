"""Stamps out of one image: whole pixels as they are, or interpolated onto a grid of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.coordinates import ICRS, SkyCoord
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame
from numpy.lib.stride_tricks import sliding_window_view

from ._image_sources import sky_to_pixels
from .image import SkyImage

ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}
MOST_POINTS = 2**20  # interpolated at a time
TOUCHED = 1e-6  # share of a bad pixel that spoils a point
STEP = 0.5  # pixels, for the derivatives of a WCS
NODES = -np.cos(np.pi * np.arange(6) / 5)  # Chebyshev's, from edge to edge of a stamp
PROBES = np.array([[0.4, -0.9], [-0.6, 0.55]])  # where the polynomials are tried
TOLERANCE = 1e-3  # pixels


@dataclass
class Stack:
    """Where stamps are put, as `Stamps` has them, with the share that the images cover."""

    images: np.ndarray
    mask: np.ndarray
    uncertainty: np.ndarray | None
    coverage: np.ndarray

    @classmethod
    def make_empty(cls, n: int, n_bands: int, side: int) -> Stack:
        """Nothing covered: all NaN and masked."""
        shape = (n, n_bands, side, side)
        return cls(
            np.full(shape, np.nan, dtype=np.float32), np.ones(shape, dtype=bool), None, np.zeros(n)
        )

    def need_uncertainty(self) -> np.ndarray:
        """Make room for errors as soon as one image has them."""
        if self.uncertainty is None:
            self.uncertainty = np.full(self.images.shape, np.nan, dtype=np.float32)
        return self.uncertainty


def cut_pixels(image: SkyImage, start: np.ndarray, rows: np.ndarray, stack: Stack) -> None:
    """Copy windows that begin at columns and rows ``start`` (n, 2) into ``rows`` of the stack."""
    side = stack.images.shape[-1]
    height, width = image.data.shape[-2:]
    inside = ((start >= 0) & (start + side <= [width, height])).all(axis=1)
    pairs = [(image.planes, stack.images), (image.mask.reshape(image.planes.shape), stack.mask)]
    if image.uncertainty is not None:
        pairs.append((image.uncertainty.reshape(image.planes.shape), stack.need_uncertainty()))
    whole = rows[inside]
    if len(whole):
        x, y = start[inside].T
        for planes, target in pairs:
            windows = sliding_window_view(planes, (side, side), axis=(1, 2))
            for band, target_band in zip(windows, np.moveaxis(target, 1, 0), strict=True):
                target_band[whole] = band[y, x]
        stack.coverage[whole] = 1
    for row, (x0, y0) in zip(rows[~inside], start[~inside], strict=True):
        x1, x2 = max(x0, 0), min(x0 + side, width)
        y1, y2 = max(y0, 0), min(y0 + side, height)
        if x1 >= x2 or y1 >= y2:
            continue
        to = (slice(y1 - y0, y2 - y0), slice(x1 - x0, x2 - x0))
        for planes, target in pairs:
            target[row][:, to[0], to[1]] = planes[:, y1:y2, x1:x2]
        stack.coverage[row] = (x2 - x1) * (y2 - y1) / side**2


def measure_jacobians(wcs: WCS, pixels: np.ndarray) -> np.ndarray:
    """Degrees east and north (ICRS) per column and row at pixels (n, 2): shape (n, 2, 2)."""
    shifts = STEP * np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [0, 0]])
    points = pixels[:, None] + shifts
    sky = wcs.pixel_to_world(points[..., 0], points[..., 1]).icrs
    vectors = np.moveaxis(sky.cartesian.xyz.value, 0, -1)
    east, north, _ = make_axes(sky.ra.rad[:, 4], sky.dec.rad[:, 4])
    apart = np.stack([vectors[:, 0] - vectors[:, 1], vectors[:, 2] - vectors[:, 3]], axis=-1)
    axes = np.stack([east, north], axis=1)
    return np.degrees(axes @ apart) / (2 * STEP)


def make_axes(longitude: np.ndarray, latitude: np.ndarray) -> tuple[np.ndarray, ...]:
    """Unit vectors to the east, to the north and outwards, at angles in radians."""
    sin_a, cos_a, sin_d, cos_d = (f(angle) for angle in (longitude, latitude)
                                  for f in (np.sin, np.cos))  # fmt: skip
    zero = np.zeros_like(sin_a)
    east = np.stack([-sin_a, cos_a, zero], axis=-1)
    north = np.stack([-sin_d * cos_a, -sin_d * sin_a, cos_d], axis=-1)
    outwards = np.stack([cos_d * cos_a, cos_d * sin_a, sin_d], axis=-1)
    return east, north, outwards


def choose_matrices(
    jacobians: np.ndarray, *, scale: float | None, north_up: bool, parity: str | None
) -> np.ndarray:
    """Matrices (n, 2, 2) from pixels to degrees east and north, of square pixels.

    Orientation is that of the image's rows where north is not to be up; scale [deg] and parity
    are those of the image where they are not given.
    """
    determinant = np.linalg.det(jacobians)
    side = np.sqrt(np.abs(determinant)) if scale is None else np.full(len(jacobians), scale)
    sign = np.sign(determinant)  # negative as the sky is seen, where east is to the left
    if parity is not None:
        sign = np.full(len(jacobians), -1.0 if parity == "sky" else 1.0)
    up = np.tile([0.0, 1.0], (len(jacobians), 1)) if north_up else jacobians[:, :, 1]
    up = up / np.linalg.norm(up, axis=1, keepdims=True)
    right = np.stack([up[:, 1], -up[:, 0]], axis=1) * sign[:, None]
    return np.stack([right, up], axis=2) * side[:, None, None]


def find_points(
    wcs: WCS, centers: np.ndarray, matrices: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Pixels (n, ..., 2) of an image where those of gnomonic stamps lie.

    ``centers`` are ICRS [deg], ``offsets`` (..., 2) columns and rows from the centre of a stamp.
    """
    plane = np.radians(np.einsum("nij,...j->n...i", matrices, offsets))
    shape = (len(centers), *[1] * (offsets.ndim - 1), 3)
    axes = (axis.reshape(shape) for axis in make_axes(*np.radians(centers).T))
    east, north, outwards = axes
    vectors = outwards + plane[..., :1] * east + plane[..., 1:] * north
    x, y, z = np.moveaxis(vectors, -1, 0)
    longitude, latitude = np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))
    frame = wcs_to_celestial_frame(wcs)
    if not isinstance(frame, ICRS):
        moved = SkyCoord(longitude, latitude, unit="rad").transform_to(frame).spherical
        longitude, latitude = moved.lon.rad, moved.lat.rad
    flat = sky_to_pixels(wcs, np.degrees(longitude).ravel(), np.degrees(latitude).ravel())
    return flat.reshape(*longitude.shape, 2)


def find_grids(
    wcs: WCS, centers: np.ndarray, matrices: np.ndarray, side: int, n_fine: int
) -> np.ndarray:
    """Pixels of an image where those of stamps lie, ``n_fine`` squared points to a pixel.

    Shape (n, side, side, n_fine squared, 2). Within a stamp they are smooth: polynomials through
    a few exact points give them, and two more exact points tell where that is not good enough.
    """
    line = (np.arange(side * n_fine) + 0.5) / n_fine - side / 2
    tables = (wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2)
    if len(line) <= 2 * len(NODES) or any(table is not None for table in tables):
        grids = find_points(wcs, centers, matrices, _cross(line, line))
    else:
        nodes = NODES * side / 2
        inner = np.vstack([_cross(nodes, nodes).reshape(-1, 2), PROBES * side / 2])
        exact = find_points(wcs, centers, matrices, inner)
        known = exact[:, : len(nodes) ** 2].reshape(-1, len(nodes), len(nodes), 2)
        basis = _interpolate(NODES, 2 * line / side)
        grids = np.moveaxis(basis @ np.moveaxis(known, -1, 1) @ basis.T, 1, -1)
        rows, columns = (_interpolate(NODES, PROBES[:, k]) for k in (1, 0))
        probed = np.einsum("pi,nijc,pj->npc", rows, known, columns)
        off = np.abs(probed - exact[:, len(nodes) ** 2 :]).max(axis=(1, 2))
        rough = np.nonzero(~(off < TOLERANCE))[0]  # NaN as well
        if len(rough):
            grids[rough] = find_points(wcs, centers[rough], matrices[rough], _cross(line, line))
    grids = grids.reshape(-1, side, n_fine, side, n_fine, 2).transpose(0, 1, 3, 2, 4, 5)
    return grids.reshape(-1, side, side, n_fine**2, 2)


def _cross(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Points (n_rows, n_columns, 2) of a grid, column first."""
    return np.stack(np.meshgrid(columns, rows), axis=-1)


def _interpolate(nodes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Weights (n_points, n_nodes) of Lagrange's polynomials."""
    weights = np.ones((len(points), len(nodes)))
    for k, node in enumerate(nodes):
        for other in np.delete(nodes, k):
            weights[:, k] *= (points - other) / (node - other)
    return weights


def resample(
    image: SkyImage, points: np.ndarray, rows: np.ndarray, stack: Stack, *,
    order: int, factor: np.ndarray, noise: np.ndarray,
) -> None:  # fmt: skip
    """Interpolate at ``points`` (n, side, side, n_fine, 2) and average over those of a pixel.

    ``factor`` (n,) scales the values, ``noise`` (n,) the errors on top of it. A point that a bad
    pixel contributes to is bad, a pixel with fewer than half of its points good is masked.
    """
    from scipy.ndimage import map_coordinates, maximum_filter

    height, width = image.data.shape[-2:]
    lost = ~np.isfinite(points).all(axis=-1)
    points = np.where(lost[..., None], -9.0, points)
    inside = np.all((points >= -0.5) & (points <= [width - 0.5, height - 0.5]), axis=-1)
    where = np.moveaxis(points[..., ::-1], -1, 0)
    stack.coverage[rows] = inside.mean(axis=(1, 2, 3))
    masks = image.mask.reshape(image.planes.shape)
    for band, (plane, bad) in enumerate(zip(image.planes, masks, strict=True)):
        good = inside
        if bad.any():
            spoiled = maximum_filter(bad, 3) if order == 3 else bad
            share = map_coordinates(
                spoiled.astype(np.float32), where, order=min(order, 1), mode="nearest"
            )
            good = np.logical_and(inside, share < TOUCHED)
        masked = 2 * good.sum(axis=-1) < points.shape[3]
        filled = _fill_bad(plane, bad, order)

        value = _average(filled, where, good, order) * factor[:, None, None]
        stack.images[rows, band] = np.where(masked, np.nan, value)
        stack.mask[rows, band] = masked
        if image.uncertainty is not None:
            sigma = image.uncertainty.reshape(image.planes.shape)[band]
            squared = np.where(bad, 0, sigma.astype(float) ** 2)
            variance = _average(squared, where, good, min(order, 1))
            error = np.sqrt(variance) * (factor * noise)[:, None, None]
            stack.need_uncertainty()[rows, band] = np.where(masked, np.nan, error)


def _fill_bad(plane: np.ndarray, bad: np.ndarray, order: int) -> np.ndarray:
    """Finite everywhere; a spline, which feels what is far away, gets the nearest good pixel."""
    if not bad.any() or bad.all():
        return np.where(bad, 0, plane) if bad.any() else plane
    if order < 3:
        return np.where(bad, 0, plane)
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(bad, return_distances=False, return_indices=True)
    return plane[tuple(nearest)]


def _average(values: np.ndarray, where: np.ndarray, good: np.ndarray, order: int) -> np.ndarray:
    """Mean over the good points of each pixel; 0 where there is none."""
    from scipy.ndimage import map_coordinates

    found = map_coordinates(values, where, order=order, mode="nearest")
    return np.where(good, found, 0).sum(axis=-1) / np.maximum(good.sum(axis=-1), 1)
