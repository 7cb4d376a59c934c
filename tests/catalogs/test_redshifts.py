"""Redshifts, and what is said of their errors, against closed forms and the simulated truth."""

import os
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from astroml_kit.catalogs import (
    RedshiftEstimator,
    evaluate_redshifts,
    extract_photometry,
    simulate_photometry,
)
from astroml_kit.catalogs.redshifts import choose_points
from astroml_kit.models import (
    BDTRegressor,
    CalibratedRegressor,
    Mixture,
    MixtureDensityRegressor,
    ModelFileError,
    save_model,
)

DATA = os.environ.get("ASTROML_KIT_DATA")
needs_sdss = pytest.mark.skipif(
    not DATA or not (Path(DATA) / "sdss-photoz").is_dir(),
    reason="needs sdss-photoz: astroml-kit datasets fetch sdss-photoz",
)
NET = {"hidden_layers": (48, 48), "batch_size": 128, "max_epochs": 20, "learning_rate": 5e-3,
       "schedule": "cosine", "early_stopping": False, "scaling": "standard",
       "precision": "float32"}  # fmt: skip


def make_model(n_splits=2):
    return CalibratedRegressor(MixtureDensityRegressor(**NET), n_splits=n_splits, band_column=2,
                               n_bands=2, random_state=1)  # fmt: skip


@pytest.fixture(scope="module")
def galaxies():
    return simulate_photometry(3500, shares={"galaxy": 1}, magnitude_max=19.5, rng=1)


@pytest.fixture(scope="module")
def estimator(galaxies):
    options = {"errors": "{}_err"}
    return RedshiftEstimator(make_model(), photometry=options).fit(
        galaxies[:2000], redshift="true_redshift"
    )


# The estimator


def test_redshifts_are_found_and_intervals_hold(estimator, galaxies):
    test = galaxies[2000:]
    z = np.asarray(test["true_redshift"])
    found = estimator.predict(test)
    levels = np.linspace(0.01, 0.99, 49)
    result = evaluate_redshifts(
        z, found["redshift"], intervals=np.column_stack([found["lower"], found["upper"]]),
        pit=estimator.predict_cdf(test, z), quantiles=estimator.predict_quantiles(test, levels),
        levels=levels, magnitude=test["r"],
    )  # fmt: skip
    blind = evaluate_redshifts(z, np.full(len(z), np.median(z)))
    assert result.sigma_nmad < 0.4 * blind.sigma_nmad
    assert result.coverage == pytest.approx(0.9, abs=0.03)
    assert result.by_magnitude["coverage"].min() > 0.84
    assert result.pit_distance < 0.05
    # odds are the probability to be right
    right = np.abs(found["redshift"] - z) / (1 + z) < 0.05
    assert np.mean(found["odds"]) == pytest.approx(right.mean(), abs=0.04)
    sure = found["odds"] > np.median(found["odds"])
    assert right[sure].mean() > right[~sure].mean() + 0.03
    assert "1 + z" not in str(result)
    assert "intervals hold" in str(result)


def test_missing_bands_widen_what_is_said(estimator, galaxies):
    seen = np.all([np.isfinite(galaxies[band]) for band in "ugriz"], axis=0)
    rows = galaxies[2000:][seen[2000:]][:300]
    blind = rows.copy()
    for name in ("u", "u_err"):
        blind[name] = np.nan * u.mag
    whole, part = estimator.predict(rows), estimator.predict(blind)
    assert np.all(np.isfinite(part["redshift"]))
    assert np.median(part["upper"] - part["lower"]) > np.median(whole["upper"] - whole["lower"])


def test_densities_integrate_to_the_levels(estimator, galaxies):
    few = galaxies[2000:2005]
    grid = np.linspace(-0.3, 3, 6001)
    density = estimator.predict_pdf(few, grid)
    assert density.shape == (5, 6001)
    np.testing.assert_allclose(np.trapezoid(density, grid, axis=1), 1, atol=0.03)
    below = grid < 0.3
    mass = np.trapezoid(density[:, below], grid[below], axis=1)
    np.testing.assert_allclose(mass, estimator.predict_cdf(few, np.full(5, 0.3)), atol=0.03)


def test_saved_it_says_the_same(estimator, galaxies, tmp_path):
    again = RedshiftEstimator.load(estimator.save(tmp_path / "z.model", metrics={"nmad": 0.02}))
    for name in ("redshift", "lower", "upper", "odds"):
        np.testing.assert_array_equal(
            again.predict(galaxies[:50])[name], estimator.predict(galaxies[:50])[name]
        )
    assert str(again) == str(estimator)
    save_model(estimator.model_, tmp_path / "plain.model")
    with pytest.raises(ModelFileError, match="settings of an estimator of redshifts"):
        RedshiftEstimator.load(tmp_path / "plain.model")


