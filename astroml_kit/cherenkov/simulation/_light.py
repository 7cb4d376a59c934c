"""Compiled loops from the light of one shower to the pixels of one camera."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ._physics import MIRROR_RADIUS, PSF_GROWTH, PSF_SIGMA
from ._random import N_QUANTILES, draw_bits, exponential, normal, uniform

RAD = 180 / np.pi
MUON_MASS, MUON_LOSS, MUON_STEP = 0.10566, 0.0002, 50.0  # GeV, GeV/m in thin air, m
FAINT = 0.5  # p.e.
_MASK = np.uint64(N_QUANTILES - 1)
_BITS = np.uint64(11)
_U = np.uint64


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
    neighbours : ndarray of int32, shape (n_pixels, n_max)
        -1 where there are fewer.
    raster : ndarray of int16, shape (n_y, n_x)
        Pixel at the centre of each cell of a fine grid; -1 for none.
    corner : ndarray, shape (3,)
        x and y of the raster's lower left corner [deg], cells per degree.
    normals, exponentials : ndarray of float32
        Quantiles.
    """

    telescopes: np.ndarray
    pe_per_photon: np.ndarray
    noise: np.ndarray
    neighbours: np.ndarray
    raster: np.ndarray
    corner: np.ndarray
    normals: np.ndarray
    exponentials: np.ndarray


class Air(NamedTuple):
    """Atmosphere and photon table as the kernels want them.

    Parameters
    ----------
    inverse : ndarray
        1 / distance of the bins of depth [1/m], of near ones 1 / `NEAREST`.
    zone : ndarray of int
        Zone of impact distance of each impact bin.
    peak : ndarray, shape (n_depths, n_ages, n_zones)
        Largest density in a zone.
    ring_start : ndarray
        Distance [m] from which on a muon at each metre of impact can light a mirror.
    """

    distance: np.ndarray
    inverse: np.ndarray
    theta_max: np.ndarray
    photons: np.ndarray
    edges: np.ndarray
    ring_start: np.ndarray
    grid: np.ndarray
    density: np.ndarray
    zone: np.ndarray
    peak: np.ndarray
    offset: np.ndarray
    ages: np.ndarray
    impact_bin: float
    offset_step: float
    profiles: np.ndarray


class Camera(NamedTuple):
    """Charges of a camera while an event is drawn, and which pixels were touched."""

    charge: np.ndarray
    touched: np.ndarray
    order: np.ndarray
    n_touched: np.ndarray


