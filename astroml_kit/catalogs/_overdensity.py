"""How far each group stands above its own surroundings, as counts in a disc and a ring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import betainc

from ..significance import (
    correct_significance,
    li_ma_significance,
    significance_from_p_value,
)
from ._sphere import ROUNDING, find_chord

RING_AREA = 24.0  # of the ring, in areas of the disc where the sky is flat


@dataclass(frozen=True)
class Overdensities:
    """Counts of each group, one entry each; NaN significance where there is no ring."""

    n_on: np.ndarray
    n_off: np.ndarray
    alpha: np.ndarray
    n_trials: int

    @property
    def significance(self) -> np.ndarray:
        """Before trials."""
        out, some = np.full(len(self.n_on), np.nan), self.alpha > 0
        out[some] = li_ma_significance(self.n_on[some], self.n_off[some], alpha=self.alpha[some])
        return out

    @property
    def significance_post_trial(self) -> np.ndarray:
        """After as many trials as there were places for a group; exact where counts are few.

        Li & Ma's formula says a little too much of few counts, which many trials would find. The
        binomial test of n_on among all (Cousins et al. 2008, doi:10.1016/j.nima.2008.07.086)
        never does; the smaller one of both counts.
        """
        out, before = np.full(len(self.n_on), np.nan), self.significance
        known = np.isfinite(before)
        if known.any():
            share = self.alpha / (1 + self.alpha)
            p = betainc(np.maximum(self.n_on, 1), self.n_off + 1.0, share)
            exact = np.where(before > 0, significance_from_p_value(p), np.inf)
            best = np.minimum(before, exact)[known]
            out[known] = correct_significance(best, self.n_trials)
        return out


def count_rings(
    vectors: np.ndarray,
    peaks: np.ndarray,
    radii: np.ndarray,
    reach: np.ndarray,
    *,
    values: np.ndarray | None = None,
    margins: np.ndarray | None = None,
    randoms: np.ndarray | None = None,
) -> Overdensities:
    """Count the others in discs of ``radii`` [rad] around ``peaks``, rows of vectors, and rings.

    A ring begins one radius beyond the member farthest from the peak, ``reach`` [rad]: nearer
    there is nothing, or it would be a member. Of ``values``, such as redshifts, those within the
    ``margins`` of the peak's are counted. ``randoms`` are unit vectors that fill the field evenly;
    without them the field is the sphere.
    """
    inner = np.minimum(np.maximum(reach, radii) + radii, np.pi)
    # the area of a cap goes as sin^2 of half its radius
    outer = np.sin(inner / 2) ** 2 + RING_AREA * np.sin(radii / 2) ** 2
    edges = np.column_stack([radii, inner, 2 * np.arcsin(np.sqrt(np.minimum(outer, 1)))])
    if values is None or margins is None:
        counts = _count_within(vectors, vectors[peaks], edges)
    else:
        ranges = values[peaks, None] + margins[:, None] * [-1, 1]
        counts = _count_slices(vectors, vectors[peaks], edges, values, ranges)
    if randoms is None:
        caps = np.sin(edges / 2) ** 2
    else:
        caps = _count_within(randoms, vectors[peaks], edges).astype(float)
    ring = caps[:, 2] - caps[:, 1]
    alpha = np.divide(caps[:, 0], ring, out=np.zeros(len(ring)), where=ring > 0)
    return Overdensities(counts[:, 0] - 1, counts[:, 2] - counts[:, 1], alpha, max(len(vectors), 1))


def count_near(vectors: np.ndarray, rows: np.ndarray, radius: float) -> np.ndarray:
    """How many there are within ``radius`` [rad] of each of some rows, itself included."""
    if not len(rows):
        return np.zeros(0, dtype=int)
    tree = cKDTree(vectors, balanced_tree=False, compact_nodes=False)
    return tree.query_ball_point(vectors[rows], find_chord(radius), return_length=True)


def _count_within(vectors: np.ndarray, centres: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts, limits = np.zeros(edges.shape, dtype=int), 2 * np.sin(edges / 2) + ROUNDING
    if len(centres) and len(vectors):
        tree = cKDTree(vectors, balanced_tree=False, compact_nodes=False)
        for k in range(edges.shape[1]):
            counts[:, k] = tree.query_ball_point(centres, limits[:, k], return_length=True)
    return counts


def _count_slices(
    vectors: np.ndarray,
    centres: np.ndarray,
    edges: np.ndarray,
    values: np.ndarray,
    ranges: np.ndarray,
) -> np.ndarray:
    counts = np.zeros(edges.shape, dtype=int)
    order = np.argsort(values)
    sorted_vectors, low = vectors[order], np.searchsorted(values[order], ranges[:, 0], "left")
    high = np.searchsorted(values[order], ranges[:, 1], "right")
    limits = (2 * np.sin(edges / 2) + ROUNDING) ** 2
    for row, centre in enumerate(centres):
        step = sorted_vectors[low[row] : high[row]] - centre
        square = np.einsum("ij,ij->i", step, step)
        counts[row] = [np.count_nonzero(square <= limit) for limit in limits[row]]
    return counts
