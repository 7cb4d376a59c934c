"""Runs: found, listed, skipped by name when absent, read one at a time."""

import gzip

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.time import Time

from astroml_kit.cherenkov import EventDataWarning, EventFileError, read_observations

HESS_ABSENT = (
    20326, 20327, 20349, 20350, 20396, 20397, 20421, 20422, 20517, 20518, 20519, 20521,
    47802, 47803, 47804, 47827, 47828, 47829,
)  # fmt: skip


def write_index(folder, runs, *, suffix=".gz"):
    """Index files for ``runs``: obs_id -> file name."""
    hdu = Table(
        rows=[(i, kind, kind, "", name, kind.upper()) for i, name in runs.items()
              for kind in ("events", "gti")],
        names=("OBS_ID", "HDU_TYPE", "HDU_CLASS", "FILE_DIR", "FILE_NAME", "HDU_NAME"),
    )  # fmt: skip
    hdu.meta.update(EXTNAME="HDU_INDEX")
    hdu.write(folder / f"hdu-index.fits{suffix}", overwrite=True)
    obs = Table({"OBS_ID": list(runs), "OBJECT": ["Crab"] * len(runs)})
    for name, unit, value in (
        ("RA_PNT", "deg", 83.6),
        ("DEC_PNT", "deg", 22.5),
        ("ZEN_PNT", "deg", 40.0),
        ("LIVETIME", "s", 950.0),
        ("SAFE_ENERGY_LO", "TeV", 0.6),
    ):
        obs[name] = np.full(len(runs), value, dtype="f4") * u.Unit(unit)
    obs.meta.update(EXTNAME="OBS_INDEX")
    obs.write(folder / f"obs-index.fits{suffix}", overwrite=True)


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_index_names_the_absent_runs_and_goes_on(tmp_path, write_run, suffix):
    write_run("a.fits", obs_id=3)
    write_run("b.fits.gz", obs_id=1)
    write_index(tmp_path, {3: "a.fits", 2: "absent.fits", 1: "b.fits.gz"}, suffix=suffix)
    with pytest.warns(EventDataWarning, match="1 of 3 runs"):
        runs = read_observations(tmp_path)
    assert runs.missing == (2,)
    assert [run.obs_id for run in runs] == [3, 1]
    assert runs.obs_ids.tolist() == [3, 1]
    assert len(runs.table) == len(runs) == 2
    assert runs[1].path.name == "b.fits.gz"
    with pytest.raises(KeyError, match="absent"):
        runs[2]
    with pytest.raises(KeyError, match="not in the index"):
        runs[99]
    assert runs[3].energy_threshold.to_value(u.TeV) == pytest.approx(0.6)
    assert "2 runs, 0.5 h, 1 missing" in str(runs)


def test_folder_without_index(tmp_path, write_run):
    write_run("night1/a.fits", obs_id=5, n_events=10)
    write_run("night2/b.fits.gz", obs_id=6, n_events=20)
    runs = read_observations(tmp_path)
    assert [(run.obs_id, len(run.events)) for run in runs] == [(5, 10), (6, 20)]
    assert runs.missing == ()
    run = runs[5]
    assert run.pointing.ra.deg == pytest.approx(83.63)
    assert run.zenith.to_value(u.deg) == pytest.approx(40.0)
    assert run.live_time.to_value(u.s) == 950.0
    assert run.muon_efficiency == 0.9
    assert run.target == "Crab"
    assert np.isnan(run.energy_threshold.value)
    assert run.gti["start"][0].scale == "tt"
    assert "run 5 on Crab: 10 events in 15.8 min, zenith 40.0 deg" in str(run)


def test_nothing_is_read_before_it_is_asked_for(tmp_path, write_run):
    good = write_run("a.fits", obs_id=1)
    write_index(tmp_path, {1: "a.fits", 2: "b.fits"})
    (tmp_path / "b.fits").write_bytes(good.read_bytes()[:4000])
    runs = read_observations(tmp_path)
    assert len(runs[1].events) == 50
    with pytest.raises(EventFileError, match="truncated"):
        runs[2]


def test_damaged_file_in_a_folder_without_index_is_said(tmp_path, write_run):
    good = write_run("a.fits", obs_id=1)
    (tmp_path / "b.fits").write_bytes(good.read_bytes()[:4000])
    with pytest.warns(EventDataWarning, match=r"1 files were skipped: b\.fits"):
        runs = read_observations(tmp_path)
    assert len(runs) == 1


def test_obs_ids_select_and_unknown_ones_are_refused(tmp_path, write_run):
    for i in (1, 2, 3):
        write_run(f"{i}.fits", obs_id=i)
    assert read_observations(tmp_path, obs_ids=[3, 1]).obs_ids.tolist() == [1, 3]
    with pytest.raises(ValueError, match=r"obs_ids must be runs of .*got \[9\]"):
        read_observations(tmp_path, obs_ids=[1, 9])


