"""A field of view observed for hours: sources and background drawn from a library of showers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from astropy.time import Time

from ..._validation import check_columns, check_real, invalid
from .._index import RunFiles
from ..observations import Observation
from .library import FEATURES, STANDARD, ShowerLibrary, read_library

MOST_OFFSET = 2.6  # deg; farther away a source is not seen
# Copies of a background event are spread by at most this [deg] along either axis: without it a map
# shows the rings of the few showers that pass a sharp cut. The acceptance is flat over it.
SPREAD = 0.2
START = 55_000.0  # MJD of the first run


@dataclass(frozen=True, eq=False)
class Source:
    """A gamma-ray source.

    Parameters
    ----------
    name : str
        What it is called.
    position : SkyCoord
        Scalar.
    norm : float
        Flux at 1 TeV, /(cm2 s TeV).
    index : float
        dN/dE = norm (E / TeV)^-index.
    extension : float
        Standard deviation of a round Gaussian [deg]; 0 for a point.
    """

    name: str
    position: SkyCoord
    norm: float
    index: float
    extension: float = 0.0

    def __post_init__(self):
        check_real("norm", self.norm, at_least=0)
        check_real("index", self.index)
        check_real("extension", self.extension, at_least=0)
        if not self.position.isscalar:
            raise invalid("position", "one position", self.position.shape)

    def __str__(self) -> str:
        return f"{self.name}: {self.norm:.3g} /(cm2 s TeV) at 1 TeV, index {self.index:g}"


@dataclass(frozen=True, eq=False)
class DrawnRun:
    """One run as plain arrays.

    Parameters
    ----------
    row : ndarray of int
        Rows of the library, of ``gammas`` for the first ``n_gammas`` events.
    n_gammas : int
        Events from sources.
    lon, lat : ndarray
        Learned direction, from the pointing to the east and north [deg], zenithal equidistant.
    standard_lon, standard_lat : ndarray
        That of the standard reconstruction, likewise; far away where it has none.
    source : ndarray of int
        Number of the source of each gamma.
    """

    row: np.ndarray
    n_gammas: int
    lon: np.ndarray
    lat: np.ndarray
    standard_lon: np.ndarray
    standard_lat: np.ndarray
    source: np.ndarray

    def get_directions(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Learned directions ("reco") or those of the standard reconstruction."""
        if kind == "standard":
            return self.standard_lon, self.standard_lat
        return self.lon, self.lat


@dataclass(frozen=True, eq=False)
class FieldSampler:
    """Draws runs of one pointing and live time; made once, used for many runs.

    Parameters
    ----------
    library : ShowerLibrary
        What events are drawn from.
    offset, angle : ndarray, shape (n_sources,)
        Of the sources from the pointing [deg], position angle from north to east [rad].
    sources : sequence of Source
        What shines.
    background_scale : float
        Factor on the rate of the background.
    """

    library: ShowerLibrary
    offset: np.ndarray
    angle: np.ndarray
    sources: tuple[Source, ...]
    background_scale: float = 1.0
    _rates: list[np.ndarray] = field(default_factory=list, repr=False)
    _sums: list[np.ndarray] = field(default_factory=list, repr=False)

    def __post_init__(self):
        for source, offset in zip(self.sources, self.offset, strict=True):
            rate = find_source_rates(self.library, source, float(offset))
            self._rates.append(rate)
            self._sums.append(np.cumsum(rate))
        self._rates.append(self.library.background["rate"] * self.background_scale)
        self._sums.append(np.cumsum(self._rates[-1]))

    def draw(self, live_time: float, rng: np.random.Generator) -> DrawnRun:
        """Draw the events of ``live_time`` seconds."""
        rows, numbers = [], []
        places: list[list[np.ndarray]] = [[], [], [], []]
        gammas, background = self.library.gammas, self.library.background
        for number, source in enumerate(self.sources):
            row = _draw_rows(self._sums[number], live_time, rng)
            # the field has no handedness
            side = rng.choice([-1.0, 1.0], len(row))
            moved_out, moved_across = rng.normal(0, source.extension, (2, len(row)))
            for place, prefix in ((places[:2], ""), (places[2:], "standard_")):
                out = self.offset[number] + gammas[f"{prefix}dx"][row] + moved_out
                across = side * gammas[f"{prefix}dy"][row] + moved_across
                _append(place, _turn(out, across, self.angle[number]))
            rows.append(row)
            numbers.append(np.full(len(row), number))
        n_gammas = sum(map(len, rows))
        row = _draw_rows(self._sums[-1], live_time, rng)
        azimuth = rng.uniform(0, 2 * np.pi, len(row))
        along, across = rng.uniform(-SPREAD, SPREAD, (2, len(row)))
        rows.append(row)
        _append(places[:2], _turn(background["offset"][row] + along, across, azimuth))
        x, y = (background[f"standard_{axis}"][row] for axis in "xy")
        _append(places[2:], _turn(x + along, y + across, azimuth))
        return DrawnRun(
            np.concatenate(rows), n_gammas,
            np.concatenate(places[0]), np.concatenate(places[1]),
            np.concatenate(places[2]), np.concatenate(places[3]),
            np.concatenate([*numbers, np.zeros(0, int)]).astype(int),
        )  # fmt: skip


