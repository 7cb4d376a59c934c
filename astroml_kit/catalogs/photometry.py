"""What a model reads of a source in a photometric catalogue: magnitudes, colours and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table

from .._validation import check_choice, check_columns, check_real, check_same_length, invalid
from ..samples import Samples

KINDS = ("magnitude", "asinh")
UGRIZ = ("u", "g", "r", "i", "z")
# What catalogues write where a source was not seen lies far outside: 99, -99, -9999.
BRIGHTEST, FAINTEST = -30.0, 50.0
ZERO_POINT = 3631 * u.Jy  # of AB magnitudes
POGSON = 2.5 / np.log(10)


def extract_photometry(
    table: Table,
    *,
    bands: Sequence[str] = UGRIZ,
    errors: Sequence[str] | Mapping[str, str] | str | None = None,
    kind: str = "magnitude",
    softening: Mapping[str, u.Quantity] | None = None,
    colours: str = "adjacent",
    label: str | None = None,
    groups: str | None = None,
) -> Samples:
    """Extract magnitudes, colours and errors for the models of the zoo.

    Parameters
    ----------
    table : Table
        One row per source. Bands are columns of magnitudes (unit mag, ABmag or none) or of flux
        densities (Jy and the like), which become AB magnitudes.
    bands : sequence of str
        Columns, in the order of their wavelengths.
    errors : sequence of str, mapping, or str, optional
        Columns of the errors: one per band, by band, or a pattern like "{}_err". In magnitudes
        for magnitudes, in a unit of flux for fluxes. Each adds the logarithm of the magnitude's
        error to the features.
    kind : {"magnitude", "asinh"}
        "asinh" magnitudes (Lupton, Gunn & Szalay 1999, doi:10.1086/301004) are known for fluxes
        of zero and below, too; they need fluxes.
    softening : mapping of band to Quantity, optional
        Flux at which an asinh magnitude turns from logarithmic to linear; without it the median
        of the errors of the band, so that the model depends on the catalogue: give
        ``samples.meta["softening"]`` of the training to all others.
    colours : {"adjacent", "all"}
        Of neighbouring bands, or of every pair.
    label : str, optional
        Column that becomes ``y``: numbers as they are, text as class names.
    groups : str, optional
        Column that says what must not be split, such as the field.

    Returns
    -------
    Samples
        Features: the bands, the colours ``u-g``, and ``log_err_u``. What is missing is NaN, which
        trees take as it is and networks replace, with an indicator (``missing="indicator"``).
        ``meta`` has ``n_missing`` (by band; masked, not finite, outside of -30 to 50 mag, flux
        not above zero where magnitudes are asked for), ``bands``, ``kind``, ``softening`` [Jy].

    Raises
    ------
    ValueError
        For columns that are not there or hold text, units that are neither, negative errors, and
        a source without a label.

    Notes
    -----
    Extinction by dust is not corrected for: that needs a map of the sky. Correct the columns
    first, as most surveys do in theirs.

    Examples
    --------
    >>> table = Table({"g": [20.0, 19.0], "r": [19.5, 99.0]})
    >>> samples = extract_photometry(table, bands=("g", "r"))
    >>> samples.feature_names, samples.X.tolist(), samples.meta["n_missing"]
    (('g', 'r', 'g-r'), [[20.0, 19.5, 0.5], [19.0, nan, nan]], {'g': 0, 'r': 1})
    """
    check_choice("kind", kind, KINDS)
    check_choice("colours", colours, ("adjacent", "all"))
    bands = tuple(bands)
    if isinstance(bands, str) or not bands or len(set(bands)) < len(bands):
        raise invalid("bands", "different columns, one at least", bands)
    error_of = _name_errors(bands, errors)
    others = [name for name in (label, groups) if name is not None]
    check_columns(table.colnames, [*bands, *error_of.values(), *others], where="table")
    given: dict[str, Any] = dict(softening or {})
    columns: dict[str, np.ndarray] = {}
    logs: dict[str, np.ndarray] = {}
    for band in bands:
        error_column = table[error_of[band]] if band in error_of else None
        columns[band], error = _read_band(table[band], error_column, band, kind, given)
        if error is not None:
            logs[f"log_err_{band}"] = np.log10(error)
    n_missing = {band: int(np.isnan(columns[band]).sum()) for band in bands}
    pairs = [(a, b) for k, a in enumerate(bands) for b in bands[k + 1 :]]
    if colours == "adjacent":
        pairs = list(pairwise(bands))
    features = dict(columns) | {f"{a}-{b}": columns[a] - columns[b] for a, b in pairs} | logs
    meta: dict[str, Any] = {
        "bands": list(bands), "kind": kind, "n_missing": n_missing,
        "softening": {band: float(u.Quantity(given[band], u.Jy).value) for band in given},
    }  # fmt: skip
    y = None if label is None else _read_label(table[label], label, meta)
    return Samples(
        np.column_stack([*features.values()]),
        y=y,
        groups=None if groups is None else np.asarray(table[groups]),
        feature_names=tuple(features),
        meta=meta,
    )


def _name_errors(bands: tuple[str, ...], errors: Any) -> dict[str, str]:
    if errors is None:
        return {}
    if isinstance(errors, str):
        if "{}" not in errors:
            raise invalid("errors", "a pattern with {} for the band", errors)
        return {band: errors.format(band) for band in bands}
    if isinstance(errors, Mapping):
        if strange := [band for band in errors if band not in bands]:
            raise ValueError(f"errors must be of the bands {list(bands)}, got {strange}.")
        return dict(errors)
    check_same_length(bands=bands, errors=errors)
    return dict(zip(bands, errors, strict=True))


def _read_band(
    column: Any, error_column: Any, band: str, kind: str, softening: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return magnitudes and their errors, NaN where missing; notes a softening it has chosen."""
    value, unit = _read_numbers(column, band)
    error, error_unit = (None, None) if error_column is None else _read_numbers(
        error_column, f"errors of {band}")  # fmt: skip
    is_flux = unit is not None and unit.is_equivalent(u.Jy)
    if error is not None:
        agree = error_unit.is_equivalent(u.Jy) if is_flux and error_unit is not None else (
            not is_flux and (error_unit is None or error_unit == u.mag))  # fmt: skip
        if not agree:
            raise invalid(f"errors of {band}", f"in a unit like {unit or u.mag}", error_unit)
        check_real(f"errors of {band}", error[np.isfinite(error)], at_least=0)
        error = np.where(error > 0, error, np.nan)
    if not is_flux:
        if kind == "asinh":
            raise invalid("kind", "'magnitude' for magnitudes", kind,
                          f"{band} is in {unit or 'no unit'}: give fluxes.")  # fmt: skip
        with np.errstate(invalid="ignore"):
            seen = (value > BRIGHTEST) & (value < FAINTEST)
        value = np.where(seen, value, np.nan)
        return value, None if error is None else np.where(seen, error, np.nan)
    flux = value * unit.to(u.Jy) / ZERO_POINT.value
    sigma = None if error is None else error * u.Unit(error_unit).to(u.Jy) / ZERO_POINT.value
    if kind == "magnitude":
        positive = np.where(flux > 0, flux, np.nan)
        return -2.5 * np.log10(positive), None if sigma is None else POGSON * sigma / positive
    b = _choose_softening(band, sigma, softening)
    magnitude = -POGSON * (np.arcsinh(flux / (2 * b)) + np.log(b))
    if sigma is None:
        return magnitude, None
    return magnitude, POGSON * sigma / np.hypot(flux, 2 * b)


