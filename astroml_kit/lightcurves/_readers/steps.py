"""What one file says, in one shape for every format, and how many such become `LightCurves`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table

from ..curves import OFFSETS, SCALES, LightCurves


@dataclass(frozen=True)
class ReadOptions:
    """What the caller of `read_lightcurves` said; every reader gets all of it."""

    unit: str | None = None
    time_format: str | None = None
    time_scale: str | None = None
    columns: tuple[tuple[str, str], ...] = ()
    names: str = "column"
    quality: str | int = "default"
    flux: str | None = None
    aperture: int = 0


@dataclass
class FileSteps:
    """The steps of a file: arrays of shape (n_steps,), ``code`` pointing into ``names``."""

    time: np.ndarray
    value: np.ndarray
    unit: str
    time_format: str
    time_scale: str
    names: np.ndarray
    code: np.ndarray
    error: np.ndarray | None = None
    band: np.ndarray | None = None
    flagged: np.ndarray | None = None
    limit: np.ndarray | None = None
    known: dict[str, Any] = field(default_factory=dict)
    reference: str = ""
    n_dropped: int = 0
    reader: str = "table"


@dataclass(frozen=True)
class Frame:
    """What all steps of a collection share."""

    unit: str
    time_format: str
    time_scale: str


def zero_point(time_format: str) -> float:
    """Julian date at which ``time_format`` begins; "jd-2450000" and the like included.

    Raises
    ------
    ValueError
        For a format that nobody knows.
    """
    if time_format in OFFSETS:
        return OFFSETS[time_format]
    start, _, number = time_format.partition("-")
    if start == "jd" and number.isdigit():
        return float(number)
    raise ValueError(
        f"time_format must be one of {list(OFFSETS)} or like 'jd-2450000', got {time_format!r}."
    )


def settle_scale(said: str | None, options: ReadOptions, *, where: str) -> str:
    """Return the time scale that the file or the caller says.

    Raises
    ------
    ValueError
        When neither says it, when they contradict each other, and for an unknown one.
    """
    wanted = options.time_scale
    if said is None and wanted is None:
        raise ValueError(
            f"time_scale must be said for {where}, got None: 'tdb' for barycentric dates of space "
            "missions, 'utc' for most ground-based surveys."
        )
    if said is not None and wanted not in (None, said):
        raise ValueError(
            f"time_scale must be {said!r}, as {where} says, got {wanted!r}. Leave it out."
        )
    scale = said or wanted
    if scale not in SCALES:
        raise ValueError(f"time_scale must be one of {list(SCALES)}, got {scale!r}.")
    return scale


def settle_unit(said: str | None, options: ReadOptions, *, where: str) -> str:
    """Return the unit that the file or, where it says none or nonsense, the caller says.

    Raises
    ------
    ValueError
        When neither says one that astropy knows.
    """
    for unit, place in ((said, where), (options.unit, "the argument unit")):
        if unit is None:
            continue
        try:
            return u.Unit(unit).to_string()
        except (ValueError, TypeError) as error:
            problem = f"{unit!r} in {place}"
            if place != where or options.unit is None:
                raise ValueError(
                    f"unit must be one that astropy knows, got {problem}. Say it with unit='...'."
                ) from error
    raise ValueError(
        f"unit must be said for {where}, got None: 'mag', 'mJy', '' for a normalized flux."
    )


def drop_rows_without_time(steps: FileSteps, *, where: str) -> FileSteps:
    """Leave out rows that have no time, gaps and not steps, and count them.

    Raises
    ------
    ValueError
        When no row has a time.
    """
    if steps.reference:
        steps.known["time_reference"] = [steps.reference] * len(steps.names)
    good = np.isfinite(steps.time)
    if good.all() and len(good):
        return steps
    if not good.any():
        raise ValueError(f"{where} must hold steps with a time, got {len(good)} without.")
    steps.n_dropped += int((~good).sum())
    for name in ("time", "value", "code", "error", "band", "flagged", "limit"):
        if (part := getattr(steps, name)) is not None:
            setattr(steps, name, part[good])
    left, steps.code = np.unique(steps.code, return_inverse=True)
    steps.names = steps.names[left]
    steps.known = {key: np.asarray(part)[left] for key, part in steps.known.items()}
    return steps


def find_frame(first: FileSteps, options: ReadOptions) -> Frame:
    """Return what all files are turned into: what the caller said, or else what the first has."""
    time_format = options.time_format or first.time_format
    zero_point(time_format)
    if time_format not in OFFSETS:
        time_format = "mjd"
    unit = first.unit if options.unit is None else settle_unit(None, options, where="")
    return Frame(unit, time_format, first.time_scale)


def convert_steps(steps: FileSteps, frame: Frame) -> FileSteps:
    """Bring the steps of a file into the frame of the others.

    Raises
    ------
    ValueError
        When they have another scale, or a unit that does not convert.
    """
    if steps.time_scale != frame.time_scale:
        raise ValueError(
            f"time_scale must be {frame.time_scale!r} as in the other files, got "
            f"{steps.time_scale!r}. Read it apart."
        )
    if steps.time_format != frame.time_format:
        shift = zero_point(steps.time_format) - zero_point(frame.time_format)
        steps.time, steps.time_format = steps.time + shift, frame.time_format
    if steps.unit != frame.unit:
        try:
            factor = u.Unit(steps.unit).to(u.Unit(frame.unit))
        except u.UnitConversionError as error:
            raise ValueError(
                f"unit must be {frame.unit!r} or convert to it, got {steps.unit!r}. Read it apart."
            ) from error
        steps.value, steps.unit = steps.value * factor, frame.unit
        if steps.error is not None:
            steps.error = steps.error * factor
    return steps


def join_steps(
    parts: Sequence[FileSteps], frame: Frame, *, meta: Mapping[str, Any] | None = None
) -> LightCurves:
    """Make one collection of files that are in one frame; what is masked is counted by reason.

    Objects keep the order of the files, and within a file that of their names.
    """
    names = _join_names([part.names for part in parts])
    starts = np.cumsum([0, *(len(part.names) for part in parts)])
    code = np.concatenate(
        [part.code + start for part, start in zip(parts, starts[:-1], strict=True)]
    )
    unique, first = np.unique(names, return_index=True)
    if len(unique) < len(names):  # an object of several files
        place = np.searchsorted(unique, names)
        kept = np.sort(first)
        code = np.searchsorted(kept, first[place])[code]
    else:
        kept = np.arange(len(names))
    steps = {
        name: _join_optional(parts, name, missing)
        for name, missing in (("error", np.nan), ("band", ""), ("flagged", False), ("limit", False))
    }
    value = np.concatenate([part.value for part in parts])
    flagged, limit = steps.pop("flagged"), steps["limit"]
    curves = LightCurves.from_columns(
        name=code, time=np.concatenate([part.time for part in parts]), value=value, mask=flagged,
        unit=frame.unit, time_format=frame.time_format, time_scale=frame.time_scale, **steps,
    )  # fmt: skip
    objects = Table({"name": names[kept], **_join_known(parts, kept)})
    objects.meta.update(_count_reasons(value, steps["error"], flagged, limit))
    if n_dropped := sum(part.n_dropped for part in parts):
        objects.meta["dropped"] = {"no time": n_dropped}
    objects.meta["readers"] = dict(Counter(part.reader for part in parts))
    objects.meta.update(meta or {})
    object.__setattr__(curves, "objects", objects)
    return curves


def make_empty(frame: Frame, *, meta: Mapping[str, Any]) -> LightCurves:
    """A collection without objects, for a chunk in which no file could be read."""
    none = np.zeros(0)
    objects = Table({"name": np.zeros(0, dtype="U1")}, meta=dict(meta))
    return LightCurves(
        none, none, none, None, none.astype(bool), np.zeros(1, dtype=np.int64), objects,
        frame.unit, frame.time_format, frame.time_scale,
    )  # fmt: skip


def _join_names(parts: Sequence[np.ndarray]) -> np.ndarray:
    numeric = all(part.dtype.kind in "iu" for part in parts)
    return np.concatenate([part if numeric else part.astype(str) for part in parts])


def _join_optional(parts: Sequence[FileSteps], name: str, missing: Any) -> np.ndarray | None:
    """One column; files that lack what others have get ``missing``."""
    if all(getattr(part, name) is None for part in parts):
        return None
    columns = [
        np.full(len(part.time), missing) if (column := getattr(part, name)) is None else column
        for part in parts
    ]
    return np.concatenate(columns)


def _join_known(parts: Sequence[FileSteps], kept: np.ndarray) -> dict[str, np.ndarray]:
    keys = dict.fromkeys(key for part in parts for key in part.known)
    joined = {}
    for key in keys:
        columns = [np.asarray(part.known[key]) for part in parts if key in part.known]
        missing: Any = np.nan if all(column.dtype.kind in "fiu" for column in columns) else ""
        whole = [
            np.asarray(part.known[key]) if key in part.known else np.full(len(part.names), missing)
            for part in parts
        ]
        if missing == "":
            whole = [column.astype(str) for column in whole]
        joined[key] = np.concatenate(whole)[kept]
    return joined


def _count_reasons(
    value: np.ndarray,
    error: np.ndarray | None,
    flagged: np.ndarray | None,
    limit: np.ndarray | None,
) -> dict[str, dict[str, int]]:
    """How many steps are masked for which reason, each under the first that applies."""
    left = np.ones(len(value), dtype=bool)
    finite = np.isfinite(value)
    reasons = {
        "limit": None if limit is None else limit & finite,
        "quality": flagged,
        "value not finite": ~finite,
        "no error above 0": None if error is None else ~(np.isfinite(error) & (error > 0)),
    }
    counts = {}
    for reason, bad in reasons.items():
        if bad is not None and (n := int((bad & left).sum())):
            counts[reason] = n
            left &= ~bad
    return {"masked": counts}
