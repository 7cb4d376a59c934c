"""Tables with units as frames of a survey and back; units, UCDs and gaps survive the way."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, Table

from .._validation import invalid

# Where the IVOA keeps the description of the columns of a Parquet file.
VOTABLE = b"IVOA.VOTable-Parquet.content"
DEGREES = {"ra": "pos.eq.ra;meta.main", "dec": "pos.eq.dec;meta.main"}


def make_frame(table: Table, *, name: str = "table") -> Any:
    """Return a pandas frame with ``ra`` and ``dec`` in ICRS degrees; motions become columns."""
    import pandas as pd

    if "coord" not in table.colnames or not isinstance(table["coord"], SkyCoord):
        raise invalid(name, "a table with a column 'coord' of SkyCoord", table.colnames,
                      "read_catalog makes it.")  # fmt: skip
    if not len(table):
        raise invalid(name, "of at least one row", "none")
    columns = {**_find_positions(table["coord"], name), **_find_motions(table)}
    for key in table.colnames:
        if key == "coord" or key in columns:
            continue
        column = table[key]
        if (
            isinstance(column, SkyCoord)
            or np.ndim(column) != 1
            or column.dtype.kind not in "biufSU"
        ):
            raise invalid(f"column {key!r} of {name}", "of one number or text in each row",
                          f"{type(column).__name__} of shape {np.shape(column)}",
                          "Leave it out, or split it.")  # fmt: skip
        columns[key] = _make_series(column)
    return pd.DataFrame(columns)


def _find_positions(coord: SkyCoord, name: str) -> dict[str, np.ndarray]:
    icrs = coord.icrs
    ra, dec = icrs.ra.deg, icrs.dec.deg
    lost = ~(np.isfinite(ra) & np.isfinite(dec))
    if lost.any():
        raise invalid(
            f"coord of {name}", "finite in every row", f"NaN in {lost.sum()} of {len(lost)}",
            "A survey is kept by position: leave these rows out, "
            "table[np.isfinite(table['coord'].icrs.ra)].",
        )  # fmt: skip
    return {"ra": np.asarray(ra), "dec": np.asarray(dec)}


def _find_motions(table: Table) -> dict[str, np.ndarray]:
    """Proper motions and epoch of the coordinates, where no column has them already."""
    coord, out = table["coord"], {}
    lower = {key.lower() for key in table.colnames}
    if "s" in coord.data.differentials and not lower & {"pmra", "pm_ra_cosdec", "pmra_cosdec"}:
        icrs = coord.icrs
        out["pmra"] = np.asarray(icrs.pm_ra_cosdec.to_value("mas / yr"))
        out["pmdec"] = np.asarray(icrs.pm_dec.to_value("mas / yr"))
    if coord.obstime is not None and "ref_epoch" not in lower:
        out["ref_epoch"] = np.full(len(table), coord.obstime.jyear)
    return out


def _make_series(column: Any) -> Any:
    """Nullable where something is masked: whole numbers stay whole beside gaps."""
    import pandas as pd

    mask = np.array(np.ma.getmaskarray(np.ma.asarray(column))) | getattr(column, "mask", False)
    values: Any = np.asarray(getattr(getattr(column, "unmasked", column), "value", column))
    values = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("=")))
    kind = values.dtype.kind
    if kind in "SU":
        text = np.char.decode(values, "utf-8") if kind == "S" else values
        return pd.array(_blank(text, mask), dtype="string")
    if kind == "f":
        return np.where(mask, np.nan, values)
    if not np.any(mask):
        return values
    return pd.array(_blank(values, mask),
                    dtype="boolean" if kind == "b" else values.dtype.name.capitalize().replace(
                        "Uint", "UInt"))  # fmt: skip


def _blank(values: Any, mask: np.ndarray) -> np.ndarray:
    out = values.astype(object)
    out[mask] = None
    return out


def describe_columns(table: Table) -> dict[str, dict[str, str]]:
    """Units, UCDs and descriptions by column, as hats writes them."""
    units, ucds, texts = {"ra": "deg", "dec": "deg"}, dict(DEGREES), {}
    motions = _find_motions(table)
    units.update({key: "mas / yr" for key in ("pmra", "pmdec") if key in motions})
    units.update({key: "yr" for key in ("ref_epoch",) if key in motions})
    for key in table.colnames:
        if key in ("coord", "ra", "dec"):
            continue
        column = table[key]
        if column.unit is not None:
            units[key] = column.unit.to_string()
        ucd = (column.info.meta or {}).get("ucd")
        if ucd:
            ucds[key] = str(ucd)
        if column.info.description:
            texts[key] = str(column.info.description)
    return {"field_units": units, "field_ucds": ucds, "field_descriptions": texts}


def make_table(frame: Any, about: Mapping[str, Mapping[str, str]]) -> Table:
    """Return a plain table of a computed frame, gaps masked, with what is known of its columns."""
    table = Table()
    for name in frame.columns:
        column = table[name] = _make_column(frame[name])
        if name in about["field_units"] and column.dtype.kind in "iuf":
            table[name].unit = about["field_units"][name]
        if name in about["field_descriptions"]:
            table[name].description = about["field_descriptions"][name]
        if name in about["field_ucds"]:
            table[name].info.meta = {"ucd": about["field_ucds"][name]}
    return table


@contextmanager
def ignore_units() -> Any:
    """Units that the VO has deprecated, such as erg, are units all the same."""
    from astropy.io.votable.exceptions import VOWarning

    with warnings.catch_warnings():
        for category in (VOWarning, u.UnitsWarning):
            warnings.simplefilter("ignore", category)
        yield


def read_description(survey: Any) -> dict[str, dict[str, str]]:
    """What the metadata of a survey say of its columns: the counterpart of `describe_columns`."""
    from astropy.io.votable import parse

    about: dict[str, dict[str, str]] = {
        "field_units": {}, "field_ucds": {}, "field_descriptions": {},
    }  # fmt: skip
    schema = survey.hc_structure.original_schema
    content = (getattr(schema, "metadata", None) or {}).get(VOTABLE)
    if not content:
        return about
    with ignore_units():
        fields = parse(io.BytesIO(content), verify="ignore").get_first_table().fields
    for field in fields:
        if field.unit is not None:
            about["field_units"][field.name] = field.unit.to_string()
        if field.ucd:
            about["field_ucds"][field.name] = str(field.ucd)
        if field.description:
            about["field_descriptions"][field.name] = str(field.description)
    return about


def _make_column(series: Any) -> MaskedColumn:
    import pandas as pd

    missing = series.isna().to_numpy(bool)
    if pd.api.types.is_bool_dtype(series.dtype):
        return MaskedColumn(series.fillna(False).to_numpy(bool), mask=missing)
    if pd.api.types.is_float_dtype(series.dtype):
        kind = getattr(series.dtype, "numpy_dtype", series.dtype)
        return MaskedColumn(series.to_numpy(kind, na_value=np.nan), mask=missing)
    if pd.api.types.is_integer_dtype(series.dtype):
        kind = getattr(series.dtype, "numpy_dtype", series.dtype)
        return MaskedColumn(series.to_numpy(kind, na_value=0), mask=missing)
    text = series.astype(object).where(~missing, "").to_numpy(object)
    return MaskedColumn(text.astype(str), mask=missing)


def finish_table(table: Table, ra: str, dec: str) -> Table:
    """Positions of a HATS catalogue are degrees, whatever the names of their columns."""
    for name, key in ((ra, "ra"), (dec, "dec")):
        if name in table.colnames:
            table[name].unit = table[name].unit or u.deg
            table[name].info.meta = {"ucd": DEGREES[key], **(table[name].info.meta or {})}
    return table


def attach_description(survey: Any, about: Mapping[str, Mapping[str, str]]) -> None:
    """Let a lazy survey know units, UCDs and descriptions of its columns."""
    from hats.catalog.catalog_snapshot import CatalogSnapshot
    from hats.io.parquet_metadata import nested_frame_to_vo_schema

    known: dict[str, Any] = {
        kind: {key: text for key, text in texts.items() if key in survey.columns}
        for kind, texts in about.items()
    }
    content = io.BytesIO()
    with ignore_units():
        nested_frame_to_vo_schema(nested_frame=survey.meta, **known).to_xml(content)
    structure = survey.hc_structure
    metadata = {**(structure.schema.metadata or {}), VOTABLE: content.getvalue()}
    structure.snapshot = CatalogSnapshot(
        schema=structure.schema.with_metadata(metadata), catalog_info=structure.catalog_info
    )
