"""Pixels of PNG and JPEG files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from .._validation import import_extra

MOST_PIXELS = 2**26  # 8192 squared; a decompression bomb beyond
MODES = {"L": "L", "1": "L", "P": "RGB", "PA": "RGBA", "RGB": "RGB", "RGBA": "RGBA", "LA": "LA",
         "I;16": "I;16", "I;16B": "I;16B", "I": "I"}  # fmt: skip


def is_picture(head: bytes) -> bool:
    """Whether the first bytes are those of a PNG or JPEG file."""
    return head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))


def read_picture(content: bytes) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Planes (n_bands, h, w), mask (h, w) where a picture is transparent, and names of planes.

    The planes are a view of pixels that lie by bands in memory; row 0 is the top.
    """
    Image: Any = import_extra("PIL.Image", extra="images")
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                raise ValueError(f"it has {width} x {height} pixels, more than {MOST_PIXELS}")
            if picture.mode not in MODES:
                raise ValueError(f"its colours are {picture.mode}, which have no bands")
            mode = MODES[picture.mode]
            if picture.mode == "P" and "transparency" in picture.info:
                mode = "RGBA"
            pixels = np.asarray(picture if mode == picture.mode else picture.convert(mode))
    except Image.DecompressionBombError as error:
        raise ValueError(f"it has more than {MOST_PIXELS} pixels") from error
    except (OSError, SyntaxError, EOFError) as error:
        raise ValueError(f"it is no whole PNG or JPEG file: {error}") from error
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    mask = None
    if mode.endswith("A"):
        planes, mask = planes[:-1], planes[-1] == 0
    return planes, mask, ("red", "green", "blue") if len(planes) == 3 else ()
