"""The past moves at Stripe, beyond any lookback: it is noticed, found in few runs, and loaded again."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from dlt import Pipeline
from dlt.extract import DltSource

from stripe_reports_source import (
    ConfigurationError,
    Loaded,
    Reconciliation,
    Report,
    SyncFailed,
    load_reports,
    reconcile,
)
from stripe_reports_source.emulator import Emulator, late_charge
from stripe_reports_source.emulator.faults import Fault
from stripe_reports_source.emulator.transactions import Transaction
from tests.conftest import query, source_of
from tests.reconcile.worlds import SIX

pytestmark = pytest.mark.long

UTC = timezone.utc
TWO = ("balance.summary", "balance_change_from_activity.itemized")
Start = Callable[..., Emulator]


def utc(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


class World:
    """A business, a dataset of it, and the runs that were made of late."""

    def __init__(self, emulator: Emulator, pipeline: Pipeline, reports: Sequence[Any] = SIX, **settings: Any) -> None:
        self.emulator = emulator
        self.pipeline = pipeline
        self._reports = reports
        self._settings = {"max_concurrent_runs": 8, **settings}
        self._seen = 0
        self.loaded = load_reports(pipeline, self.source(), max_cells=2000)
        self.runs()

    def source(self) -> DltSource:
        return source_of(self.emulator, list(self._reports), **self._settings)

    def runs(self) -> Counter[tuple[str, datetime]]:
        """The runs since the last call: of which report, and where their interval ends."""
        found = self.emulator.runs[self._seen :]
        self._seen += len(found)
        return Counter(
            (run.report_type.rpartition(".")[0], datetime.fromtimestamp(int(run.parameters["interval_end"]), UTC))
            for run in found
        )

    def sync(self, days: float = 1, **how: Any) -> Loaded:
        """Stripe has data of some more days, which are loaded."""
        self.emulator.advance(self.emulator.service.available_end + timedelta(days=days))
        return load_reports(self.pipeline, self.source(), **how)

    def refresh(self, **how: Any) -> Reconciliation:
        return reconcile(self.pipeline, refresh=self.source(), **how)

    def refresh_wholly(self) -> Reconciliation:
        """As often as there is anything left to load."""
        while True:
            found = self.refresh()
            if not self.runs():
                return found

    def late(self, created: datetime, gross: int = 12_345, currency: str = "usd") -> str:
        """A charge that is recorded only now."""
        name = f"late{len(self.emulator.ledger.transactions)}"
        now = self.emulator.service.now
        self.emulator.add_transaction(late_charge(name, created, now, currency, gross, 45, "Late", {}))
        return f"txn_{name}"

    def charge(self, month: int) -> Transaction:
        """A charge in the middle of a month of the first year."""
        return next(
            made
            for made in self.emulator.ledger.transactions
            if (made.created.month, made.category, made.currency) == (month, "charge", "usd") and made.created.day > 9
        )


def assert_as_stripe_says(world: World, account: str = "default", *, without: str = "") -> None:
    """Every cell that is loaded holds what Stripe says of it now, row for row; but for one table."""
    cells = query(
        world.pipeline,
        "SELECT table_name, report_type, interval_key, interval_start, interval_end FROM report_cells "
        "WHERE account = %s",
        account,
    )
    assert cells
    for table in {cell[0] for cell in cells} - {without}:
        columns = query(
            world.pipeline,
            "SELECT column_name, stripe_header FROM report_columns WHERE table_name = %s AND stripe_header IS NOT NULL",
            table,
        )
        listed = ", ".join(f'"{name}"' for name, _ in columns)
        found: dict[str, Counter[tuple[Any, ...]]] = {}
        for key, *row in query(world.pipeline, f"SELECT _interval_key, {listed} FROM {table}"):
            found.setdefault(key, Counter())[tuple(row)] += 1
        for _, name, key, start, end in (cell for cell in cells if cell[0] == table):
            truth = world.emulator.truth(name, start, end, columns=[header for _, header in columns])
            wanted, stored = Counter(truth), found.get(key, Counter())
            assert stored == wanted, f"{key}: {(stored - wanted).most_common(2)} for {(wanted - stored).most_common(2)}"


def told(found: Reconciliation | None, *statuses: str) -> list[tuple[str, str, str]]:
    """Equation, month and item of the statements of some statuses."""
    assert found is not None
    return sorted(
        (statement.equation, f"{statement.interval_day:%Y-%m}", statement.item)
        for statement in found.statements
        if statement.status in statuses
    )


BAD = ("variance", "stale")


@pytest.fixture
def five_years(start_emulator: Start, pipeline: Pipeline) -> World:
    emulator = start_emulator(
        scale=0.01, business_start=date(2020, 1, 1), available_end=utc(2024, 12, 10, 12), traits=(), pending_polls=0
    )
    return World(emulator, pipeline)


@pytest.fixture
def nine_months(start_emulator: Start, pipeline: Pipeline) -> World:
    emulator = start_emulator(scale=0.05, available_end=utc(2025, 9, 10, 12), traits=(), pending_polls=0)
    return World(emulator, pipeline)


def test_one_month_of_sixty_is_healed_in_25_runs(five_years: World) -> None:
    """A row of June 2022 that Stripe records two and a half years later, and no payout has settled yet."""
    world = five_years
    assert world.loaded.cells == 360
    world.late(utc(2022, 6, 15, 7))
    alarm = world.sync().reconciliation
    assert alarm is not None
    assert not alarm.ok
    assert "opening_equals_closing_before" in {statement.equation for statement in alarm.variances}
    assert len(world.runs()) == 6
    healed = world.refresh()
    runs = world.runs()
    assert healed.ok, healed.lines()
    assert runs.total() <= 25
    july = utc(2022, 7, 1)
    assert {report for report, end in runs if end == july} == {
        "balance.summary",
        "balance_change_from_activity.itemized",
        "balance_change_from_activity.summary",
        "ending_balance_reconciliation.itemized",
    }
    others = {report for report, end in runs if end != july}
    assert others == {"balance.summary", "ending_balance_reconciliation.itemized"}
    assert sum(report == "balance.summary" and end <= july for report, end in runs) <= 6
    # what was left behind says by how much it is off, and is no alarm at the next sync either
    behind = [statement for statement in healed.statements if statement.status == "explained"]
    assert {abs(statement.difference or 0) for statement in behind if statement.equation in _CHAINED} == {123}
    assert world.sync().reconciliation.ok  # type: ignore[union-attr]
    world.runs()
    assert world.refresh_wholly().ok
    assert_as_stripe_says(world)
    assert told(world.refresh(), *BAD, "pending") == []


_CHAINED = ("opening_equals_closing_before", "clearing_rolls_forward")


def test_two_months_are_found_and_a_sync_can_do_it_at_once(start_emulator: Start, pipeline: Pipeline) -> None:
    emulator = start_emulator(
        scale=0.02, business_start=date(2023, 1, 1), available_end=utc(2024, 12, 10, 12), traits=(), pending_polls=0
    )
    world = World(emulator, pipeline, TWO)
    world.late(utc(2023, 4, 3), 10_000)
    world.late(utc(2024, 2, 28, 23), 777, "eur")
    loaded = world.sync(reconcile="refresh")
    runs = world.runs()
    assert loaded.reconciliation is not None
    assert loaded.reconciliation.ok, loaded.reconciliation.lines()
    assert {end for report, end in runs if report == TWO[1]} == {
        utc(2023, 5, 1),
        utc(2024, 3, 1),
        emulator.service.available_end,
    }
    assert runs.total() <= 25
    assert world.refresh_wholly().ok
    assert_as_stripe_says(world)


def test_of_107_days_two_are_found_in_about_2_log2_runs(start_emulator: Start, pipeline: Pipeline) -> None:
    emulator = start_emulator(
        scale=0.1, business_start=date(2025, 1, 1), available_end=utc(2025, 4, 17), traits=(), pending_polls=0
    )
    world = World(emulator, pipeline, ("balance.summary", TWO[1]), interval="day")
    assert world.loaded.cells == 2 * 106
    world.late(utc(2025, 2, 3, 1))
    world.late(utc(2025, 3, 9, 23))
    world.sync()
    world.runs()
    assert world.refresh().ok
    runs = world.runs()
    assert {end for report, end in runs if report == TWO[1]} == {utc(2025, 2, 4), utc(2025, 3, 10)}
    behind_left = [cell for cell in runs if cell[0] == TWO[0] and cell[1] > utc(2025, 4, 1)]
    assert len(runs) - 2 - len(behind_left) <= 2 * 7
    assert runs.total() <= 25


def test_the_intervals_of_one_account_are_not_those_of_another(start_emulator: Start, pipeline: Pipeline) -> None:
    settings: dict[str, Any] = {"scale": 0.03, "available_end": utc(2025, 9, 10, 12), "traits": (), "pending_polls": 0}
    shop = World(start_emulator(seed=1, **settings), pipeline, SIX, account="shop")
    store = World(start_emulator(seed=2, **settings), pipeline, SIX, account="store")
    shop.late(utc(2025, 3, 3))
    shop.sync()
    store.sync()
    shop.runs(), store.runs()
    assert told(store.refresh(), *BAD) != []  # the other account's, which this source cannot load
    assert not store.runs()
    assert shop.refresh().ok
    assert shop.runs()
    assert not store.runs()
    shop.refresh_wholly()
    assert_as_stripe_says(shop, "shop")
    assert_as_stripe_says(store, "store")


def test_both_tables_of_a_report_are_healed(start_emulator: Start, pipeline: Pipeline) -> None:
    """A look at the dataset compares the rows of the first one alone."""
    twice = Report(TWO[1], table_name="activity_small", columns="default")
    emulator = start_emulator(scale=0.05, available_end=utc(2025, 3, 10, 12), traits=(), pending_polls=0)
    world = World(emulator, pipeline, ("payouts.itemized", *TWO, twice), lookback_days=0)
    charge = world.charge(1)
    emulator.restate_transaction(charge.id, gross=charge.gross + 700, payout_stays=True)
    world.sync()
    world.refresh_wholly()
    assert_as_stripe_says(world)
    assert world.sync(reconcile="refresh").cells == 4  # it is not loaded again and again


def test_a_payout_that_arrives_months_later_is_found(nine_months: World) -> None:
    world = nine_months
    payout = next(paid for paid in world.emulator.ledger.payouts if paid.effective > utc(2025, 4, 20))
    world.emulator.move_payout(payout.id, utc(2025, 9, 11))
    alarm = world.sync().reconciliation
    assert ("opening_equals_closing_before", "2025-09", "") in told(alarm, *BAD)
    assert world.refresh_wholly().ok
    assert_as_stripe_says(world)


@pytest.mark.parametrize("change", ["restated with its payout", "taken back", "created earlier", "paid next month"])
def test_moves_that_cancel_are_seen_by_a_pass_over_the_summaries(nine_months: World, change: str) -> None:
    world = nine_months
    charge = world.charge(4)
    payout = next(paid for paid in world.emulator.ledger.payouts if utc(2025, 4, 20) < paid.effective)
    if change == "restated with its payout":
        world.emulator.restate_transaction(charge.id, gross=charge.gross + 700)
    elif change == "taken back":
        world.emulator.withdraw_transaction(charge.id)
    elif change == "created earlier":
        world.emulator.restate_transaction(charge.id, created=charge.created - timedelta(days=20))
    else:
        world.emulator.move_payout(payout.id, utc(2025, 5, 3))
    assert world.sync().reconciliation.ok  # type: ignore[union-attr]
    assert world.refresh().ok
    assert world.runs().total() == 6  # the sync's
    assert world.refresh(months=3).ok
    assert world.runs() == Counter(
        {
            (report, end): 1
            for report in ("balance.summary", "balance_change_from_activity.summary")
            for end in (utc(2025, 8, 1), utc(2025, 9, 1))
        }
    )
    assert world.refresh(months="all").ok
    assert world.runs().total() < 2 * 9 + 6 * 2
    # no equation compares the times that stand beside what a payout has settled
    assert_as_stripe_says(world, without="payout_reconciliation_itemized" if change == "created earlier" else "")


def test_what_stripe_itself_does_not_tie_ends_as_one_payout(nine_months: World) -> None:
    world = nine_months
    charge = world.charge(4)
    payout = world.emulator.ledger.settled_by[charge.id]
    world.emulator.restate_transaction(charge.id, gross=charge.gross + 700, payout_stays=True)
    world.sync()
    found = world.refresh_wholly()
    assert told(found, *BAD) == [("payout_equals_its_rows", "2025-04", payout.id)]
    assert ("unsettled_rows_equal_closing", "2025-06", "") in told(found, "explained")
    assert_as_stripe_says(world)
    world.sync(reconcile="refresh")
    assert world.runs().total() == 6  # it is not loaded again and again


def test_an_interval_that_fails_is_named_and_healed_by_the_next_call(nine_months: World) -> None:
    world = nine_months
    world.late(utc(2025, 3, 3))
    world.sync()
    world.runs()
    lost = Fault("run_failed", method="POST", path="report_runs", skip=4, times=None)
    world.emulator.add_fault(lost)
    with pytest.raises(SyncFailed):
        world.refresh()
    world.emulator.clear_faults()
    assert world.refresh_wholly().ok
    assert_as_stripe_says(world)


_KILLED = """
import os, sys
import dlt
from stripe_reports_source import reconcile, stripe_reports

