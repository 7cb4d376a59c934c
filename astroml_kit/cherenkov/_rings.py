"""Where OFF counts may come from: circles on the ring of equal offset about the pointing.

Everything happens on unit vectors and in one angle, the rotation about the pointing, so that it is
exact on the sphere: at RA 0/360, at the poles and at any offset.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

FULL_TURN = 2 * np.pi
# Keeps touching circles apart by more than rounding (1e-9 rad is 0.2 milliarcseconds).
MARGIN = 1e-9


def to_unit_vectors(ra: ArrayLike, dec: ArrayLike) -> np.ndarray:
    """Return unit vectors, shape (..., 3), for positions in degrees."""
    ra, dec = np.deg2rad(np.asarray(ra, float)), np.deg2rad(np.asarray(dec, float))
    cos_dec = np.cos(dec)
    return np.stack([cos_dec * np.cos(ra), cos_dec * np.sin(ra), np.sin(dec)], axis=-1)


def to_degrees(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return RA in [0, 360) and Dec in degrees of vectors of shape (..., 3)."""
    x, y, z = np.moveaxis(np.asarray(vectors, float), -1, 0)
    return np.rad2deg(np.arctan2(y, x)) % 360.0, np.rad2deg(np.arctan2(z, np.hypot(x, y)))


def measure_angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the angle between unit vectors in rad, accurate from 1e-8 rad to 180 deg."""
    return 2 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1))


@dataclass(frozen=True)
class Ring:
    """The circle about the pointing on which the target lies.

    The rotation angle is 0 at the target and grows from north through east.
    """

    pointing: np.ndarray
    toward: np.ndarray
    across: np.ndarray
    offset: float

    @classmethod
    def through(cls, pointing: np.ndarray, target: np.ndarray) -> Ring:
        """Return the ring of ``target`` about ``pointing`` (unit vectors)."""
        offset = float(measure_angle(pointing, target))
        chord = target - pointing
        toward = chord - (chord @ pointing) * pointing
        length = np.linalg.norm(toward)
        if length < 1e-12:  # any direction will do: the ring is a point
            other = np.eye(3)[np.argmin(np.abs(pointing))]
            toward = np.cross(pointing, other)
            length = np.linalg.norm(toward)
        toward = toward / length
        return cls(pointing, toward, np.cross(toward, pointing), offset)

    def locate(self, angles: ArrayLike) -> np.ndarray:
        """Return the unit vectors, shape (n, 3), at these rotation angles."""
        angles = np.asarray(angles, float)[..., None]
        around = np.cos(angles) * self.toward + np.sin(angles) * self.across
        return np.cos(self.offset) * self.pointing + np.sin(self.offset) * around

    def find_width(self, separation: float) -> float:
        """Return the rotation angle at which two points of the ring are ``separation`` apart.

        It is infinite where the ring is too small to hold two such points.
        """
        ratio = np.sin(separation / 2) / max(np.sin(self.offset), 1e-300)
        return float(2 * np.arcsin(ratio)) if ratio <= 1 else np.inf

    def find_arcs(
        self, centres: np.ndarray, distances: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return middle and half-width (rad) of the arcs closer than ``distances`` to ``centres``.

        Parameters
        ----------
        centres : ndarray, shape (n, 3)
            Unit vectors.
        distances : ndarray, shape (n,)
            Angular distances in rad.

        Returns
        -------
        middle, half_width : ndarray, shape (n,)
            A half-width of 0: the ring stays clear; of pi: no point of it is far enough.
        """
        away = measure_angle(centres, self.pointing)
        middle = np.arctan2(centres @ self.across, centres @ self.toward) % FULL_TURN
        # haversine of the side = haversine of the difference + product of sines x haversine
        top = np.sin(distances / 2) ** 2 - np.sin((self.offset - away) / 2) ** 2
        bottom = np.sin(self.offset) * np.sin(away)
        share = np.where(top > 0, top / np.maximum(bottom, 1e-300), 0.0)
        return middle, 2 * np.arcsin(np.sqrt(np.clip(share, 0.0, 1.0)))


