"""What the shape of a folded light curve says in numbers: harmonics, eclipses, other periods."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from ._folding import draw_waves, fit_waves, scale_bands, take_medians
from ._periods.harmonics import measure_dispersion
from .periods import N_TERMS

LEAST = 8  # steps
N_RATIOS = 4  # harmonics compared with the first
N_FLUX = (1, 2, 3, 4, 6)  # harmonics of the light of an orbit
N_BINS = 32
N_GRID = 240  # phases of a drawn curve
SMALLEST = 1e-4  # magnitudes: what is below is nothing


@dataclass(frozen=True)
class Steps:
    """Used steps of one object, fainter upwards, every band with mean 0 and scatter 1.

    ``swing`` is the scatter of the band with the most steps in magnitudes; that of fluxes is
    relative to their median, and NaN where that is not above 0. ``noise`` is the mean error over
    the scatter.
    """

    time: np.ndarray
    value: np.ndarray
    swing: float
    noise: float

    @classmethod
    def gather(
        cls, time: np.ndarray, value: np.ndarray, error: np.ndarray | None, band: np.ndarray,
        *, is_magnitude: bool,
    ) -> Steps:  # fmt: skip
        """Scale bands and turn fluxes upside down."""
        if not len(time):
            return cls(time, value, np.nan, np.nan)
        own = band == np.bincount(band).argmax()
        swing = float(value[own].std())
        noise = np.nan if error is None or not swing else float(error[own].mean() / swing)
        if not is_magnitude:
            middle = float(np.median(value[own]))
            swing = 2.5 / np.log(10) * swing / middle if middle > 0 else np.nan
        scaled = scale_bands(value, band)
        return cls(time - time[0], scaled if is_magnitude else -scaled, swing, noise)

    @property
    def is_enough(self) -> bool:
        """Whether there is anything to fold."""
        return len(self.time) >= LEAST and bool(np.ptp(self.value) > 0)


def measure_fold(steps: Steps, period: float) -> dict[str, float]:
    """Return all of the measures; NaN for too few steps or no period."""
    if not (steps.is_enough and np.isfinite(period)):
        return dict.fromkeys(name_measures(), np.nan)
    return _measure(steps, period)


@cache
def name_measures() -> tuple[str, ...]:
    """Return what `measure_fold` names, from a curve made for it."""
    time = np.arange(40) * 0.37
    value = np.sin(2 * np.pi * time / 1.7)
    steps = Steps.gather(time, value, None, np.zeros(40, dtype=int), is_magnitude=True)
    return tuple(_measure(steps, 1.7))


def _measure(steps: Steps, period: float) -> dict[str, float]:
    most = (len(steps.time) - 1) // 3
    n_terms = int(np.clip(most, 1, N_TERMS))
    coefficient, left = fit_waves(steps.time, steps.value, period, n_terms)
    size = np.hypot(*coefficient)
    row = _compare_harmonics(coefficient, steps.swing)
    # an eclipsing star has two minima per orbit, and its stronger wave there is the second
    is_orbit = n_terms > 1 and size[1] > size[0]
    orbit = period if is_orbit else 2 * period
    row["log_orbit"] = np.log10(orbit)
    coefficient, left_orbit = fit_waves(
        steps.time, steps.value, orbit, int(np.clip(most, 1, 3 * N_TERMS // 2))
    )
    row |= _describe_orbit(coefficient, steps.swing)
    row |= {"left_period": left, "left_orbit": left_orbit}
    row["left_noise"] = np.log10(max(np.sqrt(left_orbit), 1e-6) / steps.noise)
    for name, factor, wanted in (
        ("one", 1, 1), ("two", 1, 2), ("four", 1, 4), ("half", 0.5, 4), ("double", 2, N_TERMS),
        ("triple", 3, N_TERMS),
    ):  # fmt: skip
        row[f"left_{name}"] = fit_waves(
            steps.time, steps.value, factor * period, int(np.clip(most, 1, wanted))
        )[1]
    return row | _measure_scatter(steps, period, coefficient, orbit)


def _compare_harmonics(coefficient: np.ndarray, swing: float) -> dict[str, float]:
    """Amplitudes in magnitudes; ratios to the first, and phases that know no zero of time."""
    complex_ = coefficient[0] - 1j * coefficient[1]  # amplitude and phase of cos(k x - phase)
    size, phase = np.abs(complex_), -np.angle(complex_)
    row: dict[str, float] = {}
    for k in range(1, N_RATIOS + 2):
        known = k <= len(size)
        amplitude = size[k - 1] * swing if known else np.nan
        row[f"log_amplitude_{k}"] = np.log10(amplitude + SMALLEST)
        if k > 1:
            turn = phase[k - 1] - k * phase[0] if known else np.nan
            row[f"ratio_{k}1"] = divide(size[k - 1], size[0]) if known else np.nan
            row[f"cos_{k}1"], row[f"sin_{k}1"] = np.cos(turn), np.sin(turn)
    shape = draw_waves(coefficient, np.arange(1, len(size) + 1), _grid())
    row["fold_amplitude"] = float(np.ptp(shape))
    row["rise"] = float(((np.argmin(shape) - np.argmax(shape)) % N_GRID) / N_GRID)
    return row


def _describe_orbit(coefficient: np.ndarray, swing: float) -> dict[str, float]:
    """Eclipses and what is between them, of harmonics at the period of an orbit."""
    shape = draw_waves(coefficient, np.arange(1, coefficient.shape[1] + 1), _grid())
    shape = np.roll(shape, -int(np.argmax(shape)))
    phase = np.arange(N_GRID) / N_GRID
    floor = np.percentile(shape, 10)
    first = shape[0] - floor
    start, end = int(0.3 * N_GRID), int(0.7 * N_GRID) + 1
    at = start + int(np.argmax(shape[start:end]))
    second = shape[at] - floor
    near = np.minimum(phase, 1 - phase) < 0.25
    between = np.abs(phase % 0.5 - 0.25) < 0.1
    maxima = [shape[(phase > low) & (phase < low + 0.3)].min() for low in (0.1, 0.6)]
    row = {
        "depth_1": first * swing,
        "depth_2": second * swing,
        "depth_ratio": divide(second, first),
        "second_phase": abs(phase[at] - 0.5),
        "width_1": np.mean(shape[near] > floor + 0.5 * first),
        "width_2": np.mean(shape[~near] > floor + 0.5 * second) if second > 0 else np.nan,
        "base_1": np.mean(shape[near] > floor + 0.2 * first),
        "between_range": divide(np.ptp(shape[between]), first),
        "between_scatter": divide(shape[between].std(), first),
        "maxima_difference": divide(abs(maxima[0] - maxima[1]), first),
    }
    centred = (shape - shape.mean()) / (shape.std() or 1.0)
    row |= {"shape_skew": np.mean(centred**3), "shape_kurtosis": np.mean(centred**4)}
    light = 10 ** (-0.4 * swing * (shape - shape.min()))
    waves = np.fft.rfft(light) * 2 / N_GRID
    row |= {f"light_cos_{k}": waves[k].real for k in N_FLUX}
    row |= {f"light_sin_{k}": abs(waves[k].imag) for k in (1, 2)}
    # contact binaries are above this line, Rucinski 1993
    row["light_contact"] = waves[4].real - waves[2].real * (waves[2].real - 0.125)
    return {name: float(value) for name, value in row.items()}


def _measure_scatter(
    steps: Steps, period: float, coefficient: np.ndarray, orbit: float
) -> dict[str, float]:
    """Scatter about the fold at several periods, and medians: eclipses too sharp for harmonics."""
    at = np.array([0.5, 1.0, 2.0]) * period
    theta = measure_dispersion(steps.time, steps.value, 1 / at, 20)
    row = {f"theta_{name}": float(t) for name, t in zip(("half", "one", "double"), theta,
                                                        strict=True)}  # fmt: skip
    for name, length in (("one", period), ("double", 2 * period)):
        order = np.argsort((steps.time / length) % 1, kind="stable")
        step = np.diff(steps.value[order])
        row[f"string_{name}"] = float(np.mean(step**2))
        row[f"step_{name}"] = float(np.median(np.abs(step)))
    shape = draw_waves(coefficient, np.arange(1, coefficient.shape[1] + 1), _grid())
    turn = (steps.time / orbit - int(np.argmax(shape)) / N_GRID) % 1
    middle = take_medians(turn, steps.value, N_BINS)
    known = middle[np.isfinite(middle)]
    row["median_skew"] = float(np.mean((known - known.mean()) ** 3) / (known.std() ** 3 or 1.0))
    half = np.median(known)
    row["faint_share"] = float(np.mean(known - half > 0.5 * (known.max() - half)))
    quarter = N_BINS // 8
    around = [np.roll(middle, quarter - place)[: 2 * quarter] for place in (0, N_BINS // 2)]
    depths = [part[np.isfinite(part)].max(initial=-np.inf) for part in around]
    seen = bool(np.isfinite(depths).all())
    row["eclipse_difference"] = float(depths[0] - depths[1]) if seen else np.nan
    bright = known.min()
    row["eclipse_ratio"] = divide(depths[1] - bright, depths[0] - bright) if seen else np.nan
    return row


def _grid() -> np.ndarray:
    return 2 * np.pi * np.arange(N_GRID) / N_GRID


def divide(above: float, below: float) -> float:
    """Return the ratio, NaN for a denominator of 0."""
    return float(above / below) if below else np.nan
