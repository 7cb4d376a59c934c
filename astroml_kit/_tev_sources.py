"""The list of known TeV sources, below all domains: OFF regions and identifications share it."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from ._registry import find_catalogs
from ._validation import check_choice, check_real, invalid

# Names of several classes at once.
FAMILIES = {
    "blazar": ("hbl", "ibl", "lbl", "bll", "fsrq", "blazar"),
    "agn": ("hbl", "ibl", "lbl", "bll", "fsrq", "blazar", "fri", "rdg"),
}


def list_tev_sources(
    *,
    name: str | None = None,
    near: SkyCoord | None = None,
    radius: u.Quantity | None = None,
    source_class: str | None = None,
    min_flux: u.Quantity | None = None,
) -> QTable:
    """List known TeV sources, all of them or those that are asked for.

    Parameters
    ----------
    name : str, optional
        One of the names of a source, in capitals or not, with blanks or not.
    near : SkyCoord, shape () or (n,), optional
        Only sources within ``radius`` of this position, or of any of several, the nearest first.
    radius : Quantity, optional
        Needed with ``near``.
    source_class : str, optional
        Only these: ``"hbl"``, ``"ibl"``, ``"lbl"``, ``"bll"`` (BL Lac objects), ``"fsrq"``,
        ``"fri"``, ``"rdg"`` (radio galaxies), ``"galaxy"`` (starbursts), ``"snr"``, ``"mc"``
        (clouds beside one), ``"pwn"``, ``"psr"``, ``"bin"``, ``"gc"``, ``"unid"``, ``"other"``;
        ``"blazar"`` and ``"agn"`` are several of these. A source may be of two classes.
    min_flux : Quantity, optional
        Only sources with a published flux above 1 TeV of at least this, such as
        ``1e-12 / u.cm**2 / u.s``. Those without one are left out.

    Returns
    -------
    QTable
        ``name``, ``coord`` (SkyCoord), ``position_from``, ``extension`` (deg, Gaussian sigma or
        radius of a shell), ``morphology``, ``source_class``, ``flux`` and ``flux_error`` (above
        1 TeV, in 1/cm2/s), ``index`` and ``index_error`` (of photons, positive), ``spectrum``,
        ``flux_reference``, ``discovered``, ``discoverer``, ``reference`` (bibcode), and
        ``other_names``; with ``near`` also ``separation``. What is not published is masked, never
        0. ``meta`` names origin and licence.

    Raises
    ------
    ValueError
        For ``near`` without ``radius`` or the other way round, an unknown class, a flux in other
        units.

    Notes
    -----
    176 sources: the 166 of gamma-cat (https://github.com/gammapy/gamma-cat, BSD-3-Clause, closed
    in 2018), one more and the lacking spectra from HGPS (2018, doi:10.1051/0004-6361/201732098),
    and nine that 3FHL (2017, doi:10.3847/1538-4365/aa8221) associates with TeV sources. Younger
    ones are not in it. Fluxes of blazars are those of one paper, and they vary.

    Examples
    --------
    >>> bright = list_tev_sources(source_class="pwn", min_flux=2e-11 / u.cm**2 / u.s)
    >>> bright["name"].tolist(), bright["index"].tolist(), bright["reference"][0]
    (['Crab nebula', 'Vela X'], [2.39, 1.32], np.str_('2006A&A...457..899A'))
    >>> field = list_tev_sources(near=SkyCoord("05h34m32s +22d00m52s"), radius=1 * u.deg)
    >>> field["name"].tolist(), field["flux"].mask.tolist()
    (['Crab pulsar', 'Crab nebula'], [True, False])
    """
    if (near is None) != (radius is None):
        raise invalid("radius", "given together with near", f"near={near!r}, radius={radius!r}",
                      "Give both, or none.")  # fmt: skip
    table = _read_table()
    keep = np.ones(len(table), dtype=bool)
    if name is not None:
        keep &= _find_name(table, name)
    if source_class is not None:
        keep &= _find_class(table, source_class)
    if min_flux is not None:
        least = _read_number("min_flux", min_flux, "1 / (s cm2)", "1e-12 / u.cm**2 / u.s")
        keep &= np.ma.filled(_get_plain(table["flux"]) >= least, False)
    if near is None:
        return table[keep]
    limit = _read_number("radius", radius, "deg", "1 * u.deg")
    places = near.icrs.reshape(-1)
    separation = np.min(table["coord"][:, None].separation(places).deg, axis=1, initial=360)
    keep &= separation <= limit
    table["separation"] = separation * u.deg
    table["separation"].info.description = "To the nearest position that was asked for"
    found = table[keep]
    return found[np.argsort(found["separation"], kind="stable")]


def _read_table() -> QTable:
    raw = QTable.read(find_catalogs() / "tev_sources.ecsv", format="ascii.ecsv")
    coord = SkyCoord(raw["ra"], raw["dec"], frame="icrs")
    raw.add_column(coord, name="coord", index=1)
    raw.remove_columns(["ra", "dec"])
    return raw


def _get_plain(column: Any) -> np.ma.MaskedArray:
    """Numbers of a masked quantity; gaps stay masked."""
    return np.ma.MaskedArray(column.unmasked.value, mask=column.mask)


def _find_name(table: QTable, name: str) -> np.ndarray:
    wanted = _plain_name(name)
    others = table["other_names"].filled("")
    return np.array(
        [wanted in map(_plain_name, (own, *other.split(",")))
         for own, other in zip(table["name"], others, strict=True)]
    )  # fmt: skip


def _plain_name(name: str) -> str:
    return "".join(name.casefold().split())


def _find_class(table: QTable, source_class: str) -> np.ndarray:
    known = sorted({word for words in table["source_class"] for word in words.split(",")})
    check_choice("source_class", source_class, [*known, *sorted(set(FAMILIES) - set(known))])
    wanted = set(FAMILIES.get(source_class, (source_class,)))
    return np.array([bool(wanted & set(words.split(","))) for words in table["source_class"]])


def _read_number(name: str, value: Any, unit: str, example: str) -> float:
    try:
        number = value.to_value(unit)
    except (AttributeError, u.UnitConversionError):
        raise invalid(name, f"a quantity in a unit like {unit}", repr(value),
                      f"Give it as {example}.") from None  # fmt: skip
    return float(check_real(f"{name} [{unit}]", number, at_least=0))
