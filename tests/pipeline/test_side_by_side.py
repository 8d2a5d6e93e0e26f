"""Loads at the same time: each goes on while another one waits for Stripe, and no cell is run or loaded twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from dlt import Pipeline
from dlt.extract import DltSource

from stripe_reports_source import SyncFailed, load_reports
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.errors import own_error
from stripe_reports_source.sync.progress import Event
from stripe_reports_source.sync.result_files import FOLDER
from stripe_reports_source.warehouse.turns import pipeline_lock
from tests.conftest import BOTH, FIRST_OF_BOTH, query, source_of, until
from tests.pipeline.truth import assert_true

Make = Callable[..., Pipeline]
PAYOUTS, TABLE = "payouts.itemized", "payouts_itemized"
RUNS = "/v1/reporting/report_runs"


class Waiting(threading.Thread):
    """A load that waits. `answer` is what it returned or raised."""

    def __init__(self, pipeline: Pipeline, source: DltSource, **options: Any) -> None:
        super().__init__(daemon=True)
        self._pipeline, self._source, self._options = pipeline, source, options
        self.answer: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = load_reports(self._pipeline, self._source, **self._options)
        except Exception as error:
            self.answer = error


@contextmanager
def waiting(pipeline: Pipeline, first: Pipeline, source: DltSource, done: Callable[[], bool]) -> Iterator[Waiting]:
    """A load that has waited for the first one's lock until something was done, and has then come to its end."""
    with pipeline_lock(first):
        load = Waiting(pipeline, source)
        until(done)
        assert load.is_alive()
        yield load
    load.join(120)
    assert not load.is_alive()


@pytest.mark.first(1)
@BOTH
def test_runs_are_made_while_another_load_is_at_work(emulator: Emulator, make_pipeline: Make) -> None:
    first, second = make_pipeline(folder="first"), make_pipeline(folder="second")

    def all_run() -> bool:
        return [run.status for run in emulator.runs] == ["succeeded"] * 3

    with waiting(second, first, source_of(emulator, [PAYOUTS]), all_run):
        made = [run.id for run in emulator.runs]
        tables = "SELECT count(*) FROM information_schema.tables WHERE table_name = %s AND table_schema = %s"
        assert query(second, tables, TABLE, second.dataset_name) == [(0,)]
    assert [run.id for run in emulator.runs] == made
    assert_true(emulator, second, [PAYOUTS], end=emulator.settings.available_end)


def test_what_the_other_load_has_loaded_meanwhile_is_not_loaded_again(emulator: Emulator, make_pipeline: Make) -> None:
    """Both want the same cells: one run and one replacement for each."""
    first, second = make_pipeline(folder="first"), make_pipeline(folder="second")
    source = source_of(emulator, [PAYOUTS])
    with pipeline_lock(first):
        loads = [Waiting(first, source_of(emulator, [PAYOUTS])), Waiting(second, source)]
        until(lambda: len(emulator.runs) == 3)
    for load in loads:
        load.join(120)
    assert sorted(load.answer.cells for load in loads) == [0, 3]
    assert len(emulator.runs) == 3
    assert_true(emulator, second, [PAYOUTS], end=emulator.settings.available_end)


@pytest.mark.long
def test_a_run_that_fails_meanwhile_is_tried_again(emulator: Emulator, make_pipeline: Make) -> None:
    first, second = make_pipeline(folder="first"), make_pipeline(folder="second")
    emulator.add_fault(Fault("run_failed", method="POST", times=1))

    def one_has_failed() -> bool:
        return "failed" in [run.status for run in emulator.runs]

    with waiting(second, first, source_of(emulator, [PAYOUTS]), one_has_failed) as load:
        pass
    assert load.answer.cells == 3
    assert len(emulator.runs) == 4
    assert_true(emulator, second, [PAYOUTS], end=emulator.settings.available_end)


@pytest.mark.parametrize(
    ("reports", "fault"),
    [
        pytest.param(
            [PAYOUTS], Fault("status", path="report_types", times=None, status=401), id="a key that is refused"
        ),
        pytest.param(["no.such_report"], None, id="a report that there is not"),
    ],
)
def test_what_cannot_be_planned_is_said_by_the_load(
    emulator: Emulator, make_pipeline: Make, reports: list[str], fault: Fault | None
) -> None:
    first, second = make_pipeline(folder="first"), make_pipeline(folder="second")
    if fault is not None:
        emulator.add_fault(fault)
    with waiting(second, first, source_of(emulator, reports), lambda: bool(emulator.requests)) as load:
        pass
    assert not isinstance(load.answer, SyncFailed)
    assert own_error(load.answer) is not None
    assert not emulator.runs


