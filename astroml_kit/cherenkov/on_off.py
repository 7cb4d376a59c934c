"""From runs to ON and OFF counts: one row per run, what was dropped and why, and the stack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from .._validation import check_choice, check_real, invalid
from ..significance import OnOffCounts, stack_counts
from ._counting import BACKGROUNDS, THRESHOLDS, CountingPlan
from ._regions import NoOffRegionError, check_placement, to_angle, to_vector
from ._rings import flatten_exclusions, to_degrees


@dataclass(frozen=True, eq=False)
class OnOffTable:
    """ON and OFF counts of every run, and the runs that have none.

    Parameters
    ----------
    table : QTable
        One row per counted run: ``obs_id``, ``n_on``, ``n_off``, ``alpha``, ``live_time`` [s],
        ``offset`` [deg] of the target from the pointing, ``n_regions`` and ``energy_min`` [TeV],
        the lowest energy counted in that run. Reflected ``n_off`` are counts; rotated ones are the
        equivalent number with the same mean and variance, not whole.
    dropped : QTable
        One row per run that could not be counted: ``obs_id``, ``offset``, ``live_time`` and
        ``reason``. None of these runs is in ``table``.
    target : SkyCoord
        The ON centre; one per run where they differ.
    radius : Quantity
        ON radius.
    background : str
        How the OFF counts were made.
    """

    table: QTable
    dropped: QTable
    target: SkyCoord
    radius: u.Quantity
    background: str

    @cached_property
    def counts(self) -> OnOffCounts:
        """All counted runs stacked, alpha weighted by n_off as :func:`stack_counts` does.

        Raises
        ------
        NoOffRegionError
            When every run was dropped.
        """
        if not len(self.table):
            reasons = sorted(set(self.dropped["reason"].tolist()))
            why = f": {'; '.join(reasons)}" if reasons else ", there were none"
            raise NoOffRegionError(
                f"no run is left of {len(self.dropped)}{why}. Choose other runs or regions."
            )
        return stack_counts(self.runs)

    @property
    def runs(self) -> tuple[OnOffCounts, ...]:
        """The counts of each row of ``table``, for other ways to stack or compare them."""
        rows = zip(*(self.table[name] for name in ("n_on", "n_off", "alpha")), strict=True)
        return tuple(OnOffCounts(*row) for row in rows)

    @property
    def live_time(self) -> u.Quantity:
        """Live time of the counted runs [h]."""
        return self.table["live_time"].sum().to("h")

    def __len__(self) -> int:
        return len(self.table)

    def __str__(self) -> str:
        text = (
            f"{len(self)} runs, {self.live_time.to_value('h'):.2f} h, {len(self.dropped)} dropped"
        )
        if not len(self):
            return f"{text}: nothing counted"
        return f"{text}: {self.counts}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists, ready for JSON."""
        ra, dec = to_degrees(to_vector("target", self.target))
        rows = {
            name: (column.value if isinstance(column, u.Quantity) else column).tolist()
            for name, column in self.table.items()
        }
        dropped = zip(self.dropped["obs_id"], self.dropped["reason"], strict=True)
        return {
            "target": {"ra_deg": ra.tolist(), "dec_deg": dec.tolist()},
            "radius_deg": float(self.radius.to_value("deg")),
            "background": self.background,
            "live_time_h": float(self.live_time.to_value("h")),
            "runs": rows,
            "dropped": [{"obs_id": int(run), "reason": str(why)} for run, why in dropped],
            "stacked": self.counts.to_dict() if len(self) else {},
        }


