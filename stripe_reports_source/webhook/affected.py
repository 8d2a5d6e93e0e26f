"""Which of a source's reports an event affects. Pure, except that the source is asked what it was built with.

In: an event and a source. Out: names of the source's resources, which are the tables to sync.
"""

from __future__ import annotations

from collections.abc import Collection

from dlt.extract import DltSource

from ..plan.catalog import split_id
from ..plan.report import Report
from ..plan.settings import Settings
from ..plan.system_tables import SYSTEM_TABLES
from ..source import settings_of
from .events import ReportEvent

SYSTEM_RESOURCES = tuple(table.name for table in SYSTEM_TABLES)
_PAYOUTS_OF = {
    "payout_reconciliation.by_id": "payouts.itemized",
    "connected_account_payout_reconciliation.by_id": "connected_account_payouts.itemized",
}


def affected_tables(event: ReportEvent, source: DltSource) -> frozenset[str]:
    """The tables that a sync has to look after because of an event; empty if it is about nothing in the source."""
    return tables_of(event, settings_of(source), source.selected_resources)


concerned_tables = affected_tables
"""The name that `affected_tables` had first."""


def tables_of(event: ReportEvent, settings: Settings, selected: Collection[str]) -> frozenset[str]:
    """See `affected_tables`. `selected`: the tables that the source was not narrowed away from."""
    if event.account not in (None, settings.label, *settings.connected_accounts):
        return frozenset()
    return frozenset(
        report.table for report in settings.reports if report.table in selected and _affects(event.report_type, report)
    )


def report_tables(source: DltSource) -> frozenset[str]:
    """All report tables of a source."""
    return frozenset(source.selected_resources) - frozenset(SYSTEM_RESOURCES)


def narrowed(source: DltSource, tables: Collection[str]) -> DltSource:
    """The source with these report tables only, and the system tables that it had."""
    return source.with_resources(*(name for name in source.selected_resources if name in (*tables, *SYSTEM_RESOURCES)))


def _affects(report_type: str, report: Report) -> bool:
    base, _ = split_id(report_type)
    if report.base == base:
        # which version a base id takes is decided by each sync anew
        return report.report in (base, report_type)
    # new payouts bring new runs of the reports that are run for each of them
    return any(report.base.startswith(per_payout) and base == payouts for per_payout, payouts in _PAYOUTS_OF.items())
