"""Maps over light curves: in order whatever the workers, resumable, each loss by name."""

import os
import subprocess
import sys
import textwrap
from functools import partial

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.table import QTable
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.lightcurves import (
    LightCurves,
    find_periods,
    map_lightcurves,
    mapping,
    write_lightcurves,
)
from astroml_kit.lightcurves._map_parts import describe_function

KNOWN = {"unit": "mag", "time_format": "mjd", "time_scale": "utc"}


def make_curves(n=10, *, n_steps=20, bands=False, seed=1):
    rng = np.random.default_rng(seed)
    name = np.repeat([f"star-{number:03}" for number in range(n)], n_steps)
    time = rng.uniform(0, 100, n * n_steps)
    return LightCurves.from_columns(
        name=name, time=time, value=15 + np.sin(time) + rng.normal(0, 0.1, len(time)),
        error=np.full(len(time), 0.1), band=rng.choice(list("gr"), len(time)) if bands else None,
        **KNOWN,
    )  # fmt: skip


def make_measure(folder=None, *, poison=(), kill=None):
    """A function that workers take along by value: what it saw is written down in a folder."""

    def measure(curves):
        import os
        import signal

        import astropy.units as u
        import numpy as np
        from astropy.table import QTable

        names = curves.names.astype(str).tolist()
        if kill in names and not os.path.exists(f"{folder}/killed"):
            open(f"{folder}/killed", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        for name in set(names) & set(poison):
            raise KeyError(f"{name} is poison")
        if folder is not None:
            for name in names:
                with open(f"{folder}/{name}", "a") as file:
                    file.write("x")
        mean = [
            curves.value[a:b].mean()
            for a, b in zip(curves.offsets[:-1], curves.offsets[1:], strict=True)
        ]
        table = QTable({"name": names, "mean": mean * u.mag, "n": np.diff(curves.offsets)})
        table["mean"].info.description = "of all steps"
        table.meta["short"] = [name for name in names if name.endswith("7")]
        return table

    return measure


def assert_same(one, two):
    """Bit for bit."""
    assert one.colnames == two.colnames
    for name in one.colnames:
        assert one[name].dtype == two[name].dtype
        assert one[name].unit == two[name].unit
        assert one[name].info.description == two[name].info.description
        assert np.asarray(one[name]).tobytes() == np.asarray(two[name]).tobytes()
    assert one.meta == two.meta


def write_folder(curves, folder):
    folder.mkdir()
    for curve in curves:
        table = QTable({"mjd": curve.time.mjd, "mag": curve.value.value})
        table["magerr"] = curve.error.value
        table.write(folder / f"{curve.name}.csv", format="ascii.csv")
    return folder


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 9), st.integers(1, 12))
def test_chunks_do_not_show(n, chunk_size):
    curves = make_curves(9)[:n]
    result = map_lightcurves(make_measure(), curves, chunk_size=chunk_size)
    assert result.meta.pop("skipped") == {}
    if n:
        assert_same(result, make_measure()(curves))
    else:
        assert (len(result), result.colnames) == (0, ["name"])


def test_processes_give_the_same_bits_in_the_same_order(tmp_path):
    curves = make_curves(7, n_steps=60, bands=True)
    alone = map_lightcurves(find_periods, curves, chunk_size=2)
    assert alone["name"].tolist() == np.repeat(curves.names, 3).tolist()
    assert alone["period"].unit == u.day
    both = map_lightcurves(find_periods, curves, chunk_size=2, workers=2, output=tmp_path / "out")
    assert_same(alone, both)


def test_a_broken_file_is_named_and_the_others_are_there(tmp_path):
    curves = make_curves(9)
    folder = write_folder(curves, tmp_path / "in")
    (folder / "star-004x.csv").write_text("mjd,mag\n1,2\n3,what is this\n")
    options = {"time_scale": "utc", "chunk_size": 4}
    alone = map_lightcurves(make_measure(tmp_path), folder, **options)
    assert list(alone.meta["skipped"]) == ["star-004x.csv"]
    assert "what is this" in alone.meta["skipped"]["star-004x.csv"]
    assert alone["name"].tolist() == curves.names.tolist()
    assert_same(alone, map_lightcurves(make_measure(tmp_path), folder, workers=2, **options))
    memory = map_lightcurves(make_measure(), curves)
    np.testing.assert_allclose(alone["mean"], memory["mean"], rtol=1e-12)


