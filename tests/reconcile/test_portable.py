"""The equations in other dialects: what sqlglot writes is read again, and PostgreSQL comes to the same verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timezone
from pathlib import Path

import dlt
import pytest
import sqlglot
from sqlglot import exp

from stripe_reports_source.plan.column_types import AMOUNT, BIGINT, DATE, TEXT, TIMESTAMPTZ, ColumnType
from stripe_reports_source.plan.system_tables import Statement
from stripe_reports_source.reconcile.checks import look
from stripe_reports_source.reconcile.coverage import Coverage, CoveredCell
from stripe_reports_source.reconcile.equations import EQUATIONS, Equation
from stripe_reports_source.reconcile.glance import COPIES, OF_ROWS
from stripe_reports_source.reconcile.inputs import INPUTS, Input, ReportTable, glance_query
from stripe_reports_source.reconcile.queries import copies_query, equation_query, in_dialect
from stripe_reports_source.reconcile.reach import counterpart_queries
from stripe_reports_source.reconcile.scope import Scope
from tests.reconcile.worlds import NINE, NOW, Account, World, Worlds, told

DIALECTS = ("postgres", "snowflake", "bigquery", "redshift", "databricks", "tsql", "clickhouse", "mysql", "duckdb")
FIRST_DIALECTS = [
    pytest.param(name, marks=[pytest.mark.long] * (name not in ("postgres", "bigquery", "tsql"))) for name in DIALECTS
]
"""Those that are least like DuckDB's own; the others are among the tests that take long."""
OF_FILES = list({equation.file: equation for equation in EQUATIONS}.values())
"""An equation of each SQL file."""
CONNECTED = {name: input_.of_connected_accounts() for name, input_ in INPUTS.items()}
SPANS = {
    "it's 100% {ours}|month|UTC": [
        (datetime(2025, 1, 1, tzinfo=timezone.utc), datetime(2025, 4, 1, 12, 30, tzinfo=timezone.utc))
    ]
}
SCOPES = (
    Scope(),
    Scope(touched=frozenset({"it's 100% {ours}|month|UTC|2025-02-01"}), since=date(2025, 2, 1)),
    Scope(touched=frozenset(), accounts=frozenset({"it's 100%"})),
    Scope(touched=frozenset(f"a|day|UTC|{date.fromordinal(739_000 + day)}" for day in range(600))),
)


def _columns(input_: Input, without: Sequence[str] = ()) -> dict[str, ColumnType]:
    named = {field.columns[0]: field.type for name, field in input_.fields.items() if name not in without}
    return {**named, "_account": TEXT, "_interval_key": TEXT, "_interval_day": DATE, "_interval_start": TIMESTAMPTZ}


def _worlds_of_tables(inputs: dict[str, Input]) -> Iterator[dict[str, list[ReportTable]]]:
    yield {name: [ReportTable(input_.base.replace(".", "_"), _columns(input_))] for name, input_ in inputs.items()}
    yield {
        name: [
            ReportTable(f"one_{name}", _columns(input_, ("gross", "fee", "moment")), {"it's 100% {ours}|month|UTC"}),
            ReportTable(f"Other {name} %", {**_columns(input_), "net": BIGINT if name == "activity" else AMOUNT}),
        ]
        for name, input_ in inputs.items()
    }
    yield {name: [] for name in inputs}


@pytest.mark.long
@pytest.mark.parametrize("dialect", FIRST_DIALECTS)
@pytest.mark.parametrize("equation", OF_FILES, ids=lambda equation: equation.file)
def test_a_query_is_read_again_in_every_dialect(equation: Equation, dialect: str) -> None:
    for scope in SCOPES[: 2 if dialect != "duckdb" else None]:
        for tables in _worlds_of_tables(dict(INPUTS)):
            query = equation_query(equation, INPUTS, tables, scope, scope.since, SPANS)
            _is_read_again(query, dialect)
    tables = next(_worlds_of_tables(CONNECTED))
    _is_read_again(equation_query(equation, CONNECTED, tables, SCOPES[0], None, SPANS), dialect)


