"""Tables as text for people, no wider than their terminal."""

from __future__ import annotations

import itertools
import math
import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astropy.table import Table

CELL_WIDTHS = (60, 30, 24, 18, 12)  # tried until the terminal is wide enough


def format_table(table: Table, *, width: int) -> list[str]:
    """Aligned columns, for a terminal of this width.

    Where it is too narrow, rows and columns change places; failing that, long cells are wrapped.
    A column ``x_sd`` is printed behind ``x`` as "x +- sd".
    """
    names = table.colnames
    cells = []
    for name in names:
        if name.removesuffix("_sd") != name and name.removesuffix("_sd") in names:
            continue
        values = _format_column(table[name])
        if f"{name}_sd" in names:
            spread = _format_column(table[f"{name}_sd"])
            values = [f"{value} +- {sd}" for value, sd in zip(values, spread, strict=True)]
        unit = getattr(table[name], "unit", None)
        title = name.replace("_", " ") + (f" [{unit}]" if unit else "")
        cells.append([title, *values])
    for widest in CELL_WIDTHS:
        for rows in (list(zip(*cells, strict=True)), cells):
            lines = _align([[textwrap.wrap(cell, widest) or [""] for cell in row] for row in rows])
            if max(map(len, lines)) <= width:
                return lines
    return lines


def _format_column(column: Any) -> list[str]:
    """Digits as the column's own format says, else two decimals, or none where all are whole."""
    values = [getattr(value, "value", value) for value in column]
    if column.dtype.kind != "f":
        return [str(value) for value in values]
    whole = all(value == round(value) for value in values if math.isfinite(value))
    wanted = getattr(column.info, "format", None) or ("z.0f" if whole else "z.2f")
    return [format(float(value), wanted) if math.isfinite(value) else "-" for value in values]


def _align(rows: Sequence[Sequence[list[str]]]) -> list[str]:
    """Words to the left, numbers to the right, a rule under the first row.

    Each cell is a list of lines.
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(len(line) for cell in column for line in cell) for column in columns]
    words = [not any(re.match(r"-?\d|-$", cell[0]) for cell in column[1:]) for column in columns]
    lines = []
    for row in rows:
        for parts in itertools.zip_longest(*row, fillvalue=""):
            cells = [
                part.ljust(width) if left else part.rjust(width)
                for part, width, left in zip(parts, widths, words, strict=True)
            ]
            lines.append("  ".join(cells).rstrip())
        if row is rows[0]:
            lines.append("-" * (sum(widths) + 2 * len(widths) - 2))
    return lines
