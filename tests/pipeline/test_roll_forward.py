"""The balance rolled forward, against the business's own books: every destination, grid, zone and account."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
import sqlglot
from dlt import Pipeline

from stripe_reports_source import ConfigurationError, Report, load_reports, reconcile
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.plan.intervals import parse_zone, start_of_day
from stripe_reports_source.reconcile.equations import read_sql
from stripe_reports_source.reconcile.inputs import INPUTS, ReportTable
from stripe_reports_source.reconcile.queries import in_dialect
from stripe_reports_source.reconcile.roll_forward import Line, RollForward
from stripe_reports_source.reconcile.window_query import window_query
from stripe_reports_source.reconcile.windows import Window
from tests.conftest import FIRST_OF_BOTH, source_of

UTC = timezone.utc
BOOKS = (
    *("balance.summary", "balance_change_from_activity.itemized", "balance_change_from_activity.summary"),
    *("payouts.itemized", "payouts.summary", "payout_reconciliation.itemized"),
    "ending_balance_reconciliation.itemized",
)
MOVES = (("activity", "balance_change_from_activity.itemized.3", 1), ("payouts", "payouts.itemized.3", -1))


def lines_of(forward: RollForward) -> dict[tuple[str, str], Line]:
    return {(line.line, line.category): line for line in forward.lines}


def truth(emulator: Emulator, report: str, columns: list[str], start: datetime | None, end: datetime) -> list[Any]:
    return emulator.truth(report, start, end, columns=columns)


def assert_is_the_business(emulator: Emulator, forward: RollForward) -> None:
    """Each line is what the business's books say, and nothing is off."""
    start, end = forward.window.start, forward.window.end
    found = lines_of(forward)
    for line, report, sign in (
        ("activity", "balance_change_from_activity.itemized.3", 1),
        ("payouts", "payouts.itemized.3", -1),
    ):
        rows: Counter[str] = Counter()
        net: dict[str, Decimal] = defaultdict(Decimal)
        for category, currency, amount in truth(
            emulator, report, ["reporting_category", "currency", "net"], start, end
        ):
            if currency == forward.currency:
                rows[category] += 1
                net[category] += sign * Decimal(amount)
        assert {key[1]: (about.rows, about.net) for key, about in found.items() if key[0] == line} == {
            category: (rows[category], net[category]) for category in rows
        }
        assert found[f"{line}_total", ""].net == sum(net.values())
    balance = {
        category: amount
        for category, currency, amount in truth(
            emulator, "balance.summary.1", ["category", "currency", "net_amount"], start, end
        )
        if currency == forward.currency
    }
    assert found["opening", ""].net == balance["starting_balance"]
    assert found["closing", ""].net == found["closing", ""].stripe_net == balance["ending_balance"]
    assert found["unsettled", ""].net == balance["ending_balance"]
    assert {about.difference for about in forward.lines} <= {Decimal(0), None}


@pytest.mark.long
def test_whether_a_payout_was_paid_again_is_known_where_what_it_settles_is_loaded(
    start_emulator: Callable[..., Emulator], pipeline: Pipeline
) -> None:
    stripe = start_emulator(scale=0.05, available_end=datetime(2025, 4, 1, tzinfo=UTC), pending_polls=0, seed=7)
    without = ["balance.summary", "payouts.itemized"]

    def returned() -> list[tuple[bool, bool]]:
        forwards = reconcile(pipeline, since=date(2025, 1, 1)).roll_forward
        return [(back.again_known, back.paid_again_by is not None) for each in forwards for back in each.returned]

    load_reports(pipeline, source_of(stripe, without))
    assert set(returned()) == {(False, False)}
    load_reports(pipeline, source_of(stripe, [*without, "payout_reconciliation.itemized"]))
    assert (True, True) in returned()
    assert all(known for known, _ in returned())


@FIRST_OF_BOTH
def test_the_last_complete_month_and_all_since_a_day(emulator: Emulator, pipeline: Pipeline) -> None:
    load_reports(pipeline, source_of(emulator, BOOKS))
    month = reconcile(pipeline).roll_forward
    assert {forward.currency for forward in month} >= {"usd", "eur", "jpy"}
    for forward in month:
        assert (forward.window.first_day, forward.window.last_day) == (date(2025, 2, 1), date(2025, 2, 28))
        assert forward.paid_out is not None
        assert forward.paid_out.equal == forward.paid_out.payouts > 0
        assert_is_the_business(emulator, forward)
    since = reconcile(pipeline, since=date(2025, 1, 1)).roll_forward
    for forward in since:
        assert (forward.window.start, forward.window.end) == (
            datetime(2025, 1, 1, tzinfo=UTC),
            datetime(2025, 3, 1, tzinfo=UTC),
        )
        assert_is_the_business(emulator, forward)
        assert lines_of(forward)["opening", ""].difference is None
    with pytest.raises(ConfigurationError, match="set since to 2025-03-01, on which the last one begins"):
        reconcile(pipeline, since=date(2025, 4, 1))


