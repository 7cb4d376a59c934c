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
    size = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize
    if size > SMALL and size > MAX_RATIO * max(dataset.id.get_storage_size(), 1):
        raise EventFileError(
            f"{Path(file.filename).name}: {name} promises {size} bytes, more than it can hold. "
            "It is damaged: fetch it again."
        )
    filters = dataset.id.get_create_plist()
    for i in range(filters.get_nfilters()):
        if not h5py.h5z.filter_avail(filters.get_filter(i)[0]):
            import_extra("hdf5plugin", extra="gamma")  # blosc, which ctapipe uses
    return dataset


def read_text(value: object) -> str:
    """Return an attribute as text; HDF5 has several kinds of string."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
