"""The seam to Stripe: the six questions that a sync asks. `StripeClient` answers them over HTTP.

In: report types, parameters, ids, instants. Out: the values of `plan.stripe_objects`, or a file on this disk. All
methods may be called from several threads. `account` is the account to act on, None for the key's own.

Each method can raise, beside what its docstring names: `AuthenticationError` and `PermissionDenied` (the key),
`StripeError` (Stripe refused the request), `StripeUnreachable` (no usable answer after all retries).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ..plan.cells import Downloaded
from ..plan.stripe_objects import OfferedTypes, Parameters, ReportRun, ResultFile


class StripeApi(Protocol):
    """What a sync needs of Stripe's Reporting API."""

    def report_types(self, account: str | None = None) -> OfferedTypes:
        """All report types that the account may run now, each with the span of its data.

        One that cannot be read is in `unreadable`: it troubles only those who ask for it.
        """

    def create_run(
        self, report_type: str, parameters: Parameters, *, idempotency_key: str, account: str | None = None
    ) -> ReportRun:
        """Create a report run. The same key gives the same run, also after a lost answer, a crash or from elsewhere.

        Raises:
            StripeError: with `replayed`, when Stripe keeps an error under the key and will never make a run for it.
        """

    def run(self, run_id: str, account: str | None = None) -> ReportRun:
        """The present state of a run."""

    def knows_run(self, run_id: str, account: str | None = None) -> bool:
        """True if the account has made a run: no account is shown the runs of another."""

    def runs_since(self, created: datetime, account: str | None = None) -> Iterable[ReportRun]:
        """All runs created at or after an instant, whoever made them, newest first; not those that cannot be read."""

    def download(
        self,
        file: ResultFile,
        target: Path,
        account: str | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Downloaded:
        """Put a result file at `target`, whole: as many bytes as Stripe announced. The key goes to the file host only.

        `on_bytes` is told how many bytes can be read at `target`: after each part, and before all of them are
        forgotten, as the file begins anew. They are the file's only once this method has returned.

        Raises:
            DownloadError: the file did not come whole; asking for it later may help. Nothing is left at `target`
                then, whatever the error.
            UnusableFile: the file is gone, or is not as large as Stripe said: only another run helps.
        """
