import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.cherenkov import (
    NoOffRegionError,
    _rotations,
    find_reflected_regions,
    find_rotated_discs,
    read_known_sources,
)
from astroml_kit.cherenkov._rings import measure_overlap, to_degrees, to_unit_vectors

RADIUS = 0.11 * u.deg
CRAB = SkyCoord(83.633083, 22.0145, unit="deg")
MSH_15_52 = SkyCoord(228.5290, -59.1575, unit="deg")


def make_events(pointing, rng, *, n=4000, width=1.0):
    """Positions (deg) with a Gaussian acceptance about the pointing, exact on the sphere."""
    away = width * np.sqrt(-2 * np.log(rng.random(n))) * u.deg
    there = pointing.directional_offset_by(rng.uniform(0, 360, n) * u.deg, away)
    return there.ra.deg, there.dec.deg


# ------------------------------------------------------------------------- reflected regions

declinations = st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 90.0, 89.9, -89.7, 0.0]))
ascensions = st.one_of(st.floats(0, 360), st.sampled_from([0.0, 359.99, 0.01, 180.0]))


@st.composite
def fields(draw):
    pointing = SkyCoord(draw(ascensions), draw(declinations), unit="deg")
    offset = draw(st.floats(0.12, 3.0)) * u.deg
    target = pointing.directional_offset_by(draw(st.floats(0, 360)) * u.deg, offset)
    exclusions = [
        (
            pointing.directional_offset_by(
                draw(st.floats(0, 360)) * u.deg, draw(st.floats(0, 4)) * u.deg
            ),
            draw(st.floats(0, 0.6)) * u.deg,
        )
        for _ in range(draw(st.integers(0, 4)))
    ]
    return pointing, target, exclusions


@settings(max_examples=150, deadline=None)
@given(fields(), st.sampled_from(["packed", "stepped"]), st.floats(0, 0.3))
def test_no_region_touches_anything(field, placement, min_distance):
    pointing, target, exclusions = field
    try:
        found = find_reflected_regions(
            pointing,
            target,
            radius=RADIUS,
            exclusions=exclusions,
            placement=placement,
            min_distance=min_distance * u.rad,
        )
    except NoOffRegionError:
        return
    # separations by astropy, not by our own formulas
    tiny = 1e-9 * u.deg
    centres = found.centres
    offset = pointing.separation(target)
    assert np.all(np.abs(centres.separation(pointing) - offset) < tiny)
    assert np.all(centres.separation(target) > 2 * RADIUS - tiny)
    for position, size in exclusions:
        assert np.all(centres.separation(position) > size + RADIUS - tiny)
    for number in range(len(found)):
        others = np.delete(np.arange(len(found)), number)
        assert np.all(centres[others].separation(centres[number]) > 2 * RADIUS - tiny)
    assert found.alpha == 1 / len(found)
    assert len(found) <= found.n_unobstructed


def mirror(position, pointing, target):
    """Reflect a position at the great circle through pointing and target."""
    p, t, x = (to_unit_vectors(c.ra.deg, c.dec.deg) for c in (pointing, target, position))
    normal = np.cross(p, t)
    normal /= np.linalg.norm(normal)
    return SkyCoord(*to_degrees(x - 2 * (x @ normal) * normal), unit="deg")


@settings(max_examples=100, deadline=None)
@given(fields())
def test_packing_is_as_good_from_the_other_side_and_beats_walking(field):
    pointing, target, exclusions = field

    def count(placement, circles):
        try:
            return len(
                find_reflected_regions(
                    pointing, target, radius=RADIUS, exclusions=circles, placement=placement
                )
            )
        except NoOffRegionError:
            return 0

    mirrored = [(mirror(c, pointing, target), r) for c, r in exclusions]
    packed = count("packed", exclusions)
    assert packed == count("packed", mirrored)
    assert packed >= count("stepped", exclusions)


def test_the_number_of_regions_is_the_angle_over_the_width():
    # width 2 asin(sin 0.11 / sin 0.5) = 25.42 deg; (360 - 2 x 0.1 rad) / 25.42 - 1 = 12.7
    pointing = SkyCoord(83.633083, 21.5145, unit="deg")
    found = find_reflected_regions(pointing, CRAB, radius=RADIUS)
    assert len(found) == 12
    width = np.rad2deg(2 * np.arcsin(np.sin(np.deg2rad(0.11)) / np.sin(np.deg2rad(0.5))))
    first, last = found.angles[[0, -1]].to_value("deg")
    assert first == pytest.approx(width + np.rad2deg(0.1), abs=1e-6)
    assert last == pytest.approx(360 - first, abs=1e-6)
    assert np.diff(found.angles.to_value("deg")).min() > width


def test_angles_grow_from_north_through_east():
    pointing, target = SkyCoord("0d 0d"), SkyCoord("0d 0.5d")
    found = find_reflected_regions(pointing, target, radius=RADIUS)
    east = pointing.position_angle(found.centres).to_value("deg")
    np.testing.assert_allclose(east, found.angles.to_value("deg"), atol=1e-6)


