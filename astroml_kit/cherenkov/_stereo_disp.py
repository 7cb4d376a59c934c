"""Where along and beside its axis an image's source lies: what direction regressors learn from."""

from __future__ import annotations

import numpy as np
from astropy.table import QTable

from ._derived import read_column
from ._stereo_geometry import Geometry, estimate_axis_errors
from ._stereo_images import StereoImages

# Image columns used where the table has them; the skewness is turned towards the source.
OPTIONAL = (
    "hillas_kurtosis",
    "concentration_cog",
    "concentration_core",
    "concentration_pixel",
    "leakage_intensity_width_1",
    "leakage_intensity_width_2",
    "leakage_pixels_width_2",
    "timing_slope",
)
TURNED = ("hillas_skewness", "timing_slope")


def orient_axes(images: StereoImages, geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Unit vector of each axis, pointing from the image to the side of the stereo direction."""
    along_x, along_y = np.cos(images.psi), np.sin(images.psi)
    towards = along_x * (geometry.lon[images.event] - images.x)
    towards += along_y * (geometry.lat[images.event] - images.y)
    sign = np.where(towards < 0, -1.0, 1.0)
    return sign * along_x, sign * along_y


def describe_images(
    table: QTable, images: StereoImages, geometry: Geometry
) -> dict[str, np.ndarray]:
    """Features of each image: its shape, and how the stereo view sees it."""
    event = images.event
    x, y = orient_axes(images, geometry)
    away_x, away_y = geometry.lon[event] - images.x, geometry.lat[event] - images.y
    centroid, angle = estimate_axis_errors(images)
    features = {
        "log_size": np.log(images.intensity),
        "width": np.degrees(images.width),
        "length": np.degrees(images.length),
        "width_over_length": images.width / images.length,
        "log_density": np.log(images.intensity / (images.width * images.length)),
        "cog_distance": np.degrees(np.hypot(images.x, images.y)),
        "stereo_along": np.degrees(x * away_x + y * away_y),
        "stereo_across": np.degrees(np.abs(-y * away_x + x * away_y)),
        "impact": geometry.impact,
        "log_centroid_error": 0.5 * np.log(centroid),
        "log_angle_error": 0.5 * np.log(angle),
        "h_max": geometry.h_max[event],
        "log_direction_error": np.log(geometry.direction_error[event]),
        "log_core_error": np.log(geometry.core_error[event]),
        "offset": np.degrees(np.hypot(geometry.lon, geometry.lat))[event],
        "n_images": images.add()[event],
        "cos_zenith": np.cos(images.zenith),
        # Which way the camera's edge lies, seen from the image along its axis.
        "edge": np.degrees(x * images.x + y * images.y),
    }
    turn = np.where(x * np.cos(images.psi) + y * np.sin(images.psi) < 0, -1.0, 1.0)
    for name in (*OPTIONAL, "hillas_skewness"):
        if name in table.colnames:
            values = read_column(table, name)[images.row]
            features[name] = values * turn if name in TURNED else values
    return features


def find_targets(
    images: StereoImages, geometry: Geometry, lon: np.ndarray, lat: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """True source seen from each image, along and across its oriented axis, deg."""
    x, y = orient_axes(images, geometry)
    away_x, away_y = lon[images.event] - images.x, lat[images.event] - images.y
    return np.degrees(x * away_x + y * away_y), np.degrees(-y * away_x + x * away_y)


def combine_images(
    images: StereoImages,
    geometry: Geometry,
    disp: np.ndarray,
    along: np.ndarray,
    across: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of the sources that the images point to, and the root of its variance, in deg.

    Parameters
    ----------
    disp : ndarray, shape (n_images,)
        Distance of the source from the image along its oriented axis, deg.
    along, across : ndarray, shape (n_images,)
        Standard deviations along and across the axis, deg.
    """
    x, y = orient_axes(images, geometry)
    lon = np.degrees(images.x) + disp * x
    lat = np.degrees(images.y) + disp * y
    first, second = 1 / along**2, 1 / across**2
    xx, yy = first * x**2 + second * y**2, first * y**2 + second * x**2
    xy = (first - second) * x * y
    sum_xx, sum_yy, sum_xy = images.add(xx), images.add(yy), images.add(xy)
    bx, by = images.add(xx * lon + xy * lat), images.add(xy * lon + yy * lat)
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = sum_xx * sum_yy - sum_xy**2
        error = np.sqrt((sum_xx + sum_yy) / determinant)
        return (
            (sum_yy * bx - sum_xy * by) / determinant,
            (sum_xx * by - sum_xy * bx) / determinant,
            error,
        )
