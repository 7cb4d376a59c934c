"""New samples from a generator that a critic cannot tell from the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table
from joblib import effective_n_jobs
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice, check_real, invalid
from ._frechet import frechet_distance
from ._neural_estimator import NeuralEstimator
from ._rows import unpack_unlabelled
from ._rows_or_images import RowsOrImages

if TYPE_CHECKING:
    import torch

LOSSES = ("hinge", "wgan-gp")
MOST_COMPARED, MOST_DIRECTIONS = 2000, 32  # rows and numbers of the distance after each epoch


class GAN(RowsOrImages, NeuralEstimator):
    """A generator of new rows or small images, trained against a critic.

    The critic learns to tell real samples from generated ones, the generator to deceive it
    (Goodfellow et al. 2014, arXiv:1406.2661). What keeps them in balance: the hinge loss (Lim & Ye
    2017, arXiv:1705.02894) or the Wasserstein distance with gradient penalty (Gulrajani et al.
    2017, arXiv:1704.00028), a critic whose slopes are bounded by spectral norm (Miyato et al.
    2018, arXiv:1802.05957), and a generator averaged over the steps (Yazici et al. 2019,
    arXiv:1806.04498), which is the one that is kept.

    Parameters
    ----------
    n_latent : int
        Random numbers that a sample is made of.
    hidden_layers : tuple of int
        For tables: widths of the critic; the generator has them in reverse.
    channels : tuple of int
        For images: maps of the critic after each halving; the generator has them in reverse.
    stretch : {"asinh", "sqrt", "none"}
        For images: how the bright end is compressed, as for `ImageClassifier`.
    loss : {"wgan-gp", "hinge"}
        What critic and generator are trained on.
    spectral_norm : bool or "auto"
        Bound the slopes of the critic's layers; "auto" does so with the loss "hinge".
    gradient_penalty : float or "auto"
        Weight of the penalty on slopes other than 1; "auto" is 1 for tables and 10 for images
        with the loss "wgan-gp", and 0 with "hinge".
    n_critic_steps : int
        Steps of the critic per step of the generator.
    ema : float
        Share of the averaged generator that stays at each step.
    activation : {"relu", "leaky_relu", "silu", "hardswish", "tanh", "sigmoid"}
        Of both networks.
    learning_rate, critic_rate : float
        Of the generator's Adam steps, and that of the critic as a multiple.
    batch_size, max_epochs, precision, device, n_jobs, checkpoint, progress, random_state
        As for `NeuralClassifier`; a batch is one step of the critic. Single precision by default.

    Attributes
    ----------
    history_ : `~astropy.table.Table`
        One row per epoch: ``epoch``, ``critic_loss``, ``generator_loss`` and
        ``frechet_distance``, between at most 2000 training rows and as many samples, both
        standardised, on the first 32 principal components of the former.
    interrupted_ : bool
        Whether Ctrl-C ended the training; the weights so far are kept, with a warning.
    module_ : torch.nn.Module
        The averaged generator, from random numbers to standardised flat rows.
    image_shape_, n_features_in_, feature_names_in_
        As for `Autoencoder`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(500, 2)) * [1, 5] + [100, 0]
    >>> model = GAN(2, hidden_layers=(32,), max_epochs=20, random_state=1).fit(X)
    >>> model.sample(3, random_state=1).shape
    (3, 2)
    >>> bool(model.history_["frechet_distance"][-1] < model.history_["frechet_distance"][0])
    True
    """

    _chunk = 4096

    def __init__(
        self,
        n_latent: int = 8,
        *,
        hidden_layers: tuple[int, ...] = (64, 64),
        channels: tuple[int, ...] = (32, 64),
        stretch: str = "asinh",
        loss: str = "wgan-gp",
        spectral_norm: bool | str = "auto",
        gradient_penalty: float | str = "auto",
        n_critic_steps: int = 1,
        ema: float = 0.99,
        activation: str = "leaky_relu",
        learning_rate: float = 2e-3,
        critic_rate: float = 2.0,
        batch_size: int = 64,
        max_epochs: int = 200,
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
        self.loss = loss
        self.spectral_norm = spectral_norm
        self.gradient_penalty = gradient_penalty
        self.n_critic_steps = n_critic_steps
        self.ema = ema
        self.activation = activation
        self.learning_rate = learning_rate
        self.critic_rate = critic_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.precision = precision
        self.device = device
        self.n_jobs = n_jobs
        self.checkpoint = checkpoint
        self.progress = progress
        self.random_state = random_state

    # What `NeuralEstimator` reads and nobody needs to choose here.
    dropout, l1, l2, clip_norm, early_stopping = 0.0, 0.0, 0.0, None, False
    optimizer, momentum, schedule, schedule_epochs, schedule_factor = (
        "adam",
        0.0,
        "constant",
        1,
        1.0,
    )
    validation_fraction, n_iter_no_change = 0.15, 1

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check_shape_parameters()
        check_choice("loss", self.loss, LOSSES)
        check_choice("spectral_norm", self.spectral_norm, (True, False, "auto"))
        if self.gradient_penalty != "auto":
            check_real("gradient_penalty", self.gradient_penalty, at_least=0)
        check_real("n_critic_steps", self.n_critic_steps, at_least=1)
        check_real("ema", self.ema, at_least=0, below=1)
        check_real("critic_rate", self.critic_rate, above=0)

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None) -> GAN:
        """Train generator and critic.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), (n_images, height, width) or \
