"""HDF5 without surprises: damage, impossible sizes and absent filters become one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from .._validation import import_extra
from ._schema import EventFileError

MAGIC = b"\x89HDF\r\n\x1a\n"
# No lossless filter packs better than this; a damaged header can promise terabytes.
MAX_RATIO = 5000
SMALL = 1 << 26
# A chunk with its checksum is longer than this.
MIN_CHUNK = 4


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, without locking it."""
    with h5py.File(path, "r", locking=False) as file:
        yield file


def get_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset that is there, of a possible size, and whose filters are installed."""
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise EventFileError(
            f"{Path(file.filename).name} must have the table {name}, got {list(file)}."
        )
    if not _is_sane(dataset.dtype):
        raise EventFileError(
            f"{Path(file.filename).name}: the columns of {name} must not overlap, got "
            f"{dataset.dtype}. It is damaged: fetch it again."
        )
    size = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize
    if size > SMALL and size > MAX_RATIO * max(dataset.id.get_storage_size(), 1):
        raise EventFileError(
            f"{Path(file.filename).name}: {name} promises {size} bytes, more than it can hold. "
            "It is damaged: fetch it again."
        )
    _check_chunks(dataset, Path(file.filename))
    filters = dataset.id.get_create_plist()
    for i in range(filters.get_nfilters()):
        if not h5py.h5z.filter_avail(filters.get_filter(i)[0]):
            import_extra("hdf5plugin", extra="gamma")  # blosc, which ctapipe uses
    return dataset


def _is_sane(dtype: np.dtype) -> bool:
    """Tell whether rows can be read: a damaged float may be longer than its place in the row."""
    if dtype.subdtype is not None:
        return _is_sane(dtype.subdtype[0])
    if dtype.fields is None:
        return dtype.kind != "f" or dtype.itemsize in (2, 4, 8)
    end = 0
    for offset, field in sorted(((o, f) for f, o, *_ in dtype.fields.values()), key=lambda x: x[0]):
        if offset < end or not _is_sane(field):
            return False
        end = offset + field.itemsize
    return end <= dtype.itemsize


def _check_chunks(dataset: h5py.Dataset, path: Path) -> None:
    """Refuse chunks that cannot be: the HDF5 library crashes on some of them."""
    if dataset.chunks is None or 0 in dataset.shape:
        return
    file_size = path.stat().st_size
    full = int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize
    bad: list[int] = []

    def check(chunk: h5py.h5d.StoreInfo) -> None:
        inside = chunk.byte_offset > 0 and chunk.byte_offset + chunk.size <= file_size
        if not (inside and MIN_CHUNK < chunk.size <= 2 * full + 1024):
            bad.append(chunk.size)

    dataset.id.chunk_iter(check)
    if bad:
        raise EventFileError(
            f"{path.name}: {dataset.name} must be stored in chunks within the file, got chunks of "
            f"{bad[:4]} bytes. It is damaged: fetch it again."
        )


def read_text(value: object) -> str:
    """Return an attribute as text; HDF5 has several kinds of string."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
