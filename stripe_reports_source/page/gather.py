"""What the page is made of, read from a dataset in one session, which is closed then. Reads only.

In: a pipeline that is opened for reading, and the days to show. Out: `Gathered`. Nothing in it is of the present: "now"
is when Stripe was asked last, so that the same data gives the same page.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dlt import Pipeline

from ..cli.accounts import some_of
from ..cli.status import problems_of, status_row
from ..errors import ConfigurationError
from ..plan.intervals import day_of
from ..plan.system_tables import REPORT_CELLS, REPORT_RUNS, REPORT_TYPES
from ..reconcile.checks import look
from ..reconcile.coverage import Coverage, CoveredCell, read_coverage
from ..reconcile.kept import tables_of_no_cell, words_of
from ..reconcile.reconciliation import OPEN, Reconciliation
from ..reconcile.scope import Scope
from ..warehouse.destinations import duckdb_file
from ..warehouse.freshness import freshness_table
from ..warehouse.query import reading, select, sql_client
from ..warehouse.status import ReportStatus, label_of, report_status
from ..warehouse.status_runs import ShownRun, open_runs, shown_runs
from ..warehouse.stored_schemas import restore_schemas
from .calendar import Lane, Reach, cells_of, months_between

MOST_MONTHS = 24
"""That are shown where no day is given to begin with."""
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Run:
    """A report run that is loaded, and its file."""

    run_id: str
    report_type: str
    account: str
    table_name: str
    interval_start: datetime | None
    interval_end: datetime | None
    status: str
    created: datetime | None
    attempt: int | None
    adopted: bool | None
    rows: int | None
    bytes: int | None
    file_id: str | None
    sha256: str | None
    archive_path: str | None
    error: str | None


@dataclass(frozen=True)
class Gathered:
    """All that is known of a dataset.

    Args:
        place: where it is: the name of the DuckDB file, else the destination; and the dataset.
        as_of: when Stripe was asked last; None where that is not known.
        months: the months that are shown, by their first days.
        earlier: how many months are loaded before these
        reports: as `status` has them.
        freshness: the same as `status` shows them, in lines.
        problems: why not all is there, in the words of `status`.
        coverage: what is loaded.
        reach: how far each report is loaded and offered.
        runs: those that are loaded, by id.
        failed: the failures that are open, by report and account.
        latest: the last runs, newest first.
        found: what a look at the dataset has found.
    """

    place: str
    as_of: datetime | None
    months: tuple[date, ...]
    earlier: int
    reports: tuple[ReportStatus, ...]
    freshness: tuple[Mapping[str, Any], ...]
    problems: tuple[str, ...]
    coverage: Coverage
    reach: Mapping[Lane, Reach]
    runs: Mapping[str, Run]
    failed: Mapping[Lane, Sequence[ShownRun]]
    latest: tuple[ShownRun, ...]
    found: Reconciliation

    @property
    def cells(self) -> list[CoveredCell]:
        """Those that lie on a grid."""
        return list(self.coverage)


@contextmanager
def session(pipeline: Pipeline) -> Iterator[None]:
    """Keep a DuckDB file open from the first question to the last: no other process writes it in between."""
    if duckdb_file(pipeline) is None:
        yield
        return
    with sql_client(pipeline):
        yield


def gather(
    pipeline: Pipeline,
    since: date | None = None,
    accounts: Collection[str] | None = None,
    month: date | None = None,
) -> Gathered:
    """Read a dataset.

    Args:
        pipeline: opened for reading; its schemas are restored, see `restore_schemas`.
        since: first day to show; None for the last `MOST_MONTHS` months.
        accounts: only these, as in the column `_account`; None for all.
        month: the first day of the one month to show, and nothing else.

    Raises:
        ConfigurationError: nothing is loaded, or nothing since that day.
    """
    restore_schemas(pipeline)
    all_reports = report_status(pipeline)
    reports = [report for report in all_reports if _is_of(report.account, accounts)]
    reach = _reach(pipeline, reports)
    as_of = max((report.checked_at for report in reports if report.checked_at), default=None)
    with reading(pipeline) as reader:
        coverage = read_coverage(reader, accounts)
    every = _months_loaded(coverage, reports)
    months = _months_shown(every, since, month)
    if not months:
        labels = sorted({label_of(report.account) for report in all_reports})
        if accounts and labels and not reports:
            raise _no_account(pipeline, accounts, labels)
        raise _nothing_loaded(pipeline, since, every)
    now = as_of or EPOCH
    shown = [run for run in shown_runs(pipeline) if _is_of(run.account, accounts)]
    found = Reconciliation(tuple(look(pipeline, now, _scope(coverage, months, every, accounts))))
    verdicts = _by_table(found, coverage)
    return Gathered(
        place=place_of(pipeline),
        as_of=as_of,
        months=tuple(months),
        earlier=len([other for other in every if other < months[0]]),
        reports=tuple(reports),
        freshness=tuple(status_row(report, verdicts, now, as_data=False) for report in reports),
        problems=tuple(problems_of(reports, None, now)),
        coverage=coverage,
        reach=reach,
        runs=_loaded_runs(pipeline),
        failed=_failed(shown, reach),
        latest=tuple(shown),
        found=found,
    )


def _no_account(pipeline: Pipeline, accounts: Collection[str], labels: Sequence[str]) -> ConfigurationError:
    return ConfigurationError(
        f"no rows have _account {' or '.join(sorted(accounts))} in {pipeline.dataset_name!r}; "
        f"set --account to one that is there: {some_of(labels)}."
    )


def _nothing_loaded(pipeline: Pipeline, since: date | None, every: Sequence[date]) -> ConfigurationError:
    if since is not None and every:
        return ConfigurationError(
            f"nothing is loaded since {since} in {pipeline.dataset_name!r}; set --since to a day of {every[-1]:%Y-%m}, "
            "the last month that is there, or to a day before."
        )
    return ConfigurationError(f"nothing is loaded in {pipeline.dataset_name!r}; load it with `stripe-reports sync`.")


def _is_of(account: str, accounts: Collection[str] | None) -> bool:
    return accounts is None or account in accounts or label_of(account) in accounts


def _months_shown(every: Sequence[date], since: date | None, month: date | None) -> list[date]:
    if month is not None:
        return [month] if every else []
    if since is None:
        return list(every[-MOST_MONTHS:])
    return [other for other in every if other >= since.replace(day=1)]


def _scope(
    coverage: Coverage, months: Sequence[date], every: Sequence[date], accounts: Collection[str] | None
) -> Scope:
    """What is looked at: the cells that reach into what is shown, and all later ones."""
    days = [cell.day for cell in cells_of(coverage, months[0]) if cell.day < months[0]]
    since = None if months[0] <= every[0] else min(days, default=months[0])
    return Scope(since=since, accounts=None if accounts is None else frozenset(accounts))


def _by_table(found: Reconciliation, coverage: Coverage) -> dict[tuple[str, str], str]:
    """The verdict for each report table and account, as `status` has it of the table `tie_out`."""
    tables: dict[str, list[str]] = defaultdict(list)
    holding: dict[str, set[str]] = defaultdict(set)
    for cell in (*coverage.in_all_tables(coverage), *coverage.per_payout):
        tables[cell.key].append(cell.table)
        holding[cell.base].add(cell.table)
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for statement in found.statements:
        about: Collection[str] = tables.get(statement.interval_key, ())
        if not about and statement.status in OPEN:
            about = tables_of_no_cell(
                statement.equation, statement.account, statement.interval_key, statement.item, holding
            )
        for table in about:
            counts[table, statement.account][statement.status] += 1
    return {key: words_of(of_table) for key, of_table in counts.items()}


def place_of(pipeline: Pipeline) -> str:
    """Where a dataset is; of a file its name alone, for the page may be sent to others."""
    file = duckdb_file(pipeline)
    name = pipeline.destination.destination_name if pipeline.destination else None
    return f"{Path(file).name if file else name}, dataset {pipeline.dataset_name}"


def _months_loaded(coverage: Coverage, reports: Sequence[ReportStatus]) -> list[date]:
    """From the first cell to the end of what Stripe had when it was asked last, each in the zone of its report."""
    cells = list(coverage)
    if not cells:
        return []
    days = [cell.day for cell in cells]
    zones = {(cell.table, cell.account): cell.lane.rpartition("|")[2] for cell in cells}
    moment = timedelta(microseconds=1)
    ends = [
        day_of(report.available_to - moment, ZoneInfo(zones.get((report.table, label_of(report.account)), "UTC")))
        for report in reports
        if report.available_to is not None
    ]
    return months_between(min(days), max([*days, *ends]))


_OFFERED = (
    "SELECT {column.account}, {column.id}, MIN({column.data_available_start}) "  # noqa: S608
    f"FROM {{table.{REPORT_TYPES.name}}} GROUP BY {{column.account}}, {{column.id}}"
)


def _reach(pipeline: Pipeline, reports: Sequence[ReportStatus]) -> dict[Lane, Reach]:
    with freshness_table(pipeline) as freshness:
        begins = {lane: row.loaded_from for lane, row in freshness.rows.items()}
        ends = {lane: row.loaded_to or EPOCH for lane, row in freshness.rows.items() if row.ended}
    offered = {(account, report_type): start for account, report_type, start in select(pipeline, _OFFERED) or ()}
    lanes = {(report.table, report.account): report for report in reports}
    return {
        lane: Reach(
            begins.get(lane),
            report.available_to,
            offered.get((label_of(report.account), report.report_type)),
            ends.get(lane),
        )
        for lane, report in lanes.items()
    }


def _failed(shown: Sequence[ShownRun], lanes: Mapping[Lane, Reach]) -> dict[Lane, list[ShownRun]]:
    """As `report_status` puts runs to lanes."""
    of_lane: dict[Lane, list[ShownRun]] = defaultdict(list)
    for run in shown:
        for lane in [lane for lane in run.lanes if lane in lanes] or [(run.table_name, run.account)]:
            of_lane[lane].append(run)
    found = {lane: open_runs(runs) for lane, runs in of_lane.items()}
    return {lane: runs for lane, runs in found.items() if runs and not (lane in lanes and lanes[lane].ends)}


def _loaded_runs(pipeline: Pipeline) -> dict[str, Run]:
    """Those that the ledger's cells are from; without what an older version's ledger does not say."""
    tables = [schema.tables.get(REPORT_RUNS.name) for schema in pipeline.schemas.values()]
    known = {column for table in tables if table for column in table["columns"]}
    listed = [f"{{column.{field.name}}}" if field.name in known else "NULL" for field in fields(Run)]
    query = (
        f"SELECT {', '.join(listed)} FROM {{table.{REPORT_RUNS.name}}} WHERE {{column.run_id}} IN "  # noqa: S608
        f"(SELECT {{column.run_id}} FROM {{table.{REPORT_CELLS.name}}})"
    )
    return {row[0]: Run(*row) for row in select(pipeline, query) or ()}
