"""Images as points in a space where like is near like: for clusters, retrieval and few labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice
from ..samples import Samples
from ._image_inputs import ImageInputs
from ._neural_estimator import NeuralEstimator

if TYPE_CHECKING:
    import torch

    from ._image_inputs import Checkpointed

WRITTEN_AT_ONCE = 256  # images per file of a cache
HISTORY = ("epoch", "train_loss", "train_metric", "learning_rate")


class ImageEmbedder(
    ImageInputs, ClassNamePrefixFeaturesOutMixin, TransformerMixin, NeuralEstimator
):
    """Features of images, from a pretrained backbone or one that learns without labels.

    A pretrained backbone is used as it is: `fit` only measures the brightness of the training
    images. "cnn" and "vit" start from scratch, and `fit` trains them on the images themselves:
    two views of an image, drawn by ``augment``, are to lie closer to each other than to the views
    of any other image (Chen et al. 2020, arXiv:2002.05709; Hayat et al. 2021,
    doi:10.3847/2041-8213/abf2c7, for galaxies). What ``augment`` changes, the features forget.

    Parameters
    ----------
    backbone, channels, width, depth, patch_size, input_size, scaling, stretch, activation
        As for `ImageClassifier`.
    augment : tuple of {"rotate", "rotate90", "flip", "shift", "stretch", "noise", "blur"}
        Views for training "cnn" and "vit", as for `ImageClassifier`; not used otherwise. Without
        "flip" the features tell an image from its mirror image.
    augment_strength : float
        As for `ImageClassifier`.
    symmetry : {"none", "turns", "dihedral"}
        The mean of the features over the four quarter turns of an image, or over these and those
        of its mirror image: it takes four or eight times longer, and the features are the same
        whichever of them is given. Square images only.
    turns : {1, 4}
        4 is another word for ``symmetry="turns"``.
    learning_rate, l2, batch_size, max_epochs, precision, device, n_jobs, checkpoint, progress, \
