"""A small business of a hundred days, loaded once for all tests of the page, and commands on a copy of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from stripe_reports_source.cli import cli
from tests.reconcile.worlds import Account, World, Worlds

BUSINESS = World("page", [Account()])
FILE = "world.duckdb"
Run = Callable[..., Result]


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Worlds:
    """Worlds that all processes of the session share."""
    own = tmp_path_factory.getbasetemp()
    return Worlds(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.fixture
def business(worlds: Worlds, tmp_path: Path) -> Path:
    """A copy of the loaded business, in the present folder."""
    worlds.copy(BUSINESS, tmp_path)
    return tmp_path / FILE


@pytest.fixture
def page(business: Path) -> Run:
    """The command `page` on it."""
    return lambda *options: CliRunner().invoke(
        cli, ["page", "--database", str(business), *options], catch_exceptions=False
    )


def change(file: Path, *statements: str) -> int:
    """Change rows by SQL; gives how many the last statement has changed."""
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET schema = 'stripe'")
        changed = 0
        for statement in statements:
            found = connection.execute(statement).fetchone()
            changed = int(found[0]) if found else 0
        return changed


def asked(file: Path, sql: str) -> list[tuple[object, ...]]:
    """The rows of a query, read-only."""
    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET schema = 'stripe'")
        return connection.execute(sql).fetchall()


CENT = (
    "UPDATE balance_change_from_activity_itemized SET net = net + 0.01 WHERE balance_transaction_id = ("
    "SELECT min(balance_transaction_id) FROM balance_change_from_activity_itemized "
    "WHERE _interval_day = '2025-02-01' AND reporting_category = 'charge' AND currency = 'usd')"
)
"""A cent in one charge of February."""
