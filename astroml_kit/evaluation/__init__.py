"""Evaluation: splits by group, ROC at fixed background, calibration, coverage, per band."""

from ._roc import BACKGROUNDS
from .classifier import ClassifierEvaluation, evaluate_classifier
from .cross_validation import CrossValidation, cross_validate
from .regressor import RegressorEvaluation, evaluate_regressor
from .splits import RepeatedGroupKFold
from .uncertainty import (
    IntervalEvaluation,
    SetEvaluation,
    evaluate_intervals,
    evaluate_sets,
)

__all__ = [
    "BACKGROUNDS",
    "ClassifierEvaluation",
    "CrossValidation",
    "IntervalEvaluation",
    "RegressorEvaluation",
    "RepeatedGroupKFold",
    "SetEvaluation",
    "cross_validate",
    "evaluate_classifier",
    "evaluate_intervals",
    "evaluate_regressor",
    "evaluate_sets",
]
