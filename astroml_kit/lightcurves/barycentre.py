"""Times at the Sun's or the solar system's centre: converted when asked, and said ones checked.

Light reaches the Earth up to 8.3 minutes before or after it reaches the barycentre, and the Sun is
up to 4 s away from it: a period of years of data, or a transit time, needs to know which was meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.time import Time
from astropy.utils import iers

from .._validation import check_choice, invalid
from ._objects import Curves, add_notes, count_days
from .curves import LightCurve, LightCurves

if TYPE_CHECKING:
    from astropy.coordinates import EarthLocation, SkyCoord

REFERENCES = ("observer", "sun")
BARYCENTRIC = ("tdb", "tcb")  # scales that nobody uses at a telescope
DAY_BEGINS = 5.0  # degrees: the Sun is surely up, wherever times are referred to
LONGEST_GAP = 500  # intervals through which steps can be counted
MOST_SCATTER = 0.05  # of an interval, for a cadence to be even
MOST_ERROR = 0.1
CUBIC = 90.0  # days in which the path of the Earth is one
LEAST_SHARE = 0.3
LEAST, MOST_STEPS = 20, 1000


@dataclass(frozen=True)
class BarycentreCheck:
    """What speaks for and against times being barycentric.

    Attributes
    ----------
    scale : str
        Of the times; barycentric ones are in TDB.
    share : float
        How much of the Earth's light travel time an even cadence shows: 0 if times are those of
        the observer's clock; 1 if they are at the barycentre, more or less than that where the
        observer's own orbit bends the light travel time (TESS, Kepler). NaN where the cadence
        cannot tell.
    share_error : float
        One standard deviation, of the scatter of the cadence.
    n_daylight : int
        Steps at which the Sun stood above the observatory by more than 5 degrees, as it does when
        half a day was lost between JD and MJD; 0 without a location.
    """

    scale: str
    share: float
    share_error: float
    n_daylight: int

    @property
    def plausible(self) -> bool:
        """Whether nothing speaks against it."""
        at_centre = not self.share < LEAST_SHARE
        return self.scale in BARYCENTRIC and self.n_daylight == 0 and at_centre

    def __str__(self) -> str:
        parts = [f"scale {self.scale}"]
        if np.isfinite(self.share):
            parts.append(
                f"cadence shows {self.share:.3f} +- {self.share_error:.3f} of the light travel time"
            )
        else:
            parts.append("cadence cannot tell")
        if self.n_daylight:
            parts.append(f"{self.n_daylight} steps by daylight")
        verdict = "plausibly" if self.plausible else "not"
        return f"{verdict} barycentric: {', '.join(parts)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ``plausible`` among them; NaN as None."""
        plain = {**asdict(self), "plausible": self.plausible}
        return {key: None if value != value else value for key, value in plain.items()}


def correct_barycentre(
    curves: Curves,
    *,
    position: SkyCoord,
    location: EarthLocation | None = None,
    reference: str = "observer",
) -> Curves:
    """Convert times to barycentric dynamical time (BJD_TDB).

    Parameters
    ----------
    curves : LightCurve or LightCurves
        In the scale of a clock: "utc", "tai", "tt" or "ut1".
    position : SkyCoord
        Of the object, or one for each. Where the star moves fast, at the epoch of the data.
    location : EarthLocation, optional
        The observatory; the centre of the Earth without it, which is wrong by up to 21 ms.
    reference : {"observer", "sun"}
        Where the times are now: at the observer, or heliocentric (HJD).

    Returns
    -------
    LightCurve or LightCurves
        With times in the scale "tdb" and the note ``time_reference``, "barycentric".

    Raises
    ------
    ValueError
        For times that are barycentric already, by their note or their scale, for those noted as
        heliocentric with another reference, and for positions that are not one for each object.

    Notes
    -----
    Eastman, Siverd & Gaudi 2010, doi:10.1086/655938; the Earth is where ERFA's built-in ephemeris
    has it, the parallax of the star and the bending of its light are left out: below 1 ms beyond
    100 pc.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.coordinates import SkyCoord
    >>> time = Time([2458000.0], format="jd", scale="utc")
    >>> star = SkyCoord(26.0213, -15.9396, unit="deg")
    >>> moved = correct_barycentre(LightCurve(time, [14.0] * u.mag), position=star)
    >>> moved.time.scale, round(float(moved.time.jd[0] - 2458000) * 1440, 2)
    ('tdb', 7.27)
    """
    check_choice("reference", reference, REFERENCES)
    n = 1 if isinstance(curves, LightCurve) else len(curves)
    if position.shape not in ((), (n,)):
        raise invalid("position", f"one or one for each of the {n} objects", position.shape)
    said, scale = _read_reference(curves)
    if "bary" in said.lower() or scale in BARYCENTRIC:
        raise ValueError(
            f"curves must have times of a clock, got {said or 'scale ' + scale!r}, which stands "
            "for barycentric ones. Check them with check_barycentre."
        )
    if "helio" in said.lower() and reference != "sun":
        raise invalid("reference", f"'sun' for times that are {said}", reference)
    stars = [position] * n if position.shape == () else list(position)
    if isinstance(curves, LightCurve):
        moved = _to_barycentre(curves.time, stars[0], location, reference)
        return add_notes(replace(curves, time=moved), time_reference="barycentric")
    days = curves.time.copy()
    for number, star in enumerate(stars):
        rows = slice(curves.offsets[number], curves.offsets[number + 1])
        time = curves[number].time
        if len(time):
            days[rows] += count_days(_to_barycentre(time, star, location, reference), time)
    whole = replace(curves, time=days, time_scale="tdb")
    return add_notes(whole, time_reference="barycentric")


