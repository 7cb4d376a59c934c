"""One light curve as JSON: lists of steps, and what else is known of it beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .columns import steps_from_columns
from .steps import FileSteps, ReadOptions

# What the object is called, where a file says it beside its steps.
TARGETS = ("star_id", "target", "name", "object", "id")


def read_json(file: Path, data: bytes, options: ReadOptions) -> FileSteps:
    """Read an object whose lists are columns and whose other entries tell of the source.

    Raises
    ------
    ValueError
        For JSON that is not whole or not such an object, and lists of several lengths.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file.name} must be whole JSON: {error}") from error
    lists = {
        key: item
        for key, item in (content.items() if isinstance(content, dict) else ())
        if isinstance(item, list) and item and not isinstance(item[0], dict | list)
    }
    lengths = {key: len(item) for key, item in lists.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(
            f"{file.name} must be an object with lists of one length, got "
            f"{lengths or content!r:.80}."
        )
    known: dict[str, Any] = {
        key.lower(): item for key, item in content.items() if isinstance(item, str | int | float)
    }
    for key in TARGETS:
        if key in known:
            known["target"] = known.pop(key)
            break
    columns = {key: np.array(item, dtype=object) for key, item in lists.items()}
    return steps_from_columns(
        columns, options, stem=file.stem, where=file.name, known=known, reader="json"
    )
