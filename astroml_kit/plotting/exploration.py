"""First looks at a catalogue: where on the sky, how dense, which colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import check_choice, check_real, import_extra, invalid
from ._axes import BLUE, ORANGE, SERIES, get_axes, put_legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FRAMES = ("icrs", "galactic")
_MOST_CLASSES = 6
_CROWD = 20_000  # points from which only their density can be seen
_MAP_WIDTH = 720  # pixels of the picture of a density


def plot_sky(
    coords: Any,
    *,
    values: ArrayLike | None = None,
    value_label: str = "",
    frame: str = "icrs",
    plane: bool = True,
    ax: Axes | None = None,
    **scatter_kwargs: Any,
) -> Axes:
    """Plot positions on the whole sky, in equal areas, longitude growing to the left.

    Parameters
    ----------
    coords : SkyCoord, shape (n,)
        In any frame; those with NaN are left out.
    values : array_like of float, shape (n,), optional
        Shown as colour.
    value_label : str
        What they are.
    frame : {"icrs", "galactic"}
        Of the picture; longitude 0 is in the middle.
    plane : bool
        Draw the Galactic plane into an equatorial picture, and mark the Galactic centre.
    ax : Axes, optional
        With the projection "hammer", "aitoff" or "mollweide"; new axes in Hammer's if omitted,
        Aitoff's own having no equal areas.
    **scatter_kwargs
        Passed on to ``ax.scatter``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_sky(coords, values=redshift, value_label="redshift")  # doctest: +SKIP
    """
    check_choice("frame", frame, _FRAMES)
    ax = _get_sky_axes(ax)
    x, y = _project(coords, frame)
    style: dict[str, Any] = {"s": 4, "linewidths": 0}
    if values is None:
        style.update({"color": BLUE} | scatter_kwargs)
        ax.scatter(x, y, **style)
    else:
        numbers = read_column("values", values)
        if numbers.shape != x.shape:
            raise invalid("values", f"one for each of the {len(x)} positions", numbers.shape)
        order = np.argsort(numbers)  # the largest ones on top
        style.update({"c": numbers[order], "cmap": "viridis"} | scatter_kwargs)
        drawn = ax.scatter(x[order], y[order], **style)
        ax.figure.colorbar(drawn, ax=ax, label=value_label, shrink=0.6)
    _dress_sky(ax, frame, plane=plane)
    return ax


def plot_density(
    density: Any,
    *,
    column: str = "density",
    frame: str | None = None,
    log: bool = True,
    plane: bool = True,
    ax: Axes | None = None,
    **mesh_kwargs: Any,
) -> Axes:
    """Plot the pixels of `measure_density` on the whole sky; white where there are none.

    Parameters
    ----------
    density : QTable
        From `measure_density`.
    column : str
        What to show.
    frame : {"icrs", "galactic"}, optional
        Of the picture; that of the table without it.
    log : bool
        Colours in proportion to the logarithm.
    plane : bool
        As in `plot_sky`.
    ax : Axes, optional
        As in `plot_sky`.
    **mesh_kwargs
        Passed on to ``ax.pcolormesh``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_density(measure_density(coords, nside=32))  # doctest: +SKIP
    """
    for key in ("nside", "frame"):
        if key not in density.meta:
            raise invalid("density", "a table of measure_density", sorted(density.meta))
    check_choice("column", column, [name for name in density.colnames if name != "centre"])
    frame = check_choice("frame", frame or density.meta["frame"], _FRAMES)
    unit = density[column].unit if hasattr(density[column], "unit") else None
    values = np.asarray(getattr(density[column], "value", density[column]), dtype=float)
    ax = _get_sky_axes(ax)
    x, y, picture = _paint(np.asarray(density["pixel"]), values, density.meta, frame)
    style: dict[str, Any] = {"cmap": "viridis", "rasterized": True, "shading": "auto"}
    if log:
        from matplotlib.colors import LogNorm

        picture = np.where(picture > 0, picture, np.nan)
        if np.isfinite(picture).any():
            style["norm"] = LogNorm(np.nanmin(picture), np.nanmax(picture))
    drawn = ax.pcolormesh(x, y, np.ma.masked_invalid(picture), **style | mesh_kwargs)
    label = f"{column} [{unit}]" if unit else column
    ax.figure.colorbar(drawn, ax=ax, label=label, shrink=0.6)
    _dress_sky(ax, frame, plane=plane)
    return ax


def plot_colours(
    x: ArrayLike,
    y: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    magnitude: bool = False,
    percentile: float = 99.8,
    x_label: str = "",
    y_label: str = "",
    ax: Axes | None = None,
    **plot_kwargs: Any,
) -> Axes:
    """Plot one colour against another, or a magnitude against a colour.

    Parameters
    ----------
    x, y : array_like of float, shape (n,)
        Colours, or a colour and a magnitude; rows with NaN are left out.
    labels : array_like, shape (n,), optional
        At most six classes, by colour and marker, each brought to the same number of points by
        leaving out the rest; without them crowds of 20,000 and more are shown by their density.
    magnitude : bool
        ``y`` is a magnitude: bright is up.
    percentile : float in (50, 100]
        Axes end where this share of the points does, outliers beyond being left out.
    x_label, y_label : str
        Of the axes.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **plot_kwargs
        Passed on to ``ax.plot``, or ``ax.hexbin`` for crowds.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = plot_colours(g - r, r - i, labels=table["class"])  # doctest: +SKIP
    """
    check_real("percentile", percentile, above=50, at_most=100)
    a, b = read_column("x", x), read_column("y", y)
    if a.shape != b.shape:
        raise invalid("y", f"one for each of the {len(a)} values of x", b.shape)
    good = np.isfinite(a) & np.isfinite(b)
    if not good.any():
        raise invalid("x and y", "both finite in some row", "NaN in all of them")
    ax = get_axes(ax)
    if labels is not None:
        _draw_classes(ax, a, b, good, np.asarray(labels), plot_kwargs)
    elif good.sum() >= _CROWD:
        style: dict[str, Any] = {
            "gridsize": 120, "bins": "log", "mincnt": 1, "cmap": "viridis", "linewidths": 0.2,
            "extent": (*find_range(a[good], percentile), *find_range(b[good], percentile)),
        }  # fmt: skip
        drawn = ax.hexbin(a[good], b[good], **style | plot_kwargs)
        ax.figure.colorbar(drawn, ax=ax, label="number")
    else:
        dots: dict[str, Any] = {"color": BLUE, "ms": 2, "marker": ".", "ls": ""}
        ax.plot(a[good], b[good], **dots | plot_kwargs)
    ax.set_xlim(find_range(a[good], percentile))
    low, high = find_range(b[good], percentile)
    ax.set_ylim((high, low) if magnitude else (low, high))
    ax.set(xlabel=x_label, ylabel=y_label)
    return ax


def _draw_classes(
    ax: Axes, x: np.ndarray, y: np.ndarray, good: np.ndarray, labels: np.ndarray,
    options: dict[str, Any],
) -> None:  # fmt: skip
    if labels.shape != x.shape:
        raise invalid("labels", f"one for each of the {len(x)} points", labels.shape)
    names, number = np.unique(labels[good], return_inverse=True)
    if len(names) > _MOST_CLASSES:
        raise invalid("labels", f"at most {_MOST_CLASSES} classes", len(names))
    sizes = np.bincount(number)
    most = max(int(np.median(sizes)), 500)
    for k in np.argsort(-sizes):
        rows = np.flatnonzero(good)[number == k]
        rows = rows[:: -(-len(rows) // most)]
        colour, marker, _ = SERIES[k]
        own: dict[str, Any] = {"color": colour, "marker": marker, "ls": "", "ms": 2.5, "alpha": 0.6}
        ax.plot(x[rows], y[rows], **own | {"label": f"{names[k]} ({sizes[k]})"} | options)
    put_legend_above(ax)


def read_column(name: str, column: Any) -> np.ndarray:
    """Plain numbers, NaN where masked."""
    try:
        values: np.ndarray = np.ma.filled(
            np.ma.asarray(getattr(column, "value", column)).astype(float), np.nan
        )
    except (TypeError, ValueError) as error:
        raise invalid(name, "numbers", column) from error
    if values.ndim != 1:
        raise invalid(name, "one column", values.shape)
    return values


def find_range(values: np.ndarray, percentile: float) -> tuple[float, float]:
    """Ends of the axis, with some air."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = np.percentile(known, [100 - percentile, percentile])
    air = 0.03 * (high - low) or 0.5
    return float(low - air), float(high + air)


