"""Galaxies told apart by shapes, networks and both, from few labels and many, on real images.

Galaxy Zoo 1: elliptical, spiral of either winding, edge-on, merger; "don't know" is left out.
MiraBest: FRI against FRII, confident or not; hybrids are left out. Folds keep the galaxies of one
SDSS field together. Everything is fitted on the training fold; of its images without label only
ranks, principal components and pseudo-labels know. Classes are decided as if they were equally
frequent in Galaxy Zoo 1, and by their shares in MiraBest; "F1 natural" takes the shares of the
labels there too. Seconds are CPU of one training and its test, and do not count what all folds
share, which is printed first. All of it takes some 45 minutes of one core.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from astropy.table import QTable
from harness import describe_machine
from sklearn.metrics import f1_score, recall_score
from sklearn.model_selection import StratifiedGroupKFold

from astroml_kit.datasets import fetch_dataset
from astroml_kit.images import MorphologyClassifier, Stamps, read_stamps
from astroml_kit.images.classifier import average_shares
from astroml_kit.samples import Samples

SEED = 2013  # of the quoted folds; development used 777 and 778
N_FOLDS = 5
CLASSES = {"gz1": ("elliptical", "spiral", "edge-on", "merger"), "mirabest": ("FRI", "FRII")}
GZ1_CODES = {0: 0, 1: 1, 2: 1, 3: 2, 5: 3}
FEATURES = {"gz1": ("isophotes", "shapes"), "mirabest": ("isophotes", "lobes")}
MOST_PER_CLASS = 1000  # that networks learn from: ellipticals are thinned out
N_UNLABELLED = 1500  # that pseudo-labels are given to
CROP, BIN = 96, 3  # pixels of the middle for the CNN, and their binning
FINE_CROP = 80


@dataclass(frozen=True)
class Survey:
    """Images with all that folds share."""

    name: str
    stamps: Stamps  # label: number of the class
    measured: Any
    embedded: np.ndarray | None
    groups: np.ndarray
    published: np.ndarray  # whether a galaxy is of the published test set
    confident: np.ndarray

    @property
    def y(self) -> np.ndarray:
        """Number of the class of each galaxy."""
        return np.asarray(self.stamps.table["label"])


@dataclass(frozen=True)
class Cell:
    """One training: its rows with labels, those without, and what it is tested on."""

    few: np.ndarray
    train: np.ndarray
    test: np.ndarray
    seed: int


def load_gz1() -> tuple[Stamps, np.ndarray, np.ndarray, np.ndarray]:
    folder = Path(fetch_dataset("galaxy-zoo1-sdss"))
    stamps = read_stamps(
        folder / "crops112.zip", labels=folder / "labels.csv", id_column="OBJID",
        label_column="CLASS", dtype="uint8",
    )  # fmt: skip
    given = np.asarray(stamps.table["label"]).astype(int)
    kept = np.isin(given, [*GZ1_CODES])
    number = np.asarray(stamps.table["id"])[kept].astype(np.int64)
    run, camcol, field = (number >> 32) & 0xFFFF, (number >> 29) & 7, (number >> 16) & 0xFFF
    label = np.array([GZ1_CODES[code] for code in given[kept]])
    none = np.zeros(len(label), dtype=bool)
    return (Stamps(stamps.images[kept], table=QTable({"id": number, "label": label})),
            (run * 8 + camcol) * 4096 + field, none, ~none)  # fmt: skip


def load_mirabest() -> tuple[Stamps, np.ndarray, np.ndarray, np.ndarray]:
    with np.load(Path(fetch_dataset("mirabest")) / "mirabest_full_150.npz") as held:
        images, names, published = held["images"], held["filenames"], held["is_test"]
    code = np.array([int(Path(name).name[:3]) for name in names])
    kept = code < 300
    table = QTable({"id": names[kept], "label": code[kept] // 100 - 1})
    confident = code[kept] // 10 % 10 == 0
    return (Stamps(images[kept][:, None], table=table), np.arange(kept.sum()), published[kept],
            confident)  # fmt: skip


def load_survey(name: str, cache: Path, *, embed: bool) -> Survey:
    """Read images, and measure and embed what the cache does not have."""
    stamps, groups, published, confident = {"gz1": load_gz1, "mirabest": load_mirabest}[name]()
    held = recall(cache / f"{name}_features.npz", lambda: measure_stamps(stamps, FEATURES[name]))
    measured = Samples(held["X"], feature_names=tuple(held["names"].tolist()))
    print(f"{len(stamps)} stamps, {measured.X.shape[1]} features measured in "
          f"{held['seconds']:.0f} s")  # fmt: skip
    embedded = None
    if embed:
        held = recall(cache / f"{name}_embeddings.npz", lambda: embed_stamps(stamps))
        embedded = held["X"]
        print(f"embedded by EfficientNet-Lite0 in {held['seconds']:.0f} s, "
              f"{held['memory']:.0f} MB")  # fmt: skip
    return Survey(name, stamps, measured, embedded, groups, published, confident)


def measure_stamps(stamps: Stamps, features: tuple[str, ...]) -> dict[str, Any]:
    samples = MorphologyClassifier(features).measure(stamps)
    return {"X": samples.X, "names": samples.feature_names}


def embed_stamps(stamps: Stamps) -> dict[str, Any]:
    from astroml_kit.models import ImageEmbedder

    embedder = ImageEmbedder("efficientnet-lite0", input_size=112).fit(stamps.images[:2])
    starts = range(0, len(stamps), 500)
    parts = [embedder.transform(stamps.images[k : k + 500]) for k in starts]
    return {"X": np.concatenate(parts)}


def recall(file: Path, job: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a job returned, with its CPU seconds and peak memory, from the file or now.

    It runs in a process of its own, and the file is written as a whole or not at all.
    """

    def work() -> None:
        start = time.process_time()
        found = job()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        part = file.with_suffix(".part.npz")
        np.savez(part, **found, seconds=time.process_time() - start, memory=memory)
        part.replace(file)

    if not file.is_file():
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(process.exitcode)
    with np.load(file) as held:
        return {key: held[key] for key in held}


