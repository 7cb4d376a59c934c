"""Groups: brute force, rotations, poles and 0/360 degrees, an honest null, stability, mistakes."""

import json
import os

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.cosmology import Planck18
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation
from scipy.stats import binom
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score

from astroml_kit.catalogs import find_friends, find_groups, simulate_galaxies

LIGHT = 299_792.458
DATA = os.environ.get("ASTROML_KIT_DATA")
LENGTHS = {"separation": 0.8 * u.Mpc, "velocity": 1000 * u.km / u.s}


def draw_sky(rng, n):
    return SkyCoord(rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
                    unit="deg")  # fmt: skip


def rotate(coords, rotation):
    x, y, z = rotation.apply(coords.cartesian.xyz.value.T).T
    return SkyCoord(np.arctan2(y, x), np.arctan2(z, np.hypot(x, y)), unit="rad")


def link_by_hand(coords, z, separation, velocity, *, least=0.0, floor=0.002, factor=1.0):
    """Friends of friends from all pairs."""
    distance = Planck18.comoving_distance(np.maximum(z, floor)).to_value("Mpc")
    angle = np.maximum(separation / distance, least) * factor
    speed = np.full(len(z), velocity) * factor
    apart = coords[:, None].separation(coords[None, :]).rad
    along = LIGHT * np.abs(z[:, None] - z) / (1 + (z[:, None] + z) / 2)
    near = (apart <= (angle[:, None] + angle) / 2) & (along <= (speed[:, None] + speed) / 2)
    return connected_components(near)[1], near


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["plain", "angle", "scaled"]))
def test_friends_are_those_of_brute_force(seed, kind):
    rng = np.random.default_rng(seed)
    n = 120
    centre = draw_sky(rng, 1)[0] if seed % 2 else SkyCoord(0 * u.deg, 90 * u.deg)
    coords = SkyCoord(centre.directional_offset_by(
        rng.uniform(0, 360, n) * u.deg, rng.uniform(0, 12, n) * u.deg))  # fmt: skip
    z = rng.uniform(-0.002, 0.02, n)
    options, by_hand = {}, {}
    if kind == "angle":
        options, by_hand = {"min_angle": 1 * u.deg}, {"least": np.radians(1)}
    if kind == "scaled":
        options = {"scaling": lambda z: 1 + 20 * z**2}
        by_hand = {"factor": 1 + 20 * z**2}
    found = find_friends(coords, z, min_members=1, **LENGTHS, **options)
    expected, near = link_by_hand(coords, z, 0.8, 1000, **by_hand)
    assert adjusted_rand_score(expected, found.labels) == 1
    size = found.table["n_members"]
    assert size.tolist() == sorted(np.bincount(expected), reverse=True)
    peak = np.asarray(found.table["peak"])
    for number, row in enumerate(peak):
        members = found.labels == number
        assert near[row].sum() == near[members].sum(axis=1).max()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_groups_on_the_sky_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    coords = draw_sky(rng, 300)
    found = find_groups(coords, radius=6 * u.deg, min_samples=4)
    place = np.column_stack([coords.dec.rad, coords.ra.rad])
    model = DBSCAN(eps=np.radians(6), min_samples=4, metric="haversine").fit(place)
    assert np.array_equal(found.labels < 0, model.labels_ < 0)
    core = model.core_sample_indices_
    assert adjusted_rand_score(model.labels_[core], found.labels[core]) == 1


@pytest.mark.parametrize("seed", range(4))
def test_turning_the_sky_changes_no_label_and_no_count(seed):
    rng = np.random.default_rng(seed)
    galaxies = simulate_galaxies(12, n_field=300, radius=4 * u.deg, rng=seed)
    coords, z = galaxies["coord"], np.asarray(galaxies["redshift"])
    turned = rotate(coords, Rotation.random(random_state=seed))
    onto_pole = rotate(coords, Rotation.from_euler("y", -90, degrees=True))
    assert onto_pole.dec.max() > 89 * u.deg
    options = {"min_prominence": 1.5, "min_members": 3, "n_resamples": 3, "rng": seed, **LENGTHS}
    for search in (
        lambda c: find_groups(c, radius=0.2 * u.deg, n_resamples=3, rng=seed),
        lambda c: find_friends(c, z, **options),
    ):
        expected = search(coords)
        assert len(expected) > 4
        for other in (turned, onto_pole, coords.galactic):
            found = search(other)
            assert np.array_equal(found.labels, expected.labels)
            for name in ("n_on", "n_off", "peak", "n_members", "stability"):
                assert np.array_equal(found.table[name], expected.table[name], equal_nan=True)
            np.testing.assert_allclose(found.table["radius"], expected.table["radius"], rtol=1e-6)
    order = rng.permutation(len(coords))
    shuffled = find_groups(coords[order], radius=0.2 * u.deg, min_samples=1).labels
    plain = find_groups(coords, radius=0.2 * u.deg, min_samples=1).labels
    assert adjusted_rand_score(plain[order], shuffled) == 1


