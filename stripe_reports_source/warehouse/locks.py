"""Locks on a file and in PostgreSQL that say who is next, and how to wait for others' locks.

In: a file, a pipeline. Out: locks, which `turns` puts together. Beside each there is a second lock, of the one that is
next: who holds the first sees by it that someone waits, and who has not waited does not come before.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

from dlt import Pipeline
from filelock import FileLock, Timeout

from ..errors import WorkingFolderError

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
FIRST_POLL_SECONDS = 0.05
SAY_SECONDS = 1.0
"""A wait that is shorter is not worth a word."""
NEXT_POLL_SECONDS = 0.03
"""How often the one that is next looks whether it is its turn with a file."""


def wait_for(
    attempt: Callable[[], bool],
    what: str,
    holder: Callable[[], str] = str,
    patience: float = math.inf,
    longest: float = POLL_SECONDS,
    stopped: Callable[[], bool] = lambda: False,
) -> bool:
    """Try until it works.

    Args:
        attempt: tries once, without waiting for long.
        what: is waited for; said once, in the log, unless the wait is short.
        holder: who has it, in words; asked once.
        patience: seconds.
        longest: seconds between two attempts.
        stopped: tells whether to end the wait.

    Returns:
        False where patience has ended, or the wait was stopped.
    """
    began, pause, said = time.monotonic(), FIRST_POLL_SECONDS, False
    while not attempt():
        waited = time.monotonic() - began
        if not said and waited >= min(SAY_SECONDS, patience):
            name = holder()
            logger.warning("%s%s; waiting for it", what, f" ({name})" if name else "")
            said = True
        if waited >= patience or stopped():
            return False
        time.sleep(min(pause, longest))
        pause *= 1.5
    return True


def pipeline_file(pipeline: Pipeline, folder: Path) -> Path:
    """The file whose lock a load of a pipeline holds, in the folder where pipelines are."""
    return folder / f"{pipeline.pipeline_name}.lock"


def database_file(database: Path) -> Path:
    """The file whose lock a load into a DuckDB file holds."""
    return database.with_name(f".{database.name}.lock")


def next_file(file: Path) -> Path:
    """The file whose lock the one has that is next for the lock of a file."""
    return file.with_name(f"{file.stem}.next.lock")


def is_held(file: Path) -> bool:
    """True if someone holds the lock of a file now."""
    if not file.exists():
        return False
    lock = FileLock(file)
    if not _try_file(lock):
        return True
    lock.release()
    return False


def sync_of(pipeline: Pipeline) -> str:
    """Who holds the locks of a pipeline, in words."""
    return f"another sync of the pipeline {pipeline.pipeline_name!r} is at work"


def load_into(place: str) -> str:
    """Who holds the lock of a database or a dataset, in words."""
    return f"another load into {place} is at work"


class FileTurn:
    """A lock on a file. `what` is waited for."""

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._lock = FileLock(path, thread_local=False)
        self._next = FileLock(next_file(path), thread_local=False)

    def try_take(self) -> bool:
        """Take it if it is free, and nobody is next.

        Raises:
            WorkingFolderError: the file cannot be made.
        """
        try:
            # `FileLock` waits for ever for a folder that is read-only or full
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.open("a").close()
        except OSError as error:
            raise WorkingFolderError(
                f"the lock file {self._path} cannot be made ({error.strerror}), and without it two syncs may work at "
                "once; give permission to write there, or choose another place."
            ) from None
        return not self.wanted() and _try_file(self._lock)

    def take(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Wait for it; False if the wait was stopped."""
        if self.try_take():
            return True
        try:
            return wait_for(self._try_in_turn, self._what, longest=NEXT_POLL_SECONDS, stopped=stopped)
        finally:
            self._next.release()

    def release(self) -> None:
        """Give it back."""
        self._lock.release()

    def wanted(self) -> bool:
        """True while someone is next."""
        return is_held(next_file(self._path))

    def _try_in_turn(self) -> bool:
        return (self._next.is_locked or _try_file(self._next)) and _try_file(self._lock)


def _try_file(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
