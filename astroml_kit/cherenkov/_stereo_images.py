"""Which images take part in a stereo reconstruction, as plain arrays sorted by event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from .._validation import check_columns, check_real, invalid
from ._derived import read_column

KEYS = ("obs_id", "event_id", "tel_id")
ELLIPSE = ("hillas_x", "hillas_y", "hillas_length", "hillas_width", "hillas_psi")
PIXELS = ("morphology_n_pixels", "morphology_num_pixels")
# An image of one row of pixels has no width: it still has an axis.
THINNEST = 0.02
# No image is as large (rad) or bright (p.e.) as this: a damaged row.
LONGEST, BRIGHTEST = 1.0, 1e12


@dataclass(frozen=True)
class ImageCuts:
    """What an image needs to take part, and how many such images an event needs."""

    min_intensity: float = 80.0
    min_pixels: int = 3
    max_cog: float = 2.0
    min_images: int = 2

    def __post_init__(self) -> None:
        check_real("min_intensity", self.min_intensity, at_least=0)
        check_real("min_pixels", self.min_pixels, at_least=0)
        check_real("max_cog", self.max_cog, above=0, finite=False, next_step="It is in deg.")
        check_real(
            "min_images", self.min_images, at_least=2, next_step="One image has no stereo view."
        )


@dataclass(frozen=True)
class StereoImages:
    """Images that pass the cuts, of events that have enough of them or not, sorted by event.

    Attributes
    ----------
    row : ndarray of int, shape (n_used,)
        Row of each image in the table that came in.
    event : ndarray of int, shape (n_used,)
        Number of its event, 0 to n_events - 1, not decreasing.
    x, y, length, width, psi : ndarray, shape (n_used,)
        Ellipse in rad; the width is at least 2 % of the length.
    intensity, tel_x, tel_y, zenith : ndarray, shape (n_used,)
        p.e.; m in the plane perpendicular to the pointing; rad.
    first : ndarray of int, shape (n_events,)
        A row of each event in the table that came in.
    n_events : int
    counts : dict of str to int
        ``n_...``: what was left out and why.
    """

    row: np.ndarray
    event: np.ndarray
    x: np.ndarray
    y: np.ndarray
    length: np.ndarray
    width: np.ndarray
    psi: np.ndarray
    intensity: np.ndarray
    tel_x: np.ndarray
    tel_y: np.ndarray
    zenith: np.ndarray
    first: np.ndarray
    n_events: int
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, values: np.ndarray | None = None) -> np.ndarray:
        """Sum over the images of each event; without values, their number."""
        return np.bincount(self.event, values, self.n_events).astype(float)


def read_angle(table: QTable, name: str) -> np.ndarray:
    """Return an angle in rad; plain numbers are deg."""
    unit = getattr(table[name], "unit", None)
    values = read_column(table, name)
    if unit is None or unit == u.dimensionless_unscaled:
        return np.radians(values)
    if not unit.is_equivalent(u.rad):
        raise ValueError(
            f"column {name} must be an angle, got the unit {unit}. "
            "Divide lengths in the camera by the focal length."
        )
    return values * unit.to(u.rad)


def select_images(
    images: QTable, telescopes: QTable | None, cuts: ImageCuts, *, zenith: Any = None
) -> StereoImages:
    """Apply the cuts, drop what cannot be used, and count it."""
    telescopes = read_array(images) if telescopes is None else telescopes
    where = str(images.meta.get("source", "images"))
    check_columns(images.colnames, [*KEYS, *ELLIPSE, "hillas_intensity"], where=where)
    pixels = next((name for name in PIXELS if name in images.colnames), None)
    if cuts.min_pixels > 0 and pixels is None:
        check_columns(images.colnames, PIXELS[:1], where=where)
    x, y, length, width, psi = (read_angle(images, name) for name in ELLIPSE)
    intensity = read_column(images, "hillas_intensity")
    angle = read_zenith(images, zenith)
    tel_x, tel_y, known = _place_telescopes(images, telescopes, angle)
    whole = np.isfinite(x + y + width + psi + angle) & np.isfinite(intensity)
    with np.errstate(invalid="ignore"):
        whole &= (length > 0) & (length < LONGEST) & (width >= 0) & (width < LONGEST)
        whole &= intensity < BRIGHTEST
        tests = {
            "n_images_unknown_telescope": ~known,
            "n_images_damaged": ~whole,
            "n_images_faint": ~(intensity >= cuts.min_intensity) | ~(intensity > 0),
            "n_images_few_pixels": np.zeros(len(images), dtype=bool)
            if pixels is None
            else ~(read_column(images, pixels) >= cuts.min_pixels),
            "n_images_far_out": ~(np.hypot(x, y) <= np.radians(cuts.max_cog)),
        }
    good = np.ones(len(images), dtype=bool)
    counts = {"n_images": len(images)}
    for name, failed in tests.items():
        counts[name] = int((good & failed).sum())
        good &= ~failed
    obs, event_id, tel = (np.asarray(images[name]) for name in KEYS)
    # The brightest of the rows that claim the same telescope and event comes first.
    order = np.lexsort((-intensity, ~good, tel, event_id, obs))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(obs[order]) != 0) | (np.diff(event_id[order]) != 0)
    event = np.cumsum(new) - 1
    same = np.zeros(len(order), dtype=bool)
    same[1:] = ~new[1:] & (tel[order][1:] == tel[order][:-1])
    counts["n_images_duplicate"] = int((same & good[order]).sum())
    kept = good[order] & ~same
    row = order[kept]
    counts["n_images_used"] = len(row)
    return StereoImages(
        row=row,
        event=event[kept],
        x=x[row],
        y=y[row],
        length=length[row],
        width=np.maximum(width[row], THINNEST * length[row]),
        psi=psi[row],
        intensity=intensity[row],
        tel_x=tel_x[row],
        tel_y=tel_y[row],
        zenith=angle[row],
        first=order[new],
        n_events=int(new.sum()),
        counts=counts,
    )


def read_zenith(images: QTable, zenith: Any) -> np.ndarray:
    """Zenith angle per image in rad: what was given, the table's column, its meta, or 0."""
    if zenith is None and "zenith" in images.colnames:
        return read_angle(images, "zenith")
    if zenith is None:
        zenith = images.meta.get("zenith", 0.0)
    degrees = zenith.to_value(u.deg) if isinstance(zenith, u.Quantity) else zenith
    values = np.radians(check_real("zenith", degrees, at_least=0, below=90))
    if values.ndim > 1 or (values.ndim == 1 and len(values) != len(images)):
        raise invalid("zenith", "one angle, or one per image", zenith)
    return np.broadcast_to(values, (len(images),))


