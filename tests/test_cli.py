"""The command line: results a person can read, errors in one sentence, nothing half-written."""

import hashlib
import json
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from typer.testing import CliRunner

import astroml_kit.reanalysis
from astroml_kit import __version__, cli
from astroml_kit._terminal import format_table
from astroml_kit.reanalysis import Reanalysis
from astroml_kit.significance import OnOffCounts, compare_selections

runner = CliRunner()


def make_result(name="magic", target="a source", curves=None, notes=("what was assumed",)):
    runs = [OnOffCounts(30, 200, 0.1)] * 3
    table = QTable({"selection": ["box", "BDT score likelihood"], "n_on": [90, 1200]})
    table["significance"] = [3.3049, 6.0]
    table["kept"] = [0.5, 1.0]
    table["kept"].info.format = ".1%"
    table["expected"], table["expected_sd"] = [3.0, 6.25], [1.0, 0.98]
    table["live_time"] = [1.5, 1.5] * u.h
    roc = {"roc": {"background": [0, 0.1, 1], "signal": [0, 0.8, 1], "label": "BDT"}}
    return Reanalysis(
        name=name,
        target=target,
        gain=compare_selections(runs, runs, n_bootstrap=10, rng=0),
        table=table,
        sources=QTable({"name": np.array([], dtype=str)}),
        settings={"seed": 0},
        notes=notes,
        curves=roc if curves is None else curves,
    )


@pytest.fixture
def job(monkeypatch):
    """Replace the analysis by what the test puts in; remember how it was called."""
    calls = []

    def set_outcome(outcome):
        def reanalyse(name, **options):
            calls.append((name, options))
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr(astroml_kit.reanalysis, "reanalyse", reanalyse)
        return calls

    return set_outcome


def run(*arguments):
    return runner.invoke(cli.app, [str(argument) for argument in arguments])


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from astroml_kit.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit as done: assert done.code == 0\n"
        "heavy = ('numpy', 'scipy', 'astropy', 'sklearn', 'lightgbm', 'matplotlib', 'pandas')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "reanalyse" in done.stdout
    assert "datasets" in done.stdout


def test_version():
    assert run("--version").stdout == f"astroml-kit {__version__}\n"


def test_reanalyse_writes_and_tells(job, tmp_path):
    calls = job(make_result())
    place = tmp_path / "deep" / "out"
    done = run("reanalyse", "magic", "--seed", 7, "--workers", 3, "-o", place)
    assert done.exit_code == 0, done.output
    assert calls == [("magic", {"target": None, "seed": 7, "n_workers": 3, "folder": None})]
    assert sorted(path.name for path in place.iterdir()) == ["gain.png", "result.json", "roc.png"]
    assert json.loads((place / "result.json").read_text())["table"]["columns"]["n_on"] == [90, 1200]
    assert f"Wrote result.json, gain.png, roc.png to {place}" in done.stdout.replace("\n", "")
    assert "- what was assumed" in done.stdout


def test_target_and_data_are_passed_on(job, tmp_path):
    calls = job(make_result("hess-dl3-dr1"))
    run("reanalyse", "hess-dl3-dr1", "--target", "228.5 -59.2", "--data", tmp_path, "-o", tmp_path)
    name, options = calls[0]
    assert (name, options["target"], options["folder"]) == ("hess-dl3-dr1", "228.5 -59.2", tmp_path)
    assert options["n_workers"] >= 1


