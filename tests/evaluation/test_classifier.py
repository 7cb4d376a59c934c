"""ROC figures against closed forms, calibration, bands, and a bootstrap that knows its groups."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from astroml_kit.evaluation import BACKGROUNDS, evaluate_classifier


def draw(rng, n=4000, shift=1.5):
    y = rng.integers(0, 2, n)
    return y, rng.normal(size=n) + shift * y


def test_two_shifted_normals_have_the_closed_form():
    y, score = draw(np.random.default_rng(1), n=200_000)
    result = evaluate_classifier(y, score, n_bootstrap=0)
    assert result.auc == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.003)
    for background in BACKGROUNDS:
        kept = norm.sf(norm.isf(background) - 1.5)
        assert result.acceptance[background] == pytest.approx(kept, abs=0.012)
    assert result.loacc == pytest.approx(
        np.mean([result.acceptance[b] for b in (0.01, 0.02, 0.05)])
    )
    assert result.hiacc == pytest.approx(np.mean([result.acceptance[b] for b in (0.1, 0.2)]))


def test_acceptance_by_hand():
    """A hundred background events at 0..99 and signal at 98.5, 94.5, 89.5, 0.5."""
    y = np.r_[np.zeros(100), np.ones(4)]
    score = np.r_[np.arange(100), [98.5, 94.5, 89.5, 0.5]]
    result = evaluate_classifier(y, score, n_bootstrap=0)
    assert list(result.acceptance.values()) == pytest.approx([0.25, 0.25, 0.5, 0.75, 0.75])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-50, 50), st.booleans())
def test_figures_match_scikit_learn_and_ignore_monotone_maps(seed, scale, shift, ties):
    rng = np.random.default_rng(seed)
    y, score = draw(rng, n=200)
    y[:2] = 0, 1
    if ties:
        score = np.round(score)
    weights = rng.random(200)
    one = evaluate_classifier(y, score, weights=weights, n_bootstrap=0)
    assert one.auc == pytest.approx(roc_auc_score(y, score, sample_weight=weights))
    background, signal, _ = roc_curve(y, score, sample_weight=weights, drop_intermediate=False)
    np.testing.assert_allclose(one.roc["background"], background, atol=1e-12)
    np.testing.assert_allclose(one.roc["signal"], signal, atol=1e-12)
    two = evaluate_classifier(y, scale * score + shift, weights=weights, n_bootstrap=0)
    assert one.auc == pytest.approx(two.auc)
    assert one.loacc == pytest.approx(two.loacc)
    assert 0 <= one.loacc <= one.hiacc <= 1


def test_the_higher_label_is_signal_whatever_its_type():
    y, score = draw(np.random.default_rng(9), n=300)
    numbers = evaluate_classifier(y, score, n_bootstrap=0).auc
    assert evaluate_classifier(y.astype(bool), score, n_bootstrap=0).auc == numbers
    assert evaluate_classifier(np.array(["bkg", "sig"])[y], score, n_bootstrap=0).auc == numbers
    assert evaluate_classifier(1 - y, score, n_bootstrap=0).auc == pytest.approx(1 - numbers)


def test_a_score_that_is_no_probability_has_no_calibration():
    y, score = draw(np.random.default_rng(2))
    result = evaluate_classifier(y, score, n_bootstrap=0)
    assert np.isnan(result.brier)
    assert np.isnan(result.ece)
    assert len(result.reliability) == 0
    assert "ECE" not in str(result)


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
    assert bad.reliability["n"].sum() == 100_000


def test_weights_count_as_repetition():
    y, score = draw(np.random.default_rng(4), n=300)
    score = norm.cdf(score)
    times = np.random.default_rng(5).integers(1, 4, 300)
    weighted = evaluate_classifier(y, score, weights=times, n_bootstrap=0)
    repeated = evaluate_classifier(np.repeat(y, times), np.repeat(score, times), n_bootstrap=0)
    assert weighted.auc == pytest.approx(repeated.auc)
    assert weighted.loacc == pytest.approx(repeated.loacc)
    assert weighted.brier == pytest.approx(repeated.brier)


def test_bootstrap_over_groups_knows_that_copies_are_no_news():
    y, score = draw(np.random.default_rng(6), n=400)
    copies = np.repeat(np.arange(400), 5)
    honest = evaluate_classifier(y[copies], score[copies], groups=copies, n_bootstrap=60, rng=0)
    fooled = evaluate_classifier(y[copies], score[copies], n_bootstrap=60, rng=0)
    assert honest.n_groups == 400
    assert honest.errors["auc"] > 1.6 * fooled.errors["auc"]
    assert "+-" in str(honest)


def test_bootstrap_error_is_the_scatter_of_repeated_experiments():
    rng = np.random.default_rng(10)
    aucs, errors = [], []
    for _ in range(100):
        y, score = draw(rng, n=300)
        result = evaluate_classifier(y, score, n_bootstrap=40, rng=rng)
        aucs.append(result.auc)
        errors.append(result.errors["auc"])
    assert np.mean(errors) == pytest.approx(np.std(aucs), rel=0.25)


def test_bands_are_evaluated_one_by_one_and_small_ones_say_nothing():
    rng = np.random.default_rng(7)
    y, score = draw(rng, n=2000)
    band = np.where(np.arange(2000) < 1000, "low", "high").astype(object)
    score[band == "high"] += 3 * y[band == "high"]
    band[:5] = "tiny"
    bands = evaluate_classifier(y, score, bands=band.astype(str), n_bootstrap=0).bands
    figures = {row["band"]: row["auc"] for row in bands}
    assert figures["high"] > figures["low"]
    assert np.isnan(figures["tiny"])
    assert bands["n_signal"].sum() == y.sum()


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="must hold two classes"):
        evaluate_classifier([1, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="score must be finite"):
        evaluate_classifier([0, 1], [np.nan, 0.2])
    with pytest.raises(ValueError, match=r"predict_proba\(X\)\[:, 1\]"):
        evaluate_classifier([0, 1], [[0.1, 0.9], [0.5, 0.5]])
    with pytest.raises(ValueError, match="lengths must be equal"):
        evaluate_classifier([0, 1], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="weights must be > 0 for some sample of each class"):
        evaluate_classifier([0, 1], [0.1, 0.2], weights=[0, 1])


def test_to_dict_is_plain():
    y, score = draw(np.random.default_rng(8), n=100)
    result = evaluate_classifier(y, score, bands=np.arange(100) < 3, n_bootstrap=5, rng=0)
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert plain["acceptance"]["0.01"] <= plain["acceptance"]["0.2"]
    assert plain["brier"] is None
    assert plain["bands"]["auc"][1] is None
