"""Reconstructed showers: exact without noise, the same in every order and frame, never silent."""

from types import SimpleNamespace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, vstack
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.cherenkov import evaluate_reconstruction, read_events, reconstruct_stereo

EXACT = {"fov_lon": 1e-9, "fov_lat": 1e-9, "core_x": 1e-6, "core_y": 1e-6, "h_max": 1e-4}
OPEN = {"max_cog": 20.0, "min_intensity": 0.0}


def find_difference(one, two):
    """Largest difference of the directions (deg) and cores (m) of two event tables."""
    return max(
        np.nanmax(np.abs(np.asarray(one[name]) - np.asarray(two[name])))
        for name in ("reco_fov_lon", "reco_fov_lat", "reco_core_x", "reco_core_y")
    )


@pytest.mark.parametrize("zenith", [0.0, 35.0])
def test_ideal_images_give_the_truth(make_images, square_array, zenith):
    images = make_images(300, zenith=zenith)
    events = reconstruct_stereo(images, telescopes=square_array, **OPEN)
    assert events["is_valid"].all()
    for name, tolerance in EXACT.items():
        difference = (events[f"reco_{name}"] - events[f"true_{name}"]).value
        assert np.abs(difference).max() < tolerance, name
    assert np.all(events["n_images"] == 4)


def test_two_images_meet_where_their_axes_cross(make_images, square_array):
    images = make_images(50, noise=2.0)
    images = images[images["tel_id"] <= 2]
    events = reconstruct_stereo(images, telescopes=square_array, **OPEN)
    assert events["is_valid"].sum() > 40
    for k in np.flatnonzero(events["is_valid"]):
        one, two = images[images["event_id"] == k]
        psi = np.array([image["hillas_psi"].to_value(u.rad) for image in (one, two)])
        along = np.array([np.cos(psi), np.sin(psi)])
        start = np.array([[i["hillas_x"].value, i["hillas_y"].value] for i in (one, two)])
        step = np.linalg.solve(np.column_stack([along[:, 0], -along[:, 1]]), start[1] - start[0])
        meeting = start[0] + step[0] * along[:, 0]
        assert events["reco_fov_lon"][k].value == pytest.approx(meeting[0], abs=1e-8)
        assert events["reco_fov_lat"][k].value == pytest.approx(meeting[1], abs=1e-8)


@settings(max_examples=25, deadline=None)
@given(turn=st.floats(-400, 400), seed=st.integers(0, 1000))
def test_turning_the_camera_and_the_ground_turns_the_shower(make_images, square_array, turn, seed):
    images = make_images(20, noise=1.0, seed=seed)
    events = reconstruct_stereo(images, telescopes=square_array, **OPEN)
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))

    def rotate(table, x, y):
        table[x], table[y] = cos * table[x] - sin * table[y], sin * table[x] + cos * table[y]

    array, expected = square_array.copy(), events.copy()
    rotate(images, "hillas_x", "hillas_y")
    images["hillas_psi"] += turn * u.deg
    rotate(array, "x", "y")
    rotate(expected, "reco_fov_lon", "reco_fov_lat")
    rotate(expected, "reco_core_x", "reco_core_y")
    turned = reconstruct_stereo(images, telescopes=array, **OPEN)
    assert find_difference(turned, expected) < 1e-6
    np.testing.assert_allclose(turned["reco_h_max"], events["reco_h_max"], rtol=1e-8)


