"""Shapes of many stamps: one compiled loop that puts the measurements of a stamp in order."""

import numpy as np
from numba import njit

from ._shape_indices import (
    find_knots,
    find_turning_centre,
    measure_gini,
    measure_m20,
    measure_outline,
    measure_sky_asymmetry,
    measure_sky_clumps,
    measure_waves,
    sum_circle,
    sum_clumps,
    sum_turned,
    turn,
)
from ._shape_kernels import (
    STEP,
    find_light_radius,
    find_neighbours,
    find_petrosian_radius,
    find_seed,
    grow_segment,
    mark_frame,
    measure_frame,
    measure_growth,
    measure_moments,
    read_growth,
    smooth_box,
)

# bits of the flag
NO_SKY, NO_SOURCE, AT_EDGE, CUT, NO_PETROSIAN, MASKED, FAINT, SMALL = (1 << k for k in range(8))

COLUMNS = (
    "background", "noise", "x", "y", "flux", "snr", "area", "semi_major", "semi_minor",
    "orientation", "x_turning", "y_turning", "petrosian_radius", "aperture", "r20", "r50", "r80",
    "concentration", "asymmetry", "asymmetry_outer", "asymmetry_shape", "smoothness", "gini",
    "m20", "multimode", "intensity", "deviation", "n_peaks", "fourier_1", "fourier_2",
    "fourier_3", "fourier_4", "n_neighbours", "neighbour_flux",
)  # fmt: skip
(
    _BACKGROUND, _NOISE, _X, _Y, _FLUX, _SNR, _AREA, _MAJOR, _MINOR,
    _ANGLE, _TURN_X, _TURN_Y, _PETROSIAN, _APERTURE, _R20, _R50, _R80,
    _C, _A, _A_OUTER, _A_SHAPE, _S, _GINI,
    _M20, _MULTIMODE, _INTENSITY, _DEVIATION, _PEAKS, _FOURIER, _, _,
    _, _N_NEIGHBOURS, _NEIGHBOUR,
) = range(len(COLUMNS))  # fmt: skip
_PETROSIAN_RATIO = 0.2
_APERTURE_FACTOR = 1.5  # Petrosian radii
_LEAST_SNR = 2.5  # per pixel, below which Lotz et al. (2006) trust no index
_LEAST_R20 = 1.0  # pixels


@njit(cache=True, nogil=True)
def measure_stamps(images, bad, level, noise, threshold, frame_share, keep_neighbours):
    """Columns and flag of each stamp; ``level`` and ``noise`` are measured where they are NaN."""
    n, height, width = images.shape
    out = np.full((n, len(COLUMNS)), np.nan)
    flags = np.zeros(n, dtype=np.int64)
    frame = mark_frame(height, width, frame_share)
    for k in range(n):
        flags[k] = _measure_stamp(
            images[k], bad[k], level[k], noise[k], threshold, frame, keep_neighbours, out[k]
        )
    return out, flags


@njit(cache=True, nogil=True)
def measure_bands(images, bad, rows, frame_share):
    """Light of each band in the aperture of `measure_stamps`, over the level of its own frame."""
    n, n_bands, height, width = images.shape
    out = np.full((n, n_bands), np.nan)
    frame = mark_frame(height, width, frame_share)
    for k in range(n):
        radius = rows[k, _APERTURE]
        if np.isnan(radius):
            continue
        for band in range(n_bands):
            level = measure_frame(images[k, band], bad[k], frame)[0]
            light, n = sum_circle(
                images[k, band], bad[k], rows[k, _TURN_X], rows[k, _TURN_Y], radius
            )
            out[k, band] = light - n * level
    return out


@njit(cache=True, nogil=True)
def _prepare(raw, bad, level):
    """Take the sky out; unusable pixels become 0, and weigh nothing."""
    image, use = np.zeros(raw.shape), np.zeros(raw.shape)
    for y in range(raw.shape[0]):
        for x in range(raw.shape[1]):
            if not bad[y, x]:
                image[y, x], use[y, x] = raw[y, x] - level, 1.0
    return image, use


