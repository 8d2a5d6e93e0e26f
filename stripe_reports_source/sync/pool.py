"""A few worker threads that fetch cells ahead, in queues that are taken from in order.

In: jobs, each in the queue of one report of one account. Out: their outcomes, queue by queue in the order of
submission. A slot is held from the start of a job until its outcome is released, so slots bound both the runs
in flight at Stripe and the files on disk; but as long as the finished outcomes that wait are small in all, they hold
none, and Stripe is kept busy while a package is loaded. Queues with the least in flight go first, and a queue's jobs
start in order, so every queue that holds slots holds one for the outcome it gives out next: no deadlock.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

J = TypeVar("J")
R = TypeVar("R")


class Stopped(BaseException):
    """Raised inside a worker that waits when the pool is closed. Not an Exception: no retry may catch it."""


@dataclass(eq=False)
class Outcome(Generic[J, R]):
    """What became of a job: a result or an error, once it is finished. `queue` gives it out."""

    job: J
    queue: JobQueue[J, R]
    finished: bool = False
    result: R | None = None
    error: Exception | None = None
    bytes: int = 0


class JobQueue(Generic[J, R]):
    """The jobs of one report of one account. All fields are the pool's, under its lock."""

    def __init__(self) -> None:
        self.queued: deque[J] = deque()
        self.started: deque[Outcome[J, R]] = deque()
        self.slots = 0
        self.running = 0
        self.taken_bytes = 0
        self.cancelled = False

    @property
    def ready(self) -> bool:
        """True when the next outcome in order can be taken."""
        return bool(self.started) and self.started[0].finished

    def ready_to_take(self) -> tuple[int, int]:
        """How many outcomes can be taken one after the other, and their bytes."""
        ready = list(itertools.takewhile(lambda outcome: outcome.finished, self.started))
        return len(ready), sum(outcome.bytes for outcome in ready)

    def start(self, outcome: Outcome[J, R]) -> None:
        """Go on with a job: it holds a slot."""
        self.started.append(outcome)
        self.slots += 1
        self.running += not outcome.finished

    def hand_over(self, outcome: Outcome[J, R], other: JobQueue[J, R]) -> None:
        """Let another queue go on with a job of this one."""
        self.started.remove(outcome)
        self.slots -= 1
        self.running -= not outcome.finished
        outcome.queue = other
        other.start(outcome)