def test_select_by_position_and_mask(tmp_path, write_run):
    write_run("a.fits", obs_id=1, header={"RA_PNT": 359.5, "DEC_PNT": 0.0})
    write_run("b.fits", obs_id=2, header={"RA_PNT": 3.5, "DEC_PNT": 0.0})
    runs = read_observations(tmp_path)
    near = runs.select(SkyCoord(0.5, 0.0, unit="deg"), radius=1.5 * u.deg)
    assert near.obs_ids.tolist() == [1]
    assert runs.select([False, True]).obs_ids.tolist() == [2]
    with pytest.raises(ValueError, match="one entry per run"):
        runs.select([True])


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"gti": ((1e8, 1e8),)}, "zero length"),
        ({"gti": ()}, "STOP >= START"),
        ({"gti": ((1e8 + 5, 1e8),)}, "STOP >= START"),
        ({"header": {"LIVETIME": 0.0}}, "LIVETIME must be > 0"),
        ({"header": {"RA_PNT": "here"}}, "RA_PNT must be a number"),
        ({"header": {"DEC_PNT": 95.0}}, "position on the sky"),
        ({"header": {"TIMESYS": "Namibia"}}, r"TIMESYS: the time scale must be one of"),
        ({"header": {"RADECSYS": "FK4"}}, "RADECSYS must be one of"),
    ],
)
def test_runs_that_cannot_be_used_say_why(tmp_path, write_run, kwargs, words):
    write_run("run.fits", obs_id=1, **kwargs)
    runs = read_observations(tmp_path, obs_ids=[1])
    with pytest.raises(EventFileError, match=words):
        runs[1]


@pytest.mark.parametrize("where", ["nowhere", "file", "empty"])
def test_not_a_folder_of_runs(tmp_path, where):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"folder must be a folder|must hold GADF event lists"):
        read_observations(tmp_path / where)


def test_damaged_index_is_one_sentence(tmp_path):
    with gzip.open(tmp_path / "hdu-index.fits.gz", "wb") as file:
        file.write(b"SIMPLE  =                    T" + b" " * 3000)
    with pytest.raises(EventFileError, match="ends inside a FITS header"):
        read_observations(tmp_path)


@pytest.mark.data
def test_hess_runs(data_folder):
    folder = data_folder("hess-dl3-dr1")
    with pytest.warns(EventDataWarning, match="18 of 105 runs"):
        runs = read_observations(folder)
    assert runs.missing == HESS_ABSENT
    assert len(runs) == 87
    run = runs[23523]
    # Number of rows and keywords of hess_dl3_dr1_obs_id_023523.fits.gz
    assert len(run.events) == 7613
    assert run.live_time.to_value(u.s) == pytest.approx(1581.73681640625)
    assert run.zenith.to_value(u.deg) == pytest.approx(48.6102109619662, abs=1e-6)
    assert run.energy_threshold.to_value(u.TeV) == pytest.approx(0.870963589956081, rel=1e-6)
    assert run.events["reco_energy"].unit == u.TeV
    assert run.gti["start"][0].scale == "tt"
    assert run.gti["start"][0].isot == "2004-12-04T22:08:10.184"  # DATE-OBS and TIME-OBS, TT
    n_events = {run.obs_id: len(run.events) for run in runs}
    assert list(n_events.values()) == runs.table["n_events"].tolist()  # EVENT_COUNT of the index
    crab = runs.select(SkyCoord(83.633083, 22.0145, unit="deg"))
    assert crab.obs_ids.tolist() == [23523, 23526, 23559, 23592]


@pytest.mark.data
def test_hess_runs_agree_with_gammapy(data_folder):
    data = pytest.importorskip("gammapy.data")
    path = data_folder("hess-dl3-dr1")
    runs = read_observations(path, obs_ids=[20136, 29683])
    for run in runs:
        peer = data.EventList.read(run.path)
        np.testing.assert_array_equal(run.events["event_id"], peer.table["EVENT_ID"])
        np.testing.assert_array_equal(run.events["reco_ra"].value, peer.table["RA"])
        shift = (run.events["time"] - peer.time).to_value(u.us)
        assert np.abs(shift).max() < 0.1
        gti = data.GTI.read(run.path)
        assert np.abs((run.gti["stop"] - gti.time_stop).to_value(u.us)).max() < 0.1


@pytest.mark.data
def test_fact_runs(data_folder):
    runs = read_observations(data_folder("joint-crab-fact") / "fact")
    assert len(runs) == 125
    assert runs.missing == ()
    assert runs.table["live_time"].to(u.h).sum().value == pytest.approx(10.1, abs=0.1)
    run = runs[20131103103]
    # TIMESYS is UTC and a leap second lies between MJDREF and the run: DATE-OBS and TIME-OBS
    # of its header say 2013-11-04 01:59:14, to the second.
    assert run.events["time"].scale == "utc"
    first = run.events["time"].min()
    assert 0 < (first - Time("2013-11-04T01:59:14", scale="utc")).to_value(u.s) < 10
    assert run.zenith.to_value(u.deg) == pytest.approx(25.66)
    assert {run.target for run in runs} == {"Crab"}
