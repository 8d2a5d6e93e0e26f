"""Stripe's side of a sync: one client, the list of offered types, workers that fetch ahead, a folder of result files.

In: cells that are planned. Out: queues, from which fetched cells are taken in order. Everything is made when it is
first needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import StripeUnreachable
from ..plan.cells import CellFailure, CellRequest, FetchedCell
from ..plan.planned import parameters_digest
from ..plan.settings import Settings
from ..plan.stripe_objects import OfferedTypes
from ..stripe_api.archive import Archive
from ..stripe_api.client import StripeClient, stripe_client
from ..stripe_api.runs import RunBook, Runner
from .context import Load
from .fetch import CellFetcher, Stage
from .given import GivenFiles
from .growing import Arrivals
from .keeping import Keeping
from .parsed_ahead import ParsedAhead
from .pool import FetchPool, JobQueue
from .replaying import Archived
from .result_files import ResultFiles

SPARE_BYTES = 128 << 20
"""Result files that may wait for a load package beyond one per slot, in all: small runs go on while dlt loads."""
CLOSE_PATIENCE = 0.3
"""Seconds to wait for workers at the end: a request that hangs must not hold up Ctrl-C."""
BLOCKS_AHEAD = 8
"""Of a file that is parsed while it arrives, at least: a smaller one is parsed in less time than it takes to be asked
for."""

Queue = JobQueue[CellRequest, FetchedCell]


class Fetching:
    """See the module.

    Args:
        settings, load: the sync's.
        working_dir: dlt's, for result files; None outside a pipeline.
        on_stage: called with each step of each cell, from several threads.
        archived: where the cells come from instead of Stripe.
        offered: the report types that the account offers; None asks Stripe.
    """

    def __init__(
        self,
        settings: Settings,
        load: Load,
        working_dir: Path | None,
        on_stage: Callable[[CellRequest, Stage, str | None], None],
        archived: Archived | GivenFiles | None = None,
        offered: OfferedTypes | None = None,
    ) -> None:
        self._working_dir = working_dir
        self._settings = settings
        self._load = load
        self._on_stage = on_stage
        self._archived = archived
        self._api: StripeClient | None = None
        self._known: dict[str, bool] = {}
        self.keeping: Keeping | None = None
        if settings.archive_url is not None:
            archive = Archive(settings.archive_url)
            self.keeping = Keeping(archive, self.knows_run, settings.label, settings.acts_on)
        self._offered = offered
        self._pool: FetchPool[CellRequest, FetchedCell] | None = None
        self._files: ResultFiles | None = None
        self._cells: CellFetcher | None = None
        self._queues: dict[str, list[Queue]] = {}
        self._parsing = 0
        self.arrivals = Arrivals(BLOCKS_AHEAD * settings.parse_policy.block_bytes)
        self._ahead: ParsedAhead | None = None

    @property
    def offered(self) -> OfferedTypes:
        """The report types that the account offers: asked once."""
        if self._offered is None:
            self._load.database.let_go()  # who waits for Stripe keeps nobody else waiting
            self._offered = self.api.report_types(self._settings.acts_on)
            self._load.database.keep()
        return self._offered

    @property
    def api(self) -> StripeClient:
        """Stripe, for questions that the plan waits for."""
        if self._api is None:
            self._api = stripe_client(self._settings, self._sleep)
        return self._api

    def knows_run(self, run: str) -> bool:
        """True if the key's own account has made a run: asked once."""
        if run not in self._known:
            self._known[run] = self.api.knows_run(run)
        return self._known[run]

    def queues(self, table: str, lanes: Sequence[Sequence[CellRequest]]) -> list[Queue]:
        """Let the cells of a table be fetched, lane by lane in order, as workers come free.

        What is there of an earlier plan, or under way, is gone on with; the rest of it is dropped.
        """
        if self._files is not None and not self._files.path.is_dir():
            self._drop_files()  # someone has removed the working folder meanwhile
        if self._pool is None:
            self._pool = self._new_pool()
        self._queues[table] = self._pool.queue_again(self._queues.get(table, ()), lanes, fetched_as, table)
        return self._queues[table]

    def ready(self, table: str) -> list[Queue]:
        """The queues of a table that have a cell to take."""
        return [] if self._pool is None else self._pool.ready(table)

    @property
    def folder(self) -> Path:
        """Where the result files are, until the sync ends."""
        if self._files is None:
            raise RuntimeError("this sync is closed")
        return self._files.path

    @property
    def ready_to_take(self) -> tuple[int, int]:
        """How many cells can be taken now, and the bytes of their files."""
        return (0, 0) if self._pool is None else self._pool.ready_to_take()

    @property
    def at_work(self) -> bool:
        """True while a cell is being fetched, or can be."""
        return self._pool is not None and self._pool.at_work

    def take(self, queue: Queue, request: CellRequest) -> FetchedCell | CellFailure | None:
        """The queue's next cell, which is `request`; None while it is not there. Call `release` when done with it."""
        outcome = self._workers.take(queue)
        if outcome is None:
            return None
        taken = outcome.error if isinstance(outcome.error, CellFailure) else outcome.result
        if isinstance(taken, FetchedCell) and taken.request is not request and self._cells is not None:
            return self._cells.as_planned_now(taken, request)
        return taken

    def release(self, queue: Queue, taken: FetchedCell | CellFailure) -> None:
        """Free the slot and the disk space of the cell that was taken last."""
        if isinstance(taken, FetchedCell):
            _remove(taken)
        self._workers.release(queue)

    def cancel(self, queue: Queue) -> None:
        """Drop what a queue still holds. Runs stay at Stripe, where the next sync finds them."""
        if self._pool is not None:
            self._pool.cancel(queue)

    def wait(self) -> bool:
        """Wait a moment for any cell, unless there is one at hand.

        Returns:
            True if there is something to be done.
        """
        if self._pool is None or self._parsing:
            return True
        self._pool.wait(0.05)
        return self.ready_to_take[0] > 0

    @contextmanager
    def parsing(self) -> Iterator[None]:
        """While a cell's rows are given out, no generator waits for another cell."""
        self._parsing += 1
        try:
            yield
        finally:
            self._parsing -= 1

    @property
    def may_parse_ahead(self) -> bool:
        """True while no cell is parsed: it costs memory, and a cell that is there goes before one that is not."""
        return not self._parsing and self.parsed_ahead is None

    @property
    def parsed_ahead(self) -> ParsedAhead | None:
        """What is parsed before it is whole: of one cell at a time."""
        return None if self._ahead is None or self._ahead.closed else self._ahead

    def parse_ahead(self, ahead: ParsedAhead) -> None:
        """Keep what is parsed before it is whole; it is closed at the end at the latest."""
        self._ahead = ahead

    def give_up_ahead(self, table: str) -> None:
        """End what is parsed of a table before it is whole."""
        ahead = self.parsed_ahead
        if ahead is not None and ahead.request.report.report.table == table:
            ahead.close()

    def close(self) -> None:
        """Stop the workers and remove the files. May be called at any time."""
        self._drop_files()

    def _drop_files(self) -> None:
        pool, self._pool = self._pool, None
        files, self._files = self._files, None
        self._queues.clear()
        if self._ahead is not None:
            self._ahead.close()
        if pool:
            pool.closed.set()
            if self._load.run_events:
                self._load.run_events.wake()
            pool.close(CLOSE_PATIENCE)
        if files:
            files.close()

    @property
    def _workers(self) -> FetchPool[CellRequest, FetchedCell]:
        if self._pool is None:
            raise RuntimeError("this sync is closed")
        return self._pool

    def _new_pool(self) -> FetchPool[CellRequest, FetchedCell]:
        self._files = ResultFiles(self._working_dir)
        pool: FetchPool[CellRequest, FetchedCell] = FetchPool(
            self._settings.max_concurrent_runs,
            lambda request: fetch(request),
            _remove,
            bytes_of=lambda fetched: fetched.file.bytes,
            spare_bytes=SPARE_BYTES,
        )
        fetch = self._fetcher(self._files.path, pool)
        return pool

    def _fetcher(self, folder: Path, pool: FetchPool[CellRequest, FetchedCell]) -> Callable[[CellRequest], FetchedCell]:
        """What the workers of a pool do. All that waits or asks Stripe in it ends with that pool: a later one may be
        at work by then, or none."""
        if self._archived is not None:
            return self._archived.fetcher(folder, self._on_stage, self._load.spoiled)
        api = self.api.sleeping(pool.sleep)
        events = self._load.run_events

        def wait_for_event(run_id: str, seconds: float) -> None:
            if events:
                events.wait(run_id, seconds, pool.closed)
            pool.sleep(0)

        runner = Runner(
            api,
            RunBook(api),
            self._settings.run_policy,
            clock=time.monotonic,
            sleep=pool.sleep,
            wait_for_event=wait_for_event if events else None,
        )
        archive = None if self.keeping is None else self.keeping.archive
        self._cells = CellFetcher(api, runner, folder, self._on_stage, self._load.spoiled, archive, self.arrivals)
        return self._cells.fetch

    def _sleep(self, seconds: float) -> None:
        self._load.database.let_go()
        if self._load.stop is None:
            time.sleep(seconds)
        elif self._load.stop.wait(seconds):
            raise StripeUnreachable("The load was stopped while it waited to ask Stripe again.")


def fetched_as(request: CellRequest) -> Hashable:
    """Equal for cells of which Stripe makes the same file: only the table may have got other columns meanwhile."""
    report, offered = request.report, request.report.offered
    return (
        *(report.report.table, request.key, request.account, request.cell.span, parameters_digest(report)),
        *(offered.id, offered.available, offered.updated, offered.livemode),
        request.replayed,
    )


def _remove(fetched: FetchedCell) -> None:
    fetched.file.path.unlink(missing_ok=True)
