"""Sources in toy fields: found where they are, with errors and trials that mean what they say."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from scipy.special import log_ndtr

from astroml_kit.cherenkov import find_sources, map_significance
from astroml_kit.cherenkov._map_positions import fit_gaussian, make_gaussian
from astroml_kit.cherenkov._map_toys import fit_trial_law
from astroml_kit.significance import (
    correct_significance,
    li_ma_significance,
    p_value_from_significance,
)

CENTRE = SkyCoord(0.03, 10.0, unit="deg")  # RA wraps inside the map


def make_runs(rng, *, sources=(), n_runs=4, n_events=8000, centre=CENTRE):
    """Runs with a Gaussian background and Gaussian sources (position, counts, width in deg)."""
    runs = []
    for number in range(n_runs):
        pointing = centre.directional_offset_by(90 * number * u.deg, 0.5 * u.deg)
        parts = [(pointing, n_events, 1.1), *((p, rng.poisson(n), w) for p, n, w in sources)]
        sky = [
            SkyCoord(*(rng.normal(0, w, (2, n)) * u.deg), frame=p.skyoffset_frame()).icrs
            for p, n, w in parts
        ]
        events = QTable(
            {
                "reco_ra": np.concatenate([s.ra.deg for s in sky]) * u.deg,
                "reco_dec": np.concatenate([s.dec.deg for s in sky]) * u.deg,
            }
        )
        runs.append(
            SimpleNamespace(
                obs_id=number,
                pointing=pointing,
                live_time=28 * u.min,
                zenith=20 * u.deg,
                events=events,
            )
        )
    return runs


def at(east, north):
    return CENTRE.spherical_offsets_by(east * u.deg, north * u.deg)


@pytest.fixture(scope="module")
def field():
    """Two sources half a degree apart, one of them across RA 0, and one extended."""
    sources = [(at(-0.2, 0.3), 120, 0.06), (at(0.3, 0.3), 70, 0.06), (at(0.1, -0.6), 200, 0.15)]
    runs = make_runs(np.random.default_rng(1), sources=sources)
    return sources, map_significance(runs, center=CENTRE, width=2.4 * u.deg)


def test_sources_are_found_where_they_are(field):
    sources, result = field
    table = find_sources(result, n_toys=60)
    assert len(table) == 3
    assert (np.diff(table["significance"]) <= 0).all()
    found = SkyCoord(table["ra"], table["dec"])
    for position, _, width in sources:
        k = found.separation(position).argmin()
        row = table[k]
        east, north = position.spherical_offsets_to(found[k])
        assert abs(east) < 4 * row["ra_error"] < 0.1 * u.deg
        assert abs(north) < 4 * row["dec_error"] < 0.1 * u.deg
        assert row["width"].to_value("deg") == pytest.approx(
            width, abs=4 * row["width_error"].to_value("deg")
        )
    assert table.meta["n_unfitted"] == 0
    assert table["ra"].unit == u.deg
    assert table["ra_error"].info.description


def test_numbers_of_a_row_belong_together(field):
    _, result = field
    table = find_sources(result, n_toys=60)
    first = table[0]
    assert first["neighbours"] == 0
    counts = result.get_counts(SkyCoord(first["peak_ra"], first["peak_dec"]))
    assert (first["n_on"], first["n_off"]) == (counts.n_on, counts.n_off)
    assert first["significance"] == pytest.approx(result.peak[0])
    for row in table:
        assert row["excess"] == pytest.approx(
            row["n_on"] - row["alpha"] * row["n_off"] - row["neighbours"]
        )
        alpha = row["alpha"] + row["neighbours"] / row["n_off"]
        redone = li_ma_significance(row["n_on"], row["n_off"], alpha=alpha)
        assert row["significance"] == pytest.approx(redone)
        assert row["p_value"] == pytest.approx(p_value_from_significance(row["significance"]))
        assert row["significance_post_trial"] == pytest.approx(
            correct_significance(row["significance"], row["n_trials_effective"])
        )
        assert row["significance_post_trial"] < row["significance"]


def test_an_empty_field_has_no_rows():
    runs = make_runs(np.random.default_rng(2))
    result = map_significance(runs, center=CENTRE, width=2 * u.deg)
    table = find_sources(result, n_toys=60)
    assert len(table) == 0
    assert table["ra"].unit == u.deg
    assert {"dec_error", "n_trials_effective", "significance_post_trial"} < set(table.colnames)
    # the same seed, the same trials
    assert table.meta["trials"] == find_sources(result, n_toys=60).meta["trials"]


@pytest.mark.parametrize("background", ["ring", "reflected"])
def test_toys_are_like_fields(background):
    """The law from toys of one field tells how large the maxima of other empty fields are."""
    options = {"center": CENTRE, "width": 1.2 * u.deg, "background": background, "threshold": None}
    maxima = []
    for seed in range(30):
        runs = make_runs(np.random.default_rng(seed), n_events=3000)
        result = map_significance(runs, **options)
        maxima.append(np.nanmax(result.significance))
    trials = find_sources(result, n_toys=80).meta["trials"]
    # the probability of a smaller maximum must be uniform: its mean is 1/2 +- 1/sqrt(12 n)
    z = np.array(maxima)
    n = trials["n_pivot"] * (z / trials["pivot"]) ** trials["exponent"]
    shares = np.exp(n * log_ndtr(z))
    assert shares.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * len(z)))


def test_trial_law_recovers_independent_trials():
    """The largest of 1000 independent normals has 1000 trials at any significance."""
    rng = np.random.default_rng(3)
    maxima = rng.standard_normal((2000, 1000)).max(axis=1)
    law = fit_trial_law(maxima)
    assert law.n_pivot == pytest.approx(1000, rel=0.15)
    assert law.exponent < 1
    assert law.count_trials(5.0) < 2000
    assert law.count_trials(0.0) >= 1
    assert "trials at 3.5 sigma" in str(law)
    assert law.to_dict()["n_toys"] == 2000


@pytest.mark.parametrize("counts", [150, 600])
@pytest.mark.parametrize("fixed", [None, 3.0])
def test_position_errors_are_as_large_as_they_say(counts, fixed):
    """Pulls of simulated sources, 5 background counts a pixel: about 6.5 and 25 sigma."""
    rng = np.random.default_rng(4)
    shape, background = (41, 41), np.full((41, 41), 5.0)
    pulls, pulls_of_width = [], []
    for _ in range(180):
        x, y = 20 + rng.uniform(-0.5, 0.5, 2)
        image = rng.poisson(background + make_gaussian(shape, x, y, 3.0, counts)).astype(float)
        fit = fit_gaussian(image, background, 20, 20, radius=5.0, width=fixed)
        assert fit.converged
        pulls += [(fit.column - x) / fit.column_error, (fit.row - y) / fit.row_error]
        pulls_of_width.append((fit.width - 3.0) / fit.width_error if fit.width_error else 0.0)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(len(pulls))
    assert 0.88 < np.std(pulls) < 1.12
    if fixed is None:
        assert 0.7 < np.std(pulls_of_width) < 1.2
    else:
        assert fit.width == fixed


def test_a_fit_that_does_not_converge_is_counted_and_keeps_the_pixel(field):
    """A width far below the pixels' puts the fit at its limits."""
    _, result = field
    flat = np.full((41, 41), 3.0)
    image = flat.copy()
    image[20, 26] = 400  # beyond the ON radius around the pixel that is fitted
    assert not fit_gaussian(image, flat, 20, 20, radius=5.0, width=None).converged
    table = find_sources(result, n_toys=30, width=2 * u.deg)
    assert table.meta["n_unfitted"] <= len(table)
    assert np.isfinite(table["peak_ra"]).all()


