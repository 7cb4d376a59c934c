"""Puts shapes, cadences and noise together into light curves with their truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.table import Table

from ..._validation import check_choice, check_real, check_same_length, invalid
from ..curves import LightCurves
from .shapes import COLOURS, KINDS, Kind, Steps, make_template_supernova
from .surveys import SURVEYS, Survey, copy_times, draw_times

DETECTED = 3.0  # standard deviations above nothing
COLOUR_SCATTER = 0.15


def simulate_lightcurves(
    kinds: str | Sequence[str] | None = None,
    *,
    n: int | Sequence[int] = 20,
    survey: str | Survey | LightCurves = "asas",
    outliers: float = 0.003,
    noise: bool = True,
    supernova_source: Any = "bazin",
    random_state: np.random.Generator | int | None = None,
) -> LightCurves:
    """Simulate light curves whose class, period and shape are known.

    Parameters
    ----------
    kinds : str or sequence of str, optional
        "agn", "cepheid", "constant", "contact", "delta-scuti", "detached", "mira", "rr-ab",
        "rr-c", "semi-detached", "supernova", "transit"; all of them without it.
    n : int or sequence of int
        Objects of each kind; one number for all or one for each.
    survey : {"asas", "ztf", "kepler", "tess", "fermi"}, Survey or LightCurves
        When each object is looked at and how well. Of given light curves the times, bands and
        errors are copied, those of a random object for each one. Ground-based surveys give
        magnitudes, space missions relative flux, "fermi" photon flux per week.
    outliers : float in [0, 1)
        Share of points that are off by 3 to 30 standard deviations.
    noise : bool
        False returns the light without errors or outliers.
    supernova_source : "bazin", str or sncosmo.Source
        Other than "bazin": what `sncosmo.Model` takes, such as "salt3" (sncosmo loads
        its templates from the network).
    random_state : Generator, int or None
        One seed gives the same curves bit for bit; those of one kind do not depend on how many
        of another there are, but do on the order of the kinds.

    Returns
    -------
    LightCurves
        ``objects`` has name, label, magnitude (mean; of supernovae at maximum), amplitude (full
        range of the light without noise [mag], NaN for supernovae) and what the kinds have:
        period, epoch (in the days of ``time``; maximum light of pulsators and supernovae, primary
        minimum of eclipses and transits), radius_ratio, impact, density, duration, tau, scatter,
        ...; NaN where a kind has no such thing. ``objects.meta["n_undetected"]`` counts points
        too faint to be seen, which are left out: a supernova may have no step at all.

    Raises
    ------
    ValueError
        For a kind or survey that is not known, or a negative number.

    Notes
    -----
    Shapes are templates, not stellar models: pulsators rise and fall as half cosines whose
    periods, amplitudes and rise times follow their class; binaries are two uniform spheres with
    an ellipsoidal term; transits have quadratic limb darkening (Mandel & Agol 2002,
    doi:10.1086/345520); AGN are damped random walks, exact at any times (Kelly et al. 2009,
    doi:10.1088/0004-637X/698/1/895); supernovae follow Bazin et al. (2009). Good for tests,
    tutorials and trends; the scores of a classifier on them say little about real stars.

    Examples
    --------
    >>> curves = simulate_lightcurves(["rr-ab", "constant"], n=[3, 2], survey="ztf",
    ...                               random_state=1)
    >>> len(curves), curves.bands, sorted(set(curves.objects["label"].tolist()))
    (5, ('g', 'r'), ['constant', 'rr-ab'])
    """
    wanted = list(KINDS) if kinds is None else [kinds] if isinstance(kinds, str) else list(kinds)
    for kind in wanted:
        check_choice("kind", kind, KINDS)
    if len(set(wanted)) < len(wanted):
        raise ValueError(f"kinds must be named once each, got {wanted}.")
    counts = list(n) if isinstance(n, Sequence | np.ndarray) else [n] * len(wanted)
    check_same_length(kinds=wanted, n=counts)
    for count in counts:
        if not isinstance(count, int | np.integer) or count < 0:
            raise invalid("n", "an integer >= 0", count)
    if sum(counts) == 0:
        raise invalid("n", "above 0 for at least one kind", n)
    check_real("outliers", outliers, at_least=0, below=1)
    habits, template = _choose(survey)
    generator = np.random.default_rng(random_state)
    parts, tables, n_undetected = [], [], 0
    streams = generator.spawn(len(counts))
    for kind, count, stream in zip(wanted, counts, streams, strict=True):
        if count:
            chosen = KINDS[kind]
            if kind == "supernova" and supernova_source != "bazin":
                chosen = make_template_supernova(supernova_source)
            steps, table, unseen = _simulate_kind(
                kind, chosen, int(count), habits, template, outliers if noise else -1.0, stream
            )
            parts.append(steps)
            tables.append(table)
            n_undetected += unseen
    objects = _join(tables)
    objects.meta["n_undetected"] = n_undetected
    objects.meta["survey"] = survey if isinstance(survey, str) else type(survey).__name__
    time, value, error, band, n_steps = (np.concatenate(part) for part in zip(*parts, strict=True))
    offsets = np.concatenate([[0], np.cumsum(n_steps)])
    return LightCurves(
        time, value, error if noise else None, band.astype(np.int16), np.zeros(len(time), bool),
        offsets, objects, habits.unit, habits.time_format, habits.time_scale, habits.bands,
    )  # fmt: skip


def _choose(survey: str | Survey | LightCurves) -> tuple[Survey, LightCurves | None]:
    if isinstance(survey, Survey):
        return survey, None
    if isinstance(survey, LightCurves):
        days = survey.time[~survey.mask]
        if not len(days):
            raise invalid("survey", "light curves with steps that are used", str(survey))
        value = survey.value[~survey.mask]
        typical = np.nanmedian(survey.error) if survey.error is not None else np.std(value) / 10
        magnitudes = tuple(np.percentile(value, [5, 95])) if survey.unit == "mag" else (12, 12.01)
        if survey.unit not in ("mag", ""):
            raise invalid("survey", "light curves in magnitudes or relative flux", survey.unit)
        return Survey(
            survey.bands or ("",), float(days.min()), float(np.ptp(days)), survey.time_format,
            survey.time_scale, survey.unit, 1.0, magnitudes, float(typical), 12.0, 0.0,
        ), survey  # fmt: skip
    return SURVEYS[check_choice("survey", survey, SURVEYS)], None


def _simulate_kind(
    name: str,
    kind: Kind,
    n: int,
    survey: Survey,
    template: LightCurves | None,
    outliers: float,
    rng: np.random.Generator,
) -> tuple[tuple[np.ndarray, ...], Table, int]:
    # streams of their own keep shapes, times and noise from moving each other
    of_times, of_truth, of_light, of_noise = rng.spawn(4)
    if template is None:
        time, band, n_steps = draw_times(survey, n, of_times)
        known = None
    else:
        time, band, known, n_steps = copy_times(template, n, of_times)
    row = np.repeat(np.arange(n), n_steps)
    truth = kind.draw(n, of_truth, survey)
    mean = of_truth.uniform(*survey.magnitudes, n)
    colour = COLOURS[name] + of_truth.normal(0, COLOUR_SCATTER, n)
    steps = Steps(time - survey.start, row, band, survey.bands, survey)
    change = kind.light(steps, truth, of_light)
    # a band without an entry has no colour term
    zero = np.array([survey.colours.get(band_name, 0.0) for band_name in survey.bands])[band]
    magnitude = mean[row] + zero * colour[row] + change
    error = survey.predict_error(magnitude)
    if known is not None:
        error = np.where(np.isfinite(known), known, error)
    draws = of_noise.standard_normal(len(time))
    wild = of_noise.random(len(time)) < outliers
    size = of_noise.uniform(3, 30, len(time)) * of_noise.choice([-1.0, 1.0], len(time))
    shift = np.where(wild, size, draws) * (outliers >= 0)
    if survey.unit == "mag":
        value = magnitude + shift * error
        seen = (error < 1.0857 / DETECTED) & (magnitude < survey.limit)
    else:
        level = 1.0 if survey.unit == "" else 10 ** (-0.4 * mean[row])
        relative = 10 ** (-0.4 * change)
        # photons are counted: errors shrink with the flux, down to those of the background
        error = error * (np.maximum(relative, 0.05) if survey.unit else 1.0)
        value, error = level * (relative + shift * error), level * error
        seen = np.ones(len(time), dtype=bool)
    table = Table({"name": [f"{name}-{i:05d}" for i in range(n)], "label": [name] * n})
    table["magnitude"], table["amplitude"] = mean, truth.pop("amplitude", _spread(change, row, n))
    for key, column in truth.items():
        table[key] = column + survey.start if key == "epoch" else column
    kept = (time[seen], value[seen], error[seen], band[seen], np.bincount(row[seen], minlength=n))
    return kept, table, int((~seen).sum())


def _spread(change: np.ndarray, row: np.ndarray, n: int) -> np.ndarray:
    """Range of the light of each object over its own steps."""
    high, low = np.full(n, -np.inf), np.full(n, np.inf)
    np.maximum.at(high, row, change)
    np.minimum.at(low, row, change)
    return np.where(np.isfinite(high), high - low, np.nan)


def _join(tables: list[Table]) -> Table:
    """Stack, with NaN where a kind has no such column."""
    names = list(dict.fromkeys(name for table in tables for name in table.colnames))
    joined = Table()
    for name in names:
        joined[name] = np.concatenate(
            [np.asarray(t[name]) if name in t.colnames else np.full(len(t), np.nan) for t in tables]
        )
    return joined
