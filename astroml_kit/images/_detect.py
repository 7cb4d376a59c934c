"""Sources of one image by sep or photutils: both give the same few columns, the rest is ours."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, owens_t

from .._validation import import_extra

BACKENDS = ("sep", "photutils")
# the 3 x 3 pyramid that sep and SExtractor smooth with unless told otherwise
KERNEL = np.array([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
_ALL_MASKED, _NO_LIGHT = 0x40, 0x80  # of sep's flags


@dataclass(frozen=True)
class Options:
    """Settings of a search."""

    threshold: float
    min_pixels: int
    kernel: np.ndarray
    deblend_levels: int
    deblend_contrast: float


def map_background(
    data: np.ndarray, mask: np.ndarray, *, box: int, smooth: int, backend: str
) -> tuple[np.ndarray, np.ndarray]:
    """Level and noise of the sky in every pixel."""
    height, width = min(box, data.shape[0]), min(box, data.shape[1])
    if backend == "sep":
        sep = import_extra("sep", extra="images")
        sky = sep.Background(data, mask=mask, bw=width, bh=height, fw=smooth, fh=smooth)
        noise = sky.rms(dtype=np.float64)
        # the spline between boxes can swing below 0 beside a box without noise
        return sky.back(dtype=np.float64), np.where(noise > 0, noise, sky.globalrms)
    background = import_extra("photutils.background", extra="images")
    sky = background.Background2D(
        data, (height, width), mask=mask, filter_size=smooth, exclude_percentile=90.0,
        bkg_estimator=background.SExtractorBackground(),
        bkg_rms_estimator=background.StdBackgroundRMS(),
    )  # fmt: skip
    return np.asarray(sky.background, dtype=float), np.asarray(sky.background_rms, dtype=float)


def find_with_sep(
    data: np.ndarray, noise: np.ndarray, mask: np.ndarray, options: Options
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns of the sources of an image without its sky, and the segmentation."""
    sep = import_extra("sep", extra="images")
    before = sep.get_extract_pixstack(), sep.get_sub_object_limit()
    # in crowded fields the defaults, made for the memory of 1996, are too small
    sep.set_extract_pixstack(max(before[0], data.size))
    sep.set_sub_object_limit(max(before[1], 8192))
    try:
        found, labels = sep.extract(
            data, options.threshold, err=noise, mask=mask, minarea=options.min_pixels,
            filter_kernel=options.kernel, deblend_nthresh=options.deblend_levels,
            deblend_cont=options.deblend_contrast, segmentation_map=True,
        )  # fmt: skip
    finally:
        sep.set_extract_pixstack(before[0])
        sep.set_sub_object_limit(before[1])
    columns = {
        "x": found["x"], "y": found["y"], "semi_major": found["a"], "semi_minor": found["b"],
        "orientation": np.degrees(found["theta"]) % 180, "area": found["npix"],
        "peak": found["peak"], "n_saddles": found["flag"] & 1,
    }  # fmt: skip
    columns |= _measure_with_sep(sep, data, noise, mask, columns, labels)
    return columns, labels


def _measure_with_sep(
    sep: Any,
    data: np.ndarray,
    noise: np.ndarray,
    mask: np.ndarray,
    columns: dict[str, np.ndarray],
    labels: np.ndarray,
) -> dict[str, np.ndarray]:
    """Kron radius and flux with its error, radius with half of it; NaN where there is none."""
    x, y, a, b = (columns[name] for name in ("x", "y", "semi_major", "semi_minor"))
    n = len(x)
    out = {name: np.full(n, np.nan) for name in ("kron_radius", "flux", "flux_error", "r50")}
    if not n:
        return out
    theta = (np.radians(columns["orientation"]) + np.pi / 2) % np.pi - np.pi / 2
    number = np.arange(1, n + 1, dtype=np.int32)  # pixels of other sources are left out
    radius, wrong = sep.kron_radius(data, x, y, a, b, theta, 6.0, mask=mask, seg_id=number,
                                    segmap=labels)  # fmt: skip
    radius = np.where(wrong & _NO_LIGHT, np.nan, radius)
    # as SExtractor, never less than 3.5 pixels
    scale = np.fmax(2.5 * radius, 3.5 / np.sqrt(np.maximum(a * b, 1e-3)))
    rows = np.flatnonzero((wrong & _ALL_MASKED == 0) & (a > 0) & (b > 0))
    flux, error, _ = sep.sum_ellipse(
        data, x[rows], y[rows], a[rows], b[rows], theta[rows], scale[rows], err=noise, mask=mask,
        subpix=5, seg_id=number[rows], segmap=labels,
    )  # fmt: skip
    half, bad_half = sep.flux_radius(
        data, x[rows], y[rows], scale[rows] * a[rows], 0.5, normflux=flux, subpix=5, mask=mask,
        seg_id=number[rows], segmap=labels,
    )  # fmt: skip
    out["kron_radius"][rows], out["flux"][rows] = radius[rows], flux
    out["flux_error"][rows] = error
    out["r50"][rows] = np.where((flux > 0) & (bad_half & _NO_LIGHT == 0), half, np.nan)
    return out


