"""What galaxies look like, in numbers: size, shape, concentration, asymmetry, clumps, knots."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from .._validation import check_columns, check_real, invalid
from ..samples import Samples
from .stamps import Stamps

FLAGS = {
    1: "fewer than 20 usable pixels along the edges: no sky",
    2: "nothing above the threshold in the middle",
    4: "the galaxy touches an edge",
    8: "the stamp has no room for the aperture: measured in the largest circle",
    16: "no Petrosian radius within the stamp",
    32: "masked pixels in the galaxy or beside it",
    64: "signal to noise per pixel below 2.5",
    128: "r20 below 1 pixel: not resolved",
}
_UNITS = {
    **dict.fromkeys(("x", "y", "x_turning", "y_turning", "semi_major", "semi_minor", "r20", "r50",
                     "r80", "petrosian_radius", "aperture"), u.pix),
    "area": u.pix**2, "orientation": u.deg,
}  # fmt: skip
_IN_UNIT_OF_IMAGE = ("background", "noise", "flux", "neighbour_flux")
_DESCRIPTIONS = {
    "x": "centre of the light, 0 is the middle of the first pixel", "y": "as x",
    "background": "level of the sky", "noise": "standard deviation of the sky per pixel",
    "flux": "within the aperture", "snr": "mean of the galaxy's pixels over the noise",
    "area": "of the galaxy's own pixels", "semi_major": "square root of the larger second moment",
    "semi_minor": "square root of the smaller second moment",
    "ellipticity": "1 - semi_minor / semi_major",
    "orientation": "of the major axis, from x towards y",
    "x_turning": "centre of least asymmetry", "y_turning": "centre of least asymmetry",
    "petrosian_radius": "where the brightness is 0.2 of the mean within",
    "aperture": "radius, 1.5 Petrosian radii where there is room",
    "r20": "radius with 20 % of the flux", "r50": "radius with half of the flux",
    "r80": "radius with 80 % of the flux", "concentration": "5 log10(r80 / r20)",
    "asymmetry": "of the image turned by 180 degrees, that of the sky taken out",
    "asymmetry_outer": "the same beyond r50",
    "asymmetry_shape": "the same of the outline",
    "smoothness": "share of light in clumps, that of the sky taken out",
    "gini": "Gini coefficient of the pixels, 0 even, 1 all in one",
    "m20": "log10 of the second moment of the brightest 20 %, over that of all",
    "multimode": "area of the second region above any level over that of the first",
    "intensity": "light around the second peak over that around the first",
    "deviation": "from the brightest pixel to the centre, over the radius of the area",
    "n_peaks": "peaks that rise 3 sigma above the pass to a higher one",
    **{f"fourier_{m}": f"amplitude of {m} waves around the centre, r20 to r80"
       for m in range(1, 5)},
    "n_neighbours": "other sources in the stamp", "neighbour_flux": "their flux",
    "flag": "sum of the numbers in meta['flags'] that apply, 0 if all is well",
}  # fmt: skip
_BATCH = 256  # stamps at a time in double precision
_FEATURES = (
    "log_snr", "log_r50", "log_area", "ellipticity", "concentration", "asymmetry",
    "asymmetry_outer", "asymmetry_shape", "smoothness", "gini", "m20", "multimode", "intensity",
    "deviation", "n_peaks", "fourier_1", "fourier_2", "fourier_3", "fourier_4", "n_neighbours",
    "neighbour_share", "petrosian_ratio", "flag",
)  # fmt: skip


def measure_shapes(
    images: Any,
    *,
    mask: Any = None,
    band: str | int = "mean",
    background: Any = None,
    noise: Any = None,
    threshold: float = 2.0,
    frame: float = 0.1,
    mask_neighbours: bool = True,
) -> QTable:
    """Measure size, shape and morphology of the galaxy in the middle of each stamp.

    Parameters
    ----------
    images : Stamps or array_like, shape (n, h, w) or (n, n_bands, h, w)
    mask : array_like of bool, same shape, optional
        True: not to be used. Pixels that are masked in the stamps or not finite are not used
        either, in no band if they are bad in one that is.
    band : "mean", str or int
        Name or number of the band to measure, or the mean of all.
    background : float or array_like, shape (n,), optional
        Level of the sky; measured in a frame along the edges if omitted.
    noise : float or array_like, shape (n,), optional
        Standard deviation of the sky per pixel, pixels being independent; measured if omitted.
    threshold : float
        The galaxy's own pixels are those that stand so many sigma above the sky in the mean of
        3 x 3 pixels, and touch each other and the brightest near the middle.
    frame : float
        Width of the frame, as a share of the shorter side; at least 2 pixels.
    mask_neighbours : bool
        Leave out what stands 2.5 times as high as the threshold apart from the galaxy.

    Returns
    -------
    QTable
        A row per stamp: ``id``, the columns described in it, with several bands ``flux_<band>``
        and ``colour_<band>_<next band>`` [mag] in the same aperture, and ``flag``. What could not
        be measured is NaN, and the flag says why; ``meta["flags"]`` has the meanings.

    Raises
    ------
    ValueError
        For images of another shape, an unknown band, or options out of range.

    Notes
    -----
    Petrosian radius with eta = 0.2 on circles; concentration of circles with 20 and 80 % of the
    light within 1.5 Petrosian radii; Gini and M20 over the pixels that are brighter, smoothed
    over a fifth of the Petrosian radius, than the galaxy is there: Lotz, Primack & Madau (2004),
    doi:10.1086/421849. Asymmetry and smoothness within the same 1.5 radii, smoothed over a
    quarter of the Petrosian radius and without the inner quarter: Conselice (2003),
    doi:10.1086/375001, in the form of Rodriguez-Gomez et al. (2019), doi:10.1093/mnras/sty3345,
    where only light above the smoothed image counts. Outer and shape asymmetry: Wen, Zheng & An
    (2014), doi:10.1088/0004-637X/787/2/130, and Pawlik et al. (2016), doi:10.1093/mnras/stv2878,
    on the galaxy's own pixels. Multimode, intensity and deviation: Freeman et al. (2013),
    doi:10.1093/mnras/stt1016, with peaks that rise 3 sigma instead of all.

    The centre of asymmetry moves in steps of half a pixel, so that pixels fall on pixels: turned
    images are not interpolated and their noise stays as it is. A compact galaxy sampled with less
    than some three pixels per resolution element has an asymmetry from up to a quarter of a pixel
    that is left. Turning a stamp by 90 degrees or mirroring it changes nothing but x, y and the
    orientation; neither does its scale.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64]
    >>> disc = np.exp(-np.hypot(x - 31.5, y - 31.5) / 4)
    >>> shapes = measure_shapes(disc[None], background=0, noise=0)
    >>> print(shapes["r50"].round(2), shapes["concentration"].round(2).tolist())
    [6.56] pix [2.73]
    """
    planes, bad, names, unit = _read_images(images, mask)
    n, n_bands = planes.shape[:2]
    chosen = _choose_band(band, names, n_bands)
    options: dict[str, Any] = {
        "background": _read_level("background", background, n),
        "noise": _read_level("noise", noise, n, at_least=0),
        "threshold": float(check_real("threshold", threshold, at_least=0)),
        "frame": float(check_real("frame", frame, above=0, at_most=0.5)),
        "mask_neighbours": bool(mask_neighbours),
    }
    columns, flux, flags, n_bad = _measure(planes, bad, chosen, **options)
    table = QTable(meta={"flags": dict(FLAGS), "band": band, "threshold": options["threshold"],
                         "n_masked": n_bad})  # fmt: skip
    table["id"] = images.table["id"] if isinstance(images, Stamps) else np.arange(n)
    for name, values in columns.items():
        scale = unit if name in _IN_UNIT_OF_IMAGE else _UNITS.get(name)
        table[name] = values if scale is None else values * scale
    if n_bands > 1:
        _add_colours(table, flux, names or tuple(map(str, range(n_bands))), unit)
    table["flag"] = flags
    for name, text in _DESCRIPTIONS.items():
        table[name].info.description = text
    return table


def extract_shape_features(
    stamps: Any,
    *,
    label: str | None = None,
    group: str | None = "id",
    **measure_kwargs: Any,
) -> Samples:
    """Shapes of each stamp as features: numbers that turning, mirroring and scaling leave alone.

    Parameters
    ----------
    stamps : Stamps or array_like
        As for `measure_shapes`.
    label : str, optional
        Column of the stamps' table that becomes ``y``.
    group : str or None
        Column that says what must never be split between training and test.
    **measure_kwargs
        Options of `measure_shapes`.

    Returns
    -------
    Samples
        ``X`` of shape (n, n_features), NaN where something could not be measured;
        ``meta["n_flagged"]`` counts the stamps with a flag.

    Raises
    ------
    ValueError
        As `measure_shapes`; for a label without a table, or columns that are not there.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64]
    >>> disc = np.exp(-np.hypot(x - 31.5, y - 31.5) / 4)
    >>> samples = extract_shape_features(disc[None], background=0, noise=0.01)
    >>> samples.feature_names[:5]
    ('log_snr', 'log_r50', 'log_area', 'ellipticity', 'concentration')
    """
    table = measure_shapes(stamps, **measure_kwargs)
    value = {name: np.asarray(getattr(column, "value", column), dtype=float)
             for name, column in table.items() if name != "id"}  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore"):
        value |= {f"log_{name}": np.log10(value[name]) for name in ("snr", "r50", "area")}
        value["neighbour_share"] = value["neighbour_flux"] / value["flux"]
        value["petrosian_ratio"] = value["petrosian_radius"] / value["r50"]
    names = (*_FEATURES, *(name for name in table.colnames if name.startswith("colour_")))
    X = np.column_stack([value[name] for name in names])
    X[~np.isfinite(X)] = np.nan
    y = groups = None
    if isinstance(stamps, Stamps):
        like = stamps.to_samples(label, group)
        y, groups = like.y, like.groups
    elif label is not None:
        raise invalid("label", "None for arrays, which have no table", label, "Give Stamps.")
    meta = {"n_flagged": int(np.count_nonzero(table["flag"])), "flags": table.meta["flags"]}
    return Samples(X, y=y, groups=groups, feature_names=names, meta=meta)


def _read_images(
    images: Any, mask: Any
) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...], Any]:
    """Planes (n, n_bands, h, w), what is masked in them, names of bands, unit."""
    names: tuple[str, ...] = ()
    unit, own = None, None
    if isinstance(images, Stamps):
        planes, names, unit, own = images.images, images.bands, images.unit, images.mask
    else:
        planes = np.asarray(images)
        if planes.ndim == 3:
            planes = planes[:, None]
    if planes.ndim != 4 or 0 in planes.shape[1:] or planes.dtype.kind not in "biuf":
        raise invalid("images", "numbers of shape (n, h, w) or (n, n_bands, h, w)", planes.shape,
                      "One image is image[None].")  # fmt: skip
    if mask is None:
        return planes, own, names, unit
    given = np.asarray(mask, dtype=bool)
    if given.ndim == 3:
        given = given[:, None]
    try:
        given = np.broadcast_to(given, planes.shape)
    except ValueError:
        raise invalid("mask", f"of the shape of images {planes.shape}", given.shape) from None
    return planes, given if own is None else own | given, names, unit


def _choose_band(band: str | int, names: tuple[str, ...], n_bands: int) -> int | None:
    if band == "mean":
        return None
    if isinstance(band, str):
        check_columns(names, [band], where="bands")
        return names.index(band)
    if not 0 <= band < n_bands:
        raise invalid("band", f'"mean", a name or a number below {n_bands}', band)
    return int(band)


def _read_level(name: str, value: Any, n: int, **bounds: Any) -> np.ndarray:
    """One number per stamp, NaN for all where it is to be measured."""
    if value is None:
        return np.full(n, np.nan)
    level = check_real(name, value, **bounds)
    if level.shape not in ((), (n,)):
        raise invalid(name, f"a number, or one for each of the {n} stamps", value)
    return np.broadcast_to(level, (n,)).copy()


def _measure(
    planes: np.ndarray,
    mask: np.ndarray | None,
    chosen: int | None,
    *,
    background: np.ndarray,
    noise: np.ndarray,
    threshold: float,
    frame: float,
    mask_neighbours: bool,
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, int]:
    """Columns, light per band, flags and number of unusable pixels, a batch at a time."""
    from ._shape_loop import COLUMNS, measure_bands, measure_stamps

    n, n_bands = planes.shape[:2]
    out, flux = np.full((n, len(COLUMNS)), np.nan), np.full((n, n_bands), np.nan)
    flags, n_bad = np.zeros(n, dtype=int), 0
    for start in range(0, n, _BATCH):
        rows = slice(start, min(start + _BATCH, n))
        part = planes[rows].astype(float, order="C")
        wrong = _find_bad(planes[rows], None if mask is None else mask[rows], chosen)
        n_bad += int(np.count_nonzero(wrong))
        image = part.mean(axis=1) if chosen is None else part[:, chosen].copy()
        out[rows], flags[rows] = measure_stamps(
            image, wrong, background[rows], noise[rows], threshold, frame, not mask_neighbours
        )
        if n_bands > 1:
            flux[rows] = measure_bands(part, wrong, out[rows], frame)
    columns = dict(zip(COLUMNS, out.T, strict=True))
    place = list(columns).index("orientation")
    with np.errstate(invalid="ignore", divide="ignore"):
        ellipticity = 1 - columns["semi_minor"] / columns["semi_major"]
    items = list(columns.items())
    return dict([*items[:place], ("ellipticity", ellipticity), *items[place:]]), flux, flags, n_bad


def _find_bad(planes: np.ndarray, mask: np.ndarray | None, chosen: int | None) -> np.ndarray:
    """Pixels that cannot be used, shape (n, h, w): the mean of bands needs every one of them."""
    if mask is None and planes.dtype.kind in "biu":
        return np.zeros((len(planes), *planes.shape[2:]), dtype=bool)
    wrong = ~np.isfinite(planes)
    if mask is not None:
        wrong |= mask
    return wrong.any(axis=1) if chosen is None else wrong[:, chosen].copy()


def _add_colours(table: QTable, flux: np.ndarray, names: tuple[str, ...], unit: Any) -> None:
    for name, light in zip(names, flux.T, strict=True):
        table[f"flux_{name}"] = light if unit is None else light * unit
    good = np.where(flux > 0, flux, np.nan)
    for k in range(len(names) - 1):
        colour = -2.5 * np.log10(good[:, k] / good[:, k + 1])
        table[f"colour_{names[k]}_{names[k + 1]}"] = colour * u.mag
