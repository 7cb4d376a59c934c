"""One stamp at a time: what a galaxy looks like within two isophotes, around it, and in colour.

Lengths are in hundredths of the side of the stamp, light in units of the central brightness, so
that neither the scale of pixels nor that of brightness matters.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

LEVELS = {"low": 0.1, "high": 0.3}  # of the central brightness
LEAST_SNR = 2.0
NOISE_FLOOR = 0.005  # of the central brightness: pictures of 8 bits have no noise below
FRAME, CENTRE, SEED = 5, 10, 3.5  # hundredths of the side: the sky, the peak, where a galaxy is
BLURS = (0.9, 1.35, 1.8, 2.7)  # standard deviations, hundredths of the side
RINGS = {"inner": (0.5, 1.2), "outer": (1.2, 2.2)}  # elliptical radii, in standard deviations
PROFILE = (2, 4, 6, 8)  # quarters of a standard deviation
LARGEST = 2.5  # elliptical radius of what is compared with its mean profile
WAVES = (1, 2, 3, 4)
ANNULI = ((0, 4.5), (4.5, 10.7), (10.7, 19.6), (19.6, 35.7))  # hundredths of the side
TINY = 1e-6


class Canvas:
    """What all stamps of one size share."""

    def __init__(self, side: int) -> None:
        self.side, self.unit = side, side / 100
        self.y, self.x = np.mgrid[:side, :side].astype(np.float32)
        self.middle = (side - 1) / 2
        self.radius = np.hypot(self.x - self.middle, self.y - self.middle) / self.unit
        edge = max(round(FRAME * self.unit), 2)
        self.frame = np.ones((side, side), dtype=bool)
        self.frame[edge:-edge, edge:-edge] = False
        self.core = self.radius < CENTRE
        self.seed = self.radius < SEED
        self.annuli = [(self.radius >= low) & (self.radius < high) for low, high in ANNULI]

    @staticmethod
    def _bin(radius: np.ndarray) -> np.ndarray:
        return np.minimum((4 * radius).astype(int), 20)

    def measure_profile(self, image: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, ...]:
        """Mean light in 21 elliptical rings, and the image that has it."""
        ring = self._bin(radius)
        total = np.bincount(ring.ravel(), image.ravel(), minlength=21)
        mean = total / np.maximum(np.bincount(ring.ravel(), minlength=21), 1)
        return mean, mean[ring]


def measure_stamp(planes: np.ndarray, bad: np.ndarray | None, canvas: Canvas) -> dict[str, float]:
    """Features of one stamp, shape (n_bands, side, side), by name; masked pixels are sky."""
    planes, sky = subtract_sky(planes, bad, canvas)
    light = planes.mean(axis=0)
    noise = _measure_sky(light, bad, canvas)[1]
    blurred = [ndimage.gaussian_filter(light, blur * canvas.unit) for blur in BLURS]
    peak = float(max(blurred[2][canvas.core].max(), TINY))
    noise = float(np.hypot(noise, NOISE_FLOOR * peak))
    found = {"snr": np.log10(peak / noise), "sky": float(sky.mean()) / peak}
    for name, share in LEVELS.items():
        segment = _find_segment(blurred[2], max(LEAST_SNR * noise, share * peak), canvas)
        measured = dict(_measure_isophote(light / peak, segment, canvas))
        found |= {f"{name}_{key}": value for key, value in measured.items()}
        if name == "low":
            wide = segment
    centre = (found["high_y"], found["high_x"])
    found |= _measure_turns(blurred, centre, canvas)
    found["clumps"] = _sum(np.abs(light - blurred[3]), segment) / _sum(np.abs(light), segment)
    found["multimode"] = _measure_multimode(blurred[0], segment)
    for blur in (1, 3):
        found |= {f"peaks{blur}_{key}": value
                  for key, value in _measure_peaks(blurred[blur], noise, canvas)}  # fmt: skip
    found["light_beyond"] = float(light.mean() / max(light[segment].mean(), TINY))
    found |= dict(_measure_colours(planes, peak, wide, canvas))
    for name in LEVELS:
        del found[f"{name}_x"], found[f"{name}_y"]
    return found


def subtract_sky(
    planes: np.ndarray, bad: np.ndarray | None, canvas: Canvas
) -> tuple[np.ndarray, np.ndarray]:
    """Planes without the level of their frames, masked pixels set to 0, and the levels."""
    sky = np.array([_measure_sky(plane, bad, canvas)[0] for plane in planes])
    planes = planes - sky[:, None, None].astype(planes.dtype)
    if bad is not None:
        planes[:, bad] = 0
    return planes, sky


def _measure_sky(image: np.ndarray, bad: np.ndarray | None, canvas: Canvas) -> tuple[float, float]:
    values = image[canvas.frame if bad is None else canvas.frame & ~bad]
    if not len(values):
        return 0.0, 0.0
    level = float(np.median(values))
    return level, 1.4826 * float(np.median(np.abs(values - level)))


def _find_segment(blurred: np.ndarray, level: float, canvas: Canvas) -> np.ndarray:
    """The region above a level that has most of the middle; the middle itself if none has."""
    regions, _ = ndimage.label(blurred > level)
    near = regions[canvas.seed]
    if not near.any():
        return canvas.seed
    return regions == np.bincount(near[near > 0]).argmax()


def _sum(image: np.ndarray, where: np.ndarray) -> float:
    return float(image[where].sum()) + TINY


def _measure_isophote(
    light: np.ndarray, segment: np.ndarray, canvas: Canvas
) -> Iterator[tuple[str, float]]:
    weight = np.where(segment, np.maximum(light, 0), 0)
    total, area = float(weight.sum()) + TINY, int(segment.sum())
    x, y = float((weight * canvas.x).sum()) / total, float((weight * canvas.y).sum()) / total
    dx, dy = canvas.x - x, canvas.y - y
    moments = [float((weight * one * two).sum()) / total for one, two in ((dx, dx), (dy, dy),
                                                                         (dx, dy))]  # fmt: skip
    major, minor, moments = _find_axes(*moments)
    yield from (("x", x), ("y", y), ("axis_ratio", np.sqrt(minor / major)))
    a, b = canvas.x[segment], canvas.y[segment]
    own_x, own_y = float(a.mean()), float(b.mean())
    a, b = a - own_x, b - own_y
    outer = _find_axes(float((a * a).mean()), float((b * b).mean()), float((a * b).mean()))
    yield "outline_axis_ratio", np.sqrt(outer[1] / outer[0])
    yield "area", np.log10(area / canvas.unit**2)
    yield "size", np.log10(np.sqrt(major) / canvas.unit)
    yield "compactness", area / (4 * np.pi * np.sqrt(outer[0] * outer[1]))
    yield "off_middle", np.hypot(x - canvas.middle, y - canvas.middle) / canvas.unit
    yield "lopsided", np.hypot(x - own_x, y - own_y) / np.sqrt(area)
    yield "gini", _measure_gini(light[segment])
    yield "m20", _measure_m20(weight[segment], (dx * dx + dy * dy)[segment])
    xx, yy, xy = moments
    radius = np.sqrt(
        np.maximum(yy * dx * dx - 2 * xy * dx * dy + xx * dy * dy, 0) / (xx * yy - xy * xy)
    )
    mean, smooth = canvas.measure_profile(light, radius)
    within = radius < LARGEST
    rest, whole = (light - smooth)[within], _sum(np.abs(light), within)
    yield "residual", float(np.abs(rest).sum()) / whole
    yield "residual_peak", float(rest.max())
    yield "residual_blurred", float(
        np.abs(ndimage.gaussian_filter(np.where(within, light - smooth, 0), 1.35 * canvas.unit))
        .sum() / whole
    )  # fmt: skip
    for name, (low, high) in RINGS.items():
        ring = (radius >= low) & (radius < high)
        for m, wave in zip(WAVES, _measure_waves(light[ring], dx[ring], dy[ring]), strict=True):
            yield f"{name}_wave{m}", wave
    for k in PROFILE:
        yield f"profile{k}", mean[k] / max(mean[0], TINY)


def _find_axes(xx: float, yy: float, xy: float) -> tuple[float, float, list[float]]:
    """Larger and smaller second moment, and the moments, for pixels that are squares."""
    xx, yy = xx + 1 / 12, yy + 1 / 12
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    return middle + half, max(middle - half, 1 / 12), [xx, yy, xy]


def _measure_gini(values: np.ndarray) -> float:
    rising, n = np.sort(np.abs(values)), len(values)
    rank = 2 * np.arange(1, n + 1) - n - 1
    return float((rank * rising).sum() / max(rising.mean() * n * (n - 1), TINY))


def _measure_m20(weight: np.ndarray, distance2: np.ndarray) -> float:
    falling = -np.sort(-weight)
    least = falling[np.searchsorted(np.cumsum(falling), 0.2 * weight.sum())]
    moment = weight * distance2  # equally bright pixels all count: none is the first of them
    return float(np.log10(moment[weight >= least].sum() / max(moment.sum(), TINY) + 1e-4))


def _measure_waves(light: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> list[float]:
    light = np.maximum(light, 0)
    step = (dx + 1j * dy) / np.maximum(np.hypot(dx, dy), TINY)
    total = float(light.sum()) + TINY
    return [float(np.abs((light * step**m).sum()) / total) for m in WAVES]


def _measure_turns(
    blurred: list[np.ndarray], centre: tuple[float, float], canvas: Canvas
) -> dict[str, float]:
    """Least change of light by half and quarter turns, about the pixels next to the centre."""
    side, largest = canvas.side, int(0.34 * canvas.side)
    row, column = (round(value) for value in centre)
    found: dict[str, float] = {}
    for blur in (0, 2):
        best = np.full(2, 2.0)
        for y in range(row - 1, row + 2):
            for x in range(column - 1, column + 2):
                reach = min(y, x, side - 1 - y, side - 1 - x, largest)
                if reach < 0.05 * side:
                    continue
                part = blurred[blur][y - reach : y + reach + 1, x - reach : x + reach + 1]
                total = float(np.abs(part).sum()) + TINY
                change = [float(np.abs(part - np.rot90(part, k)).sum()) / total for k in (2, 1)]
                best = np.minimum(best, change)
        found |= {f"half_turn{blur}": best[0], f"quarter_turn{blur}": best[1]}
    return found


def _measure_multimode(blurred: np.ndarray, segment: np.ndarray) -> float:
    """Largest area of a second region above any level, times its share of the first's."""
    inside, best = np.where(segment, blurred, 0), 0.0
    for share in np.linspace(0.3, 0.95, 8):
        regions, n = ndimage.label(inside > np.quantile(blurred[segment], share))
        if n > 1:
            *_, second, first = np.sort(np.bincount(regions.ravel())[1:])
            best = max(best, second**2 / first / segment.sum())
    return best


