"""Many cut-outs of one size as one stack, so that nothing loops over galaxies in vain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.wcs import WCS

from .._validation import check_columns, check_real, check_same_length, invalid
from ..samples import Samples
from ._parity import measure_determinant, name_parity
from ._stamp_wcs import StampWCS


@dataclass(frozen=True, eq=False)
class Stamps:
    """Cut-outs of the same size, one row of a table each.

    Parameters
    ----------
    images : ndarray of float32 or uint8, shape (n, n_bands, h, w)
    mask : ndarray of bool, same shape, optional
        True: bad, or not covered by the image that the stamp was cut from. Pixels that are not
        finite are masked whatever it says.
    table : `~astropy.table.QTable`
        One row per stamp, with ``id`` and whatever else is known: ``coord``, ``coverage``,
        ``label``, ``source``.
    wcs : sequence of `~astropy.wcs.WCS` or None, optional
        One per stamp.
    bands : tuple of str
        One name per plane; empty where they have none.
    unit : Unit, optional
    uncertainty : ndarray of float32, same shape as images, optional
        Standard deviation, in ``unit``.
    meta : mapping
        Where the stamps came from, and what was counted on the way.

    Examples
    --------
    >>> table = QTable({"id": ["a", "b"], "label": [0, 1]})
    >>> stamps = Stamps(np.ones((2, 1, 8, 8), dtype=np.float32), table=table)
    >>> print(stamps[[1]])
    Stamps: 1 of 1 x 8 x 8, 0 pixels masked, 1 labelled, without WCS
    >>> print(stamps.to_samples())
    Samples: 2 x 1x8x8, y 0: 1, 1: 1, 2 groups
    """

    images: np.ndarray
    mask: Any = None  # an ndarray once made
    table: Any = None  # a QTable once made
    wcs: Sequence[WCS | None] | None = None
    bands: tuple[str, ...] = ()
    unit: u.UnitBase | str | None = None
    uncertainty: np.ndarray | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        images = np.asarray(self.images)
        if images.ndim != 4:
            raise invalid("images", "of shape (n, n_bands, h, w)", images.shape)
        if images.dtype != np.uint8:
            images = np.asarray(images, dtype=np.float32)
        table = QTable({"id": np.arange(len(images))}) if self.table is None else self.table
        check_columns(table.colnames, ["id"], where="table")
        check_same_length(images=images, mask=self.mask, table=table, wcs=self.wcs)
        if self.bands and len(self.bands) != images.shape[1]:
            raise invalid("bands", f"{images.shape[1]} names, one per plane", tuple(self.bands))
        checked = {
            "images": images,
            "mask": _complete_mask(images, self.mask),
            "table": table,
            "bands": tuple(self.bands),
            "unit": None if self.unit is None else u.Unit(self.unit),
            "meta": MappingProxyType(dict(self.meta)),
        }
        if self.uncertainty is not None:
            checked["uncertainty"] = np.asarray(self.uncertainty, dtype=np.float32)
            if checked["uncertainty"].shape != images.shape:
                raise invalid("uncertainty", f"of shape {images.shape}", self.uncertainty)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        # the read-only view on meta does not pickle; worker processes need that
        names = [one.name for one in fields(self)]
        values = [dict(self.meta) if name == "meta" else getattr(self, name) for name in names]
        return type(self), tuple(values)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Any) -> Stamps:
        """Return the stamps at ``rows``: a number, a slice, a boolean mask or indices."""
        rows = self._to_rows(rows)
        wcs = self.wcs
        if isinstance(wcs, StampWCS):
            wcs = wcs.take(rows)
        elif wcs is not None:
            wcs = tuple(wcs[row] for row in np.arange(len(self))[rows])
        return replace(
            self,
            images=self.images[rows],
            mask=self.mask[rows],
            table=self.table[rows],
            wcs=wcs,
            uncertainty=None if self.uncertainty is None else self.uncertainty[rows],
        )

    def __iter__(self) -> Iterator[Stamps]:
        return (self[row] for row in range(len(self)))

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.images.shape[1:]))
        text = f"Stamps: {len(self)} of {shape}, {np.count_nonzero(self.mask)} pixels masked"
        if "label" in self.table.colnames:
            known = len(self) - np.count_nonzero(getattr(self.table["label"], "mask", False))
            text += f", {known} labelled"
        return text + (", without WCS" if self.wcs is None else "")

    @property
    def pixel_scale(self) -> u.Quantity:
        """Side of a pixel [arcsec], square root of its area; NaN where there is no WCS."""
        if self.wcs is None:
            return np.full(len(self), np.nan) * u.arcsec
        return np.sqrt(np.abs(self._measure_determinants())) * 3600 * u.arcsec

    @property
    def parity(self) -> np.ndarray:
        """How the sky lies in each stamp, shape (n,): "sky", "mirror", or "" without a WCS.

        "sky" is as seen from below: east to the left when north is up and row 0 is at the bottom
        (``imshow(origin="lower")``). A flip turns one into the other, a rotation does not.
        """
        if self.wcs is None:
            return np.full(len(self), "", dtype="<U6")
        return np.array([name_parity(value) for value in self._measure_determinants()])

    def to_samples(
        self, label: str | None = None, group: str | None = "id", fill: float = 0.0
    ) -> Samples:
        """Return what models take, with masked pixels filled.

        Parameters
        ----------
        label : str, optional
            Column of the table with the labels; "label" if there is one. Missing numbers become
            -1, scikit-learn's word for unlabelled, and missing text "".
        group : str or None
            Column that says what must never be split between training and test.
        fill : float
            Value of masked pixels.

        Returns
        -------
        Samples
            ``X`` of shape (n, n_bands, h, w), the array itself where nothing is masked. ``meta``
            has ``filled_pixels``, ``fill``, ``unlabelled`` and ``bands``.

        Raises
        ------
        ValueError
            For columns that are not there.
        """
        if label is None and "label" in self.table.colnames:
            label = "label"
        check_columns(
            self.table.colnames, [n for n in (label, group) if n is not None], where="table"
        )
        value = float(check_real("fill", fill))
        n_filled = int(np.count_nonzero(self.mask))
        X = np.where(self.mask, self.images.dtype.type(value), self.images) if n_filled else (
            self.images)  # fmt: skip
        y, n_missing = None, 0
        if label is not None:
            y, n_missing = _fill_labels(self.table[label])
        return Samples(
            X,
            y=y,
            groups=None if group is None else np.asarray(self.table[group]),
            meta={**self.meta, "filled_pixels": n_filled, "fill": value,
                  "unlabelled": n_missing, "bands": self.bands},
        )  # fmt: skip

    def _measure_determinants(self) -> np.ndarray:
        """Of the matrix of each WCS [deg2]; NaN where there is none."""
        assert self.wcs is not None  # the caller knows
        if isinstance(self.wcs, StampWCS):
            return self.wcs.measure_determinants()
        return np.array([np.nan if w is None else measure_determinant(w) for w in self.wcs])

    def _to_rows(self, rows: Any) -> Any:
        if isinstance(rows, slice):
            return rows
        array = np.atleast_1d(np.asarray(rows))
        if array.size == 0:
            array = array.astype(int)
        if array.dtype.kind not in "biu" or array.ndim != 1:
            raise invalid("rows", "a number, a slice, a boolean mask or indices", rows)
        if array.dtype.kind == "b" and len(array) != len(self):
            raise invalid("rows", f"a mask of length {len(self)}", rows)
        return array


def _complete_mask(images: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Masked, or not finite; no memory where nothing is."""
    if mask is not None:
        mask = np.asarray(mask, dtype=bool)
        if mask.shape != images.shape:
            raise invalid("mask", f"of shape {images.shape}", mask)
    bad = None
    if images.dtype != np.uint8:
        # a sum is finite only where all terms are, and needs no array of its own
        whole = np.isfinite(images.sum(axis=(1, 2, 3), dtype=np.float64))
        if not whole.all():
            bad = ~np.isfinite(images)
    if bad is None:
        return np.broadcast_to(np.False_, images.shape) if mask is None else mask
    return bad if mask is None else bad | mask


def _fill_labels(column: Any) -> tuple[np.ndarray, int]:
    missing = np.asarray(getattr(column, "mask", False))
    n_missing = int(np.count_nonzero(missing))
    if not n_missing:
        return np.asarray(column), 0
    if column.dtype.kind in "biu":
        return np.asarray(column.filled(-1)), n_missing
    if column.dtype.kind == "f":
        return np.asarray(column.filled(-1.0)), n_missing
    return np.asarray(column.filled("")), n_missing
