"""Model files bring a model back to the bit, and nothing else: damage and malice are refused."""

import hashlib
import io
import json
import pickle
import zipfile
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.models import (
    BandedClassifier,
    BDTClassifier,
    BDTRegressor,
    ImageClassifier,
    ModelFileError,
    NeuralClassifier,
    NeuralRegressor,
    list_models,
    load_model,
    save_model,
)
from astroml_kit.models._archive import COMMENT, COMMENT_LENGTH, pack_members
from astroml_kit.models._entries import CLASSES
from astroml_kit.samples import Samples

QUICK = {"n_estimators": 6, "learning_rate": 0.2, "min_samples_leaf": 5, "random_state": 1}


SMALL = {"hidden_layers": (5, 3), "max_epochs": 2, "random_state": 1}


@cache
def make_samples():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 3))
    X[::9, 1] = np.nan
    y = (X[:, 0] + rng.normal(size=300) > 0).astype(int)
    return Samples(X, y=y, groups=np.arange(300) // 2, feature_names=("width", "length", "energy"))


@cache
def make_models():
    samples = make_samples()
    X, y = samples.X, samples.y
    bands = {"band_columns": ("energy",), "band_edges": ([-9, 0, 9],), "min_count": 10}
    return {
        "classifier": BDTClassifier(**QUICK).fit(samples),
        "bags": BDTClassifier(**QUICK, n_bags=3, linear_leaves=True).fit(samples),
        "text labels": BDTClassifier(**QUICK).fit(X, np.array(["h", "g"])[y]),
        "object labels": BDTClassifier(**QUICK).fit(X, np.array(["h", "g"], dtype=object)[y]),
        "three classes": BDTClassifier(**QUICK).fit(X, np.arange(300) % 3),
        "booleans": BDTClassifier(**QUICK).fit(X, y.astype(bool)),
        "regressor": BDTRegressor(**QUICK).fit(X, X[:, 0]),
        "linear regressor": BDTRegressor(**QUICK, linear_leaves=True).fit(X, X[:, 0]),
        "bands": BandedClassifier(BDTClassifier(**QUICK), **bands).fit(samples),
        "default bands": BandedClassifier(random_state=1).fit(samples),
        "network": NeuralClassifier(**SMALL, early_stopping=True).fit(samples),
        "standard network": NeuralClassifier(**SMALL, scaling="standard", dropout=0.1).fit(samples),
        "labels": NeuralClassifier(**SMALL).fit(X, np.column_stack([y, 1 - y, y])),
        "weighted network": NeuralClassifier(**SMALL, class_weight={"h": 2.0}).fit(
            X, np.array(["h", "g", "e"])[np.arange(300) % 3]
        ),
        "network regressor": NeuralRegressor(**SMALL).fit(X, samples.X[:, 0]),
        "two targets": NeuralRegressor(**SMALL, uncertainty=True).fit(X, X[:, [0, 2]]),
        "network bands": BandedClassifier(NeuralClassifier(**SMALL), **bands).fit(samples),
        "no split": BDTClassifier(**QUICK, linear_leaves=True).fit(
            np.zeros((20, 1)), np.arange(20) % 2
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(make_models()))
def test_round_trip_to_the_bit(name, tmp_path):
    model = make_models()[name]
    X = np.zeros((4, 1)) if name == "no split" else make_samples().X
    again = load_model(save_model(model, tmp_path / "m.model"))
    assert type(again) is type(model)
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(model, method):
            ours = getattr(model, method)(Samples(X))
            np.testing.assert_array_equal(getattr(again, method)(Samples(X)), ours)
    if hasattr(model, "classes_"):
        assert again.classes_.dtype.kind == model.classes_.dtype.kind
    if name != "default bands":
        assert str(again.get_params()) == str(
            {k: list(map(list, v)) if k == "band_edges" else list(v) if k == "band_columns" else v
             for k, v in model.get_params().items()}
        )  # fmt: skip
    second = save_model(again, tmp_path / "again.model")
    assert load_model(second).n_features_in_ == model.n_features_in_


def test_bands_table_comes_back(tmp_path):
    model = make_models()["bands"]
    again = load_model(save_model(model, tmp_path / "m.model"))
    assert again.bands_.colnames == model.bands_.colnames
    for name in model.bands_.colnames:
        np.testing.assert_array_equal(again.bands_[name], model.bands_[name])


def test_names_metrics_and_fingerprint_are_kept(tmp_path):
    samples = make_samples()
    model = make_models()["classifier"]
    path = save_model(
        model, tmp_path / "m.model", metrics={"auc": np.float64(0.9)}, training=samples
    )
    again = load_model(path)
    assert tuple(again.feature_names_in_) == samples.feature_names
    assert again.model_card_["metrics"] == {"auc": 0.9}
    assert {"python", "numpy", "lightgbm"} <= set(again.model_card_["versions"])
    card = again.model_card_["training"]
    assert card["n_samples"] == 300
    moved = Samples(samples.X + 1e-9, y=samples.y)
    other = load_model(save_model(model, path, training=moved)).model_card_["training"]
    assert len(card["sha256"]) == 64
    assert card["sha256"] != other["sha256"]


def test_same_model_same_bytes(tmp_path):
    model = make_models()["classifier"]
    one, two = (save_model(model, tmp_path / name).read_bytes() for name in "ab")
    assert one == two
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_what_cannot_be_saved_is_refused_and_leaves_nothing(tmp_path):
    model = make_models()["classifier"]
    path = tmp_path / "m.model"
    with pytest.raises(ValueError, match="must be JSON values"):
        save_model(model, path, metrics={"auc": float("nan")})
    with pytest.raises(ValueError, match="must be JSON values"):
        save_model(model, path, metrics={"auc": object()})
    with pytest.raises(ValueError, match="must be fitted"):
        save_model(BDTClassifier(), path)
    with pytest.raises(ValueError, match="must be one of"):
        save_model(object(), path)
    X, y = make_samples().X, make_samples().y
    seeded = BDTClassifier(n_estimators=2, random_state=np.random.RandomState(1)).fit(X, y)
    with pytest.raises(ValueError, match="give an integer"):
        save_model(seeded, path)
    assert not list(tmp_path.iterdir())


# Damage


@cache
def make_bytes(tmp="/tmp"):
    samples = make_samples()
    model = BDTClassifier(**QUICK | {"n_estimators": 2}).fit(samples)
    from astroml_kit.models._entries import describe_model

    entry, weights = describe_model(model)
    card = {
        "format": "astroml_kit model",
        "format_version": 1,
        "model": entry,
        "versions": {},
        "training": {},
        "metrics": {},
    }
    return card, weights


def build(card, weights, *, names=None):
    """A file with right checksums, whatever its contents: what an attacker would write."""
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in weights.items()}
    card = {"sha256": sums} | card
    return pack_members({"model.json": json.dumps(card).encode(), **weights})


def load_bytes(content, folder):
    path = folder / "m.model"
    path.write_bytes(content)
    return load_model(path)


@pytest.fixture
def good():
    card, weights = make_bytes()
    return json.loads(json.dumps(card)), dict(weights)


def test_the_crafted_file_is_good_before_it_is_made_bad(good, tmp_path):
    assert load_bytes(build(*good), tmp_path).predict(make_samples()).shape == (300,)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_flipped_bit_is_noticed(tmp_path_factory, data):
    content = bytearray(build(*make_bytes()))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ModelFileError):
        load_bytes(bytes(content), tmp_path_factory.getbasetemp())


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_cut_is_noticed(tmp_path_factory, data):
    content = build(*make_bytes())
    size = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(ModelFileError):
        load_bytes(content[:size], tmp_path_factory.getbasetemp())


