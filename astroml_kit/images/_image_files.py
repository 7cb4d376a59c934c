"""One image from the bytes of whatever file it is in."""

from __future__ import annotations

import bz2
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from .._validation import invalid
from ._fits_images import check_section, damaged, is_fits, open_fits
from ._pictures import is_picture, read_picture
from .image import SkyImage

MOST_UNPACKED = 2**30  # of a member of a collection


def read_fits(
    source: Any, *, where: str, hdu: int | str | None, section: Any, bands: tuple[str, ...],
    bad_bits: int | None, weight: str,
) -> SkyImage:  # fmt: skip
    """Read an image of a FITS file, given as a path or as a file of bytes."""
    with open_fits(source, hdu=hdu, where=where) as image:
        part = None if section is None else check_section(section, image.shape)
        return image.read(part, bands=bands, bad_bits=bad_bits, weight=weight)


def read_plain(content: bytes, *, where: str, section: Any, bands: tuple[str, ...]) -> SkyImage:
    """Read a picture or the arrays of an NPZ file."""
    try:
        if is_picture(content[:16]):
            planes, clear, names = read_picture(content)
            mask = None if clear is None else np.broadcast_to(clear, planes.shape)
            arrays: dict[str, Any] = {"data": planes, "mask": mask}
            if len(planes) == 1:
                arrays = {key: None if a is None else a[0] for key, a in arrays.items()}
            meta: dict[str, Any] = {"path": where, "first_row": "top"}
        else:
            arrays, names, meta = _read_arrays(content), (), {"path": where, "first_row": "bottom"}
    except ValueError as error:
        raise ValueError(f"{where} must be a whole image: {error}. Get the file again.") from error
    n_planes = 1 if arrays["data"].ndim == 2 else len(arrays["data"])
    if bands and len(bands) != n_planes:
        raise invalid(
            "bands", f"{n_planes} names for the {n_planes} planes of {where}", bands,
            "A colour picture has three planes.",
        )  # fmt: skip
    if section is not None:
        part = check_section(section, arrays["data"].shape)
        meta["section"] = tuple((s.start, s.stop) for s in part)
        arrays = {key: a if a is None or key == "psf" else a[(..., *part)]
                  for key, a in arrays.items()}  # fmt: skip
    return SkyImage(bands=bands or names, meta=meta, **arrays)


def _read_arrays(content: bytes) -> dict[str, Any]:
    """Arrays of an NPZ file by their usual names."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"it is no NPZ file without pickles: {error}") from error
    named = [name for name in ("data", "image", "images", "sci") if name in arrays]
    if not named and len(arrays) != 1:
        raise ValueError(f"it lacks an array 'data' and has {sorted(arrays)}")
    data = arrays.pop(named[0] if named else next(iter(arrays)))
    if not isinstance(data, np.ndarray):
        raise ValueError("it holds files and no arrays; read_stamps reads those of a zip")
    if data.ndim == 4 and 1 in data.shape[:2]:
        data = data.reshape(-1, *data.shape[-2:])
    return {"data": data} | {
        name: arrays[name] for name in ("mask", "uncertainty", "psf") if name in arrays
    }


def unpack(content: bytes) -> bytes:
    """Bytes of a gzipped or bzipped file, up to a limit."""
    if content.startswith(b"\x1f\x8b"):
        gzipped = zlib.decompressobj(zlib.MAX_WBITS | 16)
        plain, more = gzipped.decompress(content, MOST_UNPACKED), not gzipped.eof
    elif content.startswith(b"BZh"):
        bzipped = bz2.BZ2Decompressor()
        plain, more = bzipped.decompress(content, MOST_UNPACKED), not bzipped.eof
    else:
        return content
    if len(plain) >= MOST_UNPACKED:
        raise ValueError(f"it unpacks to more than {MOST_UNPACKED} bytes")
    if more:
        raise ValueError("it ends before its compressed bytes do")
    return plain


def read_whole(content: bytes, *, where: str, bad_bits: int | None = None) -> SkyImage:
    """Read the image of a member of a collection."""
    if is_fits(content[:16]):
        try:
            plain = unpack(content)
        except (zlib.error, OSError, ValueError) as error:
            raise damaged(where, error) from error
        return read_fits(io.BytesIO(plain), where=where, hdu=None, section=None, bands=(),
                         bad_bits=bad_bits, weight="relative")  # fmt: skip
    return read_plain(content, where=where, section=None, bands=())


def read_path(
    path: Path, *, hdu: int | str | None, section: Any, bands: tuple[str, ...],
    bad_bits: int | None, weight: str,
) -> SkyImage:  # fmt: skip
    """Read the image of a file, told by its first bytes."""
    if path.is_dir():
        raise ValueError(f"path must be a file, got the folder {path.name}. Use read_stamps.")
    with path.open("rb") as file:
        head = file.read(16)
    if is_fits(head):
        return read_fits(path, where=path.name, hdu=hdu, section=section, bands=bands,
                         bad_bits=bad_bits, weight=weight)  # fmt: skip
    if hdu is not None:
        raise ValueError(f"hdu must be None for {path.name}, which is not FITS, got {hdu!r}.")
    if not is_picture(head) and not head.startswith(b"PK"):
        raise ValueError(
            f"{path.name} must be an image, FITS, NPZ, PNG or JPEG, got {head[:8]!r} at its "
            "beginning. Give another file."
        )
    return read_plain(path.read_bytes(), where=path.name, section=section, bands=bands)