@settings(max_examples=25, deadline=None)
@given(
    x=st.floats(-2, 2), y=st.floats(-2, 2), east=st.floats(-1e3, 1e3), north=st.floats(-1e3, 1e3)
)
def test_shifts_of_camera_and_ground_shift_the_shower(make_images, square_array, x, y, east, north):
    images = make_images(20, noise=1.0)
    expected = reconstruct_stereo(images, telescopes=square_array, **OPEN)
    images["hillas_x"] += x * u.deg
    images["hillas_y"] += y * u.deg
    array = square_array.copy()
    array["x"] += east * u.m
    array["y"] += north * u.m
    shifted = reconstruct_stereo(images, telescopes=array, **OPEN)
    for name, shift in (("fov_lon", x * u.deg), ("fov_lat", y * u.deg), ("core_x", east * u.m),
                        ("core_y", north * u.m)):  # fmt: skip
        expected[f"reco_{name}"] += shift
    assert find_difference(shifted, expected) < 1e-6


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_rows_and_telescopes_does_not_matter(make_images, square_array, seed):
    rng = np.random.default_rng(seed)
    images = make_images(20, noise=1.0)
    events = reconstruct_stereo(images, telescopes=square_array)
    array = square_array[rng.permutation(4)]
    mixed = reconstruct_stereo(images[rng.permutation(len(images))], telescopes=array)
    assert list(mixed["event_id"]) == list(events["event_id"])
    assert find_difference(mixed, events) < 1e-8


def test_columns_without_units_are_degrees(make_images, square_array):
    images = make_images(20, noise=1.0)
    plain = QTable(images, copy=True)
    for name in plain.colnames:
        if name.startswith("hillas_") and name != "hillas_intensity":
            plain[name] = plain[name].to_value(u.deg)
    plain["hillas_psi"] = np.radians(plain["hillas_psi"]) * u.rad
    events = [reconstruct_stereo(table, telescopes=square_array) for table in (images, plain)]
    assert find_difference(*events) < 1e-9


def test_errors_hold_two_thirds_of_the_truths(make_images, square_array):
    # The toy scatters with 1.5 times the photon noise; simulated showers with sqrt(4.2) times.
    events = reconstruct_stereo(make_images(3000, noise=2.05), telescopes=square_array)
    coverage = evaluate_reconstruction(events)[-1]
    assert 0.55 < coverage["angular_coverage"] < 0.85
    assert 0.55 < coverage["core_coverage"] < 0.85


def test_height_error_follows_centroids_that_stray_along_their_axes(make_images, square_array):
    images = make_images(3000, noise=0.5)
    rng = np.random.default_rng(1)
    stray = 0.5 * rng.normal(size=len(images)) * images["hillas_length"]
    images["hillas_x"] += stray * np.cos(images["hillas_psi"])
    images["hillas_y"] += stray * np.sin(images["hillas_psi"])
    events = reconstruct_stereo(images, telescopes=square_array)
    events = events[events["is_valid"]]
    within = np.abs(events["reco_h_max"] - events["true_h_max"]) < events["reco_h_max_error"]
    assert 0.6 < within.mean() < 0.8


def make_pair(angle, *, separation=0.4):
    """Two images whose axes differ by an angle in deg."""
    return QTable({
        "obs_id": [1, 1], "event_id": [1, 1], "tel_id": [1, 2], "hillas_intensity": [300.0, 300],
        "hillas_x": [0.5, 0.5] * u.deg, "hillas_y": np.array([0.5, -0.5]) * separation * u.deg,
        "hillas_length": [0.2, 0.2] * u.deg, "hillas_width": [0.1, 0.1] * u.deg,
        "hillas_psi": [10.0, 10.0 + angle] * u.deg, "morphology_n_pixels": [9, 9],
    })  # fmt: skip


@pytest.mark.parametrize("angle", [0.0, 180.0, 1e-9, 1e-4])
def test_parallel_axes_are_not_valid(square_array, angle):
    events = reconstruct_stereo(make_pair(angle), telescopes=square_array)
    assert not events["is_valid"][0]
    assert events.meta["n_events_parallel"] == 1
    assert all(np.isnan(events[name][0]) for name in events.colnames if name.startswith("reco_"))


@settings(max_examples=100, deadline=None)
@given(angle=st.floats(-180, 180), separation=st.floats(0, 1.5))
def test_a_far_meeting_point_is_never_claimed(square_array, angle, separation):
    event = reconstruct_stereo(make_pair(angle, separation=separation), telescopes=square_array)[0]
    if event["is_valid"]:
        far = np.hypot(event["reco_fov_lon"], event["reco_fov_lat"])
        assert far < 2 * u.deg or event["reco_direction_error"] > 0.02 * far
        assert event["reco_core_error"] < 1 * u.km


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
        "n_images_damaged": 1,
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


