"""A survey end to end: files of light curves to periods, features, classes and Parquet.

    python benchmarks/classify_survey.py --curves 13900 --workers 2
    python benchmarks/classify_survey.py --curves 2000 --simulated --kill 0.3

The curves are those of the ASAS variables (or simulated ones), each again and again with noise
by its errors and a new name, as CSV files in a temporary folder, and one broken file among them.
The classifier learns from the originals, so that classes of the copies say nothing of accuracy:
time, memory, and what becomes of an interruption are measured here. The job runs in a process of
its own; its processor time counts all its processes, for machines that others use too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from astropy.table import QTable, Table
from harness import describe_machine

from astroml_kit.datasets import fetch_dataset
from astroml_kit.lightcurves import (
    LightCurveClassifier,
    LightCurves,
    map_lightcurves,
    read_lightcurves,
    simulate_lightcurves,
)

BROKEN = "survey-04242-broken.csv"
KINDS = ("contact", "delta-scuti", "detached", "mira", "rr-ab", "rr-c", "semi-detached")
OPTIONS = {"time_scale": "utc", "unit": "mag", "time_format": "jd"}
CHUNK = 250
LOOKS_PER_SECOND = 5


def load_originals(*, simulated: bool, seed: int) -> LightCurves:
    """The ASAS variables, or as many simulated ones, with their classes as "label"."""
    if simulated:
        return simulate_lightcurves(KINDS, n=300, random_state=seed)
    folder = Path(fetch_dataset("asas-acvs"))
    curves = read_lightcurves(folder / "subset7_lightcurves.parquet", **OPTIONS)
    index = Table.read(folder / "subset7_index.csv", format="ascii.csv")
    index.rename_column("class_code", "label")
    return curves.add_columns(index["obj_id", "label"], name="obj_id")


def write_survey(originals: LightCurves, folder: Path, *, n: int, seed: int) -> None:
    """One file per copy, and one that ends in the middle of a row."""
    import pyarrow as pa
    from pyarrow.csv import write_csv

    rng = np.random.default_rng(seed)
    for number in range(n):
        at = number % len(originals)
        steps = slice(originals.offsets[at], originals.offsets[at + 1])
        error = originals.error[steps]
        value = originals.value[steps] + rng.normal(0, 1, len(error)) * error
        table = pa.table(
            {originals.time_format: originals.time[steps], "mag": value, "magerr": error}
        )
        write_csv(table, folder / f"survey-{number:05}.csv")
    (folder / BROKEN).write_text("jd,mag,magerr\n2451869.5,14.2,0.03\n2451870.5,14.")


class Watch:
    """Memory and processor time of a process and its children, looked at while it runs."""

    def __init__(self, pid: int) -> None:
        import psutil

        self.process = psutil.Process(pid)
        self.peak = 0
        self.seconds: dict[int, float] = {}
        self.gone = psutil.NoSuchProcess
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self) -> None:
        while True:
            try:
                family = [self.process, *self.process.children(recursive=True)]
            except self.gone:
                return
            total = 0
            for one in family:
                try:
                    total += one.memory_info().rss
                    times = one.cpu_times()
                except self.gone:
                    continue
                self.seconds[one.pid] = times.user + times.system
            self.peak = max(self.peak, total)
            time.sleep(1 / LOOKS_PER_SECOND)


def run_job(folder: Path, model: Path, output: Path, *, workers: int) -> None:
    """What is timed, in a process of its own."""
    classify = LightCurveClassifier.load(model).predict
    options = {"chunk_size": CHUNK, "workers": workers, **OPTIONS}
    table = map_lightcurves(classify, folder, output=output, **options)
    table.write(output.with_suffix(".parquet"), format="parquet", overwrite=True)
    for name, reason in table.meta["skipped"].items():
        print(f"skipped {name}: {reason[:100]}")


def start_job(folder: Path, model: Path, output: Path, *, workers: int) -> subprocess.Popen[bytes]:
    """Begin `run_job` in a new process group, which can be killed as a whole."""
    command = [sys.executable, __file__, "--workers", str(workers), "--job", folder, model, output]
    return subprocess.Popen([str(part) for part in command], start_new_session=True)


def measure(folder: Path, model: Path, output: Path, *, workers: int) -> QTable:
    """Run once and print what it took."""
    start = time.perf_counter()
    job = start_job(folder, model, output, workers=workers)
    watch = Watch(job.pid)
    if job.wait():
        raise SystemExit(f"the job ended with {job.returncode}")
    wall, used = time.perf_counter() - start, sum(watch.seconds.values())
    table = QTable.read(output.with_suffix(".parquet"))
    print(
        f"{len(table)} classified, {len(table.meta['skipped'])} skipped, {workers} workers: "
        f"{wall / 60:.2f} min of clock, {used / 60:.2f} min of processors "
        f"({1e3 * used / len(table):.1f} ms per curve, {used / 60 / workers:.2f} min on "
        f"{workers} free cores), {watch.peak / 2**30:.2f} GB at most in all processes",
        flush=True,
    )
    return table


def kill_and_resume(folder: Path, model: Path, output: Path, *, workers: int, share: float) -> None:
    """SIGKILL all processes of a job in the middle, and go on."""
    n_chunks = -(-sum(1 for _ in folder.iterdir()) // CHUNK)
    job = start_job(folder, model, output, workers=workers)
    while len(list(output.glob("part-*.parquet"))) < share * n_chunks:
        if job.poll() is not None:
            raise SystemExit("the job ended before it could be killed")
        time.sleep(0.05)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    kept = len(list(output.glob("part-*.parquet")))
    print(f"killed with {kept} of {n_chunks} chunks done", flush=True)


def compare(one: QTable, two: QTable) -> bool:
    """Bit for bit."""
    return one.colnames == two.colnames and one.meta == two.meta and all(
        np.asarray(one[name]).tobytes() == np.asarray(two[name]).tobytes() for name in one.colnames
    )  # fmt: skip


def train(originals: LightCurves, file: Path, *, inputs: str) -> None:
    """Fit on the originals, if the file is not there yet."""
    if file.is_file():
        return
    start = time.process_time()
    LightCurveClassifier(inputs=inputs, random_state=1).fit(originals, label="label").save(file)
    seconds = time.process_time() - start
    print(f"trained by {inputs} on {len(originals)} in {seconds:.0f} s of processor", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Thousands of light curves, files to classes.")
    parser.add_argument("--curves", type=int, default=13_900)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--simulated", action="store_true", help="copies of simulated curves")
    parser.add_argument("--kill", type=float, metavar="SHARE",
                        help="also kill a run when that share is done, and resume")  # fmt: skip
    parser.add_argument("--inputs", choices=("features", "folds", "hybrid"), default="features",
                        help="what the classifier reads")  # fmt: skip
    parser.add_argument("--model", type=Path, help="trained once and kept in this file")
    parser.add_argument("--job", type=Path, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        run_job(*options.job, workers=options.workers)
        return
    machine = describe_machine()
    print(f"python {machine['python']}, {machine['cores']} cores, load "
          f"{machine['load_per_minute']}, {machine['versions']}")  # fmt: skip
    place = Path(tempfile.mkdtemp(prefix="survey-"))
    try:
        folder, model = place / "files", options.model or place / "model.zip"
        folder.mkdir()
        originals = load_originals(simulated=options.simulated, seed=options.seed)
        train(originals, model, inputs=options.inputs)
        write_survey(originals, folder, n=options.curves, seed=options.seed)
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{options.curves} files and a broken one, {size / 2**20:.0f} MB", flush=True)
        whole = measure(folder, model, place / "whole", workers=options.workers)
        if options.kill:
            output = place / "killed"
            kill_and_resume(folder, model, output, workers=options.workers, share=options.kill)
            again = measure(folder, model, output, workers=options.workers)
            print(f"resumed result identical: {compare(whole, again)}")
            alone = measure(folder, model, place / "alone", workers=1)
            print(f"result of one worker identical: {compare(whole, alone)}")
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
