"""Sends many drawn inputs through Li & Ma and the likelihood: ``--examples 100000``.

The tests draw some hundred inputs each time they run; this draws as many as you like, and fails
with the smallest input that breaks a law. A check is a function of one drawn case; add one to
``CHECKS`` with the strategy that feeds it.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from collections.abc import Callable
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))
from astroml_kit.significance import binned_significance, li_ma_significance

counts = st.one_of(
    st.sampled_from([0, 1, 2]), st.integers(0, 200), st.integers(0, 10**15), st.floats(1e-6, 1e15)
)
alphas = st.one_of(st.sampled_from([0.1, 0.0625, 1.0]), st.floats(1e-3, 10), st.floats(1e-6, 1e6))


def list_bins(n_bins: int) -> st.SearchStrategy:
    """Counts, alphas and predictions of one likelihood with so many bins."""

    def column(entry: st.SearchStrategy) -> st.SearchStrategy:
        return st.lists(entry, min_size=n_bins, max_size=n_bins)

    signals = column(st.one_of(st.just(0.0), st.floats(1e-3, 1e3))).filter(any)
    few = st.one_of(st.integers(0, 20), st.integers(0, 10**6))
    return st.tuples(column(few), column(few), column(st.floats(1e-3, 10)), signals)


def check_li_ma(case: tuple[float, float, float]) -> None:
    """Finite, with the sign of the exact excess, and right to 1e-12 of itself."""
    n_on, n_off, alpha = case
    value = float(li_ma_significance(n_on, n_off, alpha=alpha))
    with localcontext() as context:
        context.prec = 100
        on, off, ratio = Decimal(n_on), Decimal(n_off), Decimal(alpha)
        half = Decimal(0)
        if on:
            half += on * ((1 + ratio) / ratio * on / (on + off)).ln()
        if off:
            half += off * ((1 + ratio) * off / (on + off)).ln()
        excess = on - ratio * off
        exact = math.copysign(float((2 * abs(half)).sqrt()), excess) if excess else 0.0
    assert math.isfinite(value), value
    assert abs(value - exact) <= 1e-12 * abs(exact), (value, exact)


def check_likelihood(case: tuple[list[float], list[float], list[float], list[float]]) -> None:
    """Finite, blind to the order of the bins, and Li & Ma where there is only one."""
    n_on, n_off, alpha, signal = np.array(case, dtype=float)
    both = np.stack([np.array(case, dtype=float), np.array(case, dtype=float)[:, ::-1]], axis=1)
    value, turned = binned_significance(both[0], both[1], alpha=both[2], signal=both[3]).tolist()
    assert math.isfinite(value), value
    assert math.isclose(value, turned, rel_tol=1e-6, abs_tol=1e-6), (value, turned)
    if np.count_nonzero(signal) == 1:
        bin_ = int(np.flatnonzero(signal)[0])
        single = float(li_ma_significance(n_on[bin_], n_off[bin_], alpha=alpha[bin_]))
        assert math.isclose(value, single, rel_tol=1e-6, abs_tol=1e-6), (value, single)


CHECKS: dict[str, tuple[Callable[[Any], None], st.SearchStrategy]] = {
    "li_ma": (check_li_ma, st.tuples(counts, counts, alphas)),
    "likelihood": (check_likelihood, st.integers(1, 8).flatmap(list_bins)),
}


def run_check(name: str, *, n_examples: int) -> int:
    """Draw inputs until one breaks the check or all have survived; returns how many did."""
    check, strategy = CHECKS[name]
    n_drawn = 0

    @settings(
        max_examples=n_examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def survive(case: Any) -> None:
        nonlocal n_drawn
        n_drawn += 1
        check(case)

    survive()
    return n_drawn


def main() -> None:
    """Run the checks named, or all of them."""
    parser = argparse.ArgumentParser(description="Many drawn inputs through the significances.")
    parser.add_argument("checks", nargs="*", help=f"of {sorted(CHECKS)}; all when none is named")
    parser.add_argument("--examples", type=int, default=100_000, help="inputs per check (100000)")
    options = parser.parse_args()
    unknown = sorted(set(options.checks) - set(CHECKS))
    if unknown:
        parser.error(f"unknown checks {unknown}; there are {sorted(CHECKS)}")
    warnings.simplefilter("error")
    for name in options.checks or CHECKS:
        start = time.perf_counter()
        n_drawn = run_check(name, n_examples=options.examples)
        print(f"{name}: {n_drawn} inputs survived, {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
