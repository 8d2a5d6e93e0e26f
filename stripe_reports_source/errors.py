"""The errors of this package, each named by what to do about it.

StripeReportsError
├── ConfigurationError        change the named setting; nothing was requested from Stripe but listings
│   └── NotOffered            the report is known, but not offered to this account or key (any more)
├── StripeError               Stripe answered with an error (type, code, param, message, request id)
│   ├── AuthenticationError   the API key is wrong, revoked or for another mode
│   └── PermissionDenied      the API key lacks a permission or the account lacks a report
│       └── AccountGone       the connected account is not, or no longer, one of the key's
├── StripeUnreachable         no usable answer after all retries; run again later
├── DestinationBusy           the database is locked by someone else for too long; run again later
├── LoadInterrupted           an earlier pipeline.run was ended while it loaded; run again
├── WorkingFolderError        dlt's working folder cannot be written or read
├── CellError                 one interval of one report was not loaded; the others go on
│   ├── NotAvailable          Stripe does not have (all of) the window that was asked for
│   ├── NotFetched            a cell's file was not given to `load_cells`, or is not what it was
│   ├── NotStored             the destination does not hold the rows that were loaded into it
│   ├── RunFailed             Stripe ended the report run as failed, every attempt
│   ├── RunTimedOut           the run is still pending; the next sync picks up the same run
│   ├── DownloadError         the result file did not arrive whole; the run and its file are still there
│   │   └── UnusableFile      the file is gone or is not what Stripe announced: only another run helps
│   ├── ArchiveError          the archive does not take or give back a result file as it was
│   ├── TableRefused          the database does not take the report's table
│   └── RowError              the file holds something that does not fit its column
├── SyncFailed                some cells are not loaded; lists each with cause and remedy
├── TieOutFailed              all is loaded, but Stripe's reports do not agree with one another
└── WebhookRefused            a request to the webhook that is not an event of Stripe's, or too old
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

E = TypeVar("E", bound=BaseException)
MOST_SHOWN = 24
"""Intervals that a line of a `SyncFailed` names one by one."""


class StripeReportsError(Exception):
    """Base of all errors of this package. No message ever holds the API key.

    `remedy` says in a sentence what to do; the lines of a `SyncFailed` end with it.
    """

    remedy: ClassVar[str] = "Sync again; if it stays, report it with this message."


class ConfigurationError(StripeReportsError, ValueError):
    """A setting is wrong. The message names the setting, its value and what would be right."""

    remedy = "Change the setting."


class NotOffered(ConfigurationError):
    """A report that is known, but that Stripe does not offer to this account or key, or no longer does."""

    remedy = "Leave the report out, or ask Stripe why it is gone; what is loaded of it stays."


class StripeError(StripeReportsError):
    """Stripe answered a request with an error object.

    Attributes follow https://docs.stripe.com/api/errors; `request_id` is what Stripe's support asks for.
    `replayed` is True for an error that Stripe keeps under an idempotency key and repeats for it.
    """

    def __init__(
        self,
        message: str,
        *,
        http_status: int,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        replayed: bool = False,
    ) -> None:
        self.message = message
        self.http_status = http_status
        self.type = type
        self.code = code
        self.param = param
        self.request_id = request_id
        self.replayed = replayed
        details = [f"HTTP {http_status}"]
        details += [f"{name} {value}" for name, value in self._details() if value]
        super().__init__(f"Stripe: {message} ({', '.join(details)})")

    def _details(self) -> list[tuple[str, str | None]]:
        return [("type", self.type), ("code", self.code), ("param", self.param), ("request", self.request_id)]


class AuthenticationError(StripeError):
    """401: the key is wrong, expired or revoked. Set another `api_key`."""

    remedy = "Set an api_key that is valid."


class PermissionDenied(StripeError):
    """403: the key may not do this. Grant the permission the message names, or another key."""

    remedy = "Grant the key that permission in Stripe's Dashboard, or set another key."


class AccountGone(PermissionDenied):
    """403 or 404, `account_invalid`: the connected account has left the platform, or was never one of it."""

    remedy = (
        "Take the account out of connected_accounts (or set another stripe_account); what is loaded of it stays, and "
        "the next sync counts it as loaded to its end."
    )


class StripeUnreachable(StripeReportsError):
    """No usable answer after all retries (network, 5xx, rate limit, not JSON). A later sync goes on."""

    remedy = "Sync again later; runs that Stripe has are picked up."


class DestinationBusy(StripeReportsError):
    """Someone else has held a lock on the database for longer than a load waits. Nothing is lost."""

    remedy = "Sync again when it is free."


class LoadInterrupted(StripeReportsError):
    """A plain `pipeline.run` has found what an earlier one had begun to load, and has given that up."""

    remedy = "Run the pipeline again: it is extracted again, from the same report runs."


class WorkingFolderError(StripeReportsError):
    """dlt's working folder cannot be written or read, so that nothing could be begun."""

    remedy = "Make the folder writable, or set another one (pipelines_dir)."


class CellError(StripeReportsError):
    """One interval of one report could not be loaded."""


class NotAvailable(CellError):
    """Stripe does not have what was asked for, wholly or in part. Nothing was run."""

    remedy = "Ask for what Stripe has, or set allow_partial to load what there is."


class NotStored(CellError):
    """After a load, the destination does not hold as many rows of an interval as its file has."""

    remedy = "Look for triggers, policies or others that take rows away; the next sync loads the interval again."


