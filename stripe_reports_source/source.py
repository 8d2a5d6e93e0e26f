"""The dlt source: a resource per report, and one for each system table.

In: the user's settings, from arguments or dlt config. Out: a plain dlt source. Building it makes no request
and no thread; all work happens in the resources' generators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.schema.typing import TSchemaContract
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource, DltSource

from .errors import ConfigurationError
from .plan.intervals import start_of_day
from .plan.lanes import BEGINNING
from .plan.report import Report
from .plan.setting_lists import refuse_misspelt
from .plan.settings import Settings, checked_settings, checked_table_format
from .plan.system_tables import SYSTEM_TABLES, SystemTable
from .sync.configured import configured_names
from .sync.syncs import Syncs, syncs_of
from .warehouse.hints import system_hints
from .warehouse.passed_rows import Passed
from .warehouse.straight import CellResource, merged

DEFAULT_REPORTS = (
    "balance.summary",
    "balance_change_from_activity.itemized",
    "balance_change_from_activity.summary",
    "payouts.itemized",
    "payout_reconciliation.itemized",
    "ending_balance_reconciliation.itemized",
)
"""The reports that prove one another: every cent of the balance stands in two of them."""
if TYPE_CHECKING:
    Reports = str | Report | Sequence[str | Report | Mapping[str, Any]] | None
    Accounts = str | Sequence[str] | None
else:  # dlt does not read a setting of such a type as it is written
    Reports = Accounts = Any
CURSOR = "_interval_end"
CONTRACT: TSchemaContract = {"tables": "evolve", "columns": "evolve", "data_type": "freeze"}
"""Types are pinned: a column never turns into another type or a variant column, new columns may come."""


@dlt.source(
    name="stripe_reports",
    section="stripe_reports",
    schema_contract=CONTRACT,
)
def stripe_reports(
    reports: Reports = None,
    start_date: str | None = None,
    end_date: str | None = None,
    interval: str = "month",
    lookback_days: int = 3,
    timezone: str = "UTC",
    account: str = "default",
    stripe_account: str | None = None,
    stripe_context: str | None = None,
    connected_accounts: Accounts = None,
    personal_data: bool = True,
    max_concurrent_runs: int = 4,
    run_timeout: float = 1800.0,
    allow_partial: bool = False,
    retry_policy: Mapping[str, float] | None = None,
    run_policy: Mapping[str, float] | None = None,
    archive_url: str | None = None,
    table_format: str | None = None,
    api_key: TSecretStrValue = dlt.secrets.value,
    api_base_url: str = "https://api.stripe.com",
    files_base_url: str = "https://files.stripe.com",
) -> Iterator[DltResource]:
    """Stripe's reports as typed tables, a resource each. Every argument can also come from `[sources.stripe_reports]`.

    Args:
        reports: base ids, exact ids, `Report`s or mappings of their arguments; or a single one.
        start_date: first day of history, YYYY-MM-DD; None is where Stripe's data begins. Then the cursor decides.
        end_date: makes the run a stateless backfill of `[start_date, end_date)`: no cursor is read or moved.
        interval: the grid of cells that are run and replaced: `day`, `week` (from Monday) or `month`.
        lookback_days: days before the cursor that are read again when Stripe has new data.
        timezone: IANA zone of the grid's days and of report-zone times.
        account: label of the account in `_account`, when neither of the next two is given.
        stripe_account: connected account to run plain reports on behalf of (the Stripe-Account header).
        stripe_context: instead of it, the Stripe-Context header; an organisation's key (`sk_org_...`) needs it.
        connected_accounts: for `connected_account_*` reports, one run per account instead of one for all.
        max_concurrent_runs: report runs in flight at Stripe, and result files on disk, at most.
        run_timeout: seconds to wait for one run before leaving it to the next sync.
        allow_partial: load what Stripe has of a backfill's window, instead of refusing one that it has not whole.
        personal_data: False leaves out the columns that hold names, addresses, e-mail and the like.
        retry_policy, run_policy: numbers of `RetryPolicy` and `RunPolicy` to change, such as `{"attempts": 10}`.
        archive_url: a folder, or an address that fsspec takes, where each result file is kept as Stripe wrote it.
        table_format: `delta` or `iceberg`, on dlt's destination `filesystem`; None is the destination's own form.
        api_key: a restricted key that may read report types and runs (which includes creating runs) and files.
        api_base_url, files_base_url: Stripe's API and file host, or an emulator on this machine.

    Raises:
        ConfigurationError: a setting is wrong; Stripe was not asked.
    """
    yield from _resources(Syncs(_checked(locals())))


@dlt.source(
    name="stripe_reports",
    section="stripe_reports",
    schema_contract=CONTRACT,
)
def archived_reports(archive_url: str | None = None, table_format: str | None = None) -> Iterator[DltResource]:
    """The tables that an archive was written for, loaded from it again: no key, no request to Stripe.

    `load_reports` with it makes a dataset that is equal to the first in every row of a report, in `report_runs` and
    `report_cells`, but for what says when it was loaded. A sync with Stripe can go on from there.

    Args:
        archive_url: as it was given to `stripe_reports`, or where the archive was moved to. It has to be given or
            configured; as dlt sees it, it may be left out, so that `dlt init` asks nobody for it.
        table_format: as of `stripe_reports`.

    Raises:
        ConfigurationError: there is no such archive, or none is given.
        ArchiveError: it cannot be read.
    """
    from .sync.replaying import Archived  # Arrow and HTTP, which importing us does not need

    if archive_url is None:
        raise ConfigurationError("archive_url is not set; archived_reports reads the archive that is there.")
    archived = Archived(archive_url)
    settings = replace(archived.settings, table_format=checked_table_format(table_format))
    yield from _resources(Syncs(settings, archived))


def _checked(given: Mapping[str, Any]) -> Settings:
    """The arguments of `stripe_reports`, checked, and those in dlt's config by their names."""
    given = {**given, "reports": DEFAULT_REPORTS if given["reports"] is None else given["reports"]}
    refuse_misspelt(configured_names(), given)
    return checked_settings(given)


