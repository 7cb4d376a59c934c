"""Groups of linked galaxies, split where the density between two of its peaks falls too low."""

import numpy as np
from numba import njit

# A sum of weights 1 - x^2 over a disc has a mean of n / 2 and a variance of n / 3: times 1.5 its
# variance is its mean, as of a count, and twice the root of a count has a variance of 1.
_LIKE_COUNTS = 1.5


@njit(cache=True, nogil=True)
def _find_root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def measure_density(first, second, share, n, smoothing):
    """Weigh the friends of each point: 1 - x^2, x their distance in smoothing lengths.

    Points ``first`` and ``second`` are friends at ``share`` of their linking length; the point
    itself counts as 1.
    """
    density = np.ones(n)
    for k in range(len(first)):
        x = share[k] / smoothing
        if x < 1:
            density[first[k]] += 1 - x**2
            density[second[k]] += 1 - x**2
    return density


@njit(cache=True, nogil=True)
def find_prominence(peak, saddle):
    """Standard deviations by which a peak stands above a saddle, both taken as counts."""
    return np.sqrt(2 * _LIKE_COUNTS) * (np.sqrt(peak) - np.sqrt(saddle))


@njit(cache=True, nogil=True)
def join_friends(starts, friends, share, density, order, min_prominence):
    """Root of each point, taken from the densest to the thinnest.

    Each point joins its nearest friend that came before. Where it links two groups, they become
    one unless the lower of their peaks stands ``min_prominence`` above this point. ``starts``,
    ``friends`` and ``share`` are the rows, columns and values of a sparse matrix.
    """
    n = len(order)
    rank, parent = np.empty(n, dtype=np.int64), np.arange(n)
    for place in range(n):
        rank[order[place]] = place
    for i in order:
        nearest, best = -1, np.inf
        for k in range(starts[i], starts[i + 1]):
            if rank[friends[k]] < rank[i] and share[k] < best:
                nearest, best = friends[k], share[k]
        if nearest < 0:
            continue
        parent[i] = _find_root(parent, nearest)
        for k in range(starts[i], starts[i + 1]):
            if rank[friends[k]] > rank[i]:
                continue
            high, low = _find_root(parent, i), _find_root(parent, friends[k])
            if high == low:
                continue
            if rank[high] > rank[low]:
                high, low = low, high
            if find_prominence(density[low], density[i]) < min_prominence:
                parent[low] = high
    for i in range(n):
        parent[i] = _find_root(parent, i)
    return parent
