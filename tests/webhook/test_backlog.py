"""Which tables are synced when, and which events are settled by that."""

from __future__ import annotations

from stripe_reports_source.webhook.backlog import Backlog, Batch
from stripe_reports_source.webhook.limits import RetryDelays

DELAYS = RetryDelays(first=15, longest=1800)


def batch(*tables: str, events: tuple[str, ...]) -> Batch:
    return Batch(frozenset(tables), frozenset(events))


def test_events_are_gathered_into_one_sync() -> None:
    backlog = Backlog(2, DELAYS)
    assert backlog.seconds_left(0) is None
    backlog.add("a", ["x"], 0)
    backlog.add("b", ["x"], 1)
    backlog.add("c", ["y"], 1.5)
    assert backlog.begin(1.9) is None
    assert backlog.seconds_left(1.5) == 0.5
    begun = backlog.begin(2)
    assert begun == batch("x", "y", events=("a", "b", "c"))
    assert begun is not None
    assert sorted(backlog.finish(begun, (), 3)) == ["a", "b", "c"]
    assert backlog.begin(100) is None


def test_an_event_that_comes_during_a_sync_needs_another() -> None:
    backlog = Backlog(2, DELAYS)
    backlog.add("a", ["x"], 0)
    begun = backlog.begin(2)
    assert begun is not None
    backlog.add("b", ["x"], 2.5)
    assert backlog.finish(begun, (), 3) == ["a"]
    assert backlog.begin(4.9) is None
    assert backlog.begin(5) == batch("x", events=("b",))


def test_what_fails_waits_longer_each_time_and_others_go_on() -> None:
    backlog = Backlog(2, DELAYS)
    backlog.add("both", ["x", "y"], 0)
    backlog.add("x only", ["x"], 0)
    begun = backlog.begin(2)
    assert begun is not None
    assert backlog.finish(begun, ["y"], 2) == ["x only"]
    backlog.add("more", ["x"], 3)
    assert backlog.begin(5) == batch("x", events=("more",))
    assert backlog.finish(batch("x", events=("more",)), (), 5) == ["more"]
    assert backlog.begin(2 + DELAYS.first - 0.1) is None
    now, delays = 2 + DELAYS.first, []
    for _ in range(12):
        again = backlog.begin(now)
        assert again == batch("y", events=("both",))
        assert again is not None
        assert backlog.finish(again, ["y"], now) == []
        left = backlog.seconds_left(now)
        assert left is not None
        delays.append(left)
        now += left
    assert delays[:2] == [2 * DELAYS.first, 4 * DELAYS.first]
    assert delays[-1] == DELAYS.longest
    backlog.hurry("y", now - 100)
    again = backlog.begin(now - 98)
    assert again is not None
    assert backlog.finish(again, (), now) == ["both"]
    assert backlog.seconds_left(now) is None


def test_the_same_event_twice_counts_once() -> None:
    backlog = Backlog(2, DELAYS)
    backlog.add("a", ["x"], 0)
    backlog.add("a", ["y"], 0)
    assert backlog.begin(2) == batch("x", events=("a",))


def test_a_sync_of_everything_does_not_wait() -> None:
    backlog = Backlog(2, DELAYS)
    backlog.add("all", ["x", "y"], 0, at_once=True)
    assert backlog.begin(0) == batch("x", "y", events=("all",))
