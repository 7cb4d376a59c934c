"""Views of an image that training may see: what they keep, and what they change."""

import numpy as np
import pytest

from astroml_kit.models import ImageClassifier


def to_tensor(images):
    import torch

    return torch.tensor(np.asarray(images, dtype=np.float32))


@pytest.mark.parametrize("quarter", [-3, -1, 0, 1, 2, 5])
def test_quarter_turns_are_exact(quarter):
    import torch

    from astroml_kit.models._augmentation import rotate_images, turn_images

    images = np.random.default_rng(8).normal(size=(3, 2, 9, 9)).astype(np.float32)
    angle = torch.full((3,), quarter * np.pi / 2)
    turned = np.rot90(images, quarter, (2, 3))
    np.testing.assert_array_equal(rotate_images(to_tensor(images), angle), turned)
    number = torch.full((3,), quarter)
    np.testing.assert_array_equal(turn_images(to_tensor(images), number), turned)


def test_a_turn_is_a_turn_of_the_sky_for_any_angle():
    """Two turns by an angle and back leave a smooth image where it was."""
    import torch

    from astroml_kit.models._augmentation import rotate_images

    rows, columns = np.mgrid[:33, :33] - 16
    blob = np.exp(-((rows - 5) ** 2 + columns**2) / 18)[None, None]
    for angle in (0.3, 1.0, 2.5, -1.4):
        there = rotate_images(to_tensor(blob), torch.tensor([angle]))
        place = [float((there[0, 0].numpy() * axis).sum() / blob.sum()) for axis in (rows, columns)]
        # positive angles turn the row axis towards the column axis
        np.testing.assert_allclose(place, [5 * np.cos(angle), 5 * np.sin(angle)], atol=0.05)
        back = rotate_images(there, torch.tensor([-angle]))
        assert np.abs(back.numpy() - blob).max() < 0.05


def test_blur_is_a_gaussian_of_each_image():
    import torch
    from scipy.ndimage import gaussian_filter

    from astroml_kit.models._augmentation import blur_images

    images = np.random.default_rng(3).random((3, 2, 20, 17)).astype(np.float32)
    sigma = torch.tensor([0.0, 0.7, 1.6])
    seen = blur_images(to_tensor(images), sigma).numpy()
    np.testing.assert_array_equal(seen[0], images[0])
    for row in (1, 2):
        for band in range(2):
            expected = gaussian_filter(
                images[row, band].astype(float), float(sigma[row]), mode="nearest",
                radius=7,
            )  # fmt: skip
            np.testing.assert_allclose(seen[row, band], expected, atol=2e-6)
    alone = blur_images(to_tensor(images[1:2]), sigma[1:2]).numpy()
    np.testing.assert_allclose(alone[0], seen[1], atol=1e-4)
    dot = np.zeros((1, 1, 21, 21), dtype=np.float32)
    dot[0, 0, 10, 10] = 1
    assert blur_images(to_tensor(dot), torch.tensor([1.5])).sum() == pytest.approx(1, abs=1e-5)


def test_blur_draws_a_width_for_each_image():
    import torch

    from astroml_kit.models._augmentation import Augmenter

    dots = np.zeros((200, 1, 100, 100), dtype=np.float32)
    dots[:, 0, 50, 50] = 1
    torch.manual_seed(0)
    seen = Augmenter(("blur",), strength=2.0)(to_tensor(dots)).numpy()
    axis = np.arange(100) - 50.0
    spread = np.sqrt((seen[:, 0].sum(axis=1) * axis**2).sum(axis=1))
    assert spread.max() < 3.01  # 2 x 0.015 x 100
    assert np.percentile(spread, 50) == pytest.approx(1.5, abs=0.3)
    assert (seen.reshape(200, -1).argmax(axis=1) == 50 * 100 + 50).all()