def months(emulator: Emulator) -> list[int]:
    """The months that runs were made for."""
    starts = [datetime.fromtimestamp(run.parameters["interval_start"], timezone.utc) for run in emulator.runs]
    return sorted(start.month for start in starts)


def stuck(skip: int = 0, times: int | None = None) -> Fault:
    """Runs that do not end before the faults are cleared."""
    return Fault("run_stuck", method="POST", path=f"{RUNS}$", skip=skip, times=times)


def backfill(emulator: Emulator, month: int) -> DltSource:
    """A source that loads a month."""
    return source_of(emulator, [PAYOUTS], start_date=f"2025-{month:02}-01", end_date=f"2025-{month + 1:02}-01")


@pytest.mark.first(1)
@BOTH
def test_others_load_while_stripe_is_awaited(emulator: Emulator, make_pipeline: Make) -> None:
    """A sync waits for January; February is loaded meanwhile, and the sync goes on without it."""
    first, second = make_pipeline(folder="first"), make_pipeline(folder="second")
    emulator.add_fault(stuck(times=1))
    sync = Waiting(first, source_of(emulator, [PAYOUTS], max_concurrent_runs=1))
    until(lambda: months(emulator) == [1])
    assert load_reports(second, backfill(emulator, 2)).cells == 1
    assert sync.is_alive()
    assert months(emulator) == [1, 2]
    emulator.clear_faults()
    sync.join(120)
    assert sync.answer.cells == 2
    assert months(emulator) == [1, 2, 3]
    assert_true(emulator, second, [PAYOUTS], end=emulator.settings.available_end)


def test_a_duckdb_file_can_be_read_while_stripe_is_awaited(
    emulator: Emulator, pipeline: Pipeline, tmp_path: Path
) -> None:
    """It is kept open from one question to the next, but not for longer: January is loaded, February is awaited."""
    load_reports(pipeline, backfill(emulator, 1))
    emulator.add_fault(stuck(times=1))
    sync = Waiting(pipeline, source_of(emulator, [PAYOUTS]))
    read = "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True).sql(sys.argv[2]).fetchall())"
    command = [sys.executable, "-c", read, str(tmp_path / "reports.duckdb"), f"SELECT count(*) FROM stripe.{TABLE}"]
    until(lambda: len(emulator.runs) == 3)
    until(lambda: subprocess.run(command, capture_output=True).returncode == 0)
    assert sync.is_alive()
    emulator.clear_faults()
    sync.join(120)
    assert sync.answer.cells == 2
    assert_true(emulator, pipeline, [PAYOUTS], end=emulator.settings.available_end)


@pytest.mark.long
@FIRST_OF_BOTH
def test_what_a_load_holds_is_loaded_before_it_gives_way(emulator: Emulator, make_pipeline: Make) -> None:
    """A sync has January and waits for February; a backfill of January finds it loaded."""
    first, second = make_pipeline(folder="first"), make_pipeline(folder="second")
    emulator.add_fault(stuck(skip=1, times=1))
    sync = Waiting(first, source_of(emulator, [PAYOUTS], max_concurrent_runs=1))
    until(lambda: months(emulator) == [1, 2])
    assert load_reports(second, backfill(emulator, 1)).cells == 0
    assert sync.is_alive()
    assert query(second, f"SELECT count(DISTINCT _interval_key) FROM {TABLE}") == [(1,)]
    emulator.clear_faults()
    sync.join(120)
    assert sync.answer.cells == 3
    assert len(sync.answer.load_infos) == 2
    assert months(emulator) == [1, 2, 3]
    assert load_reports(second, backfill(emulator, 1)).cells == 1  # nobody has loaded it since it was planned
    assert_true(emulator, second, [PAYOUTS], end=emulator.settings.available_end)


