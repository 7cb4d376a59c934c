"""Which way round the sky is in an image: a flip changes how spirals wind, a rotation does not."""

from __future__ import annotations

import numpy as np
from astropy.wcs import WCS

SKY, MIRROR = "sky", "mirror"


def find_parity(wcs: WCS) -> str:
    """Return "sky" where east is to the left with north up and row 0 below, else "mirror"."""
    matrix = wcs.celestial.pixel_scale_matrix
    return SKY if np.linalg.det(matrix) < 0 else MIRROR
