"""Event files written and read back as they were, whole or in pieces."""

import os
import warnings

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable
from astropy.time import Time
from astropy.utils.masked import Masked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astroml_kit.cherenkov import (
    iter_events,
    read_events,
    write_events,
)


@pytest.fixture
def events():
    """A table with everything a file must keep."""
    n = 20
    rng = np.random.default_rng(3)
    times = Time(59000.25, rng.uniform(0, 0.02, n), format="mjd", scale="tt")
    table = QTable(
        {
            "obs_id": np.full(n, 12, dtype=np.int64),
            "event_id": np.arange(n) + 2**53,
            "time": times,
            "reco_ra": rng.uniform(0, 360, n).astype("f4") * u.deg,
            "reco_dec": rng.uniform(-90, 90, n).astype("f4") * u.deg,
            "reco_energy": rng.uniform(0.1, 10, n) * u.TeV,
            "gammaness": MaskedColumn(rng.random(n), mask=np.arange(n) % 7 == 3),
            "n_tels": MaskedColumn(rng.integers(2, 5, n), mask=np.arange(n) == 4),
            "hillas_width": Masked(rng.random(n), mask=np.arange(n) == 9) * u.m,
            "is_gamma": rng.random(n) > 0.5,
            "source": np.array(["Crab", "Mrk 421"] * (n // 2)),
        },
        meta={
            "format": "made",
            "TELESCOP": "TEST",
            "LIVETIME": 1234.5,
            "pointing": SkyCoord(83.6, 22.0, unit="deg"),
            "start": Time("2020-05-31T06:00:00", scale="utc"),
            "size": 3.0 * u.deg,
            "telescopes": {"tel_id": [1, 2], "type": ["LST", "MST"]},
        },
    )
    table["reco_energy"].info.description = "from the width"
    return table


def assert_same(found, table):
    assert found.colnames == table.colnames
    for name in table.colnames:
        ours, theirs = table[name], found[name]
        if isinstance(ours, Time):
            assert theirs.scale == ours.scale
            assert np.all(theirs.jd1 == ours.jd1)
            assert np.all(theirs.jd2 == ours.jd2)
            continue
        assert getattr(theirs, "unit", None) == getattr(ours, "unit", None), name
        np.testing.assert_array_equal(getattr(theirs, "mask", False), getattr(ours, "mask", False))
        plain = [np.asarray(getattr(c, "filled", lambda _, c=c: c)(0)) for c in (ours, theirs)]
        np.testing.assert_array_equal(*plain)
        assert plain[0].dtype.kind == plain[1].dtype.kind
        assert plain[0].dtype.itemsize == plain[1].dtype.itemsize


@pytest.mark.parametrize("suffix", [".parquet", ".h5"])
def test_round_trip_keeps_everything(tmp_path, events, suffix):
    path = write_events(events, tmp_path / f"events{suffix}")
    found = read_events(path)
    assert_same(found, events)
    assert found["reco_energy"].info.description == "from the width"
    for key in ("TELESCOP", "LIVETIME", "telescopes"):
        assert found.meta[key] == events.meta[key]
    assert found.meta["size"] == 3.0 * u.deg
    assert found.meta["start"].scale == "utc"
    assert found.meta["start"] == events.meta["start"]
    assert found.meta["pointing"].separation(events.meta["pointing"]).deg < 1e-9
    assert found.meta["source"] == path.name


@pytest.mark.parametrize("suffix", [".parquet", ".h5", ".fits", ".fits.gz"])
def test_empty_table_keeps_its_columns(tmp_path, events, suffix):
    table = events[["event_id", "time", "reco_ra", "reco_dec", "reco_energy"]][:0]
    path = write_events(table, tmp_path / f"none{suffix}")
    found = read_events(path)
    assert len(found) == 0
    assert set(found.colnames) == set(table.colnames)
    assert found["reco_energy"].unit == u.TeV
    assert [len(part) for part in iter_events(path, chunk_size=3)] == [0]


@pytest.mark.parametrize("suffix", [".parquet", ".h5", ".fits", ".fits.gz"])
@pytest.mark.parametrize("scale", ["tt", "utc", "tai", "tdb"])
def test_times_survive_to_a_microsecond(tmp_path, events, suffix, scale):
    table = events[["event_id", "time", "reco_ra", "reco_dec", "reco_energy"]]
    table["time"] = Time(Time(events["time"], scale="tt"), format="mjd")
    table["time"] = getattr(table["time"], scale)
    found = read_events(write_events(table, tmp_path / f"t{suffix}"))
    assert found["time"].scale == scale
    assert np.abs((found["time"] - table["time"]).to_value(u.us)).max() < 1.0


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seconds=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20),
    scale=st.sampled_from(["tt", "utc", "tai"]),
    reference=st.integers(41317, 58000),
)
def test_elapsed_seconds_round_trip_in_fits(tmp_path, seconds, scale, reference):
    # TIME counts elapsed seconds; leap seconds in between must cancel.
    from erfa import ErfaWarning

    from astroml_kit.cherenkov._gadf import make_time

    start = Time(reference, format="mjd", scale=scale)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ErfaWarning)
        again = (make_time(np.array(seconds), start) - start).to_value("sec")
    np.testing.assert_allclose(again, seconds, atol=1e-6)


