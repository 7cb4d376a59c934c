"""The zip around a model: a checksum over every byte, and bounds on all that is read from it."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath

COMMENT = b"sha256:"
COMMENT_LENGTH = len(COMMENT) + 64
SUFFIXES = (".txt", ".safetensors")
# Far above any model of ours, far below what would fill a memory.
MOST_BYTES, MOST_MEMBERS, MOST_JSON = 2**30, 10_000, 2**24


class ModelFileError(ValueError):
    """The file is damaged, hostile, of a newer format, or not a model file at all."""


def pack_members(members: Mapping[str, bytes]) -> bytes:
    """Zip the members with fixed dates: the same model gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        archive.comment = COMMENT + b"0" * 64
    content = buffer.getvalue()[:-COMMENT_LENGTH]
    return content + COMMENT + hashlib.sha256(content).hexdigest().encode()


def unpack_members(content: bytes) -> dict[str, bytes]:
    """Return the members after checking the checksum, the names and the sizes."""
    body, comment = content[:-COMMENT_LENGTH], content[-COMMENT_LENGTH:]
    if not content.startswith(b"PK\x03\x04") or not comment.startswith(COMMENT):
        raise ModelFileError(
            "it must be a model file, which is a zip that ends in its own checksum. "
            "It is another kind of file, or cut off."
        )
    if comment != COMMENT + hashlib.sha256(body).hexdigest().encode():
        raise ModelFileError("its bytes do not match its checksum: it is damaged. Copy it again.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            _check_members(infos)
            return {info.filename: _read_member(archive, info) for info in infos}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise ModelFileError(f"its zip cannot be read: {error}.") from error
    except zlib.error as error:
        raise ModelFileError(f"its zip cannot be decompressed: {error}.") from error


def _check_members(infos: list[zipfile.ZipInfo]) -> None:
    names = [info.filename for info in infos]
    if len(infos) > MOST_MEMBERS or len(set(names)) != len(names):
        raise ModelFileError("its members must be few and have different names.")
    if "model.json" not in names:
        raise ModelFileError("it must hold model.json.")
    for name in names:
        parts = PurePosixPath(name).parts
        plain = parts and all(part not in ("..", ".", "/") for part in parts)
        ours = name == "model.json" or (name.startswith("weights/") and name.endswith(SUFFIXES))
        if not (plain and ours and "\\" not in name and str(PurePosixPath(name)) == name):
            raise ModelFileError(
                "a member must be model.json or weights/*.txt or weights/*.safetensors, "
                f"got {name[:60]!r}"
            )
    for info in infos:
        if info.filename == "model.json" and info.file_size > MOST_JSON:
            raise ModelFileError(f"model.json must be at most {MOST_JSON} bytes.")
    total = sum(info.file_size for info in infos)
    if total > MOST_BYTES:
        raise ModelFileError(f"its members must be at most {MOST_BYTES} bytes, got {total}.")


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Read one member and no more than it declares."""
    with archive.open(info) as file:
        data = file.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise ModelFileError(f"{info.filename} must have the size that it declares.")
    return data
