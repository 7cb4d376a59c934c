"""Runs of a telescope: an index of many, the events of one at a time."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from ._fits import Header, get_number
from ._gadf import read_header, read_run
from ._index import RunFiles, find_index, read_headers, read_index, read_zenith
from ._schema import EventDataWarning, EventFileError, damage_is_one_error
from .irfs import IRFs, read_irfs

# ICRS and FK5 at J2000 differ by less than 0.03 arcsec, far below any Cherenkov telescope.
FRAMES = ("ICRS", "FK5")


@dataclass(frozen=True, eq=False)
class Observation:
    """One run: where the telescope looked, for how long, and what it saw.

    Parameters
    ----------
    obs_id : int
        Number of the run.
    pointing : SkyCoord
        Pointing position, ICRS, scalar.
    live_time : Quantity
        Dead-time corrected duration [s].
    zenith : Quantity
        Mean zenith angle [deg]; NaN when the file does not say.
    muon_efficiency : float
        Optical efficiency from muon rings; NaN when the file does not say.
    target : str
        Name of the object, as the observers wrote it.
    events : QTable
        ``event_id``, ``time``, ``reco_ra``, ``reco_dec``, ``reco_energy`` and whatever else the
        file has.
    gti : QTable
        Good time intervals, ``start`` and ``stop``.
    path : Path
        The file with the events; None for a run that was simulated.
    """

    obs_id: int
    pointing: SkyCoord
    live_time: u.Quantity
    zenith: u.Quantity
    muon_efficiency: float
    target: str
    events: QTable
    gti: QTable
    path: Path | None
    files: RunFiles = field(repr=False)
    index_threshold: float = field(default=float("nan"), repr=False)

    def __str__(self) -> str:
        return (
            f"run {self.obs_id} on {self.target or 'an unnamed target'}: "
            f"{len(self.events)} events in {self.live_time.to_value(u.min):.1f} min, "
            f"zenith {self.zenith.to_value(u.deg):.1f} deg"
        )

    @cached_property
    def energy_threshold(self) -> u.Quantity:
        """Lower end of the safe energy range [TeV]; NaN when neither index nor file tells.

        Taken from SAFE_ENERGY_LO of the observation index, else from LO_THRES in the header of
        the effective area, which is only then looked up.
        """
        if np.isfinite(self.index_threshold):
            return self.index_threshold * u.TeV
        if "aeff" not in self.files.hdus:
            return float("nan") * u.TeV
        path, name = self.files.hdus["aeff"]
        header = read_header(path, name)
        return get_number(header, "LO_THRES", float("nan"), where=path.name) * u.TeV

    def read_irfs(self) -> IRFs:
        """Read the instrument response functions of this run."""
        return read_irfs(self.files.hdus)


@dataclass(frozen=True, eq=False)
class Observations:
    """A lazy sequence of runs: the index is in memory, events are read one run at a time.

    Iterate to get each :class:`Observation` in the order of the index; ``observations[23523]``
    reads that run, by its number.

    Parameters
    ----------
    table : QTable
        One row per run that is present: ``obs_id``, ``target``, ``pointing_ra``,
        ``pointing_dec``, ``zenith``, ``live_time``, ``muon_efficiency``, ``energy_threshold``
        and the other columns of the index.
    missing : tuple of int
        Runs of the index whose files are absent.
    """

    table: QTable
    missing: tuple[int, ...]
    files: Mapping[int, RunFiles] = field(repr=False)

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Observation]:
        for row in range(len(self)):
            yield self._read(row)

    def __getitem__(self, obs_id: int) -> Observation:
        rows = np.flatnonzero(self.obs_ids == obs_id)
        if not len(rows):
            absent = "its file is absent" if obs_id in self.missing else "it is not in the index"
            raise KeyError(f"run {obs_id} cannot be read: {absent}.")
        return self._read(int(rows[0]))

    def __str__(self) -> str:
        hours = np.nansum(self.table["live_time"].to_value(u.h))
        text = f"{len(self)} runs, {hours:.1f} h"
        return text + (f", {len(self.missing)} missing" if self.missing else "")

    @property
    def obs_ids(self) -> np.ndarray:
        """Numbers of the runs that are present."""
        return np.asarray(self.table["obs_id"])

    @property
    def pointings(self) -> SkyCoord:
        """Pointing positions of the runs that are present, ICRS."""
        return SkyCoord(self.table["pointing_ra"], self.table["pointing_dec"], frame="icrs")

    def select(self, where: Any, *, radius: u.Quantity = 2.5 * u.deg) -> Observations:
        """Return the runs that point within ``radius`` of a position, or that a mask picks.

        Parameters
        ----------
        where : SkyCoord or array_like
            A position, or a boolean mask or indices for the rows of ``table``.
        radius : Quantity
            Largest distance between the pointing and the position.
        """
        if isinstance(where, SkyCoord):
            where = self.pointings.separation(where.icrs) <= radius
        rows = np.asarray(where)
        if rows.dtype.kind == "b" and rows.shape != (len(self),):
            raise ValueError(
                f"where must have one entry per run ({len(self)}), got shape {rows.shape}."
            )
        return Observations(self.table[rows], self.missing, self.files)

    def _read(self, row: int) -> Observation:
        entry = self.table[row]
        files = self.files[int(entry["obs_id"])]
        path, events_name = files.hdus["events"]
        gti_path, gti_name = files.hdus["gti"]
        if gti_path != path:
            raise EventFileError(
                f"run {files.obs_id} must have events and good time intervals in one file, got "
                f"{path.name} and {gti_path.name}."
            )
        with damage_is_one_error(path, "GADF"):
            events, gti = read_run(path, events_name=events_name, gti_name=gti_name)
        header = events.meta
        live_time = get_number(header, "LIVETIME", where=path.name)
        if not live_time > 0:
            raise EventFileError(
                f"{path.name}: LIVETIME must be > 0 s, got {live_time}. "
                "Leave the run out with obs_ids=."
            )
        return Observation(
            obs_id=files.obs_id,
            pointing=_read_pointing(header, where=path.name),
            live_time=live_time * u.s,
            zenith=read_zenith(header, entry["zenith"].to_value(u.deg)) * u.deg,
            muon_efficiency=get_number(
                header, "MUONEFF", float(entry["muon_efficiency"]), where=path.name
            ),
            target=str(header.get("OBJECT") or entry["target"]),
            events=events,
            gti=gti,
            path=path,
            files=files,
            index_threshold=float(entry["energy_threshold"].to_value(u.TeV)),
        )


def _read_pointing(header: Header, *, where: str) -> SkyCoord:
    frame = str(header.get("RADECSYS", header.get("RADESYS", "ICRS"))).strip().upper()
    if frame not in FRAMES:
        raise EventFileError(f"{where}: RADECSYS must be one of {list(FRAMES)}, got {frame!r}.")
    ra, dec = (get_number(header, key, where=where) for key in ("RA_PNT", "DEC_PNT"))
    if not (np.isfinite(ra) and -90 <= dec <= 90):
        raise EventFileError(
            f"{where}: RA_PNT and DEC_PNT must be a position on the sky, got {ra}, {dec}."
        )
    return SkyCoord(ra, dec, unit="deg", frame="icrs")


def read_observations(folder: str | Path, *, obs_ids: Iterable[int] | None = None) -> Observations:
    """Open a folder of GADF (DL3) runs; nothing but the index is read until you iterate.

    With ``hdu-index.fits`` and ``obs-index.fits`` (plain or gzip) in the folder, those say which
    runs there are. Without them, every ``*.fits`` and ``*.fits.gz`` below the folder that has an
    EVENTS table is a run.

    Parameters
    ----------
    folder : str or Path
        The folder.
    obs_ids : iterable of int, optional
        Only these runs, in the order of the index.

    Returns
    -------
    Observations
        Runs whose files are absent are in ``.missing``, and a warning says how many.

    Raises
    ------
    ValueError
        When the folder has no runs, or not the ones asked for.

    Examples
    --------
    >>> from astropy.coordinates import SkyCoord
    >>> runs = read_observations("hess-dl3-dr1")  # doctest: +SKIP
    >>> for run in runs.select(SkyCoord.from_name("Crab")):  # doctest: +SKIP
    ...     print(run)
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"folder must be a folder, got {folder}. Give the one with the index.")
    hdu_index = find_index(folder, "hdu")
    if hdu_index is None:
        runs, table = read_headers(folder)
    else:
        with damage_is_one_error(hdu_index, "GADF index"):
            runs, table = read_index(folder, hdu_index)
    if not len(table):
        raise ValueError(
            f"{folder} must hold GADF event lists, got none. "
            "Expected hdu-index.fits.gz, or *.fits[.gz] with an EVENTS table."
        )
    if obs_ids is not None:
        wanted = {int(obs_id) for obs_id in obs_ids}
        unknown = sorted(wanted - set(table["obs_id"].tolist()))
        if unknown:
            raise ValueError(f"obs_ids must be runs of {folder.name}, got {unknown} besides.")
        table = table[np.isin(table["obs_id"], list(wanted))]
    listed = [runs.get(int(obs_id)) for obs_id in table["obs_id"]]
    present = np.array([run is not None and run.is_present() for run in listed], dtype=bool)
    missing = tuple(int(obs_id) for obs_id in table["obs_id"][~present])
    if missing:
        warnings.warn(
            f"{folder.name}: {len(missing)} of {len(table)} runs are in the index but their files "
            f"are absent; they are skipped and named in .missing.",
            EventDataWarning,
            stacklevel=2,
        )
    return Observations(table[present], missing, MappingProxyType(runs))
