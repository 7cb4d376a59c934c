"""Catalogues: read with coordinates, matched on the sphere, with the probability of a match."""

from .associations import evaluate_matches
from .io import read_catalog
from .matching import FalseMatches, match_catalogs, measure_false_matches
from .positions import propagate_coordinates

__all__ = [
    "FalseMatches",
    "evaluate_matches",
    "match_catalogs",
    "measure_false_matches",
    "propagate_coordinates",
    "read_catalog",
]
