"""Light curves: one or thousands of them, with time scale, errors, bands and masks."""

from ._solar import measure_solar_proximity
from .augmentation import add_noise, redraw_lightcurves, resample_lightcurves
from .barycentre import BarycentreCheck, check_barycentre, correct_barycentre
from .binning import bin_lightcurves
from .classifier import LightCurveClassifier
from .cleaning import clean_lightcurves, detrend_lightcurves, mask_noisy, mask_outliers
from .curves import LightCurve, LightCurves
from .features import extract_features
from .folding import FoldedLightCurve, fold_lightcurves, mask_fold_outliers
from .forecast import (
    CurveForecast,
    ForecastEvaluation,
    compare_forecasts,
    evaluate_forecast,
    forecast_lightcurve,
)
from .injection import (
    Recovery,
    inject_transits,
    make_vetting_samples,
    match_transits,
    measure_recovery,
)
from .io import iter_lightcurves, read_lightcurves, write_lightcurves
from .mapping import map_lightcurves
from .periodogram import Periodogram, compute_periodogram, false_alarm_probability
from .periods import find_periods, join_periods
from .sequences import extract_hybrid, extract_phase_curves, extract_sequences
from .simulation import simulate_lightcurves
from .transit_shape import transit_duration, transit_flux
from .transits import find_transits, flatten_transits, join_lightcurves, mask_transits

__all__ = [
    "BarycentreCheck",
    "CurveForecast",
    "FoldedLightCurve",
    "ForecastEvaluation",
    "LightCurve",
    "LightCurveClassifier",
    "LightCurves",
    "Periodogram",
    "Recovery",
    "add_noise",
    "bin_lightcurves",
    "check_barycentre",
    "clean_lightcurves",
    "compare_forecasts",
    "compute_periodogram",
    "correct_barycentre",
    "detrend_lightcurves",
    "evaluate_forecast",
    "extract_features",
    "extract_hybrid",
    "extract_phase_curves",
    "extract_sequences",
    "false_alarm_probability",
    "find_periods",
    "find_transits",
    "flatten_transits",
    "fold_lightcurves",
    "forecast_lightcurve",
    "inject_transits",
    "iter_lightcurves",
    "join_lightcurves",
    "join_periods",
    "make_vetting_samples",
    "map_lightcurves",
    "mask_fold_outliers",
    "mask_noisy",
    "mask_outliers",
    "mask_transits",
    "match_transits",
    "measure_recovery",
    "measure_solar_proximity",
    "read_lightcurves",
    "redraw_lightcurves",
    "resample_lightcurves",
    "simulate_lightcurves",
    "transit_duration",
    "transit_flux",
    "write_lightcurves",
]
