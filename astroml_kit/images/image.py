"""One image of the sky, so that mask, errors, WCS and unit never part from the pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import NDData, StdDevUncertainty
from astropy.wcs import WCS

from .._validation import invalid
from ._parity import find_parity


@dataclass(frozen=True, eq=False)
class SkyImage:
    """Pixels of one part of the sky in one band or several, with all that belongs to them.

    Parameters
    ----------
    data : ndarray of float, shape (h, w) or (n_bands, h, w)
        Native float32 or float64. Row 0 is where the file has it: at the bottom in FITS, at the
        top in a picture.
    mask : ndarray of bool, same shape, optional
        True: not to be used. Pixels that are not finite are masked whatever it says.
    uncertainty : ndarray of float, same shape, optional
        Standard deviation, in ``unit``.
    wcs : `~astropy.wcs.WCS`, optional
        Celestial, of two axes.
    unit : Unit, optional
    psf : ndarray of float, shape (h, w), optional
        Image of a point source.
    bands : tuple of str
        One name per plane; empty where they have none.
    meta : mapping
        Where the image came from.

    Examples
    --------
    >>> image = SkyImage(np.array([[1.0, np.nan], [3.0, 4.0]]), unit="nJy")
    >>> print(image)
    SkyImage: 2 x 2 pixels, 1 masked, in nJy, without WCS
    """

    data: np.ndarray
    mask: Any = None  # an ndarray once made
    uncertainty: np.ndarray | None = None
    wcs: WCS | None = None
    unit: u.UnitBase | str | None = None
    psf: np.ndarray | None = None
    bands: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        data = to_native_floats("data", self.data)
        if data.ndim not in (2, 3) or 0 in data.shape:
            raise invalid("data", "of shape (h, w) or (n_bands, h, w), none of them 0", data.shape)
        bad = ~np.isfinite(data)
        if self.mask is not None:
            mask = np.asarray(self.mask, dtype=bool)
            check_shape("mask", mask, data)
            bad |= mask
        uncertainty = self.uncertainty
        if uncertainty is not None:
            uncertainty = to_native_floats("uncertainty", uncertainty)
            check_shape("uncertainty", uncertainty, data)
        bands = tuple(self.bands)
        n_bands = 1 if data.ndim == 2 else len(data)
        if bands and len(bands) != n_bands:
            raise invalid("bands", f"{n_bands} names, one per plane", bands)
        if self.wcs is not None and (self.wcs.naxis != 2 or not self.wcs.has_celestial):
            raise ValueError("wcs must be celestial and of two axes. Give wcs.celestial.")
        unit = None if self.unit is None else u.Unit(self.unit)
        checked = {"data": data, "mask": bad, "uncertainty": uncertainty, "bands": bands,
                  "unit": unit, "meta": MappingProxyType(dict(self.meta))}  # fmt: skip
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        # the read-only view on meta does not pickle; worker processes need that
        names = [one.name for one in fields(self)]
        values = [dict(self.meta) if name == "meta" else getattr(self, name) for name in names]
        return type(self), tuple(values)

    def __str__(self) -> str:
        sizes = " x ".join(map(str, self.data.shape[-2:]))
        text = f"SkyImage: {sizes} pixels"
        if self.data.ndim == 3:
            text += f" in {len(self.data)} bands"
        text += f", {np.count_nonzero(self.mask)} masked"
        text += f", in {self.unit}" if self.unit is not None else ", without unit"
        return text + (f", parity {self.parity}" if self.wcs is not None else ", without WCS")

    @property
    def parity(self) -> str | None:
        """How the sky lies in it: "sky", "mirror", or None without a WCS; see `Stamps.parity`."""
        return None if self.wcs is None else find_parity(self.wcs)

    @property
    def planes(self) -> np.ndarray:
        """Pixels with an axis of bands in any case, shape (n_bands, h, w)."""
        return self.data if self.data.ndim == 3 else self.data[None]

    def to_nddata(self) -> NDData:
        """Return the same as astropy has it; ``bands`` and ``psf`` go to ``meta`` and ``psf``."""
        uncertainty = None if self.uncertainty is None else StdDevUncertainty(self.uncertainty)
        wcs = self.wcs if self.data.ndim == 2 else None
        meta = dict(self.meta) | {"bands": self.bands}
        if wcs is None and self.wcs is not None:
            meta["celestial_wcs"] = self.wcs  # of two axes, which NDData wants for two only
        return NDData(
            self.data, uncertainty=uncertainty, mask=self.mask, wcs=wcs, unit=self.unit,
            meta=meta, psf=self.psf,
        )  # fmt: skip


def to_native_floats(name: str, value: Any) -> np.ndarray:
    """Float32 where that holds the values, as 8- and 16-bit integers are; else float64."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise invalid(name, "numbers", array)
    small = array.dtype.itemsize <= (4 if array.dtype.kind == "f" else 2)
    return np.asarray(array, dtype=np.float32 if small else np.float64)


def check_shape(name: str, array: np.ndarray, data: np.ndarray) -> None:
    """Raise unless an array is of the shape of the pixels."""
    if array.shape != data.shape:
        raise ValueError(
            f"{name} must be of the shape of data {data.shape}, got {array.shape}. "
            "Give one value per pixel."
        )
