"""Learning from few labels and many samples without, unless that would make things worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.table import Table
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice, check_real
from ..samples import Samples
from ._calibrators import METHODS, Calibrator
from ._class_shares import balance_shares, find_priors, shift_priors
from ._wrapper import (
    ClassifierWrapper,
    Data,
    complete_seeds,
    draw_seed,
    encode_labels,
    fit_model,
    list_folds,
    name_inputs,
    take_rows,
)

UNLABELLED, SMALLEST_GUESS = -1, 1e-3
STRATEGIES = ("hard", "soft")
SMALLEST_PART = 0.05  # of a soft pseudo-label: below it costs training time and adds nothing


class PseudoLabelClassifier(ClassifierWrapper):
    """A classifier that also learns from its own guesses, or from those of a teacher.

    Each round scores the unlabelled samples, calibrated on labels that trained nothing (by
    cross-fitting), and trains again with these guesses: hard ones are the samples above
    ``confidence``, in each class as many at most as its quota allows; soft ones are all samples,
    each with its probability of every class, after these have been balanced to the shares of the
    classes. A round is kept when the cross-fitted log-loss of the true labels falls by more than
    its error; else the rounds end. When none is kept, the model is the one trained on the labels
    alone, and `improved_` says so.

    Parameters
    ----------
    estimator : classifier, optional
        Any member with ``predict_proba``; `BDTClassifier()` when None.
    strategy : {"hard", "soft"}
        Kind of the pseudo-labels. Soft ones need unlabelled samples whose classes have the shares
        that the labels have (or ``shift``), and help where labels are very few.
    teacher : classifier, optional
        Makes the guesses of the first round in place of ``estimator``: one that errs in another
        way, such as a vote of trees and a linear model, teaches what the trees do not know.
    confidence : float
        Smallest calibrated probability of a hard pseudo-label.
    quota : float
        Largest share of the unlabelled samples that get a hard pseudo-label, in each round and
        class, times the class's share.
    n_rounds : int
        Most rounds.
    pseudo_weight : float
        Weight of a pseudo-label against a label.
    method : {"temperature", "platt", "isotonic"}
        Of calibration; few labels bear a temperature only.
    shift : bool
        Whether the classes may have other shares among the unlabelled samples: shares are then
        found by expectation maximisation (Saerens, Latinne & Decaestecker 2002,
        doi:10.1162/089976602753284446), for pseudo-labels and for what is predicted.
    min_gain : float
        By how many standard errors the log-loss must fall. With a few dozen labels in all that
        error is large, and 0 (it must fall) keeps more of what helps.
    n_splits : int
        Folds of the labels, by group; fewer where a class has fewer labels.
    random_state : int, RandomState or None
        For folds, and for a random_state of None inside.

    Attributes
    ----------
    model_ : estimator
    improved_ : bool
        Whether pseudo-labels were of use on held-out labels.
    rounds_ : `~astropy.table.Table`
        One row per round, 0 without pseudo-labels: ``n_pseudo``, ``n_<class>``, ``agreement``
        with the round before, ``loss``, ``loss_gain``, ``gain_error``, ``accuracy`` (of held-out
        labels), ``kept``.
    priors_ : ndarray
        Shares of the classes that predictions are for.
    classes_ : ndarray

    References
    ----------
    Lee 2013, ICML workshop on challenges in representation learning; Rizve et al. 2021,
    arXiv:2101.06329. Soft labels of a teacher: Hinton, Vinyals & Dean 2015, arXiv:1503.02531.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.ensemble import ExtraTreesClassifier
    >>> X, truth = make_moons(400, noise=0.1, random_state=1)
    >>> y = np.where(np.arange(400) < 16, truth, -1)
    >>> trees = ExtraTreesClassifier(50, random_state=1)
    >>> model = PseudoLabelClassifier(trees, strategy="soft", random_state=1).fit(X, y)
    >>> print(model)
    pseudo-labels were of no use on held-out labels: the supervised model is kept
    >>> model.rounds_["n_pseudo"].tolist(), model.score(X, truth) > 0.9
    ([0, 384], True)
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        strategy: str = "hard",
        teacher: Any = None,
        confidence: float = 0.9,
        quota: float = 0.2,
        n_rounds: int = 5,
        pseudo_weight: float = 0.5,
        method: str = "temperature",
        shift: bool = False,
        min_gain: float = 1.0,
        n_splits: int = 5,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.strategy = strategy
        self.teacher = teacher
        self.confidence = confidence
        self.quota = quota
        self.n_rounds = n_rounds
        self.pseudo_weight = pseudo_weight
        self.method = method
        self.shift = shift
        self.min_gain = min_gain
        self.n_splits = n_splits
        self.random_state = random_state

    def _check_parameters(self) -> None:
        check_choice("method", self.method, METHODS)
        check_choice("strategy", self.strategy, STRATEGIES)
        check_real("confidence", self.confidence, above=0, below=1)
        check_real("quota", self.quota, above=0, at_most=1)
        check_real("pseudo_weight", self.pseudo_weight, above=0, at_most=1)
        check_real("min_gain", self.min_gain, at_least=0)
        for name, least in (("n_rounds", 1), ("n_splits", 2)):
            check_real(name, getattr(self, name), at_least=least, next_step="Give a whole number.")

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None,
        X_unlabelled: Any = None,
    ) -> PseudoLabelClassifier:  # fmt: skip
        """Train.

        Parameters
        ----------
        X : array_like, list of series, or Samples
            As the estimator takes it.
        y : array_like, shape (n_samples,)
            Labels; -1 means unlabelled, where labels are numbers.
        sample_weight : array_like, shape (n_samples,), optional
        groups : array_like, shape (n_samples,), optional
            Objects that folds keep whole.
        X_unlabelled : like X, optional
            More samples without labels.

        Raises
        ------
        ValueError
            With fewer than two labels of a class, or fewer than two classes.
        """
        self._check_parameters()
        if isinstance(X, Samples) and y is None and X.y is not None:
            names = X.feature_names
            data = self._open(X.X, X.y, X.weights, X.groups)
            data = replace(data, names=names)
        else:
            data = self._open(X, y, sample_weight, groups)
        known = np.ones(len(data), dtype=bool)
        if data.y.dtype.kind in "if":
            known = data.y != UNLABELLED
        few, many = data.take(np.flatnonzero(known)), take_rows(data.X, np.flatnonzero(~known))
        if X_unlabelled is not None:
            more = X_unlabelled.X if isinstance(X_unlabelled, Samples) else X_unlabelled
            many = _join(many, more)
        self.classes_, code = encode_labels(few.y)
        few, self._names = replace(few, y=code), few.names
        self._learn(few, many)
        return self

    def __str__(self) -> str:
        if not hasattr(self, "rounds_"):
            return repr(self)
        table = self.rounds_[self.rounds_["kept"]]
        if not self.improved_:
            return "pseudo-labels were of no use on held-out labels: the supervised model is kept"
        return (
            f"{len(table) - 1} rounds kept, {table['n_pseudo'][-1]} pseudo-labels, held-out "
            f"log-loss {table['loss'][0]:.3f} -> {table['loss'][-1]:.3f}"
        )

    def _learn(self, few: Data, many: Any) -> None:
        self._seed = draw_seed(self.random_state)
        n_splits = min(int(self.n_splits), int(np.bincount(few.y).min()))
        folds = list_folds(few, few.y, n_splits=n_splits, seed=self._seed)
        own, self._names = np.bincount(few.y) / len(few), few.names
        self._own = self.priors_ = own
        # every fold has a chain of its own: pseudo-labels that it learns from have not seen the
        # labels that it is judged by
        none = [None] * len(folds)
        best = guide = self._take_stage(few, folds, none, self._get_estimator())
        model = self._fit_with(few, None, self._get_estimator())
        guess = model
        if self.teacher is not None and len(many):
            guide = self._take_stage(few, folds, none, self.teacher)
            guess = self._fit_with(few, None, self.teacher)
        self.model_, self.calibrator_, self.improved_ = model, best.calibrator, False
        zero = np.zeros(len(own), dtype=int)
        rows = [(0, 0, *zero, 1.0, best.loss.mean(), 0.0, 0.0, best.accuracy, True)]
        before = None
        for number in range(1, int(self.n_rounds) + 1):
            if len(many) == 0:
                break
            pseudo, now = self._label(guess, guide.calibrator, many)
            if len(pseudo.guess) == 0:
                break
            agreement = 1.0 if before is None else float(np.mean(now == before))
            before = now
            own_pseudo = [self._label(chain, one, many)[0]
                          for chain, one in zip(guide.chains, guide.maps, strict=True)]  # fmt: skip
            tried = self._take_stage(few, folds, own_pseudo, self._get_estimator())
            gain = best.loss - tried.loss
            error = float(gain.std(ddof=1) / np.sqrt(len(gain)))
            kept = bool(gain.mean() > self.min_gain * error)
            n_each = np.bincount(pseudo.guess, pseudo.part, minlength=len(own)).round().astype(int)
            rows.append((number, int(n_each.sum()), *n_each, agreement, tried.loss.mean(),
                         gain.mean(), error, tried.accuracy, kept))  # fmt: skip
            if not kept:
                break
            best = guide = tried
            guess = self._fit_with(few, pseudo, self._get_estimator())
            self.model_, self.calibrator_, self.improved_ = guess, best.calibrator, True
        if self.shift and len(many):
            self.priors_ = find_priors(
                self.calibrator_.apply(self.model_.predict_proba(name_inputs(many, few.names))), own
            )
        names = ("round", "n_pseudo", *(f"n_{label}" for label in self.classes_), "agreement",
                 "loss", "loss_gain", "gain_error", "accuracy", "kept")  # fmt: skip
        self.rounds_ = Table(rows=rows, names=names)
        self._store_shape(self.model_)

    def _label(self, model: Any, calibrator: Calibrator, many: Any) -> tuple[_Pseudo, np.ndarray]:
        """Return pseudo-labels, and the best guess for every sample."""
        p = calibrator.apply(_spread(model, name_inputs(many, self._names), len(self._own)))
        priors = find_priors(p, self._own) if self.shift else self._own
        p = shift_priors(p, self._own, priors)
        if self.strategy == "hard":
            row, guess = self._choose(p, priors)
            return _Pseudo(take_rows(many, row), row, guess, np.ones(len(row))), p.argmax(axis=1)
        p = balance_shares(p, priors)
        part = np.where(p >= min(SMALLEST_PART, 1 / p.shape[1]), p, 0)
        part /= part.sum(axis=1, keepdims=True)
        row, guess = np.nonzero(part)
        return _Pseudo(take_rows(many, row), row, guess, part[row, guess]), p.argmax(axis=1)

    def _take_stage(
        self, few: Data, folds: list[tuple[np.ndarray, np.ndarray]], pseudo: list[Any], model: Any
    ) -> _Stage:
        """Train a chain per fold, each with its own pseudo-labels, and judge held-out labels."""
        chains = [self._fit_with(few.take(train), own, model)
                  for (train, _), own in zip(folds, pseudo, strict=True)]  # fmt: skip
        raw = np.zeros((len(few), len(self.classes_)))
        for chain, (_, test) in zip(chains, folds, strict=True):
            raw[test] = _spread(chain, few.show(test), raw.shape[1])
        held, maps = np.zeros_like(raw), []
        for train, test in folds:
            weight = None if few.weight is None else few.weight[train]
            maps.append(Calibrator.fit(self.method, raw[train], few.y[train], weight))
            held[test] = maps[-1].apply(raw[test])
        calibrator = Calibrator.fit(self.method, raw, few.y, few.weight)
        right = float(np.mean(held.argmax(axis=1) == few.y))
        return _Stage(chains, maps, calibrator, _measure(held, few), right)

    def _fit_with(self, few: Data, pseudo: _Pseudo | None, model: Any) -> Any:
        model = complete_seeds(model, self._seed)
        if pseudo is None:
            return fit_model(model, few)
        weight = np.ones(len(few)) if few.weight is None else few.weight
        groups = None
        if few.groups is not None:
            codes = np.unique(few.groups, return_inverse=True)[1]
            groups = np.r_[codes, codes.max() + 1 + pseudo.row]
        both = Data(
            _join(few.X, pseudo.X),
            np.r_[few.y, pseudo.guess],
            np.r_[weight, pseudo.part * float(self.pseudo_weight) * weight.mean()],
            groups,
            few.names,
        )
        return fit_model(model, both)

    def _choose(self, p: np.ndarray, priors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        best, guess = p.max(axis=1), p.argmax(axis=1)
        chosen = []
        for k, share in enumerate(priors):
            rows = np.flatnonzero((guess == k) & (best >= self.confidence))
            most = int(np.ceil(self.quota * share * len(p)))
            chosen.append(rows[np.argsort(-best[rows], kind="stable")[:most]])
        rows = np.sort(np.concatenate(chosen))
        return rows, guess[rows]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Calibrated probability per class, shape (n_samples, n_classes)."""
        check_is_fitted(self)
        p = self.calibrator_.apply(self.model_.predict_proba(X))
        return shift_priors(p, self._own, self.priors_)

    def _get_parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        state = {
            "calibrator": [list(row) for row in self.calibrator_.values],
            "own": self._own.tolist(),
            "priors": self.priors_.tolist(),
            "improved": self.improved_,
            "rounds": {name: self.rounds_[name].tolist() for name in self.rounds_.colnames},
        }
        return state, {"model_0000": self.model_}

    def _set_parts(self, state: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        n = len(self.classes_)
        self.model_ = parts["model_0000"]
        if self.model_.classes_.tolist() != list(range(n)):
            raise ValueError("the model inside must have one class per class.")
        self.calibrator_ = Calibrator.from_lists(self.method, state["calibrator"], n)
        self._own, self.priors_ = (np.array(state[k], dtype=float) for k in ("own", "priors"))
        for share in (self._own, self.priors_):
            if share.shape != (n,) or not np.all(share > 0) or not np.isclose(share.sum(), 1):
                raise ValueError("shares of the classes must be above 0 and add up to one.")
        self.improved_ = bool(state["improved"])
        self.rounds_ = Table({str(name): list(column) for name, column in state["rounds"].items()})


@dataclass(frozen=True)
class _Pseudo:
    """Samples to train on with the class, and the part of one sample, that each row stands for."""

    X: Any
    row: np.ndarray
    guess: np.ndarray
    part: np.ndarray


@dataclass(frozen=True)
class _Stage:
    """A model per fold, how each and all are calibrated, and what held-out labels say of them."""

    chains: list[Any]
    maps: list[Calibrator]
    calibrator: Calibrator
    loss: np.ndarray
    accuracy: float


def _measure(p: np.ndarray, few: Data) -> np.ndarray:
    """Log-loss of each labelled sample; no single one decides."""
    return -np.log(np.clip(p[np.arange(len(few)), few.y], SMALLEST_GUESS, None))


def _spread(model: Any, X: Any, n_classes: int) -> np.ndarray:
    """Probabilities with a column for classes that the model has not met, too."""
    own = model.predict_proba(X)
    p = np.zeros((len(own), n_classes))
    p[:, model.classes_] = own
    return p


def _join(first: Any, second: Any) -> Any:
    if isinstance(first, list):
        return [*first, *second]
    if hasattr(first, "iloc"):
        import pandas as pd

        return pd.concat([first, second], ignore_index=True)
    return np.concatenate([first, np.asarray(second)]) if len(first) else np.asarray(second)
