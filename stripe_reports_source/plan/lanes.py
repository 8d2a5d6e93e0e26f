"""What a sync is to do: the cells of each report of each account, in order. Pure.

In: settings, the types that Stripe offers, what is loaded already. Out: lanes of cells, or a refusal.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from ..errors import NotAvailable
from .catalog import Catalog
from .cells import CellRequest
from .columns import StoredColumn
from .intervals import ONE_SECOND, Cell, Grid, Span, cells, day_of, lacks_end, sync_window
from .loaded_cells import NO_KEYS, Ledger, Listed, lists_all, lists_each, not_listed, to_load, with_cells_of_others
from .report import Report
from .resolve import ResolvedReport, resolve
from .settings import Settings
from .state import LaneState, LaneStates
from .stripe_objects import OfferedTypes
from .whole_cells import (
    START_AND_END,
    first_instant,
    loaded_before,
    passed_by,
    refuse_other_grid,
    refuse_other_lanes,
    say_backfill,
    say_gaps,
    say_what_is_lost,
    whole_cells,
)
from .whose_data import CONNECTED, refuse_other_mode

logger = logging.getLogger(__name__)

BEGINNING = datetime(1970, 1, 1, tzinfo=timezone.utc)
"""Start of a backfill's window without a first day: where Stripe's data begins."""

Payout = Mapping[str, str]
"""The run parameters of one payout, such as `{"payout": "po_..."}`."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The cells of one report of one account in one sync, in order. `key` names it in the kept state.

    Of a sync, it leaves out what is loaded already, and begins with what is lacking before the cursor.

    Args:
        gaps: interval keys of cells before the cursor, which do not move it.
        reaches: where loaded cells end that follow a cell at once, by its interval key.
        already: interval keys of cells that are left out, as someone has loaded them.
        earlier: what to say of history that is asked for and begins before what is loaded; None where there is none.
        lost: interval keys of cells before the cursor, or left out, that are not loaded whole, and that Stripe does not
            have whole any more.
        lost_from: where the first of them ends as it is loaded; None where there are none.
    """

    key: str
    resolved: ResolvedReport
    cells: tuple[CellRequest, ...]
    backfill: bool
    noted: LaneState | None = None
    """The lane's state with what planning has found out, to be kept; None if there is nothing new."""
    gaps: frozenset[str] = NO_KEYS
    reaches: Mapping[str, datetime] = field(default_factory=dict)
    already: frozenset[str] = NO_KEYS
    earlier: str | None = None
    lost: frozenset[str] = NO_KEYS
    lost_from: datetime | None = None


@dataclass(frozen=True)
class FromFiles:
    """What is loaded from files that were fetched before, instead of what Stripe has now.

    Args:
        outdated: Stripe has newer data than they are from, of which some may be loaded already.
        needed: of cells of a lane those that are not loaded yet from data as new.
    """

    outdated: bool
    needed: Callable[[str, Sequence[CellRequest]], list[CellRequest]]


@dataclass(frozen=True)
class LoadedBefore:
    """What is known of a report before a sync.

    Args:
        lanes: the kept state of each lane.
        columns: those that the report's table has.
        cursor: end of what dlt says is loaded, None if nothing is.
        replaced_since: start of the earliest cell of a lane that a crossed sync has replaced; None if there is none.
        payouts: the payouts to run a report for that is run per payout: of which report, label and window.
        ledger: what the ledger says of the report's cells, whoever has loaded them.
        start: where history begins that is loaded; None is the source's first day.
        asked_by: what the user has given the window of a backfill by.
        files: that are loaded instead of what Stripe has now; None without any.
        limited: a limit of the user's ends the load before all is loaded.
    """

    lanes: LaneStates
    columns: Mapping[str, StoredColumn]
    cursor: datetime | None
    replaced_since: Callable[[str, Collection[str]], datetime | None]
    payouts: Callable[[ResolvedReport, str, Span | None], Sequence[Payout]]
    ledger: Ledger = field(default_factory=Listed)
    start: datetime | None = None
    asked_by: str = START_AND_END
    files: FromFiles | None = None
    limited: bool = False


