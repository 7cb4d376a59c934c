"""Compiled loops that follow a shower down: electromagnetic and hadronic cascades, muons.

Everything is relative to the primary's axis: a track is at ``p + d t`` [m, rad] at the distance d
from the array. Depths are in radiation lengths along the axis, energies in GeV.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ._atmosphere import BIN
from ._physics import (
    CHARGE_EXCHANGE,
    CRITICAL_ENERGY,
    CROSS_SECTION,
    DEPTH_TIMES_CROSS_SECTION,
    HADRON_ENERGY_MIN,
    MUON_ENERGY_MIN,
    MUON_FRACTION_MIN,
    NEUTRAL_ENERGY_MIN,
    NUCLEON_LEADING,
    NUCLEON_POWER,
    PION_DECAY_LENGTH,
    PION_LEADING,
    PION_LENGTH_RATIO,
    PION_POWER,
    PT_LEADING,
    PT_MEAN,
    RADIATION_LENGTH,
    SHARE_CHARGED,
    SHARE_NEUTRAL,
)
from ._random import exponential, uniform

PHOTON, ELECTRON = 0, 1
NUCLEON, PION, NEUTRAL = 0, 1, 2
MAX_AXES, MAX_MUONS, MAX_STACK, MAX_SECONDARIES = 4000, 4000, 20_000, 2000
FEWEST_ELECTRONS = 0.02  # in a bin of an axis that is followed further

# Greisen's average profile, N and N x age: steps of 0.1 radiation lengths and of 10 % in energy.
_STEP = 0.1
_PER_BIN = round(BIN / _STEP)
_LOG_LOW, _LOG_STEP = np.log(0.02), np.log(1.1)
_RADIATED = 0.03
_RATE = 4 / 3 * np.log(1 / _RADIATED) - 4 / 3 * (1 - _RADIATED) + (1 - _RADIATED**2) / 2


def tabulate_profiles(n_energies: int = 130, n_steps: int = 340) -> np.ndarray:
    """Electrons and electrons x age of an average cascade; eq. 2 of Greisen (1956).

    Returns
    -------
    ndarray, shape (n_energies, 2, n_steps)
    """
    energy = np.exp(_LOG_LOW + _LOG_STEP * np.arange(n_energies))
    y = np.maximum(np.log(energy / CRITICAL_ENERGY), 0.5)[:, None]
    t = (np.arange(n_steps) + 0.5) * _STEP
    age = 3 * t / (t + 2 * y)
    n = 0.31 / np.sqrt(y) * np.exp(t * (1 - 1.5 * np.log(age)))
    # Below 130 MeV the formula ends: less energy, fewer electrons.
    n *= np.minimum(energy / (CRITICAL_ENERGY * np.exp(0.5)), 1.0)[:, None]
    return np.stack([n, n * age], axis=1)


class Shower(NamedTuple):
    """What a shower consists of, room for the largest.

    Parameters
    ----------
    n : ndarray of int64
        Numbers of axes and of muons.
    origin, slope : ndarray, shape (MAX_AXES, 2)
        Axes of electromagnetic cascades; the first is the primary's.
    electrons : ndarray, shape (MAX_AXES + 1, 2, n_bins)
        Electrons, and electrons x age, in each bin of depth; after `settle` the number of an
        age in place of the latter. The last row is the sum over the axes.
    filled : ndarray of int64, shape (MAX_AXES + 1, 2)
        First bin that is filled, and the one after the last.
    muon : ndarray, shape (MAX_MUONS, 6)
        Origin, slope, distance of birth, energy.
    stack : ndarray, shape (MAX_STACK, 7)
        Particles to follow.
    secondaries : ndarray, shape (MAX_SECONDARIES, 3)
        Of the interaction at hand.
    """

    n: np.ndarray
    origin: np.ndarray
    slope: np.ndarray
    electrons: np.ndarray
    filled: np.ndarray
    muon: np.ndarray
    stack: np.ndarray
    secondaries: np.ndarray


def make_shower(n_bins: int) -> Shower:
    """Make room for one shower."""
    return Shower(
        np.zeros(2, np.int64), np.zeros((MAX_AXES, 2)), np.zeros((MAX_AXES, 2)),
        np.zeros((MAX_AXES + 1, 2, n_bins)), np.zeros((MAX_AXES + 1, 2), np.int64),
        np.zeros((MAX_MUONS, 6)), np.zeros((MAX_STACK, 7)),
        np.zeros((MAX_SECONDARIES, 3)),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def add_average(electrons, energy, start, profiles):
    """Add the average cascade of ``energy`` that starts at the depth ``start``."""
    n_bins = electrons.shape[1]
    e = int((np.log(energy) - _LOG_LOW) / _LOG_STEP + 0.5)
    e = min(max(e, 0), profiles.shape[0] - 1)
    scale = energy / np.exp(_LOG_LOW + _LOG_STEP * e)
    k = max(int(np.ceil(start / BIN - 0.5)), 0)
    i = int(((k + 0.5) * BIN - start) / _STEP)
    n_steps = profiles.shape[2]
    while k < n_bins and i < n_steps:
        n = profiles[e, 0, i]
        electrons[0, k] += scale * n
        electrons[1, k] += scale * profiles[e, 1, i]
        if n * scale < 1e-3 and i > 50:
            break
        k += 1
        i += _PER_BIN


@njit(cache=True, nogil=True)
def follow_electromagnetic(state, kind, energy, depth, split, electrons, stack, base, profiles):
    """Follow a photon or electron down to ``split``; below it cascades are average ones."""
    n_bins = electrons.shape[1]
    end = n_bins * BIN
    top = base
    stack[top, 0], stack[top, 1], stack[top, 2] = energy, depth, kind
    top += 1
    while top > base:
        top -= 1
        energy, depth, kind = stack[top, 0], stack[top, 1], stack[top, 2]
        if energy < split or top > stack.shape[0] - 3:
            add_average(electrons, energy, depth - (0.8 if kind == ELECTRON else 0.0), profiles)
            continue
        if kind == PHOTON:
            depth += 9 / 7 * exponential(state)
            if depth >= end:
                continue
            v = uniform(state)
            while uniform(state) > 1 - 4 / 3 * v * (1 - v):
                v = uniform(state)
            for share in (v, 1 - v):
                stack[top, 0], stack[top, 1], stack[top, 2] = share * energy, depth, ELECTRON
                top += 1
            continue
        step = exponential(state) / _RATE
        _add_track(electrons, depth, depth + step)
        depth += step
        if depth >= end:
            continue
        energy = energy * np.exp(-4 / 3 * _RADIATED * step) - CRITICAL_ENERGY * step
        v = _RADIATED ** uniform(state)
        while uniform(state) > 1 - v + 0.75 * v * v:
            v = _RADIATED ** uniform(state)
        stack[top, 0], stack[top, 1], stack[top, 2] = v * energy, depth, PHOTON
        stack[top + 1, 0], stack[top + 1, 1] = (1 - v) * energy, depth
        stack[top + 1, 2] = ELECTRON
        top += 2


@njit(cache=True, nogil=True)
def settle(state, shower, ages):
    """Sum the axes, and give each bin of depth one of the tabulated ages.

    A draw between the two ages around it keeps the mean light, and halves the look-ups.
    """
    n_bins = shower.electrons.shape[2]
    whole = shower.electrons.shape[0] - 1
    total = shower.electrons[whole]
    total[:] = 0.0
    for axis in range(shower.n[0]):
        for k in range(shower.filled[axis, 0], n_bins):
            total[0, k] += shower.electrons[axis, 0, k]
            total[1, k] += shower.electrons[axis, 1, k]
    shower.filled[whole, 0] = 0
    step = ages[1] - ages[0]
    for row in range(shower.n[0] + 1):
        axis = row if row < shower.n[0] else whole
        electrons = shower.electrons[axis]
        k = shower.filled[axis, 0]
        while k < n_bins and electrons[0, k] < FEWEST_ELECTRONS:
            k += 1
        shower.filled[axis, 0] = k
        last = k
        while k < n_bins:
            if electrons[0, k] >= FEWEST_ELECTRONS:
                last = k + 1
                age = (electrons[1, k] / electrons[0, k] - ages[0]) / step + uniform(state)
                electrons[1, k] = min(max(int(np.floor(age)), 0), ages.size - 1)
            else:
                electrons[0, k] = 0.0
                electrons[1, k] = 0.0
            k += 1
        shower.filled[axis, 1] = last


@njit(cache=True, nogil=True)
def _add_track(electrons, start, stop):
    """Add one young electron to the bins that it crosses, by the part of each."""
    k = int(start / BIN)
    while k < electrons.shape[1] and k * BIN < stop:
        part = (min(stop, (k + 1) * BIN) - max(start, k * BIN)) / BIN
        electrons[0, k] += part
        electrons[1, k] += 0.4 * part
        k += 1


@njit(cache=True, nogil=True)
def find_distance(depth, grid):
    """Distance [m] at a depth; ``grid`` is that of the atmosphere: depth, distance."""
    x = depth / grid[0, 1]
    i = min(int(x), grid.shape[1] - 2)
    return grid[1, i] + (x - i) * (grid[1, i + 1] - grid[1, i])


@njit(cache=True, nogil=True)
def _draw_interaction(state, energy, kind):
    """Depth to the next interaction in radiation lengths."""
    log_energy = np.log10(energy)
    sigma = CROSS_SECTION[0] + log_energy * (CROSS_SECTION[1] + log_energy * CROSS_SECTION[2])
    length = DEPTH_TIMES_CROSS_SECTION / sigma / RADIATION_LENGTH
    return exponential(state) * length * (PION_LENGTH_RATIO if kind == PION else 1.0)


@njit(cache=True, nogil=True)
def _start_axis(shower, origin_x, origin_y, slope_x, slope_y, depth):
    """Number of a new axis; the primary's when there is no room."""
    number = shower.n[0]
    if number >= shower.origin.shape[0]:
        return 0
    shower.n[0] += 1
    shower.origin[number, 0], shower.origin[number, 1] = origin_x, origin_y
    shower.slope[number, 0], shower.slope[number, 1] = slope_x, slope_y
    shower.electrons[number] = 0.0
    shower.filled[number, 0] = max(int(depth / BIN) - 2, 0)
    return number


