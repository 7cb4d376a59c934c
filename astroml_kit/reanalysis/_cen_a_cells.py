"""Where a source of a wobble field is counted, and what is expected there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cherenkov.simulation import ShowerLibrary
from ..cherenkov.simulation.field import SPREAD

THETA2_EDGES = np.array([0.0, 0.0015, 0.003, 0.005, 0.008, 0.0125, 0.02, 0.032, 0.05])  # deg2
N_SCORES, ENERGY_EDGES = 12, np.array([0.0, 0.6, 1.2, np.inf])  # TeV
N_GROUPS = 8
N_NODES = 8  # along either axis, at which the spread of offsets is averaged


@dataclass(frozen=True)
class Discs:
    """ON disc and OFF discs at one offset from a pointing, evenly spaced in azimuth.

    Parameters
    ----------
    offset : float
        Of the source from the pointing [deg].
    radius2 : float
        Square of the radius of the discs [deg2].
    n_slots : int
        Discs around the pointing that do not overlap, ON among them.
    closed : tuple of int
        Slots that would hold another source: neither ON nor OFF.
    """

    offset: float
    radius2: float
    n_slots: int
    closed: tuple[int, ...] = ()

    @property
    def n_off(self) -> int:
        """Number of OFF discs."""
        return self.n_slots - 1 - len(self.closed)

    def locate(
        self, lon: np.ndarray, lat: np.ndarray, angle: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Slot and squared distance from its centre [deg2] for positions from the pointing [deg].

        Parameters
        ----------
        angle : float
            Position angle of the source [rad].
        """
        azimuth = np.arctan2(lon, lat) - angle
        step = 2 * np.pi / self.n_slots
        slot = np.rint(azimuth / step)
        rho = np.hypot(lon, lat)
        cosine = np.cos(azimuth - slot * step)
        theta2 = rho**2 + self.offset**2 - 2 * rho * self.offset * cosine
        return slot.astype(int) % self.n_slots, np.maximum(theta2, 0.0)

    def find_shares(self, rho: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Share of the azimuths at offset ``rho`` that fall into each ring of one disc.

        Returns
        -------
        ndarray, shape (n_events, n_rings)
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            cosine = (rho[:, None] ** 2 + self.offset**2 - edges) / (2 * rho[:, None] * self.offset)
        inside = np.arccos(np.clip(np.nan_to_num(cosine, nan=1.0), -1, 1)) / np.pi
        return np.diff(inside, axis=1)


def place_discs(offset: float, radius2: float, others: Any = ()) -> Discs:
    """Place as many discs as fit; ``others``: (offset, azimuth from ON [rad]) of other sources."""
    n_slots = int(np.pi / np.arcsin(np.sqrt(radius2) / offset))
    azimuth = 2 * np.pi * np.arange(n_slots) / n_slots
    closed: set[int] = set()
    for rho, phi in others:
        distance2 = rho**2 + offset**2 - 2 * rho * offset * np.cos(azimuth - phi)
        near = np.flatnonzero(distance2 < (np.sqrt(radius2) + 0.25) ** 2)
        closed |= {int(slot) for slot in near if slot != 0}
    return Discs(offset, radius2, n_slots, tuple(sorted(closed)))


@dataclass(frozen=True, eq=False)
class Cells:
    """Which group a library event falls into, by its score, energy and distance.

    Parameters
    ----------
    gammas, background : ndarray of int
        Row of ``group`` for each event of the library half it is used on; -1: not selected.
    group : ndarray of int, shape (n_rows, n_rings)
        Group of a row and ring; -1 for none.
    edges : ndarray
        Borders of the rings [deg2].
    signal : ndarray, shape (n_groups,)
        Predicted counts of the source, from the training half.
    direction : {"reco", "standard"}
        Learned, or that of the standard reconstruction.
    """

    gammas: np.ndarray
    background: np.ndarray
    group: np.ndarray
    edges: np.ndarray
    signal: np.ndarray
    direction: str = "reco"

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.signal)

    def assign(self, rows: np.ndarray, theta2: np.ndarray) -> np.ndarray:
        """Group of events by their row of ``group`` and distance; -1 for none."""
        ring = np.searchsorted(self.edges, theta2, side="right") - 1
        inside = (rows >= 0) & (ring >= 0) & (ring < len(self.edges) - 1)
        found = np.full(len(rows), -1)
        found[inside] = self.group[rows[inside], ring[inside]]
        return found


def get_background(library: ShowerLibrary, direction: str) -> tuple[np.ndarray, np.ndarray]:
    """Place of background events from the pointing [deg], along their learned offset and across."""
    events = library.background
    if direction == "standard":
        return events["standard_x"], events["standard_y"]
    return events["offset"], np.zeros(len(events["offset"]))


def get_misses(library: ShowerLibrary, direction: str) -> np.ndarray:
    """Squared angle between reconstructed and true direction of the gammas [deg2]."""
    prefix = "standard_" if direction == "standard" else ""
    return library.gammas[f"{prefix}dx"] ** 2 + library.gammas[f"{prefix}dy"] ** 2