def test_an_exclusion_is_reported_with_what_it_costs():
    pointing = SkyCoord(83.633083, 21.5145, unit="deg")
    far = SkyCoord(93, 21, unit="deg")
    found = find_reflected_regions(
        pointing, CRAB, radius=RADIUS, exclusions=[(CRAB, 0.35 * u.deg), (far, 1 * u.deg)]
    )
    assert (len(found), found.n_unobstructed) == (10, 12)
    # 2 x 2 asin(sin(0.46/2) / sin 0.5)
    blocked = 4 * np.rad2deg(np.arcsin(np.sin(np.deg2rad(0.23)) / np.sin(np.deg2rad(0.5))))
    assert len(found.dropped) == 1
    assert found.dropped["blocked"].to_value("deg")[0] == pytest.approx(blocked)
    assert str(found) == ("10 reflected regions of 0.11 deg, alpha 0.1000, 2 lost to 1 exclusions")


def test_arrays_of_exclusions_equal_a_list():
    pointing = SkyCoord(83.633083, 21.5145, unit="deg")
    where = SkyCoord([83.0, 84.2], [21.5, 21.4], unit="deg")
    together = find_reflected_regions(
        pointing, CRAB, radius=RADIUS, exclusions=[(where, [0.1, 0.2] * u.deg)]
    )
    one_by_one = find_reflected_regions(
        pointing,
        CRAB,
        radius=RADIUS,
        exclusions=[(where[0], 0.1 * u.deg), (where[1].galactic, 0.2 * u.deg)],
    )
    np.testing.assert_allclose(together.angles, one_by_one.angles, atol=1e-9)
    assert len(together) < 12


def test_at_most_so_many_regions():
    pointing = SkyCoord(83.633083, 21.5145, unit="deg")
    packed = find_reflected_regions(pointing, CRAB, radius=RADIUS, max_regions=2)
    stepped = find_reflected_regions(
        pointing, CRAB, radius=RADIUS, max_regions=2, placement="stepped"
    )
    assert np.all(np.abs(packed.angles.to_value("deg") - 180) < 20)
    assert np.all(stepped.angles.to_value("deg") < 90)


def test_no_region_is_a_typed_answer():
    with pytest.raises(NoOffRegionError, match=r"target is 0 deg from the pointing, not more than"):
        find_reflected_regions(CRAB, CRAB, radius=RADIUS)
    near = SkyCoord(CRAB.ra, CRAB.dec + 0.1 * u.deg)
    with pytest.raises(NoOffRegionError, match=r"target is 0.1 deg .* ON radius of 0.11 deg"):
        find_reflected_regions(near, CRAB, radius=RADIUS)
    pointing = SkyCoord(83.633083, 21.5145, unit="deg")
    with pytest.raises(NoOffRegionError, match=r"ring of 0.5 deg .* 1 exclusion"):
        find_reflected_regions(pointing, CRAB, radius=RADIUS, exclusions=[(pointing, 2 * u.deg)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radius": 0.11}, "radius must be an angle with a unit, got 0.11. Write radius=0.11"),
        ({"radius": 0 * u.deg}, "radius in deg must be finite and > 0"),
        ({"radius": np.nan * u.deg}, "radius in deg must be finite"),
        ({"radius": 1 * u.m}, "radius must be an angle"),
        ({"radius": RADIUS, "exclusions": [CRAB]}, r"exclusions\[0\] must be a pair"),
        ({"radius": RADIUS, "exclusions": [(CRAB, 0.3)]}, r"exclusions\[0\] must be a pair"),
        ({"radius": RADIUS, "exclusions": [(CRAB, -1 * u.deg)]}, "must have a radius >= 0"),
        ({"radius": RADIUS, "placement": "dense"}, "placement must be one of"),
        ({"radius": RADIUS, "max_regions": 0}, "max_regions must be finite and >= 1"),
        ({"radius": RADIUS, "min_distance": -1 * u.deg}, "min_distance in deg must be"),
    ],
)
def test_mistakes_are_named(arguments, message):
    pointing = SkyCoord(83.633083, 21.5145, unit="deg")
    with pytest.raises(ValueError, match=message):
        find_reflected_regions(pointing, CRAB, **arguments)


def test_a_position_must_be_a_sky_position():
    with pytest.raises(TypeError, match="target must be a SkyCoord, got tuple"):
        find_reflected_regions(CRAB, (83.6, 22.0), radius=RADIUS)


# ------------------------------------------------------------------------------ rotated discs


