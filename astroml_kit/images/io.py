"""The gate: images and stamps from files of many kinds, whole, in part or in batches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .._validation import check_choice, check_real
from ._image_files import read_path
from ._stamp_arrays import write_arrays
from ._stamp_batch import ReadOptions
from ._stamp_files import StampSource
from ._stamp_parquet import write_parquet
from .image import SkyImage
from .stamps import Stamps

PathLike = str | os.PathLike[str]


def read_image(
    path: PathLike,
    *,
    hdu: int | str | None = None,
    section: Any = None,
    bands: Sequence[str] = (),
    bad_bits: int | None = None,
    weight: str = "relative",
) -> SkyImage:
    """Read an image of the sky: FITS, NPZ, PNG or JPEG, as its first bytes say.

    FITS may be gzipped, bzipped or compressed by tiles (fpack), of one extension or many, a cube,
    of integers with BSCALE, BZERO and BLANK. Extensions of the same size are read along by their
    names: MASK, DQ or FLAGS; ERR, SIGMA, RMS, VAR or IVAR; WHT or WEIGHT; and PSF.

    Parameters
    ----------
    path : path-like
    hdu : int or str, optional
        Extension of a FITS file by number or name; the first image without it, of those that are
        not a mask or the like.
    section : (rows, columns), optional
        Each (start, stop) or a slice. Nothing else is read of a FITS file that is not compressed
        as a whole, and its WCS is shifted.
    bands : sequence of str
        Names of the planes; without it the FILTER of a FITS image of one plane, or red, green and
        blue of a picture.
    bad_bits : int, optional
        Which bits of an integer mask are bad; any without it.
    weight : {"relative", "inverse_variance"}
        What WHT or WEIGHT is. Pixels of weight 0 are masked in either case; relative weights
        are kept in ``meta["weight"]``, the others become uncertainty.

    Returns
    -------
    SkyImage
        Native floats; what is BLANK or not finite is masked. Axes of a cube before the last two
        are laid out as bands. ``meta`` has ``hdu``, ``others`` (the other extensions),
        ``read_as`` (what became mask, uncertainty or PSF), ``first_row`` ("bottom" as FITS has
        it, "top" in a picture), ``header``, ``unknown_unit`` (a BUNIT that is no unit) and
        ``wcs_error`` (why there is no WCS where the header has one).

    Raises
    ------
    ValueError
        For what is not an image, is damaged or cut short, and for a section outside of it.
    OSError
        When the path is not there.

    References
    ----------
    FITS 4.0 and its compression by tiles: Pence et al. 2010, doi:10.1051/0004-6361/201015362.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "sky.fits"
    ...     fits.writeto(file, np.arange(20.0).reshape(4, 5), fits.Header({"BUNIT": "nJy"}))
    ...     image = read_image(file, section=((1, 3), (2, 5)))
    >>> image.data.tolist(), str(image.unit)
    ([[7.0, 8.0, 9.0], [12.0, 13.0, 14.0]], 'nJy')
    """
    check_choice("weight", weight, ("relative", "inverse_variance"))
    return read_path(
        Path(path), hdu=hdu, section=section, bands=tuple(bands), bad_bits=bad_bits, weight=weight
    )


def read_stamps(
    path: PathLike,
    *,
    labels: Any = None,
    id_column: str | None = None,
    label_column: str | None = None,
    image_column: str | None = None,
    bands: Sequence[str] = (),
    color: str = "keep",
    shape: tuple[int, int] | None = None,
    dtype: str = "float32",
    bad: str = "raise",
) -> Stamps:
    """Read stamps: a folder or zip of PNG, JPEG and FITS, an NPZ file, or Parquet.

    Of NPZ, ``images`` (n, h, w) or (n, n_bands, h, w) are the pixels, ``mask`` and
    ``uncertainty`` go with them, and other arrays of n entries are columns. Of Parquet, which may
    be a file, a folder of them or a HATS catalogue, a column has the pixels as lists, nested or
    flat, or as the bytes of PNG, JPEG or FITS files; so it may as ``flux`` or ``bytes`` in a
    structure. Positions ``ra`` and ``dec`` in degrees become ``coord``. Nothing is unpickled, and
    nothing of a zip is put on disk.

    Parameters
    ----------
    path : path-like
    labels : path-like, Table or "folder", optional
        CSV file or table with one row per image; all its columns go to the table of the stamps.
        "folder": the label of a stamp is the name of the folder that it lies in.
    id_column, label_column : str, optional
        Columns of ``labels``; without them, those called id, objid, name or the like, and label,
        class or the like. The id of a picture is the name of its file without ending.
    image_column : str, optional
        Column of Parquet with the pixels; image, stamp, cutout, flux or the like without it.
    bands : sequence of str
        Names of the planes.
    color : {"keep", "gray", "rgb"}
        Planes of pictures: as they are, their luminance, or three of them in any case.
    shape : (int, int), optional
        Rows and columns to cut or to pad with masked pixels to, about the centre, where the
        images are of several sizes; what flat lists are laid out to where Parquet does not say.
    dtype : {"float32", "uint8"}
        "uint8" keeps 8-bit pictures as they are, in a quarter of the memory.
    bad : {"raise", "skip"}
        What to do about a damaged member: refuse them all, or leave it out and count it.

    Returns
    -------
    Stamps
        ``meta`` has ``skipped`` (name and reason of what was left out), ``not_images`` (files of
        other kinds), ``labels_without_image`` and ``images_without_label``, and ``hats``, the
        properties of a HATS catalogue. Row 0 is the top of a picture and the bottom of a FITS
        image: ``meta["first_row"]``.

    Raises
    ------
    ValueError
        For an empty folder, images of several sizes, units or numbers of bands, ids that repeat,
        and for a zip whose names lead out of it or that unpacks to far more than it holds.
    OSError
        When the path is not there.

    References
    ----------
    HATS: https://hats.readthedocs.io

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "stamps.npz"
    ...     np.savez(file, images=np.ones((3, 8, 8)), labels=[0, 1, 0])
    ...     print(read_stamps(file))
    Stamps: 3 of 1 x 8 x 8, 0 pixels masked, 3 labelled, without WCS
    """
    return StampSource(
        Path(path), _check_options(bands, color, shape, dtype, bad), labels=labels,
        id_column=id_column, label_column=label_column, image_column=image_column,
    ).read()  # fmt: skip


def iter_stamps(
    path: PathLike,
    *,
    batch_size: int,
    labels: Any = None,
    id_column: str | None = None,
    label_column: str | None = None,
    image_column: str | None = None,
    bands: Sequence[str] = (),
    color: str = "keep",
    shape: tuple[int, int] | None = None,
    dtype: str = "float32",
    bad: str = "raise",
) -> Iterator[Stamps]:
    """Read stamps in batches, so that a collection of any size passes through memory.

    Parameters
    ----------
    path : path-like
    batch_size : int
        Stamps per batch; fewer in the last, and where bad ones are skipped.
    labels, id_column, label_column, image_column, bands, color, shape, dtype, bad
        As in `read_stamps`. Of labels for Parquet and NPZ each batch counts those of other
        batches as ``labels_without_image``.

    Yields
    ------
    Stamps

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "stamps.npz"
    ...     np.savez(file, images=np.ones((3, 8, 8)))
    ...     [len(batch) for batch in iter_stamps(file, batch_size=2)]
    [2, 1]
    """
    size = int(check_real("batch_size", batch_size, at_least=1))
    return StampSource(
        Path(path), _check_options(bands, color, shape, dtype, bad), labels=labels,
        id_column=id_column, label_column=label_column, image_column=image_column,
    ).iter(size)  # fmt: skip


def write_stamps(
    stamps: Stamps | Iterable[Stamps], path: PathLike, *, overwrite: bool = False
) -> Path:
    """Write stamps to an NPZ or Parquet file, from which `read_stamps` makes the same again.

    Parameters
    ----------
    stamps : Stamps or iterable of Stamps
        Several are for Parquet alone: batch after batch goes to the file, and only one has to be
        in memory.
    path : path-like
        Ending in .npz or .parquet.
    overwrite : bool
        Replace a file that is there, once the new one is whole.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        For another ending, batches that are not alike, and a WCS with distortion tables.
    FileExistsError
        When the file is there and ``overwrite`` is false.

    Notes
    -----
    Parquet has one row per stamp: the columns of the table, ``image`` and ``mask`` as lists of
    fixed length whose shape (n_bands, rows, columns) is in the metadata of the schema, and the
    WCS as the header of the parent image and an origin.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> stamps = Stamps(np.zeros((3, 1, 8, 8), dtype=np.float32), unit="nJy")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = write_stamps(stamps, Path(folder) / "stamps.parquet")
    ...     back = read_stamps(file)
    >>> back.images.shape, str(back.unit)
    ((3, 1, 8, 8), 'nJy')
    """
    path = Path(path)
    if path.suffix not in (".npz", ".parquet"):
        raise ValueError(f"path must end in '.npz' or '.parquet', got {path.name}.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"path must be new, got {path}. Replace it with overwrite=True.")
    partial = path.with_name(path.name + ".part")
    try:
        if path.suffix == ".parquet":
            write_parquet([stamps] if isinstance(stamps, Stamps) else stamps, partial)
        elif isinstance(stamps, Stamps):
            write_arrays(stamps, partial)
        else:
            raise ValueError("stamps must be Stamps for NPZ, got several. Write .parquet.")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _check_options(
    bands: Sequence[str], color: str, shape: tuple[int, int] | None, dtype: str, bad: str
) -> ReadOptions:
    check_choice("color", color, ("keep", "gray", "rgb"))
    check_choice("dtype", dtype, ("float32", "uint8"))
    check_choice("bad", bad, ("raise", "skip"))
    if shape is not None:
        sides = check_real("shape", shape, at_least=1)
        if sides.shape != (2,):
            raise ValueError(f"shape must be (rows, columns), got {shape}.")
        shape = (int(sides[0]), int(sides[1]))
    return ReadOptions(tuple(bands), color, shape, dtype, bad == "skip")
