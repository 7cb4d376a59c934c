"""Image parameters: frozen ctapipe values, laws that hold for any image, damaged images."""

import astropy.units as u
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.cherenkov import CameraGeometry, RaggedImages, clean_images, extract_hillas
from astroml_kit.cherenkov.images import PARAMETERS, build_image_table, clean_and_measure

CAMERA = CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=127)
# Light, centre x and y, length, width [deg] and psi [rad] of the spots of three images: one in
# the middle, one at the edge, one in two islands.
SPOTS = (
    ((80.0, 0.1, -0.2, 0.25, 0.1, 0.6),),
    ((60.0, 0.7, 0.3, 0.2, 0.12, 2.4),),
    ((70.0, -0.4, 0.1, 0.15, 0.1, 1.2), (30.0, 0.4, 0.4, 0.09, 0.09, 0.0)),
)
# ctapipe 0.28.0: tailcuts_clean(geometry, image, 10, 5), then hillas_parameters,
# concentration_parameters, leakage_parameters, morphology_parameters and descriptive_statistics
# of the pixels kept, and timing_parameters with samples=500 in its least trimmed squares.
KEPT = (
    [
        10,
        17,
        18,
        19,
        20,
        26,
        27,
        28,
        29,
        30,
        37,
        38,
        39,
        40,
        41,
        50,
        51,
        52,
        53,
        54,
        63,
        64,
        65,
        66,
        77,
        78,
        79,
        89,
        90,
    ],
    [55, 56, 67, 68, 69, 79, 80, 81, 89, 90, 91, 92, 99, 100, 101, 102, 109, 110, 111, 118],
    [
        36,
        37,
        46,
        47,
        48,
        59,
        60,
        61,
        62,
        72,
        73,
        74,
        84,
        85,
        86,
        89,
        90,
        91,
        95,
        96,
        98,
        99,
        100,
        101,
        108,
        109,
        110,
    ],
)
PUBLISHED = {
    "hillas_intensity": (656.9362214, 420.0754661, 454.5041838),
    "hillas_skewness": (0.09656613842, -0.007995411926, 0.9214689033),
    "hillas_kurtosis": (2.489981301, 2.606996679, 2.414429186),
    "hillas_x": (0.1013890881, 0.6542160769, -0.2113859889),
    "hillas_y": (-0.2053607759, 0.2877687195, 0.1619578395),
    "hillas_r": (0.2290257528, 0.7147093893, 0.2662975367),
    "hillas_phi": (-63.72389187, 23.74315802, 142.5417068),
    "hillas_length": (0.2563105418, 0.2058245766, 0.387358785),
    "hillas_length_uncertainty": (0.006103307874, 0.006365185512, 0.01080451001),
    "hillas_width": (0.1122646648, 0.1060490104, 0.130407798),
    "hillas_width_uncertainty": (0.003006872595, 0.003147261608, 0.004225521487),
    "hillas_psi": (38.38051797, -47.84567098, 24.11585707),
    "hillas_psi_uncertainty": (2.176067004, 4.247914112, 1.385797603),
    "hillas_transverse_cog_uncertainty": (0.005809298526, 0.007264766157, 0.00698419499),
    "concentration_cog": (0.3934480025, 0.462930251, 0.1390930028),
    "concentration_core": (0.3934480025, 0.3294499295, 0.4170366974),
    "concentration_pixel": (0.1127161336, 0.1372502319, 0.1596519412),
    "leakage_pixels_width_1": (0.0, 0.3, 0.0),
    "leakage_pixels_width_2": (0.03448275862, 0.65, 0.1481481481),
    "leakage_intensity_width_1": (0.0, 0.3828734688, 0.0),
    "leakage_intensity_width_2": (0.007781613714, 0.805461894, 0.05882117046),
    "morphology_n_pixels": (29, 20, 27),
    "morphology_n_islands": (1, 1, 2),
    "morphology_n_small_islands": (0, 0, 0),
    "morphology_n_medium_islands": (1, 1, 2),
    "morphology_n_large_islands": (0, 0, 0),
    "intensity_max": (74.04731089, 57.65545515, 72.5624752),
    "intensity_min": (5.112023909, 5.100332014, 5.029280914),
    "intensity_mean": (22.65297315, 21.00377331, 16.83348829),
    "intensity_std": (20.0631712, 16.67554947, 15.74462269),
    "intensity_skewness": (1.242664755, 0.8871268888, 1.926504662),
    "intensity_kurtosis": (0.4102261814, -0.610695665, 3.639323912),
    "timing_intercept": (10.96595925, 7.603127087, 15.36658569),
    "timing_deviation": (0.3562251275, 0.6068307348, 3.629309232),
    "timing_slope": (25.45109375, -6.955139563, 15.93663493),
}


