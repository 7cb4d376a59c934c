"""Energy and direction of showers by boosted trees, on top of the tables and the geometry."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from sklearn.base import clone
from sklearn.model_selection import GroupKFold

from .._validation import check_columns, check_real
from ..models import BDTRegressor
from ._learned_features import (
    LOGARITHMS,
    OPTIONAL,
    PLAIN,
    match_events,
    read_energy,
    read_features,
    replace_columns,
    stack_features,
)
from ._learned_files import read_learned, write_learned
from ._scaling_bias import EnergyBias, fit_bias
from ._showers import find_showers
from ._stereo_disp import combine_images, describe_images, find_targets
from ._stereo_geometry import reconstruct_geometry
from ._stereo_images import ImageCuts, read_angle, select_images

ENERGY_FILE, DIRECTION_FILE = "energy regressor", "direction regressor"
ENERGY_MODELS = ("model", "error")
DISP_MODELS = ("disp", "along", "across")
# Mean of ln|x| of a standard normal x, -(gamma + ln 2) / 2: from residuals to their spread.
MEAN_LOG_NORMAL = -(np.euler_gamma + np.log(2)) / 2


@dataclass(frozen=True, eq=False)
class EnergyRegressor:
    """Corrects the energy of the look-up tables with all that is known of an event.

    Made by `train_energy`.

    Attributes
    ----------
    model, error : BDTRegressor
        Predict ln(true / table energy), and ln of what it is off by.
    features : tuple of str
        Event columns it uses.
    bias : EnergyBias
        Correction of what bias is left.
    """

    model: BDTRegressor
    error: BDTRegressor
    features: tuple[str, ...]
    bias: EnergyBias

    def predict(self, events: QTable) -> QTable:
        """Replace ``reco_energy`` and ``reco_energy_error``; keep the old as ``table_energy``.

        Parameters
        ----------
        events : `~astropy.table.QTable`
            From ``reconstruct_stereo(..., tables=tables)`` with the tables of the training.

        Returns
        -------
        `~astropy.table.QTable`
            A copy of ``events``.
        """
        X = read_features(events, self.features)
        valid = np.isfinite(X[:, 0])
        estimate, spread = np.full((2, len(events)), np.nan)
        if valid.any():
            raw = X[valid, 0] + self.model.predict(X[valid])
            estimate[valid], stretch = self.bias.correct(raw, *np.zeros((2, len(raw))))
            spread[valid] = np.exp(self.error.predict(X[valid])) * stretch * self.bias.scale
        energy = np.exp(estimate)
        return replace_columns(
            events,
            {"reco_energy": energy * u.TeV, "reco_energy_error": energy * spread * u.TeV},
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the regressor to one file without pickle."""
        values = {"features": list(self.features), "bias": self.bias.to_dict()}
        return write_learned(
            path,
            kind=ENERGY_FILE,
            models={name: getattr(self, name) for name in ENERGY_MODELS},
            values=values,
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> EnergyRegressor:
        """Read what `save` wrote; raises ModelFileError for anything else."""

        def build(models: dict[str, Any], values: dict[str, Any]) -> EnergyRegressor:
            bias = EnergyBias.from_dict(values["bias"])
            return cls(**models, features=values["features"], bias=bias)

        regressor: EnergyRegressor = read_learned(
            path, kind=ENERGY_FILE, names=ENERGY_MODELS, build=build
        )
        return regressor


@dataclass(frozen=True, eq=False)
class DirectionRegressor:
    """Finds the source by what each image says along and across its axis.

    Made by `train_direction`.

    Attributes
    ----------
    disp : BDTRegressor
        Predicts the distance of the source along the axis, deg.
    along, across : BDTRegressor
        Predict ln of the error along the axis and across it.
    features : tuple of str
        What they use of an image.
    cuts : ImageCuts
        Which images take part.
    scale : float
        What the predicted error is multiplied by so that it holds 68 % of the truths.
    """

    disp: BDTRegressor
    along: BDTRegressor
    across: BDTRegressor
    features: tuple[str, ...]
    cuts: ImageCuts
    scale: float

    def predict(
        self,
        events: QTable,
        images: QTable,
        *,
        telescopes: QTable | None = None,
        zenith: Any = None,
    ) -> QTable:
        """Replace the direction; keep the old as ``geometry_fov_lon`` and its like.

        Parameters
        ----------
        events : `~astropy.table.QTable`
            From `reconstruct_stereo`, all or some rows.
        images, telescopes, zenith
            What ``events`` was made of.

        Returns
        -------
        `~astropy.table.QTable`
            A copy of ``events``. Directions of events that are not valid are NaN.
        """
        selected = select_images(images, telescopes, self.cuts, zenith=zenith)
        geometry = reconstruct_geometry(selected, min_images=self.cuts.min_images)
        X = stack_features(images, selected, geometry, self.features)
        good = geometry.is_valid[selected.event]
        values = np.full((3, len(X)), np.nan)
        if good.any():
            values[:, good] = [m.predict(X[good]) for m in (self.disp, self.along, self.across)]
        lon, lat, error = combine_images(
            selected, geometry, values[0], np.exp(values[1]), np.exp(values[2])
        )
        place = match_events(events, images, selected)
        columns = {
            "reco_fov_lon": lon,
            "reco_fov_lat": lat,
            "reco_direction_error": self.scale * error,
            "reco_offset": np.hypot(lon, lat),
        }
        return replace_columns(
            events, {n: np.append(v, np.nan)[place] * u.deg for n, v in columns.items()}
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the regressor to one file without pickle."""
        return write_learned(
            path,
            kind=DIRECTION_FILE,
            models={name: getattr(self, name) for name in DISP_MODELS},
            values={
                "features": list(self.features),
                "cuts": asdict(self.cuts),
                "scale": self.scale,
            },
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DirectionRegressor:
        """Read what `save` wrote; raises ModelFileError for anything else."""

        def build(models: dict[str, Any], values: dict[str, Any]) -> DirectionRegressor:
            scale = float(check_real("scale", values["scale"], above=0))
            cuts = ImageCuts(**values["cuts"])
            return cls(**models, features=values["features"], cuts=cuts, scale=scale)

        regressor: DirectionRegressor = read_learned(
            path, kind=DIRECTION_FILE, names=DISP_MODELS, build=build
        )
        return regressor


def train_energy(
    events: QTable,
    *,
    model: BDTRegressor | None = None,
    n_folds: int = 3,
    weights: Any = None,
    random_state: int = 0,
) -> EnergyRegressor:
    """Learn the energy of gammas from all that is known of an event.

    Parameters
    ----------
    events : `~astropy.table.QTable`
        From ``reconstruct_stereo(gammas, ..., tables=tables)``, with ``true_energy``. Best of
        other showers than the tables were fitted on.
    model : BDTRegressor, optional
        Unfitted.
    n_folds : int
        Parts into which the showers are split for the correction of the bias, which needs
        estimates of showers that the trees have not seen.
    weights : array_like of float, one per event, optional
    random_state : int
        Of the default model.

    Returns
    -------
    EnergyRegressor

    Examples
    --------
    >>> events = reconstruct_stereo(gammas, tables=tables)  # doctest: +SKIP
    >>> energy = train_energy(events)  # doctest: +SKIP
    >>> better = energy.predict(reconstruct_stereo(images, tables=tables))  # doctest: +SKIP
    """
    check_columns(events.colnames, ["true_energy", "reco_energy"], where="events")
    names = (*LOGARITHMS, *PLAIN, *(name for name in OPTIONAL if name in events.colnames))
    X = read_features(events, names)
    truth = np.log(read_energy(events))
    keep = np.isfinite(X[:, 0]) & np.isfinite(truth)
    weight = np.ones(len(events)) if weights is None else check_real("weights", weights, at_least=0)
    X, truth, weight, showers = X[keep], truth[keep], weight[keep], find_showers(events)[keep]
    regressor = _make_model(model, random_state)
    seen = _cross_predict(regressor, X, truth - X[:, 0], weight, showers, n_folds=n_folds)
    off = _take_logarithm(X[:, 0] + seen - truth)
    error = _make_model(model, random_state)
    spread = np.exp(_cross_predict(error, X, off, weight, showers, n_folds=n_folds))
    bias = fit_bias(
        X[:, 0] + seen,
        truth,
        spread,
        offset=np.zeros(len(X)),
        zenith=np.zeros(len(X)),
        offset_nodes=np.zeros(1),
        zenith_nodes=np.zeros(1),
        min_count=30,
    )
    regressor.fit(X, truth - X[:, 0], sample_weight=weight)
    error.fit(X, off, sample_weight=weight)
    return EnergyRegressor(regressor, error, names, bias)


def train_direction(
    images: QTable,
    *,
    telescopes: QTable | None = None,
    zenith: Any = None,
    model: BDTRegressor | None = None,
    n_folds: int = 3,
    random_state: int = 0,
    min_intensity: float = 80.0,
    min_pixels: int = 3,
    max_cog: float = 2.0,
    min_images: int = 2,
) -> DirectionRegressor:
    """Learn where along its axis the source of an image lies, and how sure that is.

    Parameters
    ----------
    images : `~astropy.table.QTable`
        Gammas as for `reconstruct_stereo`, with ``true_fov_lon`` and ``true_fov_lat``; best from
        all over the field of view, so that no place of it is preferred.
    telescopes, zenith, min_intensity, min_pixels, max_cog, min_images
        As for `reconstruct_stereo`.
    model : BDTRegressor, optional
        Unfitted; one is trained for the distance, one for each error.
    n_folds : int
        Parts into which the showers are split: errors are learned on showers that the model of
        the distance has not seen.
    random_state : int
        Of the default model.

    Returns
    -------
    DirectionRegressor

    Notes
    -----
    One model predicts how far along its axis the source lies from an image (disp), two more how
    far off that and the axis itself are. Each image then says where the source is and how well
    along and across its axis; the direction is their weighted mean, defined even for axes that
    are nearly parallel. Which way along the axis follows from the geometric direction.

    Examples
    --------
    >>> direction = train_direction(diffuse_gammas)  # doctest: +SKIP
    >>> better = direction.predict(events, images)  # doctest: +SKIP
    """
    cuts = ImageCuts(min_intensity, min_pixels, max_cog, min_images)
    truth = ("true_fov_lon", "true_fov_lat")
    check_columns(images.colnames, truth, where=str(images.meta.get("source", "images")))
    selected = select_images(images, telescopes, cuts, zenith=zenith)
    geometry = reconstruct_geometry(selected, min_images=cuts.min_images)
    described = describe_images(images, selected, geometry)
    names = tuple(described)
    lon, lat = (read_angle(images, name)[selected.first] for name in truth)
    good = geometry.is_valid[selected.event] & np.isfinite(lon + lat)[selected.event]
    if not good.any():
        raise ValueError(
            f"images must hold gammas with a stereo reconstruction, got {selected.counts}. "
            "Loosen the cuts or simulate more."
        )
    X = np.column_stack([described[name] for name in names])[good]
    along, across = (values[good] for values in find_targets(selected, geometry, lon, lat))
    showers = find_showers(images)[selected.row][good]
    weight = np.ones(len(X))
    disp = _make_model(model, random_state)
    seen = _cross_predict(disp, X, along, weight, showers, n_folds=n_folds)
    logs = [_take_logarithm(seen - along), _take_logarithm(across)]
    errors, out_of_fold = [], []
    for target in logs:
        error = _make_model(model, random_state)
        out_of_fold.append(_cross_predict(error, X, target, weight, showers, n_folds=n_folds))
        errors.append(error.fit(X, target))
    disp.fit(X, along)
    values = np.full((3, len(good)), np.nan)
    values[:, good] = seen, *out_of_fold
    found_lon, found_lat, predicted = combine_images(
        selected, geometry, values[0], np.exp(values[1]), np.exp(values[2])
    )
    off = np.hypot(found_lon - np.degrees(lon), found_lat - np.degrees(lat)) / predicted
    scale = float(np.quantile(off[np.isfinite(off)], 0.6827))
    return DirectionRegressor(disp, errors[0], errors[1], names, cuts, scale)


def _make_model(model: BDTRegressor | None, random_state: int) -> BDTRegressor:
    if model is not None:
        return clone(model)
    return BDTRegressor(
        n_estimators=300,
        learning_rate=0.05,
        max_leaves=31,
        min_samples_leaf=50,
        random_state=random_state,
    )


def _take_logarithm(residuals: np.ndarray) -> np.ndarray:
    """Logarithms whose mean is that of the standard deviation, were the residuals normal."""
    return np.log(np.maximum(np.abs(residuals), 1e-4)) - MEAN_LOG_NORMAL


def _cross_predict(
    model: BDTRegressor,
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    groups: np.ndarray,
    *,
    n_folds: int,
) -> np.ndarray:
    """Prediction for each sample by a model that has not seen its shower."""
    check_real("n_folds", n_folds, at_least=2)
    n_groups = len(np.unique(groups))
    check_real("number of showers", n_groups, at_least=n_folds, next_step="Simulate more.")
    predicted = np.empty(len(y))
    for fit, test in GroupKFold(int(n_folds)).split(X, y, groups):
        predicted[test] = (
            clone(model).fit(X[fit], y[fit], sample_weight=weight[fit]).predict(X[test])
        )
    return predicted
