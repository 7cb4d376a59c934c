"""Sky maps as FITS files that gammapy and ds9 open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

IMAGES = (
    "significance",
    "excess",
    "n_on",
    "n_off",
    "alpha",
    "background",
    "significance_outside",
    "upper_limit",
    "acceptance",
    "exclusion",
)
COUNTS = ("excess", "n_on", "n_off", "background", "upper_limit", "acceptance")


def write_map(result: Any, path: Path, *, overwrite: bool) -> Path:
    """Write the images of a `SignificanceMap` and its tables; returns the path."""
    header = result.wcs.to_header()
    hdus: list[Any] = []
    for name in IMAGES:
        image = getattr(result, name)
        # gammapy reads bytes, FITS has no booleans
        data = image.astype(np.uint8) if image.dtype == bool else image.astype(np.float32)
        # the first one is what ds9 shows when nothing is asked for
        kind = fits.ImageHDU if hdus else fits.PrimaryHDU
        hdu = kind(data, header=header.copy())
        hdu.name = name.upper()
        if name in COUNTS:
            hdu.header["BUNIT"] = "count"
        hdus.append(hdu)
    settings = {key: json.dumps(value) for key, value in result.settings.items()}
    columns = [
        fits.Column("NAME", "32A", array=list(settings)),
        fits.Column("VALUE", "240A", array=[value[:240] for value in settings.values()]),
    ]
    for name in ("runs", "iterations"):
        table = getattr(result, name)
        hdus.append(fits.table_to_hdu(_plain(table)))
        hdus[-1].name = name.upper()
    hdus.append(fits.BinTableHDU.from_columns(columns, name="SETTINGS"))
    fits.HDUList(hdus).writeto(path, overwrite=overwrite)
    return path


def _plain(table: Any) -> Any:
    """Return a copy without what FITS tables cannot hold."""
    copy = table.copy()
    copy.meta.clear()
    return copy
