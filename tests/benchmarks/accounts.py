"""A platform with many connected accounts in one sync: makespan against the ideal, processor time and memory.

    python -m tests.benchmarks.accounts --accounts 1000
    python -m tests.benchmarks.accounts --accounts 10000
    python -m tests.benchmarks.accounts --accounts 1000 --scale 1.45

The last two load about as many rows. The ideal is what Stripe's runs take by themselves with so many in flight:
accounts * run seconds / in flight. One account is gone. A second sync, in the same process, has nothing new. The
emulator runs in a process of its own, on another core where there is one; its work for a run costs much the same as
the package's.
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
from pathlib import Path
from typing import Any

REPORT = "connected_account_balance_change_from_activity.itemized"


def main() -> None:
    """Print the measurements as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--run-seconds", type=float, default=0.2)
    parser.add_argument("--scale", type=float, default=0.01, help="of the emulator: how many rows an account has")
    asked = parser.parse_args()
    from stripe_reports_source.emulator import Emulator, EmulatorSettings

    accounts = tuple(f"acct_{number:06d}" for number in range(asked.accounts))
    settings = EmulatorSettings(
        scale=asked.scale,
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
                "scale": asked.scale,
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
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        failed: list[str] = []
        took: list[tuple[float, float]] = []
        of_main = resource.getrusage(resource.RUSAGE_THREAD)
        for _ in range(2):
            began, worked = time.monotonic(), time.process_time()
            try:
                load_reports(pipeline, source)
            except SyncFailed as error:
                failed = [failure.account for failure in error.failures]
            took.append((time.monotonic() - began, time.process_time() - worked))
            if len(took) == 1:
                main = resource.getrusage(resource.RUSAGE_THREAD)
                main_cpu = main.ru_utime + main.ru_stime - of_main.ru_utime - of_main.ru_stime
        (seconds, cpu), (nothing_new_seconds, nothing_new_cpu) = took
        with pipeline.sql_client() as client:
            rows = client.execute_sql(
                f"SELECT count(DISTINCT connected_account), count(*) FROM {REPORT.replace('.', '_')}"
            )
            states = client.execute_sql("SELECT max(length(state)) FROM _dlt_pipeline_state")
        state_file = Path(pipeline.working_dir) / "state.json"
        state_bytes = state_file.stat().st_size
    return {
        "seconds": round(seconds, 1),
        "cpu_ms_per_account": round(cpu * 1000 / len(accounts), 2),
        "cpu_ms_per_account_of_main_thread": round(main_cpu * 1000 / len(accounts), 2),
        "nothing_new_seconds": round(nothing_new_seconds, 1),
        "nothing_new_cpu_ms_per_account": round(nothing_new_cpu * 1000 / len(accounts), 2),
        "state_bytes": state_bytes,
        "stored_state_bytes": states[0][0] if states else 0,
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "memory_before_mb": round(before / 1024),
        "accounts_loaded": rows[0][0] if rows else 0,
        "rows": rows[0][1] if rows else 0,
        "accounts_failed": failed,
    }


if __name__ == "__main__":
    main()
