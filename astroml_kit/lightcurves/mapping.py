"""One function on thousands of light curves: in processes or on Dask, resumable, in order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import islice
from typing import Any

import numpy as np
from astropy.table import QTable, Table, vstack
from astropy.utils.metadata import merge

from .. import __version__
from .._validation import check_real, import_extra
from ._map_chunks import (
    Chunk,
    count_curves,
    describe_error,
    fingerprint_source,
    iter_chunks,
    read_chunk,
)
from ._map_parts import Parts, describe_function
from .curves import LightCurves
from .io import PathLike, iter_lightcurves

# When so many have failed and none has gone well, it is the function and not the light curves.
HOPELESS = 100
# Says so to libraries that a worker is yet to load.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
# Inputs travel with their task, so that none is lost with a worker; Dask's warning of 10 MB is
# meant for graphs of many tasks.
DASK = {"distributed.admin.large-graph-warning-threshold": "1GB"}

Job = tuple[int, Chunk]


@dataclass(frozen=True)
class _Result:
    """What became of one chunk; no table where nothing was kept."""

    number: int
    table: QTable | None = None
    n_kept: int = 0
    unread: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def map_lightcurves(
    function: Callable[[LightCurves], Table],
    curves: LightCurves | PathLike | Iterable[PathLike],
    *,
    output: PathLike | None = None,
    chunk_size: int = 500,
    workers: int = 1,
    client: Any = None,
    progress: bool = False,
    resume: bool = True,
    **read_options: Any,
) -> QTable:
    """Apply a function to light curves, chunk by chunk, and stack its tables.

    Whatever the workers, the result is the same bit for bit: functions run with one thread, and
    rows are in the order of the input.

    Parameters
    ----------
    function : callable
        Takes `LightCurves`, gives a table with a column ``name``, such as `find_periods`. What it
        says of one object should not depend on the others, nor on random numbers without a seed.
    curves : LightCurves, path-like or iterable of path-like
        In memory; a folder or list of files, which the workers read themselves; or a long table
        or nested Parquet, whose chunks are sent to them.
    output : path-like, optional
        Folder for the result of each chunk as Parquet, written whole or not at all. After an
        interruption the same call does only what is missing. The folder as a whole is a data set
        that readers of Parquet take.
    chunk_size : int
        Light curves to read and look at together. At most ``workers`` + 1 chunks are in memory.
    workers : int
        Processes; 1 works in this one. In a script, call from under
        ``if __name__ == "__main__"``.
    client : dask.distributed.Client, optional
        Use its workers instead, which see the same files. What a lost worker was doing is done
        again by another.
    progress : bool
        Show a progress bar.
    resume : bool
        False deletes the results of an earlier run in ``output`` first.
    **read_options
        Of `iter_lightcurves`, for a path.

    Returns
    -------
    QTable
        The rows of all chunks. ``meta["skipped"]`` says why files (by name) could not be read and
        objects (by name) made the function fail: where a chunk fails, each of its objects is
        tried alone.

    Raises
    ------
    ValueError
        For an output made from another input (names, sizes and dates of files, or values in
        memory), function (its code and what it holds, though not what it calls) or chunk size; a
        result without ``name``; files none of which can be read; and a function that fails for
        every light curve, or for the first 100 it is given: with the first reason.
    ChildProcessError
        When a process dies, or a light curve kills one worker of Dask after another.

    Examples
    --------
    >>> from astroml_kit.lightcurves import find_periods, simulate_lightcurves
    >>> curves = simulate_lightcurves("rr-ab", n=3, random_state=1)
    >>> periods = map_lightcurves(find_periods, curves, chunk_size=2)
    >>> len(set(periods["name"])), periods["period"].unit, periods.meta["skipped"]
    (3, Unit("d"), {})
    """
    check_real("chunk_size", chunk_size, at_least=1)
    check_real("workers", workers, at_least=1)
    if client is not None and workers != 1:
        raise ValueError(f"workers must be 1 with a client, which has its own, got {workers}.")
    if isinstance(curves, LightCurves) and read_options:
        raise ValueError(f"options must be none for curves in memory, got {list(read_options)}.")
    source = (
        curves
        if isinstance(curves, LightCurves)
        else iter_lightcurves(curves, chunk_size=chunk_size, **read_options)
    )
    total = count_curves(source)
    parts = None
    if output is not None:
        made_from = {
            "input": fingerprint_source(source),
            "chunk_size": chunk_size,
            "version": __version__,
            **describe_function(function),
        }
        parts = Parts(output, made_from=made_from, resume=resume)
    done = parts.list_done() if parts else set()
    chunks = enumerate(iter_chunks(source, chunk_size=chunk_size))
    jobs = (job for job in chunks if job[0] not in done)
    run = partial(_run_chunk, function=function)
    results: Generator[_Result]
    if client is not None:
        results = _run_on_dask(run, jobs, client)
    elif workers > 1:
        results = _run_in_processes(run, jobs, workers)
    else:
        results = (run(job) for job in jobs)
    n_done = len(done) * chunk_size if total is None else min(len(done) * chunk_size, total)
    with closing(results):
        return _gather(results, parts, total=total, initial=n_done, disable=not progress)


def _gather(results: Iterator[_Result], parts: Parts | None, **bar: Any) -> QTable:
    """Keep what comes, in whatever order, and stack it in that of the input."""
    from tqdm import tqdm

    kept: dict[int, QTable] = {}
    lost: dict[int, _Result] = {}
    any_kept = bool(parts and parts.list_done())
    n_failed = 0
    with tqdm(desc="light curves", unit="curve", **bar) as shown:
        for result in results:
            if result.table is None:
                lost[result.number] = result
            elif parts:
                parts.write(result.number, result.table)
            else:
                kept[result.number] = result.table
            any_kept |= result.n_kept > 0
            n_failed += len(result.failed)
            if n_failed >= HOPELESS and not any_kept:
                break
            shown.update(result.n_kept + len(result.unread) + len(result.failed))
    if n_failed and not any_kept:
        failed = next(lost[number].failed for number in sorted(lost) if lost[number].failed)
        name, reason = next(iter(failed.items()))
        raise ValueError(f"function must work for some light curve, got none: {name}: {reason}")
    if parts:
        kept = dict(parts.read())
    skipped: dict[str, str] = {}
    for number in sorted({*kept, *lost}):
        one = lost.get(number)
        skipped |= kept[number].meta.pop("skipped") if one is None else one.unread | one.failed
    table = _stack([kept[number] for number in sorted(kept)])
    table.meta["skipped"] = skipped
    return table


def _stack(tables: list[QTable]) -> QTable:
    """Rows of all tables, a column masked where some lack it; lists in their meta are joined."""
    if not tables:
        return QTable({"name": np.zeros(0, dtype=str)})
    filled = [table for table in tables if len(table)] or tables[:1]
    stacked = QTable(vstack(filled, metadata_conflicts="silent"))
    stacked.meta = reduce(
        partial(merge, metadata_conflicts="silent"), [table.meta for table in tables], {}
    )
    return stacked


def _run_chunk(job: Job, function: Callable[[LightCurves], Table]) -> _Result:
    """Read a chunk and apply the function, where that fails to each of its objects."""
    number, chunk = job
    curves, unread = read_chunk(chunk)
    if not len(curves):
        return _Result(number, unread=unread)
    failed: dict[str, str] = {}
    with _one_thread():
        tables = [_apply(function, curves, failed)]
        if failed and len(curves) > 1:
            failed = {}
            ones = (curves[at : at + 1] for at in range(len(curves)))
            tables = [_apply(function, one, failed) for one in ones]
    good = [table for table in tables if table is not None]
    if not good:
        return _Result(number, unread=unread, failed=failed)
    table = _stack(good)
    table.meta["skipped"] = unread | failed
    return _Result(number, table, len(curves) - len(failed), unread, failed)


def _apply(
    function: Callable[[LightCurves], Table], curves: LightCurves, failed: dict[str, str]
) -> QTable | None:
    """The function's table; None if it fails, with the reason under the name of the first."""
    try:
        table = function(curves)
    except Exception as error:  # whatever it is, it is said
        failed[str(curves.names[0])] = describe_error(error)
        return None
    if not isinstance(table, Table) or "name" not in table.colnames:
        got = table.colnames if isinstance(table, Table) else type(table).__name__
        raise ValueError(f"function must give a table with a column 'name', got {got}.")
    return QTable(table)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep to one thread: workers share the cores, and sums depend on how they are split."""
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    n_threads = torch.get_num_threads() if torch else 1
    with threadpool_limits(1):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(n_threads)


def _run_in_processes(
    run: Callable[[Job], _Result], jobs: Iterator[Job], workers: int
) -> Generator[_Result]:
    """Give results as processes finish them; those wait a while for the next call."""
    from joblib.externals.loky import get_reusable_executor

    executor = get_reusable_executor(workers, timeout=60, env=dict.fromkeys(THREADS, "1"))
    pending: set[Future[_Result]] = set()
    is_complete = False
    try:
        while not is_complete:
            for job in islice(jobs, workers + 1 - len(pending)):
                pending.add(executor.submit(run, job))
            is_complete = not pending
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a worker process died, killed or out of memory. What was written to output is kept: "
            "run again, with fewer workers or a smaller chunk_size."
        ) from error
    finally:
        if not is_complete:
            executor.shutdown(kill_workers=True)


def _run_on_dask(
    run: Callable[[Job], _Result], jobs: Iterator[Job], client: Any
) -> Generator[_Result]:
    """Give results as Dask's workers finish them, one chunk more than it has threads in flight."""
    dask = import_extra("dask", extra="distributed")
    distributed = import_extra("distributed", extra="distributed")
    pending = distributed.as_completed()
    n_pending = 0
    while True:
        free = sum(client.nthreads().values()) + 1 - n_pending
        for job in islice(jobs, max(free, 0)):
            with dask.config.set(DASK):
                pending.add(client.submit(run, job, pure=False))
            n_pending += 1
        if not n_pending:
            return
        try:
            yield next(pending).result()
        except distributed.KilledWorker as error:
            raise ChildProcessError(f"a light curve kills its workers: {error}") from error
        n_pending -= 1