def test_other_files_are_refused(tmp_path):
    for content in (b"", b"PK\x03\x04", b"\x00" * 500, b"tree\nversion=v4\n", pickle.dumps([1])):
        with pytest.raises(ModelFileError, match="another kind of file"):
            load_bytes(content, tmp_path)
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "absent.model")


class Trap:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_is_never_run(good, tmp_path):
    bait = tmp_path / "bait"
    payload = pickle.dumps(Trap(bait))
    card, weights = good
    for content in (
        payload,
        build(card, dict.fromkeys(weights, payload)),
        pack_members({"model.json": payload}),
    ):
        with pytest.raises(ModelFileError):
            load_bytes(content, tmp_path)
    assert not bait.exists()
    pickle.loads(payload).close()
    assert bait.exists()  # the trap works, where something is careless enough


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "/etc/evil.txt", "weights/../../evil.txt", "weights\\evil.txt",
     "weights/evil.py", "weights//a.txt", "weights/./a.txt", "evil"],
)  # fmt: skip
def test_members_stay_where_they_belong(good, tmp_path, name):
    card, weights = good
    with pytest.raises(ModelFileError, match=r"a member must be model.json or weights/\*.txt"):
        load_bytes(build(card, weights | {name: b"evil"}), tmp_path)


def seal(archive_bytes):
    """Put a right checksum on any zip."""
    body = archive_bytes[:-COMMENT_LENGTH]
    return body + COMMENT + hashlib.sha256(body).hexdigest().encode()


