"""Binary tables of a FITS file, plain or gzip, decompressing no more than was asked for.

``astropy.io.fits`` unpacks a whole ``.gz`` file to reach its first table and builds every column
lazily through several layers; an event list needs a header, a dtype and one buffer. Columns that
need more than that (scaled, bit, variable-length) are still handed to astropy.
"""

from __future__ import annotations

import gzip
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from ._schema import EventFileError

BLOCK = 2880
MAX_HEADER_BLOCKS = 400
# Deflate cannot pack better than this, so a header that promises more is damaged.
MAX_DEFLATE_RATIO = 1032

_CODES = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_CARD_STRING = re.compile(r"\s*'((?:[^']|'')*)'")
_TFORM = re.compile(r"\s*(\d*)([A-Z])")
_STRUCTURE = re.compile(
    r"^(SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|EXTEND|TFIELDS|THEAP|CHECKSUM|DATASUM"
    r"|COMMENT|HISTORY|CONTINUE|(TTYPE|TFORM|TUNIT|TDIM|TNULL|TSCAL|TZERO|TDISP|TC\w+)\d+)?$"
)

Header = dict[str, Any]


def parse_header(block: bytes) -> Header:
    """Read 80-character cards into a dict; the first of a repeated keyword counts."""
    text = block.decode("latin-1")
    header: Header = {}
    for start in range(0, len(text), 80):
        key, mark, rest = text[start : start + 8].rstrip(), text[start + 8 : start + 10], None
        if key == "END":
            break
        if mark != "= " or key in header:
            continue
        rest = text[start + 10 : start + 80]
        quoted = _CARD_STRING.match(rest)
        if quoted:
            header[key] = quoted.group(1).replace("''", "'").rstrip()
        else:
            header[key] = _parse_value(rest.split("/", 1)[0].strip())
    return header


def _parse_value(token: str) -> Any:
    if token in ("T", "F"):
        return token == "T"
    for kind in (int, float):
        try:
            return kind(token.replace("D", "E"))
        except ValueError:
            continue
    return token or None


def describe_contents(header: Header) -> dict[str, Any]:
    """Keep the keywords that say something about the data, not about the layout of the file."""
    return {key: value for key, value in header.items() if not _STRUCTURE.match(key)}


def get_number(header: Header, key: str, default: float | None = None, *, where: str) -> float:
    """Return a numeric keyword; some writers store numbers as strings."""
    value = header.get(key, default)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise EventFileError(
            f"{where}: the keyword {key} must be a number, got {value!r}. "
            "Write it into the header of that HDU."
        ) from None
    return number


class TableHDU:
    """A binary table whose rows are read when asked for, once and in order."""

    def __init__(self, stream: IO[bytes], raw_header: bytes, header: Header, where: str):
        self.header = header
        self.name = str(header.get("EXTNAME", "")).upper()
        self.where = f"{where}[{self.name or '?'}]"
        self.remaining = 0  # bytes of data not read yet
        self.padding = 0
        self._stream = stream
        self._raw_header = raw_header

    def _integer(self, key: str) -> int:
        value = self.header.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise EventFileError(
                f"{self.where}: {key} must be an integer >= 0, got {value!r}. "
                "The header is damaged: fetch the file again."
            )
        return value

    def matches(self, *names: str) -> bool:
        """Tell whether this HDU has one of these names or classes."""
        keys = ("HDUCLAS4", "HDUCLAS2", "HDUCLAS1")
        classes = {self.name, *(str(self.header.get(key, "")).upper() for key in keys)}
        return not classes.isdisjoint(name.upper() for name in names)

    @property
    def n_rows(self) -> int:
        """Rows the header promises."""
        return self._integer("NAXIS2")

    @property
    def row_size(self) -> int:
        """Bytes per row."""
        return self._integer("NAXIS1")

    def read_exactly(self, size: int) -> bytes:
        """Read ``size`` bytes of this HDU or say that the file is truncated."""
        data = self._stream.read(size)
        if len(data) != size:
            raise EventFileError(
                f"{self.where} must hold {size} more bytes, got {len(data)}. "
                "The file is truncated: fetch it again."
            )
        self.remaining -= size
        return data

    def _layout(self) -> np.dtype | None:
        """Return the dtype of one row, or None when a column needs astropy's machinery."""
        fields: list[Any] = []
        for i in range(1, self._integer("TFIELDS") + 1):
            name = str(self.header.get(f"TTYPE{i}", f"col{i}")).strip()
            match = _TFORM.match(str(self.header.get(f"TFORM{i}", "")))
            special = any(f"{key}{i}" in self.header for key in ("TSCAL", "TZERO", "TNULL"))
            if match is None or special:
                return None
            repeat = int(match.group(1) or 1)
            code = match.group(2)
            if code == "A":
                fields.append((name, f"S{repeat}"))
            elif code not in _CODES:
                return None
            elif repeat == 1:
                fields.append((name, _CODES[code]))
            else:
                fields.append((name, _CODES[code], self._shape(i, repeat)))
        dtype = np.dtype(fields)
        if dtype.itemsize != self.row_size:
            raise EventFileError(
                f"{self.where}: NAXIS1 must equal the {dtype.itemsize} bytes of its columns, "
                f"got {self.row_size}. The header is damaged: fetch the file again."
            )
        return dtype

    def _shape(self, i: int, repeat: int) -> tuple[int, ...]:
        sizes = re.findall(r"\d+", str(self.header.get(f"TDIM{i}", "")))
        shape = tuple(int(size) for size in reversed(sizes))
        return shape if shape and int(np.prod(shape, dtype=object)) == repeat else (repeat,)

    def read_columns(self, n_rows: int | None = None) -> dict[str, np.ndarray]:
        """Read the next ``n_rows`` rows (all by default): name -> native-endian array."""
        n_rows = self.n_rows if n_rows is None else n_rows
        layout = self._layout()
        if layout is None:
            return self._read_with_astropy(n_rows)
        rows = np.frombuffer(self.read_exactly(n_rows * self.row_size), dtype=layout)
        return {name: _make_native(rows[name]) for name in layout.names or ()}

    def _read_with_astropy(self, n_rows: int) -> dict[str, np.ndarray]:
        heap = self._integer("PCOUNT")
        if heap and n_rows != self.n_rows:
            raise EventFileError(
                f"{self.where} has variable-length columns and cannot be read in pieces. "
                "Read it whole with read_events."
            )
        data = self.read_exactly(n_rows * self.row_size + heap)
        padding = b"\0" * (-len(data) % BLOCK)
        columns = {}
        with warnings.catch_warnings():
            # What astropy would mend and warn about, we refuse.
            warnings.simplefilter("error", AstropyWarning)
            try:
                header = fits.Header.fromstring(self._raw_header)
                header["NAXIS2"] = n_rows
                raw = header.tostring().encode("ascii") + data + padding
                table = fits.BinTableHDU.fromstring(raw)
                for column in table.columns:
                    value = _make_native(np.asarray(table.data[column.name]))
                    if column.null is not None and value.dtype.kind in "iu":
                        value = np.ma.masked_equal(value, column.null)
                    columns[column.name] = value
            except (AstropyWarning, fits.VerifyError) as error:
                raise EventFileError(
                    f"{self.where} must follow the FITS standard, got: {error}. "
                    "The header is damaged: fetch the file again."
                ) from error
        return columns

    def get_units(self) -> dict[str, str]:
        """Return column name -> unit string for the columns that have one."""
        count = range(1, self._integer("TFIELDS") + 1)
        pairs = ((self.header.get(f"TTYPE{i}"), self.header.get(f"TUNIT{i}")) for i in count)
        return {str(name).strip(): str(unit).strip() for name, unit in pairs if name and unit}


