"""Sources in an image: where, how bright, how significant, and how many by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from .._validation import check_choice, check_real, invalid
from ..significance import correct_significance
from ._detect import (
    BACKENDS,
    KERNEL,
    Options,
    count_trials,
    filter_matched,
    find_with_photutils,
    find_with_sep,
    map_background,
)
from .image import SkyImage

FLAGS = {
    1: "one of several that were one before deblending",
    2: "touches an edge of the image",
    4: "touches masked pixels",
    8: "no Kron radius: too little light above the sky",
}
_DESCRIPTIONS = {
    "x": "centre of the light along rows, 0 is the middle of the first pixel",
    "y": "centre of the light across rows",
    "flux": "within 2.5 Kron radii and 3.5 pixels, sky and other sources taken out",
    "flux_error": "from the noise of the pixels",
    "kron_radius": "in units of semi_major and semi_minor",
    "peak": "brightest pixel above the sky", "area": "pixels of the source",
    "background": "level of the sky there",
    "semi_major": "square root of the larger second moment",
    "semi_minor": "square root of the smaller second moment",
    "ellipticity": "1 - semi_minor / semi_major",
    "orientation": "of the major axis, from x towards y", "r50": "radius with half of the flux",
    "significance": "largest of the filtered image over its noise, before trials",
    "significance_post_trial": "after the trials of the whole image",
    "n_trials": "independent positions that were searched",
    "flag": "sum of the numbers in meta['flags'] that apply, 0 if all is well",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Background:
    """Sky of an image.

    Attributes
    ----------
    level : ndarray of float, shape (h, w)
    noise : ndarray of float, shape (h, w)
        Standard deviation per pixel.
    """

    level: np.ndarray
    noise: np.ndarray

    def __str__(self) -> str:
        return (
            f"sky of {np.median(self.level):.4g} (from {self.level.min():.4g} to "
            f"{self.level.max():.4g}), noise {np.median(self.noise):.3g} per pixel"
        )


@dataclass(frozen=True, eq=False)
class Detection:
    """Sources of an image, and which pixel belongs to which.

    Attributes
    ----------
    sources : QTable
        See `find_sources`.
    segmentation : ndarray of int, shape (h, w)
        ``id`` of the source of each pixel, 0 without one.
    background : Background
    """

    sources: QTable
    segmentation: np.ndarray
    background: Background

    def __len__(self) -> int:
        return len(self.sources)

    def __str__(self) -> str:
        strong = int(np.count_nonzero(self.sources["significance_post_trial"] >= 3))
        flagged = int(np.count_nonzero(self.sources["flag"]))
        return (
            f"{len(self)} sources by {self.sources.meta['backend']}, {strong} above 3 sigma after "
            f"trials, {flagged} flagged; {self.background}"
        )


def measure_background(
    image: Any, *, mask: Any = None, box: int = 64, smooth: int = 3, backend: str = "sep",
    band: str | int = "mean",
) -> Background:  # fmt: skip
    """Measure level and noise of the sky, sources clipped, in boxes and between them.

    Parameters
    ----------
    image : SkyImage or array_like, shape (h, w) or (n_bands, h, w)
    mask : array_like of bool, shape (h, w), optional
        True: not to be used, besides what the image masks.
    box : int
        Side of a box in pixels, several times the size of a source.
    smooth : int
        Boxes over which a median is taken, odd.
    backend : {"sep", "photutils"}
    band : "mean", str or int
        Of an image of several.

    Returns
    -------
    Background

    Raises
    ------
    ValueError
        For an image without usable pixels, or options out of range.
    ImportError
        Without the backend; it says what to install.

    Notes
    -----
    The mode of Bertin & Arnouts (1996), doi:10.1051/aas:1996164.

    Examples
    --------
    >>> noise = np.random.default_rng(1).normal(10, 2, (128, 128))
    >>> print(measure_background(noise))
    sky of 9.977 (from 9.899 to 10.04), noise 1.96 per pixel
    """
    check_choice("backend", backend, BACKENDS)
    sky = open_plane(image, mask, band)
    return _map_sky(sky, box, smooth, backend)


def find_sources(image: Any, **options: Any) -> QTable:
    """Find sources in an image: the table of `find_segments`, which has the options.

    Parameters
    ----------
    image : SkyImage or array_like, shape (h, w) or (n_bands, h, w)
    **options
        Those of `find_segments`: ``threshold``, ``min_pixels``, ``kernel``, ``mask``, ``band``,
        ``background``, ``box``, ``deblend_levels``, ``deblend_contrast`` and ``backend``.

    Returns
    -------
    QTable
        A row per source: ``id``, ``x``, ``y``, with a WCS ``coord`` (SkyCoord, ICRS), fluxes,
        shapes, significances and ``flag``, each column with its description. No rows where
        nothing is found.

    Raises
    ------
    ValueError, ImportError
        As `find_segments`.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> y, x = np.mgrid[:100, :100]
    >>> image = rng.normal(10, 1, (100, 100))
    >>> image += 50 * np.exp(-((x - 30.3) ** 2 + (y - 60.8) ** 2) / 8)
    >>> sources = find_sources(image)
    >>> len(sources), sources["x"].round(1), sources["y"].round(1)
    (1, <Quantity [30.3] pix>, <Quantity [60.8] pix>)
    """
    return find_segments(image, **options).sources


def find_segments(
    image: Any,
    *,
    threshold: float = 3.0,
    min_pixels: int = 5,
    kernel: Any = None,
    mask: Any = None,
    band: str | int = "mean",
    background: Background | None = None,
    box: int = 64,
    deblend_levels: int = 32,
    deblend_contrast: float = 0.005,
    backend: str = "sep",
) -> Detection:
    """Find sources in an image, and the pixels of each.

    Parameters
    ----------
    image : SkyImage or array_like, shape (h, w) or (n_bands, h, w)
        Its mask is respected; its uncertainty, if it has one, is the noise.
    threshold : float
        Sigma of the filtered image above which pixels belong to a source.
    min_pixels : int
        Connected pixels that make a source.
    kernel : "psf" or array_like of odd sides, optional
        What to filter with: the PSF of the image, an array, or a pyramid of 3 x 3 if omitted.
    mask : array_like of bool, shape (h, w), optional
        True: not to be used, besides what the image masks.
    band : "mean", str or int
        Band to search, or the mean of all.
    background : Background, optional
        Measured in boxes of ``box`` pixels if omitted.
    box : int
        See `measure_background`.
    deblend_levels, deblend_contrast : int, float
        Levels at which sources may part, and the share of light a part needs; 1 parts nothing.
    backend : {"sep", "photutils"}

    Returns
    -------
    Detection

    Raises
    ------
    ValueError
        For options out of range, a kernel that is not odd, or noise that is not above 0.
    ImportError
        Without the backend; it says what to install.

    Notes
    -----
    ``significance`` is the largest value within the source of the image filtered with the kernel,
    over the noise of that: for a source of that shape the best test. On a fixed empty position
    it is a standard normal, as far as the pixels are independent; resampled images are not, and
    then it is too large. The filtered image was searched at every usable pixel, whose
    neighbours are correlated: ``n_trials`` counts a pixel above some level only where neighbours
    in both directions are not, which is the Euler characteristic of what is above it (Worsley et
    al. 1996, doi:10.1002/(SICI)1097-0193(1996)4:1<58::AID-HBM4>3.0.CO;2-O) on a grid. The chance
    that the best source of an empty image has some ``significance_post_trial`` or more is the
    p-value of that, if ``min_pixels`` is 1; more pixels leave fewer by chance.

    Examples
    --------
    >>> found = find_segments(np.random.default_rng(1).normal(0, 1, (100, 100)), threshold=5)
    >>> len(found), found.segmentation.max()
    (0, np.int32(0))
    """
    check_choice("backend", backend, BACKENDS)
    sky = open_plane(image, mask, band)
    options = Options(
        float(check_real("threshold", threshold, above=0)),
        int(check_real("min_pixels", min_pixels, at_least=1)),
        _read_kernel(kernel, sky.psf),
        int(check_real("deblend_levels", deblend_levels, at_least=2)),
        float(check_real("deblend_contrast", deblend_contrast, at_least=0, at_most=1)),
    )
    if sky.mask.all():
        empty = np.full(sky.data.shape, np.nan)
        columns: dict[str, np.ndarray] = {}
        labels = np.zeros(sky.data.shape, dtype=np.int32)
        level, ratio = Background(empty, empty), empty
    else:
        level = _map_sky(sky, box, 3, backend) if background is None else background
        noise = level.noise if sky.uncertainty is None else sky.uncertainty
        noise = _check_noise(np.ascontiguousarray(noise, dtype=float), sky.mask)
        data = np.where(sky.mask, 0.0, sky.data - level.level)
        find = find_with_sep if backend == "sep" else find_with_photutils
        columns, labels = find(data, noise, sky.mask, options)
        ratio = filter_matched(data, noise, sky.mask, options.kernel)
    table = _build_table(columns, labels, ratio, sky, level, options.kernel)
    table.meta.update(backend=backend, threshold=options.threshold, flags=dict(FLAGS),
                      min_pixels=options.min_pixels)  # fmt: skip
    return Detection(table, labels, level)


def open_plane(image: Any, mask: Any, band: str | int) -> SkyImage:
    """One band of an image in double precision, with one mask."""
    sky = image if isinstance(image, SkyImage) else SkyImage(image)
    data, error = sky.data, sky.uncertainty
    bad: np.ndarray = np.array(sky.mask)
    if data.ndim == 3 and band == "mean":
        data, bad = data.mean(axis=0), np.any(bad, axis=0)
        error = None if error is None else np.sqrt(np.sum(error**2, axis=0)) / len(sky.data)
    elif data.ndim == 3:
        number = check_choice("band", band, [*range(len(data)), *sky.bands])
        number = sky.bands.index(number) if isinstance(number, str) else number
        data, bad = data[number], bad[number]
        error = None if error is None else error[number]
    if mask is not None:
        more = np.asarray(mask, dtype=bool)
        if more.shape != data.shape:
            raise invalid("mask", f"of the shape of the image {data.shape}", more.shape)
        bad = np.logical_or(bad, more)
    data = np.where(bad, 0.0, data).astype(np.float64)
    return SkyImage(data, mask=bad, uncertainty=error, wcs=sky.wcs, unit=sky.unit, psf=sky.psf)


def _map_sky(sky: SkyImage, box: int, smooth: int, backend: str) -> Background:
    side = int(check_real("box", box, at_least=1))
    width = int(check_real("smooth", smooth, at_least=1))
    if width % 2 == 0:
        raise invalid("smooth", "odd", smooth)
    if sky.mask.all():
        raise ValueError("image must have pixels that are not masked, got none.")
    return Background(
        *map_background(sky.data, sky.mask, box=side, smooth=width, backend=backend)
    )  # fmt: skip


def _read_kernel(kernel: Any, psf: np.ndarray | None) -> np.ndarray:
    if kernel is None:
        return KERNEL
    if isinstance(kernel, str) and kernel == "psf":
        if psf is None:
            raise ValueError('kernel must be an array where the image has no psf, got "psf".')
        kernel = psf
    array = np.ascontiguousarray(check_real("kernel", kernel))
    if array.ndim != 2 or array.shape[0] % 2 == 0 or array.shape[1] % 2 == 0 or array.sum() <= 0:
        raise invalid("kernel", "of two odd sides with a sum above 0", array.shape)
    return array


def _check_noise(noise: np.ndarray, mask: np.ndarray) -> np.ndarray:
    used = noise[~mask]
    if not np.all(np.isfinite(used) & (used > 0)):
        raise invalid("noise", "finite and > 0 in every usable pixel", used,
                      "Give an image with uncertainty, or mask these pixels.")  # fmt: skip
    return np.where(mask, 1.0, noise)


def _build_table(
    columns: dict[str, np.ndarray],
    labels: np.ndarray,
    ratio: np.ndarray,
    sky: SkyImage,
    level: Background,
    kernel: np.ndarray,
) -> QTable:
    from scipy.ndimage import maximum

    n = int(labels.max(initial=0))
    number = np.arange(1, n + 1)
    table = QTable({"id": number})
    value = {name: np.asarray(columns.get(name, np.zeros(0)), dtype=float) for name in (
        "x", "y", "semi_major", "semi_minor", "orientation", "area", "peak", "n_saddles",
        "kron_radius", "flux", "flux_error", "r50")}  # fmt: skip
    unit = u.dimensionless_unscaled if sky.unit is None else sky.unit
    table["x"], table["y"] = value["x"] * u.pix, value["y"] * u.pix
    if sky.wcs is not None:
        table["coord"] = sky.wcs.pixel_to_world(value["x"], value["y"]).icrs
    for name in ("flux", "flux_error", "peak"):
        table[name] = value[name] if sky.unit is None else value[name] * unit
    row, column = (
        np.clip(np.rint(value[name]).astype(int), 0, size - 1)
        for name, size in zip("yx", sky.data.shape, strict=True)
    )
    there = level.level[row, column]
    table["background"] = there if sky.unit is None else there * unit
    table["kron_radius"] = value["kron_radius"]
    for name in ("semi_major", "semi_minor", "r50"):
        table[name] = value[name] * u.pix
    with np.errstate(invalid="ignore", divide="ignore"):
        table["ellipticity"] = 1 - value["semi_minor"] / value["semi_major"]
    table["orientation"] = value["orientation"] * u.deg
    table["area"] = value["area"] * u.pix**2
    peak = np.asarray(maximum(ratio, labels, number), dtype=float).reshape(n)
    trials = count_trials(peak, kernel, int(np.count_nonzero(~sky.mask)))
    table["significance"] = peak
    table["significance_post_trial"] = correct_significance(peak, trials)
    table["n_trials"] = trials
    table["flag"] = _find_flags(labels, sky.mask, value, n)
    for name, text in _DESCRIPTIONS.items():
        table[name].info.description = text
    return table


def _find_flags(
    labels: np.ndarray, mask: np.ndarray, value: dict[str, np.ndarray], n: int
) -> np.ndarray:
    from scipy.ndimage import binary_dilation

    flags = np.zeros(n + 1, dtype=int)
    rim = np.zeros(labels.shape, dtype=bool)
    rim[[0, -1]] = rim[:, [0, -1]] = True
    flags[np.unique(labels[rim])] |= 2
    if mask.any():
        flags[np.unique(labels[binary_dilation(mask, np.ones((3, 3)))])] |= 4
    flags[1:] |= (value["n_saddles"] > 0).astype(int)
    flags[1:] |= 8 * ~np.isfinite(value["kron_radius"])
    return flags[1:]
