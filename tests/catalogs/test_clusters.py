"""Open clusters: found where they are, members as likely as said, none where there is none."""

import json
import os

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable
from scipy.stats import multivariate_normal

from astroml_kit.catalogs import find_cluster, read_catalog, simulate_open_cluster
from astroml_kit.catalogs._astrometry import expect_errors, read_astrometry
from astroml_kit.catalogs._cluster_mixture import (
    _invert,
    _log_profile,
    limit_cluster,
    measure_gaussian,
    widen,
)

DATA = os.environ.get("ASTROML_KIT_DATA")
FIELD = {"n_field": 400, "radius": 0.35 * u.deg, "magnitude_limit": 18.0}


@pytest.fixture(scope="module")
def stars():
    return simulate_open_cluster(90, rng=4, **FIELD)


@pytest.fixture(scope="module")
def cluster(stars):
    return find_cluster(stars)


def test_the_cluster_is_where_it_was_put(stars, cluster):
    truth = stars.meta["cluster"]
    for name in ("pmra", "pmdec", "parallax"):
        error = getattr(cluster, f"{name}_error")
        assert 0 < error.value < 0.05
        assert abs(getattr(cluster, name) - truth[name]) < 4 * error
    middle = SkyCoord(120 * u.deg, -3 * u.deg, frame="galactic")
    assert cluster.centre.separation(middle) < 4 * cluster.centre_error
    assert abs(cluster.radius - truth["half_radius"]) < 4 * cluster.radius_error
    speed = 0.7 / 4.7405  # km/s at 1 kpc
    assert cluster.dispersion.value == pytest.approx(speed, rel=0.3)
    assert cluster.significance > 5
    assert cluster.p_value < 1e-6


def test_members_are_the_true_ones(stars, cluster):
    used = np.isfinite(cluster.membership)
    truth = np.asarray(stars["true_member"])
    assert cluster.n_used == used.sum()
    assert cluster.n_members == pytest.approx(cluster.membership[used].sum())
    assert abs(cluster.n_members - truth[used].sum()) < 4 * max(cluster.n_members_error, 1)
    assert np.mean((cluster.membership > 0.5)[used] == truth[used]) > 0.98
    assert cluster.membership[used].min() >= 0
    assert cluster.membership[used].max() <= 1
    assert len(cluster.members) == np.sum(cluster.membership[used] > 0.5)
    assert cluster.table["source_id"].tolist() == stars["source_id"].tolist()


def test_probabilities_are_calibrated():
    """Crowded fields, in which many stars are in doubt: promised and true numbers agree."""
    share, truth = [], []
    for seed in range(3):
        stars = simulate_open_cluster(
            80, n_field=700, radius=0.14 * u.deg, distance=2.5 * u.kpc, magnitude_limit=18.0,
            dispersion=1.0 * u.km / u.s, rng=50 + seed,
        )  # fmt: skip
        found = find_cluster(stars)
        used = np.isfinite(found.membership)
        share.append(found.membership[used])
        truth.append(np.asarray(stars["true_member"])[used])
    p, y = np.concatenate(share), np.concatenate(truth)
    doubt = (p > 0.05) & (p < 0.95)
    assert doubt.sum() > 25
    for rows in (doubt, doubt & (p < 0.5), doubt & (p >= 0.5)):
        # four standard deviations, with a tenth for what the mixture itself does not know
        noise = np.sqrt(np.sum(p[rows] * (1 - p[rows])))
        assert abs(p[rows].sum() - y[rows].sum()) < 4 * noise + 0.1 * rows.sum()
    assert abs(p.sum() - y.sum()) < 0.1 * y.sum()


def test_fields_without_a_cluster_have_none():
    for seed in range(3):
        stars = simulate_open_cluster(0, rng=300 + seed, **FIELD)
        found = find_cluster(stars)
        assert not found.found
        assert found.p_value > 0.01
        assert found.n_members == 0
        assert np.nansum(found.membership) == 0
        assert len(found.members) == 0
        assert str(found).startswith("no cluster among")
        json.dumps(found.to_dict())


