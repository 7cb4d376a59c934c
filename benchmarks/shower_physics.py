"""Simulated showers beside published numbers: resolution, rates, what cuts keep, AUC by brightness.

    python benchmarks/shower_physics.py [--showers 200000]

The published ROC curves are those of LST-1 (real background, one telescope; Abe et al. 2023,
doi:10.3847/1538-4357/ace89d), read from ``lst-crab-2023`` in the folder that ``ASTROML_KIT_DATA``
names. A single image of this toy, without any geometry, is the fair neighbour of that; the stereo
column uses what four telescopes see. Intensities are in p.e. of each instrument: 80 p.e. are some
150 GeV here and tens of GeV there. Trained and tested on showers of their own.
"""

from __future__ import annotations

import argparse
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from astroml_kit.cherenkov import (
    ScalingTables,
    evaluate_reconstruction,
    reconstruct_stereo,
    simulate_showers,
)
from astroml_kit.cherenkov.selection import STANDARD_CUTS
from astroml_kit.cherenkov.simulation.library import _PRESELECTION, BACKGROUND
from astroml_kit.cherenkov.simulation.showers import find_background_rate
from astroml_kit.models import BDTClassifier

BANDS = (80.0, 200.0, 800.0, 3200.0, np.inf)  # p.e.
MONO = (
    "hillas_intensity", "hillas_width", "hillas_length", "hillas_skewness", "hillas_kurtosis",
    "concentration_cog", "concentration_core", "concentration_pixel",
    "leakage_intensity_width_2", "hillas_r",
)  # fmt: skip
STEREO = (
    "mean_scaled_width", "mean_scaled_length", "mean_scaled_width_off", "mean_scaled_length_off",
    "reco_h_max", "energy_spread", "reco_energy", "intensity_mean", "scaled_width_std",
    "scaled_length_std", "concentration_pixel_mean", "n_images", "reco_core_error",
)  # fmt: skip
SHARE = {"gamma": 1.0, "proton": 0.6, "helium": 0.2, "electron": 0.3}


def stack(table, names):
    return np.column_stack(
        [np.asarray(getattr(table[name], "value", table[name]), float) for name in names]
    )


def find_auc(gammas, background, names, brightness):
    """AUC in each band of brightness, trained on even showers and tested on odd ones."""
    X = np.concatenate([stack(gammas, names), stack(background, names)])
    y = np.repeat([1, 0], [len(gammas), len(background)])
    shower = np.concatenate([gammas["shower_id"], background["shower_id"]])
    light = np.concatenate([np.asarray(t[brightness], float) for t in (gammas, background)])
    train = shower % 2 == 0
    model = BDTClassifier(n_estimators=200, max_leaves=15, n_jobs=1, random_state=1)
    model.fit(X[train], y[train])
    score = model.predict_proba(X[~train])[:, 1]
    rows = []
    for low, high in pairwise(BANDS):
        keep = (light[~train] >= low) & (light[~train] < high)
        n = np.bincount(y[~train][keep], minlength=2)
        auc = roc_auc_score(y[~train][keep], score[keep]) if n.min() > 10 else np.nan
        rows.append((auc, n[0]))
    return rows


def read_published():
    """AUC of LST-1 per band from its rates per bin of gammaness; None without the data."""
    folder = os.environ.get("ASTROML_KIT_DATA")
    path = Path(folder or "") / "lst-crab-2023" / "5_mc_validation" / "ROC_curves.csv"
    if folder is None or not path.exists():
        return None
    low, _, background, _, gammas = np.loadtxt(path, delimiter=",")
    areas = []
    for start in BANDS[:-1]:
        # bins lie from the most gamma-like to the least
        x, y = (np.r_[0, np.cumsum(rate[low == start])] for rate in (background, gammas))
        areas.append(np.trapezoid(y / y[-1], x / x[-1]))
    return areas


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--showers", type=int, default=200_000, help="gammas; others in proportion")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    images = {}
    for number, (particle, share) in enumerate(SHARE.items()):
        more = {"offset": 0.5, "energy_min": 0.08} if particle == "gamma" else {}
        images[particle] = simulate_showers(
            particle, n_showers=round(share * options.showers), zenith=20.0, progress=True,
            rng=options.seed + number, **_PRESELECTION, **more,
        )  # fmt: skip
    diffuse = simulate_showers(
        "gamma", n_showers=options.showers, view_cone=2.7, energy_min=0.08, zenith=20.0,
        rng=options.seed + 9, **_PRESELECTION,
    )  # fmt: skip
    even = images["proton"]["shower_id"] % 2 == 0
    tables = ScalingTables.fit(diffuse, background=images["proton"][even])
    events = {}
    for particle, table in images.items():
        reconstructed = reconstruct_stereo(table, tables=tables)
        usable = reconstructed["is_valid"] & np.isfinite(reconstructed["reco_energy"])
        events[particle] = reconstructed[usable]

    print("\nGammas, 0.5 deg, zenith 20 deg, E^-2.6 (H.E.S.S. I: some 0.1 deg and 15 %)")
    resolution = evaluate_reconstruction(events["gamma"])
    for name in resolution.colnames:
        if resolution[name].dtype.kind == "f":
            resolution[name].info.format = ".3f"
    resolution.pprint(max_lines=-1, max_width=-1)

    cut = STANDARD_CUTS["std"]
    print("\nPreselected within 2.5 deg, and what the shape cuts of the standard box keep of it")
    total = 0.0
    for particle in SHARE:
        chosen = events[particle]
        near = np.asarray(chosen["reco_offset"].to_value("deg")) < 2.5
        kept = cut.select(chosen)[near].mean()
        text = f"{particle:9} {near.sum():7d} events, box keeps {kept:6.1%}"
        if particle in BACKGROUND:
            rate = float(find_background_rate(chosen)[near].sum())
            total += rate
            text += f", {rate:6.2f} Hz"
        print(text)
    print(f"together {total:.1f} Hz (H.E.S.S. I: about 80 Hz)")

    published = read_published()
    mono = {
        particle: images[particle][images[particle]["hillas_intensity"] >= 80]
        for particle in ("gamma", "proton")
    }
    stereo = find_auc(events["gamma"], events["proton"], STEREO, "intensity_mean")
    single = find_auc(mono["gamma"], mono["proton"], MONO, "hillas_intensity")
    print("\nAUC, gammas against protons     stereo    one image    LST-1, one telescope")
    for k, (low, high) in enumerate(pairwise(BANDS)):
        beside = "n/a" if published is None else f"{published[k]:.3f}"
        print(
            f"{low:6.0f} - {high:6.0f} p.e. {stereo[k][0]:17.3f} {single[k][0]:12.3f} {beside:>12}"
            f"    ({stereo[k][1]} and {single[k][1]} protons tested)"
        )
    if published is None:
        print("LST-1: set ASTROML_KIT_DATA to a folder with lst-crab-2023.")


if __name__ == "__main__":
    main()
