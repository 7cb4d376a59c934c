"""A map of significances: its images, what was done to make them, and what a search needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.wcs import WCS

from .._validation import invalid
from ..significance import OnOffCounts
from ._acceptance import Acceptance
from ._map_background import AnnulusSums, Exclusion, OnOffSums, RingSums
from ._map_exclusion import count_regions
from ._map_files import write_map
from ._map_grid import SkyGrid
from ._map_null import NullFit
from ._regions import to_sky, to_vector


@dataclass(frozen=True, eq=False)
class MapModel:
    """What a map was made with, kept so that searches can throw toys of it."""

    grid: SkyGrid
    stacker: RingSums | AnnulusSums
    exclusion: Exclusion
    sums: OnOffSums
    counts: np.ndarray


@dataclass(frozen=True, eq=False)
class SignificanceMap:
    """Counts, background and significance on the pixels of a map.

    All images have shape (n_y, n_x), and NaN where nothing is known: no acceptance, no OFF, or
    blanked. Every pixel stands for the disc of ``radius`` around it.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        Coordinate system of the images (RA and Dec, tangent plane).
    n_on, n_off : ndarray
        Events in the disc, and in its OFF region.
    alpha : ndarray
        Acceptance of ON over that of OFF, each summed over the runs.
    significance : ndarray
        Li & Ma, signed, before any trials; also inside the excluded regions.
    upper_limit : ndarray
        On the signal counts in the disc, at the confidence asked for; NaN when none was.
    acceptance : ndarray
        Background events expected in the single pixel, from the acceptance model alone.
    exclusion : ndarray of bool
        Where no OFF counts were taken from: regions given and regions found.
    null_fit : NullFit
        The significances outside ``exclusion``.
    iterations : QTable
        One row per round of finding regions: ``n_regions`` and ``n_excluded`` pixels used in it,
        ``peak`` significance, ``null_mean``, ``null_width``, and ``n_added`` pixels afterwards.
    runs : QTable
        One row per run: ``obs_id``, ``n_events`` within ``max_offset`` and the energy range,
        ``n_invalid`` (no position or energy), ``live_time``, ``zenith``, ``gradient_known`` and
        ``used``; a run without events or acceptance is not.
    settings : dict
        The arguments, as plain numbers and names.
    fitted_acceptance : Acceptance or None
        The model that was measured or given; None for that of the instrument response.
    """

    wcs: WCS
    n_on: np.ndarray
    n_off: np.ndarray
    alpha: np.ndarray
    significance: np.ndarray
    upper_limit: np.ndarray
    acceptance: np.ndarray
    exclusion: np.ndarray
    null_fit: NullFit
    iterations: QTable
    runs: QTable
    settings: dict[str, Any]
    fitted_acceptance: Acceptance | None
    model: MapModel = field(repr=False)

    @property
    def background(self) -> np.ndarray:
        """Background counts in the disc, ``alpha n_off``."""
        return self.alpha * self.n_off

    @property
    def excess(self) -> np.ndarray:
        """Counts above background, ``n_on - alpha n_off``."""
        return self.n_on - self.background

    @property
    def significance_outside(self) -> np.ndarray:
        """Significance with NaN inside the excluded regions."""
        return np.where(self.exclusion, np.nan, self.significance)

    @cached_property
    def coordinates(self) -> SkyCoord:
        """Positions of the pixels, ICRS, shape (n_y, n_x)."""
        return to_sky(self.model.grid.crop(self.model.grid.vectors))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.significance.shape

    @property
    def radius(self) -> u.Quantity:
        """ON radius."""
        return self.settings["radius_deg"] * u.deg

    @property
    def live_time(self) -> u.Quantity:
        """Live time of the used runs [h]."""
        return self.runs["live_time"][self.runs["used"]].sum().to("h")

    @property
    def peak(self) -> tuple[float, SkyCoord]:
        """Largest significance and where it is; NaN and the first pixel when there is none."""
        if not np.isfinite(self.significance).any():
            return float("nan"), self.coordinates[0, 0]
        place = np.unravel_index(np.nanargmax(self.significance), self.shape)
        return float(self.significance[place]), self.coordinates[place]

    def get_counts(self, position: SkyCoord) -> OnOffCounts:
        """Return ON and OFF counts of the pixel nearest to a position.

        Raises
        ------
        ValueError
            When the position is outside the map or in a pixel without background.
        """
        row, column = self._find_pixel(position)
        if not np.isfinite(self.significance[row, column]):
            raise invalid(
                "position",
                "where the map has ON and OFF counts",
                position.to_string(),
                "The pixel is NaN: blanked, or without acceptance or OFF.",
            )
        return OnOffCounts(self.n_on[row, column], self.n_off[row, column], self.alpha[row, column])

    def _find_pixel(self, position: SkyCoord) -> tuple[int, int]:
        grid = self.model.grid
        column, row = grid.place(to_vector("position", position))
        place = np.array([row, column]) - grid.margin + 0.5
        if not (np.all(place >= 0) and np.all(place < self.shape)):
            raise invalid("position", "inside the map", position.to_string(), "Make the map wider.")
        return int(place[0]), int(place[1])

    def __str__(self) -> str:
        value, where = self.peak
        n_nan = int(np.count_nonzero(~np.isfinite(self.significance)))
        place = f" at {where.ra.deg:.3f} {where.dec.deg:+.3f}" if np.isfinite(value) else ""
        return (
            f"map of {int(self.runs['used'].sum())} runs, {self.live_time.to_value('h'):.2f} h: "
            f"peak {value:.2f} sigma{place}; {self.null_fit}; "
            f"{count_regions(self.exclusion)} excluded regions, {n_nan} of "
            f"{self.significance.size} pixels NaN"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return numbers and lists, ready for JSON; the images are in the FITS file."""
        value, where = self.peak
        rounds = {name: self.iterations[name].tolist() for name in self.iterations.colnames}
        own = self.fitted_acceptance
        return {
            "settings": self.settings,
            "live_time_h": float(self.live_time.to_value("h")),
            "n_runs": int(self.runs["used"].sum()),
            "n_events": int(self.runs["n_events"].sum()),
            "peak": {
                "significance": _to_json(value),
                "ra_deg": float(where.ra.deg),
                "dec_deg": float(where.dec.deg),
            },
            "null_fit": {key: _to_json(entry) for key, entry in self.null_fit.to_dict().items()},
            "iterations": {key: [_to_json(x) for x in column] for key, column in rounds.items()},
            "n_pixels": int(self.significance.size),
            "n_nan": int(np.count_nonzero(~np.isfinite(self.significance))),
            "n_excluded": int(self.exclusion.sum()),
            "acceptance": None if own is None else own.to_dict(),
        }

    def write(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write all images to a FITS file, the significance first.

        gammapy's ``Map.read(path, hdu="EXCESS")`` and ds9 open it; the other extensions are named
        N_ON, N_OFF, ALPHA, BACKGROUND, EXCESS, SIGNIFICANCE_OUTSIDE, UPPER_LIMIT, ACCEPTANCE and
        EXCLUSION (1 where excluded), and the tables RUNS, ITERATIONS and SETTINGS.
        """
        return write_map(self, Path(path), overwrite=overwrite)


def _to_json(number: float) -> float | None:
    """Return None for what JSON has no number for."""
    return number if np.isfinite(number) else None
