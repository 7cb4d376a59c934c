"""The open cluster in a field of stars: its members, each with a probability, or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from scipy.special import ndtri_exp

from .._validation import check_choice, check_real, invalid
from ..significance import correct_significance, p_value_from_significance
from ._astrometry import Astrometry, lift, read_astrometry
from ._cluster_mixture import measure_gaussian
from ._cluster_peers import METHODS, choose_members
from ._cluster_search import Search, search_cluster

RATE = u.mas / u.yr
_PLUMMER = 0.75  # variance of its place and log scale, in scale^2 per star
_FEWEST_STARS = 50


@dataclass(frozen=True)
class OpenCluster:
    """A cluster, or the likeliest place of one where there is none.

    Attributes
    ----------
    centre : SkyCoord
        ICRS, NaN without any candidate.
    centre_error, radius, radius_error : Quantity
        Degrees; the error of each coordinate, and the projected radius of half of the cluster as
        a Plummer profile has it, which may be larger than the field.
    pmra, pmra_error, pmdec, pmdec_error : Quantity
        Mean proper motion, mas/yr, and statistical errors.
    parallax, parallax_error : Quantity
        Mean parallax, mas, as the table has it: Gaia's zero point, some -0.02 to -0.05 mas
        (Lindegren et al. 2021, doi:10.1051/0004-6361/202039653), is not taken out unless asked.
    dispersion : Quantity
        Standard deviation of the proper motions along an axis, mas/yr, without the errors.
    n_members, n_members_error : float
        Expected number among the stars used, the sum of the probabilities; 0 where none is found.
    significance : float
        One-sided, after trials; NaN for methods without one.
    level : float
        Largest p-value of a cluster.
    test_statistic : float
        Twice the gain of the log-likelihood by the cluster.
    table : QTable
        The stars as they were given, with ``membership``: NaN for those that were not used.
    n_used, n_incomplete, n_faint : int
        Rows used; without position, motion, parallax, error or magnitude; beyond the limit.
    errors : str
        "given", or "from G" where the table has no errors.
    error_factor : float
        By which errors from G were multiplied, fitted; 1 for given ones.
    method : str
    """

    centre: SkyCoord
    centre_error: u.Quantity
    radius: u.Quantity
    radius_error: u.Quantity
    pmra: u.Quantity
    pmra_error: u.Quantity
    pmdec: u.Quantity
    pmdec_error: u.Quantity
    parallax: u.Quantity
    parallax_error: u.Quantity
    dispersion: u.Quantity
    n_members: float
    n_members_error: float
    significance: float
    level: float
    test_statistic: float
    table: QTable
    n_used: int
    n_incomplete: int
    n_faint: int
    errors: str
    error_factor: float
    method: str

    @property
    def found(self) -> bool:
        """Whether there is a cluster: the p-value is at most ``level``."""
        return self.n_members > 0

    @property
    def p_value(self) -> float:
        """Chance that a field without a cluster has a place as likely as this, anywhere; or NaN."""
        known = np.isfinite(self.significance)
        return float(p_value_from_significance(self.significance)) if known else np.nan

    @property
    def membership(self) -> np.ndarray:
        """Probability of each row, NaN for those that were not used."""
        return np.asarray(self.table["membership"])

    @property
    def members(self) -> QTable:
        """Rows that are likelier members than not; none where there is no cluster."""
        return self.table[np.nan_to_num(self.membership) > 0.5]

    def __str__(self) -> str:
        dropped = f"{self.n_faint} too faint, {self.n_incomplete} incomplete"
        where = (
            f"proper motion {self.pmra.value:.3f}, {self.pmdec.value:.3f} mas/yr, "
            f"parallax {self.parallax.value:.3f} mas"
        )
        if not self.found:
            place = f"the likeliest place, {where}, has" if np.isfinite(self.pmra) else "no place,"
            chance = f" p = {self.p_value:.2g} after trials"
            return (f"no cluster among {self.n_used} stars ({dropped}): {place}"
                    f"{chance if np.isfinite(self.p_value) else ' no p-value'}")  # fmt: skip
        known = np.isfinite(self.significance)
        sigma = f"; {self.significance:.1f} sigma after trials" if known else ""
        return (
            f"cluster of {self.n_members:.0f} +- {self.n_members_error:.0f} among {self.n_used} "
            f"stars ({dropped}): {where}, half radius {self.radius.to_value('deg'):.3f} deg{sigma}"
        )

    def to_dict(self) -> dict[str, Any]:
        """All but the table as plain numbers, ready for JSON; NaN as None."""
        out: dict[str, Any] = {"ra": float(self.centre.ra.deg), "dec": float(self.centre.dec.deg)}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if name not in ("centre", "table"):
                out[name] = float(value.value) if isinstance(value, u.Quantity) else value
        out["p_value"] = self.p_value
        return {key: None if value != value else value for key, value in out.items()}


def find_cluster(
    stars: Any,
    *,
    magnitude_max: float | None = 18.0,
    level: float = 0.01,
    method: str = "mixture",
    zero_point: u.Quantity = 0 * u.mas,
    columns: Mapping[str, str] | None = None,
    random_state: int = 0,
    **options: Any,
) -> OpenCluster:
    """Find the open cluster in a field, from positions, proper motions and parallaxes.

    Parameters
    ----------
    stars : QTable or Table
        A row per star with Gaia's names: ``coord`` or ``ra`` and ``dec``; ``pmra``, ``pmdec``
        and ``parallax``; their errors, such as ``pmra_error``, and correlations, such as
        ``pmra_pmdec_corr``, where known; ``phot_g_mean_mag``. Columns without units are in
        degrees, mas/yr and mas. Rows that lack one of these are not used, and counted.
    magnitude_max : float or None
        Faintest G; fainter stars tell little. Their positions still tell what was observed.
    level : float in (0, 1]
        Largest p-value, after trials, of what is called a cluster.
    method : {"mixture", "hdbscan", "gmm", "dbscan", "kmeans", "hierarchical"}
        "mixture" as described below. The others, for comparison, are scikit-learn's with
        ``options`` on columns scaled by their spread; the densest label in proper motion is taken
        for the cluster. They have no errors of stars, no field, no p-value, and probabilities of
        0 and 1 but for "hdbscan" and "gmm".
    zero_point : Quantity
        Taken from every parallax.
    columns : mapping, optional
        From the names above to those of the table.
    random_state : int
        Of the first guess of the field, which, as the order of the rows, moves probabilities of
        stars in doubt by some hundredths.
    **options
        Of the estimator of the other methods.

    Returns
    -------
    OpenCluster
        Where nothing is found, ``found`` is False and all memberships are 0.

    Raises
    ------
    ValueError
        For missing columns, fewer than 50 usable stars, or errors that are not above 0.

    Notes
    -----
    A mixture by maximum likelihood: the cluster is a Plummer profile on the sky and a Gaussian in
    motion and parallax, no wider than 1.5 km/s and 15 pc can be; the field is even over what was
    observed, whatever its outline, and up to eight Gaussians none of which may be as narrow as a
    cluster. All Gaussians are those before the errors: each star is compared with them through
    its own covariance, extreme deconvolution (Bovy, Hogg & Roweis 2011, doi:10.1214/10-AOAS439).
    Shares of cluster and field differ from bright to faint. The search begins at the three places
    where most stars of like motion are near a star, more than the field has. Without errors in
    the table they come from G as ESA says of Gaia DR3, times a factor that is fitted.

    Significance: twice the gain of the log-likelihood is taken as chi-squared of the ten numbers
    that make a cluster (place, scale, motion, parallax, two spreads, share, its run with
    brightness), and corrected for as many trials as there are stars: p-values of fields without
    a cluster are rather too large than too small. Fewer than five expected members are never a
    cluster. One cluster is found per field, the likeliest; a second needs a second search without
    the members of the first.

    Examples
    --------
    >>> from astroml_kit.catalogs import simulate_open_cluster
    >>> stars = simulate_open_cluster(80, n_field=600, rng=1)
    >>> cluster = find_cluster(stars)
    >>> cluster.found, int(stars["true_member"][stars["phot_g_mean_mag"] <= 18].sum())
    (True, 62)
    >>> print(round(cluster.n_members), len(cluster.members))
    60 61
    """
    check_choice("method", method, ("mixture", *METHODS))
    check_real("level", level, above=0, at_most=1)
    if options and method == "mixture":
        raise invalid("options", "none for method 'mixture'", sorted(options))
    if not hasattr(stars, "colnames"):
        raise invalid("stars", "an astropy table", type(stars).__name__, "Use read_catalog.")
    used = read_astrometry(stars, columns=columns, magnitude_max=magnitude_max)
    if len(used) < _FEWEST_STARS:
        raise invalid(
            "stars", f"at least {_FEWEST_STARS} with motion and parallax", len(used),
            f"{used.n_incomplete} rows were incomplete, {used.n_faint} too faint.",
        )  # fmt: skip
    used.motion[:, 2] -= zero_point.to_value("mas")
    if method == "mixture":
        search = search_cluster(used, random_state=int(random_state))
        return _describe_search(stars, used, search, float(level))
    share = choose_members(used, method, options, random_state=int(random_state))
    return _describe_labels(stars, used, share, float(level), method)


def _describe_search(stars: Any, used: Astrometry, search: Search, level: float) -> OpenCluster:
    fit = search.mixture
    sigma = _find_significance(search.test_statistic, n_trials=len(used))
    n = search.n_members
    if n == 0:
        mean, error, centre, scale = np.full(3, np.nan), np.full(3, np.nan), None, np.nan
    else:
        noise = used.covariance * fit.error_factor**2
        _, inverse = measure_gaussian(used.motion - fit.mean, fit.covariance + noise)
        error = np.sqrt(np.diag(np.linalg.inv(np.einsum("n,nij->ij", search.share, inverse))))
        mean, centre, scale = fit.mean, fit.centre, fit.scale
    found = n > 0 and float(p_value_from_significance(sigma)) <= level
    return _build(
        stars, used, centre, scale, mean, error, search.share if found else 0 * search.share,
        dispersion=fit.spread[0] if n else np.nan, significance=sigma, level=level,
        test_statistic=search.test_statistic, error_factor=fit.error_factor, method="mixture",
        n_members_error=_find_count_error(search) if found else 0.0, n_behind=n,
    )  # fmt: skip


def _describe_labels(
    stars: Any, used: Astrometry, share: np.ndarray, level: float, method: str
) -> OpenCluster:
    """Medians of the members of another method; no p-value, no errors of the stars."""
    inside = share > 0.5
    n = float(share.sum())
    if inside.sum() < 2:
        mean, error, centre, scale, spread = np.full(3, np.nan), np.full(3, np.nan), None, *(
            (np.nan, np.nan)
        )  # fmt: skip
    else:
        motion, place = used.motion[inside], used.place[inside]
        mean, centre = np.median(motion, axis=0), np.median(place, axis=0)
        scale = float(np.median(np.hypot(*(place - centre).T)))
        off = 1.4826 * np.median(np.abs(motion - mean), axis=0)
        error, spread = 1.2533 * off / np.sqrt(inside.sum()), float(off[:2].mean())
    return _build(
        stars, used, centre, scale, mean, error, share, dispersion=spread, significance=np.nan,
        level=level, test_statistic=np.nan, error_factor=1.0, method=method,
        n_members_error=float(np.sqrt(np.sum(share * (1 - share)))), n_behind=n,
    )  # fmt: skip


def _build(
    stars: Any, used: Astrometry, centre: np.ndarray | None, scale: float, mean: np.ndarray,
    error: np.ndarray, share: np.ndarray, *, dispersion: float, n_behind: float, **answer: Any,
) -> OpenCluster:  # fmt: skip
    """Give numbers their units, and the table its column."""
    table = QTable(stars, copy=True)
    membership = np.full(len(table), np.nan)
    membership[used.rows] = share
    table["membership"] = membership
    table["membership"].info.description = "probability to be a member of the cluster"
    place = SkyCoord(np.nan * u.deg, np.nan * u.deg) if centre is None else lift(
        centre, used.middle
    )  # fmt: skip
    blur = np.sqrt(_PLUMMER / max(n_behind, 1.0)) * scale * u.deg
    motion, wrong = mean[:2] * RATE, error[:2] * RATE
    return OpenCluster(
        centre=place, centre_error=blur, radius=scale * u.deg, radius_error=blur, pmra=motion[0],
        pmra_error=wrong[0], pmdec=motion[1], pmdec_error=wrong[1], parallax=mean[2] * u.mas,
        parallax_error=error[2] * u.mas, dispersion=dispersion * RATE,
        n_members=float(share.sum()), table=table, n_used=len(used),
        n_incomplete=used.n_incomplete, n_faint=used.n_faint, errors=used.errors, **answer,
    )  # fmt: skip


def _find_significance(test_statistic: float, *, n_trials: int) -> float:
    """After trials; of chi-squared with the ten degrees of freedom of a cluster."""
    h = test_statistic / 2  # the tail in closed form, by its logarithm: it may be any small
    log_p = np.log1p(h + h**2 / 2 + h**3 / 6 + h**4 / 24) - h
    return float(correct_significance(max(-ndtri_exp(log_p), -8.0), n_trials))


def _find_count_error(search: Search) -> float:
    """Of the number of members: who they are, and how large the shares of the mixture are."""
    variance = float(np.sum(search.share * (1 - search.share)))
    n_parts = search.density.shape[1]
    free = np.linalg.svd(np.ones((1, n_parts)))[2][1:].T  # directions in which the sum stays
    for number, weights in enumerate(search.mixture.weights):
        rows = search.bins == number
        density, share = search.density[rows], search.share[rows]
        relative = density / (density @ weights)[:, None]
        keep = weights > 1e-4  # a component at the edge does not move
        prior = np.diag(np.where(keep, 1.0, 1e12))
        information = free.T @ (relative.T @ relative + prior) @ free
        slope = -relative.T @ share
        slope[0] += relative[:, 0].sum()
        slope = free.T @ slope
        variance += float(slope @ np.linalg.solve(information, slope))
    return float(np.sqrt(variance))
