"""The command line: a reanalysis or a data set per command, errors as one sentence.

Heavy imports wait inside the commands, so that ``astroml-kit --help`` answers at once.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from . import __version__
from ._terminal import format_table

if TYPE_CHECKING:
    from astropy.table import Table

    from .reanalysis import Reanalysis

__all__ = ["app"]

MOST_WORKERS = 4
RESULT = "result.json"
CHUNK = 100  # light curves, of which a stop loses no more per worker

app = typer.Typer(
    help="Machine learning that finds more sources in astronomical data, and says by how much.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
datasets_app = typer.Typer(help="List, fetch and verify data sets.", no_args_is_help=True)
app.add_typer(datasets_app, name="datasets")
models_app = typer.Typer(help="List models, show what a file holds.", no_args_is_help=True)
app.add_typer(models_app, name="models")
lightcurves_app = typer.Typer(
    help="Thousands of light curves: from files to a table.", no_args_is_help=True
)
app.add_typer(lightcurves_app, name="lightcurves")

NameArgument = Annotated[str, typer.Argument(help="A name from: astroml-kit datasets list.")]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder that holds NAME/, instead of $ASTROML_KIT_DATA."),
]

CurvesArgument = Annotated[
    Path, typer.Argument(help="A folder of files, a long table or nested Parquet.")
]
TableOption = Annotated[
    Path, typer.Option("-o", "--output", help="Parquet file to write, one row per object or more.")
]
WorkersOption = Annotated[int, typer.Option(min=1, help="Processes.")]
UnitOption = Annotated[
    str | None, typer.Option(help="Of values and errors, where the files do not say it.")
]
TimeFormatOption = Annotated[
    str | None, typer.Option(help="Zero point of the times: mjd, jd, btjd, bkjd, jd-2450000.")
]
TimeScaleOption = Annotated[
    str | None, typer.Option(help="utc, tdb, ..., where the files do not say it.")
]
ColumnsOption = Annotated[
    list[str] | None,
    typer.Option("--column", help="Name in the files = name, time, value, error or band."),
]
AnewOption = Annotated[
    bool, typer.Option("--anew", help="Forget what an interrupted run has done.")
]


@contextmanager
def _in_one_sentence(interrupted: str = "Stopped.") -> Iterator[None]:
    """Say errors, warnings and Ctrl-C on standard error without a traceback."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = _show_warning
            yield
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        raise typer.Exit(130) from None
    except BrokenPipeError:
        raise
    except (ValueError, ImportError, OSError) as error:
        typer.echo(f"Error: {_describe(error)}", err=True)
        raise typer.Exit(1) from None


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}"
    return " ".join(str(error).split()) or type(error).__name__


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    typer.echo(f"Note: {' '.join(str(message).split())}", err=True)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"astroml-kit {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Hold what all commands share."""


@app.command("reanalyse")
def _reanalyse(
    name: Annotated[str, typer.Argument(help="cen-a or magic (built in), or hess-dl3-dr1.")],
    target: Annotated[
        str | None,
        typer.Option(help='Source name, or right ascension and declination: "228.5 -59.2".'),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same numbers.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Parts to work on at a time.", show_default="cores")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with the files; taken as they are, not checked."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder to write to.", show_default="results/NAME"),
    ] = None,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Write PNG plots.")] = True,
    hours: Annotated[
        float | None, typer.Option(help="Live time of a simulated field.", show_default="115")
    ] = None,
    flux: Annotated[
        float | None,
        typer.Option(help="Of its sources, in units of the published.", show_default="1"),
    ] = None,
    n_seeds: Annotated[
        int | None, typer.Option(min=2, help="Further fields to average.", show_default="500")
    ] = None,
) -> None:
    """Compare a learned selection with standard cuts, and write down what it gains."""
    with _in_one_sentence("Stopped; nothing was written."):
        from .reanalysis import reanalyse

        place = Path("results", name) if output is None else output
        options: dict[str, Any] = {"hours": hours, "flux": flux, "n_seeds": n_seeds}
        with _replacing(place) as partial:
            result = reanalyse(
                name,
                target=target,
                seed=seed,
                n_workers=workers or min(os.cpu_count() or 1, MOST_WORKERS),
                folder=data,
                **{key: value for key, value in options.items() if value is not None},
            )
            written = _write(result, partial, plots=plots)
        typer.echo(_format_result(result, width=_get_width()))
        typer.echo(f"\nWrote {', '.join(written)} to {place}{os.sep}")


