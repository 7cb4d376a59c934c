"""Contact sheets show every stamp in its place and colour, with what is said about it."""

import matplotlib as mpl
import numpy as np
import pytest
from astropy.table import QTable
from matplotlib.colors import to_hex

from astroml_kit.plotting import plot_augmentation, plot_embedding, plot_similar, plot_stamps
from astroml_kit.plotting._axes import GREEN, ORANGE
from astroml_kit.plotting.stamps import GAP, make_pictures

mpl.use("Agg")


class Cutouts:
    """What the plots know of Stamps: they must not import a domain."""

    def __init__(self, images, bands=(), mask=None):
        self.images, self.bands = images, bands
        self.mask = np.zeros(images.shape, dtype=bool) if mask is None else mask
        self.table = QTable({"id": [f"star{k}" for k in range(len(images))]})

    def __len__(self):
        return len(self.images)


@pytest.fixture(autouse=True)
def _close():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def get_sheet(ax):
    return np.asarray(ax.get_images()[0].get_array())


def paint(n=5, n_bands=3, size=10, dtype=np.uint8):
    return np.random.default_rng(1).integers(0, 256, (n, n_bands, size, size)).astype(dtype)


def test_every_stamp_is_in_its_place_as_it_is():
    images = paint()
    sheet = get_sheet(plot_stamps(images, n_columns=3))
    assert sheet.shape == (2 * 10 + GAP, 3 * 10 + 2 * GAP, 3)
    for k, image in enumerate(images):
        top, left = k // 3 * (10 + GAP), k % 3 * (10 + GAP)
        shown = sheet[top : top + 10, left : left + 10]
        np.testing.assert_allclose(shown, np.moveaxis(image, 0, -1) / 255)
    assert (sheet[10 : 10 + GAP] == 1).all()
    assert (sheet[12:, 2 * (10 + GAP) :] == 1).all(), "no stamp, white"


@pytest.mark.parametrize(
    ("bands", "red"),
    [(("g", "r", "i"), 2), (("sdss_g", "sdss_r", "sdss_i"), 2), (("i", "r", "g"), 0),
     (("R", "G", "B"), 0), ((), 0)],
)  # fmt: skip
def test_red_is_the_reddest_band(bands, red):
    images = paint()
    pictures = make_pictures(Cutouts(images, bands))
    np.testing.assert_allclose(pictures[..., 0], images[:, red] / 255)


def test_faint_and_bright_pixels_of_floats_are_seen():
    y, x = np.mgrid[:40, :40]
    galaxy = 1e4 * np.exp(-np.hypot(y - 20, x - 20) / 3)
    picture = make_pictures(galaxy[None])[0, ..., 0]
    assert picture.min() == 0
    assert picture.max() == 1
    assert picture[20, 27] > 0.3 > 2 * galaxy[20, 27] / galaxy.max()
    assert (np.diff(picture[20, 20:]) <= 0).all()


def test_masked_pixels_are_grey():
    mask = np.zeros((2, 3, 10, 10), dtype=bool)
    mask[1, 0, 4, 4] = True
    pictures = make_pictures(Cutouts(paint(2), mask=mask))
    assert pictures[1, 4, 4].tolist() == [0.5, 0.5, 0.5]
    holed = paint(2, dtype=float)
    holed[0, 1, 2, 3] = np.nan
    assert make_pictures(holed)[0, 2, 3].tolist() == [0.5, 0.5, 0.5]
    assert np.isfinite(make_pictures(holed)).all()


def test_ids_scores_and_labels_stand_on_the_stamps():
    ax = plot_stamps(
        Cutouts(paint(3)), scores=[3.14159, 2.0, 1.0], labels=np.array([1, 0, -1]), n_columns=3
    )
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["3.14  odd", "star0", "2.00  not", "star1", "1.00", "star2"]
    frames = {patch.get_x(): to_hex(patch.get_edgecolor()).upper() for patch in ax.patches}
    assert frames == {-0.5: ORANGE.upper(), 10 + GAP - 0.5: GREEN.upper()}


def test_no_more_than_asked_for():
    assert get_sheet(plot_stamps(paint(30), n_stamps=4, n_columns=8)).shape[1] == 4 * 10 + 3 * GAP


def test_queries_stand_before_what_is_like_them():
    images = paint(6)
    table = QTable({"query": [5, 5, 2], "row": [0, 3, 1], "distance": [0.1, 0.25, 0.5]})
    ax = plot_similar(images, table)
    sheet = get_sheet(ax)
    rows = [[5, 0, 3], [2, 1, None]]
    for i, row in enumerate(rows):
        for j, k in enumerate(row):
            shown = sheet[i * 12 : i * 12 + 10, j * 12 : j * 12 + 10]
            wanted = 1 if k is None else np.moveaxis(images[k], 0, -1) / 255
            np.testing.assert_allclose(shown, np.broadcast_to(wanted, shown.shape))
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["query", "0.1", "0.25", "query", "0.5"]


def test_augmented_stamps_lie_under_their_own():
    images = paint(4)
    ax = plot_augmentation(images, [images[..., ::-1], np.rot90(images, axes=(2, 3))], n=3)
    sheet = get_sheet(ax)
    assert sheet.shape[:2] == (3 * 10 + 2 * GAP, 3 * 10 + 2 * GAP)
    np.testing.assert_allclose(sheet[12:22, 12:22], np.moveaxis(images[1, :, :, ::-1], 0, -1) / 255)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["before", "after", "after"]


def test_thumbnails_stand_on_their_points():
    points = np.random.default_rng(2).uniform(size=(200, 2))
    ax = plot_embedding(points, images=paint(200), n_images=25)
    boxes = [artist for artist in ax.artists if hasattr(artist, "xy")]
    assert 15 <= len(boxes) <= 25
    assert all(np.any(np.all(points == box.xy, axis=1)) for box in boxes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_stamps(np.zeros((3, 3))), "stamps must be numbers of shape"),
        (lambda: plot_stamps(np.zeros((0, 3, 3))), "stamps must be numbers of shape"),
        (lambda: plot_stamps(paint(), scores=[1.0]), "scores must be one entry for each of the 5"),
        (lambda: plot_stamps(paint(), n_columns=0), "n_columns must be"),
        (lambda: plot_similar(paint(), QTable({"query": [0], "row": [9]})), "similar must be of"),
        (lambda: plot_similar(paint(), QTable({"query": [], "row": []})), "a table with rows"),
        (lambda: plot_augmentation(paint(), paint(4)), "lengths must be equal"),
        (lambda: plot_augmentation(paint(), paint(5, size=8)), "after must be of the size"),
        (lambda: plot_embedding(np.zeros((3, 2)), images=paint()), "lengths must be equal"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