def _resources(syncs: Syncs) -> Iterator[DltResource]:
    for report in syncs.settings.reports:
        yield _report_resource(report, syncs)
    # the reports come first, so that every one has begun when these first look whether all are through
    for table in SYSTEM_TABLES:
        yield _system_resource(table, syncs)


def settings_of(source: DltSource) -> Settings:
    """What a source was built with.

    Raises:
        ConfigurationError: it is not a `stripe_reports` source.
    """
    return syncs_of(source).settings


def _report_resource(report: Report, syncs: Syncs) -> DltResource:
    settings = syncs.settings
    zone = settings.defaults.zone_of(report)
    end_value = None if settings.end_date is None else start_of_day(settings.end_date, zone)
    initial_value = BEGINNING if settings.end_date else None
    if settings.start_date:
        initial_value = start_of_day(settings.start_date, zone)

    def report_rows(
        syncs: Syncs,
        # with its type, so that dlt's schedulers can set a window
        cursor: dlt.sources.incremental[datetime] = dlt.sources.incremental[datetime](  # noqa: B008  # dlt's way
            CURSOR, initial_value=initial_value, end_value=end_value
        ),
    ) -> Iterator[Any]:
        from .sync.resources import report_items  # Arrow and HTTP, which building a source does not need

        yield from report_items(report, syncs, cursor)

    return _merged(report_rows, syncs, report.table).add_step(Passed())


def _system_resource(table: SystemTable, syncs: Syncs) -> DltResource:
    def system_rows(syncs: Syncs) -> Iterator[Any]:
        from .sync.resources import system_items

        yield from system_items(table, syncs)

    return _merged(system_rows, syncs, table.name, columns=system_hints(table))


def _merged(rows: Callable[..., Iterator[Any]], syncs: Syncs, name: str, **hints: Any) -> DltResource:
    """A resource whose cells or rows replace earlier ones. It carries `syncs` as an argument, see `syncs_of`."""
    replaced = merged(syncs.settings.table_format)
    resource: DltResource = dlt.resource(rows, name=name, _impl_cls=CellResource, **replaced, **hints)(syncs=syncs)
    return resource