def draw_images(camera):
    """Gaussian spots over a ripple, without random numbers; and times rising along x and y."""
    x, y = camera.pixel_x.value, camera.pixel_y.value
    ripple = np.arange(camera.n_pixels)
    images = np.tile(3.0 + 2.5 * np.sin(7.0 * ripple), (3, 1))
    for image, spots in zip(images, SPOTS, strict=True):
        for light, x0, y0, length, width, psi in spots:
            along = (x - x0) * np.cos(psi) + (y - y0) * np.sin(psi)
            across = (y - y0) * np.cos(psi) - (x - x0) * np.sin(psi)
            image += light * np.exp(-0.5 * (along / length) ** 2 - 0.5 * (across / width) ** 2)
    slopes = ((20, 15), (-8, 3), (5, 25))
    return images, np.array([12 + a * x + b * y + 0.4 * np.cos(5.0 * ripple) for a, b in slopes])


def draw_random(seed, n_images=20, camera=CAMERA):
    """Light in random pixels, most of them dark."""
    rng = np.random.default_rng(seed)
    images = rng.exponential(8.0, (n_images, camera.n_pixels))
    return np.where(rng.random(images.shape) < 0.3, images, 0.0)


def get_values(table, names=None):
    """Plain floats of some columns, shape (n_images, n_columns)."""
    names = names or [name for name in table.colnames if not name.endswith("_id")]
    columns = [np.asarray(getattr(table[name], "value", table[name]), float) for name in names]
    return np.column_stack(columns)


SEEDS = st.integers(0, 2**32 - 1)


# --- against values that were computed with ctapipe


@pytest.fixture(scope="module")
def measured():
    images, times = draw_images(CAMERA)
    masks = clean_images(images, camera=CAMERA, picture_threshold=10, boundary_threshold=5)
    return masks, extract_hillas(images, camera=CAMERA, masks=masks, times=times)


def test_cleaning_matches_ctapipe(measured):
    assert tuple(np.flatnonzero(mask).tolist() for mask in measured[0]) == KEPT


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_match_ctapipe(measured, name):
    values = measured[1][name]
    np.testing.assert_allclose(getattr(values, "value", values), PUBLISHED[name], rtol=1e-8)


def test_units_and_meta(measured):
    table = measured[1]
    for name in ("hillas_x", "hillas_width", "hillas_psi", "hillas_psi_uncertainty"):
        assert table[name].unit == u.deg
    assert table["timing_slope"].unit == u.deg**-1
    assert table["morphology_n_pixels"].dtype.kind == "i"
    assert table.meta["n_images"] == 3
    assert table.meta["n_without_parameters"] == 0
    assert set(table.colnames) == set(PARAMETERS)


# --- by hand


def test_two_levels_by_hand():
    camera = CameraGeometry.hexagonal(pixel_size=1 * u.deg, n_pixels=7)
    # Pixels 0 and 1 below, 2 3 4 in the middle row, 5 and 6 above.
    images = [[0, 6, 4, 12, 0, 0, 0], [0, 0, 0, 12, 0, 0, 0], [11, 0, 0, 0, 0, 0, 6]]
    masks = clean_images(images, camera=camera)
    assert [np.flatnonzero(mask).tolist() for mask in masks] == [[1, 3], [], []]
    masks = clean_images(images, camera=camera, keep_isolated_pixels=True)
    assert [np.flatnonzero(mask).tolist() for mask in masks] == [[1, 3], [3], [0]]
    bright = [[0, 6, 0, 12, 0, 0, 0], [0, 12, 0, 12, 6, 0, 0]]
    masks = clean_images(bright, camera=camera, min_number_picture_neighbors=1)
    assert [np.flatnonzero(mask).tolist() for mask in masks] == [[], [1, 3, 4]]


