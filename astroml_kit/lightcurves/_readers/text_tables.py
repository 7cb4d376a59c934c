"""Tables as text, whatever stands between their columns: CSV, OGLE's columns, ASAS-3's comments."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .columns import check_header, steps_from_columns, to_numbers
from .steps import FileSteps, ReadOptions

# Positions of the columns of a table without a header: OGLE, AGN Watch, lists of (time, flux).
POSITIONS = {2: ("time", "value"), 3: ("time", "value", "error")}
NULLS = ["", "-", "--", "nan", "NaN", "NAN", "null", "NULL", "None", "N/A", "n/a"]
# ASAS-3 writes this where it measured nothing; its grade D is "probably useless".
# Pojmanski (2002), Acta Astronomica 52, 397, and the head of each file.
ASAS_UNMEASURED = 29.0
ASAS_HEADER = re.compile(rb"(?m)^#\s+HJD\s+MAG_\d.*GRADE")


def read_text_table(file: Path, data: bytes, options: ReadOptions) -> FileSteps:
    """Read columns separated by commas, semicolons, tabs, bars or blanks, with a header or not."""
    columns = parse_text(data, where=file.name)
    roles = None
    if all(name.startswith("col") for name in columns) and not options.columns:
        roles = dict(zip(POSITIONS.get(len(columns), ()), columns, strict=False))
    return steps_from_columns(columns, options, stem=file.stem, where=file.name, roles=roles)


def parse_text(data: bytes, *, where: str) -> Mapping[str, Any]:
    """Columns of a text table by name: "col1", "col2" and so on where it has no header.

    Raises
    ------
    ValueError
        For a table that is empty, ragged, or has a column twice.
    """
    import pyarrow as pa
    import pyarrow.csv as pc

    header, separator, body = split_header(data, where=where)
    if separator == " ":
        body = re.sub(rb"[ \t]+", b",", re.sub(rb"(?m)^[ \t]+|[ \t]+\r?$", b"", body))
        separator = ","
    check_header(header, where=where)
    try:
        table = pc.read_csv(
            pa.BufferReader(body),
            read_options=pc.ReadOptions(use_threads=False, column_names=header),
            parse_options=pc.ParseOptions(delimiter=separator),
            convert_options=pc.ConvertOptions(null_values=NULLS, strings_can_be_null=True),
        )
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise ValueError(f"{where} must be a whole table: {error}") from error
    return dict(zip(header, table.columns, strict=True))


def split_header(data: bytes, *, where: str) -> tuple[list[str], str, bytes]:
    """Names of the columns, what separates them, and the rows."""
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    comments, data = _split_comments(data)
    first, _, rest = data.partition(b"\n")
    if not first.strip():
        raise ValueError(f"{where} must hold a table, got an empty file.")
    try:
        line = first.decode().strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} must be a table of text, got other bytes.") from error
    separator = next((mark for mark in ",;\t|" if mark in line), " ")
    if separator == "\t" and all(map(_is_number, line.split())):
        whole = all(map(_is_number, _split_line(line, separator)))
        separator = separator if whole else " "  # blanks and tabs as they come
    header = _split_line(line, separator)
    if not all(_is_number(item) for item in header):
        if not rest.strip():
            raise ValueError(f"{where} must hold steps, got a header alone.")
        return header, separator, rest
    names = _split_line(comments[-1], separator) if comments else []
    if len(names) != len(header) or any(_is_number(name) for name in names):
        names = [f"col{number + 1}" for number in range(len(header))]
    return names, separator, data


def _split_comments(data: bytes) -> tuple[list[str], bytes]:
    """Comment lines at the top without their sign; rows without comments."""
    comments = []
    while data.lstrip().startswith(b"#"):
        line, _, data = data.lstrip().partition(b"\n")
        comments.append(line.lstrip(b"# \t").decode(errors="replace").strip())
    data = data.lstrip(b"\r\n")
    if b"\n#" in data:
        data = re.sub(rb"(?m)^#.*\n?", b"", data)
    return comments, data


def _split_line(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split()
    return [item.strip() for item in next(csv.reader([line], delimiter=separator))]


def _is_number(text: str) -> bool:
    try:
        float(text or "nan")
    except ValueError:
        return text in NULLS
    return True


def read_asas(file: Path, data: bytes, options: ReadOptions) -> FileSteps:
    """Read ASAS-3: sets of rows from several fields, five apertures, grades A to D.

    Grade D is masked, or with ``quality="any"`` all but A; what was not measured is NaN.
    """
    magnitude, error = f"MAG_{options.aperture}", f"MER_{options.aperture}"
    rows: list[tuple[str, str, str, str]] = []
    known: dict[str, Any] = {"aperture": options.aperture}
    header: list[str] = []
    for number, line in enumerate(data.decode(errors="replace").splitlines(), start=1):
        text = line.lstrip("# ").strip()
        if line.startswith("#"):
            if text.startswith("HJD "):
                header = text.split()
            elif match := re.match(r"(desig|ra|dec)=\s*(\S+)", text):
                name = {"desig": "target"}.get(match[1], match[1])
                known.setdefault(name, _read_known(name, match[2], file))
        elif text:
            items = dict(zip(header, text.split(), strict=False))
            if not {"HJD", magnitude, error, "GRADE"} <= set(items):
                raise ValueError(
                    f"{file.name} must have HJD, {magnitude}, {error} and GRADE in every row, got "
                    f"{text!r} in line {number}."
                )
            rows.append((items["HJD"], items[magnitude], items[error], items["GRADE"]))
    if not rows:
        raise ValueError(f"{file.name} must hold steps, got a header alone.")
    time, magnitudes, errors, grade = np.array(rows, dtype=object).T
    value = to_numbers(magnitudes, "value", where=file.name)
    columns = {
        "time": time, "mag": np.where(value > ASAS_UNMEASURED, np.nan, value), "magerr": errors,
        "mask": flag_grades(grade, options.quality),
    }  # fmt: skip
    if "ra" in known:
        known["ra"] = 15 * known["ra"]  # it is given in hours
    return steps_from_columns(
        columns, options, stem=file.stem, where=file.name, known=known, reader="asas",
        roles={"time": "time", "value": "mag", "error": "magerr", "mask": "mask"},
        said={"time_format": "jd-2450000", "unit": "mag", "reference": "heliocentric"},
    )  # fmt: skip


def flag_grades(grade: np.ndarray, quality: str | int) -> np.ndarray:
    """Which rows their grade excludes."""
    if quality == "any":
        return grade != "A"
    return (grade == "D") if quality != "none" else np.zeros(len(grade), dtype=bool)


def _read_known(name: str, text: str, file: Path) -> Any:
    return text if name == "target" else to_numbers([text], name, where=file.name)[0]
