"""The gate: light curves from files of many kinds, all at once or in chunks, and to Parquet."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from .._validation import check_choice
from ._readers.chunks import LightCurveChunks, find_chunks
from ._readers.formats import list_files, read_collection, read_own_file
from ._readers.nested import write_nested
from ._readers.steps import ReadOptions, zero_point
from .curves import SCALES, LightCurves

PathLike = str | os.PathLike[str]


def read_lightcurves(
    path: PathLike | Iterable[PathLike],
    *,
    unit: str | None = None,
    time_format: str | None = None,
    time_scale: str | None = None,
    columns: Mapping[str, str] | None = None,
    names: str = "column",
    quality: str | int = "default",
    flux: str | None = None,
    aperture: int = 0,
) -> LightCurves:
    r"""Read light curves from a file, several files, or all files of a folder.

    The content of a file says what it is, not the end of its name: Kepler, K2 and TESS light
    curves and target pixels, other FITS tables with their time system; ZTF as IRSA gives it;
    OGLE, ASAS-3 and AGN Watch columns; the Fermi Light Curve Repository; VO tables; CSV, ECSV,
    IPAC and Parquet tables of steps; nested Parquet with one row per object; JSON with lists.
    Any of the text may be gzipped.

    Parameters
    ----------
    path : path-like or iterable of path-like
        A table with one row per step, of one object or with a column that names it; a file of one
        object; several files; or a folder of them.
    unit : str, optional
        To have values in, where a file says its own; what they are in, where it does not.
    time_format : {"mjd", "jd", "btjd", "bkjd"} or like "jd-2450000", optional
        Zero point of the times: to have them in where a file says its own, which columns called
        mjd, jd, hjd, bjd, btjd or bkjd do; else what they are in. Without whole Julian dates,
        "jd-2450000" becomes "mjd".
    time_scale : {"utc", "tdb", ...}, optional
        Needed where a file does not say it, and never guessed: barycentric dates of space
        missions are "tdb", dates of most ground-based surveys "utc".
    columns : mapping, optional
        From names in the file to ``name``, ``time``, ``value``, ``error``, ``band``, ``mask``
        (true: not to be used), ``limit`` or ``quality``. The usual names are known without it;
        who names the value of a table names its error, too. A file without a header has the
        columns "col1", "col2" and so on; two or three of them are time, value and error.
    names : {"column", "file"}
        What names the objects: the column of names, or else the file; or the file in any case,
        one object per file (the filters of a ZTF star have numbers of their own). Steps of one
        name in several files are one object.
    quality : {"default", "any", "none"} or int
        Which quality flags mask a step: those after which a measurement is of no use, any, none,
        or these bits. ASAS grades: D, all but A, none.
    flux : str, optional
        Column of a FITS table: "pdcsap" and "sap" of Kepler and TESS, or its name; "photon" or
        "energy" of the Fermi Light Curve Repository.
    aperture : {0, 1, 2, 3, 4}
        Of ASAS, from the smallest to the largest: for stars of 12 mag and fainter to 8 mag.

    Returns
    -------
    LightCurves
        ``objects`` has what the files say of each object, such as ra, dec, target or mission, and
        ``time_reference``, "barycentric" or "heliocentric", where it is said. ``objects.meta`` has
        ``skipped``: files that could not be read, with the reason; ``masked``: how many steps are
        masked, by reason; ``dropped``: rows without a time, which are gaps; ``readers``: how many
        files each reader read.

    Raises
    ------
    ValueError
        For a file that is damaged, lacks columns, or leaves open what its times or units are,
        and when no file of a folder can be read.
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
    >>> curves.objects.meta["masked"]
    {'value not finite': 1}
    """
    options = _gather_options(
        unit, time_format, time_scale, columns, names, quality, flux, aperture
    )
    files, is_single = _find_files(path)
    own = read_own_file(files[0]) if is_single else None
    if own is not None and _is_as_asked(own, options):
        return own
    return read_collection(files, options, strict=is_single)


def iter_lightcurves(
    path: PathLike | Iterable[PathLike],
    *,
    chunk_size: int = 500,
    unit: str | None = None,
    time_format: str | None = None,
    time_scale: str | None = None,
    columns: Mapping[str, str] | None = None,
    names: str = "column",
    quality: str | int = "default",
    flux: str | None = None,
    aperture: int = 0,
) -> LightCurveChunks:
    r"""Read light curves in chunks, so that a collection of any size passes through memory.

    Parameters
    ----------
    path : path-like or iterable of path-like
        A folder or list of files, of which each chunk has ``chunk_size``; nested Parquet, read by
        groups of rows; or a long table whose rows of an object lie together. Any other file is
        read whole and handed out in chunks.
    chunk_size : int
        Objects, or files, per chunk. Where an object has several files, they may lie in several
        chunks.
    unit, time_format, time_scale, columns, names, quality, flux, aperture
        As in `read_lightcurves`.

    Returns
    -------
    LightCurveChunks
        Iterating gives `LightCurves` in an order that is always the same; all have the unit and
        time of the first file that can be read. A chunk in which no file can be read has no
        objects and names them in ``objects.meta["skipped"]``. ``len()`` is the number of chunks,
        ``n_objects`` that of objects or files, where they are known without reading everything.

    Raises
    ------
    ValueError
        As `read_lightcurves`; and for a long table in which an object's rows are apart.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in "abc":
    ...         _ = (Path(folder) / f"{name}.csv").write_text("mjd,mag\n58000.5,14.2\n")
    ...     chunks = iter_lightcurves(folder, chunk_size=2, time_scale="utc")
    ...     print(len(chunks), [chunk.names.tolist() for chunk in chunks])
    2 [['a', 'b'], ['c']]
    """
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be >= 1, got {chunk_size}.")
    options = _gather_options(
        unit, time_format, time_scale, columns, names, quality, flux, aperture
    )
    files, is_single = _find_files(path)
    return find_chunks(files, is_single, chunk_size, options)


def write_lightcurves(curves: LightCurves, path: PathLike) -> Path:
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

    Examples
    --------
    >>> import tempfile
    >>> curves = LightCurves.from_columns(name=["a", "a"], time=[1.0, 2.0], value=[14.0, 14.1],
    ...                                   unit="mag", time_format="mjd", time_scale="utc")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(read_lightcurves(write_lightcurves(curves, f"{folder}/c.parquet")))
    1 light curves, 2 steps in mag, time mjd utc
    """
    return write_nested(curves, Path(path))


