"""A few worker threads that fetch cells ahead, in queues that are taken from in order.

In: jobs, each in the queue of one report of one account. Out: their outcomes, queue by queue in the order of
submission. A slot is held from the start of a job until its outcome is released, so slots bound both the runs
in flight at Stripe and the files on disk; but as long as the finished outcomes that wait are small in all, they hold
none, and Stripe is kept busy while a package is loaded. Queues with the least in flight go first, in turns whatever
their length, and a queue's jobs start in order, so every queue that holds slots holds one for the outcome it gives out
next: no deadlock. No step costs more for many queues.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

J = TypeVar("J")
R = TypeVar("R")


class Stopped(BaseException):
    """Raised inside a worker that waits when the pool is closed. Not an Exception: no retry may catch it."""


@dataclass(eq=False, slots=True)
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

    __slots__ = ("begun", "cancelled", "group", "jobs", "slots", "started", "taken_bytes")

    def __init__(self, jobs: Sequence[J], group: str) -> None:
        self.group = group
        self.jobs = jobs
        self.begun = 0
        """How many of the jobs have been started, or are not to be."""
        self.started: list[Outcome[J, R]] = []
        self.slots = 0
        self.taken_bytes = 0
        self.cancelled = False

    @property
    def ready(self) -> bool:
        """True when the next outcome in order can be taken."""
        return bool(self.started) and self.started[0].finished

    @property
    def queued(self) -> bool:
        """True when there are jobs to start."""
        return self.begun < len(self.jobs)

    def ready_to_take(self) -> tuple[int, int]:
        """How many outcomes can be taken one after the other, and their bytes."""
        ready = list(itertools.takewhile(lambda outcome: outcome.finished, self.started))
        return len(ready), sum(outcome.bytes for outcome in ready)

    def start(self, outcome: Outcome[J, R]) -> None:
        """Go on with the next job: it holds a slot."""
        self.begun += 1
        self.started.append(outcome)
        self.slots += 1

    def hand_over(self, outcome: Outcome[J, R], other: JobQueue[J, R]) -> None:
        """Let another queue go on with a job of this one."""
        self.started.remove(outcome)
        self.slots -= 1
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
        self._waiting_bytes = self._slots = self._running = self._queued = 0
        lock = threading.RLock()
        self._free = threading.Condition(lock)
        """For workers: there may be a job to start."""
        self._done = threading.Condition(lock)
        """For who takes: there may be an outcome."""
        self.closed = threading.Event()
        """Set once the workers are to end."""
        self._queues: dict[JobQueue[J, R], None] = {}
        self._ready: dict[str, dict[JobQueue[J, R], None]] = {}
        self._turns: list[tuple[int, int, JobQueue[J, R]]] = []
        """A heap of the queues with jobs to start: slots, whose turn it is, queue. What is out of date is left in."""
        self._turn = itertools.count()
        self._threads: list[threading.Thread] = []

    def sleep(self, seconds: float) -> None:
        """Wait, for use inside jobs.

        Raises:
            Stopped: the pool was closed meanwhile.
        """
        if self.closed.wait(seconds):
            raise Stopped

    def queue_again(
        self,
        old: Sequence[JobQueue[J, R]],
        jobs: Sequence[Sequence[J]],
        same: Callable[[J], Hashable],
        group: str = "",
    ) -> list[JobQueue[J, R]]:
        """New queues in place of old ones, which have what is done or under way of the first jobs of each.

        Args:
            old: queues that nothing is taken from any more; what the new ones do not begin with is thrown away.
            jobs: of each new queue.
            same: equal for jobs that have the same result.
            group: of the new queues, for `ready`.
        """
        with self._free:
            there = {same(outcome.job): outcome for queue in old for outcome in queue.started}
            new = [self._begun_with(JobQueue(wanted, group), there, same) for wanted in jobs]
            for queue in old:
                self.cancel(queue)
            for queue in new:
                self._queues[queue] = None
                self._queued += len(queue.jobs) - queue.begun
                self._line_up(queue)
                self._note_ready(queue)
            while len(self._threads) < self._size:
                # daemon threads: a request that hangs must not keep the interpreter from ending
                thread = threading.Thread(target=self._run, daemon=True, name=f"stripe-reports-{len(self._threads)}")
                self._threads.append(thread)
                thread.start()
            self._free.notify_all()
            self._done.notify_all()
        return new

    def ready(self, group: str = "") -> list[JobQueue[J, R]]:
        """The queues of a group of which an outcome can be taken."""
        with self._done:
            return list(self._ready.get(group, ()))

    def ready_to_take(self) -> tuple[int, int]:
        """How many outcomes can be taken now, and their bytes."""
        with self._done:
            counts = [queue.ready_to_take() for ready in self._ready.values() for queue in ready]
        return sum(count for count, _ in counts), sum(size for _, size in counts)

    @property
    def at_work(self) -> bool:
        """True while a job is under way, or can be."""
        with self._free:
            return self._running > 0 or (self._queued > 0 and self._may_start())

    def take(self, queue: JobQueue[J, R]) -> Outcome[J, R] | None:
        """The queue's next outcome in order, None while it is not done. Call `release` when through with it."""
        with self._done:
            if not queue.ready:
                return None
            outcome = queue.started.pop(0)
            queue.taken_bytes = outcome.bytes
            self._note_ready(queue)
            return outcome

    def release(self, queue: JobQueue[J, R]) -> None:
        """Give back the slot of the outcome taken last."""
        with self._free:
            self._give_back(queue, 1, queue.taken_bytes)
            queue.taken_bytes = 0

    def cancel(self, queue: JobQueue[J, R]) -> None:
        """Start no further job of a queue and throw away what is under way."""
        with self._free:
            queue.cancelled = True
            self._queued -= len(queue.jobs) - queue.begun
            queue.begun = len(queue.jobs)
            finished = [outcome for outcome in queue.started if outcome.finished]
            queue.started = [outcome for outcome in queue.started if not outcome.finished]
            self._give_back(queue, len(finished), sum(outcome.bytes for outcome in finished))
            self._note_ready(queue)
        self._throw_away(finished)

    def wait(self, timeout: float) -> None:
        """Wait until any queue has an outcome to take, or none is to come, or for `timeout` seconds."""
        with self._done:
            self._done.wait_for(lambda: any(self._ready.values()) or not self.at_work, timeout)

    def close(self, patience: float) -> None:
        """Stop the workers, waiting for them at most `patience` seconds in all."""
        self.closed.set()
        with self._free:
            queues = list(self._queues)
        for queue in queues:
            self.cancel(queue)
        with self._free:
            self._free.notify_all()
        for thread in self._threads:
            thread.join(patience / len(self._threads))

    def _run(self) -> None:
        while True:
            with self._free:
                while (queue := self._next_queue()) is None:
                    if self.closed.is_set():
                        return
                    self._free.wait()
                outcome = self._start(queue)
            try:
                outcome.result = self._work(outcome.job)
                outcome.bytes = self._bytes_of(outcome.result)
            except Stopped:
                return
            except Exception as error:
                outcome.error = error
            with self._done:
                outcome.finished = True
                queue = outcome.queue
                self._running -= 1
                self._waiting_bytes += outcome.bytes
                cancelled = queue.cancelled
                if cancelled:
                    queue.started.remove(outcome)
                    self._give_back(queue, 1, outcome.bytes)
                self._note_ready(queue)
                self._done.notify_all()
            if cancelled:
                self._throw_away([outcome])

    def _start(self, queue: JobQueue[J, R]) -> Outcome[J, R]:
        outcome: Outcome[J, R] = Outcome(queue.jobs[queue.begun], queue)
        queue.start(outcome)
        self._queued -= 1
        self._slots += 1
        self._running += 1
        self._line_up(queue)
        return outcome

    def _give_back(self, queue: JobQueue[J, R], slots: int, bytes_: int) -> None:
        queue.slots -= slots
        self._slots -= slots
        self._waiting_bytes -= bytes_
        if not queue.queued and not queue.started and not queue.slots:
            self._queues.pop(queue, None)
        self._line_up(queue)
        self._free.notify(max(slots, 1))

    def _line_up(self, queue: JobQueue[J, R]) -> None:
        """Let a queue wait for its turn: queues with the least in flight go first, and those in turns."""
        if queue.queued:
            heapq.heappush(self._turns, (queue.slots, next(self._turn), queue))

    def _note_ready(self, queue: JobQueue[J, R]) -> None:
        if queue.ready:
            self._ready.setdefault(queue.group, {})[queue] = None
        else:
            self._ready.get(queue.group, {}).pop(queue, None)

    def _next_queue(self) -> JobQueue[J, R] | None:
        if not self._may_start():
            return None
        while self._turns:
            slots, _, queue = heapq.heappop(self._turns)
            if queue.queued and queue.slots == slots:
                return queue
        return None

    def _may_start(self) -> bool:
        if self.closed.is_set() or self._running >= self._size:
            return False
        return self._waiting_bytes < self._spare_bytes or self._slots < self._size

    def _begun_with(
        self, queue: JobQueue[J, R], there: dict[Hashable, Outcome[J, R]], same: Callable[[J], Hashable]
    ) -> JobQueue[J, R]:
        """A new queue, which takes over the outcomes of its first jobs."""
        for job in queue.jobs:
            outcome = there.pop(same(job), None)
            if outcome is None:
                break  # jobs start in order: after the first that has not been started, none has
            outcome.queue.hand_over(outcome, queue)
        return queue

    def _throw_away(self, outcomes: list[Outcome[J, R]]) -> None:
        for outcome in outcomes:
            if outcome.result is not None:
                self._discard(outcome.result)
