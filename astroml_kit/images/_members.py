"""The files of a folder or zip of stamps; a hostile zip is refused before anything is unpacked."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PICTURES = (".png", ".jpg", ".jpeg")
FITS = (".fits", ".fit", ".fts", ".fits.gz", ".fit.gz", ".fits.bz2", ".fits.fz")
ENDINGS = tuple(sorted((*PICTURES, *FITS), key=len, reverse=True))
# RuntimeError: it is encrypted, or packed by a method that is not there.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError)
# A zip that unpacks to more than this, or any one member a thousandfold, is taken for a bomb:
# pictures are compressed already, and even an empty sky shrinks less.
MOST_BYTES, MOST_MEMBER, MOST_RATIO, FREE_BYTES = 2**38, 2**31, 1000.0, 2**20


@dataclass(frozen=True)
class Member:
    """One file of a collection; ``name`` is its path in there and ``id`` what it is called."""

    name: str
    id: str

    @property
    def folder(self) -> str:
        """Name of the folder that it lies in; empty at the top."""
        return PurePosixPath(self.name).parent.name


class Members:
    """Images of a folder or a zip, in order of their names, and a way to their bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir():
            names = [file.relative_to(path).as_posix() for file in path.rglob("*")
                     if file.is_file()]  # fmt: skip
        else:
            names = _list_zip(path)
        visible = [n for n in sorted(names) if not _is_hidden(n)]
        self.members = tuple(Member(n, to_id(n)) for n in visible if n.lower().endswith(ENDINGS))
        self.n_others = len(names) - len(self.members)
        if not self.members:
            raise ValueError(
                f"{path.name} must have images ending in {', '.join(ENDINGS)}, got none among "
                f"{len(names)} files. Give another folder or zip."
            )
        twice = [name for name, n in Counter(m.id for m in self.members).items() if n > 1]
        if twice:
            both = [m.name for m in self.members if m.id == twice[0]]
            raise ValueError(
                f"ids must be different, got {twice[0]!r} for {both} in {path.name}. "
                "Rename one of the files."
            )

    @contextmanager
    def open(self) -> Iterator[Reader]:
        """Open the collection for reading; a zip stays open within."""
        if self.path.is_dir():
            yield Reader(self.path, None)
            return
        with zipfile.ZipFile(self.path) as archive:
            yield Reader(self.path, archive)


class Reader:
    """Gives the bytes of a member."""

    def __init__(self, path: Path, archive: zipfile.ZipFile | None) -> None:
        self.path, self.archive = path, archive

    def read(self, member: Member) -> bytes:
        """All bytes; a damaged member of a zip is a ValueError."""
        if self.archive is None:
            return (self.path / member.name).read_bytes()
        try:
            return self.archive.read(member.name)
        except DAMAGED as error:
            raise ValueError(f"it cannot be unpacked: {error}") from error


def to_id(name: str) -> str:
    """Name of a file without folder and ending."""
    base = name.rsplit("/", 1)[-1]
    for ending in ENDINGS:
        if base.lower().endswith(ending):
            return base[: -len(ending)]
    return base


def _list_zip(path: Path) -> list[str]:
    """Names of the files in a zip, after checks of what it would do when unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path.name} must be a whole zip: {error}.") from error
    total, packed = 0, 0
    for info in infos:
        _check_name(info, path.name)
        total, packed = total + info.file_size, packed + info.compress_size
        ratio = info.file_size / max(info.compress_size, 1)
        if info.file_size > MOST_MEMBER or (info.file_size > FREE_BYTES and ratio > MOST_RATIO):
            raise ValueError(
                f"{path.name} must not be a zip bomb: {info.filename} unpacks from "
                f"{info.compress_size} to {info.file_size} bytes. Unpack it with care yourself."
            )
    if total > MOST_BYTES or packed > path.stat().st_size:
        raise ValueError(
            f"{path.name} must not be a zip bomb: {path.stat().st_size} bytes unpack to {total}. "
            "Unpack it with care yourself."
        )
    names = [info.filename for info in infos if not info.is_dir()]
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise ValueError(f"{path.name} must have each name once, got {twice[0]!r} more than once.")
    return names


def _check_name(info: zipfile.ZipInfo, where: str) -> None:
    # orig_filename is what the file says; filename has been cut at a NUL byte
    name = info.orig_filename.replace("\\", "/")
    parts = name.split("/")
    absolute = name.startswith("/") or re.match(r"[A-Za-z]:", name)
    link = stat.S_ISLNK(info.external_attr >> 16)
    if absolute or ".." in parts or "\x00" in name or link:
        raise ValueError(
            f"{where} must have names that stay inside of it, got {info.orig_filename!r}"
            f"{', a symbolic link' if link else ''}. Don't unpack it."
        )


def _is_hidden(name: str) -> bool:
    """Files that systems leave behind, such as .DS_Store and __MACOSX."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
