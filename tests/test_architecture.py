"""The rules of the house that a reviewer should not have to check by eye."""

import ast
import configparser
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import astroml_kit

PACKAGE = Path(astroml_kit.__file__).parent
ROOT = Path(__file__).parents[1]
FLOORS = {
    "_validation": 0,
    "_registry": 0,
    "_terminal": 0,
    "_tev_sources": 1,
    "significance": 1,
    "samples": 1,
    "datasets": 1,
    "models": 2,
    "evaluation": 2,
    "plotting": 2,
    "cherenkov": 3,
    "lightcurves": 3,
    "images": 3,
    "catalogs": 3,
    "neutrinos": 3,
    "reanalysis": 4,
    "report": 5,
    "cli": 5,
}


def list_imports(source, *, package):
    """Absolute names of the astroml_kit modules that a piece of source imports, at any depth."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")
            base = base[: len(base) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            if stem == "astroml_kit":
                found += [f"astroml_kit.{alias.name}" for alias in node.names]
            else:
                found.append(stem)
    return [name for name in found if name.split(".")[0] == "astroml_kit" and "." in name]


def find_upward_imports(source, *, package, room):
    """Imports of ``source`` that reach a room on the same floor or above."""
    bad = []
    for name in list_imports(source, package=package):
        target = name.split(".")[1]
        if target in FLOORS and target != room and FLOORS[target] >= FLOORS[room]:
            bad.append(f"{room} (floor {FLOORS[room]}) imports {target} (floor {FLOORS[target]})")
    return bad


MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "_catalogs" not in p.parts)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts == ("__init__",):
        return
    room = parts[0]
    assert room in FLOORS, f"{room} has no floor: give it one here and in the design"
    package = ".".join(["astroml_kit", *parts[:-1]])
    assert not find_upward_imports(path.read_text(), package=package, room=room)


def test_the_import_rule_can_fail():
    upward = "from ..reanalysis import reanalyse"
    sideways = "def f():\n    from ..lightcurves import read"
    down = "from .._validation import check_real\nfrom ..samples import Samples"
    for source, expected in ((upward, 1), (sideways, 1), (down, 0)):
        bad = find_upward_imports(source, package="astroml_kit.cherenkov", room="cherenkov")
        assert len(bad) == expected


def list_rooms():
    rooms = ["astroml_kit"]
    for info in pkgutil.iter_modules([str(PACKAGE)]):
        if not info.name.startswith("_"):
            rooms.append(f"astroml_kit.{info.name}")
    return rooms


@pytest.mark.parametrize("name", list_rooms())
def test_all_is_complete_and_true(name):
    module = importlib.import_module(name)
    assert sorted(module.__all__) == list(module.__all__)
    for member in module.__all__:
        assert getattr(module, member) is not None
    defined = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_")
        and getattr(value, "__module__", "").startswith("astroml_kit.")
        and (getattr(value, "__module__", "") + ".").startswith(name + ".")
        and callable(value)
    }
    assert defined <= set(module.__all__), f"public but not in __all__: {defined}"


def test_every_public_name_has_a_docstring():
    for name in list_rooms():
        module = importlib.import_module(name)
        assert module.__doc__
        for member in module.__all__:
            value = getattr(module, member)
            if callable(value):
                assert value.__doc__, f"{name}.{member} has no docstring"


HEAVY = ("torch", "lightgbm", "matplotlib", "pandas", "gammapy", "sklearn", "scipy", "astropy")


def test_import_is_light():
    code = f"import sys, astroml_kit; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_room_is_in_the_wheel():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    found = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for file in (ROOT / "astroml_kit").rglob("__init__.py")
    }
    assert found - {"astroml_kit._catalogs"} == listed - {"astroml_kit._catalogs"}
