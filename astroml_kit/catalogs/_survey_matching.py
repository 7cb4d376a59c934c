"""`match_catalogs` of two surveys: by LSDB, partition by partition, with the same pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from lsdb.core.crossmatch.abstract_crossmatch_algorithm import AbstractCrossmatchAlgorithm

from .._validation import invalid
from ._sphere import Sky, find_separation
from ._survey_plan import measure_survey
from ._survey_tables import attach_description, read_description
from .matching import find_nearest, find_pairs
from .survey import quiet

FIRST, SECOND = "_first", "_second"
SEPARATION = "separation_arcsec"


def match_surveys(first: Any, second: Any, *, limit: float, keep: str) -> Any:
    """Return the lazy survey of pairs within ``limit`` [rad]."""
    check_margin(second, "second", limit, 1)
    pairs = _cross(first, second, _Pairs(limit, every=keep == "all"), (FIRST, SECOND))
    if keep == "mutual":
        check_margin(first, "first", limit, 2)
        names = _find_names(first)
        rivals = first[list(names)]
        place = [name + SECOND for name in _find_names(second)]
        whole = list(pairs.columns)
        pairs = _cross(pairs, rivals, _NoRival(place), ("", "_rival"))[whole]
    about = {
        kind: {
            **{name + FIRST: text for name, text in texts.items()},
            **{name + SECOND: text for name, text in read_description(second)[kind].items()},
        }
        for kind, texts in read_description(first).items()
    }
    about["field_units"][SEPARATION] = "arcsec"
    attach_description(pairs, about)
    pairs.hc_structure.catalog_info.hats_max_rows = measure_survey(first).n_largest
    return pairs


def check_margin(survey: Any, name: str, limit: float, times: int) -> None:
    """Refuse a survey whose partitions do not know enough of their neighbours."""
    if survey.npartitions == 1:
        return
    need = np.degrees(limit) * 3600 * times
    margin = survey.margin
    have = 0.0 if margin is None else margin.hc_structure.catalog_info.margin_threshold
    if have < need * (1 - 1e-12):
        raise invalid(
            f"margin of {name}", f"at least {need:g} arcsec for this radius", f"{have:g} arcsec",
            f"Write it again: write_survey(..., margin={need:g} * u.arcsec).",
        )  # fmt: skip


def _cross(first: Any, second: Any, algorithm: Any, suffixes: tuple[str, str]) -> Any:
    with quiet():
        return first.crossmatch(
            second, algorithm=algorithm, suffixes=suffixes, suffix_method="all_columns",
            require_right_margin=False, log_changes=False,
        )  # fmt: skip


def _find_names(survey: Any) -> tuple[str, str]:
    properties = survey.hc_structure.catalog_info
    return properties.ra_column, properties.dec_column


def open_sky(frame: Any, names: Any) -> Sky:
    """Positions of a frame in degrees, in the order that trees like."""
    return Sky.from_degrees(*(frame[name].to_numpy(dtype=float, na_value=np.nan) for name in names))


class _Pairs(AbstractCrossmatchAlgorithm):
    """Nearest neighbours, or all, by the trees of `match_catalogs`."""

    extra_columns = pd.DataFrame({SEPARATION: pd.Series(dtype="float64")})

    def __init__(self, limit: float, *, every: bool):
        super().__init__()
        self.limit, self.every = limit, every

    def perform_crossmatch(self, crossmatch_args: Any) -> Any:
        """Rows of both partitions, and separations."""
        one = _open_side(crossmatch_args, "left")
        two = _open_side(crossmatch_args, "right")
        search = find_pairs if self.every else find_nearest
        rows, partners, separation = search(one, two, self.limit)
        return rows, partners, pd.DataFrame({SEPARATION: np.degrees(separation) * 3600})


class _NoRival(AbstractCrossmatchAlgorithm):
    """Pairs of which the second is not nearer to another of the first."""

    extra_columns = pd.DataFrame({"n_rivals": pd.Series(dtype="int64")})

    def __init__(self, names: list[str]):
        super().__init__()
        self.names = names

    def perform_crossmatch(self, crossmatch_args: Any) -> Any:
        """Rows of pairs that stay; any row stands for the rivals, whose columns are dropped."""
        frame = crossmatch_args.left_df
        partner = open_sky(frame, self.names)
        own = _open_side(crossmatch_args, "left")
        rivals = _open_side(crossmatch_args, "right")
        chord, _ = rivals.tree.query(partner.vectors)
        nearest = np.empty(len(frame))
        nearest[partner.rows] = chord
        places = [np.empty((len(frame), 3)) for _ in range(2)]
        for place, sky in zip(places, (own, partner), strict=True):
            place[sky.rows] = sky.vectors
        distance = np.linalg.norm(places[0] - places[1], axis=1)
        # the pair itself is among the rivals: rounding is all that parts them
        keep = np.flatnonzero(find_separation(distance) <= find_separation(nearest) + 1e-14)
        none = np.zeros(len(keep), dtype=np.int64)
        return keep, none, pd.DataFrame({"n_rivals": none})


def _open_side(crossmatch_args: Any, side: str) -> Sky:
    properties = getattr(crossmatch_args, f"{side}_catalog_info")
    names = (properties.ra_column, properties.dec_column)
    return open_sky(getattr(crossmatch_args, f"{side}_df"), names)
