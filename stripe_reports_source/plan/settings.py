"""The settings of a source, checked. Pure: nothing here has asked Stripe anything.

In: arguments of `stripe_reports`. Out: one frozen `Settings`, or a `ConfigurationError` that names the setting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Any, TypeVar

from ..errors import ConfigurationError
from .addresses import parse_address
from .credentials import account_of
from .report import Defaults, Report
from .system_tables import SYSTEM_TABLES
from .texts import printable

Number = TypeVar("Number", int, float)
Policy = TypeVar("Policy", "RetryPolicy", "RunPolicy")
_MOST = 4e9
"""Far above any sensible setting, and below the seconds that a thread can be made to wait."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try again, in attempts, seconds and bytes.

    `body_timeout` and `answer_bytes` bound a whole JSON answer, `pages` a list: Stripe's are far smaller, and one that
    never ends must not fill the memory. A download is begun again where it stopped when fewer than `least_rate` bytes
    a second have come for `read_timeout` seconds, and given up after `transfer_timeout` seconds in all.
    """

    attempts: int = 6
    first_delay: float = 0.5
    longest_delay: float = 30.0
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    body_timeout: float = 120.0
    answer_bytes: int = 64 << 20
    pages: int = 1000
    least_rate: float = 1000.0
    transfer_timeout: float = 6 * 3600.0

    def delay(self, attempt: int, retry_after: float | None, chance: float) -> float:
        """The wait before the next attempt: Stripe's Retry-After if it gave one, else doubling with jitter."""
        backoff = min(self.longest_delay, self.first_delay * 2.0 ** min(attempt, 60)) * (0.5 + chance / 2)
        return backoff if retry_after is None else max(backoff, min(retry_after, 4 * self.longest_delay))


@dataclass(frozen=True)
class RunPolicy:
    """Times in seconds. `timeout` bounds the wait for one run, `attempts` the runs made per sync for one cell.

    `keys` bounds the idempotency keys that are tried for one run when Stripe keeps an error under each.

    The `event_poll`s are for a sync that is told of the ends of runs, the other polls for one that is not.
    """

    timeout: float = 1800.0
    attempts: int = 3
    keys: int = 10
    first_poll: float = 0.1
    longest_poll: float = 20.0
    retry_delay: float = 5.0
    first_event_poll: float = 5.0
    longest_event_poll: float = 60.0

    def event_poll(self, elapsed: float) -> float:
        """Seconds to the next poll of a run whose event is expected: a lost event at most doubles the run's time.

        Args:
            elapsed: seconds waited for this run so far.
        """
        return min(max(self.first_event_poll, elapsed), self.longest_event_poll)


@dataclass(frozen=True)
class ParsePolicy:
    """How much is in memory at once: rows of a table that is given to dlt, and bytes of a file that are parsed.

    Each table becomes a row group of its Parquet file; three of them are in memory. Arrow reads a few blocks ahead:
    larger ones cost memory and are no faster.
    """

    rows_per_table: int = 65_536
    block_bytes: int = 1 << 20


@dataclass(frozen=True)
class Settings:
    """Everything the source was called with, checked; nothing here has asked Stripe anything."""

    reports: tuple[Report, ...]
    defaults: Defaults
    start_date: date | None
    account: str
    stripe_account: str | None
    connected_accounts: tuple[str, ...]
    max_concurrent_runs: int
    run_policy: RunPolicy
    retry_policy: RetryPolicy
    api_base_url: str
    files_base_url: str
    api_key: str = field(repr=False)
    allow_partial: bool = False
    parse_policy: ParsePolicy = ParsePolicy()
    stripe_context: str | None = None

    @property
    def acts_on(self) -> str | None:
        """The account that requests are about: a Stripe-Account or Stripe-Context value, None for the key's own."""
        return self.stripe_context or self.stripe_account

    @property
    def label(self) -> str:
        """The `_account` value of rows: the id of the account that is acted on, else the user's label."""
        return self.account if self.acts_on is None else account_of(self.acts_on)


def checked_base_url(url: str, setting: str) -> str:
    """A base address without a trailing slash.

    Raises:
        ConfigurationError: not HTTPS (plain HTTP is for loopback only, or the key would travel in the clear), or in a
            form that programs read in different ways.
    """
    address = parse_address(url)
    if address is None or address.query or not (address.scheme == "https" or address.loopback):
        shown = printable(re.sub(r"//[^/]*@", "//(user)@", url), 200)
        raise ConfigurationError(
            f"{setting} {shown!r} must be an https address without a user "
            "(http only for this machine, such as http://127.0.0.1:12111)."
        )
    return address.url.rstrip("/")


def checked_reports(reports: Sequence[str | Report]) -> tuple[Report, ...]:
    """The reports asked for, of which no two share a table."""
    if isinstance(reports, (str, Report)):
        reports = [reports]
    result = tuple(report if isinstance(report, Report) else Report(report) for report in reports)
    if not result:
        raise ConfigurationError("reports is empty; name at least one, such as 'balance.summary'.")
    tables: set[str] = set()
    for report in result:
        if report.table in {table.name for table in SYSTEM_TABLES}:
            raise ConfigurationError(f"report {report.report!r}: table_name {report.table!r} is a system table.")
        if report.table in tables:
            raise ConfigurationError(
                f"reports holds two for the table {report.table!r}; give one of them another table_name."
            )
        tables.add(report.table)
    return result


def changed_policy(policy: Policy, changes: Mapping[str, Any] | None, setting: str) -> Policy:
    """A policy with some of its numbers changed, which all lie above 0.

    Raises:
        ConfigurationError: it has no such number, or the value cannot be one.
    """
    numbers = {field.name: field.type for field in fields(policy)}
    for name, value in (changes or {}).items():
        if name not in numbers:
            raise ConfigurationError(f"{setting} has no {name!r}; it has {', '.join(numbers)}.")
        if numbers[name] == "int" and not isinstance(value, int):
            raise ConfigurationError(f"{setting}.{name} {value!r} must be a whole number.")
        positive(value, f"{setting}.{name}")
    return replace(policy, **(changes or {}))


def positive(value: Number, setting: str) -> Number:
    """A number above 0, and not beyond all measure."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value <= _MOST:
        raise ConfigurationError(f"{setting} {value!r} must be a number above 0.")
    return value
