"""A fitted model as JSON values and weights, and back, from our own lists of classes only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._archive import ModelFileError
from ._backbones import name_backbone
from .anomaly import AnomalyDetector
from .autoencoders import Autoencoder, VariationalAutoencoder
from .bands import BandedClassifier
from .bdt import BDTClassifier, BDTRegressor
from .gan import GAN
from .image_classifier import ImageClassifier
from .image_embedder import ImageEmbedder
from .neural import NeuralClassifier, NeuralRegressor
from .sequence_classifier import SequenceClassifier
from .sequence_forecaster import SequenceForecaster
from .sky_dbscan import SkyDBSCAN

CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        AnomalyDetector,
        Autoencoder,
        BDTClassifier,
        BDTRegressor,
        BandedClassifier,
        GAN,
        ImageClassifier,
        ImageEmbedder,
        NeuralClassifier,
        NeuralRegressor,
        SequenceClassifier,
        SequenceForecaster,
        SkyDBSCAN,
        VariationalAutoencoder,
    )
}
# What may serve a band.
INSIDE = ("BDTClassifier", "NeuralClassifier")
# Where something was trained is no part of what was learned.
LOCAL = ("cache", "checkpoint")


def describe_model(model: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the JSON entry of a model and its weights under ``weights/``."""
    name = type(model).__name__
    if CLASSES.get(name) is not type(model):
        raise ValueError(f"model must be one of {sorted(CLASSES)}, got {name}.")
    if not hasattr(model, "n_features_in_"):
        raise ValueError("model must be fitted, got one that is not. Call fit first.")
    parameters = model.get_params(deep=False)
    entry: dict[str, Any] = {"class": name, "n_features": int(model.n_features_in_)}
    if hasattr(model, "feature_names_in_"):
        entry["feature_names"] = [str(feature) for feature in model.feature_names_in_]
    if hasattr(model, "classes_"):
        entry["classes"] = _write_labels(model.classes_)
    weights: dict[str, bytes] = {}
    if isinstance(model, BandedClassifier):
        inner = parameters.pop("estimator")
        entry["models"] = {}
        for number, member in model.models_.items():
            described, texts = describe_model(member)
            entry["models"][str(number)] = described
            stem = f"weights/band_{number:04d}"
            weights |= {f"{stem}_{key.rpartition('/')[2]}": text for key, text in texts.items()}
        entry["estimator"] = None if inner is None else _describe_parameters(inner)
        entry["counts"] = np.column_stack(
            [np.asarray(model.bands_[f"n_{label}"]) for label in model.classes_]
        ).tolist()
        entry["fallback_from"] = np.asarray(model.bands_["fallback_from"]).tolist()
        entry["n_outside"] = model.n_outside_
    else:
        entry["fitted"], texts = model._get_fitted()
        weights = {f"weights/{key}": text for key, text in texts.items()}
    entry["parameters"] = {key: _write_value(key, value) for key, value in parameters.items()}
    return entry, weights


def _describe_parameters(model: Any) -> dict[str, Any]:
    name = type(model).__name__
    if name not in INSIDE or CLASSES[name] is not type(model):
        raise ValueError(f"estimator must be one of {list(INSIDE)} to be saved, got {name}.")
    parameters = model.get_params(deep=False)
    return {
        "class": name,
        "parameters": {key: _write_value(key, value) for key, value in parameters.items()},
    }


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


def build_model(
    entry: Mapping[str, Any], weights: Mapping[str, bytes], *, inside: bool = False
) -> Any:
    """Make the model from its entry: our classes, our parameters, checked weights."""
    cls = _find_class(entry["class"], inside=inside)
    parameters = dict(entry["parameters"])
    if cls is BandedClassifier:
        inner = entry["estimator"]
        parameters["estimator"] = None if inner is None else _build_unfitted(inner)
    model = _make(cls, parameters)
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
    if cls is not BandedClassifier:
        plain = {name.rpartition("/")[2]: data for name, data in weights.items()}
        model._set_fitted(entry["fitted"], plain)
        return model
    model._store_edges()
    model.models_ = {}
    for number, member in entry["models"].items():
        prefix = f"weights/band_{int(number):04d}_"
        own = {
            "weights/" + name[len(prefix) :]: data
            for name, data in weights.items()
            if name.startswith(prefix)
        }
        model.models_[int(number)] = build_model(member, own, inside=True)
    counts = np.array(entry["counts"], dtype=int)
    fallback = np.array(entry["fallback_from"], dtype=int)
    n_bands = int(np.prod(model._count_bands()))
    served_by = np.where(fallback < 0, np.arange(len(fallback)), fallback)
    if counts.shape != (n_bands, len(model.classes_)) or fallback.shape != (n_bands,):
        raise ModelFileError("the table of bands must have one row per band.")
    if set(served_by.tolist()) != set(model.models_):
        raise ModelFileError("every band must be served by a model of the file.")
    model.n_outside_ = int(entry["n_outside"])
    model._write_bands(counts, served_by)
    return model


def _build_unfitted(entry: Mapping[str, Any]) -> Any:
    return _make(_find_class(entry["class"], inside=True), dict(entry["parameters"]))


def _find_class(name: Any, *, inside: bool) -> type[Any]:
    if not isinstance(name, str) or name not in CLASSES:
        raise ModelFileError(f"class must be one of {sorted(CLASSES)}, got {str(name)[:60]!r}.")
    if inside and name not in INSIDE:
        raise ModelFileError(f"the model of a band must be one of {list(INSIDE)}.")
    return CLASSES[name]


def _make(cls: type[Any], parameters: dict[str, Any]) -> Any:
    known = cls().get_params(deep=False)
    if surplus := sorted(set(parameters) - set(known)):
        raise ModelFileError(
            f"{cls.__name__} has the parameters {sorted(known)}, got {surplus} besides."
        )
    for name, value in parameters.items():
        if name in ("estimator", "band_columns", "band_edges"):
            continue
        if name == "class_weight" and isinstance(value, list):
            parameters[name] = {label: float(weight) for label, weight in value}
        elif isinstance(value, list) and isinstance(known[name], tuple):
            if not all(isinstance(item, int | float | str) for item in value):
                raise ModelFileError(f"{name} must hold plain values.")
            parameters[name] = tuple(value)
        elif not (value is None or isinstance(value, bool | int | float | str)):
            raise ModelFileError(f"{name} must be a plain value, got {type(value).__name__}.")
    model = cls(**parameters)
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
