"""Columns in and out of the learned reconstructions."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from .._validation import check_columns, check_real
from ._derived import read_column
from ._stereo_disp import describe_images
from ._stereo_geometry import Geometry
from ._stereo_images import StereoImages

# Event columns that tell the energy; logarithms of those that span decades.
LOGARITHMS = ("reco_energy", "reco_energy_error", "intensity_mean", "intensity_min",
              "intensity_max", "reco_direction_error", "reco_core_error")  # fmt: skip
PLAIN = ("energy_spread", "n_images", "impact_mean", "impact_min", "impact_max", "reco_h_max",
         "reco_h_max_error", "reco_offset", "axis_angle", "mean_scaled_width",
         "mean_scaled_length", "scaled_width_std", "scaled_length_std")  # fmt: skip
OPTIONAL = ("zenith", "concentration_cog_mean", "concentration_core_mean",
            "concentration_pixel_mean", "leakage_intensity_width_2_mean",
            "hillas_kurtosis_mean")  # fmt: skip
# What stays of the estimates that are replaced.
KEPT = {
    "reco_energy": "table_energy",
    "reco_energy_error": "table_energy_error",
    "reco_fov_lon": "geometry_fov_lon",
    "reco_fov_lat": "geometry_fov_lat",
    "reco_direction_error": "geometry_direction_error",
    "reco_offset": "geometry_offset",
}


def read_kept(events: QTable, name: str) -> np.ndarray:
    """A column as the tables or the geometry gave it, whatever has replaced it since."""
    kept = KEPT.get(name, name)
    return read_column(events, kept if kept in events.colnames else name)


def read_features(events: QTable, names: tuple[str, ...]) -> np.ndarray:
    check_columns(events.colnames, names, where="events")
    columns = []
    for name in names:
        values = read_kept(events, name)
        if name in LOGARITHMS:
            values = np.log(np.where(values > 0, values, np.nan))
        columns.append(values)
    return np.column_stack(columns)


def stack_features(
    images: QTable, selected: StereoImages, geometry: Geometry, names: tuple[str, ...]
) -> np.ndarray:
    described = describe_images(images, selected, geometry)
    check_columns(described, names, where="images")
    return np.column_stack([described[name] for name in names])


def read_energy(events: QTable) -> np.ndarray:
    energy = events["true_energy"]
    values = energy.to_value(u.TeV) if isinstance(energy, u.Quantity) else energy
    return check_real("column true_energy", values, above=0)


def match_events(events: QTable, images: QTable, selected: StereoImages) -> np.ndarray:
    """Number of each row's event among the selected images' events, -1 where there is none."""
    keys = np.dtype([("obs_id", "i8"), ("event_id", "i8")])
    have, wanted = np.empty(selected.n_events, keys), np.empty(len(events), keys)
    for name in keys.names or ():
        have[name] = np.asarray(images[name])[selected.first]
        wanted[name] = np.asarray(events[name])
    if not len(have):
        return np.full(len(events), -1)
    place = np.minimum(np.searchsorted(have, wanted), len(have) - 1)
    return np.where(have[place] == wanted, place, -1)


def replace_columns(events: QTable, columns: dict[str, Any]) -> QTable:
    """Copy of the events with new columns; the first values stay under the names of `KEPT`."""
    result = events.copy()
    for name, values in columns.items():
        kept = KEPT[name]
        if name in result.colnames and kept not in result.colnames:
            result[kept] = result[name]
        result[name] = values
    return result
