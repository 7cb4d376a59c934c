"""Cherenkov telescopes: event tables in, features and ON/OFF counts out."""

from ._schema import EventDataWarning, EventFileError
from .io import iter_events, read_events, write_events
from .irfs import IRFs, read_irfs
from .observations import Observation, Observations, read_observations

__all__ = [
    "EventDataWarning",
    "EventFileError",
    "IRFs",
    "Observation",
    "Observations",
    "iter_events",
    "read_events",
    "read_irfs",
    "read_observations",
    "write_events",
]
