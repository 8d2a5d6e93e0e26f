"""What the ledger says after a load package: which cells are covered, and how fresh each report is.

In: a sync's lanes, the cells of the package, what the dataset holds. Out: rows of `report_cells` and
`report_freshness`.

`report_cells` is written by the package that loads the cells. For each lane dlt's state, or `report_lanes`, has the
package up to which it is: where the lane is loaded by another one (by a version without the table, without the
resource `report_cells`, or before someone has dropped the table), its rows are taken from what is stored, once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import dlt
from dlt import Pipeline

from ..plan.credentials import connected_in
from ..plan.intervals import Span
from ..plan.lane_table import LaneTable
from ..plan.resolve import ResolvedReport, prefix_of
from ..plan.state import LaneState
from ..plan.system_tables import REPORT_CELLS, REPORT_FRESHNESS, CellRow, FreshnessRow
from ..warehouse.coverage import StoredCoverage, StoredTable, listed_spans, remove_dropped_cells
from ..warehouse.freshness import LedgerRun
from .lane_book import LaneBook, LaneEntry
from .package import current_load_id

Stored = Mapping[tuple[str, str], FreshnessRow]
_COVERED, _LEFT, _DROPPED = "covered", "left", "dropped"
UNASKED = timedelta(days=7)
"""After which an account counts as asked for no more: sources of one label may be loaded on days of their own."""


def covered_cells(
    book: Iterable[LaneEntry],
    loaded: Sequence[CellRow],
    pipeline: Pipeline,
    dropped: Collection[str],
    in_table: Mapping[str, MutableMapping[str, str]],
) -> list[CellRow]:
    """The rows of `report_cells` that a package is to bring: its own cells, and what the table lacks.

    Args:
        book: lanes of the sync.
        loaded: cells of the package.
        pipeline: that is extracting.
        dropped: tables that the package drops or empties before it loads.
        in_table: of lanes that `report_lanes` has, the package up to which they are listed, by table and lane.
    """
    rows = {(row.table_name, row.account, row.interval_key): row for row in loaded}
    state = dlt.current.resource_state(REPORT_CELLS.name).setdefault(_COVERED, {})
    lanes: list[tuple[LaneEntry, ResolvedReport, MutableMapping[str, str]]] = []
    for entry in book:
        if entry.resolved is not None:
            connected = entry.key != entry.label and entry.table in in_table
            covered = in_table[entry.table] if connected else state.setdefault(entry.table, {})
            lanes.append((entry, entry.resolved, covered))
    apart = [
        (entry, resolved)
        for entry, resolved, covered in lanes
        if not entry.compared and covered.get(entry.key) != _package(entry.before)
    ]
    _note_dropped(pipeline, dropped)
    for row in _missing(apart, pipeline, dropped):
        rows.setdefault((row.table_name, row.account, row.interval_key), row)
    for entry, _, covered in lanes:
        entry.compared = True
        if not entry.look_again:
            covered[entry.key] = _package(entry.now)
    return list(rows.values())


def freshness(
    book: Iterable[LaneEntry],
    failures: Sequence[LedgerRun],
    stored: Stored,
    replayed: Mapping[tuple[str, str], datetime],
    pipeline: Pipeline | None,
    now: datetime,
) -> list[FreshnessRow]:
    """The rows of `report_freshness` for those lanes of a sync that have changed since they were last asked for.

    Args:
        book: the lanes.
        failures: runs that had failed before the sync, and are not made good for.
        stored: the rows that there are.
        replayed: when Stripe was asked for what an archive has, by table and label; nothing where it is asked now.
        pipeline: whose dataset; None where nothing is loaded.
        now: when the sync began to ask Stripe: the same for all of its lanes.
    """
    listed = _ListedSpans(pipeline)
    of_lane: dict[str, list[LedgerRun]] = {}
    for run in failures:
        of_lane.setdefault(prefix_of(run.interval_key), []).append(run)
    rows = []
    for entry in book:
        if entry.told:
            continue
        entry.told = True
        before = stored.get((entry.table, entry.key))
        place = (entry.table, entry.label)
        asked = [replayed.get(place, now)]
        if place in replayed and before is not None:
            asked.append(before.checked_at)
        loaded_to = _all_loaded_to(entry, before, listed)
        rows.append(_freshness_row(entry, max(asked), _of_lane(entry, of_lane), before, loaded_to))
    return rows


def note_left(book: LaneBook, stored: Stored) -> set[tuple[str, str]]:
    """Note in dlt's state which lanes' accounts Stripe has said to have left; and those that are noted.

    A row alone does not tell: an earlier version has written the same of a report that could not be planned. What has
    ended is noted no longer.
    """
    state = dlt.current.resource_state(REPORT_FRESHNESS.name)
    noted = {(table, key) for table, key in state.get(_LEFT, ())}
    gone = {(entry.table, entry.key): entry.gone for entry in book if entry.resolved is not None}
    ended = {row.lane for row in stored.values() if row.ended}
    left = {lane for lane in noted | gone.keys() if gone.get(lane, lane not in ended)}
    if left != noted:
        state[_LEFT] = [list(lane) for lane in sorted(left)]
    return left


def ended_lanes(
    book: LaneBook, tables: Collection[str], stored: Stored, left: Collection[tuple[str, str]]
) -> list[FreshnessRow]:
    """The rows of connected accounts that had left the platform, and that no source of the label names any more.

    Several sources may name accounts of one label and table. A row counts as named no more once all others have been
    asked for since, by whichever source; those that nobody has asked for in `UNASKED` do not count.

    Args:
        book: the lanes of a sync.
        tables: those of which it has all lanes that the source names.
        stored: the rows that there are.
        left: lanes whose accounts Stripe has said to have left.
    """
    asked = {(entry.table, entry.key) for entry in book}
    others = [
        row
        for row in stored.values()
        if row.table_name in tables and row.lane not in asked and connected_in(row.account, book.label)
    ]
    asked_for: dict[str, datetime] = {}
    for row in others:
        if not row.gone and not row.ended and row.checked_at > book.asked_at - UNASKED:
            asked_for[row.table_name] = min(row.checked_at, asked_for.get(row.table_name, book.asked_at))
    return [
        replace(row, open_failures=0, checked_at=book.asked_at)
        for row in others
        if row.lane in left and row.gone and row.checked_at < asked_for.get(row.table_name, book.asked_at)
    ]


def _of_lane(entry: LaneEntry, failures: Mapping[str, list[LedgerRun]]) -> list[LedgerRun]:
    """The failures that may be of a lane."""
    if entry.resolved is None or entry.resolved.keys:
        return [run for some in failures.values() for run in some]
    return [*failures.get("", ()), *failures.get(entry.resolved.key_prefix(entry.label), ())]


def _note_dropped(pipeline: Pipeline, dropped: Collection[str]) -> None:
    """Note which tables the package drops; what is listed of those that one before has dropped goes now, all of it.

    A report that is loaded anew alone may be by another grid, filter or account than was listed.
    """
    state = dlt.current.resource_state(REPORT_CELLS.name)
    before = state.get(_DROPPED, {})
    gone = {table: package for table, package in before.items() if table not in dropped}
    remove_dropped_cells(pipeline, gone)
    package = current_load_id()
    noted = {table: package for table in dropped if package and REPORT_CELLS.name not in dropped}
    if noted:
        state[_DROPPED] = noted
    elif before:
        del state[_DROPPED]


def dropped_cells(source_state: Mapping[str, Any]) -> dict[str, str]:
    """Tables of which `report_cells` may list too much, and the package that has dropped each; from dlt's state."""
    return dict(source_state.get("resources", {}).get(REPORT_CELLS.name, {}).get(_DROPPED, {}))


