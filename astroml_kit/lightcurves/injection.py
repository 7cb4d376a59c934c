"""Planets put into real noise: what a search finds of them, and what a classifier learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.table import QTable

from .._validation import check_columns, check_real, check_same_length, invalid
from ..samples import Samples
from .curves import OFFSETS, LightCurves
from .transit_shape import LIMB, transit_duration, transit_flux

PERIOD_MATCH = 0.01
VETTING_FEATURES = (
    "snr", "n_transits", "odd_even", "secondary_share", "secondary_ratio", "ingress", "depth_chi2",
    "dominance", "weakest_share", "asymmetry", "shoulder", "duration_ratio", "duty_cycle",
    "sine_share", "noise_factor", "depth_over_scatter", "contrast", "bump",
)  # fmt: skip


def inject_transits(
    curves: LightCurves,
    *,
    period: Any,
    radius_ratio: Any,
    impact: Any = 0.0,
    density: Any = 1.0,
    epoch: Any = None,
    limb_darkening: tuple[float, float] = LIMB,
    exposure: float | None = None,
    random_state: np.random.Generator | int | None = None,
) -> LightCurves:
    """Dim light curves as a planet would, before anything is done to them.

    Inject into what the telescope gave, not into detrended flux: a detrending that eats transits
    is part of what is measured.

    Parameters
    ----------
    curves : LightCurves
        Flux or magnitudes.
    period, radius_ratio, impact, density : float or array_like, shape (n_objects,)
        Days; radius and smallest distance in stellar radii; of the star, in the Sun's.
    epoch : float or array_like, optional
        Mid-transit in the days of ``curves.time``; random within the first period without it.
    limb_darkening : (float, float)
        Quadratic coefficients.
    exposure : float, optional
        Days over which a point averages; each curve's median cadence without it.
    random_state : Generator, int or None
        For the epochs.

    Returns
    -------
    LightCurves
        ``objects`` has ``injected_period``, ``injected_epoch``, ``injected_radius_ratio``,
        ``injected_impact``, ``injected_duration`` (days), ``injected_depth`` (largest) and
        ``injected_snr``: of the injected light itself over the scatter of neighbouring points, if
        that were white.

    Raises
    ------
    ValueError
        For a period, radius ratio or density that is not above 0.

    Examples
    --------
    >>> from astroml_kit.lightcurves import simulate_lightcurves
    >>> stars = simulate_lightcurves("constant", n=3, survey="tess", random_state=1)
    >>> stars = inject_transits(stars, period=[2.0, 3.0, 5.0], radius_ratio=0.1, random_state=1)
    >>> stars.objects["injected_depth"].round(3).tolist()
    [0.012, 0.012, 0.012]
    """
    n = len(curves)
    given = {"period": period, "radius_ratio": radius_ratio, "impact": impact, "density": density}
    for name in ("period", "radius_ratio", "density"):
        check_real(name, given[name], above=0)
    check_real("impact", impact, at_least=0)
    given["epoch"] = 0.0 if epoch is None else epoch
    try:
        of = {k: np.broadcast_to(np.asarray(v, float), (n,)) for k, v in given.items()}
    except ValueError as error:
        raise ValueError(
            f"period, radius_ratio, impact, density and epoch must have one entry for each of the "
            f"{n} light curves, or be numbers."
        ) from error
    when = of.pop("epoch")
    if epoch is None:
        start = np.array([curves.time[a] if a < b else 0.0 for a, b in _get_rows(curves)])
        when = start + np.random.default_rng(random_state).random(n) * of["period"]
    value = curves.value.copy()
    depth, snr = np.zeros(n), np.zeros(n)
    for number, (low, high) in enumerate(_get_rows(curves)):
        if high - low < 2:
            continue
        days = curves.time[low:high]
        flux = transit_flux(
            days, epoch=when[number], limb_darkening=limb_darkening,
            exposure=float(np.median(np.diff(days))) if exposure is None else exposure,
            **{key: column[number] for key, column in of.items()},
        )  # fmt: skip
        used = ~curves.mask[low:high]
        if curves.unit == "mag":
            scatter = 0.921 * _find_scatter(value[low:high][used])
            value[low:high] -= 2.5 * np.log10(flux)
        else:
            scatter = _find_scatter(value[low:high][used]) / abs(np.median(value[low:high][used]))
            value[low:high] *= flux
        depth[number] = 1 - flux.min()
        snr[number] = np.sqrt(np.sum((1 - flux[used]) ** 2)) / scatter if scatter > 0 else np.inf
    objects = curves.objects.copy()
    for name in ("period", "radius_ratio", "impact"):
        objects[f"injected_{name}"] = of[name].copy()
    objects["injected_epoch"] = np.array(when)
    objects["injected_duration"] = transit_duration(
        of["period"], radius_ratio=of["radius_ratio"], impact=of["impact"], density=of["density"]
    )
    objects["injected_depth"], objects["injected_snr"] = depth, snr
    return replace(curves, value=value, objects=objects)


def _get_rows(curves: LightCurves) -> list[tuple[int, int]]:
    return list(zip(curves.offsets[:-1].tolist(), curves.offsets[1:].tolist(), strict=True))


def _find_scatter(value: np.ndarray) -> float:
    step = np.diff(value)
    return (
        float(1.4826 * np.median(np.abs(step - np.median(step))) / np.sqrt(2)) if len(step) else 0
    )


def match_transits(candidates: QTable, curves: LightCurves) -> np.ndarray:
    """Tell which candidates are the planet that was injected.

    Parameters
    ----------
    candidates : QTable
        From `find_transits` on ``curves``.
    curves : LightCurves
        From `inject_transits`.

    Returns
    -------
    ndarray of bool, shape (n_candidates,)
        Period within 1 % and mid-transit within half of the duration. Half or twice of the period
        does not count.

    Raises
    ------
    ValueError
        When nothing was injected, or a candidate is of another star.
    """
    check_columns(curves.objects.colnames, ["injected_period"], where="curves.objects")
    place = {name: number for number, name in enumerate(curves.names.astype(str))}
    unknown = [name for name in candidates["name"] if name not in place]
    if unknown:
        raise invalid("candidates", "of the stars in curves", unknown[:3])
    rows = np.array([place[name] for name in candidates["name"]], dtype=int)
    if not len(rows):
        return np.zeros(0, dtype=bool)
    true = {
        key: np.asarray(curves.objects[f"injected_{key}"])[rows]
        for key in ("period", "epoch", "duration")
    }
    epoch = candidates["epoch"].jd1 - OFFSETS[curves.time_format] + candidates["epoch"].jd2
    away = (epoch - true["epoch"]) / true["period"]
    away = np.abs(away - np.round(away)) * true["period"]
    close = np.abs(candidates["period"].to_value("day") / true["period"] - 1) < PERIOD_MATCH
    return close & (away < 0.5 * true["duration"])


def make_vetting_samples(candidates: QTable, *, y: Any = None, groups: Any = None) -> Samples:
    """Turn candidates into features for a classifier, NaN where one cannot be measured.

    Period and depth are not among them: they would teach what was injected, not what a planet is.

    Parameters
    ----------
    candidates : QTable
        From `find_transits`, with ``snr_min=0`` so that noise is there to learn from.
    y : array_like of int, optional
        1 for planets.
    groups : array_like, optional
        What must not be split; the stars' names without it.

    Returns
    -------
    Samples
        Columns as in ``VETTING_FEATURES``.

    Examples
    --------
    >>> from astroml_kit.lightcurves import find_transits, simulate_lightcurves
    >>> stars = simulate_lightcurves("transit", n=4, survey="tess", random_state=1)
    >>> samples = make_vetting_samples(find_transits(stars, snr_min=0))
    >>> samples.X.shape
    (4, 18)
    """
    columns = {
        name: np.asarray(candidates[name], dtype=float)
        for name in VETTING_FEATURES
        if name in candidates.colnames
    }
    snr = columns["snr"]
    columns["secondary_share"] = np.asarray(candidates["secondary_snr"]) / snr
    columns["secondary_ratio"] = candidates["secondary_depth"] / candidates["depth"]
    columns["weakest_share"] = candidates["weakest"] * np.sqrt(candidates["n_transits"]) / snr
    duration = candidates["duration"].to_value("day")
    columns["duty_cycle"] = duration / candidates["period"].to_value("day")
    X = np.column_stack([columns[name] for name in VETTING_FEATURES]).reshape(
        len(candidates), len(VETTING_FEATURES)
    )
    X[~np.isfinite(X)] = np.nan
    names = np.asarray(candidates["name"]) if groups is None else np.asarray(groups)
    return Samples(X, y=y, groups=names, feature_names=VETTING_FEATURES)


@dataclass(frozen=True)
class Recovery:
    """How many injected planets a search found, in bins of period and depth.

    Attributes
    ----------
    period_edges, depth_edges : ndarray
        Days; depth, or whatever it was binned by, named ``of``.
    n_injected, n_recovered : ndarray of int, shape (n_periods, n_depths)
    of : str
    """

    period_edges: np.ndarray
    depth_edges: np.ndarray
    n_injected: np.ndarray
    n_recovered: np.ndarray
    of: str = "depth"

    @property
    def share(self) -> np.ndarray:
        """Recovered over injected; NaN in empty bins."""
        with np.errstate(invalid="ignore"):
            return self.n_recovered / self.n_injected

    @property
    def error(self) -> np.ndarray:
        """One standard deviation of the share, by Wilson (1927): never 0 at shares of 0 or 1."""
        n = np.maximum(self.n_injected, 1)
        p = self.n_recovered / n
        width = np.sqrt(p * (1 - p) / n + 0.25 / n**2) / (1 + 1 / n)
        return np.where(self.n_injected > 0, width, np.nan)

    def __str__(self) -> str:
        lines = [
            f"{int(self.n_recovered.sum())} of {int(self.n_injected.sum())} injected planets "
            f"recovered; period [d] down, {self.of} across"
        ]
        heads = (
            f"{low:.3g}-{high:.3g}"
            for low, high in zip(self.depth_edges[:-1], self.depth_edges[1:], strict=True)
        )
        lines.append(" " * 14 + "".join(f"{head:>18}" for head in heads))
        for row, low in enumerate(self.period_edges[:-1]):
            cells = (
                f"{share:8.2f} +- {error:4.2f}" if np.isfinite(share) else "-"
                for share, error in zip(self.share[row], self.error[row], strict=True)
            )
            head = f"{low:.3g}-{self.period_edges[row + 1]:.3g}"
            lines.append(f"{head:>14}" + "".join(f"{cell:>18}" for cell in cells))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, ready for JSON."""
        names = ("period_edges", "depth_edges", "n_injected", "n_recovered")
        return {**{name: getattr(self, name).tolist() for name in names}, "of": self.of}


