"""Small synthetic event files, and the way to the real ones."""

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

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
