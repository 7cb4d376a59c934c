"""How well are simulated gammas reconstructed, by tables and geometry and by what is learned?

    python benchmarks/stereo_resolution.py --showers 600000

Showers from the whole field of view are split in two: one half fills the look-up tables, the other
trains the learned energy and direction. They are judged on showers of their own at 0.5 deg from the
pointing, and at larger offsets. Prints resolution and bias per bin of true energy, the coverage of
the predicted errors, and the scaled parameters of gammas per offset.
"""

from __future__ import annotations

import argparse

import numpy as np
from astropy.table import QTable

from astroml_kit.cherenkov import (
    ScalingTables,
    evaluate_reconstruction,
    reconstruct_stereo,
    train_direction,
    train_energy,
)
from astroml_kit.cherenkov.simulation import simulate_showers

# Nothing below 80 GeV passes the cuts; more light than this is asked for later.
COMMON = {"energy_min": 0.08, "min_light": 55.0, "progress": False}


def print_table(table: QTable, title: str) -> None:
    print(f"\n{title}")
    short = table.copy()
    for name in table.colnames:
        words = {"resolution": "res", "coverage": "cov", "angular": "angle", "geometry": "geo"}
        new = "_".join(words.get(word, word) for word in name.split("_"))
        if short[name].dtype.kind == "f":
            short[name].info.format = ".3f"
        short.rename_column(name, new)
    short.pprint(max_lines=-1, max_width=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--showers", type=int, default=600_000, help="gammas per sample")
    parser.add_argument("--zenith", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--offsets", type=float, nargs="*", default=[1.0, 1.5, 2.0])
    parser.add_argument("--tables-only", action="store_true", help="leave out what is learned")
    options = parser.parse_args()
    n, zenith, seed = options.showers, options.zenith, options.seed

    diffuse = simulate_showers(
        "gamma", n_showers=n, view_cone=2.7, zenith=zenith, rng=seed, **COMMON
    )
    half = diffuse["shower_id"] % 2 == 0
    tables = ScalingTables.fit(diffuse[half])
    print(tables)
    learned = None
    if not options.tables_only:
        energy = train_energy(reconstruct_stereo(diffuse[~half], tables=tables))
        learned = energy, train_direction(diffuse[~half])
    for k, offset in enumerate([0.5, *options.offsets]):
        showers = n if k == 0 else n // 4
        images = simulate_showers(
            "gamma", n_showers=showers, offset=offset, zenith=zenith, rng=seed + 1 + k, **COMMON
        )
        events = reconstruct_stereo(images, tables=tables)
        if learned is not None:
            events = learned[0].predict(events)
            events = learned[1].predict(events, images)
        print_table(evaluate_reconstruction(events), f"E^-2.6, zenith {zenith:g}, {offset:g} deg")
        for name in ("mean_scaled_width", "mean_scaled_length"):
            values = np.asarray(events[name])[events["is_valid"]]
            print(f"{name}: mean {values.mean():+.3f}, sd {values.std():.3f}")


if __name__ == "__main__":
    main()
