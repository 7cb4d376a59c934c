"""Pixels of sky images to what eyes and networks take: a range that faint and bright share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .._validation import check_choice, check_real, invalid
from .image import SkyImage
from .stamps import Stamps

CURVES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "linear": lambda x, a: x,
    "percentile": lambda x, a: x,
    "sqrt": lambda x, a: np.sqrt(x),
    "log": lambda x, a: np.log1p(a * x) / np.log1p(a),
    "asinh": lambda x, a: np.arcsinh(a * x) / np.arcsinh(a),
}
METHODS = (*CURVES, "lupton")
# What reaches from the faint to the bright end where nothing is said, in percent of the pixels.
PERCENTILES = {"linear": (0.0, 100.0), "percentile": (1.0, 99.0)}
USUAL_PERCENTILES = (1.0, 99.8)
BENDS = {"asinh": 10.0, "log": 1000.0}
CHUNK = 256  # images stretched at a time
MOST_MEASURED = 2**22  # pixels that limits are measured from


@dataclass(frozen=True)
class Stretch:
    """Limits of one survey, to bring other images to the same range.

    Attributes
    ----------
    method : str
    low, high : tuple of float
        Pixel values that become 0 and 1, one per band; of "lupton" the sky and the bright end.
    bend : float
        How much of the range the faint end gets, see `stretch_images`.
    n_images : int
        That they were measured from.
    bands : tuple of str

    Examples
    --------
    >>> print(Stretch("asinh", (0.0,), (5.0,), 10.0, n_images=100))
    Stretch: asinh from 0 to 5, measured from 100 images
    """

    method: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    bend: float
    n_images: int
    bands: tuple[str, ...] = ()

    def __str__(self) -> str:
        names = self.bands or ("",) * len(self.low)
        parts = [f"{name} {low:.4g} to {high:.4g}".strip()
                 for name, low, high in zip(names, self.low, self.high, strict=True)]  # fmt: skip
        return (
            f"Stretch: {self.method} from {', '.join(parts)}, measured from {self.n_images} images"
        )

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return asdict(self)


def stretch_images(
    images: Any,
    *,
    method: str = "asinh",
    limits: Stretch | tuple[float, float] | None = None,
    percentiles: tuple[float, float] | None = None,
    bend: float | None = None,
    q: float = 8.0,
    fill: float = 0.0,
) -> Any:
    """Bring pixel values to [0, 1], so that faint and bright structure are both seen.

    Each image has limits of its own, whatever others are with it, unless ``limits`` are given:
    those of a survey from `measure_stretch`, or two numbers.

    Parameters
    ----------
    images : Stamps, SkyImage or ndarray, shape (n, n_bands, h, w) or (n_bands, h, w) or (h, w)
        Masked pixels, and those that are not finite, count for nothing.
    method : {"asinh", "lupton", "percentile", "linear", "log", "sqrt"}
        With x from 0 to 1 between the limits: asinh(bend x) / asinh(bend); x between the
        percentiles 1 and 99, or 0 and 100; ln(1 + bend x) / ln(1 + bend); the root of x.
        "lupton" makes one colour image of three bands, red first, and keeps their ratios where
        they are bright.
    limits : Stretch or (low, high), optional
    percentiles : (float, float), optional
        Of the good pixels of a band, which become 0 and 1; (1, 99.8) where nothing else is said.
        Of "lupton", where they are (50, 99.8), the first is the sky of a band.
    bend : float, optional
        Of asinh (10) and log (1000): the larger, the more of the range the faint end gets. Of
        "lupton" (5): its stretch is the range of the limits, as a mean of the bands, divided by
        this.
    q : float
        Of "lupton", its Q.
    fill : float
        What masked pixels become.

    Returns
    -------
    Stamps, SkyImage or ndarray of float32
        As what was given, without unit; values outside of the limits are 0 and 1. A band without
        any spread is 0 throughout.

    Raises
    ------
    ValueError
        For "lupton" of other than three bands, limits of another method or number of bands, and
        bounds that are not in order.

    References
    ----------
    Lupton et al. 2004, doi:10.1086/382245.

    Examples
    --------
    >>> sky = np.array([[[0.0, 1.0, 2.0, 4.0]]])
    >>> stretch_images(sky, method="linear").tolist()
    [[[0.0, 0.25, 0.5, 1.0]]]
    >>> stretch_images(sky, method="sqrt", limits=(0, 16)).tolist()
    [[[0.0, 0.25, 0.3535533845424652, 0.5]]]
    """
    check_choice("method", method, METHODS)
    check_real("fill", fill)
    check_real("q", q, above=0)
    bend = _choose_bend(method, bend)
    pixels, bad = _take_pixels(images)
    if method == "lupton" and pixels.shape[1] != 3:
        raise invalid("images", "of three bands for 'lupton', red first", pixels.shape[1])
    percentiles = _check_percentiles(method, percentiles)
    found = np.empty(pixels.shape, dtype=np.float32)
    for start in range(0, len(pixels), CHUNK):
        some = slice(start, start + CHUNK)
        low, high = _find_limits(pixels[some], bad[some], method, limits, percentiles)
        light = np.where(bad[some], 0, pixels[some] - low[..., None, None])
        width = (high - low)[..., None, None]
        if method == "lupton":
            mixed = _mix_lupton(light, width.mean(axis=1, keepdims=True) / bend, q)
        else:
            x = np.clip(light / np.where(width > 0, width, 1), 0, 1)
            mixed = np.where(width > 0, CURVES[method](x, bend), 0)
        found[some] = np.where(bad[some], fill, mixed)
    return _give_back(images, found)


def measure_stretch(
    images: Any,
    *,
    method: str = "asinh",
    percentiles: tuple[float, float] | None = None,
    bend: float | None = None,
    rng: np.random.Generator | int | None = 0,
) -> Stretch:
    """Measure limits from the images of a survey, to apply them to others.

    Parameters
    ----------
    images : Stamps, SkyImage or ndarray
        As for `stretch_images`.
    method, percentiles, bend
        As for `stretch_images`; the percentiles are of the good pixels of all images together.
    rng : Generator, int or None
        Draws the pixels where there are more than four million in a band.

    Returns
    -------
    Stretch

    Raises
    ------
    ValueError
        For a band without good pixels.

    Examples
    --------
    >>> survey = np.random.default_rng(0).normal(100, 5, (20, 1, 16, 16))
    >>> limits = measure_stretch(survey, percentiles=(50, 99))
    >>> other = stretch_images(survey[:3] + 1, limits=limits)
    >>> print(limits, other.shape)
    Stretch: asinh from 99.89 to 111.4, measured from 20 images (3, 1, 16, 16)
    """
    check_choice("method", method, METHODS)
    bend = _choose_bend(method, bend)
    percentiles = _check_percentiles(method, percentiles)
    pixels, bad = _take_pixels(images)
    rng = np.random.default_rng(rng)
    low, high = [], []
    for band in range(pixels.shape[1]):
        good = pixels[:, band][~bad[:, band]]
        if good.size > MOST_MEASURED:
            good = rng.choice(good, MOST_MEASURED, replace=False)
        if not good.size:
            raise invalid("images", f"good in some pixels of band {band}", "none")
        ends = np.percentile(good, percentiles)
        low.append(float(ends[0]))
        high.append(float(ends[1]))
    bands = tuple(getattr(images, "bands", ()))
    return Stretch(method, tuple(low), tuple(high), bend, len(pixels), bands)


def _choose_bend(method: str, bend: float | None) -> float:
    if bend is None:
        return {**BENDS, "lupton": 5.0}.get(method, 1.0)
    return float(check_real("bend", bend, above=0))


def _check_percentiles(method: str, percentiles: tuple[float, float] | None) -> tuple[float, float]:
    if percentiles is None:
        return (50.0, 99.8) if method == "lupton" else PERCENTILES.get(method, USUAL_PERCENTILES)
    ends = check_real("percentiles", percentiles, at_least=0, at_most=100)
    if ends.shape != (2,) or ends[0] >= ends[1]:
        raise invalid("percentiles", "two in order", percentiles)
    return float(ends[0]), float(ends[1])


def _take_pixels(images: Any) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, n_bands, h, w) and which are bad."""
    if isinstance(images, Stamps):
        return images.images, np.asarray(images.mask)
    if isinstance(images, SkyImage):
        return images.planes[None], images.mask.reshape(images.planes.shape)[None]
    pixels = np.asarray(images)
    if pixels.ndim not in (2, 3, 4) or pixels.dtype.kind not in "biuf":
        raise invalid("images", "of shape (n, n_bands, h, w), (n_bands, h, w) or (h, w)", images)
    pixels = pixels.reshape((1,) * (4 - pixels.ndim) + pixels.shape)
    if pixels.dtype.kind != "f":
        return pixels, np.zeros(pixels.shape, dtype=bool)
    return pixels, ~np.isfinite(pixels)


