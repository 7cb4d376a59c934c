"""Tables that say more than numbers: VO tables with UCDs and TIMESYS, ECSV, IPAC tables."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import astropy.units as u
import numpy as np
from astropy.table import Table
from astropy.time import Time

from ..curves import OFFSETS
from .columns import NAMES, TIMES, check_header, steps_from_columns, to_numbers
from .fits import DAMAGE
from .steps import FileSteps, ReadOptions

# What a column holds, by its UCD: the first role whose words it begins with.
UCDS = (
    ("error", ("stat.error;phot", "stat.error;em", "stat.stdev;phot", "stat.error")),
    ("time", ("time.epoch", "time.start", "time")),
    ("value", ("phot.mag", "phot.flux", "phot.count", "arith.rate;phot")),
    ("band", ("instr.bandpass", "instr.filter", "meta.id;instr.filter")),
    ("quality", ("meta.code.qual",)),
    ("name", ("meta.id;meta.main", "meta.id;src", "meta.id.assoc")),
)
# The two zero points that have a name: IVOA VOTable 1.4, section 3.7.
ORIGINS = {"MJD-origin": OFFSETS["mjd"], "JD-origin": OFFSETS["jd"]}
POSITIONS = {"BARYCENTER": "barycentric", "HELIOCENTER": "heliocentric"}
PARAMS = ("ra", "dec", "period", "target", "mission", "redshift")


def read_votable(file: Path, data: bytes, options: ReadOptions) -> FileSteps:
    """Read the first table with rows of a VO table; what it does not say is asked for.

    Raises
    ------
    ValueError
        For XML that is not whole, or no VO table, and as `read_lightcurves`.
    """
    from astropy.io.votable import parse
    from astropy.io.votable.exceptions import VOWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VOWarning)  # of dialects, which do not touch the numbers
        try:
            votable = parse(io.BytesIO(data), verify="ignore")
            element = votable.get_first_table()
            table = element.to_table(use_names_over_ids=True)
        except (*DAMAGE, ExpatError, VOWarning) as error:
            raise ValueError(f"{file.name} must be a whole VO table: {error}") from error
    fields = list(element.fields)
    check_header([field.name for field in fields], where=file.name)
    systems = {
        system.ID: system for resource in votable.resources for system in resource.time_systems
    }
    found = _match_ucds(fields, systems)
    said = _describe_time(found.get("time"), fields, systems, table, where=file.name)
    pairs = {
        field: role for role, field in found.items() if role not in dict(options.columns).values()
    }
    options = replace(options, columns=(*options.columns, *pairs.items()))
    params = [
        *element.params,
        *(param for resource in votable.resources for param in resource.params),
    ]
    known = {p.name.lower(): _plain(p.value) for p in params if p.name.lower() in PARAMS}
    return _steps_from_table(table, file, options, said=said, known=known, reader="votable")


def _match_ucds(fields: list[Any], systems: dict[str, Any]) -> dict[str, str]:
    """Role by role the field whose UCD says it; names go first where they say more."""
    found: dict[str, str] = {}
    for field in fields:
        ucd = str(field.ucd or "").lower()
        role = next((r for r, starts in UCDS if any(ucd.startswith(s) for s in starts)), None)
        if role is None or role in found:
            continue
        if role == "time" and field.ref not in systems and field.name.lower() in TIMES:
            continue  # its name says its zero point, which a UCD does not
        if role == "name" and any(other.name.lower() in NAMES for other in fields):
            continue
        found[role] = field.name
    return found


def _describe_time(
    name: str | None, fields: list[Any], systems: dict[str, Any], table: Table, *, where: str
) -> dict[str, str]:
    """Bring the times to days from a known zero point, and say what the file says of them."""
    field = next((field for field in fields if field.name == name), None)
    system = systems.get(field.ref) if field is not None else None
    if system is None or name is None:
        return {}
    unit, days = table[name].unit, None
    if unit is not None or system.timeorigin is not None:
        try:
            factor = 1.0 if unit is None else u.Unit(str(unit)).to(u.day)
        except ValueError as error:
            raise ValueError(
                f"time must be in a unit of time in {where}, got {str(unit)!r}."
            ) from error
        days = to_numbers(table[name], "time", where=where) * factor
    said = {"reference": POSITIONS.get(str(system.refposition).upper(), "")}
    if system.timescale and str(system.timescale).upper() not in ("UNKNOWN", "LOCAL"):
        said["time_scale"] = str(system.timescale).lower()
    if system.timeorigin is not None:
        zero = to_numbers(
            [ORIGINS.get(system.timeorigin, system.timeorigin)], "timeorigin", where=where
        )[0]
        known = {begin: time_format for time_format, begin in OFFSETS.items()}
        if days is not None and zero not in known:
            days = days + (zero - OFFSETS["mjd"])
        said["time_format"] = known.get(zero, "mjd")
    if days is not None:
        table[name] = days
    return said


def read_ascii(file: Path, data: bytes, options: ReadOptions) -> FileSteps:
    """Read ECSV, with its units and times, or a table as IRSA writes it.

    Raises
    ------
    ValueError
        When the table is not whole, and as `read_lightcurves`.
    """
    kind = "ecsv" if data.lstrip().startswith(b"# %ECSV") else "ipac"
    try:
        table = Table.read(data.decode(), format=f"ascii.{kind}")
    except DAMAGE as error:
        raise ValueError(f"{file.name} must be a whole {kind.upper()} table: {error}") from error
    said = {}
    for name in table.colnames:
        if isinstance(table[name], Time):
            said = {"time_format": "mjd", "time_scale": table[name].scale}
            table[name] = np.ma.filled(np.ma.asarray(table[name].mjd, float), np.nan)
    known = {
        str(key).lower(): _plain(value)
        for key, value in table.meta.items()
        if str(key).lower() in PARAMS and np.ndim(_plain(value)) == 0
    }
    return _steps_from_table(table, file, options, said=said, known=known, reader=kind)


def _steps_from_table(
    table: Table,
    file: Path,
    options: ReadOptions,
    *,
    said: dict[str, str],
    known: dict[str, Any],
    reader: str,
) -> FileSteps:
    if not len(table):
        raise ValueError(f"{file.name} must hold steps, got a header alone.")
    columns = {name: table[name] for name in table.colnames}
    return steps_from_columns(
        columns, options, stem=file.stem, where=file.name, said=said, known=known, reader=reader
    )


def _plain(value: Any) -> Any:
    """A number or text without unit and wrapping."""
    value = getattr(value, "value", value)
    return value.item() if isinstance(value, np.generic) else value
