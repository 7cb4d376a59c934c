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


_BATCH = 10  # likelihoods with equally many bins go through in one call


def draw_likelihoods(n_bins: int) -> st.SearchStrategy:
    """Counts, alphas and predictions of a batch of likelihoods with so many bins each."""

    def draw_column(entry: st.SearchStrategy) -> st.SearchStrategy:
        return st.lists(entry, min_size=n_bins, max_size=n_bins)

    few = st.one_of(st.integers(0, 20), st.integers(0, 10**6))
    signal = draw_column(st.one_of(st.just(0.0), st.floats(1e-3, 1e3))).filter(any)
    one = st.tuples(draw_column(few), draw_column(few), draw_column(st.floats(1e-3, 10)), signal)
    return st.lists(one, min_size=_BATCH, max_size=_BATCH)


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


def check_likelihood(
    cases: list[tuple[list[float], list[float], list[float], list[float]]],
) -> None:
    """Finite, blind to the order of the bins, and Li & Ma where there is only one."""
    table = np.array(cases, dtype=float)  # case, quantity, bin
    both = np.stack([table, table[..., ::-1]])
    n_on, n_off, alpha, signal = np.moveaxis(both, 2, 0)
    values, turned = binned_significance(n_on, n_off, alpha=alpha, signal=signal)
    assert np.isfinite(values).all(), values
    np.testing.assert_allclose(values, turned, rtol=1e-6, atol=1e-6)
    for value, (on, off, ratio, predicted) in zip(values, table, strict=True):
        if np.count_nonzero(predicted) == 1:
            bin_ = int(np.flatnonzero(predicted)[0])
            single = float(li_ma_significance(on[bin_], off[bin_], alpha=ratio[bin_]))
            assert math.isclose(value, single, rel_tol=1e-6, abs_tol=1e-6), (value, single)


# name: check, what feeds it, inputs in one draw
CHECKS: dict[str, tuple[Callable[[Any], None], st.SearchStrategy, int]] = {
    "li_ma": (check_li_ma, st.tuples(counts, counts, alphas), 1),
    "likelihood": (check_likelihood, st.integers(1, 8).flatmap(draw_likelihoods), _BATCH),
}


def run_check(name: str, *, n_examples: int) -> int:
    """Draw inputs until one breaks the check or all have survived; returns how many did."""
    check, strategy, batch = CHECKS[name]
    n_drawn = 0

    @settings(
        max_examples=max(1, n_examples // batch),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def survive(case: Any) -> None:
        nonlocal n_drawn
        n_drawn += batch
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
