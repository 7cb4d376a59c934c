"""When a survey looks and how well it sees: seasons, nights, weather, downlinks, errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..curves import LightCurves

YEAR = 365.25
FAINTEST = 99.0  # before and long after a supernova there is nothing, which has no magnitude


@dataclass(frozen=True)
class Survey:
    """One survey's habits; figures are typical, not a model of any one field.

    Attributes
    ----------
    bands : tuple of str
    start, days : float
        First day, in ``time_format``, and how long it lasts.
    time_format, time_scale, unit : str
        As in `LightCurves`; "" is flux relative to its mean.
    interval : float
        Days between visits in one band; nights between them from the ground.
    ground : bool
        Seasons, nights and weather.
    season : float
        Share of the year in which a field is up.
    clear : float
        Share of clear nights; they come in runs.
    midnight : float
        Fraction of the day at which nights are centred.
    gap : (float, float)
        From space: days between downlinks and how long one takes.
    magnitudes : (float, float)
        Range of mean magnitudes.
    floor, at, error : float
        Error that never vanishes, and ``error`` at magnitude ``at``, which grows by a factor of
        ``10^(slope dm)``.
    slope : float
        0.4 where the sky dominates, 0.2 where the star does.
    limit : float
        Magnitude beyond which nothing is detected.
    exposure : float
        Days a point averages over.
    colours : mapping of str to float
        Zero point of each band for a star of colour 1.
    agn_scatter : (float, float)
        Range of the damped random walk's standard deviation [mag].
    """

    bands: tuple[str, ...]
    start: float
    days: float
    time_format: str
    time_scale: str
    unit: str
    interval: float
    magnitudes: tuple[float, float]
    floor: float
    at: float
    error: float
    ground: bool = False
    season: float = 0.6
    clear: float = 0.7
    midnight: float = 0.0
    gap: tuple[float, float] = (np.inf, 0.0)
    slope: float = 0.4
    limit: float = np.inf
    exposure: float = 0.0
    colours: Mapping[str, float] = field(default_factory=dict)
    agn_scatter: tuple[float, float] = (0.08, 0.3)

    def predict_error(self, magnitude: np.ndarray) -> np.ndarray:
        """Standard deviation of one point at a magnitude; relative to the mean if in flux."""
        above = np.minimum(magnitude, FAINTEST) - self.at
        return np.hypot(self.floor, self.error * 10 ** (self.slope * above))


SURVEYS: dict[str, Survey] = {
    "asas": Survey(
        ("V",), 51_900.0, 3300.0, "mjd", "utc", "mag", 5.0, (8.5, 13.0), 0.03, 14.0, 0.13,
        ground=True, season=0.62, midnight=0.2, limit=15.0,
    ),
    "ztf": Survey(
        ("g", "r"), 58_200.0, 1100.0, "mjd", "utc", "mag", 3.0, (14.5, 19.5), 0.012, 20.6, 0.2,
        ground=True, season=0.6, midnight=0.33, limit=20.8, colours={"g": 0.5, "r": -0.1},
    ),
    "kepler": Survey(
        ("Kp",), 260.0, 90.0, "bkjd", "tdb", "", 0.020_434, (11.0, 15.0), 2e-5, 13.8, 2.0e-4,
        gap=(30.0, 1.0), slope=0.2, exposure=0.020_434,
    ),
    "tess": Survey(
        ("T",), 1325.3, 27.4, "btjd", "tdb", "", 600 / 86_400, (8.0, 12.0), 6e-5, 10.0, 4.9e-4,
        gap=(13.7, 1.0), slope=0.25, exposure=600 / 86_400,
    ),
    "fermi": Survey(
        ("gamma",), 54_683.0, 5700.0, "mjd", "utc", "1 / (cm2 s)", 7.0, (14.2, 16.2), 0.08, 15.0,
        0.12, slope=0.2, agn_scatter=(0.4, 1.2),
    ),
}  # fmt: skip


def draw_times(
    survey: Survey, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return time, band code and the number of steps of each of ``n`` objects, in time order."""
    draw = _draw_nights if survey.ground else _draw_cadence
    row, time, band = draw(survey, n, rng)
    order = np.lexsort((time, row))
    return time[order], band[order], np.bincount(row, minlength=n)


def _draw_nights(
    survey: Survey, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    nights = np.arange(int(survey.days))
    # clear and cloudy spells last three nights and what the share asks for
    change = rng.random(len(nights))
    clear = np.empty(len(nights), dtype=bool)
    state = True
    for i, chance in enumerate(change):
        leave = (1 - survey.clear) / survey.clear / 3 if state else 1 / 3
        state = state != (chance < leave)
        clear[i] = state
    middle = rng.uniform(0, YEAR, n)
    away = (nights - middle[:, None] + YEAR / 2) % YEAR - YEAR / 2
    up = (np.abs(away) < survey.season * YEAR / 2) & clear
    rows, times, bands = [], [], []
    for code in range(len(survey.bands)):
        row, night = np.nonzero(up & (rng.random(up.shape) < 1 / survey.interval))
        # the field culminates four minutes earlier each night, and is taken on the dark side
        hour = -0.5 * away[row, night] / YEAR + rng.normal(0, 0.03, len(row))
        hour = np.clip(hour, -0.25, 0.25)
        rows.append(row)
        times.append(np.floor(survey.start) + night + survey.midnight + hour)
        bands.append(np.full(len(row), code))
    return np.concatenate(rows), np.concatenate(times), np.concatenate(bands)


def _draw_cadence(
    survey: Survey, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    time = np.arange(0, survey.days, survey.interval)
    every, lasts = survey.gap
    if np.isfinite(every):
        time = time[(time % every) < every - lasts]
    kept = rng.random((n, len(time))) > 0.01
    row, step = np.nonzero(kept)
    return row, survey.start + time[step], np.zeros(len(row), dtype=int)


def copy_times(
    curves: LightCurves, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return time, band code, error and number of steps of curves drawn with replacement."""
    some = curves.select(rng.integers(len(curves), size=n))
    used = ~some.mask
    row = np.repeat(np.arange(n), some.n_steps)[used]
    band = np.zeros(len(row), dtype=int) if some.band is None else some.band[used].astype(int)
    error = np.full(len(row), np.nan) if some.error is None else some.error[used]
    return some.time[used], band, error, np.bincount(row, minlength=n)
