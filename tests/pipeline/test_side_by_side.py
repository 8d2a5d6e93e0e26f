"""A load that waits for another one has its runs made meanwhile, and makes none a second time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dlt import Pipeline
from dlt.extract import DltSource

from stripe_reports_source import SyncFailed, load_reports
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.errors import own_error
from stripe_reports_source.warehouse.locks import pipeline_lock
from tests.conftest import BOTH, query, source_of
from tests.pipeline.truth import assert_true

Make = Callable[..., Pipeline]
PAYOUTS, TABLE = "payouts.itemized", "payouts_itemized"
RUNS = "/v1/reporting/report_runs"


class Waiting(threading.Thread):
    """A load that waits. `answer` is what it returned or raised."""

    def __init__(self, pipeline: Pipeline, source: DltSource) -> None:
        super().__init__(daemon=True)
        self._pipeline, self._source = pipeline, source
        self.answer: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = load_reports(self._pipeline, self._source)
        except Exception as error:
            self.answer = error


def until(what: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + 120
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


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
