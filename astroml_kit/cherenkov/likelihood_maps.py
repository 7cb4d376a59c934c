"""Maps of a likelihood over slices of a score: sources that no single cut brings out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.wcs import WCS
from tqdm import tqdm

from .._validation import check_real, invalid
from ..significance import binned_significance, fit_strength, p_value_from_significance
from ._map_background import RingSums
from ._map_grid import KernelSums, make_disc
from ._map_null import MIN_BACKGROUND, NullFit, fit_null
from ._map_result import SignificanceMap
from ._map_toys import TrialLaw, fit_trial_law
from ._regions import to_angle, to_vector
from ._rings import measure_angle

# Of a toy, the likelihood is worked out in as many pixels: those first by a quick score test.
_N_BEST = 200
_FEWEST_TOYS = 20


@dataclass(frozen=True, eq=False)
class _Channels:
    """What each pixel is compared with: slices x rings, along the first axis."""

    maps: tuple[SignificanceMap, ...]
    sums: KernelSums
    n_rings: int
    alpha: np.ndarray
    signal: np.ndarray
    searched: np.ndarray

    def count(self, counts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """ON and OFF counts of images of pixels, one per slice: shape (n_channels, n_y, n_x)."""
        n_on, n_off = [], []
        for number, one in enumerate(self.maps):
            model = one.model
            discs = [
                model.grid.crop(self.sums.count(counts[number], f"disc{ring}"))
                for ring in range(self.n_rings)
            ]
            n_on += [discs[0], *np.diff(discs, axis=0)]
            free = counts[number] * ~model.exclusion.pixels
            n_off += [model.grid.crop(model.stacker.sums.count(free, "ring"))] * self.n_rings
        return np.array(n_on), np.array(n_off)

    def test(self, n_on: np.ndarray, n_off: np.ndarray) -> np.ndarray:
        """Quick test of the searched pixels: the score of the likelihood without a source."""
        background = np.maximum(self.alpha * n_off, 1e-3)[:, self.searched]
        signal = self.signal[:, self.searched]
        off = n_on[:, self.searched] - background
        alpha = self.alpha[:, self.searched]
        scale = np.sqrt((signal**2 / (background * (1 + alpha))).sum(axis=0))
        return (signal * off / (background * (1 + alpha))).sum(axis=0) / np.maximum(scale, 1e-9)


@dataclass(frozen=True, eq=False)
class LikelihoodMap:
    """Significance of a source in every pixel, from slices of a score and rings around it.

    Made by `map_likelihood`; images have shape (n_y, n_x).

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        Coordinate system.
    significance : ndarray
        Signed, before trials, NaN where not tested.
    strength : ndarray
        Most likely number that the predicted signal is multiplied by.
    exclusion : ndarray of bool
        Where no OFF counts were taken from.
    null_fit : NullFit
        The significances outside ``exclusion``.
    """

    wcs: WCS
    significance: np.ndarray
    strength: np.ndarray
    exclusion: np.ndarray
    null_fit: NullFit
    channels: _Channels = field(repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.significance.shape

    @property
    def coordinates(self) -> SkyCoord:
        """Positions of the pixels, ICRS, shape (n_y, n_x)."""
        return self.channels.maps[0].coordinates

    @property
    def peak(self) -> tuple[float, SkyCoord]:
        """Largest significance and where it is."""
        place = np.unravel_index(np.nanargmax(self.significance), self.shape)
        return float(self.significance[place]), self.coordinates[place]

    def __str__(self) -> str:
        value, where = self.peak
        return (
            f"likelihood map of {len(self.channels.maps)} slices and {self.channels.n_rings} "
            f"rings: peak {value:.2f} sigma at {where.ra.deg:.3f} {where.dec.deg:+.3f}; "
            f"{self.null_fit}"
        )


def map_likelihood(
    maps: Sequence[SignificanceMap], *, signal: Any, radii: Sequence[u.Quantity] | u.Quantity
) -> LikelihoodMap:
    """Combine maps of disjoint events into one likelihood in every pixel.

    Every pixel is tested as a point source whose events are spread over the maps (slices of a
    score, an energy, both) and over rings around it as predicted; one strength is common to all,
    each channel has its own background from its ring. See
    :func:`astroml_kit.significance.binned_significance`.

    Parameters
    ----------
    maps : sequence of SignificanceMap
        With the same pixels and exclusions, from ``map_significance(..., background="ring",
        threshold=None, exclude=...)``, which leaves out only what is given.
    signal : array_like of float >= 0
        Predicted counts, shape (n_maps, n_radii) or (n_maps, n_radii, n_y, n_x): in the disc of
        the first radius, then in the rings to each of the next. Only ratios matter.
    radii : Quantity
        Increasing.

    Returns
    -------
    LikelihoodMap

    Raises
    ------
    ValueError
        When the maps do not belong together or the prediction has another shape.

    Examples
    --------
    >>> radii = [0.06, 0.12] * u.deg
    >>> slices = [map_significance(runs, threshold=None)
    ...     for runs in (poor, good)]  # doctest: +SKIP
    >>> sky = map_likelihood(slices, signal=[[4, 3], [6, 4]], radii=radii)  # doctest: +SKIP
    """
    _check_alike(maps)
    first = maps[0]
    edges = np.rad2deg([to_angle("radii", radius) for radius in radii])
    if not len(edges) or not np.all(np.diff(edges) > 0):
        raise invalid("radii", "increasing", radii)
    n_rings = len(edges)
    predicted = check_real("signal", signal, at_least=0)
    if predicted.ndim == 2:
        predicted = predicted[..., None, None] * np.ones(first.shape)
    if predicted.shape != (len(maps), n_rings, *first.shape):
        raise invalid("signal", f"of shape {(len(maps), n_rings, *first.shape)}", predicted.shape)
    grid = first.model.grid
    discs = {f"disc{k}": make_disc(edge / grid.pixel) for k, edge in enumerate(edges)}
    sums = KernelSums(grid.shape, **discs)
    accepted = []
    for one in maps:
        images = [
            grid.crop(sums.measure(one.model.sums.density, f"disc{k}")) for k in range(n_rings)
        ]
        off = grid.crop(one.model.sums.off)
        ratios = np.divide(
            np.array([images[0], *np.diff(images, axis=0)]), off,
            out=np.zeros((n_rings, *first.shape)), where=off > 0,
        )  # fmt: skip
        accepted.append(ratios)
    predicted = predicted.reshape(-1, *first.shape)
    alpha = np.concatenate(accepted)
    searched = np.all(alpha > 0, axis=0) & (predicted.sum(axis=0) > 0)
    searched &= np.all([np.isfinite(one.significance) for one in maps], axis=0)
    if not searched.any():
        raise invalid("maps", "with acceptance and signal in some pixel", "none")
    channels = _Channels(tuple(maps), sums, n_rings, alpha, predicted, searched)
    n_on, n_off = channels.count([one.model.counts for one in maps])
    significance, strength = np.full((2, *first.shape), np.nan)
    columns = {"alpha": alpha[:, searched].T, "signal": predicted[:, searched].T}
    on, off = n_on[:, searched].T, n_off[:, searched].T
    significance[searched] = binned_significance(on, off, **columns)
    strength[searched] = fit_strength(on, off, **columns)
    excluded = np.any([one.exclusion for one in maps], axis=0)
    enough = np.where(searched, (alpha * n_off).sum(axis=0), 0.0) >= MIN_BACKGROUND
    outside = np.where(enough & ~excluded, significance, np.nan)
    null = fit_null(outside, make_disc(edges[0] / grid.pixel))
    return LikelihoodMap(first.wcs, significance, strength, excluded, null, channels)


def _check_alike(maps: Sequence[SignificanceMap]) -> None:
    """Raise unless the maps have the same pixels, rings and exclusions."""
    if not len(maps):
        raise invalid("maps", "at least one map", "none")
    for one in maps:
        if not isinstance(one, SignificanceMap):
            raise TypeError(f"maps must hold SignificanceMaps, got {type(one).__name__}.")
        if not isinstance(one.model.stacker, RingSums):
            raise invalid("maps", "made with background='ring'", one.settings.get("background"))
    first = maps[0]
    for one in maps[1:]:
        same = one.wcs.to_header_string() == first.wcs.to_header_string()
        same = same and one.shape == first.shape
        if not (same and np.array_equal(one.exclusion, first.exclusion)):
            raise invalid(
                "maps", "with the same pixels and exclusions", "different ones",
                "Give map_significance the same center, width, pixel_size and exclude, and "
                "threshold=None.",
            )  # fmt: skip


def search_likelihood(
    likelihood_map: LikelihoodMap,
    *,
    threshold: float = 5.0,
    separation: u.Quantity = 0.3 * u.deg,
    n_toys: int = 100,
    max_sources: int = 50,
    rng: np.random.Generator | int | None = 0,
    progress: bool = False,
) -> QTable:
    """Find the sources of a likelihood map whose significance survives the trials of the search.

    Parameters
    ----------
    likelihood_map : LikelihoodMap
        From `map_likelihood`.
    threshold : float
        Smallest post-trial significance, one-sided.
    separation : Quantity
        Nearer to a source than this no other is looked for.
    n_toys : int
        Maps without a source, for the trials; as for
        :func:`astroml_kit.cherenkov.find_sources`.
    max_sources : int
        Stop after as many.
    rng : Generator, int or None
        Source of randomness of the toys.
    progress : bool
        Show a progress bar.

    Returns
    -------
    QTable
        ``ra``, ``dec``, ``ra_error``, ``dec_error`` (statistical, 68 % of each axis),
        ``significance``, ``p_value``, ``n_trials_effective``, ``significance_post_trial`` and
        ``strength``, the most significant first. ``meta["trials"]`` says how trials grow,
        ``meta["divided_by"]`` what significances were divided by for p-values and trials.

    Notes
    -----
    Toys know neither a wrong acceptance nor showers that repeat; where the significances outside
    sources are wider than 1, all are divided by that width before trials are counted.

    The position is where a paraboloid through the likelihood around the peak is highest; its
    curvature gives the errors (Delta 2 ln L = 1).

    Examples
    --------
    >>> print(search_likelihood(sky))  # doctest: +SKIP
    """
    if not isinstance(likelihood_map, LikelihoodMap):
        raise TypeError(
            f"likelihood_map must be a LikelihoodMap, got {type(likelihood_map).__name__}. "
            "Make one with map_likelihood."
        )
    limit = float(check_real("threshold", threshold))
    apart = float(to_angle("separation", separation))
    toys = int(check_real("n_toys", n_toys, at_least=_FEWEST_TOYS))
    most = int(check_real("max_sources", max_sources, at_least=1))
    law = _find_trial_law(likelihood_map, toys, np.random.default_rng(rng), progress)
    grid = likelihood_map.channels.maps[0].model.grid
    vectors = grid.crop(grid.vectors)
    image = likelihood_map.significance.copy()
    wider = float(np.nanmax([likelihood_map.null_fit.width, 1.0]))
    rows: list[dict[str, Any]] = []
    while len(rows) < most and np.isfinite(image).any():
        place = np.unravel_index(np.nanargmax(image), image.shape)
        value = float(image[place])
        post = float(law.correct(value / wider))
        if not post >= limit:
            break
        column, row, errors = _fit_peak(likelihood_map.significance, *map(int, place))
        position = SkyCoord(*likelihood_map.wcs.wcs_pix2world(column, row, 0), unit="deg")
        rows.append(
            {
                "ra": position.ra.deg,
                "dec": position.dec.deg,
                "ra_error": errors[0] * grid.pixel,
                "dec_error": errors[1] * grid.pixel,
                "significance": value,
                "p_value": float(p_value_from_significance(value / wider)),
                "n_trials_effective": float(law.count_trials(value / wider)),
                "significance_post_trial": post,
                "strength": float(likelihood_map.strength[place]),
            }
        )
        image[measure_angle(vectors, to_vector("position", position)) < apart] = np.nan
        image[place] = np.nan
    names = ("ra", "dec", "ra_error", "dec_error", "significance", "p_value",
             "n_trials_effective", "significance_post_trial", "strength")  # fmt: skip
    table = QTable({name: np.array([row[name] for row in rows], float) for name in names})
    for name in names[:4]:
        table[name].unit = u.deg
        table[name] = u.Quantity(table[name])
    table.meta = {"trials": law.to_dict(), "divided_by": wider}
    return table


def _find_trial_law(
    sky: LikelihoodMap, n_toys: int, rng: np.random.Generator, progress: bool
) -> TrialLaw:
    """Throw toys of the background of every slice and fit how many trials a search amounts to."""
    channels = sky.channels
    means = [np.maximum(one.model.sums.density, 0.0) for one in channels.maps]
    maxima = np.empty(n_toys)
    for number in tqdm(range(n_toys), desc="toys", disable=None if progress else True):
        n_on, n_off = channels.count([rng.poisson(mean).astype(float) for mean in means])
        quick = channels.test(n_on, n_off)
        best = np.argpartition(quick, -min(_N_BEST, len(quick)))[-min(_N_BEST, len(quick)) :]
        n_on, n_off, alpha, signal = (
            array[:, channels.searched][:, best].T
            for array in (n_on, n_off, channels.alpha, channels.signal)
        )
        maxima[number] = binned_significance(n_on, n_off, alpha=alpha, signal=signal).max()
    return fit_trial_law(maxima)


def _fit_peak(
    significance: np.ndarray, row: int, column: int, reach: int = 2
) -> tuple[float, float, tuple[float, float]]:
    """Column and row of the maximum of a paraboloid around a peak, and its errors [pixels].

    Where the peak is at an edge or flat, the pixel itself with errors NaN.
    """
    y, x = np.mgrid[row - reach : row + reach + 1, column - reach : column + reach + 1]
    n_y, n_x = significance.shape
    inside = (y >= 0) & (y < n_y) & (x >= 0) & (x < n_x)
    x, y = x[inside] - column, y[inside] - row
    z = significance[y + row, x + column]
    known = np.isfinite(z) & (z > 0)
    unknown = float(column), float(row), (np.nan, np.nan)
    if known.sum() < 9:
        return unknown
    x, y, test = x[known], y[known], z[known] ** 2
    design = np.column_stack([np.ones(len(x)), x, y, x * x, y * y, x * y])
    _, gx, gy, xx, yy, xy = np.linalg.lstsq(design, test, rcond=None)[0]
    hessian = np.array([[2 * xx, xy], [xy, 2 * yy]])
    if not np.all(np.linalg.eigvalsh(hessian) < 0):
        return unknown
    shift = -np.linalg.solve(hessian, [gx, gy])
    if np.any(np.abs(shift) > reach):
        return unknown
    errors = np.sqrt(np.diag(np.linalg.inv(-hessian / 2)))
    return column + float(shift[0]), row + float(shift[1]), (float(errors[0]), float(errors[1]))
