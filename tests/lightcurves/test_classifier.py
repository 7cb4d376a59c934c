"""The classifier of light curves: whole, in chunks, in workers, from a file; what it refuses."""

import json
import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from astroml_kit.lightcurves import (
    LightCurveClassifier,
    LightCurves,
    classifier,
    find_periods,
    map_lightcurves,
    read_lightcurves,
    resample_lightcurves,
    simulate_lightcurves,
)
from astroml_kit.models import (
    BDTClassifier,
    HybridClassifier,
    ModelFileError,
    SequenceClassifier,
    save_model,
)

DATA = os.environ.get("ASTROML_KIT_DATA")
KINDS = ["mira", "rr-ab", "rr-c"]
TREES = {"n_estimators": 20, "learning_rate": 0.2, "min_samples_leaf": 3, "random_state": 1}
NET = SequenceClassifier("conv", hidden_size=8, n_layers=1, time_column=None, max_epochs=3,
                         random_state=1)  # fmt: skip


def make(inputs):
    trees = BDTClassifier(**TREES)
    if inputs == "hybrid":
        members = [("trees", trees), ("network", NET)]
        return LightCurveClassifier(
            HybridClassifier(members, n_splits=2, random_state=1), inputs="hybrid"
        )
    return LightCurveClassifier(trees if inputs == "features" else NET, inputs=inputs)


@pytest.fixture(scope="module")
def known():
    curves = simulate_lightcurves(KINDS, n=10, survey="ztf", random_state=1)
    return curves, find_periods(curves, period_min=0.2)


@pytest.fixture(scope="module")
def unknown():
    curves = simulate_lightcurves(KINDS, n=3, survey="ztf", random_state=2)
    return curves, find_periods(curves, period_min=0.2)


@pytest.fixture(scope="module")
def fitted(known):
    curves, periods = known
    return {
        inputs: make(inputs).fit(curves, label="label", periods=periods)
        for inputs in ("features", "folds", "hybrid")
    }


def check_same(one, two):
    assert one.colnames == two.colnames
    for name in one.colnames:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


@pytest.mark.parametrize("inputs", ["features", "folds", "hybrid"])
def test_what_a_prediction_says(fitted, unknown, inputs):
    curves, periods = unknown
    table = fitted[inputs].predict(curves, periods=periods)
    assert table.colnames == ["name", "class", *(f"p_{kind}" for kind in KINDS), "period",
                              "n_steps"]  # fmt: skip
    assert table["name"].tolist() == curves.names.tolist()
    share = np.column_stack([table[f"p_{kind}"] for kind in KINDS])
    np.testing.assert_allclose(share.sum(axis=1), 1, rtol=1e-6)
    assert table["class"].tolist() == [KINDS[k] for k in share.argmax(axis=1)]
    assert table["n_steps"].tolist() == [int((~curve.mask).sum()) for curve in curves]
    np.testing.assert_array_equal(fitted[inputs].predict_proba(curves, periods=periods), share)
    if inputs == "features":  # a network of three epochs knows little
        assert np.mean(table["class"] == curves.objects["label"]) > 0.7


@pytest.mark.parametrize("inputs", ["features", "hybrid"])
def test_alone_in_chunks_and_in_workers_it_says_the_same(fitted, unknown, inputs):
    curves, _ = unknown
    model = fitted[inputs]
    model = pickle.loads(pickle.dumps(model))
    whole = model.predict(curves[:5])
    chunks = map_lightcurves(model.predict, curves[:5], chunk_size=2)
    assert chunks["class"].tolist() == whole["class"].tolist()
    for kind in KINDS:
        np.testing.assert_allclose(chunks[f"p_{kind}"], whole[f"p_{kind}"], rtol=1e-4, atol=1e-5)
    if inputs == "features":
        for name in whole.colnames:
            np.testing.assert_array_equal(chunks[name], whole[name])


@pytest.mark.parametrize("inputs", ["features", "folds", "hybrid"])
def test_a_file_holds_all_of_it(fitted, unknown, inputs, tmp_path):
    curves, periods = unknown
    model = fitted[inputs]
    path = model.save(tmp_path / "stars.model", metrics={"balanced": 0.9})
    again = LightCurveClassifier.load(path)
    check_same(again.predict(curves, periods=periods), model.predict(curves, periods=periods))
    assert str(again) == str(model)
    assert again.model_.model_card_["metrics"] == {"balanced": 0.9}
    assert again.save(tmp_path / "again.model").stat().st_size > 1000
    assert again.model_.model_card_["training"]["n_samples"] == 30


def test_other_files_are_refused(fitted, tmp_path):
    plain = save_model(fitted["features"].model_, tmp_path / "plain.model")
    with pytest.raises(ModelFileError, match="settings of a classifier of light curves"):
        LightCurveClassifier.load(plain)
    from astroml_kit.models._archive import pack_members

    path = fitted["features"].save(tmp_path / "m.model")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for change in ({"inputs": "os.system"}, {"classes": ["a"]}, {"period_options": 7}):
        card = json.loads(members["model.json"])
        card["training"]["light_curves"] |= change
        path.write_bytes(pack_members(members | {"model.json": json.dumps(card).encode()}))
        with pytest.raises(ModelFileError):
            LightCurveClassifier.load(path)


