"""Stamps in and out of files, with the rows that belong to them."""

import gzip
import io
import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, QTable
from astropy.wcs import WCS
from PIL import Image

from astroml_kit.images import (
    SkyImage,
    Stamps,
    extract_stamps,
    iter_stamps,
    read_stamps,
    write_stamps,
)
from astroml_kit.images._joining import join_stamps

DATA = os.environ.get("ASTROML_KIT_DATA")


def make_wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150, 2], [25, 20]
    wcs.wcs.cdelt = [-1 / 3600, 1 / 3600]
    return wcs


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


def test_stamps_go_to_other_processes():
    stamps = make_stamps()
    back = pickle.loads(pickle.dumps(stamps))
    np.testing.assert_array_equal(back.images, stamps.images)
    assert back.wcs[6].wcs.compare(stamps.wcs[6].wcs)
    assert dict(back.meta) == dict(stamps.meta)


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="set ASTROML_KIT_DATA to a folder with galaxy-zoo1-sdss")
def test_galaxy_zoo_crops_and_their_labels():
    folder = Path(DATA) / "galaxy-zoo1-sdss"
    batches = iter_stamps(
        folder / "crops112.zip", batch_size=40, labels=folder / "labels.csv", dtype="uint8"
    )
    first = next(batches)
    assert first.images.shape == (40, 3, 112, 112)
    # a name of 18 digits keeps them all
    assert first.table["id"][0] == "587722952767439450"
    assert first.table["label"][0] == 3
    assert first.meta["images_without_label"] == first.meta["labels_without_image"] == 0


def test_fits_members_bring_mask_errors_and_wcs(tmp_path):
    wcs = make_wcs()
    for k in range(3):
        data = np.full((8, 9), float(k))
        data[0, k] = np.nan
        parts = [fits.PrimaryHDU(data, wcs.to_header()), fits.ImageHDU(data + 1, name="ERR")]
        parts[0].header["BUNIT"] = "nJy"
        fits.HDUList(parts).writeto(tmp_path / f"g{k}.fits")
    packed = gzip.compress((tmp_path / "g2.fits").read_bytes())
    (tmp_path / "g2.fits").unlink()
    (tmp_path / "g2.fits.gz").write_bytes(packed)
    stamps = read_stamps(tmp_path)
    assert list(stamps.table["id"]) == ["g0", "g1", "g2"]
    assert np.argwhere(stamps.mask).tolist() == [[k, 0, 0, k] for k in range(3)]
    assert stamps.uncertainty[1, 0, 2, 2] == 2
    assert stamps.unit == u.nJy
    assert stamps.parity.tolist() == ["sky"] * 3
    assert stamps.meta["first_row"] == "bottom"
    np.testing.assert_allclose(stamps.pixel_scale.to_value("arcsec"), 1)
    # cut about the centre, with the WCS of what is left
    small = read_stamps(tmp_path, shape=(4, 11))
    np.testing.assert_array_equal(small.images[1, 0, :, 1:10], stamps.images[1, 0, 2:6])
    assert small.mask[:, :, :, [0, 10]].all()
    here = small.wcs[0].pixel_to_world(2, 1)
    assert here.separation(stamps.wcs[0].pixel_to_world(1, 3)).arcsec < 1e-9


def test_pictures_of_several_sizes_and_colours(tmp_path):
    Image.fromarray(draw(0)).save(tmp_path / "a.png")
    Image.fromarray(draw(1, size=(9, 10), mode="L")).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match="images must have the same number of planes, got 3 in a"):
        read_stamps(tmp_path)
    with pytest.raises(ValueError, match="images must be of one size, got 12 x 10 in a"):
        read_stamps(tmp_path, color="gray")
    gray = read_stamps(tmp_path, color="gray", shape=(12, 10), bands=("i",))
    np.testing.assert_allclose(gray.images[0, 0], draw(0) @ [0.299, 0.587, 0.114], rtol=1e-5)
    assert gray.mask[1].sum() == 30
    assert gray.bands == ("i",)
    colours = read_stamps(tmp_path, color="rgb", shape=(12, 10), dtype="uint8")
    assert colours.images.dtype == np.uint8
    assert (colours.images[1, 0] == colours.images[1, 2]).all()


def test_folders_may_be_labels(tmp_path):
    for k, name in enumerate(["spiral", "elliptical", "spiral"]):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / f"{k}.png").write_bytes(to_png(draw(k)))
    stamps = read_stamps(tmp_path, labels="folder")
    assert dict(zip(stamps.table["id"], stamps.table["label"], strict=True)) == {
        "0": "spiral", "1": "elliptical", "2": "spiral",
    }  # fmt: skip


