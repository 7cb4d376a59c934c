"""Model cards: what they say, what they warn of, and that they cannot be abused."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from typer.testing import CliRunner

import astroml_kit.models as zoo
from astroml_kit.cli import app
from astroml_kit.evaluation import evaluate_classifier
from astroml_kit.models import (
    BandedClassifier,
    BDTClassifier,
    NeuralClassifier,
    list_models,
    load_model,
    save_model,
)
from astroml_kit.samples import Samples

RNG = np.random.default_rng(1)
X = RNG.normal(size=(400, 2))
Y = (X[:, 0] + 0.5 * RNG.normal(size=400) > 0).astype(int)
SAMPLES = Samples(X, y=Y, groups=np.arange(400) // 2, feature_names=("width", "length"))
TRAIN, TEST = SAMPLES.select(slice(300)), SAMPLES.select(slice(300, None))


@pytest.fixture(scope="module")
def model():
    return BDTClassifier(n_estimators=20, max_leaves=4, random_state=1).fit(TRAIN)


@pytest.fixture(scope="module")
def evaluation(model):
    score = model.predict_proba(TEST)[:, 1]
    bands = np.where(TEST.X[:, 1] > 0, "high", "low")
    return evaluate_classifier(TEST.y, score, groups=TEST.groups, bands=bands, rng=1)


def test_a_card_says_what_the_issue_of_trust_needs(model, evaluation):
    card = model.card(evaluation=evaluation, training=TRAIN, limits=("Zenith below 30 deg.",))
    assert card.name == "BDTClassifier"
    assert card.parameters == {"n_estimators": 20, "max_leaves": 4, "random_state": 1}
    assert card.training["n_samples"] == 300
    assert card.training["n_groups"] == 150
    assert card.training["labels"] == {
        str(label): int(np.sum(TRAIN.y == label)) for label in (0, 1)
    }
    assert card.metrics["auc"] == evaluation.auc
    text = str(card)
    assert re.search(rf"auc +{evaluation.auc:.4g} \+- {evaluation.errors['auc']:.4g}\n", text)
    for title in ("About", "Parameters", "Training data", "Metrics", "Per band", "Calibration",
                  "Limits"):  # fmt: skip
        assert f"\n{title}\n{'-' * len(title)}\n" in text
    assert "Zenith below 30 deg." in card.limits
    assert "n_signal is below 100 in the bands high, low." in card.limits
    assert json.loads(json.dumps(card.to_dict()))["metrics"]["ece"] == evaluation.ece


def test_files_carry_their_card(model, evaluation, tmp_path):
    path = save_model(model, tmp_path / "m", metrics=evaluation.to_dict(), training=TRAIN)
    card = load_model(path).card()
    wanted = model.card(evaluation=evaluation, training=TRAIN)
    assert card.training == wanted.training
    assert card.limits == wanted.limits
    assert card.parameters == wanted.parameters
    assert card.versions["numpy"] == np.__version__
    shown = CliRunner().invoke(app, ["models", "show", str(path), "--html", str(tmp_path / "h")])
    assert shown.exit_code == 0
    assert shown.output.strip() == str(card)
    assert card.to_html() in (tmp_path / "h").read_text()


class Cells(HTMLParser):
    """What a browser would show, and which tags it met."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_html_is_whole_and_shows_what_the_text_shows(model, evaluation):
    card = model.card(evaluation=evaluation, training=TRAIN)
    page = Cells(card.to_html())
    assert page.open == []
    assert page.tags <= {"h2", "h3", "table", "tr", "td", "th", "ul", "li"}
    for word in (card.purpose, card.reference, "Per band", *card.limits):
        assert word in page.words
    assert card._repr_html_() == card.to_html()


def test_nothing_in_a_file_becomes_markup(model):
    bait = "<script>alert(1)</script>"
    card = model.card(evaluation={bait: 1.0, "auc": bait}, training={"a": bait}, limits=(bait,),
                      purpose=bait)  # fmt: skip
    assert "script" not in Cells(card.to_html()).tags


def test_limits_are_found():
    few = Samples(X[:60], y=(np.arange(60) < 5).astype(int))
    model = BDTClassifier(n_estimators=5, random_state=1).fit(few)
    limits = " ".join(model.card(evaluation={"ece": 0.2}, training=few).limits)
    assert "no groups" in limits
    assert "One class had 5 samples" in limits
    assert "expected calibration error is 0.200" in limits
    nothing = " ".join(model.card().limits)
    assert "trained on is not recorded" in nothing
    assert "How well it does is not recorded" in nothing
    assert BDTClassifier().card().limits == ("It is not fitted.",)
    short = NeuralClassifier(max_epochs=2, early_stopping=False, random_state=1).fit(X, Y)
    assert "still getting better" in " ".join(short.card().limits)
    banded = BandedClassifier(BDTClassifier(n_estimators=5, random_state=1), band_columns=(1,),
                              band_edges=((-9, 0, 2.5, 9),), min_count=50)  # fmt: skip
    assert "1 of 3 bands are served by the model of another" in " ".join(
        banded.fit(X, Y).card().limits
    )


@pytest.mark.parametrize("name", list_models()["name"].tolist())
def test_every_member_has_a_card(name):
    row = list_models()[list_models()["name"] == name][0]
    card = getattr(zoo, name)().card()
    assert (card.name, card.task, card.input) == (row["name"], row["task"], row["input"])
    assert row["purpose"] in str(card)


def test_the_command_line_names_what_is_wrong(tmp_path):
    runner = CliRunner()
    bad = tmp_path / "bad.model"
    bad.write_bytes(b"PK nothing")
    result = runner.invoke(app, ["models", "show", str(bad)])
    assert result.exit_code == 1
    assert result.output.startswith("Error: bad.model: ")
    missing = runner.invoke(app, ["models", "show", str(tmp_path / "none")])
    assert missing.exit_code == 1
    assert "No such file" in missing.output
    listed = runner.invoke(app, ["models", "list"], env={"COLUMNS": "200"})
    assert listed.exit_code == 0
    for name in list_models()["name"]:
        assert name in listed.output
