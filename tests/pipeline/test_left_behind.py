"""Syncs of the command line that are ended from outside, and what lies about on the disk after the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stripe_reports_source.emulator import Emulator, Fault
from stripe_reports_source.sync.result_files import FOLDER
from tests.pipeline.test_cli import MINDS_CTRL_C, environment, kill_at_the_end

pytestmark = pytest.mark.long

REPORT = "payouts.itemized"
GIVE_UP_SECONDS = 120.0
STOPPED = {signal.SIGTERM: 130, signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}


class Machine:
    """A folder that holds all that a process of the command line may write to."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self._emulator = emulator
        self._folder = folder
        for name in ("tmp", "dlt", "cwd", "home"):
            (folder / name).mkdir()
        self._settings = {
            **os.environ,
            **environment(emulator, folder),
            "TMPDIR": str(folder / "tmp"),
            "DLT_DATA_DIR": str(folder / "dlt"),
            "HOME": str(folder / "home"),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "SOURCES__STRIPE_REPORTS__MAX_CONCURRENT_RUNS": "2",
        }

    def start(self) -> subprocess.Popen[str]:
        """Begin a sync."""
        command = [*MINDS_CTRL_C, sys.executable, "-m", "stripe_reports_source.cli", "sync", REPORT]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._settings,
            cwd=self._folder / "cwd",
        )

    def sync(self) -> None:
        """Sync to the end."""
        with self.start() as process, kill_at_the_end(process):
            said, _ = process.communicate(timeout=GIVE_UP_SECONDS)
        assert process.returncode == 0, said

    def result_files(self) -> list[Path]:
        """Stripe's result files, wherever they lie."""
        return [path for path in self._folder.rglob("*.csv") if path.parent.parent.name == FOLDER]

    def files(self) -> Iterator[Path]:
        """All files."""
        return (path for path in self._folder.rglob("*") if path.is_file())

    def modes(self) -> set[str]:
        """The permissions of all files, of those with rows too."""
        with suppress(FileNotFoundError):  # a process at work may remove one meanwhile
            return {oct(path.stat().st_mode & 0o777) for path in self.files()}
        return self.modes()

    def with_rows(self) -> set[Path]:
        """The files that hold a row: a payout's id, as the emulator has them."""
        found = self._emulator.truth(
            "payouts.itemized.3", self._emulator.settings.first_available, self._emulator.settings.available_end
        )
        ids = [row[0].encode() for row in found if isinstance(row[0], str)]
        assert all(identity.startswith(b"po_") for identity in ids)
        assert len(ids) > 5
        held = set()
        for path in self.files():
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # a process at work may remove one meanwhile
                continue
            if path.suffix == ".parquet":  # which is compressed
                content = str(pq.read_table(path).to_pylist()).encode()
            if any(identity in content for identity in ids):
                held.add(path)
        return held


def wait_until(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for a state of affairs, while the process is at work."""
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.02)


def all_pend(emulator: Emulator, machine: Machine) -> bool:
    """Both runs are made, and Stripe is awaited."""
    return len(emulator.runs) == 2


def a_file_waits(emulator: Emulator, machine: Machine) -> bool:
    """The later month's file is there whole, and waits for the earlier one."""
    if not all_pend(emulator, machine):
        return False
    later = max(emulator.runs, key=lambda run: int(run.parameters["interval_start"]))
    later.stuck = False
    return later.file.stat().st_size in [path.stat().st_size for path in machine.result_files()]


@pytest.mark.parametrize("number", STOPPED, ids=lambda number: number.name)
@pytest.mark.parametrize("point", [all_pend, a_file_waits], ids=lambda point: point.__name__)
def test_nothing_is_left_behind(
    start_emulator: Callable[..., Emulator],
    tmp_path: Path,
    point: Callable[[Emulator, Machine], bool],
    number: signal.Signals,
) -> None:
    emulator = start_emulator(scale=0.1, available_end=datetime(2025, 2, 10, 12, tzinfo=timezone.utc))
    machine = Machine(emulator, tmp_path)
    emulator.add_fault(Fault("run_stuck", method="POST", times=None))  # so that the sync cannot end by itself
    with machine.start() as process, kill_at_the_end(process):
        wait_until(lambda: point(emulator, machine), process)
        held = machine.with_rows()
        assert (point is a_file_waits) == bool(held)
        assert machine.modes() == {"0o600"}
        process.send_signal(number)
        said, _ = process.communicate(timeout=GIVE_UP_SECONDS)
    assert process.returncode == STOPPED[number], said
    if number != signal.SIGKILL:
        assert machine.result_files() == []
        assert machine.with_rows() == set()
    emulator.clear_faults()
    machine.sync()
    assert machine.result_files() == []
    held = machine.with_rows()
    assert held
    database, dlt_folder = tmp_path / "w.duckdb", tmp_path / "dlt"
    assert not [path for path in held if path != database and dlt_folder not in path.parents]
    assert machine.modes() == {"0o600"}
    assert not [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()]
