"""Several telescopes see one shower: its direction, core and height, for all events at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from ._derived import read_column
from ._stereo_geometry import Geometry, reconstruct_geometry
from ._stereo_images import ImageCuts, StereoImages, select_images

if TYPE_CHECKING:
    from .scaling import ScalingTables

# Columns that belong to the event and not to one of its images.
CARRIED = re.compile(
    r"true_(?!n_photoelectrons|impact)\w+|shower_id|time|is_gamma|weight|zenith|azimuth|"
    r"pointing_\w+"
)
# Column -> attribute of the geometry and unit of the column.
RECONSTRUCTED = {
    "reco_fov_lon": ("lon", u.deg),
    "reco_fov_lat": ("lat", u.deg),
    "reco_direction_error": ("direction_error", u.deg),
    "reco_core_x": ("core_x", u.m),
    "reco_core_y": ("core_y", u.m),
    "reco_core_error": ("core_error", u.m),
    "reco_h_max": ("h_max", u.m),
    "reco_h_max_error": ("h_max_error", u.m),
}
# Image columns whose mean says something about the event, where the table has them.
AVERAGED = ("concentration_cog", "concentration_core", "concentration_pixel",
            "leakage_intensity_width_2", "morphology_n_islands", "hillas_kurtosis")  # fmt: skip


def reconstruct_stereo(
    images: QTable,
    *,
    telescopes: QTable | None = None,
    tables: ScalingTables | None = None,
    zenith: Any = None,
    min_intensity: float = 80.0,
    min_pixels: int = 3,
    max_cog: float = 2.0,
    min_images: int = 2,
) -> QTable:
    """Reconstruct showers that several telescopes have seen.

    Parameters
    ----------
    images : `~astropy.table.QTable`
        One row per telescope image, in any order: ``obs_id``, ``event_id``, ``tel_id``,
        ``hillas_intensity`` (p.e.), ``hillas_x``, ``hillas_y``, ``hillas_length``,
        ``hillas_width``, ``hillas_psi`` (angles; plain numbers are deg), ``morphology_n_pixels``.
    telescopes : `~astropy.table.QTable`, optional
        ``tel_id``, ``x``, ``y`` (m, along the axes of the camera, y towards the horizon below the
        pointing) and optionally ``z`` (up). On the ground, and seen under the zenith angle, unless
        ``meta["frame"]`` is "tilted": then in the plane perpendicular to the pointing. Default: the
        array that ``images.meta["telescopes"]`` describes, as in simulated tables.
    tables : ScalingTables, optional
        Adds scaled widths and lengths, and the energy.
    zenith : Quantity or float in deg, one or one per image, optional
        Default: the column ``zenith``, or ``images.meta["zenith"]``, or 0.
    min_intensity : float
        Fewest p.e. of an image.
    min_pixels : int
        Fewest pixels of an image.
    max_cog : float
        Largest distance of an image's centroid from the camera centre, deg.
    min_images : int
        Fewest such images of an event, at least 2.

    Returns
    -------
    `~astropy.table.QTable`
        One row per event of ``images``, sorted by ``obs_id`` and ``event_id``: truth carried over,
        ``n_images``, ``reco_fov_lon``, ``reco_fov_lat``, ``reco_direction_error`` (deg),
        ``reco_core_x``, ``reco_core_y``, ``reco_core_error`` (m, perpendicular to the pointing),
        ``reco_h_max``, ``reco_h_max_error`` (m along the axis above the array), ``is_valid``, and
        means over the images. Errors of direction and core are the radii that hold 68 % of the
        truths. Events with too few images or parallel axes are not valid and have NaN;
        ``meta["n_..."]`` counts them and the images left out.

    Raises
    ------
    ValueError
        For missing columns, coordinates that are no angles, or options out of range; never for
        what an event holds.

    Notes
    -----
    The direction minimises the weighted squares of the distances to the image axes; so does the
    core, on the ground. Weights follow from the number of photo-electrons and the shape of the
    image, and from how far it lies. The height is sum(sqrt(s) R) / sum(sqrt(s) |cog - direction|)
    over the images of size s at impact distance R.

    Examples
    --------
    Two telescopes, a shower in the pointing direction with its core between them to the north:

    >>> images = QTable({"obs_id": [1, 1], "event_id": [1, 1], "tel_id": [1, 2],
    ...     "hillas_intensity": [200.0, 200.0], "morphology_n_pixels": [9, 9],
    ...     "hillas_x": [0.5, -0.5] * u.deg, "hillas_y": [0.5, 0.5] * u.deg,
    ...     "hillas_psi": [45, 135] * u.deg, "hillas_length": [0.2, 0.2] * u.deg,
    ...     "hillas_width": [0.1, 0.1] * u.deg})
    >>> array = QTable({"tel_id": [1, 2], "x": [-60, 60] * u.m, "y": [0, 0] * u.m})
    >>> event = reconstruct_stereo(images, telescopes=array)[0]
    >>> print(f"{event['reco_core_y']:.1f}, {event['reco_h_max'].to('km'):.2f}")
    60.0 m, 6.88 km
    """
    cuts = ImageCuts(min_intensity, min_pixels, max_cog, min_images)
    selected = select_images(images, telescopes, cuts, zenith=zenith)
    geometry = reconstruct_geometry(selected, min_images=cuts.min_images)
    carried = [name for name in images.colnames if CARRIED.fullmatch(name)]
    events = images[["obs_id", "event_id", *carried]][selected.first]
    n_images = selected.add().astype(int)
    enough = n_images >= cuts.min_images
    events.meta = dict(images.meta) | selected.counts
    events.meta["n_events_few_images"] = int((~enough).sum())
    events.meta["n_events_parallel"] = int((enough & ~geometry.is_valid).sum())
    events["n_images"] = n_images
    for name, (attribute, unit) in RECONSTRUCTED.items():
        scale = np.degrees(1.0) if unit == u.deg else 1.0
        events[name] = scale * getattr(geometry, attribute) * unit
    events["is_valid"] = geometry.is_valid
    for name, values in summarise_images(images, selected, geometry).items():
        events[name] = values
    if tables is not None:
        for name, values in tables.scale_events(selected, geometry).items():
            events[name] = values
        events.meta["scaling_tables"] = str(tables)
    return events


def summarise_images(
    images: QTable, selected: StereoImages, geometry: Geometry
) -> dict[str, np.ndarray]:
    """What the images of each valid event have in common: brightness, distance, shape."""
    lost = ~geometry.is_valid
    values = {
        "reco_offset": np.degrees(np.hypot(geometry.lon, geometry.lat)) * u.deg,
        "axis_angle": np.degrees(_find_widest_angle(selected)) * u.deg,
    }
    measured = {"intensity": (selected.intensity, 1), "impact": (geometry.impact, u.m)}
    for name, (image_values, unit) in measured.items():
        mean, low, high = describe_spread(selected, image_values)
        for kind, summary in (("mean", mean), ("min", low), ("max", high)):
            values[f"{name}_{kind}"] = summary * unit
    for name in AVERAGED:
        if name in images.colnames:
            column = read_column(images, name)[selected.row]
            values[f"{name}_mean"] = describe_spread(selected, column)[0]
    for summary in values.values():
        summary[lost] = np.nan
    return values


def describe_spread(
    selected: StereoImages, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, smallest and largest value over the images of each event, NaN without images."""
    n = selected.add()
    low, high = np.full(selected.n_events, np.inf), np.full(selected.n_events, -np.inf)
    with np.errstate(invalid="ignore"):
        np.minimum.at(low, selected.event, values)
        np.maximum.at(high, selected.event, values)
        mean = selected.add(values) / n
    low[n == 0], high[n == 0] = np.nan, np.nan
    return mean, low, high


def _find_widest_angle(selected: StereoImages) -> np.ndarray:
    """Root mean square sine over the pairs of axes, as an angle: 0 parallel, 90 deg crossed."""
    n, double = selected.add(), 2 * selected.psi
    length2 = selected.add(np.cos(double)) ** 2 + selected.add(np.sin(double)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (n**2 - length2) / (2 * n * (n - 1))
    return np.arcsin(np.sqrt(np.clip(share, 0, 1)))
