"""Which galaxies are friends: pairs near each other on the sky and in velocity, found by shells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.spatial import cKDTree

from ._sphere import find_chord, find_separation

SPEED_OF_LIGHT = 299_792.458  # km/s


@dataclass(frozen=True)
class Links:
    """What makes galaxies friends; the limits of a pair are the means of those of its two.

    ``angle`` [rad] and ``velocity`` [km/s] are one per galaxy, ``redshift`` too.
    """

    vectors: np.ndarray
    redshift: np.ndarray
    angle: np.ndarray
    velocity: np.ndarray

    def select(self, rows: np.ndarray) -> Links:
        """The same for some of the galaxies."""
        return Links(self.vectors[rows], self.redshift[rows], self.angle[rows], self.velocity[rows])


def find_pairs(links: Links) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both rows of every pair of friends and their separation as a share of the linking length.

    The sky is searched in shells of galaxies whose linking angles are within a factor of 1.5,
    each against itself and all with smaller angles: a galaxy nearby, with a linking length of
    degrees, does not make the distant ones be searched as far.
    """
    angle = links.angle
    shell = np.floor(np.log(angle / angle.min()) / np.log(1.5)).astype(int)
    found = []
    for number in np.unique(shell):
        own, less = np.flatnonzero(shell == number), np.flatnonzero(shell < number)
        tree, limit = cKDTree(links.vectors[own]), find_chord(min(angle[own].max(), np.pi))
        inside = tree.query_pairs(limit, output_type="ndarray")
        found.append(_keep_near(links, own[inside[:, 0]], own[inside[:, 1]]))
        if len(less):
            # no pair across is linked beyond the mean of the largest angles of both
            limit = find_chord(min((angle[own].max() + angle[less].max()) / 2, np.pi))
            across = tree.sparse_distance_matrix(
                cKDTree(links.vectors[less]), limit, output_type="ndarray"
            )
            found.append(_keep_near(links, own[across["i"]], less[across["j"]]))
    first, second, share = (np.concatenate(part) for part in zip(*found, strict=True))
    return first, second, share


def _keep_near(
    links: Links, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z = links.redshift
    apart = SPEED_OF_LIGHT * np.abs(z[first] - z[second]) / (1 + (z[first] + z[second]) / 2)
    near = apart <= (links.velocity[first] + links.velocity[second]) / 2
    first, second = first[near], second[near]
    step = links.vectors[first] - links.vectors[second]
    separation = find_separation(np.sqrt(np.einsum("ij,ij->i", step, step)))
    share = separation / ((links.angle[first] + links.angle[second]) / 2)
    near = share <= 1
    return first[near], second[near], share[near]


def label_friends(
    links: Links, *, smoothing: float, min_prominence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Group of each galaxy, those alone having one as well, and how many friends it has."""
    from . import _group_kernels as kernels

    n = len(links.redshift)
    if not n:
        return np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    first, second, share = find_pairs(links)
    both = np.concatenate([first, second]), np.concatenate([second, first])
    # an entry of 0, friends at the same place, is kept by what is made of coordinates
    matrix = coo_array((np.concatenate([share, share]), both), shape=(n, n)).tocsr()
    density = kernels.measure_density(first, second, share, n, smoothing)
    root = kernels.join_friends(
        matrix.indptr, matrix.indices, matrix.data, density,
        np.argsort(-density, kind="stable"), min_prominence,
    )  # fmt: skip
    return np.unique(root, return_inverse=True)[1], np.diff(matrix.indptr)
