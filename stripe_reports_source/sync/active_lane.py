"""A lane whose cells are being fetched. In: a planned lane. Out: its cells, in order."""

from __future__ import annotations

from ..plan.cells import CellFailure, CellRequest, FetchedCell
from ..plan.lanes import Lane
from .fetching import Fetching, Queue


class ActiveLane:
    """A lane, and which of its cells are still to come."""

    __slots__ = ("_done", "_fetching", "_queue", "lane")

    def __init__(self, lane: Lane, fetching: Fetching) -> None:
        self.lane = lane
        self._fetching = fetching
        self._done = 0
        self._queue: Queue | None = None

    @property
    def queue(self) -> Queue | None:
        """Where the cells come from; None before `start`."""
        return self._queue

    @property
    def left(self) -> int:
        """Cells that are neither loaded nor given up."""
        return len(self.lane.cells) - self._done

    @property
    def next_cell(self) -> CellRequest:
        """The cell that `take` gives next, or gave last."""
        return self.lane.cells[self._done]

    def start(self, queue: Queue) -> None:
        """Take the cells from a queue from now on."""
        self._queue = queue

    def take(self) -> FetchedCell | CellFailure | None:
        """The next cell in order, None while it is not there."""
        return None if self._queue is None else self._fetching.take(self._queue, self.next_cell)

    def release(self, taken: FetchedCell | CellFailure) -> None:
        """Be through with the cell that was taken: free its slot and its file."""
        self._done += 1
        if self._queue is not None:
            self._fetching.release(self._queue, taken)

    def abandon(self) -> None:
        """Give up the cells that are still to come."""
        self._done = len(self.lane.cells)
        if self._queue is not None:
            self._fetching.cancel(self._queue)
