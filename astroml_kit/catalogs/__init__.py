"""Catalogues: read with coordinates, matched on the sphere, with the probability of a match."""

from .._tev_sources import list_tev_sources
from .associations import evaluate_matches
from .friends import find_friends
from .groups import Groups, find_groups
from .io import read_catalog
from .matching import FalseMatches, match_catalogs, measure_false_matches
from .ngc import list_ngc_objects
from .positions import propagate_coordinates
from .simulation import simulate_galaxies

__all__ = [
    "FalseMatches",
    "Groups",
    "evaluate_matches",
    "find_friends",
    "find_groups",
    "list_ngc_objects",
    "list_tev_sources",
    "match_catalogs",
    "measure_false_matches",
    "propagate_coordinates",
    "read_catalog",
    "simulate_galaxies",
]
