"""The ledger: what is covered, how fresh it is, and what the files hold, whatever way it was loaded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from dlt import Pipeline

from stripe_reports_source import Report, SyncFailed, load_reports, reconcile
from stripe_reports_source.emulator import Emulator, Fault, late_charge
from stripe_reports_source.plan.catalog import load_catalog
from stripe_reports_source.plan.intervals import Cell, Span, cells, parse_zone
from stripe_reports_source.plan.loaded_cells import Listed, Stretch
from stripe_reports_source.warehouse.cell_ledger import CellLedger
from stripe_reports_source.warehouse.repeatable import RepeatableClient
from stripe_reports_source.warehouse.status import report_status
from tests.conftest import BOTH, FIRST_OF_BOTH, query, source_of
from tests.pipeline.ledger import Totals, assert_ledger, control_columns, totals_of
from tests.pipeline.test_stored import TABLE, only_usd
from tests.pipeline.truth import NEWEST
from tests.pipeline.ways import FIRST_OF_WAYS, WAYS, load

MakeEmulator = Callable[..., Emulator]
MakePipeline = Callable[..., Pipeline]
UTC = timezone.utc
PAYOUTS, SNAPSHOT = "payouts.itemized", "ending_balance_reconciliation.itemized"
REPORTS = [PAYOUTS, "balance.summary", SNAPSHOT]
RETURNED = {"currency": "kwd", "reporting_category": "payout_reversal"}
NOTHING = Report(PAYOUTS, parameters=RETURNED, table_name="returned")
BY_ID = "payout_reconciliation.by_id.itemized"


def listed(pipeline: Pipeline, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """Columns of a table's cells, in the order of their keys."""
    return query(
        pipeline, f"SELECT {', '.join(columns)} FROM report_cells WHERE table_name = %s ORDER BY interval_key", table
    )


def freshness(pipeline: Pipeline) -> dict[str, tuple[Any, ...]]:
    """From, to, available and failures of each table of the one account."""
    rows = query(
        pipeline, "SELECT table_name, loaded_from, loaded_to, available_to, open_failures FROM report_freshness"
    )
    assert len(rows) == len({table for table, *_ in rows})
    return {table: tuple(rest) for table, *rest in rows}


def checked(pipeline: Pipeline) -> datetime:
    """When the oldest stamp was made."""
    [[at]] = query(pipeline, "SELECT min(checked_at) FROM report_freshness")
    assert isinstance(at, datetime)
    return at


def packages(pipeline: Pipeline) -> int:
    [[count]] = query(pipeline, "SELECT count(*) FROM _dlt_loads")
    return int(count)


def grid_of(emulator: Emulator, zone: str = "UTC") -> list[Cell]:
    span = Span(emulator.settings.first_available, emulator.service.available_end)
    return list(cells(span, "month", parse_zone(zone)))


@FIRST_OF_BOTH
@FIRST_OF_WAYS
def test_cells_say_what_is_covered(emulator: Emulator, pipeline: Pipeline, way: str) -> None:
    zone = "America/New_York"
    load(pipeline, source_of(emulator, [*REPORTS, NOTHING], timezone=zone), way)
    grid, end = grid_of(emulator, zone), emulator.settings.available_end
    for report in REPORTS:
        rows = []
        for cell in grid:
            start = None if report == SNAPSHOT else cell.span.start
            known = load_catalog().get(NEWEST[report])
            assert known is not None
            options = {"timezone": zone} if known.accepts("timezone") else {}
            count = len(emulator.truth(NEWEST[report], start, cell.span.end, **options))
            whole = cell.whole.end
            rows.append((cell.first_day, start, cell.span.end, whole, cell.span.end == whole, count, end))
        spans = "interval_day, interval_start, interval_end, whole_end, complete, rows, data_available_end"
        table = report.replace(".", "_")
        assert listed(pipeline, table, spans) == rows
        assert {account for [account] in listed(pipeline, table, "account")} == {"default"}
    counts = [len(emulator.truth(NEWEST[PAYOUTS], cell.span.start, cell.span.end, **RETURNED)) for cell in grid]
    assert listed(pipeline, "returned", "rows") == [(count,) for count in counts]
    assert 0 in counts, "without an empty cell this says little"
    assert_ledger(pipeline, REPORTS)
    assert query(
        pipeline,
        "SELECT count(*) FROM report_cells WHERE run_id NOT IN (SELECT run_id FROM report_runs) "
        "OR _dlt_load_id NOT IN (SELECT load_id FROM _dlt_loads)",
    ) == [(0,)]


