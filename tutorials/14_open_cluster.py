"""An open cluster in a field of stars: found, its members told by probability, and held to it.

Run it:  python tutorials/14_open_cluster.py [folder for the figures, default ./results]

Everything is simulated; it takes some ten seconds. With stars of your own, such as a cone of Gaia,
``read_catalog("gaia.csv")`` takes the place of `simulate_open_cluster`: Gaia's names of columns
are what `find_cluster` wants.
"""

import sys
from pathlib import Path

import astropy.units as u
import numpy as np
from matplotlib.figure import Figure

from astroml_kit.catalogs import (
    find_cluster,
    measure_density,
    simulate_galaxies,
    simulate_open_cluster,
)
from astroml_kit.evaluation import evaluate_classifier
from astroml_kit.models import reduce_dimensions
from astroml_kit.plotting import (
    plot_cluster,
    plot_colours,
    plot_density,
    plot_embedding,
    plot_reliability,
    plot_sky,
)

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
folder.mkdir(parents=True, exist_ok=True)

# --- 1. A cluster in a field ---------------------------------------------------------------------
# Members share a motion and a parallax, within their errors, which grow from bright to faint. At
# 1.5 kpc most of the field is behind the cluster, and some of it moves as the cluster does.
options = {"n_field": 1000, "radius": 0.3 * u.deg, "distance": 1.5 * u.kpc, "magnitude_limit": 18.5}
stars = simulate_open_cluster(120, rng=14, **options)
truth = np.asarray(stars["true_member"])
print(f"1. {len(stars)} stars down to G = 18.5, {truth.sum()} of them members.\n")

# --- 2. Found ------------------------------------------------------------------------------------
# No radius, no number of neighbours: a model of cluster and field, in which every star is compared
# through its own errors. Stars beyond G = 18 are not used unless asked.
cluster = find_cluster(stars)
put = stars.meta["cluster"]
print(f"2. {cluster}")
for name in ("pmra", "pmdec", "parallax"):
    value, error = getattr(cluster, name), getattr(cluster, f"{name}_error")
    print(f"   {name:8s} {value:.4f} +- {error.value:.4f}, put in: {put[name].value:.4f}")
used = np.isfinite(cluster.membership)
print(
    f"   {truth[used].sum()} true members among the stars used, {cluster.n_members:.1f} +- "
    f"{cluster.n_members_error:.1f} expected; {len(cluster.members)} likelier than not.\n"
)

# --- 3. As others find it ------------------------------------------------------------------------
# HDBSCAN takes what is dense, without errors of the stars. Two Gaussians share the field.
print("3. The same stars by other methods: members said, true ones among them")
for method, answer in (
    ("mixture", cluster),
    ("hdbscan", find_cluster(stars, method="hdbscan")),
    ("gmm", find_cluster(stars, method="gmm")),
):
    said = np.nan_to_num(answer.membership) > 0.5
    print(f"   {method:8s} {said.sum():4d}, {np.sum(truth & said):4d}")

# --- 4. Is a probability of 0.7 right in seven of ten cases? -------------------------------------
# Only truth can tell: fields as this one, with other clusters in them.
share, member = [cluster.membership[used]], [truth[used]]
for seed in range(3):
    other = simulate_open_cluster(120, rng=100 + seed, **options)
    found = find_cluster(other)
    rows = np.isfinite(found.membership)
    share.append(found.membership[rows])
    member.append(np.asarray(other["true_member"])[rows])
calibration = evaluate_classifier(np.concatenate(member), np.concatenate(share))
doubt = (np.concatenate(share) > 0.1) & (np.concatenate(share) < 0.9)
print(f"\n4. Four fields: {calibration}\n   {doubt.sum()} stars between 0.1 and 0.9: "
      f"{np.concatenate(share)[doubt].sum():.1f} members expected, "
      f"{np.concatenate(member)[doubt].sum()} true.\n")  # fmt: skip

# --- 5. Where there is none ----------------------------------------------------------------------
# The p-value counts all places in which a cluster could have been.
empty = find_cluster(simulate_open_cluster(0, rng=1, **options))
print(f"5. {empty}\n")

# --- 6. Looked at --------------------------------------------------------------------------------
# Five columns as two: the directions in which the stars differ most are not those in which the
# cluster does, which is why it was searched with a model.
bright = used & (np.asarray(stars["phot_g_mean_mag"]) < 17)
columns = [stars[name].value for name in ("pmra", "pmdec", "parallax", "phot_g_mean_mag", "bp_rp")]
clipped = [np.clip(column, *np.percentile(column, [1, 99])) for column in columns]
points = reduce_dimensions(np.column_stack(clipped)[bright], method="pca")
density = measure_density(stars["coord"], nside=1024)
print(f"6. {len(density)} pixels of {density.meta['pixel_area'].to('arcmin2'):.0f}, the densest of "
      f"{density['density'].max():.0f}.")  # fmt: skip

figure = Figure(figsize=(10, 8.5), layout="constrained")
plot_cluster(cluster, axes=figure.subplots(2, 2))
figure.savefig(folder / "14_cluster.png", dpi=110)

figure = Figure(figsize=(12, 4), layout="constrained")
left, middle, right = figure.subplots(1, 3)
plot_reliability(calibration, ax=left)
plot_embedding(points, values=cluster.membership[bright], value_label="membership", ax=middle)
plot_colours(
    stars["bp_rp"], stars["phot_g_mean_mag"], labels=np.where(truth, "member", "field"),
    magnitude=True, x_label="BP - RP", y_label="G", ax=right,
)  # fmt: skip
figure.savefig(folder / "14_members.png", dpi=110)

# A whole sky takes the same calls: here galaxies, in groups.
galaxies = simulate_galaxies(300, n_field=3000, radius=180 * u.deg, rng=1)
figure = Figure(figsize=(12, 4), layout="constrained")
plot_sky(galaxies["coord"], values=galaxies["redshift"], value_label="redshift",
         ax=figure.add_subplot(1, 2, 1, projection="hammer"))  # fmt: skip
plot_density(measure_density(galaxies["coord"], nside=8), frame="galactic",
             ax=figure.add_subplot(1, 2, 2, projection="hammer"))  # fmt: skip
figure.savefig(folder / "14_sky.png", dpi=110)
print(f"\nFigures are in {folder}.")
