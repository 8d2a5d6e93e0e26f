"""The life of a report run: adopt or create, poll, try again, give up.

In: a `RunRequest` (all that makes a run what it is). Out: a succeeded `ReportRun`. Everything that survives a
crash is at Stripe: the idempotency key follows from the request alone, and a matching run that Stripe already
has is adopted. Clock and waiting come from the outside.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from ..errors import RunFailed, RunTimedOut, StripeError
from ..plan.cells import Obtained
from ..plan.run_parameters import canonical
from ..plan.settings import RunPolicy
from ..plan.stripe_objects import Parameters, ReportRun, unix
from .api import StripeApi

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunRequest:
    """The identity of a run.

    Args:
        account: the Stripe-Account value, None for the key's own account.
        report_type: exact id.
        parameters: all of them, the interval included.
        available_end: the availability that the run reads. A later refresh of the same interval is another
            request, so that it never gets an old result.
        updated: when Stripe last moved that availability; runs created earlier read older data.
    """

    account: str | None
    report_type: str
    parameters: Parameters
    available_end: datetime
    updated: datetime

    @property
    def canonical(self) -> str:
        """The request's report type and parameters as stable text."""
        return canonical(self.report_type, self.parameters)

    def idempotency_key(self, attempt: int) -> str:
        """The same on every machine and in every process; another one per attempt, and for data that came later.

        Stripe may take data back and return it with the availability it had: its `updated` tells them apart.
        """
        identity = [self.account, self.canonical, unix(self.available_end), unix(self.updated), attempt]
        return f"stripe-reports-{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:40]}"


class RunBook:
    """The runs that Stripe has, listed once per account and sync, when the first run is needed."""

    def __init__(self, client: StripeApi) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._since: dict[str | None, datetime] = {}
        self._runs: dict[tuple[str | None, bytes], list[ReportRun]] = {}

    def matching(self, request: RunRequest) -> list[ReportRun]:
        """Runs equal to the request in type and every parameter, created on its data; newest first."""
        with self._lock:
            listed = self._since.get(request.account)
            if listed is None or request.updated < listed:
                self._list(request.account, request.updated)
            runs = self._runs.get((request.account, _digest(request.canonical)), [])
        return [run for run in runs if run.created >= request.updated]

    def look_again(self, request: RunRequest) -> list[ReportRun]:
        """As `matching`, in a list that is asked for now."""
        with self._lock:
            self._since.pop(request.account, None)
        return self.matching(request)

    def _list(self, account: str | None, since: datetime) -> None:
        book: dict[tuple[str | None, bytes], list[ReportRun]] = defaultdict(list)
        for run in self._client.runs_since(since, account):
            book[account, _digest(canonical(run.report_type, run.parameters))].append(run)
        self._runs.update(book)
        self._since[account] = since


def _digest(request: str) -> bytes:
    """Of a request that names each of its columns: a platform has thousands of them."""
    return hashlib.sha256(request.encode()).digest()


