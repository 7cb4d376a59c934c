"""Camera images to parameters: clean, then measure, for any number of images in one call."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.table import QTable
from numpy.typing import ArrayLike

from .._validation import check_same_length
from ._image_batches import CleaningLevels, ImageBatch, RaggedImages
from .cameras import CameraGeometry

# What the compiled loops measure, in their order, and its unit: "" none, "position" that of the
# camera, "count" a whole number.
PARAMETERS = {
    "hillas_intensity": "",
    "hillas_x": "position",
    "hillas_y": "position",
    "hillas_r": "position",
    "hillas_phi": "angle",
    "hillas_length": "position",
    "hillas_width": "position",
    "hillas_psi": "angle",
    "hillas_length_uncertainty": "position",
    "hillas_width_uncertainty": "position",
    "hillas_psi_uncertainty": "angle",
    "hillas_transverse_cog_uncertainty": "position",
    "hillas_skewness": "",
    "hillas_kurtosis": "",
    "concentration_cog": "",
    "concentration_core": "",
    "concentration_pixel": "",
    "leakage_pixels_width_1": "",
    "leakage_pixels_width_2": "",
    "leakage_intensity_width_1": "",
    "leakage_intensity_width_2": "",
    "morphology_n_pixels": "count",
    "morphology_n_islands": "count",
    "morphology_n_small_islands": "count",
    "morphology_n_medium_islands": "count",
    "morphology_n_large_islands": "count",
    "intensity_max": "",
    "intensity_min": "",
    "intensity_mean": "",
    "intensity_std": "",
    "intensity_skewness": "",
    "intensity_kurtosis": "",
    "timing_slope": "slope",
    "timing_intercept": "",
    "timing_deviation": "",
    "n_nan_pixels": "count",
    "n_negative_pixels": "count",
}
_N_NAN, _N_NEGATIVE = len(PARAMETERS) - 2, len(PARAMETERS) - 1


def clean_images(
    images: ArrayLike | RaggedImages,
    *,
    camera: CameraGeometry,
    picture_threshold: ArrayLike = 10.0,
    boundary_threshold: ArrayLike = 5.0,
    keep_isolated_pixels: bool = False,
    min_number_picture_neighbors: int = 0,
    times: ArrayLike | None = None,
    time_limit: float | None = None,
    min_time_neighbors: int = 1,
) -> np.ndarray:
    """Select the pixels of the shower by two thresholds and, if asked, by time.

    A pixel is kept at or above the boundary threshold next to a picture pixel, or at or above the
    picture threshold (a picture pixel) next to one at or above the boundary threshold. The same
    pixels as ctapipe's ``tailcuts_clean`` and, with ``time_limit``, ``apply_time_delta_cleaning``.

    Parameters
    ----------
    images : array_like of float, shape (n_images, n_pixels), or RaggedImages
        Charges, left as they are. NaN, infinite and masked charges are never selected.
    camera : CameraGeometry
        The camera of all images.
    picture_threshold, boundary_threshold : float or array_like of shape (n_pixels,)
        Both > 0, in the unit of the charges; infinite for a pixel that is never to be used.
    keep_isolated_pixels : bool
        Keep every picture pixel, whatever its neighbours.
    min_number_picture_neighbors : int
        Neighbours at or above the picture threshold that make a bright pixel a picture pixel;
        of no effect with ``keep_isolated_pixels``.
    times : array_like, shape of ``images``, optional
        Arrival times; those of `RaggedImages` are in ``images.time``.
    time_limit : float, optional
        Drop a selected pixel unless enough selected neighbours are nearer than this in time.
    min_time_neighbors : int
        How many are enough.

    Returns
    -------
    ndarray of bool
        Of the shape of ``images``; one entry per listed pixel for `RaggedImages`.

    Raises
    ------
    ValueError
        When shapes do not fit the camera, a threshold is not > 0, or a time limit comes without
        times.

    Examples
    --------
    >>> camera = CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=7)
    >>> clean_images([[0, 6, 4, 12, 0, 0, 0]], camera=camera).tolist()
    [[False, True, False, True, False, False, False]]
    """
    batch = ImageBatch(images, camera=camera, times=times)
    cuts = CleaningLevels(
        picture_threshold,
        boundary_threshold,
        keep_isolated_pixels,
        min_number_picture_neighbors,
        time_limit,
        min_time_neighbors,
    )
    masks = np.zeros(batch.charges.shape, dtype=bool)
    batch.process(cuts, masks_out=masks)
    return masks


def extract_hillas(
    images: ArrayLike | RaggedImages,
    *,
    camera: CameraGeometry,
    masks: ArrayLike | None = None,
    times: ArrayLike | None = None,
    obs_id: ArrayLike | None = None,
    event_id: ArrayLike | None = None,
    tel_id: ArrayLike | None = None,
) -> QTable:
    """Measure every image: moments of its light (Hillas 1985), concentration, leakage, islands.

    The parameters are those of ctapipe, under its names: ``hillas_parameters``,
    ``concentration_parameters``, ``leakage_parameters``, ``morphology_parameters``,
    ``descriptive_statistics`` and, with times, ``timing_parameters`` of the selected pixels.

    Parameters
    ----------
    images : array_like of float, shape (n_images, n_pixels), or RaggedImages
        Charges, left as they are.
    camera : CameraGeometry
        The camera of all images. With angular pixel positions the parameters are in degree.
    masks : array_like of bool, shape of ``images``, optional
        Selected pixels, as `clean_images` returns them. None: images are clean already, and a
        pixel belongs to the shower when its charge is not 0.
    times : array_like, shape of ``images``, optional
        Arrival times; those of `RaggedImages` are in ``images.time``.
    obs_id, event_id, tel_id : array_like of int, shape (n_images,), optional
        Copied to the table.

    Returns
    -------
    QTable
        One row per image, in order. An image without selected light has NaN in every column but
        the counts, and so has one with a negative charge among its pixels
        (``n_negative_pixels``), for which moments have no meaning. Selected pixels without a
        finite charge are left out and counted in ``n_nan_pixels``, as all such pixels of the
        image. Where ctapipe defines the case it is followed: one pixel has length and width 0 and
        no psi; a line of pixels has width 0 and concentration_core 0. The straight line of
        ``timing_slope`` is found by least trimmed squares, where ctapipe draws its starting
        points at random: ours repeats, and needs 4 pixels. ``meta`` counts ``n_images``,
        ``n_without_parameters``, ``n_without_charges`` (all pixels NaN: a dead telescope),
        ``n_nan_pixels`` and ``n_negative_pixels``.

    Raises
    ------
    ValueError
        When shapes do not fit the camera or each other.

    Examples
    --------
    >>> camera = CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=7)
    >>> table = extract_hillas([[0, 0, 10, 30, 20, 0, 0]], camera=camera)
    >>> print(table["hillas_intensity"][0], table["hillas_x"][0].round(4))
    60.0 0.0267 deg
    """
    batch = ImageBatch(images, camera=camera, times=times)
    rows = np.empty((batch.n_images, len(PARAMETERS)))
    batch.process(masks=masks, rows_out=rows)
    table = build_image_table(
        rows, camera=camera, obs_id=obs_id, event_id=event_id, tel_id=tel_id, timed=batch.timed
    )
    listed = batch.count_listed()
    table.meta["n_without_charges"] = int(np.sum((rows[:, _N_NAN] == listed) & (listed > 0)))
    return table


def clean_and_measure(
    images: ArrayLike | RaggedImages,
    *,
    camera: CameraGeometry,
    picture_threshold: ArrayLike = 10.0,
    boundary_threshold: ArrayLike = 5.0,
    keep_isolated_pixels: bool = False,
    min_number_picture_neighbors: int = 0,
    times: ArrayLike | None = None,
    time_limit: float | None = None,
    min_time_neighbors: int = 1,
    masks_out: np.ndarray | None = None,
) -> np.ndarray:
    """Clean and measure in one pass, without building a table.

    Arguments as in `clean_images`; ``masks_out``, a boolean array of zeros of the shape of
    ``images``, receives the selected pixels if given.

    Returns
    -------
    ndarray of float, shape (n_images, 37)
        The columns of `PARAMETERS`, angles in radian, everything else in the unit of the camera.
        `build_image_table` makes the table of it.
    """
    batch = ImageBatch(images, camera=camera, times=times)
    cuts = CleaningLevels(
        picture_threshold,
        boundary_threshold,
        keep_isolated_pixels,
        min_number_picture_neighbors,
        time_limit,
        min_time_neighbors,
    )
    rows = np.empty((batch.n_images, len(PARAMETERS)))
    batch.process(cuts, masks_out=masks_out, rows_out=rows)
    return rows


def build_image_table(
    rows: np.ndarray,
    *,
    camera: CameraGeometry,
    timed: bool = False,
    obs_id: ArrayLike | None = None,
    event_id: ArrayLike | None = None,
    tel_id: ArrayLike | None = None,
) -> QTable:
    """Table with units of what `clean_and_measure` returns.

    Parameters
    ----------
    rows : ndarray, shape (n_images, 37)
        The columns of `PARAMETERS`.
    camera : CameraGeometry
        The camera of all images.
    timed : bool
        Whether there were times; without, there are no timing columns.
    obs_id, event_id, tel_id : array_like of int, shape (n_images,), optional
        Copied to the table.

    Returns
    -------
    QTable
        As from `extract_hillas`.
    """
    ids = {"obs_id": obs_id, "event_id": event_id, "tel_id": tel_id}
    given = {name: np.asarray(value) for name, value in ids.items() if value is not None}
    check_same_length(images=rows, **given)
    table = QTable(given)
    for k, (name, kind) in enumerate(PARAMETERS.items()):
        values = rows[:, k]
        if name.startswith("timing_") and not timed:
            continue
        if kind == "count":
            table[name] = values.astype(np.int32)
        elif kind == "position":
            table[name] = values << camera.unit
        elif kind == "angle":
            table[name] = np.rad2deg(values) << u.deg
        elif kind == "slope":
            table[name] = values << camera.unit**-1
        else:
            table[name] = values.copy()
    table.meta.update(
        camera=camera.name,
        n_images=len(rows),
        n_without_parameters=int(np.isnan(rows[:, 0]).sum()),
        n_nan_pixels=int(rows[:, _N_NAN].sum()),
        n_negative_pixels=int(rows[:, _N_NEGATIVE].sum()),
    )
    return table
