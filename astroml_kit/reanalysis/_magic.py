"""The reanalysis that needs no download: a weak source injected into the MAGIC Monte Carlo."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .._validation import check_real
from ..cherenkov import extract_samples, read_events
from ..datasets import fetch_dataset
from ..models import BDTClassifier
from ..significance import DetectionGain, OnOffCounts, binned_significance, compare_selections
from ._injection import Bench, Library, inject_source
from ._magic_choices import (
    LIKELIHOOD,
    N_FOLDS,
    STANDARD,
    add_score,
    add_size_scaled,
    choose_selections,
)
from ._magic_report import draw_curves, explain, list_no_sources, tabulate
from ._result import Reanalysis

DATASET, FILE = "magic-uci", "magic04.data"
N_NULL, N_LIBRARIES = 10_000, 200
# Uses of random numbers: each has a stream of its own, so that a change to one leaves the rest.
STREAMS = ("split", "field", "seeds", "null", "library", "bootstrap")


def reanalyse_magic(
    folder: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    n_workers: int = 1,
    progress: bool = True,
    n_background: float = 50_000,
    significance: float = 5.0,
    alpha: float = 0.2,
    n_runs: int = 20,
    n_seeds: int = 1000,
    n_bootstrap: int = 300,
    model: Any = None,
) -> Reanalysis:
    """Inject a source that standard cuts expect at 5 sigma, and select it in five ways.

    The events are split in two halves, rows that repeat each other together. The training half
    chooses every cut, the classifier, its score bands and their predicted signal. The test half
    makes the field and chooses nothing.

    Parameters
    ----------
    folder : path-like, optional
        A folder with ``magic04.data``, taken as it is; by default what `fetch_dataset` finds.
    seed : int
        Same seed, same numbers, whatever ``n_workers`` is.
    n_workers : int
        Folds that are trained at a time.
    progress : bool
        Show a progress bar on standard error.
    n_background : float
        Background events in the ON region before any cut. With the default the source is 1-2 %
        of the background, about what the Crab nebula is for such a telescope: an assumption.
    significance : float
        What the standard box is to expect on average; this sets the flux.
    alpha : float
        ON exposure / OFF exposure.
    n_runs : int
        Runs that the field is divided into, for the bootstrap of the gain.
    n_seeds : int
        Further fields of the same source, for the mean and spread of each selection.
    n_bootstrap : int
        Resamplings of the runs for the interval of the gain.
    model : estimator, optional
        Another classifier with ``fit`` and ``predict_proba``, to see what it gains.

    Returns
    -------
    Reanalysis

    Examples
    --------
    >>> print(reanalyse_magic(progress=False))  # doctest: +SKIP
    """
    for name, value in (("n_background", n_background), ("significance", significance)):
        check_real(name, value, above=0)
    check_real("alpha", alpha, above=0)
    for name, count in (("n_runs", n_runs), ("n_seeds", n_seeds), ("n_bootstrap", n_bootstrap)):
        check_real(name, count, at_least=2)
    rng = {name: np.random.default_rng([seed, k]) for k, name in enumerate(STREAMS)}
    classifier = BDTClassifier(random_state=seed, n_jobs=1) if model is None else model
    planned = {"n_background": n_background, "alpha": alpha, "significance": significance}

    path = (fetch_dataset(DATASET) if folder is None else Path(folder)) / FILE
    train, test = split_library(read_library(path), rng["split"])
    with tqdm(total=N_FOLDS + 4, desc="magic", disable=None if progress else True) as bar:
        train, test = add_size_scaled(train, test)
        train, test = add_score(
            train, test, model=classifier, seed=seed, n_workers=n_workers, bar=bar
        )
        selections = choose_selections(train, **planned)
        injection = inject_source(test, selections[0], **planned)
        bench = Bench(test, selections, injection)
        bar.update()
        on, off = bench.draw(n_runs, rng["field"])
        n_on, n_off = bench.count(on), bench.count(off)
        bar.update()
        again = bench.repeat(n_seeds, rng["seeds"])
        bar.update()
        empty = bench.repeat(N_NULL, rng["null"], source=False)
        redrawn = bench.repeat_library(N_LIBRARIES, rng["library"])
        bar.update()

    gain = compare(bench, n_on, n_off, n_bootstrap=n_bootstrap, rng=rng["bootstrap"])
    return Reanalysis(
        name="magic",
        target="source injected into Monte Carlo",
        gain=gain,
        table=tabulate(bench, n_on, n_off, again=again, empty=empty),
        sources=list_no_sources(),
        settings={
            "seed": seed,
            **planned,
            "n_signal": injection.n_signal,
            "n_runs": n_runs,
            "n_seeds": n_seeds,
            "model": type(classifier).__name__,
            "model_parameters": classifier.get_params(),
            "n_train": len(train),
            "n_test": len(test),
            "selections": [selection.to_dict() for selection in selections],
        },
        checksums={FILE: hashlib.sha256(path.read_bytes()).hexdigest()},
        notes=explain(bench, again, redrawn, n_train=len(train)),
        curves=draw_curves(bench, on.sum(axis=0), off.sum(axis=0), n_on, n_off),
    )


def read_library(path: Path) -> Library:
    """Read the events; rows that repeat each other share a group."""
    events = read_events(path)
    features = extract_samples(events).X
    names = [n for n in events.colnames if n not in ("event_id", "is_gamma")]
    columns = {n: np.asarray(getattr(events[n], "value", events[n]), dtype=float) for n in names}
    is_gamma = np.asarray(events["is_gamma"], dtype=bool)
    # Numbered in the order of their values: the split must not depend on a hash.
    rows = np.column_stack([*columns.values(), is_gamma])
    groups = np.unique(rows, axis=0, return_inverse=True)[1].ravel()
    return Library(columns, is_gamma, groups, features)


def split_library(library: Library, rng: np.random.Generator) -> tuple[Library, Library]:
    """Split into two halves with equal shares of gammas; a group stays in one of them."""
    first = np.zeros(len(library), dtype=bool)
    for kind in (True, False):
        groups = rng.permutation(np.unique(library.groups[library.is_gamma == kind]))
        first |= np.isin(library.groups, groups[: len(groups) // 2])
    return library.take(np.flatnonzero(first)), library.take(np.flatnonzero(~first))


def compare(
    bench: Bench,
    n_on: Sequence[np.ndarray],
    n_off: Sequence[np.ndarray],
    *,
    n_bootstrap: int,
    rng: np.random.Generator,
) -> DetectionGain:
    """Gain of the score likelihood over the standard box; both were fixed beforehand."""
    names = [selection.name for selection in bench.selections]
    box, bands = names.index(STANDARD), names.index(LIKELIHOOD)
    alpha, signal = bench.injection.alpha, bench.selections[bands].signal
    baseline = [
        OnOffCounts(int(on), int(off), alpha)
        for on, off in zip(n_on[box][:, 0], n_off[box][:, 0], strict=True)
    ]

    def measure(weights: np.ndarray) -> float:
        on, off = weights @ n_on[bands], weights @ n_off[bands]
        return float(binned_significance(on, off, alpha=alpha, signal=signal))

    return compare_selections(baseline, measure, n_trials=1, n_bootstrap=n_bootstrap, rng=rng)
