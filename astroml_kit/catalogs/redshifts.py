"""Photometric redshifts: a table of magnitudes in, redshifts with their distributions out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable, Table

from .._validation import check_choice, check_columns, check_real, invalid
from ..samples import Samples
from .photometry import extract_photometry

KEY = "photometric_redshifts"  # of what a model file says of us
POINTS = ("closest", "median")
OUTLIER = 0.05  # |dz| / (1 + z) beyond which a redshift is called wrong
# The inner window of "closest", and what it counts against the outer one: chosen on a development
# fold of SDSS galaxies, as was the network.
INNER, INNER_SHARE = 0.0103, 0.15
REACH, N_TRIED, CHUNK = 0.12, 97, 4096  # around the median, on both sides together, rows at a time
FEWEST_IN_BAND, N_NETWORKS = 200, 3
NETWORK: dict[str, Any] = {
    "hidden_layers": (128, 128, 128), "batch_size": 512, "max_epochs": 50, "learning_rate": 2e-3,
    "schedule": "cosine", "early_stopping": False, "l2": 1e-3, "precision": "float32",
    "scaling": "standard",
}  # fmt: skip


class RedshiftEstimator:
    """Estimate redshifts from magnitudes, each with its distribution and an interval that holds.

    Parameters
    ----------
    model : regressor of the zoo, optional
        Unfitted; it learns log(1 + z) from `extract_photometry`. Without it three mixture density
        networks in a `CalibratedRegressor`, calibrated in five bands of ``magnitude``. A model
        without distributions, such as `BDTRegressor`, gives redshifts alone.
    photometry : mapping, optional
        Options of `extract_photometry`, such as ``{"bands": ("g", "r"), "errors": "{}_err"}``.
    magnitude : str, optional
        Band of the calibration; the middle one without it.
    point : {"closest", "median"}
        Which single redshift stands for a distribution. "closest" is most often right: it has the
        largest probability to be within 0.05 (1 + z) of the truth plus 0.15 times that to be
        within 0.0103 (1 + z), and so stays on one of two peaks where a median lies between.
    confidence : float
        Of the intervals.
    random_state : int, optional
        Of the usual model.

    Attributes
    ----------
    model_ : estimator
        Fitted.
    feature_names_ : tuple of str
    range_ : tuple of float
        Smallest and largest training redshift: what lies outside of it cannot be found.

    Examples
    --------
    >>> from astroml_kit.catalogs import simulate_photometry
    >>> from astroml_kit.models import CalibratedRegressor, MixtureDensityRegressor
    >>> table = simulate_photometry(1200, shares={"galaxy": 1}, magnitude_max=19, rng=1)
    >>> small = MixtureDensityRegressor(max_epochs=15, learning_rate=0.01, scaling="standard")
    >>> estimator = RedshiftEstimator(CalibratedRegressor(small, n_splits=2, random_state=1))
    >>> found = estimator.fit(table[:900], redshift="true_redshift").predict(table[900:])
    >>> found.colnames
    ['redshift', 'lower', 'upper', 'odds']
    >>> z = table["true_redshift"][900:]
    >>> bool(0.8 < np.mean((found["lower"] <= z) & (z <= found["upper"])) < 0.98)
    True
    """

    def __init__(
        self,
        model: Any = None,
        *,
        photometry: Mapping[str, Any] | None = None,
        magnitude: str | None = None,
        point: str = "closest",
        confidence: float = 0.9,
        random_state: int | None = None,
    ) -> None:
        self.model = model
        self.photometry = dict(photometry or {})
        self.magnitude = magnitude
        self.point = check_choice("point", point, POINTS)
        self.confidence = float(check_real("confidence", confidence, above=0, below=1))
        self.random_state = random_state

    def __str__(self) -> str:
        if not hasattr(self, "model_"):
            return "estimator of redshifts, not fitted"
        low, high = self.range_
        return (
            f"estimator of redshifts from {low:.3g} to {high:.3g} by "
            f"{type(self.model_).__name__} of {len(self.feature_names_)} features"
        )

    def fit(
        self, table: Table, *, redshift: str = "redshift", groups: str | None = None
    ) -> RedshiftEstimator:
        """Train.

        Parameters
        ----------
        table : Table
            A source per row, with the bands.
        redshift : str
            Column with the spectroscopic redshift, above -1, known for every row.
        groups : str, optional
            Column that says what must not be split, such as the field.

        Raises
        ------
        ValueError
            For columns that are not there, redshifts missing or out of range, and as for
            `extract_photometry`.
        """
        from ..models.files import describe_training

        samples = self._extract(table, redshift=redshift, groups=groups)
        z = np.asarray(samples.y, dtype=float)
        check_real(redshift, z, above=-1)
        if len(z) < 2 or z.min() == z.max():
            raise invalid(redshift, "of different values, two at least", z)
        samples = Samples(samples.X, np.log1p(z), samples.groups,
                          feature_names=samples.feature_names, meta=samples.meta)  # fmt: skip
        if samples.meta["softening"]:
            self.photometry["softening"] = dict(samples.meta["softening"])
        self.feature_names_, self.range_ = samples.feature_names, (float(z.min()), float(z.max()))
        self.model_ = self._make_model(samples).fit(samples)
        self._training = describe_training(samples)
        return self

    def _extract(self, table: Table, *, redshift: str | None = None, groups: Any = None) -> Samples:
        return extract_photometry(table, label=redshift, groups=groups, **self.photometry)

    def _make_model(self, samples: Samples) -> Any:
        from sklearn.base import clone

        from ..models import CalibratedRegressor, MixtureDensityRegressor

        if self.model is not None:
            return clone(self.model)
        bands = list(samples.meta["bands"])
        band = bands[len(bands) // 2] if self.magnitude is None else self.magnitude
        check_choice("magnitude", band, bands)
        return CalibratedRegressor(
            MixtureDensityRegressor(**NETWORK),
            n_splits=N_NETWORKS,
            band_column=bands.index(band),
            n_bands=int(np.clip(len(samples) // FEWEST_IN_BAND, 1, 5)),
            random_state=self.random_state,
        )

    def _show(self, table: Table) -> Samples:
        if not hasattr(self, "model_"):
            raise ValueError("the estimator must be fitted first. Call fit.")
        return self._extract(table)

    def _need(self, *methods: str) -> None:
        if not all(hasattr(self.model_, method) for method in methods):
            raise ValueError(
                f"model must say distributions for this, got {type(self.model_).__name__}. "
                "Train a MixtureDensityRegressor in a CalibratedRegressor."
            )

    def predict(self, table: Table) -> QTable:
        """Return redshifts.

        Parameters
        ----------
        table : Table
            With the bands of the training; bands may be missing in any row.

        Returns
        -------
        QTable
            Rows in the order of ``table``: ``redshift``; ``lower`` and ``upper`` (of the interval
            of ``confidence``) and ``odds`` (probability that ``redshift`` is within 0.05 (1 + z)
            of the truth, after Benitez 2000, doi:10.1086/308947), NaN where the model has no
            distributions.
        """
        samples = self._show(table)
        names = ("redshift", "lower", "upper", "odds")
        out = QTable({name: np.full(len(samples), np.nan) for name in names})
        out.meta.update(confidence=self.confidence, training_range=list(self.range_))
        if not len(samples):
            return out
        if not hasattr(self.model_, "predict_mixture"):
            point = self.model_.predict(samples)
        else:
            point = choose_points(self.model_.predict_mixture(samples), point=self.point)
            around = np.column_stack([point - np.log1p(OUTLIER), point + np.log1p(OUTLIER)])
            out["odds"] = np.diff(self.model_.predict_cdf(samples, around), axis=1)[:, 0]
        if hasattr(self.model_, "predict_interval"):
            ends = self.model_.predict_interval(samples, confidence=self.confidence)
        elif hasattr(self.model_, "predict_quantiles"):
            half = self.confidence / 2
            ends = self.model_.predict_quantiles(samples, [0.5 - half, 0.5 + half])
        else:
            ends = np.full((len(samples), 2), np.nan)
        out["redshift"], (out["lower"], out["upper"]) = np.expm1(point), np.expm1(ends).T
        return out

    def predict_quantiles(self, table: Table, levels: Any) -> np.ndarray:
        """Return calibrated quantiles of the redshift, shape (n_rows, n_levels)."""
        samples = self._show(table)
        self._need("predict_quantiles")
        return np.expm1(self.model_.predict_quantiles(samples, levels))

    def predict_pdf(self, table: Table, redshifts: Any) -> np.ndarray:
        """Return densities on a grid of redshifts for all rows, shape (n_rows, n_redshifts)."""
        samples = self._show(table)
        self._need("predict_pdf")
        grid = np.atleast_1d(check_real("redshifts", redshifts, above=-1))
        values = np.tile(np.log1p(grid), (len(samples), 1))
        return self.model_.predict_pdf(samples, values) / (1 + grid)

    def predict_cdf(self, table: Table, redshifts: Any) -> np.ndarray:
        """Return the probability of less than a redshift of each row; at the truth, the PIT."""
        samples = self._show(table)
        self._need("predict_cdf")
        z = check_real("redshifts", np.asarray(redshifts), above=-1)
        return self.model_.predict_cdf(samples, np.log1p(z))

    def save(
        self, path: str | os.PathLike[str], *, metrics: Mapping[str, Any] | None = None
    ) -> Path:
        """Write model and settings to one file, as `save_model` does; nothing is pickled."""
        from ..models import save_model

        if not hasattr(self, "model_"):
            raise ValueError("the estimator must be fitted to be saved. Call fit first.")
        settings = {
            "photometry": self.photometry, "magnitude": self.magnitude, "point": self.point,
            "confidence": self.confidence, "range": list(self.range_),
            "feature_names": list(self.feature_names_),
        }  # fmt: skip
        return save_model(
            self.model_, path, metrics=metrics, training=self._training | {KEY: settings}
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RedshiftEstimator:
        """Read what `save` wrote.

        Raises
        ------
        ModelFileError
            For a damaged file, or that of a model without the settings of redshifts.
        """
        from ..models import ModelFileError, load_model

        model = load_model(path)
        training = dict(model.model_card_["training"])
        try:
            settings = training.pop(KEY)
            check_columns(settings, ["photometry", "range", "feature_names"], where="its settings")
            one = cls(photometry=settings["photometry"], magnitude=settings["magnitude"],
                      point=settings["point"], confidence=settings["confidence"])  # fmt: skip
            low, high = map(float, settings["range"])
            one.range_ = (low, high)
            one.feature_names_ = tuple(map(str, settings["feature_names"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"{Path(path).name}: it must hold the settings of an estimator of redshifts, got "
                f"{type(error).__name__}: {error}. Use load_model for other models."
            ) from error
        one.model_, one._training = model, training
        return one


def choose_points(mixture: Any, *, point: str) -> np.ndarray:
    """Return one value of log(1 + z) for each distribution."""
    median = mixture.find_quantiles([0.5])[:, 0]
    if point == "median":
        return median
    offsets = np.linspace(-REACH, REACH, N_TRIED)
    best = np.empty(len(median))
    for start in range(0, len(median), CHUNK):
        rows = slice(start, start + CHUNK)
        part = type(mixture)(mixture.weights[rows], mixture.means[rows], mixture.widths[rows])
        tried = median[rows, None] + offsets
        gain = _find_within(part, tried, OUTLIER) + INNER_SHARE * _find_within(part, tried, INNER)
        best[rows] = np.take_along_axis(tried, gain.argmax(axis=1)[:, None], axis=1)[:, 0]
    return best


def _find_within(mixture: Any, centre: np.ndarray, half_width: float) -> np.ndarray:
    """Probability to be near a value of log(1 + z)."""
    half = np.log1p(half_width)
    return mixture.find_cdf(centre + half) - mixture.find_cdf(centre - half)
