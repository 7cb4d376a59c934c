"""A cluster and its field as one mixture, the errors of every star deconvolved."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from ._astrometry import Astrometry

KMS = 4.740470463  # of 1 mas/yr at 1 kpc
# What an open cluster can be: dispersion [km/s], projected half radius [pc].
_DISPERSION, _HALF_RADIUS = (0.25, 1.5), (0.5, 15.0)
_SYSTEMATIC = (0.01, 0.08)  # mas/yr that systematic errors of motions add
_PARALLAX_SPREAD = (0.004, 0.04)  # mas, depth and systematic errors of parallaxes
_NEAREST_PARALLAX = 0.05  # mas, of a distance that scales the limits above
# What a Gaussian of the field must at least be, so that none is a cluster: mas/yr, mas.
_FIELD_FLOOR = np.array([0.4, 0.4, 0.06])
_N_FIELD = 8
_BIN = 250  # stars of one magnitude bin
_MOST_BINS = 8
_PULL = 5.0  # stars by which the bins pull at each other
_TOLERANCE = 0.02  # of the log-likelihood per step


@dataclass(frozen=True)
class Mixture:
    """Cluster (component 0) and field; ``weights`` has a row per magnitude bin.

    ``centre`` [deg] and ``scale`` [deg] are of the Plummer profile, ``mean`` and ``spread`` of the
    motions and the parallax, the spread of motions being the same in both directions.
    """

    centre: np.ndarray
    scale: float
    mean: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    field_mean: np.ndarray
    field_covariance: np.ndarray
    error_factor: float = 1.0
    log_likelihood: float = -np.inf

    @property
    def covariance(self) -> np.ndarray:
        """Of the cluster's true motions and parallaxes."""
        return np.diag(self.spread**2)


