"""The WCS of many stamps as columns of numbers, each made when it is asked for.

A cut-out has the WCS of its image with another origin, a reprojected one the gnomonic projection
about its own centre; 10^5 WCS objects would take longer to make than the stamps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, DistortionLookupTable, Sip

from .._validation import invalid
from ._parity import measure_determinant

NO_PARENT = -1


def shift_wcs(wcs: WCS, x: float, y: float) -> WCS:
    """WCS of the part of an image that begins at column ``x`` and row ``y``."""
    shifted = wcs.deepcopy()
    shifted.wcs.crpix = wcs.wcs.crpix - np.array([x, y], dtype=float)
    if wcs.sip is not None:
        sip = wcs.sip
        shifted.sip = Sip(sip.a, sip.b, sip.ap, sip.bp, sip.crpix - np.array([x, y], dtype=float))
    for name in ("cpdis1", "cpdis2", "det2im1", "det2im2"):
        table = getattr(wcs, name)
        if table is not None:
            moved = np.array(table.crval, dtype=float) - np.array([x, y], dtype=float)
            setattr(
                shifted, name, DistortionLookupTable(table.data, table.crpix, moved, table.cdelt)
            )
    shifted.pixel_shape = None
    return shifted


def flip_wcs(wcs: WCS, width: int) -> WCS:
    """WCS of an image whose columns run the other way; there must be no distortion."""
    flipped = wcs.deepcopy()
    matrix = wcs.pixel_scale_matrix.copy()
    matrix[:, 0] *= -1
    if flipped.wcs.has_pc():
        flipped.wcs.pc = matrix / np.asarray(flipped.wcs.get_cdelt())[:, None]
    else:
        flipped.wcs.cd = matrix
    flipped.wcs.crpix = [width + 1 - wcs.wcs.crpix[0], wcs.wcs.crpix[1]]
    flipped.wcs.set()
    return flipped


def is_distorted(wcs: WCS) -> bool:
    """Whether pixels and the intermediate plane are not related by a matrix alone."""
    tables = (wcs.sip, wcs.cpdis1, wcs.cpdis2, wcs.det2im1, wcs.det2im2)
    return any(table is not None for table in tables)


def make_gnomonic(center: Any, matrix: np.ndarray, n: int) -> WCS:
    """ICRS gnomonic projection about the centre of n x n pixels; all in degrees."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval = center
    wcs.wcs.crpix = [(n + 1) / 2] * 2
    wcs.wcs.cd = matrix
    wcs.wcs.set()
    return wcs


@dataclass(frozen=True, eq=False)
class StampWCS(Sequence[WCS | None]):
    """The WCS of each stamp: that of a parent from an origin on, or one about its own centre.

    Parameters
    ----------
    parents : tuple of WCS
    parent : ndarray of int, shape (n,)
        Which of them; -1: none.
    origin : ndarray of int, shape (n, 2)
        Column and row of the parent where the stamp begins.
    flip : ndarray of bool, shape (n,)
        Columns run the other way.
    side : int
        Pixels along a side.
    center : ndarray of float, shape (n, 2), optional
        ICRS [deg] of a projection of its own; NaN where it has the parent's.
    matrix : ndarray of float, shape (n, 2, 2), optional
        That of the projection [deg].
    """

    parents: tuple[WCS, ...]
    parent: np.ndarray
    origin: np.ndarray
    flip: np.ndarray
    side: int
    center: np.ndarray | None = None
    matrix: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.parent)

    @overload
    def __getitem__(self, row: int) -> WCS | None: ...

    @overload
    def __getitem__(self, row: slice) -> StampWCS: ...

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return self.take(row)
        if self.center is not None and np.isfinite(self.center[row]).all():
            assert self.matrix is not None  # it comes with the centre
            return make_gnomonic(self.center[row], self.matrix[row], self.side)
        if self.parent[row] < 0:
            return None
        wcs = shift_wcs(self.parents[self.parent[row]], *self.origin[row])
        return flip_wcs(wcs, self.side) if self.flip[row] else wcs

    def take(self, rows: Any) -> StampWCS:
        """Those at a slice, a mask or indices."""
        columns = ("parent", "origin", "flip", "center", "matrix")
        known = {name: getattr(self, name) for name in columns}
        picked: dict[str, Any] = {k: None if a is None else a[rows] for k, a in known.items()}
        return replace(self, **picked)

    def measure_determinants(self) -> np.ndarray:
        """Determinant of the matrix of each [deg2], its sign the parity; NaN without a WCS."""
        own = np.array([measure_determinant(wcs) for wcs in self.parents] + [np.nan])
        found = own[self.parent] * np.where(self.flip, -1, 1)
        if self.matrix is None:
            return found
        a, b, c, d = self.matrix.reshape(-1, 4).T
        return np.where(np.isfinite(a), a * d - b * c, found)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for a file; the headers of the parents as text."""
        arrays = {
            "headers": np.array([w.to_header_string(relax=True) for w in self.parents], dtype=str),
            "parent": self.parent, "origin": self.origin, "flip": self.flip,
            "side": np.array(self.side),
        }  # fmt: skip
        if self.center is not None and self.matrix is not None:
            arrays |= {"center": self.center, "matrix": self.matrix}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> StampWCS:
        """Inverse of `to_arrays`."""
        headers = [fits.Header.fromstring(str(text)) for text in arrays["headers"]]
        return cls(
            tuple(WCS(header) for header in headers),
            np.asarray(arrays["parent"]), np.asarray(arrays["origin"]),
            np.asarray(arrays["flip"]), int(arrays["side"]),
            arrays.get("center"), arrays.get("matrix"),
        )  # fmt: skip

    @classmethod
    def from_sequence(cls, wcs: Sequence[WCS | None], side: int) -> StampWCS:
        """Columns of WCS objects, each its own parent."""
        if isinstance(wcs, cls):
            return wcs
        known = [w for w in wcs if w is not None]
        if any(w.cpdis1 is not None or w.det2im1 is not None for w in known):
            raise invalid("wcs", "without distortion tables to be written", "some")
        parent = np.full(len(wcs), NO_PARENT)
        parent[[w is not None for w in wcs]] = np.arange(len(known))
        n = len(wcs)
        return cls(tuple(known), parent, np.zeros((n, 2), int), np.zeros(n, bool), side)

    @classmethod
    def join(cls, parts: Sequence[StampWCS]) -> StampWCS:
        """One after the other; of the same side."""
        starts = np.cumsum([0, *(len(part.parents) for part in parts)])
        n_rows = [len(part) for part in parts]
        shapes = {"center": (2,), "matrix": (2, 2)}
        own = {
            name: np.concatenate([
                np.full((n, *shape), np.nan) if getattr(part, name) is None else getattr(part, name)
                for part, n in zip(parts, n_rows, strict=True)
            ]) for name, shape in shapes.items()
        }  # fmt: skip
        parents = [np.where(part.parent < 0, NO_PARENT, part.parent + start)
                   for part, start in zip(parts, starts, strict=False)]  # fmt: skip
        return cls(
            tuple(wcs for part in parts for wcs in part.parents), np.concatenate(parents),
            np.concatenate([part.origin for part in parts]),
            np.concatenate([part.flip for part in parts]), parts[0].side, **own,
        )  # fmt: skip
