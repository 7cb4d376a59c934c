from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from astroml_kit.cherenkov import IRFs
from astroml_kit.cherenkov._responses import ResponseTable
from astroml_kit.cherenkov._rings import Ring, to_unit_vectors
from astroml_kit.cherenkov.cells import (
    ENERGY_EDGES,
    N_CELLS,
    RADIUS,
    SHAPE,
    THETA_EDGES,
    SignalPredictor,
    TargetRun,
    assign_bins,
    find_cell,
    rotate_about,
    select_target,
)
from astroml_kit.cherenkov.off_library import OffLibrary, OffRun, collect_off

SIGMA = 0.06  # deg, of a Gaussian point spread
AREA = 1e5  # m2


def bounds(edges):
    return np.stack([edges[:-1], edges[1:]], axis=1)


@pytest.fixture(scope="module")
def irfs():
    """A telescope with constant area, nearly perfect energies and a Gaussian point spread."""
    energy = bounds(np.geomspace(0.01, 200, 61))
    theta = bounds(np.array([0.0, 1.0, 2.0, 3.0]))
    migra = bounds(np.linspace(0.2, 1.8, 1601))
    rad = bounds(np.linspace(0, 0.8, 1601))
    shape = (len(theta), len(energy))
    density = np.exp(-0.5 * ((migra.mean(axis=1) - 1) / 0.005) ** 2)
    spread = np.exp(-0.5 * (rad.mean(axis=1) / SIGMA) ** 2)
    axes = {"THETA": theta, "ENERG": energy}
    return IRFs(
        aeff=ResponseTable(np.full(shape, AREA), axes),
        edisp=ResponseTable(
            np.broadcast_to(density, (*shape, len(migra))), {**axes, "MIGRA": migra}
        ),
        psf=ResponseTable(np.broadcast_to(spread, (*shape, len(rad))), {**axes, "RAD": rad}),
    )


@pytest.mark.parametrize("index", [2.0, 2.5, 3.5])
@pytest.mark.parametrize("extension", [0.0, 0.1])
def test_signal_in_all_cells_is_the_closed_form(irfs, index, extension):
    cells = SignalPredictor(irfs, offset=0.5).predict(index=index, extension=extension)
    flux = quad(lambda e: e**-index, ENERGY_EDGES[0], 100)[0]
    contained = 1 - np.exp(-0.5 * RADIUS**2 / (SIGMA**2 + extension**2))
    assert cells.shape == SHAPE
    assert cells.sum() == pytest.approx(AREA * 1e4 * flux * contained, rel=0.02)


def test_signal_falls_with_energy_and_angle_as_the_closed_form(irfs):
    cells = SignalPredictor(irfs, offset=0.5).predict(index=2.5)
    radial = cells.sum(axis=0) / cells.sum()
    rayleigh = np.diff(-np.exp(-0.5 * (THETA_EDGES / SIGMA) ** 2))
    np.testing.assert_allclose(radial, rayleigh / rayleigh.sum(), atol=2e-3)
    spectrum = cells.sum(axis=1)[5:40]
    slope = np.polyfit(np.log(ENERGY_EDGES[5:40]), np.log(spectrum), 1)[0]
    assert slope == pytest.approx(-1.5, abs=0.03)


def test_impossible_sources_are_refused(irfs):
    predictor = SignalPredictor(irfs, offset=0.5)
    with pytest.raises(ValueError, match="extension must be finite and >= 0"):
        predictor.predict(index=2.5, extension=-0.1)
    with pytest.raises(ValueError, match="index must be finite"):
        predictor.predict(index=np.nan)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 500), st.floats(0, 0.2))
def test_every_event_has_the_cell_whose_edges_hold_it(energy, theta):
    row, column = np.unravel_index(find_cell(np.array([energy]), np.array([theta]))[0], SHAPE)
    clipped = np.clip(energy, ENERGY_EDGES[0], ENERGY_EDGES[-1])
    assert ENERGY_EDGES[row] <= clipped <= ENERGY_EDGES[row + 1]
    assert THETA_EDGES[column] <= theta <= THETA_EDGES[column + 1]


def make_observation(rng, *, obs_id=1, n_events=4000, n_source=0, ra=10.0, dec=-20.0):
    """Events uniform within 2 deg of the pointing, and a source half a degree north of it."""
    pointing = SkyCoord(ra, dec, unit="deg")
    source = pointing.directional_offset_by(0 * u.deg, 0.5 * u.deg)
    away = 2 * np.sqrt(rng.random(n_events)) * u.deg
    sky = pointing.directional_offset_by(rng.uniform(0, 360, n_events) * u.deg, away)
    near = source.directional_offset_by(
        rng.uniform(0, 360, n_source) * u.deg, rng.rayleigh(SIGMA, n_source) * u.deg
    )
    energy = 0.2 * (1 - rng.random(n_events + n_source)) ** (-1 / 1.7)
    events = QTable(
        {
            "reco_ra": np.concatenate([sky.ra.deg, near.ra.deg]) * u.deg,
            "reco_dec": np.concatenate([sky.dec.deg, near.dec.deg]) * u.deg,
            "reco_energy": energy * u.TeV,
        }
    )
    return source, SimpleNamespace(
        obs_id=obs_id,
        pointing=pointing,
        live_time=1600 * u.s,
        zenith=20 * u.deg,
        muon_efficiency=1.0,
        events=events,
    )


