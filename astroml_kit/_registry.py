"""What ``catalogs/datasets.toml`` says, and whether a file at hand is the one it means."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

KINDS = ("catalogs", "cherenkov", "images", "lightcurves", "neutrinos")
SETTLE_NS = 2_000_000_000  # a file younger than this may change again within one clock tick


@dataclass(frozen=True)
class RegisteredFile:
    """The checksum and size (bytes) that a file must have."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Entry:
    """One data set of the registry; ``catalogs/README.md`` explains the fields."""

    name: str
    title: str
    kind: str
    origin: str
    terms: str
    description: str
    files: dict[str, RegisteredFile]
    documents: tuple[str, ...] = ()
    url: str = ""
    urls: dict[str, str] = field(default_factory=dict)
    package: str = ""
    package_files: dict[str, str] = field(default_factory=dict)

    @property
    def needed(self) -> list[str]:
        """The files that carry data, unlike a readme or a licence."""
        return [name for name in self.files if name not in self.documents]

    def locate(self, file: str) -> str:
        """Public address of one file, "" where none is known."""
        return self.urls.get(file) or (self.url + quote(file) if self.url else "")

    def judge(self, file: str, found: dict[str, str]) -> str:
        """Compare the checksums found with the registered one: ok, missing or changed."""
        if file not in found:
            return "missing"
        return "ok" if found[file] == self.files[file].sha256 else "changed"


def find_catalogs() -> Path:
    """Folder of the data shipped with the code: inside a wheel, or beside it in a checkout."""
    here = Path(__file__).parent
    for folder in (here / "_catalogs", here.parent / "catalogs"):
        if (folder / "datasets.toml").is_file():
            return folder
    raise FileNotFoundError(f"{here / '_catalogs'} lacks datasets.toml. Reinstall astroml_kit.")


@functools.cache
def read_registry() -> dict[str, Entry]:
    """Read the registry shipped with the code."""
    return parse_registry((find_catalogs() / "datasets.toml").read_text("utf-8"))


def parse_registry(text: str) -> dict[str, Entry]:
    """Build the entries from toml; a name that leads out of its folder is refused."""
    entries = {}
    for name, raw in tomllib.loads(text).items():
        table: dict[str, Any] = {**raw, "documents": tuple(raw.get("documents", ()))}
        if table["kind"] not in KINDS:
            raise ValueError(f"kind of {name} must be one of {KINDS}, got {table['kind']!r}.")
        files = {}
        for line in table.pop("files").strip().splitlines():
            sha256, size, file = line.split(maxsplit=2)
            files[file] = RegisteredFile(sha256, int(size))
        for part in (name, *files):
            path = PurePosixPath(part)
            if path.is_absolute() or ".." in path.parts or "\\" in part:
                raise ValueError(f"files of {name} must be inside its folder, got {part!r}.")
        entries[name] = Entry(name=name, files=files, **table)
    return entries


def format_files(folder: Path) -> str:
    """Write the ``files`` block of a new data set, for whoever adds one to the registry."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [
        f"{hash_file(path)[0]} {path.stat().st_size:9d} {path.relative_to(folder).as_posix()}\n"
        for path in paths
    ]
    return f"files = '''\n{''.join(lines)}'''\n"


def hash_file(path: Path) -> tuple[str, list[int]]:
    """Return the sha256 and the fingerprint by which the same file is known again.

    The fingerprint is empty, and so matches nothing, if the file may still be changing.
    """
    with path.open("rb") as stream:
        before = _fingerprint(os.fstat(stream.fileno()))
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        after = _fingerprint(os.fstat(stream.fileno()))
    settled = before == after and time.time_ns() - max(before[1:3]) >= SETTLE_NS
    return sha256, before if settled else []


def hash_files(place: Path, files: Iterable[str], *, memory: Path) -> dict[str, str]:
    """Return the sha256 of every file present, reading only those that ``memory`` has not seen."""
    known = _read_memory(memory)
    fresh: dict[str, list[Any]] = {}
    for file in files:
        path = place / file
        if not path.is_file():
            continue
        fingerprint = _fingerprint(path.stat())
        if file in known and known[file][1:] == fingerprint:
            fresh[file] = known[file]
        else:
            sha256, fingerprint = hash_file(path)
            fresh[file] = [sha256, *fingerprint]
    if fresh != known:
        with contextlib.suppress(OSError):  # a memory that cannot be written only costs time
            write_whole(memory, json.dumps(fresh).encode())
    return {file: str(values[0]) for file, values in fresh.items()}


def write_whole(target: Path, content: bytes) -> None:
    """Write a file that is either complete or not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        whole = Path(scratch) / target.name
        whole.write_bytes(content)
        os.replace(whole, target)


def _fingerprint(stat: os.stat_result) -> list[int]:
    # ctime cannot be set back by hand: an edit that restores size and mtime is still seen.
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _read_memory(memory: Path) -> dict[str, list[Any]]:
    """Read earlier results; a damaged memory counts as none."""
    try:
        known = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {file: values for file, values in known.items() if isinstance(values, list) and values}


if __name__ == "__main__":
    print(format_files(Path(sys.argv[1])), end="")
