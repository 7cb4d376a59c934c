"""What a search for groups in a survey gives: a lazy column and a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from astropy.table import QTable


@dataclass(frozen=True)
class SurveyGroups:
    """Groups of a survey, see `find_groups`.

    Attributes
    ----------
    survey : lsdb.Catalog
        Lazy: the survey with a column ``group``, -1 without one. `write_survey` computes and
        writes it.
    table : QTable
        A row per group, the richest first: ``group`` (its number in the survey), ``n_members``
        and ``centre`` (SkyCoord, direction of the mean unit vector). Numbers are in the order of
        the first core rows, and not without gaps. ``meta`` says how they were found, and the
        plan of the memory.
    n_rows : int
        Rows of the survey.
    """

    survey: Any
    table: QTable
    n_rows: int

    def __len__(self) -> int:
        return len(self.table)

    @property
    def n_members(self) -> int:
        """Rows in some group."""
        return int(self.table["n_members"].sum())

    def __str__(self) -> str:
        largest = f", the largest of {self.table['n_members'][0]}" if len(self) else ""
        return f"{len(self)} groups with {self.n_members} of {self.n_rows} rows{largest}"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        centre = self.table["centre"]
        return {
            "n_rows": self.n_rows,
            "groups": {
                "group": self.table["group"].tolist(),
                "n_members": self.table["n_members"].tolist(),
                "ra": centre.ra.deg.tolist(), "dec": centre.dec.deg.tolist(),
            },
        }  # fmt: skip
