"""From a particle and a number of showers to the table of images that a reader would return."""

from __future__ import annotations

import inspect
import json
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack
from tqdm import tqdm

from ..._validation import check_choice, check_columns, check_real, invalid
from ..cameras import CameraGeometry
from ..images import RaggedImages, build_image_table, clean_and_measure
from . import _chunks
from ._equipment import make_array, make_camera, prepare_air, prepare_optics, reserve_output
from ._physics import EFFICIENCY, MIRROR_AREA, NOISE_VARIANCE
from ._thrown import ThrownShowers, draw_energies, find_background_rate

__all__ = ["ThrownShowers", "find_background_rate", "iter_showers", "simulate_showers"]

# Codes of the primary as in CORSIKA but for the gamma, which is 0 as in ctapipe.
PARTICLES = {"gamma": 0, "electron": 1, "muon": 5, "proton": 101, "helium": 402}
# Energies in GeV, index of the spectrum, uses of a shower: what a trigger can see, and no more.
_DEFAULTS = {
    "gamma": (50.0, 1e5, 2.6, 1),
    "electron": (50.0, 1e5, 3.1, 1),
    "muon": (5.0, 1e3, 2.7, 1),
    "proton": (200.0, 1e5, 2.7, 10),
    "helium": (400.0, 2e5, 2.7, 10),
}
_DARK = 8.0  # p.e. that never make an image
_TRIGGER_CHARGE, _TRIGGER_PIXELS = 5.0, 3  # p.e.; pixels with more that trigger a camera
_FULL_CONE = 3.2  # deg: beyond it nothing reaches the camera
CHUNK = {"gamma": 20_000, "electron": 20_000, "muon": 20_000, "proton": 4000, "helium": 4000}


def simulate_showers(
    particle: str = "gamma",
    *,
    n_showers: int,
    energy_min: Any = None,
    energy_max: Any = None,
    index: float | None = None,
    zenith: Any = 20 * u.deg,
    offset: Any = None,
    view_cone: Any = None,
    n_uses: int | None = None,
    telescopes: QTable | None = None,
    camera: CameraGeometry | None = None,
    efficiency: float = EFFICIENCY,
    picture_threshold: float = 10.0,
    boundary_threshold: float = 5.0,
    min_telescopes: int = 2,
    min_light: float = 40.0,
    max_cog: float = 3.5,
    min_charge: float = 0.0,
    images: bool = False,
    folder: str | os.PathLike[str] | None = None,
    n_workers: int = 1,
    rng: np.random.Generator | int | None = None,
    progress: bool = True,
) -> QTable:
    """Simulate air showers and the images that Cherenkov telescopes take of them.

    A toy, and a fast one: a cascade in one dimension with the angles and lateral spread that
    Hillas (1982) gives to its electrons, hadrons by a simple cascade model whose parameters are
    frozen (`list_physics`). No feature of any particle is drawn by hand: what tells gammas from
    protons is what their cascades do. It lacks nuclei beyond helium, fragmentation, the
    geomagnetic field, gradients of the night sky, dead pixels, arrival times and mispointing, and
    has not been validated against CORSIKA.

    Parameters
    ----------
    particle : {"gamma", "electron", "muon", "proton", "helium"}
        Primary.
    n_showers : int
        Showers to follow; each is thrown at the array ``n_uses`` times.
    energy_min, energy_max : Quantity or float in TeV, optional
        Range of energies; of the whole nucleus for helium.
    index : float, optional
        Spectrum E^-index, default 2.6 for gammas, 3.1 for electrons, 2.7 for nuclei.
    zenith : Quantity or float in deg
        Of the pointing.
    offset : Quantity or float in deg, optional
        From the pointing to the source, along x; default 0.5 for gammas without ``view_cone``.
    view_cone : Quantity or float in deg, optional
        Radius of the disc that directions are drawn from; default 0 for gammas, 3.2 for others.
    n_uses : int, optional
        Default 10 for nuclei, 1 for others.
    telescopes : QTable, optional
        ``tel_id``, ``x``, ``y`` on the ground; optional ``mirror_area`` (m2). Default: H.E.S.S. I.
    camera : CameraGeometry, optional
        Angular, the same for all telescopes. Default: 960 pixels of 0.16 degree.
    efficiency : float
        Photo-electrons per photon between 300 and 600 nm.
    picture_threshold, boundary_threshold : float
        Of the cleaning, in p.e.
    min_telescopes : int
        Cameras with 3 pixels above 5 p.e. that trigger the array.
    min_light : float
        Events are drawn where the shower's mean light is more than this in ``min_telescopes``
        cameras [p.e.]. Below the size that is asked for later, it loses nothing.
    max_cog : float
        Likewise, how far that light may be from the centre of the camera [deg].
    min_charge : float
        Charge [p.e.] in the pixels above 5 p.e. that a camera that triggers must have. Events
        without are not finished, which is what makes a preselected library fast.
    images : bool
        Add the charges of all pixels, noise included, in a column ``image``.
    folder : path-like, optional
        Keep each finished chunk here and take up from there after an interruption.
    n_workers : int
        Processes; the showers do not depend on it.
    rng : Generator, int or None
        Source of randomness. Each shower has a stream of its own.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    `~astropy.table.QTable`
        One row per image with light after cleaning, as `extract_hillas` gives it, with
        ``obs_id``, ``event_id``, ``tel_id``, ``shower_id`` and the truth. ``meta["thrown"]`` says
        how showers were thrown (`ThrownShowers`), ``meta["telescopes"]`` where the array is.

    Raises
    ------
    ValueError
        For an unknown particle, or options out of range.

    Examples
    --------
    >>> table = simulate_showers("gamma", n_showers=50, rng=1, progress=False)  # doctest: +SKIP
    >>> float(table["hillas_width"].to_value("deg").mean()) < 0.2  # doctest: +SKIP
    True
    """
    chunks = iter_showers(**locals())
    tables = list(chunks)
    meta = tables[0].meta
    meta["n_triggered"] = sum(table.meta["n_triggered"] for table in tables)
    table = vstack(tables, metadata_conflicts="silent")
    table.meta = meta
    return table


