"""The HTTP edge: four endpoints of the Reporting API and the file download.

In: a key, two base addresses, parameters. Out: `plan.stripe_objects`, or a file on disk of exactly the announced
size. Retries, clock, sleep and chance come from the outside, so tests and shutdown control the waiting.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ..errors import DownloadError, StripeError, StripeUnreachable
from ..plan.addresses import Address, parse_address
from ..plan.cells import Downloaded
from ..plan.settings import RetryPolicy, Settings, checked_base_url
from ..plan.stripe_objects import OfferedType, OfferedTypes, Parameters, ReportRun, ResultFile, checked_id, is_id, unix
from ..plan.texts import printable
from .api import StripeApi
from .connection import Connection
from .download import FileDownload

logger = logging.getLogger(__name__)

_TYPES = "/v1/reporting/report_types"
_RUNS = "/v1/reporting/report_runs"


def stripe_client(settings: Settings, sleep: Callable[[float], None]) -> StripeClient:
    """The client of a source. `sleep(seconds)` waits between attempts, and may raise to end the waiting."""
    return StripeClient(
        settings.api_key,
        api_base_url=settings.api_base_url,
        files_base_url=settings.files_base_url,
        account_header="Stripe-Account" if settings.stripe_context is None else "Stripe-Context",
        retry=settings.retry_policy,
        sleep=sleep,
    )


class StripeClient(StripeApi):
    """Answers the questions of `StripeApi` over HTTP, for one key. Safe to use from several threads."""

    def __init__(
        self,
        api_key: str,
        *,
        api_base_url: str,
        files_base_url: str,
        account_header: str = "Stripe-Account",
        retry: RetryPolicy,
        sleep: Callable[[float], None],
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = _base(api_base_url, "api_base_url")
        self._files = _base(files_base_url, "files_base_url")
        self._connection = Connection(
            api_key,
            (self._api, self._files),
            account_header=account_header,
            retry=retry,
            sleep=sleep,
            chance=chance,
            clock=clock,
        )

    def sleeping(self, sleep: Callable[[float], None]) -> StripeClient:
        """The same client for others, who wait with `sleep`; what that raises ends what they ask, see `Connection`."""
        other = copy(self)
        other._connection = self._connection.sleeping(sleep)
        return other

    def __repr__(self) -> str:
        return f"StripeClient({self._api.url!r}, {self._files.url!r})"

    def report_types(self, account: str | None = None) -> OfferedTypes:
        """All report types offered, in one request (Stripe does not page this list)."""
        types: list[OfferedType] = []
        unreadable: dict[str, str] = {}
        skipped = _Skipped("report type")
        for item in self._connection.pages(self._at(_TYPES), {}, account):
            try:
                types.append(OfferedType.from_json(item))
            except StripeUnreachable as problem:
                skipped.add(problem)
                if isinstance(item, dict) and is_id(item.get("id")):
                    unreadable[item["id"]] = str(problem)
        skipped.warn()
        return OfferedTypes(tuple(types), unreadable)

    def create_run(
        self, report_type: str, parameters: Parameters, *, idempotency_key: str, account: str | None = None
    ) -> ReportRun:
        """Create a report run, or get the one that the same idempotency key created before."""
        form: list[tuple[str, str]] = [("report_type", report_type)]
        for name, value in parameters.items():
            if isinstance(value, (list, tuple)):
                form += [(f"parameters[{name}][]", str(item)) for item in value]
            else:
                form.append((f"parameters[{name}]", str(value)))
        headers = {"Idempotency-Key": idempotency_key}
        return ReportRun.from_json(self._connection.json("POST", self._at(_RUNS), account, data=form, headers=headers))

    def run(self, run_id: str, account: str | None = None) -> ReportRun:
        """The present state of a run."""
        run = ReportRun.from_json(self._connection.json("GET", self._at(f"{_RUNS}/{checked_id(run_id)}"), account))
        if run.id != run_id:
            raise StripeUnreachable(f"Stripe was asked for report run {run_id} and answered with {run.id}.")
        return run

    def knows_run(self, run_id: str, account: str | None = None) -> bool:
        """True if the account has made a run. Stripe answers 404 for one of another account."""
        try:
            self._connection.json("GET", self._at(f"{_RUNS}/{checked_id(run_id)}"), account)
        except StripeError as error:
            if error.http_status == 404:
                return False
            raise
        return True

    def runs_since(self, created: datetime, account: str | None = None) -> Iterator[ReportRun]:
        """Runs created at or after an instant, newest first, page by page, but for those that cannot be read."""
        query = {"created[gte]": str(unix(created)), "limit": "100"}
        skipped = _Skipped("report run")
        for item in self._connection.pages(self._at(_RUNS), query, account):
            try:
                run = ReportRun.from_json(item)
            except StripeUnreachable as problem:
                skipped.add(problem)
            else:
                yield run
        skipped.warn()

    def download(
        self,
        file: ResultFile,
        target: Path,
        account: str | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Downloaded:
        """Stream a result file to `target`, going on where a broken connection stopped.

        Raises:
            DownloadError: the address is not on the configured file host, or the file did not come whole.
            UnusableFile: the file is gone, or its bytes are not as many as Stripe announced.
        """
        address = parse_address(file.url)
        if address is None or address.origin != self._files.origin:
            where = printable(file.url, 200) if address is None else address.origin
            raise DownloadError(
                f"result file {file.id} lies at {where}, not at files_base_url {self._files.url}; "
                "the key is not sent there. Set files_base_url if that host is yours."
            )
        try:
            return FileDownload(self._connection, file, address, account).to(target, on_bytes)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def _at(self, path: str) -> Address:
        return replace(self._api, path=self._api.path + path)


class _Skipped:
    """What of a list could not be read: said once, whatever its number."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._number = 0
        self._first = ""

    def add(self, problem: StripeUnreachable) -> None:
        self._number += 1
        self._first = self._first or str(problem)

    def warn(self) -> None:
        if self._number:
            logger.warning("%s %s(s) of Stripe's list skipped; the first: %s", self._number, self._what, self._first)


def _base(url: str, setting: str) -> Address:
    address = parse_address(checked_base_url(url, setting))
    assert address is not None, "checked above"  # noqa: S101
    return address
