"""The folder of a sync for Stripe's result files or for a plan, for its owner only, until their rows are given to dlt.

In: dlt's working folder. Out: a folder that is removed when the sync ends, or by the next sync where its process was
killed: a lock on a file beside it tells whether that still lives, since the system gives it back at any death.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)

FOLDER = "stripe_result_files"


class ResultFiles:
    """A folder of one sync. `close` removes it."""

    def __init__(self, working_dir: Path | None) -> None:
        """See the class.

        Args:
            working_dir: the pipeline's; None keeps the files in the system's temporary folder.
        """
        parent = result_folder(Path(tempfile.gettempdir()) if working_dir is None else working_dir)
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_abandoned(parent)
        self.path = parent / uuid.uuid4().hex
        self._lock = _lock_of(self.path)
        self._lock.acquire()
        self.path.mkdir(mode=0o700)

    def close(self) -> None:
        """Remove the files."""
        _remove(self.path, self._lock)

    def close_with_parent(self) -> None:
        """Remove the files, and what was made for them in the working folder, unless others use it."""
        self.close()
        with suppress(OSError):  # it is not empty
            self.path.parent.rmdir()


def result_folder(working_dir: Path) -> Path:
    """Where syncs have their folders, in a working folder of dlt's."""
    return working_dir / FOLDER


def remove_abandoned(parent: Path) -> None:
    """Remove the folders of syncs whose process has died."""
    for found in parent.glob("*.lock"):
        lock = _lock_of(found.with_suffix(""))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue  # another sync is at work with it
        logger.info("removing the result files that a killed sync has left in %s", found.with_suffix(""))
        _remove(found.with_suffix(""), lock)


def _lock_of(folder: Path) -> FileLock:
    return FileLock(folder.with_suffix(".lock"), mode=0o600)


def _remove(folder: Path, lock: FileLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
