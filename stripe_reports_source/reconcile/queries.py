"""An equation as a query of a destination: inputs, scope and the equation put together, in the destination's dialect.

In: an equation, the tables that hold its reports, the cells to look at. Out: SQL text, and rows of its answer. sqlglot
does what dialects differ in.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timezone
from decimal import Decimal
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp

from ..plan.system_tables import REPORT_CELLS
from ..plan.texts import text_literal
from .equations import PLACED, Equation
from .inputs import INPUTS, Input, ReportTable, cell_sql, first_day_of, input_query, lane_sql
from .scope import Scope

MOST_ITEMS = 100
"""Items that differ which are kept one by one, of each cell and currency; what is beyond them is one sum."""
OTHERS = "(others) "
"""What their item begins with; their note follows."""
_WHICH = ("all_", "before_", "touched_", "like_")
"""What the name of an input may begin with in SQL: all its cells, one more than the scope has, those whose rows are
looked at, or all rows of the transactions of those. Else it has the scope's cells; an equation of rows, whose
counterparts may be anywhere, reads all."""
_LISTED_CELLS = 500
_INLINE = " AS NOT MATERIALIZED ("
"""An input that is named twice is read twice, with the columns and rows that each place needs; else it would be copied
whole into memory first."""
_INLINES = ("duckdb", "postgres")
_NO_CELL = "SELECT cell FROM (SELECT '' AS cell) AS nothing WHERE 1 = 0"
Spans = Mapping[str, Sequence[tuple[datetime, datetime]]]
_COMPARED = "figure = against AND gross_difference = 0 AND fee_difference = 0 AND count_difference = 0 AND note = ''"
_SOURCE = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)")
_PLACEHOLDER = re.compile(r'["`\[](table|column):([^"`\]]+)["`\]]')


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of an equation's answer: two figures of an item, or the sums of all items of a cell that tie."""

    account: str
    cell: str
    currency: str
    item: str
    figure: Decimal
    against: Decimal
    gross_difference: Decimal
    fee_difference: Decimal
    count_difference: int
    note: str
    against_cell: str
    moment: datetime | None
    items: int

    @property
    def ties(self) -> bool:
        """True when both sides are the same in all that is compared."""
        differences = (self.gross_difference, self.fee_difference, self.count_difference)
        return self.figure == self.against and not any(differences) and not self.note


def figure_of(row: Sequence[Any]) -> Figure:
    """A row of an answer, with exact numbers whatever a driver gives."""
    account, cell, currency, item, *numbers, note, against_cell, moment, items = row
    figure, against, gross, fee, count = (
        number if isinstance(number, Decimal) else Decimal(number) for number in numbers
    )
    if against == figure and against.same_quantum(figure):
        against = figure
    return Figure(
        account,
        cell,
        sys.intern(currency),
        item,
        figure,
        against,
        shared_zero(gross),
        shared_zero(fee),
        int(count),
        note,
        against_cell,
        moment,
        int(items),
    )


def shared_zero(number: Decimal) -> Decimal:
    """The number; of zeros with as many places one value: most differences are, and there may be very many."""
    return number if number else _zero(str(number))


@lru_cache(maxsize=64)
def _zero(text: str) -> Decimal:
    return Decimal(text)


def equation_query(
    equation: Equation,
    inputs: Mapping[str, Input],
    tables: Mapping[str, Sequence[ReportTable]],
    scope: Scope,
    first_day: date | None,
    spans: Spans,
    *,
    hashed: bool = False,
) -> str:
    """An equation as one query, in DuckDB's dialect.

    Args:
        equation: the equation.
        inputs: what an input's name stands for.
        tables: that hold the report of an input; under its name after `all_`, others that all its rows are read from.
        scope: what to look at.
        first_day: of one cell more than the scope has.
        spans: from when to when the counterpart is loaded, by lane; used where the equation has one.
        hashed: see `input_query`.
    """
    check = equation.sql
    parts = _input_parts(equation, inputs, tables, scope, first_day, hashed=hashed)
    if re.search(r"\bcell_pairs\b", check):
        parts["cell_pairs"] = _cell_pairs(inputs["balance"].base, [table.name for table in tables["balance"]])
    if re.search(r"\btouched\b", check):
        parts["touched"] = touched_query(inputs, tables, scope)
    if equation.counterpart is not None:
        parts["spans"] = _spans(spans)
    items = "items" if re.search(r"\bAS items\b", check) else "1"
    summed_up = _SUMMED_UP.format(items=items, placed=_AS_THEY_ARE if equation.counterpart is None else _PLACED)
    return f"{_compared(check, parts)},{summed_up}"


def copies_query(
    equation: Equation,
    inputs: Mapping[str, Input],
    tables: Mapping[str, Sequence[ReportTable]],
    scope: Scope,
    *,
    hashed: bool = False,
) -> str:
    """Whether any transaction of `transaction_once` stands more than once: one row then. Takes less memory to ask."""
    copies = replace(equation, file="transaction_copies")
    parts = _input_parts(copies, inputs, tables, scope, None, hashed=hashed)
    return f"{_compared(copies.sql, parts)} SELECT account FROM compared LIMIT 1"  # noqa: S608


