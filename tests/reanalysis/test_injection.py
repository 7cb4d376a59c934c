"""The injection keeps its promises: the flux it was asked for, Poisson counts, a clean null."""

import numpy as np
import pytest
from scipy import stats

from astroml_kit.reanalysis._injection import (
    Bench,
    Box,
    Injection,
    Library,
    ScoreBands,
    inject_source,
    measure_efficiency,
)
from astroml_kit.significance import expected_significance, li_ma_significance


@pytest.fixture(scope="module")
def library():
    rng = np.random.default_rng(0)
    is_gamma = np.arange(6000) < 2000
    score = np.where(is_gamma, rng.beta(4, 2, 6000), rng.beta(2, 4, 6000))
    parameters = {"score": score, "alpha": rng.uniform(0, 90, 6000)}
    return Library(parameters, is_gamma, np.arange(6000))


BOX = Box("box", {"score": (0.5, np.inf)})
BANDS = ScoreBands("bands", (0.2, 0.5, 0.7), (0.2, 0.4, 0.4))


def test_a_box_includes_its_bounds():
    few = Library({"x": np.array([1.0, 2.0, 3.0, 4.0])}, np.ones(4, bool), np.arange(4))
    np.testing.assert_array_equal(Box("b", {"x": (2.0, 3.0)}).assign(few), [-1, 0, 0, -1])


def test_bands_reject_only_what_is_below_all_of_them():
    few = Library({"score": np.array([0.1, 0.2, 0.6, 0.9])}, np.ones(4, bool), np.arange(4))
    np.testing.assert_array_equal(BANDS.assign(few), [-1, 0, 1, 2])


@pytest.mark.parametrize("wanted", [0.5, 5.0, 20.0])
@pytest.mark.parametrize("n_background", [10.0, 50_000.0])
def test_the_flux_gives_the_significance_asked_for(library, wanted, n_background):
    injection = inject_source(
        library, BOX, n_background=n_background, alpha=0.2, significance=wanted
    )
    signal, background = measure_efficiency(library, BOX)
    found = expected_significance(injection.n_signal * signal, n_background * background, alpha=0.2)
    assert found == pytest.approx(wanted, rel=1e-9)


def test_counts_have_the_expected_mean_and_poisson_spread(library):
    injection = Injection(n_signal=300, n_background=4000, alpha=0.25)
    bench = Bench(library, [BOX, BANDS], injection)
    runs = [bench.draw(2, np.random.default_rng([1, k])) for k in range(1000)]
    on, off = (np.stack([run[k].sum(axis=0) for run in runs]) for k in (0, 1))
    (box_on, bands_on), (box_off, _) = bench.count(on), bench.count(off)
    signal, background = measure_efficiency(library, BOX)
    mean_on, mean_off = 300 * signal + 4000 * background, 4000 * background / 0.25
    for counts, mean in ((box_on, mean_on), (box_off, mean_off)):
        assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / 1000))
        assert counts.var() == pytest.approx(mean, rel=5 * np.sqrt(2 / 1000))
    np.testing.assert_array_equal(bands_on[:, 1:].sum(axis=1), box_on[:, 0])


def test_a_box_is_measured_with_li_and_ma(library):
    bench = Bench(library, [BOX, BANDS], Injection(100, 1000, 0.2))
    n_on, n_off = np.array([[30.0], [12.0]]), np.array([[80.0], [90.0]])
    bands = np.array([[5.0, 6.0, 7.0]] * 2)
    found = bench.measure([n_on, bands], [n_off, 5 * bands])
    np.testing.assert_allclose(
        found[0], li_ma_significance(n_on[:, 0], n_off[:, 0], alpha=0.2), rtol=1e-9
    )
    np.testing.assert_allclose(found[1], 0, atol=1e-6)


def test_without_a_source_every_selection_is_standard_normal(library):
    bench = Bench(library, [BOX, BANDS], Injection(300, 4000, 0.25))
    found = bench.repeat(10_000, np.random.default_rng(2), source=False)
    assert found.shape == (2, 10_000)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=4 / np.sqrt(10_000))
    np.testing.assert_allclose(found.std(axis=1), 1, atol=4 / np.sqrt(20_000))


def test_drawing_kinds_is_drawing_events(library):
    """Fields from summed Poisson means and fields of single events have one distribution."""
    bench = Bench(library, [BOX, BANDS], Injection(300, 4000, 0.25))
    on, off = [], []
    for k in range(300):
        single = bench.draw(2, np.random.default_rng([8, k]))
        on.append(single[0].sum(axis=0))
        off.append(single[1].sum(axis=0))
    slow = bench.measure(bench.count(np.stack(on)), bench.count(np.stack(off)))
    fast = bench.repeat(3000, np.random.default_rng(9))
    for one, other in zip(slow, fast, strict=True):
        assert stats.ks_2samp(one, other).pvalue > 1e-3
    assert np.corrcoef(slow)[0, 1] == pytest.approx(np.corrcoef(fast)[0, 1], abs=0.1)


def test_with_the_source_bands_beat_the_box_they_refine(library):
    injection = inject_source(library, BOX, n_background=4000, alpha=0.25, significance=5)
    bench = Bench(library, [BOX, BANDS], injection)
    box, bands = bench.repeat(4000, np.random.default_rng(3)).mean(axis=1)
    assert box == pytest.approx(5, abs=0.1)
    assert bands > box + 0.3


def test_redrawn_libraries_scatter_around_the_expectation(library):
    injection = inject_source(library, BOX, n_background=4000, alpha=0.25, significance=5)
    bench = Bench(library, [BOX], injection)
    (found,) = bench.repeat_library(300, np.random.default_rng(4))
    assert found.mean() == pytest.approx(5, abs=0.1)
    # the share of hadrons kept, p, has the binomial error sqrt(p (1 - p) / n); S ~ p^-1/2
    _, kept = measure_efficiency(library, BOX)
    assert found.std() == pytest.approx(2.5 * np.sqrt((1 - kept) / kept / 4000), rel=0.3)
