"""Markup, charts, the calendar, CSV and the verdict, without a database."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pytest

from stripe_reports_source.page.calendar import MOST_ACCOUNTS, Reach, calendar, few, months_between
from stripe_reports_source.page.charts import HEIGHT, WIDTH, Point, bars, short, steps
from stripe_reports_source.page.document import Section, document
from stripe_reports_source.page.html import Html, folded, join, table, tag
from stripe_reports_source.page.spreadsheet import csv_text, field
from stripe_reports_source.page.verdict import Verdict, verdict_of_page
from stripe_reports_source.plan.system_tables import Statement
from stripe_reports_source.reconcile.coverage import CoveredCell
from stripe_reports_source.reconcile.reconciliation import Reconciliation
from stripe_reports_source.warehouse.status_runs import ShownRun

UTC = timezone.utc
TIED = "tied: 1 statement, February 2025; open: none"
EVIL = "<script>alert('x')</script>&\"'"


def test_texts_are_escaped_and_markup_is_not() -> None:
    made = tag("p", EVIL, tag("b", "x"), title=EVIL)
    assert "<script>" not in made
    assert "<b>x</b>" in made
    assert made.count("<") == 4
    assert "<script>" not in join([EVIL, tag("br")])
    assert "<script>" not in folded(EVIL, EVIL)
    assert "<script>" not in table(EVIL, [EVIL], [[EVIL]])


def test_a_page_allows_nothing_but_its_own_style() -> None:
    text = document("T", [EVIL], Verdict("Well", "good", EVIL), [Section("a", EVIL, Html("<p>x</p>"))])
    assert "<script" not in text
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy.startswith("default-src &#x27;none&#x27;; style-src &#x27;sha256-")
    assert not re.findall(r"\s(?:src|style|on\w+)=", text)
    assert "url(" not in text
    assert "http:" not in text
    assert "https:" not in text


def cell(
    month: int, *, table: str = "payouts_itemized", account: str = "default", days: int | None = None
) -> CoveredCell:
    """A cell of a month of 2025; of its first days, if so many are given."""
    start = datetime(2025, month, 1, tzinfo=UTC)
    whole = datetime(2025, month + 1, 1, tzinfo=UTC)
    end = whole if days is None else start + timedelta(days=days)
    key = f"{account}|payouts.itemized|month|UTC|2025-{month:02}-01"
    return CoveredCell(
        *(
            table,
            account,
            key,
            "payouts.itemized",
            start.date(),
            start,
            end,
            whole,
            days is None,
            5,
            f"frr_{month}",
            end,
        )
    )


def failed(month: int) -> ShownRun:
    """A run of a month that has failed."""
    start, end = datetime(2025, month, 1, tzinfo=UTC), datetime(2025, month + 1, 1, tzinfo=UTC)
    places = ("frr_bad", "payouts.itemized.3", "default", "payouts_itemized", start, end, "failed", end)
    return ShownRun(*places, error="No.", interval_key=None, parameters="{}")


def states(cells: list[CoveredCell], reach: Reach, *runs: ShownRun) -> list[str]:
    """The states of January to July."""
    lane = ("payouts_itemized", "default")
    months = months_between(date(2025, 1, 1), date(2025, 7, 31))
    [row] = calendar(cells, {lane: reach}, {lane: runs} if runs else {}, months)
    return [month.state for month in row.months]


def test_the_states_of_the_calendar() -> None:
    reach = Reach(datetime(2025, 2, 1, tzinfo=UTC), datetime(2025, 6, 11, tzinfo=UTC))
    cells = [cell(2), cell(4), cell(6, days=10)]
    assert states(cells, reach) == ["before", "loaded", "missing", "loaded", "missing", "partial", "ahead"]
    assert states(cells, reach, failed(5))[4] == "failed"


def test_an_account_that_is_asked_for_no_more_ends_where_it_is_loaded_to() -> None:
    ended = datetime(2025, 3, 8, tzinfo=UTC)
    reach = Reach(datetime(2025, 1, 1, tzinfo=UTC), None, ends=ended)
    cells = [cell(1), cell(2), cell(3, days=7)]
    assert states(cells, reach) == ["loaded"] * 3 + ["ended"] * 4
    assert states([cell(1), cell(3, days=7)], reach)[:4] == ["loaded", "missing", "loaded", "ended"]


def test_a_month_in_which_stripes_data_begins_is_whole() -> None:
    half = replace(cell(3), start=datetime(2025, 3, 12, tzinfo=UTC))
    end, began = datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 3, 12, tzinfo=UTC)
    cells = [half, cell(4), cell(5)]
    whole = states(cells, Reach(began, end, available_from=began))
    assert whole == ["before", "before", "loaded", "loaded", "loaded", "ahead", "ahead"]
    assert states(cells, Reach(began, end, available_from=datetime(2025, 1, 1, tzinfo=UTC)))[2] == "partial"


def test_a_month_that_ends_before_stripes_data_does_is_missing_the_rest() -> None:
    reach = Reach(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 6, 11, tzinfo=UTC))
    assert states([*map(cell, (1, 2, 3, 4, 5)), cell(6, days=3)], reach)[5] == "missing"


def test_of_many_accounts_the_worst_are_shown_and_one_line_for_all() -> None:
    months = months_between(date(2025, 1, 1), date(2025, 3, 31))
    accounts = [f"acct_{number:04}" for number in range(300)]
    cells = [
        cell(month, account=account)
        for account in accounts
        for month in (1, 2, 3)
        if (account, month) != (accounts[9], 2)
    ]
    end = datetime(2025, 4, 1, tzinfo=UTC)
    reach = {("payouts_itemized", account): Reach(datetime(2025, 1, 1, tzinfo=UTC), end) for account in accounts}
    whole, worst, *rest = few(calendar(cells, reach, {}, months))
    assert whole.account.startswith("all 300 accounts")
    assert [month.state for month in whole.months] == ["loaded", "missing", "loaded"]
    assert whole.months[1].failures == ("1 missing, 299 loaded",)
    assert worst.account == accounts[9]
    assert len(rest) == MOST_ACCOUNTS - 1


def numbers(picture: Html, tag_name: str) -> list[dict[str, float]]:
    """The places of a picture's shapes."""
    return [
        {key: float(value) for key, value in shape.attrib.items() if key in ("x", "y", "width", "height")}
        for shape in ElementTree.fromstring(picture).iter(tag_name)
    ]


