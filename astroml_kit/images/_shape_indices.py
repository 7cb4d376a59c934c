"""One galaxy, compiled: asymmetry, smoothness, Gini, M20, knots and arms.

Conventions as in ``_shape_kernels``: the sky taken out, ``bad`` pixels never used.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def sum_turned(image, use, twice_x, twice_y, radius):
    """Sums of |I - I turned by 180 degrees| and of |I| over a disc, and pixels that took part.

    The centre is at half of ``twice_x`` and ``twice_y``, whole numbers: then pixels fall on
    pixels and nothing is interpolated, which would smooth the noise of one of the two.
    ``image`` and ``use`` hold the stamp and the stamp turned about its middle. ``use`` is 1 for
    usable pixels and else 0; a pixel takes part if its partner is in the stamp and usable.
    """
    height, width = image[0].shape
    centre_x, centre_y = 0.5 * twice_x, 0.5 * twice_y
    move = width - 1 - twice_x
    change, light, n = 0.0, 0.0, 0.0
    # half of the rows: those below are their partners
    first = max(int(np.ceil(centre_y - radius)), twice_y - height + 1, 0)
    for y in range(first, twice_y // 2 + 1):
        half = np.sqrt(max(radius**2 - (y - centre_y) ** 2, 0.0))
        left = max(int(np.ceil(centre_x - half)), -move, 0)
        right = min(int(np.floor(centre_x + half)), width - 1 - max(move, 0))
        partner = height - 1 - twice_y + y
        own, use_own = image[0, y, left : right + 1], use[0, y, left : right + 1]
        other = image[1, partner, left + move : right + move + 1]
        use_other = use[1, partner, left + move : right + move + 1]
        row_change, row_light, row_n = 0.0, 0.0, 0.0
        for x in range(len(own)):
            both = use_own[x] * use_other[x]
            row_change += both * abs(own[x] - other[x])
            row_light += both * (abs(own[x]) + abs(other[x]))
            row_n += both
        weight = 1.0 if 2 * y == twice_y else 2.0
        change += weight * row_change
        light += 0.5 * weight * row_light
        n += weight * row_n
    return change, light, n


@njit(cache=True, nogil=True)
def turn(image):
    """Stack an image and itself turned by 180 degrees."""
    height, width = image.shape
    both = np.empty((2, height, width))
    for y in range(height):
        for x in range(width):
            both[0, y, x] = image[y, x]
            both[1, height - 1 - y, width - 1 - x] = image[y, x]
    return both


@njit(cache=True, nogil=True)
def _find_ratio(image, use, twice_x, twice_y, reach):
    change, light, _ = sum_turned(image, use, twice_x, twice_y, reach)
    return change / light if light > 0 else np.inf


@njit(cache=True, nogil=True)
def find_turning_centre(image, use, start_x, start_y, reach):
    """Twice the centre of least asymmetry: downhill in steps of 2, 1 and half a pixel."""
    height, width = image[0].shape
    best_x, best_y = round(2 * start_x), round(2 * start_y)
    best = _find_ratio(image, use, best_x, best_y, reach)
    for step in (4, 2, 1):
        while True:
            from_x, from_y = best_x, best_y
            for j in (-step, 0, step):
                for i in (-step, 0, step):
                    x, y = from_x + i, from_y + j
                    if (j and i and step > 1) or not (j or i):  # corners in the last steps only
                        continue
                    if 0 <= x <= 2 * width - 2 and 0 <= y <= 2 * height - 2:
                        now = _find_ratio(image, use, x, y, reach)
                        if now < best:
                            best, best_x, best_y = now, x, y
            if best_x == from_x and best_y == from_y:
                break
    return best_x, best_y


@njit(cache=True, nogil=True)
def measure_sky_asymmetry(image, bad, frame, low, high):
    """Mean |I - I turned| per pixel of the sky: pixels of the frame and their partners."""
    height, width = image.shape
    change, n = 0.0, 0
    for y in range(height):
        for x in range(width):
            j, i = height - 1 - y, width - 1 - x
            if not frame[y, x] or bad[y, x] or bad[j, i]:
                continue
            one, two = image[y, x], image[j, i]
            if low <= one <= high and low <= two <= high:
                change += abs(one - two)
                n += 1
    return change / n if n else np.nan


@njit(cache=True, nogil=True)
def sum_clumps(image, smooth, bad, centre_x, centre_y, inner, outer):
    """Light above the smoothed image in a ring, all light within, and pixels of the ring."""
    height, width = image.shape
    clumps, light, n = 0.0, 0.0, 0
    for y in range(height):
        for x in range(width):
            r2 = (x - centre_x) ** 2 + (y - centre_y) ** 2
            if bad[y, x] or r2 > outer**2:
                continue
            light += image[y, x]
            if r2 >= inner**2:
                clumps += max(image[y, x] - smooth[y, x], 0.0)
                n += 1
    return clumps, light, n


@njit(cache=True, nogil=True)
def measure_sky_clumps(image, smooth, bad, frame, low, high):
    """Mean light above the smoothed image per pixel of the sky."""
    clumps, n = 0.0, 0
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if frame[y, x] and not bad[y, x] and low <= image[y, x] <= high:
                clumps += max(image[y, x] - smooth[y, x], 0.0)
                n += 1
    return clumps / n if n else np.nan


@njit(cache=True, nogil=True)
def measure_gini(rising):
    """Gini coefficient of rising numbers >= 0: 0 where all are equal, 1 where one has all."""
    n, total, weighted = len(rising), 0.0, 0.0
    for k in range(n):
        total += rising[k]
        weighted += (2 * k + 1 - n) * rising[k]
    return weighted / (total * (n - 1)) if n > 1 and total > 0 else np.nan


@njit(cache=True, nogil=True)
def measure_m20(light, rising, x, y, share=0.2):
    """Logarithm of the second moment of the brightest pixels, relative to that of all.

    Pixels from the brightest on, until their sum is ``share`` of the whole; the centre is that of
    the light, about which the moment of all is smallest. ``rising`` is the light in order.
    """
    total = np.sum(light)
    if not total > 0:
        return np.nan
    centre_x, centre_y = np.sum(light * x) / total, np.sum(light * y) / total
    least, k, so_far = np.inf, len(rising), 0.0
    while so_far < share * total:
        k -= 1
        so_far += rising[k]
        least = rising[k]
    part, whole = 0.0, 0.0
    for k in range(len(light)):
        moment = light[k] * ((x[k] - centre_x) ** 2 + (y[k] - centre_y) ** 2)
        whole += moment
        if light[k] >= least:
            part += moment
    return np.log10(part / whole) if part > 0 and whole > 0 else np.nan


@njit(cache=True, nogil=True)
def _find_root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def find_knots(image, smooth, segment, least_rise, n_levels=32):
    """Peaks of a segment: how many, the second's light, the brightest's place, the multimode.

    Pixels are taken from the brightest on. Where two hills meet, the lower is a peak of its own
    if it rises ``least_rise`` above the pass, and else part of the higher; the pass itself goes
    with its brightest neighbour. The multimode is the
    largest ratio of areas of the two largest regions above any of ``n_levels`` levels.
    """
    height, width = smooth.shape
    place = np.flatnonzero(segment)
    n = len(place)
    values = np.empty(n)
    for k in range(n):
        values[k] = smooth[place[k] // width, place[k] % width]
    order = np.argsort(-values)
    rank = np.full(height * width, -1)
    region, hill = np.arange(n), np.arange(n)
    size, light, top = np.zeros(n), np.zeros(n), np.zeros(n)
    multimode, taken = 0.0, 0
    for k in range(n):
        here = place[order[k]]
        y, x = here // width, here % width
        rank[here] = k
        height_here = values[order[k]]
        size[k], light[k], top[k] = 1, image[y, x], height_here
        highest, steepest = k, k
        for j in range(max(y - 1, 0), min(y + 2, height)):
            for i in range(max(x - 1, 0), min(x + 2, width)):
                other = rank[j * width + i]
                if other < 0 or other == k:
                    continue
                one, two = _find_root(region, k), _find_root(region, other)
                if one != two:
                    low, high = max(one, two), min(one, two)
                    region[low] = high
                    size[high] += size[low]
                highest = min(highest, _find_root(hill, other))
                steepest = min(steepest, other)
        for j in range(max(y - 1, 0), min(y + 2, height)):
            for i in range(max(x - 1, 0), min(x + 2, width)):
                other = rank[j * width + i]
                if other < 0 or other == k:
                    continue
                low = _find_root(hill, other)
                if low != highest and top[low] - height_here < least_rise:
                    hill[low] = highest
                    light[highest] += light[low]
        if steepest != k:
            hill[k] = _find_root(hill, steepest)
            light[hill[k]] += light[k]
        if (k + 1) * n_levels // n > taken:
            taken = (k + 1) * n_levels // n
            first, second = 0.0, 0.0
            for m in range(k + 1):
                if region[m] == m and size[m] > first:
                    first, second = size[m], first
                elif region[m] == m and size[m] > second:
                    second = size[m]
            if first + second >= 10:  # below, two pixels of noise would make it 1
                multimode = max(multimode, second / first)
    peaks, first, second = 0, 0.0, 0.0
    for m in range(n):
        if hill[m] == m:
            peaks += 1
            if light[m] > first:
                first, second = light[m], first
            elif light[m] > second:
                second = light[m]
    peak = place[order[0]]
    return peaks, second / first if first > 0 else np.nan, peak % width, peak // width, multimode


@njit(cache=True, nogil=True)
def measure_waves(image, bad, centre_x, centre_y, inner, outer):
    """Amplitudes of 1, 2, 3 and 4 waves around the centre over the light of the ring."""
    real, imaginary, light = np.zeros(4), np.zeros(4), 0.0
    height, width = image.shape
    for y in range(max(int(centre_y - outer), 0), min(int(centre_y + outer) + 2, height)):
        for x in range(max(int(centre_x - outer), 0), min(int(centre_x + outer) + 2, width)):
            dx, dy = x - centre_x, y - centre_y
            r2 = dx**2 + dy**2
            if bad[y, x] or r2 > outer**2 or r2 < inner**2 or r2 == 0:
                continue
            light += image[y, x]
            step_x, step_y = dx / np.sqrt(r2), dy / np.sqrt(r2)
            wave_x, wave_y = 1.0, 0.0
            for m in range(4):
                wave_x, wave_y = (
                    wave_x * step_x - wave_y * step_y,
                    wave_x * step_y + wave_y * step_x,
                )
                real[m] += image[y, x] * wave_x
                imaginary[m] += image[y, x] * wave_y
    return np.hypot(real, imaginary) / light if light > 0 else np.full(4, np.nan)


@njit(cache=True, nogil=True)
def measure_outline(segment, twice_x, twice_y):
    """Share of a segment's pixels that are not in it turned by 180 degrees, counted twice."""
    height, width = segment.shape
    change, n = 0, 0
    for y in range(height):
        for x in range(width):
            if segment[y, x]:
                n += 1
                j, i = twice_y - y, twice_x - x
                inside = 0 <= j < height and 0 <= i < width
                if not inside or not segment[j, i]:
                    change += 2
    return change / n


@njit(cache=True, nogil=True)
def sum_circle(image, bad, centre_x, centre_y, radius):
    """Light of the usable pixels of a circle, and their number."""
    light, n = 0.0, 0
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            near = (x - centre_x) ** 2 + (y - centre_y) ** 2 <= radius**2
            if near and not bad[y, x]:
                light += image[y, x]
                n += 1
    return light, n
