"""A platform with many connected accounts in one sync: makespan against the ideal, memory, one account that is gone.

    python -m tests.benchmarks.accounts --accounts 1000

The ideal is what Stripe's runs take by themselves with so many in flight: accounts * run seconds / in flight.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from datetime import date, datetime, timezone
from typing import Any

REPORT = "connected_account_balance_change_from_activity.itemized"


def main() -> None:
    """Print the measurements as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--run-seconds", type=float, default=1.0)
    asked = parser.parse_args()
    from stripe_reports_source.emulator import Emulator, EmulatorSettings

    accounts = tuple(f"acct_{number:06d}" for number in range(asked.accounts))
    settings = EmulatorSettings(
        scale=0.1,
        all_types=True,
        business_start=date(2025, 3, 1),
        available_end=datetime(2025, 3, 5, tzinfo=timezone.utc),
        run_delay=asked.run_seconds,
        connected_accounts=accounts,
        revoked_accounts=accounts[-1:],
    )
    with Emulator(settings) as emulator, multiprocessing.get_context("spawn").Pool(1) as pool:
        urls = (emulator.api_url, emulator.files_url)
        measured = pool.apply(sync, (urls, settings.live_keys[0], accounts, asked.in_flight))
        polls = sum(request.method == "GET" and "report_runs/" in request.path for request in emulator.requests)
        runs = len(emulator.runs)
    ideal = asked.accounts * asked.run_seconds / asked.in_flight
    print(
        json.dumps(
            {
                "accounts": asked.accounts,
                "in_flight": asked.in_flight,
                "run_seconds": asked.run_seconds,
                "ideal_seconds": round(ideal, 1),
                **measured,
                "ratio_to_ideal": round(measured["seconds"] / ideal, 2),
                "runs": runs,
                "polls_per_run": round(polls / runs, 1),
            }
        )
    )


def sync(urls: tuple[str, str], api_key: str, accounts: Sequence[str], in_flight: int) -> dict[str, Any]:
    """Load all accounts in this process and measure it."""
    import dlt

    from stripe_reports_source import SyncFailed, load_reports, stripe_reports

    with tempfile.TemporaryDirectory(prefix="stripe-reports-accounts-") as folder:
        os.chdir(folder)
        os.environ.update(DLT_DATA_DIR=folder, RUNTIME__DLTHUB_TELEMETRY="false")
        pipeline = dlt.pipeline(
            "accounts", destination=dlt.destinations.duckdb("warehouse.duckdb"), dataset_name="stripe"
        )
        source = stripe_reports(
            [REPORT],
            connected_accounts=accounts,
            max_concurrent_runs=in_flight,
            api_key=api_key,
            api_base_url=urls[0],
            files_base_url=urls[1],
        )
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        failed: list[str] = []
        try:
            load_reports(pipeline, source)
        except SyncFailed as error:
            failed = [failure.account for failure in error.failures]
        seconds = time.monotonic() - began
        with pipeline.sql_client() as client:
            rows = client.execute_sql(f"SELECT count(DISTINCT connected_account) FROM {REPORT.replace('.', '_')}")
    return {
        "seconds": round(seconds, 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "memory_before_mb": round(before / 1024),
        "accounts_loaded": rows[0][0] if rows else 0,
        "accounts_failed": failed,
    }


if __name__ == "__main__":
    main()
