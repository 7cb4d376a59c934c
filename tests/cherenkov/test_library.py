"""The library of showers: two honest halves, rates that add up, and made by the code beside it."""

import json
import re

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from scipy import stats

from astroml_kit.cherenkov.simulation import (
    library,
    make_library,
    read_library,
    simulate_showers,
)
from astroml_kit.cherenkov.simulation.field import Source, find_source_rates
from astroml_kit.cherenkov.simulation.library import (
    BACKGROUND,
    FEATURES,
    FILE,
    MOST_LENGTH,
    MOST_OFFSET,
    MOST_WIDTH,
    OFFSETS,
    ShowerLibrary,
)

N_GAMMAS, N_PROTONS = 40_000, 9000
ON_SOURCE = OFFSETS.index(0.7)


@pytest.fixture(scope="module")
def shipped():
    return read_library()


@pytest.fixture(scope="module")
def halves(shipped):
    return shipped.split()


@pytest.fixture(scope="module")
def again():
    """Gammas at 0.7 degree and protons, simulated and selected as for the library, packed."""
    options = {"zenith": library.ZENITH, "progress": False, **library._PRESELECTION}
    of_gammas = {"energy_min": 0.08, "index": 2.4, **options}
    gammas = simulate_showers("gamma", n_showers=N_GAMMAS, rng=1, offset=0.7, **of_gammas)
    diffuse = simulate_showers(
        "gamma", n_showers=2 * N_GAMMAS, rng=3, view_cone=MOST_OFFSET, **of_gammas
    )
    protons = simulate_showers("proton", n_showers=N_PROTONS, rng=2, **options)
    reconstruct = library.Reconstruction.learn(diffuse, protons)
    kept = [reconstruct(images) for images in (gammas, protons)]
    packed = [library._pack(events) for events in kept]
    packed[0]["true_energy"] = kept[0]["true_energy"].to_value(u.TeV)
    return dict(zip(("gammas", "protons"), packed, strict=True))


def pick(events, keep):
    return {name: values[keep] for name, values in events.items()}


# What is shipped


def test_the_shipped_library_is_whole(shipped):
    for events in (shipped.gammas, shipped.background):
        sizes = {name: len(values) for name, values in events.items()}
        assert len(set(sizes.values())) == 1, sizes
        assert set(FEATURES) <= set(events)
        loose = np.zeros(len(events["shower_id"]), dtype=bool)
        for prefix in ("", "standard_"):
            loose |= (events[f"{prefix}mean_scaled_width"] <= MOST_WIDTH) & (
                events[f"{prefix}mean_scaled_length"] <= MOST_LENGTH
            )
        assert loose.all()
        assert (events["reco_energy"] > 0).all()
    assert (shipped.background["offset"] <= MOST_OFFSET).all()
    assert (shipped.background["rate"] > 0).all()
    assert tuple(thrown.offset for thrown in shipped.thrown["gamma"]) == OFFSETS
    assert set(shipped.thrown) == {"gamma", *BACKGROUND}
    assert {"seed", "zenith", "cuts", "tables"} <= set(shipped.settings)
    n = np.bincount(shipped.background["kind"], minlength=3)
    assert (n > 500).all()
    assert f"{len(shipped.gammas['set'])} gammas, {n[0]} protons" in str(shipped)


def test_most_features_are_finite(shipped):
    for events in (shipped.gammas, shipped.background):
        for name in FEATURES:
            assert np.isfinite(events[name]).mean() > 0.99, name


def test_learned_directions_are_better_than_standard_ones(shipped):
    """And the more so where the standard reconstruction cuts images off."""
    gain = []
    for offset in (0.7, 1.95):
        rows = (shipped.gammas["set"] == OFFSETS.index(offset)) & np.isfinite(
            shipped.gammas["standard_mean_scaled_width"]
        )
        learned, standard = (
            np.hypot(shipped.gammas[f"{prefix}dx"], shipped.gammas[f"{prefix}dy"])[rows]
            for prefix in ("", "standard_")
        )
        gain.append(np.quantile(standard, 0.68) / np.quantile(learned, 0.68))
    assert 1.1 < gain[0] < gain[1]


