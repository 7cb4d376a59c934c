"""Nearest neighbours between two catalogues of a million rows, against astropy and plain trees."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from harness import Comparison, compare, import_peer, main

from astroml_kit.catalogs import match_catalogs

N_ROWS = 1_000_000
RADIUS = 2 * u.arcsec
MOST_REPEATS = 3


def draw_catalogs(n: int, *, rng: np.random.Generator) -> tuple[SkyCoord, SkyCoord]:
    """Return all-sky positions, and the same in another order with errors of 0.36 arcsec."""
    lon, lat = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    order = rng.permutation(n)
    moved = np.clip(lat + rng.normal(0, 1e-4, n), -90, 90)
    return (
        SkyCoord(lon, lat, unit="deg"),
        SkyCoord((lon + rng.normal(0, 1e-4, n))[order], moved[order], unit="deg"),
    )


def run(*, repeats: int = MOST_REPEATS) -> list[Comparison]:
    """Compare row numbers and times; astropy keeps its tree, so that each call gets new lists."""
    peer = import_peer("astropy.coordinates")
    spatial = import_peer("scipy.spatial")
    first, second = draw_catalogs(N_ROWS, rng=np.random.default_rng(1))

    def ask_astropy() -> np.ndarray:
        index, apart, _ = peer.match_coordinates_sky(SkyCoord(first), SkyCoord(second.frame.copy()))
        return np.where(apart < RADIUS, index, -1)

    def ask_tree() -> np.ndarray:
        one, two = (coords.cartesian.xyz.value.T for coords in (first, second))
        chord, index = spatial.cKDTree(two).query(one)
        return np.where(chord < 2 * np.sin(RADIUS.to_value("rad") / 2), index, -1)

    def ask_ours() -> np.ndarray:
        pairs = match_catalogs(first, second, radius=RADIUS)
        partner = np.full(N_ROWS, -1)
        partner[pairs["first"]] = pairs["second"]
        return partner

    peers = (("astropy", ask_astropy), ("scipy cKDTree", ask_tree))
    return [
        compare(
            "match 10^6 with 10^6 rows", ask_ours, ask, peer_name=name, tolerance=0,
            repeats=min(repeats, MOST_REPEATS),
        )
        for name, ask in peers
    ]  # fmt: skip


if __name__ == "__main__":
    main(run)