def test_models_without_distributions_give_redshifts_alone(galaxies):
    trees = RedshiftEstimator(BDTRegressor(loss="absolute_error", n_estimators=60, random_state=1))
    found = trees.fit(galaxies[:2000], redshift="true_redshift").predict(galaxies[2000:])
    result = evaluate_redshifts(galaxies["true_redshift"][2000:], found["redshift"])
    assert result.sigma_nmad < 0.06
    assert np.isnan(found["lower"]).all()
    assert np.isnan(found["odds"]).all()
    with pytest.raises(ValueError, match="model must say distributions"):
        trees.predict_quantiles(galaxies[:5], [0.5])
    assert len(trees.predict(galaxies[:0])) == 0


def test_the_usual_model_is_calibrated_by_the_magnitude_asked_for(galaxies):
    samples = extract_photometry(galaxies)
    model = RedshiftEstimator(magnitude="i", random_state=1)._make_model(samples)
    assert (model.band_column, model.n_bands, model.n_splits) == (3, 5, 3)
    with pytest.raises(ValueError, match="magnitude must be one of"):
        RedshiftEstimator(magnitude="y")._make_model(samples)


@pytest.mark.parametrize(
    ("z", "message"),
    [([0.1, -1.5], "redshift must be"), ([0.1, np.nan], "redshift must be known"),
     ([0.1, 0.1], "redshift must be of different values")],
)  # fmt: skip
def test_bad_training_redshifts_are_named(z, message):
    table = Table({band: [20.0, 19.0] for band in "ugriz"} | {"redshift": z})
    with pytest.raises(ValueError, match=message):
        RedshiftEstimator().fit(table)
    with pytest.raises(ValueError, match="must be fitted"):
        RedshiftEstimator().predict(table)


def test_the_point_stays_on_a_peak():
    two = Mixture(np.array([[0.55, 0.45]]), np.array([[0.1, 0.3]]), np.array([[0.02, 0.02]]))
    closest, median = choose_points(two, point="closest"), choose_points(two, point="median")
    assert closest[0] == pytest.approx(0.1, abs=0.006)
    assert 0.11 < median[0] < 0.2
    one = Mixture(np.ones((1, 1)), np.array([[0.2]]), np.array([[0.02]]))
    assert choose_points(one, point="closest")[0] == pytest.approx(0.2, abs=0.004)


@needs_sdss
@pytest.mark.data
def test_sdss_galaxies_are_found_better_than_by_trees():
    rows = np.load(Path(DATA) / "sdss-photoz" / "sdss_galaxy_colors.npy")
    rows = rows[rows["spec_class"] == b"GALAXY"]
    assert len(rows) == 41_475
    table = Table({name: rows[name] for name in ("u", "g", "r", "i", "z", "redshift")})
    table = table[np.random.default_rng(1).permutation(len(table))[:9000]]
    train, test = table[:6000], table[6000:]
    scatter = {}
    for name, model in {
        "network": make_model(), "trees": BDTRegressor(loss="absolute_error", random_state=1)
    }.items():  # fmt: skip
        found = RedshiftEstimator(model).fit(train).predict(test)
        scatter[name] = evaluate_redshifts(test["redshift"], found["redshift"]).sigma_nmad
    assert scatter["network"] < 0.0185
    assert scatter["network"] < scatter["trees"] < 0.021


# The evaluation


def test_measures_by_hand():
    z = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    estimate = np.array([0.0, 0.01, -0.02, 1.2, 1.6])
    result = evaluate_redshifts(
        z, estimate, intervals=np.column_stack([estimate - 0.1, estimate + 0.3]), n_bins=2,
        magnitude=[15, 16, np.nan, 17, 18] * u.mag,
    )  # fmt: skip
    # dz: 0, 0.01, -0.02, 0.1, 0.3; median 0.01, deviations 0.01, 0, 0.03, 0.09, 0.29
    assert result.bias == pytest.approx(0.01)
    assert result.sigma_nmad == pytest.approx(1.4826 * 0.03)
    assert (result.outliers_05, result.outliers_15) == (0.4, 0.2)
    assert result.coverage == pytest.approx(3 / 5)
    assert result.width == pytest.approx(0.4)
    assert result.by_magnitude["n"].tolist() == [2, 2]
    assert result.by_magnitude["coverage"].tolist() == [1, 0]
    assert np.isnan(result.crps)
    plain = result.to_dict()
    assert plain["crps"] is None
    assert plain["by_magnitude"]["n"] == [2, 2]