def test_memory_a_long_table_and_nested_parquet_give_the_same(tmp_path):
    curves = make_curves(9)
    nested, long = write_lightcurves(curves, tmp_path / "a.parquet"), tmp_path / "b.csv"
    table = QTable({"name": np.repeat(curves.names, curves.n_steps), "mjd": curves.time})
    table["mag"], table["magerr"] = curves.value, curves.error
    table.write(long, format="ascii.csv")
    memory = map_lightcurves(make_measure(), curves, chunk_size=4)
    assert_same(memory, map_lightcurves(make_measure(), nested, chunk_size=4, workers=2))
    assert_same(memory, map_lightcurves(make_measure(), long, chunk_size=4, time_scale="utc"))
    folder = write_folder(curves, tmp_path / "in")
    files = [folder / f"{name}.csv" for name in curves.names[:2]]
    two = map_lightcurves(make_measure(), files, time_scale="utc")
    assert two["name"].tolist() == curves.names[:2].tolist()


def test_files_none_of_which_can_be_read_are_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("mjd\n1\n")
    with pytest.raises(ValueError, match=r"got none: a\.csv: "):
        map_lightcurves(make_measure(), tmp_path, time_scale="utc", chunk_size=1)


@pytest.mark.parametrize("workers", [1, 2])
def test_poison_is_named_and_its_neighbours_are_kept(workers):
    curves = make_curves(9)
    measure = make_measure(poison=("star-001", "star-008"))
    result = map_lightcurves(measure, curves, chunk_size=4, workers=workers)
    assert result.meta["skipped"] == {
        name: f"KeyError: '{name} is poison'" for name in ("star-001", "star-008")
    }
    assert result["name"].tolist() == [name for name in curves.names if name[-1] not in "18"]
    whole = make_measure()(curves)
    assert (result["mean"] == whole["mean"][np.isin(whole["name"], result["name"])]).all()


def test_a_function_that_never_works_says_why_and_stops_early(tmp_path):
    calls = []

    def fail(curves):
        calls.append(len(curves))
        raise OSError("no table of limb darkening")

    curves = make_curves(400, n_steps=2)
    with pytest.raises(ValueError, match="got none: star-000: no table of limb darkening"):
        map_lightcurves(fail, curves, chunk_size=40, output=tmp_path / "out")
    assert calls.count(40) == 3  # 120 light curves are the first 100 and more
    assert not list((tmp_path / "out").glob("part*"))


@pytest.mark.parametrize("result", [3, None, QTable({"object": ["a"]})])
def test_a_result_without_names_is_refused(result):
    with pytest.raises(ValueError, match="function must give a table with a column 'name'"):
        map_lightcurves(lambda curves: result, make_curves(2))


def test_a_column_that_some_chunks_lack_is_masked(tmp_path):
    def measure(curves):
        table = QTable({"name": curves.names})
        if "star-001" in curves.names:
            table["colour"] = [0.5] * u.mag
        return table

    for output in (None, tmp_path / "out"):
        colour = map_lightcurves(measure, make_curves(3), chunk_size=1, output=output)["colour"]
        assert colour.unit == u.mag
        assert np.asarray(colour.mask).tolist() == [True, False, True]


def count_looks(folder):
    return {file.name: len(file.read_text()) for file in folder.glob("star-*")}


