"""Plots of catalogues: groups on the sky, and in the cone of right ascension and redshift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_real, invalid
from ._axes import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (ORANGE, BLUE, GREEN, PURPLE, SKY, "#e69f00")
_MARKERS = "os^Dv"


def plot_groups(
    coords: Any,
    groups: Any,
    *,
    n_circles: int = 20,
    labels: bool = True,
    ax: Axes | None = None,
    **plot_kwargs: Any,
) -> Axes:
    """Plot groups on the sky: members by colour and marker, circles to the farthest member.

    The sky is laid flat around the middle of the positions, east to the left; distances from the
    middle are true. Neighbouring groups may have the same colour.

    Parameters
    ----------
    coords : SkyCoord, shape (n,)
        The positions that were searched.
    groups : Groups
        From `find_groups` or `find_friends`; or an array of labels, -1 for none, without circles.
    n_circles : int
        How many of the richest groups get a circle.
    labels : bool
        Number the circles.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **plot_kwargs
        Passed on to ``ax.plot`` for the members.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> groups = find_groups(coords, radius=0.2 * u.deg)  # doctest: +SKIP
    >>> ax = plot_groups(coords, groups)  # doctest: +SKIP
    """
    check_real("n_circles", n_circles, at_least=0)
    number = _read_labels(groups, len(coords))
    ax = get_axes(ax)
    middle = _find_middle(coords)
    x, y = _lay_flat(coords, middle)
    _draw_members(ax, x, y, number, plot_kwargs)
    if hasattr(groups, "table"):
        shown = groups.table[: int(n_circles)]
        angle = np.linspace(0, 2 * np.pi, 73)
        for row, x0, y0 in zip(shown, *_lay_flat(shown["centre"], middle), strict=True):
            size = row["radius"].to_value("deg")
            ax.plot(x0 + size * np.cos(angle), y0 + size * np.sin(angle), color="black", lw=0.8)
            if labels:
                ax.annotate(str(row["group"]), (x0 + 0.71 * size, y0 + 0.71 * size), fontsize=8,
                            xytext=(2, 1), textcoords="offset points", ha="right")  # fmt: skip
    ax.set_aspect("equal")
    if not ax.xaxis_inverted():
        ax.invert_xaxis()
    ax.set(xlabel="degrees to the east", ylabel="degrees to the north")
    return ax


def plot_cone(
    coords: Any,
    redshift: Any,
    groups: Any,
    *,
    ax: Axes | None = None,
    **plot_kwargs: Any,
) -> Axes:
    """Plot groups in a cone: redshift outwards, the angle to the east across, latitude left out.

    Parameters
    ----------
    coords : SkyCoord, shape (n,)
        The positions that were searched, all in less than half of the sky.
    redshift : array_like, shape (n,)
        Of each position.
    groups : Groups
        From `find_groups` or `find_friends`; or an array of labels, -1 for none.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **plot_kwargs
        Passed on to ``ax.plot`` for the members.

    Returns
    -------
    matplotlib.axes.Axes
        Across is redshift times the sine of the angle, so that the opening of the cone is that of
        the field; the scales of the axes differ where that is narrow.

    Examples
    --------
    >>> ax = plot_cone(coords, redshift, groups)  # doctest: +SKIP
    """
    number = _read_labels(groups, len(coords))
    z: np.ndarray = np.ma.filled(
        np.ma.asarray(getattr(redshift, "value", redshift), dtype=float), np.nan
    )
    if z.shape != number.shape:
        raise invalid("redshift", f"one for each of the {len(number)} positions", f"{z.shape}")
    ax = get_axes(ax)
    east = np.radians(_lay_flat(coords, _find_middle(coords))[0])
    _draw_members(ax, z * np.cos(east), z * np.sin(east), number, plot_kwargs)
    ax.set(xlabel="redshift", ylabel="redshift x sine of degrees to the east")
    return ax


def _read_labels(groups: Any, n: int) -> np.ndarray:
    number = np.asarray(getattr(groups, "labels", groups))
    if number.shape != (n,) or number.dtype.kind not in "iu":
        raise invalid("groups", f"Groups or a label for each of the {n} positions", number.shape)
    return number


def _find_middle(coords: Any) -> Any:
    """Direction of the mean unit vector of the finite positions."""
    from astropy.coordinates import SkyCoord

    mean = np.nanmean(coords.cartesian.xyz.value, axis=1)
    lon, lat = np.arctan2(mean[1], mean[0]), np.arctan2(mean[2], np.hypot(*mean[:2]))
    return SkyCoord(lon, lat, unit="rad", frame=coords.frame.replicate_without_data())


def _lay_flat(coords: Any, middle: Any) -> tuple[np.ndarray, np.ndarray]:
    """Degrees to the east and north of the middle, at true distance and position angle."""
    away = middle.separation(coords).deg
    angle = middle.position_angle(coords).rad
    return away * np.sin(angle), away * np.cos(angle)


def _draw_members(
    ax: Axes, x: np.ndarray, y: np.ndarray, number: np.ndarray, options: dict[str, Any]
) -> None:
    alone = number < 0
    ax.plot(x[alone], y[alone], ".", color=GREY, ms=1.5, alpha=0.6, zorder=1)
    style = {"ls": "", "ms": 3, **options}
    n_styles = len(_COLOURS) * len(_MARKERS)
    for k in np.unique(number[~alone] % n_styles):
        rows = ~alone & (number % n_styles == k)
        ax.plot(
            x[rows], y[rows], color=_COLOURS[k % len(_COLOURS)], marker=_MARKERS[k % len(_MARKERS)],
            **style,
        )  # fmt: skip