def test_counts_in_disc_and_ring_by_hand():
    galaxies = simulate_galaxies(8, n_field=600, radius=5 * u.deg, rng=3)
    coords, z = galaxies["coord"], np.asarray(galaxies["redshift"])
    radius = 0.25 * u.deg
    groups = find_groups(coords, radius=radius)
    friends = find_friends(coords, z, min_members=4, **LENGTHS)
    assert groups.table.meta["n_trials"] == len(coords)
    for found, by_redshift in ((groups, False), (friends, True)):
        assert len(found) > 4
        for row in found.table:
            away = coords.separation(coords[row["peak"]])
            size, slice_ = radius, np.ones(len(z), dtype=bool)
            if by_redshift:
                size = (0.8 * u.Mpc / Planck18.comoving_distance(z[row["peak"]])) * u.rad
                step = LIGHT * np.abs(z - z[row["peak"]]) / (1 + z[row["peak"]])
                slice_ = step <= 1000
            inner = max(away[found.labels == row["group"]].max(), size) + size
            outer = np.arccos(np.cos(inner) - 24 * (1 - np.cos(size)))
            assert row["n_on"] == np.sum((away <= size) & slice_) - 1
            off = np.sum((away > inner) & (away <= outer) & slice_)
            assert abs(row["n_off"] - off) <= by_redshift  # distance is interpolated there
            assert row["alpha"] == pytest.approx(1 / 24, rel=1e-4)
            assert row["significance_post_trial"] < row["significance"]


def test_an_even_sky_has_significant_groups_no_oftener_than_promised():
    rng = np.random.default_rng(6)
    n_skies, n_above = 120, 0
    for _ in range(n_skies):
        found = find_groups(draw_sky(rng, 1200), radius=2.5 * u.deg, min_samples=4)
        assert len(found) > 0
        n_above += np.nanmax(found.table["significance_post_trial"]) > 1.645
    # 5 % are allowed, and a search that never has one would be of no use
    assert binom.sf(n_above - 1, n_skies, 0.05) > 1e-3
    pre_trial = found.table["significance"].max()
    assert pre_trial > 2


def test_a_group_in_an_even_sky_is_significant_and_stable():
    rng = np.random.default_rng(7)
    field, centre = draw_sky(rng, 3000), SkyCoord(0 * u.deg, 89.8 * u.deg)
    members = centre.directional_offset_by(
        rng.uniform(0, 360, 40) * u.deg, rng.rayleigh(0.4, 40) * u.deg
    )
    coords = SkyCoord(np.r_[members.ra.deg, field.ra.deg], np.r_[members.dec.deg, field.dec.deg],
                      unit="deg")  # fmt: skip
    found = find_groups(coords, radius=0.8 * u.deg, min_samples=5, n_resamples=20, rng=1)
    first = found.table[0]
    assert first["n_members"] >= 38
    assert first["centre"].separation(centre) < 0.3 * u.deg
    assert first["significance_post_trial"] > 5
    assert first["stability"] == 1
    assert np.all((found.table["stability"] >= 0) & (found.table["stability"] <= 1))
    # a chain of five that need each other, five degrees away, is not
    chain = SkyCoord(np.arange(5) * 0.7, np.full(5, -80.0), unit="deg")
    apart = find_groups(SkyCoord([*chain, SkyCoord(0 * u.deg, 0 * u.deg)]), radius=0.4 * u.deg,
                        min_samples=5, n_resamples=40, drop=0.2, rng=1)  # fmt: skip
    assert apart.table["stability"][0] < 0.6


def test_randoms_mend_the_edge_of_a_field():
    rng = np.random.default_rng(8)
    ra, dec = rng.uniform(0, 10, 4000), rng.uniform(-5, 5, 4000)
    corner = np.hypot(ra - 0.05, dec + 4.95) < 1
    coords = SkyCoord(ra, dec, unit="deg")[corner]
    randoms = SkyCoord(rng.uniform(0, 10, 200_000), rng.uniform(-5, 5, 200_000), unit="deg")
    edge = {"radius": 0.15 * u.deg, "min_samples": 3}
    naive = find_groups(coords, **edge).table
    mended = find_groups(coords, randoms=randoms[randoms.separation(SkyCoord(
        0.05 * u.deg, -4.95 * u.deg)) < 1 * u.deg], **edge).table  # fmt: skip
    assert np.array_equal(naive["n_on"], mended["n_on"])
    assert np.nanmedian(mended["alpha"]) > 1.5 * np.nanmedian(naive["alpha"])


