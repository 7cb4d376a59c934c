"""Vision transformers as the transformers library keeps them: a folder, or a name on its hub.

Only safetensors are read, no code that lies beside them is run, and of the settings only those
that `FAMILIES` lists are taken.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .._validation import import_extra
from ._backbones import FAMILIES, HUB_NAME, NAMES, BackboneSpec
from ._tensors import read_tensors, write_tensors

EXTRA = "images"
CONFIG, PREPROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"


class HubBackbone(nn.Module):
    """Features of images from a vision transformer."""

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        library = import_extra("transformers", extra=EXTRA)
        family = FAMILIES[spec.family]
        config = getattr(library, family.config)(**spec.config)
        options = {"add_pooling_layer": False} if family.pooler else {}
        with torch.random.fork_rng(devices=[]):
            self.model = getattr(library, family.model)(config, **options)
        self._fill_buffers()
        self.pooling = family.pooling
        self.first = family.first + int(spec.config.get("num_register_tokens", 0))
        self.width = int(config.hidden_size) * (2 if self.pooling == "both" else 1)
        resized = spec.input_size != spec.config["image_size"]
        self.options = {"interpolate_pos_encoding": True} if family.stretches and resized else {}

    def _fill_buffers(self) -> None:
        """Compute the constants that no file holds, also where no weights are allocated yet."""
        for module in self.model.modules():
            if getattr(module, "_non_persistent_buffers_set", None):
                with torch.device("cpu"):
                    module.to_empty(device="cpu", recurse=False)
                    self.model._init_weights(module)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embed images of the size and channels of the checkpoint."""
        return self._pool(self.model(pixel_values=images, **self.options).last_hidden_state)

    def _pool(self, tokens: torch.Tensor) -> torch.Tensor:
        if self.pooling == "first":
            return tokens[:, 0]
        mean = tokens[:, self.first :].mean(dim=1)
        return mean if self.pooling == "mean" else torch.cat([tokens[:, 0], mean], dim=1)

    def attend(self, images: torch.Tensor) -> Any:
        """Embed images and say which token looked at which."""
        from ._image_networks import Attended

        usual = self.model.config._attn_implementation
        self.model.set_attn_implementation("eager")  # the only one that tells
        try:
            found = self.model(pixel_values=images, output_attentions=True, **self.options)
        finally:
            self.model.set_attn_implementation(usual)
        features = self._pool(found.last_hidden_state)
        grid = [side // int(self.model.config.patch_size) for side in images.shape[2:]]
        return Attended(features, found.attentions, self.pooling, self.first, grid)

    def list_parts(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Return the blocks from the first to the last, and what follows them."""
        (blocks,) = (m for m in self.model.modules() if isinstance(m, nn.ModuleList))
        after = [m for name, m in self.model.named_children() if "norm" in name]
        return list(blocks), after


def read_hub(backbone: Any) -> tuple[BackboneSpec, dict[str, torch.Tensor]]:
    """Return description and weights of a checkpoint, by the names of `HubBackbone`.

    Parameters
    ----------
    backbone : str or path-like
        A folder that holds config.json and safetensors, or "owner/name" on the hub, from which
        nothing else is downloaded.

    Raises
    ------
    ValueError
        Where there is no checkpoint, or one that is damaged or of an unknown kind.
    ImportError
        Without transformers.
    """
    import_extra("transformers", extra=EXTRA)
    folder = Path(backbone)
    if not folder.is_dir():
        folder = _download(os.fspath(backbone))
    config = _read_json(folder, CONFIG)
    name = config.get("model_type")
    if name not in FAMILIES:
        raise ValueError(
            f"backbone must be a checkpoint of one of {list(FAMILIES)}, got {name!r} in "
            f"{folder.name}. Choose another model."
        )
    if not any(folder.glob("*.safetensors")):
        raise ValueError(
            f"backbone must be a folder with {WEIGHTS}, got {sorted(os.listdir(folder))[:8]} in "
            f"{folder.name}. Other formats can run code when they are read: save it again with "
            "model.save_pretrained(folder)."
        )
    model, weights = _load_folder(name, folder, dtype=torch.float32)
    return describe_checkpoint(name, model.config.to_dict(), _read_scaling(folder)), weights


def _load_folder(
    name: str, folder: Path, *, dtype: torch.dtype
) -> tuple[Any, dict[str, torch.Tensor]]:
    """Let transformers read a folder; it knows the names that its older versions gave."""
    library = import_extra("transformers", extra=EXTRA)
    family = FAMILIES[name]
    options = {"add_pooling_layer": False} if family.pooler else {}
    try:
        with _keep_quiet(library), torch.random.fork_rng(devices=[]):
            model, report = getattr(library, family.model).from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                attn_implementation="sdpa",
                dtype=dtype,
                **options,
            )
    except ImportError:
        raise
    except Exception as error:  # whatever the library makes of a damaged file
        raise ValueError(_blame(folder, str(error))) from error
    if other := sorted(str(key) for key in report["mismatched_keys"]):
        raise ValueError(_blame(folder, f"shapes in {CONFIG} and {WEIGHTS} differ: {other[:3]}"))
    if missing := sorted(report["missing_keys"]):
        raise ValueError(_blame(folder, f"it lacks {missing[:3]} and {len(missing)} in all"))
    weights = {f"model.{key}": value.detach() for key, value in model.state_dict().items()}
    for key, value in weights.items():
        if not torch.isfinite(value).all():
            raise ValueError(_blame(folder, f"{key} is not finite"))
    return model, weights


def export_weights(network: HubBackbone) -> dict[str, np.ndarray]:
    """Return the weights by the names of a checkpoint.

    Names inside the network change from one version of transformers to the next; those of a
    checkpoint are read by all.
    """
    library = import_extra("transformers", extra=EXTRA)
    with tempfile.TemporaryDirectory() as folder, _keep_quiet(library):
        network.model.save_pretrained(folder)
        parts = [read_tensors(path.read_bytes()) for path in Path(folder).glob("*.safetensors")]
    return {name: array for part in parts for name, array in part.items()}


def import_weights(
    network: HubBackbone, spec: BackboneSpec, arrays: Mapping[str, np.ndarray], *, dtype: str
) -> dict[str, np.ndarray]:
    """Inverse of `export_weights`, by the names of ``network``.

    Raises
    ------
    ValueError
        Unless there are as many numbers as the network holds, and each has its place.
    """
    held = sum(value.numel() for value in network.state_dict().values())
    if held != sum(array.size for array in arrays.values()):
        raise ValueError("the weights must be as many as the backbone has")
    library = import_extra("transformers", extra=EXTRA)
    config = getattr(library, FAMILIES[spec.family].config)(**spec.config)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config.save_pretrained(folder)
        (folder / WEIGHTS).write_bytes(write_tensors(arrays, metadata={"format": "pt"}))
        _, weights = _load_folder(spec.family, folder, dtype=getattr(torch, dtype))
        return {key: value.numpy().copy() for key, value in weights.items()}


def describe_checkpoint(
    name: str, config: Mapping[str, Any], scaling: Mapping[str, Any]
) -> BackboneSpec:
    """Return what is to be known of a checkpoint, from its two JSON files."""
    settings = {key: _make_plain(key, config.get(key)) for key in FAMILIES[name].keys}
    n_channels, patch = settings["num_channels"], settings["patch_size"]
    size = scaling.get("crop_size") if scaling.get("do_center_crop") else None
    size = size or scaling.get("size") or settings["image_size"]
    if isinstance(size, Mapping):
        size = size.get("height") or size.get("shortest_edge") or settings["image_size"]
    mean, spread = scaling.get("image_mean"), scaling.get("image_std")
    if scaling.get("do_normalize") is False:
        mean, spread = [0.0] * n_channels, [1.0] * n_channels
    pair = (mean, spread) if isinstance(mean, list) and isinstance(spread, list) else ((), ())
    factor = scaling.get("rescale_factor", 1 / 255) if scaling.get("do_rescale", True) else 1.0
    spec = BackboneSpec(
        family=name,
        config=settings,
        input_size=max(int(size) // patch, 1) * patch,
        n_channels=n_channels,
        mean=tuple(pair[0]),
        spread=tuple(pair[1]),
        unit=1 / float(factor),
    )
    spec.check()
    return spec


def _make_plain(key: str, value: Any) -> Any:
    """A side from a pair of equal sides; anything else as it is."""
    if isinstance(value, list | tuple) and len(set(value)) == 1:
        return value[0]
    return value


def _download(name: str) -> Path:
    """Bring a model from the hub to its cache: settings and safetensors, nothing else."""
    if not HUB_NAME.fullmatch(name):
        raise ValueError(
            f"backbone must be one of {list(NAMES)}, a folder that is there, or the name "
            f"'owner/name' of a model on the hub, got {name!r}. Check the path."
        )
    hub = import_extra("huggingface_hub", extra=EXTRA)
    try:
        return Path(hub.snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:  # the hub has many, and those of its network library besides
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"backbone must be a folder or a model that the hub can give, got {name!r}: "
            f"{reason[0]} Without a connection, copy the model and give its folder."
        ) from error


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        raise ValueError(
            f"backbone must be a folder with {name}, got {sorted(os.listdir(folder))[:8]} in "
            f"{folder.name}. Save the model with model.save_pretrained(folder)."
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(_blame(folder, f"{name} is not JSON: {error}")) from error
    if not isinstance(values, dict):
        raise ValueError(_blame(folder, f"{name} must hold names and values"))
    return values


def _read_scaling(folder: Path) -> dict[str, Any]:
    return _read_json(folder, PREPROCESSOR) if (folder / PREPROCESSOR).is_file() else {}


def _blame(folder: Path, reason: str) -> str:
    first = " ".join(reason.split())[:300]
    return f"backbone must be a whole checkpoint, got {folder.name}: {first}. Copy it again."


@contextlib.contextmanager
def _keep_quiet(library: Any) -> Iterator[None]:
    """No progress bars and reports for a while; what is wrong is raised."""
    log = library.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
