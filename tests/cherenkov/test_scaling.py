"""Look-up tables: gammas are normal, energies unbiased, no steps between bins, files safe."""

import json
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import vstack
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.cherenkov import ScalingTables, reconstruct_stereo
from astroml_kit.cherenkov._scaling_bias import EnergyBias, fit_bias
from astroml_kit.cherenkov._scaling_grid import fill_grid
from astroml_kit.models import ModelFileError
from astroml_kit.models._archive import pack_members, unpack_members


@pytest.fixture(scope="module")
def tables(make_images, square_array):
    return ScalingTables.fit(
        make_images(6000, noise=1.5),
        telescopes=square_array,
        background=make_images(3000, noise=1.5, seed=2, widen=1.3),
    )


@pytest.fixture(scope="module")
def saved(tables, tmp_path_factory):
    return tables.save(tmp_path_factory.mktemp("tables") / "tables.zip")


def test_gammas_scale_to_zero_and_background_does_not(tables, make_images, square_array):
    gammas = make_images(4000, noise=1.5, seed=3)
    events = reconstruct_stereo(gammas, telescopes=square_array, tables=tables)
    good = events["is_valid"]
    for name in ("width", "length"):
        assert abs(np.mean(events[f"mean_scaled_{name}"][good])) < 0.05
        assert np.mean(events[f"mean_scaled_{name}_off"][good]) < -0.8
    wide = make_images(4000, noise=1.5, seed=4, widen=1.3)
    wide = reconstruct_stereo(wide, telescopes=square_array, tables=tables)
    good = wide["is_valid"]
    assert np.mean(wide["mean_scaled_width"][good]) > 1
    assert abs(np.mean(wide["mean_scaled_width_off"][good])) < 0.05


def test_energy_has_no_bias_and_a_true_error(tables, make_images, square_array):
    events = make_images(6000, noise=1.5, seed=5)
    events = reconstruct_stereo(events, telescopes=square_array, tables=tables)
    events = events[events["is_valid"]]
    truth = events["true_energy"].value
    ratio = np.log(events["reco_energy"].value / truth)
    for low, high in ((0.25, 0.5), (0.5, 1), (1, 5), (5, 15)):
        inside = (truth > low) & (truth < high)
        assert abs(np.median(ratio[inside])) < 0.02
        assert np.quantile(np.abs(ratio[inside]), 0.68) < 0.15
    within = np.abs(events["reco_energy"].value - truth) < events["reco_energy_error"].value
    assert 0.62 < within.mean() < 0.74


def test_means_of_an_event_are_those_of_its_images(tables, make_images, square_array):
    images = make_images(300, noise=1.5, seed=6)
    events = reconstruct_stereo(images, telescopes=square_array, tables=tables)
    scaled = tables.scale_images(images, telescopes=square_array)
    assert images.colnames == scaled.colnames[: len(images.colnames)]
    for event in events[:40]:
        rows = scaled[scaled["event_id"] == event["event_id"]]
        if not event["is_valid"]:
            assert np.isnan(rows["scaled_width"]).all()
            continue
        used = rows[np.isfinite(rows["scaled_width"])]
        assert len(used) == event["n_images"]
        for name in ("width", "length", "width_off", "length_off"):
            values = np.asarray(used[f"scaled_{name}"])
            assert event[f"mean_scaled_{name}"] == pytest.approx(values.mean())
            assert event[f"scaled_{name}_std"] == pytest.approx(values.std())
        assert event["impact_mean"] == np.mean(used["reco_impact"])
        energies = np.log(used["image_energy"].value)
        spread = event["energy_spread"]
        assert spread**2 >= energies.var() - 1e-9


def test_events_that_are_not_valid_have_no_values(tables, make_images, square_array):
    images = make_images(30, noise=1.5)
    images["hillas_psi"][:40] = 10 * u.deg
    events = reconstruct_stereo(images, telescopes=square_array, tables=tables)
    bad = events[~events["is_valid"]]
    assert len(bad) >= 10
    for name in ("reco_energy", "energy_spread", "mean_scaled_width", "mean_scaled_length_off"):
        assert np.isnan(bad[name]).all()