def find_with_photutils(
    data: np.ndarray, noise: np.ndarray, mask: np.ndarray, options: Options
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the same as `find_with_sep`."""
    segmentation = import_extra("photutils.segmentation", extra="images")
    ratio = filter_matched(data, noise, mask, options.kernel)
    with warnings.catch_warnings():
        # no sources are an answer like others: a table without rows
        warnings.filterwarnings("ignore", message="No sources were found")
        labels = segmentation.detect_sources(
            ratio, options.threshold, options.min_pixels, mask=mask
        )
    nothing = np.zeros(data.shape, dtype=np.int32)
    if labels is None:
        return {name: np.zeros(0) for name in COLUMNS}, nothing
    whole = labels.data
    if options.deblend_contrast < 1:
        labels = segmentation.deblend_sources(
            ratio, labels, options.min_pixels, n_levels=options.deblend_levels,
            contrast=options.deblend_contrast, progress_bar=False,
        )  # fmt: skip
        labels.relabel_consecutive()
    catalog = segmentation.SourceCatalog(data, labels, error=noise, mask=mask)
    number = np.zeros(labels.n_labels + 1, dtype=int)
    number[labels.data.ravel()] = whole.ravel()
    parts = np.bincount(number[1:])[number[1:]]
    flux = _strip(catalog.kron_flux)
    columns = {
        "x": _strip(catalog.x_centroid), "y": _strip(catalog.y_centroid),
        "semi_major": _strip(catalog.semimajor_axis), "semi_minor": _strip(catalog.semiminor_axis),
        "orientation": _strip(catalog.orientation) % 180, "area": _strip(catalog.segment_area),
        "peak": _strip(catalog.max_value), "n_saddles": (parts > 1).astype(int),
        "kron_radius": _strip(catalog.kron_radius), "flux": flux,
        "flux_error": _strip(catalog.kron_flux_err), "r50": _strip(catalog.flux_radius(0.5)),
    }  # fmt: skip
    return columns, labels.data.astype(np.int32)


COLUMNS = ("x", "y", "semi_major", "semi_minor", "orientation", "area", "peak", "n_saddles",
           "kron_radius", "flux", "flux_error", "r50")  # fmt: skip


def _strip(value: Any) -> np.ndarray:
    return np.atleast_1d(np.asarray(getattr(value, "value", value), dtype=float))


def filter_matched(
    data: np.ndarray, noise: np.ndarray, mask: np.ndarray, kernel: np.ndarray
) -> np.ndarray:
    """Significance of a source of the shape of the kernel at every pixel, masked ones left out.

    With equal noise this is the convolution with the kernel over the noise of that.
    """
    from scipy.ndimage import correlate

    weight = np.where(mask, 0.0, 1 / noise**2)
    signal = correlate(np.where(mask, 0.0, data) * weight, kernel, mode="constant")
    variance = correlate(weight, kernel**2, mode="constant")
    out = np.full(data.shape, 0.0)
    np.divide(signal, np.sqrt(variance), out=out, where=variance > 0)
    return out


def count_trials(significance: Any, kernel: np.ndarray, n_pixels: int) -> np.ndarray:
    """Independent positions of an image of white noise filtered with a kernel, at least 1.

    A pixel above the level counts if its neighbours in x and y are not: their correlation is that
    of the kernel with itself, one pixel moved. It grows with the level, towards ``n_pixels``.

    Parameters
    ----------
    significance : array_like of float
        Level in sigma.
    kernel : ndarray, shape (h, w)
    n_pixels : int
        Pixels that were searched.

    Returns
    -------
    ndarray of float
        Of the shape of ``significance``.

    Examples
    --------
    >>> count_trials([3.0, 5.0], np.ones((1, 1)), 1000).round(1)
    array([ 997.3, 1000. ])
    """
    level = np.clip(np.asarray(significance, dtype=float), 0.0, 30.0)
    share = np.ones(level.shape)
    for axis in (0, 1):
        inner = np.take(kernel, range(1, kernel.shape[axis]), axis)
        outer = np.take(kernel, range(kernel.shape[axis] - 1), axis)
        rho = float(np.sum(inner * outer) / np.sum(kernel**2))
        # P(neighbour below | above) of two correlated normals, by Owen's T
        share = share * 2 * owens_t(level, np.sqrt((1 - rho) / (1 + rho))) / ndtr(-level)
    return np.clip(n_pixels * share, 1.0, n_pixels)
