"""What `reconcile` shows, letter by letter: at 80 columns, and where it is piped."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date, datetime, timezone
from decimal import Decimal

import pytest

from stripe_reports_source import Reconciliation, Statement
from stripe_reports_source.cli.columns import money, plain, table
from stripe_reports_source.cli.console import WIDE
from stripe_reports_source.cli.machine import as_json
from stripe_reports_source.cli.reconciliation_view import payout_words, period, view
from stripe_reports_source.reconcile.roll_forward import Line, PaidOut, Returned, RollForward
from stripe_reports_source.reconcile.windows import Window

UTC = timezone.utc
JUNE, JULY = datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)
WINDOW = Window(
    account="default",
    zone="UTC",
    cells=("default|month|UTC|2025-06-01",),
    first_day=date(2025, 6, 1),
    last_day=date(2025, 6, 30),
    start=JUNE,
    end=JULY,
    first_read=date(2025, 5, 1),
    cell_before="default|month|UTC|2025-05-01",
    complete=True,
    loaded=frozenset({"balance", "activity", "payouts", "unsettled", "settled"}),
)


def line(
    name: str, net: str, category: str = "", *, rows: int | None = None, fee: str = "0", off_by: str = "0"
) -> Line:
    amount = Decimal(net + "000000") if "." in net else Decimal(net)
    gross = None if rows is None else amount - Decimal(fee)
    return Line(
        name, category, rows, gross, None if rows is None else Decimal(fee), amount,
        rows if category else None, None, None, amount - Decimal(off_by), Decimal(off_by),
    )  # fmt: skip


def balance(currency: str, *lines: Line, **more: object) -> RollForward:
    forward = RollForward("default", False, currency, WINDOW, lines, None, ())
    return replace(forward, **more)  # type: ignore[arg-type]


USD = balance(
    "usd",
    line("opening", "3925.43"),
    line("activity", "54321.20", "charge", rows=436, fee="-1754.76"),
    line("activity", "-4488.33", "refund", rows=43),
    line("activity_total", "49832.87", rows=479, fee="-1754.76"),
    line("payouts", "-47465.10", "payout", rows=30),
    line("payouts_total", "-47465.10", rows=30),
    line("closing", "6293.20"),
    line("unsettled", "6293.20", rows=54, fee="-229.72"),
    paid_out=PaidOut(30, Decimal("47465.1"), 28, 1),
    returned=(
        Returned("po_one", Decimal("732.08"), datetime(2025, 6, 9, 5, tzinfo=UTC), "po_two", JULY),
        Returned("po_three", Decimal("12"), JULY, None, None),
    ),
)
JPY = balance(
    "jpy",
    line("opening", "34976"),
    line("activity", "1665323", "charge", rows=93, fee="-52565", off_by="-19"),
    line("closing", "92234", off_by="-19"),
    paid_out=PaidOut(1, Decimal("92234"), 1, 0),
)


def statement(status: str, equation: str, reason: str, **more: object) -> Statement:
    made = Statement(
        equation=equation, account="default", interval_key="key", currency="", item="", interval_day=date(2025, 6, 1),
        interval_start=JUNE, interval_end=JULY, figure=None, against=None, difference=None, gross_difference=None,
        fee_difference=None, count_difference=None, status=status, reason=reason, figure_run=None, against_run=None,
        checked_at=JULY,
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


TIED = statement("tied", "balance_foots", "3 sums agree.")
STATEMENTS = (
    replace(TIED, interval_day=date(2025, 4, 1)),
    replace(TIED, interval_day=date(2025, 5, 1)),
    TIED,
    statement(
        "variance",
        "activity_rows_equal_balance",
        "balance_change_from_activity.itemized and balance.summary differ: load both again; what stays after that, "
        "ask Stripe about.",
        currency="jpy",
        difference=Decimal("-19"),
        fee_difference=Decimal("-19"),
        count_difference=1,
    ),
    *(
        statement("pending", "payout_holds_what_names_it", "It is not loaded yet.", currency="usd", item=f"txn_{at}")
        for at in range(5)
    ),
    statement("not_comparable", "itemized_equals_summary", "payouts.summary is not loaded: load it as well."),
)
FOUND = Reconciliation(STATEMENTS, (JPY, USD))

AT_80 = """
Balance, June 2025, account default, jpy
          rows      gross      fee        net     Stripe  off by