def test_zip_bombs_and_twins_are_refused(good, tmp_path):
    card, weights = good
    huge = b"0" * (2**24 + 1)
    with pytest.raises(ModelFileError, match=r"model.json must be at most"):
        load_bytes(pack_members({"model.json": huge}), tmp_path)

    # A member that declares little and holds much.
    content = build(card, weights | {"weights/bomb.txt": b"0" * 10**6})
    lying = content.replace((10**6).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != content
    with pytest.raises(ModelFileError):
        load_bytes(seal(lying), tmp_path)

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.json", json.dumps(card))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("model.json", json.dumps(card))
        archive.comment = COMMENT + b"0" * 64
    with pytest.raises(ModelFileError, match="different names"):
        load_bytes(seal(buffer.getvalue()), tmp_path)


def change(card, path, value):
    *parents, last = path
    for key in parents:
        card = card[key]
    card[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["format"], "other", "must say format"),
        (["format_version"], 2, "install that or a newer one"),
        (["format_version"], "1", "positive integer"),
        (["format_version"], True, "positive integer"),
        (["model", "class"], "os.system", "class must be one of"),
        (["model", "class"], ["BDTClassifier"], "class must be one of"),
        (["model", "class"], "BandedClassifier", "has the parameters"),
        (["model", "class"], "BDTClassifier ", "class must be one of"),
        (["model", "n_features"], 2, "feature_names|take 3 features"),
        (["model", "n_features"], 10**12, "positive integer"),
        (["model", "n_features"], 3.0, "positive integer"),
        (["model", "feature_names"], ["a", "b", 3], "name every feature"),
        (["model", "classes", "kind"], "O", "must be text"),
        (["model", "classes", "kind"], "V100000", "numbers, booleans or text"),
        (["model", "classes", "values"], [0], "two or more different"),
        (["model", "classes", "values"], [0, 0], "two or more different"),
        (["model", "classes", "values"], [0, 1, 2], "give 1 scores per sample, not 3"),
        (["model", "parameters", "evil"], 1, "besides"),
        (["model", "parameters", "n_estimators"], -1, "n_estimators must be"),
        (["model", "parameters", "n_jobs"], 10**9, "n_jobs must be"),
        (["model", "parameters", "random_state"], {"a": 1}, "plain value"),
        (["model", "fitted", "n_iter"], [1, 2], "must match n_iter"),
        (["model", "fitted", "feature_low"], [0.0], "one value per feature"),
        (["model", "fitted"], [], "TypeError"),
        (["model"], None, "TypeError"),
        (["sha256"], {}, "must list every member"),
        (["sha256"], {"weights/bag_000.txt": "0" * 64}, "does not match its sha256"),
        (["metrics"], float("nan"), "finite numbers"),
    ],
)
def test_crafted_entries_are_refused(good, tmp_path, path, value, message):
    card, weights = good
    change(card, path, value)
    with pytest.raises(ModelFileError, match=message):
        load_bytes(build(card, weights), tmp_path)