def measure_recovery(
    recovered: Any,
    *,
    period: Any,
    depth: Any,
    period_edges: Sequence[float] | np.ndarray,
    depth_edges: Sequence[float] | np.ndarray,
    of: str = "depth",
) -> Recovery:
    """Count recovered injections in bins of period and depth (or radius, or signal to noise).

    Parameters
    ----------
    recovered : array_like of bool, shape (n,)
        One per injection.
    period, depth : array_like of float, shape (n,)
    period_edges, depth_edges : array_like of float
        Increasing; what lies outside is not counted.
    of : str
        What ``depth`` is, for titles.

    Examples
    --------
    >>> found = measure_recovery([True, True, False], period=[1, 2, 3], depth=[9, 9, 2],
    ...                          period_edges=[0, 5], depth_edges=[0, 5, 10], of="snr")
    >>> found.share.tolist()
    [[0.0, 1.0]]
    """
    check_same_length(recovered=recovered, period=period, depth=depth)
    found = np.asarray(recovered, dtype=bool)
    edges = [check_real("period_edges", period_edges), check_real("depth_edges", depth_edges)]
    for name, one in zip(("period_edges", "depth_edges"), edges, strict=True):
        if one.ndim != 1 or len(one) < 2 or np.any(np.diff(one) <= 0):
            raise invalid(name, "at least two increasing numbers", one)
    x, y = np.asarray(period, float), np.asarray(depth, float)
    injected = np.histogram2d(x, y, bins=edges)[0].astype(int)
    counted = np.histogram2d(x[found], y[found], bins=edges)[0].astype(int)
    return Recovery(edges[0], edges[1], injected, counted, of)
