"""What is odd among many images, what is like a given one, and which hang together."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import QTable
from scipy.stats import rankdata

from .._validation import check_choice, check_real, check_same_length, invalid
from ..models import AnomalyDetector
from ..samples import Samples
from ._oddities import measure_oddities
from .shapes import extract_shape_features
from .stamps import Stamps

# Whole numbers, of which most stamps have the same, say little by their ranks.
_LEFT_OUT = ("flag", "n_peaks", "n_neighbours")
_FIRST = "lopsidedness"
# Of the unmatched light alone: what it is like matters to a person, its rarity does not.
_UNMATCHED = ("lopsided_spread", "lopsided_distance", "lopsided_peak", "lopsided_colour_")
_METRICS = ("cosine", "euclidean")
_ENGINES = ("auto", "faiss", "scikit-learn")
_MANY = 50_000  # embeddings from which FAISS is worth its start


def extract_anomaly_features(
    stamps: Any,
    *,
    label: str | None = None,
    group: str | None = "id",
    **measure_kwargs: Any,
) -> Samples:
    """Measure by which images are judged odd: shapes, unmatched light, colours, the frame.

    Parameters
    ----------
    stamps : Stamps or array_like, shape (n, h, w) or (n, n_bands, h, w)
        One galaxy in the middle of each, some ten pixels across or more.
    label, group : str, optional
        As for `extract_shape_features`.
    **measure_kwargs
        Options of `measure_shapes`.

    Returns
    -------
    Samples
        ``X`` of shape (n, n_features), NaN where something could not be measured. Besides the
        shapes: ``lopsidedness``, the share of the galaxy's light that has no match on the other
        side of its brightest pixel, what that light is like (``lopsided_...``), level, noise and
        steps of the sky, and the strongest colours anywhere in the stamp.

    Raises
    ------
    ValueError
        As `measure_shapes`.

    Examples
    --------
    >>> from astroml_kit.images import simulate_stamps
    >>> samples = extract_anomaly_features(simulate_stamps(20, rng=1))
    >>> samples.X.shape, samples.feature_names[20:22]
    ((20, 38), ('colour_g_r', 'colour_r_i'))
    """
    shapes = extract_shape_features(stamps, label=label, group=group, **measure_kwargs)
    if isinstance(stamps, Stamps):
        planes, mask = stamps.images, stamps.mask
    else:
        planes, mask = np.asarray(stamps), measure_kwargs.get("mask")
        planes = planes[:, None] if planes.ndim == 3 else planes
        mask = None if mask is None else np.broadcast_to(
            mask[:, None] if np.ndim(mask) == 3 else mask, planes.shape)  # fmt: skip
    bad = None if planes.dtype.kind in "biu" else ~np.isfinite(planes)
    mask = bad if mask is None else mask if bad is None else mask | bad
    odd = measure_oddities(planes, mask)
    kept = [k for k, name in enumerate(shapes.feature_names) if name not in _LEFT_OUT]
    names = (*(shapes.feature_names[k] for k in kept), *odd)
    X = np.column_stack([shapes.X[:, kept], *odd.values()])
    return Samples(X, y=shapes.y, groups=shapes.groups, feature_names=names, meta=shapes.meta)


def find_anomalies(images: Any, *, rarity: float = 0.5, random_state: int = 0) -> QTable:
    """Rank images by how odd they are, without a label.

    Two things make a galaxy odd: light on one side that has no match on the other (a merger, a
    tail, a trail, a star in the way), and numbers that are rare together (an artefact, a failed
    image, a kind that the survey has few of). Each is a rank among the images; the score is the
    negative logarithm of the share that ranks as high or higher in the first, plus ``rarity``
    times that of the second.

    Parameters
    ----------
    images : Stamps, array_like or Samples
        Stamps, or what `extract_anomaly_features` has measured of them. The more there are, the
        better is known what is normal: hundreds at least.
    rarity : float
        Weight of what is rare, >= 0; 0 ranks by lopsidedness alone.
    random_state : int
        Of the detector, where there are more images than it keeps.

    Returns
    -------
    QTable
        In the order of the images: ``id``, ``rank`` (1 is the oddest), ``score``,
        ``lopsidedness``, ``rarity`` (distance from the normal ones, in standard deviations), and
        ``reason``, the number that is farthest from its median by rank. Where nothing is in the
        middle, lopsidedness is NaN and counts as the largest; ``meta["n_empty"]`` says how many,
        ``meta["n_filled"]`` how many other numbers were missing and counted as the median.

    Raises
    ------
    ValueError
        For fewer than three images, or Samples of something else.

    Notes
    -----
    Rarity is the Mahalanobis distance of the normal deviates of ranks, by `AnomalyDetector`.
    What a person says about the first ones goes into an `AnomalyLoop`.

    Examples
    --------
    >>> from astroml_kit.images import simulate_stamps
    >>> stamps = simulate_stamps(300, classes=("elliptical", "merger"), fractions=(0.97, 0.03),
    ...                          rng=2)
    >>> odd = find_anomalies(stamps)
    >>> set(stamps.table["label"][odd["rank"] <= 3].tolist())
    {'merger'}
    """
    check_real("rarity", rarity, at_least=0)
    samples = images if isinstance(images, Samples) else extract_anomaly_features(images)
    names = list(samples.feature_names)
    if _FIRST not in names:
        raise ValueError(
            f"images must be Stamps or Samples with {_FIRST!r}, got Samples with {names[:5]}. "
            "Use extract_anomaly_features."
        )
    if len(samples.X) < 3:
        raise invalid("images", "three or more", len(samples.X), "Oddness is among many.")
    uneven = samples.X[:, names.index(_FIRST)]
    chosen = [k for k, name in enumerate(names) if name != _FIRST
              and not name.startswith(_UNMATCHED)]  # fmt: skip
    X, n_filled = _fill(samples.X[:, chosen])
    detector = AnomalyDetector(
        ("embedding",), scaling="quantile", distance="mahalanobis", random_state=random_state
    ).fit(X)
    rare = -detector.score_samples(X)
    empty = np.isnan(uneven)
    score = _find_surprise(np.where(empty, np.inf, uneven)) + rarity * _find_surprise(rare)
    ids = samples.groups if samples.groups is not None else np.arange(len(X))
    table = QTable({
        "id": ids, "rank": rankdata(-score, method="ordinal"), "score": score,
        "lopsidedness": uneven, "rarity": rare,
        "reason": _name_extremes(np.column_stack([np.where(empty, np.inf, uneven), X]),
                                 [_FIRST, *(names[k] for k in chosen)]),
    }, meta={"n_empty": int(empty.sum()), "n_filled": n_filled})  # fmt: skip
    for name, text in (
        ("rank", "1 is the oddest"),
        ("score", "surprise of lopsidedness, and of rarity times its weight"),
        ("lopsidedness", "share of light without a match beyond the brightest pixel"),
        ("rarity", "distance from the normal ones"),
        ("reason", "number farthest from its median, by rank"),
    ):
        table[name].info.description = text
    return table


def _fill(X: np.ndarray) -> tuple[np.ndarray, int]:
    """Missing numbers by the median of their column, and how many; columns without any by 0."""
    gone = ~np.isfinite(X)
    known = ~gone.all(axis=0)
    middle = np.zeros(X.shape[1])
    middle[known] = np.nanmedian(np.where(gone, np.nan, X)[:, known], axis=0)
    return np.where(gone, middle, X), int(np.count_nonzero(gone))


def _find_surprise(values: np.ndarray) -> np.ndarray:
    """Negative logarithm of the share of values that are as large or larger."""
    return -np.log(1 - (rankdata(values) - 0.5) / len(values))


def _name_extremes(X: np.ndarray, names: list[str]) -> np.ndarray:
    level = (rankdata(X, axis=0) - 0.5) / len(X) - 0.5
    most = np.argmax(np.abs(level), axis=1)
    sides = np.where(level[np.arange(len(X)), most] > 0, "high", "low")
    return np.array([f"{side} {names[k]}" for side, k in zip(sides, most, strict=True)])


def find_similar(
    query: Any,
    embeddings: Any,
    *,
    n: int = 10,
    metric: str = "cosine",
    ids: Any = None,
    engine: str = "auto",
) -> QTable:
    """Find the images that are most like some given ones.

    Parameters
    ----------
    query : int, array_like of int, or array_like of float, shape (n_queries, n_features)
        Rows of ``embeddings``, which are left out of their own answers, or embeddings of images
        that are not among them.
    embeddings : array_like, shape (n_images, n_features), or Samples
        From `ImageEmbedder`, an autoencoder, or features of one scale; finite.
    n : int
        How many for each query; all where there are fewer.
    metric : {"cosine", "euclidean"}
        Angle, for embeddings of networks, or distance.
    ids : array_like, shape (n_images,), optional
        Names of the images; groups of Samples, or row numbers, if omitted.
    engine : {"auto", "faiss", "scikit-learn"}
        Both are exact and agree. "auto" takes FAISS where it is installed and there are more than
        50,000 images.

    Returns
    -------
    QTable
        A row for each query and neighbour, the nearest first: ``query`` (row of the query, or its
        place in ``query``), ``place`` (1 is the nearest), ``row``, ``id`` and ``distance``
        (1 - cosine, or Euclidean).

    Raises
    ------
    ValueError
        For numbers that are not finite, rows that are not there, embeddings of another length, or
        an embedding of length zero where the angle is asked for.
    ImportError
        When "faiss" is asked for and not installed.

    Examples
    --------
    >>> embeddings = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [-1.0, 0.0]]
    >>> find_similar(0, embeddings, n=2, ids=["a", "b", "c", "d"])["id"].tolist()
    ['b', 'c']
    """
    from ._neighbours import find_nearest

    check_choice("metric", metric, _METRICS)
    check_choice("engine", engine, _ENGINES)
    check_real("n", n, at_least=1, next_step="Give a whole number.")
    points, names = _read_embeddings(embeddings, ids)
    asked, rows = _read_query(query, points)
    if metric == "cosine":
        points, asked = (_normalise(name, array)
                         for name, array in (("embeddings", points), ("query", asked)))  # fmt: skip
    wanted = min(int(n) + (rows is not None), len(points))
    distance, near = find_nearest(
        asked, points, n=wanted, engine=engine, worth_it=len(points) > _MANY
    )
    if metric == "cosine":
        distance = 0.5 * distance**2
    parts = []
    for k in range(len(asked)):
        other = near[k] != rows[k] if rows is not None else np.ones(wanted, dtype=bool)
        kept = np.flatnonzero(other)[: int(n)]
        parts.append((
            np.full(len(kept), k if rows is None else rows[k]), np.arange(1, len(kept) + 1),
            near[k][kept], distance[k][kept],
        ))  # fmt: skip
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    table = QTable(dict(zip(("query", "place", "row", "distance"), columns, strict=True)))
    table.add_column(names[table["row"]], name="id", index=3)
    table["place"].info.description = "1 is the nearest"
    table["distance"].info.description = "1 - cosine" if metric == "cosine" else "Euclidean"
    return table


def find_image_groups(
    embeddings: Any,
    *,
    n_groups: int | None = None,
    min_size: int = 10,
    ids: Any = None,
    random_state: int = 0,
) -> QTable:
    """Find which images hang together in an embedding.

    Parameters
    ----------
    embeddings : array_like, shape (n_images, n_features), or Samples
        Finite. Of many features, bring them to some ten by `reduce_dimensions` first: in many
        dimensions all distances are alike.
    n_groups : int or None
        So many groups by k-means, which takes in every image, or None: as many as there are dense
        regions (HDBSCAN; Campello, Moulavi & Sander 2013, doi:10.1007/978-3-642-37456-2_14),
        which leaves out what lies between them.
    min_size : int
        Images of the smallest group, without ``n_groups``.
    ids : array_like, optional
        As for `find_similar`.
    random_state : int
        Of k-means.

    Returns
    -------
    QTable
        In the order of the images: ``id``, ``group`` (0 is the largest, -1 none), ``distance``
        from the mean of its group (NaN without one) and ``central``, true for the image of each
        group that is nearest to it.

    Raises
    ------
    ValueError
        For numbers that are not finite, or more groups than images.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> embeddings = np.repeat([[0.0, 0.0], [5.0, 0.0]], 20, axis=0) + rng.normal(size=(40, 2)) / 5
    >>> int(find_image_groups(embeddings)["group"].max())
    1
    """
    from sklearn.cluster import HDBSCAN, KMeans

    points, names = _read_embeddings(embeddings, ids)
    if n_groups is None:
        check_real("min_size", min_size, at_least=2, at_most=len(points))
        found = HDBSCAN(min_cluster_size=int(min_size), copy=True).fit_predict(points)
    else:
        check_real("n_groups", n_groups, at_least=1, at_most=len(points))
        model = KMeans(n_clusters=int(n_groups), n_init=10, random_state=random_state)
        found = model.fit_predict(points)
    known = np.unique(found[found >= 0])
    by_size = known[np.argsort([-np.count_nonzero(found == one) for one in known], kind="stable")]
    group, distance = np.full(len(points), -1), np.full(len(points), np.nan)
    central = np.zeros(len(points), dtype=bool)
    for k, one in enumerate(by_size):
        rows = np.flatnonzero(found == one)
        group[rows] = k
        distance[rows] = np.linalg.norm(points[rows] - points[rows].mean(axis=0), axis=1)
        central[rows[np.argmin(distance[rows])]] = True
    table = QTable({"id": names, "group": group, "distance": distance, "central": central})
    table["group"].info.description = "0 is the largest, -1 none"
    table["distance"].info.description = "from the mean of the group"
    table["central"].info.description = "nearest to the mean of its group"
    return table


def _read_embeddings(embeddings: Any, ids: Any) -> tuple[np.ndarray, np.ndarray]:
    groups = embeddings.groups if isinstance(embeddings, Samples) else None
    values = embeddings.X if isinstance(embeddings, Samples) else embeddings
    points = check_real("embeddings", values)
    if points.ndim != 2 or 0 in points.shape:
        raise invalid("embeddings", "an array of shape (n_images, n_features)", points.shape)
    names = np.asarray(ids if ids is not None else np.arange(len(points)) if groups is None
                       else groups)  # fmt: skip
    check_same_length(embeddings=points, ids=names)
    return points, names


def _read_query(query: Any, points: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Embeddings of the queries, and their rows if they are among the points."""
    array = np.asarray(query)
    if array.dtype.kind in "iu" and array.ndim < 2:
        rows = np.atleast_1d(array)
        if not np.all((rows >= 0) & (rows < len(points))):
            raise invalid("query", f"rows from 0 to {len(points) - 1}", rows)
        return points[rows], rows
    asked = np.atleast_2d(check_real("query", array))
    if asked.ndim != 2 or asked.shape[1] != points.shape[1]:
        raise invalid("query", f"rows, or embeddings of length {points.shape[1]}", asked.shape)
    return asked, None


def _normalise(name: str, points: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(points, axis=1, keepdims=True)
    if not np.all(length > 0):
        raise ValueError(
            f"{name} must have a direction, got {int(np.sum(length == 0))} of length zero. "
            "Drop them or use metric='euclidean'."
        )
    return points / length
