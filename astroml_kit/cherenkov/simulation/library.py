"""Simulated showers, preselected and small enough to ship: what fields are made of."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack

from ..._registry import find_catalogs
from ..._validation import check_real, check_same_length
from .._schema import damage_is_one_error
from ..learned import DirectionRegressor, train_direction
from ..scaling import ScalingTables
from ..stereo import reconstruct_stereo
from ._physics import FLUXES
from .showers import ThrownShowers, iter_showers, simulate_showers

# Offsets of gammas from the pointing [deg], and what an event is described by.
OFFSETS = (0.0, 0.25, 0.5, 0.7, 1.0, 1.3, 1.6, 1.95, 2.25, 2.6)
FEATURES = (
    "mean_scaled_width", "mean_scaled_length", "mean_scaled_width_off", "mean_scaled_length_off",
    "reco_h_max", "energy_spread", "reco_energy", "reco_energy_error", "intensity_mean",
    "intensity_min", "intensity_max", "scaled_width_std", "scaled_length_std",
    "scaled_width_off_std", "scaled_length_off_std", "concentration_cog_mean",
    "concentration_core_mean", "concentration_pixel_mean", "n_images", "impact_mean",
    "impact_min", "impact_max", "reco_offset", "reco_direction_error", "reco_core_error",
    "reco_h_max_error", "hillas_kurtosis_mean", "axis_angle", "leakage_intensity_width_2_mean",
    "morphology_n_islands_mean",
)  # fmt: skip
BACKGROUND = ("proton", "helium", "electron")
ZENITH = 20.0
MOST_WIDTH, MOST_LENGTH, MOST_OFFSET = 1.5, 3.0, 2.9
# Images count out to here [deg]. The standard reconstruction stops at 2 (Aharonian et al. 2006),
# which costs a source at 2 deg half of its gammas; to one within 1 deg it makes no difference.
MOST_COG, STANDARD_COG = 2.35, 2.0
# What the standard reconstruction says of an event.
STANDARD = ("mean_scaled_width", "mean_scaled_length", "intensity_min")
FILE = "shower_library.npz"
_STEP = 1e-3  # deg, in which directions are kept
# What makes preselected showers fast and loses none of them; see `simulate_showers`.
_PRESELECTION = {"min_light": 80.0, "max_cog": 2.8, "min_charge": 75.0}
N_SHOWERS = {"proton": 1_500_000, "helium": 450_000, "electron": 300_000, "gamma": 40_000}
N_ON_SOURCE = 100_000  # gammas at 0.7 deg, where the built-in source is
N_DIFFUSE = 150_000  # gammas from everywhere, for look-up tables and the direction


@dataclass(frozen=True, eq=False)
class ShowerLibrary:
    """Preselected gammas and background events, each with the rate that it stands for.

    Parameters
    ----------
    gammas, background : mapping of str to ndarray
        The `FEATURES`, ``shower_id``; gammas also ``true_energy`` [TeV], ``set`` (number of the
        offset in ``thrown``), ``dx``, ``dy`` (learned less true direction [deg], away from the
        pointing and perpendicular to that) and ``standard_dx``, ``standard_dy`` (the same of the
        standard reconstruction); background ``kind`` (0 proton, 1 helium, 2 electron), ``offset``
        of the learned direction [deg], ``standard_x``, ``standard_y`` (the standard one [deg],
        along the learned one and perpendicular to it) and ``rate`` [1/s]. Both have ``standard_``
        and each of `STANDARD`; where there is no standard reconstruction these are NaN and its
        directions 32 deg away.
    thrown : mapping of str to tuple of ThrownShowers
        Particle -> how its showers were thrown; of gammas one for each offset.
    settings : mapping
        Loose cuts, versions and seeds.
    """

    gammas: Mapping[str, np.ndarray]
    background: Mapping[str, np.ndarray]
    thrown: Mapping[str, tuple[ThrownShowers, ...]]
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        n = np.bincount(self.background["kind"], minlength=3)
        return (
            f"{len(self.gammas['set'])} gammas, {n[0]} protons, {n[1]} helium nuclei, "
            f"{n[2]} electrons at zenith {self.settings['zenith']:g} deg"
        )

    def split(self) -> tuple[ShowerLibrary, ShowerLibrary]:
        """Split by shower: one half to train and choose with, one to make fields of.

        Look-up tables and the direction were learned from other gammas and, for what background
        looks like, from protons of the first half. Rates are those of the whole: each half stands
        for all of it.
        """
        return self._take(0), self._take(1)

    def _take(self, half: int) -> ShowerLibrary:
        halves = []
        for events in (self.gammas, self.background):
            keep = events["shower_id"] % 2 == half
            part = {name: values[keep] for name, values in events.items()}
            if "rate" in part:
                part["rate"] = 2 * part["rate"]
            halves.append(part)
        gammas, background = halves
        settings = {**self.settings, "share": 0.5}
        return ShowerLibrary(gammas, background, self.thrown, settings)

    def stack_features(self, events: Mapping[str, np.ndarray], names: Any = FEATURES) -> np.ndarray:
        """Features of gammas or background as a matrix."""
        return np.column_stack([events[name] for name in names])

    def find_gamma_rates(self, *, norm: float, index: float) -> np.ndarray:
        """Rate [1/s] of each gamma if a point source at the offset of its set shone.

        Parameters
        ----------
        norm : float
            Flux at 1 TeV, /(cm2 s TeV).
        index : float
            dN/dE = norm (E / TeV)^-index.
        """
        rate = np.zeros(len(self.gammas["set"]))
        for number, thrown in enumerate(self.thrown["gamma"]):
            rows = self.gammas["set"] == number
            energy = self.gammas["true_energy"][rows]
            rate[rows] = thrown.find_rate(energy, norm=norm * 1e4, index=index)
        return rate / self.settings.get("share", 1.0)


def make_library(
    path: str | os.PathLike[str],
    *,
    seed: int = 20,
    scale: float = 1.0,
    folder: str | os.PathLike[str] | None = None,
    n_workers: int = 1,
    progress: bool = True,
) -> ShowerLibrary:
    """Simulate, reconstruct and preselect showers, and write what fields are made of.

    The file that comes with the package was made by
    ``python -m astroml_kit.cherenkov.simulation.library OUTPUT``.

    Parameters
    ----------
    path : path-like
        File to write.
    seed : int
        Of all random numbers.
    scale : float
        Number of showers relative to the library that comes with the package.
    folder : path-like, optional
        Keep finished chunks here, and go on from there after an interruption.
    n_workers : int
        Processes; the library does not depend on it.
    progress : bool
        Show progress bars on standard error.

    Returns
    -------
    ShowerLibrary
    """
    check_real("scale", scale, above=0)
    options = {"zenith": ZENITH, "n_workers": n_workers, "progress": progress, **_PRESELECTION}

    def plan(particle: str, number: int, n_showers: int, **more: Any) -> dict[str, Any]:
        # one seed for each simulation, so that more of one leaves the others as they are
        rng = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        name = f"{particle}_{number}"
        place = None if folder is None else Path(folder) / name
        n = max(1, round(scale * n_showers))
        return {
            "particle": particle,
            "n_showers": n,
            "rng": rng,
            "folder": place,
            **options,
            **more,
        }

    plans = {
        "proton": plan("proton", 70, N_SHOWERS["proton"]),
        "helium": plan("helium", 60, N_SHOWERS["helium"]),
        "electron": plan("electron", 50, N_SHOWERS["electron"], energy_min=0.1),
    }
    diffuse = simulate_showers(
        **plan("gamma", 90, N_DIFFUSE, view_cone=MOST_OFFSET, energy_min=0.08, index=2.4)
    )
    reconstruct = Reconstruction.learn(diffuse, _take_first_half(plans["proton"]))
    kept: dict[str, QTable] = {}
    thrown: dict[str, tuple[ThrownShowers, ...]] = {}
    sets = []
    for number, offset in enumerate(OFFSETS):
        n_showers = N_ON_SOURCE if offset == 0.7 else N_SHOWERS["gamma"]
        images = simulate_showers(
            **plan("gamma", number, n_showers, offset=offset, energy_min=0.08, index=2.4)
        )
        thrown["gamma"] = (*thrown.get("gamma", ()), ThrownShowers(**images.meta["thrown"]))
        events = reconstruct(images)
        events["obs_id"] = number
        sets.append(events)
    kept["gamma"] = vstack(sets, metadata_conflicts="silent")
    for particle in BACKGROUND:
        chunks = []
        for images in iter_showers(**plans[particle]):
            chunks.append(reconstruct(images))
            thrown[particle] = (ThrownShowers(**images.meta["thrown"]),)
        kept[particle] = vstack(chunks, metadata_conflicts="silent")
    settings = {
        "seed": seed,
        "scale": scale,
        "zenith": ZENITH,
        "cuts": {"mean_scaled_width": MOST_WIDTH, "mean_scaled_length": MOST_LENGTH,
                 "offset": MOST_OFFSET, "cog": MOST_COG},
        "tables": str(reconstruct.tables),
    }  # fmt: skip
    _write(Path(path), kept, thrown, settings)
    return read_library(path)


def _read_telescopes(meta: Mapping[str, Any]) -> QTable:
    """Telescopes as the simulation notes them."""
    kept = meta["telescopes"]
    table = QTable({"tel_id": kept["tel_id"], "x": kept["x"] * u.m, "y": kept["y"] * u.m})
    table.meta["frame"] = kept["frame"]
    return table


def _take_first_half(plan: Mapping[str, Any], n_showers: int = 160_000) -> QTable:
    """Images of protons of the first half, enough to fill look-up tables with."""
    tables, n = [], 0
    for images in iter_showers(**plan):
        tables.append(images[images["shower_id"] % 2 == 0])
        n += 4000
        if n >= min(n_showers, plan["n_showers"]):
            break
    table = vstack(tables, metadata_conflicts="silent")
    table.meta = tables[0].meta
    return table


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What turns images into events of the library."""

    telescopes: QTable
    tables: ScalingTables
    direction: DirectionRegressor
    standard_tables: ScalingTables

    @classmethod
    def learn(cls, gammas: QTable, background: QTable) -> Reconstruction:
        """Fill look-up tables and learn the direction from images of diffuse gammas."""
        telescopes = _read_telescopes(gammas.meta)
        tables, standard = (
            ScalingTables.fit(gammas, telescopes=telescopes, background=background, max_cog=cog)
            for cog in (MOST_COG, STANDARD_COG)
        )
        direction = train_direction(gammas, telescopes=telescopes, max_cog=MOST_COG)
        return cls(telescopes, tables, direction, standard)

    def __call__(self, images: QTable) -> QTable:
        """Events that pass the loose cuts, learned or standard."""
        events = reconstruct_stereo(
            images, telescopes=self.telescopes, tables=self.tables, max_cog=MOST_COG
        )
        events = self.direction.predict(events, images, telescopes=self.telescopes)
        standard = reconstruct_stereo(
            images, telescopes=self.telescopes, tables=self.standard_tables, max_cog=STANDARD_COG
        )
        for name in (*STANDARD, "reco_fov_lon", "reco_fov_lat"):
            events[f"standard_{name}"] = standard[name]
        events = events[np.asarray(events["is_valid"]) & np.isfinite(events["reco_energy"])]
        keep = np.zeros(len(events), dtype=bool)
        for prefix in ("", "standard_"):
            keep |= (events[f"{prefix}mean_scaled_width"] < MOST_WIDTH) & (
                events[f"{prefix}mean_scaled_length"] < MOST_LENGTH
            )
        keep &= events["reco_offset"] < MOST_OFFSET * u.deg
        return events[keep]