def _compared(check: str, parts: Mapping[str, str]) -> str:
    """The beginning of a query: what it reads from, and `compared`."""
    common = ",\n".join(f"{name}{_INLINE}\n{query}\n)" for name, query in parts.items())
    return f"WITH {common},\ncompared AS (\n{check}\n)"


def _input_parts(
    equation: Equation,
    inputs: Mapping[str, Input],
    tables: Mapping[str, Sequence[ReportTable]],
    scope: Scope,
    first_day: date | None,
    *,
    hashed: bool,
) -> dict[str, str]:
    """The inputs that an equation names, each a query."""
    parts = {}
    for called in _inputs_in(equation):
        which = next((prefix for prefix in _WHICH if called.startswith(prefix)), "")
        bare = called.removeprefix(which)
        name = equation.names.get(bare, bare)
        if which == "like_":
            parts[called] = _like(bare, whole=scope.touched is None)
            continue
        only = scope.touched if which == "touched_" else None
        whole = only is not None or which == "all_" or (equation.per_row and not which)
        since = None if whole else first_day if which == "before_" else scope.since
        held = tables.get(called, tables[name])
        parts[called] = input_query(inputs[name], held, since=since, accounts=scope.accounts, only=only, hashed=hashed)
    return parts


def _like(name: str, *, whole: bool) -> str:
    """The rows of an input whose transactions are touched; where all are, they are not looked for one by one."""
    if whole:
        return f"SELECT owner, transaction_key FROM {name} WHERE transaction_key IS NOT NULL"  # noqa: S608
    touched = f"SELECT transaction_key FROM touched_{name}"  # noqa: S608
    return f"SELECT owner, transaction_key FROM {name} WHERE transaction_ref IN ({touched})"  # noqa: S608


_SUMMED_UP = f"""
marked AS (
    SELECT account, cell, currency, figure, against, gross_difference, fee_difference, count_difference,
           {{items}} AS items,
           CASE WHEN {_COMPARED} THEN NULL ELSE item END AS item,
           CASE WHEN {_COMPARED} THEN NULL ELSE note END AS note,
           CASE WHEN {_COMPARED} THEN NULL ELSE against_cell END AS against_cell,
           CASE WHEN {_COMPARED} THEN NULL ELSE moment END AS moment
    FROM compared
),
summed AS (
    SELECT account, cell, currency, item, MIN(note) AS note, MIN(against_cell) AS against_cell,
           MIN(moment) AS moment, SUM(figure) AS figure, SUM(against) AS against,
           SUM(gross_difference) AS gross_difference, SUM(fee_difference) AS fee_difference,
           SUM(count_difference) AS count_difference, SUM(items) AS items, COUNT(item) AS differ
    FROM marked GROUP BY account, cell, currency, item
),
differing AS (
    SELECT * FROM summed WHERE differ > 0
),
{{placed}}
ranked AS (
    SELECT placed.*, ROW_NUMBER() OVER (
        PARTITION BY account, cell, currency, note ORDER BY ABS(figure - against) DESC, item
    ) AS place FROM placed
)
SELECT account, cell, currency, '' AS item, figure, against, gross_difference, fee_difference, count_difference,
       '' AS note, '' AS against_cell, moment, items
FROM summed WHERE differ = 0
UNION ALL
SELECT account, cell, currency, item, figure, against, gross_difference, fee_difference, count_difference, note,
       against_cell, moment, 1
FROM ranked WHERE place <= {MOST_ITEMS}
UNION ALL
SELECT account, cell, currency, CONCAT('{OTHERS}', note), SUM(figure), SUM(against), SUM(gross_difference),
       SUM(fee_difference), SUM(count_difference), note, MIN(against_cell), MIN(moment), COUNT(*)
FROM ranked WHERE place > {MOST_ITEMS} GROUP BY account, cell, currency, note
"""  # noqa: S608
_PLACED = f"""placed AS (
    SELECT differing.account, differing.cell, currency, item, figure, against, gross_difference, fee_difference,
           count_difference, against_cell, moment,
           CASE WHEN note NOT IN ({", ".join(map(text_literal, PLACED))}) OR spans.lane IS NOT NULL THEN note
                WHEN moment IS NULL THEN 'no time'
                WHEN bounds.lane IS NULL THEN 'not loaded'
                WHEN moment < bounds.since THEN 'older'
                WHEN moment >= bounds.until THEN 'later'
                ELSE 'gap' END AS note
    FROM differing
    LEFT JOIN spans ON spans.lane = {lane_sql("differing.cell")}
                   AND differing.moment >= spans.since AND differing.moment < spans.until
    LEFT JOIN (SELECT lane, MIN(since) AS since, MAX(until) AS until FROM spans GROUP BY lane) AS bounds
        ON bounds.lane = {lane_sql("differing.cell")}
),"""  # noqa: S608
_AS_THEY_ARE = "placed AS (\n    SELECT * FROM differing\n),"


