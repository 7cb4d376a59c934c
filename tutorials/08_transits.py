"""Transits: planets put into simulated stars, searched for, doubted, and counted.

Run it:  python tutorials/08_transits.py [folder for the figures, default ./results]

Everything is simulated; it takes about half a minute. With files of your own, `read_lightcurves`
takes the place of `simulate_lightcurves` and `join_lightcurves` puts quarters together.
"""

import sys
from pathlib import Path

import numpy as np
from astropy.table import vstack
from matplotlib.figure import Figure

from astroml_kit.evaluation import RepeatedGroupKFold
from astroml_kit.lightcurves import (
    find_transits,
    flatten_transits,
    inject_transits,
    make_vetting_samples,
    match_transits,
    measure_recovery,
    simulate_lightcurves,
)
from astroml_kit.models import BDTClassifier
from astroml_kit.plotting import plot_recovery, plot_transit
from astroml_kit.significance import OnOffCounts, compare_selections

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
folder.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(1)

# --- 1. One star, two planets --------------------------------------------------------------------
# An active star: its own light varies more than a planet takes away.
star = simulate_lightcurves("constant", n=1, survey="tess", random_state=3)
days = star.time - star.time[0]
star.value[:] *= 1 + 0.01 * np.sin(2 * np.pi * days / 6.1) + 0.004 * np.sin(2 * np.pi * days / 11)
star = inject_transits(star, period=3.21, radius_ratio=0.07, impact=0.3, random_state=1)
star = inject_transits(star, period=7.9, radius_ratio=0.09, impact=0.1, random_state=2)[0]
planets = find_transits(star, period_min=1.0, n_planets=3)
print(f"1. Planets of 3.21 and 7.9 d injected, up to 3 asked for, {len(planets)} found:")
for row in planets:
    period, error = row["period"].value, row["period_error"].value
    print(
        f"   planet {row['planet']}: {period:.4f} +- {error:.4f} d, depth {1e6 * row['depth']:.0f} "
        f"ppm, {row['duration'].value:.1f} h, {row['n_transits']} events, "
        f"{row['significance']:.1f} sigma after {row['n_trials']:.2g} trials"
    )
print()
flat = flatten_transits(star, planets)
figure = Figure(figsize=(11, 6.5), layout="constrained")
axes = figure.subplot_mosaic([["all", "all"], ["one", "two"]])
axes["all"].plot(star.time.jd - star.time.jd[0], star.value, ".", ms=2, label="as observed")
axes["all"].plot(flat.time.jd - star.time.jd[0], flat.value - 0.03, ".", ms=2, label="flat - 0.03")
axes["all"].set(xlabel="days", ylabel="relative flux")
axes["all"].legend(loc="lower left", ncols=2)
for name, row in zip(("one", "two"), planets, strict=False):
    plot_transit(flat, row, ax=axes[name])
figure.savefig(folder / "transits.png", dpi=120)

# --- 2. What a binary looks like -----------------------------------------------------------------
# Two stars that eclipse each other: the search folds them at half of their period.
pair = simulate_lightcurves("constant", n=1, survey="tess", random_state=5)
first = float(pair.time[0])
for epoch, ratio in ((1.0, 0.12), (3.0, 0.10)):
    pair = inject_transits(pair, period=4.0, radius_ratio=ratio, epoch=first + epoch)
row = find_transits(pair[0], period_min=1.0, period_max=2.5)[0]
print(f"2. A binary of 4 d, found at {row['period'].value:.3f} d: odd and even eclipses differ by "
      f"{row['odd_even']:.0f} standard deviations.")  # fmt: skip
planet = planets[0]
print(f"   For the first planet above that is {planet['odd_even']:.1f}.\n")

# --- 3. How deep must a planet be? ---------------------------------------------------------------
# Inject many, search blindly, count. Halves of the stars are spotted: their noise is not white.
n = 48
stars = simulate_lightcurves("constant", n=n, survey="tess", random_state=7)
spots = rng.random(n) < 0.5
for number in np.flatnonzero(spots):
    rows = slice(stars.offsets[number], stars.offsets[number + 1])
    angle = 2 * np.pi * stars.time[rows] / rng.uniform(0.4, 1.5)
    stars.value[rows] *= 1 + rng.uniform(1e-3, 4e-3) * np.sin(angle + rng.uniform(0, 6))