def test_time_limit_by_hand():
    camera = CameraGeometry.hexagonal(pixel_size=1 * u.deg, n_pixels=7)
    image = [[0, 0, 20, 20, 20, 0, 0]]  # a row of three
    times = [[0, 0, 1.0, 2.0, 9.0, 0, 0]]
    options = {"camera": camera, "times": times, "time_limit": 1.5}
    assert np.flatnonzero(clean_images(image, **options)).tolist() == [2, 3]
    masks = clean_images(image, **options, min_time_neighbors=2)
    assert not masks.any()  # 3 has only one in time, and judging it does not depend on the order
    times[0][3] = np.nan
    assert not clean_images(image, **options).any()


def test_threshold_of_each_pixel():
    camera = CameraGeometry.hexagonal(pixel_size=1 * u.deg, n_pixels=7)
    image = np.full((1, 7), 20.0)
    levels = np.array([np.inf, 10, 10, 10, 30, 10, 10])
    masks = clean_images(image, camera=camera, picture_threshold=levels, boundary_threshold=levels)
    assert np.flatnonzero(~masks[0]).tolist() == [0, 4]


def test_a_threshold_is_reached_in_the_precision_of_the_charges():
    camera = CameraGeometry.hexagonal(pixel_size=1 * u.deg, n_pixels=7)
    assert float(np.float32(10.7)) < 10.7
    for level in (10.3, 10.7):
        image = np.full((1, 7), level, dtype=np.float32)
        assert clean_images(image, camera=camera, picture_threshold=level).all()


def test_two_pixels_by_hand():
    image = np.zeros((1, 127))
    image[0, [63, 64]] = 10, 30  # the centre and its right-hand neighbour
    row = extract_hillas(image, camera=CAMERA)[0]
    assert row["hillas_intensity"] == 40
    assert row["hillas_x"].value == pytest.approx(0.12)
    assert row["hillas_length"].value == pytest.approx(0.16 * np.sqrt(0.75 * 0.25))
    assert row["hillas_psi"].value == pytest.approx(0, abs=1e-9)
    assert row["hillas_width"].value == 0
    assert row["concentration_core"] == 0
    assert np.isnan(row["hillas_width_uncertainty"])


def test_islands_by_size():
    camera = CameraGeometry.hexagonal(pixel_size=0.1 * u.deg, n_pixels=400)
    x, y = camera.pixel_x.value, camera.pixel_y.value
    image = np.where(np.hypot(x + 0.5, y) < 0.45, 1.0, 0.0)  # more than 50 pixels
    image += np.hypot(x - 0.5, y) < 0.11  # seven
    image[np.argmax(y)] = 1.0
    row = extract_hillas(image[None], camera=camera)[0]
    sizes = ("small", "medium", "large")
    assert [row[f"morphology_n_{size}_islands"] for size in sizes] == [1, 1, 1]
    assert row["morphology_n_islands"] == 3


def test_an_exact_line_of_times_is_found_among_outliers():
    images, _ = draw_images(CAMERA)
    masks = clean_images(images, camera=CAMERA)
    table = extract_hillas(images, camera=CAMERA, masks=masks)
    psi = table["hillas_psi"].to_value("rad")[0]
    x, y = (CAMERA.pixel_x - table["hillas_x"][0]).value, (CAMERA.pixel_y).value
    along = x * np.cos(psi) + (y - table["hillas_y"][0].value) * np.sin(psi)
    times = 5.0 + 30.0 * along
    times[np.flatnonzero(masks[0])[[3, 9, 20]]] += 40.0  # three of 29
    timed = extract_hillas(images[:1], camera=CAMERA, masks=masks[:1], times=times[None])
    assert timed["timing_slope"][0].value == pytest.approx(30.0)
    assert timed["timing_intercept"][0] == pytest.approx(5.0)
    assert timed["timing_deviation"][0] == pytest.approx(40.0 * np.sqrt(3 / 29))


