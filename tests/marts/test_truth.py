"""The marts are the emulator's own ledger, to the digit: twelve months, four currencies, payouts that fail."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt import Pipeline

from stripe_reports_source.emulator.traits import TRAITS
from stripe_reports_source.marts import MARTS, Marts, create_views, open_marts, read_mart
from tests.conftest import query
from tests.marts.truth import Truth
from tests.reconcile.worlds import SIX, Account, World, Worlds

JANUARY = datetime(2026, 1, 10, 12, tzinfo=timezone.utc)
FEBRUARY = datetime(2025, 2, 20, 12, tzinfo=timezone.utc)
YEAR = World(
    "marts-year",
    (
        Account("shop", SIX, {}, {"traits": tuple(TRAITS)}),
        Account("it's 100%", SIX, {"timezone": "America/New_York"}),
    ),
    end=JANUARY,
    scale=0.04,
)
WEEKS = World(
    "marts-weeks",
    (Account("it's 100%", SIX, {"timezone": "America/New_York"}, {"traits": tuple(TRAITS)}),),
    end=FEBRUARY,
    scale=0.08,
)

Columns = tuple[str, ...]
ROLLFORWARD: Columns = (
    *("account", "month", "currency", "category", "opening", "gross", "fee", "net", "payouts", "closing"),
    *("difference", "row_count"),
)
DAILY: Columns = ("account", "day", "currency", "opening", "gross", "fee", "net", "payouts", "closing")
PAYOUTS: Columns = (
    *("account", "payout_id", "currency", "amount", "net", "effective_at_utc", "reversed_at_utc", "reversal_net"),
    *("retry_of", "retried_by", "row_count", "rows_net"),
)
AMOUNTS: Columns = ("transaction_id", "currency", "category", "gross", "fee", "net", "created_utc")
FEES: Columns = ("account", "transaction_id", "day", "currency", "category", "fee", "taken_from")
BY_CATEGORY: Columns = (*("account", "month", "currency", "section", "category", "row_count", "gross", "fee", "net"),)


def chosen(marts: Marts, name: str, columns: Columns) -> Counter[tuple[Any, ...]]:
    """The rows of a mart, with some of its columns."""
    return Counter(tuple(row[column] for column in columns) for row in marts.rows(name).dicts())


def differing(found: Counter[tuple[Any, ...]], wanted: set[tuple[Any, ...]]) -> list[str]:
    """Rows that are missing or too many, the first of each."""
    missing, extra = Counter(wanted) - found, found - Counter(wanted)
    assert wanted, "there is nothing to compare"
    return [
        f"{sum(rows.values())} {what}, such as {sorted(map(str, rows))[:3]}"
        for what, rows in (("missing", missing), ("too many", extra))
        if rows
    ]


def assert_true(marts: Marts, world: World) -> None:
    """Every mart says what the ledgers of the accounts say."""
    assert_equal(marts, [Truth.of(world, place) for place in range(len(world.accounts))])


def assert_equal(marts: Marts, truths: list[Truth]) -> None:
    """Every mart says what these books say, and nothing else."""

    def compare(name: str, columns: Columns, rows: list[set[tuple[Any, ...]]]) -> None:
        assert differing(chosen(marts, name, columns), set().union(*rows)) == [], name

    compare("stripe_balance_rollforward", ROLLFORWARD, [truth.rollforward() for truth in truths])
    compare("stripe_daily_balance", DAILY, [truth.daily() for truth in truths])
    compare("stripe_payouts", PAYOUTS, [truth.payout_rows() for truth in truths])
    of_payouts = ("account", "payout_id", *AMOUNTS)
    compare("stripe_payout_transactions", of_payouts, [truth.payout_transactions() for truth in truths])
    compare("stripe_unsettled_transactions", ("account", *AMOUNTS), [truth.unsettled() for truth in truths])
    compare("stripe_fees", FEES, [truth.fees() for truth in truths])
    compare("stripe_activity_by_category", BY_CATEGORY, [truth.by_category() for truth in truths])
    assert_journal(marts, truths)
    of_tie_out = ("equation", "account", "interval_key", "currency", "item", "difference", "status", "reason")
    not_tied = marts.answer(f"SELECT {', '.join(of_tie_out)} FROM {{tie_out}} WHERE status <> 'tied'")
    assert chosen(marts, "stripe_open_items", of_tie_out) == Counter(not_tied)
    open_ones = [row for row in marts.rows("stripe_open_items").dicts() if row["is_open"]]
    assert {row["status"] for row in open_ones} <= {"variance", "stale", "pending"}


def assert_journal(marts: Marts, truths: list[Truth]) -> None:
    """Journal lines balance, and their Stripe balance is the ledger's, each day."""
    left: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    moved: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for line in marts.rows("stripe_journal_lines").dicts():
        assert line["debit"] >= 0
        assert line["credit"] >= 0
        assert (line["debit"] == 0) != (line["credit"] == 0)
        assert line["ledger_account"] != "Stripe suspense", line
        amount = line["debit"] - line["credit"]
        for grain in ("journal_date", "month"):
            left[line["account"], line[grain], line["currency"], grain] += amount
        left[line["account"], line["journal_date"], line["currency"], line["source"]] += amount
        if line["ledger_account"] == "Stripe balance":
            moved[line["account"], line["journal_date"], line["currency"]] += amount
    assert not any(left.values())
    wanted: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for truth in truths:
        for move in truth.movements:
            wanted[truth.account, move.day, move.currency] += move.net
    assert {key: amount for key, amount in moved.items() if amount} == {
        key: amount for key, amount in wanted.items() if amount
    }


