"""The Cen A-style job: discs that do not overlap, honest expectations, blind and repeatable."""

import json

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from lightgbm import LGBMClassifier
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from astroml_kit.cherenkov.selection import STANDARD_CUTS
from astroml_kit.cherenkov.simulation import Source, plan_wobble, read_library
from astroml_kit.cherenkov.simulation.field import find_source_rates, make_sampler
from astroml_kit.reanalysis import _cen_a, _cen_a_choices, reanalyse
from astroml_kit.reanalysis._cen_a_cells import (
    Cells,
    bin_background,
    bin_signal,
    count_run,
    cut_cells,
    expect,
    group_cells,
    place_discs,
    smooth_background,
)
from astroml_kit.reanalysis._cen_a_choices import EXTENDED, FEATURES, apply
from astroml_kit.significance import li_ma_significance

CENTER = SkyCoord(201.365, -43.019, unit="deg")
ROWS = (
    "standard box", "re-optimised box", "BDT cut, 6 variables", "BDT cut, extended",
    "score likelihood",
)  # fmt: skip
QUICK = {"n_seeds": 400, "n_null": 400, "n_bootstrap": 50, "sky_map": False, "progress": False}


@pytest.fixture(scope="module")
def library():
    return read_library()


@pytest.fixture(scope="module")
def halves(library):
    return library.split()


@pytest.fixture(scope="module")
def trained():
    """The job as users run it, and the scores that it trained, by feature set."""
    kept, train = {}, _cen_a.score_library

    def score_and_keep(train_half, test_half, names, **options):
        kept[names] = train(train_half, test_half, names, **options)
        return kept[names]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_cen_a, "score_library", score_and_keep)
        return reanalyse("cen-a", n_workers=2, **QUICK), kept


@pytest.fixture(scope="module")
def result(trained):
    return trained[0]


@pytest.fixture(scope="module")
def scores(trained):
    return trained[1]


@pytest.fixture(scope="module")
def reanalyse_short(scores):
    """A quarter of the hours, without training anew."""

    def again(**options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_cen_a, "score_library", lambda train, test, names, **_: scores[names])
            return reanalyse("cen-a", **(QUICK | {"hours": 28.75, "n_seeds": 200} | options))

    return again


@pytest.fixture(scope="module")
def short(reanalyse_short):
    return reanalyse_short(seed=0)


def get(result, column, name):
    return result.table[column][result.table["selection"] == name][0]


# Discs


@pytest.mark.parametrize(
    ("offset", "theta2"), [(0.7, 0.0125), (0.7, 0.004), (1.95, 0.05), (0.3, 0.03)]
)
def test_discs_do_not_overlap_and_one_more_would(offset, theta2):
    discs = place_discs(offset, theta2)
    for n, fits in ((discs.n_slots, True), (discs.n_slots + 1, False)):
        assert (2 * offset * np.sin(np.pi / n) >= 2 * np.sqrt(theta2)) == fits
    assert discs.n_off == discs.n_slots - 1
    assert discs.closed == ()


@pytest.mark.parametrize("angle", [0.0, 2.5, -3.0])
def test_disc_centres_are_where_events_are_located(angle):
    discs = place_discs(0.7, 0.0125)
    slots = np.arange(discs.n_slots)
    azimuth = angle + 2 * np.pi * slots / discs.n_slots
    slot, theta2 = discs.locate(0.7 * np.sin(azimuth), 0.7 * np.cos(azimuth), angle)
    np.testing.assert_array_equal(slot, slots)
    np.testing.assert_allclose(theta2, 0, atol=1e-12)


def test_distance_is_that_to_the_nearest_centre():
    discs = place_discs(0.7, 0.0125)
    lon, lat = np.random.default_rng(1).uniform(-1, 1, (2, 500))
    azimuth = 0.4 + 2 * np.pi * np.arange(discs.n_slots) / discs.n_slots
    all_distances = (lon[:, None] - 0.7 * np.sin(azimuth)) ** 2 + (
        lat[:, None] - 0.7 * np.cos(azimuth)
    ) ** 2
    slot, theta2 = discs.locate(lon, lat, 0.4)
    np.testing.assert_allclose(theta2, all_distances.min(axis=1), atol=1e-12)
    np.testing.assert_array_equal(slot, all_distances.argmin(axis=1))


