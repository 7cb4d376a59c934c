"""To other libraries and back: times, scale, unit, mask, band and limits stay what they were."""

import os
import sys
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from astropy.time import Time
from astropy.timeseries import BinnedTimeSeries, TimeSeries

from astroml_kit.lightcurves import (
    LightCurve,
    LightCurves,
    iter_lightcurves,
    read_lightcurves,
    write_lightcurves,
)

DATA = os.environ.get("ASTROML_KIT_DATA")


def make_curve(time_format="mjd", time_scale="tdb", unit="mJy"):
    zero = {"mjd": 58000.0, "btjd": 1325.0, "bkjd": 131.0, "jd": 2458000.0}[time_format]
    return LightCurves.from_columns(
        name=["s"] * 4, time=zero + np.arange(4) / 10 + 1e-8, value=[1.0, 2.0, 3.0, 4.0],
        error=[0.1] * 4, band=["g", "r", "g", "r"], mask=[0, 1, 0, 0], limit=[0, 0, 0, 1],
        unit=unit, time_format=time_format, time_scale=time_scale,
    )  # fmt: skip


def assert_same(one, other):
    assert (one.name, one.value.unit, one.time.scale) == (
        other.name,
        other.value.unit,
        other.time.scale,
    )
    np.testing.assert_array_equal(one.time.jd1 + one.time.jd2, other.time.jd1 + other.time.jd2)
    assert abs((one.time - other.time).to_value("s")).max() < 1e-6
    for name in ("value", "error", "band", "mask", "limit"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("time_scale", ["utc", "tdb", "tt"])
@pytest.mark.parametrize("time_format", ["mjd", "jd", "btjd", "bkjd"])
def test_time_series_come_back(time_format, time_scale):
    curve = make_curve(time_format, time_scale)[0]
    series = curve.to_timeseries()
    assert isinstance(series, TimeSeries)
    assert_same(LightCurve.from_timeseries(series), curve)


def test_series_of_others():
    time = Time([58002, 58001, 58003], format="mjd", scale="tt")
    series = TimeSeries(
        time=time, data={"flux": [2, np.nan, 3] * u.Jy, "flux_err": [100, 100, 0] * u.mJy}
    )
    series["quality"] = [0, 0, 4]
    curve = LightCurve.from_timeseries(series)
    assert curve.time.mjd.tolist() == [58001, 58002, 58003]
    assert curve.mask.tolist() == [True, False, True]
    assert curve.error.unit == u.Jy
    assert curve.error[1].value == pytest.approx(0.1)
    plain = TimeSeries(time=time, data={"counts": [1.0, 2.0, 3.0]})
    named = LightCurve.from_timeseries(plain, value="counts", unit="ct")
    assert named.value.unit == u.ct
    assert named.error is None
    plain["wrong_err"] = [1.0, 1.0, 1.0] * u.s
    for options, message in (
        ({"value": "counts", "unit": "ct", "error": "wrong_err"}, "error must be in the unit of"),
        ({}, "value must be a column of the series, got none"),
        ({"value": "counts"}, "unit must be said for the column 'counts'"),
        ({"value": "rate", "unit": "ct"}, r"the series lacks the columns \['rate'\]"),
        ({"value": "counts", "error": "e", "unit": "ct"}, r"the series lacks the columns \['e'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            LightCurve.from_timeseries(plain, **options)


def test_bins_become_steps_at_their_centres():
    binned = BinnedTimeSeries(
        time_bin_start=Time(58000, format="mjd"), time_bin_size=2 * u.day, n_bins=3,
        data={"flux": [1, 2, 3] * u.Jy},
    )  # fmt: skip
    curve = LightCurve.from_timeseries(binned)
    np.testing.assert_allclose(curve.time.mjd, [58001, 58003, 58005])
    assert curve.meta["bin_days"] == 2.0


@pytest.mark.parametrize("time_format", ["mjd", "btjd", "bkjd"])
def test_lightkurve_comes_back(time_format):
    pytest.importorskip("lightkurve", reason="pip install 'astroml_kit[lightcurves]'")
    curves = make_curve(time_format, unit="electron / s")
    theirs = curves[0].to_lightkurve()
    assert theirs.label == "s"
    assert np.asarray(theirs["quality"]).tolist() == [0, 1, 0, 1]
    assert_same(LightCurve.from_lightkurve(theirs), curves[0])
    collection = curves.to_lightkurve()
    assert len(collection) == 1
    many = LightCurves.from_lightkurve([*collection, theirs])
    assert many.names.tolist() == ["s", "s #2"]
    np.testing.assert_array_equal(many["s"].mask, curves[0].mask)
    np.testing.assert_array_equal(many["s"].limit, curves[0].limit)
    np.testing.assert_allclose(many["s #2"].time.jd, curves[0].time.jd, atol=1e-9)
    with pytest.raises(ValueError, match="collection must hold light curves, got none"):
        LightCurves.from_lightkurve([])


def test_gaps_of_lightkurve_are_counted():
    lightkurve = pytest.importorskip("lightkurve")
    time = Time([58000.0, 58001.0, 58002.0], format="mjd", scale="tdb")
    theirs = lightkurve.LightCurve(time=time, flux=[1.0, np.nan, 3.0])
    curve = LightCurve.from_lightkurve(theirs)
    assert curve.mask.tolist() == [False, True, False]
    assert curve.error is None
    assert curve.value.unit == u.dimensionless_unscaled


def test_without_lightkurve_the_way_to_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightkurve", None)
    with pytest.raises(ImportError, match=r"lightkurve is needed.*astroml_kit\[lightcurves\]"):
        make_curve()[0].to_lightkurve()


def test_nested_pandas_reads_what_is_written_and_is_read(tmp_path):
    nested_pandas = pytest.importorskip("nested_pandas")
    curves = make_curve()
    curves.objects["ra"] = [12.5]
    curves.objects.meta["skipped"] = {"x.csv": "damaged"}
    path = write_lightcurves(curves, tmp_path / "c.parquet")
    frame = nested_pandas.read_parquet(path)
    assert frame["ra"].tolist() == [12.5]
    assert frame["lightcurve.value"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert frame["lightcurve.band"].tolist() == ["g", "r", "g", "r"]
    means = frame.query("lightcurve.mask == False")["lightcurve.value"]
    assert means.tolist() == [1.0, 3.0]
    frame.to_parquet(tmp_path / "theirs.parquet")
    theirs = read_lightcurves(
        tmp_path / "theirs.parquet", time_format="mjd", time_scale="tdb", unit="mJy"
    )
    assert_same(theirs["s"], curves["s"])
    assert theirs["s"].meta["ra"] == 12.5
    again = read_lightcurves(path)
    assert again.objects.meta["skipped"] == {"x.csv": "damaged"}


def test_nested_parquet_in_chunks_keeps_all(tmp_path, monkeypatch):
    monkeypatch.setattr("astroml_kit.lightcurves._readers.nested.ROW_GROUP", 4)
    rng = np.random.default_rng(5)
    whole = LightCurves.from_columns(
        name=np.repeat(np.arange(11), 5), time=rng.uniform(58000, 58100, 55),
        value=rng.normal(15, 1, 55), band=rng.choice(["g", "r"], 55), limit=rng.random(55) < 0.2,
        unit="mag", time_format="mjd", time_scale="utc",
    )  # fmt: skip
    labels = Table({"name": np.arange(11), "label": [f"class {n % 3}" for n in range(11)]})
    whole = whole.add_columns(labels)
    path = write_lightcurves(whole, tmp_path / "c.parquet")
    for size in (3, 4, 20):
        chunks = list(iter_lightcurves(path, chunk_size=size))
        assert [len(chunk) for chunk in chunks[:-1]] == [size] * (len(chunks) - 1)
        for chunk in chunks:
            for one in chunk:
                other = whole[one.name]
                np.testing.assert_array_equal(one.value, other.value)
                np.testing.assert_array_equal(one.limit, other.limit)
                np.testing.assert_array_equal(one.band, other.band)
                assert one.meta["label"] == other.meta["label"]
        assert sum(len(chunk) for chunk in chunks) == 11


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="set ASTROML_KIT_DATA")
def test_real_quarters_through_lightkurve():
    lightkurve = pytest.importorskip("lightkurve")
    files = sorted((Path(DATA) / "exoplanet-transits" / "kepler90_llc").glob("*.fits"))
    mine = read_lightcurves(files)
    theirs = LightCurves.from_lightkurve([lightkurve.read(str(file)) for file in files])
    assert theirs.names.tolist() == [f"KIC 11442793{tail}" for tail in ("", " #2", " #3")]
    for one, other in zip(mine, theirs, strict=True):
        used, as_used = one.drop_masked(), other.drop_masked()
        np.testing.assert_array_equal(used.value.value, as_used.value.value)
        np.testing.assert_allclose(used.time.jd, as_used.time.jd, atol=1e-9)
