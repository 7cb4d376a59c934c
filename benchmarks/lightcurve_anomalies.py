"""Latent spaces of folded light curves, and how well odd ones are found, split by object.

    python benchmarks/lightcurve_anomalies.py                      # both parts, ASAS
    python benchmarks/lightcurve_anomalies.py --parts latent --latent 4 8 16

Latent: autoencoders and principal components of one size learn from the folds of four fifths of
the objects, without labels. Then: which share of the variance of unseen folds they fail to
repeat, and the balanced accuracy on unseen objects of a linear and a nearest-neighbour classifier
trained on the latent numbers, without and with the log period beside them.

Anomalies: one class after the other is the odd one. "left out": nothing of it is trained on, and
unseen objects of the other classes stand against all of it. "1 %": it makes up one hundredth of
the training samples, and those few are to be found among them. The figure is the area under the
ROC curve. Features and principal components of folds are brought to normal ranks of the training
samples, for every method alike, peers (scikit-learn's) included; no method knows a label, nor was
any of them tuned to these data.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from few_labels import DATASETS, N_SHAPES, condense_features, describe_mean, load_samples
from harness import describe_machine
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from astroml_kit.models import AnomalyDetector, Autoencoder, VariationalAutoencoder
from astroml_kit.samples import Samples

SEED = 2014
N_FOLDS = 5
PERIOD = 2  # the column of the log period, the same at all phases
SHARE = 0.01
N_LATENT = 8
NETWORK: dict[str, Any] = {
    "hidden_layers": (64,), "learning_rate": 3e-3, "batch_size": 64, "max_epochs": 60,
    "random_state": 1,
}  # fmt: skip


def make_components(n_latent: int) -> Any:
    return make_pipeline(StandardScaler(), PCA(n_latent, random_state=0))


def list_splits(table: Samples, n_splits: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The first few of five folds by object."""
    folds = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=SEED)
    return list(folds.split(table.X, table.y, table.groups))[:n_splits]


def measure_latent(folds: Samples, n_latent: int, n_splits: int) -> None:
    """Print what is lost in the reconstruction and what simple classifiers see."""
    rows = folds.X[:, :, :N_SHAPES].reshape(len(folds), -1)
    period = folds.X[:, :1, PERIOD]
    makers = {
        "principal components": make_components,
        "autoencoder": lambda n: Autoencoder(n, **NETWORK),
        "variational": lambda n: VariationalAutoencoder(n, **NETWORK),
    }
    measured: dict[str, list[list[float]]] = {name: [] for name in makers}
    for train, test in list_splits(folds, n_splits):
        scale = StandardScaler().fit(rows[train])
        for name, make in makers.items():
            model = make(n_latent).fit(rows[train])
            again = model.inverse_transform(model.transform(rows[test]))
            lost = np.mean((scale.transform(again) - scale.transform(rows[test])) ** 2)
            found = [lost / np.mean(scale.transform(rows[test]) ** 2)]
            latent = model.transform(rows)
            for beside in (latent, np.column_stack([latent, period])):
                for probe in (LogisticRegression(max_iter=2000), KNeighborsClassifier(10)):
                    judge = make_pipeline(StandardScaler(), probe)
                    judge.fit(beside[train], folds.y[train])
                    said = judge.predict(beside[test])
                    found.append(balanced_accuracy_score(folds.y[test], said))
            measured[name].append(found)
    print(f"\n{n_latent} latent numbers, {n_splits} folds: variance lost, balanced accuracy")
    heads = ("lost", "linear", "neighbours", "linear, period", "neighbours, period")
    print(f"{'':>21} " + " ".join(f"{head:>18}" for head in heads))
    for name, values in measured.items():
        cells = [describe_mean(column) for column in zip(*values, strict=True)]
        print(f"{name:>21} " + " ".join(f"{cell:>18}" for cell in cells), flush=True)


