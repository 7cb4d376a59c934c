"""Light curves: one or thousands of them, with time scale, errors, bands and masks."""

from .curves import LightCurve, LightCurves
from .io import read_lightcurves, write_lightcurves

__all__ = ["LightCurve", "LightCurves", "read_lightcurves", "write_lightcurves"]
