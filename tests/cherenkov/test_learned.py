"""Learned energy and direction: better than what they start from, honest, and safe to load."""

import json

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, vstack
from sklearn.model_selection import GroupKFold

from astroml_kit.cherenkov import (
    DirectionRegressor,
    EnergyRegressor,
    ScalingTables,
    evaluate_reconstruction,
    reconstruct_stereo,
    train_direction,
    train_energy,
)
from astroml_kit.cherenkov import learned as learned_module
from astroml_kit.models import BDTRegressor, ModelFileError
from astroml_kit.models._archive import pack_members, unpack_members

SMALL = BDTRegressor(n_estimators=60, learning_rate=0.1, max_leaves=16, random_state=1)


@pytest.fixture(scope="module")
def make_gammas(make_images):
    """Toy images whose shape tells the distance of the source, as real ones do."""

    def make(n_events, *, seed):
        images = make_images(n_events, noise=2.0, seed=seed, offset=0.7)
        away = np.hypot(
            images["hillas_x"] - images["true_fov_lon"], images["hillas_y"] - images["true_fov_lat"]
        ).to_value(u.deg)
        images["hillas_length"] *= 0.7 + 0.5 * away
        images["true_h_first_int"] = (images["event_id"] + 10_000 * seed) * 1.0 * u.m
        return images

    return make


@pytest.fixture(scope="module")
def tables(make_gammas, square_array):
    return ScalingTables.fit(make_gammas(2500, seed=1), telescopes=square_array)


@pytest.fixture(scope="module")
def training(make_gammas):
    return make_gammas(2500, seed=2)


@pytest.fixture(scope="module")
def energy(training, tables, square_array):
    events = reconstruct_stereo(training, telescopes=square_array, tables=tables)
    return train_energy(events, model=SMALL)


@pytest.fixture(scope="module")
def direction(training, square_array):
    return train_direction(training, telescopes=square_array, model=SMALL)


@pytest.fixture(scope="module")
def images(make_gammas):
    return make_gammas(2000, seed=3)


@pytest.fixture(scope="module")
def events(images, tables, square_array):
    return reconstruct_stereo(images, telescopes=square_array, tables=tables)


def test_direction_beats_the_geometry_and_knows_its_error(events, images, direction, square_array):
    learned = direction.predict(events, images, telescopes=square_array)
    row = evaluate_reconstruction(learned)[-1]
    assert row["angular_resolution"] < 0.8 * row["geometry_angular_resolution"]
    assert 0.62 < row["angular_coverage"] < 0.74
    np.testing.assert_array_equal(learned["geometry_fov_lon"], events["reco_fov_lon"])
    offset = np.hypot(learned["reco_fov_lon"], learned["reco_fov_lat"])
    np.testing.assert_allclose(learned["reco_offset"], offset)


def test_energy_is_no_worse_than_the_tables_and_unbiased(events, energy):
    learned = energy.predict(events)
    for row in evaluate_reconstruction(learned, energy_edges=[0.3, 1, 5, 15]):
        assert abs(row["energy_bias"]) < 0.03
        assert row["energy_resolution"] < 1.1 * row["table_energy_resolution"]
        assert 0.58 < row["energy_coverage"] < 0.78


def test_the_order_of_the_two_does_not_matter(events, images, energy, direction, square_array):
    one = energy.predict(direction.predict(events, images, telescopes=square_array))
    two = direction.predict(energy.predict(events), images, telescopes=square_array)
    twice = energy.predict(two)
    for name in ("reco_energy", "reco_energy_error", "reco_fov_lon", "table_energy"):
        np.testing.assert_array_equal(one[name], two[name])
        np.testing.assert_array_equal(twice[name], two[name])


def test_selected_events_get_the_same_answer(events, images, direction, square_array):
    every = direction.predict(events, images, telescopes=square_array)
    some = np.random.default_rng(1).permutation(len(events))[:300]
    part = direction.predict(events[some], images, telescopes=square_array)
    np.testing.assert_allclose(part["reco_fov_lon"], every["reco_fov_lon"][some], rtol=1e-12)


