"""Groups of galaxies: on the sky alone, then with redshifts, held against the truth.

Run it:  python tutorials/13_galaxy_groups.py [folder for the figures, default ./results]

Everything is simulated; it takes a few seconds. With a catalogue of your own, `read_catalog` takes
the place of `simulate_galaxies`: its column ``coord`` is what the searches want.
"""

import sys
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from matplotlib.figure import Figure
from sklearn.metrics import adjusted_rand_score

from astroml_kit.catalogs import find_friends, find_groups, simulate_galaxies
from astroml_kit.plotting import plot_cone, plot_groups

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
folder.mkdir(parents=True, exist_ok=True)
FIELD = {
    "radius": 6 * u.deg, "redshift_min": 0.02, "redshift_max": 0.08, "n_field": 1200,
    "centre": SkyCoord(0 * u.deg, 60 * u.deg),
}  # fmt: skip


def rate(labels, truth):
    """Adjusted Rand index; a galaxy outside of groups is a group of its own, there and here."""
    alone = -1 - np.arange(len(truth))
    return adjusted_rand_score(
        np.where(truth < 0, alone, truth), np.where(labels < 0, alone, labels)
    )


# --- 1. A survey ---------------------------------------------------------------------------------
# Thirty-five groups in a field of single galaxies. Peculiar velocities stretch each group along the
# line of sight, into a Finger of God some hundred times longer than the group is deep.
galaxies = simulate_galaxies(35, rng=1, **FIELD)
coords, redshift = galaxies["coord"], np.asarray(galaxies["redshift"])
truth = np.asarray(galaxies["true_group"])
sizes = np.bincount(truth[truth >= 0])
print(f"1. {len(galaxies)} galaxies, {sizes.sum()} of them in {len(sizes)} groups of {sizes.min()} "
      f"to {sizes.max()}; right ascension wraps in the middle of the field.\n")  # fmt: skip

# --- 2. By position alone ------------------------------------------------------------------------
# How far is near? Chosen on another survey than the one that is quoted. The truth of a real one is
# not known: there, choose on simulations that look like it.
other = simulate_galaxies(35, rng=2, **FIELD)
other_truth = np.asarray(other["true_group"])
radii = [0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25]
tried = [
    rate(find_groups(other["coord"], radius=r * u.deg, min_samples=5).labels, other_truth)
    for r in radii
]
radius = radii[int(np.argmax(tried))] * u.deg
scores = ", ".join(f"{r:g} deg {score:.2f}" for r, score in zip(radii, tried, strict=True))
print(f"2. Adjusted Rand index on another survey, by radius:\n   {scores}")
# The survey ends at the rim of the field. Random positions that fill it say how much of each ring
# was observed, and should be so many that a disc of the search holds a hundred; without them groups
# at the rim would look too significant.
rng = np.random.default_rng(1)
away = np.arccos(rng.uniform(np.cos(FIELD["radius"]), 1, 200_000))
randoms = SkyCoord(
    FIELD["centre"].directional_offset_by(rng.uniform(0, 360, 200_000) * u.deg, away)
)
sky = find_groups(coords, radius=radius, min_samples=5, randoms=randoms, n_resamples=20, rng=1)
print(f"   With {radius:g}: {sky}\n   Adjusted Rand index {rate(sky.labels, truth):.2f}")
print("   group  members  n_on  n_off  significance  post-trial  stability")
for row in sky.table[:4]:
    print(f"   {row['group']:5d}  {row['n_members']:7d}  {row['n_on']:4d}  {row['n_off']:5d}  "
          f"{row['significance']:12.1f}  {row['significance_post_trial']:10.1f}  "
          f"{row['stability']:9.2f}")  # fmt: skip
