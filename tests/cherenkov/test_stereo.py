"""Reconstructed showers: exact without noise, the same in every order and frame, never silent."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, vstack

from astroml_kit.cherenkov import reconstruct_stereo

EXACT = {"fov_lon": 1e-9, "fov_lat": 1e-9, "core_x": 1e-6, "core_y": 1e-6, "h_max": 1e-4}


@pytest.mark.parametrize("zenith", [0.0, 35.0])
def test_ideal_images_give_the_truth(make_images, square_array, zenith):
    images = make_images(300, zenith=zenith)
    events = reconstruct_stereo(images, telescopes=square_array, max_cog=9, min_intensity=0)
    assert events["is_valid"].all()
    for name, tolerance in EXACT.items():
        difference = (events[f"reco_{name}"] - events[f"true_{name}"]).value
        assert np.abs(difference).max() < tolerance, name
    assert np.all(events["n_images"] == 4)


def test_parallel_axes_are_not_valid(square_array):
    images = QTable({
        "obs_id": [1, 1], "event_id": [1, 1], "tel_id": [1, 2], "hillas_intensity": [300.0, 300],
        "hillas_x": [0.5, 0.5] * u.deg, "hillas_y": [0.2, -0.2] * u.deg,
        "hillas_length": [0.2, 0.2] * u.deg, "hillas_width": [0.1, 0.1] * u.deg,
        "hillas_psi": [10.0, 10.0] * u.deg, "morphology_n_pixels": [9, 9],
    })  # fmt: skip
    events = reconstruct_stereo(images, telescopes=square_array)
    assert not events["is_valid"][0]
    assert events.meta["n_events_parallel"] == 1
    assert all(np.isnan(events[name][0]) for name in events.colnames if name.startswith("reco_"))


def test_what_cannot_be_used_is_counted(make_images, square_array):
    images = make_images(50)
    images["hillas_psi"][0] = np.nan * u.deg
    images["tel_id"][5] = 99
    images["hillas_intensity"][9] = 10.0
    images["morphology_n_pixels"][14] = 2
    images["hillas_x"][17] = 3 * u.deg
    images = vstack([images, images[20:22], images[24:25]])
    lonely = images["event_id"] == 10
    images = images[~lonely | (images["tel_id"] == 1)]
    events = reconstruct_stereo(images, telescopes=square_array, min_intensity=20, max_cog=2.9)
    assert {name: events.meta[name] for name in events.meta if name.startswith("n_")} == {
        "n_images": 200,
        "n_images_unknown_telescope": 1,
        "n_images_not_finite": 1,
        "n_images_faint": 1,
        "n_images_few_pixels": 1,
        "n_images_far_out": 1,
        "n_images_duplicate": 3,
        "n_images_used": 192,
        "n_events_few_images": 1,
        "n_events_parallel": 0,
    }
    assert len(events) == 50
    assert not events["is_valid"][10]
