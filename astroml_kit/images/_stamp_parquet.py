"""Stamps in Parquet files and HATS catalogues, one row each, read partition by partition."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .._validation import check_columns
from ._stamp_wcs import StampWCS
from ._table_columns import join_table, keep_plain, split_table
from .stamps import Stamps

META = b"astroml_kit.stamps"
ROW_GROUP_BYTES = 2**25
IMAGE_NAMES = ("image", "images", "stamp", "cutout", "flux", "array")
INNER_NAMES = ("bytes", "flux", "array", "image")
PLANES = ("image", "mask", "uncertainty")
WCS_PREFIX = "wcs_"
PROPERTIES = ("collection.properties", "hats.properties", "properties")


def write_parquet(batches: Iterable[Stamps], path: Path) -> None:
    """Write stamps batch by batch; pixels as lists of fixed length, their shape as metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer, shape = None, None
    try:
        for batch in batches:
            table, row_bytes = _to_arrow(batch)
            if writer is None:
                shape = batch.images.shape[1:]
                # masks and errors may first come in a later batch
                writer = pq.ParquetWriter(path, table.schema, write_page_checksum=True)
            elif batch.images.shape[1:] != shape:
                raise ValueError(
                    f"stamps must be of one size in a file, got {shape} and "
                    f"{batch.images.shape[1:]}. Write another file."
                )
            try:
                table = table.select(writer.schema.names).cast(writer.schema)
            except (pa.ArrowInvalid, KeyError, ValueError) as error:
                raise ValueError(
                    f"stamps must have the same columns in every batch: {error}. "
                    "Make them alike before they are written."
                ) from error
            writer.write_table(table, row_group_size=max(1, ROW_GROUP_BYTES // row_bytes))
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise ValueError("stamps must be of one batch at least, got none. Nothing was written.")


def _to_arrow(stamps: Stamps) -> tuple[Any, int]:
    import pyarrow as pa

    columns, notes = split_table(stamps.table)
    arrays = {
        name: pa.array(np.ma.getdata(column), mask=np.ma.getmaskarray(column))
        for name, column in columns.items()
    }
    length = int(np.prod(stamps.images.shape[1:]))
    planes = {"image": stamps.images, "mask": stamps.mask, "uncertainty": stamps.uncertainty}
    for name, pixels in planes.items():
        if pixels is not None:
            flat = pa.array(np.ascontiguousarray(pixels).reshape(-1))
            arrays[name] = pa.FixedSizeListArray.from_arrays(flat, length)
    if stamps.wcs is not None:
        arrays |= _pack_wcs(StampWCS.from_sequence(stamps.wcs, stamps.images.shape[-1]))
    note = {
        "shape": list(stamps.images.shape[1:]), "bands": list(stamps.bands),
        "unit": None if stamps.unit is None else str(stamps.unit), "columns": notes,
        "meta": keep_plain(stamps.meta),
    }  # fmt: skip
    table = pa.table(arrays).replace_schema_metadata({META: json.dumps(note).encode()})
    return table, length * stamps.images.dtype.itemsize


def _pack_wcs(wcs: StampWCS) -> dict[str, Any]:
    import pyarrow as pa

    headers = [parent.to_header_string(relax=True) for parent in wcs.parents]
    parent = pa.array(wcs.parent, mask=wcs.parent < 0, type=pa.int32())
    packed = {
        "header": pa.DictionaryArray.from_arrays(parent, pa.array(headers, pa.string())),
        "column": pa.array(wcs.origin[:, 0]), "row": pa.array(wcs.origin[:, 1]),
        "flip": pa.array(wcs.flip),
    }  # fmt: skip
    if wcs.center is not None and wcs.matrix is not None:
        own = np.concatenate([wcs.center, wcs.matrix.reshape(-1, 4)], axis=1)
        packed["own"] = pa.FixedSizeListArray.from_arrays(pa.array(own.reshape(-1)), 6)
    return {WCS_PREFIX + name: array for name, array in packed.items()}


def _unpack_wcs(batch: Any, side: int) -> StampWCS:
    column = batch.column(f"{WCS_PREFIX}header")
    if not hasattr(column, "indices"):
        column = column.dictionary_encode()
    parent = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(int)
    packed = {
        "headers": np.array(column.dictionary.to_pylist(), dtype=str), "parent": parent,
        "origin": np.stack([batch.column(WCS_PREFIX + name).to_numpy(zero_copy_only=False)
                            for name in ("column", "row")], axis=1),
        "flip": batch.column(f"{WCS_PREFIX}flip").to_numpy(zero_copy_only=False),
        "side": np.array(side),
    }  # fmt: skip
    if f"{WCS_PREFIX}own" in batch.schema.names:
        own = batch.column(f"{WCS_PREFIX}own").flatten().to_numpy(zero_copy_only=False)
        own = own.reshape(-1, 6)
        packed |= {"center": own[:, :2], "matrix": own[:, 2:].reshape(-1, 2, 2)}
    return StampWCS.from_arrays(packed)


class ParquetFiles:
    """Parquet files of stamps: one, those of a folder, or the partitions of a HATS catalogue."""

    def __init__(self, path: Path, image_column: str | None, shape: tuple[int, int] | None) -> None:
        self.path, self.image_column, self.shape = path, image_column, shape
        self.properties: dict[str, str] = {}
        self.files = [path] if path.is_file() else self._find_files(path)
        self.n = sum(self._open(file).metadata.num_rows for file in self.files)

    def _find_files(self, path: Path) -> list[Path]:
        for name in PROPERTIES:
            if (path / name).is_file():
                self.properties = _read_properties(path / name) | self.properties
        primary = self.properties.get("hats_primary_table_url")
        if primary and not (path / "dataset").is_dir():
            # a collection: the margin beside the catalogue repeats its rows
            inner = (path / primary).resolve()
            if path.resolve() not in inner.parents or not inner.is_dir():
                raise ValueError(
                    f"{path.name} must hold its catalogue, got hats_primary_table_url={primary!r}."
                )
            return self._find_files(inner)
        found = [file for file in path.rglob("*.parquet") if not file.name.startswith(("_", "."))]
        if self.properties:  # beside the partitions a catalogue has a thumbnail of their rows
            found = [file for file in found if "Norder=" in file.relative_to(path).as_posix()]
        return sorted(found, key=lambda file: _split_digits(file.relative_to(path).as_posix()))

    def _open(self, file: Path) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.ParquetFile(file, page_checksum_verification=True)
        except (pa.ArrowInvalid, OSError) as error:
            raise self._damaged(file, error) from error

    def iter_batches(self, batch_size: int) -> Iterator[tuple[Any, dict[str, Any], Path]]:
        """Arrow batches, what their file says of them, and the file."""
        import pyarrow as pa

        for file in self.files:
            opened = self._open(file)
            note = json.loads((opened.schema_arrow.metadata or {}).get(META, b"{}"))
            try:
                for batch in opened.iter_batches(batch_size):
                    if len(batch):
                        yield batch, note, file
            except (pa.ArrowInvalid, OSError) as error:
                raise self._damaged(file, error) from error

    def choose_column(self, names: list[str]) -> str:
        """Name of the column with the pixels."""
        if self.image_column is not None:
            check_columns(names, [self.image_column], where=self.path.name)
            return self.image_column
        for name in IMAGE_NAMES:
            if name in names:
                return name
        raise ValueError(
            f"{self.path.name} must have a column of images, got {names}. "
            "Name it with image_column=..."
        )

    def make_stamps(self, batch: Any, note: dict[str, Any], file: Path) -> Stamps:
        """Stamps of a batch whose pixels are lists of numbers."""
        chosen = self.choose_column(batch.schema.names)
        column = batch.column(chosen)
        inner = find_inner(column)
        planes = {"image": column, "mask": None, "uncertainty": None}
        used = {chosen}
        if inner is not None:
            planes = {"image": column.field(inner)} | {
                name: column.field(name) for name in PLANES[1:] if _has_field(column, name)
            }
        elif note:
            planes |= {name: batch.column(name) for name in PLANES[1:]
                       if name in batch.schema.names}  # fmt: skip
            used |= set(PLANES)
        if inner is not None and _has_field(column, "ivar"):
            planes["ivar"] = column.field("ivar")
        shape = tuple(note["shape"]) if note else None
        pixels = {name: self._to_planes(array, shape) for name, array in planes.items()
                  if array is not None}  # fmt: skip
        if "ivar" in pixels:
            known = pixels["ivar"] > 0
            sigma = 1 / np.sqrt(np.where(known, pixels["ivar"], np.nan))
            pixels["uncertainty"] = sigma
            pixels["mask"] = pixels.get("mask", False) | ~known
        wcs = None
        if f"{WCS_PREFIX}header" in batch.schema.names and note:
            wcs = _unpack_wcs(batch, pixels["image"].shape[-1])
        used |= {name for name in batch.schema.names if wcs is not None
                 and name.startswith(WCS_PREFIX)}  # fmt: skip
        table = self.make_table(batch, note, used, file)
        bands = tuple(note.get("bands", ()))
        if inner is not None and _has_field(column, "band") and len(column):
            names = column.field("band")[0].as_py()
            bands = tuple(names) if isinstance(names, list) else (str(names),)
        return Stamps(
            pixels["image"], pixels.get("mask"), table, wcs, bands, note.get("unit"),
            pixels.get("uncertainty"), self.describe(note),
        )  # fmt: skip

    def make_table(self, batch: Any, note: dict[str, Any], used: set[str], file: Path) -> Any:
        """Table of all other columns; those of lists and structures stay as Python has them."""
        columns: dict[str, Any] = {}
        for name in batch.schema.names:
            if name not in used:
                columns[name] = _to_numpy(batch.column(name))
        names = {name.lower(): name for name in reversed(list(columns))}
        for usual in ("id", "object_id", "objid", "source_id"):
            if usual in names:
                columns = {"id": columns.pop(names[usual]), **columns}
                break
        else:
            columns = {"id": np.array([f"{file.stem}:{k}" for k in range(len(batch))]), **columns}
        return join_table(columns, note.get("columns", {}))

    def describe(self, note: dict[str, Any]) -> dict[str, Any]:
        """What is kept in ``meta`` of each batch."""
        meta = {"skipped": {}, **note.get("meta", {}), "path": self.path.name,
                "n_partitions": len(self.files)}  # fmt: skip
        return meta | ({"hats": dict(self.properties)} if self.properties else {})

    def _to_planes(self, column: Any, shape: tuple[int, ...] | None) -> np.ndarray:
        """Array (n, n_bands, h, w) of nested or flat lists."""
        sizes, array = [len(column)], column
        if hasattr(array, "storage"):
            shape, array = tuple(array.type.shape), array.storage
        if array.null_count:
            raise ValueError(
                f"{self.path.name} must have an image in every row, got {array.null_count} "
                f"without in {len(array)} rows. Leave them out before."
            )
        while hasattr(array, "flatten") and hasattr(array.type, "value_type"):
            lengths = np.unique(array.value_lengths().to_numpy(zero_copy_only=False))
            if len(lengths) > 1:
                raise ValueError(
                    f"images must be of one size, got lists of {lengths[:4]} in "
                    f"{self.path.name}. Write them in one size."
                )
            sizes.append(int(lengths[0]) if len(lengths) else 0)
            array = array.flatten()
        values = array.to_numpy(zero_copy_only=False)
        if len(sizes) == 2:
            sizes = [sizes[0], *self._lay_out(sizes[1], shape)]
        planes = values.reshape(sizes)
        return planes[:, None] if planes.ndim == 3 else planes

    def _lay_out(self, length: int, shape: tuple[int, ...] | None) -> tuple[int, ...]:
        shape = shape or self.shape
        if shape is None:
            raise ValueError(
                f"{self.path.name} must say the shape of its flat images of {length} pixels. "
                "Give it with shape=(rows, columns)."
            )
        n_bands, rest = divmod(length, int(np.prod(shape)))
        if rest or n_bands == 0:
            raise ValueError(
                f"shape must divide the {length} pixels of an image in {self.path.name}, "
                f"got {shape}."
            )
        return (n_bands, *shape) if len(shape) == 2 else shape

    def _damaged(self, file: Path, error: Exception) -> ValueError:
        return ValueError(
            f"{file.name} must be a whole Parquet file: {' '.join(str(error).split())[:300]}. "
            "Get the file again."
        )


def is_parquet(path: Path) -> bool:
    """Whether a path is a Parquet file or a folder with some."""
    if path.is_dir():
        return next(path.rglob("*.parquet"), None) is not None
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def find_inner(column: Any) -> str | None:
    """Field of a structure that has the pixels."""
    return next((name for name in INNER_NAMES if _has_field(column, name)), None)


def _has_field(column: Any, name: str) -> bool:
    kind = column.type
    return hasattr(column, "field") and kind.get_field_index(name) >= 0


def _to_numpy(column: Any) -> Any:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_nested(kind):
        values = np.empty(len(column), dtype=object)
        values[:] = column.to_pylist()
        return values
    missing = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        values = np.array(column.fill_null("").to_pylist(), dtype=str)
    elif missing.any() and pa.types.is_integer(kind):
        values = column.fill_null(0).to_numpy(zero_copy_only=False)
    elif missing.any() and pa.types.is_boolean(kind):
        values = column.fill_null(False).to_numpy(zero_copy_only=False)
    else:
        values = column.to_numpy(zero_copy_only=False)
    return np.ma.MaskedArray(values, missing) if missing.any() else values


def _read_properties(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _split_digits(name: str) -> list[Any]:
    """Key by which Npix=9 comes before Npix=10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part)
            for part in re.split(r"(\d+)", name) if part]  # fmt: skip