def test_too_short_is_said_and_keeps_its_row(fitted, unknown):
    curves, periods = unknown
    mask = curves.mask.copy()
    mask[curves.offsets[1] + 5 : curves.offsets[2]] = True
    short = replace(curves, mask=mask)
    name = str(curves.names[1])
    table = fitted["features"].predict(short, periods=periods[np.asarray(periods["name"]) != name])
    assert table.meta["too_short"] == [name]
    assert table["class"][1] == ""
    assert np.isnan(table["p_mira"][1])
    assert np.isnan(table["period"][1])
    assert table["n_steps"][1] == 5
    rest = np.arange(len(curves)) != 1
    check_same(table[rest], fitted["features"].predict(curves, periods=periods)[rest])
    alone = fitted["features"].predict(short[1:2])  # the search finds it too short itself
    assert (alone["class"].tolist(), alone.meta["too_short"]) == ([""], [name])


def test_objects_that_are_too_short_are_left_out_of_training(known):
    curves, periods = known
    first = str(curves.names[0])
    model = make("features").fit(
        curves, label="label", periods=periods[np.asarray(periods["name"]) != first]
    )
    assert model.left_out_ == [first]
    with pytest.raises(ValueError, match="curves must be light curves with a period"):
        make("features").fit(curves[:3], label="label", periods=periods[:0])


def test_units_and_bands_are_those_of_the_training(fitted, unknown):
    curves, periods = unknown
    with pytest.raises(ValueError, match="curves must be in mag, as in training, got Jy"):
        fitted["features"].predict(replace(curves, unit="Jy"))
    with pytest.raises(ValueError, match=r"curves must be in the bands of the training, \['g"):
        fitted["features"].predict(replace(curves, bands=("g", "z")))
    with pytest.raises(ValueError, match="Call fit"):
        make("features").predict(curves)
    # a chunk may have seen one band only: numbers of bands are its own
    red = curves[0].select(curves[0].band == "r")
    one = LightCurves.from_columns(
        name=[red.name] * len(red), time=red.time.mjd, value=red.value.value,
        error=red.error.value, band=red.band, unit="mag", time_format="mjd",
        time_scale=curves.time_scale,
    )  # fmt: skip
    both = replace(one, band=np.ones_like(one.band), bands=("g", "r"))
    check_same(*(fitted["features"].predict(c, periods=periods[:3]) for c in (one, both)))


def test_copies_train_with_their_originals(known):
    curves, _ = known
    copies = resample_lightcurves(curves[::3], rng=1)
    model = make("features").fit(copies, label="label", groups="origin")
    assert model._training["n_groups"] == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [({"inputs": "pixels"}, "inputs must be one of"), ({"label": "kind"}, "lacks the columns")],
)
def test_mistakes_are_named(known, options, message):
    curves, periods = known
    label = options.pop("label", "label")
    with pytest.raises(ValueError, match=message):
        LightCurveClassifier(**options).fit(curves, label=label, periods=periods)


@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="ASTROML_KIT_DATA names no folder with asas-acvs")
def test_real_variables_are_told_apart():
    folder = Path(DATA) / "asas-acvs"
    curves = read_lightcurves(
        folder / "subset7_lightcurves.parquet", unit="mag", time_format="jd", time_scale="utc",
        columns={"time": "time", "mag": "value", "mag_err": "error"},
    )  # fmt: skip
    index = Table.read(folder / "subset7_index.csv", format="ascii.csv")
    index["name"] = np.asarray(index["obj_id"]).astype(str)
    curves = curves.add_columns(index["name", "class_code"])
    kinds = np.asarray(curves.objects["class_code"])
    chosen = [row for kind in ("mira", "rr-ab", "d") for row in np.flatnonzero(kinds == kind)[:18]]
    some = curves.select(np.array(chosen))
    test = np.arange(len(some)) % 3 == 0
    model = make("features").fit(some.select(~test), label="class_code")
    table = model.predict(some.select(test))
    assert np.mean(table["class"] == kinds[chosen][test]) > 0.85


def test_usual_hybrid_has_trees_forest_and_networks(known, monkeypatch):
    monkeypatch.setitem(classifier.NETWORK, "max_epochs", 1)
    curves, periods = known
    model = LightCurveClassifier(inputs="hybrid", random_state=1)
    model.fit(curves, label="label", periods=periods)
    names = [type(one).__name__ for one in model.model_.models_]
    assert names == ["BDTClassifier", "ForestClassifier", "DeepEnsemble"]
    assert set(model.predict(curves, periods=periods)["class"]) == set(KINDS)
