"""Counts in, numbers out: Li & Ma, upper limits, stacking, trials and the gain of a selection."""

from .counts import OnOffCounts, stack_counts
from .gain import DetectionGain, PlainSignificance, compare_selections
from .li_ma import expected_exposure, expected_significance, li_ma_significance
from .likelihood import binned_significance, fit_strength
from .score_bins import CalibratedSignificance, ScoreBins, resample_significance
from .trials import (
    EffectiveTrials,
    correct_for_trials,
    correct_significance,
    find_effective_trials,
    p_value_from_significance,
    significance_from_p_value,
)

__all__ = [
    "CalibratedSignificance",
    "DetectionGain",
    "EffectiveTrials",
    "OnOffCounts",
    "PlainSignificance",
    "ScoreBins",
    "binned_significance",
    "compare_selections",
    "correct_for_trials",
    "correct_significance",
    "expected_exposure",
    "expected_significance",
    "find_effective_trials",
    "fit_strength",
    "li_ma_significance",
    "p_value_from_significance",
    "resample_significance",
    "significance_from_p_value",
    "stack_counts",
]