def reserve(n_telescopes: int, n_pixels: int) -> Camera:
    """Make empty cameras; the first axis is the telescope."""
    shape = (n_telescopes, n_pixels)
    return Camera(
        np.zeros(shape), np.zeros(shape, np.bool_), np.zeros(shape, np.int64),
        np.zeros(n_telescopes, np.int64),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def find_pixel(x, y, raster, corner):
    """Pixel that holds a point [deg], -1 outside the camera."""
    i, j = (x - corner[0]) * corner[2], (y - corner[1]) * corner[2]
    if i < 0 or j < 0 or i >= raster.shape[1] or j >= raster.shape[0]:
        return -1
    return raster[int(j), int(i)]


@njit(cache=True, nogil=True)
def expect_light(electrons, axis, filled, impact, impact_bin, density, inverse):
    """Photons per m2 at an impact distance [m], and their mean inverse distance [1/m]."""
    position = max(impact / impact_bin - 0.5, 0.0)
    j = int(position)
    if j >= density.shape[0] - 1:
        return 0.0, 0.0
    part = position - j
    total, weighted = 0.0, 0.0
    for k in range(filled[axis, 0], filled[axis, 1]):
        age = int(electrons[axis, 1, k])
        light = density[j, k, age]
        light = electrons[axis, 0, k] * (light + part * (density[j + 1, k, age] - light))
        total += light
        weighted += light * inverse[k]
    return total, weighted / max(total, 1e-30)


@njit(cache=True, nogil=True)
def _collect(x, y, weight, bits, optics, camera, t):
    """Put a photo-electron that arrives at (x, y) [rad] into its pixel; 22 bits blur it."""
    x, y = x * RAD, y * RAD
    sigma = PSF_SIGMA * (1 + PSF_GROWTH * (x * x + y * y))
    x += sigma * optics.normals[bits & _MASK]
    y += sigma * optics.normals[(bits >> _BITS) & _MASK]
    pixel = find_pixel(x, y, optics.raster, optics.corner)
    if pixel >= 0:
        if camera.charge[t, pixel] == 0.0:
            camera.touched[t, pixel] = True
            camera.order[t, camera.n_touched[t]] = pixel
            camera.n_touched[t] += 1
        camera.charge[t, pixel] += weight


@njit(cache=True, nogil=True)
def draw_axes(state, shower, core_x, core_y, tx, ty, weight, air, optics, camera, t):
    """Draw the light of all axes in a camera: one Poisson process along bin after bin.

    Of faint axes, the most, only a bound to their light is looked up; what the process finds
    below the bound is light with the probability light / bound.

    Parameters
    ----------
    core_x, core_y, tx, ty : float
        Of the primary [m, rad].
    weight : float
        Photo-electrons that each one that is followed stands for.
    """
    electrons, filled, origin, slope = shower.electrons, shower.filled, shower.origin, shower.slope
    density, offset, edges, step = air.density, air.offset, air.edges, air.offset_step
    foot_x, foot_y = core_x - optics.telescopes[t, 0], core_y - optics.telescopes[t, 1]
    scale = optics.pe_per_photon[t] / weight
    per_bin = 1 / air.impact_bin
    left = exponential(state)
    for axis in range(shower.n[0]):
        dx, dy = foot_x + origin[axis, 0], foot_y + origin[axis, 1]
        impact = np.sqrt(dx * dx + dy * dy)
        position = max(impact * per_bin - 0.5, 0.0)
        j = int(position)
        if j >= density.shape[0] - 1:
            continue
        most = scale * shower.bound[axis, air.zone[j]]
        is_faint = most < FAINT
        if is_faint and most < left:
            left -= most
            continue
        part = position - j
        nearest = int(impact * per_bin)
        k, last = filled[axis, 0], filled[axis, 1]
        searched = left
        while k < last:
            age = int(electrons[axis, 1, k])
            light = density[j, k, age]
            light += part * (density[j + 1, k, age] - light)
            light *= scale * electrons[axis, 0, k]
            while light > searched:
                bits = draw_bits(state)
                slot = (bits >> _BITS) & _U(63)
                along = offset[nearest, k, age, slot, 0] * step
                across = offset[nearest, k, age, slot, 1] * step
                inside = ((bits >> _U(17)) & _U(0xFFFF)) * (1 / 65536)
                inverse = 1 / (edges[k + 1] + inside * (edges[k] - edges[k + 1]))
                x, y = dx, dy
                if impact > 0:  # from the axis towards the telescope
                    x -= (along * dx - across * dy) / impact
                    y -= (along * dy + across * dx) / impact
                x, y = tx + slope[axis, 0] + x * inverse, ty + slope[axis, 1] + y * inverse
                _collect(x, y, weight, bits >> _U(33), optics, camera, t)
                searched += optics.exponentials[bits & _MASK]
            searched -= light
            most -= light
            k += 1
        # Where a faint axis ends below its bound the process runs through the empty rest: what
        # it finds there is nothing, and it goes on from behind the bound without memory.
        left = searched
        if is_faint:
            left = searched - most if searched > most else exponential(state)


@njit(cache=True, nogil=True)
def draw_muons(state, shower, core_x, core_y, tx, ty, air, optics, camera, t):
    """Draw the rings and arcs of all muons in a camera, in steps of 50 m along them."""
    # the atmosphere's photons are for all of a ring and a square metre of mirror of efficiency 1
    efficiency = optics.pe_per_photon[t] / (np.pi * MIRROR_RADIUS**2)
    foot_x, foot_y = core_x - optics.telescopes[t, 0], core_y - optics.telescopes[t, 1]
    left = exponential(state)
    for m in range(shower.n[1]):
        muon = shower.muon[m]
        dx, dy = foot_x + muon[0], foot_y + muon[1]
        impact2 = dx * dx + dy * dy
        if impact2 >= air.ring_start.size**2:
            continue
        impact = np.sqrt(impact2)
        distance = air.ring_start[int(impact)]
        if distance >= muon[4]:
            continue
        away = np.arctan2(-dy, -dx)  # of the telescope as seen from the foot
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
                    break  # rings grow upwards
                if impact - ring < MIRROR_RADIUS:
                    half = np.pi
                    if impact + ring > MIRROR_RADIUS:
                        cosine = (impact2 + ring**2 - MIRROR_RADIUS**2) / (2 * impact * ring)
                        half = np.arccos(min(max(cosine, -1.0), 1.0))
                    length = MUON_STEP / (air.edges[k] - air.edges[k + 1])
                    left -= air.photons[k] * length * (1 - ratio) * half / np.pi * efficiency
                    while left < 0:
                        phi = away + half * (2 * uniform(state) - 1)
                        x = tx + muon[2] - cone * np.cos(phi)
                        y = ty + muon[3] - cone * np.sin(phi)
                        bits = draw_bits(state)
                        left += optics.exponentials[bits & _MASK]
                        _collect(x, y, 1.0, bits >> _BITS, optics, camera, t)
            distance += MUON_STEP


@njit(cache=True, nogil=True)
def add_noise(state, optics, camera, t):
    """Noise on the touched pixels and their neighbours; the rest stays empty."""
    n_lit = camera.n_touched[t]
    n = n_lit
    for i in range(n_lit):
        lit = camera.order[t, i]
        for place in range(optics.neighbours.shape[1]):
            pixel = optics.neighbours[lit, place]
            if pixel >= 0 and not camera.touched[t, pixel]:
                camera.touched[t, pixel] = True
                camera.order[t, n] = pixel
                n += 1
    camera.n_touched[t] = n
    for i in range(n):
        pixel = camera.order[t, i]
        charge = camera.charge[t, pixel]
        sigma = np.sqrt(optics.noise[0] + optics.noise[1] * charge)
        camera.charge[t, pixel] = charge + sigma * normal(state, optics.normals)


@njit(cache=True, nogil=True)
def clear(camera, t):
    """Empty a camera."""
    for i in range(camera.n_touched[t]):
        pixel = camera.order[t, i]
        camera.touched[t, pixel] = False
        camera.charge[t, pixel] = 0.0
    camera.n_touched[t] = 0