def _measure_peaks(
    blurred: np.ndarray, noise: float, canvas: Canvas
) -> Iterator[tuple[str, float]]:
    """How many peaks there are, and how bright and far the two brightest off the middle are."""
    around = 2 * round(3 * canvas.side / 112) + 1
    top = ndimage.maximum_filter(blurred, max(around, 3))
    level = max(2 * noise, 0.08 * float(blurred.max()))
    rows = np.flatnonzero((blurred == top) & (blurred > level))
    height = blurred.ravel()[rows] / max(float(blurred[canvas.seed].max()), TINY)
    distance = canvas.radius.ravel()[rows]
    yield "n", float(len(rows))
    yield "n_near", float((distance < 27).sum())
    yield "n_nearest", float((distance < 14).sum())
    order = np.argsort(-height, kind="stable")
    order = order[distance[order] > 6.2]
    for k in range(2):
        there = k < len(order)
        yield f"light{k + 2}", float(height[order[k]]) if there else 0.0
        yield f"distance{k + 2}", float(distance[order[k]]) if there else 71.0
    near = height[(distance > 6.2) & (distance < 22)]
    yield "light_near", float(near.max()) if len(near) else 0.0


def _measure_colours(
    planes: np.ndarray, peak: float, segment: np.ndarray, canvas: Canvas
) -> Iterator[tuple[str, float]]:
    """Differences of neighbouring bands in annuli and within an isophote."""
    for place, where in enumerate([*canvas.annuli, segment]):
        mean = planes[:, where].mean(axis=1)
        yield f"light_{place}", float(mean.mean()) / peak
        for k in range(len(planes) - 1):
            scale = abs(float(mean[k + 1])) + 0.02 * peak
            yield f"colour{k}_{place}", float(mean[k] - mean[k + 1]) / scale
