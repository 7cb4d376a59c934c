"""Mixtures are right against scipy, and networks that say them learn what was put in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.utils.estimator_checks import parametrize_with_checks

from astroml_kit.models import (
    BDTRegressor,
    CalibratedRegressor,
    Mixture,
    MixtureDensityRegressor,
    correct_prior_shift,
    load_model,
    save_model,
)

NET = {"hidden_layers": (24,), "learning_rate": 0.02, "batch_size": 64, "scaling": "standard",
       "early_stopping": False, "schedule": "cosine"}  # fmt: skip


def draw_mixture(rng, n, k):
    weights = rng.dirichlet(np.ones(k), n)
    return Mixture(weights, rng.normal(0, 3, (n, k)), rng.uniform(0.05, 2, (n, k)))


# Mixtures


def test_one_part_is_a_normal_distribution():
    one = Mixture(
        np.ones((3, 1)), np.array([[0.0], [1.0], [-2.0]]), np.array([[1.0], [2.0], [0.1]])
    )
    law = stats.norm(one.means, one.widths)
    levels = [0.01, 0.3, 0.5, 0.999]
    np.testing.assert_allclose(one.find_quantiles(levels), law.ppf(levels), rtol=1e-9, atol=1e-9)
    x = np.array([0.3, 0.4, -2.05])
    np.testing.assert_allclose(one.find_cdf(x), law.cdf(x[:, None])[:, 0], rtol=1e-12)
    np.testing.assert_allclose(one.find_pdf(x), law.pdf(x[:, None])[:, 0], rtol=1e-12)
    np.testing.assert_allclose(one.find_std(), [1, 2, 0.1], rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_laws_of_mixtures(seed, k):
    rng = np.random.default_rng(seed)
    mixture = draw_mixture(rng, 4, k)
    levels = np.sort(rng.uniform(0.001, 0.999, 5))
    quantiles = mixture.find_quantiles(levels)
    assert np.all(np.diff(quantiles, axis=1) >= 0)
    np.testing.assert_allclose(
        mixture.find_cdf(quantiles), np.broadcast_to(levels, (4, 5)), atol=1e-6
    )
    grid = np.tile(np.linspace(-30, 30, 6001), (4, 1))
    density = mixture.find_pdf(grid)
    np.testing.assert_allclose(np.trapezoid(density, grid, axis=1), 1, atol=1e-5)
    mean = np.trapezoid(density * grid, grid, axis=1)
    np.testing.assert_allclose(mean, mixture.find_mean(), atol=1e-4)
    variance = np.trapezoid(density * (grid - mean[:, None]) ** 2, grid, axis=1)
    np.testing.assert_allclose(np.sqrt(variance), mixture.find_std(), atol=1e-3)


def test_pooled_is_the_mean_density_and_draws_follow_it():
    rng = np.random.default_rng(3)
    one, two = draw_mixture(rng, 2, 3), draw_mixture(rng, 2, 2)
    both = Mixture.pool([one, two])
    x = np.array([0.5, -1.0])
    np.testing.assert_allclose(both.find_pdf(x), 0.5 * (one.find_pdf(x) + two.find_pdf(x)))
    draws = both.draw(4000, np.random.default_rng(4))
    for row in range(2):
        level = both.find_cdf(np.tile(draws[row], (2, 1)))[row]
        assert stats.kstest(level, "uniform").pvalue > 1e-3


def test_levels_may_differ_by_row():
    mixture = draw_mixture(np.random.default_rng(5), 3, 2)
    levels = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.4]])
    found = mixture.find_quantiles(levels)
    for row in range(3):
        np.testing.assert_allclose(found[row], mixture.find_quantiles(levels[row])[row])


# Networks


def draw_forks(n, seed):
    """Two branches, of which the upper one is taken in three of four cases."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, n)
    up = rng.random(n) < 0.75
    return x[:, None], np.where(up, 2 + x, -2 - x) + 0.1 * rng.normal(size=n)


@pytest.fixture(scope="module")
def forks():
    X, y = draw_forks(2000, 1)
    return MixtureDensityRegressor(n_components=2, max_epochs=40, random_state=1, **NET).fit(X, y)


def test_both_branches_are_found_with_their_shares(forks):
    X = np.array([[0.2], [0.8]])
    np.testing.assert_allclose(forks.predict_cdf(X, [0.0, 0.0]), 0.25, atol=0.05)
    quantiles = forks.predict_quantiles(X, [0.12, 0.6])
    np.testing.assert_allclose(quantiles, [[-2.2, 2.2], [-2.8, 2.8]], atol=0.1)
    mixture = forks.predict_mixture(X)
    np.testing.assert_allclose(mixture.widths, 0.1, atol=0.04)
    np.testing.assert_allclose(forks.predict(X), [2.2, 2.8], atol=0.1)  # the median
    mean = forks.set_params(point="mean").predict(X)
    forks.set_params(point="median")
    np.testing.assert_allclose(mean, [1.1, 1.4], atol=0.25)
    assert forks.history_.meta["metric"] == "r2"
    assert forks.history_["train_loss"][-1] < forks.history_["train_loss"][0]


