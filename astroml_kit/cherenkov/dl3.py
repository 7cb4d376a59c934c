"""DL3 out: responses, and runs with their responses, as files that other tools open and fit.

Format: https://gamma-astro-data-formats.readthedocs.io (GADF).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sized
from pathlib import Path
from typing import Any

import astropy.units as u
from astropy.coordinates import EarthLocation

from .._validation import invalid
from ._dl3_bins import read_quantity
from ._dl3_files import (
    count_outside,
    holds,
    make_hdu_index,
    make_header,
    make_obs_index,
    make_response_hdus,
    make_row,
    make_run,
    pack,
    write_whole,
)
from ._index import find_index
from ._schema import EventDataWarning
from .irfs import IRFs
from .observations import Observation, Observations, read_observations

DATA, HDU_INDEX, OBS_INDEX = "data", "hdu-index.fits.gz", "obs-index.fits.gz"


def write_irfs(
    irfs: IRFs,
    path: str | Path,
    *,
    energy_threshold: u.Quantity | None = None,
    overwrite: bool = False,
) -> Path:
    """Write responses as a GADF file that :func:`read_irfs` and gammapy read.

    Parameters
    ----------
    irfs : IRFs
        The responses; those that are None are left out.
    path : str or Path
        Where to, ``.fits`` or ``.fits.gz``.
    energy_threshold : Quantity, optional
        Lower end of the safe energy range, the keyword LO_THRES of the effective area.
    overwrite : bool
        Replace a file that is there.

    Returns
    -------
    Path
        The file; it is there whole or not at all.

    Raises
    ------
    FileExistsError
        When the file is there and ``overwrite`` is false.

    Examples
    --------
    >>> irfs = extract_irfs(gammas, thrown=gammas.meta["thrown"], ...)  # doctest: +SKIP
    >>> write_irfs(irfs, "irfs.fits.gz", energy_threshold=0.2 * u.TeV)  # doctest: +SKIP
    """
    path = Path(path)
    if not path.name.endswith((".fits", ".fits.gz")):
        raise ValueError(f"path must end in .fits or .fits.gz, got {path.name}.")
    if path.exists() and not overwrite:
        raise FileExistsError(f"path must be new, got {path}. Replace it with overwrite=True.")
    threshold = float("nan")
    if energy_threshold is not None:
        threshold = float(read_quantity("energy_threshold", energy_threshold, u.TeV))
    write_whole(pack(make_response_hdus(irfs, threshold=threshold)), path)
    return path


def write_observations(
    observations: Iterable[Observation],
    folder: str | Path,
    *,
    irfs: IRFs | Mapping[int, IRFs] | None = None,
    site: EarthLocation | None = None,
    header: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Observations:
    """Write runs with their responses as a GADF folder that gammapy's ``DataStore`` opens.

    One file per run, ``data/run_<obs_id>.fits.gz``, with events in order of time, good time
    intervals and responses; at the end ``obs-index.fits.gz`` and ``hdu-index.fits.gz``. A run has
    its name only when it is complete, and a folder its index only when all runs are. Call again
    after an interruption: a run that is there with the same content is kept.

    Parameters
    ----------
    observations : iterable of Observation
        The runs, read or simulated; taken one at a time. ``events.meta`` gives the keywords that
        an :class:`Observation` has no place for (TELESCOP, AZ_PNT, MJDREFI, ...).
    folder : str or Path
        Where to; made when it is not there.
    irfs : IRFs, or mapping of obs_id to IRFs, optional
        Responses for all runs, or for each. Without it every run keeps its own.
    site : EarthLocation, optional
        Where the telescopes stand, for runs whose ``events.meta`` has no GEOLON, GEOLAT,
        ALTITUDE.
    header : mapping, optional
        Further keywords for every run, such as ``{"TELESCOP": "TOY"}``.
    overwrite : bool
        Replace runs that are there with other content.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Observations
        The runs as :func:`read_observations` reads them back.

    Raises
    ------
    FileExistsError
        When a run is there with other content and ``overwrite`` is false, or when the folder's
        index lists runs that are not among ``observations``.
    ValueError
        When a run lacks a column, its responses or its site, when none of its events lies within
        its good time intervals (some outside are a warning), or when two runs have one number.

    Examples
    --------
    >>> site = EarthLocation.from_geodetic(16.5 * u.deg, -23.3 * u.deg, 1800 * u.m)
    >>> written = write_observations(
    ...     runs, "field", irfs=irfs, site=site, header={"TELESCOP": "TOY"})  # doctest: +SKIP
    >>> from gammapy.data import DataStore  # doctest: +SKIP
    >>> DataStore.from_dir("field").get_observations()  # doctest: +SKIP
    """
    folder = Path(folder)
    (folder / DATA).mkdir(parents=True, exist_ok=True)
    known = _list_known(folder)
    rows: list[dict[str, Any]] = []
    files: dict[int, tuple[str, str, IRFs]] = {}
    outside: dict[int, int] = {}
    for run in _follow(observations, progress=progress):
        obs_id = int(run.obs_id)
        if obs_id in files:
            raise ValueError(f"obs_id must be one per run, got {obs_id} twice. Leave one out.")
        responses = _find_irfs(run, irfs)
        keywords = make_header(run, site=site, keywords=header or {})
        if n_outside := count_outside(run, keywords):
            outside[obs_id] = n_outside
        data = make_run(run, responses, keywords)
        path = folder / DATA / f"run_{obs_id:08d}.fits.gz"
        if not holds(path, data):
            if path.exists() and not overwrite:
                raise FileExistsError(
                    f"{path.name} must be new or hold the same run, got other content. "
                    "Replace it with overwrite=True, or write to another folder."
                )
            for name in (HDU_INDEX, OBS_INDEX):  # it would tell of runs that have changed
                (folder / name).unlink(missing_ok=True)
            write_whole(data, path)
        rows.append(make_row(run, keywords))
        files[obs_id] = (DATA, path.name, responses)
    if not files:
        raise invalid("observations", "at least one run", 0)
    if others := sorted(known - files.keys()):
        raise FileExistsError(
            f"{folder.name} must be new or hold only these runs, got {others[:8]} besides. "
            "Write to another folder."
        )
    write_whole(make_obs_index(rows), folder / OBS_INDEX)
    write_whole(make_hdu_index(files), folder / HDU_INDEX)
    if outside:
        warnings.warn(
            f"{folder.name}: {sum(outside.values())} events of {len(outside)} runs lie outside the "
            "good time intervals; they are written, and most tools will leave them out.",
            EventDataWarning,
            stacklevel=2,
        )
    return read_observations(folder)


def _list_known(folder: Path) -> set[int]:
    """Return the runs that the folder holds already."""
    found = {path.name[4:12] for path in (folder / DATA).glob("run_*.fits.gz")}
    numbers = {int(text) for text in found if text.isdigit()}
    if find_index(folder, "hdu") is not None:
        numbers |= set(read_observations(folder).table["obs_id"].tolist())
    return numbers


def _find_irfs(run: Observation, irfs: IRFs | Mapping[int, IRFs] | None) -> IRFs:
    if isinstance(irfs, Mapping):
        if run.obs_id not in irfs:
            raise ValueError(
                f"irfs must have every run, got none for run {run.obs_id}; it has {list(irfs)[:8]}."
            )
        found = irfs[run.obs_id]
    else:
        found = run.read_irfs() if irfs is None else irfs
    if found.aeff is None or found.edisp is None:
        raise ValueError(
            f"run {run.obs_id}: its responses must have effective area and energy dispersion, got "
            f"'{found}'. Give them with irfs=."
        )
    return found


def _follow(observations: Iterable[Observation], *, progress: bool) -> Iterable[Observation]:
    if not progress:
        return observations
    from tqdm import tqdm

    total = len(observations) if isinstance(observations, Sized) else None
    return tqdm(observations, total=total, unit="run", desc="writing")
