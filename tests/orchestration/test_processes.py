"""A backfill as the UI launches it: Dagster's daemon, its run queue, a process for each run and each step."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

pytest.importorskip("dagster", reason='Dagster is not installed: pip install "stripe-reports-source[dagster]"')

from dagster import AssetKey, DagsterInstance, DagsterRunStatus, Definitions
from dagster._core.execution.backfill import PartitionBackfill  # what the UI makes; it has no public name

from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.orchestration.dagster import report_assets
from tests.conftest import query
from tests.orchestration.world import World

PAYOUTS = AssetKey("payouts_itemized")
LOCATION = "tests.orchestration.location"
NOT_THERE = "2025-06-01"
MONTHS = ("2025-01-01", "2025-03-01")


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait, far longer than it takes."""
    give_up = time.monotonic() + 400
    while not holds():
        assert time.monotonic() < give_up, what
        time.sleep(0.2)


@pytest.fixture
def dagster(world: World) -> Iterator[DagsterInstance]:
    """An instance as processes have it: files in a folder."""
    with DagsterInstance.from_config(world.environment["DAGSTER_HOME"]) as instance:
        yield instance


def launch_backfill(world: World, dagster: DagsterInstance, *partitions: str) -> None:
    """A backfill of an asset, requested as the UI does."""
    assets = report_assets(world.source(), pipeline=world.pipeline())
    how: dict[str, Any] = dict.fromkeys(("title", "description", "run_config"))
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id="tested",
        asset_graph=Definitions(assets=assets).resolve_asset_graph(),
        partition_names=partitions,
        asset_selection=[PAYOUTS],
        backfill_timestamp=time.time(),
        tags={},
        dynamic_partitions_store=dagster,
        all_partitions=False,
        **how,
    )
    dagster.add_backfill(backfill)


@contextmanager
def daemon(world: World) -> Iterator[None]:
    """Dagster's daemon, at work."""
    command = [sys.executable, "-m", "dagster._daemon", "run", "-m", LOCATION]
    with (world.folder / "daemon.txt").open("w") as printed:  # a pipe that nothing reads could fill up
        running = subprocess.Popen(
            command, env={**os.environ, **world.environment}, stdout=printed, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            while running.poll() is None:
                running.terminate()  # raises where Dagster is just then, also in a finalizer, which swallows it
                with suppress(subprocess.TimeoutExpired):
                    running.wait(10)


@pytest.mark.timeout(900)
def test_partitions_of_a_backfill_run_side_by_side_and_the_failing_one_fails_alone(
    emulator: Emulator, world: World, dagster: DagsterInstance
) -> None:
    """No report run ends before all are made, so that all partitions wait for Stripe at once."""
    emulator.add_fault(Fault("run_stuck", method="POST", path="/v1/reporting/report_runs", times=None))
    launch_backfill(world, dagster, *MONTHS, NOT_THERE)
    with daemon(world):
        until(lambda: len(emulator.runs) == len(MONTHS), "the partitions wait for one another")
        emulator.clear_faults()
        wanted = len(MONTHS) + 1
        until(lambda: sum(run.is_finished for run in dagster.get_runs()) == wanted, "the runs do not end")
    statuses = {run.tags["dagster/partition"]: run.status for run in dagster.get_runs()}
    assert [day for day, status in statuses.items() if status is not DagsterRunStatus.SUCCESS] == [NOT_THERE]
    assert dagster.get_materialized_partitions(PAYOUTS) == set(MONTHS)
    assert len(emulator.runs) == len(MONTHS)
    days = query(world.pipeline(), "SELECT interval_day FROM report_cells ORDER BY interval_day")
    assert [day.isoformat() for (day,) in days] == list(MONTHS)
    assert not list(world.folder.rglob("*.csv"))
