"""A column that is not loaded is never a figure: an equation names all that its query reads, and waits for it."""

from __future__ import annotations

from importlib import import_module

import pytest
import sqlglot
from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseTerminalException
from sqlglot import exp
from sqlglot.optimizer.qualify_columns import qualify_columns
from sqlglot.optimizer.qualify_tables import qualify_tables
from sqlglot.optimizer.scope import traverse_scope

from stripe_reports_source import Report, TieOutFailed, load_reports
from stripe_reports_source.emulator import Emulator
from stripe_reports_source.plan.column_types import TIMESTAMPTZ
from stripe_reports_source.proof import reconcile
from stripe_reports_source.reconcile.equations import EQUATIONS, Equation
from stripe_reports_source.reconcile.inputs import INPUTS, Input
from tests.conftest import source_of
from tests.reconcile.worlds import NINE, told

_WHICH = ("all_", "before_", "touched_", "like_")
_OF_NO_REPORT = {
    "touched": ("cell",),
    "cell_pairs": ("cell", "cell_before"),
}
_ALWAYS = ("account", "cell", "cell_start", "cell_end", "owner")
_KEYS = {"transaction": "transaction_id", "payout": "payout_id"}
_ONLY_EXCUSES = {
    ("unsettled_rows_equal_closing", "activity", "payout_id"),
    ("reversal_equals_payout", "payouts", "transaction_id"),
    *(
        ("reversal_equals_payout", rows, name)
        for rows in ("settled", "unsettled")
        for name in ("transaction_id", "source_id", "category")
    ),
}
"""Asked only where sums differ already: without it they are not compared, or have no excuse."""


def _columns(input_: Input) -> list[str]:
    keys = [f"{name}_{part}" for name in _KEYS for part in ("key", "ref")]
    return [*_ALWAYS, *input_.fields, "item", "volume", "figures_key", *keys]


def _fields(input_: Input, column: str) -> set[str]:
    """The fields that a column of an input is made of."""
    if column == "item":
        return {input_.row_id}
    if column == "volume":
        return {input_.volume or ""} & set(input_.fields)
    if column == "figures_key":
        return {"currency", "category", "gross", "fee", "net"} & set(input_.fields)
    name, _, part = column.rpartition("_")
    if part in ("key", "ref"):
        return {_KEYS[name]}
    return set() if column in _ALWAYS else {column}


def read_by(equation: Equation) -> dict[str, set[str]]:
    """The numbers and texts that an equation's query reads of each input."""
    called = {which + name: name for name in (*INPUTS, *equation.names) for which in ("", *_WHICH)}
    inputs = {table: equation.names.get(name, name) for table, name in called.items()}
    schema: dict[str, object] = {table: dict.fromkeys(_columns(INPUTS[name]), "TEXT") for table, name in inputs.items()}
    schema |= {table: dict.fromkeys(columns, "TEXT") for table, columns in _OF_NO_REPORT.items()}
    parsed = qualify_columns(qualify_tables(sqlglot.parse_one(equation.sql, read="duckdb")), schema)
    found: dict[str, set[str]] = {}
    for scope in traverse_scope(parsed):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table) and source.name in inputs:
                name = inputs[source.name]
                fields = _fields(INPUTS[name], column.name)
                of_report = {field for field in fields if INPUTS[name].fields[field].type != TIMESTAMPTZ}
                found.setdefault(name, set()).update(of_report)
    return found


@pytest.mark.parametrize("equation", EQUATIONS, ids=lambda equation: f"{equation.file}-{equation.figure[0]}")
def test_an_equation_needs_every_number_and_text_that_it_reads(equation: Equation) -> None:
    read = read_by(equation)
    assert read
    lacking = {
        (equation.name, name, field)
        for name, fields in read.items()
        for field in fields - set(equation.needs.get(name, ()))
    }
    assert lacking - _ONLY_EXCUSES == set()


NARROWED = (
    Report("balance_change_from_activity.summary", columns=["reporting_category", "currency", "gross", "fee", "net"]),
    Report(
        "payouts.itemized",
        columns=["payout_id", "balance_transaction_id", "effective_at_utc", "currency", "net", "reporting_category"],
    ),
    Report("payout_reconciliation.summary", columns=["reporting_category", "currency"]),
    Report("balance.summary", columns=["category", "currency"]),
)


def test_what_is_loaded_without_a_column_is_not_compared(emulator: Emulator, pipeline: Pipeline) -> None:
    narrow = {report.report for report in NARROWED}
    source = source_of(emulator, [*NARROWED, *(name for name in NINE if name not in narrow)])
    load_reports(pipeline, source)
    found = reconcile(pipeline)
    assert told(found.statements, "variance", "stale") == []
    said = {
        (statement.equation, statement.interval_key.split("|")[1]): (statement.status, statement.reason)
        for statement in found.statements
    }
    for equation, report, column in (
        ("itemized_equals_summary", "balance_change_from_activity.itemized", "count"),
        ("summary_lines_equal_total", "payout_reconciliation.summary", "gross"),
        ("settled_row_equals_activity_row", "payout_reconciliation.itemized", "gross"),
        ("balance_foots", "balance.summary", "net_amount"),
        ("opening_equals_closing_before", "balance.summary", "net_amount"),
        ("activity_rows_equal_balance", "balance_change_from_activity.itemized", "net_amount"),
    ):
        status, reason = said[equation, report]
        assert status == "not_comparable"
        assert f"without the column {column}:" in reason
    assert said["transaction_once", "payouts.itemized"][0] == "tied"


@pytest.mark.long
def test_a_number_that_is_loaded_as_text_is_not_compared_and_the_rest_is(
    emulator: Emulator, pipeline: Pipeline
) -> None:
    texts = Report("balance.summary", types={"net_amount": "text"})
    loaded = load_reports(pipeline, source_of(emulator, [texts, *NINE[1:]]), reconcile="warn")
    assert loaded.reconciliation is not None
    found = reconcile(pipeline)
    assert told(found.statements, "variance", "stale") == []
    of_balance = [statement for statement in found.statements if statement.equation == "balance_foots"]
    assert {statement.status for statement in of_balance} == {"not_comparable"}
    assert of_balance[0].reason == (
        "balance.summary is loaded with the column net_amount as text: load it with its own type to compare."
    )
    assert "tied" in {item.status for item in found.statements if item.equation == "itemized_equals_summary"}


def test_reports_that_cannot_be_compared_are_no_success_where_that_is_asked_for(
    emulator: Emulator, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: object) -> None:
        raise DatabaseTerminalException(ValueError("a column is not there\nLINE 1"))

    source = source_of(emulator, ["payouts.itemized"], start_date="2025-03-01")
    with monkeypatch.context() as patched:
        patched.setattr(import_module("stripe_reports_source.reconcile.checks"), "look", look)
        assert load_reports(pipeline, source).cells == 1
        with pytest.raises(TieOutFailed) as caught:
            load_reports(pipeline, source, reconcile="fail")  # with nothing new
    assert str(caught.value) == "The reports could not be compared: a column is not there"
    assert (caught.value.loaded.cells, caught.value.loaded.not_compared) == (0, "a column is not there")
    loaded = load_reports(pipeline, source, reconcile="fail")
    assert (loaded.not_compared, loaded.reconciliation is None) == (None, False)
