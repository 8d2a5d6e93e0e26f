"""Each fault that is planted is caught by the equations that are to catch it, and by no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reconcile.plants import FEBRUARY, PLANTS, STORED, TABLES, Plant, payout
from tests.reconcile.worlds import Account, World, Worlds, alarms, looked, spoil

pytestmark = pytest.mark.long

PLANTED = World("planted", (Account("shop"),), scale=0.1)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.title)
def test_a_plant_is_caught(plant: Plant, worlds: Worlds, tmp_path: Path) -> None:
    pipeline = worlds.copy(PLANTED, tmp_path)
    assert spoil(pipeline, *plant.sql) > 0
    caught = alarms(looked(pipeline))
    assert caught - {STORED} == plant.caught
    assert (STORED in caught) is plant.by_file


def test_a_payout_without_an_id_does_not_excuse_an_account_from_its_closing_balance(
    worlds: Worlds, tmp_path: Path
) -> None:
    """It is not a manual payout, which has no rows."""
    pipeline = worlds.copy(PLANTED, tmp_path)
    payouts, unsettled = TABLES["P"], TABLES["U"]
    assert spoil(
        pipeline,
        f"UPDATE {payouts} SET payout_id = NULL WHERE {payout('P').replace('P WHERE', f'{payouts} WHERE')}",
        f"UPDATE {unsettled} SET net = net + 0.01, gross = gross + 0.01 WHERE {FEBRUARY} AND balance_transaction_id = "
        f"(SELECT MIN(balance_transaction_id) FROM {unsettled} WHERE {FEBRUARY} AND currency = 'usd')",
    )
    assert "unsettled_rows_equal_closing" in alarms(looked(pipeline))
