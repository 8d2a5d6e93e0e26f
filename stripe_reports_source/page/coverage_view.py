"""The coverage calendar and freshness as HTML. Pure.

In: `Gathered`. Out: markup. A click on a month shows its runs, rows, hashes and files below the calendar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from ..cli.accounts import few_rows
from ..cli.console import cell as as_shown
from ..reconcile.coverage import CoveredCell
from .calendar import Month, Row
from .gather import Gathered, Run
from .html import Html, join, listed, table, tag
from .texts import breakable, code, count, instant, month_name

SIGNS = {"loaded": "✓", "partial": "◐", "failed": "✗", "missing": "?", "ahead": "·", "before": "-", "ended": "-"}
WORDS = {
    "loaded": "loaded",
    "partial": "loaded as far as Stripe had data",
    "failed": "failed",
    "missing": "missing",
    "ahead": "not yet at Stripe",
    "before": "before the first loaded day",
    "ended": "of an account that is asked for no more",
}
MOST_CELLS = 1000
"""That are shown one by one, the newest first; a page with more of them would be too large to mail."""


def coverage_section(rows: Sequence[Row], gathered: Gathered) -> Html:
    """The calendar."""
    shown = _shown(rows)
    infos = [
        _info(at, place, row, month, gathered.runs, month in shown)
        for at, row in enumerate(rows)
        for place, month in enumerate(row.months)
        if month.cells or month.failures
    ]
    left_out = sum(len(month.cells) for row in rows for month in row.months) - sum(len(month.cells) for month in shown)
    return join(
        [
            tag("p", *_legend(rows)),
            tag("p", "A click on a month shows its runs, rows, hashes and files.", class_="hint"),
            _grid(rows, gathered.months),
            tag("div", *infos, class_="infos"),
            _notes(gathered, left_out),
        ]
    )


def _shown(rows: Sequence[Row]) -> set[Month]:
    """The months whose cells are shown one by one: the newest, as many as there is room for."""
    months = sorted((month for row in rows for month in row.months), key=lambda month: month.first, reverse=True)
    shown: set[Month] = set()
    room = MOST_CELLS
    for month in months:
        room -= len(month.cells)
        if room < 0:
            break
        shown.add(month)
    return shown


def _legend(rows: Sequence[Row]) -> list[Html]:
    there = {month.state for row in rows for month in row.months}
    return [
        tag("span", tag("b", SIGNS[state], class_=f"s {state}"), f" {word}", class_="key")
        for state, word in WORDS.items()
        if state in there
    ]


def _grid(rows: Sequence[Row], months: Sequence[date]) -> Html:
    head = tag(
        "tr",
        tag("th", "report", scope="col"),
        *(tag("th", f"{first:%b}", tag("br"), f"{first:%y}", scope="col", class_="m") for first in months),
    )
    several = len({row.account for row in rows}) > 1
    body = [
        tag(
            "tr",
            tag("th", breakable(row.table), tag("small", f" {row.account}") if several else None, scope="row"),
            *(tag("td", _sign(at, place, row, month), class_="m") for place, month in enumerate(row.months)),
        )
        for at, row in enumerate(rows)
    ]
    made = tag("table", tag("thead", head), tag("tbody", *body), class_="calendar")
    return tag("div", made, class_="scroll latest", tabindex="0", role="region", aria_label="Coverage calendar")


def _sign(at: int, place: int, row: Row, month: Month) -> Html:
    said = f"{row.table}, {row.account}, {month_name(month.first)}: {WORDS[month.state]}"
    sign = SIGNS[month.state]
    if not month.cells and not month.failures:
        return tag("span", sign, class_=f"s {month.state}", role="img", aria_label=said)
    return tag("a", sign, href=f"#c{at}-{place}", class_=f"s {month.state}", aria_label=said)


def _info(at: int, place: int, row: Row, month: Month, runs: Mapping[str, Run], whole: bool) -> Html:
    said = f"{row.table}, account {row.account}, {month_name(month.first)}: {WORDS[month.state]}"
    rows = [_cell(cell, runs.get(cell.run_id or "")) for cell in month.cells] if whole else []
    head = ("from", "up to (UTC)", "run", "file", "SHA-256", "rows", "bytes")
    stored = sum(cell.rows or 0 for cell in month.cells)
    return tag(
        "div",
        tag("h4", said),
        listed(month.failures) if month.failures else None,
        table(None, head, rows, texts=5) if rows else None,
        None if rows or not month.cells else tag("p", f"{len(month.cells):,} intervals with {stored:,} rows."),
        class_="info",
        id=f"c{at}-{place}",
    )


def _cell(cell: CoveredCell, run: Run | None) -> list[str]:
    end = instant(cell.end).removesuffix(" UTC").removesuffix(" 00:00")
    so_far = "" if cell.complete else " so far"
    file = None if run is None else run.archive_path or run.file_id
    return [
        f"{cell.day}",
        f"{end}{so_far}",
        code(cell.run_id),
        code(file),
        code(None if run is None else run.sha256),
        count(cell.rows),
        count(None if run is None else run.bytes),
    ]


def _notes(gathered: Gathered, left_out: int) -> Html:
    notes = []
    if gathered.earlier:
        months = "1 month is" if gathered.earlier == 1 else f"{gathered.earlier:,} months are"
        notes.append(f"{months} loaded before {month_name(gathered.months[0])}: --since shows more.")
    if left_out:
        notes.append(f"{left_out:,} older intervals are summed up by month; the table report_cells has each of them.")
    if gathered.coverage.per_payout:
        notes.append(f"{len(gathered.coverage.per_payout):,} payouts are loaded one by one, which no calendar shows.")
    return join(tag("p", note, class_="hint") for note in notes)


FRESH = {
    "report": "report",
    "account": "account",
    "loaded_to": "loaded to",
    "available_to": "Stripe's data to",
    "behind_seconds": "behind",
    "rows": "rows",
    "tie_out": "tie-out",
    "failures": "failed",
    "pending": "pending",
    "last_sync": "last sync",
}
"""Columns of `status` and their heads here."""


def freshness_section(gathered: Gathered) -> Html:
    """How far each report is loaded, as `status` shows it."""
    several = len({row["account"] for row in gathered.freshness}) > 1
    names = [name for name in FRESH if several or name != "account"]
    rows = [[_fresh(row, name) for name in names] for row in few_rows(gathered.freshness)]
    made = table(None, [FRESH[name] for name in names], rows, texts=2 if several else 1, class_="fresh")
    return join([made, tag("p", "Times are in UTC.", class_="hint")])


def _fresh(row: Mapping[str, Any], name: str) -> Html | str:
    value = row[name]
    text, _ = as_shown(value)
    late = name == "behind_seconds" and isinstance(value, timedelta) and value
    wrong = (name in ("failures", "pending") and value) or (name == "tie_out" and "open" in str(value)) or late
    if isinstance(value, datetime):
        text = text.removesuffix(" 00:00")
    if name == "report":
        return breakable(text)
    return tag("span", text, class_="off") if wrong else text
