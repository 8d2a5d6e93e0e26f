"""Stripe's reports agree with one another in a business that has all that makes this hard, at any cut, at any time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import requests
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stripe_reports_source.emulator import Emulator, EmulatorSettings, late_charge
from stripe_reports_source.emulator.payouts import Payout
from stripe_reports_source.emulator.traits import DEFAULT_TRAITS, TRAITS
from stripe_reports_source.emulator.transactions import CURRENCIES
from stripe_reports_source.plan.intervals import Grid, Span
from tests.emulator.equations import ACTIVITY, Statement, assert_all, statements, sums

pytestmark = pytest.mark.long

UTC = timezone.utc
FIRST, END = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
SPRING = datetime(2025, 4, 1, tzinfo=UTC)
ALL_TRAITS = tuple(TRAITS)
TRANSACTION_COLUMNS = ["balance_transaction_id", "automatic_payout_id", "automatic_payout_effective_at_utc", "trace_id"]


def business(seed: int = 7, end: datetime = END, **settings: Any) -> Emulator:
    """Never started: only its reports are asked for. It begins a day late, so that all of it is in whatever zone."""
    world = {"scale": 0.1, "business_start": date(2025, 1, 2), "available_start": FIRST, "traits": ALL_TRAITS}
    return Emulator(EmulatorSettings(**{"seed": seed, "available_end": end, **world, **settings}))


@pytest.mark.parametrize(
    ("seed", "grid", "zone"),
    [
        (7, "day", "Europe/Berlin"),
        (11, "week", "America/New_York"),
        (2026, "month", "Asia/Kolkata"),
        (4, "month", "UTC"),
    ],
)
def test_a_year_ties(seed: int, grid: Grid, zone: str) -> None:
    world = business(seed)
    found = statements(world, Span(FIRST, END), grid, zone)
    assert found[-1].currencies == set(CURRENCIES)
    assert_all(found)


@pytest.mark.parametrize(("grid", "zone"), [("week", "UTC"), ("month", "America/New_York")])
def test_connected_accounts_tie_together_and_each_for_itself(grid: Grid, zone: str) -> None:
    world = business(all_types=True, end=SPRING)
    together = statements(world, Span(FIRST, SPRING), grid, zone, connected=True)
    assert_all(together)
    rows = [row for statement in together for row in statement.activity]
    assert {row["connected_account"] for row in rows} == set(world.settings.connected_accounts)
    for account in world.settings.connected_accounts:
        alone = statements(world, Span(FIRST, SPRING), grid, zone, connected=True, account=account)
        assert_all(alone)
        own = [row for statement in alone for row in statement.activity]
        assert own == [row for row in rows if row["connected_account"] == account] != []
        behalf = world.truth(ACTIVITY[0], FIRST, SPRING, stripe_account=account, columns=["balance_transaction_id"])
        assert [(row["balance_transaction_id"],) for row in own] == behalf


seconds = st.integers(0, int((SPRING - FIRST).total_seconds()))
cuts = seconds.map(lambda number: FIRST + timedelta(seconds=number))


@settings(max_examples=12)
@given(st.integers(0, 10**6), cuts, cuts, cuts)
def test_any_cut_at_any_availability_ties(seed: int, first: datetime, second: datetime, third: datetime) -> None:
    start, end, available = sorted((first, second, third))
    assume(FIRST < start < end)
    world = business(seed, end=available, scale=0.05)
    assert_all([Statement(world, FIRST, start), Statement(world, start, end)])


def test_the_business_has_all_its_traits() -> None:
    world = business()
    payouts, transactions = world.ledger.payouts, world.ledger.transactions
    categories = {transaction.category for transaction in transactions}
    assert {"payout_minimum_balance_hold", "payout_minimum_balance_release", "risk_reserved_funds"} <= categories
    assert any(payout.amount < 0 for payout in payouts)
    assert any(not payout.automatic for payout in payouts)
    assert any(payout.effective - payout.initiated > timedelta(days=3) for payout in payouts)
    over = [payout for payout in payouts if payout.initiated.month != payout.arrives(END).month]
    assert any(payout.first_expected is None for payout in over)  # in transit over a month's end
    assert any(payout.first_expected and payout.first_expected.month != payout.effective.month for payout in payouts)
    returned = {transaction.source_id for payout in payouts for transaction in payout.settles} & {
        payout.id for payout in payouts
    }
    assert returned == {payout.id for payout in payouts if payout.reversed_at and payout.reversed_at < END} != set()
    without: set[str] = set()
    for trait in TRAITS:
        plain = business(traits=tuple(name for name in ALL_TRAITS if name != trait))
        without |= {trait} if plain.ledger.payouts == payouts and plain.ledger.transactions == transactions else set()
    assert without == set()


def test_a_trait_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown trait 'reserve': use reserves, minimum_balance"):
        EmulatorSettings(traits=("reserve",))


def test_old_rows_name_their_payout_once_it_is_made_and_its_trace_once_it_has_arrived() -> None:
    world = business(end=SPRING)
    payout = chosen(world, lambda paid: paid.effective.day - paid.initiated.day == 3 and paid.first_expected is None)
    [transaction, *_] = payout.settles
    start, end = transaction.created, transaction.created + timedelta(seconds=1)

    def row(available: datetime) -> dict[str, Any]:
        for name in world.service.type_names:
            world.set_availability(name, end=available)
        found = world.truth("balance_change_from_activity.itemized.3", start, end, columns=TRANSACTION_COLUMNS)
        rows = [dict(zip(TRANSACTION_COLUMNS, values, strict=True)) for values in found]
        return next(values for values in rows if values["balance_transaction_id"] == transaction.id)

    assert row(payout.initiated)["automatic_payout_id"] is None
    made = row(payout.initiated + timedelta(hours=1))
    assert made["automatic_payout_id"] == payout.id
    assert made["automatic_payout_effective_at_utc"] == payout.effective
    assert made["trace_id"] is None
    assert row(payout.effective + timedelta(hours=1))["trace_id"] is not None


def test_an_arrival_date_that_moves_over_a_months_end_is_seen_at_a_later_availability() -> None:
    world = business()
    payout = chosen(world, lambda paid: paid.moved_at is not None and paid.moved_at.month != paid.initiated.month)
    assert payout.moved_at is not None
    turn = payout.moved_at.replace(day=1, hour=0, minute=0, second=0)
    month, later = Statement(world, turn - timedelta(days=20), turn), Statement(world, turn, turn + timedelta(days=5))
    assert not of(payout, month)
    assert of(payout, later) == [payout.effective]
    for name in world.service.type_names:
        world.set_availability(name, end=payout.moved_at)
    month, later = Statement(world, month.start, turn), Statement(world, turn, payout.moved_at)
    assert of(payout, month) == [payout.first_expected]
    assert not of(payout, later)
    assert_all([Statement(world, FIRST, month.start), month, later])


def test_three_days_after_a_day_nothing_moves_a_sum_in_a_business_with_the_default_traits() -> None:
    world = business(end=SPRING, traits=DEFAULT_TRAITS)
    month = Span(datetime(2025, 2, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC))

    def said(statement: Statement) -> tuple[Any, ...]:
        return statement.balance, statement.payouts, statement.settled, statement.unsettled

    finally_said = [said(statement) for statement in statements(world, month, "day", "UTC")]
    for statement, wanted in zip(statements(world, month, "day", "UTC"), finally_said, strict=True):
        for name in world.service.type_names:
            world.set_availability(name, end=statement.end + timedelta(days=3))
        assert said(statement) == wanted


def test_a_payout_that_is_moved_by_hand_moves_for_whoever_reads_later() -> None:
    world = business(end=SPRING)
    payout = chosen(world, lambda paid: paid.effective.month == 1 and paid.first_expected is None)
    later = datetime(2025, 2, 3, 0, 0, 57, tzinfo=UTC)
    world.move_payout(payout.id, later, known_from=SPRING)
    assert of(payout, Statement(world, FIRST, SPRING)) == [payout.effective]
    world.advance(SPRING + timedelta(days=1))
    found = statements(world, Span(FIRST, SPRING), "month", "UTC")
    assert of(payout, found[0]) == []
    assert of(payout, found[1])[0] == later
    assert_all(found)


def test_a_failed_payout_is_paid_again_by_one_that_settles_its_return() -> None:
    world = business(end=SPRING)
    payout = chosen(world, lambda paid: paid.effective.month == 1 and paid.reversed_at is None and paid.automatic)
    at = datetime(2025, 2, 20, 5, tzinfo=UTC)
    world.fail_payout(payout.id, at)
    found = statements(world, Span(FIRST, SPRING), "week", "UTC")
    assert_all(found)
    settled = [row for statement in found for row in statement.settled]
    [returned] = [row for paid in world.ledger.payouts for row in paid.settles if row.source_id == payout.id]
    [retry] = [row["automatic_payout_id"] for row in settled if row["balance_transaction_id"] == returned.id]
    assert retry != payout.id
    old = {transaction.id for transaction in payout.settles}
    assert {row["automatic_payout_id"] for row in settled if row["balance_transaction_id"] in old} == {payout.id}


@pytest.mark.parametrize("payout_stays", [False, True])
def test_a_restated_row_that_is_paid_out(payout_stays: bool) -> None:
    world = business(end=SPRING, traits=DEFAULT_TRAITS)
    payout = chosen(world, lambda paid: paid.effective.month == 1 and paid.currency == "usd" and paid.amount > 10_000)
    [transaction, *_] = payout.settles
    before = Statement(world, FIRST, SPRING).balance
    world.restate_transaction(transaction.id, fee=transaction.fee + 150, payout_stays=payout_stays)
    whole = Statement(world, FIRST, SPRING)
    settled = sums(whole.settled, "automatic_payout_id")[payout.id,]
    paid = sums(whole.payouts, "payout_id")[payout.id,]
    assert settled == Decimal(payout.amount - 150) / 100
    assert paid - settled == (Decimal("1.50") if payout_stays else 0)
    assert whole.balance["usd", "activity"] == before["usd", "activity"] - Decimal("1.50")
    if not payout_stays:
        assert_all(statements(world, Span(FIRST, SPRING), "week", "UTC"))
    other = {currency for currency in whole.currencies if currency != "usd"}
    assert all(before[key] == amount for key, amount in whole.balance.items() if key[0] in other)


def test_late_rows_deletions_and_other_categories_tie() -> None:
    world = business(end=SPRING, traits=DEFAULT_TRAITS)
    created = datetime(2025, 1, 20, 12, tzinfo=UTC)
    world.add_transaction(late_charge("gift", created, world.service.now, "eur", 7000, 233, "Late", {}))
    charges = [transaction for transaction in world.ledger.transactions if transaction.category == "charge"]
    world.withdraw_transaction(charges[10].id)
    moved = charges[30].created + timedelta(days=1)
    world.restate_transaction(charges[20].id, category="other_adjustment", gross=charges[20].gross + 1)
    world.restate_transaction(charges[30].id, created=moved)
    found = statements(world, Span(FIRST, SPRING), "week", "UTC")
    assert_all(found)
    rows = {row["balance_transaction_id"]: row for statement in found for row in statement.activity}
    assert "txn_gift" in rows
    assert charges[10].id not in rows
    assert rows[charges[20].id]["reporting_category"] == "other_adjustment"
    assert rows[charges[30].id]["created_utc"] == moved


def test_what_cannot_be_changed_is_said(start_emulator: Callable[..., Emulator]) -> None:
    emulator = start_emulator()
    [payout, *_] = emulator.ledger.payouts
    early = payout.initiated - timedelta(seconds=1)
    with pytest.raises(ValueError, match="effective must not be before"):
        emulator.move_payout(payout.id, early)
    with pytest.raises(ValueError, match="a payout fails after it was to arrive"):
        emulator.fail_payout(payout.id, early)
    with pytest.raises(ValueError, match="created must be before"):
        emulator.restate_transaction(payout.settles[0].id, created=payout.effective)
    with pytest.raises(KeyError):
        emulator.move_payout("po_none", early)
    address = f"{emulator.control_url}/payouts/po_none"
    assert requests.patch(address, json={"effective": early.isoformat()}, timeout=10).status_code == 400


def test_the_control_address_changes_the_business(start_emulator: Callable[..., Emulator]) -> None:
    emulator = start_emulator()
    url = emulator.control_url
    shown = next(paid for paid in requests.get(f"{url}/payouts", timeout=10).json() if not paid["reversed_at"])
    effective = datetime.fromisoformat(shown["effective"]) + timedelta(days=2)
    failed = effective + timedelta(days=1)
    transaction = shown["transactions"][0]
    for path, change in (
        (f"transactions/{transaction}", {"fee": 1, "category": "other_adjustment", "payout_stays": True}),
        (f"payouts/{shown['id']}", {"effective": effective.isoformat(), "fails_at": failed.isoformat()}),
    ):
        assert requests.patch(f"{url}/{path}", json=change, timeout=10).status_code == 200
    payout = next(paid for paid in emulator.ledger.payouts if paid.id == shown["id"])
    assert (payout.effective, payout.reversed_at, payout.amount) == (effective, failed, shown["amount"])
    assert [(row.fee, row.category) for row in payout.settles if row.id == transaction] == [(1, "other_adjustment")]


def chosen(world: Emulator, which: Callable[[Payout], bool]) -> Payout:
    """The first automatic payout that has arrived and is as wanted."""
    end = world.settings.available_end
    return next(paid for paid in world.ledger.payouts if paid.automatic and paid.effective < end and which(paid))


def of(payout: Payout, statement: Statement) -> list[datetime]:
    """When a payout leaves the balance, as far as a statement says so."""
    return [row["effective_at_utc"] for row in statement.payouts if row["payout_id"] == payout.id]
