"""Positions at a common epoch: stars move between the times at which catalogues saw them."""

from __future__ import annotations

import warnings

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.time import Time
from erfa import ErfaWarning

from .._validation import invalid


def propagate_coordinates(coords: SkyCoord, *, epoch: Time) -> SkyCoord:
    """Move positions along their proper motions to an epoch.

    Parameters
    ----------
    coords : SkyCoord, shape (n,)
        With proper motions and ``obstime``, the epoch at which they hold. Rows whose proper
        motion is NaN stay where they are.
    epoch : `~astropy.time.Time`

    Returns
    -------
    SkyCoord
        ICRS positions with ``obstime`` at ``epoch``, without motions: what `match_catalogs` asks
        for.

    Raises
    ------
    ValueError
        Without proper motions or ``obstime``.

    Examples
    --------
    Barnard's star moves 10.4 arcsec a year:

    >>> import astropy.units as u
    >>> star = SkyCoord(269.452 * u.deg, 4.693 * u.deg, pm_ra_cosdec=-801.6 * u.mas / u.yr,
    ...     pm_dec=10362.4 * u.mas / u.yr, obstime=Time(2016.0, format="jyear"))
    >>> moved = propagate_coordinates(star, epoch=Time(2026.0, format="jyear"))
    >>> star.separation(moved).to("arcsec").round(2)
    <Angle 103.93 arcsec>
    """
    icrs = coords.icrs
    if "s" not in icrs.data.differentials:
        raise invalid(
            "coords", "positions with proper motions", "none",
            "Make them with SkyCoord(..., pm_ra_cosdec=..., pm_dec=..., obstime=...).",
        )  # fmt: skip
    if coords.obstime is None:
        raise invalid("coords.obstime", "the epoch of the positions", "None",
                      "Gaia DR3 is at Time(2016.0, format='jyear').")  # fmt: skip
    motion = [icrs.pm_ra_cosdec, icrs.pm_dec]
    still = ~np.isfinite(motion[0].value) | ~np.isfinite(motion[1].value)
    motion = [np.where(still, 0, pm.value) * pm.unit for pm in motion]
    star = SkyCoord(
        icrs.ra, icrs.dec, pm_ra_cosdec=motion[0], pm_dec=motion[1], obstime=coords.obstime
    )
    with warnings.catch_warnings():
        # any distance so large that neither parallax nor the finite speed of light shows
        warnings.filterwarnings("ignore", ".*distance overridden", ErfaWarning)
        moved = star.apply_space_motion(new_obstime=epoch)
    return SkyCoord(moved.ra, moved.dec, obstime=epoch)
