"""This package's own way to load a dlt package: a destination as the user has set it up, with other jobs for cells.

In: a pipeline. Out: the same pipeline whose destination loads cells in jobs that may run any number of times, that
need no staging table, and that go well beside other loads into the same dataset. `load_reports` uses it for its own
time only; a plain `pipeline.run` does not tell when it ends, so that the pipeline keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import dlt
from dlt import Pipeline
from dlt.common.destination import Destination
from dlt.common.pipeline import LoadInfo
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.job_client_impl import SqlJobClientBase

from ..errors import DestinationBusy, find_cause
from .destinations import destination_type
from .repeatable import RepeatableClient, StandIn

if TYPE_CHECKING:
    import pyarrow as pa

DEFAULT_STAGING = "%s_staging"
"""dlt's own name for the staging dataset."""
_IMPORTED = {
    dlt.destinations.duckdb: (".duckdb_cells", "pandas"),
    dlt.destinations.postgres: (".postgres_cells",),
    dlt.destinations.filesystem: (".lake_cells",),
}
"""What loads of our own import. DuckDB imports pandas, where there is one, with the first parameter of a statement."""


def import_early(pipeline: Pipeline) -> None:
    """Import what a load into the pipeline's destination needs, while it keeps no other load waiting."""
    for module in _IMPORTED.get(type(pipeline.destination), ()):
        with suppress(Exception):  # whoever needs it says so; DuckDB goes on without a pandas that is broken
            import_module(module, __package__)


@contextmanager
def own_jobs(pipeline: Pipeline) -> Iterator[None]:
    """Load cells in our own way, where there is one for the destination, until the end of the block.

    Raises:
        ConfigurationError: the database does not keep every text.
        DestinationBusy: someone else had a lock for longer than a load waits, wherever in dlt that came out.
    """
    usual = pipeline.destination
    keep_own_jobs(pipeline)
    own = pipeline.destination
    try:
        with own.settled() if isinstance(own, StandIn) else nullcontext():
            yield
    except Exception as error:
        busy = find_cause(error, DestinationBusy)
        if busy is None or busy is error:
            raise
        raise busy from None
    finally:
        if usual is not None:
            pipeline.destination = usual


def keep_own_jobs(pipeline: Pipeline) -> None:
    """Load cells in our own way from now on.

    Raises:
        ConfigurationError: the database does not keep every text.
    """
    usual = pipeline.destination
    # MotherDuck and DuckLake, and what others derive, are classes of their own
    if type(usual) is dlt.destinations.duckdb:
        from .duckdb_cells import CellDuckDb
        from .duckdb_reading import say_what_dlt_cannot_read

        say_what_dlt_cannot_read()
        pipeline.destination = CellDuckDb.instead_of(usual)
    elif type(usual) is dlt.destinations.postgres:
        from .postgres_cells import CellPostgres, check_encoding

        check_encoding(pipeline)
        pipeline.destination = CellPostgres.instead_of(usual, **_own_staging(pipeline))
    elif type(usual) is dlt.destinations.filesystem:
        from .lake_cells import CellFilesystem

        pipeline.destination = CellFilesystem.instead_of(usual)
    elif isinstance(usual, Destination) and not isinstance(usual, StandIn):
        if destination_type(pipeline) == "sqlalchemy":
            from .sqlalchemy_servers import ServerClient, check_server, engine_settings

            check_server(pipeline)
            config = {**_own_staging(pipeline), **engine_settings(pipeline)}
            pipeline.destination = _standing_in(usual, ServerClient, **config)
        else:
            pipeline.destination = _standing_in(usual, RepeatableClient, **_own_staging(pipeline))


def load_package(pipeline: Pipeline, source_name: str) -> LoadInfo:
    """`pipeline.load()`, with a source's cells replaced straight where the destination is a DuckDB database."""
    import pyarrow as pa  # which importing us does not need

    # what extraction has freed and Arrow's allocator still holds
    pa.default_memory_pool().release_unused()
    if not isinstance(pipeline.destination, dlt.destinations.duckdb):
        return pipeline.load()
    from .duckdb_cells import load_package as load_cells  # and DuckDB

    return load_cells(pipeline, source_name)


def takes_files(pipeline: Pipeline | None) -> bool:
    """True if a package may have a file for each large cell, and our own jobs load each as it is."""
    destination = None if pipeline is None else pipeline.destination
    return isinstance(destination, StandIn) and destination.several_files


def writes_straight(pipeline: Pipeline) -> bool:
    """True for a pipeline that is loading into DuckDB or PostgreSQL in our own way."""
    return isinstance(pipeline.destination, StandIn) and pipeline.destination.writes_straight


def replace_rows(
    pipeline: Pipeline, source_name: str, table: str, keys: Sequence[str], rows: Callable[[str], pa.Table]
) -> bool:
    """Replace rows in one transaction, without a load package, which would cost more than all the rest of a look.

    Args:
        pipeline: that `writes_straight`.
        source_name: the source, in whose schema the table is.
        table: dlt's name of it.
        keys: columns; rows that agree in them with a new one are dropped.
        rows: makes the new ones, with the name of the load package that was loaded last.

    Returns:
        False where there is no such table, or no load has ended.
    """
    client: Any = pipeline.destination_client(source_name)
    with client:
        loads = client.sql_client.make_qualified_table_name("_dlt_loads")
        try:
            found = client.sql_client.execute_sql(f"SELECT max(load_id) FROM {loads} WHERE status = 0")  # noqa: S608
            if not found or found[0][0] is None:
                return False
            client.replace_rows(pipeline, table, keys, rows(str(found[0][0])))
        except DatabaseUndefinedRelation:
            return False
    return True


def _standing_in(usual: Any, base: Any, **config: Any) -> Any:
    """Any other destination: dlt's own jobs, a staging dataset of its own, and begun packages that ask for abort."""

    class AnyDestination(StandIn, type(usual)):  # type: ignore[misc]  # whichever dlt has
        @property
        def client_class(self) -> Any:
            usual_class = self.usual.client_class
            if not issubclass(usual_class, SqlJobClientBase):
                return usual_class
            return type(usual_class.__name__, (base, usual_class), {})

    return AnyDestination.instead_of(usual, **config)


def _own_staging(pipeline: Pipeline) -> dict[str, str]:
    """A staging dataset of the pipeline's own, unless the user has named one.

    Two pipelines that load into one dataset at once would empty each other's staging tables, and there is no lock that
    both could hold on every destination.
    """
    try:
        layout = getattr(pipeline.destination_client().config, "staging_dataset_name_layout", None)
    except Exception:
        return {}  # a setting or a driver is missing: whoever loads says so
    if layout != DEFAULT_STAGING:
        return {}
    return {"staging_dataset_name_layout": f"{DEFAULT_STAGING}_{pipeline.pipeline_name}"}
