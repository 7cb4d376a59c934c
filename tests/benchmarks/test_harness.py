"""The benchmark harness refuses unequal answers and counts what it says it counts."""

import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def harness():
    spec = importlib.util.spec_from_file_location("harness", FOLDER / "harness.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["harness"] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["harness"]


def test_calls_alternate_after_one_warm_up_each(harness):
    calls = []

    def ours():
        calls.append("ours")
        return [1.0, 2.0]

    def peer():
        calls.append("peer")
        time.sleep(0.002)
        return np.array([1.0, 2.0 + 1e-9])

    row = harness.compare("job", ours, peer, peer_name="peer", repeats=3)
    assert calls == ["ours", "peer"] * 4
    assert row.ratio_low <= row.ratio <= row.ratio_high
    assert row.peer_s >= 0.002
    assert row.difference == pytest.approx(1e-9, rel=1e-3)
    assert "job" in str(row)
    assert json.loads(json.dumps(row.to_dict()))["repeats"] == 3


def test_a_peer_that_does_a_share_is_charged_for_the_whole(harness):
    row = harness.compare(
        "job", lambda: [1.0, 2.0], lambda: time.sleep(0.002) or [1.0], peer_name="peer",
        repeats=3, peer_share=0.01, difference=lambda ours, peer: abs(ours[0] - peer[0]),
    )  # fmt: skip
    assert row.peer_s >= 0.2


@pytest.mark.parametrize("answer", [[1.0, 2.1], [1.0], [1.0, np.nan]])
def test_unequal_answers_are_refused(harness, answer):
    with pytest.raises(harness.DisagreementError, match=r"^job: ours and peer differ by "):
        harness.compare("job", lambda: [1.0, 2.0], lambda: answer, peer_name="peer", repeats=1)


def test_the_measure_of_agreement_can_be_chosen(harness):
    row = harness.compare(
        "job", lambda: "a", lambda: "b", peer_name="peer", repeats=1,
        difference=lambda ours, peer: 0.5, tolerance=1,
    )  # fmt: skip
    assert row.difference == 0.5


def test_what_cannot_run_is_skipped_with_a_reason(harness, monkeypatch, tmp_path, capsys):
    with pytest.raises(harness.Skipped, match=r"pip install no_such_peer"):
        harness.import_peer("no_such_peer.stats")
    monkeypatch.setenv("ASTROML_KIT_DATA", str(tmp_path))
    with pytest.raises(harness.Skipped, match=r"^crab is not here: set ASTROML_KIT_DATA"):
        harness.find_data("crab")

    def run(*, repeats):
        return [harness.compare("job", int, int, peer_name="peer", repeats=repeats)]

    def skip(*, repeats):
        raise harness.Skipped("no data")

    report = tmp_path / "report.json"
    harness.main(run, skip, argv=["--repeats", "2", "--json", str(report)])
    written = json.loads(report.read_text())
    assert [row["repeats"] for row in written["rows"]] == [2]
    assert list(written["skipped"].values()) == ["no data"]
    assert "skipped: no data" in capsys.readouterr().out
