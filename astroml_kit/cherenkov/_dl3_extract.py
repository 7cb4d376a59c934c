"""From simulated events to the responses of an instrument and a selection.

Responses are full-enclosure: the gammas have passed every cut but one on their distance from the
source, which whoever analyses the runs applies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from .._validation import check_real, import_extra, invalid
from ._dl3_bins import (
    borrow_nearest,
    drop_unusable,
    read_angle,
    read_edges,
    read_quantity,
    read_values,
)
from ._dl3_thrown import ThrownSpectrum, count_thrown
from ._responses import ResponseTable
from .irfs import IRFs

MIGRA_EDGES = np.linspace(0.2, 5.0, 161)
PSF_EDGES = np.linspace(0.0, 1.0, 101) * u.deg


@dataclass(frozen=True, eq=False, kw_only=True)
class SimulatedIRFs(IRFs):
    """Responses made from simulated events, and how many events stand behind them.

    Everything that :class:`IRFs` has, and:

    Parameters
    ----------
    n_gammas : ndarray of int, shape (n_offsets, n_energies)
        Gammas per bin of offset and true energy, after the cuts.
    n_thrown : ndarray, shape (n_offsets, n_energies)
        Showers thrown per bin.
    n_background : ndarray of int, shape (n_reco_energies, n_offsets)
        Background events per bin; shape (0, 0) without background.
    borrowed : ndarray of bool, shape (n_offsets, n_energies)
        Bins with too few gammas, of which the energy dispersion and the point spread are those
        of the nearest energy that has enough.
    n_dropped : int
        Events left out because an energy or a direction was not usable.
    n_outside_migra, n_outside_psf : int
        Gammas beyond the tabulated migration and distance. The tables are normalised without
        them: widen the edges when they are many.
    """

    n_gammas: np.ndarray = field(repr=False)
    n_thrown: np.ndarray = field(repr=False)
    n_background: np.ndarray = field(repr=False)
    borrowed: np.ndarray = field(repr=False)
    n_dropped: int
    n_outside_migra: int
    n_outside_psf: int

    def __str__(self) -> str:
        used = self.borrowed & (self.n_thrown > 0)
        return (
            f"responses from {self.n_gammas.sum()} gammas of {self.n_thrown.sum():.4g} thrown and "
            f"{self.n_background.sum()} background events; {used.sum()} of "
            f"{(self.n_thrown > 0).sum()} bins borrow their dispersion, {self.n_dropped} events "
            f"dropped, {self.n_outside_migra} beyond the migration table, "
            f"{self.n_outside_psf} beyond the point spread"
        )

    @property
    def effective_area_error(self) -> np.ndarray:
        """Statistical error of the effective area [m2], shape (n_offsets, n_energies).

        Poisson, not binomial: how many showers were thrown in a bin is an expectation, and
        fluctuates too. NaN where no gamma was left. Showers that were used several times are not
        independent: then it is a lower bound.
        """
        known = self.n_gammas > 0
        area = self._require("aeff").values
        return np.where(known, area / np.sqrt(np.where(known, self.n_gammas, 1)), np.nan)


def extract_irfs(
    gammas: QTable,
    *,
    thrown: ThrownSpectrum | Mapping[str, Any] | Sequence[Any],
    energy_edges: u.Quantity,
    offset_edges: u.Quantity,
    migra_edges: np.ndarray = MIGRA_EDGES,
    psf_edges: u.Quantity = PSF_EDGES,
    background: QTable | None = None,
    background_time: u.Quantity | None = None,
    reco_energy_edges: u.Quantity | None = None,
    min_events: int = 20,
) -> SimulatedIRFs:
    """Make the responses of an instrument and a selection from simulated events, with pyirf.

    Parameters
    ----------
    gammas : QTable
        Simulated gammas after the cuts: ``true_energy``, ``reco_energy``, and the true and
        reconstructed directions as ``*_fov_lon``, ``*_fov_lat`` (about the pointing position), or
        as ``*_ra``, ``*_dec`` or ``*_az``, ``*_alt`` together with ``pointing_*``.
    thrown : ThrownSpectrum, ``meta["thrown"]`` of `simulate_showers`, or list of them
        What was thrown to get them; several sets (one per offset, say) are added up.
    energy_edges, offset_edges : Quantity
        Bins of true energy, and of the distance from the pointing position.
    migra_edges : ndarray
        Bins of reconstructed energy / true energy.
    psf_edges : Quantity
        Bins of the distance between the true and the reconstructed direction.
    background : QTable, optional
        Events that are not gammas, after the same cuts: ``reco_energy``, the reconstructed
        direction as above, and ``weight`` (rate of each event, in s-1).
    background_time : Quantity, optional
        The live time in which ``background`` was measured, for OFF data without weights.
    reco_energy_edges : Quantity, optional
        Bins of the background's energy; ``energy_edges`` when not given.
    min_events : int
        A bin with fewer gammas than that takes energy dispersion and point spread from the
        nearest energy at the same offset that has as many; ``borrowed`` tells which. The
        effective area is always the bin's own.

    Returns
    -------
    SimulatedIRFs
        Where no shower was thrown and where none was left the area is 0, never NaN (GADF has no
        word for unknown; tools take 0 as "outside"). Compare ``n_thrown`` and ``n_gammas``.

    Raises
    ------
    ValueError
        When a column is missing or without unit, when no event is left, when an offset bin has
        no thrown showers or fewer than ``min_events`` gammas at every energy, or when there are
        gammas where nothing was thrown.

    Notes
    -----
    The effective area of a bin is ``n_gammas`` over the number of showers thrown per area, which
    for a constant area is the usual A n_selected / n_thrown. With an area that depends on energy
    the mean over the bin is weighted with the flux, not with the thrown spectrum.

    Examples
    --------
    >>> import astropy.units as u
    >>> rng = np.random.default_rng(1)
    >>> energy = 0.1 * 10 ** (2 * rng.random(20_000)) * u.TeV
    >>> thrown = ThrownSpectrum.from_energies(energy, max_impact=400 * u.m, offset=0.5 * u.deg)
    >>> kept = energy[rng.random(20_000) < 0.25]
    >>> x, y = rng.normal(0, 0.05, (2, len(kept))) * u.deg
    >>> gammas = QTable({"true_energy": kept, "reco_energy": kept,
    ...                  "true_fov_lon": x * 0 + 0.5 * u.deg, "true_fov_lat": x * 0,
    ...                  "reco_fov_lon": x + 0.5 * u.deg, "reco_fov_lat": y})
    >>> irfs = extract_irfs(gammas, thrown=thrown, energy_edges=[0.1, 1, 10] * u.TeV,
    ...                     offset_edges=[0, 1] * u.deg)
    >>> share = irfs.effective_area(1.0, 0.5) / (np.pi * 400**2)
    >>> bool(abs(share - 0.25) < 0.02)  # what was kept
    True
    """
    energies = read_edges("energy_edges", energy_edges, u.TeV, positive=True)
    offsets = read_edges("offset_edges", offset_edges, u.deg)
    migra = read_edges("migra_edges", migra_edges, u.one)
    radii = read_edges("psf_edges", psf_edges, u.deg)
    min_events = int(check_real("min_events", min_events, at_least=1))
    events, n_dropped = _read_gammas(gammas)
    n_thrown, density = count_thrown(thrown, energies, offsets)
    if np.any(empty := n_thrown.sum(axis=1) <= 0):
        i = int(np.argmax(empty))
        raise ValueError(
            f"offset_edges must lie where showers were thrown, got {offsets[i]:g}-"
            f"{offsets[i + 1]:g} deg without any. Narrow them, or throw showers there."
        )
    pyirf = import_extra("pyirf.irf", extra="gamma")
    place = events["true_source_fov_offset"].value, events["true_energy"].value
    n_gammas = _count(place, offsets, energies)
    _check_plausible(n_gammas, n_thrown, energies, offsets)
    with np.errstate(divide="ignore", invalid="ignore"):
        ground = n_thrown / density * u.m**2
        area = np.nan_to_num(pyirf.effective_area(n_gammas, n_thrown, ground).to_value(u.m**2))
    bins = (energies * u.TeV, offsets * u.deg)
    edisp = pyirf.energy_dispersion(events, *bins, migra).transpose(2, 0, 1)
    psf = pyirf.psf_table(events, bins[0], radii * u.deg, bins[1]).transpose(1, 0, 2)
    ratio = (events["reco_energy"] / events["true_energy"]).value
    in_migra = (ratio >= migra[0]) & (ratio <= migra[-1])
    in_psf = events["theta"].value <= radii[-1]
    useful = in_migra & in_psf
    valid = _count((place[0][useful], place[1][useful]), offsets, energies) >= min_events
    if np.any(poor := ~valid.any(axis=1)):
        i = int(np.argmax(poor))
        raise ValueError(
            f"gammas must have {min_events} events in some energy bin of every offset bin, got "
            f"{offsets[i]:g}-{offsets[i + 1]:g} deg with {int(n_gammas[i].sum())} in all. Widen "
            "the bins, simulate more, or lower min_events."
        )
    axes = {"THETA": _pair(offsets), "ENERG": _pair(energies)}
    table, n_background = None, np.zeros((0, 0), dtype=int)
    if background is not None:
        reco = energies
        if reco_energy_edges is not None:
            reco = read_edges("reco_energy_edges", reco_energy_edges, u.TeV, positive=True)
        others, n_lost = _read_background(background, background_time)
        n_dropped += n_lost
        rate = pyirf.background_2d(others, reco * u.TeV, bins[1], t_obs=1 * u.s)
        table = ResponseTable(
            rate.to_value("s-1 TeV-1 sr-1"), {"ENERG": _pair(reco), "THETA": _pair(offsets)}
        )
        where = others["reco_energy"].value, others["reco_source_fov_offset"].value
        n_background = _count(where, reco, offsets)
    elif background_time is not None or reco_energy_edges is not None:
        raise invalid("background", "given with background_time or reco_energy_edges", None)
    return SimulatedIRFs(
        aeff=ResponseTable(area, axes),
        edisp=ResponseTable(borrow_nearest(edisp, valid), {**axes, "MIGRA": _pair(migra)}),
        psf=ResponseTable(
            borrow_nearest(psf.to_value("sr-1"), valid), {**axes, "RAD": _pair(radii)}
        ),
        bkg=table,
        source="simulation",
        n_gammas=n_gammas,
        n_thrown=n_thrown,
        n_background=n_background,
        borrowed=~valid,
        n_dropped=n_dropped,
        n_outside_migra=int((~in_migra).sum()),
        n_outside_psf=int((~in_psf).sum()),
    )


def _read_gammas(gammas: QTable) -> tuple[QTable, int]:
    """Return the columns that pyirf needs, under its names."""
    where = "gammas"
    columns = {
        "true_energy": read_values(gammas, "true_energy", u.TeV, where=where) * u.TeV,
        "reco_energy": read_values(gammas, "reco_energy", u.TeV, where=where) * u.TeV,
        "true_source_fov_offset": read_angle(gammas, "true", "pointing", where=where) * u.deg,
        "theta": read_angle(gammas, "reco", "true", where=where) * u.deg,
    }
    return drop_unusable(columns, where=where)


def _read_background(events: QTable, live_time: u.Quantity | None) -> tuple[QTable, int]:
    where = "background"
    columns = {
        "reco_energy": read_values(events, "reco_energy", u.TeV, where=where) * u.TeV,
        "reco_source_fov_offset": read_angle(events, "reco", "pointing", where=where) * u.deg,
    }
    if (live_time is None) == ("weight" not in events.colnames):
        raise ValueError(
            "background must have either a column weight (s-1) or background_time, got "
            f"{'neither' if live_time is None else 'both'}. Weight = expected rate of each event."
        )
    if live_time is None:
        weight = read_values(events, "weight", u.s**-1, where=where)
        columns["weight"] = u.Quantity(check_real("weight", weight, at_least=0))
    else:
        seconds = read_quantity("background_time", live_time, u.s)
        rate = 1 / float(check_real("background_time", seconds, above=0))
        columns["weight"] = u.Quantity(np.full(len(events), rate))
    return drop_unusable(columns, where=where)


def _check_plausible(
    n_gammas: np.ndarray, n_thrown: np.ndarray, energies: np.ndarray, offsets: np.ndarray
) -> None:
    """Refuse gammas that outnumber the thrown showers: then ``thrown`` is of another simulation."""
    # Five sigma: from_power_law gives the expected number of thrown showers, not the drawn one.
    excess = n_gammas - n_thrown - 5 * np.sqrt(n_thrown)
    if np.any(excess > 0):
        i, j = np.unravel_index(np.argmax(excess), excess.shape)
        raise ValueError(
            f"thrown must hold at least as many showers as there are gammas, got "
            f"{n_thrown[i, j]:.4g} thrown for {int(n_gammas[i, j])} gammas at {energies[j]:g}-"
            f"{energies[j + 1]:g} TeV, {offsets[i]:g}-{offsets[i + 1]:g} deg. Check its energy "
            "range, offset and number (every use of a shower counts)."
        )


def _count(values: tuple[np.ndarray, np.ndarray], *edges: np.ndarray) -> np.ndarray:
    return np.histogram2d(values[0], values[1], bins=list(edges))[0].astype(int)


def _pair(edges: np.ndarray) -> np.ndarray:
    return np.stack([edges[:-1], edges[1:]], axis=1)
