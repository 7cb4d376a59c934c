"""Forecasts of a blazar's flux: how far they reach, what upper limits are worth, whom to believe.

    python tutorials/09_blazar_forecast.py [folder for the figures]

A simulated blazar is observed once a week by a gamma-ray telescope: often it is too faint to be
seen, and some weeks are lost. Runs in half a minute.
"""

import sys
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
from matplotlib.figure import Figure

from astroml_kit.lightcurves import (
    LightCurve,
    compare_forecasts,
    evaluate_forecast,
    forecast_lightcurve,
    simulate_lightcurves,
)
from astroml_kit.lightcurves.simulation import SURVEYS
from astroml_kit.plotting import plot_coverage, plot_forecast

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
folder.mkdir(parents=True, exist_ok=True)
HORIZONS = (1, 2, 4, 8)  # weeks

# --- 1. A blazar with limits and gaps -------------------------------------------------------------
survey = replace(SURVEYS["fermi"], magnitudes=(16.2, 16.21), agn_scatter=(0.9, 1.1), days=3000)
options = {"n": 1, "survey": survey, "outliers": 0, "random_state": 3}
seen = simulate_lightcurves("agn", **options)[0]
light = simulate_lightcurves("agn", noise=False, **options)[0]  # what is really there
# a week is a detection above two standard deviations, and an upper limit below
faint = seen.value < 2 * seen.error
limit = np.maximum(seen.value, 0 * seen.value) + 2 * seen.error
curve = LightCurve(
    seen.time,
    np.where(faint, limit, seen.value),
    seen.error,
    limit=faint,
    mask=faint,
    name="blazar",
    meta={"limit_confidence": 0.975},
)
kept = np.arange(len(curve)) % 97 >= 3
curve, light = curve.select(kept), light.select(kept)
print("1. What is there")
print(f"   {curve}\n")

# --- 2. A forecast --------------------------------------------------------------------------------
print("2. The next half year, from a Gaussian process that knows what a limit is")
forecast = forecast_lightcurve(curve, horizons=np.arange(1, 27) * u.week, method="gp")
print(f"   {forecast}")
low, high = forecast.compute_quantiles([0.05, 0.95])
for week in (1, 4, 26):
    print(
        f"   in {week:2d} weeks 90 % lie between {low[week - 1].value:.2e} and {high[week - 1]:.2e}"
    )
recent = curve.select(slice(-80, None))
detected = recent.select(~recent.limit)
above = recent.select(recent.limit)
figure = Figure(figsize=(8, 4.5), layout="constrained")
ax = plot_forecast(
    np.column_stack([detected.time.mjd, np.log10(detected.value.value)]),
    forecast.distribution,
    ax=figure.subplots(),
)
ax.plot(above.time.mjd, np.log10(above.value.value), ls="none", marker="v", ms=5, color="#D55E00")
ax.set_xlabel("MJD (triangles: upper limits)")
ax.set_ylabel(f"log10 of flux [{curve.value.unit}]")
figure.savefig(folder / "fan.png", dpi=120)

# --- 3. What such forecasts were worth ------------------------------------------------------------
print("\n3. The last 40 % again, week by week, each from what was known then")
network = {"n_curves": 150, "max_epochs": 6}  # the default is fifteen times as much training
result = evaluate_forecast(
    curve,
    horizons=HORIZONS,
    methods=["persistence", "gp", "lstm"],
    start=0.6,
    quantiles=(0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95),
    network=network,
    rng=1,
)
print(
    "   method       weeks  RMSE [dex]       90 % cover       CRPS   (floor: errors of measuring)"
)
for row in result.table:
    print(
        f"   {row['method']:12s} {row['horizon']:4d}  {row['rmse']:.3f} +- {row['rmse_error']:.3f}"
        f"   {row['coverage']:.2f} +- {row['coverage_error']:.2f}   {row['crps']:.3f}"
        f"   ({row['floor']:.3f})"
    )

# --- 4. Differences and ties ----------------------------------------------------------------------
print("\n4. On the same weeks, drawn together in blocks: who is better?")
for first, second in (("persistence", "gp"), ("lstm", "gp")):
    for row in compare_forecasts(result, first, second, rng=1):
        print(
            f"   {first} minus {second}, {row['horizon']} weeks: {row['difference']:+.3f} +- "
            f"{row['error']:.3f} dex: {row['better']}"
        )

# --- 5. Limits thrown away ------------------------------------------------------------------------
print("\n5. Detections alone are the brighter weeks. Against the light itself, which only we know:")
truth = dict(zip(light.time.mjd.round(3), np.log10(light.value.value), strict=True))
for method, limits in (
    ("gp", "censored"),
    ("gp", "drop"),
    ("gp", "value"),
    ("persistence", "drop"),
    ("persistence", "value"),
):
    rows = evaluate_forecast(
        curve, horizons=1, methods=method, start=0.6, limits=limits, score_limits=True, refit=60
    ).rows
    over = rows["mean"] - np.array([truth[day] for day in rows["time"].mjd.round(3)])
    weak = rows["is_limit"]
    print(
        f"   {method:12s} limits {limits:9s} RMSE {np.sqrt(np.mean(over**2)):.3f} dex, mean error "
        f"{np.mean(over):+.3f} in {len(over)} weeks, {np.mean(over[weak]):+.3f} in the "
        f"{weak.sum()} with a limit"
    )

colours = {"persistence": "#999999", "gp": "#0072B2", "lstm": "#D55E00"}
figure = Figure(figsize=(9, 4), layout="constrained")
left, right = figure.subplots(1, 2)
for method, colour in colours.items():
    own = result.table[result.table["method"] == method]
    left.errorbar(
        own["horizon"], own["rmse"], own["rmse_error"], color=colour, marker="o", label=method
    )
left.set_xscale("log", base=2)
left.set_xticks(HORIZONS, HORIZONS)
left.set_xlabel("weeks ahead")
left.set_ylabel("RMSE [dex]")
left.legend(frameon=False)
rows = result.rows[result.rows["method"] == "gp"]
promised = [0.5, 0.8, 0.9]
covered = [
    np.mean((rows[low] <= rows["truth"]) & (rows["truth"] <= rows[high]))
    for low, high in (("q25", "q75"), ("q10", "q90"), ("q05", "q95"))
]
plot_coverage(promised, covered, label="gp, all horizons", ax=right)
figure.savefig(folder / "evaluation.png", dpi=120)
print(f"\n   figures are in {folder}")
