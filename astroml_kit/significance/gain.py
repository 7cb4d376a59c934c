"""What a learned selection has gained over a baseline, with an interval that knows the runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
from scipy.special import ndtr

from .._validation import check_choice, check_real, invalid
from .counts import OnOffCounts, gather_runs, sum_runs
from .li_ma import li_ma_significance
from .trials import correct_significance


@runtime_checkable
class HasSignificance(Protocol):
    """Anything that knows its significance: OnOffCounts, the result of a likelihood fit."""

    @property
    def significance(self) -> float:
        """Signed, in standard deviations, before trials."""
        ...


@dataclass(frozen=True)
class PlainSignificance:
    """A significance that comes without counts, as from a likelihood."""

    significance: float

    @property
    def p_value(self) -> float:
        """One-sided p-value before trials."""
        return float(ndtr(-self.significance))

    def __str__(self) -> str:
        return f"{self.significance:.2f} sigma"

    def to_dict(self) -> dict[str, float]:
        """The significance and its p-value."""
        return {"significance": self.significance, "p_value": self.p_value}


@dataclass(frozen=True)
class DetectionGain:
    """What a selection has gained over a baseline on the same runs.

    Attributes
    ----------
    baseline, selected : OnOffCounts or other object with a ``significance``
        The stacked results on all runs.
    ratio_interval : tuple of float
        Central interval of the ratio over bootstrap samples of the runs; NaN with a single run,
        which has nothing to be resampled.
    confidence : float
        Level of the interval.
    n_runs : int
        Number of runs that were resampled.
    n_bootstrap : int
        Number of bootstrap samples.
    n_unbounded : int
        Bootstrap samples whose baseline shows no excess; their ratio counts as infinite.
    n_trials : float
        Choices that were open when the selection was made, effective number.
    """

    baseline: HasSignificance
    selected: HasSignificance
    ratio_interval: tuple[float, float]
    confidence: float
    n_runs: int
    n_bootstrap: int
    n_unbounded: int
    n_trials: float

    @property
    def ratio(self) -> float:
        """Selected over baseline significance; NaN where the baseline shows no excess."""
        if self.baseline.significance <= 0:
            return float("nan")
        return self.selected.significance / self.baseline.significance

    @property
    def exposure_factor(self) -> float:
        """Exposure the baseline would need to do as well, ``ratio^2``; NaN for a negative ratio."""
        return self.ratio**2 if self.ratio >= 0 else float("nan")

    @property
    def significance_post_trial(self) -> float:
        """Selected significance after correcting for the trials."""
        return float(correct_significance(self.selected.significance, self.n_trials))

    def __str__(self) -> str:
        low, high = self.ratio_interval
        interval = f"{low:.2f} to {high:.2f}" if self.n_runs > 1 else "no interval"
        runs = f"{self.n_runs} run{'s' if self.n_runs > 1 else ''}"
        trials = f"{self.n_trials:g} trial{'s' if self.n_trials != 1 else ''}"
        return (
            f"{self.baseline.significance:.2f} -> {self.selected.significance:.2f} sigma: "
            f"ratio {self.ratio:.2f} ({interval}, {self.confidence:.0%} over {runs}), "
            f"worth {self.exposure_factor:.2f} x the exposure; "
            f"{self.significance_post_trial:.2f} sigma after {trials}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        answer = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("baseline", "selected"):
            side = answer[name]
            give = getattr(side, "to_dict", None)
            answer[name] = give() if give else {"significance": float(side.significance)}
        answer["ratio_interval"] = list(self.ratio_interval)
        derived = ("ratio", "exposure_factor", "significance_post_trial")
        return {**answer, **{name: getattr(self, name) for name in derived}}


class _Stack:
    """One side of the comparison, given as counts per run."""

    def __init__(self, runs: Iterable[OnOffCounts], *, name: str, method: str) -> None:
        self.counts, self.method = gather_runs(runs, name=name), method

    def measure(self) -> HasSignificance:
        n_on, n_off, alpha = sum_runs(*self.counts, method=self.method)
        return OnOffCounts(float(n_on), float(n_off), float(alpha))

    def resample(self, weights: np.ndarray) -> np.ndarray:
        on, off, alpha = sum_runs(*self.counts, weights=weights, method=self.method)
        return li_ma_significance(on, off, alpha=alpha)


class _Statistic:
    """One side of the comparison, given as a function of how often each run counts."""

    def __init__(self, function: Callable[[np.ndarray], Any], *, name: str, n_runs: int) -> None:
        self.function, self.name, self.n_runs = function, name, n_runs

    def measure(self) -> HasSignificance:
        result = self.function(np.ones(self.n_runs, dtype=int))
        if isinstance(result, HasSignificance):
            return result
        return PlainSignificance(float(check_real(f"{self.name}(weights)", result)))

    def resample(self, weights: np.ndarray) -> np.ndarray:
        results = [self.function(row) for row in weights]
        values = [float(getattr(result, "significance", result)) for result in results]
        return check_real(f"{self.name}(weights)", values)


def compare_selections(
    baseline_runs: Iterable[OnOffCounts] | Callable[[np.ndarray], Any],
    selected_runs: Iterable[OnOffCounts] | Callable[[np.ndarray], Any],
    *,
    n_runs: int | None = None,
    method: str = "counts",
    n_trials: float = 1,
    n_bootstrap: int = 1000,
    confidence: float = 0.68,
    rng: np.random.Generator | int | None = None,
) -> DetectionGain:
    """Compare two selections of the same runs, with a paired bootstrap over the runs.

    Runs are drawn with replacement, the same ones for both sides, so that what the two share
    (a good night, a bright field) cancels in the ratio.

    Parameters
    ----------
    baseline_runs, selected_runs : sequence of OnOffCounts, or callable
        One entry per run, in the same order on both sides. Or a function ``f(weights)`` that
        takes an integer array of shape (n_runs,), how often each run counts, and returns the
        significance of the stack, as a number or as an object with a ``significance``: that is
        how a likelihood over many runs comes in.
    n_runs : int, optional
        Needed only when both sides are functions.
    method : {"counts", "moments"}
        How to stack counts, see `stack_counts`.
    n_trials : float, >= 1
        Effective number of selections that were open when this one was chosen; 1 when it was
        fixed, or chosen on other data, beforehand.
    n_bootstrap : int
        Number of bootstrap samples.
    confidence : float
        Level of the interval of the ratio.
    rng : Generator, int or None
        Source of randomness; the same seed gives the same interval.

    Returns
    -------
    DetectionGain

    Raises
    ------
    ValueError
        When the sides have different numbers of runs, or a statistic is not finite.

    Notes
    -----
    With one run there is nothing to resample: the ratio stands, its interval is NaN. With fewer
    than some five runs the interval is rough, a bootstrap of few runs being too narrow.

    A bootstrap sample whose baseline shows no excess has no finite ratio; it counts as infinite
    and is counted in ``n_unbounded``, so that the interval is open above rather than shifted.

    Examples
    --------
    >>> standard = [OnOffCounts(30, 200, 0.1), OnOffCounts(35, 210, 0.1), OnOffCounts(28, 190, 0.1)]
    >>> learned = [OnOffCounts(18, 60, 0.1), OnOffCounts(21, 66, 0.1), OnOffCounts(17, 58, 0.1)]
    >>> gain = compare_selections(standard, learned, n_trials=3, rng=1)
    >>> print(gain)  # doctest: +NORMALIZE_WHITESPACE
    3.73 -> 6.55 sigma: ratio 1.76 (1.66 to 1.90, 68% over 3 runs), worth 3.09 x the exposure;
    6.38 sigma after 3 trials
    """
    check_choice("method", method, ("counts", "moments"))
    trials = float(check_real("n_trials", n_trials, at_least=1))
    level = float(check_real("confidence", confidence, above=0, below=1))
    if not isinstance(n_bootstrap, int | np.integer) or n_bootstrap < 1:
        raise invalid("n_bootstrap", "an integer >= 1", n_bootstrap)
    given = [side if callable(side) else list(side) for side in (baseline_runs, selected_runs)]
    known = {len(side) for side in given if not callable(side)}
    if n_runs is not None:
        known.add(int(n_runs))
    if len(known) != 1 or min(known) < 1:
        raise ValueError(
            f"n_runs must be known, >= 1 and the same on both sides, got {sorted(known)}. Give "
            "one entry per run on both sides; with two functions, n_runs."
        )
    size = known.pop()
    names = ("baseline_runs", "selected_runs")
    baseline, selected = (
        _Statistic(side, name=name, n_runs=size)
        if callable(side)
        else _Stack(side, name=name, method=method)
        for name, side in zip(names, given, strict=True)
    )
    interval, n_unbounded = (float("nan"), float("nan")), 0
    if size > 1:
        generator = np.random.default_rng(rng)
        weights = generator.multinomial(size, np.full(size, 1 / size), size=n_bootstrap)
        below, above = baseline.resample(weights), selected.resample(weights)
        unbounded = below <= 0
        ratios = np.where(unbounded, np.inf, above / np.where(unbounded, 1.0, below))
        tails = [(1 - level) / 2, (1 + level) / 2]
        low, high = np.quantile(ratios, tails, method="inverted_cdf")
        interval, n_unbounded = (float(low), float(high)), int(unbounded.sum())
    return DetectionGain(
        baseline=baseline.measure(),
        selected=selected.measure(),
        ratio_interval=interval,
        confidence=level,
        n_runs=size,
        n_bootstrap=int(n_bootstrap),
        n_unbounded=n_unbounded,
        n_trials=trials,
    )