class Runner:
    """Brings requests to succeeded runs; safe from several threads. It learns how long runs usually take."""

    def __init__(
        self,
        client: StripeApi,
        book: RunBook,
        policy: RunPolicy,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        wait_for_event: Callable[[str, float], None] | None = None,
    ) -> None:
        """`wait_for_event(run_id, seconds)` returns sooner when the run has ended; None: poll often."""
        self._client = client
        self._book = book
        self._wait_for_event = wait_for_event
        self._policy = policy
        self._clock = clock
        self._sleep = sleep
        self._typical = 0.0

    def obtain(self, request: RunRequest, unfit: Collection[str], seen: Callable[[Obtained], None]) -> ReportRun:
        """A succeeded run for the request.

        Args:
            request: what to run.
            unfit: ids of succeeded runs whose file could not be used.
            seen: called with every run and every change of its status, so that a failure can name the run.

        Raises:
            RunFailed: Stripe failed every attempt of this sync.
            RunTimedOut: still pending after the policy's timeout. Stripe keeps the run, the next sync adopts it.
            StripeError, StripeUnreachable: a request was refused or not answered.
        """
        matching = self._book.matching(request)
        useless = {run.id for run in matching if run.status == "failed"} | set(unfit)
        usable = _usable(matching, useless)
        # attempts count on from what Stripe has, so that a new attempt gets a new key on any machine
        attempt = len(useless)
        for failures in range(1, self._policy.attempts + 1):
            obtained = Obtained(usable, attempt, adopted=True) if usable else self._create(request, attempt, useless)
            seen(obtained)
            if obtained.run.status == "pending":
                obtained = replace(obtained, run=self._wait(request, obtained.run))
                seen(obtained)
            run = obtained.run
            if run.status == "succeeded" and run.id not in unfit:
                return run
            logger.warning("report run %s (%s) failed: %s", run.id, run.report_type, run.error)
            usable, attempt = None, obtained.attempt + 1
            useless.add(run.id)
            if failures < self._policy.attempts:
                self._sleep(self._policy.retry_delay * failures)
        why = str(run.error).rstrip(".")
        raise RunFailed(f"Stripe failed {self._policy.attempts} runs, the last ({run.id}) with: {why}.")

    def _create(self, request: RunRequest, attempt: int, useless: Collection[str]) -> Obtained:
        """A run from the first key, counted from `attempt`, under which Stripe does not keep an error or a useless run.

        No run is made twice by it. An error is kept only for a request that has ended, so the look at the list sees
        the run that it has left, if any; and no later request with this key can make one. Whoever else comes to the
        same point, now or after a crash, takes the same next key, under which Stripe makes one run for all of them.
        """
        for number in range(attempt, attempt + self._policy.keys):
            last = number + 1 == attempt + self._policy.keys
            try:
                run = self._client.create_run(
                    request.report_type,
                    request.parameters,
                    idempotency_key=request.idempotency_key(number),
                    account=request.account,
                )
            except StripeError as error:
                if last or not error.replayed:
                    raise
                logger.warning("%s: Stripe keeps an error under an idempotency key: %s", request.report_type, error)
                usable = _usable(self._book.look_again(request), useless)
                if usable:
                    return Obtained(usable, number, adopted=True)
            else:
                if last or run.id not in useless:
                    return Obtained(run, number, adopted=False)
        raise AssertionError("the last key has given a run or an error")

    def _wait(self, request: RunRequest, run: ReportRun) -> ReportRun:
        began = self._clock()
        polls = 0
        while run.status == "pending":
            elapsed = self._clock() - began
            remaining = self._policy.timeout - elapsed
            if remaining <= 0:
                raise RunTimedOut(
                    f"run {run.id} is still pending after {self._policy.timeout:g} s; the next sync picks it up."
                )
            if self._wait_for_event is not None:
                self._wait_for_event(run.id, min(self._policy.event_poll(elapsed), remaining))
            else:
                self._sleep(min(self._next_poll(elapsed), remaining))
            polls += 1
            run = self._client.run(run.id, request.account)
        took = self._clock() - began
        if polls == 1:
            took *= 0.9  # it may have been through for long
        if run.succeeded_at is not None:
            took = min(took, (run.succeeded_at - run.created).total_seconds() + 1)
        self._typical = took if self._typical == 0 else 0.7 * self._typical + 0.3 * took
        return run

    def _next_poll(self, elapsed: float) -> float:
        """Seconds to the next poll: soon before runs usually finish, then in steps that grow with the wait."""
        soon = 0.95 * self._typical - elapsed
        near = elapsed < 1.2 * self._typical
        delay = soon if soon > 0 else elapsed * (0.03 if near else 0.1 if elapsed < 2 * self._typical else 0.5)
        return min(max(delay, self._policy.first_poll / (5 if near else 1)), self._policy.longest_poll)


def _usable(runs: Iterable[ReportRun], useless: Collection[str]) -> ReportRun | None:
    """The run to adopt: one that succeeded before a pending one, else the newest."""
    usable = [run for run in runs if run.id not in useless and run.status != "failed"]
    return min(usable, key=lambda run: run.status != "succeeded", default=None)