def listed_packages(source_state: Mapping[str, Any], table: str) -> dict[str, str]:
    """The load package up to which `report_cells` lists each lane of a table, from dlt's state of the source."""
    kept = source_state.get("resources", {}).get(REPORT_CELLS.name, {})
    return dict(kept.get(_COVERED, {}).get(table, {}))


def take_listed(source_state: Mapping[str, Any], table: str, label: str, lanes: LaneTable) -> None:
    """Take over from dlt's state up to which package connected accounts are listed, as older versions kept it there."""
    kept = source_state.get("resources", {}).get(REPORT_CELLS.name, {}).get(_COVERED, {}).get(table, {})
    for lane in [lane for lane in kept if connected_in(lane, label)]:
        lanes.listed[lane] = kept.pop(lane)


def _package(state: LaneState | None) -> str:
    """The load package that has replaced cells of a lane last."""
    return (state.package if state else None) or ""


def _missing(
    apart: Sequence[tuple[LaneEntry, ResolvedReport]], pipeline: Pipeline, dropped: Collection[str]
) -> Iterator[CellRow]:
    """The rows that `report_cells` lacks of what is stored of some lanes; those it has too many of are removed."""
    places: dict[tuple[str, str], list[tuple[LaneEntry, ResolvedReport]]] = {}
    for entry, resolved in apart:
        if entry.table in dropped:
            # what the table lists of it goes when its rows are gone, which they are not yet
            entry.look_again = REPORT_CELLS.name not in dropped
        else:
            places.setdefault((entry.table, entry.label), []).append((entry, resolved))
    for (table, label), lanes in places.items():
        # the keys of a report per payout have no common beginning
        per_payout = any(resolved.keys for _, resolved in lanes)
        prefixes = None if per_payout else {resolved.key_prefix(label) for _, resolved in lanes}
        of_table = StoredTable(pipeline, table, label, prefixes)
        for entry, resolved in lanes:
            stored = StoredCoverage(of_table, resolved, entry.before.loaded if entry.before else None)
            wanted = {key: row for key, row in stored.cells().items() if entry.owns(key)}
            listed = {} if REPORT_CELLS.name in dropped else stored.listed
            kept = {*wanted, *entry.loaded, *entry.already}
            stored.remove([key for key in listed if entry.owns(key) and key not in kept])
            yield from (row for key, row in wanted.items() if listed.get(key) != row)


