"""Where to search for the settings of a model: what each member of the zoo tries by default."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._validation import invalid

if TYPE_CHECKING:
    import optuna

LOG = "log"
BOOSTED = {
    "max_leaves": (6, 96, LOG),
    "min_samples_leaf": (5, 200, LOG),
    "learning_rate": (0.01, 0.2, LOG),
    "n_estimators": (100, 1000, LOG),
    "l2": (0.1, 100.0, LOG),
    "subsample": (0.4, 1.0),
}
TRAINED = {
    "learning_rate": (2e-4, 2e-2, LOG),
    "l2": (1e-6, 1e-1, LOG),
    "batch_size": [32, 64, 128, 256],
    "dropout": (0.0, 0.5),
}
NETWORK = TRAINED | {
    "hidden_layers": [(32,), (128,), (32, 32), (64, 64), (128, 64), (128, 128), (64, 64, 64)],
    "activation": ["relu", "silu", "tanh"],
}
SEQUENCE = TRAINED | {"hidden_size": [16, 32, 64, 128], "n_layers": (1, 3)}
SPACES: dict[str, dict[str, Any]] = {
    "AnomalyDetector": {
        "max_samples": (64, 1024, LOG),
        "n_neighbors": (5, 100, LOG),
        "n_latent": (2, 16),
    },
    "Autoencoder": {
        "n_latent": (1, 16),
        "hidden_layers": [(32,), (64,), (128,), (64, 32)],
        "learning_rate": (2e-4, 2e-2, LOG),
        "noise": (0.0, 0.3),
    },
    "BDTClassifier": BOOSTED,
    "BDTRegressor": BOOSTED,
    "BandedClassifier": {"min_count": (50, 2000, LOG)},
    "ForestClassifier": {
        "kind": ["extra", "random"],
        "max_features": (0.05, 1.0, LOG),
        "min_samples_leaf": (1, 50, LOG),
    },
    "GAN": {
        "learning_rate": (3e-4, 1e-2, LOG),
        "n_latent": (2, 64, LOG),
        "critic_rate": (0.5, 4.0, LOG),
    },
    "ImageClassifier": TRAINED,
    "NeuralClassifier": NETWORK,
    "NeuralRegressor": NETWORK,
    "SequenceClassifier": SEQUENCE,
    "SequenceForecaster": SEQUENCE,
    "VariationalAutoencoder": {
        "n_latent": (1, 16),
        "hidden_layers": [(32,), (64,), (128,), (64, 32)],
        "learning_rate": (2e-4, 2e-2, LOG),
    },
}


def choose_space(estimator: Any, space: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the space that was given, checked, or that of the estimator's class.

    A member around another one, such as `DeepEnsemble`, has the space of what is inside.
    """
    known = estimator.get_params()
    if space is None:
        name = type(estimator).__name__
        inner = estimator.get_params(deep=False).get("estimator")
        if name not in SPACES and inner is not None:
            return {f"estimator__{key}": v for key, v in choose_space(inner, None).items()}
        if name not in SPACES:
            raise ValueError(
                f"space must be given for a {name}; there are default spaces for {sorted(SPACES)}."
            )
        space = SPACES[name]
    if not isinstance(space, Mapping) or not space:
        raise invalid("space", "a mapping from parameters to ranges or choices", space)
    for name, values in space.items():
        if name not in known:
            raise ValueError(f"space must name parameters of the estimator, got {name!r}. "
                             f"It has {sorted(known)}.")  # fmt: skip
        _check_range(name, values)
    return dict(space)


def _check_range(name: str, values: Any) -> None:
    rule = f"space[{name!r}]"
    if isinstance(values, list):
        if not values:
            raise ValueError(f"{rule} must list at least one value, got [].")
        return
    ends = values[:2] if isinstance(values, tuple) else ()
    log = isinstance(values, tuple) and values[2:] == (LOG,)
    good = len(ends) == 2 and all(
        isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end)
        for end in ends
    )
    if not good or not (len(values) == 2 or log) or not ends[0] < ends[1]:
        raise ValueError(f"{rule} must be (low, high), (low, high, 'log') or a list of values, "
                         f"got {values!r}.")  # fmt: skip
    if log and ends[0] <= 0:
        raise ValueError(f"{rule} must be above 0 for a logarithmic range, got {values!r}.")


def draw_parameters(trial: optuna.Trial, space: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for one value of every parameter; whole numbers where both ends are."""
    drawn: dict[str, Any] = {}
    for name, values in space.items():
        if isinstance(values, list):
            # positions, because the study's file holds only plain values
            drawn[name] = values[trial.suggest_categorical(name, list(range(len(values))))]
            continue
        low, high, *log = values
        suggest = trial.suggest_int if _are_whole(values) else trial.suggest_float
        drawn[name] = suggest(name, low, high, log=bool(log))
    return drawn


def find_parameters(stored: Mapping[str, Any], space: Mapping[str, Any]) -> dict[str, Any]:
    """Turn what a study's file holds back into parameters."""
    return {
        name: space[name][value] if isinstance(space[name], list) else value
        for name, value in stored.items()
    }


def _are_whole(values: tuple[Any, ...]) -> bool:
    return all(isinstance(end, int) for end in values[:2])
