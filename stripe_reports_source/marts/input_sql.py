"""Inputs of marts as SQL over the tables of a dataset. Pure.

In: an input, the tables that hold it. Out: a SELECT in DuckDB's dialect, in which tables and columns stand as
`"table:payouts_itemized"` and `"column:net"`, as in the queries of `reconcile`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date

from ..plan.column_types import AMOUNT, DATE, TEXT, TIMESTAMPTZ, ColumnType
from ..plan.system_tables import REPORT_CELLS, TIE_OUT
from ..plan.texts import text_literal
from ..plan.whose_data import CONNECTED
from .inputs import CELLS, LEDGER_ACCOUNTS, TIE_OUT_COLUMNS, InputColumn, MartInput
from .tables import InputTable, columns_of_input, time_columns

_SQL_TYPES = {"text": "TEXT", "timestamptz": "TIMESTAMPTZ", "timestamp": "TIMESTAMP", "date": "DATE", "bool": "BOOLEAN"}
_TIME_KINDS = ("timestamptz", "timestamp")
_OF_A_CONNECTED_ACCOUNT = f'%"{CONNECTED}":"%'
_ITS_ACCOUNT = rf'^.*"{CONNECTED}":"([^"]*)".*$'


def sql_type(type_: ColumnType) -> str:
    """A column's type as SQL."""
    return (
        f"DECIMAL({AMOUNT.precision}, {AMOUNT.scale})"
        if type_.kind == "decimal"
        else _SQL_TYPES.get(type_.kind, "BIGINT")
    )


def report_query(
    input_: MartInput, tables: Sequence[InputTable], wanted: Collection[str], before: date | None = None
) -> str:
    """The rows of a report.

    Args:
        input_: the report.
        tables: that hold it; without any the query has no rows.
        wanted: its columns that are asked for.
        before: only what counts before this day; None for all.
    """
    parts = [_of_table(input_, table, wanted, before) for table in tables]
    return "\nUNION ALL\n".join(parts) or nothing(
        {name: type_ for name, type_ in columns_of(input_).items() if name in wanted}
    )


def columns_of(input_: MartInput) -> dict[str, ColumnType]:
    """The columns of an input with their types."""
    worked_out = {name: _WORKED_OUT[how][0] for name, how in input_.worked_out.items()}
    return {**{about.name: about.type for about in input_.columns}, **worked_out}


def cells_query(tables: Mapping[str, Sequence[InputTable]]) -> str:
    """What is loaded of some inputs."""
    parts = []
    for name, of_input in tables.items():
        for table in of_input:
            cell = _Cell(table, '"column:interval_', '"column:account"')
            if table.connected and not table.per_connected_account:
                continue  # rows of all connected accounts: there is no cell of one of them
            listed = {
                "input": text_literal(name),
                "account": cell.account,
                "first_day": cell.day if name == "unsettled" else cell.first_day,
                "last_day": cell.last_day,
                "start_at": cell.start,
                "end_at": cell.end,
                "complete": 'COALESCE("column:complete", FALSE)',
            }
            conditions = [f'"column:table_name" = {text_literal(table.name)}', *cell.conditions]
            if table.apart:
                conditions.append(f'"column:account" NOT IN ({", ".join(map(text_literal, table.apart))})')
            parts.append(_select(listed, REPORT_CELLS.name, conditions))
    return "\nUNION ALL\n".join(parts) or nothing(CELLS)


def tie_out_query(*, there: bool) -> str:
    """The statements of `tie_out`."""
    if not there:
        return nothing(TIE_OUT_COLUMNS)
    return _select({name: f'"column:{name}"' for name in TIE_OUT_COLUMNS}, TIE_OUT.name, [])


def ledger_accounts_query(chart: Sequence[tuple[str, str, str]]) -> str:
    """The chart of accounts."""
    rows = [
        "SELECT "
        + ", ".join(f"{text_literal(value)} AS {name}" for name, value in zip(LEDGER_ACCOUNTS, row, strict=True))
        for row in chart
    ]
    return " UNION ALL\n".join(rows) or nothing(LEDGER_ACCOUNTS)


def nothing(columns: Mapping[str, ColumnType]) -> str:
    """No rows, with these columns."""
    listed = ", ".join(f"CAST(NULL AS {sql_type(type_)}) AS {name}" for name, type_ in columns.items())
    return f"SELECT {listed}\nFROM (SELECT 1 AS nothing) AS nothing WHERE 1 = 0"


