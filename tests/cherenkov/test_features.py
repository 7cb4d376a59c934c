"""Features say what their formulas say, leave out what gives the simulation away, know showers."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.cherenkov import extract_samples, list_features, read_events
from astroml_kit.cherenkov._derived import DERIVED
from astroml_kit.datasets import fetch_dataset
from astroml_kit.samples import Samples


def make_magic(n=1, **columns):
    """The second event of the MAGIC file, n times."""
    row = {
        "hillas_length": 31.6036 * u.mm,
        "hillas_width": 11.7235 * u.mm,
        "hillas_log10_size": 2.5185,
        "concentration_2pix": 0.5303,
        "concentration_1pix": 0.3773,
        "asymmetry": 26.2722 * u.mm,
        "m3_long": 23.8238 * u.mm,
        "m3_trans": -9.9574 * u.mm,
        "alpha": 6.3609 * u.deg,
        "distance": 205.261 * u.mm,
        "is_gamma": True,
    }
    row = {name: np.full(n, getattr(value, "value", value)) for name, value in row.items()}
    table = QTable(row | columns)
    for name in ("hillas_length", "hillas_width", "asymmetry", "m3_long", "m3_trans", "distance"):
        table[name].unit = u.mm
    table["alpha"].unit = u.deg
    return table


def test_classical_features_by_hand():
    names = [
        "log10_area", "log10_density", "width_over_length", "miss", "along", "elongation",
        "asym_over_length", "m3_long_over_length", "m3_trans_over_width", "conc_ratio",
    ]  # fmt: skip
    samples = extract_samples(make_magic(), features=names)
    alpha = np.radians(6.3609)
    expected = [
        np.log10(31.6036 * 11.7235),
        2.5185 - np.log10(31.6036 * 11.7235),
        11.7235 / 31.6036,
        205.261 * np.sin(alpha),
        205.261 * np.cos(alpha),
        1 - 11.7235 / 31.6036,
        26.2722 / 31.6036,
        23.8238 / 31.6036,
        9.9574 / 11.7235,
        0.3773 / 0.5303,
    ]
    np.testing.assert_allclose(samples.X[0], expected, rtol=1e-12)
    assert samples.feature_names == tuple(names)


def test_raw_and_derived_sets():
    events = make_magic(3)
    raw, derived = (extract_samples(events, features=kind) for kind in ("hillas", "derived"))
    assert raw.X.shape == (3, 10)
    assert derived.feature_names[:10] == raw.feature_names
    assert len(derived.feature_names) > 30
    assert derived.y.tolist() == [1, 1, 1]
    assert len(set(derived.feature_names)) == len(derived.feature_names)


def test_what_has_no_value_is_missing_and_counted():
    events = make_magic(2, concentration_2pix=np.array([0.5303, 0.0]))
    samples = extract_samples(events, features=["conc_ratio", "hillas_width"])
    assert np.isnan(samples.X[1, 0])
    assert samples.meta["n_missing"] == {"conc_ratio": 1}


def test_an_image_one_pixel_wide_has_features():
    samples = extract_samples(make_magic(1, hillas_width=np.array([0.0])))
    assert np.isfinite(samples.X).all()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-1e3, 1e3, allow_nan=False), min_size=10, max_size=10),
    st.sampled_from([1.0, -1.0]),
)
def test_nothing_breaks_and_mirror_images_are_alike(values, sign):
    names = [name for name in make_magic().colnames if name != "is_gamma"]
    events = QTable({name: [value] for name, value in zip(names, values, strict=True)})
    one = extract_samples(events)
    assert not np.isinf(one.X).any()
    events["m3_trans"] = sign * events["m3_trans"]  # left and right of the axis are a convention
    two = extract_samples(events, features=one.feature_names[10:])
    np.testing.assert_array_equal(one.X[:, 10:], two.X)


def test_duplicated_rows_are_one_group_whatever_their_number():
    events = make_magic(4, event_id=np.arange(4))
    events["alpha"] = [6.3, 6.3, 7.0, 6.3] * u.deg
    groups = extract_samples(events).groups
    assert groups[0] == groups[1] == groups[3] != groups[2]
    assert groups.dtype == np.int64


def make_stereo():
    """Two simulated showers; the first is thrown twice, seen by two telescopes and by one."""
    return QTable(
        {
            "obs_id": [1, 1, 1, 1],
            "event_id": [100, 100, 101, 200],
            "tel_id": [1, 5, 1, 1],
            "true_energy": [1.5, 1.5, 1.5, 7.0] * u.TeV,
            "true_h_first_int": [2e4, 2e4, 2e4, 3e4] * u.m,
            "true_shower_primary_id": [0, 0, 0, 101],
            "hillas_intensity": [100.0, 300.0, 50.0, 80.0],
            "hillas_length": [0.28, 0.16, 0.28, 0.28] * u.m,
            "hillas_width": [0.14, 0.08, 0.07, np.nan] * u.m,
            "hillas_x": [0.1, 0.2, 0.3, 0.4] * u.m,
        },
        meta={"telescopes": {"tel_id": [1, 5], "focal_length": [28.0, 16.0]}, "source": "toy"},
    )


def test_one_shower_one_group_for_all_telescopes_and_reuses():
    samples = extract_samples(make_stereo())
    assert samples.groups[0] == samples.groups[1] == samples.groups[2] != samples.groups[3]
    assert samples.y.tolist() == [1, 1, 1, 0]
    observed = make_stereo()
    observed.remove_columns(["true_energy", "true_shower_primary_id"])
    samples = extract_samples(observed)
    assert samples.y is None
    assert len(set(samples.groups.tolist())) == 3


def test_groups_survive_stacking():
    first, second = make_stereo(), make_stereo()
    second["true_energy"] *= 2
    stacked = Samples.stack([extract_samples(first), extract_samples(second)])
    assert len(set(stacked.groups.tolist())) == 4


def test_angles_need_the_optics():
    samples = extract_samples(make_stereo(), features=["length_angle", "focal_length"])
    np.testing.assert_allclose(samples.X[:, 0], np.degrees(0.01))
    assert samples.X[:, 1].tolist() == [28, 16, 28, 28]


def test_events_average_their_images():
    events = make_stereo()
    samples = extract_samples(events, features=["hillas_length", "hillas_width"], per="event")
    assert samples.feature_names == (
        "hillas_length_weighted_mean",
        "hillas_width_weighted_mean",
        "hillas_length_mean",
        "hillas_width_mean",
        "hillas_length_std",
        "hillas_width_std",
        "n_images",
    )
    assert len(samples) == 1
    assert samples.meta["n_left_out"] == 2
    np.testing.assert_allclose(
        samples.X[0],
        [0.19, 0.095, 0.22, 0.11, np.std([0.28, 0.16], ddof=1), np.std([0.14, 0.08], ddof=1), 2],
    )
    every = extract_samples(events, features=["hillas_width"], per="event", min_images=1)
    assert len(every) == 3
    assert np.isnan(every.X[every.y == 0, 0]).all()
    assert np.isnan(every.X[every.X[:, 3] == 1, 2]).all()  # one image has no spread


def test_targets_and_weights():
    events = make_stereo()
    events["weight"] = [1.0, 1.0, 2.0, 3.0]
    samples = extract_samples(events, target="true_energy", weights="weight")
    assert samples.y.tolist() == [1.5, 1.5, 1.5, 7.0]
    assert samples.weights.tolist() == [1, 1, 2, 3]
    assert extract_samples(events, target=None).y is None


def test_mistakes_are_named():
    events = make_stereo()
    with pytest.raises(ValueError, match=r"lacks the columns \['nonsense'\]"):
        extract_samples(events, features=["nonsense"])
    with pytest.raises(ValueError, match=r"toy has no \['asym'\]"):
        extract_samples(events, features=["asym_over_length"])
    with pytest.raises(ValueError, match="different names"):
        extract_samples(events, features=["hillas_width", "hillas_width"])
    with pytest.raises(ValueError, match="features must be one of"):
        extract_samples(events, features="all")
    with pytest.raises(ValueError, match="per must be one of"):
        extract_samples(events, per="run")
    with pytest.raises(ValueError, match="must have image parameters"):
        extract_samples(QTable({"reco_ra": [1.0] * u.deg}))
    with pytest.raises(ValueError, match="lacks the columns"):
        extract_samples(make_magic(), per="event")


def test_masked_values_are_missing():
    events = make_stereo()
    events["morphology_num_pixels"] = np.ma.masked_equal([5, 6, -1, 7], -1)
    samples = extract_samples(events, features=["morphology_num_pixels"])
    assert np.isnan(samples.X[2, 0])


def test_list_features_lists_what_extract_knows():
    table = list_features()
    assert list(table["name"]) == list(DERIVED)
    assert len(table) >= 40


def test_magic_from_the_installation():
    samples = extract_samples(read_events(fetch_dataset("magic-uci") / "magic04.data"))
    assert len(samples) == 19020
    assert (samples.y == 1).sum() == 12332
    assert len(np.unique(samples.groups)) == 19020 - 115  # exact duplicates
    assert samples.meta["n_missing"] == {}


FORBIDDEN = ("true_", "pointing", "source", "run", "obs_id", "event", "pedestal", "ped_", "index")


@pytest.mark.data
@pytest.mark.parametrize(
    ("dataset", "files", "showers"),
    [
        ("fact-mc", ("gamma.hdf5", "proton.hdf5"), 1992),
        # 1,019 + 1,247 events with an image, of 673 + 748 showers
        ("cta-prod3b-dl1", ("cta_gammas_diffuse.dl1.h5", "cta_protons.dl1.h5"), 1421),
    ],
)
def test_simulations_give_nothing_away(data_folder, dataset, files, showers):
    parts = [extract_samples(read_events(data_folder(dataset) / file)) for file in files]
    samples = Samples.stack(parts)
    assert [set(part.y.tolist()) for part in parts] == [{1}, {0}]
    assert len(np.unique(samples.groups)) == showers
    for name in samples.feature_names:
        assert not any(name.startswith(word) or f"_{word}" in name for word in FORBIDDEN), name
        assert name not in ("hillas_x", "hillas_y", "hillas_phi", "hillas_psi", "alpha", "distance")
    # Nothing that is one number in one file and another in the other.
    for k, name in enumerate(samples.feature_names):
        ours, theirs = (set(np.unique(part.X[:, k]).tolist()) for part in parts)
        assert ours & theirs or min(len(ours), len(theirs)) > 10, name
