"""Reflected regions as astronomers ask for them: sky positions in, circles with an alpha out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from .._validation import check_choice, check_real, invalid
from ._rings import (
    Ring,
    flatten_exclusions,
    place_regions,
    to_degrees,
    to_unit_vectors,
)

PLACEMENTS = ("packed", "stepped")


class NoOffRegionError(ValueError):
    """No OFF region fits: the ring of equal offset is too small or fully excluded."""


def to_vector(name: str, position: SkyCoord) -> np.ndarray:
    """Return the ICRS unit vector(s) of a SkyCoord, shape (..., 3)."""
    if not isinstance(position, SkyCoord):
        raise TypeError(
            f"{name} must be a SkyCoord, got {type(position).__name__}. "
            "Write SkyCoord(83.63, 22.01, unit='deg')."
        )
    # the check saves a millisecond: an ICRS position needs no transformation
    if position.frame.name != "icrs":
        position = position.icrs
    return to_unit_vectors(position.ra.deg, position.dec.deg)


def to_angle(name: str, value: Any, *, positive: bool = True) -> float:
    """Return an angle in rad, > 0 (or >= 0) and below 90 deg."""
    try:
        angle = value.to_value("deg")
    except (AttributeError, u.UnitConversionError) as error:
        raise invalid(name, "an angle with a unit", value, f"Write {name}=0.11 * u.deg.") from error
    name = f"{name} in deg"
    if positive:
        return float(np.deg2rad(check_real(name, angle, above=0, below=90)))
    return float(np.deg2rad(check_real(name, angle, at_least=0, below=90)))


def say_inside(offset: float, radius: float) -> str:
    """Say why a target this close to the pointing has no OFF region (rad)."""
    return (
        f"the target is {np.rad2deg(offset):.4g} deg from the pointing, "
        f"not more than the ON radius of {np.rad2deg(radius):.4g} deg"
    )


def say_full(ring: Ring, radius: float, n_exclusions: int) -> str:
    """Say why nothing fits on a ring that is large enough for the ON region."""
    return (
        f"no OFF region of {np.rad2deg(radius):.4g} deg fits on the ring of "
        f"{np.rad2deg(ring.offset):.4g} deg about the pointing beside the target and "
        f"{n_exclusions} exclusion(s)"
    )


def to_sky(vectors: np.ndarray) -> SkyCoord:
    ra, dec = to_degrees(vectors)
    return SkyCoord(ra, dec, unit="deg", frame="icrs")


@dataclass(frozen=True, eq=False)
class ReflectedRegions:
    """OFF circles at the target's own offset from the pointing, clear of everything.

    Parameters
    ----------
    pointing, target : SkyCoord
        Centre of the ring, and the ON centre.
    radius : Quantity
        Radius of the ON circle and of each OFF circle.
    angles : Quantity, shape (n,)
        Rotation of each OFF centre about the pointing, from the target, north through east.
    n_unobstructed : int
        How many circles would fit without exclusions.
    dropped : QTable
        The exclusions that reach the ring: ``ra``, ``dec``, ``radius`` and ``blocked``, the part of
        the full turn (as an angle) where no OFF centre may lie because of it.
    """

    pointing: SkyCoord
    target: SkyCoord
    radius: u.Quantity
    angles: u.Quantity
    n_unobstructed: int
    dropped: QTable

    @cached_property
    def centres(self) -> SkyCoord:
        """OFF centres, shape (n,)."""
        ring = Ring.through(to_vector("pointing", self.pointing), to_vector("target", self.target))
        return to_sky(ring.locate(self.angles.to_value("rad")))

    @property
    def alpha(self) -> float:
        """ON exposure over OFF exposure: one over the number of regions."""
        return 1 / len(self.angles)

    def __len__(self) -> int:
        return len(self.angles)

    def __str__(self) -> str:
        text = f"{len(self)} reflected regions of {self.radius.to_value('deg'):.3g} deg"
        lost = self.n_unobstructed - len(self)
        return f"{text}, alpha {self.alpha:.4f}, {lost} lost to {len(self.dropped)} exclusions"


def find_reflected_regions(
    pointing: SkyCoord,
    target: SkyCoord,
    *,
    radius: u.Quantity,
    exclusions: Iterable[Any] = (),
    min_distance: u.Quantity = 0.1 * u.rad,
    placement: str = "packed",
    step: u.Quantity = 0.1 * u.rad,
    max_regions: int | None = None,
) -> ReflectedRegions:
    """Find OFF circles at the target's offset that touch neither ON, each other nor an exclusion.

    The camera's acceptance depends on the offset above all, so circles of the ON radius at the same
    offset see the same background (Berge, Funk & Hinton 2007, doi:10.1051/0004-6361:20066674,
    section 4.3). Placed by angle on the sphere, not on pixels.

    Parameters
    ----------
    pointing, target : SkyCoord
        Scalars, any frame.
    radius : Quantity
        ON radius, an angle > 0.
    exclusions : iterable of (SkyCoord, Quantity)
        Circles that OFF regions must not touch; both may be arrays. Put the target's own
        surroundings here when it is extended or bright. :func:`read_known_sources` gives many.
    min_distance : Quantity
        Rotation angle to keep free between ON and the first OFF region, beyond not touching.
    placement : {'packed', 'stepped'}
        ``packed`` fits as many as possible; ``stepped`` walks around as gammapy's
        ``ReflectedRegionsFinder`` does and usually finds fewer.
    step : Quantity
        Rotation after a blocked position when ``stepped`` (gammapy's ``angle_increment``).
    max_regions : int, optional
        At most this many: the farthest from ON when packed, the first found when stepped.

    Returns
    -------
    ReflectedRegions
        With ``centres``, ``alpha`` and the exclusions that cost something in ``dropped``.

    Raises
    ------
    NoOffRegionError
        When the pointing lies inside the ON circle or nothing is free.

    Examples
    --------
    >>> from astropy import units as u
    >>> from astropy.coordinates import SkyCoord
    >>> crab = SkyCoord(83.633, 22.0145, unit="deg")
    >>> pointing = SkyCoord(83.633, 21.5145, unit="deg")
    >>> print(find_reflected_regions(pointing, crab, radius=0.11 * u.deg))
    12 reflected regions of 0.11 deg, alpha 0.0833, 0 lost to 0 exclusions
    """
    size = to_angle("radius", radius)
    ring = Ring.through(to_vector("pointing", pointing), to_vector("target", target))
    circles = flatten_exclusions(exclusions)
    settings: dict[str, Any] = check_placement(min_distance, placement, step, max_regions)
    if ring.offset <= size:
        raise NoOffRegionError(
            f"{say_inside(ring.offset, size)}. Reflected regions need an offset: "
            "use another background for this run or leave it out."
        )
    angles = place_regions(ring, radius=size, exclusions=circles, **settings)
    if not len(angles):
        raise NoOffRegionError(
            f"{say_full(ring, size, len(circles[1]))}. "
            "Use a smaller radius, fewer exclusions, or leave this run out."
        )
    nothing = flatten_exclusions(())
    free = place_regions(ring, radius=size, exclusions=nothing, **settings)
    _, half = ring.find_arcs(circles[0], circles[1] + size)
    ra, dec = to_degrees(circles[0][half > 0])
    dropped = QTable(
        {
            "ra": ra * u.deg,
            "dec": dec * u.deg,
            "radius": np.rad2deg(circles[1][half > 0]) * u.deg,
            "blocked": np.rad2deg(2 * half[half > 0]) * u.deg,
        }
    )
    return ReflectedRegions(pointing, target, radius, angles * u.rad, len(free), dropped)


def check_placement(
    min_distance: u.Quantity, placement: str, step: u.Quantity, max_regions: int | None
) -> dict[str, Any]:
    """Return the checked arguments of ``place_regions`` in rad."""
    check_choice("placement", placement, PLACEMENTS)
    if max_regions is not None:
        check_real("max_regions", max_regions, at_least=1)
    return {
        "min_distance": to_angle("min_distance", min_distance, positive=False),
        "placement": placement,
        "step": to_angle("step", step),
        "max_regions": max_regions,
    }
