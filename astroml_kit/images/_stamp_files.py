"""Batches of stamps out of a folder, a zip or an NPZ file."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable, Table, hstack

from ._labels import match_labels, read_labels
from ._members import Member, Members, Reader
from ._pictures import is_picture, read_picture
from .stamps import Stamps

LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as JPEG has it


@dataclass(frozen=True)
class ReadOptions:
    """What a caller wants of each stamp."""

    bands: tuple[str, ...]
    color: str
    shape: tuple[int, int] | None
    dtype: str
    skip: bool


@dataclass(frozen=True)
class Source:
    """Members of a collection and the rows that belong to them, before any pixel is read."""

    members: Members
    rows: QTable
    meta: dict[str, Any]


@dataclass(frozen=True)
class Arrays:
    """Stamps of a file that has them as arrays."""

    stamps: Stamps


@dataclass
class Batch:
    """A stack that is filled image by image."""

    n: int
    options: ReadOptions
    images: np.ndarray | None = None
    mask: np.ndarray | None = None
    names: tuple[str, ...] = ()
    first: str = ""
    kept: list[int] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, row: int, name: str, planes: np.ndarray, bad: np.ndarray | None) -> None:
        """Put an image in the next free place."""
        if self.images is None:
            shape = (self.n, len(planes), *(self.options.shape or planes.shape[1:]))
            self.images, self.first = np.zeros(shape, dtype=self.options.dtype), name
        place = len(self.kept)
        if planes.shape != self.images.shape[1:]:
            planes, bad = self._fit(name, planes, bad)
        self.images[place] = planes
        if bad is not None:
            if self.mask is None:
                self.mask = np.zeros(self.images.shape, dtype=bool)
            self.mask[place] = bad
        self.kept.append(row)

    def _fit(
        self, name: str, planes: np.ndarray, bad: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        assert self.images is not None  # the caller has it
        if len(planes) != self.images.shape[1]:
            raise ValueError(
                f"images must have the same number of planes, got {self.images.shape[1]} in "
                f"{self.first} and {len(planes)} in {name}. Use color='gray' or color='rgb'."
            )
        if self.options.shape is None:
            sizes = [" x ".join(map(str, shape[-2:])) for shape in (self.images.shape,
                                                                   planes.shape)]  # fmt: skip
            raise ValueError(
                f"images must be of one size, got {sizes[0]} in {self.first} and {sizes[1]} in "
                f"{name}. Cut or pad them with shape=(rows, columns)."
            )
        return fit_shape(planes, bad, self.options.shape)


def fit_shape(
    planes: np.ndarray, bad: np.ndarray | None, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Cut or pad about the centre; what is padded is masked."""
    fitted = np.zeros((len(planes), *shape), dtype=planes.dtype)
    mask = np.ones((len(planes), *shape), dtype=bool)
    old, new = [], []
    for have, want in zip(planes.shape[1:], shape, strict=True):
        n, shift = min(have, want), (have - want) // 2
        old.append(slice(max(shift, 0), max(shift, 0) + n))
        new.append(slice(max(-shift, 0), max(-shift, 0) + n))
    fitted[:, new[0], new[1]] = planes[:, old[0], old[1]]
    inner = False if bad is None else np.broadcast_to(bad, planes.shape)[:, old[0], old[1]]
    mask[:, new[0], new[1]] = inner
    return fitted, mask if mask.any() else None


def list_source(
    path: Path, labels: Any, id_column: str | None, label_column: str | None
) -> Source | Arrays:
    """Find out what a path is, and lay labels beside its members."""
    if not path.exists():
        raise FileNotFoundError(f"path must be a folder or file that is there, got {path}.")
    if path.is_file() and _is_npz(path):
        stamps = read_npz(path)
        if labels is not None:
            ids = [str(value) for value in stamps.table["id"]]
            extra, counts = _read_rows(ids, labels, id_column, label_column)
            keep = [name for name in stamps.table.colnames if name not in extra.colnames]
            table = hstack([stamps.table[keep], extra])
            stamps = Stamps(stamps.images, stamps.mask, table, stamps.wcs, stamps.bands,
                            stamps.unit, stamps.uncertainty, {**stamps.meta, **counts})  # fmt: skip
        return Arrays(stamps)
    if path.is_file() and not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path.name} must be a folder, a zip or an NPZ file of stamps. "
            "Use read_image for a single image."
        )
    members = Members(path)
    ids = [member.id for member in members.members]
    rows = QTable({"id": ids, "source": [member.name for member in members.members]})
    meta: dict[str, Any] = {"path": path.name, "not_images": members.n_others}
    if isinstance(labels, str) and labels == "folder":
        rows["label"] = [member.folder for member in members.members]
    elif labels is not None:
        extra, counts = _read_rows(ids, labels, id_column, label_column)
        rows, meta = hstack([rows, extra]) if extra.colnames else rows, meta | counts
    return Source(members, rows, meta)


