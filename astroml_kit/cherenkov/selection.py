"""Box cuts on scaled image parameters: what every learned selection is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import QTable

from .._validation import check_choice, check_columns


@dataclass(frozen=True)
class BoxCut:
    """A box in mean scaled width and length, and a circle on the sky.

    Parameters
    ----------
    width_min, width_max, length_min, length_max : float
        Of ``mean_scaled_width`` and ``mean_scaled_length``.
    theta2 : float
        Squared angle to the source [deg2].
    intensity : float
        Fewest p.e. of each image; asked of ``intensity_min`` where it is there.
    """

    width_min: float
    width_max: float
    length_min: float
    length_max: float
    theta2: float
    intensity: float = 80.0

    def __str__(self) -> str:
        return (
            f"{self.width_min:g} < MRSW < {self.width_max:g}, "
            f"{self.length_min:g} < MRSL < {self.length_max:g}, theta2 < {self.theta2:g} deg2, "
            f"{self.intensity:g} p.e."
        )

    def select(self, events: Mapping[str, Any]) -> np.ndarray:
        """Which events pass; NaN never does."""
        width, length = (np.asarray(events[f"mean_scaled_{name}"]) for name in ("width", "length"))
        passed = (width > self.width_min) & (width < self.width_max)
        passed &= (length > self.length_min) & (length < self.length_max)
        names = events.colnames if isinstance(events, QTable) else events
        if "intensity_min" in names:
            # half precision rounds 80.0 either way
            passed &= np.asarray(events["intensity_min"]) >= self.intensity - 0.05
        return passed


# Aharonian et al. 2006 (H.E.S.S., Crab nebula), A&A 457, 899, table 2,
# doi:10.1051/0004-6361:20065351.
STANDARD_CUTS = {
    "std": BoxCut(-2.0, 0.9, -2.0, 2.0, 0.0125, 80.0),
    "hard": BoxCut(-2.0, 0.7, -2.0, 2.0, 0.01, 200.0),
    "loose": BoxCut(-2.0, 1.2, -2.0, 2.0, 0.04, 40.0),
}


def select_standard(events: QTable, *, preset: str = "std") -> QTable:
    """Select events by standard box cuts on their shape.

    Parameters
    ----------
    events : `~astropy.table.QTable`
        With ``mean_scaled_width`` and ``mean_scaled_length``, from `reconstruct_stereo`.
    preset : {"std", "hard", "loose"}
        Cuts of H.E.S.S. (Aharonian et al. 2006, doi:10.1051/0004-6361:20065351, table 2). The cut
        in the angle to the source belongs to counting: it is in ``meta["selection"]``.

    Returns
    -------
    `~astropy.table.QTable`
        The events that pass; ``meta`` has ``selection`` and ``n_rejected``.

    Raises
    ------
    ValueError
        For an unknown preset or missing columns.

    Examples
    --------
    >>> events = QTable({"mean_scaled_width": [0.1, 2.0], "mean_scaled_length": [0.0, 0.0]})
    >>> len(select_standard(events))
    1
    """
    cut = STANDARD_CUTS[check_choice("preset", preset, STANDARD_CUTS)]
    where = str(events.meta.get("source", "events"))
    check_columns(events.colnames, ["mean_scaled_width", "mean_scaled_length"], where=where)
    passed = cut.select(events)
    selected = events[passed]
    selected.meta = {
        **events.meta, "selection": str(cut), "n_rejected": int((~passed).sum()),
    }  # fmt: skip
    return selected
