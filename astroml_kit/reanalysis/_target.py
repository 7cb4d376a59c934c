"""One target under every selection: fixed cuts, a cross-fitted box, and the score likelihood."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from astropy.table import QTable
from numpy.typing import ArrayLike

from ..cherenkov.cells import RADIUS, TargetRun, assign_bins
from ..significance import OnOffCounts, ScoreBins, resample_significance, stack_counts
from ._scores import Hypothesis, ScoredRun

STANDARD_THETA = 0.11  # deg, theta^2 < 0.0121 deg^2, the standard cut for point sources
STANDARD_THRESHOLD = 0.66  # TeV
BOXES = tuple(
    product(
        (0.0, 0.25, 0.4, 0.5, 0.63, 0.8, 1.0, 1.26, 1.6, 2.0),
        (0.07, 0.08, 0.09, 0.1, 0.11, 0.12, 0.14, 0.2),
    )
)
BEFOREHAND = Hypothesis(2.5)  # for a single run, which has no other half to choose on


@dataclass(frozen=True, eq=False)
class Half:
    """Runs of one half under the hypothesis that the other half chose.

    Parameters
    ----------
    rows : ndarray of int
        Which runs.
    hypothesis : Hypothesis
        What the score assumes.
    runs : list of ScoreBins
        Each run in the merged bins of the half.
    """

    rows: np.ndarray
    hypothesis: Hypothesis
    runs: list[ScoreBins]

    @cached_property
    def stack(self) -> ScoreBins:
        """All runs of the half together."""
        return ScoreBins.stack(self.runs)


@dataclass(frozen=True, eq=False)
class TargetAnalysis:
    """Counts of all runs around one target, ready for every selection.

    Parameters
    ----------
    runs : tuple of TargetRun
        Events around the target.
    learned, plain : mapping of Hypothesis to list of ScoreBins
        Bins of the learned score and of the plain log ratio of cells, one per run.
    """

    runs: tuple[TargetRun, ...]
    learned: Mapping[Hypothesis, list[ScoreBins]]
    plain: Mapping[Hypothesis, list[ScoreBins]]

    @classmethod
    def bin(cls, scored: Sequence[ScoredRun]) -> TargetAnalysis:
        """Cut the scores of all runs into common bins of equal predicted signal and count."""
        filled: dict[str, dict[Hypothesis, list[ScoreBins]]] = {"learned": {}, "plain": {}}
        for kind, bins in filled.items():
            for hypothesis in scored[0].signal:
                scores = [getattr(entry, kind)[hypothesis] for entry in scored]
                signals = [entry.signal[hypothesis] for entry in scored]
                rows = zip(scored, assign_bins(scores, signals), signals, strict=True)
                bins[hypothesis] = [
                    entry.run.fill_bins(table, signal) for entry, table, signal in rows
                ]
        return cls(runs=tuple(entry.run for entry in scored), **filled)

    @property
    def _halves(self) -> list[np.ndarray]:
        rows = np.arange(len(self.runs))
        return [rows] if len(rows) == 1 else [rows[0::2], rows[1::2]]

    @cached_property
    def learned_halves(self) -> list[Half]:
        """The halves under the learned score."""
        return self._choose_hypotheses(self.learned)

    @cached_property
    def plain_halves(self) -> list[Half]:
        """The halves under the plain log ratio of cells."""
        return self._choose_hypotheses(self.plain)

    def _choose_hypotheses(self, bins: Mapping[Hypothesis, list[ScoreBins]]) -> list[Half]:
        made = []
        for rows in self._halves:
            merged = {
                hypothesis: merge_together([runs[i] for i in rows])
                for hypothesis, runs in bins.items()
            }
            made.append((rows, merged))
        best = [
            max(merged, key=lambda hypothesis: ScoreBins.stack(merged[hypothesis]).significance)
            for _, merged in made
        ]
        chosen = best[::-1] if len(best) == 2 else [BEFOREHAND]
        return [Half(rows, h, merged[h]) for (rows, merged), h in zip(made, chosen, strict=True)]

    def count_fixed(
        self, *, energy_min: float = 0.0, theta_max: float = STANDARD_THETA
    ) -> OnOffCounts:
        """Stack the counts of all runs under one fixed cut."""
        counts = [run.count_box(energy_min=energy_min, theta_max=theta_max) for run in self.runs]
        return stack_counts(counts, method="moments")

    @cached_property
    def _box_counts(self) -> list[list[OnOffCounts]]:
        """Counts of each box in each run, [box][run]."""
        return [
            [run.count_box(energy_min=energy, theta_max=theta) for run in self.runs]
            for energy, theta in BOXES
        ]

    @cached_property
    def boxes(self) -> list[int]:
        """Index into ``BOXES`` for each half, chosen on the other half."""
        if len(self.runs) == 1:
            return [BOXES.index((0.63, STANDARD_THETA))]
        best = [
            int(np.argmax([
                stack_counts([counts[i] for i in rows], method="moments").significance
                for counts in self._box_counts
            ]))
            for rows in self._halves
        ]  # fmt: skip
        return best[::-1]

    @cached_property
    def box_counts(self) -> list[OnOffCounts]:
        """Counts of each half under its box."""
        return [
            stack_counts([self._box_counts[box][i] for i in rows], method="moments")
            for rows, box in zip(self._halves, self.boxes, strict=True)
        ]

    def resample_box(self, weights: ArrayLike) -> float:
        """Significance of the cross-fitted box when run r counts ``weights[r]`` times."""

        def significance(half: int, weight: np.ndarray) -> float:
            rows = np.repeat(self._halves[half], weight)
            counts = [self._box_counts[self.boxes[half]][i] for i in rows]
            return float(stack_counts(counts, method="moments").significance)

        return self._combine_resampled(weights, significance)

    def resample_likelihood(self, weights: ArrayLike) -> float:
        """Significance of the score likelihood when run r counts ``weights[r]`` times."""

        def significance(half: int, weight: np.ndarray) -> float:
            return float(resample_significance(self.learned_halves[half].runs, weight))

        return self._combine_resampled(weights, significance)

    def _combine_resampled(
        self, weights: ArrayLike, significance: Callable[[int, np.ndarray], float]
    ) -> float:
        weight = np.asarray(weights, dtype=int)
        values = [
            significance(half, weight[rows])
            for half, rows in enumerate(self._halves)
            if weight[rows].any()
        ]
        return combine(values)

    def calibrate(
        self, halves: Sequence[Half] | None = None, *, seed: int = 0, n_toys: int = 2000
    ) -> float:
        """Significance of a likelihood, by default the learned one, with the tail of toys."""
        calibrated = [
            half.stack.calibrate(n_toys=n_toys, rng=np.random.default_rng([seed, 3, i]))
            for i, half in enumerate(halves or self.learned_halves)
        ]
        return combine([half.significance for half in calibrated])

    def make_table(self, *, seed: int = 0) -> QTable:
        """Every selection, one row each, the learned one last.

        Likelihoods are quoted with the tail probability that toys measure; ``nominal`` is what
        the likelihood ratio, or Li & Ma, says when taken as a standard normal deviate.
        """
        standard = self.count_fixed()
        threshold = self.count_fixed(energy_min=STANDARD_THRESHOLD)
        boxes = (BOXES[i] for i in self.boxes)
        box = _join(f"E > {energy:g} TeV, theta < {theta:g} deg" for energy, theta in boxes)
        rows = [
            _summarise("A0: theta^2 < 0.0121", [standard], "fixed"),
            _summarise("A1: A0 and E > 0.66 TeV", [threshold], "fixed"),
            _summarise("box, cross-fitted", self.box_counts, box),
        ]
        for name, halves in (
            ("likelihood, plain cells", self.plain_halves),
            ("likelihood, learned", self.learned_halves),
        ):
            choice = _join(str(half.hypothesis) for half in halves)
            row = _summarise(name, [half.stack for half in halves], choice)
            rows.append({**row, "significance": self.calibrate(halves, seed=seed)})
        table = QTable(rows=rows)
        table["ratio"] = table["significance"] / table["significance"][0]
        table["significance"].info.description = "one-sided, pre-trial, tails from toys"
        table["nominal"].info.description = "root of twice the log-likelihood ratio"
        table["ratio"].info.description = "significance / that of A0"
        return table

    def make_curves(self) -> dict[str, Any]:
        """Plain arrays for plots."""
        edges = np.linspace(0.0, RADIUS**2, 41)
        on = np.concatenate([run.on_theta for run in self.runs]) ** 2
        off = sum(np.histogram(run.off_theta**2, edges)[0] / run.n_rotations for run in self.runs)
        half = self.learned_halves[0]
        counts = (
            ScoreBins.stack([run for half in self.learned_halves for run in half.runs])
            if (len({len(half.stack.n_on) for half in self.learned_halves}) == 1)
            else half.stack
        )
        strength = max(counts.strength, 0.0)
        whole = ScoreBins.stack(self.learned[half.hypothesis])
        signal = np.cumsum(whole.signal[::-1]) / whole.signal.sum()
        background = np.cumsum(whole.background[::-1]) / whole.background.sum()
        single = [run.merge().significance for run in self.learned[half.hypothesis]]
        standard = [run.count_box(energy_min=0.0, theta_max=STANDARD_THETA) for run in self.runs]
        return {
            "theta_squared": {
                "edges": edges,
                "on": np.histogram(on, edges)[0],
                "off": off,
                "cut": STANDARD_THETA**2,
            },
            "score": {
                "edges": np.arange(len(counts.n_on) + 1.0),
                "on": counts.n_on,
                "off": counts.background,
                "signal": counts.signal * strength,
            },
            "runs": {
                "obs_id": [run.obs_id for run in self.runs],
                "significance": {
                    "standard": [count.significance for count in standard],
                    "likelihood": single,
                },
            },
            "roc": {
                "background": np.concatenate([[0.0], background]),
                "signal": np.concatenate([[0.0], signal]),
                "label": "learned score, ON disc",
            },
        }


def combine(significances: Sequence[float]) -> float:
    """Significance of independent halves together: their sum over the root of their number."""
    return float(np.sum(significances) / np.sqrt(len(significances)))


def merge_together(runs: list[ScoreBins]) -> list[ScoreBins]:
    """Merge the bins of runs so that their stack has enough OFF in each."""
    membership = ScoreBins.stack(runs).group()
    return [run.merge(membership) for run in runs]


def _join(choices: Iterable[str]) -> str:
    """Name what the halves use, once where it is the same."""
    return "; ".join(dict.fromkeys(choices))


def _summarise(
    name: str, parts: Sequence[OnOffCounts | ScoreBins], choice: str
) -> dict[str, str | float]:
    """Counts and combined significance of independent parts, as a row of the table."""
    n_on = float(sum(np.sum(part.n_on) for part in parts))
    background = float(sum(np.sum(part.background) for part in parts))
    significance = combine([part.significance for part in parts])
    return {
        "selection": name,
        "n_on": n_on,
        "background": background,
        "excess": n_on - background,
        "significance": significance,
        "nominal": significance,
        "choice": choice,
    }
