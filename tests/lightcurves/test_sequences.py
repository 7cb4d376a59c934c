"""Sequences: steps as they are, and folds that begin where the object is faintest."""

import numpy as np
import pytest

from astroml_kit.lightcurves import (
    LightCurves,
    extract_features,
    extract_hybrid,
    extract_phase_curves,
    extract_sequences,
    find_periods,
)

KNOWN = {"time_format": "mjd", "time_scale": "utc"}
PERIOD = 0.83


def observe(*, n=250, names="a", unit="mag", shift=0.0, bands=1, seed=1):
    """A saw-tooth of magnitudes, or its flux."""
    rng = np.random.default_rng(seed)
    time = np.concatenate([np.sort(rng.uniform(0, 90, n)) for _ in names])
    band = rng.integers(bands, size=len(time))
    value = (time / PERIOD) % 1 + 0.01 * rng.normal(size=len(time)) + band
    if unit != "mag":
        value = 10 ** (-0.4 * value)
    return LightCurves.from_columns(
        name=np.repeat(list(names), n), time=time + shift, value=value, unit=unit,
        error=np.full(len(time), 0.01), band=np.array(["g", "r"])[band] if bands > 1 else None,
        **KNOWN,
    )  # fmt: skip


def test_steps_are_given_as_they_are():
    curves = LightCurves.from_columns(
        name=["a", "a", "a", "b", "c"], time=[3.0, 1.0, 2.0, 7.0, 5.0],
        value=[14.2, 14.0, np.nan, 12.0, np.nan], error=[0.1] * 5, unit="mag",
        band=["r", "g", "g", "r", "r"], **KNOWN,
    )  # fmt: skip
    samples = extract_sequences(curves)
    assert samples.meta["columns"] == ["time", "value", "error", "band"]
    assert samples.meta["left_out"] == ["c"]
    assert samples.groups.tolist() == ["a", "b"]
    np.testing.assert_array_equal(
        samples.X, [[[0, 14.0, 0.1, 0], [2, 14.2, 0.1, 1]], [[0, 12.0, 0.1, 1], [np.nan] * 4]]
    )


def test_longer_ones_lose_steps_but_not_their_order():
    samples = extract_sequences(observe(), n_steps=50, rng=1)
    assert samples.X.shape == (1, 50, 3)
    assert np.all(np.diff(samples.X[0, :, 0]) > 0)
    np.testing.assert_array_equal(samples.X, extract_sequences(observe(), n_steps=50, rng=1).X)


def test_scaled_steps_are_a_shape_with_its_size_and_level():
    curves = observe(bands=2, names="ab")
    samples = extract_sequences(curves, scaled=True)
    columns = ["time", "value", "log_noise", "log_scatter", "median", "band"]
    assert samples.meta["columns"] == columns
    plain = extract_sequences(curves).X
    np.testing.assert_array_equal(samples.X[..., [0, 5]], plain[..., [0, 3]])
    for steps, own in zip(samples.X, plain, strict=True):
        for band in (0, 1):
            value, noise, scatter, median = steps[steps[:, 5] == band, 1:5].T
            assert value.std() == pytest.approx(1)
            assert np.median(value) == pytest.approx(0, abs=1e-12)
            back = median + value * 10**scatter
            np.testing.assert_allclose(back, own[own[:, 3] == band, 1])
            np.testing.assert_allclose(10 ** (noise + scatter), 0.01)


def test_scaled_steps_keep_size_and_level_of_the_whole_curve():
    curves = observe()
    whole, fewer = (extract_sequences(curves, scaled=True, n_steps=n, rng=1) for n in (None, 9))
    assert fewer.X.shape == (1, 9, 5)
    assert fewer.X[0, 0, 0] == 0
    known = {tuple(step) for step in whole.X[0, :, 1:]}
    assert all(tuple(step) in known for step in fewer.X[0, :, 1:])


def test_values_that_are_all_the_same_can_be_scaled():
    curves = LightCurves.from_columns(
        name=["a"] * 3, time=[1.0, 2.0, 4.0], value=[14.1] * 3, error=[0.1] * 3, unit="mag", **KNOWN
    )
    steps = extract_sequences(curves, scaled=True).X[0]
    np.testing.assert_allclose(steps[:, 1:], [[0, -1, 0, 14.1]] * 3, atol=1e-12)


@pytest.mark.parametrize("unit", ["mag", "Jy"])
def test_folds_begin_where_it_is_faintest_whenever_it_was_observed(unit):
    one, two = (observe(unit=unit, shift=s) for s in (0.0, 17.3))
    periods = find_periods(one, n_candidates=2)
    folds = [extract_phase_curves(c, periods=periods, n_phases=32) for c in (one, two)]
    assert folds[0].meta["columns"][:3] == ["period", "double", "log_period"]
    fold = folds[0].X[0, :, 0] * (1 if unit == "mag" else -1)  # fainter upwards
    assert fold.argmax() in (30, 31, 0, 1)
    assert fold.argmin() in (0, 1, 2, 3)  # it rises at once
    # as far as one bin of phase, and the steps in it
    assert np.corrcoef(folds[0].X[0, :, 0], folds[1].X[0, :, 0])[0, 1] > 0.99
    np.testing.assert_allclose(folds[0].X[0, 0, 2:], folds[1].X[0, 0, 2:], rtol=1e-6)
    assert 10 ** folds[0].X[0, 0, 2] == pytest.approx(PERIOD, rel=1e-3)


def test_zero_points_do_not_matter_to_folds():
    curves = observe(bands=2)
    periods = find_periods(curves, n_candidates=2)
    brighter = LightCurves.from_columns(
        name=["a"] * 250, time=curves.time, value=curves.value - 3, error=curves.error,
        band=np.array(curves.bands)[curves.band], unit="mag", **KNOWN,
    )  # fmt: skip
    one, two = (extract_phase_curves(c, periods=periods) for c in (curves, brighter))
    assert one.X.shape == (1, 64, 9)
    np.testing.assert_allclose(one.X, two.X, atol=1e-9)


def test_without_a_period_there_is_nothing_to_fold():
    short = extract_phase_curves(observe(n=5))
    assert short.X.shape == (1, 64, 7)
    assert not short.X.any()


def test_hybrid_rows_are_features_and_folds():
    curves = observe(names="ab")
    periods = find_periods(curves, n_candidates=2)
    samples = extract_hybrid(curves, periods=periods, n_phases=16)
    table = extract_features(curves, periods=periods)
    folds = extract_phase_curves(curves, periods=periods, n_phases=16)
    n = table.X.shape[1]
    np.testing.assert_array_equal(samples.X[:, :n], table.X)
    shape = samples.meta["sequence_shape"]
    np.testing.assert_array_equal(samples.X[:, n:].reshape(2, *shape), folds.X)
    assert samples.feature_names[:n] == table.feature_names
    assert len(set(samples.feature_names)) == samples.X.shape[1]
