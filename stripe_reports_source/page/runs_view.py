"""The last report runs, and what has failed, as HTML. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..warehouse.status import ReportStatus
from ..warehouse.status_runs import ShownRun
from .gather import Run
from .html import Html, join, table, tag
from .texts import code, count, instant

MOST_RUNS = 20
MOST_FAILURES = 40


def runs_section(latest: Sequence[ShownRun], runs: Mapping[str, Run], reports: Sequence[ReportStatus]) -> Html:
    """Failures first, then the last runs."""
    said = [
        (report, word, what)
        for report in reports
        for word, whats in (("failed", report.failures), ("pending", report.pending))
        for what in whats
    ]
    items = [
        tag("li", tag("b", f"{word}: {report.table} [{report.account}]", class_="off"), tag("br"), what)
        for report, word, what in said[:MOST_FAILURES]
    ]
    more = len(said) - MOST_FAILURES
    if more > 0:
        items.append(tag("li", f"and {more:,} more: stripe-reports status lists them."))
    failures = tag("ul", *items, class_="open") if items else tag("p", "No interval has failed or is pending.")
    rows = [_run(run, runs.get(run.run_id)) for run in latest[:MOST_RUNS]]
    head = ("created (UTC)", "run", "report", "account", "from (UTC)", "up to (UTC)", "status", "rows", "bytes")
    return join([tag("h3", "Failures"), failures, tag("h3", "Last runs"), table(None, head, rows, texts=7)])


def _run(run: ShownRun, loaded: Run | None) -> list[str]:
    moments = [instant(moment).removesuffix(" UTC") for moment in (run.created, run.interval_start, run.interval_end)]
    status = tag("span", run.status, class_="off" if run.error else None)
    numbers = [count(number) for number in ((None, None) if loaded is None else (loaded.rows, loaded.bytes))]
    return [
        moments[0],
        code(run.run_id),
        run.report_type,
        run.account,
        *(moment.removesuffix(" 00:00") for moment in moments[1:]),
        status,
        *numbers,
    ]
