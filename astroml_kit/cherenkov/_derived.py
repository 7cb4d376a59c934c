"""Derived image features: one table of name, formula and what it needs, evaluated where it can be.

The first ten are the combinations that the gamma-hadron literature has long used (Hillas 1985;
Bock et al. 2004, doi:10.1016/j.nima.2003.08.157); the others were chosen on development folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from astropy.table import QTable

Image = Mapping[str, np.ndarray]

# Image quantity -> column of the event table; angles and ratios are made in `describe_image`.
COLUMNS = {
    "length": "hillas_length",
    "width": "hillas_width",
    "conc1": "concentration_1pix",
    "conc2": "concentration_2pix",
    "core": "concentration_core",
    "cog": "concentration_cog",
    "asym": "asymmetry",
    "m3_long": "m3_long",
    "m3_trans": "m3_trans",
    "dist": "distance",
    "skewness": "hillas_skewness",
    "skewness_trans": "skewness_trans",
    "slope": "timing_slope",
    "slope_error": "timing_slope_err",
    "slope_trans": "slope_trans",
    "n_pixels": "morphology_num_pixels",
    "charge_mean": "intensity_mean",
    "charge_std": "intensity_std",
    "time_std": "peak_time_std",
    "time_deviation": "timing_deviation",
    "sse_long": "time_gradient_sse_long",
    "sse_trans": "time_gradient_sse_trans",
    "slope_spread": "slope_spread",
    "time_spread": "timespread",
}
# The same quantity under other names, taken where the first is absent.
ALTERNATIVES = {
    "conc1": ("concentration_pixel",),
    "charge_mean": ("photoncharge_shower_mean",),
}


def read_column(events: QTable, name: str) -> np.ndarray:
    """Return a column as plain floats in its own unit, masked entries as NaN."""
    values = events[name]
    values = getattr(values, "value", values)
    if hasattr(values, "filled"):
        values = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
    return np.asarray(values, dtype=float)


def describe_image(events: QTable) -> dict[str, np.ndarray]:
    """Return the image quantities that the table has; lengths in deg where the optics are known."""
    have = set(events.colnames)
    image = {}
    for name, column in COLUMNS.items():
        for candidate in (column, *ALTERNATIVES.get(name, ())):
            if candidate in have:
                image[name] = read_column(events, candidate)
                break
    if "hillas_log10_size" in have:
        image["log_size"] = read_column(events, "hillas_log10_size")
    elif "hillas_intensity" in have:
        image["log_size"] = np.log10(read_column(events, "hillas_intensity"))
    if "alpha" in have:
        image["alpha"] = np.radians(read_column(events, "alpha"))
    elif {"hillas_psi", "hillas_phi", "hillas_r"} <= have:
        # Towards the camera centre: the pointing, not an assumed source.
        image["alpha"] = np.radians(
            read_column(events, "hillas_psi") - read_column(events, "hillas_phi")
        )
        image["dist"] = read_column(events, "hillas_r")
    if "intensity_max" in have:
        image["brightest"] = read_column(events, "intensity_max")
    if {"peak_time_max", "peak_time_min"} <= have:
        image["time_range"] = read_column(events, "peak_time_max") - read_column(
            events, "peak_time_min"
        )
    elif {"arrival_time_shower_max", "arrival_time_shower_min"} <= have:
        image["time_range"] = read_column(events, "arrival_time_shower_max") - read_column(
            events, "arrival_time_shower_min"
        )
    if "charge_std" not in image and "photoncharge_shower_variance" in have:
        image["charge_std"] = np.sqrt(read_column(events, "photoncharge_shower_variance"))
    focal = _find_focal_lengths(events)
    if focal is not None:
        image["focal_length"] = focal
        for name in ("length", "width", "dist"):
            if name in image:
                image[name] = np.degrees(image[name] / focal)
    return image


def _find_focal_lengths(events: QTable) -> np.ndarray | None:
    """Focal length in m per row, where the file describes its telescopes."""
    telescopes = events.meta.get("telescopes")
    if not isinstance(telescopes, Mapping) or "tel_id" not in events.colnames:
        return None
    if not {"tel_id", "focal_length"} <= set(telescopes):
        return None
    focal = dict(zip(telescopes["tel_id"], telescopes["focal_length"], strict=True))
    values = [focal.get(int(number), np.nan) for number in np.asarray(events["tel_id"])]
    return np.array(values, dtype=float)


def _width(i: Image) -> np.ndarray:
    """Width, at least 2 % of the length: an image of one row of pixels has none."""
    return np.maximum(i["width"], 0.02 * i["length"])


def _log_area(i: Image) -> np.ndarray:
    return np.log10(i["length"] * _width(i))


def _miss(i: Image) -> np.ndarray:
    return i["dist"] * np.abs(np.sin(i["alpha"]))


def _along(i: Image) -> np.ndarray:
    return i["dist"] * np.abs(np.cos(i["alpha"]))


def _ratio(a: str, b: str) -> Callable[[Image], np.ndarray]:
    return lambda i: i[a] / i[b]


def _log_ratio(a: str, b: str) -> Callable[[Image], np.ndarray]:
    return lambda i: np.log10(np.abs(i[a] / i[b]))


# Name -> (formula, what it needs, function). L, W: length, width; A: asymmetry; S: log10(size).
DERIVED: dict[str, tuple[str, tuple[str, ...], Callable[[Image], Any]]] = {
    "log10_area": ("log10(L W)", ("length", "width"), _log_area),
    "log10_density": (
        "S - log10(L W)",
        ("length", "width", "log_size"),
        lambda i: i["log_size"] - _log_area(i),
    ),
    "width_over_length": ("W / L", ("width", "length"), _ratio("width", "length")),
    "miss": ("dist sin(alpha)", ("dist", "alpha"), _miss),
    "along": ("dist cos(alpha)", ("dist", "alpha"), _along),
    "elongation": ("1 - W / L", ("width", "length"), lambda i: 1 - i["width"] / i["length"]),
    "asym_over_length": ("A / L", ("asym", "length"), _ratio("asym", "length")),
    "m3_long_over_length": ("M3long / L", ("m3_long", "length"), _ratio("m3_long", "length")),
    "m3_trans_over_width": (
        "|M3trans| / W",
        ("m3_trans", "width", "length"),
        lambda i: np.abs(i["m3_trans"]) / _width(i),
    ),
    "conc_ratio": ("conc1 / conc", ("conc1", "conc2"), _ratio("conc1", "conc2")),
    "log10_brightest": (
        "log10 of the brightest pixel",
        ("log_size", "conc1"),
        lambda i: i["log_size"] + np.log10(i["conc1"]),
    ),
    "log10_second": (
        "log10 of the second brightest pixel",
        ("log_size", "conc1", "conc2"),
        lambda i: i["log_size"] + np.log10(np.maximum(i["conc2"] - i["conc1"], 1e-3)),
    ),
    "conc_second": ("conc - conc1", ("conc1", "conc2"), lambda i: i["conc2"] - i["conc1"]),
    "conc_area": (
        "conc L W",
        ("conc2", "length", "width"),
        lambda i: i["conc2"] * 10 ** _log_area(i),
    ),
    "log10_conc1_area": (
        "log10(conc1 L W)",
        ("conc1", "length", "width"),
        lambda i: np.log10(i["conc1"]) + _log_area(i),
    ),
    "length_over_size": ("L / S", ("length", "log_size"), _ratio("length", "log_size")),
    "width_over_size": ("W / S", ("width", "log_size"), _ratio("width", "log_size")),
    "log10_length_size": (
        "log10(L) - 0.2 S",
        ("length", "log_size"),
        lambda i: np.log10(i["length"]) - 0.2 * i["log_size"],
    ),
    "miss_over_length": (
        "miss / L",
        ("dist", "alpha", "length"),
        lambda i: _miss(i) / i["length"],
    ),
    "log10_miss_over_width": (
        "log10(miss / W)",
        ("dist", "alpha", "width", "length"),
        lambda i: np.log10(np.maximum(_miss(i) / _width(i), 1e-3)),
    ),
    "along_over_length": (
        "along / L",
        ("dist", "alpha", "length"),
        lambda i: _along(i) / i["length"],
    ),
    "disp_scale": (
        "along / (1.05 - W / L)",
        ("dist", "alpha", "length", "width"),
        lambda i: _along(i) / (1.05 - i["width"] / i["length"]),
    ),
    "length_over_dist": ("L / dist", ("length", "dist"), _ratio("length", "dist")),
    "along_by_m3": (
        "along sign(M3long)",
        ("dist", "alpha", "m3_long"),
        lambda i: _along(i) * np.sign(i["m3_long"]),
    ),
    "along_by_asym": (
        "along sign(A)",
        ("dist", "alpha", "asym"),
        lambda i: _along(i) * np.sign(i["asym"]),
    ),
    "abs_asym_over_length": (
        "|A| / L",
        ("asym", "length"),
        lambda i: np.abs(i["asym"]) / i["length"],
    ),
    "abs_m3_over_length": (
        "|M3long| / L",
        ("m3_long", "length"),
        lambda i: np.abs(i["m3_long"]) / i["length"],
    ),
    "asym_by_m3": (
        "A sign(M3long) / L",
        ("asym", "m3_long", "length"),
        lambda i: i["asym"] * np.sign(i["m3_long"]) / i["length"],
    ),
    "asym_minus_m3": (
        "(A - M3long) / L",
        ("asym", "m3_long", "length"),
        lambda i: (i["asym"] - i["m3_long"]) / i["length"],
    ),
    "abs_m3_trans": ("|M3trans|", ("m3_trans",), lambda i: np.abs(i["m3_trans"])),
    "m3_trans_over_length": (
        "|M3trans| / L",
        ("m3_trans", "length"),
        lambda i: np.abs(i["m3_trans"]) / i["length"],
    ),
    "m3_ratio": (
        "|M3long| / |M3trans|",
        ("m3_long", "m3_trans"),
        lambda i: np.abs(i["m3_long"]) / np.maximum(np.abs(i["m3_trans"]), 0.01),
    ),
    "abs_skewness": ("|skewness|", ("skewness",), lambda i: np.abs(i["skewness"])),
    "abs_skewness_trans": (
        "|skewness_trans|",
        ("skewness_trans",),
        lambda i: np.abs(i["skewness_trans"]),
    ),
    "skewness_by_slope": (
        "skewness sign(slope)",
        ("skewness", "slope"),
        lambda i: i["skewness"] * np.sign(i["slope"]),
    ),
    "abs_slope": ("|time slope|", ("slope",), lambda i: np.abs(i["slope"])),
    "abs_slope_trans": ("|slope_trans|", ("slope_trans",), lambda i: np.abs(i["slope_trans"])),
    "log10_slope_error": (
        "log10 of the slope's error",
        ("slope_error",),
        lambda i: np.log10(i["slope_error"]),
    ),
    "log10_slope_significance": (
        "log10(|slope| / error)",
        ("slope", "slope_error"),
        _log_ratio("slope", "slope_error"),
    ),
    "log10_max_pixel": (
        "log10 of the largest pixel charge",
        ("brightest",),
        lambda i: np.log10(i["brightest"]),
    ),
    "max_over_mean": (
        "largest / mean pixel charge",
        ("brightest", "charge_mean"),
        _ratio("brightest", "charge_mean"),
    ),
    "charge_variation": (
        "std / mean pixel charge",
        ("charge_std", "charge_mean"),
        _ratio("charge_std", "charge_mean"),
    ),
    "conc1_pixels": ("conc1 n_pixels", ("conc1", "n_pixels"), lambda i: i["conc1"] * i["n_pixels"]),
    "core_pixels": ("core n_pixels", ("core", "n_pixels"), lambda i: i["core"] * i["n_pixels"]),
    "conc1_over_cog": (
        "conc1 / concentration_cog",
        ("conc1", "cog"),
        lambda i: i["conc1"] / np.maximum(i["cog"], 0.01),
    ),
    "core_over_conc": ("core / conc", ("core", "conc2"), _ratio("core", "conc2")),
    "log10_pixel_density": (
        "log10(n_pixels / (L W))",
        ("n_pixels", "length", "width"),
        lambda i: np.log10(i["n_pixels"]) - _log_area(i),
    ),
    "log10_charge_per_pixel": (
        "S - log10(n_pixels)",
        ("log_size", "n_pixels"),
        lambda i: i["log_size"] - np.log10(i["n_pixels"]),
    ),
    "time_range": ("last - first pixel time", ("time_range",), lambda i: i["time_range"]),
    "time_std_over_range": (
        "time std / range",
        ("time_std", "time_range"),
        lambda i: i["time_std"] / (i["time_range"] + 0.01),
    ),
    "time_deviation_ratio": (
        "deviation from the time slope / time std",
        ("time_deviation", "time_std"),
        lambda i: i["time_deviation"] / (i["time_std"] + 0.01),
    ),
    "log10_sse_long": (
        "log10(sse_long / n_pixels)",
        ("sse_long", "n_pixels"),
        _log_ratio("sse_long", "n_pixels"),
    ),
    "log10_sse_trans": (
        "log10(sse_trans / n_pixels)",
        ("sse_trans", "n_pixels"),
        _log_ratio("sse_trans", "n_pixels"),
    ),
    "sse_ratio": (
        "sse_long / sse_trans",
        ("sse_long", "sse_trans"),
        _ratio("sse_long", "sse_trans"),
    ),
    "spread_ratio": (
        "slope_spread / timespread",
        ("slope_spread", "time_spread"),
        _ratio("slope_spread", "time_spread"),
    ),
    "length_angle": ("L in deg", ("focal_length", "length"), lambda i: i["length"]),
    "width_angle": ("W in deg", ("focal_length", "width"), lambda i: i["width"]),
    "dist_angle": ("dist in deg", ("focal_length", "dist"), lambda i: i["dist"]),
    "focal_length": ("of the telescope, m", ("focal_length",), lambda i: i["focal_length"]),
}


def can_derive(name: str, image: Image) -> bool:
    """Whether the table has what a derived feature needs."""
    return all(quantity in image for quantity in DERIVED[name][1])


def derive_feature(name: str, image: Image) -> np.ndarray:
    """Evaluate one feature; what has no finite value is NaN, a missing value to the models."""
    with np.errstate(all="ignore"):
        values = np.asarray(DERIVED[name][2](image), dtype=float)
    return np.where(np.isfinite(values), values, np.nan)
