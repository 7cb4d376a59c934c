"""Scoring 10^6 events: boosted trees against a scikit-learn random forest of equal AUC.

Both learn the ten image parameters of one half of the MAGIC events and are compared on the other
half; rows of that half, repeated and jittered by a thousandth, make the million. A forest takes
300 trees to reach the AUC of these boosted trees; the default one, of 100 trees, stays below.
"""

from __future__ import annotations

import numpy as np
from harness import Comparison, compare, main
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from astroml_kit.cherenkov import extract_samples, read_events
from astroml_kit.datasets import fetch_dataset
from astroml_kit.evaluation import RepeatedGroupKFold
from astroml_kit.models import BDTClassifier

N_EVENTS = 1_000_000
N_JOBS = 2


def run(*, repeats: int = 3) -> list[Comparison]:
    """Two threads on both sides; a forest of equal AUC, and scikit-learn's default one."""
    events = read_events(fetch_dataset("magic-uci") / "magic04.data")
    samples = extract_samples(events, features="hillas")
    splitter = RepeatedGroupKFold(2, random_state=1)
    train, test = next(splitter.split(samples.X, samples.y, samples.groups))
    X, y = samples.X, samples.y
    rng = np.random.default_rng(2)
    many = X[rng.choice(test, N_EVENTS)]
    many *= 1 + 1e-3 * rng.standard_normal(many.shape)
    trees = BDTClassifier(
        n_estimators=120, learning_rate=0.1, max_leaves=16, random_state=0, n_jobs=N_JOBS
    ).fit(X[train], y[train])
    ours = roc_auc_score(y[test], trees.predict_proba(X[test])[:, 1])
    rows = []
    for n_trees in (300, 100):
        forest = RandomForestClassifier(n_trees, n_jobs=N_JOBS, random_state=0)
        forest.fit(X[train], y[train])
        theirs = roc_auc_score(y[test], forest.predict_proba(X[test])[:, 1])
        rows.append(
            compare(
                f"score 10^6 events, AUC {ours:.4f} against {theirs:.4f}",
                lambda: trees.predict_proba(many)[:, 1],
                lambda forest=forest: forest.predict_proba(many)[:, 1],
                peer_name=f"random forest, {n_trees} trees",
                # two models: scores agree in rank, not in value
                tolerance=0.1,
                difference=lambda a, b: 1 - float(np.corrcoef(a, b)[0, 1]),
                repeats=repeats,
            )
        )
    return rows


if __name__ == "__main__":
    main(run)