def plan_lanes(
    report: Report,
    settings: Settings,
    offered: OfferedTypes,
    catalog: Catalog,
    loaded: LoadedBefore,
    window: Span | None,
    exact: Collection[str] | None = None,
) -> list[Lane]:
    """The lanes of a report: one, or one per connected account; those that are furthest behind come first.

    Args:
        report: the user's words.
        settings: the source's.
        offered: the report types that Stripe offers.
        catalog: what is known of report types.
        loaded: what is loaded already.
        window: for a backfill, what to load; None follows the cursor.
        exact: interval keys of loaded cells, to load those alone again; None for a sync or a backfill.

    Raises:
        ConfigurationError: the report cannot be run as asked. No run has been created then.
        NotAvailable: Stripe does not have the whole window, and `allow_partial` is not set.
    """
    accounts: tuple[str | None, ...] = (None,)
    if report.base.startswith("connected_account_") and settings.connected_accounts:
        accounts = settings.connected_accounts
    first, *others = accounts
    resolved = [resolve(report, offered, catalog, settings.defaults, first, loaded.columns, settings.personal_data)]
    resolved += [resolved[0].for_key({CONNECTED: str(account)}) for account in others]
    refuse_other_lanes(resolved[0], settings.label, first, loaded.lanes)
    for known_in_part in dict.fromkeys(each.only_known_in_part for each in resolved):
        if known_in_part:
            logger.warning("%s", known_in_part)
    planner = _LanePlanner(settings, loaded, window, exact, one_lane=len(accounts) == 1)
    lanes = [planner.lane(*lane) for lane in zip(resolved, accounts, strict=True)]
    # what is furthest behind comes first: a sync that always ends early would leave the last accounts out for good
    return sorted(lanes, key=lambda lane: planner.reached(lane.key))