def test_rows_that_are_not_finite_are_in_no_group_and_counted():
    galaxies = simulate_galaxies(5, n_field=20, rng=9)
    coords, z = galaxies["coord"], np.array(galaxies["redshift"])
    ra, dec = coords.ra.deg.copy(), coords.dec.deg
    ra[[3, 10]], z[[10, 12]] = np.nan, np.nan
    holes = SkyCoord(ra, dec, unit="deg")
    left = np.isfinite(ra)
    sky = find_groups(holes, radius=0.3 * u.deg, n_resamples=2, rng=1)
    assert sky.n_dropped == 2
    assert np.all(sky.labels[~left] == -1)
    same = find_groups(holes[left], radius=0.3 * u.deg)
    assert np.array_equal(sky.labels[left], same.labels)
    left &= np.isfinite(z)
    friends = find_friends(holes, np.ma.masked_invalid(z), **LENGTHS)
    assert friends.n_dropped == 3
    assert np.array_equal(
        friends.labels[left], find_friends(holes[left], z[left], **LENGTHS).labels
    )
    assert np.all(np.isin(friends.table["peak"], np.flatnonzero(left)))
    assert "3 dropped" in str(friends)


def test_nothing_to_find_gives_a_table_without_rows():
    none = SkyCoord(np.zeros(0), np.zeros(0), unit="deg")
    hole = SkyCoord([np.nan], [np.nan], unit="deg")
    for coords in (none, hole, SkyCoord([10.0], [20.0], unit="deg")):
        sky = find_groups(coords, radius=1 * u.deg, n_resamples=2, rng=1)
        friends = find_friends(coords, np.full(len(coords), 0.1), n_resamples=2, rng=1, **LENGTHS)
        for found in (sky, friends):
            assert len(found) == 0
            assert np.all(found.labels == -1)
            assert "centre" in found.table.colnames
            assert str(found).startswith("0 groups with 0 of")
            json.dumps(found.to_dict())


def test_two_cores_that_touch_are_cut_apart_and_one_that_is_lumpy_is_not():
    rng = np.random.default_rng(10)

    def blob(x, n):
        return np.column_stack([rng.normal(x, 0.25, n), rng.normal(0, 0.25, n)])

    lone, pair = blob(0, 300), np.concatenate([blob(-0.7, 200), blob(0.7, 150)])
    z = 0.03
    lengths = {"separation": 0.5 * u.Mpc, "velocity": 800 * u.km / u.s, "min_members": 10}
    for place, n in ((lone, 1), (pair, 2)):
        coords = SkyCoord(place[:, 0] % 360, place[:, 1], unit="deg")
        redshift = np.full(len(place), z)
        assert len(find_friends(coords, redshift, **lengths)) == 1
        cut = find_friends(coords, redshift, min_prominence=2.0, **lengths)
        assert len(cut) == n
        whole = find_friends(coords, redshift, min_prominence=1e9, **lengths)
        assert np.array_equal(whole.labels, find_friends(coords, redshift, **lengths).labels)
    truth = np.repeat([0, 1], [200, 150])
    assert adjusted_rand_score(truth, cut.labels) > 0.9


def test_groups_of_a_simulated_survey_are_found_with_what_is_known_of_them():
    galaxies = simulate_galaxies(
        25, n_field=1000, radius=8 * u.deg, redshift_min=0.02, redshift_max=0.06, richness_min=15,
        rng=11,
    )  # fmt: skip
    truth, z = np.asarray(galaxies["true_group"]), np.asarray(galaxies["redshift"])
    coords = galaxies["coord"]
    found = find_friends(
        coords, z, separation=0.8 * u.Mpc, velocity=1500 * u.km / u.s, min_prominence=2.0,
        min_members=5,
    )  # fmt: skip
    alone = -1 - np.arange(len(truth))
    with_z = adjusted_rand_score(
        np.where(truth < 0, alone, truth), np.where(found.labels < 0, alone, found.labels)
    )
    assert with_z > 0.9
    ratios = []
    for row in found.table[:12]:
        match = truth[found.labels == row["group"]]
        true = galaxies[truth == np.bincount(match[match >= 0]).argmax()]
        assert row["redshift"] == pytest.approx(true["true_redshift"][0], abs=0.002)
        distance = Planck18.comoving_distance(row["redshift"]).to_value("Mpc")
        assert row["distance"].to_value("Mpc") == pytest.approx(distance, rel=1e-4)
        ratios.append((row["velocity_dispersion"] / true["true_dispersion"][0]).to_value(""))
    assert np.median(ratios) == pytest.approx(1, abs=0.12)
    assert np.all(found.table["significance_post_trial"][:12] > 5)


