"""Clusters on the sphere against scikit-learn's DBSCAN: time and memory, up to 10^7 points."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
from harness import Comparison, compare, import_peer, main

from astroml_kit.models import SkyDBSCAN

N_POINTS, MIN_SAMPLES = 100_000, 10
# Above this scikit-learn's lists of neighbours fill the memory of a small machine.
RADII_DEG = (0.1, 0.5, 1.0)
MOST_REPEATS = 3
CONTENDERS = ("ours", "haversine", "vectors", "pairs")
CLUMP_POINTS, CLUMP_DEG = 100_000, 0.5


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


def draw_even(n_points: int, *, clump: bool) -> np.ndarray:
    """All over the sky; with a clump, 10^5 more within half a degree."""
    rng = np.random.default_rng(1)
    lon = rng.uniform(0, 360, n_points)
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, n_points)))
    if clump:
        away = CLUMP_DEG * np.sqrt(rng.random(CLUMP_POINTS))
        turn = rng.uniform(0, 2 * np.pi, CLUMP_POINTS)
        lon = np.concatenate([lon, 10 + away * np.cos(turn)])
        lat = np.concatenate([lat, away * np.sin(turn)])
    return np.column_stack([lon, lat])


def find_labels(contender: str, X: np.ndarray, radius: float, min_samples: int) -> np.ndarray:
    """Labels by one of the contenders."""
    if contender == "ours":
        return SkyDBSCAN(radius, min_samples).fit(X).labels_
    angle = np.radians(radius)
    if contender == "haversine":
        from sklearn.cluster import DBSCAN

        peer = DBSCAN(eps=angle, min_samples=min_samples, metric="haversine",
                      algorithm="ball_tree")  # fmt: skip
        return peer.fit(np.radians(X[:, ::-1])).labels_
    lon, lat = np.radians(X).T
    vectors = np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    chord = 2 * np.sin(angle / 2)
    if contender == "vectors":
        from sklearn.cluster import DBSCAN

        peer = DBSCAN(eps=chord, min_samples=min_samples, algorithm="kd_tree")
        return peer.fit(vectors).labels_
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    # no points on edges: what is not core is noise, which is less than is asked for
    pairs = cKDTree(vectors).query_pairs(chord, output_type="ndarray")
    core = 1 + np.bincount(pairs.ravel(), minlength=len(X)) >= min_samples
    pairs = pairs[core[pairs[:, 0]] & core[pairs[:, 1]]]
    graph = coo_array((np.ones(len(pairs), dtype=bool), pairs.T), shape=(len(X), len(X)))
    return np.where(core, connected_components(graph, directed=False)[1], -1)


def count_groups(labels: np.ndarray) -> tuple[int, int, int]:
    """Clusters, points in them, points of the largest: what contenders must agree on."""
    sizes = np.bincount(labels[labels >= 0])
    sizes = sizes[sizes > 0]
    return len(sizes), int(sizes.sum()), int(sizes.max(initial=0))


def measure_once(contender: str, n_points: int, clump: bool, neighbours: float) -> dict[str, Any]:
    """Seconds and peak memory of one call, in this process; called in one of its own."""
    X = draw_even(n_points, clump=clump)
    radius = CLUMP_DEG * 2 if clump else float(np.degrees(2 * np.sqrt(neighbours / n_points)))
    find_labels(contender, X[:200], radius, 5)  # compiles, imports
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu = time.perf_counter(), time.process_time()
    labels = find_labels(contender, X, radius, 5)
    return {
        "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "loaded": loaded,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "groups": count_groups(labels),
    }  # fmt: skip


def call_apart(options: list[str]) -> dict[str, Any]:
    """Measure in a process of its own, so that memory is that of one contender alone."""
    done = subprocess.run([sys.executable, __file__, "--apart", *options], capture_output=True,
                          text=True, check=True)  # fmt: skip
    return json.loads(done.stdout)


def print_table(points: list[int], contenders: list[str], *, clump: bool, repeats: int) -> None:
    """Contenders in turn, each time in a new process; medians."""
    print(f"{'points':>10}  {'contender':<10}  wall s  cpu s  peak MB  before MB  groups")
    for n_points in points:
        taken: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
        for _ in range(repeats):
            for name in contenders:
                options = [name, str(n_points), *(["--clump"] if clump else [])]
                taken[name].append(call_apart(options))
        for name, rows in taken.items():
            wall, cpu, peak, loaded = (
                float(np.median([row[key] for row in rows]))
                for key in ("wall", "cpu", "peak", "loaded")
            )
            print(f"{n_points:>10}  {name:<10}  {wall:6.2f}  {cpu:5.2f}  {peak:7.0f}  "
                  f"{loaded:9.0f}  {rows[0]['groups']}", flush=True)  # fmt: skip
        for name in contenders[1:]:
            ratios = [theirs["cpu"] / ours["cpu"] for theirs, ours
                      in zip(taken[name], taken[contenders[0]], strict=True)]  # fmt: skip
            print(f"{'':>10}  {name} / {contenders[0]}: {np.median(ratios):.1f} "
                  f"({min(ratios):.1f} to {max(ratios):.1f}) in cpu time")  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, nargs="+", help="how many, about 10 neighbours each")
    parser.add_argument("--contenders", nargs="+", default=["ours"], choices=CONTENDERS)
    parser.add_argument("--clump", action="store_true", help="10^5 more within one radius")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--apart", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_known_args()[0]


if __name__ == "__main__":
    asked = parse()
    if asked.apart:
        name, number = asked.apart
        print(json.dumps(measure_once(name, int(number), asked.clump, 10)))
    elif asked.points:
        print_table(asked.points, asked.contenders, clump=asked.clump, repeats=asked.repeats)
    else:
        main(run)
