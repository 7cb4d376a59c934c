"""Events of ctapipe: image parameters (DL1) and reconstructed showers (DL2), as HDF5.

Layout: https://ctapipe.readthedocs.io, "Data models"; read here from version 0.8 on. Pickled
attributes, which PyTables would load, are never touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import h5py
import numpy as np
from astropy.time import Time

from ._hdf5 import get_dataset, open_hdf5, read_text
from ._schema import EventFileError, RawEvents, check_scale

DL1, DL2 = "ctapipe-dl1", "ctapipe-dl2"
PARAMETERS = "dl1/event/telescope/parameters"
TRIGGER = "dl1/event/subarray/trigger"
SHOWER = "simulation/event/subarray/shower"
LAYOUT = "configuration/instrument/subarray/layout"
OPTICS = "configuration/instrument/telescope/optics"
POINTING = "dl1/monitoring/subarray/pointing"
DL2_GROUP = "dl2/event/subarray"

# The telescope frame has angles where the camera frame has lengths; the unit tells them apart.
TELESCOPE_FRAME = "hillas_fov_lon"
DL1_NAMES = {
    TELESCOPE_FRAME: "hillas_x",
    "hillas_fov_lat": "hillas_y",
    **{f"mc_{name}": f"true_{name}" for name in
       ("energy", "alt", "az", "core_x", "core_y", "h_first_int", "x_max", "shower_primary_id")},
}  # fmt: skip
# Kind of DL2 table -> column after the name of the algorithm -> schema name.
DL2_NAMES = {
    "geometry": {
        "alt": "reco_alt",
        "az": "reco_az",
        "core_x": "reco_core_x",
        "core_y": "reco_core_y",
        "h_max": "reco_h_max",
        "telescopes": "multiplicity",
        "is_valid": "geometry_is_valid",
    },
    "energy": {
        "energy": "reco_energy",
        "energy_uncert": "reco_energy_uncert",
        "is_valid": "energy_is_valid",
    },
    "particle_type": {"prediction": "gammaness", "is_valid": "gammaness_is_valid"},
    "classification": {"prediction": "gammaness", "is_valid": "gammaness_is_valid"},
}
KEYS = ("obs_id", "event_id")
OLD_TIME = {"TRANSFORM": "time", "TIME_FORMAT": "mjd", "TIME_SCALE": "tai"}
TELESCOPE_COLUMNS = ("tel_id", "type", "name", "camera_type", "camera_name", "tel_description",
                     "pos_x", "pos_y", "pos_z")  # fmt: skip

Columns = dict[str, Any]


def _column_info(dataset: h5py.Dataset) -> dict[str, dict[str, str]]:
    """Column -> {UNIT, TRANSFORM, TIME_SCALE, ...}, from both ways ctapipe has written them."""
    names = list(dataset.dtype.names or ())
    info: dict[str, dict[str, str]] = {name: {} for name in names}
    for key in dataset.attrs:
        new = re.fullmatch(r"CTAFIELD_(\d+)_(UNIT|TRANSFORM|TIME_SCALE|TIME_FORMAT)", key)
        old = re.fullmatch(r"(\w+)_UNIT", key)
        if new and int(new.group(1)) < len(names):
            info[names[int(new.group(1))]][new.group(2)] = read_text(dataset.attrs[key])
        elif not new and old and old.group(1) in info:
            info[old.group(1)]["UNIT"] = read_text(dataset.attrs[key])
    if "time" in info:
        info["time"] = OLD_TIME | info["time"]  # before 0.11 the scale was a convention
    return info


def _attach(name: str, values: np.ndarray, info: dict[str, str], where: str) -> Any:
    """Give a column its unit or its time scale."""
    if info.get("TRANSFORM") == "time":
        scale = check_scale(info.get("TIME_SCALE", ""), where=f"{where}, {name}")
        try:
            return Time(values, format=info["TIME_FORMAT"], scale=scale)
        except (KeyError, ValueError) as error:
            raise EventFileError(
                f"{where}: {name} must have a time format astropy knows, got {info}."
            ) from error
    if "UNIT" in info:
        try:
            return u.Quantity(values, u.Unit(info["UNIT"]), dtype=values.dtype, copy=False)
        except (ValueError, TypeError) as error:
            raise EventFileError(
                f"{where}: the unit of {name} must be one astropy knows, got {info['UNIT']!r}."
            ) from error
    return values


def _read(file: h5py.File, name: str, rows: slice = slice(None)) -> Columns:
    """Read rows of one table as columns with units; array columns become their row sums."""
    dataset = get_dataset(file, name)
    if not dataset.dtype.names:
        raise EventFileError(f"{Path(file.filename).name}: {name} must be a table of columns.")
    info, values, columns = _column_info(dataset), dataset[rows], {}
    for column in dataset.dtype.names:
        array = np.ascontiguousarray(values[column])
        if array.ndim > 1:  # the mask of the telescopes that took part
            columns[column] = array.reshape(len(array), -1).sum(axis=1)
        elif array.dtype.kind in "biuf":
            columns[column] = _attach(
                column, array, info[column], f"{Path(file.filename).name}[{name}]"
            )
        elif array.dtype.kind == "S":
            columns[column] = np.char.decode(array, "utf-8", "replace")
    return columns


def _match_rows(wanted: Columns, table: Columns, where: str) -> np.ndarray:
    """Return, for each wanted (obs_id, event_id), its row in the table."""
    for columns in (wanted, table):
        if missing := [key for key in KEYS if key not in columns]:
            raise EventFileError(f"{where} lacks the columns {missing}; it has {list(columns)}.")
    fields = [("obs", "i8"), ("event", "i8")]
    ours, theirs = (np.empty(len(c["obs_id"]), dtype=fields) for c in (wanted, table))
    for keys, columns in ((ours, wanted), (theirs, table)):
        keys["obs"], keys["event"] = columns["obs_id"], columns["event_id"]
    if len(ours) == len(theirs) and np.array_equal(ours, theirs):
        return np.arange(len(ours))
    order = np.argsort(theirs, kind="stable")
    found = np.searchsorted(theirs[order], ours)
    rows = order[np.minimum(found, len(order) - 1)] if len(order) else np.zeros(len(ours), int)
    if len(ours) and (not len(order) or not np.array_equal(theirs[rows], ours)):
        raise EventFileError(
            f"{where} must have a row for every event, got events without one. "
            "The file is incomplete: merge or write it again."
        )
    return rows


def _join(columns: Columns, table: Columns, where: str) -> Columns:
    rows = _match_rows(columns, table, where)
    return columns | {key: value[rows] for key, value in table.items() if key not in columns}


def _read_context(file: h5py.File) -> tuple[Columns | None, dict[str, Any]]:
    """Return what is common to all images: trigger and truth per shower, pointing, array."""
    per_event: Columns | None = None
    for name in (TRIGGER, SHOWER):
        if name in file:
            table = _read(file, name)
            table["multiplicity"] = table.pop("tels_with_trigger", None)
            table = {key: value for key, value in table.items() if value is not None}
            per_event = table if per_event is None else _join(per_event, table, name)
    meta: dict[str, Any] = {}
    if LAYOUT in file:
        meta["telescopes"] = _read_telescopes(file)
    if POINTING in file:
        pointing = _read(file, POINTING)
        for key, column in (("pointing_alt", "array_altitude"), ("pointing_az", "array_azimuth")):
            value = pointing.get(column)
            if isinstance(value, u.Quantity) and len(value) and np.ptp(value) == 0:
                meta[key] = value[0].to(u.deg)
    version = file.attrs.get("CTA ACTIVITY SOFTWARE VERSION")
    if version is not None and not isinstance(version, h5py.Empty):
        meta["ctapipe_version"] = read_text(version)
    return per_event, meta


def _read_telescopes(file: h5py.File) -> dict[str, list[Any]]:
    layout = _read(file, LAYOUT)
    telescopes = {
        name: np.asarray(getattr(layout[name], "value", layout[name])).tolist()
        for name in TELESCOPE_COLUMNS
        if name in layout
    }
    if OPTICS in file and "tel_description" in telescopes:
        optics = _read(file, OPTICS)
        lengths = np.asarray(getattr(optics["equivalent_focal_length"], "value",
                                     optics["equivalent_focal_length"]))  # fmt: skip
        focal = dict(zip(optics["description"].tolist(), lengths.tolist(), strict=True))
        telescopes["focal_length"] = [
            focal.get(name, float("nan")) for name in telescopes["tel_description"]
        ]
    return telescopes


def list_tables(file: h5py.File, group: str) -> list[str]:
    """Names of the tables below a group."""
    node = file.get(group)
    if not isinstance(node, h5py.Group):
        return []
    return [f"{group}/{name}" for name in node if isinstance(node.get(name), h5py.Dataset)
            and not name.endswith("__table_column_meta__")]  # fmt: skip


def iter_dl1(path: Path, *, chunk_size: int | None = None) -> Iterator[RawEvents]:
    """Yield image parameters, one row per telescope image, telescope by telescope."""
    with open_hdf5(path) as file:
        per_event, meta = _read_context(file)
        meta |= {"format": DL1, "source": path.name}
        tables = list_tables(file, PARAMETERS)
        if chunk_size is None:
            parts = [_read(file, name) for name in tables]
            yield RawEvents(_finish_dl1(_stack(parts, path.name), per_event), meta, DL1_NAMES)
            return
        filled = [name for name in tables if len(get_dataset(file, name))]
        for name in filled or tables[:1]:
            for start in range(0, max(len(file[name]), 1), chunk_size):
                images = _read(file, name, slice(start, start + chunk_size))
                yield RawEvents(_finish_dl1(images, per_event), dict(meta), DL1_NAMES)


def _stack(parts: list[Columns], where: str) -> Columns:
    names = {tuple(part) for part in parts}
    if len(names) > 1:
        common = set.intersection(*(set(part) for part in parts))
        parts = [{key: part[key] for key in parts[0] if key in common} for part in parts]
    if not parts:
        raise EventFileError(f"{where} must have tables in {PARAMETERS}, got none.")
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _finish_dl1(images: Columns, per_event: Columns | None) -> Columns:
    if per_event is not None:
        images = _join(images, per_event, TRIGGER)
    if TELESCOPE_FRAME in images:
        return images  # the camera frame beside it keeps its prefix
    return {name.removeprefix("camera_frame_"): value for name, value in images.items()}


def iter_dl2(path: Path, *, chunk_size: int | None = None) -> Iterator[RawEvents]:
    """Yield reconstructed showers: one row per event, all kinds of reconstruction joined."""
    with open_hdf5(path) as file:
        per_event, meta = _read_context(file)
        found = [(kind, name) for kind in DL2_NAMES
                 for name in list_tables(file, f"{DL2_GROUP}/{kind}")]  # fmt: skip
        n_rows = {len(get_dataset(file, name)) for _, name in found}
        if len(n_rows) != 1:
            raise EventFileError(
                f"{path.name}: the tables in {DL2_GROUP} must have one row per event, got "
                f"{sorted(n_rows)} rows. The file is incomplete: write it again."
            )
        total = n_rows.pop()
        step = chunk_size or max(total, 1)
        for start in range(0, max(total, 1), step):
            columns: Columns = {}
            algorithms: dict[str, str] = {}
            for kind, name in found:
                algorithm = name.rsplit("/", 1)[1]
                table = _read(file, name, slice(start, start + step))
                if kind not in algorithms:
                    algorithms[kind] = algorithm
                    table = _rename_dl2(table, kind, algorithm)
                columns = _join(columns, table, name) if columns else table
            if per_event is not None:
                columns = _join(columns, per_event, TRIGGER)
            yield RawEvents(columns, {**meta, "format": DL2, "source": path.name,
                                      "algorithms": algorithms})  # fmt: skip


def _rename_dl2(table: Columns, kind: str, algorithm: str) -> Columns:
    """Give the first algorithm of a kind the schema's names; others keep theirs."""
    names = DL2_NAMES[kind]
    renamed = {}
    for column, value in table.items():
        bare = column.removeprefix(f"{algorithm}_")
        renamed[names.get(bare, column)] = value
    return renamed
