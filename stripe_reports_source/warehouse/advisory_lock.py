"""PostgreSQL's lock for a dataset, on a connection of its own.

In: a pipeline. Out: a lock that all pipelines of its dataset share on all machines, and that ends with its connection.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException, DestinationConnectionError
from dlt.destinations.sql_client import SqlClientBase

from .locks import load_into, wait_for

logger = logging.getLogger(__name__)

POSTGRES_PATIENCE = 7200.0
"""Seconds to wait for PostgreSQL's lock: a connection pooler may keep one that is not in use."""
KEEP_ALIVE_SECONDS = 20.0
"""How often the connection that holds PostgreSQL's lock is used, so that it is not taken for idle."""
HOLDER = (
    "'pid ' || a.pid || coalesce(', user ' || a.usename, ', ' || a.backend_type, ', of the server itself') "
    "|| coalesce(', application ' || nullif(a.application_name, ''), '')"
)
"""SQL that names a session `a` of `pg_stat_activity`."""
LOCK = (
    "l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (l.classid::bigint << 32 | l.objid::bigint) = %s"
)
"""SQL that is true of a row `l` of `pg_locks` for an advisory lock that someone holds."""
NEXT_POLL_SECONDS = 0.1
"""How often the one that is next looks whether it is its turn."""
WANTED_SECONDS = 0.5
"""How often PostgreSQL is asked whether someone is next."""
LOADS = "stripe_reports"
IS_NEXT = "stripe_reports is next"
"""Which of the two locks of a dataset."""


def lock_number(*names: str) -> int:
    """The number of PostgreSQL's advisory lock for something. Such locks are per database."""
    return int.from_bytes(hashlib.sha256("|".join(names).encode()).digest()[:8], "big", signed=True)


class AdvisoryLock:
    """PostgreSQL's lock for a dataset, on a connection of its own that a thread keeps in use.

    Args:
        pipeline: whose dataset; loads into it keep one another out.
        patience: seconds to wait for it.
        keep_alive: seconds between two uses of the connection.
    """

    def __init__(
        self, pipeline: Pipeline, patience: float = POSTGRES_PATIENCE, keep_alive: float = KEEP_ALIVE_SECONDS
    ) -> None:
        self._pipeline = pipeline
        self._patience = patience
        self._keep_alive = keep_alive
        self._dataset = f"the dataset {str(pipeline.dataset_name)!r}"
        self._is_next = False
        self._done = threading.Event()
        self._held = False
        self._open = ExitStack()
        self._wanted, self._asked = False, 0.0

    def try_take(self) -> bool:
        """Take it if it is free, and nobody is next."""
        with ExitStack() as opened:
            client = self._opened(opened)
            if self._is_held(client, IS_NEXT) or not self._try(client, LOADS):
                return False
            self._keep_open(opened, client, held=True)
            return True

    def take(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Wait for it, or go on without it once patience has ended; False if the wait was stopped."""
        with ExitStack() as opened:
            client = self._opened(opened)
            held = not self._is_held(client, IS_NEXT) and self._try(client, LOADS)
            if not held:
                held = wait_for(
                    lambda: self._try_in_turn(client),
                    load_into(self._dataset),
                    lambda: self._holder(client),
                    self._patience,
                    NEXT_POLL_SECONDS,
                    stopped,
                )
            if self._is_next:
                self._is_next = False
                self._unlock(client, IS_NEXT)
            if not held and stopped():
                return False
            if not held:
                logger.warning("going on without the lock of %s", self._dataset)
            self._keep_open(opened, client, held=held)
            return True

    def release(self) -> None:
        """Give it back."""
        self._done.set()
        self._open.close()

    def wanted(self) -> bool:
        """True while someone is next; asked every half second at most, by who holds it."""
        now = time.monotonic()
        if self._held and now >= self._asked + WANTED_SECONDS:
            self._asked = now
            try:
                with self._pipeline.sql_client() as client:
                    self._wanted = self._is_held(client, IS_NEXT)
            except (DatabaseException, DestinationConnectionError):  # the load itself will say so
                self._wanted = False
        return self._wanted

    def _opened(self, opened: ExitStack) -> SqlClientBase[Any]:
        client = self._pipeline.sql_client()
        client.open_connection()
        opened.callback(client.close_connection)
        return client

    def _keep_open(self, opened: ExitStack, client: SqlClientBase[Any], *, held: bool) -> None:
        self._held, self._done = held, threading.Event()
        self._wanted, self._asked = False, time.monotonic()
        opened.callback(self._release, client)
        keeper = threading.Thread(target=self._keep, args=(client, self._done), name="stripe-reports-lock", daemon=True)
        keeper.start()
        opened.callback(keeper.join)
        self._open = opened.pop_all()

    def _try_in_turn(self, client: SqlClientBase[Any]) -> bool:
        self._is_next = self._is_next or self._try(client, IS_NEXT)
        return self._is_next and self._try(client, LOADS)

    def holder(self) -> str:
        """The session that holds it now, in words; empty where none does."""
        with self._pipeline.sql_client() as client:
            return self._holder(client)

    def _number(self, client: SqlClientBase[Any], which: str) -> int:
        return lock_number(which, client.dataset_name)

    def _try(self, client: SqlClientBase[Any], which: str) -> bool:
        rows = client.execute_sql("SELECT pg_try_advisory_lock(%s)", self._number(client, which))
        return bool(rows and rows[0][0])

    def _unlock(self, client: SqlClientBase[Any], which: str) -> None:
        client.execute_sql("SELECT pg_advisory_unlock(%s)", self._number(client, which))

    def _is_held(self, client: SqlClientBase[Any], which: str) -> bool:
        query = f"SELECT 1 FROM pg_locks l WHERE {LOCK}"  # noqa: S608
        return bool(client.execute_sql(query, self._number(client, which)))

    def _holder(self, client: SqlClientBase[Any]) -> str:
        rows = client.execute_sql(
            f"SELECT {HOLDER} FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE {LOCK}",  # noqa: S608
            self._number(client, LOADS),
        )
        return str(rows[0][0]) if rows else ""

    def _keep(self, client: SqlClientBase[Any], done: threading.Event) -> None:
        while not done.wait(self._keep_alive):
            try:
                client.execute_sql("SELECT 1")
            except (DatabaseException, DestinationConnectionError) as error:
                self._take_again(client, error)

    def _take_again(self, client: SqlClientBase[Any], error: Exception) -> None:
        # dlt's client has opened another connection meanwhile, or will at the next try
        try:
            if client.native_connection is None:
                client.open_connection()
            self._held = self._try(client, LOADS)
        except Exception:  # the server may be away; the load itself will say so
            self._held = False
        logger.warning(
            "the connection that held the lock of %s was lost (%s); %s",
            self._dataset,
            str(error).strip().splitlines()[0],
            "the lock is taken again" if self._held else "going on without the lock",
        )

    def _release(self, client: SqlClientBase[Any]) -> None:
        if not self._held:
            return
        try:
            self._unlock(client, LOADS)
        except Exception as error:  # a lock that is gone needs no release, and hides nothing
            logger.warning(
                "the connection that held the lock of %s was lost: %s",
                self._dataset,
                str(error).strip().splitlines()[0],
            )