class _ListedSpans:
    """What `report_cells` lists of lanes without a cursor; each table is read once."""

    def __init__(self, pipeline: Pipeline | None) -> None:
        self._pipeline = pipeline
        self._read: dict[tuple[str, str], dict[str, list[Span]]] = {}

    def of(self, entry: LaneEntry, resolved: ResolvedReport) -> list[Span]:
        """The cells of a lane."""
        place = entry.table, entry.label
        if place not in self._read:
            self._read[place] = {} if self._pipeline is None else listed_spans(self._pipeline, *place)
        return self._read[place].get(resolved.key_prefix(entry.label), [])


def _all_loaded_to(entry: LaneEntry, stored: FreshnessRow | None, listed: _ListedSpans) -> datetime | None:
    """Up to when all of a lane is loaded. Backfills alone may have left a gap: it ends there."""
    if entry.now is None or entry.now.cursor is not None or entry.resolved is None or entry.resolved.keys:
        own = entry.now.all_loaded_to if entry.now else None
        # of another pipeline's syncs, perhaps, whose state this one does not have
        others = stored.loaded_to if entry.backfill and stored is not None else None
        end = max((at for at in (own, others) if at), default=None)
        return end if end is None or entry.lost_from is None else min(end, entry.lost_from)
    there = listed.of(entry, entry.resolved)
    others = stored.loaded_to if stored is not None else None
    if others is not None and entry.before is not None and others <= _joined(there, entry.before.loaded.start):
        others = None  # it is this pipeline's own word, of its backfills before
    end = _joined([*there, *entry.spans], others or entry.now.loaded.start)
    # an older version has listed no cells
    return end if others or end > entry.now.loaded.start else entry.now.all_loaded_to


def _joined(spans: Iterable[Span], end: datetime) -> datetime:
    """Up to when all is loaded from an instant on."""
    for span in sorted(spans, key=lambda span: span.start):
        if span.start <= end:
            end = max(end, span.end)
    return end


def _freshness_row(
    entry: LaneEntry,
    asked: datetime,
    failures: Sequence[LedgerRun],
    stored: FreshnessRow | None,
    loaded_to: datetime | None,
) -> FreshnessRow:
    loaded = entry.now.loaded if entry.now else None
    available_to = stored.available_to if stored is not None else None
    if entry.resolved is not None:
        available_to = None if entry.gone else entry.resolved.offered.available.end
    loaded_from = loaded.start if loaded else None
    if entry.backfill and stored is not None:
        loaded_from = min((at for at in (loaded_from, stored.loaded_from) if at), default=None)
    return FreshnessRow(
        table_name=entry.table,
        account=entry.key,
        report_type=entry.report_type,
        loaded_from=loaded_from,
        loaded_to=loaded_to,
        available_to=available_to,
        checked_at=asked,
        open_failures=len(_open(entry, failures)),
    )


def _open(entry: LaneEntry, failures: Sequence[LedgerRun]) -> set[str]:
    """What has failed of a lane and is not loaded: interval keys, or what stands for one in an older ledger."""
    loaded = {*entry.loaded}
    still_open = {*entry.failed} - loaded
    for run in failures:
        if run.table != entry.table or run.account != entry.label:
            continue
        if run.interval_key is None:
            if entry.key == entry.label and not _made_good(entry, run):
                still_open.add(run.place)
        elif entry.owns(run.interval_key) and run.interval_key not in loaded:
            still_open.add(run.interval_key)
    return still_open


def _made_good(entry: LaneEntry, run: LedgerRun) -> bool:
    """True if a cursor has passed a failure: none does before its cell is loaded."""
    loaded_to = entry.now.cursor if entry.now else None
    return run.end is not None and loaded_to is not None and run.end <= loaded_to
