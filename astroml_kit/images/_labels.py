"""Labels and whatever else a table says of stamps, laid beside them by id."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, MaskedColumn, QTable, Table

from .._validation import check_columns
from ._members import to_id

ID_NAMES = ("id", "objid", "object_id", "name", "source_id", "file", "filename", "image",
            "dr7objid", "asset_id")  # fmt: skip
LABEL_NAMES = ("label", "class", "target", "type", "y")


def read_labels(labels: Any, *, id_column: str | None, label_column: str | None) -> Table:
    """Table with ``id`` as text and, where there is one, ``label``."""
    if isinstance(labels, str | os.PathLike):
        table, where = _read_csv(Path(labels), id_column), Path(labels).name
    else:
        table, where = Table(labels, copy=False), "labels"
    id_column = _choose(table, id_column, ID_NAMES, "id", where)
    ids = table[id_column]
    if ids.dtype.kind not in "iuUSO":
        raise ValueError(
            f"{where} must have ids that are text or whole numbers, got {ids.dtype} in "
            f"{id_column!r}. A float does not hold an id of 18 digits."
        )
    found = Table({"id": np.array([to_id(str(value)) for value in ids], dtype=str)})
    lowered = {name.lower() for name in table.colnames}
    chosen = None
    if label_column is not None or lowered & set(LABEL_NAMES):
        chosen = _choose(table, label_column, LABEL_NAMES, "label", where)
        found["label"] = table[chosen]
    for name in table.colnames:
        if name not in (id_column, chosen) and name not in found.colnames:
            found[name] = table[name]
    unique, counts = np.unique(found["id"], return_counts=True)
    if len(unique) < len(found):
        raise ValueError(
            f"{where} must have each id once, got {str(unique[counts > 1][0])!r} "
            f"{counts.max()} times. Drop what repeats."
        )
    return found


def match_labels(ids: Sequence[str], labels: Table) -> tuple[QTable, dict[str, int]]:
    """Rows of ``labels`` in the order of ``ids``, missing values masked; what has no partner."""
    order = np.argsort(np.asarray(labels["id"]))
    known = np.asarray(labels["id"])[order]
    wanted = np.asarray(ids, dtype=str)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    matched = known[place] == wanted if len(known) else np.zeros(len(wanted), dtype=bool)
    rows = order[place] if len(known) else np.zeros(len(wanted), dtype=int)
    table = QTable()
    for name in labels.colnames[1:]:
        table[name] = _take(labels[name], rows, matched)
    counts = {
        "labels_without_image": int(len(known) - len(np.unique(rows[matched]))),
        "images_without_label": int(np.count_nonzero(~matched)),
    }
    return table, counts


def _take(column: Any, rows: np.ndarray, matched: np.ndarray) -> Any:
    if matched.all():
        return column[rows]
    if not isinstance(column, Column):
        raise ValueError(
            f"labels must have a row for every image to keep {column.info.name!r}, which cannot "
            "be masked. Leave the column out."
        )
    values = np.asarray(column)[rows] if len(column) else np.zeros(len(rows), dtype=column.dtype)
    missing = ~matched
    if isinstance(column, MaskedColumn) and len(column):
        missing = missing | np.ma.getmaskarray(column)[rows]
    return MaskedColumn(values, mask=missing, unit=column.unit, description=column.description)


def _read_csv(path: Path, id_column: str | None) -> Table:
    import pandas as pd

    try:
        names = list(pd.read_csv(path, nrows=0, skipinitialspace=True).columns)
        texts = [n for n in names if n == id_column or n.strip().lower() in ID_NAMES]
        # an id of 18 digits survives as text only
        frame = pd.read_csv(path, dtype=dict.fromkeys(texts, str), skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} must be a table separated by commas: {error}") from error
    return Table.from_pandas(frame.rename(columns=str.strip))


def _choose(table: Table, asked: str | None, usual: Sequence[str], kind: str, where: str) -> str:
    if asked is not None:
        check_columns(table.colnames, [asked], where=where)
        return asked
    lowered = {name.lower(): name for name in reversed(table.colnames)}
    for name in usual:
        if name in lowered:
            return lowered[name]
    raise ValueError(
        f"{where} must have a column {kind!r} or the like, got {table.colnames}. "
        f"Name it with {kind}_column=..."
    )
