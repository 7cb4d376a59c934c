"""Our own event files, Parquet and HDF5, and Parquet tables of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from astropy.table import QTable
from astropy.time import Time

from ._hdf5 import get_dataset, open_hdf5, read_text
from ._plain import KEY, Arrays, join_table, read_spec, split_table
from ._schema import EventFileError, RawEvents

PARQUET, HDF5 = "parquet", "hdf5"
PARQUET_MAGIC = b"PAR1"
GROUP = "events"
ROWS_PER_CHUNK = 1 << 16


def _as_raw(table: QTable, format: str, source: str) -> RawEvents:
    columns = {name: table[name] for name in table.colnames}
    return RawEvents(columns, {**table.meta, "format": format, "source": source})


def write_parquet(table: QTable, path: Path) -> None:
    """Write a table as Parquet; the description goes into the schema's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays, spec = split_table(table)
    columns = {name: _to_arrow(array) for name, array in arrays.items()}
    shapes = {name: list(array.shape[1:]) for name, array in arrays.items() if array.ndim > 1}
    metadata = {KEY: spec, f"{KEY}.shapes": str(shapes)}
    stored = pa.table(columns).replace_schema_metadata(metadata)
    pq.write_table(stored, path, write_page_checksum=True, row_group_size=ROWS_PER_CHUNK)


def _to_arrow(array: np.ndarray) -> Any:
    import pyarrow as pa

    mask = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
    data = np.ma.getdata(array)
    if data.ndim > 1:
        if mask is not None and mask.any():
            raise ValueError("array columns must not be masked in Parquet. Write HDF5 instead.")
        flat = pa.array(np.ascontiguousarray(data).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(data.shape[1:])))
    if data.dtype.kind == "S":
        data = np.char.decode(data, "latin-1")
    return pa.array(data, mask=mask, from_pandas=False)


def iter_parquet(path: Path, *, chunk_size: int | None = None) -> Iterator[RawEvents]:
    """Yield the events, ``chunk_size`` rows at a time (all at once when None)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        metadata = file.schema_arrow.metadata or {}
        spec = metadata.get(KEY.encode())
        total = file.metadata.num_rows
        if chunk_size is None or total == 0:
            parts: Any = [file.read()]
        else:
            parts = (pa.Table.from_batches([batch])
                     for batch in file.iter_batches(batch_size=chunk_size))  # fmt: skip
        for part in parts:
            arrays, skipped = {}, []
            for name in part.column_names:
                array = _from_arrow(part.column(name))
                if array is None:
                    skipped.append(name)
                else:
                    arrays[name] = array
            if spec is not None:
                table = join_table(arrays, spec.decode(), where=path.name)
                yield _as_raw(table, PARQUET, path.name)
            else:
                meta: dict[str, Any] = {"format": PARQUET, "source": path.name}
                if skipped:
                    meta["skipped_columns"] = skipped
                columns = {name: _to_time(array) for name, array in arrays.items()}
                yield RawEvents(columns, meta, assume_units=True)


def _from_arrow(column: Any) -> np.ndarray | None:
    """Arrow column -> array, masked where there are nulls; None for kinds without an array."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(-1, kind.list_size)
    mask = column.is_null().to_numpy() if column.null_count else None
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        array = np.array(["" if v is None else str(v) for v in column.to_pylist()], dtype=str)
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        array = (column.fill_null(0) if mask is not None else column).to_numpy()
    elif pa.types.is_floating(kind) or pa.types.is_timestamp(kind):
        array = column.to_numpy()
    else:
        return None
    return array if mask is None else np.ma.array(array, mask=mask)


def _to_time(array: np.ndarray) -> Any:
    """Timestamps of other people's tables become times; Parquet's timestamps are UTC."""
    if array.dtype.kind != "M":
        return array
    mask = np.ma.getmaskarray(array) | np.isnat(np.ma.getdata(array))
    filled = np.where(mask, np.datetime64("2000-01-01"), np.ma.getdata(array))
    time = Time(filled, format="datetime64", scale="utc")
    if mask.any():
        time[mask] = np.ma.masked
    return time


def write_hdf5(table: QTable, path: Path) -> None:
    """Write a table as HDF5, one compressed and checksummed dataset per column."""
    arrays, spec = split_table(table)
    # From this version of the format on, HDF5 checksums its own structure too.
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        file.attrs[KEY] = np.bytes_(spec.encode())
        group = file.create_group(GROUP)
        for name, array in arrays.items():
            _write_dataset(group, name, np.ma.getdata(array))
            if isinstance(array, np.ma.MaskedArray):
                _write_dataset(group, f"{name}.mask", np.ma.getmaskarray(array))


def _write_dataset(group: h5py.Group, name: str, data: np.ndarray) -> None:
    kind: Any = None
    if data.dtype.kind in "SU":
        data = np.char.encode(data, "utf-8") if data.dtype.kind == "U" else data
    chunks = (min(len(data), ROWS_PER_CHUNK), *data.shape[1:]) if len(data) else None
    options: dict[str, Any] = {}
    if chunks is not None and 0 not in data.shape and data.dtype.itemsize:
        options = {"chunks": chunks, "compression": "gzip", "shuffle": True, "fletcher32": True}
    group.create_dataset(name, data=data, dtype=kind, **options)


def iter_hdf5(path: Path, *, chunk_size: int | None = None) -> Iterator[RawEvents]:
    """Yield the events, ``chunk_size`` rows at a time (all at once when None)."""
    with open_hdf5(path) as file:
        spec = read_text(file.attrs[KEY])
        entries = read_spec(spec, where=path.name)["columns"]
        suffixes = {True: (".jd1", ".jd2"), False: ("",)}
        names = [entry["name"] + end for entry in entries for end in suffixes["time" in entry]]
        datasets = {name: get_dataset(file, f"{GROUP}/{name}") for name in names}
        masks = {
            name: get_dataset(file, f"{GROUP}/{name}.mask")
            for name in names
            if f"{name}.mask" in file[GROUP]
        }
        lengths = {d.shape[0] for d in (*datasets.values(), *masks.values())}
        if len(lengths) > 1:
            raise EventFileError(
                f"{path.name}: its columns must have one length, got {sorted(lengths)}. "
                "The file is damaged: fetch it again."
            )
        total = lengths.pop() if lengths else 0
        step = chunk_size or max(total, 1)
        for start in range(0, max(total, 1), step):
            rows = slice(start, start + step)
            arrays: Arrays = {}
            for name, dataset in datasets.items():
                array = dataset[rows]
                if array.dtype.kind == "S":
                    array = np.char.decode(array, "utf-8")
                arrays[name] = (
                    np.ma.array(array, mask=masks[name][rows]) if name in masks else array
                )
            yield _as_raw(join_table(arrays, spec, where=path.name), HDF5, path.name)