def _get_width() -> int:
    return shutil.get_terminal_size((100, 24)).columns


@contextmanager
def _replacing(place: Path) -> Iterator[Path]:
    """Give a folder to write to, whose files move to ``place`` when all of them are complete.

    Plots of an older result that the new one does not have would contradict it: they go.
    """
    from .reanalysis import PLOT_NAMES

    created = [folder for folder in (place, *place.parents) if not folder.exists()]
    place.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=place))
    try:
        yield partial
        for name in (*PLOT_NAMES, RESULT):
            if (partial / name).is_file():
                os.replace(partial / name, place / name)
            elif name != RESULT:
                (place / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(partial)
        for folder in created:
            if not any(folder.iterdir()):
                folder.rmdir()


def _write(result: Reanalysis, folder: Path, *, plots: bool) -> list[str]:
    """Write result.json and the plots; return their names."""
    from .reanalysis import save_plots

    drawn = save_plots(result, folder) if plots else []
    return [path.name for path in (result.write(folder), *drawn)]


def _format_result(result: Reanalysis, *, width: int) -> str:
    """The table of selections, the gain and the notes, for people."""
    lines = [f"{result.name}: {result.target}", ""]
    lines += format_table(result.table, width=width)
    lines += ["", *textwrap.wrap(str(result.gain), width), ""]
    for note in result.notes:
        lines += textwrap.wrap(note, width, initial_indent="- ", subsequent_indent="  ")
    return "\n".join(lines)


@datasets_app.command("list")
def _list_datasets() -> None:
    """List the data sets that are known by name, and where they would come from."""
    with _in_one_sentence():
        from .datasets import list_datasets

        table = list_datasets()["name", "n_files", "size", "available", "title"]
        typer.echo("\n".join(format_table(table, width=10**6)))


@datasets_app.command("fetch")
def _fetch_dataset(name: NameArgument, data: DataOption = None) -> None:
    """Get a data set, check every file, and say where it is."""
    with _in_one_sentence("Stopped; files that were complete are kept."):
        from .datasets import fetch_dataset

        typer.echo(str(fetch_dataset(name, folder=data)))


@datasets_app.command("verify")
def _verify_dataset(name: NameArgument, data: DataOption = None) -> None:
    """Read every byte of a data set and compare it with the registered checksums."""
    with _in_one_sentence():
        from .datasets import verify_dataset

        table = verify_dataset(name, folder=data)
        status = [str(value) for value in table["status"]]
        for file, what in zip(table["file"], status, strict=True):
            if what != "ok":
                typer.echo(f"{what}: {file}")
        counts = ", ".join(f"{status.count(what)} {what}" for what in sorted(set(status)))
        typer.echo(f"{name} in {table.meta['folder']}: {counts}")
    if "changed" in status:
        raise typer.Exit(1)


@models_app.command("list")
def _list_models() -> None:
    """List the models of the zoo."""
    with _in_one_sentence():
        from .models import list_models

        table = list_models()["name", "task", "input", "purpose"]
        width = shutil.get_terminal_size().columns
        typer.echo("\n".join(format_table(table, width=width)))


@models_app.command("show")
def _show_model(
    file: Annotated[Path, typer.Argument(help="A file that save_model wrote.")],
    html: Annotated[
        Path | None, typer.Option(help="Also write the card as a page.", show_default=False)
    ] = None,
) -> None:
    """Show the card of a model file: purpose, training data, metrics, limits. Nothing is run."""
    with _in_one_sentence():
        from .models import load_model

        card = load_model(file).card()
        typer.echo(str(card))
        if html is not None:
            head = f'<!doctype html>\n<meta charset="utf-8">\n<title>{card.name}</title>\n'
            html.write_text(head + card.to_html(), encoding="utf-8")


@lightcurves_app.command("periods")
def _find_periods(
    path: CurvesArgument,
    output: TableOption,
    workers: WorkersOption = 1,
    period_min: Annotated[float, typer.Option(help="Days.")] = 0.1,
    period_max: Annotated[
        float | None, typer.Option(help="Days.", show_default="time from first to last step")
    ] = None,
    candidates: Annotated[int, typer.Option(min=1, help="Rows per object.")] = 3,
    unit: UnitOption = None,
    time_format: TimeFormatOption = None,
    time_scale: TimeScaleOption = None,
    column: ColumnsOption = None,
    anew: AnewOption = False,
) -> None:
    """Find the periods of light curves; started again, it goes on where it was stopped."""
    with _in_one_sentence(f"Stopped; what is done is kept in {_name_parts(output)}."):
        from .lightcurves import find_periods

        function = partial(
            find_periods, period_min=period_min, period_max=period_max, n_candidates=candidates
        )
        _map_to_file(
            function, path, output, workers=workers, resume=not anew, columns=_split(column),
            unit=unit, time_format=time_format, time_scale=time_scale,
        )  # fmt: skip


@lightcurves_app.command("classify")
def _classify(
    path: CurvesArgument,
    model: Annotated[Path, typer.Option(help="File that LightCurveClassifier.save wrote.")],
    output: TableOption,
    workers: WorkersOption = 1,
    unit: UnitOption = None,
    time_format: TimeFormatOption = None,
    time_scale: TimeScaleOption = None,
    column: ColumnsOption = None,
    anew: AnewOption = False,
) -> None:
    """Find periods and classes of light curves; started again, it goes on where it was stopped."""
    with _in_one_sentence(f"Stopped; what is done is kept in {_name_parts(output)}."):
        from .lightcurves import LightCurveClassifier

        _map_to_file(
            LightCurveClassifier.load(model).predict, path, output, workers=workers,
            resume=not anew, columns=_split(column), unit=unit, time_format=time_format,
            time_scale=time_scale,
        )  # fmt: skip


def _name_parts(output: Path) -> Path:
    return output.with_name(f"{output.name}.parts")


def _split(columns: Sequence[str] | None) -> dict[str, str]:
    """Pairs of names from "mine=theirs"."""
    pairs = [column.rpartition("=")[::2] for column in columns or ()]
    if not all(all(pair) for pair in pairs):
        raise ValueError(f"column must be like HJD=time, got {columns}.")
    return dict(pairs)


def _map_to_file(
    function: Callable[[Any], Table], path: Path, output: Path, **options: Any
) -> None:
    """Write the table of a function of light curves, and say what was skipped."""
    from .lightcurves import map_lightcurves

    if output.suffix != ".parquet":
        raise ValueError(f"output must end in '.parquet', got {output}.")
    parts = _name_parts(output)
    table = map_lightcurves(
        function, path, output=parts, chunk_size=CHUNK, progress=sys.stderr.isatty(), **options
    )
    partial_file = output.with_name(f"{output.name}.partial")
    table.write(partial_file, format="parquet", overwrite=True)
    os.replace(partial_file, output)
    shutil.rmtree(parts)
    skipped = table.meta["skipped"]
    for name, reason in skipped.items():
        typer.echo(f"Skipped {name}: {reason}", err=True)
    n_objects = len(set(table["name"]))
    typer.echo(f"{n_objects} objects, {len(skipped)} skipped. Wrote {len(table)} rows to {output}")
