"""Surveys by partition give what one machine gives, on two workers, one of which may die."""

import os
import shutil
import signal
import threading
import time
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable
from astropy.time import Time

from astroml_kit.catalogs import (
    RedshiftEstimator,
    find_groups,
    map_survey,
    match_catalogs,
    measure_survey,
    open_survey,
    read_catalog,
    simulate_photometry,
    write_survey,
)
from astroml_kit.models import BDTRegressor, SkyDBSCAN

pytest.importorskip("lsdb", reason="needs lsdb: pip install 'astroml_kit[catalogs]'")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")


def draw_sky(rng, n):
    """All over the sky, on both poles, and a band across 0/360 degrees, many partitions long."""
    lon, lat = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    k = n // 6
    lon[:k], lat[:k] = rng.uniform(-40, 40, k) % 360, rng.normal(0, 0.4, k)
    lat[k : 2 * k] = np.where(rng.random(k) < 0.5, 1, -1) * (90 - rng.exponential(2, k))
    return lon, lat


def make_table(seed=1, n=1500):
    rng = np.random.default_rng(seed)
    lon, lat = draw_sky(rng, n)
    table = QTable({"id": np.arange(n), "coord": SkyCoord(lon, lat, unit="deg")})
    table["mag"] = rng.normal(20, 1, n) * u.mag
    table["colour"] = rng.normal(0.5, 0.2, n)
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("survey")
    options = {"margin": 3.2 * u.deg, "rows_per_partition": 300}
    write_survey(make_table(), place / "first", **options)
    one = make_table()
    rng = np.random.default_rng(2)
    near = one["coord"].directional_offset_by(
        rng.uniform(0, 360, len(one)) * u.deg, rng.exponential(0.5, len(one)) * u.deg
    )
    second = QTable({"id": np.arange(len(one)), "coord": near, "flux": np.ones(len(one)) * u.mJy})
    write_survey(second[::2], place / "second", **options)
    return place


@pytest.fixture(scope="module")
def cluster():
    from distributed import Client, LocalCluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            memory_limit="2GB",
        ) as local, Client(local, set_as_default=False) as client:  # fmt: skip
            yield client


@pytest.fixture
def workers(cluster):
    with cluster.as_current():
        yield cluster


# ------------------------------------------------------------------------------- files


def test_tables_come_back_with_units_gaps_motions_and_epoch(tmp_path):
    n = 60
    rng = np.random.default_rng(4)
    coord = SkyCoord(
        rng.uniform(0, 360, n) * u.deg, rng.uniform(-90, 90, n) * u.deg,
        pm_ra_cosdec=np.arange(n) * u.mas / u.yr, pm_dec=np.ones(n) * u.mas / u.yr,
        obstime=Time(2016.0, format="jyear"),
    )  # fmt: skip
    long = 5_537_738_593_030_843_008
    table = QTable({"source_id": long + np.arange(n), "coord": coord})
    table["flux"] = np.where(np.arange(n) % 5 == 0, np.nan, np.arange(n)) * u.Unit("erg / (s cm2)")
    table["flux"].info.description, table["flux"].info.meta = "of X-rays", {"ucd": "phot.flux"}
    table["n"] = MaskedColumn(np.arange(n), mask=np.arange(n) % 7 == 0)
    table["name"] = MaskedColumn([f"é{k}" for k in range(n)], mask=np.arange(n) == 3)
    table["good"] = np.arange(n) % 2 == 0
    read = read_catalog(write_survey(table, tmp_path / "s", rows_per_partition=20))
    read = read[np.argsort(read["source_id"])]
    assert read["source_id"].tolist() == table["source_id"].tolist()
    assert np.all(read["coord"].separation(table["coord"]) < 1e-9 * u.arcsec)
    np.testing.assert_allclose(read["coord"].pm_ra_cosdec.value, np.arange(n), atol=1e-12)
    assert read["coord"].obstime.jyear == 2016.0
    assert read["flux"].unit == table["flux"].unit
    assert read["flux"].info.meta["ucd"] == "phot.flux"
    assert read["flux"].info.description == "of X-rays"
    np.testing.assert_array_equal(read["flux"].value, table["flux"].value)
    for name in ("n", "name"):
        assert np.array_equal(read[name].mask, table[name].mask), name
        assert read[name].compressed().tolist() == table[name].compressed().tolist()
    assert read["good"].tolist() == table["good"].tolist()
    assert read.meta["format"] == "hats"
    assert read.meta["missing"]["flux"] == 12
    # opened lazily, turned over and written again, the units are still there
    survey = open_survey(tmp_path / "s", columns=["flux"])
    again = write_survey(survey, tmp_path / "t")
    assert read_catalog(again)["flux"].unit == table["flux"].unit


