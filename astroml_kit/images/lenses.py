"""Strong lenses to train on, where the sky has given too few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from .._validation import check_choice, check_real, import_extra, invalid
from ._checks import check_angle, check_whole
from ._painting import BANDS, YOUNG, Palette, column, paint_elliptical
from ._profiles import sersic
from .simulation import (
    AT_ONCE,
    OVERSAMPLING,
    ZERO_POINT,
    add_noise,
    blur,
    draw_coords,
    make_points,
    pack_stamps,
)
from .stamps import Stamps

BACKENDS = ("own", "lenstronomy")


def deflect_sis(
    x: Any, y: Any, *, einstein_radius: Any, shear: Any = 0.0, shear_angle: Any = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    r"""Trace rays back through a singular isothermal sphere in an external shear.

    .. math:: \beta = \theta - \theta_E\,\theta / |\theta| - \Gamma\,\theta

    Parameters
    ----------
    x, y : array_like
        Where light arrives, from the centre of the lens.
    einstein_radius : array_like
        In the unit of ``x``, >= 0.
    shear, shear_angle : array_like
        Strength and direction [rad from x towards y] of the shear.

    Returns
    -------
    tuple of ndarray
        Where it comes from, in the unit of ``x``. Rays through the very centre come from there.

    References
    ----------
    Schneider, Ehlers & Falco 1992, doi:10.1007/978-3-662-03758-4, section 8.1.

    Examples
    --------
    >>> x, y = deflect_sis([1.5, -0.5], [0.0, 0.0], einstein_radius=1.0)
    >>> x.round(3).tolist()  # two images of one source
    [0.5, 0.5]
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    distance = np.hypot(x, y)
    pull = np.divide(einstein_radius, distance, out=np.zeros(np.broadcast(distance,
                     einstein_radius).shape), where=distance > 0)  # fmt: skip
    along, across = shear * np.cos(2 * shear_angle), shear * np.sin(2 * shear_angle)
    return (
        x * (1 - pull) - along * x - across * y,
        y * (1 - pull) - across * x + along * y,
    )


def simulate_lenses(
    n: int = 500,
    *,
    fraction: float = 0.5,
    size: int = 64,
    bands: Sequence[str] = ("g", "r", "i"),
    pixel_scale: u.Quantity = 0.2 * u.arcsec,
    psf_fwhm: u.Quantity = 0.8 * u.arcsec,
    einstein_range: u.Quantity = (1.0, 2.0) * u.arcsec,
    magnitude_range: tuple[float, float] = (18.5, 20.5),
    source_range: tuple[float, float] = (21.5, 23.5),
    depth: float = 25.5,
    gain: float = 900.0,
    backend: str = "own",
    rng: Any = None,
) -> Stamps:
    """Simulate galaxies that lens another one, and galaxies that do not.

    Parameters
    ----------
    n : int
        Cut-outs.
    fraction : float
        Share of lenses. The others are the same galaxies with an unlensed faint neighbour of the
        same kind beyond the Einstein radius, so that a second blue object is no evidence.
    size, bands, pixel_scale, psf_fwhm, depth, gain
        As for `simulate_stamps`; the defaults resemble a deep survey from the ground.
    einstein_range : Quantity, shape (2,)
        Smallest and largest Einstein radius.
    magnitude_range, source_range : tuple of float
        Brightest and faintest in r, of the lens, and of the source as it would be without it.
    backend : {"own", "lenstronomy"}
        What traces the rays: an isothermal sphere with shear here, or an isothermal ellipsoid of
        the light's shape with shear by lenstronomy (Birrer & Amara 2018,
        doi:10.1016/j.dark.2018.11.002), where that is installed.
    rng : Generator, int or None
        Same seed, same bits.

    Returns
    -------
    Stamps
        As from `simulate_stamps`, ``label`` "lens" or "galaxy". Truth: ``magnitude`` and
        ``half_light_radius`` of the lens, ``source_magnitude``, ``einstein_radius``,
        ``source_offset`` (from the lens) and ``magnification`` (light with the lens by light
        without it); the last three are NaN, NaN and 1 where nothing is lensed.

    Raises
    ------
    ValueError
        For numbers out of range.
    ImportError
        For the backend "lenstronomy" without that package.

    Examples
    --------
    >>> stamps = simulate_lenses(10, rng=1)
    >>> lensed = stamps.table["label"] == "lens"
    >>> bool((stamps.table["magnification"][lensed] > 1).all())
    True
    """
    n, size = check_whole("n", n, 1), check_whole("size", size, 16)
    check_real("fraction", fraction, at_least=0, at_most=1)
    check_choice("backend", backend, BACKENDS)
    bands = tuple(check_choice("bands", band, BANDS) for band in bands)
    scale, fwhm = check_angle("pixel_scale", pixel_scale), check_angle("psf_fwhm", psf_fwhm)
    smallest, largest = (check_angle("einstein_range", a) for a in u.Quantity(einstein_range))
    for name, pair in (
        ("einstein_range", (smallest, largest)),
        ("magnitude_range", magnitude_range),
        ("source_range", source_range),
    ):
        if not check_real(name, pair)[0] < pair[1]:
            raise invalid(name, "two rising numbers", pair)
    rng = np.random.default_rng(rng)

    lensed = rng.random(n) < fraction
    magnitude = rng.uniform(*magnitude_range, n)
    radius = 0.7 * 10 ** (-0.1 * (magnitude - 19) + rng.normal(0, 0.1, n))
    source = rng.uniform(*source_range, n)
    einstein = rng.uniform(smallest, largest, n)
    images = np.empty((n, len(bands), size, size), dtype=np.float32)
    offset, magnification = np.full(n, np.nan), np.ones(n)
    for start in range(0, n, AT_ONCE):
        here = slice(start, min(start + AT_ONCE, n))
        painted, offset[here], magnification[here] = _paint(
            magnitude[here], radius[here], source[here], einstein[here], lensed[here],
            rng=rng, size=size, bands=bands, scale=scale, fwhm=fwhm, backend=backend,
        )  # fmt: skip
        images[here] = blur(painted, scale=scale, fwhm=fwhm)
    add_noise(images, scale=scale, fwhm=fwhm, depth=depth, gain=gain, rng=rng)
    table = QTable(
        {
            "id": np.arange(n),
            "coord": draw_coords(n, rng),
            "label": np.where(lensed, "lens", "galaxy"),
            "magnitude": magnitude * u.mag,
            "half_light_radius": radius * u.arcsec,
            "source_magnitude": source * u.mag,
            "einstein_radius": np.where(lensed, einstein, np.nan) * u.arcsec,
            "source_offset": np.where(lensed, offset, np.nan) * u.arcsec,
            "magnification": magnification,
        }
    )
    return pack_stamps(images, table, bands=bands, scale=scale)