def test_levels_of_new_truths_are_even(forks):
    X, y = draw_forks(3000, 2)
    assert stats.kstest(forks.predict_cdf(X, y), "uniform").statistic < 0.06
    off = forks.predict_cdf(X, y + 0.3)  # a bias must be seen
    assert stats.kstest(off, "uniform").statistic > 0.3


def test_samples_are_drawn_from_what_is_said(forks):
    X, _ = draw_forks(3, 7)
    draws = forks.sample(X, 2000, random_state=1)
    assert draws.shape == (3, 2000)
    np.testing.assert_allclose(
        (draws < 0).mean(axis=1), forks.predict_cdf(X, np.zeros(3)), atol=0.04
    )
    np.testing.assert_array_equal(draws, forks.sample(X, 2000, random_state=1))


def test_units_of_the_target_do_not_matter(forks):
    X, y = draw_forks(2000, 1)
    scaled = MixtureDensityRegressor(n_components=2, max_epochs=3, random_state=1, **NET)
    plain = scaled.fit(X, y).predict_quantiles(X[:5], [0.2, 0.7])
    other = scaled.fit(X, 1e6 * y + 3e7).predict_quantiles(X[:5], [0.2, 0.7])
    np.testing.assert_allclose(other, 1e6 * plain + 3e7, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_components": 0}, "n_components must be"),
        ({"n_components": 1.5}, "n_components must be a whole"),
        ({"point": "mode"}, "point must be one of"),
    ],
)
def test_bad_parameters_are_named(change, message):
    X, y = draw_forks(30, 1)
    with pytest.raises(ValueError, match=message):
        MixtureDensityRegressor(**change).fit(X, y)


def test_bad_questions_are_named(forks):
    X, y = draw_forks(10, 1)
    with pytest.raises(ValueError, match="levels must be"):
        forks.predict_quantiles(X, [0.5, 1.0])
    with pytest.raises(ValueError, match=r"y must be of shape \(10,\)"):
        forks.predict_cdf(X, y[:3])
    with pytest.raises(ValueError, match="y must be one value per sample"):
        MixtureDensityRegressor().fit(X, np.column_stack([y, y]))


@parametrize_with_checks([
    MixtureDensityRegressor(n_components=2, hidden_layers=(8,), max_epochs=30, learning_rate=0.02,
                            scaling="standard", random_state=1),
])  # fmt: skip
def test_scikit_learn_contract(estimator, check):
    check(estimator)


# Calibration


