"""The cells of a report, in the order in which they are loaded; a large one is parsed before its file is whole.

In: a report within a load package, whose cells are fetched. Out: `ArrivedCell`s, lane by lane in order.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

from ..errors import RowError
from .active_lane import ActiveLane
from .arrived_cell import ArrivedCell
from .parsed_ahead import ParsedAhead
from .reports import ReportInPackage


def arrived_cells(report: ReportInPackage) -> Generator[ArrivedCell | None, None, None]:
    """The cells of a report as they arrive, each lane's in order; None while Stripe is awaited.

    Ends when the package is full.
    """
    sync, finished = report.sync, False
    try:
        sync.start(report.table)
        waiting = {active.queue: active for active in report.lanes if active.left and active.queue}
        while waiting and not sync.load.full:
            ready = [queue for queue in sync.fetching.ready(report.table) if queue in waiting]
            for queue in ready:
                active = waiting[queue]
                taken = active.take()
                if taken is not None:
                    yield ArrivedCell(report, active, taken)
                if not active.left:
                    del waiting[queue]
                if sync.load.full:
                    break
            if not ready:
                parse_ahead(report, waiting.values())
                sync.wait()
                yield None
        finished = True
    finally:
        sync.fetching.give_up_ahead(report.table)
        if not finished:
            sync.abandon(report.table)


def parse_ahead(report: ReportInPackage, lanes: Iterable[ActiveLane]) -> None:
    """Begin to parse a large cell that is arriving, if it is the next one of its lane and a file is made of it.

    Args:
        report: which waits for its cells.
        lanes: of the report, those that have cells left.
    """
    fetching, policy = report.sync.fetching, report.sync.settings.parse_policy
    if not fetching.may_parse_ahead:
        return
    for arriving in fetching.arrivals.of(report.table):
        file = arriving.file
        # the header is in the first block, or is too long for a guess
        if file.given_up or file.bytes < policy.block_bytes:
            continue
        if not any(active.next_cell is arriving.cell.request for active in lanes):
            continue
        try:
            columns = arriving.columns()
        except (OSError, RowError):
            columns = ()  # whoever fetches the cell says so
        order = report.order_in_file(columns) if columns else None
        if order is None:
            file.give_up()
            continue
        fetching.parse_ahead(ParsedAhead(arriving, columns, order, report.load_id, policy, fetching.folder))
        return
