"""Convolutional networks on images: camera images, cut-outs, any stack of equal arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_choice, invalid
from ..samples import Samples
from ._network_inputs import STRETCHES, ImageScaler, Scaler
from ._neural_classifier import NetworkClassifier
from ._neural_estimator import MOST_WIDTH
from ._rows import unpack_samples

if TYPE_CHECKING:
    import torch

BACKBONES = ("cnn",)
AUGMENTATIONS = ("flip", "rotate")
MOST_BLOCKS, MOST_SIDE = 12, 2**14


class ImageClassifier(NetworkClassifier):
    """A network for images: a small convolutional one, trained from scratch.

    Each channel is stretched and standardised inside, with what was measured on the training
    images. For images of a Cherenkov camera, `astroml_kit.cherenkov.extract_image_arrays` makes
    the square arrays.

    Parameters
    ----------
    backbone : {"cnn"}
        "cnn": blocks of a 3 x 3 convolution, group norm, activation and 2 x 2 pooling; the mean
        and the peak of each map go to a linear output.
    channels : tuple of int
        Maps of each block; each halves the image.
    stretch : {"asinh", "sqrt", "none"}
        Compresses the bright end, in units of the root mean square of a channel.
    augment : tuple of {"rotate", "flip"}
        New views of the training images in each epoch. "rotate" turns by any angle and keeps
        parity; "flip" mirrors half of them: leave it out where handedness matters. Empty by
        default.
    activation, dropout, l1, l2, optimizer, momentum, learning_rate, schedule, schedule_epochs, \
