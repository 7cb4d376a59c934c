"""What stars and nuclei do: magnitudes over time, thousands of objects at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._validation import check_choice, import_extra
from ..transit_shape import scaled_axis, transit_duration, transit_flux
from .surveys import Survey

Truth = dict[str, np.ndarray]
# Amplitude of a pulsation in each band, relative to V.
PULSATION = {"V": 1.0, "g": 1.2, "r": 0.85, "Kp": 0.85, "T": 0.65, "i": 0.7}


@dataclass(frozen=True)
class Steps:
    """Where and in which band the objects of one kind are observed.

    ``time`` counts days from the survey's start; ``row`` is the object of each step.
    """

    time: np.ndarray
    row: np.ndarray
    band: np.ndarray
    bands: tuple[str, ...]
    survey: Survey

    def scale_by(self, table: dict[str, float]) -> np.ndarray:
        """Factor of each step's band; 1 where the table does not know it."""
        return np.array([table.get(band, 1.0) for band in self.bands])[self.band]


@dataclass(frozen=True)
class Kind:
    """How to draw objects of a kind, and their light in magnitudes about the mean."""

    draw: Callable[[int, np.random.Generator, Survey], Truth]
    light: Callable[[Steps, Truth, np.random.Generator], np.ndarray]


def fold(steps: Steps, truth: Truth) -> np.ndarray:
    """Phase in [0, 1) of every step."""
    return ((steps.time - truth["epoch"][steps.row]) / truth["period"][steps.row]) % 1.0