def iter_showers(particle: str = "gamma", *, n_showers: int, **options: Any) -> Iterator[QTable]:
    """Simulate like `simulate_showers`, chunk by chunk in bounded memory; same arguments.

    Yields
    ------
    `~astropy.table.QTable`
        The images of one chunk of showers.
    """
    unknown = sorted(set(options) - set(inspect.signature(simulate_showers).parameters))
    if unknown:
        raise TypeError(f"iter_showers has no option {unknown[0]!r}; see simulate_showers.")
    job, todo = _plan(particle, n_showers, **options)
    folder, progress = options.get("folder"), options.get("progress", True)
    n_workers = _read_count("n_workers", options.get("n_workers", 1))
    store = None if folder is None else _chunks.ChunkStore(Path(folder), job.describe())
    return _run(job, todo, store, n_workers, progress)


def _run(
    job: _Job, todo: list[tuple[int, int]], store: Any, n_workers: int, progress: bool
) -> Iterator[QTable]:
    """Chunks in order, by one process or several."""
    particle, n_showers = job.thrown.particle, job.thrown.n_showers
    with tqdm(
        total=n_showers, desc=particle, unit=" showers", disable=None if progress else True
    ) as bar:
        if n_workers == 1:
            for start, stop in todo:
                yield _finish(job, start, stop, store)
                bar.update(stop - start)
            return
        with ProcessPoolExecutor(n_workers) as pool:
            # one finished chunk ahead per worker: results wait in order, memory stays bounded
            waiting: list[Any] = []
            for start, stop in todo:
                waiting.append((stop - start, pool.submit(_finish, job, start, stop, store)))
                if len(waiting) > 2 * n_workers:
                    size, future = waiting.pop(0)
                    yield future.result()
                    bar.update(size)
            for size, future in waiting:
                yield future.result()
                bar.update(size)


@dataclass(frozen=True)
class _Job:
    """What every chunk needs to know."""

    thrown: ThrownShowers
    tel_id: tuple[int, ...]
    positions: tuple[tuple[float, float], ...]
    mirror_areas: tuple[float, ...]
    camera: CameraGeometry
    thresholds: tuple[float, ...]
    min_telescopes: int
    min_light: float
    max_cog: float
    min_charge: float
    images: bool

    def describe(self) -> dict[str, Any]:
        """Everything that the images depend on, ready for JSON."""
        camera = np.stack([self.camera.pixel_x.value, self.camera.pixel_y.value])
        array = json.dumps([self.tel_id, self.positions, self.mirror_areas])
        return asdict(self.thrown) | {
            "telescopes": f"{len(self.tel_id)}, {zlib.crc32(array.encode()):08x}",
            "camera": f"{self.camera.name}, {zlib.crc32(camera.tobytes()):08x}",
            "thresholds": list(self.thresholds),
            "min_telescopes": self.min_telescopes,
            "min_light": self.min_light,
            "max_cog": self.max_cog,
            "min_charge": self.min_charge,
            "images": self.images,
        }


