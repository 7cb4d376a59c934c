"""An image of a FITS file with the extensions that belong to it, whole or in part."""

from __future__ import annotations

import os
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from astropy.units import UnitsWarning, photometric
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS, InvalidSubimageSpecificationError, WcsError

from .._validation import invalid
from ._stamp_wcs import shift_wcs
from .image import SkyImage, to_native_floats

MAGIC = (b"SIMPLE  =", b"\x1f\x8b", b"BZh")
DAMAGED = (OSError, EOFError, TypeError, ValueError, KeyError, IndexError, AttributeError,
           OverflowError, MemoryError, VerifyError, zlib.error)  # fmt: skip
BITPIX = (8, 16, 32, 64, -32, -64)
MOST_PIXELS = 2**31  # read at once; 8 GB and more
# What an extension is by its name; a number behind it does not matter.
ROLES = {
    "MASK": "mask", "DQ": "mask", "FLAG": "mask", "FLAGS": "mask",
    "ERR": "sigma", "ERROR": "sigma", "SIGMA": "sigma", "UNCERT": "sigma", "RMS": "sigma",
    "STDDEV": "sigma", "VAR": "variance", "VARIANCE": "variance", "IVAR": "ivar",
    "INVVAR": "ivar", "WHT": "weight", "WEIGHT": "weight", "PSF": "psf",
}  # fmt: skip
BLOCK = 2880

Section = tuple[slice, slice]


def is_fits(head: bytes) -> bool:
    """Whether the first bytes are those of a FITS file, compressed or not."""
    return head.startswith(MAGIC)


@contextmanager
def open_fits(source: Any, *, hdu: int | str | None, where: str) -> Iterator[FitsImage]:
    """Open one image of a FITS file; ``source`` is a path or a file of bytes."""
    with warnings.catch_warnings():
        # of damage we say more below, of units and outdated keywords nothing
        for category in (AstropyWarning, UnitsWarning):
            warnings.simplefilter("ignore", category)
        with ExitStack() as opened:
            raw = source
            if isinstance(source, str | os.PathLike):
                raw = opened.enter_context(Path(source).open("rb"))
            n_bytes = _measure_file(raw)
            try:
                # without memmap: of a section only its bytes are read, scaled or not
                file = opened.enter_context(fits.open(raw, memmap=False))
                for part in file:  # looks at every header
                    if part.header.get("BITPIX") not in BITPIX:
                        raise ValueError(f"BITPIX is {part.header.get('BITPIX')!r}, not {BITPIX}")
                    if part.size < 0:
                        raise ValueError("NAXIS is negative")
            except DAMAGED as error:
                raise damaged(where, error) from error
            yield FitsImage(file, hdu, where, n_bytes)


