"""How often a run is polled, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone

import pytest

from stripe_reports_source.plan.cells import Downloaded
from stripe_reports_source.plan.settings import RunPolicy
from stripe_reports_source.plan.stripe_objects import OfferedTypes, Parameters, ReportRun, ResultFile, RunStatus
from stripe_reports_source.stripe_api.api import StripeApi
from stripe_reports_source.stripe_api.runs import RunBook, Runner, RunRequest

NOW = datetime(2025, 1, 1, tzinfo=timezone.utc)


class SlowStripe(StripeApi):
    """Runs that take some seconds of a clock that only waiting moves."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.ready = 0.0
        self.polls = 0

    def report_types(self, account: str | None = None) -> OfferedTypes:
        return OfferedTypes(())

    def create_run(
        self, report_type: str, parameters: Parameters, *, idempotency_key: str, account: str | None = None
    ) -> ReportRun:
        self.ready = self.now + self.seconds
        return self._run("pending")

    def run(self, run_id: str, account: str | None = None) -> ReportRun:
        self.polls += 1
        return self._run("succeeded" if self.now >= self.ready else "pending")

    def knows_run(self, run_id: str, account: str | None = None) -> bool:
        return True

    def runs_since(self, created: datetime, account: str | None = None) -> Iterable[ReportRun]:
        return ()

    def download(self, *arguments: object, **options: object) -> Downloaded:
        raise AssertionError("no file is asked for")

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def _run(self, status: RunStatus) -> ReportRun:
        file = ResultFile("file_1", "http://127.0.0.1/1", 1) if status == "succeeded" else None
        created = NOW + timedelta(seconds=int(self.ready - self.seconds))
        succeeded = NOW + timedelta(seconds=int(self.ready)) if file else None
        return ReportRun("frr_1", "balance.summary.1", status, {}, created, succeeded, None, file)


@pytest.mark.parametrize("seconds", [0.3, 1.0, 8.0, 60.0])
def test_few_polls_and_little_time_lost(seconds: float) -> None:
    stripe = SlowStripe(seconds)
    runner = Runner(stripe, RunBook(stripe), RunPolicy(), clock=lambda: stripe.now, sleep=stripe.sleep)
    request = RunRequest(None, "balance.summary.1", {}, NOW, NOW)
    for _ in range(20):  # it learns how long runs take
        runner.obtain(request, (), lambda obtained: None)
    stripe.polls, began = 0, stripe.now
    for _ in range(20):
        runner.obtain(request, (), lambda obtained: None)
    assert stripe.polls / 20 <= 6
    assert (stripe.now - began) / 20 <= seconds * 1.06 + 0.1
