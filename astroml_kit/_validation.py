"""Every input check and its wording, so that one mistake reads the same everywhere."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np


def describe(value: Any) -> str:
    """Shorten ``value`` for an error message: scalars as they are, arrays by shape and extremes."""
    array = np.asarray(value)
    if array.ndim == 0 or array.size <= 4:
        return str(value)
    if array.dtype.kind in "iuf":
        finite = array[np.isfinite(array)]
        span = f" in [{finite.min():g}, {finite.max():g}]" if finite.size else ""
        return f"an array of shape {array.shape}{span}, {array.size - finite.size} not finite"
    return f"an array of shape {array.shape} and type {array.dtype}"


def invalid(name: str, rule: str, value: Any, next_step: str = "") -> ValueError:
    """Build the one error sentence: name, rule, value, next step."""
    return ValueError(f"{name} must be {rule}, got {describe(value)}. {next_step}".rstrip())


def check_real(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    finite: bool = True,
    next_step: str = "",
) -> np.ndarray:
    """Return ``value`` as a float array after checking that every element is in range.

    Parameters
    ----------
    name : str
        The argument as the user typed it.
    value : array_like of float
        What they gave.
    above, at_least, at_most, below : float, optional
        Exclusive and inclusive bounds.
    finite : bool
        Refuse NaN and infinities. NaN is always refused when there is a bound.
    next_step : str
        What to do about it, a full sentence.

    Raises
    ------
    ValueError
        With the name, the rule, the value and the next step.
    """
    parts, bounds = [], []
    for bound, sign, test in (
        (above, ">", np.greater),
        (at_least, ">=", np.greater_equal),
        (below, "<", np.less),
        (at_most, "<=", np.less_equal),
    ):
        if bound is not None:
            parts.append(f"{sign} {bound:g}")
            bounds.append((bound, test))
    rule = ("finite and " if finite and parts else "finite" if finite else "") + " and ".join(parts)
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise invalid(name, f"a number or array of numbers, {rule}", value, next_step) from error
    good = np.isfinite(array) if finite else np.ones(array.shape, dtype=bool)
    for bound, test in bounds:
        good = good & test(array, bound)
    if not np.all(good):
        offender = array if array.ndim == 0 else array[~good].flat[0]
        raise invalid(name, rule, offender, next_step)
    return array


def check_counts(name: str, value: Any) -> np.ndarray:
    """Return counts as a float array: finite, >= 0 (weighted counts need not be integers)."""
    return check_real(name, value, at_least=0, next_step="Counts come from counting events.")


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> Any:
    """Return ``value`` if it is one of ``choices``."""
    options = list(choices)
    if value not in options:
        raise ValueError(f"{name} must be one of {options}, got {value!r}.")
    return value


def check_columns(have: Iterable[str], need: Iterable[str], *, where: str) -> None:
    """Raise unless every column in ``need`` is there; the message says how to rename."""
    have = list(have)
    missing = [column for column in need if column not in have]
    if missing:
        shown = have if len(have) <= 12 else [*have[:12], "..."]
        raise ValueError(
            f"{where} lacks the columns {missing}; it has {shown}. "
            f"Rename them with columns={{'<name in the file>': {missing[0]!r}}}."
        )


def check_same_length(**arrays: Any) -> None:
    """Raise unless all named arrays (None is passed over) have the same first dimension."""
    sizes = {name: len(array) for name, array in arrays.items() if array is not None}
    if len(set(sizes.values())) > 1:
        text = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(f"lengths must be equal, got {text}. Give one entry per sample.")


def import_extra(module: str, *, extra: str) -> ModuleType:
    """Import an optional dependency or say in one sentence how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{module} is needed here and is not installed. "
            f"Install it with: pip install 'astroml_kit[{extra}]'"
        ) from error
