"""Several pipelines, an account each, load into one dataset at once, in processes of their own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from datetime import timedelta

import pytest
from dlt import Pipeline

from stripe_reports_source import load_reports
from stripe_reports_source.emulator import Emulator
from tests.conftest import query, source_of

PAYOUTS = "payouts.itemized"
TABLE = "payouts_itemized"


def sync(emulator: Emulator, pipeline: Pipeline, account: str, plain: bool) -> None:
    source = source_of(emulator, [PAYOUTS, "balance.summary"], account=account)
    if plain:
        pipeline.run(source)
    else:
        load_reports(pipeline, source)


@pytest.mark.parametrize(
    ("destination", "plain"), [("duckdb", False), ("postgres", False), ("postgres", True)], indirect=["destination"]
)
def test_several_pipelines_load_into_one_dataset_at_once(
    emulator: Emulator, make_pipeline: Callable[..., Pipeline], plain: bool
) -> None:
    """First loads included: schema, tables and system tables are made by whoever comes first."""
    accounts = ["one", "two", "three"]
    for _ in range(2):
        processes = [
            multiprocessing.get_context("fork").Process(
                target=sync, args=(emulator, make_pipeline(account, folder=account), account, plain)
            )
            for account in accounts
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0, 0, 0]
        pipeline = make_pipeline("reader", folder="reader")
        counts = "SELECT _account, count(*), count(DISTINCT _interval_key) FROM {} GROUP BY 1"
        for table in (TABLE, "balance_summary"):
            found = {account: tuple(numbers) for account, *numbers in query(pipeline, counts.format(table))}
            assert set(found) == set(accounts)
            assert len(set(found.values())) == 1
        runs = query(pipeline, "SELECT count(*), count(DISTINCT run_id) FROM report_runs")
        loaded = query(pipeline, f"SELECT count(DISTINCT _report_run_id) FROM {TABLE}")
        assert runs[0][0] == runs[0][1] >= loaded[0][0] > 0
        emulator.advance(emulator.service.available_end + timedelta(days=1))
