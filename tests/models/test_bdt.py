"""Boosted trees keep scikit-learn's contract, are repeatable, and know their feature names."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from astroml_kit.models import BandedClassifier, BDTClassifier, BDTRegressor
from astroml_kit.samples import Samples

# Every check that cannot pass, with its reason.
EARLY_STOPPING_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "the rows held out for early stopping are drawn by row: a weight of 2 is not two rows"
    ),
}


@parametrize_with_checks(
    [
        BDTClassifier(n_estimators=30, learning_rate=0.1),
        BDTClassifier(n_estimators=15, learning_rate=0.1, linear_leaves=True, n_bags=2),
        BDTClassifier(n_estimators=30, learning_rate=0.1, early_stopping=True),
        BDTRegressor(n_estimators=60, learning_rate=0.1),
        BandedClassifier(BDTClassifier(n_estimators=30, learning_rate=0.1)),
    ],
    expected_failed_checks=lambda estimator: (
        EARLY_STOPPING_FAILURES if getattr(estimator, "early_stopping", False) else {}
    ),
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