def read_array(images: QTable) -> QTable:
    """Positions of the telescopes as the images' meta tells them."""
    layout = images.meta.get("telescopes")
    if not isinstance(layout, Mapping) or not {"tel_id", "x", "y"} <= set(layout):
        raise ValueError(
            "telescopes must be given for images whose meta does not tell positions, got None. "
            "Make a table with tel_id, x and y."
        )
    names = [name for name in ("tel_id", "x", "y", "z") if name in layout]
    return QTable({name: layout[name] for name in names}, meta={"frame": layout.get("frame")})


def _place_telescopes(
    images: QTable, telescopes: QTable, zenith: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position of each image's telescope across the pointing, in m, and whether it is known."""
    check_columns(telescopes.colnames, ["tel_id", "x", "y"], where="telescopes")
    ids = np.asarray(telescopes["tel_id"])
    if not len(ids) or len(np.unique(ids)) != len(ids):
        raise invalid("telescopes", "a table of different tel_id, at least one", ids.tolist())
    x, y, z = (
        check_real(f"telescopes {name}", _read_length(telescopes, name))
        if name in telescopes.colnames
        else np.zeros(len(ids))
        for name in ("x", "y", "z")
    )
    order = np.argsort(ids)
    wanted = np.asarray(images["tel_id"])
    place = order[np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)]
    tilted = telescopes.meta.get("frame") == "tilted"
    if tilted:
        return x[place], y[place], ids[place] == wanted
    across = y[place] * np.cos(zenith) - (z - z.mean())[place] * np.sin(zenith)
    return x[place], across, ids[place] == wanted


def _read_length(table: QTable, name: str) -> np.ndarray:
    column = table[name]
    if isinstance(column, u.Quantity) and not column.unit.is_equivalent(u.m):
        raise invalid(f"telescopes {name}", "a length", column.unit)
    return column.to_value(u.m) if isinstance(column, u.Quantity) else read_column(table, name)
