"""`load_reports` can be stopped: what is loaded stays consistent, and the next call goes on."""

from __future__ import annotations

import threading
from collections import Counter

from dlt import Pipeline

from stripe_reports_source import Event, load_reports
from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.plan.run_parameters import canonical
from tests.conftest import query, source_of
from tests.pipeline.truth import assert_true

REPORTS = ["balance.summary", "payouts.itemized"]


def test_it_ends_after_the_package_at_hand_and_goes_on_later(emulator: Emulator, pipeline: Pipeline) -> None:
    stop = threading.Event()

    def at_first_cell(event: Event) -> None:
        if event.kind == "loaded":
            stop.set()

    emulator.add_fault(Fault("run_stuck", method="POST", skip=3, times=None))
    # one at a time: those that end are the next ones of their reports
    source = source_of(emulator, REPORTS, interval="week", max_concurrent_runs=1)
    first = load_reports(pipeline, source, on_event=at_first_cell, stop=stop)
    assert 1 <= first.cells <= 3
    emulator.clear_faults()
    [(cells,)] = query(pipeline, "SELECT count(*) FROM report_runs WHERE error IS NULL")
    assert cells == first.cells
    rest = load_reports(pipeline, source)
    assert rest.cells > first.cells
    assert_true(emulator, pipeline, REPORTS, end=emulator.settings.available_end, grid="week")
    made = Counter((run.report_type, canonical(run.report_type, run.parameters)) for run in emulator.runs)
    assert set(made.values()) == {1}


def test_it_does_not_wait_for_runs(emulator: Emulator, pipeline: Pipeline) -> None:
    emulator.add_fault(Fault("run_stuck", method="POST", times=None))
    stop = threading.Event()

    def at_first_run(event: Event) -> None:
        if event.kind == "running":
            stop.set()

    assert load_reports(pipeline, source_of(emulator, REPORTS), on_event=at_first_run, stop=stop).cells == 0
    emulator.clear_faults()
    load_reports(pipeline, source_of(emulator, REPORTS))
    assert_true(emulator, pipeline, REPORTS, end=emulator.settings.available_end)
