"""Runs every benchmark, or those named: ``python benchmarks/run.py [significance ...]``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from harness import main

SUBJECTS = sorted(path.stem[len("bench_") :] for path in Path(__file__).parent.glob("bench_*.py"))


def select_subjects(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split the command line into subjects and options; no subject means all of them."""
    cut = next((i for i, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    wanted, options = arguments[:cut], arguments[cut:]
    unknown = sorted(set(wanted) - set(SUBJECTS))
    if unknown:
        sys.exit(f"unknown benchmarks {unknown}; there are {SUBJECTS}. Options come last.")
    return wanted or SUBJECTS, options


if __name__ == "__main__":
    subjects, options = select_subjects(sys.argv[1:])
    main(*(importlib.import_module(f"bench_{subject}").run for subject in subjects), argv=options)
