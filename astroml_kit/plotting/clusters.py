"""An open cluster in its field: sky, motions, parallaxes and colours, members by probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_real, invalid
from ._axes import BLUE, GREY, to_value
from .exploration import find_range, read_column

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_cluster(cluster: Any, *, axes: Any = None, n_widths: float = 12.0) -> np.ndarray:
    """Plot an open cluster: sky, proper motions, parallax over brightness, colour and brightness.

    Parameters
    ----------
    cluster : OpenCluster
        From `find_cluster`.
    axes : sequence of four Axes, optional
        Where to draw; a new figure of two rows if omitted.
    n_widths : float
        Half width of the picture of proper motions, in the distance from the mean within which
        are half of the members.

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (4,)
        Members are coloured by probability, the field is grey. Where the table has no
        ``phot_g_mean_mag`` or ``bp_rp``, parallaxes are over the proper motion in right ascension
        and the last picture is a histogram of the probabilities.

    Examples
    --------
    >>> axes = plot_cluster(find_cluster(stars))  # doctest: +SKIP
    """
    check_real("n_widths", n_widths, above=0)
    if axes is None:
        from matplotlib import pyplot

        axes = pyplot.subplots(2, 2, figsize=(10, 8.5), layout="constrained")[1]
    panels = np.ravel(np.asarray(axes, dtype=object))
    if panels.shape != (4,):
        raise invalid("axes", "four axes", panels.shape)
    table, share = cluster.table, cluster.membership
    columns = {name: read_column(name, table[name]) for name in
               ("pmra", "pmdec", "parallax", "phot_g_mean_mag", "bp_rp")
               if name in table.colnames}  # fmt: skip
    east, north = _lay_out(table, cluster.centre)
    member = _draw_stars(panels[0], east, north, share)
    radius, angle = to_value(cluster.radius, "deg"), np.linspace(0, 2 * np.pi, 73)
    panels[0].plot(radius * np.cos(angle), radius * np.sin(angle), color="black", lw=0.8)
    panels[0].set(xlabel="degrees to the east", ylabel="degrees to the north", aspect="equal",
                  xlim=(np.nanmax(east), np.nanmin(east)),
                  ylim=(np.nanmin(north), np.nanmax(north)))  # fmt: skip
    _draw_stars(panels[1], columns["pmra"], columns["pmdec"], share)
    centre = np.array([to_value(cluster.pmra, "mas/yr"), to_value(cluster.pmdec, "mas/yr")])
    off = np.hypot(columns["pmra"] - centre[0], columns["pmdec"] - centre[1])
    if np.isfinite(centre).all():
        width = n_widths * np.median(off[member]) if member.any() else 2 * np.nanmedian(off)
        panels[1].set(xlim=centre[0] + [-width, width], ylim=centre[1] + [-width, width])
    panels[1].set(xlabel="pmra [mas/yr]", ylabel="pmdec [mas/yr]", aspect="equal")
    _draw_brightness(panels, columns, share)
    drawn = panels[0].collections[-1]
    panels[0].figure.colorbar(drawn, ax=panels[1], label="membership", shrink=0.8)
    return panels


def _draw_brightness(panels: np.ndarray, columns: dict[str, np.ndarray], share: np.ndarray) -> None:
    """Parallaxes and colours over the magnitude, or what there is."""
    across = "phot_g_mean_mag" if "phot_g_mean_mag" in columns else "pmra"
    _draw_stars(panels[2], columns[across], columns["parallax"], share)
    used = np.isfinite(share)
    panels[2].set(xlabel={"phot_g_mean_mag": "G"}.get(across, "pmra [mas/yr]"),
                  ylabel="parallax [mas]", xlim=find_range(columns[across][used], 99.9),
                  ylim=find_range(columns["parallax"][used], 99.0))  # fmt: skip
    if {"phot_g_mean_mag", "bp_rp"} <= set(columns):
        colour, magnitude = columns["bp_rp"], columns["phot_g_mean_mag"]
        _draw_stars(panels[3], colour, magnitude, share)
        seen = used & np.isfinite(colour)
        low, high = find_range(magnitude[seen], 100)
        panels[3].set(xlabel="BP - RP", ylabel="G", ylim=(high, low),
                      xlim=find_range(colour[seen], 99.8))  # fmt: skip
    else:
        panels[3].hist(share[used], bins=np.linspace(0, 1, 21), color=BLUE, log=True)
        panels[3].set(xlabel="membership", ylabel="stars")


def _draw_stars(ax: Axes, x: np.ndarray, y: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Field in grey, members by probability on top; says which are members."""
    judged = np.isfinite(share) & np.isfinite(x) & np.isfinite(y)
    member = judged & (np.nan_to_num(share) > 0.5)
    ax.plot(x[judged & ~member], y[judged & ~member], ".", color=GREY, ms=2, alpha=0.5, zorder=1)
    order = np.flatnonzero(member)[np.argsort(share[member])]
    ax.scatter(x[order], y[order], c=share[order], s=7, vmin=0.5, vmax=1, cmap="viridis_r",
               linewidths=0, zorder=2)  # fmt: skip
    return member


def _lay_out(table: Any, centre: Any) -> tuple[np.ndarray, np.ndarray]:
    """Degrees to the east and north of the centre, or of the middle without one."""
    from astropy.coordinates import SkyCoord

    if "coord" in table.colnames:
        coords = table["coord"].icrs
        coords = SkyCoord(coords.ra, coords.dec)
    else:
        coords = SkyCoord(read_column("ra", table["ra"]), read_column("dec", table["dec"]),
                          unit="deg")  # fmt: skip
    if not np.isfinite(centre.ra.deg):
        centre = coords[np.isfinite(coords.ra.deg)][0]
    away, angle = centre.separation(coords).deg, centre.position_angle(coords).rad
    return away * np.sin(angle), away * np.cos(angle)
