"""What is said where stored amounts are not those of the file: a difference in the currency that it is said of."""

from __future__ import annotations

from pathlib import Path

from stripe_reports_source.plan.system_tables import Statement
from tests.reconcile.plants import STORED, TABLES
from tests.reconcile.test_plants import PLANTED
from tests.reconcile.worlds import Worlds, looked, spoil

A = TABLES["A"]
ONE = f"(SELECT MIN(balance_transaction_id) FROM {A} WHERE currency = 'usd' AND reporting_category = 'charge')"


def _spoiled(worlds: Worlds, folder: Path, *sql: str) -> Statement:
    pipeline = worlds.copy(PLANTED, folder)
    assert spoil(pipeline, *sql) == 1
    [found] = [item for item in looked(pipeline) if (item.equation, item.status) == (STORED, "variance")]
    assert (found.currency, found.item) == ("usd", "charge")
    return found


def test_a_row_too_many_differs_by_its_net_whatever_its_customer_saw(worlds: Worlds, tmp_path: Path) -> None:
    found = _spoiled(
        worlds,
        tmp_path,
        f"INSERT INTO {A} SELECT * REPLACE (200 AS gross, 0 AS fee, 200 AS net, 30000 AS customer_facing_amount, "
        f"'jpy' AS customer_facing_currency) FROM {A} WHERE balance_transaction_id = {ONE}",
    )
    assert found.difference == 200
    assert found.count_difference == 1
    assert "they differ in customer_facing_amount, gross, net:" in found.reason


def test_what_a_customer_saw_is_no_difference_in_the_currency_of_the_settlement(worlds: Worlds, tmp_path: Path) -> None:
    found = _spoiled(
        worlds,
        tmp_path,
        f"UPDATE {A} SET customer_facing_amount = COALESCE(customer_facing_amount, 0) + 30000 "
        f"WHERE balance_transaction_id = {ONE}",
    )
    assert found.difference is None
    assert "they differ in customer_facing_amount:" in found.reason


def test_a_row_without_an_amount_that_is_lost_is_a_row_and_no_sum(worlds: Worlds, tmp_path: Path) -> None:
    nothing = "0 AS gross, 0 AS fee, 0 AS net, NULL AS customer_facing_amount"
    found = _spoiled(
        worlds,
        tmp_path,
        f"INSERT INTO {A} SELECT * REPLACE ({nothing}) FROM {A} WHERE balance_transaction_id = {ONE}",
    )
    assert (found.difference, found.count_difference) == (None, 1)
