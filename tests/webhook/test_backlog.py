"""Which tables are synced when, and which hints are done with after."""

from __future__ import annotations

from stripe_reports_source.webhook.backlog import FIRST_DELAY, LONGEST_DELAY, Backlog, Batch


def batch(*tables: str, hints: tuple[str, ...]) -> Batch:
    return Batch(frozenset(tables), frozenset(hints))


def test_hints_are_gathered_into_one_sync() -> None:
    backlog = Backlog(gather=2)
    assert backlog.seconds_left(0) is None
    backlog.add("a", ["x"], 0)
    backlog.add("b", ["x"], 1)
    backlog.add("c", ["y"], 1.5)
    assert backlog.begin(1.9) is None
    assert backlog.seconds_left(1.5) == 0.5
    begun = backlog.begin(2)
    assert begun == batch("x", "y", hints=("a", "b", "c"))
    assert begun is not None
    assert sorted(backlog.finish(begun, (), 3)) == ["a", "b", "c"]
    assert backlog.begin(100) is None


def test_a_hint_that_comes_during_a_sync_needs_another() -> None:
    backlog = Backlog(gather=2)
    backlog.add("a", ["x"], 0)
    begun = backlog.begin(2)
    assert begun is not None
    backlog.add("b", ["x"], 2.5)
    assert backlog.finish(begun, (), 3) == ["a"]
    assert backlog.begin(4.9) is None
    assert backlog.begin(5) == batch("x", hints=("b",))


def test_what_fails_waits_longer_each_time_and_others_go_on() -> None:
    backlog = Backlog(gather=2)
    backlog.add("both", ["x", "y"], 0)
    backlog.add("x only", ["x"], 0)
    begun = backlog.begin(2)
    assert begun is not None
    assert backlog.finish(begun, ["y"], 2) == ["x only"]
    backlog.add("more", ["x"], 3)
    assert backlog.begin(5) == batch("x", hints=("more",))
    assert backlog.finish(batch("x", hints=("more",)), (), 5) == ["more"]
    assert backlog.begin(2 + FIRST_DELAY - 0.1) is None
    now, delays = 2 + FIRST_DELAY, []
    for _ in range(12):
        again = backlog.begin(now)
        assert again == batch("y", hints=("both",))
        assert again is not None
        assert backlog.finish(again, ["y"], now) == []
        left = backlog.seconds_left(now)
        assert left is not None
        delays.append(left)
        now += left
    assert delays[:2] == [2 * FIRST_DELAY, 4 * FIRST_DELAY]
    assert delays[-1] == LONGEST_DELAY
    backlog.hurry("y", now - 100)
    again = backlog.begin(now - 98)
    assert again is not None
    assert backlog.finish(again, (), now) == ["both"]
    assert backlog.seconds_left(now) is None


def test_the_same_hint_twice_is_one() -> None:
    backlog = Backlog(gather=2)
    backlog.add("a", ["x"], 0)
    backlog.add("a", ["y"], 0)
    assert backlog.begin(2) == batch("x", hints=("a",))


def test_a_sync_of_everything_does_not_wait() -> None:
    backlog = Backlog(gather=2)
    backlog.add("all", ["x", "y"], 0, at_once=True)
    assert backlog.begin(0) == batch("x", "y", hints=("all",))