def _get_sky_axes(ax: Axes | None) -> Axes:
    if ax is None:
        from matplotlib import pyplot

        figure = pyplot.figure(figsize=(10, 5), layout="constrained")
        return figure.add_subplot(projection="hammer")
    if ax.name not in ("aitoff", "hammer", "mollweide"):
        raise invalid(
            "ax", "axes of the whole sky", ax.name,
            "Make them with figure.add_subplot(projection='aitoff').",
        )  # fmt: skip
    return ax


def _project(coords: Any, frame: str) -> tuple[np.ndarray, np.ndarray]:
    """Minus the longitude, from -pi to pi, and the latitude: east is to the left."""
    sphere = coords.transform_to(frame).spherical
    lon = sphere.lon.wrap_at("180d").to_value("rad")
    return -np.asarray(lon), np.asarray(sphere.lat.to_value("rad"))


def _paint(
    pixel: np.ndarray, values: np.ndarray, meta: Any, frame: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture in longitude and latitude: which pixel each of its points is in."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    healpix = import_extra("astropy_healpix", extra="catalogs")
    width = max(_MAP_WIDTH, min(8 * meta["nside"], 4 * _MAP_WIDTH))
    x = np.linspace(-np.pi, np.pi, width + 1)
    y = np.linspace(-np.pi / 2, np.pi / 2, width // 2 + 1)
    middle = np.meshgrid(0.5 * (x[1:] + x[:-1]), 0.5 * (y[1:] + y[:-1]))
    places = SkyCoord(-middle[0] * u.rad, middle[1] * u.rad, frame=frame)
    sphere = places.transform_to(meta["frame"]).spherical
    number = healpix.lonlat_to_healpix(sphere.lon, sphere.lat, meta["nside"], order="nested")
    order = np.argsort(pixel)
    at = np.minimum(np.searchsorted(pixel[order], number), max(len(pixel) - 1, 0))
    if not len(pixel):
        return x, y, np.full(number.shape, np.nan)
    return x, y, np.where(pixel[order][at] == number, values[order][at], np.nan)


def _dress_sky(ax: Axes, frame: str, *, plane: bool) -> None:
    """Labels of longitude that grow to the left, and the Galaxy."""
    step = np.arange(-150, 151, 30)
    names = [f"{(-lon) % 360}" for lon in step]
    if frame == "icrs":
        names = [f"{(-lon) % 360 // 15}h" for lon in step]
        if plane:
            from astropy.coordinates import SkyCoord

            x, y = _project(SkyCoord(np.arange(361), 0, unit="deg", frame="galactic"), "icrs")
            order = np.argsort(x)
            ax.plot(x[order], y[order], color=ORANGE, lw=1, zorder=1.5)
            centre = _project(SkyCoord([0], [0], unit="deg", frame="galactic"), "icrs")
            ax.plot(*centre, "x", color=ORANGE, ms=6)
    paper = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
    ax.set_xticks(np.radians(step), names, fontsize=7, bbox=paper)
    name = "right ascension" if frame == "icrs" else "Galactic longitude [deg]"
    ax.set_xlabel(name, labelpad=12)
    ax.grid(lw=0.4, alpha=0.6)
