"""The Fermi-LAT Light Curve Repository: fluxes, "<" for upper limits, "-" for what is not there."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..._validation import check_columns
from .columns import steps_from_columns, to_numbers
from .steps import FileSteps, ReadOptions
from .text_tables import parse_text

# Its columns, from the data description of the repository: the date and the Julian date are the
# middle of the bin in UTC, limits hold at 95 %, and a return code other than 0 is a fit that did
# not converge. Abdollahi et al. (2023), doi:10.3847/1538-4365/acbb6a.
TIME, MET, TS, CODE = "Julian Date", "MET", "TS", "MINUIT Return Code"
HEADER = re.compile(rb"\A\W*Date\(UTC\)\W+Julian Date\W")
FLUX = re.compile(r"(Photon|Energy) Flux \[([^]]+)\]\s*\((.+)\)")
ERROR = re.compile(r"(Photon|Energy) Flux Error")
LIMIT_CONFIDENCE = 0.95


def read_lcr(file: Path, data: bytes, options: ReadOptions) -> FileSteps:
    """Read photon or energy flux; an upper limit is a step with ``limit``.

    Raises
    ------
    ValueError
        When the flux is missing, or ``flux`` is neither "photon" nor "energy".
    """
    columns = dict(parse_text(data, where=file.name))
    kinds = {m[1].lower(): (name, m[2], m[3]) for name in columns if (m := FLUX.match(name))}
    errors = {m[1].lower(): name for name in columns if (m := ERROR.match(name))}
    wanted = options.flux or next(iter(kinds), "photon")
    if wanted not in kinds:
        raise ValueError(
            f"flux must be one of {list(kinds)} in {file.name}, got {wanted!r}; it has the columns "
            f"{list(columns)}."
        )
    flux, energies, unit = kinds[wanted]
    check_columns(columns, [TIME, TS, CODE], where=file.name)
    if options.quality != "none":
        columns[CODE] = to_numbers(columns[CODE], CODE, where=file.name) != 0
    roles = {"time": TIME, "value": flux, "mask": CODE}
    if wanted in errors:
        roles["error"] = errors[wanted]
    if options.quality == "none":
        del roles["mask"]
    known: dict[str, Any] = {
        "target": find_target(file.stem), "mission": "Fermi-LAT", "energies": energies,
        "limit_confidence": LIMIT_CONFIDENCE, "bin_days": _find_bin(columns[TIME], file),
    }  # fmt: skip
    return steps_from_columns(
        columns, replace(options, columns=()), stem=file.stem, where=file.name, roles=roles,
        known=known, reader="fermi-lcr",
        said={"unit": unit.replace("photons", "ph"), "time_format": "jd", "time_scale": "utc"},
    )  # fmt: skip


def find_target(stem: str) -> str:
    """Name of the source in the name that the repository gives its files."""
    match = re.match(r"(4FGL)[_ ](J\d{4}\.\d[+-]\d{4}\w?)(?=_|$)", stem)
    return f"{match[1]} {match[2]}" if match else stem


def _find_bin(column: Any, file: Path) -> float:
    """Length of a bin: the shortest step, as gaps only make it longer."""
    days = np.unique(to_numbers(column, "time", where=file.name))
    days = days[np.isfinite(days)]
    return float(np.round(np.diff(days).min(), 3)) if len(days) > 1 else np.nan
