"""Several networks that differ by chance: what they agree on, and how far they do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._validation import check_real
from ..samples import Samples
from ._wrapper import Wrapper, draw_seed, fit_model, seed_model


def _classifies(self: Any) -> bool:
    return is_classifier(self._get_estimator())


def _regresses(self: Any) -> bool:
    return not _classifies(self)


class DeepEnsemble(Wrapper):
    """Members that start from different random numbers, averaged.

    For classifiers the mean of the probabilities; for regressors the mean of the estimates, and
    an error from what the members say of themselves (aleatoric) and from how far they differ
    (epistemic), which grows away from the training data.

    Parameters
    ----------
    estimator : estimator, optional
        Any member that classifies or regresses; `BDTClassifier()` when None. For an aleatoric
        part give ``NeuralRegressor(uncertainty=True)``.
    n_members : int
        Five are usually enough.
    random_state : int, RandomState or None
        Of which every random_state inside each member is drawn.

    Attributes
    ----------
    members_ : list of estimator
    classes_ : ndarray
        Of classifiers.

    References
    ----------
    Lakshminarayanan, Pritzel & Blundell 2017, arXiv:1612.01474.

    Examples
    --------
    >>> from astroml_kit.models import NeuralRegressor
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(-1, 1, (200, 1))
    >>> net = NeuralRegressor(hidden_layers=(16,), max_epochs=30, learning_rate=0.02)
    >>> model = DeepEnsemble(net, n_members=3, random_state=1).fit(X, np.sin(3 * X[:, 0]))
    >>> mean, std = model.predict([[0.0], [8.0]], return_std=True)
    >>> bool(std[1] > 3 * std[0])
    True
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_members: int = 5,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.n_members = n_members
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self._get_estimator())
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags, tags.regressor_tags = inner.classifier_tags, inner.regressor_tags
        tags.target_tags = inner.target_tags
        return tags

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> DeepEnsemble:
        """Train every member; arguments as for ``estimator.fit``."""
        check_real("n_members", self.n_members, at_least=1, next_step="Give a whole number.")
        data = self._open(X, y, sample_weight, groups)
        seed = draw_seed(self.random_state)
        self.members_ = [
            fit_model(seed_model(self._get_estimator(), seed + 7919 * k), data)
            for k in range(int(self.n_members))
        ]
        self._store_shape(self.members_[0])
        if _classifies(self):
            self.classes_ = self.members_[0].classes_
        return self

    def predict_members(self, X: Any) -> np.ndarray:
        """Return what every member says, shape (n_members, n_samples, ...).

        Probabilities of classifiers, estimates of regressors.
        """
        check_is_fitted(self)
        method = "predict_proba" if _classifies(self) else "predict"
        return np.stack([getattr(member, method)(X) for member in self.members_])

    @available_if(_classifies)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Mean probability per class, shape (n_samples, n_classes)."""
        return self.predict_members(X).mean(axis=0)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return labels or mean estimates, and on request the errors of the latter."""
        check_is_fitted(self)
        if _classifies(self):
            if return_std:
                raise ValueError("return_std must be False for classifiers, got True.")
            return self.classes_[self.predict_proba(X).argmax(axis=1)]
        mean = self.predict_members(X).mean(axis=0)
        return (mean, self.predict_std(X)) if return_std else mean

    @available_if(_regresses)
    def predict_std(self, X: Any, kind: str = "total") -> np.ndarray:
        """Standard deviation of the estimates: "aleatoric", "epistemic" or "total"."""
        from .._validation import check_choice

        check_choice("kind", kind, ("total", "aleatoric", "epistemic"))
        spread = self.predict_members(X).var(axis=0)
        own = np.zeros_like(spread)
        if getattr(self.members_[0], "uncertainty", False):
            own = np.mean([m.predict(X, return_std=True)[1] ** 2 for m in self.members_], axis=0)
        parts = {"total": spread + own, "aleatoric": own, "epistemic": spread}
        return np.sqrt(parts[kind])

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy of classifiers, R^2 of regressors."""
        if isinstance(X, Samples):
            y, sample_weight = X.y, X.weights
        measure = accuracy_score if _classifies(self) else r2_score
        return float(measure(y, self.predict(X), sample_weight=sample_weight))

    def _get_parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {f"member_{k:04d}": member for k, member in enumerate(self.members_)}

    def _set_parts(self, state: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        self.members_ = [parts[f"member_{k:04d}"] for k in range(len(parts))]
        if not self.members_ or len({type(member) for member in self.members_}) > 1:
            raise ValueError("members must be of one kind.")
        if hasattr(self, "classes_") and any(
            m.classes_.tolist() != self.classes_.tolist() for m in self.members_
        ):
            raise ValueError("members must have the same classes.")


def sample_dropout(
    model: Any, X: Any, *, n_draws: int = 50, random_state: Any = None
) -> np.ndarray:
    """Ask a network many times with other units left out each time (Monte-Carlo dropout).

    Parameters
    ----------
    model : neural member
        Fitted, with ``dropout > 0``: `NeuralClassifier`, `NeuralRegressor`, `ImageClassifier`.
    X : array_like or Samples
        As for its ``predict``.
    n_draws : int
    random_state : int, RandomState or None

    Returns
    -------
    ndarray, shape (n_draws, n_samples, ...)
        Probabilities of a classifier, estimates of a regressor; their spread is an uncertainty.

    References
    ----------
    Gal & Ghahramani 2016, arXiv:1506.02142.
    """
    import torch
    from torch import nn

    check_is_fitted(model)
    check_real("n_draws", n_draws, at_least=1, next_step="Give a whole number.")
    layers = [part for part in getattr(model, "module_", nn.Identity()).modules()
              if isinstance(part, nn.Dropout) and part.p > 0]  # fmt: skip
    if not layers:
        raise ValueError("model must be a network with dropout above 0. Train with dropout=0.1.")
    method = "predict_proba" if isinstance(model, ClassifierMixin) else "predict"

    def drop(layer: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(inputs[0], layer.p, training=True)  # type: ignore[arg-type]

    hooks = [layer.register_forward_hook(drop) for layer in layers]
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw_seed(random_state))
            return np.stack([getattr(model, method)(X) for _ in range(int(n_draws))])
    finally:
        for hook in hooks:
            hook.remove()