def _plan(particle: str, n_showers: int, **options: Any) -> tuple[_Job, list[tuple[int, int]]]:
    """Check the arguments once; ranges of showers to follow."""
    check_choice("particle", particle, PARTICLES)
    n_showers = _read_count("n_showers", n_showers)
    low, high, index, n_uses = _DEFAULTS[particle]
    given = {key: value for key, value in options.items() if value is not None}
    point = particle == "gamma" and "view_cone" not in given
    cone = _read("view_cone", given.get("view_cone", 0.0 if point else _FULL_CONE), u.deg)
    offset = _read("offset", given.get("offset", 0.5 if point else 0.0), u.deg)
    thrown = ThrownShowers(
        particle=particle,
        n_showers=n_showers,
        n_uses=_read_count("n_uses", given.get("n_uses", n_uses)),
        energy_min=_read("energy_min", given.get("energy_min", low / 1e3), u.TeV),
        energy_max=_read("energy_max", given.get("energy_max", high / 1e3), u.TeV),
        index=float(check_real("index", given.get("index", index))),
        zenith=_read("zenith", given.get("zenith", 20.0), u.deg),
        offset=float(check_real("offset", offset, at_least=0)),
        view_cone=float(check_real("view_cone", cone, at_least=0)),
        efficiency=float(check_real("efficiency", given.get("efficiency", EFFICIENCY), above=0)),
        seed=int(np.random.default_rng(given.get("rng")).integers(2**62)),
    )
    if not 0 < thrown.energy_min < thrown.energy_max:
        raise invalid("energy_min", f"> 0 and below energy_max {thrown.energy_max} TeV",
                      thrown.energy_min)  # fmt: skip
    if not 0 <= thrown.zenith <= 60:
        raise invalid("zenith", "between 0 and 60 deg", thrown.zenith)
    telescopes = given.get("telescopes", make_array())
    check_columns(telescopes.colnames, ["tel_id", "x", "y"], where="telescopes")
    n_telescopes = len(telescopes)
    if n_telescopes == 0:
        raise invalid("telescopes", "a table with at least one row", "none")
    areas = np.full(n_telescopes, MIRROR_AREA)
    if "mirror_area" in telescopes.colnames:
        areas = u.Quantity(telescopes["mirror_area"], u.m**2).value
        check_real("mirror_area", areas, above=0)
    min_telescopes = _read_count("min_telescopes", given.get("min_telescopes", 2))
    if min_telescopes > n_telescopes:
        rule = f"at most the {n_telescopes} telescopes there are"
        raise invalid("min_telescopes", rule, min_telescopes)
    camera = given.get("camera", make_camera())
    if not isinstance(camera, CameraGeometry):
        raise invalid("camera", "a CameraGeometry", camera, "Use read_camera.")
    if camera.unit != u.deg:
        raise invalid("camera", "in angles", camera.name, "Use camera.to_angular(focal_length).")
    cosine = np.cos(np.radians(thrown.zenith))
    positions = np.column_stack([u.Quantity(telescopes[n], u.m).value for n in "xy"]) * [1, cosine]
    job = _Job(
        thrown,
        tuple(int(number) for number in telescopes["tel_id"]),
        tuple(map(tuple, positions)),
        tuple(areas),
        camera,
        tuple(
            float(check_real(name, given.get(name, usual), above=0))
            for name, usual in (("picture_threshold", 10.0), ("boundary_threshold", 5.0))
        ),
        min_telescopes,
        float(check_real("min_light", given.get("min_light", 40.0), at_least=0)),
        float(check_real("max_cog", given.get("max_cog", 3.5), above=0)),
        float(check_real("min_charge", given.get("min_charge", 0.0), at_least=0)),
        bool(given.get("images", False)),
    )
    size = CHUNK[particle]
    return job, [(k, min(k + size, n_showers)) for k in range(0, n_showers, size)]


def _read(name: str, value: Any, unit: u.UnitBase) -> float:
    """Quantity or plain number to a plain number."""
    try:
        return float(check_real(name, u.Quantity(value, unit).value))
    except (u.UnitConversionError, TypeError) as error:
        raise invalid(name, f"in {unit} or a plain number of {unit}", value) from error


def _read_count(name: str, value: Any) -> int:
    """An integer of at least 1."""
    if check_real(name, value, at_least=1).ndim or int(value) != value:
        raise invalid(name, "an integer >= 1", value)
    return int(value)


