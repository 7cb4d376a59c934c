"""Damaged event files: a valid table or one sentence, never a crash, never half a table."""

import gzip
import warnings
from pathlib import Path

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.table import QTable
from astropy.time import Time

from astroml_kit.cherenkov import (
    EventDataWarning,
    EventFileError,
    iter_events,
    read_events,
    read_observations,
    write_events,
)

N_MUTANTS = 40
IMAGE_DTYPE = [
    ("obs_id", "i4"),
    ("event_id", "i8"),
    ("tel_id", "i2"),
    ("hillas_intensity", "f8"),
    ("hillas_width", "f8"),
]
KINDS = ("gadf", "gadf-gz", "hdf5", "parquet", "aict", "ctapipe-dl1", "magic")


def make_table(n=40):
    rng = np.random.default_rng(2)
    return QTable(
        {
            "obs_id": np.full(n, 3),
            "event_id": np.arange(n),
            "time": Time(59000.0, rng.random(n), format="mjd", scale="tt"),
            "reco_ra": rng.uniform(0, 360, n) * u.deg,
            "reco_dec": rng.uniform(-90, 90, n) * u.deg,
            "reco_energy": rng.uniform(0.1, 9, n) * u.TeV,
        },
        meta={"OBS_ID": 3, "TSTART": 6e8, "TSTOP": 6.1e8},
    )


def write_aict(path):
    rng = np.random.default_rng(4)
    with h5py.File(path, "w") as file:
        for name in ("width", "length", "size", "corsika_event_header_total_energy"):
            file.create_dataset(f"events/{name}", data=rng.uniform(1, 10, 40), chunks=(16,))
        for name in ("run_id", "event_num", "corsika_event_header_event_number"):
            file[f"events/{name}"] = np.arange(40)


def write_dl1(path):
    with h5py.File(path, "w") as file:
        shower = np.zeros(20, dtype=[("obs_id", "i4"), ("event_id", "i8"), ("true_energy", "f4")])
        shower["event_id"], shower["true_energy"] = np.arange(20), 1.0
        name = "simulation/event/subarray/shower"
        table = file.create_dataset(name, data=shower, compression="gzip", shuffle=True)
        table.attrs["true_energy_UNIT"] = np.bytes_("TeV")
        for tel_id in (1, 2):
            image = np.zeros(15, dtype=IMAGE_DTYPE)
            image["event_id"], image["tel_id"] = np.arange(15), tel_id
            file.create_dataset(f"dl1/event/telescope/parameters/tel_{tel_id:03d}", data=image,
                                compression="gzip", fletcher32=True)  # fmt: skip


def write_magic(path):
    rng = np.random.default_rng(5)
    rows = rng.uniform(1, 99, (40, 10)).round(4)
    lines = (",".join(map(str, row)) + ("g" if i % 2 else "h").rjust(2, ",") for i, row in
             enumerate(rows))  # fmt: skip
    path.write_text("\n".join(lines))


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    table = make_table()
    paths = {kind: folder / kind for kind in KINDS}
    write_events(table, paths["gadf"], format="gadf")
    paths["gadf-gz"].write_bytes(gzip.compress(paths["gadf"].read_bytes(), mtime=0))
    write_events(table, paths["hdf5"], format="hdf5")
    write_events(table, paths["parquet"], format="parquet")
    write_aict(paths["aict"])
    write_dl1(paths["ctapipe-dl1"])
    write_magic(paths["magic"])
    return {kind: path.read_bytes() for kind, path in paths.items()}


def flip_bits(data, rng):
    out = bytearray(data)
    for position in rng.integers(0, len(out), rng.integers(1, 6)):
        out[position] ^= 1 << rng.integers(8)
    return bytes(out)


def overwrite_start(data, rng):
    """Replace bytes near the beginning, where headers are."""
    out = bytearray(data)
    for position in rng.integers(0, min(len(out), 6000), rng.integers(1, 6)):
        out[position] = rng.integers(256)
    return bytes(out)


def cut(data, rng):
    return data[: rng.integers(len(data))]


def overwrite_stretch(data, rng):
    start, size = rng.integers(len(data)), rng.integers(1, 1000)
    return data[:start] + rng.bytes(min(size, len(data) - start)) + data[start + size :]


MUTATIONS = (flip_bits, overwrite_start, cut, overwrite_stretch)


