"""Where in a field a cluster may be, and which of the starts becomes the likeliest one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from ._astrometry import Astrometry
from ._cluster_mixture import (
    Mixture,
    add_cluster,
    assign_bins,
    drop_cluster,
    fit_field,
    limit_cluster,
    measure_densities,
    run_em,
)

_RING = (2.0, 4.0)  # of the radius in motion, where the field is counted
_DISCS = (0.3, 3.0)  # of the field's radius, in which neighbours are counted
_WIDTHS = (0.12, 0.25, 0.5)  # mas/yr
_APART = 3.0  # radii in motion between two seeds
_MOST = 2500  # stars, the best measured ones
_MOST_TRIED = 900  # of them, around which others are counted
_N_SEEDS, _FIRST_STEPS, _LAST_STEPS = 3, 60, 200
FEWEST = 5.0  # members; less is a pair by chance


@dataclass(frozen=True)
class Search:
    """The likeliest cluster of a field, ``share`` being each star's probability to be a member.

    ``test_statistic`` is twice the gain of log-likelihood over a field without a cluster; 0 where
    no start has kept ``FEWEST`` members.
    """

    mixture: Mixture
    bins: np.ndarray
    density: np.ndarray
    share: np.ndarray
    test_statistic: float

    @property
    def n_members(self) -> float:
        """Expected among the stars."""
        return float(self.share.sum())


def search_cluster(stars: Astrometry, *, random_state: int) -> Search:
    """Fit the field, then a cluster from some starts, and keep the likeliest."""
    bins, fit_errors = assign_bins(stars.brightness), stars.errors == "from G"
    field = fit_field(stars, bins, fit_errors=fit_errors, random_state=random_state)
    best = None
    for seed in find_seeds(stars, bins, field, n_seeds=_N_SEEDS):
        start = add_cluster(
            field, centre=seed.centre, scale=seed.scale, mean=seed.mean, spread=seed.spread,
            share=seed.share,
        )  # fmt: skip
        fit = run_em(stars, bins, start, n_steps=_FIRST_STEPS, fit_errors=fit_errors)
        enough = fit.weights[bins, 0].sum() >= FEWEST
        if enough and (best is None or fit.log_likelihood > best.log_likelihood):
            best = fit
    gain = 0.0
    if best is not None:
        best = run_em(stars, bins, best, n_steps=_LAST_STEPS)
        # the field alone has the same right to climb on, from where the cluster has left it
        without = run_em(stars, bins, drop_cluster(best), n_steps=_LAST_STEPS)
        field = replace(field, error_factor=best.error_factor)
        field = run_em(stars, bins, field, n_steps=_LAST_STEPS if fit_errors else 1)
        alone = max(field.log_likelihood, without.log_likelihood)
        gain = max(2 * (best.log_likelihood - alone), 0.0)
        if best.weights[bins, 0].sum() < FEWEST or gain == 0:
            best, gain = None, 0.0
    mixture = field if best is None else best
    density = measure_densities(stars, mixture)
    each = density * mixture.weights[bins]
    return Search(mixture, bins, density, each[:, 0] / each.sum(axis=1), gain)


@dataclass(frozen=True)
class Seed:
    """A start: place [deg], scale [deg], motions and parallax, their spread, share of stars."""

    centre: np.ndarray
    scale: float
    mean: np.ndarray
    spread: np.ndarray
    share: float
    contrast: float


def find_seeds(stars: Astrometry, bins: np.ndarray, field: Mixture, *, n_seeds: int) -> list[Seed]:
    """The places of largest contrast, each at least some radii in motion from the others.

    Around many stars, those of like motion and parallax are counted, in the whole field and in a
    small disc. What the field has there say its Gaussians and a ring in motion, whichever is more.
    """
    best = np.argsort(stars.covariance[:, 0, 0], kind="stable")[:_MOST]
    error = np.sqrt(stars.covariance[best][:, 2, 2])
    motion, parallax, place = stars.motion[best, :2], stars.motion[best, 2], stars.place[best]
    density = (measure_densities(stars, field) * field.weights[bins]).sum(axis=1)[best]
    density *= len(best) * stars.area
    reach = np.sqrt(stars.area / np.pi)
    covered = np.array([_cover_discs(stars, place, disc * reach) for disc in _DISCS])
    tried = np.arange(0, len(best), -(-len(best) // _MOST_TRIED))
    found: list[tuple[float, int, float, int]] = []
    for width in _WIDTHS:
        lists = cKDTree(motion).query_ball_point(motion[tried], _RING[1] * width)
        for star, others in zip(tried.tolist(), lists, strict=True):
            near = np.asarray(others)
            window = 0.1 * max(parallax[star], 0.3) + 2 * np.minimum(error[near] + error[star], 0.3)
            alike = np.abs(parallax[near] - parallax[star]) < window
            depth = 2 * window.mean()
            near = near[alike]
            away = np.hypot(*(motion[near] - motion[star]).T)
            apart = np.hypot(*(place[near] - place[star]).T)
            n_ring = np.count_nonzero(away > _RING[0] * width)
            mean = max(n_ring / (_RING[1] ** 2 - _RING[0] ** 2),
                       density[star] * np.pi * width**2 * depth)  # fmt: skip
            for k, disc in enumerate(_DISCS):
                n_on = np.count_nonzero((apart < disc * reach) & (away < width)) - 1
                expected = max(covered[k, star] * mean, 0.3)
                if n_on > expected:
                    score = 2 * (n_on * np.log(n_on / expected) - n_on + expected)
                    found.append((float(score), star, width, k))
    found.sort(key=lambda one: (-one[0], one[1]))
    seeds: list[Seed] = []
    for score, star, width, k in found:
        if len(seeds) == n_seeds:
            break
        if all(np.hypot(*(seed.mean[:2] - motion[star])) > _APART * width for seed in seeds):
            seeds.append(_make_seed(stars, best[star], width, min(_DISCS[k], 1) * reach, score))
    return seeds


def _cover_discs(stars: Astrometry, place: np.ndarray, radius: float) -> np.ndarray:
    """Share of the field in a disc around each place."""
    tree = cKDTree(stars.grid)
    return tree.query_ball_point(place, radius, return_length=True) / len(stars.grid)


def _make_seed(stars: Astrometry, star: int, width: float, disc: float, contrast: float) -> Seed:
    mean = stars.motion[star]
    off = np.hypot(*(stars.motion[:, :2] - mean[:2]).T)
    alike = (off < width) & (np.abs(stars.motion[:, 2] - mean[2]) < 0.3)
    alike &= np.hypot(*(stars.place - stars.place[star]).T) < disc
    (_, caps), (low, high) = limit_cluster(mean[2])
    mean = np.median(stars.motion[alike], axis=0)
    return Seed(
        np.median(stars.place[alike], axis=0), float(np.clip(disc / 2, low, high)), mean,
        0.7 * caps, float(np.clip(alike.mean(), 0.005, 0.3)), contrast,
    )  # fmt: skip