def _make_native(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "S":
        return np.char.rstrip(np.char.decode(array, "latin-1"), "\0 ")
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


@contextmanager
def open_stream(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, through gzip when its first bytes say so; damage becomes one sentence."""
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        stream = gzip.GzipFile(fileobj=plain) if packed else plain
        try:
            yield stream  # type: ignore[misc]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise EventFileError(
                f"{path.name} must be a complete gzip file, got: {error}. "
                "It is truncated or damaged: fetch it again."
            ) from error


def iter_hdus(path: Path, stream: IO[bytes]) -> Iterator[TableHDU]:
    """Walk the HDUs in the order of the file; what the caller leaves unread is skipped."""
    limit = path.stat().st_size * (MAX_DEFLATE_RATIO if isinstance(stream, gzip.GzipFile) else 1)
    while raw := _read_header_bytes(stream, path.name):
        hdu = TableHDU(stream, raw, parse_header(raw), path.name)
        size = _data_size(hdu)
        if size > limit:
            raise EventFileError(
                f"{hdu.where} promises {size} bytes, more than the file can hold. "
                "The file is truncated or its header damaged: fetch it again."
            )
        hdu.remaining, hdu.padding = size, -size % BLOCK
        yield hdu
        _skip(stream, hdu)


def _read_header_bytes(stream: IO[bytes], where: str) -> bytes:
    blocks: list[bytes] = []
    while True:
        block = stream.read(BLOCK)
        if not blocks and (not block or not block.strip(b"\0 ")):
            return b""
        if len(block) != BLOCK or len(blocks) >= MAX_HEADER_BLOCKS:
            raise EventFileError(
                f"{where} ends inside a FITS header, or is not a FITS file. "
                "It is truncated or damaged: fetch it again."
            )
        blocks.append(block)
        if any(block[i : i + 8] == b"END     " for i in range(0, BLOCK, 80)):
            return b"".join(blocks)


def _data_size(hdu: TableHDU) -> int:
    n_axes = hdu._integer("NAXIS")
    if not n_axes:
        return 0
    size = abs(int(get_number(hdu.header, "BITPIX", where=hdu.where))) // 8
    for i in range(1, min(n_axes, 999) + 1):
        size *= hdu._integer(f"NAXIS{i}")
    # PCOUNT bytes of heap follow the table; GCOUNT is 1 for everything but random groups.
    heap = hdu.header.get("PCOUNT", 0)
    return size + (heap if isinstance(heap, int) and heap > 0 else 0)


def _skip(stream: IO[bytes], hdu: TableHDU) -> None:
    while hdu.remaining:
        hdu.read_exactly(min(hdu.remaining, 1 << 20))
    stream.read(hdu.padding)  # some writers leave out the padding of the last block


def drain(stream: IO[bytes]) -> None:
    """Read to the end, so that gzip checks its checksum."""
    while stream.read(1 << 20):
        pass
