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
from ._random import exponential, start_stream, uniform

PHOTON, ELECTRON = 0, 1
NUCLEON, PION, NEUTRAL = 0, 1, 2
MAX_AXES, MAX_MUONS, MAX_STACK, MAX_SECONDARIES = 4000, 4000, 20_000, 2000
LOWEST_SPLIT = 3.0  # GeV: cascades below are average ones
NEUTRAL_FOLLOWED = 8 * LOWEST_SPLIT
# Steps in ln E from `NEUTRAL_ENERGY_MIN` and in depth, of bounds to the light of pi0 below that.
SOFT_STEP, SOFT_DEPTH, _LOG_SOFT = 0.25, 0.5, np.log(NEUTRAL_ENERGY_MIN)
_GOLDEN = (np.sqrt(5) - 1) / 2
FEWEST_ELECTRONS = 0.02  # in a bin of an axis that is followed further

# Greisen's average profile, N and N x age: steps of 0.1 radiation lengths and of 10 % in energy.
_STEP = 0.1
_PER_BIN = round(BIN / _STEP)
_LOG_LOW, _LOG_STEP = np.log(0.02), np.log(1.1)
_RADIATED = 0.03
_LOG_RADIATED = np.log(_RADIATED)
_RATE = 4 / 3 * np.log(1 / _RADIATED) - 4 / 3 * (1 - _RADIATED) + (1 - _RADIATED**2) / 2


def tabulate_profiles(n_energies: int = 130, n_bins: int = 34) -> np.ndarray:
    """Electrons and electrons x age of an average cascade; eq. 2 of Greisen (1956).

    Returns
    -------
    ndarray of float32, shape (n_energies, n_phases, n_bins, 2)
        A cascade that starts anywhere in a bin of depth has one of ``n_phases`` rows.
    """
    energy = np.exp(_LOG_LOW + _LOG_STEP * np.arange(n_energies))
    y = np.maximum(np.log(energy / CRITICAL_ENERGY), 0.5)[:, None]
    t = (np.arange(n_bins * _PER_BIN) + 0.5) * _STEP
    age = 3 * t / (t + 2 * y)
    n = 0.31 / np.sqrt(y) * np.exp(t * (1 - 1.5 * np.log(age)))
    # Below 130 MeV the formula ends: less energy, fewer electrons.
    n *= np.minimum(energy / (CRITICAL_ENERGY * np.exp(0.5)), 1.0)[:, None]
    both = np.stack([n, n * age], axis=-1).reshape(n_energies, n_bins, _PER_BIN, 2)
    return np.ascontiguousarray(both.swapaxes(1, 2), dtype=np.float32)


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
        age in place of the latter. The last row is about the sum over the axes: that of
        neutral pions of low energy is estimated, and tells whether to follow them at all.
    filled : ndarray of int64, shape (MAX_AXES + 1, 2)
        First bin that is filled, and the one after the last.
    bound : ndarray, shape (MAX_AXES + 1, n_zones)
        More photons per m2 than an axis has anywhere in a zone of impact distance.
    neutral : ndarray, shape (MAX_AXES, 3)
        Energy, depth and random number of the pi0 of an axis whose cascade is still to be
        followed; energy 0 when it has been.
    muon : ndarray, shape (MAX_MUONS, 6)
        Origin, slope, distance of birth, energy.
    stack : ndarray, shape (MAX_STACK, 7)
        Particles to follow.
    secondaries : ndarray, shape (MAX_SECONDARIES, 3)
        Of the interaction at hand.
    state : ndarray of uint64, shape (2,)
        Random numbers of the pi0 at hand.
    """

    n: np.ndarray
    origin: np.ndarray
    slope: np.ndarray
    electrons: np.ndarray
    filled: np.ndarray
    bound: np.ndarray
    neutral: np.ndarray
    muon: np.ndarray
    stack: np.ndarray
    secondaries: np.ndarray
    state: np.ndarray


def make_shower(n_bins: int, n_zones: int) -> Shower:
    """Make room for one shower."""
    return Shower(
        np.zeros(2, np.int64), np.zeros((MAX_AXES, 2)), np.zeros((MAX_AXES, 2)),
        np.zeros((MAX_AXES + 1, 2, n_bins)), np.zeros((MAX_AXES + 1, 2), np.int64),
        np.zeros((MAX_AXES + 1, n_zones)), np.zeros((MAX_AXES, 3)), np.zeros((MAX_MUONS, 6)),
        np.zeros((MAX_STACK, 7)), np.zeros((MAX_SECONDARIES, 3)),
        np.zeros(2, np.uint64),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def add_average(electrons, row, number, energy, start, profiles):
    """Add ``number`` average cascades of ``energy`` that start at the depth ``start``."""
    log_energy = np.log(energy)
    e = int((log_energy - _LOG_LOW) / _LOG_STEP + 0.5)
    e = min(max(e, 0), profiles.shape[0] - 1)
    scale = number * np.exp(log_energy - _LOG_LOW - _LOG_STEP * e)
    k = max(int(np.ceil(start / BIN - 0.5)), 0)
    i = int(((k + 0.5) * BIN - start) / _STEP)
    phase, skipped = i % _PER_BIN, i // _PER_BIN
    for i in range(skipped, min(profiles.shape[2], skipped + electrons.shape[2] - k)):
        n = scale * profiles[e, phase, i, 0]
        electrons[row, 0, k] += n
        electrons[row, 1, k] += scale * profiles[e, phase, i, 1]
        if n < 1e-3 and i > 5:
            break
        k += 1


@njit(cache=True, nogil=True)
def draw_pair(state):
    """Share of a photon's energy that one electron of its pair gets; Rossi & Greisen (1941)."""
    v = uniform(state)
    while uniform(state) > 1 - 4 / 3 * v * (1 - v):
        v = uniform(state)
    return v


