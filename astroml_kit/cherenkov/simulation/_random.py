"""Random numbers inside compiled loops: one stream per shower, whatever runs before it."""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy.special import ndtri

# Quantiles for look-up: many times as fast as a logarithm or Box and Muller, and the tails that
# are cut off (3.5 sigma, 8.3 means) hold nothing that an image shows. 8 kB each stay in the cache.
N_QUANTILES = 1 << 11
_LEVELS = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
NORMAL = (ndtri(_LEVELS) / ndtri(_LEVELS).std()).astype(np.float32)
EXPONENTIAL = (np.log1p(-_LEVELS) / np.log1p(-_LEVELS).mean()).astype(np.float32)


@njit(cache=True, nogil=True, inline="always")
def mix(x):
    """One step of splitmix64 (Steele, Lea & Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True)
def start_stream(state, seed, number):
    """Set ``state`` (uint64[2]) to the stream of shower ``number``."""
    a = mix(np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15))
    b = mix(a ^ (np.uint64(number) + np.uint64(0x632BE59BD9B4E019)))
    state[0] = mix(b + np.uint64(0x9E3779B97F4A7C15))
    state[1] = mix(b + np.uint64(0x3C6EF372FE94F82A))


@njit(cache=True, nogil=True, inline="always")
def draw_bits(state):
    """Next 64 bits of xorshift128+ (Vigna 2017, doi:10.1016/j.cam.2016.11.006)."""
    x, y = state[0], state[1]
    state[0] = y
    x ^= x << np.uint64(23)
    state[1] = x ^ y ^ (x >> np.uint64(17)) ^ (y >> np.uint64(26))
    return state[1] + y


@njit(cache=True, nogil=True, inline="always")
def uniform(state):
    """Uniform in (0, 1), both ends out."""
    return ((draw_bits(state) >> np.uint64(12)) + 0.5) * (1.0 / 4503599627370496.0)


@njit(cache=True, nogil=True, inline="always")
def exponential(state):
    """Exponential with mean 1."""
    return -np.log(uniform(state))


@njit(cache=True, nogil=True, inline="always")
def normal(state, table):
    """Standard normal; ``table`` is `NORMAL`."""
    return table[draw_bits(state) >> np.uint64(53)]
