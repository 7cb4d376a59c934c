"""One stamp, compiled: its sky, the galaxy's own pixels, smoothing and the curve of growth.

Images here are float64 with the sky taken out, ``bad`` marks pixels that are never used, and x
runs along rows, y across them, 0 being the middle of the first pixel.
"""

import numpy as np
from numba import njit

_TO_SIGMA = 1.482_602_218_505_602  # from the median absolute deviation, for a normal
_FINE = 4.0  # radius in pixels below which a pixel is cut in pieces to share out its light
_PIECES = 5
STEP = 0.5  # between the radii of a curve of growth, in pixels


@njit(cache=True, nogil=True)
def clip_values(values):
    """Mean and standard deviation of what lies within 3 sigma of them, and the bounds.

    The first bounds are about the median, from the median absolute deviation.
    """
    middle = np.median(values)
    sigma = _TO_SIGMA * np.median(np.abs(values - middle))
    if sigma == 0:
        sigma = np.std(values)
    least = 1e-6 * sigma  # so that rounding leaves even values within
    n = -1
    for _ in range(20):
        reach = max(3 * sigma, least)
        low, high = middle - reach, middle + reach
        total, square, inside = 0.0, 0.0, 0
        for value in values:
            if low <= value <= high:
                total += value - middle
                square += (value - middle) ** 2
                inside += 1
        if inside == n:
            break
        n, shift = inside, total / inside
        sigma = np.sqrt(max(square / inside - shift**2, 0.0))
        middle += shift
    return middle, sigma, low, high


@njit(cache=True, nogil=True)
def mark_frame(height, width, share):
    """Pixels of the frame along the edges, ``share`` of the shorter side wide and at least 2."""
    edge = max(2, round(share * min(height, width)))
    frame = np.ones((height, width), dtype=np.bool_)
    frame[edge : height - edge, edge : width - edge] = False
    return frame


@njit(cache=True, nogil=True)
def measure_frame(image, bad, frame):
    """Level and noise of the usable pixels of the frame, the bounds of its sky, how many."""
    values = np.empty(image.size)
    n = 0
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if frame[y, x] and not bad[y, x]:
                values[n] = image[y, x]
                n += 1
    if n == 0:
        return np.nan, np.nan, np.nan, np.nan, 0
    level, noise, low, high = clip_values(values[:n])
    return level, noise, low, high, n


@njit(cache=True, nogil=True)
def smooth_box(image, use, half):
    """Mean of the usable pixels in a square of ``2 half + 1``; NaN where there is none.

    ``use`` is 1 for usable pixels and else 0, where the image is 0 too.
    """
    height, width = image.shape
    out = np.empty((height, width))
    light, number = np.zeros(width), np.zeros(width)
    for y in range(-half, height):
        new, old = y + half, y - half - 1
        if new < height:
            light += image[new]
            number += use[new]
        if old >= 0:
            light -= image[old]
            number -= use[old]
        if y < 0:
            continue
        total, n = np.sum(light[:half]), np.sum(number[:half])
        for x in range(width):
            if x + half < width:
                total += light[x + half]
                n += number[x + half]
            if x > half:
                total -= light[x - half - 1]
                n -= number[x - half - 1]
            out[y, x] = total / n if n > 0.5 else np.nan
    return out


@njit(cache=True, nogil=True)
def find_seed(smooth, bad):
    """Brightest usable pixel near the middle: within a tenth of the side, at least 3 pixels."""
    height, width = smooth.shape
    reach = max(3.0, 0.1 * min(height, width))
    middle_y, middle_x = 0.5 * (height - 1), 0.5 * (width - 1)
    best, seed_y, seed_x = -np.inf, -1, -1
    for y in range(height):
        for x in range(width):
            near = (y - middle_y) ** 2 + (x - middle_x) ** 2 <= reach**2
            if near and not bad[y, x] and smooth[y, x] > best:
                best, seed_y, seed_x = smooth[y, x], y, x
    return seed_y, seed_x


@njit(cache=True, nogil=True)
def _grow(smooth, bad, level, seed_y, seed_x, inside, queue):
    """Mark in ``inside`` what is above ``level`` and touches the seed, not yet inside; count it.

    The pixels are the first of the queue.
    """
    height, width = smooth.shape
    queue[0], n, done = seed_y * width + seed_x, 1, 0
    inside[seed_y, seed_x] = True
    while done < n:
        y, x = queue[done] // width, queue[done] % width
        done += 1
        for j in range(max(y - 1, 0), min(y + 2, height)):
            for i in range(max(x - 1, 0), min(x + 2, width)):
                if not inside[j, i] and not bad[j, i] and smooth[j, i] > level:
                    inside[j, i] = True
                    queue[n] = j * width + i
                    n += 1
    return n


@njit(cache=True, nogil=True)
def grow_segment(smooth, bad, level, seed_y, seed_x):
    """Usable pixels above ``level`` that touch each other, corners too, and the seed."""
    inside = np.zeros(smooth.shape, dtype=np.bool_)
    _grow(smooth, bad, level, seed_y, seed_x, inside, np.empty(smooth.size, dtype=np.int64))
    return inside


