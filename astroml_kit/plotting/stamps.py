"""Many small images on one sheet: what was found, what is like it, what augmentation makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_real, check_same_length, invalid
from ._axes import GREEN, ORANGE, get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAP = 2  # pixels between stamps
MOST_STAMPS = 400  # more are too small to be seen
SOFTENING = 0.1  # of the range, where the stretch turns from linear to logarithmic
LOW, HIGH = 25.0, 99.7  # percentiles that become black and white
WAVES = "ugrizyjhk"  # bands from blue to red
NAMES = {0: "not", 1: "odd"}


def plot_stamps(
    stamps: Any,
    *,
    scores: Any = None,
    labels: Any = None,
    ids: Any = None,
    n_columns: int = 8,
    n_stamps: int = 40,
    ax: Axes | None = None,
    **imshow_kwargs: Any,
) -> Axes:
    """Plot a contact sheet: stamps side by side, each with its id, score and label.

    Parameters
    ----------
    stamps : Stamps or array_like, shape (n, h, w) or (n, n_bands, h, w)
        Three bands make colours, red being the last one by name (``("g", "r", "i")``), or the
        first where the names say nothing of their order; of other numbers, the mean is grey.
        Whole numbers from 0 to 255 are shown as they are, others with an asinh stretch between
        percentiles of each stamp. Masked pixels are grey.
    scores : array_like of float, shape (n,), optional
        Such as those of `find_anomalies`; the sheet keeps the order that it is given.
    labels : array_like, shape (n,), optional
        Numbers as `AnomalyLoop` has them: 1 gets an orange frame, 0 a green one, -1 none; or text.
    ids : array_like, shape (n,), optional
        Taken from Stamps if omitted.
    n_columns, n_stamps : int
        Stamps per row, and how many are shown at most, from the first on.
    ax : Axes, optional
        Where to draw; new axes of a fitting size if omitted.
    **imshow_kwargs
        Passed on to ``ax.imshow``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        For arrays of another shape or length, or none to show.

    Examples
    --------
    >>> images = np.random.default_rng(1).normal(size=(12, 16, 16))
    >>> ax = plot_stamps(images, scores=np.arange(12.0), n_columns=6)  # doctest: +SKIP
    """
    check_real("n_columns", n_columns, at_least=1, next_step="Give a whole number.")
    check_real("n_stamps", n_stamps, at_least=1, at_most=MOST_STAMPS)
    n = int(n_stamps)
    pictures = make_pictures(stamps, n)
    size = len(stamps)
    if ids is None and hasattr(stamps, "table"):
        ids = stamps.table["id"]
    given = {"ids": ids, "scores": scores, "labels": labels}
    columns = {k: None if v is None else np.asarray(v) for k, v in given.items()}
    for name, column in columns.items():
        if column is not None and column.shape != (size,):
            raise invalid(name, f"one entry for each of the {size} stamps", column.shape)
    wide = min(int(n_columns), len(pictures))
    if ax is None:
        ax = _make_axes(wide, -(-len(pictures) // wide))
    places = _draw(ax, pictures, wide, imshow_kwargs)
    for k, place in enumerate(places):
        _write(ax, place, pictures.shape[1:3], {name: None if column is None else column[k]
                                                for name, column in columns.items()})  # fmt: skip
    return ax


def plot_similar(
    stamps: Any,
    similar: Any,
    *,
    n: int = 8,
    ax: Axes | None = None,
    **imshow_kwargs: Any,
) -> Axes:
    """Plot each query beside the stamps that are most like it.

    Parameters
    ----------
    stamps : Stamps or array_like
        All of them, as for `plot_stamps`.
    similar : Table
        From `find_similar`, with rows of the stamps as queries.
    n : int
        Neighbours that are shown.
    ax : Axes, optional
        Where to draw; new axes of a fitting size if omitted.
    **imshow_kwargs
        Passed on to ``ax.imshow``.

    Returns
    -------
    matplotlib.axes.Axes
        A row for each query, the query itself in front; over each stamp its distance.

    Raises
    ------
    ValueError
        For rows that the stamps do not have, or an empty table.
    """
    check_real("n", n, at_least=1, next_step="Give a whole number.")
    query, near = np.asarray(similar["query"]), np.asarray(similar["row"])
    if len(query) == 0:
        raise invalid("similar", "a table with rows", len(query))
    if max(query.max(), near.max()) >= len(stamps):
        raise invalid("similar", f"of the {len(stamps)} stamps", max(query.max(), near.max()))
    rows: list[int] = []
    texts: list[str] = []
    asked = list(dict.fromkeys(query.tolist()))
    n_near = min(int(n), int(np.unique(query, return_counts=True)[1].max()))
    for one in asked:
        own = np.flatnonzero(query == one)[:n_near]
        pad = n_near - len(own)
        rows += [one, *near[own].tolist(), *[-1] * pad]
        texts += ["query", *(f"{d:.3g}" for d in similar["distance"][own]), *[""] * pad]
    index = np.array(rows)
    pictures = make_pictures(stamps, rows=np.maximum(index, 0))
    pictures[index < 0] = 1
    if ax is None:
        ax = _make_axes(n_near + 1, len(asked))
    for place, text in zip(_draw(ax, pictures, n_near + 1, imshow_kwargs), texts, strict=True):
        frame = {"ids": None, "scores": None, "labels": text or None}
        _write(ax, place, pictures.shape[1:3], frame)
        if text == "query":
            _frame(ax, place, pictures.shape[1:3], ORANGE)
    return ax


def plot_augmentation(
    before: Any,
    after: Any,
    *,
    n: int = 8,
    ax: Axes | None = None,
    **imshow_kwargs: Any,
) -> Axes:
    """Plot stamps over what augmentation makes of them.

    Parameters
    ----------
    before : Stamps or array_like, shape (n, h, w) or (n, n_bands, h, w)
        The stamps as they are.
    after : Stamps or array_like of the shape of ``before``, or a sequence of such
        One row for each.
    n : int
        How many stamps, from the first on.
    ax : Axes, optional
        Where to draw; new axes of a fitting size if omitted.
    **imshow_kwargs
        Passed on to ``ax.imshow``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        For stamps of different size or number.
    """
    check_real("n", n, at_least=1, next_step="Give a whole number.")
    rows = list(after) if isinstance(after, list | tuple) else [after]
    pictures = [make_pictures(one, int(n)) for one in (before, *rows)]
    check_same_length(before=before, **{f"after_{k}": one for k, one in enumerate(rows)})
    shapes = {picture.shape for picture in pictures}
    if len(shapes) > 1:
        raise invalid("after", f"of the size of before, {pictures[0].shape}", sorted(shapes))
    wide = len(pictures[0])
    if ax is None:
        ax = _make_axes(wide, len(pictures))
    _draw(ax, np.concatenate(pictures), wide, imshow_kwargs)
    height = pictures[0].shape[1]
    ticks = [k * (height + GAP) + (height - 1) / 2 for k in range(len(pictures))]
    ax.set_yticks(ticks, ["before", *["after"] * len(rows)])
    return ax


def make_pictures(stamps: Any, n: int | None = None, *, rows: Any = None) -> np.ndarray:
    """The first ``n`` stamps, or those at ``rows``, as colours from 0 to 1, shape (m, h, w, 3)."""
    images = np.asarray(getattr(stamps, "images", stamps))
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or 0 in images.shape or images.dtype.kind not in "uif":
        raise invalid(
            "stamps", "numbers of shape (n, h, w) or (n, n_bands, h, w)", images.shape,
            "One image is image[None].",
        )  # fmt: skip
    chosen = slice(n) if rows is None else rows
    mask = getattr(stamps, "mask", None)
    images, bad = images[chosen], None if mask is None else np.asarray(mask)[chosen].any(axis=1)
    whole = images.dtype == np.uint8
    pixels = images.astype(float) / 255 if whole else images.astype(float)
    gone = ~np.isfinite(pixels).all(axis=1)
    bad = gone if bad is None else bad | gone
    if pixels.shape[1] == 3:
        pixels = pixels[:, ::-1] if _is_red_last(getattr(stamps, "bands", ())) else pixels
    else:
        pixels = pixels.mean(axis=1, keepdims=True).repeat(3, axis=1)
    if not whole:
        pixels = np.stack([_stretch(one, hole) for one, hole in zip(pixels, bad, strict=True)])
    pictures = np.moveaxis(pixels, 1, -1)
    pictures[bad] = 0.5
    return pictures


def _is_red_last(bands: Any) -> bool:
    places = [WAVES.find(str(band).lower()[-1:]) for band in bands]
    return len(places) == 3 and -1 not in places and places == sorted(places)


def _stretch(bands: np.ndarray, hole: np.ndarray) -> np.ndarray:
    seen = bands[:, ~hole]
    if seen.size == 0:
        return np.zeros(bands.shape)
    low, high = np.percentile(seen, (LOW, HIGH))
    share = (np.nan_to_num(bands) - low) / (high - low if high > low else 1)
    return np.clip(np.arcsinh(share / SOFTENING) / np.arcsinh(1 / SOFTENING), 0, 1)


def _make_axes(n_columns: int, n_rows: int) -> Axes:
    from matplotlib import pyplot

    size = (min(16.0, 1.3 * n_columns + 0.4), min(40.0, 1.3 * n_rows + 0.4))
    return pyplot.subplots(figsize=size, layout="constrained")[1]


def _draw(
    ax: Axes, pictures: np.ndarray, n_columns: int, options: dict[str, Any]
) -> list[tuple[int, int]]:
    """Draw pictures row by row with white between them; return the top left pixel of each."""
    height, width = (side + GAP for side in pictures.shape[1:3])
    n_rows = -(-len(pictures) // n_columns)
    sheet = np.ones((n_rows * height - GAP, n_columns * width - GAP, 3))
    places = []
    for k, picture in enumerate(pictures):
        top, left = k // n_columns * height, k % n_columns * width
        sheet[top : top + height - GAP, left : left + width - GAP] = picture
        places.append((top, left))
    get_axes(ax).imshow(sheet, **{"interpolation": "nearest"} | options)
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_visible(False)
    return places


def _write(ax: Axes, place: tuple[int, int], size: tuple[int, ...], what: dict[str, Any]) -> None:
    top, left = place
    box = {"facecolor": "black", "alpha": 0.5, "lw": 0, "pad": 0.8}
    style: dict[str, Any] = {"color": "white", "fontsize": 6, "clip_on": True, "bbox": box}
    label = what["labels"]
    if isinstance(label, int | np.integer | np.bool_ | bool):
        if label in NAMES:
            _frame(ax, place, size, ORANGE if label else GREEN)
        label = NAMES.get(int(label))
    first = [] if what["scores"] is None else [f"{what['scores']:.2f}"]
    first += [] if label is None else [str(label)]
    if first:
        ax.text(left + 1, top + 1, "  ".join(first), va="top", ha="left", **style)
    if what["ids"] is not None:
        name = str(what["ids"])
        name = name if len(name) <= 10 else "\u2026" + name[-9:]
        ax.text(left + 1, top + size[0] - 2, name, va="bottom", ha="left", **style)


def _frame(ax: Axes, place: tuple[int, int], size: tuple[int, ...], colour: str) -> None:
    from matplotlib.patches import Rectangle

    corner = (place[1] - 0.5, place[0] - 0.5)
    ax.add_patch(Rectangle(corner, size[1], size[0], fill=False, ec=colour, lw=2))
