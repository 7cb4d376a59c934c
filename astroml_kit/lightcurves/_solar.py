"""Where the Sun is: gamma rays of its halo, and glare, come with it every year."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import ICRS, SkyCoord, get_sun
from astropy.time import Time


def measure_solar_proximity(
    time: Time, *, position: SkyCoord, scale: u.Quantity = 20 * u.deg
) -> np.ndarray:
    """Return exp(-distance of the Sun / scale): a covariate that is known for all times.

    The Sun's disc and a halo around it, tens of degrees wide, shine in gamma rays (Abdo et al.
    2011, doi:10.1088/0004-637X/734/2/116); what is near the ecliptic seems brighter once a year.

    Parameters
    ----------
    time : `~astropy.time.Time`, shape (n,)
    position : `~astropy.coordinates.SkyCoord`
        Of the source.
    scale : Quantity
        Angle over which it falls by a factor of e.

    Returns
    -------
    ndarray, shape (n,)
        Between 0 and 1.

    Examples
    --------
    >>> source = SkyCoord(187.28 * u.deg, 2.05 * u.deg)  # 3C 273
    >>> year = Time([55197.0, 55474.0], format="mjd")
    >>> measure_solar_proximity(year, position=source).round(1).tolist()
    [0.0, 0.7]
    """
    sun = get_sun(time)
    # its direction counts, not its distance: a source is far away
    direction = SkyCoord(sun.ra, sun.dec, frame=ICRS())
    return np.exp(-(direction.separation(position) / scale).to_value(""))
