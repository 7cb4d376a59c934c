"""Cherenkov telescopes: event tables in, features and ON/OFF counts out."""

from ._acceptance import Acceptance, fit_acceptance
from ._dl3_extract import SimulatedIRFs, extract_irfs
from ._dl3_thrown import ThrownSpectrum
from ._image_batches import RaggedImages
from ._known_sources import read_known_sources
from ._map_null import NullFit
from ._map_result import SignificanceMap
from ._regions import NoOffRegionError, ReflectedRegions, find_reflected_regions
from ._rotations import RotatedDiscs, find_rotated_discs
from ._schema import EventDataWarning, EventFileError
from ._stereo_evaluation import evaluate_reconstruction
from .camera_arrays import CameraGrid, extract_image_arrays
from .cameras import CameraGeometry, read_camera
from .dl3 import write_irfs, write_observations
from .features import extract_samples, list_features
from .images import clean_images, extract_hillas
from .io import iter_events, read_events, write_events
from .irfs import IRFs, read_irfs
from .learned import DirectionRegressor, EnergyRegressor, train_direction, train_energy
from .likelihood_maps import LikelihoodMap, map_likelihood, search_likelihood
from .observations import Observation, Observations, read_observations
from .on_off import OnOffTable, count_on_off
from .scaling import ScalingTables
from .selection import BoxCut, select_standard
from .simulation import (
    Source,
    list_physics,
    plan_wobble,
    simulate_observations,
    simulate_showers,
)
from .sky_maps import map_significance
from .source_finding import find_sources
from .stereo import reconstruct_stereo

__all__ = [
    "Acceptance",
    "BoxCut",
    "CameraGeometry",
    "CameraGrid",
    "DirectionRegressor",
    "EnergyRegressor",
    "EventDataWarning",
    "EventFileError",
    "IRFs",
    "LikelihoodMap",
    "NoOffRegionError",
    "NullFit",
    "Observation",
    "Observations",
    "OnOffTable",
    "RaggedImages",
    "ReflectedRegions",
    "RotatedDiscs",
    "ScalingTables",
    "SignificanceMap",
    "SimulatedIRFs",
    "Source",
    "ThrownSpectrum",
    "clean_images",
    "count_on_off",
    "evaluate_reconstruction",
    "extract_hillas",
    "extract_image_arrays",
    "extract_irfs",
    "extract_samples",
    "find_reflected_regions",
    "find_rotated_discs",
    "find_sources",
    "fit_acceptance",
    "iter_events",
    "list_features",
    "list_physics",
    "map_likelihood",
    "map_significance",
    "plan_wobble",
    "read_camera",
    "read_events",
    "read_irfs",
    "read_known_sources",
    "read_observations",
    "reconstruct_stereo",
    "search_likelihood",
    "select_standard",
    "simulate_observations",
    "simulate_showers",
    "train_direction",
    "train_energy",
    "write_events",
    "write_irfs",
    "write_observations",
]
