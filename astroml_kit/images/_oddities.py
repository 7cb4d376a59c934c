"""What makes an image odd besides its shape: lopsided light, strange colours, an uneven frame."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

FINE, COARSE = 1.0, 1.5  # standard deviation of the smoothing [pixels]
MIDDLE = 0.18  # of the side, within which the galaxy has its seed
THRESHOLD, FLOOR = 3.0, 0.08  # a galaxy's pixels: in sky sigma, and of its peak
EDGE = 0.25  # of the side: strips along the edges whose levels are compared
TO_SIGMA = 1.4826  # of the median deviation, for normal noise
ENOUGH = 3000  # pixels that tell the sky
AT_ONCE = 128  # stamps in single precision


def measure_oddities(planes: np.ndarray, mask: np.ndarray | None) -> dict[str, np.ndarray]:
    """Measure images of shape (n, n_bands, h, w); masked pixels count as sky.

    "lopsidedness" and what is measured with it is NaN where there is nothing in the middle.
    """
    parts = []
    for start in range(0, len(planes), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        parts.append(_measure(planes[rows], None if mask is None else mask[rows]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _measure(planes: np.ndarray, mask: np.ndarray | None) -> dict[str, np.ndarray]:
    images = planes.astype(np.float32)
    if mask is not None and mask.any():
        sky = np.nanmedian(np.where(mask, np.nan, images), axis=(2, 3), keepdims=True)
        images = np.where(mask, np.nan_to_num(sky), images)
    bands = np.median(images, axis=(2, 3))
    light = images.mean(axis=1)
    level, noise = measure_sky(light)
    columns = {
        **measure_lopsidedness(images - bands[:, :, None, None]),
        "sky_level": level,
        "sky_noise": noise,
        "sky_step": _measure_step(light),
        "brightest": images.max(axis=(1, 2, 3)),
    }
    if images.shape[1] > 1:
        columns["sky_colour"] = np.ptp(bands, axis=1)
        columns["colourful"] = np.quantile(np.ptp(images, axis=1), 0.999, axis=(1, 2))
        for k in range(images.shape[1] - 1):
            colour = smooth(images[:, k] - images[:, k + 1], COARSE)
            colour -= np.median(colour, axis=(1, 2), keepdims=True)
            columns[f"colour_extreme_{k}"] = np.abs(colour).max(axis=(1, 2))
            columns[f"colour_spread_{k}"] = colour.std(axis=(1, 2))
    return {name: np.asarray(values, dtype=float) for name, values in columns.items()}


def smooth(images: np.ndarray, width: float) -> np.ndarray:
    """Smooth each image of a stack by a Gaussian."""
    return ndimage.gaussian_filter(images, (0, width, width))


def measure_sky(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Level and standard deviation of what is left when three sigma are clipped, five times.

    Some `ENOUGH` pixels of a large image tell both as well as all.
    """
    values = images.reshape(len(images), -1)
    values = values[:, :: max(1, values.shape[1] // ENOUGH)].astype(float)
    for _ in range(5):
        level = np.nanmedian(values, axis=1, keepdims=True)
        noise = TO_SIGMA * np.nanmedian(np.abs(values - level), axis=1, keepdims=True)
        values[np.abs(values - level) > 3 * noise] = np.nan
    return level[:, 0], noise[:, 0]


def _measure_step(light: np.ndarray) -> np.ndarray:
    """Largest less smallest median of the strips along the four edges."""
    rows, columns = (max(1, int(EDGE * side)) for side in light.shape[1:])
    strips = (light[:, :rows], light[:, -rows:], light[:, :, :columns], light[:, :, -columns:])
    return np.ptp([np.median(strip, axis=(1, 2)) for strip in strips], axis=0)


def measure_lopsidedness(images: np.ndarray) -> dict[str, np.ndarray]:
    """Light of the galaxy without a match on the other side of its brightest pixel.

    Not of the centre of least asymmetry: a second nucleus, a tail or a trail then count in full.
    Images have the sky taken out.
    """
    coarse = smooth(images.mean(axis=1), COARSE)
    level, noise = measure_sky(coarse)
    coarse -= level[:, None, None].astype(np.float32)
    rows = []
    for bands, light, sigma in zip(images, coarse, noise, strict=True):
        own = _find_galaxy(light, sigma)
        rows.append(_weigh_unmatched(bands, light, own))
    names = ["lopsidedness", "lopsided_spread", "lopsided_distance", "lopsided_peak"]
    names += [f"lopsided_colour_{k}" for k in range(images.shape[1] - 1)]
    return dict(zip(names, np.array(rows).T, strict=True))


def _find_galaxy(light: np.ndarray, noise: float) -> np.ndarray:
    """Pixels that hang together with the brightest one in the middle; none if it is sky."""
    y, x = (slice(int(0.5 * (1 - MIDDLE) * side), int(np.ceil(0.5 * (1 + MIDDLE) * side)))
            for side in light.shape)  # fmt: skip
    middle = light[y, x]
    row, column = divmod(int(np.argmax(middle)), middle.shape[1])
    peak = float(middle[row, column])
    if peak <= max(THRESHOLD * noise, 0):
        return np.zeros(light.shape, dtype=bool)
    regions = np.asarray(ndimage.label(light > max(THRESHOLD * noise, FLOOR * peak))[0])
    return np.asarray(regions == regions[y, x][row, column])


def _weigh_unmatched(bands: np.ndarray, light: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Share, spread, distance, peak and colours of the unmatched light."""
    n_colours = len(bands) - 1
    nothing = np.full(4 + n_colours, np.nan)
    if not own.any():
        return nothing
    centre = np.unravel_index(np.argmax(np.where(own, light, -np.inf)), own.shape)
    fine = smooth(bands, FINE)
    mean = fine.mean(axis=0)
    turned, covered = turn_about(mean, centre)
    radius = np.sqrt(np.count_nonzero(own) / np.pi)
    own = own & covered
    total = float(mean[own].sum())
    if total <= 0:
        return nothing
    excess = np.maximum(mean - turned, 0)[own]
    amount = max(float(excess.sum()), 1e-6 * total)
    y, x = np.nonzero(own)
    distance = np.hypot(y - centre[0], x - centre[1])
    inside = fine[:, own]
    colours = -np.diff(inside @ excess) / max(float(mean[own] @ excess), 1e-6 * total)
    colours += np.diff(inside.sum(axis=1)) / total
    share = np.abs(mean - turned)[own].sum() / (2 * total)
    spread = amount**2 / max(float((excess**2).sum()), 1e-12 * total**2) / excess.size
    return np.array([
        share, spread, float(distance @ excess) / amount / radius, excess.max() / mean[own].max(),
        *colours,
    ])  # fmt: skip


def turn_about(image: np.ndarray, pixel: tuple[np.integer, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Image turned by 180 degrees about a pixel, and where something came to lie."""
    turned, covered = np.zeros_like(image), np.zeros(image.shape, dtype=bool)
    first = [max(0, 2 * int(p) - side + 1) for p, side in zip(pixel, image.shape, strict=True)]
    last = [min(side - 1, 2 * int(p)) for p, side in zip(pixel, image.shape, strict=True)]
    place = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
    turned[place] = image[place][::-1, ::-1]
    covered[place] = True
    return turned, covered
