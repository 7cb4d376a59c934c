"""From photo-electrons to a direction: what a camera sees of a shower, and what is made of it.

Run it:  python tutorials/05_camera_images.py [folder for the figures, default ./results]

Gammas and protons are simulated by this package: a fast toy, not a substitute for CORSIKA, seen by
four telescopes like those of H.E.S.S. I. Tables of images read from files go the same way.
The first run compiles for about a minute; after that it takes half a minute.
"""

import sys
from pathlib import Path

import astropy.units as u
import numpy as np
from matplotlib.figure import Figure

from astroml_kit.cherenkov import (
    CameraGeometry,
    ScalingTables,
    clean_images,
    evaluate_reconstruction,
    extract_hillas,
    reconstruct_stereo,
    select_standard,
    simulate_showers,
)
from astroml_kit.plotting import plot_camera_image

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results")
folder.mkdir(parents=True, exist_ok=True)

# --- 1. Showers ----------------------------------------------------------------------------------
# A proton shower is thrown at ten places, as most of them are missed; `shower_id` says which events
# share one. The charges of all pixels, night sky included, are in the column `image`.
camera = CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=960)
simulated = {
    particle: simulate_showers(
        particle,
        n_showers=n,
        energy_min=energy_min * u.TeV,
        camera=camera,
        images=True,
        rng=seed,
        progress=False,
    )
    for particle, n, energy_min, seed in (("gamma", 6000, 0.2, 1), ("proton", 6000, 0.5, 2))
}
print("1. Simulated showers: images, of how many events.")
for particle, table in simulated.items():
    print(f"   {particle:8s} {len(table):6d} images, {table.meta['n_triggered']} triggered events")
print()

# --- 2. Cleaning and parameters ------------------------------------------------------------------
# Most pixels show the night sky. A pixel belongs to the shower above 10 p.e. if a neighbour has 5,
# or above 5 if a neighbour has 10. What is left has moments: an ellipse, after Hillas (1985).
measured = {}
for particle, table in simulated.items():
    masks = clean_images(table["image"], camera=camera, picture_threshold=10, boundary_threshold=5)
    hillas = extract_hillas(
        table["image"],
        camera=camera,
        masks=masks,
        obs_id=table["obs_id"],
        event_id=table["event_id"],
        tel_id=table["tel_id"],
    )
    for name in ("shower_id", "true_energy", "true_fov_lon", "true_fov_lat"):
        hillas[name] = table[name]
    # of the simulation: zenith angle and where the telescopes stand
    hillas.meta |= {name: table.meta[name] for name in ("zenith", "telescopes")}
    measured[particle] = (masks, hillas)

print("2. Median image above 80 p.e.: the light of protons is wider.")
figure = Figure(figsize=(11, 4.6), layout="constrained")
for ax, (particle, (masks, hillas)) in zip(figure.subplots(1, 2), measured.items(), strict=True):
    bright = hillas["hillas_intensity"] > 80
    width, length = (np.median(hillas[f"hillas_{name}"][bright]) for name in ("width", "length"))
    share = masks[bright].sum(axis=1).mean()
    print(
        f"   {particle:8s} width {width:.3f}, length {length:.3f}, {share:.0f} of 960 pixels kept"
    )
    # an image of medium size, as wide as most, that the edge of the camera does not cut
    medium = bright & (hillas["hillas_intensity"] < 400) & (hillas["hillas_r"] < 1.2 * u.deg)
    show = np.argmin(np.where(medium, np.abs(hillas["hillas_width"] - width), np.inf))
    plot_camera_image(
        simulated[particle]["image"][show],
        camera=camera,
        mask=masks[show],
        hillas=hillas[show],
        ax=ax,
    )
    ax.set_title(f"{particle}, {hillas['true_energy'][show]:.2f}")
figure.savefig(folder / "05_images.png", dpi=120)
print()

# --- 3. Stereo -----------------------------------------------------------------------------------
# The long axes of the ellipses meet where the shower came from. How wide an image of this size, at
# this distance, should be if it were a gamma's is in look-up tables: filled with one half of the
# showers, used on the other.
halves = {
    particle: [hillas[hillas["shower_id"] % 2 == half] for half in (0, 1)]
    for particle, (_, hillas) in measured.items()
}
tables = ScalingTables.fit(
    halves["gamma"][0],
    background=halves["proton"][0],
    # few showers, hence wide bins; the default ones want a hundred thousand
    offset_nodes=[0.5] * u.deg,
    impact_nodes=np.arange(25, 300, 50) * u.m,
    size_nodes=np.geomspace(80, 2e4, 9),
    min_count=5,
)
events = {
    particle: reconstruct_stereo(test, tables=tables) for particle, (_, test) in halves.items()
}
print(f"3. {tables}")
for particle, table in events.items():
    meta = table.meta
    print(
        f"   {particle:8s} {len(table)} events, {table['is_valid'].sum()} reconstructed, "
        f"{meta['n_events_few_images']} with too few images, "
        f"{meta['n_events_parallel']} with parallel axes"
    )
print()

# --- 4. Gammas from protons, and how sharp the picture is ----------------------------------------
# In units of the spread of gammas a gamma's mean scaled width is 0 +- 1 or so; protons are wider.
print("4. Standard box cuts on mean scaled width and length.")
figure = Figure(figsize=(11, 4.4), layout="constrained")
left, right = figure.subplots(1, 2)
edges = np.linspace(-3, 12, 61)
for particle, table in events.items():
    usable = table[table["is_valid"]]
    kept = select_standard(usable)
    print(f"   {particle:8s} {len(kept) / len(usable):6.1%} kept of {len(usable)}")
    left.hist(
        np.clip(usable["mean_scaled_width"], -3, 12),
        edges,
        density=True,
        histtype="step",
        label=f"{particle}, {len(usable)} events",
    )
left.axvspan(-2, 0.9, color="grey", alpha=0.2, label="standard cut")
left.set(xlabel="mean scaled width (12: or more)", ylabel="density")
left.legend(frameon=False)

gammas = select_standard(events["gamma"][events["gamma"]["is_valid"]])
quality = evaluate_reconstruction(gammas, energy_edges=[0.2, 0.5, 1.0, 100] * u.TeV)
print("   Gammas that pass: the radius that holds 68 % of the directions, and the energy.")
for row in quality:
    print(
        f"   {row['energy_low']:6.2f} to {row['energy_high']:6.2f}: {row['n_valid']:4d} events, "
        f"r68 {row['angular_resolution']:.3f}, "
        f"bias {row['energy_bias']:+.0%}, resolution {row['energy_resolution']:.0%}"
    )
theta = np.hypot(
    gammas["reco_fov_lon"] - gammas["true_fov_lon"],
    gammas["reco_fov_lat"] - gammas["true_fov_lat"],
)
r68 = quality["angular_resolution"][-1]
right.hist(theta.to_value("deg") ** 2, np.linspace(0, 0.08, 41), histtype="step", color="C0")
right.axvline(r68.to_value("deg") ** 2, color="C1", ls="--", label=f"r68 = {r68:.3f}")
right.set(xlabel="theta$^2$ [deg$^2$]", ylabel="gammas", yscale="log")
right.legend(frameon=False)
figure.savefig(folder / "05_stereo.png", dpi=120)
