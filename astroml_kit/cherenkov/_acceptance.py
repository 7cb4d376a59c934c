"""The acceptance of background over the field: radial, with a gradient toward the zenith.

Measured on what the runs see outside sources, or on other fields and then applied to this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import astropy.units as u
import numpy as np
from scipy.interpolate import PchipInterpolator

from .._validation import check_real, invalid
from ._map_runs import MapRun, PolarCells, RunReader
from ._regions import to_angle
from ._rings import flatten_exclusions

_BIN_EVENTS = 400  # per bin of the radial profile, before there are more bins
_MOST_BINS, _FEWEST_BINS = 24, 4
_ROUNDS = 8  # of profile and gradient in turn, more than enough to settle
_LARGEST_CHANGE = np.log(5.0)  # between the pointing and any place in the field


@dataclass(frozen=True, eq=False)
class Acceptance:
    """Background per solid angle relative to the centre of the field, R(offset) x gradient.

    Parameters
    ----------
    offset_edges : ndarray, shape (n + 1,)
        Edges of the bins in which it was measured [deg], of equal solid angle.
    rate : ndarray, shape (n,)
        Background per solid angle in each of them, the largest being 1.
    slope, slope_error : float
        d ln(rate) / d(distance toward the zenith in deg) / tan(zenith angle). An error of infinity
        says that no run told where its zenith was; the slope is then 0.
    n_events, n_runs : int
        What it was measured on.
    n_filled : int
        Bins of offset that lie wholly inside exclusions and have the rate of the nearest other one.
    """

    offset_edges: np.ndarray
    rate: np.ndarray
    slope: float
    slope_error: float
    n_events: int
    n_runs: int
    n_filled: int = 0

    def __str__(self) -> str:
        gradient = "no gradient"
        if np.isfinite(self.slope_error):
            gradient = f"gradient {self.slope:+.3f} +- {self.slope_error:.3f} /deg/tan(z)"
        return f"acceptance from {self.n_events} events of {self.n_runs} runs, {gradient}"

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """Fine table of the logarithm over the squared offset, in which it is nearly straight."""
        square = self.offset_edges**2
        centre = 0.5 * (square[1:] + square[:-1])
        fine = np.linspace(0.0, square[-1], 2001)
        curve = PchipInterpolator(centre, np.log(self.rate))
        inner = np.clip(fine, centre[0], centre[-1])
        # straight on beyond the outermost centres: a cubic might go anywhere
        return fine, curve(inner) + curve(inner, 1) * (fine - inner)

    def evaluate_offset(self, offset: Any) -> np.ndarray:
        """Relative rate at offsets [deg]; 0 beyond the last edge."""
        square = np.asarray(offset, float) ** 2
        fine, logs = self._table
        return np.where(square <= fine[-1], np.exp(np.interp(square, fine, logs)), 0.0)

    def evaluate(self, local: np.ndarray, lever: np.ndarray) -> np.ndarray:
        """Relative rate at local unit vectors (east, north, pointing), shape (n, 3) -> (n,).

        ``lever`` is the tangent of the zenith angle times the direction to the zenith.
        """
        sine = np.hypot(local[:, 0], local[:, 1])
        rate = self.evaluate_offset(np.rad2deg(np.arctan2(sine, local[:, 2])))
        if self.slope and np.any(lever):
            change = self.slope * np.rad2deg(local[:, :2] @ lever)
            rate = rate * np.exp(np.clip(change, -_LARGEST_CHANGE, _LARGEST_CHANGE))
        return rate

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists, ready for JSON."""
        return {
            "offset_edges_deg": self.offset_edges.tolist(),
            "rate": self.rate.tolist(),
            "slope": self.slope,
            "slope_error": self.slope_error if np.isfinite(self.slope_error) else None,
            "n_events": self.n_events,
            "n_runs": self.n_runs,
            "n_filled": self.n_filled,
        }


