"""Faults of the loader itself, planted in a syncing process to see whether the harness finds them."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.impl.postgres.postgres import PostgresClient
from dlt.destinations.job_client_impl import SqlLoadJob

from stripe_reports_source.plan import lanes
from stripe_reports_source.plan.state import LaneState
from stripe_reports_source.rows import cell_tables as tables
from stripe_reports_source.stripe_api.connection import Connection
from stripe_reports_source.stripe_api.runs import RunBook, RunRequest
from stripe_reports_source.sync import loading
from stripe_reports_source.sync.arrived_cell import ArrivedCell
from stripe_reports_source.sync.whose_data import WhoseData
from stripe_reports_source.warehouse import duckdb_cells, own_jobs, postgres_cells
from stripe_reports_source.warehouse.forks import History
from stripe_reports_source.warehouse.postgres_cells import CellClient


def plant(owner: Any, name: str, other: Any) -> None:
    """Put something in the place of a part of the loader, which has to be there."""
    getattr(owner, name)
    setattr(owner, name, other)


def _drop_tombstone() -> None:
    real = tables._tombstone
    plant(tables, "_tombstone", lambda schema, constants: real(schema, constants).slice(0, 0))


def _random_key() -> None:
    plant(RunRequest, "idempotency_key", lambda self, attempt: f"random-{random.random()}")


def _no_adoption() -> None:
    plant(RunBook, "matching", lambda self, request: [])


def _early_cursor() -> None:
    real = ArrivedCell.loaded

    def loaded_all(self: Any) -> None:
        real(self)
        lane, states = self._active.lane, self._report.states
        states.put(lane.key, replace(states.get(lane.key), cursor=lane.cells[-1].cell.span.end))

    plant(ArrivedCell, "loaded", loaded_all)


def _no_transaction() -> None:
    plant(SqlLoadJob, "maybe_transaction", lambda self, sql: contextlib.nullcontext())
    plant(DuckDbSqlClient, "begin_transaction", lambda self: contextlib.nullcontext())
    real = CellClient._make_room

    def make_room(self: Any, cursor: Any, *of: Any) -> None:
        real(self, cursor, *of)
        cursor.execute("COMMIT")
        cursor.execute("BEGIN")

    plant(CellClient, "_make_room", make_room)


def _no_history() -> None:
    plant(History, "forks", property(lambda self: frozenset()))
    plant(History, "replaced_since", lambda self, *args: None)


def _resume_begun() -> None:
    plant(loading, "abort_begun_packages", lambda pipeline, source_name: None)


def _leaky_log() -> None:
    real = Connection._session

    def told(self: Any) -> Any:
        logging.info("asking with %s", self._api_key)
        return real(self)

    plant(Connection, "_session", told)


def _takes_all_files() -> None:
    """Every file is said to have been loaded by a job of our own, so that none of dlt's is merged from staging."""
    plant(duckdb_cells, "loaded_whole", lambda jobs: True)
    plant(postgres_cells, "loaded_whole", lambda jobs: True)


def _no_account_proof() -> None:
    plant(WhoseData, "_prove_account", lambda self, *args: None)


def _cursor_stays_ahead() -> None:
    """What was taken back is not noted, so that it is not loaded again when it returns."""
    plant(LaneState, "without_data_from", lambda self, end: self)


def _clamped_window() -> None:
    def clamped(self: Any, resolved: Any) -> Any:
        available = resolved.offered.available
        return (self._window or available).clamp(available)

    plant(lanes._LanePlanner, "_backfill_window", clamped)


def _dlts_own_jobs() -> None:
    """Rows are appended to staging by dlt, and merged from there."""
    for own, usual in ((postgres_cells.CellClient, PostgresClient), (duckdb_cells.CellClient, DuckDbClient)):
        for name in (
            "create_load_job",
            "create_table_chain_completed_followup_jobs",
            "should_load_data_to_staging_dataset",
        ):
            plant(own, name, getattr(usual, name))


def _shared_staging() -> None:
    """As `dlts_own_jobs`, in a staging dataset that all pipelines share, and no look at what is stored."""
    _dlts_own_jobs()
    plant(own_jobs, "_own_staging", lambda pipeline: {})


PLANTS: dict[str, Callable[[], None]] = {
    "no tombstone": _drop_tombstone,
    "random idempotency key": _random_key,
    "no adoption": _no_adoption,
    "early cursor": _early_cursor,
    "no transaction": _no_transaction,
    "crossed syncs unseen": _no_history,
    "begun packages resumed": _resume_begun,
    "key in the log": _leaky_log,
    "straight path takes all files": _takes_all_files,
    "no account proof": _no_account_proof,
    "cursor stays ahead": _cursor_stays_ahead,
    "window clamped in silence": _clamped_window,
    "jobs that cannot be repeated": _dlts_own_jobs,
    "one staging for all": _shared_staging,
}
