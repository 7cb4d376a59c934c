"""The Cen A-style field event by event: what the quick toys of the reanalysis must agree with.

``python benchmarks/cen_a_fields.py [--fields 60] [--null 400] [--maps 20] [--swap]`` draws whole
fields, counts them and prints the mean and width of every selection beside the means that the
reanalysis prints; of the first 20 fields it also makes the maps and searches them blindly.
``--swap`` exchanges the halves of the library: how far the expectations depend on its showers.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from astropy.coordinates import SkyCoord
from tqdm import tqdm

from astroml_kit.cherenkov.simulation import plan_wobble, read_library
from astroml_kit.reanalysis._cen_a import (
    PUBLISHED_HOURS,
    STREAMS,
    WOBBLE,
    Plan,
    draw_runs,
    set_norms,
    throw,
)
from astroml_kit.reanalysis._cen_a_choices import EXTENDED, SIX, score_library
from astroml_kit.reanalysis._cen_a_maps import LEARNED, STANDARD, make_maps


def make_plan(*, swap: bool, seed: int = 0, hours: float = PUBLISHED_HOURS):
    library = read_library()
    train, test = reversed(library.split()) if swap else library.split()
    main, second, background_scale = set_norms(library)
    scores = {
        key: score_library(train, test, names, index=main.index, seed=seed, n_workers=1)
        for key, names in (("six", SIX), ("extended", EXTENDED))
    }
    pointings = plan_wobble(main.position, wobble=WOBBLE)
    return Plan(train, test, scores, pointings, hours * 3600, background_scale), main, second


def measure(plan, views, sources, n_fields, *, seed):
    values = []
    for number in tqdm(range(n_fields), desc="fields", leave=False):
        rng = np.random.default_rng([seed, number])
        runs = draw_runs(
            plan.test, sources, plan.pointings, plan.seconds, plan.background_scale, rng
        )
        counts = [view.count(runs) for view in views]
        values.append(
            [
                float(view.measure(on.sum(axis=0), off.sum(axis=0)))
                for view, (on, off) in zip(views, counts, strict=True)
            ]
        )
    return np.array(values).T


def search(plan, chosen, sources, n_fields, *, seed):
    """Post-trial significance and distance of each source in the blind search of the maps."""
    rows = []
    for number in tqdm(range(n_fields), desc="maps", leave=False):
        rng = np.random.default_rng([seed, number])
        runs = draw_runs(
            plan.test, sources, plan.pointings, plan.seconds, plan.background_scale, rng
        )
        maps, found = make_maps(plan, sources[0], chosen, runs, rng)
        row = {"width": maps[LEARNED].null_fit.width}
        for name, table in found.items():
            places = SkyCoord(np.append(table["ra"].value, 0), np.append(table["dec"].value, 90),
                              unit="deg")  # fmt: skip
            values = np.append(table["significance_post_trial"], 0.0)
            away = np.array([source.position.separation(places).deg for source in sources])
            for source, distance in zip(sources, away, strict=True):
                best = int(np.argmin(distance))
                near = distance[best] < 0.25
                row[name, source.name] = (values[best], distance[best]) if near else (0.0, np.nan)
            row[name, "elsewhere"] = int((away.min(axis=0)[:-1] > 0.25).sum())
        rows.append(row)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=int, default=60)
    parser.add_argument("--null", type=int, default=400)
    parser.add_argument("--maps", type=int, default=20)
    parser.add_argument("--swap", action="store_true")
    arguments = parser.parse_args()
    plan, main_source, second = make_plan(swap=arguments.swap)
    chosen, views = plan.view_main(main_source)
    far = plan.view_second(second, main_source, chosen)
    rng = {name: np.random.default_rng([1, k]) for k, name in enumerate(STREAMS)}
    quick = [
        throw(plan, some, source, 2000, 2000, rng)
        for some, source in ((views, main_source), (far, second))
    ]
    sources = [main_source, second]
    rows = search(plan, chosen, sources, arguments.maps, seed=1)
    if rows:
        print(f"blind search of {len(rows)} fields, sigma after trials (below 3: counted as 0)")
        for name in (STANDARD, LEARNED):
            for source in sources:
                values, away = np.array([row[name, source.name] for row in rows]).T
                print(
                    f"{name:17} {source.name:28} median {np.median(values):5.2f}, "
                    f"mean {values.mean():5.2f}, >= 5 in {np.mean(values >= 5):4.0%}, "
                    f"median distance {np.nanmedian(np.append(away, 9.99)):.3f} deg"
                )
            print(
                f"{name:17} elsewhere: {sum(row[name, 'elsewhere'] for row in rows)} above 3 sigma"
            )
        print(f"{LEARNED}: null width {np.mean([row['width'] for row in rows]):.3f}", flush=True)
    drawn = measure(plan, views + far, sources, arguments.fields, seed=1)
    dark = [replace(source, norm=0.0) for source in (main_source, second)]
    null = measure(plan, views + far, dark, arguments.null, seed=2)
    print(f"{'':32} {'toys':>14} {'events':>22} {'null, events':>30}")
    names = [f"main: {view.name}" for view in views] + [f"second: {view.name}" for view in far]
    toys = np.concatenate([expected for expected, _ in quick])
    for name, toy, field, empty in zip(names, toys, drawn, null, strict=True):
        n = len(field)
        print(
            f"{name:32} {toy.mean():6.2f} +- {toy.std():4.2f} "
            f"{field.mean():8.2f} +- {field.std(ddof=1) / np.sqrt(n):4.2f}, sd {field.std():4.2f} "
            f"{empty.mean():8.3f} +- {empty.std() / np.sqrt(len(empty)):.3f}, "
            f"width {empty.std(ddof=1):.3f}"
        )


if __name__ == "__main__":
    main()
