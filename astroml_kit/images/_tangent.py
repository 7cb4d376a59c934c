"""Tangential projections of small images, north up and east left."""

from __future__ import annotations

from typing import Any


def make_wcs(ra: float, dec: float, *, size: int, scale: float) -> Any:
    """WCS of a square image around a place [deg], with ``scale`` arcsec along a pixel."""
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [(size + 1) / 2, (size + 1) / 2]
    wcs.wcs.cdelt = [-scale / 3600, scale / 3600]
    wcs.wcs.radesys = "ICRS"
    wcs.pixel_shape = (size, size)
    wcs.wcs.set()
    return wcs
