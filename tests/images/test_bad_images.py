"""What is broken, hostile or simply not an image: one clear error each."""

import bz2
import gzip
import io
import stat
import zipfile

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable
from PIL import Image

from astroml_kit.images import (
    SkyImage,
    Stamps,
    extract_stamps,
    iter_stamps,
    read_image,
    read_stamps,
    write_stamps,
)
from astroml_kit.images import _members as members


def to_png(pixels, form="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(buffer, format=form)
    return buffer.getvalue()


GOOD = to_png(np.arange(64).reshape(8, 8))


@pytest.fixture
def whole(tmp_path):
    """Bytes of a sound FITS file with a header block of 2880 bytes and 12,000 of pixels."""
    path = tmp_path / "whole.fits"
    fits.writeto(path, np.random.default_rng(0).normal(size=(50, 60)).astype(np.float32))
    return path.read_bytes()


def put(content, card, value):
    """The same file with another value on a card of the header."""
    start = content.index(card.ljust(8).encode() + b"=")
    line = f"{card:<8}= {value:>20}".ljust(80).encode()
    return content[:start] + line + content[start + 80 :]


FITS_CASES = {
    "truncated in the pixels": (lambda c: c[:8000], "it ends after 8000 of 14880 bytes, truncated"),
    "truncated in the header": (lambda c: c[:1000], "must be a whole FITS image"),
    "a BITPIX that does not exist": (lambda c: put(c, "BITPIX", "12"), "BITPIX is 12, not"),
    "a BITPIX of wider pixels": (lambda c: put(c, "BITPIX", "-64"), "or with a wrong BITPIX"),
    "an axis that is no number": (lambda c: put(c, "NAXIS1", "'abc'"), "must be a whole FITS"),
    "an axis below 0": (lambda c: put(c, "NAXIS1", "-60"), "must be a whole FITS|must have an"),
    "an axis of 0": (lambda c: put(c, "NAXIS1", "0"), "must have an image of two|must be"),
    "more pixels than there are": (lambda c: put(c, "NAXIS2", "900000"), "it ends after"),
    "one axis": (lambda c: put(put(c, "NAXIS", "1"), "NAXIS2", "1"), "must have an image of two|"
                 "must be a whole FITS"),
    "nothing behind the first card": (lambda c: c[:80], "must be a whole FITS image"),
    "bytes of anything": (lambda c: b"SIMPLE  =" + bytes(range(256)) * 40, "must be a whole FITS"),
}  # fmt: skip


@pytest.mark.parametrize("case", FITS_CASES)
def test_damaged_fits(tmp_path, whole, case):
    damage, message = FITS_CASES[case]
    path = tmp_path / "bad.fits"
    path.write_bytes(damage(whole))
    with pytest.raises(ValueError, match=r"^bad\.fits.*(" + message + ")"):
        read_image(path)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_compressed_fits_cut_short(tmp_path, whole, compress):
    packed = compress(whole)
    path = tmp_path / "bad.fits.gz"
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(packed[: int(len(packed) * share)])
        with pytest.raises(ValueError, match="must be a whole FITS image"):
            read_image(path)


def test_damaged_tiles(tmp_path):
    path = tmp_path / "tiles.fits"
    pixels = np.random.default_rng(0).integers(0, 1000, (64, 64)).astype(np.int32)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels)]).writeto(path)
    content = path.read_bytes()
    path.write_bytes(content[:-2880])
    with pytest.raises(ValueError, match="must be a whole FITS image"):
        read_image(path)


def test_a_file_cut_in_its_last_padding_is_whole(tmp_path, whole):
    path = tmp_path / "unpadded.fits"
    path.write_bytes(whole[: 2880 + 12_000])
    assert read_image(path).data.shape == (50, 60)


def test_an_image_too_big_to_be_read_at_once(tmp_path, monkeypatch, whole):
    monkeypatch.setattr("astroml_kit.images._fits_images.MOST_PIXELS", 1000)
    path = tmp_path / "big.fits"
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"at most 1000 pixels.* got 3000. Read a part"):
        read_image(path)
    assert read_image(path, section=((0, 10), (0, 10))).data.shape == (10, 10)