@njit(cache=True, nogil=True)
def _emit(state, shower, top, kind, energy, pt, x, y, tx, ty, depth, distance, profiles):
    """Send out a secondary: a pi0 becomes an axis, a hadron goes on the stack. New top."""
    lowest = NEUTRAL_ENERGY_MIN if kind == NEUTRAL else HADRON_ENERGY_MIN
    if energy < lowest:
        return top
    # Gamma(2) in pT: exponential in transverse mass
    angle = 0.5 * pt * (exponential(state) + exponential(state)) / energy
    phi = 2 * np.pi * uniform(state)
    sx, sy = tx + angle * np.cos(phi), ty + angle * np.sin(phi)
    px, py = x - sx * distance, y - sy * distance
    if kind == NEUTRAL:
        axis = _start_axis(shower, px, py, sx, sy, depth)
        electrons = shower.electrons[axis]
        split = min(max(energy / 8, 3.0), 100.0)
        share = uniform(state)
        for part in (share * energy, (1 - share) * energy):
            if part > 0.02:
                follow_electromagnetic(
                    state, PHOTON, part, depth, split, electrons, shower.stack, top, profiles
                )
        return top
    if top < shower.stack.shape[0] - 1000:
        row = shower.stack[top]
        row[0], row[1], row[2], row[3] = energy, depth, px, py
        row[4], row[5], row[6] = sx, sy, kind
        top += 1
    return top