def test_a_cone_is_a_cone(folder):
    centre = SkyCoord(0 * u.deg, 0 * u.deg)
    table = make_table()
    cone = open_survey(folder / "first", near=centre, radius=4 * u.deg).compute(progress_bar=False)
    inside = table["coord"].separation(centre) <= 4 * u.deg
    assert sorted(cone["id"]) == table["id"][inside].tolist()


def damage(folder, place, kind):
    shutil.copytree(folder / "first", place / "bad")
    data = place / "bad" / "first"
    if kind == "partition":
        next((data / "dataset").rglob("Npix=*.parquet")).unlink()
    elif kind == "metadata":
        for file in (data / "dataset").glob("_*metadata"):
            file.unlink()
    elif kind == "properties":
        for name in ("hats.properties", "properties"):
            (data / name).unlink()
    elif kind == "truncated":
        file = next((data / "dataset").rglob("Npix=*.parquet"))
        file.write_bytes(file.read_bytes()[:200])
    elif kind == "other":
        shutil.rmtree(place / "bad")
        (place / "bad").mkdir()
    return place / "bad"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("partition", "a file for each of its .* partitions, got none for 1: Npix="),
        ("metadata", "must be a folder of a whole HATS catalogue"),
        ("properties", "must be a folder of a whole HATS catalogue"),
        ("truncated", "bad must be a whole hats table"),
        ("other", "must be a folder of a whole HATS catalogue"),
    ],
)
def test_damage_is_named(folder, tmp_path, kind, message):
    with pytest.raises(ValueError, match=message):
        read_catalog(damage(folder, tmp_path, kind))


def test_what_cannot_be_written_is_refused(tmp_path, folder):
    table = make_table(n=20)
    lost = QTable({"coord": SkyCoord([1, np.nan], [2, 3], unit="deg")})
    wide = table.copy()
    wide["pair"] = np.zeros((20, 2))
    for bad, message in (
        (table["id",], "table with a column 'coord'"),
        (table[:0], "at least one row"),
        (lost, r"finite in every row, got NaN in 1 of 2\. A survey is kept by position"),
        (wide, "one number or text in each row"),
        ([1, 2], "a QTable or an LSDB catalogue"),
    ):
        with pytest.raises(ValueError, match=message):
            write_survey(bad, tmp_path / "new")
    with pytest.raises(ValueError, match="path must be a new folder"):
        write_survey(table, folder)
    with pytest.raises(ValueError, match="margin must be narrower than partitions"):
        write_survey(make_table(), tmp_path / "new", margin=9 * u.deg, rows_per_partition=60)
    with pytest.raises(ValueError, match="rows_per_partition must be at least what half a degree"):
        write_survey(make_table(), tmp_path / "new", rows_per_partition=3)
    with pytest.raises(FileNotFoundError):
        open_survey(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="whole HATS catalogue"):
        open_survey(folder / "first", columns=["colour", "nothing"])
    with pytest.raises(ValueError, match="radius must be given together with near"):
        open_survey(folder / "first", radius=1 * u.deg)


# ------------------------------------------------------------------------------- memory


def test_the_plan_is_said_before_and_decides(folder, tmp_path, caplog):
    survey = open_survey(folder / "first")
    plan = measure_survey(survey, memory=1e9)
    assert (plan.n_rows, plan.n_partitions) == (1500, survey.npartitions)
    # positions, id, mag, colour, and the index
    assert plan.row_bytes == 6 * 8
    sizes = [len(part.compute()) for part in survey.to_delayed()]
    assert plan.n_largest == max(sizes)
    assert "1,500 rows" in str(plan)
    assert plan.to_dict()["fits"] is True
    tight = measure_survey(survey, memory=1.5 * plan.partition_bytes)
    assert (tight.n_threads, tight.fits) == (1, True)
    assert not measure_survey(survey, memory=100).fits
    with pytest.raises(ValueError, match="survey must be of partitions that take up to 100 B"):
        write_survey(survey, tmp_path / "no", memory=100)
    assert not (tmp_path / "no").exists()
    # less memory than rows: refused as a table, written all the same, one partition at a time
    from astroml_kit.catalogs.survey import collect_survey

    little = 1.2 * plan.partition_bytes
    assert plan.total_bytes * 2 > little
    with pytest.raises(ValueError, match=r"small enough for .* when read as a table"):
        collect_survey(survey, memory=little)
    at_once, most = [0], [0]

    def watch(frame):
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        time.sleep(0.01)
        at_once[0] -= 1
        return {"seen": np.ones(len(frame), dtype=bool)}

    with caplog.at_level("INFO", "astroml_kit"):
        path = write_survey(map_survey(survey, watch), tmp_path / "yes", memory=little)
    assert most[0] == 1
    assert f"in {survey.npartitions} partitions of up to {max(sizes)}" in caplog.text
    assert len(read_catalog(path)) == 1500


