"""Laws that figures of merit keep, closed forms they must give, and the mistakes they name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from astroml_kit.evaluation import (
    RepeatedGroupKFold,
    cross_validate,
    evaluate_classifier,
    evaluate_regressor,
)
from astroml_kit.samples import Samples

BACKGROUNDS = (0.01, 0.02, 0.05, 0.10, 0.20)


def draw(rng, n=4000, shift=1.5):
    y = rng.integers(0, 2, n)
    y[:2] = 0, 1
    return y, rng.normal(size=n) + shift * y


def test_two_shifted_normals_have_the_closed_form():
    y, score = draw(np.random.default_rng(1), n=200_000)
    result = evaluate_classifier(y, score, n_bootstrap=0)
    assert result.auc == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.003)
    for background in BACKGROUNDS:
        kept = norm.sf(norm.isf(background) - 1.5)
        assert result.acceptance[background] == pytest.approx(kept, abs=0.012)
    low = [result.acceptance[b] for b in BACKGROUNDS[:3]]
    high = [result.acceptance[b] for b in BACKGROUNDS[3:]]
    assert result.loacc == pytest.approx(np.mean(low))
    assert result.hiacc == pytest.approx(np.mean(high))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-50, 50))
def test_figures_do_not_change_under_monotone_maps(seed, scale, shift):
    y, score = draw(np.random.default_rng(seed), n=200)
    one = evaluate_classifier(y, score, n_bootstrap=0)
    two = evaluate_classifier(y, scale * score + shift, n_bootstrap=0)
    assert one.auc == pytest.approx(two.auc)
    assert one.auc == pytest.approx(roc_auc_score(y, score))
    assert one.loacc == pytest.approx(two.loacc)
    assert 0 <= one.loacc <= one.hiacc <= 1


def test_a_score_that_is_no_probability_has_no_calibration():
    result = evaluate_classifier(*draw(np.random.default_rng(2)), n_bootstrap=0)
    assert np.isnan(result.brier)
    assert np.isnan(result.ece)
    assert len(result.reliability) == 0


def test_true_probabilities_are_calibrated_and_squared_ones_are_not():
    rng = np.random.default_rng(3)
    probability = rng.random(100_000)
    y = rng.random(100_000) < probability
    good = evaluate_classifier(y, probability, n_bootstrap=0)
    assert good.ece < 0.01
    assert good.brier == pytest.approx(1 / 6, abs=0.003)  # the integral of p (1 - p)
    bad = evaluate_classifier(y, probability**2, n_bootstrap=0)
    assert bad.ece == pytest.approx(1 / 6, abs=0.01)  # the integral of p - p^2
    assert bad.auc == pytest.approx(good.auc)


def test_weights_count_as_repetition():
    y, score = draw(np.random.default_rng(4), n=300)
    times = np.random.default_rng(5).integers(1, 4, 300)
    weighted = evaluate_classifier(y, score, weights=times, n_bootstrap=0)
    repeated = evaluate_classifier(np.repeat(y, times), np.repeat(score, times), n_bootstrap=0)
    assert weighted.auc == pytest.approx(repeated.auc)
    assert weighted.loacc == pytest.approx(repeated.loacc)


def test_bootstrap_over_groups_knows_that_copies_are_no_news():
    y, score = draw(np.random.default_rng(6), n=400)
    copies = np.repeat(np.arange(400), 5)
    honest = evaluate_classifier(y[copies], score[copies], groups=copies, n_bootstrap=60, rng=0)
    fooled = evaluate_classifier(y[copies], score[copies], n_bootstrap=60, rng=0)
    assert honest.errors["auc"] > 1.6 * fooled.errors["auc"]


def test_bands_are_evaluated_one_by_one():
    y, score = draw(np.random.default_rng(7), n=2000)
    band = np.where(np.arange(2000) < 1000, "low", "high")
    score[band == "high"] += 3 * y[band == "high"]
    bands = evaluate_classifier(y, score, bands=band, n_bootstrap=0).bands
    figures = {str(row["band"]): row for row in bands}
    assert figures["high"]["auc"] > figures["low"]["auc"]
    assert bands["n_signal"].sum() == y.sum()
    alone = evaluate_classifier(y[band == "low"], score[band == "low"], n_bootstrap=0)
    assert figures["low"]["auc"] == pytest.approx(alone.auc)


def test_mistakes_of_classifiers_are_named():
    with pytest.raises(ValueError, match="score must be finite"):
        evaluate_classifier([0, 1], [np.nan, 0.2])
    with pytest.raises(ValueError, match=r"predict_proba\(X\)\[:, 1\]"):
        evaluate_classifier([0, 1], [[0.1, 0.9], [0.5, 0.5]])
    with pytest.raises(ValueError, match="lengths must be equal"):
        evaluate_classifier([0, 1], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="two classes"):
        evaluate_classifier([1, 1], [0.1, 0.2])


def test_normal_residuals_have_the_closed_form():
    rng = np.random.default_rng(1)
    truth = rng.uniform(1, 10, 50_000)
    predicted = truth * (1.05 + 0.15 * rng.normal(size=50_000))
    result = evaluate_regressor(truth, predicted, relative=True, n_bootstrap=0)
    assert result.bias == pytest.approx(0.05, abs=0.003)
    assert result.resolution == pytest.approx(0.15, abs=0.003)
    assert result.rmse == pytest.approx(np.hypot(0.05, 0.15), abs=0.003)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-100, 100))
def test_a_shift_is_a_bias_and_nothing_else(seed, shift):
    truth, noise = np.random.default_rng(seed).normal(size=(2, 100))
    one = evaluate_regressor(truth, truth + noise, n_bootstrap=0)
    two = evaluate_regressor(truth, truth + noise + shift, n_bootstrap=0)
    assert two.bias - one.bias == pytest.approx(shift, abs=1e-9)
    assert two.resolution == pytest.approx(one.resolution, abs=1e-9)


def test_an_outlier_moves_neither_bias_nor_resolution():
    truth = np.repeat([1.0, 2.0], 100)
    predicted = truth + np.tile([0.1, -0.1], 100)
    predicted[0] = 1e6
    result = evaluate_regressor(truth, predicted, bands=truth, n_bootstrap=0)
    assert abs(result.bias) <= 0.1
    assert result.resolution == pytest.approx(0.1, abs=0.01)
    assert result.to_dict()["bands"]["n"] == [100, 100]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**31 - 1))
def test_folds_cover_everything_once_and_split_no_group(n_splits, seed):
    rng = np.random.default_rng(seed)
    groups, y = rng.integers(0, 30, 200), rng.integers(0, 2, 200)
    seen = []
    for train, test in RepeatedGroupKFold(n_splits, random_state=seed).split(y, y, groups):
        assert not set(groups[train]) & set(groups[test])
        seen.extend(test)
    assert sorted(seen) == list(range(200))


def test_the_naive_split_leaks_and_the_group_split_does_not():
    """Every event twice, with labels that no feature tells: only leakage can be learned."""
    rng = np.random.default_rng(1)
    X = np.repeat(rng.normal(size=(150, 3)), 2, axis=0)
    y = np.repeat(rng.integers(0, 2, 150), 2)
    samples = Samples(X, y=y, groups=np.repeat(np.arange(150), 2))
    result = cross_validate(KNeighborsClassifier(1), samples, n_splits=5, naive=True, rng=2)
    assert np.mean(result.per_fold["auc"]) == pytest.approx(0.5, abs=0.12)
    assert np.mean(result.naive[0].per_fold["auc"]) > 0.8
    assert "naive" in str(result)


def test_workers_do_not_change_scores_and_seeds_do():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 200)
    samples = Samples(rng.normal(size=(200, 2)) + y[:, None], y=y, weights=rng.random(200))
    one, two, other = (
        cross_validate(
            LogisticRegression(), samples, n_splits=5, n_repeats=2, rng=seed, workers=workers
        )
        for seed, workers in ((5, 1), (5, 2), (6, 1))
    )
    np.testing.assert_array_equal(one.scores, two.scores)
    assert not np.array_equal(one.scores, other.scores)
    assert one.scores.shape == (2, 200)
    assert np.all(np.isfinite(one.scores))


def test_mistakes_of_splits_are_named():
    with pytest.raises(ValueError, match="must have y"):
        cross_validate(LogisticRegression(), Samples(np.ones((6, 1))))
    with pytest.raises(ValueError, match="at most the number of groups, 3"):
        list(RepeatedGroupKFold(5).split(np.zeros(6), [0, 1] * 3, [0, 0, 1, 1, 2, 2]))
