"""Compiled loop that fills the photon table."""

from __future__ import annotations

import numpy as np
from numba import njit

from ._random import start_stream, uniform


@njit(cache=True, nogil=True)
def fill_table(
    density, offset, distance, theta_max, threshold, photons, radiation_length,
    ages, energies, spectra, angles, shift, scatter, n_photons, impact_bin, offset_step,
):  # fmt: skip
    """Fill ``density`` and ``offset`` by following ``n_photons`` from each depth and age."""
    n_depths, n_ages, n_impacts = density.shape
    n_stored = offset.shape[3]
    state = np.empty(2, np.uint64)
    counts = np.zeros(n_impacts, np.int64)
    log_low = np.log(energies[0])
    log_step = np.log(energies[1] / energies[0])
    for k in range(n_depths):
        for a in range(n_ages):
            start_stream(state, 20110101, k * n_ages + a)
            counts[:] = 0
            age = ages[a]
            spectrum = spectra[a]
            lowest = (np.log(threshold[k]) - log_low) / log_step
            i = int(lowest)
            above = spectrum[i] + (lowest - i) * (spectrum[i + 1] - spectrum[i])
            for _ in range(n_photons):
                energy = _draw_energy(above * uniform(state), spectrum, energies)
                if energy < threshold[k]:
                    energy = threshold[k]
                lit = 1 - (threshold[k] / energy) ** 2
                if uniform(state) > lit:
                    continue
                v = energy / (1150 + 454 * np.log(age))
                mean_w = 0.0054 * energy * (1 + v) / (1 + 13 * v + 8.3 * v * v)
                scale = np.sqrt(mean_w) * 21.0 / energy
                quantiles = angles[1] if energy > 350.0 else angles[0]
                theta = scale * quantiles[int(uniform(state) * quantiles.size)]
                other = scale * quantiles[int(uniform(state) * quantiles.size)]
                theta, other = min(theta, 1.2), min(other, 1.2)
                e = min(max(int((np.log(energy) - log_low) / log_step), 0), energies.size - 1)
                phi = 2 * np.pi * uniform(state)
                tx, ty = theta * np.cos(phi), theta * np.sin(phi)
                phi = 2 * np.pi * uniform(state)
                step = radiation_length[k]
                rx = step * (shift[e] * tx + scatter[e] * other * np.cos(phi))
                ry = step * (shift[e] * ty + scatter[e] * other * np.sin(phi))
                cone = theta_max[k] * np.sqrt(lit)
                phi = 2 * np.pi * uniform(state)
                gx = rx + distance[k] * (tx + cone * np.cos(phi))
                gy = ry + distance[k] * (ty + cone * np.sin(phi))
                impact = np.sqrt(gx * gx + gy * gy)
                j = int(impact / impact_bin)
                if j >= n_impacts or impact == 0.0:
                    continue
                ux, uy = gx / impact, gy / impact
                # a reservoir: every photon of the bin is as likely to be kept
                slot = counts[j]
                if slot >= n_stored:
                    slot = int(uniform(state) * (counts[j] + 1))
                if slot < n_stored:
                    along = (rx * ux + ry * uy) / offset_step
                    across = (ry * ux - rx * uy) / offset_step
                    offset[k, a, j, slot, 0] = round(min(max(along, -32767.0), 32767.0))
                    offset[k, a, j, slot, 1] = round(min(max(across, -32767.0), 32767.0))
                counts[j] += 1
            for j in range(n_impacts):
                area = np.pi * impact_bin**2 * (2 * j + 1)
                density[k, a, j] = photons[k] * above * counts[j] / n_photons / area
                _repeat(offset[k, a, j], min(counts[j], n_stored))
            _fill_gaps(offset[k, a], counts)


@njit(cache=True, nogil=True)
def _draw_energy(level, spectrum, energies):
    """Energy above which the fraction is ``level``; the spectrum falls."""
    low, high = 0, spectrum.size - 1
    if level <= spectrum[high]:
        return energies[high]
    while high - low > 1:
        middle = (low + high) // 2
        if spectrum[middle] > level:
            low = middle
        else:
            high = middle
    part = (spectrum[low] - level) / (spectrum[low] - spectrum[high])
    return energies[low] * (energies[high] / energies[low]) ** part


@njit(cache=True, nogil=True)
def _repeat(stored, n):
    """Repeat the ``n`` places that there are until the list is full."""
    if n > 0:
        for slot in range(n, stored.shape[0]):
            stored[slot] = stored[slot % n]


@njit(cache=True, nogil=True)
def _fill_gaps(stored, counts):
    """Impact bins that no photon reached take the places of the last bin that has some."""
    last = -1
    for j in range(counts.size):
        if counts[j] > 0:
            last = j
        elif last >= 0:
            stored[j] = stored[last]
