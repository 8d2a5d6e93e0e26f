"""Schedules of trouble: what happens to a pipeline over some days, all from one seed. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, Literal

from stripe_reports_source.plan.intervals import Grid
from tests.faults.trouble import (
    BLIND,
    DROPS,
    FORMS,
    KILL_POINTS,
    OF_POSTGRES,
    OF_STRIPE,
    REFUSALS,
    WORKER_POINTS,
    Form,
    Play,
    some_fault,
)

Destination = Literal["duckdb", "postgres"]

TRAITS = ("reserves", "minimum_balance", "failed_payouts", "negative_payouts")
"""Of the business: those under which what is said of `SETTLED` stays as it was said first."""
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
WHOLE = 60
"""Intervals per load package where all of them go into one."""


@dataclass(frozen=True)
class Kill:
    """The end of the syncing process: where, and at which time it comes there. `after`: seconds for "at any time"."""

    point: str
    count: int
    after: float
    softly: bool = False
    """By SIGTERM, which lets it clean up."""


@dataclass(frozen=True)
class Step:
    """Time moves on, then a sync runs, in trouble.

    Args:
        hours: how far availability moves on before the sync.
        late: late transactions that are recorded with that move.
        withdrawn: whether those recorded before are taken out again, so that cells can lose all their rows.
        faults: fields of emulator faults, each with a name under `kind`.
        kill: where the process is ended.
        machine: which working folder the sync uses.
        lost_folder: that folder is lost before the sync.
        forget: Stripe forgets its idempotency keys before the sync.
        max_cells: intervals per load package.
        rival: another sync at the same time: `locked` by its own will, or `crossing`: without locks, one loads
            what it extracted only after the other is through.
        play: what else happens, see `trouble`.
        nth: which time, or which thing, the play is about.
        form: how the rows come to dlt's jobs; None as the schedule says.
        worker_kills: where the first workers that fetch a cell are ended.
        twice: each cell is fetched by two workers.
    """

    hours: int = 0
    late: int = 0
    withdrawn: bool = False
    faults: tuple[dict[str, Any], ...] = ()
    kill: Kill | None = None
    machine: int = 0
    lost_folder: bool = False
    forget: bool = False
    max_cells: int = WHOLE
    rival: Literal["locked", "crossing"] | None = None
    play: Play | None = None
    nth: int = 0
    form: Form | None = None
    worker_kills: tuple[Kill, ...] = ()
    twice: bool = False


@dataclass(frozen=True)
class Member:
    """A pipeline that loads into the dataset; `other`: from the second of the emulator's accounts."""

    pipeline: str
    label: str
    reports: tuple[str, ...]
    other: bool = False


@dataclass(frozen=True)
class Schedule:
    """All that happens, and the settings it happens to. Several members sync at the same time, each in a process.

    Args:
        plain: by `pipeline.run`, not by `load_reports`.
        workers: by cells as jobs: each cell is fetched by a worker of its own.
        form: how rows come to dlt's jobs in all syncs, where a step does not say.
        connected: the platform's accounts, for each of which the reports are run.
    """

    seed: int
    destination: Destination
    members: tuple[Member, ...]
    grid: Grid
    zone: str
    lookback_days: int
    concurrency: int
    business_start: date
    available_end: datetime
    scale: float
    interval_edges: bool
    plain: bool = False
    workers: bool = False
    form: Form | None = None
    connected: tuple[str, ...] = ()
    steps: tuple[Step, ...] = field(default_factory=tuple)

    @property
    def restated(self) -> bool:
        """True if rows change after the fact and the lookback is long enough to see it."""
        return self.lookback_days > 5

    @property
    def reports(self) -> tuple[str, ...]:
        """The reports of all members."""
        return tuple(dict.fromkeys(report for member in self.members for report in member.reports))


def make_schedule(
    seed: int, destination: Destination, *, kills: bool, plain: bool = False, workers: bool = False
) -> Schedule:
    """The schedule of a seed. `kills`: at least one process is killed."""
    chance = random.Random(f"{seed}|{destination}|{'workers' if workers else plain}")
    grid: Grid = chance.choice(("day", "week", "month"))
    restated = chance.random() < 0.4
    first = date(2025, 1, 1) + timedelta(days=chance.randrange(300))
    days = chance.randint(*DAYS[grid])
    end = datetime.combine(first + timedelta(days=days), time(chance.choice((0, 12))), timezone.utc)
    quiet = restated and chance.random() < 0.4
    reports = chance.sample(RESTATED if restated else SETTLED, chance.randint(1, 2))
    if quiet and RESTATED[0] not in reports:
        reports[0] = RESTATED[0]  # a row for each transaction, and none without
    schedule = Schedule(
        seed=seed,
        destination=destination,
        members=_members(chance, reports, alone=quiet or plain or workers),
        grid=grid,
        zone=chance.choice(ZONES),
        lookback_days=12 if restated else chance.choice((0, 0, 1, 3)),
        concurrency=chance.choice((1, 2, 4)),
        business_start=first,
        available_end=end,
        scale=0.0 if quiet else 0.08,
        interval_edges=chance.random() < 0.7,
        plain=plain,
        workers=workers,
        # dictionaries are given columns of dlt's own, so that they stay what they are
        form="dictionaries" if chance.random() < 0.06 else None,
    )
    return replace(schedule, steps=tuple(_steps(chance, schedule, quiet=quiet, kills=kills)))


