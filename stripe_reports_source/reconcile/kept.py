"""What the table `tie_out` says, without a new look.

In: a pipeline. Out: how many statements have which status, over which days; and the same for each report table.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from dlt import Pipeline

from ..plan.catalog import split_id
from ..plan.system_tables import REPORT_CELLS, TIE_OUT
from ..warehouse.query import placeholders, reading, select
from .ledger_checks import STORED
from .reconciliation import OPEN, open_of, verdict_of
from .scope import not_looked_at


@dataclass(frozen=True)
class KeptVerdict:
    """All that is kept: numbers of statements by status, the days they are about, and the last look at them."""

    counts: dict[str, int]
    first: date | None
    last: date | None
    checked_at: datetime | None

    @property
    def open_counts(self) -> dict[str, int]:
        """The numbers of those that are open."""
        return {status: count for status, count in self.counts.items() if status in OPEN}

    @property
    def open(self) -> str:
        """What is open, in words."""
        return open_of(self.counts)

    def sentence(self) -> str:
        """The verdict in one line."""
        return verdict_of(self.counts, self.first, self.last)


def kept_verdict(pipeline: Pipeline) -> KeptVerdict | None:
    """The verdict of the table; None where there is none."""
    rows = select(pipeline, _KEPT)
    if not rows:
        return None
    days = [day for row in rows for day in row[2:4] if day is not None]
    return KeptVerdict(
        {status: int(count) for status, count, *_ in rows},
        min(days, default=None),
        max(days, default=None),
        max((row[4] for row in rows if row[4] is not None), default=None),
    )


def kept_by_table(pipeline: Pipeline) -> dict[tuple[str, str], str]:
    """The verdict for each report table and account, in a few words."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for table, account, status, count in select(pipeline, _BY_TABLE) or ():
        counts[table, account][status] += int(count)
    of_no_cell = select(pipeline, _OPEN_OF_NO_CELL, *OPEN) or ()
    holding: dict[str, set[str]] = defaultdict(set)
    for table, report_type in (select(pipeline, _HOLDING) or ()) if of_no_cell else ():
        holding[split_id(report_type)[0]].add(table)
    for equation, account, key, item, status in of_no_cell:
        for table in tables_of_no_cell(equation, account, key, item, holding):
            counts[table, account][status] += 1
    since = loaded_since(pipeline)
    return {key: words_of(found, since.get(key, 0)) for key, found in counts.items()}


def tables_of_no_cell(
    equation: str, account: str, interval_key: str, item: str, holding: Mapping[str, Collection[str]]
) -> Collection[str]:
    """The tables that a statement is about whose interval the ledger does not have.

    Rows of no listed interval are named by their table. Of reports per payout, whose cells have keys of their own, the
    key names the report and the interval of the payouts.

    Args:
        equation, account, interval_key, item: of the statement.
        holding: the tables that hold a report, by its base id.
    """
    if equation == STORED:
        return (item,)
    return holding.get(interval_key.removeprefix(f"{account}|").partition("|")[0], ())


def loaded_since(pipeline: Pipeline) -> dict[tuple[str, str], int]:
    """How many cells of each report table and account were loaded after the last look at them."""
    lane = "c.{column.table_name}, c.{column.account}"
    with reading(pipeline) as reader:
        rows = reader.select(f"SELECT {lane}, COUNT(*) {not_looked_at(reader)} GROUP BY {lane}")
    return {(table, account): int(count) for table, account, count in rows or ()}


def not_filled_in(pipeline: Pipeline, account: str) -> dict[str, set[str]]:
    """The interval keys, by table, of activity of an account that does not name yet which payouts have settled it."""
    found: dict[str, set[str]] = defaultdict(set)
    for table, key in select(pipeline, _NOT_FILLED_IN, account) or ():
        found[table].add(key)
    return dict(found)


def words_of(counts: Mapping[str, int], since: int = 0) -> str:
    """The verdict of a table in a few words.

    Args:
        counts: numbers of statements by status.
        since: how many cells were loaded after the last look at them: of these it says nothing.
    """
    words = _words_of_statements(counts)
    return f"{words}, {since:,} loaded since" if since else words


def _words_of_statements(counts: Mapping[str, int]) -> str:
    still_open = sum(counts.get(status, 0) for status in OPEN)
    if still_open:
        return f"{still_open:,} open"
    compared = sum(count for status, count in counts.items() if status != "not_comparable")
    rest = counts.get("not_comparable", 0)
    if not compared:
        return "not compared"
    return f"tied, {rest:,} not compared" if rest else "tied"


_KEPT = (
    "SELECT {column.status}, COUNT(*), MIN({column.interval_day}), MAX({column.interval_day}), "  # noqa: S608
    f"MAX({{column.checked_at}}) FROM {{table.{TIE_OUT.name}}} GROUP BY {{column.status}}"
)
_BY_TABLE = (
    "SELECT c.{column.table_name}, c.{column.account}, t.{column.status}, COUNT(*) "  # noqa: S608
    f"FROM {{table.{REPORT_CELLS.name}}} c JOIN {{table.{TIE_OUT.name}}} t "
    "ON t.{column.interval_key} = c.{column.interval_key} AND t.{column.account} = c.{column.account} "
    "GROUP BY c.{column.table_name}, c.{column.account}, t.{column.status}"
)
_OPEN_OF_NO_CELL = (
    "SELECT t.{column.equation}, t.{column.account}, t.{column.interval_key}, t.{column.item}, t.{column.status} "  # noqa: S608
    f"FROM {{table.{TIE_OUT.name}}} t LEFT JOIN {{table.{REPORT_CELLS.name}}} c "
    "ON c.{column.interval_key} = t.{column.interval_key} AND c.{column.account} = t.{column.account} "
    f"WHERE c.{{column.interval_key}} IS NULL AND t.{{column.status}} IN ({placeholders(OPEN)})"
)
_HOLDING = f"SELECT DISTINCT {{column.table_name}}, {{column.report_type}} FROM {{table.{REPORT_CELLS.name}}}"  # noqa: S608
_NOT_FILLED_IN = (
    "SELECT DISTINCT c.{column.table_name}, c.{column.interval_key} "  # noqa: S608
    f"FROM {{table.{REPORT_CELLS.name}}} c JOIN {{table.{TIE_OUT.name}}} t "
    "ON t.{column.interval_key} = c.{column.interval_key} AND t.{column.account} = c.{column.account} "
    "WHERE t.{column.equation} = 'activity_names_its_payout' AND t.{column.status} = 'stale' "
    "AND c.{column.account} = %s"
)
