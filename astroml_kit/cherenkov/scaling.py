"""Is an image as wide and long as a gamma's of its size at its distance, and how much energy is it?

Tables of mean and spread against ln(size) and impact distance, per offset and zenith, turn images
into scaled parameters and energies: doi:10.1051/0004-6361:20065351, sections 4 and 6.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from .._validation import check_columns, check_real, invalid
from ._derived import read_column
from ._scaling_bias import EnergyBias, fit_bias
from ._scaling_files import read_tables, write_tables
from ._scaling_grid import Grid, Lookup, fill_grid
from ._stereo_geometry import Geometry, reconstruct_geometry
from ._stereo_images import ImageCuts, StereoImages, select_images

SHAPES = ("width", "length")
ENERGY, HEIGHT = "log_energy_per_size", "log_height"
# Heights further from the mean than this factor say more about the reconstruction.
MOST_HEIGHT = np.log(2.0)
SIZES = np.geomspace(50.0, 2e5, 17)
IMPACTS = np.arange(12.5, 500.0, 25.0)
OFFSETS = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])
MOST_ZENITHS = 12


@dataclass(frozen=True, eq=False)
class ScalingTables:
    """Look-up tables of image width, length and energy.

    Made by `ScalingTables.fit` on gammas; used by ``reconstruct_stereo(..., tables=tables)``.

    Attributes
    ----------
    gamma : Grid
        Moments of width, length (rad) and ln(E / TeV / p.e.) of gammas; ``counts`` and
        ``served_by`` say where there were enough images and which bin was used instead.
    background : Grid or None
        Moments of width and length of background images, for the ``_off`` twins.
    bias : EnergyBias
        The correction of the energy.
    cuts : ImageCuts
        Which images the tables were made of.
    n_events, n_background : int
        Events that went in.
    min_count : int
        Fewest images of a bin.

    Notes
    -----
    The energy of an image is the mean ln(E / size) of its bin, plus a slope times how much higher
    than the bin's mean the shower was: a higher shower of the same energy gives less light. An
    event's ln(E) is the mean of its images' with weights 1 / spread^2; the bias that is left is
    taken out by reading the curve of the median estimate against true energy backwards. Between
    bins everything is interpolated. An empty bin takes the values of the nearest full one, where a
    step in size or distance is shorter than one in offset, and that than one in zenith.

    Examples
    --------
    >>> gammas = simulate_showers("gamma", n_showers=400_000, rng=1)  # doctest: +SKIP
    >>> tables = ScalingTables.fit(gammas)  # doctest: +SKIP
    >>> events = reconstruct_stereo(other_images, tables=tables)  # doctest: +SKIP
    >>> path = tables.save("gammas.tables")  # doctest: +SKIP
    """

    gamma: Grid
    background: Grid | None
    bias: EnergyBias
    cuts: ImageCuts
    n_events: int
    n_background: int
    min_count: int

    @classmethod
    def fit(
        cls,
        gammas: QTable,
        *,
        telescopes: QTable | None = None,
        background: QTable | None = None,
        zenith: Any = None,
        offset_nodes: Any = OFFSETS,
        zenith_nodes: Any = None,
        impact_nodes: Any = IMPACTS,
        size_nodes: Any = SIZES,
        min_count: int = 10,
        min_intensity: float = 80.0,
        min_pixels: int = 3,
        max_cog: float = 2.0,
        min_images: int = 2,
    ) -> ScalingTables:
        """Fill the tables with reconstructed showers.

        Parameters
        ----------
        gammas : `~astropy.table.QTable`
            Images of simulated gammas, as for `reconstruct_stereo`, with ``true_energy``. Events
            of these showers must not be scaled with these tables when the result is to judge a
            selection: split by shower first.
        telescopes : `~astropy.table.QTable`, optional
            As for `reconstruct_stereo`.
        background : `~astropy.table.QTable`, optional
            Images of background events, for ``mean_scaled_width_off`` and its like.
        zenith : Quantity or float in deg, optional
            As for `reconstruct_stereo`, for gammas and background.
        offset_nodes, zenith_nodes : Quantity or array_like in deg
            Where tables are made; each event fills the nearest. Default of the zenith: the values
            of the gammas, at most 12.
        impact_nodes : Quantity or array_like in m
        size_nodes : array_like
            p.e.
        min_count : int
            Fewest images of a bin, at least 2; emptier bins use the nearest full one.
        min_intensity, min_pixels, max_cog, min_images
            As for `reconstruct_stereo`.

        Returns
        -------
        ScalingTables

        Raises
        ------
        ValueError
            For missing columns, options out of range, or too few gammas.
        """
        cuts = ImageCuts(min_intensity, min_pixels, max_cog, min_images)
        check_real("min_count", min_count, at_least=2, next_step="A spread needs two images.")
        where = str(gammas.meta.get("source", "gammas"))
        check_columns(gammas.colnames, ["true_energy"], where=where)
        selected = select_images(gammas, telescopes, cuts, zenith=zenith)
        geometry = reconstruct_geometry(selected, min_images=cuts.min_images)
        if not geometry.is_valid.any():
            raise ValueError(
                f"gammas must hold events with {cuts.min_images} usable images, got "
                f"{selected.counts}. Loosen the cuts or simulate more."
            )
        nodes = (
            _find_zeniths(selected, zenith_nodes),
            np.radians(_read_nodes("offset_nodes", offset_nodes, u.deg)),
            _read_nodes("impact_nodes", impact_nodes, u.m),
            np.log(_read_nodes("size_nodes", size_nodes, None)),
        )
        energy = gammas["true_energy"]
        energy = energy.to_value(u.TeV) if isinstance(energy, u.Quantity) else read_column(
            gammas, "true_energy"
        )  # fmt: skip
        truth = np.log(check_real("column true_energy", energy[selected.first], above=0))
        good = geometry.is_valid[selected.event]
        quantities = {name: getattr(selected, name)[good] for name in SHAPES}
        quantities[ENERGY] = (truth[selected.event] - np.log(selected.intensity))[good]
        quantities[HEIGHT] = np.log(geometry.h_max)[selected.event][good]
        places = tuple(values[good] for values in _find_places(selected, geometry))
        grid = fill_grid(
            nodes, places, quantities, min_count=int(min_count), slope_of=(ENERGY, HEIGHT)
        )
        off, n_background = None, 0
        if background is not None:
            other = select_images(background, telescopes, cuts, zenith=zenith)
            shape = reconstruct_geometry(other, min_images=cuts.min_images)
            good = shape.is_valid[other.event]
            places = tuple(values[good] for values in _find_places(other, shape))
            quantities = {name: getattr(other, name)[good] for name in SHAPES}
            off = fill_grid(nodes, places, quantities, min_count=int(min_count))
            n_background = int(shape.is_valid.sum())
        lookup = grid.interpolate(_find_places(selected, geometry))
        estimate, spread, _ = _estimate_energy(selected, geometry, lookup)
        valid = geometry.is_valid
        bias = fit_bias(
            estimate[valid],
            truth[valid],
            spread[valid],
            offset=_find_offsets(geometry)[valid],
            zenith=_find_event_zenith(selected)[valid],
            offset_nodes=nodes[1],
            zenith_nodes=nodes[0],
            min_count=int(min_count),
        )
        return cls(grid, off, bias, cuts, int(valid.sum()), n_background, int(min_count))

    def __str__(self) -> str:
        text = (
            f"ScalingTables: {self.n_events} gammas, {self.n_background} background events, "
            f"{self.gamma.n_sparse} of {self.gamma.counts.size} bins filled from the nearest"
        )
        if self.background is not None:
            text += f" (background {self.background.n_sparse})"
        return text

    def scale_images(
        self, images: QTable, *, telescopes: QTable | None = None, zenith: Any = None
    ) -> QTable:
        """Add what the tables say to each image, after the reconstruction with the same cuts.

        Parameters
        ----------
        images, telescopes, zenith
            As for `reconstruct_stereo`.

        Returns
        -------
        `~astropy.table.QTable`
            ``images`` with ``reco_impact`` (m), ``scaled_width``, ``scaled_length``, their
            ``_off`` twins, and ``image_energy`` (TeV, before the correction of the bias). NaN
            for images that took no part.
        """
        selected = select_images(images, telescopes, self.cuts, zenith=zenith)
        geometry = reconstruct_geometry(selected, min_images=self.cuts.min_images)
        scaled = images.copy()
        columns = {"reco_impact": geometry.impact * u.m}
        lookup, off = self._look_up(selected, geometry)
        columns |= {f"scaled_{n}": v for n, v in _scale_shapes(selected, lookup, off).items()}
        energy = np.exp(_estimate_image_energy(selected, geometry, lookup))
        columns["image_energy"] = energy * u.TeV
        for name, values in columns.items():
            values[~np.isfinite(geometry.impact)] = np.nan
            column = np.full(len(images), np.nan) * getattr(values, "unit", 1)
            column[selected.row] = values
            scaled[name] = column
        return scaled

    def scale_events(self, selected: StereoImages, geometry: Geometry) -> dict[str, Any]:
        """Columns for `reconstruct_stereo`."""
        lookup, off = self._look_up(selected, geometry)
        columns: dict[str, Any] = {}
        n = np.where(geometry.is_valid, selected.add(), np.nan)
        for name, values in _scale_shapes(selected, lookup, off).items():
            mean = selected.add(values) / n
            columns[f"mean_scaled_{name}"] = mean
            square = selected.add((values - mean[selected.event]) ** 2) / n
            columns[f"scaled_{name}_std"] = np.sqrt(square)
        estimate, spread, rms = _estimate_energy(selected, geometry, lookup)
        log_energy, stretch = self.bias.correct(
            np.where(geometry.is_valid, estimate, 0.0),
            np.where(geometry.is_valid, _find_offsets(geometry), 0.0),
            _find_event_zenith(selected),
        )
        energy = np.where(geometry.is_valid, np.exp(log_energy), np.nan)
        columns["reco_energy"] = energy * u.TeV
        columns["reco_energy_error"] = energy * self.bias.scale * stretch * spread * u.TeV
        columns["energy_spread"] = np.where(geometry.is_valid, rms, np.nan)
        columns["n_images_sparse"] = selected.add(lookup.is_sparse().astype(float)).astype(int)
        return columns

    def _look_up(self, selected: StereoImages, geometry: Geometry) -> tuple[Lookup, Lookup | None]:
        places = _find_places(selected, geometry)
        off = None if self.background is None else self.background.interpolate(places)
        return self.gamma.interpolate(places), off

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the tables to one file without pickle.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        Path
            ``path``.
        """
        return write_tables(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ScalingTables:
        """Read tables that `save` wrote; nothing in the file is executed.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        ScalingTables

        Raises
        ------
        ModelFileError
            For anything but a whole file of a known format.
        OSError
            When the file cannot be opened.
        """
        return cls(**read_tables(path))


def _scale_shapes(
    selected: StereoImages, lookup: Lookup, off: Lookup | None
) -> dict[str, np.ndarray]:
    """(value - mean) / spread of width and length, against gammas and background."""
    scaled = {}
    for ending, table in (("", lookup), ("_off", off)):
        if table is not None:
            for name in SHAPES:
                value = getattr(selected, name) - table.mean(name)
                spread = table.spread(name)
                scaled[name + ending] = value / np.where(spread > 0, spread, np.nan)
    return scaled


def _estimate_image_energy(
    selected: StereoImages, geometry: Geometry, lookup: Lookup
) -> np.ndarray:
    """ln(E / TeV) of each image: a higher shower gives less light at the same energy."""
    higher = np.log(geometry.h_max)[selected.event] - lookup.mean(HEIGHT)
    higher = np.clip(higher, -MOST_HEIGHT, MOST_HEIGHT)
    return np.log(selected.intensity) + lookup.mean(ENERGY) + lookup.mean("slope") * higher


def _estimate_energy(
    selected: StereoImages, geometry: Geometry, lookup: Lookup
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted mean of ln(E / TeV) over the images, its predicted error, and the rms."""
    value = _estimate_image_energy(selected, geometry, lookup)
    weight = 1 / np.maximum(lookup.spread(ENERGY), 1e-3) ** 2
    total = selected.add(weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = selected.add(weight * value) / total
        rms = np.sqrt(selected.add((value - mean[selected.event]) ** 2) / selected.add())
        return mean, 1 / np.sqrt(total), rms


def _find_places(selected: StereoImages, geometry: Geometry) -> tuple[np.ndarray, ...]:
    """Coordinates of each image in the tables; images of events that are not valid get zeros."""
    offset = _find_offsets(geometry)[selected.event]
    return (
        selected.zenith,
        np.where(np.isfinite(offset), offset, 0.0),
        np.where(np.isfinite(geometry.impact), geometry.impact, 0.0),
        np.log(selected.intensity),
    )


def _find_offsets(geometry: Geometry) -> np.ndarray:
    return np.hypot(geometry.lon, geometry.lat)


def _find_event_zenith(selected: StereoImages) -> np.ndarray:
    return selected.add(selected.zenith) / np.maximum(selected.add(), 1)


def _find_zeniths(selected: StereoImages, nodes: Any) -> np.ndarray:
    if nodes is not None:
        return np.radians(_read_nodes("zenith_nodes", nodes, u.deg))
    found = np.unique(np.round(np.degrees(selected.zenith), 1))
    if len(found) > MOST_ZENITHS:
        raise ValueError(
            f"zenith_nodes must be given for gammas at more than {MOST_ZENITHS} zenith angles, "
            f"got {len(found)}. For instance zenith_nodes=[0, 20, 30, 40, 50, 60]."
        )
    return np.radians(found)


def _read_nodes(name: str, nodes: Any, unit: Any) -> np.ndarray:
    values: Any = nodes.to_value(unit) if isinstance(nodes, u.Quantity) else nodes
    above = 0.0 if name == "size_nodes" else -1e-9
    array = np.atleast_1d(check_real(name, values, above=above))
    if array.ndim != 1 or np.any(np.diff(array) <= 0):
        raise invalid(name, "increasing", array)
    return array
