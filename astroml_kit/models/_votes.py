"""Votes of many people on a sample: what a Dirichlet distribution says of their fractions."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import betaincinv, betaln, gammaln, softmax
from sklearn.utils.validation import check_is_fitted

from .._validation import check_real

LARGEST_LOG = 8.0  # as `_networks.LARGEST_LOG`
ROWS = 1024  # at once, where every number of votes is looked at


def bound_logs(output: np.ndarray) -> np.ndarray:
    """Return logarithms of concentrations from what a network puts out."""
    return LARGEST_LOG * np.tanh(output / LARGEST_LOG)


def find_fractions(output: np.ndarray) -> np.ndarray:
    """Return the mean fractions from what a network puts out."""
    return softmax(bound_logs(output), axis=1)


class VoteFractions:
    """What a classifier trained with ``target="votes"`` says besides the mean fractions."""

    target: str
    decision_function: Any

    def predict_concentrations(self, X: Any) -> np.ndarray:
        """Concentrations of the Dirichlet distribution of the vote fractions.

        Their sum says how sure the model is: as sure as so many votes.

        Parameters
        ----------
        X : array_like or Samples
            Of the shape that the model was trained on.

        Returns
        -------
        ndarray, shape (n_samples, n_answers)

        Raises
        ------
        ValueError
            Unless the model was trained with ``target="votes"``.
        """
        check_is_fitted(self)
        if self.target != "votes":
            raise ValueError(
                f"target must be 'votes' for concentrations, got {self.target!r}. "
                "Train on counts, one column per answer."
            )
        return np.exp(self.decision_function(X))

    def predict_interval(
        self, X: Any, confidence: float = 0.9, *, n_votes: Any = None
    ) -> np.ndarray:
        """Central interval of each vote fraction.

        Parameters
        ----------
        X : array_like or Samples
            Of the shape that the model was trained on.
        confidence : float
            That the interval holds the fraction.
        n_votes : int or array_like of int, shape (n_samples,), optional
            Of so many votes; without it, of as many as one likes. For fewer votes the interval is
            wider, and as counts are whole it holds ``confidence`` or more.

        Returns
        -------
        ndarray, shape (n_samples, n_answers, 2)

        Raises
        ------
        ValueError
            As for `predict_concentrations`.
        """
        check_real("confidence", confidence, above=0, below=1)
        alpha = self.predict_concentrations(X)
        rest = alpha.sum(axis=1, keepdims=True) - alpha
        low, high = (1 - confidence) / 2, (1 + confidence) / 2
        if n_votes is None:
            return np.stack([betaincinv(alpha, rest, level) for level in (low, high)], axis=-1)
        votes = check_real("n_votes", n_votes, at_least=1, next_step="Give whole numbers.")
        votes = np.broadcast_to(np.asarray(votes, dtype=int), len(alpha))
        chunks = (slice(start, start + ROWS) for start in range(0, len(alpha), ROWS))
        parts = [_count_interval(alpha[k], rest[k], votes[k], low, high) for k in chunks]
        return np.concatenate(parts)


def _count_interval(
    alpha: np.ndarray, rest: np.ndarray, n_votes: np.ndarray, low: float, high: float
) -> np.ndarray:
    """Quantiles of beta-binomial counts over the number of votes, shape (n, n_answers, 2)."""
    n, most = n_votes[:, None, None], int(n_votes.max())
    count = np.arange(most + 1)
    possible = count <= n
    left = np.where(possible, n - count, 0)
    log_p = (
        gammaln(n + 1) - gammaln(count + 1) - gammaln(left + 1)
        + betaln(count + alpha[..., None], left + rest[..., None])
        - betaln(alpha, rest)[..., None]
    )  # fmt: skip
    below = np.cumsum(np.where(possible, np.exp(log_p), 0), axis=-1)
    # the first count with so much at or below it, rounding apart
    found = [(below < level - 1e-9).sum(axis=-1) for level in (low, high)]
    return np.minimum(np.stack(found, axis=-1), n) / n
