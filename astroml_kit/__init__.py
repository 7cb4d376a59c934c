"""Machine learning that finds more sources in astronomical data, and says by how much.

The rooms, each imported by name (``from astroml_kit.significance import OnOffCounts``):

=================  ==============================================================
``significance``   counts in, numbers out: Li & Ma, limits, trials, the gain
``samples``        what every domain hands to every model
``datasets``       named data sets, checked by sha256
``cherenkov``      event tables, ON/OFF geometry, Hillas features
``models``         the zoo: scikit-learn's contract, arrays in, arrays out
``evaluation``     group splits, ROC at fixed background, calibration
``plotting``       ``plot_*(result, *, ax=None) -> ax``
``reanalysis``     the straight line from files to a detection gain
=================  ==============================================================
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .reanalysis import reanalyse
    from .samples import Samples

__version__ = "0.1.0"

_HOMES = {"Samples": ".samples", "reanalyse": ".reanalysis"}
_ROOMS = ("cherenkov", "datasets", "evaluation", "models", "plotting", "reanalysis", "samples",
          "significance")  # fmt: skip

__all__ = ["Samples", "__version__", "reanalyse"]


def __getattr__(name: str) -> object:
    """Load a room or a front-door name when it is first asked for."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name], __name__), name)
    if name in _ROOMS:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'astroml_kit' has no attribute {name!r}; it has {__dir__()}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS])
