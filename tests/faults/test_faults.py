"""A short, fixed slice of the fault harness, and proof that it finds faults of the loader when they are planted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.faults.directed import EU, REPORT, US, directed
from tests.faults.harness import Player, processes
from tests.faults.schedule import Destination, Kill, Member, Schedule, Step, make_schedule
from tests.faults.trouble import BLIND, DROPS, REFUSALS, Play

DAY = 24


@pytest.fixture
def player_of(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    def make(destination: Destination, *plants: str) -> Player:
        address = request.getfixturevalue("postgres") if destination == "postgres" else None
        return Player(processes(), tmp_path, address, plants)

    return make


@pytest.mark.long
def test_each_process_keeps_its_exit_code() -> None:
    """Of schedules that are played at once, which look at one another's processes."""
    context = processes()

    def codes(_: int) -> list[int | None]:
        found = []
        for number in range(50):
            process = context.Process(target=sys.exit, args=(number,))
            process.start()
            process.join()
            found.append(process.exitcode)
        return found

    with ThreadPoolExecutor(8) as threads:
        assert [*threads.map(codes, range(8))] == [[*range(50)]] * 8


def plays(*names: Play) -> Iterator[Step]:
    for number, name in enumerate(names):
        yield Step(hours=DAY, play=name, nth=number)


@pytest.mark.parametrize(
    ("destination", "seed", "plain"),
    [
        ("duckdb", 22, True),
        ("postgres", 18, False),
        pytest.param("duckdb", 3, False, marks=pytest.mark.long),
        pytest.param("duckdb", 3, True, marks=pytest.mark.long),
        pytest.param("duckdb", 22, False, marks=pytest.mark.long),
        pytest.param("postgres", 18, True, marks=pytest.mark.long),
    ],
)
def test_nothing_is_lost_doubled_or_half_done(player_of: Any, destination: Destination, seed: int, plain: bool) -> None:
    played = player_of(destination).play(make_schedule(seed, destination, kills=True, plain=plain))
    assert played.findings.clean, played.findings.details


def at(point: str, count: int = 1) -> Kill:
    return Kill(point, count, 0.0)


