"""New galaxies from an autoencoder, a variational one and a GAN, held against real ones.

    python benchmarks/galaxy_generation.py
    python benchmarks/galaxy_generation.py --epochs 60 --size 32 --figure galaxies.png

Data: galaxy-zoo1-sdss, its middle 64 pixels, averaged to `--size`, colours kept. Models learn from
half of the galaxies, and as many samples as there are galaxies in the other half stand against
these. "pixels" is the Frechet distance on 32 principal components of standardised pixels;
"network" that on the features of EfficientNet-Lite0, as the Frechet inception distance is, on
their 64 first principal components. "other half" is the floor: real galaxies against real ones.
"normal" draws principal components (64 of them) from a normal: what a linear model can do. RMSE is
that of reconstructions of the other half, pixels from 0 to 1.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from harness import describe_machine
from sklearn.decomposition import PCA

from astroml_kit.datasets import fetch_dataset
from astroml_kit.images import read_stamps
from astroml_kit.models import (
    GAN,
    Autoencoder,
    ImageEmbedder,
    VariationalAutoencoder,
    frechet_distance,
    interpolate_latent,
)

SEED = 2031
MIDDLE = 64  # pixels
N_LATENT = 32


def read_halves(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Galaxies from 0 to 1, shape (n, 3, size, size), two random halves."""
    folder = Path(fetch_dataset("galaxy-zoo1-sdss"))
    images = read_stamps(folder / "crops112.zip").images
    edge = (images.shape[-1] - MIDDLE) // 2
    middle = images[..., edge : edge + MIDDLE, edge : edge + MIDDLE].astype(np.float32) / 255
    step = MIDDLE // size
    small = middle.reshape(len(images), 3, size, step, size, step).mean(axis=(3, 5))
    order = np.random.default_rng(SEED).permutation(len(small))
    return small[order[: len(order) // 2]], small[order[len(order) // 2 :]]


class Measure:
    """Frechet distances to the galaxies that no model has seen."""

    def __init__(self, train: np.ndarray, test: np.ndarray) -> None:
        self.test = test
        flat = train.reshape(len(train), -1)
        self.spread = flat.std(axis=0) + 1e-3
        self.pixels = PCA(32, random_state=0).fit(flat / self.spread)
        self.embedder = ImageEmbedder("efficientnet-lite0", input_size=64, stretch="none")
        self.features = PCA(64, random_state=0).fit(self.embedder.fit_transform(train))

    def __call__(self, images: np.ndarray) -> tuple[float, float]:
        """On pixels and on features of a network."""
        pixels, network = (
            [embed(some) for some in (self.test, images)]
            for embed in (self._embed_pixels, self._embed_network)
        )
        return frechet_distance(*pixels), frechet_distance(*network)

    def _embed_pixels(self, images: np.ndarray) -> np.ndarray:
        return self.pixels.transform(images.reshape(len(images), -1) / self.spread)

    def _embed_network(self, images: np.ndarray) -> np.ndarray:
        return self.features.transform(self.embedder.transform(images))


def list_models(epochs: int) -> dict[str, Any]:
    shared = {"random_state": 1, "progress": True, "stretch": "none"}
    return {
        "autoencoder": Autoencoder(N_LATENT, max_epochs=epochs, **shared),
        "variational": VariationalAutoencoder(N_LATENT, max_epochs=epochs, **shared),
        "GAN": GAN(N_LATENT, max_epochs=epochs, **shared),
    }


def draw_linear(train: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    flat = train.reshape(len(train), -1)
    model = PCA(64, random_state=0).fit(flat)
    latent = rng.normal(size=(n, 64)) * np.sqrt(model.explained_variance_)
    return model.inverse_transform(latent).reshape(n, *train.shape[1:])


def draw_walks(models: dict[str, Any], test: np.ndarray, path: str) -> None:
    from matplotlib.figure import Figure

    rows = []
    for name in ("autoencoder", "variational"):
        ends = models[name].transform(test[:2])
        rows.append((name, interpolate_latent(models[name], *ends)))
        rows.append((f"{name}: samples", models[name].sample(8, random_state=1)))
    ends = np.random.default_rng(3).normal(size=(2, N_LATENT))
    rows.append(("GAN", interpolate_latent(models["GAN"], *ends)))
    rows.append(("GAN: samples", models["GAN"].sample(8, random_state=1)))
    figure = Figure(figsize=(10, 1.35 * len(rows)), layout="constrained")
    for axes, (name, images) in zip(figure.subplots(len(rows), 8), rows, strict=True):
        for ax, image in zip(axes, images, strict=True):
            ax.imshow(np.clip(np.moveaxis(image, 0, -1), 0, 1))
            ax.set_axis_off()
        axes[0].set_title(name, loc="left", fontsize=9)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--size", type=int, default=32, choices=(16, 32, 64))
    parser.add_argument("--figure", help="PNG of walks and samples")
    options = parser.parse_args()
    print(describe_machine())
    train, test = read_halves(options.size)
    print(f"{len(train)} galaxies to learn from, {len(test)} others")
    measure = Measure(train, test)
    rng = np.random.default_rng(SEED)
    print(f"{'':12s} {'pixels':>8s} {'network':>8s} {'RMSE':>8s} {'s':>6s}")

    def show(name: str, images: np.ndarray, rmse: float, seconds: float) -> None:
        one, other = measure(images)
        print(f"{name:12s} {one:8.2f} {other:8.2f} {rmse:8.4f} {seconds:6.0f}", flush=True)

    show("other half", train[: len(test)], np.nan, 0)
    show("normal", draw_linear(train, len(test), rng), np.nan, 0)
    models = list_models(options.epochs)
    for name, model in models.items():
        start = time.perf_counter()
        model.fit(train)
        seconds = time.perf_counter() - start
        rmse = np.nan
        if hasattr(model, "reconstruct"):
            rmse = float(np.sqrt(np.mean((model.reconstruct(test) - test) ** 2)))
        show(name, np.clip(model.sample(len(test), random_state=1), 0, 1), rmse, seconds)
    if options.figure:
        draw_walks(models, test, options.figure)


if __name__ == "__main__":
    main()
