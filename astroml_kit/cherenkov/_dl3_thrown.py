"""How many showers were thrown: without it, a list of detected gammas says nothing about areas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np

from .._validation import check_choice, check_real, invalid
from ._dl3_bins import read_quantity

# Fine enough that a radius of a + b log(E) changes by less than 1 % within a bin.
BINS_PER_DECADE = 200


@dataclass(frozen=True, eq=False)
class ThrownShowers:
    """Simulated gammas before any trigger or cut: how many, at what energies, over which ground.

    Make it with :meth:`from_power_law` or, when the thrown energies are at hand, with
    :meth:`from_energies`. The area is that of the plane perpendicular to the shower axis.

    Parameters
    ----------
    energy_edges : ndarray, shape (n + 1,)
        Edges of fine bins in true energy [TeV], rising.
    n_showers : ndarray, shape (n,)
        Showers thrown in each bin; each use of a re-used shower counts.
    density : ndarray, shape (n,)
        Showers thrown per area [m-2]. Where the radius of the throw changes with energy this is
        what detected showers must be compared with, bin by bin.
    offset_min, offset_max : float
        Distance of the showers' directions from the pointing position [deg]: one value (a point)
        or a ring or cone that is filled uniformly in solid angle.
    """

    energy_edges: np.ndarray
    n_showers: np.ndarray
    density: np.ndarray
    offset_min: float
    offset_max: float

    def __post_init__(self) -> None:
        edges = check_real("energy_edges", self.energy_edges, above=0)
        if edges.ndim != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0):
            raise invalid("energy_edges", "rising, at least two", edges)
        for name in ("n_showers", "density"):
            values = check_real(name, getattr(self, name), at_least=0)
            if values.shape != (len(edges) - 1,):
                raise invalid(name, f"of shape {(len(edges) - 1,)}, one per bin", values)
        check_real("offset_min", self.offset_min, at_least=0)
        check_real("offset_max", self.offset_max, at_least=self.offset_min, at_most=180)

    def __str__(self) -> str:
        low, high = self.offset_min, self.offset_max
        where = f"{low:g} deg" if low == high else f"{low:g}-{high:g} deg"
        return (
            f"{self.n_showers.sum():.4g} showers thrown at {self.energy_edges[0]:g}-"
            f"{self.energy_edges[-1]:g} TeV, {where} off axis"
        )

    @classmethod
    def from_power_law(
        cls,
        n_showers: float,
        *,
        energy_min: u.Quantity,
        energy_max: u.Quantity,
        index: float,
        max_impact: u.Quantity | Callable[[u.Quantity], u.Quantity],
        offset: u.Quantity,
        spectrum: str = "thrown",
    ) -> ThrownShowers:
        """Describe showers whose energies were drawn from a power law.

        Parameters
        ----------
        n_showers : float
            Number thrown; a shower used ten times counts ten times.
        energy_min, energy_max : Quantity
            Range of true energies.
        index : float
            Photon index, dN/dE ~ E^-index.
        max_impact : Quantity or function of energy
            Radius of the disc over which cores were scattered uniformly. A function gets the
            energies as a Quantity and returns the radii.
        offset : Quantity
            Distance from the pointing position: one value, or the inner and outer radius of a
            ring or cone, as ``(0, 3) * u.deg``.
        spectrum : {"thrown", "flux"}
            What follows the power law when the radius depends on energy: the energies that were
            thrown, or the flux, so that the thrown ones follow E^-index x radius^2.

        Examples
        --------
        >>> import astropy.units as u
        >>> thrown = ThrownShowers.from_power_law(
        ...     1e6, energy_min=0.1 * u.TeV, energy_max=100 * u.TeV, index=2.0,
        ...     max_impact=400 * u.m, offset=(0, 3) * u.deg)
        >>> print(thrown)
        1e+06 showers thrown at 0.1-100 TeV, 0-3 deg off axis
        """
        n_showers = float(check_real("n_showers", n_showers, above=0))
        index = float(check_real("index", index))
        check_choice("spectrum", spectrum, ("thrown", "flux"))
        low = float(
            check_real("energy_min", read_quantity("energy_min", energy_min, u.TeV), above=0)
        )
        high = float(
            check_real("energy_max", read_quantity("energy_max", energy_max, u.TeV), above=low)
        )
        edges = _make_fine_edges(low, high)
        area = _find_area(max_impact, edges)
        # The integral of E^-index over each bin, in the logarithm so that index 1 is no exception.
        share = np.diff(np.log(edges)) * np.sqrt(edges[1:] * edges[:-1]) ** (1 - index)
        if spectrum == "flux":
            share = share * area
        counts = n_showers * share / share.sum()
        return cls(edges, counts, counts / area, *_read_offset(offset))

    @classmethod
    def from_energies(
        cls,
        true_energy: u.Quantity,
        *,
        max_impact: u.Quantity | Callable[[u.Quantity], u.Quantity],
        offset: u.Quantity,
    ) -> ThrownShowers:
        """Describe showers by the list of all energies that were thrown, whatever their spectrum.

        Parameters
        ----------
        true_energy : Quantity, shape (n,)
            The energy of every shower thrown, detected or not.
        max_impact, offset
            As for :meth:`from_power_law`.
        """
        energy = np.atleast_1d(read_quantity("true_energy", true_energy, u.TeV))
        check_real("true_energy", energy, above=0)
        if not energy.size:
            raise invalid("true_energy", "of at least one shower", energy)
        edges = _make_fine_edges(energy.min() * (1 - 1e-9), energy.max() * (1 + 1e-9))
        counts = np.histogram(energy, edges)[0].astype(float)
        return cls(edges, counts, counts / _find_area(max_impact, edges), *_read_offset(offset))

    def count(self, energy_edges: np.ndarray, offset_edges: np.ndarray) -> np.ndarray:
        """Count the showers thrown in bins of true energy and offset.

        Parameters
        ----------
        energy_edges : ndarray, shape (n_energies + 1,)
            [TeV].
        offset_edges : ndarray, shape (n_offsets + 1,)
            [deg].

        Returns
        -------
        ndarray, shape (2, n_offsets, n_energies)
            The numbers thrown, and the numbers thrown per m2.
        """
        log_edges, log_wanted = np.log(self.energy_edges), np.log(energy_edges)
        share = self._find_shares(offset_edges)
        tables = []
        for values in (self.n_showers, self.density):
            rising = np.concatenate([[0.0], np.cumsum(values)])
            tables.append(np.outer(share, np.diff(np.interp(log_wanted, log_edges, rising))))
        return np.stack(tables)

    def _find_shares(self, edges: np.ndarray) -> np.ndarray:
        """Share of the showers in each bin of offset."""
        if self.offset_min == self.offset_max:
            bins = np.searchsorted(edges, self.offset_min, side="right") - 1
            bins -= self.offset_min == edges[-1]  # the last bin has its upper edge, as histograms
            return (np.arange(len(edges) - 1) == bins).astype(float)
        bounds = np.array([self.offset_min, self.offset_max])
        rising = 1 - np.cos(np.deg2rad(np.clip(edges, *bounds)))
        return np.diff(rising) / np.diff(1 - np.cos(np.deg2rad(bounds)))


def count_thrown(
    thrown: ThrownShowers | Sequence[ThrownShowers],
    energy_edges: np.ndarray,
    offset_edges: np.ndarray,
) -> np.ndarray:
    """Add up several sets of thrown showers, such as one per offset."""
    sets = [thrown] if isinstance(thrown, ThrownShowers) else list(thrown)
    if not sets or not all(isinstance(one, ThrownShowers) for one in sets):
        raise ValueError(
            f"thrown must be a ThrownShowers or a list of them, got {thrown!r}. "
            "Make one with ThrownShowers.from_power_law."
        )
    return np.sum([one.count(energy_edges, offset_edges) for one in sets], axis=0)


def _make_fine_edges(low: float, high: float) -> np.ndarray:
    return np.geomspace(low, high, 1 + int(np.ceil(BINS_PER_DECADE * np.log10(high / low))))


def _find_area(max_impact: Any, edges: np.ndarray) -> np.ndarray:
    """Area of the throw [m2] in each bin of energy."""
    energy = np.sqrt(edges[1:] * edges[:-1]) * u.TeV
    radius = max_impact(energy) if callable(max_impact) else max_impact
    metres = check_real("max_impact", read_quantity("max_impact", radius, u.m), above=0)
    return np.broadcast_to(np.pi * metres**2, energy.shape)


def _read_offset(offset: u.Quantity) -> tuple[float, float]:
    values = check_real("offset", read_quantity("offset", offset, u.deg), at_least=0)
    if values.size not in (1, 2) or values.min() != values.flat[0]:
        raise invalid("offset", "one angle, or an inner and an outer one", values)
    return float(values.flat[0]), float(values.flat[-1])
