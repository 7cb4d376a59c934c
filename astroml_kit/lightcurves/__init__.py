"""Light curves: one or thousands of them, with time scale, errors, bands and masks."""

from .curves import LightCurve, LightCurves
from .injection import (
    Recovery,
    inject_transits,
    make_vetting_samples,
    match_transits,
    measure_recovery,
)
from .io import iter_lightcurves, read_lightcurves, write_lightcurves
from .periods import (
    Periodogram,
    compute_periodogram,
    false_alarm_probability,
    find_periods,
    join_periods,
)
from .simulation import simulate_lightcurves
from .transit_shape import transit_duration, transit_flux
from .transits import find_transits, flatten_transits, join_lightcurves, mask_transits

__all__ = [
    "LightCurve",
    "LightCurves",
    "Periodogram",
    "Recovery",
    "compute_periodogram",
    "false_alarm_probability",
    "find_periods",
    "find_transits",
    "flatten_transits",
    "inject_transits",
    "iter_lightcurves",
    "join_lightcurves",
    "join_periods",
    "make_vetting_samples",
    "mask_transits",
    "match_transits",
    "measure_recovery",
    "read_lightcurves",
    "simulate_lightcurves",
    "transit_duration",
    "transit_flux",
    "write_lightcurves",
]