@njit(cache=True, nogil=True)
def follow_electromagnetic(
    state, kind, energy, depth, split, electrons, row, stack, base, profiles
):
    """Follow a photon or electron down to ``split``; below it cascades are average ones."""
    end = electrons.shape[2] * BIN
    top = base
    stack[top, 0], stack[top, 1], stack[top, 2] = energy, depth, kind
    top += 1
    while top > base:
        top -= 1
        energy, depth, kind = stack[top, 0], stack[top, 1], stack[top, 2]
        if energy < split or top > stack.shape[0] - 3:
            start = depth - (0.8 if kind == ELECTRON else 0.0)
            add_average(electrons, row, 1.0, energy, start, profiles)
            continue
        if kind == PHOTON:
            depth += 9 / 7 * exponential(state)
            if depth >= end:
                continue
            v = draw_pair(state)
            stack[top, 0], stack[top, 1], stack[top, 2] = v * energy, depth, ELECTRON
            stack[top + 1, 0], stack[top + 1, 1] = (1 - v) * energy, depth
            stack[top + 1, 2] = ELECTRON
            top += 2
            continue
        step = exponential(state) / _RATE
        _add_track(electrons, row, depth, depth + step)
        depth += step
        if depth >= end:
            continue
        energy = energy * np.exp(-4 / 3 * _RADIATED * step) - CRITICAL_ENERGY * step
        v = np.exp(_LOG_RADIATED * uniform(state))
        while uniform(state) > 1 - v + 0.75 * v * v:
            v = np.exp(_LOG_RADIATED * uniform(state))
        stack[top, 0], stack[top, 1], stack[top, 2] = v * energy, depth, PHOTON
        stack[top + 1, 0], stack[top + 1, 1] = (1 - v) * energy, depth
        stack[top + 1, 2] = ELECTRON
        top += 2


@njit(cache=True, nogil=True)
def settle(level, electrons, filled, axis, ages):
    """Give each bin of depth of an axis one of the tabulated ages.

    One of the two around the bin's age by a threshold that is uniform, ``level`` in the first
    bin: that keeps the mean light, and halves the look-ups.
    """
    per_step = 1 / (ages[1] - ages[0])
    first, last = -1, 0
    for k in range(electrons.shape[2]):
        n = electrons[axis, 0, k]
        if n >= FEWEST_ELECTRONS:
            if first < 0:
                first = k
            last = k + 1
            level += _GOLDEN
            if level >= 1:
                level -= 1
            age = (electrons[axis, 1, k] / n - ages[0]) * per_step + level
            electrons[axis, 1, k] = min(max(int(age), 0), ages.size - 1)
        else:
            electrons[axis, 0, k] = 0.0
            electrons[axis, 1, k] = 0.0
    filled[axis, 0], filled[axis, 1] = max(first, 0), last


@njit(cache=True, nogil=True)
def bound_light(shower, axis, peak):
    """Note the most light that an axis can have in each zone of impact distance."""
    electrons, bound = shower.electrons, shower.bound
    bound[axis] = 0.0
    for k in range(shower.filled[axis, 0], shower.filled[axis, 1]):
        n, age = electrons[axis, 0, k], int(electrons[axis, 1, k])
        for zone in range(bound.shape[1]):
            bound[axis, zone] += n * peak[k, age, zone]


@njit(cache=True, nogil=True)
def _add_track(electrons, row, start, stop):
    """Add one young electron to the bins that it crosses, by the part of each."""
    k = int(start / BIN)
    while k < electrons.shape[2] and k * BIN < stop:
        part = (min(stop, (k + 1) * BIN) - max(start, k * BIN)) / BIN
        electrons[row, 0, k] += part
        electrons[row, 1, k] += 0.4 * part
        k += 1


@njit(cache=True, nogil=True)
def find_distance(depth, grid):
    """Distance [m] at a depth; ``grid`` is that of the atmosphere: depth, distance."""
    x = depth / grid[0, 1]
    i = min(int(x), grid.shape[1] - 2)
    return grid[1, i] + (x - i) * (grid[1, i + 1] - grid[1, i])


