"""Compiled loops from pixels to image parameters: one image at a time, only its bright pixels.

Dense and sparse images share everything but the first step, which lists the candidate pixels of
an image. All sums are in double precision and in the order of the pixels, so that both give the
same bits.
"""

import numpy as np
from numba import njit

from ._timing_kernels import fit_timing

# Columns of the parameters that `measure_image` writes; the table of names is in `images`.
N_PARAMETERS = 37
_N_PIXELS, _ISLANDS, _UNAVAILABLE, _NEGATIVE = 21, 22, 35, 36
# Second moments below this, in deg2 or m2, are rounding: the image is a line or a point.
_ZERO = np.finfo(np.float64).eps
_LARGE_ISLAND = 50


@njit(cache=True, nogil=True, error_model="numpy")
def _list_bright(images, i, floor, image_times, pixels, charges, times):
    """List the pixels at or above their floor; return how many, and how many have no charge."""
    n, bad = 0, 0
    for p in range(images.shape[1]):
        c = images[i, p]
        if c < floor[p] and c > -np.inf:
            continue
        if c >= floor[p] and c < np.inf:
            pixels[n] = p
            charges[n] = c
            if image_times.shape[0]:
                times[n] = image_times[i, p]
            n += 1
        elif not np.isfinite(c):
            bad += 1
    return n, bad


@njit(cache=True, nogil=True, error_model="numpy")
def _list_masked(images, i, masks, image_times, pixels, charges, times):
    """List the pixels of a mask, or all with a charge other than 0 where the mask is empty."""
    n, bad = 0, 0
    for p in range(images.shape[1]):
        c = images[i, p]
        if not np.isfinite(c):
            bad += 1
        elif masks[i, p] if masks.shape[0] else c != 0:
            pixels[n] = p
            charges[n] = c
            if image_times.shape[0]:
                times[n] = image_times[i, p]
            n += 1
    return n, bad


@njit(cache=True, nogil=True, error_model="numpy")
def _select(pixels, charges, n, picture, boundary, isolated, least, neighbours, level, keep):
    """Decide by two levels which of the first ``n`` candidates to keep; ``level`` is scratch."""
    for k in range(n):
        p = pixels[k]
        level[p] = (charges[k] >= boundary[p]) + 2 * (charges[k] >= picture[p])
    if least > 0 and not isolated:  # 4 marks a picture pixel with too few others next to it
        for k in range(n):
            if level[pixels[k]] & 2:
                count = 0
                for q in neighbours[pixels[k]]:
                    if q >= 0 and level[q] & 2:
                        count += 1
                if count < least:
                    level[pixels[k]] |= 4
    for k in range(n):
        p = pixels[k]
        in_boundary, in_picture = level[p] & 1 == 1, level[p] & 6 == 2
        near_picture, near_boundary = False, False
        for q in neighbours[p]:
            if q >= 0:
                near_picture |= level[q] & 6 == 2
                near_boundary |= level[q] & 1 == 1
        keep[k] = (in_boundary and near_picture) or (in_picture and (near_boundary or isolated))
    for k in range(n):
        level[pixels[k]] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def _select_in_time(pixels, times, n, limit, least, neighbours, place, keep):
    """Drop kept pixels with fewer than ``least`` kept neighbours within ``limit`` in time."""
    for k in range(n):
        if keep[k]:
            place[pixels[k]] = k + 1
    dropped = 0
    for k in range(n):
        if keep[k]:
            count = 0
            for q in neighbours[pixels[k]]:
                if q >= 0 and place[q] > 0 and abs(times[k] - times[place[q] - 1]) < limit:
                    count += 1
            if count < least:  # looked up by the others until all are judged
                pixels[k] = -1 - pixels[k]
                dropped += 1
    for k in range(n):
        if pixels[k] < 0:
            pixels[k] = -1 - pixels[k]
            keep[k] = False
            place[pixels[k]] = 0
        elif keep[k]:
            place[pixels[k]] = 0
    return dropped


@njit(cache=True, nogil=True, error_model="numpy")
def _clean(pixels, charges, times, n, cuts, neighbours, level, place, keep):
    """Both selections, one after the other."""
    picture, boundary, isolated, least, limit, least_in_time = cuts
    _select(pixels, charges, n, picture, boundary, isolated, least, neighbours, level, keep)
    if limit > 0:
        _select_in_time(pixels, times, n, limit, least_in_time, neighbours, place, keep)


@njit(cache=True, nogil=True, error_model="numpy")
def _pack(pixels, charges, times, keep, n):
    """Move the kept pixels to the front and return their number."""
    m = 0
    for k in range(n):
        if keep[k]:
            pixels[m], charges[m], times[m] = pixels[k], charges[k], times[k]
            m += 1
    return m


