"""Forecasts of series against what can be known of them: the exact law of a damped random walk."""

import numpy as np
import pytest

from astroml_kit.models import Forecast, SequenceForecaster

CELLS = ("lstm", "gru", "rnn", "transformer", "conv")
DISTRIBUTIONS = ("quantiles", "normal", "student")
QUICK = {"horizon": 3, "hidden_size": 8, "n_history": 10, "n_windows": 4, "max_epochs": 2,
         "batch_size": 32, "random_state": 1}  # fmt: skip
TAU, LEVEL, HORIZON = 5.0, 20.0, 4


def draw_walks(rng, n=40, steps=(20, 30)):
    """Damped random walks of variance 1 around 20; times are multiples of 2^-10."""
    series = []
    for length in rng.integers(*steps, n):
        time = np.cumsum(1 + rng.integers(0, 2048, length)) / 1024
        value = rng.normal(size=length)
        for k in range(1, length):
            a = np.exp(-(time[k] - time[k - 1]) / TAU)
            value[k] = a * value[k - 1] + np.sqrt(1 - a**2) * value[k]
        series.append(np.column_stack([time, value + LEVEL]))
    return series


X = draw_walks(np.random.default_rng(1))


def split(series, n=HORIZON):
    past = [one[:-n] for one in series]
    return (
        past,
        np.array([one[-n:, 0] for one in series]),
        np.array([one[-n:, 1] for one in series]),
    )


def find_exact(past, times):
    """Kelly, Bechtold & Siemiginowska 2009, doi:10.1088/0004-637X/698/1/895, eq. 5 and 6."""
    last = np.array([one[-1] for one in past])
    a = np.exp(-(times - last[:, :1]) / TAU)
    parameters = [LEVEL + (last[:, 1:] - LEVEL) * a, np.sqrt(1 - a**2)]
    return Forecast(times, "normal", np.stack(parameters))


@pytest.fixture(scope="module")
def trained():
    rng = np.random.default_rng(2)
    options = {"horizon": HORIZON, "hidden_size": 16, "n_history": 8, "n_windows": 8,
               "max_epochs": 10, "learning_rate": 0.01, "schedule": "cosine", "random_state": 1,
               "early_stopping": False}  # fmt: skip
    series = draw_walks(rng, 200, (24, 32))
    models = {d: SequenceForecaster("rnn", distribution=d, **options).fit(series)
              for d in DISTRIBUTIONS}  # fmt: skip
    return models, draw_walks(rng, 1500, (12, 30))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_damped_random_walk_is_known_almost_exactly(trained, distribution):
    models, series = trained
    past, times, truth = split(series)
    exact = find_exact(past, times)
    forecast = models[distribution].predict_distribution(past, times=times)
    ours = forecast.compute_crps(truth).mean()
    best = exact.compute_crps(truth).mean()
    last = np.array([one[-1, 1:] for one in past])
    persistence = np.abs(truth - last).mean()
    assert ours < best + 0.05 * (persistence - best)
    # the mean shrinks towards 20 and the width grows, as the law says
    miss = np.abs(forecast.median - exact.median)
    assert miss.mean() < 0.12
    assert np.quantile(miss, 0.99) < 0.5
    ratio = (forecast.std / exact.std).mean(axis=0)
    np.testing.assert_allclose(ratio, 1, atol=0.12)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_quantiles_cover_what_they_say(trained, distribution):
    models, series = trained
    past, times, truth = split(series)
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    found = models[distribution].predict_quantiles(past, levels, times=times)
    assert (np.diff(found, axis=0) > 0).all()
    below = (truth < found).mean(axis=(1, 2))
    # 1500 series x 4 dependent steps: a standard error of 0.013 at the median
    np.testing.assert_allclose(below, levels, atol=0.05)


def test_times_far_and_near(trained):
    model, past = trained[0]["normal"], split(trained[1][:50])[0]
    last = np.array([one[-1, 0] for one in past])
    near = model.predict_distribution(past, times=last[:, None] + 2.0**-6)
    value = np.array([one[-1, 1:] for one in past])
    assert np.abs(near.median - value).mean() < 0.2
    assert (near.std < 0.5).all()
    many = last[:, None] + np.arange(1.0, 8.0)
    forecast = model.predict_distribution(past, times=many)
    assert forecast.times.shape == forecast.median.shape == (50, 7)
    assert (np.diff(forecast.std.mean(axis=0)) > 0).all()
    one = model.predict_distribution(past, times=many[:, 2:3])
    np.testing.assert_allclose(one.median[:, 0], forecast.median[:, 2], atol=1e-5)


