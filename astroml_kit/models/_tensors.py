"""Arrays as safetensors bytes and back: names, types and shapes, and nothing that could run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

TYPES = ("float64", "float32", "int64", "uint8", "bool")


def write_tensors(
    arrays: Mapping[str, np.ndarray], *, metadata: dict[str, str] | None = None
) -> bytes:
    """Return the safetensors form of some arrays; the same arrays give the same bytes."""
    from safetensors.numpy import save

    ordered = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    # safetensors writes scalars as they are; ascontiguousarray would have made them vectors.
    ordered = {name: array.reshape(np.shape(arrays[name])) for name, array in ordered.items()}
    return save(ordered, metadata=metadata)


def read_tensors(data: bytes) -> dict[str, np.ndarray]:
    """Inverse of `write_tensors`.

    Raises
    ------
    ValueError
        When the bytes are no safetensors, or hold anything but plain finite numbers.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: dict[str, Any] = load(data)
    except SafetensorError as error:
        raise ValueError(f"the weights must be safetensors: {error}.") from error
    for name, array in arrays.items():
        if array.dtype.name not in TYPES or not array.dtype.isnative:
            raise ValueError(f"{name} must be one of {TYPES}, got {array.dtype}.")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite.")
    return arrays


def replace_file(path: Path, data: bytes) -> None:
    """Write a file, replacing an older one only when the new one is whole."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def take_prefixed(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names start with ``prefix``, without it."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