def assign_bins(brightness: np.ndarray) -> np.ndarray:
    """Number of the bin of each star, bins of equal numbers from bright to faint."""
    n_bins = int(np.clip(len(brightness) // _BIN, 1, _MOST_BINS))
    order = np.empty(len(brightness), dtype=int)
    order[np.argsort(brightness, kind="stable")] = np.arange(len(brightness))
    return order * n_bins // max(len(brightness), 1)


def fit_field(
    stars: Astrometry, bins: np.ndarray, *, fit_errors: bool, random_state: int
) -> Mixture:
    """Fit the field alone: Gaussians none of which may be as narrow as a cluster."""
    from sklearn.cluster import KMeans

    n_field = int(np.clip(len(stars) // 40, 1, _N_FIELD))
    middle = np.median(stars.motion, axis=0)
    width = 1.4826 * np.median(np.abs(stars.motion - middle), axis=0) + 1e-3
    scaled = np.arcsinh((stars.motion - middle) / width)
    labels = KMeans(n_field, n_init=1, random_state=random_state).fit_predict(scaled)
    noise = np.median(stars.covariance, axis=0)
    means, covariances = [], []
    for k in range(n_field):
        own = stars.motion[labels == k]
        means.append(own.mean(axis=0))
        spread = np.cov(own.T) - noise if len(own) > 3 else np.diag(width**2)
        covariances.append(widen(spread))
    weights = np.bincount(labels, minlength=n_field) / len(labels)
    start = Mixture(
        np.zeros(2), 1.0, middle, np.array([0.1, 0.1, 0.02]),
        np.tile(np.append(0.0, weights), (bins.max(initial=0) + 1, 1)),
        np.array(means), np.array(covariances),
    )  # fmt: skip
    return run_em(stars, bins, start, n_steps=150, fit_errors=fit_errors)


def add_cluster(
    field: Mixture, *, centre: np.ndarray, scale: float, mean: np.ndarray,
    spread: np.ndarray, share: float,
) -> Mixture:  # fmt: skip
    """Put a cluster of some share of the stars into a field."""
    weights = field.weights * (1 - share)
    weights[:, 0] = share
    return replace(field, centre=centre, scale=scale, mean=mean, spread=spread, weights=weights)


def drop_cluster(mixture: Mixture) -> Mixture:
    """Leave the field alone, its weights raised to one."""
    weights = mixture.weights.copy()
    weights[:, 0] = 0
    return replace(mixture, weights=weights / weights.sum(axis=1, keepdims=True))


def run_em(
    stars: Astrometry, bins: np.ndarray, start: Mixture, *, n_steps: int, fit_errors: bool = False
) -> Mixture:
    """Climb the likelihood; a cluster of no weight stays out."""
    now, before = start, -np.inf
    with_cluster = bool(np.any(start.weights[:, 0] > 0))
    for step in range(n_steps):
        if fit_errors and step in (5, 15, 30):
            now = replace(now, error_factor=_find_error_factor(stars, bins, now))
        density, inverses = _measure_parts(stars, now)
        each = density * now.weights[bins]
        total = each.sum(axis=1)
        now = replace(now, log_likelihood=float(np.log(total).sum()))
        if step > 35 and now.log_likelihood - before < _TOLERANCE:
            break
        before = now.log_likelihood
        share = each / total[:, None]
        now = _update_field(stars, now, share, inverses)
        if with_cluster:
            now = _update_cluster(stars, now, share[:, 0], inverses[0], move=step % 3 == 2)
        now = replace(now, weights=_update_weights(share, bins, len(now.weights)))
    return now


def measure_densities(stars: Astrometry, mixture: Mixture) -> np.ndarray:
    """Density of every star under cluster and field, shape (n, 1 + n_field)."""
    return _measure_parts(stars, mixture)[0]


def _measure_parts(stars: Astrometry, mixture: Mixture) -> tuple[np.ndarray, list[np.ndarray]]:
    """Densities, and for each component the inverse covariances of the stars under it."""
    out = np.zeros((len(stars), 1 + len(mixture.field_mean)))
    noise = stars.covariance * mixture.error_factor**2
    inverses = [noise]  # not used where there is no cluster
    if np.any(mixture.weights[:, 0] > 0):
        place = np.exp(_log_profile(stars.place, stars, mixture.centre, mixture.scale))
        density, inverses[0] = measure_gaussian(
            stars.motion - mixture.mean, mixture.covariance + noise
        )
        out[:, 0] = place * density
    pairs = zip(mixture.field_mean, mixture.field_covariance, strict=True)
    for k, (mean, covariance) in enumerate(pairs, start=1):
        density, inverse = measure_gaussian(stars.motion - mean, covariance + noise)
        out[:, k] = density / stars.area
        inverses.append(inverse)
    return np.maximum(out, 1e-300), inverses


def measure_gaussian(offset: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Density of offsets, shape (n, 3), each with its covariance; and the inverse of each."""
    inverse, determinant = _invert(covariance)
    chi2 = np.einsum("ni,ni->n", _apply(inverse, offset), offset)
    return np.exp(-0.5 * chi2) / np.sqrt((2 * np.pi) ** 3 * determinant), inverse


def _apply(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Each matrix times its vector, in sums over columns: quicker than products so small."""
    return (
        matrix[:, :, 0] * vector[:, :1]
        + matrix[:, :, 1] * vector[:, 1:2]
        + matrix[:, :, 2] * vector[:, 2:]
    )


def limit_cluster(parallax: float) -> tuple[np.ndarray, tuple[float, float]]:
    """Smallest and largest spreads, shape (2, 3), and the range of the scale [deg]."""
    near = max(parallax, _NEAREST_PARALLAX)
    motion = np.maximum(np.multiply(_DISPERSION, near / KMS), _SYSTEMATIC)
    low, high = (np.degrees(size * near / 1000) for size in _HALF_RADIUS)
    return np.column_stack([motion, motion, _PARALLAX_SPREAD]), (low, high)


def widen(covariance: np.ndarray) -> np.ndarray:
    """Raise the axes of a field component to what it must at least be."""
    scaled = covariance / _FIELD_FLOOR[:, None] / _FIELD_FLOOR
    values, axes = np.linalg.eigh(0.5 * (scaled + scaled.T))
    wide = (axes * np.maximum(values, 1.0)) @ axes.T
    return wide * _FIELD_FLOOR[:, None] * _FIELD_FLOOR


def _invert(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverses and determinants of symmetric 3 x 3 matrices, in formulas: LAPACK takes longer."""
    a, b, c = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 0, 2]
    d, e, f = matrix[:, 1, 1], matrix[:, 1, 2], matrix[:, 2, 2]
    out = np.empty_like(matrix)
    out[:, 0, 0], out[:, 1, 1], out[:, 2, 2] = d * f - e * e, a * f - c * c, a * d - b * b
    out[:, 0, 1] = out[:, 1, 0] = c * e - b * f
    out[:, 0, 2] = out[:, 2, 0] = b * e - c * d
    out[:, 1, 2] = out[:, 2, 1] = b * c - a * e
    determinant = a * out[:, 0, 0] + b * out[:, 0, 1] + c * out[:, 0, 2]
    return out / determinant[:, None, None], determinant


def _log_profile(
    place: np.ndarray, stars: Astrometry, centre: np.ndarray, scale: float
) -> np.ndarray:
    """Log of the Plummer profile, whose integral over what was observed is one."""
    inside = (1 + np.sum((stars.grid - centre) ** 2, axis=1) / scale**2) ** -2.0
    norm = inside.sum() * stars.cell
    return -2 * np.log1p(np.sum((place - centre) ** 2, axis=1) / scale**2) - np.log(norm)


def _update_field(
    stars: Astrometry, now: Mixture, share: np.ndarray, inverses: list[np.ndarray]
) -> Mixture:
    """Means and covariances before the errors (Bovy, Hogg & Roweis 2011, eq. 16)."""
    means, covariances = now.field_mean.copy(), now.field_covariance.copy()
    for k in range(len(means)):
        q, inverse = share[:, k + 1], inverses[k + 1]
        total = q.sum()
        if total < 1:
            continue
        true = _apply(inverse, stars.motion - means[k]) @ covariances[k]
        shift = q @ true / total
        rest = true - shift
        left = covariances[k] @ (q @ inverse.reshape(-1, 9)).reshape(3, 3) @ covariances[k]
        spread = (rest.T * q) @ rest / total + covariances[k] - left / total
        means[k], covariances[k] = means[k] + shift, widen(spread)
    return replace(now, field_mean=means, field_covariance=covariances)


def _update_cluster(
    stars: Astrometry, now: Mixture, q: np.ndarray, inverse: np.ndarray, *, move: bool
) -> Mixture:
    """The same for the cluster, within its limits; its place only where asked."""
    total = q.sum()
    if total < 1:
        return now
    keep = q > 1e-6
    q, motion, inverse = q[keep], stars.motion[keep], inverse[keep]
    information = (q @ inverse.reshape(-1, 9)).reshape(3, 3)
    mean = np.linalg.solve(information, q @ _apply(inverse, motion))  # likeliest for the spreads
    true = _apply(inverse, motion - mean) @ now.covariance
    left = np.diag(now.covariance @ information @ now.covariance)
    variance = (q @ true**2) / total + np.diag(now.covariance) - left / total
    variance[:2] = variance[:2].mean()
    spreads, (low, high) = limit_cluster(mean[2])
    spread = np.clip(np.sqrt(np.maximum(variance, 0)), *spreads)
    centre, scale = now.centre, float(np.clip(now.scale, low, high))
    if move:
        centre, scale = _fit_profile(stars, q, keep, centre, scale, (low, high))
    return replace(now, mean=mean, spread=spread, centre=centre, scale=scale)


def _fit_profile(
    stars: Astrometry, q: np.ndarray, keep: np.ndarray, centre: np.ndarray, scale: float,
    limits: tuple[float, float],
) -> tuple[np.ndarray, float]:  # fmt: skip
    """A step towards the centre and scale of largest likelihood."""
    place = stars.place[keep]

    def lose(parameters: np.ndarray) -> float:
        size = float(np.exp(np.clip(parameters[2], *np.log(limits))))
        return -float(q @ _log_profile(place, stars, parameters[:2] * scale, size))

    start = np.array([*(centre / scale), np.log(scale)])
    simplex = start + np.vstack([np.zeros(3), 0.15 * np.eye(3)])
    done = minimize(
        lose, start, method="Nelder-Mead", options={"maxfev": 25, "initial_simplex": simplex}
    )
    low, high = stars.place.min(axis=0), stars.place.max(axis=0)
    best = np.clip(done.x[:2] * scale, low, high)
    return best, float(np.exp(np.clip(done.x[2], *np.log(limits))))


def _update_weights(share: np.ndarray, bins: np.ndarray, n_bins: int) -> np.ndarray:
    """Weights of each bin, pulled a little towards those of all stars."""
    sums = np.array([np.bincount(bins, share[:, k], n_bins) for k in range(share.shape[1])]).T
    overall = sums.sum(axis=0) / len(share)
    return (sums + _PULL * overall) / (sums.sum(axis=1, keepdims=True) + _PULL)


def _find_error_factor(stars: Astrometry, bins: np.ndarray, now: Mixture) -> float:
    """Factor of all errors of largest likelihood, between 0.5 and 2."""

    def lose(log_factor: float) -> float:
        trial = replace(now, error_factor=float(np.exp(log_factor)))
        total = (measure_densities(stars, trial) * now.weights[bins]).sum(axis=1)
        return -float(np.log(total).sum())

    done = minimize_scalar(lose, bounds=np.log([0.5, 2.0]), method="bounded",
                           options={"maxiter": 8})  # fmt: skip
    return float(np.exp(done.x))
