"""Look-up tables: gammas are normal, energies unbiased, files safe."""

import numpy as np
import pytest

from astroml_kit.cherenkov import ScalingTables, reconstruct_stereo


@pytest.fixture(scope="module")
def tables(make_images, square_array):
    return ScalingTables.fit(
        make_images(6000, noise=1.5),
        telescopes=square_array,
        background=make_images(3000, noise=1.5, seed=2, widen=1.3),
    )


def test_gammas_scale_to_zero_and_background_does_not(tables, make_images, square_array):
    gammas = make_images(4000, noise=1.5, seed=3)
    events = reconstruct_stereo(gammas, telescopes=square_array, tables=tables)
    good = events["is_valid"]
    for name in ("width", "length"):
        assert abs(np.mean(events[f"mean_scaled_{name}"][good])) < 0.05
        assert np.mean(events[f"mean_scaled_{name}_off"][good]) < -0.8
    wide = make_images(4000, noise=1.5, seed=4, widen=1.3)
    wide = reconstruct_stereo(wide, telescopes=square_array, tables=tables)
    good = wide["is_valid"]
    assert np.mean(wide["mean_scaled_width"][good]) > 1
    assert abs(np.mean(wide["mean_scaled_width_off"][good])) < 0.05


def test_energy_has_no_bias_and_a_true_error(tables, make_images, square_array):
    events = make_images(6000, noise=1.5, seed=5)
    events = reconstruct_stereo(events, telescopes=square_array, tables=tables)
    events = events[events["is_valid"]]
    truth = events["true_energy"].value
    ratio = np.log(events["reco_energy"].value / truth)
    for low, high in ((0.25, 0.5), (0.5, 1), (1, 5), (5, 15)):
        inside = (truth > low) & (truth < high)
        assert abs(np.median(ratio[inside])) < 0.02
        assert np.quantile(np.abs(ratio[inside]), 0.68) < 0.15
    within = np.abs(events["reco_energy"].value - truth) < events["reco_energy_error"].value
    assert 0.64 < within.mean() < 0.72


def test_file_round_trip(tables, make_images, square_array, tmp_path):
    path = tables.save(tmp_path / "tables.zip")
    again = ScalingTables.load(path)
    images = make_images(200, noise=1.5, seed=6)
    one, two = (
        reconstruct_stereo(images, telescopes=square_array, tables=t) for t in (tables, again)
    )
    for name in one.colnames:
        np.testing.assert_array_equal(one[name], two[name])
    assert str(again) == str(tables)
