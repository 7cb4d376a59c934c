"""The built-in reanalysis: blind, repeatable, calibrated, and better than the boxes."""

import json
from dataclasses import replace

import numpy as np
import pytest
from lightgbm import LGBMClassifier

from astroml_kit.datasets import fetch_dataset
from astroml_kit.reanalysis import reanalyse, save_plots
from astroml_kit.reanalysis._injection import Injection, Library, inject_source, measure_efficiency
from astroml_kit.reanalysis._magic import DATASET, FILE, read_library, split_library
from astroml_kit.reanalysis._magic_choices import (
    MIN_HADRONS,
    MIN_HADRONS_PER_BAND,
    OPTIMISED_SIDES,
    add_score,
    add_size_scaled,
    choose_bands,
    choose_selections,
    choose_standard,
    optimise_box,
    optimise_cut,
)

SELECTIONS = [
    "standard box",
    "re-optimised box",
    "size-scaled box",
    "BDT cut",
    "BDT score likelihood",
]


class Bar:
    def update(self):
        pass


def make_model(n_estimators=30):
    return LGBMClassifier(
        n_estimators=n_estimators, learning_rate=0.2, n_jobs=1, verbosity=-1, random_state=0
    )


@pytest.fixture(scope="module")
def library():
    return read_library(fetch_dataset(DATASET) / FILE)


@pytest.fixture(scope="module")
def halves(library):
    return split_library(library, np.random.default_rng(0))


@pytest.fixture(scope="module")
def result():
    return reanalyse("magic", model=make_model(), progress=False)


def test_the_library_is_the_published_one(library):
    # UCI Machine Learning Repository, doi:10.24432/C52C8B, magic04.names
    assert library.is_gamma.sum() == 12332
    assert (~library.is_gamma).sum() == 6688
    assert len(library) - len(np.unique(library.groups)) == 115


def test_the_halves_share_no_event_and_no_repetition(library, halves):
    train, test = halves
    assert len(train) + len(test) == len(library)
    assert len(train) == pytest.approx(len(test), rel=0.01)
    assert not set(train.groups) & set(test.groups)
    assert train.is_gamma.mean() == pytest.approx(test.is_gamma.mean(), abs=0.002)


def test_repeated_rows_are_one_group(library):
    first = {}
    columns = np.column_stack(list(library.parameters.values()))
    for row, group in zip(map(bytes, columns), library.groups, strict=True):
        assert first.setdefault(row, group) == group


def test_the_standard_box_expects_five_sigma(result):
    table = result.table
    assert list(table["selection"]) == SELECTIONS
    # 1000 fields of unit width: the mean is known to 0.03
    assert table["expected"][0] == pytest.approx(5.0, abs=0.13)
    np.testing.assert_allclose(table["expected_sd"], 1, atol=0.12)


def test_learning_gains_more_than_better_boxes(result):
    box, optimised, scaled, cut, likelihood = result.table["expected"]
    assert box < max(optimised, scaled) < cut < likelihood
    assert likelihood > 1.6 * box
    assert result.gain.ratio == pytest.approx(
        result.table["significance"][4] / result.table["significance"][0]
    )
    low, high = result.gain.ratio_interval
    assert low < result.gain.ratio < high


def test_without_a_source_nothing_is_found(result):
    np.testing.assert_allclose(result.table["null"], 0, atol=4 / np.sqrt(10_000))
    np.testing.assert_allclose(result.table["null_sd"], 1, atol=4 / np.sqrt(20_000))


def test_counts_belong_together(result):
    table = result.table
    np.testing.assert_allclose(table["background"], 0.2 * table["n_off"])
    np.testing.assert_allclose(table["excess"], table["n_on"] - table["background"])
    n_signal = result.settings["n_signal"]
    kept = (np.asarray(table[name]) for name in ("kept_signal", "kept_background"))
    expected = np.array([n_signal, 50_000]) @ np.stack(list(kept))
    pulls = (np.asarray(table["n_on"]) - expected) / np.sqrt(expected)
    np.testing.assert_allclose(pulls, 0, atol=5)
    assert result.gain.baseline.n_on == table["n_on"][0]


def test_the_notes_state_the_assumed_signal_to_background(result):
    share = result.settings["n_signal"] / 50_000
    assert 0.01 < share < 0.02
    assert f"{share:.2%} before cuts" in " ".join(result.notes)


def test_curves_add_up_to_the_table(result):
    score, runs = result.curves["score"], result.curves["runs"]
    assert score["on"].sum() == result.table["n_on"][-1]
    assert score["off"].sum() == pytest.approx(result.table["background"][-1])
    assert len(score["edges"]) == len(score["on"]) + 1
    assert {len(values) for values in runs["significance"].values()} == {20}
    angle = result.curves["orientation"]
    inside = angle["edges"][1:] <= angle["cut"]
    assert angle["on"][inside].sum() == result.table["n_on"][0]
    roc = result.curves["roc"]
    assert np.all(np.diff(roc["background"]) > 0)
    assert np.all(np.diff(roc["signal"]) >= 0)
    assert roc["signal"][-1] == 1


def test_the_file_holds_every_number_and_the_checksum(result, tmp_path):
    told = json.loads(result.write(tmp_path).read_text())
    # sha256 of magic04.data in catalogs/datasets.toml
    assert told["checksums"][FILE].startswith("e9314b7ebd4b4b59")
    assert told["table"]["columns"]["significance"] == list(result.table["significance"])
    assert told["settings"]["seed"] == 0
    assert [chosen["name"] for chosen in told["settings"]["selections"]] == SELECTIONS