def test_the_default_folder_is_named_after_the_job(job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job(make_result())
    assert run("reanalyse", "magic", "--no-plots").exit_code == 0
    assert [p.name for p in (tmp_path / "results" / "magic").iterdir()] == ["result.json"]


def test_plots_of_an_older_result_go(job, tmp_path):
    job(make_result())
    (tmp_path / "theta_squared.png").write_text("old")
    (tmp_path / "mine.png").write_text("not ours")
    run("reanalyse", "magic", "--no-plots", "-o", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.png", "result.json"]


def read_table(text):
    """Rows of the printed table as lists of cells."""
    lines = text.splitlines()
    rule = next(i for i, line in enumerate(lines) if line and set(line) == {"-"})
    rows = [lines[rule - 1]]
    for line in lines[rule + 1 :]:
        if not line:
            break
        rows.append(line)
    assert len({len(row) for row in rows}) == 1, "rows are not aligned"
    return [[cell.strip() for cell in row.split("  ") if cell.strip()] for row in rows]


def test_the_table_is_aligned_with_sensible_digits():
    wide = cli._format_result(make_result(), width=120)
    assert read_table(wide) == [
        ["selection", "n on", "significance", "kept", "expected", "live time [h]"],
        ["box", "90", "3.30", "50.0%", "3.00 +- 1.00", "1.50"],
        ["BDT score likelihood", "1200", "6.00", "100.0%", "6.25 +- 0.98", "1.50"],
    ]


def test_a_narrow_terminal_gets_the_table_on_its_side():
    rows = read_table(cli._format_result(make_result(), width=60))
    assert rows[0] == ["selection", "box", "BDT score likelihood"]
    assert rows[2] == ["significance", "3.30", "6.00"]
    assert max(map(len, cli._format_result(make_result(), width=60).splitlines())) <= 60


def test_long_cells_are_wrapped_where_nothing_else_helps():
    table = make_result().table
    table["choice"] = ["fixed", "energy above 0.5 TeV and within 0.2 deg of the source"]
    lines = format_table(table, width=50)
    assert max(map(len, lines)) <= 50
    assert any("source" in line for line in lines)
    assert format_table(table, width=500)[0].startswith("selection")


def test_a_number_that_is_not_there_is_a_dash():
    rows = format_table(QTable({"name": ["a", "b"], "x": [1.234, np.nan]}), width=80)
    assert [row.split() for row in rows[2:]] == [["a", "1.23"], ["b", "-"]]


def read_only_line(done, code):
    assert done.exit_code == code
    (line,) = done.stderr.splitlines()
    assert "Traceback" not in done.output
    return line


def test_errors_are_one_sentence(job, tmp_path):
    job(ValueError("alpha must be > 0,\n   got 0.0."))
    done = run("reanalyse", "magic", "-o", tmp_path / "new" / "out")
    assert read_only_line(done, 1) == "Error: alpha must be > 0, got 0.0."
    assert not (tmp_path / "new").exists()


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    line = read_only_line(run("reanalyse", "m87", "-o", tmp_path / "out"), 1)
    assert line == "Error: name must be one of ['cen-a', 'magic', 'hess-dl3-dr1'], got 'm87'."
    assert not (tmp_path / "out").exists()


def test_a_missing_file_is_named(tmp_path):
    done = run("reanalyse", "magic", "--data", tmp_path / "nowhere", "-o", tmp_path / "out")
    line = read_only_line(done, 1)
    assert "nowhere" in line
    assert "magic04.data" in line


def test_an_output_that_is_a_file_is_an_error(job, tmp_path):
    job(make_result())
    (tmp_path / "taken").write_text("mine")
    line = read_only_line(run("reanalyse", "magic", "-o", tmp_path / "taken"), 1)
    assert "taken" in line
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("arguments", [["reanalyse"], ["reanalyse", "magic", "--seed", "x"], ["x"]])
def test_wrong_usage_exits_with_2(arguments):
    assert run(*arguments).exit_code == 2


def test_ctrl_c_leaves_the_older_result_alone(job, tmp_path):
    job(KeyboardInterrupt())
    (tmp_path / "result.json").write_text("older")
    done = run("reanalyse", "magic", "-o", tmp_path)
    assert read_only_line(done, 130) == "Stopped; nothing was written."
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    assert (tmp_path / "result.json").read_text() == "older"


def test_ctrl_c_while_drawing_leaves_nothing(job, tmp_path, monkeypatch):
    def stop(result, folder):
        (folder / "gain.png").write_text("half a plo")
        raise KeyboardInterrupt

    job(make_result())
    monkeypatch.setattr(astroml_kit.reanalysis, "save_plots", stop)
    assert run("reanalyse", "magic", "-o", tmp_path / "out").exit_code == 130
    assert not (tmp_path / "out").exists()


def test_warnings_are_notes(monkeypatch, tmp_path):
    def warn(name, **options):
        warnings.warn("2 of the 87 files\nare absent", UserWarning, stacklevel=1)
        return make_result()

    monkeypatch.setattr(astroml_kit.reanalysis, "reanalyse", warn)
    done = run("reanalyse", "magic", "--no-plots", "-o", tmp_path)
    assert done.stderr == "Note: 2 of the 87 files are absent\n"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder of data sets with the MAGIC events in it."""
    from astroml_kit.datasets import fetch_dataset

    place = tmp_path / "data" / "magic-uci"
    place.mkdir(parents=True)
    source = fetch_dataset("magic-uci") / "magic04.data"
    (place / "magic04.data").write_bytes(source.read_bytes())
    monkeypatch.setenv("ASTROML_KIT_CACHE", str(tmp_path / "cache"))
    return place.parent


def test_datasets_are_listed(data, monkeypatch):
    monkeypatch.setenv("ASTROML_KIT_DATA", str(data))
    lines = run("datasets", "list").stdout.splitlines()
    (row,) = (line.split() for line in lines if line.startswith("magic-uci"))
    assert "local" in row
    assert any(line.startswith("hess-dl3-dr1") for line in lines)


def test_fetch_says_where(data):
    done = run("datasets", "fetch", "magic-uci", "--data", data)
    assert done.stdout.strip() == str(data / "magic-uci")


def test_verify_tells_good_from_changed(data):
    done = run("datasets", "verify", "magic-uci", "--data", data)
    assert done.exit_code == 0
    assert "1 ok" in done.stdout
    path = data / "magic-uci" / "magic04.data"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    changed = run("datasets", "verify", "magic-uci", "--data", data)
    assert changed.exit_code == 1
    assert "changed: magic04.data" in changed.stdout
    line = read_only_line(run("datasets", "fetch", "magic-uci", "--data", data), 1)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in line


def test_an_unknown_data_set_is_one_sentence():
    assert "'magic-uci'" in read_only_line(run("datasets", "fetch", "magic"), 1)


@pytest.fixture
def survey(tmp_path):
    """A folder of two light curves and a broken one."""
    folder = tmp_path / "survey"
    folder.mkdir()
    time = np.sort(np.random.default_rng(1).uniform(0, 50, 60))
    for name, period in (("one", 1.7), ("two", 0.6)):
        table = QTable({"HJD": 2450000.5 + time, "mag": 15 + np.sin(2 * np.pi * time / period)})
        table.write(folder / f"{name}.csv", format="ascii.csv")
    (folder / "zero.csv").write_text("HJD,mag\n2450000.5,12\n2450001.5,bright\n")
    return folder


def test_periods_of_a_folder(survey, tmp_path):
    output = tmp_path / "deep" / "periods.parquet"
    options = ["--time-scale", "utc", "--time-format", "jd", "--unit", "mag", "--candidates", 1]
    done = run("lightcurves", "periods", survey, "-o", output, "--column", "HJD=time", *options)
    assert done.exit_code == 0, done.output
    table = QTable.read(output)
    assert table["name"].tolist() == ["one", "two"]
    np.testing.assert_allclose(table["period"].to_value("day"), [1.7, 0.6], rtol=1e-3)
    assert done.stdout == f"2 objects, 1 skipped. Wrote 2 rows to {output}\n"
    assert "Skipped zero.csv: " in done.stderr
    assert [file.name for file in output.parent.iterdir()] == ["periods.parquet"]


def test_periods_go_on_where_they_were_stopped(survey, tmp_path, monkeypatch):
    import astroml_kit.lightcurves

    output = tmp_path / "periods.parquet"
    arguments = ["lightcurves", "periods", survey, "-o", output, "--time-scale", "utc"]

    def stop(function, path, *, output, **options):
        output.mkdir()
        (output / "_manifest.json").write_text("{}")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(astroml_kit.lightcurves, "map_lightcurves", stop)
        line = read_only_line(run(*arguments), 130)
        assert line == f"Stopped; what is done is kept in {output}.parts."
    assert "made from another input" in read_only_line(run(*arguments), 1)
    assert run(*arguments, "--anew").exit_code == 0
    assert output.is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "periods.csv"], "output must end in '.parquet', got periods.csv."),
        (["-o", "p.parquet", "--column", "time"], "column must be like HJD=time, got ['time']."),
    ],
)
def test_periods_refuse_in_one_sentence(survey, arguments, message):
    assert read_only_line(run("lightcurves", "periods", survey, *arguments), 1).endswith(message)


def test_classes_of_a_folder(survey, tmp_path):
    from astroml_kit.lightcurves import LightCurveClassifier, read_lightcurves
    from astroml_kit.models import BDTClassifier

    curves = read_lightcurves(survey, time_scale="utc")
    twenty = curves[np.repeat([0, 1], 10)]
    names = [f"star-{number}" for number in range(20)]
    kinds = np.repeat(["slow", "fast"], 10)
    objects = QTable({"name": names, "kind": kinds})
    model = BDTClassifier(n_estimators=5, min_samples_leaf=2, early_stopping=False)
    model = LightCurveClassifier(model).fit(replace(twenty, objects=objects), label="kind")
    file, output = model.save(tmp_path / "model.zip"), tmp_path / "classes.parquet"
    options = ["--time-scale", "utc", "--model", file]
    done = run("lightcurves", "classify", survey, "-o", output, *options)
    assert done.exit_code == 0, done.output
    table = QTable.read(output)
    assert table["name", "class"].as_array().tolist() == [("one", "slow"), ("two", "fast")]
    assert list(table.meta["skipped"]) == ["zero.csv"]
    missing = ["--model", tmp_path / "none.zip", "-o", output]
    assert "none.zip" in read_only_line(run("lightcurves", "classify", survey, *missing), 1)