# ------------------------------------------------------------------------------- two workers


@pytest.mark.parametrize("keep", ["nearest", "mutual", "all"])
def test_matches_are_those_of_one_machine(folder, workers, keep):
    first, second = open_survey(folder / "first"), open_survey(folder / "second")
    one, two = read_catalog(folder / "first"), read_catalog(folder / "second")
    pairs = match_catalogs(one["coord"], two["coord"], radius=1.5 * u.deg, keep=keep)
    expected = dict(
        zip(zip(one["id"][pairs["first"]].tolist(), two["id"][pairs["second"]].tolist(),
                strict=True), pairs["separation"].to_value("arcsec"), strict=True)
    )  # fmt: skip
    lazy = match_catalogs(first, second, radius=1.5 * u.deg, keep=keep)
    assert {"id_first", "mag_first", "flux_second", "separation_arcsec"} <= set(lazy.columns)
    frame = lazy.compute(progress_bar=False)
    found = dict(zip(zip(frame["id_first"], frame["id_second"], strict=True),
                     frame["separation_arcsec"], strict=True))  # fmt: skip
    assert len(found) == len(frame) == len(expected) > 600
    assert set(found) == set(expected)
    np.testing.assert_allclose([found[k] for k in expected], list(expected.values()), rtol=1e-9)


def test_margins_too_narrow_are_refused(folder):
    first, second = open_survey(folder / "first"), open_survey(folder / "second")
    with pytest.raises(ValueError, match="margin of second must be at least 14400 arcsec"):
        match_catalogs(first, second, radius=4 * u.deg)
    with pytest.raises(ValueError, match="margin of first must be at least 14400 arcsec"):
        match_catalogs(first, second, radius=2 * u.deg, keep="mutual")
    with pytest.raises(ValueError, match=r"margin of survey .* write_survey\(\.\.\., margin="):
        find_groups(first, radius=2 * u.deg)
    with pytest.raises(ValueError, match="left out for a survey"):
        find_groups(first, radius=1 * u.deg, n_resamples=3)


def renumber(labels):
    """Numbers in the order in which they first stand in the list."""
    kinds, first, member = np.unique(labels, return_index=True, return_inverse=True)
    number = np.full(len(kinds), -1)
    named = np.flatnonzero(kinds >= 0)
    number[named[np.argsort(first[named])]] = np.arange(len(named))
    return number[member]


def check_groups(survey, radius, min_samples):
    groups = find_groups(survey, radius=radius * u.deg, min_samples=min_samples)
    frame = groups.survey.compute(progress_bar=False)
    positions = np.column_stack([frame["ra"], frame["dec"]])
    labels = frame["group"].to_numpy(dtype=int)
    alone = SkyDBSCAN(radius, min_samples).fit(positions)
    np.testing.assert_array_equal(renumber(labels), renumber(alone.labels_))
    # numbers are in the order of first core rows, as on one machine
    core = alone.core_sample_indices_
    order = np.unique(labels[core])
    np.testing.assert_array_equal(np.searchsorted(order, labels[core]), alone.labels_[core])
    sizes = np.unique(labels[labels >= 0], return_counts=True)
    assert dict(zip(*sizes, strict=True)) == dict(
        zip(groups.table["group"], groups.table["n_members"], strict=True)
    )
    assert np.all(np.diff(groups.table["n_members"]) <= 0)
    assert groups.n_rows == len(frame)
    return groups


def test_groups_are_those_of_one_machine(folder, workers):
    survey = open_survey(folder / "first")
    groups = check_groups(survey, 1.6, 5)
    # one group lies in many partitions, across 0/360 degrees
    whole = read_catalog(folder / "first")
    alone = find_groups(whole["coord"], radius=1.6 * u.deg, min_samples=5)
    assert groups.table["n_members"].tolist() == alone.table["n_members"].tolist()
    assert groups.table["centre"][0].separation(alone.table["centre"][0]) < 1 * u.arcsec
    assert alone.table["radius"][0] > 15 * u.deg
    largest = groups.table["group"][0]
    parts = [part.compute()["group"] for part in groups.survey.to_delayed()]
    assert sum(largest in set(part) for part in parts) >= 2
    assert str(groups).startswith(f"{len(alone)} groups with {alone.n_members} of 1500 rows")
    assert groups.to_dict()["groups"]["n_members"][0] == len(np.flatnonzero(alone.labels == 0))