def test_crps_and_pit_of_a_normal_distribution():
    """The CRPS of a standard normal at x: x (2 F - 1) + 2 f - 1 / sqrt(pi) (Gneiting 2007)."""
    z = np.random.default_rng(1).normal(size=3000) * 0.01
    levels = (np.arange(400) + 0.5) / 400
    quantiles = np.tile(stats.norm.ppf(levels) * 0.01, (len(z), 1))
    result = evaluate_redshifts(z, np.zeros(len(z)), quantiles=quantiles, levels=levels)
    x = z / 0.01
    right = x * (2 * stats.norm.cdf(x) - 1) + 2 * stats.norm.pdf(x) - 1 / np.sqrt(np.pi)
    assert result.crps == pytest.approx(0.01 * right.mean(), rel=2e-3)
    given = evaluate_redshifts(z, np.zeros(len(z)), pit=stats.norm.cdf(x))
    assert result.pit_distance == pytest.approx(given.pit_distance, abs=3e-3)
    assert given.pit_distance == pytest.approx(
        stats.kstest(stats.norm.cdf(x), "uniform").statistic, abs=1e-12
    )
    assert given.pit_counts.sum() == 3000
    narrow = evaluate_redshifts(z, np.zeros(len(z)), pit=stats.norm.cdf(3 * x))
    assert narrow.pit_distance > 3 * narrow.pit_noise > 3 * given.pit_distance / 2
    assert narrow.pit_deviation > 1 > given.pit_deviation


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-0.2, 0.2))
def test_scatter_does_not_see_a_bias_nor_an_order(seed, shift):
    rng = np.random.default_rng(seed)
    z = rng.uniform(0, 1, 60)
    dz = rng.normal(0, 0.03, 60)
    one = evaluate_redshifts(z, z + dz * (1 + z))
    order = rng.permutation(60)
    two = evaluate_redshifts(z[order], (z + (dz + shift) * (1 + z))[order])
    assert two.sigma_nmad == pytest.approx(one.sigma_nmad, abs=1e-12)
    assert two.bias == pytest.approx(one.bias + shift, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"z_pred": [0.1]}, "lengths must be equal"),
        ({"z_true": [-1.0, 0.2]}, "z_true must be"),
        ({"z_pred": [np.nan, 0.2]}, "z_pred must be"),
        ({"intervals": [[0.2, 0.1], [0, 1]]}, "intervals must be ascending"),
        ({"intervals": [[0.2, np.nan], [0, 1]]}, "intervals must be"),
        ({"pit": [0.5, 1.5]}, "pit must be"),
        ({"quantiles": [[0, 1], [0, 1]]}, "levels must be given"),
        ({"quantiles": [[1, 0], [0, 1]], "levels": [0.2, 0.8]}, "levels must be ascending"),
        ({"quantiles": [[0, 1], [0, 1]], "levels": [0.2, 0.5, 0.8]}, "quantiles must be of shape"),
        ({"n_bins": 0}, "n_bins must be"),
        ({"nominal": 1}, "nominal must be"),
    ],
)
def test_bad_input_is_named(options, message):
    arguments = {"z_true": [0.1, 0.2], "z_pred": [0.1, 0.2]} | options
    with pytest.raises(ValueError, match=message):
        evaluate_redshifts(**arguments)


def test_fluxes_and_their_softening_go_through(tmp_path):
    magnitudes = simulate_photometry(400, shares={"galaxy": 1}, magnitude_max=18, missing=0, rng=4)
    table = QTable({"redshift": np.asarray(magnitudes["true_redshift"])})
    for band in "ugriz":
        flux = 3631 * 10 ** (-0.4 * np.nan_to_num(magnitudes[band].value, nan=25.0)) * u.Jy
        table[band], table[f"e_{band}"] = flux, 0.02 * flux
    model = CalibratedRegressor(MixtureDensityRegressor(**(NET | {"max_epochs": 2})), n_splits=2)
    photometry = {"kind": "asinh", "errors": "e_{}"}
    estimator = RedshiftEstimator(model, photometry=photometry).fit(table)
    again = RedshiftEstimator.load(estimator.save(tmp_path / "z.model"))
    one, two = estimator.predict(table[:10]), again.predict(table[:10])
    np.testing.assert_array_equal(one["redshift"], two["redshift"])
    whole = estimator.predict(table)["redshift"][:10]
    np.testing.assert_allclose(one["redshift"], whole, rtol=1e-4)
