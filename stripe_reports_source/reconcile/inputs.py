"""What the equations are written over: Stripe's reports with one sign and one set of names, as SQL.

In: the tables that hold a report and the columns that they have. Out: a query for each input, in DuckDB's dialect, in
which tables and columns stand as `"table:balance_summary"` and `"column:net"` (see `queries`).

All amounts are effects on the balance: fees are negative, and so are payouts; net = gross + fee. Stripe's itemized
reports write fees and payouts as positive numbers, its summaries as negative ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from ..plan.column_types import AMOUNT, BIGINT, TEXT, TIMESTAMPTZ, ColumnType
from ..plan.texts import text_literal

DAY_LENGTH = len("|2025-01-31")
"""What follows a lane in the name of a cell."""


_NUMBERS = {"decimal", "bigint"}


@dataclass(frozen=True)
class Field:
    """A name that equations use: columns it may come from, of which the first of its type with a value counts."""

    type: ColumnType
    columns: tuple[str, ...]
    sign: str = ""


@dataclass(frozen=True)
class Input:
    """A report as equations see it.

    Args:
        base: the report's id without its version.
        fields: by name.
        row_id, volume: names of fields: what a row is called, and within what it stands once.
    """

    base: str
    fields: Mapping[str, Field]
    row_id: str
    volume: str | None = None

    def of_connected_accounts(self) -> Input:
        """The same report of connected accounts."""
        return Input(f"connected_account_{self.base}", self.fields, self.row_id, self.volume)


@dataclass(frozen=True)
class ReportTable:
    """A table that holds a report: its name and its columns; lanes and interval keys that are not read from it."""

    name: str
    columns: Mapping[str, ColumnType]
    without: Collection[str] = field(default_factory=tuple)
    without_keys: Collection[str] = field(default_factory=tuple)


def _amounts(gross: str, fee: str, net: str) -> dict[str, Field]:
    return {
        "gross": Field(AMOUNT, ("gross",), gross),
        "fee": Field(AMOUNT, ("fee",), fee),
        "net": Field(AMOUNT, ("net",), net),
        "currency": Field(TEXT, ("currency",)),
        "category": Field(TEXT, ("reporting_category",)),
    }


_PAYOUT_TIMES = ("automatic_payout_effective_at_utc", "automatic_payout_effective_at")
_TRANSACTION = {
    **_amounts("", "-", ""),
    "transaction_id": Field(TEXT, ("balance_transaction_id",)),
    "source_id": Field(TEXT, ("source_id",)),
    "payout_id": Field(TEXT, ("automatic_payout_id",)),
    "payout_at": Field(TIMESTAMPTZ, _PAYOUT_TIMES),
    "created": Field(TIMESTAMPTZ, ("created_utc",)),
}
_LINE = {**_amounts("", "", ""), "line_count": Field(BIGINT, ("count",))}

INPUTS: Mapping[str, Input] = {
    "balance": Input(
        "balance.summary",
        {
            "net": Field(AMOUNT, ("net_amount",)),
            "currency": Field(TEXT, ("currency",)),
            "category": Field(TEXT, ("category", "reporting_category")),
        },
        "category",
    ),
    "activity": Input(
        "balance_change_from_activity.itemized",
        {**_TRANSACTION, "moment": Field(TIMESTAMPTZ, ("created_utc",))},
        "transaction_id",
    ),
    "activity_summary": Input("balance_change_from_activity.summary", _LINE, "category"),
    "payouts": Input(
        "payouts.itemized",
        {
            **_amounts("-", "", "-"),
            "transaction_id": Field(TEXT, ("balance_transaction_id",)),
            "payout_id": Field(TEXT, ("payout_id",)),
            "moment": Field(TIMESTAMPTZ, ("effective_at_utc", "effective_at")),
        },
        "transaction_id",
    ),
    "payouts_summary": Input("payouts.summary", _LINE, "category"),
    "settled": Input(
        "payout_reconciliation.itemized",
        {**_TRANSACTION, "moment": Field(TIMESTAMPTZ, _PAYOUT_TIMES)},
        "transaction_id",
        "payout_id",
    ),
    "settled_summary": Input("payout_reconciliation.summary", _LINE, "category"),
    "settled_by_id": Input("payout_reconciliation.by_id.itemized", _TRANSACTION, "transaction_id", "payout_id"),
    "unsettled": Input(
        "ending_balance_reconciliation.itemized",
        {**_TRANSACTION, "moment": Field(TIMESTAMPTZ, ("created_utc",))},
        "transaction_id",
        "cell",
    ),
    "unsettled_summary": Input("ending_balance_reconciliation.summary", _LINE, "category"),
}


def cell_name(key: str, base: str) -> str:
    """An interval key without its report."""
    return key.replace(f"|{base}|", "|", 1)


def possible_keys(cell: str, base: str) -> list[str]:
    """The interval keys of a report that a cell's name may be of: in a key, the report follows the account.

    An account and a filter may hold a bar, so that only one of them is the key.
    """
    bars = [place for place, character in enumerate(cell) if character == "|"]
    return [f"{cell[:place]}|{base}{cell[place:]}" for place in bars]


def first_day_of(cell: str) -> date:
    """The day that a cell begins on, from its name or its interval key."""
    return date.fromisoformat(cell[1 - DAY_LENGTH :])


def cell_sql(column: str, base: str) -> str:
    """The name of a cell of a report, from a column with interval keys."""
    return f"REPLACE(\"column:{column}\", {text_literal(f'|{base}|')}, '|')"


def lane_sql(cell: str) -> str:
    """The lane of a cell, from what its name is in SQL."""
    return f"SUBSTR({cell}, 1, LENGTH({cell}) - {DAY_LENGTH})"


def lacking(input_: Input, tables: Sequence[ReportTable], names: Collection[str]) -> list[str]:
    """The fields of these that a table of the report does not have."""
    return [
        name
        for name in names
        if name in input_.fields and not all(_columns(input_.fields[name], table) for table in tables)
    ]


def input_query(
    input_: Input,
    tables: Sequence[ReportTable],
    *,
    since: date | None = None,
    accounts: Collection[str] | None = None,
    only: Collection[str] | None = None,
    hashed: bool = False,
) -> str:
    """A query for the rows of a report.

    Beside its fields it has `transaction_key`, `payout_key` and `owner`, by which many rows are joined instead of by
    ids and account, and `figures_key`, which is equal where currency, category and amounts are. `transaction_ref` and
    `payout_ref` are what rows are looked up by: equal to keys where ids are, and a column as it is stored, which may
    have an index; only an empty id has one and no key.

    Args:
        input_: the report.
        tables: that hold it; without any the query has no rows.
        since: only cells that begin on this day or later.
        accounts: only these, None for all.
        only: names of the cells, None for all.
        hashed: DuckDB's hashes, of 64 bits, are the keys, which takes a third of the memory. Two texts may have one
            hash, so that equal keys say nothing of what differs; unequal keys are of unequal texts.
    """
    days = _days(since, only)
    parts = [f"{_of_table(input_, table, hashed)}{_where(input_, table, days, accounts, only)}" for table in tables]
    return "\nUNION ALL\n".join(parts) or f"{_of_table(input_, None, hashed)} WHERE 1 = 0"


def glance_query(
    input_: Input,
    tables: Sequence[ReportTable],
    *,
    since: date | None = None,
    accounts: Collection[str] | None = None,
    only: Collection[str] | None = None,
) -> str:
    """A query that reads the rows of a report once, for all that equations of single rows ask of them.

    It has a row for each account, interval key and currency, as they are stored: how many rows there are; their net;
    how many of them do not add up, have a time, have it outside of their cell, have an id. Rows are put together by
    columns as they are, which is cheaper than by names made of them.

    Args:
        input_: the report.
        tables: that hold it, at least one.
        since, accounts, only: see `input_query`.
    """
    days = _days(since, only)
    return "\nUNION ALL\n".join(
        _glance_of_table(input_, table, _where(input_, table, days, accounts, only)) for table in tables
    )


def _glance_of_table(input_: Input, table: ReportTable, where: str) -> str:
    value = {name: _value(about, table) for name, about in input_.fields.items()}
    gross, fee, net = (value.get(name, "0") for name in ("gross", "fee", "net"))
    moment = value.get("moment", "CAST(NULL AS TIMESTAMPTZ)")
    refs = _refs(input_, table)
    id_, currency = (refs.get(name, "CAST(NULL AS TEXT)") for name in ("transaction_id", "currency"))
    outside = f'{moment} >= "column:_interval_end" OR {moment} < "column:_interval_start"'
    keys = ['"column:_account"', '"column:_interval_key"', *([currency] if "column:" in currency else [])]
    return (
        f'SELECT "column:_account" AS account, "column:_interval_key" AS interval_key, {currency} AS currency, '  # noqa: S608
        f"COUNT(*) AS items, SUM({net}) AS net, COUNT(CASE WHEN {net} <> {gross} + {fee} THEN 1 END) AS unequal, "
        f"COUNT({moment}) AS timed, COUNT(CASE WHEN {outside} THEN 1 END) AS outside, "
        f"COUNT(NULLIF({id_}, '')) AS named FROM \"table:{table.name}\"{where} GROUP BY {', '.join(keys)}"
    )


def _of_table(input_: Input, table: ReportTable | None, hashed: bool) -> str:
    fields = {name: _value(about, table) for name, about in input_.fields.items()}
    text = "CAST(NULL AS TEXT)" if table is None else None
    cell = text or cell_sql("_interval_key", input_.base)
    instant = "CAST(NULL AS TIMESTAMPTZ)"
    account = text or '"column:_account"'
    named = {
        "account": account,
        "cell": cell,
        "cell_start": instant if table is None else '"column:_interval_start"',
        "cell_end": instant if table is None else '"column:_interval_end"',
        **fields,
        "item": fields[input_.row_id],
        "volume": cell if input_.volume == "cell" else fields.get(input_.volume or "", "''"),
        **_keys(account, fields, _refs(input_, table), hashed),
    }
    listed = ", ".join(f"{sql} AS {name}" for name, sql in named.items())
    if table is None:
        return f"SELECT {listed} FROM (SELECT 1 AS nothing) AS nothing"  # noqa: S608
    return f'SELECT {listed} FROM "table:{table.name}"'  # noqa: S608


def _refs(input_: Input, table: ReportTable | None) -> dict[str, str]:
    """The ids as they are stored."""
    columns = {name: _columns(about, table) for name, about in input_.fields.items()}
    return {name: f'"column:{found[0]}"' if found else "CAST(NULL AS TEXT)" for name, found in columns.items()}


def _keys(account: str, fields: Mapping[str, str], refs: Mapping[str, str], hashed: bool) -> dict[str, str]:
    """See `input_query`. An empty id has no key."""
    keys = {"owner": "0" if hashed else account}
    for name in {"transaction_id", "payout_id"} & set(fields):
        id_ = fields[name]
        key = f"CASE WHEN {id_} <> '' THEN HASH({account}, {id_}) END" if hashed else f"NULLIF({id_}, '')"
        keys[name.replace("_id", "_key")] = key
        keys[name.replace("_id", "_ref")] = key if hashed else refs[name]
    figures = [fields[name] for name in ("currency", "category", "gross", "fee", "net") if name in fields]
    texts = ", '|', ".join(f"CAST({figure} AS TEXT)" for figure in figures)
    keys["figures_key"] = f"HASH({', '.join(figures)})" if hashed else f"CONCAT({texts}, '')"
    return keys


def _days(since: date | None, only: Collection[str] | None) -> list[str]:
    """What days the cells begin on; said beside their names, because a columnar database goes by days."""
    bounds = [] if since is None else [(">=", since.isoformat())]
    if only:
        days = [first_day_of(cell) for cell in only]
        bounds += [(">=", min(days).isoformat()), ("<=", max(days).isoformat())]
    return [f"\"column:_interval_day\" {comparison} DATE '{day}'" for comparison, day in bounds]


def _where(
    input_: Input,
    table: ReportTable,
    days: Sequence[str],
    accounts: Collection[str] | None,
    only: Collection[str] | None,
) -> str:
    conditions = []
    if days and "_interval_day" in table.columns:
        # rows that an older version of the package has loaded have no day
        conditions.append(f'({" AND ".join(days)} OR "column:_interval_day" IS NULL)')
    if accounts is not None:
        conditions.append(f'"column:_account" IN ({", ".join(map(text_literal, sorted(accounts)))})')
    if only is not None:
        keys = {key for cell in only for key in possible_keys(cell, input_.base)}
        conditions.append(f'"column:_interval_key" IN ({", ".join(map(text_literal, sorted(keys))) or "NULL"})')
    lane = lane_sql(cell_sql("_interval_key", input_.base))
    conditions += [f"{lane} <> {text_literal(without)}" for without in sorted(table.without)]
    if table.without_keys:
        conditions.append(f'"column:_interval_key" NOT IN ({", ".join(map(text_literal, sorted(table.without_keys)))})')
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _value(about: Field, table: ReportTable | None) -> str:
    columns = [f'"column:{name}"' for name in _columns(about, table)]
    if about.type == TIMESTAMPTZ:
        first = columns[0] if len(columns) == 1 else f"COALESCE({', '.join(columns)})"
        return first if columns else "CAST(NULL AS TIMESTAMPTZ)"
    if about.type == TEXT:
        return f"COALESCE({', '.join(columns)}, '')" if columns else "''"
    number = "DECIMAL(38, 9)" if about.type == AMOUNT else "BIGINT"
    return f"{about.sign}COALESCE({', '.join(columns)}, 0)" if columns else f"CAST(0 AS {number})"


def _columns(about: Field, table: ReportTable | None) -> list[str]:
    """All that are there: versions of a report that share a table may have a field in different columns.

    A time without a zone is not an instant; a number of another precision is a number all the same.
    """
    kinds = _NUMBERS if about.type.kind in _NUMBERS else {about.type.kind}
    stored = {} if table is None else table.columns
    return [name for name in about.columns if name in stored and stored[name].kind in kinds]
