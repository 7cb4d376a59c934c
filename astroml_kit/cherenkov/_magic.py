"""Image parameters of the MAGIC Monte Carlo: ``magic04.data`` and the same events in KEEL's form.

Source: UCI Machine Learning Repository, doi:10.24432/C52C8B. Ten numbers and a class per line.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np

from ._schema import EventFileError, RawEvents

FORMAT = "magic"
# Name in the documentation of the file -> (schema name, unit).
COLUMNS: dict[str, tuple[str, u.UnitBase | None]] = {
    "fLength": ("hillas_length", u.mm),
    "fWidth": ("hillas_width", u.mm),
    "fSize": ("hillas_log10_size", None),
    "fConc": ("concentration_2pix", None),
    "fConc1": ("concentration_1pix", None),
    "fAsym": ("asymmetry", u.mm),
    "fM3Long": ("m3_long", u.mm),
    "fM3Trans": ("m3_trans", u.mm),
    "fAlpha": ("alpha", u.deg),
    "fDist": ("distance", u.mm),
}
NAMES = {name: target for name, (target, _) in COLUMNS.items()} | {"class": "is_gamma"}
CLASSES = {"g": True, "h": False}


def looks_like(head: bytes) -> bool:
    """Tell whether the first complete line of data is ten numbers and a class."""
    for line in head.decode("ascii", "replace").splitlines()[:64]:
        if line.strip() and not line.startswith(("@", "%")):
            fields = line.split(",")
            try:
                [float(field) for field in fields[:-1]]
            except ValueError:
                return False
            return len(fields) == len(COLUMNS) + 1 and fields[-1].strip() in CLASSES
    return False


def iter_raw(path: Path, *, chunk_size: int | None = None) -> Iterator[RawEvents]:
    """Yield the events, ``chunk_size`` rows at a time (all at once when None)."""
    first = 0
    with path.open(encoding="ascii", errors="replace") as file:
        lines = ((number, line) for number, line in enumerate(file, start=1)
                 if line.strip() and not line.startswith(("@", "%")))  # fmt: skip
        while True:
            block = list(islice(lines, chunk_size))
            if not block and first:
                return
            yield _parse(block, path.name, first)
            first += len(block)
            if chunk_size is None or not block:
                return


def _parse(block: list[tuple[int, str]], where: str, first: int) -> RawEvents:
    values = np.empty((len(block), len(COLUMNS)))
    is_gamma = np.empty(len(block), dtype=bool)
    for row, (number, line) in enumerate(block):
        *numbers, label = line.split(",")
        try:
            values[row] = [float(x) for x in numbers]
            is_gamma[row] = CLASSES[label.strip()]
        except (ValueError, KeyError) as error:
            raise EventFileError(
                f"{where}, line {number}, must have {len(COLUMNS)} numbers and g or h, "
                f"got {line.strip()[:80]!r}. The file is damaged: fetch it again."
            ) from error
    columns: dict[str, Any] = {"event_id": np.arange(first, first + len(block))}
    for i, (name, (_, unit)) in enumerate(COLUMNS.items()):
        column = values[:, i].copy()
        columns[name] = column if unit is None else u.Quantity(column, unit, copy=False)
    columns["class"] = is_gamma
    return RawEvents(columns, {"format": FORMAT, "source": where}, NAMES)
