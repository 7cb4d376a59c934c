"""Is there a source? From counts to a significance one may quote.

Run it:  python tutorials/01_significance.py [folder for the figures, default ./results]

A telescope counts events from the direction of a possible source (ON) and from empty sky around
it (OFF). Everything below follows from these two numbers and from alpha, the exposure of the ON
region over that of the OFF regions. It takes a few seconds and needs no data.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from scipy.stats import norm

from astroml_kit.significance import (
    OnOffCounts,
    compare_selections,
    correct_significance,
    expected_exposure,
    find_effective_trials,
    li_ma_significance,
    p_value_from_significance,
    stack_counts,
)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
folder.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(2024)


def save(figure, name):
    figure.tight_layout()
    figure.savefig(folder / name, dpi=120)
    plt.close(figure)
    print(f"    figure: {name}\n")


# --- 1. One observation --------------------------------------------------------------------------
# 30 events in the ON region; 200 in ten OFF regions of the same size, so alpha = 0.1.

print("1. One observation")
counts = OnOffCounts(n_on=30, n_off=200, alpha=0.1)
print(f"    {counts}")
print(f"    by chance this or more in one of {1 / counts.p_value:.0f} empty observations\n")

# Why not simply excess / error? Because with few counts that ratio does not follow the normal
# distribution whose tails we use to say "one in so many". Look at a hundred thousand observations
# without any source, 3 background events expected in ON:

n_on, n_off = rng.poisson(3, 400_000), rng.poisson(30, 400_000)
error = np.sqrt(np.maximum(n_on + 0.1**2 * n_off, 1e-9))
naive = (n_on - 0.1 * n_off) / error
li_ma = li_ma_significance(n_on, n_off, alpha=0.1)

print("    false alarms among 400 000 empty observations, 3 background events each")
print("    threshold   normal   excess/error   Li & Ma")
for z in (-3, -2, 2, 3):
    beyond = [np.mean(np.sign(z) * s >= abs(z)) for s in (naive, li_ma)]
    print(f"    {z:+d} sigma   {norm.sf(abs(z)):8.5f}   {beyond[0]:12.5f}   {beyond[1]:7.5f}")

figure, ax = plt.subplots(figsize=(6, 4))
edges = np.arange(-6, 5.01, 0.25)
for values, label in ((naive, "excess / error"), (li_ma, "Li & Ma")):
    ax.hist(values, edges, density=True, histtype="step", label=label)
ax.plot(edges, norm.pdf(edges), "k:", label="standard normal")
ax.set(yscale="log", ylim=(1e-5, 1), xlabel="significance", ylabel="density, no source")
ax.legend()
save(figure, "01_null.png")

# --- 2. Adding up nights -------------------------------------------------------------------------
# Two nights with different OFF exposure. The plain mean of the alphas turns an excess into a
# deficit; weighting alpha with the OFF counts keeps each night's own background.

print("2. Adding up nights")
nights = [OnOffCounts(30, 200, 0.1), OnOffCounts(30, 50, 0.5)]
wrong = li_ma_significance(60, 250, alpha=np.mean([night.alpha for night in nights]))
for night in nights:
    print(f"    {night}")
print(f"    with the mean alpha:       {wrong:+.2f} sigma: wrong, and it looks like a deficit")
print(f"    stack_counts:              {stack_counts(nights).significance:+.2f} sigma")
moments = stack_counts(nights, method="moments").significance
print(
    f"    stack_counts, 'moments':   {moments:+.2f} sigma, also keeps the background's variance\n"
)

# --- 3. No source? Say how bright it could be ----------------------------------------------------
# A signal cannot be negative, so neither can its upper limit, however empty the ON region is.
# What a 95 % limit promises is coverage: a true signal lies above it in 5 % of cases at most.

print("3. Upper limits")
for n in (0, 4, 8, 12):
    observed = OnOffCounts(n, 80, 0.1)
    print(f"    n_on {n:2d} over 8 expected: signal < {observed.upper_limit():5.2f} (95 %)")

signal, background, n_toys = 5.0, 8.0, 300
limits = {}  # few different pairs occur: compute each once
below = 0
for pair in zip(
    rng.poisson(signal + background, n_toys), rng.poisson(background / 0.1, n_toys), strict=True
):
    if pair not in limits:
        limits[pair] = OnOffCounts(*pair, alpha=0.1).upper_limit()
    below += limits[pair] < signal
print(f"    a signal of 5: above its limit in {below} of {n_toys} simulated observations")

figure, ax = plt.subplots(figsize=(6, 4))
range_on = np.arange(0, 26)
observations = [OnOffCounts(n, 80, 0.1) for n in range_on]
excess = [o.excess for o in observations]
ax.errorbar(range_on, excess, [o.excess_error for o in observations], fmt="o", label="excess")
for confidence, style in ((0.68, ":"), (0.95, "-"), (0.99, "--")):
    values = [o.upper_limit(confidence) for o in observations]
    ax.plot(range_on, values, style, label=f"upper limit, {confidence:.0%}")
ax.axhline(0, color="grey", lw=0.5)
ax.set(xlabel="events in ON (8 background events expected)", ylabel="signal events")
ax.legend()
save(figure, "01_upper_limits.png")

# --- 4. Every choice is a trial ------------------------------------------------------------------
# Try twenty cuts on the same data and keep the best: even an empty field shows something. The
# tests overlap, so they count as fewer than twenty; toys tell how many.

print("4. Trials")
n_toys, n_cuts = 20_000, 20
steps_on = rng.poisson(5, (n_toys, n_cuts))  # what the next looser cut lets in
steps_off = rng.poisson(50, (n_toys, n_cuts))
all_cuts = li_ma_significance(steps_on.cumsum(1), steps_off.cumsum(1), alpha=0.1)
best = all_cuts.max(axis=1)
trials = find_effective_trials(best, threshold=2.5)
print(f"    best of {n_cuts} cuts on empty sky: {best.mean():.2f} sigma on average")
print(f"    {trials}")
for z in (3.0, 5.0):
    after = correct_significance(z, trials.n_trials)
    p_value = p_value_from_significance(after)
    print(f"    {z:.1f} sigma from the best cut are worth {after:.2f} (p = {p_value:.1e})")

figure, ax = plt.subplots(figsize=(6, 4))
edges = np.arange(-4, 5.01, 0.2)
ax.hist(all_cuts[:, 9], edges, density=True, histtype="step", label="one cut, fixed beforehand")
ax.hist(best, edges, density=True, histtype="step", label="the best of twenty")
corrected = correct_significance(best, trials.n_trials)
ax.hist(corrected, edges, density=True, histtype="step", label="the best, after trials")
ax.plot(edges, norm.pdf(edges), "k:", label="standard normal")
ax.set(xlabel="significance", ylabel="density, no source")
ax.legend(loc="upper left", fontsize="small")
save(figure, "01_trials.png")

# --- 5. What has a better selection gained? ------------------------------------------------------
# The same twelve runs with standard cuts and with a learned selection that keeps 80 % of the
# signal and a quarter of the background. What passes the one mostly passes the other, so the
# bootstrap draws the same runs for both.

print("5. The gain")
standard, learned = [], []
for _ in range(12):
    kept = OnOffCounts(rng.poisson(0.8 * 8 + 0.25 * 24), rng.poisson(0.25 * 240), 0.1)
    rest = rng.poisson(0.2 * 8 + 0.75 * 24), rng.poisson(0.75 * 240)
    learned.append(kept)
    standard.append(OnOffCounts(kept.n_on + rest[0], kept.n_off + rest[1], 0.1))
gain = compare_selections(standard, learned, n_trials=1, rng=rng)
print(f"    standard: {gain.baseline}")
print(f"    learned:  {gain.selected}")
print(f"    ratio {gain.ratio:.2f}, {gain.confidence:.0%} interval "
      f"{gain.ratio_interval[0]:.2f} to {gain.ratio_interval[1]:.2f}")  # fmt: skip
print(f"    the standard cuts would need {gain.exposure_factor:.1f} times the exposure")
runs = [expected_exposure(5, s, b, alpha=0.1) for s, b in ((8, 24), (6.4, 6))]
print(f"    runs to 5 sigma, expected: {runs[0]:.1f} with standard cuts, {runs[1]:.1f} learned")
