"""Curves and collections: order, masks, times with scale, and files that come back whole."""

import os
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.lightcurves import (
    LightCurve,
    LightCurves,
    iter_lightcurves,
    read_lightcurves,
    write_lightcurves,
)

KNOWN = {"unit": "mag", "time_format": "mjd", "time_scale": "utc"}
DATA = os.environ.get("ASTROML_KIT_DATA")


def draw(rng, n_objects=5, n=60, **options):
    return LightCurves.from_columns(
        name=rng.integers(n_objects, size=n), time=rng.uniform(58000, 58100, n),
        value=rng.normal(15, 1, n), error=rng.uniform(0.01, 0.1, n),
        band=rng.choice(["g", "r"], n), **KNOWN | options,
    )  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 80))
def test_no_step_is_lost_or_moved(seed, n_objects, n):
    rng = np.random.default_rng(seed)
    name, time = rng.integers(n_objects, size=n), rng.uniform(0, 9, n)
    value = 100 * name + time
    curves = LightCurves.from_columns(name=name, time=time, value=value, **KNOWN)
    assert curves.n_steps.sum() == n
    for one in curves:
        number = int(one.name)
        np.testing.assert_array_equal(one.time.mjd, np.sort(time[name == number]))
        np.testing.assert_allclose(one.value.value - one.time.mjd, 100 * number)
    chosen = rng.permutation(len(curves))[: max(len(curves) // 2, 1)]
    some = curves.select(chosen)
    assert some.names.tolist() == curves.names[chosen].tolist()
    for one in some:
        np.testing.assert_array_equal(one.value, curves[one.name].value)


def test_what_cannot_be_used_is_masked_and_counted():
    curves = LightCurves.from_columns(
        name=["a"] * 5, time=[1, 2, 3, 4, 5.0], value=[1, np.nan, 3, 4, 5],
        error=[0.1, 0.1, 0.0, np.inf, 0.1], mask=[0, 0, 0, 0, 1], **KNOWN,
    )  # fmt: skip
    assert curves.n_masked == 4
    assert "4 masked" in str(curves)
    one = curves["a"]
    assert len(one) == 5
    assert one.drop_masked().value.value.tolist() == [1.0]
    with pytest.raises(ValueError, match="time must be finite, got 1 steps"):
        LightCurves.from_columns(name=["a"], time=[np.nan], value=[1.0], **KNOWN)


@pytest.mark.parametrize(
    ("time_format", "days", "jd"),
    [("mjd", 58849.0, 2458849.5), ("jd", 2458849.5, 2458849.5), ("btjd", 1849.5, 2458849.5),
     ("bkjd", 131.5, 2454964.5)],
)  # fmt: skip
def test_times_keep_their_zero_point_and_scale(time_format, days, jd):
    options = KNOWN | {"time_format": time_format, "time_scale": "tdb"}
    curves = LightCurves.from_columns(name=["x"], time=[days], value=[1.0], **options)
    time = curves[0].time
    assert time.scale == "tdb"
    assert time.jd[0] == jd
    fine = LightCurves.from_columns(name=["x"], time=[days + 1e-9], value=[1.0], **options)[0]
    if time_format == "btjd":  # nanodays survive where the zero point is near
        assert (fine.time - time).to_value("day")[0] == pytest.approx(1e-9, rel=1e-3)


def test_files_come_back_whole(tmp_path):
    curves = draw(np.random.default_rng(1))
    labels = Table({"name": curves.names.astype(str), "label": ["v", "w", "x", "y", "z"]})
    curves = curves.add_columns(labels[::-1])
    assert list(curves.objects["label"]) == ["v", "w", "x", "y", "z"]
    again = read_lightcurves(write_lightcurves(curves, tmp_path / "c.parquet"))
    for name in ("time", "value", "error", "band", "mask", "offsets"):
        np.testing.assert_array_equal(getattr(again, name), getattr(curves, name))
    assert (again.unit, again.time_format, again.time_scale, again.bands) == (
        "mag", "mjd", "utc", ("g", "r"),
    )  # fmt: skip
    assert list(again.objects["label"]) == list(curves.objects["label"])
    (tmp_path / "c.parquet").write_bytes((tmp_path / "c.parquet").read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"c\.parquet must be a whole Parquet file"):
        read_lightcurves(tmp_path / "c.parquet")


def test_one_broken_file_of_a_folder_is_named_and_the_others_are_there(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("mjd,mag,magerr\n1,2,0.1\n0,3,0.1\n")
    (tmp_path / "bad.csv").write_text("mjd,mag,magerr\n1,bright,0.1\n")
    (tmp_path / "empty.csv").write_text("")
    curves = read_lightcurves(tmp_path, time_scale="utc")
    assert curves.names.tolist() == ["a", "b"]
    assert curves["b"].value.value.tolist() == [3.0, 2.0]
    assert set(curves.objects.meta["skipped"]) == {"bad.csv", "empty.csv"}
    assert "bright" in curves.objects.meta["skipped"]["bad.csv"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("time,mag\n1,2\n", {"time_scale": "utc"}, "time_format must be one of.*t.csv"),
        ("mjd,mag\n1,2\n", {}, "time_scale must be said for t.csv, got None"),
        ("mjd,mag\n1,2\n", {"time_scale": "local"}, "time_scale must be one of"),
        ("mjd,brightness\n1,2\n", {"time_scale": "utc"}, r"t.csv lacks the columns \['value'\]"),
        ("mjd,mag\n,2\n", {"time_scale": "utc"}, "must hold steps with a time, got 1 without"),
        ("mjd,mag\n1,2\n", {"time_scale": "utc", "columns": {"V": "value"}}, "lacks the columns"),
    ],
)
def test_what_is_not_said_is_asked_for(tmp_path, text, options, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_lightcurves(tmp_path / "t.csv", **options)


def test_columns_can_be_named(tmp_path):
    (tmp_path / "t.csv").write_text("when,V,who\n5,1.5,s1\n4,2.5,s1\n")
    curves = read_lightcurves(
        tmp_path / "t.csv", columns={"when": "time", "V": "value", "who": "name"},
        time_format="jd", time_scale="tdb", unit="Jy",
    )  # fmt: skip
    one = curves["s1"]
    assert one.value.unit == u.Jy
    assert one.time.jd.tolist() == [4.0, 5.0]
    table = one.to_table()
    assert table["time"].scale == "tdb"
    assert table.meta["name"] == "s1"


def test_a_curve_alone_checks_what_it_is_given():
    time = Time([1.0, 2.0], format="mjd", scale="utc")
    with pytest.raises(ValueError, match="lengths must be equal"):
        LightCurve(time, [1.0] * u.mag)
    with pytest.raises(ValueError, match="error must be in the unit of value"):
        LightCurve(time, [1.0, 2.0] * u.mag, [0.1, 0.1] * u.Jy)
    with pytest.raises(KeyError, match="one light curve named 'zz'"):
        draw(np.random.default_rng(2))["zz"]
    table = Table({"name": ["0", "1"], "label": [1, 2]})
    with pytest.raises(ValueError, match="table must have every object, got none for 3"):
        draw(np.random.default_rng(2)).add_columns(table)


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="set ASTROML_KIT_DATA")
def test_real_collections():
    asas = read_lightcurves(
        Path(DATA) / "asas-acvs" / "subset7_lightcurves.parquet",
        time_format="jd", time_scale="utc",
    )  # fmt: skip
    index = Table.read(Path(DATA) / "asas-acvs" / "subset7_index.csv", format="ascii.csv")
    asas = asas.add_columns(index, name="obj_id")
    assert len(asas) == 2100
    np.testing.assert_array_equal(asas.n_steps, asas.objects["n_obs"])
    assert sorted(set(asas.objects["class_code"])) == sorted(
        ["mira", "k", "d", "sd", "rr-ab", "rr-c", "ds"]
    )
    rrlyrae = read_lightcurves(
        Path(DATA) / "sdss-s82-rrlyrae" / "light-curves", time_format="mjd", time_scale="utc"
    )
    assert len(rrlyrae) == 483
    assert set(rrlyrae.bands) == set("ugriz")


def test_upper_limits_are_masked_counted_and_kept(tmp_path):
    curves = LightCurves.from_columns(
        name=["a", "b", "a", "b"], time=[58002, 58001, 58001, 58002], value=[2.0, 5.0, np.nan, 4.0],
        error=[np.nan, 0.1, 0.1, 0.1], limit=[1, 0, 1, 0], **KNOWN,
    )  # fmt: skip
    assert curves.limit.tolist() == [False, True, False, False], "a limit without a value is none"
    assert curves.mask.tolist() == [True, True, False, False]
    assert "2 masked, 1 upper limits" in str(curves)
    assert "2 masked, 1 upper limits" in str(curves["a"])
    assert curves.select([1, 0]).limit.tolist() == [False, False, False, True]
    one = curves["a"]
    assert one.to_table()["limit"].tolist() == [False, True]
    assert one.select([1]).n_limits == 1
    assert one.drop_masked().n_limits == 0
    again = read_lightcurves(write_lightcurves(curves, tmp_path / "c.parquet"))
    np.testing.assert_array_equal(again.limit, curves.limit)
    time = Time([1.0, 2.0], format="mjd", scale="utc")
    alone = LightCurve(time, [1.0, 2.0] * u.mag, limit=[False, True])
    assert alone.mask.tolist() == [False, True]
    assert alone.n_limits == 1
    with pytest.raises(ValueError, match="lengths must be equal"):
        LightCurve(time, [1.0, 2.0] * u.mag, limit=[True])
    assert draw(np.random.default_rng(1)).n_limits == 0


def assert_same_steps(chunks, whole):
    """Chunks hold the objects of the whole, each once, with all its steps."""
    names = np.concatenate([chunk.names for chunk in chunks]).astype(str)
    assert sorted(names) == sorted(whole.names.astype(str))
    for chunk in chunks:
        for one in chunk:
            other = whole[one.name]
            np.testing.assert_array_equal(one.time.jd, other.time.jd)
            np.testing.assert_array_equal(one.value, other.value)
            np.testing.assert_array_equal(one.mask, other.mask)


@pytest.mark.parametrize("kind", ["folder", "nested", "csv", "parquet"])
def test_chunks_hold_what_the_whole_holds(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(
        "astroml_kit.lightcurves._readers.chunks.BLOCK", 300
    )  # objects cross the blocks
    curves = draw(np.random.default_rng(3), n_objects=7, n=200)
    path = tmp_path / "c"
    rows = {"obj_id": np.repeat(curves.names, curves.n_steps), "mjd": curves.time,
            "mag": curves.value, "magerr": curves.error}  # fmt: skip
    table = Table(rows)
    if kind == "folder":
        path.mkdir()
        for name in curves.names:
            table[rows["obj_id"] == name]["mjd", "mag", "magerr"].write(path / f"{name}.csv")
        (path / "zz.csv").write_text("nonsense\n")
    elif kind == "nested":
        path = write_lightcurves(curves, tmp_path / "c.parquet")
    elif kind == "csv":
        table.write(path, format="csv")
    else:
        table.to_pandas().to_parquet(path)
    whole = read_lightcurves(path, time_scale="utc")
    chunks = iter_lightcurves(path, chunk_size=3, time_scale="utc")
    assert_same_steps(list(chunks), whole)
    assert [chunk.names.tolist() for chunk in chunks] == [c.names.tolist() for c in chunks]
    assert [len(chunk) for chunk in chunks] == [3, 3, 1]
    assert chunks.n_objects == {"csv": None, "folder": 8}.get(kind, 7)
    if kind == "csv":
        with pytest.raises(TypeError, match="known when all is read"):
            len(chunks)
    else:
        assert len(chunks) == 3


def test_chunks_say_what_they_cannot_do(tmp_path):
    (tmp_path / "apart.csv").write_text("name,mjd,mag\na,1,2\nb,1,2\na,2,3\nc,1,1\n")
    for size in (1, 2, 3):
        with pytest.raises(ValueError, match=r"object together, got those of \['a'\]"):
            list(iter_lightcurves(tmp_path / "apart.csv", chunk_size=size, time_scale="utc"))
    with pytest.raises(ValueError, match="chunk_size must be >= 1, got 0"):
        iter_lightcurves(tmp_path, chunk_size=0)
    folder = tmp_path / "f"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.csv").write_text("mjd,mag\n1,bad\n")
    (folder / "c.csv").write_text("mjd,mag\n1,2\n")
    first, second = iter_lightcurves(folder, chunk_size=2, time_scale="utc")
    assert len(first) == 0
    assert set(first.objects.meta["skipped"]) == {"a.csv", "b.csv"}
    assert second.names.tolist() == ["c"]
    assert (first.unit, first.time_format) == ("mag", "mjd")
