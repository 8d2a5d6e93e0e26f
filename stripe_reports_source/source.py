"""The dlt source: a resource per report, and one for each system table.

In: the user's settings, from arguments or dlt config. Out: a plain dlt source. Building it makes no request
and no thread; all work happens in the resources' generators.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timezone
from typing import Any

import dlt
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource

from .audit import (
    REPORT_COLUMNS,
    REPORT_RUNS,
    REPORT_TYPES,
    audit_hints,
    audit_table,
    column_rows,
    fingerprint,
    type_rows,
)
from .catalog import load_catalog
from .client import RetryPolicy, checked_base_url
from .destinations import check_destination
from .errors import ConfigurationError
from .fetch import CellFailure
from .intervals import Span, parse_day, parse_zone, start_of_day
from .report import Defaults, Report, check_grid, check_lookback
from .runs import RunPolicy
from .sync import ACTIVE_SCOPE, LaneSync, Settings, SyncSession
from .tables import cell_tables, hints

logger = logging.getLogger(__name__)

DEFAULT_REPORTS = (
    "balance.summary",
    "balance_change_from_activity.itemized",
    "payouts.itemized",
    "payout_reconciliation.itemized",
)
SYSTEM_TABLES = ("report_types", "report_runs", "report_columns")
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
    connected_accounts: Sequence[str] | None = None,
    max_concurrent_runs: int = 4,
    run_timeout: float = 1800.0,
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
        account: label of the account in `_account`, when `stripe_account` is not given.
        stripe_account: connected account to run plain reports on behalf of (the Stripe-Account header).
        connected_accounts: for `connected_account_*` reports, one run per account instead of one for all.
        max_concurrent_runs: report runs in flight at Stripe, and result files on disk, at most.
        run_timeout: seconds to wait for one run before leaving it to the next sync.
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
    settings = Settings(
        reports=_reports(reports),
        defaults=Defaults(interval, lookback_days, zone),  # type: ignore[arg-type]  # checked above
        start_date=start,
        account=_account_label(account),
        stripe_account=_account_id(stripe_account, "stripe_account"),
        connected_accounts=tuple(_account_id(one, "connected_accounts") or "" for one in connected_accounts or ()),
        max_concurrent_runs=_positive(max_concurrent_runs, "max_concurrent_runs"),
        run_policy=RunPolicy(timeout=_positive(run_timeout, "run_timeout")),
        retry_policy=RetryPolicy(),
        api_base_url=checked_base_url(api_base_url, "api_base_url"),
        files_base_url=checked_base_url(files_base_url, "files_base_url"),
        api_key=_checked_key(api_key),
    )
    sessions = _Sessions(settings)
    for report in settings.reports:
        yield _report_resource(report, sessions, start, end)
    yield _types_resource(sessions)
    # last, so that every report has begun when these first look whether all are through
    yield _runs_resource(sessions)
    yield _columns_resource(sessions)


class _Sessions:
    """Finds the sync that a generator takes part in."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._load_id: str | None = None
        self._session: SyncSession | None = None

    def current(self) -> SyncSession:
        """Under `load_reports` one session for all its packages, else one per extraction."""
        scope = ACTIVE_SCOPE.get()
        if scope is not None:
            if scope.session is None or scope.session.settings is not self.settings:
                scope.session = SyncSession(self.settings, load_catalog(), scope)
            return scope.session
        load_id = _load_id()
        if self._session is None or load_id is None or load_id != self._load_id:
            if self._session is not None and (load_id is not None or not self._session.open_reports):
                self._session.close()
                self._session = None
            self._session = self._session or SyncSession(self.settings, load_catalog(), None)
            self._load_id = load_id
        return self._session


def _load_id() -> str | None:
    """The load package being extracted; None when the source is iterated outside a pipeline."""
    try:
        return dlt.current.load_package_state()["load_id"]
    except CurrentLoadPackageStateNotAvailable:
        return None


def _report_resource(report: Report, sessions: _Sessions, start: date | None, end: date | None) -> DltResource:
    zone = parse_zone(report.timezone) if report.timezone else sessions.settings.defaults.zone
    end_value = None if end is None else start_of_day(end, zone)
    initial_value = start_of_day(start, zone) if start else (_EPOCH if end else None)

    def report_rows(
        cursor: dlt.sources.incremental[datetime] = dlt.sources.incremental(  # noqa: B008  # dlt's way to declare it
            CURSOR, initial_value=initial_value, end_value=end_value
        ),
    ) -> Iterator[Any]:
        yield from _report_items(report, sessions, cursor)

    return dlt.resource(
        report_rows,
        name=report.table,
        table_name=report.table,
        write_disposition={"disposition": "merge", "strategy": "delete-insert"},
    )()