@njit(cache=True, nogil=True)
def _decay(state, shower, energy, px, py, tx, ty, distance):
    """Keep the muon of a pion if it is fast enough."""
    energy *= MUON_FRACTION_MIN + (1 - MUON_FRACTION_MIN) * uniform(state)
    if energy > MUON_ENERGY_MIN and shower.n[1] < shower.muon.shape[0]:
        row = shower.muon[shower.n[1]]
        row[0], row[1], row[2], row[3], row[4], row[5] = px, py, tx, ty, distance, energy
        shower.n[1] += 1


@njit(cache=True, nogil=True)
def draw_secondaries(state, kind, energy, secondaries):
    """Share the energy of an interacting hadron, the leading particle first.

    Parameters
    ----------
    secondaries : ndarray, shape (n_max, 3)
        Kind (`NEUTRAL` for pi0), energy, mean transverse momentum.

    Returns
    -------
    n : int
        Number of secondaries.
    """
    if kind == PION:
        power, leading = PION_POWER, PION_LEADING
        secondaries[0, 0] = NEUTRAL if uniform(state) < CHARGE_EXCHANGE else PION
        secondaries[0, 2] = PT_MEAN
    else:
        power, leading = NUCLEON_POWER, NUCLEON_LEADING
        secondaries[0, 0], secondaries[0, 2] = NUCLEON, PT_LEADING
    secondaries[0, 1] = energy * leading * uniform(state)
    available = energy - secondaries[0, 1]
    left = available
    lowest = np.log(NEUTRAL_ENERGY_MIN / available)
    n = 1
    while left > NEUTRAL_ENERGY_MIN and n < secondaries.shape[0]:
        fraction = np.exp(lowest * uniform(state))
        while uniform(state) > (1 - fraction) ** power:
            fraction = np.exp(lowest * uniform(state))
        part = min(fraction * available, left)
        left -= part
        draw = uniform(state)
        if draw < SHARE_NEUTRAL:
            secondaries[n, 0] = NEUTRAL
        elif draw < SHARE_NEUTRAL + SHARE_CHARGED:
            secondaries[n, 0] = PION
        else:
            secondaries[n, 0] = NUCLEON
        secondaries[n, 1], secondaries[n, 2] = part, PT_MEAN
        n += 1
    return n


