"""One model on any number of stamps: in a stream, with bounded memory, resumable after a kill."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable, vstack

from .. import __version__
from .._validation import check_choice, check_real, invalid
from ..models.files import fingerprint_model
from ..samples import Samples
from ._stamp_parts import StampParts, fingerprint_stamps
from .io import iter_stamps
from .stamps import Stamps

PathLike = str | os.PathLike[str]
METHODS = ("auto", "predict_proba", "transform", "decision_function", "predict",
           "predict_concentrations", "score_samples")  # fmt: skip
FIRST_CHOICE = ("predict_proba", "transform", "score_samples")


@dataclass(frozen=True)
class MappedStamps:
    """What a model says of stamps, in a folder of Parquet files; nothing is in memory yet.

    Iterating gives one `~astropy.table.QTable` per part, in the order of the stamps. The folder
    as a whole is a data set that readers of Parquet take.

    Attributes
    ----------
    folder : Path
    method : str
        Of the model, such as "predict_proba".
    n_stamps, n_parts : int
    n_filled : int
        Masked pixels that were filled.
    n_resumed : int
        Parts that an earlier run had left.
    """

    folder: Path
    method: str
    n_stamps: int
    n_parts: int
    n_filled: int
    n_resumed: int

    def __len__(self) -> int:
        return self.n_stamps

    def __iter__(self) -> Iterator[QTable]:
        parts = StampParts(self.folder)
        return (parts.read(number) for number in range(self.n_parts))

    def __str__(self) -> str:
        return (
            f"{self.method} of {self.n_stamps} stamps in {self.n_parts} parts "
            f"({self.n_resumed} of an earlier run), {self.n_filled} pixels filled"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "folder": str(self.folder)}

    def read(self) -> QTable:
        """Return all rows at once: ``id``, ``n_filled`` and what the model says."""
        return vstack(list(self), metadata_conflicts="silent")


def map_stamps(
    stamps: PathLike | Stamps | np.ndarray | Iterable[Stamps | np.ndarray],
    *,
    model: Any,
    output: PathLike,
    method: str = "auto",
    batch_size: int = 1024,
    fill: float = 0.0,
    progress: bool = False,
    resume: bool = True,
    **read_options: Any,
) -> MappedStamps:
    """Classify or embed stamps batch by batch, writing each batch before the next is read.

    Parameters
    ----------
    stamps : path-like, Stamps, ndarray or iterable of Stamps or ndarray
        What `iter_stamps` reads; stamps in memory; or a stream such as `iter_stamps` itself, each
        item of which is split into batches. Arrays have the shape (n, h, w) or (n, n_bands, h, w).
    model : fitted estimator
        One of the zoo, or any with one of the methods.
    output : path-like
        Folder for one Parquet file per batch, written whole or not at all. After a kill the same
        call reads the stamps of finished batches again, to compare them, and computes the rest:
        the result is the same to the bit.
    method : {"auto", "predict_proba", "transform", "decision_function", "predict", \
"predict_concentrations", "score_samples"}
        What is asked of the model. "auto" takes the first that it has of "predict_proba",
        "transform" and "score_samples".
    batch_size : int
        Stamps per file, and in memory.
    fill : float
        Value of masked pixels; how many they were is counted in ``n_filled`` of each stamp.
    progress : bool
        Show a progress bar.
    resume : bool
        False deletes the results of an earlier run in ``output`` first.
    **read_options
        Of `iter_stamps`, for a path.

    Returns
    -------
    MappedStamps
        Its tables have ``id`` (a running number for arrays), ``n_filled``, and one column
        ``p_<class>`` per class for "predict_proba", otherwise ``value``, with as many numbers per
        row as the method gives.

    Raises
    ------
    ValueError
        For an output made with another model, method, batch size or fill, or from other stamps
        (their ids and sums of pixels are compared); for a damaged part; and for what the model
        refuses, with the number of the first stamp of its batch.

    Examples
    --------
    >>> import tempfile
    >>> from astroml_kit.models import ImageEmbedder
    >>> images = np.random.default_rng(1).normal(size=(50, 16, 16))
    >>> model = ImageEmbedder(channels=(4,), max_epochs=1, random_state=1).fit(images)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mapped = map_stamps(images, model=model, output=folder, batch_size=20)
    ...     print(mapped)
    ...     mapped.read()["value"].shape
    transform of 50 stamps in 3 parts (0 of an earlier run), 0 pixels filled
    (50, 8)
    """
    from tqdm import tqdm

    size = int(check_real("batch_size", batch_size, at_least=1, next_step="Give a whole number."))
    value = float(check_real("fill", fill))
    method = _choose_method(model, method)
    stream: Any = stamps
    if isinstance(stamps, str | os.PathLike):
        stream = iter_stamps(stamps, batch_size=size, **read_options)
    elif read_options:
        raise ValueError(f"options must be none unless for a path, got {list(read_options)}.")
    made_from = {"model": fingerprint_model(model), "method": method, "batch_size": size,
                 "fill": value, "version": __version__}  # fmt: skip
    parts = StampParts.open(output, made_from=made_from, resume=resume)
    counts = {"n_stamps": 0, "n_parts": 0, "n_filled": 0, "n_resumed": 0}
    with tqdm(desc="stamps", unit="stamp", disable=not progress) as bar:
        for batch in _iter_batches(stream, size):
            samples, n_filled = _fill(batch, value)
            ids = _list_ids(batch, counts["n_stamps"])
            identity = fingerprint_stamps(samples.X, ids)
            if parts.holds(counts["n_parts"], identity):
                counts["n_resumed"] += 1
            else:
                said = _ask(model, method, samples, start=counts["n_stamps"])
                columns = {"id": ids, "n_filled": n_filled} | said
                parts.write(counts["n_parts"], columns, identity)
            counts["n_parts"] += 1
            counts["n_stamps"] += len(ids)
            counts["n_filled"] += int(n_filled.sum())
            bar.update(len(ids))
    parts.check_end(counts["n_parts"])
    return MappedStamps(Path(output), method, **counts)


def _choose_method(model: Any, method: str) -> str:
    check_choice("method", method, METHODS)
    have = [name for name in METHODS[1:] if hasattr(model, name)]
    if method == "auto":
        method = next((name for name in FIRST_CHOICE if name in have), method)
    if method not in have:
        raise ValueError(
            f"model must have a method {method!r}, got {type(model).__name__} with {have}. "
            "Give a classifier or an embedder."
        )
    return method


def _iter_batches(stream: Any, size: int) -> Iterator[Stamps | np.ndarray]:
    """Give the stamps of a stream in its order, at most ``size`` at a time."""
    for item in [stream] if isinstance(stream, Stamps | np.ndarray) else stream:
        if not isinstance(item, Stamps | np.ndarray) or (
            isinstance(item, np.ndarray) and item.ndim not in (3, 4)
        ):
            raise invalid("stamps", "Stamps or arrays of shape (n, h, w) or (n, n_bands, h, w)",
                          getattr(item, "shape", type(item).__name__))  # fmt: skip
        for start in range(0, len(item), size):
            yield item[start : start + size]


def _fill(batch: Stamps | np.ndarray, fill: float) -> tuple[Samples, np.ndarray]:
    """Return the pixels for the model, and how many of each stamp were masked."""
    if isinstance(batch, np.ndarray):
        return Samples(batch), np.zeros(len(batch), dtype=np.int64)
    n_filled = batch.mask.sum(axis=(1, 2, 3)) if batch.mask.strides[0] else np.zeros(len(batch))
    samples = batch.to_samples(group=None, fill=fill)
    return Samples(samples.X), n_filled.astype(np.int64)


def _list_ids(batch: Stamps | np.ndarray, start: int) -> np.ndarray:
    if isinstance(batch, Stamps):
        return np.asarray(batch.table["id"])
    return np.arange(start, start + len(batch))


def _ask(model: Any, method: str, samples: Samples, *, start: int) -> dict[str, np.ndarray]:
    """Return the columns of a batch."""
    try:
        said = np.asarray(getattr(model, method)(samples.X))
    except ValueError as error:
        raise ValueError(f"in the batch that begins with stamp {start}: {error}") from error
    if method == "predict_proba":
        names = [f"p_{label}" for label in model.classes_.tolist()]
        return dict(zip(names, said.T, strict=True))
    return {"value": said}
