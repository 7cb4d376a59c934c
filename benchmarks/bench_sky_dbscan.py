"""Clusters on the sphere against scikit-learn's DBSCAN with the metric "haversine"."""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
from harness import Comparison, compare, import_peer, main

from astroml_kit.models import SkyDBSCAN

N_POINTS, MIN_SAMPLES = 100_000, 10
# Above this scikit-learn's lists of neighbours fill the memory of a small machine.
RADII_DEG = (0.1, 0.5, 1.0)
MOST_REPEATS = 3


def draw_sky(n_points: int, *, rng: np.random.Generator) -> np.ndarray:
    """Half of the points all over the sky, half in 200 groups of half a degree."""
    lon = rng.uniform(0, 360, n_points)
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, n_points)))
    centres = rng.integers(0, 200, n_points // 2)
    lon[: len(centres)] = lon[-200:][centres] + rng.normal(0, 0.5, len(centres))
    lat[: len(centres)] = lat[-200:][centres] + rng.normal(0, 0.5, len(centres))
    return np.column_stack([lon, np.clip(lat, -90, 90)])


def run(*, repeats: int = MOST_REPEATS) -> list[Comparison]:
    """Compare labels and times over the radius; the answers must be the same label by label."""
    cluster = import_peer("sklearn.cluster")
    X = draw_sky(N_POINTS, rng=np.random.default_rng(1))
    radians = np.radians(X[:, ::-1])
    rows = []
    for radius in RADII_DEG:
        peer = cluster.DBSCAN(eps=np.radians(radius), min_samples=MIN_SAMPLES,
                              metric="haversine", algorithm="ball_tree")  # fmt: skip
        rows.append(
            compare(
                f"cluster 10^5 points, radius {radius} deg",
                lambda radius=radius: SkyDBSCAN(radius, MIN_SAMPLES).fit(X).labels_,
                lambda peer=peer: peer.fit(radians).labels_,
                peer_name="scikit-learn",
                tolerance=0,
                repeats=min(repeats, MOST_REPEATS),
            )
        )
    return rows


def measure_million() -> None:
    """Print time and peak memory of 10^6 points."""
    X = draw_sky(10**6, rng=np.random.default_rng(2))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for radius in RADII_DEG:
        start = time.perf_counter()
        labels = SkyDBSCAN(radius, MIN_SAMPLES).fit(X).labels_
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(
            f"10^6 points, radius {radius} deg: {time.perf_counter() - start:.1f} s, "
            f"{labels.max() + 1} clusters, peak memory +{grown:.0f} MB"
        )


if __name__ == "__main__":
    if "--million" in sys.argv:
        measure_million()
    else:
        main(run)
