"""Groups on the sky by density: members, centres, significance against rings, stability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from .._validation import check_real, invalid
from ..models import SkyDBSCAN
from ._overdensity import count_near, count_rings
from ._sphere import Sky, find_separation, is_survey
from ._stability import measure_stability
from .matching import check_radius


@dataclass(frozen=True)
class Groups:
    """Groups among positions, and what belongs to which.

    Attributes
    ----------
    labels : ndarray of int, shape (n_positions,)
        Number of the group of each row, the richest group being 0; -1 without one.
    table : QTable
        A row per group: ``group`` (its number), ``n_members``, ``centre`` (SkyCoord, direction of
        the mean unit vector), ``radius`` (deg, to the farthest member), ``peak`` (row of the
        member with most positions near it), ``n_on``, ``n_off``, ``alpha`` (other positions near
        the peak, those in a ring around the group, and the ratio of their areas),
        ``significance`` of the excess before trials, ``significance_post_trial`` and
        ``stability``. Groups of `find_friends` also have ``redshift`` (median),
        ``velocity_dispersion`` (km/s, see there) and ``distance`` (Mpc, comoving).
        ``meta`` says how they were found.
    n_dropped : int
        Rows without a finite position (or redshift), which are in no group.
    """

    labels: np.ndarray
    table: QTable
    n_dropped: int

    def __len__(self) -> int:
        return len(self.table)

    @property
    def n_members(self) -> int:
        """Rows in some group."""
        return int(np.sum(self.labels >= 0))

    def __str__(self) -> str:
        largest = f", the largest of {self.table['n_members'][0]}" if len(self) else ""
        strong = int(np.sum(self.table["significance_post_trial"] >= 3))
        lost = f"; {self.n_dropped} dropped, not finite" if self.n_dropped else ""
        return (
            f"{len(self)} groups with {self.n_members} of {len(self.labels)} positions{largest}; "
            f"{strong} above 3 sigma after {self.table.meta['n_trials']} trials{lost}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Labels and table as plain lists, ready for JSON; NaN as None."""
        centre = self.table["centre"].icrs
        columns = {"ra": centre.ra.deg, "dec": centre.dec.deg}
        for name in self.table.colnames:
            if name != "centre":
                column = self.table[name]
                columns[name] = np.asarray(getattr(column, "value", column))
        plain = {
            name: [None if value != value else value for value in column.tolist()]
            for name, column in columns.items()
        }
        how = {key: str(value) if isinstance(value, u.Quantity) else value
               for key, value in self.table.meta.items()}  # fmt: skip
        return {
            "labels": self.labels.tolist(), "groups": plain, "n_dropped": self.n_dropped, **how,
        }  # fmt: skip


