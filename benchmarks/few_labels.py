"""What light curves without labels add to a few with: five, ten, twenty labels per class.

    python benchmarks/few_labels.py --labels 5 10 20 --draws 20
    python benchmarks/few_labels.py --dataset debosscher --cache folder

Each draw takes the training side of one of five folds by object, keeps that many labels of each
class, hides the others, and is judged by the balanced accuracy on the held-out fold. All methods
share the draws, so that their differences are paired. "kept" is how often pseudo-labels passed
the held-out labels; else the model is the supervised one.

"condensed" features are ranks, with principal components of the folds besides, found without
labels.
"hard" pseudo-labels are confident guesses of the model itself, "soft" ones the probabilities of
every class for every sample; "taught" ones come from a vote of extra trees and a linear model.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from astropy.table import Table
from harness import describe_machine
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier, VotingClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import QuantileTransformer

from astroml_kit.datasets import fetch_dataset
from astroml_kit.lightcurves import (
    extract_features,
    extract_phase_curves,
    find_periods,
    read_lightcurves,
)
from astroml_kit.models import BDTClassifier, PseudoLabelClassifier
from astroml_kit.samples import Samples

SEED = 2013  # of the quoted draws; development used 777 to 780
N_FOLDS = 5
# data set -> folder, files of curves and objects, column of the class
DATASETS = {
    "asas": ("asas-acvs", "subset7_lightcurves.parquet", "subset7_index.csv", "class_code"),
    "debosscher": ("debosscher", "lightcurves.parquet", "index.csv", "class_name"),
}
SMALLEST_CLASS = 50
N_SHAPES = 2  # columns of a fold that depend on phase: at the period and at twice it
N_COMPONENTS = 5  # of each


def load_samples(dataset: str, *, cache: Path | None = None) -> tuple[Samples, Samples]:
    """Features and folds of the classes of 50 objects and more; groups are positions."""
    name, curve_file, index_file, label = DATASETS[dataset]
    file = None if cache is None else cache / f"{dataset}_few_labels.npz"
    if file is not None and file.is_file():
        with np.load(file) as held:
            shared = {key: held[key] for key in ("y", "groups")}
            meta = {"classes": held["classes"].tolist(), "columns": held["columns"].tolist()}
            names = tuple(held["names"].tolist())
            return (Samples(held["X"], feature_names=names, meta=meta, **shared),
                    Samples(held["folds"], meta=meta, **shared))  # fmt: skip
    folder = Path(fetch_dataset(name))
    curves = read_lightcurves(folder / curve_file, time_format="jd", time_scale="utc")
    index = Table.read(folder / index_file, format="ascii.csv")
    index["position"] = [f"{row['ra']:.5f} {row['dec']:.5f}" for row in index]
    curves = curves.add_columns(index, name="obj_id")
    label_of = np.asarray(curves.objects[label]).astype(str)
    classes, count = np.unique(label_of, return_counts=True)
    curves = curves.select(np.isin(label_of, classes[count >= SMALLEST_CLASS]))
    periods = find_periods(curves)
    options = {"periods": periods, "label": label, "groups": "position"}
    table, folds = extract_features(curves, **options), extract_phase_curves(curves, **options)
    if file is not None:
        np.savez(file, X=table.X, y=table.y, groups=table.groups.astype(str), folds=folds.X,
                 classes=table.meta["classes"], columns=folds.meta["columns"],
                 names=table.feature_names)  # fmt: skip
    return table, folds


def condense_features(table: Samples, folds: Samples, fit_rows: np.ndarray) -> np.ndarray:
    """Return normal ranks of features and of the principal components of folds.

    No label is used: components and ranks are those of ``fit_rows``, with and without labels.
    """
    parts = [table.X]
    for column in range(N_SHAPES):
        shape = folds.X[:, :, column]
        parts.append(PCA(N_COMPONENTS, random_state=0).fit(shape[fit_rows]).transform(shape))
    return rank_features(np.hstack(parts), fit_rows)


def rank_features(X: np.ndarray, fit_rows: np.ndarray) -> np.ndarray:
    """Bring columns to a normal distribution by their ranks among ``fit_rows``; NaN becomes 0."""
    scale = QuantileTransformer(
        n_quantiles=min(200, len(fit_rows)), output_distribution="normal", subsample=None
    )
    ranks = scale.fit(X[fit_rows]).transform(X)
    return np.where(np.isfinite(ranks), np.clip(ranks, -3, 3), 0.0)


def make_trees(seed: int) -> ExtraTreesClassifier:
    """Grow extra trees: where there are many samples they need not be many, nor grown to the end.

    A share of the weight stops none of those that few labels grow.
    """
    return ExtraTreesClassifier(
        100, max_features=0.3, min_weight_fraction_leaf=0.003, random_state=seed
    )


def make_forest(seed: int) -> ExtraTreesClassifier:
    return ExtraTreesClassifier(300, max_features=0.3, random_state=seed)


def make_boosted(seed: int) -> BDTClassifier:
    return BDTClassifier(n_estimators=60, max_leaves=8, min_samples_leaf=1, max_features=0.2,
                         random_state=seed)  # fmt: skip


def make_hard(estimator: Any, seed: int) -> PseudoLabelClassifier:
    return PseudoLabelClassifier(estimator, confidence=0.7, quota=0.5, n_rounds=2, n_splits=3,
                                 random_state=seed)  # fmt: skip


def make_soft(seed: int, *, taught: bool = False) -> PseudoLabelClassifier:
    """Soft pseudo-labels, those of trees alone, or of trees and a linear model.

    Any gain on held-out labels counts: that of 35 labels has a large error.
    """
    line = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    vote = VotingClassifier([("trees", make_forest(seed)), ("line", line)], voting="soft")
    return PseudoLabelClassifier(
        make_trees(seed), strategy="soft", teacher=vote if taught else None, n_rounds=1,
        pseudo_weight=1.0, min_gain=0.0, n_splits=3, random_state=seed,
    )  # fmt: skip


# name -> what it is compared with, the features it gets, and how it is made
FIRST, SECOND = "extra trees", "extra trees, condensed"
METHODS: dict[str, tuple[str, str, Callable[[int], Any]]] = {
    FIRST: ("", "all", lambda seed: ExtraTreesClassifier(300, random_state=seed)),
    "LightGBM": ("", "all", make_boosted),
    "LightGBM, condensed": ("LightGBM", "condensed", make_boosted),
    SECOND: (FIRST, "condensed", make_forest),
    "hard, LightGBM": (
        "LightGBM, condensed", "condensed", lambda seed: make_hard(make_boosted(seed), seed),
    ),
    "hard, extra trees": (SECOND, "condensed", lambda seed: make_hard(make_forest(seed), seed)),
    "soft, extra trees": (SECOND, "condensed", make_soft),
    "soft, taught": (SECOND, "condensed", lambda seed: make_soft(seed, taught=True)),
}  # fmt: skip


def draw_labels(
    table: Samples, n_labels: int, draw: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training rows, which of them keep their label, and test rows: fold after fold."""
    repeat, number = divmod(draw, N_FOLDS)
    folds = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=seed + repeat)
    train, test = list(folds.split(table.X, table.y, table.groups))[number]
    rng = np.random.default_rng([seed, draw, n_labels])
    labelled = np.concatenate(
        [rng.choice(train[table.y[train] == k], n_labels, replace=False) for k in set(table.y)]
    )
    return train, np.isin(train, labelled), test


