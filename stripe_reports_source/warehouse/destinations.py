"""Whether and how a dlt destination can keep the promises: cells replaced whole, values unchanged."""

from __future__ import annotations

import logging
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from dlt import Pipeline
from dlt.common.normalizers.naming.snake_case import NamingConvention
from dlt.common.typing import TLoaderFileFormat
from packaging.version import Version

from ..errors import ConfigurationError
from ..plan.columns import MAX_NAME_BYTES

logger = logging.getLogger(__name__)

POSTGRES_ROWS, POSTGRES_BYTES = 1 << 14, 1 << 20
EXACT_ADBC = Version("1.12")
"""ADBC's PostgreSQL driver refuses many a NUMERIC before 1.11, and 1.11 loads some long ones wrong (measured: one of
5,581 random values with 1.11, none of 2 million with 1.12 and 1.13)."""


def check_destination(pipeline: Pipeline, table_format: str | None = None) -> None:
    """Refuse a destination that would keep old rows beside new ones; warn of one that replaces them in two steps.

    A cell is replaced by dlt's `delete-insert` merge. Destinations without it (plain-file `filesystem`, vector
    stores) fall back to appending, which doubles rows at every refresh. dlt runs our merges in a transaction where the
    destination's capabilities say `supports_ddl_transactions` (see `columns.TOMBSTONE`): not on BigQuery, Databricks,
    ClickHouse, Athena, Dremio and Synapse. Into Delta and Iceberg tables on `filesystem` this package replaces cells by
    itself.

    Args:
        pipeline: whose destination.
        table_format: as the source is set.

    Raises:
        ConfigurationError: names the destination and some that work.
    """
    destination = pipeline.destination
    if destination is None:
        return
    _check_dataset_name(str(pipeline.dataset_name or ""))
    check_database_name(duckdb_file(pipeline), str(pipeline.dataset_name or ""))
    capabilities = destination.capabilities()
    if destination_type(pipeline) == "filesystem" and "delta" in (capabilities.supported_table_formats or ()):
        _check_files(pipeline, table_format)
        return
    if table_format is not None and table_format not in (capabilities.supported_table_formats or ()):
        raise ConfigurationError(
            f"table_format {table_format!r}: destination {destination.destination_name!r} has no such tables; "
            "leave it out."
        )
    if "delete-insert" not in (capabilities.supported_merge_strategies or ()):
        raise ConfigurationError(
            f"destination {destination.destination_name!r} cannot replace rows (dlt's merge strategy 'delete-insert'), "
            "so each refresh would double them; use duckdb, postgres, snowflake, bigquery or another SQL destination."
        )
    if destination_type(pipeline) == "sqlalchemy":
        from .sqlalchemy_servers import check_dialect  # SQLAlchemy, which others need not have

        check_dialect(pipeline)
    if not capabilities.supports_ddl_transactions:
        logger.warning(
            "destination %r replaces an interval's rows in two steps, not in one transaction: while a load runs, a "
            "reader may see an interval empty (wait for the load's row in _dlt_loads); nothing is lost or doubled.",
            destination.destination_name,
        )


def _check_dataset_name(name: str) -> None:
    """Tables and columns never have a longer name. dlt cuts a dataset's, with a hash, where the database wants it."""
    written = max(
        name, NamingConvention().normalize_table_identifier(name) if name else "", key=lambda text: len(text.encode())
    )
    length = len(written.encode())
    if length > MAX_NAME_BYTES:
        raise ConfigurationError(
            f"dataset_name {name!r} has {length} bytes as dlt writes it, which some destinations cut and others keep; "
            f"give one of at most {MAX_NAME_BYTES} bytes."
        )


def _check_files(pipeline: Pipeline, table_format: str | None) -> None:
    if table_format is None:
        raise ConfigurationError(
            "destination 'filesystem' cannot replace rows of plain files, so each refresh would double them; set "
            "table_format='delta' (Delta tables) or 'iceberg', or use duckdb, postgres or another SQL destination."
        )
    package, extra = {"delta": ("deltalake", "deltalake"), "iceberg": ("pyiceberg", "iceberg")}[table_format]
    if find_spec(package) is None:
        raise ConfigurationError(
            f'table_format {table_format!r} needs the package {package}: pip install ".[{extra}]".'
        )
    if table_format == "iceberg":
        from .iceberg_tables import check_place  # an extra

        check_place(pipeline)


def destination_type(pipeline: Pipeline) -> str:
    """dlt's word for the kind of destination, such as `duckdb`."""
    return pipeline.destination.destination_type.rpartition(".")[2] if pipeline.destination else ""


def duckdb_file(pipeline: Pipeline) -> Path | None:
    """The file of a DuckDB destination, where all links to it lead; None for other destinations, or in memory."""
    if destination_type(pipeline) != "duckdb":
        return None
    database = str(getattr(pipeline.destination_client().config.credentials, "database", None) or ":memory:")
    return None if database.startswith((":", "md:")) else Path(database).resolve()


def check_database_name(file: Path | None, dataset: str) -> None:
    """Refuse a DuckDB file that is named as its dataset. DuckDB names a database by what stands before the first dot.

    Raises:
        ConfigurationError: names both.
    """
    if file is not None and file.name.partition(".")[0].lower() == dataset.lower():
        raise ConfigurationError(
            f"database {str(file)!r} must not be named after the dataset {dataset!r}: DuckDB cannot tell them apart."
        )


def exact_file_format(pipeline: Pipeline) -> TLoaderFileFormat | None:
    """The load file format that keeps every value, where dlt's own choice does not; None to leave it to dlt.

    For PostgreSQL dlt 1.31 takes CSV and loads it with FORCE_NULL, which makes NULL of "". Parquet is exact in our own
    jobs (`postgres_cells`), with and without ADBC, and in dlt's with ADBC from `EXACT_ADBC` on. INSERT statements keep
    an older ADBC out, which dlt's jobs would take for a package that they find.
    """
    if destination_type(pipeline) != "postgres":
        return None
    driver = adbc_version()
    if driver is None or driver >= EXACT_ADBC:
        return "parquet"
    logger.warning(
        "adbc-driver-postgresql %s does not load every amount exactly; it is not used, and loading is slower. "
        "Install adbc-driver-postgresql>=%s.",
        driver,
        EXACT_ADBC,
    )
    return "insert_values"


def most_at_once(pipeline: Pipeline) -> tuple[int, int] | None:
    """The rows of a table, and bytes of a file, where more at once only take memory: PostgreSQL takes row by row."""
    return (POSTGRES_ROWS, POSTGRES_BYTES) if destination_type(pipeline) == "postgres" else None


def adbc_version() -> Version | None:
    """The version of ADBC's driver for PostgreSQL; None if it is not there whole."""
    try:
        version("adbc-driver-manager")  # the driver is called through it
        return Version(version("adbc-driver-postgresql"))
    except PackageNotFoundError:
        return None