real = np.array([np.mean(truth[sky.labels == k] >= 0) > 0.5 for k in range(len(sky))])
strong = np.asarray(sky.table["significance_post_trial"]) > 3
print(f"   Mostly made of members of groups: {np.mean(real[strong]):.0%} of those above 3 sigma, "
      f"{np.mean(real[~strong]):.0%} of the others.\n")  # fmt: skip

# --- 3. Can the significances be believed? -------------------------------------------------------
# The same search in even fields, where every group is chance. One in twenty may pass 1.64 sigma.
n_fields, passed, before = 60, 0, 0
for _ in range(n_fields):
    away = np.arccos(rng.uniform(np.cos(FIELD["radius"]), 1, len(galaxies)))
    even = SkyCoord(FIELD["centre"].directional_offset_by(
        rng.uniform(0, 360, len(galaxies)) * u.deg, away))  # fmt: skip
    table = find_groups(even, radius=radius, min_samples=5, randoms=randoms).table
    passed += np.any(table["significance_post_trial"] > 1.64)
    before += np.any(table["significance"] > 1.64)
print(f"3. {n_fields} even fields: {before} have a group above 1.64 sigma before trials, {passed} "
      f"after; {0.05 * n_fields:.0f} are allowed.\n")  # fmt: skip

# --- 4. With redshifts ---------------------------------------------------------------------------
# Friends of friends: near in projected Mpc, and in velocity, where near means the length of a
# Finger of God. Groups one behind the other come apart. Chosen on the other survey as well.
options = [
    {"separation": s * u.Mpc, "velocity": v * u.km / u.s, "min_prominence": p, "min_members": 5}
    for s in (0.4, 0.6, 0.8, 1.0)
    for v in (700, 1500)
    for p in (None, 1.5)
]
tried = [
    rate(find_friends(other["coord"], other["redshift"], **option).labels, other_truth)
    for option in options
]
best = options[int(np.argmax(tried))]
friends = find_friends(coords, redshift, randoms=randoms, n_resamples=20, rng=1, **best)
cut = "not cut" if best["min_prominence"] is None else f"cut at {best['min_prominence']:g} sigma"
print(f"4. Friends within {best['separation']:g} and {best['velocity']:g}, {cut}:\n   {friends}")
print(f"   Adjusted Rand index {rate(friends.labels, truth):.2f}, by position alone "
      f"{rate(sky.labels, truth):.2f}")  # fmt: skip
print("   group  members  redshift (true)   dispersion (true)  post-trial  stability")
for row in friends.table[:6]:
    inside = truth[friends.labels == row["group"]]
    true = galaxies[truth == np.bincount(inside[inside >= 0]).argmax()][0]
    print(f"   {row['group']:5d}  {row['n_members']:7d}  {row['redshift']:.4f} "
          f"({true['true_redshift']:.4f})  {row['velocity_dispersion'].value:5.0f} "
          f"({true['true_dispersion'].value:4.0f}) km/s  {row['significance_post_trial']:10.1f}"
          f"  {row['stability']:9.2f}")  # fmt: skip

# --- 5. Pictures ---------------------------------------------------------------------------------
figure = Figure(figsize=(15, 5.4), layout="constrained")
for axes, (title, found) in zip(
    figure.subplots(1, 3),
    {"truth": truth, "by position": sky, "with redshifts": friends}.items(), strict=True,
):  # fmt: skip
    plot_groups(coords, found, n_circles=15, ax=axes)
    axes.set_title(title)
figure.savefig(folder / "groups_sky.png", dpi=110)

figure = Figure(figsize=(13, 9), layout="constrained")
for axes, (title, found) in zip(
    figure.subplots(3, 1, sharex=True),
    {"truth": truth, "by position": sky, "with redshifts": friends}.items(), strict=True,
):  # fmt: skip
    plot_cone(coords, redshift, found, ax=axes)
    axes.set(title=title, ylabel="redshift x sine(angle)")
figure.savefig(folder / "groups_cone.png", dpi=110)
print(f"\n5. Figures are in {folder}")
