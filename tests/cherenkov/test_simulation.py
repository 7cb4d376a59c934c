"""The shower simulation as a tool: repeatable, resumable, any array, no silent argument."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.cherenkov import CameraGeometry, clean_images, extract_hillas
from astroml_kit.cherenkov.simulation import (
    ThrownShowers,
    _equipment,
    _thrown,
    find_background_rate,
    iter_showers,
    list_physics,
    showers,
    simulate_showers,
)

SQUARE = CameraGeometry(
    "square",
    *(np.meshgrid(np.arange(-20, 20) * 0.12 + 0.06, np.arange(-20, 20) * 0.12 + 0.06) * u.deg)
    .reshape(2, -1),
    pixel_area=0.12**2 * u.deg**2,
    pixel_shape="square",
)  # fmt: skip
CAMERAS = {
    "hexagonal": CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=960),
    "square": SQUARE,
    "round": CameraGeometry(
        "round", SQUARE.pixel_x, SQUARE.pixel_y, np.pi / 4 * SQUARE.pixel_area, "circle"
    ),
}


def run(particle="gamma", n_showers=400, **options):
    return simulate_showers(
        particle, **({"n_showers": n_showers, "rng": 3, "progress": False} | options)
    )


def assert_same(one, two):
    assert one.colnames == two.colnames
    assert len(one) == len(two) > 0
    assert one.meta == two.meta
    for name in one.colnames:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(showers, "CHUNK", dict.fromkeys(showers.CHUNK, 100))


@pytest.fixture(scope="module")
def gammas():
    return run(n_showers=1500, images=True)


@pytest.mark.parametrize("particle", ["gamma", "proton", "electron", "helium", "muon"])
def test_a_seed_gives_one_table(particle):
    options = {"n_showers": 60, "energy_min": 1 * u.TeV, "min_telescopes": 1}
    if particle == "muon":
        options |= {"n_showers": 600, "energy_min": 0.01, "view_cone": 0.5}
    one = run(particle, **options)
    assert_same(one, run(particle, **options))
    other = run(particle, **options, rng=4)
    assert not np.array_equal(one["hillas_width"], other["hillas_width"])


def test_two_processes_give_what_one_gives(small_chunks):
    assert_same(run(), run(n_workers=2))


def test_chunks_are_those_of_the_whole(small_chunks):
    chunks = list(iter_showers("gamma", n_showers=400, rng=3, progress=False))
    assert len(chunks) == 4
    whole = run()
    for name in ("event_id", "hillas_width"):
        np.testing.assert_array_equal(
            np.concatenate([chunk[name] for chunk in chunks]), whole[name]
        )
    assert whole.meta["n_triggered"] == sum(chunk.meta["n_triggered"] for chunk in chunks)


def test_an_interrupted_simulation_goes_on(small_chunks, monkeypatch, tmp_path):
    simulated = []
    simulate = showers._simulate

    def count(job, start, stop):
        simulated.append(start)
        return simulate(job, start, stop)

    monkeypatch.setattr(showers, "_simulate", count)
    whole = run()
    del simulated[:]
    partly = iter_showers("gamma", n_showers=400, rng=3, folder=tmp_path, progress=False)
    next(partly), next(partly)
    partly.close()
    assert simulated == [0, 100]
    assert_same(whole, run(folder=tmp_path))
    assert simulated == [0, 100, 200, 300]
    first, second, third, last = sorted(tmp_path.glob("*.npz"))
    second.write_bytes(second.read_bytes()[:5000])
    damaged = bytearray(third.read_bytes())
    damaged[1000:1100] = bytes(100)
    third.write_bytes(damaged)
    last.write_bytes(b"")
    del simulated[:]
    assert_same(whole, run(folder=tmp_path))
    assert simulated == [100, 200, 300]
    del simulated[:]
    assert_same(whole, run(folder=tmp_path))
    assert not simulated
    assert not list(tmp_path.glob("*.part"))
    assert first.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rng", 4), ("zenith", 30), ("n_showers", 300), ("index", 2.0), ("min_light", 50),
        ("picture_threshold", 9), ("images", True), ("camera", CAMERAS["square"]),
        ("telescopes", QTable({"tel_id": [1, 2], "x": [0, 60] * u.m, "y": [0, 0] * u.m})),
    ],
)  # fmt: skip
def test_a_folder_holds_one_simulation(small_chunks, tmp_path, name, value):
    run(n_showers=100, folder=tmp_path)
    with pytest.raises(ValueError, match=r"folder must hold showers of the same.*another folder"):
        run(**{"n_showers": 100, "folder": tmp_path, name: value})


def test_parameters_are_those_of_the_images(gammas):
    camera = _equipment.make_camera()
    images = np.asarray(gammas["image"])
    assert images.shape == (len(gammas), camera.n_pixels)
    masks = clean_images(images, camera=camera, picture_threshold=10, boundary_threshold=5)
    table = extract_hillas(images, camera=camera, masks=masks)
    for name in table.colnames:
        if name not in ("obs_id", "event_id", "tel_id"):
            one, two = (getattr(t[name], "value", t[name]) for t in (gammas, table))
            np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-9, err_msg=name)


def test_images_do_not_change_the_showers(gammas):
    without = run(n_showers=1500)
    for name in without.colnames:
        np.testing.assert_array_equal(without[name], gammas[name])


def test_rows_are_what_readers_return(gammas):
    assert gammas["hillas_width"].unit == u.deg
    assert gammas["true_energy"].unit == u.TeV
    assert np.all(np.diff(gammas["event_id"]) >= 0)
    pairs = np.stack([gammas["event_id"], gammas["tel_id"]])
    assert len(np.unique(pairs, axis=1).T) == len(gammas)
    assert set(gammas["true_shower_primary_id"]) == {0}
    assert len(np.unique(gammas["event_id"])) <= gammas.meta["n_triggered"]
    thrown = ThrownShowers(**gammas.meta["thrown"])
    assert (thrown.n_showers, thrown.n_uses, thrown.offset) == (1500, 1, 0.5)
    radius = np.hypot(gammas["true_core_x"], gammas["true_core_y"]).value
    assert np.all(np.pi * radius**2 < thrown.find_area(gammas["true_energy"].value))
    assert np.all(gammas["true_fov_lon"] == 0.5 * u.deg)


def test_uses_of_a_shower_share_its_number():
    table = run("proton", n_showers=60, energy_min=2)
    assert np.array_equal(table["event_id"] // 10, table["shower_id"])
    assert len(np.unique(table["shower_id"])) < len(np.unique(table["event_id"]))
    offset = np.hypot(table["true_fov_lon"], table["true_fov_lat"])
    assert 2 < offset.max().value < 3.2
    rate = find_background_rate(table)
    assert np.allclose(rate, rate[0])  # thrown with the index of the flux
    assert rate[0] > 0


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
def test_one_telescope_with_any_camera(camera):
    one = QTable({"tel_id": [7], "x": [0.0] * u.m, "y": [0.0] * u.m, "mirror_area": [400] * u.m**2})
    table = run(n_showers=300, telescopes=one, camera=camera, min_telescopes=1, images=True)
    assert set(table["tel_id"]) == {7}
    assert table["image"].shape[1] == camera.n_pixels
    assert np.all(table["hillas_intensity"] > 10)


def test_more_mirror_sees_more_light(gammas):
    array = _equipment.make_array()
    array["mirror_area"] = 380 * u.m**2
    table = run(n_showers=1500, telescopes=array)
    assert table.meta["n_triggered"] > 1.5 * gammas.meta["n_triggered"]


def test_no_image_is_an_empty_table():
    table = run(n_showers=5, energy_min=0.001, energy_max=0.0011)
    assert len(table) == 0
    assert table.meta["n_triggered"] == 0
    assert "hillas_width" in table.colnames


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"particle": "iron"}, r"particle must be one of \['gamma', .*, got 'iron'"),
        ({"n_showers": 0}, "n_showers must be finite and >= 1, got 0"),
        ({"n_showers": np.nan}, "n_showers must be finite"),
        ({"n_showers": 2.5}, "n_showers must be an integer >= 1, got 2.5"),
        ({"n_uses": 0}, "n_uses must be finite and >= 1"),
        ({"n_workers": 0}, "n_workers must be finite and >= 1"),
        ({"energy_min": -1}, "energy_min must be > 0 and below energy_max"),
        ({"energy_min": 2, "energy_max": 1}, "energy_min must be > 0 and below energy_max 1"),
        ({"energy_max": 1 * u.m}, "energy_max must be in TeV"),
        ({"zenith": 70}, "zenith must be between 0 and 60 deg, got 70"),
        ({"offset": -1}, "offset must be finite and >= 0"),
        ({"view_cone": -1}, "view_cone must be finite and >= 0"),
        ({"efficiency": 0}, "efficiency must be finite and > 0"),
        ({"min_light": -1}, "min_light must be finite and >= 0"),
        ({"max_cog": 0}, "max_cog must be finite and > 0"),
        ({"min_charge": np.inf}, "min_charge must be finite"),
        ({"min_telescopes": 5}, "min_telescopes must be .* the 4 telescopes"),
        ({"picture_threshold": 0}, "picture_threshold must be"),
        ({"telescopes": QTable({"tel_id": [1]})}, r"telescopes lacks the columns \['x', 'y'\]"),
        ({"telescopes": _equipment.make_array()[:0]}, "telescopes must be"),
        ({"index": "steep"}, "index must be a number"),
        ({"camera": 3}, "camera must be a CameraGeometry"),
        ({"colour": 3}, "colour"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(options, message):
    error = TypeError if "colour" in options else ValueError
    with pytest.raises(error, match=message):
        run(**options)
    given_ = {"n_showers": 10, "progress": False} | options
    with pytest.raises(error, match=message):
        iter_showers(**given_)


def test_a_camera_in_metres_is_refused():
    camera = CameraGeometry.hexagonal(pixel_size=0.05 * u.m, n_pixels=61)
    with pytest.raises(ValueError, match=r"camera must be in angles.*to_angular"):
        run(camera=camera)


def test_every_parameter_says_where_it_comes_from():
    table = list_physics()
    assert all(len(source) > 5 for source in table["source"])
    assert len(set(table["parameter"])) == len(table)


# --- laws of the parts ---------------------------------------------------------------------------


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
@settings(max_examples=60, deadline=None)
@given(x=st.floats(-3.2, 3.2), y=st.floats(-3.2, 3.2))
def test_a_photon_lands_in_the_nearest_pixel(camera, x, y):
    from astroml_kit.cherenkov.simulation._light import find_pixel

    optics = _equipment.prepare_optics(camera, ((0.0, 0.0),), (95.0,), 0.06)
    distance = np.hypot(camera.pixel_x.value - x, camera.pixel_y.value - y)
    width = camera.pixel_width[0].value
    step = 1.5 * width / _equipment.CELLS_PER_PIXEL  # of the raster
    pixel = find_pixel(x, y, optics.raster, optics.corner)
    if pixel >= 0:
        assert distance[pixel] <= distance.min() + step
    else:
        assert distance.min() > 0.5 * width - step


@settings(max_examples=30, deadline=None)
@given(
    low=st.floats(0.01, 1),
    ratio=st.floats(1.01, 1e4),
    index=st.floats(0, 4),
    seed=st.integers(0, 99),
)
def test_energies_are_where_they_should_be(low, ratio, index, seed):
    thrown = ThrownShowers("gamma", 1, 1, low, low * ratio, index, 20, 0.5, 0, 0.06, 1)
    energy = _thrown.draw_energies(thrown, 2000, np.random.default_rng(seed))
    assert energy.min() >= low * (1 - 1e-9)
    assert energy.max() <= low * ratio * (1 + 1e-9)
    # as many below the middle as the spectrum says
    middle = low * np.sqrt(ratio)
    share = thrown.integrate_area(high=middle) / thrown.integrate_area()
    assert abs(np.mean(energy < middle) - share) < 5 * np.sqrt(share * (1 - share) / 2000) + 2e-3


@settings(max_examples=20, deadline=None)
@given(index=st.floats(1.5, 3.5), flux=st.floats(1.5, 3.5), seed=st.integers(0, 99))
def test_rates_add_up_to_flux_times_area(index, flux, seed):
    thrown = ThrownShowers("gamma", 20_000, 1, 0.1, 10, index, 20, 0.5, 0, 0.06, 1)
    energy = _thrown.draw_energies(thrown, 20_000, np.random.default_rng(seed))
    rates = thrown.find_rate(energy, norm=1e-7, index=flux)
    expected = 1e-7 * ThrownShowers(**{**thrown.__dict__, "index": flux}).integrate_area()
    error = rates.std() * np.sqrt(len(rates))
    assert abs(rates.sum() - expected) < 5 * error + 1e-3 * expected
    assert thrown.n_thrown == 20_000


def test_what_is_left_out_does_not_change_the_rest():
    """A stricter test before the light is followed gives a part of the same images."""
    options = {"n_showers": 150, "energy_min": 1}
    everything, part = run("proton", **options), run("proton", **options, min_light=150)
    common = np.isin(everything["event_id"], part["event_id"])
    assert 0.3 < common.mean() < 0.99
    for name in part.colnames:
        np.testing.assert_array_equal(everything[name][common], part[name], err_msg=name)


def test_faint_axes_give_the_light_that_is_expected():
    """Photo-electrons below a bound are as many as the bins of depth hold, axis by axis."""
    from astroml_kit.cherenkov.simulation import _imaging, _light
    from astroml_kit.cherenkov.simulation._random import start_stream

    camera = CameraGeometry.hexagonal(pixel_size=4 * u.deg, n_pixels=1261)
    optics = _equipment.prepare_optics(camera, ((0.0, 0.0),), (95.0,), 0.06)
    air, shower = _equipment.prepare_air(20.0)
    state, drawn = np.empty(2, np.uint64), _light.reserve(1, camera.n_pixels)
    start_stream(state, 5, 4)
    _imaging.start_shower(state, 101, 600.0, shower, air)
    _imaging.finish_shower(shower, air)
    assert shower.n[0] > 20
    for core in (20.0, 90.0, 180.0):
        expected = 0.0
        for axis in range(shower.n[0]):
            impact = np.hypot(core + shower.origin[axis, 0], shower.origin[axis, 1])
            rows = shower.electrons, axis, shower.filled
            light, _ = _light.expect_light(*rows, impact, air.impact_bin, air.density, air.inverse)
            if impact < air.impact_bin * (len(air.density) - 0.5):
                expected += light * optics.pe_per_photon[0]
            zone = air.zone[min(int(max(impact / air.impact_bin - 0.5, 0)), len(air.zone) - 1)]
            assert light <= shower.bound[axis, zone] * (1 + 1e-6)
        n, counts = 3000, []
        for _ in range(n):
            _light.draw_axes(state, shower, core, 0.0, 0.0, 0.0, 1.0, air, optics, drawn, 0)
            counts.append(drawn.charge.sum())
            _light.clear(drawn, 0)
        mean, variance = np.mean(counts), np.var(counts)
        assert mean == pytest.approx(expected, abs=5 * np.sqrt(expected / n) + 0.002 * expected)
        assert variance == pytest.approx(expected, rel=5 * np.sqrt(2 / n) + 0.02)  # Poisson


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**62), number=st.integers(0, 2**40))
def test_streams_are_uniform_and_their_own(seed, number):
    from astroml_kit.cherenkov.simulation._random import start_stream, uniform

    state, other = np.empty(2, np.uint64), np.empty(2, np.uint64)
    start_stream(state, seed, number)
    start_stream(other, seed, number + 1)
    assert not np.array_equal(state, other)
    drawn = np.array([uniform(state) for _ in range(200)])
    assert np.all((drawn > 0) & (drawn < 1))
    assert abs(drawn.mean() - 0.5) < 6 / np.sqrt(12 * 200)
