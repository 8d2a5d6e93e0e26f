"""Statements that are held as bytes are the same ones, in the same order, wherever they are read."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from stripe_reports_source.plan.system_tables import Statement
from stripe_reports_source.reconcile.reconciliation import Reconciliation
from stripe_reports_source.reconcile.statements import Statements, joined
from tests.reconcile.statements import statement

MANY = [
    statement(item=f"txn_{number}", status="tied" if number % 4 else "stale", figure=None if number == 3 else number)
    for number in range(10)
]


@pytest.mark.parametrize("at_once", [1, 3, 10, 1000])
def test_statements_come_back_as_they_were(at_once: int) -> None:
    held = Statements(MANY, at_once)
    assert (len(held), list(held), [held[at] for at in range(-10, 10)]) == (10, MANY, MANY + MANY)
    assert (held[2:7:2], held[::-1]) == (MANY[2:7:2], MANY[::-1])
    assert held == MANY
    assert MANY[1:] != held != 10
    assert statement(item="txn_9", status="tied", figure=9) in held
    for nowhere in (10, -11):
        with pytest.raises(IndexError):
            held[nowhere]


def test_a_reconciliation_of_held_statements_is_that_of_the_statements() -> None:
    held, whole = Reconciliation(Statements(MANY, 3)), Reconciliation(tuple(MANY))
    assert (held.ok, held.verdict(), held.lines()) == (whole.ok, whole.verdict(), whole.lines())
    assert (held.variances, held.open, held.count("tied")) == (whole.variances, whole.open, whole.count("tied"))
    later = Reconciliation([replace(MANY[0], status="tied")])
    assert held.followed_by(later).statements == whole.followed_by(later).statements
    assert not Reconciliation(Statements()).statements


def test_what_is_said_of_one_day_is_joined_to_another() -> None:
    days: list[list[Statement]] = [
        [replace(each, interval_day=date(2025, month, 1)) for each in MANY] for month in (1, 2)
    ]
    assert list(joined(Statements(of_day, 4) for of_day in days)) == [*days[0], *days[1]]
