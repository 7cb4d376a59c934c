"""Rows and images through a narrow place: a latent space, and what is odd."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice, check_real, invalid
from ._latent_model import LatentModel
from ._neural_estimator import MOST_WIDTH
from ._normality import Components
from ._rows_or_images import check_widths

if TYPE_CHECKING:
    import torch

LOSSES = ("squared_error", "absolute_error", "huber")
SPACES = ("data", "components")


class Autoencoder(LatentModel):
    """A network that learns to repeat its input through a few numbers.

    What all samples have in common passes, what one has for itself does not: the numbers are a
    map of the samples, and the error of the reconstruction says how unusual one is (Hinton &
    Salakhutdinov 2006, doi:10.1126/science.1127647). Without hidden layers it finds the subspace
    of the principal components (Baldi & Hornik 1989, doi:10.1016/0893-6080(89)90014-2).

    Parameters
    ----------
    n_latent : int
        Numbers in the narrow place.
    hidden_layers : tuple of int
        For tables, and between components: widths of the encoder; the decoder has them in reverse.
    channels : tuple of int
        For images: maps after each halving; the decoder has them in reverse.
    stretch : {"asinh", "sqrt", "none"}
        For images: how the bright end is compressed, as for `ImageClassifier`.
    space : {"data", "components"}
        "components": a dense network between the leading principal components, which starts as
        the projection on the first ``n_latent`` of them and goes on from there. With a few
        thousand images it repeats them better than those components do and than convolutions,
        in a tenth of the time.
    n_components : int
        How many it sees, at least ``n_latent``; details beyond are not repeated.
    loss : {"squared_error", "absolute_error", "huber"}
        Between input and output, both standardised.
    noise : float
        Standard deviation of noise that is added to the standardised inputs while training, and
        that the network has to remove (Vincent et al. 2010, JMLR 11, 3371).
    activation, dropout, l1, l2, optimizer, momentum, learning_rate, schedule, schedule_epochs, \