def test_the_answer_is_plain_numbers_too():
    galaxies = simulate_galaxies(4, n_field=300, radius=3 * u.deg, rng=12)
    found = find_friends(galaxies["coord"], galaxies["redshift"], n_resamples=2, rng=1, **LENGTHS)
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["labels"] == found.labels.tolist()
    assert plain["groups"]["n_members"] == found.table["n_members"].tolist()
    assert plain["velocity"] == "1000.0 km / s"
    pairs = np.asarray(found.table["n_members"]) < 3
    assert pairs.any()
    assert plain["groups"]["velocity_dispersion"][np.flatnonzero(pairs)[0]] is None
    again = find_friends(galaxies["coord"], galaxies["redshift"], n_resamples=2, rng=1, **LENGTHS)
    assert again.to_dict() == found.to_dict()


@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="set ASTROML_KIT_DATA to a folder with hecate in it")
def test_virgo_is_whole_and_two_clusters_side_by_side_are_two():
    from astroml_kit.catalogs import read_catalog
    from astroml_kit.datasets import fetch_dataset

    table = read_catalog(fetch_dataset("hecate") / "Clusteringdata.csv")
    name = np.asarray(table["TrueLabels"])
    found = find_friends(
        table["coord"], table["Redshift"], separation=0.8 * u.Mpc, velocity=2500 * u.km / u.s,
        min_angle=0.45 * u.deg, min_prominence=1.4,
    )  # fmt: skip
    one, two = (np.bincount(found.labels[name == f"ABELL {n}"] + 1).argmax() for n in (2197, 2199))
    assert one != two
    virgo = name == "EVC01"
    best = np.bincount(found.labels[virgo] + 1)[1:].argmax()
    assert np.mean(found.labels[virgo] == best) > 0.9
    assert np.mean(virgo[found.labels == best]) > 0.9


ONE = SkyCoord([10.0, 10.1], [20.0, 20.0], unit="deg")
GOOD = {"separation": 1 * u.Mpc, "velocity": 500 * u.km / u.s}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: find_groups([1, 2], radius=1 * u.deg), "coords must be a SkyCoord"),
        (lambda: find_groups(ONE, radius=0 * u.deg), r"radius \[deg\] must be .*> 0"),
        (lambda: find_groups(ONE, radius=2), "radius must be an angle"),
        (lambda: find_groups(ONE, radius=np.nan * u.deg), r"radius \[deg\] must be"),
        (lambda: find_groups(ONE, radius=1 * u.deg, min_samples=0), "min_samples must be .*>= 1"),
        (lambda: find_groups(ONE, radius=1 * u.deg, n_resamples=-1), "n_resamples must be"),
        (lambda: find_groups(ONE, radius=1 * u.deg, drop=1), "drop must be .*< 1"),
        (lambda: find_groups(ONE, radius=1 * u.deg, randoms=[1]), "randoms must be a SkyCoord"),
        (lambda: find_friends(ONE, [0.1], **GOOD), "redshift must be one for each of the 2"),
        (lambda: find_friends(ONE, [0.1, -0.5], **GOOD), "redshift must be .*>= -0.01"),
        (lambda: find_friends(ONE, [3000, 6000], **GOOD), "Velocities in km/s are divided"),
        (lambda: find_friends(ONE, [0.1] * 2, **{**GOOD, "separation": 0 * u.Mpc}), "separation"),
        (lambda: find_friends(ONE, [0.1] * 2, **{**GOOD, "separation": 1}), "a quantity in a unit"),
        (lambda: find_friends(ONE, [0.1] * 2, **{**GOOD, "velocity": 1 * u.Mpc}), "like km/s"),
        (lambda: find_friends(ONE, [0.1] * 2, min_angle=-1 * u.deg, **GOOD), r"min_angle \[rad\]"),
        (lambda: find_friends(ONE, [0.1] * 2, redshift_floor=0, **GOOD), "redshift_floor must be"),
        (lambda: find_friends(ONE, [0.1] * 2, scaling=[1, 0], **GOOD), "scaling must be .*> 0"),
        (lambda: find_friends(ONE, [0.1] * 2, scaling=[1], **GOOD), "one factor for each of 2"),
        (lambda: find_friends(ONE, [0.1] * 2, smoothing=0, **GOOD), "smoothing must be .*> 0"),
        (lambda: find_friends(ONE, [0.1] * 2, min_prominence=-1, **GOOD), "min_prominence must be"),
        (lambda: find_friends(ONE, [0.1] * 2, min_members=0, **GOOD), "min_members must be"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
