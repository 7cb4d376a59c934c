"""Tail probability of the score likelihood at 3, 4 and 5 sigma, measured with importance sampling.

    python benchmarks/null_tail.py [--toys 8000]

ON discs of real H.E.S.S. runs set the background, the reuse of OFF events and the predicted
signal; toys have no source. Printed is true / nominal one-sided tail probability: 1 is exact,
below 1 is conservative. The ON counts of the runs are not used.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from scipy.stats import norm

from astroml_kit.cherenkov import EventDataWarning, read_observations
from astroml_kit.datasets import fetch_dataset
from astroml_kit.reanalysis._hess import Archive, find_target
from astroml_kit.reanalysis._scores import HYPOTHESES
from astroml_kit.reanalysis._target import merge_together
from astroml_kit.significance import ScoreBins

CASES = (("Cen A", 1), ("MSH 15-52", 1), ("Crab", 1), ("Crab", 4), ("MSH 15-52", 4))
LEVELS = (3, 4, 5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toys", type=int, default=8000)
    options = parser.parse_args()
    warnings.simplefilter("ignore", EventDataWarning)
    archive = Archive.read(read_observations(fetch_dataset("hess-dl3-dr1")), progress=True)
    ratios = []
    print(f"{'target':10s} runs  {'hypothesis':22s} {'background in top bins':24s} true / nominal")
    for name, n_runs in CASES:
        _, target = find_target(name, archive.sources)
        runs, _ = archive.select(target)
        models = archive.train(target, hypotheses=HYPOTHESES[1::3] + HYPOTHESES[2:3])
        analysis = archive.analyse(target, runs[:n_runs], models)
        for hypothesis, per_run in analysis.learned.items():
            bins = ScoreBins.stack(merge_together(per_run))
            cells = []
            for level in LEVELS:
                probability, error = bins.measure_tail(level, n_toys=options.toys)
                ratio = probability / norm.sf(level)
                ratios.append(ratio)
                cells.append(f"{level}: {ratio:.2f} +- {ratio * error:.2f}")
            top = " ".join(f"{b:.1f}" for b in bins.background[-3:])
            print(f"{name:10s} {n_runs:4d}  {hypothesis!s:22s} {top:24s} {'  '.join(cells)}")
    print(f"all: {np.min(ratios):.2f} to {np.max(ratios):.2f}, median {np.median(ratios):.2f}")


if __name__ == "__main__":
    main()
