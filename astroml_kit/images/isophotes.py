"""Features of galaxies for models: two isophotes and their surroundings, or lobes on an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._validation import invalid
from ..samples import Samples
from .stamps import Stamps

SMALLEST = 24  # pixels along a side
Measure = Callable[[np.ndarray, np.ndarray | None], dict[str, float]]


def extract_isophote_features(
    stamps: Any, *, label: str | None = None, group: str | None = "id"
) -> Samples:
    """Describe a galaxy within two isophotes, around it, and by its colours.

    Parameters
    ----------
    stamps : Stamps or array_like, shape (n, n_bands, side, side) or (n, side, side)
        Square stamps with the galaxy in the middle, 24 pixels and more along a side.
    label : str, optional
        Column of the stamps' table that becomes ``y``.
    group : str or None
        Column that says what must never be split between training and test.

    Returns
    -------
    Samples
        ``X`` of shape (n, n_features), finite. ``meta["masked"]`` counts stamps with masked
        pixels, which are taken to be sky.

    Raises
    ------
    ValueError
        For stamps that are not square, too small, or not finite where they are not masked.

    Notes
    -----
    The isophotes lie at 10 and 30 % of the central brightness, no lower than 2 sigma: a galaxy
    and its companion are often one source at the first and two at the second. Within each: axis
    ratios, Gini and M20 (Lotz, Primack & Madau 2004, doi:10.1086/421849), what is left when the
    mean elliptical profile is taken out, waves around the centre in two elliptical rings, and the
    profile. Beside them asymmetry, clumps and the multimode of Freeman et al. (2013,
    doi:10.1093/mnras/stt1016), the brightest peaks off the middle, and light and colours in
    annuli. Quarter turns, mirror images, the scale of pixels and that of brightness change
    nothing but rounding.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64] - 31.5
    >>> galaxy = np.exp(-np.hypot(x, 2 * y) / 6)
    >>> samples = extract_isophote_features(galaxy[None])
    >>> column = samples.feature_names.index("high_axis_ratio")
    >>> bool(abs(samples.X[0, column] - 0.5) < 0.05)
    True
    """
    planes, bad = _read_planes(stamps)
    from ._isophote_measures import Canvas, measure_stamp

    canvas = Canvas(planes.shape[-1])
    return _collect(stamps, planes, bad, lambda one, wrong: measure_stamp(one, wrong, canvas),
                    label, group)  # fmt: skip


def extract_lobe_features(
    stamps: Any, *, label: str | None = None, group: str | None = "id"
) -> Samples:
    """Describe how the light of a radio galaxy lies along its axis.

    Parameters
    ----------
    stamps : Stamps or array_like, shape (n, n_bands, side, side) or (n, side, side)
        Square stamps with the host in the middle; the mean of the bands is used.
    label, group
        As in `extract_isophote_features`.

    Returns
    -------
    Samples
        As from `extract_isophote_features`. ``wide_`` features are of all parts of the source
        within 40 % of the side from the middle, ``near_`` ones of those within 17 %;
        ``fanaroff_riley`` is the distance between the brightest spots of both sides over the
        whole extent.

    Raises
    ------
    ValueError
        As `extract_isophote_features`.

    References
    ----------
    Fanaroff & Riley 1974, doi:10.1093/mnras/167.1.31P.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64] - 31.5
    >>> double = sum(np.exp(-((x - x0) ** 2 + y**2) / 8) for x0 in (-15, 15))
    >>> jet = np.exp(-np.abs(x) / 8 - y**2 / 8)
    >>> samples = extract_lobe_features(np.stack([double, jet]))
    >>> column = samples.feature_names.index("wide_light_fanaroff_riley")
    >>> (samples.X[:, column] > 0.5).tolist()
    [True, False]
    """
    planes, bad = _read_planes(stamps)
    from ._isophote_measures import Canvas, subtract_sky
    from ._lobe_measures import measure_lobes

    canvas = Canvas(planes.shape[-1])

    def measure(one: np.ndarray, wrong: np.ndarray | None) -> dict[str, float]:
        return measure_lobes(subtract_sky(one, wrong, canvas)[0].mean(axis=0))

    return _collect(stamps, planes, bad, measure, label, group)


def _read_planes(stamps: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Planes of shape (n, n_bands, side, side), and what is masked in any of them or None."""
    own = isinstance(stamps, Stamps)
    planes = stamps.images if own else np.asarray(stamps)
    if planes.ndim == 3:
        planes = planes[:, None]
    square = planes.ndim == 4 and planes.shape[2] == planes.shape[3] >= SMALLEST
    if not square or 0 in planes.shape or planes.dtype.kind not in "biuf":
        raise invalid(
            "stamps", f"square images of {SMALLEST} x {SMALLEST} pixels and more, of shape "
            "(n, n_bands, side, side)", planes.shape, "Cut or pad them."
        )  # fmt: skip
    bad = stamps.mask.any(axis=1) if own and stamps.mask.any() else None
    wrong = ~np.isfinite(planes).all(axis=1) if planes.dtype.kind == "f" else None
    if wrong is not None and (wrong if bad is None else wrong & ~bad).any():
        raise invalid("stamps", "finite", "NaN or infinity", "Give Stamps, which mask them.")
    return planes, bad


def _collect(
    stamps: Any,
    planes: np.ndarray,
    bad: np.ndarray | None,
    measure: Measure,
    label: str | None,
    group: str | None,
) -> Samples:
    if label is not None and not isinstance(stamps, Stamps):
        raise invalid("label", "None for arrays, which have no table", label, "Give Stamps.")
    rows: list[np.ndarray] = []
    names: tuple[str, ...] = ()
    for k, one in enumerate(planes):
        wrong = bad[k] if bad is not None and bad[k].any() else None
        found = measure(one.astype(np.float32), wrong)
        names = names or tuple(found)
        rows.append(np.fromiter(found.values(), dtype=np.float32, count=len(names)))
    y = groups = None
    if isinstance(stamps, Stamps):
        known = stamps.to_samples(label, group)
        y, groups = known.y, known.groups
    masked = 0 if bad is None else int(bad.any(axis=(1, 2)).sum())
    return Samples(np.array(rows), y=y, groups=groups, feature_names=names,
                   meta={"masked": masked})  # fmt: skip