class _Cell:
    """The columns that tell a row's cell: those of a report's rows, or of `report_cells`."""

    def __init__(self, table: InputTable, prefix: str, account: str) -> None:
        self.key, self.day = f'{prefix}key"', f'{prefix}day"'
        self.start, self.end = f'{prefix}start"', f'{prefix}end"'
        zones = set(table.zones.values())
        self.zone = text_literal(next(iter(zones)))
        if len(zones) > 1:
            whens = (f"WHEN {text_literal(name)} THEN {text_literal(zone)}" for name, zone in table.zones.items())
            self.zone = f"CASE {account} {' '.join(whens)} END"
        self.first_day = f"CAST({self.start} AT TIME ZONE {self.zone} AS DATE)"
        self.last_day = f"CAST(({self.end} - INTERVAL '1' SECOND) AT TIME ZONE {self.zone} AS DATE)"
        self.account = account
        self.conditions = []
        if not table.all_accounts:
            self.conditions.append(f"{account} IN ({', '.join(map(text_literal, table.zones))})")
        if table.per_connected_account:
            self.account = f"REGEXP_REPLACE({self.key}, {text_literal(_ITS_ACCOUNT)}, '\\1')"
            self.conditions.append(f"{self.key} LIKE {text_literal(_OF_A_CONNECTED_ACCOUNT)}")
        elif table.connected:
            self.account = f'"column:{CONNECTED}"'
        if table.but:
            self.conditions.append(f"{self.account} NOT IN ({', '.join(map(text_literal, table.but))})")


def _of_table(input_: MartInput, table: InputTable, wanted: Collection[str], before: date | None) -> str:
    cell = _Cell(table, '"column:_interval_', '"column:_account"')
    listed = {about.name: _value(about, table.columns) for about in input_.columns if about.name in wanted}
    for name, how in input_.worked_out.items():
        if name in wanted:
            listed[name] = _WORKED_OUT[how][1](input_, table, cell)
    conditions = list(cell.conditions)
    if input_.lines:
        line = columns_of_input(next(about for about in input_.columns if about.name == "line"), table.columns)
        conditions.append(
            f"{_first([_column(name) for name in line])} IN ({', '.join(map(text_literal, input_.lines))})"
        )
    if before is not None and "day" in input_.worked_out:
        conditions.append(f"{_day(input_, table, cell)} < DATE '{before.isoformat()}'")
    return _select(listed, table.name, conditions)


def _select(columns: Mapping[str, str], table: str, conditions: Sequence[str]) -> str:
    listed = ", ".join(sql if sql == f'"column:{name}"' else f"{sql} AS {name}" for name, sql in columns.items())
    where = f"\nWHERE {' AND '.join(conditions)}" if conditions else ""
    return f'SELECT {listed}\nFROM "table:{table}"{where}'


def _value(about: InputColumn, columns: Mapping[str, ColumnType]) -> str:
    values = [
        f"CAST({_column(name)} AS {sql_type(AMOUNT)})"
        if about.type == AMOUNT and columns[name] != AMOUNT
        else _column(name)
        for name in columns_of_input(about, columns)
    ]
    if not values:
        return f"CAST(NULL AS {sql_type(about.type)})"
    if about.needed:
        values.append("0" if about.type == AMOUNT else text_literal(""))
    return f"{about.sign}{_first(values)}"


def _day(input_: MartInput, table: InputTable, cell: _Cell) -> str:
    """The day in the report's zone: as Stripe writes it, and from UTC in rows of versions that have UTC alone."""
    utc, local = (
        time_columns(names, kind, table.columns) for names, kind in zip(input_.times, _TIME_KINDS, strict=True)
    )
    times = [*map(_column, local), *(f"{_column(name)} AT TIME ZONE {cell.zone}" for name in utc)]
    return f"CAST({_first(times)} AS DATE)"


def _column(name: str) -> str:
    return f'"column:{name}"'


def _first(values: Sequence[str]) -> str:
    """The first value that is not NULL."""
    return values[0] if len(values) == 1 else f"COALESCE({', '.join(values)})"


def _month(input_: MartInput, table: InputTable, cell: _Cell) -> str:
    return f"CAST(DATE_TRUNC('month', {_day(input_, table, cell)}) AS DATE)"


_Worked = Callable[[MartInput, InputTable, _Cell], str]

_WORKED_OUT: Mapping[str, tuple[ColumnType, _Worked]] = {
    "account": (TEXT, lambda input_, table, cell: cell.account),
    "day": (DATE, _day),
    "month": (DATE, _month),
    "cell_day": (DATE, lambda input_, table, cell: cell.day),
    "cell_first_day": (DATE, lambda input_, table, cell: cell.first_day),
    "cell_last_day": (DATE, lambda input_, table, cell: cell.last_day),
    "cell_start": (TIMESTAMPTZ, lambda input_, table, cell: cell.start),
    "cell_end": (TIMESTAMPTZ, lambda input_, table, cell: cell.end),
}
"""Columns that are worked out: their types, and how."""