@pytest.mark.first(1)
@BOTH
def test_statements_are_written_with_the_package_that_was_loaded(emulator: Emulator, pipeline: Pipeline) -> None:
    """Straight, also where their table is made for them: no package of their own."""
    infos = load_reports(pipeline, source_of(emulator, REPORTS)).load_infos
    [[before, first]] = query(pipeline, "SELECT count(*), max(checked_at) FROM tie_out")
    loads = packages(pipeline)
    assert loads == sum(len(info.loads_ids) for info in infos)
    emulator.advance(datetime(2025, 4, 2, tzinfo=UTC))
    loaded = load_reports(pipeline, source_of(emulator, REPORTS))
    assert packages(pipeline) == loads + 1
    [newest] = loaded.load_infos[-1].loads_ids
    said = query(pipeline, "SELECT DISTINCT _dlt_load_id = %s, checked_at > %s FROM tie_out", newest, first)
    assert sorted(said) == [(False, False), (True, True)]
    [[rows, whole, identities]] = query(
        pipeline,
        "SELECT count(*), count(checked_at), count(DISTINCT (equation, account, interval_key, currency, item)) "
        "FROM tie_out",
    )
    assert rows == whole == identities > before


@pytest.mark.first(1)
@BOTH
def test_a_table_of_statements_that_was_dropped_by_hand_is_made_anew(emulator: Emulator, pipeline: Pipeline) -> None:
    """By whoever writes next, which need not be a load, that looks for what is gone."""
    load_reports(pipeline, source_of(emulator, REPORTS))
    said = query(pipeline, "SELECT equation, item, status FROM tie_out ORDER BY 1, 2, 3")
    loads = packages(pipeline)
    query(pipeline, "DROP TABLE tie_out")
    reconcile(pipeline)
    assert query(pipeline, "SELECT equation, item, status FROM tie_out ORDER BY 1, 2, 3") == said
    assert packages(pipeline) == loads
    assert not pipeline.has_pending_data