def _find_files(path: PathLike | Iterable[PathLike]) -> tuple[list[Path], bool]:
    """The files, and whether there is but one, whose errors are the caller's."""
    if not isinstance(path, str | os.PathLike):
        files = [Path(file) for file in path]
        if not files:
            raise ValueError("path must be one file or more, got an empty list.")
        return files, False
    path = Path(path)
    return (list_files(path), False) if path.is_dir() else ([path], True)


def _is_as_asked(curves: LightCurves, options: ReadOptions) -> bool:
    """Whether they need no conversion."""
    return all(
        asked is None or asked == has
        for asked, has in (
            (options.unit, curves.unit),
            (options.time_format, curves.time_format),
            (options.time_scale, curves.time_scale),
        )
    )


def _gather_options(
    unit: str | None,
    time_format: str | None,
    time_scale: str | None,
    columns: Mapping[str, str] | None,
    names: str,
    quality: str | int,
    flux: str | None,
    aperture: int,
) -> ReadOptions:
    if time_format is not None:
        zero_point(time_format)
    if time_scale is not None:
        check_choice("time_scale", time_scale, SCALES)
    check_choice("names", names, ("column", "file"))
    check_choice("aperture", aperture, range(5))
    if not isinstance(quality, int):
        check_choice("quality", quality, ("default", "any", "none"))
    pairs = tuple((columns or {}).items())
    return ReadOptions(unit, time_format, time_scale, pairs, names, quality, flux, aperture)
