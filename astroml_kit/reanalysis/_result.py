"""What a reanalysis leaves behind: a table, a gain, the sources, and a file with every number."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from ..significance import DetectionGain

RECORDED_VERSIONS = ("astroml_kit", "numpy", "scipy", "astropy", "scikit-learn", "lightgbm")


@dataclass(frozen=True, eq=False)
class Reanalysis:
    """Significance of one target under every selection, and what learning gained.

    Parameters
    ----------
    name, target : str
        The data set and what was looked at.
    gain : DetectionGain
        From the baseline that was fixed beforehand to the learned selection.
    table : QTable
        One row per selection: ``selection``, ``n_on``, ``background``, ``excess``,
        ``significance`` and whatever else the job knows.
    sources : QTable
        One row per source: ``name``, ``ra``, ``dec``, ``significance``; zero rows when nothing
        was found.
    settings : mapping
        Options and seed that the job ran with.
    checksums : mapping
        sha256 of every file that was read.
    notes : tuple of str
        What was dropped and why, and how to read the numbers.
    curves : mapping
        Plain arrays for plots, by name.
    """

    name: str
    target: str
    gain: DetectionGain
    table: QTable
    sources: QTable
    settings: Mapping[str, Any]
    checksums: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    curves: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{self.name}, {self.target}: {self.gain}"

    def to_dict(self) -> dict[str, Any]:
        """Return every number as plain lists, with versions, seed and checksums."""
        return {
            "name": self.name,
            "target": self.target,
            "gain": _to_plain(self.gain.to_dict()),
            "table": _to_plain(self.table),
            "sources": _to_plain(self.sources),
            "notes": list(self.notes),
            "settings": _to_plain(dict(self.settings)),
            "curves": _to_plain(dict(self.curves)),
            "checksums": dict(self.checksums),
            "versions": {"python": platform.python_version(), **_list_versions()},
        }

    def write(self, folder: str | Path) -> Path:
        """Write ``result.json`` into ``folder``, replacing an older one only when complete.

        Returns
        -------
        Path
            The file.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "result.json"
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")
        os.replace(partial, path)
        return path


def _list_versions() -> dict[str, str]:
    found = {}
    for name in RECORDED_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _to_plain(value: Any) -> Any:
    """Turn arrays, tables, quantities and NaN into what JSON can say (NaN becomes null)."""
    if isinstance(value, Table):
        columns = {name: _to_plain(value[name]) for name in value.colnames}
        units = {n: str(value[n].unit) for n in value.colnames if getattr(value[n], "unit", None)}
        return {"columns": columns, "units": units}
    if isinstance(value, Mapping):
        return {str(key): _to_plain(entry) for key, entry in value.items()}
    if isinstance(value, u.Quantity):
        return _to_plain(value.value)
    if isinstance(value, np.ndarray):
        return _to_plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_to_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _to_plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return str(value)
