"""Light curves from tables and folders of tables, and to nested Parquet and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from .._validation import check_columns
from .curves import OFFSETS, LightCurves

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet")
META = b"astroml_kit"
# What a column's name says of the zero point of its time; its scale nobody can guess.
FORMATS = tuple(OFFSETS)
STEPS = ("time", "value", "error", "band", "mask", "limit")


def read_lightcurves(
    path: str | os.PathLike[str],
    *,
    unit: str = "mag",
    time_format: str | None = None,
    time_scale: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> LightCurves:
    r"""Read a long table, a folder of tables, or what `write_lightcurves` wrote.

    Parameters
    ----------
    path : path-like
        A CSV or Parquet file with one row per step and a column that names its object; or a
        folder of such files, one per object, whose names name the objects.
    unit : str
        Of values and errors.
    time_format : {"mjd", "jd", "btjd", "bkjd"}, optional
        Zero point of the times. Only a column named like one of these says it by itself.
    time_scale : {"utc", "tdb", ...}
        Never guessed: barycentric dates of space missions are "tdb", dates of most ground-based
        surveys "utc".
    columns : mapping, optional
        From names in the file to ``name``, ``time``, ``value``, ``error``, ``band``. Known without
        it: obj_id, oid, id; mjd, jd, btjd, bkjd; mag, flux; magerr, mag_err, flux_err; filter.

    Returns
    -------
    LightCurves
        ``objects.meta["skipped"]`` holds the files of a folder that could not be read, with the
        reason: the others are there.

    Raises
    ------
    ValueError
        For columns that are missing, a time whose format or scale is not said, and a folder
        without a readable file.
    OSError
        When the path is not there.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "v1.csv"
    ...     _ = file.write_text("mjd,mag,magerr,band\n58000.5,14.2,0.01,g\n58001.5,nan,0.01,g\n")
    ...     curves = read_lightcurves(folder, time_scale="utc")
    >>> print(curves)
    1 light curves, 2 steps in mag, 1 masked, bands g, time mjd utc
    """
    path = Path(path)
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
        if not files:
            raise ValueError(f"path must be a folder with files of {list(SUFFIXES)}, got {path}.")
    elif path.suffix not in SUFFIXES:
        raise ValueError(f"path must end in one of {list(SUFFIXES)}, got {path.name}.")
    if not path.is_dir() and path.suffix == ".parquet" and (nested := _read_nested(path)):
        return nested
    parts, skipped = [], {}
    for file in files:
        try:
            frame = _read_table(file, columns or {}, time_format)
        except (ValueError, OSError) as error:
            if not path.is_dir():
                raise
            skipped[file.name] = " ".join(str(error).split())
            continue
        if path.is_dir():
            frame["name"] = file.stem
        parts.append(frame)
    if not parts:
        first, reason = next(iter(skipped.items()))
        raise ValueError(f"path must hold readable files, got none: {first}: {reason}")
    curves = _join(parts, unit, time_scale)
    curves.objects.meta["skipped"] = skipped
    return curves


KNOWN = {
    "obj_id": "name", "oid": "name", "id": "name", "object": "name",
    "mag": "value", "flux": "value", "magnitude": "value",
    "magerr": "error", "mag_err": "error", "flux_err": "error", "e_mag": "error",
    "filter": "band", "filtercode": "band",
}  # fmt: skip


def _read_table(file: Path, columns: Mapping[str, str], time_format: str | None) -> pd.DataFrame:
    import pandas as pd

    try:
        frame = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
    except (ValueError, UnicodeError) as error:
        raise ValueError(f"{file.name} must be a whole table: {error}") from error
    check_columns(frame.columns, columns, where=file.name)
    renamed: dict[str, str] = dict(columns)
    for column in frame.columns:
        target = KNOWN.get(str(column).lower(), str(column).lower())
        if target in FORMATS:
            time_format, target = time_format or target, "time"
        taken = {*renamed.values(), *map(str, frame.columns)} - {str(column)}
        if column not in renamed and target not in taken:
            renamed[column] = target
    frame = frame.rename(columns=renamed)
    check_columns(frame.columns, ("time", "value"), where=file.name)
    if time_format is None:
        raise ValueError(
            f"time_format must be one of {list(FORMATS)} for {file.name}, whose column does not "
            "say it, got None. Look it up in the documentation of the data."
        )
    wanted = [name for name in ("name", *STEPS) if name in frame.columns]
    frame = frame[wanted].copy()
    for name in ("time", "value", "error"):
        if name in frame:
            frame[name] = pd.to_numeric(frame[name], errors="raise").astype(float)
    lost = ~np.isfinite(frame["time"])
    if lost.any():
        raise ValueError(
            f"{file.name} must have a time in every row, got {int(lost.sum())} without."
        )
    frame.attrs["time_format"] = time_format
    return frame


def _join(parts: list[pd.DataFrame], unit: str, time_scale: str | None) -> LightCurves:
    import pandas as pd

    formats = {part.attrs["time_format"] for part in parts}
    if len(formats) > 1:
        raise ValueError(f"files must have times of one format, got {sorted(formats)}.")
    if time_scale is None:
        raise ValueError(
            "time_scale must be said, got None: 'tdb' for barycentric dates of space missions, "
            "'utc' for most ground-based surveys."
        )
    optional = [name for name in ("error", "band") if all(name in part for part in parts)]
    frame = pd.concat([part[["time", "value", *optional]] for part in parts], ignore_index=True)
    names = np.concatenate(
        [part["name"] if "name" in part else np.zeros(len(part), dtype=int) for part in parts]
    )
    return LightCurves.from_columns(
        name=names,
        time=frame["time"],
        value=frame["value"],
        unit=unit,
        time_format=formats.pop(),
        time_scale=time_scale,
        **{name: frame[name] for name in optional},
    )


def write_lightcurves(curves: LightCurves, path: str | os.PathLike[str]) -> Path:
    """Write Parquet with one row per object, its steps as lists: the layout of nested-pandas.

    Parameters
    ----------
    curves : LightCurves
    path : path-like
        Ends in ".parquet"; an older file is replaced when the new one is whole.

    Returns
    -------
    Path
        ``path``.
    """
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    if path.suffix != ".parquet":
        raise ValueError(f"path must end in '.parquet', got {path.name}.")
    offsets = pa.array(curves.offsets.astype(np.int32))
    steps = {"time": curves.time, "value": curves.value, "error": curves.error,
             "band": curves.band, "mask": curves.mask, "limit": curves.limit}  # fmt: skip
    nested = {k: pa.ListArray.from_arrays(offsets, pa.array(v)) for k, v in steps.items()
              if v is not None}  # fmt: skip
    inner = pa.StructArray.from_arrays(list(nested.values()), names=list(nested))
    table = pa.table(
        {**{name: np.asarray(curves.objects[name]) for name in curves.objects.colnames},
         "lightcurve": inner}
    )  # fmt: skip
    known = {"unit": curves.unit, "time_format": curves.time_format,
             "time_scale": curves.time_scale, "bands": list(curves.bands)}  # fmt: skip
    table = table.replace_schema_metadata({META: json.dumps(known).encode()})
    partial = path.with_name(path.name + ".part")
    pq.write_table(table, partial)
    partial.replace(path)
    return path


def _read_nested(path: Path) -> LightCurves | None:
    """What `write_lightcurves` wrote; None for other Parquet."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        known = (pq.read_schema(path).metadata or {}).get(META)
        if known is None:
            return None
        table = pq.read_table(path).combine_chunks()
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path.name} must be a whole Parquet file: {error}") from error
    kept = json.loads(known)
    inner = table["lightcurve"].chunk(0) if len(table) else None
    objects = Table({name: table[name].to_numpy(zero_copy_only=False)
                     for name in table.column_names if name != "lightcurve"})  # fmt: skip
    if inner is None:
        raise ValueError(f"{path.name} must hold light curves, got none.")
    parts = {name: inner.field(name) for name in STEPS if inner.type.get_field_index(name) >= 0}
    flat = {name: part.flatten().to_numpy(zero_copy_only=False) for name, part in parts.items()}
    offsets = parts["time"].offsets.to_numpy()
    return LightCurves(
        flat["time"], flat["value"], flat.get("error"), flat.get("band"), flat["mask"],
        offsets - offsets[0], objects, kept["unit"], kept["time_format"], kept["time_scale"],
        tuple(kept["bands"]), flat.get("limit"),
    )  # fmt: skip