opening                                34,976     34,976       0
  charge    93  1,717,888  -52,565  1,665,323  1,665,342     -19
closing                                92,234     92,253     -19

Balance, June 2025, account default, usd
                    rows       gross        fee         net      Stripe  off by
opening                                            3,925.43    3,925.43    0.00
  charge             436   56,075.96  -1,754.76   54,321.20   54,321.20    0.00
  refund              43   -4,488.33       0.00   -4,488.33   -4,488.33    0.00
activity             479   51,587.63  -1,754.76   49,832.87   49,832.87    0.00
  payout              30  -47,465.10       0.00  -47,465.10  -47,465.10    0.00
payouts               30  -47,465.10       0.00  -47,465.10  -47,465.10    0.00
closing                                            6,293.20    6,293.20    0.00
of it not yet paid    54    6,522.92    -229.72    6,293.20    6,293.20    0.00

Open
variance activity_rows_equal_balance [default] 2025-06-01 jpy: -19, fee -19,
        rows +1
    balance_change_from_activity.itemized and balance.summary differ: load both
    again; what stays after that, ask Stripe about.
pending payout_holds_what_names_it [default] 2025-06-01 usd txn_0
    It is not loaded yet.
pending payout_holds_what_names_it [default] 2025-06-01 usd txn_1
    It is not loaded yet.
pending payout_holds_what_names_it [default] 2025-06-01 usd txn_2
    It is not loaded yet.
    and 2 more of the same interval

Not compared
1 statement: payouts.summary is not loaded: load it as well.

Payouts, June 2025, account default
jpy  1 payout of 92,234, equal to the transactions that it settles.
usd  30 payouts of 47,465.10: 28 equal to their transactions, 1 without
     transactions (manual, instant, or not reconciled yet), 1 not equal.
usd  po_one of 732.08 failed: the money came back on 2025-06-09, and po_two has
     paid it again on 2025-07-01.
usd  po_three of 12.00 failed: the money came back on 2025-07-01, and it is not
     paid again yet.

Months
April to May 2025: 2 tied
June 2025: 1 tied, 1 not comparable, 5 pending, 1 variance

tied: 3 statements, April to June 2025; open: 1 variance, 5 pending
"""


def shown(found: Reconciliation, width: int) -> str:
    return "".join(f"{text}\n" for text, _ in view(found, width))


def test_accounts_with_the_same_label_are_told_apart() -> None:
    """Those of connected accounts that have a run each, and those of runs with other parameters."""
    texts = {
        '{"connected_account":"acct_1"}': "connected account acct_1 of default",
        '{"connected_account":"acct_2","currency":"usd"}': "connected account acct_2 of default, currency=usd",
        "": "connected accounts of default",
    }
    forwards = tuple(replace(USD, connected=True, window=replace(WINDOW, filters=filters)) for filters in texts)
    found = Reconciliation((), forwards)
    lines = [text for text, _ in view(found, 120)]
    for whose in texts.values():
        assert f"Balance, June 2025, {whose}, usd" in lines
        assert f"Payouts, June 2025, {whose}" in lines
    emitted = json.loads(as_json(found))["roll_forward"]
    assert [each["parameters"] for each in emitted] == [json.loads(filters or "{}") for filters in texts]


def test_whether_a_payout_was_paid_again_is_not_said_where_it_is_not_known() -> None:
    """The payouts' own report does not tell what a payout has settled."""
    back = Returned("po_three", Decimal("12"), JULY, None, None, again_known=False)
    [said] = payout_words(replace(USD, paid_out=None, returned=(back,)))
    assert said == (
        "po_three of 12.00 failed: the money came back on 2025-07-01, and whether it was paid again is not known: load "
        "payout_reconciliation.itemized as well, with all columns."
    )


