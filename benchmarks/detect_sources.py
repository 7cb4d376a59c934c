"""Sources in the shipped FITS images: ours beside sep and photutils alone, and catalogues.

    python benchmarks/detect_sources.py                      # images, matches and shapes
    python benchmarks/detect_sources.py --images "sep*"      # one image
    python benchmarks/detect_sources.py --stamps 2000        # shapes of more galaxies

Data: fits-images, and galaxy-zoo1-sdss for the shapes. Peers get the same settings: a threshold
of 3 sigma of the filtered image, 5 pixels, 32 levels of deblending. "apart" is the distance of
each of our sources to the nearest of the peer, in pixels. Ours also measures fluxes, shapes,
significances and flags of every source, the peers' functions only what comes with detection.

Matches: the 224 sources of the Spitzer catalogue, and three stars of M67 that are in the field:
YBP 1194 and YBP 1514 from Brucalassi et al. (2014), doi:10.1051/0004-6361/201322584, and S1082 =
ES Cnc as SIMBAD has it. The plate of M67 is of 1951; its stars have moved by some 0.5 arcsec since.

Shapes: stamps per second of `measure_shapes`, beside a loop over photutils' SourceCatalog that
measures moments, Kron flux, half-light radius and Gini of the source in the middle, which is
less.
"""

from __future__ import annotations

import argparse
import time
import zipfile
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from harness import describe_machine

from astroml_kit.catalogs import match_catalogs
from astroml_kit.datasets import fetch_dataset
from astroml_kit.images import find_sources, measure_background, measure_shapes, read_image
from astroml_kit.images.detection import open_plane

M67 = SkyCoord(
    ["08:51:00.81 +11:48:52.8", "08:51:00.77 +11:53:11.5", "08:51:20.80 +11:53:26.0"],
    unit=(u.hourangle, u.deg), frame="icrs",
)  # fmt: skip


def run_sep(image: Any) -> np.ndarray:
    """Positions by sep alone."""
    import sep

    data = np.ascontiguousarray(image.data)
    sky = sep.Background(data, mask=image.mask)
    noise = sky.rms()
    noise[noise <= 0] = sky.globalrms  # a spline below 0, as ours
    sep.set_extract_pixstack(data.size)
    sep.set_sub_object_limit(8192)
    found = sep.extract(data - sky.back(), 3.0, err=noise, mask=image.mask, minarea=5)
    return np.column_stack([found["x"], found["y"]])


def run_photutils(image: Any) -> np.ndarray:
    """Positions by photutils alone; its background and noise are those of ours."""
    from photutils.segmentation import SourceCatalog, deblend_sources, detect_sources
    from scipy.ndimage import correlate

    sky = measure_background(image, backend="photutils")
    kernel = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    data = image.data - sky.level
    ratio = correlate(np.where(image.mask, 0, data) / sky.noise, kernel, mode="constant")
    ratio /= np.sqrt(np.sum(kernel**2))
    segments = detect_sources(ratio, 3.0, 5, mask=image.mask)
    segments = deblend_sources(ratio, segments, 5, contrast=0.005, progress_bar=False)
    catalog = SourceCatalog(data, segments, mask=image.mask)
    return np.column_stack([catalog.x_centroid, catalog.y_centroid])


def compare_images(folder: Path, pattern: str) -> None:
    """Print counts, distances and times for every image."""
    from scipy.spatial import cKDTree

    print(f"{'image':28} {'peer':10} {'ours':>5} {'peer':>5} {'median':>8} {'< 0.1':>6} "
          f"{'largest':>8} {'s ours':>7} {'s peer':>7}")  # fmt: skip
    for path in sorted(folder.glob(pattern)):
        image = open_plane(read_image(path), None, "mean")
        for backend, ask in (("sep", run_sep), ("photutils", run_photutils)):
            start = time.process_time()
            sources = find_sources(image, backend=backend)
            middle = time.process_time()
            peer = ask(image)
            end = time.process_time()
            ours = np.column_stack([sources["x"].value, sources["y"].value])
            apart = cKDTree(peer).query(ours)[0]
            print(f"{path.name:28} {backend:10} {len(ours):5} {len(peer):5} "
                  f"{np.median(apart):8.1e} {np.mean(apart < 0.1):6.1%} {apart.max():8.1e} "
                  f"{middle - start:7.2f} {end - middle:7.2f}", flush=True)  # fmt: skip