def _pack(events: QTable) -> dict[str, np.ndarray]:
    """Columns in half precision: three digits are more than these features have."""
    packed = {}
    for name in (*FEATURES, *(f"standard_{name}" for name in STANDARD)):
        values = np.asarray(getattr(events[name], "value", events[name]), dtype=float)
        packed[name] = np.clip(values, -6e4, 6e4).astype(np.float16)
    packed["shower_id"] = np.asarray(events["shower_id"], dtype=np.int32)
    return packed


def _round(angle: np.ndarray) -> np.ndarray:
    """Angles [deg] in steps of 1e-3; the largest for none."""
    steps = np.nan_to_num(np.rint(angle / _STEP), nan=32767.0)
    return np.clip(steps, -32767, 32767).astype(np.int16)


def _write(
    path: Path,
    kept: Mapping[str, QTable],
    thrown: Mapping[str, tuple[ThrownShowers, ...]],
    settings: Mapping[str, Any],
) -> None:
    gammas = kept["gamma"]
    arrays: dict[str, Any] = {f"gammas.{name}": values for name, values in _pack(gammas).items()}
    arrays["gammas.true_energy"] = gammas["true_energy"].to_value(u.TeV).astype(np.float32)
    arrays["gammas.set"] = np.asarray(gammas["obs_id"], dtype=np.uint8)
    for axis, name in (("dx", "fov_lon"), ("dy", "fov_lat")):
        for prefix in ("", "standard_"):
            miss = (gammas[f"{prefix}reco_{name}"] - gammas[f"true_{name}"]).to_value(u.deg)
            arrays[f"gammas.{prefix}{axis}"] = _round(miss)
    background = vstack([kept[name] for name in BACKGROUND], metadata_conflicts="silent")
    arrays |= {f"background.{name}": values for name, values in _pack(background).items()}
    kinds = np.repeat(np.arange(3), [len(kept[name]) for name in BACKGROUND])
    arrays["background.kind"] = kinds.astype(np.uint8)
    learned, standard = (
        background[f"{prefix}reco_fov_lon"].to_value(u.deg)
        + 1j * background[f"{prefix}reco_fov_lat"].to_value(u.deg)
        for prefix in ("", "standard_")
    )
    turned = standard * np.exp(-1j * np.angle(learned))
    arrays["background.offset"] = _round(np.abs(learned))
    arrays["background.standard_x"] = _round(turned.real)
    arrays["background.standard_y"] = _round(turned.imag)
    header = {
        "settings": settings,
        "thrown": {name: [asdict(one) for one in sets] for name, sets in thrown.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez_compressed(file, header=np.array(json.dumps(header)), **arrays)
    os.replace(partial, path)


def read_library(path: str | os.PathLike[str] | None = None) -> ShowerLibrary:
    """Read a library; by default the one that comes with the package.

    Returns
    -------
    ShowerLibrary

    Raises
    ------
    EventFileError
        For a file that is damaged or of another kind; it is a `ValueError`.

    Examples
    --------
    >>> library = read_library()
    >>> len(library.thrown["gamma"])
    10
    """
    return _read_built_in() if path is None else _read(Path(path))


@lru_cache(maxsize=1)
def _read_built_in() -> ShowerLibrary:
    return _read(find_catalogs() / FILE)


def _read(path: Path) -> ShowerLibrary:
    with path.open("rb") as file, damage_is_one_error(path, "shower library"):
        return _unpack(file)


def _unpack(file: BinaryIO) -> ShowerLibrary:
    with np.load(file, allow_pickle=False) as kept:
        header = json.loads(str(kept["header"]))
        parts: dict[str, dict[str, np.ndarray]] = {"gammas": {}, "background": {}}
        for name in kept.files:
            if name != "header":
                part, column = name.split(".")
                values = kept[name]
                parts[part][column] = (
                    values.astype(np.float32) if values.dtype == np.float16 else values
                )
    thrown = {
        name: tuple(ThrownShowers(**one) for one in sets) for name, sets in header["thrown"].items()
    }
    gammas, background = parts["gammas"], parts["background"]
    check_same_length(**gammas)
    check_same_length(**background)
    for name in ("dx", "dy", "standard_dx", "standard_dy"):
        gammas[name] = gammas[name] * _STEP
    for name in ("offset", "standard_x", "standard_y"):
        background[name] = background[name] * _STEP
    rates = []
    for name in BACKGROUND:
        norm, index = FLUXES[name]
        one = thrown[name][0]
        # all events of a kind stand for the same rate: they were thrown with the flux's index
        rates.append(one.find_rate(1.0, norm=norm * 1e3 ** (1 - index), index=index))
    background["rate"] = np.asarray(rates, dtype=float)[background["kind"]]
    return ShowerLibrary(gammas, background, thrown, header["settings"])


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description="Make a library of showers.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--folder", type=Path, help="keep finished chunks here")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    print(
        make_library(
            arguments.output, folder=arguments.folder, n_workers=arguments.workers,
            scale=arguments.scale,
        )
    )  # fmt: skip
