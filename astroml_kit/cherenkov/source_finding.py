"""Sources in a map: where, how significant, and what looking everywhere makes of that."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from .._validation import check_real, invalid
from ..significance import li_ma_significance, p_value_from_significance
from ._map_positions import FittedSource, fit_gaussian, make_gaussian
from ._map_result import SignificanceMap
from ._map_toys import TrialLaw, fit_trial_law, throw_maxima
from ._regions import to_angle, to_sky
from ._rings import measure_angle

_FEWEST_TOYS = 20
_COLUMNS: dict[str, tuple[Any, str]] = {
    "ra": (u.deg, "right ascension of the fit, ICRS"),
    "dec": (u.deg, "declination of the fit, ICRS"),
    "ra_error": (u.deg, "standard error along right ascension, on the sky, statistical"),
    "dec_error": (u.deg, "standard error along declination, statistical"),
    "width": (u.deg, "standard deviation of the fitted Gaussian, point spread included"),
    "width_error": (u.deg, "standard error of the width; 0 where it was given"),
    "peak_ra": (u.deg, "right ascension of the pixel with the largest significance"),
    "peak_dec": (u.deg, "declination of that pixel"),
    "significance": (None, "Li & Ma at that pixel, sources found before taken as background"),
    "p_value": (None, "one-sided, pre-trial"),
    "n_trials_effective": (None, "trials of the whole map at that significance"),
    "significance_post_trial": (None, "after these trials"),
    "n_on": (None, "events in the ON disc around the pixel"),
    "n_off": (None, "events in its OFF region"),
    "alpha": (None, "acceptance of ON over that of OFF"),
    "neighbours": (None, "counts in ON that belong to sources found before"),
    "excess": (None, "n_on - alpha n_off - neighbours"),
}


def find_sources(
    significance_map: SignificanceMap,
    *,
    threshold: float = 5.0,
    separation: u.Quantity | None = None,
    width: u.Quantity | None = None,
    n_toys: int = 300,
    max_sources: int = 50,
    rng: np.random.Generator | int | None = 0,
) -> QTable:
    """Find the sources of a map whose significance survives the trials of a blind search.

    The largest significance is taken, a Gaussian is fitted to the counts around it and becomes
    part of the background, and so on until the next one falls below the threshold.

    Parameters
    ----------
    significance_map : SignificanceMap
        From :func:`map_significance`; pixels that are NaN are not searched.
    threshold : float
        Smallest post-trial significance, one-sided.
    separation : Quantity, optional
        A peak nearer than this to a source found before is taken as part of it, and counted in
        ``meta["n_merged"]``; three ON radii if omitted.
    width : Quantity, optional
        Standard deviation of the Gaussian (68 % of a point source lie within 1.51 of it); fitted
        for each source if omitted.
    n_toys : int
        Maps without a source, for the trials.
    max_sources : int
        Stop after as many.
    rng : Generator, int or None
        Source of randomness of the toys.

    Returns
    -------
    QTable
        One row per source, the most significant first, none when nothing is found: see the
        descriptions of the columns. ``meta`` has ``trials`` (how they grow with significance),
        ``n_merged`` and ``n_unfitted`` (sources whose fit did not converge: position of the pixel,
        errors NaN).

    Notes
    -----
    Trials: neighbouring pixels share events, so that far fewer than all of them count. Toys of the
    background, searched as the map was, give the distribution of the largest significance;
    P(max < z) = Phi(z)^N(z) with N(z) = a z^b is fitted to it and carried on to the significance
    at hand, see :func:`astroml_kit.significance.find_effective_trials` for N at one threshold. A
    position that was chosen before looking has one trial: use
    :meth:`SignificanceMap.get_counts` there.

    Examples
    --------
    >>> from astroml_kit.cherenkov import map_significance, read_observations
    >>> runs = read_observations("hess-dl3-dr1")  # doctest: +SKIP
    >>> print(find_sources(map_significance(runs)))  # doctest: +SKIP
    """
    if not isinstance(significance_map, SignificanceMap):
        raise TypeError(
            f"significance_map must be a SignificanceMap, got {type(significance_map).__name__}. "
            "Make one with map_significance."
        )
    limit = float(check_real("threshold", threshold))
    toys = int(check_real("n_toys", n_toys, at_least=_FEWEST_TOYS))
    most = int(check_real("max_sources", max_sources, at_least=1))
    away = 3 * significance_map.radius if separation is None else separation
    apart = to_angle("separation", away, positive=False)
    pixel = significance_map.model.grid.pixel
    fixed = None if width is None else float(np.rad2deg(to_angle("width", width))) / pixel
    law = find_trial_law(significance_map, n_toys=toys, rng=rng)
    search = _Search(significance_map, law, apart, fixed)
    while len(search.rows) < most and search.take_next(limit):
        pass
    return search.make_table()


def find_trial_law(
    significance_map: SignificanceMap,
    *,
    n_toys: int = 300,
    rng: np.random.Generator | int | None = 0,
) -> TrialLaw:
    """Throw toys of a map's background and fit how many trials searching it amounts to."""
    model = significance_map.model
    searched = np.isfinite(significance_map.significance)
    if not searched.any():
        raise invalid(
            "significance_map", "finite in some pixels", "none", "Use runs that see the field."
        )
    maxima = throw_maxima(
        model.grid, model.stacker, model.sums, model.exclusion.pixels, searched,
        n_toys=n_toys, rng=np.random.default_rng(rng),
    )  # fmt: skip
    return fit_trial_law(maxima)


