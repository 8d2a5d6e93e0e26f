"""Runs that Stripe refuses to make under a key: the next key, after a look, and never two runs."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from stripe_reports_source.errors import RunFailed, StripeError
from stripe_reports_source.plan.cells import Downloaded, Obtained
from stripe_reports_source.plan.settings import RunPolicy
from stripe_reports_source.plan.stripe_objects import OfferedTypes, Parameters, ReportRun, ResultFile
from stripe_reports_source.stripe_api.api import StripeApi
from stripe_reports_source.stripe_api.runs import RunBook, Runner, RunRequest

NOW = datetime(2025, 1, 1, tzinfo=timezone.utc)
REQUEST = RunRequest(None, "balance.summary.1", {"interval_start": 1}, NOW, NOW)
KEYS = [REQUEST.idempotency_key(attempt) for attempt in range(20)]


def run_of(name: str, status: str = "succeeded") -> ReportRun:
    file = ResultFile(f"file_{name}", "https://files.stripe.com/1", 1)
    pending = ReportRun(f"frr_{name}", REQUEST.report_type, "pending", dict(REQUEST.parameters), NOW, None, None, None)
    if status == "pending":
        return pending
    if status == "failed":
        return replace(pending, status="failed", error="internal")
    return replace(pending, status="succeeded", result=file)


class KeptErrors(StripeApi):
    """A Stripe that keeps an answer for each idempotency key. `spoiled`: the keys under which that is an error."""

    def __init__(self, spoiled: Iterable[str] = (), *, leaves_a_run: bool = False, status: int = 500) -> None:
        self.spoiled = set(spoiled)
        self.leaves_a_run = leaves_a_run
        self.status = status
        self.made: dict[str, ReportRun] = {}
        self.now: dict[str, ReportRun] = {}
        self.asked: list[str] = []
        self.lists = 0

    def report_types(self, account: str | None = None) -> OfferedTypes:
        return OfferedTypes(())

    def create_run(
        self, report_type: str, parameters: Parameters, *, idempotency_key: str, account: str | None = None
    ) -> ReportRun:
        self.asked.append(idempotency_key)
        if idempotency_key in self.spoiled:
            if self.leaves_a_run and not self.now:
                self.now["frr_left"] = run_of("left")
            raise StripeError("An error occurred.", http_status=self.status, replayed=True)
        if idempotency_key not in self.made:
            made = run_of(str(len(self.made)), "pending")
            self.made[idempotency_key] = made
            self.now[made.id] = run_of(str(len(self.made) - 1))
        return self.made[idempotency_key]

    def run(self, run_id: str, account: str | None = None) -> ReportRun:
        return self.now[run_id]

    def runs_since(self, created: datetime, account: str | None = None) -> Iterable[ReportRun]:
        self.lists += 1
        return list(self.now.values())

    def knows_run(self, run_id: str, account: str | None = None) -> bool:
        return run_id in self.now

    def download(self, *arguments: object, **options: object) -> Downloaded:
        raise AssertionError("no file is asked for")


def obtain(stripe: KeptErrors, **policy: int) -> tuple[ReportRun, list[Obtained]]:
    """What a machine that knows nothing gets."""
    seen: list[Obtained] = []
    runner = Runner(stripe, RunBook(stripe), RunPolicy(**policy), clock=lambda: 0.0, sleep=lambda seconds: None)
    return runner.obtain(REQUEST, (), seen.append), seen


@pytest.mark.parametrize("status", [400, 500])
def test_an_error_that_stripe_keeps_is_answered_with_the_next_key(status: int) -> None:
    stripe = KeptErrors(KEYS[:2], status=status)
    run, seen = obtain(stripe)
    assert stripe.asked == KEYS[:3]
    assert (run.id, seen[-1].attempt, seen[-1].adopted) == ("frr_0", 2, False)
    assert stripe.lists == 3  # at first, and after each kept error


def test_whoever_comes_to_the_same_point_gets_the_same_run() -> None:
    class Behind(KeptErrors):
        """Its list shows nothing yet: only the keys keep a second machine from making a second run."""

        def runs_since(self, created: datetime, account: str | None = None) -> Iterable[ReportRun]:
            return ()

    stripe = Behind(KEYS[:1])
    first, _ = obtain(stripe)
    again, _ = obtain(stripe)
    assert again.id == first.id
    assert len(stripe.made) == 1


def test_a_run_that_the_failed_request_has_left_is_adopted() -> None:
    stripe = KeptErrors(KEYS, leaves_a_run=True)
    run, seen = obtain(stripe)
    assert (run.id, seen[-1].adopted) == ("frr_left", True)
    assert stripe.made == {}
    assert stripe.asked == KEYS[:1]


def test_keys_are_bounded_and_the_error_is_stripes() -> None:
    stripe = KeptErrors(KEYS)
    with pytest.raises(StripeError, match="An error occurred"):
        obtain(stripe, keys=4)
    assert stripe.asked == KEYS[:4]


def test_an_error_that_is_not_kept_is_not_answered_with_another_key() -> None:
    class Refusing(KeptErrors):
        def create_run(
            self, report_type: str, parameters: Parameters, *, idempotency_key: str, account: str | None = None
        ) -> ReportRun:
            self.asked.append(idempotency_key)
            raise StripeError("No.", http_status=400)

    stripe = Refusing()
    with pytest.raises(StripeError, match=r"No\."):
        obtain(stripe)
    assert stripe.asked == KEYS[:1]


def test_a_failed_run_and_a_kept_error_do_not_use_up_the_attempts() -> None:
    stripe = KeptErrors(KEYS[:1])
    run, _ = obtain(stripe)
    stripe.now[run.id] = run_of("0", "failed")
    again, seen = obtain(stripe, attempts=1)
    # one failed run is known, so it begins at the second key, which gives that run again: it takes the third
    assert (again.id, seen[-1].attempt) == ("frr_1", 2)
    assert len(stripe.made) == 2


def test_an_adopted_run_that_fails_is_not_taken_again_under_its_own_key() -> None:
    stripe = KeptErrors(KEYS[:1])
    stripe.create_run("balance.summary.1", {}, idempotency_key=KEYS[1])  # another machine's, after the kept error
    stripe.now["frr_0"] = run_of("0", "pending")
    waited = iter([run_of("0", "failed")])

    class Ending(KeptErrors):
        def run(self, run_id: str, account: str | None = None) -> ReportRun:
            return next(waited) if run_id == "frr_0" else stripe.now[run_id]

    ending = Ending()
    ending.made, ending.now = stripe.made, stripe.now
    run, seen = obtain(ending, attempts=2)
    assert (seen[0].run.id, seen[0].adopted) == ("frr_0", True)
    assert (run.id, seen[-1].attempt) == ("frr_1", 2)


def test_runs_that_fail_are_counted() -> None:
    class Failing(KeptErrors):
        def run(self, run_id: str, account: str | None = None) -> ReportRun:
            return replace(run_of("x", "failed"), id=run_id)

    stripe = Failing()
    with pytest.raises(RunFailed, match=r"failed 3 runs, the last \(frr_2\) with: internal"):
        obtain(stripe, attempts=3)
    assert stripe.asked == KEYS[:3]


def test_thousands_of_runs_with_the_same_columns_need_little_memory() -> None:
    """A platform's list has each run of each account, and Stripe repeats all columns in each."""
    columns = [f"payment_metadata[a_name_of_some_length_{number}]" for number in range(72)]

    class Platform(KeptErrors):
        def runs_since(self, created: datetime, account: str | None = None) -> Iterator[ReportRun]:
            for number in range(1_000):
                parameters = {"connected_account": f"acct_{number}", "columns": columns}
                answer = {
                    "id": f"frr_{number}",
                    "report_type": REQUEST.report_type,
                    "status": "pending",
                    "created": 1_735_689_600,
                    "parameters": parameters,
                }
                yield ReportRun.from_json(json.loads(json.dumps(answer)))

    book = RunBook(Platform())
    tracemalloc.start()
    try:
        book.matching(REQUEST)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / 1_000 < 2_500  # bytes; the texts alone have 3,300
    [run] = book.matching(replace(REQUEST, parameters={"connected_account": "acct_7", "columns": columns}))
    assert (run.id, run.parameters["columns"]) == ("frr_7", columns)
