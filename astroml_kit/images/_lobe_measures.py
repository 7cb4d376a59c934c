"""One stamp at a time: how the light of a radio galaxy lies along its axis.

Fanaroff & Riley (1974), doi:10.1093/mnras/167.1.31P, tell two kinds apart by where the brightest
parts lie, relative to the whole extent: near the middle, or near the ends. Lengths are in
hundredths of the side of the stamp.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

BLUR = 0.67  # standard deviation, hundredths of the side
LEVEL, LEAST_LIGHT, LEAST_PIXELS = 0.04, 0.05, 4  # of the peak; of the brightest part; a part
REACHES = {"wide": 40.0, "near": 17.0}  # how far from the middle a part of the source may begin
CORE = 0.15  # of the extent to either side
N_BINS = 8
TINY = 1e-6


def measure_lobes(light: np.ndarray) -> dict[str, float]:
    """Features of one image of a source, the sky taken out, shape (side, side), by name."""
    side = len(light)
    unit, middle = side / 100, (side - 1) / 2
    y, x = np.mgrid[:side, :side] - middle
    blurred = ndimage.gaussian_filter(light, BLUR * unit)
    parts, n = ndimage.label(blurred > max(LEVEL * float(blurred.max()), TINY))
    number = np.arange(1, n + 1)
    total = ndimage.sum_labels(light, parts, number) if n else np.zeros(0)
    begin = ndimage.minimum(np.hypot(x, y), parts, number) if n else np.zeros(0)
    size = np.bincount(parts.ravel(), minlength=n + 1)[1:]
    core = np.hypot(x, y) < max(2 * unit, 1.5)
    found = {}
    for name, reach in REACHES.items():
        kept = (total > LEAST_LIGHT * total.max(initial=0)) & (size > LEAST_PIXELS)
        near = kept & (begin < reach * unit)
        kept = near if near.any() else kept
        inside = np.isin(parts, number[kept]) if kept.any() else core
        measured = _measure_source(light[inside], blurred[inside], x[inside], y[inside], unit)
        found[f"{name}_parts"] = float(kept.sum())
        found |= {f"{name}_{key}": value for key, value in measured}
    found["core"] = float(blurred[core].max() / max(blurred.max(), TINY))
    return found


def _measure_source(
    light: np.ndarray, blurred: np.ndarray, x: np.ndarray, y: np.ndarray, unit: float
) -> Iterator[tuple[str, float]]:
    weight = np.maximum(light, TINY)
    weight = weight / weight.sum()
    at_x, at_y = float(weight @ x), float(weight @ y)
    moments = np.cov(np.stack([x, y]), aweights=weight, ddof=0) + np.eye(2) / 12
    (narrow, wide), axes = np.linalg.eigh(moments)
    along = axes[:, 1]
    yield "area", np.log10(len(light) / unit**2)
    yield "off_middle", np.hypot(at_x, at_y) / unit
    yield "axis_ratio", np.sqrt(narrow / wide)
    yield "size", np.log10(np.sqrt(wide) / unit)
    for name, (x0, y0) in {"light": (at_x, at_y), "host": (0.0, 0.0)}.items():
        t = (x - x0) * along[0] + (y - y0) * along[1]
        s = (y - y0) * along[0] - (x - x0) * along[1]
        for key, value in _measure_sides(weight, blurred, t, s):
            yield f"{name}_{key}", value
    t = (x - at_x) * along[0] + (y - at_y) * along[1]
    # shared out between the two nearest bins, so that it does not matter which end is the first
    place = (t - t.min()) / (np.ptp(t) + TINY) * (N_BINS - 1)
    lower = np.minimum(place.astype(int), N_BINS - 2)
    part = place - lower
    share = np.bincount(lower, weight * (1 - part), N_BINS)
    share += np.bincount(lower + 1, weight * part, N_BINS)
    folded = (share + share[::-1])[: N_BINS // 2]
    for k, value in enumerate(folded):
        yield f"share{k}", float(value)
    yield "uneven", float(np.abs(share - share[::-1]).sum())
    yield "peaked", float(np.log10(weight.max() * len(weight)))


def _measure_sides(
    weight: np.ndarray, blurred: np.ndarray, t: np.ndarray, s: np.ndarray
) -> Iterator[tuple[str, float]]:
    """Compare both sides of a point on the axis; the side with the brighter peak comes first."""
    sides = []
    for side in (t > 0, t < 0):
        if not side.any():
            sides.append((0.0, 0.0, 0.0, 0.0))
            continue
        top = np.flatnonzero(side)[blurred[side].argmax()]
        sides.append((float(blurred[top]), float(np.hypot(t[top], s[top])),
                      float(np.abs(t[side]).max()), float(weight[side].sum())))  # fmt: skip
    (bright, near, length, share), (faint, far, other, rest) = sorted(sides, reverse=True)
    yield "peak1_place", near / (length + 1)
    yield "peak2_place", far / (other + 1)
    yield "peak_ratio", faint / max(bright, TINY)
    yield "share_ratio", min(share, rest)
    yield "length_ratio", min(length, other) / (max(length, other) + 1)
    yield "fanaroff_riley", (near + far) / (length + other + 1)
    extent, square = np.ptp(t) + 1, float(weight @ t**2) + 1 / 12
    yield "spread", np.sqrt(square) / extent
    yield "kurtosis", float(weight @ t**4) / square**2
    yield "core_share", float(weight[np.abs(t) < CORE * extent].sum())
