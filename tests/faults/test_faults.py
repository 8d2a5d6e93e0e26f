"""A short, fixed slice of the fault harness, and proof that it finds faults of the loader when they are planted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness import Player, processes
from tests.faults.schedule import Destination, make_schedule


@pytest.fixture
def player_of(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    def make(destination: Destination, *plants: str) -> Player:
        address = request.getfixturevalue("postgres") if destination == "postgres" else None
        return Player(processes(), tmp_path, address, plants)

    return make


def slices() -> Iterator[tuple[Destination, int]]:
    yield from (("duckdb", seed) for seed in range(1, 7))
    yield from (("postgres", seed) for seed in range(1, 4))


@pytest.mark.parametrize(("destination", "seed"), list(slices()))
def test_nothing_is_lost_doubled_or_half_done(player_of: Any, destination: Destination, seed: int) -> None:
    played = player_of(destination).play(make_schedule(seed, destination, kills=True))
    assert played.findings.clean, played.findings.details


@pytest.mark.parametrize(
    ("plant", "destination", "seed", "found"),
    [
        ("no tombstone", "duckdb", 313, "rows_doubled"),
        ("early cursor", "duckdb", 303, "cursors_past_a_hole"),
        ("no adoption", "duckdb", 311, "runs_beyond_need"),
        ("random idempotency key", "duckdb", 306, "runs_beyond_need"),
        ("no transaction", "duckdb", 305, "cells_half_replaced"),
        ("key in the log", "duckdb", 300, "key_leaks"),
        ("crossed syncs unseen", "postgres", 318, "rows_lost"),
    ],
)
def test_planted_faults_are_found(player_of: Any, plant: str, destination: Destination, seed: int, found: str) -> None:
    """Whether a schedule trips over a fault may hang on how busy the machine is; a few schedules do not."""
    player = player_of(destination, plant)
    for number in range(seed, seed + 8):
        findings = player.play(make_schedule(number, destination, kills=destination == "duckdb")).findings
        if getattr(findings, found) > 0:
            return
    pytest.fail(f"{plant} was not found")
