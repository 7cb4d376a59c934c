"""Search for the settings of a model, by groups, with a study on disk that goes on where it was."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
)

from .._validation import check_real, import_extra, invalid
from ..samples import Samples
from ._search_spaces import choose_space, draw_parameters, find_parameters
from .files import fingerprint_samples

if TYPE_CHECKING:
    import optuna

OWN = "score"
# What was fitted where and how fast does not change what is found.
PRUNED_BELOW = 0.15  # the p-value of being worse on three folds of three is 0.125
WITHOUT_EFFECT = ("checkpoint", "cache", "progress", "n_jobs", "device")


@dataclass(frozen=True, eq=False)
class Tuning:
    """What a search has found.

    Attributes
    ----------
    estimator : estimator
        Unfitted, with the best parameters.
    parameters : dict
        The best values of what was searched.
    score : float
        Mean of ``metric`` over the folds for them. It is the best of many and so too good: quote
        what `astroml_kit.evaluation.cross_validate` or a test sample gives.
    metric : str
        A scorer's name; higher is better.
    trials : `~astropy.table.Table`
        One row per trial: ``number``, ``state`` (complete, pruned, failed), ``score`` (mean over
        the folds that were run), ``score_std``, ``n_folds``, the parameters, and ``error``.
    """

    estimator: Any
    parameters: dict[str, Any]
    score: float
    metric: str
    trials: Table = field(repr=False)

    def __str__(self) -> str:
        counts = [
            f"{n} {state}"
            for state in ("complete", "pruned", "failed")
            if (n := int(np.sum(self.trials["state"] == state)))
        ]
        found = ", ".join(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in self.parameters.items()
        )
        return f"{self.metric} {self.score:.4f} (best of {', '.join(counts)}) with {found}"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "estimator": type(self.estimator).__name__,
            "parameters": {k: list(v) if isinstance(v, tuple) else v
                           for k, v in self.parameters.items()},
            "score": self.score,
            "metric": self.metric,
            "n_trials": len(self.trials),
        }  # fmt: skip


def tune_model(
    estimator: Any,
    samples: Samples,
    *,
    space: Mapping[str, Any] | None = None,
    n_trials: int = 50,
    metric: str | None = None,
    n_splits: int = 5,
    study: str | os.PathLike[str] | None = None,
    random_state: int = 0,
    progress: bool = False,
) -> Tuning:
    """Search for the settings of a model with a tree-structured Parzen estimator.

    Every trial is scored on the same folds, groups kept whole. A trial that is behind the best
    one on the folds they share is pruned after each fold by a Wilcoxon test.

    Parameters
    ----------
    estimator : estimator
        Anything with scikit-learn's ``get_params``, ``fit`` and ``predict``. Give it an integer
        ``random_state``: a search over chance finds the luckiest seed.
    samples : Samples
        What to train and score on; weights are used for both.
    space : mapping, optional
        From a parameter's name to ``(low, high)``, ``(low, high, "log")`` or a list of values.
        Both ends whole numbers: only whole numbers are tried. Members of the zoo have one.
    n_trials : int
        How many trials the study shall have, those of earlier runs included.
    metric : str, optional
        Name of a scikit-learn scorer, or "score" for the estimator's own. By default "roc_auc"
        for two classes, "neg_log_loss" for more, "neg_root_mean_squared_error" for numbers and
        "score" without labels.
    n_splits : int
        Folds.
    study : path-like, optional
        File of the study, appended to after every fold. A run that was interrupted goes on from
        there, and ends with the trials that it would have had.
    random_state : int
        For folds and trials.
    progress : bool
        Show a bar.

    Returns
    -------
    Tuning

    Raises
    ------
    ValueError
        For a space that the estimator does not have, a study of other data or of another search,
        and when every trial failed.
    ImportError
        Without ``pip install 'astroml_kit[tuning]'``.

    References
    ----------
    Bergstra et al. 2011, Advances in Neural Information Processing Systems 24; Akiba et al. 2019,
    doi:10.1145/3292500.3330701 (Optuna).

    Examples
    --------
    >>> from astroml_kit.models import BDTClassifier, tune_model
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(300, 2))
    >>> samples = Samples(X, y=(X[:, 0] > 0).astype(int), groups=np.arange(300) // 3)
    >>> found = tune_model(BDTClassifier(n_estimators=20, random_state=1), samples, n_splits=3,
    ...                    space={"max_leaves": (2, 16), "learning_rate": (0.02, 0.3, "log")},
    ...                    n_trials=4)
    >>> sorted(found.parameters)
    ['learning_rate', 'max_leaves']
    >>> len(found.trials), found.score > 0.95
    (4, True)
    """
    optuna = import_extra("optuna", extra="tuning")
    for name, value, least in (("n_trials", n_trials, 1), ("n_splits", n_splits, 2)):
        check_real(name, value, at_least=least, next_step="Give a whole number.")
    space = choose_space(estimator, space)
    metric = _choose_metric(estimator, samples, metric)
    folds = _split(estimator, samples, int(n_splits), int(random_state))
    identity = _identify(estimator, samples, space, metric, int(n_splits), int(random_state))
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        trials = _open_study(optuna, study, identity)
        _run_trials(
            optuna, trials, estimator, samples, folds,
            space=space, metric=metric, n_trials=int(n_trials), seed=int(random_state),
            progress=progress,
        )  # fmt: skip
        table = _list_trials(trials, space)
        if not np.any(table["state"] == "complete"):
            raise ValueError(
                "at least one trial must come to its end, got none. The first said: "
                f"{table['error'][0]}"
            )
        best = find_parameters(trials.best_trial.params, space)
        score = float(trials.best_value)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return Tuning(clone(estimator).set_params(**best), best, score, metric, table)


def _choose_metric(estimator: Any, samples: Samples, metric: str | None) -> str:
    if metric is None:
        if samples.y is None:
            metric = OWN
        elif is_classifier(estimator):
            two = samples.y.ndim == 1 and len(np.unique(samples.y)) == 2
            metric = "roc_auc" if two else "neg_log_loss" if samples.y.ndim == 1 else OWN
        elif is_regressor(estimator):
            metric = "neg_root_mean_squared_error"
        else:
            metric = OWN
    if metric == OWN:
        if not hasattr(estimator, "score"):
            raise ValueError(
                f"metric must be a scorer's name, because a {type(estimator).__name__} has no "
                "score of its own, got 'score'."
            )
    elif metric not in get_scorer_names():
        raise invalid("metric", f"{OWN!r} or one of {get_scorer_names()}", metric)
    return metric


def _split(
    estimator: Any, samples: Samples, n_splits: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    y, groups = samples.y, samples.groups
    stratified = is_classifier(estimator) and y is not None and y.ndim == 1
    if groups is None:
        cls = StratifiedKFold if stratified else KFold
    else:
        cls = StratifiedGroupKFold if stratified else GroupKFold
        if (n_groups := len(np.unique(groups))) < n_splits:
            raise ValueError(f"n_splits must be at most the {n_groups} groups, got {n_splits}.")
    splitter = cls(n_splits, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(len(samples)), y, groups))


def _identify(
    estimator: Any, samples: Samples, space: Any, metric: str, n_splits: int, seed: int
) -> dict[str, str]:
    parameters = {
        name: repr(value)
        for name, value in sorted(estimator.get_params().items())
        if name not in WITHOUT_EFFECT and name not in space
    }
    digest = hashlib.sha256(json.dumps(parameters).encode()).hexdigest()
    return {
        "samples": fingerprint_samples(samples),
        "estimator": f"{type(estimator).__name__} {digest[:16]}",
        "space": repr(sorted(space.items())),
        "metric": metric,
        "n_splits": str(n_splits),
        "random_state": str(seed),
    }


def _open_study(optuna: Any, path: Any, identity: dict[str, str]) -> optuna.Study:
    storage = None
    if path is not None:
        journal = optuna.storages.journal
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        storage = optuna.storages.JournalStorage(journal.JournalFileBackend(os.fspath(path)))
    study = optuna.create_study(
        storage=storage, study_name="tune_model", direction="maximize", load_if_exists=True
    )
    stored = study.user_attrs
    for name, value in identity.items():
        if name in stored and stored[name] != value:
            raise ValueError(
                f"study must be one of the same {name}, got {os.fspath(path)}, begun with another. "
                "Give a new file."
            )
        if name not in stored:
            study.set_user_attr(name, value)
    return study


def _run_trials(
    optuna: Any,
    study: optuna.Study,
    estimator: Any,
    samples: Samples,
    folds: list[tuple[np.ndarray, np.ndarray]],
    *,
    space: dict[str, Any],
    metric: str,
    n_trials: int,
    seed: int,
    progress: bool,
) -> None:
    from tqdm import tqdm

    states = optuna.trial.TrialState
    for old in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
        study.tell(old.number, state=states.FAIL)  # killed in the middle: drawn again
    done = len(_finished(study))
    with warnings.catch_warnings():
        # made for folds; "experimental" is about its arguments
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.pruner = optuna.pruners.WilcoxonPruner(p_threshold=PRUNED_BELOW, n_startup_steps=1)
    with tqdm(total=n_trials, initial=done, desc="trials", disable=not progress) as bar:
        for number in range(done, n_trials):
            # a sampler of its own per trial: an interrupted search goes on as it would have
            drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
            study.sampler = optuna.samplers.TPESampler(seed=drawn)
            trial = study.ask()
            parameters = draw_parameters(trial, space)
            try:
                score = _score(trial, clone(estimator).set_params(**parameters), samples, folds,
                               metric)  # fmt: skip
            except (ValueError, ArithmeticError, RuntimeError) as error:
                trial.set_user_attr("error", f"{type(error).__name__}: {error}"[:500])
                study.tell(trial, state=states.FAIL)
            else:
                pruned = len(trial.user_attrs["scores"]) < len(folds)
                if pruned:
                    study.tell(trial, state=states.PRUNED)
                else:
                    study.tell(trial, score)
            bar.update()


def _finished(study: optuna.Study) -> list[Any]:
    """Trials that count: not those that were cut off from outside."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name in ("COMPLETE", "PRUNED") or "error" in trial.user_attrs
    ]


