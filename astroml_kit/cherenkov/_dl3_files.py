"""Responses, event lists and index tables as FITS in the gamma-astro-data-formats (GADF, v0.2).

The same input gives the same bytes: no dates, no random names. That is how a run that is there
already is told from another one.

Source: https://gamma-astro-data-formats.readthedocs.io, sections on IRFs and data storage.
"""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import EarthLocation
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.time import Time

from .._validation import check_columns
from ._gadf import DEFAULT_REFERENCE, REQUIRED, make_events_hdu, make_hdu, read_time_reference
from .irfs import AXES, KINDS, IRFs
from .observations import Observation

STANDARD = {
    "HDUCLASS": "GADF",
    "HDUDOC": "https://github.com/open-gamma-ray-astro/gamma-astro-data-formats",
    "HDUVERS": "0.2",
    "CREATOR": "astroml_kit",
}
# Kind -> name of the HDU, HDUCLAS2 and HDUCLAS4, order of the axis columns in the file.
LAYOUT: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "aeff": ("AEFF", "EFF_AREA", "AEFF_2D", ("ENERG", "THETA")),
    "edisp": ("EDISP", "EDISP", "EDISP_2D", ("ENERG", "MIGRA", "THETA")),
    "psf": ("PSF", "RPSF", "PSF_TABLE", ("ENERG", "THETA", "RAD")),
    "bkg": ("BKG", "BKG", "BKG_2D", ("ENERG", "THETA")),
}
BKG_3D_AXES = ("DETX", "DETY", "ENERG")
BKG_UNIT = u.Unit("s-1 MeV-1 sr-1")  # GADF has MeV here and TeV everywhere else
CLOCK = ("MJDREFI", "MJDREFF", "TIMEUNIT", "TIMESYS", "TIMEREF")
SITE = ("GEOLON", "GEOLAT", "ALTITUDE")
# Said again by other keywords, from what the run holds now.
STALE = ("MJDREF", "GLON_PNT", "GLAT_PNT", "DATE", "DATE-OBS", "TIME-OBS", "DATE-END", "TIME-END")
# Column of obs-index.fits.gz -> unit.
INDEX_UNITS = {
    "OBS_ID": "",
    "OBJECT": "",
    "RA_PNT": "deg",
    "DEC_PNT": "deg",
    "ZEN_PNT": "deg",
    "ALT_PNT": "deg",
    "ONTIME": "s",
    "LIVETIME": "s",
    "DEADC": "",
    "TSTART": "s",
    "TSTOP": "s",
    "MUONEFF": "",
    "EVENT_COUNT": "",
    "SAFE_ENERGY_LO": "TeV",
    "TELESCOP": "",
}


def make_response_hdus(irfs: IRFs, *, threshold: float = float("nan")) -> list[fits.BinTableHDU]:
    """Make one HDU per response; ``threshold`` [TeV] becomes LO_THRES of the effective area."""
    hdus = []
    for kind, (name, second, fourth, axes) in LAYOUT.items():
        table = getattr(irfs, kind)
        if table is None:
            continue
        _, value_name, unit, _ = KINDS[kind]
        header: dict[str, Any] = {"EXTNAME": name, **STANDARD}
        header |= {"HDUCLAS1": "RESPONSE", "HDUCLAS2": second, "HDUCLAS3": "FULL-ENCLOSURE"}
        # The axes of the array follow the order of the axis columns, the last one slowest ...
        stored = tuple(reversed(axes))
        if kind == "bkg" and "DETX" in table.edges:
            # ... but for this one, which the peers read as H.E.S.S. wrote it.
            fourth, axes, stored = "BKG_3D", BKG_3D_AXES, ("ENERG", "DETX", "DETY")
            header["FOVALIGN"] = "RADEC"
        columns = Table()
        for axis in axes:
            for end, edge in zip(("LO", "HI"), table.edges[axis].T, strict=True):
                columns[f"{axis}_{end}"] = edge[None] * AXES[axis]
        order = list(table.edges)
        values = table.values.transpose([order.index(axis) for axis in stored]) * unit
        columns[value_name] = (values.to(BKG_UNIT) if kind == "bkg" else values)[None]
        header["HDUCLAS4"] = fourth
        if kind == "aeff":
            header["LO_THRES"] = threshold
        hdus.append(make_hdu(columns, header))
    return hdus