def test_standard_directions_lie_near_the_learned_ones(shipped):
    known = np.isfinite(shipped.background["standard_mean_scaled_width"])
    inner = shipped.background["offset"] < 0.8
    # images that the standard reconstruction leaves out are far from the centre
    assert known[inner].mean() > 0.9 > known[~inner].mean() + 0.2
    near = np.hypot(
        shipped.background["standard_x"] - shipped.background["offset"],
        shipped.background["standard_y"],
    )
    assert np.median(near[known]) < 0.2
    assert (near[~known] > 20).all()


def test_halves_share_no_shower_and_lose_none(shipped, halves):
    for part in ("gammas", "background"):
        whole, one, two = (getattr(of, part) for of in (shipped, *halves))
        assert len(one["shower_id"]) + len(two["shower_id"]) == len(whole["shower_id"])
        assert not set(one["shower_id"]) & set(two["shower_id"])


def test_uses_of_one_shower_stay_together(shipped):
    protons = shipped.background["shower_id"][shipped.background["kind"] == 0]
    assert len(np.unique(protons)) < len(protons)


def find_rates(of):
    return of.find_gamma_rates(norm=1e-12, index=2.7), of.background["rate"]


def test_rates_of_the_halves_sum_like_the_whole(shipped, halves):
    for whole, *parts in zip(find_rates(shipped), *map(find_rates, halves), strict=True):
        assert sum(part.sum() for part in parts) / 2 == pytest.approx(whole.sum(), rel=1e-6)
        for part in parts:
            # what half of the events stands for, give or take their number; showers repeat
            assert abs(part.sum() - whole.sum()) < 5 * np.sqrt(2 * (whole**2).sum())


def test_splitting_leaves_the_whole_as_it_was(shipped):
    before = shipped.background["rate"].sum()
    shipped.split()
    assert shipped.background["rate"].sum() == before
    assert "share" not in shipped.settings


def test_gamma_rate_integrates_the_flux_over_the_effective_area(shipped):
    """N thrown over an area A(E) with E^-g: each stands for flux x A / (density thrown)."""
    thrown = shipped.thrown["gamma"][ON_SOURCE]
    rows = shipped.gammas["set"] == ON_SOURCE
    index = thrown.index
    rate = shipped.find_gamma_rates(norm=1e-12, index=index)[rows]
    # with the index of the simulation all weights are equal
    np.testing.assert_allclose(rate, rate[0], rtol=1e-6)
    energy = np.geomspace(thrown.energy_min, thrown.energy_max, 4000)
    exposed = np.trapezoid(1e-8 * energy**-index * thrown.find_area(energy), energy)
    assert rate[0] * thrown.n_thrown == pytest.approx(exposed, rel=1e-3)


def test_rates_follow_norm_and_index(shipped):
    soft, hard = (shipped.find_gamma_rates(norm=1e-12, index=index) for index in (3.0, 2.0))
    np.testing.assert_allclose(hard / soft, shipped.gammas["true_energy"], rtol=1e-4)


def test_features_are_stacked_in_order(shipped):
    X = shipped.stack_features(shipped.gammas, ("reco_energy", "n_images"))
    np.testing.assert_array_equal(X[:, 0], shipped.gammas["reco_energy"])
    np.testing.assert_array_equal(X[:, 1], shipped.gammas["n_images"])


# Made by the code beside it


@pytest.mark.parametrize(
    "name", ["reco_h_max", "true_energy", "reco_core_error", "axis_angle", "impact_mean"]
)
def test_gammas_simulated_anew_are_distributed_alike(shipped, again, name):
    kept = shipped.gammas[name][shipped.gammas["set"] == ON_SOURCE]
    assert stats.ks_2samp(again["gammas"][name], kept).pvalue > 1e-3


@pytest.mark.parametrize("name", ["reco_h_max", "intensity_mean", "mean_scaled_length"])
def test_protons_simulated_anew_are_distributed_alike(shipped, again, name):
    kept = shipped.background[name][shipped.background["kind"] == 0]
    assert stats.ks_2samp(again["protons"][name], kept).pvalue > 1e-3