def make_stamps(n=7):
    """Stamps with everything that they may have."""
    rng = np.random.default_rng(0)
    image = SkyImage(
        rng.normal(size=(2, 40, 50)), uncertainty=np.full((2, 40, 50), 0.5), unit="MJy/sr",
        wcs=make_wcs(), bands=("g", "r"),
    )  # fmt: skip
    pixels = rng.uniform([0, 0], [50, 40], (n, 2))
    table = QTable({
        "coord": image.wcs.pixel_to_world(*pixels.T), "id": [f"588848901532418{k}" for k in
                                                             range(n)],
        "label": MaskedColumn(np.arange(n), mask=np.arange(n) == 2),
        "size": np.arange(n) * u.arcsec, "name": [f"NGC {k}" for k in range(n)],
    })  # fmt: skip
    plain = extract_stamps(image, table[: n - 2], size=8, parity="mirror")
    turned = extract_stamps(image, table[n - 2 :], size=8, pixel_scale=1.5 * u.arcsec)
    return join_stamps([plain, turned], n)


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_what_is_written_is_read_again(tmp_path, ending):
    stamps = make_stamps()
    path = write_stamps(stamps, tmp_path / f"stamps.{ending}")
    back = read_stamps(path)
    np.testing.assert_array_equal(back.images, stamps.images)
    np.testing.assert_array_equal(back.mask, stamps.mask)
    np.testing.assert_array_equal(back.uncertainty, stamps.uncertainty)
    assert set(back.table.colnames) == set(stamps.table.colnames)
    assert back.table["label"].tolist() == stamps.table["label"].tolist()
    assert back.table["size"][3] == 3 * u.arcsec
    assert back.table["name"].tolist() == stamps.table["name"].tolist()
    assert back.table["coord"].separation(stamps.table["coord"]).arcsec.max() < 1e-9
    assert (back.unit, back.bands) == (stamps.unit, stamps.bands)
    assert back.meta["first_row"] == "bottom"
    for row in range(len(stamps)):
        old, new = stamps.wcs[row], back.wcs[row]
        assert old.pixel_to_world(2, 5).separation(new.pixel_to_world(2, 5)).arcsec < 1e-6
    batches = list(iter_stamps(path, batch_size=3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([b.images for b in batches]), stamps.images)
    assert [b.table["id"][0] for b in batches] == list(stamps.table["id"][::3])
    assert batches[1].wcs[2].wcs.crpix.tolist() == back.wcs[5].wcs.crpix.tolist()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_stamps(stamps, path)
    write_stamps(stamps[:2], path, overwrite=True)
    assert len(read_stamps(path)) == 2


def test_batches_go_to_parquet_one_by_one(tmp_path):
    stamps = make_stamps()
    path = write_stamps((stamps[k : k + 2] for k in (0, 2, 4)), tmp_path / "a.parquet")
    np.testing.assert_array_equal(read_stamps(path).images, stamps.images[:6])
    with pytest.raises(ValueError, match="stamps must have the same columns in every batch"):
        write_stamps([stamps[:2], Stamps(stamps.images[:2])], tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"table must leave the names .* got \['mask'\]"):
        write_stamps(Stamps(stamps.images, table=QTable({"id": range(7), "mask": range(7)})),
                     tmp_path / "b.parquet")  # fmt: skip
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]  # nothing half-written


