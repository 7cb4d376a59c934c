"""Cut-outs at thousands of positions from many images, with what is bad and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table

from .._validation import check_choice, check_columns, check_real, check_same_length, invalid
from ._cutting import (
    MOST_POINTS,
    ORDERS,
    Stack,
    choose_matrices,
    cut_pixels,
    find_grids,
    measure_jacobians,
    resample,
)
from ._image_sources import ImageSource, list_sources
from ._parity import find_parity
from ._stamp_wcs import StampWCS, is_distorted
from .stamps import Stamps

MOST_SIDE, MOST_FINE = 2**14, 16


@dataclass(frozen=True)
class Grid:
    """What is asked of the pixels of a stamp."""

    side: int
    scale: float | None  # deg
    north_up: bool
    parity: str | None
    order: int
    kind: str | None


def extract_stamps(
    images: Any,
    coords: SkyCoord | Table,
    *,
    size: u.Quantity | int,
    pixel_scale: u.Quantity | None = None,
    north_up: bool = False,
    parity: str | None = None,
    kind: str | None = None,
    interpolation: str = "linear",
    hdu: int | str | None = None,
    progress: bool = False,
) -> Stamps:
    """Cut square stamps about positions out of one image or many.

    Without ``pixel_scale`` and ``north_up`` the pixels of the images are copied as they are.
    Otherwise each stamp gets the gnomonic projection about its own position, and its pixels are
    interpolated. A position is cut from the image that covers most of its stamp, the first of
    several; each image is read once, one beyond 64 million pixels by the tiles that are needed.

    Parameters
    ----------
    images : SkyImage, path of a FITS file, or sequence of them
        Of the same number of bands.
    coords : SkyCoord or Table, shape (n,)
        Positions; of a table with a column ``coord`` the other columns are kept.
    size : Quantity [angle] or int
        Side of a stamp: an angle, rounded to whole pixels, or pixels.
    pixel_scale : Quantity [angle], optional
        Side of a pixel.
    north_up : bool
        Turn stamps so that ICRS north is up (row 0 below); they stay as the image lies without.
    parity : {"sky", "mirror"}, optional
        "sky" has east to the left when north is up and row 0 is at the bottom. Without it, stamps
        stay as the image is; where only the parity differs, columns are reversed, exactly.
    kind : {"flux", "brightness"}, optional
        What a pixel holds: flux, which grows with its area, or surface brightness, which does
        not. Without it, what the unit says: brightness per sr, arcsec2 and the like.
    interpolation : {"linear", "nearest", "cubic"}
    hdu : int or str, optional
        Extension, as in `read_image`.
    progress : bool
        Show a bar.

    Returns
    -------
    Stamps
        One per position in the same order; those on no image are NaN and masked with coverage 0
        and counted in ``meta["not_covered"]``. The table has ``id``, ``coord``, ``source`` (name
        of the image), ``coverage`` (share of the stamp that lies on it), ``good`` (share of
        pixels that are not masked), ``x`` and ``y`` (where the position is in the stamp, from
        0). Beyond the edge pixels are NaN. ``meta["interpolated"]`` and ``meta["kind"]`` say what
        was done.

    Raises
    ------
    ValueError
        For an image without WCS, different numbers of bands or units that do not convert, and a
        ``size`` that is of different numbers of pixels on different images.

    Notes
    -----
    A whole-pixel stamp of n pixels begins at ceil(x - n / 2), as `astropy.nddata.Cutout2D` has
    it. A pixel larger than the image's is the mean of points about as far apart as its pixels; a
    bad pixel spoils every point that it contributes to. Fluxes are scaled by the ratio of areas
    at the position. Errors are those of independent pixels; their correlation is not carried.

    Gnomonic projection: Calabretta & Greisen 2002, doi:10.1051/0004-6361:20021327.

    Examples
    --------
    >>> from astropy.wcs import WCS
    >>> from astroml_kit.images import SkyImage
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [10, 20], [8, 8]
    >>> wcs.wcs.cdelt = [-1 / 3600, 1 / 3600]
    >>> image = SkyImage(np.arange(225.0).reshape(15, 15), wcs=wcs)
    >>> stamps = extract_stamps(image, SkyCoord([10, 10], [20, 20.002], unit="deg"), size=5)
    >>> stamps.table["coverage"].tolist(), stamps.images[0, 0, 2].tolist()
    ([1.0, 0.6], [110.0, 111.0, 112.0, 113.0, 114.0])
    """
    check_choice("interpolation", interpolation, ORDERS)
    check_choice("kind", kind, (None, "flux", "brightness"))
    check_choice("parity", parity, (None, "sky", "mirror"))
    positions, rows = _read_positions(coords)
    sources = list_sources(images, hdu)
    counts = sorted({source.n_bands for source in sources})
    if len(counts) > 1:
        raise invalid("images", "of the same number of bands", counts, "Cut them apart.")
    scale = None if pixel_scale is None else _to_degrees("pixel_scale", pixel_scale)
    side = _count_pixels(size, scale, sources)
    grid = Grid(side, scale, north_up, parity, ORDERS[interpolation], kind)
    chosen, pixels = assign_positions(positions, sources, grid)
    stack = Stack.make_empty(len(positions), sources[0].n_bands, side)
    wcs = _make_empty_wcs(sources, len(positions), side)
    kinds, interpolated = set(), 0
    for number in _show(np.unique(chosen[chosen >= 0]), progress):
        own = np.nonzero(chosen == number)[0]
        source = sources[number]
        factor = _convert_unit(source, sources[0])
        kinds.add(_name_kind(source, kind))
        if _is_exact(source, grid):
            cut_source(source, number, pixels[own], own, stack, wcs, grid)
        else:
            interpolated += len(own)
            resample_source(source, positions[own], pixels[own], own, stack, wcs, grid)
        if factor != 1:
            stack.images[own] *= factor
            if stack.uncertainty is not None:
                stack.uncertainty[own] *= factor
    if len(kinds) > 1 and interpolated:
        raise invalid("kind", "given where units of images differ in it", sorted(kinds))
    table = _make_table(rows, positions, chosen, pixels, sources, stack, wcs)
    meta = {
        "not_covered": int(np.count_nonzero(stack.coverage == 0)),
        "interpolated": interpolated,
        "kind": next(iter(kinds), None),
        "first_row": "bottom",
    }
    return Stamps(
        stack.images, stack.mask, table, wcs, sources[0].bands, sources[0].unit,
        stack.uncertainty, meta,
    )  # fmt: skip


def assign_positions(
    positions: SkyCoord, sources: list[ImageSource], grid: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Image of each position (-1: none), and its column and row there."""
    chosen = np.full(len(positions), -1)
    pixels = np.full((len(positions), 2), np.nan)
    best = np.zeros(len(positions))
    known = np.isfinite(positions.ra.deg) & np.isfinite(positions.dec.deg)
    for number, source in enumerate(sources):
        own_scale = _measure_scale(source)
        half = grid.side * (grid.scale or own_scale) / 2
        near = source.find_nearby(positions, 1.5 * half * u.deg)
        near = near[known[near] & (best[near] < 1)]
        if not len(near):
            continue
        found = source.to_pixels(positions[near])
        limits = np.array(source.shape[-1:-3:-1])
        reach = half / own_scale
        low, high = np.maximum(found - reach, -0.5), np.minimum(found + reach, limits - 0.5)
        share = np.nan_to_num(np.prod(np.clip(high - low, 0, None), axis=1)) / (2 * reach) ** 2
        # beyond rounding, so that of two images that cover all of it the first is taken
        better = share > best[near] + 1e-9
        taken = near[better]
        best[taken], chosen[taken], pixels[taken] = share[better], number, found[better]
        best[taken[share[better] > 1 - 1e-9]] = 1
    return chosen, pixels


