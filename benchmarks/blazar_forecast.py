"""How well is the weekly gamma-ray flux of two blazars forecast, and do the intervals hold?

    python benchmarks/blazar_forecast.py                   # some minutes on one core
    python benchmarks/blazar_forecast.py --no-networks     # one minute
    python benchmarks/blazar_forecast.py --monthly

3C 273 and 3C 454.3 in the Fermi-LAT Light Curve Repository (data set fermi-lcr). The last 30 % of
the steps are forecast 1, 2, 4 and 8 steps ahead, each from what was known then: fits (anew every
26 steps, networks once before the test), the choice of covariates and the calibration of quantiles
see nothing later; networks learn from the past of both sources. What a person chose was chosen on
the first 70 %, which ``--development`` scores alone.

"limits as values": upper limits stand for the flux, in what is learned and in what is scored: so
persistence gives the published 0.241 / 0.315 (3C 273) and 0.182 / 0.254 dex (3C 454.3) at 1 and 4
weeks. "limits censored": they are known to be above the flux, and detections alone are scored,
which are the brighter weeks. Errors are by a block bootstrap; a difference whose 95 % interval
holds 0 is a tie.
"""

from __future__ import annotations

import argparse
import time

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from astroml_kit.datasets import fetch_dataset
from astroml_kit.lightcurves import (
    compare_forecasts,
    evaluate_forecast,
    measure_solar_proximity,
    read_lightcurves,
)

SOURCES = {
    "3C 273": ("4FGL_J1229.0+0202", SkyCoord(187.278 * u.deg, 2.052 * u.deg)),
    "3C 454.3": ("4FGL_J2253.9+1609", SkyCoord(343.491 * u.deg, 16.148 * u.deg)),
}
# RMSE in dex to reach at 1 and 4 weeks, limits as values.
TARGETS = {"3C 273": {1: 0.211, 4: 0.246}, "3C 454.3": {1: 0.170, 4: 0.233}}
HORIZONS = (1, 2, 4, 8)
METHODS = ("persistence", "drw", "gp", "autoregressive", "lstm", "blend")
PROTOCOLS = {"value": "limits as values", "censored": "limits censored, detections scored"}


def print_scores(result, targets: dict[int, float]) -> None:
    print(f"{'method':15s}{'ahead':>6s}{'n':>5s}{'rmse [dex]':>17s}{'bias':>8s}{'CRPS':>8s}"
          f"{'pinball':>9s}{'90 % covers':>16s}{'width':>7s}{'floor':>7s}")  # fmt: skip
    for row in result.table:
        wanted = targets.get(int(row["horizon"]))
        said = "" if wanted is None else f"  {'<=' if row['rmse'] <= wanted else '> '} {wanted}"
        print(
            f"{row['method']:15s}{row['horizon']:6d}{row['n']:5d}"
            f"{row['rmse']:9.4f} +-{row['rmse_error']:.3f}{row['bias']:+8.3f}{row['crps']:8.4f}"
            f"{row['pinball']:9.4f}{row['coverage']:9.3f} +-{row['coverage_error']:.3f}"
            f"{row['width']:7.2f}{row['floor']:7.3f}{said}"
        )


def print_pairs(result, methods: list[str]) -> None:
    for first in [name for name in ("persistence", "gp") if name in methods]:
        for second in [name for name in ("gp", "blend") if name in methods and name != first]:
            said = [
                f"{row['horizon']}: {row['difference']:+.4f} +- {row['error']:.4f} {row['better']}"
                for row in compare_forecasts(result, first, second, rng=0)
            ]
            print(f"rmse of {first} minus {second}: " + "; ".join(said))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--no-networks", action="store_true", help="leave out lstm and blend")
    parser.add_argument("--monthly", action="store_true", help="monthly flux, no targets")
    parser.add_argument("--development", action="store_true", help="nothing after the first 70 %%")
    parser.add_argument("--protocols", nargs="+", choices=list(PROTOCOLS), default=list(PROTOCOLS))
    parser.add_argument("--no-sun", action="store_true", help="without the Sun as a covariate")
    parser.add_argument("--alone", action="store_true", help="networks learn from one source")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    methods = [m for m in options.methods if not (options.no_networks and m in ("lstm", "blend"))]
    cadence = "monthly" if options.monthly else "weekly"
    folder, begin = fetch_dataset("fermi-lcr"), time.perf_counter()
    curves = {
        name: read_lightcurves(folder / f"{entry}_{cadence}_12_23_2024.csv")[0]
        for name, (entry, _) in SOURCES.items()
    }
    for name, (_, position) in SOURCES.items():
        curve = curves[name]
        others = [] if options.alone else [curves[other] for other in SOURCES if other != name]
        start = 0.701  # persistence has its published RMSE with this first step, not with others
        if options.development:
            curve = curve.select(slice(0, int(0.7 * len(curve))))
            start = 0.44
        covariates = None if options.no_sun else (
            lambda when, position=position: measure_solar_proximity(when, position=position)
        )  # fmt: skip
        for limits in options.protocols:
            result = evaluate_forecast(
                curve, horizons=HORIZONS, methods=methods, start=start, limits=limits,
                covariates=covariates, others=others, rng=options.seed,
                refit=6 if options.monthly else 26, block=13 if options.monthly else 26,
            )  # fmt: skip
            first = result.rows["time"][np.argmin(result.rows["time"].mjd)]
            print(f"\n{name}, {cadence}, {PROTOCOLS[limits]}, from {first.iso[:10]} on")
            scored = limits == "value" and not (options.monthly or options.development)
            print_scores(result, TARGETS[name] if scored else {})
            print_pairs(result, methods)
            spent = result.meta["seconds"].items()
            print("seconds: " + ", ".join(f"{key} {value:.1f}" for key, value in spent))
    print(f"\nall of it: {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