def test_tables_without_background_have_no_twins(make_images, square_array):
    plain = ScalingTables.fit(make_images(500, noise=1.0), telescopes=square_array)
    images = make_images(20, noise=1.0)
    events = reconstruct_stereo(images, telescopes=square_array, tables=plain)
    assert "mean_scaled_width" in events.colnames
    assert not any(name.endswith("_off") for name in events.colnames)


def test_length_that_grows_off_axis_is_taken_out(make_images, square_array):
    def cut(images):
        far = np.hypot(images["true_fov_lon"], images["true_fov_lat"]).value
        images["hillas_length"] *= 1 + 0.2 * far
        return images

    train = [cut(make_images(3000, noise=1.0, seed=k, offset=k * 0.5)) for k in range(4)]
    for k, part in enumerate(train):
        part["obs_id"] += k
    tables = ScalingTables.fit(vstack(train), telescopes=square_array, max_cog=4)
    means = []
    for offset in (0.0, 0.25, 0.75, 1.25, 1.5):
        images = cut(make_images(1500, noise=1.0, seed=9, offset=offset))
        events = reconstruct_stereo(images, telescopes=square_array, tables=tables, max_cog=4)
        means.append(np.nanmean(events["mean_scaled_length"]))
    assert np.abs(means).max() < 0.15


def test_zenith_angles_have_tables_of_their_own(make_images, square_array):
    def make(n, zenith, seed):
        images = make_images(n, noise=1.0, zenith=zenith, seed=seed)
        images["hillas_intensity"] *= np.cos(np.radians(zenith)) ** 2
        images["zenith"] = zenith * u.deg
        images["obs_id"] += int(zenith)
        return images

    gammas = vstack([make(2500, z, 1) for z in (0.0, 40.0)], metadata_conflicts="silent")
    tables = ScalingTables.fit(gammas, telescopes=square_array)
    assert len(tables.gamma.nodes[0]) == 2
    for zenith in (0.0, 40.0):
        events = reconstruct_stereo(make(1500, zenith, 2), telescopes=square_array, tables=tables)
        ratio = (events["reco_energy"] / events["true_energy"]).value
        assert abs(np.nanmedian(ratio) - 1) < 0.03
    many = vstack([make(5, z, 1) for z in range(13)], metadata_conflicts="silent")
    with pytest.raises(ValueError, match="zenith_nodes must be given"):
        ScalingTables.fit(many, telescopes=square_array)


NODES = tuple(np.array(axis) for axis in ([0.0], [0.0, 1.0], [0.0, 10.0, 20.0], [4.0, 5.0, 6.0]))


def make_grid(rng, **options):
    places = tuple(rng.uniform(axis[0] - 1, axis[-1] + 1, 3000) for axis in NODES)
    value = 2 * places[1] + 0.1 * places[2] - places[3]
    return fill_grid(NODES, places, {"value": value}, **options)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(-1, 2), st.floats(-5, 30), st.floats(3, 7))
def test_there_are_no_steps_between_bins(seed, offset, impact, size):
    rng = np.random.default_rng(seed)
    grid = make_grid(rng, min_count=5)
    start = np.array([0.0, offset, impact, size])
    end = start + 1e-7 * rng.normal(size=4)
    values = grid.interpolate(tuple(np.column_stack([start, end]))).mean("value")
    assert abs(np.diff(values)[0]) < 1e-4
    low, high = grid.means["value"].min(), grid.means["value"].max()
    assert np.all((values >= low - 1e-9) & (values <= high + 1e-9))


