"""What dlt would send to warehouses that no machine of a developer has: their tables, and how a cell is replaced there.

Made without a connection, and read again by sqlglot. It says nothing of what the warehouse does with it.
"""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import Any

import dlt
import pytest
import sqlglot
from dlt.common.schema import Schema
from dlt.common.schema.utils import new_table
from sqlglot import exp

from stripe_reports_source.plan.column_types import AMOUNT, BOOL, DATE, TEXT, TIMESTAMP, TIMESTAMPTZ, ColumnType
from stripe_reports_source.plan.columns import TableColumn
from stripe_reports_source.plan.system_tables import REPORT_CELLS, TIE_OUT
from stripe_reports_source.sync.verdicts import REPLACED_BY
from stripe_reports_source.warehouse.destinations import check_destination
from stripe_reports_source.warehouse.hints import report_hints, system_hints

RATE = ColumnType("decimal", 38, 28)
COLUMNS = {"gross": AMOUNT, "rate": RATE, "created": TIMESTAMP, "created_utc": TIMESTAMPTZ, "is_link": BOOL}
TABLES = ("payouts_itemized", REPORT_CELLS.name, TIE_OUT.name)
ODBC = "u:p@localhost/db?driver=ODBC+Driver+18+for+SQL+Server"
FABRIC = {"host": "h", "database": "db", "tenant_id": "t", "client_id": "c", "client_secret": "s"}
WAREHOUSES: dict[str, tuple[Any, str, tuple[str, str], tuple[str, str]]] = {
    # credentials, driver, types of amounts and rates, types of times without and with a zone
    "snowflake": (
        "snowflake://u:p@account/db",
        "snowflake.connector",
        ("NUMBER(38,9)", "NUMBER(38,28)"),
        ("TIMESTAMP_NTZ(6)", "TIMESTAMP_LTZ(6)"),
    ),
    "bigquery": (
        {"project_id": "p", "private_key": "k", "client_email": "e@example.com"},
        "google.cloud.bigquery",
        ("NUMERIC(38,9)", "BIGNUMERIC(38,28)"),
        ("TIMESTAMP", "TIMESTAMP"),
    ),
    "redshift": (
        "redshift://u:p@localhost:5439/db",
        "psycopg2",
        ("numeric(38,9)", "numeric(38,28)"),
        ("timestamp without time zone", "timestamp with time zone"),
    ),
    "databricks": (
        {"server_hostname": "h", "http_path": "/p", "catalog": "c", "access_token": "t"},
        "databricks.sql",
        ("DECIMAL(38,9)", "DECIMAL(38,28)"),
        ("TIMESTAMP_NTZ", "TIMESTAMP"),
    ),
    "clickhouse": (
        "clickhouse://u:p@localhost:9000/db",
        "clickhouse_connect",
        ("Nullable(Decimal(38,9))", "Nullable(Decimal(38,28))"),
        ("Nullable(DateTime64(6))", "Nullable(DateTime64(6,'UTC'))"),
    ),
    "motherduck": (
        "md:db?token=t",
        "duckdb",
        ("DECIMAL(38,9)", "DECIMAL(38,28)"),
        ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
    ),
    "mssql": (
        f"mssql://{ODBC}",
        "pyodbc",
        ("decimal(38,9)", "decimal(38,28)"),
        ("datetime2(6)", "datetimeoffset(6)"),
    ),
    "synapse": (
        f"synapse://{ODBC}",
        "pyodbc",
        ("decimal(38,9)", "decimal(38,28)"),
        ("datetime2(6)", "datetimeoffset(6)"),
    ),
    "fabric": (FABRIC, "pyodbc", ("decimal(38,9)", "decimal(38,28)"), ("datetime2(6)", "datetime2(6)")),
}
IN_TWO_STEPS = {"bigquery", "databricks", "clickhouse", "synapse", "fabric"}