def match_known(name: str, known: SkyCoord, path: Path, radius: u.Quantity, **options: Any) -> None:
    """Print how many of the known sources were found, and how far off."""
    sources = find_sources(read_image(path), **options)
    pairs = match_catalogs(known, sources["coord"], radius=radius)
    here, there = known[pairs["first"]].icrs, sources["coord"][pairs["second"]].icrs
    east, north = SkyCoord(here.ra, here.dec).spherical_offsets_to(SkyCoord(there.ra, there.dec))
    print(f"{name}: {len(pairs)} of {len(known)} within {radius}, {len(sources)} sources found; "
          f"median {np.median(pairs['separation']):.2f}, of which systematic "
          f"{np.median(east.arcsec):+.2f} east, {np.median(north.arcsec):+.2f} north; "
          f"scatter {np.std(east.arcsec):.2f} and {np.std(north.arcsec):.2f}")  # fmt: skip


def read_galaxies(folder: Path, n: int) -> np.ndarray:
    """Return the first galaxies, mean of the three colours, shape (n, 112, 112)."""
    from PIL import Image

    with zipfile.ZipFile(folder / "crops112.zip") as files:
        names = sorted(name for name in files.namelist() if name.endswith(".jpg"))[:n]
        return np.stack([np.asarray(Image.open(files.open(name))).mean(axis=2) for name in names])


def loop_photutils(stamps: np.ndarray) -> np.ndarray:
    """Gini of the source in the middle of each stamp, one after the other."""
    from photutils.segmentation import SourceCatalog, detect_sources

    out = np.full(len(stamps), np.nan)
    for k, stamp in enumerate(stamps):
        rim = np.concatenate([stamp[:11].ravel(), stamp[-11:].ravel()])
        data = stamp - np.median(rim)
        segments = detect_sources(data, 2 * np.std(rim), 5)
        label = 0 if segments is None else segments.data[56, 56]
        if not label:
            continue
        segments.keep_labels([label])
        source = SourceCatalog(data, segments)
        values = (source.semimajor_axis, source.kron_flux, source.flux_radius(0.5), source.gini)
        out[k] = np.ravel(values[-1])[0]
    return out


def time_shapes(folder: Path, n: int) -> None:
    """Print stamps per second, of processor time."""
    stamps = read_galaxies(folder, n)
    measure_shapes(stamps[:2])  # compiles
    start = time.process_time()
    measure_shapes(stamps)
    ours = time.process_time() - start
    few = stamps[: max(n // 10, 1)]
    start = time.process_time()
    loop_photutils(few)
    peer = time.process_time() - start
    print(f"shapes of {n} stamps of 112 pixels: {n / ours:.0f} per s; photutils in a loop "
          f"{len(few) / peer:.0f} per s, ratio {n / ours * peer / len(few):.1f}")  # fmt: skip


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", default="*.fits*", help="pattern of the files to compare")
    parser.add_argument("--stamps", type=int, default=1000)
    options = parser.parse_args()
    print(describe_machine())
    folder = Path(fetch_dataset("fits-images"))
    compare_images(folder, options.images)
    table = Table.read(folder / "spitzer_example_catalog.xml")
    spitzer = SkyCoord(table["l"], table["b"], frame="galactic")
    match_known("Spitzer", spitzer, folder / "spitzer_example_image.fits", 3 * u.arcsec,
                threshold=5, box=32)  # fmt: skip
    match_known("M67", M67, folder / "M6707HH.fits", 2 * u.arcsec, box=32)
    time_shapes(Path(fetch_dataset("galaxy-zoo1-sdss")), options.stamps)


if __name__ == "__main__":
    main()
