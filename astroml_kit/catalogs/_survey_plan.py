"""How much memory a pass over a survey takes, said before it starts; too much is refused."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from .._validation import check_real, import_extra, invalid

# A partition, its margin, the result and what pandas copies on the way.
COPIES = 4
# Bytes of a value that is no number: a text, with what points to it.
TEXT_BYTES = 48
# What of the memory of this machine may be taken.
SHARE = 0.8
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SurveyPlan:
    """What a pass over a survey needs, partition by partition.

    Attributes
    ----------
    n_rows : int
        Of the survey; 0 where a lazy computation has yet to tell.
    n_partitions : int
    n_largest : int
        Rows of the largest partition; an estimate where a lazy computation has yet to tell.
    row_bytes : int
        Of one row in memory, an estimate: texts count 48.
    n_workers : int
        Processes: those of the Dask client, or this one.
    n_threads : int
        Partitions that a process has in work at once.
    memory : int
        Bytes that a process may take.
    """

    n_rows: int
    n_partitions: int
    n_largest: int
    row_bytes: int
    n_workers: int
    n_threads: int
    memory: int

    @property
    def total_bytes(self) -> int:
        """Of all rows, were they in memory at once; at most so, where their number is unknown."""
        return (self.n_rows or self.n_partitions * self.n_largest) * self.row_bytes

    @property
    def partition_bytes(self) -> int:
        """What work on the largest partition takes: four times its size."""
        return COPIES * self.n_largest * self.row_bytes

    @property
    def worker_bytes(self) -> int:
        """What a process takes at most."""
        return self.n_threads * self.partition_bytes

    @property
    def fits(self) -> bool:
        """Whether every process has the memory."""
        return self.worker_bytes <= self.memory

    def __str__(self) -> str:
        rows = f"{self.n_rows:,}" if self.n_rows else "unknown"
        return (
            f"{rows} rows ({show_bytes(self.total_bytes)}) in {self.n_partitions} partitions of "
            f"up to {self.n_largest:,}; {self.n_workers} process(es) with {self.n_threads} at "
            f"once take {show_bytes(self.worker_bytes)} each of {show_bytes(self.memory)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        return {
            **asdict(self), "total_bytes": self.total_bytes, "worker_bytes": self.worker_bytes,
            "fits": self.fits,
        }  # fmt: skip


def show_bytes(number: float) -> str:
    """Return bytes as a person would say them."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            return f"{number:.3g} {unit}" if unit != "B" else f"{number:.0f} B"
        number /= 1000
    raise AssertionError("the last unit takes everything")


def measure_survey(survey: Any, *, memory: float | None = None) -> SurveyPlan:
    """Estimate the memory that a pass over a survey takes, before it starts.

    Parameters
    ----------
    survey : lsdb.Catalog
        See `open_survey`.
    memory : float, optional
        Bytes that each process may take. Without it the limit of the workers of the Dask client
        that is open, or 80 % of what this machine has free.

    Returns
    -------
    SurveyPlan
        With the threads of the workers; without a client with as many at once as the memory
        holds, which is how `write_survey` then works: a machine with little memory takes longer.
    """
    properties = survey.hc_structure.catalog_info
    n_parts = max(survey.npartitions, 1)
    n_rows = int(properties.total_rows or 0)
    mean = -(-n_rows // n_parts)
    largest = int(properties.hats_max_rows or max(mean, 1))
    row_bytes = 8 + sum(_measure_type(kind) for kind in survey.dtypes)
    workers = list_workers()
    if memory is not None:
        check_real("memory", memory, above=0)
    if workers:
        limit = min(worker["memory_limit"] or _find_free_memory() for worker in workers)
        threads = max(worker["nthreads"] for worker in workers)
        limit = int(limit if memory is None else memory)
        return SurveyPlan(n_rows, n_parts, largest, row_bytes, len(workers), threads, limit)
    limit = int(SHARE * _find_free_memory() if memory is None else memory)
    held = limit // (COPIES * largest * row_bytes)
    threads = max(1, min(os.cpu_count() or 1, held, n_parts))
    return SurveyPlan(n_rows, n_parts, largest, row_bytes, 1, threads, limit)


def _measure_type(kind: Any) -> int:
    """Bytes of one value of a pandas type."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(kind):
        return 1
    if pd.api.types.is_numeric_dtype(kind):
        return int(getattr(getattr(kind, "numpy_dtype", kind), "itemsize", 8))
    return TEXT_BYTES


def list_workers() -> list[dict[str, Any]]:
    """Workers of the open Dask client; none without one."""
    import distributed

    try:
        client = distributed.get_client()
    except ValueError:
        return []
    return list(client.scheduler_info(n_workers=-1)["workers"].values())


def _find_free_memory() -> int:
    return int(import_extra("psutil", extra="catalogs").virtual_memory().available)


def check_plan(survey: Any, *, memory: float | None = None) -> SurveyPlan:
    """Say the plan in the log, and refuse what a process cannot hold."""
    plan = measure_survey(survey, memory=memory)
    _log.info("survey: %s", plan)
    if not plan.fits:
        raise invalid(
            "survey", f"of partitions that take up to {show_bytes(plan.memory)} in a process",
            show_bytes(plan.worker_bytes),
            "Open fewer columns, give workers fewer threads or more memory, or write it anew with "
            "fewer rows_per_partition.",
        )  # fmt: skip
    return plan


@contextmanager
def limit_threads(plan: SurveyPlan) -> Any:
    """Without a client, have as many partitions in work at once as the plan says."""
    import dask

    with dask.config.set({} if list_workers() else {"num_workers": plan.n_threads}):
        yield
