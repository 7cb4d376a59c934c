"""Groups of points on the sphere by density, right at the poles and across 0/360 degrees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.neighbors import KDTree
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .._validation import check_choice, check_real
from ..samples import Samples
from ._rows import check_rows, unpack_unlabelled
from ._tensors import read_tensors, write_tensors
from .cards import Carded

SHAPES = ("cylinder", "ellipsoid")
LEAF_SIZE = 12
PATCHES = 128  # along each axis of the unit sphere
# Rounding of a chord between unit vectors: a pair at the radius itself is near.
ROUNDING = 1e-15


class SkyDBSCAN(Carded, ClusterMixin, BaseEstimator):
    """DBSCAN on the sphere, with further axes such as redshift, time or proper motion on request.

    A point with ``min_samples`` points (itself included) within the radius is a core point; core
    points within the radius of each other form a cluster, together with the points near them
    (Ester et al. 1996, KDD-96, 226). The labels are those of `sklearn.cluster.DBSCAN` with the
    metric "haversine". Memory grows with the points and never with the pairs.

    Parameters
    ----------
    radius_deg : float
        Largest separation of neighbours on the sphere, in degrees, up to 180.
    min_samples : float
        Points, or summed weights, that make a core point.
    axis_radii : float or tuple of float
        Largest distance of neighbours along each further axis, in the units of that column; one
        number serves all of them. Without it further columns are refused: nobody but you knows
        their scale.
    shape : {"ellipsoid", "cylinder"}
        How the axes combine. "ellipsoid": the squares of the distances, each divided by its
        radius, add up to at most 1. "cylinder": each distance is at most its radius, as in
        friends-of-friends (Huchra & Geller 1982, doi:10.1086/160000).

    Attributes
    ----------
    labels_ : ndarray of int, shape (n_samples,)
        Cluster of each point, numbered by their first core points; -1 is noise. A point near
        several clusters without being core has the lowest of their labels.
    core_sample_indices_ : ndarray of int
        Rows of the core points.
    components_ : ndarray, shape (n_core, n_features)
        The core points.
    n_features_in_ : int
        Columns of ``X``.

    Examples
    --------
    Two stars on both sides of 0 degrees, two at the pole, and one alone:

    >>> X = [[359.9, 10.0], [0.1, 10.0], [0.0, 89.9], [180.0, 89.95], [90.0, 0.0]]
    >>> SkyDBSCAN(0.5, min_samples=2).fit_predict(X).tolist()
    [0, 0, 1, 1, -1]
    >>> distant = [[10.0, 10.0, 0.1], [10.0, 10.1, 0.9], [10.1, 10.1, 0.11]]
    >>> SkyDBSCAN(0.5, min_samples=2, axis_radii=0.05).fit_predict(distant).tolist()
    [0, -1, 0]
    """

    labels_: np.ndarray
    core_sample_indices_: np.ndarray
    components_: np.ndarray
    n_features_in_: int
    _core_labels: np.ndarray

    def __init__(
        self,
        radius_deg: float = 1.0,
        min_samples: float = 5,
        *,
        axis_radii: float | tuple[float, ...] = (),
        shape: str = "ellipsoid",
    ) -> None:
        self.radius_deg = radius_deg
        self.min_samples = min_samples
        self.axis_radii = axis_radii
        self.shape = shape

    def _check_parameters(self) -> None:
        check_real("radius_deg", self.radius_deg, above=0, at_most=180)
        check_real("min_samples", self.min_samples, above=0)
        check_choice("shape", self.shape, SHAPES)
        check_real("axis_radii", self.axis_radii, above=0)

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> SkyDBSCAN:
        """Find the clusters.

        Parameters
        ----------
        X : array_like, shape (n_samples, 2 + n_axes), or Samples
            Longitude and latitude in degrees (any longitude, latitudes from -90 to 90), then the
            further axes.
        y, groups : ignored
        sample_weight : array_like, shape (n_samples,), optional
            Weights, >= 0, which count as that many points at the same place. As in scikit-learn, a
            point without weight is still core, and joins clusters, where there is enough near it.

        Raises
        ------
        ValueError
            For NaN, a latitude out of range, or further columns without ``axis_radii``.
        """
        self._check_parameters()
        X, sample_weight, _, names = unpack_unlabelled(X, sample_weight, groups)
        X = validate_data(self, X, dtype=np.float64)
        if names:
            self.feature_names_in_ = np.array(names, dtype=object)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        tree = _Tree.build(self._place(X))
        limits = self._find_limits()
        from . import _sky_kernels

        kernels: Any = _sky_kernels

        own = np.ascontiguousarray(weight[tree.order])
        core = kernels.find_core(tree.points, own, *tree.nodes, *limits, float(self.min_samples))
        root = kernels.join_core(tree.points, core, *tree.nodes, *limits)
        labels = _number_clusters(root, core, tree.order)
        starts, ends, leaf, *_ = tree.nodes
        node_labels = kernels.label_nodes(labels, core, starts, ends, leaf)
        rest = np.flatnonzero(~core)
        labels[rest] = kernels.reach_points(
            tree.points[rest], tree.points, labels, core, node_labels, *tree.nodes, *limits
        )
        self.labels_ = np.empty(len(X), dtype=np.int64)
        self.labels_[tree.order] = labels
        self.core_sample_indices_ = np.sort(tree.order[core])
        self.components_ = X[self.core_sample_indices_].copy()
        self._core_labels = self.labels_[self.core_sample_indices_]
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Lowest label among the core points near each point; -1 where none is near.

        For the points of `fit` these are ``labels_``.

        Parameters
        ----------
        X : array_like, shape (n_samples, 2 + n_axes), or Samples

        Returns
        -------
        ndarray of int, shape (n_samples,)
        """
        check_is_fitted(self)
        if not isinstance(X, Samples):
            rows = validate_data(self, X, reset=False, dtype=np.float64)
        else:
            rows = check_rows(self, X).astype(np.float64, copy=False)
        wanted = self._place(rows)
        if len(self.components_) == 0:
            return np.full(len(rows), -1)
        tree = _Tree.build(self._place(self.components_))
        from . import _sky_kernels

        kernels: Any = _sky_kernels

        core, labels = np.ones(len(tree.points), dtype=bool), self._core_labels[tree.order]
        starts, ends, leaf, *_ = tree.nodes
        node_labels = kernels.label_nodes(labels, core, starts, ends, leaf)
        return kernels.reach_points(
            wanted, tree.points, labels, core, node_labels, *tree.nodes, *self._find_limits()
        )

    def _place(self, X: np.ndarray) -> np.ndarray:
        """Return unit vectors, with the further axes in units of their radii beside them."""
        n_axes = X.shape[1] - 2
        if n_axes < 0:
            raise ValueError(
                f"X must have a longitude and a latitude, got {X.shape[1]} feature(s). "
                "Give both in degrees."
            )
        radii = np.atleast_1d(np.asarray(self.axis_radii, dtype=float))
        if n_axes and len(radii) == 0:
            raise ValueError(
                f"axis_radii must be given for {n_axes} further columns of X, got none. Say how "
                "far apart neighbours may be along each, or leave the columns out."
            )
        if n_axes and radii.shape not in ((1,), (n_axes,)):
            raise ValueError(
                f"axis_radii must be one number or {n_axes}, one per further column of X, got "
                f"{len(radii)}."
            )
        check_real("latitude", X[:, 1], at_least=-90, at_most=90,
                   next_step="X has the longitude first and the latitude second.")  # fmt: skip
        lon, lat = np.radians(np.remainder(X[:, 0], 360)), np.radians(X[:, 1])
        vectors = [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
        return np.column_stack([*vectors, X[:, 2:] / radii]) if n_axes else np.column_stack(vectors)

    def _find_limits(self) -> tuple[float, float, bool]:
        """Square of the longest chord, the radius in radians, whether each axis is on its own."""
        angle = float(np.radians(self.radius_deg))
        chord = 2 * np.sin(angle / 2) + ROUNDING
        return float(chord**2), angle, self.shape == "cylinder"

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        check_is_fitted(self)
        arrays = {
            "labels": self.labels_.astype(np.int64),
            "core": self.core_sample_indices_.astype(np.int64),
            "components": self.components_,
        }
        return {}, {"clusters.safetensors": write_tensors(arrays)}

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        (data,) = weights.values()
        arrays = read_tensors(data)
        if set(arrays) != {"labels", "core", "components"} or state:
            raise ValueError("clusters need labels, core points and nothing else")
        labels, core, components = arrays["labels"], arrays["core"], arrays["components"]
        whole = labels.dtype == core.dtype == np.int64 and components.dtype == np.float64
        if not whole or labels.ndim != 1 or core.ndim != 1:
            raise ValueError("labels and core points must be lists of whole numbers")
        if components.shape != (len(core), self.n_features_in_):
            raise ValueError("components must have one row per core point")
        inside = np.all((core >= 0) & (core < len(labels))) and np.all(np.diff(core) > 0)
        if not inside or np.any(labels < -1) or np.any(labels[core] < 0):
            raise ValueError("core points must be rows with labels")
        self._place(components)
        self.labels_, self.core_sample_indices_, self.components_ = labels, core, components
        self._core_labels = labels[core]


@dataclass(frozen=True)
class _Tree:
    """A k-d tree as arrays; ``points`` are in its order, ``order`` gives their rows."""

    points: np.ndarray
    order: np.ndarray
    nodes: tuple[np.ndarray, ...]

    @classmethod
    def build(cls, points: np.ndarray) -> _Tree:
        # in the order of patches first: the tree then finds its points side by side in memory
        place = np.clip((points[:, :3] + 1) * (PATCHES / 2), 0, PATCHES - 1).astype(np.int32)
        patch = np.argsort((place[:, 2] * PATCHES + place[:, 1]) * PATCHES + place[:, 0])
        del place
        _, order, data, bounds = KDTree(points[patch], leaf_size=LEAF_SIZE).get_arrays()
        order, data, (low, high) = patch[np.array(order)], np.array(data), np.array(bounds)
        starts = np.ascontiguousarray(data["idx_start"]).astype(np.int64)
        ends = np.ascontiguousarray(data["idx_end"]).astype(np.int64)
        leaf = np.ascontiguousarray(data["is_leaf"]).astype(bool)
        nodes = (starts, ends, leaf, np.ascontiguousarray(low), np.ascontiguousarray(high))
        return cls(np.ascontiguousarray(points[order]), order, nodes)


def _number_clusters(root: np.ndarray, core: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Labels in the order of the tree, numbered by the first row of a core point; -1 otherwise."""
    labels = np.full(len(root), -1)
    if not core.any():
        return labels
    first = np.full(len(root), len(root))
    np.minimum.at(first, root[core], order[core])
    stands = np.flatnonzero(first < len(root))
    number = np.empty(len(root), dtype=np.int64)
    number[stands[np.argsort(first[stands])]] = np.arange(len(stands))
    labels[core] = number[root[core]]
    return labels