def _members(chance: random.Random, reports: list[str], *, alone: bool) -> tuple[Member, ...]:
    if alone or chance.random() < 0.75:
        return (Member("faults", "default", tuple(reports)),)
    if len(reports) == 2 and chance.random() < 0.5:
        return tuple(Member(f"faults_{number}", "default", (report,)) for number, report in enumerate(reports))
    return (
        Member("faults_us", "us", tuple(reports)),
        Member("faults_eu", "eu", tuple(reports), other=True),
    )


def _steps(chance: random.Random, schedule: Schedule, *, quiet: bool, kills: bool) -> list[Step]:
    steps = [_step(chance, schedule, first_step=number == 0) for number in range(chance.randint(1, 3))]
    if quiet:
        # nothing but late transactions, which are recorded, loaded and taken out again: cells fill and empty
        pair = [_step(chance, schedule, first_step=False) for _ in range(2)]
        steps += [
            replace(pair[0], hours=24, late=2, withdrawn=False),
            replace(pair[1], hours=24, late=chance.randint(0, 1), withdrawn=True),
        ]
    if schedule.workers:
        steps = [_by_workers(chance, step) for step in steps]
    elif kills and not any(step.kill and not step.kill.softly for step in steps):
        index = chance.randrange(len(steps))
        steps[index] = replace(steps[index], kill=_kill(chance, softly=False), rival=None, play=None)
    for number, step in reversed(list(enumerate(steps))):
        if step.kill and chance.random() < 0.5:
            # another try at the same data, once with a list of runs that is behind, once with forgotten keys
            blind = chance.random() < 0.5
            lost = chance.random() < 0.5
            again = Step(faults=(BLIND,) if blind else (), machine=1, lost_folder=lost, forget=not blind)
            steps.insert(number + 1, again)
    return steps


def _step(chance: random.Random, schedule: Schedule, *, first_step: bool) -> Step:
    alone = len(schedule.members) == 1
    play = _play(chance, schedule, first_step=first_step) if chance.random() < 0.5 else None
    rival: Literal["locked", "crossing"] | None = None
    if play is None and alone and not schedule.plain and not schedule.workers and chance.random() < 0.2:
        # two processes cannot have one DuckDB file open, so there the lock has to keep them apart
        crossing = schedule.destination == "postgres" and not first_step
        rival = chance.choice(("locked", "crossing")) if crossing else "locked"
    quietly = play in DROPS or play in REFUSALS or play == "a report goes"
    # what is taken back was loaded, so that time stands still until then
    hours = 0 if first_step or play == "data taken back" else chance.choice((0, 12, 24, 24, 48, 132))
    if play in REFUSALS:
        hours = hours or 24  # whose key it is, is only asked where there is something to run
    killed = rival is None and not quietly and chance.random() < (0.8 if schedule.plain else 0.4)
    return Step(
        hours=hours,
        late=chance.randint(0, 2) if hours and schedule.restated else 0,
        withdrawn=bool(hours) and schedule.restated and chance.random() < 0.5,
        faults=() if quietly else tuple(some_fault(chance) for _ in range(chance.choice((0, 1, 1, 2, 3)))),
        kill=_kill(chance, softly=chance.random() < 0.3) if killed else None,
        machine=chance.randrange(2),
        lost_folder=chance.random() < 0.3,
        forget=chance.random() < 0.2,
        max_cells=chance.choice((3, WHOLE, WHOLE)),
        rival=rival,
        play=play,
        nth=chance.randrange(12),
        form=chance.choice(FORMS[schedule.destination]) if schedule.form is None and chance.random() < 0.25 else None,
    )


def _play(chance: random.Random, schedule: Schedule, *, first_step: bool) -> Play:
    """Which one. Most need something that is loaded."""
    of_postgres = OF_POSTGRES if schedule.destination == "postgres" else ()
    if len(schedule.members) > 1:
        return chance.choice(("held elsewhere", "odd objects", *of_postgres[1:]))
    if first_step:
        return chance.choice(("held elsewhere", "odd objects", *of_postgres))
    groups = (REFUSALS, DROPS, OF_STRIPE, ("held elsewhere", *of_postgres))
    return chance.choice(chance.choice(groups))


def _by_workers(chance: random.Random, step: Step) -> Step:
    """The same step with workers, of which some are killed: most come past each point once."""
    kills = tuple(
        Kill(
            chance.choice(WORKER_POINTS),
            chance.choice((1, 1, 1, 2)),
            round(chance.uniform(0.01, 0.2), 3),
            softly=chance.random() < 0.2,
        )
        for _ in range(chance.choice((1, 2, 3, 5)))
    )
    # a list of runs that is behind and forgotten keys at once leave no way to find a run
    faults = tuple(fault for fault in step.faults if not (step.forget and fault == BLIND))
    return replace(step, worker_kills=kills, twice=chance.random() < 0.3, faults=faults)


def _kill(chance: random.Random, *, softly: bool) -> Kill:
    count = chance.choice((1, 1, 2, 3, 5))
    return Kill(chance.choice(KILL_POINTS), count, round(chance.uniform(0.05, 1.2), 3), softly)
