"""How a network learned: loss per epoch, and from where on it only learned its own examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_choice, check_columns
from ._axes import BLUE, GREY, ORANGE, get_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUANTITIES = ("loss", "metric")


def plot_history(
    history: Any, *, quantity: str = "loss", ax: Axes | None = None, **plot_kwargs: Any
) -> Axes:
    """Plot the loss of training and held-out rows per epoch and mark where overfitting begins.

    Overfitting begins after the epoch with the lowest held-out loss, provided that the training
    loss still fell after it; the epochs beyond are shaded. Without held-out rows nobody can tell,
    and nothing is marked.

    Parameters
    ----------
    history : Table, or a fitted neural model of the zoo
        With the columns ``epoch`` and ``train_loss``; ``valid_loss`` where rows were held out.
    quantity : {"loss", "metric"}
        What to draw; the mark is that of the loss in either case.
    ax : Axes, optional
        Where to draw; new axes if omitted.
    **plot_kwargs
        Passed on to ``ax.plot``.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from astropy.table import Table
    >>> history = Table({"epoch": [1, 2, 3], "train_loss": [0.6, 0.4, 0.2],
    ...                  "valid_loss": [0.6, 0.5, 0.7]})
    >>> ax = plot_history(history)  # doctest: +SKIP
    """
    table = getattr(history, "history_", history)
    check_choice("quantity", quantity, QUANTITIES)
    needed = ("epoch", "train_loss", f"train_{quantity}")
    check_columns(getattr(table, "colnames", ()), needed, where="history")
    if len(table) == 0:
        raise ValueError("history must have one row per epoch, got none.")
    ax = get_axes(ax)
    epoch = np.asarray(table["epoch"])
    for name, label, color, line in (
        ("train", "training", BLUE, "-"),
        ("valid", "held out", ORANGE, "--"),
    ):
        if f"{name}_{quantity}" in table.colnames:
            style: dict[str, Any] = {"color": color, "ls": line, "lw": 2, "label": label}
            ax.plot(epoch, np.asarray(table[f"{name}_{quantity}"]), **{**style, **plot_kwargs})
    start = find_overfitting(table)
    if start is not None:
        ax.axvline(start, color=GREY, ls=":", lw=1.5, label=f"overfitting after epoch {start:g}")
        ax.axvspan(start, epoch[-1], color=GREY, alpha=0.12, lw=0)
    name = quantity if quantity == "loss" else getattr(table, "meta", {}).get("metric", quantity)
    ax.set_xlabel("epoch")
    ax.set_ylabel({"auc": "AUC", "r2": "$R^2$"}.get(str(name), str(name)))
    ax.set_xlim(epoch[0] - 0.5, epoch[-1] + 0.5)
    ax.grid(alpha=0.25)
    ax.legend(frameon=False)
    return ax


def find_overfitting(table: Any) -> float | None:
    """Return the last epoch before overfitting, or None when there is no sign of it."""
    if "valid_loss" not in table.colnames:
        return None
    train, valid = np.asarray(table["train_loss"]), np.asarray(table["valid_loss"])
    best = int(np.argmin(valid))
    if best == len(valid) - 1 or train[best + 1 :].min() >= train[best]:
        return None
    return float(table["epoch"][best])
