"""Parquet with one row per object, its steps as lists: the layout of nested-pandas."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from ..._validation import check_choice, check_columns
from ..curves import OFFSETS, LightCurves
from .columns import NAMES, as_array, check_header, steps_from_columns, to_text
from .steps import FileSteps, ReadOptions

META = b"astroml_kit"
STEPS = ("time", "value", "error", "band", "mask", "limit")
# Objects whose rows lie together on disk; so many are in memory when chunks are read.
ROW_GROUP = 1000
# Stands for the name of an object while its steps are looked at: the number of its row.
ROW = "row of the object"


def write_nested(curves: LightCurves, path: Path) -> Path:
    """Write light curves; an older file is replaced when the new one is whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix != ".parquet":
        raise ValueError(f"path must end in '.parquet', got {path.name}.")
    offsets = pa.array(curves.offsets.astype(np.int64))
    steps = {name: getattr(curves, name) for name in STEPS}
    if curves.band is not None:  # as words, so that others can read them
        steps["band"] = np.array(curves.bands)[curves.band]
    nested = {
        name: pa.LargeListArray.from_arrays(offsets, pa.array(column)).cast(
            pa.list_(pa.array(column[:1]).type)
        )
        for name, column in steps.items()
        if column is not None
    }
    inner = pa.StructArray.from_arrays(list(nested.values()), names=list(nested))
    objects = {name: _to_column(curves.objects[name]) for name in curves.objects.colnames}
    kept = {
        "unit": curves.unit, "time_format": curves.time_format, "time_scale": curves.time_scale,
        "bands": list(curves.bands), "meta": _keep_plain(curves.objects.meta),
    }  # fmt: skip
    table = pa.table({**objects, "lightcurve": inner})
    table = table.replace_schema_metadata({META: json.dumps(kept).encode()})
    partial = path.with_name(path.name + ".part")
    pq.write_table(table, partial, row_group_size=ROW_GROUP, write_page_checksum=True)
    partial.replace(path)
    return path


def _to_column(column: Any) -> Any:
    array = as_array(column)
    return array.tolist() if array.dtype.kind == "O" else array


def _keep_plain(meta: Any) -> dict[str, Any]:
    """What JSON can hold of a table's meta."""
    kept = {}
    for key, value in dict(meta).items():
        try:
            kept[str(key)] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            kept[str(key)] = str(value)
    return kept


def open_parquet(source: Any, *, where: str) -> Any:
    """Read a whole table; where the file has sums of its pages they are checked.

    Raises
    ------
    ValueError
        When the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(source, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{where} must be a whole Parquet file: {error}") from error


def find_nested(schema: Any) -> str | None:
    """Name of the column that holds the steps of each object; None for a table of steps."""
    import pyarrow.types as pt

    for field in schema:
        kind = field.type
        if pt.is_struct(kind) and kind.num_fields and all(_is_list(part.type) for part in kind):
            return field.name
        if _is_list(kind) and pt.is_struct(kind.value_type):
            return field.name
    lists = [field.name for field in schema if _is_list(field.type)]
    return lists[0] if len(lists) > 1 else None


def _is_list(kind: Any) -> bool:
    import pyarrow.types as pt

    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind))


def read_own(table: Any, *, where: str) -> LightCurves | None:
    """What `write_nested` wrote, as it was; None for Parquet of others."""
    kept = (table.schema.metadata or {}).get(META)
    if kept is None:
        return None
    try:
        known = json.loads(kept)
        frame = known["unit"], known["time_format"], known["time_scale"]
        bands = tuple(known["bands"])
        check_choice("time_format", known["time_format"], OFFSETS)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{where} must say its unit, time and bands: {error}") from error
    if not len(table):
        raise ValueError(f"{where} must hold light curves, got none.")
    check_columns(table.column_names, ("name", "lightcurve"), where=where)
    if find_nested(table.schema) != "lightcurve":
        raise ValueError(f"{where} must have lists of steps in its column lightcurve.")
    parts, offsets = _flatten(table, "lightcurve", where=where)
    flat = {name: as_array(part) for name, part in parts.items()}
    check_columns(flat, ("time", "value", "mask"), where=where)
    band = flat.get("band")
    if band is not None and band.dtype.kind == "O":
        order = {name: number for number, name in enumerate(bands)}
        if unknown := sorted(set(map(str, band)) - set(order)):
            raise ValueError(f"band must be one of {list(order)} in {where}, got {unknown}.")
        band = np.array([order[name] for name in band], dtype=np.int16)
    names = [name for name in table.column_names if name != "lightcurve"]
    objects = Table({name: _tidy(table[name].to_numpy()) for name in names})
    objects.meta.update(known.get("meta", {}))
    return LightCurves(
        flat["time"], flat["value"], flat.get("error"), band, flat["mask"], offsets, objects,
        *frame, bands, flat.get("limit"),
    )  # fmt: skip


def _tidy(array: np.ndarray) -> np.ndarray:
    """Text as NumPy's text; other objects stay what they are."""
    if array.dtype.kind == "O" and all(isinstance(item, str | bytes) for item in array):
        return to_text(array)
    return array