def check_barycentre(
    curve: LightCurve, *, position: SkyCoord, location: EarthLocation | None = None
) -> BarycentreCheck:
    """Say whether times that are called barycentric may be so; nothing is changed.

    An instrument that exposes at even intervals by its own clock has uneven ones at the
    barycentre, by what the Earth moves towards the star: months of an even cadence tell the two
    apart. Of a telescope on the ground it is known that the Sun was down.

    Parameters
    ----------
    curve : LightCurve
    position : SkyCoord
    location : EarthLocation, optional
        The observatory, for the Sun.

    Returns
    -------
    BarycentreCheck

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.coordinates import SkyCoord
    >>> days = np.arange(0, 90, 0.02)
    >>> clock = LightCurve(Time(58000 + days, format="mjd", scale="tdb"), np.ones(4500) * u.ct)
    >>> check = check_barycentre(clock, position=SkyCoord(26, -16, unit="deg"))
    >>> round(check.share, 3), check.plausible
    (0.0, False)
    """
    share, error = _measure_share(curve, position)
    n_daylight = 0
    if location is not None and len(curve):
        from astropy.coordinates import AltAz, get_sun

        with _no_download():
            frame = AltAz(obstime=curve.time, location=location)
            altitude = get_sun(curve.time).transform_to(frame).alt.deg
        n_daylight = int(np.sum(altitude[~np.asarray(curve.mask)] > DAY_BEGINS))
    return BarycentreCheck(curve.time.scale, share, error, n_daylight)


def _read_reference(curves: LightCurve | LightCurves) -> tuple[str, str]:
    """Where times are said to be, and their scale."""
    if isinstance(curves, LightCurve):
        return str(curves.meta.get("time_reference", "")), curves.time.scale
    said = [str(curves.objects.meta.get("time_reference", ""))]
    if "time_reference" in curves.objects.colnames:
        said += np.unique(np.asarray(curves.objects["time_reference"]).astype(str)).tolist()
    return ", ".join(filter(None, said)), curves.time_scale


@contextmanager
def _no_download() -> Iterator[None]:
    # the rotation of the Earth to a second is worth 2 microseconds of light travel time
    with (
        iers.conf.set_temp("auto_download", False),
        iers.conf.set_temp("iers_degraded_accuracy", "ignore"),
    ):
        yield


def _find_delay(time: Time, star: SkyCoord, location: EarthLocation | None, to: str) -> Any:
    """Light travel time; from the centre of the Earth without a location."""
    from astropy.coordinates import EarthLocation

    place = EarthLocation.from_geocentric(0, 0, 0, unit="m") if location is None else location
    with _no_download():
        return time.light_travel_time(star, to, location=place)


def _to_barycentre(
    time: Time, star: SkyCoord, location: EarthLocation | None, reference: str
) -> Time:
    clock = time
    if reference == "sun":
        for _ in range(3):  # the delay changes by 1e-4 of itself in that time
            clock = time - _find_delay(clock, star, location, "heliocentric")
    moved = clock.tdb + _find_delay(clock, star, location, "barycentric")
    moved.format = time.format
    return moved


def _measure_share(curve: LightCurve, star: SkyCoord) -> tuple[float, float]:
    """Curvature of times over their number, in that of the light travel time, and its error."""
    nothing = (np.nan, np.nan)
    if len(curve) < LEAST:
        return nothing
    days = count_days(curve.time, curve.time[0])
    interval = float(np.median(np.diff(days)))
    if not interval > 0:
        return nothing
    breaks = np.flatnonzero(np.diff(days) > LONGEST_GAP * interval) + 1
    rows = max(np.split(np.arange(len(days)), breaks), key=len)
    rows = rows[days[rows] - days[rows[0]] < CUBIC]
    if len(rows) < LEAST:
        return nothing
    number = np.cumsum(np.round(np.diff(days[rows], prepend=days[rows[0]]) / interval))
    some = np.linspace(0, len(rows) - 1, min(len(rows), MOST_STEPS)).astype(int)
    rows, number = rows[some], number[some]
    delay = _find_delay(curve.time[rows], star, None, "barycentric")
    powers = np.vander(2 * number / max(number[-1], 1) - 1, 4, increasing=True)
    basis = np.linalg.qr(powers)[0]
    ours, theirs = basis.T @ days[rows], basis.T @ delay.to_value("day")
    scatter = float(np.std(days[rows] - basis @ ours))
    expected = float(np.hypot(*theirs[2:]))
    error = scatter / expected
    if scatter > MOST_SCATTER * interval or error > MOST_ERROR:
        return nothing
    return float(np.hypot(*ours[2:]) / expected), error
