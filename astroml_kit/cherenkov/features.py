"""From event tables to samples: image parameters, and the combinations of them that classify best.

Only what a camera measures goes in. Left out on purpose: everything ``true_``, pointing, run and
event numbers, absolute times, pedestal statistics, and the position and orientation of an image in
the camera (``hillas_x``, ``hillas_phi``, ...). They tell simulated samples apart, not showers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from astropy.table import QTable

from .._validation import check_choice, check_columns, check_real
from ..samples import Samples
from ._derived import DERIVED, can_derive, derive_feature, describe_image, read_column
from ._showers import average_images, find_events, find_showers

MAGIC = (
    "hillas_length",
    "hillas_width",
    "hillas_log10_size",
    "concentration_2pix",
    "concentration_1pix",
    "asymmetry",
    "m3_long",
    "m3_trans",
    "alpha",
    "distance",
)
INCLUDED = re.compile(
    r"(hillas|leakage|concentration|morphology|intensity|peak_time|timing)_\w+|m[34]_(long|trans)|"
    r"(skewness|kurtosis)_trans|slope_(long|trans|spread|spread_weighted)|"
    r"timespread(_weighted)?|time_gradient_\w+|"
    r"(photoncharge|arrival_time|max_slopes)_shower_\w+"
)
EXCLUDED = re.compile(
    r"hillas_(x|y|phi|psi|fov_lon|fov_lat)|\w*_intercept\w*|"
    r"(peak_time|arrival_time_shower)_(max|min|mean)"
)
# Particle codes of a gamma: ctapipe's and sim_telarray's, CORSIKA's.
GAMMA_CODES = {"true_shower_primary_id": 0, "true_corsika_id": 1}


def list_features() -> QTable:
    """List the derived features.

    Returns
    -------
    `~astropy.table.QTable`
        ``name``, ``formula`` and ``needs`` (the image quantities it is made of).

    Examples
    --------
    >>> table = list_features()
    >>> str(table["formula"][table["name"] == "elongation"][0])
    '1 - W / L'
    """
    rows = [(name, formula, ", ".join(needs)) for name, (formula, needs, _) in DERIVED.items()]
    return QTable(rows=rows, names=("name", "formula", "needs"))


def extract_samples(
    events: QTable,
    *,
    features: str | Sequence[str] = "derived",
    target: str | None = "class",
    per: str = "image",
    min_images: int = 2,
    weights: str | None = None,
) -> Samples:
    """Turn an event table into samples for a model.

    Parameters
    ----------
    events : `~astropy.table.QTable`
        From `read_events`: MAGIC, FACT, ctapipe, or any table with the same column names.
    features : {"derived", "hillas"} or sequence of str
        "hillas": the image parameters as they are. "derived": these and every combination of
        `list_features` that the columns allow. Or names of columns and derived features.
    target : str or None
        "class": 1 for gammas and 0 for everything else, from ``is_gamma`` or the true particle;
        a table without either gives ``y=None``, as None does. The name of a column
        (``"true_energy"``) makes its values ``y``, in that column's unit.
    per : {"image", "event"}
        One sample per telescope image, or per event: for each feature the mean weighted by
        image intensity, the plain mean and the standard deviation over the event's images.
    min_images : int
        With ``per="event"``, events with fewer images are left out and counted in ``meta``.
    weights : str, optional
        Column with sample weights; of the first image with ``per="event"``.

    Returns
    -------
    Samples
        ``groups`` is the shower: images and re-uses of one simulated shower, and exact duplicates
        of a row, share a number. Missing values are NaN. ``meta`` has ``source``, ``per``,
        ``n_missing`` (feature -> rows without it) and ``n_left_out``.

    Raises
    ------
    ValueError
        For unknown features, missing columns, or an empty list of features.

    Examples
    --------
    >>> events = QTable({"hillas_width": [1.0, 2.0], "hillas_length": [4.0, 4.0],
    ...                  "is_gamma": [True, False]})
    >>> samples = extract_samples(events, features=["hillas_width", "elongation"])
    >>> samples.X.tolist(), samples.y.tolist()
    ([[1.0, 0.75], [2.0, 0.5]], [1, 0])
    """
    check_choice("per", per, ("image", "event"))
    check_real("min_images", min_images, at_least=1)
    where = str(events.meta.get("source", "events"))
    image = describe_image(events)
    names = _choose_features(events, features, image, where=where)
    columns = [
        derive_feature(name, image) if name in DERIVED else read_column(events, name)
        for name in names
    ]
    X = np.column_stack(columns) if len(events) else np.empty((0, len(names)))
    X[~np.isfinite(X)] = np.nan
    y = _read_target(events, target, where=where)
    w = None
    if weights is not None:
        check_columns(events.colnames, [weights], where=where)
        w = check_real(f"column {weights}", read_column(events, weights), at_least=0)
    groups = find_showers(events)
    n_left_out = 0
    if per == "event":
        check_columns(events.colnames, ["obs_id", "event_id", "hillas_intensity"], where=where)
        _, first, event = np.unique(find_events(events), return_index=True, return_inverse=True)
        X, n_images = average_images(X, event, read_column(events, "hillas_intensity"))
        suffixes = ("weighted_mean", "mean", "std")
        names = [f"{name}_{suffix}" for suffix in suffixes for name in names]
        names, X = [*names, "n_images"], np.column_stack([X, n_images])
        keep = n_images >= min_images
        n_left_out = int((~keep).sum())
        X, rows = X[keep], first[keep]
        groups = groups[rows]
        y = None if y is None else y[rows]
        w = None if w is None else w[rows]
    missing = np.isnan(X).sum(axis=0)
    meta: dict[str, Any] = {
        "source": where,
        "per": per,
        "n_missing": {name: int(n) for name, n in zip(names, missing, strict=True) if n},
        "n_left_out": n_left_out,
    }
    return Samples(X, y=y, groups=groups, weights=w, feature_names=tuple(names), meta=meta)


def _choose_features(
    events: QTable, features: str | Sequence[str], image: dict[str, np.ndarray], *, where: str
) -> list[str]:
    """Names of the features, in an order that does not depend on the file's."""
    if isinstance(features, str):
        check_choice("features", features, ("derived", "hillas"))
        if events.meta.get("format") == "magic" or set(MAGIC) <= set(events.colnames):
            check_columns(events.colnames, MAGIC, where=where)
            names = list(MAGIC)
        else:
            names = sorted(
                name
                for name in events.colnames
                if INCLUDED.fullmatch(name)
                and not EXCLUDED.fullmatch(name)
                and np.asarray(events[name]).dtype.kind in "iuf"
            )
        if features == "derived":
            names += [name for name in DERIVED if can_derive(name, image)]
        if not names:
            raise ValueError(
                f"{where} must have image parameters, got the columns {events.colnames[:12]}. "
                "DL3 event lists have none: score them with astroml_kit.reanalysis."
            )
        return names
    names = list(features)
    if not names or len(set(names)) != len(names):
        raise ValueError(f"features must be different names, at least one, got {names}.")
    derived = [name for name in names if name in DERIVED]
    check_columns(events.colnames, [n for n in names if n not in derived], where=where)
    for name in derived:
        if not can_derive(name, image):
            lacking = [need for need in DERIVED[name][1] if need not in image]
            raise ValueError(
                f"{name} must have what it is made of, {DERIVED[name][0]}, and {where} has no "
                f"{lacking}. Leave it out."
            )
    return names


def _read_target(events: QTable, target: str | None, *, where: str) -> np.ndarray | None:
    """Labels or values to learn, None where there are none."""
    if target is None:
        return None
    if target != "class":
        check_columns(events.colnames, [target], where=where)
        return read_column(events, target)
    if "is_gamma" in events.colnames:
        return np.asarray(events["is_gamma"]).astype(int)
    for name, code in GAMMA_CODES.items():
        if name in events.colnames:
            return (read_column(events, name) == code).astype(int)
    return None
