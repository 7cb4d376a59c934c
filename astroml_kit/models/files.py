"""Model files without pickle: one zip of JSON and numbers that can be read but not run.

Layout, format version 1::

    model.json                  format, format_version, class, parameters, fitted state, feature
                                names, library versions, training-data fingerprint, metrics,
                                sha256 of every other member
    weights/<name>.txt          LightGBM text, one per booster
    weights/<name>.safetensors  weights of a network and the scales of its inputs
    (archive comment)           sha256 of every byte before it

The comment catches damage before anything is parsed. A hostile file can carry a right checksum,
so every later step bounds what it reads: known members only, sizes before decompression, classes
from a list in this module, parameters by name, tree text number by number, tensors by the names
and shapes that the parameters ask for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from ..samples import Samples
from ._archive import MOST_BYTES, ModelFileError, pack_members, unpack_members
from ._entries import CLASSES, build_model, describe_model
from ._tensors import replace_file

FORMAT = "astroml_kit model"
FORMAT_VERSION = 1
LIBRARIES = ("astroml_kit", "numpy", "scikit-learn", "lightgbm", "torch", "skorch", "safetensors")
OPTIONAL = ("transformers",)


def save_model(
    model: Any,
    path: str | os.PathLike[str],
    *,
    metrics: Mapping[str, Any] | None = None,
    training: Samples | Mapping[str, Any] | None = None,
) -> Path:
    """Write a fitted model to one file, replacing an older one only when the new one is whole.

    Parameters
    ----------
    model : a model of the zoo
        Fitted; `list_models` names them.
    path : path-like
        Where to write.
    metrics : mapping, optional
        What was measured: JSON values only (numbers, text, lists, mappings).
    training : Samples or mapping, optional
        The training data, of which a sha256 and the size are kept, or your own description.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    ValueError
        When the model is not fitted, not ours, or a value cannot be written as JSON.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from astroml_kit.models import BDTClassifier, load_model, save_model
    >>> X, y = np.arange(80.0).reshape(40, 2), np.arange(40) % 2
    >>> model = BDTClassifier(n_estimators=5, random_state=1).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_model(model, folder + "/bdt.model", metrics={"auc": 0.5})
    ...     again = load_model(path)
    >>> bool(np.all(again.predict_proba(X) == model.predict_proba(X)))
    True
    >>> again.model_card_["metrics"]
    {'auc': 0.5}
    """
    path = Path(path)
    entry, weights = describe_model(model)
    card = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model": entry,
        "versions": _list_versions(),
        "training": describe_training(training),
        "metrics": dict(metrics or {}),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in weights.items()},
    }
    try:
        text = json.dumps(card, allow_nan=False, indent=1, default=_convert_scalar)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"metrics, training and parameters must be JSON values, got: {error}. "
            "Convert them to finite numbers, text, lists or mappings."
        ) from error
    content = pack_members({"model.json": text.encode(), **weights})
    if len(content) > MOST_BYTES:
        raise ValueError(
            f"model must take at most {MOST_BYTES} bytes in a file, got {len(content)}. "
            "Choose a smaller backbone."
        )
    replace_file(path, content)
    return path


def load_model(path: str | os.PathLike[str]) -> Any:
    """Read a model that `save_model` wrote; nothing in the file is executed.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    estimator
        Fitted, predicting exactly as it did when saved. ``model_card_`` holds the metrics, the
        training-data fingerprint and the library versions of the file.

    Raises
    ------
    ModelFileError
        For anything but a whole file of a known format and class.
    OSError
        When the file cannot be opened.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ModelFileError(f"{path.name} must be at most {MOST_BYTES} bytes, got {size}.")
    content = path.read_bytes()
    try:
        return _read_model(content)
    except ModelFileError as error:
        raise ModelFileError(f"{path.name}: {error}") from error
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OverflowError,
        AttributeError,
        RecursionError,
        RuntimeError,
    ) as error:
        raise ModelFileError(
            f"{path.name}: its contents must form a model, got {type(error).__name__}: {error}. "
            "Save the model again."
        ) from error


def _read_model(content: bytes) -> Any:
    members = unpack_members(content)
    card = json.loads(members.pop("model.json"), parse_constant=_refuse_constant)
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ModelFileError(f"model.json must say format {FORMAT!r}. It is no model of ours.")
    version = card["format_version"]
    if type(version) is not int or version < 1:
        raise ModelFileError("format_version must be a positive integer.")
    if version > FORMAT_VERSION:
        made_by = dict(card.get("versions", {})).get("astroml_kit", "?")
        raise ModelFileError(
            f"format_version must be at most {FORMAT_VERSION}, got {version}. "
            f"It was written by astroml_kit {str(made_by)[:20]}: install that or a newer one."
        )
    if set(card["sha256"]) != set(members):
        raise ModelFileError("model.json must list every member of the file, and no other.")
    for name, data in members.items():
        if hashlib.sha256(data).hexdigest() != card["sha256"][name]:
            raise ModelFileError(f"{name} does not match its sha256. Save the model again.")
    model = build_model(card["model"], members)
    model.model_card_ = {key: card[key] for key in ("versions", "training", "metrics")}
    return model


def describe_training(training: Samples | Mapping[str, Any] | None) -> dict[str, Any]:
    """Fingerprint and size of training data, counts of labels and groups, or what was told."""
    if not isinstance(training, Samples):
        return dict(training or {})
    y, groups = training.y, training.groups
    described: dict[str, Any] = {
        "sha256": fingerprint_samples(training),
        "n_samples": len(training),
        "shape": list(training.X.shape[1:]),
        "feature_names": list(training.feature_names),
        "n_groups": None if groups is None else len(np.unique(groups)),
        "weighted": training.weights is not None,
    }
    if y is not None and y.ndim == 1 and y.dtype.kind in "iubUO":
        labels, counts = np.unique(y, return_counts=True)
        described["labels"] = dict(zip(map(str, labels), counts.tolist(), strict=True))
    return described


def fingerprint_samples(samples: Samples) -> str:
    """sha256 over the values, types and shapes of X, y, groups and weights."""
    digest = hashlib.sha256()
    for name in ("X", "y", "groups", "weights"):
        value = getattr(samples, name)
        if value is None:
            continue
        array = np.ascontiguousarray(value)
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update("\0".join(map(str, array.ravel())).encode() if array.dtype.kind == "O"
                      else array.tobytes())  # fmt: skip
    return digest.hexdigest()


def fingerprint_model(model: Any) -> str:
    """Class and sha256 of all that the answers of a fitted model depend on.

    Of a model that is none of the zoo, joblib's hash.
    """
    name = type(model).__name__
    if CLASSES.get(name) is not type(model):
        import joblib

        return f"{name} {joblib.hash(model)}"
    entry, weights = describe_model(model)
    for parameter in ("cache", "checkpoint", "progress"):  # none of them changes an answer
        entry["parameters"].pop(parameter, None)
    digest = hashlib.sha256(json.dumps(entry, sort_keys=True, default=_convert_scalar).encode())
    for part in sorted(weights):
        digest.update(part.encode() + weights[part])
    return f"{name} {digest.hexdigest()}"


def _list_versions() -> dict[str, str]:
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            versions[library] = "unknown"
    for library in OPTIONAL:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[library] = metadata.version(library)
    return versions


def _convert_scalar(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _refuse_constant(name: str) -> float:
    raise ModelFileError(f"model.json must hold finite numbers, got {name}.")
