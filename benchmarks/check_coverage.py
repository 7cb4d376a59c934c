"""Coverage of the upper limits over a grid of signals and backgrounds, summed without toys.

For each point the Poisson probabilities of all (n_on, n_off) whose limit is not below the true
signal are added. Beside it, the coverage of the bounded profile likelihood alone.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path

import numpy as np
from scipy.special import ndtri, pdtrc
from scipy.stats import poisson

sys.path.insert(0, str(Path(__file__).parents[1]))
from astroml_kit.significance.limits import bounded_statistic, deficit_probability

ALPHAS = (0.05, 0.2, 1.0, 3.0)
BACKGROUNDS = (0.1, 0.5, 1.0, 3.0, 10.0, 40.0)
SIGNALS = (0.3, 1.0, 2.0, 3.5, 6.0, 12.0, 30.0)


def find_coverage(signal: float, background: float, alpha: float, confidence: float) -> list[float]:
    """Probability of covering the signal: of the profile likelihood alone, and of our limit."""
    quantile = ndtri(confidence) ** 2
    off = np.arange(poisson.ppf(1e-7, background / alpha), poisson.isf(1e-7, background / alpha))
    chance = poisson.pmf(off, background / alpha)
    covered, enough = [0.0, 0.0], [0.0, 0.0]
    for n_off, weight in zip(off, chance / chance.sum(), strict=True):
        for i in (0, 1):
            # more OFF counts never lower the ON counts from which a limit covers: walk up
            while (
                (n_on := enough[i]) < signal + alpha * n_off
                and bounded_statistic(signal, n_on, n_off, alpha) >= quantile
                and (i == 0 or deficit_probability(signal, n_on, n_off, alpha) <= 1 - confidence)
            ):
                enough[i] += 1
            covered[i] += weight * (pdtrc(n_on - 1, signal + background) if n_on else 1.0)
    return covered


def main() -> None:
    """Print the worst points, and the extremes over the grid."""
    parser = argparse.ArgumentParser(description="Coverage of the upper limits.")
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--all", action="store_true", help="print every point")
    options = parser.parse_args()
    worst = [1.0, 1.0]
    print("alpha  background  signal   profile alone   upper_limit")
    for point in product(ALPHAS, BACKGROUNDS, SIGNALS):
        alpha, background, signal = point
        covered = find_coverage(signal, background, alpha, options.confidence)
        if options.all or min(covered) < options.confidence - 0.01:
            print(
                f"{alpha:5g}  {background:10g}  {signal:6g}   {covered[0]:13.4f} {covered[1]:13.4f}"
            )
        worst = [min(pair) for pair in zip(worst, covered, strict=True)]
    print(f"least coverage at {options.confidence:g}: {worst[0]:.4f} and {worst[1]:.4f}")


if __name__ == "__main__":
    main()
