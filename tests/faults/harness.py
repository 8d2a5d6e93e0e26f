"""Plays schedules: an emulator in this process, syncs in processes of their own, checks after every step."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from stripe_reports_source.emulator import Emulator, EmulatorSettings, Fault, late_charge
from tests.faults import plays, worker
from tests.faults.arms import PATIENCE
from tests.faults.jobs import sync_by_jobs
from tests.faults.leftovers import nothing_is_left_behind
from tests.faults.oracle import Findings, Oracle
from tests.faults.processes import Processes
from tests.faults.proxy import CommitProxy, commit_proxy
from tests.faults.schedule import TRAITS, WHOLE, Member, Schedule, Step
from tests.faults.store import Store
from tests.faults.trouble import DROPS, REFUSALS
from tests.faults.worker import CLEAN, KILLED, NOT_ALL_LOADED, OTHER_ERROR, PENDING_ALONE, REFUSED, Work, run_worker

DATASET = "stripe"
OTHER_ACCOUNT = "acct_other"


@dataclass
class Played:
    """What became of a schedule."""

    schedule: Schedule
    findings: Findings = field(default_factory=Findings)
    kills: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    kill_points: Counter[str] = field(default_factory=Counter)
    plays: Counter[str] = field(default_factory=Counter)
    sightings: int = 0
    runs: int = 0
    crossings: int = 0


def processes() -> Processes:
    """Processes that begin with everything imported, so that a sync costs no start-up."""
    context = Processes()
    context.set_forkserver_preload([worker.__name__])
    return context


class Player:
    """Plays schedules, one after the other or several at once.

    Args:
        context: where processes come from.
        folder: for files.
        postgres: address of a server, for schedules on PostgreSQL.
        plants: names of faults of the loader.
    """

    def __init__(self, context: Processes, folder: Path, postgres: str | None, plants: tuple[str, ...]) -> None:
        self._context = context
        self._folder = folder
        self._postgres = postgres
        self._plants = plants

    def play(self, schedule: Schedule) -> Played:
        """Play a schedule and look whether all promises were kept."""
        folder = self._folder / f"{schedule.destination}-{schedule.seed}-{uuid.uuid4().hex[:6]}"
        (folder / "tmp").mkdir(parents=True)
        keys = [f"rk_live_{uuid.uuid4().hex}", f"rk_live_{uuid.uuid4().hex}"]
        settings = EmulatorSettings(
            seed=schedule.seed,
            scale=schedule.scale,
            business_start=schedule.business_start,
            available_end=schedule.available_end,
            interval_edges=schedule.interval_edges,
            live_keys=tuple(keys),
            test_keys=(f"rk_test_{uuid.uuid4().hex}",),
            accounts={keys[1]: OTHER_ACCOUNT},
            traits=TRAITS,
            connected_accounts=schedule.connected or EmulatorSettings.connected_accounts,
            all_types=bool(schedule.connected),
        )
        with ExitStack() as stack:
            store = Store(str(folder / "warehouse.duckdb"), DATASET)
            if self._postgres:
                store = Store(stack.enter_context(_own_database(self._postgres)), DATASET)
            emulator = stack.enter_context(Emulator(settings))
            game = Game(self._context, schedule, emulator, store, folder, self._plants, stack)
            try:
                game.play()
            except Exception as error:  # a table is not as it should be, so that it cannot be compared
                game.findings.note("not_played", 1, f"{type(error).__name__}: {' '.join(str(error).split())}")
        if game.played.findings.clean:
            shutil.rmtree(folder, ignore_errors=True)
        return game.played


class Game:
    """A schedule that is being played."""

    other_account = OTHER_ACCOUNT

    def __init__(
        self,
        context: Processes,
        schedule: Schedule,
        emulator: Emulator,
        store: Store,
        folder: Path,
        plants: tuple[str, ...],
        stack: ExitStack,
    ) -> None:
        self.context = context
        self.schedule = schedule
        self.emulator = emulator
        self.store = store
        self.played = Played(schedule)
        self.findings = self.played.findings
        self._stack = stack
        self._announced: datetime | None = None
        """Up to when Stripe had data before it took some back."""
        self._unseen = False
        """No sync that has ended well has seen that data was taken back, which is there again with other content."""
        self.locked = ""
        """The table that someone keeps locked until all syncs wait for it."""
        key, self.other_key = emulator.settings.live_keys
        self.test_key = emulator.settings.test_keys[0]
        self._keys = {member: self.other_key if member.other else key for member in schedule.members}
        self._work = Work(schedule, folder, store, key, emulator.api_url, emulator.files_url, plants=plants)
        self.oracle = Oracle(schedule, emulator, store, self._keys, self.findings)

    @cached_property
    def proxy(self) -> tuple[CommitProxy, str]:
        """A way to PostgreSQL that can be cut, and its address."""
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="faults-"))
        return self._stack.enter_context(commit_proxy(self.store.database, Path(folder)))

    def play(self) -> None:
        """Play all steps, then a sync without trouble, and look at what there is."""
        for number, step in enumerate(self.schedule.steps):
            self._step(number, step)
        self._advance(Step(hours=24), len(self.schedule.steps))
        self._last_sync()
        self.oracle.tables_hold_the_truth("at the end")
        self.oracle.ledger_says_what_is_stored("at the end")
        if not self.schedule.restated:
            self.oracle.cursors_hide_no_hole("at the end")
        self.played.sightings += self.oracle.cells_were_seen_whole(self._work.sightings)
        self.oracle.nothing_had_to_be_mended(self._work.losses)
        self.oracle.runs_were_needed()
        self.played.runs = len(self.emulator.runs)
        nothing_is_left_behind(self._work, self.findings)

    def said(self, work: Work) -> str:
        """The error of the last sync of a work order."""
        path = work.folder / work.said
        return path.read_text("utf-8") if path.exists() else ""

    def start(self, work: Work) -> Any:
        """A process that syncs."""
        process = self.context.Process(target=run_worker, args=(work,), daemon=True)
        process.start()
        return process

    def wait(self, started: Sequence[Any], *, forgiving: bool = False) -> list[int]:
        """Wait for the ends of processes. `forgiving`: an error of dlt's is no finding."""
        codes = []
        for process in started:
            process.join(2 * PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()
                self.findings.note("last_sync_failed", 1, "a sync did not end")
            code = int(process.exitcode)
            self.played.kills += code in KILLED
            self.played.endings[str(code)] += 1
            if not forgiving:
                self.findings.note("errors_unexplained", int(code == OTHER_ERROR), "see worker.log")
            self.findings.note("not_stopped", int(code == -signal.SIGTERM), "SIGTERM ended it before it could clean up")
            codes.append(code)
        return codes

    def _step(self, number: int, step: Step) -> None:
        moment = f"step {number + 1}"
        gone = self._trouble(number, step)
        works = [self._order(member, step, number) for member in self.schedule.members]
        if step.play in DROPS:
            code = plays.mended(self, works[0], step)
        else:
            if step.play in REFUSALS:
                plays.refused(self, works[0], step.play)
            with plays.around(self, step) as changes:
                code = self._sync([replace(work, **changes) for work in works], step)
        self.emulator.clear_faults()
        if gone:
            expected = (NOT_ALL_LOADED, REFUSED)
            self.findings.note("refusals_missed", int(code not in expected), f"{gone} is gone, ended with {code}")
            self.emulator.restore()
            self.emulator.reconnect(gone)
        if self._announced is not None:
            self._unseen = code != CLEAN
            return  # what is loaded is more than there is
        self._unseen &= code != CLEAN
        # a plain run loads all reports or none
        if code == CLEAN or (gone and not self.schedule.plain):
            self.oracle.tables_hold_the_truth(moment, gone)
        if not self.schedule.restated and not self._unseen and code != PENDING_ALONE:
            self.oracle.cursors_hide_no_hole(moment)

    def _trouble(self, number: int, step: Step) -> str:
        """What is there before the sync begins. Returns the report or the account that goes."""
        self._advance(step, number)
        if step.lost_folder:
            shutil.rmtree(self._work.folder / f"machine{step.machine}", ignore_errors=True)
        if step.forget:
            self.emulator.service.forget_idempotency()
        for fault in step.faults:
            self.emulator.add_fault(Fault(**{name: value for name, value in fault.items() if name != "kind"}))
            self.played.faults[str(fault["kind"])] += 1
        if step.play:
            self.played.plays[step.play] += 1
        if len(self.schedule.members) > 1:
            self.played.plays["several pipelines at once"] += 1
        if form := step.form or self.schedule.form:
            self.played.plays[f"rows as {form}"] += 1
        if step.play == "data taken back" and self._announced is None:
            self._announced = plays.take_back(self, step)
        elif step.play == "odd objects":
            plays.odd_objects(self, self._work, step)
        if step.play == "an account leaves":
            return plays.account_leaves(self, step)
        return plays.report_goes(self) if step.play == "a report goes" else ""

    def _advance(self, step: Step, number: int) -> None:
        if self._announced is not None:
            announced, self._announced = self._announced, None
            plays.give_back(self, announced, step.hours, number)
            return
        end = self.emulator.service.available_end
        if step.withdrawn:
            late = [found.id for found in self.emulator.ledger.transactions if found.id.startswith("txn_late")]
            for transaction in late:
                self.emulator.withdraw_transaction(transaction)
        for index in range(step.late):
            created = end - timedelta(days=1 + index, hours=3)
            identity = f"late{number}x{index}"
            self.emulator.add_transaction(
                late_charge(identity, created, self.emulator.service.now, "usd", 4200 + index, 152, "late", {})
            )
        if step.hours:
            self.emulator.advance(end + timedelta(hours=step.hours))

    def _order(self, member: Member, step: Step, number: int) -> Work:
        """A work order for a member in a step."""
        return replace(
            self._work,
            pipeline=member.pipeline,
            label=member.label,
            reports=member.reports,
            api_key=self._keys[member],
            machine=step.machine,
            max_cells=step.max_cells,
            form=step.form or self.schedule.form,
            # two processes cannot have one DuckDB file open, so that a reader would keep another pipeline out
            watch=step.rival is None and (self.store.is_postgres or len(self.schedule.members) == 1),
            said=f"said-{number}-{member.pipeline}",
        )

    def _sync(self, works: Sequence[Work], step: Step) -> int:
        """Sync all members at once. Returns `CLEAN` only if all ended well."""
        forgiving = step.play == "the answer to COMMIT lost" or self.schedule.plain
        for kill in (step.kill, *step.worker_kills):
            if kill:
                self.played.kill_points[kill.point] += 1
        if self.schedule.workers:
            return sync_by_jobs(self, works[0], step)
        if step.rival == "locked":
            works = [works[0], replace(works[0], machine=1 - works[0].machine)]
        if step.rival == "crossing":
            return self._cross(works[0])
        started: list[Any] = []
        for work in (replace(works[0], kill=step.kill), *works[1:]):
            started.append(self.start(work))
            if self.locked:  # by then it has begun to load, and has not loaded this table
                plays.until_they_wait(self, started)
        self.locked = ""
        return max(self.wait(started, forgiving=forgiving), key=abs)

    def _cross(self, work: Work) -> int:
        """One sync extracts, Stripe's data moves on, another sync runs whole, then the first one loads."""
        work = replace(work, max_cells=WHOLE)  # all of it is extracted before the other one begins
        go = work.folder / f"go{self.played.crossings}"
        self.played.crossings += 1
        slow = self.start(replace(work, locks=False, hold_for=go))
        give_up = time.monotonic() + PATIENCE
        while slow.is_alive() and not go.with_suffix(".ready").exists() and time.monotonic() < give_up:
            time.sleep(0.005)
        self.emulator.advance(self.emulator.service.available_end + timedelta(hours=36))
        quick = self.wait([self.start(replace(work, locks=False, machine=1 - work.machine))])[0]
        go.touch()
        slow_code = self.wait([slow])[0]
        return slow_code if quick == CLEAN else quick

    def _last_sync(self) -> None:
        """A sync in no trouble. A plain run first gives up or loads what an earlier one has left, and begins anew."""
        works = [self._order(member, Step(), len(self.schedule.steps)) for member in self.schedule.members]
        if self.schedule.plain:
            self.wait([self.start(works[0])], forgiving=True)
        for work, code in zip(works, self.wait([self.start(work) for work in works]), strict=True):
            self.findings.note("last_sync_failed", int(code != CLEAN), f"it ended with {code}: {self.said(work)}")


@contextmanager
def _own_database(server: str) -> Iterator[str]:
    """The address of a database of a schedule's own: sessions that end and locks belong to that schedule alone."""
    name = f"faults_{uuid.uuid4().hex[:12]}"
    admin = Store(server, "public")
    admin.run(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
    yield f"{server.rpartition('/')[0]}/{name}"
    admin.run(f"DROP DATABASE {name} WITH (FORCE)")