def test_shares_are_those_of_random_azimuths():
    edges = np.array([0.0, 0.003, 0.0125, 0.03])
    discs = place_discs(0.7, edges[-1])
    rho = np.array([0.0, 0.3, 0.55, 0.62, 0.7, 0.75, 0.86, 2.0])
    shares = discs.find_shares(rho, edges)
    n = 200_000
    azimuth = np.random.default_rng(2).uniform(0, 2 * np.pi, n)
    for at, share in zip(rho, shares, strict=True):
        theta2 = at**2 + 0.7**2 - 2 * at * 0.7 * np.cos(azimuth)
        drawn = np.histogram(theta2, edges)[0] / n
        assert (abs(drawn - share) <= 4.5 * np.sqrt(share * (1 - share) / n) + 1e-9).all()
    assert shares[[0, 1, -1]].sum() == 0


def test_slots_next_to_another_source_are_closed_but_never_on():
    open_discs = place_discs(0.7, 0.0125)
    n = open_discs.n_slots
    step = 2 * np.pi / n
    discs = place_discs(0.7, 0.0125, others=((0.7, 5 * step),))
    assert 5 in discs.closed
    radius = np.sqrt(0.0125)
    for slot in range(n):
        distance = 2 * 0.7 * np.sin(abs(slot - 5) * step / 2)
        assert (slot in discs.closed) == (distance < radius + 0.25 and slot != 0)
    assert discs.n_off == n - 1 - len(discs.closed)
    assert place_discs(0.7, 0.0125, others=((2.5, 1.0),)).closed == ()
    assert 0 not in place_discs(0.7, 0.0125, others=((0.7, 0.01),)).closed


# Cells


def test_groups_share_the_signal_and_rise_in_purity():
    rng = np.random.default_rng(3)
    signal, background = rng.random((36, 8)), rng.random((36, 8)) * 50
    group = group_cells(signal, background, n_groups=8)
    share = np.bincount(group.ravel(), signal.ravel()) / signal.sum()
    np.testing.assert_allclose(share, 1 / 8, atol=signal.max() / signal.sum())
    ratio = signal / background
    for lower in range(7):
        assert ratio[group == lower].max() <= ratio[group == lower + 1].min()


def test_events_outside_every_cell_have_no_group():
    cells = Cells(
        np.zeros(0, int), np.zeros(0, int), np.array([[0, 1], [1, -1]]),
        np.array([0.0, 1.0, 2.0]), np.ones(2),
    )  # fmt: skip
    rows = np.array([0, 0, 1, 1, -1, 0])
    theta2 = np.array([0.5, 1.5, 0.5, 1.5, 0.5, 2.5])
    assert cells.assign(rows, theta2).tolist() == [0, 1, 1, -1, -1, -1]


def test_rings_add_up_to_the_disc(library):
    source = Source("x", CENTER, 1e-12, 2.7)
    rate = find_source_rates(library, source, 0.7)
    edges, disc = np.array([0.0, 0.003, 0.0125]), np.array([0.0, 0.0125])
    discs = place_discs(0.7, 0.0125)
    n_gammas, n_background = len(library.gammas["set"]), len(library.background["kind"])
    for bins in (
        lambda e: bin_signal(library, rate, np.zeros(n_gammas, int), 1, e),
        lambda e: bin_background(library, np.zeros(n_background, int), 1, discs, e),
        lambda e: smooth_background(library, np.zeros(n_background, int), 1, discs, e),
    ):
        assert bins(edges).sum() == pytest.approx(bins(disc).sum(), rel=1e-6)


def test_smooth_background_is_about_the_exact_one(library):
    rows = np.zeros(len(library.background["kind"]), int)
    discs, edges = place_discs(0.7, 0.0125), np.array([0.0, 0.0125])
    exact = bin_background(library, rows, 1, discs, edges).sum()
    assert smooth_background(library, rows, 1, discs, edges).sum() == pytest.approx(exact, rel=0.05)


