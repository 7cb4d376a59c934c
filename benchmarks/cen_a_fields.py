"""The Cen A-style field event by event: what the quick toys of the reanalysis must agree with.

``python benchmarks/cen_a_fields.py [--fields 60] [--null 400] [--swap]`` draws whole fields, counts
them and prints the mean and width of every selection beside the means that the reanalysis prints.
``--swap`` exchanges the halves of the library: how far the expectations depend on its showers.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=int, default=60)
    parser.add_argument("--null", type=int, default=400)
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
    drawn = measure(plan, views + far, [main_source, second], arguments.fields, seed=1)
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
