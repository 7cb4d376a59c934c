import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.cherenkov import (
    NoOffRegionError,
    count_on_off,
    find_reflected_regions,
    find_rotated_discs,
    read_known_sources,
    read_observations,
)
from astroml_kit.cherenkov._rings import to_degrees, to_unit_vectors

RADIUS = 0.11 * u.deg
CRAB = SkyCoord(83.633083, 22.0145, unit="deg")
CEN_A = SkyCoord(201.365063, -43.019112, unit="deg")
MSH_15_52 = SkyCoord(228.5290, -59.1575, unit="deg")
NGC_253 = SkyCoord(11.888, -25.288, unit="deg")


def make_run(ra, dec, *, pointing, energy=None, obs_id=1, **more):
    """A run with only what counting needs."""
    events = QTable({"reco_ra": ra * u.deg, "reco_dec": dec * u.deg})
    if energy is not None:
        events["reco_energy"] = energy * u.TeV
    return SimpleNamespace(
        obs_id=obs_id, pointing=pointing, live_time=28 * u.min, events=events, **more
    )


def make_events(pointing, rng, *, n=4000, width=1.0):
    """Positions (deg) with a Gaussian acceptance about the pointing, exact on the sphere."""
    away = width * np.sqrt(-2 * np.log(rng.random(n))) * u.deg
    there = pointing.directional_offset_by(rng.uniform(0, 360, n) * u.deg, away)
    return there.ra.deg, there.dec.deg


def turn(position, matrix):
    """Turn the whole sky."""
    vectors = to_unit_vectors(position.ra.deg, position.dec.deg) @ matrix.T
    return SkyCoord(*to_degrees(vectors), unit="deg")


def draw_rotation(rng):
    matrix, upper = np.linalg.qr(rng.standard_normal((3, 3)))
    matrix = matrix * np.sign(np.diag(upper))
    return matrix * np.linalg.det(matrix)  # a turn, not a mirror


# ----------------------------------------------------------------------------------- counting


@pytest.mark.parametrize("background", ["reflected", "rotated"])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_counts_do_not_change_when_the_whole_sky_turns(background, seed):
    rng = np.random.default_rng(seed)
    pointing = SkyCoord(83.633083, 21.5145, unit="deg")
    other = SkyCoord(84.0, 21.3, unit="deg")
    events = SkyCoord(*make_events(pointing, rng, n=2000), unit="deg")
    matrix = draw_rotation(rng)

    def count(move):
        moved = move(events)
        run = make_run(moved.ra.deg, moved.dec.deg, pointing=move(pointing))
        result = count_on_off(
            [run],
            move(CRAB),
            radius=RADIUS,
            background=background,
            exclusions=[(move(other), 0.1 * u.deg)],
        )
        return [result.table[name][0] for name in ("n_on", "n_off", "n_regions", "alpha")]

    expected = count(lambda position: position)
    np.testing.assert_allclose(count(lambda position: turn(position, matrix)), expected)
    assert expected[1] > 0


@pytest.mark.parametrize(("ra", "dec"), [(0, 0), (359.9, 30), (12, 90), (40, -89.8), (180, -60)])
@pytest.mark.parametrize("background", ["reflected", "rotated"])
def test_counts_are_those_that_separations_give(ra, dec, background):
    pointing = SkyCoord(ra, dec, unit="deg")
    target = pointing.directional_offset_by(30 * u.deg, 0.5 * u.deg)
    events = SkyCoord(*make_events(pointing, np.random.default_rng(4)), unit="deg")
    run = make_run(events.ra.deg, events.dec.deg, pointing=pointing)
    row = count_on_off([run], target, radius=RADIUS, background=background).table[0]
    assert row["n_on"] == np.sum(events.separation(target) < RADIUS) > 0
    if background == "reflected":
        regions = find_reflected_regions(pointing, target, radius=RADIUS)
    else:
        regions = find_rotated_discs(pointing, target, radius=RADIUS)
    inside = events[:, None].separation(regions.centres[None, :]) < RADIUS
    assert row["n_regions"] == len(regions)
    assert row["alpha"] == pytest.approx(regions.alpha)
    # alpha n_off is the mean over the regions in both cases
    assert row["alpha"] * row["n_off"] == pytest.approx(inside.sum() / len(regions))


def make_null(seed, n_runs):
    rng = np.random.default_rng(seed)
    for number in range(n_runs):
        pointing = SkyCoord(rng.uniform(0, 360), rng.uniform(-85, 85), unit="deg")
        ra, dec = make_events(pointing, rng, n=rng.poisson(3000))
        target = pointing.directional_offset_by(rng.uniform(0, 360) * u.deg, 0.5 * u.deg)
        yield make_run(ra, dec, pointing=pointing, obs_id=number), target