def score_methods(
    table: np.ndarray, folds: np.ndarray, train: np.ndarray, test: np.ndarray
) -> dict[str, np.ndarray]:
    """How odd each test row is to every method, after training without labels."""
    detector = AnomalyDetector(max_epochs=60, random_state=1).fit(table[train])
    found = {"detector, mean of ranks": -detector.score_samples(table[test])}
    each = detector.score_each(table[test])
    found |= {f"  {name}": -np.asarray(each[name]) for name in each.colnames}
    rows = folds[:, :, :N_SHAPES].reshape(len(folds), -1)
    coder = Autoencoder(N_LATENT, **NETWORK).fit(rows[train])
    latent = np.column_stack([coder.transform(rows), folds[:, 0, PERIOD:]])
    near = AnomalyDetector(("embedding",), random_state=1).fit(latent[train])
    found["detector, latent space"] = -near.score_samples(latent[test])
    forest = IsolationForest(n_estimators=200, random_state=1).fit(table[train])
    found["IsolationForest"] = -forest.score_samples(table[test])
    factor = LocalOutlierFactor(n_neighbors=20, novelty=True).fit(table[train])
    found["LocalOutlierFactor"] = -factor.score_samples(table[test])
    return found


def measure_anomalies(table: Samples, folds: Samples, n_splits: int, *, mixed: bool) -> None:
    """Print the area under the ROC curve of every method, class by class and on average."""
    classes = table.meta["classes"]
    areas: dict[str, np.ndarray] = {}
    for number, (train, test) in enumerate(list_splits(table, n_splits)):
        for odd in range(len(classes)):
            known = train[table.y[train] != odd]
            if mixed:
                rng = np.random.default_rng([SEED, number, odd])
                n_odd = round(SHARE * len(known) / (1 - SHARE))
                few = rng.choice(train[table.y[train] == odd], n_odd, replace=False)
                known = judged = np.sort(np.concatenate([known, few]))
            else:
                judged = np.union1d(test, np.flatnonzero(table.y == odd))
            rows = condense_features(table, folds, known)
            for name, score in score_methods(rows, folds.X, known, judged).items():
                area = roc_auc_score(table.y[judged] == odd, score)
                areas.setdefault(name, np.zeros((n_splits, len(classes))))[number, odd] = area
    kind = f"{SHARE:.0%} of the training samples" if mixed else "left out of the training"
    print(f"\nodd class {kind}, {n_splits} folds: area under the ROC curve")
    print(f"{'':>24} " + " ".join(f"{str(name)[:9]:>9}" for name in classes) + f"{'mean':>18}")
    for name, area in areas.items():
        cells = " ".join(f"{value:9.3f}" for value in area.mean(axis=0))
        print(f"{name:>24} {cells} {describe_mean(area.mean(axis=1)):>17}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Latent spaces and anomalies of light curves.")
    parser.add_argument("--dataset", choices=DATASETS, default="asas")
    parser.add_argument("--parts", nargs="+", choices=("latent", "anomalies"),
                        default=["latent", "anomalies"])  # fmt: skip
    parser.add_argument("--latent", nargs="+", type=int, default=[N_LATENT])
    parser.add_argument("--splits", type=int, default=N_FOLDS, help="folds of five to use (5)")
    parser.add_argument("--cache", type=Path, help="folder to keep features in")
    options = parser.parse_args()
    machine = describe_machine()
    print(f"python {machine['python']}, {machine['cores']} cores, {machine['versions']}")
    start = time.perf_counter()
    table, folds = load_samples(options.dataset, cache=options.cache)
    print(f"{table}; classes {table.meta['classes']}", flush=True)
    if "latent" in options.parts:
        for n_latent in options.latent:
            measure_latent(folds, n_latent, options.splits)
    if "anomalies" in options.parts:
        for mixed in (False, True):
            measure_anomalies(table, folds, options.splits, mixed=mixed)
    print(f"\n{time.perf_counter() - start:.0f} s, {time.process_time():.0f} s of processor time")


if __name__ == "__main__":
    main()
