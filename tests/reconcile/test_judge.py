"""Verdicts: their order, the age of data, what lies outside of the loaded history, and the sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stripe_reports_source.plan.system_tables import Statement
from stripe_reports_source.reconcile.coverage import Coverage, CoveredCell
from stripe_reports_source.reconcile.equations import EQUATIONS, Equation
from stripe_reports_source.reconcile.inputs import INPUTS
from stripe_reports_source.reconcile.judge import Judge
from stripe_reports_source.reconcile.queries import OTHERS, Figure
from tests.reconcile.statements import covered, figure, instant

ACTIVITY, SETTLED, PAYOUTS, BALANCE = (INPUTS[name].base for name in ("activity", "settled", "payouts", "balance"))
STATUSES = {"tied", "explained", "pending", "stale", "not_comparable", "variance"}


def named(name: str, first: str = "") -> Equation:
    """An equation."""
    return next(it for it in EQUATIONS if it.name == name and it.figure[0].startswith(first))


def judged(equation: Equation, found: Figure, cells: Iterable[CoveredCell]) -> Statement:
    """The statement of two figures."""
    return Judge(equation, INPUTS, Coverage(cells), instant(6)).judge(found)


def both(**of_activity: object) -> list[CoveredCell]:
    """February of activity and of the balance summary."""
    return [covered(ACTIVITY, 2, **of_activity), covered(BALANCE, 2)]


@pytest.mark.parametrize(
    ("cells", "found", "status"),
    [
        (both(), figure(), "tied"),
        (both(), figure(against=Decimal(9)), "variance"),
        (both(data_available_end=instant(4)), figure(against=Decimal(9)), "stale"),
        (both(data_available_end=instant(4)), figure(), "tied"),
        (both(data_available_end=None), figure(against=Decimal(9)), "stale"),
        (both(end=instant(2, 20)), figure(), "pending"),
        (both(end=instant(2, 20), data_available_end=instant(4)), figure(against=Decimal(9)), "pending"),
        (both(), figure(gross_difference=Decimal("0.01")), "variance"),
        (both(), figure(fee_difference=Decimal("-0.01")), "variance"),
        (both(), figure(count_difference=1), "variance"),
    ],
)
def test_verdicts_come_in_their_order(cells: list[CoveredCell], found: Figure, status: str) -> None:
    statement = judged(named("activity_rows_equal_balance"), found, cells)
    assert statement.status == status
    assert statement.difference == found.figure - found.against


def test_a_file_of_unknown_age_on_both_sides_is_not_stale() -> None:
    cells = [replace(cell, data_available_end=None) for cell in both()]
    assert judged(named("activity_rows_equal_balance"), figure(against=Decimal(9)), cells).status == "variance"


def test_a_stale_statement_names_the_older_report_and_what_to_do() -> None:
    cells = both(data_available_end=instant(4))
    reason = judged(named("activity_rows_equal_balance"), figure(against=Decimal(9)), cells).reason
    assert reason == (
        "balance_change_from_activity.itemized of the interval from 2025-02-01 on is from data up to 2025-04-01 00:00 "
        "UTC, older than the data of balance.summary beside it (2025-05-01 00:00 UTC): load it again "
        "(reconcile --refresh)."
    )


def test_what_does_not_roll_forward_is_stale_where_the_snapshot_before_is_of_older_data() -> None:
    bases = [INPUTS[name].base for name in ("unsettled", "activity", "payouts", "settled", "balance")]
    before = covered(bases[0], 1, data_available_end=instant(4))
    cells = [covered(base, month) for base in bases for month in (1, 2) if (base, month) != (bases[0], 1)]
    equation, found = named("clearing_rolls_forward"), figure(against=Decimal(9))
    assert judged(equation, found, [covered(bases[0], 1), *cells]).status == "variance"
    statement = judged(equation, found, [before, *cells])
    assert statement.status == "stale"
    assert f"{bases[0]} of the interval from 2025-01-01 on is from data up to 2025-04-01" in statement.reason
    assert before.run_id in str(statement.against_run).split(", ")


@pytest.mark.parametrize(
    ("note", "moment", "status", "words"),
    [
        ("older", instant(1, 30), "explained", "older than the loaded history"),
        ("later", instant(3, 2), "explained", "later than what is loaded"),
        ("later", instant(2, 20), "pending", "is not loaded up to 2025-02-20 00:00 UTC yet"),
        ("gap", instant(2, 3), "not_comparable", "is not loaded at 2025-02-03 00:00 UTC"),
        ("not loaded", instant(2, 3), "not_comparable", "with the same filters"),
        ("no time", None, "not_comparable", "no column of payout_reconciliation.itemized says of when that is"),
        ("missing", instant(2, 3), "variance", "has a transaction that balance_change_from_activity.itemized does not"),
    ],
)
def test_a_missing_counterpart_is_judged_by_where_it_belongs(
    note: str, moment: object, status: str, words: str
) -> None:
    cells = [covered(SETTLED, 2), covered(ACTIVITY, 2), covered(PAYOUTS, 2)]
    found = figure(note=note, moment=moment, against=Decimal(0), count_difference=1)
    statement = judged(named("settled_row_equals_activity_row", "settled"), found, cells)
    assert statement.status == status
    assert words in statement.reason


def test_a_missing_counterpart_is_stale_where_its_own_interval_is_of_other_data() -> None:
    cells = [covered(SETTLED, 2), covered(ACTIVITY, 1, data_available_end=instant(4)), covered(ACTIVITY, 2)]
    cells.append(covered(PAYOUTS, 2))
    found = figure(note="missing", moment=instant(1, 30), against=Decimal(0), count_difference=1)
    statement = judged(named("settled_row_equals_activity_row", "settled"), found, cells)
    assert statement.status == "stale"
    assert "of the interval from 2025-01-01 on" in statement.reason


def test_a_difference_is_stale_where_the_cell_of_the_other_row_is_of_other_data() -> None:
    cells = [covered(SETTLED, 2), covered(ACTIVITY, 1, data_available_end=instant(4)), covered(ACTIVITY, 2)]
    cells.append(covered(PAYOUTS, 2))
    found = figure(against=Decimal(9), against_cell="shop|month|UTC|2025-01-01")
    assert judged(named("settled_row_equals_activity_row", "settled"), found, cells).status == "stale"


def test_what_is_beyond_the_items_that_are_kept_is_counted_and_judged_alike() -> None:
    cells = [covered(SETTLED, 2), covered(ACTIVITY, 2), covered(PAYOUTS, 2)]
    equation = named("settled_row_equals_activity_row", "settled")
    others = figure(item=f"{OTHERS}older", note="older", moment=instant(1, 2), count_difference=900, items=900)
    statement = judged(equation, others, cells)
    assert statement.status == "explained"
    assert statement.reason.startswith("900 more transactions than are kept one by one. Its counterpart")
    assert judged(equation, replace(others, item=OTHERS, note=""), cells).status == "variance"


def test_a_payout_that_no_row_names_is_explained_and_one_that_activity_names_is_not() -> None:
    cells = [covered(SETTLED, 2), covered(ACTIVITY, 2), covered(PAYOUTS, 2)]
    equation = named("payout_equals_its_rows", "settled")
    assert judged(equation, figure(note="no rows", figure=Decimal(0)), cells).status == "explained"
    lost = judged(equation, figure(note="rows lost", figure=Decimal(0)), cells)
    assert lost.status == "variance"
    assert lost.reason.startswith("No row of payout_reconciliation.itemized says what the payout has paid")


@pytest.mark.parametrize(
    ("note", "months", "status"),
    [
        ("older payout", (1, 2, 3, 4), "explained"),
        ("unknown payout", (2, 3, 4), "explained"),
        ("unknown payout", (1, 3, 4), "explained"),
        ("unknown payout", (1, 2, 3, 4), "variance"),
        ("another payout", (3, 4), "variance"),
        ("unnamed payout", (3, 4), "variance"),
    ],
)
def test_a_return_of_a_payout_that_is_not_there_is_explained_where_that_may_be_older(
    note: str, months: tuple[int, ...], status: str
) -> None:
    """It came back in the middle of April; a payout that is loaded without a gap from January on would be there."""
    found = figure(4, note=note, moment=instant(4, 15), against=Decimal(0))
    cells = [covered(PAYOUTS, month) for month in months]
    assert judged(named("reversal_equals_payout"), found, cells).status == status


@given(
    equation=st.sampled_from(EQUATIONS),
    note=st.sampled_from(
        (
            "",
            "no rows",
            "rows lost",
            "no payout",
            "unknown payout",
            "missing",
            "currency",
            "category",
            "not filled in",
            "other payout",
            "payouts without rows",
            "older",
            "later",
            "gap",
            "not loaded",
        )
    ),
    cents=st.integers(-2, 2),
    count=st.integers(-1, 1),
    ages=st.lists(st.sampled_from((None, 4, 5)), min_size=12, max_size=12),
    ends=st.lists(st.sampled_from((20, 25)), min_size=12, max_size=12),
    items=st.sampled_from((1, 900)),
)
def test_every_figure_has_a_verdict_and_only_what_agrees_ties(
    equation: Equation, note: str, cents: int, count: int, ages: list[int | None], ends: list[int], items: int
) -> None:
    cells = [
        covered(input_.base, 2, data_available_end=age and instant(age), end=instant(2, end))
        for input_, age, end in zip(INPUTS.values(), ages, ends, strict=False)
    ]
    found = figure(
        figure=Decimal(cents) / 100,
        against=Decimal(0),
        count_difference=count,
        note=note,
        items=items,
        moment=instant(2, 22),
        item=OTHERS + note if items > 1 else "txn_1",
    )
    statement = judged(equation, found, cells)
    assert statement.status in STATUSES
    assert statement.reason.endswith(".")
    assert "{" not in statement.reason
    if statement.status == "tied":
        assert (cents, count, note) == (0, 0, "")
    if (cents, count, note) == (0, 0, ""):
        assert statement.status in ("tied", "pending")
