"""Periods of 483 RR Lyrae of SDSS Stripe 82: how many are right, and in how many milliseconds?

Every method has the same periods to look among, and steps prepared by itself: ours takes the files
as they are, the peers get what anyone would give them. A period is right within 1e-4 of the
published one. The development half is that on which the noise of `find_periods` was chosen.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import nifty_ls
import numpy as np
from astropy.timeseries import LombScargle, LombScargleMultiband

from astroml_kit.datasets import fetch_dataset
from astroml_kit.lightcurves import LightCurves, find_periods, read_lightcurves

SIDEREAL = 1.002737909
KINDS = ("right", "day", "year", "half", "double")


@dataclass
class Curve:
    """Arrays of one star, its bands standardised for the peers that take all of them at once."""

    curves: LightCurves
    time: np.ndarray
    value: np.ndarray
    error: np.ndarray
    band: np.ndarray
    low: float
    high: float

    @property
    def baseline(self) -> float:
        """Days."""
        return float(np.ptp(self.time))

    @property
    def n(self) -> int:
        """Frequencies, five to a peak."""
        return int(np.ceil((self.high - self.low) * self.baseline * 5)) + 1

    @property
    def frequency(self) -> np.ndarray:
        """Per day."""
        return np.linspace(self.low, self.high, self.n)


def take_curve(curves: LightCurves, number: int, low: float, high: float) -> Curve:
    one = curves.select([number])
    used = ~one.mask
    time, value, error, band = (a[used] for a in (one.time, one.value, one.error, one.band))
    value, error = value.copy(), error.copy()
    for which in np.unique(band):
        own = band == which
        scale = value[own].std() or 1.0
        value[own] = (value[own] - np.median(value[own])) / scale
        error[own] = np.hypot(error[own] / scale, 0.2)
    return Curve(one, time, value, error, band, low, high)


def search_ours(star: Curve) -> float:
    found = find_periods(
        star.curves, period_min=1 / star.high, period_max=1 / star.low, n_candidates=1
    )
    return float(found["period"][0].value)


def search_astropy(star: Curve) -> float:
    own = star.band == list(star.curves.bands).index("g")
    scargle = LombScargle(star.time[own], star.value[own], star.error[own])
    frequency = star.frequency
    power = scargle.power(frequency, method="fast", assume_regular_frequency=True)
    return float(1 / frequency[np.argmax(power)])


def search_multiband(star: Curve) -> float:
    """Every band by astropy's fast method, their powers added up by weight."""
    scargle = LombScargleMultiband(
        star.time, star.value, star.band, star.error, nterms_base=1, nterms_band=1
    )
    power = scargle.power(star.frequency, method="fast", sb_method="fast")
    return float(1 / star.frequency[np.argmax(power)])


def search_nifty(n_terms: int) -> Callable[[Curve], float]:
    def search(star: Curve) -> float:
        power = nifty_ls.lombscargle(
            star.time, star.value, star.error, fmin=star.low, fmax=star.high, Nf=star.n,
            nterms=n_terms, nthreads=1,
        ).power  # fmt: skip
        return float(1 / star.frequency[np.argmax(power)])

    return search


METHODS = {
    "find_periods": (search_ours, 1),
    "astropy fast, one band (g)": (search_astropy, 4),
    "astropy multiband fast": (search_multiband, 12),
    "nifty-ls, 1 term": (search_nifty(1), 1),
    "nifty-ls, 3 terms": (search_nifty(3), 1),
}


def classify_errors(period: np.ndarray, true: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """One column per kind; a wrong period may be of none of them."""
    right = np.abs(period / true - 1) < 1e-4
    one, two, width = 1 / period, 1 / true, 2 / baseline
    day = np.zeros(len(period), dtype=bool)
    for k in (1, 2, 3):
        for length in (1.0, SIDEREAL):
            for apart in (np.abs(one - two), one + two):
                day |= np.abs(apart - k * length) < width
    year = np.abs(np.abs(one - two) - 1 / 365.25) < width
    half, double = np.abs(one - 2 * two) < width, np.abs(one - two / 2) < width
    return np.column_stack([right, day & ~right, year & ~right, half & ~right, double & ~right])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--period-min", type=float, default=0.2, help="days (0.2)")
    parser.add_argument("--period-max", type=float, default=1.2, help="days (1.2)")
    parser.add_argument("--every", type=int, default=1, help="use every n-th star (1)")
    options = parser.parse_args()
    begin = time.perf_counter()
    folder = fetch_dataset("sdss-s82-rrlyrae")
    curves = read_lightcurves(folder / "light-curves", time_format="mjd", time_scale="utc")
    table = np.genfromtxt(
        folder / "periods.csv", delimiter=",", names=True, dtype=None, encoding=None
    )
    known = dict(zip(table["Num"].astype(str), table["Per"], strict=True))
    chosen = np.zeros(len(curves), dtype=bool)
    chosen[np.random.default_rng(0).permutation(len(curves))[: len(curves) // 2]] = True
    numbers = np.arange(0, len(curves), options.every)
    low, high = 1 / options.period_max, 1 / options.period_min
    found = {name: np.full(len(curves), np.nan) for name in METHODS}
    spent: dict[str, dict[int, float]] = {name: {} for name in METHODS}
    baseline = np.full(len(curves), np.nan)
    for search, _ in METHODS.values():  # compiles and plans
        search(take_curve(curves, 0, low, high))
    for number in numbers:  # methods in turn, so that a busy machine slows all of them
        star = take_curve(curves, number, low, high)
        baseline[number] = star.baseline
        for name, (search, share) in METHODS.items():
            if number // options.every % share == 0:
                start = time.process_time()
                found[name][number] = search(star)
                spent[name][int(number)] = time.process_time() - start
    true = np.array([known[name] for name in curves.names.astype(str)])
    print(f"{len(numbers)} stars, {curves.n_steps.mean():.0f} steps of {len(curves.bands)} bands")
    print(f"periods {options.period_min:g} to {options.period_max:g} d, processor time")
    print(f"{'method':<28}{'stars':>6}" + "".join(f"{kind:>8}" for kind in KINDS)
          + f"{'ms':>8}{'+-':>6}  of find_periods")  # fmt: skip
    for name, period in found.items():
        parts = {name: np.isfinite(period)}
        if name == "find_periods":
            parts |= {
                "  development half": parts[name] & chosen,
                "  the other half": parts[name] & ~chosen,
            }
        for label, use in parts.items():
            shares = classify_errors(period[use], true[use], baseline[use]).mean(axis=0)
            row = f"{label:<28}{use.sum():>6}" + "".join(f"{share:>8.4f}" for share in shares)
            if label == name:
                ms = 1e3 * np.array(list(spent[name].values()))
                ratio = np.median(
                    [took / spent["find_periods"][number] for number, took in spent[name].items()]
                )
                row += f"{ms.mean():>8.1f}{ms.std():>6.1f}{ratio:>8.2f}x"
            print(row)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MB, {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
