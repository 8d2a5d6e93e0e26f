"""Where a command works: the pipeline of its options, and the place in words.

In: --destination, --dataset, --pipeline, --database. Out: a pipeline. dlt remembers the folder in which a pipeline was
first run, and takes relative paths from there; a command means the folder that it is run in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import dlt
from dlt import Pipeline
from dlt.common.pipeline import get_dlt_pipelines_dir
from dlt.common.storages.file_storage import FileStorage

from ..errors import ConfigurationError
from ..warehouse.destinations import check_database_name, duckdb_file
from .shared import NamedPath, options


def _name(context: click.Context, option: click.Parameter, value: str) -> str:
    """A name that dlt takes: its folder is named so. An empty one is refused as any other value is."""
    try:
        FileStorage.validate_file_name_component(value.strip() or "empty")
    except ValueError:
        raise click.BadParameter(f"{value!r} must be a plain name, such as stripe_reports.") from None
    return value


pipeline_options = options(
    click.option(
        "--database",
        type=NamedPath(path_type=Path, dir_okay=False),
        help="DuckDB file.  [default: stripe_reports.duckdb, or as --pipeline says, in the present folder]",
    ),
    click.option("--destination", default="duckdb", show_default=True, help="Any SQL destination of dlt's."),
    click.option("--dataset", default="stripe", show_default=True, help="Dataset (schema) of the tables."),
    click.option(
        "--pipeline",
        "pipeline_name",
        callback=_name,
        default="stripe_reports",
        show_default=True,
        help="Pipeline name.",
    ),
)


def open_pipeline(
    destination: str, dataset: str, pipeline_name: str, database: Path | None = None, folder: Path | None = None
) -> Pipeline:
    """The pipeline that a command works for; `folder` is for dlt's working files, None for dlt's own choice.

    Raises:
        UsageError: a DuckDB file for another destination.
        ConfigurationError: a dataset that is named like its DuckDB file, which DuckDB cannot tell from it.
    """
    own: dict[str, Any] = {} if folder is None else {"pipelines_dir": str(folder)}
    pipeline: Pipeline = dlt.pipeline(
        pipeline_name, destination=_where(destination, database), dataset_name=dataset, **own
    )
    check_database_name(duckdb_file(pipeline), dataset)
    return pipeline


@contextmanager
def read_only_pipeline(
    destination: str, dataset: str, pipeline_name: str, database: Path | None = None
) -> Iterator[Pipeline]:
    """The pipeline of a command that only reads: its working folder is a temporary one, a DuckDB file is not written.

    Raises:
        UsageError: a DuckDB file for another destination.
        NoDatabase: there is no such DuckDB file.
        ConfigurationError: it is named after the dataset.
        DestinationBusy: another process is writing the file.
    """
    from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials  # DuckDB, which --help does not need

    from ..warehouse.duckdb_patience import refuse_busy

    with TemporaryDirectory(prefix="stripe-reports-") as folder:

        def opened(where: Any) -> Pipeline:
            return dlt.pipeline(pipeline_name, destination=where, dataset_name=dataset, pipelines_dir=folder)

        pipeline = opened(_where(destination, database))
        file = duckdb_file(pipeline)
        if file is not None:
            file = _in_working_folder(file, Path(folder).resolve())
            check_database_name(file, dataset)
            _refuse_missing(file)
            pipeline = opened(dlt.destinations.duckdb(DuckDbCredentials(str(file), read_only=True)))
            refuse_busy(pipeline, file)
        yield pipeline


def _where(destination: str, database: Path | None) -> Any:
    if database is not None and destination != "duckdb":
        raise click.UsageError("--database names a DuckDB file; leave it out for another --destination.")
    if destination != "duckdb":
        return destination
    # without a file it is the one that dlt's configuration names, or one that is named after the pipeline
    named: dict[str, Any] = {} if database is None else {"credentials": str(database.absolute())}
    return dlt.destinations.duckdb(local_dir=str(Path.cwd()), **named)


def _in_working_folder(file: Path, temporary: Path) -> Path:
    """The DuckDB file; that of the address :pipeline: is in dlt's working folder, and not in a temporary one."""
    return Path(get_dlt_pipelines_dir()) / file.relative_to(temporary) if temporary in file.parents else file


class NoDatabase(ConfigurationError):
    """There is no such DuckDB file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        super().__init__(f"there is no database {file}; begin with `stripe-reports sync`, or set --database.")


def _refuse_missing(file: Path) -> None:
    if not file.exists():
        raise NoDatabase(file)


def place(pipeline: Pipeline) -> str:
    """Where a pipeline loads to, in words: the DuckDB file with its whole path, else the destination; the dataset."""
    file = duckdb_file(pipeline)
    name = pipeline.destination.destination_name if pipeline.destination else None
    return f"{file or name}, dataset {pipeline.dataset_name}"


def loaded_pipeline(destination: str, dataset: str, pipeline_name: str, database: Path | None = None) -> Pipeline:
    """The pipeline of a command that works on what is loaded: it makes no DuckDB file.

    Raises:
        UsageError: a DuckDB file for another destination.
        NoDatabase: there is no such DuckDB file.
        ConfigurationError: it is named after the dataset.
    """
    pipeline = open_pipeline(destination, dataset, pipeline_name, database)
    file = duckdb_file(pipeline)
    if file is not None:
        _refuse_missing(file)
    return pipeline