def _draw_epoch(period: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.random(len(period)) * period


def _draw_normal(rng: Any, n: int, centre: Any, width: float, low: float, high: float) -> Any:
    """Draw from a normal between limits, by drawing again what falls outside."""
    values = rng.normal(centre, width, n)
    while np.any(bad := (values < low) | (values > high)):
        values[bad] = rng.normal(np.broadcast_to(centre, n)[bad], width)
    return values


# --- pulsators: a rise, a fall, and how sharp the maximum is ------------------------------------
def make_pulsator(
    period: Callable[[Any, int], np.ndarray],
    amplitude: Callable[[Any, np.ndarray], np.ndarray],
    rise: tuple[float, float],
    sharpness: tuple[float, float],
    wander: float = 0.0,
) -> Kind:
    """Pulsator: half a cosine up in the share ``rise`` of the period, half of one down.

    ``sharpness`` above 1 flattens the minimum, ``wander`` is the scatter of single maxima.
    """

    def draw(n: int, rng: np.random.Generator, survey: Survey) -> Truth:
        days = period(rng, n)
        return {
            "period": days, "epoch": _draw_epoch(days, rng), "amplitude": amplitude(rng, days),
            "rise": rng.uniform(*rise, n), "sharpness": rng.uniform(*sharpness, n),
        }  # fmt: skip

    def light(steps: Steps, truth: Truth, rng: np.random.Generator) -> np.ndarray:
        phase, up = fold(steps, truth), truth["rise"][steps.row]
        # phase 0 is maximum light; the fall comes first
        angle = np.where(
            phase < 1 - up, np.pi * phase / (1 - up), np.pi * (1 + (phase - 1 + up) / up)
        )
        bright = ((1 + np.cos(angle)) / 2) ** truth["sharpness"][steps.row]
        size = truth["amplitude"][steps.row] * steps.scale_by(PULSATION)
        if wander:
            cycle = (steps.time - truth["epoch"][steps.row]) / truth["period"][steps.row]
            number = np.floor(cycle + up).astype(int)
            n_cycles = int(np.ptp(number)) + 1 if len(number) else 1
            draws = rng.normal(1, wander, (len(truth["period"]), n_cycles))
            size = size * draws[steps.row, number - number.min(initial=0)]
        return size * (0.5 - bright)

    return Kind(draw, light)


# --- binaries: discs before discs, and stars that are not round ---------------------------------
def overlap(distance: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Area that two discs share."""
    d = np.maximum(distance, 1e-12)
    small = np.minimum(first, second)
    with np.errstate(invalid="ignore"):
        one = np.arccos(np.clip((d**2 + first**2 - second**2) / (2 * d * first), -1, 1))
        two = np.arccos(np.clip((d**2 + second**2 - first**2) / (2 * d * second), -1, 1))
        square = ((first + second) ** 2 - d**2) * (d**2 - (first - second) ** 2)
    lens = first**2 * one + second**2 * two - 0.5 * np.sqrt(np.maximum(square, 0))
    inside = d <= np.abs(first - second)
    return np.where(d >= first + second, 0, np.where(inside, np.pi * small**2, lens))


def make_binary(
    log_period: tuple[float, float],
    radii: tuple[float, float],
    ratio: tuple[float, float],
    brightness: tuple[float, float],
    distortion: tuple[float, float],
) -> Kind:
    """Eclipsing binary of two uniform spheres, with a cosine of half the period on top.

    ``radii`` is the primary's in units of the separation, ``ratio`` the secondary's over it,
    ``brightness`` the secondary's surface brightness over the primary's, ``distortion`` the
    half-amplitude [mag] of the ellipsoidal variation.
    """

    def draw(n: int, rng: np.random.Generator, survey: Survey) -> Truth:
        days = 10 ** rng.uniform(*log_period, n)
        big, share = rng.uniform(*radii, n), rng.uniform(*ratio, n)
        return {
            "period": days, "epoch": _draw_epoch(days, rng), "radius": big, "radius_ratio": share,
            "brightness": rng.uniform(*brightness, n), "distortion": rng.uniform(*distortion, n),
            "cos_inclination": rng.uniform(0, 0.6, n) * big * (1 + share),
        }  # fmt: skip

    def light(steps: Steps, truth: Truth, rng: np.random.Generator) -> np.ndarray:
        angle = 2 * np.pi * fold(steps, truth)
        of = {name: value[steps.row] for name, value in truth.items()}
        big, small = of["radius"], of["radius"] * of["radius_ratio"]
        away = np.hypot(np.sin(angle), of["cos_inclination"] * np.cos(angle))
        hidden = overlap(away, big, small)
        # at phase 0 the brighter star is behind
        behind = np.where(np.cos(angle) > 0, 1.0, of["brightness"])
        total = np.pi * (big**2 + of["brightness"] * small**2)
        flux = 1 - behind * hidden / total
        return -2.5 * np.log10(flux) + of["distortion"] * np.cos(2 * angle)

    return Kind(draw, light)


def draw_transit(n: int, rng: np.random.Generator, survey: Survey) -> Truth:
    """Planets of 0.5 to 20 d, 1 to 12 % of their stars' radii, before Sun-like stars."""
    days = 10 ** rng.uniform(np.log10(0.5), np.log10(min(20, survey.days / 3)), n)
    ratio, impact = 10 ** rng.uniform(-2, np.log10(0.12), n), rng.uniform(0, 0.9, n)
    density = 10 ** rng.normal(0, 0.15, n)
    impact = np.minimum(impact, 0.95 * scaled_axis(days, density))
    duration = transit_duration(days, radius_ratio=ratio, impact=impact, density=density)
    return {
        "period": days, "epoch": _draw_epoch(days, rng), "radius_ratio": ratio, "impact": impact,
        "density": density, "duration": duration,
    }  # fmt: skip


def light_transit(steps: Steps, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Light of a star with a planet, magnitudes."""
    names = ("period", "epoch", "radius_ratio", "impact", "density")
    of = {name: truth[name][steps.row] for name in names}
    return -2.5 * np.log10(transit_flux(steps.time, exposure=steps.survey.exposure, **of))


# --- what does not come back ----------------------------------------------------------------------
def draw_agn(n: int, rng: np.random.Generator, survey: Survey) -> Truth:
    """Damped random walks with relaxation times about 200 days, as MacLeod et al. (2010) find."""
    return {
        "tau": 10 ** _draw_normal(rng, n, 2.3, 0.4, 1.0, 3.5),
        "scatter": rng.uniform(*survey.agn_scatter, n),
    }


def light_agn(steps: Steps, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Exact damped random walk at any times, eqs. 1-3 of Kelly et al. (2009); one for all bands."""
    n_steps = np.bincount(steps.row, minlength=len(truth["tau"]))
    begin = np.concatenate([[0], np.cumsum(n_steps)[:-1]])
    noise = rng.standard_normal(len(steps.time))
    walk = np.zeros(len(steps.time))
    order = np.argsort(-n_steps, kind="stable")
    longest = n_steps.max(initial=0)
    state = np.zeros(len(n_steps))
    # one step of all objects at a time, those that have it first
    for k in range(longest):
        rows = order[: np.searchsorted(-n_steps[order], -k, side="left")]
        at = begin[rows] + k
        keep = (
            0.0 if k == 0 else np.exp(-(steps.time[at] - steps.time[at - 1]) / truth["tau"][rows])
        )
        state[rows] = keep * state[rows] + np.sqrt(1 - keep**2) * noise[at]
        walk[at] = state[rows]
    return truth["scatter"][steps.row] * walk


def draw_supernova(n: int, rng: np.random.Generator, survey: Survey) -> Truth:
    """Transients whose maximum lies within the survey."""
    return {
        "epoch": rng.uniform(0.05, 0.85, n) * survey.days, "amplitude": np.full(n, np.nan),
        "rise": rng.uniform(2.5, 6, n), "fall": 10 ** rng.uniform(np.log10(18), np.log10(80), n),
    }  # fmt: skip


def light_supernova(steps: Steps, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Rise and fall of Bazin et al. (2009), eq. 1, doi:10.1051/0004-6361/200911847; peak is 0."""
    rise, fall = truth["rise"][steps.row], truth["fall"][steps.row]
    fall = fall * steps.scale_by({"g": 0.8, "r": 1.1})
    since = steps.time - truth["epoch"][steps.row] + rise * np.log(fall / rise - 1)

    def take_log(since: np.ndarray) -> np.ndarray:
        return -since / fall - np.logaddexp(0, -since / rise)

    return -2.5 / np.log(10) * (take_log(since) - take_log(rise * np.log(fall / rise - 1)))


# Bands of sncosmo for ours.
PASSBANDS = {"V": "bessellv", "g": "ztfg", "r": "ztfr", "i": "ztfi", "Kp": "kepler", "T": "tess"}


def make_template_supernova(source: Any) -> Kind:
    """Supernova from a spectral template of sncosmo, each band relative to its own maximum."""
    sncosmo = import_extra("sncosmo", extra="lightcurves")

    def draw(n: int, rng: np.random.Generator, survey: Survey) -> Truth:
        return {
            "epoch": rng.uniform(0.05, 0.85, n) * survey.days, "amplitude": np.full(n, np.nan),
            "redshift": 0.1 * rng.random(n) ** (1 / 3),
        }  # fmt: skip

    def light(steps: Steps, truth: Truth, rng: np.random.Generator) -> np.ndarray:
        change = np.empty(len(steps.time))
        for number, (epoch, redshift) in enumerate(
            zip(truth["epoch"], truth["redshift"], strict=True)
        ):
            model = sncosmo.Model(source)
            model.set(z=redshift, t0=epoch)
            for code, band in enumerate(steps.bands):
                check_choice("band", band, PASSBANDS)
                rows = np.flatnonzero((steps.row == number) & (steps.band == code))
                flux = model.bandflux(PASSBANDS[band], steps.time[rows])
                peak = model.bandflux(PASSBANDS[band], np.arange(epoch - 30, epoch + 60)).max()
                change[rows] = -2.5 * np.log10(np.maximum(flux / peak, 1e-30))
        return change

    return Kind(draw, light)


def light_constant(steps: Steps, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Nothing happens."""
    return np.zeros(len(steps.time))


KINDS: dict[str, Kind] = {
    "agn": Kind(draw_agn, light_agn),
    "cepheid": make_pulsator(
        lambda rng, n: 10 ** rng.uniform(0.4, 1.5, n),
        lambda rng, p: rng.uniform(0.4, 1.1, len(p)), (0.22, 0.4), (0.9, 1.2),
    ),
    "constant": Kind(lambda n, rng, survey: {}, light_constant),
    "contact": make_binary((-0.6, -0.22), (0.38, 0.42), (0.85, 1.0), (0.9, 1.0), (0.08, 0.16)),
    "delta-scuti": make_pulsator(
        lambda rng, n: 10 ** rng.uniform(-1.2, -0.7, n),
        lambda rng, p: rng.uniform(0.1, 0.5, len(p)), (0.35, 0.5), (0.9, 1.2),
    ),
    "detached": make_binary((0.0, 1.2), (0.07, 0.2), (0.6, 1.0), (0.3, 1.0), (0.0, 0.01)),
    "mira": make_pulsator(
        lambda rng, n: 10 ** rng.uniform(2.0, 2.65, n),
        lambda rng, p: rng.uniform(2.0, 5.0, len(p)), (0.38, 0.5), (0.8, 1.2), wander=0.08,
    ),
    "rr-ab": make_pulsator(
        lambda rng, n: _draw_normal(rng, n, 0.56, 0.07, 0.42, 0.85),
        lambda rng, p: _draw_normal(rng, len(p), 0.95 - 2.0 * (p - 0.56), 0.15, 0.2, 1.5),
        (0.12, 0.2), (1.2, 1.8),
    ),
    "rr-c": make_pulsator(
        lambda rng, n: _draw_normal(rng, n, 0.32, 0.04, 0.2, 0.43),
        lambda rng, p: rng.uniform(0.3, 0.55, len(p)), (0.38, 0.46), (0.9, 1.1),
    ),
    "semi-detached": make_binary((-0.1, 0.8), (0.2, 0.3), (0.9, 1.3), (0.08, 0.35), (0.02, 0.06)),
    "supernova": Kind(draw_supernova, light_supernova),
    "transit": Kind(draw_transit, light_transit),
}  # fmt: skip
# Mean colour, in units that the survey's `colours` turn into magnitudes.
COLOURS = {
    "agn": 0.4, "cepheid": 1.0, "constant": 1.0, "contact": 1.0, "delta-scuti": 0.4,
    "detached": 0.8, "mira": 3.0, "rr-ab": 0.45, "rr-c": 0.35, "semi-detached": 0.7,
    "supernova": 0.2, "transit": 1.0,
}  # fmt: skip