def killed(event):
    if event.kind == "loaded" and event.table == "balance_change_from_activity_itemized":
        os._exit(9)

folder, api, files, reports = sys.argv[1:]
made = dlt.destinations.duckdb(folder + "/reports.duckdb")
pipeline = dlt.pipeline("reports", destination=made, dataset_name="stripe", pipelines_dir=folder + "/pipelines")
source = stripe_reports(reports.split(), api_key="rk_live_demo", api_base_url=api, files_base_url=files)
reconcile(pipeline, refresh=source, on_event=killed)
"""


def test_a_kill_in_the_middle_is_gone_on_with(nine_months: World, tmp_path: Path) -> None:
    world = nine_months
    world.late(utc(2025, 3, 3))
    world.sync()
    arguments = [str(tmp_path), world.emulator.api_url, world.emulator.files_url, " ".join(SIX)]
    died = subprocess.run([sys.executable, "-c", _KILLED, *arguments], check=False, cwd=tmp_path)
    assert died.returncode == 9
    before = world.runs()
    assert world.refresh().ok
    assert not before & world.runs()  # what was run is adopted
    world.refresh_wholly()
    assert_as_stripe_says(world)


def test_another_refresh_to_the_same_instant_is_healed_too(nine_months: World) -> None:
    """The data is no newer by its end, so that nothing tells which cells are older."""
    world = nine_months
    world.late(utc(2025, 3, 3))
    world.sync(0)
    world.refresh_wholly()
    row = "SELECT count(*) FROM balance_change_from_activity_itemized WHERE balance_transaction_id LIKE 'txn_late%%'"
    assert query(world.pipeline, row) == [(1,)]


def test_activity_is_loaded_again_when_its_payouts_are(start_emulator: Start, pipeline: Pipeline) -> None:
    """Without any lookback the last rows of a month would never name the payouts of the next one."""
    emulator = start_emulator(
        scale=0.1, business_start=date(2025, 1, 20), available_end=utc(2025, 2, 1), traits=(), pending_polls=0
    )
    reports = ("payouts.itemized", "payout_reconciliation.itemized", TWO[1])
    world = World(emulator, pipeline, reports, lookback_days=0)
    again: Counter[int] = Counter()
    for day in range(1, 7):
        found = world.sync().reconciliation
        assert told(found, *BAD) == []
        runs = world.runs()
        again[day] = runs.pop((TWO[1], utc(2025, 2, 1)), 0)
        assert runs.total() == 3
    assert 1 <= again.total() <= 3
    assert not any(again[day] for day in range(4, 7))  # nothing more is settled of January
    unnamed = "SELECT count(*) FROM balance_change_from_activity_itemized WHERE automatic_payout_id IS NULL"
    settled = "SELECT balance_transaction_id FROM payout_reconciliation_itemized"
    assert query(pipeline, f"{unnamed} AND balance_transaction_id IN ({settled})") == [(0,)]


def test_activity_that_stripe_never_fills_in_is_not_loaded_again_and_again(nine_months: World) -> None:
    world = nine_months
    charge = world.charge(4)
    table, source = "balance_change_from_activity_itemized", charge.source_id
    with world.pipeline.sql_client() as client:
        client.execute_sql(f"UPDATE {table} SET automatic_payout_id = NULL WHERE source_id = '{source}'")
    assert not reconcile(world.pipeline).ok
    world.sync()
    assert world.runs().total() == 6


def test_cells_whose_rows_were_changed_in_the_dataset_are_loaded_again(nine_months: World) -> None:
    world = nine_months
    with world.pipeline.sql_client() as client:
        client.execute_sql("DELETE FROM payouts_itemized WHERE _interval_day = DATE '2025-02-01'")
    assert not reconcile(world.pipeline).ok
    assert world.refresh().ok
    assert not world.runs()  # Stripe still has the file
    assert_as_stripe_says(world)


def test_months_are_refused_without_a_source(nine_months: World) -> None:
    with pytest.raises(ConfigurationError, match="months 3 must be a number of months"):
        reconcile(nine_months.pipeline, months=3)
    with pytest.raises(ConfigurationError, match="months 0 must be"):
        nine_months.refresh(months=0)