def _turn(out: np.ndarray, across: np.ndarray, angle: Any) -> tuple[np.ndarray, np.ndarray]:
    """East and north of what lies out along a position angle [rad], and across it."""
    sine, cosine = np.sin(angle), np.cos(angle)
    return out * sine + across * cosine, out * cosine - across * sine


def _append(lists: Sequence[list[np.ndarray]], arrays: Sequence[np.ndarray]) -> None:
    for where, array in zip(lists, arrays, strict=True):
        where.append(array)


def _draw_rows(sums: np.ndarray, live_time: float, rng: np.random.Generator) -> np.ndarray:
    """Rows of a Poisson number of events, each as likely as its rate."""
    if len(sums) == 0 or sums[-1] == 0:
        return np.zeros(0, dtype=int)
    n = rng.poisson(sums[-1] * live_time)
    return np.searchsorted(sums, rng.random(n) * sums[-1], side="right").clip(max=len(sums) - 1)


def find_source_rates(library: ShowerLibrary, source: Source, offset: float) -> np.ndarray:
    """Rate [1/s] of each gamma of the library for a source at an offset [deg] from the pointing.

    Between the offsets that were simulated, the two next to it share the rate linearly.
    """
    offsets = np.array([thrown.offset for thrown in library.thrown["gamma"]])
    share = np.zeros(len(offsets))
    if offset <= MOST_OFFSET:
        high = int(np.clip(np.searchsorted(offsets, offset), 1, len(offsets) - 1))
        part = (offset - offsets[high - 1]) / (offsets[high] - offsets[high - 1])
        share[high - 1 : high + 1] = 1 - part, part
    rate = library.find_gamma_rates(norm=source.norm, index=source.index)
    return rate * share[library.gammas["set"]]


def plan_wobble(center: SkyCoord, *, wobble: float = 0.7, n_directions: int = 4) -> list[SkyCoord]:
    """Pointings around a position, north, east, south and west of it."""
    angles = 2 * np.pi * np.arange(n_directions) / n_directions
    return [center.directional_offset_by(angle * u.rad, wobble * u.deg) for angle in angles]


def iter_observations(
    sources: Sequence[Source],
    *,
    pointings: Sequence[SkyCoord],
    live_time: Any = 115 * u.h,
    run_time: Any = 28 * u.min,
    library: ShowerLibrary | None = None,
    background_scale: float = 1.0,
    features: Sequence[str] = FEATURES,
    target: str = "simulated field",
    rng: np.random.Generator | int | None = None,
) -> Iterator[Observation]:
    """Simulate the runs of a field one after the other, see `simulate_observations`.

    Yields
    ------
    Observation
    """
    library = read_library() if library is None else library
    total = float(check_real("live_time", u.Quantity(live_time, u.s).value, above=0))
    each = float(check_real("run_time", u.Quantity(run_time, u.s).value, above=0))
    check_real("background_scale", background_scale, at_least=0)
    if len(pointings) == 0:
        raise invalid("pointings", "at least one position", "none", "plan_wobble makes some.")
    unknown = [name for name in features if name not in FEATURES]
    if unknown:
        raise invalid("features", f"among {list(FEATURES)}", repr(unknown[0]))
    n_runs = max(1, round(total / each))
    generator = np.random.default_rng(rng)
    samplers: dict[int, FieldSampler] = {}
    for number in range(n_runs):
        turn = number % len(pointings)
        pointing = pointings[turn]
        if turn not in samplers:
            samplers[turn] = make_sampler(library, sources, pointing, background_scale)
        run = samplers[turn].draw(total / n_runs, generator)
        yield _make_observation(
            number + 1, pointing, total / n_runs, library, run, features, target, generator
        )


def simulate_observations(sources: Sequence[Source], **options: Any) -> list[Observation]:
    """Simulate runs on a field with sources, with the events that a reader would return.

    Background events are drawn from a library with Poisson weights, get a random azimuth about the
    pointing, and are spread by 0.2 deg: given the library the field is exactly Poisson and
    symmetric about each pointing, so that reflected regions and rings are right although showers
    repeat. What repeats cost is the precision of the expected background: it is that of the
    library.

    Parameters
    ----------
    sources : sequence of Source
        May be empty.
    pointings : sequence of SkyCoord
        Runs take turns; see `plan_wobble`.
    live_time, run_time : Quantity or float in s
        Of the whole field, and of one run.
    library : ShowerLibrary, optional
        Default: `read_library`. To quote a significance use a half that nothing was trained or
        chosen on: `ShowerLibrary.split`.
    background_scale : float
        Factor on the rate of the background.
    features : sequence of str
        Columns of the library to add to the events; `FEATURES` by default, () for none.
    target : str
        Name of the object.
    rng : Generator, int or None
        Source of randomness.

    Returns
    -------
    list of Observation
        Events have ``event_id``, ``time``, ``reco_ra``, ``reco_dec`` (learned, see
        `train_direction`), ``standard_ra``, ``standard_dec`` (standard reconstruction),
        ``reco_energy``, ``library_row``, ``is_gamma``, ``source`` (-1 for background) and the
        features.

    Raises
    ------
    ValueError
        For options out of range or features that the library does not have.

    Examples
    --------
    >>> center = SkyCoord(201.365, -43.019, unit="deg")
    >>> runs = simulate_observations([Source("faint", center, 2e-13, 2.7)],
    ...     pointings=plan_wobble(center), live_time=2 * u.h, rng=1)
    >>> print(len(runs), runs[0].live_time.to("min"))
    4 30.0 min
    """
    return list(iter_observations(sources, **options))


