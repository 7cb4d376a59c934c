"""The same calls on a survey: matched, grouped and scored by partition, on two Dask workers.

Run it:  python tutorials/16_survey_scale.py [folder for the figures, default ./results]

Everything is simulated and small, so that it takes less than a minute; for a survey of a billion
rows on a cluster only the path and the address of the scheduler would change.
"""

import sys
import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from distributed import Client, LocalCluster
from matplotlib.figure import Figure

from astroml_kit.catalogs import (
    find_groups,
    map_survey,
    match_catalogs,
    measure_survey,
    open_survey,
    read_catalog,
    write_survey,
)
from astroml_kit.models import BDTRegressor

RADIUS, MIN_SAMPLES = 0.5 * u.deg, 8


def draw_galaxies(rng):
    """Single galaxies all over the sky, and clusters: one on a pole, one across 0 degrees."""
    lon, lat = rng.uniform(0, 360, 12_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 12_000)))
    centres = SkyCoord([0.0, 0.0, *lon[:40]], [90.0, 0.0, *lat[:40]], unit="deg")
    members = centres[np.repeat(np.arange(len(centres)), 50)]
    members = members.directional_offset_by(
        rng.uniform(0, 360, len(members)) * u.deg, np.abs(rng.normal(0, 0.4, len(members))) * u.deg
    )
    ra = np.concatenate([lon, members.ra.deg])
    dec = np.concatenate([lat, members.dec.deg])
    table = QTable({"id": np.arange(len(ra)), "coord": SkyCoord(ra, dec, unit="deg")})
    redshift = rng.gamma(3, 0.05, len(ra))
    table["g"] = (18 + 12 * redshift + rng.normal(0, 0.4, len(ra))) * u.mag
    table["r"] = table["g"] - (0.5 + 2 * redshift + rng.normal(0, 0.05, len(ra))) * u.mag
    return table, redshift


def main(folder, scratch):
    rng = np.random.default_rng(1)
    galaxies, redshift = draw_galaxies(rng)

    # --- 1. Two surveys on disk -------------------------------------------------------------------
    # HATS: Parquet by partition of the sky. Around each partition a margin of its neighbours' rows
    # is kept, so that no pair is lost at a border: one radius for matches, two for groups.
    seen = rng.random(len(galaxies)) < 0.7
    infrared = QTable({"coord": galaxies["coord"][seen].directional_offset_by(
        rng.uniform(0, 360, seen.sum()) * u.deg, np.abs(rng.normal(0, 0.5, seen.sum())) * u.arcsec
    )})  # fmt: skip
    infrared["flux"] = rng.lognormal(size=len(infrared)) * u.uJy
    infrared["true_id"] = galaxies["id"][seen]
    options = {"margin": 2 * RADIUS, "rows_per_partition": 1500}
    optical = open_survey(write_survey(galaxies, scratch / "optical", **options))
    infrared = open_survey(write_survey(infrared, scratch / "infrared", **options))

    # --- 2. How much memory? ----------------------------------------------------------------------
    # Said before anything starts; what no worker could hold is refused with what to do about it.
    print(f"1. optical: {measure_survey(optical)}")
    try:
        write_survey(optical, scratch / "never", memory=20_000)
    except ValueError as error:
        print(f"   With 20 kB a worker: {error}")

    # --- 3. Matched -------------------------------------------------------------------------------
    # The call is that of two lists of positions. The answer is lazy, and written by partition: it
    # need never fit into memory. Units come along.
    matched = match_catalogs(optical, infrared, radius=3 * u.arcsec, keep="mutual")
    pairs = read_catalog(write_survey(matched, scratch / "matched"))
    right = np.mean(pairs["id_first"] == pairs["true_id_second"])
    print(f"\n2. {len(pairs)} of {seen.sum()} pairs found, {right:.2%} of them right; flux in "
          f"{pairs['flux_second'].unit}")  # fmt: skip
    one, two = read_catalog(scratch / "optical"), read_catalog(scratch / "infrared")
    alone = match_catalogs(one["coord"], two["coord"], radius=3 * u.arcsec, keep="mutual")
    same = set(one["id"][alone["first"]].tolist()) == set(pairs["id_first"].tolist())
    print(f"   One machine finds the same: {same}")

    # --- 4. Grouped -------------------------------------------------------------------------------
    groups = find_groups(optical, radius=RADIUS, min_samples=MIN_SAMPLES)
    alone = find_groups(one["coord"], radius=RADIUS, min_samples=MIN_SAMPLES)
    print(f"\n3. {groups}\n   One machine: {alone}")
    for row in groups.table[:3]:
        print(f"   group {row['group']:3d}: {row['n_members']} members around "
              f"{row['centre'].to_string('decimal', precision=2)}")  # fmt: skip

    # --- 5. A model by partition ------------------------------------------------------------------
    # Trained on the few with a spectrum, applied to all, wherever they are.
    spectra = rng.choice(len(galaxies), 3000, replace=False)
    X = np.column_stack([galaxies["g"].value, galaxies["r"].value])
    model = BDTRegressor(n_estimators=100, random_state=1).fit(X[spectra], redshift[spectra])
    scored = map_survey(groups.survey, model, columns=["g", "r"], output="redshift")
    table = read_catalog(write_survey(scored, scratch / "scored"))
    truth = redshift[np.asarray(table["id"])]
    rest = ~np.isin(table["id"], spectra)
    error = (np.asarray(table["redshift"]) - truth)[rest] / (1 + truth[rest])
    print(f"\n4. Redshifts of {len(table)} galaxies; of those without a spectrum sigma_NMAD "
          f"{1.4826 * np.median(np.abs(error - np.median(error))):.4f}")  # fmt: skip

    # --- 6. A picture -----------------------------------------------------------------------------
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    axes = figure.add_subplot(projection="mollweide")
    inside = np.asarray(table["group"]) >= 0
    lon = table["coord"].ra.wrap_at("180d").rad
    lat = table["coord"].dec.rad
    axes.scatter(lon[~inside], lat[~inside], s=1, color="0.75", rasterized=True)
    axes.scatter(lon[inside], lat[inside], s=4, c=np.asarray(table["group"])[inside] % 20,
                 cmap="tab20", rasterized=True)  # fmt: skip
    axes.grid(alpha=0.3)
    axes.set_title(f"{len(groups)} groups in {optical.npartitions} partitions")
    figure.savefig(folder / "survey_groups.png", dpi=110)
    print(f"\n5. The figure is in {folder}")


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        # workers in this process start at once; processes=True is for work that holds the GIL, and
        # on a cluster Client("tcp://address-of-the-scheduler:8786") takes the place of both
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None,
            memory_limit="1GB", local_directory=scratch,
        ) as cluster,
        Client(cluster),
    ):  # fmt: skip
        main(folder, Path(scratch))