schedule_factor, clip_norm, batch_size, max_epochs, early_stopping, validation_fraction, \
n_iter_no_change, class_weight, precision, device, n_jobs, checkpoint, progress, random_state
        As for `NeuralClassifier`; ``dropout`` is before the output, and ``precision="auto"`` is
        single everywhere.

    Attributes
    ----------
    image_shape_ : tuple of int
        Channels, height and width.
    n_features_in_ : int
        Numbers per image.
    classes_, history_, best_epoch_, interrupted_, module_
        As for `NeuralClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> y = np.arange(120) % 2
    >>> X = rng.normal(size=(120, 16, 16))
    >>> X[y == 1, 6:10, :] += 2  # a bar
    >>> model = ImageClassifier(channels=(8, 16), max_epochs=8, learning_rate=0.02,
    ...                         random_state=1).fit(X[:80], y[:80])
    >>> bool(model.score(X[80:], y[80:]) > 0.9)
    True
    >>> model.image_shape_
    (1, 16, 16)
    """

    channels: tuple[int, ...]
    image_shape_: tuple[int, ...]
    n_features_in_: int
    _inputs: ImageScaler
    _chunk = 256

    def __init__(
        self,
        backbone: str = "cnn",
        *,
        channels: tuple[int, ...] = (16, 32, 64),
        stretch: str = "asinh",
        augment: tuple[str, ...] = (),
        activation: str = "relu",
        dropout: float = 0.0,
        l1: float = 0.0,
        l2: float = 1e-4,
        optimizer: str = "adamw",
        momentum: float = 0.9,
        learning_rate: float = 2e-3,
        schedule: str = "constant",
        schedule_epochs: int = 5,
        schedule_factor: float = 0.3,
        clip_norm: float | None = None,
        batch_size: int = 64,
        max_epochs: int = 50,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        n_iter_no_change: int = 8,
        class_weight: Any = None,
        precision: str = "auto",
        device: str = "cpu",
        n_jobs: int | None = 1,
        checkpoint: Any = None,
        progress: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.backbone = backbone
        self.channels = channels
        self.stretch = stretch
        self.augment = augment
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
        self.class_weight = class_weight
        self.precision = precision
        self.device = device
        self.n_jobs = n_jobs
        self.checkpoint = checkpoint
        self.progress = progress
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice("backbone", self.backbone, BACKBONES)
        check_choice("stretch", self.stretch, STRETCHES)
        if not isinstance(self.augment, tuple | list):
            raise invalid("augment", f"a tuple with some of {AUGMENTATIONS}", self.augment)
        for kind in self.augment:
            check_choice("augment", kind, AUGMENTATIONS)
        widths, rule = self.channels, f"1 to {MOST_BLOCKS} whole numbers from 1 to {MOST_WIDTH}"
        if not isinstance(widths, tuple | list) or not 1 <= len(widths) <= MOST_BLOCKS:
            raise invalid("channels", rule, widths)
        for width in widths:
            if not isinstance(width, int | np.integer) or not 1 <= width <= MOST_WIDTH:
                raise invalid("channels", rule, width)

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> ImageClassifier:
        """Train.

        Parameters
        ----------
        X : array_like, shape (n_images, height, width) or (n_images, n_channels, height, width)
            Finite images, or `Samples` of them. A `Samples` brings its own ``y``, weights and
            groups.
        y, sample_weight, groups
            As for `NeuralClassifier.fit`.

        Raises
        ------
        ValueError
            For images that are not finite or too small for the blocks, and as for
            `NeuralClassifier.fit`.
        """
        self._check_parameters()
        X, y, sample_weight, groups, _ = unpack_samples(X, y, sample_weight, groups, labels=True)
        images = check_images(X)
        if y is None:
            raise ValueError("y must be given, got None. A classifier needs labels.")
        if len(y) != len(images):
            raise ValueError(
                f"y must have one label per image, got {len(y)} for {len(images)} images."
            )
        smallest = 2 ** len(self.channels)
        if min(images.shape[2:]) < smallest:
            raise ValueError(
                f"X must have images of at least {smallest} x {smallest} for {len(self.channels)} "
                f"blocks, got {images.shape[2]} x {images.shape[3]}. Use fewer channels."
            )
        self.image_shape_ = tuple(int(n) for n in images.shape[1:])
        self.n_features_in_ = int(np.prod(self.image_shape_))
        self._fit_classes(images, np.asarray(y), sample_weight, groups)
        return self

    def _check_rows(self, X: Any) -> np.ndarray:
        images = check_images(X.X if isinstance(X, Samples) else X)
        if images.shape[1:] != self.image_shape_:
            raise ValueError(
                f"X must have images of the shape {self.image_shape_} that the model was trained "
                f"on, got {images.shape[1:]}."
            )
        return images

    def _choose_dtype(self, device: str) -> str:
        return "float32" if self.precision == "auto" else self.precision

    def _measure_inputs(self, X: np.ndarray, weight: np.ndarray | None) -> Scaler:
        return ImageScaler.measure(X, weight, stretch=self.stretch)

    def _transform_inputs(self, X: np.ndarray) -> np.ndarray:
        return self._inputs.transform(X, stretch=self.stretch)

    def _build_network(self) -> torch.nn.Module:
        from ._image_networks import SmallCNN

        return SmallCNN(
            self.image_shape_[0],
            self.n_outputs_,
            channels=self.channels,
            activation=self.activation,
            dropout=float(self.dropout),
        )

    def _make_augment(self) -> Any:
        from ._image_networks import Augmenter

        return Augmenter(self.augment) if self.augment else None

    def _read_scalers(self, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        self._inputs = ImageScaler.from_arrays(arrays["inputs"])
        if self._inputs.mean.shape != self.image_shape_[:1]:
            raise ValueError("the input scaler must have one entry per channel")

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        state, weights = super()._get_fitted()
        return state | {"image_shape": list(self.image_shape_)}, weights

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        shape = tuple(state["image_shape"])
        sizes = all(type(n) is int and 1 <= n <= MOST_SIDE for n in shape)
        if len(shape) != 3 or not sizes or np.prod(shape) != self.n_features_in_:
            raise ValueError("image_shape must be channels, height and width")
        self.image_shape_ = shape
        super()._set_fitted(state, weights)


def check_images(X: Any) -> np.ndarray:
    """Return finite images of shape (n_images, n_channels, height, width), float32 or float64."""
    try:
        images = np.asarray(X)
        if images.dtype.kind not in "biuf":
            raise TypeError(f"{images.dtype} is not a number")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"X must be an array of images of one size, got something else: {error}."
        ) from error
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise ValueError(
            "X must have the shape (n_images, height, width) or (n_images, n_channels, height, "
            f"width), got {images.shape}. Reshape it."
        )
    if images.dtype not in (np.float32, np.float64):
        images = images.astype(np.float32)
    bad = ~np.isfinite(images).reshape(len(images), -1).all(axis=1)
    if bad.any():
        raise ValueError(
            f"X must be finite, got NaN or infinity in {int(bad.sum())} of {len(images)} images. "
            "Mask or fill those pixels, or drop the images."
        )
    return images[:, None] if images.ndim == 3 else images