def _flatten(table: Any, column: str, *, where: str) -> tuple[dict[str, Any], np.ndarray]:
    """All steps of all objects by column, and where each object begins."""
    import pyarrow.compute as pc
    import pyarrow.types as pt

    inner = table[column].combine_chunks()
    if inner.null_count:
        raise ValueError(f"{where} must have steps in every row, got {inner.null_count} without.")
    if pt.is_struct(inner.type):
        lists = dict(zip((field.name for field in inner.type), inner.flatten(), strict=True))
    elif pt.is_struct(inner.type.value_type):
        flat = inner.flatten()
        offsets = np.concatenate([[0], as_array(inner.value_lengths()).cumsum()])
        names = [field.name for field in inner.type.value_type]
        return dict(zip(names, flat.flatten(), strict=True)), offsets
    else:
        lists = {
            field.name: table[field.name].combine_chunks()
            for field in table.schema
            if _is_list(field.type)
        }
    lengths = {name: as_array(pc.list_value_length(part)) for name, part in lists.items()}
    n = next(iter(lengths.values()))
    if bad := [name for name, other in lengths.items() if not np.array_equal(other, n)]:
        raise ValueError(f"{where} must have lists of one length in a row, got others in {bad}.")
    offsets = np.concatenate([[0], np.cumsum(n, dtype=np.int64)])
    return {name: part.flatten() for name, part in lists.items()}, offsets


def steps_from_nested(
    table: Any, column: str, options: ReadOptions, *, where: str, stem: str
) -> FileSteps:
    """Read nested Parquet that others wrote: the names of its columns say what they are."""
    if not len(table):
        raise ValueError(f"{where} must hold light curves, got none.")
    parts, offsets = _flatten(table, column, where=where)
    single = [
        field.name for field in table.schema if field.name != column and not _is_list(field.type)
    ]
    check_header([*single, *parts], where=where)
    outer = {name: _tidy(as_array(table[name])) for name in single}
    named = next((name for name, role in options.columns if role == "name" and name in outer), None)
    named = named or next((name for name in outer if name.lower() in NAMES), None)
    if named is None:
        raise ValueError(
            f"{where} must have a column that names its objects, got {list(outer)}. Say which "
            "with columns={'...': 'name'}."
        )
    inner = replace(options, columns=tuple(pair for pair in options.columns if pair[0] != named))
    row = np.repeat(np.arange(len(table)), np.diff(offsets))
    steps = steps_from_columns(
        {**parts, ROW: row}, inner, stem=stem, where=where, reader="nested", name=ROW
    )
    kept = steps.names
    steps.names = outer.pop(named)[kept]
    steps.known = {name: part[kept] for name, part in outer.items()}
    return steps
