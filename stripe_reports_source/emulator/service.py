"""Stripe's side: report types, availability, runs, idempotency. No HTTP.

In: parsed requests. Out: API objects as dictionaries, or an `ApiError` with Stripe's status and error body.
Thread-safe.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ..plan.catalog import ReportType, load_catalog
from ..plan.intervals import Span
from .alterations import Alterations
from .csv_format import write_csv
from .faults import Fault
from .itemized import Value
from .kept import Answer, KeptAnswers
from .keys import LIVE, business_seen
from .ledger import Ledger
from .platform import Platform
from .query import Query
from .reports import CONNECTED, computable, rows
from .runs import Run, run_of_an_earlier_start
from .settings import EmulatorSettings
from .transactions import Transaction
from .validation import ApiError, Parameters, checked_query, default_columns

_UNKNOWN_ERROR = '{"error": {"message": "An unknown error occurred", "type": "api_error"}}'


class StripeService:
    """See the module. A `scope` separates what a key and its Stripe-Account may see: its business and the account."""

    def __init__(self, settings: EmulatorSettings) -> None:
        self.settings = settings
        self.ledger = Ledger(settings.seed, settings.scale, settings.business_start, settings.traits)
        self._ledgers = {LIVE: self.ledger}
        self.identity = settings.identity or secrets.token_hex(8)
        self.alterations = Alterations()
        self.platform = Platform(settings.revoked_accounts)
        self.files_url = ""
        self.on_event: Callable[[str, dict[str, Any], str | None], None] = lambda kind, about, account: None
        self.runs: list[Run] = []
        self._by_id: dict[str, Run] = {}
        self._pending: list[Run] = []
        self._kept = KeptAnswers()
        self._lock = threading.RLock()
        self._clock = settings.first_clock
        self._ticking_since = time.monotonic()
        self._folder = tempfile.TemporaryDirectory(prefix="stripe-emulator-", ignore_cleanup_errors=True)
        offered = [known for known in load_catalog() if settings.all_types or _of_every_account(known)]
        if settings.offered is not None:
            offered = [known for known in offered if known.id in settings.offered]
        self._types = {known.id: known for known in offered}
        self._availability = {known.id: (settings.first_available, settings.available_end) for known in offered}
        self._updated = {known.id: settings.available_end + timedelta(hours=7, minutes=39) for known in offered}
        self.ledger.grow_to(settings.available_end)

    def close(self) -> None:
        """Remove the files."""
        self._folder.cleanup()

    @property
    def now(self) -> datetime:
        """The emulator's clock: it ticks with real time and is moved by `advance`."""
        return self._clock + timedelta(seconds=time.monotonic() - self._ticking_since)

    @property
    def available_end(self) -> datetime:
        """Up to when the data of all types is complete, at most."""
        return max(end for _, end in self._availability.values())

    @property
    def type_names(self) -> list[str]:
        """The exact ids of all report types."""
        return list(self._types)

    def advance(self, to: datetime) -> None:
        """Move clock and availability on: data up to `to` is complete, eight hours later."""
        with self._lock:
            self._set_clock(max(self.now, to + timedelta(hours=8)))
            for name in self._types:
                self.set_availability(name, end=to)

    def set_availability(self, name: str, *, start: datetime | None = None, end: datetime | None = None) -> None:
        """Set the availability of a report type, also back in time; `updated` becomes the present."""
        with self._lock:
            old = self._availability[name]
            self._availability[name] = (start or old[0], end or old[1])
            self._updated[name] = self.now.replace(microsecond=0)
            for ledger in self._ledgers.values():
                ledger.grow_to(self._availability[name][1])
            self.announce_type(name)

    def announce_type(self, name: str) -> None:
        """Tell that a report type has new data, with two events, as Stripe does; also where it has none."""
        with self._lock:
            if self.alterations.hides(name):
                return  # an account is told of what it is offered
            about = self._type_object(self._type(name, True), True)
            for _ in range(2):
                self.on_event("reporting.report_type.updated", about, None)

    def end_runs(self) -> None:
        """End the runs whose time has come, without a poll."""
        with self._lock:
            for run in self._pending:
                run.polls_left = 0
                self._progress(run, polled=False)
            self._pending = [run for run in self._pending if run.status == "pending"]

    def add_transaction(self, transaction: Transaction) -> None:
        """Record a late transaction."""
        with self._lock:
            self.ledger.add(transaction)

    def withdraw_transaction(self, transaction_id: str) -> None:
        """Take a transaction out again."""
        with self._lock:
            self.ledger.withdraw(transaction_id)

    def change(self, change: Callable[[Ledger], None]) -> None:
        """Change the business of the keys that share an account, such as a transaction that is paid out already."""
        with self._lock:
            change(self.ledger)

    def forget_idempotency(self) -> None:
        """Forget all idempotency keys, as Stripe does after a day."""
        with self._lock:
            self._kept.forget()

    def release_stuck(self) -> None:
        """Let stuck runs go on."""
        with self._lock:
            for run in self.runs:
                run.stuck = False

    def rows(self, business: str, query: Query) -> Iterator[tuple[Value, ...]]:
        """The rows of a report of an account and mode, see `business_of`, as the ledgers are now."""
        return rows(
            self.ledger_of(business),
            query,
            self.settings.connected_accounts,
            lambda account: self.ledger_of(f"{business}/{account}"),
        )

    def ledger_of(self, business: str) -> Ledger:
        """The ledger of an account and mode, see `business_of`; each has rows of its own.

        A connected account's is `<business of the platform>/<account>`, whichever way it is asked for.
        """
        with self._lock:
            if business not in self._ledgers:
                seed = int.from_bytes(hashlib.sha256(f"{self.settings.seed}|{business}".encode()).digest()[:6], "big")
                ledger = Ledger(seed, self.settings.scale, self.settings.business_start, self.settings.traits)
                ledger.grow_to(self.available_end)
                self._ledgers[business] = ledger
            return self._ledgers[business]

    def list_types(self, live: bool) -> list[dict[str, Any]]:
        """All report types."""
        with self._lock:
            hidden = () if live else self.settings.live_only
            offered = [
                self._type_object(known, live)
                for known in self._types.values()
                if known.id not in hidden and not self.alterations.hides(known.id)
            ]
            return [*offered, *self.alterations.added_types(self._types)]

    def get_type(self, name: str, live: bool) -> dict[str, Any]:
        """One report type."""
        return self._type_object(self._type(name, live), live)

    def create_run(
        self,
        report_type: str | None,
        parameters: Parameters,
        *,
        scope: str,
        live: bool,
        key: str | None,
        fault: Fault | None = None,
    ) -> Answer:
        """Create a run, or answer again what was answered first."""
        request = hashlib.sha256(repr((report_type, sorted(parameters.items()))).encode()).hexdigest()
        with self._lock:
            kept = self._kept.find(scope, key, request, self._unix())
            if kept is not None:
                return kept
            if not report_type:
                raise ApiError(
                    400, "Missing required param: report_type.", param="report_type", code="parameter_missing"
                )
            known = self._type(report_type, live)
            self.platform.refuse_gone(parameters, len(self.runs))
            query = self._checked(known, parameters)
            self._check_payout(known, parameters, scope)
            if fault is not None and fault.action == "kept_error":
                answer = Answer(fault.status, json.loads(fault.body or _UNKNOWN_ERROR))
            else:
                run = self._start(known, parameters, query, scope, live, fault)
                answer = Answer(200, run.first_answer(self.files_url))
            return self._kept.keep(scope, key, request, answer, self._unix())

    def get_run(self, run_id: str, scope: str) -> dict[str, Any]:
        """The present state of a run; counts as a poll."""
        with self._lock:
            if run_id.startswith(f"frr_{self._account_mark(scope)}") and run_id not in self._by_id:
                return run_of_an_earlier_start(run_id, self.now)
            run = self._find(run_id, scope)
            self._progress(run, polled=True)
            return self._run_object(run)

    def list_runs(
        self,
        scope: str,
        *,
        limit: int,
        starting_after: str | None,
        ending_before: str | None,
        created: Mapping[str, int],
    ) -> tuple[list[dict[str, Any]], bool]:
        """A page of runs, newest first, and whether there is more."""
        with self._lock:
            mine = [run for run in reversed(self.runs) if run.scope == scope and not self.alterations.hides(run.id)]
            found = [run for run in mine if _within(run.created, created)]
            ids = [run.id for run in found]
            if starting_after is not None:
                found = found[ids.index(self._find(starting_after, scope).id) + 1 :]
                page, more = found[:limit], len(found) > limit
            elif ending_before is not None:
                found = found[: ids.index(self._find(ending_before, scope).id)]
                page, more = found[-limit:], len(found) > limit
            else:
                page, more = found[:limit], len(found) > limit
            for run in page:
                self._progress(run, polled=False)
            return [self._run_object(run) for run in page], more

    def file_of(self, file_id: str, scope: str) -> Path:
        """The path of a result file."""
        with self._lock:
            run = self._by_id.get(f"frr_{file_id.removeprefix('file_')}")
            if run is not None and run.scope == scope and run.status == "succeeded":
                return run.file
        raise ApiError(404, f"No such file upload: '{file_id}'", code="resource_missing", param="file")

    def query(self, report_type: str, parameters: Parameters) -> Query:
        """What a run with these parameters asks for: for computing the truth without HTTP."""
        return self._checked(self._types[report_type], parameters)

    def _checked(self, known: ReportType, parameters: Parameters) -> Query:
        available = Span(*self._availability[known.id])
        return checked_query(
            known, parameters, available, edges=self.settings.interval_edges, refused=self.settings.refused_columns
        )

    def _check_payout(self, known: ReportType, parameters: Parameters, scope: str) -> None:
        payout, end = parameters.get("payout"), self._availability[known.id][1]
        if payout is None or known.base.startswith("connected_account_"):
            return
        payouts = self.ledger_of(business_seen(scope)).payouts
        if not any(paid.id == payout and paid.automatic and paid.arrives(end) < end for paid in payouts):
            raise ApiError(  # unverified text; that such payouts have no report is known
                400, f"The payout {payout} cannot be reconciled (yet).", param="parameters[payout]"
            )

    def _type(self, name: str, live: bool) -> ReportType:
        known = self._types.get(name)
        if known is None or self.alterations.hides(name):
            raise ApiError(404, f"No such report type: '{name}'", param="report_type", code="resource_missing")
        if name in self.settings.live_only and not live:
            raise ApiError(404, "This report type is only available for live data and requires a live mode key.")
        return known

    def _start(
        self, known: ReportType, parameters: Parameters, query: Query, scope: str, live: bool, fault: Fault | None
    ) -> Run:
        number = len(self.runs) + 1
        file = Path(self._folder.name) / f"{number}.csv"
        with file.open("wb") as out:
            # the values that Stripe takes for decimal_separator are not documented; the characters themselves are taken
            separator = str(parameters.get("decimal_separator", "."))
            write_csv(out, query.columns, self.rows(business_seen(scope), query), separator)
        failed = fault is not None and fault.action == "run_failed"
        run = Run(
            id=f"frr_{self._account_mark(scope)}{_digest(self.identity, number)[:16]}",
            scope=scope,
            livemode=live,
            report_type=known.id,
            parameters=parameters,
            created=self._unix(),
            ready_at=time.monotonic() + self.settings.run_delay,
            polls_left=self.settings.pending_polls,
            status="pending",
            error=fault.error if failed and fault is not None else None,
            stuck=fault is not None and fault.action == "run_stuck",
            file=file,
            number=number,
            available_end=self._availability[known.id][1],
            updated=self._updated[known.id],
        )
        self.runs.append(run)
        self._by_id[run.id] = run
        self._pending.append(run)
        return run

    def _account_mark(self, scope: str) -> str:
        """The part of a run's id that all runs of an account and mode share, of each start of the emulator."""
        return _digest(self.settings.seed, scope)[:8]

    def _progress(self, run: Run, *, polled: bool) -> None:
        if run.status != "pending" or run.stuck:
            return
        if run.polls_left > 0 and polled:
            run.polls_left -= 1
        if run.polls_left <= 0 and time.monotonic() >= run.ready_at:
            run.status = "failed" if run.error is not None else "succeeded"
            run.succeeded_at = None if run.error is not None else self._unix()
            self.on_event(
                f"reporting.report_run.{run.status}", self._run_object(run), run.scope.partition(":")[2] or None
            )

    def _find(self, run_id: str, scope: str) -> Run:
        run = self._by_id.get(run_id)
        if run is not None and run.scope == scope and not self.alterations.hides(run_id):
            return run
        raise ApiError(404, f"No such reporting_report_run: '{run_id}'", param="id", code="resource_missing")

    def _type_object(self, known: ReportType, live: bool) -> dict[str, Any]:
        start, end = self._availability[known.id]
        data = {
            "id": known.id,
            "object": "reporting.report_type",
            "data_available_end": int(end.timestamp()),
            "data_available_start": int(start.timestamp()),
            "default_columns": [name for name in default_columns(known) if name not in self.settings.refused_columns],
            "livemode": live,
            "name": known.title,
            "updated": int(self._updated[known.id].timestamp()),
            "version": max(1, known.version),  # an id without a version has the first one
        }
        return self.alterations.shown(data)

    def _run_object(self, run: Run) -> dict[str, Any]:
        return self.alterations.shown(run.as_object(self.files_url))

    def _set_clock(self, now: datetime) -> None:
        self._clock = now
        self._ticking_since = time.monotonic()

    def _unix(self) -> int:
        return int(self.now.timestamp())


def _of_every_account(known: ReportType) -> bool:
    """True for what an account is offered that is not a platform and names no payout."""
    return known.shape != "per_payout" and not known.base.startswith(CONNECTED) and computable(known)


def _within(created: int, bounds: Mapping[str, int]) -> bool:
    checks = {
        "gte": created >= bounds.get("gte", created),
        "gt": created > bounds.get("gt", created - 1),
        "lte": created <= bounds.get("lte", created),
        "lt": created < bounds.get("lt", created + 1),
    }
    return all(checks.values())


def _digest(*parts: object) -> str:
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()