@settings(max_examples=60, deadline=None)
@given(fields(), st.integers(0, 2**32 - 1))
def test_pairs_are_those_that_separations_give(field, seed):
    pointing, target, exclusions = field
    radius = 0.2 * u.deg
    try:
        discs = find_rotated_discs(
            pointing, target, radius=radius, exclusions=exclusions, n_rotations=24
        )
    except NoOffRegionError:
        return
    assert np.all(discs.centres.separation(target) > 0.45 * u.deg - 1e-9 * u.deg)
    for position, size in exclusions:
        assert np.all(discs.centres.separation(position) > size + radius - 1e-9 * u.deg)
    ra, dec = make_events(pointing, np.random.default_rng(seed), n=200)
    events = SkyCoord(ra, dec, unit="deg")
    theta = events[:, None].separation(discs.centres[None, :]).deg
    event, rotation = np.nonzero(theta < 0.2)
    pairs = discs.match_events(ra, dec)
    np.testing.assert_array_equal(pairs.event, event)
    np.testing.assert_array_equal(pairs.rotation, rotation)
    np.testing.assert_allclose(pairs.theta_squared, theta[event, rotation] ** 2, atol=1e-10)
    np.testing.assert_array_equal(discs.count_cover(ra, dec), (theta < 0.2).sum(axis=1))
    on = discs.measure_theta_squared(ra * u.deg, dec * u.deg)
    np.testing.assert_allclose(on, events.separation(target).deg ** 2, atol=1e-10)


def test_blocks_do_not_change_the_pairs(monkeypatch):
    pointing = SkyCoord(83.633083, 21.5145, unit="deg")
    discs = find_rotated_discs(pointing, CRAB)
    ra, dec = make_events(pointing, np.random.default_rng(1))
    whole = discs.match_events(ra, dec)
    monkeypatch.setattr(_rotations, "_BLOCK", 1000)
    for one, other in zip(whole, discs.match_events(ra, dec), strict=True):
        np.testing.assert_array_equal(one, other)
    nothing = discs.match_events([], [])
    assert [len(part) for part in nothing] == [0, 0, 0]
    assert discs.count_cover([], []).shape == (0,)


def test_alpha_of_disjoint_rotations_is_one_over_their_number():
    pointing = SkyCoord(83.633083, 21.5145, unit="deg")
    discs = find_rotated_discs(pointing, CRAB, radius=RADIUS, gap=0 * u.deg, n_rotations=12)
    assert len(discs) == 11
    assert discs.alpha == pytest.approx(1 / 11)
    finer = find_rotated_discs(pointing, CRAB, radius=RADIUS, gap=0 * u.deg, n_rotations=360)
    assert finer.alpha < discs.alpha


def test_overlap_matches_a_simulation():
    rng = np.random.default_rng(2)
    points = rng.uniform(-1, 1, (400_000, 2))
    points = points[(points**2).sum(axis=1) < 1]
    for separation in (0.0, 0.5, 1.3, 1.9, 2.0, 5.0):
        inside = ((points - [separation, 0]) ** 2).sum(axis=1) < 1
        assert measure_overlap(separation, 1.0) == pytest.approx(inside.mean(), abs=0.003)


def test_rotated_background_has_the_mean_and_variance_its_alpha_says():
    # a field with uniform density: mean over rotations = ON expectation, variance = alpha x mean
    rng = np.random.default_rng(3)
    pointing, target = SkyCoord("10d 0.5d"), SkyCoord("10d 0d")
    discs = find_rotated_discs(pointing, target)
    density = 40.0  # events per deg^2
    found = []
    for _ in range(1500):
        n = rng.poisson(density * np.pi)
        away, angle = np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
        cover = discs.count_cover(10 + away * np.sin(angle), 0.5 + away * np.cos(angle))
        found.append(cover.sum() / len(discs))
    expected = density * np.pi * 0.2**2
    assert np.mean(found) == pytest.approx(expected, rel=0.01)
    assert np.var(found) == pytest.approx(discs.alpha * expected, rel=0.1)


def test_no_rotation_is_a_typed_answer():
    pointing = SkyCoord(83.633083, 22.2145, unit="deg")
    with pytest.raises(NoOffRegionError, match=r"gap of 0.25 deg. Use a smaller radius or gap"):
        find_rotated_discs(pointing, CRAB)
    discs = find_rotated_discs(SkyCoord("0d 0.5d"), SkyCoord("0d 0d"))
    assert str(discs) == "51 of 72 rotations of a 0.2 deg disc are clear, alpha 0.1465"


# ------------------------------------------------------------------------------ known sources


def test_known_sources_are_positions_with_a_circle():
    sources = read_known_sources()
    assert len(sources) == 176
    assert "BSD-3" in sources.meta["licence"]
    row = sources[sources["name"] == "MSH 15-52"][0]
    # 0.107 deg Gaussian, Aharonian et al. 2005, A&A 435, L17
    assert row["reference"] == "2005A&A...435L..17A"
    assert row["position"].separation(MSH_15_52) < 0.001 * u.deg
    assert row["exclusion_radius"].to_value("deg") == pytest.approx(0.2 + 2.45 * 0.1067)
    wide = read_known_sources(margin=0.5 * u.deg)
    gained = wide["exclusion_radius"] - sources["exclusion_radius"]
    np.testing.assert_allclose(gained.to_value("deg"), 0.3)
    # 30 Dor C lies in the Large Magellanic Cloud, 0.25 deg from N 157B
    close = sources[np.isin(sources["name"], ["30 Dor C", "N 157B"])]["position"]
    assert close[0].separation(close[1]) < 0.3 * u.deg