def test_duplicated_images_do_not_make_a_stereo_event(make_images, square_array):
    images = make_images(1)[:1]
    events = reconstruct_stereo(vstack([images, images, images]), telescopes=square_array)
    assert events["n_images"][0] == 1
    assert not events["is_valid"][0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300])
@pytest.mark.parametrize(
    "column", ["x", "y", "length", "width", "psi", "intensity"]
)  # fmt: skip
def test_no_value_of_an_image_breaks_the_others(make_images, square_array, column, value):
    images = make_images(3)
    expected = reconstruct_stereo(images, telescopes=square_array)
    images[f"hillas_{column}"][:2] = value * (images[f"hillas_{column}"].unit or 1)
    events = reconstruct_stereo(images, telescopes=square_array)
    assert find_difference(events[1:], expected[1:]) < 1e-9
    if events["is_valid"][0]:
        assert np.isfinite(events["reco_fov_lon"][0])


def test_empty_and_hopeless_tables(make_images, square_array):
    images = make_images(5)
    empty = reconstruct_stereo(images[:0], telescopes=square_array)
    assert len(empty) == 0
    images["hillas_x"][:] = np.nan * u.deg
    events = reconstruct_stereo(images, telescopes=square_array)
    assert empty.colnames == events.colnames
    assert not events["is_valid"].any()
    assert np.isnan(events["intensity_mean"]).all()


def test_wrong_tables_are_refused_in_plain_words(make_images, square_array):
    images = make_images(2)
    with pytest.raises(ValueError, match=r"lacks the columns \['hillas_psi'\]"):
        reconstruct_stereo(images[[n for n in images.colnames if n != "hillas_psi"]],
                           telescopes=square_array)  # fmt: skip
    metres = images.copy()
    metres["hillas_x"] = np.ones(len(images)) * u.m
    with pytest.raises(ValueError, match=r"hillas_x must be an angle.*focal length"):
        reconstruct_stereo(metres, telescopes=square_array)
    with pytest.raises(ValueError, match="different tel_id"):
        reconstruct_stereo(images, telescopes=vstack([square_array, square_array]))
    broken = square_array.copy()
    broken["x"][0] = np.nan * u.m
    with pytest.raises(ValueError, match="x must be finite"):
        reconstruct_stereo(images, telescopes=broken)
    with pytest.raises(ValueError, match="min_images must be"):
        reconstruct_stereo(images, telescopes=square_array, min_images=1)
    with pytest.raises(ValueError, match="zenith must be"):
        reconstruct_stereo(images, telescopes=square_array, zenith=90)


def test_the_array_may_come_with_the_images(make_images, square_array):
    images = make_images(20, noise=1.0, zenith=30.0)
    expected = reconstruct_stereo(images, telescopes=square_array)
    with pytest.raises(ValueError, match="telescopes must be given"):
        reconstruct_stereo(images)
    layout = {name: np.asarray(square_array[name].value if name != "tel_id" else square_array[name])
              for name in ("tel_id", "x", "y")}  # fmt: skip
    images.meta["telescopes"] = layout
    assert find_difference(reconstruct_stereo(images), expected) == 0
    images.meta["telescopes"] = layout | {"y": layout["y"] * np.cos(np.radians(30.0)),
                                          "frame": "tilted"}  # fmt: skip
    assert find_difference(reconstruct_stereo(images), expected) < 1e-9


def test_input_is_left_alone(make_images, square_array):
    images = make_images(10)
    before = images.copy()
    reconstruct_stereo(images, telescopes=square_array)
    for name in before.colnames:
        np.testing.assert_array_equal(before[name], images[name])
    assert images.meta == before.meta


