"""What a simulated galaxy of each class is made of: components, each with its colour.

A painter draws ``n`` galaxies of one class at points (x, y): it returns surface brightness of shape
(n, n_bands, height, width) in nanomaggies per square arcsec, and what it chose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._profiles import edge_on_disc, sersic, spiral_disc, tail, turn

# Magnitudes relative to r of an old and of a young population, and of a star, in u g r i z: nearby
# galaxies of the red sequence and the blue cloud (Blanton et al. 2003, doi:10.1086/375776).
BANDS = ("u", "g", "r", "i", "z")
OLD = np.array([2.6, 0.80, 0.0, -0.38, -0.65])
YOUNG = np.array([1.6, 0.40, 0.0, -0.20, -0.30])
COLOUR_SPREAD = 0.05
EDGE_RATIO = 0.12

Painted = tuple[np.ndarray, dict[str, np.ndarray]]


class Palette:
    """Random numbers and colours of the galaxies of one stack."""

    def __init__(
        self,
        rng: np.random.Generator,
        flux: np.ndarray,
        radius: np.ndarray,
        bands: Any,
        core: float,
    ) -> None:
        self.rng, self.n = rng, len(flux)
        self.flux, self.radius = column(flux), column(radius)
        self.core = core  # arcsec, of the cusps
        self.chosen = [BANDS.index(band) for band in bands]

    def draw(self, low: float, high: float) -> np.ndarray:
        """Even numbers, shape (n, 1, 1)."""
        return column(self.rng.uniform(low, high, self.n))

    def turn(self) -> np.ndarray:
        """Angles of axes [rad]."""
        return self.draw(0, np.pi)

    def colour(self, light: np.ndarray, population: np.ndarray) -> np.ndarray:
        """Spread light over the bands, (n, h, w) to (n, n_bands, h, w), as populations emit it."""
        scatter = self.rng.normal(0, COLOUR_SPREAD, (self.n, len(self.chosen)))
        magnitudes = population[..., self.chosen] + scatter
        share = (10 ** (-0.4 * magnitudes)).astype(np.float32)
        return light[:, None] * share[:, :, None, None]


def column(values: Any) -> np.ndarray:
    """Numbers per galaxy, ready to broadcast with points."""
    return np.asarray(values, dtype=np.float32)[:, None, None]


def paint_elliptical(x: Any, y: Any, palette: Palette) -> Painted:
    """A smooth old spheroid."""
    ratio, angle = palette.draw(0.6, 1.0), palette.turn()
    light = sersic(x, y, flux=palette.flux, radius=palette.radius, index=palette.draw(2.5, 5.0),
                   ratio=ratio, angle=angle, core=palette.core)  # fmt: skip
    return palette.colour(light, OLD), {"ratio": ratio, "angle": angle}


def paint_spiral(x: Any, y: Any, palette: Palette) -> Painted:
    """An old bulge, and a young disc with two to four arms, inclined by up to 60 degrees."""
    ratio, angle = palette.draw(0.5, 1.0), palette.turn()
    winding = column(palette.rng.choice([-1, 1], palette.n))
    share = palette.draw(0.05, 0.3)  # of the bulge
    disc = spiral_disc(
        x, y, flux=palette.flux * (1 - share), radius=palette.radius, ratio=ratio, angle=angle,
        pitch=np.deg2rad(palette.draw(12, 30)), phase=palette.draw(0, 2 * np.pi),
        contrast=palette.draw(0.35, 0.9), winding=winding, core=palette.core,
        n_arms=column(palette.rng.choice([2, 3, 4], palette.n, p=[0.7, 0.15, 0.15])),
    )  # fmt: skip
    bulge = sersic(x, y, flux=palette.flux * share, radius=0.2 * palette.radius, core=palette.core,
                   index=2.5, ratio=0.5 + 0.5 * ratio, angle=angle)  # fmt: skip
    painted = palette.colour(disc, YOUNG) + palette.colour(bulge, OLD)
    return painted, {"ratio": ratio, "angle": angle, "winding": winding}


def paint_edge_on(x: Any, y: Any, palette: Palette) -> Painted:
    """A disc from its side, often with a small bulge and a lane of dust."""
    angle, share = palette.turn(), palette.draw(0.0, 0.25)
    height = EDGE_RATIO * palette.radius * palette.draw(0.7, 1.5)
    disc = edge_on_disc(x, y, flux=palette.flux * (1 - share), radius=palette.radius,
                        height=height, angle=angle)  # fmt: skip
    _, across = turn(x, y, angle)
    dust = palette.draw(0, 0.6) * np.exp(-0.5 * (across / (0.4 * height)) ** 2)
    bulge = sersic(x, y, flux=palette.flux * share, radius=0.2 * palette.radius, core=palette.core,
                   index=2.0, ratio=0.8, angle=angle)  # fmt: skip
    painted = palette.colour(disc * (1 - dust), YOUNG) + palette.colour(bulge, OLD)
    return painted, {"ratio": np.full_like(angle, EDGE_RATIO), "angle": angle}


def paint_merger(x: Any, y: Any, palette: Palette) -> Painted:
    """Two galaxies, one half to two radii apart, both with a tidal tail."""
    share, away = palette.draw(0.5, 0.8), palette.turn() * 2
    apart = palette.draw(0.8, 2.0) * palette.radius
    tails = palette.draw(0.05, 0.2)
    shift = apart * np.cos(away) / 2, apart * np.sin(away) / 2
    painted: Any = 0.0
    for part, sign in ((share, 1), (1 - share, -1)):
        here = x - sign * shift[0], y - sign * shift[1]
        body = palette.flux * part * (1 - tails)
        size = 0.8 * palette.radius * np.sqrt(part)
        smooth = sersic(*here, flux=body, radius=size, index=palette.draw(1.0, 3.0),
                        ratio=palette.draw(0.5, 1), angle=palette.turn(),
                        core=palette.core)  # fmt: skip
        bend = palette.draw(0.8, 1.6) * palette.radius
        arc = tail(*here, flux=palette.flux * part * tails, bend=bend,
                   opening=palette.draw(0.5, 1.2), thickness=0.15 * palette.radius,
                   angle=palette.turn() * 2)  # fmt: skip
        stars = np.where(palette.rng.random((palette.n, 1)) < 0.5, OLD, YOUNG)
        painted = painted + palette.colour(smooth, stars) + palette.colour(arc, YOUNG)
    return painted, {"ratio": np.full_like(share, np.nan), "angle": away}


def paint_ring(x: Any, y: Any, palette: Palette) -> Painted:
    """A young ring around an old nucleus."""
    ratio, angle = palette.draw(0.6, 1.0), palette.turn()
    along, across = turn(x, y, angle)
    distance = np.hypot(along, across / ratio)
    share, radius = palette.draw(0.3, 0.6), 1.2 * palette.radius
    thickness = palette.draw(0.12, 0.2) * radius
    ring = np.exp(-0.5 * ((distance - radius) / thickness) ** 2)
    ring = palette.flux * (1 - share) * ring / ((2 * np.pi) ** 1.5 * radius * thickness * ratio)
    core = sersic(x, y, flux=palette.flux * share, radius=0.3 * palette.radius, core=palette.core,
                  index=2.5, ratio=ratio, angle=angle)  # fmt: skip
    painted = palette.colour(ring, YOUNG) + palette.colour(core, OLD)
    return painted, {"ratio": ratio, "angle": angle}


def paint_artefact(x: Any, y: Any, palette: Palette) -> Painted:
    """An elliptical galaxy under the trail of a satellite, which crosses in one band only."""
    painted, chosen = paint_elliptical(x, y, palette)
    along, across = turn(x, y, palette.turn())
    offset = palette.draw(-1, 1) * palette.radius
    width = palette.draw(0.3, 0.8)
    brightness = palette.flux * palette.draw(0.02, 0.1) / palette.radius
    trail = np.exp(-0.5 * ((across - offset) / width) ** 2) * brightness + 0 * along
    rows = np.arange(palette.n)
    painted[rows, palette.rng.integers(0, painted.shape[1], palette.n)] += trail
    return painted, chosen


PAINTERS: dict[str, Callable[[Any, Any, Palette], Painted]] = {
    "elliptical": paint_elliptical,
    "edge-on": paint_edge_on,
    "spiral": paint_spiral,
    "merger": paint_merger,
    "ring": paint_ring,
    "artefact": paint_artefact,
}
