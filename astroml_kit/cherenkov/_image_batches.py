"""Images as they come, dense or listed, checked once and handed to the compiled loops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import check_real, check_same_length, invalid
from .cameras import CameraGeometry, check_camera


@dataclass(frozen=True, eq=False)
class RaggedImages:
    """Images of which only some pixels are listed, one image after the other.

    Parameters
    ----------
    offset : array_like of int, shape (n_images + 1,)
        Image i has the entries offset[i] to offset[i + 1]; an image may have none.
    pixel : array_like of int, shape (n_entries,)
        Index of the pixel in its camera, rising within each image.
    charge : array_like of float, shape (n_entries,)
        Charge of the pixel; pixels that are not listed have 0.
    time : array_like of float, shape (n_entries,), optional
        Arrival time of the pixel.

    Raises
    ------
    ValueError
        When lengths do not fit or pixels are not in order.

    Examples
    --------
    >>> images = RaggedImages([0, 2, 2], [4, 7], [12.0, 30.0])  # the second image is empty
    >>> print(images)
    2 images, 2 pixels listed
    """

    offset: np.ndarray
    pixel: np.ndarray
    charge: np.ndarray
    time: np.ndarray | None = None

    def __post_init__(self):
        offset = to_integers("offset", self.offset)
        pixel = to_integers("pixel", self.pixel)
        charge = to_charges("charge", self.charge, n_dim=1)
        time = None if self.time is None else to_charges("time", self.time, n_dim=1)
        if offset.size == 0 or offset[0] != 0 or offset[-1] != len(pixel):
            raise invalid("offset", f"a list from 0 to the {len(pixel)} entries", offset)
        if np.any(np.diff(offset) < 0):
            raise invalid("offset", "a list that never falls", offset)
        check_same_length(pixel=pixel, charge=charge, time=time)
        if pixel.size:
            rises = np.diff(pixel) > 0
            starts = offset[1:-1]
            rises[starts[(starts > 0) & (starts < len(pixel))] - 1] = True
            if pixel.min() < 0 or not rises.all():
                raise ValueError(
                    "pixel must be >= 0 and rise within each image, got an image where it does "
                    "not. Sort each image by pixel and add up what a pixel has twice."
                )
        for name, value in (
            ("offset", offset),
            ("pixel", pixel),
            ("charge", charge),
            ("time", time),
        ):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.offset) - 1

    def __str__(self) -> str:
        return f"{len(self)} images, {len(self.pixel)} pixels listed"

    @classmethod
    def from_dense(cls, images: ArrayLike, *, times: ArrayLike | None = None) -> RaggedImages:
        """List the pixels of dense images whose charge is not 0 (NaN is listed).

        Parameters
        ----------
        images : array_like, shape (n_images, n_pixels)
            Charges.
        times : array_like, shape (n_images, n_pixels), optional
            Arrival times.
        """
        dense = to_charges("images", images, n_dim=2)
        row, pixel = np.nonzero(dense)
        offset = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(dense)))])
        time = None
        if times is not None:
            time = check_shape("times", to_charges("times", times, n_dim=2), dense)[row, pixel]
        return cls(offset, pixel, dense[row, pixel], time)

    def to_dense(self, n_pixels: int) -> np.ndarray:
        """Charges of every pixel, shape (n_images, n_pixels)."""
        if self.pixel.max(initial=-1) >= n_pixels:
            raise invalid("n_pixels", f"> the pixel {self.pixel.max()}", n_pixels)
        dense = np.zeros((len(self), n_pixels), dtype=self.charge.dtype)
        dense[np.repeat(np.arange(len(self)), np.diff(self.offset)), self.pixel] = self.charge
        return dense


@dataclass(frozen=True)
class CleaningLevels:
    """Thresholds and options of `clean_images`, checked."""

    picture_threshold: ArrayLike
    boundary_threshold: ArrayLike
    keep_isolated_pixels: bool
    min_number_picture_neighbors: int
    time_limit: float | None
    min_time_neighbors: int

    def __post_init__(self):
        for name in ("min_number_picture_neighbors", "min_time_neighbors"):
            value = getattr(self, name)
            if check_real(name, value, at_least=0).ndim or int(value) != value:
                raise invalid(name, "an integer >= 0", value)
        if self.time_limit is not None:
            check_real("time_limit", self.time_limit, above=0)

    def spread(self, n_pixels: int, dtype: np.dtype) -> tuple[Any, ...]:
        """Everything in the order of the compiled loops, with one level for each pixel."""
        levels = []
        for name in ("picture_threshold", "boundary_threshold"):
            value = check_real(
                name,
                getattr(self, name),
                above=0,
                finite=False,
                next_step="A pixel that is never to be used has an infinite threshold.",
            )
            if value.ndim == 0:  # compared with the charges in their own precision, as numpy does
                value = np.full(n_pixels, dtype.type(value), dtype=float)
            if value.shape != (n_pixels,):
                raise ValueError(
                    f"{name} must be one number or one for each of the {n_pixels} pixels, "
                    f"got shape {value.shape}. Is it of another camera?"
                )
            levels.append(np.ascontiguousarray(value))
        return (
            *levels,
            bool(self.keep_isolated_pixels),
            int(self.min_number_picture_neighbors),
            0.0 if self.time_limit is None else float(self.time_limit),
            int(self.min_time_neighbors),
        )


class ImageBatch:
    """Charges and times of images of one camera, ready for the compiled loops.

    Parameters
    ----------
    images : array_like of shape (n_images, n_pixels) or RaggedImages
        Charges.
    camera : CameraGeometry
        The camera of all images.
    times : array_like, optional
        Arrival times, like dense ``images``.
    """

    def __init__(self, images: Any, *, camera: CameraGeometry, times: ArrayLike | None = None):
        self.camera = check_camera(camera)
        self.ragged = images if isinstance(images, RaggedImages) else None
        self.charges: np.ndarray
        self.times: np.ndarray | None
        if self.ragged is not None:
            if times is not None:
                raise ValueError(
                    "times must be part of RaggedImages, got a separate array. "
                    "Give RaggedImages(offset, pixel, charge, time)."
                )
            check_pixels(self.ragged, camera)
            self.charges, self.times = self.ragged.charge, self.ragged.time
            self.n_images = len(self.ragged)
        else:
            self.charges = to_charges("images", images, n_dim=2)
            if self.charges.shape[1] != camera.n_pixels:
                raise ValueError(
                    f"images must have one column for each of the {camera.n_pixels} pixels of "
                    f"{camera.name}, got shape {self.charges.shape}. Give the camera they are of."
                )
            self.times = None if times is None else to_charges("times", times, n_dim=2)
            if self.times is not None:
                check_shape("times", self.times, self.charges)
            self.n_images = len(self.charges)

    @property
    def timed(self) -> bool:
        """Whether there are times."""
        return self.times is not None

    def count_listed(self) -> np.ndarray:
        """Pixels of each image that there is a charge for."""
        if self.ragged is not None:
            return np.diff(self.ragged.offset)
        return np.full(self.n_images, self.camera.n_pixels)

    def process(
        self,
        levels: CleaningLevels | None = None,
        *,
        masks: ArrayLike | None = None,
        masks_out: np.ndarray | None = None,
        rows_out: np.ndarray | None = None,
    ) -> None:
        """Clean by ``levels``, or take ``masks``, and fill the arrays that are given.

        Parameters
        ----------
        levels : CleaningLevels, optional
            None: the pixels of ``masks``, or those with a charge other than 0.
        masks : array_like of bool, optional
            Of the shape of the charges.
        masks_out : ndarray of bool, optional
            Zeros of the shape of the charges, to receive the selected pixels.
        rows_out : ndarray of float, shape (n_images, n_parameters), optional
            Receives the parameters.
        """
        # Compiled at the first call: numba is not loaded by those who have no images.
        from ._image_kernels import process_dense, process_sparse

        if levels is None:
            cuts = CleaningLevels(np.inf, np.inf, False, 0, None, 0)
        else:
            cuts = levels
            if levels.time_limit is not None and not self.timed:
                raise invalid("times", "given with time_limit", None, "Leave time_limit out.")
        spread = cuts.spread(self.camera.n_pixels, self.charges.dtype)
        n_dim = self.charges.ndim
        selected = np.empty((0,) * n_dim, dtype=bool)
        if masks is not None:
            selected = np.ascontiguousarray(masks)
            if selected.dtype != bool:
                raise invalid("masks", "boolean", selected, "Compare with a number first.")
            check_shape("masks", selected, self.charges)
        # Read-only like some of the input, so that one compiled version serves all of it.
        charges, selected = self.charges.view(), selected.view()
        times = (np.empty((0,) * n_dim) if self.times is None else self.times).view()
        charges.flags.writeable = selected.flags.writeable = times.flags.writeable = False
        kept = np.empty((0,) * n_dim, dtype=bool)
        if masks_out is not None:
            kept = check_shape("masks_out", masks_out, self.charges)
            if kept.dtype != bool or not kept.flags.c_contiguous:
                raise invalid("masks_out", "boolean and contiguous", kept)
        rows = np.empty((0, 0)) if rows_out is None else rows_out
        rest = (selected, times, levels is not None, spread, self.camera.arrays, kept, rows)
        if self.ragged is None:
            process_dense(charges, *rest)
        else:
            process_sparse(self.ragged.offset, self.ragged.pixel, charges, *rest)


def check_pixels(images: RaggedImages, camera: CameraGeometry) -> None:
    """Raise when an image lists a pixel that the camera does not have."""
    highest = int(images.pixel.max(initial=-1))
    if highest >= camera.n_pixels:
        raise ValueError(
            f"pixel must be < {camera.n_pixels}, the number of pixels of {camera.name}, "
            f"got {highest}. Give the camera the images are of."
        )


def check_shape(name: str, array: np.ndarray, charges: np.ndarray) -> np.ndarray:
    """Return ``array`` if it has the shape of the charges."""
    if array.shape != charges.shape:
        raise ValueError(
            f"{name} must have the shape {charges.shape} of the charges, got {array.shape}."
        )
    return array


def to_charges(name: str, values: Any, *, n_dim: int) -> np.ndarray:
    """Contiguous 32- or 64-bit floats, masked entries NaN; copied only if of another kind."""
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.result_type(values, np.float32)), np.nan)
    array = np.asarray(values)
    if array.ndim != n_dim or array.dtype.kind not in "iufb":
        rule = "numbers of shape " + ("(n_images, n_pixels)" if n_dim == 2 else "(n_entries,)")
        step = "For one image, give image[None, :]." if n_dim == 2 and array.ndim == 1 else ""
        raise ValueError(
            f"{name} must be {rule}, got shape {array.shape} of {array.dtype}. {step}".rstrip()
        )
    kind = array.dtype if array.dtype in (np.float32, np.float64) else np.dtype(float)
    return np.ascontiguousarray(array, dtype=kind)


def to_integers(name: str, values: Any) -> np.ndarray:
    """A list of 64-bit integers."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise invalid(name, "a list of integers", values)
    return array.astype(np.int64)
