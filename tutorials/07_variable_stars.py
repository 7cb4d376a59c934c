"""Variable stars: from a file to periods and classes, by trees on features and a network on folds.

Run it:  python tutorials/07_variable_stars.py [folder for the figures, default ./results]

The stars are simulated by this package with the nights, errors and outliers of a survey like ASAS:
twenty of each of six kinds, 3,300 days long. A classifier finds them easier than real ones; the
last lines say how to run the same on those. It takes about half a minute, most of it for periods.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import cross_val_predict

from astroml_kit.evaluation import RepeatedGroupKFold
from astroml_kit.lightcurves import (
    clean_lightcurves,
    compute_periodogram,
    find_periods,
    fold_lightcurves,
    mask_fold_outliers,
    read_lightcurves,
    simulate_lightcurves,
    write_lightcurves,
)
from astroml_kit.lightcurves.features import extract_features
from astroml_kit.lightcurves.sequences import extract_phase_curves
from astroml_kit.models import BDTClassifier, SequenceClassifier
from astroml_kit.plotting import (
    plot_attention,
    plot_confusion,
    plot_folded,
    plot_lightcurve,
    plot_periodogram,
)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
folder.mkdir(parents=True, exist_ok=True)

# --- 1. Read, clean ------------------------------------------------------------------------------
# What a survey hands out is a file: here we write one first. Cleaning masks steps whose error is
# five times that of their star and those far too bright; what is too faint may be an eclipse, and
# waits for the period.
kinds = ["cepheid", "contact", "detached", "rr-ab", "rr-c", "semi-detached"]
with tempfile.TemporaryDirectory() as survey:
    simulated = simulate_lightcurves(kinds, n=20, survey="asas", outliers=0.01, random_state=1)
    curves = read_lightcurves(write_lightcurves(simulated, Path(survey) / "survey.parquet"))
print(f"1. {curves}")
curves = clean_lightcurves(curves)
for note in ("n_noisy", "n_outliers"):
    print(f"   {note[2:]:9s}masked: {curves.objects[note].sum()} steps")
print()

# --- 2. Periods, and what they may be taken for --------------------------------------------------
# A star seen once a night looks alike at frequencies a day apart; one with two equal minima, at
# half its period. The candidates say what they are to the best of them.
periods = find_periods(curves, period_min=0.1)
best = periods[periods["rank"] == 0]
ratio = best["period"].value / curves.objects["period"]
label = np.asarray(curves.objects["label"])
print("2. Share of stars at their true period, at half of it, and elsewhere.")
for kind in kinds:
    found = [np.mean(np.abs(ratio[label == kind] / x - 1) < 1e-3) for x in (1, 0.5)]
    print(f"   {kind:14s}{found[0]:5.0%}{found[1]:5.0%}{1 - sum(found):5.0%}")
name = "rr-ab-00003"
print(f"   Candidates of {name}:")
rows = periods[periods["name"] == name]["rank", "period", "power", "alias"]
rows["period"].info.format, rows["power"].info.format = ".7f", ".3f"
print("\n".join("   " + line for line in rows.pformat(max_width=-1)))

# With a period, what a star does every cycle is known, and so is what does not belong to it.
curves = mask_fold_outliers(curves, period=periods)
print(f"   Off their folds, and masked: {curves.objects['n_fold_outliers'].sum()} steps\n")
star = curves[name]
figure = Figure(figsize=(13, 4.2), layout="constrained")
left, middle, right = figure.subplots(1, 3)
plot_lightcurve(star, ax=left)
plot_periodogram(compute_periodogram(star), ax=middle)
plot_folded(fold_lightcurves(star, period=periods), ax=right)
figure.savefig(folder / "variable_star.png", dpi=120)

# --- 3. Trees on features, a network on folds ----------------------------------------------------
# Every star is a group of its own: it is scored by models that never saw it. The network reads 32
# bins of phase, at the period and at twice it; what a star's features are it has to find out.
features = extract_features(curves, periods=periods, label="label")
folds = extract_phase_curves(curves, periods=periods, label="label", n_phases=32)
trees = BDTClassifier(n_estimators=60, learning_rate=0.1, min_samples_leaf=5, random_state=1)
network = SequenceClassifier(
    "conv",
    time_column=None,
    hidden_size=24,
    n_layers=2,
    batch_size=16,
    max_epochs=20,
    learning_rate=0.01,
    early_stopping=False,
    random_state=1,
)
splits = RepeatedGroupKFold(4, random_state=1)
classes = features.meta["classes"]
print("3. Four folds by star; the spread is that of the folds.")
figure = Figure(figsize=(11, 4.8), layout="constrained")
for ax, (title, model, samples) in zip(
    figure.subplots(1, 2),
    (("trees on features", trees, features), ("network on folds", network, folds)),
    strict=True,
):
    predicted = cross_val_predict(model, samples.X, samples.y, groups=samples.groups, cv=splits)
    scores = [
        balanced_accuracy_score(samples.y[test], predicted[test])
        for _, test in splits.split(samples.X, samples.y, samples.groups)
    ]
    score = f"balanced accuracy {np.mean(scores):.3f} +- {np.std(scores, ddof=1):.3f}"
    print(f"   {title:20s}{samples.X.shape!s:16s}{score}")
    plot_confusion(samples.y, predicted, classes=classes, ax=ax)
    ax.set_title(f"{title}\n{score}", fontsize="medium")
figure.savefig(folder / "variable_star_classes.png", dpi=120)
print()

# --- 4. Where the network looks ------------------------------------------------------------------
network.fit(folds)
columns = folds.meta["columns"]
figure = Figure(figsize=(11, 3.8), layout="constrained")
for ax, kind in zip(figure.subplots(1, 2), ("contact", "rr-ab"), strict=True):
    # the largest amplitude of its kind
    number = int(np.argmax(np.where(label == kind, curves.objects["amplitude"], 0)))
    (weights,) = network.predict_attention(folds.X[[number]])
    value_column = columns.index("double_V" if kind == "contact" else "period_V")
    plot_attention(folds.X[number], weights, time_column=None, value_column=value_column, ax=ax)
    ax.invert_yaxis()
    cycle = "two periods" if kind == "contact" else "one period"
    ax.set(title=f"{kind}, {cycle}", xlabel="bin of phase", ylabel="magnitude / scatter")
    print(
        f"4. {kind}: bin {weights.argmax()} of 32 counts {32 * weights.max():.1f} of an even share"
    )
figure.savefig(folder / "variable_star_attention.png", dpi=120)

# --- 5. The same on real stars -------------------------------------------------------------------
print("""
5. On the 2,100 variables of ASAS (some minutes), instead of the lines of section 1:

   folder = fetch_dataset("asas-acvs")
   curves = read_lightcurves(folder / "subset7_lightcurves.parquet", unit="mag",
                             time_format="jd", time_scale="utc")
   index = Table.read(folder / "subset7_index.csv", format="ascii.csv")
   curves = clean_lightcurves(curves.add_columns(index, name="obj_id"))

   and label="class_code" further down. Their dates are heliocentric; for times to seconds,
   correct_barycentre(curves, position=SkyCoord(curves.objects["ra"], curves.objects["dec"],
   unit="deg"), reference="sun").""")
