"""Finished chunks of a simulation on disk, so that an interrupted one goes on where it stopped."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable


@dataclass(frozen=True)
class ChunkStore:
    """A folder with one file per chunk of showers, and what they have in common.

    Parameters
    ----------
    folder : Path
        Made when it is not there.
    settings : dict
        How the showers are thrown. A folder with others is refused.
    """

    folder: Path
    settings: dict[str, Any]

    def __post_init__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "thrown.json"
        if path.exists():
            kept = json.loads(path.read_text())
            different = [key for key in self.settings if kept.get(key) != self.settings[key]]
            if different:
                key = different[0]
                raise ValueError(
                    f"folder must hold showers of the same simulation, got {self.folder.name} "
                    f"with {key} {kept.get(key)!r} where {self.settings[key]!r} is asked for. "
                    "Choose another folder."
                )
        else:
            partial = path.with_suffix(".part")
            partial.write_text(json.dumps(self.settings, indent=1))
            os.replace(partial, path)

    def _name(self, start: int, stop: int) -> Path:
        return self.folder / f"showers_{start:09d}_{stop:09d}.npz"

    def write(self, table: QTable, start: int, stop: int) -> None:
        """Keep a chunk; a file is there when it is complete."""
        columns: dict[str, Any] = {}
        units: dict[str, str] = {}
        for name in table.colnames:
            column = table[name]
            columns[name] = np.asarray(getattr(column, "value", column))
            units[name] = str(column.unit or "")
        header = json.dumps({"meta": table.meta, "units": units})
        partial = self._name(start, stop).with_suffix(".part")
        with partial.open("wb") as file:
            np.savez(file, **columns, header=np.array(header))
        os.replace(partial, self._name(start, stop))

    def read(self, start: int, stop: int) -> QTable | None:
        """Return a chunk that was kept; None when it is not there or damaged."""
        try:
            with self._name(start, stop).open("rb") as file, np.load(file) as kept:
                header = json.loads(str(kept["header"]))
                table = QTable()
                for name, unit in header["units"].items():
                    table[name] = u.Quantity(kept[name], unit) if unit else kept[name]
                table.meta = header["meta"]
                return table
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # cut off or damaged: this chunk is simulated again