def test_not_an_image(tmp_path):
    for name, content in (("a.fits", b"hello"), ("b.txt", b""), ("c.gif", b"GIF89a" + b"0" * 50)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} must be an image, FITS, NPZ, PNG or JPEG"):
            read_image(tmp_path / name)
    with pytest.raises(ValueError, match="path must be a file, got the folder"):
        read_image(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.fits")
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(QTable({"a": [1]}))]).writeto(
        tmp_path / "table.fits"
    )
    with pytest.raises(ValueError, match=r"must have an image of two axes or more, got \['1 : Bin"):
        read_image(tmp_path / "table.fits")
    make_zip(tmp_path / "a.zip", {"a.png": GOOD})
    with pytest.raises(ValueError, match=r"a\.zip must be a whole image: it holds files"):
        read_image(tmp_path / "a.zip")
    np.savez(tmp_path / "pickle.npz", data=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"pickle\.npz must be a whole image: .*without pickles"):
        read_image(tmp_path / "pickle.npz")


def test_wrong_requests_of_a_sound_file(tmp_path, whole):
    path = tmp_path / "whole.fits"
    for options, message in (
        ({"hdu": "SCI"}, "hdu must be one of .* got 'SCI'"),
        ({"hdu": 3}, "hdu must be"),
        ({"section": ((0, 51), (0, 10))}, r"section must be \(rows, columns\).*50 x 60"),
        ({"section": (slice(0, 10, 2), slice(None))}, "without steps"),
        ({"section": ((5, 5), (0, 10))}, "section must be"),
        ({"section": 3}, "section must be"),
        ({"section": ((0.5, 3), (0, 4))}, "section must be"),
        ({"bands": ("g", "r")}, "bands must be 1 names"),
        ({"weight": "some"}, "weight must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            read_image(path, **options)


def test_a_colour_picture_is_three_bands_or_refused(tmp_path):
    path = tmp_path / "colour.jpg"
    path.write_bytes(to_png(np.zeros((8, 8, 3)), "JPEG"))
    assert read_image(path).bands == ("red", "green", "blue")
    with pytest.raises(ValueError, match=r"bands must be 3 names for the 3 planes of colour.jpg"):
        read_image(path, bands=("r",))
    with pytest.raises(ValueError, match=r"it has 3 planes for 1 bands .*color='gray' makes one"):
        read_stamps(tmp_path, bands=("r",))


def test_one_pixel_and_nothing_but_nan(tmp_path):
    (tmp_path / "dot.png").write_bytes(to_png([[7]]))
    assert read_image(tmp_path / "dot.png").data.tolist() == [[7]]
    assert read_stamps(tmp_path).images.shape == (1, 1, 1, 1)
    fits.writeto(tmp_path / "nan.fits", np.full((4, 4), np.nan))
    image = read_image(tmp_path / "nan.fits")
    assert image.mask.all()
    stamps = Stamps(image.data[None, None])
    assert stamps.mask.all()
    assert np.isfinite(stamps.to_samples().X).all()
    with pytest.raises(ValueError, match="none of them 0, got"):
        SkyImage(np.zeros((0, 4)))


def test_no_wcs_where_one_is_needed(tmp_path):
    path = tmp_path / "plain.fits"
    fits.writeto(path, np.zeros((9, 9)))
    position = SkyCoord([10], [20], unit="deg")
    with pytest.raises(ValueError, match=r"image plain.fits must have a celestial WCS .* got none"):
        extract_stamps(path, position, size=3)
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "GLAT-TAN"})
    fits.writeto(path, np.zeros((9, 9)), header, overwrite=True)
    image = read_image(path)
    assert image.wcs is None
    assert "wcs_error" in image.meta
    with pytest.raises(ValueError, match=r"must have a celestial WCS .* got a broken one"):
        extract_stamps(image, position, size=3)
    (tmp_path / "a.png").write_bytes(GOOD)
    with pytest.raises(ValueError, match=r"a.png must be FITS to be cut by position"):
        extract_stamps(tmp_path / "a.png", position, size=3)


def make_zip(path, names, *, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return path


def test_an_empty_folder_and_no_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ValueError, match=r"must have images ending in .* got none among 1 files"):
        read_stamps(tmp_path)
    with pytest.raises(FileNotFoundError, match="path must be a folder or file that is there"):
        read_stamps(tmp_path / "none")
    with pytest.raises(ValueError, match=r"notes.txt must be a folder or zip of images, NPZ or"):
        read_stamps(tmp_path / "notes.txt")
    make_zip(tmp_path / "empty.zip", {})
    with pytest.raises(ValueError, match=r"must have images ending in .* got none among 0 files"):
        read_stamps(tmp_path / "empty.zip")


