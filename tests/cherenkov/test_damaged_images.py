"""Damaged camera images through the whole chain: counted, masked, and no harm to their neighbours.

Charges are cleaned, measured, reconstructed in stereo, given scaled shapes and an energy, selected.
Every kind of damage is done to some events; the others must come out bit for bit as before.
"""

import astropy.units as u
import numpy as np
import pytest

from astroml_kit.cherenkov import (
    CameraGeometry,
    ScalingTables,
    clean_images,
    extract_hillas,
    reconstruct_stereo,
    select_standard,
    simulate_showers,
    train_direction,
    train_energy,
)
from astroml_kit.models import BDTRegressor

SMALL = BDTRegressor(n_estimators=20, max_leaves=8, random_state=1)
IDS = ("obs_id", "event_id", "tel_id")


@pytest.fixture(scope="module")
def camera():
    return CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=960)


@pytest.fixture(scope="module")
def simulated(camera):
    return simulate_showers(
        "gamma",
        n_showers=2500,
        energy_min=0.3 * u.TeV,
        camera=camera,
        images=True,
        rng=4,
        progress=False,
    )


def measure(table, camera, charges):
    masks = clean_images(charges, camera=camera, picture_threshold=10, boundary_threshold=5)
    ids = {name: table[name] for name in IDS}
    hillas = extract_hillas(charges, camera=camera, masks=masks, **ids)
    for name in ("shower_id", "true_energy", "true_fov_lon", "true_fov_lat"):
        hillas[name] = table[name]
    hillas.meta |= {name: table.meta[name] for name in ("zenith", "telescopes")}
    return hillas


@pytest.fixture(scope="module")
def chain(simulated, camera):
    """Everything that follows the charges, learned on whole images."""
    hillas = measure(simulated, camera, simulated["image"])
    tables = ScalingTables.fit(
        hillas,
        offset_nodes=[0.5] * u.deg,
        impact_nodes=np.arange(25, 300, 50) * u.m,
        size_nodes=np.geomspace(80, 2e4, 6),
        min_count=5,
    )
    energy = train_energy(reconstruct_stereo(hillas, tables=tables), model=SMALL)
    direction = train_direction(hillas, model=SMALL)

    def run(charges):
        measured = measure(simulated, camera, charges)
        events = energy.predict(reconstruct_stereo(measured, tables=tables))
        sharper = direction.predict(events, measured)
        for name in ("reco_fov_lon", "reco_fov_lat", "reco_direction_error"):
            events[f"learned_{name}"] = sharper[name]
        events["selected"] = np.isin(
            np.asarray(events["event_id"]), np.asarray(select_standard(events)["event_id"])
        )
        return measured, events

    return run


@pytest.fixture(scope="module")
def whole(simulated, chain):
    return chain(np.array(simulated["image"]))


def damage(kind, charges, rows, rng):
    """Change the images ``rows`` in place."""
    brightest = charges[rows].argmax(axis=1)
    if kind == "some NaN pixels":
        charges[rows] = np.where(rng.random(charges[rows].shape) < 0.05, np.nan, charges[rows])
    elif kind == "brightest pixel NaN":
        charges[rows, brightest] = np.nan
    elif kind == "dead telescope":
        charges[rows] = np.nan
    elif kind == "all zero":
        charges[rows] = 0.0
    elif kind == "one bright pixel":
        charges[rows] = 0.0
        charges[rows, 480] = 1e6
    elif kind == "infinite pixel":
        charges[rows, brightest] = np.inf
    elif kind == "negative":
        charges[rows] = -charges[rows]
    else:
        raise AssertionError(kind)


KINDS = (
    "some NaN pixels",
    "brightest pixel NaN",
    "dead telescope",
    "all zero",
    "one bright pixel",
    "infinite pixel",
    "negative",
)
NO_IMAGE = ("dead telescope", "all zero", "one bright pixel", "negative")


def assert_same(one, two):
    for name in two.colnames:
        np.testing.assert_array_equal(np.asarray(one[name]), np.asarray(two[name]), err_msg=name)


@pytest.mark.parametrize("share", ["one image", "all but one", "whole event"])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_stays_where_it_is(simulated, chain, whole, kind, share):
    rng = np.random.default_rng(5)
    charges = np.array(simulated["image"])
    events, first, number = np.unique(
        np.asarray(simulated["event_id"]), return_index=True, return_inverse=True
    )
    hurt = number % 3 == 0
    if share == "one image":
        hurt[np.setdiff1d(np.arange(len(hurt)), first)] = False
    elif share == "all but one":
        hurt[first] = False
    damage(kind, charges, np.flatnonzero(hurt), rng)
    before = charges.copy()
    measured, after = chain(charges)
    np.testing.assert_array_equal(charges, before)

    healthy = np.ones(len(events), dtype=bool)
    healthy[number[hurt]] = False
    assert healthy.sum() > len(events) / 2
    assert len(after) == len(events)
    assert_same(after[healthy], whole[1][healthy])
    assert_same(measured[~hurt], whole[0][~hurt])

    # what is claimed is a number; what is not claimed is none
    valid = np.asarray(after["is_valid"])
    for name in ("reco_fov_lon", "reco_core_x", "reco_energy", "learned_reco_fov_lon"):
        values = np.asarray(after[name])
        assert not np.isfinite(values[~valid]).any(), name
    for name in ("reco_fov_lon", "reco_core_x", "learned_reco_fov_lon"):
        assert np.isfinite(np.asarray(after[name])[valid]).all(), name
    assert not np.asarray(after["selected"])[~valid].any()
    too_few = after.meta["n_events_few_images"] + after.meta["n_events_parallel"]
    assert (~valid).sum() == too_few

    if kind in NO_IMAGE:
        few = np.asarray(after["n_images"])[~healthy]
        assert few.max() <= (1 if share == "all but one" else 0 if share == "whole event" else 3)
        if share != "one image":
            assert not valid[~healthy].any()
            assert after.meta["n_events_few_images"] >= (~healthy).sum()


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("dead telescope", "n_without_charges"),
        ("dead telescope", "n_without_parameters"),
        ("all zero", "n_without_parameters"),
        ("some NaN pixels", "n_nan_pixels"),
        ("infinite pixel", "n_nan_pixels"),
    ],
)
def test_damage_is_counted(simulated, chain, whole, kind, count):
    charges = np.array(simulated["image"])
    rows = np.arange(0, len(charges), 5)
    damage(kind, charges, rows, np.random.default_rng(6))
    measured, _ = chain(charges)
    expected = {"n_nan_pixels": int((~np.isfinite(charges)).sum())}.get(count, len(rows))
    lost_before = np.isnan(whole[0]["hillas_intensity"])
    if count == "n_without_parameters":
        expected += int(np.delete(lost_before, rows).sum())
    assert measured.meta[count] == expected


def test_an_array_of_one_telescope_has_no_stereo(simulated, chain, camera):
    charges = np.array(simulated["image"])
    charges[np.asarray(simulated["tel_id"]) != 1] = np.nan
    _, events = chain(charges)
    assert not np.asarray(events["is_valid"]).any()
    assert events.meta["n_events_few_images"] == len(events)
    assert np.isnan(np.asarray(events["reco_energy"])).all()
