"""Augmentation: copies belong to their originals, means stay, scatters are those of the errors."""

import numpy as np
import pytest
from astropy.table import Table

from astroml_kit.lightcurves import (
    LightCurves,
    add_noise,
    find_periods,
    redraw_lightcurves,
    resample_lightcurves,
)

KNOWN = {"unit": "mag", "time_format": "mjd", "time_scale": "utc"}


def observe(*, n=400, period=None, bands=1, error=0.1, seed=1, names="ab", days=100):
    """A slow rise, or a sine, of each name, in bands one magnitude apart."""
    rng = np.random.default_rng(seed)
    time = np.concatenate([np.sort(rng.uniform(0, days, n)) for _ in names])
    band = rng.integers(bands, size=len(time))
    turn = time / (period or 4 * days)
    value = 15 + band + np.sin(2 * np.pi * turn) + error * rng.normal(size=len(time))
    curves = LightCurves.from_columns(
        name=np.repeat(list(names), n), time=time, value=value, error=np.full(len(time), error),
        band=np.array(list("gr"))[band] if bands > 1 else None, **KNOWN,
    )  # fmt: skip
    labels = Table({"name": list(names), "label": [f"class {name}" for name in names]})
    return curves.add_columns(labels)


@pytest.mark.parametrize("augment", [resample_lightcurves, add_noise, redraw_lightcurves])
def test_copies_belong_to_their_originals(augment):
    curves = observe(n=50, bands=2)
    before = curves.value.copy()
    copies = augment(curves, n_copies=3, rng=1)
    assert copies.objects["origin"].tolist() == ["a", "b"] * 3
    assert copies.objects["label"].tolist() == ["class a", "class b"] * 3
    assert len(set(copies.names.tolist())) == 6
    assert copies.offsets[-1] == len(copies.time)
    assert all(np.all(np.diff(copies.time[s:e]) >= 0)
               for s, e in zip(copies.offsets[:-1], copies.offsets[1:], strict=True))  # fmt: skip
    np.testing.assert_array_equal(curves.value, before)
    again = augment(curves, n_copies=3, rng=1)
    np.testing.assert_array_equal(again.value, copies.value)
    assert not np.array_equal(augment(curves, n_copies=3, rng=2).value, copies.value)
    of_copies = augment(copies, rng=1)
    assert of_copies.objects["origin"].tolist() == ["a", "b"] * 3


def test_resampling_keeps_steps_as_they_are_and_the_share_asked_for():
    curves = observe(n=2000)
    copies = resample_lightcurves(curves, keep=(0.3, 0.3), rng=1)
    share = copies.n_steps / curves.n_steps
    np.testing.assert_allclose(share, 0.3, atol=4 * np.sqrt(0.21 / 2000))
    known = set(zip(curves.time, curves.value, strict=True))
    assert known.issuperset(zip(copies.time, copies.value, strict=True))
    short = resample_lightcurves(curves, keep=(1, 1), window=(0.2, 0.25), rng=1)
    for number in range(2):
        time = short.time[short.offsets[number] : short.offsets[number + 1]]
        assert 0.19 * 100 < np.ptp(time) < 0.25 * 100
        whole = curves.time[curves.offsets[number] : curves.offsets[number + 1]]
        assert len(time) == np.sum((whole >= time[0]) & (whole <= time[-1]))


def test_noise_has_the_errors_and_no_mean():
    curves = observe(n=5000)
    mask = np.arange(len(curves.time)) % 10 == 0
    masked = LightCurves.from_columns(
        name=np.repeat(["a", "b"], 5000), time=curves.time, value=curves.value,
        error=curves.error, mask=mask, **KNOWN,
    )  # fmt: skip
    copies = add_noise(masked, scale=2.0, rng=1)
    pull = (copies.value - masked.value)[~mask] / (2 * masked.error[~mask])
    assert abs(pull.mean()) < 4 / np.sqrt(len(pull))
    assert pull.std() == pytest.approx(1, abs=4 / np.sqrt(2 * len(pull)))
    np.testing.assert_allclose(copies.error[~mask], np.sqrt(5) * masked.error[~mask])
    np.testing.assert_array_equal(copies.value[mask], masked.value[mask])


@pytest.mark.parametrize("bands", [1, 2])
def test_what_is_drawn_anew_is_the_same_object_with_other_noise(bands):
    curves = observe(bands=bands)
    cadence = observe(n=300, bands=bands, seed=7, days=80)
    copies = redraw_lightcurves(curves, n_copies=4, cadence=cadence, rng=1)
    assert len(copies.time) > 4 * 2 * 250
    turn = copies.time / 400
    truth = 15 + np.sin(2 * np.pi * turn) + (0 if copies.band is None else copies.band)
    pull = (copies.value - truth) / copies.error
    assert abs(pull.mean()) < 0.2
    assert 0.85 < pull.std() < 1.2
    assert copies.error.min() >= 0.1
    assert np.median(copies.error) < 0.12  # where there are many steps the process knows its own
    assert copies.objects["n_drawn"].tolist() == copies.n_steps.tolist()


def test_over_phase_a_period_survives_another_cadence():
    curves = observe(period=0.7, names="a", n=200)
    cadence = observe(n=150, seed=8, days=300, names="xyz")
    periods = find_periods(curves, n_candidates=1)
    copies = redraw_lightcurves(curves, periods=periods, cadence=cadence, rng=1)
    assert np.ptp(copies.time) > 250  # beyond the original
    again = find_periods(copies, n_candidates=1)
    assert again["period"][0].value == pytest.approx(0.7, rel=1e-3)
    assert again["dispersion"][0] < 0.1


def test_too_few_steps_are_not_drawn_and_counted():
    copies = redraw_lightcurves(observe(n=5), rng=1)
    assert copies.objects["n_drawn"].tolist() == [0, 0]
    assert len(copies) == 2


@pytest.mark.parametrize(
    ("augment", "options", "message"),
    [
        (resample_lightcurves, {"keep": (0.9, 0.5)}, "keep must be"),
        (resample_lightcurves, {"window": (0.0, 0.5)}, "window must be"),
        (resample_lightcurves, {"n_copies": 0}, "n_copies must be"),
        (add_noise, {"scale": -1.0}, "scale must be"),
        (redraw_lightcurves, {"cadence": observe(n=9, bands=2)}, "cadence must be"),
    ],
)
def test_mistakes_are_named(augment, options, message):
    with pytest.raises(ValueError, match=message):
        augment(observe(n=9), **options)


@pytest.mark.parametrize("augment", [add_noise, redraw_lightcurves])
def test_noise_needs_errors(augment):
    curves = LightCurves.from_columns(name=["a"], time=[1.0], value=[2.0], **KNOWN)
    with pytest.raises(ValueError, match="curves must have errors"):
        augment(curves)
