"""The settings of a source, checked. Pure: nothing here has asked Stripe anything.

In: arguments of `stripe_reports`. Out: one frozen `Settings`, or a `ConfigurationError` that names the setting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Any, TypeVar

from ..errors import ConfigurationError
from .addresses import parse_address
from .credentials import account_id, account_label, account_of, check_account, checked_key, context_path
from .intervals import parse_day, parse_zone
from .report import Defaults, Report, check_grid, check_lookback, refuse_repeats
from .setting_lists import listed, report_of
from .system_tables import SYSTEM_TABLES
from .texts import printable

Number = TypeVar("Number", int, float)
Policy = TypeVar("Policy", "RetryPolicy", "RunPolicy")
TABLE_FORMATS = ("delta", "iceberg")
MOST_RUNS_AT_ONCE = 1000
_MOST = 4e9
"""Far above any sensible setting, and below the seconds that a thread can be made to wait."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try again.

    `body_timeout` and `answer_bytes` bound a whole JSON answer, `pages` a list: Stripe's are far smaller, and one that
    never ends must not fill the memory.

    Args:
        attempts: how often a request is sent, at most.
        first_delay: seconds before the second attempt; each later pause is twice as long.
        longest_delay: seconds that a pause grows to, at most.
        connect_timeout: seconds for a connection.
        read_timeout: seconds without a byte of an answer.
        body_timeout: seconds for a whole JSON answer.
        answer_bytes: bytes of a JSON answer, at most.
        pages: pages of a list, at most.
        least_rate: bytes a second; where fewer come for `read_timeout`, a download is begun again where it stopped.
        transfer_timeout: seconds for a download in all, after which it is given up.
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
    """How often report runs are made, and how often they are looked at.

    The polls of events are for a sync that is told of the ends of runs, the other polls for one that is not.

    Args:
        timeout: seconds to wait for one run; the setting `run_timeout` is the same.
        attempts: runs made per sync for one interval, at most.
        keys: idempotency keys that are tried for one run when Stripe keeps an error under each.
        first_poll: seconds to the first look at a run.
        longest_poll: seconds between looks, at most.
        retry_delay: seconds before another run is made for one that failed.
        first_event_poll: seconds to the first look at a run whose event is expected.
        longest_event_poll: seconds between looks then, at most.
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

    Each table becomes a row group of its Parquet file; three of them are in memory. A block is some ten thousand rows
    of a wide report: larger ones cost memory and are not faster.
    """

    rows_per_table: int = 32_768
    block_bytes: int = 1 << 22


@dataclass(frozen=True)
class Settings:
    """Everything the source was called with, checked; nothing here has asked Stripe anything."""

    reports: tuple[Report, ...]
    defaults: Defaults
    start_date: date | None
    end_date: date | None
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
    personal_data: bool = True
    parse_policy: ParsePolicy = ParsePolicy()
    stripe_context: str | None = None
    archive_url: str | None = field(default=None, repr=False)
    table_format: str | None = None

    @property
    def acts_on(self) -> str | None:
        """The account that requests are about: a Stripe-Account or Stripe-Context value, None for the key's own."""
        return self.stripe_context or self.stripe_account

    @property
    def label(self) -> str:
        """The `_account` value of rows: the id of the account that is acted on, else the user's label."""
        return self.account if self.acts_on is None else account_of(self.acts_on)

    def resource_of(self, base: str) -> str:
        """The resource that loads a report, of its base id; the usual name where the source does not load it."""
        usual = Report(base).table
        names = [report.table for report in self.reports if report.base == base]
        return usual if usual in names or not names else names[0]


def checked_settings(given: Mapping[str, Any]) -> Settings:
    """The arguments of `stripe_reports`, by name, each checked.

    Raises:
        ConfigurationError: names the first setting that is wrong, its value and what would be right.
    """
    check_grid(given["interval"], "stripe_reports:")
    check_lookback(given["lookback_days"], "stripe_reports:")
    start, end = (parse_day(given[setting], setting) for setting in ("start_date", "end_date"))
    if start and end and start >= end:
        raise ConfigurationError(f"start_date {start} must lie before end_date {end}.")
    api_key = checked_key(given["api_key"])
    check_account(api_key, given["stripe_account"], given["stripe_context"])
    run_policy = RunPolicy(timeout=positive(given["run_timeout"], "run_timeout"))
    return Settings(
        reports=checked_reports(given["reports"]),
        defaults=Defaults(given["interval"], given["lookback_days"], parse_zone(given["timezone"])),
        start_date=start,
        end_date=end,
        account=account_label(given["account"]),
        stripe_account=account_id(given["stripe_account"], "stripe_account"),
        connected_accounts=checked_accounts(given["connected_accounts"]),
        max_concurrent_runs=checked_runs_at_once(given["max_concurrent_runs"]),
        run_policy=changed_policy(run_policy, given["run_policy"], "run_policy"),
        retry_policy=changed_policy(RetryPolicy(), given["retry_policy"], "retry_policy"),
        api_base_url=checked_base_url(given["api_base_url"], "api_base_url"),
        files_base_url=checked_base_url(given["files_base_url"], "files_base_url"),
        api_key=api_key,
        allow_partial=bool(given["allow_partial"]),
        personal_data=bool(given["personal_data"]),
        stripe_context=context_path(given["stripe_context"]),
        archive_url=checked_archive_url(given["archive_url"]),
        table_format=checked_table_format(given["table_format"]),
    )


def checked_accounts(accounts: Any) -> tuple[str, ...]:
    """The ids of connected accounts, of which no two are the same.

    Args:
        accounts: ids in a list, as its JSON, as text with commas between them, or a single one; None is none.

    Raises:
        ConfigurationError: one is not an account's id, or is named twice.
    """
    setting = "connected_accounts"
    result = tuple(account_id(account, setting) or "" for account in listed(accounts or (), setting))
    refuse_repeats(result, setting)
    return result


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


def checked_runs_at_once(runs: int) -> int:
    """How many report runs may be in flight at Stripe: there is a thread for each.

    Raises:
        ConfigurationError: not a whole number above 0, or too many.
    """
    positive(runs, "max_concurrent_runs")
    if not isinstance(runs, int) or runs > MOST_RUNS_AT_ONCE:
        raise ConfigurationError(f"max_concurrent_runs {runs!r} must be a whole number, {MOST_RUNS_AT_ONCE:,} at most.")
    return runs


def checked_archive_url(url: str | None, setting: str = "archive_url") -> str | None:
    """The root of an archive: a folder, or an address that can be written to. Credentials in it are not shown.

    Raises:
        ConfigurationError: it cannot be one.
    """
    if url is None:
        return None
    text = isinstance(url, str) and url.strip() == url and url.isprintable()
    if not text or not url or url.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{setting} must be a folder, or an address that files can be written to, such as 's3://bucket/stripe'."
        )
    return url


def checked_table_format(table_format: str | None) -> str | None:
    """The form of the tables, where a destination has several.

    Raises:
        ConfigurationError: there is no such form.
    """
    if table_format is not None and table_format not in TABLE_FORMATS:
        raise ConfigurationError(
            f"table_format {table_format!r} must be one of {', '.join(TABLE_FORMATS)}, or left out."
        )
    return table_format


def checked_reports(reports: Any) -> tuple[Report, ...]:
    """The reports asked for, of which no two share a table.

    Args:
        reports: ids, `Report` values or mappings of the arguments of `Report`; in a list, as its JSON, or a single one.
    """
    result = tuple(report_of(report) for report in listed(reports, "reports"))
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