SUMMARY = (Member("faults", "default", ("balance_change_from_activity.summary",)),)
CONNECTED = "connected_account_payouts.itemized"
PLATFORM: dict[str, Any] = {
    "members": (Member("faults", "default", (CONNECTED,)),),
    "connected": tuple(f"acct_{number:02d}" for number in range(20)),
    "business_start": date(2025, 1, 13),
    "lookback_days": 0,
    "concurrency": 4,
}
TWO = (Member("faults", "default", (REPORT, "balance_change_from_activity.summary")),)
DIRECTED: dict[str, Schedule] = {
    "other data": directed("duckdb", *plays(*REFUSALS)),
    "drops by hand": directed("duckdb", *plays(*DROPS)),
    "drops by hand in PostgreSQL": directed("postgres", *plays(*DROPS)),
    "drops by hand before plain runs": directed("duckdb", *plays(*DROPS), plain=True),
    "Stripe's objects": directed(
        "duckdb",
        Step(play="data taken back", nth=2),
        *plays("odd objects", "a report goes", "odd objects"),
        members=TWO,
    ),
    "forms of jobs": directed(
        "duckdb", *(Step(hours=DAY, form=form) for form in ("jsonl", "insert_values", "parquet"))
    ),
    "dictionaries": directed("duckdb", Step(hours=DAY), form="dictionaries"),
    "held elsewhere": directed("duckdb", *plays("held elsewhere")),
    "two accounts at once": directed("duckdb", Step(hours=DAY), members=(US, EU)),
    "PostgreSQL's trouble": directed(
        "postgres",
        *plays(
            "held elsewhere",
            "the answer to COMMIT lost",
            "the answer to COMMIT lost",
            "the lock's connection lost",
            "the answer to the rows' COMMIT lost",
        ),
        Step(hours=DAY, play="the answer to COMMIT lost", nth=5, form="csv"),
    ),
    "two accounts at once in PostgreSQL": directed("postgres", *plays("held elsewhere"), members=(US, EU)),
    "workers": directed(
        "duckdb",
        Step(hours=DAY, worker_kills=(at("after creating a run"), at("after a download"), at("after a file is kept"))),
        Step(hours=DAY, twice=True, worker_kills=(at("before a file is kept"),), kill=at("package normalised")),
        workers=True,
    ),
    "connected accounts": directed(
        "duckdb",
        Step(hours=DAY, kill=at("after creating a run", 7)),
        Step(hours=DAY, kill=at("after a cell", 5), max_cells=7, machine=1),
        Step(hours=DAY, kill=at("before cells are replaced"), lost_folder=True),
        Step(hours=DAY, kill=at("before the state is committed"), forget=True),
        Step(hours=DAY, play="an account leaves", nth=5, faults=(BLIND,)),
        **PLATFORM,
    ),
    "connected accounts in PostgreSQL": directed(
        "postgres",
        Step(hours=DAY, kill=at("after a download", 9), max_cells=7),
        Step(hours=DAY, kill=at("half-way through a merge"), machine=1),
        Step(hours=DAY, kill=at("after the state is committed"), lost_folder=True),
        Step(hours=DAY, play="an account leaves", nth=5),
        **PLATFORM,
    ),
    "SIGTERM": directed(
        "duckdb",
        Step(hours=DAY, kill=Kill("after a poll", 1, 0.0, softly=True)),
        Step(hours=DAY, kill=Kill("package normalised", 1, 0.0, softly=True)),
        Step(hours=DAY, kill=Kill("before cells are replaced", 1, 0.0, softly=True)),
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("name", DIRECTED)
def test_each_kind_of_trouble_is_withstood(player_of: Any, name: str) -> None:
    schedule = DIRECTED[name]
    played = player_of(schedule.destination).play(schedule)
    assert played.findings.clean, played.findings.details


ALL_BLIND = {**BLIND, "times": 99}
QUIET = {"scale": 0.0, "lookback_days": 12}
PLANTED: dict[str, tuple[Schedule, str]] = {
    "no tombstone": (
        directed("duckdb", Step(hours=DAY, late=2), Step(hours=DAY, withdrawn=True), **QUIET),
        "rows_doubled",
    ),
    "early cursor": (
        directed("duckdb", steps=(Step(max_cells=2, kill=at("after the state is committed")),)),
        "cursors_past_a_hole",
    ),
    "no adoption": (
        directed("duckdb", steps=(Step(kill=at("after a download")), Step(forget=True))),
        "runs_beyond_need",
    ),
    "random idempotency key": (
        directed("duckdb", steps=(Step(kill=at("after creating a run")), Step(faults=(BLIND,)))),
        "runs_beyond_need",
    ),
    "random idempotency key of a worker": (
        directed(
            "duckdb", workers=True, steps=(Step(faults=(ALL_BLIND,), worker_kills=(at("after creating a run"),)),)
        ),
        "runs_beyond_need",
    ),
    "no transaction": (
        directed("duckdb", Step(hours=DAY, kill=at("half-way through a merge")), Step()),
        "cells_half_replaced",
    ),
    "key in the log": (directed("duckdb"), "key_leaks"),
    "crossed syncs unseen": (
        directed("postgres", *(Step(hours=DAY, rival="crossing") for _ in range(2))),
        "rows_lost",
    ),
    "straight path takes all files": (directed("duckdb", Step(hours=DAY, form="jsonl")), "rows_lost"),
    "no account proof": (directed("duckdb", *plays("another account's key")), "refusals_missed"),
    "cursor stays ahead": (
        directed("duckdb", Step(play="data taken back", nth=2), grid="day", lookback_days=0, members=SUMMARY),
        "rows_lost",
    ),
    "window clamped in silence": (directed("duckdb", *plays("a window over the data's end")), "refusals_missed"),
    "jobs that cannot be repeated": (
        directed("postgres", Step(hours=DAY, play="the answer to the rows' COMMIT lost")),
        "mended_loss",
    ),
    "one staging for all": (
        # the second sync empties the staging table while the first one's rows wait there, so that these are not stored
        directed("postgres", Step(hours=2 * DAY, play="held elsewhere", nth=1), grid="day", members=(US, EU)),
        "mended_loss",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("plant", PLANTED)
def test_planted_faults_are_found(player_of: Any, plant: str) -> None:
    schedule, found = PLANTED[plant]
    findings = player_of(schedule.destination, plant.removesuffix(" of a worker")).play(schedule).findings
    assert getattr(findings, found) > 0, findings.details
