"""Features: what does not matter does not change them, and what does is in them."""

import numpy as np
import pytest

from astroml_kit.lightcurves import LightCurves, extract_features, find_periods
from astroml_kit.lightcurves._fold_features import Steps, measure_fold, name_measures
from astroml_kit.lightcurves.features import LAGS, measure_lags

KNOWN = {"unit": "mag", "time_format": "mjd", "time_scale": "utc"}
PERIOD = 1.37


def eclipse(turn, *, depths=(0.8, 0.3), width=0.04):
    """Two eclipses per orbit on a constant light."""
    apart = np.stack([(turn + 0.5) % 1 - 0.5, turn % 1 - 0.5])
    return np.array(depths) @ np.exp(-0.5 * (apart / width) ** 2)


def observe(shape=eclipse, *, n=300, seed=1, noise=0.01, bands=1, **changes):
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 200, n))
    band = rng.integers(bands, size=n)
    value = 12 + 0.6 * band + shape(time / PERIOD) + noise * rng.normal(size=n)
    columns = {"name": ["a"] * n, "time": 50000 + time, "value": value,
               "error": np.full(n, 0.01)} | KNOWN  # fmt: skip
    if bands > 1:
        columns["band"] = np.array(["g", "r"])[band]
    return LightCurves.from_columns(**columns | changes)


def find(curves):
    return find_periods(curves, n_candidates=2)


def read(samples):
    return dict(zip(samples.feature_names, samples.X[0], strict=True))


@pytest.fixture(scope="module")
def plain():
    curves = observe()
    return curves, find(curves)


def check_same(one, two, *, but=()):
    assert one.keys() == two.keys()
    changed = [
        k
        for k in one
        if k not in but and not np.isclose(one[k], two[k], rtol=1e-4, atol=1e-5, equal_nan=True)
    ]
    assert changed == []


def test_neither_the_zero_of_time_nor_that_of_magnitudes_matters(plain):
    curves, periods = plain
    moved = observe(time=curves.time - 40000.25, value=curves.value + 3)
    one, two = (read(extract_features(c, periods=periods)) for c in (curves, moved))
    # these say how bright it is, and are meant to
    check_same(one, two, but=("mean", "excess_variance"))
    assert two["mean"] - one["mean"] == pytest.approx(3)


def test_masked_steps_count_for_nothing(plain):
    curves, periods = plain
    rng = np.random.default_rng(3)
    wild = {"time": 50000 + rng.uniform(0, 200, 40), "value": rng.uniform(-90, 90, 40)}
    more = observe(
        name=["a"] * 340, error=np.full(340, 0.01),
        time=np.concatenate([curves.time, wild["time"]]),
        value=np.concatenate([curves.value, np.where(np.arange(40) % 2, np.nan, wild["value"])]),
        mask=np.arange(340) >= 300,
    )  # fmt: skip
    assert more.n_masked == 40
    samples = extract_features(more, periods=periods)
    check_same(read(extract_features(curves, periods=periods)), read(samples))
    assert samples.meta["n_masked"] == 40


def test_what_was_observed_twice_is_no_reason_to_fail(plain):
    curves, periods = plain
    twice = observe(
        name=["a"] * 600, error=np.full(600, 0.01), time=np.repeat(curves.time, 2),
        value=np.repeat(curves.value, 2),
    )  # fmt: skip
    one, two = (read(extract_features(c, periods=periods)) for c in (curves, twice))
    assert np.isfinite(two["eta"])
    for name in ("period_depth_1", "period_second_phase", "period_log_amplitude_1", "skew"):
        assert two[name] == pytest.approx(one[name], rel=0.02), name


def test_eclipses_are_measured(plain):
    curves, periods = plain
    assert periods["period"][0].value == pytest.approx(PERIOD, rel=1e-4)
    row = read(extract_features(curves, periods=periods))
    assert 10 ** row["period_log_orbit"] == pytest.approx(PERIOD, rel=1e-4)
    assert row["period_depth_1"] == pytest.approx(0.8, rel=0.15)
    assert row["period_depth_2"] == pytest.approx(0.3, rel=0.15)
    assert row["period_second_phase"] < 0.01
    assert row["period_width_1"] < 0.25
    assert row["period_between_range"] < 0.1


