"""A fast toy of air showers and of fields of view, with the tables that readers return."""

from ._physics import list_physics
from .showers import ThrownShowers, find_background_rate, iter_showers, simulate_showers

__all__ = [
    "ThrownShowers",
    "find_background_rate",
    "iter_showers",
    "list_physics",
    "simulate_showers",
]