def test_parquet_is_streamed(tmp_path):
    stamps = Stamps(np.random.default_rng(0).normal(size=(2000, 1, 64, 64)))
    path = write_stamps(stamps, tmp_path / "many.parquet")
    tracemalloc.start()
    for batch in iter_stamps(path, batch_size=100):
        assert batch.images.shape == (100, 1, 64, 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < stamps.images.nbytes / 5


def test_a_hats_catalogue_partition_by_partition(tmp_path):
    stamps = make_stamps()
    root = tmp_path / "galaxies"
    for number, rows in ((10, slice(4, 7)), (9, slice(0, 4))):
        folder = root / "dataset" / "Norder=1" / "Dir=0"
        folder.mkdir(parents=True, exist_ok=True)
        write_stamps(stamps[rows], folder / f"Npix={number}.parquet")
    (root / "dataset" / "_metadata.parquet").write_bytes(b"none of the partitions")
    write_stamps(stamps[:2], root / "dataset" / "data_thumbnail.parquet")
    (root / "hats.properties").write_text("#HATS catalog\nobs_collection=galaxies\nhats_nrows=7\n")
    back = read_stamps(root)
    np.testing.assert_array_equal(back.images, stamps.images)
    assert back.meta["hats"] == {"obs_collection": "galaxies", "hats_nrows": "7"}
    assert back.meta["n_partitions"] == 2
    # a collection names its catalogue; the margin beside it repeats rows
    outer = tmp_path / "collection"
    outer.mkdir()
    root.rename(outer / "galaxies")
    margin = outer / "margin" / "dataset" / "Norder=1"
    margin.mkdir(parents=True)
    write_stamps(stamps[:1], margin / "Npix=9.parquet")
    (outer / "collection.properties").write_text("hats_primary_table_url=galaxies\n")
    assert len(read_stamps(outer)) == 7
    (outer / "collection.properties").write_text("hats_primary_table_url=../..\n")
    with pytest.raises(ValueError, match="collection must hold its catalogue"):
        read_stamps(outer)


def test_parquet_of_others(tmp_path, pictures):
    cube = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    packed = [{"bytes": to_png(pixels), "path": name} for name, pixels in pictures.items()]
    survey = [{"band": ["g", "r", "i"], "flux": one.tolist(), "ivar": (one * 0 + 4).tolist()}
              for one in cube]  # fmt: skip
    survey[1]["ivar"][2][0][0] = 0.0
    tables = {
        "nested": {"objid": [7, 8], "ra": [10.0, 20], "dec": [1.0, 2], "image": cube.tolist()},
        "flat": {"image": cube.reshape(2, -1).tolist()},
        "packed": {"id": list(pictures), "image": packed},
        "survey": {"object_id": ["a", "b"], "image": survey},
    }
    for name, table in tables.items():
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    nested = read_stamps(tmp_path / "nested.parquet")
    np.testing.assert_array_equal(nested.images, cube)
    assert nested.table["id"].tolist() == [7, 8]
    assert nested.table["coord"][1].ra.deg == 20
    with pytest.raises(ValueError, match="must say the shape of its flat images of 60 pixels"):
        read_stamps(tmp_path / "flat.parquet")
    flat = read_stamps(tmp_path / "flat.parquet", shape=(4, 5))
    np.testing.assert_array_equal(flat.images, cube)
    assert flat.table["id"].tolist() == ["flat:0", "flat:1"]
    pixels = read_stamps(tmp_path / "packed.parquet", dtype="uint8")
    np.testing.assert_array_equal(pixels.images, [p.transpose(2, 0, 1) for p in pictures.values()])
    own = read_stamps(tmp_path / "survey.parquet", image_column="image")
    assert own.bands == ("g", "r", "i")
    assert np.argwhere(own.mask).tolist() == [[1, 2, 0, 0]]
    assert own.uncertainty[0, 0, 0, 0] == 0.5
    with pytest.raises(ValueError, match=r"lacks the columns \['pixels'\]"):
        read_stamps(tmp_path / "survey.parquet", image_column="pixels")


def test_labels_of_arrays(tmp_path):
    path = tmp_path / "radio.npz"
    np.savez(path, images=np.zeros((3, 6, 6), dtype=np.uint8), labels=[2, 0, 1],
             filenames=["a.png", "b.png", "c.png"], survey="FIRST")  # fmt: skip
    stamps = read_stamps(path)
    assert stamps.table["label"].tolist() == [2, 0, 1]
    assert stamps.table["source"].tolist() == ["a.png", "b.png", "c.png"]
    table = QTable({"id": [0, 2, 9], "label": ["FRI", "FRII", "FRI"]})
    stamps = read_stamps(path, labels=table)
    assert stamps.table["label"].tolist() == ["FRI", None, "FRII"]
    assert stamps.meta["labels_without_image"] == 1
    assert stamps.to_samples().y.tolist() == ["FRI", "", "FRII"]


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="set ASTROML_KIT_DATA to a folder with mirabest")
def test_mirabest_and_its_labels():
    stamps = read_stamps(Path(DATA) / "mirabest" / "mirabest_full_150.npz", dtype="uint8")
    assert stamps.images.shape == (1256, 1, 150, 150)
    assert len(stamps[stamps.table["is_test"]]) < 1256
    assert str(stamps.table["source"][0]).endswith(".png")