def read_or_one_error(path):
    """The table, or None when the file was refused as it must be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EventDataWarning)
        table, message = None, ""
        try:
            table = read_events(path)
        except (ValueError, OSError) as error:
            message = str(error)
    if table is None:
        assert message.strip()
        assert message.isprintable()
    return table


@pytest.mark.parametrize("kind", KINDS)
def test_whole_file_is_read(whole_files, tmp_path, kind):
    path = tmp_path / "file"
    path.write_bytes(whole_files[kind])
    assert len(read_events(path)) == (30 if kind == "ctapipe-dl1" else 40)


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_mutants_give_a_table_or_one_error(whole_files, tmp_path, kind, mutate):
    path = tmp_path / "mutant"
    refused, n_whole = 0, 30 if kind == "ctapipe-dl1" else 40
    for seed in range(N_MUTANTS):
        rng = np.random.default_rng([KINDS.index(kind), MUTATIONS.index(mutate), seed])
        path.write_bytes(mutate(whole_files[kind], rng))
        table = read_or_one_error(path)
        if table is None:
            refused += 1
            continue
        assert isinstance(table, QTable)
        assert {len(table[name]) for name in table.colnames} <= {len(table)}
        if "reco_energy" in table.colnames:
            assert np.all(table["reco_energy"].value > 0)
        if mutate is cut and kind != "magic":  # lines of text may end anywhere
            assert len(table) == n_whole  # nothing is ever half-read
    assert refused


@pytest.mark.parametrize("kind", ["hdf5", "parquet", "gadf-gz"])
def test_checksums_find_every_flipped_bit_in_the_data(whole_files, tmp_path, kind):
    path = tmp_path / "flipped"
    path.write_bytes(whole_files[kind])
    table = read_events(path)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        path.write_bytes(flip_bits(whole_files[kind], rng))
        found = read_or_one_error(path)
        if found is not None:
            np.testing.assert_array_equal(found["reco_energy"], table["reco_energy"])
            np.testing.assert_array_equal(found["time"].jd2, table["time"].jd2)


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda f: f.__name__)
def test_damaged_runs_in_a_folder(whole_files, tmp_path, mutate):
    said = []
    for seed in range(15):
        data = mutate(whole_files["gadf"], np.random.default_rng(seed))
        (tmp_path / "run.fits").write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EventDataWarning)
            try:
                live_times = [run.live_time.value for run in read_observations(tmp_path)]
            except (ValueError, OSError) as error:
                said.append(str(error))
            else:
                assert all(t > 0 for t in live_times)
    assert said
    assert all(text.isprintable() for text in said)


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 5000, b"\x1f\x8b", b"PAR1", b"SIMPLE  ="])
def test_no_event_file_at_all(tmp_path, content):
    path = tmp_path / "thing.fits"
    path.write_bytes(content)
    with pytest.raises(EventFileError, match=r"^thing\.fits "):
        read_events(path)


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes(tmp_path, seed):
    path = tmp_path / "noise"
    path.write_bytes(np.random.default_rng(seed).bytes(4000))
    with pytest.raises(EventFileError, match="must be one of"):
        read_events(path)


def test_empty_file_is_called_empty(tmp_path):
    (tmp_path / "e").write_bytes(b"")
    with pytest.raises(EventFileError, match="got an empty file"):
        read_events(tmp_path / "e")


@pytest.mark.parametrize("reader", [read_events, iter_events])
def test_not_a_file(tmp_path, reader):
    with pytest.raises(FileNotFoundError, match="must be an existing file"):
        reader(tmp_path / "absent.fits")
    with pytest.raises(ValueError, match="read_observations"):
        reader(tmp_path)


def test_huge_promises_are_refused_without_being_kept(whole_files, tmp_path):
    path = tmp_path / "huge.fits"
    text = whole_files["gadf"]
    promise = text.replace(b"NAXIS2  =                   40", b"NAXIS2  =        4000000000000")
    assert promise != text
    path.write_bytes(promise)
    with pytest.raises(EventFileError, match="more than the file can hold"):
        read_events(path)
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        for name in ("width", "size"):
            file.create_dataset(f"events/{name}", shape=(10**13,), chunks=(1000,), dtype="f8")
    with pytest.raises(EventFileError, match="more than it can hold"):
        read_events(Path(tmp_path / "huge.h5"))


def test_a_float_that_grew_is_refused(whole_files, tmp_path):
    # A damaged exponent bias makes h5py read 16 bytes for 8, over the end of the row.
    whole = whole_files["ctapipe-dl1"]
    bias = (1023).to_bytes(4, "little")
    start = whole.index(bias)
    path = tmp_path / "grown.h5"
    path.write_bytes(whole[:start] + (9215).to_bytes(4, "little") + whole[start + 4 :])
    with pytest.raises(EventFileError, match="must not overlap"):
        read_events(path)


def test_iterating_stops_at_the_damage(tmp_path):
    path = write_events(make_table(4000), tmp_path / "e.fits.gz")
    path.write_bytes(path.read_bytes()[:90_000])
    seen = []
    with pytest.raises(EventFileError, match="truncated"):
        seen.extend(len(part) for part in iter_events(path, chunk_size=500))
    assert 0 < sum(seen) < 4000
