"""Whether the ledger of a dataset says what its tables hold: `report_cells` cell by cell, control totals sum by sum."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from dlt import Pipeline

from stripe_reports_source.plan.catalog import load_catalog
from stripe_reports_source.plan.columns import table_columns
from stripe_reports_source.plan.control_totals import ControlColumns
from tests.conftest import query
from tests.pipeline.truth import ALL_NEWEST

Run = Callable[[str], Sequence[tuple[Any, ...]]]
Totals = dict[tuple[str | None, str | None], tuple[int, dict[str, Decimal]]]


def assert_ledger(pipeline: Pipeline, reports: Iterable[str]) -> None:
    """The ledger says what there is of reports, under their own names."""
    wrong = ledger_faults(lambda sql: query(pipeline, sql), str, reports)
    assert not wrong, wrong[:3]


def ledger_faults(
    run: Run, name: Callable[[str], str], reports: Iterable[str], *, all_runs: bool = True, counted: bool = True
) -> list[str]:
    """What the ledger says of reports that is not so.

    Args:
        run: runs a query.
        name: a table's name for it.
        reports: base ids, each in a table of its own.
        all_runs: False where someone may have dropped the ledger of runs, so that not all are there.
        counted: False where the number of rows may be left open until the next sync: those of a plain run whose rows
            the user's own steps have changed.
    """
    wrong = []
    for report in reports:
        table = report.replace(".", "_")
        stored = {
            key: tuple(rest)
            for key, *rest in run(
                "SELECT _interval_key, _account, max(_report_run_id), count(DISTINCT _report_run_id), "
                f"max(_interval_end), count(*) FROM {name(table)} GROUP BY 1, 2"
            )
        }
        cells = {
            key: (account, run_id, 1, end, rows)
            for key, account, run_id, end, rows in run(
                f"SELECT interval_key, account, run_id, interval_end, rows FROM {name('report_cells')} "
                f"WHERE table_name = '{table}'"
            )
        }
        if not counted:
            cells = {
                key: (*cell, stored.get(key, (0,))[-1] if rows is None else rows)
                for key, (*cell, rows) in cells.items()
            }
        listed = {key: cell for key, cell in cells.items() if cell[-1] != 0}
        for key in {*listed, *stored}:
            if listed.get(key) != stored.get(key):
                wrong.append(f"{key}: {listed.get(key)} listed, {stored.get(key)} stored")
        wrong += _other_totals(run, name, report, list(cells), all_runs)
    return wrong


def _other_totals(run: Run, name: Callable[[str], str], report: str, keys: Sequence[str], all_runs: bool) -> list[str]:
    """Cells whose control totals are not the sums of what is stored."""
    table, of = report.replace(".", "_"), control_columns(report)
    files = {
        key: totals_of(text)
        for key, text in run(
            f"SELECT c.interval_key, r.control_totals FROM {name('report_cells')} c JOIN {name('report_runs')} r "
            f"ON r.run_id = c.run_id WHERE c.table_name = '{table}'"
        )
    }
    grouped = (of.currency, of.category)
    groups = ", ".join(f"nullif({column}, '')" if column else "CAST(NULL AS varchar)" for column in grouped)
    sums = ", ".join(f"coalesce(sum({amount}), 0)" for amount in of.amounts)
    stored: dict[str, Totals] = {key: {} for key in keys}
    for key, currency, category, rows, *amounts in run(
        f"SELECT _interval_key, {groups}, count(*), {sums} FROM {name(table)} GROUP BY 1, 2, 3"
    ):
        stored.setdefault(key, {})[currency, category] = (rows, dict(zip(of.amounts, amounts, strict=True)))
    return [
        f"{key}: {files.get(key)} of the file, {totals} stored"
        for key, totals in stored.items()
        if files.get(key) != totals and (all_runs or key in files)
    ]


def control_columns(report: str) -> ControlColumns:
    """What control totals are taken of in a report's newest version."""
    known = load_catalog().get(ALL_NEWEST[report])
    assert known is not None
    return ControlColumns.of(table_columns([column.name for column in known.columns], known, names={}, types={}))


def totals_of(text: str) -> Totals:
    """The control totals of a file, from their JSON."""
    return {
        (total["currency"], total.get("category")): (
            total["rows"],
            {name: Decimal(amount) for name, amount in total["amounts"].items()},
        )
        for total in json.loads(text)
    }
