"""Odd things with a person in the loop: rank, ask about a few, rank again, keep every answer."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from scipy.special import expit, logit, ndtri
from scipy.stats import rankdata
from sklearn.utils.validation import check_array

from .._validation import check_real, check_same_length, invalid
from ..samples import Samples
from ._answers import measure_posterior
from ._tensors import replace_file

FORMAT, FORMAT_VERSION = "astroml_kit anomaly loop", 1
SLOPE = 2.0  # log odds per normal deviate of the first ranking: an area under its ROC curve of 0.92
EXPLORED = 30  # times the size of a question: how far down the list the random part of it is drawn


class AnomalyLoop:
    """Ranks samples by a first score and by what a person has said about some of them.

    The log odds that a sample is odd are a Gaussian process. Its mean is the first score; an
    answer changes it at that sample and at those whose features are like it, and nowhere else: a
    few answers cannot spoil the ranking of what nobody has looked at (in the spirit of Lochner &
    Bassett 2021, doi:10.1016/j.ascom.2021.100481, where scores return to the first one away from
    the answers). Features enter as normal deviates of their ranks.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features), or Samples
        Features of anything: shapes of images, embeddings, features of light curves, rows of a
        catalogue. NaN counts as the median.
    first : array_like, shape (n_samples,)
        Score before any answer, higher is odder, such as ``-AnomalyDetector().score_samples(X)``.
        Only its order counts.
    ids : sequence of str or int, optional
        What the answers are given to, all different; row numbers if omitted.
    share : float
        Share of odd samples that is expected, in (0, 0.5]; a first guess is enough.
    strength : float
        Standard deviation by which answers may move the log odds.
    reach : float
        Distance over which they do, as a share of the typical distance of two samples.
    random_state : int
        Of the part of a question that is drawn at random.

    Attributes
    ----------
    ids : ndarray
    scores : ndarray, shape (n_samples,)
        Log odds of being odd, given the answers so far: no calibrated probability.
    n_labelled : int

    Raises
    ------
    ValueError
        For lengths that differ, ids that repeat, a score that is not finite, or no column that
        varies.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(200, 3))
    >>> loop = AnomalyLoop(X, np.abs(X).max(axis=1), share=0.05)
    >>> asked = loop.query(5)
    >>> loop.label(asked, [1, 0, 0, 1, 0])
    >>> print(loop)
    AnomalyLoop: 200 samples, 5 labelled, 2 of them odd
    >>> loop.rank().colnames
    ['id', 'score', 'uncertainty', 'label']
    """

    def __init__(
        self,
        X: Any,
        first: Any,
        *,
        ids: Sequence[Any] | None = None,
        share: float = 0.03,
        strength: float = 1.0,
        reach: float = 0.3,
        random_state: int = 0,
    ) -> None:
        rows = check_array(
            X.X if isinstance(X, Samples) else X, dtype=float, ensure_all_finite="allow-nan"
        )
        self.first = check_real("first", first)
        self.ids = np.arange(len(rows)) if ids is None else np.asarray(ids)
        check_same_length(X=rows, first=self.first, ids=self.ids)
        if self.first.ndim != 1 or self.ids.ndim != 1:
            raise invalid("first", "one number per sample", self.first.shape)
        if len(np.unique(self.ids)) < len(self.ids):
            raise ValueError("ids must all be different, got repeated ones. Use row numbers.")
        self.share = float(check_real("share", share, above=0, at_most=0.5))
        self.strength = float(check_real("strength", strength, above=0))
        self.reach = float(check_real("reach", reach, above=0))
        self.random_state = int(random_state)
        self._points = _find_points(rows)
        self._mean = _find_log_odds(self.first, self.share)
        self._place = {_to_key(one): k for k, one in enumerate(self.ids)}
        self._labels: dict[int, int] = {}  # row -> 1 odd, 0 not, in the order of the answers
        self._update()

    def __str__(self) -> str:
        n_odd = sum(self._labels.values())
        return (
            f"AnomalyLoop: {len(self.ids)} samples, {self.n_labelled} labelled, {n_odd} of them odd"
        )

    @property
    def n_labelled(self) -> int:
        """How many samples have an answer."""
        return len(self._labels)

    @property
    def labels(self) -> np.ndarray:
        """Answers, shape (n_samples,): 1 odd, 0 not, -1 nobody was asked."""
        labels = np.full(len(self.ids), -1)
        labels[list(self._labels)] = list(self._labels.values())
        return labels

    def rank(self) -> Table:
        """Return all samples, the oddest first.

        Returns
        -------
        `~astropy.table.Table`
            ``id``, ``score`` (log odds), ``uncertainty`` (of the score) and ``label``
            (1, 0, or -1 without an answer).
        """
        order = np.argsort(-self.scores, kind="stable")
        return Table({
            "id": self.ids[order], "score": self.scores[order],
            "uncertainty": self._spread[order], "label": self.labels[order],
        })  # fmt: skip

    def query(self, n: int = 10, *, explore: float = 0.5) -> np.ndarray:
        """Choose what to ask about next, without an answer so far.

        Parameters
        ----------
        n : int
            How many; fewer come back where fewer are left.
        explore : float
            Share of them, from 0 to 1, that is drawn at random further down the ranking: a list
            of the oddest ones alone is often many times the same thing.

        Returns
        -------
        ndarray of ids, the oddest first
        """
        check_real("n", n, at_least=1, next_step="Give a whole number.")
        check_real("explore", explore, at_least=0, at_most=1)
        order = np.argsort(-self.scores, kind="stable")
        free = order[self.labels[order] == -1]
        n_top = int(n) - round(explore * int(n))
        top, rest = free[:n_top], free[n_top : n_top + EXPLORED * int(n)]
        rng = np.random.default_rng((self.random_state, self.n_labelled))
        drawn = np.sort(rng.permutation(len(rest))[: min(int(n), len(free)) - len(top)])
        return self.ids[np.concatenate([top, rest[drawn]])]

    def label(self, ids: Any, labels: Any) -> None:
        """Take answers and rank again; a second answer to the same sample replaces the first.

        Parameters
        ----------
        ids : sequence
            Samples, by the ids that `query` gives.
        labels : sequence of bool or {0, 1}
            1: odd, show me more like it; 0: not.
        """
        names = np.atleast_1d(np.asarray(ids))
        values = np.atleast_1d(np.asarray(labels))
        check_same_length(ids=names, labels=values)
        unknown = [one for one in names.tolist() if _to_key(one) not in self._place]
        if unknown:
            raise ValueError(
                f"ids must be among those of the loop, got {unknown[:5]}. Give what query returns."
            )
        if not np.isin(values, (0, 1)).all():
            raise invalid("labels", "1 (odd) or 0 (not)", values, "Leave out what you cannot tell.")
        for name, value in zip(names.tolist(), values.tolist(), strict=True):
            self._labels[self._place[_to_key(name)]] = int(value)
        self._update()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write ids, first scores, answers and options as JSON, in place of an older file.

        Features are not written: `load` takes them again. The older file stays until the new one
        is whole.
        """
        state = {
            "format": FORMAT, "format_version": FORMAT_VERSION,
            "options": {name: getattr(self, name)
                        for name in ("share", "strength", "reach", "random_state")},
            "ids": self.ids.tolist(), "first": self.first.tolist(),
            "labels": [[self.ids[row].item(), value] for row, value in self._labels.items()],
        }  # fmt: skip
        replace_file(Path(path), json.dumps(state).encode())
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], X: Any) -> AnomalyLoop:
        """Go on where `save` left off, with the same features ``X`` in the same order."""
        try:
            state = json.loads(Path(path).read_bytes())
            known = state["format"] == FORMAT and state["format_version"] == FORMAT_VERSION
            if not known:
                raise ValueError("it is of another format or version")
            loop = cls(X, state["first"], ids=state["ids"], **state["options"])
            if state["labels"]:
                loop.label(*zip(*state["labels"], strict=True))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} must be a file of AnomalyLoop.save, with features for each of its ids, "
                f"got: {error}"
            ) from error
        return loop

    def _update(self) -> None:
        rows = np.array(list(self._labels), dtype=int)
        self.scores, self._spread = measure_posterior(
            self._points,
            self._mean,
            rows,
            np.array(list(self._labels.values()), dtype=float),
            strength=self.strength,
            reach=self.reach,
        )


def _to_key(one: Any) -> str:
    return str(one)


def _find_points(rows: np.ndarray) -> np.ndarray:
    """Columns as normal deviates of ranks, scaled so that two samples are typically 1 apart."""
    columns = []
    for column in rows.T:
        known = np.isfinite(column)
        if not known.any() or np.ptp(column[known]) == 0:
            continue
        filled = np.where(known, column, np.median(column[known]))
        columns.append(ndtri((rankdata(filled) - 0.5) / len(filled)))
    if not columns:
        raise invalid("X", "columns that vary", rows.shape)
    points = np.column_stack(columns)
    return points / np.sqrt(2 * points.var(axis=0).sum())


def _find_log_odds(first: np.ndarray, share: float) -> np.ndarray:
    """First scores as log odds that rise by `SLOPE` per normal deviate, ``share`` on average."""
    rise = SLOPE * ndtri((rankdata(first) - 0.5) / len(first))
    low, high = logit(share) - rise.max(), logit(share) - rise.min()
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if expit(rise + middle).mean() > share else (middle, high)
    return rise + 0.5 * (low + high)
