"""Batches of stamps put together, and labels laid beside them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from astropy.table import QTable, Table, hstack, vstack
from astropy.wcs import WCS

from ._labels import match_labels
from ._stamp_wcs import StampWCS
from .stamps import Stamps


def join_stamps(batches: Iterable[Stamps], n: int) -> Stamps:
    """One stack of at most ``n`` stamps out of many; pixels are in memory once."""
    images = mask = uncertainty = None
    tables, wcs, first, end = [], [], None, 0
    meta: dict[str, Any] = {}
    for batch in batches:
        if images is None or first is None:
            first, meta = batch, dict(batch.meta)
            images = np.empty((n, *batch.images.shape[1:]), dtype=batch.images.dtype)
        if batch.images.shape[1:] != images.shape[1:]:
            raise ValueError(
                f"images must be of one size, got {images.shape[1:]} and {batch.images.shape[1:]} "
                "as bands, rows and columns. Cut or pad them with shape=(rows, columns)."
            )
        start, end = end, end + len(batch)
        images[start:end] = batch.images
        if batch.mask.any():
            mask = np.zeros(images.shape, dtype=bool) if mask is None else mask
            mask[start:end] = batch.mask
        if batch.uncertainty is not None:
            if uncertainty is None:
                uncertainty = np.full(images.shape, np.nan, dtype=np.float32)
            uncertainty[start:end] = batch.uncertainty
        tables.append(batch.table)
        wcs.append((batch.wcs, len(batch)))
        meta["skipped"] = {**meta.get("skipped", {}), **batch.meta.get("skipped", {})}
    assert images is not None  # there is at least one batch
    assert first is not None
    table = vstack(tables, metadata_conflicts="silent") if len(tables) > 1 else tables[0]
    return Stamps(
        images[:end], None if mask is None else mask[:end], table, _join_wcs(wcs),
        first.bands, first.unit, None if uncertainty is None else uncertainty[:end], meta,
    )  # fmt: skip


def _join_wcs(parts: Sequence[tuple[Any, int]]) -> Any:
    known = [wcs for wcs, _ in parts if wcs is not None]
    if not known:
        return None
    if len(parts) == 1:
        return parts[0][0]
    rows: Iterable[Iterable[WCS | None]] = (
        itertools.repeat(None, n) if wcs is None else wcs for wcs, n in parts
    )
    if all(isinstance(wcs, StampWCS) for wcs, _ in parts):
        return StampWCS.join([wcs for wcs, _ in parts])
    return tuple(itertools.chain.from_iterable(rows))


def attach_labels(stamps: Stamps, labels: Table) -> Stamps:
    """Lay the rows of a table beside the stamps of the same id."""
    ids = [str(value) for value in stamps.table["id"]]
    extra, counts = match_labels(ids, labels)
    if extra.colnames:
        kept = [name for name in stamps.table.colnames if name not in extra.colnames]
        table = QTable(hstack([stamps.table[kept], extra]))
        stamps = replace(stamps, table=table)
    return replace(stamps, meta={**stamps.meta, **counts})
