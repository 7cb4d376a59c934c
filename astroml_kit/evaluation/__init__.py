"""Evaluation: splits by group, ROC at fixed background, calibration, results per band."""

from ._roc import BACKGROUNDS
from .classifier import ClassifierEvaluation, evaluate_classifier
from .cross_validation import CrossValidation, cross_validate
from .regressor import RegressorEvaluation, evaluate_regressor
from .splits import RepeatedGroupKFold

__all__ = [
    "BACKGROUNDS",
    "ClassifierEvaluation",
    "CrossValidation",
    "RegressorEvaluation",
    "RepeatedGroupKFold",
    "cross_validate",
    "evaluate_classifier",
    "evaluate_regressor",
]
