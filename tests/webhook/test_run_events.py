"""A run that waits is told of its end, sooner than it would have polled; without events it polls."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime, timezone

import pytest

from stripe_reports_source.errors import RunTimedOut
from stripe_reports_source.plan.cells import Downloaded
from stripe_reports_source.plan.settings import RunPolicy
from stripe_reports_source.plan.stripe_objects import OfferedTypes, Parameters, ReportRun, ResultFile, RunStatus
from stripe_reports_source.stripe_api.api import StripeApi
from stripe_reports_source.stripe_api.run_events import RunEvents
from stripe_reports_source.stripe_api.runs import RunBook, Runner, RunRequest

NOW = datetime(2025, 1, 1, tzinfo=timezone.utc)
REQUEST = RunRequest(None, "balance.summary.1", {}, NOW, NOW)
NEVER = threading.Event()
PATIENCE = 60.0


class Stripe(StripeApi):
    """A Stripe whose run is pending until `finished`, and counts how often it is asked for it."""

    def __init__(self) -> None:
        self.finished = False
        self.asked = 0
        self.created = threading.Event()

    def report_types(self, account: str | None = None) -> OfferedTypes:
        return OfferedTypes(())

    def knows_run(self, run_id: str, account: str | None = None) -> bool:
        return True

    def runs_since(self, created: datetime, account: str | None = None) -> Iterable[ReportRun]:
        return ()

    def download(self, *arguments: object, **options: object) -> Downloaded:
        raise AssertionError("no file is asked for")

    def create_run(
        self, report_type: str, parameters: Parameters, *, idempotency_key: str, account: str | None = None
    ) -> ReportRun:
        self.created.set()
        return self._run("pending")

    def run(self, run_id: str, account: str | None = None) -> ReportRun:
        self.asked += 1
        return self._run("succeeded" if self.finished else "pending")

    def _run(self, status: RunStatus) -> ReportRun:
        file = ResultFile("file_1", "https://files", 1) if status == "succeeded" else None
        return ReportRun("frr_1", "balance.summary.1", status, {}, NOW, None, None, file)


def runner_of(stripe: StripeApi, events: RunEvents, timeout: float | None = None) -> Runner:
    def sleep(seconds: float) -> None:
        raise AssertionError("it polls by itself")

    def wait(run_id: str, seconds: float) -> None:
        events.wait(run_id, PATIENCE if timeout is None else 0, NEVER)

    clock = iter(range(0, 10_000, 7))
    return Runner(
        stripe,
        RunBook(stripe),
        RunPolicy() if timeout is None else RunPolicy(timeout=timeout),
        clock=lambda: next(clock),
        sleep=sleep,
        wait_for_event=wait,
    )


def test_a_waiting_run_is_read_again_when_it_is_announced() -> None:
    stripe, events = Stripe(), RunEvents()
    found: list[ReportRun] = []
    waiting = threading.Thread(
        target=lambda: found.append(runner_of(stripe, events).obtain(REQUEST, (), lambda _: None))
    )
    waiting.start()
    assert stripe.created.wait(PATIENCE)
    events.announce("frr_other")
    stripe.finished = True
    events.announce("frr_1")
    waiting.join(PATIENCE / 2)
    assert [run.status for run in found] == ["succeeded"]
    assert stripe.asked == 1


def test_an_announcement_before_the_creation_is_answered_counts() -> None:
    stripe, events = Stripe(), RunEvents()
    stripe.finished = True
    events.announce("frr_1")
    done = threading.Event()

    def obtain() -> None:
        runner_of(stripe, events).obtain(REQUEST, (), lambda _: None)
        done.set()

    threading.Thread(target=obtain, daemon=True).start()
    assert done.wait(PATIENCE / 2)


def test_an_announcement_counts_once() -> None:
    events = RunEvents()
    events.announce("frr_1")
    assert events.wait("frr_1", PATIENCE, NEVER)
    assert not events.wait("frr_1", 0, NEVER)


def test_without_events_it_polls_until_the_timeout() -> None:
    stripe = Stripe()
    with pytest.raises(RunTimedOut):
        runner_of(stripe, RunEvents(), timeout=100.0).obtain(REQUEST, (), lambda _: None)
    assert stripe.asked > 3


def test_polls_grow_apart() -> None:
    waits, elapsed = [], 0.0
    while elapsed < 600:
        waits.append(RunPolicy().event_poll(elapsed))
        elapsed += waits[-1]
    assert waits[:4] == [5, 5, 10, 20]
    assert waits[-1] == RunPolicy().longest_event_poll


def test_memory_is_bounded() -> None:
    events = RunEvents(remembered=10)
    for number in range(30):
        events.announce(str(number))
    assert [number for number in range(30) if events.wait(str(number), 0, NEVER)] == list(range(20, 30))


def test_who_waits_can_be_stopped() -> None:
    events, stop = RunEvents(), threading.Event()
    waiting = threading.Thread(target=events.wait, args=("frr_1", PATIENCE, stop))
    waiting.start()
    stop.set()
    events.wake()
    waiting.join(PATIENCE / 2)
    assert not waiting.is_alive()
