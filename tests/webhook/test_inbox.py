"""The inbox: once, on disk, and what waits."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from stripe_reports_source.webhook import Inbox, ReportEvent
from stripe_reports_source.webhook.inbox import KEPT_SECONDS, Kept

EVENT = ReportEvent("evt_1", "reporting.report_type.updated", "balance.summary.1", None, "acct_1", True, 7)
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
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", script, str(path)], cwd=root, env={**os.environ, "PYTHONPATH": root})
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


def test_a_disk_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "box.sqlite")
    inbox._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.Error):
        inbox.keep(EVENT)
    with pytest.raises(sqlite3.Error):
        inbox.check()
    inbox._connection.execute("PRAGMA query_only = OFF")
    assert inbox.keep(EVENT).new


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    assert Inbox(tmp_path / "box.sqlite").path.stat().st_mode & 0o077 == 0
