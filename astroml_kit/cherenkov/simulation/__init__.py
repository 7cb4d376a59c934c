"""A fast toy of air showers and of fields of view, with the tables that readers return."""

from ._physics import list_physics
from .field import Source, iter_observations, plan_wobble, simulate_observations, take_standard
from .library import ShowerLibrary, make_library, read_library
from .showers import ThrownShowers, find_background_rate, iter_showers, simulate_showers

__all__ = [
    "ShowerLibrary",
    "Source",
    "ThrownShowers",
    "find_background_rate",
    "iter_observations",
    "iter_showers",
    "list_physics",
    "make_library",
    "plan_wobble",
    "read_library",
    "simulate_observations",
    "simulate_showers",
    "take_standard",
]
