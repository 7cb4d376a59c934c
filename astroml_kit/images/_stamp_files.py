"""What a path of stamps is, and its stamps in batches."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from astropy.table import QTable, Table, hstack

from ._joining import attach_labels, join_stamps
from ._labels import match_labels, read_labels
from ._members import Members
from ._stamp_arrays import ArrayFile, is_arrays
from ._stamp_batch import Batch, ReadOptions, adapt_stamps, read_member
from ._stamp_parquet import ParquetFiles, find_inner, is_parquet
from .stamps import Stamps

AT_ONCE = 1000  # stamps in memory twice while a whole file of arrays is read


class StampSource:
    """A collection of stamps, looked at but not read yet."""

    def __init__(
        self, path: Path, options: ReadOptions, *, labels: Any = None,
        id_column: str | None = None, label_column: str | None = None,
        image_column: str | None = None,
    ) -> None:  # fmt: skip
        if not path.exists():
            raise FileNotFoundError(f"path must be a folder or file that is there, got {path}.")
        self.path, self.options = path, options
        self.by_folder = isinstance(labels, str) and labels == "folder"
        self.labels: Table | None = None
        if labels is not None and not self.by_folder:
            self.labels = read_labels(labels, id_column=id_column, label_column=label_column)
        self.files: Members | ArrayFile | ParquetFiles
        if is_parquet(path):
            self.files = ParquetFiles(path, image_column, options.shape)
        elif path.is_file() and is_arrays(path):
            self.files = ArrayFile(path)
        elif path.is_dir() or zipfile.is_zipfile(path):
            self.files = Members(path)
        else:
            raise ValueError(
                f"{path.name} must be a folder or zip of images, NPZ or Parquet, got "
                f"{_read_head(path)!r} at its beginning. Use read_image for a single image."
            )
        if self.by_folder and not isinstance(self.files, Members):
            raise ValueError(f"labels must not be 'folder' for {path.name}, which has no folders.")

    def read(self) -> Stamps:
        """All stamps as one stack."""
        if isinstance(self.files, Members):
            (stamps,) = self._iter_members(self.files, len(self.files.members))
            return stamps
        stamps = join_stamps(self._iter_arrays(AT_ONCE), self.files.n)
        return stamps if self.labels is None else attach_labels(stamps, self.labels)

    def iter(self, batch_size: int) -> Iterator[Stamps]:
        """Stamps in batches of so many."""
        if isinstance(self.files, Members):
            yield from self._iter_members(self.files, batch_size)
            return
        for stamps in self._iter_arrays(batch_size):
            yield stamps if self.labels is None else attach_labels(stamps, self.labels)

    def _iter_arrays(self, batch_size: int) -> Iterator[Stamps]:
        if isinstance(self.files, ArrayFile):
            for stamps in self.files.iter_batches(batch_size):
                yield adapt_stamps(stamps, self.options)
            return
        assert isinstance(self.files, ParquetFiles)  # all there is besides
        found = False
        for batch, note, file in self.files.iter_batches(batch_size):
            found = True
            chosen = self.files.choose_column(batch.schema.names)
            packed = _find_packed(batch.column(chosen))
            if packed is None:
                yield adapt_stamps(self.files.make_stamps(batch, note, file), self.options)
            else:
                yield self._unpack_pictures(packed, batch, note, file, chosen)
        if not found:
            raise ValueError(f"{self.path.name} must have stamps, got no rows.")

    def _unpack_pictures(
        self, packed: list[bytes | None], batch: Any, note: Any, file: Path, chosen: str
    ) -> Stamps:
        """Stamps of a column of PNG, JPEG or FITS files."""
        assert isinstance(self.files, ParquetFiles)  # the caller knows
        table = self.files.make_table(batch, note, {chosen}, file)
        stack = Batch(len(packed), self.options)
        for row, content in enumerate(packed):
            self._add(stack, row, f"row {table['id'][row]}", content or b"", file.name)
        stamps = stack.finish(table, self.files.describe(note), file.name)
        self._warn(stack)
        return stamps

    def _iter_members(self, files: Members, batch_size: int) -> Iterator[Stamps]:
        rows, meta = self._lay_out(files)
        with files.open() as reader:
            for start in range(0, len(files.members), batch_size):
                stack = Batch(min(batch_size, len(files.members) - start), self.options)
                for row in range(start, start + stack.n):
                    member = files.members[row]
                    try:
                        content: bytes | ValueError = reader.read(member)
                    except ValueError as error:
                        content = error
                    self._add(stack, row, member.name, content, self.path.name)
                stamps = stack.finish(rows, meta, self.path.name)
                self._warn(stack)
                yield stamps

    def _add(
        self, stack: Batch, row: int, name: str, content: bytes | ValueError, where: str
    ) -> None:
        full = f"{name} in {where}"
        try:
            if isinstance(content, ValueError):
                raise content
            planes = read_member(content, self.options, full)
        except ValueError as error:
            text = str(error).rstrip(".")
            if self.options.skip:
                stack.skipped[name] = text.removeprefix(full).strip()
                return
            if not text.startswith(full):
                text = f"{full} must be a whole image: {text}"
            raise ValueError(f"{text}. Leave such images out with bad='skip'.") from error
        stack.add(row, name, planes)

    def _lay_out(self, files: Members) -> tuple[QTable, dict[str, Any]]:
        """Table of all members with their labels, before any pixel is read."""
        ids = [member.id for member in files.members]
        rows = QTable({"id": ids, "source": [member.name for member in files.members]})
        meta: dict[str, Any] = {"path": self.path.name, "not_images": files.n_others}
        if self.by_folder:
            rows["label"] = [member.folder for member in files.members]
        elif self.labels is not None:
            extra, counts = match_labels(ids, self.labels)
            meta |= counts
            rows = QTable(hstack([rows, extra])) if extra.colnames else rows
        return rows, meta

    def _warn(self, stack: Batch) -> None:
        if stack.skipped:
            warnings.warn(
                f"{self.path.name}: {len(stack.skipped)} of {stack.n} images left out, the first "
                f"{next(iter(stack.skipped))}; meta['skipped'] has them all.",
                stacklevel=2,
            )


def _find_packed(column: Any) -> list[bytes | None] | None:
    """Files in a column of bytes, or of structures with a field of bytes."""
    import pyarrow as pa

    if find_inner(column) == "bytes":
        column = column.field("bytes")
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return None
    packed: list[bytes | None] = column.to_pylist()
    return packed


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)