@pytest.mark.long
@pytest.mark.parametrize(
    ("interval", "zone"), [("day", "Europe/Berlin"), ("week", "UTC"), ("day", "Australia/Lord_Howe")]
)
def test_other_grids_and_zones(emulator: Emulator, pipeline: Pipeline, interval: str, zone: str) -> None:
    load_reports(
        pipeline, source_of(emulator, BOOKS, interval=interval, timezone=zone, start_date="2025-01-20"), max_cells=1000
    )
    found = reconcile(pipeline).roll_forward
    assert found
    for forward in found:
        assert forward.window.complete
        assert forward.window.first_day == (date(2025, 2, 3) if interval == "week" else date(2025, 2, 1))
        assert forward.window.end == start_of_day(date(2025, 3, 3 if interval == "week" else 1), parse_zone(zone))
        assert_is_the_business(emulator, forward)


def test_what_is_not_loaded_is_not_zero(emulator: Emulator, pipeline: Pipeline) -> None:
    reports = [
        "balance.summary",
        Report("balance_change_from_activity.itemized", columns=["balance_transaction_id", "net"]),
    ]
    load_reports(pipeline, source_of(emulator, [*reports, "payouts.itemized"]))
    for forward in reconcile(pipeline).roll_forward:
        found = lines_of(forward)
        assert forward.window.cell_before is not None
        total, closing, left = (found[name, ""] for name in ("activity_total", "closing", "unsettled"))
        assert (total.net, total.difference) == (None, None)
        assert total.stripe_net is not None
        assert (closing.net, closing.difference) == (None, None)
        assert (left.rows, left.net, left.difference) == (None, None, None)
        assert found["payouts_total", ""].difference == 0
        assert forward.paid_out is None or forward.paid_out.equal is None


@pytest.mark.long
def test_one_account_at_a_time(start_emulator: Callable[..., Emulator], make_pipeline: Callable[..., Pipeline]) -> None:
    for label, seed in (("eu", 7), ("us", 8)):
        emulator = start_emulator(seed=seed)
        load_reports(make_pipeline(label), source_of(emulator, BOOKS, account=label))
        found = reconcile(make_pipeline(label), accounts=[label]).roll_forward
        assert {forward.account for forward in found} == {label}
        for forward in found:
            assert_is_the_business(emulator, forward)
    both = [forward.account for forward in reconcile(make_pipeline("us")).roll_forward]
    assert both == sorted(both)
    assert set(both) == {"eu", "us"}


@pytest.mark.long
def test_a_payout_that_failed_is_told_with_the_one_that_paid_it_again(
    start_emulator: Callable[..., Emulator], pipeline: Pipeline
) -> None:
    emulator = start_emulator(scale=1.0)
    load_reports(pipeline, source_of(emulator, BOOKS))
    found = [
        payout for forward in reconcile(pipeline, since=date(2025, 1, 1)).roll_forward for payout in forward.returned
    ]
    back = {payout.id: payout for payout in emulator.ledger.payouts if payout.reversed_at is not None}
    told = {payout.payout: payout for payout in found}
    assert told
    assert set(told) <= set(back)
    for payout in found:
        assert payout.returned_at == back[payout.payout].reversed_at
        again = [
            other.id
            for other in emulator.ledger.payouts
            if any(settled.source_id == payout.payout for settled in other.settles)
            and other.effective < emulator.settings.available_end
        ]
        assert payout.paid_again_by == next(iter(again), None)


@pytest.mark.first(6)
@pytest.mark.parametrize("dialect", ["postgres", "snowflake", "bigquery", "redshift", "databricks", "duckdb"])
@pytest.mark.parametrize("file", ["roll_forward", "payouts_paid", "payouts_returned"])
@pytest.mark.parametrize("before", ["it's 100% {ours}|month|UTC|2025-01-01", None])
def test_its_queries_are_read_again_in_other_dialects(file: str, dialect: str, before: str | None) -> None:
    cell = "it's 100% {ours}|month|UTC|2025-02-01"
    january, february = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)
    window = Window(
        "it's 100%", "UTC", (cell,), february.date(), february.date(), february, february, january.date(), before, True,
        frozenset(INPUTS),
    )  # fmt: skip
    tables = {
        name: [ReportTable(name, {field.columns[0]: field.type for field in input_.fields.values()})]
        for name, input_ in INPUTS.items()
    }
    query = window_query(read_sql(file), INPUTS, tables, window)
    quote = "`" if dialect in ("bigquery", "databricks") else '"'
    sql = in_dialect(query, dialect, lambda name: f"{quote}{name}{quote}", lambda name: f"{quote}{name}{quote}")
    assert "column:" not in sql
    assert sqlglot.parse_one(sql, read=dialect).find(sqlglot.exp.Command) is None