class FetchPool(Generic[J, R]):
    """See the module. `work` runs in daemon threads; `discard` gets results that are never taken."""

    def __init__(
        self,
        size: int,
        work: Callable[[J], R],
        discard: Callable[[R], None],
        *,
        bytes_of: Callable[[R], int] = lambda result: 0,
        spare_bytes: int = 0,
    ) -> None:
        self._work = work
        self._discard = discard
        self._size = size
        self._bytes_of = bytes_of
        self._spare_bytes = spare_bytes
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._queues: list[JobQueue[J, R]] = []
        self._threads: list[threading.Thread] = []

    def sleep(self, seconds: float) -> None:
        """Wait, for use inside jobs.

        Raises:
            Stopped: the pool was closed meanwhile.
        """
        if self._stop.wait(seconds):
            raise Stopped

    def queue(self, jobs: list[J]) -> JobQueue[J, R]:
        """A new queue with all its jobs; they start as slots come free."""
        [queue] = self.queue_again((), [jobs], id)
        return queue

    def queue_again(
        self, old: Sequence[JobQueue[J, R]], jobs: Sequence[Sequence[J]], same: Callable[[J], Hashable]
    ) -> list[JobQueue[J, R]]:
        """New queues in place of old ones, which have what is done or under way of the first jobs of each.

        Args:
            old: queues that nothing is taken from any more; what the new ones do not begin with is thrown away.
            jobs: of each new queue.
            same: equal for jobs that have the same result.
        """
        with self._changed:
            there = {same(outcome.job): outcome for queue in old for outcome in queue.started}
            new = [self._begun_with(wanted, there, same) for wanted in jobs]
            for queue in old:
                self.cancel(queue)
            self._queues = [queue for queue in self._queues if queue not in old or queue.running] + new
            while len(self._threads) < self._size:
                # daemon threads: a request that hangs must not keep the interpreter from ending
                thread = threading.Thread(target=self._run, daemon=True, name=f"stripe-reports-{len(self._threads)}")
                self._threads.append(thread)
                thread.start()
            self._changed.notify_all()
        return new

    def ready(self) -> tuple[int, int]:
        """How many outcomes can be taken now, and their bytes."""
        with self._changed:
            counts = [queue.ready_to_take() for queue in self._queues]
        return sum(count for count, _ in counts), sum(size for _, size in counts)

    @property
    def at_work(self) -> bool:
        """True while a job is under way, or can be."""
        with self._changed:
            return any(queue.running for queue in self._queues) or self._next_queue() is not None

    def take(self, queue: JobQueue[J, R]) -> Outcome[J, R] | None:
        """The queue's next outcome in order, None while it is not done. Call `release` when through with it."""
        with self._changed:
            if not queue.ready:
                return None
            outcome = queue.started.popleft()
            queue.taken_bytes = outcome.bytes
            return outcome

    def release(self, queue: JobQueue[J, R]) -> None:
        """Give back the slot of the outcome taken last."""
        with self._changed:
            queue.slots -= 1
            self._waiting_bytes -= queue.taken_bytes
            queue.taken_bytes = 0
            self._changed.notify_all()

    def cancel(self, queue: JobQueue[J, R]) -> None:
        """Start no further job of a queue and throw away what is under way."""
        with self._changed:
            queue.cancelled = True
            queue.queued.clear()
            finished = [outcome for outcome in queue.started if outcome.finished]
            queue.started = deque(outcome for outcome in queue.started if not outcome.finished)
            queue.slots -= len(finished)
            self._waiting_bytes -= sum(outcome.bytes for outcome in finished)
            self._changed.notify_all()
        self._throw_away(finished)

    def wait(self, timeout: float) -> None:
        """Wait until any queue has an outcome to take, or for `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: any(queue.ready for queue in self._queues), timeout)

    def close(self, patience: float) -> None:
        """Stop the workers, waiting for them at most `patience` seconds in all."""
        self._stop.set()
        with self._changed:
            queues = list(self._queues)
        for queue in queues:
            self.cancel(queue)
        for thread in self._threads:
            thread.join(patience / len(self._threads))

    def _run(self) -> None:
        while True:
            with self._changed:
                while (queue := self._next_queue()) is None:
                    if self._stop.is_set():
                        return
                    self._changed.wait()
                outcome = Outcome(queue.queued.popleft(), queue)
                queue.start(outcome)
            try:
                outcome.result = self._work(outcome.job)
                outcome.bytes = self._bytes_of(outcome.result)
            except Stopped:
                return
            except Exception as error:
                outcome.error = error
            with self._changed:
                outcome.finished = True
                queue = outcome.queue
                queue.running -= 1
                self._waiting_bytes += outcome.bytes
                cancelled = queue.cancelled
                if cancelled:
                    queue.started.remove(outcome)
                    queue.slots -= 1
                    self._waiting_bytes -= outcome.bytes
                self._changed.notify_all()
            if cancelled:
                self._throw_away([outcome])

    def _begun_with(
        self, jobs: Sequence[J], there: dict[Hashable, Outcome[J, R]], same: Callable[[J], Hashable]
    ) -> JobQueue[J, R]:
        """A queue that takes over the outcomes of its first jobs."""
        queue: JobQueue[J, R] = JobQueue()
        for job in jobs:
            # jobs start in order: after the first that has not been started, none has
            outcome = None if queue.queued else there.pop(same(job), None)
            if outcome is None:
                queue.queued.append(job)
            else:
                outcome.queue.hand_over(outcome, queue)
        return queue

    def _next_queue(self) -> JobQueue[J, R] | None:
        if self._stop.is_set() or sum(queue.running for queue in self._queues) >= self._size:
            return None
        if self._waiting_bytes >= self._spare_bytes and sum(queue.slots for queue in self._queues) >= self._size:
            return None
        return min((queue for queue in self._queues if queue.queued), key=lambda queue: queue.slots, default=None)

    def _throw_away(self, outcomes: list[Outcome[J, R]]) -> None:
        for outcome in outcomes:
            if outcome.result is not None:
                self._discard(outcome.result)
