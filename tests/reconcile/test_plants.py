"""Each fault that is planted is caught by the equations that are to catch it, and by no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reconcile.plants import PLANTS, STORED, Plant
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