(n_images, n_channels, height, width), or Samples
            Finite.
        y, groups : ignored
        sample_weight : array_like, shape (n_samples,), optional
            Weights, >= 0, of the real samples in the critic's loss.

        Raises
        ------
        ValueError
            For a parameter out of range, NaN, or a loss that does not stay finite.
        """
        self._check_parameters()
        X, sample_weight, groups, names = unpack_unlabelled(X, sample_weight, groups)
        X = self._store_rows(X, names)
        X, _, weight, _ = self._weigh_rows(X, X, sample_weight, groups)
        self.n_outputs_ = self.n_features_in_
        self._play(X, weight)
        return self

    def _play(self, X: np.ndarray, weight: np.ndarray | None) -> None:
        from ._checkpoints import Checkpoint, identify_training
        from ._gan_training import GanOptions, train_gan
        from ._training import find_device

        device = find_device(self.device)
        dtype = self._choose_dtype(device)
        drawn = int(check_random_state(self.random_state).randint(2**31 - 1))
        saved = None
        if self.checkpoint is not None:
            known = None if self.random_state is None else drawn
            origin = self._list_parameters() | {"class": "GAN", "seed": known, "dtype": dtype}
            saved = Checkpoint(
                self.checkpoint, identify_training(origin, {"X": X, "weight": weight})
            )
        seed = drawn if saved is None or saved.seed is None else saved.seed
        self._inputs = self._measure_inputs(X, weight)
        options = GanOptions(
            loss=self.loss,
            n_latent=int(self.n_latent),
            n_critic_steps=int(self.n_critic_steps),
            gradient_penalty=self._find_penalty(),
            ema=float(self.ema),
            learning_rate=float(self.learning_rate),
            critic_rate=float(self.critic_rate),
            batch_size=int(self.batch_size),
            max_epochs=int(self.max_epochs),
            seed=seed,
            device=device,
            dtype=dtype,
            n_threads=effective_n_jobs(self.n_jobs),
            progress=bool(self.progress),
        )
        inputs = self._transform_inputs(X)
        trained = train_gan(
            self._draw_players,
            inputs,
            np.ones(len(X)) if weight is None else weight / weight.mean(),
            options=options,
            measure=_Comparison(inputs.reshape(len(X), -1), weight, int(self.n_latent), seed),
            checkpoint=saved,
        )
        self.module_ = trained.generator
        self._dtype, self._kind = dtype, self.loss
        self.best_epoch_, self.interrupted_ = len(trained.rows), trained.interrupted
        self._write_history(trained.rows, self._kind)

    def _find_penalty(self) -> float:
        if self.gradient_penalty != "auto":
            return float(self.gradient_penalty)
        if self.loss == "hinge":
            return 0.0
        return 1.0 if self.image_shape_ is None else 10.0

    def _draw_players(self) -> Any:
        from ._gan_training import Players, limit_slopes
        from ._latent_networks import build_encoder
        from ._networks import draw_weights

        critic = build_encoder(
            self.n_features_in_,
            self.image_shape_,
            1,
            hidden_layers=self.hidden_layers,
            channels=self.channels,
            activation=self.activation,
        )
        generator, averaged = self._build_network(), self._build_network()
        for network in (generator, critic):
            draw_weights(network, activation=self.activation)
        if self.spectral_norm is True or (self.spectral_norm == "auto" and self.loss == "hinge"):
            limit_slopes(critic)
        return Players(generator, averaged, critic)

    def _build_network(self) -> torch.nn.Module:
        from ._latent_networks import build_decoder

        return build_decoder(
            int(self.n_latent),
            self.image_shape_,
            self.n_features_in_,
            hidden_layers=self.hidden_layers,
            channels=self.channels,
            activation=self.activation,
        )

    def sample(self, n_samples: int = 1, *, random_state: Any = None) -> np.ndarray:
        """Draw new samples, in the form and units of the training data.

        Parameters
        ----------
        n_samples : int
            How many.
        random_state : int, RandomState or None
            The same integer gives the same samples.
        """
        check_is_fitted(self)
        check_real("n_samples", n_samples, at_least=1, next_step="Give a whole number.")
        return self._restore_inputs(self._generate(int(n_samples), random_state))

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Generate from given random numbers, in the form and units of the training data.

        Parameters
        ----------
        Z : array_like, shape (n_samples, n_latent)
            Draws of the standard normal, or points between them: see `interpolate_latent`.
        """
        check_is_fitted(self)
        latent = check_array(Z, dtype=np.float64)
        if latent.shape[1] != self.n_latent:
            raise invalid("Z", f"an array with {self.n_latent} columns", latent.shape)
        return self._restore_inputs(self._apply(self.module_, latent, dtype=self._dtype))

    def _generate(self, n_samples: int, random_state: Any) -> np.ndarray:
        """Return flat rows of standardised data."""
        latent = check_random_state(random_state).normal(size=(n_samples, self.n_latent))
        return self._apply(self.module_, latent, dtype=self._dtype)

    def score(self, X: Any, y: Any = None) -> float:
        """Negative Frechet distance of as many samples to ``X``, both standardised.

        The samples are always the same; 0 is best. Two rows or more.
        """
        check_is_fitted(self)
        rows = self._transform_inputs(self._check_rows(X)).reshape(len(X), -1)
        return -frechet_distance(rows, self._generate(len(rows), 0))

    def _choose_dtype(self, device: str) -> str:
        return "float32" if self.precision == "auto" else self.precision

    def _write_history(self, rows: list[dict[str, float]], kind: str) -> None:
        table = Table(rows=rows)
        table["epoch"] = table["epoch"].astype(int)
        table.meta["best_epoch"] = self.best_epoch_
        self.history_ = table

    def _check_kind(self) -> None:
        if self._kind != self.loss or self.n_outputs_ != self.n_features_in_:
            raise ValueError("kind and outputs must be those of the parameters")

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        state, weights = super()._get_fitted()
        return state | self._describe_shape(), weights

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        self._restore_shape(state)
        super()._set_fitted(state, weights)


