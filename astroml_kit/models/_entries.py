"""A fitted model as JSON values and weights, and back, from our own lists of classes only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._archive import ModelFileError
from ._backbones import name_backbone
from .anomaly import AnomalyDetector
from .autoencoders import Autoencoder
from .bands import BandedClassifier
from .bdt import BDTClassifier, BDTRegressor
from .blended import BlendedClassifier
from .calibrated import CalibratedClassifier
from .calibrated_density import CalibratedRegressor
from .conformal import ConformalClassifier, ConformalRegressor
from .deep_ensemble import DeepEnsemble
from .forest import ForestClassifier
from .gan import GAN
from .hybrid import HybridClassifier
from .image_classifier import ImageClassifier
from .image_embedder import ImageEmbedder
from .laplace import LaplaceRegressor
from .mixture_density import MixtureDensityRegressor
from .neural import NeuralClassifier, NeuralRegressor
from .pseudo_labels import PseudoLabelClassifier
from .sequence_classifier import SequenceClassifier
from .sequence_forecaster import SequenceForecaster
from .sky_dbscan import SkyDBSCAN
from .variational import VariationalAutoencoder

CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        AnomalyDetector,
        Autoencoder,
        BDTClassifier,
        BDTRegressor,
        BandedClassifier,
        BlendedClassifier,
        CalibratedClassifier,
        CalibratedRegressor,
        ConformalClassifier,
        ConformalRegressor,
        DeepEnsemble,
        ForestClassifier,
        GAN,
        HybridClassifier,
        ImageClassifier,
        ImageEmbedder,
        LaplaceRegressor,
        MixtureDensityRegressor,
        NeuralClassifier,
        NeuralRegressor,
        PseudoLabelClassifier,
        SequenceClassifier,
        SequenceForecaster,
        SkyDBSCAN,
        VariationalAutoencoder,
    )
}
# Where something was trained is no part of what was learned.
LOCAL = ("cache", "checkpoint")
DEEPEST = 4  # models inside models
PART = re.compile(r"[a-z]{1,20}_\d{4}")


def describe_model(model: Any, *, depth: int = 0) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the JSON entry of a model and its weights under ``weights/``.

    A model made of others says so by ``_get_parts``, which returns its own JSON state and its
    fitted parts by name.
    """
    name = type(model).__name__
    if CLASSES.get(name) is not type(model):
        raise ValueError(f"model must be one of {sorted(CLASSES)}, got {name}.")
    if not hasattr(model, "n_features_in_"):
        raise ValueError("model must be fitted, got one that is not. Call fit first.")
    if depth > DEEPEST:
        raise ValueError(f"model must hold models at most {DEEPEST} deep to be saved.")
    entry: dict[str, Any] = {"class": name, "n_features": int(model.n_features_in_)}
    if hasattr(model, "feature_names_in_"):
        entry["feature_names"] = [str(feature) for feature in model.feature_names_in_]
    if hasattr(model, "classes_"):
        entry["classes"] = _write_labels(model.classes_)
    weights: dict[str, bytes] = {}
    if hasattr(model, "_get_parts"):
        entry["fitted"], parts = model._get_parts()
        entry["parts"] = {}
        for key, part in parts.items():
            entry["parts"][key], own = describe_model(part, depth=depth + 1)
            weights |= {
                f"weights/{key}.{path.removeprefix('weights/')}": d for path, d in own.items()
            }
    else:
        entry["fitted"], texts = model._get_fitted()
        weights = {f"weights/{key}": text for key, text in texts.items()}
    return entry | _describe_parameters(model, depth), weights


def _describe_parameters(model: Any, depth: int) -> dict[str, Any]:
    """Parameters as JSON values, estimators among them apart, as class and parameters."""
    plain: dict[str, Any] = {}
    inner: dict[str, Any] = {}
    for name, value in model.get_params(deep=False).items():
        if hasattr(value, "get_params"):
            inner[name] = _describe_unfitted(name, value, depth)
        elif name == "estimators":
            inner[name] = [[str(key), _describe_unfitted(name, one, depth)] for key, one in value]
        else:
            plain[name] = _write_value(name, value)
    return {"parameters": plain} | ({"estimators": inner} if inner else {})


def _describe_unfitted(name: str, model: Any, depth: int) -> dict[str, Any]:
    cls = type(model).__name__
    if CLASSES.get(cls) is not type(model) or depth >= DEEPEST:
        raise ValueError(f"{name} must be one of {sorted(CLASSES)} to be saved, got {cls}.")
    return {"class": cls} | _describe_parameters(model, depth + 1)