class Interrupted:
    """Works until Ctrl-C, which a file stands for."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, curves):
        if "star-006" in curves.names and (self.folder / "ctrl-c").exists():
            raise KeyboardInterrupt
        return make_measure(self.folder)(curves)


def test_ctrl_c_and_again_does_what_is_missing(tmp_path):
    curves, seen = make_curves(10), tmp_path / "seen"
    seen.mkdir()
    (seen / "ctrl-c").touch()
    options = {"chunk_size": 3, "output": tmp_path / "out"}
    with pytest.raises(KeyboardInterrupt):
        map_lightcurves(Interrupted(seen), curves, **options)
    assert sorted(count_looks(seen)) == curves.names[:6].tolist()
    (seen / "ctrl-c").unlink()
    result = map_lightcurves(Interrupted(seen), curves, **options)
    assert set(count_looks(seen).values()) == {1}
    assert_same(result, map_lightcurves(make_measure(), curves, chunk_size=3))
    assert_same(result, map_lightcurves(Interrupted(seen), curves, **options))  # all of it is there
    assert set(count_looks(seen).values()) == {1}
    map_lightcurves(Interrupted(seen), curves, resume=False, **options)
    assert set(count_looks(seen).values()) == {2}


SCRIPT = """
    import os, signal, sys
    from pathlib import Path
    from astropy.table import QTable
    from astroml_kit.lightcurves import map_lightcurves, read_lightcurves

    folder = Path(sys.argv[1])

    def measure(curves):
        if len(list(folder.glob("out/part-*"))) == 2 and not (folder / "killed").exists():
            (folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        with open(folder / "log", "a") as log:
            log.write(f"{len(curves)}")
        kinds = {name for name in ("one", "or", "another", "of", "these") if name in {"a", "one"}}
        return QTable({"name": curves.names, "n": [len(kinds)] * len(curves)})

    curves = read_lightcurves(folder / "curves.parquet")
    print(len(map_lightcurves(measure, curves, chunk_size=2, output=folder / "out")))
"""


def test_a_killed_process_is_resumed_by_another(tmp_path):
    write_lightcurves(make_curves(8), tmp_path / "curves.parquet")
    script = tmp_path / "job.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, str(script), str(tmp_path)]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (first.returncode, first.stdout) == (-9, ""), first.stderr
    assert (tmp_path / "log").read_text() == "22"
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert second.stdout == "8\n"
    assert (tmp_path / "log").read_text() == "2222"  # and the function was known again


def test_what_was_made_from_something_else_is_refused(tmp_path):
    curves, output = make_curves(4), tmp_path / "out"
    map_lightcurves(make_measure(), curves, output=output, chunk_size=2)
    for function, other, size, word in (
        (make_measure(poison=("a",)), curves, 2, "another state of the function"),
        (find_periods, curves, 2, "another function and another state"),
        (make_measure(), curves[:3], 2, "another input"),
        (make_measure(), make_curves(4, seed=2), 2, "another input"),
        (make_measure(), curves, 3, "another chunk size"),
    ):
        with pytest.raises(ValueError, match=f"made from {word}.*resume=False to begin anew"):
            map_lightcurves(function, other, output=output, chunk_size=size)
    (output / "part-000001.parquet").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"part-000001\.parquet must be a whole .* Delete it"):
        map_lightcurves(make_measure(), curves, output=output, chunk_size=2)
    map_lightcurves(make_measure(), curves[:2], output=output, chunk_size=2, resume=False)
    assert sorted(file.name for file in output.iterdir()) == [
        "_manifest.json", "part-000000.parquet"
    ]  # fmt: skip


def test_a_changed_file_of_a_folder_is_another_input(tmp_path):
    folder = write_folder(make_curves(3), tmp_path / "in")
    options = {"output": tmp_path / "out", "time_scale": "utc"}
    map_lightcurves(make_measure(), folder, **options)
    map_lightcurves(make_measure(), folder, **options)
    with pytest.raises(ValueError, match="another input"):
        map_lightcurves(make_measure(), folder, **options | {"time_scale": "tdb"})
    with open(folder / "star-001.csv", "a") as file:
        file.write("99,15.1,0.1\n")
    with pytest.raises(ValueError, match="another input"):
        map_lightcurves(make_measure(), folder, **options)


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    for output in (tmp_path, tmp_path / "thesis.tex"):
        for resume in (True, False):
            with pytest.raises(ValueError, match=r"output must be a (new or empty )?folder"):
                map_lightcurves(make_measure(), make_curves(2), output=output, resume=resume)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


class Model:
    def __init__(self, threshold):
        self.threshold = threshold

    def predict(self, curves, *, cut=1):
        return curves


def test_a_function_is_its_code_and_what_it_holds():
    def close_over(value):
        return lambda curves: value

    functions = [
        find_periods,
        partial(find_periods, n_candidates=1),
        partial(find_periods, n_candidates=2),
        Model(1).predict,
        Model(2).predict,
        Model({"b", "a"}).predict,
        close_over(1),
        close_over(np.arange(3)),
        close_over(close_over(1)),
        lambda curves: curves,
        lambda curves: curves[:1],
        lambda curves, n=2: curves[:n],
    ]
    states = [describe_function(function)["state"] for function in functions]
    assert len(set(states)) == len(states)
    assert describe_function(Model({"a", "b"}).predict)["state"] == states[5]
    assert describe_function(close_over(np.arange(3)))["state"] == states[7]
    one, same, other = (
        describe_function(close_over(torch.arange(4.0) + shift))["state"] for shift in (0, 0, 1)
    )
    assert one == same != other
    with open(os.devnull) as file, pytest.raises(ValueError, match="hold what can be pickled"):
        describe_function(close_over(file))


def test_no_more_chunks_than_workers_and_one_are_in_flight(tmp_path, monkeypatch):
    iter_chunks, ahead = mapping.iter_chunks, []

    def count(*arguments, **options):
        for number, chunk in enumerate(iter_chunks(*arguments, **options)):
            ahead.append(number + 1 - len(count_looks(tmp_path)))
            yield chunk

    monkeypatch.setattr(mapping, "iter_chunks", count)
    for workers in (1, 2):
        ahead.clear()
        for file in tmp_path.iterdir():
            file.unlink()
        measure = make_measure(tmp_path)
        map_lightcurves(measure, make_curves(12), chunk_size=1, workers=workers)
        assert len(ahead) == 12
        assert max(ahead) <= workers + 1


def test_a_process_that_dies_says_so_and_what_was_done_is_kept(tmp_path):
    curves, seen = make_curves(12), tmp_path / "seen"
    seen.mkdir()
    measure = make_measure(seen, kill="star-008")
    options = {"chunk_size": 1, "output": tmp_path / "out"}
    with pytest.raises(ChildProcessError, match=r"a worker process died.*run again"):
        map_lightcurves(measure, curves, workers=2, **options)
    n_done = len(list((tmp_path / "out").glob("part-*")))
    assert 1 <= n_done < 12
    result = map_lightcurves(measure, curves, **options)
    assert_same(result, map_lightcurves(make_measure(), curves, chunk_size=1))


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="needs the extra distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_a_killed_worker_of_dask_loses_nothing(cluster, tmp_path):
    curves = make_curves(12)
    measure = make_measure(tmp_path, kill="star-003")
    options = {"chunk_size": 2, "output": tmp_path / "out"}
    result = map_lightcurves(measure, curves, client=cluster, **options)
    assert (tmp_path / "killed").exists()
    assert_same(result, map_lightcurves(make_measure(), curves, chunk_size=2))


def test_a_light_curve_that_kills_its_workers_is_said(cluster):
    def kill(curves):
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    cluster.cluster.scheduler.allowed_failures = 0  # three by default, each of which takes a while
    with pytest.raises(ChildProcessError, match="a light curve kills its workers"):
        map_lightcurves(kill, make_curves(1), client=cluster)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk_size": 0}, "chunk_size must be"),
        ({"workers": 0}, "workers must be"),
        ({"workers": 2, "client": object()}, "workers must be 1 with a client"),
        ({"time_scale": "utc"}, r"options must be none for curves in memory, got \['time_scale'\]"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        map_lightcurves(make_measure(), make_curves(2), **options)


def test_the_bar_counts_light_curves(capsys, tmp_path):
    options = {"chunk_size": 3, "output": tmp_path / "out", "progress": True}
    for _ in range(2):
        map_lightcurves(make_measure(), make_curves(7), **options)
        assert "7/7" in capsys.readouterr().err