@pytest.mark.parametrize("factor", [0.5, 1.0])
def test_an_orbit_is_found_from_half_of_it_too(factor):
    time = np.sort(np.random.default_rng(2).uniform(0, 200, 400))
    value = eclipse(time / PERIOD, depths=(0.8, 0.6), width=0.06)
    steps = Steps.gather(time, value, None, np.zeros(400, dtype=int), is_magnitude=True)
    row = measure_fold(steps, factor * PERIOD)
    assert 10 ** row["log_orbit"] == pytest.approx(PERIOD)
    assert row["depth_ratio"] == pytest.approx(0.75, abs=0.05)
    assert row["left_orbit"] < 0.02


def test_a_flux_says_the_same_of_a_small_change_as_a_magnitude():
    def small(turn):
        return eclipse(turn, depths=(0.03, 0.01))

    magnitudes = observe(small, noise=0.0005)
    flux = observe(
        unit="Jy", value=10 ** (-0.4 * (magnitudes.value - 12)), error=np.full(300, 0.001)
    )
    one, two = (read(extract_features(c, periods=find(magnitudes))) for c in (magnitudes, flux))
    for name in ("depth_1", "depth_ratio", "width_1", "shape_skew", "light_cos_2", "rise"):
        assert two[f"period_{name}"] == pytest.approx(one[f"period_{name}"], rel=0.05, abs=2e-3)


@pytest.mark.parametrize(("scale", "shift", "value"), [(1, 0, -2.0), (1000, 500, -2.0)])
def test_harmonics_of_a_known_series(scale, shift, value):
    """A cosine and its double: ratio 1/2, and phases that do not know the zero of time."""
    time = np.sort(np.random.default_rng(4).uniform(0, 300, 500)) + shift
    turn = 2 * np.pi * (time - 0.3) / PERIOD
    values = value + scale * (np.cos(turn) + 0.5 * np.cos(2 * turn))
    steps = Steps.gather(time, values, None, np.zeros(500, dtype=int), is_magnitude=True)
    row = measure_fold(steps, PERIOD)
    assert row["ratio_21"] == pytest.approx(0.5, rel=0.01)
    assert row["cos_21"] == pytest.approx(1, abs=0.01)
    assert 10 ** row["log_amplitude_1"] == pytest.approx(scale, rel=0.01)
    assert row["left_two"] < 1e-3 < row["left_one"]
    assert row["theta_one"] < 0.1 < row["theta_half"]


def test_lags_of_white_noise_are_flat_and_of_a_slow_wave_rise():
    rng = np.random.default_rng(5)
    time = np.sort(rng.uniform(0, 300, 2000))
    white = np.array(list(measure_lags(time, rng.normal(size=2000)).values()))
    known = np.isfinite(white)
    assert known.sum() >= 6
    np.testing.assert_allclose(white[known], 0, atol=0.15)
    slow = measure_lags(time, np.sin(2 * np.pi * time / 150))
    assert slow["lag_1"] < -2 < -0.5 < slow["lag_100"]
    assert list(slow) == [f"lag_{edge:g}" for edge in LAGS]


def test_bands_have_their_colour_and_share_a_fold():
    curves = observe(bands=2, n=500)
    row = read(extract_features(curves, periods=find(curves)))
    assert row["colour_g_r"] == pytest.approx(-0.6, abs=0.1)
    assert row["scatter_ratio_g_r"] == pytest.approx(1, rel=0.15)
    assert row["period_depth_1"] == pytest.approx(0.8, rel=0.15)
    assert {"skew_g", "skew_r", "n_steps_g"} < row.keys()


def test_what_cannot_be_computed_is_nan_and_keeps_its_column(plain):
    short = observe(n=5)
    constant = observe(lambda turn: 0 * turn, noise=0.0)
    names = extract_features(plain[0], periods=plain[1]).feature_names
    for curves in (short, constant):
        samples = extract_features(curves)
        assert samples.feature_names == names
        row = read(samples)
        assert np.isnan(row["period_depth_1"])
        assert row["n_steps"] == len(curves.time)
        assert not np.isinf(samples.X).any()
    assert len(name_measures()) == len(set(name_measures()))


def test_labels_and_groups_come_along():
    from astropy.table import Table

    curves = observe().add_columns(Table({"name": ["a"], "kind": ["ea"], "field": [7]}))
    samples = extract_features(curves, periods=find(curves), label="kind", groups="field")
    assert (samples.y.tolist(), samples.groups.tolist()) == ([0], [7])
    assert samples.meta["classes"] == ["ea"]
    with pytest.raises(ValueError, match=r"curves.objects lacks the columns \['class'\]"):
        extract_features(curves, label="class")
    with pytest.raises(ValueError, match="curves must be at least one"):
        extract_features(curves.select([]))
