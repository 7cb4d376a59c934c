"""A neural network and an image network beside the boosted trees, in the same report.

    python benchmarks/cen_a_alternatives.py [--fields 500] [--showers 100000]

First the Cen A-style field with the extended features scored by a neural network: cut and
likelihood, chosen and counted as the reanalysis does with the trees. Then showers with their camera
images: a convolutional network looks at each image, an event's score is the mean log odds over its
images, and trees may have that score beside the stereo features. Split by shower throughout.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from astropy.table import QTable
from sklearn.base import clone
from sklearn.model_selection import GroupKFold

from astroml_kit.cherenkov import (
    ScalingTables,
    extract_image_arrays,
    reconstruct_stereo,
    simulate_showers,
)
from astroml_kit.cherenkov.simulation import plan_wobble, read_library
from astroml_kit.cherenkov.simulation._equipment import make_camera
from astroml_kit.cherenkov.simulation.library import _PRESELECTION
from astroml_kit.evaluation import evaluate_classifier
from astroml_kit.models import BDTClassifier, ImageClassifier, NeuralClassifier
from astroml_kit.reanalysis._cen_a import PUBLISHED_HOURS, STREAMS, WOBBLE, Plan, set_norms, throw
from astroml_kit.reanalysis._cen_a_choices import (
    CUT_EXTENDED,
    EXTENDED,
    LIKELIHOOD,
    SIX,
    score_library,
)

STEREO = (
    "mean_scaled_width", "mean_scaled_length", "mean_scaled_width_off", "mean_scaled_length_off",
    "reco_h_max", "energy_spread", "reco_energy", "intensity_mean", "scaled_width_std",
    "scaled_length_std", "concentration_pixel_mean", "n_images", "reco_core_error",
)  # fmt: skip


def make_network(seed=0, **options):
    return NeuralClassifier(
        hidden_layers=(64, 64), batch_size=512, max_epochs=15, early_stopping=False,
        schedule="cosine", learning_rate=2e-3, l2=1e-4, random_state=seed, **options,
    )  # fmt: skip


def compare_fields(n_fields):
    """Rows of trees and network in the field of the reanalysis."""
    library = read_library()
    train, test = library.split()
    main, _, background_scale = set_norms(library)
    pointings = plan_wobble(main.position, wobble=WOBBLE)
    print(f"{'':34} {'expected':>16} {'null':>16}   (over {n_fields} fields)")
    for name, model in (("trees", None), ("network", make_network())):
        start = time.perf_counter()
        scores = {
            key: score_library(
                train, test, names, index=main.index, seed=0, n_workers=1, model=model
            )
            for key, names in (("six", SIX), ("extended", EXTENDED))
        }
        plan = Plan(train, test, scores, pointings, PUBLISHED_HOURS * 3600, background_scale)
        _, views = plan.view_main(main)
        rng = {key: np.random.default_rng([0, k]) for k, key in enumerate(STREAMS)}
        expected, null = throw(plan, views, main, n_fields, 4 * n_fields, rng)
        for view, again, empty in zip(views, expected, null, strict=True):
            if view.name in (CUT_EXTENDED, LIKELIHOOD):
                print(
                    f"{name + ': ' + view.name.replace('BDT ', ''):34} "
                    f"{again.mean():7.2f} +- {again.std(ddof=1):4.2f} "
                    f"{empty.mean():8.2f} +- {empty.std(ddof=1):4.2f}   {view.choice}"
                )
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)


def make_events(n_showers, seed):
    """Stereo events of gammas and protons, and their camera images."""
    tables = {
        "gamma": simulate_showers(
            "gamma", n_showers=n_showers // 2, offset=0.7, energy_min=0.08, images=True, rng=seed,
            zenith=20.0, progress=False, **_PRESELECTION,
        ),
        "proton": simulate_showers(
            "proton", n_showers=n_showers // 2, view_cone=2.0, images=True, rng=seed + 1,
            zenith=20.0, progress=False, **_PRESELECTION,
        ),
    }  # fmt: skip
    diffuse = simulate_showers(
        "gamma", n_showers=n_showers, view_cone=2.7, energy_min=0.08, rng=seed + 2, zenith=20.0,
        progress=False, **_PRESELECTION,
    )  # fmt: skip
    more = simulate_showers(
        "proton",
        n_showers=n_showers // 4,
        rng=seed + 3,
        zenith=20.0,
        progress=False,
        **_PRESELECTION,
    )
    scaling = ScalingTables.fit(diffuse, background=more)
    X, y, shower, arrays, event = [], [], [], [], []
    n = 0
    for is_gamma, images in ((1, tables["gamma"]), (0, tables["proton"])):
        events = reconstruct_stereo(images, tables=scaling)
        usable = np.asarray(events["is_valid"]) & np.isfinite(events["reco_energy"])
        events = events[usable]
        keys = {(o, e): k for k, (o, e) in enumerate(zip(events["obs_id"], events["event_id"],
                                                         strict=True))}  # fmt: skip
        of = np.array([keys.get(pair, -1) for pair in zip(images["obs_id"], images["event_id"],
                                                          strict=True)])  # fmt: skip
        seen = (of >= 0) & (np.asarray(images["hillas_intensity"]) >= 80)
        charge = np.maximum(np.asarray(images["image"])[seen], 0)
        arrays.append(extract_image_arrays(charge, camera=make_camera(), n_side=36))
        event.append(of[seen] + n)
        X.append(stack(events, STEREO))
        y.append(np.full(len(events), is_gamma))
        shower.append(np.asarray(events["shower_id"]) * 2 + is_gamma)
        n += len(events)
    return tuple(map(np.concatenate, (X, y, shower, arrays, event)))


def stack(table: QTable, names):
    return np.column_stack(
        [np.asarray(getattr(table[name], "value", table[name]), float) for name in names]
    )


def mean_log_odds(model, arrays, event, n_events):
    """Mean log odds over the images of each event."""
    p = np.clip(model.predict_proba(arrays)[:, 1], 1e-6, 1 - 1e-6)
    n = np.bincount(event, minlength=n_events)
    return np.bincount(event, np.log(p / (1 - p)), n_events) / np.maximum(n, 1)


def compare_images(n_showers, seed=5):
    """AUC and background kept of trees, network and image network on the same events."""
    start = time.perf_counter()
    X, y, shower, arrays, event = make_events(n_showers, seed)
    n = np.bincount(y)
    print(f"\n{n[1]} gammas, {n[0]} protons, {len(arrays)} images: "
          f"{time.perf_counter() - start:.0f} s")  # fmt: skip
    images = ImageClassifier(
        channels=(16, 32, 64), batch_size=128, max_epochs=8, early_stopping=False,
        augment=("flip", "rotate"), random_state=seed,
    )  # fmt: skip
    trees = BDTClassifier(n_estimators=200, max_leaves=15, n_jobs=1, random_state=seed)
    names = ("trees on stereo features", "network on stereo features", "image network",
             "trees on features and images")  # fmt: skip
    scores = {name: np.full(len(y), np.nan) for name in names}
    start = time.perf_counter()
    for train, test in GroupKFold(2).split(X, y, shower):
        inner = np.full(len(y), np.nan)
        part = shower[train] // 2 % 2 == 0
        # trees learn from image scores of showers that the image network has not seen
        halves = (train[part], train[~part])
        nets = []
        for fit, other in (halves, halves[::-1]):
            rows = np.isin(event, fit)
            nets.append(clone(images).fit(arrays[rows], y[event[rows]]))
            rows = np.isin(event, other)
            inner[other] = mean_log_odds(nets[-1], arrays[rows], event[rows], len(y))[other]
        rows = np.isin(event, test)
        inner[test] = np.mean(
            [mean_log_odds(net, arrays[rows], event[rows], len(y))[test] for net in nets], axis=0
        )
        with_images = np.column_stack([X, inner])
        scores[names[0]][test] = clone(trees).fit(X[train], y[train]).predict_proba(X[test])[:, 1]
        network = make_network(seed).fit(X[train], y[train])
        scores[names[1]][test] = network.predict_proba(X[test])[:, 1]
        scores[names[2]][test] = 1 / (1 + np.exp(-inner[test]))
        both = clone(trees).fit(with_images[train], y[train])
        scores[names[3]][test] = both.predict_proba(with_images[test])[:, 1]
    print(f"trained in {time.perf_counter() - start:.0f} s")
    for name in names:
        result = evaluate_classifier(y, scores[name], groups=shower, rng=1)
        limit = np.quantile(scores[name][y == 1], 0.4)
        kept = (scores[name][y == 0] > limit).mean()
        print(
            f"{name:30} AUC {result.auc:.4f} +- {result.errors['auc']:.4f}, "
            f"at 60 % of the gammas {kept:.2%} of the protons"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=int, default=500)
    parser.add_argument("--showers", type=int, default=100_000)
    options = parser.parse_args()
    compare_fields(options.fields)
    compare_images(options.showers)


if __name__ == "__main__":
    main()