def in_dialect(
    query: str, dialect: str | None, quote_table: Callable[[str], str], quote_column: Callable[[str], str]
) -> str:
    """A query of ours as a destination takes it.

    Args:
        query: in DuckDB's dialect.
        dialect: sqlglot's name of the destination's.
        quote_table, quote_column: the destination's way to write a name.
    """
    written = query
    if dialect not in _INLINES:
        flat = _side_by_side(sqlglot.parse_one(query.replace(_INLINE, " AS ("), read="duckdb"))
        written = flat.sql(dialect=dialect)
    elif dialect != "duckdb":
        written = sqlglot.parse_one(query, read="duckdb").sql(dialect=dialect)
    quote = {"table": quote_table, "column": quote_column}
    return _PLACEHOLDER.sub(lambda found: quote[found[1]](found[2]), written)


def _side_by_side(query: Any) -> Any:
    """Common table expressions after one another: SQL Server takes none within another, MariaDB not all of them."""
    outer = query.find(exp.With)
    if outer is None:
        return query
    listed: list[Any] = []
    for part in outer.expressions:
        for inner in part.this.find_all(exp.With):
            listed += inner.expressions
            inner.pop()
        listed.append(part)
    outer.set("expressions", listed)
    return query


def _inputs_in(equation: Equation) -> list[str]:
    """The inputs that an equation names, by what they are called there, and those that these are made of."""
    names = {*INPUTS, *equation.names}
    known = {f"{which}{name}" for which in ("", *_WHICH) for name in names}
    named = sources(equation.sql) & known
    for called in [called for called in named if called.startswith("like_")]:
        bare = called.removeprefix("like_")
        named |= {bare, f"touched_{bare}"}
    # what is like others comes after them
    return sorted(named, key=lambda called: (called.startswith("like_"), called))


def sources(sql: str) -> set[str]:
    """What a query of ours reads from."""
    return set(_SOURCE.findall(sql))


def _spans(spans: Spans) -> str:
    rows = [
        f"SELECT {text_literal(lane)} AS lane, {instant_literal(since)} AS since, {instant_literal(until)} AS until"
        for lane, parts in spans.items()
        for since, until in parts
    ]
    nothing = "CAST(NULL AS TIMESTAMPTZ)"
    return " UNION ALL\n".join(rows) or f"SELECT '' AS lane, {nothing} AS since, {nothing} AS until"


def instant_literal(instant: datetime) -> str:
    """An instant as SQL."""
    return f"CAST('{instant.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}+00:00' AS TIMESTAMPTZ)"


def _cell_pairs(base: str, tables: Collection[str]) -> str:
    """Each cell of the balance summary with the one before, where they meet."""
    cell = cell_sql("interval_key", base)
    order = f'OVER (PARTITION BY "column:table_name", {lane_sql(cell)} ORDER BY "column:interval_day")'
    return (
        f"SELECT cell, cell_before FROM (SELECT {cell} AS cell, LAG({cell}) {order} AS cell_before, "  # noqa: S608
        f'LAG("column:interval_end") {order} AS end_before, "column:interval_start" AS cell_start '
        f'FROM "table:{REPORT_CELLS.name}" WHERE {_in_tables(tables)}) AS pairs WHERE end_before = cell_start'
    )


def touched_query(inputs: Mapping[str, Input], tables: Mapping[str, Sequence[ReportTable]], scope: Scope) -> str:
    """The cells whose rows are looked at: a list of them, or what the ledger has."""
    if scope.touched is not None and len(scope.touched) <= _LISTED_CELLS:
        if not scope.touched:
            return _NO_CELL
        listed = ", ".join(f"({text_literal(cell)})" for cell in sorted(scope.touched))
        return f"SELECT cell FROM (VALUES {listed}) AS listed(cell)"  # noqa: S608
    since = scope.since
    if scope.touched:
        since = min(map(first_day_of, scope.touched))
    return ledger_cells(inputs, tables, since)


def ledger_cells(
    inputs: Mapping[str, Input],
    tables: Mapping[str, Sequence[ReportTable]],
    since: date | None,
    until: date | None = None,
) -> str:
    """The cells that the ledger has of any of the reports, and that begin between two days, both included."""
    bounds = "".join(
        f" AND \"column:interval_day\" {comparison} DATE '{day.isoformat()}'"
        for comparison, day in ((">=", since), ("<=", until))
        if day is not None
    )
    parts = [
        f'SELECT {cell_sql("interval_key", input_.base)} AS cell FROM "table:{REPORT_CELLS.name}" '  # noqa: S608
        f"WHERE {_in_tables([table.name for table in tables[name]])}{bounds}"
        for name, input_ in inputs.items()
        if tables[name]
    ]
    return f"SELECT DISTINCT cell FROM ({' UNION ALL '.join(parts)}) AS loaded" if parts else _NO_CELL  # noqa: S608


def _in_tables(tables: Collection[str]) -> str:
    return f'"column:table_name" IN ({", ".join(map(text_literal, sorted(tables))) or "NULL"})'