injected = inject_transits(
    stars, period=np.exp(rng.uniform(np.log(2), np.log(9), n)),
    radius_ratio=np.exp(rng.uniform(np.log(0.025), np.log(0.1), n)),
    impact=rng.uniform(0, 0.7, n), random_state=2,
)  # fmt: skip
options = {"period_min": 1.8, "period_max": 10.0, "snr_min": 0.0}
with_planet = find_transits(injected, **options)
without = find_transits(stars, **options)
right = match_transits(with_planet, injected)
strong = np.asarray(with_planet["snr"]) >= 7.1
order = {name: number for number, name in enumerate(injected.names)}
rows = [order[name] for name in with_planet["name"]]
recovery = measure_recovery(
    right & strong, period=np.asarray(injected.objects["injected_period"])[rows],
    depth=1e6 * np.asarray(injected.objects["injected_depth"])[rows],
    period_edges=[2, 4, 9], depth_edges=[400, 1500, 3000, 6000, 13000], of="depth [ppm]",
)  # fmt: skip
print(f"3. Found with snr >= 7.1: {recovery}")
n_false = int(np.sum(np.asarray(without["snr"]) >= 7.1))
print(f"   The same stars without planets: {n_false} of {n} have a candidate as strong as that.\n")

# --- 4. Learn to doubt ---------------------------------------------------------------------------
# A classifier sees what else is known of a candidate: shape, odd and even, other dips. A star is
# either trained on or judged, and thresholds come from stars that are not judged.
both = vstack([with_planet, without], metadata_conflicts="silent")
planted = np.arange(len(both)) < len(with_planet)
y = np.concatenate([right, np.zeros(len(without), dtype=bool)])
samples = make_vetting_samples(both)
used = y | ~planted  # a wrong period in a star with a planet teaches nothing certain
model = BDTClassifier(n_estimators=80, learning_rate=0.05, max_leaves=6, min_samples_leaf=8,
                      random_state=1)  # fmt: skip
FALSE_ALARMS = 0.1
scores = {"box": np.asarray(both["snr"]), "vetting": np.full(len(both), np.nan)}
thirds = list(RepeatedGroupKFold(3, random_state=1).split(samples.X, y, samples.groups))
passed = {name: np.zeros(len(both), dtype=bool) for name in scores}
for number, (_, test) in enumerate(thirds):
    tune = thirds[(number + 1) % 3][1]
    fit = np.setdiff1d(thirds[(number + 2) % 3][1], np.flatnonzero(~used))
    model.fit(samples.X[fit], y[fit].astype(int))
    scores["vetting"] = model.predict_proba(samples.X)[:, 1]
    for name, score in scores.items():
        limit = np.quantile(score[tune][~planted[tune]], 1 - FALSE_ALARMS)
        passed[name][test] = score[test] > limit
runs = {
    name: [
        OnOffCounts(int(np.sum(ok[planted & here])), int(np.sum(ok[~planted & here])), 1.0)
        for here in (samples.groups == star for star in np.unique(samples.groups))
    ]
    for name, ok in passed.items()
}
print(f"4. Thresholds for {FALSE_ALARMS:.0%} false alarms, set on other stars:")
for name, ok in passed.items():
    print(f"   {name:8s}{np.sum(ok & y):4d} of {n} planets, {np.sum(ok & ~planted)} false alarms "
          f"in {n} stars without")  # fmt: skip
print(f"   Stars with planets as ON, the same without as OFF:\n   "
      f"{compare_selections(runs['box'], runs['vetting'], rng=1)}")  # fmt: skip
print("   Thresholds from 16 stars are rough, and so few stars decide little.")
figure = Figure(figsize=(11, 4.5), layout="constrained")
left, middle = figure.subplots(1, 2)
plot_recovery(recovery, ax=left)
snr = scores["box"]
for label, chosen in (("planet", y), ("no planet", ~planted)):
    middle.plot(snr[chosen], samples.X[chosen][:, samples.feature_names.index("contrast")], ".",
                label=label)  # fmt: skip
middle.set(xscale="log", xlabel="signal to noise", ylabel="peak over the best other period")
middle.legend()
figure.savefig(folder / "transit_recovery.png", dpi=120)
