"""Injected planets are the light they say, matches are strict, recovery counts what it is given."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.lightcurves import (
    LightCurves,
    find_transits,
    inject_transits,
    make_vetting_samples,
    match_transits,
    measure_recovery,
    simulate_lightcurves,
    transit_duration,
    transit_flux,
)
from astroml_kit.lightcurves.injection import VETTING_FEATURES


@pytest.fixture(scope="module")
def stars():
    return simulate_lightcurves("constant", n=4, survey="tess", outliers=0.0, random_state=1)


@pytest.fixture(scope="module")
def planted(stars):
    return inject_transits(stars, period=[2.0, 3.1, 4.2, 5.3], radius_ratio=0.08, random_state=2)


@pytest.fixture(scope="module")
def found(planted):
    return find_transits(planted, period_min=1.5)


def test_an_injection_is_a_factor_on_the_flux_and_an_addition_to_magnitudes(stars, planted):
    one = planted.objects[1]
    rows = slice(planted.offsets[1], planted.offsets[2])
    days = stars.time[rows]
    expected = transit_flux(
        days, period=3.1, epoch=one["injected_epoch"], radius_ratio=0.08,
        exposure=float(np.median(np.diff(days))),
    )  # fmt: skip
    np.testing.assert_allclose(planted.value[rows] / stars.value[rows], expected, rtol=1e-12)
    assert one["injected_depth"] == pytest.approx(1 - expected.min())
    assert one["injected_duration"] == transit_duration(3.1, radius_ratio=0.08, impact=0)
    assert 0 <= one["injected_epoch"] - days[0] < 3.1
    scatter = np.std(stars.value[rows]) / np.median(stars.value[rows])
    white = np.sqrt(np.sum((1 - expected) ** 2)) / scatter
    assert one["injected_snr"] == pytest.approx(white, rel=0.1)
    magnitudes = replace(stars, value=12 - 2.5 * np.log10(stars.value), unit="mag")
    same = inject_transits(magnitudes, period=[2.0, 3.1, 4.2, 5.3], radius_ratio=0.08,
                           random_state=2)  # fmt: skip
    np.testing.assert_allclose(12 - 2.5 * np.log10(planted.value), same.value, rtol=1e-12)
    np.testing.assert_allclose(
        same.objects["injected_snr"], planted.objects["injected_snr"], rtol=0.02
    )


def test_a_seed_gives_the_same_bits(stars, planted):
    again, other = (
        inject_transits(stars, period=[2.0, 3.1, 4.2, 5.3], radius_ratio=0.08, random_state=seed)
        for seed in (2, 3)
    )
    assert np.array_equal(again.value, planted.value)
    assert not np.array_equal(other.value, planted.value)


def test_a_match_has_the_period_and_the_epoch(planted, found):
    assert match_transits(found, planted).all()
    assert len(found) == 4
    late, double = found.copy(), found.copy()
    late["epoch"] = late["epoch"] + late["duration"]
    double["period"] = 2 * double["period"]
    assert not match_transits(late, planted).any()
    assert not match_transits(double, planted).any()
    next_one = found.copy()
    next_one["epoch"] = next_one["epoch"] + next_one["period"]
    assert match_transits(next_one, planted).all()
    assert match_transits(found[:0], planted).shape == (0,)


def test_features_of_vetting(stars, found):
    samples = make_vetting_samples(found, y=np.ones(4, dtype=int))
    assert samples.feature_names == VETTING_FEATURES
    assert samples.X.shape == (4, len(VETTING_FEATURES))
    assert samples.groups.tolist() == found["name"].tolist()
    column = dict(zip(VETTING_FEATURES, samples.X.T, strict=True))
    np.testing.assert_allclose(column["snr"], found["snr"])
    expected = found["duration"].to_value("day") / found["period"].to_value("day")
    np.testing.assert_allclose(column["duty_cycle"], expected)
    noise = make_vetting_samples(find_transits(stars, period_min=1.5, snr_min=0))
    other = dict(zip(VETTING_FEATURES, noise.X.T, strict=True))
    # planets: no other dip as deep, events alike, a peak that stands out
    assert column["secondary_share"].max() < 0.3 < np.nanmin(other["secondary_share"])
    assert column["contrast"].min() > other["contrast"].max()
    empty = make_vetting_samples(found[:0])
    assert empty.X.shape == (0, len(VETTING_FEATURES))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(1, 9.9), st.floats(1, 9.9)), max_size=60))
def test_recovery_counts_everything_once(planets):
    hit, period, depth = (np.array(x) for x in zip(*planets, strict=True)) if planets else [[]] * 3
    recovery = measure_recovery(
        hit, period=period, depth=depth, period_edges=[1, 3, 5, 10], depth_edges=[1, 2, 10]
    )
    assert recovery.n_injected.sum() == len(planets)
    assert recovery.n_recovered.sum() == np.sum(hit)
    filled = recovery.n_injected > 0
    share = recovery.share
    assert np.isnan(share[~filled]).all()
    assert np.isnan(recovery.error[~filled]).all()
    assert ((share[filled] >= 0) & (share[filled] <= 1)).all()
    assert (recovery.error[filled] > 0).all()
    json.dumps(recovery.to_dict())
    assert f"{int(np.sum(hit))} of {len(planets)} injected" in str(recovery)


def test_error_of_a_share_is_that_of_wilson():
    # Wilson 1927 at one standard deviation, 8 of 10: half width sqrt(0.016 + 0.0025) / 1.1
    recovery = measure_recovery([True] * 8 + [False] * 2, period=[1] * 10, depth=[1] * 10,
                                period_edges=[0, 2], depth_edges=[0, 2])  # fmt: skip
    assert recovery.error[0, 0] == pytest.approx(0.12365, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"period": 0}, "period must be"), ({"radius_ratio": 0}, "radius_ratio must be"),
     ({"impact": -1}, "impact must be"), ({"density": -1}, "density must be"),
     ({"period": [1.0, 2.0]}, "one entry for each of the 4"),
     ({"epoch": [1.0, 2.0]}, "one entry for each of the 4")],
)  # fmt: skip
def test_bad_planets_are_refused(stars, options, message):
    with pytest.raises(ValueError, match=message):
        inject_transits(stars, **{"period": 2.0, "radius_ratio": 0.1, **options})


def test_what_cannot_be_matched_or_counted_is_refused(stars, planted, found):
    with pytest.raises(ValueError, match="injected_period"):
        match_transits(found, stars)
    with pytest.raises(ValueError, match="of the stars in curves"):
        match_transits(found, planted[:1])
    edges = {"period_edges": [0, 1], "depth_edges": [0, 1]}
    with pytest.raises(ValueError, match="lengths must be equal"):
        measure_recovery([True], period=[1, 2], depth=[1], **edges)
    with pytest.raises(ValueError, match="two increasing numbers"):
        measure_recovery([True], period=[1], depth=[1], **{**edges, "depth_edges": [1, 1]})


def test_objects_without_steps_pass():
    empty = LightCurves.from_columns(
        name=["a"] * 1, time=[1.0], value=[1.0], unit="", time_format="bkjd", time_scale="tdb"
    )
    planted = inject_transits(empty, period=2.0, radius_ratio=0.1, random_state=1)
    assert planted.objects["injected_snr"][0] == 0
