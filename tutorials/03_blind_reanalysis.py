"""How to find more without fooling yourself: a blind reanalysis from trap to gain.

Run it:  python tutorials/03_blind_reanalysis.py [folder for the figures, default ./results]

A classifier that has seen the events it selects finds sources in empty sky. The first part shows
it; the rest does it right, on labelled Monte Carlo that needs no download. It takes under a minute.
With ASTROML_KIT_DATA set to a folder with hess-dl3-dr1, real events go the same way:
    astroml-kit reanalyse hess-dl3-dr1 --target "MSH 15-52"
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.model_selection import KFold, cross_val_predict

from astroml_kit.models import BDTClassifier
from astroml_kit.plotting import plot_gain, plot_scores
from astroml_kit.reanalysis import reanalyse
from astroml_kit.significance import ScoreBins, li_ma_significance

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
folder.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(3)


# --- 1. The trap ---------------------------------------------------------------------------------
print(
    "1. Empty sky: 200 ON and 2000 OFF events from one distribution, alpha 0.1, no source at all."
)


def count_after_cut(score, is_on):
    """Li & Ma after keeping the third of the events that looks most like ON."""
    kept = score > np.quantile(score, 2 / 3)
    return float(li_ma_significance((kept & is_on).sum(), (kept & ~is_on).sum(), alpha=0.1))


trap, honest = [], []
for _ in range(8):
    X, is_on = rng.normal(size=(2200, 5)), np.arange(2200) < 200
    model = BDTClassifier(n_estimators=60, max_leaves=15, random_state=0)
    trap.append(count_after_cut(model.fit(X, is_on).predict_proba(X)[:, 1], is_on))
    folds = KFold(5, shuffle=True, random_state=0)
    out_of_fold = cross_val_predict(model, X, is_on, cv=folds, method="predict_proba")[:, 1]
    honest.append(count_after_cut(out_of_fold, is_on))
print(f"   trained on the events it then counts: {np.mean(trap):+.1f} sigma on average")
print(f"   trained on other events:              {np.mean(honest):+.1f} sigma on average\n")

# --- 2. A score likelihood by hand ---------------------------------------------------------------
print("2. Counts in bins of a score, OFF from overlapping rotations that reuse events.")
background = np.array([400.0, 150.0, 60.0, 25.0, 10.0])
signal = np.full(5, 20.0)  # bins of equal predicted signal
n_rotations, events_per_rotation = 100, 8  # each event falls in 8 of the 100 rotations on average
n_events = rng.poisson(background.sum() * n_rotations / events_per_rotation)
times = rng.poisson(events_per_rotation, n_events)
off = rng.multinomial(times, background / background.sum()) / n_rotations
bins = ScoreBins(rng.poisson(background + signal), signal, off).merge()
whole = bins.merge(np.ones((1, len(bins.n_on))))
print(
    f"   all in one count: {whole.significance:.2f} sigma, "
    f"as a likelihood: {bins.significance:.2f} sigma"
)
print(f"   with the tail that toys measure: {bins.calibrate()}\n")
figure = Figure(figsize=(7, 4.5), layout="constrained")
plot_scores(
    np.arange(len(bins.n_on) + 1.0),
    bins.n_on,
    bins.background,
    signal=bins.signal * max(bins.strength, 0),
    ax=figure.subplots(),
)
figure.savefig(folder / "score_bins.png", dpi=120)

# --- 3. The whole line, from labelled events to a gain -----------------------------------------
print(
    "3. A weak source in the MAGIC Monte Carlo: one half of the events chooses, the other counts."
)
result = reanalyse("magic", seed=3, progress=False)
for row in result.table:
    print(
        f"   {row['selection']:22s} {row['significance']:6.2f} sigma here, "
        f"{row['expected']:5.2f} +- {row['expected_sd']:.2f} expected"
    )
print(f"   {result.gain}")
figure = Figure(figsize=(7, 4.5), layout="constrained")
plot_gain(result.table, ax=figure.subplots())
figure.savefig(folder / "gain.png", dpi=120)
print(f"   every number is in {result.write(folder).name}, figures are beside it")
