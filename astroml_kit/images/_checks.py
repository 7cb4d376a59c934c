"""Checks that the simulations of images share."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np

from .._validation import check_real, invalid


def check_whole(name: str, value: Any, least: int) -> int:
    """Return a whole number."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise invalid(name, f"a whole number >= {least}", value)
    return int(value)


def check_angle(name: str, value: Any) -> float:
    """Return an angle > 0 in arcsec."""
    try:
        angle = u.Quantity(value).to_value(u.arcsec)
    except (TypeError, u.UnitsError) as error:
        raise invalid(name, "an angle", value, "Give it as 0.4 * u.arcsec.") from error
    return float(check_real(name, angle, above=0))
