"""The checked arguments of a sky map, and what follows from them alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units as u

from .._validation import check_choice, check_real, invalid
from ._acceptance import Acceptance, make_cells
from ._map_background import AnnulusSums, RingSums
from ._map_grid import SkyGrid
from ._map_runs import PolarCells
from ._regions import to_angle
from ._rings import to_degrees

BACKGROUNDS = ("ring", "reflected")
BLANKED = ("nothing", "given", "all")
ACCEPTANCES = ("measured", "irf")
_LARGEST_MAP = 4e6  # pixels with their margin; more is most likely a slip in a unit


@dataclass(frozen=True)
class MapPlan:
    """Checked arguments: angles in deg, energies in TeV."""

    background: str
    ring_inner: float
    ring_outer: float
    gap: float
    radius: float
    acceptance: str | Acceptance
    gradient: bool
    threshold: float
    grow: float
    max_iterations: int
    blank: str
    max_offset: float
    energies: tuple[float, float]
    confidence: float | None

    @classmethod
    def check(cls, *, ring_width: u.Quantity, **given: Any) -> MapPlan:
        check_choice("background", given["background"], BACKGROUNDS)
        check_choice("blank", given["blank"], BLANKED)
        if not isinstance(given["acceptance"], Acceptance):
            check_choice("acceptance", given["acceptance"], ACCEPTANCES)
        angles: dict[str, Any] = {
            name: float(np.rad2deg(to_angle(name, given.pop(name), positive=name != "gap")))
            for name in ("ring_inner", "radius", "max_offset", "grow", "gap")
        }
        outer = angles["ring_inner"] + float(np.rad2deg(to_angle("ring_width", ring_width)))
        if given["background"] == "ring" and not angles["ring_inner"] > angles["radius"]:
            raise invalid(
                "ring_inner in deg",
                f"> radius ({angles['radius']:g} deg)",
                angles["ring_inner"],
                "OFF must not overlap ON.",
            )
        if not angles["max_offset"] > angles["radius"]:
            raise invalid(
                "max_offset in deg", f"> radius ({angles['radius']:g})", angles["max_offset"]
            )
        limit = given.pop("threshold")
        limit = np.inf if limit is None else float(check_real("threshold", limit, above=0))
        if given["confidence"] is not None:
            given["confidence"] = float(
                check_real("confidence", given["confidence"], above=0, below=1)
            )
        rounds = int(check_real("max_iterations", given.pop("max_iterations"), at_least=1))
        return cls(ring_outer=outer, threshold=limit, max_iterations=rounds, **angles, **given)

    def make_grid(self, middle: np.ndarray, size: tuple[float, float], pixel: float) -> SkyGrid:
        if not self.radius >= pixel:
            raise invalid(
                "pixel_size in deg", f"<= radius ({self.radius:g})", pixel,
                "Discs are made of whole pixels.",
            )  # fmt: skip
        reach = self.ring_outer if self.background == "ring" else self.radius
        margin = int(np.ceil(reach / pixel)) + 1
        n_x, n_y = (max(1, round(extent / pixel)) for extent in size)
        if (n_x + 2 * margin) * (n_y + 2 * margin) > _LARGEST_MAP:
            raise invalid(
                "width / pixel_size", f"at most {np.sqrt(_LARGEST_MAP):g} pixels with the margin",
                [n_x, n_y], "Use larger pixels or a smaller map.",
            )  # fmt: skip
        return SkyGrid(middle, n_x, n_y, pixel, margin)

    def make_cells(self) -> PolarCells:
        """Return fine cells where OFF is counted in them, coarse ones for the acceptance."""
        if self.background == "reflected":
            return make_cells(self.max_offset, step=self.radius / 5, n_angles=360)
        return make_cells(self.max_offset, step=0.05, n_angles=120)

    def make_stacker(self, grid: SkyGrid, cells: PolarCells) -> RingSums | AnnulusSums:
        if self.background == "ring":
            return RingSums.make(
                grid, radius=self.radius, inner=self.ring_inner, outer=self.ring_outer,
                max_offset=self.max_offset,
            )  # fmt: skip
        return AnnulusSums.make(
            grid, cells, radius=self.radius, gap=self.gap, max_offset=self.max_offset
        )

    def describe(self, grid: SkyGrid, circles: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
        ra, dec = to_degrees(grid.centre)
        low, high = self.energies
        own = isinstance(self.acceptance, Acceptance)
        return {
            "center_ra_deg": float(ra),
            "center_dec_deg": float(dec),
            "width_deg": [grid.n_x * grid.pixel, grid.n_y * grid.pixel],
            "pixel_size_deg": float(grid.pixel),
            "radius_deg": self.radius,
            "background": self.background,
            "ring_inner_deg": self.ring_inner if self.background == "ring" else None,
            "ring_outer_deg": self.ring_outer if self.background == "ring" else None,
            "gap_deg": self.gap if self.background == "reflected" else None,
            "acceptance": "given" if own else str(self.acceptance),
            "gradient": bool(self.gradient),
            "n_exclude": len(circles[1]),
            "threshold": self.threshold if np.isfinite(self.threshold) else None,
            "grow_deg": self.grow,
            "max_iterations": self.max_iterations,
            "blank": self.blank,
            "max_offset_deg": self.max_offset,
            "energy_min_tev": low if low > 0 else None,
            "energy_max_tev": high if np.isfinite(high) else None,
            "confidence": self.confidence,
        }


def check_width(width: Any) -> tuple[float, float]:
    """Return width and height in deg."""
    given = list(width) if np.iterable(width) else [width]
    if len(given) not in (1, 2):
        raise invalid("width", "an angle or (width, height)", width, "Write width=4 * u.deg.")
    sides = [float(np.rad2deg(to_angle("width", side))) for side in given]
    return sides[0], sides[-1]
