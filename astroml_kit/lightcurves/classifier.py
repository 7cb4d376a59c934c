"""Light curves in, classes out: the period search, the features and a model as one thing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from .._validation import check_choice, invalid
from ..samples import Samples
from .curves import LightCurves
from .features import extract_features
from .periods import find_periods
from .sequences import extract_hybrid, extract_phase_curves

INPUTS = {
    "features": extract_features,
    "folds": extract_phase_curves,
    "hybrid": extract_hybrid,
}
KEY = "light_curves"  # of what a model file says of us
# Chosen on development folds of ASAS variables.
TREES: dict[str, Any] = {
    "n_estimators": 200, "learning_rate": 0.05, "max_leaves": 12, "min_samples_leaf": 8,
    "max_features": 0.2,
}  # fmt: skip
FOREST: dict[str, Any] = {"n_estimators": 300, "max_features": 0.2}
NETWORK: dict[str, Any] = {
    "hidden_size": 32, "n_layers": 3, "time_column": None, "max_epochs": 25,
    "learning_rate": 4e-3, "schedule": "cosine", "early_stopping": False, "dropout": 0.3,
    "l2": 1e-2,
}  # fmt: skip


class LightCurveClassifier:
    """Classify light curves: find periods, extract what a model reads, and ask it.

    Parameters
    ----------
    model : classifier of the zoo, optional
        Unfitted. Where it is not given: `BDTClassifier` for features, `SequenceClassifier`
        (convolutions) for folds, and both with a `ForestClassifier` in a `HybridClassifier` for
        "hybrid".
    inputs : {"features", "folds", "hybrid"}
        What the model reads: `extract_features`, `extract_phase_curves`, `extract_hybrid`.
    period_options : mapping, optional
        Of `find_periods`, such as ``{"period_min": 0.04}``.
    random_state : int, optional
        Of the usual models.

    Attributes
    ----------
    model_ : estimator
        Fitted.
    classes_ : list of str
    unit_, bands_ : str, tuple of str
        Of the training light curves.
    left_out_ : list of str
        Training objects that were too short for a period.

    Examples
    --------
    >>> from astroml_kit.lightcurves import simulate_lightcurves
    >>> curves = simulate_lightcurves(["rr-ab", "mira"], n=12, random_state=1)
    >>> model = LightCurveClassifier(random_state=1).fit(curves, label="label")
    >>> table = model.predict(simulate_lightcurves(["rr-ab", "mira"], n=2, random_state=2))
    >>> table.colnames
    ['name', 'class', 'p_mira', 'p_rr-ab', 'period', 'n_steps']
    >>> sorted(table["class"].tolist())
    ['mira', 'mira', 'rr-ab', 'rr-ab']
    """

    def __init__(
        self,
        model: Any = None,
        *,
        inputs: str = "features",
        period_options: Mapping[str, Any] | None = None,
        random_state: int | None = None,
    ) -> None:
        self.model = model
        self.inputs = check_choice("inputs", inputs, INPUTS)
        self.period_options = dict(period_options or {})
        self.random_state = random_state

    def __str__(self) -> str:
        if not hasattr(self, "model_"):
            return f"classifier of light curves by {self.inputs}, not fitted"
        bands = f", bands {', '.join(self.bands_)}" if self.bands_ else ""
        return (
            f"classifier of light curves in {self.unit_}{bands} by {self.inputs}: "
            f"{type(self.model_).__name__} of {len(self.classes_)} classes"
        )

    def fit(
        self,
        curves: LightCurves,
        *,
        label: str = "class_name",
        groups: str | None = None,
        periods: Table | None = None,
    ) -> LightCurveClassifier:
        """Train.

        Parameters
        ----------
        curves : LightCurves
            Objects that are too short for a period are left out; ``left_out_`` names them.
        label : str
            Column of ``curves.objects`` with the class.
        groups : str, optional
            Column of ``curves.objects`` that says what must not be split where the model splits:
            "origin" for augmented copies.
        periods : Table, optional
            From `find_periods` with the same options.

        Raises
        ------
        ValueError
            For a column that is not there, fewer than two classes, and as for the model.
        """
        periods = find_periods(curves, **self.period_options) if periods is None else periods
        found = np.isin(curves.names.astype(str), np.asarray(periods["name"]).astype(str))
        if not found.any():
            raise invalid("curves", "light curves with a period", f"none among {len(curves)}")
        samples = INPUTS[self.inputs](
            curves.select(found), periods=periods, label=label, groups=groups
        )
        if len(samples.meta["classes"]) < 2:
            raise invalid("label", "of two classes or more", samples.meta["classes"])
        from ..models.files import describe_training

        self.left_out_ = curves.names[~found].astype(str).tolist()
        self.unit_, self.bands_ = curves.unit, tuple(curves.bands)
        self.classes_ = list(samples.meta["classes"])
        self.model_ = self._make_model(samples).fit(samples)
        self._training = describe_training(samples)
        return self

    def _make_model(self, samples: Samples) -> Any:
        from sklearn.base import clone

        model = clone(self.model) if self.model is not None else self._make_usual()
        shape = samples.meta.get("sequence_shape")
        named = [name for name in model.get_params() if name.endswith("sequence_shape")]
        return model.set_params(**dict.fromkeys(named, shape)) if shape else model

    def _make_usual(self) -> Any:
        from ..models import (
            BDTClassifier,
            DeepEnsemble,
            ForestClassifier,
            HybridClassifier,
            SequenceClassifier,
        )

        seed = self.random_state
        trees = BDTClassifier(**TREES, random_state=seed)
        network = SequenceClassifier("conv", **NETWORK, random_state=seed)
        if self.inputs == "features":
            return trees
        if self.inputs == "folds":
            return network
        members = [
            ("trees", trees),
            ("forest", ForestClassifier(**FOREST, random_state=seed)),
            ("network", DeepEnsemble(network, n_members=2)),
        ]
        return HybridClassifier(members, n_splits=3, random_state=seed)

    def predict(self, curves: LightCurves, *, periods: Table | None = None) -> QTable:
        """Return the class of every light curve, whatever others there are.

        Parameters
        ----------
        curves : LightCurves
            In the unit of the training ones, and in their bands or some of them.
        periods : Table, optional
            From `find_periods` with the same options.

        Returns
        -------
        QTable
            Rows in the order of ``curves``: ``name``, ``class``, ``p_<class>`` for each class,
            ``period`` [d] and ``n_steps`` (that can be used). Objects that are too short for a
            period have the class "", NaN for probabilities and period, and are named in
            ``meta["too_short"]``.

        Raises
        ------
        ValueError
            For a unit or bands that the training light curves did not have.
        """
        curves = self._check(curves)
        periods = find_periods(curves, **self.period_options) if periods is None else periods
        names = curves.names.astype(str)
        best = periods[np.asarray(periods["rank"]) == 0]
        days = best["period"].to_value("day") if len(best) else []
        known = dict(zip(np.asarray(best["name"]).astype(str), days, strict=True))
        period = np.array([known.get(name, np.nan) for name in names], dtype=float)
        found = np.isfinite(period)
        share = np.full((len(curves), len(self.classes_)), np.nan)
        if found.any():
            samples = INPUTS[self.inputs](curves.select(found), periods=periods)
            share[found] = self.model_.predict_proba(
                samples if samples.feature_names else samples.X
            )
        labels = np.array([*self.classes_, ""])
        place = np.where(found, np.nan_to_num(share).argmax(axis=1), len(self.classes_))
        table = QTable({"name": names, "class": labels[place]})
        for name, column in zip(self.classes_, share.T, strict=True):
            table[f"p_{name}"] = column
        table["period"] = period * u.day
        used = np.concatenate([[0], np.cumsum(~curves.mask)])
        table["n_steps"] = np.diff(used[curves.offsets])
        table.meta["too_short"] = names[~found].tolist()
        return table

    def predict_proba(self, curves: LightCurves, *, periods: Table | None = None) -> np.ndarray:
        """Probabilities, shape (n_objects, n_classes), in the order of ``classes_``.

        NaN for objects that are too short for a period.
        """
        table = self.predict(curves, periods=periods)
        return np.column_stack([table[f"p_{name}"] for name in self.classes_])

    def _check(self, curves: LightCurves) -> LightCurves:
        """Return light curves whose bands are numbered as in training."""
        if not hasattr(self, "model_"):
            raise ValueError("the classifier must be fitted first. Call fit.")
        if curves.unit != self.unit_:
            raise invalid("curves", f"in {self.unit_}, as in training", curves.unit)
        if bool(curves.bands) != bool(self.bands_) or set(curves.bands) - set(self.bands_):
            raise invalid(
                "curves", f"in the bands of the training, {list(self.bands_)}", str(curves.bands),
                "Select or rename them.",
            )  # fmt: skip
        if curves.band is None or curves.bands == self.bands_:
            return curves
        code = np.array([self.bands_.index(band) for band in curves.bands])
        return replace(curves, band=code[curves.band].astype(curves.band.dtype), bands=self.bands_)

    def save(
        self, path: str | os.PathLike[str], *, metrics: Mapping[str, Any] | None = None
    ) -> Path:
        """Write model and settings to one file, as `save_model` does; nothing is pickled.

        Raises
        ------
        ValueError
            For a model that is not of the zoo, or not fitted.
        """
        from ..models import save_model

        if not hasattr(self, "model_"):
            raise ValueError("the classifier must be fitted to be saved. Call fit first.")
        settings = {
            "inputs": self.inputs, "period_options": self.period_options, "unit": self.unit_,
            "bands": list(self.bands_), "classes": self.classes_, "left_out": self.left_out_,
        }  # fmt: skip
        return save_model(
            self.model_, path, metrics=metrics, training=self._training | {KEY: settings}
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LightCurveClassifier:
        """Read what `save` wrote.

        Raises
        ------
        ModelFileError
            For a damaged file, or that of a model without the settings of light curves.
        """
        from ..models import ModelFileError, load_model

        model = load_model(path)
        training = dict(model.model_card_["training"])
        try:
            settings = training.pop(KEY)
            one = cls(inputs=settings["inputs"], period_options=settings["period_options"])
            one.unit_, one.bands_ = str(settings["unit"]), tuple(map(str, settings["bands"]))
            one.classes_ = [str(name) for name in settings["classes"]]
            one.left_out_ = [str(name) for name in settings["left_out"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"{Path(path).name}: it must hold the settings of a classifier of light curves, "
                f"got {type(error).__name__}: {error}. Use load_model for other models."
            ) from error
        if len(one.classes_) != len(model.classes_):
            raise ModelFileError(f"{Path(path).name}: its classes must be those of its model.")
        one.model_, one._training = model, training
        return one