class NotFetched(CellError):
    """The file of an interval that is to be loaded was not given to `load_cells`, or is not what was fetched."""

    remedy = "Fetch the interval with fetch_cell, and load what was fetched; where Stripe has new data, plan anew."


class RunFailed(CellError):
    """Stripe reported status `failed` for every attempt of a report run."""

    remedy = "Sync again later; if it stays, give Stripe's support the run id."


class RunTimedOut(CellError):
    """A report run was still pending at `run_timeout`. It is not thrown away: the next sync adopts it."""

    remedy = "Sync again later; raise run_timeout if it happens often."


class DownloadError(CellError):
    """The result file could not be fetched whole. Its run stays as it is: the fault is on the way, or in a setting."""

    remedy = "Sync again later."


class UnusableFile(DownloadError):
    """Stripe has no such file any more, or one of another size than it announced."""


class ArchiveError(CellError):
    """The archive does not take a result file, or does not give it back as it was written."""

    remedy = "Mend the archive, or set another archive_url; what is loaded stays."


class TableRefused(CellError):
    """The database does not take the report's table or rows, whatever is tried."""

    remedy = "Ask for other columns or types of this report; what was loaded before is unchanged."


class RowError(CellError):
    """A file that does not fit its report: names line, column and value where there is one."""

    remedy = "Nothing of this interval was changed; set types for the column, or report the file's form."


@dataclass(frozen=True)
class Failure:
    """What was not loaded, and why: one line of a `SyncFailed`.

    `following` are the later intervals of the report that were not tried because of this one.
    """

    report: str
    account: str
    interval: str
    run_id: str | None
    error: Exception
    remedy: str
    following: tuple[str, ...] = ()

    def __str__(self) -> str:
        run = f", run {self.run_id}" if self.run_id else ""
        text = f"{self.report} [{self.account}] {self.interval}{run}: {self.error} {self.remedy}"
        if not self.following:
            return text
        shown, more = self.following[:MOST_SHOWN], len(self.following) - MOST_SHOWN
        rest = f" and {more} more, up to {self.following[-1]}" if more > 0 else ""
        return f"{text} Not loaded either, because of that: {', '.join(shown)}{rest}."


class SyncFailed(StripeReportsError):
    """Raised once, at the end of a sync: everything else that was asked for is loaded.

    `failures` has one for each interval or report; `loaded` is what was loaded, as `load_reports` would return it.
    """

    def __init__(self, failures: Sequence[Failure], loaded: Any = None) -> None:
        self.failures = tuple(failures)
        self.loaded = loaded
        lines = "\n".join(f"- {failure}" for failure in self.failures)
        super().__init__(
            f"{len(self.failures)} report interval(s) not loaded; all others are, and no cursor moved past these:\n"
            f"{lines}"
        )


class TieOutFailed(StripeReportsError):
    """Raised after a load with `reconcile="fail"`: all is loaded and stays, but reports do not agree.

    `reconciliation` has every statement, or is None where the reports could not be compared; `loaded` is what was
    loaded, as `load_reports` would return it.
    """

    remedy = "Look at the statements that are not tied, in the table tie_out."

    def __init__(self, verdict: str, lines: Sequence[str], reconciliation: Any, loaded: Any = None) -> None:
        self.reconciliation = reconciliation
        self.loaded = loaded
        what = "The reports could not be compared" if reconciliation is None else "The reports do not agree"
        super().__init__("\n".join((f"{what}: {verdict}", *(f"- {line}" for line in lines))))


class WebhookRefused(StripeReportsError):
    """A request that claims to be an event of Stripe's was not accepted; nothing of it is kept.

    `reason` is `bad_signature`, `too_old` (signed well, but longer ago than the tolerance) or `malformed`.
    """

    remedy = "Check the endpoint's signing secret, and this machine's clock."

    def __init__(self, reason: Literal["bad_signature", "too_old", "malformed"], message: str) -> None:
        self.reason = reason
        super().__init__(message)


def remedy_of(error: BaseException) -> str:
    """What to do about an error, in a sentence."""
    if isinstance(error, StripeError) and error.http_status == 400:
        named = re.fullmatch(r"parameters\[(\w+)\](?:\[\w*\])*", error.param or "")
        if named and not named[1].startswith("interval_"):  # these are not the user's
            return f"Change the parameter {named[1]}."
    return getattr(error, "remedy", StripeReportsError.remedy)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what caused it, what caused that, and so on; each once, also where a chain comes back to itself."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def find_cause(error: BaseException | None, kind: type[E]) -> E | None:
    """The first error of a kind in a chain."""
    return next((cause for cause in chain(error) if isinstance(cause, kind)), None)


def was_stopped(error: BaseException | None) -> bool:
    """True for an error that Ctrl-C has caused.

    DuckDB makes a RuntimeError of Ctrl-C while it answers the main thread. DuckDB 1.5 names the KeyboardInterrupt as
    its cause, DuckDB 2.0 does not (both were tried).
    """
    return any(
        isinstance(cause, KeyboardInterrupt) or (isinstance(cause, RuntimeError) and str(cause) == "Query interrupted")
        for cause in chain(error)
    )


def own_error(error: BaseException | None) -> StripeReportsError | None:
    """This package's error inside dlt's wrapping, which buries the sentence that matters."""
    return find_cause(error, StripeReportsError)
