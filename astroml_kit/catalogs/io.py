"""Catalogues from files of any common format, with units, missing values and coordinates."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import astropy.units as u
from astropy.table import QTable
from astropy.time import Time

from .._validation import check_columns
from ._columns import add_coordinates, count_missing, set_units
from ._formats import read_table


def read_catalog(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str | u.Unit] | None = None,
    require: Sequence[str] = (),
    frame: str | None = None,
    epoch: Time | None = None,
    hdu: int | str | None = None,
    on_error: str = "raise",
) -> QTable:
    r"""Read a table of sources and make coordinates of its positions.

    The content of the file says what it is: FITS, VOTable, ECSV, Parquet, or text with columns
    separated by commas, semicolons, tabs or blanks. A folder is a HATS catalogue, which is read
    whole where it fits into memory; for larger ones there is `open_survey`.

    Parameters
    ----------
    path : path-like
    columns : mapping, optional
        From names in the file to new ones.
    units : mapping, optional
        Units of columns, by their new names, where the file does not say them. What the file says
        is converted to these.
    require : sequence of str
        Columns without which the table is of no use, by their new names.
    frame : {"icrs", "fk5", "galactic", ...}, optional
        Of the positions; without it, what the names of the columns say: ra and dec or the like
        ICRS, l and b or glon and glat galactic.
    epoch : Time, optional
        Of the positions; without it, that of a column ``ref_epoch`` if it is one for all.
    hdu : int or str, optional
        Extension of a FITS file, or number of a table in a VOTable; the first table without it.
    on_error : {"raise", "mask", "text"}
        What to do with some text in a column of numbers: refuse the file, mask and count it, or
        take the column as text.

    Returns
    -------
    QTable
        All columns, missing values masked (NaN in columns with units), and ``coord``, a SkyCoord
        with proper motions where there are any; NaN where a position is missing. ``meta`` has
        ``format``, ``coordinates`` (which columns made ``coord``), ``assumed_units`` (of columns
        of positions and motions for which neither the file nor ``units`` has one: degrees,
        mas/yr and mas), ``missing`` (how many values, by column, where there are any) and
        ``not_numbers`` (masked by ``on_error="mask"``). UCDs of VO tables are in
        ``table[name].info.meta["ucd"]``. A table without positions has no ``coord``.

    Raises
    ------
    ValueError
        For a damaged file, no rows of a header, columns of the same name, missing columns, text
        among numbers, units that cannot be converted, declinations beyond 90 degrees, or right
        ascensions that may well be in hours.
    OSError
        When the path is not there.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "stars.csv"
    ...     _ = file.write_text("star,ra,dec,pmra,pmdec\na,10.5,-3.0,5.0,\nb,,12.0,1.0,2.0\n")
    ...     table = read_catalog(file)
    >>> table["coord"].ra, table.meta["missing"]
    (<Longitude [10.5,  nan] deg>, {'ra': 1, 'pmdec': 1})
    """
    path = Path(path)
    table, kind = read_table(path, hdu=hdu, on_error=on_error)
    check_columns(table.colnames, columns or {}, where=path.name)
    for old, new in (columns or {}).items():
        if new in table.colnames and new != old:
            raise ValueError(
                f"columns must have new names, got {old!r} -> {new!r}, which {path.name} has "
                "already. Choose another."
            )
        table.rename_column(old, new)
    check_columns(table.colnames, require, where=path.name)
    set_units(table, units or {}, where=path.name)
    table.meta["format"] = kind
    table.meta["missing"] = count_missing(table)
    return add_coordinates(table, frame=frame, epoch=epoch, where=path.name)
