"""How bright a simulated galaxy is at each point of the sky: profiles, drawn for a whole stack.

All functions take points ``x`` (along a row, to the west) and ``y`` (up a column, to the north) in
arcsec, of a shape that broadcasts with parameters of shape (n, 1, 1), and return flux per square
arcsec.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gamma, gammaincinv, k1

ARM_SHARPNESS = 2.0


def turn(x: np.ndarray, y: np.ndarray, angle: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along and across an axis that lies at ``angle`` [rad] from x towards y."""
    cosine, sine = (np.float32(f(angle)) for f in (np.cos, np.sin))
    return cosine * x + sine * y, cosine * y - sine * x


def sersic(
    x: np.ndarray,
    y: np.ndarray,
    *,
    flux: np.ndarray,
    radius: np.ndarray,
    index: np.ndarray | float,
    ratio: np.ndarray | float,
    angle: np.ndarray | float,
    core: float,
) -> np.ndarray:
    """Sersic profile (Graham & Driver 2005, doi:10.1071/AS05001) of ``flux`` out to infinity.

    ``radius`` holds half of the flux along the major axis; ``core`` [arcsec] rounds off the cusp,
    which no grid could sample.
    """
    along, across = turn(x, y, angle)
    b = gammaincinv(2 * index, 0.5)
    total = 2 * np.pi * index * radius**2 * ratio * np.exp(b) * b ** (-2 * index) * gamma(2 * index)
    scaled = np.sqrt(along**2 + (across / ratio) ** 2 + core**2) / radius
    return flux / total * np.exp(-b * (scaled ** (1 / index) - 1))


def spiral_disc(
    x: np.ndarray,
    y: np.ndarray,
    *,
    flux: np.ndarray,
    radius: np.ndarray,
    ratio: np.ndarray,
    angle: np.ndarray,
    pitch: np.ndarray,
    phase: np.ndarray,
    contrast: np.ndarray,
    n_arms: np.ndarray,
    winding: np.ndarray,
    core: float,
) -> np.ndarray:
    """Exponential disc with logarithmic arms (of the pitch angle ``pitch``).

    The arms multiply the disc by a function of the mean one around each circle, so that its flux
    stays. With ``winding`` 1 the angle of an arm grows from x towards y while it runs outwards.
    """
    along, across = turn(x, y, angle)
    across = across / ratio
    round_disc = sersic(along, across, flux=flux / ratio, radius=radius, index=1.0,
                        ratio=1.0, angle=0.0, core=core)  # fmt: skip
    distance = np.sqrt(along**2 + across**2 + core**2)
    place = np.arctan2(across, along) - winding * np.log(distance / radius) / np.tan(pitch)
    wave = np.exp(ARM_SHARPNESS * (np.cos(n_arms * (place - phase)) - 1))
    wave = wave / np.exp(-ARM_SHARPNESS) / np.i0(ARM_SHARPNESS)
    begun = 1 - np.exp(-((distance / (0.4 * radius)) ** 2))  # no arms in the middle
    return round_disc * (1 + contrast * begun * (wave - 1))


def edge_on_disc(
    x: np.ndarray,
    y: np.ndarray,
    *,
    flux: np.ndarray,
    radius: np.ndarray,
    height: np.ndarray,
    angle: np.ndarray,
) -> np.ndarray:
    """Exponential disc seen from its side (van der Kruit & Searle 1981, 1981A&A....95..105V)."""
    along, across = turn(x, y, angle)
    scale = radius / 1.678  # of the exponential
    reach = np.maximum(np.abs(along), 1e-6 * scale) / scale
    profile = reach * k1(reach) / np.cosh(np.clip(across / height, -40, 40)) ** 2
    return flux * profile / (2 * np.pi * scale * height)


def tail(
    x: np.ndarray,
    y: np.ndarray,
    *,
    flux: np.ndarray,
    bend: np.ndarray,
    opening: np.ndarray,
    thickness: np.ndarray,
    angle: np.ndarray,
) -> np.ndarray:
    """Tidal tail: an arc of a circle of radius ``bend``, which starts at the origin.

    It runs along ``opening`` [rad] of the circle, and fades along it.
    """
    along, across = turn(x, y, angle)
    across = across - bend
    distance, place = np.hypot(along, across), np.arctan2(along, -across)
    shape = np.exp(-0.5 * ((distance - bend) / thickness) ** 2 - np.maximum(place, 0) / opening)
    shape = np.where(place > 0, shape, 0.0)
    length = bend * opening * (1 - np.exp(-np.pi / opening))
    return flux * shape / (np.sqrt(2 * np.pi) * thickness * length)
