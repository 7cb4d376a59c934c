"""Camera images to parameters: cleaning and Hillas of 10^5 images against ctapipe's loop."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable
from types import ModuleType

import astropy.units as u
import numpy as np
from astropy.table import Table
from harness import Comparison, compare, import_peer, main

from astroml_kit.cherenkov import CameraGeometry, RaggedImages, clean_images, extract_hillas

N_IMAGES = 100_000
N_DRAWN = 2_000  # different ones, repeated; ctapipe does each once
N_PIXELS = 960
PICTURE, BOUNDARY = 10.0, 5.0
NOISE = 1.5  # p.e. in every pixel
MOST_REPEATS = 5
# Columns of ours that hold what `hillas_parameters` returns, in its order of names.
HILLAS = {
    "intensity": "hillas_intensity",
    "fov_lon": "hillas_x",
    "fov_lat": "hillas_y",
    "length": "hillas_length",
    "length_uncertainty": "hillas_length_uncertainty",
    "width": "hillas_width",
    "width_uncertainty": "hillas_width_uncertainty",
    "psi": "hillas_psi",
    "psi_uncertainty": "hillas_psi_uncertainty",
    "skewness": "hillas_skewness",
    "kurtosis": "hillas_kurtosis",
}
REST = {
    "concentration": ("cog", "core", "pixel"),
    "leakage": tuple(f"{k}_width_{n}" for k in ("pixels", "intensity") for n in (1, 2)),
    "morphology": ("n_pixels", "n_islands", "n_small_islands", "n_medium_islands"),
    "intensity": ("max", "min", "mean", "std", "skewness", "kurtosis"),
}


def draw_images(camera: CameraGeometry, *, n_images: int, seed: int = 1) -> np.ndarray:
    """Gaussian showers of 80 to 3000 p.e. on a lattice, with Gaussian noise in every pixel."""
    rng = np.random.default_rng(seed)
    x, y = camera.pixel_x.value, camera.pixel_y.value
    light = np.exp(rng.uniform(np.log(80), np.log(3000), n_images))
    length = 0.1 + 0.07 * np.log(light / 80)
    width = 0.4 * length
    centre, psi = rng.uniform(-1.6, 1.6, (2, n_images)), rng.uniform(0, np.pi, n_images)
    images = np.empty((n_images, N_PIXELS), dtype=np.float32)
    for i in range(n_images):
        dx, dy = x - centre[0, i], y - centre[1, i]
        along = (dx * np.cos(psi[i]) + dy * np.sin(psi[i])) / length[i]
        across = (dy * np.cos(psi[i]) - dx * np.sin(psi[i])) / width[i]
        density = light[i] / (2 * np.pi * length[i] * width[i])
        mean = density * camera.pixel_area.value * np.exp(-0.5 * (along**2 + across**2))
        images[i] = rng.poisson(mean) + rng.normal(0, NOISE, N_PIXELS)
    return images


def make_peer(camera: CameraGeometry, images: np.ndarray, *, everything: bool) -> Callable:
    """Return a function that cleans and measures image by image with ctapipe."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lib, instrument = import_peer("ctapipe.image"), import_peer("ctapipe.instrument")
        statistics = import_peer("ctapipe.image.statistics").descriptive_statistics
    columns = [np.arange(N_PIXELS), camera.pixel_x, camera.pixel_y, camera.pixel_area]
    meta = {"PIX_TYPE": "hexagonal", "PIX_ROT": 0, "CAM_ROT": 0, "CAM_ID": "a", "TAB_VER": "2.0"}
    names = ["pix_id", "pix_x", "pix_y", "pix_area"]
    geometry = instrument.CameraGeometry.from_table(Table(columns, names=names, meta=meta))

    def measure() -> np.ndarray:
        rows = np.full(
            (len(images), len(HILLAS) + everything * sum(map(len, REST.values()))), np.nan
        )
        for row, image in zip(rows, images, strict=True):
            mask = lib.tailcuts_clean(geometry, image, PICTURE, BOUNDARY)
            if mask.any():
                row[:] = measure_one(lib, statistics, geometry, image, mask, everything)
        return rows

    return measure


def measure_one(
    lib: ModuleType, statistics: Callable, geometry, image: np.ndarray, mask: np.ndarray, more: bool
) -> list[float]:
    """Parameters of one image, with angles in degree."""
    part, light = geometry[mask], image[mask]
    hillas = lib.hillas_parameters(part, light)
    values = [hillas[name] for name in HILLAS]
    values = [v.to_value(u.deg) if hasattr(v, "unit") else v for v in values]
    if more:
        for names, found in zip(
            REST.values(),
            (
                lib.concentration_parameters(part, light, hillas),
                lib.leakage_parameters(geometry, image, mask),
                lib.morphology_parameters(geometry, mask),
                statistics(light),
            ),
            strict=True,
        ):
            values += [found[name] for name in names]
    return values


def measure_ours(images: np.ndarray | RaggedImages, camera: CameraGeometry) -> np.ndarray:
    """Clean and measure all images; the columns that ctapipe gives, as one array."""
    masks = clean_images(
        images, camera=camera, picture_threshold=PICTURE, boundary_threshold=BOUNDARY
    )
    table = extract_hillas(images, camera=camera, masks=masks)
    names = [*HILLAS.values(), *(f"{kind}_{name}" for kind, keys in REST.items() for name in keys)]
    return np.column_stack([getattr(table[name], "value", table[name]) for name in names])


def measure_difference(ours: np.ndarray, peer: np.ndarray) -> float:
    """Largest difference relative to the larger of value and 1, over the images of the peer.

    Infinite where one has parameters and the other has none.
    """
    ours = ours[: len(peer), : peer.shape[1]]
    if not np.array_equal(np.isnan(ours), np.isnan(peer)):
        return float("inf")
    return float(np.nanmax(np.abs(ours - peer) / np.maximum(np.abs(peer), 1.0)))


def run(*, repeats: int = MOST_REPEATS) -> list[Comparison]:
    """Compare per image: ours on 10^5 images, ctapipe on the first 2,000 of them."""
    camera = CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=N_PIXELS)
    drawn = draw_images(camera, n_images=N_DRAWN)
    # ctapipe sums in the precision of the charges, we always in double: it gets double ones.
    double = drawn.astype(float)
    images = np.tile(drawn, (N_IMAGES // N_DRAWN, 1))
    bright = RaggedImages.from_dense(np.where(images > 0.5 * BOUNDARY, images, 0))
    rows = []
    for name, given, everything in (
        ("10^5 images: clean, Hillas", images, False),
        ("10^5 images: clean, all parameters", images, True),
        ("10^5 ragged images: clean, all parameters", bright, True),
    ):
        rows.append(
            compare(
                name,
                lambda given=given: measure_ours(given, camera),
                make_peer(camera, double, everything=everything),
                peer_name="ctapipe",
                peer_share=N_DRAWN / N_IMAGES,
                tolerance=1e-6,
                difference=measure_difference,
                repeats=min(repeats, MOST_REPEATS),
            )
        )
        tracemalloc.start()
        measure_ours(given, camera)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        per_image = 1e6 * rows[-1].ours_s / N_IMAGES
        held = given.nbytes if isinstance(given, np.ndarray) else given.pixel.nbytes * 2
        print(f"  {per_image:.1f} us an image; {peak:.0f} MB beside {held / 1e6:.0f} MB of images")
    return rows


if __name__ == "__main__":
    main(run)