def bin_background(
    library: ShowerLibrary,
    rows: np.ndarray,
    n_rows: int,
    discs: Discs,
    edges: np.ndarray,
    direction: str = "reco",
) -> np.ndarray:
    """Background rate [1/s] of one disc, shape (n_rows, n_rings)."""
    x, y = get_background(library, direction)
    offset = np.hypot(x, y)
    keep = (rows >= 0) & (np.abs(offset - discs.offset) < edges[-1] ** 0.5 + 1.5 * SPREAD)
    nodes = (np.arange(N_NODES) + 0.5) / N_NODES * 2 * SPREAD - SPREAD
    # both sides are alike where nothing lies across
    half = nodes if direction == "standard" else nodes[: N_NODES // 2]
    shares = np.mean([
        discs.find_shares(np.hypot(x[keep] + along, y[keep] + across), edges)
        for along in nodes for across in half
    ], axis=0)  # fmt: skip
    weighted = shares * library.background["rate"][keep, None]
    return np.stack(
        [np.bincount(rows[keep], weighted[:, i], n_rows) for i in range(len(edges) - 1)], axis=1
    )


def smooth_background(
    library: ShowerLibrary,
    rows: np.ndarray,
    n_rows: int,
    discs: Discs,
    edges: np.ndarray,
    direction: str = "reco",
) -> np.ndarray:
    """As `bin_background`, from all events at about that offset: flat within the disc."""
    offset = np.hypot(*get_background(library, direction))
    low, high = max(discs.offset - 0.25, 0.0), discs.offset + 0.25
    keep = (rows >= 0) & (offset > low) & (offset < high)
    rate = np.bincount(rows[keep], library.background["rate"][keep], n_rows)
    return rate[:, None] * np.diff(edges) / (high**2 - low**2)


def bin_signal(
    library: ShowerLibrary,
    rate: np.ndarray,
    rows: np.ndarray,
    n_rows: int,
    edges: np.ndarray,
    direction: str = "reco",
) -> np.ndarray:
    """Signal rate [1/s] in ON, shape (n_rows, n_rings)."""
    theta2 = get_misses(library, direction)
    ring = np.searchsorted(edges, theta2, side="right") - 1
    keep = (rows >= 0) & (ring < len(edges) - 1)
    n_rings = len(edges) - 1
    flat = np.bincount(rows[keep] * n_rings + ring[keep], rate[keep], n_rows * n_rings)
    return flat.reshape(n_rows, n_rings)


def group_cells(signal: np.ndarray, background: np.ndarray, n_groups: int = N_GROUPS) -> np.ndarray:
    """Groups of equal predicted signal in order of signal to background, best last."""
    ratio = (signal / np.maximum(background, 1e-3 * background.max())).ravel()
    order = np.argsort(ratio, kind="stable")
    share = np.cumsum(signal.ravel()[order]) / signal.sum()
    group = np.empty(signal.size, dtype=int)
    group[order] = np.minimum((share * n_groups * (1 - 1e-12)).astype(int), n_groups - 1)
    return group.reshape(signal.shape)


def count_run(run: Any, cells: Cells, discs: Discs, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """ON and OFF counts by group of a run drawn from a library."""
    rows = np.concatenate([
        cells.gammas[run.row[: run.n_gammas]], cells.background[run.row[run.n_gammas :]]
    ])  # fmt: skip
    chosen = np.flatnonzero(rows >= 0)
    lon, lat = run.get_directions(cells.direction)
    slot, theta2 = discs.locate(lon[chosen], lat[chosen], angle)
    group = cells.assign(rows[chosen], theta2)
    inside = group >= 0
    on = inside & (slot == 0)
    off = inside & (slot > 0) & ~np.isin(slot, discs.closed)
    n = cells.n_groups
    return np.bincount(group[on], minlength=n), np.bincount(group[off], minlength=n)


def expect(
    library: ShowerLibrary, rate: np.ndarray, cells: Cells, discs: Discs
) -> tuple[np.ndarray, np.ndarray]:
    """Rates [1/s] of signal and background in ON by group, shape (n_groups,) each."""
    n_rows = len(cells.group)
    kind = cells.direction
    signal = bin_signal(library, rate, cells.gammas, n_rows, cells.edges, kind)
    background = bin_background(library, cells.background, n_rows, discs, cells.edges, kind)
    keep = cells.group >= 0
    group, n = cells.group[keep], cells.n_groups
    return np.bincount(group, signal[keep], n), np.bincount(group, background[keep], n)


def cut_cells(
    passed: Mapping[str, np.ndarray], theta2: float, signal: float = 1.0, direction: str = "reco"
) -> Cells:
    """One group: events that pass a cut, within ``theta2`` [deg2]."""
    rows = {name: np.where(mask, 0, -1) for name, mask in passed.items()}
    return Cells(
        rows["gammas"], rows["background"], np.zeros((1, 1), dtype=int),
        np.array([0.0, theta2]), np.array([signal]), direction,
    )  # fmt: skip
