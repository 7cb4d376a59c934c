"""Stamps through a model in a stream: `map_stamps` against a loop of torch, batch by batch.

    python benchmarks/bench_stamp_stream.py --stamps 100000 --pretrained 10000 --every 5

The loop does no more than it must: scale, run the same network on as many images at a time, and
keep the answers in memory. Ours also checks the pixels, takes their fingerprint, and writes every
batch to disk. Both get a batch in turn, so that a busy machine slows both; with ``--every 5``
the loop gets each fifth batch only. Making the stamps is not timed. The ratio of the processor
times is the one to trust on a busy machine; both run in one thread. Peak memory is that of the
whole process.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from harness import HEADER, Comparison, DisagreementError, describe_machine

from astroml_kit.images import map_stamps
from astroml_kit.models import ImageClassifier, ImageEmbedder

SIDE, BATCH, CLASSES, TOLERANCE = 64, 1024, 4, 1e-4


def iter_galaxies(n: int) -> Iterator[np.ndarray]:
    """Round and flat galaxies of any brightness and angle, in noise."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    for start in range(0, n, BATCH):
        size = min(BATCH, n - start)
        flux, angle, width = rng.uniform(1, 9, size), rng.uniform(0, np.pi, size), 2 + start % 5
        stamps = rng.standard_normal((size, 1, SIDE, SIDE), dtype=np.float32)
        for stamp, own, turn in zip(stamps, flux, angle, strict=True):
            across = rows * np.cos(turn) + columns * np.sin(turn)
            along = columns * np.cos(turn) - rows * np.sin(turn)
            stamp[0] += own * np.exp(-np.hypot(across / 3, along / (3 * width)))
        yield stamps


def read_clocks() -> np.ndarray:
    """Seconds on the wall and of this process."""
    return np.array([time.perf_counter(), time.process_time()])


class Loop:
    """What one would write by hand for the network and the scales of a model."""

    def __init__(self, model: Any) -> None:
        self.network, self.size = model.module_, model._chunk
        self.unit, self.mean, self.scale = (
            np.asarray(value, dtype=np.float32)[:, None, None]
            for value in (model._inputs.unit, model._inputs.mean, model._inputs.scale)
        )
        self.is_classifier = hasattr(model, "classes_")
        self.seconds: list[np.ndarray] = []
        self.answers: list[np.ndarray] = []

    def run(self, images: np.ndarray) -> None:
        """Answer for a batch."""
        start = read_clocks()
        with torch.inference_mode():
            for k in range(0, len(images), self.size):
                scaled = np.arcsinh(images[k : k + self.size] / self.unit)
                output = self.network(torch.from_numpy((scaled - self.mean) / self.scale))
                if self.is_classifier:
                    output = output.softmax(dim=1)
                self.answers.append(output.numpy())
        self.seconds.append(read_clocks() - start)


def time_stream(name: str, model: Any, n: int, every: int) -> Comparison:
    """Both on the same stamps, in turn for each batch, or each so many."""
    torch.set_num_threads(1)
    loop, ours = Loop(model), []
    warm = next(iter_galaxies(BATCH))
    loop.run(warm[:128])

    def stream() -> Iterator[np.ndarray]:
        for number, batch in enumerate(iter_galaxies(n)):
            if number % every == 0:
                loop.run(batch)
            start = read_clocks()
            yield batch
            ours.append(read_clocks() - start)

    with tempfile.TemporaryDirectory() as folder:
        map_stamps(warm[:128], model=model, output=f"{folder}/warm", batch_size=BATCH)
        loop.seconds.clear()
        loop.answers.clear()
        table = map_stamps(stream(), model=model, output=f"{folder}/all", batch_size=BATCH).read()
    columns = [f"p_{label}" for label in getattr(model, "classes_", [])] or ["value"]
    shared = np.arange(n) // BATCH % every == 0
    mine = np.column_stack([table[column][shared] for column in columns])
    theirs = np.concatenate(loop.answers)
    apart = float(np.abs(mine - theirs).max() / np.abs(theirs).max())
    if not apart < TOLERANCE:
        raise DisagreementError(f"{name}: ours and the loop differ by {apart:.3g}.")
    theirs_s, ours_s = np.array(loop.seconds), np.array(ours)
    rates = n / ours_s.sum(axis=0), shared.sum() / theirs_s.sum(axis=0)
    ratios = theirs_s[:, 0] / ours_s[::every, 0]
    row = Comparison(
        name, "torch loop", n / rates[0][0], n / rates[1][0], float(np.median(ratios)),
        float(ratios.min()), float(ratios.max()), apart, TOLERANCE, len(ratios),
    )  # fmt: skip
    print(row)
    for clock, own, other in zip(("wall", "processor"), *rates, strict=True):
        print(f"  {clock}: {own:.0f} stamps/s against {other:.0f}, x {own / other:.3f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak {peak:.0f} MB", flush=True)
    return row


def run(
    *,
    repeats: int = 7,
    stamps: int | None = None,
    pretrained: int | None = None,
    every: int = 1,
) -> list[Comparison]:
    """Return a row for the small network and one for the pretrained one, if it is installed."""
    train = next(iter_galaxies(256))
    y = np.arange(len(train)) % CLASSES
    n = repeats * BATCH if stamps is None else stamps
    model = ImageClassifier(max_epochs=1, random_state=1).fit(train, y)
    rows = [time_stream(f"classify {n} stamps of {SIDE} pixels", model, n, every)]
    n = BATCH if pretrained is None else pretrained
    try:
        embedder = ImageEmbedder("efficientnet-lite0", input_size=SIDE).fit(train)
    except ImportError as error:
        print(f"no pretrained network: {error}")
    else:
        rows.append(time_stream(f"embed {n} stamps with EfficientNet-Lite0", embedder, n, every))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Stamps in a stream against a loop of torch.")
    parser.add_argument("--stamps", type=int, default=100_000, help="to classify (100000)")
    parser.add_argument("--pretrained", type=int, default=10_000, help="to embed (10000)")
    parser.add_argument("--every", type=int, default=1, help="batches of which the loop does one")
    options = parser.parse_args()
    print(describe_machine())
    print(HEADER)
    run(stamps=options.stamps, pretrained=options.pretrained, every=options.every)