def thin_out(rows: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts = [rng.permutation(rows[y[rows] == k])[:MOST_PER_CLASS] for k in np.unique(y)]
    return np.concatenate(parts)


def crop_images(stamps: Stamps, rows: np.ndarray, side: int, binning: int = 1) -> np.ndarray:
    images = stamps.images[rows]
    first = (images.shape[2] - side) // 2
    images = images[:, :, first : first + side, first : first + side]
    if binning == 1:
        return images  # of 8 bits, as the pretrained network was taught
    shape = (*images.shape[:2], side // binning, binning, side // binning, binning)
    return images.reshape(shape).mean(axis=(3, 5), dtype=np.float32)


def run_cnn(survey: Survey, cell: Cell) -> np.ndarray:
    from astroml_kit.models import ImageClassifier

    rows = thin_out(cell.few, survey.y, cell.seed)
    model = ImageClassifier(
        "cnn", channels=(32, 64, 128), symmetry="dihedral", learning_rate=2e-3, batch_size=32,
        schedule="cosine", max_epochs=int(np.clip(60_000 / len(rows), 25, 40)),
        stretch="none" if survey.name == "gz1" else "sqrt", early_stopping=False,
        class_weight="balanced", random_state=cell.seed,
    )  # fmt: skip
    model.fit(crop_images(survey.stamps, rows, CROP, BIN), survey.y[rows])
    return model.predict_proba(crop_images(survey.stamps, cell.test, CROP, BIN))


def run_fine_tuned(survey: Survey, cell: Cell) -> np.ndarray:
    from astroml_kit.models import ImageClassifier

    rows = thin_out(cell.few, survey.y, cell.seed)
    model = ImageClassifier(
        "efficientnet-lite0", train="last-blocks", last_blocks=5, input_size=FINE_CROP,
        backbone_rate=0.2, learning_rate=2e-3, batch_size=32, schedule="cosine",
        max_epochs=int(np.clip(3_000 / len(rows), 2, 10)), early_stopping=False,
        augment=("rotate90", "flip"), class_weight="balanced", random_state=cell.seed,
    )  # fmt: skip
    model.fit(crop_images(survey.stamps, rows, FINE_CROP), survey.y[rows])
    return model.predict_proba(crop_images(survey.stamps, cell.test, FINE_CROP))


def run_probe(survey: Survey, cell: Cell) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    head = LogisticRegression(C=0.01, class_weight="balanced", max_iter=300)
    model = make_pipeline(StandardScaler(), head)
    model.fit(survey.embedded[cell.few], survey.y[cell.few])
    return model.predict_proba(survey.embedded[cell.test])


def run_shapes(survey: Survey, cell: Cell, *, embedded: bool = False) -> np.ndarray:
    """Vote of those who learn from measured features, and from embeddings."""
    known = np.isin(cell.train, cell.few)
    table = QTable({"id": cell.train, "label": np.where(known, survey.y[cell.train], -1)})
    stamps = Stamps(survey.stamps.images[cell.train], table=table)
    parts = [survey.embedded[rows] if embedded else None for rows in (cell.train, cell.test)]
    model = MorphologyClassifier(FEATURES[survey.name], random_state=cell.seed)
    model.fit(stamps, measured=survey.measured.select(cell.train), embedded=parts[0])
    return model.predict_proba(
        survey.stamps[cell.test], measured=survey.measured.select(cell.test), embedded=parts[1]
    )


def run_pseudo(survey: Survey, cell: Cell) -> np.ndarray:
    """Extra trees on ranks, taught by a vote of extra trees and a linear discriminant."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.ensemble import ExtraTreesClassifier, VotingClassifier
    from sklearn.preprocessing import QuantileTransformer

    from astroml_kit.models import PseudoLabelClassifier

    rng = np.random.default_rng(cell.seed)
    rest = rng.permutation(np.setdiff1d(cell.train, cell.few))[:N_UNLABELLED]
    scale = QuantileTransformer(n_quantiles=200, output_distribution="normal", subsample=None)
    X = survey.measured.X
    ranks = np.nan_to_num(np.clip(scale.fit(X[cell.train]).transform(X), -3, 3))
    trees = ExtraTreesClassifier(150, max_features=0.3, min_samples_leaf=2, random_state=cell.seed)
    line = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    vote = VotingClassifier([("trees", trees), ("line", line)], voting="soft")
    model = PseudoLabelClassifier(
        trees, strategy="soft", teacher=vote, shift=True, n_rounds=1, pseudo_weight=1.0,
        min_gain=0.0, n_splits=3, random_state=cell.seed,
    )  # fmt: skip
    model.fit(ranks[cell.few], survey.y[cell.few], X_unlabelled=ranks[rest])
    share = model.predict_proba(ranks[cell.test]) / model.priors_
    return share / share.sum(axis=1, keepdims=True)


METHODS: dict[str, Callable[[Survey, Cell], np.ndarray]] = {
    "shapes": run_shapes,
    "probe": run_probe,
    "shapes-probe": functools.partial(run_shapes, embedded=True),
    "pseudo": run_pseudo,
    "cnn": run_cnn,
    "fine-tuned": run_fine_tuned,
}
JOINED = {"gz1": ("shapes-probe", "cnn"), "mirabest": ("shapes", "cnn")}


def list_cells(survey: Survey, n_labels: int | None, seed: int) -> list[Cell]:
    """Draw the labels of each fold."""
    y = survey.y
    folds = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=seed)
    cells = []
    for fold, (train, test) in enumerate(folds.split(y, y, survey.groups)):
        rng, few = np.random.default_rng([seed, fold, n_labels or 0]), train
        if n_labels is not None:
            drawn = [rng.permutation(train[y[train] == k])[:n_labels] for k in np.unique(y)]
            few = np.sort(np.concatenate(drawn))
        cells.append(Cell(few, train, test, 100 * fold + seed % 100))
    return cells


def run_cell(survey: Survey, cell: Cell, method: str, file: Path) -> dict[str, Any]:
    """Probabilities of the test galaxies by one method, from the cache or now."""
    return recall(file, lambda: {"share": METHODS[method](survey, cell)})


def score_shares(share: np.ndarray, y: np.ndarray, prior: np.ndarray) -> dict[str, float]:
    """Scores of probabilities for equally frequent classes; ``prior``: shares of the labels."""
    natural = share * prior
    natural = natural / natural.sum(axis=1, keepdims=True)
    guess, weight = share.argmax(axis=1), (1 / np.bincount(y))[y]
    own = np.maximum(share[np.arange(len(y)), y], 1e-6)
    last = len(prior) - 1
    return {
        "balanced": float(recall_score(y, guess, average="macro")),
        "accuracy": float(np.mean(natural.argmax(axis=1) == y)),
        "f1": float(f1_score(y == last, guess == last)),
        "f1_natural": float(f1_score(y == last, natural.argmax(axis=1) == last)),
        "log_loss": float(np.average(-np.log(own), weights=weight)),
        "ece": measure_ece(share, y, weight),
    }


def measure_ece(share: np.ndarray, y: np.ndarray, weight: np.ndarray, n_bins: int = 15) -> float:
    """Expected calibration error of the largest probability (Guo et al. 2017), weighted."""
    best, right = share.max(axis=1), share.argmax(axis=1) == y
    place = np.minimum((best * n_bins).astype(int), n_bins - 1)
    gap = np.bincount(place, weight * (right - best), n_bins)
    return float(np.abs(gap).sum() / weight.sum())


def print_rows(
    survey: Survey, n_labels: int | None, methods: list[str], cache: Path, options: Any
) -> None:
    cells = list_cells(survey, n_labels, options.seed)[: options.folds]
    text = "all" if n_labels is None else str(n_labels)
    print(f"\n{survey.name}, {text} labels per class, {len(cells)} folds, seed {options.seed}")
    print(f"{'':>14} {'balanced acc.':>17} {'accuracy':>17} {'F1 last':>8} {'natural':>8} "
          f"{'log-loss':>8} {'ECE':>6} {'CPU s':>7} {'MB':>6}")  # fmt: skip
    known: dict[str, list[dict[str, Any]]] = {}
    for method in methods:
        if method == "pseudo" and n_labels is None:
            continue  # nothing is left without label
        known[method] = [
            run_cell(survey, cell, method,
                     cache / f"{survey.name}_{method}_{text}_{options.seed}_{fold}.npz")
            for fold, cell in enumerate(cells)
        ]  # fmt: skip
        _print_row(survey, cells, method, known[method])
    if set(JOINED[survey.name]) <= set(known):
        parts = zip(*(known[name] for name in JOINED[survey.name]), strict=True)
        joined = [{"share": average_shares([part["share"] for part in each]),
                   "seconds": sum(part["seconds"] for part in each),
                   "memory": max(part["memory"] for part in each)} for each in parts]  # fmt: skip
        _print_row(survey, cells, "joined", joined)


def _print_row(survey: Survey, cells: list[Cell], name: str, held: list[dict[str, Any]]) -> None:
    y, rows = survey.y, []
    for cell, one in zip(cells, held, strict=True):
        prior = np.bincount(y[cell.few]) / len(cell.few)
        row = score_shares(one["share"], y[cell.test], prior).values()
        right = (one["share"] * prior).argmax(axis=1) == y[cell.test]
        sure = right[survey.confident[cell.test]].mean()
        rows.append([*row, sure, one["seconds"], one["memory"]])
    mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=min(len(rows) - 1, 1))
    note = f"  confident {mean[6]:.3f}" if survey.name == "mirabest" else ""
    print(f"{name:>14} {mean[0]:7.4f} +- {spread[0]:6.4f} {mean[1]:7.4f} +- {spread[1]:6.4f} "
          f"{mean[2]:8.3f} {mean[3]:8.3f} {mean[4]:8.3f} {mean[5]:6.3f} {mean[7]:7.1f} "
          f"{max(row[8] for row in rows):6.0f}{note}", flush=True)  # fmt: skip


def print_published(survey: Survey, methods: list[str], cache: Path, seed: int) -> None:
    """Accuracy on the published test set, with its binomial error."""
    train, test = np.flatnonzero(~survey.published), np.flatnonzero(survey.published)
    cell = Cell(train, train, test, seed)
    y, shares = survey.y, {}
    for method in methods:
        file = cache / f"{survey.name}_{method}_published_{seed}.npz"
        shares[method] = run_cell(survey, cell, method, file)["share"]
    shares["joined"] = average_shares([shares[name] for name in JOINED[survey.name]])
    prior, truth = np.bincount(y[cell.few]) / len(cell.few), y[cell.test]
    print(f"\npublished split: {len(cell.few)} to learn from, {len(truth)} to test")
    for name, share in shares.items():
        right = (share * prior).argmax(axis=1) == truth
        for kind, rows in (("all", slice(None)), ("confident", survey.confident[cell.test])):
            p, n = right[rows].mean(), len(right[rows])
            print(f"{name:>14} {kind:>10} {p:.3f} +- {np.sqrt(p * (1 - p) / n):.3f} of {n}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Morphology of galaxies, few labels and many.")
    parser.add_argument("--dataset", choices=CLASSES, default="gz1")
    parser.add_argument("--labels", nargs="+", default=["50", "100", "500", "all"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS])
    parser.add_argument("--folds", type=int, default=N_FOLDS, help="how many of the five")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--cache", type=Path, help="folder to keep results in, and to go on from")
    options = parser.parse_args()
    machine = describe_machine()
    print(f"python {machine['python']}, {machine['cores']} cores, {machine['versions']}")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        cache = options.cache or Path(scratch)
        cache.mkdir(parents=True, exist_ok=True)
        embed = options.dataset == "gz1" and bool({"probe", "shapes-probe"} & {*options.methods})
        survey = load_survey(options.dataset, cache, embed=embed)
        counts = zip(CLASSES[options.dataset], np.bincount(survey.y), strict=True)
        print(", ".join(f"{name} {n}" for name, n in counts), flush=True)
        if options.dataset == "mirabest":
            print_rows(survey, None, [*JOINED["mirabest"]], cache, options)
            if options.folds == N_FOLDS:
                print_published(survey, [*JOINED["mirabest"]], cache, options.seed)
            options.labels = []
        for text in options.labels:
            n_labels = None if text == "all" else int(text)
            print_rows(survey, n_labels, options.methods, cache, options)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