@njit(cache=True, nogil=True)
def find_neighbours(image, smooth, bad, segment, level, peak):
    """Other connected regions of 5 pixels and more that reach ``peak``: pixels, number, light."""
    height, width = smooth.shape
    others = np.zeros((height, width), dtype=np.bool_)
    done = segment.copy()
    queue = np.empty(smooth.size, dtype=np.int64)
    count, light = 0, 0.0
    for y in range(height):
        for x in range(width):
            if done[y, x] or bad[y, x] or not smooth[y, x] > peak:
                continue
            size = _grow(smooth, bad, level, y, x, done, queue)
            if size < 5:
                continue
            count += 1
            for here in queue[:size]:
                others[here // width, here % width] = True
                light += image[here // width, here % width]
    return others, count, light


@njit(cache=True, nogil=True)
def measure_moments(image, segment):
    """Light, centre, and second moments (xx, yy, xy) of the pixels of a segment."""
    light, sum_x, sum_y = 0.0, 0.0, 0.0
    height, width = image.shape
    for y in range(height):
        for x in range(width):
            if segment[y, x]:
                light += image[y, x]
                sum_x += image[y, x] * x
                sum_y += image[y, x] * y
    if not light > 0:
        return light, np.nan, np.nan, np.nan, np.nan, np.nan
    centre_x, centre_y = sum_x / light, sum_y / light
    xx, yy, xy = 0.0, 0.0, 0.0
    for y in range(height):
        for x in range(width):
            if segment[y, x]:
                xx += image[y, x] * (x - centre_x) ** 2
                yy += image[y, x] * (y - centre_y) ** 2
                xy += image[y, x] * (x - centre_x) * (y - centre_y)
    return light, centre_x, centre_y, xx / light, yy / light, xy / light


@njit(cache=True, nogil=True)
def measure_growth(image, bad, centre_x, centre_y, reach, spread):
    """Light within circles of 0, ``STEP``, 2 ``STEP``, ... pixels up to ``reach``.

    Rings count with their mean brightness times their area, so that a masked pixel is taken to
    be as bright as the rest of its ring. Without ``spread`` all light of a pixel is at its middle,
    but for the innermost, which is faster and does for a first look.
    """
    n = int(reach / STEP)
    light, area = np.zeros(n + 1), np.zeros(n + 1)
    height, width = image.shape
    edge = reach + 1
    first_y, last_y = max(int(centre_y - edge), 0), min(int(centre_y + edge) + 2, height)
    first_x, last_x = max(int(centre_x - edge), 0), min(int(centre_x + edge) + 2, width)
    for y in range(first_y, last_y):
        for x in range(first_x, last_x):
            r2 = (x - centre_x) ** 2 + (y - centre_y) ** 2
            if bad[y, x] or r2 > edge**2:
                continue
            r = np.sqrt(r2)
            if r < _FINE:
                share = 1 / _PIECES**2
                for j in range(_PIECES):
                    for i in range(_PIECES):
                        dy = y - centre_y + (j + 0.5) / _PIECES - 0.5
                        dx = x - centre_x + (i + 0.5) / _PIECES - 0.5
                        ring = int(np.sqrt(dx**2 + dy**2) / STEP) + 1
                        if ring <= n:
                            light[ring] += share * image[y, x]
                            area[ring] += share
                continue
            if not spread:
                ring = int(r / STEP) + 1
                if ring <= n:
                    light[ring] += image[y, x]
                    area[ring] += 1
                continue
            # a square pixel spreads over radii with the variance of an interval 1 wide
            low, high = r - 0.5, r + 0.5
            for ring in range(int(low / STEP) + 1, min(int(high / STEP) + 1, n) + 1):
                share = min(high, ring * STEP) - max(low, (ring - 1) * STEP)
                light[ring] += share * image[y, x]
                area[ring] += share
    growth, bright = np.zeros(n + 1), 0.0
    for ring in range(1, n + 1):
        if area[ring] > 0:
            bright = light[ring] / area[ring]
        growth[ring] = growth[ring - 1] + bright * np.pi * STEP**2 * (2 * ring - 1)
    return growth


@njit(cache=True, nogil=True)
def read_growth(growth, radius):
    """Light within ``radius``, the brightness being even between two radii of the curve."""
    ring = min(int(radius / STEP), len(growth) - 2)
    inner, outer = (ring * STEP) ** 2, ((ring + 1) * STEP) ** 2
    return growth[ring] + (growth[ring + 1] - growth[ring]) * (radius**2 - inner) / (outer - inner)


@njit(cache=True, nogil=True)
def find_light_radius(growth, light):
    """Radius at which the curve first reaches ``light``; NaN where it never does."""
    for ring in range(1, len(growth)):
        if growth[ring] >= light:
            part = (light - growth[ring - 1]) / (growth[ring] - growth[ring - 1])
            inner, outer = ((ring - 1) * STEP) ** 2, (ring * STEP) ** 2
            return np.sqrt(inner + part * (outer - inner))
    return np.nan


@njit(cache=True, nogil=True)
def find_petrosian_radius(growth, ratio):
    """Radius where a ring is ``ratio`` times as bright as the mean within, and its brightness.

    The ring reaches from 0.9 to 1.1 of the radius, at least half a pixel to both sides.
    NaN when the curve ends before.
    """
    before = 1.0
    reach = (len(growth) - 1) * STEP
    for k in range(2, len(growth)):
        radius = k * STEP
        half = max(0.5, 0.1 * radius)
        if radius + half > reach:
            break
        ring = read_growth(growth, radius + half) - read_growth(growth, radius - half)
        bright = ring / (4 * np.pi * radius * half)
        mean = growth[k] / (np.pi * radius**2)
        if not mean > 0:
            break
        now = bright / mean
        if now < ratio:
            part = (before - ratio) / (before - now) if before > ratio else 1.0
            return radius - STEP * (1 - part), ratio * mean
        before = now
    return np.nan, np.nan
