"""Sky images: read with mask and WCS, cut out, stretched, measured and searched."""

from .classifier import MorphologyClassifier
from .cutouts import extract_stamps
from .detection import (
    Background,
    Detection,
    find_segments,
    find_sources,
    measure_background,
)
from .discovery import (
    extract_anomaly_features,
    find_anomalies,
    find_image_groups,
    find_similar,
)
from .image import SkyImage
from .io import iter_stamps, read_image, read_stamps, write_stamps
from .isophotes import extract_isophote_features, extract_lobe_features
from .lenses import deflect_sis, simulate_lenses
from .mapping import MappedStamps, map_stamps
from .photometry import measure_fluxes
from .shapes import extract_shape_features, measure_shapes
from .simulation import simulate_stamps
from .stamps import Stamps
from .stretch import Stretch, measure_stretch, stretch_images

__all__ = [
    "Background",
    "Detection",
    "MappedStamps",
    "MorphologyClassifier",
    "SkyImage",
    "Stamps",
    "Stretch",
    "deflect_sis",
    "extract_anomaly_features",
    "extract_isophote_features",
    "extract_lobe_features",
    "extract_shape_features",
    "extract_stamps",
    "find_anomalies",
    "find_image_groups",
    "find_segments",
    "find_similar",
    "find_sources",
    "iter_stamps",
    "map_stamps",
    "measure_background",
    "measure_fluxes",
    "measure_shapes",
    "measure_stretch",
    "read_image",
    "read_stamps",
    "simulate_lenses",
    "simulate_stamps",
    "stretch_images",
    "write_stamps",
]