# --- laws


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, single=st.booleans())
def test_ragged_is_dense_bit_for_bit(seed, single):
    images = draw_random(seed).astype(np.float32 if single else np.float64)
    images[3], images[5, ::7] = 0.0, np.nan
    times = np.random.default_rng(seed).normal(size=images.shape)
    ragged = RaggedImages.from_dense(images, times=times)
    options = {"camera": CAMERA, "time_limit": 1.0}
    masks = clean_images(images, times=times, **options)
    listed = clean_images(ragged, **options)
    assert masks[images != 0].tolist() == listed.tolist()
    dense = extract_hillas(images, camera=CAMERA, masks=masks, times=times)
    sparse = extract_hillas(ragged, camera=CAMERA, masks=listed)
    assert dense.colnames == sparse.colnames
    np.testing.assert_array_equal(get_values(dense), get_values(sparse))
    assert dense.meta == sparse.meta


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_images_do_not_see_each_other(seed):
    images, rng = draw_random(seed), np.random.default_rng(seed)
    times, order = rng.normal(size=images.shape), rng.permutation(len(images))
    kept = clean_images(images, camera=CAMERA)
    np.testing.assert_array_equal(clean_images(images[order], camera=CAMERA), kept[order])
    table = extract_hillas(images, camera=CAMERA, masks=kept, times=times)
    other = extract_hillas(images[order], camera=CAMERA, masks=kept[order], times=times[order])
    np.testing.assert_array_equal(get_values(table)[order], get_values(other))
    alone = extract_hillas(images[4:5], camera=CAMERA, masks=kept[4:5], times=times[4:5])
    np.testing.assert_array_equal(get_values(table)[4:5], get_values(alone))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, log_scale=st.floats(-60, 60))
def test_brighter_images_keep_their_shape(seed, log_scale):
    scale = 10.0**log_scale
    images = draw_random(seed)
    table, other = (extract_hillas(k * images, camera=CAMERA) for k in (1.0, scale))
    for name in PARAMETERS:
        if name.startswith("timing") or name == "hillas_psi_uncertainty":
            continue  # that one has the slope of a second fit in it, which does not scale
        power = 0.0
        if name.endswith("_uncertainty"):
            power = -0.5
        elif name == "hillas_intensity" or name in {
            f"intensity_{k}" for k in ("max", "min", "mean", "std")
        }:
            power = 1.0
        first, second = (get_values(t, [name])[:, 0] for t in (table, other))
        close = {"rtol": 1e-7, "atol": 1e-9 if power == 0 else 0.0}
        np.testing.assert_allclose(second, first * scale**power, **close)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, x=st.floats(-100, 100), y=st.floats(-100, 100))