class _Comparison:
    """Frechet distance of a generator to the training rows, on their principal components."""

    def __init__(
        self, rows: np.ndarray, weight: np.ndarray | None, n_latent: int, seed: int
    ) -> None:
        rng = np.random.RandomState(seed)
        chance = None if weight is None else weight / weight.sum()
        n_rows = min(len(rows), MOST_COMPARED)
        chosen = rng.choice(len(rows), n_rows, replace=weight is not None, p=chance)
        self._real = rows[chosen].astype(np.float64)
        self._latent = rng.normal(size=(max(n_rows, 2), n_latent))
        self._directions = None
        if rows.shape[1] > MOST_DIRECTIONS:
            centred = self._real - self._real.mean(axis=0)
            self._directions = np.linalg.svd(centred, full_matrices=False)[2][:MOST_DIRECTIONS].T

    def __call__(self, generator: torch.nn.Module) -> float:
        import torch

        if len(self._real) < 2:
            return float("nan")
        first = next(generator.parameters())
        with torch.no_grad():
            latent = torch.from_numpy(self._latent).to(dtype=first.dtype, device=first.device)
            fake = generator(latent).cpu().numpy().astype(np.float64)
        if self._directions is None:
            return frechet_distance(self._real, fake)
        return frechet_distance(self._real @ self._directions, fake @ self._directions)