def measure_acceptance(
    runs: Sequence[MapRun],
    cells: PolarCells,
    clear: dict[bytes, np.ndarray],
    *,
    max_offset: float,
    gradient: bool,
) -> Acceptance:
    """Fit profile, gradient and the rate of each run to the events in clear cells.

    Each is a Poisson maximum likelihood given the others: counts over exposed solid angle for the
    profile and the rates, Newton's step for the slope.
    """
    counts = [np.bincount(run.cells, minlength=len(cells)) * clear[run.place] for run in runs]
    n_events = int(sum(count.sum() for count in counts))
    if not n_events:
        raise ValueError(
            f"observations must have events outside the excluded regions, got none in {len(runs)} "
            "runs. Exclude less or choose another energy range."
        )
    n_bins = int(np.clip(n_events // _BIN_EVENTS, _FEWEST_BINS, _MOST_BINS))
    # whole rows of cells, so that a bin's counts and solid angle belong to the same cells
    rows = cells.step * np.arange(cells.n_offsets + 1)
    wanted = max_offset * np.sqrt(np.arange(n_bins + 1) / n_bins)
    edges = np.unique(rows[np.abs(rows[:, None] - wanted).argmin(axis=0)])
    bins = np.searchsorted(edges, cells.offset) - 1
    seen = [np.bincount(bins, count, len(edges) - 1) for count in counts]
    levers = [np.rad2deg(cells.local[:, :2] @ run.lever) for run in runs]
    known = gradient and any(np.any(lever) for lever in levers)
    result = Acceptance(edges, np.ones(len(edges) - 1), 0.0, np.inf, n_events, len(runs))
    slope, error = 0.0, np.inf
    for _ in range(_ROUNDS):
        radial = result.evaluate_offset(cells.offset)
        exposed, total = np.zeros((2, len(edges) - 1))
        first = second = 0.0
        for run, count, lever, profile in zip(runs, counts, levers, seen, strict=True):
            n = profile.sum()
            if not n:
                continue
            weight = cells.solid_angle * clear[run.place]
            if slope:
                weight = weight * np.exp(np.clip(slope * lever, -_LARGEST_CHANGE, _LARGEST_CHANGE))
            # the bin's own mean is divided out, so that the profile is exact bin by bin
            expected = weight * radial
            norm = n / expected.sum()
            exposed += norm * np.bincount(bins, expected, len(edges) - 1) / result.rate
            total += profile
            if known and np.any(run.lever):
                share = expected / expected.sum()
                mean = share @ lever
                first += count @ lever - n * mean
                second += n * (share @ lever**2 - mean**2)
        rate = np.maximum(total, 0.5) / np.where(exposed > 0, exposed, np.inf)
        rate, n_filled = _fill_unseen(rate)
        if known and second > 0:
            slope, error = slope + first / second, 1 / np.sqrt(second)
        result = Acceptance(
            edges, rate / rate.max(), float(slope), float(error), n_events, len(runs), n_filled
        )
    return result


def _fill_unseen(rate: np.ndarray) -> tuple[np.ndarray, int]:
    """Give bins of rate 0, which no run has seen, that of the nearest bin; also count them."""
    seen = np.flatnonzero(rate > 0)
    places = np.arange(len(rate))
    nearest = seen[np.abs(places[:, None] - seen).argmin(axis=1)]
    return rate[nearest], len(rate) - len(seen)


def find_clear_cells(
    runs: Sequence[MapRun], cells: PolarCells, circles: tuple[np.ndarray, np.ndarray]
) -> dict[bytes, np.ndarray]:
    """Return by pointing which polar cells touch none of the circles (unit vectors, rad)."""
    clear: dict[bytes, np.ndarray] = {}
    for run in runs:
        if run.place in clear:
            continue
        free = np.ones(len(cells), dtype=bool)
        vectors = cells.local @ run.basis
        field = np.deg2rad(cells.offset[-1] + cells.step)
        for centre, size in zip(*circles, strict=True):
            if run.basis[2] @ centre >= np.cos(min(field + size, np.pi)):
                free &= vectors @ centre < np.cos(np.deg2rad(cells.reach) + size)
        clear[run.place] = free
    return clear


def make_cells(max_offset: float, *, step: float, n_angles: int) -> PolarCells:
    """Return cells of about ``step`` that end exactly at ``max_offset`` [deg]."""
    n_offsets = int(np.ceil(max_offset / step - 1e-9))
    return PolarCells(max_offset / n_offsets, n_offsets, n_angles)


def fit_acceptance(
    observations: Iterable[Any],
    *,
    exclude: Iterable[Any] = (),
    max_offset: u.Quantity = 2.5 * u.deg,
    energy_min: u.Quantity | None = None,
    energy_max: u.Quantity | None = None,
    gradient: bool = True,
    progress: bool = False,
) -> Acceptance:
    """Measure how background is spread over the field, on runs that are none of the map's own.

    The model is a radial profile times exp(slope x tan(zenith angle) x distance toward the
    zenith): showers from nearer the zenith pass the threshold more easily.

    Parameters
    ----------
    observations : Observations or iterable of Observation
        Runs, best of empty fields at like zenith angles.
    exclude : iterable of (SkyCoord, Quantity)
        Circles around sources.
    max_offset : Quantity
        Largest distance from the pointing.
    energy_min, energy_max : Quantity, optional
        Use events with energy_min <= energy < energy_max; as in the map.
    gradient : bool
        Fit the gradient; runs without times or site (see `Acceptance`) leave it at 0.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Acceptance
        To be given to :func:`map_significance` as ``acceptance``.

    Examples
    --------
    >>> from astroml_kit.cherenkov import read_observations
    >>> empty = read_observations("hess-dl3-dr1", obs_ids=[20561])  # doctest: +SKIP
    >>> print(fit_acceptance(empty))  # doctest: +SKIP
    """
    limit = np.rad2deg(to_angle("max_offset", max_offset))
    low, high = check_energies(energy_min, energy_max)
    cells = make_cells(limit, step=0.05, n_angles=120)
    reader = RunReader(None, cells, limit, low, high, responses=False)
    runs = reader.read_all(observations, progress=progress)
    if not runs:
        raise invalid("observations", "at least one run", 0, "Choose other runs.")
    clear = find_clear_cells(runs, cells, flatten_exclusions(exclude))
    return measure_acceptance(runs, cells, clear, max_offset=limit, gradient=gradient)


def check_energies(
    energy_min: u.Quantity | None, energy_max: u.Quantity | None
) -> tuple[float, float]:
    """Return the energy range in TeV; 0 and infinity where there is no limit."""
    limits = []
    for name, value, missing in (
        ("energy_min", energy_min, 0.0),
        ("energy_max", energy_max, np.inf),
    ):
        if value is None:
            limits.append(missing)
            continue
        try:
            energy = value.to_value("TeV")
        except (AttributeError, u.UnitConversionError) as error:
            raise invalid(
                name, "an energy with a unit", value, f"Write {name}=0.5 * u.TeV."
            ) from error
        limits.append(float(check_real(f"{name} in TeV", energy, above=0)))
    if not limits[0] < limits[1]:
        raise invalid("energy_max", f"> energy_min ({limits[0]:g} TeV)", energy_max)
    return limits[0], limits[1]