def test_plots_are_drawn_for_every_curve(result, tmp_path):
    drawn = save_plots(result, tmp_path)
    names = ["gain.png", "orientation.png", "scores.png", "runs.png", "roc.png"]
    assert [path.name for path in drawn] == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def run_small(**options):
    small = {
        "model": make_model(5),
        "n_seeds": 5,
        "n_runs": 4,
        "n_bootstrap": 20,
        "progress": False,
    }
    result = reanalyse("magic", **(small | options)).to_dict()
    return {key: result[key] for key in ("table", "gain", "curves")}


def test_same_seed_same_numbers_with_any_number_of_workers():
    first = run_small(seed=3)
    assert run_small(seed=3, n_workers=2) == first
    assert run_small(seed=4) != first


def choose(train, test):
    train, test = add_size_scaled(train, test)
    train, test = add_score(train, test, model=make_model(5), seed=0, n_workers=1, bar=Bar())
    chosen = choose_selections(train, n_background=50_000, alpha=0.2, significance=5)
    return [selection.to_dict() for selection in chosen]


def test_the_test_half_chooses_nothing(halves):
    train, test = halves
    rng = np.random.default_rng(5)
    scrambled = {name: rng.permutation(values) * 3 for name, values in test.parameters.items()}
    labels, features = rng.permutation(test.is_gamma), rng.permutation(3 * test.features)
    known = choose(train, test)
    assert choose(train, Library(scrambled, labels, test.groups, features)) == known
    # and the check can fail: the training half does choose
    labels = rng.permutation(train.is_gamma)
    assert choose(replace(train, is_gamma=labels), test) != known


def test_out_of_fold_scores_are_not_in_sample(halves):
    """A model without skill must look like one: labels that are noise give no separation."""
    train, test = (half.take(np.arange(0, len(half), 3)) for half in halves)
    noise = np.random.default_rng(6).permutation(train.is_gamma)
    model = make_model()
    scored, _ = add_score(
        replace(train, is_gamma=noise), test, model=model, seed=0, n_workers=1, bar=Bar()
    )
    score = scored.parameters["score"]
    assert score[noise].mean() == pytest.approx(score[~noise].mean(), abs=0.03)


@pytest.fixture(scope="module")
def scored():
    """Gammas and hadrons in one parameter of every kind, 4,000 each."""
    rng = np.random.default_rng(7)
    is_gamma = np.arange(8000) < 4000
    parameters = {
        name: np.where(is_gamma, rng.gamma(9, 1, 8000), rng.gamma(4, 4, 8000))
        for name in ("hillas_width", "hillas_length", "hillas_log10_size", "alpha", "distance")
    }
    parameters["score"] = np.where(is_gamma, rng.beta(5, 2, 8000), rng.beta(2, 5, 8000))
    return Library(parameters, is_gamma, np.arange(8000))


PLANNED = Injection(n_signal=700, n_background=50_000, alpha=0.2)


def test_an_optimised_box_is_better_on_what_it_was_chosen_on(scored):
    standard = choose_standard(scored)
    box = optimise_box(scored, PLANNED, "box", OPTIMISED_SIDES)
    assert PLANNED.expect(*measure_efficiency(scored, box)) > PLANNED.expect(
        *measure_efficiency(scored, standard)
    )
    assert np.sum((box.assign(scored) == 0) & ~scored.is_gamma) >= MIN_HADRONS


def test_the_cut_is_the_best_of_its_grid(scored):
    cut = optimise_cut(scored, PLANNED)
    assert np.sum((cut.assign(scored) == 0) & ~scored.is_gamma) >= MIN_HADRONS
    best = PLANNED.expect(*measure_efficiency(scored, cut))
    for other in (0.8 * cut.edges[0], 0.9 * cut.edges[0], 1.02 * cut.edges[0]):
        kept = measure_efficiency(scored, replace(cut, edges=(other,)))
        n_hadrons = kept[1] * np.sum(~scored.is_gamma)
        assert n_hadrons < MIN_HADRONS or PLANNED.expect(*kept) <= best * 1.005


def test_bands_share_the_signal_and_keep_enough_background(scored):
    bands = choose_bands(scored)
    assert np.all(np.diff(bands.edges) > 0)
    assert sum(bands.signal) == pytest.approx(1)
    where = bands.assign(scored)
    assert np.bincount(where[~scored.is_gamma]).min() >= MIN_HADRONS_PER_BAND
    np.testing.assert_allclose(bands.signal[:-1], 1 / 8, atol=1e-3)
    assert where.min() == 0  # nothing is rejected


def test_a_source_that_no_gamma_reaches_is_refused(scored):
    empty = replace(choose_standard(scored), bounds={"alpha": (-2.0, -1.0)})
    with pytest.raises(ValueError, match="standard box must keep some gammas"):
        inject_source(scored, empty, n_background=1e4, alpha=0.2, significance=5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("m87", {}, r"name must be one of \['cen-a', 'magic', 'hess-dl3-dr1'\], got 'm87'"),
        ("magic", {"target": "Crab"}, "options of 'magic' must be among .*, got 'target'"),
        ("magic", {"hypothesis": 5}, "got 'hypothesis'"),
        ("magic", {"n_background": 0}, "n_background must be finite and > 0"),
        ("magic", {"n_runs": 1}, "n_runs must be finite and >= 2"),
        ("magic", {"alpha": -1}, "alpha must be finite and > 0"),
    ],
)
def test_wrong_requests_are_one_sentence(name, options, message):
    with pytest.raises(ValueError, match=message):
        reanalyse(name, progress=False, **options)