@pytest.mark.parametrize(
    "name", ["mean_scaled_width", "mean_scaled_length", "reco_energy", "reco_direction_error"]
)
def test_what_is_learned_of_new_gammas_is_alike(shipped, again, name):
    # by tables and trees that saw half of the showers: alike, not of one distribution
    kept = shipped.gammas[name][shipped.gammas["set"] == ON_SOURCE]
    assert stats.ks_2samp(again["gammas"][name], kept).statistic < 0.06


def test_rates_of_showers_simulated_anew_are_alike(shipped, again):
    for events, kept, share in (
        (again["gammas"], shipped.gammas["set"] == ON_SOURCE,
         N_GAMMAS / shipped.thrown["gamma"][ON_SOURCE].n_showers),
        (again["protons"], shipped.background["kind"] == 0,
         N_PROTONS / shipped.thrown["proton"][0].n_showers),
    ):  # fmt: skip
        expected = kept.sum() * share
        # a shower that is used ten times counts more than once
        n = len(events["shower_id"])
        uses = np.unique(events["shower_id"], return_counts=True)[1]
        # tables with fewer showers scale less precisely: some more fail the cut
        sigma = np.sqrt((uses**2).sum() + share * expected + (0.01 * expected) ** 2)
        assert abs(n - expected) < 4 * sigma


def test_a_library_is_made_and_read_back(tmp_path, monkeypatch):
    sizes = {"proton": 6000, "helium": 600, "electron": 600, "gamma": 600}
    monkeypatch.setattr(library, "N_SHOWERS", sizes)
    monkeypatch.setattr(library, "N_ON_SOURCE", 12_000)
    monkeypatch.setattr(library, "N_DIFFUSE", 12_000)
    made = make_library(tmp_path / "new" / FILE, seed=3, progress=False)
    assert isinstance(made, ShowerLibrary)
    assert made.settings["seed"] == 3
    assert made.thrown["gamma"][ON_SOURCE].n_showers == 12_000
    assert made.thrown["proton"][0].n_thrown == 60_000
    assert len(made.gammas["set"]) > 500
    assert (made.gammas["set"] == ON_SOURCE).any()
    source = Source("x", SkyCoord(10, 20, unit="deg"), 1e-11, 2.5)
    assert find_source_rates(made, source, 0.6).sum() > 0
    assert not list(tmp_path.rglob("*.part"))
    read = read_library(tmp_path / "new" / FILE)
    np.testing.assert_array_equal(read.gammas["dx"], made.gammas["dx"])


@pytest.mark.parametrize("scale", [0, -1.0, np.nan])
def test_scale_must_be_positive(tmp_path, scale):
    with pytest.raises(ValueError, match="scale must be"):
        make_library(tmp_path / FILE, scale=scale, progress=False)


# Damage


@pytest.fixture(scope="module")
def arrays():
    with np.load(library.find_catalogs() / FILE) as kept:
        return {name: kept[name] for name in kept.files}


def test_packing_keeps_three_digits():
    names = (*FEATURES, *(f"standard_{name}" for name in library.STANDARD))
    events = QTable({name: np.array([1.2345, 7e4, -7e4]) for name in names})
    events["shower_id"] = [1, 2, 3]
    packed = library._pack(events)
    np.testing.assert_allclose(packed["reco_h_max"].astype(float)[0], 1.2345, rtol=5e-4)
    assert np.isfinite(packed["reco_h_max"]).all()


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "no header", "no column", "header"])
def test_a_damaged_file_is_named(tmp_path, arrays, damage):
    path = tmp_path / FILE
    whole = (library.find_catalogs() / FILE).read_bytes()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "text":
        path.write_text("this is not a library")
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        changed = dict(arrays)
        if damage == "no header":
            del changed["header"]
        elif damage == "no column":
            del changed["background.kind"]
        else:
            changed["header"] = np.array(json.dumps({"settings": {}}))
        np.savez(path, **changed)
    with pytest.raises(ValueError, match=rf"{re.escape(FILE)} must be a readable shower library"):
        read_library(path)


def test_columns_of_different_lengths_are_damage(tmp_path, arrays):
    path = tmp_path / FILE
    np.savez(path, **(arrays | {"gammas.dx": arrays["gammas.dx"][:-1]}))
    with pytest.raises(
        ValueError, match=r"must be a readable shower library.*lengths must be equal"
    ):
        read_library(path)


def test_an_absent_file_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_library(tmp_path / "nowhere.npz")