def flatten_exclusions(exclusions: Iterable[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors (n, 3) and radii (n,) in rad of pairs (SkyCoord, Quantity)."""
    vectors, radii = [np.empty((0, 3))], [np.empty(0)]
    for number, pair in enumerate(exclusions):
        try:
            position, radius = pair
            position = position.icrs
            size = np.asarray(radius.to_value("rad"), float)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"exclusions[{number}] must be a pair (SkyCoord, angle as Quantity), got {pair!r}. "
                "Write exclusions=[(SkyCoord('05h34m32s +22d00m52s'), 0.3 * u.deg)]."
            ) from error
        found = to_unit_vectors(position.ra.deg, position.dec.deg).reshape(-1, 3)
        if not np.all(size >= 0):
            raise ValueError(
                f"exclusions[{number}] must have a radius >= 0, got {radius}. "
                "Leave out what needs no exclusion."
            )
        vectors.append(found)
        radii.append(np.broadcast_to(size, found.shape[:1]).astype(float))
    return np.concatenate(vectors), np.concatenate(radii)


def find_free_arcs(low: float, high: float, blocked: list[tuple[float, float]]) -> np.ndarray:
    """Return what is left of [low, high], shape (n, 2), when open intervals are taken out."""
    free, start = [], low
    for begin, end in sorted(blocked):
        if begin >= start and start <= high:
            free.append((start, min(begin, high)))
        start = max(start, end)
    if start <= high:
        free.append((start, high))
    return np.array(free, float).reshape(-1, 2)


def pack_arcs(arcs: np.ndarray, width: float) -> np.ndarray:
    """Return the largest possible set of angles inside ``arcs``, at least ``width`` apart.

    Taking the first angle that fits, arc after arc, cannot be beaten in number. Each arc's share is
    then spread evenly over the room it has, which leaves the largest gaps without losing one.
    """
    counts, starts, last = [], [], -np.inf
    for low, high in arcs:
        first = max(low, last + width)
        count = int(np.floor((high - first) / width)) + 1 if first <= high else 0
        counts.append(count)
        starts.append(first)
        if count:
            last = first + (count - 1) * width
    angles: list[float] = []
    for number, (low, high) in enumerate(arcs):
        if not counts[number]:
            continue
        later = [starts[k] for k in range(number + 1, len(arcs)) if counts[k]]
        begin = max(low, angles[-1] + width) if angles else low
        end = max(min(high, later[0] - width) if later else high, begin)
        single = counts[number] == 1
        angles += [(begin + end) / 2] if single else list(np.linspace(begin, end, counts[number]))
    return np.array(angles, float)


def step_arcs(arcs: np.ndarray, width: float, *, low: float, high: float, step: float) -> list:
    """Return angles found by walking from ``low``: one ``width`` after a hit, else one ``step``.

    This is how gammapy's ReflectedRegionsFinder places its regions (gammapy 2.1 documentation).
    """
    angles, angle = [], low
    while angle < high:
        if np.any((arcs[:, 0] <= angle) & (angle <= arcs[:, 1])):
            angles.append(angle)
            angle += width
        else:
            angle += step
    return angles


def place_regions(
    ring: Ring,
    *,
    radius: float,
    exclusions: tuple[np.ndarray, np.ndarray],
    min_distance: float,
    placement: str,
    step: float,
    max_regions: int | None,
) -> np.ndarray:
    """Return the rotation angles (rad, ascending) of circles of ``radius`` clear of everything."""
    width = ring.find_width(2 * radius) + MARGIN
    low, high = width + min_distance, FULL_TURN - width - min_distance
    if not low <= high:
        return np.empty(0)
    blocked = []
    for middle, half in zip(*ring.find_arcs(exclusions[0], exclusions[1] + radius), strict=True):
        if half >= np.pi:
            return np.empty(0)
        if half > 0:
            half += MARGIN
            blocked += [(middle + turn - half, middle + turn + half) for turn in (-FULL_TURN, 0)]
            blocked.append((middle + FULL_TURN - half, middle + FULL_TURN + half))
    arcs = find_free_arcs(low, high, blocked)
    if placement == "packed":
        angles = pack_arcs(arcs, width)
        if max_regions is not None and len(angles) > max_regions:
            # The far side is where the target's own light is faintest.
            nearest_first = np.argsort(np.abs(angles - np.pi), kind="stable")
            angles = np.sort(angles[nearest_first[:max_regions]])
        return angles
    found = step_arcs(arcs, width, low=low, high=high, step=step)
    return np.array(found[:max_regions], float)


def place_rotations(
    ring: Ring,
    *,
    radius: float,
    gap: float,
    exclusions: tuple[np.ndarray, np.ndarray],
    n_rotations: int,
) -> np.ndarray:
    """Return the angles, out of ``n_rotations`` equal steps, whose discs are clear of everything.

    The disc must stay ``gap`` away from the target, and outside the exclusions.
    """
    angles = FULL_TURN * np.arange(n_rotations) / n_rotations
    centres = ring.locate(angles)
    good = measure_angle(centres, ring.locate(0.0)) >= radius + gap
    for position, size in zip(*exclusions, strict=True):
        good &= measure_angle(centres, position) >= size + radius
    return angles[good]


def measure_overlap(separation: ArrayLike, radius: float) -> np.ndarray:
    """Return the share of a disc's area that an equal disc at ``separation`` covers (flat sky)."""
    half = np.clip(np.asarray(separation, float) / (2 * radius), 0.0, 1.0)
    return (2 / np.pi) * (np.arccos(half) - half * np.sqrt(1 - half**2))


def find_rotation_alpha(ring: Ring, angles: np.ndarray, radius: float) -> float:
    """Return alpha of the Poisson count with the mean and the variance of rotated discs.

    Rotations that overlap reuse events: with a uniform background the mean over M discs has the
    variance of a count with alpha = sum_jk overlap_jk / M^2, which is 1 / M for disjoint discs.
    """
    centres = ring.locate(angles)
    separation = measure_angle(centres[:, None], centres[None, :])
    return float(measure_overlap(separation, radius).mean())


def find_in_ring(vectors: np.ndarray, ring: Ring, radius: float) -> np.ndarray:
    """Return which unit vectors lie within ``radius`` (rad) of the ring's circle."""
    cosine = vectors @ ring.pointing
    low = max(ring.offset - radius, 0.0)
    high = min(ring.offset + radius, np.pi)
    # a hair wider than needed, so that rounding never loses an event on the edge
    return (cosine <= np.cos(low) + 1e-14) & (cosine >= np.cos(high) - 1e-14)
