"""Stamps through a model in a stream: bounded, in order, resumed to the bit after a kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable
from sklearn.decomposition import PCA

from astroml_kit.images import Stamps, map_stamps
from astroml_kit.models import ImageClassifier, ImageEmbedder, load_model, save_model

SIDE = 8
X = np.random.default_rng(1).normal(size=(50, SIDE, SIDE)).astype(np.float32)
Y = np.array(["spiral", "smooth", "edge-on"])[np.arange(50) % 3]
QUICK = {"channels": (2,), "max_epochs": 1, "random_state": 1}


@pytest.fixture(scope="module")
def model():
    return ImageClassifier(**QUICK).fit(X, Y)


def iter_arrays(sizes=(20, 7, 23)):
    start = 0
    for size in sizes:
        yield X[start : start + size]
        start += size


def test_a_stream_gives_what_the_model_says_of_all(model, tmp_path):
    import pyarrow.dataset

    mapped = map_stamps(iter_arrays(), model=model, output=tmp_path, batch_size=10)
    assert (len(mapped), mapped.n_parts, mapped.method) == (50, 6, "predict_proba")
    table = mapped.read()
    assert table.colnames == ["id", "n_filled", "p_edge-on", "p_smooth", "p_spiral"]
    assert table["id"].tolist() == list(range(50))
    p = np.column_stack([table[f"p_{label}"] for label in model.classes_])
    np.testing.assert_allclose(p, model.predict_proba(X), atol=1e-6)
    assert [len(part) for part in mapped] == [10, 10, 7, 10, 10, 3]
    assert pyarrow.dataset.dataset(tmp_path).count_rows() == 50
    assert str(mapped).startswith("predict_proba of 50 stamps in 6 parts (0 of an earlier run)")
    assert mapped.to_dict()["n_stamps"] == 50


def test_masked_pixels_are_filled_and_counted(model, tmp_path):
    images = X[:, None].copy()
    images[3, 0, 2:4, 2] = np.nan
    names = np.array([f"J{k:03}" for k in range(50)])
    stamps = Stamps(images, table=QTable({"id": names}))
    mapped = map_stamps(stamps, model=model, output=tmp_path, method="predict", fill=0.5)
    table = mapped.read()
    assert table["id"].tolist() == names.tolist()
    assert mapped.n_filled == 2
    assert table["n_filled"].tolist() == [2 * (k == 3) for k in range(50)]
    filled = np.where(np.isnan(images), np.float32(0.5), images)
    assert table["value"].tolist() == model.predict(filled).tolist()


def test_files_embeddings_and_other_models(tmp_path):
    np.savez(tmp_path / "stamps.npz", images=X[:, None])
    embedder = ImageEmbedder(**QUICK).fit(X)
    mapped = map_stamps(
        tmp_path / "stamps.npz", model=embedder, output=tmp_path / "a", batch_size=16
    )
    assert mapped.method == "transform"
    np.testing.assert_allclose(mapped.read()["value"], embedder.transform(X), atol=1e-6)
    assert next(iter(mapped))["value"].dtype == np.float32
    flat = Flattened(n_components=3, random_state=1).fit(X)
    mapped = map_stamps(X, model=flat, output=tmp_path / "b")
    np.testing.assert_array_equal(mapped.read()["value"], flat.transform(X))


class Flattened(PCA):
    """A model of somebody else."""

    def fit(self, X, y=None):
        return super().fit(X.reshape(len(X), -1))

    def transform(self, X):
        return super().transform(X.reshape(len(X), -1))


KILLED = """
import os, signal, sys
import numpy as np
from astroml_kit.images import map_stamps
from astroml_kit.models import load_model
X = np.random.default_rng(1).normal(size=(50, 8, 8)).astype(np.float32)
def stream():
    yield X[:20]
    yield X[20:27]
    os.kill(os.getpid(), signal.SIGKILL)
map_stamps(stream(), model=load_model(sys.argv[1]), output=sys.argv[2])
"""


def test_a_killed_run_goes_on_to_the_bit(model, tmp_path):
    save_model(model, tmp_path / "m")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", KILLED, tmp_path / "m", tmp_path / "cut"],
        capture_output=True, check=False, env=os.environ | {"PYTHONPATH": str(root)},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(list((tmp_path / "cut").glob("part-*"))) == 2
    again = load_model(tmp_path / "m")
    assert map_stamps(iter_arrays(), model=again, output=tmp_path / "cut").n_resumed == 2
    assert map_stamps(iter_arrays(), model=model, output=tmp_path / "whole").n_resumed == 0
    files = sorted((tmp_path / "whole").glob("part-*"))
    assert len(files) == 3
    for file in files:
        assert (tmp_path / "cut" / file.name).read_bytes() == file.read_bytes()


def test_parts_that_do_not_belong_are_refused(model, tmp_path):
    options = {"model": model, "output": tmp_path, "batch_size": 20}
    map_stamps(X, **options)
    again = map_stamps(X, **options)
    assert again.n_resumed == 3
    other = X.copy()
    other[30, 2, 2] += 0.01
    with pytest.raises(ValueError, match=r"part-000001.*got a part of other stamps"):
        map_stamps(other, **options)
    with pytest.raises(ValueError, match=r"hold 2 parts of these stamps, got .*part-000002"):
        map_stamps(X[:40], **options)
    trained = ImageClassifier(**QUICK | {"random_state": 2}).fit(X, Y)
    for change, word in (
        ({"model": trained}, "another model"),
        ({"batch_size": 10}, "another batch size"),
        ({"fill": 1.0, "method": "predict"}, "another method and another fill"),
    ):
        with pytest.raises(ValueError, match=f"made with {word}"):
            map_stamps(X, **options | change)
    file = tmp_path / "part-000001.parquet"
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 3] ^= 1
    for damaged in (bytes(whole), bytes(whole[:-9]), b""):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"part-000001\.parquet must be a whole Parquet file"):
            map_stamps(X, **options)
    file.unlink()
    assert map_stamps(X, **options).n_resumed == 2
    foreign = tmp_path / "foreign"
    map_stamps(X, **options | {"model": trained, "output": foreign})
    file.write_bytes((foreign / file.name).read_bytes())
    with pytest.raises(ValueError, match="got a part of another run"):
        map_stamps(X, **options)
    assert map_stamps(X, **options, resume=False).n_resumed == 0


def test_mistakes_are_named(model, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    bad = X.copy()
    bad[25] = np.nan
    cases = (
        (X, {"output": tmp_path}, "output must be a new or empty folder"),
        (X, {"output": tmp_path / "notes.txt"}, "output must be a folder, got the file"),
        (X, {"method": "transform"}, "model must have a method 'transform', got ImageClassifier"),
        (X, {"model": 7}, "model must have a method 'auto', got int with"),
        (X, {"labels": "x.csv"}, r"options must be none unless for a path, got \['labels'\]"),
        ([X[0]], {}, "stamps must be Stamps or arrays of shape"),
        (bad, {"batch_size": 20}, "batch that begins with stamp 20: X must be finite"),
    )
    for number, (stamps, options, message) in enumerate(cases):
        given = {"model": model, "output": tmp_path / str(number)} | options
        with pytest.raises(ValueError, match=message):
            map_stamps(stamps, **given)