@pytest.fixture(scope="module")
def year(worlds: Worlds, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Twelve months in DuckDB."""
    return worlds.copy(YEAR, tmp_path_factory.mktemp("year"))


def test_twelve_months_are_the_ledgers_own(year: Pipeline) -> None:
    with open_marts(year) as marts:
        assert_true(marts, YEAR)
        truth = Truth.of(YEAR, 0)
        assert len(list(truth.months())) >= 13
        assert len(truth.currencies(truth.day(truth.end))) == 4
        statuses = Counter(row["status"] for row in marts.rows("stripe_payouts").dicts())
        assert statuses["failed"] == sum(len(Truth.of(YEAR, place).returns) for place in (0, 1)) > 10


def test_every_key_tells_rows_apart_and_no_amount_is_a_float(year: Pipeline) -> None:
    with open_marts(year) as marts:
        for mart in MARTS.values():
            found = marts.rows(mart.name)
            assert found.notes == ()
            assert found.columns == tuple(column.name for column in mart.columns)
            keys = [tuple(row[name] for name in mart.key) for row in found.dicts()]
            assert keys == sorted(set(keys)), mart.name
            kinds = {"decimal": Decimal, "bigint": int, "text": str, "bool": bool}
            for column, values in zip(mart.columns, zip(*found.rows, strict=True), strict=True):
                kind = kinds.get(column.type.kind)
                if kind is not None:
                    assert {type(value) for value in values} <= {kind, type(None)}, (mart.name, column.name)


def test_sums_over_a_roll_forward_are_right(year: Pipeline) -> None:
    with open_marts(year) as marts:
        sums = marts.answer(
            "SELECT SUM(opening) + SUM(net) + SUM(payouts) + SUM(difference) - SUM(closing), SUM(ABS(difference)), "
            "COUNT(*) FROM {stripe_balance_rollforward} GROUP BY account, month, currency"
        )
        assert len(sums) > 80
        assert {(left, differs) for left, differs, _ in sums} == {(0, 0)}
        joined = marts.answer(
            "SELECT COUNT(*) FROM {stripe_balance_rollforward} AS this JOIN {stripe_balance_rollforward} AS later "
            "ON later.account = this.account AND later.currency = this.currency "
            "AND later.category = 'opening_balance' AND this.category = 'closing_balance' "
            "AND later.month = CAST(DATE_TRUNC('month', this.month + 31) AS DATE) WHERE later.opening <> this.closing"
        )
        assert joined == [(0,)]


@pytest.mark.long
def test_some_weeks_in_postgres(tmp_path: Path, postgres: str) -> None:
    pipeline = WEEKS.load(tmp_path, dlt.destinations.postgres(postgres))
    with open_marts(pipeline) as marts:
        assert_true(marts, WEEKS)
    for view, name in zip(create_views(pipeline), MARTS, strict=True):
        assert Counter(query(pipeline, f"SELECT * FROM {view}")) == Counter(read_mart(pipeline, name).rows)


@pytest.mark.long
def test_twelve_months_in_postgres(tmp_path: Path, postgres: str) -> None:
    with open_marts(YEAR.load(tmp_path, dlt.destinations.postgres(postgres))) as marts:
        assert_true(marts, YEAR)
