"""Every tutorial runs as a reader would run it: in its own process, warnings being errors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "tutorials").glob("[0-9]*.py"))


def test_there_are_tutorials():
    assert TUTORIALS


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_runs(path, tmp_path):
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "MPLBACKEND": "Agg",
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONWARNINGS": "error",
    }
    done = subprocess.run(
        [sys.executable, str(path), "figures"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip(), "a tutorial tells what it does"
    figures = list((tmp_path / "figures").glob("*.png"))
    assert figures, "a tutorial saves its figures in the folder it is given"
    assert all(figure.stat().st_size > 5000 for figure in figures)
    assert [entry.name for entry in tmp_path.iterdir()] == ["figures"], "and nothing elsewhere"