@njit(cache=True, nogil=True, error_model="numpy")
def _count_islands(pixels, n, neighbours, place, stack, row):
    """Write the number of connected groups of pixels and of small, medium and large ones."""
    for k in range(4):
        row[k] = 0
    for k in range(n):
        place[pixels[k]] = -1
    for k in range(n):
        if place[pixels[k]] != -1:
            continue
        place[pixels[k]] = 1
        stack[0], depth, size = pixels[k], 1, 1
        while depth:
            depth -= 1
            for q in neighbours[stack[depth]]:
                if q >= 0 and place[q] == -1:
                    place[q] = 1
                    stack[depth] = q
                    depth += 1
                    size += 1
        row[0] += 1
        row[1 if size <= 2 else 2 if size <= _LARGE_ISLAND else 3] += 1
    for k in range(n):
        place[pixels[k]] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def _measure_moments(pixels, charges, n, camera, along, across, row):
    """Moments of the light: columns 0 to 13, and the pixels in the shower's own axes."""
    x, y, area = camera.x, camera.y, camera.area
    size, mean_x, mean_y = 0.0, 0.0, 0.0
    for k in range(n):
        size += charges[k]
        mean_x += charges[k] * x[pixels[k]]
        mean_y += charges[k] * y[pixels[k]]
    mean_x /= size
    mean_y /= size
    xx, xy, yy = 0.0, 0.0, 0.0
    for k in range(n):
        dx, dy = x[pixels[k]] - mean_x, y[pixels[k]] - mean_y
        xx += charges[k] * dx * dx
        xy += charges[k] * dx * dy
        yy += charges[k] * dy * dy
    psi = 0.5 * np.arctan2(2.0 * xy, xx - yy)
    if psi <= -0.5 * np.pi:
        psi = 0.5 * np.pi
    cos, sin = np.cos(psi), np.sin(psi)
    # Summed along the axes: the difference of two eigenvalues would lose a thin image's width.
    m_long, m_trans, m3, m4 = 0.0, 0.0, 0.0, 0.0
    w0, w1, w2, v0, v1 = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        dx, dy, c = x[pixels[k]] - mean_x, y[pixels[k]] - mean_y, charges[k]
        s, t = dx * cos + dy * sin, dy * cos - dx * sin
        along[k], across[k] = s, t
        s2 = s * s
        m_long += c * s2
        m_trans += c * t * t
        m3 += c * s2 * s
        m4 += c * s2 * s2
        w = c / size / area[pixels[k]]  # of the order of 1, however bright the image
        w0 += w
        w1 += w * s
        w2 += w * s2
        v0 += w * t
        v1 += w * t * s
    m_long, m_trans = m_long / size, m_trans / size
    length = np.sqrt(m_long) if m_long > _ZERO else 0.0
    width = np.sqrt(m_trans) if m_trans > _ZERO else 0.0
    e_long, e_trans = 0.0, 0.0
    for k in range(n):
        e_long += charges[k] * (along[k] * along[k] - m_long) ** 2
        e_trans += charges[k] * (across[k] * across[k] - m_trans) ** 2
    row[0], row[1], row[2] = size, mean_x, mean_y
    row[3], row[4] = np.hypot(mean_x, mean_y), np.arctan2(mean_y, mean_x)
    row[5], row[6] = length, width
    if width > 0:
        row[9] = np.sqrt(e_trans) / (2.0 * width * size)
    if length > 0:
        row[7] = psi
        row[8] = np.sqrt(e_long) / (2.0 * length * size)
        row[12], row[13] = m3 / size / length**3, m4 / size / m_long**2
        # Straight line across = a along + b, weighted by charge per area.
        determinant = w2 * w0 - w1 * w1
        slope = (w0 * v1 - w1 * v0) / determinant
        stretch = 1.0 + np.tan(0.5 * np.pi * width / length) ** 2
        row[10] = np.sqrt(w0 / determinant / size + slope * slope) * stretch
        row[11] = np.sqrt(w2 / determinant / size * (1.0 + np.sin(slope) ** 2))


@njit(cache=True, nogil=True, error_model="numpy")
def _measure_shape(pixels, charges, n, camera, along, across, row):
    """Concentration, leakage and statistics of the charges: columns 14 to 20 and 26 to 31."""
    size, length, width = row[0], row[5], row[6]
    cog, core, largest, smallest, squares = 0.0, 0.0, -np.inf, np.inf, 0.0
    n_1, n_2, light_1, light_2 = 0, 0, 0.0, 0.0
    mean = size / n
    for k in range(n):
        p, c = pixels[k], charges[k]
        largest, smallest = max(largest, c), min(smallest, c)
        squares += (c - mean) ** 2
        dx, dy = camera.x[p] - row[1], camera.y[p] - row[2]
        if dx * dx + dy * dy < camera.width_squared[p]:
            cog += c
        if width > 0 and (along[k] / length) ** 2 + (across[k] / width) ** 2 <= 1.0:
            core += c
        if camera.border_1[p]:
            n_1 += 1
            light_1 += c
        if camera.border_2[p]:
            n_2 += 1
            light_2 += c
    row[14], row[15], row[16] = cog / size, core / size, largest / size
    row[17], row[18] = n_1 / n, n_2 / n
    row[19], row[20] = light_1 / size, light_2 / size
    deviation = np.sqrt(squares / n)
    row[26], row[27], row[28], row[29] = largest, smallest, mean, deviation
    if deviation > 0:
        third, fourth = 0.0, 0.0
        for k in range(n):
            z = (charges[k] - mean) / deviation
            third += z**3
            fourth += z**4
        row[30], row[31] = third / n, fourth / n - 3.0


