"""Odd galaxies: how high they rank before a label and after some, and what repeats images best.

    python benchmarks/image_anomalies.py
    python benchmarks/image_anomalies.py --half quoted --labels 10 20 50 --draws 10 --cache folder

The odd ones are the "don't know" (trails, artefacts, failed images) and the mergers of the Galaxy
Zoo 1 crops; ROC AUC each against all ordinary galaxies. What is measured and how it is weighted
was chosen on one random half of the galaxies ("chosen"); "quoted" is the other one. After labels,
only galaxies without one count, and the first ranking is quoted for the same ones. Labels are
given ten at a time, half of them at the top and half drawn further down, by `AnomalyLoop`.

Reconstructions: crops of 56 pixels in three colours from 0 to 1, 32 numbers, a fifth of the
galaxies held out in each draw; the principal components see the same images.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from harness import describe_machine
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from astroml_kit.datasets import fetch_dataset
from astroml_kit.images import (
    Stamps,
    extract_anomaly_features,
    find_anomalies,
    read_stamps,
)
from astroml_kit.models import AnomalyLoop, Autoencoder
from astroml_kit.samples import Samples

SPLIT = 2008  # seed of the two halves
DONT_KNOW, MERGER = 4, 5
SHAPES = (
    "log_r50", "ellipticity", "concentration", "asymmetry", "smoothness", "gini", "m20",
    "multimode", "intensity", "deviation",
)  # fmt: skip
N_LATENT = 32


def read_galaxies() -> tuple[Stamps, np.ndarray]:
    """Crops in colours from 0 to 255, and their classes."""
    folder = Path(fetch_dataset("galaxy-zoo1-sdss"))
    stamps = read_stamps(folder / "crops112.zip", labels=folder / "labels.csv", dtype="uint8")
    return stamps, np.asarray(stamps.table["label"]).astype(int)


def measure_features(stamps: Stamps, cache: Path | None) -> Samples:
    """Measure the features, or read them where they have been kept."""
    file = None if cache is None else cache / "image_anomalies.npz"
    if file is not None and file.is_file():
        with np.load(file) as held:
            return Samples(held["X"], feature_names=tuple(held["names"].tolist()))
    start = time.process_time()
    samples = extract_anomaly_features(stamps, group=None)
    print(f"features: {time.process_time() - start:.0f} s CPU for {len(stamps)} stamps")
    if file is not None:
        np.savez(file, X=samples.X, names=np.array(samples.feature_names))
    return Samples(samples.X, feature_names=samples.feature_names)


def compare(scores: np.ndarray, classes: np.ndarray) -> list[float]:
    """AUC of all odd ones, mergers, don't-know, against the ordinary galaxies."""
    ordinary = classes < DONT_KNOW
    kinds = (classes >= DONT_KNOW, classes == MERGER, classes == DONT_KNOW)
    return [roc_auc_score(classes[ordinary | kind] >= DONT_KNOW, scores[ordinary | kind])
            for kind in kinds]  # fmt: skip


def show(name: str, rows: Sequence[Sequence[float]], text: str = "") -> None:
    """Print mean and spread over draws."""
    mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
    cells = "  ".join(f"{m:.3f} +- {s:.3f}" for m, s in zip(mean, spread, strict=True))
    print(f"{name:44s}{cells}  {text}", flush=True)


