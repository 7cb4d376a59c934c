"""What turns an image into features: the names that can be asked for, and plain descriptions."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FROM_SCRATCH = ("cnn", "vit")
LITE0 = "efficientnet-lite0"
NAMES = (*FROM_SCRATCH, LITE0)
HEADS = ("linear", "mlp")
TRAINED = ("auto", "head", "last-blocks", "all")
SCALINGS = ("auto", "data", "checkpoint")
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
MOST_CONFIG, MOST_BLOCKS_DEEP, MOST_INPUT = 2**20, 200, 4096
# Mean and spread of the pixels of natural images (ImageNet), which pretrained weights expect.
NATURAL_MEAN, NATURAL_SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

COMMON = ("hidden_size", "num_hidden_layers", "num_attention_heads", "hidden_act",
          "layer_norm_eps", "image_size", "patch_size", "num_channels")  # fmt: skip
DROPPING = ("hidden_dropout_prob", "attention_probs_dropout_prob")
PLAIN = (*COMMON, *DROPPING, "intermediate_size", "qkv_bias")
DINO = (*COMMON, *DROPPING, "mlp_ratio", "qkv_bias", "layerscale_value", "drop_path_rate",
        "use_swiglu_ffn")  # fmt: skip
DINO3 = (*COMMON, "intermediate_size", "attention_dropout", "rope_theta", "query_bias", "key_bias",
         "value_bias", "proj_bias", "mlp_bias", "layerscale_value", "drop_path_rate",
         "use_gated_mlp", "num_register_tokens", "pos_embed_rescale")  # fmt: skip


@dataclass(frozen=True)
class Family:
    """One kind of transformers model: its classes there, its settings, where its features are.

    ``first`` says how many tokens come before the patches, registers apart; ``pooling`` what is
    taken: the first token, the mean of the patches, or both side by side.
    """

    config: str
    model: str
    keys: tuple[str, ...]
    pooling: str
    first: int = 1
    pooler: bool = False
    stretches: bool = True


FAMILIES = {
    "vit": Family("ViTConfig", "ViTModel", PLAIN, "first", pooler=True),
    "deit": Family("DeiTConfig", "DeiTModel", PLAIN, "first", first=2, pooler=True),
    "vit_msn": Family("ViTMSNConfig", "ViTMSNModel", PLAIN, "first"),
    "ijepa": Family("IJepaConfig", "IJepaModel", PLAIN, "mean", first=0),
    "dinov2": Family("Dinov2Config", "Dinov2Model", DINO, "both", stretches=False),
    "dinov2_with_registers": Family(
        "Dinov2WithRegistersConfig",
        "Dinov2WithRegistersModel",
        (*DINO, "num_register_tokens"),
        "both",
        stretches=False,
    ),
    "dinov3_vit": Family("DINOv3ViTConfig", "DINOv3ViTModel", DINO3, "both", stretches=False),
}


@dataclass(frozen=True)
class BackboneSpec:
    """All that is needed to build a pretrained backbone but its weights, as plain values.

    Parameters
    ----------
    family : str
        "efficientnet-lite0" or a key of `FAMILIES`.
    config : mapping
        Settings of the transformers model, of the keys that its family has.
    input_size : int
        Side of the square images that it is given.
    n_channels : int
        Channels of those images.
    mean, spread : tuple of float
        With ``unit``, how the checkpoint wants images: (image / unit - mean) / spread. Empty when
        it does not say.
    """

    family: str
    config: Mapping[str, Any]
    input_size: int
    n_channels: int = 3
    mean: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    unit: float = 255.0

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        values = asdict(self)
        return values | {"mean": list(self.mean), "spread": list(self.spread)}

    @classmethod
    def from_dict(cls, values: Any) -> BackboneSpec:
        """Inverse of `to_dict`; every value is checked."""
        if not isinstance(values, Mapping) or set(values) != set(cls.__dataclass_fields__):
            raise ValueError(f"backbone must have the entries {sorted(cls.__dataclass_fields__)}.")
        lists = {key: tuple(values[key]) for key in ("mean", "spread")}
        spec = cls(**{**values, **lists})
        spec.check()
        return spec

    def check(self) -> None:
        """Raise unless a network of bounded size can be built from this."""
        if self.family != LITE0 and self.family not in FAMILIES:
            known = [LITE0, *FAMILIES]
            raise ValueError(f"backbone must be of a kind in {known}, got {self.family!r}.")
        keys = () if self.family == LITE0 else FAMILIES[self.family].keys
        if not isinstance(self.config, Mapping) or set(self.config) != set(keys):
            raise ValueError(f"the settings of a {self.family} must be {sorted(keys)}.")
        for key, value in self.config.items():
            _check_setting(key, value)
        for key, most in (("input_size", MOST_INPUT), ("n_channels", 64)):
            value = getattr(self, key)
            if type(value) is not int or not 1 <= value <= most:
                raise ValueError(f"{key} must be a whole number from 1 to {most}, got {value!r}.")
        if self.n_channels != self.config.get("num_channels", 3):
            raise ValueError("n_channels must be those of the settings.")
        patch = self.config.get("patch_size", 32)
        if self.input_size < patch or (self.family != LITE0 and self.input_size % patch):
            raise ValueError(
                f"input_size must be a multiple of the patches of {patch} pixels, got "
                f"{self.input_size}."
                if self.family != LITE0
                else f"input_size must be at least {patch}, got {self.input_size}."
            )
        numbers = (*self.mean, *self.spread, self.unit)
        plain = all(type(n) in (int, float) and math.isfinite(n) for n in numbers)
        if not plain or not all(n > 0 for n in (*self.spread, self.unit)):
            raise ValueError("mean, spread and unit must be finite, and the last two > 0.")
        if len(self.mean) != len(self.spread) or len(self.mean) not in (0, self.n_channels):
            raise ValueError("mean and spread must have one entry per channel, or none.")

    def match_natural(self, n_channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and spread that natural images have after the checkpoint's own scaling.

        One entry per channel of the user's images, which are averaged over channels where their
        number differs.
        """
        if not self.mean or self.n_channels != len(NATURAL_MEAN):
            return (0.0,) * n_channels, (1.0,) * n_channels
        rows = zip(NATURAL_MEAN, NATURAL_SPREAD, self.mean, self.spread, strict=True)
        pairs = [((m - mean) / spread, s / spread) for m, s, mean, spread in rows]
        if n_channels != len(pairs):
            pairs = [(_average(p[0] for p in pairs), _average(p[1] for p in pairs))] * n_channels
        return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)

    def list_scales(self, n_channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and spread of the checkpoint, per channel of the user's images."""
        if n_channels == self.n_channels:
            return self.mean, self.spread
        return (_average(self.mean),) * n_channels, (_average(self.spread),) * n_channels


def _average(values: Any) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


def _check_setting(key: str, value: Any) -> None:
    if key == "hidden_act":
        good = isinstance(value, str) and len(value) < 40
    elif key in ("num_hidden_layers", "num_register_tokens"):
        good = type(value) is int and 0 <= value <= MOST_BLOCKS_DEEP
    elif key in ("hidden_size", "num_attention_heads", "image_size", "patch_size", "num_channels",
                 "intermediate_size"):  # fmt: skip
        good = type(value) is int and 1 <= value <= MOST_CONFIG
    elif key == "pos_embed_rescale" and value is None:
        good = True
    else:
        number = isinstance(value, bool | int | float) and math.isfinite(value)
        good = number and 0 <= value <= MOST_CONFIG
    if not good:
        raise ValueError(f"{key} of the backbone must be a plain value in range, got {value!r}.")


def check_backbone(value: Any) -> None:
    """Raise unless ``value`` can name a backbone; whether it is there is seen when it is read."""
    if isinstance(value, os.PathLike) or (isinstance(value, str) and value in NAMES):
        return
    if isinstance(value, str) and ("/" in value or os.sep in value or Path(value).is_dir()):
        return
    raise ValueError(
        f"backbone must be one of {list(NAMES)}, a folder that holds config.json and "
        f"model.safetensors, or the name 'owner/name' of a model on the hub, got {value!r}."
    )


def name_backbone(value: Any) -> str:
    """Return a backbone as a model file may say it: the folders above it are nobody's business."""
    text = os.fspath(value)
    if isinstance(value, str) and (text in NAMES or HUB_NAME.fullmatch(text)):
        return text
    return f"./{Path(text).name}"


def is_pretrained(value: Any) -> bool:
    """Whether a backbone comes with weights."""
    return not (isinstance(value, str) and value in FROM_SCRATCH)
