"""Autoencoders keep scikit-learn's contract, and what is known of them exactly comes out."""

import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from astroml_kit.models import (
    Autoencoder,
    ModelFileError,
    VariationalAutoencoder,
    load_model,
    save_model,
)
from astroml_kit.samples import Samples

QUICK = {"hidden_layers": (8,), "max_epochs": 5, "batch_size": 64, "random_state": 1}
FAILURES = {
    "VariationalAutoencoder": {
        "check_sample_weight_equivalence_on_dense_data": (
            "every row draws its own latent noise: a weight of 2 is not two rows"
        ),
    },
}


@parametrize_with_checks(
    [
        Autoencoder(1, **QUICK),
        Autoencoder(1, space="components", **QUICK),
        VariationalAutoencoder(1, **QUICK),
    ],
    expected_failed_checks=lambda estimator: FAILURES.get(type(estimator).__name__, {}),
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def draw_rows(rng, n=400, n_columns=5):
    """Rows near a plane, in different units."""
    X = rng.normal(size=(n, 2)) @ rng.normal(size=(2, n_columns))
    return (X + 0.2 * rng.normal(size=X.shape)) * 10.0 ** np.arange(n_columns) + 7


def draw_images(rng, n=200, shape=(9, 11)):
    """One blob per image, of odd size: nothing halves evenly."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    place = rng.uniform(2, 7, (n, 2, 1, 1))
    blob = 30 * np.exp(-((y - place[:, 0]) ** 2 + (x - place[:, 1]) ** 2) / 3)
    return blob + rng.normal(size=blob.shape)


def standardise(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


def test_without_activation_it_is_pca():
    X = draw_rows(np.random.default_rng(1))
    Z = standardise(X)
    for k in (1, 2):
        pca = PCA(k).fit(Z)
        best = np.mean((Z - pca.inverse_transform(pca.transform(Z))) ** 2)
        model = Autoencoder(k, hidden_layers=(), learning_rate=0.02, batch_size=50, random_state=1)
        model.set_params(max_epochs=60)
        error = -model.fit(X).score(X)
        assert best * 0.999 < error < best * 1.05
        latent = model.transform(X)
        # The latent numbers span the principal subspace, whatever their axes are.
        fitted = np.linalg.lstsq(latent - latent.mean(axis=0), pca.transform(Z), rcond=None)
        if k == 2:
            assert fitted[1].sum() < 0.02 * pca.transform(Z).var() * len(X) * k


def repeat_by_components(X, held, n):
    pca = PCA(n).fit(X.reshape(len(X), -1))
    return pca.inverse_transform(pca.transform(held.reshape(len(held), -1))).reshape(held.shape)


def test_between_components_it_begins_where_they_end():
    X = draw_images(np.random.default_rng(5))
    model = Autoencoder(
        4, space="components", stretch="none", learning_rate=1e-12, max_epochs=1,
        early_stopping=False, random_state=1,
    )  # fmt: skip
    done = model.fit(X).reconstruct(X)
    np.testing.assert_allclose(done, repeat_by_components(X, X, 4), atol=2e-3)


def test_between_components_it_repeats_unseen_images_better_than_they_do(tmp_path):
    X = draw_images(np.random.default_rng(6), n=600)
    held = draw_images(np.random.default_rng(7))
    model = Autoencoder(
        4, space="components", stretch="none", activation="silu", n_components=60,
        learning_rate=3e-3, max_epochs=30, random_state=1,
    ).fit(X)  # fmt: skip
    done = model.reconstruct(held)
    error = np.sqrt(np.mean((done - held) ** 2))
    assert error < 0.8 * np.sqrt(np.mean((repeat_by_components(X, held, 4) - held) ** 2))
    again = load_model(save_model(model, tmp_path / "one.model"))
    np.testing.assert_array_equal(again.reconstruct(held), done)


def test_between_components_where_there_are_fewer_than_asked_for():
    X = draw_images(np.random.default_rng(8), n=40)
    model = Autoencoder(5, space="components", max_epochs=2, random_state=1).fit(X)
    assert model.transform(X).shape == (40, 5)
    assert np.isfinite(model.score_samples(X)).all()


def test_a_curve_needs_one_number_only_when_bent():
    rng = np.random.default_rng(2)
    angle = rng.uniform(0, 4, 500)
    X = np.column_stack([np.cos(angle), np.sin(angle)]) + 0.02 * rng.normal(size=(500, 2))
    options = {"activation": "tanh", "learning_rate": 0.02, "max_epochs": 120, "random_state": 1}
    bent = Autoencoder(1, hidden_layers=(24,), **options).fit(X)
    straight = Autoencoder(1, hidden_layers=(), **options).fit(X)
    assert -bent.score(X) < 0.3 * -straight.score(X)
    odd = bent.score_samples([[0.3, 0.2]])
    assert odd[0] < np.quantile(bent.score_samples(X), 0.01)


def test_scores_are_reconstruction_errors():
    X = draw_rows(np.random.default_rng(3))
    model = Autoencoder(2, **QUICK).fit(X)
    again = model.reconstruct(X)
    assert again.shape == X.shape
    expected = -np.mean(((X - again) / X.std(axis=0)) ** 2, axis=1)
    np.testing.assert_allclose(model.score_samples(X), expected, rtol=1e-9)
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), again)
    assert model.score(X) == pytest.approx(expected.mean())


def test_normal_rows_are_reconstructed_better_than_shuffled_ones():
    rng = np.random.default_rng(4)
    X = draw_rows(rng, n=600)
    odd = np.column_stack([rng.permutation(column) for column in X.T])  # each value is usual
    for model in (
        Autoencoder(2, hidden_layers=(), learning_rate=0.02, max_epochs=40, random_state=1),
        VariationalAutoencoder(2, hidden_layers=(), learning_rate=0.03, batch_size=32,
                               max_epochs=30, random_state=1),
    ):  # fmt: skip
        model.fit(X[:400])
        assert np.median(model.score_samples(odd)) < np.quantile(model.score_samples(X[400:]), 0.05)


# The variational one


@pytest.fixture(scope="module")
def gaussian():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(800, 1)) @ [[1.0, 2.0, -1.0]] * 10 + 5 * rng.normal(size=(800, 3)) + 40
    model = VariationalAutoencoder(
        1, hidden_layers=(), learning_rate=0.03, batch_size=32, max_epochs=50, random_state=1
    )
    return X, model.fit(X)


def test_samples_have_the_moments_of_a_gaussian(gaussian):
    X, model = gaussian
    drawn = model.sample(40_000, random_state=1)
    scale = X.std(axis=0)
    np.testing.assert_allclose((drawn.mean(axis=0) - X.mean(axis=0)) / scale, 0, atol=0.08)
    np.testing.assert_allclose(
        np.cov(drawn.T) / np.outer(scale, scale), np.corrcoef(X.T), atol=0.12
    )
    smooth = model.sample(1000, noise=False, random_state=1)
    assert np.linalg.matrix_rank(smooth - smooth.mean(axis=0), tol=1e-6 * smooth.std() * 30) == 1


def test_the_bound_is_below_the_likelihood_and_near_it(gaussian):
    X, model = gaussian
    Z = standardise(X)
    best = multivariate_normal(Z.mean(axis=0), np.cov(Z.T)).logpdf(Z).mean()
    assert best - 0.1 < model.score(X) < best + 1e-3
    loss = np.asarray(model.history_["train_loss"])[-5:].mean()
    assert -loss == pytest.approx(model.score(X), abs=0.15)


def test_the_bound_of_a_linear_model_is_exact(gaussian):
    """Against the formula of the linear model: expectation of the misfit, minus divergence."""
    X, model = gaussian
    rows = standardise(X)[:50]
    parts = {name: p.detach().numpy() for name, p in model.module_.named_parameters()}
    coded = rows @ parts["encoder.0.weight"].T + parts["encoder.0.bias"]
    mean, log_variance = coded[:, :1], coded[:, 1:]
    decode, bias, noise = parts["decoder.0.weight"], parts["decoder.0.bias"], parts["noise_bias"]
    misfit = (rows - mean @ decode.T - bias) ** 2 + np.exp(log_variance) * decode[:, 0] ** 2
    density = -0.5 * (misfit / np.exp(noise) + noise + np.log(2 * np.pi)).sum(axis=1)
    divergence = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1)[:, 0]
    np.testing.assert_allclose(model.score_samples(X[:50]), density - divergence, rtol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40))
def test_few_draws_have_the_moments_of_many(n_columns):
    from astroml_kit.models._latent_model import draw_balanced

    draws = draw_balanced(32, n_columns)
    assert draws.shape == (32, n_columns)
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.mean(draws**2, axis=0), 1)
    if n_columns <= 16:
        np.testing.assert_allclose(draws.T @ draws / 32, np.eye(n_columns), atol=1e-12)


def test_beta_draws_the_latent_numbers_to_the_prior():
    X = draw_rows(np.random.default_rng(6))
    options = {"hidden_layers": (), "learning_rate": 0.03, "batch_size": 32, "max_epochs": 25}
    spreads = [
        VariationalAutoencoder(2, beta=beta, random_state=1, **options).fit(X).transform(X).std()
        for beta in (0.0, 1.0, 50.0)
    ]
    assert spreads[0] > spreads[1] > 0.5 > 0.25 > spreads[2]


# Images


@pytest.mark.parametrize("with_channels", [False, True])
@pytest.mark.parametrize("kind", [Autoencoder, VariationalAutoencoder])
def test_images(kind, with_channels, tmp_path):
    images = draw_images(np.random.default_rng(7))
    if with_channels:
        images = np.stack([images, 3 * images], axis=1)
    model = kind(
        3, channels=(8, 16), learning_rate=5e-3, batch_size=20, max_epochs=15, random_state=1
    )
    latent = model.fit(images).transform(images)
    assert latent.shape == (200, 3)
    shown = model.reconstruct(images)
    assert shown.shape == images.shape
    spread = np.mean((images - images.mean(axis=0)) ** 2)
    assert np.mean((images - shown) ** 2) < (0.85 if kind is Autoencoder else 1.0) * spread
    assert model.sample(4, random_state=1).shape == (4, *images.shape[1:])
    noise = np.abs(np.random.default_rng(8).normal(size=images[:20].shape)) * 40
    assert model.score_samples(noise).max() < np.median(model.score_samples(images))
    again = load_model(save_model(model, tmp_path / "m.model"))
    np.testing.assert_array_equal(again.transform(images), latent)
    np.testing.assert_array_equal(again.score_samples(images), model.score_samples(images))
    np.testing.assert_array_equal(again.sample(5, random_state=2), model.sample(5, random_state=2))
    with pytest.raises(ValueError, match="X must have images of the shape"):
        model.transform(images[..., :-1])
    with pytest.raises(ValueError, match="must be finite"):
        kind().fit(np.full((3, 8, 8), np.nan))


@pytest.mark.parametrize("stretch", ["asinh", "sqrt", "none"])
def test_stretches_are_undone(stretch):
    from astroml_kit.models._network_inputs import ImageScaler

    images = draw_images(np.random.default_rng(9))[:, None] * 1e3
    scaler = ImageScaler.measure(images, None, stretch=stretch)
    scaled = scaler.transform(images, stretch=stretch)
    assert scaled.std() == pytest.approx(1)
    np.testing.assert_allclose(scaler.restore(scaled, stretch=stretch), images, atol=1e-8)


def test_noise_teaches_to_remove_noise():
    rng = np.random.default_rng(10)
    X = rng.normal(size=(600, 1)) @ np.ones((1, 6))
    options = {"hidden_layers": (16,), "learning_rate": 0.01, "max_epochs": 30, "random_state": 1}
    dirty = X + 0.5 * rng.normal(size=X.shape)
    model = Autoencoder(6, noise=0.5, **options).fit(X)
    plain = Autoencoder(6, **options).fit(X)
    errors = [np.mean((m.reconstruct(dirty) - X) ** 2) for m in (model, plain)]
    assert errors[0] < 0.6 * errors[1]


# The contract beyond scikit-learn's


@pytest.mark.parametrize("kind", [Autoencoder, VariationalAutoencoder])
def test_same_seed_same_model_to_the_bit_and_inputs_left_alone(kind):
    X = draw_rows(np.random.default_rng(11))
    kept = X.copy()
    one, two, other = (kind(2, **QUICK | {"random_state": seed}).fit(X) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.transform(X), two.transform(X))
    np.testing.assert_array_equal(one.score_samples(X), two.score_samples(X))
    np.testing.assert_array_equal(one.sample(3, random_state=5), two.sample(3, random_state=5))
    assert not np.array_equal(one.transform(X), other.transform(X))
    np.testing.assert_array_equal(X, kept)
    assert one.get_feature_names_out().tolist() == [f"{kind.__name__.lower()}{k}" for k in (0, 1)]


@pytest.mark.parametrize("kind", [Autoencoder, VariationalAutoencoder])
def test_tables_come_back_from_files(kind, tmp_path):
    X = draw_rows(np.random.default_rng(12))
    samples = Samples(X, feature_names=tuple("abcde"), groups=np.arange(400) // 4)
    model = kind(2, **QUICK | {"early_stopping": True}).fit(samples)
    assert "valid_loss" in model.history_.colnames
    path = save_model(model, tmp_path / "m.model")
    again = load_model(path)
    for name in ("transform", "score_samples", "reconstruct"):
        np.testing.assert_array_equal(getattr(again, name)(samples), getattr(model, name)(samples))
    assert tuple(again.feature_names_in_) == tuple("abcde")
    with pytest.raises(ValueError, match="the same in another order"):
        again.transform(Samples(X, feature_names=tuple("badce")))
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        load_model(path)


def test_rows_without_weight_change_nothing():
    X = draw_rows(np.random.default_rng(13))
    weight = np.r_[np.ones(300), np.zeros(100)]
    moved = X.copy()
    moved[300:] = 1e9
    for kind in (Autoencoder, VariationalAutoencoder):
        one = kind(2, **QUICK).fit(moved, sample_weight=weight)
        two = kind(2, **QUICK).fit(X[:300])
        np.testing.assert_array_equal(one.transform(X), two.transform(X))


def test_pipelines_grids_and_clones():
    rng = np.random.default_rng(14)
    y = np.arange(200) % 2
    X = draw_rows(rng, n=200) + np.outer(y, [5, 50, 0, 0, 0])
    pipe = make_pipeline(Autoencoder(2, **QUICK), LogisticRegression())
    assert pipe.fit(X, y).score(X, y) > 0.7
    grid = GridSearchCV(VariationalAutoencoder(**QUICK), {"n_latent": [1, 2]}, cv=2).fit(X)
    assert grid.best_params_["n_latent"] in (1, 2)
    assert clone(VariationalAutoencoder(beta=3)).beta == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_latent": 0}, "n_latent must be a whole number from 1 to 512"),
        ({"n_latent": 2.5}, "n_latent must be a whole number"),
        ({"hidden_layers": (0,)}, "hidden_layers must be"),
        ({"channels": ()}, "channels must be"),
        ({"stretch": "log"}, "stretch must be one of"),
        ({"loss": "hinge"}, "loss must be one of"),
        ({"noise": -1}, "noise must be"),
        ({"space": "pixels"}, "space must be one of"),
        (
            {"space": "components", "n_latent": 9, "n_components": 8},
            "n_components must be at least n_latent, 9",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Autoencoder(**options).fit(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="beta must be"):
        VariationalAutoencoder(beta=-1).fit(np.zeros((3, 2)))
    model = Autoencoder(1, **QUICK).fit(np.arange(10.0).reshape(5, 2))
    with pytest.raises(ValueError, match="Z must be an array with 1 columns"):
        model.inverse_transform(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="n_samples must be"):
        model.sample(0)


# Interruptions

CASES = (
    ("Autoencoder", {"noise": 0.1, "dropout": 0.1, "early_stopping": True}),
    ("VariationalAutoencoder", {"schedule": "plateau", "early_stopping": True}),
)
LAUNCHER = """
    import os, signal
    import numpy as np
    import astroml_kit.models as models
    from astroml_kit.models import _checkpoints, _training

    write = _checkpoints.Checkpoint.write
    def write_and_die(self, net, *, recorder, best, seed):
        write(self, net, recorder=recorder, best=best, seed=seed)
        if len(recorder.rows) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    _checkpoints.Checkpoint.write = write_and_die
    X = np.load({data!r})
    for k, (name, options) in enumerate({cases!r}):
        child = os.fork()
        if child == 0:
            getattr(models, name)(2, **options, checkpoint={folder!r} + str(k)).fit(X)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_a_killed_training_goes_on_where_it_was(tmp_path):
    X = draw_rows(np.random.default_rng(15), n=200)
    np.save(tmp_path / "X.npy", X)
    cases = [(name, QUICK | options) for name, options in CASES]
    code = textwrap.dedent(LAUNCHER).format(
        data=str(tmp_path / "X.npy"), cases=cases, folder=str(tmp_path / "run")
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(-signal.SIGKILL)] * 2
    kinds = {"Autoencoder": Autoencoder, "VariationalAutoencoder": VariationalAutoencoder}
    for number, (name, options) in enumerate(cases):
        run = tmp_path / f"run{number}"
        assert len(list(run.iterdir())) == 1
        resumed = kinds[name](2, **options, checkpoint=run).fit(X)
        whole = kinds[name](2, **options).fit(X)
        assert (resumed.history_ == whole.history_).all()
        assert len(whole.history_) == 5
        np.testing.assert_array_equal(resumed.score_samples(X), whole.score_samples(X))
