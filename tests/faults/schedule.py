"""Schedules of trouble: what happens to a pipeline over some days, all from one seed. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, Literal

from stripe_reports_source.plan.intervals import Grid

Destination = Literal["duckdb", "postgres"]

# these never change after the fact, so they may be read with a short lookback
SETTLED = (
    "balance.summary",
    "balance_change_from_activity.summary",
    "payouts.itemized",
    "payouts.summary",
    "payout_reconciliation.summary",
)
# these fill in columns later (the payout that settles a transaction), which a long lookback must pick up
RESTATED = ("balance_change_from_activity.itemized", "payout_reconciliation.itemized", *SETTLED)
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata")
DAYS = {"day": (3, 5), "week": (12, 24), "month": (35, 75)}

KILL_POINTS = (
    "before creating a run",
    "after creating a run",
    "after a poll",
    "before a download",
    "after a download",
    "after a look at the header",
    "half-way through a cell",
    "after a cell",
    "package written",
    "package normalised",
    "after rows are staged",
    "before a merge",
    "half-way through a merge",
    "after a merge",
    "before the state is committed",
    "after the state is committed",
    "at any time",
)
BAD_FILES = {
    "empty file": "",
    "header of another report": '"who","what"\n"a","b"\n',
    "HTML file": "<html><body>Bad gateway</body></html>",
}

BLIND: dict[str, Any] = {
    "kind": "list of runs is blind",
    "action": "status",
    "status": 200,
    "method": "GET",
    "path": r"report_runs\?",
    "body": '{"object": "list", "data": [], "has_more": false}',
    "times": 1,
}


@dataclass(frozen=True)
class Kill:
    """SIGKILL of the syncing process: where, and at which time it comes there. `after` is seconds for "at any time"."""

    point: str
    count: int
    after: float


@dataclass(frozen=True)
class Step:
    """Time moves on, then a sync runs, in trouble.

    Args:
        hours: how far availability moves on before the sync.
        late: late transactions that are recorded with that move.
        withdrawn: whether those recorded before are taken out again, so that cells can lose all their rows.
        faults: fields of emulator faults, each with a name under `kind`.
        kill: where the process is killed.
        machine: which working folder the sync uses.
        lost_folder: that folder is lost before the sync.
        forget: Stripe forgets its idempotency keys before the sync.
        max_cells: intervals per load package.
        rival: another sync at the same time: `locked` by its own will, or `crossing`: without locks, one loads
            what it extracted only after the other is through.
    """

    hours: int
    late: int
    withdrawn: bool
    faults: tuple[dict[str, Any], ...]
    kill: Kill | None
    machine: int
    lost_folder: bool
    forget: bool
    max_cells: int
    rival: Literal["locked", "crossing"] | None


@dataclass(frozen=True)
class Schedule:
    """All that happens, and the settings it happens to."""

    seed: int
    destination: Destination
    reports: tuple[str, ...]
    grid: Grid
    zone: str
    lookback_days: int
    concurrency: int
    business_start: date
    available_end: datetime
    scale: float
    interval_edges: bool
    steps: tuple[Step, ...] = field(default_factory=tuple)

    @property
    def restated(self) -> bool:
        """True if rows change after the fact and the lookback is long enough to see it."""
        return self.lookback_days > 5


def make_schedule(seed: int, destination: Destination, *, kills: bool) -> Schedule:
    """The schedule of a seed. `kills`: at least one process is killed."""
    chance = random.Random(f"{seed}|{destination}")
    grid: Grid = chance.choice(("day", "week", "month"))
    restated = chance.random() < 0.4
    first = date(2025, 1, 1) + timedelta(days=chance.randrange(300))
    days = chance.randint(*DAYS[grid])
    end = datetime.combine(first + timedelta(days=days), time(chance.choice((0, 12))), timezone.utc)
    steps = [_step(chance, destination, restated, first_step=number == 0) for number in range(chance.randint(1, 3))]
    quiet = restated and chance.random() < 0.5
    if quiet:
        # nothing but late transactions, which are recorded, loaded and taken out again: cells fill and empty
        pair = [_step(chance, destination, restated, first_step=False) for _ in range(2)]
        steps += [
            replace(pair[0], hours=24, late=2, withdrawn=False),
            replace(pair[1], hours=24, late=chance.randint(0, 1), withdrawn=True),
        ]
    if kills and not any(step.kill for step in steps):
        index = chance.randrange(len(steps))
        steps[index] = replace(steps[index], kill=_kill(chance), rival=None)
    for number, step in reversed(list(enumerate(steps))):
        if step.kill and chance.random() < 0.5:
            # another try at the same data, once with a list of runs that is behind, once with forgotten keys
            blind = chance.random() < 0.5
            again = Step(0, 0, False, (BLIND,) if blind else (), None, 1, chance.random() < 0.5, not blind, 60, None)
            steps.insert(number + 1, again)
    reports = chance.sample(RESTATED if restated else SETTLED, chance.randint(1, 2))
    if quiet and RESTATED[0] not in reports:
        reports[0] = RESTATED[0]  # a row for each transaction, and none without
    return Schedule(
        seed=seed,
        destination=destination,
        reports=tuple(reports),
        grid=grid,
        zone=chance.choice(ZONES),
        lookback_days=12 if restated else chance.choice((0, 0, 1, 3)),
        concurrency=chance.choice((1, 2, 4)),
        business_start=first,
        available_end=end,
        scale=0.0 if quiet else 0.08,
        interval_edges=chance.random() < 0.7,
        steps=tuple(steps),
    )


def _step(chance: random.Random, destination: Destination, restated: bool, *, first_step: bool) -> Step:
    rival: Literal["locked", "crossing"] | None = None
    if chance.random() < 0.2:
        # two processes cannot have one DuckDB file open, so there the lock has to keep them apart
        rival = chance.choice(("locked", "crossing")) if destination == "postgres" and not first_step else "locked"
    hours = 0 if first_step else chance.choice((0, 12, 24, 24, 48, 132))
    return Step(
        hours=hours,
        late=chance.randint(0, 2) if hours and restated else 0,
        withdrawn=bool(hours) and restated and chance.random() < 0.5,
        faults=tuple(_fault(chance) for _ in range(chance.choice((0, 1, 1, 2, 3)))),
        kill=_kill(chance) if rival is None and chance.random() < 0.4 else None,
        machine=chance.randrange(2),
        lost_folder=chance.random() < 0.3,
        forget=chance.random() < 0.2,
        max_cells=chance.choice((2, 5, 60, 60)),
        rival=rival,
    )


def _kill(chance: random.Random) -> Kill:
    return Kill(chance.choice(KILL_POINTS), chance.choice((1, 1, 2, 3, 5)), round(chance.uniform(0.05, 1.2), 3))


def _fault(chance: random.Random) -> dict[str, Any]:
    error = '{"error": {"message": "try again", "type": "api_error"}}'
    where = {"skip": chance.randrange(6), "times": chance.choice((1, 1, 2))}
    api = chance.choice(({"address": "api"}, {"method": "POST"}, {"method": "GET", "path": "report_runs/"}))
    kinds: dict[str, dict[str, Any]] = {
        "500": {"action": "status", "status": 500, "body": error, **api, **where},
        "503 for long": {"action": "status", "status": 503, "body": error, **api, "skip": 3, "times": 9},
        "429": {"action": "status", "status": 429, "headers": {"Retry-After": "0"}, "body": error, **api, **where},
        "409": {"action": "status", "status": 409, "body": error, **api, **where},
        "reset": {"action": "reset", **api, **where},
        "answer lost after the work": {"action": "truncate", "bytes": 9, "method": "POST", **where},
        "cut answer": {"action": "truncate", "bytes": 30, **api, **where},
        "HTML for JSON": {"action": "status", "status": 200, "body": "<html>", **api, **where},
        "broken compression": {
            "action": "status",
            "status": 200,
            "headers": {"Content-Encoding": "gzip"},
            "body": "no gzip",
            **where,
        },
        "redirect": {
            "action": "status",
            "status": 302,
            "headers": {"Location": "http://127.0.0.1:9/"},
            **api,
            **where,
        },
        "cut download": {"action": "truncate", "bytes": 700, "address": "files", **where},
        "file too short": {"action": "wrong_length", "bytes": 5, "address": "files", **where, "times": 9},
        "file gone": {"action": "status", "status": 404, "body": error, "address": "files", **where},
        "run fails": {"action": "run_failed", "method": "POST", **where},
        "run fails for long": {"action": "run_failed", "method": "POST", "skip": where["skip"], "times": 4},
        "run is stuck": {"action": "run_stuck", "method": "POST", **where},
        "list of runs is blind": BLIND,
        **{
            name: {"action": "replace", "body": body, "address": "files", **where, "times": 9}
            for name, body in BAD_FILES.items()
        },
    }
    kind = chance.choice(sorted(kinds))
    return {**kinds[kind], "kind": kind}
