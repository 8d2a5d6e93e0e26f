"""Partitions side by side, in processes of Dagster's own: its command line, its multiprocess executor, its instance."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("dagster", reason='Dagster is not installed: pip install "stripe-reports-source[dagster]"')

from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from stripe_reports_source.emulator import Emulator, Fault
from tests.conftest import query
from tests.orchestration.world import World

PAYOUTS = AssetKey("payouts_itemized")
LOCATION = "tests.orchestration.location"
NOT_THERE = "2025-06-01"
MONTHS = ("2025-01-01", "2025-03-01")


def begin(world: World, partition: str, select: str = "payouts_itemized") -> subprocess.Popen[bytes]:
    """Materialize a partition in a process of its own, whose executor begins one for each step."""
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "--select", select, "--partition", partition]
    with printed_by(world, partition).open("w") as printed:  # a pipe that nothing reads could fill up
        return subprocess.Popen(
            [*command, "-m", LOCATION],
            env={**os.environ, **world.environment},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )


def printed_by(world: World, partition: str) -> Path:
    """Where what a process has printed is."""
    return world.folder / f"{partition}.txt"


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait, far longer than it takes."""
    give_up = time.monotonic() + 400
    while not holds():
        assert time.monotonic() < give_up, what
        time.sleep(0.2)


@pytest.fixture
def dagster(world: World) -> Iterator[DagsterInstance]:
    """An instance whose tables are made, which two processes must not do at once."""
    with DagsterInstance.from_config(world.environment["DAGSTER_HOME"]) as instance:
        assert not instance.get_runs()
        assert not instance.get_materialized_partitions(PAYOUTS)
        yield instance


@pytest.mark.timeout(600)
def test_partitions_side_by_side_and_the_failing_one_alone(
    emulator: Emulator, world: World, dagster: DagsterInstance
) -> None:
    """No report run ends before all are made, so that all partitions wait for Stripe at once."""
    emulator.add_fault(Fault("run_stuck", method="POST", path="/v1/reporting/report_runs", times=None))
    begun = {partition: begin(world, partition) for partition in (*MONTHS, NOT_THERE)}
    try:
        until(lambda: len(emulator.runs) == len(MONTHS), "the partitions wait for one another")
        emulator.clear_faults()
        codes = {partition: process.wait() for partition, process in begun.items()}
    finally:
        for process in begun.values():
            process.kill()
    printed = {partition: printed_by(world, partition).read_text() for partition in begun}
    assert [partition for partition, code in codes.items() if code] == [NOT_THERE], "\n".join(printed.values())
    assert "of which Stripe has" in printed[NOT_THERE]
    assert dagster.get_materialized_partitions(PAYOUTS) == set(MONTHS)
    statuses = {run.tags["dagster/partition"]: run.status for run in dagster.get_runs()}
    assert [day for day, status in statuses.items() if status is not DagsterRunStatus.SUCCESS] == [NOT_THERE]
    assert len(emulator.runs) == len(MONTHS)
    assert loaded_days(world) == list(MONTHS)
    assert not list(world.folder.rglob("*.csv"))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_backfill_runs_side_by_side(emulator: Emulator, world: World, dagster: DagsterInstance) -> None:
    """Through the daemon and the run queue, as one that was begun in the UI."""
    emulator.add_fault(Fault("run_stuck", method="POST", path="/v1/reporting/report_runs", times=None))
    environment = {**os.environ, **world.environment}
    dagster_command = [sys.executable, "-m", "dagster"]
    daemon = subprocess.Popen([sys.executable, "-m", "dagster._daemon", "run", "-m", LOCATION], env=environment)
    try:
        backfill = ["job", "backfill", "--noprompt", "-m", LOCATION, "-j", "payouts", "--partitions", ",".join(MONTHS)]
        subprocess.run([*dagster_command, *backfill], env=environment, check=True)
        until(lambda: len(emulator.runs) == len(MONTHS), "the runs of the backfill wait for one another")
        emulator.clear_faults()
        until(lambda: all(run.is_finished for run in dagster.get_runs()), "the backfill does not end")
    finally:
        daemon.terminate()
        daemon.wait()
    assert [run.status for run in dagster.get_runs()] == [DagsterRunStatus.SUCCESS] * len(MONTHS)
    assert dagster.get_materialized_partitions(PAYOUTS) == set(MONTHS)
    assert loaded_days(world) == list(MONTHS)


def loaded_days(world: World) -> list[str]:
    """The first days of what the dataset says is loaded."""
    days = query(world.pipeline(), "SELECT interval_day FROM report_cells ORDER BY interval_day")
    return [day.isoformat() for (day,) in days]