def test_expectation_is_the_mean_of_fields_that_are_drawn_and_counted(halves):
    """Event by event, around all pointings, with another source shining into closed discs."""
    _, test = halves
    cut = STANDARD_CUTS["std"]
    source = Source("x", CENTER, 2e-12, 2.7)
    rng = np.random.default_rng(4)
    cells = cut_cells(apply(test, cut.select), cut.theta2)
    pointing = plan_wobble(CENTER)[1]
    discs = place_discs(0.7, cut.theta2)
    # a source across the pointing, 1.4 deg from ON
    across = pointing.directional_offset_by(
        pointing.position_angle(CENTER) + 180 * u.deg, pointing.separation(CENTER)
    )
    other = Source("y", across, 2e-12, 2.7)
    closed = place_discs(0.7, cut.theta2, others=((0.7, np.pi),))
    assert 0 < len(closed.closed) < closed.n_slots - 1
    signal, background = expect(test, find_source_rates(test, source, 0.7), cells, discs)
    seconds, n = 3600.0, 60
    angle = pointing.position_angle(CENTER).rad
    for sources, used in (([source], discs), ([source, other], closed)):
        sampler = make_sampler(test, sources, pointing)
        counts = np.array([
            [int(c[0]) for c in count_run(sampler.draw(seconds, rng), cells, used, angle)]
            for _ in range(n)
        ])  # fmt: skip
        on, off = counts.mean(axis=0)
        mean_on = (signal + background)[0] * seconds
        mean_off = background[0] * seconds * used.n_off
        assert abs(on - mean_on) < 4 * np.sqrt(mean_on / n)
        # a gamma is now and then reconstructed into an OFF disc
        assert abs(off - mean_off) < 4 * np.sqrt(mean_off / n) + 0.02 * signal[0] * seconds


def test_empty_fields_are_a_standard_normal_event_by_event(halves):
    _, test = halves
    cut = STANDARD_CUTS["std"]
    cells = cut_cells(apply(test, cut.select), cut.theta2)
    discs = place_discs(0.7, cut.theta2)
    sampler = make_sampler(test, [], plan_wobble(CENTER)[0])
    rng = np.random.default_rng(5)
    counts = np.array([
        [int(c[0]) for c in count_run(sampler.draw(3 * 3600.0, rng), cells, discs, 1.0)]
        for _ in range(150)
    ])  # fmt: skip
    significance = li_ma_significance(counts[:, 0], counts[:, 1], alpha=1 / discs.n_off)
    assert abs(significance.mean()) < 0.3
    assert 0.8 < significance.std(ddof=1) < 1.2


def test_the_offset_is_not_a_feature():
    assert set(EXTENDED) == set(FEATURES) - {"reco_offset"}


# The job


def test_the_norm_gives_the_published_counts(library):
    # Aharonian et al. 2009, arXiv:0903.1582: 330 gammas over 3875 in 115 h
    main, second, scale = _cen_a.set_norms(library)
    cut = STANDARD_CUTS["std"]
    cells = cut_cells(apply(library, cut.select), cut.theta2, direction="standard")
    rate = find_source_rates(library, main, 0.7)
    signal, background = expect(library, rate, cells, place_discs(0.7, cut.theta2))
    assert signal[0] * 115 * 3600 == pytest.approx(330, rel=1e-6)
    assert background[0] * scale * 115 * 3600 == pytest.approx(3875, rel=1e-6)
    # of the order of the published flux, 2.45e-13; the second source has that of Abramowski et al.
    # 2013, arXiv:1306.3186
    assert 1e-13 < main.norm < 2.45e-13
    assert second.norm == 1.9e-13
    assert second.position.separation(main.position).deg == pytest.approx(1.96, abs=0.02)


def test_rows_and_order(result):
    assert tuple(result.table["selection"]) == ROWS
    assert get(result, "expected", ROWS[0]) == pytest.approx(5.0, abs=0.3)
    expected = dict(zip(ROWS, result.table["expected"], strict=True))
    assert expected[ROWS[0]] < expected[ROWS[1]] < expected[ROWS[2]]
    assert expected[ROWS[2]] < expected[ROWS[3]] < expected[ROWS[4]]
    assert (np.asarray(result.table["kept_signal"]) > 0).all()
    assert (np.asarray(result.table["kept_signal"]) <= 1).all()


def test_empty_fields_of_every_row_are_standard_normal(result):
    np.testing.assert_allclose(result.table["null"], 0, atol=0.15)
    assert (np.asarray(result.table["null_sd"]) > 0.93).all()
    assert (np.asarray(result.table["null_sd"]) < 1.07).all()


def test_this_field_is_one_of_those_expected(result):
    pull = (result.table["significance"] - result.table["expected"]) / result.table["expected_sd"]
    assert (abs(np.asarray(pull)) < 4).all()


