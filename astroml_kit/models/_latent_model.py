"""What autoencoders share: an encoder, a decoder, and the way through both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from .._validation import check_real, invalid
from ._neural_estimator import NeuralEstimator
from ._rows import unpack_unlabelled
from ._rows_or_images import RowsOrImages

if TYPE_CHECKING:
    import torch

DRAWS_SEED = 20131220


class LatentModel(RowsOrImages, ClassNamePrefixFeaturesOutMixin, TransformerMixin, NeuralEstimator):
    """An encoder, a decoder, and what both kinds do with them."""

    n_latent: int
    module_: Any

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check_shape_parameters()

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None) -> Any:
        """Learn to reconstruct ``X``.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), (n_images, height, width) or \
(n_images, n_channels, height, width), or Samples
            Finite.
        y : ignored
        sample_weight : array_like, shape (n_samples,), optional
            Weights, >= 0; a sample with weight 0 is as good as not there.
        groups : array_like, shape (n_samples,), optional
            What early stopping must not split: the shower, the run, the galaxy.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN, or a loss that does not stay finite.
        """
        self._check_parameters()
        X, sample_weight, groups, names = unpack_unlabelled(X, sample_weight, groups)
        X = self._store_rows(X, names)
        X, _, weight, groups = self._weigh_rows(X, X, sample_weight, groups)
        self.n_outputs_ = int(self.n_latent)
        self._train(X, X, weight, groups, kind=self._name_kind())
        self._finish(X, weight)
        return self

    def _name_kind(self) -> str:
        raise NotImplementedError

    def _finish(self, X: np.ndarray, weight: np.ndarray | None) -> None:
        """Measure what else is needed, once the network is trained."""

    def transform(self, X: Any) -> np.ndarray:
        """Bring rows or images to the latent space.

        Returns
        -------
        ndarray, shape (n_samples, n_latent)
        """
        check_is_fitted(self)
        return self._encode(self._check_rows(X))[:, : self.n_outputs_]

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Decode points of the latent space, in the form and units of the training data.

        Parameters
        ----------
        Z : array_like, shape (n_samples, n_latent)
        """
        check_is_fitted(self)
        latent = check_array(Z, dtype=np.float64)
        if latent.shape[1] != self.n_outputs_:
            raise invalid("Z", f"an array with {self.n_outputs_} columns", latent.shape)
        return self._restore_inputs(self._decode(latent))

    def reconstruct(self, X: Any) -> np.ndarray:
        """Encode and decode: what the model makes of ``X``."""
        return self.inverse_transform(self.transform(X))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`: the higher, the better."""
        return float(np.mean(self.score_samples(X)))

    def score_samples(self, X: Any) -> np.ndarray:
        """Score of each sample; higher is more normal."""
        raise NotImplementedError

    def _encode(self, rows: np.ndarray) -> np.ndarray:
        chunks = (rows[start : start + self._chunk] for start in range(0, len(rows), self._chunk))
        parts = [
            self._apply(self.module_.encoder, self._transform_inputs(chunk), dtype=self._dtype)
            for chunk in chunks
        ]
        return np.concatenate(parts)

    def _decode(self, latent: np.ndarray) -> np.ndarray:
        """Return flat rows of scaled data."""
        return self._apply(self.module_.decoder, latent, dtype=self._dtype)

    def _draw_latent(self, n_samples: int, rng: np.random.RandomState) -> np.ndarray:
        """Draw from the standard normal of the size of the latent space."""
        check_is_fitted(self)
        check_real("n_samples", n_samples, at_least=1, next_step="Give a whole number.")
        return rng.normal(size=(int(n_samples), self.n_outputs_))

    @property
    def _n_features_out(self) -> int:
        return self.n_outputs_

    def _choose_dtype(self, device: str) -> str:
        if self.precision == "auto" and self.image_shape_ is not None:
            return "float32"
        return super()._choose_dtype(device)

    def _measure_targets(
        self, target: np.ndarray, rows: np.ndarray, weight: np.ndarray | None
    ) -> np.ndarray:
        return self._transform_inputs(target).reshape(len(target), -1)

    def _build_parts(self, n_outputs: int) -> tuple[torch.nn.Module, torch.nn.Module]:
        from ._latent_networks import build_decoder, build_encoder

        options: dict[str, Any] = {
            "hidden_layers": self.hidden_layers,
            "channels": self.channels,
            "activation": self.activation,
            "dropout": float(self.dropout),
        }
        n_inputs, shape = self.n_features_in_, self.image_shape_
        return (
            build_encoder(n_inputs, shape, n_outputs, **options),
            build_decoder(self.n_outputs_, shape, n_inputs, **options),
        )

    def _check_kind(self) -> None:
        if self._kind != self._name_kind() or self.n_outputs_ != self.n_latent:
            raise ValueError("kind and outputs must be those of the parameters")

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        state, weights = super()._get_fitted()
        return state | self._describe_shape(), weights

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        self._restore_shape(state)
        super()._set_fitted(state, weights)


def draw_balanced(n_draws: int, n_columns: int) -> np.ndarray:
    """Normal draws with the moments of the normal, so that few of them do for all samples.

    They come in opposite pairs; the second moments are exact, and the products of different
    columns too where there are enough draws: the bound of a linear decoder is then exact.
    """
    half = np.random.RandomState(DRAWS_SEED).normal(size=(n_draws // 2, n_columns))
    if n_columns <= len(half):
        half = np.linalg.qr(half)[0] * np.sqrt(len(half))
    half /= np.sqrt(np.mean(half**2, axis=0))
    return np.concatenate([half, -half])