@pytest.mark.parametrize("background", ["reflected", "rotated"])
def test_no_signal_gives_a_standard_normal(background):
    runs, targets = zip(*make_null(5, 500), strict=True)
    result = count_on_off(runs, SkyCoord(targets), radius=RADIUS, background=background)
    found = measure_significances(result)
    assert len(found) == 500
    assert abs(found.mean()) < 3 / np.sqrt(500)
    assert found.std() == pytest.approx(1, abs=3 / np.sqrt(2 * 500))


def measure_significances(result):
    from astroml_kit.significance import li_ma_significance

    table = result.table
    return li_ma_significance(table["n_on"], table["n_off"], alpha=table["alpha"])


def test_energies_are_half_open():
    pointing = SkyCoord("0d 0.5d")
    energy = np.array([0.5, 0.999, 1.0, 1.5, 2.0])
    run = make_run(np.zeros(5), np.zeros(5), pointing=pointing, energy=energy)
    target = SkyCoord("0d 0d")

    def count(**limits):
        return count_on_off([run], target, radius=RADIUS, **limits).table["n_on"][0]

    assert count() == 5
    assert count(energy_min=1 * u.TeV, energy_max=2 * u.TeV) == 2
    assert count(energy_min=1000 * u.GeV) == 3
    assert count(energy_max=1 * u.TeV) == 2


class FakeIRFs:
    """An effective area of 1, 10, 100 at 0.1, 1, 10 TeV, halved at 1 deg."""

    aeff = SimpleNamespace(get_nodes=lambda axis: np.array([-1.0, 0.0, 1.0]))

    def effective_area(self, energy, offset):
        return np.asarray(energy) * 10 * (1 - 0.5 * offset) * (offset < 2)


def test_each_run_may_have_its_own_threshold():
    pointing = SkyCoord("0d 0.5d")
    energy = np.array([0.2, 2.0, 20.0])
    more = {"energy_threshold": 1.0 * u.TeV, "read_irfs": FakeIRFs}
    run = make_run(np.zeros(3), np.zeros(3), pointing=pointing, energy=energy, **more)

    def count(threshold, **other):
        result = count_on_off([run], SkyCoord("0d 0d"), radius=RADIUS, threshold=threshold, **other)
        return result.table["n_on"][0], result.table["energy_min"].to_value("TeV")[0]

    assert count("none") == (3, 0.0)
    assert count("file") == (2, 1.0)
    assert count("file", energy_min=5 * u.TeV) == (1, 5.0)
    # 10 % of the maximum lies exactly on the second node; 50 % four ninths beyond it
    assert count("aeff-max") == (2, pytest.approx(1.0))
    assert count("aeff-max", aeff_fraction=0.5) == (1, pytest.approx(10 ** (4 / 9)))
    assert count("aeff-max", aeff_fraction=0.001) == (3, pytest.approx(0.1))


def test_runs_that_cannot_be_counted_are_named_and_left_out():
    target = SkyCoord("0d 0d")
    where = {1: "0d 0.5d", 2: "0d 0d", 3: "0d 0.05d", 4: "0d 2.2d", 5: "0d 0.5d", 6: "0d 5d"}
    runs = []
    for obs_id, position in where.items():
        threshold = np.nan if obs_id == 5 else 0.1
        more = {"energy_threshold": threshold * u.TeV, "read_irfs": FakeIRFs}
        runs.append(
            make_run(
                np.zeros(2),
                np.zeros(2),
                pointing=SkyCoord(position),
                energy=np.ones(2),
                obs_id=obs_id,
                **more,
            )
        )
    result = count_on_off(runs, target, radius=RADIUS, threshold="file", max_offset=3 * u.deg)
    assert result.table["obs_id"].tolist() == [1, 4]
    assert result.dropped["obs_id"].tolist() == [2, 3, 5, 6]
    assert result.dropped["reason"].tolist() == [
        "the target is 0 deg from the pointing, not more than the ON radius of 0.11 deg",
        "the target is 0.05 deg from the pointing, not more than the ON radius of 0.11 deg",
        "the file has no energy threshold (LO_THRES)",
        "the target is more than 3 deg from the pointing",
    ]
    assert np.all(np.isfinite(result.table["alpha"]))
    assert result.counts.n_on == 4

    by_area = count_on_off(runs, target, radius=RADIUS, threshold="aeff-max")
    assert by_area.dropped["obs_id"].tolist() == [2, 3, 4, 6]
    assert by_area.dropped["reason"][2] == "the effective area at the target's offset is 0"

    full = [(SkyCoord("0d 0.5d"), 1 * u.deg)]
    excluded = count_on_off(runs[:1], target, radius=RADIUS, exclusions=full)
    assert excluded.dropped["reason"][0].startswith("no OFF region of 0.11 deg fits on the ring")
    with pytest.raises(NoOffRegionError, match=r"no run is left of 1: no OFF region"):
        _ = excluded.counts
    assert "nothing counted" in str(excluded)
    assert json.loads(json.dumps(excluded.to_dict()))["stacked"] == {}
    nothing = count_on_off([], target, radius=RADIUS)
    assert (len(nothing), len(nothing.dropped)) == (0, 0)
    with pytest.raises(NoOffRegionError, match="there were none"):
        _ = nothing.counts