def test_events_without_images_are_nan(events, images, energy, direction, square_array):
    learned = direction.predict(
        events[:20], images[images["event_id"] >= 10], telescopes=square_array
    )
    assert np.isnan(learned["reco_fov_lon"][:10]).all()
    assert np.isfinite(learned["reco_fov_lon"][10:][events["is_valid"][10:20]]).all()
    none = direction.predict(events[:3], images[:0], telescopes=square_array)
    assert np.isnan(none["reco_fov_lat"]).all()
    lost = events[:3].copy()
    lost["reco_energy"] *= np.nan
    assert np.isnan(energy.predict(lost)["reco_energy"]).all()
    assert len(energy.predict(events[:0])) == 0


def test_missing_columns_are_named(events, images, energy, direction, square_array):
    bare = events[[name for name in events.colnames if name != "impact_mean"]]
    with pytest.raises(ValueError, match=r"lacks the columns \['impact_mean'\]"):
        energy.predict(bare)
    richer = DirectionRegressor(
        direction.disp, direction.along, direction.across, (*direction.features, "timing_slope"),
        direction.cuts, direction.scale,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"lacks the columns \['timing_slope'\]"):
        richer.predict(events, images, telescopes=square_array)
    with pytest.raises(ValueError, match=r"lacks the columns \['true_fov_lon'"):
        train_direction(
            images[[n for n in images.colnames if not n.startswith("true_fov")]],
            telescopes=square_array,
        )
    with pytest.raises(ValueError, match="number of showers must be"):
        train_energy(events[events["is_valid"]][:2], model=SMALL)


def test_training_is_split_by_shower(training, tables, square_array, monkeypatch):
    # Every shower is used twice, under two event numbers.
    copy = training.copy()
    copy["event_id"] += 100_000
    both = vstack([training, copy])
    tested = []

    class Spy(GroupKFold):
        def split(self, X, y, groups):
            for fit, test in super().split(X, y, groups):
                # The energy is the shower's: on both sides it would be leakage.
                assert not set(groups[fit]) & set(groups[test])
                tested.append(len(np.unique(groups)))
                yield fit, test

    monkeypatch.setattr(learned_module, "GroupKFold", Spy)
    tiny = BDTRegressor(n_estimators=2)
    n_showers = len(np.unique(training["true_h_first_int"]))
    train_direction(both, telescopes=square_array, model=tiny)
    events = reconstruct_stereo(both, telescopes=square_array, tables=tables)
    train_energy(events, model=tiny)
    assert len(tested) == 3 * (3 + 2)
    assert max(tested) <= n_showers
    assert min(tested) > 0.9 * n_showers


def test_cross_prediction_has_not_seen_the_group():
    rng = np.random.default_rng(1)
    X, y = np.tile(rng.normal(size=(301, 1)), (2, 1)), np.tile(rng.normal(size=301), 2)
    model = BDTRegressor(n_estimators=50, learning_rate=0.3, min_samples_leaf=1, max_leaves=200,
                         l2=0.0, random_state=1)  # fmt: skip
    showers, rows = np.tile(np.arange(301), 2), np.arange(602)
    seen, leaked = (
        learned_module._cross_predict(model, X, y, np.ones(602), groups, n_folds=3)
        for groups in (showers, rows)
    )
    assert abs(np.corrcoef(seen, y)[0, 1]) < 0.2
    assert np.corrcoef(leaked, y)[0, 1] > 0.5


def test_files_give_the_same_answers(events, images, energy, direction, square_array, tmp_path):
    first = energy.predict(direction.predict(events, images, telescopes=square_array))
    energy = EnergyRegressor.load(energy.save(tmp_path / "energy.model"))
    direction = DirectionRegressor.load(direction.save(tmp_path / "direction.model"))
    again = energy.predict(direction.predict(events, images, telescopes=square_array))
    for name in first.colnames:
        np.testing.assert_array_equal(first[name], again[name])


def change_header(change):
    def rewrite(members):
        header = json.loads(members["model.json"])
        change(header)
        return members | {"model.json": json.dumps(header).encode()}

    return rewrite


