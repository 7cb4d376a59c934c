"""One model per band, the nearest one where statistics are poor, both on record."""

import numpy as np
import pytest

from astroml_kit.models import BandedClassifier, BDTClassifier
from astroml_kit.samples import Samples

NAMES = ("shape", "log10_energy", "zenith")
ENERGY, ZENITH = [-1, 0, 1, 2], [0, 30, 60]


def draw_events(rng, n=4000):
    """The sign of the useful feature flips with zenith: one model for all bands cannot win."""
    energy, zenith = rng.uniform(-1, 1, n), rng.uniform(0, 60, n)
    y = rng.integers(0, 2, n)
    shape = rng.normal(size=n) + np.where(zenith < 30, 1, -1) * (2 * y - 1)
    return Samples(np.column_stack([shape, energy, zenith]), y=y, feature_names=NAMES)


QUICK = BDTClassifier(n_estimators=20, learning_rate=0.2, random_state=1)


def make_model(estimator=QUICK, **options):
    columns = {"band_columns": ("log10_energy", "zenith"), "band_edges": (ENERGY, ZENITH)}
    return BandedClassifier(estimator, **(columns | {"min_count": 50} | options))


def test_bands_fallback_and_counts_are_on_record():
    samples = draw_events(np.random.default_rng(1))
    model = make_model().fit(samples)
    table = model.bands_
    assert table.colnames[:5] == [
        "band",
        "log10_energy_min",
        "log10_energy_max",
        "zenith_min",
        "zenith_max",
    ]
    assert table["n_0"].sum() + table["n_1"].sum() == len(samples)
    # No events above energy 1: those two bands borrow from the same zenith below.
    np.testing.assert_array_equal(table["fallback_from"], [-1, -1, -1, -1, 2, 3])
    assert sorted(model.models_) == [0, 1, 2, 3]
    assert model.n_outside_ == 0
    assert model.score(samples) > 0.8


def test_each_row_is_scored_by_the_model_of_its_band():
    samples = draw_events(np.random.default_rng(2))
    model = make_model().fit(samples)
    points = np.array([[0.3, -0.5, 10.0], [0.3, 1.5, 45.0], [0.3, 9.0, 80.0]])
    scores = model.decision_function(Samples(points, feature_names=NAMES))
    own = [
        model.models_[k].decision_function(points[j : j + 1])[0] for j, k in enumerate((0, 3, 3))
    ]
    np.testing.assert_array_equal(scores, own)
    assert scores[0] > 0 > scores[1]


def test_the_nearest_band_with_more_samples_wins():
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.uniform(0, 1, 200), rng.uniform(1, 2, 6), rng.uniform(2, 3, 400)])
    X = np.column_stack([rng.normal(size=606), x])
    options = {"band_columns": [1], "band_edges": [[0, 1, 2, 3]], "min_count": 20}
    model = make_model(**options).fit(X, np.arange(606) % 2)
    assert model.bands_["fallback_from"].tolist() == [-1, 2, -1]
    assert model.bands_.colnames[1] == "x1_min"


def test_rows_beyond_the_edges_are_counted():
    samples = draw_events(np.random.default_rng(4))
    model = make_model(band_edges=([-0.5, 0, 0.5], ZENITH)).fit(samples)
    assert model.n_outside_ == int((np.abs(samples.X[:, 1]) > 0.5).sum())


def test_random_state_reaches_every_band():
    samples = draw_events(np.random.default_rng(5), n=800)
    one, two, other = (
        make_model(random_state=seed).fit(samples).predict_proba(samples) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_weights_and_groups_reach_the_models():
    samples = draw_events(np.random.default_rng(6), n=800)
    early = BDTClassifier(n_estimators=30, early_stopping=True, n_iter_no_change=3, random_state=1)
    weighted = Samples(
        samples.X,
        y=samples.y,
        groups=np.arange(800) // 2,
        weights=1 + 9 * samples.y,
        feature_names=NAMES,
    )
    heavy = make_model(estimator=early).fit(weighted).predict_proba(samples)[:, 1].mean()
    plain = make_model(estimator=early).fit(samples).predict_proba(samples)[:, 1].mean()
    assert heavy > plain


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"band_edges": ([0, 1],)}, "one array of edges per band column"),
        ({"band_edges": ([1, 0], ZENITH)}, "ascending"),
        ({"band_columns": ("energy", "zenith")}, "must be features of X, got 'energy'"),
        ({"band_columns": (7, 2)}, "below 3"),
        ({"min_count": 10**6}, "no band has that many samples"),
    ],
)
def test_mistakes_are_named(options, message):
    samples = draw_events(np.random.default_rng(7), n=300)
    with pytest.raises(ValueError, match=message):
        make_model(**options).fit(samples)


def test_a_band_column_cannot_be_missing():
    samples = draw_events(np.random.default_rng(8), n=300)
    samples.X[5, 1] = np.nan
    with pytest.raises(ValueError, match="defines bands"):
        make_model(min_count=1).fit(samples)
