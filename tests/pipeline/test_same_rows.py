"""Whatever a user does over some weeks, each destination ends in the rows that DuckDB ends in."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt import Pipeline
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from stripe_reports_source import Report
from stripe_reports_source.emulator import Emulator, EmulatorSettings
from stripe_reports_source.emulator.transactions import late_charge
from stripe_reports_source.plan.system_tables import SYSTEM_TABLES, TIE_OUT
from tests.conftest import SMALL, query, source_of
from tests.pipeline.ways import load

REPORTS = (
    Report("balance.summary"),
    Report("payouts.itemized", lookback_days=40),
    Report("balance_change_from_activity.itemized", lookback_days=10),
    Report("balance_change_from_activity.itemized", metadata=[f"payment_metadata[{'Long key ' * 4}]"]),
)
OF_A_LOAD = {"_dlt_load_id", "_dlt_id", "checked_at", "package", "package_from", "listed_package", "adopted"}
"""Columns that say when and by which package a destination was loaded. The second one adopts the runs of the first."""
NAMES = [table.name for table in (*SYSTEM_TABLES, TIE_OUT)]


@dataclass(frozen=True)
class Step:
    """Time goes on, Stripe's data changes, and reports are loaded.

    Args:
        hours: by which time goes on.
        late: whether a charge is recorded late; False withdraws the ones before.
        reports: places in `REPORTS`.
        way: `load_reports` or `run`.
        window: month that is loaded on its own; None is a sync.
        folder: of the pipeline, in which another machine knows nothing yet.
        forgotten: whether Stripe has no run any more that was made before.
    """

    hours: int
    late: bool
    reports: frozenset[int]
    way: str
    window: int | None
    folder: str
    forgotten: bool


steps = st.builds(
    Step,
    hours=st.integers(0, 24 * 40),
    late=st.booleans(),
    # one of the two that share a table
    reports=st.frozensets(st.integers(0, 2), min_size=1) | st.frozensets(st.sampled_from([0, 1, 3]), min_size=1),
    way=st.sampled_from(["load_reports", "run"]),
    window=st.none() | st.integers(1, 2),
    folder=st.sampled_from(["here", "there"]),
    forgotten=st.booleans(),
)


def made(request: pytest.FixtureRequest, kind: str, folder: Path, number: int) -> tuple[Any, str, str | None]:
    """A destination, its dataset and the form of its tables."""
    if kind == "duckdb":
        return dlt.destinations.duckdb(str(folder / "reports.duckdb")), "stripe", None
    if kind == "postgres":
        return dlt.destinations.postgres(request.getfixturevalue("postgres")), f"same_rows_{number}", None
    if kind == "mariadb":
        missing = [name for name in ("sqlalchemy", "pymysql") if find_spec(name) is None]
        if missing:
            pytest.skip(f"{', '.join(missing)} is not installed")
        return dlt.destinations.sqlalchemy(request.getfixturevalue("mariadb")), f"same_rows_{number}", None
    needed = {"delta": "deltalake", "iceberg": "pyiceberg"}[kind]
    if find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    return dlt.destinations.filesystem(str(folder / kind)), "stripe", kind


def tables_of(pipeline: Pipeline, names: Sequence[str]) -> dict[str, Counter[tuple[Any, ...]]]:
    """All rows of some tables, each with its columns in an order of their own, instants in UTC."""
    found = {}
    for name in names:
        columns = sorted(pipeline.default_schema.tables[name]["columns"].keys() - OF_A_LOAD)
        listed = ", ".join(f'"{column}"' for column in columns)
        rows = query(pipeline, f"SELECT {listed} FROM {name}")
        found[name] = Counter(tuple(zip(columns, map(_in_utc, row), strict=True)) for row in rows)
    return found


def _in_utc(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(timezone.utc).replace(tzinfo=None)
    return value


def play(emulator: Emulator, step: Step, make: Sequence[Callable[[str], tuple[Pipeline, str | None]]]) -> list[str]:
    """A step in each destination; the tables that reports have gone to."""
    service = emulator.service
    emulator.advance(service.now + timedelta(hours=step.hours))
    if step.late:
        moment = datetime(2025, 2, 3, tzinfo=timezone.utc) + timedelta(hours=step.hours)
        emulator.add_transaction(late_charge(f"late{step.hours}", moment, service.now, "usd", 777, 52, "late", {}))
    for transaction in [] if step.late else list(emulator.ledger.transactions):
        if transaction.id.startswith("txn_late"):
            emulator.withdraw_transaction(transaction.id)
    if step.forgotten:
        service.forget_idempotency()
        service.runs.clear()
    months = {"start_date": "2025-01-01"}
    if step.window is not None:
        months = {"start_date": f"2025-0{step.window}-01", "end_date": f"2025-0{step.window + 1}-01"}
    reports = [REPORTS[place] for place in sorted(step.reports)]
    for each in make:
        pipeline, table_format = each(step.folder)
        load(pipeline, source_of(emulator, reports, table_format=table_format, **months), step.way)
    return [report.table for report in reports]


@pytest.mark.parametrize(("examples", "most"), [(2, 2), pytest.param(20, 5, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "kind", ["postgres", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("mariadb", "delta", "iceberg"))]
)
def test_syncs_end_in_the_same_rows_as_on_duckdb(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, examples: int, most: int
) -> None:
    numbers = iter(range(10**6))

    @settings(
        max_examples=examples,
        suppress_health_check=list(HealthCheck),
        derandomize=examples < 3,
        phases=[Phase.explicit, Phase.generate],
    )
    @given(st.lists(steps, min_size=2, max_size=most))
    def check(sequence: list[Step]) -> None:
        number = next(numbers)
        folder = tmp_path / str(number)

        def make(name: str) -> Callable[[str], tuple[Pipeline, str | None]]:
            destination, dataset, table_format = made(request, name, folder, number)
            return lambda machine: (
                dlt.pipeline(
                    "reports", destination=destination, dataset_name=dataset, pipelines_dir=str(folder / name / machine)
                ),
                table_format,
            )

        both = [make("duckdb"), make(kind)]
        with Emulator(EmulatorSettings(**SMALL)) as emulator:
            tables = {table for step in sequence for table in play(emulator, step, both)}
        (expected, _), (found, _) = (each(sequence[-1].folder) for each in both)
        names = [*sorted(tables), *(name for name in NAMES if name in expected.default_schema.tables)]
        assert tables_of(found, names) == tables_of(expected, names)
        shutil.rmtree(folder)

    check()
