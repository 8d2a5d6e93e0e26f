"""What is said of the marts is so: columns, names, dialects, the chart of accounts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from stripe_reports_source.errors import ConfigurationError
from stripe_reports_source.marts.catalog import MARTS, Mart
from stripe_reports_source.marts.chart import ENTRIES, read_chart
from stripe_reports_source.marts.inputs import INPUT_NAMES, REPORT_INPUTS
from stripe_reports_source.marts.queries import MartQuery, in_dialect
from stripe_reports_source.marts.reading import mart_of
from stripe_reports_source.marts.tables import InputTable
from stripe_reports_source.plan.catalog import load_catalog
from stripe_reports_source.plan.columns import SYSTEM_COLUMNS

DIALECTS = (
    *("snowflake", "bigquery"),
    *(pytest.param(name, marks=pytest.mark.long) for name in ("duckdb", "postgres", "redshift", "databricks")),
)
EACH = pytest.mark.parametrize("mart", MARTS.values(), ids=lambda mart: mart.name)


def tables() -> dict[str, tuple[InputTable, ...]]:
    """Each report in a table, and the same over connected accounts, with the newest columns that are known whole."""
    found = {}
    for name, input_ in REPORT_INPUTS.items():
        of_input = []
        for base in (input_.base, input_.connected_base):
            known = [version for version in load_catalog().versions(base) if version.columns_complete][-1]
            columns = {column.name: column.type for column in known.columns}
            columns |= {column: type_ for column, (type_, _) in SYSTEM_COLUMNS.items()}
            connected = base == input_.connected_base
            zones = {"it's {mine}": "Asia/Kolkata", "b": "UTC"}
            each = connected and name == "balance"
            of_input.append(InputTable(base.replace(".", "_"), columns, zones, connected, connected, each, ("b",)))
        found[name] = tuple(of_input)
    return found


def quoted_in(dialect: str) -> Callable[[str], str]:
    """How a dialect writes a name."""
    quote = "`" if dialect in ("bigquery", "databricks") else '"'
    return lambda name: f"{quote}{name}{quote}"


@pytest.mark.long
@EACH
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_mart_is_read_again_in_every_dialect(mart: Mart, dialect: str) -> None:
    for of_reports in (tables(), dict.fromkeys(REPORT_INPUTS, ())):
        query = MartQuery(of_reports, read_chart(), tie_out=bool(of_reports["activity"]))
        sql = in_dialect(query.of(query.all_of(mart)), dialect, quoted_in(dialect), quoted_in(dialect))
        assert "table:" not in sql
        assert "column:" not in sql
        parsed = sqlglot.parse_one(sql, read=dialect)
        assert not list(parsed.find_all(exp.Command))
        select = parsed.find(exp.Select)
        assert select is not None
        assert [column.alias_or_name for column in select.selects] == [column.name for column in mart.columns]


@EACH
def test_a_mart_has_the_columns_that_are_said_and_reads_what_there_is(mart: Mart) -> None:
    sql = re.sub(r"\{(\w+)\}", r"\1", mart.sql)
    parsed = sqlglot.parse_one(sql, read="postgres")
    assert isinstance(parsed, exp.Query)
    assert [column.alias_or_name for column in parsed.selects] == [column.name for column in mart.columns]
    assert set(mart.reads) <= {*INPUT_NAMES, *MARTS}
    own = {table.alias for table in parsed.find_all(exp.CTE)}
    assert not own & {*INPUT_NAMES, *MARTS}, "a name of its own would hide an input"
    assert re.match(r"(--[^\n]*\n)+WITH ", mart.sql), "it begins with what it is"
    assert {*mart.key, mart.day} <= {column.name for column in mart.columns}
    for column in mart.columns:
        assert column.description[0] in f"`{column.description[0].upper()}" or column.description.startswith(
            ("gross", "amount", "figure")
        )
        assert not column.description.endswith(".")


@EACH
def test_no_mart_divides_or_leaves_the_decimals(mart: Mart) -> None:
    parsed = sqlglot.parse_one(re.sub(r"\{(\w+)\}", r"\1", mart.sql), read="postgres")
    assert not list(parsed.find_all(exp.Div, exp.Avg, exp.Round))
    casts = {cast.to.sql() for cast in parsed.find_all(exp.Cast)}
    assert casts <= {"DATE", "DECIMAL(38, 9)", "TEXT"}


def test_every_amount_of_a_mart_is_within_a_currency() -> None:
    for mart in MARTS.values():
        assert "currency" in {column.name for column in mart.columns}, mart.name


def test_an_unknown_mart_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="mart 'payouts' must be one of stripe_balance_rollforward, "):
        mart_of("payouts")


def test_the_chart_of_a_user_goes_before_the_default_one(tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_text("\ufeffcategory,entry,ledger_account\ncharge,gross,8400 Erlöse\n*,balance,1360 Stripe\n", "utf-8")
    chart = {row[:2]: row[2] for row in read_chart(path)}
    default = {row[:2]: row[2] for row in read_chart()}
    assert chart == {**default, ("charge", "gross"): "8400 Erlöse", ("*", "balance"): "1360 Stripe"}
    assert {entry for _, entry in default} == set(ENTRIES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n", "must begin with the line category,entry,ledger_account"),
        (
            "category,entry,ledger_account\ncharge,net,Sales\n",
            "line 2: it must have a category, an entry that is one of",
        ),
        ("category,entry,ledger_account\ncharge,gross\n", "line 2: it must have a category"),
        ("", "must begin with the line"),
    ],
)
def test_what_is_not_a_chart_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=said):
        read_chart(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_chart(tmp_path / "none.csv")