def test_bars_stand_on_zero_and_stay_in_the_picture() -> None:
    day = date(2025, 1, 1)
    points = [Point(day, Decimal(60)), Point(day, Decimal(40), bad=True), Point(date(2025, 1, 2), Decimal(-50))]
    first, second, below = numbers(bars("Payouts <usd>", points), "rect")
    assert second["y"] + second["height"] == pytest.approx(first["y"], abs=0.11)  # one upon the other
    assert first["height"] / second["height"] == pytest.approx(1.5, abs=0.02)
    assert below["y"] == pytest.approx(first["y"] + first["height"], abs=0.11)
    assert all(
        bar["y"] >= 0 and bar["y"] + bar["height"] <= HEIGHT and bar["x"] + bar["width"] <= WIDTH
        for bar in (first, below)
    )


def test_a_picture_has_axes_labels_and_a_text_instead() -> None:
    points = [Point(date(2025, month, 1), Decimal(month * 1234)) for month in range(1, 13)]
    picture = steps("Balance, usd", points)
    root = ElementTree.fromstring(picture)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == "Balance, usd: 12 amounts from 1 Jan 25 to 1 Dec 25; the table below has them."
    texts = [text.text for text in root.iter("text")]
    assert texts[:4] == ["0", "5k", "10k", "15k"]
    assert texts[4:] == ["1 Jan 25", "1 May 25", "1 Aug 25", "1 Dec 25"]
    assert steps("Nothing", []).startswith("<svg")
    assert "nothing" in bars("Nothing", [])


@pytest.mark.parametrize(
    ("amount", "text"), [("0", "0"), ("9999.5", "9,999.5"), ("10000", "10k"), ("-2500000", "-2.5m"), ("3E+9", "3bn")]
)
def test_amounts_on_axes_are_short(amount: str, text: str) -> None:
    assert short(Decimal(amount), Decimal(amount)) == text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t1", "\r1", " =1", "\uff1d1", '=HYPERLINK("x")'])
def test_no_text_can_run_in_a_spreadsheet(text: str) -> None:
    assert field(text) == f"'{text}"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a;=1", "a;'=1"),
        ("a; -1;+1", "a;' -1;'+1"),
        ("a\n=1", "a\n'=1"),
        ("\t=1", "'\t'=1"),
        ('a;"=1"', 'a;\'"=1"'),
        ("a; b, -1; 2=2", "a; b, -1; 2=2"),
    ],
)
def test_no_text_can_run_where_a_semicolon_begins_a_field(text: str, written: str) -> None:
    assert field(text) == written


def test_numbers_dates_and_plain_texts_stay_what_they_are() -> None:
    values = [Decimal("-12.340000000"), Decimal("0E-9"), -3, True, None, date(2025, 1, 31), "charge", "0042", ""]
    instants = [datetime(2025, 1, 31, 1, tzinfo=timezone(timedelta(hours=1))), datetime(2025, 1, 31)]
    assert csv_text(["a"] * 11, [[*values, *instants]]).splitlines()[1] == (
        "-12.34,0,-3,true,,2025-01-31,charge,0042,,2025-01-31T00:00:00+00:00,2025-01-31T00:00:00"
    )


def statement(status: str) -> Statement:
    """A statement about February."""
    place = ("payouts_paid", "default", "default|payouts.itemized|month|UTC|2025-02-01", "usd", "")
    zeros = (Decimal(0),) * 5
    days = (date(2025, 2, 1), datetime(2025, 2, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC))
    values: list[Any] = [*place, *days, *zeros, 0, status, "", None, None, datetime(2025, 3, 1, tzinfo=UTC), None]
    return Statement(**dict(zip([field.name for field in fields(Statement)], values, strict=True)))


@pytest.mark.parametrize(
    ("statuses", "problems", "differing", "tone", "sentence"),
    [
        (["tied"], [], 0, "good", f"{TIED}."),
        (["tied", "variance"], [], 0, "bad", "tied: 1 statement, February 2025; open: 1 variance."),
        (["stale"], [], 0, "bad", "tied: 0 statements, February 2025; open: 1 stale."),
        (["tied", "pending"], [], 0, "good", "tied: 1 statement, February 2025; open: 1 pending."),
        (["tied"], ["2 failed"], 0, "unsure", f"{TIED}; 2 failed."),
        (
            ["tied"],
            [],
            1,
            "bad",
            "tied: 1 statement, February 2025; open: none; 1 figure below differs from Stripe's own.",
        ),
        ([], [], 0, "unsure", "tie-out: nothing to compare yet."),
    ],
)
def test_the_verdict_is_the_one_of_reconcile_and_status(
    statuses: list[str], problems: list[str], differing: int, tone: str, sentence: str
) -> None:
    found = Reconciliation(tuple(map(statement, statuses)))
    verdict = verdict_of_page(found, problems, differing)
    assert (verdict.tone, verdict.sentence) == (tone, sentence)
    assert sentence.startswith(found.verdict().removesuffix("."))
