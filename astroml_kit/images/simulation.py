"""Galaxies as a survey would image them, with what they truly are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from scipy.special import ndtr

from .._validation import check_choice, check_real, invalid
from ._checks import check_angle, check_whole
from ._painting import BANDS, PAINTERS, Palette
from ._stamp_wcs import make_gnomonic
from .stamps import Stamps

CLASSES = ("elliptical", "edge-on", "spiral", "merger")
FRACTIONS = (0.6, 0.15, 0.2, 0.05)
OVERSAMPLING, AT_ONCE = 3, 16
SCATTERED = 4  # standard deviations of the point-spread function
ZERO_POINT = 22.5  # magnitude of one nanomaggy
FWHM = 2 * np.sqrt(2 * np.log(2))


def simulate_stamps(
    n: int = 1000,
    *,
    classes: Sequence[str] = CLASSES,
    fractions: Sequence[float] | None = None,
    size: int = 64,
    bands: Sequence[str] = ("g", "r", "i"),
    pixel_scale: u.Quantity = 0.6 * u.arcsec,
    psf_fwhm: u.Quantity = 1.3 * u.arcsec,
    magnitude_range: tuple[float, float] = (15.0, 18.0),
    depth: float = 22.5,
    gain: float = 900.0,
    n_votes: int = 0,
    rng: Any = None,
) -> Stamps:
    """Simulate cut-outs of galaxies of known class.

    Parameters
    ----------
    n : int
        Cut-outs.
    classes : sequence of {"elliptical", "edge-on", "spiral", "merger", "ring", "artefact"}
        What is there. "artefact" is a galaxy under the trail of a satellite.
    fractions : sequence of float, optional
        Share of each class; 60, 15, 20 and 5 % of the four classes without it, otherwise even.
    size : int
        Pixels along a side, 16 or more.
    bands : sequence of {"u", "g", "r", "i", "z"}
        In the order that the images shall have.
    pixel_scale, psf_fwhm : Quantity
        Angle along a pixel, and width of the Gaussian point-spread function.
    magnitude_range : tuple of float
        Brightest and faintest in r; numbers grow as in Euclidean space.
    depth : float
        Magnitude of a point source at 5 sigma, in every band.
    gain : float
        Electrons per nanomaggy, for the noise of the galaxy's own light.
    n_votes : int
        Volunteers who are asked for the class of each galaxy; 0 asks none.
    rng : Generator, int or None
        Same seed, same bits.

    Returns
    -------
    Stamps
        In nanomaggies per pixel, north up and east left, sky subtracted, each with its WCS. Columns
        of the table: ``id``, ``coord`` (even on the sky), ``coverage``, ``label`` (the class), and
        the truth: ``magnitude`` (r), ``half_light_radius``, ``axis_ratio`` (NaN for mergers),
        ``position_angle`` (north to east), ``winding`` ("S" or "Z" as the arms of spirals look,
        "" for others); with ``n_votes`` also ``votes``, counts per class.

    Raises
    ------
    ValueError
        For unknown classes or bands, or numbers out of range.

    Notes
    -----
    Spheroids are Sersic profiles of index 2.5 to 5, discs are exponential with logarithmic arms of
    12 to 30 degrees, or seen from the side with a lane of dust. Sizes follow the magnitude with
    0.15 dex of scatter. Volunteers err more on faint galaxies, in steps from 5 % at the bright end
    to 45 %, and no two galaxies alike: shares are Dirichlet, counts multinomial.

    Examples
    --------
    >>> stamps = simulate_stamps(20, rng=1)
    >>> stamps.images.shape
    (20, 3, 64, 64)
    >>> set(stamps.table["label"]) <= {"edge-on", "elliptical", "merger", "spiral"}
    True
    """
    n, size, n_votes = (
        check_whole(*entry) for entry in (("n", n, 1), ("size", size, 16), ("n_votes", n_votes, 0))
    )
    classes, shares = _check_classes(classes, fractions)
    bands = tuple(check_choice("bands", band, BANDS) for band in bands)
    if not bands or len(set(bands)) != len(bands):
        raise invalid("bands", "different ones, at least one", bands)
    scale, fwhm = (check_angle(*pair) for pair in
                   (("pixel_scale", pixel_scale), ("psf_fwhm", psf_fwhm)))  # fmt: skip
    bright, faint = (float(m) for m in check_real("magnitude_range", magnitude_range))
    if not bright < faint:
        raise invalid("magnitude_range", "(brightest, faintest), rising", (bright, faint))
    check_real("gain", gain, above=0)
    rng = np.random.default_rng(rng)

    label = rng.choice(len(classes), size=n, p=shares)
    power = rng.uniform(10 ** (0.6 * bright), 10 ** (0.6 * faint), n)
    magnitude = np.log10(power) / 0.6
    radius = 5.0 * 10 ** (-0.12 * (magnitude - 16.5) + rng.normal(0, 0.15, n))
    images = np.empty((n, len(bands), size, size), dtype=np.float32)
    truth = {name: np.full(n, np.nan) for name in ("ratio", "angle", "winding")}
    for k, name in enumerate(classes):
        rows = np.flatnonzero(label == k)
        for start in range(0, len(rows), AT_ONCE):
            here = rows[start : start + AT_ONCE]
            flux = 10 ** (-0.4 * (magnitude[here] - ZERO_POINT))
            images[here], chosen = _paint(
                name, flux, radius[here], rng=rng, size=size, bands=bands, scale=scale, fwhm=fwhm
            )
            for key, values in chosen.items():
                truth[key][here] = np.broadcast_to(values, (len(here), 1, 1)).ravel()
    add_noise(images, scale=scale, fwhm=fwhm, depth=depth, gain=gain, rng=rng)
    table = _describe(np.array(classes)[label], magnitude, radius, truth, rng)
    if n_votes:
        table["votes"] = _ask(label, (magnitude - bright) / (faint - bright), len(classes),
                              n_votes, rng)  # fmt: skip
        table["votes"].info.description = "counts for " + ", ".join(classes)
    return pack_stamps(images, table, bands=bands, scale=scale)


def _paint(
    name: str,
    flux: np.ndarray,
    radius: np.ndarray,
    *,
    rng: np.random.Generator,
    size: int,
    bands: tuple[str, ...],
    scale: float,
    fwhm: float,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    x, y = make_points(size, scale, fwhm)
    palette = Palette(rng, flux, radius, bands, core=0.5 * scale / OVERSAMPLING)
    painted, chosen = PAINTERS[name](x, y, palette)
    return blur(painted, scale=scale, fwhm=fwhm), chosen


def make_points(size: int, scale: float, fwhm: float) -> tuple[np.ndarray, np.ndarray]:
    """Points of the fine grid from the centre of a stamp [arcsec], shapes (1, 1, m) and (1, m, 1).

    The grid goes on beyond the stamp, as far as the telescope scatters light.
    """
    fine = OVERSAMPLING * (size + 2 * find_margin(scale, fwhm))
    offset = (np.arange(fine) - (fine - 1) / 2) * scale / OVERSAMPLING
    offset = offset.astype(np.float32)
    return offset[None, None, :], offset[None, :, None]


def find_margin(scale: float, fwhm: float) -> int:
    """Pixels beyond the stamp that scatter light into it."""
    return int(np.ceil(SCATTERED * fwhm / FWHM / scale))


def blur(painted: np.ndarray, *, scale: float, fwhm: float) -> np.ndarray:
    """Surface brightness on the fine grid, through the telescope, as flux per pixel.

    A Gaussian is a product of one along x and one along y: a matrix on either side of an image
    scatters the light and gathers it into pixels.
    """
    margin, fine = find_margin(scale, fwhm), painted.shape[-1]
    size = fine // OVERSAMPLING - 2 * margin
    edges = (np.arange(size + 1) + margin) * OVERSAMPLING - 0.5
    width = fwhm / FWHM / scale * OVERSAMPLING
    below = ndtr((edges[:, None] - np.arange(fine)) / width)
    gather = np.diff(below, axis=0).astype(np.float32)
    return gather @ painted.astype(np.float32) @ gather.T * (scale / OVERSAMPLING) ** 2


def add_noise(
    images: np.ndarray, *, scale: float, fwhm: float, depth: float, gain: float, rng: Any
) -> None:
    """Add sky and photon noise in place.

    A point source is best weighed by its own shape, over an area of ``4 pi sigma^2``
    (King 1983, doi:10.1086/131139).
    """
    area = 4 * np.pi * (fwhm / FWHM / scale) ** 2
    sky = 10 ** (-0.4 * (float(check_real("depth", depth)) - ZERO_POINT)) / 5 / np.sqrt(area)
    for image in images:
        spread = np.sqrt(sky**2 + np.maximum(image, 0) / gain)
        image += spread * rng.standard_normal(image.shape, dtype=np.float32)


def pack_stamps(
    images: np.ndarray, table: QTable, *, bands: tuple[str, ...], scale: float
) -> Stamps:
    """Stamps with a tangential WCS each, north up and east left."""
    size = images.shape[-1]
    ra, dec = table["coord"].ra.deg, table["coord"].dec.deg
    matrix = np.diag([-scale, scale]) / 3600
    table["coverage"] = np.ones(len(images))
    return Stamps(
        images=images,
        mask=np.zeros(images.shape, dtype=bool),
        table=table,
        wcs=tuple(make_gnomonic(place, matrix, size) for place in zip(ra, dec, strict=True)),
        bands=bands,
        unit=u.nmgy,
        meta={"origin": "simulated"},
    )


def draw_coords(n: int, rng: np.random.Generator) -> SkyCoord:
    """Even on the sky."""
    return SkyCoord(rng.uniform(0, 360, n) * u.deg, np.arcsin(rng.uniform(-1, 1, n)) * u.rad)


def _describe(
    label: np.ndarray,
    magnitude: np.ndarray,
    radius: np.ndarray,
    truth: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> QTable:
    # An axis at an angle from x, which runs west, towards north; position angles run the other way.
    position_angle = (np.rad2deg(truth["angle"]) - 90) % 180
    winding = np.where(truth["winding"] > 0, "Z", np.where(truth["winding"] < 0, "S", ""))
    return QTable(
        {
            "id": np.arange(len(label)),
            "coord": draw_coords(len(label), rng),
            "label": label,
            "magnitude": magnitude * u.mag,
            "half_light_radius": radius * u.arcsec,
            "axis_ratio": truth["ratio"],
            "position_angle": position_angle * u.deg,
            "winding": winding,
        }
    )


def _ask(
    label: np.ndarray, faintness: np.ndarray, n_classes: int, n_votes: int, rng: np.random.Generator
) -> np.ndarray:
    wrong = 0.05 + 0.4 * faintness
    share = np.repeat(wrong[:, None] / max(n_classes - 1, 1), n_classes, axis=1)
    share[np.arange(len(label)), label] = 1 - wrong if n_classes > 1 else 1.0
    drawn = rng.standard_gamma(20 * share)
    return rng.multinomial(n_votes, drawn / drawn.sum(axis=1, keepdims=True))


def _check_classes(classes: Any, fractions: Any) -> tuple[tuple[str, ...], np.ndarray]:
    classes = tuple(check_choice("classes", name, PAINTERS) for name in classes)
    if not classes or len(set(classes)) != len(classes):
        raise invalid("classes", "different ones, at least one", classes)
    if fractions is None:
        fractions = FRACTIONS if classes == CLASSES else np.full(len(classes), 1 / len(classes))
    shares = check_real("fractions", fractions, at_least=0)
    if shares.shape != (len(classes),) or not np.isclose(shares.sum(), 1):
        raise invalid("fractions", f"{len(classes)} shares with the sum 1", fractions)
    return classes, shares / shares.sum()
