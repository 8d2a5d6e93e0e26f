"""The worker pool: order within queues, bounded slots, cancelling, stopping."""

from __future__ import annotations

import threading

import pytest

from stripe_reports_source.sync.pool import FetchPool, JobQueue, Outcome


def queue_of(pool: FetchPool[int, int], jobs: list[int]) -> JobQueue[int, int]:
    [queue] = pool.queue_again((), [jobs], lambda job: job)
    return queue


def take_all(pool: FetchPool[int, int], queue: JobQueue[int, int], count: int) -> list[Outcome[int, int]]:
    found: list[Outcome[int, int]] = []
    while len(found) < count:
        outcome = pool.take(queue)
        if outcome is None:
            pool.wait(1)
            continue
        found.append(outcome)
        pool.release(queue)
    return found


def test_outcomes_come_in_order_of_submission_however_they_finish() -> None:
    later = threading.Event()

    def work(job: int) -> int:
        if job == 0:
            assert later.wait(10)
        else:
            later.set()
        return job * 10

    pool: FetchPool[int, int] = FetchPool(2, work, lambda result: None)
    queue = queue_of(pool, [0, 1, 2, 3])
    assert [outcome.result for outcome in take_all(pool, queue, 4)] == [0, 10, 20, 30]
    pool.close(1)


def test_slots_bound_what_is_started_and_not_released() -> None:
    started = threading.Semaphore(0)
    seen: list[int] = []

    def work(job: int) -> int:
        seen.append(job)
        started.release()
        return job

    pool: FetchPool[int, int] = FetchPool(3, work, lambda result: None)
    first = queue_of(pool, [1, 2, 3, 4, 5, 6])
    for _ in range(3):
        assert started.acquire(timeout=10)
    second = queue_of(pool, [11, 12])
    assert sorted(seen) == [1, 2, 3]
    assert [outcome.job for outcome in take_all(pool, first, 1)] == [1]
    assert started.acquire(timeout=10)
    assert seen[3] == 11  # a free slot goes to the queue with less in flight
    assert [outcome.job for outcome in take_all(pool, second, 2)] == [11, 12]
    assert [outcome.job for outcome in take_all(pool, first, 5)] == [2, 3, 4, 5, 6]
    pool.close(1)


def test_errors_are_outcomes() -> None:
    def work(job: int) -> int:
        raise ValueError(job)

    pool: FetchPool[int, int] = FetchPool(1, work, lambda result: None)
    [outcome] = take_all(pool, queue_of(pool, [7]), 1)
    assert isinstance(outcome.error, ValueError)
    pool.close(1)


def test_cancelling_starts_nothing_more_and_throws_results_away() -> None:
    go = threading.Event()
    thrown: list[int] = []

    def work(job: int) -> int:
        assert go.wait(10)
        return job

    pool: FetchPool[int, int] = FetchPool(2, work, thrown.append)
    queue, other = queue_of(pool, [1, 2, 3]), queue_of(pool, [9])
    pool.cancel(queue)
    go.set()
    assert take_all(pool, other, 1)[0].result == 9
    pool.close(10)
    assert set(thrown) <= {1, 2}
    assert queue.slots == 0
    assert pool.take(queue) is None


def test_closing_wakes_sleepers() -> None:
    asleep = threading.Event()
    pool: FetchPool[int, int]

    def work(job: int) -> int:
        asleep.set()
        pool.sleep(600)
        return job

    pool = FetchPool(1, work, lambda result: None)
    queue_of(pool, [1])
    assert asleep.wait(10)
    pool.close(10)
    assert not any(thread.name.startswith("stripe-reports-") for thread in threading.enumerate())


def test_small_outcomes_that_wait_hold_no_slot() -> None:
    started = threading.Semaphore(0)

    def work(job: int) -> int:
        started.release()
        return job

    pool: FetchPool[int, int] = FetchPool(1, work, lambda result: None, bytes_of=lambda result: 10, spare_bytes=35)
    queue = queue_of(pool, list(range(12)))
    for _ in range(4):  # the fourth makes 40 bytes, which is more than may wait
        assert started.acquire(timeout=10)
    while sum(outcome.finished for outcome in list(queue.started)) < 4:
        pool.wait(1)
    assert not started.acquire(timeout=0)
    assert [outcome.job for outcome in take_all(pool, queue, 12)] == list(range(12))
    pool.close(1)


def test_new_queues_go_on_with_what_is_there_of_their_first_jobs() -> None:
    """Jobs 1 to 4 were queued, 1 and 3 are done, 2 and 4 under way; then 2, 3, 5 and 4 are wanted, and 1 is not."""
    go_on, begun, seen, thrown = threading.Event(), threading.Semaphore(0), list[int](), list[int]()

    def work(job: int) -> int:
        seen.append(job)
        begun.release()
        if job % 2 == 0:
            assert go_on.wait(10)
        return job * 10

    pool: FetchPool[int, int] = FetchPool(4, work, thrown.append)
    old = queue_of(pool, [1, 2, 3, 4])
    for _ in range(4):
        assert begun.acquire(timeout=10)
    while pool.ready_to_take() != (1, 0):
        pool.wait(1)
    [new] = pool.queue_again([old], [[2, 3, 5, 4]], lambda job: job)
    assert thrown == [10]
    assert pool.take(old) is None
    go_on.set()
    assert [outcome.result for outcome in take_all(pool, new, 4)] == [20, 30, 50, 40]
    assert sorted(seen) == [1, 2, 3, 4, 4, 5]  # the first run of job 4 came before one that had not been started
    pool.close(1)
    assert sorted(thrown) == [10, 40]


def test_a_pool_is_at_work_until_all_is_done_or_it_is_full() -> None:
    pool: FetchPool[int, int] = FetchPool(1, lambda job: job, lambda result: None, bytes_of=lambda result: 10)
    assert not pool.at_work
    queue = queue_of(pool, [1, 2])
    pool.wait(10)
    while pool.at_work:
        pool.wait(1)
    assert pool.ready_to_take() == (1, 10)  # the next job has to wait for the place of the first
    assert [outcome.job for outcome in take_all(pool, queue, 2)] == [1, 2]
    assert not pool.at_work
    assert pool.ready_to_take() == (0, 0)
    pool.close(1)


@pytest.mark.timeout(30)
def test_nobody_waits_for_what_is_not_to_come() -> None:
    """A package is made by generators in turns: one that waited for nothing would hold up those with rows to give."""
    pool: FetchPool[int, int] = FetchPool(2, lambda job: job, lambda result: None)
    pool.wait(3600)  # nothing is queued
    queue = queue_of(pool, [1, 2])
    take_all(pool, queue, 1)
    while pool.take(queue) is None:
        pool.wait(3600)
    pool.wait(3600)  # all is taken, though not released
    pool.release(queue)
    pool.wait(3600)
    pool.close(1)


def test_queues_take_turns_whatever_their_length() -> None:
    began: list[int] = []
    go = threading.Event()

    def work(job: int) -> int:
        assert go.wait(10)
        began.append(job)
        return job

    pool: FetchPool[int, int] = FetchPool(1, work, lambda result: None)
    holding = queue_of(pool, [0])
    queues = [queue_of(pool, [10 * number + step for step in range(3)]) for number in (1, 2, 3)]
    go.set()
    take_all(pool, holding, 1)
    left = dict.fromkeys(queues, 3)
    while left:
        pool.wait(1)
        for queue in pool.ready():
            take_all(pool, queue, 1)
            left[queue] -= 1
            if not left[queue]:
                del left[queue]
    assert began == [0, 10, 20, 30, 11, 21, 31, 12, 22, 32]
    pool.close(1)
