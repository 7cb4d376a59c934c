"""Positions as unit vectors in the order of the sky, with a tree: the gate of all matching."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from astropy.coordinates import SkyCoord
from scipy.spatial import cKDTree

from .._validation import invalid

PATCHES = 128  # along each axis of the unit sphere: small enough for a processor's cache
ROUNDING = 1e-15  # of a chord between unit vectors: a pair at the radius itself is near


@dataclass(frozen=True)
class Sky:
    """The finite positions of a list, in the order of patches of the sky.

    ``rows`` says where each is in the list of ``n_rows``.
    """

    vectors: np.ndarray
    rows: np.ndarray
    finite: np.ndarray
    n_rows: int

    @classmethod
    def open(cls, name: str, coords: Any, *, frame: SkyCoord | None = None) -> Sky:
        """Turn coordinates into vectors, in the frame of other ones."""
        if not isinstance(coords, SkyCoord):
            raise invalid(
                name, "a SkyCoord", type(coords).__name__, "Use SkyCoord(ra, dec, unit='deg')."
            )
        if coords.ndim != 1:
            raise invalid(name, "a list of positions", f"shape {coords.shape}", "Use .ravel().")
        if frame is not None and not coords.is_equivalent_frame(frame):
            coords = coords.transform_to(frame.frame.replicate_without_data())
        sphere = coords.spherical
        return cls._arrange(sphere.lon.to_value("rad"), sphere.lat.to_value("rad"))

    @classmethod
    def from_degrees(cls, lon: np.ndarray, lat: np.ndarray) -> Sky:
        """Turn columns of positions into vectors."""
        return cls._arrange(np.radians(lon), np.radians(lat))

    @classmethod
    def _arrange(cls, lon: np.ndarray, lat: np.ndarray) -> Sky:
        finite = np.isfinite(lon) & np.isfinite(lat)
        rows = np.flatnonzero(finite)
        if len(rows) < len(lon):
            lon, lat = lon[rows], lat[rows]
        cosine = np.cos(lat)
        vectors = np.column_stack([cosine * np.cos(lon), cosine * np.sin(lon), np.sin(lat)])
        place = np.minimum(((vectors + 1) * (PATCHES / 2)).astype(np.int32), PATCHES - 1)
        order = np.argsort((place[:, 2] * PATCHES + place[:, 1]) * PATCHES + place[:, 0])
        return cls(vectors[order], rows[order], finite, len(finite))

    @property
    def n_without_position(self) -> int:
        """Rows with NaN."""
        return self.n_rows - len(self.rows)

    @cached_property
    def tree(self) -> cKDTree:
        """A tree of the vectors; medians by sliding are quicker to build and as quick to ask."""
        return cKDTree(self.vectors, balanced_tree=False, compact_nodes=False)


def find_chord(angle: float) -> float:
    """Length of the chord of an angle [rad], rounding included."""
    return 2 * np.sin(angle / 2) + ROUNDING


def find_separation(chord: np.ndarray) -> np.ndarray:
    """Angle [rad] of chords."""
    return 2 * np.arcsin(np.minimum(chord / 2, 1))


def is_survey(value: Any) -> bool:
    """Whether a value is a lazy LSDB catalogue, without importing lsdb."""
    kinds = {f"{kind.__module__.split('.')[0]}.{kind.__name__}" for kind in type(value).__mro__}
    return "lsdb.Catalog" in kinds