def test_a_moved_camera_moves_the_centroid_only(seed, x, y):
    moved = CameraGeometry(
        "moved", CAMERA.pixel_x + x * u.deg, CAMERA.pixel_y + y * u.deg, CAMERA.pixel_area,
        "hexagonal",
    )  # fmt: skip
    images = draw_random(seed)
    masks = clean_images(images, camera=CAMERA)
    np.testing.assert_array_equal(clean_images(images, camera=moved), masks)
    here, there = (extract_hillas(images, camera=c, masks=masks) for c in (CAMERA, moved))
    places = {"hillas_x": x, "hillas_y": y}
    for name in PARAMETERS:
        if name.startswith("timing") or name in {"hillas_r", "hillas_phi"}:
            continue
        # Positions of 100 deg carry 1e-14 deg of rounding; a thin image's width feels it most.
        first, second = (get_values(t, [name])[:, 0] for t in (here, there))
        np.testing.assert_allclose(
            second - places.get(name, 0.0), first, rtol=1e-7, atol=1e-9, err_msg=name
        )


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, turns=st.integers(1, 5))
def test_a_turned_hexagonal_camera_turns_the_image(seed, turns):
    angle = np.deg2rad(60 * turns)
    x, y = CAMERA.pixel_x.value, CAMERA.pixel_y.value
    turned_x, turned_y = (
        x * np.cos(angle) - y * np.sin(angle),
        x * np.sin(angle) + y * np.cos(angle),
    )
    distance = np.hypot(turned_x[:, None] - x, turned_y[:, None] - y)
    target = distance.argmin(axis=1)  # where each pixel goes: the camera is a full hexagon
    assert distance.min(axis=1).max() < 1e-9
    images = draw_random(seed)
    turned = np.empty_like(images)
    turned[:, target] = images
    masks, others = (clean_images(k, camera=CAMERA) for k in (images, turned))
    np.testing.assert_array_equal(others[:, target], masks)
    first = extract_hillas(images, camera=CAMERA, masks=masks)
    second = extract_hillas(turned, camera=CAMERA, masks=others)
    same = [
        name
        for name in PARAMETERS
        if not name.startswith("timing")
        and name not in {"hillas_x", "hillas_y", "hillas_phi", "hillas_psi", "hillas_skewness"}
    ]
    np.testing.assert_allclose(
        get_values(second, same), get_values(first, same), rtol=1e-7, atol=1e-10
    )
    shift = (second["hillas_psi"] - first["hillas_psi"]).to_value("deg") - 60 * turns
    good = np.isfinite(shift)
    np.testing.assert_allclose(np.sin(np.deg2rad(shift[good])), 0, atol=1e-7)  # an axis: mod 180
    sign = np.where(np.cos(np.deg2rad(shift)) > 0, 1.0, -1.0)
    np.testing.assert_allclose(
        second["hillas_skewness"][good], (sign * first["hillas_skewness"])[good], atol=1e-7
    )


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_bounds(seed):
    table = extract_hillas(draw_random(seed), camera=CAMERA)
    width, length = table["hillas_width"], table["hillas_length"]
    assert np.all(width <= length * (1 + 1e-12))
    assert np.all(table["hillas_kurtosis"] >= 1 + table["hillas_skewness"] ** 2 - 1e-9)
    for name in PARAMETERS:
        if name.startswith(("concentration", "leakage")):
            assert np.all((table[name] >= 0) & (table[name] <= 1 + 1e-12)), name
    assert np.all(table["leakage_pixels_width_1"] <= table["leakage_pixels_width_2"])


# --- damaged images


def test_nan_pixels_are_left_out_and_counted():
    images, times = draw_images(CAMERA)
    clean = images.copy()
    kept = int(np.flatnonzero(clean_images(images, camera=CAMERA)[0])[7])
    images[0, [3, kept]], clean[0, [3, kept]] = (np.nan, np.inf), 0.0
    before = images.copy()
    masks = clean_images(images, camera=CAMERA)
    assert not masks[0, [3, kept]].any()
    table = extract_hillas(images, camera=CAMERA, masks=masks, times=times)
    assert table["n_nan_pixels"].tolist() == [2, 0, 0]
    assert table.meta["n_nan_pixels"] == 2
    reference = extract_hillas(clean, camera=CAMERA, masks=masks, times=times)
    names = [name for name in table.colnames if name != "n_nan_pixels"]
    np.testing.assert_array_equal(get_values(table, names), get_values(reference, names))
    masks[0, kept] = True  # a mask made elsewhere does not bring it in
    again = extract_hillas(images, camera=CAMERA, masks=masks, times=times)
    np.testing.assert_array_equal(get_values(table), get_values(again))
    np.testing.assert_array_equal(images, before)


def test_a_masked_array_has_no_charge_where_it_is_masked():
    images, _ = draw_images(CAMERA)
    holes = np.zeros(images.shape, dtype=bool)
    holes[:, 50:60] = True
    table = extract_hillas(np.ma.array(images, mask=holes), camera=CAMERA)
    assert table["n_nan_pixels"].tolist() == [10, 10, 10]


@pytest.mark.parametrize("value", [np.nan, 0.0, -3.0, np.inf])
@pytest.mark.parametrize("ragged", [False, True])
def test_images_without_light_have_no_parameters(value, ragged):
    images, times = draw_images(CAMERA)
    images[1] = value
    damaged = RaggedImages.from_dense(images, times=times) if ragged else images
    masks = clean_images(damaged, camera=CAMERA)
    options = {} if ragged else {"times": times}
    table = extract_hillas(damaged, camera=CAMERA, masks=masks, **options)
    for name in table.colnames:
        if table[name].dtype.kind == "f":
            assert np.isnan(table[name][1]), name
            assert np.isfinite(table[name][[0, 2]]).all(), name
    assert table["morphology_n_pixels"][1] == 0
    bad = 0 if np.isfinite(value) else 127
    assert table["n_nan_pixels"].tolist() == [0, bad, 0]
    assert table.meta["n_without_parameters"] == 1
    assert table.meta["n_without_charges"] == (bad > 0)


