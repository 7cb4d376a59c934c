"""Catalogues: matched on the sphere, with the probability of each match and of a false one."""

from .associations import evaluate_matches
from .matching import FalseMatches, match_catalogs, measure_false_matches
from .positions import propagate_coordinates

__all__ = [
    "FalseMatches",
    "evaluate_matches",
    "match_catalogs",
    "measure_false_matches",
    "propagate_coordinates",
]
