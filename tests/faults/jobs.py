"""A sync by cells as jobs: one process plans, workers fetch a cell each, one process loads.

Some workers are killed, and the cell is given to another one; cells may be fetched by two workers at once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.faults.schedule import Kill, Step
from tests.faults.worker import CLEAN, KILLED, Work

if TYPE_CHECKING:
    from tests.faults.harness import Game

AT_ONCE = 4
ROUNDS = 5
"""More than it takes until nothing is planned any more."""


def sync_by_jobs(game: Game, work: Work, step: Step) -> int:
    """Plan, fetch and load, until nothing is planned. Returns the exit code of the process that has ended it."""
    kills = list(step.worker_kills)
    for turn in range(ROUNDS):
        code, cells = _done(game, replace(work, job="plan"), f"plan{turn}")
        if code != CLEAN:
            return code
        files = _fetched(game, work, step, cells, kills)
        code, _ = _done(game, replace(work, job="load", given=files, kill=None if turn else step.kill), f"load{turn}")
        if code != CLEAN or not cells:
            return code
    game.findings.note("last_sync_failed", 1, f"{len(cells)} cells are planned again and again")
    return CLEAN


def _fetched(game: Game, work: Work, step: Step, cells: list[Any], kills: list[Kill]) -> list[Any]:
    """The files of cells, as far as they can be had. Each of `kills` ends a worker."""
    found, numbers = [], count()
    waiting = [cell for cell in cells for _ in range(2 if step.twice else 1)]
    while waiting:
        workers = []
        for cell in waiting[:AT_ONCE]:
            kill = kills.pop(0) if kills else None
            fetch = replace(work, job="fetch", given=cell, kill=kill, watch=False)
            workers.append(_named(fetch, f"file{next(numbers)}"))
        codes = _ended(game, workers)
        again = [worker.given for worker, code in zip(workers, codes, strict=True) if code in KILLED]
        found += [_answer(worker) for worker, code in zip(workers, codes, strict=True) if code == CLEAN]
        waiting = again + waiting[AT_ONCE:]
    return found


def _done(game: Game, work: Work, name: str) -> tuple[int, list[Any]]:
    """How a job ended, and what came out of it."""
    work = _named(work, name)
    [code] = _ended(game, [work])
    return code, _answer(work) if code == CLEAN else []


def _named(work: Work, name: str) -> Work:
    return replace(work, answer=f"{name}.json", said=f"{work.said}-{name}")


def _ended(game: Game, works: Sequence[Work]) -> list[int]:
    return game.wait([game.start(work) for work in works])


def _answer(work: Work) -> Any:
    return json.loads((work.folder / work.answer).read_text("utf-8"))
