"""Robust straight line of arrival time along an image: least trimmed squares, compiled.

Rousseeuw & Van Driessen (2006), doi:10.1007/s10618-005-0024-4: fit the 85 % of the pixels with
the smallest residuals, starting from lines through two pixels and refitting until the sum of
squares no longer falls. The best of several starts is taken. The starts are drawn from a fixed
sequence, so that an image always has the same answer.
"""

import numpy as np
from numba import njit

_SHARE = 0.85
_N_STARTS = 20
_MOST_STEPS = 20
_TOLERANCE = 1e-12
# Of 3 pixels the share is 2, through which any line passes: nothing to tell them apart by.
LEAST_PIXELS = 4
_FLAT = 2.0 * np.finfo(np.float64).eps


@njit(cache=True, nogil=True, error_model="numpy")
def _fit_line(x, y, squared, limit, n):
    """Slope, intercept and sum of squares over the points with ``squared`` up to ``limit``."""
    count, sum_x, sum_y = 0, 0.0, 0.0
    for k in range(n):
        if squared[k] <= limit:
            count += 1
            sum_x += x[k]
            sum_y += y[k]
    mean_x, mean_y, xx, xy = sum_x / count, sum_y / count, 0.0, 0.0
    for k in range(n):
        if squared[k] <= limit:
            xx += (x[k] - mean_x) ** 2
            xy += (x[k] - mean_x) * (y[k] - mean_y)
    if count * xx < _FLAT:
        return np.nan, np.nan, np.inf
    slope = xy / xx
    intercept, total = mean_y - slope * mean_x, 0.0
    for k in range(n):
        if squared[k] <= limit:
            total += (y[k] - slope * x[k] - intercept) ** 2
    return slope, intercept, total


@njit(cache=True, nogil=True, error_model="numpy")
def _find_smallest(values, n, rank):
    """Value of the given rank, from 0, among the first ``n``, which are put in another order.

    Quickselect; ``np.partition`` would take longer to compile than everything else here.
    """
    low, high = 0, n - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return values[rank]


@njit(cache=True, nogil=True, error_model="numpy")
def _improve(x, y, n, size, slope, intercept, squared, spare):
    """Refit to the ``size`` closest points until the sum of squares settles."""
    total = np.inf
    for _ in range(_MOST_STEPS):
        for k in range(n):
            squared[k] = (y[k] - slope * x[k] - intercept) ** 2
            spare[k] = squared[k]
        limit = _find_smallest(spare, n, size - 1)
        last = total
        slope, intercept, total = _fit_line(x, y, squared, limit, n)
        if not abs(last - total) >= _TOLERANCE:
            break
    return slope, intercept, total


@njit(cache=True, nogil=True, error_model="numpy")
def fit_timing(along, times, n, spare):
    """Slope, intercept and rms deviation of time against the position along the axis.

    ``spare`` is scratch of shape (4, >= n). Pixels without a time are left out.
    """
    x, y, squared = spare[0], spare[1], spare[2]
    m = 0
    for k in range(n):
        if np.isfinite(times[k]):
            x[m], y[m] = along[k], times[k]
            m += 1
    if m < LEAST_PIXELS:
        return np.nan, np.nan, np.nan
    size = int(_SHARE * m)
    for k in range(m):
        squared[k] = 0.0
    slope, intercept, _ = _fit_line(x, y, squared, 0.0, m)
    best_slope, best_intercept, best = np.nan, np.nan, np.inf
    state = np.uint64(88172645463325252)
    for start in range(_N_STARTS):
        if start:
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            i = int(state % np.uint64(m))
            j = int((state >> np.uint64(32)) % np.uint64(m - 1))
            j += j >= i
            if x[i] == x[j]:
                continue
            slope = (y[j] - y[i]) / (x[j] - x[i])
            intercept = y[i] - slope * x[i]
        found = _improve(x, y, m, size, slope, intercept, squared, spare[3])
        if found[2] < best:
            best_slope, best_intercept, best = found
    total = 0.0
    for k in range(m):
        total += (y[k] - best_slope * x[k] - best_intercept) ** 2
    return best_slope, best_intercept, np.sqrt(total / m)
