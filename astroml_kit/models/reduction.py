"""Many columns as two or three, for a plot."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils import check_array, check_random_state

from .._validation import check_choice, check_real, import_extra, invalid
from ..samples import Samples
from ._network_inputs import measure_columns

METHODS = ("pca", "umap", "tsne")
MOST_TSNE = 3
LARGEST_PERPLEXITY = 30.0


def reduce_dimensions(
    X: Any,
    *,
    n_dimensions: int = 2,
    method: str = "pca",
    standardize: bool = True,
    random_state: int | np.random.RandomState | None = None,
    **options: Any,
) -> np.ndarray:
    """Place samples in a space of few dimensions, to look at them.

    Parameters
    ----------
    X : array_like, shape (n_samples, ...), or Samples
        Finite; images are flattened.
    n_dimensions : int
        Columns of the answer, fewer than samples and not more than columns; at most 3 for "tsne".
    method : {"pca", "umap", "tsne"}
        "pca": the directions of the largest variance, a linear map whose distances mean something.
        "tsne": neighbours stay neighbours (van der Maaten & Hinton 2008, JMLR 9, 2579). "umap":
        likewise, and quicker for many samples (McInnes, Healy & Melville 2018, arXiv:1802.03426).
        Sizes of groups and distances between them mean nothing in the latter two.
    standardize : bool
        Bring every column to mean 0 and standard deviation 1 first, so that units do not matter.
        For images, or columns of one unit, False.
    random_state : int, RandomState or None
        The same integer gives the same places.
    **options
        Passed on to `sklearn.decomposition.PCA`, `umap.UMAP` or `sklearn.manifold.TSNE`.

    Returns
    -------
    ndarray, shape (n_samples, n_dimensions)

    Raises
    ------
    ValueError
        For NaN, too many dimensions or too few samples.
    ImportError
        When "umap" is asked for and not installed.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(1).normal(size=(50, 6))
    >>> reduce_dimensions(X).shape
    (50, 2)
    """
    check_choice("method", method, METHODS)
    check_real("n_dimensions", n_dimensions, at_least=1, next_step="Give a whole number.")
    n_dimensions = int(n_dimensions)
    values = X.X if isinstance(X, Samples) else X
    n_axes = values.ndim if hasattr(values, "ndim") else np.asarray(values).ndim
    if n_axes > 2:
        values = np.asarray(values).reshape(len(values), -1)
    rows = check_array(values, dtype=np.float64, ensure_min_samples=2)
    most = min(rows.shape[1], len(rows) - 1, MOST_TSNE if method == "tsne" else len(rows))
    if n_dimensions > most:
        raise invalid(
            "n_dimensions", f"at most {most} for method {method!r} and {rows.shape} numbers",
            n_dimensions,
        )  # fmt: skip
    if standardize:
        mean, scale = measure_columns(rows)
        rows = (rows - mean) / scale
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    if method == "pca":
        return PCA(n_dimensions, random_state=seed, **options).fit_transform(rows)
    if method == "tsne":
        perplexity = min(LARGEST_PERPLEXITY, (len(rows) - 1) / 3)
        given: dict[str, Any] = {"perplexity": perplexity, "init": "pca"} | options
        placed = TSNE(n_dimensions, random_state=seed, **given).fit_transform(rows)
        return placed.astype(np.float64)
    with warnings.catch_warnings():
        # It warns of TensorFlow, which it lacks and this does not need.
        warnings.simplefilter("ignore", ImportWarning)
        umap = import_extra("umap", extra="reduction")
    given = {"n_neighbors": min(15, len(rows) - 1), "n_jobs": 1} | options
    placed = umap.UMAP(n_components=n_dimensions, random_state=seed, **given).fit_transform(rows)
    return np.asarray(placed, dtype=np.float64)
