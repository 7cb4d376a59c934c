"""Sky images: read with mask and WCS, cut out, stretched, measured and searched."""

from .cutouts import extract_stamps
from .image import SkyImage
from .io import iter_stamps, read_image, read_stamps
from .lenses import deflect_sis, simulate_lenses
from .simulation import simulate_stamps
from .stamps import Stamps

__all__ = [
    "SkyImage",
    "Stamps",
    "deflect_sis",
    "extract_stamps",
    "iter_stamps",
    "read_image",
    "read_stamps",
    "simulate_lenses",
    "simulate_stamps",
]
