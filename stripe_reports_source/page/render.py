"""The page of a dataset. Pure.

In: `Gathered` and `Figures`. Out: the text of an HTML file.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..cli.accounts import some_of
from ..reconcile.reconciliation import BAD
from .balance_view import balance_section, rollforward_section
from .calendar import Row, cells_of
from .coverage_view import coverage_section, freshness_section
from .document import Section, document
from .figures import Figures, Place
from .gather import Gathered
from .income_view import income_section
from .journal_view import journal_section
from .payouts_view import payouts_section
from .proof_view import proof_section
from .runs_view import runs_section
from .texts import instant, month_name
from .verdict import Verdict, verdict_of_page

TITLE = "Stripe reports: what is loaded, and whether it ties"


def verdict_of(gathered: Gathered, figures: Figures, rows: Sequence[Row]) -> Verdict:
    """The page's verdict: what `reconcile` and `status` say, and what its own calendar and figures do."""
    return verdict_of_page(gathered.found, [*gathered.problems, *_missing(rows)], len(differing(gathered, figures)))


def _missing(rows: Sequence[Row]) -> list[str]:
    """The months that are not loaded to their end, though Stripe has them."""
    months = [row for row in rows for month in row.months if month.state == "missing"]
    if not months:
        return []
    names = some_of(sorted({f"{row.table} [{row.account}]" for row in months}))
    return [f"{len(months):,} month{'' if len(months) == 1 else 's'} missing in the calendar, of {names}"]


def differing(gathered: Gathered, figures: Figures) -> list[Place]:
    """Each balance that is not Stripe's, where nothing that differs or is stale says so already."""
    said: Collection[Place] = {
        (statement.account, statement.interval_day.replace(day=1), statement.currency)
        for statement in gathered.found.statements
        if statement.interval_day is not None and statement.difference and statement.status in BAD
    }
    return [place for place in figures.off if place not in said]


def page_of(gathered: Gathered, figures: Figures, rows: Sequence[Row]) -> str:
    """The page of all that is shown; `rows` are those of the calendar."""
    sections = [
        Section("coverage", "Coverage", coverage_section(rows, gathered)),
        Section("freshness", "Freshness", freshness_section(gathered)),
        *_figures(gathered, figures),
        Section("runs", "Last runs and failures", runs_section(gathered.latest, gathered.runs, gathered.reports)),
    ]
    asked = f"{gathered.place}. Stripe was asked last at {instant(gathered.as_of)}."
    return document(TITLE, [asked, *_left_out(figures)], verdict_of(gathered, figures, rows), sections)


def record_page(
    gathered: Gathered, figures: Figures, rows: Sequence[Row], incomplete: Sequence[str], *, with_open_items: bool
) -> str:
    """The page of one month, without what later syncs change.

    Args:
        gathered, figures, rows: of the month.
        incomplete: why not all of it is there, a sentence each.
        with_open_items: it is made nevertheless, and says so first.
    """
    name = month_name(figures.month)
    found = verdict_of_page(
        gathered.found, [text.removesuffix(".") for text in incomplete], len(differing(gathered, figures))
    )
    if with_open_items:
        found = Verdict(f"With open items: {found.word[0].lower()}{found.word[1:]}", found.tone, found.sentence)
    runs = [gathered.runs.get(cell.run_id or "") for cell in cells_of(gathered.cells, figures.month)]
    newest = max((run.created for run in runs if run is not None and run.created is not None), default=None)
    made_of = f"{gathered.place}. The newest of the report runs behind this record was made at {instant(newest)}."
    sections = [
        *_figures(gathered, figures),
        Section("coverage", "Coverage and files", coverage_section(rows, gathered)),
    ]
    title = f"Stripe, {name}: {'with open items' if with_open_items else 'record of the month'}"
    return document(title, [made_of, *_left_out(figures)], found, sections)


def _figures(gathered: Gathered, figures: Figures) -> list[Section]:
    closed = month_name(figures.month)
    return [
        Section("tie-outs", "Tie-outs", proof_section(gathered.found)),
        Section("roll-forward", f"Roll-forward, {closed}", rollforward_section(figures)),
        Section("balance", "Balance", balance_section(figures)),
        Section("payouts", "Payouts", payouts_section(figures)),
        Section("income", "Gross, refunds, disputes, fees, net", income_section(figures)),
        Section("journal", f"Journal, {closed}", journal_section(figures)),
    ]


def _left_out(figures: Figures) -> list[str]:
    left_out = figures.accounts_in_all - len(figures.accounts)
    if left_out <= 0:
        return []
    return [f"Figures are shown of {len(figures.accounts)} accounts; of {left_out:,} more with --account."]
