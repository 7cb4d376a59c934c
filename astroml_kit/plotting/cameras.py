"""Pictures of a camera: the charge of every pixel, what cleaning kept, and the Hillas ellipse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ._axes import ORANGE, get_axes, to_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Corners of a shape, and the angle of the first one for a pixel that is not rotated.
_CORNERS = {"hexagonal": (6, 90.0), "square": (4, 45.0), "circle": (24, 0.0)}


def plot_camera_image(
    image: ArrayLike,
    *,
    camera: Any,
    mask: ArrayLike | None = None,
    hillas: Any = None,
    ax: Axes | None = None,
    **collection_kwargs: Any,
) -> Axes:
    """Plot one camera image with its pixels in their true shape and place.

    Parameters
    ----------
    image : array_like, shape (n_pixels,)
        Charge of each pixel. Pixels without a finite charge are hatched.
    camera : CameraGeometry
        Where the pixels are.
    mask : array_like of bool, shape (n_pixels,), optional
        Pixels to outline, as from `clean_images`.
    hillas : Row or mapping, optional
        A row of the table of `extract_hillas`. Its ellipse is drawn, of one standard deviation;
        nothing is drawn where it has no parameters.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **collection_kwargs
        Passed on to ``matplotlib.collections.PolyCollection``, for instance ``cmap``.

    Returns
    -------
    matplotlib.axes.Axes
        With a colour bar beside it.

    Raises
    ------
    ValueError
        When the image or the mask is not of this camera.

    Examples
    --------
    >>> table = extract_hillas(images, camera=camera, masks=masks)  # doctest: +SKIP
    >>> ax = plot_camera_image(images[0], camera=camera, mask=masks[0],
    ...                        hillas=table[0])  # doctest: +SKIP
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Ellipse

    charges = _check_pixels("image", image, camera).astype(float)
    corners = find_corners(camera)
    good = np.isfinite(charges)
    ax = get_axes(ax)
    style: dict[str, Any] = {"cmap": "viridis", "edgecolors": "face", "linewidths": 0.2}
    pixels = PolyCollection(
        corners[good], array=charges[good], label="charge", **{**style, **collection_kwargs}
    )
    ax.add_collection(pixels)
    if not good.all():
        dead: dict[str, Any] = {
            "facecolors": "white",
            "edgecolors": "grey",
            "hatch": "xxx",
            "linewidths": 0.2,
        }
        ax.add_collection(PolyCollection(corners[~good], label="no charge", **dead))
    if mask is not None:
        kept = _check_pixels("mask", mask, camera).astype(bool)
        outline: dict[str, Any] = {"facecolors": "none", "edgecolors": ORANGE, "linewidths": 1.0}
        ax.add_collection(PolyCollection(corners[kept], label="cleaned", **outline))
    unit = str(camera.unit)
    if hillas is not None:
        x, y, length, width = (
            float(to_value(hillas[f"hillas_{name}"], unit))
            for name in ("x", "y", "length", "width")
        )
        psi = float(to_value(hillas["hillas_psi"], "deg"))
        if np.isfinite([x, y, length, width]).all():
            size = {"width": 2 * length, "height": 2 * width, "angle": np.nan_to_num(psi)}
            ax.add_patch(Ellipse((x, y), **size, fill=False, ec="white", lw=3))
            ax.add_patch(Ellipse((x, y), **size, fill=False, ec="black", lw=1.3, label="Hillas"))
    ax.set_aspect("equal")
    ax.autoscale_view()
    ax.set_xlabel(f"x [{unit}]")
    ax.set_ylabel(f"y [{unit}]")
    ax.figure.colorbar(pixels, ax=ax, label="charge [p.e.]")
    return ax


def find_corners(camera: Any) -> np.ndarray:
    """Corners of every pixel, shape (n_pixels, n_corners, 2), in the unit of the camera."""
    n_corners, first = _CORNERS[camera.pixel_shape]
    angle = np.deg2rad(first + camera.pixel_rotation.to_value("deg"))
    angle = angle + 2 * np.pi * np.arange(n_corners) / n_corners
    inner = 1.0 if camera.pixel_shape == "circle" else np.cos(np.pi / n_corners)
    radius = 0.5 * camera.pixel_width.to_value(camera.unit)[:, None] / inner
    x, y = camera.pixel_x.to_value(camera.unit), camera.pixel_y.to_value(camera.unit)
    return np.stack([x[:, None] + radius * np.cos(angle), y[:, None] + radius * np.sin(angle)], 2)


def _check_pixels(name: str, values: ArrayLike, camera: Any) -> np.ndarray:
    """Return one entry per pixel, or say that there are not."""
    array = np.asarray(values)
    if array.shape != (len(camera.pixel_x),):
        raise ValueError(
            f"{name} must have one entry for each of the {len(camera.pixel_x)} pixels of "
            f"{camera.name}, got shape {array.shape}. Give one image of this camera."
        )
    return array