def a_schema() -> Schema:
    """A report's table and two system tables, one of which is replaced in groups."""
    types = {"payout_id": TEXT, **COLUMNS, "day": DATE}
    columns = [TableColumn(name, name, type_, "it's what it holds") for name, type_ in types.items()]
    verdicts = system_hints(TIE_OUT)
    for name in REPLACED_BY:
        verdicts[name]["merge_key"] = True
    schema = Schema("stripe_reports")
    for name, hints in zip(TABLES, (report_hints(columns), system_hints(REPORT_CELLS), verdicts), strict=True):
        schema.update_table(new_table(name, write_disposition="merge", columns=list(hints.values())))
    return schema


def a_client(name: str) -> Any:
    """dlt's client of a warehouse, which has never connected."""
    credentials, driver, _, _ = WAREHOUSES[name]
    try:
        importlib.import_module(driver)
    except ImportError as error:  # the package, or a library of the system that it needs
        pytest.skip(f"{driver} cannot be imported: {error}")
    destination: Any = getattr(dlt.destinations, name)(credentials=credentials)
    return destination.client(a_schema(), destination.spec()._bind_dataset_name("stripe"))


def replacing(client: Any, table: str) -> list[str]:
    """The statements that replace rows of a table, in dlt's order."""
    [job] = client._create_merge_followup_jobs([client.prepare_load_table(table)])
    return Path(job.new_file_path()).read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", sorted(WAREHOUSES))
def test_tables_have_types_that_keep_every_digit(name: str) -> None:
    client = a_client(name)
    made, _ = client._build_schema_update_sql([(table, {}) for table in TABLES])
    for statement in made:
        parsed = sqlglot.parse_one(statement, read=client.capabilities.sqlglot_dialect)
        assert isinstance(parsed, (exp.Create, exp.Alter)), statement
    of_report = next(statement for statement in made if "gross" in statement.lower() and "rate" in statement.lower())
    quote = client.sql_client.escape_column_name
    types = dict(zip(COLUMNS, (*WAREHOUSES[name][2], *WAREHOUSES[name][3]), strict=False))
    for column, type_ in types.items():
        [line] = [line for line in of_report.splitlines() if line.startswith(f"{quote(column)} ")]
        told = line.removeprefix(f"{quote(column)} ")
        assert told.startswith(type_), line
        assert not told.removeprefix(type_)[:1].isalnum(), line


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", sorted(WAREHOUSES))
def test_old_rows_are_deleted_by_key_before_new_ones_come(name: str, table: str) -> None:
    client = a_client(name)
    statements = replacing(client, table)
    parsed = [sqlglot.parse_one(statement, read=client.capabilities.sqlglot_dialect) for statement in statements]
    kinds = [type(statement) for statement in parsed]
    assert set(kinds[:-1]) == {exp.Delete}, statements
    assert kinds[-1] is exp.Insert, statements
    keys = {"payouts_itemized": ["_interval_key"], REPORT_CELLS.name: list(REPORT_CELLS.key), TIE_OUT.name: REPLACED_BY}
    named = {column.name.lower() for statement in parsed[:-1] for column in statement.find_all(exp.Column)}
    assert named >= set(keys[table]), statements
    if table == "payouts_itemized":
        assert "_cell_dropped" in statements[-1].lower().partition(" where ")[2]


@pytest.mark.parametrize("name", sorted(WAREHOUSES))
def test_a_reader_that_may_see_an_empty_cell_is_warned_of(name: str, caplog: pytest.LogCaptureFixture) -> None:
    a_client(name)
    pipeline = dlt.pipeline("any", destination=name, dataset_name="stripe", pipelines_dir="pipelines")
    with caplog.at_level(logging.WARNING, "stripe_reports_source"):
        check_destination(pipeline)
    warned = f"destination '{name}' replaces an interval's rows in two steps" in caplog.text
    assert warned == (name in IN_TWO_STEPS)