def make_sampler(
    library: ShowerLibrary,
    sources: Sequence[Source],
    pointing: SkyCoord,
    background_scale: float = 1.0,
) -> FieldSampler:
    """Sampler of runs at a pointing."""
    offset = [pointing.separation(source.position).deg for source in sources]
    angle = [pointing.position_angle(source.position).rad for source in sources]
    return FieldSampler(
        library, np.array(offset), np.array(angle), tuple(sources), float(background_scale)
    )


def find_positions(pointing: SkyCoord, lon: np.ndarray, lat: np.ndarray) -> SkyCoord:
    """Places on the sky that lie ``lon`` and ``lat`` deg from a pointing."""
    separation = np.hypot(lon, lat) * u.deg
    return pointing.directional_offset_by(np.arctan2(lon, lat) * u.rad, separation)


def _make_observation(
    number: int,
    pointing: SkyCoord,
    live_time: float,
    library: ShowerLibrary,
    run: DrawnRun,
    features: Sequence[str],
    target: str,
    rng: np.random.Generator,
) -> Observation:
    """Turn a drawn run into the run that a reader would return, in order of time."""
    start = Time(START + number * 0.021, format="mjd", scale="tt")
    seconds = np.sort(rng.uniform(0, live_time, len(run.row)))
    order = rng.permutation(len(run.row))
    is_gamma = (np.arange(len(run.row)) < run.n_gammas)[order]
    row = run.row[order]
    source = np.concatenate([run.source, np.full(len(run.row) - run.n_gammas, -1)])

    def look_up(name: str) -> np.ndarray:
        values = np.empty(len(row), dtype=np.float32)
        values[is_gamma] = library.gammas[name][row[is_gamma]]
        values[~is_gamma] = library.background[name][row[~is_gamma]]
        return values

    events = QTable()
    events["event_id"] = np.arange(len(row))
    events["time"] = start + seconds * u.s
    for kind in ("reco", "standard"):
        lon, lat = (values[order] for values in run.get_directions(kind))
        position = find_positions(pointing, lon, lat)
        events[f"{kind}_ra"], events[f"{kind}_dec"] = position.ra, position.dec
    events["reco_energy"] = look_up("reco_energy") * u.TeV
    events["library_row"], events["is_gamma"], events["source"] = row, is_gamma, source[order]
    for name in (*features, *(f"standard_{name}" for name in STANDARD)):
        if name != "reco_energy":
            events[name] = look_up(name)
    events.meta = {"format": "simulation", "source": f"simulated run {number}"}
    stop = start + live_time * u.s
    return Observation(
        obs_id=number,
        pointing=pointing,
        live_time=live_time * u.s,
        zenith=library.settings["zenith"] * u.deg,
        muon_efficiency=float("nan"),
        target=target,
        events=events,
        gti=QTable({"start": start[None], "stop": stop[None]}),
        path=None,
        files=RunFiles(number, {}),
    )


def take_standard(events: QTable) -> QTable:
    """Simulated events as the standard reconstruction sees them.

    Parameters
    ----------
    events : `~astropy.table.QTable`
        Of a simulated run, see `simulate_observations`.

    Returns
    -------
    `~astropy.table.QTable`
        Those that it reconstructs: intersected axes of images within 2 deg of the camera's centre
        for the direction, ``mean_scaled_width``, ``mean_scaled_length`` and ``intensity_min`` of
        these images. ``meta`` has ``n_not_standard``, the events that are left out.

    Raises
    ------
    ValueError
        For events without the columns of the standard reconstruction.

    Examples
    --------
    >>> center = SkyCoord(201.365, -43.019, unit="deg")
    >>> run, = simulate_observations([], pointings=[center], live_time=600 * u.s, rng=1)
    >>> len(take_standard(run.events)) < len(run.events)
    True
    """
    names = ["standard_ra", "standard_dec", *(f"standard_{name}" for name in STANDARD)]
    check_columns(events.colnames, names, where=str(events.meta.get("source", "events")))
    known = np.isfinite(np.asarray(events["standard_mean_scaled_width"]))
    taken = events[known]
    taken["reco_ra"], taken["reco_dec"] = taken["standard_ra"], taken["standard_dec"]
    for name in STANDARD:
        taken[name] = taken[f"standard_{name}"]
    taken.meta = {**events.meta, "n_not_standard": int((~known).sum())}
    return taken
