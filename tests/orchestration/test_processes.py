"""Partitions side by side, in processes of Dagster's own: its command line, its multiprocess executor, its instance."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("dagster", reason='Dagster is not installed: pip install "stripe-reports-source[dagster]"')

from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from stripe_reports_source.emulator import Emulator
from tests.conftest import query
from tests.orchestration.world import World

PAYOUTS = AssetKey("payouts_itemized")
LOCATION = "tests.orchestration.location"
NOT_THERE = "2025-06-01"
MONTHS = ("2025-01-01", "2025-03-01")


def begin(world: World, partition: str, select: str = "payouts_itemized") -> subprocess.Popen[str]:
    """Materialize a partition in a process of its own, whose executor begins one for each step."""
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "--select", select, "--partition", partition]
    return subprocess.Popen(
        [*command, "-m", LOCATION],
        env={**os.environ, **world.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.timeout(600)
def test_partitions_side_by_side_and_the_failing_one_alone(emulator: Emulator, world: World) -> None:
    """Runs, steps and loads meet one another; Dagster and the dataset both know what became of each."""
    with DagsterInstance.from_config(world.environment["DAGSTER_HOME"]) as instance:
        assert not instance.get_runs()
        assert not instance.get_materialized_partitions(PAYOUTS)  # whose tables two processes must not make at once
    begun = {partition: begin(world, partition) for partition in (*MONTHS, NOT_THERE)}
    printed = {partition: process.communicate()[0] for partition, process in begun.items()}
    codes = {partition: process.returncode for partition, process in begun.items()}
    assert [partition for partition, code in codes.items() if code] == [NOT_THERE], "\n".join(printed.values())
    assert "of which Stripe has" in printed[NOT_THERE]
    with DagsterInstance.from_config(world.environment["DAGSTER_HOME"]) as instance:
        assert instance.get_materialized_partitions(PAYOUTS) == set(MONTHS)
        statuses = {run.tags["dagster/partition"]: run.status for run in instance.get_runs()}
        assert [day for day, status in statuses.items() if status is not DagsterRunStatus.SUCCESS] == [NOT_THERE]
        steps = {step.step_key for step in instance.get_run_step_stats(instance.get_runs()[-1].run_id)}
        assert {"payouts_itemized.fetch_payouts_itemized", "payouts_itemized.load_payouts_itemized"} <= steps
    assert len(emulator.runs) == len(MONTHS)
    days = query(world.pipeline(), "SELECT interval_day FROM report_cells ORDER BY interval_day")
    assert tuple(day.isoformat() for (day,) in days) == MONTHS
    assert not list(world.folder.rglob("*.csv"))
