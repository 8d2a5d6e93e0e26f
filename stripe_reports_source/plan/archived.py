"""What a replay is to load: the cells that an archive's manifests tell of, in lanes. Pure.

In: manifests, in the order in which their runs were made. Out: reports, and lanes of cells. Of each cell the newest run
counts; the earlier ones are noted in the ledger, as they were when they were loaded.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from .cells import CellRequest, Replayed
from .lanes import Lane
from .manifest import Manifest
from .report import Report
from .state import LaneStates
from .stripe_objects import OfferedTypes
from .whole_cells import refuse_other_grid
from .whose_data import alike, refuse_other_mode

logger = logging.getLogger(__name__)


def archived_reports(manifests: Iterable[Manifest]) -> tuple[Report, ...]:
    """A report for each table, by the type that was loaded last."""
    return tuple({manifest.table: manifest.request.report.report for manifest in manifests}.values())


def archived_types(manifests: Iterable[Manifest]) -> dict[str, OfferedTypes]:
    """The report types that were run, as each account was last offered them, by the account's label."""
    found: dict[str, dict[str, Manifest]] = defaultdict(dict)
    for manifest in manifests:
        found[manifest.request.label][manifest.run.report_type] = manifest
    return {
        label: OfferedTypes(tuple(manifest.request.report.offered for manifest in types.values()))
        for label, types in found.items()
    }


def archived_lanes(table: str, manifests: Iterable[Manifest], states: LaneStates) -> list[Lane]:
    """The lanes of a table.

    Args:
        table: its name.
        manifests: of the whole archive.
        states: what is kept of the table's lanes.

    Raises:
        ConfigurationError: the table holds cells of another grid, zone, filter or mode.
    """
    of_account: dict[str, list[Manifest]] = defaultdict(list)
    for manifest in manifests:
        if manifest.table == table:
            of_account[manifest.request.label].append(manifest)
    lanes: dict[str, list[Manifest]] = defaultdict(list)
    for found in of_account.values():
        for manifest in _last_made(found):
            lanes[manifest.lane].append(manifest)
    return [_lane(key, found, states) for key, found in lanes.items()]


def _last_made(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Without what was loaded before the account's table was made anew in another way: its cells would overlap."""
    last = manifests[-1].request.report
    kept = []
    for manifest in manifests:
        report = manifest.request.report
        same_cells = report.keys or alike(report.grid_identity, last.grid_identity)
        if same_cells and report.offered.livemode == last.offered.livemode:
            kept.append(manifest)
    if len(kept) < len(manifests):
        logger.warning(
            "table %s [%s]: %s of %s archived files are of another grid, zone, filter or mode than the newest, and are "
            "not loaded",
            manifests[-1].table,
            manifests[-1].request.label,
            len(manifests) - len(kept),
            len(manifests),
        )
    return kept


def _lane(key: str, manifests: Sequence[Manifest], states: LaneStates) -> Lane:
    synced = [manifest for manifest in manifests if not manifest.backfill]
    last = (synced or manifests)[-1].request
    known = states.get(key)
    refuse_other_mode(last.report, last.label, known.livemode if known else None)
    refuse_other_grid(last.report, known)
    cells: dict[str, dict[str, Manifest]] = defaultdict(dict)
    for manifest in manifests:
        cells[manifest.request.key].pop(manifest.run.id, None)  # the last time that a run was loaded counts
        cells[manifest.request.key][manifest.run.id] = manifest
    by_sync = {manifest.request.key for manifest in synced}
    runs = [_requests(list(cell.values()), backfill=cell_key not in by_sync) for cell_key, cell in cells.items()]
    if not last.report.keys:
        runs.sort(key=lambda requests: requests[-1].cell.first_day)
    return Lane(key, last.report, tuple(request for requests in runs for request in requests), backfill=not synced)


def _requests(manifests: Sequence[Manifest], *, backfill: bool) -> list[CellRequest]:
    """The runs of a cell, of which the last is to be loaded."""
    return [
        replace(manifest.request, replayed=Replayed(manifest.run.id, manifest is not manifests[-1], backfill))
        for manifest in manifests
    ]
