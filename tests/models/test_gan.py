"""The Frechet distance is exact where it is known, and a GAN comes near what it was shown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import parametrize_with_checks

from astroml_kit.models import GAN, frechet_distance, load_model, save_model
from astroml_kit.samples import Samples

QUICK = {"hidden_layers": (8,), "max_epochs": 3, "random_state": 1}


@parametrize_with_checks([GAN(2, **QUICK), GAN(2, loss="hinge", **QUICK)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


# The distance


def draw_exactly(rng, n, mean, covariance):
    """Rows whose own mean and covariance are the given ones, to rounding."""
    rows = rng.normal(size=(n, len(mean)))
    rows -= rows.mean(axis=0)
    rows = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows.T)).T)
    return rows @ np.linalg.cholesky(covariance).T + mean


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_distance_of_two_gaussians_is_the_formula(seed, n_columns):
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(2, n_columns))
    covariances = []
    for _ in range(2):
        root = rng.normal(size=(n_columns, n_columns))
        covariances.append(root @ root.T + 0.1 * np.eye(n_columns))
    sets = [draw_exactly(rng, 50, m, c) for m, c in zip(means, covariances, strict=True)]
    one, two = covariances
    cross = sqrtm(one @ two)  # Dowson & Landau 1982, eq. 4
    expected = np.sum((means[0] - means[1]) ** 2) + np.trace(one + two - 2 * cross.real)
    assert frechet_distance(*sets) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 10), st.floats(-5, 5))
def test_laws_of_the_distance(seed, factor, shift):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(40, 3)), rng.normal(size=(30, 3)) * [1, 2, 3]
    apart = frechet_distance(X, Y)
    close = {"rel": 1e-6, "abs": 1e-9}
    assert frechet_distance(X, X) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(Y, X) == pytest.approx(apart, **close)
    assert frechet_distance(X * factor, Y * factor) == pytest.approx(apart * factor**2, **close)
    assert frechet_distance(X + shift, Y + shift) == pytest.approx(apart, rel=1e-6, abs=1e-6)
    assert frechet_distance(X, X + shift) == pytest.approx(3 * shift**2, **close)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert frechet_distance(X @ turn, Y @ turn) == pytest.approx(apart, **close)
    # In one dimension it is the difference of means and of standard deviations.
    x, y = X[:, :1], Y[:, :1]
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet_distance(x, y) == pytest.approx(expected, **close)


def test_the_distance_takes_embeddings_and_refuses_nonsense():
    rng = np.random.default_rng(1)
    images = rng.normal(size=(30, 4, 4))
    assert frechet_distance(images, images + 1) == pytest.approx(16)
    flat = images.reshape(30, -1)
    pca = PCA(3).fit(flat)
    by_transform = frechet_distance(flat, flat + 1, embedder=pca)
    assert by_transform == pytest.approx(frechet_distance(flat, flat + 1, embedder=pca.transform))
    assert by_transform < 16
    for real, fake, message in (
        (flat, flat[:, :3], "fake must be samples with 16 features"),
        (flat[:1], flat, "real must be two or more samples"),
        (flat, flat[0], "fake must be two or more samples"),
        (np.full((3, 2), np.nan), flat[:, :2], "real must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            frechet_distance(real, fake)


# What is generated

N_MODES = 6
CENTRES = 20 * np.column_stack(
    [
        np.cos(2 * np.pi * np.arange(N_MODES) / N_MODES),
        np.sin(2 * np.pi * np.arange(N_MODES) / N_MODES),
    ]
)


def draw_ring(rng, n=900):
    return CENTRES[rng.integers(0, N_MODES, n)] + rng.normal(size=(n, 2)) + [100, -30]


def count_modes(X):
    """Share of the samples near a mode, and the share of each mode among all."""
    distance = np.linalg.norm((X - [100, -30])[:, None] - CENTRES, axis=2)
    near = distance.min(axis=1) < 5
    counts = np.bincount(distance.argmin(axis=1)[near], minlength=N_MODES)
    return near.mean(), counts / len(X)


@pytest.mark.parametrize("loss", ["wgan-gp", "hinge"])
def test_all_modes_of_a_ring_are_found(loss):
    X = draw_ring(np.random.default_rng(2))
    model = GAN(
        2, loss=loss, learning_rate=3e-3, batch_size=128, max_epochs=150, random_state=1
    ).fit(X)
    near, shares = count_modes(model.sample(3000, random_state=1))
    assert near > 0.6
    assert shares.min() > 0.25 / N_MODES
    distance = np.asarray(model.history_["frechet_distance"])
    assert distance[-1] < 0.05 * distance[0]
    # A normal of the same moments, which the distance cannot tell, has half as many there.
    normal = np.random.default_rng(3).multivariate_normal(X.mean(axis=0), np.cov(X.T), 3000)
    assert near > 1.5 * count_modes(normal)[0]


def draw_blobs(rng, n=400):
    y, x = np.mgrid[:8, :8]
    place = rng.uniform(2, 6, (n, 2, 1, 1))
    return 50 * np.exp(-((y - place[:, 0]) ** 2 + (x - place[:, 1]) ** 2) / 3)


def test_blobs_are_drawn_where_blobs_were(tmp_path):
    images = draw_blobs(np.random.default_rng(4))
    options = {"channels": (16, 32), "learning_rate": 4e-3, "random_state": 1}
    model = GAN(4, max_epochs=30, batch_size=32, **options).fit(images)
    drawn = model.sample(400, random_state=1)
    assert drawn.shape == (400, 8, 8)
    untrained = GAN(4, max_epochs=1, **options | {"learning_rate": 1e-9}).fit(images)
    first = untrained.sample(400, random_state=1)
    held = draw_blobs(np.random.default_rng(5))
    assert frechet_distance(held, drawn) < 0.2 * frechet_distance(held, first)
    assert model.score(held) > 0.2 * untrained.score(held)
    y, x = np.mgrid[:8, :8]
    light = np.maximum(drawn, 0)
    centres = np.column_stack([(light * axis).sum((1, 2)) / light.sum((1, 2)) for axis in (y, x)])
    quarters = np.bincount((centres > 3.7) @ [2, 1], minlength=4) / 400
    assert quarters.min() > 0.1
    again = load_model(save_model(model, tmp_path / "m.model"))
    np.testing.assert_array_equal(again.sample(5, random_state=2), model.sample(5, random_state=2))
    assert again.image_shape_ == (1, 8, 8)
    with pytest.raises(ValueError, match="X must have images of the shape"):
        model.score(images[:, :7])


def test_channels_are_kept():
    images = np.stack([draw_blobs(np.random.default_rng(6), n=30)] * 2, axis=1)
    model = GAN(2, channels=(4,), max_epochs=1, loss="hinge", random_state=1).fit(images)
    assert model.sample(3).shape == (3, 2, 8, 8)


def test_slopes_of_the_critic_are_bounded():
    import torch

    from astroml_kit.models._gan_training import limit_slopes
    from astroml_kit.models._latent_networks import build_encoder

    torch.manual_seed(1)
    options = {"hidden_layers": (16, 16), "channels": (4,), "activation": "leaky_relu"}
    critic = build_encoder(3, None, 1, **options)
    for parameter in critic.parameters():
        parameter.data *= 20
    limit_slopes(critic)
    critic.train()
    with torch.no_grad():
        for _ in range(50):
            critic(torch.zeros(1, 3))
        points = torch.randn(500, 3)
        steps = 0.1 * torch.randn(500, 3)
        rise = (critic(points + steps) - critic(points))[:, 0].abs() / steps.norm(dim=1)
    assert rise.max() < 1.01


def test_the_kept_generator_is_the_mean_over_the_steps():
    import torch

    from astroml_kit.models._gan_training import Players

    players = Players(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    start = players.generator.weight.item()
    assert players.averaged.weight.item() == start
    players.generator.weight.data.fill_(start + 1)
    players.average(0.9)
    assert players.averaged.weight.item() == pytest.approx(start + 0.1)


# The contract beyond scikit-learn's


@pytest.mark.parametrize("options", [{}, {"loss": "hinge", "gradient_penalty": 1.0}])
def test_same_seed_same_model_to_the_bit(options):
    import torch

    X = draw_ring(np.random.default_rng(7), n=150)
    kept, state = X.copy(), torch.get_rng_state()
    one, two, other = (GAN(2, **QUICK | options | {"random_state": k}).fit(X) for k in (1, 1, 2))
    drawn = [model.sample(20, random_state=3) for model in (one, two, other)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert (one.history_ == two.history_).all()
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(X, kept)
    assert clone(one).get_params() == one.get_params()


def test_weights_say_what_to_imitate():
    rng = np.random.default_rng(8)
    X = rng.normal(size=(400, 2)) + np.repeat([[0, 0], [30, 0]], 200, axis=0)
    weight = np.repeat([0.0, 1.0], 200)
    options = QUICK | {"max_epochs": 5}
    one = GAN(2, **options).fit(X, sample_weight=weight)
    two = GAN(2, **options).fit(X[200:])
    np.testing.assert_array_equal(one.sample(9, random_state=1), two.sample(9, random_state=1))
    most = GAN(2, **QUICK | {"max_epochs": 20}).fit(X, sample_weight=weight + 0.02)
    assert np.mean(most.sample(500, random_state=1)[:, 0] > 15) > 0.7


def test_files_and_names(tmp_path):
    samples = Samples(draw_ring(np.random.default_rng(9), n=100), feature_names=("a", "b"))
    model = GAN(2, **QUICK).fit(samples)
    again = load_model(save_model(model, tmp_path / "m.model"))
    np.testing.assert_array_equal(again.sample(9, random_state=1), model.sample(9, random_state=1))
    assert again.score(samples) == model.score(samples)
    assert (again.history_ == model.history_).all()
    assert model.history_.colnames == ["epoch", "critic_loss", "generator_loss", "frechet_distance"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "minimax"}, "loss must be one of"),
        ({"n_latent": 0}, "n_latent must be"),
        ({"spectral_norm": "yes"}, "spectral_norm must be one of"),
        ({"gradient_penalty": -1}, "gradient_penalty must be"),
        ({"n_critic_steps": 0}, "n_critic_steps must be"),
        ({"ema": 1.0}, "ema must be"),
        ({"critic_rate": 0}, "critic_rate must be"),
        ({"learning_rate": 1e30}, "must stay finite"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GAN(**QUICK | options).fit(np.random.default_rng(1).normal(size=(70, 2)))


# Interruptions


def test_a_stopped_training_goes_on_where_it_was(tmp_path, monkeypatch):
    from astroml_kit.models import _checkpoints

    class Killed(BaseException):
        pass

    write = _checkpoints.Checkpoint.write

    def write_and_die(self, net, *, recorder, best, seed):
        write(self, net, recorder=recorder, best=best, seed=seed)
        if len(recorder.rows) == 3:
            raise Killed

    X = draw_ring(np.random.default_rng(10), n=200)
    for number, options in enumerate(({}, {"loss": "hinge", "ema": 0.9})):
        options = QUICK | {"max_epochs": 6} | options
        run = tmp_path / str(number)
        with monkeypatch.context() as patch:
            patch.setattr(_checkpoints.Checkpoint, "write", write_and_die)
            with pytest.raises(Killed):
                GAN(2, **options, checkpoint=run).fit(X)
        (file,) = run.iterdir()
        resumed, whole = GAN(2, **options, checkpoint=run).fit(X), GAN(2, **options).fit(X)
        assert (resumed.history_ == whole.history_).all()
        assert len(whole.history_) == 6
        np.testing.assert_array_equal(
            resumed.sample(50, random_state=1), whole.sample(50, random_state=1)
        )
        assert list(run.iterdir()) == [file]
        file.write_bytes(file.read_bytes()[:-7])
        with pytest.raises(ValueError, match="Delete it to train from the start"):
            GAN(2, **options, checkpoint=run).fit(X)


def test_ctrl_c_keeps_what_was_learned(monkeypatch, capsys):
    from astroml_kit.models._gan_training import GanLoop

    X = draw_ring(np.random.default_rng(11), n=200)
    run, calls = GanLoop.run_epoch, []

    def interrupt(self):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        run(self)

    monkeypatch.setattr(GanLoop, "run_epoch", interrupt)
    options = QUICK | {"max_epochs": 9}
    with pytest.warns(UserWarning, match="interrupted after 2 of 9 epochs"):
        model = GAN(2, **options, progress=True).fit(X)
    assert "/9 [" in capsys.readouterr().err
    assert model.interrupted_
    two = GAN(2, **options | {"max_epochs": 2}).fit(X)
    np.testing.assert_array_equal(model.sample(9, random_state=1), two.sample(9, random_state=1))
    calls[:] = [1, 1]
    with pytest.raises(KeyboardInterrupt):
        GAN(2, **options).fit(X)
