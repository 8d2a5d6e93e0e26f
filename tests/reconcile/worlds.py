"""Small worlds that are loaded once per test session, and copies of them that a test may spoil.

In: what is loaded by which accounts. Out: a DuckDB file with dlt's folder beside it. Loading takes the time, copying
none: a test changes rows in its copy by SQL, and looks.
"""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt import Pipeline
from filelock import FileLock

from stripe_reports_source import Report, load_reports
from stripe_reports_source.emulator import Emulator, EmulatorSettings
from stripe_reports_source.plan.system_tables import Statement
from stripe_reports_source.reconcile.checks import look
from stripe_reports_source.reconcile.scope import Scope
from tests.conftest import source_of

SIX = (
    "balance.summary",
    "balance_change_from_activity.itemized",
    "balance_change_from_activity.summary",
    "payouts.itemized",
    "payout_reconciliation.itemized",
    "ending_balance_reconciliation.itemized",
)
NINE = (*SIX, "payouts.summary", "payout_reconciliation.summary", "ending_balance_reconciliation.summary")
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Account:
    """What is loaded of an account: reports with a grid and a zone, from a business of its own."""

    label: str = "default"
    reports: Sequence[Any] = NINE
    source: Mapping[str, Any] = field(default_factory=dict)
    business: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """Accounts in one dataset. `end` is where Stripe's data ends, and the last cell is loaded to."""

    name: str
    accounts: Sequence[Account]
    end: datetime = datetime(2025, 4, 11, 12, tzinfo=timezone.utc)
    scale: float = 0.05

    def load(self, folder: Path, destination: Any = None) -> Pipeline:
        """Load it into a new dataset of a folder, or of another destination."""
        pipeline = self.pipeline(folder, destination)
        for seed, account in enumerate(self.accounts):
            settings: dict[str, Any] = {
                "seed": seed,
                "scale": self.scale,
                "business_start": date(2025, 1, 1),
                "available_end": self.end,
                "pending_polls": 0,
                **account.business,
            }
            with Emulator(EmulatorSettings(**settings)) as emulator:
                source = source_of(
                    emulator, list(account.reports), account=account.label, max_concurrent_runs=8, **account.source
                )
                load_reports(pipeline, source, max_cells=2000)
        return pipeline

    def pipeline(self, folder: Path, destination: Any = None) -> Pipeline:
        """The pipeline of a folder."""
        made = destination or dlt.destinations.duckdb(str(folder / "world.duckdb"))
        # a server is there for all tests of a process
        name = f"world_{uuid.uuid4().hex[:12]}" if destination else "stripe"
        return dlt.pipeline("world", destination=made, dataset_name=name, pipelines_dir=str(folder / "pipelines"))


class Worlds:
    """Worlds of a test session, each loaded once, whatever number of processes runs the tests.

    Args:
        folder: that all these processes share.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def copy(self, world: World, folder: Path) -> Pipeline:
        """A copy of a world in a folder of its own."""
        loaded = self._folder / f"world-{world.name}"
        with FileLock(f"{loaded}.lock"):
            if not (loaded / "done").exists():
                shutil.rmtree(loaded, ignore_errors=True)
                loaded.mkdir(parents=True)
                world.load(loaded)
                (loaded / "done").touch()
        shutil.copytree(loaded, folder, dirs_exist_ok=True)
        return world.pipeline(folder)


def spoil(pipeline: Pipeline, *statements: str) -> int:
    """Change rows in a copy; gives how many the last statement has changed."""
    with duckdb.connect(str(Path(pipeline.pipelines_dir).parent / "world.duckdb")) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET schema = 'stripe'")
        changed = 0
        for statement in statements:
            found = connection.execute(statement).fetchone()
            changed = int(found[0]) if found else 0
        return changed


def looked(pipeline: Pipeline, scope: Scope | None = None) -> list[Statement]:
    """The statements of a look at all there is."""
    return list(look(pipeline, NOW, scope))


def statuses(statements: Collection[Statement]) -> Counter[str]:
    """How many statements have each status."""
    return Counter(statement.status for statement in statements)


def alarms(statements: Collection[Statement]) -> frozenset[str]:
    """The equations that say that something differs or is stale."""
    return frozenset(statement.equation for statement in statements if statement.status in ("variance", "stale"))


def told(statements: Collection[Statement], *which: str) -> list[str]:
    """The statements of some statuses, in words, to be read where a test fails."""
    return [
        f"{statement.equation} {statement.interval_key} {statement.currency} {statement.item} {statement.figure} "
        f"{statement.against} {statement.status}: {statement.reason}"
        for statement in statements
        if statement.status in which
    ]


_VERSIONS = (f"payout_reconciliation.itemized.{version}" for version in (3, 5))
VERSIONS = World(
    "versions",
    tuple(
        Account("shop", [*SIX[:4], version], source, {"seed": 0, "all_types": True})
        for version, source in zip(_VERSIONS, ({"end_date": "2025-02-01"}, {"start_date": "2025-02-01"}), strict=True)
    ),
    datetime(2025, 2, 12, 12, tzinfo=timezone.utc),
)
"""A table in which a report goes on in a newer version, with other columns for the time of a payout."""

ZONES = World(
    "zones",
    (Account("shop", [SIX[0], Report(SIX[1], timezone="America/New_York"), SIX[3]]),),
    datetime(2025, 2, 12, 12, tzinfo=timezone.utc),
)
"""Activity by days of another zone than the balance that it moves."""
