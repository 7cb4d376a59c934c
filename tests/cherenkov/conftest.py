"""Small synthetic event files, and the way to the real ones."""

import os
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable

MET = {"MJDREFI": 51910, "MJDREFF": 0.000742870370370241, "TIMEUNIT": "s", "TIMESYS": "TT",
       "TIMEREF": "local"}  # fmt: skip


@pytest.fixture(scope="session")
def data_folder():
    """Folder of a downloaded data set, or a skip that says how to get one."""

    def find(name):
        root = os.environ.get("ASTROML_KIT_DATA")
        if not root or not (Path(root) / name).is_dir():
            pytest.skip(f"needs {name}: set ASTROML_KIT_DATA to the folder that holds it")
        return Path(root) / name

    return find


@pytest.fixture
def make_hdus():
    """HDUs of a run in the layout of the gamma-astro-data-formats."""

    def make(*, obs_id=7, n_events=50, seed=1, header=(), changes=(), gti=((1e8, 1e8 + 1000.0),)):
        rng = np.random.default_rng(seed)
        columns = {
            "EVENT_ID": (np.arange(n_events, dtype=np.int64) + 2**40, None),
            "TIME": (np.sort(rng.uniform(1e8, 1e8 + 1000, n_events)), "s"),
            "RA": (rng.normal(83.6, 1, n_events).astype("f4"), "deg"),
            "DEC": (rng.normal(22, 1, n_events).astype("f4"), "deg"),
            "ENERGY": (rng.pareto(1.7, n_events).astype("f4") + 0.3, "TeV"),
        } | dict(changes)
        columns = {name: value for name, value in columns.items() if value is not None}
        codes = {"i8": "K", "f8": "D", "f4": "E", "i4": "J"}
        events = fits.BinTableHDU.from_columns(
            [
                fits.Column(name, codes[array.dtype.str[1:]], unit, array=array)
                for name, (array, unit) in columns.items()
            ],
            name="EVENTS",
        )
        cards = MET | {
            "HDUCLASS": "GADF",
            "HDUCLAS1": "EVENTS",
            "OBS_ID": obs_id,
            "OBJECT": "Crab",
            "RA_PNT": 83.63,
            "DEC_PNT": 22.51,
            "ALT_PNT": 50.0,
            "RADECSYS": "ICRS",
            "LIVETIME": 950.0,
            "ONTIME": 1000.0,
            "DEADC": 0.95,
            "MUONEFF": 0.9,
        }
        events.header.update(cards | dict(header))
        times = np.array(gti, dtype=float).reshape(-1, 2)
        intervals = fits.BinTableHDU.from_columns(
            [fits.Column("START", "D", "s", array=times[:, 0]),
             fits.Column("STOP", "D", "s", array=times[:, 1])],
            name="GTI",
        )  # fmt: skip
        intervals.header.update(MET | {"HDUCLASS": "GADF", "HDUCLAS1": "GTI"})
        return fits.HDUList([fits.PrimaryHDU(), events, intervals])

    return make


@pytest.fixture
def write_run(tmp_path, make_hdus):
    """Write a run to a file, gzipped when the name ends so."""

    def write(name="run.fits", **kwargs):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make_hdus(**kwargs).writeto(path, overwrite=True)
        return path

    return write


@pytest.fixture(scope="session")
def square_array():
    """Four telescopes on the corners of a square of 120 m."""
    return QTable({"tel_id": [1, 2, 3, 4], "x": [60.0, 60, -60, -60] * u.m,
                   "y": [60.0, -60, -60, 60] * u.m})  # fmt: skip


@pytest.fixture(scope="session")
def make_images(square_array):
    """Ideal stereo images: made of the formulas alone, with noise on request."""

    def make(n_events, *, seed=1, noise=0.0, offset=0.5, zenith=0.0, widen=1.0):
        rng = np.random.default_rng(seed)
        n_tel = len(square_array)
        event = np.repeat(np.arange(n_events), n_tel)
        x, y = (np.tile(square_array[name].to_value(u.m), n_events) for name in ("x", "y"))
        angle = rng.uniform(0, 2 * np.pi, n_events)
        lon, lat = offset * np.cos(angle), offset * np.sin(angle)
        core_x, core_y = rng.uniform(-150, 150, (2, n_events))
        height = rng.uniform(7e3, 11e3, n_events)
        energy = np.exp(rng.uniform(np.log(0.2), np.log(20), n_events))
        dx, dy = core_x[event] - x, core_y[event] - y * np.cos(np.radians(zenith))
        impact = np.hypot(dx, dy)
        pool = np.where(impact < 120, 1, np.exp(-(impact - 120) / 90))
        size = 1200 * energy[event] * pool * np.exp(0.1 * noise * rng.normal(size=len(event)))
        width = (0.05 + 0.01 * np.log(np.maximum(size, 80) / 80) + 1e-4 * impact) * widen
        shift, turn, *swell = noise * rng.normal(size=(4, len(event)))
        psi = np.arctan2(dy, dx)
        shift *= width / np.sqrt(size)
        columns = {
            "obs_id": np.ones(len(event), dtype=int),
            "event_id": event,
            "tel_id": np.tile(np.asarray(square_array["tel_id"]), n_events),
            "hillas_intensity": size,
            "hillas_x": (lon[event] + np.degrees(dx / height[event]) - np.sin(psi) * shift) * u.deg,
            "hillas_y": (lat[event] + np.degrees(dy / height[event]) + np.cos(psi) * shift) * u.deg,
            "hillas_length": 2 * width * (1 + 0.1 * swell[0]) * u.deg,
            "hillas_width": width * (1 + 0.1 * swell[1]) * u.deg,
            "hillas_psi": (np.degrees(psi + 0.67 * turn / np.sqrt(size)) % 180 - 90) * u.deg,
            "morphology_n_pixels": np.full(len(event), 10),
            "true_energy": energy[event] * u.TeV,
            "true_fov_lon": lon[event] * u.deg,
            "true_fov_lat": lat[event] * u.deg,
            "true_core_x": core_x[event] * u.m,
            "true_core_y": core_y[event] * u.m,
            "true_h_max": height[event] * u.m,
        }
        columns["hillas_psi"] += 90 * u.deg
        return QTable(columns, meta={"zenith": zenith * u.deg})

    return make