def test_fits_is_opened_by_gammapy(tmp_path, events):
    data = pytest.importorskip("gammapy.data")
    table = events[["obs_id", "event_id", "time", "reco_ra", "reco_dec", "reco_energy"]]
    table.meta |= {"OBS_ID": 12, "RA_PNT": 83.6, "DEC_PNT": 22.0, "TSTART": 6.1e8, "TSTOP": 6.2e8}
    path = write_events(table, tmp_path / "events.fits.gz")
    peer = data.EventList.read(path)
    np.testing.assert_array_equal(peer.table["EVENT_ID"], table["event_id"])
    np.testing.assert_array_equal(peer.energy.to_value("TeV"), table["reco_energy"].value)
    assert np.abs((peer.time - table["time"]).to_value(u.us)).max() < 1
    assert peer.time.scale == "tt"
    assert peer.radec.separation(SkyCoord(table["reco_ra"], table["reco_dec"])).deg.max() < 1e-5
    gti = data.GTI.read(path)
    assert gti.time_sum.to_value("s") == pytest.approx(1e7)


def test_fits_keeps_masks_as_fits_can(tmp_path, events):
    found = read_events(write_events(events, tmp_path / "e.fits"))
    assert np.isnan(found["gammaness"][events["gammaness"].mask]).all()
    np.testing.assert_array_equal(found["n_tels"].mask, events["n_tels"].mask)
    assert found["hillas_width"].unit == u.m
    assert found.meta["LIVETIME"] == 1234.5
    assert found["obs_id"][0] == 12


def test_fits_round_trip_of_a_read_list(write_run, tmp_path):
    first = read_events(write_run("a.fits.gz", obs_id=4))
    again = read_events(write_events(first, tmp_path / "b.fits"))
    assert set(again.colnames) == set(first.colnames)
    assert np.abs((again["time"] - first["time"]).to_value(u.us)).max() < 0.1
    for key in ("MJDREFI", "MJDREFF", "RA_PNT", "LIVETIME", "OBJECT"):
        assert again.meta[key] == first.meta[key]


def test_one_fits_file_holds_one_run(tmp_path, events):
    events["obs_id"][3] = 99
    with pytest.raises(ValueError, match="one run per GADF file"):
        write_events(events, tmp_path / "e.fits")


@pytest.mark.parametrize("suffix", [".parquet", ".h5", ".fits"])
def test_an_interrupted_write_leaves_nothing(tmp_path, events, suffix, monkeypatch):
    path = tmp_path / f"events{suffix}"
    path.write_bytes(b"the old file")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_events(events, path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"the old file"


def test_write_refuses_before_it_touches_anything(tmp_path, events):
    path = write_events(events, tmp_path / "e.h5")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_events(events, path)
    with pytest.raises(ValueError, match="path must end in one of"):
        write_events(events, tmp_path / "e.txt")
    with pytest.raises(ValueError, match=r"format must be one of .*'magic'"):
        write_events(events, tmp_path / "e.h5", format="magic")
    with pytest.raises(ValueError, match="table must be a QTable"):
        write_events({"x": [1]}, tmp_path / "f.h5")
    events.meta["function"] = len
    with pytest.raises(ValueError, match=r"meta\['function'\] must be a number"):
        write_events(events, tmp_path / "f.parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["e.h5"]


@pytest.mark.parametrize("suffix", [".parquet", ".h5", ".fits", ".fits.gz"])
@pytest.mark.parametrize("chunk_size", [1, 7, 20, 1000])
def test_pieces_make_up_the_whole(tmp_path, events, suffix, chunk_size):
    path = write_events(events, tmp_path / f"e{suffix}")
    whole = read_events(path)
    parts = list(iter_events(path, chunk_size=chunk_size))
    assert max(len(part) for part in parts) <= chunk_size
    for name in whole.colnames:
        if name == "time":
            joined = np.concatenate([(p["time"] - whole["time"][0]).to_value("s") for p in parts])
            np.testing.assert_array_equal(joined, (whole["time"] - whole["time"][0]).to_value("s"))
        else:
            joined = np.concatenate([np.ma.getdata(np.ma.array(p[name])) for p in parts])
            np.testing.assert_array_equal(joined, np.ma.getdata(np.ma.array(whole[name])))


def test_iter_holds_few_rows(tmp_path, events):
    import tracemalloc

    n = 200_000
    table = QTable({"event_id": np.arange(n), "x": np.random.default_rng(1).random(n)})
    path = write_events(table, tmp_path / "big.h5")
    tracemalloc.start()
    total = sum(len(part) for part in iter_events(path, chunk_size=2000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == n
    assert peak < 0.5 * n * 16


def test_chunk_size_is_checked_at_the_call(write_run):
    with pytest.raises(ValueError, match="chunk_size must be finite and >= 1"):
        iter_events(write_run(), chunk_size=0)


def test_absent_filter_names_the_package(tmp_path, events, monkeypatch):
    import sys

    path = write_events(events, tmp_path / "e.h5")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda _: False)
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    with pytest.raises(ImportError, match=r"hdf5plugin is needed here.*astroml_kit\[gamma\]"):
        read_events(path)
