"""Look-up tables in a file: a zip of JSON and numbers as text, checked before it is believed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..models._archive import MOST_BYTES, ModelFileError, pack_members, unpack_members
from ._scaling_bias import EnergyBias
from ._scaling_grid import AXES, Grid
from ._stereo_images import ImageCuts

FORMAT = "astroml_kit scaling tables"
FORMAT_VERSION = 1
MOST_VALUES = 2**24
SHAPES, ENERGY = ("width", "length"), ("log_energy_per_size", "log_height")
# What has a mean, and what has a spread as well.
MEANS = {"gamma": (*SHAPES, *ENERGY, "slope"), "background": SHAPES}
SPREADS = {"gamma": (*SHAPES, *ENERGY), "background": SHAPES}


def write_tables(tables: Any, path: str | os.PathLike[str]) -> Path:
    """Write ``ScalingTables``."""
    arrays: dict[str, np.ndarray] = {}
    for name in MEANS:
        grid = getattr(tables, name)
        if grid is None:
            continue
        for axis, nodes in zip(AXES, grid.nodes, strict=True):
            arrays[f"{name}_nodes_{axis}"] = nodes
        arrays[f"{name}_counts"], arrays[f"{name}_served_by"] = grid.counts, grid.served_by
        for kind, moments in (("mean", grid.means), ("spread", grid.spreads)):
            arrays |= {f"{name}_{kind}_{quantity}": v for quantity, v in moments.items()}
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "cuts": asdict(tables.cuts),
        "n_events": tables.n_events,
        "n_background": tables.n_background,
        "min_count": tables.min_count,
        "bias": tables.bias.to_dict(),
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
    }
    members = {"model.json": json.dumps(header, allow_nan=False, indent=1).encode()}
    for name, array in arrays.items():
        text = " ".join(map(repr, array.ravel().tolist()))
        members[f"weights/{name}.txt"] = text.encode()
    path = Path(path)
    path.write_bytes(pack_members(members))
    return path


def read_tables(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Fields of ``ScalingTables``."""
    return read_checked(path, _read_fields)


def read_checked(path: str | os.PathLike[str], read: Callable[[dict[str, bytes]], Any]) -> Any:
    """Read the members of a file, and say of any damage which file it is in."""
    path = Path(path)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ModelFileError(f"{path.name} must be at most {MOST_BYTES} bytes, got {size}.")
    try:
        return read(unpack_members(path.read_bytes()))
    except ModelFileError as error:
        raise ModelFileError(f"{path.name}: {error}") from error
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError,
            RecursionError) as error:  # fmt: skip
        raise ModelFileError(
            f"{path.name}: its contents must form tables, got {type(error).__name__}: {error}. "
            "Save them again."
        ) from error


def read_header(members: dict[str, bytes], *, format_name: str, version: int) -> dict[str, Any]:
    """Take the header out of the members after checking what it calls itself."""
    header = json.loads(members.pop("model.json"))
    if not isinstance(header, dict) or header.get("format") != format_name:
        raise ModelFileError(f"model.json must say format {format_name!r}. It is another file.")
    found = header["format_version"]
    if type(found) is not int or not 1 <= found <= version:
        raise ModelFileError(
            f"format_version must be 1 to {version}, got {str(found)[:20]}. "
            "Install a newer astroml_kit."
        )
    return header


def _read_fields(members: dict[str, bytes]) -> dict[str, Any]:
    header = read_header(members, format_name=FORMAT, version=FORMAT_VERSION)
    shapes = header["arrays"]
    if {f"weights/{name}.txt" for name in shapes} != set(members):
        raise ModelFileError("model.json must list every array of the file, and no other.")
    arrays = {
        name: _read_array(members[f"weights/{name}.txt"], shape, name=name)
        for name, shape in shapes.items()
    }
    grids = {
        name: _build_grid(arrays, name)
        for name in MEANS
        if name == "gamma" or f"{name}_counts" in arrays
    }
    sizes = {name: header[name] for name in ("n_events", "n_background", "min_count")}
    if any(type(value) is not int or value < 0 for value in sizes.values()):
        raise ModelFileError(f"{sorted(sizes)} must be counts.")
    return {
        "gamma": grids["gamma"],
        "background": grids.get("background"),
        "bias": EnergyBias.from_dict(header["bias"]),
        "cuts": ImageCuts(**header["cuts"]),
        **sizes,
    }


def _read_array(data: bytes, shape: Any, *, name: str) -> np.ndarray:
    if (
        not isinstance(shape, list)
        or len(shape) > 4
        or not all(type(n) is int and 1 <= n <= MOST_VALUES for n in shape)
        or np.prod([float(n) for n in shape]) > MOST_VALUES
    ):
        raise ModelFileError(f"{name} must have a small shape, got {str(shape)[:60]}.")
    values = np.array(data.decode("ascii").split(), dtype=float).reshape(shape)
    if not np.isfinite(values).all():
        raise ModelFileError(f"{name} must hold finite numbers.")
    return values


def _build_grid(arrays: dict[str, np.ndarray], name: str) -> Grid:
    nodes = tuple(arrays[f"{name}_nodes_{axis}"] for axis in AXES)
    _check_axes(nodes)
    counts, served_by = arrays[f"{name}_counts"], arrays[f"{name}_served_by"]
    means = {quantity: arrays[f"{name}_mean_{quantity}"] for quantity in MEANS[name]}
    spreads = {quantity: arrays[f"{name}_spread_{quantity}"] for quantity in SPREADS[name]}
    shape = tuple(len(axis) for axis in nodes)
    if any(a.shape != shape for a in (counts, served_by, *means.values(), *spreads.values())):
        raise ModelFileError(f"{name} must have one value per bin.")
    whole = np.all(served_by % 1 == 0) and np.all(counts % 1 == 0)
    if not whole or served_by.min() < 0 or served_by.max() >= served_by.size:
        raise ModelFileError(f"{name}_served_by must point at its own bins, and counts be whole.")
    if min(spread.min() for spread in spreads.values()) < 0:
        raise ModelFileError(f"{name} must have spreads >= 0.")
    return Grid(nodes, counts.astype(int), served_by.astype(int), means, spreads)


def _check_axes(axes: Any) -> None:
    if any(axis.ndim != 1 or np.any(np.diff(axis) <= 0) for axis in axes):
        raise ModelFileError("nodes must increase along every axis.")
