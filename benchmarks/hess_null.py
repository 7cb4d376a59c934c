"""Significances on empty positions of the H.E.S.S. public data: is the null a standard normal?

    python benchmarks/hess_null.py [--toys 500] [--stack 6]

Positions lie 0.5 and 1 deg from the pointing, their discs do not overlap, and none is near a
known source or what the run was taken for. Scores are trained on other fields, five folds by field.
"""

from __future__ import annotations

import argparse
import warnings

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from tqdm import tqdm

from astroml_kit.cherenkov import EventDataWarning, NoOffRegionError, read_observations
from astroml_kit.cherenkov.cells import RADIUS, select_target
from astroml_kit.cherenkov.off_library import OffLibrary
from astroml_kit.datasets import fetch_dataset
from astroml_kit.reanalysis._hess import Archive
from astroml_kit.reanalysis._scores import HYPOTHESES, draw_training, score_run, train_score
from astroml_kit.reanalysis._target import BEFOREHAND, TargetAnalysis

RINGS = ((0.5, 7), (1.0, 15))  # deg, and the number of 0.4 deg discs that fit the ring
N_FOLDS = 5
# Kept free around what the run was taken for: the tails of the PKS 2155-304 flare and of the
# Crab nebula reach beyond the radius that hides an ordinary source.
CLEAR = 0.45 * u.deg


def find_empty_positions(archive, observation):
    """Positions on rings that are clear of known sources and of the run's own object."""
    taken_for = SkyCoord(
        observation.events.meta["RA_OBJ"], observation.events.meta["DEC_OBJ"], unit="deg"
    )
    offset = np.concatenate([np.full(n, radius) for radius, n in RINGS]) * u.deg
    azimuth = np.concatenate([(np.arange(n) + 0.5) * 360 / n for _, n in RINGS]) * u.deg
    positions = observation.pointing.directional_offset_by(azimuth, offset)
    clear = positions.separation(taken_for) > RADIUS * u.deg + CLEAR
    for position, radius in zip(
        archive.sources["position"], archive.sources["exclusion_radius"], strict=True
    ):
        if position.separation(observation.pointing) < 5 * u.deg:
            clear &= positions.separation(position) > radius + RADIUS * u.deg
    return positions[clear], [(taken_for, CLEAR)]


def group_fields(archive):
    """Fold of each run; runs that point within 4 deg of each other share one."""
    pointings = archive.observations.pointings
    field = -np.ones(len(pointings), dtype=int)
    for i in range(len(pointings)):
        if field[i] < 0:
            field[(field < 0) & (pointings.separation(pointings[i]) < 8 * u.deg)] = field.max() + 1
    return field % N_FOLDS


def score_positions(archive, *, seed, progress=True):
    """Score every empty position with the models of the other folds."""
    folds = group_fields(archive)
    by_id = {run.obs_id: run for run in archive.library.runs}
    scored, labels = [], []
    for fold in range(N_FOLDS):
        inside = archive.observations.obs_ids[folds == fold]
        others = OffLibrary(tuple(r for i, r in by_id.items() if i not in set(inside.tolist())))
        rng = np.random.default_rng([seed, fold])
        samples = draw_training(others, archive.irfs, HYPOTHESES, rng=rng)
        models = {
            hypothesis: train_score(X, y, seed=seed)
            for hypothesis, (X, y) in zip(HYPOTHESES, samples, strict=True)
        }
        for obs_id in tqdm(inside, f"fold {fold}", disable=not progress):
            observation = archive.observations[int(obs_id)]
            positions, extra = find_empty_positions(archive, observation)
            for position in positions:
                exclusions = [*archive.list_exclusions(position), *extra]
                try:
                    run = select_target(
                        observation, position, exclusions=exclusions, gradient=others.gradient
                    )
                except NoOffRegionError:
                    continue
                irfs = archive.irfs[int(obs_id)]
                scored.append(score_run(run, irfs, models, library=others))
                labels.append(int(obs_id))
    return scored, labels


def describe(name, values):
    """Print mean and width with their errors, and tail counts."""
    values = np.asarray(values)
    n = len(values)
    tails = "  ".join(f">{k}: {np.mean(values > k):.4f}" for k in (1, 2, 3))
    print(
        f"{name:42s} n {n:4d}  mean {values.mean():+.3f} +- {1 / np.sqrt(n):.3f}  "
        f"width {values.std(ddof=1):.3f} +- {1 / np.sqrt(2 * n):.3f}  {tails}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toys", type=int, default=400)
    parser.add_argument("--stack", type=int, default=6, help="runs per stack")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore", EventDataWarning)
    archive = Archive.read(read_observations(fetch_dataset("hess-dl3-dr1")), progress=True)
    scored, labels = score_positions(archive, seed=options.seed)
    print(f"{len(scored)} empty positions in {len(set(labels))} runs")

    single = [TargetAnalysis.bin([entry]) for entry in scored]
    describe("A0: theta^2 < 0.0121", [a.count_fixed().significance for a in single])
    describe(
        "A1: A0 and E > 0.66 TeV", [a.count_fixed(energy_min=0.66).significance for a in single]
    )
    for kind in ("plain", "learned"):
        for hypothesis in HYPOTHESES:
            bins = [getattr(a, kind)[hypothesis][0].merge() for a in single]
            describe(f"{kind}, {hypothesis}", [b.significance for b in bins])
    bins = [a.learned[BEFOREHAND][0].merge() for a in single]
    calibrated = [
        b.calibrate(n_toys=options.toys, rng=i).significance
        for i, b in enumerate(tqdm(bins, "toys"))
    ]
    describe(f"learned, {BEFOREHAND}, calibrated", calibrated)

    # the whole procedure, hypothesis from the other half, on stacks of positions of other runs
    order = np.random.default_rng(options.seed).permutation(len(scored))
    stacks = [
        [scored[i] for i in order[k : k + options.stack]]
        for k in range(0, len(order) - options.stack + 1, options.stack)
    ]
    analyses = [TargetAnalysis.bin(stack) for stack in tqdm(stacks, "stacks")]
    ones = np.ones(options.stack, dtype=int)
    describe(f"stacks of {options.stack}: box", [a.resample_box(ones) for a in analyses])
    describe(
        f"stacks of {options.stack}: likelihood", [a.resample_likelihood(ones) for a in analyses]
    )
    describe(
        f"stacks of {options.stack}: likelihood, calibrated",
        [a.calibrate(seed=i, n_toys=options.toys) for i, a in enumerate(tqdm(analyses, "toys"))],
    )


if __name__ == "__main__":
    main()
