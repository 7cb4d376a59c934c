"""Light curves that nobody has observed: shapes, cadences and noise with known truth."""

from .build import simulate_lightcurves
from .shapes import KINDS
from .surveys import SURVEYS, Survey

__all__ = ["KINDS", "SURVEYS", "Survey", "simulate_lightcurves"]
