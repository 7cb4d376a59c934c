"""Which rows of two catalogues are the same source, and how often chance says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from scipy.spatial import cKDTree

from .._validation import check_choice, check_real, invalid
from ..significance import OnOffCounts
from ._sphere import Sky, find_chord, find_separation, is_survey

KEEP = ("nearest", "mutual", "all")


def match_catalogs(first: Any, second: Any, *, radius: u.Quantity, keep: str = "nearest") -> Any:
    """Match two lists of positions on the sky, in memory or as surveys of any size.

    Parameters
    ----------
    first, second : `~astropy.coordinates.SkyCoord`, shapes (n_first,) and (n_second,)
        In any frames, at one epoch: see `propagate_coordinates`. Or both surveys, see
        `open_survey`: then the match is lazy and done by partition.
    radius : `~astropy.units.Quantity`
        Largest separation of a match, itself included.
    keep : {"nearest", "mutual", "all"}
        "nearest": the nearest of ``second`` for each of ``first``. "mutual": those which are also
        the nearest the other way round; exchanging the lists gives the same pairs. "all": every
        pair within the radius.

    Returns
    -------
    QTable
        A row per pair in the order of ``first`` and, within it, of separation: ``first``,
        ``second`` (row numbers), ``separation`` (arcsec) and ``shared`` (whether another row of
        ``first`` claims the same row of ``second``). No rows where nothing matches. ``meta`` has
        ``n_first``, ``n_second``, ``n_matched_first``, ``n_matched_second``, ``n_shared`` (rows
        of ``second`` claimed more than once) and ``n_without_position`` of both lists: positions
        with NaN match nothing.

        Of two surveys, the same pairs as a lazy ``lsdb.Catalog``: all columns of both, with
        ``_first`` and ``_second`` behind their names, and ``separation_arcsec``. `write_survey`
        computes and writes it.

    Raises
    ------
    ValueError
        For a radius that is not above 0 or beyond 180 degrees, or an unknown ``keep``; of surveys,
        for margins narrower than the radius (of ``second``) or, for "mutual", twice it (of
        ``first``).

    Notes
    -----
    Chords between unit vectors in k-d trees, so that 0/360 degrees and the poles are places like
    others. Both lists are put in the order of small patches of the sky first, which makes the
    memory of a large catalogue be read in order and not at random.

    Examples
    --------
    >>> first = SkyCoord([359.9999, 10.0, 50.0], [0.0, 20.0, 80.0], unit="deg")
    >>> second = SkyCoord([10.0, 0.0001], [20.0, 0.0], unit="deg")
    >>> pairs = match_catalogs(first, second, radius=1 * u.arcsec)
    >>> pairs["first"].tolist(), pairs["second"].tolist(), pairs["separation"].round(2)
    ([0, 1], [1, 0], <Quantity [0.72, 0.  ] arcsec>)
    """
    check_choice("keep", keep, KEEP)
    limit = check_radius("radius", radius)
    if is_survey(first) and is_survey(second):
        from ._survey_matching import match_surveys

        return match_surveys(first, second, limit=limit, keep=keep)
    one, two = Sky.open("first", first), Sky.open("second", second, frame=first)
    pairs = find_pairs(one, two, limit) if keep == "all" else find_nearest(one, two, limit)
    if keep == "mutual":
        back = find_nearest(two, one, limit)
        partner = np.full(two.n_rows, -1)
        partner[back[0]] = back[1]
        pairs = tuple(part[partner[pairs[1]] == pairs[0]] for part in pairs)
    return _make_table(pairs, one, two)


def check_radius(name: str, radius: Any) -> float:
    """Return an angle in radians, between 0 and 180 degrees."""
    try:
        degrees = radius.to_value("deg")
    except (AttributeError, u.UnitConversionError):
        raise invalid(name, "an angle", repr(radius), "Give it as 2 * u.arcsec.") from None
    return float(np.radians(check_real(f"{name} [deg]", degrees, above=0, at_most=180)))


Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def find_nearest(one: Sky, two: Sky, limit: float) -> Pairs:
    """Rows of both lists and separation [rad] of the nearest neighbour within ``limit`` [rad]."""
    if not len(two.rows) or not len(one.rows):
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    # the bound itself is left out by the search
    bound = np.nextafter(find_chord(limit), np.inf)
    chord, place = two.tree.query(one.vectors, distance_upper_bound=bound, workers=-1)
    # back to the order of the list by writing to places: cheaper than to sort
    partner, distance = np.full(one.n_rows, -1), np.empty(one.n_rows)
    found = place < len(two.rows)
    partner[one.rows[found]] = two.rows[place[found]]
    distance[one.rows] = chord
    rows = np.flatnonzero(partner >= 0)
    return rows, partner[rows], find_separation(distance[rows])


def find_pairs(one: Sky, two: Sky, limit: float) -> Pairs:
    """As `find_nearest`, of all pairs."""
    if not len(two.rows) or not len(one.rows):
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    near = one.tree.sparse_distance_matrix(two.tree, find_chord(limit), output_type="ndarray")
    first, second = one.rows[near["i"]], two.rows[near["j"]]
    order = np.lexsort((second, near["v"], first))
    return first[order], second[order], find_separation(near["v"][order])


def _make_table(pairs: Pairs, one: Sky, two: Sky) -> QTable:
    first, second, separation = pairs
    claims = np.bincount(second, minlength=two.n_rows)
    table = QTable(
        {
            "first": first, "second": second,
            "separation": (separation * u.rad).to(u.arcsec), "shared": claims[second] > 1,
        }
    )  # fmt: skip
    table.meta.update(
        n_first=one.n_rows, n_second=two.n_rows,
        n_matched_first=int(np.sum(np.diff(first) > 0)) + (len(first) > 0),
        n_matched_second=int(np.sum(claims > 0)), n_shared=int(np.sum(claims > 1)),
        n_without_position=(one.n_without_position, two.n_without_position),
    )  # fmt: skip
    return table


@dataclass(frozen=True)
class FalseMatches:
    """Matches at the true positions beside those at shifted ones, where all are by chance.

    Attributes
    ----------
    n_matched : int
        Rows of the first list with a match.
    n_shifted : ndarray of int, shape (n_shifts,)
        The same for each shift of the first list.
    """

    n_matched: int
    n_shifted: np.ndarray

    @property
    def counts(self) -> OnOffCounts:
        """Matches as ON and those of all shifts as OFF, for a significance."""
        return OnOffCounts(self.n_matched, int(self.n_shifted.sum()), 1 / len(self.n_shifted))

    @property
    def expected(self) -> float:
        """Mean number of matches by chance.

        An upper limit of those among the matches: where a true counterpart is nearest, a chance
        neighbour goes unseen.
        """
        return float(self.n_shifted.mean())

    @property
    def expected_error(self) -> float:
        """One standard deviation of `expected`: of Poisson counts, or of the shifts if larger."""
        n = len(self.n_shifted)
        poisson = np.sqrt(max(self.n_shifted.sum(), 1)) / n
        return float(max(poisson, np.std(self.n_shifted, ddof=1) / np.sqrt(n) if n > 1 else 0))

    @property
    def rate(self) -> float:
        """Share of the matches that chance explains; NaN without a match."""
        return self.expected / self.n_matched if self.n_matched else np.nan

    def __str__(self) -> str:
        return (
            f"{self.n_matched} matches, {self.expected:.1f} +- {self.expected_error:.1f} expected "
            f"by chance ({self.rate:.1%}), {self.counts.significance:.1f} sigma"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        return {
            "n_matched": self.n_matched, "n_shifted": self.n_shifted.tolist(),
            "expected": self.expected, "expected_error": self.expected_error, "rate": self.rate,
        }  # fmt: skip


def measure_false_matches(
    first: SkyCoord,
    second: SkyCoord,
    *,
    radius: u.Quantity,
    shift: u.Quantity | None = None,
    n_shifts: int = 8,
) -> FalseMatches:
    """Count matches of the first list moved off the sky of the second.

    Parameters
    ----------
    first, second : SkyCoord
    radius : Quantity
        As for `match_catalogs`.
    shift : Quantity, optional
        How far every position is moved, ten radii without it: further than true pairs reach and
        nearer than the density of the sky changes.
    n_shifts : int
        Directions, evenly around the circle.

    Returns
    -------
    FalseMatches

    Raises
    ------
    ValueError
        For a shift below two radii, where a true pair could match again.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> first = SkyCoord(rng.uniform(0, 1, 200), rng.uniform(0, 1, 200), unit="deg")
    >>> field = SkyCoord(rng.uniform(0, 1, 3000), rng.uniform(0, 1, 3000), unit="deg")
    >>> print(measure_false_matches(first, field, radius=10 * u.arcsec))
    11 matches, 12.9 +- 1.3 expected by chance (117.0%), -0.5 sigma
    """
    limit = check_radius("radius", radius)
    check_real("n_shifts", n_shifts, at_least=1)
    shift = 10 * radius if shift is None else shift
    if check_radius("shift", shift) < 2 * limit:
        raise invalid("shift", f"at least two radii, {2 * radius:g}", f"{shift:g}")
    two = Sky.open("second", second, frame=first)
    one = Sky.open("first", first)
    angles = np.arange(int(n_shifts)) * 360 / int(n_shifts) * u.deg
    good = first[one.finite]
    shifted = [
        len(find_nearest(Sky.open("first", good.directional_offset_by(a, shift)), two, limit)[0])
        for a in angles
    ]
    return FalseMatches(len(find_nearest(one, two, limit)[0]), np.array(shifted))


def count_pairs(one: Sky, two: Sky, limits: np.ndarray) -> np.ndarray:
    """Pairs within each of several separations [rad], without listing them."""
    if not len(one.rows) or not len(two.rows):
        return np.zeros(len(limits), dtype=np.int64)
    tree: cKDTree = one.tree
    return tree.count_neighbors(two.tree, np.array([find_chord(limit) for limit in limits]))