def test_a_level_of_one_shows_the_likeliest_place():
    stars = simulate_open_cluster(0, rng=311, **FIELD)
    strict, loose = find_cluster(stars), find_cluster(stars, level=1.0)
    assert not strict.found
    assert loose.p_value == strict.p_value
    if np.isfinite(loose.pmra):
        assert loose.n_members >= 5 - 1e-6
    else:
        assert loose.n_members == 0


def test_neither_units_nor_the_origin_matter(stars, cluster):
    """On both sides of 0 in right ascension, and in other units, the members are the same."""
    turned = stars.copy()
    turned["coord"] = SkyCoord((turned["coord"].ra.deg - 7.1) % 360 * u.deg, turned["coord"].dec)
    turned["pmra"] = turned["pmra"].to(u.arcsec / u.yr)
    turned["parallax"] = turned["parallax"].to(u.uas)
    assert turned["coord"].ra.deg.max() > 359  # the field has 0 in its middle
    found = find_cluster(turned)
    np.testing.assert_allclose(found.membership, cluster.membership, atol=1e-3)
    assert found.centre.dec.deg == pytest.approx(cluster.centre.dec.deg, abs=1e-3)
    assert find_cluster(stars).to_dict() == cluster.to_dict()


def test_a_field_with_corners_is_no_circle(stars):
    place = stars["coord"]
    corner = place.ra.deg > np.median(place.ra.deg)
    corner |= place.dec.deg > np.median(place.dec.deg)
    whole, part = (read_astrometry(table, columns=None, magnitude_max=18.0)
                   for table in (stars, stars[corner]))  # fmt: skip
    assert whole.area == pytest.approx(np.pi * 0.35**2, rel=0.1)
    assert part.area == pytest.approx(0.75 * whole.area, rel=0.1)


def test_what_cannot_be_used_is_counted(stars, cluster):
    table = QTable(stars, copy=True)
    table["pmra"][:3] = np.nan * u.mas / u.yr
    table["phot_g_mean_mag"][3] = np.nan
    table["parallax_error"][4] = np.nan * u.mas
    table["phot_g_mean_mag"][5:7] = 19.0
    found = find_cluster(table)
    assert (found.n_incomplete, found.n_faint) == (5, 2 + cluster.n_faint)
    assert np.isnan(found.membership[:7]).all()
    assert found.n_used == cluster.n_used - 7 + int(np.isnan(cluster.membership[:7]).sum())
    assert read_astrometry(table, columns=None, magnitude_max=None).n_faint == 0


def test_without_errors_they_come_from_g(stars, cluster):
    names = [name for name in stars.colnames if name.endswith(("error", "corr"))]
    bare = stars.copy()
    bare.remove_columns(names)
    bare["bp_rp"] = MaskedColumn(np.ones(len(bare)))
    found = find_cluster(bare)
    assert (cluster.errors, found.errors) == ("given", "from G")
    assert cluster.error_factor == 1
    assert found.error_factor == pytest.approx(1, abs=0.15)
    assert found.n_members == pytest.approx(cluster.n_members, rel=0.1)
    assert abs(found.parallax - cluster.parallax) < 0.01 * u.mas


def test_errors_of_gaia():
    """Medians of DR3 at G = 15, 17, 18 are 0.03, 0.07, 0.12 mas (Lindegren et al. 2021, table 4).

    The formula is that of the sky as a whole with a margin.
    """
    sigma = expect_errors(np.array([9.0, 13.0, 15.0, 17.0, 18.0]))
    ratio = sigma[2:, 2] / [0.03, 0.07, 0.12]
    assert np.all((ratio > 0.9) & (ratio < 1.4))
    np.testing.assert_array_equal(sigma[0], sigma[1])


def test_the_zero_point_is_taken_from_every_parallax(stars, cluster):
    moved = find_cluster(stars, zero_point=-0.04 * u.mas)
    assert (moved.parallax - cluster.parallax).to_value("mas") == pytest.approx(0.04, abs=2e-3)
    assert stars["parallax"].unit == u.mas