def _write_value(name: str, value: Any) -> Any:
    if name in LOCAL:
        return None
    if name == "backbone":
        return name_backbone(value)
    if name == "class_weight" and isinstance(value, Mapping):
        return [[_write_value(name, label), float(weight)] for label, weight in value.items()]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_write_value(name, item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(
        f"{name} must be a plain value to be saved, got {type(value).__name__}. "
        "For random_state give an integer."
    )


def build_model(entry: Mapping[str, Any], weights: Mapping[str, bytes], *, depth: int = 0) -> Any:
    """Make the model from its entry: our classes, our parameters, checked weights."""
    model = _build_unfitted(entry, depth)
    n_features = entry["n_features"]
    if type(n_features) is not int or not 1 <= n_features < 2**20:
        raise ModelFileError("n_features must be a positive integer.")
    model.n_features_in_ = n_features
    if "feature_names" in entry:
        names = entry["feature_names"]
        if len(names) != n_features or not all(isinstance(name, str) for name in names):
            raise ModelFileError("feature_names must name every feature.")
        model.feature_names_in_ = np.array(names, dtype=object)
    if "classes" in entry:
        model.classes_ = _read_labels(entry["classes"])
    if not hasattr(model, "_set_parts"):
        plain = {name.rpartition("/")[2]: data for name, data in weights.items()}
        model._set_fitted(entry["fitted"], plain)
        return model
    parts = {}
    for key, part in entry["parts"].items():
        if not PART.fullmatch(key):
            raise ModelFileError(f"a part must be named like band_0001, got {key[:40]!r}.")
        prefix = f"weights/{key}."
        own = {
            f"weights/{name.removeprefix(prefix)}": data
            for name, data in weights.items()
            if name.startswith(prefix)
        }
        parts[key] = build_model(part, own, depth=depth + 1)
    model._set_parts(entry["fitted"], parts)
    return model


def _build_unfitted(entry: Mapping[str, Any], depth: int) -> Any:
    if depth > DEEPEST:
        raise ModelFileError(f"models must be at most {DEEPEST} deep inside others.")
    name = entry["class"]
    if not isinstance(name, str) or name not in CLASSES:
        raise ModelFileError(f"class must be one of {sorted(CLASSES)}, got {str(name)[:60]!r}.")
    inner: dict[str, Any] = {}
    for key, described in dict(entry.get("estimators", {})).items():
        if isinstance(described, list):
            inner[key] = [(str(k), _build_unfitted(one, depth + 1)) for k, one in described]
        else:
            inner[key] = _build_unfitted(described, depth + 1)
    return _make(CLASSES[name], dict(entry["parameters"]), inner)


def _make(cls: type[Any], parameters: dict[str, Any], inner: dict[str, Any]) -> Any:
    known = cls().get_params(deep=False)
    if surplus := sorted({*parameters, *inner} - set(known)):
        raise ModelFileError(
            f"{cls.__name__} has the parameters {sorted(known)}, got {surplus} besides."
        )
    for name, value in parameters.items():
        if name in ("band_columns", "band_edges"):
            continue
        if name == "class_weight" and isinstance(value, list):
            parameters[name] = {label: float(weight) for label, weight in value}
        elif isinstance(value, list) and isinstance(known[name], tuple):
            if not all(isinstance(item, int | float | str) for item in value):
                raise ModelFileError(f"{name} must hold plain values.")
            parameters[name] = tuple(value)
        elif not (value is None or isinstance(value, bool | int | float | str)):
            raise ModelFileError(f"{name} must be a plain value, got {type(value).__name__}.")
    model = cls(**parameters, **inner)
    if hasattr(model, "_check_parameters"):
        model._check_parameters()
    return model


def _write_labels(labels: np.ndarray) -> dict[str, Any]:
    kind = labels.dtype.kind
    if kind == "O" and all(isinstance(label, str) for label in labels):
        return {"kind": "O", "values": labels.tolist()}
    if kind not in "iubfU":
        raise ValueError(
            f"classes must be numbers, booleans or text to be saved, got {labels.dtype}."
        )
    return {"kind": labels.dtype.str, "values": labels.tolist()}


def _read_labels(entry: Mapping[str, Any]) -> np.ndarray:
    kind, values = entry["kind"], entry["values"]
    if kind == "O":
        if not all(isinstance(value, str) for value in values):
            raise ModelFileError("classes must be text.")
        labels = np.array(values, dtype=object)
    else:
        dtype = np.dtype(str(kind))
        if dtype.kind not in "iubfU" or dtype.itemsize > 4096:
            raise ModelFileError("classes must be numbers, booleans or text.")
        labels = np.array(values, dtype=dtype)
    if labels.ndim != 1 or len(labels) < 2 or len(set(labels.tolist())) != len(labels):
        raise ModelFileError("classes must be two or more different labels.")
    return labels
