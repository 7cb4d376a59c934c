"""Batches of what a model says of stamps, as Parquet files that know what they were made from."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable

MANIFEST = "_manifest.json"  # readers of Parquet folders pass over names that begin with "_"
KEY = b"astroml_kit"
WORDS = {
    "model": "another model",
    "method": "another method",
    "batch_size": "another batch size",
    "fill": "another fill",
    "version": "another version of astroml_kit",
}


class StampParts:
    """A folder of finished batches; `open` checks that it belongs to this run."""

    def __init__(self, folder: str | os.PathLike[str], *, run: str = "") -> None:
        self.folder, self.run = Path(folder), run

    @classmethod
    def open(
        cls, folder: str | os.PathLike[str], *, made_from: dict[str, Any], resume: bool
    ) -> StampParts:
        """Return the folder for parts that are ``made_from`` this; keys are those of `WORDS`.

        Raises
        ------
        ValueError
            For a folder of something else, or of a run that was made from something else.
        """
        parts = cls(folder, run=_digest(json.dumps(made_from, sort_keys=True).encode()))
        manifest = parts.folder / MANIFEST
        if parts.folder.exists() and not parts.folder.is_dir():
            raise ValueError(f"output must be a folder, got the file {parts.folder}.")
        if manifest.exists() and resume:
            _check_same(manifest, made_from)
        elif manifest.exists():
            for number in parts.list_numbers():
                parts.name(number).unlink()
        elif parts.folder.exists() and any(parts.folder.iterdir()):
            raise ValueError(
                f"output must be a new or empty folder or that of an earlier run, got "
                f"{parts.folder} with other files. Give another one."
            )
        parts.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(made_from, indent=1)
        _replace(manifest, lambda file: file.write_text(text, encoding="utf-8"))
        return parts

    def name(self, number: int) -> Path:
        """Return the file of a batch."""
        return self.folder / f"part-{number:06}.parquet"

    def list_numbers(self) -> list[int]:
        """Numbers of the batches that are there."""
        return sorted(int(file.stem[5:]) for file in self.folder.glob("part-*.parquet"))

    def holds(self, number: int, identity: str) -> bool:
        """Whether a batch is there, whole and of these stamps.

        Raises
        ------
        ValueError
            When its file is damaged, or of other stamps or another run.
        """
        if not self.name(number).exists():
            return False
        told = self._load(number)[1]
        if told.get("run") != self.run or told.get("stamps") != identity:
            what = "other stamps" if told.get("run") == self.run else "another run"
            raise ValueError(
                f"{self.name(number)} must be of the same stamps in the same order, got a part of "
                f"{what}. Give another output, or resume=False to begin anew."
            )
        return True

    def check_end(self, n_parts: int) -> None:
        """Raise when there are more parts than there were batches."""
        surplus = [number for number in self.list_numbers() if number >= n_parts]
        if surplus:
            raise ValueError(
                f"output must hold {n_parts} parts of these stamps, got {self.name(surplus[0])} "
                "besides. Give another output, or resume=False to begin anew."
            )

    def write(self, number: int, columns: dict[str, np.ndarray], identity: str) -> None:
        """Keep a batch: it is there as a whole or not at all."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        arrays = {name: _to_arrow(values) for name, values in columns.items()}
        table = pa.table(arrays).replace_schema_metadata(
            {KEY: json.dumps({"run": self.run, "stamps": identity})}
        )
        _replace(
            self.name(number),
            lambda file: pq.write_table(table, file, write_page_checksum=True),
        )

    def read(self, number: int) -> QTable:
        """Return a batch."""
        table = self._load(number)[0]
        return QTable({name: _from_arrow(table[name]) for name in table.column_names})

    def _load(self, number: int) -> tuple[Any, dict[str, str]]:
        """Return the table and what is said of it; every page has its checksum compared."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = self.name(number)
        try:
            table = pq.ParquetFile(file, page_checksum_verification=True).read()
            return table, json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ValueError(
                f"{file} must be a whole Parquet file: {error}. Delete it and run again."
            ) from error


def _to_arrow(values: np.ndarray) -> Any:
    """Numbers as a column; rows of numbers as lists of one length."""
    import pyarrow as pa

    if values.ndim < 2:
        return pa.array(values)
    rows = np.ascontiguousarray(values.reshape(len(values), -1))
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])


def _from_arrow(column: Any) -> np.ndarray:
    import pyarrow as pa

    if pa.types.is_fixed_size_list(column.type):
        flat = column.combine_chunks().flatten().to_numpy()
        return flat.reshape(-1, column.type.list_size)
    values = column.to_numpy()
    return values.astype(str) if values.dtype.kind == "O" else values


def _check_same(manifest: Path, made_from: dict[str, Any]) -> None:
    try:
        old = dict(json.loads(manifest.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{manifest} must be what map_stamps wrote: {error}. Give another output."
        ) from error
    changed = [word for key, word in WORDS.items() if old.get(key) != made_from[key]]
    if changed:
        raise ValueError(
            f"output must be of the same model and options, got {manifest.parent}, made with "
            f"{' and '.join(changed)}. Give another folder, or resume=False to begin anew."
        )


def _replace(place: Path, write: Any) -> None:
    partial_file = place.with_name(f"_{place.name}.partial")
    write(partial_file)
    partial_file.replace(place)


def fingerprint_stamps(images: np.ndarray, ids: np.ndarray) -> str:
    """Digest of the ids and of the sum of the pixels of each image: quick, and enough to tell."""
    total = images.sum(axis=tuple(range(1, images.ndim)), dtype=np.float64)
    text = "\0".join(map(str, ids.tolist()))
    return _digest(f"{images.dtype.str} {images.shape}\0{text}".encode() + total.tobytes())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
