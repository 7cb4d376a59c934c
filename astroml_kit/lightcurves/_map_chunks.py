"""Chunks of light curves: of lists of files, which workers read, of one file, or of memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ._readers.chunks import LightCurveChunks
from ._readers.formats import find_first_frame, read_collection
from ._readers.steps import Frame, ReadOptions
from .curves import LightCurves


@dataclass(frozen=True)
class Files:
    """What a worker needs to read some of many files."""

    files: tuple[Path, ...]
    options: ReadOptions
    frame: Frame | None


Chunk = LightCurves | Files


def iter_chunks(source: LightCurves | LightCurveChunks, *, chunk_size: int) -> Iterator[Chunk]:
    """Give what is to be looked at together: many files as their paths, anything else as it is."""
    if isinstance(source, LightCurves):
        for start in range(0, len(source), chunk_size):
            yield source[start : start + chunk_size]
    elif source.kind == "files":
        frame = find_first_frame(source.files, source.options)
        files = [file.absolute() for file in source.files]
        for start in range(0, len(files), chunk_size):
            yield Files(tuple(files[start : start + chunk_size]), source.options, frame)
    else:
        yield from source


def count_curves(source: LightCurves | LightCurveChunks) -> int | None:
    """Objects, or files, where that is known before reading."""
    return len(source) if isinstance(source, LightCurves) else source.n_objects


def read_chunk(chunk: Chunk) -> tuple[LightCurves, dict[str, str]]:
    """Light curves of a chunk, and why files were skipped."""
    if isinstance(chunk, Files):
        chunk = read_collection(chunk.files, chunk.options, frame=chunk.frame)
        return chunk, dict(chunk.objects.meta["skipped"])
    return chunk, {}


def fingerprint_source(source: LightCurves | LightCurveChunks) -> str:
    """Digest of all values in memory; of options, and names, sizes and dates of files."""
    if isinstance(source, LightCurveChunks):
        digest = hashlib.sha256(repr(source.options).encode())
        for file in source.files:
            status = file.stat()
            digest.update(f"{file.name} {status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()
    names = source.objects.colnames
    known = (source.unit, source.time_format, source.time_scale, source.bands, names)
    digest = hashlib.sha256(repr(known).encode())
    steps = (source.time, source.value, source.error, source.band, source.mask, source.offsets)
    for array in (*steps, *(np.asarray(source.objects[name]) for name in names)):
        if array is None or array.dtype.hasobject:
            digest.update(repr(None if array is None else array.tolist()).encode())
        else:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()


def describe_error(error: Exception) -> str:
    """One line of an error, with its kind where the text alone says little."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError | OSError) and text:
        return text
    return f"{type(error).__name__}: {text}".removesuffix(": ")
