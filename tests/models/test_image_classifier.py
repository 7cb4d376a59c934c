"""The contract of the zoo for images: what scikit-learn's checks ask of tables, asked of arrays."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from astroml_kit.models import ImageClassifier, load_model, save_model
from astroml_kit.samples import Samples

QUICK = {"channels": (4, 8), "max_epochs": 2, "batch_size": 32, "random_state": 1}
LEARN = QUICK | {"max_epochs": 12, "learning_rate": 0.02, "batch_size": 16}


def draw_images(rng, n=120, side=12):
    """Bars along the rows (0) or the columns (1), anywhere."""
    y = np.arange(n) % 2
    X = 0.3 * rng.normal(size=(n, side, side))
    for image, label, place in zip(X, y, rng.integers(2, side - 3, n), strict=True):
        bar = image.T if label else image
        bar[place : place + 2] += 1
    return X.astype(np.float32), y


X, Y = draw_images(np.random.default_rng(1))


def test_it_learns_shapes():
    model = ImageClassifier(**LEARN).fit(X[:80], Y[:80])
    assert model.score(X[80:], Y[80:]) > 0.9
    assert model.image_shape_ == (1, 12, 12)
    assert len(model.history_) == 12
    assert (model.predict(X) == model.classes_[model.predict_proba(X).argmax(axis=1)]).all()
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert model.decision_function(X).shape == (120,)


def test_three_classes_and_independent_labels():
    three = np.array(["spiral", "smooth", "edge-on"])[np.arange(120) % 3]
    model = ImageClassifier(**QUICK).fit(X, three)
    assert model.predict_proba(X).shape == (120, 3)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert set(model.predict(X)) <= set(three)
    labels = np.column_stack([Y, 1 - Y, np.ones(120, dtype=int)])
    model = ImageClassifier(**QUICK).fit(X, labels)
    assert model.predict(X).shape == model.predict_proba(X).shape == (120, 3)


def test_channels_first_and_a_channel_of_one():
    one = ImageClassifier(**QUICK).fit(X, Y)
    np.testing.assert_array_equal(one.predict_proba(X[:, None]), one.predict_proba(X))
    telescopes = np.stack([X, X[::-1], X], axis=1)
    model = ImageClassifier(**QUICK).fit(telescopes, Y)
    assert model.image_shape_ == (3, 12, 12)
    with pytest.raises(ValueError, match=r"shape \(3, 12, 12\) that the model was trained on"):
        model.predict(X)


@pytest.mark.parametrize(
    "options", [{}, {"augment": ("rotate", "flip"), "dropout": 0.2}, {"early_stopping": True}]
)
def test_same_seed_same_model_to_the_bit(options):
    one, two, other = (
        ImageClassifier(**QUICK | options | {"random_state": seed}).fit(X, Y) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    assert not np.array_equal(one.predict_proba(X), other.predict_proba(X))


def test_inputs_and_parameters_are_left_alone():
    model = ImageClassifier(**QUICK)
    kept, before = X.copy(), model.get_params()
    model.fit(X, Y).predict(X)
    np.testing.assert_array_equal(X, kept)
    assert model.get_params() == before
    readonly = X.copy()
    readonly.setflags(write=False)
    np.testing.assert_array_equal(
        clone(model).fit(readonly, Y).predict_proba(readonly), model.predict_proba(X)
    )


def test_unfitted_is_said():
    with pytest.raises(NotFittedError):
        ImageClassifier().predict(X)


def test_a_score_does_not_depend_on_company():
    model = ImageClassifier(**QUICK).fit(X, Y)
    together = model.decision_function(X)
    alone = np.concatenate([model.decision_function(X[k : k + 1]) for k in range(0, 120, 17)])
    np.testing.assert_allclose(alone, together[::17], rtol=1e-4, atol=1e-5)


def test_brightness_units_do_not_matter():
    plain = ImageClassifier(**QUICK).fit(X, Y).predict_proba(X)
    scaled = ImageClassifier(**QUICK).fit(X * 2.0**40, Y).predict_proba(X * 2.0**40)
    np.testing.assert_allclose(scaled, plain, atol=1e-4)


def test_weights_are_honoured():
    weight = np.where(Y == 1, 8.0, 1.0)
    plain = ImageClassifier(**QUICK).fit(X, Y).predict_proba(X)[:, 1].mean()
    heavy = ImageClassifier(**QUICK).fit(X, Y, sample_weight=weight).predict_proba(X)[:, 1].mean()
    by_class = ImageClassifier(**QUICK, class_weight={1: 8}).fit(X, Y).predict_proba(X)[:, 1].mean()
    assert heavy > plain + 0.05
    assert by_class == pytest.approx(heavy, abs=1e-6)
    weight = np.ones(120)
    weight[100:] = 0
    bad = X.copy()
    bad[100:] = 1e6
    np.testing.assert_array_equal(
        ImageClassifier(**QUICK).fit(bad, Y, sample_weight=weight).predict_proba(X),
        ImageClassifier(**QUICK).fit(X[:100], Y[:100]).predict_proba(X),
    )


def test_samples_pipelines_grids_and_clones():
    samples = Samples(X, y=Y, groups=np.arange(120) // 2)
    model = ImageClassifier(**QUICK).fit(samples)
    np.testing.assert_array_equal(
        model.predict(samples), ImageClassifier(**QUICK).fit(X, Y).predict(X)
    )
    assert model.score(samples) == model.score(X, Y)
    pipe = make_pipeline(FunctionTransformer(np.negative), ImageClassifier(**QUICK))
    grid = GridSearchCV(pipe, {"imageclassifier__channels": [(2,), (4,)]}, cv=2).fit(X, Y)
    assert grid.best_params_["imageclassifier__channels"] in ((2,), (4,))
    copy = clone(ImageClassifier(augment=("flip",)))
    assert copy.augment == ("flip",)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_round_trip_to_the_bit(tmp_path):
    labels = np.array(["p", "g"])[Y]
    model = ImageClassifier(**QUICK, early_stopping=True, augment=("rotate",)).fit(X, labels)
    again = load_model(save_model(model, tmp_path / "m.model"))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.predict(X).tolist() == model.predict(X).tolist()
    assert again.get_params() == model.get_params()
    assert again.image_shape_ == model.image_shape_
    np.testing.assert_array_equal(again.history_["valid_loss"], model.history_["valid_loss"])
    assert again.best_epoch_ == model.best_epoch_


def test_it_resumes_from_its_checkpoint(tmp_path, monkeypatch):
    from astroml_kit.models import _checkpoints

    options = QUICK | {"max_epochs": 4, "augment": ("rotate", "flip"), "dropout": 0.1}
    whole = ImageClassifier(**options).fit(X, Y)
    write = _checkpoints.Checkpoint.write

    def write_and_fail(self, net, *, recorder, best, seed):
        write(self, net, recorder=recorder, best=best, seed=seed)
        if len(recorder.rows) == 2:
            raise OSError("the machine went down")

    monkeypatch.setattr(_checkpoints.Checkpoint, "write", write_and_fail)
    with pytest.raises(OSError, match="went down"):
        ImageClassifier(**options, checkpoint=tmp_path).fit(X, Y)
    monkeypatch.undo()
    resumed = ImageClassifier(**options, checkpoint=tmp_path).fit(X, Y)
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))
    assert (resumed.history_ == whole.history_).all()


# Augmentation and stretch


def test_rotation_keeps_charge_and_parity():
    import torch

    from astroml_kit.models._augmentation import rotate_images

    image = np.zeros((1, 1, 33, 33), dtype=np.float32)
    image[0, 0, 14:19, 16:28] = 1  # along the columns axis, with a hook that breaks the mirror
    image[0, 0, 19:23, 25:28] = 1
    same = rotate_images(torch.tensor(image), torch.zeros(1)).numpy()
    np.testing.assert_allclose(same, image, atol=1e-5)
    quarter = rotate_images(torch.tensor(image), torch.tensor([np.pi / 2])).numpy()[0, 0]
    turns = [np.rot90(image[0, 0], k) for k in range(4)]
    mirrored = [np.rot90(image[0, 0].T, k) for k in range(4)]
    assert min(np.abs(quarter - turn).max() for turn in turns) < 1e-4
    assert min(np.abs(quarter - turn).max() for turn in mirrored) > 0.5
    oblique = rotate_images(torch.tensor(image), torch.tensor([0.7])).numpy()
    assert oblique.sum() == pytest.approx(image.sum(), rel=0.02)


def test_rotation_of_oblong_images_does_not_shear():
    import torch

    from astroml_kit.models._augmentation import rotate_images

    rows, columns = np.mgrid[:20, :40]
    disc = (np.hypot(rows - 9.5, columns - 19.5) < 6).astype(np.float32)[None, None]
    turned = rotate_images(torch.tensor(disc), torch.tensor([0.6])).numpy()
    assert np.abs(turned - disc).mean() < 0.02


def test_flip_mirrors_half_and_rotation_is_drawn_anew():
    import torch

    from astroml_kit.models._augmentation import Augmenter

    with torch.random.fork_rng():
        torch.manual_seed(1)
        images = torch.tensor(X[:, None])
        flipped = Augmenter(("flip",))(images)
        same = (flipped == images).all(dim=(1, 2, 3)).numpy()
        assert 40 < same.sum() < 80
        assert torch.equal(flipped[~same], images[~same].flip(3))
        rotate = Augmenter(("rotate",))
        assert not torch.equal(rotate(images), rotate(images))
        assert Augmenter(())(images) is images


def test_augmentation_helps_where_examples_are_few():
    """Bars at any angle against blobs, learned from bars along the rows."""
    rng = np.random.default_rng(2)
    y = np.arange(100) % 2
    images = 0.2 * rng.normal(size=(100, 16, 16)).astype(np.float32)
    images[y == 1, 7:9, 2:14] += 1.0
    images[y == 0, 5:10, 6:11] += 1.0
    rows, columns = np.mgrid[:16, :16] - 7.5
    angle = rng.uniform(0.5, 2.6, 50)[:, None, None]
    across, along = rows * np.cos(angle) - columns * np.sin(angle), None
    along = rows * np.sin(angle) + columns * np.cos(angle)
    bars = 0.2 * rng.normal(size=(50, 16, 16)) + ((np.abs(across) < 1) & (np.abs(along) < 6))
    options = LEARN | {"max_epochs": 15}
    plain = ImageClassifier(**options).fit(images, y).predict(bars).mean()
    turned = ImageClassifier(**options, augment=("rotate",)).fit(images, y).predict(bars).mean()
    assert turned > 0.9
    assert turned > plain


@pytest.mark.parametrize("stretch", ["asinh", "sqrt", "none"])
def test_inputs_of_the_network_are_standardised(stretch):
    model = ImageClassifier(**QUICK, stretch=stretch).fit(1e4 * X**3, Y)
    inputs = model._transform_inputs(1e4 * X[:, None] ** 3)
    assert inputs.dtype == np.float32
    assert inputs.mean() == pytest.approx(0, abs=1e-3)
    assert inputs.std() == pytest.approx(1, abs=1e-3)


def test_constant_and_empty_channels_do_no_harm():
    images = np.stack([X, np.zeros_like(X), np.full_like(X, 7)], axis=1)
    model = ImageClassifier(**QUICK).fit(images, Y)
    assert np.isfinite(model.predict_proba(images)).all()


# Mistakes


def test_mistakes_are_named():
    bad = X.copy()
    bad[3, 2, 2] = np.nan
    for images, message in (
        (bad, "NaN or infinity in 1 of 120 images"),
        (X[:, 0], r"shape \(n_images, height, width\)"),
        (X[:0], r"shape \(n_images, height, width\)"),
        (X.astype(object), "an array of images of one size"),
        ([np.zeros((3, 3)), np.zeros((4, 4))], "an array of images of one size"),
        (X[:, :3], "at least 4 x 4 for 2 blocks, got 3 x 12"),
    ):
        with pytest.raises(ValueError, match=message):
            ImageClassifier(**QUICK).fit(images, Y[: len(images)])
    with pytest.raises(ValueError, match="one label per image, got 119 for 120"):
        ImageClassifier(**QUICK).fit(X, Y[:-1])
    with pytest.raises(ValueError, match="y must be given"):
        ImageClassifier(**QUICK).fit(X)
    with pytest.raises(ValueError, match="two classes or more"):
        ImageClassifier(**QUICK).fit(X, np.zeros(120, dtype=int))
    with pytest.raises(ValueError, match="NaN or infinity"):
        ImageClassifier(**QUICK).fit(X, Y).predict(bad)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet"}, r"backbone must be one of \['cnn', 'vit', .*got 'resnet'"),
        ({"channels": ()}, "channels must be 1 to 12"),
        ({"channels": (4, 0)}, "channels must be 1 to 12"),
        ({"augment": "flip"}, "augment must be a tuple"),
        ({"augment": ("zoom",)}, r"augment must be one of .*'flip', .*got 'zoom'"),
        ({"stretch": "log"}, "stretch must be one of"),
        ({"dropout": 1}, "dropout must be"),
    ],
)
def test_parameters_are_checked_at_fit(options, message):
    with pytest.raises(ValueError, match=message):
        ImageClassifier(**QUICK | options).fit(X, Y)
