"""What a schedule plays around a sync, beside faults and kills: in Stripe, in the destination, by other hands."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stripe_reports_source.emulator import late_charge
from stripe_reports_source.plan import system_tables
from tests.faults.schedule import Step
from tests.faults.trouble import Play
from tests.faults.worker import CLEAN, NOT_ALL_LOADED, REFUSED, Work, hold_database
from tests.pipeline.truth import NEWEST

if TYPE_CHECKING:
    from tests.faults.harness import Game

HELD_SECONDS = 0.7
HELD_AT_MOST = 20.0
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{}'::regclass"
SENTENCE = 320
"""Characters of a refusal at most."""
SYSTEM_TABLES = tuple(table.name for table in system_tables.SYSTEM_TABLES)
DLTS_TABLES = ("_dlt_loads", "_dlt_version", "_dlt_pipeline_state")
REMEDY = "drop_resources"


def refused(game: Game, work: Work, play: Play) -> None:
    """A sync that asks for other data than the tables hold: it must be refused, and change nothing."""
    if _pending(work, "*") or not game.oracle.anything_loaded():
        return  # a refused sync, too, first loads what a killed one has left
    runs, before = len(game.emulator.runs), game.oracle.snapshot()
    work = replace(work, **_other_data(game, play))
    code = game.wait([game.start(work)])[0]
    window = play.startswith("a window")
    expected = (REFUSED, NOT_ALL_LOADED) if window else (REFUSED,)
    game.findings.note("refusals_missed", int(code not in expected), f"{play}: ended with {code}: {game.said(work)}")
    made = [run.id for run in game.emulator.runs[runs:]]
    game.findings.note("changed_by_a_refused_sync", len(made), f"{play}: {len(made)} runs made")
    changed = game.oracle.snapshot() != before
    game.findings.note("changed_by_a_refused_sync", int(changed), f"{play}: rows or cursors changed")


def _other_data(game: Game, play: Play) -> dict[str, Any]:
    first, end = game.schedule.business_start, game.emulator.service.available_end.date()
    days = {
        "a window after the data": (end + timedelta(days=3), end + timedelta(days=6)),
        "a window over the data's end": (end - timedelta(days=2), end + timedelta(days=6)),
        "a window before the data": (first - timedelta(days=9), first - timedelta(days=3)),
    }
    if play in days:
        return {"window": tuple(day.isoformat() for day in days[play])}
    others: dict[str, dict[str, Any]] = {
        "another label": {"label": "renamed"},
        "a test key": {"api_key": game.test_key},
        "another account's key": {"api_key": game.other_key},
    }
    return others[play]


def mended(game: Game, work: Work, step: Step) -> int:
    """Something is dropped by hand: the sync mends it, or names a remedy that works.

    Returns:
        How the last sync ended.
    """
    for machine in (0, 1) if game.schedule.plain else ():
        if _pending(work, machine):  # dlt loads it before anything of ours can look at the tables
            game.wait([game.start(replace(work, machine=machine))], forgiving=True)
    dropped = _drop(game, step)
    if not dropped:
        return game.wait([game.start(work)])[0]
    code = game.wait([game.start(work)], forgiving=game.schedule.plain)[0]
    if game.schedule.plain and code not in (CLEAN, REFUSED):
        code = game.wait([game.start(work)])[0]  # dlt has loaded what was pending, or has given up a package
    if code == REFUSED:
        said = game.said(work)
        wordy = REMEDY not in said or len(said) > SENTENCE or "\n" in said
        game.findings.note("not_mended", int(wordy), f"{dropped}: {said}")
        code = game.wait([game.start(replace(work, refresh=True, watch=False))])[0]
    game.findings.note("not_mended", int(code != CLEAN), f"{dropped}: ended with {code}: {game.said(work)}")
    return code


def _pending(work: Work, machine: int | str) -> list[Path]:
    """The packages that killed syncs have left in a working folder."""
    places = ("load/normalized", "normalize/extracted")
    return [found for place in places for found in work.folder.glob(f"machine{machine}/*/{place}/*")]


def _drop(game: Game, step: Step) -> str:
    """Drop it; says what, "" if it is not there."""
    store = game.store
    reports = [report.replace(".", "_") for report in game.schedule.reports]
    tables = {
        "a table dropped": reports,
        "a column dropped": reports,
        "a system table dropped": SYSTEM_TABLES,
        "dlt's tables dropped": DLTS_TABLES,
        "the dataset dropped": reports,
    }[str(step.play)]
    table = tables[step.nth % len(tables)]
    columns = store.columns(table)
    if not columns:
        return ""
    if step.play == "the dataset dropped":
        store.run(f'DROP SCHEMA "{store.dataset}" CASCADE')
        return str(step.play)
    if step.play == "a column dropped":
        column = columns[step.nth % len(columns)]
        store.run(f'ALTER TABLE {store.table(table)} DROP COLUMN "{column}"')
        return f"{step.play}: {table}.{column}"
    store.run(f"DROP TABLE {store.table(table)}")
    return f"{step.play}: {table}"


def take_back(game: Game, step: Step) -> datetime:
    """Stripe takes back what it had announced; returns what was announced."""
    end = game.emulator.service.available_end
    hours = (12, 24, 36)[step.nth % 3]
    for name in game.emulator.service.type_names:
        game.emulator.set_availability(name, end=end - timedelta(hours=hours))
    return end


def give_back(game: Game, announced: datetime, hours: int, number: int) -> None:
    """What was taken back is there again, with other content; for `hours` == 0 up to the same instant as before."""
    gone = game.emulator.service.available_end
    moment = gone + (announced - gone) / 2
    charge = late_charge(f"back{number}", moment, game.emulator.service.now, "usd", 777, 52, "back", {})
    game.emulator.advance(announced + timedelta(hours=hours))
    game.emulator.add_transaction(charge)


def odd_objects(game: Game, work: Work, step: Step) -> None:
    """Stripe's lists hold a report type and a run that are not as others."""
    odd = (
        {"data_available_start": None, "data_available_end": None},
        {"version": "newest", "updated": "yesterday"},
        {"version": 10**30, "data_available_end": 10**30},
        {"name": None, "default_columns": None},
    )[step.nth % 4]
    emulator = game.emulator
    emulator.alter(f"odd.report.{step.nth}", odd, absent=("livemode",))
    available = emulator.settings.first_available
    parameters = {
        # no two are alike: a second run of the same interval would be one too many
        "interval_start": int((available + timedelta(hours=1, seconds=len(emulator.runs))).timestamp()),
        "interval_end": int((available + timedelta(hours=2)).timestamp()),
    }
    live = f"live{'' if work.label != 'eu' else f'@{game.other_account}'}:"
    emulator.service.create_run("payouts.itemized.3", parameters, scope=live, live=True, key=None)
    fields = ({"status": "resting"}, {"status": "succeeded", "result": None}, {"created": 10**30})[step.nth % 3]
    emulator.alter(emulator.runs[-1].id, fields)


