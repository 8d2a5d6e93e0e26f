"""How much memory, and how many threads, a load into DuckDB begins with: by the width of its widest table."""

from __future__ import annotations

import pytest

from stripe_reports_source.warehouse.duckdb_memory import LOAD_BYTES, Room


@pytest.mark.parametrize(
    ("columns", "threads", "megabytes"),
    [(0, 2, (80, 90)), (30, 2, (80, 90)), (110, 2, (265, 320)), (209, 1, (209, 220)), (1000, 1, (1000, 1100))],
)
def test_room_grows_with_the_columns_and_threads_give_way_to_it(
    columns: int, threads: int, megabytes: tuple[int, int]
) -> None:
    room = Room(LOAD_BYTES, columns)
    found, wanted = room.of(2)
    assert found == threads
    assert megabytes[0] <= wanted / (1 << 20) <= megabytes[1]
    assert room.of(4)[0] >= found
    assert room.of(1)[0] == 1
