"""A run that waits is told of its end, sooner than it would have polled; without news it polls."""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from typing import Any

import pytest

from stripe_reports_source.errors import RunTimedOut
from stripe_reports_source.plan.settings import RunPolicy
from stripe_reports_source.plan.stripe_objects import ReportRun, ResultFile
from stripe_reports_source.stripe_api.run_events import LONGEST_POLL, REMEMBERED, RunNews, next_poll
from stripe_reports_source.stripe_api.runs import RunBook, Runner, RunRequest

NOW = datetime(2025, 1, 1, tzinfo=timezone.utc)
REQUEST = RunRequest(None, "balance.summary.1", {}, NOW, NOW)
NEVER = threading.Event()
PATIENCE = 60.0


class Stripe:
    """A client whose run is pending until `finished`, and counts how often it is asked for it."""

    def __init__(self) -> None:
        self.finished = False
        self.asked = 0
        self.created = threading.Event()

    def runs_since(self, since: datetime, account: str | None) -> list[ReportRun]:
        return []

    def create_run(self, *args: Any, **kwargs: Any) -> ReportRun:
        self.created.set()
        return self._run("pending")

    def run(self, run_id: str, account: str | None) -> ReportRun:
        self.asked += 1
        return self._run("succeeded" if self.finished else "pending")

    def _run(self, status: Any) -> ReportRun:
        file = ResultFile("file_1", "https://files", 1) if status == "succeeded" else None
        return ReportRun("frr_1", "balance.summary.1", status, {}, NOW, None, None, file)


def runner_of(stripe: Any, news: RunNews, **policy: Any) -> Runner:
    def sleep(seconds: float) -> None:
        raise AssertionError("it polls by itself")

    clock = iter(range(0, 10_000, 7))
    return Runner(
        stripe,
        RunBook(stripe),
        RunPolicy(**policy),
        clock=lambda: next(clock),
        sleep=sleep,
        wait_for_news=lambda run_id, seconds: news.wait(run_id, PATIENCE if not policy else 0, NEVER),
    )


def test_a_waiting_run_is_read_again_when_it_is_announced() -> None:
    stripe, news = Stripe(), RunNews()
    found: list[ReportRun] = []
    waiting = threading.Thread(target=lambda: found.append(runner_of(stripe, news).obtain(REQUEST, (), lambda _: None)))
    waiting.start()
    assert stripe.created.wait(PATIENCE)
    news.announce("frr_other")
    stripe.finished = True
    news.announce("frr_1")
    waiting.join(PATIENCE / 2)
    assert [run.status for run in found] == ["succeeded"]
    assert stripe.asked == 1


def test_an_announcement_before_the_creation_is_answered_counts() -> None:
    stripe, news = Stripe(), RunNews()
    stripe.finished = True
    news.announce("frr_1")
    done = threading.Event()

    def obtain() -> None:
        runner_of(stripe, news).obtain(REQUEST, (), lambda _: None)
        done.set()

    threading.Thread(target=obtain, daemon=True).start()
    assert done.wait(PATIENCE / 2)


def test_an_announcement_counts_once() -> None:
    news = RunNews()
    news.announce("frr_1")
    news.wait("frr_1", PATIENCE, NEVER)
    assert "frr_1" not in news._announced


def test_without_news_it_polls_until_the_timeout() -> None:
    stripe = Stripe()
    with pytest.raises(RunTimedOut):
        runner_of(stripe, RunNews(), timeout=100.0).obtain(REQUEST, (), lambda _: None)
    assert stripe.asked > 3


def test_polls_grow_apart() -> None:
    waits, elapsed = [], 0.0
    while elapsed < 600:
        waits.append(next_poll(elapsed))
        elapsed += waits[-1]
    assert waits[:4] == [5, 5, 10, 20]
    assert waits[-1] == LONGEST_POLL


def test_memory_is_bounded() -> None:
    news = RunNews()
    for number in range(3 * REMEMBERED):
        news.announce(str(number))
    assert len(news._announced) == REMEMBERED
    assert str(3 * REMEMBERED - 1) in news._announced


def test_who_waits_can_be_stopped() -> None:
    news, stop = RunNews(), threading.Event()
    waiting = threading.Thread(target=news.wait, args=("frr_1", PATIENCE, stop))
    waiting.start()
    stop.set()
    news.wake()
    waiting.join(PATIENCE / 2)
    assert not waiting.is_alive()