random_state
        As for `NeuralClassifier`; the learning rate falls along a cosine. A larger batch tells
        more images apart at once.
    cache : path-like, optional
        Folder where embeddings are kept, by the sha256 of an image and of the embedder: an image
        is embedded once, and a `transform` that was interrupted goes on where it was.

    Attributes
    ----------
    n_outputs_ : int
        Features per image.
    image_shape_ : tuple of int
        Channels, height and width.
    n_features_in_ : int
        Numbers per image.
    history_ : `~astropy.table.Table`
        One row per epoch; none with a pretrained backbone.
    module_ : torch.nn.Module
        The backbone.

    Notes
    -----
    Same images in, same features out, bit for bit on one machine; the company of an image can
    change its last digits (not with ``cache``, which keeps the first answer). For cosine
    likeness, put `sklearn.preprocessing.Normalizer` behind it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> rng = np.random.default_rng(1)
    >>> y = np.arange(200) % 2
    >>> X = rng.normal(size=(200, 16, 16))
    >>> X[y == 1, 6:10, :] += 2  # a bar
    >>> embedder = ImageEmbedder(channels=(8, 16), max_epochs=5, batch_size=50, random_state=1)
    >>> embedder.fit(X).transform(X).shape
    (200, 32)
    >>> few = make_pipeline(embedder, LogisticRegression()).fit(X[:40], y[:40])
    >>> bool(few.score(X[40:], y[40:]) > 0.8)
    True
    """

    # What `NeuralEstimator` reads and nobody needs to choose here.
    dropout, l1, clip_norm, early_stopping = 0.0, 0.0, None, False
    optimizer, momentum, schedule, schedule_epochs, schedule_factor = "adamw", 0.9, "cosine", 1, 1.0
    validation_fraction, n_iter_no_change = 0.15, 1
    _read: Checkpointed | None = None
    _weights_digest: str | None = None

    def __init__(
        self,
        backbone: Any = "cnn",
        *,
        channels: tuple[int, ...] = (16, 32, 64),
        width: int = 64,
        depth: int = 2,
        patch_size: int | None = None,
        input_size: int | None = None,
        scaling: str = "auto",
        stretch: str = "asinh",
        augment: tuple[str, ...] = ("rotate", "shift", "stretch", "noise"),
        augment_strength: float = 1.0,
        symmetry: str = "none",
        turns: int = 1,
        activation: str = "relu",
        l2: float = 1e-4,
        learning_rate: float = 2e-3,
        batch_size: int = 128,
        max_epochs: int = 30,
        precision: str = "auto",
        device: str = "cpu",
        n_jobs: int | None = 1,
        cache: Any = None,
        checkpoint: Any = None,
        progress: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.backbone = backbone
        self.channels = channels
        self.width = width
        self.depth = depth
        self.patch_size = patch_size
        self.input_size = input_size
        self.scaling = scaling
        self.stretch = stretch
        self.augment = augment
        self.augment_strength = augment_strength
        self.symmetry = symmetry
        self.turns = turns
        self.activation = activation
        self.l2 = l2
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.precision = precision
        self.device = device
        self.n_jobs = n_jobs
        self.cache = cache
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
        self._check_image_parameters()
        check_choice("turns", self.turns, (1, 4))
        if self.turns == 4 and self.symmetry == "dihedral":
            raise ValueError("turns must be 1 with symmetry='dihedral', which has them, got 4.")

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> ImageEmbedder:
        """Learn from images without labels, or measure them for a pretrained backbone.

        Parameters
        ----------
        X : array_like, shape (n_images, height, width) or (n_images, n_channels, height, width)
            Finite images, or `Samples` of them.
        y, groups : ignored
        sample_weight : None
            Nothing else: every image counts the same, here and in `Samples`.

        Raises
        ------
        ValueError
            For images that are not finite or too small, weights, a backbone that is not there,
            damaged or of an unknown kind.
        ImportError
            When a pretrained backbone needs a package that is not installed.
        """
        self._check_parameters()
        if sample_weight is not None or getattr(X, "weights", None) is not None:
            raise ValueError(
                "sample_weight must be left out, got weights: every image counts the same. "
                "Draw the images by weight instead."
            )
        try:
            self._read, self._weights_digest = self._read_backbone(), None
            images = self._store_images(X.X if isinstance(X, Samples) else X)
            if self._read is None:
                self._fit_views(images)
            else:
                self._inputs = self._measure_inputs(images, None)
                self._dtype, self._kind = self._choose_dtype(self.device), "pretrained"
                self.module_ = self._load_backbone(self._read, self._dtype)
                self.n_outputs_ = self._count_features()
                self.best_epoch_, self.interrupted_ = 0, False
                self._write_history([], self._kind)
        finally:
            self._read = None
        return self

    def _fit_views(self, images: np.ndarray) -> None:
        if not self.augment:
            raise ValueError(
                f"augment must name some changes for backbone {self.backbone!r}, which learns from "
                "them, got none."
            )
        if len(images) < 2:
            raise ValueError("X must have two or more images to tell apart, got 1.")
        self.n_outputs_ = self._count_features()
        self._train(images, np.zeros((len(images), 1)), None, None, kind="contrastive")

    def _count_orientations(self) -> int:
        return max(int(self.turns), super()._count_orientations())

    def transform(self, X: Any) -> np.ndarray:
        """Embed images.

        Parameters
        ----------
        X : array_like or Samples
            Of the shape that `fit` saw.

        Returns
        -------
        ndarray, shape (n_images, n_outputs_), float32
        """
        check_is_fitted(self)
        images = self._check_rows(X)
        if self.cache is None:
            return self._embed(images)
        from ._embedding_cache import EmbeddingCache, name_images

        cache = EmbeddingCache(self.cache, self._identify(), self.n_outputs_)
        keys = name_images(images)
        rows = cache.find(keys)
        new = [k for k, row in enumerate(rows) if row is None]
        for start in range(0, len(new), WRITTEN_AT_ONCE):
            chosen = new[start : start + WRITTEN_AT_ONCE]
            cache.add([keys[k] for k in chosen], self._embed(images[chosen]))
        found = [row for row in cache.find(keys) if row is not None]
        return np.array(found, dtype=np.float32).reshape(len(images), self.n_outputs_)

    def _embed(self, images: np.ndarray) -> np.ndarray:
        return self._run(images).astype(np.float32)

    def _get_scorer(self) -> torch.nn.Module:
        import torch

        from ._image_networks import ImageNetwork

        orientations = self._count_orientations()
        return ImageNetwork(self.module_, torch.nn.Identity(), orientations=orientations)

    def _identify(self) -> str:
        """sha256 of all that the features of an image depend on."""
        if self._weights_digest is None:
            digest = hashlib.sha256()
            for data in self._get_fitted()[1].values():
                digest.update(data)
            self._weights_digest = digest.hexdigest()
        names = ("stretch", "activation", "patch_size", "width", "depth", "channels")
        known = {name: getattr(self, name) for name in names} | self._describe_images()
        known["turns"] = self._count_orientations()
        known |= {"weights": self._weights_digest, "dtype": self._dtype}
        return hashlib.sha256(json.dumps(known, sort_keys=True, default=repr).encode()).hexdigest()

    @property
    def _n_features_out(self) -> int:
        return self.n_outputs_

    def _choose_dtype(self, device: str) -> str:
        return "float32" if self.precision == "auto" else self.precision

    def _build_network(self) -> torch.nn.Module:
        return self._build_backbone()

    def _draw_network(self) -> torch.nn.Module:
        from ._image_networks import SmallViT, ViewsNetwork
        from ._networks import draw_weights

        network = ViewsNetwork(self._build_backbone())
        draw_weights(network, activation=self.activation)
        if isinstance(network.backbone, SmallViT):
            network.backbone.draw()
        return network

    def _make_augment(self) -> Any:
        from ._augmentation import Augmenter
        from ._image_networks import TwoViews

        return TwoViews(Augmenter(self.augment, strength=float(self.augment_strength)))

    def _complete_network(self, network: Any) -> torch.nn.Module:
        return network.backbone

    def _write_history(self, rows: list[dict[str, float]], kind: str) -> None:
        if rows:
            super()._write_history(rows, kind)
            return
        self.history_ = Table(names=HISTORY, dtype=(int, float, float, float))
        self.history_.meta["best_epoch"] = 0

    def _check_kind(self) -> None:
        if self._kind != ("contrastive" if self._spec is None else "pretrained"):
            raise ValueError("kind must fit the backbone")
        if self.n_outputs_ != self._count_features():
            raise ValueError("n_outputs must be the features of the backbone")

    def _count_features(self) -> int:
        import torch

        with torch.device("meta"):
            return int(self._build_backbone().width)

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        state, weights = super()._get_fitted()
        return state | self._describe_images(), weights

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        self._restore_images(state)
        super()._set_fitted(state, weights)