@pytest.mark.long
@BOTH
def test_a_table_of_statements_that_was_about_to_be_made_is_made(
    emulator: Emulator, make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process ends after the schema is written here, and before the table is made there."""
    pipeline = make_pipeline()
    real = RepeatableClient.update_stored_schema

    def update(self: Any, only_tables: Any = None, *more: Any, **others: Any) -> Any:
        if only_tables == ["tie_out"]:
            raise KeyboardInterrupt
        return real(self, only_tables, *more, **others)

    with monkeypatch.context() as patch:
        patch.setattr(RepeatableClient, "update_stored_schema", update)
        with pytest.raises(KeyboardInterrupt):
            load_reports(pipeline, source_of(emulator, REPORTS))
    assert "tie_out" in pipeline.schemas["stripe_reports"].tables
    for again in (make_pipeline(), make_pipeline(folder="elsewhere")):
        load_reports(again, source_of(emulator, REPORTS))
        assert ("tied",) in query(again, "SELECT DISTINCT status FROM tie_out")


@FIRST_OF_BOTH
def test_what_is_asked_of_some_cells_is_what_all_of_the_ledger_says(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    for spoil, whole in (("SELECT 1", 3), ("UPDATE _dlt_loads SET status = 1", 0)):
        query(pipeline, spoil)
        ledger = CellLedger(pipeline, TABLE, "default", {})
        first, *others = sorted(ledger.cells)
        assert ledger.listed([*others, "default|unknown|2025-01-01"]) == {key: ledger.cells[key] for key in others}
        prefix = first.removesuffix("2025-01-01")
        stretch = ledger.stretch(prefix)
        assert (
            stretch
            == Listed(cells=ledger.cells).stretch(prefix)
            == Stretch(whole, *days(ledger.cells, prefix), first_cut=date(2025, 3, 1))
        )
        assert ledger.stretch("other|") is None


def days(cells: Iterable[str], prefix: str) -> tuple[date, date]:
    """The first and the last day of cells."""
    found = [date.fromisoformat(key.removeprefix(prefix)) for key in cells]
    return min(found), max(found)


@FIRST_OF_BOTH
@FIRST_OF_WAYS
def test_a_cell_that_is_loaded_again_has_one_row(emulator: Emulator, pipeline: Pipeline, way: str) -> None:
    load(pipeline, source_of(emulator, REPORTS, lookback_days=20), way)
    first = listed(pipeline, TABLE, "complete", "run_id")
    assert [complete for complete, _ in first] == [True, True, False]
    emulator.add_transaction(
        late_charge("late", datetime(2025, 2, 20, tzinfo=UTC), emulator.service.now, "usd", 4200, 152, "late", {})
    )
    emulator.advance(datetime(2025, 4, 2, tzinfo=UTC))
    load(pipeline, source_of(emulator, REPORTS, lookback_days=20), way)
    second = listed(pipeline, TABLE, "complete", "run_id")
    assert [complete for complete, _ in second] == [True, True, True, False]
    assert second[0] == first[0]
    assert not {run for _, run in second[1:]} & {run for _, run in first}
    assert_ledger(pipeline, REPORTS)


@pytest.mark.long
@FIRST_OF_BOTH
def test_each_account_has_its_cells_and_stamps(start_emulator: MakeEmulator, make_pipeline: MakePipeline) -> None:
    accounts = {"rk_live_one": "acct_one", "rk_live_two": "acct_two"}
    emulator = start_emulator(live_keys=tuple(accounts), accounts=accounts)
    for key, account in accounts.items():
        load_reports(make_pipeline(account, account), source_of(emulator, REPORTS, api_key=key, account=account))
    reader = make_pipeline("reader", "reader")
    assert_ledger(reader, REPORTS)
    counts = query(reader, "SELECT account, count(*) FROM report_cells GROUP BY 1 ORDER BY 1")
    assert counts == [(account, 9) for account in sorted(accounts.values())]
    stamped = query(
        reader,
        "SELECT account, count(*) FROM report_freshness WHERE loaded_to = available_to GROUP BY 1 ORDER BY 1",
    )
    assert stamped == [(account, 3) for account in sorted(accounts.values())]


@pytest.mark.long
@FIRST_OF_BOTH
def test_a_report_per_payout_has_a_cell_for_each(start_emulator: MakeEmulator, pipeline: Pipeline) -> None:
    start, end = datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 5, 12, tzinfo=UTC)
    emulator = start_emulator(
        all_types=True, available_start=start, available_end=end, business_start=date(2025, 2, 20)
    )
    load_reports(pipeline, source_of(emulator, [BY_ID, PAYOUTS]))
    table = BY_ID.replace(".", "_")
    stored = query(pipeline, f"SELECT _interval_key, count(*) FROM {table} GROUP BY 1 ORDER BY 1")
    found = listed(pipeline, table, "interval_key", "rows", "interval_day", "interval_start", "complete")
    assert found == [(key, rows, None, None, True) for key, rows in stored]
    taken_over(pipeline)
    load_reports(pipeline, source_of(emulator, [BY_ID, PAYOUTS]))
    assert listed(pipeline, table, "interval_key", "rows", "interval_day", "interval_start", "complete") == found


@FIRST_OF_BOTH
@FIRST_OF_WAYS
def test_a_sync_with_nothing_new_is_stamped_without_a_package(emulator: Emulator, pipeline: Pipeline, way: str) -> None:
    load(pipeline, source_of(emulator, REPORTS), way)
    first, loads, before = checked(pipeline), packages(pipeline), freshness(pipeline)
    start, end = emulator.settings.first_available, emulator.settings.available_end
    assert before == {report.replace(".", "_"): (start, end, end, 0) for report in REPORTS}
    for _ in range(2):
        load(pipeline, source_of(emulator, REPORTS), way)
        assert checked(pipeline) > first
        first = checked(pipeline)
    assert freshness(pipeline) == before
    assert packages(pipeline) == loads
    emulator.advance(end + timedelta(days=1))
    load(pipeline, source_of(emulator, REPORTS), way)
    assert set(freshness(pipeline).values()) == {(start, *[end + timedelta(days=1)] * 2, 0)}


@FIRST_OF_BOTH
def test_only_the_reports_of_a_sync_are_stamped(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, REPORTS))
    load_reports(pipeline, source_of(emulator, REPORTS[:1]))
    stamps = dict(query(pipeline, "SELECT table_name, checked_at FROM report_freshness"))
    assert stamps[TABLE] > stamps["balance_summary"]


@pytest.mark.long
@FIRST_OF_BOTH
def test_what_never_loads_is_stamped_too(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, REPORTS[1:]))
    policy = {"attempts": 1, "retry_delay": 0.01}
    start, end = emulator.settings.first_available, emulator.settings.available_end
    emulator.add_fault(Fault("run_failed", method="POST", times=None, error="no such luck"))
    for _ in range(3):
        with pytest.raises(SyncFailed):
            load_reports(pipeline, source_of(emulator, REPORTS, run_policy=policy))
        assert freshness(pipeline) == {
            TABLE: (None, None, end, 1),
            "balance_summary": (start, end, end, 0),
            "ending_balance_reconciliation_itemized": (start, end, end, 0),
        }
    assert listed(pipeline, TABLE, "rows") == []
    emulator.clear_faults()
    load_reports(pipeline, source_of(emulator, REPORTS))
    assert freshness(pipeline)[TABLE] == (start, end, end, 0)


@pytest.mark.long
@FIRST_OF_BOTH
def test_a_backfill_stamps_nothing_backwards(emulator: Emulator, make_pipeline: MakePipeline) -> None:
    load_reports(make_pipeline(), source_of(emulator, [PAYOUTS], start_date="2025-02-01"))
    end, begun = emulator.settings.available_end, datetime(2025, 2, 1, tzinfo=UTC)
    assert freshness(make_pipeline())[TABLE] == (begun, end, end, 0)
    window = {"start_date": "2025-01-01", "end_date": "2025-02-01"}
    for pipeline in (make_pipeline(), make_pipeline("another", "another")):
        load_reports(pipeline, source_of(emulator, [PAYOUTS], **window))
        assert freshness(pipeline)[TABLE] == (datetime(2025, 1, 1, tzinfo=UTC), end, end, 0)
    assert_ledger(make_pipeline(), [PAYOUTS])


@pytest.mark.long
def test_a_backfill_again_stamps_nothing_backwards(emulator: Emulator, make_pipeline: MakePipeline) -> None:
    """It is of another pipeline than the syncs, and joins nothing that they have loaded."""
    load_reports(make_pipeline(), source_of(emulator, [PAYOUTS], start_date="2025-03-01"))
    end = emulator.settings.available_end
    for _ in range(2):
        window = {"start_date": "2025-01-01", "end_date": "2025-02-01"}
        load_reports(make_pipeline("another", "another"), source_of(emulator, [PAYOUTS], **window))
        assert freshness(make_pipeline())[TABLE] == (datetime(2025, 1, 1, tzinfo=UTC), end, end, 0)


def true_totals(emulator: Emulator, report: str, start: datetime | None, end: datetime) -> Totals:
    """The control totals of what Stripe has of an interval."""
    known, of = load_catalog().get(NEWEST[report]), control_columns(report)
    assert known is not None
    names = [column.name for column in known.columns]
    options = {"columns": names} if known.accepts("columns") else {}
    groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for values in emulator.truth(NEWEST[report], start, end, **options):
        row = dict(zip(names, values, strict=True))
        groups[row.get(str(of.currency)) or None, row.get(str(of.category)) or None].append(row)
    return {
        group: (len(rows), {name: sum((row[name] or Decimal(0) for row in rows), Decimal(0)) for name in of.amounts})
        for group, rows in groups.items()
    }


@FIRST_OF_BOTH
def test_control_totals_are_those_of_stripes_data(emulator: Emulator, pipeline: Pipeline) -> None:
    reports = [*REPORTS, "balance_change_from_activity.itemized", "payout_reconciliation.summary"]
    load_reports(pipeline, source_of(emulator, reports))
    for report in reports:
        of, start = control_columns(report), "interval_start" if report != SNAPSHOT else "NULL"
        assert of.amounts
        runs = query(
            pipeline,
            f"SELECT {start}, interval_end, rows, control_totals, file_created FROM report_runs WHERE table_name = %s",
            report.replace(".", "_"),
        )
        for begin, end, count, text, created in runs:
            found = totals_of(text)
            assert found == true_totals(emulator, report, begin, end)
            assert count == sum(rows for rows, _ in found.values())
            assert created is not None
    assert_ledger(pipeline, reports)


def taken_over(pipeline: Pipeline) -> None:
    """Leave a dataset as version 0.1.0 has made it."""
    for table in ("report_cells", "report_freshness"):
        query(pipeline, f"DROP TABLE {table}")
    for column in ("interval_key", "data_available_end", "livemode", "file_created", "control_totals", "archive_path"):
        query(pipeline, f"ALTER TABLE report_runs DROP COLUMN {column}")


@FIRST_OF_BOTH
@FIRST_OF_WAYS
def test_an_older_dataset_gets_a_ledger(emulator: Emulator, make_pipeline: MakePipeline, way: str) -> None:
    reports = [*REPORTS, NOTHING]
    columns = (
        "table_name, account, interval_key, report_type, interval_day, interval_start, interval_end, whole_end, "
        "complete, rows, run_id"
    )
    load(make_pipeline(), source_of(emulator, reports, lookback_days=20), way)
    emulator.advance(emulator.settings.available_end + timedelta(days=10))
    load(make_pipeline(), source_of(emulator, reports, lookback_days=20), way)
    every = f"SELECT {columns} FROM report_cells ORDER BY table_name, interval_key"
    cells_before, fresh = query(make_pipeline(), every), freshness(make_pipeline())
    taken_over(make_pipeline())
    load(make_pipeline(), source_of(emulator, reports, lookback_days=20), way)
    assert query(make_pipeline(), every) == cells_before
    assert any(row[-2] == 0 for row in cells_before)
    assert freshness(make_pipeline()) == fresh
    assert query(make_pipeline(), "SELECT count(*), count(data_available_end) FROM report_cells") == [(12, 0)]
    assert query(make_pipeline(), "SELECT count(control_totals) FROM report_runs") == [(0,)]
    loads = packages(make_pipeline())
    load(make_pipeline(), source_of(emulator, reports, lookback_days=20), way)
    assert packages(make_pipeline()) == loads


@pytest.mark.long
@FIRST_OF_BOTH
def test_a_failure_is_made_good_by_an_older_run_that_a_later_load_adopts(
    emulator: Emulator, pipeline: Pipeline
) -> None:
    """Its file was away for a time, and the runs that were made in its place have failed."""
    quickly: dict[str, Any] = {"run_policy": {"first_poll": 0.01, "retry_delay": 0.01}}
    gone = '{"error":{"message":"No such file"}}'
    emulator.add_fault(Fault("status", address="files", status=404, times=4, body=gone))
    emulator.add_fault(Fault("run_failed", method="POST", path="report_runs", skip=1, times=3))
    with pytest.raises(SyncFailed):
        load_reports(pipeline, source_of(emulator, [PAYOUTS], max_concurrent_runs=1, **quickly))
    assert freshness(pipeline)[TABLE][-1] == 1
    emulator.clear_faults()
    for _ in range(2):  # the second one judges by the ledger alone
        load_reports(pipeline, source_of(emulator, [PAYOUTS], **quickly))
        assert freshness(pipeline)[TABLE][-1] == 0
    january = "SELECT max(created) FROM report_runs WHERE interval_start < '2025-01-02' AND error"
    [[(adopted,)], [(failed,)]] = [query(pipeline, f"{january} {what}") for what in ("IS NULL", "IS NOT NULL")]
    assert adopted <= failed
    [status] = report_status(pipeline)
    assert status.failures == ()


@pytest.mark.long
def test_a_failure_of_one_table_does_not_cover_what_another_has_loaded_of_the_run(
    emulator: Emulator, pipeline: Pipeline
) -> None:
    """By one package, and by a later one."""
    good = f"SELECT interval_day FROM report_cells c JOIN report_runs r USING (run_id) WHERE r.table_name = '{TABLE}' "
    good += "AND r.error IS NULL AND r.rows = c.rows AND c.table_name = r.table_name"
    reports = [PAYOUTS, Report(PAYOUTS, table_name="payouts_copy", types={"currency": "bigint"})]
    for _ in range(2):
        with pytest.raises(SyncFailed) as caught:
            load_reports(pipeline, source_of(emulator, reports))
        assert len(caught.value.failures) == 1
        assert len(query(pipeline, good)) == 3
        assert sorted(query(pipeline, "SELECT table_name, open_failures FROM report_freshness")) == [
            ("payouts_copy", 1),
            (TABLE, 0),
        ]


@pytest.mark.long
@FIRST_OF_BOTH
def test_an_older_failure_is_open_until_its_interval_is_loaded(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    taken_over(pipeline)
    query(pipeline, "UPDATE report_runs SET error = 'a fault' WHERE interval_end = %s", emulator.settings.available_end)
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    assert freshness(pipeline)[TABLE][-1] == 0  # the cursor has passed it
    later = datetime(2025, 3, 12, tzinfo=UTC)
    query(pipeline, "UPDATE report_runs SET interval_end = %s WHERE error IS NOT NULL", later)
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    assert freshness(pipeline)[TABLE][-1] == 1
    emulator.advance(later)
    load_reports(pipeline, source_of(emulator, [PAYOUTS]))
    assert freshness(pipeline)[TABLE][-1] == 0


@pytest.mark.long
@FIRST_OF_BOTH
@FIRST_OF_WAYS
def test_a_load_without_the_ledger_is_made_up_for(emulator: Emulator, pipeline: Pipeline, way: str) -> None:
    load(pipeline, source_of(emulator, REPORTS), way)
    emulator.advance(datetime(2025, 4, 3, tzinfo=UTC))
    load(pipeline, source_of(emulator, REPORTS).with_resources(TABLE), way)
    load(pipeline, source_of(emulator, REPORTS), way)
    assert_cells(pipeline, REPORTS)
    assert listed(pipeline, TABLE, "complete") == [(True,), (True,), (True,), (False,)]


@pytest.mark.long
@FIRST_OF_BOTH
@WAYS
@pytest.mark.parametrize("refresh", ["drop_resources", "drop_data", "drop_sources"])
def test_a_refresh_lists_what_it_has_loaded(emulator: Emulator, pipeline: Pipeline, way: str, refresh: str) -> None:
    load(pipeline, source_of(emulator, REPORTS), way)
    load(pipeline, source_of(emulator, REPORTS, start_date="2025-02-01").with_resources(TABLE), way, refresh=refresh)
    load(pipeline, source_of(emulator, REPORTS, start_date="2025-02-01"), way)
    assert_cells(pipeline, REPORTS)
    assert listed(pipeline, TABLE, "interval_day") == [(date(2025, 2, 1),), (date(2025, 3, 1),)]
    load(pipeline, source_of(emulator, REPORTS), way, refresh=refresh)
    assert_ledger(pipeline, REPORTS)
    assert len(listed(pipeline, TABLE, "rows")) == 3


@FIRST_OF_WAYS
def test_a_report_that_is_loaded_anew_alone_by_another_grid_is_listed_by_that_alone(
    emulator: Emulator, pipeline: Pipeline, way: str
) -> None:
    load(pipeline, source_of(emulator, REPORTS, start_date="2025-02-01"), way)
    others = listed(pipeline, "balance_summary", "interval_key")
    by_week = source_of(emulator, [PAYOUTS], start_date="2025-02-01", interval="week")
    load(pipeline, by_week.with_resources(TABLE), way, refresh="drop_resources")
    if way != "load_reports":
        load(pipeline, source_of(emulator, [PAYOUTS], start_date="2025-02-01", interval="week"), way)
    assert {key.split("|")[2] for (key,) in listed(pipeline, TABLE, "interval_key")} == {"week"}
    assert len(listed(pipeline, TABLE, "interval_key")) == 7
    assert listed(pipeline, "balance_summary", "interval_key") == others
    assert reconcile(pipeline).ok


def assert_cells(pipeline: Pipeline, reports: list[str]) -> None:
    """`report_cells` says what there is; runs of a load without the ledger have no totals."""
    for report in reports:
        table = report.replace(".", "_")
        stored = query(
            pipeline, f"SELECT _interval_key, max(_report_run_id), count(*) FROM {table} GROUP BY 1 ORDER BY 1"
        )
        assert [row for row in listed(pipeline, table, "interval_key", "run_id", "rows") if row[-1]] == stored


@pytest.mark.long
@FIRST_OF_BOTH
@pytest.mark.parametrize("folder", ["pipelines", "another"])
def test_a_report_that_was_dropped_by_hand_is_listed_as_it_is_loaded(
    emulator: Emulator, make_pipeline: MakePipeline, folder: str
) -> None:
    load_reports(make_pipeline(), source_of(emulator, REPORTS))
    query(make_pipeline(), f"DROP TABLE {TABLE}")
    load_reports(make_pipeline(folder=folder), source_of(emulator, REPORTS, start_date="2025-02-01"), max_cells=1)
    assert_ledger(make_pipeline(), REPORTS)
    assert len(listed(make_pipeline(), TABLE, "rows")) == 2


@pytest.mark.long
@FIRST_OF_BOTH
def test_rows_of_the_users_own_steps_are_counted(emulator: Emulator, pipeline: Pipeline) -> None:
    def altered() -> Any:
        source = source_of(emulator, REPORTS)
        source.resources[TABLE].add_map(only_usd)
        return source

    load_reports(pipeline, altered())
    assert_cells(pipeline, REPORTS)
    emulator.advance(emulator.settings.available_end + timedelta(days=1))
    pipeline.run(altered())
    assert [rows for [rows] in listed(pipeline, TABLE, "rows")].count(None) == 1  # which nothing has counted
    pipeline.run(altered())
    assert_cells(pipeline, REPORTS)
    loads = packages(pipeline)
    pipeline.run(altered())
    assert packages(pipeline) == loads
