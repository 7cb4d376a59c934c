"""What a file of a catalogue is, told by its first bytes, and its plain table."""

from __future__ import annotations

import csv
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.votable.exceptions import VOWarning
from astropy.table import MaskedColumn, Table
from astropy.units import UnitsWarning
from astropy.utils.exceptions import AstropyWarning

from .._validation import check_choice

SEPARATORS = (",", ";", "\t", "|")
MISSING = ("", "nan", "NaN", "NAN", "null", "NULL", "None", "N/A", "n/a", "--", "---", "-")


def read_table(path: Path, *, hdu: int | str | None, on_error: str) -> tuple[Table, str]:
    """Return the table and the name of its format."""
    check_choice("on_error", on_error, ("raise", "mask", "text"))
    if path.is_dir():
        return _read_hats(path), "hats"
    with path.open("rb") as file:
        head = file.read(2048)
    kind = _recognise(head)
    if kind == "text":
        return _read_text(path, on_error), "text"
    readers = {"fits": _read_fits, "votable": _read_votable, "ecsv": _read_ecsv,
               "parquet": _read_parquet}  # fmt: skip
    try:
        with warnings.catch_warnings():
            # what these say of units and identifiers is checked or harmless here
            for category in (UnitsWarning, VOWarning, AstropyWarning):
                warnings.simplefilter("ignore", category)
            table = readers[kind](path, hdu)
    except (ValueError, OSError, TypeError, EOFError, IndexError, KeyError) as error:
        text = " ".join(str(error).split())[:300]
        raise ValueError(f"{path.name} must be a whole {kind} table: {text}") from error
    _check_names(table.colnames, path)
    return table, kind


def _recognise(head: bytes) -> str:
    if head.startswith((b"SIMPLE  =", b"\x1f\x8b")):
        return "fits"
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.lstrip().startswith(b"# %ECSV"):
        return "ecsv"
    if b"<VOTABLE" in head:
        return "votable"
    return "text"


def _read_fits(path: Path, hdu: int | str | None) -> Table:
    with fits.open(path) as file:
        kinds = (fits.BinTableHDU, fits.TableHDU)
        tables = [number for number, part in enumerate(file) if isinstance(part, kinds)]
        if hdu is None and not tables:
            raise ValueError("it has no extension with a table")
        chosen = tables[0] if hdu is None else hdu
        names = [name.lower() for name in file[chosen].columns.names]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"columns must have different names, got {twice} more than once")
    return Table.read(path, format="fits", hdu=chosen)


def _read_votable(path: Path, hdu: int | str | None) -> Table:
    from astropy.io.votable import parse

    tree = parse(path, verify="ignore")
    found = list(tree.iter_tables())
    source = tree.get_table_by_id(hdu) if isinstance(hdu, str) else found[hdu or 0]
    names = [field.name for field in source.fields]
    _check_names(names, path)
    table = source.to_table(use_names_over_ids=True)
    for field in source.fields:
        if field.ucd:
            table[field.name].info.meta = {**(table[field.name].info.meta or {}), "ucd": field.ucd}
    return table


def _read_ecsv(path: Path, hdu: int | str | None) -> Table:
    # astropy gives the second of two columns of one name another one, and says nothing
    with path.open(encoding="utf-8") as file:
        head = ""
        separator = " "
        for line in file:
            if not line.startswith("#"):
                head = line.strip()
                break
            if line.startswith("# delimiter:") and "," in line:
                separator = ","
    _check_names(next(csv.reader([head], delimiter=separator), []), path)
    return Table.read(path, format="ascii.ecsv")


def _read_parquet(path: Path, hdu: int | str | None) -> Table:
    import pyarrow.parquet as pq

    frame = pq.read_table(path).to_pandas()
    if frame.index.name:
        frame = frame.reset_index()
    return Table.from_pandas(frame)


def _read_hats(path: Path) -> Table:
    import pyarrow

    from .survey import collect_survey, open_survey

    survey = open_survey(path)
    try:
        return collect_survey(survey)
    except (pyarrow.ArrowException, OSError) as error:
        text = " ".join(str(error).split())[:300]
        raise ValueError(f"{path.name} must be a whole hats table: {text}") from error


def _check_names(names: list[str], path: Path) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"{path.name} must have columns of different names, got {twice} more than once. "
            "Rename them in the file."
        )


def _read_text(path: Path, on_error: str) -> Table:
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig") as file:
            head = next((line for line in file if line.strip() and not line.startswith("#")), "")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path.name} must be a table of text, FITS, VOTable or Parquet: {error}."
        ) from error
    if not head.strip():
        raise ValueError(f"{path.name} must have a line of column names, got an empty file.")
    separator = max(SEPARATORS, key=head.count)
    blank = head.count(separator) == 0
    names = head.split() if blank else [n.strip().strip('"') for n in head.split(separator)]
    _check_names([name for name in names if name], path)
    try:
        frame = pd.read_csv(
            path, sep=r"\s+" if blank else separator, comment="#", encoding="utf-8-sig",
            na_values=MISSING, keep_default_na=False, skipinitialspace=True, low_memory=False,
            float_precision="round_trip",
            dtype_backend="numpy_nullable",  # long identifiers stay whole numbers beside gaps
        )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(
            f"{path.name} must have as many values in each row as columns: "
            f"{' '.join(str(error).split())}."
        ) from error
    frame = frame.rename(columns=lambda name: str(name).strip())
    table = Table()
    lost: dict[str, int] = {}
    for name in frame.columns:
        if name.startswith("Unnamed:") and not names[frame.columns.get_loc(name)]:
            continue  # the number of the row, as pandas writes it
        column, n_bad = _read_column(frame[name], name, path, on_error)
        table[name] = column
        if n_bad:
            lost[name] = n_bad
    if lost:
        table.meta["not_numbers"] = lost
    return table


def _read_column(series: Any, name: str, path: Path, on_error: str) -> tuple[MaskedColumn, int]:
    """Give a column of numbers or text; text among numbers is a mistake, masked, or a text."""
    import pandas as pd

    missing = series.isna().to_numpy(bool)
    if series.dtype.kind in "iufb":
        kind: Any = series.dtype
        return MaskedColumn(series.to_numpy(kind.numpy_dtype, na_value=0), mask=missing), 0
    numbers = pd.to_numeric(series, errors="coerce").to_numpy(float, na_value=np.nan)
    bad = np.isnan(numbers) & ~missing
    n_bad, n_good = int(bad.sum()), int((~missing & ~bad).sum())
    if n_good > 9 * n_bad and on_error != "text":  # a column of numbers with a few slips
        if on_error == "raise":
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(
                f"{path.name} must have numbers in column {name!r}, got "
                f"{str(series.iloc[row])!r} in row {row + 1} and {n_bad} such values. "
                "Mend them, mask them with on_error='mask', or keep the column as text with "
                "on_error='text'."
            )
        return MaskedColumn(numbers, mask=bad | missing), n_bad
    return MaskedColumn(series.fillna("").to_numpy(str), mask=missing), 0
