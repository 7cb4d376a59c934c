"""Sky images: read with mask and WCS, cut out, stretched, measured and searched."""

from .cutouts import extract_stamps
from .image import SkyImage
from .io import iter_stamps, read_image, read_stamps, write_stamps
from .lenses import deflect_sis, simulate_lenses
from .mapping import MappedStamps, map_stamps
from .shapes import extract_shape_features, measure_shapes
from .simulation import simulate_stamps
from .stamps import Stamps
from .stretch import Stretch, measure_stretch, stretch_images

__all__ = [
    "MappedStamps",
    "SkyImage",
    "Stamps",
    "Stretch",
    "deflect_sis",
    "extract_shape_features",
    "extract_stamps",
    "iter_stamps",
    "map_stamps",
    "measure_shapes",
    "measure_stretch",
    "read_image",
    "read_stamps",
    "simulate_lenses",
    "simulate_stamps",
    "stretch_images",
    "write_stamps",
]
