"""Surveys too large for memory: HATS folders as lazy LSDB catalogues, worked on by partition."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from .._validation import check_columns, check_real, import_extra, invalid
from ._sphere import is_survey
from ._survey_plan import check_plan, limit_threads, show_bytes
from ._survey_tables import (
    describe_columns,
    finish_table,
    ignore_units,
    make_frame,
    make_table,
    read_description,
)
from .matching import check_radius
from .redshifts import RedshiftEstimator


def open_survey(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    near: SkyCoord | None = None,
    radius: u.Quantity | None = None,
) -> Any:
    """Open a survey in the HATS format without reading its rows.

    `match_catalogs`, `find_groups` and `map_survey` take what it gives in place of positions in
    memory and work on it partition by partition: in the threads of this machine, or on the
    workers of a Dask client where one is open. What a lost worker was doing is done again by
    another. Needs the extra ``catalogs``.

    Parameters
    ----------
    path : path-like or str
        Folder of a HATS catalogue or collection, or its address (https, s3 and the like).
    columns : sequence of str, optional
        To read, with those of the positions; without it the default ones of the survey.
    near : SkyCoord, shape (), optional
        Only rows within ``radius`` of it.
    radius : Quantity, optional

    Returns
    -------
    lsdb.Catalog
        Lazy. `write_survey` writes it, `read_catalog` makes a table of a small one. It knows
        the margins of its partitions where it was written with some.

    Raises
    ------
    ValueError
        For a folder that is no HATS catalogue, partitions that are missing, unknown columns, or
        ``near`` without ``radius``.
    OSError
        When the path is not there.

    Examples
    --------
    >>> import tempfile
    >>> from astropy.table import QTable
    >>> from astroml_kit.catalogs import read_catalog
    >>> stars = QTable({"coord": SkyCoord([10, 200, 200.1], [5, -60, -60], unit="deg"),
    ...                 "mag": [12.0, 13.5, 14.0] * u.mag})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     survey = open_survey(write_survey(stars, folder + "/stars"))
    ...     bright = map_survey(survey, lambda rows: {"bright": rows["mag"].to_numpy() < 13})
    ...     table = read_catalog(write_survey(bright, folder + "/bright"))
    >>> int(table["bright"].sum()), table["mag"].unit
    (1, Unit("mag"))
    """
    lsdb = import_extra("lsdb", extra="catalogs")
    if (near is None) != (radius is None):
        raise invalid("radius", "given together with near", f"near={near!r}, radius={radius!r}",
                      "Give both, or none.")  # fmt: skip
    local = "://" not in str(path)
    if local and not Path(path).exists():
        raise FileNotFoundError(f"{path} is not there.")
    options: dict[str, Any] = {"columns": list(columns)} if columns is not None else {}
    if near is not None and radius is not None:
        arcsec = np.degrees(check_radius("radius", radius)) * 3600
        options["search_filter"] = lsdb.ConeSearch(near.icrs.ra.deg, near.icrs.dec.deg, arcsec)
    try:
        with quiet():
            survey = lsdb.open_catalog(str(path), **options)
    except (FileNotFoundError, ValueError, KeyError, AttributeError) as error:
        text = " ".join(str(error).split())[:300]
        raise ValueError(f"{path} must be a folder of a whole HATS catalogue: {text}") from error
    if local:
        _check_files(survey, str(path))
    return survey


def _check_files(survey: Any, where: str) -> None:
    for part in (survey, survey.margin):
        if part is None:
            continue
        files = [Path(str(file)) for file in part.hc_structure.get_pixel_paths()]
        lost = [file.name for file in files if not file.exists()]
        if lost:
            raise ValueError(
                f"{where} must have a file for each of its {len(files)} partitions, got none for "
                f"{len(lost)}: {', '.join(lost[:3])}. Copy or write it again."
            )


def write_survey(
    survey: Any,
    path: str | os.PathLike[str],
    *,
    margin: u.Quantity = 10 * u.arcsec,
    rows_per_partition: int = 500_000,
    overwrite: bool = False,
    progress: bool = False,
    memory: float | None = None,
) -> Path:
    """Write a table or a lazy survey as a HATS collection, Parquet by partition of the sky.

    A lazy survey is computed partition by partition, and each is on disk before the next: it need
    not fit into memory. Without a Dask client as many partitions are in work at once as memory
    holds.

    Parameters
    ----------
    survey : QTable or lsdb.Catalog
        A table needs a column ``coord``; units, UCDs, descriptions, gaps, proper motions and
        epoch are kept. Columns ``ra`` and ``dec`` become those of ``coord``, ICRS in degrees.
    path : path-like
        New folder.
    margin : Quantity
        Of a table: how far around each partition rows of its neighbours are kept with it. Must
        reach the radius of a later match, or twice that of later groups.
    rows_per_partition : int
        Of a table: largest partition.
    overwrite : bool
        Replace the folder.
    progress : bool
        Show a progress bar.
    memory : float, optional
        Bytes that a process may take, see `measure_survey`.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        For a table without or with unknown positions, no rows, columns of several values, a margin
        wider than the partitions, a folder with files, or partitions too large for the memory.
    """
    lsdb = import_extra("lsdb", extra="catalogs")
    from hats.io.parquet_metadata import write_voparquet_in_common_metadata

    path = Path(path)
    if path.exists() and any(path.iterdir()) and not overwrite:
        raise invalid("path", "a new folder", path, "Choose another, or say overwrite=True.")
    if isinstance(survey, Table):
        table, name = survey, path.name
        survey = _partition_table(lsdb, table, name, margin, rows_per_partition)
        about = describe_columns(table)
    elif is_survey(survey):
        about = read_description(survey)
    else:
        raise invalid("survey", "a QTable or an LSDB catalogue", type(survey).__name__)
    plan = check_plan(survey, memory=memory)
    with quiet(), limit_threads(plan):
        survey.write_catalog(
            path, catalog_name=path.name, overwrite=overwrite, progress_bar=progress,
            should_write_skymap=False, error_if_empty=False,
        )  # fmt: skip
    kept: dict[str, Any] = {}
    for kind, texts in about.items():
        kept[kind] = {key: text for key, text in texts.items() if key in survey.columns}
    with ignore_units():
        write_voparquet_in_common_metadata(path / path.name, **kept)
    return path


def _partition_table(lsdb: Any, table: Table, name: str, margin: Any, rows: int) -> Any:
    check_real("rows_per_partition", rows, at_least=1)
    width = np.degrees(check_radius("margin", margin)) * 3600
    frame = make_frame(table)
    try:
        with quiet():
            return lsdb.from_dataframe(
                frame, ra_column="ra", dec_column="dec", catalog_name=name,
                partition_rows=int(rows), margin_threshold=float(width),
                should_generate_moc=False,
            )  # fmt: skip
    except ValueError as error:
        if "exceeds threshold" in str(error):
            raise invalid(
                "rows_per_partition", "at least what half a degree of the sky holds", rows,
                "Take a larger one.",
            ) from error  # fmt: skip
        if "margin_order" not in str(error):
            raise
        raise invalid(
            "margin", f"narrower than partitions of {rows} rows", margin,
            "Take larger rows_per_partition.",
        ) from error  # fmt: skip


def map_survey(
    survey: Any,
    function: Any,
    *,
    columns: Sequence[str] | Mapping[str, str] | None = None,
    output: str | Sequence[str] = "prediction",
    method: str = "predict",
) -> Any:
    """Apply a fitted model, or a function, to every partition of a survey; lazily.

    Parameters
    ----------
    survey : lsdb.Catalog
        See `open_survey`.
    function : RedshiftEstimator, fitted estimator or callable
        A `RedshiftEstimator` finds its bands by name, and adds the columns of its `predict`.
        Another estimator gets the ``columns`` as an array (n_rows, n_columns) of float, gaps NaN.
        A function gets the frame of a partition, without its index, and gives a mapping from new
        names to arrays, one value per row. Both must be such that pickle can send them to
        workers, and what they say of a row must not depend on the others.
    columns : sequence of str, optional
        Features of an estimator, in the order of its training.
    output : str or sequence of str
        Name of the new column; one name per column of what an estimator gives as a matrix.
    method : str
        Of the estimator: ``"predict"``, ``"predict_proba"``, ``"decision_function"``, ...

    Returns
    -------
    lsdb.Catalog
        With the new columns, in its margins too.

    Raises
    ------
    ValueError
        For columns that the survey lacks or has already, or an estimator without ``columns`` or
        ``method``.
    RuntimeError
        When it is computed, for a function that fails or gives results of another length.
    """
    if not is_survey(survey):
        raise invalid("survey", "an LSDB catalogue", type(survey).__name__, "Use open_survey.")
    new: Callable[[Any], Mapping[str, Any]]
    if isinstance(function, RedshiftEstimator):
        new = _Redshifts(function)
        kinds = _find_types(new, survey, None)
    elif hasattr(function, "fit") and hasattr(function, method):
        names = [output] if isinstance(output, str) else list(output)
        if columns is None:
            raise invalid("columns", "the features of the estimator", "None")
        check_columns(survey.columns, columns, where="survey")
        new = _Estimate(function, tuple(columns), tuple(names), method)
        kinds = dict.fromkeys(names, float)
        kinds = _find_types(new, survey, kinds)
    elif callable(function):
        new, kinds = function, _find_types(function, survey, None)
    else:
        raise invalid("function", f"a callable, or an estimator with {method}",
                      type(function).__name__)  # fmt: skip
    twice = sorted(set(kinds) & set(survey.columns))
    if twice:
        raise invalid("output", "new columns", f"{twice}, which the survey has",
                      "Choose other names.")  # fmt: skip
    meta = _add(survey.meta.iloc[:0], {key: np.zeros(0, kind) for key, kind in kinds.items()})
    return survey.map_partitions(_Columns(new, kinds), meta=meta)


class _Estimate:
    """What an estimator says of the rows of a frame, by column."""

    def __init__(self, model: Any, columns: tuple[str, ...], names: tuple[str, ...], method: str):
        self.model, self.columns, self.names, self.method = model, columns, names, method

    def __call__(self, frame: Any) -> dict[str, np.ndarray]:
        X = np.column_stack(
            [frame[name].to_numpy(dtype=float, na_value=np.nan) for name in self.columns]
        )
        found = np.asarray(getattr(self.model, self.method)(X))
        found = found.reshape(len(X), -1)
        if found.shape[1] != len(self.names):
            raise invalid("output", f"{found.shape[1]} names, one per column of {self.method}",
                          list(self.names))  # fmt: skip
        return {name: found[:, k] for k, name in enumerate(self.names)}


class _Redshifts:
    """Redshifts of the rows of a frame, by column."""

    def __init__(self, model: RedshiftEstimator):
        self.model = model

    def __call__(self, frame: Any) -> dict[str, np.ndarray]:
        numbers = frame.select_dtypes("number")
        table = Table({name: numbers[name].to_numpy(dtype=float, na_value=np.nan)
                       for name in numbers.columns})  # fmt: skip
        found = self.model.predict(table)
        return {name: np.asarray(found[name]) for name in found.colnames}


class _Columns:
    """A partition with new columns beside the old ones."""

    def __init__(self, function: Callable[[Any], Mapping[str, Any]], kinds: Mapping[str, Any]):
        self.function, self.kinds = function, dict(kinds)

    def __call__(self, frame: Any) -> Any:
        if not len(frame):
            return _add(frame, {key: np.zeros(0, kind) for key, kind in self.kinds.items()})
        found = self.function(frame.reset_index(drop=True))
        new = {}
        for name, kind in self.kinds.items():
            values = np.asarray(found[name])
            if values.shape != (len(frame),):
                raise invalid(f"{name} of the function", f"one value for each of {len(frame)} rows",
                              f"shape {values.shape}")  # fmt: skip
            new[name] = values.astype(kind)
        return _add(frame, new)


def _add(frame: Any, new: Mapping[str, np.ndarray]) -> Any:
    return frame.assign(**{name: np.asarray(values) for name, values in new.items()})


def _find_types(function: Any, survey: Any, default: Any) -> dict[str, Any]:
    """Types of the new columns, found on a few rows of the first partition that has some."""
    sample = next((part for part in _iter_heads(survey) if len(part)), None)
    if sample is None:
        raise invalid("survey", "of at least one row", "none")
    found = function(sample.reset_index(drop=True))
    if not isinstance(found, Mapping) or not found:
        raise invalid("function", "one that gives a mapping from names to arrays",
                      type(found).__name__)  # fmt: skip
    return {str(name): _widen(np.asarray(values).dtype) for name, values in found.items()}


def _widen(kind: np.dtype) -> Any:
    """A text of another row may be longer than those of the first ones."""
    return object if kind.kind in "SUO" else kind


def _iter_heads(survey: Any) -> Any:
    for part in survey.to_delayed():
        yield part.compute(scheduler="synchronous").head(8)


def collect_survey(survey: Any, *, memory: float | None = None) -> Table:
    """Compute a whole survey into a plain table, unless it is too large for this process."""
    plan = check_plan(survey, memory=memory)
    limit = plan.memory if memory is None else int(memory)
    if 2 * plan.total_bytes > limit:
        raise invalid(
            "survey", f"small enough for {show_bytes(limit)} of memory when read as a table",
            f"{plan.n_rows:,} rows of {show_bytes(plan.total_bytes)}",
            "Work on open_survey(path) instead, or open fewer columns.",
        )  # fmt: skip
    with quiet(), limit_threads(plan):
        frame = survey.compute(progress_bar=False)
    properties = survey.hc_structure.catalog_info
    table = make_table(frame.reset_index(drop=True), read_description(survey))
    return finish_table(table, properties.ra_column, properties.dec_column)


@contextmanager
def quiet() -> Any:
    """What lsdb warns of by itself is checked here, or of no consequence."""
    with warnings.catch_warnings():
        for category in (FutureWarning, RuntimeWarning, UserWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", category=category, module=r"(lsdb|hats|dask)\b.*")
        yield