@pytest.mark.parametrize(
    "change",
    [
        change_header(lambda h: h.update(format="astroml_kit energy regressor")),
        change_header(lambda h: h["models"].pop("disp")),
        change_header(lambda h: h["models"]["disp"].update({"class": "BDTClassifier"})),
        change_header(lambda h: h["models"]["disp"].update({"class": "os.system"})),
        change_header(lambda h: h["values"].update(scale=-1)),
        change_header(lambda h: h["values"].update(cuts={"min_images": "two"})),
        change_header(lambda h: h["values"].pop("features")),
        change_header(lambda h: h["values"].update(features=["width"])),
        change_header(lambda h: h.update(values=[])),
        lambda members: members | {"weights/disp.bag_000.txt": b"tree\nend"},
        lambda members: members | {"weights/other.txt": b"1"},
    ],
)
def test_hostile_files_are_refused(direction, tmp_path, change):
    path = direction.save(tmp_path / "hostile.model")
    path.write_bytes(pack_members(change(unpack_members(path.read_bytes()))))
    with pytest.raises(ModelFileError, match=r"hostile\.model"):
        DirectionRegressor.load(path)


def test_a_file_of_the_other_kind_is_refused(energy, tmp_path):
    path = energy.save(tmp_path / "energy.model")
    with pytest.raises(ModelFileError, match="direction regressor"):
        DirectionRegressor.load(path)
    with pytest.raises(ModelFileError, match="scaling tables"):
        ScalingTables.load(path)


def make_answers(n, rng):
    """Events whose resolution is known: angle of Rayleigh type, energy log-normal."""
    energy = np.exp(rng.uniform(np.log(0.2), np.log(20), n))
    return QTable({
        "true_energy": energy * u.TeV, "is_valid": np.ones(n, dtype=bool),
        "true_fov_lon": np.zeros(n) * u.deg, "true_fov_lat": np.zeros(n) * u.deg,
        "reco_fov_lon": 0.1 * rng.normal(size=n) * u.deg,
        "reco_fov_lat": 0.1 * rng.normal(size=n) * u.deg,
        "reco_direction_error": np.full(n, 0.1 * np.sqrt(-2 * np.log(0.5))) * u.deg,
        "reco_energy": 1.1 * energy * (1 + 0.15 * rng.normal(size=n)) * u.TeV,
        "reco_energy_error": 0.15 * energy * u.TeV,
    })  # fmt: skip


def test_evaluation_of_a_known_answer():
    events = make_answers(40_000, np.random.default_rng(1))
    table = evaluate_reconstruction(events, energy_edges=[0.2, 2, 20] * u.TeV)
    assert len(table) == 3
    assert table["n_events"][-1] == 40_000
    for row in table:
        # Rayleigh: r68 = sigma sqrt(-2 ln 0.3173); half the events within the median radius.
        expected = 0.1 * np.sqrt(-2 * np.log(1 - 0.682689))
        assert row["angular_resolution"].value == pytest.approx(expected, rel=0.03)
        assert row["angular_coverage"] == pytest.approx(0.5, abs=0.02)
        assert row["energy_bias"] == pytest.approx(0.1, abs=0.006)
        assert row["energy_resolution"] == pytest.approx(0.165, rel=0.03)


def test_evaluation_weights_are_copies_of_events():
    rng = np.random.default_rng(2)
    events, n = make_answers(500, rng), rng.integers(0, 4, 500)
    copies = events[np.repeat(np.arange(500), n)]
    one = evaluate_reconstruction(events, weights=n)[-1]
    two = evaluate_reconstruction(copies)[-1]
    for name in ("angular_resolution", "angular_coverage", "energy_coverage"):
        np.testing.assert_allclose(one[name], two[name])
    assert one["energy_bias"] == pytest.approx(two["energy_bias"], abs=0.01)


def test_evaluation_of_nothing_is_nan_and_wrong_input_is_refused():
    events = make_answers(10, np.random.default_rng(3))
    table = evaluate_reconstruction(events, energy_edges=[50, 60])
    assert table["n_events"][0] == 0
    assert np.isnan(table["angular_resolution"][0])
    assert np.isnan(table["energy_bias"][0])
    with pytest.raises(ValueError, match="energy_edges must be"):
        evaluate_reconstruction(events, energy_edges=[1])
    with pytest.raises(ValueError, match="lacks the columns"):
        evaluate_reconstruction(events["true_energy", "is_valid"])
    with pytest.raises(ValueError, match="lengths must be equal"):
        evaluate_reconstruction(events, weights=[1.0])