@njit(cache=True, nogil=True)
def _measure_stamp(raw, bad, level, noise, threshold, frame, keep_neighbours, row):
    sky, sky_noise, low, high, n_sky = measure_frame(raw, bad, frame)
    level = sky if np.isnan(level) else level
    own_noise = not np.isnan(noise)
    noise = noise if own_noise else sky_noise
    row[_BACKGROUND], row[_NOISE] = level, noise
    if np.isnan(level) or np.isnan(noise):
        return NO_SKY | NO_SOURCE
    flag = 0 if n_sky >= 20 else NO_SKY
    low, high = low - level, high - level
    image, use = _prepare(raw, bad, level)
    smooth = smooth_box(image, use, 1)
    smooth_noise = noise / 3 if own_noise else measure_frame(smooth, bad, frame)[1]
    seed_y, seed_x = find_seed(smooth, bad)
    if seed_y < 0 or not smooth[seed_y, seed_x] > threshold * smooth_noise:
        return flag | NO_SOURCE
    limit = threshold * smooth_noise
    segment = grow_segment(smooth, bad, limit, seed_y, seed_x)
    others, count, light = find_neighbours(
        image, smooth, bad, segment, limit, 2.5 * limit if limit > 0 else 0.0
    )
    if not keep_neighbours and count:
        bad = bad | others
        image, use = _prepare(raw, bad, level)
    flux, x, y, xx, yy, xy = measure_moments(image, segment)
    if np.isnan(x):
        return flag | NO_SOURCE
    row[_N_NEIGHBOURS], row[_NEIGHBOUR] = count, light / flux
    flag |= _describe_segment(segment, bad, image, noise, row)
    _describe_moments(xx, yy, xy, row)
    row[_X], row[_Y] = x, y
    return flag | _measure_indices(
        image, use, bad, smooth, segment, (seed_x, seed_y), frame, low, high, smooth_noise, row
    )


@njit(cache=True, nogil=True)
def _describe_segment(segment, bad, image, noise, row):
    height, width = segment.shape
    area, ratio, flag = 0, 0.0, 0
    for y in range(height):
        for x in range(width):
            if not segment[y, x]:
                continue
            area += 1
            ratio += image[y, x]
            if y in (0, height - 1) or x in (0, width - 1):
                flag |= AT_EDGE
            for j in range(max(y - 1, 0), min(y + 2, height)):
                for i in range(max(x - 1, 0), min(x + 2, width)):
                    if bad[j, i]:
                        flag |= MASKED
    row[_AREA] = area
    row[_SNR] = ratio / area / noise if noise > 0 else np.inf
    return flag | FAINT if row[_SNR] < _LEAST_SNR else flag


@njit(cache=True, nogil=True)
def _describe_moments(xx, yy, xy, row):
    middle, spread = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
    row[_MAJOR] = np.sqrt(max(middle + spread, 0.0))
    row[_MINOR] = np.sqrt(max(middle - spread, 0.0))
    row[_ANGLE] = np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)) % 180


@njit(cache=True, nogil=True)
def _find_reach(shape, x, y):
    return min(x, shape[1] - 1 - x, y, shape[0] - 1 - y) + 0.5


