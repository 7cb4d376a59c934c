"""Stamps in and out of files, with the rows that belong to them."""

import io
import zipfile

import numpy as np
import pytest
from astropy.table import QTable
from PIL import Image

from astroml_kit.images import Stamps, iter_stamps, read_stamps


def draw(seed, *, size=(12, 10), mode="RGB"):
    rng = np.random.default_rng(seed)
    shape = size if mode == "L" else (*size, 3)
    return rng.integers(0, 256, shape, dtype=np.uint8)


def to_png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def pictures():
    return {f"58884890152737194{k}": draw(k) for k in range(5)}


@pytest.fixture(params=["folder", "zip"])
def collection(request, tmp_path, pictures):
    if request.param == "folder":
        path = tmp_path / "stamps"
        path.mkdir()
        for name, pixels in pictures.items():
            (path / f"{name}.png").write_bytes(to_png(pixels))
        (path / "notes.txt").write_text("none of them")
        return path
    path = tmp_path / "stamps.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, pixels in pictures.items():
            archive.writestr(f"{name}.png", to_png(pixels))
        archive.writestr("notes.txt", "none of them")
    return path


def test_pictures_come_as_planes_with_their_labels(collection, pictures, tmp_path):
    names = list(pictures)
    labels = tmp_path / "labels.csv"
    labels.write_text("OBJID,CLASS,votes\n" + "".join(
        f"{name},{k},{k / 10}\n" for k, name in enumerate([*names[:4], "1", "2"])
    ))  # fmt: skip
    stamps = read_stamps(collection, labels=labels)
    assert stamps.images.shape == (5, 3, 12, 10)
    assert stamps.bands == ("red", "green", "blue")
    np.testing.assert_array_equal(stamps.images[2], pictures[names[2]].transpose(2, 0, 1))
    assert list(stamps.table["id"]) == names
    assert stamps.table["label"].tolist() == [0, 1, 2, 3, None]
    assert stamps.table["votes"][3] == 0.3
    counted = {key: stamps.meta[key] for key in
               ("not_images", "labels_without_image", "images_without_label")}  # fmt: skip
    assert counted == {"not_images": 1, "labels_without_image": 2, "images_without_label": 1}
    samples = stamps.to_samples()
    assert samples.y.tolist() == [0, 1, 2, 3, -1]
    assert samples.meta["unlabelled"] == 1
    assert list(samples.groups) == names


def test_batches_are_the_whole(collection):
    whole = read_stamps(collection)
    batches = list(iter_stamps(collection, batch_size=2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([b.images for b in batches]), whole.images)
    assert [i for b in batches for i in b.table["id"]] == list(whole.table["id"])


def test_rows_are_taken_together():
    table = QTable({"id": ["a", "b", "c"]})
    images = np.arange(3 * 4, dtype=np.float32).reshape(3, 1, 2, 2)
    images[1, 0, 0, 0] = np.nan
    stamps = Stamps(images, table=table)
    assert stamps.mask.sum() == 1
    for rows, expected in ((1, "b"), ([2, 0], "ca"), ([True, False, True], "ac"),
                           (slice(1, None), "bc"), ([], "")):  # fmt: skip
        taken = stamps[rows]
        assert "".join(taken.table["id"]) == expected
        np.testing.assert_array_equal(
            taken.images[:, 0, 1, 1], [images["abc".index(k), 0, 1, 1] for k in expected]
        )
    samples = stamps.to_samples(fill=-5)
    assert samples.X[1, 0, 0, 0] == -5
    assert samples.meta["filled_pixels"] == 1
    assert np.isnan(images[1, 0, 0, 0])  # what was given is left alone
