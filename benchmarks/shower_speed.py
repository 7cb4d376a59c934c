"""Showers per second per core, and memory: what a simulation of so many events will take.

    python benchmarks/shower_speed.py

CPU time of one process, after compilation and after the table of photons is made (both printed).
Triggered gammas are those of `simulate_showers` as it stands; preselected events have two images
of 80 p.e. and three pixels within 2 deg of the camera's centre, with the options of the library.
"""

from __future__ import annotations

import argparse
import resource
import time

from astroml_kit.cherenkov import reconstruct_stereo, simulate_showers
from astroml_kit.cherenkov.simulation.library import _PRESELECTION

# Particle, showers, options, what is counted, target per second.
JOBS = (
    ("gamma", 60_000, {"offset": 0.5}, "triggered", 10_000),
    ("gamma", 60_000, {"offset": 0.5, "energy_min": 0.08, **_PRESELECTION}, "preselected", None),
    ("proton", 40_000, _PRESELECTION, "preselected", 1000),
    ("helium", 20_000, _PRESELECTION, "preselected", None),
    ("electron", 60_000, _PRESELECTION, "preselected", None),
)


def simulate(particle, n_showers, options, *, seed):
    """Images, and CPU seconds spent on them."""
    start = time.process_time()
    images = simulate_showers(
        particle, n_showers=n_showers, zenith=20.0, rng=seed, progress=False, **options
    )
    return images, time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="showers relative to the default")
    scale = parser.parse_args().scale
    _, seconds = simulate("gamma", 100, {}, seed=0)
    simulate("proton", 100, {}, seed=0)
    print(f"compilation or its cache, table of photons: {seconds:.1f} s CPU, once")
    for number, (particle, n_showers, options, counted, target) in enumerate(JOBS, start=1):
        n_showers = max(100, round(scale * n_showers))
        images, seconds = simulate(particle, n_showers, options, seed=number)
        n = images.meta["n_triggered"]
        if counted == "preselected":
            n = int(reconstruct_stereo(images)["is_valid"].sum())
        rate = n / seconds
        verdict = ""
        if target is not None:
            verdict = f"   target {target}: {'met' if rate >= target else 'missed'}"
        print(
            f"{particle:9} {n_showers:6d} showers, {n:6d} {counted:11} in {seconds:6.2f} s CPU: "
            f"{rate:8.0f} /s/core, {1e6 * seconds / n:6.0f} us each{verdict}"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
