"""Plays schedules: an emulator in this process, syncs in processes of their own, checks after every step."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from stripe_reports_source.emulator import Emulator, EmulatorSettings, Fault, late_charge
from tests.faults import worker
from tests.faults.oracle import Findings, Oracle
from tests.faults.schedule import Schedule, Step
from tests.faults.worker import CLEAN, DATASET, OTHER_ERROR, PATIENCE, Work, make_pipeline, run_worker


@dataclass
class Played:
    """What became of a schedule."""

    schedule: Schedule
    findings: Findings
    kills: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    kill_points: Counter[str] = field(default_factory=Counter)
    sightings: int = 0
    runs: int = 0
    crossings: int = 0


def processes() -> ForkServerContext:
    """Processes that begin with everything imported, so that a sync costs no start-up."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([worker.__name__])
    return context


class Player:
    """Plays schedules, one after the other."""

    def __init__(self, context: ForkServerContext, folder: Path, postgres: str | None, plants: tuple[str, ...]) -> None:
        self._context = context
        self._folder = folder
        self._postgres = postgres
        self._plants = plants

    def play(self, schedule: Schedule) -> Played:
        """Play a schedule and look whether all promises were kept."""
        played = Played(schedule, Findings())
        api_key = f"rk_live_{uuid.uuid4().hex}"
        folder = self._folder / f"{schedule.destination}-{schedule.seed}"
        folder.mkdir(parents=True)
        settings = EmulatorSettings(
            seed=schedule.seed,
            scale=schedule.scale,
            business_start=schedule.business_start,
            available_end=schedule.available_end,
            interval_edges=schedule.interval_edges,
            live_keys=(api_key,),
        )
        with Emulator(settings) as emulator:
            work = Work(
                schedule=schedule,
                folder=folder,
                database=self._postgres or str(folder / "warehouse.duckdb"),
                dataset=f"faults_{schedule.seed}_{uuid.uuid4().hex[:6]}" if self._postgres else DATASET,
                machine=0,
                api_key=api_key,
                api_url=emulator.api_url,
                files_url=emulator.files_url,
                max_cells=60,
                plants=self._plants,
            )
            self._play(played, emulator, work)
        with self._oracle_pipeline(work) as pipeline:
            if self._postgres:
                with pipeline.sql_client() as client:
                    for name in (work.dataset, f"{work.dataset}_staging"):
                        client.execute_sql(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
        if played.findings.clean:
            shutil.rmtree(folder, ignore_errors=True)
        return played

    def _play(self, played: Played, emulator: Emulator, work: Work) -> None:
        schedule = played.schedule
        oracle = Oracle(schedule, emulator, played.findings)
        for number, step in enumerate(schedule.steps):
            moment = f"step {number + 1}"
            self._advance(emulator, step, number)
            if step.lost_folder:
                shutil.rmtree(work.folder / f"machine{step.machine}", ignore_errors=True)
            if step.forget:
                emulator.service.forget_idempotency()
            for fault in step.faults:
                emulator.add_fault(Fault(**{name: value for name, value in fault.items() if name != "kind"}))
                played.faults[str(fault["kind"])] += 1
            now = replace(work, machine=step.machine, max_cells=step.max_cells)
            code = self._sync(played, emulator, now, step)
            emulator.clear_faults()
            with self._oracle_pipeline(work) as pipeline:
                if code == CLEAN:
                    oracle.tables_hold_the_truth(pipeline, moment)
                if not schedule.restated:
                    oracle.cursors_hide_no_hole(pipeline, moment)
        last = Step(24, 0, False, (), None, 0, False, False, 60, None)
        self._advance(emulator, last, len(schedule.steps))
        code = self._wait(played, [self._start(replace(work, watch=True))])[0]
        played.findings.note("last_sync_failed", int(code != CLEAN), f"it ended with {code}: see {work.log}")
        with self._oracle_pipeline(work) as pipeline:
            oracle.tables_hold_the_truth(pipeline, "at the end")
            if not schedule.restated:
                oracle.cursors_hide_no_hole(pipeline, "at the end")
        played.sightings += oracle.cells_were_seen_whole(work)
        oracle.runs_were_needed()
        played.runs = len(emulator.runs)
        files = [path for path in work.folder.rglob("*") if path.is_file()]
        leaks = [path.name for path in files if work.api_key.encode() in path.read_bytes()]
        played.findings.note("key_leaks", len(leaks), ", ".join(leaks))

    def _advance(self, emulator: Emulator, step: Step, number: int) -> None:
        end = emulator.service.available_end
        if step.withdrawn:
            for transaction in [late.id for late in emulator.ledger.transactions if late.id.startswith("txn_late")]:
                emulator.withdraw_transaction(transaction)
        for index in range(step.late):
            created = end - timedelta(days=1 + index, hours=3)
            identity = f"late{number}x{index}"
            emulator.add_transaction(
                late_charge(identity, created, emulator.service.now, "usd", 4200 + index, 152, "late", {})
            )
        if step.hours:
            emulator.advance(end + timedelta(hours=step.hours))

    def _sync(self, played: Played, emulator: Emulator, work: Work, step: Step) -> int:
        if step.kill:
            played.kill_points[step.kill.point] += 1
            return self._wait(played, [self._start(replace(work, kill=step.kill, watch=True))])[0]
        if step.rival == "locked":
            both = [self._start(work), self._start(replace(work, machine=1 - work.machine))]
            return max(self._wait(played, both), key=abs)
        if step.rival == "crossing":
            return self._cross(played, emulator, work)
        return self._wait(played, [self._start(replace(work, watch=True))])[0]

    def _cross(self, played: Played, emulator: Emulator, work: Work) -> int:
        """One sync extracts, Stripe's data moves on, another sync runs whole, then the first one loads."""
        work = replace(work, max_cells=60)  # all of it is extracted before the other one begins
        go = work.folder / f"go{played.crossings}"
        played.crossings += 1
        slow = self._start(replace(work, locks=False, hold_for=go))
        give_up = time.monotonic() + PATIENCE
        while slow.is_alive() and not go.with_suffix(".ready").exists() and time.monotonic() < give_up:
            time.sleep(0.005)
        emulator.advance(emulator.service.available_end + timedelta(hours=36))
        quick = self._wait(played, [self._start(replace(work, locks=False, machine=1 - work.machine))])[0]
        go.touch()
        slow_code = self._wait(played, [slow])[0]
        return slow_code if quick == CLEAN else quick

    def _start(self, work: Work) -> Any:
        process = self._context.Process(target=run_worker, args=(work,), daemon=True)
        process.start()
        return process

    def _wait(self, played: Played, started: list[Any]) -> list[int]:
        codes = []
        for process in started:
            process.join(2 * PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()
                played.findings.note("last_sync_failed", 1, "a sync did not end")
            code = int(process.exitcode)
            played.kills += code == -signal.SIGKILL
            played.endings[str(code)] += 1
            played.findings.note("errors_unexplained", int(code == OTHER_ERROR), "see worker.log")
            codes.append(code)
        return codes

    @contextmanager
    def _oracle_pipeline(self, work: Work) -> Iterator[Any]:
        folder = work.folder / "oracle"
        folder.mkdir(parents=True, exist_ok=True)
        yield make_pipeline(replace(work, folder=folder))
        shutil.rmtree(folder, ignore_errors=True)