@pytest.mark.parametrize("seed", [11, 12])
def test_groups_on_random_skies(seed, tmp_path):
    rng = np.random.default_rng(seed)
    table = make_table(seed, n=600)
    # some rows twice at one place, and chains that only just reach each other
    table = table[np.concatenate([np.arange(600), rng.integers(0, 600, 60)])]
    rows = int(rng.choice([60, 150]))
    path = write_survey(table, tmp_path / "s", margin=6 * u.deg, rows_per_partition=rows)
    survey = open_survey(path)
    for radius, min_samples in ((0.5, 2), (1.5, 3), (3.0, 6)):
        check_groups(survey, radius, min_samples)


def test_no_group_is_an_empty_table(folder):
    groups = find_groups(open_survey(folder / "first"), radius=0.001 * u.deg, min_samples=9)
    assert (len(groups), groups.n_members) == (0, 0)
    assert set(groups.survey.compute(progress_bar=False)["group"]) == {-1}


def test_a_model_by_partition_says_what_it_says_of_all(folder, workers):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(300, 2))
    model = BDTRegressor(n_estimators=20, random_state=1).fit(X, X[:, 0] * X[:, 1])
    survey = open_survey(folder / "first")
    lazy = map_survey(survey, model, columns=["mag", "colour"], output="z")
    frame = lazy.compute(progress_bar=False)
    expected = model.predict(np.column_stack([frame["mag"], frame["colour"]]))
    np.testing.assert_array_equal(frame["z"].to_numpy(), expected)
    assert lazy.margin.compute(progress_bar=False)["z"].notna().all()
    # on the workers, and not here
    pids = map_survey(survey, lambda part: {"pid": np.full(len(part), os.getpid())})
    assert os.getpid() not in set(pids.compute(progress_bar=False)["pid"])


def test_redshifts_by_partition(workers, tmp_path):
    rng = np.random.default_rng(4)
    sky = simulate_photometry(600, shares={"galaxy": 1.0}, rng=4)
    trees = BDTRegressor(n_estimators=20, random_state=1)
    model = RedshiftEstimator(trees).fit(sky, redshift="true_redshift")
    lon, lat = rng.uniform(0, 360, len(sky)), rng.uniform(-60, 60, len(sky))
    sky["coord"] = SkyCoord(lon, lat, unit="deg")
    path = write_survey(sky, tmp_path / "deep", rows_per_partition=200)
    lazy = map_survey(open_survey(path), model)
    assert lazy.npartitions > 1
    frame = lazy.compute(progress_bar=False).sort_values("id")
    np.testing.assert_array_equal(frame["redshift"], model.predict(sky)["redshift"])


def test_maps_without_sense_are_refused(folder):
    survey = open_survey(folder / "first")
    model = BDTRegressor(n_estimators=2, random_state=1)
    for options, message in (
        ({"function": model}, "columns must be the features of the estimator"),
        ({"function": model, "columns": ["size"]}, r"survey lacks the columns \['size'\]"),
        ({"function": 3}, "function must be a callable, or an estimator with predict"),
        ({"function": lambda part: {"mag": part["mag"]}}, r"new columns, got \['mag'\]"),
        ({"function": lambda part: part["mag"]}, "one that gives a mapping"),
    ):
        with pytest.raises(ValueError, match=message):
            map_survey(survey, **options)
    short = map_survey(survey, lambda part: {"x": np.zeros(1)})
    with pytest.raises(RuntimeError, match="x of the function must be one value for each of"):
        short.compute(progress_bar=False)


def test_a_worker_that_dies_loses_nothing(folder, workers, tmp_path):
    survey = open_survey(folder / "first")
    marks = tmp_path / "marks"
    marks.mkdir()

    def work(part):
        if len(part) > 8:  # more than the rows on which types are found
            (marks / f"{os.getpid()}-{part['id'].iloc[0]}").touch()
            time.sleep(0.25)
        return {"twice": 2 * part["id"].to_numpy(dtype=int)}

    killed = []

    def kill():
        deadline = time.monotonic() + 60
        while not any(marks.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.02)
        killed.append(int(next(marks.iterdir()).name.split("-")[0]))
        os.kill(killed[0], signal.SIGKILL)
        killed.append(len(list(marks.iterdir())))

    lazy = map_survey(survey, work)
    thread = threading.Thread(target=kill)
    thread.start()
    frame = lazy.compute(progress_bar=False)
    thread.join()
    pid, n_begun = killed
    assert pid != os.getpid()
    assert n_begun < survey.npartitions  # it died amid the work
    assert {Path(mark).name.split("-")[0] for mark in marks.iterdir()} - {str(pid)}
    np.testing.assert_array_equal(np.sort(frame["twice"].to_numpy()), 2 * np.arange(1500))