def test_at_80_columns() -> None:
    assert shown(FOUND, 80) == AT_80
    assert all(len(text) <= 80 for text, _ in view(FOUND, 80))


def test_where_it_is_piped_nothing_is_folded() -> None:
    piped = AT_80
    for words in ("again; what", "rows +1", "transactions (manual", "paid it again", "paid again yet"):
        piped = re.sub(rf"\n +{re.escape(words)}", f" {words}", piped)
    assert shown(FOUND, WIDE) == piped
    assert piped != AT_80


LONG = "payout_minimum_balance_release"


def test_a_table_that_is_too_long_loses_no_figure() -> None:
    """Stripe's figures are left out where they are the same; else there are two tables, one below the other."""
    same = balance("usd", line("activity", "-1234567.89", LONG, rows=1234), line("closing", "-1234567.89"))
    assert shown(Reconciliation((TIED,), (same,)), 80).startswith(
        f"""
Balance, June 2025, account default, usd
                                  rows         gross  fee           net off by
  {LONG} 1,234 -1,234,567.89 0.00 -1,234,567.89   0.00
closing                                                   -1,234,567.89   0.00
Stripe's own figures are the same as net; a wider terminal shows them.
"""
    )
    other = balance("usd", *same.lines[:1], line("closing", "-1234567.89", off_by="0.01"))
    assert shown(Reconciliation((TIED,), (other,)), 80).startswith(
        f"""
Balance, June 2025, account default, usd
                                   rows          gross   fee            net
  {LONG}  1,234  -1,234,567.89  0.00  -1,234,567.89
closing                                                       -1,234,567.89
                                            net         Stripe  off by
  {LONG}  -1,234,567.89  -1,234,567.89    0.00
closing                           -1,234,567.89  -1,234,567.90    0.01
"""
    )


def test_nothing_to_say() -> None:
    assert shown(Reconciliation(()), 80) == "\nOpen\nNothing is open.\n\ntie-out: nothing to compare yet.\n"


@pytest.mark.parametrize(
    ("first", "last", "more", "words"),
    [
        (date(2025, 1, 1), date(2025, 6, 30), {}, "January to June 2025"),
        (date(2024, 12, 1), date(2025, 2, 28), {}, "December 2024 to February 2025"),
        (date(2025, 2, 1), date(2025, 2, 28), {"zone": "Europe/Berlin"}, "February 2025 (Europe/Berlin)"),
        (date(2025, 2, 10), date(2025, 2, 28), {}, "2025-02-10 to 2025-02-28"),
        (date(2025, 3, 1), date(2025, 3, 10), {"complete": False}, "2025-03-01 to 2025-03-10 so far"),
    ],
)
def test_the_days_of_a_window_in_words(first: date, last: date, more: dict[str, object], words: str) -> None:
    window = replace(WINDOW, first_day=first, last_day=last, **more)  # type: ignore[arg-type]
    assert period(window) == words


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("1234.500000000", "usd", "1,234.50"),
        ("-0E-9", "usd", "0.00"),
        ("0.005", "usd", "0.005"),
        ("1234", "jpy", "1,234"),
        ("1234.5", "jpy", "1,234.5"),
        ("12.34", "kwd", "12.340"),
        ("-99999999999999999999999999999.123456789", "eur", "-99,999,999,999,999,999,999,999,999,999.123456789"),
    ],
)
def test_amounts_have_the_places_of_their_currency_and_lose_no_digit(amount: str, currency: str, shown: str) -> None:
    assert money(Decimal(amount), currency) == shown


def test_amounts_as_data_have_all_digits_and_no_others() -> None:
    assert [plain(Decimal(text)) for text in ("1.500000000", "-0E-9", "100", "1E+2", "0.000000001")] == [
        "1.5", "0", "100", "100", "0.000000001",
    ]  # fmt: skip


def test_a_table_is_as_wide_as_its_widest_cells() -> None:
    assert table(("", "n"), [("name", "1"), ("x", "1,000")]) == ["          n", "name      1", "x     1,000"]