class _LanePlanner:
    """Plans the lanes of one report."""

    def __init__(
        self,
        settings: Settings,
        loaded: LoadedBefore,
        window: Span | None,
        exact: Collection[str] | None,
        *,
        one_lane: bool,
    ) -> None:
        self._settings = settings
        self._label = settings.label
        self._loaded = loaded
        self._window = window
        self._exact = exact
        self._outdated = loaded.files is not None and loaded.files.outdated
        self._cells: dict[tuple[Span, Grid, str], list[Cell]] = {}
        # dlt's cursor is that of the slowest lane, which says nothing of the others
        self._cursor = loaded.cursor if one_lane else None

    def reached(self, key: str) -> datetime:
        """Up to when a lane is loaded by syncs."""
        known = self._loaded.lanes.get(key)
        return BEGINNING if known is None or known.cursor is None else known.cursor

    def lane(self, resolved: ResolvedReport, connected: str | None) -> Lane:
        """A lane, planned."""
        key = f"{self._label}/{connected}" if connected else self._label
        known = self._loaded.lanes.get(key)
        refuse_other_mode(resolved, self._label, known.livemode if known else None)
        refuse_other_grid(resolved, known)
        if known and known.report_type != resolved.offered.id:
            logger.warning("%s: goes on as %s from here on", known.report_type, resolved.offered.id)
        backfill = self._window is not None or self._exact is not None
        if not backfill and not resolved.keys:
            return replace(self._sync(resolved, key, known), earlier=self._earlier(resolved, known))
        if self._exact is not None:
            requests = self._whole(key, self._exact_cells(resolved, known, self._exact), known, backfill=False)
        elif resolved.keys:
            requests = self._per_payout(resolved)
        else:
            requests = self._requests(resolved, self._backfill_window(resolved))
            requests = self._whole(key, requests, known, backfill=True)
        return Lane(key, resolved, tuple(requests), backfill)

    def _sync(self, resolved: ResolvedReport, key: str, known: LaneState | None) -> Lane:
        """What is lacking before the cursor, and what is to be loaded from there on."""
        noted = known
        if known and not self._outdated:
            noted = known.without_data_from(resolved.offered.available.end)
        again = self._loaded.replaced_since(key, known.forks) if known else None
        window = self._sync_window(resolved, key, known, again)
        requests = self._requests(resolved, window)
        if again is not None or (known and known.taken_back_to is not None):
            # of what two syncs have loaded, or Stripe has taken back, the ledger does not tell the age
            cells = self._whole(key, requests, known, backfill=False)
            _, lost = self._gaps(resolved, key, known, passed_by(resolved, known, window.start, all_=False), requests)
            lost += self._lacking(resolved, key, known, _without(requests, cells))
            lane = Lane(key, resolved, tuple(cells), False, noted if noted != known else None)
            return self._with_lost(lane, known, lost)
        limited_from = known.cursor if known and self._loaded.limited else None
        found = to_load(requests, self._loaded.ledger, limited_from)
        noted = with_cells_of_others(noted, resolved, found)
        gaps, lost = self._gaps(resolved, key, known, passed_by(resolved, known, window.start), requests)
        wanted = [*gaps, *found.cells]
        cells = self._whole(key, wanted, known, backfill=False)
        lane = Lane(
            key,
            resolved,
            tuple(cells),
            backfill=False,
            noted=noted if noted != known else None,
            gaps=frozenset(request.key for request in gaps) if gaps else NO_KEYS,
            reaches=found.reaches,
            already=found.already,
        )
        return self._with_lost(lane, known, [*lost, *self._lacking(resolved, key, known, _without(wanted, cells))])

    def _with_lost(self, lane: Lane, known: LaneState | None, lost: Sequence[CellRequest]) -> Lane:
        """A lane with the cells that are not loaded whole, and that Stripe does not have whole."""
        if known is None or not lost:
            return lane
        keys = frozenset(request.key for request in lost)
        return replace(lane, lost=keys, lost_from=loaded_before(lost, known, self._loaded.ledger))

    def _first(self, resolved: ResolvedReport) -> datetime | None:
        """Where the user wants history to begin; None is where Stripe's does."""
        return self._loaded.start or first_instant(self._settings.start_date, resolved.zone)

    def _earlier(self, resolved: ResolvedReport, known: LaneState | None) -> str | None:
        """What to say where the first day has been moved back: syncs go on from what is loaded."""
        asked, available = self._first(resolved), resolved.offered.available
        if asked is None or known is None or known.cursor is None:
            return None
        missing = Span(max(asked, available.start), known.loaded.start)
        if missing.empty or lists_each(self._requests(resolved, missing), self._loaded.ledger):
            return None
        return say_backfill(resolved, missing)

    def _gaps(
        self, resolved: ResolvedReport, key: str, known: LaneState | None, window: Span, read: Sequence[CellRequest]
    ) -> tuple[list[CellRequest], list[CellRequest]]:
        """The cells that the ledger does not list to their end, although later ones are loaded.

        Args:
            resolved, key, known: of which lane.
            window: of the cells.
            read: what the sync reads, which is in no gap.

        Returns:
            Those that are to be loaded, and those that Stripe no longer has whole.
        """
        if self._outdated:
            window = replace(window, end=min(window.end, resolved.offered.available.end))
        stretch = self._loaded.ledger.stretch(resolved.key_prefix(self._label))
        if lists_all(stretch, window, resolved.grid, resolved.zone):
            return [], []
        lacking = self._lacking(resolved, key, known, _without(self._requests(resolved, window), read))
        gaps = [each for each in lacking if resolved.offered.available.covers(each.cell.span)]
        lost = _without(lacking, gaps)
        say_gaps(resolved, key, gaps, lost)
        return gaps, lost

    def _lacking(
        self, resolved: ResolvedReport, key: str, known: LaneState | None, requests: Sequence[CellRequest]
    ) -> list[CellRequest]:
        """Those of a lane's cells that the ledger does not list as far as they go, and that are asked for."""
        if known is None or self._loaded.ledger.packages.get(key) != (known.package or ""):
            return []  # the ledger has yet to be compared with what is stored
        first = first_instant(self._settings.start_date, resolved.zone)
        asked = [each for each in requests if first is None or each.cell.whole.end > first]
        return not_listed(asked, self._loaded.ledger)

    def _whole(
        self, key: str, requests: list[CellRequest], known: LaneState | None, *, backfill: bool
    ) -> list[CellRequest]:
        """The cells of a lane without those that would drop rows, or that files have nothing newer of.

        Of outdated files, it keeps a cell of which they lack the end: whoever loads them has to say so.
        """
        loaded, asked_by = known.loaded if known else None, self._loaded.asked_by
        if self._loaded.files is not None:
            requests = self._loaded.files.needed(key, requests)
        if not self._outdated:
            return whole_cells(requests, loaded, backfill=backfill, asked_by=asked_by)
        kept = {request.key for request in requests if lacks_end(request.cell, loaded)}
        others = [request for request in requests if request.key not in kept]
        kept |= {request.key for request in whole_cells(others, loaded, backfill=backfill, asked_by=asked_by)}
        return [request for request in requests if request.key in kept]

    def _requests(self, resolved: ResolvedReport, window: Span) -> list[CellRequest]:
        """The cells of a window: those of lanes with the same window are the same values."""
        cut_by = window, resolved.grid, resolved.zone.key
        if cut_by not in self._cells:
            self._cells[cut_by] = list(cells(window, resolved.grid, resolved.zone))
        return [self._request(resolved, cell) for cell in self._cells[cut_by]]

    def _request(self, resolved: ResolvedReport, cell: Cell) -> CellRequest:
        return CellRequest(resolved, self._label, self._settings.acts_on, cell)

    def _exact_cells(
        self, resolved: ResolvedReport, known: LaneState | None, keys: Collection[str]
    ) -> list[CellRequest]:
        """Those of the loaded cells that have one of these keys, each as far as it is loaded."""
        if known is None or resolved.keys or not keys:
            return []
        window = known.loaded.clamp(resolved.offered.available)
        return [request for request in self._requests(resolved, window) if request.key in keys]

    def _per_payout(self, resolved: ResolvedReport) -> list[CellRequest]:
        """One cell for each payout, as of Stripe's present data."""
        available = resolved.offered.available
        cell = Cell(day_of(available.end, resolved.zone), available, available)
        payouts = self._loaded.payouts(resolved, self._label, self._window)
        return [self._request(resolved.for_key(payout), cell) for payout in payouts]

    def _backfill_window(self, resolved: ResolvedReport) -> Span:
        available = resolved.offered.available
        asked = self._window or available
        if asked.start == BEGINNING:
            asked = replace(asked, start=available.start)
        there = asked.clamp(available)
        if there == asked:
            return asked
        if there.empty or not self._settings.allow_partial:
            raise NotAvailable(f"asked for {asked}, of which Stripe has {available if there.empty else there}.")
        logger.warning("%s: asked for %s, of which Stripe has %s", resolved.offered.id, asked, there)
        return there

    def _sync_window(self, resolved: ResolvedReport, key: str, known: LaneState | None, again: datetime | None) -> Span:
        """What an incremental sync of a lane reads; empty when Stripe has nothing new.

        `again` is the start of what two crossed syncs have replaced; None if there is nothing.
        """
        available = resolved.offered.available
        first = self._first(resolved)
        since = None
        if known and known.cursor is not None:
            say_what_is_lost(resolved, key, known.cursor)
            # dlt's cursor may have been moved on by a sync of another account
            since = known.cursor if self._cursor is None else min(known.cursor, self._cursor)
            first = known.loaded.start
            taken_back = not self._outdated and available.end < known.loaded.end - ONE_SECOND
            if taken_back:
                logger.warning(
                    "%s: Stripe has taken back data: %s is loaded, and Stripe has it up to %s now; what is loaded "
                    "stays, and is loaded again when it returns",
                    resolved.offered.id,
                    known.loaded,
                    available.end,
                )
            if known.taken_back_to is not None and available.end > known.taken_back_to:
                since = min(since, known.taken_back_to)
            if again is not None:
                logger.warning("%s: two syncs have crossed; loading again from %s", resolved.offered.id, again)
                since = min(since, again)
            elif known.holds_all_of(resolved.offered) and (taken_back or since >= available.end - ONE_SECOND):
                return Span(available.end, available.end)
        return sync_window(
            available,
            grid=resolved.grid,
            zone=resolved.zone,
            first=first,
            cursor=since,
            lookback_days=resolved.lookback_days,
        )


def _without(requests: Sequence[CellRequest], others: Collection[CellRequest]) -> list[CellRequest]:
    keys = {request.key for request in others}
    return [request for request in requests if request.key not in keys]
