"""How many showers were thrown: without it, a list of detected gammas says nothing about areas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import astropy.units as u
import numpy as np

from .._validation import check_choice, check_real, invalid
from ._dl3_bins import read_quantity

# Fine enough that a radius of a + b log(E) changes by less than 1 % within a bin.
BINS_PER_DECADE = 200


@dataclass(frozen=True, eq=False)
class ThrownSpectrum:
    """Simulated gammas before any trigger or cut: how many, at what energies, over which ground.

    Make it with :meth:`from_power_law`, with :meth:`from_energies` when all the thrown energies
    are at hand, or with :meth:`from_simulation` from what `simulate_showers` says in
    ``meta["thrown"]``. The ground is the plane perpendicular to the shower axis.

    Parameters
    ----------
    energy_edges : ndarray, shape (n + 1,)
        Edges of fine bins in true energy [TeV], rising.
    n_showers : ndarray, shape (n,)
        Showers thrown in each bin; each use of a re-used shower counts.
    density : ndarray, shape (n,)
        Showers thrown per area [m-2]. Where the radius of the throw changes with energy this is
        what detected showers must be compared with, bin by bin.
    offset, view_cone : float
        Degrees, small: from the pointing position to the centre of the directions; radius of the
        disc about that centre that they fill uniformly, 0 for a point.
    """

    energy_edges: np.ndarray
    n_showers: np.ndarray
    density: np.ndarray
    offset: float
    view_cone: float

    def __post_init__(self) -> None:
        edges = check_real("energy_edges", self.energy_edges, above=0)
        if edges.ndim != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0):
            raise invalid("energy_edges", "rising, at least two", edges)
        for name in ("n_showers", "density"):
            values = check_real(name, getattr(self, name), at_least=0)
            if values.shape != (len(edges) - 1,):
                raise invalid(name, f"of shape {(len(edges) - 1,)}, one per bin", values)
        check_real("offset", self.offset, at_least=0)
        check_real("view_cone", self.view_cone, at_least=0)

    def __str__(self) -> str:
        low, high = self.energy_edges[[0, -1]]
        where = f"{self.offset:g} deg off axis"
        if self.view_cone:
            where = f"in {self.view_cone:g} deg about {where}"
        return f"{self.n_showers.sum():.4g} showers thrown at {low:g}-{high:g} TeV, {where}"

    @classmethod
    def from_power_law(
        cls,
        n_showers: float,
        *,
        energy_min: u.Quantity,
        energy_max: u.Quantity,
        index: float,
        max_impact: u.Quantity | Callable[[u.Quantity], u.Quantity],
        offset: u.Quantity = 0 * u.deg,
        view_cone: u.Quantity = 0 * u.deg,
        spectrum: str = "thrown",
    ) -> ThrownSpectrum:
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
        offset, view_cone : Quantity
            From the pointing position to the centre of the directions, and the radius of the disc
            that they fill; 0 for a point.
        spectrum : {"thrown", "flux"}
            What follows the power law when the radius depends on energy: the energies that were
            thrown, or the flux, so that the thrown ones follow E^-index x radius^2.

        Examples
        --------
        >>> import astropy.units as u
        >>> thrown = ThrownSpectrum.from_power_law(
        ...     1e6, energy_min=0.1 * u.TeV, energy_max=100 * u.TeV, index=2.0,
        ...     max_impact=400 * u.m, view_cone=3 * u.deg)
        >>> print(thrown)
        1e+06 showers thrown at 0.1-100 TeV, in 3 deg about 0 deg off axis
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
        return cls(edges, counts, counts / area, *_read_angles(offset, view_cone))

    @classmethod
    def from_energies(
        cls,
        true_energy: u.Quantity,
        *,
        max_impact: u.Quantity | Callable[[u.Quantity], u.Quantity],
        offset: u.Quantity = 0 * u.deg,
        view_cone: u.Quantity = 0 * u.deg,
    ) -> ThrownSpectrum:
        """Describe showers by the list of all energies that were thrown, whatever their spectrum.

        Parameters
        ----------
        true_energy : Quantity, shape (n,)
            The energy of every shower thrown, detected or not.
        max_impact, offset, view_cone
            As for :meth:`from_power_law`.
        """
        energy = np.atleast_1d(read_quantity("true_energy", true_energy, u.TeV))
        check_real("true_energy", energy, above=0)
        if not energy.size:
            raise invalid("true_energy", "of at least one shower", energy)
        edges = _make_fine_edges(energy.min() * (1 - 1e-9), energy.max() * (1 + 1e-9))
        counts = np.histogram(energy, edges)[0].astype(float)
        density = counts / _find_area(max_impact, edges)
        return cls(edges, counts, density, *_read_angles(offset, view_cone))

    @classmethod
    def from_simulation(cls, thrown: Any) -> ThrownSpectrum:
        """Describe showers by what `simulate_showers` says of them.

        Parameters
        ----------
        thrown : simulation.ThrownShowers or mapping
            ``images.meta["thrown"]``. It speaks of all showers: with gammas of one half of them,
            as when the other half has trained a model, use ``.take_share(0.5)`` of the result.
        """
        if isinstance(thrown, Mapping):
            from .simulation import ThrownShowers

            thrown = ThrownShowers(**thrown)
        return cls.from_power_law(
            thrown.n_thrown,
            energy_min=thrown.energy_min * u.TeV,
            energy_max=thrown.energy_max * u.TeV,
            index=thrown.index,
            max_impact=lambda energy: np.sqrt(thrown.find_area(energy.value) / np.pi) * u.m,
            offset=thrown.offset * u.deg,
            view_cone=thrown.view_cone * u.deg,
            spectrum="flux",
        )

    def take_share(self, share: float) -> ThrownSpectrum:
        """Describe a random share of these showers, such as those kept for testing.

        Parameters
        ----------
        share : float
            Between 0 (exclusive) and 1.
        """
        share = float(check_real("share", share, above=0, at_most=1))
        return replace(self, n_showers=self.n_showers * share, density=self.density * share)

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
        if self.view_cone == 0:
            bins = np.searchsorted(edges, self.offset, side="right") - 1
            bins -= self.offset == edges[-1]  # the last bin has its upper edge, as histograms
            return (np.arange(len(edges) - 1) == bins).astype(float)
        return np.diff(_find_overlap(edges, self.view_cone, self.offset))


def count_thrown(
    thrown: Any,
    energy_edges: np.ndarray,
    offset_edges: np.ndarray,
) -> np.ndarray:
    """Add up several sets of thrown showers, such as one per offset."""
    sets = list(thrown) if isinstance(thrown, (list, tuple)) else [thrown]
    spectra = []
    for one in sets:
        if isinstance(one, Mapping) or hasattr(one, "find_area"):
            one = ThrownSpectrum.from_simulation(one)
        if not isinstance(one, ThrownSpectrum):
            raise ValueError(
                f"thrown must be a ThrownSpectrum or a list of them, got {type(one).__name__}. "
                "Make one with ThrownSpectrum.from_power_law."
            )
        spectra.append(one)
    if not spectra:
        raise invalid("thrown", "at least one ThrownSpectrum", "an empty list")
    return np.sum([one.count(energy_edges, offset_edges) for one in spectra], axis=0)


def _make_fine_edges(low: float, high: float) -> np.ndarray:
    return np.geomspace(low, high, 1 + int(np.ceil(BINS_PER_DECADE * np.log10(high / low))))


def _find_area(max_impact: Any, edges: np.ndarray) -> np.ndarray:
    """Area of the throw [m2] in each bin of energy."""
    energy = np.sqrt(edges[1:] * edges[:-1]) * u.TeV
    radius = max_impact(energy) if callable(max_impact) else max_impact
    metres = check_real("max_impact", read_quantity("max_impact", radius, u.m), above=0)
    return np.broadcast_to(np.pi * metres**2, energy.shape)


def _read_angles(offset: u.Quantity, view_cone: u.Quantity) -> tuple[float, float]:
    pair = []
    for name, value in (("offset", offset), ("view_cone", view_cone)):
        angle = check_real(name, read_quantity(name, value, u.deg), at_least=0)
        if angle.ndim:
            raise invalid(name, "one angle", angle, "Give a list of ThrownSpectrum for several.")
        pair.append(float(angle))
    return pair[0], pair[1]


def _find_overlap(radius: np.ndarray, cone: float, offset: float) -> np.ndarray:
    """Share of a disc of radius ``cone`` that lies within ``radius`` of a point ``offset`` away."""
    inside = np.clip(radius, abs(cone - offset), cone + offset)
    if offset < 1e-9 * cone:  # below the precision of the angles
        return np.clip(radius / cone, 0, 1) ** 2
    # The lens of two circles: two sectors less the kite between them.
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.arccos(np.clip((offset**2 + inside**2 - cone**2) / (2 * offset * inside), -1, 1))
        second = np.arccos(np.clip((offset**2 + cone**2 - inside**2) / (2 * offset * cone), -1, 1))
    kite = offset * inside * np.sin(first)
    lens = inside**2 * first + cone**2 * second - kite
    share = lens / (np.pi * cone**2)
    if offset >= cone:
        return np.where(radius <= offset - cone, 0.0, np.clip(share, 0, 1))
    return np.where(radius <= cone - offset, (radius / cone) ** 2, np.clip(share, 0, 1))
