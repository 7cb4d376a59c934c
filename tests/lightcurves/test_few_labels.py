"""From simulated light curves with few labels to classes, a latent space and what is odd."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from astroml_kit.lightcurves import find_periods, simulate_lightcurves
from astroml_kit.lightcurves.features import extract_features
from astroml_kit.lightcurves.sequences import extract_phase_curves
from astroml_kit.models import AnomalyDetector, Autoencoder, PseudoLabelClassifier

pytest.importorskip("light_curve", reason="statistics need the light-curve package")

KINDS = ("contact", "detached", "rr-c", "semi-detached")  # in the order of their numbers
N_EACH, N_LABELS = 30, 8


@pytest.fixture(scope="module")
def samples():
    """Standardised features, and folds; eclipsing stars are told apart with some trouble."""
    curves = simulate_lightcurves(KINDS, n=N_EACH, random_state=4)
    periods = find_periods(curves, n_peaks=5)
    table = extract_features(curves, periods=periods, label="label")
    folds = extract_phase_curves(curves, periods=periods, label="label")
    X = table.X[:, np.isfinite(table.X).all(axis=0)]
    X = X[:, X.std(axis=0) > 0]
    return (X - X.mean(axis=0)) / X.std(axis=0), folds.X, table.y


def test_a_taught_model_loses_nothing_where_few_labels_are_enough(samples):
    X, _, y = samples
    gains, scores, kept = [], [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        few = np.concatenate([rng.choice(np.flatnonzero(y == k), N_LABELS, False) for k in set(y)])
        hidden = np.where(np.isin(np.arange(len(y)), few), y, -1)
        trees = ExtraTreesClassifier(30, random_state=seed)
        model = PseudoLabelClassifier(
            trees, strategy="soft", n_rounds=1, n_splits=3, min_gain=0.0, random_state=seed,
            teacher=LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
        ).fit(X, hidden)  # fmt: skip
        rest = hidden == -1
        alone = trees.fit(X[few], y[few]).score(X[rest], y[rest])
        scores.append(model.score(X[rest], y[rest]))
        gains.append(scores[-1] - alone)
        kept.append(model.improved_)
        assert model.improved_ or gains[-1] == 0
    assert any(kept)
    assert np.mean(scores) > 0.9
    assert np.mean(gains) > -0.01


def test_the_latent_space_of_folds_knows_the_class(samples):
    _, folds, y = samples
    rows = folds[:, :, 0]
    coder = Autoencoder(4, hidden_layers=(32,), learning_rate=0.01, batch_size=32, max_epochs=30,
                        random_state=1).fit(rows)  # fmt: skip
    latent = coder.transform(rows)
    train = np.arange(len(y)) % 2 == 0
    probe = LogisticRegression(max_iter=1000).fit(latent[train], y[train] == 2)
    score = balanced_accuracy_score(y[~train] == 2, probe.predict(latent[~train]))
    lost = np.mean((coder.reconstruct(rows) - rows) ** 2) / np.mean((rows - rows.mean(0)) ** 2)
    assert score > 0.8
    assert lost < 0.4


def test_detached_stars_are_odd_among_others(samples):
    X, _, y = samples
    normal = np.isin(y, (0, 2))
    train = normal & (np.arange(len(y)) % 2 == 0)
    judged = (y == 1) | (normal & ~train)
    model = AnomalyDetector(("isolation_forest", "embedding"), random_state=1).fit(X[train])
    area = roc_auc_score(y[judged] == 1, -model.score_samples(X[judged]))
    assert area > 0.9
