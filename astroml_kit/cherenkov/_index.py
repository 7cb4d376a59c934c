"""Which runs a folder has: from its index files, or from the files themselves."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from ._fits import Header, TableHDU
from ._gadf import list_hdus, read_header, read_table
from ._schema import EventDataWarning, EventFileError, damage_is_one_error

# Keyword or index column of GADF -> column of Observations.table; others keep their name, lower.
INDEX_NAMES = {
    "OBS_ID": "obs_id",
    "OBJECT": "target",
    "RA_PNT": "pointing_ra",
    "DEC_PNT": "pointing_dec",
    "ZEN_PNT": "zenith",
    "LIVETIME": "live_time",
    "MUONEFF": "muon_efficiency",
    "SAFE_ENERGY_LO": "energy_threshold",
    "EVENT_COUNT": "n_events",
}
# What the table always has, and the unit (None: a name or an integer) when a file gives none.
TABLE_COLUMNS = {
    "obs_id": None,
    "target": None,
    "pointing_ra": u.deg,
    "pointing_dec": u.deg,
    "zenith": u.deg,
    "live_time": u.s,
    "muon_efficiency": u.one,
    "energy_threshold": u.TeV,
}
# Part of a run -> names and classes its HDU may have.
HDU_CLASSES = {
    "events": ("EVENTS",),
    "gti": ("GTI",),
    "aeff": ("AEFF_2D",),
    "edisp": ("EDISP_2D",),
    "psf": ("PSF_TABLE", "PSF_3GAUSS"),
    "bkg": ("BKG_3D", "BKG_2D"),
}


@dataclass(frozen=True)
class RunFiles:
    """Where the parts of one run are: kind of HDU -> (file, name of the HDU)."""

    obs_id: int
    hdus: Mapping[str, tuple[Path, str]]

    @property
    def path(self) -> Path:
        """The file with the events."""
        return self.hdus["events"][0]

    def is_present(self) -> bool:
        """Tell whether every file that the run needs is there."""
        return all(path.is_file() for path in {path for path, _ in self.hdus.values()})


def read_zenith(header: Header, fallback: float = float("nan")) -> float:
    """Zenith angle [deg] from the altitude in the header."""
    altitude = header.get("ALT_PNT")
    return 90.0 - altitude if isinstance(altitude, (int, float)) else float(fallback)


def find_index(folder: Path, kind: str) -> Path | None:
    """Return the index file of that kind (``hdu`` or ``obs``), or None when there is none."""
    candidates = (folder / f"{kind}-index.fits{suffix}" for suffix in (".gz", ""))
    return next((path for path in candidates if path.is_file()), None)


def read_index(folder: Path, hdu_index: Path) -> tuple[dict[int, RunFiles], QTable]:
    """Read the runs of a folder from its index files."""
    hdus = read_table(hdu_index, "HDU_INDEX")
    needed = ("OBS_ID", "HDU_TYPE", "FILE_DIR", "FILE_NAME", "HDU_NAME")
    if missing := [name for name in needed if name not in hdus]:
        raise EventFileError(f"{hdu_index.name} lacks the columns {missing}; it has {list(hdus)}.")
    parts: dict[int, dict[str, tuple[Path, str]]] = {}
    for obs_id, kind, directory, file, name in zip(*(hdus[key] for key in needed), strict=True):
        where = (folder / str(directory).strip() / str(file).strip(), str(name).strip().upper())
        parts.setdefault(int(obs_id), {})[str(kind).strip().lower()] = where
    runs = {
        obs_id: RunFiles(obs_id, part)
        for obs_id, part in parts.items()
        if {"events", "gti"} <= part.keys()
    }
    obs_index = find_index(folder, "obs")
    if obs_index is None:
        present = [run.path for run in runs.values() if run.path.is_file()]
        return runs, make_index([read_header(path, "EVENTS") for path in present])
    columns = read_table(obs_index, "OBS_INDEX")
    if "OBS_ID" not in columns:
        raise EventFileError(f"{obs_index.name} lacks the column OBS_ID; it has {list(columns)}.")
    return runs, _complete_index(QTable(columns))


def read_headers(folder: Path) -> tuple[dict[int, RunFiles], QTable]:
    """Find the runs of a folder without index by looking into its files."""
    runs: dict[int, RunFiles] = {}
    headers, damaged = [], []
    for path in sorted({*folder.rglob("*.fits"), *folder.rglob("*.fits.gz")}):
        try:
            with damage_is_one_error(path, "FITS"):
                hdus = list_hdus(path)
        except EventFileError as error:
            damaged.append(str(error))
            continue
        parts: dict[str, tuple[TableHDU, tuple[Path, str]]] = {}
        for hdu in hdus:
            for kind, classes in HDU_CLASSES.items():
                if hdu.matches(*classes):
                    parts.setdefault(kind, (hdu, (path, hdu.name or classes[0])))
        if not {"events", "gti"} <= parts.keys():
            continue  # a FITS file of another kind, such as responses
        header = parts["events"][0].header
        obs_id = header.get("OBS_ID")
        if not isinstance(obs_id, int) or obs_id in runs:
            raise EventFileError(
                f"{path.name}: OBS_ID must be an integer of its own, got {obs_id!r}. "
                "Take the file out of the folder."
            )
        runs[obs_id] = RunFiles(obs_id, {kind: where for kind, (_, where) in parts.items()})
        headers.append(header)
    if damaged:
        warnings.warn(
            f"{folder.name}: {len(damaged)} files were skipped: {' '.join(damaged)}",
            EventDataWarning,
            stacklevel=3,
        )
    return runs, make_index(headers)


def make_index(headers: list[Header]) -> QTable:
    """Build the index from the headers of the event lists."""
    rows = []
    for header in headers:
        row = {INDEX_NAMES[key]: header[key] for key in INDEX_NAMES if key in header}
        rows.append({**row, "zenith": read_zenith(header)})
    table = QTable()
    for name, unit in TABLE_COLUMNS.items():
        if unit is None:
            empty: Any = 0 if name == "obs_id" else ""
            table[name] = np.array([row.get(name, empty) for row in rows], dtype=type(empty))
        else:
            # A keyword that is no number is left for the reader of that run to complain about.
            values = [row.get(name) for row in rows]
            table[name] = [v if isinstance(v, (int, float)) else np.nan for v in values] * unit
    return table


def _complete_index(table: QTable) -> QTable:
    """Give the columns of an index their names here; what the index lacks is NaN."""
    for name in table.colnames:
        target = INDEX_NAMES.get(name, name.lower())
        if target != name and target not in table.colnames:
            table.rename_column(name, target)
    for name, unit in TABLE_COLUMNS.items():
        if name not in table.colnames:
            table[name] = "" if unit is None else np.full(len(table), np.nan) * unit
        elif unit is not None:
            table[name] = u.Quantity(table[name], unit, dtype=float)
    return table