def score_draw(
    table: Samples, folds: Samples, n_labels: int, draw: int, options: argparse.Namespace
) -> dict[str, tuple[float, float, float]]:
    """Balanced accuracy, whether pseudo-labels were kept, and seconds, of every method."""
    train, labelled, test = draw_labels(table, n_labels, draw, options.seed)
    start = time.process_time()
    inputs = {"all": table.X, "condensed": condense_features(table, folds, train)}
    spent = time.process_time() - start
    y = np.where(labelled, table.y[train], -1)
    found = {}
    for name in options.methods:
        _, kind, make = METHODS[name]
        X, model = inputs[kind], make(draw)
        start = time.process_time()
        if isinstance(model, PseudoLabelClassifier):
            model.fit(X[train], y, groups=table.groups[train])
        else:
            model.fit(X[train[labelled]], y[labelled])
        score = balanced_accuracy_score(table.y[test], model.predict(X[test]))
        seconds = time.process_time() - start + (spent if kind == "condensed" else 0)
        found[name] = (score, float(getattr(model, "improved_", np.nan)), seconds)
    return found


def describe_mean(values: Sequence[float], *, sign: str = "") -> str:
    """Mean and its error over draws, which ignores that their test objects overlap."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):{sign}.4f} +- {error:.4f}"


def print_draws(n_labels: int, draws: list[dict[str, tuple[float, float, float]]]) -> None:
    print(f"\n{n_labels} labels per class, {len(draws)} draws")
    print(f"{'':>24} {'balanced accuracy':>17} {'against its model':>18} "
          f"{'against extra trees':>19} {'kept':>5} {'CPU s':>6}")  # fmt: skip
    score = {name: np.array([draw[name][0] for draw in draws]) for name in draws[0]}
    for name, values in score.items():
        gains = []
        for other in (METHODS[name][0], FIRST):
            known = other in score and other != name
            gains.append(describe_mean(values - score[other], sign="+") if known else "")
        kept, seconds = np.mean([draw[name][1:] for draw in draws], axis=0)
        share = "" if np.isnan(kept) else f"{kept:.0%}"
        print(f"{name:>24} {describe_mean(values):>17} {gains[0]:>18} {gains[1]:>19} "
              f"{share:>5} {seconds:6.2f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Few labels, with and without pseudo-labels.")
    parser.add_argument("--dataset", choices=DATASETS, default="asas")
    parser.add_argument("--labels", nargs="+", type=int, default=[5, 10, 20], help="per class")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS])
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--cache", type=Path, help="folder to keep features in")
    options = parser.parse_args()
    machine = describe_machine()
    print(f"python {machine['python']}, {machine['cores']} cores, {machine['versions']}")
    start = time.perf_counter()
    table, folds = load_samples(options.dataset, cache=options.cache)
    print(f"{table}; classes {table.meta['classes']}; seed {options.seed}; "
          f"{time.perf_counter() - start:.0f} s for features", flush=True)  # fmt: skip
    for n_labels in options.labels:
        draws = [score_draw(table, folds, n_labels, draw, options)
                 for draw in range(options.draws)]  # fmt: skip
        print_draws(n_labels, draws)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
