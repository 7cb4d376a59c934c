"""An autoencoder whose latent space has a shape: the standard normal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._validation import check_real
from ._latent_model import LatentModel, draw_balanced

if TYPE_CHECKING:
    import torch

N_DRAWS = 32  # of the latent space for one bound


class VariationalAutoencoder(LatentModel):
    """An autoencoder whose latent space is a standard normal, from which one can draw.

    The encoder gives a normal for each sample and the decoder the mean of the data; the variance
    of the data around it is learned too, one per column or channel. Trained is the evidence lower
    bound (Kingma & Welling 2014, arXiv:1312.6114), with ``beta`` of Higgins et al. 2017, ICLR.

    Parameters
    ----------
    n_latent, hidden_layers, channels, stretch
        As for `Autoencoder`.
    beta : float
        Weight of the divergence from the standard normal. Above 1 the latent numbers become more
        independent and the reconstruction worse; 1 is the likelihood bound.
    activation, dropout, l1, l2, optimizer, momentum, learning_rate, schedule, schedule_epochs, \
schedule_factor, clip_norm, batch_size, max_epochs, early_stopping, validation_fraction, \
n_iter_no_change, precision, device, n_jobs, checkpoint, progress, random_state
        As for `Autoencoder`.

    Attributes
    ----------
    n_outputs_, image_shape_, n_features_in_, history_, best_epoch_, interrupted_, module_, \
feature_names_in_
        As for `Autoencoder`; the loss is the negative bound of the standardised data, in nats
        per sample.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(500, 1)) @ [[1.0, 2.0]] + 0.1 * rng.normal(size=(500, 2))
    >>> model = VariationalAutoencoder(1, hidden_layers=(), learning_rate=0.03, batch_size=32,
    ...                                max_epochs=60, random_state=1).fit(X)
    >>> drawn = model.sample(1000, random_state=1)
    >>> bool(abs(np.corrcoef(drawn.T)[0, 1] - np.corrcoef(X.T)[0, 1]) < 0.02)
    True
    """

    def __init__(
        self,
        n_latent: int = 2,
        *,
        beta: float = 1.0,
        hidden_layers: tuple[int, ...] = (64,),
        channels: tuple[int, ...] = (16, 32),
        stretch: str = "asinh",
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
        self.beta = beta
        self.hidden_layers = hidden_layers
        self.channels = channels
        self.stretch = stretch
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
        check_real("beta", self.beta, at_least=0)

    def _name_kind(self) -> str:
        return "elbo"

    def _build_network(self) -> torch.nn.Module:
        from ._latent_networks import VariationalNetwork

        n_noise = self.n_features_in_ if self.image_shape_ is None else self.image_shape_[0]
        encoder, decoder = self._build_parts(2 * self.n_outputs_)
        return VariationalNetwork(
            encoder,
            decoder,
            n_noise=n_noise,
            n_repeats=self.n_features_in_ // n_noise,
            beta=float(self.beta),
        )

    def _draw_network(self) -> Any:
        network: Any = super()._draw_network()
        network.draw()
        return network

    def score_samples(self, X: Any) -> np.ndarray:
        """Evidence lower bound of each sample, in nats; higher is more normal.

        Of the standardised data, and without ``beta``. The draws of the latent space are the same
        for every sample and call.

        Returns
        -------
        ndarray, shape (n_samples,)
        """
        check_is_fitted(self)
        rows = self._check_rows(X)
        parts = [
            self._bound(rows[start : start + self._chunk])
            for start in range(0, len(rows), self._chunk)
        ]
        return np.concatenate(parts)

    def _bound(self, rows: np.ndarray) -> np.ndarray:
        import torch

        from ._latent_networks import find_divergence, split_latent

        scaled = self._transform_inputs(rows).reshape(len(rows), -1)
        mean, log_variance = split_latent(torch.from_numpy(self._encode(rows)))
        divergence = find_divergence(mean, log_variance).numpy()
        centre, spread = mean.numpy(), np.exp(0.5 * log_variance.numpy())
        noise = self._get_noise()
        misfit = np.zeros(len(rows))
        for draw in draw_balanced(N_DRAWS, self.n_outputs_):
            output = self._decode(centre + draw * spread)
            misfit += np.sum((scaled - output) ** 2 / noise, axis=1) / N_DRAWS
        return -0.5 * (misfit + np.sum(np.log(2 * np.pi * noise))) - divergence

    def _get_noise(self) -> np.ndarray:
        """Variance of the noise of each column of a flat row of scaled data."""
        log_variance = self.module_.get_log_variance()
        return np.exp(log_variance.detach().cpu().numpy().astype(np.float64))

    def sample(
        self, n_samples: int = 1, *, noise: bool = True, random_state: Any = None
    ) -> np.ndarray:
        """Draw new samples, in the form and units of the training data.

        Parameters
        ----------
        n_samples : int
            How many.
        noise : bool
            Add the learned noise, as the data have it; without it, images are smooth means.
        random_state : int, RandomState or None
            The same integer gives the same samples.
        """
        rng = check_random_state(random_state)
        rows = self._decode(self._draw_latent(n_samples, rng))
        if noise:
            rows = rows + rng.normal(size=rows.shape) * np.sqrt(self._get_noise())
        return self._restore_inputs(rows)
