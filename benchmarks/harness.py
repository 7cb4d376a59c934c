"""Times ours and a peer alternately in one process, because only such a ratio can be trusted.

A benchmark is a file ``bench_<subject>.py`` with one function ``run(*, repeats)`` that returns a
list of `Comparison`; ``python benchmarks/run.py`` finds and runs them all, and
``python benchmarks/bench_<subject>.py`` runs one when the file ends with::

    if __name__ == "__main__":
        main(run)

Inside ``run``, one call per row::

    compare(
        "Li & Ma, 10^6 pairs",
        lambda: li_ma_significance(n_on, n_off, alpha=0.1),
        lambda: WStatCountsStatistic(n_on, n_off, 0.1).sqrt_ts,
        peer_name="gammapy",
        tolerance=1e-6,
        repeats=repeats,
    )

Both callables take nothing and return their answer, so that neither can win by doing less. A peer
that is not installed, or a data set that is not there, is `Skipped` with a reason.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

PEERS = (
    "numpy", "scipy", "numba", "scikit-learn", "lightgbm", "gammapy", "pyirf", "ctapipe",
    "astroml_kit",
)  # fmt: skip


class Skipped(Exception):
    """A benchmark that cannot run here; the message says why and what would make it run."""


class DisagreementError(Exception):
    """Ours and the peer gave different answers: a ratio of their times means nothing."""


@dataclass(frozen=True)
class Comparison:
    """One row of the table: the same job done by us and by a peer.

    Attributes
    ----------
    name, peer_name : str
        The job, and who else did it.
    ours_s, peer_s : float
        Median wall time of one call, in seconds.
    ratio, ratio_low, ratio_high : float
        Median, smallest and largest of peer time / our time over the pairs of calls.
    difference, tolerance : float
        How far the two answers are apart, and how far they may be.
    repeats : int
        Number of timed pairs.
    """

    name: str
    peer_name: str
    ours_s: float
    peer_s: float
    ratio: float
    ratio_low: float
    ratio_high: float
    difference: float
    tolerance: float
    repeats: int

    def __str__(self) -> str:
        return (
            f"{self.name:<44} {self.peer_name:<16} {self.ours_s:>10.4g} {self.peer_s:>10.4g} "
            f"{self.ratio:>7.1f}x ({self.ratio_low:.1f} to {self.ratio_high:.1f})  "
            f"{self.difference:.1e}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return asdict(self)


HEADER = f"{'job':<44} {'peer':<16} {'ours [s]':>10} {'peer [s]':>10} {'ratio':>8} (range)  differ"


def largest_difference(ours: Any, peer: Any) -> float:
    """Largest absolute difference of two array-like answers; infinite where the shapes differ."""
    first, second = np.asarray(ours, dtype=float), np.asarray(peer, dtype=float)
    if first.shape != second.shape:
        return float("inf")
    apart = np.abs(first - second)
    return float("inf") if np.isnan(apart).any() else float(apart.max(initial=0.0))


def compare(
    name: str,
    ours: Callable[[], Any],
    peer: Callable[[], Any],
    *,
    peer_name: str,
    peer_share: float = 1.0,
    repeats: int = 7,
    tolerance: float = 1e-6,
    difference: Callable[[Any, Any], float] = largest_difference,
) -> Comparison:
    """Time two callables alternately, after checking that they give the same answer.

    The first call of each warms caches and is not timed. Then ours, peer, ours, peer, ... so that
    a busy machine slows both. Prints the row as soon as it is known.

    Parameters
    ----------
    name : str
        What is being done, with its size.
    ours, peer : callable
        Take nothing, return the answer.
    peer_name : str
        Who the peer is.
    peer_share : float
        Share of our job that the peer does, where all of it would take minutes. Its times are
        divided by this, and ``difference`` compares the part that both did.
    repeats : int
        Number of timed pairs.
    tolerance : float
        Largest accepted ``difference(ours(), peer())``.
    difference : callable
        From the two answers to a number; the default is the largest absolute difference of two
        arrays. For two classifiers it may be the difference of their AUCs.

    Raises
    ------
    DisagreementError
        When the answers are further apart than ``tolerance``.
    """
    apart = float(difference(ours(), peer()))
    if not apart <= tolerance:
        raise DisagreementError(
            f"{name}: ours and {peer_name} differ by {apart:.3g}, more than {tolerance:.3g}."
        )
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for call, times, share in zip((ours, peer), seconds, (1.0, peer_share), strict=True):
            start = time.perf_counter()
            call()
            times.append((time.perf_counter() - start) / share)
    ratios = [slow / quick for quick, slow in zip(*seconds, strict=True)]
    row = Comparison(
        name,
        peer_name,
        statistics.median(seconds[0]),
        statistics.median(seconds[1]),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        apart,
        tolerance,
        repeats,
    )
    print(row, flush=True)
    return row


def import_peer(module: str) -> ModuleType:
    """Import a peer, or skip the benchmark with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Skipped(
            f"{module} is not installed: pip install {module.partition('.')[0]}"
        ) from error


def find_data(dataset: str) -> Path:
    """Folder of a data set under ``ASTROML_KIT_DATA``, or skip the benchmark with the reason."""
    root = os.environ.get("ASTROML_KIT_DATA")
    if not root or not (Path(root) / dataset).is_dir():
        raise Skipped(f"{dataset} is not here: set ASTROML_KIT_DATA to the folder that holds it")
    return Path(root) / dataset


def describe_machine() -> dict[str, Any]:
    """What the figures depend on: processor count, load, Python and library versions."""
    versions = {}
    for package in PEERS:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "absent"
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_per_minute": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": versions,
    }


def main(*runs: Callable[..., Iterable[Comparison]], argv: list[str] | None = None) -> None:
    """Command line of one benchmark or of all: ``[--repeats N] [--json FILE]``."""
    parser = argparse.ArgumentParser(description="Ours against the peers, side by side.")
    parser.add_argument("--repeats", type=int, default=7, help="timed pairs per row (7)")
    parser.add_argument("--json", type=Path, help="write the rows and the machine to this file")
    options = parser.parse_args(argv)
    machine = describe_machine()
    print(f"python {machine['python']}, {machine['cores']} cores, {machine['versions']}")
    print(HEADER)
    rows: list[Comparison] = []
    skipped: dict[str, str] = {}
    for run in runs:
        try:
            rows += run(repeats=options.repeats)
        except Skipped as reason:
            skipped[run.__module__] = str(reason)
            print(f"{run.__module__} skipped: {reason}")
    if options.json:
        report = {
            "machine": machine,
            "rows": [row.to_dict() for row in rows],
            "skipped": skipped,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")
        print(f"wrote {options.json}")
