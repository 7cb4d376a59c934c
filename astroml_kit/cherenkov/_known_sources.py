"""Where TeV sources are known to be, so that no OFF region is put on one."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.table import QTable

from .._tev_sources import list_tev_sources
from ._regions import to_angle

# 95 % of a Gaussian lies within 2.45 sigma, of a shell within its radius.
_REACH = {"gauss": 2.45}


def read_known_sources(*, margin: u.Quantity = 0.2 * u.deg) -> QTable:
    """Read the known TeV sources with the circle that each should be excluded with.

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
    Those of `astroml_kit.catalogs.list_tev_sources`, which has their classes and spectra and says
    where they are from.

    Examples
    --------
    >>> sources = read_known_sources()
    >>> exclusions = [(sources["position"], sources["exclusion_radius"])]
    >>> print(sources["exclusion_radius"][sources["name"] == "RX J1713.7-3946"])
    [0.7] deg
    """
    free = to_angle("margin", margin, positive=False)
    raw = list_tev_sources()
    extension = raw["extension"].filled(0)
    shape = [str(kind) or "unknown" for kind in raw["morphology"].filled("")]
    reach = np.array([_REACH.get(kind, 1.0) for kind in shape])
    table = QTable(meta=dict(raw.meta))
    table["name"] = raw["name"]
    table["position"] = raw["coord"]
    table["extension"] = extension
    table["morphology"] = shape
    table["reference"] = raw["reference"]
    table["exclusion_radius"] = np.rad2deg(free) * u.deg + reach * extension
    return table
