"""Open clusters in Gaia fields: centres, members in subsamples, calibration, false alarms.

    python benchmarks/open_clusters.py fields      # NGC 2477 and the others, 20 halves of each
    python benchmarks/open_clusters.py simulated   # members, errors, calibration
    python benchmarks/open_clusters.py empty       # fields without a cluster

"fields" needs gaia-open-clusters: fields cut off at some number of rows, so that the cluster may
be larger than the field or at its edge. Ours and the others run on the same halves, drawn at
random from all rows, with the same options for every field. A cluster counts as found where its
proper motion is within 0.1 mas/yr of the reference below, or where there is none of that of our
whole field. The spread of the number of members is its standard deviation over halves by its
mean; so many stars drawn at random already differ, from half to half, as their draws do.

The limits of what a cluster is, the floor of the field's Gaussians and the trials were chosen on
other simulations: those of "--seed 9" here, and 72 fields drawn likewise.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from harness import describe_machine

from astroml_kit.catalogs import find_cluster, read_catalog, simulate_open_cluster
from astroml_kit.datasets import fetch_dataset
from astroml_kit.evaluation import evaluate_classifier

# HDBSCAN of proper motions and parallaxes of all stars: mas/yr, mas.
REFERENCE = {"NGC2477": (-2.429, 0.898, 0.690), "NGC7789": (-0.913, -1.970, 0.474)}
NEAR = 0.1  # mas/yr
METHODS = {
    "ours": {}, "hdbscan": {"method": "hdbscan"}, "dbscan": {"method": "dbscan"},
    "gmm": {"method": "gmm"}, "kmeans": {"method": "kmeans"},
    "hierarchical": {"method": "hierarchical"},
}  # fmt: skip


def study_fields(options: argparse.Namespace) -> None:
    """Whole fields, and halves of them."""
    folder = Path(fetch_dataset("gaia-open-clusters"))
    for name in options.fields:
        stars = read_catalog(folder / f"{name}.csv")
        rng = np.random.default_rng(options.seed)
        halves = [np.flatnonzero(rng.random(len(stars)) < 0.5) for _ in range(options.repeats)]
        print(f"{name}: {len(stars)} stars")
        centre = np.array(REFERENCE[name]) if name in REFERENCE else None
        for method in options.methods:
            start = time.process_time()
            whole = find_cluster(stars, **METHODS[method])
            seconds = time.process_time() - start
            found = [find_cluster(stars[rows], **METHODS[method]) for rows in halves]
            where = np.array([[c.pmra.value, c.pmdec.value, c.parallax.value] for c in found])
            number = np.array([c.n_members for c in found])
            at = np.array([whole.pmra.value, whole.pmdec.value, whole.parallax.value])
            centre = at if centre is None else centre
            hit = np.hypot(*(where - centre)[:, :2].T) < NEAR
            hit &= [c.found for c in found]
            spread = number[hit].std(ddof=1) / number[hit].mean() if hit.sum() > 1 else np.nan
            print(
                f"   {method:12s} {at[0]:7.3f} {at[1]:7.3f} {at[2]:6.3f}, {whole.n_members:5.0f} "
                f"+- {whole.n_members_error:2.0f} members, {whole.significance:5.1f} sigma, "
                f"{seconds:4.1f} s; halves: {hit.sum():2d} of {len(hit)}, off by at most "
                f"{_most(where, centre, hit, 2)} mas/yr and {_most(where, centre, hit, 3)} mas, "
                f"{number[hit].mean() if hit.any() else np.nan:5.0f} members, spread {spread:.1%}",
                flush=True,
            )  # fmt: skip


def _most(where: np.ndarray, centre: np.ndarray, hit: np.ndarray, n: int) -> str:
    off = np.abs(where - centre)[hit]
    if not len(off):
        return "-"
    return f"{np.hypot(off[:, 0], off[:, 1]).max() if n == 2 else off[:, 2].max():.3f}"


def draw_field(seed: int, *, empty: bool) -> tuple[object, object]:
    """A field somewhere in the disc, with errors given or not, and what was put into it."""
    rng = np.random.default_rng(seed)
    centre = SkyCoord(rng.uniform(0, 360) * u.deg, rng.uniform(-8, 8) * u.deg, frame="galactic")
    n_field, radius = int(10 ** rng.uniform(2.7, 3.8)), rng.uniform(0.2, 0.8) * u.deg
    n = 0 if empty else int(10 ** rng.uniform(1.5, 2.9))
    stars = simulate_open_cluster(
        n, n_field=n_field, centre=centre, radius=radius, rng=rng,
        distance=10 ** rng.uniform(-0.3, 0.4) * u.kpc, profile=("plummer", "king")[seed % 2],
        dispersion=rng.uniform(0.3, 1.2) * u.km / u.s,
    )  # fmt: skip
    if seed % 4 == 3:  # as the fields of Gaia above: no errors
        stars.remove_columns([name for name in stars.colnames if name.endswith(("error", "corr"))])
    return stars, stars.meta["cluster"]


def study_simulated(options: argparse.Namespace) -> None:
    """Members and their calibration, pulls of what is measured."""
    truth, share, pulls, lost = [], [], [], 0
    for seed in range(options.seed * 10_000, options.seed * 10_000 + options.repeats):
        stars, cluster = draw_field(seed, empty=False)
        found = find_cluster(stars)
        used = np.isfinite(found.membership)
        member = np.asarray(stars["true_member"])[used]
        if not found.found:
            lost += 1
            print(f"   lost: {member.sum()} among {used.sum()}, p = {found.p_value:.2g}")
            continue
        pull = [(found.n_members - member.sum()) / found.n_members_error]
        for name in ("pmra", "pmdec", "parallax"):
            off = getattr(found, name) - cluster[name]
            pull.append(float(off / getattr(found, f"{name}_error")))
        pulls.append(pull)
        truth.append(member)
        share.append(found.membership[used])
        if options.verbose:
            print(f"   {member.sum():4d} of {used.sum():4d}: {found.n_members:6.1f} +- "
                  f"{found.n_members_error:4.1f}; pulls {np.round(pull, 1)}")  # fmt: skip
    print(f"{len(truth)} of {options.repeats} found")
    mean, spread = np.mean(pulls, axis=0), np.std(pulls, axis=0, ddof=1)
    for k, name in enumerate(("n_members", "pmra", "pmdec", "parallax")):
        print(f"   pull of {name}: mean {mean[k]:+.2f} +- {spread[k] / np.sqrt(len(pulls)):.2f}, "
              f"standard deviation {spread[k]:.2f}")  # fmt: skip
    y, p = np.concatenate(truth), np.concatenate(share)
    print(f"   {y.sum()} members, {p.sum():.1f} expected; {np.mean((p > 0.5) == y):.2%} right")
    print("   probability   stars  predicted  observed")
    error, edges = 0.0, np.array([0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0001])
    for low, high in itertools.pairwise(edges):
        rows = (p >= low) & (p < high)
        if rows.any():
            noise = np.sqrt(p[rows] @ (1 - p[rows])) / rows.sum()
            print(f"   {low:.2f} to {min(high, 1):.2f} {rows.sum():7d} {p[rows].mean():10.3f} "
                  f"{y[rows].mean():9.3f} +- {noise:.3f}")  # fmt: skip
            error += abs(p[rows].sum() - y[rows].sum())
    doubt = p > 0.01
    print(f"   expected calibration error {error / len(y):.4f} of all stars, "
          f"{_find_error(y[doubt], p[doubt]):.4f} of the {doubt.sum()} above 0.01")  # fmt: skip
    print(f"   {evaluate_classifier(y, p)}")


def _find_error(y: np.ndarray, p: np.ndarray, n_bins: int = 10) -> float:
    """Mean difference of promised and true share in ten bins of equal width."""
    number = np.minimum((p * n_bins).astype(int), n_bins - 1)
    return float(np.abs(np.bincount(number, p - y)).sum() / len(y))


def study_empty(options: argparse.Namespace) -> None:
    """How often a field without a cluster is said to have one."""
    p = []
    for seed in range(options.seed * 10_000, options.seed * 10_000 + options.repeats):
        p.append(find_cluster(draw_field(seed, empty=True)[0]).p_value)
        if options.verbose:
            print(f"   {p[-1]:.3g}")
    values = np.array(p)
    for level in (0.5, 0.2, 0.1, 0.05, 0.01):
        n = int(np.sum(values <= level))
        print(f"   p <= {level:4g}: {n} of {len(values)}, {n / len(values):.1%}")
    print(f"   smallest {values.min():.2g}")


STUDIES = {"fields": study_fields, "simulated": study_simulated, "empty": study_empty}


def main(options: argparse.Namespace) -> None:
    """Run a study and say how long it took."""
    import resource

    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of peers without a cluster
        STUDIES[options.study](options)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{time.process_time() - start:.0f} CPU s, at most {memory:.0f} MB, {describe_machine()}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--repeats", type=int, default=20, help="halves, clusters or empty fields")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fields", nargs="+", default=["NGC2477", "NGC7789", "NGC225", "NGC6405"])
    parser.add_argument("--methods", nargs="+", choices=METHODS,
                        default=["ours", "hdbscan", "dbscan", "gmm"])  # fmt: skip
    parser.add_argument("--verbose", action="store_true")
    main(parser.parse_args())
