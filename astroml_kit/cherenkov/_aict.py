"""Events of the FACT telescope as the aict-tools and the FACT open data keep them (HDF5).

One dataset per column in the group ``events``; no units in the file, so they are listed here:
lengths in the camera in mm, angles in deg or rad, CORSIKA's energies in GeV and lengths in cm.
Everything that CORSIKA or CERES wrote is truth and comes out with the prefix ``true_``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import h5py
import numpy as np

from ._hdf5 import get_dataset, open_hdf5, read_text
from ._schema import EventFileError, RawEvents

FORMAT = "aict"
GROUP = "events"
SIMULATION = "corsika_event_header_event_number"

# Column in the file -> (schema name, unit).
COLUMNS: dict[str, tuple[str, u.UnitBase | None]] = {
    "run_id": ("obs_id", None),
    "event_num": ("event_id", None),
    "size": ("hillas_intensity", None),
    "width": ("hillas_width", u.mm),
    "length": ("hillas_length", u.mm),
    "delta": ("hillas_psi", u.rad),
    "cog_x": ("hillas_x", u.mm),
    "cog_y": ("hillas_y", u.mm),
    "skewness_long": ("hillas_skewness", None),
    "kurtosis_long": ("hillas_kurtosis", None),
    "m3_long": ("m3_long", u.mm),
    "m3_trans": ("m3_trans", u.mm),
    "leakage1": ("leakage_intensity_width_1", None),
    "leakage2": ("leakage_intensity_width_2", None),
    "concentration_one_pixel": ("concentration_1pix", None),
    "concentration_two_pixel": ("concentration_2pix", None),
    "num_islands": ("morphology_num_islands", None),
    "num_pixel_in_shower": ("morphology_num_pixels", None),
    "time_gradient_slope_long": ("timing_slope", None),
    "pointing_position_az": ("pointing_az", u.deg),
    "pointing_position_zd": ("pointing_zd", u.deg),
    "pointing_position_alt": ("pointing_alt", u.deg),
    "source_position_x": ("source_x", u.mm),
    "source_position_y": ("source_y", u.mm),
    "source_position_az": ("source_az", u.deg),
    "source_position_zd": ("source_zd", u.deg),
    "source_position_alt": ("source_alt", u.deg),
    "gamma_prediction": ("gammaness", None),
    "gamma_energy_prediction": ("reco_energy", u.GeV),
    "gamma_energy_prediction_std": ("reco_energy_uncert", u.GeV),
    "disp_prediction": ("reco_disp", u.mm),
    "source_x_prediction": ("reco_source_x", u.mm),
    "source_y_prediction": ("reco_source_y", u.mm),
    "ra_prediction": ("reco_ra", u.hourangle),
    "dec_prediction": ("reco_dec", u.deg),
    "theta_deg": ("reco_theta", u.deg),
}
# In simulations the shower is the run and event of CORSIKA (one shower may be seen several times:
# ``reuse``) and the position of the source is where the particle came from.
TRUTH: dict[str, tuple[str, u.UnitBase | None]] = {
    "corsika_run_header_run_number": ("obs_id", None),
    "corsika_event_header_event_number": ("event_id", None),
    "corsika_event_header_num_reuse": ("reuse", None),
    "run_id": ("run_id", None),
    "event_num": ("event_num", None),
    "corsika_event_header_total_energy": ("true_energy", u.GeV),
    "corsika_event_header_x": ("true_core_x", u.cm),
    "corsika_event_header_y": ("true_core_y", u.cm),
    "corsika_event_header_first_interaction_height": ("true_h_first_int", u.cm),
    "corsika_run_header_particle_id": ("true_corsika_id", None),
    "ceres_event_basic_impact": ("true_impact", u.cm),
    "source_position_x": ("true_source_x", u.mm),
    "source_position_y": ("true_source_y", u.mm),
    "source_position_az": ("true_az", u.deg),
    "source_position_zd": ("true_zd", u.deg),
    "source_position_alt": ("true_alt", u.deg),
    "incident_angle": ("true_incident_angle", None),
}
TRUTH_PREFIXES = ("corsika_", "ceres_", "mc_")
# The schema knows altitudes; a zenith distance is turned into one.
ZENITHS = {"pointing_zd": "pointing_alt", "true_zd": "true_alt", "source_zd": "source_alt"}


def _name_column(column: str, *, simulated: bool) -> tuple[str, u.UnitBase | None]:
    if simulated and column in TRUTH:
        return TRUTH[column]
    if column in COLUMNS:
        return COLUMNS[column]
    if column.startswith(TRUTH_PREFIXES):
        return f"true_{column}", None
    return column, None


def iter_raw(path: Path, *, chunk_size: int | None = None) -> Iterator[RawEvents]:
    """Yield the events, ``chunk_size`` rows at a time (all at once when None)."""
    with open_hdf5(path) as file:
        group = file[GROUP]
        datasets = {
            name: get_dataset(file, f"{GROUP}/{name}")
            for name in group
            if isinstance(group.get(name), h5py.Dataset)
        }
        # Text of any length is of no use to a model, and the HDF5 library hangs on damaged one.
        skipped = [name for name, dataset in datasets.items() if dataset.dtype.kind == "O"]
        for name in skipped:
            del datasets[name]
        lengths = {dataset.shape[0] if dataset.shape else -1 for dataset in datasets.values()}
        if len(lengths) != 1 or -1 in lengths:
            raise EventFileError(
                f"{path.name}: the columns of {GROUP} must have one length, got "
                f"{sorted(lengths)}. The file is damaged: fetch it again."
            )
        total = lengths.pop()
        step = chunk_size or max(total, 1)
        meta: dict[str, Any] = {"format": FORMAT, "source": path.name}
        if skipped:
            meta["skipped_columns"] = skipped
        for key in ("sample_fraction", "telescope"):
            if key in file.attrs:
                value = file.attrs[key]
                meta[key] = value.item() if isinstance(value, np.generic) else read_text(value)
        for start in range(0, max(total, 1), step):
            rows = slice(start, start + step)
            yield _attach_units({name: d[rows] for name, d in datasets.items()}, dict(meta))


def _attach_units(values: dict[str, np.ndarray], meta: dict[str, Any]) -> RawEvents:
    """Give the columns their units and the names of the schema."""
    simulated = SIMULATION in values
    columns: dict[str, Any] = {}
    names: dict[str, str] = {}
    given = {_name_column(column, simulated=simulated)[0] for column in values}
    for column, value in values.items():
        name, unit = _name_column(column, simulated=simulated)
        if name in ZENITHS and ZENITHS[name] not in given:
            name, value = ZENITHS[name], 90.0 - value
        columns[column] = value if unit is None else u.Quantity(value, unit, copy=False)
        names[column] = name
    return RawEvents(columns, meta, names)