@njit(cache=True, nogil=True, error_model="numpy")
def measure_image(pixels, charges, times, n, timed, camera, scratch, row):
    """Write the parameters of one image, given its ``n`` pixels, to ``row``."""
    along, across, place, stack, spare = scratch
    for k in range(N_PARAMETERS):
        row[k] = np.nan
    row[_N_PIXELS] = n
    _count_islands(pixels, n, camera.neighbours, place, stack, row[_ISLANDS : _ISLANDS + 4])
    size, negative = 0.0, 0
    for k in range(n):
        size += charges[k]
        negative += charges[k] < 0
    row[_UNAVAILABLE], row[_NEGATIVE] = 0, negative
    if negative or not (0.0 < size < np.inf):
        return
    _measure_moments(pixels, charges, n, camera, along, across, row)
    _measure_shape(pixels, charges, n, camera, along, across, row)
    if timed and row[5] > 0:
        row[32], row[33], row[34] = fit_timing(along, times, n, spare)


@njit(cache=True, nogil=True, error_model="numpy")
def _make_scratch(n_pixels):
    """Arrays that every image of a camera uses again."""
    return (
        np.zeros(n_pixels),
        np.zeros(n_pixels),
        np.zeros(n_pixels, dtype=np.int32),
        np.zeros(n_pixels, dtype=np.int32),
        np.zeros((4, n_pixels)),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def process_dense(charges, masks, times, cleaning, cuts, camera, masks_out, rows_out):
    """Clean and measure images of shape (n_images, n_pixels).

    ``masks`` are used where ``cleaning`` is false; ``masks_out`` and ``rows_out`` are filled
    unless they are empty.
    """
    n_pixels = charges.shape[1]
    pixels, keep = np.zeros(n_pixels, dtype=np.int32), np.zeros(n_pixels, dtype=np.bool_)
    light, time = np.zeros(n_pixels), np.zeros(n_pixels)
    level, scratch = np.zeros(n_pixels, dtype=np.int8), _make_scratch(n_pixels)
    floor = np.minimum(cuts[0], cuts[1])
    timed = times.shape[0] > 0
    for i in range(charges.shape[0]):
        if cleaning:
            n, bad = _list_bright(charges, i, floor, times, pixels, light, time)
            _clean(pixels, light, time, n, cuts, camera.neighbours, level, scratch[2], keep)
            n = _pack(pixels, light, time, keep, n)
            if masks_out.shape[0]:
                for k in range(n):
                    masks_out[i, pixels[k]] = True
        else:
            n, bad = _list_masked(charges, i, masks, times, pixels, light, time)
        if rows_out.shape[0]:
            measure_image(pixels, light, time, n, timed, camera, scratch, rows_out[i])
            rows_out[i, _UNAVAILABLE] = bad


@njit(cache=True, nogil=True, error_model="numpy")
def process_sparse(offsets, pixel, charge, masks, times, cleaning, cuts, camera, mask_out, rows):
    """Clean and measure images whose pixels are listed one image after the other."""
    n_pixels = camera.x.size
    pixels, keep = np.zeros(n_pixels, dtype=np.int32), np.zeros(n_pixels, dtype=np.bool_)
    origin = np.zeros(n_pixels, dtype=np.int64)
    light, time = np.zeros(n_pixels), np.zeros(n_pixels)
    level, scratch = np.zeros(n_pixels, dtype=np.int8), _make_scratch(n_pixels)
    floor = np.minimum(cuts[0], cuts[1])
    timed = times.size > 0
    for i in range(offsets.size - 1):
        n, bad = 0, 0
        for j in range(offsets[i], offsets[i + 1]):
            p, c = pixel[j], charge[j]
            if not np.isfinite(c):
                bad += 1
                continue
            if (cleaning and c >= floor[p]) or (
                not cleaning and (masks[j] if masks.size else c != 0)
            ):
                pixels[n], light[n], origin[n] = p, c, j
                if timed:
                    time[n] = times[j]
                n += 1
        if cleaning:
            _clean(pixels, light, time, n, cuts, camera.neighbours, level, scratch[2], keep)
            if mask_out.size:
                for k in range(n):
                    mask_out[origin[k]] = keep[k]
            n = _pack(pixels, light, time, keep, n)
        if rows.shape[0]:
            measure_image(pixels, light, time, n, timed, camera, scratch, rows[i])
            rows[i, _UNAVAILABLE] = bad
