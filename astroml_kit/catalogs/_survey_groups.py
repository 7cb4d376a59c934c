"""`find_groups` of a survey: clusters of each partition with its margin, joined where they meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
import pandas as pd
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from lsdb.core.crossmatch.abstract_crossmatch_algorithm import AbstractCrossmatchAlgorithm
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..models import SkyDBSCAN
from ._sphere import Sky, find_chord
from ._survey_groups_result import SurveyGroups
from ._survey_matching import check_margin
from ._survey_plan import check_plan, limit_threads, measure_survey
from ._survey_tables import attach_description, read_description
from .survey import quiet

# Seams are looked at a little beyond the radius: what is one too many does no harm.
BEYOND = 1 + 1e-9
GROUP = "group"


def find_survey_groups(survey: Any, *, angle: float, min_samples: float) -> SurveyGroups:
    """Find groups of a survey within ``angle`` [rad]; the labels are those of `SkyDBSCAN`.

    Neighbours of a row, and neighbours of those, are in its partition or in a margin of twice the
    radius: whether a row or one near it is core is therefore known exactly in each partition. A
    core row that two partitions see makes one cluster of theirs. Each partition is clustered
    three times (to join, to count, to label), so that no labels need to be kept anywhere.
    """
    import dask

    if GROUP in survey.columns:
        raise ValueError(
            f"survey must have no column {GROUP!r} yet, got {list(survey.columns)}. Rename it."
        )
    check_margin(survey, "survey", angle, 2)
    plan = check_plan(survey)
    search = _Search(np.degrees(angle), min_samples, *_find_names(survey))
    pixels = list(survey.get_healpix_pixels())
    margins = _find_margins(survey)
    find = dask.delayed(search.find_seams)
    tasks = [find(part, margins.get(_get_key(pixel)))
             for part, pixel in zip(survey.to_delayed(), pixels, strict=True)]  # fmt: skip
    with quiet(), limit_threads(plan):
        seams = list(dask.compute(*tasks))
        firsts, joined = _join_seams(seams)
        names = {_get_key(pixel): joined[k] for k, pixel in enumerate(pixels)}
        labelled = _label_survey(survey, search, names)
        counts = dask.compute(
            *[dask.delayed(search.count_members)(part) for part in labelled.to_delayed()]
        )
    table = _make_table(pd.concat(counts), firsts)
    table.meta.update(
        method="density", radius=np.degrees(angle) * u.deg, min_samples=min_samples,
        plan=plan.to_dict(),
    )  # fmt: skip
    return SurveyGroups(labelled, table, sum(seam.n_rows for seam in seams))


def _find_names(survey: Any) -> tuple[str, str]:
    properties = survey.hc_structure.catalog_info
    return properties.ra_column, properties.dec_column


def _get_key(pixel: Any) -> tuple[int, int]:
    return int(pixel.order), int(pixel.pixel)


def _find_margins(survey: Any) -> dict[tuple[int, int], Any]:
    """Lazy positions in the margin of each partition that has any."""
    if survey.margin is None:
        return {}
    margin = survey.margin[list(_find_names(survey))]
    pixels = margin.get_healpix_pixels()
    return {_get_key(p): part for p, part in zip(pixels, margin.to_delayed(), strict=True)}


@dataclass(frozen=True)
class _Seams:
    """What other partitions need to know of one.

    ``n_own`` local clusters come first: those with core rows of this partition itself. ``inner``
    and ``outer`` hold core rows on both sides of the border, by position, with local clusters.
    """

    n_rows: int
    n_own: int
    inner: np.ndarray
    inner_cluster: np.ndarray
    outer: np.ndarray
    outer_cluster: np.ndarray


@dataclass(frozen=True)
class _Search:
    """Clusters of one partition and its margin."""

    radius_deg: float
    min_samples: float
    ra: str
    dec: str

    def _get_positions(self, frame: Any) -> np.ndarray:
        if frame is None or not len(frame):
            return np.zeros((0, 2))
        return np.column_stack(
            [frame[name].to_numpy(dtype=float, na_value=np.nan) for name in (self.ra, self.dec)]
        )

    def fit(self, positions: np.ndarray) -> SkyDBSCAN:
        """Cluster positions, the margin last: clusters with core rows of its own come first."""
        return SkyDBSCAN(self.radius_deg, self.min_samples).fit(positions)

    def find_seams(self, frame: Any, margin: Any) -> _Seams:
        """Core rows near the border, on both sides, with the local clusters they are in."""
        own, beyond = self._get_positions(frame), self._get_positions(margin)
        n = len(own)
        if n == 0:
            nothing, none = np.zeros((0, 2)), np.zeros(0, dtype=np.int64)
            return _Seams(0, 0, nothing, none, nothing, none)
        positions = np.concatenate([own, beyond])
        model = self.fit(positions)
        core = model.core_sample_indices_
        labels = model.labels_
        mine = core[core < n]
        theirs = core[core >= n]
        n_own = int(labels[mine].max(initial=-1)) + 1
        inner = mine[self._find_near(positions[mine], beyond)]
        outer = theirs[self._find_near(positions[theirs], own)]
        return _Seams(n, n_own, positions[inner], labels[inner], positions[outer], labels[outer])

    def _find_near(self, wanted: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Whether each position has one of the others within the radius."""
        near = np.zeros(len(wanted), dtype=bool)
        if len(wanted) and len(others):
            reach = find_chord(np.radians(self.radius_deg)) * BEYOND
            one, two = Sky.from_degrees(*wanted.T), Sky.from_degrees(*others.T)
            chord, _ = cKDTree(two.vectors).query(one.vectors, distance_upper_bound=reach)
            near[one.rows] = np.isfinite(chord)
        return near

    def label(self, n: int, whole: Any, names: np.ndarray) -> np.ndarray:
        """Group of the first ``n`` rows; the others are their margin."""
        positions = self._get_positions(whole)
        model = self.fit(positions)
        labels, core = model.labels_, model.core_sample_indices_
        name = np.full(int(labels.max(initial=-1)) + 2, -1)  # the last is that of -1
        name[: min(len(names), len(name) - 1)] = names[: len(name) - 1]
        group = name[labels[:n]]
        # on the edge of several clusters: the lowest number, which a merger may have changed
        edge = np.ones(n, dtype=bool)
        edge[core[core < n]] = False
        edge = np.flatnonzero(edge & (labels[:n] >= 0))
        if len(edge):
            found = self._find_lowest(positions[edge], positions[core], name[labels[core]])
            group[edge] = np.where(found >= 0, found, group[edge])
        return group

    def _find_lowest(self, wanted: np.ndarray, core: np.ndarray, name: np.ndarray) -> np.ndarray:
        """Lowest name among the core rows near each position; what is no core has few near it."""
        reach = np.nextafter(find_chord(np.radians(self.radius_deg)), np.inf)
        one, two = Sky.from_degrees(*wanted.T), Sky.from_degrees(*core.T)
        k = min(int(np.ceil(self.min_samples)), len(core))
        _, place = cKDTree(two.vectors).query(
            one.vectors, k=list(range(1, k + 1)), distance_upper_bound=reach
        )
        nobody = np.iinfo(np.int64).max
        known = np.append(name[two.rows], -1)[place]
        lowest = np.where(known < 0, nobody, known).min(axis=1)
        found = np.full(len(wanted), -1)
        found[one.rows] = np.where(lowest == nobody, -1, lowest)
        return found

    def count_members(self, frame: Any) -> Any:
        """Members and the sum of their unit vectors, by group."""
        group = frame[GROUP].to_numpy(dtype=np.int64)
        inside = group >= 0
        sky = Sky.from_degrees(*self._get_positions(frame)[inside].T)
        order = np.empty((int(inside.sum()), 3))
        order[sky.rows] = sky.vectors
        sums = pd.DataFrame(order, columns=["x", "y", "z"])
        sums["n_members"] = 1
        return sums.groupby(group[inside]).sum()


