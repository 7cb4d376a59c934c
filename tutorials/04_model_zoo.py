"""The model zoo: the same four lines for every model, and a table that says what differs.

Run it:  python tutorials/04_model_zoo.py [folder for the figures, default ./results]

The events are the labelled Monte Carlo of the MAGIC telescope from the UCI repository
(doi:10.24432/C52C8B), which comes with the installation. It takes about a minute.
"""

import sys
from pathlib import Path

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

from astroml_kit.cherenkov import extract_samples, read_events
from astroml_kit.datasets import fetch_dataset
from astroml_kit.evaluation import RepeatedGroupKFold, evaluate_classifier, evaluate_sets
from astroml_kit.models import (
    BDTClassifier,
    BlendedClassifier,
    CalibratedClassifier,
    ConformalClassifier,
    DeepEnsemble,
    NeuralClassifier,
    PseudoLabelClassifier,
    list_models,
    load_model,
    save_model,
)
from astroml_kit.plotting import plot_history, plot_reliability, plot_roc
from astroml_kit.samples import Samples

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
folder.mkdir(parents=True, exist_ok=True)

# --- 1. What there is ----------------------------------------------------------------------------
print("1. The zoo. Every member follows scikit-learn's contract.")
for row in list_models():
    print(f"   {row['name']:24s}{row['task']}")
print()

# --- 2. Five models, the same four lines ---------------------------------------------------------
# One half trains, the other is looked at once; a row and its copies stay on one side.
samples = extract_samples(
    read_events(fetch_dataset("magic-uci") / "magic04.data"), features="derived"
)
train, test = (
    samples.select(rows)
    for rows in next(
        RepeatedGroupKFold(2, random_state=1).split(samples.X, samples.y, samples.groups)
    )
)
trees = BDTClassifier(n_estimators=150, learning_rate=0.08, random_state=1)
network = NeuralClassifier(max_epochs=25, learning_rate=0.003, random_state=1)
members = {
    "trees": trees,
    "network": network,
    "three networks": DeepEnsemble(network, n_members=3, random_state=1),
    "trees, calibrated": CalibratedClassifier(trees, n_splits=3, random_state=1),
    "trees and network": BlendedClassifier(
        [("trees", trees), ("network", network)], n_splits=3, random_state=1
    ),
}
print(f"2. {train}\n   Errors are from a bootstrap over groups of the test half.")
results, table = (
    {},
    Table(names=("model", "auc", "loacc", "ece"), dtype=("U20", "U20", "U20", float)),
)
for name, member in members.items():
    model = member.fit(train)
    score = model.predict_proba(test)[:, 1]
    results[name] = evaluate_classifier(test.y, score, groups=test.groups, n_bootstrap=50, rng=1)
    auc, loacc = (f"{getattr(results[name], k):.4f} +- {results[name].errors[k]:.4f}"
                  for k in ("auc", "loacc"))  # fmt: skip
    table.add_row((name, auc, loacc, results[name].ece))
table["ece"].info.format = ".4f"
print("\n".join("   " + line for line in table.pformat(max_width=-1)), "\n")
figure = Figure(figsize=(11, 4.2), layout="constrained")
left, middle, right = figure.subplots(1, 3)
for name, result in results.items():
    plot_roc(result, label=name, ax=left)
for name in ("trees", "trees, calibrated"):
    plot_reliability(results[name], label=name, ax=middle)
plot_history(network, ax=right)
figure.savefig(folder / "model_zoo.png", dpi=120)

# --- 3. Sets that hold the truth -----------------------------------------------------------------
model = ConformalClassifier(trees, confidence=0.9, random_state=1).fit(train)
sets = model.predict_sets(test)
print(f"3. Sets of classes at 90 %: {evaluate_sets(test.y, sets)}")
print("   That error is of the test alone; which 2,400 events were held out moves it by 0.7 %.\n")

# --- 4. Few labels -------------------------------------------------------------------------------
rng = np.random.default_rng(2)
y = np.full(len(train), -1)
few = rng.choice(len(train), 60, replace=False)
y[few] = train.y[few]
hidden = Samples(train.X, y=y, groups=train.groups, feature_names=train.feature_names)
small = BDTClassifier(n_estimators=60, min_samples_leaf=5, random_state=1)
model = PseudoLabelClassifier(small, random_state=1).fit(hidden)
print(f"4. Sixty labels, {len(train) - 60} events without: {model}")
for label, one in (("labels alone", small.fit(train.select(few))), ("all of it", model)):
    auc = evaluate_classifier(test.y, one.predict_proba(test)[:, 1], n_bootstrap=0).auc
    print(f"   {label:14s}auc {auc:.4f}")
print()

# --- 5. A card, and a file without pickle --------------------------------------------------------
path = folder / "trees.model"
save_model(trees, path, metrics=results["trees"].to_dict(), training=train)
print("5. The card of a file, as `astroml-kit models show FILE` prints it:\n")
card = load_model(path).card(limits=("Trained on simulations of one telescope at low zenith.",))
print("\n".join("   " + line for line in str(card).splitlines()))