def _find_limits(
    pixels: np.ndarray, bad: np.ndarray, method: str, limits: Any,
    percentiles: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """What becomes 0 and 1, each (n or 1, n_bands)."""
    n_bands = pixels.shape[1]
    if isinstance(limits, Stretch):
        if limits.method != method:
            raise invalid("limits", f"measured for method {method!r}", limits.method)
        if len(limits.low) != n_bands:
            raise invalid("limits", f"of {n_bands} bands", len(limits.low))
        return np.array([limits.low]), np.array([limits.high])
    if limits is not None:
        ends = check_real("limits", limits)
        if ends.shape != (2,) or ends[0] >= ends[1]:
            raise invalid("limits", "a Stretch or two numbers in order", limits)
        return np.full((1, n_bands), ends[0]), np.full((1, n_bands), ends[1])
    flat = pixels.reshape(*pixels.shape[:2], -1)
    if not bad.any():
        found = np.percentile(flat, percentiles, axis=-1)
        return found[0].astype(float), found[1].astype(float)
    found = np.zeros((2, *flat.shape[:2]))
    hidden = bad.reshape(flat.shape)
    for row in np.ndindex(*flat.shape[:2]):
        good = flat[row][~hidden[row]]
        if good.size:
            found[:, row[0], row[1]] = np.percentile(good, percentiles)
    return found[0], found[1]


def _mix_lupton(light: np.ndarray, width: np.ndarray, q: float) -> np.ndarray:
    """Colour images from light above the sky, their brightest channel at most 1.

    The mean of the bands goes through asinh(q I / width) / q with the slope that a width of light
    fills a tenth of the range, and every band is scaled by the same number.
    """
    mean = light.mean(axis=1, keepdims=True)
    slope = 0.1 / np.arcsinh(0.1 * q)
    positive = (mean > 0) & (width > 0)
    safe = np.where(positive, mean, 1)
    scale = np.where(
        positive, slope * np.arcsinh(q * safe / np.where(width > 0, width, 1)) / safe, 0
    )
    colour = np.clip(light * scale, 0, None)
    return colour / np.maximum(colour.max(axis=1, keepdims=True), 1)


def _give_back(images: Any, found: np.ndarray) -> Any:
    if isinstance(images, Stamps):
        return replace(images, images=found, uncertainty=None, unit=None)
    if isinstance(images, SkyImage):
        data = found[0] if images.data.ndim == 3 else found[0, 0]
        return replace(images, data=data, uncertainty=None, unit=None)
    return found.reshape(np.asarray(images).shape)