def test_deep_nesting_is_refused(good, tmp_path):
    deep = b'{"format": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(ModelFileError):
        load_bytes(pack_members({"model.json": deep}), tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("split_feature=", "split_feature=99 ", "are needed"),
        ("num_leaves=", "num_leaves=9", "are needed|out of range"),
        ("num_cat=0", "num_cat=1", "out of range"),
        ("left_child=1 ", "left_child=0 ", "loop"),
        ("decision_type=2", "decision_type=1", "decision types are unknown"),
        ("shrinkage=", "shrinkage=x", "damaged"),
        ("\nshrinkage=0.2", "\nshrinkage=nan", "must be finite"),
        ("max_feature_idx=2", "max_feature_idx=200", "take 201 features"),
        ("objective=binary sigmoid:1", "objective=custom", "one of ours"),
        ("num_class=1", "num_class=2", "must match the objective"),
        ("version=v4", "version=v9", "unknown version"),
        ("Tree=1", "Tree=7", "must come in order"),
        ("end of trees", "end", "end of trees"),
        ("tree\n", "", "must lie between"),
    ],
)
def test_crafted_trees_are_refused_before_lightgbm_sees_them(good, tmp_path, old, new, message):
    card, weights = good
    (name, text), *_ = weights.items()
    assert old.encode() in text
    weights[name] = text.replace(old.encode(), new.encode(), 1)
    with pytest.raises(ModelFileError, match=message):
        load_bytes(build(card, weights), tmp_path)


def test_out_of_range_numbers_in_trees_are_refused(good, tmp_path):
    """Each index of each tree, one at a time, set to what would read outside an array."""
    card, weights = good
    (name, text), *_ = weights.items()
    lines = text.decode().split("\n")
    tried = 0
    for place, line in enumerate(lines):
        key, _, values = line.partition("=")
        if key not in ("split_feature", "left_child", "right_child", "decision_type"):
            continue
        words = values.split()
        for k in range(len(words)):
            for evil in ("1000000", "-1000000", "99999999999999"):
                bad = [*words[:k], evil, *words[k + 1 :]]
                changed = [*lines[:place], f"{key}={' '.join(bad)}", *lines[place + 1 :]]
                content = build(card, weights | {name: "\n".join(changed).encode()})
                with pytest.raises(ModelFileError):
                    load_bytes(content, tmp_path)
                tried += 1
    assert tried > 50


# Weights of networks


@cache
def make_network_bytes(kind):
    from astroml_kit.models._entries import describe_model

    if kind == "image":
        images = np.random.default_rng(2).normal(size=(20, 8, 8)).astype(np.float32)
        model = ImageClassifier(channels=(2, 4), max_epochs=1, random_state=1)
        model.fit(images, np.arange(20) % 2)
    else:
        model = make_models()[kind]
    entry, weights = describe_model(model)
    card = {"format": "astroml_kit model", "format_version": 1, "model": entry}
    return card | {"versions": {}, "training": {}, "metrics": {}}, weights


@pytest.fixture(params=["network", "standard network", "two targets", "image"])
def network(request):
    card, weights = make_network_bytes(request.param)
    return json.loads(json.dumps(card)), dict(weights)


def test_the_crafted_network_is_good_before_it_is_made_bad(network, tmp_path):
    model = load_bytes(build(*network), tmp_path)
    shape = getattr(model, "image_shape_", (3,))
    assert np.isfinite(model.predict(Samples(np.zeros((2, *shape))))).all()