def _score(
    trial: Any,
    model: Any,
    samples: Samples,
    folds: list[tuple[np.ndarray, np.ndarray]],
    metric: str,
) -> float:
    takes = inspect.signature(model.fit).parameters
    scores: list[float] = []
    for number, (train, test) in enumerate(folds):
        part, rest = samples.select(train), samples.select(test)
        options = {}
        if part.weights is not None:
            options["sample_weight"] = part.weights
        if part.groups is not None and "groups" in takes:
            options["groups"] = part.groups
        fitted = clone(model).fit(*_labelled(part), **options)
        scorer = _score_itself if metric == OWN else get_scorer(metric)
        weights = {} if rest.weights is None else {"sample_weight": rest.weights}
        value = float(scorer(fitted, *_labelled(rest), **weights))
        if not np.isfinite(value):
            raise ValueError(f"the {metric} of fold {number} is {value}.")
        scores.append(value)
        trial.set_user_attr("scores", scores)
        trial.report(value, number)
        if number + 1 < len(folds) and trial.should_prune():
            break
    return float(np.mean(scores))


def _score_itself(model: Any, *data: Any, **weights: Any) -> float:
    return float(model.score(*data, **weights))


def _labelled(samples: Samples) -> tuple[Any, ...]:
    return (samples.X,) if samples.y is None else (samples.X, samples.y)


def _list_trials(study: optuna.Study, space: Mapping[str, Any]) -> Table:
    rows = []
    for number, trial in enumerate(_finished(study)):
        scores = trial.user_attrs.get("scores", [])
        state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
        drawn = find_parameters(trial.params, space)
        rows.append(
            (
                number,
                state,
                np.mean(scores) if scores else np.nan,
                np.std(scores) if scores else np.nan,
                len(scores),
                *(str(drawn[k]) if isinstance(drawn[k], tuple) else drawn[k] for k in space),
                trial.user_attrs.get("error", ""),
            )
        )
    names = ("number", "state", "score", "score_std", "n_folds", *space, "error")
    table = Table(rows=rows, names=names)
    table.meta["made_by"] = "astroml_kit.models.tune_model"
    return table