def test_one_bright_pixel_is_a_point():
    image = np.zeros((1, 127))
    image[0, 80] = 55.0
    row = extract_hillas(image, camera=CAMERA, times=np.ones((1, 127)))[0]
    assert row["hillas_intensity"] == 55
    assert row["hillas_x"] == CAMERA.pixel_x[80]
    # As ctapipe 0.28 has it: a length and a width of 0, no direction, all light in the centre.
    assert row["hillas_length"].value == 0
    assert row["hillas_width"].value == 0
    assert (row["concentration_cog"], row["concentration_core"], row["concentration_pixel"]) == (
        1, 0, 1,
    )  # fmt: skip
    for name in ("hillas_psi", "hillas_skewness", "hillas_length_uncertainty", "timing_slope"):
        assert np.isnan(row[name]), name
    assert not clean_images(image, camera=CAMERA).any()
    assert clean_images(image, camera=CAMERA, keep_isolated_pixels=True).sum() == 1


def test_a_negative_charge_in_the_mask_leaves_no_parameters():
    images, _ = draw_images(CAMERA)
    masks = clean_images(images, camera=CAMERA)
    images[2, np.flatnonzero(masks[2])[0]] = -1e-3
    table = extract_hillas(images, camera=CAMERA, masks=masks)
    assert table["n_negative_pixels"].tolist() == [0, 0, 1]
    assert np.isnan(table["hillas_width"].value).tolist() == [False, False, True]
    assert table["morphology_n_pixels"][2] == 27  # what was selected is still said
    assert table.meta["n_negative_pixels"] == 1


def test_few_pixels_have_no_timing():
    image = np.zeros((1, 127))
    image[0, [63, 64, 75]] = 10, 20, 30
    table = extract_hillas(image, camera=CAMERA, times=np.arange(127.0)[None])
    assert np.isnan(table["timing_slope"][0])
    assert np.isfinite(table["hillas_length"][0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_images(dtype):
    images = np.zeros((0, 127), dtype=dtype)
    for empty in (images, RaggedImages([0], [], np.zeros(0, dtype))):
        masks = clean_images(empty, camera=CAMERA)
        assert masks.size == 0
        table = extract_hillas(empty, camera=CAMERA, masks=masks)
        assert len(table) == 0
        assert table.meta["n_images"] == 0
        assert table["hillas_width"].unit == u.deg


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.floats(width=32) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1e-30, 3e38]),
        min_size=19,
        max_size=19,
    ),
    selected=st.none() | st.lists(st.booleans(), min_size=19, max_size=19),
)
def test_any_numbers_give_a_row(values, selected):
    camera = CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=19)
    image = np.array([values])
    masks = clean_images(image, camera=camera) if selected is None else np.array([selected])
    table = extract_hillas(image, camera=camera, masks=masks, times=image)
    usable = masks[0] & np.isfinite(image[0])
    assert table["morphology_n_pixels"][0] == usable.sum()
    assert table["n_nan_pixels"][0] == np.sum(~np.isfinite(image))
    light = image[0][usable]
    fine = light.size and (light >= 0).all() and light.sum() > 0
    assert np.isfinite(table["hillas_length"][0]) == bool(fine)


# --- wrong input


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (np.zeros(127), {}, r"images must be .*got shape \(127,\).*image\[None, :\]"),
        (np.zeros((2, 91)), {}, "images must have one column for each of the 127 pixels of hexag"),
        (np.zeros((2, 127), complex), {}, "images must be numbers"),
        (np.zeros((2, 127)), {"picture_threshold": 0}, "picture_threshold must be > 0, got 0"),
        (np.zeros((2, 127)), {"picture_threshold": [5.0, 6.0]}, "one for each of the 127 pixels"),
        (np.zeros((2, 127)), {"boundary_threshold": np.nan}, "boundary_threshold must be > 0"),
        (np.zeros((2, 127)), {"time_limit": 1.0}, "times must be given with time_limit"),
        (np.zeros((2, 127)), {"times": np.zeros((1, 127))}, "times must have the shape"),
        (np.zeros((2, 127)), {"min_number_picture_neighbors": 1.5}, "must be an integer >= 0"),
        (RaggedImages([0, 1], [127], [3.0]), {}, "pixel must be < 127.*got 127"),
        (RaggedImages([0, 1], [12], [3.0]), {"times": [1.0]}, "times must be part of RaggedIm"),
    ],
)
def test_wrong_input_is_said(images, options, message):
    with pytest.raises(ValueError, match=message):
        clean_images(images, camera=CAMERA, **options)


