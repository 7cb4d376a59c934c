"""Learned reconstructions in a file: the models' own entries under one header, no pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..models._archive import ModelFileError, pack_members
from ..models._entries import build_model, describe_model
from ..models.bdt import BDTRegressor
from ._scaling_files import read_checked, read_header

FORMAT_VERSION = 1


def write_learned(
    path: str | os.PathLike[str],
    *,
    kind: str,
    models: Mapping[str, BDTRegressor],
    values: Mapping[str, Any],
) -> Path:
    """Write models and JSON values to one file."""
    header: dict[str, Any] = {
        "format": f"astroml_kit {kind}",
        "format_version": FORMAT_VERSION,
        "values": dict(values),
        "models": {},
    }
    members = {}
    for name, model in models.items():
        header["models"][name], weights = describe_model(model)
        for key, text in weights.items():
            members[f"weights/{name}.{key.rpartition('/')[2]}"] = text
    text = json.dumps(header, allow_nan=False, indent=1).encode()
    path = Path(path)
    path.write_bytes(pack_members({"model.json": text, **members}))
    return path


def read_learned(
    path: str | os.PathLike[str],
    *,
    kind: str,
    names: tuple[str, ...],
    build: Callable[[dict[str, Any], dict[str, Any]], Any],
) -> Any:
    """Check a file that `write_learned` wrote, and ``build(models, values)`` from it.

    Each of the models must take as many features as the values list.
    """

    def read(members: dict[str, bytes]) -> Any:
        header = read_header(members, format_name=f"astroml_kit {kind}", version=FORMAT_VERSION)
        if set(header["models"]) != set(names) or not isinstance(header["values"], dict):
            raise ModelFileError(f"model.json must describe the models {list(names)}.")
        models = {}
        for name in names:
            start = f"weights/{name}."
            own = {
                f"weights/{key[len(start) :]}": members.pop(key)
                for key in sorted(members)
                if key.startswith(start)
            }
            model = build_model(header["models"][name], own)
            if type(model) is not BDTRegressor:
                raise ModelFileError(f"{name} must be a BDTRegressor.")
            models[name] = model
        if members:
            raise ModelFileError(f"model.json must list every member, got {sorted(members)[:3]}.")
        values = header["values"]
        values["features"] = tuple(str(name) for name in values["features"])
        if any(model.n_features_in_ != len(values["features"]) for model in models.values()):
            raise ModelFileError("every model must take the features of the file.")
        return build(models, values)

    return read_checked(path, read)