def _join_seams(seams: list[_Seams]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Names of the groups, and the name of each local cluster of each partition; -1 for no use.

    Local clusters of all partitions are numbered through; a group has the lowest number among
    its local clusters: groups are then in the order of their first core rows.
    """
    starts = np.concatenate([[0], np.cumsum([seam.n_own for seam in seams])]).astype(np.int64)
    # clusters without core rows of their own have numbers behind all others
    n_named = int(starts[-1])
    n_beyond = [int(seam.outer_cluster.max(initial=-1)) + 1 for seam in seams]
    behind = n_named + np.concatenate([[0], np.cumsum(n_beyond)]).astype(np.int64)

    def number(k: int, cluster: np.ndarray) -> np.ndarray:
        own = cluster < seams[k].n_own
        return np.where(own, starts[k] + cluster, behind[k] + cluster)

    inner = _stack(seams, "inner", number)
    outer = _stack(seams, "outer", number)
    pairs = outer.merge(inner, on=["ra", "dec"], suffixes=("_outer", "_inner"))
    links = pairs[["node_outer", "node_inner"]].drop_duplicates().to_numpy(np.int64)
    n_nodes = int(behind[-1])
    graph = coo_array((np.ones(len(links)), links.T), shape=(n_nodes, n_nodes))
    _, component = connected_components(graph, directed=False)
    lowest = np.full(component.max(initial=-1) + 1, n_nodes)
    np.minimum.at(lowest, component, np.arange(n_nodes))
    name = lowest[component]
    name[name >= n_named] = -1
    joined = []
    for k, seam in enumerate(seams):
        own = name[starts[k] : starts[k + 1]]
        far = name[behind[k] : behind[k + 1]][seam.n_own :]
        joined.append(np.concatenate([own, far]))
    return np.unique(name[name >= 0]), joined


def _stack(seams: list[_Seams], side: str, number: Any) -> Any:
    place = np.concatenate([getattr(seam, side) for seam in seams])
    nodes = [number(k, getattr(seam, f"{side}_cluster")) for k, seam in enumerate(seams)]
    frame = pd.DataFrame({"ra": place[:, 0], "dec": place[:, 1], "node": np.concatenate(nodes)})
    return frame.drop_duplicates()


class _Labels(AbstractCrossmatchAlgorithm):
    """Rows of a survey beside themselves, which brings partition and margin together."""

    extra_columns = pd.DataFrame({GROUP: pd.Series(dtype="int64")})

    def __init__(self, search: _Search, names: dict[tuple[int, int], np.ndarray]):
        super().__init__()
        self.search, self.names = search, names

    def perform_crossmatch(self, crossmatch_args: Any) -> Any:
        """Each row with itself, and its group."""
        own, whole = crossmatch_args.left_df, crossmatch_args.right_df
        names = self.names[(crossmatch_args.left_order, crossmatch_args.left_pixel)]
        rows = np.arange(len(own))
        group = self.search.label(len(own), whole, names)
        return rows, rows, pd.DataFrame({GROUP: group})


def _label_survey(survey: Any, search: _Search, names: dict[tuple[int, int], np.ndarray]) -> Any:
    """Return the survey with a lazy column ``group``."""
    place = survey[[search.ra, search.dec]]
    whole = list(survey.columns)
    with quiet():
        labelled = survey.crossmatch(
            place, algorithm=_Labels(search, names), suffixes=("", "_again"),
            suffix_method="all_columns", require_right_margin=False, log_changes=False,
        )[[*whole, GROUP]]  # fmt: skip
    attach_description(labelled, read_description(survey))
    labelled.hc_structure.catalog_info.hats_max_rows = measure_survey(survey).n_largest
    return labelled


def _make_table(counts: Any, firsts: np.ndarray) -> QTable:
    total = counts.groupby(level=0).sum().reindex(firsts)
    order = np.lexsort((firsts, -total["n_members"].to_numpy()))
    total = total.iloc[order]
    x, y, z = (total[name].to_numpy(float) for name in ("x", "y", "z"))
    lon, lat = np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))
    return QTable(
        {
            GROUP: firsts[order], "n_members": total["n_members"].to_numpy(np.int64),
            "centre": SkyCoord(lon * u.deg, lat * u.deg, frame="icrs"),
        }
    )  # fmt: skip