@njit(cache=True, nogil=True)
def _measure_indices(image, use, bad, smooth, segment, seed, frame, low, high, smooth_noise, row):
    """Everything that needs an aperture, of 1.5 Petrosian radii where the stamp has room."""
    reach = _find_reach(image.shape, row[_X], row[_Y])
    if reach < 4 * STEP:
        return CUT | NO_PETROSIAN | SMALL
    growth = measure_growth(image, bad, row[_X], row[_Y], reach, False)
    petrosian, _ = find_petrosian_radius(growth, _PETROSIAN_RATIO)
    aperture = reach if np.isnan(petrosian) else min(_APERTURE_FACTOR * petrosian, reach)
    pair, use_pair = turn(image), turn(use)
    twice_x, twice_y = find_turning_centre(pair, use_pair, row[_X], row[_Y], aperture)
    x, y = 0.5 * twice_x, 0.5 * twice_y
    row[_TURN_X], row[_TURN_Y] = x, y
    reach = _find_reach(image.shape, x, y)
    if reach < 4 * STEP:
        return CUT | NO_PETROSIAN | SMALL
    near = reach if np.isnan(petrosian) else min(1.2 * _APERTURE_FACTOR * petrosian + 4, reach)
    growth = measure_growth(image, bad, x, y, near, True)
    petrosian, bright = find_petrosian_radius(growth, _PETROSIAN_RATIO)
    if near < reach and not _APERTURE_FACTOR * petrosian <= near:  # the first look was too low
        growth = measure_growth(image, bad, x, y, reach, True)
        petrosian, bright = find_petrosian_radius(growth, _PETROSIAN_RATIO)
    flag, aperture = 0, _APERTURE_FACTOR * petrosian
    if np.isnan(petrosian):
        flag |= NO_PETROSIAN
    if not aperture <= reach:
        flag |= CUT
        aperture = (len(growth) - 1) * STEP
    row[_PETROSIAN], row[_APERTURE] = petrosian, aperture
    flux = read_growth(growth, aperture)
    row[_FLUX] = flux
    if not flux > 0:
        return flag | NO_SOURCE
    r20, r50 = find_light_radius(growth, 0.2 * flux), find_light_radius(growth, 0.5 * flux)
    r80 = find_light_radius(growth, 0.8 * flux)
    row[_R20], row[_R50], row[_R80] = r20, r50, r80
    row[_C] = 5 * np.log10(r80 / r20)
    if r20 < _LEAST_R20:
        flag |= SMALL
    noisy = row[_NOISE] > 0
    sky = measure_sky_asymmetry(image, bad, frame, low, high) if noisy else 0.0
    change, light, n = sum_turned(pair, use_pair, twice_x, twice_y, aperture)
    row[_A] = (change - n * sky) / light
    core, core_light, core_n = sum_turned(pair, use_pair, twice_x, twice_y, r50)
    if light > core_light:
        row[_A_OUTER] = (change - core - (n - core_n) * sky) / (light - core_light)
    row[_A_SHAPE] = measure_outline(segment, twice_x, twice_y)
    size = petrosian if not np.isnan(petrosian) else aperture / _APERTURE_FACTOR
    blurred = smooth_box(image, use, max(1, round(size / 8)))
    clumps, light, n = sum_clumps(image, blurred, bad, x, y, 0.25 * size, aperture)
    sky = measure_sky_clumps(image, blurred, bad, frame, low, high) if noisy else 0.0
    row[_S] = (clumps - n * sky) / light
    row[_FOURIER : _FOURIER + 4] = measure_waves(image, bad, x, y, r20, r80)
    _measure_pixels(image, use, bad, segment, seed, bright, size, row)
    peaks, second, top_x, top_y, multimode = find_knots(image, smooth, segment, 3 * smooth_noise)
    row[_PEAKS], row[_INTENSITY], row[_MULTIMODE] = peaks, second, multimode
    row[_DEVIATION] = np.hypot(top_x - row[_X], top_y - row[_Y]) / np.sqrt(row[_AREA] / np.pi)
    return flag


@njit(cache=True, nogil=True)
def _measure_pixels(image, use, bad, segment, seed, bright, size, row):
    """Gini and M20 of the pixels brighter than the galaxy is at its Petrosian radius."""
    smooth = smooth_box(image, use, max(1, round(size / 10)))
    seed_x, seed_y = seed
    # without a Petrosian radius, of the segment
    inside = segment if np.isnan(bright) else grow_segment(smooth, bad, bright, seed_y, seed_x)
    y, x = np.nonzero(inside)
    light = np.empty(len(y))
    for k in range(len(y)):
        light[k] = image[y[k], x[k]]
    rising = np.sort(light)
    row[_GINI] = measure_gini(rising if rising[0] >= 0 else np.sort(np.abs(light)))
    row[_M20] = measure_m20(light, rising, x, y)