@njit(cache=True, nogil=True)
def follow_hadron(state, shower, energy, first, grid, profiles):
    """Follow a nucleon whose first interaction is at the depth ``first``."""
    end = grid[0, -1]
    secondaries = shower.secondaries
    top = 1
    row = shower.stack[0]
    row[:] = 0.0
    row[0], row[1], row[6] = energy, first, NUCLEON
    is_first = True
    while top > 0:
        top -= 1
        row = shower.stack[top]
        energy, depth, px, py, tx, ty = row[0], row[1], row[2], row[3], row[4], row[5]
        kind = int(row[6])
        if not is_first:
            there = depth + _draw_interaction(state, energy, kind)
            if kind == PION:
                decayed = find_distance(depth, grid)
                decayed -= PION_DECAY_LENGTH * energy * exponential(state)
                if decayed > 0 and (there >= end or decayed > find_distance(there, grid)):
                    _decay(state, shower, energy, px, py, tx, ty, decayed)
                    continue
            depth = there
            if depth >= end:
                continue
        is_first = False
        distance = find_distance(depth, grid)
        x, y = px + tx * distance, py + ty * distance
        for i in range(draw_secondaries(state, kind, energy, secondaries)):
            out, part, pt = int(secondaries[i, 0]), secondaries[i, 1], secondaries[i, 2]
            top = _emit(state, shower, top, out, part, pt, x, y, tx, ty, depth, distance, profiles)