def test_blanked_pixels_are_not_searched(field):
    sources, _ = field
    runs = make_runs(np.random.default_rng(1), sources=sources)
    circles = [(position, 0.5 * u.deg) for position, _, _ in sources]
    blank = map_significance(runs, center=CENTRE, width=2.4 * u.deg, exclude=circles, blank="given")
    assert len(find_sources(blank, n_toys=30)) == 0


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("threshold", np.nan, "threshold must be finite"),
        ("n_toys", 5, "n_toys must be finite and >= 20"),
        ("max_sources", 0, "max_sources must be finite and >= 1"),
        ("separation", 0.1, "separation must be an angle with a unit"),
        ("width", -0.1 * u.deg, "width in deg must be finite and > 0"),
    ],
)
def test_bad_arguments_are_named(field, argument, value, message):
    with pytest.raises(ValueError, match=message):
        find_sources(field[1], **{argument: value})
    with pytest.raises(TypeError, match="must be a SignificanceMap"):
        find_sources(np.zeros((3, 3)))


def test_a_map_without_background_cannot_be_searched():
    runs = make_runs(np.random.default_rng(5), n_events=300)
    away = SkyCoord(60, 10, unit="deg")
    result = map_significance(runs, center=away, width=1 * u.deg)
    assert not np.isfinite(result.significance).any()
    assert "nan sigma" in str(result)
    with pytest.raises(ValueError, match="significance_map must be finite in some pixels"):
        find_sources(result)
