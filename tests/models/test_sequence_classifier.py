"""The contract of the zoo for series: any length and sampling, only observations count."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from astroml_kit.models import SequenceClassifier

CELLS = ("lstm", "gru", "rnn", "transformer", "conv")
QUICK = {"hidden_size": 8, "n_layers": 2, "max_epochs": 2, "batch_size": 32, "random_state": 1}


def draw_sines(rng, n=120, *, periods=(5.0, 7.0), steps=(12, 24), noise=0.3):
    """Sines of two periods and any phase, irregularly sampled; times are multiples of 2^-10."""
    y = np.arange(n) % 2
    X = []
    for period in np.array(periods)[y]:
        time = np.cumsum(1 + rng.integers(0, 2048, rng.integers(*steps))) / 1024
        flux = np.sin(2 * np.pi * (time / period + rng.uniform())) + noise * rng.normal(
            size=len(time)
        )
        X.append(np.column_stack([time, flux]))
    return X, y


X, Y = draw_sines(np.random.default_rng(1))


def pad(series, *, extra=0):
    longest = max(map(len, series)) + extra
    return np.stack([np.pad(one, ((0, longest - len(one)), (0, 0)), constant_values=np.nan)
                     for one in series])  # fmt: skip


@pytest.fixture(scope="module")
def models():
    return {cell: SequenceClassifier(cell, **QUICK).fit(X, Y) for cell in CELLS}


@pytest.mark.parametrize(("cell", "n_layers"), [("rnn", 1), ("conv", 2)])
def test_two_periods_are_told_apart(cell, n_layers):
    rng = np.random.default_rng(2)
    train, y = draw_sines(rng, 300, steps=(25, 40))
    test, truth = draw_sines(rng, 200, steps=(25, 40))
    model = SequenceClassifier(
        cell, hidden_size=24, n_layers=n_layers, max_epochs=12, learning_rate=0.01, batch_size=32,
        random_state=1,
    ).fit(train, y)  # fmt: skip
    assert roc_auc_score(truth, model.predict_proba(test)[:, 1]) > 0.95

    def describe(series):  # what does not know the order of things
        return np.array([[s[:, 1].mean(), s[:, 1].std(), np.diff(s[:, 0]).mean(), len(s)]
                         for s in series])  # fmt: skip

    blind = LogisticRegression().fit(describe(train), y)
    assert roc_auc_score(truth, blind.predict_proba(describe(test))[:, 1]) < 0.65


@pytest.mark.parametrize("cell", CELLS)
def test_only_what_was_observed_counts(models, cell):
    model = models[cell]
    score = model.decision_function(X)
    assert np.ptp(score) > 1e-3
    later = [one + np.array([2.0**14, 0]) for one in X]
    np.testing.assert_array_equal(model.decision_function(later), score)
    padded = pad(X, extra=9)
    np.testing.assert_array_equal(model.decision_function(padded), score)
    gaps = np.insert(padded, 3, np.nan, axis=1)
    np.testing.assert_array_equal(model.decision_function(gaps), score)
    order = np.random.default_rng(3).permutation(len(X))
    shuffled = model.decision_function([X[k] for k in order])
    np.testing.assert_allclose(shuffled, score[order], rtol=1e-4, atol=1e-5)
    alone = np.concatenate([model.decision_function([X[k]]) for k in range(0, 120, 13)])
    np.testing.assert_allclose(alone, score[::13], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_training_sees_intervals_only(cell, models):
    later = [one + np.array([float(2**14 + 2**12 * k), 0]) for k, one in enumerate(X)]
    model = SequenceClassifier(cell, **QUICK).fit(pad(later, extra=4), Y)
    np.testing.assert_array_equal(model.decision_function(X), models[cell].decision_function(X))


def test_absolute_time_only_when_asked():
    model = SequenceClassifier("gru", absolute_time=True, **QUICK).fit(X, Y)
    later = [one + np.array([512.0, 0]) for one in X]
    assert not np.allclose(model.decision_function(later), model.decision_function(X), atol=1e-3)


@pytest.mark.parametrize(("cell", "both"), [("lstm", True), ("gru", False), ("rnn", True)])
def test_states_are_those_of_packed_sequences(cell, both):
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    from astroml_kit.models._sequence_networks import RECURRENT, RecurrentEncoder

    torch_state = torch.get_rng_state()
    ours = RecurrentEncoder(3, 5, cell=cell, n_layers=1, dropout=0, both=both)
    peer = RECURRENT[cell](3, 5, batch_first=True, bidirectional=both)
    weights = dict(ours.forth[0].named_parameters())
    if both:
        weights |= {f"{k}_reverse": v for k, v in ours.back[0].named_parameters()}
    peer.load_state_dict(weights)
    length = torch.tensor([7, 2, 5])
    inputs = torch.randn(3, 7, 3)
    seen = torch.arange(7) < length[:, None]
    packed = pack_padded_sequence(inputs, length, batch_first=True, enforce_sorted=False)
    wanted, _ = pad_packed_sequence(peer(packed)[0], batch_first=True)
    states = ours(inputs, seen, inputs[..., 0])
    np.testing.assert_allclose(
        (states * seen[..., None]).detach(), wanted.detach(), rtol=1e-5, atol=1e-6
    )
    torch.set_rng_state(torch_state)


@pytest.mark.parametrize("cell", ["lstm", "conv", "transformer"])
def test_one_way_looks_back_only(cell):
    """With the last step pooled, a cell that looks one way cannot tell the end from a middle."""
    import torch

    model = SequenceClassifier(cell, bidirectional=False, pooling="last", **QUICK).fit(X, Y)
    inputs = torch.tensor(model._transform_inputs(pad(X[:4])), dtype=torch.float32)
    seen = inputs[..., 0] > 0
    changed = inputs.clone()
    changed[:, 8:, 2:] += 1
    with torch.no_grad():
        one, two = (model.module_.encoder(x[..., 2:], seen, x[..., 1]) for x in (inputs, changed))
    np.testing.assert_allclose(two[:, :8], one[:, :8], atol=1e-6)
    assert not np.allclose(two[:, 8], one[:, 8], atol=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "last"])
@pytest.mark.parametrize("cell", ["lstm", "conv"])
def test_other_poolings(cell, pooling):
    model = SequenceClassifier(cell, pooling=pooling, **QUICK).fit(X, Y)
    score = model.decision_function(X)
    np.testing.assert_array_equal(model.decision_function(pad(X, extra=3)), score)
    with pytest.raises(ValueError, match="pooling must be 'attention' for weights per step"):
        model.predict_attention(X)


@pytest.mark.parametrize("cell", CELLS)
def test_attention_adds_up_to_one(models, cell):
    weights = models[cell].predict_attention(X)
    assert [len(w) for w in weights] == [len(one) for one in X]
    for w in weights:
        assert w.sum() == pytest.approx(1, abs=1e-5)
        assert (w >= 0).all()
    alone = models[cell].predict_attention(X[:1])
    np.testing.assert_allclose(alone[0], weights[0], atol=1e-5)


def test_attention_finds_the_flare():
    rng = np.random.default_rng(4)
    series, flare = [], []
    y = np.arange(200) % 2
    for label in y:
        time = np.cumsum(rng.gamma(4, 0.25, 30))
        flux = 0.3 * rng.normal(size=30)
        start = rng.integers(5, 22)
        flux[start : start + 3] += 3 * label
        flare.append(slice(start, start + 3))
        series.append(np.column_stack([time, flux]))
    model = SequenceClassifier("conv", **QUICK | {"max_epochs": 10, "learning_rate": 0.02})
    model.fit(series, y)
    share = [w[f].sum() for w, f in zip(model.predict_attention(series), flare, strict=True)]
    assert np.mean(np.array(share)[y == 1]) > 3 * 3 / 30  # three times an even share


def test_transformer_rollout_with_any_pooling():
    model = SequenceClassifier("transformer", pooling="mean", **QUICK).fit(X, Y)
    for w in model.predict_attention(X):
        assert w.sum() == pytest.approx(1, abs=1e-5)


def test_bands_and_errors():
    rng = np.random.default_rng(5)
    y = np.arange(160) % 2
    series = []
    for label in y:  # classes differ in colour only: the sign of band 2 minus band 7
        n = rng.integers(10, 20)
        time = np.repeat(np.cumsum(rng.gamma(2, 0.5, n)), 2)
        band = np.tile([2, 7], n)
        flux = (
            rng.normal() + np.where(band == 2, 1, -1) * (label - 0.5) + 0.3 * rng.normal(size=2 * n)
        )
        error = rng.uniform(0.2, 0.4, 2 * n)
        series.append(np.column_stack([flux, time, band, error]))
    options = QUICK | {"max_epochs": 12, "learning_rate": 0.02}
    columns = {"time_column": 1, "band_column": 2, "error_columns": (3,), "normalise": "sample"}
    model = SequenceClassifier("gru", **options, **columns).fit(series[:120], y[:120])
    assert model.band_labels_.tolist() == [2, 7]
    assert model.score(series[120:], y[120:]) > 0.9
    fainter = [one + np.array([50.0, 0, 0, 0]) for one in series]
    np.testing.assert_allclose(
        model.decision_function(fainter), model.decision_function(series), atol=1e-4
    )
    strange = [one.copy() for one in series[:3]]
    strange[1][0, 2] = 3
    with pytest.raises(ValueError, match=r"bands of the training data, \[2.0, 7.0\], got \[3.0\]"):
        model.predict(strange)
    strange[1][0, 2] = 2.5
    with pytest.raises(ValueError, match=r"whole numbers for bands, got 2\.5"):
        model.predict(strange)
    strange[1][0, 2:] = 2, 0
    with pytest.raises(ValueError, match="errors > 0, got others, first in series 1"):
        model.predict(strange)


@pytest.mark.parametrize("normalise", ["training", "sample"])
def test_units_do_not_matter(normalise):
    options = QUICK | {"normalise": normalise}
    plain = SequenceClassifier("gru", **options).fit(X, Y).decision_function(X)
    other = [one * np.array([2.0**16, 2.0**-40]) for one in X]
    scaled = SequenceClassifier("gru", **options).fit(other, Y).decision_function(other)
    np.testing.assert_allclose(scaled, plain, rtol=1e-3, atol=1e-4)


def test_steps_without_a_time():
    values = [one[:, 1:] for one in X]
    model = SequenceClassifier("lstm", time_column=None, **QUICK).fit(values, Y)
    even = [np.column_stack([np.arange(len(one)), one]) for one in values]
    timed = SequenceClassifier("lstm", **QUICK).fit(even, Y)
    np.testing.assert_array_equal(model.decision_function(values), timed.decision_function(even))
