"""Box cuts: published numbers, borders, NaN and what is missing."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.cherenkov import BoxCut, select_standard
from astroml_kit.cherenkov.selection import STANDARD_CUTS


def make_events(width, length, **more):
    return QTable({"mean_scaled_width": width, "mean_scaled_length": length, **more})


@pytest.mark.parametrize(
    ("preset", "published"),
    [
        # Aharonian et al. 2006, A&A 457, 899, table 2: MRSW, MRSL, theta2 [deg2], size [p.e.]
        ("std", (-2.0, 0.9, -2.0, 2.0, 0.0125, 80.0)),
        ("hard", (-2.0, 0.7, -2.0, 2.0, 0.01, 200.0)),
        ("loose", (-2.0, 1.2, -2.0, 2.0, 0.04, 40.0)),
    ],
)
def test_presets_are_the_published_ones(preset, published):
    cut = STANDARD_CUTS[preset]
    assert (
        cut.width_min, cut.width_max, cut.length_min, cut.length_max, cut.theta2, cut.intensity,
    ) == published  # fmt: skip


@pytest.mark.parametrize(
    ("width", "length", "passes"),
    [
        (0.0, 0.0, True),
        (0.89, 1.99, True),
        (-1.99, -1.99, True),
        (0.91, 0.0, False),
        (-2.01, 0.0, False),
        (0.0, 2.01, False),
        (0.0, -2.01, False),
        (np.nan, 0.0, False),
        (0.0, np.nan, False),
        (np.inf, 0.0, False),
        (-np.inf, 0.0, False),
    ],
)
def test_box_is_closed_on_four_sides_and_to_nan(width, length, passes):
    assert STANDARD_CUTS["std"].select(make_events([width], [length])).tolist() == [passes]


def test_intensity_of_the_faintest_image_counts_where_it_is_known():
    events = make_events(np.zeros(4), np.zeros(4), intensity_min=[79.0, 80.0, 200.0, np.nan])
    assert STANDARD_CUTS["std"].select(events).tolist() == [False, True, True, False]
    assert STANDARD_CUTS["hard"].select(events).tolist() == [False, False, True, False]
    del events["intensity_min"]
    assert STANDARD_CUTS["std"].select(events).all()


def test_arrays_by_name_do_as_well_as_a_table():
    events = make_events([0.0, 1.0], [0.0, 0.0], intensity_min=[100.0, 100.0])
    arrays = {name: np.asarray(events[name]) for name in events.colnames}
    assert STANDARD_CUTS["std"].select(arrays).tolist() == [True, False]


def test_half_precision_does_not_move_the_border():
    events = make_events(np.zeros(2), np.zeros(2))
    events["intensity_min"] = np.array([80.0, 79.9], dtype=np.float16)
    assert STANDARD_CUTS["std"].select(events).tolist() == [True, False]


VALUES = st.floats(-4, 4) | st.just(np.nan)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_a_harder_box_never_keeps_what_a_looser_one_rejects(pairs):
    events = make_events(*np.array(pairs).T)
    kept = {name: cut.select(events) for name, cut in STANDARD_CUTS.items()}
    assert not (kept["hard"] & ~kept["std"]).any()
    assert not (kept["std"] & ~kept["loose"]).any()


def test_selection_keeps_rows_units_and_counts_what_it_drops():
    events = make_events([0.0, 1.0, np.nan, 0.5], np.zeros(4), reco_energy=[1, 2, 3, 4] * u.TeV)
    events.meta["source"] = "run 1"
    kept = select_standard(events)
    assert kept["reco_energy"].to_value(u.GeV).tolist() == [1000.0, 4000.0]
    assert kept.meta["n_rejected"] == 2
    assert kept.meta["source"] == "run 1"
    assert kept.meta["selection"] == str(STANDARD_CUTS["std"])
    assert "selection" not in events.meta
    assert len(events) == 4


def test_an_empty_table_stays_empty():
    kept = select_standard(make_events(np.zeros(0), np.zeros(0)))
    assert len(kept) == 0
    assert kept.meta["n_rejected"] == 0


def test_presets_keep_less_the_harder_they_are():
    events = make_events([0.6, 0.8, 1.1, 1.3], np.zeros(4))
    assert [len(select_standard(events, preset=name)) for name in ("hard", "std", "loose")] == [
        1, 2, 3,
    ]  # fmt: skip


def test_unknown_preset_lists_the_presets():
    with pytest.raises(ValueError, match=r"preset must be .*std.*hard.*loose.*got 'best'"):
        select_standard(make_events([0.0], [0.0]), preset="best")


@pytest.mark.parametrize("name", ["mean_scaled_width", "mean_scaled_length"])
def test_a_missing_column_is_named(name):
    events = make_events([0.0], [0.0])
    events.meta["source"] = "night.fits"
    del events[name]
    with pytest.raises(ValueError, match=rf"night\.fits lacks the columns \['{name}'\]"):
        select_standard(events)


def test_a_cut_says_what_it_does():
    text = str(BoxCut(-2.0, 0.5, -1.0, 1.5, 0.01, 60.0))
    for part in ("-2 < MRSW < 0.5", "-1 < MRSL < 1.5", "theta2 < 0.01 deg2", "60 p.e."):
        assert part in text
