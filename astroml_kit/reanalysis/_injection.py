"""A weak source injected into labelled events: selections, the field, and many fields like it.

A *library* of labelled events stands for the sky: every event of it appears in the ON region with
a Poisson multiplicity whose mean is its class's expected count over the library's size, and
hadrons appear in the OFF regions 1/alpha times as often. Given the library, counts behind any
selection are then exactly Poisson. What the library does not know, because it is finite, is
measured by drawing it again with replacement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from scipy.optimize import brentq

from ..significance import binned_significance, expected_significance


@dataclass(frozen=True, eq=False)
class Library:
    """Labelled events: image parameters by name, what a classifier sees, and the truth."""

    parameters: Mapping[str, np.ndarray]
    is_gamma: np.ndarray
    groups: np.ndarray
    features: np.ndarray = field(default_factory=lambda: np.empty((0, 0)), repr=False)

    def __len__(self) -> int:
        return len(self.is_gamma)

    def take(self, rows: np.ndarray) -> Library:
        """Return some of the events."""
        parameters = {name: values[rows] for name, values in self.parameters.items()}
        features = self.features[rows] if len(self.features) else self.features
        return Library(parameters, self.is_gamma[rows], self.groups[rows], features)

    def add(self, **parameters: np.ndarray) -> Library:
        """Return the same events with more parameters."""
        return replace(self, parameters={**self.parameters, **parameters})


@dataclass(frozen=True)
class Box:
    """Events whose parameters lie between bounds, both inclusive."""

    name: str
    bounds: Mapping[str, tuple[float, float]]
    signal: tuple[float, ...] = (1.0,)

    def assign(self, library: Library) -> np.ndarray:
        """Return 0 inside the box and -1 outside."""
        inside = np.ones(len(library), dtype=bool)
        for column, (low, high) in self.bounds.items():
            values = library.parameters[column]
            inside &= (values >= low) & (values <= high)
        return np.where(inside, 0, -1)

    def to_dict(self) -> dict[str, Any]:
        """Return the bounds."""
        return {"name": self.name, "bounds": {k: list(v) for k, v in self.bounds.items()}}


@dataclass(frozen=True)
class ScoreBands:
    """Bands of the score between increasing edges; the last one is open above."""

    name: str
    edges: tuple[float, ...]
    signal: tuple[float, ...]

    def assign(self, library: Library) -> np.ndarray:
        """Return the band, -1 below the lowest edge."""
        return np.searchsorted(self.edges, library.parameters["score"], side="right") - 1

    def to_dict(self) -> dict[str, Any]:
        """Return edges and predicted signal."""
        return {"name": self.name, "edges": list(self.edges), "signal": list(self.signal)}


Selection: TypeAlias = Box | ScoreBands


@dataclass(frozen=True)
class Injection:
    """Expected counts before any selection: signal and background ON, and alpha."""

    n_signal: float
    n_background: float
    alpha: float

    def expect(self, kept_signal: Any, kept_background: Any) -> Any:
        """Expected significance behind one cut, from the shares that it keeps."""
        signal, background = self.n_signal * kept_signal, self.n_background * kept_background
        return expected_significance(signal, background, alpha=self.alpha)

    def weigh(self, library: Library) -> tuple[np.ndarray, np.ndarray]:
        """Expected multiplicity of each event in the ON and in the OFF regions."""
        gammas, hadrons = library.is_gamma, ~library.is_gamma
        on = np.where(
            gammas, self.n_signal / gammas.sum(), self.n_background / max(hadrons.sum(), 1)
        )
        off = np.where(gammas, 0.0, on / self.alpha)
        return on, off


def inject_source(
    library: Library,
    selection: Selection,
    *,
    n_background: float,
    alpha: float,
    significance: float,
) -> Injection:
    """Set the flux so that ``selection``, a single cut, expects ``significance``."""
    kept_signal, kept_background = measure_efficiency(library, selection)
    if kept_signal == 0:
        raise ValueError(
            f"{selection.name} must keep some gammas, got none of {library.is_gamma.sum()}. "
            "Without them no flux gives the significance asked for."
        )

    def miss(n_signal: float) -> float:
        injection = Injection(n_signal, n_background, alpha)
        return float(injection.expect(kept_signal, kept_background)) - significance

    largest = 1e3 * (significance + 1) ** 2 * (np.sqrt(n_background) + 1) / kept_signal
    return Injection(float(brentq(miss, 0.0, largest)), n_background, alpha)


def measure_efficiency(library: Library, selection: Selection) -> tuple[float, float]:
    """Share of gammas and of hadrons that a selection keeps in any of its bins."""
    kept = selection.assign(library) >= 0
    return float(kept[library.is_gamma].mean()), float(kept[~library.is_gamma].mean())


class Bench:
    """The selections side by side on fields drawn from one library."""

    def __init__(
        self, library: Library, selections: Sequence[Selection], injection: Injection
    ) -> None:
        self.library, self.selections, self.injection = library, selections, injection
        self.on, self.off = injection.weigh(library)
        self.bins = [selection.assign(library) for selection in selections]
        # One column for each bin of each selection, so that one product counts them all.
        self.stops = np.cumsum([len(selection.signal) for selection in selections])
        self.starts = self.stops - [len(selection.signal) for selection in selections]
        self.columns = self._mark(np.stack(self.bins, axis=1))
        # Events in the same bin of every selection are alike: the sum of their Poisson
        # multiplicities is a Poisson number too, and a few dozen kinds stand for all events.
        kinds, kind = np.unique(np.stack(self.bins, axis=1), axis=0, return_inverse=True)
        self.kind = kind.ravel()
        self.kind_columns = self._mark(kinds)

    def _mark(self, bins: np.ndarray) -> np.ndarray:
        """1 in the column of each bin that a row is in; ``bins`` is (n_rows, n_selections)."""
        columns = np.zeros((len(bins), self.stops[-1]))
        for start, places in zip(self.starts, bins.T, strict=True):
            rows = np.flatnonzero(places >= 0)
            columns[rows, start + places[rows]] = 1.0
        return columns

    def draw(self, n_runs: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Divide one field into runs: multiplicities ON and OFF, shape (n_runs, n_events)."""
        shape = (n_runs, len(self.library))
        return rng.poisson(self.on / n_runs, shape), rng.poisson(self.off / n_runs, shape)

    def count(self, multiplicity: np.ndarray) -> list[np.ndarray]:
        """Counts in the bins of each selection, shape (n_fields, n_bins)."""
        return self._split(multiplicity @ self.columns)

    def _split(self, counts: np.ndarray) -> list[np.ndarray]:
        return [counts[:, i:j] for i, j in zip(self.starts, self.stops, strict=True)]

    def measure(self, n_on: Sequence[np.ndarray], n_off: Sequence[np.ndarray]) -> np.ndarray:
        """Significance of counts under each selection, shape (n_selections, n_fields)."""
        alpha = self.injection.alpha
        return np.stack([
            np.atleast_1d(binned_significance(on, off, alpha=alpha, signal=selection.signal))
            for selection, on, off in zip(self.selections, n_on, n_off, strict=True)
        ])  # fmt: skip

    def repeat(self, n_fields: int, rng: np.random.Generator, *, source: bool = True) -> np.ndarray:
        """Significance of many independent fields, shape (n_selections, n_fields)."""
        on = self.on if source else np.where(self.library.is_gamma, 0.0, self.on)
        means = (np.bincount(self.kind, weight) for weight in (on, self.off))
        drawn = (rng.poisson(mean, (n_fields, len(mean))) @ self.kind_columns for mean in means)
        return self.measure(*(self._split(counts) for counts in drawn))

    def repeat_library(self, n_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Significance of expected counts from redrawn libraries, (n_selections, n_draws)."""
        gammas, hadrons = (np.flatnonzero(self.library.is_gamma == kind) for kind in (True, False))
        times = np.zeros((n_draws, len(self.library)))
        for rows in (gammas, hadrons):
            times[:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), n_draws)
        return self.measure(self.count(times * self.on), self.count(times * self.off))
