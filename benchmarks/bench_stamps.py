"""Stamps read and cut out, beside plain loops with Pillow and astropy."""

from __future__ import annotations

import time
import tracemalloc
import zipfile
from collections.abc import Callable

import astropy.units as u
import numpy as np
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from harness import Comparison, compare, find_data, import_peer, main
from scipy.ndimage import map_coordinates

from astroml_kit.images import SkyImage, Stamps, extract_stamps, read_image, read_stamps

N_CUT, N_PEER, SIDE = 5000, 250, 64
MOST_REPEATS = 3


def compare_reading(repeats: int) -> Comparison:
    """Every Galaxy Zoo 1 crop of the zip as 8-bit planes with its label, and a Pillow loop."""
    folder = find_data("galaxy-zoo1-sdss")
    path, labels = folder / "crops112.zip", folder / "labels.csv"
    image = import_peer("PIL.Image")

    def loop() -> np.ndarray:
        planes = []
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                with archive.open(name) as file, image.open(file) as picture:
                    planes.append(np.asarray(picture).transpose(2, 0, 1))
        return np.stack(planes)

    row = compare(
        "6,664 JPEG of a zip, with labels",
        lambda: read_stamps(path, labels=labels, dtype="uint8").images,
        loop,
        peer_name="Pillow",
        tolerance=0,
        difference=lambda ours, peer: float((ours != peer).any()),
        repeats=repeats,
    )
    start, start_cpu = time.perf_counter(), time.process_time()
    stamps = read_stamps(path, labels=labels)
    wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    print(f"  as float32 {wall:.1f} s, {cpu:.1f} s of CPU; {stamps}")
    return row


def cut_loop(image: SkyImage, pixels: np.ndarray, *, with_wcs: bool) -> np.ndarray:
    """Cut-outs one by one."""
    wcs = image.wcs if with_wcs else None
    return np.stack([
        Cutout2D(image.data, (x, y), SIDE, wcs=wcs, mode="partial", fill_value=np.nan).data
        for x, y in pixels
    ])  # fmt: skip


def resample_loop(image: SkyImage, coords, scale: u.Quantity) -> np.ndarray:
    """Stamps with north up one by one, each pixel through both WCS."""
    y, x = np.mgrid[:SIDE, :SIDE]
    found = []
    data = np.where(image.mask, 0, image.data)
    for coord in coords:
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [(SIDE + 1) / 2] * 2
        wcs.wcs.crval = [coord.ra.deg, coord.dec.deg]
        wcs.wcs.cdelt = scale.to_value("deg") * np.array([-1, 1])
        column, row = image.wcs.world_to_pixel(wcs.pixel_to_world(x, y))
        found.append(map_coordinates(data, [row, column], order=1, mode="nearest"))
    return np.array(found)


def differ(ours: Stamps, peer: np.ndarray) -> float:
    """Largest difference where ours has a pixel, over the stamps that both made."""
    some = ours[: len(peer)]
    apart = np.abs(some.images[:, 0] - peer)[~some.mask[:, 0]]
    return float(apart.max() / np.nanstd(peer))


def measure_peak(call: Callable[[], Stamps]) -> str:
    """Largest memory of a call, and that of what it returns."""
    tracemalloc.start()
    stamps = call()
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return f"{peak:.0f} MB at most for {(stamps.images.nbytes + stamps.mask.nbytes) / 1e6:.0f} MB"


def run(*, repeats: int = MOST_REPEATS) -> list[Comparison]:
    """Reading, whole-pixel cut-outs and reprojected ones."""
    repeats = min(repeats, MOST_REPEATS)
    rows = [compare_reading(repeats)]
    image = read_image(find_data("fits-images") / "spitzer_example_image.fits")
    height, width = image.data.shape
    rng = np.random.default_rng(1)
    pixels = rng.uniform([0, 0], [width - 1, height - 1], (N_CUT, 2))
    coords = image.wcs.pixel_to_world(*pixels.T).icrs
    scale = 1.0 * u.arcsec  # finer than the image, of which both take one point per pixel

    def cut() -> Stamps:
        return extract_stamps(image, coords, size=SIDE)

    def cut_with_wcs() -> Stamps:
        stamps = cut()
        assert all(wcs is not None for wcs in stamps.wcs)
        return stamps

    def resample() -> Stamps:
        return extract_stamps(
            image, coords, size=SIDE, pixel_scale=scale, north_up=True, parity="sky"
        )

    for name, ours, peer, peer_name in (
        ("cut, WCS when asked for", cut,
         lambda: cut_loop(image, pixels[:N_PEER], with_wcs=False), "Cutout2D"),
        ("cut, WCS of each made", cut_with_wcs,
         lambda: cut_loop(image, pixels[:N_PEER], with_wcs=True), "Cutout2D"),
        ("new scale, north up", resample,
         lambda: resample_loop(image, coords[:N_PEER], scale), "astropy, scipy"),
    ):  # fmt: skip
        row = compare(
            f"{N_CUT} of {SIDE} px: {name}", ours, peer, peer_name=peer_name,
            peer_share=N_PEER / N_CUT, tolerance=1e-2, difference=differ, repeats=repeats,
        )  # fmt: skip
        print(f"  {N_CUT / row.ours_s:.0f} stamps/s; {measure_peak(ours)}")
        rows.append(row)
    return rows


if __name__ == "__main__":
    main(run)