@pytest.mark.parametrize("method", ["hdbscan", "gmm", "dbscan", "kmeans", "hierarchical"])
def test_other_methods_give_the_same_kind_of_answer(stars, method):
    found = find_cluster(stars, method=method)
    assert found.method == method
    assert np.isnan(found.significance)
    assert found.n_members == pytest.approx(np.nansum(found.membership))
    json.dumps(found.to_dict())
    if method == "hdbscan":
        assert abs(found.parallax - stars.meta["cluster"]["parallax"]) < 0.03 * u.mas
        none = find_cluster(stars, method=method, min_cluster_size=400)
        assert not none.found
        assert "no place" in str(none)


def test_numbers_of_the_mixture():
    rng = np.random.default_rng(2)
    root = rng.normal(size=(4, 3, 3))
    matrix = root @ root.transpose(0, 2, 1) + np.eye(3)
    inverse, determinant = _invert(matrix)
    np.testing.assert_allclose(inverse, np.linalg.inv(matrix), rtol=1e-10)
    np.testing.assert_allclose(determinant, np.linalg.det(matrix))
    offset = rng.normal(size=(4, 3))
    expected = [multivariate_normal(np.zeros(3), m).pdf(o) for m, o in
                zip(matrix, offset, strict=True)]  # fmt: skip
    np.testing.assert_allclose(measure_gaussian(offset, matrix)[0], expected)
    wide = widen(np.diag([1e-4, 4.0, 1e-6]))
    np.testing.assert_allclose(np.sqrt(np.diag(wide)), [0.4, 2.0, 0.06])
    spreads, (low, high) = limit_cluster(1.0)
    assert spreads[1, 0] == pytest.approx(1.5 / 4.7405, rel=1e-3)
    assert np.radians(low) * 1000 == pytest.approx(0.5)
    assert np.radians(high) * 1000 == pytest.approx(15)


def test_the_profile_is_one_star_in_the_field(stars):
    used = read_astrometry(stars, columns=None, magnitude_max=18.0)
    for centre, scale in ((np.zeros(2), 0.1), (np.array([0.3, 0.2]), 0.5)):
        density = np.exp(_log_profile(used.grid, used, centre, scale))
        assert density.sum() * used.cell == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda t: t.remove_column("pmra"), {}, r"lacks the columns \['pmra'\]"),
        (lambda t: t.remove_column("phot_g_mean_mag"), {}, "lacks the columns"),
        (lambda t: t.remove_column("pmra_error"), {}, r"lacks the columns \['pmra_error'\]"),
        (lambda t: t.remove_columns(["coord", "ra"]), {}, r"lacks the columns \['ra'\]"),
        (lambda t: t.replace_column("pmra", ["x"] * len(t)), {}, "pmra must be a column of num"),
        (lambda t: t.replace_column("pmra_error", -t["pmra_error"]), {}, "errors must be finite"),
        (lambda t: t.remove_rows(slice(40, None)), {}, "at least 50 with motion"),
        (lambda t: None, {"magnitude_max": 5.0}, "at least 50 with motion"),
        (lambda t: None, {"level": 0.0}, "level must be"),
        (lambda t: None, {"method": "magic"}, "method must be one of"),
        (lambda t: None, {"eps": 1.0}, "options must be none"),
    ],
)
def test_mistakes_are_named(stars, change, options, message):
    table = QTable(stars, copy=True)
    change(table)
    with pytest.raises(ValueError, match=message):
        find_cluster(table, **options)


def test_only_tables_are_taken():
    with pytest.raises(ValueError, match="stars must be an astropy table"):
        find_cluster([1, 2, 3])


@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="ASTROML_KIT_DATA names no folder of data sets")
def test_half_of_ngc_2477_in_gaia():
    """HDBSCAN has -2.429, 0.898 mas/yr and 0.690 mas."""
    stars = read_catalog(os.path.join(DATA, "gaia-open-clusters", "NGC2477.csv"))
    found = find_cluster(stars[::2])
    assert found.errors == "from G"
    assert np.hypot(found.pmra.value + 2.429, found.pmdec.value - 0.898) < 0.03
    assert abs(found.parallax.value - 0.690) < 0.01
    assert 350 < found.n_members < 500
    assert found.significance > 20
