"""What must hold after each step of a schedule: tables against the emulator's truth, cursors, runs, sightings."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from dlt.common.versioned_state import decompress_state

from stripe_reports_source.emulator import Emulator
from stripe_reports_source.emulator.runs import Run
from stripe_reports_source.plan.catalog import load_catalog, split_id
from stripe_reports_source.plan.intervals import Span, cells, parse_zone
from stripe_reports_source.plan.run_parameters import canonical
from tests.faults.schedule import Member, Schedule
from tests.faults.store import Store
from tests.pipeline.ledger import ledger_faults
from tests.pipeline.truth import ALL_NEWEST

Rows = Counter[tuple[Any, ...]]


@dataclass
class Findings:
    """What was found wrong; all zero when every promise was kept."""

    rows_lost: int = 0
    rows_doubled: int = 0
    cells_half_replaced: int = 0
    mended_loss: int = 0
    cursors_past_a_hole: int = 0
    runs_beyond_need: int = 0
    key_leaks: int = 0
    errors_unexplained: int = 0
    last_sync_failed: int = 0
    refusals_missed: int = 0
    changed_by_a_refused_sync: int = 0
    not_mended: int = 0
    not_stopped: int = 0
    left_behind: int = 0
    readable_by_others: int = 0
    ledger_wrong: int = 0
    not_played: int = 0
    details: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """True when nothing was found."""
        return not any(value for name, value in vars(self).items() if name != "details")

    def note(self, name: str, count: int, detail: str) -> None:
        """Add to a count."""
        if count:
            setattr(self, name, getattr(self, name) + count)
            self.details.append(f"{name}: {count}, {detail}")


class Oracle:
    """Compares a schedule's database with the emulator. `keys`: each member's API key."""

    def __init__(
        self, schedule: Schedule, emulator: Emulator, store: Store, keys: dict[Member, str], findings: Findings
    ) -> None:
        self._schedule = schedule
        self._emulator = emulator
        self._store = store
        self._keys = keys
        self._findings = findings
        edge = timedelta(0) if schedule.interval_edges else timedelta(seconds=1)
        self._first = emulator.settings.first_available + edge
        self._edge = edge
        """Availabilities that came back with other data: what was run before is run again."""

    def tables_hold_the_truth(self, moment: str, but: str = "") -> None:
        """After a sync that ended well: each table is the truth up to the availability, row for row.

        Args:
            moment: for the finding.
            but: a report, or a connected account, that is not looked at.
        """
        accounts = [account for account in self._schedule.connected if account != but]
        window = Span(self._first, self._emulator.service.available_end - self._edge)
        for report in self._schedule.reports:
            if report == but:
                continue
            wanted: Rows = Counter()
            for member in self._schedule.members:
                if report in member.reports:
                    wanted += self._expected(member, report, window, accounts)
            found = self._loaded(report, accounts)
            lost, doubled = wanted - found, found - wanted
            self._findings.note("rows_lost", lost.total(), f"{moment}, {report}: {next(iter(lost), None)}")
            self._findings.note("rows_doubled", doubled.total(), f"{moment}, {report}: {next(iter(doubled), None)}")

    def ledger_says_what_is_stored(self, moment: str) -> None:
        """`report_cells` has each cell that the tables hold, as they hold it, and control totals are their sums."""
        with self._store.session() as run:
            counted = not self._schedule.plain
            wrong = ledger_faults(run, self._store.table, self._schedule.reports, all_runs=False, counted=counted)
        self._findings.note("ledger_wrong", len(wrong), f"{moment}, {next(iter(wrong), None)}")

    def cursors_hide_no_hole(self, moment: str) -> None:
        """At any moment: every cell before the committed cursor is loaded, to its end or to the cursor.

        Cells of which Stripe has taken data back do not count: they are known, and loaded again once it is there.
        """
        zone = parse_zone(self._schedule.zone)
        for member, report, accounts, lane in self._lanes():
            if "cursor" not in lane or not self._store.columns(report.replace(".", "_")):
                continue
            loaded: dict[str, Rows] = defaultdict(Counter)
            for row, count in self._loaded(report, accounts, member.label).items():
                loaded[str(row[-2])][row] += count
            taken_back_to = lane.get("taken_back_to") or lane["cursor"]
            for cell in cells(Span(self._first, lane["cursor"]), self._schedule.grid, zone):
                if cell.span.end > taken_back_to:
                    break
                found = loaded[str(cell.span.start)]
                end = max((row[-1] for row in found), default=cell.span.end)
                asked = Span(cell.span.start, end)
                if end < cell.span.end or self._expected(member, report, asked, accounts) != found:
                    self._findings.note(
                        "cursors_past_a_hole", 1, f"{moment}, {report}: {cell.span}, cursor {lane['cursor']}"
                    )

    def snapshot(self) -> Any:
        """All that a sync that is refused must leave as it is: rows and cursors."""
        tables = {}
        for report in self._schedule.reports:
            table = report.replace(".", "_")
            tables[table] = Counter(map(repr, self._store.rows(table, sorted(self._store.columns(table)))))
        return tables, [(report, repr(lane)) for _, report, _, lane in self._lanes()]

    def anything_loaded(self) -> bool:
        """True if every report has rows, and the ledger is there."""
        return all(
            self._store.rows(table, ["_interval_key" if table != "report_runs" else "run_id"])
            for table in ("report_runs", *(report.replace(".", "_") for report in self._schedule.reports))
        )

    def cells_were_seen_whole(self, sightings: Path) -> int:
        """What the reader saw: each cell empty or all rows of exactly one run. Returns how much it saw."""
        lines = sightings.read_text().splitlines() if sightings.exists() else []
        sizes = {run.id: _rows_of(run) for run in self._emulator.runs}
        empty = {split_id(run.report_type)[0] for run in self._emulator.runs if sizes[run.id] == 0}
        for line in lines:
            key, count, runs, run = json.loads(line)
            whole = key.split("|")[1] in empty if runs == 0 else runs == 1 and count == sizes[run]
            if not whole:
                self._findings.note("cells_half_replaced", 1, line)
        return len(lines)

    def nothing_had_to_be_mended(self, losses: Path) -> None:
        """Nothing in a schedule takes rows away or doubles them, so that no load may store other rows than it has.

        The loader's own count finds such a load and the next sync mends it, so that the tables alone do not tell.
        """
        for loss in losses.read_text("utf-8").splitlines() if losses.exists() else []:
            self._findings.note("mended_loss", 1, loss)

    def runs_were_needed(self) -> None:
        """One run per cell and availability, except after runs that failed or whose file was of no use."""
        groups: dict[tuple[str, str, str, datetime, datetime], list[Run]] = defaultdict(list)
        for run in self._emulator.runs:
            # another refresh of Stripe's data is another run, also up to the same instant
            asked = canonical(run.report_type, run.parameters)
            groups[run.scope, run.report_type, asked, run.available_end, run.updated].append(run)
        spoiled = self._spoiled_files()
        for (_, name, parameters, _, _), runs in groups.items():
            needed = 1 + sum(run.status == "failed" or run.id in spoiled for run in runs)
            self._findings.note("runs_beyond_need", max(0, len(runs) - needed), f"{name} {parameters}")

    def _spoiled_files(self) -> set[str]:
        """Runs whose file was answered with a fault at least once."""
        found = set()
        for request in self._emulator.requests:
            if request.address == "files" and request.fault:
                found.add("frr_" + request.path.split("/")[3].removeprefix("file_"))
        return found

    def _expected(self, member: Member, report: str, window: Span, accounts: Sequence[str]) -> Rows:
        """A member's rows of all cells of a window, with the bounds of their cell; of connected accounts, if given."""
        name = ALL_NEWEST[report]
        known = load_catalog().get(name)
        assert known is not None
        options = {"timezone": self._schedule.zone} if known.accepts("timezone") else {}
        found: Rows = Counter()
        for cell in cells(window, self._schedule.grid, parse_zone(self._schedule.zone)):
            start = None if known.shape == "snapshot" else cell.span.start
            for account in accounts or (None,):
                about = options if account is None else {**options, "connected_account": account}
                for row in self._emulator.truth_for(self._keys[member], name, start, cell.span.end, **about):
                    found[(*row, member.label, start, cell.span.end)] += 1
        return found

    def _loaded(self, report: str, accounts: Sequence[str], label: str | None = None) -> Rows:
        """A table's rows, in the same form."""
        known = load_catalog().get(ALL_NEWEST[report])
        assert known is not None
        columns = [column.name for column in known.columns] + ["_account", "_interval_start", "_interval_end"]
        where = "true" if label is None else f"_account = '{label}'"
        if accounts:
            where += f" AND connected_account IN ({', '.join(map(repr, accounts))})"
        return Counter(self._store.rows(report.replace(".", "_"), columns, where))

    def _lanes(self) -> Iterator[tuple[Member, str, Sequence[str], dict[str, Any]]]:
        """What is kept of each lane, and its connected account, if it has one.

        That is what the state of each pipeline's youngest committed load says, or `report_lanes`.
        """
        state, loads = self._store.table("_dlt_pipeline_state"), self._store.table("_dlt_loads")
        if not self._store.columns("_dlt_pipeline_state") or not self._store.columns("_dlt_loads"):
            return
        for member in self._schedule.members:
            for report in member.reports:
                for account, cursor, taken_back_to in self._rows_of_lanes(member.pipeline, report.replace(".", "_")):
                    lane = {"cursor": cursor, "taken_back_to": taken_back_to}
                    yield member, report, [account.rpartition("/")[2]], lane
            rows = self._store.run(
                f"SELECT s.state FROM {state} s JOIN {loads} l ON l.load_id = s._dlt_load_id "
                f"WHERE l.status = 0 AND s.pipeline_name = '{member.pipeline}' ORDER BY l.load_id DESC LIMIT 1"
            )
            for [text] in rows:
                resources = decompress_state(text)["sources"]["stripe_reports"]["resources"]
                for report in member.reports:
                    for lane in resources.get(report.replace(".", "_"), {}).get("lanes", {}).values():
                        yield member, report, (), lane

    def _rows_of_lanes(self, pipeline: str, table: str) -> list[tuple[Any, ...]]:
        """The rows of `report_lanes` whose load package is loaded whole: account, cursor, what was taken back."""
        if not self._schedule.connected or not self._store.columns("report_lanes"):
            return []
        return self._store.run(
            f"SELECT r.account, r.synced_to, r.taken_back_to FROM {self._store.table('report_lanes')} r "
            f"JOIN {self._store.table('_dlt_loads')} l ON l.load_id = r._dlt_load_id AND l.status = 0 "
            f"WHERE r.pipeline_name = '{pipeline}' AND r.table_name = '{table}' AND r.synced_to IS NOT NULL"
        )


@cache
def _count(path: str, size: int) -> int:
    with open(path, encoding="utf-8", newline="") as lines:
        return sum(1 for _ in csv.reader(io.StringIO(lines.read()))) - 1


def _rows_of(run: Run) -> int:
    return _count(str(run.file), run.file.stat().st_size)