def test_the_horizon_follows_the_median_step():
    model = SequenceForecaster("gru", **QUICK).fit(X)
    forecast = model.predict_distribution(X)
    step = np.array([np.median(np.diff(one[-10:, 0])) for one in X])
    wanted = np.array([one[-1, 0] for one in X])[:, None] + step[:, None] * [1, 2, 3]
    np.testing.assert_allclose(forecast.times, wanted)
    np.testing.assert_array_equal(model.predict(X), model.predict(X, times=wanted))
    assert model.predict(X).shape == (40, 3)
    assert str(forecast) == "Forecast: 40 series x 3 times, quantiles"
    assert set(forecast.to_dict()) == {"times", "distribution", "parameters", "levels"}


@pytest.mark.parametrize("cell", CELLS)
def test_only_what_was_observed_counts(cell):
    model = SequenceForecaster(cell, **QUICK).fit(X)
    median = model.predict(X)
    assert np.ptp(median) > 0.1
    later = [one + np.array([2.0**14, 0]) for one in X]
    np.testing.assert_array_equal(model.predict(later), median)
    longest = max(map(len, X))
    padded = np.stack([np.pad(one, ((0, longest + 5 - len(one)), (0, 0)), constant_values=np.nan)
                       for one in X])  # fmt: skip
    np.testing.assert_array_equal(model.predict(padded), median)
    alone = np.concatenate([model.predict([one]) for one in X[::7]])
    np.testing.assert_allclose(alone, median[::7], atol=1e-4)
    order = np.random.default_rng(3).permutation(40)
    np.testing.assert_allclose(model.predict([X[k] for k in order]), median[order], atol=1e-4)
    short = [one[-10:] for one in X]  # all that it looks back at
    np.testing.assert_allclose(model.predict(short), median, atol=1e-4)
    again = SequenceForecaster(cell, **QUICK).fit(later)
    np.testing.assert_array_equal(again.predict(X), median)


def test_nothing_to_predict_leaks_into_the_inputs():
    model = SequenceForecaster("gru", **QUICK).fit(X)
    cut = model._cut_windows(model._check_rows(X))
    assert np.isposinf(cut.X[:, -3:, 1]).all()
    assert np.isfinite(cut.X[:, -3:, 0]).all()
    assert np.isfinite(model._transform_inputs(cut.X)).all()
    for window, series, target in zip(cut.X, cut.series, cut.target, strict=True):
        k = np.searchsorted(X[series][:, 0], window[-3, 0])
        np.testing.assert_array_equal(target, X[series][k : k + 3, 1])
        seen = window[:-3][~np.isnan(window[:-3, 0])]
        np.testing.assert_array_equal(seen, X[series][max(0, k - 10) : k])
    assert np.bincount(cut.series).tolist() == [4] * 40
    whole = SequenceForecaster("gru", **QUICK | {"n_history": None, "n_windows": None}).fit(X)
    assert whole.n_windows_ == sum(len(one) - 7 for one in X)
    assert whole.n_skipped_ == 0


def test_short_series_are_counted():
    model = SequenceForecaster("gru", **QUICK).fit([*X, X[0][:7], X[1][:8]])
    assert (model.n_skipped_, model.n_windows_) == (1, 161)
    with pytest.raises(
        ValueError, match=r"min_history \+ horizon = 8 steps or more, got at most 6"
    ):
        SequenceForecaster("gru", **QUICK).fit([one[:6] for one in X])
    assert model.predict([one[:2] for one in X]).shape == (40, 3)
    with pytest.raises(ValueError, match="times must be given for series of one time"):
        model.predict([one[:1] for one in X])
    assert model.predict([X[0][:1]], times=[[100.0]]).shape == (1, 1)


def test_early_stopping_holds_out_whole_series(monkeypatch):
    from astroml_kit.models import _neural_estimator

    sides = []

    def split_and_tell(labels, groups, **options):
        fit_rows, held_rows = split_rows(labels, groups, **options)
        sides.append((set(groups[fit_rows]), set(groups[held_rows])))
        return fit_rows, held_rows

    split_rows = _neural_estimator.split_rows
    monkeypatch.setattr(_neural_estimator, "split_rows", split_and_tell)
    SequenceForecaster("gru", **QUICK, early_stopping=True).fit(X)
    SequenceForecaster("gru", **QUICK, early_stopping=True).fit(X, groups=np.arange(40) % 5)
    assert len(sides[0][0] | sides[0][1]) == 40
    assert len(sides[1][0] | sides[1][1]) == 5
    assert not any(one & two for one, two in sides)
