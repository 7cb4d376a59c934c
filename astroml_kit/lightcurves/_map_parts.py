"""A long job's results as Parquet parts, so that one that was interrupted can go on."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

from astropy.table import QTable

MANIFEST = "_manifest.json"  # readers of Parquet folders pass over names that begin with "_"
WORDS = {
    "input": "another input",
    "function": "another function",
    "state": "another state of the function",
    "chunk_size": "another chunk size",
    "version": "another version of astroml_kit",
}


class Parts:
    """Folder of finished chunks; whoever opens it says what they are made from.

    Parameters
    ----------
    folder : path-like
        New, empty, or of an earlier run.
    made_from : mapping of str
        What must be the same for parts of two runs to belong together; keys are those of `WORDS`.
    resume : bool
        Keep the parts of an earlier run; they are deleted otherwise.

    Raises
    ------
    ValueError
        For a folder of something else, or of a run that was made from something else.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, made_from: dict[str, Any], resume: bool
    ) -> None:
        self.folder = Path(folder)
        manifest = self.folder / MANIFEST
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"output must be a folder, got the file {self.folder}.")
        if manifest.exists() and resume:
            _check_same(self.folder, json.loads(manifest.read_text(encoding="utf-8")), made_from)
        elif manifest.exists():
            for file in self.folder.glob("part-*.parquet"):
                file.unlink()
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise ValueError(
                f"output must be a new or empty folder or that of an earlier run, got "
                f"{self.folder} with other files. Give another one."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        _replace(manifest, lambda file: file.write_text(json.dumps(made_from, indent=1)))

    def list_done(self) -> set[int]:
        """Numbers of the chunks that are there."""
        return {int(file.stem[5:]) for file in self.folder.glob("part-*.parquet")}

    def write(self, number: int, table: QTable) -> None:
        """Keep the result of one chunk: it is there as a whole or not at all."""
        _replace(
            self.folder / f"part-{number:06}.parquet",
            lambda file: table.write(file, format="parquet", overwrite=True),
        )

    def read(self) -> Iterator[tuple[int, QTable]]:
        """Give number and result of all chunks, in order."""
        for file in sorted(self.folder.glob("part-*.parquet")):
            try:
                table = QTable.read(file, format="parquet")
            except (ValueError, OSError) as error:
                raise ValueError(
                    f"{file} must be a whole Parquet file: {error}. Delete it and run again."
                ) from error
            yield int(file.stem[5:]), table


def _check_same(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    changed = [key for key in WORDS if old.get(key) != new.get(key)]
    if changed:
        raise ValueError(
            f"output must be of the same input, function and chunk size, got {folder}, made from "
            f"{' and '.join(WORDS[key] for key in changed)}. Give another folder, or resume=False "
            "to begin anew."
        )


def _replace(place: Path, write: Callable[[Path], Any]) -> None:
    partial_file = place.with_name(place.name + ".partial")
    write(partial_file)
    partial_file.replace(place)


def describe_function(function: Callable[..., Any]) -> dict[str, str]:
    """Name of a function, and a fingerprint of its code and of what it holds.

    Functions that it calls are not looked into.

    Raises
    ------
    ValueError
        When it holds something that cannot be pickled.
    """
    parts = _take_apart(function)
    try:
        state = _make_hasher().hash(parts)
    except Exception as error:
        raise ValueError(
            f"function must hold what can be pickled, got {_name(function)}: {error}."
        ) from error
    return {"function": _name(function), "state": state}


def _make_hasher() -> Any:
    """Joblib's, which knows arrays and sets; tensors, whose pickles hold addresses, as arrays."""
    from joblib.hashing import NumpyHasher

    torch = sys.modules.get("torch")

    class Hasher(NumpyHasher):
        def save(self, obj: Any) -> None:
            if torch is not None and isinstance(obj, torch.Tensor):
                obj = ("tensor", obj.detach().cpu().numpy())
            super().save(obj)

    return Hasher("sha1")


def _name(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def _take_apart(function: Any) -> list[Any]:
    """Code as text, and everything else that a function holds, for joblib's stable hash."""
    if isinstance(function, partial):
        return [_take_apart(function.func), function.args, function.keywords]
    if hasattr(function, "__func__"):  # of an object
        return [_take_apart(function.__func__), function.__self__]
    if not hasattr(function, "__code__"):
        call = type(function).__call__
        code = _describe_code(call.__code__) if hasattr(call, "__code__") else ""
        return [_name(function), code, function]
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    held = [*cells, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()]
    return [
        _name(function),
        _describe_code(function.__code__),
        [_take_apart(part) if callable(part) else part for part in held],
    ]


def _describe_code(code: CodeType) -> str:
    digest = hashlib.sha256(code.co_code)
    digest.update(repr(code.co_names).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            text = _describe_code(constant)
        elif isinstance(constant, frozenset):  # whose order is another in every process
            text = repr(sorted(map(repr, constant)))
        else:
            text = repr(constant)
        digest.update(text.encode())
    return digest.hexdigest()
