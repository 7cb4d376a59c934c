"""Event files of every kind in, one table out; and back.

What a file is, is decided by what is in it, never by its name. Errors are one sentence that says
what the file must be, what it is and what to do; nothing is returned from half a file.
"""

from __future__ import annotations

import gzip
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
from astropy.table import QTable

from .._validation import check_choice, check_real
from . import _aict, _ctapipe, _gadf, _magic, _stores
from ._hdf5 import MAGIC as HDF5_MAGIC
from ._hdf5 import open_hdf5
from ._plain import KEY
from ._schema import (
    EventDataWarning,
    EventFileError,
    RawEvents,
    build_table,
    damage_is_one_error,
    finish_table,
)

GZIP_MAGIC = b"\x1f\x8b"
HEAD = 8192


@dataclass(frozen=True)
class Format:
    """How to read one kind of file, and what it must have."""

    iter_raw: Callable[..., Iterator[RawEvents]]
    required: tuple[str, ...] = ()


FORMATS: dict[str, Format] = {
    _gadf.FORMAT: Format(_gadf.iter_raw, _gadf.REQUIRED),
    _ctapipe.DL1: Format(_ctapipe.iter_dl1, ("obs_id", "event_id", "tel_id")),
    _ctapipe.DL2: Format(_ctapipe.iter_dl2, ("obs_id", "event_id")),
    _aict.FORMAT: Format(_aict.iter_raw),
    _magic.FORMAT: Format(_magic.iter_raw),
    _stores.PARQUET: Format(_stores.iter_parquet),
    _stores.HDF5: Format(_stores.iter_hdf5),
}
WRITERS: dict[str, Callable[[QTable, Path], None]] = {
    _stores.PARQUET: _stores.write_parquet,
    _stores.HDF5: _stores.write_hdf5,
    _gadf.FORMAT: _gadf.write_fits,
}
SUFFIXES = {
    ".parquet": _stores.PARQUET,
    ".pq": _stores.PARQUET,
    ".h5": _stores.HDF5,
    ".hdf5": _stores.HDF5,
    ".fits": _gadf.FORMAT,
    ".fits.gz": _gadf.FORMAT,
}


def _check_path(path: str | Path) -> Path:
    path = Path(path)
    if path.is_dir():
        raise ValueError(
            f"path must be a file, got the folder {path}. Read a folder with read_observations."
        )
    if not path.is_file():
        raise FileNotFoundError(f"path must be an existing file, got {path}. Check the name.")
    return path


def find_format(path: str | Path) -> str:
    """Tell the format of an event file from its content.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    str
        One of ``gadf``, ``ctapipe-dl1``, ``ctapipe-dl2``, ``aict``, ``magic``, ``parquet``,
        ``hdf5``.

    Raises
    ------
    EventFileError
        When it is none of them.
    """
    path = _check_path(path)
    with damage_is_one_error(path, "event"):
        with path.open("rb") as file:
            head = file.read(HEAD)
        found = _find_by_head(path, head)
    if found is None:
        raise EventFileError(
            f"{path.name} must be one of {list(FORMATS)}, got {_describe_head(head)}. "
            "Convert it, or name the format with format=."
        )
    return found


def _find_by_head(path: Path, head: bytes) -> str | None:
    if head.startswith(GZIP_MAGIC):
        with gzip.open(path) as file:
            head = file.read(HEAD)
    if head.startswith(b"SIMPLE  ="):
        return _gadf.FORMAT
    if head.startswith(_stores.PARQUET_MAGIC):
        return _stores.PARQUET
    if head.startswith(HDF5_MAGIC):
        return _find_hdf5(path)
    if _magic.looks_like(head):
        return _magic.FORMAT
    return None


def _find_hdf5(path: Path) -> str:
    with open_hdf5(path) as file:
        if KEY in file.attrs:
            return _stores.HDF5
        kinds = (f"{_ctapipe.DL2_GROUP}/{kind}" for kind in _ctapipe.DL2_NAMES)
        if any(_ctapipe.list_tables(file, group) for group in kinds):
            return _ctapipe.DL2
        if _ctapipe.list_tables(file, _ctapipe.PARAMETERS):
            return _ctapipe.DL1
        if isinstance(file.get(_aict.GROUP), h5py.Group):
            return _aict.FORMAT
        raise EventFileError(
            f"{path.name} must have the tables of ctapipe (dl1/..., dl2/...) or a group events, "
            f"got {sorted(file)}. It is HDF5, but not an event file we know."
        )


def _describe_head(head: bytes) -> str:
    if not head:
        return "an empty file"
    return f"a file that begins with {head[:16]!r}"


def _iter_tables(
    path: Path,
    format: str,
    *,
    chunk_size: int | None,
    columns: Mapping[str, str] | None,
) -> Iterator[QTable]:
    kind = FORMATS[format]
    chunks = kind.iter_raw(path, chunk_size=chunk_size)
    while True:
        with damage_is_one_error(path, format):
            raw = next(chunks, None)
        if raw is None:
            return
        yield build_table(raw, where=path.name, columns=columns, required=kind.required)


