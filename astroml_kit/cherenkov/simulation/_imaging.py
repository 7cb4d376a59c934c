"""Compiled loops from the light of a shower to the pixels of the cameras."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ._cascades import (
    ELECTRON,
    _draw_interaction,
    _start_axis,
    find_distance,
    follow_electromagnetic,
    follow_hadron,
    settle,
)
from ._physics import MIRROR_RADIUS, PSF_GROWTH, PSF_SIGMA
from ._random import exponential, normal, start_stream, uniform

MAX_SAMPLED = 2000.0  # photo-electrons of one axis in one camera that are followed one by one
RAD = 180 / np.pi
NEAREST = 4000.0  # m
MUON_MASS, MUON_LOSS, MUON_STEP = 0.10566, 0.0002, 50.0  # GeV, GeV/m in thin air, m


class Optics(NamedTuple):
    """What turns light into charges; arrays as the kernels want them.

    Parameters
    ----------
    telescopes : ndarray, shape (n_telescopes, 2)
        Perpendicular to the pointing [m].
    pe_per_photon : ndarray, shape (n_telescopes,)
        Mirror area [m2] x efficiency.
    noise : ndarray of float, shape (2,)
        Variance [p.e.2] of an empty pixel, and per p.e.
    pixel_x, pixel_y : ndarray, shape (n_pixels,)
        Degrees.
    reach2 : float
        Square of the largest distance of a point of a pixel from its centre [deg2].
    neighbours : ndarray of int32, shape (n_pixels, n_max)
        -1 where there are fewer.
    raster : ndarray of int32, shape (n_y, n_x, n_candidates)
        Pixels that may be nearest to a point of a cell; -1 for none.
    corner : ndarray, shape (3,)
        x and y of the raster's lower left corner, side of a cell [deg].
    normals : ndarray
        Quantiles of the normal distribution.
    """

    telescopes: np.ndarray
    pe_per_photon: np.ndarray
    noise: np.ndarray
    pixel_x: np.ndarray
    pixel_y: np.ndarray
    reach2: float
    neighbours: np.ndarray
    raster: np.ndarray
    corner: np.ndarray
    normals: np.ndarray


class Air(NamedTuple):
    """Atmosphere and photon table as the kernels want them."""

    distance: np.ndarray
    theta_max: np.ndarray
    photons: np.ndarray
    grid: np.ndarray
    density: np.ndarray
    offset: np.ndarray
    ages: np.ndarray
    impact_bin: float
    offset_step: float
    edges: np.ndarray
    profiles: np.ndarray


class Canvas(NamedTuple):
    """Charges of the cameras while an event is drawn, and which pixels were touched."""

    charge: np.ndarray
    touched: np.ndarray
    order: np.ndarray
    n_touched: np.ndarray
    cumulative: np.ndarray


class Output(NamedTuple):
    """Room for a chunk: rows of events and images, pixels of the images one after another."""

    event: np.ndarray  # shower, use, core x, core y, direction x, direction y, energy, depth
    image_event: np.ndarray
    image_telescope: np.ndarray
    image_start: np.ndarray
    pixel: np.ndarray
    charge: np.ndarray


@njit(cache=True, nogil=True, inline="always")
def find_pixel(x, y, optics):
    """Pixel that holds a point [deg], -1 outside the camera."""
    i = int(np.floor((x - optics.corner[0]) / optics.corner[2]))
    j = int(np.floor((y - optics.corner[1]) / optics.corner[2]))
    if i < 0 or j < 0 or j >= optics.raster.shape[0] or i >= optics.raster.shape[1]:
        return -1
    best, nearest = -1, optics.reach2
    for c in range(optics.raster.shape[2]):
        pixel = optics.raster[j, i, c]
        if pixel < 0:
            break
        dx, dy = x - optics.pixel_x[pixel], y - optics.pixel_y[pixel]
        if dx * dx + dy * dy <= nearest:
            best, nearest = pixel, dx * dx + dy * dy
    return best


@njit(cache=True, nogil=True, inline="always")
def _collect(state, canvas, telescope, x, y, weight, optics):
    """Put a photo-electron that arrives at (x, y) [rad] into its pixel."""
    x, y = x * RAD, y * RAD
    sigma = PSF_SIGMA * (1 + PSF_GROWTH * (x * x + y * y))
    x += sigma * normal(state, optics.normals)
    y += sigma * normal(state, optics.normals)
    pixel = find_pixel(x, y, optics)
    if pixel >= 0:
        if not canvas.touched[telescope, pixel]:
            canvas.touched[telescope, pixel] = True
            canvas.order[telescope, canvas.n_touched[telescope]] = pixel
            canvas.n_touched[telescope] += 1
        canvas.charge[telescope, pixel] += weight


@njit(cache=True, nogil=True, inline="always")
def expect_light(electrons, axis, first, last, impact, air, cumulative):
    """Photons per m2 at an impact distance [m]; ``cumulative`` holds the sums from the top."""
    position = impact / air.impact_bin - 0.5
    j = int(np.floor(position))
    if j >= air.density.shape[2] - 1:
        return 0.0
    part = position - j
    if j < 0:
        j, part = 0, 0.0
    total = 0.0
    for k in range(first, last):
        age = int(electrons[axis, 1, k])
        here, there = air.density[k, age, j], air.density[k, age, j + 1]
        total += electrons[axis, 0, k] * (here + part * (there - here))
        cumulative[k] = total
    return total


@njit(cache=True, nogil=True)
def expect_centroid(shower, axis, impact, air):
    """Photons per m2 at an impact distance [m], and their mean inverse distance [1/m].

    Light from nearer than a few kilometres mostly misses the camera and does not move the mean.
    """
    position = impact / air.impact_bin - 0.5
    j = int(np.floor(position))
    if j >= air.density.shape[2] - 1:
        return 0.0, 0.0
    part = position - j
    if j < 0:
        j, part = 0, 0.0
    total, inverse = 0.0, 0.0
    for k in range(shower.filled[axis, 0], shower.filled[axis, 1]):
        age = int(shower.electrons[axis, 1, k])
        here, there = air.density[k, age, j], air.density[k, age, j + 1]
        light = shower.electrons[axis, 0, k] * (here + part * (there - here))
        total += light
        inverse += light / max(air.distance[k], NEAREST)
    return total, inverse / max(total, 1e-30)


@njit(cache=True, nogil=True, inline="always")
def draw_axis(state, shower, axis, dx, dy, tx, ty, telescope, air, optics, canvas):
    """Draw the light of one axis: (dx, dy) from the telescope to its foot [m]."""
    impact = np.sqrt(dx * dx + dy * dy)
    electrons = shower.electrons
    first, last = shower.filled[axis, 0], shower.filled[axis, 1]
    cumulative = canvas.cumulative
    light = expect_light(electrons, axis, first, last, impact, air, cumulative)
    light *= optics.pe_per_photon[telescope]
    weight = max(1.0, light / MAX_SAMPLED)
    reached = exponential(state)
    if reached >= light / weight:
        return
    scale = optics.pe_per_photon[telescope] / weight
    n_stored = air.offset.shape[3]
    bin_ = min(int(impact / air.impact_bin), air.density.shape[2] - 1)
    # from the axis towards the telescope
    ux, uy = (-dx / impact, -dy / impact) if impact > 0 else (1.0, 0.0)
    ux, uy = ux * air.offset_step, uy * air.offset_step
    k = first
    while reached < light / weight:
        while k < last - 1 and cumulative[k] * scale < reached:
            k += 1
        age, slot = int(electrons[axis, 1, k]), int(uniform(state) * n_stored)
        along, across = air.offset[k, age, bin_, slot, 0], air.offset[k, age, bin_, slot, 1]
        inverse = 1 / (air.edges[k + 1] + uniform(state) * (air.edges[k] - air.edges[k + 1]))
        x = tx + (dx + along * ux - across * uy) * inverse
        y = ty + (dy + along * uy + across * ux) * inverse
        _collect(state, canvas, telescope, x, y, weight, optics)
        reached += exponential(state)


@njit(cache=True, nogil=True, inline="always")
def draw_muon(state, muon, dx, dy, tx, ty, telescope, air, optics, canvas):
    """Draw the ring or arc of a muon in steps of 50 m: (dx, dy) from the telescope to its foot."""
    impact = np.sqrt(dx * dx + dy * dy)
    if impact > 160:  # no ring is as wide
        return
    distance = max((impact - MIRROR_RADIUS) / 0.0245, 25.0)
    away = np.arctan2(-dy, -dx)  # of the telescope as seen from the foot
    # the atmosphere's photons are for all of a ring and a square metre of mirror of efficiency 1
    efficiency = optics.pe_per_photon[telescope] / (np.pi * MIRROR_RADIUS**2)
    k = air.distance.size - 1
    while distance < muon[4]:
        while k > 0 and air.edges[k] < distance:
            k -= 1
        energy = muon[5] - MUON_LOSS * (muon[4] - distance)
        ratio = (MUON_MASS / max(energy, MUON_MASS) / air.theta_max[k]) ** 2
        if ratio < 1:
            cone = air.theta_max[k] * np.sqrt(1 - ratio)
            ring = distance * cone
            if ring - impact > MIRROR_RADIUS:
                return  # rings grow upwards
            if impact - ring < MIRROR_RADIUS:
                half = np.pi
                if impact + ring > MIRROR_RADIUS:
                    cosine = (impact**2 + ring**2 - MIRROR_RADIUS**2) / (2 * impact * ring)
                    half = np.arccos(min(max(cosine, -1.0), 1.0))
                part = MUON_STEP / (air.edges[k] - air.edges[k + 1])
                light = air.photons[k] * part * (1 - ratio) * half / np.pi * efficiency
                reached = exponential(state)
                while reached < light:
                    phi = away + half * (2 * uniform(state) - 1)
                    x, y = tx - cone * np.cos(phi), ty - cone * np.sin(phi)
                    _collect(state, canvas, telescope, x, y, 1.0, optics)
                    reached += exponential(state)
        distance += MUON_STEP


@njit(cache=True, nogil=True, inline="always")
def add_noise(state, canvas, telescope, optics):
    """Noise on the touched pixels and their neighbours; the rest stays empty."""
    n_lit = canvas.n_touched[telescope]
    for i in range(n_lit):
        for pixel in optics.neighbours[canvas.order[telescope, i]]:
            if pixel >= 0 and not canvas.touched[telescope, pixel]:
                canvas.touched[telescope, pixel] = True
                canvas.order[telescope, canvas.n_touched[telescope]] = pixel
                canvas.n_touched[telescope] += 1
    for i in range(canvas.n_touched[telescope]):
        pixel = canvas.order[telescope, i]
        n = canvas.charge[telescope, pixel]
        sigma = np.sqrt(optics.noise[0] + optics.noise[1] * n)
        canvas.charge[telescope, pixel] = n + sigma * normal(state, optics.normals)


@njit(cache=True, nogil=True, inline="always")
def clear(canvas, telescope):
    """Empty a camera."""
    for i in range(canvas.n_touched[telescope]):
        pixel = canvas.order[telescope, i]
        canvas.touched[telescope, pixel] = False
        canvas.charge[telescope, pixel] = 0.0
    canvas.n_touched[telescope] = 0


@njit(cache=True, nogil=True)
def start_shower(state, particle, energy, shower, air):
    """Follow one primary down. Returns the depth of the first interaction."""
    shower.n[:] = 0
    _start_axis(shower, 0.0, 0.0, 0.0, 0.0, 0.0)
    first = 0.0
    if particle <= 1:
        if particle == 0:
            # the first conversion here, so that its depth is known
            first = 9 / 7 * exponential(state)
            split = min(max(energy / 30, 3.0), 100.0)
            v = uniform(state)
            while uniform(state) > 1 - 4 / 3 * v * (1 - v):
                v = uniform(state)
            for part in (v * energy, (1 - v) * energy):
                follow_electromagnetic(
                    state, ELECTRON, part, first, split, shower.electrons[0], shower.stack, 0,
                    air.profiles,
                )  # fmt: skip
        else:
            split = min(max(energy / 30, 3.0), 100.0)
            follow_electromagnetic(
                state, ELECTRON, energy, 0.0, split, shower.electrons[0], shower.stack, 0,
                air.profiles,
            )  # fmt: skip
    elif particle == 5:
        row = shower.muon[0]
        row[:] = 0.0
        # muons that hit the array were born some kilometres up; the light is from the last part
        row[4], row[5] = air.distance[2], energy
        shower.n[1] = 1
    else:
        nucleons = 4 if particle == 402 else 1
        first = 1e30
        for _ in range(nucleons):
            depth = _draw_interaction(state, energy / nucleons, 0)
            if nucleons == 4:
                depth *= 0.5  # helium is larger: cross section about twice a proton's
            if depth < air.grid[0, -1]:
                follow_hadron(state, shower, energy / nucleons, depth, air.grid, air.profiles)
            first = min(first, depth)
    settle(state, shower, air.ages)
    return first


def reserve(n_telescopes: int, n_pixels: int, n_bins: int) -> Canvas:
    """Make empty cameras."""
    shape = (n_telescopes, n_pixels)
    return Canvas(
        np.zeros(shape), np.zeros(shape, np.bool_), np.zeros(shape, np.int64),
        np.zeros(n_telescopes, np.int64), np.zeros(n_bins),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def throw_showers(
    seed, first_shower, particle, energies, n_uses, limits, directions,
    air, optics, shower, canvas, output,
):  # fmt: skip
    """Throw showers until the list or the room is used up.

    Parameters
    ----------
    limits : ndarray
        Light expected of the merged shower [p.e.], and in how many telescopes; charge [p.e.] and
        number of pixels of a camera that triggers, and cameras; how far [deg] the centre of that
        light may be from the camera's centre; light [p.e.] below which a camera stays empty;
        sum of the charges above the trigger's [p.e.].
    directions : ndarray, shape (3,)
        Offset of the source from the pointing in x and y [deg], radius of the cone [deg].

    Returns
    -------
    n_showers, n_events, n_images, n_pixels : int
    """
    state = np.empty(2, np.uint64)
    n_telescopes = optics.telescopes.shape[0]
    whole = shower.filled.shape[0] - 1
    lights = np.zeros(n_telescopes)
    n_events, n_images, n_pixels = 0, 0, 0
    room = n_telescopes * optics.pixel_x.size
    for s in range(energies.size):
        if (
            n_events + n_uses > output.event.shape[0]
            or n_images + n_uses * n_telescopes > output.image_event.size
            or n_pixels + n_uses * room > output.pixel.size
        ):
            return s, n_events, n_images, n_pixels
        energy = energies[s]
        start_stream(state, seed, first_shower + s)
        first = start_shower(state, particle, energy, shower, air)
        radius = find_radius(energy)
        if particle == 5:
            radius = 30.0 + 100.0
        for use in range(n_uses):
            r = radius * np.sqrt(uniform(state))
            phi = 2 * np.pi * uniform(state)
            core_x, core_y = r * np.cos(phi), r * np.sin(phi)
            r = directions[2] * np.sqrt(uniform(state))
            phi = 2 * np.pi * uniform(state)
            tx = (directions[0] + r * np.cos(phi)) / RAD
            ty = (directions[1] + r * np.sin(phi)) / RAD
            n_bright = 0
            for t in range(n_telescopes):
                dx = core_x - optics.telescopes[t, 0]
                dy = core_y - optics.telescopes[t, 1]
                light, inverse = expect_centroid(shower, whole, np.sqrt(dx * dx + dy * dy), air)
                lights[t] = light * optics.pe_per_photon[t]
                x, y = (tx + dx * inverse) * RAD, (ty + dy * inverse) * RAD
                if particle == 5 or (lights[t] > limits[0] and x * x + y * y < limits[5] ** 2):
                    n_bright += 1
            if n_bright < limits[1]:
                continue
            n_triggered = 0
            order = np.argsort(-lights)
            for place in range(n_telescopes):
                if n_triggered + n_telescopes - place < limits[4]:
                    break  # the brightest have failed: the others cannot make up for it
                t = order[place]
                if particle != 5 and lights[t] < limits[6]:
                    continue
                tel_x, tel_y = optics.telescopes[t, 0], optics.telescopes[t, 1]
                for axis in range(shower.n[0]):
                    draw_axis(
                        state, shower, axis, core_x + shower.origin[axis, 0] - tel_x,
                        core_y + shower.origin[axis, 1] - tel_y, tx + shower.slope[axis, 0],
                        ty + shower.slope[axis, 1], t, air, optics, canvas,
                    )  # fmt: skip
                for m in range(shower.n[1]):
                    muon = shower.muon[m]
                    draw_muon(
                        state, muon, core_x + muon[0] - tel_x, core_y + muon[1] - tel_y,
                        tx + muon[2], ty + muon[3], t, air, optics, canvas,
                    )  # fmt: skip
                add_noise(state, canvas, t, optics)
                n_high, bright = 0, 0.0
                for i in range(canvas.n_touched[t]):
                    charge = canvas.charge[t, canvas.order[t, i]]
                    if charge > limits[2]:
                        n_high += 1
                        bright += charge
                if n_high >= limits[3] and bright >= limits[7]:
                    n_triggered += 1
            if n_triggered >= limits[4]:
                for t in range(n_telescopes):
                    output.image_start[n_images] = n_pixels
                    for pixel in range(optics.pixel_x.size):  # in order, as readers list them
                        if canvas.touched[t, pixel]:
                            output.pixel[n_pixels] = pixel
                            output.charge[n_pixels] = canvas.charge[t, pixel]
                            n_pixels += 1
                    output.image_event[n_images] = n_events
                    output.image_telescope[n_images] = t
                    n_images += 1
                row = output.event[n_events]
                row[0], row[1] = first_shower + s, use
                row[2], row[3], row[4], row[5] = core_x, core_y, tx * RAD, ty * RAD
                row[6] = energy
                row[7] = find_distance(first, air.grid) if first < air.grid[0, -1] else 0.0
                n_events += 1
            for t in range(n_telescopes):
                clear(canvas, t)
    return energies.size, n_events, n_images, n_pixels


@njit(cache=True, nogil=True)
def find_radius(energy):
    """Radius [m] of the disc that cores are thrown in."""
    return min(max(200.0 + 120.0 * np.log10(energy / 100.0), 120.0), 450.0)