@njit(cache=True, nogil=True)
def draw_interaction(state, energy, kind):
    """Depth to the next interaction in radiation lengths."""
    log_energy = np.log10(energy)
    sigma = CROSS_SECTION[0] + log_energy * (CROSS_SECTION[1] + log_energy * CROSS_SECTION[2])
    length = DEPTH_TIMES_CROSS_SECTION / sigma / RADIATION_LENGTH
    return exponential(state) * length * (PION_LENGTH_RATIO if kind == PION else 1.0)


@njit(cache=True, nogil=True)
def start_axis(shower, origin_x, origin_y, slope_x, slope_y):
    """Number of a new axis; the primary's when there is no room."""
    number = shower.n[0]
    if number >= shower.origin.shape[0]:
        return 0
    shower.n[0] += 1
    shower.origin[number, 0], shower.origin[number, 1] = origin_x, origin_y
    shower.slope[number, 0], shower.slope[number, 1] = slope_x, slope_y
    shower.neutral[number, 0] = 0.0
    return number


@njit(cache=True, nogil=True)
def start_neutral(state, shower, axis, energy, depth, top, air):
    """Follow an energetic pi0 now; estimate the cascades of another, and keep it for later."""
    whole = shower.electrons.shape[0] - 1
    neutral = shower.neutral[axis]
    neutral[0], neutral[1], neutral[2] = energy, depth, uniform(state)
    if axis == 0 or energy > NEUTRAL_FOLLOWED:
        follow_neutral(shower, axis, top, air)
        if axis > 0:
            for k in range(shower.electrons.shape[2]):
                n = shower.electrons[axis, 0, k]
                shower.electrons[whole, 0, k] += n
                age = air.ages[int(shower.electrons[axis, 1, k])]
                shower.electrons[whole, 1, k] += n * age
            return
    add_average(shower.electrons, whole, 2.0, 0.5 * energy, depth, air.profiles)
    if energy < LOWEST_SPLIT:
        e = int((np.log(energy) - _LOG_SOFT) / SOFT_STEP)
        d = min(int(depth / SOFT_DEPTH), air.soft.shape[1] - 1)
        for zone in range(shower.bound.shape[1]):
            shower.bound[axis, zone] = energy * air.soft[e, d, zone]


@njit(cache=True, nogil=True)
def follow_neutral(shower, axis, top, air):
    """Follow the two photons of the pi0 of an axis, with random numbers of their own."""
    neutral = shower.neutral[axis]
    state = shower.state
    start_stream(state, np.uint64(0), np.uint64(neutral[2] * 4503599627370496.0))
    if axis > 0:
        shower.electrons[axis] = 0.0
    energy, depth, share = neutral[0], neutral[1], uniform(state)
    split = min(max(energy / 8, LOWEST_SPLIT), 100.0)
    for part in (share * energy, (1 - share) * energy):
        if part > 0.02:
            follow_electromagnetic(
                state, PHOTON, part, depth, split, shower.electrons, axis, shower.stack, top,
                air.profiles,
            )  # fmt: skip
    if axis > 0:
        settle(uniform(state), shower.electrons, shower.filled, axis, air.ages)
    neutral[0] = 0.0


@njit(cache=True, nogil=True)
def finish_shower(shower, air):
    """Follow the neutral pions that were kept for later, but those whose light is bounded."""
    bound_light(shower, 0, air.peak)
    for axis in range(1, shower.n[0]):
        energy = shower.neutral[axis, 0]
        if energy == 0 or energy >= LOWEST_SPLIT:
            if energy > 0:
                follow_neutral(shower, axis, 0, air)
            bound_light(shower, axis, air.peak)


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
        draw = uniform(state)
        # 1 - power x is less than (1 - x)^power: most draws need no power
        while draw > 1 - power * fraction and draw > (1 - fraction) ** power:
            fraction = np.exp(lowest * uniform(state))
            draw = uniform(state)
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
def follow_hadron(state, shower, energy, first, air):
    """Follow a nucleon whose first interaction is at the depth ``first``."""
    grid, end = air.grid, air.grid[0, -1]
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
            there = depth + draw_interaction(state, energy, kind)
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
            out, part = int(secondaries[i, 0]), secondaries[i, 1]
            if part < (NEUTRAL_ENERGY_MIN if out == NEUTRAL else HADRON_ENERGY_MIN):
                continue
            # Gamma(2) in pT: exponential in transverse mass
            angle = -0.5 * secondaries[i, 2] * np.log(uniform(state) * uniform(state)) / part
            phi = 2 * np.pi * uniform(state)
            sx, sy = tx + angle * np.cos(phi), ty + angle * np.sin(phi)
            if out == NEUTRAL:
                axis = start_axis(shower, x - sx * distance, y - sy * distance, sx, sy)
                start_neutral(state, shower, axis, part, depth, top, air)
            elif top < shower.stack.shape[0] - 1000:
                row = shower.stack[top]
                row[0], row[1], row[6] = part, depth, out
                row[2], row[3] = x - sx * distance, y - sy * distance
                row[4], row[5] = sx, sy
                top += 1
