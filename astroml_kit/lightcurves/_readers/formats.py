"""Which reader a file needs, by its content; and many files as one collection."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..curves import LightCurves
from .astropy_tables import read_ascii, read_votable
from .columns import check_header, steps_from_columns
from .fits import read_fits
from .json_curves import read_json
from .lcr import HEADER as LCR_HEADER
from .lcr import read_lcr
from .nested import find_nested, open_parquet, read_own, steps_from_nested
from .steps import (
    FileSteps,
    Frame,
    ReadOptions,
    convert_steps,
    find_frame,
    join_steps,
    make_empty,
)
from .text_tables import ASAS_HEADER, read_asas, read_text_table

HEAD = 16_384
# What is wrong with one file and lets the others be read; pixels also want an optional library.
PROBLEMS = (ValueError, OSError, ImportError)


def list_files(path: Path) -> list[Path]:
    """Files of a folder, by name; hidden ones and folders are left out.

    Raises
    ------
    ValueError
        When there is none.
    """
    files = sorted(
        (file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")),
        key=lambda file: (file.stem, file.suffix),
    )
    if not files:
        raise ValueError(f"path must be a folder with files, got {path}, which has none.")
    return files


def read_file(file: Path, options: ReadOptions) -> FileSteps:
    """Read one file with the reader that its content asks for.

    Raises
    ------
    ValueError
        When no reader knows the content, or the one that does finds it damaged.
    """
    data = file.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{file.name} must be a whole gzip file: {error}") from error
    return find_reader(data, file)(file, data, options)


def find_reader(data: bytes, file: Path) -> Callable[[Path, bytes, ReadOptions], FileSteps]:
    """Return the reader for such content."""
    head = data[:HEAD]
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        raise ValueError(f"{file.name} must hold light curves, got an empty file.")
    if head.startswith(b"PAR1"):
        return read_parquet
    if head.startswith(b"SIMPLE  ="):
        return read_fits
    if b"<VOTABLE" in head:
        return read_votable
    if start.startswith((b"# %ECSV", b"\\", b"|")):
        return read_ascii
    if start.startswith((b"{", b"[")):
        return read_json
    if LCR_HEADER.match(start):
        return read_lcr
    if ASAS_HEADER.search(data if start.startswith(b"#") else head):
        return read_asas
    if b"\x00" in head or file.suffix.lower() in (".fits", ".parquet"):
        raise ValueError(
            f"{file.name} must be one of FITS, Parquet, VO table, JSON or a table of text, got a "
            f"file that begins with {head[:8]!r}."
        )
    return read_text_table


def read_parquet(file: Path, data: bytes, options: ReadOptions) -> FileSteps:
    """Read Parquet with one row per step, or one per object as others than we write it."""
    import pyarrow as pa

    table = open_parquet(pa.BufferReader(data), where=file.name)
    if own := read_own(table, where=file.name):
        return steps_from_curves(own)
    if nested := find_nested(table.schema):
        return steps_from_nested(table, nested, options, where=file.name, stem=file.stem)
    check_header(table.column_names, where=file.name)
    columns = dict(zip(table.column_names, table.columns, strict=True))
    return steps_from_columns(columns, options, stem=file.stem, where=file.name)


def steps_from_curves(curves: LightCurves) -> FileSteps:
    """Take a collection apart again, so that it can join files of other kinds."""
    names = [name for name in curves.objects.colnames if name != "name"]
    return FileSteps(
        curves.time, curves.value, curves.unit, curves.time_format, curves.time_scale,
        curves.names, np.repeat(np.arange(len(curves)), curves.n_steps), curves.error,
        None if curves.band is None else np.array(curves.bands)[curves.band],
        curves.mask, curves.limit, {name: np.asarray(curves.objects[name]) for name in names},
        reader="nested",
    )  # fmt: skip


def read_own_file(file: Path) -> LightCurves | None:
    """What `write_lightcurves` wrote, whole; None when the file is something else.

    Raises
    ------
    ValueError
        For a damaged Parquet file.
    """
    with file.open("rb") as stream:
        if stream.read(4) != b"PAR1":
            return None
    return read_own(open_parquet(file, where=file.name), where=file.name)


def find_first_frame(files: Sequence[Path], options: ReadOptions) -> Frame | None:
    """What the first file that can be read has; None when none can."""
    for file in files:
        try:
            return find_frame(read_file(file, options), options)
        except PROBLEMS:
            continue  # it is named, with this error, where its chunk is read
    return None


def read_collection(
    files: Sequence[Path],
    options: ReadOptions,
    *,
    frame: Frame | None = None,
    strict: bool = False,
    meta: Mapping[str, Any] | None = None,
) -> LightCurves:
    """Read files into one collection; those that cannot be read are named in its meta.

    Raises
    ------
    ValueError
        When none can be read and ``frame`` is not said; with ``strict``, when one cannot.
    """
    parts, skipped = [], {}
    for file in files:
        try:
            steps = read_file(file, options)
            frame = frame or find_frame(steps, options)
            parts.append(convert_steps(steps, frame))
        except PROBLEMS as error:
            if strict:
                raise
            skipped[file.name] = " ".join(str(error).split())
    meta = {"skipped": skipped, **(meta or {})}
    if parts and frame:
        return join_steps(parts, frame, meta=meta)
    if frame:
        return make_empty(frame, meta=meta)
    first, reason = next(iter(skipped.items()))
    raise ValueError(f"path must hold readable files, got none: {first}: {reason}")
