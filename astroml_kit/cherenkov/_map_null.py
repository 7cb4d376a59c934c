"""What the significances of a map are where no source is: they must be a standard normal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.signal import fftconvolve

# Below this background a Poisson number is visibly no normal one, whatever the map does right.
MIN_BACKGROUND = 5.0


@dataclass(frozen=True)
class NullFit:
    """A Gaussian fitted to the significances outside the excluded regions.

    Attributes
    ----------
    mean, mean_error, width, width_error : float
        Maximum likelihood, and standard errors that know how far neighbouring pixels share their
        events; NaN when there are no pixels.
    n_pixels : int
        Pixels used: not excluded, and with at least 5 background counts.
    n_independent : float
        As many independent numbers would give the mean with that error.
    """

    mean: float
    mean_error: float
    width: float
    width_error: float
    n_pixels: int
    n_independent: float

    def __str__(self) -> str:
        if not self.n_pixels:
            return "no pixels outside the exclusions"
        return (
            f"outside sources mean {self.mean:+.3f} +- {self.mean_error:.3f}, "
            f"width {self.width:.3f} +- {self.width_error:.3f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return asdict(self)


def fit_null(significance: np.ndarray, kernel: np.ndarray) -> NullFit:
    """Fit the finite entries; ``kernel`` is the disc of pixels that each of them summed."""
    values = significance[np.isfinite(significance)]
    if not values.size:
        return NullFit(*(float("nan"),) * 4, 0, 0.0)
    # correlation of two pixels: the share of the disc that they have in common
    disc = kernel.astype(float)
    shared = fftconvolve(disc, disc[::-1, ::-1]) / disc.sum()
    mean, width = float(values.mean()), float(values.std())
    independent = max(values.size / float(shared.sum()), 1.0)
    of_squares = max(values.size / float((shared**2).sum()), 1.0)
    return NullFit(
        mean,
        float(width / np.sqrt(independent)),
        width,
        float(width / np.sqrt(2 * of_squares)),
        int(values.size),
        independent,
    )