@pytest.mark.long
def test_what_has_failed_is_not_tried_again_after_others_have_worked(emulator: Emulator, make_pipeline: Make) -> None:
    """The first run fails, all others wait; the lock is given to another one, then all go on."""
    first, second = make_pipeline(folder="first"), make_pipeline(folder="second")
    emulator.add_fault(Fault("run_failed", method="POST", path=f"{RUNS}$", times=1))
    emulator.add_fault(stuck())
    source = source_of(emulator, [PAYOUTS, "balance.summary"], max_concurrent_runs=1, run_policy={"attempts": 1})
    heard: list[Event] = []
    sync = Waiting(first, source, on_event=heard.append)
    until(lambda: "failed" in [event.kind for event in heard] and len(emulator.runs) == 2)
    with pipeline_lock(second):
        assert sync.is_alive()
        emulator.clear_faults()
    sync.join(120)
    assert isinstance(sync.answer, SyncFailed)
    assert len(sync.answer.failures) == 1
    assert [event.kind for event in heard].count("failed") == 1
    assert [run.status for run in emulator.runs].count("failed") == 1
    assert sorted((event.table, event.count) for event in heard if event.kind == "planned") == [
        ("balance_summary", 3),
        (TABLE, 3),
    ]
    assert query(second, "SELECT open_failures FROM report_freshness ORDER BY table_name") == [(0,), (1,)]
    assert load_reports(second, source_of(emulator, [PAYOUTS, "balance.summary"])).cells == 3
    assert_true(emulator, second, [PAYOUTS, "balance.summary"], end=emulator.settings.available_end)


@pytest.mark.parametrize("how", ["stopped", "its folder is removed"])
def test_a_load_that_waits_for_its_turn(emulator: Emulator, make_pipeline: Make, how: str) -> None:
    """It has fetched all and waits for the lock: it may be told to stop, or lose the files."""
    first, second = make_pipeline(folder="first"), make_pipeline(folder="second")
    stop, heard = threading.Event(), list[Event]()
    with pipeline_lock(first):
        load = Waiting(second, source_of(emulator, [PAYOUTS]), stop=stop, on_event=heard.append)
        until(lambda: [event.kind for event in heard].count("fetched") == 3)
        files = [*Path(second.working_dir).glob(f"{FOLDER}/*/*.csv")]
        assert len(files) == 3
        if how == "stopped":
            stop.set()
            load.join(120)  # it does not wait for the other one
            assert not load.is_alive()
        else:
            shutil.rmtree(files[0].parent)
    load.join(120)
    assert load.answer.cells == (0 if how == "stopped" else 3)
    assert not [*Path(second.working_dir).glob(f"{FOLDER}/*")]
    assert len(emulator.runs) == 3
    load_reports(first, source_of(emulator, [PAYOUTS]))
    assert len(emulator.runs) == 3
    assert_true(emulator, second, [PAYOUTS], end=emulator.settings.available_end)


@FIRST_OF_BOTH
def test_a_stop_while_there_is_nothing_to_do_but_to_wait(emulator: Emulator, make_pipeline: Make) -> None:
    """Nothing is new: it waits to write that it has looked, and then for nobody."""
    first, second = make_pipeline(folder="first"), make_pipeline(folder="second")
    load_reports(second, source_of(emulator, [PAYOUTS]))
    asked, stop = len(emulator.requests), threading.Event()
    with pipeline_lock(first):
        load = Waiting(second, source_of(emulator, [PAYOUTS]), stop=stop)
        until(lambda: len(emulator.requests) > asked)
        stop.set()
        load.join(120)
        assert not load.is_alive()
        assert load.answer.cells == 0
    assert load_reports(second, source_of(emulator, [PAYOUTS])).cells == 0


@pytest.mark.long
def test_a_stop_while_the_lock_is_given_to_others(emulator: Emulator, make_pipeline: Make) -> None:
    """It has loaded a package, and waits for Stripe with the rest: what it has loaded is said, and stays."""
    first, second = make_pipeline(folder="first"), make_pipeline(folder="second")
    emulator.add_fault(stuck(skip=1))
    stop, heard = threading.Event(), list[Event]()
    source = source_of(emulator, [PAYOUTS], max_concurrent_runs=1)
    load = Waiting(second, source, stop=stop, on_event=heard.append, max_cells=1)
    until(lambda: len(emulator.runs) == 2)
    with pipeline_lock(first):
        stop.set()
        load.join(120)
        assert not load.is_alive()
    assert load.answer.cells == 1
    emulator.clear_faults()
    assert load_reports(second, source_of(emulator, [PAYOUTS])).cells == 2
    assert_true(emulator, second, [PAYOUTS], end=emulator.settings.available_end)
