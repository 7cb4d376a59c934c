"""Clusters of stars as other methods label them, for comparison."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._astrometry import Astrometry

METHODS = ("hdbscan", "gmm", "dbscan", "kmeans", "hierarchical")
_FEWEST = 10  # stars of a label that may be the cluster


def choose_members(
    stars: Astrometry, method: str, options: dict[str, Any], *, random_state: int
) -> np.ndarray:
    """Probability of each star to be of the label that is densest in proper motion."""
    columns = stars.motion
    middle = np.median(columns, axis=0)
    scale = 1.4826 * np.median(np.abs(columns - middle), axis=0)
    columns = (columns - middle) / np.maximum(scale, 1e-9)
    labels, probability = _label(columns, method, options, random_state)
    best, most = None, 0.0
    for label in np.unique(labels[labels >= 0]):
        motion = stars.motion[labels == label, :2]
        if len(motion) >= _FEWEST:
            # the excess over a field goes as number over width
            contrast = len(motion) / max(np.linalg.det(np.cov(motion.T)), 1e-12) ** 0.25
            if contrast > most:
                best, most = label, contrast
    if best is None:
        return np.zeros(len(stars))
    return probability[:, best] if probability.ndim == 2 else (labels == best) * probability


def _label(
    columns: np.ndarray, method: str, options: dict[str, Any], random_state: int
) -> tuple[np.ndarray, np.ndarray]:
    """Labels, -1 for noise, and probabilities of the label or of each."""
    from sklearn import cluster, mixture

    if method == "hdbscan":
        given = {"min_cluster_size": 30, "copy": True} | options
        found = cluster.HDBSCAN(**given).fit(columns)
        return found.labels_, found.probabilities_
    if method == "gmm":
        given = {"n_components": 2, "random_state": random_state} | options
        model = mixture.GaussianMixture(**given).fit(columns)
        return model.predict(columns), model.predict_proba(columns)
    if method == "dbscan":
        given = {"eps": 0.3, "min_samples": 20} | options
        labels = cluster.DBSCAN(**given).fit_predict(columns)
    elif method == "kmeans":
        given = {"n_clusters": 8, "n_init": 3, "random_state": random_state} | options
        labels = cluster.KMeans(**given).fit_predict(columns)
    else:
        given = {"n_clusters": 12} | options
        labels = cluster.AgglomerativeClustering(**given).fit_predict(columns)
    return labels, np.ones(len(labels))
