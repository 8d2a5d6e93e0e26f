"""The dlt source: a resource per report, and one for each system table.

In: the user's settings, from arguments or dlt config. Out: a plain dlt source. Building it makes no request
and no thread; all work happens in the resources' generators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timezone
from typing import Any

import dlt
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource, DltSource

from .errors import ConfigurationError
from .plan.credentials import account_id, account_label, check_account, checked_key, context_path
from .plan.intervals import parse_day, parse_zone, start_of_day
from .plan.report import Defaults, Report, check_grid, check_lookback
from .plan.settings import (
    RetryPolicy,
    RunPolicy,
    Settings,
    changed_policy,
    checked_base_url,
    checked_reports,
    positive,
)
from .plan.system_tables import REPORT_COLUMNS, REPORT_RUNS, REPORT_TYPES, SystemTable
from .sync.syncs import Syncs, syncs_of
from .warehouse.hints import system_hints

DEFAULT_REPORTS = (
    "balance.summary",
    "balance_change_from_activity.itemized",
    "payouts.itemized",
    "payout_reconciliation.itemized",
)
CURSOR = "_interval_end"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dlt.source(
    name="stripe_reports",
    section="stripe_reports",
    # types are pinned: a column never turns into another type or a variant column, new columns may come
    schema_contract={"tables": "evolve", "columns": "evolve", "data_type": "freeze"},
)
def stripe_reports(
    reports: Sequence[str | Report] = DEFAULT_REPORTS,
    start_date: str | None = None,
    end_date: str | None = None,
    interval: str = "month",
    lookback_days: int = 3,
    timezone: str = "UTC",
    account: str = "default",
    stripe_account: str | None = None,
    stripe_context: str | None = None,
    connected_accounts: Sequence[str] | None = None,
    max_concurrent_runs: int = 4,
    run_timeout: float = 1800.0,
    retry_policy: Mapping[str, float] | None = None,
    run_policy: Mapping[str, float] | None = None,
    api_key: TSecretStrValue = dlt.secrets.value,
    api_base_url: str = "https://api.stripe.com",
    files_base_url: str = "https://files.stripe.com",
) -> Iterator[DltResource]:
    """Stripe's financial reports as typed tables, interval by interval.

    Every argument can also come from dlt config, as `[sources.stripe_reports]` in `config.toml` and
    `secrets.toml` or as `SOURCES__STRIPE_REPORTS__...` in the environment.

    Args:
        reports: base ids, exact ids or `Report` values.
        start_date: first calendar day of history, YYYY-MM-DD in `timezone`; None is where Stripe's data begins.
            Once something is loaded the cursor decides, and this is not looked at again.
        end_date: makes the run a stateless backfill of `[start_date, end_date)`: no cursor is read or moved.
        interval: the grid of cells that are run and replaced: `day`, `week` (from Monday) or `month`.
        lookback_days: days before the cursor that are read again when Stripe has new data.
        timezone: IANA zone of the grid's days and of report-zone times.
        account: label of the account in `_account`, when neither of the next two is given.
        stripe_account: connected account to run plain reports on behalf of (the Stripe-Account header).
        stripe_context: account to run reports on, or the path to it (the Stripe-Context header), instead of
            `stripe_account`; an organisation's key (`sk_org_...`) needs it.
        connected_accounts: for `connected_account_*` reports, one run per account instead of one for all.
        max_concurrent_runs: report runs in flight at Stripe, and result files on disk, at most.
        run_timeout: seconds to wait for one run before leaving it to the next sync.
        retry_policy: numbers of `RetryPolicy` to change (requests), such as `{"attempts": 10}`.
        run_policy: numbers of `RunPolicy` to change (report runs), such as `{"attempts": 5}`.
        api_key: a restricted key that may read and write report runs and read files.
        api_base_url: Stripe's API, or an emulator on this machine.
        files_base_url: where Stripe serves result files.

    Returns:
        A source with one resource per report, and `report_types`, `report_runs`, `report_columns`.

    Raises:
        ConfigurationError: a setting is wrong; Stripe was not asked.
    """
    zone = parse_zone(timezone)
    check_grid(interval, "stripe_reports:")
    check_lookback(lookback_days, "stripe_reports:")
    start, end = parse_day(start_date, "start_date"), parse_day(end_date, "end_date")
    if start and end and start >= end:
        raise ConfigurationError(f"start_date {start} must lie before end_date {end}.")
    api_key = checked_key(api_key)
    check_account(api_key, stripe_account, stripe_context)
    settings = Settings(
        reports=checked_reports(reports),
        defaults=Defaults(interval, lookback_days, zone),  # type: ignore[arg-type]  # checked above
        start_date=start,
        account=account_label(account),
        stripe_account=account_id(stripe_account, "stripe_account"),
        connected_accounts=tuple(
            account_id(connected, "connected_accounts") or "" for connected in connected_accounts or ()
        ),
        max_concurrent_runs=positive(max_concurrent_runs, "max_concurrent_runs"),
        run_policy=changed_policy(RunPolicy(timeout=positive(run_timeout, "run_timeout")), run_policy, "run_policy"),
        retry_policy=changed_policy(RetryPolicy(), retry_policy, "retry_policy"),
        api_base_url=checked_base_url(api_base_url, "api_base_url"),
        files_base_url=checked_base_url(files_base_url, "files_base_url"),
        api_key=api_key,
        stripe_context=context_path(stripe_context),
    )
    syncs = Syncs(settings)
    for report in settings.reports:
        yield _report_resource(report, syncs, start, end)
    # the reports come first, so that every one has begun when these first look whether all are through
    yield _system_resource(REPORT_TYPES, syncs)
    yield _system_resource(REPORT_RUNS, syncs)
    yield _system_resource(REPORT_COLUMNS, syncs)


def settings_of(source: DltSource) -> Settings:
    """What a source was built with.

    Raises:
        ConfigurationError: it is not a `stripe_reports` source.
    """
    return syncs_of(source).settings


def _report_resource(report: Report, syncs: Syncs, start: date | None, end: date | None) -> DltResource:
    zone = parse_zone(report.timezone) if report.timezone else syncs.settings.defaults.zone
    end_value = None if end is None else start_of_day(end, zone)
    initial_value = start_of_day(start, zone) if start else (_EPOCH if end else None)

    def report_rows(
        syncs: Syncs,
        cursor: dlt.sources.incremental[datetime] = dlt.sources.incremental(  # noqa: B008  # dlt's way to declare it
            CURSOR, initial_value=initial_value, end_value=end_value
        ),
    ) -> Iterator[Any]:
        from .sync.resources import report_items  # Arrow and HTTP, which building a source does not need

        yield from report_items(report, syncs, cursor)

    return _merged(report_rows, syncs, report.table)


def _system_resource(table: SystemTable, syncs: Syncs) -> DltResource:
    def system_rows(syncs: Syncs) -> Iterator[Any]:
        from .sync.resources import column_items, run_items, type_items

        items = {REPORT_TYPES.name: type_items, REPORT_RUNS.name: run_items, REPORT_COLUMNS.name: column_items}
        yield from items[table.name](syncs)

    return _merged(system_rows, syncs, table.name, columns=system_hints(table))


def _merged(rows: Callable[..., Iterator[Any]], syncs: Syncs, name: str, **hints: Any) -> DltResource:
    """A resource whose cells or rows replace earlier ones. It carries `syncs` as an argument, see `syncs_of`."""
    resource: DltResource = dlt.resource(
        rows, name=name, write_disposition={"disposition": "merge", "strategy": "delete-insert"}, **hints
    )(syncs=syncs)
    return resource