def draw_noise(n, seed):
    """Noise that grows along one column, of which the network is told nothing of use."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 1, (n, 2))
    return X, 3 * X[:, 0] + (0.1 + X[:, 1] ** 2) * rng.standard_t(3, n)


class Overconfident(MixtureDensityRegressor):
    """Says the same width, whatever the column of the noise."""

    width = 0.4

    def predict_mixture(self, X):
        said = super().predict_mixture(X)
        return Mixture(said.weights, said.means, np.full_like(said.widths, self.width))


@pytest.fixture(scope="module")
def calibrated():
    net = Overconfident(n_components=1, max_epochs=12, **NET)
    model = CalibratedRegressor(net, n_splits=3, band_column=1, n_bands=4, random_state=1)
    return model.fit(*draw_noise(1500, 1))


def test_what_was_too_narrow_holds_in_every_band(calibrated):
    X, y = draw_noise(4000, 2)
    inside = {}
    for name, ends in {
        "interval": calibrated.predict_interval(X, 0.8),
        "raw": calibrated.predict_mixture(X).find_quantiles([0.1, 0.9]),
    }.items():
        covered = (ends[:, 0] <= y) & (y <= ends[:, 1])
        band = np.searchsorted(calibrated.edges_, X[:, 1], side="right")
        inside[name] = np.array([covered[band == k].mean() for k in range(4)])
    assert inside["raw"][0] > 0.9
    assert inside["raw"][3] < 0.55
    np.testing.assert_allclose(inside["interval"], 0.8, atol=0.06)
    top = X[:, 1] > calibrated.edges_[-1]
    raw = calibrated.predict_mixture(X[top]).find_cdf(y[top])
    assert stats.kstest(raw, "uniform").statistic > 0.15
    assert stats.kstest(calibrated.predict_cdf(X[top], y[top]), "uniform").statistic < 0.12


def test_what_says_nothing_of_its_errors_gets_no_interval(monkeypatch):
    monkeypatch.setattr(Overconfident, "width", 1e-4)
    X, y = draw_noise(300, 4)
    net = Overconfident(n_components=1, max_epochs=2, **NET)
    model = CalibratedRegressor(net, n_splits=2, random_state=1).fit(X, y)
    assert np.all(model.predict_interval(X) == [-np.inf, np.inf])


def test_quantiles_densities_and_levels_agree(calibrated):
    X, _ = draw_noise(6, 3)
    levels = np.array([0.2, 0.5, 0.8])
    quantiles = calibrated.predict_quantiles(X, levels)
    np.testing.assert_allclose(
        calibrated.predict_cdf(X, quantiles), np.tile(levels, (6, 1)), atol=1e-3
    )
    grid = np.tile(np.linspace(-6, 9, 30_001), (6, 1))
    mass = np.trapezoid(calibrated.predict_pdf(X, grid), grid, axis=1)
    np.testing.assert_allclose(mass, 1, atol=0.02)


def test_groups_are_never_on_both_sides(monkeypatch):
    X, y = draw_noise(300, 4)
    groups = np.arange(300) // 10
    seen = []

    class Watching(MixtureDensityRegressor):
        def fit(self, X, y=None, sample_weight=None, groups=None):
            seen.append(set(groups.tolist()))
            return super().fit(X, y, sample_weight, groups)

    model = CalibratedRegressor(Watching(max_epochs=1), n_splits=3, random_state=1)
    model.fit(X, y, groups=groups)
    assert [len(part) for part in seen] == [20, 20, 20]
    assert set.intersection(*seen) == set()


def test_too_few_rows_give_infinite_intervals_and_nan_has_a_band():
    X, y = draw_noise(120, 5)
    X[:60, 1] = np.nan
    model = CalibratedRegressor(MixtureDensityRegressor(max_epochs=1), n_splits=2, band_column=1,
                                n_bands=1, random_state=1).fit(X, y)  # fmt: skip
    assert np.all(np.isinf(model.predict_interval(X[:2], 0.999)))
    assert np.all(np.isfinite(model.predict_interval(X[:2], 0.9)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"band_column": 2}, "band_column must be from 0 to 1"),
        ({"band_column": 0, "n_bands": 40}, "n_bands must leave 50 rows"),
        ({"n_splits": 1}, "n_splits must be"),
        ({"n_splits": 500}, "n_splits must be at most the number of samples"),
        ({"confidence": 1}, "confidence must be"),
    ],
)
def test_bad_calibrations_are_named(change, message):
    model = CalibratedRegressor(MixtureDensityRegressor(max_epochs=1), random_state=1)
    with pytest.raises(ValueError, match=message):
        model.set_params(**change).fit(*draw_noise(200, 1))


def test_only_what_says_mixtures_can_be_calibrated(tmp_path):
    X, y = draw_noise(100, 1)
    with pytest.raises(AttributeError, match="predict_mixture"):
        CalibratedRegressor(BDTRegressor(n_estimators=2), n_splits=2).fit(X, y)
    model = CalibratedRegressor(MixtureDensityRegressor(max_epochs=1), n_splits=2, band_column=1,
                                n_bands=2, random_state=1).fit(X, y)  # fmt: skip
    again = load_model(save_model(model, tmp_path / "z.model"))
    for method, more in (("predict_interval", ()), ("predict_quantiles", ([0.1, 0.6],)),
                         ("predict_pdf", (y,)), ("predict_cdf", (y,))):  # fmt: skip
        np.testing.assert_array_equal(
            getattr(again, method)(X, *more), getattr(model, method)(X, *more)
        )


# Shares of classes


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_a_shift_of_shares_is_found_and_undone(share):
    rng = np.random.default_rng(int(100 * share))
    star = rng.random(6000) < share
    x = rng.normal(np.where(star, 1, -1))
    old = 0.3
    p = (
        old
        * stats.norm.pdf(x, 1)
        / (old * stats.norm.pdf(x, 1) + (1 - old) * stats.norm.pdf(x, -1))
    )
    shift = correct_prior_shift(
        np.column_stack([1 - p, p]), trained=[700, 300], classes=["galaxy", "star"],
        n_bootstrap=20, rng=1,
    )  # fmt: skip
    assert abs(shift.shares[1] - share) < 4 * shift.errors[1] + 1e-3
    assert 0 < shift.errors[1] < 0.03
    right = share * stats.norm.pdf(x, 1)
    right /= right + (1 - share) * stats.norm.pdf(x, -1)
    np.testing.assert_allclose(shift.probabilities[:, 1], right, atol=0.06)
    np.testing.assert_allclose(shift.probabilities.mean(axis=0), shift.shares, atol=1e-6)
    assert "star 30.0% ->" in str(shift)
    assert shift.to_dict()["classes"] == ["galaxy", "star"]


@pytest.mark.parametrize(
    ("p", "trained", "message"),
    [
        ([[0.4, 0.4]], [1, 1], "add up to 1"),
        ([[0.5, 0.5]], [0, 1], "trained must be"),
        ([[0.5, 0.5]], [1, 1, 1], "lengths must be equal"),
        ([0.5, 0.5], [1, 1], "of shape"),
        ([[1.5, -0.5]], [1, 1], "probabilities must be"),
    ],
)
def test_bad_probabilities_are_named(p, trained, message):
    with pytest.raises(ValueError, match=message):
        correct_prior_shift(p, trained=trained)
