"""What kind of galaxy is it? A small network, votes of volunteers, and galaxies that never were.

Run it:  python tutorials/10_galaxy_morphology.py [folder for the figures, default ./results]

Everything is simulated; it takes under a minute. With images of your own, `read_stamps` (a folder
or a zip of pictures, NPZ, Parquet) or `extract_stamps` (positions in FITS images) takes the place
of `simulate_stamps`: what follows wants `Stamps`.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import balanced_accuracy_score

from astroml_kit.evaluation import evaluate_classifier
from astroml_kit.images import simulate_stamps, stretch_images
from astroml_kit.models import (
    Autoencoder,
    ImageClassifier,
    frechet_distance,
    interpolate_latent,
)
from astroml_kit.plotting import plot_confusion, plot_explanations, plot_history, plot_images

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
folder.mkdir(parents=True, exist_ok=True)
NAMES = ["elliptical", "edge-on", "spiral", "merger"]

# --- 1. A survey ---------------------------------------------------------------------------------
# Cut-outs of 40 pixels in g, r and i, and what forty volunteers said about each of them.
stamps = simulate_stamps(
    1000, size=40, fractions=(0.4, 0.2, 0.25, 0.15), magnitude_range=(15.5, 18.5), n_votes=40, rng=1
)
print(f"1. {stamps}")
train, test = stamps[:650], stamps[650:]
y_train, y_test = (
    np.array([NAMES.index(k) for k in part.table["label"]]) for part in (train, test)
)
counts = ", ".join(f"{n} {name}" for name, n in zip(NAMES, np.bincount(y_train), strict=True))
print(f"   To learn from: {counts}.\n")

# --- 2. A network that does not care which way is up ----------------------------------------------
# "dihedral" averages over the eight orientations of an image: no quarter turn and no mirror changes
# an answer. Where the sense of winding matters, choose "turns".
options = {
    "channels": (16, 32, 64), "symmetry": "dihedral", "learning_rate": 4e-3, "batch_size": 32,
    "schedule": "cosine", "early_stopping": False, "random_state": 1,
}  # fmt: skip
network = ImageClassifier(max_epochs=12, class_weight="balanced", **options)
network.fit(train.images, y_train)
score = network.predict_proba(test.images)
right = balanced_accuracy_score(y_test, score.argmax(axis=1))
turned = network.predict_proba(np.rot90(test.images, axes=(2, 3)))
mirrored = network.predict_proba(test.images[..., ::-1])
moved = max(np.abs(other - score).mean() for other in (turned, mirrored))
print(f"2. Balanced accuracy {right:.2f} on 350 galaxies that it has not seen; chance is 0.25.\n"
      f"   A quarter turn or a mirror changes a score by {moved:.0e} on average.")  # fmt: skip
result = evaluate_classifier(y_test == 3, score[:, 3], rng=1)
print(f"   Mergers against the others: auc {result.auc:.3f} +- {result.errors['auc']:.3f}\n")
# --- 3. Where it looked --------------------------------------------------------------------------
# The last maps of the network, weighted by what each adds to the score of the class (Grad-CAM).
# A class can be told by what is not there: look at the sky around the smooth ones.
shown = [int(np.flatnonzero((y_test == k) & (score.argmax(axis=1) == k))[0]) for k in range(4)]
maps = network.explain(test.images[shown])
figure = Figure(figsize=(9, 5), layout="constrained")
pictures = stretch_images(test.images[shown], method="asinh")
plot_explanations(pictures, maps, titles=NAMES, ax=figure.subplots())
figure.savefig(folder / "morphology_explained.png", dpi=110)
light = test.images[shown].mean(axis=1)
weight = [np.sum(seen * image) / np.sum(image) for seen, image in zip(maps, light, strict=True)]
print(
    "3. Share of the map's peak where the light is, on average: "
    + ", ".join(f"{name} {w:.2f}" for name, w in zip(NAMES, weight, strict=True))
    + ".\n"
)

# --- 4. What volunteers would say ----------------------------------------------------------------
# Votes say more than a label: half of the people may see a spiral in a faint disc. The network
# learns the fractions and how sure of them it can be.
votes = ImageClassifier(
    target="votes", max_epochs=20, **options | {"batch_size": 16, "clip_norm": 1}
)
votes.fit(train.images, np.asarray(train.table["votes"]))
counted = np.asarray(test.table["votes"])
share = counted / counted.sum(axis=1, keepdims=True)
expected = votes.predict_proba(test.images)
low, high = np.moveaxis(votes.predict_interval(test.images, 0.9, n_votes=40), -1, 0)
held = np.mean((low <= share) & (share <= high))
away = np.abs(share - share.mean(axis=0)).mean()
print(f"4. Votes: fractions are off by {np.abs(expected - share).mean():.3f} on average "
      f"({away:.3f} if all were alike);\n   {held:.0%} lie in the 90 % intervals.\n")  # fmt: skip

# --- 5. Galaxies that never were -----------------------------------------------------------------
# An autoencoder learns what galaxies look like, without a label, and keeps six numbers of each. It
# repeats them, draws new ones, and leads from one to another.
small, unseen = (
    part.images.reshape(len(part), 3, 20, 2, 20, 2).mean(axis=(1, 3, 5)) for part in (train, test)
)
model = Autoencoder(6, max_epochs=30, random_state=1).fit(small)
drawn = model.sample(len(unseen), random_state=1)
ends = model.transform(unseen[[shown[1], shown[2]]])
walk = interpolate_latent(model, *ends, n_steps=8)


def compress(images):
    """On the scale on which galaxies were learned, so that the faint is seen."""
    return np.arcsinh(images / np.std(small))


floor = frechet_distance(compress(small[:350]), compress(unseen))
distance = frechet_distance(compress(drawn), compress(unseen))
print(f"5. Frechet distance of drawn galaxies to real ones {distance:.1f}; of real ones to others "
      f"{floor:.1f}.\n")  # fmt: skip

# --- 6. Pictures ---------------------------------------------------------------------------------
figure = Figure(figsize=(11, 4.6), layout="constrained")
left, right = figure.subplots(1, 2)
plot_confusion(y_test, score.argmax(axis=1), classes=NAMES, ax=left)
plot_history(network, ax=right)
figure.savefig(folder / "morphology_scores.png", dpi=110)
figure = Figure(figsize=(9, 4.5), layout="constrained")
rows = compress(np.concatenate([unseen[:8], model.reconstruct(unseen[:8]), drawn[:8], walk]))
axes = plot_images(rows, n_columns=8, ax=figure.subplots())
axes.set_title("real, repeated, drawn, and on the way from an edge-on galaxy to a spiral")
figure.savefig(folder / "morphology_drawn.png", dpi=110)
print(f"6. Figures are in {folder}")
