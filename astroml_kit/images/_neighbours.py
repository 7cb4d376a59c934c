"""Nearest neighbours by scikit-learn, or by FAISS where it is there and worth it."""

from __future__ import annotations

import importlib
import importlib.util

import numpy as np


def find_nearest(
    query: np.ndarray, points: np.ndarray, *, n: int, engine: str, worth_it: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distances and rows of the ``n`` nearest points, the nearest first.

    Both arrays have the shape (n_queries, n). The search of FAISS is in single precision.
    """
    installed = importlib.util.find_spec("faiss") is not None
    if engine == "faiss" or (engine == "auto" and worth_it and installed):
        if not installed:
            raise ImportError(
                "faiss is needed here and is not installed. Install it with: pip install faiss-cpu"
            )
        faiss = importlib.import_module("faiss")
        index = faiss.IndexFlatL2(points.shape[1])
        index.add(np.ascontiguousarray(points, dtype=np.float32))
        rows = index.search(np.ascontiguousarray(query, dtype=np.float32), n)[1]
        distance = np.linalg.norm(points[rows] - query[:, None], axis=2)
        order = np.argsort(distance, axis=1, kind="stable")
        return np.take_along_axis(distance, order, 1), np.take_along_axis(rows, order, 1)
    from sklearn.neighbors import NearestNeighbors

    tree = NearestNeighbors(n_neighbors=n).fit(points)
    return tree.kneighbors(query)
