"""What neural classifiers of tables, images and later sequences share: labels in, scores out."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from ..samples import Samples
from ._network_targets import read_labels, read_votes, weigh_classes, weigh_labels
from ._neural_estimator import NeuralEstimator
from ._votes import bound_logs

ONE_OF_MANY = ("multiclass", "votes")


class NetworkClassifier(ClassifierMixin, NeuralEstimator):
    """One logit for two classes, one per class for more, one per label where they are free.

    Where people have voted, the outputs are the logarithms of the concentrations of a Dirichlet
    distribution of the fractions.
    """

    class_weight: Any
    target: str = "labels"
    classes_: np.ndarray

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _fit_classes(
        self, X: np.ndarray, y: Any, sample_weight: Any, groups: np.ndarray | None
    ) -> None:
        """Train on checked inputs."""
        X, y, weight, groups = self._weigh_rows(X, y, sample_weight, groups)
        kind, self.classes_, target = (read_votes if self.target == "votes" else read_labels)(y)
        self.n_outputs_ = 1 if kind == "binary" else len(self.classes_)
        weight = weigh_classes(
            self.class_weight, kind=kind, classes=self.classes_, target=target, weight=weight
        )
        several = kind in ("multilabel", "votes")
        self._train(
            X,
            target,
            weight,
            groups,
            kind=kind,
            labels=None if several else target.astype(int).ravel(),
            label_weights=weigh_labels(self.class_weight, target) if kind == "multilabel" else (),
        )

    def decision_function(self, X: Any) -> np.ndarray:
        """Raw score: log-odds of ``classes_[1]``, or one column per class or label.

        With ``target="votes"``, the logarithms of the concentrations.

        Parameters
        ----------
        X : array_like or Samples
            Of the shape that the model was trained on.

        Returns
        -------
        ndarray, shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
        """
        check_is_fitted(self)
        score = self._run(self._check_rows(X))
        if self._kind == "votes":
            return bound_logs(score)
        return score[:, 0] if self._kind == "binary" else score

    def predict_proba(self, X: Any) -> np.ndarray:
        """Score in [0, 1] per class, or per label; a score until calibrated.

        With ``target="votes"``, the mean fraction of votes that each answer is expected to get.

        Returns
        -------
        ndarray, shape (n_samples, n_classes) or (n_samples, n_labels)
            Rows add up to one, except for independent labels.
        """
        score = self.decision_function(X)
        if self._kind in ONE_OF_MANY:
            return softmax(score, axis=1)
        signal = expit(score)
        return signal if self._kind == "multilabel" else np.column_stack([1 - signal, signal])

    def predict(self, X: Any) -> np.ndarray:
        """Return the label with the largest score, or 0 and 1 for each independent label."""
        score = self.decision_function(X)
        if self._kind == "multilabel":
            return (score > 0).astype(int)
        best = score.argmax(axis=1) if self._kind in ONE_OF_MANY else (score > 0).astype(int)
        return self.classes_[best]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy, as scikit-learn defines it: of independent labels all must be right.

        Of votes, the share of samples whose most frequent answer is predicted.
        """
        if isinstance(X, Samples):
            y, sample_weight = X.y, X.weights
        if self._kind == "votes":
            y = read_votes(y)[2].argmax(axis=1)
        return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))

    def _check_kind(self) -> None:
        several = dict.fromkeys(("multiclass", "multilabel", "votes"), self.n_outputs_)
        expected = {"binary": 2} | several
        if (self._kind == "votes") != (self.target == "votes"):
            raise ValueError("kind and target must fit together")
        if self._kind not in expected or len(self.classes_) != expected[self._kind]:
            raise ValueError("kind, classes and outputs must fit together")
        if self._kind == "binary" and self.n_outputs_ != 1:
            raise ValueError("two classes have one output")
