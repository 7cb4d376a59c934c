"""Cherenkov telescopes: event tables in, features and ON/OFF counts out."""

from ._known_sources import read_known_sources
from ._regions import NoOffRegionError, ReflectedRegions, find_reflected_regions
from ._rotations import RotatedDiscs, find_rotated_discs
from ._schema import EventDataWarning, EventFileError
from .features import extract_samples, list_features
from .io import iter_events, read_events, write_events
from .irfs import IRFs, read_irfs
from .observations import Observation, Observations, read_observations
from .on_off import OnOffTable, count_on_off
from .scaling import ScalingTables
from .stereo import reconstruct_stereo

__all__ = [
    "EventDataWarning",
    "EventFileError",
    "IRFs",
    "NoOffRegionError",
    "Observation",
    "Observations",
    "OnOffTable",
    "ReflectedRegions",
    "RotatedDiscs",
    "ScalingTables",
    "count_on_off",
    "extract_samples",
    "find_reflected_regions",
    "find_rotated_discs",
    "iter_events",
    "list_features",
    "read_events",
    "read_irfs",
    "read_known_sources",
    "read_observations",
    "reconstruct_stereo",
    "write_events",
]
