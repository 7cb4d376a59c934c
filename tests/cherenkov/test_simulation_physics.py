"""What the showers of the simulation are like, against published numbers and laws of physics."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.cherenkov import reconstruct_stereo
from astroml_kit.cherenkov.simulation import _equipment, find_background_rate, simulate_showers
from astroml_kit.cherenkov.simulation._atmosphere import (
    calculate_depth,
    calculate_height,
    make_atmosphere,
)
from astroml_kit.cherenkov.simulation._physics import ALTITUDE, EFFICIENCY, MIRROR_AREA

BANDS = ((80, 200), (200, 800), (800, 3200))  # p.e.


@pytest.fixture(scope="module")
def gammas():
    return simulate_showers("gamma", n_showers=12_000, energy_min=0.1, rng=1, progress=False)


@pytest.fixture(scope="module")
def protons():
    return simulate_showers("proton", n_showers=4000, rng=2, progress=False)


@pytest.fixture(scope="module")
def muons():
    """Muons on the mirror of one telescope."""
    one = QTable({"tel_id": [1], "x": [0.0] * u.m, "y": [0.0] * u.m})
    return simulate_showers(
        "muon", n_showers=20_000, energy_min=0.02, energy_max=0.2, view_cone=0.5, telescopes=one,
        min_telescopes=1, images=True, rng=3, progress=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def grow():
    """Profiles and light on the ground of showers of one energy [GeV], at zenith 20."""
    from astroml_kit.cherenkov.simulation._imaging import start_shower
    from astroml_kit.cherenkov.simulation._light import expect_light
    from astroml_kit.cherenkov.simulation._random import start_stream

    air, shower = _equipment.prepare_air(20.0)
    state = np.empty(2, np.uint64)
    impact = np.arange(2.5, 300, 5.0)

    def make(energy, n, particle=0):
        profiles, light, first = [], np.zeros(len(impact)), []
        for number in range(n):
            start_stream(state, 1, number)
            depth, whole = start_shower(state, particle, energy, shower, air)
            first.append(depth)
            profiles.append(shower.electrons[whole, 0].copy())
            rows = shower.electrons, whole, shower.filled
            for i, r in enumerate(impact):
                density = expect_light(*rows, r, air.impact_bin, air.density, air.inverse)[0]
                light[i] += density / n
        return np.array(profiles), impact, light, np.array(first)

    return make


def find_maxima(profiles):
    """Depth of the maximum of each profile [radiation lengths], by a parabola through three."""
    k = np.clip(profiles.argmax(axis=1), 1, profiles.shape[1] - 2)
    a, b, c = (profiles[np.arange(len(k)), k + i] for i in (-1, 0, 1))
    return k + 0.5 + 0.5 * (a - c) / (a - 2 * b + c)


# --- atmosphere ----------------------------------------------------------------------------------


@settings(max_examples=200)
@given(height=st.floats(0, 80e3))
def test_depth_and_height_are_inverse(height):
    assert calculate_height(calculate_depth(height)) == pytest.approx(height, abs=0.5, rel=1e-4)


@settings(max_examples=100)
@given(height=st.floats(0, 79e3), step=st.floats(1, 1e3))
def test_depth_falls_with_height(height, step):
    assert calculate_depth(height + step) < calculate_depth(height)


@pytest.mark.parametrize(
    ("height", "depth"), [(0, 1036.1), (1800, 833.6), (4000, 631.1), (10_000, 271.7), (40_000, 3.0)]
)  # Linsley's US standard atmosphere, Heck et al. 1998, FZKA 6019
def test_depths_of_the_standard_atmosphere(height, depth):
    assert calculate_depth(height) == pytest.approx(depth, rel=2e-3, abs=0.05)


def test_cherenkov_angle_at_the_array():
    air = make_atmosphere(0.0)
    # from the middle of the lowest bin down: the angle goes with the root of the density
    angle = np.degrees(air.theta_max[-1] * np.exp(air.distance[-1] / 2 / 9941.86))
    # n - 1 = 2.83e-4 at sea level, and exp(-1.8 km / 9.94 km) of that at the array
    assert angle == pytest.approx(1.245, abs=0.005)
    assert air.threshold[-1] == pytest.approx(0.023, rel=0.05)  # GeV, m_e c2 / theta
    assert np.all(np.diff(air.distance) < 0)
    assert air.edges[0] > air.distance[0] > air.edges[1]


@pytest.mark.parametrize("zenith", [0.0, 20.0, 45.0, 60.0])
def test_slanted_air_is_longer_and_thinner(zenith):
    air, above = make_atmosphere(zenith), make_atmosphere(0.0)
    slant = np.cos(np.radians(zenith))
    assert len(air.distance) == pytest.approx(len(above.distance) / slant, abs=1.5)
    height = ALTITUDE + air.distance * slant
    np.testing.assert_allclose(
        calculate_depth(height) / slant, (np.arange(len(height)) + 0.5) * 36.62, rtol=1e-6
    )


# --- cascades ------------------------------------------------------------------------------------


@pytest.mark.parametrize("energy", [100.0, 1000.0, 10_000.0])
def test_depth_and_size_of_the_maximum(grow, energy):
    profiles, *_, first = grow(energy, 300)
    maxima = find_maxima(profiles)
    y = np.log(energy / 0.081)
    # Rossi & Greisen (1941): y + 0.5 for a photon; the fluctuation is more than that of the
    # first conversion (9/7), and 1.5-1.8 radiation lengths in detailed simulations
    assert np.median(maxima) == pytest.approx(y + 0.3, abs=0.6)
    assert 1.3 < maxima.std() < 2.1
    assert first.mean() == pytest.approx(9 / 7, abs=5 * 9 / 7 / np.sqrt(300))
    # Greisen (1956): 0.31 / sqrt(y) electrons per GeV / Ec at the maximum
    assert np.median(profiles.max(axis=1)) == pytest.approx(0.31 / np.sqrt(y) * np.exp(y), rel=0.1)
    # approximation B: the length of all tracks is E / Ec radiation lengths
    # (a part of the brightest ones reaches the ground)
    assert 0.84 < profiles.sum(axis=1).mean() / np.exp(y) < 1.12


def test_electrons_start_higher_than_photons(grow):
    photons, electrons = (find_maxima(grow(1000.0, 300, particle)[0]) for particle in (0, 1))
    assert 0.4 < photons.mean() - electrons.mean() < 1.6


def test_light_pool_has_its_hump(grow):
    _, impact, light, _ = grow(300.0, 200)
    scale = light * MIRROR_AREA * EFFICIENCY / 300
    edge = (impact > 60) & (impact < 160)
    flat = scale * impact  # the hump shows as the largest light in a ring of fixed width
    assert 105 < impact[edge][flat[edge].argmax()] < 140
    assert light[impact.searchsorted(180)] < 0.6 * light[impact.searchsorted(115)]
    # p.e. per GeV at 100 m: SHOWERS gives 1.3 at 0.10 p.e. per photon before it was tuned to 0.06
    assert 0.4 < scale[impact.searchsorted(100)] < 0.9


def test_light_grows_with_energy(grow):
    faint, bright = (grow(energy, 150)[2] for energy in (300.0, 3000.0))
    ratio = (bright / faint)[5:25]
    assert np.all((ratio > 9) & (ratio < 25))  # more than ten: brighter showers come nearer


# --- hadrons -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def interact():
    """Kinds and energy fractions of all secondaries of many interactions at 1 TeV."""
    from astroml_kit.cherenkov.simulation._cascades import MAX_SECONDARIES, draw_secondaries
    from astroml_kit.cherenkov.simulation._random import start_stream

    def make(kind, n=6000):
        state, room = np.empty(2, np.uint64), np.zeros((MAX_SECONDARIES, 3))
        kinds, fractions, sums = [], [], []
        for number in range(n):
            start_stream(state, 9, number)
            count = draw_secondaries(state, kind, 1000.0, room)
            kinds.append(room[:count, 0].copy())
            fractions.append(room[:count, 1] / 1000)
            sums.append(fractions[-1].sum())
        return np.concatenate(kinds), np.concatenate(fractions), np.array(sums), n

    return make


def test_spectrum_weighted_moments_of_nucleons(interact):
    """Against table 5.2 of Gaisser, Engel & Resconi (2016): 0.298, 0.039, 0.079 at 1.7."""
    kinds, x, _, n = interact(0)
    nucleons, charged, neutral = (np.sum(x[kinds == kind] ** 1.7) / n for kind in (0, 1, 2))
    assert 0.27 < nucleons < 0.30
    assert 0.034 < neutral < 0.041
    assert 0.063 < charged < 0.082


@pytest.mark.parametrize("kind", [0, 1])
def test_interactions_keep_the_energy(interact, kind):
    _, x, sums, _ = interact(kind)
    assert np.all(sums <= 1 + 1e-12)
    assert np.all(sums > 1 - 2e-4)  # what is left makes no pi0
    assert np.all(x > 0)


def test_a_third_of_the_energy_of_protons_is_light(grow):
    gammas, protons = (grow(1000.0, 200, particle)[0].sum(axis=1) for particle in (0, 101))
    assert 0.25 < protons.mean() / gammas.mean() < 0.65
    assert protons.std() / protons.mean() > 2 * gammas.std() / gammas.mean()


def test_first_interactions_of_nuclei(grow):
    depth = grow(1000.0, 400, 101)[3]
    assert 36.62 * np.mean(depth) == pytest.approx(24160 / 274.2, rel=0.2)  # g/cm2, at 1 TeV
    assert np.mean(grow(1000.0, 400, 402)[3]) < 0.5 * np.mean(depth)


# --- images --------------------------------------------------------------------------------------


def test_widths_and_lengths_of_gammas(gammas):
    size, far = gammas["hillas_intensity"], np.hypot(gammas["hillas_x"], gammas["hillas_y"]).value
    for (low, high), width, length in zip(
        BANDS, (0.073, 0.091, 0.118), (0.18, 0.25, 0.36), strict=True
    ):  # medians of the first, independent version of this simulation
        inside = (size >= low) & (size < high) & (far < 2)
        assert np.median(gammas["hillas_width"][inside].value) == pytest.approx(width, rel=0.08)
        assert np.median(gammas["hillas_length"][inside].value) == pytest.approx(length, rel=0.08)


def test_images_point_at_the_source(gammas):
    bright = gammas[gammas["hillas_intensity"] > 200]
    dx, dy = (bright[f"hillas_{c}"].value - bright[f"true_fov_{n}"].value
              for c, n in (("x", "lon"), ("y", "lat")))  # fmt: skip
    psi = bright["hillas_psi"].to_value(u.rad)
    miss = np.abs(dy * np.cos(psi) - dx * np.sin(psi))
    assert np.median(miss) < 0.06
    # and lie on the side of the core
    towards = (
        bright["true_core_x"].value
        - np.array(bright.meta["telescopes"]["x"])[np.asarray(bright["tel_id"]) - 1]
    )
    far = np.abs(towards) > 60
    assert np.mean(np.sign(dx[far]) == np.sign(towards[far])) > 0.98


def test_angular_resolution(gammas):
    telescopes = QTable({n: gammas.meta["telescopes"][n] for n in ("tel_id", "x", "y")})
    telescopes["x"].unit = telescopes["y"].unit = u.m
    telescopes.meta["frame"] = "tilted"
    events = reconstruct_stereo(gammas, telescopes=telescopes)
    events = events[events["is_valid"]]
    assert len(events) > 1000
    lon, lat = (events[f"reco_fov_{n}"] - events[f"true_fov_{n}"] for n in ("lon", "lat"))
    miss = np.hypot(lon, lat).value
    assert np.quantile(miss, 0.68) <= 0.095  # 0.09 with the full statistics
    assert abs(np.median(lon.value)) < 0.01
    assert abs(np.median(lat.value)) < 0.01
    core = np.hypot(events["reco_core_x"] - events["true_core_x"],
                    events["reco_core_y"] - events["true_core_y"])  # fmt: skip
    assert np.median(core.value) < 15
    # 1 TeV gammas are at their brightest 7-9 km above the array
    assert 6.5e3 < np.median(events["reco_h_max"].value) < 10.5e3


def test_protons_are_wider_than_gammas(gammas, protons):
    for low, high in BANDS[:2]:
        widths = []
        for table in (gammas, protons):
            far = np.hypot(table["hillas_x"], table["hillas_y"]).value
            size = table["hillas_intensity"]
            inside = (size >= low) & (size < high) & (far < 2)
            widths.append(table["hillas_width"][inside].value)
        assert np.median(widths[1]) > 1.2 * np.median(widths[0])
        assert np.std(widths[1]) > 1.5 * np.std(widths[0])


def test_muons_make_rings_of_the_cherenkov_angle(muons):
    near = np.hypot(muons["true_core_x"], muons["true_core_y"]).value < 4
    rings = muons[near & (muons["hillas_intensity"] > 150)]
    assert len(rings) > 10
    camera = _equipment.make_camera()
    threshold = 0.10566 / np.radians(1.26)  # GeV, of muons at the array
    for row in rings:
        weight = np.where(row["image"] > 5, row["image"], 0)
        x = camera.pixel_x.value - row["true_fov_lon"].value
        y = camera.pixel_y.value - row["true_fov_lat"].value
        radius = np.average(np.hypot(x, y), weights=weight)
        expected = 1.24 * np.sqrt(1 - (threshold / row["true_energy"].to_value(u.GeV)) ** 2)
        assert radius == pytest.approx(expected, abs=0.06)


def test_preselected_rate_is_like_that_of_hess(protons):
    """62-64 Hz of nuclei and electrons within 2.5 deg at a larger efficiency; about half here."""
    size, far = protons["hillas_intensity"], np.hypot(protons["hillas_x"], protons["hillas_y"])
    good = (size >= 80) & (far.value < 2) & (protons["morphology_n_pixels"] >= 3)
    numbers = protons["event_id"][good]
    _, first, count = np.unique(numbers, return_index=True, return_counts=True)
    rate = find_background_rate(protons[good][first[count >= 2]]).sum()
    assert 22 < rate < 42
