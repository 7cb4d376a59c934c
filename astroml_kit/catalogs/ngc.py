"""Objects of the New General and Index Catalogues, from the OpenNGC that pyongc carries."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable
from astropy.utils.masked import Masked

from .._validation import check_choice, check_real, import_extra, invalid
from .matching import check_radius

# Name here, name in pyongc, unit, what it is.
_NUMBERS = (
    ("major_axis", "majax", "arcmin", "Largest diameter"),
    ("minor_axis", "minax", "arcmin", "Smallest diameter"),
    ("position_angle", "pa", "deg", "Of the major axis, from north to east"),
    ("b_mag", "bmag", "mag", "Magnitude, B"),
    ("v_mag", "vmag", "mag", "Magnitude, V"),
    ("j_mag", "jmag", "mag", "Magnitude, J"),
    ("h_mag", "hmag", "mag", "Magnitude, H"),
    ("k_mag", "kmag", "mag", "Magnitude, K"),
    ("surface_brightness", "sbrightn", "mag / arcsec2", "Mean within 25 mag/arcsec2, B"),
    ("parallax", "parallax", "mas", "Parallax"),
    ("pm_ra_cosdec", "pmra", "mas / yr", "Proper motion in right ascension, times cos(dec)"),
    ("pm_dec", "pmdec", "mas / yr", "Proper motion in declination"),
    ("radial_velocity", "radvel", "km / s", "Heliocentric"),
    ("redshift", "redshift", "", "Heliocentric"),
)
_TEXTS = (
    ("constellation", "const", "Abbreviation of the IAU"),
    ("hubble_type", "hubble", "Morphological type of a galaxy"),
    ("messier", "messier", "Number in Messier's catalogue"),
    ("common_names", "commonnames", "With commas between"),
    ("other_names", "identifiers", "In other catalogues, with commas between"),
)


def list_ngc_objects(
    *,
    near: SkyCoord | None = None,
    radius: u.Quantity | None = None,
    kind: str | None = None,
    max_magnitude: float | None = None,
) -> QTable:
    """List objects of NGC and IC: galaxies, clusters, nebulae.

    Needs the extra ``catalogs``; nothing is downloaded.

    Parameters
    ----------
    near : SkyCoord, shape (), optional
        Only objects within ``radius`` of this position, the nearest first.
    radius : Quantity, optional
        Needed with ``near``.
    kind : str, optional
        Only these: ``"G"`` (galaxies), ``"GPair"``, ``"GTrpl"``, ``"GGroup"``, ``"OCl"``,
        ``"GCl"`` (open, globular clusters), ``"Cl+N"``, ``"*Ass"``, ``"PN"``, ``"HII"``,
        ``"EmN"``, ``"RfN"``, ``"DrkN"``, ``"Neb"``, ``"SNR"``, ``"Nova"``, ``"*"``, ``"**"``,
        ``"Dup"`` (the same object as another number), ``"NonEx"`` and ``"Other"``.
    max_magnitude : float, optional
        Only objects with a V magnitude, or without one a B magnitude, not above this. Those
        without either are left out.

    Returns
    -------
    QTable
        ``name``, ``coord`` (ICRS; NaN where nothing is), ``kind``, ``constellation``,
        ``major_axis`` and ``minor_axis`` (arcmin), ``position_angle`` (deg), ``b_mag``, ``v_mag``,
        ``j_mag``, ``h_mag``, ``k_mag`` (mag), ``surface_brightness`` (mag/arcsec2), ``parallax``
        (mas), ``pm_ra_cosdec``, ``pm_dec`` (mas/yr), ``radial_velocity`` (km/s), ``redshift``,
        ``hubble_type``, ``messier``, ``common_names`` and ``other_names``; with ``near`` also
        ``separation``. Missing values are masked. All 14,033 rows by default, "Dup" and "NonEx"
        among them. ``meta`` names origin and licence.

    Raises
    ------
    ValueError
        For ``near`` without ``radius`` or the other way round, or an unknown kind.
    ImportError
        Without pyongc.

    Notes
    -----
    Source: OpenNGC, https://github.com/mattiaverga/OpenNGC (CC BY-SA 4.0), as shipped in pyongc.

    Examples
    --------
    >>> near = SkyCoord("00h42m44s +41d16m09s")
    >>> found = list_ngc_objects(near=near, radius=0.7 * u.deg, kind="G")
    >>> found["name"].tolist(), found["hubble_type"].tolist()
    (['NGC0224', 'NGC0221', 'NGC0205'], ['Sb', 'E', 'E'])
    >>> found["major_axis"].round(1), found["messier"].tolist()
    (<MaskedQuantity [177.8,   7.7,  16.2] arcmin>, ['031', '032', '110'])
    """
    if (near is None) != (radius is None):
        raise invalid("radius", "given together with near", f"near={near!r}, radius={radius!r}",
                      "Give both, or none.")  # fmt: skip
    data = import_extra("pyongc.data", extra="catalogs")
    table = _make_table(data.all())
    keep = np.ones(len(table), dtype=bool)
    if kind is not None:
        check_choice("kind", kind, sorted(set(table["kind"].tolist())))
        keep &= table["kind"] == kind
    if max_magnitude is not None:
        check_real("max_magnitude", max_magnitude)
        keep &= _find_magnitude(table) <= max_magnitude
    if near is None:
        return table[keep]
    limit = check_radius("radius", radius)
    separation = table["coord"].separation(near)
    table["separation"] = separation.to("deg")
    found = table[keep & (separation.rad <= limit)]
    return found[np.argsort(found["separation"], kind="stable")]


def _make_table(frame: Any) -> QTable:
    table = QTable()
    table["name"] = frame["name"].to_numpy(str)
    ra, dec = (frame[name].to_numpy(float) for name in ("ra", "dec"))
    table["coord"] = SkyCoord(ra * u.rad, dec * u.rad, frame="icrs")
    table["kind"] = frame["type"].to_numpy(str)
    for name, source, about in _TEXTS:
        text = frame[source].fillna("").to_numpy(str)
        table[name] = MaskedColumn(text, mask=text == "", description=about)
    for place, (name, source, unit, about) in enumerate(_NUMBERS):
        values = frame[source].to_numpy(float)
        missing = np.isnan(values)
        column: Any = MaskedColumn(values, mask=missing)
        if unit:
            column = Masked(values, mask=missing) * u.Unit(unit)
        table.add_column(column, name=name, index=4 + place)
        table[name].info.description = about
    table.meta.update(
        origin="OpenNGC, https://github.com/mattiaverga/OpenNGC, as shipped in pyongc",
        licence="CC BY-SA 4.0",
    )
    return table


def _find_magnitude(table: QTable) -> np.ndarray:
    """V, else B, else NaN."""
    blue, visual = (table[name].filled(np.nan).value for name in ("b_mag", "v_mag"))
    return np.where(np.isnan(visual), blue, visual)