@pytest.fixture(scope="module")
def cta(data_folder):
    """Images of CTA's prod3b simulation in deg, its array across the pointing, the truth."""
    ctapipe = pytest.importorskip("ctapipe.coordinates", exc_type=ImportError)
    from astropy.coordinates import AltAz, SkyCoord

    images = read_events(data_folder("cta-prod3b-dl1") / "cta_gammas_diffuse.dl1.h5")
    layout = images.meta["telescopes"]
    focal = dict(zip(layout["tel_id"], layout["focal_length"], strict=True))
    lengths = np.array([focal[number] for number in np.asarray(images["tel_id"])])
    for name in ("x", "y", "length", "width"):
        images[f"hillas_{name}"] = (
            np.degrees(images[f"hillas_{name}"].to_value(u.m) / lengths) * u.deg
        )
    pointing = AltAz(alt=70 * u.deg, az=0 * u.deg)
    ground = SkyCoord(*(layout[f"pos_{axis}"] * u.m for axis in "xyz"),
                      frame=ctapipe.GroundFrame())  # fmt: skip
    tilted = ground.transform_to(ctapipe.TiltedGroundFrame(pointing_direction=pointing))
    sky = SkyCoord(AltAz(alt=images["true_alt"], az=images["true_az"]))
    seen = sky.transform_to(ctapipe.TelescopeFrame(telescope_pointing=pointing))
    # The camera's x axis points up, its y axis along the azimuth.
    images["true_fov_lon"], images["true_fov_lat"] = seen.fov_lat.to(u.deg), seen.fov_lon.to(u.deg)
    array = QTable({"tel_id": layout["tel_id"], "x": tilted.x, "y": tilted.y},
                   meta={"frame": "tilted"})  # fmt: skip
    inside = np.nan_to_num(np.asarray(images["leakage_intensity_width_2"]), nan=1.0) < 0.2
    return images[inside], array


@pytest.mark.data
def test_real_geometry_agrees_with_ctapipe(cta):
    images, array = cta
    from ctapipe.reco.hillas_intersection import HillasIntersection

    events = reconstruct_stereo(images, telescopes=array, max_cog=3.5)
    peer = SimpleNamespace(
        _weight_method=HillasIntersection.weight_konrad,
        weight_sin=HillasIntersection.weight_sin,
        intersect_lines=HillasIntersection.intersect_lines,
    )
    far = np.hypot(images["hillas_x"], images["hillas_y"]).to_value(u.deg)
    used = images[(np.asarray(images["hillas_intensity"]) >= 80) & (far <= 3.5)]
    events = events[events["is_valid"]]
    names = ("hillas_psi", "hillas_x", "hillas_y")
    ellipses = np.column_stack([used[name].to_value(u.rad) for name in names]) * u.rad
    size, number = np.asarray(used["hillas_intensity"]), np.asarray(used["event_id"])
    found = np.column_stack([events[f"reco_fov_{axis}"].to_value(u.deg) for axis in ("lon", "lat")])
    truth = np.column_stack([events[f"true_fov_{axis}"].to_value(u.deg) for axis in ("lon", "lat")])
    other, n_equal = np.empty_like(found), 0
    for k, event in enumerate(np.asarray(events["event_id"])):
        rows = np.flatnonzero(number == event)
        assert len(rows) == events["n_images"][k]
        hillas = {
            row: SimpleNamespace(psi=psi, fov_lon=lon, fov_lat=lat, intensity=size[row])
            for row, (psi, lon, lat) in zip(rows, ellipses[rows], strict=True)
        }
        other[k] = np.degrees(HillasIntersection.reconstruct_nominal(peer, hillas)[:2])
        if len(rows) == 2:
            assert found[k] == pytest.approx(other[k], abs=1e-6)
            n_equal += 1
    ours, theirs = (np.hypot(*(answer - truth).T) for answer in (found, other))
    assert n_equal > 100
    assert len(ours) > 400
    assert np.quantile(ours, 0.68) < 1.02 * np.quantile(theirs, 0.68)
    assert np.quantile(ours, 0.68) < 0.25
