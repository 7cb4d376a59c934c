"""Which way round the sky is in an image: a flip changes how spirals wind, a rotation does not."""

from __future__ import annotations

import numpy as np
from astropy.wcs import WCS

SKY, MIRROR = "sky", "mirror"


def find_parity(wcs: WCS) -> str:
    """Return "sky" where east is to the left with north up and row 0 below, else "mirror"."""
    return name_parity(measure_determinant(wcs))


def measure_determinant(wcs: WCS) -> float:
    """Determinant from pixels to longitude and latitude [deg2]: negative as the sky is seen."""
    swapped = wcs.wcs.lng > wcs.wcs.lat
    return float(np.linalg.det(wcs.pixel_scale_matrix)) * (-1 if swapped else 1)


def name_parity(determinant: float) -> str:
    """Name the sign; empty for NaN."""
    if np.isnan(determinant):
        return ""
    return SKY if determinant < 0 else MIRROR