def _finish(job: _Job, start: int, stop: int, store: Any) -> QTable:
    """Images of the showers ``start`` to ``stop``, from the folder when they are there."""
    if store is not None:
        kept = store.read(start, stop)
        if kept is not None:
            return kept
    table = _simulate(job, start, stop)
    if store is not None:
        store.write(table, start, stop)
    return table


def _simulate(job: _Job, start: int, stop: int) -> QTable:
    """Images of the showers ``start`` to ``stop``."""
    from ._imaging import Limits, throw_showers
    from ._light import reserve

    thrown, n_telescopes = job.thrown, len(job.tel_id)
    air, shower = prepare_air(thrown.zenith)
    optics = prepare_optics(job.camera, job.positions, job.mirror_areas, thrown.efficiency)
    camera = reserve(n_telescopes, job.camera.n_pixels)
    rng = np.random.default_rng([thrown.seed, start])
    energies = draw_energies(thrown, stop - start, rng) * 1e3
    limits = Limits(
        -1.0 if thrown.particle == "muon" else job.min_light, _DARK, job.max_cog,
        _TRIGGER_CHARGE, _TRIGGER_PIXELS, job.min_charge, job.min_telescopes,
    )  # fmt: skip
    directions = np.array([thrown.offset, 0.0, thrown.view_cone])
    room = thrown.n_uses * n_telescopes
    output = reserve_output(max(50_000, 2 * room), max(4_000_000, 2 * room * job.camera.n_pixels))
    tables, done, n_triggered = [], 0, 0
    while done < len(energies):
        n, n_events, n_images, n_listed = throw_showers(
            thrown.seed, start + done, PARTICLES[thrown.particle], energies[done:],
            thrown.n_uses, limits, directions, air, optics, shower, camera, output,
        )  # fmt: skip
        done += n
        output.image_start[n_images] = n_listed
        tables.append(_tabulate(job, output, n_images, n_listed, rng))
        n_triggered += n_events
    table = vstack(tables, metadata_conflicts="silent") if len(tables) > 1 else tables[0]
    telescopes = {"tel_id": list(job.tel_id), "x": [p[0] for p in job.positions],
                  "y": [p[1] for p in job.positions], "frame": "tilted"}  # fmt: skip
    table.meta = {
        "format": "simulation",
        "source": f"simulated {thrown.particle}",
        "zenith": thrown.zenith,
        "n_triggered": n_triggered,
        "thrown": asdict(thrown),
        "telescopes": telescopes,
    }
    return table


def _tabulate(
    job: _Job, output: Any, n_images: int, n_listed: int, rng: np.random.Generator
) -> QTable:
    """Clean and measure what was drawn; rows without light are left out."""
    pixel, charge = output.pixel[:n_listed], output.charge[:n_listed]
    drawn = RaggedImages(output.image_start[: n_images + 1], pixel, charge)
    picture, boundary = job.thresholds
    rows = clean_and_measure(
        drawn, camera=job.camera, picture_threshold=picture, boundary_threshold=boundary
    )
    seen = np.flatnonzero(rows[:, 0] > 0)
    event = output.event[output.image_event[seen]]
    number, use = event[:, 0].astype(np.int64), event[:, 1].astype(np.int64)
    table = build_image_table(
        rows[seen],
        camera=job.camera,
        obs_id=np.full(len(seen), PARTICLES[job.thrown.particle]),
        event_id=number * job.thrown.n_uses + use,
        tel_id=np.asarray(job.tel_id)[output.image_telescope[seen]],
    )
    table["shower_id"] = number
    table["true_energy"] = event[:, 6] / 1e3 * u.TeV
    table["true_fov_lon"], table["true_fov_lat"] = event[:, 4] * u.deg, event[:, 5] * u.deg
    table["true_core_x"], table["true_core_y"] = event[:, 2] * u.m, event[:, 3] * u.m
    table["true_h_first_int"] = event[:, 7] * u.m
    table["true_shower_primary_id"] = PARTICLES[job.thrown.particle]
    if job.images:
        table["image"] = _fill_images(job, drawn, seen, rng)
    return table


def _fill_images(
    job: _Job, drawn: RaggedImages, seen: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """All pixels; those far from the shower hold noise alone."""
    dense = rng.normal(0, np.sqrt(NOISE_VARIANCE), (len(seen), job.camera.n_pixels))
    dense = dense.astype(np.float32)
    for row, image in enumerate(seen):
        part = slice(drawn.offset[image], drawn.offset[image + 1])
        dense[row, drawn.pixel[part]] = drawn.charge[part]
    return dense