def count_on_off(
    observations: Iterable[Any],
    target: SkyCoord,
    *,
    radius: u.Quantity,
    background: str = "reflected",
    exclusions: Iterable[Any] = (),
    energy_min: u.Quantity | None = None,
    energy_max: u.Quantity | None = None,
    threshold: str = "none",
    aeff_fraction: float = 0.1,
    max_offset: u.Quantity | None = None,
    min_distance: u.Quantity = 0.1 * u.rad,
    placement: str = "packed",
    step: u.Quantity = 0.1 * u.rad,
    max_regions: int | None = None,
    gap: u.Quantity = 0.25 * u.deg,
    n_rotations: int = 72,
    progress: bool = False,
) -> OnOffTable:
    """Count ON and OFF events of every run, reading one run at a time.

    Parameters
    ----------
    observations : Observations or iterable of Observation
        Runs; whatever has ``obs_id``, ``pointing``, ``live_time`` and ``events`` (``reco_ra``,
        ``reco_dec``, ``reco_energy``) will do.
    target : SkyCoord
        The ON centre: one for all runs, or an array with one per run.
    radius : Quantity
        ON radius (the theta cut); events with theta < radius are ON.
    background : {'reflected', 'rotated'}
        Disjoint circles (:func:`find_reflected_regions`), or the ON disc in many overlapping
        rotations (:func:`find_rotated_discs`), counted as the equivalent ``n_off`` and ``alpha``.
    exclusions : iterable of (SkyCoord, Quantity)
        Circles that OFF regions must not touch; both may be arrays.
    energy_min, energy_max : Quantity, optional
        Count events with energy_min <= energy < energy_max.
    threshold : {'none', 'file', 'aeff-max'}
        A lower limit per run, beside ``energy_min``: none; the one in the files (LO_THRES); or
        where the effective area at the target's offset reaches ``aeff_fraction`` of its maximum.
    aeff_fraction : float
        In (0, 1], for ``threshold='aeff-max'``.
    max_offset : Quantity, optional
        Drop runs that point farther than this from the target.
    min_distance, placement, step, max_regions
        Passed to :func:`find_reflected_regions`; ``placement='stepped'`` reproduces the counts of
        gammapy's ReflectedRegionsFinder.
    gap, n_rotations
        Passed to :func:`find_rotated_discs`.
    progress : bool
        Show a progress bar.

    Returns
    -------
    OnOffTable
        ``.table``, ``.dropped`` and ``.counts``. A run without an OFF region is dropped and named,
        never an error and never NaN.

    Raises
    ------
    ValueError
        When an argument is out of range or the events lack a column.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> from astropy import units as u
    >>> from astropy.coordinates import SkyCoord
    >>> from astropy.table import QTable
    >>> events = QTable({"reco_ra": [0, 0, 0.5] * u.deg, "reco_dec": [0.01, 1, 0.5] * u.deg})
    >>> run = SimpleNamespace(
    ...     obs_id=1, pointing=SkyCoord("0d +0.5d"), live_time=28 * u.min, events=events
    ... )
    >>> result = count_on_off([run], SkyCoord("0d 0d"), radius=0.11 * u.deg)
    >>> print(result.table["n_on", "n_off", "n_regions"])
    n_on n_off n_regions
    ---- ----- ---------
       1     1        12
    """
    check_choice("background", background, BACKGROUNDS)
    check_choice("threshold", threshold, THRESHOLDS)
    check_real("aeff_fraction", aeff_fraction, above=0, at_most=1)
    check_real("n_rotations", n_rotations, at_least=2)
    limits = [_to_energy("energy_min", energy_min), _to_energy("energy_max", energy_max)]
    low, high = limits[0] if limits[0] is not None else 0.0, limits[1] or np.inf
    if not low < high:
        raise invalid("energy_max", f"> energy_min ({low:g} TeV)", energy_max)
    plan = CountingPlan(
        radius=to_angle("radius", radius),
        exclusions=flatten_exclusions(exclusions),
        background=background,
        placement=check_placement(min_distance, placement, step, max_regions),
        gap=to_angle("gap", gap, positive=False),
        n_rotations=int(n_rotations),
        energy_min=low,
        energy_max=high,
        threshold=threshold,
        aeff_fraction=float(aeff_fraction),
        max_offset=np.inf if max_offset is None else to_angle("max_offset", max_offset),
    )
    vectors = to_vector("target", target)
    rows = [
        plan.count(observation, vector)
        for observation, vector in _pair(observations, vectors, progress=progress)
    ]
    kept = [row for row in rows if "reason" not in row]
    lost = [row for row in rows if "reason" in row]
    return OnOffTable(
        _make_table(kept, _COUNTED | {"n_off": int if background == "reflected" else float}),
        _make_table(lost, _DROPPED),
        target,
        radius,
        background,
    )


def _to_energy(name: str, value: u.Quantity | None) -> float | None:
    if value is None:
        return None
    try:
        energy = value.to_value("TeV")
    except (AttributeError, u.UnitConversionError) as error:
        raise invalid(name, "an energy with a unit", value, f"Write {name}=0.5 * u.TeV.") from error
    return float(check_real(f"{name} in TeV", energy, above=0))


def _pair(
    observations: Iterable[Any], vectors: np.ndarray, *, progress: bool
) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield (run, target) pairs, one run in memory at a time."""
    total = len(observations) if isinstance(observations, Sized) else None
    if vectors.ndim > 1 and (vectors.ndim > 2 or total != len(vectors)):
        raise ValueError(
            f"target must be one position or one per run ({total} runs), "
            f"got shape {vectors.shape[:-1]}. Give a scalar SkyCoord for a single source."
        )
    if progress:
        from tqdm import tqdm

        observations = tqdm(observations, total=total, unit="run", desc="counting")
    for number, observation in enumerate(observations):
        yield observation, vectors[number] if vectors.ndim > 1 else vectors


_DROPPED = {"obs_id": int, "offset": u.deg, "live_time": u.s, "reason": str}
_COUNTED = {
    "obs_id": int,
    "n_on": int,
    "n_off": int,
    "alpha": float,
    "live_time": u.s,
    "offset": u.deg,
    "n_regions": int,
    "energy_min": u.TeV,
}


def _make_table(rows: list[dict[str, Any]], columns: dict[str, Any]) -> QTable:
    """Return rows as a table with these columns (a type or a unit each), also when there are none.

    Types are set here because an empty list has none.
    """
    table = QTable()
    for name, kind in columns.items():
        values = [row[name] for row in rows]
        unit = isinstance(kind, u.UnitBase)
        table[name] = np.array(values, float) * kind if unit else np.array(values, kind)
    return table
