"""Where the axes of several images meet: weighted least squares for all events at once.

A photon from (p0 + r) at distance d falls at t - (T - p0 - r) / d in the camera of the telescope at
T. So the axis of an image passes through the direction t, and points from T to the core p0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._stereo_images import StereoImages

# How the images of simulated gammas scatter about the true axis: their variance over that of the
# photons alone, and what is left of large images (rad).
NOISE = 4.2
LEAST_CENTROID, LEAST_ANGLE = np.radians(0.005), np.radians(0.9)
# The first guess of how far a source lies from an image, rad, and a core from a telescope, m.
FIRST_LEVER, FIRST_IMPACT = np.radians(1.0), 120.0
LEAST_LEVER, LEAST_IMPACT = np.radians(0.1), 20.0
ROUNDS = 3
# A direction (rad) or core (m) less certain than this says nothing: the axes are parallel.
WORST_DIRECTION, WORST_CORE = np.radians(3.0), 1000.0
# How far centroids stray along their axes, in lengths, and what is left of the errors of direction
# and core, which mostly cancel: from the heights that two pairs of telescopes give of one shower.
STRAY, UNCANCELLED = 0.56, 0.09
# Images on the source itself (rad) have no height.
LEAST_PARALLAX = 1e-6


@dataclass(frozen=True)
class Geometry:
    """Direction, core and height per event, in rad and m; NaN where not valid.

    Errors of direction and core are radii that hold 68 % of the truths. ``impact`` is the distance
    of each image's telescope from the core.
    """

    lon: np.ndarray
    lat: np.ndarray
    direction_error: np.ndarray
    core_x: np.ndarray
    core_y: np.ndarray
    core_error: np.ndarray
    h_max: np.ndarray
    h_max_error: np.ndarray
    is_valid: np.ndarray
    impact: np.ndarray


@dataclass(frozen=True)
class Meeting:
    """The point nearest to all lines of each event, and its covariance."""

    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray

    @property
    def radius(self) -> np.ndarray:
        """Root of the trace of the covariance."""
        return np.sqrt(self.xx + self.yy)


def find_meeting(
    images: StereoImages, x: np.ndarray, y: np.ndarray, variance: np.ndarray
) -> Meeting:
    """Find the point that minimises the sum of (distance to the line)^2 / variance.

    It is the mean of the pairs' intersections with weights sin^2(dpsi) / (variance_1 variance_2)
    (Jacobi's theorem on least squares), at a cost that grows with images instead of pairs.
    """
    across_x, across_y = -np.sin(images.psi), np.cos(images.psi)
    n = np.maximum(images.add(), 1)
    mean_x, mean_y = images.add(x) / n, images.add(y) / n
    offset = across_x * (x - mean_x[images.event]) + across_y * (y - mean_y[images.event])
    weight = 1 / variance
    xx = images.add(weight * across_x**2)
    yy = images.add(weight * across_y**2)
    xy = images.add(weight * across_x * across_y)
    bx, by = images.add(weight * across_x * offset), images.add(weight * across_y * offset)
    determinant = xx * yy - xy**2
    with np.errstate(divide="ignore", invalid="ignore"):
        # Rounding alone leaves about 1e-16 of the trace squared.
        determinant[determinant < 1e-13 * (xx + yy) ** 2] = np.nan
        return Meeting(
            mean_x + (yy * bx - xy * by) / determinant,
            mean_y + (xx * by - xy * bx) / determinant,
            yy / determinant,
            xx / determinant,
            -xy / determinant,
        )


def estimate_axis_errors(images: StereoImages) -> tuple[np.ndarray, np.ndarray]:
    """Variances of the centroid across the axis (rad^2) and of the axis' angle (rad^2).

    Those of n photons drawn from an ellipse, times what pixels, noise and cleaning add, plus what
    showers fluctuate.
    """
    width, length, n = images.width, images.length, images.intensity / NOISE
    stretch = np.maximum(length**2 - width**2, 0.05 * length**2)
    centroid = width**2 / n + LEAST_CENTROID**2
    angle = (width * length / stretch) ** 2 / n + LEAST_ANGLE**2
    return centroid, angle


def reconstruct_geometry(images: StereoImages, *, min_images: int) -> Geometry:
    """Direction, core and height, with weights from the size and shape of the images."""
    centroid, angle = estimate_axis_errors(images)
    lever = np.full(len(images.x), FIRST_LEVER)
    impact = np.full(len(images.x), FIRST_IMPACT)
    for _ in range(ROUNDS):
        direction = find_meeting(images, images.x, images.y, centroid + angle * lever**2)
        core = find_meeting(images, images.tel_x, images.tel_y, angle * impact**2)
        away = np.hypot(images.x - direction.x[images.event], images.y - direction.y[images.event])
        distance = np.hypot(
            images.tel_x - core.x[images.event], images.tel_y - core.y[images.event]
        )
        lever = np.where(np.isfinite(away), np.maximum(away, LEAST_LEVER), FIRST_LEVER)
        impact = np.where(np.isfinite(distance), np.maximum(distance, LEAST_IMPACT), FIRST_IMPACT)
    h_max, h_max_error = _find_heights(images, away, distance, direction, core)
    valid = (images.add() >= min_images) & (direction.radius < WORST_DIRECTION)
    valid &= core.radius < WORST_CORE
    valid &= np.isfinite(core.x + core.y + h_max)
    values = (direction.x, direction.y, direction.radius, core.x, core.y, core.radius,
              h_max, h_max_error)  # fmt: skip
    for array in values:
        array[~valid] = np.nan
    return Geometry(*values, valid, np.where(valid[images.event], distance, np.nan))


def _find_heights(
    images: StereoImages,
    away: np.ndarray,
    distance: np.ndarray,
    direction: Meeting,
    core: Meeting,
) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the maximum along the axis, sum(sqrt(s) R) / sum(sqrt(s) |cog - t|), in m."""
    root = np.sqrt(images.intensity)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        total, far, wide = images.add(root), images.add(root * distance), images.add(root * away)
        height = far / wide
        height[~(wide > LEAST_PARALLAX * total)] = np.nan
        stray = np.sqrt(images.add((root * images.length) ** 2)) / wide
        geometry = np.hypot(core.radius * total / far, direction.radius * total / wide)
        return height, height * np.hypot(STRAY * stray, UNCANCELLED * geometry)
