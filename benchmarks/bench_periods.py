"""Periodograms beside nifty-ls called directly, a whole search beside astropy's fast method."""

from __future__ import annotations

import numpy as np
from harness import Comparison, compare, import_peer, main

from astroml_kit.lightcurves import LightCurves, compute_periodogram, find_periods

LOW, HIGH = 0.1, 10.0  # per day
KNOWN = {"unit": "mag", "time_format": "mjd", "time_scale": "utc"}


def observe_star(n: int, days: float) -> LightCurves:
    rng = np.random.default_rng(1)
    time = np.sort(rng.uniform(0, days, n))
    value = np.sin(2 * np.pi * time / 0.57) ** 3 + 0.05 * rng.normal(size=n)
    return LightCurves.from_columns(
        name=["star"] * n, time=time, value=value, error=np.full(n, 0.05), **KNOWN
    )


def run(*, repeats: int) -> list[Comparison]:
    """Same times, values and grid for both; the peers are given them ready-made."""
    nifty = import_peer("nifty_ls")
    scargle = import_peer("astropy.timeseries").LombScargle
    rows = []
    for n, days, n_terms in ((280, 2950.0, 1), (280, 2950.0, 3), (5000, 2950.0, 1)):
        curves = observe_star(n, days)
        mine = compute_periodogram(curves, period_min=1 / HIGH, period_max=1 / LOW, n_terms=n_terms)
        error = np.full(n, 1.0)

        def search_directly(curves=curves, error=error, mine=mine, n_terms=n_terms):
            return nifty.lombscargle(
                curves.time - curves.time[0], curves.value, error, fmin=LOW, fmax=HIGH,
                Nf=len(mine.frequency), nterms=n_terms, nthreads=1,
            ).power  # fmt: skip

        def search(curves=curves, n_terms=n_terms):
            return compute_periodogram(
                curves, period_min=1 / HIGH, period_max=1 / LOW, n_terms=n_terms
            ).power

        terms = f"{n_terms} term{'s' * (n_terms > 1)}"
        rows.append(
            compare(
                f"periodogram, {n} steps, {terms}",
                search,
                search_directly,
                peer_name="nifty-ls",
                repeats=repeats,
                tolerance=1e-5,
            )
        )
    curves = observe_star(280, 2950.0)
    grid = np.linspace(LOW, HIGH, int(np.ceil((HIGH - LOW) * np.ptp(curves.time) * 5)) + 1)

    def decide():
        found = find_periods(curves, period_min=1 / HIGH, period_max=1 / LOW, n_candidates=1)
        return found["peak_period"].value

    def peak():
        power = scargle(curves.time, curves.value, curves.error).power(
            grid, method="fast", assume_regular_frequency=True
        )
        return [1 / grid[np.argmax(power)]]

    rows.append(
        compare(
            "period among its aliases, 280 steps",
            decide,
            peak,
            peer_name="astropy fast",
            repeats=repeats,
            tolerance=1e-4,
        )
    )
    return rows


if __name__ == "__main__":
    main(run)
