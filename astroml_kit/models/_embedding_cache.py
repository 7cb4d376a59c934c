"""Embeddings on disk, found again by what is in an image and by what embeds it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from ._tensors import read_tensors, replace_file, write_tensors

KEY_BYTES = 32


class EmbeddingCache:
    """A folder of embeddings of one embedder, which ``identity`` names.

    Each file holds the sha256 of some images and their embeddings. An image that comes again, in
    whatever company, gets the numbers it got first; a run that was killed goes on where it was.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: str, width: int) -> None:
        self.folder, self.identity, self.width = Path(folder), identity, width
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stem = f"embeddings-{identity[:16]}"
        self._rows: dict[bytes, np.ndarray] = {}
        for path in sorted(self.folder.glob(f"{self.stem}-*.safetensors")):
            self._read(path)

    def _read(self, path: Path) -> None:
        data = path.read_bytes()
        try:
            arrays = read_tensors(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            keys, values = arrays["keys"], arrays["values"]
            if header["__metadata__"]["identity"] != self.identity:
                raise ValueError("it belongs to another embedder")
            if (
                keys.dtype != np.uint8
                or values.dtype != np.float32
                or keys.shape != (len(values), KEY_BYTES)
                or values.shape != (len(keys), self.width)
            ):
                raise ValueError("its arrays have other shapes")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"cache must hold whole files of this library, got {path.name}: {error}. "
                "Delete it to embed its images again."
            ) from error
        self._rows |= dict(zip((key.tobytes() for key in keys), values, strict=True))

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, keys: list[bytes]) -> list[np.ndarray | None]:
        """Return the embedding of each key, None where there is none."""
        return [self._rows.get(key) for key in keys]

    def add(self, keys: list[bytes], values: np.ndarray) -> None:
        """Keep embeddings, on disk before anything else happens."""
        rows = {key: value for key, value in zip(keys, values, strict=True)
                if key not in self._rows}  # fmt: skip
        if not rows:
            return
        names = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, KEY_BYTES)
        data = write_tensors(
            {"keys": names, "values": np.stack(list(rows.values()))},
            metadata={"identity": self.identity},
        )
        own = hashlib.sha256(names.tobytes()).hexdigest()[:16]
        replace_file(self.folder / f"{self.stem}-{own}.safetensors", data)
        self._rows |= rows


def name_images(images: np.ndarray) -> list[bytes]:
    """Return the sha256 of each image: its values, their type and its shape."""
    head = f"{images.dtype.str} {images.shape[1:]}".encode()
    return [hashlib.sha256(head + np.ascontiguousarray(image).tobytes()).digest()
            for image in images]  # fmt: skip
