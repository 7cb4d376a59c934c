"""What the image members share: checks, scales, backbones from scratch or from a checkpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_choice, check_real, invalid
from ..samples import Samples
from ._backbones import (
    FROM_SCRATCH,
    LITE0,
    SCALINGS,
    BackboneSpec,
    check_backbone,
    is_pretrained,
)
from ._network_inputs import STRETCHES, ImageScaler, Scaler

if TYPE_CHECKING:
    import torch

SYMMETRIES = {"none": 1, "turns": 4, "dihedral": 8}  # orientations of an image
AUGMENTATIONS = ("blur", "flip", "noise", "rotate", "rotate90", "shift", "stretch")
MOST_BLOCKS, MOST_SIDE, MOST_WIDTH = 12, 2**14, 2**16
HEAD_SIZE = 16  # of an attention head; the width of a small transformer is a multiple
CHUNK_PIXELS, CHUNKS = 2**17, (4, 256)  # together: their maps stay in the cache of a processor


@dataclass(frozen=True)
class Checkpointed:
    """A pretrained backbone as it was read: description and weights."""

    spec: BackboneSpec
    weights: Mapping[str, Any]

    def identify(self) -> str:
        """sha256 of everything that features depend on."""
        digest = hashlib.sha256(json.dumps(self.spec.to_dict(), sort_keys=True).encode())
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.weights[name].cpu().numpy()).tobytes())
        return digest.hexdigest()


class ImageInputs:
    """Images in, inputs of a network out, and the backbone behind them.

    Mixed into the members that learn from images; ``_spec`` is None for a backbone that starts
    from scratch.
    """

    backbone: Any
    channels: tuple[int, ...]
    width: int
    depth: int
    patch_size: int | None
    input_size: int | None
    scaling: str
    stretch: str
    augment: tuple[str, ...]
    augment_strength: float
    symmetry: str
    activation: str

    image_shape_: tuple[int, ...]
    n_features_in_: int
    _inputs: Any
    _spec: BackboneSpec | None
    _scaling: str
    _chunk: int
    _dtype: str
    module_: Any

    def _check_image_parameters(self) -> None:
        check_backbone(self.backbone)
        check_choice("scaling", self.scaling, SCALINGS)
        check_choice("stretch", self.stretch, STRETCHES)
        if not isinstance(self.augment, tuple | list):
            raise invalid("augment", f"a tuple with some of {AUGMENTATIONS}", self.augment)
        for kind in self.augment:
            check_choice("augment", kind, AUGMENTATIONS)
        check_real("augment_strength", self.augment_strength, at_least=0, at_most=10)
        check_choice("symmetry", self.symmetry, tuple(SYMMETRIES))
        widths, rule = self.channels, f"1 to {MOST_BLOCKS} whole numbers from 1 to {MOST_WIDTH}"
        if not isinstance(widths, tuple | list) or not 1 <= len(widths) <= MOST_BLOCKS:
            raise invalid("channels", rule, widths)
        for width in widths:
            if not isinstance(width, int | np.integer) or not 1 <= width <= MOST_WIDTH:
                raise invalid("channels", rule, width)
        _check_whole("width", self.width, HEAD_SIZE, MOST_WIDTH)
        if self.width % HEAD_SIZE:
            raise invalid("width", f"a multiple of {HEAD_SIZE}", self.width)
        _check_whole("depth", self.depth, 1, 200)
        for name in ("patch_size", "input_size"):
            if getattr(self, name) is not None:
                _check_whole(name, getattr(self, name), 1, MOST_SIDE)
        if not is_pretrained(self.backbone) and self.scaling == "checkpoint":
            raise ValueError(
                f"scaling must be 'auto' or 'data' for backbone {self.backbone!r}, which comes "
                "with no checkpoint, got 'checkpoint'."
            )

    def _store_images(self, X: Any) -> np.ndarray:
        """Check images to train on, and note their shape and how they are to be scaled."""
        eight_bit = getattr(X, "dtype", None) == np.uint8
        images = check_images(X)
        self.image_shape_ = tuple(int(n) for n in images.shape[1:])
        self.n_features_in_ = int(np.prod(self.image_shape_))
        self._check_symmetry()
        self._chunk = self._choose_chunk()
        self._scaling = "data"
        if self._spec is None:
            self._check_sides()
            return images
        fits = bool(self._spec.mean) and self.image_shape_[0] in (1, self._spec.n_channels)
        if self.scaling == "checkpoint" and not fits:
            raise ValueError(
                "scaling must be 'data' here, got 'checkpoint': the checkpoint does not say how "
                f"images of {self.image_shape_[0]} channels are to be scaled."
            )
        if self.scaling == "checkpoint" or (self.scaling == "auto" and fits and eight_bit):
            self._scaling = "checkpoint"
        return images

    def _count_orientations(self) -> int:
        """In how many orientations an image is looked at."""
        return SYMMETRIES[self.symmetry]

    def _check_symmetry(self) -> None:
        height, width = self.image_shape_[1:]
        if height != width and self._count_orientations() > 1:
            raise ValueError(
                f"symmetry must be 'none' (and turns 1) for images that are not square, got "
                f"{self._count_orientations()} orientations of {height} x {width}. "
                "Cut squares out of them."
            )

    def _choose_chunk(self) -> int:
        """How many images to score together."""
        side = 0 if self._spec is None else self._spec.input_size
        pixels = side**2 or int(np.prod(self.image_shape_[1:]))
        least, most = CHUNKS
        return min(max(CHUNK_PIXELS // pixels, least), most)

    def _check_sides(self) -> None:
        smallest = 2 ** len(self.channels) if self.backbone == "cnn" else 2
        height, width = self.image_shape_[1:]
        if min(height, width) < smallest:
            raise ValueError(
                f"X must have images of at least {smallest} x {smallest} for {len(self.channels)} "
                f"blocks, got {height} x {width}. Use fewer channels."
            )

    def _check_rows(self, X: Any) -> np.ndarray:
        images = check_images(X.X if isinstance(X, Samples) else X)
        if images.shape[1:] != self.image_shape_:
            raise ValueError(
                f"X must have images of the shape {self.image_shape_} that the model was trained "
                f"on, got {images.shape[1:]}."
            )
        return images

    def _measure_inputs(self, X: np.ndarray, weight: np.ndarray | None) -> Scaler:
        n_channels = self.image_shape_[0]
        if self._spec is not None and self._scaling == "checkpoint":
            mean, spread = self._spec.list_scales(n_channels)
            return ImageScaler(
                np.full(n_channels, self._spec.unit), np.array(mean), np.array(spread)
            )
        scaler = ImageScaler.measure(X, weight, stretch=self.stretch)
        if self._spec is None:
            return scaler
        wanted, width = (np.array(values) for values in self._spec.match_natural(n_channels))
        scale = scaler.scale / width
        return replace(scaler, mean=scaler.mean - wanted * scale, scale=scale)

    def _transform_inputs(self, X: np.ndarray) -> np.ndarray:
        stretch = "none" if self._scaling == "checkpoint" else self.stretch
        return self._inputs.transform(X, stretch=stretch)

    def _read_backbone(self) -> Checkpointed | None:
        """Read the weights that the backbone comes with."""
        self._spec = None
        if not is_pretrained(self.backbone):
            return None
        if isinstance(self.backbone, str) and self.backbone == LITE0:
            from ._efficientnet import describe_lite0, read_lite0

            spec, weights = describe_lite0(), read_lite0()
        else:
            from ._hub_backbones import read_hub

            spec, weights = read_hub(self.backbone)
        if self.input_size is not None:
            spec = replace(spec, input_size=int(self.input_size))
            spec.check()
        self._spec = spec
        return Checkpointed(spec, weights)

    def _build_backbone(self) -> Any:
        """Make the backbone without its weights."""
        from ._image_networks import PretrainedBackbone, SmallCNN, SmallViT, choose_patch

        if self._spec is not None:
            return PretrainedBackbone(self._spec)
        if self.backbone == "cnn":
            return SmallCNN(
                self.image_shape_[0],
                channels=self.channels,
                activation=self.activation,
            )
        return SmallViT(
            self.image_shape_,
            width=int(self.width),
            depth=int(self.depth),
            patch=int(self.patch_size or choose_patch(self.image_shape_)),
        )

    def _load_backbone(self, read: Checkpointed, dtype: str) -> torch.nn.Module:
        """Make the backbone with the weights that were read, ready to be used as it is."""
        import torch

        with torch.device("meta"):
            backbone = self._build_backbone()
        copies = {name: value.clone() for name, value in read.weights.items()}
        backbone.inner.load_state_dict(copies, assign=True)
        return backbone.to(dtype=getattr(torch, dtype)).requires_grad_(False).eval()

    def _find_hub_backbone(self, network: Any) -> tuple[str, Any]:
        """Where in the names of ``network`` a transformers model lies, and the model."""
        if self._spec is None or self._spec.family == LITE0:
            return "", None
        if hasattr(network, "backbone"):
            return "backbone.inner.", network.backbone.inner
        return "inner.", network.inner

    def _export_weights(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        prefix, inner = self._find_hub_backbone(self.module_)
        if inner is None:
            return arrays
        from ._hub_backbones import export_weights

        kept = {name: value for name, value in arrays.items() if not name.startswith(prefix)}
        return kept | {prefix + name: value for name, value in export_weights(inner).items()}

    def _import_weights(self, network: Any, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        prefix, inner = self._find_hub_backbone(network)
        if self._spec is None or inner is None:
            return arrays
        from ._hub_backbones import import_weights

        own = {name[len(prefix) :]: value for name, value in arrays.items()
               if name.startswith(prefix)}  # fmt: skip
        kept = {name: value for name, value in arrays.items() if not name.startswith(prefix)}
        named = import_weights(inner, self._spec, own, dtype=self._dtype)
        return kept | {prefix + name: value for name, value in named.items()}

    def _describe_images(self) -> dict[str, Any]:
        """Return what a model file keeps beside the weights, as plain values."""
        return {
            "image_shape": list(self.image_shape_),
            "scaling": self._scaling,
            "backbone": None if self._spec is None else self._spec.to_dict(),
        }

    def _restore_images(self, state: Mapping[str, Any]) -> None:
        """Inverse of `_describe_images`; every value is checked."""
        shape = tuple(state["image_shape"])
        sizes = all(type(n) is int and 1 <= n <= MOST_SIDE for n in shape)
        if len(shape) != 3 or not sizes or np.prod(shape) != self.n_features_in_:
            raise ValueError("image_shape must be channels, height and width")
        self.image_shape_ = shape
        self._check_symmetry()
        self._scaling = check_choice("scaling", state["scaling"], SCALINGS[1:])
        entry = state["backbone"]
        self._spec = None if entry is None else BackboneSpec.from_dict(entry)
        self._chunk = self._choose_chunk()
        named = self.backbone if self.backbone in (*FROM_SCRATCH, LITE0) else "checkpoint"
        kind = None if self._spec is None else self._spec.family
        known = {"cnn": kind is None, "vit": kind is None, LITE0: kind == LITE0}
        if not known.get(named, kind not in (None, LITE0)):
            raise ValueError(f"the backbone must be {self.backbone!r}, got {kind!r}")
        if kind is None and self._scaling != "data":
            raise ValueError("scaling must be 'data' without a checkpoint")

    def _read_scalers(self, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        self._inputs = ImageScaler.from_arrays(arrays["inputs"])
        if self._inputs.mean.shape != self.image_shape_[:1]:
            raise ValueError("the input scaler must have one entry per channel")


def _check_whole(name: str, value: Any, least: int, most: int) -> None:
    if not isinstance(value, int | np.integer) or not least <= value <= most:
        raise invalid(name, f"a whole number from {least} to {most}", value)


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
    if images.ndim == 4 and images.shape[3] <= 4 < min(images.shape[1:3]):
        raise ValueError(
            "X must have the channels before height and width, got the shape "
            f"{images.shape}. Use np.moveaxis(X, -1, 1)."
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