def test_a_run_without_events_counts_zero():
    run = make_run(np.array([]), np.array([]), pointing=SkyCoord("0d 0.5d"))
    for background in ("reflected", "rotated"):
        result = count_on_off([run], SkyCoord("0d 0d"), radius=RADIUS, background=background)
        assert (result.table["n_on"][0], result.table["n_off"][0]) == (0, 0)
        assert 0 < result.table["alpha"][0] < 1
        assert result.counts.significance == 0


def test_runs_are_read_one_at_a_time():
    alive = []

    def read():
        for number in range(5):
            run = make_run(np.zeros(1), np.zeros(1), pointing=SkyCoord("0d 0.5d"), obs_id=number)
            alive.append(number)
            yield run

    rows = count_on_off(read(), SkyCoord("0d 0d"), radius=RADIUS, progress=True).table
    assert rows["obs_id"].tolist() == alive == list(range(5))


def test_one_target_per_run():
    runs = [
        make_run(np.zeros(1), np.zeros(1), pointing=SkyCoord("0d 0.5d"), obs_id=number)
        for number in (1, 2)
    ]
    targets = SkyCoord([0, 0], [0, 1], unit="deg")
    result = count_on_off(runs, targets, radius=RADIUS)
    assert result.table["n_on"].tolist() == [1, 0]
    assert result.to_dict()["target"] == {"ra_deg": [0, 0], "dec_deg": [0, 1]}
    with pytest.raises(ValueError, match=r"one position or one per run \(1 runs\), got shape"):
        count_on_off(runs[:1], targets, radius=RADIUS)


