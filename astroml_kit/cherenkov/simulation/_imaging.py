"""Compiled loop that throws showers at the array and keeps what triggers it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ._cascades import (
    ELECTRON,
    LOWEST_SPLIT,
    bound_light,
    draw_interaction,
    draw_pair,
    find_distance,
    finish_shower,
    follow_electromagnetic,
    follow_hadron,
    settle,
    start_axis,
)
from ._light import RAD, add_noise, clear, draw_axes, draw_muons, expect_light
from ._random import exponential, start_stream, uniform

MAX_SAMPLED = 3000.0  # photo-electrons in one camera that are followed one by one
MUON_REACH = 130.0  # m
GAMMA, LIGHTEST_HADRON, MUON, HELIUM = 0, 100, 5, 402  # codes of the primary


class Output(NamedTuple):
    """Room for a chunk: rows of events and images, pixels of the images one after another."""

    event: np.ndarray  # shower, use, core x, core y, direction x, direction y, energy, depth
    image_event: np.ndarray
    image_telescope: np.ndarray
    image_start: np.ndarray
    pixel: np.ndarray
    charge: np.ndarray


class Limits(NamedTuple):
    """What an event must have to be drawn, and to be kept.

    Parameters
    ----------
    light, dark : float
        Mean light of the shower in a camera [p.e.] that counts, negative to draw every event;
        and light below which a camera stays empty.
    max_cog : float
        How far the centre of that light may be from the camera's [deg].
    pixel_charge, n_pixels, charge : float
        A camera triggers with so many pixels above the first and so much charge in them.
    n_telescopes : int
        Cameras that count, and that trigger.
    """

    light: float
    dark: float
    max_cog: float
    pixel_charge: float
    n_pixels: int
    charge: float
    n_telescopes: int


@njit(cache=True, nogil=True)
def start_shower(state, particle, energy, shower, air):
    """Follow one primary down, neutral pions of low energy not yet.

    Returns
    -------
    first : float
        Depth of the first interaction.
    whole : int
        Row of ``shower.electrons`` that is the whole shower.
    """
    shower.n[:] = 0
    electrons, filled = shower.electrons, shower.filled
    start_axis(shower, 0.0, 0.0, 0.0, 0.0)
    electrons[0] = 0.0
    first, whole = 0.0, 0
    if particle < MUON:
        split = min(max(energy / 30, LOWEST_SPLIT), 100.0)
        parts = (energy, 0.0)
        if particle == GAMMA:
            # the first conversion here, so that its depth is known
            first = 9 / 7 * exponential(state)
            share = draw_pair(state)
            parts = (share * energy, (1 - share) * energy)
        for part in parts:
            if part > 0:
                follow_electromagnetic(
                    state, ELECTRON, part, first, split, electrons, 0, shower.stack, 0,
                    air.profiles,
                )  # fmt: skip
    elif particle == MUON:
        row = shower.muon[0]
        row[:] = 0.0
        # muons that hit the array were born some kilometres up; the light is from the last part
        row[4], row[5] = air.distance[2], energy
        shower.n[1] = 1
    else:
        whole = electrons.shape[0] - 1
        electrons[whole] = 0.0
        nucleons = 4 if particle == HELIUM else 1
        first = 1e30
        for _ in range(nucleons):
            depth = draw_interaction(state, energy / nucleons, 0)
            if nucleons == 4:
                depth *= 0.5  # helium is larger: cross section about twice a proton's
            if depth < air.grid[0, -1]:
                follow_hadron(state, shower, energy / nucleons, depth, air)
            first = min(first, depth)
        settle(uniform(state), electrons, filled, whole, air.ages)
    settle(uniform(state), electrons, filled, 0, air.ages)
    return first, whole


@njit(cache=True, nogil=True)
def _draw_use(state, radius, directions):
    """Core [m] in a disc, direction [rad] in the cone."""
    r = radius * np.sqrt(uniform(state))
    phi = 2 * np.pi * uniform(state)
    core_x, core_y = r * np.cos(phi), r * np.sin(phi)
    tx, ty = directions[0] / RAD, directions[1] / RAD
    if directions[2] > 0:
        r = directions[2] / RAD * np.sqrt(uniform(state))
        phi = 2 * np.pi * uniform(state)
        tx, ty = tx + r * np.cos(phi), ty + r * np.sin(phi)
    return core_x, core_y, tx, ty


@njit(cache=True, nogil=True)
def _is_bright(shower, whole, lights, core_x, core_y, tx, ty, limits, air, optics):
    """Whether enough cameras expect enough light; ``lights`` is set to that [p.e.]."""
    n_telescopes = lights.size
    if limits.light < 0:
        lights[:] = limits.dark
        return True
    density, per_bin = air.density, 1 / air.impact_bin
    n_left = n_telescopes
    for t in range(n_telescopes):
        dx, dy = core_x - optics.telescopes[t, 0], core_y - optics.telescopes[t, 1]
        lights[t] = np.sqrt(dx * dx + dy * dy)
        j = int(max(lights[t] * per_bin - 0.5, 0.0))
        if j >= density.shape[0] or (
            shower.bound[whole, air.zone[j]] * optics.pe_per_photon[t] <= limits.light
        ):
            n_left -= 1
    if n_left < limits.n_telescopes:
        return False
    n_bright = 0
    for t in range(n_telescopes):
        light, inverse = expect_light(
            shower.electrons, whole, shower.filled, lights[t], air.impact_bin, density,
            air.inverse,
        )  # fmt: skip
        lights[t] = light * optics.pe_per_photon[t]
        x = tx + (core_x - optics.telescopes[t, 0]) * inverse
        y = ty + (core_y - optics.telescopes[t, 1]) * inverse
        if lights[t] > limits.light and (x * x + y * y) * RAD**2 < limits.max_cog**2:
            n_bright += 1
    return n_bright >= limits.n_telescopes


@njit(cache=True, nogil=True)
def _draw_cameras(state, shower, lights, core_x, core_y, tx, ty, limits, air, optics, camera):
    """Draw the event into the cameras, brightest first. True when the array triggers."""
    n_telescopes = lights.size
    n_triggered = 0
    order = np.argsort(-lights)
    for place in range(n_telescopes):
        if n_triggered + n_telescopes - place < limits.n_telescopes:
            return False  # the brightest have failed: the others cannot make up for it
        t = order[place]
        if lights[t] < limits.dark:
            continue
        weight = max(1.0, lights[t] / MAX_SAMPLED)
        draw_axes(state, shower, core_x, core_y, tx, ty, weight, air, optics, camera, t)
        if shower.n[1] > 0:
            draw_muons(state, shower, core_x, core_y, tx, ty, air, optics, camera, t)
        add_noise(state, optics, camera, t)
        n_high, bright = 0, 0.0
        for i in range(camera.n_touched[t]):
            charge = camera.charge[t, camera.order[t, i]]
            if charge > limits.pixel_charge:
                n_high += 1
                bright += charge
        if n_high >= limits.n_pixels and bright >= limits.charge:
            n_triggered += 1
    return n_triggered >= limits.n_telescopes


@njit(cache=True, nogil=True)
def _store(event, n_images, n_pixels, camera, output):
    """List the pixels of all cameras, in order as readers do. New numbers of images, pixels."""
    for t in range(camera.charge.shape[0]):
        output.image_start[n_images] = n_pixels
        for pixel in range(camera.charge.shape[1]):
            if camera.touched[t, pixel]:
                output.pixel[n_pixels] = pixel
                output.charge[n_pixels] = camera.charge[t, pixel]
                n_pixels += 1
        output.image_event[n_images] = event
        output.image_telescope[n_images] = t
        n_images += 1
    return n_images, n_pixels


@njit(cache=True, nogil=True)
def throw_showers(
    seed, first_shower, particle, energies, n_uses, limits, directions,
    air, optics, shower, camera, output,
):  # fmt: skip
    """Throw showers until the list or the room is used up.

    Parameters
    ----------
    directions : ndarray, shape (3,)
        Offset of the source from the pointing in x and y [deg], radius of the cone [deg].

    Returns
    -------
    n_showers, n_events, n_images, n_pixels : int
    """
    # Streams of their own for each shower and each use: what one option leaves out does not
    # change what the others are.
    state, use_state = np.empty(2, np.uint64), np.empty(2, np.uint64)
    n_telescopes = optics.telescopes.shape[0]
    lights = np.zeros(n_telescopes)
    n_events, n_images, n_pixels = 0, 0, 0
    room = n_uses * n_telescopes
    for s in range(energies.size):
        if (
            n_events + n_uses > output.event.shape[0]
            or n_images + room > output.image_event.size
            or n_pixels + room * camera.charge.shape[1] > output.pixel.size
        ):
            return s, n_events, n_images, n_pixels
        energy = energies[s]
        stream = (first_shower + s) * (n_uses + 1)
        start_stream(state, seed, stream)
        first, whole = start_shower(state, particle, energy, shower, air)
        bound_light(shower, whole, air.peak)
        radius = MUON_REACH if particle == MUON else find_radius(energy)
        finished = False
        for use in range(n_uses):
            start_stream(use_state, seed, stream + 1 + use)
            core_x, core_y, tx, ty = _draw_use(use_state, radius, directions)
            if not _is_bright(shower, whole, lights, core_x, core_y, tx, ty, limits, air, optics):
                continue
            if not finished:
                finish_shower(shower, air)
                finished = True
            if _draw_cameras(
                use_state, shower, lights, core_x, core_y, tx, ty, limits, air, optics, camera
            ):
                n_images, n_pixels = _store(n_events, n_images, n_pixels, camera, output)
                row = output.event[n_events]
                row[0], row[1] = first_shower + s, use
                row[2], row[3], row[4], row[5] = core_x, core_y, tx * RAD, ty * RAD
                row[6] = energy
                row[7] = find_distance(first, air.grid) if first < air.grid[0, -1] else 0.0
                n_events += 1
            for t in range(n_telescopes):
                clear(camera, t)
    return energies.size, n_events, n_images, n_pixels


@njit(cache=True, nogil=True)
def find_radius(energy):
    """Radius [m] of the disc that cores are thrown in."""
    return min(max(200.0 + 120.0 * np.log10(energy / 100.0), 120.0), 450.0)
