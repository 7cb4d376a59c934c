"""How far apart two sets of samples are, as two normals with their means and covariances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._validation import check_real, invalid


def frechet_distance(
    real: Any, fake: Any, *, embedder: Callable[[Any], Any] | Any | None = None
) -> float:
    r"""Squared Frechet distance of two sets of samples, taken for normal.

    .. math:: |m_1 - m_2|^2 + \mathrm{tr}\,(C_1 + C_2 - 2\,(C_1 C_2)^{1/2})

    of their means and covariances (Dowson & Landau 1982, doi:10.1016/0047-259X(82)90077-X); the
    "Frechet inception distance" of Heusel et al. 2017 (arXiv:1706.08500) where ``embedder`` is
    such a network. 0 for equal moments, whatever else differs. It is biased upwards by few
    samples: compare sets of equal sizes.

    Parameters
    ----------
    real, fake : array_like, shape (n_samples, ...)
        Two samples or more each; images are flattened unless there is an ``embedder``.
    embedder : fitted transformer or callable, optional
        Makes rows of features, for example a fitted `ImageEmbedder` or `Autoencoder`.

    Returns
    -------
    float
        In squared units of the features.

    Raises
    ------
    ValueError
        For fewer than two samples, different numbers of features, or values that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> real = np.random.default_rng(1).normal(size=(500, 3))
    >>> round(frechet_distance(real, real + [3, 4, 0]), 6)
    25.0
    """
    one, other = (_embed(name, rows, embedder) for name, rows in (("real", real), ("fake", fake)))
    if one.shape[1] != other.shape[1]:
        raise invalid(
            "fake", f"samples with {one.shape[1]} features, as real has", f"{other.shape[1]}"
        )
    shift = one.mean(axis=0) - other.mean(axis=0)
    first, second = (np.atleast_2d(np.cov(rows.T)) for rows in (one, other))
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    # The eigenvalues of C1 C2 are those of this symmetric matrix, which has real ones.
    mixed = np.linalg.eigvalsh(root @ second @ root)
    overlap = np.sqrt(np.maximum(mixed, 0)).sum()
    distance = shift @ shift + np.trace(first) + np.trace(second) - 2 * overlap
    return float(max(distance, 0.0))


def _embed(name: str, rows: Any, embedder: Any) -> np.ndarray:
    if embedder is not None:
        rows = embedder.transform(rows) if hasattr(embedder, "transform") else embedder(rows)
    features = check_real(name, rows)
    if features.ndim < 2 or len(features) < 2:
        raise invalid(name, "two or more samples, each with its features", features.shape)
    return features.reshape(len(features), -1)
