"""Features keep what is missing apart from what is faint; the simulated sky looks like a sky."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Column, MaskedColumn, QTable, Table

from astroml_kit.catalogs import extract_photometry, simulate_photometry


@pytest.fixture(scope="module")
def survey():
    return simulate_photometry(6000, rng=1)


# Features


def test_magnitudes_colours_and_errors_have_names():
    values = {"g": [20.0, 19.0], "r": [19.5, 18.0], "i": [19.0, 17.5],
              "g_err": [0.1, 0.01], "r_err": [0.1, 0.01], "i_err": [0.1, 0.0]}  # fmt: skip
    table = QTable({name: column * u.mag for name, column in values.items()})
    table["class"], table["field"] = ["star", "galaxy"], [3, 4]
    samples = extract_photometry(
        table, bands=("g", "r", "i"), errors="{}_err", colours="all", label="class", groups="field"
    )
    assert samples.feature_names == (
        "g", "r", "i", "g-r", "g-i", "r-i", "log_err_g", "log_err_r", "log_err_i",
    )  # fmt: skip
    np.testing.assert_allclose(samples.X[0], [20, 19.5, 19, 0.5, 1, 0.5, -1, -1, -1])
    np.testing.assert_allclose(samples.X[1, 6:], [-2, -2, np.nan])  # no error is an unknown one
    assert samples.y.tolist() == ["star", "galaxy"]
    assert samples.groups.tolist() == [3, 4]
    assert samples.meta["classes"] == ["galaxy", "star"]


def test_every_kind_of_missing_is_nan_and_counted():
    table = Table({
        "g": MaskedColumn([20.0, 20.0, 20.0, 20.0, 20.0], mask=[1, 0, 0, 0, 0]),
        "r": [19.0, np.nan, 99.0, -9999.0, np.inf],
    })  # fmt: skip
    samples = extract_photometry(table, bands=("g", "r"))
    assert samples.meta["n_missing"] == {"g": 1, "r": 4}
    known = [[False, True, False]] + [[True, False, False]] * 4
    np.testing.assert_array_equal(np.isfinite(samples.X), known)
    assert table["r"][2] == 99.0, "the table is as it was"


def test_fluxes_become_ab_magnitudes():
    jansky = Table({"g": Column([3631.0, 3631e-8, 0.0, -1.0], unit="Jy")})
    micro = Table({"g": Column(np.array([3631.0, 3631e-8, 0.0, -1.0]) * 1e6, unit="uJy")})
    for table in (jansky, micro):
        samples = extract_photometry(table, bands=("g",))
        np.testing.assert_allclose(samples.X[:, 0], [0, 20, np.nan, np.nan], atol=1e-9)
        assert samples.meta["n_missing"] == {"g": 2}


def test_asinh_magnitudes_of_the_paper():
    # Lupton, Gunn & Szalay 1999: SDSS r, b = 1.2e-10 of the flux at magnitude zero, whose asinh
    # magnitude at zero flux is 24.80 (table 21 of Stoughton et al. 2002, doi:10.1086/324741)
    zero = 3631 * u.Jy
    flux = [0.0, 1e-7, -1e-11] * zero
    table = QTable({"r": flux, "err": np.full(3, 1e-11) * zero})
    samples = extract_photometry(table, bands=("r",), errors={"r": "err"}, kind="asinh",
                                 softening={"r": 1.2e-10 * zero})  # fmt: skip
    np.testing.assert_allclose(samples.X[:2, 0], [24.80, 17.5], atol=0.003)
    assert samples.X[2, 0] > 24.80
    # the error of the magnitude is its slope times that of the flux
    step = QTable({"r": flux + 1e-14 * zero})
    moved = extract_photometry(step, bands=("r",), kind="asinh", softening={"r": 1.2e-10 * zero})
    slope = np.abs(moved.X[:, 0] - samples.X[:, 0]) / 1e-14
    np.testing.assert_allclose(10 ** samples.X[:, 1], slope * 1e-11, rtol=1e-3)


def test_the_softening_of_the_training_is_kept():
    rng = np.random.default_rng(1)
    train = QTable({"r": rng.normal(0, 1, 50) * u.uJy, "e": np.full(50, 0.5) * u.uJy})
    deep = QTable({"r": train["r"], "e": train["e"] / 10})
    one = extract_photometry(train, bands=("r",), errors=["e"], kind="asinh")
    assert one.meta["softening"] == {"r": pytest.approx(0.5e-6)}
    same = extract_photometry(deep, bands=("r",), errors=["e"], kind="asinh",
                              softening=one.meta["softening"])  # fmt: skip
    np.testing.assert_allclose(same.X[:, 0], one.X[:, 0], rtol=1e-12)
    own = extract_photometry(deep, bands=("r",), errors=["e"], kind="asinh")
    assert np.abs(own.X[:, 0] - one.X[:, 0]).max() > 0.1


GOOD = {"g": [20.0, 19.0], "r": [19.0, 18.5]}


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"bands": ("g", "y")}, r"lacks the columns \['y'\]"),
        ({}, {"bands": "gr"}, None),
        ({}, {"bands": ()}, "bands must be"),
        ({}, {"bands": ("g", "g")}, "bands must be different"),
        ({"r": ["a", "b"]}, {}, "r must be numbers"),
        ({"r": [19, 18] * u.km}, {}, "r must be in mag or a unit of flux"),
        ({}, {"kind": "asinh"}, "kind must be 'magnitude' for magnitudes"),
        ({}, {"errors": "err"}, "errors must be a pattern"),
        ({}, {"errors": {"x": "g"}}, "errors must be of the bands"),
        ({"e": [-0.1, 0.1]}, {"errors": {"g": "e"}}, "errors of g must be"),
        (
            {"e": [0.1, 0.1] * u.Jy},
            {"errors": {"g": "e"}},
            "errors of g must be in a unit like mag",
        ),
        ({"c": ["star", ""]}, {"label": "c"}, "c must be known for every source, got 1"),
        ({"c": [0.1, np.nan]}, {"label": "c"}, "c must be known for every source, got 1"),
        ({"g": [1, 2] * u.Jy}, {"kind": "asinh"}, "softening must be given for g"),
    ],
)
def test_malformed_tables_are_named(change, options, message):
    table = QTable(GOOD | change)
    options = {"bands": ("g", "r")} | options
    if message is None:  # the letters of a word are bands, too
        assert extract_photometry(table, **options).feature_names[:2] == ("g", "r")
        return
    with pytest.raises(ValueError, match=message):
        extract_photometry(table, **options)


# Simulation


def test_same_seed_same_sky(survey):
    again, other = simulate_photometry(6000, rng=1), simulate_photometry(6000, rng=2)
    for name in survey.colnames:
        np.testing.assert_array_equal(again[name], survey[name])
    assert np.any(other["true_r"] != survey["true_r"])


def test_shares_and_magnitudes_are_as_asked(survey):
    share = {c: np.mean(survey["true_class"] == c) for c in ("star", "galaxy", "qso")}
    assert share == pytest.approx({"star": 0.4, "galaxy": 0.55, "qso": 0.05}, abs=0.025)
    r = survey["true_r"].value
    assert r.min() >= 15
    assert r.max() <= 21
    # numbers grow by 10^0.3 per magnitude: two in three of 20 to 21 to those of 19 to 20
    ratio = np.sum(r > 20) / np.sum((r > 19) & (r < 20))
    assert ratio == pytest.approx(10**0.3, rel=0.15)
    assert np.all(survey["true_redshift"][survey["true_class"] == "star"] == 0)


def test_errors_are_those_of_the_scatter(survey):
    """In bright sources the noise of the r band is the difference from the truth."""
    seen = np.isfinite(survey["r"])
    pull = (survey["r"] - survey["true_r"])[seen] / survey["r_err"][seen]
    assert np.std(pull.value) == pytest.approx(1, abs=0.05)
    # 5 sigma at the depth: an error of 0.2 mag, in u where it is reached
    near = np.abs(survey["u"].value - 22.3) < 0.15
    assert np.median(survey["u_err"][near].value) == pytest.approx(0.217, abs=0.02)


def test_non_detections_and_gaps_are_counted(survey):
    for band in "ugriz":
        missing = np.isnan(survey[band])
        counted = survey.meta["n_below"][band] + survey.meta["n_not_covered"][band]
        assert missing.sum() == counted
        np.testing.assert_array_equal(missing, np.isnan(survey[f"{band}_err"]))
    assert survey.meta["n_not_covered"]["r"] == pytest.approx(120, abs=50)
    shallow = simulate_photometry(2000, depth={"u": 20.0}, missing=0, rng=1)
    deep = simulate_photometry(2000, depth={"u": 26.0}, missing=0, rng=1)
    assert deep.meta["n_below"]["u"] < 0.1 * shallow.meta["n_below"]["u"]
    assert deep.meta["n_not_covered"]["u"] == 0


def test_colours_follow_physics():
    """The 4000 Angstrom break moves through g and r; quasars are blue until Lyman alpha passes."""
    galaxies = simulate_photometry(4000, shares={"galaxy": 1}, missing=0, magnitude_max=19, rng=3)
    early = galaxies["true_type"] < 0.4
    z, colour = galaxies["true_redshift"], (galaxies["g"] - galaxies["r"]).value
    near, far = colour[early & (z < 0.1)], colour[early & (z > 0.33) & (z < 0.4)]
    assert np.median(far) > np.median(near) + 0.4
    quasars = simulate_photometry(4000, shares={"qso": 1}, missing=0, depth={"u": 27.0}, rng=3)
    z, colour = quasars["true_redshift"], (quasars["u"] - quasars["g"]).value
    assert np.nanmedian(colour[(z > 1) & (z < 2)]) < 0.4
    assert np.nanmedian(colour[(z > 3) & (z < 3.4)]) > 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_sources": 0}, "n_sources must be"),
        ({"n_sources": 2.5}, "n_sources must be a whole"),
        ({"shares": {"comet": 1}}, "shares must be of"),
        ({"shares": {"star": 0}}, "shares must be above zero"),
        ({"shares": {"star": -1}}, "shares must be"),
        ({"magnitude_min": 21, "magnitude_max": 20}, "magnitude_max must be"),
        ({"depth": {"y": 22}}, "depth must be of"),
        ({"missing": 1}, "missing must be"),
    ],
)
def test_bad_surveys_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        simulate_photometry(**options)