def test_sparse_bins_use_the_nearest_full_one_and_say_so():
    places = tuple(np.array(axis) for axis in ([0.0] * 6, [0.0] * 6, [0.0] * 6, [4.0] * 5 + [6.0]))
    values = np.array([1.0, 2, 3, 4, 5, 100])
    grid = fill_grid(NODES, places, {"value": values}, min_count=5)
    assert grid.counts.sum() == 6
    assert grid.counts[0, 0, 0, 0] == 5
    assert grid.n_sparse == grid.counts.size - 1
    assert np.all(grid.served_by == 0)
    assert np.all(grid.means["value"] == 3)
    assert np.all(grid.spreads["value"] == np.std([1, 2, 3, 4, 5], ddof=1))
    at = grid.interpolate(tuple(np.array([v]) for v in (0.0, 0.0, 0.0, 6.0)))
    assert at.is_sparse()[0]
    with pytest.raises(ValueError, match=r"min_count must be reached.*at most 5"):
        fill_grid(NODES, places, {"value": values}, min_count=6)


def test_the_slope_of_a_bin_is_found_and_taken_out():
    rng = np.random.default_rng(1)
    places = tuple(rng.uniform(axis[0], axis[-1] + 0.1, 20000) for axis in NODES)
    height = rng.normal(size=20000)
    value = 1.5 * height + 0.1 * rng.normal(size=20000)
    quantities = {"value": value, "height": height}
    grid = fill_grid(NODES, places, quantities, min_count=10, slope_of=("value", "height"))
    np.testing.assert_allclose(grid.means["slope"], 1.5, atol=0.02)
    np.testing.assert_allclose(grid.spreads["value"], 0.1, rtol=0.1)


def test_bias_is_read_backwards():
    rng = np.random.default_rng(2)
    truth = rng.uniform(-2, 3, 40000)
    # Too high at threshold, too low far above: what a steep spectrum does to tables.
    estimate = truth + 0.4 * np.exp(-(truth + 2)) - 0.1 + 0.1 * rng.normal(size=40000)
    zeros = np.zeros(40000)
    bias = fit_bias(estimate, truth, np.full(40000, 0.1), offset=zeros, zenith=zeros,
                    offset_nodes=np.zeros(1), zenith_nodes=np.zeros(1), min_count=10)  # fmt: skip
    corrected, _ = bias.correct(estimate, zeros, zeros)
    for low in (-1.9, -1, 0, 1, 2):
        inside = (truth > low) & (truth < low + 0.9)
        assert abs(np.median((corrected - truth)[inside])) < 0.02
    steps = bias.correct(np.linspace(-9, 9, 4001), np.zeros(4001), np.zeros(4001))[0]
    assert np.all(np.diff(steps) > 0)
    again = EnergyBias.from_dict(json.loads(json.dumps(bias.to_dict())))
    np.testing.assert_array_equal(again.correct(estimate, zeros, zeros)[0], corrected)


def test_energies_scale_when_all_gammas_do(make_images, square_array):
    images = make_images(1500, noise=1.0)
    double = images.copy()
    double["true_energy"] *= 2
    test = make_images(300, noise=1.0, seed=3)
    one, two = (
        reconstruct_stereo(
            test, telescopes=square_array, tables=ScalingTables.fit(g, telescopes=square_array)
        )
        for g in (images, double)
    )
    np.testing.assert_allclose(two["reco_energy"], 2 * one["reco_energy"], rtol=1e-9)


def test_too_few_gammas_and_wrong_nodes_are_refused(make_images, square_array):
    images = make_images(200)
    with pytest.raises(ValueError, match="gammas must hold events"):
        ScalingTables.fit(images[images["tel_id"] == 1], telescopes=square_array)
    with pytest.raises(ValueError, match="min_count must be reached"):
        ScalingTables.fit(images, telescopes=square_array, min_count=5000)
    with pytest.raises(ValueError, match="impact_nodes must be increasing"):
        ScalingTables.fit(images, telescopes=square_array, impact_nodes=[100, 50])
    with pytest.raises(ValueError, match=r"lacks the columns \['true_energy'\]"):
        ScalingTables.fit(images["obs_id", "event_id"], telescopes=square_array)
    images["true_energy"][0] = 0 * u.TeV
    with pytest.raises(ValueError, match="true_energy must be"):
        ScalingTables.fit(images, telescopes=square_array)