def cut_source(
    source: ImageSource, number: int, pixels: np.ndarray, rows: np.ndarray, stack: Stack,
    wcs: StampWCS, grid: Grid,
) -> None:  # fmt: skip
    """Copy the stamps of one image, reversed where its parity is not the one asked for."""
    start = np.ceil(pixels - grid.side / 2).astype(int)
    flipped = grid.parity is not None and find_parity(source.wcs) != grid.parity
    for image, own, first in source.iter_pieces(start, start + grid.side - 1):
        cut_pixels(image, start[own] - first, rows[own], stack)
    wcs.parent[rows], wcs.origin[rows], wcs.flip[rows] = number, start, flipped
    if flipped:
        for array in (stack.images, stack.mask, stack.uncertainty):
            if array is not None:
                array[rows] = array[rows][..., ::-1]


def resample_source(
    source: ImageSource, positions: SkyCoord, pixels: np.ndarray, rows: np.ndarray, stack: Stack,
    wcs: StampWCS, grid: Grid,
) -> None:  # fmt: skip
    """Interpolate the stamps of one image, so many at a time as points fit."""
    jacobians = measure_jacobians(source.wcs, pixels)
    matrices = choose_matrices(
        jacobians, scale=grid.scale, north_up=grid.north_up, parity=grid.parity
    )
    centers = np.stack([positions.ra.deg, positions.dec.deg], axis=1)
    assert wcs.center is not None  # made with room for both
    assert wcs.matrix is not None
    wcs.center[rows], wcs.matrix[rows] = centers, matrices
    areas = np.abs(np.linalg.det(matrices)) / np.abs(np.linalg.det(jacobians))
    ratios = np.sqrt(areas)
    n_fine = int(np.clip(np.ceil(ratios.max() - 1e-6), 1, MOST_FINE))
    factor = areas if _name_kind(source, grid.kind) == "flux" else np.ones(len(rows))
    # The mean over that many independent pixels.
    noise = 1 / np.maximum(ratios, 1)
    # half a diagonal, along the axis of the image where its pixels are smallest
    longest = np.linalg.norm(np.linalg.inv(jacobians) @ matrices, ord=2, axis=(1, 2))
    reach = np.ceil(0.75 * grid.side * longest * 1.1 + 3)[:, None].astype(int)
    middle = np.rint(pixels).astype(int)
    step = max(1, MOST_POINTS // (grid.side * n_fine) ** 2)
    for image, own, first in source.iter_pieces(middle - reach, middle + reach):
        for i in range(0, len(own), step):
            few = own[i : i + step]
            points = find_grids(source.wcs, centers[few], matrices[few], grid.side, n_fine) - first
            resample(image, points, rows[few], stack,
                     order=grid.order, factor=factor[few], noise=noise[few])  # fmt: skip


def _is_exact(source: ImageSource, grid: Grid) -> bool:
    if grid.scale is not None or grid.north_up:
        return False
    turned = grid.parity is not None and find_parity(source.wcs) != grid.parity
    return not (turned and is_distorted(source.wcs))


def _read_positions(coords: Any) -> tuple[SkyCoord, Table | None]:
    rows = None
    if isinstance(coords, Table):
        check_columns(coords.colnames, ["coord"], where="coords")
        rows, coords = coords, coords["coord"]
    if not isinstance(coords, SkyCoord):
        raise invalid("coords", "a SkyCoord or a table with a column 'coord'", type(coords))
    positions = coords.reshape(-1) if coords.isscalar else coords
    if positions.ndim != 1:
        raise invalid("coords", "of shape (n,)", positions.shape)
    sky = positions.icrs.spherical  # masked positions become NaN: on no image
    angles = [np.ma.filled(np.ma.asarray(getattr(a.deg, "unmasked", a.deg)), np.nan)
              for a in (sky.lon, sky.lat)]  # fmt: skip
    missing = np.asarray(getattr(positions, "mask", False))
    longitude, latitude = (np.where(missing, np.nan, angle) for angle in angles)
    return SkyCoord(longitude, latitude, unit="deg"), rows


def _count_pixels(size: Any, scale: float | None, sources: list[ImageSource]) -> int:
    rule = f"an angle or a whole number of pixels from 1 to {MOST_SIDE}"
    if isinstance(size, u.Quantity) and size.unit.is_equivalent("deg"):
        angle = _to_degrees("size", size)
        scales = [scale] if scale is not None else [_measure_scale(source) for source in sources]
        sides = sorted({max(1, round(angle / value)) for value in scales})
        if len(sides) > 1:
            raise ValueError(
                f"size must be of one number of pixels on all images, got {sides[0]} to "
                f"{sides[-1]} for {size}. Bring them to one pixel_scale=."
            )
        side = sides[0]
    else:
        if isinstance(size, bool) or not isinstance(size, int | np.integer):
            raise invalid("size", rule, size)
        side = int(size)
    if not 1 <= side <= MOST_SIDE:
        raise invalid("size", rule, f"{size}, {side} pixels")
    return side


def _to_degrees(name: str, value: Any) -> float:
    if not isinstance(value, u.Quantity) or not value.unit.is_equivalent("deg"):
        raise invalid(name, "an angle, such as 0.4 * u.arcsec", value)
    return float(check_real(name, value.to_value("deg"), above=0))


def _measure_scale(source: ImageSource) -> float:
    return float(np.sqrt(np.abs(np.linalg.det(source.wcs.pixel_scale_matrix))))


def _name_kind(source: ImageSource, kind: str | None) -> str:
    """Brightness where the unit is per solid angle or beam."""
    if kind is not None:
        return kind
    bases = () if source.unit is None else zip(source.unit.bases, source.unit.powers, strict=True)
    per_area = any(power < 0 and (base.is_equivalent("sr") or base.is_equivalent("deg")
                                  or base == u.beam) for base, power in bases)  # fmt: skip
    return "brightness" if per_area else "flux"


def _convert_unit(source: ImageSource, first: ImageSource) -> float:
    if source.unit == first.unit:
        return 1.0
    if source.unit is None or first.unit is None or not source.unit.is_equivalent(first.unit):
        raise ValueError(
            f"images must have units that convert, got {first.unit} in {first.name} and "
            f"{source.unit} in {source.name}. Cut them apart."
        )
    return float(source.unit.to(first.unit))


def _make_empty_wcs(sources: list[ImageSource], n: int, side: int) -> StampWCS:
    return StampWCS(
        tuple(source.wcs for source in sources), np.full(n, -1), np.zeros((n, 2), dtype=int),
        np.zeros(n, dtype=bool), side, np.full((n, 2), np.nan), np.full((n, 2, 2), np.nan),
    )  # fmt: skip


def _make_table(
    rows: Table | None, positions: SkyCoord, chosen: np.ndarray, pixels: np.ndarray,
    sources: list[ImageSource], stack: Stack, wcs: StampWCS,
) -> QTable:  # fmt: skip
    n, side = len(positions), wcs.side
    names = np.array([source.name for source in sources] + [""])
    place = pixels - wcs.origin
    place[wcs.flip, 0] = side - 1 - place[wcs.flip, 0]
    assert wcs.center is not None  # made with room for it
    place[np.isfinite(wcs.center[:, 0])] = (side - 1) / 2
    found = {
        "id": np.arange(n).astype(str), "coord": positions, "source": names[chosen],
        "coverage": stack.coverage, "good": 1 - stack.mask.mean(axis=(1, 2, 3)),
        "x": place[:, 0], "y": place[:, 1],
    }  # fmt: skip
    if rows is None:
        return QTable(found)
    check_same_length(coords=rows, stamps=positions)
    kept = {name: rows[name] for name in rows.colnames if name == "id" or name not in found}
    return QTable(found | kept)


def _show(numbers: np.ndarray, progress: bool) -> Any:
    if not progress:
        return numbers
    from tqdm import tqdm

    return tqdm(numbers, desc="images", unit="image")
