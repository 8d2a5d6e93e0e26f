"""What a load has under way while others may work: runs and files at Stripe's side, and what it has done so far.

In: a load and its cells. Out: when it is time to ask for the lock; and what the next plan has to leave out.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ..plan.cells import CellRequest
from ..plan.columns import TableColumn
from ..plan.lanes import Lane
from ..plan.loaded_cells import Ledger, loaded_already
from ..warehouse.forks import Fork
from .context import Load
from .fetching import Fetching

READY_SECONDS = 3.0
"""How long a cell that is ready waits for others, until its load asks for the lock that another one has."""
PAUSE_SECONDS = 0.05

LaneKey = tuple[str, str]
"""Table and key of a lane."""


@dataclass
class UnderWay:
    """See the module; of one pass over a source. The plan is made anew after each time that others have worked.

    Args:
        load: the load.
        fetching: the cells that are fetched, and Stripe's list of report types; None before the first plan.
        loaded: interval keys of cells that are loaded, by table.
        failed: interval keys of cells that have failed.
        gone: lanes of connected accounts that are not, or no longer, the platform's.
        listed: of a backfill, which load package had listed each cell when it was first planned.
        columns: the columns of each table that was loaded, by name.
        forks: those in the pipeline's history; None before the first plan.
        said: lanes that were said to be planned.
    """

    load: Load
    fetching: Fetching | None = None
    loaded: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    failed: dict[LaneKey, set[str]] = field(default_factory=dict)
    gone: set[LaneKey] = field(default_factory=set)
    listed: dict[LaneKey, Mapping[str, str | None]] = field(default_factory=dict)
    columns: dict[str, dict[str, TableColumn]] = field(default_factory=dict)
    forks: frozenset[Fork] | None = None
    said: set[LaneKey] = field(default_factory=set)
    _ready_since: float | None = None

    @property
    def has_some(self) -> bool:
        """True when a cell can be loaded."""
        return self.fetching is None or self.fetching.ready_to_take[0] > 0

    @property
    def is_due(self) -> bool:
        """True when a package can be filled, nothing is awaited, or a cell has been ready for some time."""
        if self.fetching is None or self.load.stopped or not self.fetching.at_work:
            return True
        cells, size = self.fetching.ready_to_take
        if not cells:
            self._ready_since = None
            return False
        if self._ready_since is None:
            self._ready_since = time.monotonic()
        enough = cells >= self.load.max_cells or size >= self.load.max_bytes
        return enough or time.monotonic() >= self._ready_since + READY_SECONDS

    def close(self) -> None:
        """Stop the workers and remove the files. May be called at any time."""
        if self.fetching is not None:
            self.fetching.close()

    def pause(self) -> None:
        """Wait a moment."""
        time.sleep(PAUSE_SECONDS)

    def begin_plan(self, forks: frozenset[Fork]) -> None:
        """Note the forks in the pipeline's history: where there are new ones, nothing counts as loaded by this load."""
        if self.forks is not None and not forks <= self.forks:
            self.loaded.clear()
        self.forks = forks

    def left(self, lane: Lane, ledger: Ledger, *, exact: bool) -> tuple[CellRequest, ...]:
        """The cells of a planned lane that are still to be loaded.

        Args:
            lane: as it is planned now.
            ledger: what is loaded now, by whomever.
            exact: exactly some cells are loaded again.
        """
        table = lane.resolved.report.table
        failed = self.failed.get((table, lane.key), set())
        if failed and not lane.resolved.keys:
            return ()  # a cursor never passes a cell that is not loaded
        others: Collection[str] = ()
        if lane.backfill and not exact and not lane.resolved.keys:
            others = self._loaded_by_others((table, lane.key), lane.cells, ledger)
        done = failed, self.loaded[table], others
        return tuple(request for request in lane.cells if not any(request.key in keys for keys in done))

    def _loaded_by_others(self, lane: LaneKey, requests: Sequence[CellRequest], ledger: Ledger) -> Collection[str]:
        """Cells that a load has listed since they were planned first: a backfill loads what was listed before anew."""
        listed = {key: cell.load_id for key, cell in ledger.listed([request.key for request in requests]).items()}
        before = self.listed.setdefault(lane, listed)
        since = [request for request in requests if listed.get(request.key) != before.get(request.key)]
        return loaded_already(since, ledger) if since else ()
