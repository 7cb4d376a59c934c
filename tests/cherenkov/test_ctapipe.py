"""ctapipe's HDF5: image parameters and reconstructed showers, of two generations."""

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.time import Time

from astroml_kit.cherenkov import (
    EventDataWarning,
    EventFileError,
    iter_events,
    read_events,
)


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