def _choose_softening(band: str, sigma: np.ndarray | None, softening: dict[str, Any]) -> float:
    if band not in softening:
        if sigma is None or not np.isfinite(sigma).any():
            raise ValueError(
                f"softening must be given for {band} where it has no errors, got none. "
                "Its usual value is the error of a faint source."
            )
        softening[band] = np.nanmedian(sigma) * ZERO_POINT
    # a number without a unit is what meta has: Jy
    flux = u.Quantity(softening[band], u.Jy).to_value(u.Jy)
    return float(check_real(f"softening of {band}", flux, above=0)) / ZERO_POINT.value


def _read_numbers(column: Any, name: str) -> tuple[np.ndarray, Any]:
    """Return values with NaN where masked or not finite, and the unit: of flux, mag or None."""
    unit = column.unit if getattr(column, "unit", None) else None
    if getattr(column, "dtype", np.dtype("O")).kind not in "iuf":
        raise invalid(name, "numbers", f"the type {column.dtype}", "Read the column as float.")
    plain = column.value if isinstance(column, u.Quantity) else column
    array = np.ma.filled(np.ma.asarray(plain).astype(float), np.nan)
    if isinstance(unit, u.function.FunctionUnitBase):
        if unit.physical_unit != u.AB:
            raise invalid(name, "AB magnitudes", unit, "Convert them first.")
        unit = u.mag
    if unit is not None and unit != u.mag and not unit.is_equivalent(u.Jy):
        raise invalid(name, "in mag or a unit of flux density", unit, "Set the right unit.")
    return np.where(np.isfinite(array), array, np.nan), unit


def _read_label(column: Any, name: str, meta: dict[str, Any]) -> np.ndarray:
    masked = np.ma.getmaskarray(np.ma.asarray(column))
    if column.dtype.kind in "SUO":
        names = np.array([
            v.decode() if isinstance(v, bytes) else str(v) for v in np.asarray(column)
        ])  # fmt: skip
        missing = masked | (names == "")
        if not missing.any():
            meta["classes"] = sorted(set(names.tolist()))
        y: np.ndarray = names
    else:
        y = np.asarray(column.value if isinstance(column, u.Quantity) else column)
        missing = masked | ~np.isfinite(y.astype(float))
    if missing.any():
        raise ValueError(
            f"{name} must be known for every source, got {int(missing.sum())} missing. "
            "Select the rows that have one first."
        )
    return y