def report_goes(game: Game) -> str:
    """The last report is no longer offered, in no version; returns its name, "" if it was never loaded."""
    report = game.schedule.reports[-1]
    if not game.oracle.anything_loaded():
        return ""
    for name in game.emulator.service.type_names:
        if name.rpartition(".")[0] == NEWEST[report].rpartition(".")[0]:
            game.emulator.alter(name, hidden=True)
    return report


def account_leaves(game: Game, step: Step) -> str:
    """A connected account leaves the platform amid the sync, before its own turn comes; returns which."""
    account = game.schedule.connected[-1]
    game.emulator.revoke(account, after_runs=step.nth)
    return account


@contextmanager
def around(game: Game, step: Step) -> Iterator[dict[str, Any]]:
    """What goes on while a sync is at work; gives changes to its work order."""
    if step.play in ("the answer to COMMIT lost", "the answer to the rows' COMMIT lost"):
        proxy, address = game.proxy
        if step.play == "the answer to COMMIT lost":
            proxy.cut_at(1 + step.nth)
        else:
            proxy.cut_at(1, _table(game, step))
        yield {"store": replace(game.store, database=address)}
        proxy.cut_at(0)
    elif step.play == "held elsewhere" and game.store.is_postgres:
        with _reading(game, step):
            yield {}
    elif step.play == "held elsewhere":
        ready = game.context.Event()
        holder = game.context.Process(target=hold_database, args=(game.store.database, ready, HELD_SECONDS))
        holder.start()
        ready.wait(10)
        yield {"watch": False}
        holder.join()
    elif step.play == "the lock's connection lost":
        over = threading.Event()
        killer = threading.Thread(target=_cut_lock, args=(game, len(game.emulator.runs), over))
        killer.start()
        yield {}
        over.set()
        killer.join()
    else:
        yield {}


@contextmanager
def _reading(game: Game, step: Step) -> Iterator[None]:
    """Someone reads a table and leaves the transaction open for a while; or locks it, until all syncs wait for it."""
    table = _table(game, step)
    ready = threading.Event()

    def read() -> None:
        with game.store.session(autocommit=False) as run:
            there = bool(game.store.columns(table))
            if there:
                run(f"SELECT count(*) FROM {game.store.table(table)}")
            if there and step.nth % 2:
                run(f"LOCK TABLE {game.store.table(table)} IN SHARE MODE")  # as CREATE INDEX does
                game.locked = table
            ready.set()
            while game.locked:
                time.sleep(0.02)
            time.sleep(HELD_SECONDS)

    reader = threading.Thread(target=read)
    reader.start()
    ready.wait(10)
    try:
        yield
    finally:
        game.locked = ""
        reader.join()


def until_they_wait(game: Game, started: Sequence[Any]) -> None:
    """Until all of these syncs wait for the locked table, but for those that have ended."""
    waiting = WAITING.format(game.store.table(game.locked))
    give_up = time.monotonic() + HELD_AT_MOST
    with game.store.session() as run:
        while time.monotonic() < give_up and run(waiting)[0][0] < sum(process.is_alive() for process in started):
            time.sleep(0.02)


def _table(game: Game, step: Step) -> str:
    """The table of a report that a play is about."""
    return game.schedule.reports[step.nth % len(game.schedule.reports)].replace(".", "_")


def _cut_lock(game: Game, runs: int, over: threading.Event) -> None:
    """End the session that holds the lock, once Stripe is awaited."""
    sessions = (
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_backend_pid() AND d.datname = current_database()"
    )
    with game.store.session() as run:
        while not over.wait(0.005):
            if len(game.emulator.runs) > runs:
                run(sessions)
                return