def test_tensors_that_do_not_fit_are_refused(network, tmp_path):
    from astroml_kit.models._tensors import read_tensors, write_tensors

    card, weights = network
    ((name, data),) = weights.items()
    arrays = read_tensors(data)

    def refuse(changed):
        with pytest.raises(ModelFileError):
            load_bytes(build(card, {name: write_tensors(changed)}), tmp_path)

    for key, array in arrays.items():
        refuse({other: value for other, value in arrays.items() if other != key})
        refuse(arrays | {key: array[..., None]})
        refuse(arrays | {key: np.concatenate([array, array])})
        if array.dtype.kind == "f":
            refuse(arrays | {key: np.full_like(array, np.nan)})
            other = np.float32 if array.dtype == np.float64 else np.float64
            refuse(arrays | {key: array.astype(other)})
            refuse(arrays | {key: array.astype(np.float16)})
        if key.endswith("scale"):
            refuse(arrays | {key: -array})
        if key.endswith("knots"):
            refuse(arrays | {key: array[:, ::-1]})
    refuse(arrays | {"module.extra": np.zeros(1)})
    refuse({})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["model", "parameters", "hidden_layers"], [2**16] * 100),
        (["model", "parameters", "hidden_layers"], [2**40]),
        (["model", "parameters", "hidden_layers"], [1] * 10**5),
        (["model", "parameters", "hidden_layers"], [[1]]),
        (["model", "parameters", "hidden_layers"], 7),
        (["model", "parameters", "activation"], "exec"),
        (["model", "parameters", "class_weight"], [[1]]),
        (["model", "parameters", "scaling"], "pickle"),
        (["model", "parameters", "checkpoint"], ["x"]),
        (["model", "parameters", "device"], 3),
        (["model", "fitted", "kind"], "multiclass"),
        (["model", "fitted", "n_outputs"], 10**9),
        (["model", "fitted", "n_outputs"], 0),
        (["model", "fitted", "n_outputs"], True),
        (["model", "fitted", "dtype"], "float16"),
        (["model", "fitted", "history"], {"epoch": [1, 2], "train_loss": [1]}),
        (["model", "fitted", "history"], {"epoch": []}),
        (["model", "fitted", "history"], [1]),
        (["model", "fitted", "best_epoch"], "x"),
        (["model", "n_features"], 2),
        (["model", "classes", "values"], [0, 1, 2]),
        (["model", "class"], "NeuralRegressor"),
        (["model", "class"], "ImageClassifier"),
        (["model", "class"], "BDTClassifier"),
    ],
)
def test_crafted_networks_are_refused(path, value, tmp_path):
    card, weights = make_network_bytes("network")
    card = json.loads(json.dumps(card))
    change(card, path, value)
    with pytest.raises(ModelFileError):
        load_bytes(build(card, weights), tmp_path)


@pytest.mark.parametrize("shape", [[1, 8, 9], [64], [1, 8, -8], [1, 2**40, 8], "1x8", [1.0, 8, 8]])
def test_crafted_image_shapes_are_refused(shape, tmp_path):
    card, weights = make_network_bytes("image")
    card = json.loads(json.dumps(card))
    change(card, ["model", "fitted", "image_shape"], shape)
    with pytest.raises(ModelFileError):
        load_bytes(build(card, weights), tmp_path)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_broken_tensors_are_refused_or_harmless(tmp_path_factory, data):
    """With the checksums put right after the damage, which then is in the tensors themselves."""
    card, weights = make_network_bytes("network")
    ((name, good),) = weights.items()
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(content), 3000) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    content = content[: data.draw(st.sampled_from([len(content), len(content) // 2, 8, 0]))]
    try:
        model = load_bytes(build(card, {name: bytes(content)}), tmp_path_factory.getbasetemp())
    except ModelFileError:
        return
    assert model.predict(make_samples()).shape == (300,)


def test_a_pickle_among_the_tensors_is_never_run(network, tmp_path):
    card, weights = network
    bait = tmp_path / "bait"
    payload = pickle.dumps(Trap(bait))
    with pytest.raises(ModelFileError):
        load_bytes(build(card, dict.fromkeys(weights, payload)), tmp_path)
    assert not bait.exists()


def test_paths_of_this_machine_are_not_saved(tmp_path):
    samples = make_samples()
    model = NeuralClassifier(**SMALL, checkpoint=tmp_path / "secret").fit(samples)
    again = load_model(save_model(model, tmp_path / "m.model"))
    assert again.checkpoint is None
    np.testing.assert_array_equal(again.predict_proba(samples), model.predict_proba(samples))


def test_history_comes_back(tmp_path):
    model = make_models()["network"]
    again = load_model(save_model(model, tmp_path / "m.model"))
    assert again.history_.colnames == model.history_.colnames
    assert (again.history_ == model.history_).all()
    assert again.history_.meta == model.history_.meta
    assert (again.best_epoch_, again.interrupted_) == (model.best_epoch_, False)


def test_list_models_names_what_can_be_saved():
    table = list_models()
    assert set(table["name"]) == set(CLASSES)
    assert table.colnames == ["name", "task", "input", "purpose", "reference"]
