"""The inbox: once, on disk, and what waits."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from stripe_reports_source.errors import ConfigurationError
from stripe_reports_source.webhook import Inbox, ReportEvent
from stripe_reports_source.webhook.inbox import KEPT_SECONDS, Kept

EVENT = ReportEvent("evt_1", "reporting.report_type.updated", "balance.summary.1", None, "acct_1", True, 7)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
RUN = ReportEvent("evt_2", "reporting.report_run.succeeded", "balance.summary.1", "frr_1", None, True, 7)


def test_an_event_counts_once_and_waits_until_it_is_settled(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "in" / "box.sqlite")
    assert inbox.keep(EVENT) == Kept(True, "waiting")
    assert not inbox.keep(EVENT).new
    inbox.close()
    again = Inbox(tmp_path / "in" / "box.sqlite")
    assert again.waiting() == [EVENT]
    again.settle(["evt_1"], "handled")
    assert again.waiting() == []
    assert not again.keep(EVENT).new
    assert again.counts() == {"waiting": 0, "handled": 1, "ignored": 0}


def test_two_threads_keep_one_event_once(tmp_path: Path) -> None:
    inboxes = [Inbox(tmp_path / "box.sqlite") for _ in range(2)]
    found: list[bool] = []

    def keep(number: int) -> None:
        for index in range(50):
            found.append(inboxes[number % 2].keep(replace(EVENT, id=f"evt_{index}")).new)

    threads = [threading.Thread(target=keep, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(found), len(found)) == (50, 200)


def test_a_run_waits_only_if_a_sync_has_left_it(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "box.sqlite")
    assert inbox.keep(RUN).standing == "ignored"
    inbox.leave_runs(["frr_2"], [])
    later = replace(RUN, id="evt_3", run_id="frr_2")
    assert inbox.keep(later).standing == "waiting"
    inbox.leave_runs([], ["frr_2"])
    assert inbox.keep(replace(later, id="evt_4")).standing == "ignored"
    # told just before it was left: it counts all the same
    inbox.leave_runs(["frr_1"], [])
    assert {event.id for event in inbox.waiting()} == {"evt_3", "evt_2"}


def test_what_was_kept_survives_a_kill(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tests.webhook.test_inbox import EVENT; from stripe_reports_source.webhook import Inbox\n"
        "Inbox(Path(sys.argv[1])).keep(EVENT); os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "box.sqlite"
    done = subprocess.run([sys.executable, "-c", script, str(path)], env=ENVIRONMENT)
    assert done.returncode == -signal.SIGKILL
    assert Inbox(path).waiting() == [EVENT]


def test_settled_events_are_forgotten_after_long_and_waiting_ones_never(tmp_path: Path) -> None:
    now = [1000.0]
    inbox = Inbox(tmp_path / "box.sqlite", clock=lambda: now[0])
    inbox.keep(EVENT)
    inbox.keep(RUN)
    now[0] += KEPT_SECONDS + 1
    inbox.prune()
    assert inbox.waiting() == [EVENT]
    assert inbox.counts()["ignored"] == 0


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "box.sqlite")
    inbox.path.unlink()
    inbox.path.mkdir()
    with pytest.raises(sqlite3.Error):
        inbox.keep(EVENT)
    with pytest.raises(sqlite3.Error):
        inbox.check()
    inbox.path.rmdir()
    assert inbox.keep(EVENT).new


def test_a_check_finds_a_disk_that_takes_nothing_more(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sqlite3, sys; from pathlib import Path\n"
        "from stripe_reports_source.webhook import Inbox\n"
        "inbox = Inbox(Path(sys.argv[1])); inbox.check()\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "try: inbox.check()\n"
        "except sqlite3.Error: sys.exit(7)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "box.sqlite")], env=ENVIRONMENT)
    assert done.returncode == 7


def on_disk(path: Path) -> list[str]:
    """What a receiver that starts now would find."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        return [identity for (identity,) in file.execute("SELECT id FROM events ORDER BY id")]


@pytest.mark.parametrize("with_folder", [False, True])
def test_a_file_that_is_removed_is_begun_anew(tmp_path: Path, with_folder: bool) -> None:
    inbox = Inbox(tmp_path / "in" / "box.sqlite")
    inbox.keep(RUN)
    shutil.rmtree(inbox.path.parent) if with_folder else inbox.path.unlink()
    assert inbox.beginnings == 1
    assert inbox.keep(EVENT) == Kept(True, "waiting")
    assert (on_disk(inbox.path), inbox.beginnings) == (["evt_1"], 2)


def spoil(path: Path, how: str) -> None:
    whole = path.read_bytes()
    path.write_bytes(
        {
            "emptied": b"",
            "cut": whole[: len(whole) // 2],
            "overwritten": b"\xff" * len(whole),
            "behind its header": b"SQLite format 3\0" + b"\xff" * 8176,
        }[how]
    )


SPOILT = pytest.mark.parametrize("how", ["emptied", "cut", "overwritten", "behind its header"])


@SPOILT
def test_a_file_that_is_spoiled_is_put_aside_and_begun_anew(tmp_path: Path, how: str) -> None:
    inbox = Inbox(tmp_path / "box.sqlite", clock=lambda: 0)
    inbox.keep(RUN)
    spoil(inbox.path, how)
    inbox.check()
    assert inbox.keep(EVENT).new
    assert (on_disk(inbox.path), inbox.beginnings) == (["evt_1"], 2)
    if how != "emptied":
        aside = tmp_path / "box.sqlite.spoiled-19700101T000000"
        assert aside.exists()
        assert aside.stat().st_mode & 0o077 == 0


@SPOILT
def test_it_starts_on_a_spoiled_file(tmp_path: Path, how: str) -> None:
    path = Inbox(tmp_path / "box.sqlite").path
    spoil(path, how)
    assert Inbox(path).keep(EVENT).new
    assert on_disk(path) == ["evt_1"]


def test_a_file_that_cannot_be_an_inbox_is_named(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with contextlib.closing(sqlite3.connect(other)) as file:
        file.execute("CREATE TABLE events (what)")
    with pytest.raises(ConfigurationError, match=r"^inbox '.*other.sqlite' cannot be used \(.+\); set another file\.$"):
        Inbox(other)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Inbox(tmp_path)


def test_a_link_and_its_file_are_one_inbox(tmp_path: Path) -> None:
    link, real = tmp_path / "link.sqlite", tmp_path / "volume" / "box.sqlite"
    link.symlink_to(real)
    assert Inbox(link).keep(EVENT).new
    assert not Inbox(real).keep(EVENT).new
    real.write_bytes(b"\xff" * 8192)
    assert Inbox(link).keep(EVENT).new  # the file is put aside, not the link
    assert link.is_symlink()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    assert Inbox(tmp_path / "box.sqlite").path.stat().st_mode & 0o077 == 0