def test_the_input_is_untouched_and_the_result_is_plain():
    pointing = SkyCoord(83.633083, 21.5145, unit="deg")
    ra, dec = make_events(pointing, np.random.default_rng(6))
    run = make_run(ra, dec, pointing=pointing, energy=np.ones(len(ra)))
    before = run.events.copy()
    result = count_on_off([run], CRAB, radius=RADIUS, energy_min=0.5 * u.TeV)
    for name in before.colnames:
        np.testing.assert_array_equal(before[name], run.events[name])
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["runs"]["n_on"] == [int(result.table["n_on"][0])]
    assert plain["stacked"]["significance"] == pytest.approx(result.counts.significance)
    assert plain["live_time_h"] == pytest.approx(28 / 60)
    assert str(result).startswith("1 runs, 0.47 h, 0 dropped: n_on ")
    with pytest.raises(AttributeError):
        result.table = None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"background": "ring"}, r"background must be one of \['reflected', 'rotated'\]"),
        ({"threshold": "safe"}, "threshold must be one of"),
        ({"energy_min": 0.5}, "energy_min must be an energy with a unit, got 0.5. Write"),
        ({"energy_min": -1 * u.TeV}, "energy_min in TeV must be finite and > 0"),
        ({"energy_min": 2 * u.TeV, "energy_max": 1 * u.TeV}, r"energy_max must be > energy_min"),
        ({"aeff_fraction": 10}, "aeff_fraction must be finite and > 0 and <= 1"),
        ({"n_rotations": 1}, "n_rotations must be"),
        ({"energy_max": 1 * u.TeV}, r"events lacks the columns \['reco_energy'\]"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    run = make_run(np.zeros(1), np.zeros(1), pointing=SkyCoord("0d 0.5d"))
    with pytest.raises(ValueError, match=message):
        count_on_off([run], SkyCoord("0d 0d"), radius=RADIUS, **arguments)


# -------------------------------------------------------------------------------- real events

MSH_RUNS = (
    *(20136, 20137, 20151, 20282, 20283, 20301, 20302, 20303, 20322, 20323),
    *(20324, 20325, 20343, 20344, 20345, 20346, 20365, 20366, 20367, 20368),
)
CRAB_RUNS = (23523, 23526, 23559, 23592)
NGC_253_RUNS = (29024, 29072, 29118, 29487)
A = {"energy_min": 0.1 * u.TeV, "energy_max": 100 * u.TeV}
B = {"energy_min": 0.66 * u.TeV, "energy_max": 30 * u.TeV, "threshold": "aeff-max"}


@pytest.fixture(scope="module")
def hess():
    root = os.environ.get("ASTROML_KIT_DATA")
    if not root or not (Path(root) / "hess-dl3-dr1").is_dir():
        pytest.skip("needs hess-dl3-dr1: set ASTROML_KIT_DATA to the folder that holds it")
    return Path(root) / "hess-dl3-dr1"


@pytest.fixture(scope="module")
def read_runs(hess):
    """Read runs without the warning for the 18 that the index lists and the archive lacks."""

    def read(obs_ids=None):
        if obs_ids is not None:
            return read_observations(hess, obs_ids=obs_ids)
        with pytest.warns(UserWarning, match="18 of 105 runs"):
            return read_observations(hess)

    return read


# gammapy 2.1: reflected regions with its default settings, radius 0.11 deg, 0.35 deg exclusion
# around the source, ten energy bins; n_on per run, then the stack (n_on, n_off, alpha, sigma).
PEER = {
    "crab-A": (CRAB, CRAB_RUNS, A, [189, 199, 168, 142], (698, 1404, 0.04370, 43.33)),
    "crab-B": (CRAB, CRAB_RUNS, B, [164, 132, 121, 121], (538, 851, 0.04465, 40.15)),
    "msh-A": (
        MSH_15_52,
        MSH_RUNS,
        A,
        [48, 23, 60, 46, 37, 49, 63, 59, 59, 53, 62, 58, 45, 51, 60, 55, 59, 62, 67, 44],
        (1060, 6244, 0.10075, 14.76),
    ),
    "msh-B": (
        MSH_15_52,
        MSH_RUNS,
        B,
        [17, 13, 21, 16, 14, 19, 33, 27, 27, 21, 18, 24, 19, 28, 21, 22, 20, 25, 18, 13],
        (416, 1397, 0.09991, 17.57),
    ),
    "cen-a-A": (CEN_A, (20339,), A, [45], (45, 819, 0.0625, -0.86)),
    "cen-a-B": (CEN_A, (20339,), B, [7], (7, 69, 0.0625, 1.14)),
    "ngc-253-A": (NGC_253, NGC_253_RUNS, A, [33, 13, 18, 29], (93, 1407, 0.0625, 0.52)),
}


@pytest.mark.data
@pytest.mark.parametrize("placement", ["stepped", "packed"])
@pytest.mark.parametrize("name", PEER)
def test_hess_counts_agree_with_gammapy(read_runs, name, placement):
    target, obs_ids, settings_, n_on, (stacked_on, n_off, alpha, significance) = PEER[name]
    result = count_on_off(
        read_runs(obs_ids),
        target,
        radius=RADIUS,
        exclusions=[(target, 0.35 * u.deg)],
        placement=placement,
        **settings_,
    )
    assert result.table["n_on"].tolist() == n_on
    assert result.counts.n_on == stacked_on
    # the excess to 3 %, or where there is none, to a twentieth of its error
    excess, error = stacked_on - alpha * n_off, np.sqrt(stacked_on + alpha**2 * n_off)
    assert abs(result.counts.excess - excess) < max(0.03 * abs(excess), 0.2 * error)
    assert result.counts.significance == pytest.approx(significance, abs=0.5)


@pytest.mark.data
def test_hess_runs_without_a_reflected_region_are_named(read_runs):
    # seven runs point at their target
    runs = read_runs()
    targets = SkyCoord(runs.table["ra_obj"], runs.table["dec_obj"])
    result = count_on_off(runs, targets, radius=RADIUS)
    assert (len(result), len(result.dropped)) == (80, 7)
    assert set(result.dropped["obs_id"]) == {20561, 20898, 20899, 20900, 29433, 29526, 29683}


@pytest.mark.data
@pytest.mark.parametrize("background", ["reflected", "rotated"])
def test_hess_empty_sky_gives_a_standard_normal(read_runs, background):
    # fields without a source in gamma-cat within 3 deg of the pointing; three positions per run
    sources = read_known_sources()["position"]
    runs = read_runs()
    nearest = runs.pointings[:, None].separation(sources[None, :]).min(axis=1)
    empty = runs.select(nearest > 3 * u.deg)
    assert len(empty) >= 15
    found = []
    for angle in (40, 160, 280) * u.deg:
        targets = empty.pointings.directional_offset_by(angle, 0.5 * u.deg)
        result = count_on_off(empty, targets, radius=RADIUS, background=background)
        found.append(measure_significances(result))
    found = np.concatenate(found)
    assert abs(found.mean()) < 3.5 / np.sqrt(len(found))
    assert found.std() == pytest.approx(1, abs=3.5 / np.sqrt(2 * len(found)))