def make_header(
    run: Observation, *, site: EarthLocation | None, keywords: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the keywords of a run: those it was read with, overlaid by what the object says now."""
    check_columns(run.events.colnames, REQUIRED, where=f"run {run.obs_id}")
    if not isinstance(run.events["time"], Time):
        raise ValueError(f"run {run.obs_id}: time must be a Time column, got another type.")
    old = {
        key: value
        for key, value in run.events.meta.items()
        if key.isupper() and len(key) <= 8 and key not in STALE
    }
    header: dict[str, Any] = {"TELESCOP": "UNKNOWN", "INSTRUME": "UNKNOWN", "ORIGIN": "UNKNOWN"}
    header |= {"TIMEREF": "LOCAL", "OBS_MODE": "POINTING", **DEFAULT_REFERENCE, **old, **keywords}
    header |= {**STANDARD, "RADECSYS": "ICRS", "EQUINOX": 2000.0}
    header |= {"TIMESYS": run.events["time"].scale.upper(), "TIMEUNIT": "s", "TELAPSE": 0.0}
    if site is not None:
        degrees = (site.lon.to_value(u.deg), site.lat.to_value(u.deg))
        header |= dict(zip(SITE, (*degrees, site.height.to_value(u.m)), strict=True))
    if missing := [key for key in SITE if key not in header]:
        raise ValueError(
            f"run {run.obs_id}: site must be given where a run does not say {missing}. "
            "Use site=EarthLocation.of_site('hess') or EarthLocation.from_geodetic(...)."
        )
    start, stop = count_seconds(run, header)
    on_time, live_time = float((stop - start).sum()), float(run.live_time.to_value(u.s))
    if not 0 < live_time <= on_time * (1 + 1e-6):
        raise ValueError(
            f"run {run.obs_id}: live_time must be > 0 s and at most the {on_time:g} s of its good "
            f"time intervals, got {live_time:g} s."
        )
    begin, end = float(start.min()), float(stop.max())
    header |= {
        "OBS_ID": int(run.obs_id),
        "OBJECT": run.target,
        "RA_PNT": float(run.pointing.icrs.ra.deg),
        "DEC_PNT": float(run.pointing.icrs.dec.deg),
        "ALT_PNT": 90.0 - float(run.zenith.to_value(u.deg)),
        "MUONEFF": float(run.muon_efficiency),
        "TSTART": begin,
        "TSTOP": end,
        "TELAPSE": end - begin,
        "ONTIME": on_time,
        "LIVETIME": live_time,
        "DEADC": live_time / on_time,
    }
    return header


def count_seconds(run: Observation, header: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return START and STOP of the good time intervals, in seconds after the reference."""
    reference = read_time_reference(dict(header), where=f"run {run.obs_id}")
    scale = run.events["time"].scale
    if not len(run.gti):
        raise ValueError(f"run {run.obs_id}: gti must have an interval, got none.")
    start, stop = (
        (getattr(run.gti[name], scale) - reference).to_value("sec") for name in ("start", "stop")
    )
    return np.atleast_1d(start), np.atleast_1d(stop)


def _read_seconds(run: Observation, header: dict[str, Any]) -> np.ndarray:
    reference = read_time_reference(header, where=f"run {run.obs_id}")
    return (run.events["time"] - reference).to_value("sec")


def count_outside(run: Observation, header: dict[str, Any]) -> int:
    """Count the events outside the good time intervals; when all are, the clocks disagree."""
    seconds = _read_seconds(run, header)[:, None]
    start, stop = count_seconds(run, header)
    # A microsecond is what doubles keep of a mission of decades.
    inside: np.ndarray = np.any((seconds >= start - 1e-6) & (seconds <= stop + 1e-6), axis=1)
    if len(inside) and not inside.any():
        raise ValueError(
            f"run {run.obs_id}: events must lie within its good time intervals, got none of "
            f"{len(inside)} inside. Check time and gti, their scales too."
        )
    return int((~inside).sum())


def make_run(run: Observation, irfs: IRFs, header: dict[str, Any]) -> bytes:
    """Make the file of one run: its events in order of time, good time intervals, responses."""
    where = f"run {run.obs_id}"
    events = run.events
    if "obs_id" in events.colnames and np.any(np.asarray(events["obs_id"]) != run.obs_id):
        raise ValueError(f"{where}: obs_id of its events must be {run.obs_id}, got others too.")
    seconds = _read_seconds(run, header)
    start, stop = count_seconds(run, header)
    events = QTable(events[np.argsort(seconds, kind="stable")], meta=header)
    intervals = Table({"START": start * u.s, "STOP": stop * u.s})
    clock = {key: header[key] for key in CLOCK} | STANDARD
    gti = make_hdu(intervals, clock | {"EXTNAME": "GTI", "HDUCLAS1": "GTI"})
    threshold = float(run.energy_threshold.to_value(u.TeV))
    responses = make_response_hdus(irfs, threshold=threshold)
    return pack([make_events_hdu(events), gti, *responses])


def make_row(run: Observation, header: Mapping[str, Any]) -> dict[str, Any]:
    """Make the row of a run in obs-index, with the keywords that the tables share."""
    zenith, threshold = run.zenith.to_value(u.deg), run.energy_threshold.to_value(u.TeV)
    extra = {"ZEN_PNT": float(zenith), "SAFE_ENERGY_LO": float(threshold)}
    extra["EVENT_COUNT"] = len(run.events)
    kept = (*INDEX_UNITS, *CLOCK, *SITE)
    return {key: value for key, value in {**header, **extra}.items() if key in kept}


def make_obs_index(headers: list[dict[str, Any]]) -> bytes:
    """Make obs-index from the rows of :func:`make_row`."""
    columns = Table()
    for name, unit in INDEX_UNITS.items():
        values = [header[name] for header in headers]
        columns[name] = values * u.Unit(unit) if unit else values
    names = {"EXTNAME": "OBS_INDEX", **STANDARD, "HDUCLAS1": "INDEX", "HDUCLAS2": "OBS"}
    first = {key: headers[0][key] for key in (*CLOCK, *SITE)}
    return pack([make_hdu(columns, first | names)])


def make_hdu_index(files: Mapping[int, tuple[str, str, IRFs]]) -> bytes:
    """Make hdu-index: one row per HDU; ``files`` has folder, file name and responses per run."""
    rows = []
    for obs_id, (folder, name, irfs) in files.items():
        kinds = [("events", "events", "EVENTS"), ("gti", "gti", "GTI")]
        for kind, (hdu_name, _, fourth, _) in LAYOUT.items():
            if (table := getattr(irfs, kind)) is not None:
                fourth = "BKG_3D" if "DETX" in table.edges else fourth
                kinds.append((kind, fourth.lower(), hdu_name))
        rows += [(obs_id, kind, class_, folder, name, hdu_name) for kind, class_, hdu_name in kinds]
    labels = ("OBS_ID", "HDU_TYPE", "HDU_CLASS", "FILE_DIR", "FILE_NAME", "HDU_NAME")
    names = {"EXTNAME": "HDU_INDEX", **STANDARD, "HDUCLAS1": "INDEX", "HDUCLAS2": "HDU"}
    return pack([make_hdu(Table(rows=rows, names=labels), names)])


def pack(hdus: list[fits.BinTableHDU]) -> bytes:
    """Return the bytes of a FITS file with these tables."""
    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(buffer)
    return buffer.getvalue()


def write_whole(data: bytes, path: Path) -> None:
    """Write a file that appears under its name only when it is complete; ``.gz`` is packed."""
    # Not *.fits: a folder without index is searched for those.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # No time in the gzip header, and level 6 for a fifth of the time of level 9.
        packed = path.suffix == ".gz"
        part.write_bytes(gzip.compress(data, 6, mtime=0) if packed else data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def holds(path: Path, data: bytes) -> bool:
    """Tell whether a file is complete and holds exactly these bytes."""
    try:
        packed = path.read_bytes()
        return (gzip.decompress(packed) if path.suffix == ".gz" else packed) == data
    except (OSError, EOFError, zlib.error):  # absent, truncated or damaged
        return False