@pytest.mark.first(1)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_seen_at_a_glance_is_read_again_in_every_dialect(dialect: str) -> None:
    for scope in SCOPES[: 2 if dialect != "duckdb" else None]:
        for tables in list(_worlds_of_tables(dict(INPUTS)))[:2]:
            for equation in EQUATIONS:
                name = equation.figure[0]
                if equation.name in OF_ROWS:
                    accounts, only = scope.accounts, scope.touched
                    query = glance_query(INPUTS[name], tables[name], since=scope.since, accounts=accounts, only=only)
                    _is_read_again(query, dialect)
                if equation.name == COPIES:
                    query = copies_query(equation, INPUTS, tables, scope)
                    _is_read_again(query, dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_queries_for_counterparts_are_read_again(dialect: str) -> None:
    january = datetime(2025, 1, 1, tzinfo=timezone.utc)
    cells = [
        CoveredCell(
            "table",
            "a",
            f"a|{INPUTS[name].base}|month|UTC|2025-01-01",
            INPUTS[name].base,
            january.date(),
            january,
            january.replace(month=2),
            january.replace(month=2),
            True,
            3,
            "frr_1",
            january,
        )
        for name in ("activity", "settled")
    ]
    tables = next(_worlds_of_tables(dict(INPUTS)))
    scope = Scope(touched=frozenset({"a|month|UTC|2025-01-01"}))
    queries = counterpart_queries(scope, Coverage(cells), INPUTS, tables)
    assert len(queries) == 4
    for query in queries:
        _is_read_again(query, dialect)


def _is_read_again(query: str, dialect: str) -> None:
    quote = {"mysql": "`", "bigquery": "`", "databricks": "`"}.get(dialect, '"')
    sql = in_dialect(query, dialect, lambda name: f"{quote}{name}{quote}", lambda name: f"{quote}{name}{quote}")
    assert "table:" not in sql
    assert "column:" not in sql
    parsed = sqlglot.parse_one(sql, read=dialect)
    columns = parsed.find(exp.Select)
    assert columns is not None
    assert not list(parsed.find_all(exp.Command))
    if dialect not in ("duckdb", "postgres"):  # none within one another, which SQL Server takes for an error
        assert len(list(parsed.find_all(exp.With))) == query.startswith("WITH ")


def verdicts(statements: Sequence[Statement]) -> list[tuple[object, ...]]:
    """What statements say, without when and of which run."""
    return [
        (
            *(statement.equation, statement.account, statement.interval_key, statement.currency, statement.item),
            *(statement.figure, statement.against, statement.difference, statement.count_difference),
            *(statement.status, statement.reason),
        )
        for statement in statements
    ]


@pytest.mark.long
def test_postgres_comes_to_the_same_verdicts(worlds: Worlds, tmp_path: Path, postgres: str) -> None:
    world = World("two", (Account("it's 100%", NINE, {"timezone": "Asia/Kolkata"}),))
    there = world.load(tmp_path / "there", dlt.destinations.postgres(postgres))
    here = worlds.copy(world, tmp_path / "here")
    before = look(there, NOW)
    assert verdicts(before) == verdicts(look(here, NOW))
    assert told(before, "variance", "stale") == []
    spoiled = (
        "DELETE FROM {table} WHERE balance_transaction_id IN "
        "(SELECT MIN(balance_transaction_id) FROM {table} GROUP BY _interval_key)"
    )
    for pipeline in (there, here):
        with pipeline.sql_client() as client:
            client.execute_sql(
                spoiled.format(table=client.make_qualified_table_name("balance_change_from_activity_itemized"))
            )
    after = look(there, NOW)
    assert verdicts(after) == verdicts(look(here, NOW))
    assert {statement.equation for statement in after if statement.status == "variance"} > {
        "rows_stored_equal_file",
        "activity_rows_equal_balance",
    }
    touched = frozenset({"it's 100%|month|Asia/Kolkata|2025-03-01"})
    assert verdicts(look(there, NOW, Scope(touched=touched))) == verdicts(look(here, NOW, Scope(touched=touched)))