class FitsImage:
    """The chosen image, not read yet, and what stands beside it in the file."""

    def __init__(
        self, file: fits.HDUList, hdu: int | str | None, where: str, n_bytes: int | None
    ) -> None:
        self.file, self.where, self.n_bytes = file, where, n_bytes
        self.number, self.hdu = _choose(file, hdu, where)
        self._check(self.hdu)
        self.header = self.hdu.header
        self.full_shape = tuple(int(n) for n in self.hdu.shape)
        sizes = [n for n in self.full_shape[:-2] if n > 1]
        self.shape = (int(np.prod(sizes)), *self.full_shape[-2:]) if sizes else (
            self.full_shape[-2:])  # fmt: skip
        self.wcs, self.wcs_error = read_wcs(self.header, file)
        self.unit, self.unknown_unit = read_unit(self.header.get("BUNIT"))

    def read(
        self, section: Section | None = None, *, bands: tuple[str, ...] = (),
        bad_bits: int | None = None, weight: str = "relative",
    ) -> SkyImage:  # fmt: skip
        """Pixels and what belongs to them, of the whole image or a part of it."""
        part = section or (slice(0, self.shape[-2]), slice(0, self.shape[-1]))
        n_pixels = int(np.prod(self.shape[:-2], dtype=float)) * np.prod(
            [float(s.stop - s.start) for s in part]
        )
        if n_pixels > MOST_PIXELS:
            raise ValueError(
                f"{self.where} must have at most {MOST_PIXELS} pixels to be read at once, got "
                f"{n_pixels:.0f}. Read a part of it with section=."
            )
        data = self._read_pixels(self.hdu, part)
        extra = self._read_partners(part, data, bad_bits, weight)
        wcs = self.wcs
        if wcs is not None and section is not None:
            wcs = shift_wcs(wcs, part[1].start, part[0].start)
        if not bands and data.ndim == 2:
            name = str(self.header.get("FILTER", "")).strip()
            bands = (name,) if name else ()
        return SkyImage(
            data, mask=extra["mask"], uncertainty=extra["uncertainty"], wcs=wcs, unit=self.unit,
            psf=extra["psf"], bands=bands, meta=self._describe(section, extra),
        )  # fmt: skip

    def _describe(self, section: Section | None, extra: dict[str, Any]) -> dict[str, Any]:
        meta = {
            "path": self.where, "hdu": self.number, "others": list_others(self.file, self.number),
            "first_row": "bottom", "header": self.header.copy(), "read_as": extra["roles"],
        }  # fmt: skip
        known = {"wcs_error": self.wcs_error, "unknown_unit": self.unknown_unit,
                 "weight": extra["weight"]}  # fmt: skip
        meta |= {name: value for name, value in known.items() if value is not None}
        if section is not None:
            meta["section"] = tuple((s.start, s.stop) for s in section)
        return meta

    def _read_pixels(self, hdu: Any, part: Section) -> np.ndarray:
        """Float planes of an extension; integers are scaled, and BLANK is NaN."""
        try:
            values = hdu.section[(..., *part)] if hdu.shape else hdu.data
            values = to_native_floats("data", values)
        except DAMAGED as error:
            raise damaged(self.where, error) from error
        shape = (*hdu.shape[:-2], *(s.stop - s.start for s in part))
        if values.shape != shape:
            raise damaged(self.where, f"it holds {values.shape} of {shape} pixels")
        n = int(np.prod(hdu.shape[:-2]))
        return values.reshape((n, *shape[-2:]) if n > 1 else shape[-2:])

    def _read_partners(
        self, part: Section, data: np.ndarray, bad_bits: int | None, weight: str
    ) -> dict[str, Any]:
        found: dict[str, Any] = dict.fromkeys(("mask", "uncertainty", "psf", "weight"))
        found["roles"] = {}
        mask = np.zeros(data.shape, dtype=bool)
        for role, number in self._find_partners().items():
            hdu = self.file[number]
            self._check(hdu)
            found["roles"][hdu.name or str(number)] = role
            if role == "psf":
                found["psf"] = to_native_floats("psf", hdu.data)
                continue
            values = np.broadcast_to(self._read_pixels(hdu, part), data.shape)
            if role == "mask":
                flags = np.nan_to_num(values, nan=1).astype(np.int64)
                mask |= (flags if bad_bits is None else flags & bad_bits) != 0
                continue
            if role == "weight" and weight == "relative":
                found["weight"] = np.array(values)
                mask |= ~(values > 0)
                continue
            sigma = _to_sigma(values, role)
            mask |= ~np.isfinite(sigma)
            found["uncertainty"] = sigma
        found["mask"] = mask
        return found

    def _find_partners(self) -> dict[str, int]:
        """Number of the extension in each role: of the same size, and version if it has one."""
        partners: dict[str, tuple[bool, int]] = {}
        for number, hdu in enumerate(self.file):
            role = ROLES.get(re.sub(r"[_\s]*\d+$", "", hdu.name.strip().upper()))
            if role is None or number == self.number or not _is_image(hdu):
                continue
            if role != "psf" and hdu.shape[-2:] != self.full_shape[-2:]:
                continue
            same = hdu.ver == self.hdu.ver
            if role not in partners or (same and not partners[role][0]):
                partners[role] = (same, number)
        return {role: number for role, (_, number) in partners.items()}

    def _check(self, hdu: Any) -> None:
        """Raise unless the file is as long as the header says."""
        place = hdu.fileinfo()
        if self.n_bytes is None or place is None:
            return
        # The last block of a plain image need not be filled; a compressed one may end anywhere.
        n = place["datSpan"] if isinstance(hdu, fits.CompImageHDU) else hdu.size
        if place["datLoc"] + n > self.n_bytes:
            raise damaged(
                self.where, f"it ends after {self.n_bytes} of {place['datLoc'] + n} bytes, "
                "truncated or with a wrong BITPIX or NAXIS",
            )  # fmt: skip


def damaged(where: str, reason: Any) -> ValueError:
    """The one sentence for a file that cannot be used."""
    text = " ".join(str(reason).split())[:300].rstrip(".")
    return ValueError(f"{where} must be a whole FITS image: {text}. Get the file again.")


