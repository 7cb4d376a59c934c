"""Stamps in NPZ files: written, read, and streamed without holding more than a batch."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from ._members import DAMAGED, MOST_BYTES
from ._stamp_wcs import StampWCS
from ._table_columns import join_table, keep_plain, split_table
from .stamps import Stamps

ALIASES = {"labels": "label", "ids": "id", "filenames": "source"}
MASKED, WCS_PREFIX = "__masked", "wcs_"


def write_arrays(stamps: Stamps, path: Path) -> None:
    """Write one array per column, the pixels, and a description as JSON text."""
    columns, notes = split_table(stamps.table)
    arrays: dict[str, np.ndarray] = {"images": stamps.images}
    if stamps.mask.any():
        arrays["mask"] = stamps.mask
    if stamps.uncertainty is not None:
        arrays["uncertainty"] = stamps.uncertainty
    for name, column in columns.items():
        arrays[name] = np.ma.getdata(column)
        if np.any(np.ma.getmaskarray(column)):
            arrays[name + MASKED] = np.ma.getmaskarray(column)
    if stamps.wcs is not None:
        packed = StampWCS.from_sequence(stamps.wcs, stamps.images.shape[-1]).to_arrays()
        arrays |= {WCS_PREFIX + name: array for name, array in packed.items()}
    note = {
        "bands": list(stamps.bands), "unit": None if stamps.unit is None else str(stamps.unit),
        "columns": notes, "meta": keep_plain(stamps.meta),
    }  # fmt: skip
    arrays["stamps_json"] = np.array(json.dumps(note))
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # allow_pickle is no array


class ArrayFile:
    """The arrays of an NPZ file: those with one entry per stamp are read in rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
        if sum(info.file_size for info in infos) > MOST_BYTES:
            raise ValueError(
                f"{path.name} must not be a zip bomb: it unpacks to more than {MOST_BYTES} bytes."
            )
        self.heads = {info.filename[:-4]: self._read_head(info) for info in infos}
        images = ALIASES.get("images", "images")
        if images not in self.heads:
            raise ValueError(
                f"{path.name} must have the array 'images', got {sorted(self.heads)}. "
                "Save it under this name."
            )
        self.n = self.heads[images][0][0] if self.heads[images][0] else 0
        self.by_row = {
            name for name, (shape, _) in self.heads.items()
            if shape and shape[0] == self.n and name != f"{WCS_PREFIX}headers"
        }  # fmt: skip
        whole = {name: self._read_whole(name) for name in set(self.heads) - self.by_row}
        self.note = self._read_note(whole.pop("stamps_json", None))
        self.fixed = whole

    def iter_batches(self, batch_size: int) -> Iterator[Stamps]:
        """Stamps in batches of so many."""
        with ExitStack() as opened:
            archive = opened.enter_context(zipfile.ZipFile(self.path))
            streams = {name: opened.enter_context(archive.open(f"{name}.npy"))
                       for name in self.by_row}  # fmt: skip
            for stream in streams.values():
                _read_header(stream)
            for start in range(0, max(self.n, 1), batch_size):
                n = min(batch_size, self.n - start)
                rows = {name: self._read_rows(name, stream, n) for name, stream in streams.items()}
                yield self._make_stamps(rows, start, n)

    def _make_stamps(self, rows: dict[str, np.ndarray], start: int, n: int) -> Stamps:
        planes: dict[str, Any] = {
            name: rows.pop(name, None) for name in ("images", "mask", "uncertainty")
        }
        planes = {name: a[:, None] if a is not None and a.ndim == 3 else a
                  for name, a in planes.items()}  # fmt: skip
        packed = {name.removeprefix(WCS_PREFIX): array
                  for name, array in (self.fixed | rows).items()
                  if name.startswith(WCS_PREFIX)}  # fmt: skip
        columns: dict[str, Any] = {}
        for name, array in rows.items():
            if name.endswith(MASKED) or name.startswith(WCS_PREFIX):
                continue
            hidden = rows.get(name + MASKED)
            key = name if self.note["columns"] else ALIASES.get(name, name)
            columns[key] = array if hidden is None else np.ma.MaskedArray(array, hidden)
        if "id" not in columns:
            columns = {"id": np.arange(start, start + n).astype(str), **columns}
        return Stamps(
            planes["images"], planes["mask"], join_table(columns, self.note["columns"]),
            StampWCS.from_arrays(packed) if packed else None, tuple(self.note["bands"]),
            self.note["unit"], planes["uncertainty"],
            {"skipped": {}, **self.note["meta"], "path": self.path.name},
        )  # fmt: skip

    def _read_head(self, info: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and type of an array, after a check that the file holds that many bytes."""
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(info) as stream:
                shape, in_order, dtype = _read_header(stream)
                start = stream.tell()
        except (*DAMAGED, ValueError) as error:
            raise self._damaged(f"{info.filename}: {error}") from error
        if dtype.hasobject:
            raise self._damaged(f"{info.filename} is a pickle, which is never read")
        if not in_order and len(shape) > 1:
            raise self._damaged(f"{info.filename} is in the order of Fortran; save a copy of it")
        if start + int(np.prod(shape, dtype=object)) * dtype.itemsize != info.file_size:
            raise self._damaged(f"{info.filename} is not of the size that it says")
        return shape, dtype

    def _read_rows(self, name: str, stream: Any, n: int) -> np.ndarray:
        shape, dtype = self.heads[name]
        wanted = n * int(np.prod(shape[1:])) * dtype.itemsize
        try:
            content = stream.read(wanted)
        except DAMAGED as error:
            raise self._damaged(f"{name}: {error}") from error
        return np.frombuffer(content, dtype=dtype).reshape(n, *shape[1:])

    def _read_whole(self, name: str) -> np.ndarray:
        shape, dtype = self.heads[name]
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{name}.npy") as stream:
            _read_header(stream)
            try:
                return np.frombuffer(stream.read(), dtype=dtype).reshape(shape)
            except DAMAGED as error:
                raise self._damaged(f"{name}: {error}") from error

    def _read_note(self, text: np.ndarray | None) -> dict[str, Any]:
        empty: dict[str, Any] = {"bands": [], "unit": None, "columns": {}, "meta": {}}
        if text is None:
            return empty
        try:
            return empty | json.loads(str(text))
        except (ValueError, TypeError) as error:
            raise self._damaged(f"stamps_json: {error}") from error

    def _damaged(self, reason: str) -> ValueError:
        return ValueError(
            f"{self.path.name} must be a whole NPZ file without pickles: {reason}. "
            "Get or write the file again."
        )


def is_arrays(path: Path) -> bool:
    """Whether a file is a zip of arrays alone."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return bool(names) and all(name.endswith(".npy") for name in names)


def _read_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether rows come first, and type."""
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0}.get(version)  # fmt: skip
    if read is None:
        raise ValueError(f"version {version} of the format is not known")
    shape, in_columns, dtype = read(stream)
    return shape, not in_columns, dtype
