"""Where a camera's pixels are and which of them touch: all that image analysis asks of a camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import astropy.units as u
import numpy as np
from astropy.table import Table
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from .._validation import check_choice, check_columns, check_real, invalid
from ._fits import drain, iter_hdus, open_stream
from ._schema import EventFileError, damage_is_one_error

PIXEL_SHAPES = ("hexagonal", "square", "circle")
# Area of a pixel whose width (flat to flat, edge, diameter) is 1.
_UNIT_AREA = {"hexagonal": np.sqrt(3) / 2, "square": 1.0, "circle": np.pi / 4}
# How many pixels can touch one, and how far they may be in units of the nearest one's distance;
# a square camera is measured along the axes, so that pixels at a corner do not count.
_NEIGHBOUR_RULES = {"hexagonal": (6, 1.4, 2), "circle": (6, 1.4, 2), "square": (4, 1.5, 1)}
_TABLE_COLUMNS = ("pix_x", "pix_y", "pix_area")


class CameraArrays(NamedTuple):
    """What the compiled loops read of a camera, in the unit of the camera."""

    x: np.ndarray
    y: np.ndarray
    area: np.ndarray
    width_squared: np.ndarray
    neighbours: np.ndarray
    border_1: np.ndarray
    border_2: np.ndarray


@dataclass(frozen=True, eq=False)
class CameraGeometry:
    """Positions, sizes and neighbours of the pixels of one camera.

    Parameters
    ----------
    name : str
        Name of the camera.
    pixel_x, pixel_y : Quantity, shape (n_pixels,)
        Centres of the pixels, lengths or angles. Angles are kept in degree, lengths in metre.
    pixel_area : Quantity, shape (n_pixels,) or scalar
        Areas of the pixels, in the square of the same unit.
    pixel_shape : {"hexagonal", "square", "circle"}
        Shape of all pixels.
    pixel_rotation : Quantity
        Rotation of each pixel about its centre, for drawing. A hexagon at 0 deg has a corner up.

    Raises
    ------
    ValueError
        When the arrays differ in length, are not finite or an area is not > 0.

    Examples
    --------
    >>> camera = CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=960)
    >>> print(camera)
    hexagonal-960: 960 hexagonal pixels of 0.16 deg, out to 2.62 deg
    >>> int(camera.neighbours.sum(axis=1).max())
    6
    """

    name: str
    pixel_x: u.Quantity
    pixel_y: u.Quantity
    pixel_area: u.Quantity
    pixel_shape: str
    pixel_rotation: u.Quantity = 0.0 * u.deg

    def __post_init__(self):
        check_choice("pixel_shape", self.pixel_shape, PIXEL_SHAPES)
        unit = _find_unit(self.pixel_x)
        x = _to_floats("pixel_x", self.pixel_x, unit)
        y = _to_floats("pixel_y", self.pixel_y, unit)
        if x.ndim != 1 or x.size == 0 or y.shape != x.shape:
            raise ValueError(
                "pixel_x and pixel_y must be two lists of equal length >= 1, got shapes "
                f"{x.shape} and {y.shape}. Give the centre of every pixel."
            )
        area = _to_floats("pixel_area", self.pixel_area, unit**2)
        if area.shape not in ((), x.shape):
            raise invalid("pixel_area", f"one area or one for each of {x.size} pixels", area)
        check_real("pixel_area", area, above=0)
        keep = object.__setattr__
        keep(self, "pixel_x", _freeze(x) << unit)
        keep(self, "pixel_y", _freeze(y) << unit)
        keep(self, "pixel_area", _freeze(np.broadcast_to(area, x.shape).copy()) << unit**2)
        keep(self, "pixel_rotation", u.Quantity(self.pixel_rotation).to(u.deg))

    def __str__(self) -> str:
        width = np.median(self.pixel_width.value)
        reach = np.hypot(self.pixel_x, self.pixel_y).max()
        return (
            f"{self.name}: {self.n_pixels} {self.pixel_shape} pixels of {width:.3g} {self.unit}, "
            f"out to {reach.value:.3g} {self.unit}"
        )

    @property
    def n_pixels(self) -> int:
        """Number of pixels."""
        return len(self.pixel_x)

    @property
    def unit(self) -> u.UnitBase:
        """Unit of the pixel positions: deg or m."""
        return self.pixel_x.unit

    @cached_property
    def pixel_width(self) -> u.Quantity:
        """Width of each pixel from its area: flat to flat, edge or diameter."""
        return np.sqrt(self.pixel_area / _UNIT_AREA[self.pixel_shape])

    @cached_property
    def neighbours(self) -> csr_array:
        """Sparse boolean matrix, shape (n_pixels, n_pixels): does the column touch the row?

        A pixel touches those within 1.4 (square: 1.5 along the axes) of the distance to its
        nearest one, at most 6 (square: 4), as ctapipe has it. Where pixels of two sizes meet, the
        relation can be one-sided.
        """
        if self.n_pixels == 1:
            return csr_array((1, 1), dtype=bool)
        most, reach, norm = _NEIGHBOUR_RULES[self.pixel_shape]
        centres = np.column_stack([self.pixel_x.value, self.pixel_y.value])
        n_asked = min(most + 1, self.n_pixels)
        distance, candidate = cKDTree(centres).query(centres, k=n_asked, p=norm)
        distance, candidate = distance[:, 1:], candidate[:, 1:]
        row, column = np.nonzero(distance < reach * distance[:, :1])
        touching = (np.ones(len(row), dtype=bool), (row, candidate[row, column]))
        return csr_array(touching, shape=(self.n_pixels, self.n_pixels))

    @cached_property
    def neighbour_table(self) -> np.ndarray:
        """Neighbours of each pixel, int32 of shape (n_pixels, most neighbours), filled with -1."""
        matrix = self.neighbours
        count = np.diff(matrix.indptr)
        table = np.full((self.n_pixels, max(int(count.max()), 1)), -1, dtype=np.int32)
        row = np.repeat(np.arange(self.n_pixels), count)
        table[row, np.arange(matrix.nnz) - matrix.indptr[row]] = matrix.indices
        return _freeze(table)

    def border_pixels(self, width: int = 1) -> np.ndarray:
        """Which pixels are in the outer ``width`` rings, bool of shape (n_pixels,).

        The outermost ring are the pixels with fewer neighbours than the best connected one, so
        gaps between modules count as border where neighbours are missing there.
        """
        if int(width) != width or width < 1:
            raise invalid("width", "an integer >= 1", width)
        matrix = self.neighbours.astype(np.int32)
        count = matrix.sum(axis=0)
        border = count < count.max()
        for _ in range(int(width) - 1):
            # A border pixel touches others of its ring, so the ring outside is still in.
            border = (matrix @ border.astype(np.int32)) > 0
        return border

    def to_angular(self, focal_length: u.Quantity) -> CameraGeometry:
        """Same camera in degree on the sky: lengths over the focal length, small angles.

        Parameters
        ----------
        focal_length : Quantity
            Of the telescope, > 0. Take the effective one to include coma.
        """
        if self.unit == u.deg:
            return self
        length = float(check_real("focal_length", u.Quantity(focal_length).to_value(u.m), above=0))
        scale = np.rad2deg(1.0 / length) * u.deg / u.m
        return CameraGeometry(
            self.name,
            self.pixel_x * scale,
            self.pixel_y * scale,
            self.pixel_area * scale**2,
            self.pixel_shape,
            self.pixel_rotation,
        )

    @classmethod
    def hexagonal(
        cls, *, pixel_size: u.Quantity, n_pixels: int, name: str | None = None
    ) -> CameraGeometry:
        """Close packing of hexagons: the ``n_pixels`` nearest to a pixel in the centre.

        Parameters
        ----------
        pixel_size : Quantity
            Distance of neighbouring centres, which is the width from flat to flat.
        n_pixels : int
            Number of pixels. 1 + 3 k (k + 1) gives a full hexagon of k rings only for k < 7;
            farther out the camera is round. Pixels at equal distance are taken by angle.
        name : str, optional
            Name; "hexagonal-<n_pixels>" if omitted.

        Returns
        -------
        CameraGeometry
            Rows along x; numbered from the lowest row, left to right.
        """
        if int(n_pixels) != n_pixels or n_pixels < 1:
            raise invalid("n_pixels", "an integer >= 1", n_pixels)
        unit = _find_unit(pixel_size)
        size = float(check_real("pixel_size", u.Quantity(pixel_size).to_value(unit), above=0))
        reach = int(np.ceil(np.sqrt(n_pixels))) + 2
        i, j = (k.ravel() for k in np.mgrid[-reach : reach + 1, -reach : reach + 1])
        squared = i * i + i * j + j * j  # integers, so that equal distances are equal
        angle = np.arctan2(j * np.sqrt(3) / 2, i + j / 2)
        chosen = np.lexsort((angle, squared))[: int(n_pixels)]
        i, j = i[chosen], j[chosen]
        order = np.lexsort((2 * i + j, j))
        x, y = (i + j / 2)[order] * size, j[order] * (np.sqrt(3) / 2 * size)
        area = _UNIT_AREA["hexagonal"] * size**2 * unit**2
        return cls(name or f"hexagonal-{n_pixels}", x * unit, y * unit, area, "hexagonal")

    @cached_property
    def arrays(self) -> CameraArrays:
        """Plain arrays for the compiled loops."""
        return CameraArrays(
            self.pixel_x.value,
            self.pixel_y.value,
            self.pixel_area.value,
            self.pixel_width.value**2,
            self.neighbour_table,
            self.border_pixels(1),
            self.border_pixels(2),
        )


def read_camera(
    source: str | Path | Table,
    *,
    columns: Mapping[str, str] | None = None,
    pixel_shape: str | None = None,
) -> CameraGeometry:
    """Read a camera from a table of pixels as ctapipe writes it.

    Parameters
    ----------
    source : str, Path or Table
        A ``.camgeom.fits``, ``.fits.gz`` or ``.ecsv`` file, or the table itself (of a ctapipe
        geometry: ``geometry.to_table()``), with the columns pix_x, pix_y, pix_area and, in its
        meta, PIX_TYPE; CAM_ID, PIX_ROT and CAM_ROT if known. A rotation of the camera is undone,
        so that x and y are those of the frame.
    columns : mapping of str to str, optional
        Name in the table -> pix_id, pix_x, pix_y or pix_area, for tables of other origin.
    pixel_shape : {"hexagonal", "square", "circle"}, optional
        Shape of the pixels where the table does not say PIX_TYPE.

    Returns
    -------
    CameraGeometry
        Pixels in the order of their ``pix_id``.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    EventFileError
        When the file is damaged.
    ValueError
        When columns or the pixel type are missing.

    Examples
    --------
    >>> camera = read_camera("HESS-I.camgeom.fits.gz")  # doctest: +SKIP
    >>> names = {"PIX_ID": "pix_id", "PIX_POSX": "pix_x", "PIX_POSY": "pix_y",
    ...          "PIX_AREA": "pix_area"}
    >>> camera = read_camera(table[table["CAM_ID"] == 1], columns=names,
    ...                      pixel_shape="hexagonal")  # doctest: +SKIP
    """
    if isinstance(source, Table):
        table, where = source, "the table of pixels"
    else:
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not there. Give a file of camera pixels.")
        where = path.name
        with damage_is_one_error(path, "camera"):
            is_text = path.suffix == ".ecsv"
            table = Table.read(path, format="ascii.ecsv") if is_text else _read_fits(path)
    if columns:
        check_columns(table.colnames, columns, where=where)
        table = table.copy(copy_data=False)
        table.rename_columns(list(columns), list(columns.values()))
    check_columns(table.colnames, _TABLE_COLUMNS, where=where)
    if pixel_shape is None:
        if "PIX_TYPE" not in table.meta:
            raise ValueError(
                f"{where} must say PIX_TYPE in its header, got {sorted(table.meta)}. "
                f"Give pixel_shape, one of {list(PIXEL_SHAPES)}."
            )
        pixel_shape = _name_shape(str(table.meta["PIX_TYPE"]), where=where)
    if "pix_id" in table.colnames:
        table = table[np.argsort(np.asarray(table["pix_id"]), kind="stable")]
    x, y, area = (u.Quantity(table[name], dtype=float) for name in _TABLE_COLUMNS)
    turn = float(table.meta.get("CAM_ROT", 0.0))
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    if turn:
        x, y = x * cos + y * sin, y * cos - x * sin
    return CameraGeometry(
        str(table.meta.get("CAM_ID", "unnamed")),
        x,
        y,
        area,
        pixel_shape,
        (float(table.meta.get("PIX_ROT", 0.0)) - turn) * u.deg,
    )


def check_camera(camera: Any) -> CameraGeometry:
    """Return ``camera`` if it is a `CameraGeometry`, else say how to get one."""
    if not isinstance(camera, CameraGeometry):
        raise ValueError(
            f"camera must be a CameraGeometry, got {type(camera).__name__}. "
            "Get one from read_camera(path) or read_camera(geometry.to_table())."
        )
    return camera


def _read_fits(path: Path) -> Table:
    """First table of a FITS file, with its header as meta."""
    with open_stream(path) as stream:
        for hdu in iter_hdus(path, stream):
            if hdu.header.get("XTENSION") == "BINTABLE":
                table = Table(hdu.read_columns(), meta=dict(hdu.header))
                for name, unit in hdu.get_units().items():
                    table[name].unit = u.Unit(unit)
                drain(stream)
                return table
    raise EventFileError(f"{path.name} must hold a table of pixels, got none.")


def _name_shape(text: str, *, where: str) -> str:
    """Our name of a pixel type that ctapipe writes as hexagonal, hexagon, rectangular, ..."""
    for start, shape in (("hex", "hexagonal"), ("rect", "square"), ("squ", "square")):
        if text.lower().startswith(start):
            return shape
    if text.lower().startswith("circ"):
        return "circle"
    raise EventFileError(f"{where}: PIX_TYPE must be one of {list(PIXEL_SHAPES)}, got {text!r}.")


def _find_unit(positions: Any) -> u.UnitBase:
    """Degree for angles, metre for lengths."""
    unit = getattr(positions, "unit", None)
    for base in (u.deg, u.m):
        if unit is not None and unit.is_equivalent(base) and unit != u.dimensionless_unscaled:
            return base
    raise ValueError(
        f"pixel positions must be angles or lengths, got the unit {str(unit)!r}. "
        "Multiply them by u.deg or u.m."
    )


def _to_floats(name: str, values: Any, unit: u.UnitBase) -> np.ndarray:
    """Finite floats in ``unit``, a copy."""
    try:
        floats = u.Quantity(values).to_value(unit)
    except u.UnitsError as error:
        raise ValueError(
            f"{name} must have a unit like {unit}, got {getattr(values, 'unit', None)}. "
            "Positions and areas of one camera share a unit."
        ) from error
    return np.array(check_real(name, floats), dtype=float)


def _freeze(array: np.ndarray) -> np.ndarray:
    """Make an array read-only."""
    array.flags.writeable = False
    return array