def find_groups(
    coords: Any,
    *,
    radius: u.Quantity,
    min_samples: int = 5,
    randoms: SkyCoord | None = None,
    n_resamples: int = 0,
    drop: float = 0.1,
    rng: Any = None,
) -> Any:
    """Find groups of positions by their density on the sky.

    Parameters
    ----------
    coords : SkyCoord, shape (n,)
        In any frame; rows with NaN are in no group, and counted. Or a survey, see `open_survey`,
        whose margins reach twice the radius: then the search is done by partition.
    radius : Quantity
        A position with ``min_samples`` positions within it, itself included, is the core of a
        group; cores within it of each other are of one group, and so is what is near them.
    min_samples : int
        See ``radius``.
    randoms : SkyCoord, optional
        Positions that fill the observed field evenly: they tell how much of a disc and a ring was
        observed. Give so many that a disc holds a hundred, or their own noise makes groups
        significant. Without them everything is taken as observed, which makes groups near an edge
        too significant.
    n_resamples : int
        How often to search again without some of the rows, for ``stability``; NaN for 0.
    drop : float in (0, 1)
        Share of rows left out each time.
    rng : Generator, int or None
        Of the resamples.

    Returns
    -------
    Groups
        Of a survey `SurveyGroups`: the same groups up to the numbers, as a lazy column ``group``,
        and a table of members and centres.

    Raises
    ------
    ValueError
        For what is no SkyCoord, a radius that is not above 0, or ``min_samples`` below 1; of
        surveys, for margins that are too narrow, ``randoms`` or ``n_resamples``.

    Notes
    -----
    The clusters of `SkyDBSCAN` (Ester et al. 1996). ``significance`` is that of Li & Ma for the
    positions within ``radius`` of the peak, the peak itself left out, against a ring that begins
    one radius beyond the group and has some 24 times the area. A group was looked for around
    every position, so there are as many trials as positions, an upper bound of independent ones:
    ``significance_post_trial`` takes the exact binomial test where it says less. On even random
    skies 0 to 3 % of searches have a group above 1.64 sigma after trials, where 5 % are allowed.

    ``stability`` is the share of resamples in which some group overlaps by half with what is left
    of this one: intersection over union >= 0.5, Hennig (2007), doi:10.1016/j.csda.2006.11.025.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> ra, dec = rng.uniform(355, 365, 400) % 360, rng.uniform(-5, 5, 400)
    >>> ra[:30], dec[:30] = rng.normal(360, 0.1, 30) % 360, rng.normal(2, 0.1, 30)
    >>> groups = find_groups(SkyCoord(ra, dec, unit="deg"), radius=0.2 * u.deg)
    >>> print(groups)
    2 groups with 37 of 400 positions, the largest of 32; 1 above 3 sigma after 400 trials
    >>> groups.table["n_members"].tolist(), groups.labels[:3].tolist()
    ([32, 5], [0, 0, 0])
    """
    angle = check_radius("radius", radius)
    check_real("min_samples", min_samples, at_least=1)
    if is_survey(coords):
        if randoms is not None or n_resamples:
            raise invalid("randoms and n_resamples", "left out for a survey", n_resamples,
                          "They need all positions in memory.")  # fmt: skip
        from ._survey_groups import find_survey_groups

        return find_survey_groups(coords, angle=angle, min_samples=min_samples)
    sky = Sky.open("coords", coords)
    rows = np.sort(sky.rows)
    sphere = coords.spherical
    place = np.column_stack([sphere.lon.to_value("deg"), sphere.lat.to_value("deg")])[rows]

    def search(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels, n_near = np.full(len(chosen), -1), np.zeros(len(chosen), dtype=int)
        if len(chosen):
            labels = SkyDBSCAN(np.degrees(angle), min_samples).fit_predict(place[chosen])
            members = np.flatnonzero(labels >= 0)
            n_near[members] = count_near(find_vectors(coords[rows[chosen]]), members, angle)
        return labels, n_near

    found = build_groups(
        coords, rows, search, radii=np.full(len(rows), angle), randoms=randoms,
        n_resamples=n_resamples, drop=drop, rng=rng,
    )  # fmt: skip
    found.table.meta.update(method="density", radius=radius, min_samples=min_samples)
    return found


Search = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def build_groups(
    coords: SkyCoord,
    rows: np.ndarray,
    search: Search,
    *,
    radii: np.ndarray,
    values: np.ndarray | None = None,
    margins: np.ndarray | None = None,
    randoms: SkyCoord | None = None,
    n_resamples: int = 0,
    drop: float = 0.1,
    rng: Any = None,
) -> Groups:
    """Turn a search over the usable ``rows`` into `Groups`.

    ``search`` takes numbers of usable rows and gives their labels and how many are near each.
    ``radii`` [rad], ``values`` and ``margins``, one per usable row, say what is near.
    """
    check_real("n_resamples", n_resamples, at_least=0)
    check_real("drop", drop, above=0, below=1)
    found, n_near = search(np.arange(len(rows)))
    found = number_by_size(found)
    labels = np.full(len(coords), -1)
    labels[rows] = found
    vectors = find_vectors(coords)[rows]
    n_groups = int(found.max(initial=-1)) + 1
    members = np.flatnonzero(found >= 0)
    number = found[members]
    sums = [np.bincount(number, vectors[members, k], minlength=n_groups) for k in range(3)]
    centres = np.column_stack(sums).astype(float)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    # the member with most near it comes last, the first one of them where there are several
    peaks = np.zeros(n_groups, dtype=int)
    order = np.lexsort((-members, n_near[members]))
    peaks[number[order]] = members[order]
    counts = count_rings(
        vectors, peaks, radii[peaks], _find_reach(vectors[members], vectors[peaks], number),
        values=values, margins=None if margins is None else margins[peaks],
        randoms=None if randoms is None else Sky.open("randoms", randoms, frame=coords).vectors,
    )  # fmt: skip
    stability = measure_stability(
        found, lambda left: search(left)[0], n_resamples=int(n_resamples), drop=drop,
        rng=np.random.default_rng(rng),
    )  # fmt: skip
    reach = _find_reach(vectors[members], centres, number)
    table = QTable(
        {
            "group": np.arange(n_groups), "n_members": np.bincount(number, minlength=n_groups),
            "centre": _open_sky(centres, coords), "radius": np.degrees(reach) * u.deg,
            "peak": rows[peaks], "n_on": counts.n_on, "n_off": counts.n_off, "alpha": counts.alpha,
            "significance": counts.significance,
            "significance_post_trial": counts.significance_post_trial, "stability": stability,
        },
        meta={"n_trials": counts.n_trials, "n_resamples": int(n_resamples)},
    )  # fmt: skip
    return Groups(labels, table, len(coords) - len(rows))


def _find_reach(vectors: np.ndarray, centres: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Angle [rad] from each centre to the farthest of its members."""
    reach = np.zeros(len(centres))
    step = np.linalg.norm(vectors - centres[number], axis=1)
    np.maximum.at(reach, number, find_separation(step))
    return reach


def number_by_size(labels: np.ndarray, *, min_members: int = 1) -> np.ndarray:
    """Number groups from the richest on, equal ones by their first rows; small ones are -1."""
    out = np.full(len(labels), -1)
    names, first, member, size = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    keep = np.flatnonzero((names >= 0) & (size >= min_members))
    number = np.full(len(names), -1)
    number[keep[np.lexsort((first[keep], -size[keep]))]] = np.arange(len(keep))
    out[:] = number[member]
    return out


def find_vectors(coords: SkyCoord) -> np.ndarray:
    """Return unit vectors in the order of the rows."""
    sphere = coords.spherical
    lon, lat = sphere.lon.to_value("rad"), sphere.lat.to_value("rad")
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _open_sky(vectors: np.ndarray, like: SkyCoord) -> SkyCoord:
    frame = like.frame.replicate_without_data()
    lon = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360
    lat = np.degrees(np.arctan2(vectors[:, 2], np.hypot(vectors[:, 0], vectors[:, 1])))
    return SkyCoord(lon * u.deg, lat * u.deg, frame=frame)


def add_columns(groups: Groups, columns: dict[str, Any]) -> Groups:
    """Return groups with more columns, after the radius."""
    table = groups.table.copy()
    for place, (name, column) in enumerate(columns.items()):
        table.add_column(column, name=name, index=4 + place)
    return replace(groups, table=table)
