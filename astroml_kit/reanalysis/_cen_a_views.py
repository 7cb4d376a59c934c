"""A target seen from several pointings under one selection: counts, means, significance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from astropy.coordinates import SkyCoord

from ..cherenkov.simulation import ShowerLibrary, Source
from ..cherenkov.simulation.field import DrawnRun, find_source_rates
from ..significance import binned_significance
from ._cen_a_cells import Cells, Discs, count_run, expect
from ._cen_a_choices import LIKELIHOOD


class Part(NamedTuple):
    """What one pointing counts."""

    cells: Cells
    discs: Discs


@dataclass(frozen=True, eq=False)
class View:
    """One target seen from the pointings, under one selection.

    Parameters
    ----------
    name, choice : str
        Of the selection, and what was chosen.
    parts : tuple of Part or None
        One for each pointing; None where the target is out of reach.
    angles : tuple of float
        Position angle of the target from each pointing [rad].
    joined : bool
        Whether the pointings are equivalent, so that their counts are added group by group.
        Otherwise each has groups of its own.
    """

    name: str
    choice: str
    parts: tuple[Part | None, ...]
    angles: tuple[float, ...]
    joined: bool = False

    @property
    def seen(self) -> list[Part]:
        """Parts with groups of their own."""
        parts = [part for part in self.parts if part is not None]
        return parts[:1] if self.joined else parts

    @property
    def alpha(self) -> np.ndarray:
        """ON to OFF exposure of each group."""
        return np.concatenate(
            [np.full(part.cells.n_groups, 1 / part.discs.n_off) for part in self.seen]
        )

    @property
    def signal(self) -> np.ndarray:
        """Predicted signal of each group."""
        return np.concatenate([part.cells.signal for part in self.seen])

    def _list_parts(self) -> list[tuple[int, Part, slice]]:
        """Pointing, part, and where its groups are among all."""
        listed, start = [], 0
        for turn, part in enumerate(self.parts):
            if part is not None:
                listed.append((turn, part, slice(start, start + part.cells.n_groups)))
                start += 0 if self.joined else part.cells.n_groups
        return listed

    def measure(self, n_on: np.ndarray, n_off: np.ndarray) -> np.ndarray:
        """Significance of counts by group, shape (..., n_groups)."""
        if self.name == LIKELIHOOD or len(self.signal) == 1:
            return binned_significance(n_on, n_off, alpha=self.alpha, signal=self.signal)
        # a cut counts events: pointings are stacked, not weighted
        weighted = n_off * self.alpha
        background = np.maximum(weighted.sum(axis=-1), 1e-12)
        alpha = np.maximum((weighted * self.alpha).sum(axis=-1) / background, 1e-12)
        return binned_significance(
            n_on.sum(axis=-1)[..., None],
            (background / alpha)[..., None],
            alpha=alpha[..., None],
            signal=np.ones(1),
        )

    def count(self, runs: Sequence[DrawnRun]) -> tuple[np.ndarray, np.ndarray]:
        """Counts of each run by group, shape (n_runs, n_groups) each; pointings take turns."""
        on = np.zeros((len(runs), len(self.signal)), dtype=int)
        off = np.zeros_like(on)
        for turn, part, where in self._list_parts():
            for number in range(turn, len(runs), len(self.parts)):
                on[number, where], off[number, where] = count_run(
                    runs[number], part.cells, part.discs, self.angles[turn]
                )
        return on, off

    def expect(
        self,
        library: ShowerLibrary,
        source: Source,
        *,
        pointings: Sequence[SkyCoord],
        live_times: Sequence[float],
        background_scale: float,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean counts of signal and background by group."""
        signal, background = np.zeros((2, len(self.signal)))
        known: dict[float, Any] = {}
        for turn, part, where in self._list_parts():
            offset = round(float(pointings[turn].separation(source.position).deg), 6)
            key = offset if self.joined else float(turn)
            if key not in known:  # equivalent pointings are worked out once
                rate = find_source_rates(library, source, offset)
                known[key] = expect(library, rate, part.cells, part.discs)
            signal[where] += known[key][0] * live_times[turn]
            background[where] += known[key][1] * live_times[turn] * background_scale
        return signal, background