def test_shifts_keep_the_flux_and_whole_pixels_are_exact():
    import torch

    from astroml_kit.models._augmentation import shift_images

    rng = np.random.default_rng(9)
    images = np.zeros((40, 1, 24, 24), dtype=np.float32)
    images[:, 0, 8:16, 8:16] = rng.random((40, 8, 8))
    pixels = rng.uniform(-6, 6, (40, 2))
    moved = shift_images(to_tensor(images), torch.tensor(pixels)).numpy()
    np.testing.assert_allclose(moved.sum(axis=(1, 2, 3)), images.sum(axis=(1, 2, 3)), rtol=1e-5)
    rows, columns = np.mgrid[:24, :24]
    for k, axis in enumerate((rows, columns)):
        before, after = ((part * axis).sum(axis=(1, 2, 3)) / part.sum(axis=(1, 2, 3))
                         for part in (images, moved))  # fmt: skip
        np.testing.assert_allclose(after - before, pixels[:, k], atol=1e-4)
    whole = shift_images(to_tensor(images), torch.tensor([[3.0, -2.0]] * 40)).numpy()
    np.testing.assert_allclose(whole, np.roll(images, (3, -2), (2, 3)), atol=1e-5)
    still = shift_images(to_tensor(images), torch.zeros(40, 2))
    np.testing.assert_array_equal(still, images)


def test_each_kind_changes_what_it_says():
    import torch

    from astroml_kit.models._augmentation import Augmenter

    images = to_tensor(np.random.default_rng(10).normal(size=(200, 1, 12, 12)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        turned = Augmenter(("rotate90",))(images)
        turns = torch.stack([torch.rot90(images, k, (2, 3)) for k in range(4)])
        which = (turns == turned).all(dim=(2, 3, 4))
        assert (which.sum(dim=0) == 1).all()
        assert (which.sum(dim=1) > 30).all()
        factor = Augmenter(("stretch",))(images) / images
        spread = factor.amax(dim=(1, 2, 3)) - factor.amin(dim=(1, 2, 3))
        assert float(spread.max()) < 1e-4
        assert 0.8 < float(factor.min()) < 0.85 < 1.15 < float(factor.max()) < 1.25
        noise = (Augmenter(("noise",), strength=2)(images) - images).std(dim=(1, 2, 3))
        assert 0.15 < float(noise.max()) < 0.25
        assert float(noise.min()) < 0.02
        oblong = images[..., :6]
        halves = Augmenter(("rotate90",))(oblong)
        assert halves.shape == oblong.shape
        assert torch.equal(Augmenter(("shift",), strength=0)(images), images)
        kept = images.clone()
        Augmenter(("rotate", "shift", "flip", "stretch", "noise", "rotate90"))(images)
        assert torch.equal(images, kept)


def draw_spirals(rng, n, side=20):
    """Two arms that wind clockwise (0) or counterclockwise (1), at any angle."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    radius, angle = np.hypot(rows, columns), np.arctan2(rows, columns)
    y = np.arange(n) % 2
    sense = np.where(y == 1, 1, -1)[:, None, None]
    phase = rng.uniform(0, 2 * np.pi, n)[:, None, None]
    arms = np.cos(2 * (angle - sense * 0.35 * radius) + phase) ** 2 * np.exp(-radius / 5)
    return (arms + 0.05 * rng.normal(size=arms.shape)).astype(np.float32), y


def test_parity_is_kept_unless_flips_are_asked_for():
    """Which way spirals wind is learned through turns and shifts, and lost through flips."""
    rng = np.random.default_rng(11)
    train, test = draw_spirals(rng, 400), draw_spirals(rng, 200)
    options = {"channels": (16, 32), "max_epochs": 12, "learning_rate": 0.01, "batch_size": 50,
               "random_state": 1}  # fmt: skip
    kinds = ("rotate", "shift", "stretch", "noise")
    kept = ImageClassifier(augment=kinds, **options).fit(*train)
    assert kept.score(*test) > 0.9
    mirrored = test[0][:, :, ::-1]
    assert (kept.predict(mirrored) != kept.predict(test[0])).mean() > 0.8
    lost = ImageClassifier(augment=(*kinds, "flip"), **options).fit(*train)
    assert lost.score(*test) < 0.65
