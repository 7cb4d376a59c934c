"""Li & Ma of a million ON/OFF pairs against gammapy and pyirf."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from harness import Comparison, compare, import_peer, main

sys.path.insert(0, str(Path(__file__).parents[1]))
from astroml_kit.significance import li_ma_significance

N_PAIRS = 1_000_000


def clip_difference(ours: Any, theirs: Any) -> float:
    """Largest difference from an answer that has 0 for every deficit."""
    return float(np.abs(np.maximum(ours, 0) - theirs).max())


def run(*, repeats: int = 7) -> list[Comparison]:
    """One alpha for all pairs, as in a sky map, and one each, as over runs; no signal."""
    rng = np.random.default_rng(1)
    n_on, n_off = rng.poisson(20, N_PAIRS), rng.poisson(200, N_PAIRS)
    alpha = rng.uniform(0.08, 0.12, N_PAIRS)
    weighted = n_on + alpha  # no two alike
    counts = import_peer("gammapy.stats").WStatCountsStatistic
    pyirf = import_peer("pyirf.statistics").li_ma_significance
    # gammapy subtracts sums of large terms, which leaves it some seven digits near 0 sigma
    peer = {"peer_name": "gammapy", "tolerance": 1e-6, "repeats": repeats}
    return [
        compare(
            "Li & Ma, 10^6 pairs, one alpha",
            lambda: li_ma_significance(n_on, n_off, alpha=0.1),
            lambda: counts(n_on, n_off, 0.1).sqrt_ts,
            **peer,
        ),
        compare(
            "Li & Ma, 10^6 pairs, alpha per pair",
            lambda: li_ma_significance(n_on, n_off, alpha=alpha),
            lambda: counts(n_on, n_off, alpha).sqrt_ts,
            **peer,
        ),
        compare(
            "Li & Ma, 10^6 pairs, no count repeats",
            lambda: li_ma_significance(weighted, n_off, alpha=0.1),
            lambda: counts(weighted, n_off, 0.1).sqrt_ts,
            **peer,
        ),
        compare(
            "Li & Ma, 10^6 pairs, one alpha",
            lambda: li_ma_significance(n_on, n_off, alpha=0.1),
            lambda: pyirf(n_on, n_off, 0.1),
            peer_name="pyirf (no deficits)",
            tolerance=1e-6,
            repeats=repeats,
            difference=clip_difference,
        ),
    ]


if __name__ == "__main__":
    main(run)
