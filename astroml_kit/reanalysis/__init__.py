"""The straight line from files to a detection gain, one call for each reanalysis."""

from __future__ import annotations

import inspect
import os
from importlib import import_module
from typing import Any

from .._validation import check_choice
from ._plots import PLOT_NAMES, save_plots
from ._result import Reanalysis

__all__ = ["PLOT_NAMES", "Reanalysis", "reanalyse", "save_plots"]

# Each job in a module of its own that is loaded when it is asked for.
_JOBS = {
    "cen-a": ("._cen_a", "reanalyse_cen_a"),
    "magic": ("._magic", "reanalyse_magic"),
    "hess-dl3-dr1": ("._hess", "reanalyse_hess"),
}


def reanalyse(
    name: str,
    *,
    target: Any = None,
    seed: int = 0,
    n_workers: int = 1,
    folder: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **options: Any,
) -> Reanalysis:
    """Reanalyse a data set: standard cuts beside a learned selection, and what that gains.

    ================  ============================================================================
    ``cen-a``         a simulated field with two sources; needs no download
    ``magic``         a weak source injected into labelled Monte Carlo; needs no download
    ``hess-dl3-dr1``  real H.E.S.S. events around ``target``, blind
    ================  ============================================================================

    Parameters
    ----------
    name : str
        Which reanalysis.
    target : str or SkyCoord, optional
        What to look at, for a data set with more than one source: a name or a position.
    seed : int
        Same seed, same numbers.
    n_workers : int
        Parts that are worked on at a time; the numbers do not depend on it.
    folder : path-like, optional
        Folder with the files of the data set, taken as they are; by default what `fetch_dataset`
        finds and checks.
    progress : bool
        Show a progress bar on standard error.
    **options
        Further options of that reanalysis.

    Returns
    -------
    Reanalysis

    Raises
    ------
    ValueError
        For an unknown name, or an option that this reanalysis does not have.
    DatasetError
        When the data set is not at hand and cannot be had.

    Examples
    --------
    >>> result = reanalyse("magic", seed=1)  # doctest: +SKIP
    >>> print(result.gain)  # doctest: +SKIP
    """
    module, function = _JOBS[check_choice("name", name, _JOBS)]
    job = getattr(import_module(module, __name__), function)
    if target is not None:
        options["target"] = target
    known = [key for key in inspect.signature(job).parameters if key != "folder"]
    unknown = [key for key in options if key not in known]
    if unknown:
        raise ValueError(
            f"options of {name!r} must be among {known}, got {unknown[0]!r}. "
            "Leave it out, or choose another reanalysis."
        )
    return job(folder, seed=seed, n_workers=n_workers, progress=progress, **options)
