"""Cells as jobs on Ray's local cluster: a worker that is killed, a file that is missing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install ray")

import ray

from stripe_reports_source import SyncFailed, fetch_cell, load_cells, load_reports, plan_cells
from stripe_reports_source.emulator import Emulator, Fault
from tests.jobs.equal import assert_equal_datasets
from tests.orchestration.world import World, until, world_here

pytestmark = pytest.mark.timeout(600)  # a machine with other work starts Ray slowly; `until` gives up first
RUNS = "/v1/reporting/report_runs"


def fetch(cell: dict[str, Any]) -> dict[str, Any]:
    """Fetch a cell; which process does is written down."""
    world = world_here()
    tried = len(list(world.folder.glob(f"{cell['interval_day']}.*.pid")))
    (world.folder / f"{cell['interval_day']}.{tried}.pid").write_text(str(os.getpid()))
    return fetch_cell(world.source(["payouts.itemized"]), cell, world.folder / "fetched").as_json()


@pytest.fixture
def cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster on this machine, whose workers are in the world."""
    for name, value in (("RAY_USAGE_STATS_ENABLED", "0"), ("RAY_AUTH_MODE", "disabled")):
        monkeypatch.setenv(name, value)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_a_killed_worker_makes_no_second_run_and_a_missing_file_ends_nothing_before_it(
    emulator: Emulator, world: World, cluster: None
) -> None:
    """A worker is killed while it waits for Stripe; then a file is missing, and the load before it stays."""
    source = world.source(["payouts.itemized"])
    cells = plan_cells(world.pipeline(), source)
    emulator.add_fault(Fault("run_stuck", method="POST", path=RUNS, times=None))
    fetched = ray.remote(num_cpus=0.5, max_retries=3)(fetch)
    tasks = [fetched.remote(cell.as_json()) for cell in cells]
    until(lambda: len(emulator.runs) == len(cells) == 3, "the workers wait for Stripe at once")
    os.kill(int((world.folder / f"{cells[0].interval_day}.0.pid").read_text()), signal.SIGKILL)
    until((world.folder / f"{cells[0].interval_day}.1.pid").exists, "the task of the killed worker is run again")
    emulator.clear_faults()
    files = ray.get(tasks)
    assert {file["run_id"] for file in files} == {run.id for run in emulator.runs}
    with pytest.raises(SyncFailed, match=cells[1].interval_start[:10]):
        load_cells(world.pipeline(), source, [files[0], files[2]])
    load_cells(world.pipeline(), source, files)
    second = world.pipeline("second")
    load_reports(second, world.source(["payouts.itemized"]))
    assert len(emulator.runs) == 3
    assert_equal_datasets(world.pipeline(), second, verdicts=False)