schedule_factor, clip_norm, batch_size, max_epochs, early_stopping, validation_fraction, \
n_iter_no_change, precision, device, n_jobs, checkpoint, progress, random_state
        As for `NeuralClassifier`; ``dropout`` is for tables, and "auto" precision is single for
        images.

    Attributes
    ----------
    n_outputs_ : int
        ``n_latent``.
    image_shape_ : tuple of int or None
        Channels, height and width; None for tables.
    n_features_in_ : int
        Columns, or numbers per image.
    history_, best_epoch_, interrupted_, module_, feature_names_in_
        As for `NeuralClassifier`; the metric is "r2".

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> angle = rng.uniform(0, 3, 300)
    >>> X = np.column_stack([np.cos(angle), np.sin(angle), angle])
    >>> X = X + 0.01 * rng.normal(size=X.shape)
    >>> model = Autoencoder(1, hidden_layers=(32,), activation="tanh", learning_rate=0.01,
    ...                     random_state=1).fit(X)
    >>> model.transform(X).shape
    (300, 1)
    >>> odd = model.score_samples([[0.0, 0.0, 1.5]])  # inside the arc, where nothing is
    >>> bool(odd[0] < model.score_samples(X).min())
    True
    """

    _components: Any = None  # only while it is trained
    _spread: np.ndarray

    def __init__(
        self,
        n_latent: int = 2,
        *,
        hidden_layers: tuple[int, ...] = (64,),
        channels: tuple[int, ...] = (16, 32),
        stretch: str = "asinh",
        space: str = "data",
        n_components: int = 256,
        loss: str = "squared_error",
        noise: float = 0.0,
        activation: str = "relu",
        dropout: float = 0.0,
        l1: float = 0.0,
        l2: float = 0.0,
        optimizer: str = "adamw",
        momentum: float = 0.9,
        learning_rate: float = 1e-3,
        schedule: str = "cosine",
        schedule_epochs: int = 10,
        schedule_factor: float = 0.3,
        clip_norm: float | None = None,
        batch_size: int = 128,
        max_epochs: int = 200,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        n_iter_no_change: int = 20,
        precision: str = "auto",
        device: str = "cpu",
        n_jobs: int | None = 1,
        checkpoint: Any = None,
        progress: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_latent = n_latent
        self.hidden_layers = hidden_layers
        self.channels = channels
        self.stretch = stretch
        self.space = space
        self.n_components = n_components
        self.loss = loss
        self.noise = noise
        self.activation = activation
        self.dropout = dropout
        self.l1 = l1
        self.l2 = l2
        self.optimizer = optimizer
        self.momentum = momentum
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.schedule_epochs = schedule_epochs
        self.schedule_factor = schedule_factor
        self.clip_norm = clip_norm
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.precision = precision
        self.device = device
        self.n_jobs = n_jobs
        self.checkpoint = checkpoint
        self.progress = progress
        self.random_state = random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice("loss", self.loss, LOSSES)
        check_choice("space", self.space, SPACES)
        check_widths("n_components", (self.n_components,), 1, 1, MOST_WIDTH)
        if self.space == "components" and self.n_components < self.n_latent:
            raise invalid("n_components", f"at least n_latent, {self.n_latent}", self.n_components)
        check_real("noise", self.noise, at_least=0)

    def _name_kind(self) -> str:
        return self.loss

    def _build_network(self) -> torch.nn.Module:
        from ._latent_networks import AutoencoderNetwork, ComponentsDecoder, ComponentsEncoder

        if self.space == "data":
            return AutoencoderNetwork(*self._build_parts(self.n_outputs_))
        sizes = (self.n_features_in_, self._count_components(), self.n_outputs_)
        options: dict[str, Any] = {
            "hidden_layers": self.hidden_layers,
            "activation": self.activation,
            "dropout": float(self.dropout),
        }
        return AutoencoderNetwork(
            ComponentsEncoder(*sizes, **options), ComponentsDecoder(*sizes, **options)
        )

    def _count_components(self) -> int:
        return min(int(self.n_components), self.n_features_in_)

    def _draw_network(self) -> Any:
        network: Any = super()._draw_network()
        if self._components is not None:
            for part in (network.encoder, network.decoder):
                part.enter(self._components.mean, self._components.directions, self._spread)
        return network

    def _complete_network(self, network: Any) -> torch.nn.Module:
        if self.space == "components":
            network.encoder.outside = network.decoder.outside = True
        return super()._complete_network(network)

    def _measure_targets(
        self, target: np.ndarray, rows: np.ndarray, weight: np.ndarray | None
    ) -> np.ndarray:
        scaled = super()._measure_targets(target, rows, weight)
        if self.space == "data":
            return scaled
        n = self._count_components()
        found = Components.measure(scaled[rows], weight, seed=0, most=n)
        found = Components(found.mean, found.directions[:n], found.variance[:n])
        self._spread = np.ones(n)
        self._spread[: len(found.variance)] = np.sqrt(found.variance)
        self._components = found
        return self._find_components(scaled) / self._spread[min(self.n_outputs_, n) - 1]

    def _find_components(self, scaled: np.ndarray) -> np.ndarray:
        """Components of flat rows of scaled data, zero where there are none."""
        held = self._components.transform(scaled)
        return np.pad(held, ((0, 0), (0, self._count_components() - held.shape[1])))

    def _prepare_training(self, X: np.ndarray) -> np.ndarray:
        scaled = super()._prepare_training(X)
        if self.space == "data":
            return scaled
        return self._find_components(scaled.reshape(len(X), -1))

    def _prepare_held(self, X: np.ndarray) -> np.ndarray:
        return self._prepare_training(X)

    def _make_augment(self) -> Any:
        if self.noise == 0:
            return None
        from ._latent_networks import Noise

        return Noise(float(self.noise))

    def _finish(self, X: np.ndarray, weight: np.ndarray | None) -> None:
        self._components = None  # the network has them now
        latent = self._encode(X)
        share = None if weight is None else weight / weight.sum()
        self._latent_mean = np.average(latent, axis=0, weights=share)
        centred = latent - self._latent_mean
        own = centred if share is None else centred * share[:, None]
        self._latent_covariance = own.T @ centred / (len(X) if share is None else 1.0)

    def score_samples(self, X: Any) -> np.ndarray:
        """Negative mean squared error of the standardised reconstruction; higher is more normal.

        Returns
        -------
        ndarray, shape (n_samples,)
            At most 0. A column (a channel) of the training data has the variance 1.
        """
        check_is_fitted(self)
        return self._score_rows(self._check_rows(X))

    def _score_rows(self, rows: np.ndarray) -> np.ndarray:
        scores = np.empty(len(rows))
        for start in range(0, len(rows), self._chunk):
            chunk = rows[start : start + self._chunk]
            scaled = self._transform_inputs(chunk).reshape(len(chunk), -1)
            output = self._decode(self._encode(chunk))
            scores[start : start + self._chunk] = -np.mean((scaled - output) ** 2, axis=1)
        return scores

    def sample(self, n_samples: int = 1, *, random_state: Any = None) -> np.ndarray:
        """Draw new samples: decoded points of a normal fitted to the latent training rows.

        The latent space has no shape of its own; `VariationalAutoencoder` gives it one.

        Parameters
        ----------
        n_samples : int
            How many.
        random_state : int, RandomState or None
            The same integer gives the same samples.
        """
        draws = self._draw_latent(n_samples, check_random_state(random_state))
        values, vectors = np.linalg.eigh(self._latent_covariance)
        spread = vectors * np.sqrt(np.maximum(values, 0))
        return self.inverse_transform(self._latent_mean + draws @ spread.T)

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        state, weights = super()._get_fitted()
        return state | {
            "latent_mean": self._latent_mean.tolist(),
            "latent_covariance": self._latent_covariance.tolist(),
        }, weights

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        super()._set_fitted(state, weights)
        self._latent_mean = np.array(state["latent_mean"], dtype=float)
        self._latent_covariance = np.array(state["latent_covariance"], dtype=float)
        k = self.n_outputs_
        if self._latent_mean.shape != (k,) or self._latent_covariance.shape != (k, k):
            raise ValueError("the latent distribution must have the size of the latent space")