def test_file_round_trip(tables, saved, make_images, square_array):
    again = ScalingTables.load(saved)
    images = make_images(200, noise=1.5, seed=6)
    one, two = (
        reconstruct_stereo(images, telescopes=square_array, tables=t) for t in (tables, again)
    )
    for name in one.colnames:
        np.testing.assert_array_equal(one[name], two[name])
    assert str(again) == str(tables)
    assert again.cuts == tables.cuts
    np.testing.assert_array_equal(again.gamma.counts, tables.gamma.counts)
    assert b"pickle" not in saved.read_bytes()


def test_the_same_tables_give_the_same_bytes(tables, saved, tmp_path):
    assert tables.save(tmp_path / "again.zip").read_bytes() == saved.read_bytes()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_damage_is_noticed(saved, tmp_path_factory, data):
    content = bytearray(saved.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    path.write_bytes(bytes(content))
    with pytest.raises(ModelFileError, match=r"damaged\.zip"):
        ScalingTables.load(path)


def change_header(**changes):
    def change(members):
        header = json.loads(members["model.json"])
        for key, value in changes.items():
            place, *rest = key.split("__")
            if rest:
                header[place][rest[0]] = value
            else:
                header[place] = value
        return members | {"model.json": json.dumps(header).encode()}

    return change


def change_array(name, text):
    return lambda members: members | {f"weights/{name}.txt": text}


@pytest.mark.parametrize(
    "change",
    [
        change_header(format="other"),
        change_header(format_version=99),
        change_header(format_version=True),
        change_header(n_events=-1),
        change_header(cuts={"min_intensity": 80, "shell": "rm"}),
        change_header(cuts={"min_images": 0}),
        change_header(bias={}),
        change_header(bias__scale=float("nan")),
        change_header(bias__bias=[[[1e400]]]),
        change_header(bias__log_energy=[1.0, 0.0]),
        change_header(arrays={}),
        change_header(arrays=[]),
        change_header(arrays__gamma_counts=[10**9, 10**9]),
        change_header(arrays__gamma_counts=[-1]),
        change_header(arrays__gamma_counts="1"),
        change_array("gamma_counts", b"1 2 3"),
        change_array("gamma_nodes_impact", b"nan " * 20),
        change_array("gamma_mean_width", b"x"),
        lambda members: {k: v for k, v in members.items() if "slope" not in k},
        lambda members: {"model.json": b"[]"},
        lambda members: {"model.json": b"[" * 100000},
        lambda members: members | {"weights/more.txt": b"1"},
    ],
)
def test_hostile_files_are_refused(saved, tmp_path, change):
    path = tmp_path / "hostile.zip"
    path.write_bytes(pack_members(change(unpack_members(saved.read_bytes()))))
    with pytest.raises(ModelFileError, match=r"hostile\.zip"):
        ScalingTables.load(path)


@pytest.mark.parametrize("number", [-1, 10**6, 0.5])
def test_bins_that_point_elsewhere_are_refused(tables, saved, tmp_path, number):
    members = unpack_members(saved.read_bytes())
    served_by = tables.gamma.served_by.ravel().astype(float)
    served_by[0] = number
    members["weights/gamma_served_by.txt"] = " ".join(map(repr, served_by.tolist())).encode()
    path = tmp_path / "hostile.zip"
    path.write_bytes(pack_members(members))
    with pytest.raises(ModelFileError, match="served_by"):
        ScalingTables.load(path)


def test_a_spread_of_zero_is_no_crash(tables, make_images, square_array):
    flat = {name: np.zeros_like(values) for name, values in tables.gamma.spreads.items()}
    broken = replace(tables, gamma=replace(tables.gamma, spreads=flat))
    events = reconstruct_stereo(make_images(10), telescopes=square_array, tables=broken)
    assert np.isfinite(events["reco_energy"][events["is_valid"]]).all()
    assert np.isnan(events["mean_scaled_width"]).all()
