"""Compiled loops from the light of one shower to the pixels of one camera."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ._cascades import follow_neutral
from ._physics import MIRROR_RADIUS, PSF_GROWTH, PSF_SIGMA
from ._random import N_QUANTILES, draw_bits, exponential, normal

RAD = 180 / np.pi
MUON_MASS, MUON_LOSS = 0.10566, 0.0002  # GeV, GeV/m in thin air
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
    soft : ndarray, shape (n_energies, n_starts, n_zones)
        More photons per m2 and GeV than a pi0 below `LOWEST_SPLIT` can have.
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
    soft: np.ndarray
    offset: np.ndarray
    ages: np.ndarray
    impact_bin: float
    offset_step: float
    n_stored: int
    profiles: np.ndarray


class Camera(NamedTuple):
    """Charges of the cameras while an event is drawn, and which pixels were touched.

    Parameters
    ----------
    found : ndarray of int, shape (n, 4)
        Room for photo-electrons on their way to a pixel: axis, bin of depth, row of the stored
        places, random bits.
    """

    charge: np.ndarray
    touched: np.ndarray
    order: np.ndarray
    n_touched: np.ndarray
    found: np.ndarray


def reserve(n_telescopes: int, n_pixels: int) -> Camera:
    """Make empty cameras; the first axis is the telescope."""
    shape = (n_telescopes, n_pixels)
    return Camera(
        np.zeros(shape), np.zeros(shape, np.bool_), np.zeros(shape, np.int64),
        np.zeros(n_telescopes, np.int64), np.zeros((1024, 4), np.int64),
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
    electrons, filled, origin = shower.electrons, shower.filled, shower.origin
    density, found = air.density, camera.found
    n_depths, n_ages, n_stored = density.shape[1], density.shape[2], air.n_stored
    foot_x, foot_y = core_x - optics.telescopes[t, 0], core_y - optics.telescopes[t, 1]
    scale = optics.pe_per_photon[t] / weight
    per_bin = 1 / air.impact_bin
    n = 0
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
        if shower.neutral[axis, 0] > 0:
            follow_neutral(shower, axis, 0, air)
        part = position - j
        nearest = int(impact * per_bin)
        searched = left
        for k in range(filled[axis, 0], filled[axis, 1]):
            age = int(electrons[axis, 1, k])
            light = density[j, k, age]
            light += part * (density[j + 1, k, age] - light)
            light *= scale * electrons[axis, 0, k]
            while light > searched:
                bits = draw_bits(state)
                searched += optics.exponentials[bits & _MASK]
                if n == found.shape[0]:
                    _place(found, n, foot_x, foot_y, tx, ty, weight, shower, air, optics, camera, t)
                    n = 0
                found[n, 0], found[n, 1] = axis, k
                found[n, 2] = ((nearest * n_depths + k) * n_ages + age) * n_stored
                found[n, 3] = bits >> _BITS
                n += 1
            searched -= light
            most -= light
        # Where a faint axis ends below its bound the process runs through the empty rest: what
        # it finds there is nothing, and it goes on from behind the bound without memory.
        left = searched
        if is_faint:
            left = searched - most if searched > most else exponential(state)
    _place(found, n, foot_x, foot_y, tx, ty, weight, shower, air, optics, camera, t)


@njit(cache=True, nogil=True)
def _place(found, n, foot_x, foot_y, tx, ty, weight, shower, air, optics, camera, t):
    """Put photo-electrons of the axes into their pixels.

    In a loop of its own: the places that they come from are scattered over memory, and the
    processor waits for many of them at a time.
    """
    origin, slope, offset, edges = shower.origin, shower.slope, air.offset, air.edges
    for i in range(n):
        axis, k, bits = found[i, 0], found[i, 1], _U(found[i, 3])
        place = found[i, 2] + np.int64(bits & _U(air.n_stored - 1))
        along, across = offset[place, 0] * air.offset_step, offset[place, 1] * air.offset_step
        dx, dy = foot_x + origin[axis, 0], foot_y + origin[axis, 1]
        # from the axis towards the telescope
        per_impact = 1 / max(np.sqrt(dx * dx + dy * dy), 1e-9)
        inside = ((bits >> _U(6)) & _U(0xFFFF)) * (1 / 65536)
        inverse = 1 / (edges[k + 1] + inside * (edges[k] - edges[k + 1]))
        x = dx - (along * dx - across * dy) * per_impact
        y = dy - (along * dy + across * dx) * per_impact
        x, y = tx + slope[axis, 0] + x * inverse, ty + slope[axis, 1] + y * inverse
        _collect(x, y, weight, bits >> _U(22), optics, camera, t)


@njit(cache=True, nogil=True)
def _find_cone(muon, distance, theta_max):
    """Cherenkov angle of a muon [rad], and its light relative to one at the speed of light."""
    energy = max(muon[5] - MUON_LOSS * (muon[4] - distance), MUON_MASS)
    shining = max(1 - (MUON_MASS / energy / theta_max) ** 2, 0.0)
    return theta_max * np.sqrt(shining), shining


@njit(cache=True, nogil=True)
def draw_muons(state, shower, core_x, core_y, tx, ty, air, optics, camera, t):
    """Draw the rings and arcs of all muons in a camera: a Poisson process along their tracks.

    It runs as if the mirror always covered the most of the ring that it can, and what it finds
    is light with the probability covered part / most.
    """
    # the atmosphere's photons are for all of a ring and a square metre of mirror of efficiency 1
    # (one pi is the ring's half)
    efficiency = optics.pe_per_photon[t] / (np.pi * MIRROR_RADIUS) ** 2
    foot_x, foot_y = core_x - optics.telescopes[t, 0], core_y - optics.telescopes[t, 1]
    left = exponential(state)
    for m in range(shower.n[1]):
        muon = shower.muon[m]
        dx, dy = foot_x + muon[0], foot_y + muon[1]
        impact2 = dx * dx + dy * dy
        if impact2 >= (air.ring_start.size - 1) ** 2:
            continue
        impact = np.sqrt(impact2)
        distance, birth = air.ring_start[int(impact)], muon[4]
        most = np.arcsin(MIRROR_RADIUS / impact) if impact > MIRROR_RADIUS else np.pi
        # of the telescope as seen from the foot
        to_x, to_y = (-dx / impact, -dy / impact) if impact > 0 else (1.0, 0.0)
        k = air.distance.size - 1
        while k > 0 and air.edges[k] <= distance:
            k -= 1
        is_over = False
        while distance < birth and not is_over:
            top = min(air.edges[k], birth) if k > 0 else birth
            cone, _ = _find_cone(muon, top, air.theta_max[k])
            if top * cone >= impact - MIRROR_RADIUS:  # else not yet: rings grow upwards
                rate = air.photons[k] / (air.edges[k] - air.edges[k + 1]) * most * efficiency
                while distance + left / rate < top:
                    distance += left / rate
                    bits = draw_bits(state)
                    left = optics.exponentials[bits & _MASK]
                    cone, shining = _find_cone(muon, distance, air.theta_max[k])
                    ring = distance * cone
                    if ring - impact >= MIRROR_RADIUS:
                        is_over = True
                        break
                    if ((bits >> _U(33)) & _U(0x7FFF)) * (1 / 32768) >= shining:
                        continue
                    psi = most * (((bits >> _U(48)) * (2 / 65536)) - 1)
                    cosine = np.cos(psi)
                    miss2 = ring * ring + impact2 - 2 * ring * impact * cosine
                    if miss2 < MIRROR_RADIUS**2:
                        sine = np.sin(psi)
                        x = tx + muon[2] - cone * (to_x * cosine - to_y * sine)
                        y = ty + muon[3] - cone * (to_y * cosine + to_x * sine)
                        _collect(x, y, 1.0, bits >> _BITS, optics, camera, t)
                if not is_over:
                    left -= rate * (top - distance)
            distance = top
            k = max(k - 1, 0)


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
