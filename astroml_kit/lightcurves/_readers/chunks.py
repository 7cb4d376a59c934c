"""Collections that do not fit in memory, some objects at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..curves import LightCurves
from .columns import NAMES, as_array, check_header, steps_from_columns, to_text
from .formats import find_first_frame, read_collection
from .nested import find_nested, read_own, steps_from_nested
from .steps import FileSteps, Frame, ReadOptions, convert_steps, find_frame, join_steps
from .text_tables import split_header

# Bytes of a table of text that are looked at together.
BLOCK = 1 << 24


@dataclass(frozen=True)
class LightCurveChunks:
    """Light curves on disk: iterating gives `LightCurves` of ``chunk_size`` objects or files.

    The order is that of the files, or of the rows, and the same every time. ``len()`` is the
    number of chunks and ``n_objects`` that of objects, or of files, where they are known without
    reading all; ``n_objects`` is None and ``len()`` a TypeError for a long table of text.
    """

    files: tuple[Path, ...] = field(repr=False)
    chunk_size: int
    options: ReadOptions
    n_objects: int | None
    kind: str

    def __len__(self) -> int:
        if self.n_objects is None:
            raise TypeError("the number of chunks of a long table is known when all is read.")
        return -(-self.n_objects // self.chunk_size)

    def __iter__(self) -> Iterator[LightCurves]:
        make: Callable[[LightCurveChunks], Iterator[LightCurves]] = {
            "files": _iter_files, "nested": _iter_nested, "long": _iter_long, "whole": _iter_whole,
        }[self.kind]  # fmt: skip
        return make(self)


def find_chunks(
    files: Sequence[Path], is_single: bool, chunk_size: int, options: ReadOptions
) -> LightCurveChunks:
    """Look at one file, or count many."""
    if not is_single:
        return LightCurveChunks(tuple(files), chunk_size, options, len(files), "files")
    file = files[0]
    with file.open("rb") as stream:
        head = stream.read(4096)
    kind: str = "whole"
    n_objects: int | None = None
    if head.startswith(b"PAR1"):
        kind, n_objects = _look_at_parquet(file, options)
    elif b"," in head and not head.lstrip().startswith((b"<", b"{", b"[", b"SIMPLE", b"#")):
        names, _, _ = split_header(head, where=file.name)
        if _find_name(names, options):
            kind = "long"
    return LightCurveChunks((file,), chunk_size, options, n_objects, kind)


def _look_at_parquet(file: Path, options: ReadOptions) -> tuple[str, int | None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        whole = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file.name} must be a whole Parquet file: {error}") from error
    if find_nested(whole.schema_arrow):
        return "nested", whole.metadata.num_rows
    name = _find_name(whole.schema_arrow.names, options)
    if name is None:
        return "whole", None
    runs = _find_runs(whole.read(columns=[name])[name])
    return "long", len(runs)


def _find_name(header: Sequence[str], options: ReadOptions) -> str | None:
    """The column that names the object of a row."""
    if options.names == "file":
        return None
    asked = [column for column, role in options.columns if role == "name"]
    return next(
        (name for name in (*asked, *header) if name in asked or name.lower() in NAMES), None
    )


def _find_runs(column: Any) -> np.ndarray:
    """First rows of runs of one name."""
    array = as_array(column)
    if array.dtype.kind == "O":
        array = to_text(array)
    return np.flatnonzero(np.concatenate([[True], array[1:] != array[:-1]]))


def _iter_files(chunks: LightCurveChunks) -> Iterator[LightCurves]:
    frame = find_first_frame(chunks.files, chunks.options)
    for start in range(0, len(chunks.files), chunks.chunk_size):
        files = chunks.files[start : start + chunks.chunk_size]
        yield read_collection(files, chunks.options, frame=frame)


def _iter_whole(chunks: LightCurveChunks) -> Iterator[LightCurves]:
    curves = read_collection(chunks.files, chunks.options, strict=True)
    for start in range(0, len(curves), chunks.chunk_size):
        yield curves[start : start + chunks.chunk_size]


def _iter_nested(chunks: LightCurveChunks) -> Iterator[LightCurves]:
    """So many rows at a time, whatever the groups on disk."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = chunks.files[0]
    whole = pq.ParquetFile(file, page_checksum_verification=True)
    column, frame = find_nested(whole.schema_arrow), None
    ready: list[Any] = []
    for batch in _and_end(whole.iter_batches(batch_size=chunks.chunk_size)):
        if batch is not None:
            ready.append(batch)
        while ready and (batch is None or sum(len(part) for part in ready) >= chunks.chunk_size):
            table = pa.Table.from_batches(ready, schema=whole.schema_arrow).combine_chunks()
            ready = table.slice(chunks.chunk_size).to_batches()
            table = table.slice(0, chunks.chunk_size)
            if own := read_own(table, where=file.name):
                yield own
                continue
            steps = steps_from_nested(
                table, column or "", chunks.options, where=file.name, stem=file.stem
            )
            frame = frame or find_frame(steps, chunks.options)
            yield join_steps([convert_steps(steps, frame)], frame)


def _and_end(batches: Iterable[Any]) -> Iterator[Any]:
    yield from batches
    yield None


def _iter_long(chunks: LightCurveChunks) -> Iterator[LightCurves]:
    """Rows of whole objects, which must lie together; only those of a chunk are in memory."""
    import pyarrow as pa

    file = chunks.files[0]
    frame: Frame | None = None
    seen: set[Any] = set()
    rest: Any = None
    for batch in _and_end(_open_long(file)):
        if batch is not None:
            check_header(batch.schema.names, where=file.name)
            table = pa.Table.from_batches([batch])
            rest = table if rest is None else pa.concat_tables([rest, table])
        name = _find_name(rest.column_names, chunks.options) or ""
        runs = _find_runs(rest[name])
        while len(runs) > chunks.chunk_size or (batch is None and len(runs)):
            n = runs[chunks.chunk_size] if len(runs) > chunks.chunk_size else len(rest)
            steps = _read_rows(rest.slice(0, n), file, chunks.options)
            _check_together(seen, as_array(rest[name])[runs[: chunks.chunk_size]], file)
            frame = frame or find_frame(steps, chunks.options)
            yield join_steps([convert_steps(steps, frame)], frame)
            rest = rest.slice(n)
            runs = runs[chunks.chunk_size :] - n


def _open_long(file: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    with file.open("rb") as stream:
        is_parquet = stream.read(4) == b"PAR1"
    try:
        if is_parquet:
            yield from pq.ParquetFile(file).iter_batches()
        else:
            options = pc.ReadOptions(block_size=BLOCK, use_threads=False)
            yield from pc.open_csv(file, read_options=options)
    except pa.ArrowException as error:
        raise ValueError(f"{file.name} must be a whole table: {error}") from error


def _read_rows(table: Any, file: Path, options: ReadOptions) -> FileSteps:
    columns = dict(zip(table.column_names, table.columns, strict=True))
    return steps_from_columns(columns, options, stem=file.stem, where=file.name)


def _check_together(seen: set[Any], names: np.ndarray, file: Path) -> None:
    """Raise when the rows of an object do not lie together: its chunk would lack some."""
    rows = Counter(names.tolist())
    if again := sorted(str(name) for name, n in rows.items() if n > 1 or name in seen):
        raise ValueError(
            f"{file.name} must have the rows of each object together, got those of {again[:3]} "
            "apart. Sort it by object, or read it whole with read_lightcurves."
        )
    seen.update(rows)
