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


ACCOUNTS = {"rk_live_one": "acct_one", "rk_live_two": "acct_two", "rk_live_three": "acct_three"}


def sync(emulator: Emulator, pipeline: Pipeline, key: str, plain: bool) -> None:
    source = source_of(emulator, [PAYOUTS, "balance.summary"], api_key=key, account=ACCOUNTS[key])
    if plain:
        pipeline.run(source)
    else:
        load_reports(pipeline, source)


@pytest.mark.long
@pytest.mark.parametrize(
    ("destination", "plain"),
    [("duckdb", False), pytest.param("postgres", False, marks=pytest.mark.long), ("postgres", True)],
    indirect=["destination"],
)
def test_several_pipelines_load_into_one_dataset_at_once(
    start_emulator: Callable[..., Emulator], make_pipeline: Callable[..., Pipeline], plain: bool
) -> None:
    """First loads included: schema, tables and system tables are made by whoever comes first."""
    emulator = start_emulator(live_keys=tuple(ACCOUNTS), accounts=ACCOUNTS)
    forks = multiprocessing.get_context("fork")
    for _ in range(2):
        processes = [
            forks.Process(target=sync, args=(emulator, make_pipeline(account, folder=account), key, plain))
            for key, account in ACCOUNTS.items()
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0, 0, 0]
        pipeline = make_pipeline("reader", folder="reader")
        for table in (TABLE, "balance_summary"):
            cells = query(
                pipeline,
                f"SELECT _account, count(DISTINCT _interval_key), count(DISTINCT _report_run_id) FROM {table} "
                "GROUP BY _account ORDER BY _account",
            )
            assert cells == [(account, 3, 3) for account in sorted(ACCOUNTS.values())]
            counts = f"SELECT _report_run_id AS run_id, count(*) AS stored FROM {table} GROUP BY _report_run_id"
            once = f'JOIN ({counts}) AS c ON c.run_id = r.run_id AND r."rows" = c.stored'
            assert len(query(pipeline, f"SELECT r.run_id FROM report_runs AS r {once}")) == 9
        runs = query(pipeline, "SELECT count(*) - count(DISTINCT run_id) FROM report_runs")
        assert runs == [(0,)]
        emulator.advance(emulator.service.available_end + timedelta(days=1))
