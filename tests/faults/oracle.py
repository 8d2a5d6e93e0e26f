"""What must hold after each step of a schedule: tables against the emulator's truth, cursors, runs, key, sightings."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from dlt import Pipeline
from dlt.common.versioned_state import decompress_state
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from stripe_reports_source.emulator import Emulator
from stripe_reports_source.emulator.runs import Run
from stripe_reports_source.plan.intervals import Span, cells, parse_zone
from stripe_reports_source.stripe_api.runs import canonical
from tests.conftest import query
from tests.faults.schedule import Schedule
from tests.faults.worker import Work
from tests.pipeline.truth import NEWEST, expected_rows, loaded_rows


@dataclass
class Findings:
    """What was found wrong; all zero when every promise was kept."""

    rows_lost: int = 0
    rows_doubled: int = 0
    cells_half_replaced: int = 0
    cursors_past_a_hole: int = 0
    runs_beyond_need: int = 0
    key_leaks: int = 0
    errors_unexplained: int = 0
    last_sync_failed: int = 0
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
    """Compares a schedule's database with the emulator."""

    def __init__(self, schedule: Schedule, emulator: Emulator, findings: Findings) -> None:
        self._schedule = schedule
        self._emulator = emulator
        self._findings = findings
        edge = timedelta(0) if schedule.interval_edges else timedelta(seconds=1)
        self._first = emulator.settings.first_available + edge
        self._edge = edge

    def tables_hold_the_truth(self, pipeline: Pipeline, moment: str) -> None:
        """After a sync that ended well: each table is the truth up to the availability, row for row."""
        schedule = self._schedule
        window = Span(self._first, self._emulator.service.available_end - self._edge)
        for report in schedule.reports:
            wanted = expected_rows(self._emulator, report, window, schedule.grid, schedule.zone)
            try:
                found = loaded_rows(pipeline, report)
            except DatabaseUndefinedRelation:
                found = Counter()
            lost, doubled = wanted - found, found - wanted
            self._findings.note("rows_lost", lost.total(), f"{moment}, {report}: {next(iter(lost), None)}")
            self._findings.note("rows_doubled", doubled.total(), f"{moment}, {report}: {next(iter(doubled), None)}")

    def cursors_hide_no_hole(self, pipeline: Pipeline, moment: str) -> None:
        """At any moment: every cell before the committed cursor is loaded, to its end or to the cursor."""
        zone = parse_zone(self._schedule.zone)
        for report, lane in committed_lanes(pipeline):
            if "cursor" not in lane:
                continue
            loaded: dict[str, Counter[Any]] = defaultdict(Counter)
            for (*row, start, end), count in loaded_rows(pipeline, report).items():
                loaded[str(start)][(*row, start, end)] += count
            for cell in cells(Span(self._first, lane["cursor"]), self._schedule.grid, zone):
                found = loaded[str(cell.span.start)]
                end = max((row[-1] for row in found), default=cell.span.end)
                wanted = expected_rows(
                    self._emulator, report, Span(cell.span.start, end), self._schedule.grid, self._schedule.zone
                )
                if end < cell.span.end or wanted != found:
                    self._findings.note(
                        "cursors_past_a_hole", 1, f"{moment}, {report}: {cell.span}, cursor {lane['cursor']}"
                    )

    def cells_were_seen_whole(self, work: Work) -> int:
        """What the reader saw: each cell empty or all rows of exactly one run. Returns how much it saw."""
        lines = work.sightings.read_text().splitlines() if work.sightings.exists() else []
        sizes = {run.id: _rows_of(run) for run in self._emulator.runs}
        empty = {run.report_type for run in self._emulator.runs if sizes[run.id] == 0}
        for line in lines:
            key, count, runs, run = json.loads(line)
            whole = NEWEST[key.split("|")[1]] in empty if runs == 0 else runs == 1 and count == sizes[run]
            if not whole:
                self._findings.note("cells_half_replaced", 1, line)
        return len(lines)

    def runs_were_needed(self) -> None:
        """One run per cell and availability, except after runs that failed or whose file was of no use."""
        groups: dict[tuple[str, str, Any], list[Run]] = defaultdict(list)
        for run in self._emulator.runs:
            groups[run.report_type, canonical(run.report_type, run.parameters), run.available_end].append(run)
        spoiled = self._spoiled_files()
        for (name, parameters, _), runs in groups.items():
            needed = 1 + sum(run.status == "failed" or run.id in spoiled for run in runs)
            self._findings.note("runs_beyond_need", max(0, len(runs) - needed), f"{name} {parameters}")

    def _spoiled_files(self) -> set[str]:
        """Runs whose file was answered with a fault at least once."""
        found = set()
        for request in self._emulator.requests:
            if request.address == "files" and request.fault:
                found.add("frr_" + request.path.split("/")[3].removeprefix("file_"))
        return found


def committed_lanes(pipeline: Pipeline) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the state of the youngest committed load says of each report."""
    try:
        rows = query(
            pipeline,
            "SELECT s.state FROM _dlt_pipeline_state s JOIN _dlt_loads l ON l.load_id = s._dlt_load_id "
            "WHERE l.status = 0 ORDER BY l.load_id DESC LIMIT 1",
        )
    except DatabaseUndefinedRelation:
        return
    for [state] in rows:
        resources = decompress_state(state)["sources"]["stripe_reports"]["resources"]
        for report in NEWEST:
            for lane in resources.get(report.replace(".", "_"), {}).get("lanes", {}).values():
                yield report, lane


@cache
def _count(path: str, size: int) -> int:
    with open(path, encoding="utf-8", newline="") as lines:
        return sum(1 for _ in csv.reader(io.StringIO(lines.read()))) - 1


def _rows_of(run: Run) -> int:
    return _count(str(run.file), run.file.stat().st_size)
