"""FITS light curves: Kepler, K2, TESS, what others made of them, and tables with a time system."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..curves import OFFSETS
from .columns import flag_bits
from .steps import (
    FileSteps,
    ReadOptions,
    drop_rows_without_time,
    settle_scale,
    settle_unit,
)

# The flags after which a flux is of no use. Kepler: attitude tweak 1, safe mode 2, coarse point 4,
# Earth point 8, desaturation 32, manual exclude 256, detector anomaly 16384, no data 65536 and
# thruster firing 1048576 (Kepler Archive Manual, KDMC-10008, table 2-3). TESS: the same first five
# with Argabrightening 16, manual exclude 128, impulsive outlier 512 and bad calibration 16384
# (Science Data Products Description, EXP-TESS-ARC-ICD-0014, table 32). lightkurve drops the same.
QUALITY_BITS = {"Kepler": 1130799, "K2": 1130799, "TESS": 17087}
FLAGS = ("QUALITY", "SAP_QUALITY")
# What astropy raises for a header or a table that is damaged.
DAMAGE = (OSError, TypeError, ValueError, KeyError, IndexError, AttributeError)
# Columns of flux, the one that is cleaned furthest first.
FLUXES = ("PDCSAP_FLUX", "KSPSAP_FLUX", "DET_FLUX", "FCOR", "SAP_FLUX", "FLUX", "RATE")
TIMES = ("TIME", "T")
MISSION_UNITS = {"e-/s": "electron / s", "e/s": "electron / s", "count/s": "ct / s"}
SEGMENTS = (("QUARTER", "Q"), ("CAMPAIGN", "C"), ("SECTOR", "S"))
# What of a header belongs to the object; stellar numbers are those of the input catalogues.
STAR = {"ra": "RA_OBJ", "dec": "DEC_OBJ", "teff": "TEFF", "logg": "LOGG", "radius": "RADIUS",
        "magnitude": ("KEPMAG", "TESSMAG")}  # fmt: skip


def read_fits(file: Path, data: bytes, options: ReadOptions) -> FileSteps:
    """Read the first table with times of a FITS file, or sum the pixels of a target-pixel file.

    Raises
    ------
    ValueError
        For a truncated file, one without such a table, and for an unknown time system or unit.
    ImportError
        For a target-pixel file without lightkurve.
    """
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyUserWarning

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*truncated", category=AstropyUserWarning)
        try:
            with fits.open(io.BytesIO(data), memmap=False, lazy_load_hdus=False) as hdus:
                main = dict(hdus[0].header)
                found = next((hdu for hdu in hdus[1:] if _find_time(hdu)), None)
                if found is not None:
                    table, known = np.array(found.data), {**main, **dict(found.header)}
        except (*DAMAGE, fits.VerifyError, AstropyUserWarning) as error:
            raise ValueError(f"{file.name} must be a whole FITS file: {error}") from error
    if found is None:
        raise ValueError(
            f"{file.name} must have a table with a column called one of {list(TIMES)}, got none."
        )
    if "FLUX" in (table.dtype.names or ()) and table.dtype["FLUX"].ndim:
        return _sum_pixels(file, data, known, options)
    return _read_table(table, known, file, options)


def _find_time(hdu: Any) -> str | None:
    names = getattr(getattr(hdu, "columns", None), "names", None) or ()
    return next((name for name in TIMES if name in names), None)


def _read_table(
    table: np.ndarray, header: dict[str, Any], file: Path, options: ReadOptions
) -> FileSteps:
    names = list(table.dtype.names or ())
    time_name = next(name for name in TIMES if name in names)
    time, time_format = _read_time(table, time_name, names, header, file, options)
    flux = _choose_flux(names, file, options)
    mission = find_mission(header)
    said = header.get(f"TUNIT{names.index(flux) + 1}")
    unit = settle_unit(MISSION_UNITS.get(said or "", said), options, where=file.name)
    error = next((name for name in (f"{flux}_ERR", "ERROR", "FLUX_ERR") if name in names), None)
    if flux == "KSPSAP_FLUX" and error is None and "DET_FLUX_ERR" in names:
        error = "DET_FLUX_ERR"
    steps = FileSteps(
        time, table[flux].astype(np.float64), unit, time_format,
        settle_scale(_find_scale(header), options, where=file.name),
        np.array([file.stem]), np.zeros(len(time), dtype=np.int64),
        None if error is None else table[error].astype(np.float64),
        flagged=_flag(table, names, mission, options), known=_describe(header, mission, flux),
        reference="barycentric" if _is_barycentric(header, time_format) else "",
        reader=mission.lower() or "fits",
    )  # fmt: skip
    return drop_rows_without_time(steps, where=file.name)


def _read_time(
    table: np.ndarray,
    name: str,
    names: list[str],
    header: dict[str, Any],
    file: Path,
    options: ReadOptions,
) -> tuple[np.ndarray, str]:
    """Times in days, and the format whose zero point they count from."""
    unit = str(header.get(f"TUNIT{names.index(name) + 1}", ""))
    time = table[name].astype(np.float64)
    if header.get("TIMEUNIT", "s" if unit == "s" else "d").strip() == "s":
        time = time / 86_400
    zero = next(
        (
            float(header[f"{key}I"]) + float(header.get(f"{key}F", 0)) + shift
            for key, shift in (("BJDREF", 0.0), ("JDREF", 0.0), ("MJDREF", OFFSETS["mjd"]))
            if f"{key}I" in header
        ),
        None,
    )
    if zero is None and "MJDREF" in header:
        zero = float(header["MJDREF"]) + OFFSETS["mjd"]
    if zero is None and (match := re.search(r"JD\s*-\s*(\d+)", unit)):
        zero = float(match[1])
    if zero is None:
        if options.time_format is None:
            raise ValueError(
                f"time_format must be said for {file.name}, whose header has no BJDREFI, JDREFI or "
                "MJDREFI, got None. Look it up in the documentation of the data."
            )
        zero = OFFSETS[options.time_format]
    for known in ("btjd", "bkjd"):
        if zero == OFFSETS[known]:
            return time, known
    return time + (zero - OFFSETS["mjd"]), "mjd"


def _find_scale(header: dict[str, Any]) -> str | None:
    """Its TIMESYS; where FITS lets it be left out it would mean UTC, but files leave it out."""
    said = header.get("TIMESYS")
    return str(said).strip().lower() if said else None


def _is_barycentric(header: dict[str, Any], time_format: str) -> bool:
    return str(header.get("TIMEREF", "")).upper() == "SOLARSYSTEM" or time_format in (
        "btjd",
        "bkjd",
    )


def _choose_flux(names: list[str], file: Path, options: ReadOptions) -> str:
    upper = {name.upper(): name for name in names}
    if options.flux is None:
        found = next((upper[name] for name in FLUXES if name in upper), None)
    else:
        asked = options.flux.upper()
        found = upper.get(asked) or upper.get(f"{asked}_FLUX")
    if found is None:
        raise ValueError(
            f"flux must be a column of {file.name}, got {options.flux!r}; it has {names[:16]}."
        )
    return found


def find_mission(header: dict[str, Any]) -> str:
    """Kepler, K2, TESS, or nothing."""
    said = f"{header.get('MISSION', '')} {header.get('TELESCOP', '')}".upper()
    if "K2" in said or "CAMPAIGN" in header:
        return "K2"
    return "Kepler" if "KEPLER" in said else "TESS" if "TESS" in said else ""


def _flag(
    table: np.ndarray, names: list[str], mission: str, options: ReadOptions
) -> np.ndarray | None:
    column = next((name for name in FLAGS if name in names), None)
    if column is None:
        return None
    default = QUALITY_BITS.get(mission)
    return flag_bits(table[column].astype(np.int64), options.quality, default=default)


def _describe(header: dict[str, Any], mission: str, flux: str) -> dict[str, Any]:
    """What the header says of the object and of the pointing, one entry each."""
    known: dict[str, Any] = {"target": str(header.get("OBJECT", "")), "mission": mission}
    for name, keys in STAR.items():
        values = [header.get(key) for key in ([keys] if isinstance(keys, str) else keys)]
        number = next((value for value in values if isinstance(value, int | float)), np.nan)
        known[name] = float(number)
    segment = next((f"{mark}{header[key]}" for key, mark in SEGMENTS if key in header), "")
    known["segment"] = segment
    days = header.get("TIMEDEL")
    known["cadence"] = float(days) if isinstance(days, int | float) else np.nan
    known["flux_column"] = flux.lower()
    return {key: [value] for key, value in known.items()}


def _sum_pixels(file: Path, data: bytes, header: dict[str, Any], options: ReadOptions) -> FileSteps:
    """Sum the pixels of the mission's own aperture, background taken off, with lightkurve."""
    from astropy.io import fits

    from ..interop import import_lightkurve, steps_from_lightkurve

    lightkurve = import_lightkurve()
    mission = find_mission(header)
    kind = "TessTargetPixelFile" if mission == "TESS" else "KeplerTargetPixelFile"
    with fits.open(io.BytesIO(data), memmap=False, lazy_load_hdus=False) as hdus:
        pixels = getattr(lightkurve, kind)(hdus, quality_bitmask="none")
        curve = pixels.to_lightcurve(aperture_mask="pipeline")
        steps = steps_from_lightkurve(curve, options, stem=file.stem, where=file.name)
    steps.known = {**_describe(header, mission, "aperture sum"), "time_reference": ["barycentric"]}
    return steps
