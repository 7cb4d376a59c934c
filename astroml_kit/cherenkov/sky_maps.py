"""From the events of many runs to a map of significances, with sources kept out of background."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from .._validation import invalid
from ..significance import li_ma_significance
from ._acceptance import Acceptance, check_energies, measure_acceptance
from ._map_background import (
    AnnulusSums,
    Exclusion,
    OnOffSums,
    RingSums,
    ShapeOf,
    normalise_runs,
)
from ._map_exclusion import count_regions, find_regions, make_exclusion
from ._map_grid import SkyGrid, make_disc
from ._map_limits import find_upper_limits
from ._map_null import MIN_BACKGROUND, NullFit, fit_null
from ._map_plan import MapPlan, check_width
from ._map_result import MapModel, SignificanceMap
from ._map_runs import MapRun, PolarCells, RunReader, find_centre
from ._regions import to_angle, to_vector
from ._rings import flatten_exclusions


def map_significance(
    observations: Iterable[Any],
    *,
    center: SkyCoord | None = None,
    width: u.Quantity = 5.0 * u.deg,
    pixel_size: u.Quantity = 0.02 * u.deg,
    radius: u.Quantity = 0.1 * u.deg,
    background: str = "ring",
    ring_inner: u.Quantity = 0.5 * u.deg,
    ring_width: u.Quantity = 0.3 * u.deg,
    gap: u.Quantity = 0.1 * u.deg,
    acceptance: str | Acceptance = "measured",
    gradient: bool = True,
    exclude: Iterable[Any] = (),
    threshold: float | None = 5.0,
    grow: u.Quantity = 0.2 * u.deg,
    max_iterations: int = 10,
    blank: str = "nothing",
    max_offset: u.Quantity = 2.5 * u.deg,
    energy_min: u.Quantity | None = None,
    energy_max: u.Quantity | None = None,
    confidence: float | None = None,
    progress: bool = False,
) -> SignificanceMap:
    """Map the significance of an excess over a field of many runs.

    Every pixel is tested as a source: ON is the disc of ``radius`` around it. OFF and its
    acceptance come from outside the excluded regions, after Berge, Funk & Hinton (2007),
    doi:10.1051/0004-6361:20066674, sections 4.2 and 4.3; the significance from Li & Ma (1983),
    eq. 17. Regions above ``threshold`` are excluded and the map is made again until no more turn
    up.

    Parameters
    ----------
    observations : Observations or iterable of Observation
        Runs, each read once; whatever has ``obs_id``, ``pointing``, ``live_time``, ``zenith`` and
        ``events`` (``reco_ra``, ``reco_dec``, ``reco_energy``) will do.
    center : SkyCoord, optional
        Centre of the map; the middle of the pointings if omitted.
    width : Quantity
        Width of the map, or (width, height).
    pixel_size : Quantity
        Size of a pixel at the centre.
    radius : Quantity
        ON radius; discs and rings are made of whole pixels, by their centres.
    background : {'ring', 'reflected'}
        OFF from a ring around each pixel; or, run by run, from all azimuths about the pointing at
        the pixel's own offset, at least ``gap`` away from ON (the limit of ever more rotated
        discs), which leaves out pixels closer than ``radius + gap`` to a pointing.
    ring_inner, ring_width : Quantity
        Inner radius and width of the ring.
    gap : Quantity
        For ``background='reflected'``.
    acceptance : {'measured', 'irf'} or Acceptance
        How background is spread over the field: a radial profile with a gradient toward the
        zenith, measured on these runs outside the excluded regions in every iteration; the
        background model in the runs' responses; or a model measured on other fields
        (:func:`fit_acceptance`). Its rate is always fitted to each run outside the exclusions.
    gradient : bool
        Whether the measured acceptance has a gradient. Runs without times or site, column
        ``gradient_known`` of ``.runs``, have none.
    exclude : iterable of (SkyCoord, Quantity)
        Circles that give no OFF counts; both may be arrays. See :func:`read_known_sources`.
    threshold : float or None
        Significance from which a region is excluded, with what is connected to it above 3 sigma;
        None: only what is given.
    grow : Quantity
        Margin around such regions.
    max_iterations : int
        Stop looking for regions after this many maps.
    blank : {'nothing', 'given', 'all'}
        Pixels to set to NaN: none, so that sources show in the map; those of ``exclude``; or all
        excluded ones.
    max_offset : Quantity
        Leave out events farther from the pointing.
    energy_min, energy_max : Quantity, optional
        Use events with energy_min <= energy < energy_max.
    confidence : float, optional
        Also compute upper limits on the signal counts of each pixel at this confidence, 0.95 say,
        as :meth:`OnOffCounts.upper_limit` does; takes seconds.
    progress : bool
        Show a progress bar.

    Returns
    -------
    SignificanceMap

    Raises
    ------
    ValueError
        When an argument is out of range, the events lack a column, or no run can be used.

    Notes
    -----
    Each run's acceptance is scaled to its own counts outside the exclusions, and ON, OFF and
    acceptances are summed before they are compared. So the OFF counts are Poisson numbers, and
    alpha, the ratio of the sums, needs no run to have enough OFF counts of its own. Summing each
    run's own ``alpha n_off`` instead, as other programs do, gives runs with few OFF counts an alpha
    that fluctuates.

    Examples
    --------
    >>> from astroml_kit.cherenkov import read_observations
    >>> position = SkyCoord(228.529, -59.158, unit="deg")
    >>> runs = read_observations("hess-dl3-dr1").select(position)  # doctest: +SKIP
    >>> print(map_significance(runs, center=position))  # doctest: +SKIP
    """
    plan = MapPlan.check(
        background=background, ring_inner=ring_inner, ring_width=ring_width, gap=gap,
        radius=radius, acceptance=acceptance, gradient=gradient, threshold=threshold, grow=grow,
        max_iterations=max_iterations, blank=blank, max_offset=max_offset,
        energies=check_energies(energy_min, energy_max),
        confidence=confidence,
    )  # fmt: skip
    circles = flatten_exclusions(exclude)
    size = check_width(width)
    pixel = np.rad2deg(to_angle("pixel_size", pixel_size))
    if center is None:
        observations, middle = _find_middle(observations)
    else:
        middle = to_vector("center", center)
        if middle.ndim != 1:
            raise invalid("center", "one position", center, "Give a scalar SkyCoord.")
    grid = plan.make_grid(middle, size, pixel)
    cells = plan.make_cells()
    reader = RunReader(
        grid, cells, plan.max_offset, *plan.energies, responses=plan.acceptance == "irf"
    )
    runs = reader.read_all(observations, progress=progress)
    return _make_map(runs, plan, grid, cells, circles)


def _find_middle(observations: Iterable[Any]) -> tuple[Iterable[Any], np.ndarray]:
    """Return the runs and the middle of their pointings; an iterator is used up for that."""
    pointings = getattr(observations, "pointings", None)
    if pointings is not None:
        vectors = to_vector("pointings", pointings)
    else:
        observations = tuple(observations)
        vectors = np.array([to_vector("pointing", run.pointing) for run in observations])
    if not len(vectors):
        raise invalid("observations", "at least one run", 0, "Choose other runs.")
    return observations, find_centre(vectors)


def _make_map(
    runs: Sequence[MapRun],
    plan: MapPlan,
    grid: SkyGrid,
    cells: PolarCells,
    circles: tuple[np.ndarray, np.ndarray],
) -> SignificanceMap:
    """Make maps until their own sources are excluded."""
    usable = [run for run in runs if len(run.cells)]
    if plan.acceptance == "irf":
        usable = [run for run in usable if run.shape is not None]
    if not usable:
        needed = " and a background response" if plan.acceptance == "irf" else ""
        raise invalid(
            "observations", f"at least one run with events in range{needed}",
            f"none of {len(runs)}",
            "Choose other runs, energies or max_offset.",
        )  # fmt: skip
    stacker = plan.make_stacker(grid, cells)
    kernel = make_disc(plan.radius / grid.pixel)
    found = np.zeros((grid.n_y, grid.n_x), dtype=bool)
    rows: list[dict[str, Any]] = []
    while True:
        exclusion = make_exclusion(grid, circles, found)
        model, norms, sums, counts = _add_up(usable, plan, grid, cells, stacker, exclusion)
        images = _compare(grid, sums)
        excluded = grid.crop(exclusion.pixels)
        null = _fit_null(images, excluded, kernel)
        added = find_regions(images["significance"], plan.threshold, plan.grow / grid.pixel)
        n_added = int(np.count_nonzero(added & ~excluded))
        rows.append(
            {
                "n_regions": count_regions(excluded),
                "n_excluded": int(excluded.sum()),
                "peak": _find_peak(images["significance"]),
                "null_mean": null.mean,
                "null_width": null.width,
                "n_added": n_added,
            }
        )
        found |= added
        if not n_added or len(rows) >= plan.max_iterations:
            break
    blanked = {
        "nothing": np.zeros_like(excluded),
        "given": grid.crop(grid.cover(*circles)),
        "all": excluded,
    }[plan.blank]
    for image in images.values():
        image[blanked] = np.nan
    limits = np.full(excluded.shape, np.nan)
    if plan.confidence is not None:
        limits = find_upper_limits(
            images["n_on"], images["n_off"], images["alpha"], plan.confidence
        )
    used = dict(zip((id(run) for run in usable), norms > 0, strict=True))
    return SignificanceMap(
        wcs=grid.wcs,
        **images,
        upper_limit=limits,
        exclusion=excluded,
        null_fit=null,
        iterations=QTable(rows=rows),
        runs=_list_runs(runs, [bool(used.get(id(run), False)) for run in runs]),
        settings=plan.describe(grid, circles),
        fitted_acceptance=model,
        model=MapModel(grid, stacker, exclusion, sums, counts),
    )


def _add_up(
    runs: Sequence[MapRun],
    plan: MapPlan,
    grid: SkyGrid,
    cells: PolarCells,
    stacker: RingSums | AnnulusSums,
    exclusion: Exclusion,
) -> tuple[Acceptance | None, np.ndarray, OnOffSums, np.ndarray]:
    """Return acceptance, rates of the runs, ON and OFF sums and counts for given exclusions.

    A run without events outside them has no rate, and its events are not counted either.
    """
    clear: dict[bytes, np.ndarray] = {}
    for run in runs:
        if run.place not in clear:
            clear[run.place] = exclusion.find_clear(grid, cells, run.basis)
    model, shape_of = _choose_acceptance(runs, plan, cells, clear)
    norms = normalise_runs(runs, cells, clear, shape_of)
    seen = [run for run, norm in zip(runs, norms, strict=True) if norm > 0]
    pixels = np.concatenate([np.empty(0, np.int32), *(run.pixels for run in seen)])
    counts = np.bincount(pixels[pixels >= 0], minlength=len(grid.vectors)).astype(float)
    counts = counts.reshape(grid.shape)
    sums = stacker.add_up(seen, norms[norms > 0], counts, exclusion, clear, shape_of)
    return model, norms, sums, counts


def _choose_acceptance(
    runs: Sequence[MapRun], plan: MapPlan, cells: PolarCells, clear: dict[bytes, np.ndarray]
) -> tuple[Acceptance | None, ShapeOf]:
    """Return the acceptance, if it is one for all runs, and a function that gives that of a run."""
    if plan.acceptance == "irf":
        return None, lambda run: run.shape
    if isinstance(plan.acceptance, Acceptance):
        model = plan.acceptance
    else:
        model = measure_acceptance(
            runs, cells, clear, max_offset=plan.max_offset, gradient=plan.gradient
        )
    return model, lambda run: model


def _compare(grid: SkyGrid, sums: OnOffSums) -> dict[str, np.ndarray]:
    """Return the images of the map: NaN where ON or OFF has no acceptance."""
    n_on, n_off, on, off, density = (grid.crop(array) for array in sums)
    known = (on > 0) & (off > 0)
    alpha = np.full(known.shape, np.nan)
    alpha[known] = on[known] / off[known]
    significance = np.full(known.shape, np.nan)
    significance[known] = li_ma_significance(n_on[known], n_off[known], alpha=alpha[known])
    return {
        "n_on": np.where(known, n_on, np.nan),
        "n_off": np.where(known, n_off, np.nan),
        "alpha": alpha,
        "significance": significance,
        "acceptance": np.where(known, density, np.nan),
    }


def _find_peak(significance: np.ndarray) -> float:
    """Return the largest significance, NaN when there is none."""
    known = significance[np.isfinite(significance)]
    return float(known.max()) if known.size else float("nan")


def _fit_null(images: dict[str, np.ndarray], excluded: np.ndarray, kernel: np.ndarray) -> NullFit:
    """Fit the significances outside sources where there is background enough for a Gaussian."""
    background = np.nan_to_num(images["alpha"] * images["n_off"])
    outside = ~excluded & (background >= MIN_BACKGROUND)
    return fit_null(np.where(outside, images["significance"], np.nan), kernel)


def _list_runs(runs: Sequence[MapRun], used: list[bool]) -> QTable:
    """Return one row per run."""
    return QTable(
        {
            "obs_id": np.array([run.obs_id for run in runs], int),
            "n_events": np.array([len(run.cells) for run in runs], int),
            "n_invalid": np.array([run.n_invalid for run in runs], int),
            "live_time": np.array([run.live_time for run in runs], float) * u.s,
            "zenith": np.array([run.zenith for run in runs], float) * u.deg,
            "gradient_known": np.array([bool(np.any(run.lever)) for run in runs], bool),
            "used": np.array(used, bool),
        }
    )
