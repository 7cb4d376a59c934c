"""Light at known places: forced photometry, with upper limits where there is nothing."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from scipy.special import ndtr, ndtri

from .._validation import check_real, import_extra, invalid
from .detection import Background, measure_background, open_plane
from .image import SkyImage

_DESCRIPTIONS = {
    "x": "along rows, 0 is the middle of the first pixel", "y": "across rows",
    "flux": "within the radius, sky taken out; NaN where less than half of the circle is usable",
    "flux_error": "from the noise of the pixels",
    "significance": "flux over its error, one place having been looked at",
    "upper_limit": "on a flux >= 0, at the confidence in meta",
    "usable": "share of the circle on usable pixels, for which flux and error are corrected",
}  # fmt: skip


def measure_fluxes(
    image: Any,
    coords: Any,
    *,
    radius: Any,
    background: Background | None = None,
    box: int = 64,
    mask: Any = None,
    band: str | int = "mean",
    confidence: float = 0.95,
) -> QTable:
    """Measure the light within a circle around each of given places.

    Parameters
    ----------
    image : SkyImage or array_like, shape (h, w) or (n_bands, h, w)
        Its mask is respected; its uncertainty, if it has one, is the noise.
    coords : SkyCoord, shape (n,), or (x, y) of floats or Quantities [pix]
        SkyCoord where the image has a WCS.
    radius : Quantity [angle or pix] or float [pix]
        Of the circle. An angle becomes pixels by the area of a pixel at the reference point.
    background : Background, optional
        Measured in boxes of ``box`` pixels if omitted.
    box, mask, band
        As for `measure_background`.
    confidence : float
        Of the upper limits.

    Returns
    -------
    QTable
        A row per place, also outside of the image: ``id`` (row of ``coords``), ``x``, ``y``,
        ``coord`` with a WCS, ``flux``, ``flux_error``, ``significance``, ``upper_limit`` and
        ``usable``.

    Raises
    ------
    ValueError
        For SkyCoord or angles without a WCS, a radius not above 0, or a confidence outside (0, 1).
    ImportError
        Without sep; it says what to install.

    Notes
    -----
    The error is that of independent pixels. The limit is CLs, Read (2002),
    doi:10.1088/0954-3899/28/10/313, of a normal: fluxes up to it are not excluded, it is never
    below 0, and it holds at least as often as said.

    Examples
    --------
    >>> image = np.random.default_rng(1).normal(10, 1, (100, 100))
    >>> image[50, 40] += 300
    >>> fluxes = measure_fluxes(image, ([40, 70], [50, 20]), radius=3)
    >>> fluxes["significance"].round(0).tolist()
    [56.0, -1.0]
    """
    sep = import_extra("sep", extra="images")
    level = check_real("confidence", confidence, above=0, below=1)
    sky = open_plane(image, mask, band)
    x, y = _find_places(coords, sky)
    r = _read_radius(radius, sky)
    if background is None:
        background = measure_background(sky, box=box)
    noise = background.noise if sky.uncertainty is None else sky.uncertainty
    bad = sky.mask | ~np.isfinite(noise) | ~(noise > 0)
    data = np.where(bad, 0.0, sky.data - background.level)
    variance = np.where(bad, 0.0, noise).astype(float) ** 2
    known = np.isfinite(x) & np.isfinite(y)
    sums = np.zeros((3, len(x)))
    if known.any():
        for row, plane in enumerate((data, variance, (~bad).astype(float))):
            sums[row, known] = sep.sum_circle(plane, x[known], y[known], r, subpix=0)[0]
    usable = sums[2] / (np.pi * r**2)
    half = usable > 0.5
    with np.errstate(invalid="ignore", divide="ignore"):
        flux = np.where(half, sums[0] / usable, np.nan)
        error = np.where(half, np.sqrt(sums[1]) / usable, np.nan)
        ratio = flux / error
    limit = error * (ratio + ndtri(1 - (1 - level) * ndtr(ratio)))
    table = QTable({"id": np.arange(len(x)), "x": x * u.pix, "y": y * u.pix},
                   meta={"radius": r * u.pix, "confidence": float(level)})  # fmt: skip
    if sky.wcs is not None:
        table["coord"] = sky.wcs.pixel_to_world(x, y).icrs
    unit = 1 if sky.unit is None else sky.unit
    table["flux"], table["flux_error"] = flux * unit, error * unit
    table["significance"], table["upper_limit"] = ratio, limit * unit
    table["usable"] = usable
    for name, text in _DESCRIPTIONS.items():
        table[name].info.description = text
    return table


def _find_places(coords: Any, sky: SkyImage) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(coords, SkyCoord):
        if sky.wcs is None:
            raise ValueError("coords must be (x, y) in pixels where the image has no WCS.")
        x, y = sky.wcs.world_to_pixel(coords)
    else:
        try:
            x, y = (u.Quantity(value, u.pix).value for value in coords)
        except (TypeError, ValueError, u.UnitConversionError) as error:
            raise invalid("coords", "SkyCoord, or two arrays (x, y) of pixels", coords) from error
    x, y = np.atleast_1d(np.asarray(x, dtype=float)), np.atleast_1d(np.asarray(y, dtype=float))
    if x.shape != y.shape or x.ndim != 1:
        raise invalid("coords", "of one dimension, x as long as y", f"{x.shape} and {y.shape}")
    return x, y


def _read_radius(radius: Any, sky: SkyImage) -> float:
    value = radius
    if isinstance(radius, u.Quantity) and radius.unit.is_equivalent(u.deg):
        if sky.wcs is None:
            raise ValueError("radius must be in pixels where the image has no WCS.")
        value = radius / np.sqrt(sky.wcs.proj_plane_pixel_area()) * u.pix
    if isinstance(value, u.Quantity):
        value = value.to_value(u.pix)
    return float(check_real("radius", value, above=0))
