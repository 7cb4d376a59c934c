"""Where TeV sources are known to be, so that no OFF region is put on one."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from .._registry import find_catalogs
from ._regions import to_angle

# 95 % of a Gaussian lies within 2.45 sigma, of a shell within its radius.
_REACH = {"gauss": 2.45}


def read_known_sources(*, margin: u.Quantity = 0.2 * u.deg) -> QTable:
    """Read the 166 TeV sources of gamma-cat with the circle that each should be excluded with.

    Parameters
    ----------
    margin : Quantity
        What to keep free around a source beyond its own size, for the point spread function.

    Returns
    -------
    QTable
        ``name``, ``position`` (SkyCoord), ``extension`` (Gaussian sigma or shell radius, 0 where
        none is published), ``morphology``, ``reference`` and ``exclusion_radius``: margin plus
        2.45 sigma, or plus the radius of a shell. ``meta`` names origin and licence.

    Notes
    -----
    Source: gamma-cat, https://github.com/gammapy/gamma-cat (BSD-3-Clause), which closed in 2018;
    younger sources are not in it.

    Examples
    --------
    >>> sources = read_known_sources()
    >>> exclusions = [(sources["position"], sources["exclusion_radius"])]
    >>> print(sources["exclusion_radius"][sources["name"] == "RX J1713.7-3946"])
    [0.7] deg
    """
    free = to_angle("margin", margin, positive=False)
    path = find_catalogs() / "tev_sources.ecsv"
    raw = QTable.read(path, format="ascii.ecsv")
    reach = np.array([_REACH.get(kind, 1.0) for kind in raw["morphology"]])
    table = QTable(meta=dict(raw.meta))
    table["name"] = raw["name"]
    table["position"] = SkyCoord(raw["ra"], raw["dec"], frame="icrs")
    table["extension"] = raw["extension"]
    table["morphology"] = raw["morphology"]
    table["reference"] = raw["reference"].filled("")
    table["exclusion_radius"] = np.rad2deg(free) * u.deg + reach * raw["extension"]
    return table
