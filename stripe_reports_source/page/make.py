"""The page and the record of a month, from a dataset: reads it in one session, and gives texts.

In: a pipeline that is opened for reading, and what to show. Out: the page as text, or the files of a record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dlt import Pipeline

from ..marts.reading import open_marts
from ..warehouse.places import reading_place
from .calendar import calendar, few, next_month
from .figures import closed_month, read_figures
from .gather import gather, session
from .record import WHOLE, Refusal, of_month, record_files, refusal_of, rows_of_month
from .render import page_of, verdict_of
from .verdict import Verdict

OR_DAYS = {"stripe_payouts": "CAST(COALESCE(reversed_at, reversed_at_utc AT TIME ZONE 'UTC') AS DATE)"}
"""The day on which a payout came back: it is of a record's month also where it was made long before."""


@dataclass(frozen=True)
class Page:
    """A page, and what it says first."""

    text: str
    verdict: Verdict


@dataclass(frozen=True)
class Record:
    """The files of a month by name, and what stands against them."""

    files: Mapping[str, str]
    refusal: Refusal


def make_page(
    pipeline: Pipeline,
    since: date | None = None,
    accounts: Collection[str] | None = None,
    ledger_accounts: Path | None = None,
) -> Page:
    """The page of a dataset.

    Args:
        pipeline: opened for reading.
        since: first day to show; None for the last two years.
        accounts: only these; None for all.
        ledger_accounts: the chart of accounts, see `open_marts`.

    Raises:
        ConfigurationError: nothing is loaded, or nothing of that.
    """
    with reading_place(pipeline) as restored, session(restored):
        gathered = gather(restored, since, accounts)
        rows = list(few(calendar(gathered.cells, gathered.reach, gathered.failed, gathered.months)))
        with open_marts(restored, ledger_accounts) as marts:
            figures = read_figures(marts, gathered.months, closed_month(rows, gathered.months), accounts)
    return Page(page_of(gathered, figures, rows), verdict_of(gathered, figures, rows))


def make_record(
    pipeline: Pipeline,
    month: date,
    accounts: Collection[str] | None = None,
    ledger_accounts: Path | None = None,
) -> Record:
    """The record of a month; whoever calls says what becomes of it where something stands against it.

    Args:
        pipeline: opened for reading.
        month: its first day.
        accounts: only these; None for all.
        ledger_accounts: the chart of accounts, see `open_marts`.

    Raises:
        ConfigurationError: nothing is loaded, or nothing of that.
    """
    with reading_place(pipeline) as restored, session(restored):
        gathered = of_month(gather(restored, None, accounts, month), month)
        every = calendar(gathered.cells, gathered.reach, gathered.failed, gathered.months)
        rows = rows_of_month(every, gathered)
        with open_marts(restored, ledger_accounts, before=next_month(month)) as marts:
            figures = read_figures(marts, gathered.months, month, accounts)
            days = {"since": month, "until": next_month(month)}
            whole = {name: marts.rows(name, **days, accounts=accounts, or_day=OR_DAYS.get(name)) for name in WHOLE}
    refusal = refusal_of(gathered, figures, rows)
    return Record(record_files(gathered, figures, list(few(rows)), whole, refusal), refusal)