def rank_galaxies(
    features: Samples, classes: np.ndarray, labels: Sequence[int], draws: int
) -> None:
    """Before any label, and after some."""
    print(f"{'ROC AUC':44s}all              mergers          don't know")
    names = list(features.feature_names)
    X = features.X[:, [names.index(name) for name in SHAPES]]
    X = np.where(np.isfinite(X), X, np.nanmedian(X, axis=0))
    forests = (IsolationForest(n_estimators=300, random_state=seed) for seed in range(draws))
    show("isolation forest on ten shapes", [compare(-forest.fit(X).score_samples(X), classes)
                                            for forest in forests])  # fmt: skip
    for name in ("asymmetry", "lopsidedness"):
        column = features.X[:, names.index(name)]
        column = np.where(np.isfinite(column), column, np.nanmax(column))
        show(name, [compare(column, classes)])
    start = time.perf_counter()
    table = find_anomalies(features)
    first = np.asarray(table["score"])
    show("find_anomalies, before any label", [compare(first, classes)],
         f"{time.perf_counter() - start:.1f} s")  # fmt: skip
    odd = classes >= DONT_KNOW
    found: dict[int, list[list[float]]] = {n: [] for n in labels}
    still: dict[int, list[list[float]]] = {n: [] for n in labels}
    seen: dict[int, list[int]] = {n: [] for n in labels}
    for seed in range(draws):
        loop = AnomalyLoop(features, first, random_state=seed)
        while loop.n_labelled < max(labels):
            rows = loop.query(10)
            loop.label(rows, odd[rows])
            n = loop.n_labelled
            if n in found:
                rest = loop.labels == -1
                found[n].append(compare(loop.scores[rest], classes[rest]))
                still[n].append(compare(first[rest], classes[rest]))
                seen[n].append(int(odd[~rest].sum()))
    for n in labels:
        show(f"after {n} labels", found[n], f"{np.mean(seen[n]):.0f} odd ones among the labelled")
        show("  the first ranking, for the same galaxies", still[n])


def repeat_images(stamps: Stamps, draws: int) -> None:
    """Root mean square error of principal components and an autoencoder on held-out galaxies."""
    n, n_bands, size, _ = stamps.images.shape
    images = stamps.images.reshape(n, n_bands, size // 2, 2, size // 2, 2)
    images = images.mean(axis=(3, 5), dtype=np.float32) / 255
    errors, used = [], []
    for seed in range(draws):
        order = np.random.default_rng(100 + seed).permutation(n)
        held, known = images[order[: n // 5]], images[order[n // 5 :]]
        pca = PCA(N_LATENT, svd_solver="randomized", random_state=0).fit(
            known.reshape(len(known), -1)
        )
        flat = held.reshape(len(held), -1)
        linear = pca.inverse_transform(pca.transform(flat)) - flat
        start = time.process_time()
        model = Autoencoder(
            N_LATENT, space="components", n_components=400, hidden_layers=(512,), stretch="none",
            activation="silu", dropout=0.2, l2=0.1, max_epochs=60, random_state=seed,
        ).fit(known)  # fmt: skip
        used.append(time.process_time() - start)
        bent = model.reconstruct(held) - held
        errors.append([np.sqrt(np.mean(linear**2)), np.sqrt(np.mean(bent**2))])
        print(f"  draw {seed}: principal components {errors[-1][0]:.4f}, "
              f"autoencoder {errors[-1][1]:.4f}", flush=True)  # fmt: skip
    mean, spread = np.mean(errors, axis=0), np.std(errors, axis=0)
    print(f"RMSE of {N_LATENT} principal components {mean[0]:.4f} +- {spread[0]:.4f}, of the "
          f"autoencoder {mean[1]:.4f} +- {spread[1]:.4f}; {np.mean(used):.0f} s CPU")  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=("quoted", "chosen", "both"), default="quoted")
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 20, 50])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--reconstructions", type=int, default=3, help="draws, 0 for none")
    parser.add_argument("--cache", type=Path, help="folder that keeps the features")
    options = parser.parse_args()
    print(describe_machine())
    stamps, classes = read_galaxies()
    features = measure_features(stamps, options.cache)
    chosen = np.random.default_rng(SPLIT).permutation(len(classes)) < len(classes) // 2
    rows = {"quoted": ~chosen, "chosen": chosen, "both": np.ones(len(classes), dtype=bool)}
    part = rows[options.half]
    n_odd = [int(np.sum(classes[part] == kind)) for kind in (MERGER, DONT_KNOW)]
    print(f"{part.sum()} galaxies: {n_odd[0]} mergers, {n_odd[1]} don't know")
    rank_galaxies(features.select(part), classes[part], options.labels, options.draws)
    if options.reconstructions:
        repeat_images(stamps, options.reconstructions)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{time.process_time():.0f} s CPU, at most {peak:.1f} GB")


if __name__ == "__main__":
    main()