@pytest.mark.parametrize(
    "name", ["../a.png", "b/../../a.png", "/etc/a.png", "C:/a.png", "..\\a.png", "\\\\host\\a.png"]
)
def test_names_that_lead_out_of_a_zip(tmp_path, name):
    path = make_zip(tmp_path / "evil.zip", {"good.png": GOOD, name: GOOD})
    with pytest.raises(ValueError, match=r"evil.zip must have names that stay inside of it"):
        read_stamps(path)
    assert [file.name for file in tmp_path.iterdir()] == ["evil.zip"]


def test_symbolic_links_in_a_zip(tmp_path):
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = make_zip(tmp_path / "evil.zip", {"good.png": GOOD, link: b"/etc/passwd"})
    with pytest.raises(ValueError, match=r"'link.png', a symbolic link"):
        read_stamps(path)


def test_zip_bombs(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "bomb.zip", {"a.png": bytes(2**24)})
    with pytest.raises(ValueError, match=r"must not be a zip bomb: a.png unpacks from"):
        read_stamps(path)
    path = make_zip(tmp_path / "many.zip", {f"{k}.png": GOOD for k in range(9)})
    assert len(read_stamps(path)) == 9
    monkeypatch.setattr(members, "MOST_BYTES", 500)
    with pytest.raises(ValueError, match=r"must not be a zip bomb: .* bytes unpack to"):
        read_stamps(path)


def test_members_that_share_their_bytes(tmp_path):
    """Many names for the same bytes unpack to more than any one of them tells."""
    path = make_zip(tmp_path / "overlap.zip", {f"{k}.png": GOOD for k in range(3)})
    with zipfile.ZipFile(path) as archive:
        first = archive.infolist()[0].header_offset
    with zipfile.ZipFile(path, "a") as archive:
        for info in archive.infolist():
            info.header_offset, info.compress_size = first, 10_000
        archive._didModify = True
    with pytest.raises(ValueError, match=r"overlap\.zip must"):
        read_stamps(path)


def test_a_picture_of_too_many_pixels(tmp_path, monkeypatch):
    monkeypatch.setattr("astroml_kit.images._pictures.MOST_PIXELS", 63)
    (tmp_path / "a.png").write_bytes(GOOD)
    with pytest.raises(ValueError, match="it has 8 x 8 pixels, more than 63"):
        read_image(tmp_path / "a.png")


def test_a_gzip_bomb_among_the_members(tmp_path, monkeypatch, whole):
    monkeypatch.setattr("astroml_kit.images._image_files.MOST_UNPACKED", 10_000)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.fits.gz").write_bytes(gzip.compress(whole))
    with pytest.raises(ValueError, match="it unpacks to more than 10000 bytes"):
        read_stamps(folder)


DAMAGE = {
    "cut.png": GOOD[:40], "empty.png": b"", "text.jpg": b"hello", "cut.jpg": to_png(
        np.random.default_rng(0).integers(0, 255, (8, 8)), "JPEG")[:200],
    "sky.fits": b"SIMPLE  =" + b" " * 3000, "sky.fits.gz": b"\x1f\x8b\x08\x00" + b"1" * 20,
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_member_is_named_or_left_out(tmp_path, name, packed):
    files = {"one.png": GOOD, name: DAMAGE[name], "two.png": GOOD}
    path = tmp_path / "stamps"
    if packed:
        path = make_zip(path.with_suffix(".zip"), files)
    else:
        path.mkdir()
        for key, content in files.items():
            (path / key).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} in {path.name} must be a whole .*bad='skip'"):
        read_stamps(path)
    with pytest.warns(UserWarning, match="1 of 3 images left out, the first " + name):
        stamps = read_stamps(path, bad="skip")
    assert list(stamps.table["id"]) == ["one", "two"]
    assert len(stamps) == len(stamps.images) == 2
    assert list(stamps.meta["skipped"]) == [name]
    with pytest.warns(UserWarning, match="1 of 3 images left out"):
        assert [len(batch) for batch in iter_stamps(path, batch_size=3, bad="skip")] == [2]


def test_a_member_whose_bytes_were_changed(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.png": GOOD, "b.png": GOOD}, method=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 6] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.png in a\.zip must be a whole image: .*CRC"):
        read_stamps(path)
    path.write_bytes(content[:100])
    with pytest.raises(ValueError, match=r"a\.zip must be a folder or zip of images"):
        read_stamps(path)


