"""Sky images: read with mask and WCS, cut out, stretched, measured and searched."""

from .image import SkyImage
from .io import iter_stamps, read_stamps
from .stamps import Stamps

__all__ = [
    "SkyImage",
    "Stamps",
    "iter_stamps",
    "read_stamps",
]