def _measure_file(raw: Any) -> int | None:
    """Bytes of a file that is not compressed as a whole."""
    raw.seek(0)
    head = raw.read(2)
    raw.seek(0, os.SEEK_END)
    n = raw.tell()
    raw.seek(0)
    return None if head in (b"\x1f\x8b", b"BZ") else int(n)


def _is_image(hdu: Any) -> bool:
    kinds = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)
    return isinstance(hdu, kinds) and len(hdu.shape) >= 2 and min(hdu.shape) > 0


def _choose(file: fits.HDUList, hdu: int | str | None, where: str) -> tuple[int, Any]:
    images = [number for number, part in enumerate(file) if _is_image(part)]
    names = list_others(file, None)
    if not images:
        raise ValueError(f"{where} must have an image of two axes or more, got {names}.")
    if hdu is None:
        science = [n for n in images if file[n].name.strip().upper() not in ROLES]
        chosen = (science or images)[0]
    else:
        try:
            chosen = file.index_of(hdu)
        except KeyError as error:
            raise ValueError(f"hdu must be one of {names} in {where}, got {hdu!r}.") from error
        if chosen not in images:
            raise ValueError(f"hdu must be an image, one of {names} in {where}, got {hdu!r}.")
    return chosen, file[chosen]


def list_others(file: fits.HDUList, chosen: int | None) -> list[str]:
    """Number, name and size of all extensions but one, as people write them."""
    lines = []
    for number, hdu in enumerate(file):
        if number == chosen or (number == 0 and not _is_image(hdu)):
            continue
        kind = " x ".join(map(str, hdu.shape)) if _is_image(hdu) else type(hdu).__name__
        lines.append(f"{number} {hdu.name}: {kind}")
    return lines


def read_wcs(header: fits.Header, file: fits.HDUList) -> tuple[WCS | None, str | None]:
    """Celestial WCS of the last two axes, or None and, where there is a broken one, why."""
    try:
        wcs = WCS(header, fobj=file)
        if not wcs.has_celestial:
            return None, None
        if {wcs.wcs.lng, wcs.wcs.lat} != {0, 1}:
            return None, "its celestial axes are not the first two of the file"
        return (wcs if wcs.naxis == 2 else wcs.sub([1, 2])), None
    except (WcsError, InvalidSubimageSpecificationError, *DAMAGED) as error:
        return None, " ".join(str(error).split())[:300]


def read_unit(text: Any) -> tuple[u.UnitBase | None, str | None]:
    """Unit of BUNIT, or None and, where it is not known, what it says."""
    if text is None or not str(text).strip():
        return None, None
    text = str(text).strip()
    usual = {"counts": "ct", "count": "ct", "dn": "adu", "nanomaggies": "nanomaggy"}
    with u.add_enabled_units(photometric):
        for candidate in (usual.get(text.lower(), text), text.lower()):
            try:
                return u.Unit(candidate), None
            except (ValueError, TypeError):
                continue
    return None, text


def _to_sigma(values: np.ndarray, role: str) -> np.ndarray:
    """Standard deviation; NaN where there is none."""
    good = values > 0
    if role == "sigma":
        return np.where(good | (values == 0), values, np.nan)
    root = np.sqrt(np.where(good, values, np.nan))
    return root if role == "variance" else 1 / root


def check_section(section: Any, shape: tuple[int, ...]) -> Section:
    """Two slices within an image, of pairs or slices of whole numbers."""
    rule = f"(rows, columns), each (start, stop) within {shape[-2]} x {shape[-1]} pixels"
    if not isinstance(section, tuple | list) or len(section) != 2:
        raise invalid("section", rule, section)
    parts = []
    for part, n in zip(section, shape[-2:], strict=True):
        if isinstance(part, slice):
            if part.step not in (None, 1):
                raise invalid("section", rule + ", without steps", section)
            start, stop = (0 if part.start is None else part.start,
                           n if part.stop is None else part.stop)  # fmt: skip
        else:
            try:
                start, stop = part
            except (TypeError, ValueError):
                raise invalid("section", rule, section) from None
        whole = all(isinstance(value, int | np.integer) for value in (start, stop))
        if not whole or not 0 <= start < stop <= n:
            raise invalid("section", rule, section)
        parts.append(slice(int(start), int(stop)))
    return parts[0], parts[1]
