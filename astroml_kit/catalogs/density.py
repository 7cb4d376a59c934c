"""How many positions per square degree, in pixels of equal area over the whole sky."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from .._validation import check_real, import_extra, invalid
from ._sphere import Sky

_MOST_NSIDE = 8192


def measure_density(
    coords: SkyCoord, *, nside: int = 64, weights: Any = None, empty: bool = False
) -> QTable:
    """Count positions in HEALPix pixels.

    Parameters
    ----------
    coords : SkyCoord, shape (n,)
        In any frame; the pixels are in this frame. Rows with NaN are not counted, and said.
    nside : int
        A power of two up to 8192: the sky has ``12 nside^2`` pixels (Gorski et al. 2005,
        doi:10.1086/427976), 0.84 square degrees each at 64.
    weights : array_like of float, shape (n,), optional
        Counted in place of 1 each, such as one by the completeness.
    empty : bool
        Give pixels without positions too, in the order of their numbers.

    Returns
    -------
    QTable
        A row per pixel: ``pixel`` (nested numbering), ``centre`` (SkyCoord), ``n`` (positions),
        ``sum`` (of the weights), ``density`` and ``density_error`` (1/deg^2; the root of the sum
        of squared weights). ``meta`` has ``nside``, ``order``, ``frame``, ``pixel_area`` and
        ``n_dropped``.

    Raises
    ------
    ValueError
        For an ``nside`` that is no power of two, weights that are not finite, or what is no
        SkyCoord.
    ImportError
        Without astropy-healpix.

    Examples
    --------
    >>> coords = SkyCoord([10.0, 10.1, 200.0], [0.0, 0.1, -60.0], unit="deg")
    >>> density = measure_density(coords, nside=16)
    >>> density["n"].tolist(), density["density"].round(3)
    ([2, 1], <Quantity [0.149, 0.074] 1 / deg2>)
    """
    side = int(check_real("nside", nside, at_least=1, at_most=_MOST_NSIDE))
    if side != nside or side & (side - 1):
        raise invalid("nside", "a power of two", nside)
    healpix = import_extra("astropy_healpix", extra="catalogs")
    sky = Sky.open("coords", coords)
    sphere = coords.spherical
    lon, lat = sphere.lon.to_value("rad")[sky.finite], sphere.lat.to_value("rad")[sky.finite]
    amount = np.ones(len(sky.finite)) if weights is None else check_real("weights", weights)
    if amount.shape != sky.finite.shape:
        raise invalid("weights", f"one for each of the {len(sky.finite)} positions", amount.shape)
    number = healpix.lonlat_to_healpix(lon * u.rad, lat * u.rad, side, order="nested")
    if empty:
        pixel, place = np.arange(12 * side**2), np.asarray(number, dtype=int)
    else:
        pixel, place = np.unique(np.asarray(number, dtype=int), return_inverse=True)
    amount = amount[sky.finite]
    total = np.bincount(place, amount, len(pixel))
    error = np.sqrt(np.bincount(place, amount**2, len(pixel)))
    area = (4 * np.pi / (12 * side**2) * u.sr).to(u.deg**2)
    lon, lat = healpix.healpix_to_lonlat(pixel, side, order="nested")
    return QTable(
        {
            "pixel": pixel,
            "centre": SkyCoord(lon, lat, frame=coords.frame.replicate_without_data()),
            "n": np.bincount(place, minlength=len(pixel)), "sum": total, "density": total / area,
            "density_error": error / area,
        },
        meta={
            "nside": side, "order": "nested", "frame": coords.frame.name, "pixel_area": area,
            "n_dropped": sky.n_without_position,
        },
    )  # fmt: skip
