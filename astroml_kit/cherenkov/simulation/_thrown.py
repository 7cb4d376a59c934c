"""How showers were thrown at the array, and the rates that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from ..._validation import check_choice
from ._physics import FLUXES


@dataclass(frozen=True)
class ThrownShowers:
    """How showers were thrown; what effective areas and rates are made of.

    Parameters
    ----------
    particle : str
        Primary.
    n_showers, n_uses : int
        Showers, and how often each was thrown at the array.
    energy_min, energy_max : float
        TeV.
    index : float
        The showers per area are distributed as E^-index.
    zenith, offset, view_cone : float
        Degrees: of the pointing; of the centre of the directions from the pointing; radius of the
        disc of directions about that centre.
    efficiency : float
        Photo-electrons per photon on the mirror.
    seed : int
        Of the random numbers.
    """

    particle: str
    n_showers: int
    n_uses: int
    energy_min: float
    energy_max: float
    index: float
    zenith: float
    offset: float
    view_cone: float
    efficiency: float
    seed: int

    @property
    def n_thrown(self) -> int:
        """Showers x uses."""
        return self.n_showers * self.n_uses

    @property
    def solid_angle(self) -> float:
        """Of the directions [sr]; 0 for a point."""
        return np.pi * np.radians(self.view_cone) ** 2

    @staticmethod
    def find_area(energy: Any) -> np.ndarray:
        """Area that cores are thrown in [m2] at an energy [TeV]."""
        radius = np.clip(200 + 120 * np.log10(np.asarray(energy) / 0.1), 120, 450)
        return np.pi * radius**2

    def integrate_area(self, low: Any = None, high: Any = None) -> np.ndarray:
        """Integral of E^-index x area over an energy range [m2 TeV^(1 - index)]."""
        low = self.energy_min if low is None else low
        high = self.energy_max if high is None else high
        x = np.linspace(np.log(low), np.log(high), 2001)
        return np.trapezoid(np.exp(x) ** (1 - self.index) * self.find_area(np.exp(x)), x, axis=0)

    def find_rate(self, energy: Any, *, norm: float, index: float) -> np.ndarray:
        """Rate [1/s] that one event of ``energy`` [TeV] stands for.

        Parameters
        ----------
        energy : array_like
            True energies.
        norm : float
            Flux at 1 TeV, /(m2 s TeV), and per sr for showers from a cone.
        index : float
            Of the flux, dN/dE = norm (E / TeV)^-index.
        """
        solid_angle = self.solid_angle if self.view_cone > 0 else 1.0
        weight = np.asarray(energy) ** (self.index - index)
        return norm * weight * self.integrate_area() * solid_angle / self.n_thrown


def find_background_rate(images: QTable) -> np.ndarray:
    """Rate [1/s] of each row of a table of protons, helium nuclei or electrons."""
    thrown = ThrownShowers(**images.meta["thrown"])
    norm, index = FLUXES[check_choice("particle", thrown.particle, FLUXES)]
    energy = images["true_energy"].to_value(u.TeV)
    # /GeV at 1 GeV to /TeV at 1 TeV
    return thrown.find_rate(energy, norm=norm * 1e3 ** (1 - index), index=index)


def draw_energies(thrown: ThrownShowers, n: int, rng: np.random.Generator) -> np.ndarray:
    """Energies [TeV] distributed as E^-index x the area that cores are thrown in."""
    edges = np.linspace(np.log(thrown.energy_min), np.log(thrown.energy_max), 4001)
    energy = np.exp(edges)
    density = energy ** (1 - thrown.index) * thrown.find_area(energy)
    cdf = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    return np.exp(np.interp(rng.random(n), cdf / cdf[-1], edges))