def test_select_counts_what_is_there():
    source, observation = make_observation(np.random.default_rng(3), n_source=200)
    run = select_target(observation, source)
    events = SkyCoord(observation.events["reco_ra"], observation.events["reco_dec"])
    assert len(run.on_energy) == (events.separation(source) < RADIUS * u.deg).sum()
    assert run.offset == pytest.approx(0.5)
    assert run.background == pytest.approx(4000 * RADIUS**2 / 4, rel=0.3)
    counts = run.count_box(energy_min=0.0, theta_max=0.11)
    assert counts.significance > 10
    assert counts.excess == pytest.approx(200 * (1 - np.exp(-0.5 * (0.11 / SIGMA) ** 2)), rel=0.2)
    assert "run 1" in str(run)


def test_box_and_bins_agree_on_the_totals():
    source, observation = make_observation(np.random.default_rng(4), n_source=30)
    run = select_target(observation, source)
    table = np.arange(N_CELLS) % 8
    bins = run.fill_bins(table, np.ones(N_CELLS))
    whole = run.count_box(energy_min=0.0, theta_max=1.0)
    assert bins.n_on.sum() == whole.n_on
    assert bins.background.sum() == pytest.approx(run.background)
    assert whole.background == pytest.approx(run.background)
    assert bins.signal.sum() == N_CELLS


def test_an_empty_box_has_a_significance():
    source, observation = make_observation(np.random.default_rng(5), n_events=300)
    run = select_target(observation, source)
    counts = run.count_box(energy_min=1e6, theta_max=0.1)
    assert (counts.n_on, counts.n_off, counts.significance) == (0, 0, 0)


def test_bins_hold_equal_signal_and_follow_the_score():
    rng = np.random.default_rng(6)
    scores = [rng.normal(size=N_CELLS), rng.normal(size=N_CELLS) + 1]
    signals = [rng.random(N_CELLS), 3 * rng.random(N_CELLS)]
    tables = assign_bins(scores, signals, n_bins=8)
    total = sum(
        np.bincount(table, weights=signal, minlength=8)
        for table, signal in zip(tables, signals, strict=True)
    )
    np.testing.assert_allclose(total, total.mean(), rtol=0.01)
    both = np.concatenate(scores), np.concatenate(tables)
    order = np.argsort(both[0])
    assert np.all(np.diff(both[1][order]) >= 0)


def make_off_run(rng, *, obs_id=1, zenith=20.0, ra=0.0, index=2.7, n_events=5000):
    energy = 0.2 * (1 - rng.random(n_events)) ** (-1 / (index - 1))
    offset, ones = rng.uniform(0, 1, n_events), np.ones(n_events, dtype=bool)
    pointing = SkyCoord(ra, 0, unit="deg")
    return OffRun(obs_id, pointing, zenith, 1.0, energy, offset, np.nan * offset, ones)


def test_background_follows_runs_of_like_zenith_angle():
    rng = np.random.default_rng(7)
    library = OffLibrary(
        (make_off_run(rng, index=2.4, zenith=10), make_off_run(rng, index=3.4, zenith=60, obs_id=2))
    )
    conditions = {"muon_efficiency": 1.0, "offset": 0.5}
    hard = library.predict_background(zenith=10, **conditions)
    soft = library.predict_background(zenith=60, **conditions)
    assert hard.sum() == pytest.approx(1)
    assert hard[30:].sum() > 3 * soft[30:].sum()
    radial = hard.sum(axis=0)
    np.testing.assert_allclose(radial, np.diff(THETA_EDGES**2) / RADIUS**2)  # uniform in the disc
    assert np.all(hard > 0)


def test_a_run_without_muon_efficiency_is_compared_by_zenith_alone():
    rng = np.random.default_rng(7)
    library = OffLibrary((make_off_run(rng),))
    cells = library.predict_background(zenith=20, muon_efficiency=np.nan, offset=0.5)
    assert cells.sum() == pytest.approx(1)


def test_leave_out_drops_the_field_and_refuses_to_be_empty():
    rng = np.random.default_rng(8)
    library = OffLibrary((make_off_run(rng), make_off_run(rng, ra=30, obs_id=2)))
    left = library.leave_out(SkyCoord(359, 1, unit="deg"))
    assert [run.obs_id for run in left.runs] == [2]
    with pytest.raises(ValueError, match="must come from other fields"):
        left.leave_out(SkyCoord(30, 1, unit="deg"))


def test_collect_off_leaves_out_sources_and_the_object():
    rng = np.random.default_rng(9)
    source, observation = make_observation(rng, n_events=500, n_source=900)
    everything = collect_off([observation])
    clear = collect_off([observation], exclusions=[(source, 0.3 * u.deg)])
    assert len(everything.runs[0].energy) == 1400
    assert len(clear.runs[0].energy) < 500
    observation.events.meta.update(RA_OBJ=source.ra.deg, DEC_OBJ=source.dec.deg)
    assert len(collect_off([observation]).runs[0].energy) < 500
    assert "background events" in str(clear)


def test_the_arrays_of_a_run_do_not_depend_on_the_order_of_events():
    rng = np.random.default_rng(10)
    source, observation = make_observation(rng, n_source=50)
    run = select_target(observation, source)
    observation.events = observation.events[rng.permutation(len(observation.events))]
    again = select_target(observation, source)
    assert isinstance(again, TargetRun)
    table = np.arange(N_CELLS) // 200
    first, second = (r.fill_bins(table, np.ones(N_CELLS)) for r in (run, again))
    np.testing.assert_array_equal(first.n_on, second.n_on)
    np.testing.assert_allclose(first.covariance, second.covariance)


def test_rotation_goes_with_the_ring():
    axis, start = to_unit_vectors(10, 20), to_unit_vectors(10.3, 20.7)
    angles = np.array([0.3, 1.0, 2.5, -2.0])
    turned = rotate_about(np.tile(start, (4, 1)), axis, angles)
    np.testing.assert_allclose(turned, Ring.through(axis, start).locate(angles), atol=1e-14)
