"""Find the odd ones: rank galaxies without a label, look at a few, rank again.

Run it:  python tutorials/12_find_the_odd_ones.py [folder for the figures, default ./results]

The galaxies are simulated, so that the truth is known: a few mergers and a few trails of
satellites among hundreds of ordinary ones. It takes less than a minute.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from astroml_kit.images import (
    extract_anomaly_features,
    find_anomalies,
    find_image_groups,
    find_similar,
    simulate_stamps,
)
from astroml_kit.models import AnomalyLoop, Autoencoder, reduce_dimensions
from astroml_kit.plotting import plot_embedding, plot_reconstructions, plot_similar, plot_stamps

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
folder.mkdir(parents=True, exist_ok=True)


def save(ax, name):
    """Save the figure of a plot and say where."""
    ax.figure.savefig(folder / name, dpi=120)
    print(f"   {name}")


# --- 1. Rank without a label ---------------------------------------------------------------------
stamps = simulate_stamps(
    700,
    classes=("elliptical", "edge-on", "spiral", "merger", "artefact"),
    fractions=(0.55, 0.15, 0.25, 0.03, 0.02),
    rng=12,
)
label = np.asarray(stamps.table["label"])
features = extract_anomaly_features(stamps, label="label")
odd = find_anomalies(features)
is_odd = np.isin(label, ("merger", "artefact"))
print(f"1. {stamps}; {is_odd.sum()} of them are odd.")
print(f"   Area under the ROC curve without a label: {roc_auc_score(is_odd, odd['score']):.3f}")
print("   The oddest, and why:")
order = np.argsort(odd["rank"])
for k in order[:5]:
    print(f"   {odd['rank'][k]:3d}  {label[k]:12s}{odd['reason'][k]}")
save(
    plot_stamps(stamps[order[:24]], scores=odd["score"][order[:24]], labels=label[order[:24]]),
    "12_oddest.png",
)

# --- 2. Say what you want to see more of ---------------------------------------------------------
# You want mergers, and have seen enough trails. Here the truth answers; at your desk, you do,
# looking at `plot_stamps(stamps[rows])`, in a script or a notebook.
wanted = label == "merger"
loop = AnomalyLoop(features, odd["score"])
print(f"\n2. You look at 40 stamps, ten at a time, and want mergers: there are {wanted.sum()}.")
with tempfile.TemporaryDirectory() as desk:
    for evening in range(4):
        rows = loop.query(10, explore=0.2)
        loop.label(rows, wanted[rows])
        file = loop.save(Path(desk) / "answers.json")
        loop = AnomalyLoop.load(file, features)  # the next evening goes on where this one ended
        print(f"   evening {evening + 1}: {loop}")
unasked = wanted[order[:40]].sum()
print(f"   The first 40 of the first ranking hold {unasked}.")
ranked = np.asarray(loop.rank()["id"])[:24]
save(
    plot_stamps(stamps[ranked], labels=loop.labels[ranked], scores=loop.scores[ranked]),
    "12_after_answers.png",
)

# --- 3. An autoencoder's map ---------------------------------------------------------------------
# Its latent numbers place alike galaxies side by side; it sees the mean of the bands, stretched.
images = stamps.to_samples().X.mean(axis=1)[:, 8:56, 8:56]
model = Autoencoder(
    8, space="components", n_components=64, activation="silu", max_epochs=40, random_state=1
).fit(images)
latent = model.transform(images)
best = int(np.flatnonzero(wanted)[np.argmax(loop.scores[wanted])])
similar = find_similar([best, int(np.argmin(odd["score"]))], latent, n=7, metric="euclidean")
groups = find_image_groups(latent, n_groups=4)
print(f"\n3. {len(latent)} stamps in {latent.shape[1]} numbers; groups of",
      ", ".join(str(n) for n in np.bincount(groups["group"])))  # fmt: skip
save(plot_similar(stamps, similar), "12_similar.png")
ax = Figure(figsize=(7, 6), layout="constrained").subplots()
places = reduce_dimensions(latent, random_state=1)
save(plot_embedding(places, labels=groups["group"], images=stamps, ax=ax), "12_map.png")
ax = Figure(figsize=(8, 4), layout="constrained").subplots()
shown = order[:8]
save(plot_reconstructions(images[shown], model.reconstruct(images[shown]), ax=ax),
     "12_reconstructions.png")  # fmt: skip