def _paint(
    magnitude: np.ndarray,
    radius: np.ndarray,
    source: np.ndarray,
    einstein: np.ndarray,
    lensed: np.ndarray,
    *,
    rng: np.random.Generator,
    size: int,
    bands: tuple[str, ...],
    scale: float,
    fwhm: float,
    backend: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Surface brightness of lens and source, the source's offset, and its magnification."""
    x, y = make_points(size, scale, fwhm)
    fluxes = (10 ** (-0.4 * (m - ZERO_POINT)) for m in (magnitude, source))
    core = 0.5 * scale / OVERSAMPLING
    palette = Palette(rng, next(fluxes), radius, bands, core)
    painted, shape = paint_elliptical(x, y, palette)
    behind = Palette(rng, next(fluxes), rng.uniform(0.15, 0.4, len(source)), bands, core)
    # Sources lie within the circle that is imaged twice, or beyond the ring that arcs would make.
    lens = column(lensed) > 0
    away = np.where(lens, behind.draw(0.05, 0.8), behind.draw(1.2, 2.5)) * column(einstein)
    where = behind.turn() * 2
    sight: dict[str, Any] = {
        "shear": behind.draw(0, 0.08), "shear_angle": behind.turn(), "einstein": column(einstein),
        "ratio": shape["ratio"], "angle": shape["angle"],
    }  # fmt: skip
    trace = _trace_lenstronomy if backend == "lenstronomy" else _trace_own
    bent = trace(x, y, **sight)
    straight = np.broadcast_arrays(x, y)
    seen = [np.where(lens, *pair) for pair in zip(bent, straight, strict=True)]
    kind: dict[str, Any] = {
        "flux": behind.flux, "radius": behind.radius, "index": 1.0, "core": core,
        "ratio": behind.draw(0.5, 1), "angle": behind.turn(),
    }  # fmt: skip
    shift = away * np.cos(where), away * np.sin(where)
    light = sersic(seen[0] - shift[0], seen[1] - shift[1], **kind)
    total = light.sum(axis=(1, 2)) * (scale / OVERSAMPLING) ** 2
    magnification = np.where(lensed, total / behind.flux.ravel(), 1.0)
    return painted + behind.colour(light, YOUNG), away.ravel(), magnification


def _trace_own(
    x: Any, y: Any, *, einstein: Any, shear: Any, shear_angle: Any, ratio: Any, angle: Any
) -> tuple[np.ndarray, np.ndarray]:
    return deflect_sis(x, y, einstein_radius=einstein, shear=shear, shear_angle=shear_angle)


def _trace_lenstronomy(
    x: Any, y: Any, *, einstein: Any, shear: Any, shear_angle: Any, ratio: Any, angle: Any
) -> tuple[np.ndarray, np.ndarray]:
    lensing = import_extra("lenstronomy.LensModel.lens_model", extra="lenses")
    params = import_extra("lenstronomy.Util.param_util", extra="lenses")
    model = lensing.LensModel(["SIE", "SHEAR"])
    grid = np.broadcast_arrays(x[0], y[0])
    traced = []
    for k in range(len(einstein)):
        e1, e2 = params.phi_q2_ellipticity(float(angle[k].item()), float(ratio[k].item()))
        turned = 2 * shear_angle[k].item()
        strength = shear[k].item()
        settings = [
            {"theta_E": einstein[k].item(), "e1": e1, "e2": e2, "center_x": 0, "center_y": 0},
            {"gamma1": strength * np.cos(turned), "gamma2": strength * np.sin(turned)},
        ]
        traced.append(model.ray_shooting(*(axis.ravel() for axis in grid), settings))
    shape = (-1, *grid[0].shape)
    return (
        np.reshape([pair[0] for pair in traced], shape),
        np.reshape([pair[1] for pair in traced], shape),
    )