def _report_items(report: Report, sessions: _Sessions, cursor: dlt.sources.incremental[datetime]) -> Iterator[Any]:
    """Tables of one report, cell by cell; None while Stripe or a download is awaited, so that others go on."""
    session = sessions.current()
    load_id = _load_id()
    if load_id is not None:
        check_destination(dlt.current.pipeline())
    cursor.advance(None)  # type: ignore[arg-type]  # cells are planned here; dlt must not filter rows by the cursor
    state = dlt.current.resource_state(report.table).setdefault("lanes", {}) if load_id is not None else {}
    finished = False
    session.open_reports += 1
    try:
        window = None if cursor.end_value is None else Span(cursor.start_value or _EPOCH, cursor.end_value)
        lanes = session.lanes(report, window, cursor.last_value, state)
        # every report is planned, and refused if it is wrong, before any of them makes its first run
        yield None
        for lane in lanes:
            session.start(lane)
        hinted: set[tuple[str, ...]] = set()
        while waiting := [lane for lane in lanes if lane.left]:
            if session.scope is not None and session.scope.full:
                break
            progress = False
            for lane in waiting:
                item = session.take(lane)
                if item is None:
                    continue
                progress = True
                if isinstance(item, CellFailure):
                    request = lane.jobs[-lane.left]
                    session.release(lane, None)
                    session.fail(lane, request, item)
                    continue
                for table in cell_tables(item, load_id):
                    names = tuple(table.column_names)
                    if names in hinted:
                        yield table
                    else:
                        hinted.add(names)
                        yield dlt.mark.with_hints(table, dlt.mark.make_hints(columns=hints(item.rows.columns)))
                # after the last yield: a generator that is closed at a yield must not have moved the cursor
                session.note_loaded(lane, item, state)
                _move_cursor(cursor, lanes, lane, state)
                session.release(lane, item)
            if not progress:
                session.wait()
                yield None
        finished = True
    finally:
        session.open_reports -= 1
        if not finished:
            session.abandon(report.table)
        if session.scope is None and not session.open_reports:
            session.close()


def _move_cursor(
    cursor: dlt.sources.incremental[datetime],
    lanes: Sequence[LaneSync],
    lane: LaneSync,
    state: dict[str, Any],
) -> None:
    """dlt's cursor is the end of what is loaded of every account of the report."""
    if lane.backfill:
        return
    if all(one.key in state and "cursor" in state[one.key] for one in lanes):
        cursor.advance(min(state[one.key]["cursor"] for one in lanes))


def _types_resource(sessions: _Sessions) -> DltResource:
    key = ("account", "id")

    def report_types() -> Iterator[Any]:
        session = sessions.current()
        account = session.settings.stripe_account or session.settings.account
        rows = type_rows(session.offered, account)
        yield from _when_changed("report_types", account, REPORT_TYPES, key, rows)

    return _audit_resource(report_types, REPORT_TYPES, key)


def _runs_resource(sessions: _Sessions) -> DltResource:
    key = ("run_id",)

    def report_runs() -> Iterator[Any]:
        session = sessions.current()
        yield from _until_reports_end(session)
        if session.run_rows:
            rows, session.run_rows = session.run_rows, []
            yield audit_table(REPORT_RUNS, key, [{**row, "_dlt_load_id": _load_id()} for row in rows])

    return _audit_resource(report_runs, REPORT_RUNS, key)


def _columns_resource(sessions: _Sessions) -> DltResource:
    key = ("table_name", "column_name")

    def report_columns() -> Iterator[Any]:
        session = sessions.current()
        yield from _until_reports_end(session)
        for table, columns in session.columns.items():
            rows = column_rows(table, list(columns.values()))
            yield from _when_changed("report_columns", table, REPORT_COLUMNS, key, rows)

    return _audit_resource(report_columns, REPORT_COLUMNS, key)


def _until_reports_end(session: SyncSession) -> Iterator[None]:
    yield None
    while session.open_reports:
        session.wait()
        yield None


def _when_changed(
    resource: str,
    part: str,
    columns: dict[str, tuple[str, str]],
    key: Sequence[str],
    rows: list[dict[str, Any]],
) -> Iterator[Any]:
    """Rows of a system table, only where they are not what was loaded last."""
    load_id = _load_id()
    if load_id is not None:
        state = dlt.current.resource_state(resource)
        if state.get(part) == fingerprint(rows):
            return
        state[part] = fingerprint(rows)
    yield audit_table(columns, key, [{**row, "_dlt_load_id": load_id} for row in rows])


def _audit_resource(function: Any, columns: dict[str, tuple[str, str]], key: Sequence[str]) -> DltResource:
    resource: DltResource = dlt.resource(
        function,
        name=function.__name__,
        write_disposition={"disposition": "merge", "strategy": "delete-insert"},
        columns=audit_hints(columns, key),
    )()
    return resource


def _reports(reports: Sequence[str | Report]) -> tuple[Report, ...]:
    if isinstance(reports, (str, Report)):
        reports = [reports]
    result = tuple(one if isinstance(one, Report) else Report(one) for one in reports)
    if not result:
        raise ConfigurationError("reports is empty; name at least one, such as 'balance.summary'.")
    tables: set[str] = set()
    for report in result:
        if report.table in SYSTEM_TABLES:
            raise ConfigurationError(f"report {report.report!r}: table_name {report.table!r} is a system table.")
        if report.table in tables:
            raise ConfigurationError(
                f"reports holds two for the table {report.table!r}; give one of them another table_name."
            )
        tables.add(report.table)
    return result


def _positive(value: Any, setting: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ConfigurationError(f"{setting} {value!r} must be a number above 0.")
    return value


def _account_label(account: str) -> str:
    if not account or "|" in account:
        raise ConfigurationError(f"account {account!r} must be a short label without '|', such as 'us'.")
    return account


def _account_id(account: str | None, setting: str) -> str | None:
    if account is not None and not account.startswith("acct_"):
        raise ConfigurationError(f"{setting} {account!r} must be a Stripe account id, acct_....")
    return account


def _checked_key(api_key: str) -> str:
    key = api_key.strip()
    if not key or not key.isascii() or any(character.isspace() for character in key):
        raise ConfigurationError(
            "api_key is empty or holds spaces; set a Stripe key such as rk_live_... or sk_test_...."
        )
    if key.startswith("pk_"):
        raise ConfigurationError("api_key is a publishable key (pk_...); reports need a restricted or secret key.")
    if key.startswith("sk_live_"):
        logger.warning("api_key is a full secret key; a restricted key (rk_live_...) with report permissions is safer.")
    return key
