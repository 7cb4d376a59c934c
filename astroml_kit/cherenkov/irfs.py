"""Instrument responses of a run: what a source of known spectrum would have looked like in it.

Everything inside is plain floats: energies in TeV, angles in degrees, areas in m2.

Format: https://gamma-astro-data-formats.readthedocs.io, section on IRFs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np

from .._validation import check_real, invalid
from ._fits import iter_hdus, open_stream
from ._gadf import quantities_of
from ._responses import CumulativeTable, ResponseTable
from ._schema import EventFileError, damage_is_one_error

RNG = np.random.Generator | int | None

# Axis of a GADF response -> unit; the pair of columns is <name>_LO, <name>_HI.
AXES = {
    "ENERG": u.TeV,
    "THETA": u.deg,
    "MIGRA": u.one,
    "RAD": u.deg,
    "DETX": u.deg,
    "DETY": u.deg,
}
# Kind of response -> (classes or names of its HDU, column and unit of its values, axis order).
KINDS: dict[str, tuple[tuple[str, ...], str, u.UnitBase, tuple[str, ...]]] = {
    "aeff": (("AEFF_2D",), "EFFAREA", u.m**2, ("THETA", "ENERG")),
    "edisp": (("EDISP_2D",), "MATRIX", u.one, ("THETA", "ENERG", "MIGRA")),
    "psf": (("PSF_TABLE", "PSF_3GAUSS"), "RPSF", u.sr**-1, ("THETA", "ENERG", "RAD")),
    "bkg": (("BKG_3D", "BKG_2D"), "BKG", u.Unit("s-1 TeV-1 sr-1"), ("ENERG", "DETX", "DETY")),
}
BKG_2D_ORDER = ("ENERG", "THETA")
PSF_3GAUSS_RADII = np.linspace(0.0, 1.0, 401)


@dataclass(frozen=True, eq=False)
class SourceEvents:
    """Simulated events of one source: what was sent and what was measured.

    Parameters
    ----------
    true_energy, reco_energy : ndarray, shape (n,)
        Energies [TeV].
    separation : ndarray, shape (n,)
        Measured distance from the centre of the source [deg].
    position_angle : ndarray, shape (n,)
        Direction of that displacement [rad], uniform.
    """

    true_energy: np.ndarray
    reco_energy: np.ndarray
    separation: np.ndarray
    position_angle: np.ndarray

    def __len__(self) -> int:
        return len(self.true_energy)


@dataclass(frozen=True, eq=False)
class IRFs:
    """Effective area, energy dispersion, point spread and background rate of one run.

    Parameters
    ----------
    aeff, edisp, psf, bkg : ResponseTable or None
        The tables, in m2, per unit migra, sr-1, and s-1 TeV-1 sr-1. None: the run has none.
    n_negative : int
        Entries of the effective area below 0 in the file; here they are 0.
    source : str
        Name of the file.
    """

    aeff: ResponseTable | None = None
    edisp: ResponseTable | None = None
    psf: ResponseTable | None = None
    bkg: ResponseTable | None = None
    n_negative: int = 0
    source: str = ""
    _cumulative: dict[str, CumulativeTable] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        have = [kind for kind in KINDS if getattr(self, kind) is not None]
        return f"responses of {self.source}: {', '.join(have)}; {self.n_negative} negative areas"

    def effective_area(self, energy: Any, offset: Any) -> np.ndarray:
        """Effective area [m2]; 0 outside the tabulated energies and offsets.

        Parameters
        ----------
        energy : array_like
            True energy [TeV], > 0.
        offset : array_like
            Distance from the pointing position [deg], >= 0.
        """
        table = self._require("aeff")
        energy, offset = _check_positions(energy, offset)
        area = table.interpolate(THETA=offset, ENERG=np.log10(energy))
        inside = table.contains("ENERG", energy) & table.contains("THETA", offset)
        return np.where(inside, area, 0.0)

    def edisp_containment(self, migra: Any, energy: Any, offset: Any) -> np.ndarray:
        """Probability that reco energy / true energy is below ``migra``."""
        energy, offset = _check_positions(energy, offset)
        migra = check_real("migra", migra, at_least=0)
        return self._get_cumulative("edisp").evaluate(migra, energy, offset)

    def psf_containment(self, radius: Any, energy: Any, offset: Any) -> np.ndarray:
        """Probability that an event is measured within ``radius`` [deg] of its true direction."""
        energy, offset = _check_positions(energy, offset)
        radius = check_real("radius", radius, at_least=0)
        return self._get_cumulative("psf").evaluate(radius, energy, offset)

    def background_rate(self, energy: Any, fov_lon: Any, fov_lat: Any) -> np.ndarray:
        """Background rate [s-1 TeV-1 sr-1]; 0 outside the tabulated field and energies.

        Interpolated in the logarithm of the rate, which falls by orders of magnitude per bin.

        Parameters
        ----------
        energy : array_like
            Reconstructed energy [TeV], > 0.
        fov_lon, fov_lat : array_like
            Offsets from the pointing position along right ascension (eastward) and declination
            [deg] when the file says FOVALIGN = RADEC, along azimuth and altitude when ALTAZ.
        """
        table = self._require("bkg")
        energy = check_real("energy", energy, above=0)
        lon, lat = check_real("fov_lon", fov_lon), check_real("fov_lat", fov_lat)
        tiny = 1e-300
        radial = "THETA" in table.edges
        place = {"THETA": np.hypot(lon, lat)} if radial else {"DETX": lon, "DETY": lat}
        logs = ResponseTable(np.log(np.clip(table.values, tiny, None)), table.edges)
        rate = np.exp(logs.interpolate(ENERG=np.log10(energy), **place))
        inside = table.contains("ENERG", energy)
        for axis, position in place.items():
            inside = inside & table.contains(axis, position)
        return np.where(inside & (rate > 10 * tiny), rate, 0.0)

    def expected_rate(
        self,
        *,
        offset: float,
        index: float,
        energy_min: float = 0.01,
        energy_max: float = 100.0,
    ) -> float:
        """Integral of A(E, offset) (E / 1 TeV)^-index dE [m2 TeV].

        Times live time and the differential flux at 1 TeV: the number of events a point source
        leaves in the run. Runs are weighted with it.
        """
        grid, weight = self._spectrum(offset, index, energy_min, energy_max)
        return float(np.trapezoid(weight, np.log(grid)))

    def simulate_source(
        self,
        n_events: int,
        *,
        offset: float,
        index: float = 2.5,
        energy_min: float = 0.01,
        energy_max: float = 100.0,
        extension: float = 0.0,
        rng: RNG = None,
    ) -> SourceEvents:
        """Draw the events that a source with a power-law spectrum leaves in this run.

        E ~ A(E, offset) E^-index, then energy dispersion, then point spread and, for an extended
        source, a symmetric Gaussian.

        Parameters
        ----------
        n_events : int
            How many events to draw.
        offset : float
            Distance of the source from the pointing position [deg].
        index : float
            Photon index, dN/dE ~ E^-index.
        energy_min, energy_max : float
            Range of true energies [TeV].
        extension : float
            Standard deviation of the source in each direction [deg]; 0 is a point.
        rng : Generator, int or None
            Source of randomness.
        """
        if n_events < 0:
            raise invalid("n_events", ">= 0", n_events)
        rng = np.random.default_rng(rng)
        offset = float(check_real("offset", offset, at_least=0))
        extension = float(check_real("extension", extension, at_least=0))
        grid, weight = self._spectrum(offset, index, energy_min, energy_max)
        log_energy = np.log(grid)
        steps = 0.5 * (weight[1:] + weight[:-1]) * np.diff(log_energy)
        cumulative = np.concatenate([[0.0], np.cumsum(steps)])
        if not cumulative[-1] > 0:
            raise ValueError(
                f"offset and energies must lie where the effective area is > 0, got {offset} deg, "
                f"{energy_min}-{energy_max} TeV. Leave this run out."
            )
        draws = rng.random(n_events) * cumulative[-1]
        true_energy = np.exp(np.interp(draws, cumulative, log_energy))
        away = np.full(n_events, offset)
        migra = self._get_cumulative("edisp").sample(true_energy, away, rng)
        radius = self._get_cumulative("psf").sample(true_energy, away, rng)
        angle = rng.uniform(0.0, 2.0 * np.pi, n_events)
        if extension:
            x = radius * np.cos(angle) + extension * rng.standard_normal(n_events)
            y = radius * np.sin(angle) + extension * rng.standard_normal(n_events)
            radius, angle = np.hypot(x, y), np.arctan2(y, x) % (2.0 * np.pi)
        return SourceEvents(true_energy, true_energy * migra, radius, angle)

    @property
    def n_filled(self) -> dict[str, int]:
        """Tabulated energies without Monte Carlo that took the nearest one's, per response."""
        kinds = [kind for kind in ("edisp", "psf") if getattr(self, kind) is not None]
        return {kind: self._get_cumulative(kind).n_filled for kind in kinds}

    def _spectrum(
        self, offset: float, index: float, energy_min: float, energy_max: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """E A(E) E^-index, the density in ln E, on a grid finer than the table."""
        low = float(check_real("energy_min", energy_min, above=0))
        high = float(check_real("energy_max", energy_max, above=low))
        grid = np.geomspace(low, high, 1 + int(np.ceil(200 * np.log10(high / low))))
        return grid, self.effective_area(grid, offset) * grid ** (1.0 - index)

    def _require(self, kind: str) -> ResponseTable:
        table = getattr(self, kind)
        if table is None:
            raise ValueError(
                f"{kind} must be among the responses of {self.source or 'the run'}, got none. "
                "Choose runs that have it."
            )
        return table

    def _get_cumulative(self, kind: str) -> CumulativeTable:
        if kind not in self._cumulative:
            axis = {"edisp": "MIGRA", "psf": "RAD"}[kind]
            self._cumulative[kind] = CumulativeTable.from_density(
                self._require(kind), axis, disc=kind == "psf"
            )
        return self._cumulative[kind]


def _check_positions(energy: Any, offset: Any) -> tuple[np.ndarray, np.ndarray]:
    return check_real("energy", energy, above=0), check_real("offset", offset, at_least=0)


def read_irfs(where: str | Path | Mapping[str, tuple[Path, str]]) -> IRFs:
    """Read the responses of one run.

    Parameters
    ----------
    where : str, Path or mapping
        A GADF file, or a mapping from kind (``aeff``, ``edisp``, ``psf``, ``bkg``) to file and
        name of the HDU, as :class:`Observation` keeps it.

    Returns
    -------
    IRFs
        What the run lacks is None.
    """
    wanted: dict[str, tuple[Path, tuple[str, ...]]]
    if isinstance(where, Mapping):
        wanted = {kind: (path, (name,)) for kind, (path, name) in where.items() if kind in KINDS}
    else:
        wanted = {kind: (Path(where), classes) for kind, (classes, *_) in KINDS.items()}
    paths = sorted({path for path, _ in wanted.values()})
    tables: dict[str, ResponseTable] = {}
    for path in paths:
        with damage_is_one_error(path, "GADF response"), open_stream(path) as stream:
            for hdu in iter_hdus(path, stream):
                for kind, (file, names) in wanted.items():
                    if file == path and kind not in tables and hdu.matches(*names):
                        columns = quantities_of(hdu, hdu.read_columns())
                        tables[kind] = _make_table(kind, columns, hdu.where)
    n_negative = 0
    if "aeff" in tables:
        area = tables["aeff"].values
        n_negative = int((area < 0).sum())
        tables["aeff"] = ResponseTable(np.clip(area, 0.0, None), tables["aeff"].edges)
    return IRFs(
        aeff=tables.get("aeff"),
        edisp=tables.get("edisp"),
        psf=tables.get("psf"),
        bkg=tables.get("bkg"),
        n_negative=n_negative,
        source=", ".join(path.name for path in paths),
    )


def _make_table(kind: str, columns: dict[str, Any], where: str) -> ResponseTable:
    """Put the one row of a response HDU into a grid with the axes in our order."""
    _, value_name, unit, order = KINDS[kind]
    if kind == "psf" and "SIGMA_1" in columns:
        columns = _tabulate_gaussians(columns)
    if kind == "bkg" and "THETA_LO" in columns:
        order = BKG_2D_ORDER
    present = [name[:-3] for name in columns if name.endswith("_LO") and name[:-3] in AXES]
    missing = [f"{axis}_LO" for axis in order if axis not in present]
    missing += [name for name in (value_name,) if name not in columns]
    if missing:
        raise EventFileError(f"{where} lacks the columns {missing}; it has {list(columns)}.")
    edges = {}
    for axis in order:
        pair = [_get_floats(columns[f"{axis}_{end}"][0], AXES[axis], where) for end in ("LO", "HI")]
        edges[axis] = np.stack(pair, axis=1)
        if not (np.all(np.diff(edges[axis].sum(axis=1)) > 0) and np.all(pair[0] <= pair[1])):
            raise EventFileError(
                f"{where}: {axis}_LO and {axis}_HI must be rising edges, got {edges[axis][:3]}. "
                "The file is damaged: fetch it again."
            )
    values = _get_floats(columns[value_name][0], unit, where)
    # The axes of the array follow the order of the axis columns, the last one slowest.
    stored = [axis for axis in reversed(present) if axis in order]
    if kind == "bkg" and "DETX" in order and stored[0] == "ENERG":
        # ... but for this one: H.E.S.S. wrote (energy, lon, lat), and so the peers read it. Events
        # of its empty fields prefer that to (energy, lat, lon) by 266 in ln L.
        stored = list(order)
    shape = tuple(len(edges[axis]) for axis in stored)
    if values.shape != shape or not np.all(np.isfinite(values)):
        raise EventFileError(
            f"{where}: {value_name} must be finite and of shape {shape} ({stored}), got "
            f"{values.shape}. The file is damaged: fetch it again."
        )
    return ResponseTable(values.transpose([stored.index(axis) for axis in order]), edges)


def _get_floats(value: Any, unit: u.UnitBase, where: str) -> np.ndarray:
    try:
        return np.asarray(u.Quantity(value).to_value(unit), dtype=float)
    except u.UnitConversionError as error:
        raise EventFileError(f"{where}: units must be convertible to {unit}; {error}.") from error


def _tabulate_gaussians(columns: dict[str, Any]) -> dict[str, Any]:
    """Turn PSF_3GAUSS (sum of three Gaussians, GADF) into a table over radius."""
    low, high = PSF_3GAUSS_RADII[:-1], PSF_3GAUSS_RADII[1:]
    radius = (0.5 * (low + high))[:, None, None]
    density = np.zeros((len(low), *columns["SIGMA_1"][0].shape))
    for i in (1, 2, 3):
        sigma = _get_floats(columns[f"SIGMA_{i}"][0], u.deg, "PSF_3GAUSS")
        scale = 1.0 if i == 1 else _get_floats(columns[f"AMPL_{i}"][0], u.one, "PSF_3GAUSS")
        safe = np.where(sigma > 0, sigma, 1.0)
        density += np.where(sigma > 0, scale * np.exp(-0.5 * (radius / safe) ** 2), 0.0)
    density *= _get_floats(columns["SCALE"][0], u.sr**-1, "PSF_3GAUSS")
    axes = {name: columns[name] for name in ("ENERG_LO", "ENERG_HI", "THETA_LO", "THETA_HI")}
    radii = {"RAD_LO": [low * u.deg], "RAD_HI": [high * u.deg]}
    return {**axes, **radii, "RPSF": [density / u.sr]}