def test_counts_of_a_row_agree_with_each_other(result):
    for row in result.table:
        assert row["excess"] == pytest.approx(row["n_on"] - row["background"], abs=1e-6)
        assert row["background"] == pytest.approx(row["alpha"] * row["n_off"], rel=1e-9)
    row = result.table[0]
    assert row["significance"] == pytest.approx(
        float(li_ma_significance(row["n_on"], row["n_off"], alpha=row["alpha"])), abs=1e-6
    )


def test_same_seed_same_table_for_any_number_of_workers(monkeypatch):
    make = _cen_a_choices.make_classifier
    monkeypatch.setattr(
        _cen_a_choices, "make_classifier",
        lambda *a: make(*a).set_params(estimator__n_estimators=5),
    )  # fmt: skip
    one, two = (reanalyse("cen-a", seed=3, n_workers=n, **(QUICK | {"hours": 5.0})) for n in (1, 2))
    for name in one.table.colnames:
        np.testing.assert_array_equal(one.table[name], two.table[name])
    assert one.gain.to_dict() == two.gain.to_dict()
    assert dict(one.settings) == dict(two.settings)


def test_another_seed_is_another_field_of_the_same_expectation(short, reanalyse_short):
    other = reanalyse_short(seed=1)
    assert not np.array_equal(short.table["n_off"], other.table["n_off"])
    np.testing.assert_allclose(other.table["expected"], short.table["expected"], atol=0.4)


def test_significance_grows_with_the_root_of_the_hours(result, short):
    # fields fluctuate by 1 sigma / sqrt(number), and cuts are chosen anew
    np.testing.assert_allclose(result.table["expected"] / 2, short.table["expected"], atol=0.5)
    assert short.settings["hours"] == 28.75


def test_without_flux_nothing_is_detected(reanalyse_short):
    dark = reanalyse_short(flux=0.0)
    np.testing.assert_allclose(dark.table["expected"], 0, atol=4 / np.sqrt(200))
    assert (abs(np.asarray(dark.table["significance"])) < 4).all()
    assert (abs(np.asarray(dark.sources["significance"])) < 4).all()


def test_training_scores_are_out_of_fold(scores, halves):
    """Scored in sample the training half would look purer than what is still unseen."""
    for own, unseen in scores.values():
        for kind in ("gammas", "background"):
            shift = ks_2samp(getattr(own, kind), getattr(unseen, kind)).statistic
            assert shift < 0.05
    train, _ = halves
    names = list(dict.fromkeys([*_cen_a.SIX, "reco_energy"]))
    X = np.vstack([train.stack_features(part, names) for part in (train.gammas, train.background)])
    y = np.repeat([1, 0], [len(train.gammas["set"]), len(train.background["kind"])])
    own, _ = scores[_cen_a.SIX]
    model = LGBMClassifier(n_estimators=150, min_child_samples=2, n_jobs=1, verbosity=-1)
    seen = model.fit(X.astype(float), y).predict_proba(X.astype(float))[:, 1]
    honest = roc_auc_score(y, np.concatenate([own.gammas, own.background]))
    assert roc_auc_score(y, seen) > honest + 0.01


def test_settings_and_notes_are_recorded_and_written(result, tmp_path):
    settings = result.settings
    assert settings["seed"] == 0
    assert settings["hours"] == 115.0
    assert settings["n_null"] == 400
    assert set(settings["selections"]) == set(ROWS)
    assert settings["library"]["seed"] == read_library().settings["seed"]
    assert len(result.sources) == 2
    assert any("arXiv:0903.1582" in note for note in result.notes)
    written = json.loads(result.write(tmp_path).read_text())
    assert written["name"] == "cen-a"
    assert written["table"]["columns"]["selection"] == list(ROWS)
    assert written["settings"]["norm"] == settings["norm"]
    # no sky map: no position from it, which JSON can only call null
    assert written["sources"]["columns"]["map_distance"] == [None, None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hours": 0}, "hours must be"),
        ({"hours": -5.0}, "hours must be"),
        ({"hours": np.nan}, "hours must be"),
        ({"hours": "long"}, "hours must be"),
        ({"flux": -1.0}, "flux must be"),
        ({"n_seeds": 1}, "n_seeds must be"),
        ({"n_null": 0}, "n_null must be"),
        ({"n_bootstrap": 1}, "n_bootstrap must be"),
        ({"colour": "red"}, "options of 'cen-a' must be among"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        reanalyse("cen-a", progress=False, **options)
