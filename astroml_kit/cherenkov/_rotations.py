"""The ON disc turned about the pointing: more OFF statistics than disjoint circles can give."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from numpy.typing import ArrayLike

from .._validation import check_real
from ._regions import NoOffRegionError, say_full, to_angle, to_sky, to_vector
from ._rings import (
    Ring,
    find_in_ring,
    find_rotation_alpha,
    flatten_exclusions,
    measure_angle,
    place_rotations,
    to_unit_vectors,
)

# Dense (event, rotation) products are made this many at a time: 8 MB of floats.
_BLOCK = 1 << 20


class EventPairs(NamedTuple):
    """Every (event, rotation) pair whose event lies inside that rotated disc."""

    event: np.ndarray
    """Row of the event in the arrays that were given, shape (n_pairs,)."""
    rotation: np.ndarray
    """Index of the disc, shape (n_pairs,)."""
    theta_squared: np.ndarray
    """Squared angular distance from the disc's centre in deg^2, shape (n_pairs,)."""


@dataclass(frozen=True, eq=False)
class RotatedDiscs:
    """The ON disc turned about the pointing in equal steps; discs overlap and reuse events.

    Parameters
    ----------
    pointing, target : SkyCoord
        Centre of rotation, and the ON centre.
    radius : Quantity
        Radius of every disc.
    angles : Quantity, shape (n,)
        Rotations that stay clear of the target and the exclusions.
    n_tried : int
        Rotations before that choice.
    """

    pointing: SkyCoord
    target: SkyCoord
    radius: u.Quantity
    angles: u.Quantity
    n_tried: int

    @cached_property
    def _ring(self) -> Ring:
        return Ring.through(to_vector("pointing", self.pointing), to_vector("target", self.target))

    @cached_property
    def centres(self) -> SkyCoord:
        """Disc centres, shape (n,)."""
        return to_sky(self._ring.locate(self.angles.to_value("rad")))

    @cached_property
    def alpha(self) -> float:
        """Alpha of the plain ON/OFF count with the mean and variance of this background."""
        radius = self.radius.to_value("rad")
        return find_rotation_alpha(self._ring, self.angles.to_value("rad"), radius)

    def __len__(self) -> int:
        return len(self.angles)

    def __str__(self) -> str:
        size = self.radius.to_value("deg")
        text = f"{len(self)} of {self.n_tried} rotations of a {size:.3g} deg disc are clear"
        return f"{text}, alpha {self.alpha:.4f}"

    def match_events(self, ra: ArrayLike, dec: ArrayLike) -> EventPairs:
        """Return every (event, rotation) pair with the event inside the disc.

        Parameters
        ----------
        ra, dec : Quantity or array_like of float in deg, shape (n_events,)
            Event positions (ICRS).

        Returns
        -------
        EventPairs
            ``event``, ``rotation`` and ``theta_squared`` (deg^2), ordered by event, then rotation.
        """
        radius = self.radius.to_value("rad")
        centres = self._ring.locate(self.angles.to_value("rad"))
        vectors = to_unit_vectors(u.Quantity(ra, u.deg).value, u.Quantity(dec, u.deg).value)
        near = np.flatnonzero(find_in_ring(vectors, self._ring, radius))
        events, rotations, theta = [], [], []
        rows = max(1, _BLOCK // len(centres))
        for start in range(0, len(near), rows):
            block = near[start : start + rows]
            cosine = vectors[block] @ centres.T
            row, column = np.nonzero(cosine > np.cos(radius))
            events.append(block[row])
            rotations.append(column)
            theta.append(_to_theta_squared(cosine[row, column]))
        none = np.empty(0, int)
        return EventPairs(
            np.concatenate([none, *events]),
            np.concatenate([none, *rotations]),
            np.concatenate([np.empty(0), *theta]),
        )

    def count_cover(self, ra: ArrayLike, dec: ArrayLike) -> np.ndarray:
        """Return how many of the discs hold each event, shape (n_events,)."""
        return np.bincount(self.match_events(ra, dec).event, minlength=np.size(ra))

    def measure_theta_squared(self, ra: ArrayLike, dec: ArrayLike) -> np.ndarray:
        """Return each event's squared distance from the target in deg^2, shape (n_events,)."""
        vectors = to_unit_vectors(u.Quantity(ra, u.deg).value, u.Quantity(dec, u.deg).value)
        return np.rad2deg(measure_angle(vectors, self._ring.locate(0.0))) ** 2


def _to_theta_squared(cosine: np.ndarray) -> np.ndarray:
    """Return the squared angle in deg^2 for cosines of small angles."""
    return np.rad2deg(2 * np.arcsin(np.sqrt(np.clip((1 - cosine) / 2, 0, 1)))) ** 2


def find_rotated_discs(
    pointing: SkyCoord,
    target: SkyCoord,
    *,
    radius: u.Quantity = 0.2 * u.deg,
    gap: u.Quantity = 0.25 * u.deg,
    exclusions: Iterable[Any] = (),
    n_rotations: int = 72,
) -> RotatedDiscs:
    """Turn the ON disc about the pointing and keep the rotations that see no source.

    Overlapping rotations use the whole ring where disjoint circles leave parts of it out; the
    price is that events are reused, which :attr:`RotatedDiscs.alpha` accounts for.

    Parameters
    ----------
    pointing, target : SkyCoord
        Scalars, any frame.
    radius : Quantity
        Disc radius.
    gap : Quantity
        Distance from the target to the edge of the nearest disc: centres lie at least
        ``radius + gap`` from it.
    exclusions : iterable of (SkyCoord, Quantity)
        Circles that no disc may touch; both may be arrays.
    n_rotations : int
        Equal steps of a full turn to try.

    Returns
    -------
    RotatedDiscs

    Raises
    ------
    NoOffRegionError
        When no rotation is clear.

    Examples
    --------
    >>> from astropy import units as u
    >>> from astropy.coordinates import SkyCoord
    >>> pointing = SkyCoord(0, 0.5, unit="deg")
    >>> discs = find_rotated_discs(pointing, SkyCoord(0, 0, unit="deg"))
    >>> print(discs)
    51 of 72 rotations of a 0.2 deg disc are clear, alpha 0.1465
    >>> pairs = discs.match_events([0.0, 0.0], [1.0, 0.5])  # opposite the target; on the pointing
    >>> len(pairs.event), set(pairs.event.tolist())
    (9, {0})
    """
    size, free = to_angle("radius", radius), to_angle("gap", gap, positive=False)
    check_real("n_rotations", n_rotations, at_least=2)
    ring = Ring.through(to_vector("pointing", pointing), to_vector("target", target))
    circles = flatten_exclusions(exclusions)
    angles = place_rotations(
        ring, radius=size, gap=free, exclusions=circles, n_rotations=int(n_rotations)
    )
    if not len(angles):
        raise NoOffRegionError(
            f"{say_full(ring, size, len(circles[1]))} at a gap of {np.rad2deg(free):.4g} deg. "
            "Use a smaller radius or gap, fewer exclusions, or leave this run out."
        )
    return RotatedDiscs(pointing, target, radius, angles * u.rad, int(n_rotations))