def read_events(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    format: str | None = None,
    on_invalid: str = "drop",
) -> QTable:
    """Read an event file into a table with the names and units of one schema.

    Parameters
    ----------
    path : str or Path
        GADF event list (FITS, plain or gzip), ctapipe DL1 parameters or DL2 (HDF5), aict/FACT
        (HDF5), MAGIC ``.data`` or KEEL ``.dat``, Parquet, or HDF5 written by
        :func:`write_events`.
    columns : mapping, optional
        Name in the file -> name in the table, for names that are not recognised. A bare number
        of a foreign Parquet table that gets a name of the schema gets the schema's unit too;
        ``meta["assumed_units"]`` lists them.
    format : str, optional
        What the file is, when its content allows two answers (a ctapipe file with DL1 and DL2).
    on_invalid : {"drop", "raise", "keep"}
        What to do with rows whose energy is not > 0 or whose position or time is not finite.
        Dropped rows are counted in ``meta["n_dropped"]`` and a warning says so. Telescope images
        too faint to have parameters are counted in ``meta["n_without_image"]``.

    Returns
    -------
    QTable
        One row per event, or per telescope image. ``true_`` columns are Monte Carlo truth,
        ``reco_`` ones are reconstructed. ``meta`` has ``format``, ``source`` and what the file
        says about the run.

    Raises
    ------
    EventFileError
        The file is damaged, truncated or not an event file.
    ValueError
        A column is missing or named twice, or an option is wrong.
    FileNotFoundError
        There is no such file.

    Examples
    --------
    Reading never needs a name for the format:

    >>> from astroml_kit.datasets import fetch_dataset  # doctest: +SKIP
    >>> events = read_events(fetch_dataset("magic-uci") / "magic04.data")  # doctest: +SKIP
    >>> len(events), events["hillas_width"].unit  # doctest: +SKIP
    (19020, Unit("mm"))
    """
    path = _check_path(path)
    check_choice("on_invalid", on_invalid, ("drop", "raise", "keep"))
    format = find_format(path) if format is None else check_choice("format", format, FORMATS)
    tables = list(_iter_tables(path, format, chunk_size=None, columns=columns))
    return finish_table(tables[0], where=path.name, on_invalid=on_invalid)


def iter_events(
    path: str | Path,
    *,
    chunk_size: int = 100_000,
    columns: Mapping[str, str] | None = None,
    format: str | None = None,
    on_invalid: str = "drop",
) -> Iterator[QTable]:
    """Read an event file in pieces, holding no more than ``chunk_size`` rows at a time.

    ctapipe DL1 comes telescope by telescope, so its pieces may be shorter; its table of showers
    is kept in memory. A damaged file raises when the damage is reached: pieces that came before
    it were whole.

    Parameters
    ----------
    path, columns, format, on_invalid
        As for :func:`read_events`.
    chunk_size : int
        Most rows in a piece, >= 1.

    Yields
    ------
    QTable
        The next rows, as :func:`read_events` would give them. At least one table, even when the
        file has no events.
    """
    path = _check_path(path)
    size = int(check_real("chunk_size", chunk_size, at_least=1))
    check_choice("on_invalid", on_invalid, ("drop", "raise", "keep"))
    format = find_format(path) if format is None else check_choice("format", format, FORMATS)
    return _iter_finished(path, format, size, columns, on_invalid)


def _iter_finished(
    path: Path, format: str, size: int, columns: Mapping[str, str] | None, on_invalid: str
) -> Iterator[QTable]:
    n_dropped = 0
    for table in _iter_tables(path, format, chunk_size=size, columns=columns):
        finished = finish_table(table, where=path.name, on_invalid=on_invalid, warn=False)
        n_dropped += finished.meta["n_dropped"]
        yield finished
    if n_dropped:
        warnings.warn(
            f"{path.name}: {n_dropped} events have an energy that is not > 0, or a position or "
            "time that is not finite; they were dropped.",
            EventDataWarning,
            stacklevel=2,
        )


def write_events(
    table: QTable, path: str | Path, *, format: str | None = None, overwrite: bool = False
) -> Path:
    """Write an event table, whole or not at all.

    The file appears under its name only when it is complete; an interrupted write leaves nothing.

    Parameters
    ----------
    table : QTable
        The events. Parquet and HDF5 keep every column, unit, time scale, mask and ``meta``; GADF
        keeps the event list that other tools read, masked numbers becoming NaN.
    path : str or Path
        Where to.
    format : {"parquet", "hdf5", "gadf"}, optional
        Taken from the suffix (``.parquet``, ``.h5``, ``.fits``, ``.fits.gz``) when not given.
    overwrite : bool
        Replace a file that is there.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileExistsError
        When the file is there and ``overwrite`` is false.
    ValueError
        When the table has something the format cannot hold.

    Examples
    --------
    >>> import astropy.units as u
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> events = QTable({"event_id": [1, 2], "reco_energy": [0.5, 2.0] * u.TeV})
    >>> with TemporaryDirectory() as folder:
    ...     path = write_events(events, Path(folder) / "events.parquet")
    ...     print(read_events(path)["reco_energy"])
    [0.5 2. ] TeV
    """
    path = Path(path)
    if format is None:
        endings: Iterable[str] = (s for s in SUFFIXES if path.name.lower().endswith(s))
        suffix = max(endings, key=len, default=None)
        if suffix is None:
            raise ValueError(
                f"path must end in one of {list(SUFFIXES)}, got {path.name}. Or give format=."
            )
        format = SUFFIXES[suffix]
    check_choice("format", format, WRITERS)
    if not isinstance(table, QTable):
        raise ValueError(f"table must be a QTable, got {type(table).__name__}. Use QTable(table).")
    if path.exists() and not overwrite:
        raise FileExistsError(f"path must be new, got {path}. Replace it with overwrite=True.")
    part = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        WRITERS[format](table, part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path