def test_wrong_masks_and_cameras_are_said():
    images = np.ones((2, 127))
    with pytest.raises(ValueError, match="masks must be boolean"):
        extract_hillas(images, camera=CAMERA, masks=np.ones((2, 127)))
    with pytest.raises(ValueError, match=r"masks must have the shape \(2, 127\)"):
        extract_hillas(images, camera=CAMERA, masks=np.ones((1, 127), dtype=bool))
    with pytest.raises(ValueError, match="camera must be a CameraGeometry, got str"):
        extract_hillas(images, camera="HESS-I")
    with pytest.raises(ValueError, match="lengths must be equal, got images 2, event_id 3"):
        extract_hillas(images, camera=CAMERA, event_id=[1, 2, 3])


@pytest.mark.parametrize(
    ("offset", "pixel", "charge", "message"),
    [
        ([0, 2], [4, 3], [1, 1], "rise within each image"),
        ([0, 2], [4, 4], [1, 1], "rise within each image"),
        ([0, 1], [-1], [1], "must be >= 0"),
        ([0, 2], [4], [1], "offset must be a list from 0 to the 1 entries"),
        ([0, 2, 1], [4], [1], "offset must be a list that never falls"),
        ([0, 1], [4], [1, 2], "lengths must be equal"),
        ([0, 1], [4.5], [1], "pixel must be a list of integers"),
        ([], [], [], "offset must be"),
    ],
)
def test_wrong_ragged_images_are_said(offset, pixel, charge, message):
    with pytest.raises(ValueError, match=message):
        RaggedImages(offset, pixel, charge)


def test_ragged_images_go_to_dense_and_back():
    images = draw_random(5)
    images[[0, 7, 19]] = 0.0
    ragged = RaggedImages.from_dense(images)
    np.testing.assert_array_equal(ragged.to_dense(127), images)
    assert str(ragged) == f"20 images, {np.count_nonzero(images)} pixels listed"
    with pytest.raises(ValueError, match="n_pixels must be > the pixel"):
        ragged.to_dense(50)


# --- what the simulation calls


def test_one_pass_equals_two(measured):
    images, times = draw_images(CAMERA)
    masks = np.zeros(images.shape, dtype=bool)
    rows = clean_and_measure(images, camera=CAMERA, times=times, masks_out=masks)
    np.testing.assert_array_equal(masks, measured[0])
    table = build_image_table(rows, camera=CAMERA, timed=True, tel_id=[1, 2, 3])
    assert table.colnames[0] == "tel_id"
    np.testing.assert_array_equal(get_values(table), get_values(measured[1]))
    with pytest.raises(ValueError, match="masks_out must have the shape"):
        clean_and_measure(images, camera=CAMERA, masks_out=masks[:1])
    with pytest.raises(ValueError, match="masks_out must be boolean and contiguous"):
        clean_and_measure(images, camera=CAMERA, masks_out=masks.astype(int))


def test_ids_are_copied_and_input_stays():
    images, _ = draw_images(CAMERA)
    images.flags.writeable = False
    table = extract_hillas(
        images, camera=CAMERA, obs_id=[7, 7, 7], event_id=[1, 1, 2], tel_id=[1, 2, 1]
    )
    assert table.colnames[:3] == ["obs_id", "event_id", "tel_id"]
    assert table["event_id"].tolist() == [1, 1, 2]
    strided = np.repeat(images, 2, axis=0)[::2]
    np.testing.assert_array_equal(
        get_values(extract_hillas(strided, camera=CAMERA)),
        get_values(extract_hillas(images, camera=CAMERA)),
    )
