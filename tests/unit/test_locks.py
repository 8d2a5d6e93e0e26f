"""Locks on files: one holds it, one is next, and the others wait for both."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from stripe_reports_source.warehouse.locks import FileTurn, is_held, next_file


def until_wanted(turn: FileTurn) -> None:
    end = time.monotonic() + 60
    while not turn.wanted():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_who_holds_a_lock_sees_that_another_waits(tmp_path: Path) -> None:
    file = tmp_path / "reports.lock"
    first, second, third = (FileTurn(file, "another sync is at work") for _ in range(3))
    assert first.try_take()
    assert not second.try_take()
    assert not first.wanted()
    waiting = threading.Thread(target=second.take)
    waiting.start()
    until_wanted(first)
    first.release()
    waiting.join(60)
    assert is_held(file)
    assert not second.wanted()
    second.release()
    assert third.try_take()
    third.release()


def test_nobody_comes_before_the_one_that_is_next(tmp_path: Path) -> None:
    file = tmp_path / "reports.lock"
    late = FileTurn(file, "another sync is at work")
    following = FileTurn(next_file(file), "")
    assert following.take()
    assert late.wanted()
    assert not late.try_take()
    following.release()
    assert late.try_take()
    late.release()


def test_a_lock_that_was_never_waited_for_leaves_one_file(tmp_path: Path) -> None:
    turn = FileTurn(tmp_path / "reports.lock", "another sync is at work")
    assert turn.take()
    turn.release()
    assert [path.name for path in tmp_path.iterdir()] == ["reports.lock"]
