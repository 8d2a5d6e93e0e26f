"""Rows that are joined by hashes of their ids, and transactions that stand under two payouts."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
from dlt import Pipeline

from stripe_reports_source.reconcile.checks import opened
from stripe_reports_source.reconcile.coverage import read_coverage
from stripe_reports_source.reconcile.equations import EQUATIONS, Equation
from stripe_reports_source.reconcile.groups import tables_of
from stripe_reports_source.reconcile.inputs import INPUTS
from stripe_reports_source.reconcile.queries import equation_query
from stripe_reports_source.reconcile.scope import Scope
from tests.conftest import query
from tests.reconcile.plants import TABLES
from tests.reconcile.worlds import NINE, Account, World, Worlds, looked, spoil

pytestmark = pytest.mark.long

DAILY = World("daily", (Account("shop", NINE, {"interval": "day"}),), datetime(2025, 1, 20, 12, tzinfo=timezone.utc))
A, S, P = TABLES["A"], TABLES["S"], TABLES["P"]
FAULTS = (
    f"UPDATE {A} SET net = net + 0.01, gross = gross + 0.01 WHERE _interval_day = '2025-01-06'",
    f"UPDATE {A} SET reporting_category = 'other', fee = NULL WHERE _interval_day = '2025-01-07'",
    f"DELETE FROM {A} WHERE _interval_day = '2025-01-08'",
    f"INSERT INTO {A} SELECT * FROM {A} WHERE _interval_day = '2025-01-09'",
    f"UPDATE {A} SET automatic_payout_id = NULL, automatic_payout_effective_at_utc = NULL "
    "WHERE _interval_day = '2025-01-10'",
    f"UPDATE {A} SET automatic_payout_effective_at_utc = automatic_payout_effective_at_utc + INTERVAL 1 DAY "
    "WHERE _interval_day = '2025-01-13'",
    f"INSERT INTO {S} SELECT * REPLACE ('po_again' AS automatic_payout_id) FROM {S} WHERE _interval_day = '2025-01-15'",
    f"UPDATE {S} SET balance_transaction_id = '' WHERE _interval_day = '2025-01-12'",
    f"UPDATE {S} SET _account = 'stall' WHERE _interval_day = '2025-01-17'",
    f"DELETE FROM {P} WHERE _interval_day = '2025-01-10'",
)


@pytest.mark.parametrize("equation", EQUATIONS, ids=lambda equation: f"{equation.file}-{equation.figure[0]}")
def test_hashes_find_what_texts_find(worlds: Worlds, tmp_path: Path, equation: Equation) -> None:
    pipeline = worlds.copy(DAILY, tmp_path)
    spoil(pipeline, *FAULTS)
    days = {f"shop|day|UTC|2025-01-{day:02}" for day in range(8, 18)}
    with opened(pipeline) as dataset:
        coverage = read_coverage(dataset.reader, None)
        tables = {name: tables_of(coverage, input_, dataset.columns) for name, input_ in INPUTS.items()}
        spans = {} if equation.counterpart is None else coverage.spans(INPUTS[equation.counterpart].base, "")
        for scope in (Scope(), Scope(touched=frozenset(days))):
            by_texts, by_hashes = (
                sorted(
                    dataset.answer(equation_query(equation, INPUTS, tables, scope, None, spans, hashed=hashed)),
                    key=repr,
                )
                for hashed in (False, True)
            )
            assert by_hashes == by_texts
            assert by_texts or not equation.per_row or not tables[equation.figure[0]] or equation.figure == ("payouts",)


@pytest.mark.parametrize(
    ("payout", "later", "reason"),
    [
        ("po_again", 3, None),
        ("po_again", 0, "another time"),
        ("po_other", 0, "another payout"),
        (None, 0, "does not name"),
    ],
)
def test_a_transaction_under_two_payouts_is_right_if_one_of_them_is_named(
    worlds: Worlds, tmp_path: Path, payout: str | None, later: int, reason: str | None
) -> None:
    pipeline = worlds.copy(DAILY, tmp_path)
    [(transaction,)] = query(
        pipeline, f"SELECT MIN(balance_transaction_id) FROM {S} JOIN {A} USING (balance_transaction_id)"
    )
    at = "automatic_payout_effective_at_utc"
    spoil(
        pipeline,
        f"INSERT INTO {S} SELECT * REPLACE ('po_again' AS automatic_payout_id, {at} + INTERVAL 3 DAY AS {at}) "
        f"FROM {S} WHERE balance_transaction_id = '{transaction}'",
    )
    assert _said(pipeline, transaction) == []
    named = "NULL" if payout is None else f"'{payout}'"
    spoil(
        pipeline,
        f"UPDATE {A} SET automatic_payout_id = {named}, {at} = {at} + INTERVAL {later} DAY "
        f"WHERE balance_transaction_id = '{transaction}'",
    )
    said = _said(pipeline, transaction)
    assert len(said) == (reason is not None)
    assert reason is None or reason in said[0]


def _said(pipeline: Pipeline, transaction: str) -> list[str]:
    return [
        f"{statement.status}: {statement.reason}"
        for statement in looked(pipeline)
        if statement.equation == "activity_names_its_payout" and statement.item == transaction
    ]