class _Search:
    """The state of a search: what was found, and the counts that it explains."""

    def __init__(
        self, result: SignificanceMap, law: TrialLaw, apart: float, width: float | None
    ) -> None:
        self.map, self.law, self.apart, self.width = result, law, apart, width
        self.grid = result.model.grid
        self.stacker = result.model.stacker
        sums = result.model.sums
        # counts over expectation in OFF: what the ring says of the acceptance around a pixel
        local = np.divide(sums.n_off, sums.off, out=np.ones(self.grid.shape), where=sums.off > 0)
        self.background = sums.density * local
        self.counts = result.model.counts
        self.found = np.zeros(self.grid.shape)  # counts of the sources, by pixel
        self.neighbours = np.zeros(result.shape)  # the same in the discs
        self.open = np.isfinite(result.significance)
        self.centres: list[np.ndarray] = []
        self.rows: list[dict[str, Any]] = []
        self.n_merged = self.n_unfitted = 0

    def measure(self) -> np.ndarray:
        """Return the significances over what has been found so far; NaN where not searched."""
        result = self.map
        image = np.full(result.shape, np.nan)
        where = self.open
        n_off = result.n_off[where]
        # sources add to the background, which keeps its relative uncertainty
        alpha = result.alpha[where] + self.neighbours[where] / np.maximum(n_off, 1.0)
        image[where] = li_ma_significance(result.n_on[where], n_off, alpha=alpha)
        return image

    def take_next(self, limit: float) -> bool:
        """Find the next source; False when nothing above the limit is left."""
        image = (
            self.measure() if self.centres else np.where(self.open, self.map.significance, np.nan)
        )
        if not np.isfinite(image).any():
            return False
        row, column = np.unravel_index(np.nanargmax(image), image.shape)
        value = float(image[row, column])
        post = float(self.law.correct(value))
        if not post >= limit:
            return False
        vector = self.grid.crop(self.grid.vectors)[row, column]
        near = [measure_angle(vector, centre) < self.apart for centre in self.centres]
        if any(near):
            self.n_merged += 1
            self._close(vector)
            return True
        fit = fit_gaussian(
            self.counts,
            self.background + self.found,
            int(column) + self.grid.margin,
            int(row) + self.grid.margin,
            radius=self.map.radius.to_value("deg") / self.grid.pixel,
            width=self.width,
        )
        self._add(int(row), int(column), value, post, fit)
        return True

    def _close(self, vector: np.ndarray) -> None:
        """Search no more within the ON radius of a place."""
        radius = self.map.radius.to_value("rad")
        self.open &= measure_angle(self.grid.crop(self.grid.vectors), vector) > radius

    def _add(self, row: int, column: int, value: float, post: float, fit: FittedSource) -> None:
        result, pixel = self.map, self.grid.pixel
        peak = to_sky(self.grid.crop(self.grid.vectors)[row, column])
        position, error = peak, (np.nan, np.nan, np.nan)
        margin = self.grid.margin
        if fit.converged:
            position = SkyCoord(
                *result.wcs.wcs_pix2world(fit.column - margin, fit.row - margin, 0), unit="deg"
            )
            error = (fit.column_error, fit.row_error, fit.width_error)
        else:
            self.n_unfitted += 1
        n_on, n_off = result.n_on[row, column], result.n_off[row, column]
        alpha, others = result.alpha[row, column], self.neighbours[row, column]
        self.rows.append(
            {
                "ra": position.ra.deg,
                "dec": position.dec.deg,
                "ra_error": error[0] * pixel,
                "dec_error": error[1] * pixel,
                "width": fit.width * pixel if fit.converged else np.nan,
                "width_error": error[2] * pixel,
                "peak_ra": peak.ra.deg,
                "peak_dec": peak.dec.deg,
                "significance": value,
                "p_value": float(p_value_from_significance(value)),
                "n_trials_effective": float(self.law.count_trials(value)),
                "significance_post_trial": post,
                "n_on": n_on,
                "n_off": n_off,
                "alpha": alpha,
                "neighbours": others,
                "excess": n_on - alpha * n_off - others,
            }
        )
        self.centres.append(self.grid.crop(self.grid.vectors)[row, column])
        if fit.converged:
            source = make_gaussian(self.grid.shape, fit.column, fit.row, fit.width, fit.counts)
            self.found += source
            self.neighbours = self.grid.crop(self.stacker.sums.measure(self.found, "disc"))
        self._close(self.centres[-1])

    def make_table(self) -> QTable:
        """Return the rows as a table, also when there are none."""
        rows = sorted(self.rows, key=lambda row: -row["significance"])
        table = QTable()
        for name, (unit, description) in _COLUMNS.items():
            values = np.array([row[name] for row in rows], float)
            table[name] = values if unit is None else values * unit
            table[name].info.description = description
        table.meta = {
            "trials": self.law.to_dict(),
            "n_merged": self.n_merged,
            "n_unfitted": self.n_unfitted,
        }
        return table