def test_nothing_is_left(tmp_path):
    (tmp_path / "a.png").write_bytes(b"hello")
    with pytest.raises(ValueError, match="must have images that can be read, got none of 1"):
        read_stamps(tmp_path, bad="skip")


def test_ids_that_repeat(tmp_path):
    for name in ("a/1.png", "b/1.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(GOOD)
    with pytest.raises(ValueError, match=r"ids must be different, got '1' for \['a/1.png', 'b/1"):
        read_stamps(tmp_path)


def test_labels_that_do_not_fit(tmp_path):
    (tmp_path / "1.png").write_bytes(GOOD)
    cases = [
        (QTable({"id": ["1", "1"], "label": [0, 1]}), {}, "must have each id once, got '1' 2"),
        (QTable({"id": [1.0], "label": [0]}), {}, "ids that are text or whole numbers"),
        (QTable({"a": [1], "label": [0]}), {}, "must have a column 'id' or the like"),
        (QTable({"id": [1], "b": [0]}), {"label_column": "c"}, r"lacks the columns \['c'\]"),
    ]  # fmt: skip
    for table, options, message in cases:
        with pytest.raises(ValueError, match=message):
            read_stamps(tmp_path, labels=table, **options)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match=r"empty\.csv must be a table separated by commas"):
        read_stamps(tmp_path, labels=tmp_path / "empty.csv")
    none = read_stamps(tmp_path, labels=QTable({"id": ["5"], "label": [3]}))
    assert none.meta["labels_without_image"] == none.meta["images_without_label"] == 1
    assert none.to_samples().y.tolist() == [-1]


def test_damaged_arrays_and_tables(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, stamps=np.zeros((3, 4, 4)))
    with pytest.raises(ValueError, match=r"must have the array 'images', got \['stamps'\]"):
        read_stamps(path)
    np.savez(path, images=np.zeros((3, 4, 4)), names=np.array(["a", {}, 3], dtype=object))
    with pytest.raises(ValueError, match=r"names.npy is a pickle, which is never read"):
        read_stamps(path)
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.zeros((3, 4, 4)))
    make_zip(path, {"images.npy": buffer.getvalue().replace(b"(3, 4, 4)", b"(9, 4, 4)")})
    with pytest.raises(ValueError, match=r"images.npy is not of the size that it says"):
        read_stamps(path)
    stamps = Stamps(np.random.default_rng(0).normal(size=(50, 1, 8, 8)))
    path = write_stamps(stamps, tmp_path / "a.parquet")
    content = bytearray(path.read_bytes())
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"a\.parquet must be a whole Parquet file"):
        read_stamps(path)
    content[600] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet must be a whole Parquet file"):
        read_stamps(path)
    with pytest.raises(ValueError, match=r"path must end in '\.npz' or '\.parquet'"):
        write_stamps(stamps, tmp_path / "a.fits")


def test_stamps_that_do_not_fit_together():
    images = np.zeros((2, 1, 4, 4))
    for options, message in (
        ({"mask": np.zeros((2, 4, 4))}, r"mask must be of shape \(2, 1, 4, 4\)"),
        ({"table": QTable({"id": [1]})}, "lengths must be equal, got images 2, table 1"),
        ({"table": QTable({"name": [1, 2]})}, r"table lacks the columns \['id'\]"),
        ({"bands": ("a", "b")}, "bands must be 1 names"),
        ({"uncertainty": images[0]}, "uncertainty must be of shape"),
        ({"wcs": [None]}, "lengths must be equal"),
    ):
        with pytest.raises(ValueError, match=message):
            Stamps(images, **options)
    with pytest.raises(ValueError, match=r"images must be of shape \(n, n_bands, h, w\)"):
        Stamps(images[0])
    stamps = Stamps(images)
    with pytest.raises(ValueError, match="rows must be a mask of length 2"):
        stamps[[True]]
    with pytest.raises(ValueError, match="rows must be a number, a slice"):
        stamps[["a"]]
    with pytest.raises(IndexError):
        stamps[5]
    with pytest.raises(ValueError, match=r"table lacks the columns \['class'\]"):
        stamps.to_samples(label="class")
    with pytest.raises(ValueError, match="batch_size must be finite and >= 1"):
        iter_stamps("anywhere", batch_size=0)
