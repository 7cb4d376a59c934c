"""Catalogues: read with coordinates, matched on the sphere, with the probability of a match."""

from .._tev_sources import list_tev_sources
from ._survey_groups_result import SurveyGroups
from ._survey_plan import SurveyPlan, measure_survey
from .associations import evaluate_matches
from .cluster_simulation import simulate_open_cluster
from .clusters import OpenCluster, find_cluster
from .density import measure_density
from .friends import find_friends
from .groups import Groups, find_groups
from .io import read_catalog
from .matching import FalseMatches, match_catalogs, measure_false_matches
from .ngc import list_ngc_objects
from .photometric_survey import simulate_photometry
from .photometry import extract_photometry
from .positions import propagate_coordinates
from .redshift_evaluation import RedshiftEvaluation, evaluate_redshifts
from .redshifts import RedshiftEstimator
from .simulation import simulate_galaxies
from .survey import map_survey, open_survey, write_survey

__all__ = [
    "FalseMatches",
    "Groups",
    "OpenCluster",
    "RedshiftEstimator",
    "RedshiftEvaluation",
    "SurveyGroups",
    "SurveyPlan",
    "evaluate_matches",
    "evaluate_redshifts",
    "extract_photometry",
    "find_cluster",
    "find_friends",
    "find_groups",
    "list_ngc_objects",
    "list_tev_sources",
    "map_survey",
    "match_catalogs",
    "measure_density",
    "measure_false_matches",
    "measure_survey",
    "open_survey",
    "propagate_coordinates",
    "read_catalog",
    "simulate_galaxies",
    "simulate_open_cluster",
    "simulate_photometry",
    "write_survey",
]
