"""A training on disk, after every epoch, so that one that was killed goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ._tensors import read_tensors, replace_file, write_tensors

if TYPE_CHECKING:
    import skorch

    from ._training_steps import BestWeights, EpochRecorder


def identify_training(options: Mapping[str, Any], arrays: Mapping[str, np.ndarray | None]) -> str:
    """sha256 of everything that the outcome of a training depends on."""
    digest = hashlib.sha256(json.dumps(options, sort_keys=True, default=repr).encode())
    for name, array in arrays.items():
        if array is None:
            continue
        values = np.ascontiguousarray(array)
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(repr(values.tolist()).encode() if values.dtype.kind == "O"
                      else values.tobytes())  # fmt: skip
    return digest.hexdigest()


class Checkpoint:
    """One file for one training: the same data, parameters and seed, found by their sha256.

    The file holds tensors and JSON only. It stays when the training is over, so that the next fit
    of the same model to the same data returns at once.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: str) -> None:
        self.path = Path(folder) / f"training-{identity[:32]}.safetensors"
        self.identity = identity
        self.seed: int | None = None
        self._stored: tuple[dict[str, np.ndarray], dict[str, Any]] | None = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self._stored = self._read()
            self.seed = int(self._stored[1]["seed"])

    def _read(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        data = self.path.read_bytes()
        try:
            arrays = read_tensors(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            state = json.loads(header["__metadata__"]["training"])
            if state["identity"] != self.identity:
                raise ValueError("it belongs to another training")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"checkpoint must hold whole files of this library, got {self.path.name}: {error}. "
                "Delete it to train from the start."
            ) from error
        return arrays, state

    def restore(self, net: skorch.NeuralNet, recorder: EpochRecorder, best: BestWeights) -> None:
        """Bring a net, its record and torch's random numbers to where they were."""
        if self._stored is None:
            return
        arrays, state = self._stored
        tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        net.module_.load_state_dict(_take(tensors, "module."))
        recorder.rows = list(state["rows"])
        if state["best_epoch"]:
            best.keep(state["best_loss"], state["best_epoch"], _take(tensors, "best."))
        own = net.optimizer_.state_dict()
        own["state"] = {}
        for name, tensor in _take(tensors, "optimizer.").items():
            number, key = name.split(".", 1)
            own["state"].setdefault(int(number), {})[key] = tensor
        net.optimizer_.load_state_dict(own)
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and str(net.device).startswith("cuda"):
            torch.cuda.set_rng_state(tensors["random.cuda"], net.device)

    def write(
        self, net: skorch.NeuralNet, *, recorder: EpochRecorder, best: BestWeights, seed: int
    ) -> None:
        """Replace the file by the state of now, whole or not at all."""
        tensors = {f"module.{name}": value for name, value in net.module_.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in best.state.items()}
        for number, slots in net.optimizer_.state_dict()["state"].items():
            for key, value in slots.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer.{number}.{key}"] = value
        tensors["random.cpu"] = torch.get_rng_state()
        if str(net.device).startswith("cuda"):
            tensors["random.cuda"] = torch.cuda.get_rng_state(net.device)
        state = {
            "identity": self.identity,
            "seed": seed,
            "rows": recorder.rows,
            "best_loss": best.loss if best.state else 0.0,
            "best_epoch": best.epoch,
        }
        arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
        data = write_tensors(arrays, metadata={"training": json.dumps(state)})
        replace_file(self.path, data)


def _take(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {
        name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)
    }