def _read_rows(
    ids: list[str], labels: Any, id_column: str | None, label_column: str | None
) -> tuple[QTable, dict[str, int]]:
    table, _ = read_labels(labels, id_column=id_column, label_column=label_column)
    return match_labels(ids, table)


def iter_batches(
    source: Source | Arrays, options: ReadOptions, *, batch_size: int | None
) -> Iterator[Stamps]:
    """Stamps in batches, or in one without a size."""
    if isinstance(source, Arrays):
        n = len(source.stamps)
        step = batch_size or max(n, 1)
        yield from (source.stamps[i : i + step] for i in range(0, max(n, 1), step))
        return
    members = source.members.members
    step = batch_size or len(members)
    with source.members.open() as reader:
        for start in range(0, len(members), step):
            batch = Batch(min(step, len(members) - start), options)
            for row in range(start, start + batch.n):
                _read_into(batch, reader, members[row], row, source.members.path.name)
            yield _finish(batch, source)


def _read_into(batch: Batch, reader: Reader, member: Member, row: int, where: str) -> None:
    try:
        planes, bad, names = read_member(reader.read(member), batch.options)
    except ValueError as error:
        if batch.options.skip:
            batch.skipped[member.name] = str(error)
            return
        raise ValueError(
            f"{member.name} in {where} must be a whole image: {error}. "
            "Leave such files out with bad='skip'."
        ) from error
    batch.add(row, member.name, planes, bad)
    batch.names = batch.names or names


def read_member(
    content: bytes, options: ReadOptions
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Planes, mask and names of planes of one file."""
    if not is_picture(content[:16]):
        raise ValueError("its first bytes are not those of a PNG or JPEG file")
    planes, bad, names = read_picture(content)
    if options.color == "gray" and len(planes) == 3:
        planes, names = np.tensordot(LUMINANCE, planes, 1)[None], ()
        if options.dtype == "uint8":
            planes = np.rint(planes).astype(np.uint8)
    elif options.color == "rgb" and len(planes) == 1:
        planes, names = np.repeat(planes, 3, axis=0), ("red", "green", "blue")
    if options.bands and len(options.bands) != len(planes):
        raise ValueError(
            f"it has {len(planes)} planes for {len(options.bands)} bands {options.bands}; "
            "color='gray' makes one of three"
        )
    if options.dtype == "uint8" and planes.dtype != np.uint8:
        raise ValueError("its pixels are not of 8 bits, as dtype='uint8' has them")
    return planes, bad, options.bands or names


def _finish(batch: Batch, source: Source) -> Stamps:
    if batch.images is None:
        first = next(iter(batch.skipped.items()))
        raise ValueError(
            f"{source.members.path.name} must have images that can be read, got none of "
            f"{batch.n}. The first was {first[0]}: {first[1]}."
        )
    if batch.skipped:
        warnings.warn(
            f"{source.members.path.name}: {len(batch.skipped)} of {batch.n} images left out, "
            f"the first {next(iter(batch.skipped))}; meta['skipped'] has them all.",
            stacklevel=4,
        )
    n = len(batch.kept)
    meta = {**source.meta, "first_row": "top", "skipped": batch.skipped}
    mask = None if batch.mask is None else batch.mask[:n]
    return Stamps(batch.images[:n], mask, source.rows[batch.kept], bands=batch.names, meta=meta)


def _is_npz(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_npz(path: Path) -> Stamps:
    """Stamps of an NPZ file: ``images``, and any arrays of the same length beside them."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} must be a whole NPZ file without pickles: {error}") from None
    if "images" not in arrays:
        raise ValueError(f"{path.name} must have the array 'images', got {sorted(arrays)}.")
    images = arrays.pop("images")
    if images.ndim == 3:
        images = images[:, None]
    mask = arrays.pop("mask", None)
    if mask is not None and mask.ndim == 3:
        mask = mask[:, None]
    columns = {}
    for name, array in arrays.items():
        if array.ndim and len(array) == len(images):
            columns["label" if name == "labels" else "id" if name == "ids" else name] = array
    if "id" not in columns:
        columns = {"id": np.arange(len(images)).astype(str), **columns}
    return Stamps(images, mask, QTable(Table(columns)), meta={"path": path.name, "skipped": {}})
