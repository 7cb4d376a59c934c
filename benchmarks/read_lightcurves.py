"""How many light curves per second are read, and in how much memory when they come in chunks.

Each way of reading has a process of its own, whose memory at its peak is that of the reading and
of the libraries it loads. Files lie in the cache of the machine: this is no measure of its disk.

    python benchmarks/read_lightcurves.py --objects 2000 --steps 280
    python benchmarks/read_lightcurves.py --folder path/to/tables --time-format mjd
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from astroml_kit.lightcurves import (
    LightCurves,
    iter_lightcurves,
    read_lightcurves,
    write_lightcurves,
)

CHUNK = 200
NAMES = ("folder", "long.csv", "long.parquet", "own.parquet")


def make_files(paths: dict[str, Path], n_objects: int, n_steps: int) -> None:
    """Write the same light curves as small tables of ten columns, one long one, and nested."""
    import pandas as pd

    rng = np.random.default_rng(1)
    n = n_objects * n_steps
    frame = pd.DataFrame(
        {"name": np.repeat([f"star{number:06d}" for number in range(n_objects)], n_steps),
         "mjd": 58000 + np.sort(rng.uniform(0, 1000, (n_objects, n_steps))).ravel(),
         "mag": rng.normal(15, 1, n), "magerr": rng.uniform(0.01, 0.1, n),
         "filter": rng.choice(list("gri"), n), "airmass": rng.uniform(1, 2, n),
         "seeing": rng.uniform(1, 3, n), "x": rng.uniform(0, 2048, n),
         "y": rng.uniform(0, 2048, n), "exptime": 30.0, "field": 550}
    ).round(6)  # fmt: skip
    paths["folder"].mkdir()
    for name, part in frame.groupby("name"):
        part.drop(columns="name").to_csv(paths["folder"] / f"{name}.csv", index=False)
    frame.to_csv(paths["long.csv"], index=False)
    frame.to_parquet(paths["long.parquet"], row_group_size=100_000)
    curves = read_lightcurves(paths["long.parquet"], time_scale="utc")
    write_lightcurves(curves, paths["own.parquet"])


def measure(way: str, path: Path, options: dict[str, Any]) -> tuple[int, float, float, float]:
    """Load the libraries, then read with the clock."""
    import pandas  # noqa: F401  its loading is not to be measured
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401  nor its

    start, cpu = time.perf_counter(), time.process_time()
    parts: Any = (
        iter_lightcurves(path, chunk_size=CHUNK, **options)
        if way == "chunks"
        else [read_lightcurves(path, **options)]
    )
    n = sum(len(part) for part in parts if isinstance(part, LightCurves))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return n, time.perf_counter() - start, time.process_time() - cpu, peak


def ask(context: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process of its own: this one stays small, and its peak is inherited."""
    with context.Pool(1) as pool:
        return pool.apply(function, arguments)


def main() -> None:
    """Print a row per way of reading."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=280)
    parser.add_argument("--folder", type=Path, help="tables of your own instead of drawn ones")
    parser.add_argument("--time-format", default="mjd")
    parser.add_argument("--time-scale", default="utc")
    given = parser.parse_args()
    start = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        options = {"time_format": given.time_format, "time_scale": given.time_scale}
        paths = {"folder": given.folder}
        if given.folder is None:
            paths = {name: Path(folder) / name for name in NAMES}
            ask(context, make_files, paths, given.objects, given.steps)
        print(f"{'files':14}{'way':8}{'objects':>8}{'per s':>9}{'per CPU s':>11}{'peak MB':>9}")
        for name, path in paths.items():
            for way in ("whole", "chunks"):
                n, seconds, cpu, peak = ask(context, measure, way, path, options)
                print(f"{name:14}{way:8}{n:8d}{n / seconds:9.0f}{n / cpu:11.0f}{peak:9.0f}")
    print(f"took {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
